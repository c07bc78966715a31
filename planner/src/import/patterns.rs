//! Path patterns of GitHub and of `dorny/paths-filter` as globs of ours.
//!
//! A pattern without a counterpart becomes a wider one in `paths` and is left out of `exclude`:
//! either way more runs, and a note says so.

use lanes::glob;

/// Patterns, translated.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Patterns {
    pub(super) paths: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Patterns {
    /// Translates the `paths` of an event, in which a later pattern takes back an earlier one.
    pub(super) fn ordered(patterns: &[String]) -> Self {
        let mut found = Self::default();
        let last_positive = patterns.iter().rposition(|pattern| !pattern.starts_with('!'));
        for (at, pattern) in patterns.iter().enumerate() {
            match pattern.strip_prefix('!') {
                None => found.include(pattern),
                Some(_) if last_positive.is_some_and(|last| at < last) => found.notes.push(format!(
                    "`{pattern}` is left out: a later pattern took it back, and `exclude` knows no order."
                )),
                Some(negated) => found.exclude(negated),
            }
        }
        found
    }

    /// Translates `paths-ignore`: everything but these.
    pub(super) fn everything_but(patterns: &[String]) -> Self {
        let mut found = Self { paths: vec!["**".to_owned()], ..Self::default() };
        for pattern in patterns {
            found.exclude(pattern.trim_start_matches('!'));
        }
        found
    }

    /// Adds a pattern that selects.
    pub(super) fn include(&mut self, pattern: &str) {
        let globs = exact(pattern).unwrap_or_else(|| {
            let wider = wider(pattern);
            self.notes.push(format!("`{pattern}` has no counterpart; `{wider}` is wider."));
            vec![wider]
        });
        for glob in globs {
            if !self.paths.contains(&glob) {
                self.paths.push(glob);
            }
        }
    }

    fn exclude(&mut self, pattern: &str) {
        match exact(pattern) {
            Some(globs) => self.exclude.extend(globs),
            None => self.notes.push(format!("`!{pattern}` has no counterpart and is left out.")),
        }
    }

    /// Joins what two filters select. An `exclude` holds only where both have it.
    pub(super) fn join(&mut self, other: Self) {
        let first = self.paths.is_empty() && self.exclude.is_empty();
        for glob in other.paths {
            if !self.paths.contains(&glob) {
                self.paths.push(glob);
            }
        }
        if first {
            self.exclude = other.exclude;
        } else {
            self.exclude.retain(|glob| other.exclude.contains(glob));
        }
        self.notes.extend(other.notes);
    }
}

/// The globs that match exactly what the pattern matches.
fn exact(pattern: &str) -> Option<Vec<String>> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern).trim_start_matches('/');
    // There, `?` and `+` repeat the character before; `@(…)` and the like are alternatives.
    if pattern.is_empty() || pattern.contains(['?', '+', '(', '\\']) {
        return None;
    }
    let mut globs = vec![String::new()];
    let parts: Vec<&str> = pattern.split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let written: Vec<String> = if *part == "**" || !part.contains("**") {
            vec![(*part).to_owned()]
        } else if let Some(suffix) = part.strip_prefix("**").filter(|it| !it.contains("**")) {
            // There, `**` crosses directories even inside a name.
            vec![format!("**/*{}", suffix.trim_start_matches('*'))]
        } else if let Some(prefix) = part.strip_suffix("**").filter(|it| last && !it.contains("**"))
        {
            vec![format!("{prefix}*"), format!("{prefix}*/**")]
        } else {
            return None;
        };
        globs =
            globs
                .iter()
                .flat_map(|glob| {
                    written.iter().map(move |part| {
                        if at == 0 { part.clone() } else { format!("{glob}/{part}") }
                    })
                })
                .collect();
    }
    globs.iter().all(|glob| glob::check(glob).is_ok()).then_some(globs)
}

/// Everything below the directory that the pattern certainly is in.
fn wider(pattern: &str) -> String {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern).trim_start_matches('/');
    let (directory, _) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let plain = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "-_. @".contains(c))
    };
    let mut parts: Vec<&str> = directory.split('/').take_while(plain).collect();
    parts.push("**");
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let mut found = Patterns::default();
        found.include(pattern);
        assert_eq!(found.paths, expected, "{pattern}");
    }

    #[test]
    fn patterns_keep_their_meaning_or_grow() {
        check("src/**", &["src/**"]);
        check("*.md", &["*.md"]);
        check("**.js", &["**/*.js"]);
        check("src/**.ts", &["src/**/*.ts"]);
        check("docs**", &["docs*", "docs*/**"]);
        check("./a/b.c", &["a/b.c"]);
        check("a/*.jsx?", &["a/**"]);
        check("a/@(x|y)/z", &["a/**"]);
        check("docs/", &["docs/**"]);
        check("[CB]at.txt", &["[CB]at.txt"]);
    }

    #[test]
    fn a_pattern_that_a_later_one_takes_back_excludes_nothing() {
        let list = ["a/**", "!a/b/**", "a/b/c/**", "!a/x.md"].map(str::to_owned);
        let found = Patterns::ordered(&list);
        assert_eq!(found.paths, ["a/**", "a/b/c/**"]);
        assert_eq!(found.exclude, ["a/x.md"]);
        assert_eq!(found.notes.len(), 1);
    }
}
