//! Gradle's scripts, Groovy and Kotlin alike, as far as they can be read without running them: the
//! words, strings and marks of a script, and the calls with literal arguments among them.
//!
//! A script is a program. What a call is given that is no literal string is said to be *computed*,
//! so that whoever asks can run more instead of guessing.

/// One word, string or mark of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, or a keyword.
    Word(String),
    /// A string without interpolation.
    Text(String),
    /// A string in which something is computed, as written.
    Computed(String),
    /// Any other character; a line break is one.
    Mark(char),
}

/// Splits a script. Comments are left out; a string without an end goes to the end of the text.
pub(super) fn tokens(script: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
        } else if let Some(quote) =
            ["\"\"\"", "'''", "\"", "'"].iter().find(|it| rest.starts_with(**it))
        {
            let (text, after) = string(&rest[quote.len()..], quote);
            let plain = quote.starts_with('\'') || !text.contains('$');
            tokens.push(if plain { Token::Text(text) } else { Token::Computed(text) });
            rest = after;
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            if first == '\n' || !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

/// A string's text up to its closing quote, and what follows.
fn string<'a>(text: &'a str, quote: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(quote) {
            return (value, after);
        }
        rest = &rest[first.len_utf8()..];
        if first == '\\' {
            let Some(escaped) = rest.chars().next() else { break };
            // An escaped dollar is no interpolation; it is no path either.
            value.push(if escaped == '$' { '\u{fffd}' } else { escaped });
            rest = &rest[escaped.len_utf8()..];
        } else {
            value.push(first);
        }
    }
    (value, "")
}

/// The arguments of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// The literal strings among them, in order.
    pub(super) texts: Vec<String>,
    /// Whether another argument is computed.
    pub(super) computed: bool,
}

/// Returns the arguments of every call of a function: `name("a", 'b')`, or `name 'a', 'b'` as Groovy
/// allows. Names of arguments (`path: ":a"`, `path = ":a"`) are passed over. A member of something
/// else (`spec.name(…)`) is no call of it.
pub(super) fn calls(tokens: &[Token], name: &str) -> Vec<Arguments> {
    let mut calls = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_member = at > 0 && tokens[at - 1] == Token::Mark('.');
        if *token != Token::Word(name.to_owned()) || is_member {
            continue;
        }
        let rest = &tokens[at + 1..];
        match rest.first() {
            Some(Token::Mark('(')) => calls.push(arguments(&rest[1..], true)),
            Some(Token::Text(_) | Token::Computed(_)) => calls.push(arguments(rest, false)),
            Some(Token::Word(_)) if !is_keyword(&rest[0]) => calls.push(arguments(rest, false)),
            _ => {}
        }
    }
    calls
}

/// Words that follow a name without making it a call: `import x.include as y`, `a in b`.
fn is_keyword(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(word.as_str(), "in" | "as" | "is" | "instanceof" | "by"))
}

fn arguments(tokens: &[Token], in_parentheses: bool) -> Arguments {
    let mut found = Arguments::default();
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Text(text) if depth == 0 => {
                // `"a" + x`, `"a".b()`: part of something computed.
                match next_on_the_way(tokens, at) {
                    Some(Token::Mark('+' | '.')) => found.computed = true,
                    _ => found.texts.push(text.clone()),
                }
            }
            Token::Computed(_) => found.computed = true,
            Token::Mark('(' | '[' | '{') => {
                depth += 1;
                found.computed |= *token != Token::Mark('[');
            }
            Token::Mark(')') if depth == 0 => break,
            Token::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Mark('\n') if !in_parentheses && depth == 0 => {
                let continues = at >= 2 && tokens[at - 2] == Token::Mark(',');
                if !continues {
                    break;
                }
            }
            Token::Mark(';') if depth == 0 && !in_parentheses => break,
            Token::Mark('+' | '*') => found.computed = true,
            Token::Word(_) => {
                let named = matches!(next_on_the_way(tokens, at), Some(Token::Mark(':' | '=')));
                found.computed |= !named;
            }
            Token::Text(text) => found.texts.push(text.clone()),
            Token::Mark(_) => {}
        }
    }
    found
}

fn next_on_the_way(tokens: &[Token], at: usize) -> Option<&Token> {
    tokens[at..].iter().find(|token| **token != Token::Mark('\n'))
}

/// Returns the texts of all strings of a script, those with interpolation as written.
pub(super) fn strings(tokens: &[Token]) -> impl Iterator<Item = &str> {
    tokens.iter().filter_map(|token| match token {
        Token::Text(text) | Token::Computed(text) => Some(text.as_str()),
        Token::Word(_) | Token::Mark(_) => None,
    })
}

/// Returns every chain of names that begins with `first`: `projects.core.data`.
pub(super) fn chains<'a>(tokens: &'a [Token], first: &str) -> Vec<Vec<&'a str>> {
    let mut chains = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_member = at > 0 && tokens[at - 1] == Token::Mark('.');
        if *token != Token::Word(first.to_owned()) || is_member {
            continue;
        }
        let mut chain = Vec::new();
        let mut at = at + 1;
        while let (Some(Token::Mark('.')), Some(Token::Word(name))) =
            (tokens.get(at), tokens.get(at + 1))
        {
            chain.push(name.as_str());
            at += 2;
        }
        chains.push(chain);
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(script: &str, name: &str, expected: &[(&[&str], bool)]) {
        let found = calls(&tokens(script), name);
        let expected: Vec<Arguments> = expected
            .iter()
            .map(|(texts, computed)| Arguments {
                texts: texts.iter().map(|&text| text.to_owned()).collect(),
                computed: *computed,
            })
            .collect();
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn calls_are_read_in_both_languages() {
        check("include(\":app\", ':lib')", "include", &[(&[":app", ":lib"], false)]);
        check(
            "include 'app',\n  'lib'\ninclude 'more'",
            "include",
            &[(&["app", "lib"], false), (&["more"], false)],
        );
        check(
            "implementation(project(path: ':a', configuration: 'x'))",
            "project",
            &[(&[":a", "x"], false)],
        );
        check("implementation(project(path = \":a\"))", "project", &[(&[":a"], false)]);
        check("include(\n\":a\",\n\":b\",\n)", "include", &[(&[":a", ":b"], false)]);
        check("implementation project(':a')", "project", &[(&[":a"], false)]);
        check("include(*arrayOf(\":a\"))", "include", &[(&[":a"], true)]);
        check("include([':a', ':b'] as String[])", "include", &[(&[":a", ":b"], true)]);
    }

    #[test]
    fn what_is_computed_is_said() {
        check("include(\":$name\")", "include", &[(&[], true)]);
        check("include(name)", "include", &[(&[], true)]);
        check("include ':a' + suffix", "include", &[(&[], true)]);
        check("list.each { include it }", "include", &[(&[], true)]);
        check("include(\":a\", other())", "include", &[(&[":a"], true)]);
    }

    #[test]
    fn comments_members_and_other_names_are_no_calls() {
        check("// include(':a')\n/* include(':b') */", "include", &[]);
        check("filter.include(':a')\nincludeBuild('x')", "include", &[]);
        check("val include = 3", "include", &[]);
        check("text = \"include(':a')\"", "include", &[]);
    }

    #[test]
    fn chains_of_names_are_found() {
        let tokens = tokens("implementation(projects.core.dataStore)\nx.projects.no\nlibs.junit");
        assert_eq!(chains(&tokens, "projects"), [["core", "dataStore"]]);
        assert_eq!(chains(&tokens, "libs"), [["junit"]]);
    }
}
