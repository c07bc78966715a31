//! Globs: which forms are allowed, and what they match.
//!
//! The language is globset's with `literal_separator`: `*` and `?` stay inside a component, `**`
//! is a whole component, `[…]` is one byte, `{a,b}` alternatives; case-sensitive, on raw bytes,
//! dot files included. Forms that match nothing, or something else than they seem to, are refused
//! with a hint. One rule is stricter than globset's: a class never matches `/`.
//!
//! Matching is our own and compiles nothing: a manifest may hold tens of thousands of globs, of
//! which a change meets a handful. A property test holds it against globset.

mod check;
mod meet;
mod pattern;
mod typical;

pub use check::{
    GlobProblem, MAX_ALTERNATIVES, MAX_LENGTH, alternatives, check, count_alternatives,
};
pub use meet::may_meet;
pub use pattern::{Pattern, Positions, literal_directory};

/// One glob, ready to match.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    patterns: Vec<Pattern>,
}

impl Glob {
    /// Checks and parses a glob.
    ///
    /// # Errors
    ///
    /// [`GlobProblem`] says what is wrong with its form.
    pub fn new(text: &str) -> Result<Self, GlobProblem> {
        check(text)?;
        let patterns = alternatives(text).iter().map(|text| Pattern::parse(text)).collect();
        Ok(Self { text: text.to_owned(), patterns })
    }

    /// Returns the glob as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the glob matches a path.
    #[must_use]
    pub fn is_match(&self, path: &[u8]) -> bool {
        let components: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        self.patterns.iter().any(|pattern| pattern.matches(&components))
    }

    /// Returns paths that the glob matches and that are like every other path it matches: where it
    /// leaves a choice, they have a character that nobody spells out. A glob that matches all of
    /// them can be taken to match everything that this one does.
    #[must_use]
    pub fn typical_paths(&self) -> Vec<String> {
        let both = |text: std::borrow::Cow<'_, str>| {
            [typical::path(&text, false), typical::path(&text, true)]
        };
        let mut paths: Vec<String> = alternatives(&self.text).into_iter().flat_map(both).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Returns the directories below which every match lies, one for each alternative, without a
    /// trailing slash; empty for the root.
    pub fn directories(&self) -> impl Iterator<Item = String> {
        alternatives(&self.text).into_iter().map(|text| text[..literal_directory(&text)].to_owned())
    }
}
