//! A path that stands for all that a glob without braces matches.
//!
//! Knows the forms that [`super::check`] lets through and no other.

/// A character that no glob spells out.
const ANY: char = '\u{1}';

/// Returns such a path; `deep`: every `**` stands for two directories, else for as few as it may.
pub(super) fn path(text: &str, deep: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut components = text.split('/').peekable();
    while let Some(component) = components.next() {
        if component != "**" {
            names.push(name(component));
            continue;
        }
        let last = components.peek().is_none();
        let directories = if deep { 2 } else { 0 };
        let count = directories + usize::from(last);
        names.extend(std::iter::repeat_n(ANY.to_string(), count));
    }
    names.join("/")
}

fn name(component: &str) -> String {
    let mut name = String::with_capacity(component.len());
    let mut rest = component.chars();
    while let Some(sign) = rest.next() {
        match sign {
            '*' => name.extend([ANY, ANY]),
            '?' => name.push(ANY),
            '\\' => name.extend(rest.next()),
            '[' => {
                let class: Vec<char> = class(&mut rest);
                name.push(match class.first() {
                    Some('!' | '^') | None => ANY,
                    Some(first) => *first,
                });
            }
            plain => name.push(plain),
        }
    }
    name
}

/// Takes the inside of a class; a `]` in front is one of its characters.
fn class(rest: &mut std::str::Chars<'_>) -> Vec<char> {
    let mut inside = Vec::new();
    for sign in rest.by_ref() {
        let negation = matches!(inside.as_slice(), ['!' | '^']);
        if sign == ']' && !inside.is_empty() && !negation {
            break;
        }
        inside.push(sign);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::super::Glob;

    #[test]
    fn a_glob_matches_its_own_typical_paths() {
        for text in
            ["**", "src/**", "**/*.rs", "a/**/b?.[ch]", "a/{b,c*}/[!x]", "\\*/[]a]", "[^]]x", "a.b"]
        {
            let glob = Glob::new(text).expect(text);
            let paths = glob.typical_paths();
            assert!(!paths.is_empty());
            for path in paths {
                assert!(glob.is_match(path.as_bytes()), "{text}: {path:?}");
            }
        }
    }

    #[test]
    fn a_narrower_glob_is_told_from_one_that_overlaps() {
        let within = |a: &str, b: &str| {
            let b = Glob::new(b).expect(b);
            let paths = Glob::new(a).expect(a).typical_paths();
            paths.iter().all(|path| b.is_match(path.as_bytes()))
        };
        assert!(within("scripts/x.sh", "scripts/**"));
        assert!(within("docs/*.md", "**/*.md"));
        assert!(within("docs/*.md", "docs/*"));
        assert!(within("a/{b,c}/*.rs", "a/**"));
        assert!(!within(".cargo/**", "**/*.toml"));
        assert!(!within("docs/**", "docs/*"));
        assert!(!within("src/*.rs", "**/lib.rs"));
        assert!(!within("{a,b}/x", "a/**"));
    }
}
