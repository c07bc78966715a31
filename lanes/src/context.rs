//! What the steps of a load share: the problems so far, the globs, and how to look a name up.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    catalog::{GlobUse, Via},
    codes::{self, Code},
    diagnostic::Diagnostic,
    filter_index::GlobIndex,
    glob::{Glob, count_alternatives},
    names::{shorten, suggestion},
    read::bad_glob,
    source::{At, Sources, Span},
};

/// How many unknown names get a "did you mean": each is compared with every known name.
const SUGGESTIONS: usize = 50;

/// How many globs path sets may stand for, all uses together.
const MOST_EXPANDED: usize = 1_000_000;

/// How many alternatives the braces of all globs may stand for: each is a pattern of its own.
const MOST_ALTERNATIVES: usize = 250_000;

pub(crate) struct Context<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) found: Vec<Diagnostic>,
    pub(crate) globs: GlobIndex,
    pub(crate) sets: HashMap<&'a str, Arc<[GlobUse]>>,
    pub(crate) lost_manifest: bool,
    pub(crate) lost_catalog: bool,
    suggestions: usize,
    expanded: usize,
    alternatives: usize,
}

impl<'a> Context<'a> {
    pub(crate) fn new(sources: &'a Sources, found: Vec<Diagnostic>) -> Self {
        Self {
            sources,
            found,
            globs: GlobIndex::default(),
            sets: HashMap::new(),
            lost_manifest: false,
            lost_catalog: false,
            suggestions: 0,
            expanded: 0,
            alternatives: 0,
        }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub(crate) fn error(&mut self, code: &'static Code, span: Span, message: impl Into<String>) {
        self.found.push(Diagnostic::error(code, span, message));
    }

    /// Reports a name that nothing declares.
    pub(crate) fn unknown<'n>(
        &mut self,
        code: &'static Code,
        what: &str,
        name: &At<String>,
        known: impl Iterator<Item = &'n str>,
    ) {
        let message = format!("no {what} is called `{}`", shorten(name));
        let mut diagnostic = Diagnostic::error(code, name.span, message);
        if self.suggestions < SUGGESTIONS {
            self.suggestions += 1;
            let mut known: Vec<&str> = known.collect();
            known.sort_unstable();
            diagnostic = match suggestion(name, known.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None if (1..=12).contains(&known.len()) => {
                    diagnostic.help(format!("known: `{}`", known.join("`, `")))
                }
                None => diagnostic.remedy(),
            };
        }
        self.report(diagnostic);
    }

    /// Checks a value of one of the vocabulary's own types.
    pub(crate) fn checked<T, E: std::fmt::Display>(
        &mut self,
        code: &'static Code,
        text: &At<String>,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text.value.clone()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(code, text.span, error.to_string());
                None
            }
        }
    }

    /// Returns a text for people as one line: white space is folded, and no other control
    /// character may move a reader's cursor.
    pub(crate) fn one_line(&mut self, text: &At<String>) -> String {
        let plain = |c: char| !c.is_control();
        if text.chars().all(plain) {
            return text.value.trim().to_owned();
        }
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !folded.chars().all(plain) {
            let message = "a text for people holds a control character";
            self.error(&codes::BAD_VALUE, text.span, message);
        }
        folded
    }

    /// Refuses a number that is larger than anybody can mean.
    pub(crate) fn at_most<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        number: At<T>,
        most: T,
        key: &str,
    ) -> T {
        if number.value > most {
            let message = format!("`{key}` is {}, at most {most} is allowed", number.value);
            self.error(&codes::BAD_VALUE, number.span, message);
        }
        number.value
    }

    /// Reports a second thing of the same id.
    pub(crate) fn duplicate(&mut self, what: &str, id: &At<String>, first: Span) {
        let message = format!("two {what} are called `{}`", shorten(id));
        self.report(
            Diagnostic::error(&codes::DUPLICATE_ID, id.span, message)
                .also(first, "the first one")
                .help("ids are unique over all files; rename one"),
        );
    }

    /// Turns a list of globs and set names into globs, each once, in the order written.
    pub(crate) fn globs(&mut self, list: &[At<String>], under: Option<&str>) -> Vec<GlobUse> {
        let mut uses: Vec<GlobUse> = Vec::with_capacity(list.len());
        for text in list {
            match text.strip_prefix('@') {
                Some(name) if !name.starts_with('(') => self.expand(name, text, &mut uses),
                _ => uses.extend(self.glob(text, under)),
            }
        }
        // Most lists are short and without repetition: look before building a set.
        if uses.len() > 1 {
            let mut seen = BTreeSet::new();
            uses.retain(|used| seen.insert(used.glob));
        }
        uses
    }

    /// Turns a list of globs that select nothing into globs.
    pub(crate) fn plain_globs(
        &mut self,
        list: &[At<String>],
        under: Option<&str>,
    ) -> Vec<(Glob, Span)> {
        let mut globs = Vec::with_capacity(list.len());
        for text in list {
            if !self.alternatives_are_few(text, text.span) {
                continue;
            }
            let whole = under.map(|under| format!("{under}/{}", text.value));
            match Glob::new(text).and_then(|glob| whole.map_or(Ok(glob), |it| Glob::new(&it))) {
                Ok(glob) => globs.push((glob, text.span)),
                Err(problem) => {
                    let diagnostic = bad_glob(self.sources, text, &problem);
                    self.report(diagnostic);
                }
            }
        }
        globs
    }

    fn glob(&mut self, text: &At<String>, under: Option<&str>) -> Option<GlobUse> {
        let whole = match under {
            None => Cow::Borrowed(text.as_str()),
            Some(under) => Cow::Owned(format!("{under}/{}", text.value)),
        };
        if self.globs.id(&whole).is_none() && !self.alternatives_are_few(&whole, text.span) {
            return None;
        }
        // The form is checked as written, so that the message speaks of that.
        let checked = under.map_or(Ok(()), |_| crate::glob::check(text));
        let added = checked.and_then(|()| self.globs.add(&whole));
        match added {
            Ok(glob) => Some(GlobUse { glob, span: text.span, via: None }),
            Err(problem) => {
                let diagnostic = bad_glob(self.sources, text, &problem);
                self.report(diagnostic);
                None
            }
        }
    }

    /// Counts what the braces of a new glob stand for; the first one too many is told.
    fn alternatives_are_few(&mut self, glob: &str, span: Span) -> bool {
        let before = self.alternatives;
        self.alternatives = before.saturating_add(count_alternatives(glob));
        if before <= MOST_ALTERNATIVES && self.alternatives > MOST_ALTERNATIVES {
            let message = format!(
                "the braces of all globs stand for more than {MOST_ALTERNATIVES} alternatives"
            );
            self.report(
                Diagnostic::error(&codes::BAD_VALUE, span, message)
                    .help("use `*` for parts that may be anything"),
            );
        }
        self.alternatives <= MOST_ALTERNATIVES
    }

    fn expand(&mut self, name: &str, text: &At<String>, uses: &mut Vec<GlobUse>) {
        let Some(set) = self.sets.get(name).cloned() else {
            if name.contains(['/', '*']) {
                let message = format!("`{}` is not the name of a path set", shorten(text));
                self.report(
                    Diagnostic::error(&codes::UNKNOWN_SET, text.span, message)
                        .help(format!("a glob that starts with `@` is written `[@]{name}`")),
                );
                return;
            }
            if !self.lost_manifest {
                let known: Vec<String> = self.sets.keys().map(|name| format!("@{name}")).collect();
                self.unknown(
                    &codes::UNKNOWN_SET,
                    "path set",
                    text,
                    known.iter().map(String::as_str),
                );
            }
            return;
        };
        let before = self.expanded;
        self.expanded += set.len();
        if self.expanded > MOST_EXPANDED {
            if before <= MOST_EXPANDED {
                let message = format!(
                    "the path sets stand for more than {MOST_EXPANDED} globs, all uses together"
                );
                self.error(&codes::BAD_VALUE, text.span, message);
            }
            return;
        }
        // Globs that came in alike stand together and share the text that says how.
        let mut last: Option<(Option<Arc<str>>, Arc<str>)> = None;
        for used in set.iter() {
            let inner = match &used.via {
                Some(Via::Sets(inner)) => Some(inner),
                _ => None,
            };
            let via = match &last {
                Some((same, via)) if same.as_ref() == inner => Arc::clone(via),
                _ => {
                    let via: Arc<str> = match inner.map(|inner| inner.rsplit(" -> ")) {
                        None => name.into(),
                        Some(mut names) => {
                            let innermost = names.next().unwrap_or_default();
                            let between = if names.next().is_some() { " -> …" } else { "" };
                            format!("{name}{between} -> {innermost}").into()
                        }
                    };
                    last = Some((inner.cloned(), Arc::clone(&via)));
                    via
                }
            };
            uses.push(GlobUse { via: Some(Via::Sets(via)), ..used.clone() });
        }
    }
}
