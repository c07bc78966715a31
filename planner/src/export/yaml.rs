//! Writes YAML: the part of it that an engine's configuration needs, so that no text can become
//! anything but text.
//!
//! An own writer of a few rules instead of a library: the files are read by three parsers of two
//! YAML versions (1.1 says that `on` and `no` are booleans and that `08:00` is a number), people
//! review them, and they open with comments. A scalar is written plain only when it looks like a
//! word in every version; everything else is double-quoted with JSON's escapes. Order is the
//! caller's; nothing is sorted or hashed here.

use std::fmt::Write as _;

/// A value on its way into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Yaml {
    /// Text, quoted where it needs to be.
    Text(String),
    /// A number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// Items below each other.
    List(Vec<Self>),
    /// Words in one line, for lists that read better so.
    Words(Vec<String>),
    /// Keys in the order given.
    Map(Vec<(String, Self)>),
    /// Lines of a script of ours, written as they are.
    Script(String),
}

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(crate) fn words<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> Self {
        Self::Words(words.into_iter().map(|word| word.as_ref().to_owned()).collect())
    }
}

/// Writes `key: value` at that indentation, ending in a newline.
pub(crate) fn entry(key: &str, value: &Yaml, indent: usize) -> String {
    let mut out = String::new();
    write_entry(&mut out, key, value, indent);
    out
}

/// Writes one line of comment; whatever the text holds, it stays one line.
pub(crate) fn comment(text: &str) -> String {
    let text: String = text.chars().map(|c| if breaks_line(c) { ' ' } else { c }).collect();
    format!("# {}\n", text.trim_end())
}

fn write_entry(out: &mut String, key: &str, value: &Yaml, indent: usize) {
    pad(out, indent);
    write_scalar(out, key);
    out.push(':');
    write_value(out, value, indent);
}

/// Writes what stands behind `key:` or `-`.
fn write_value(out: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                pad(out, indent + 2);
                out.push('-');
                write_item(out, item, indent + 2);
            }
        }
        Yaml::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            for (key, value) in entries {
                write_entry(out, key, value, indent + 2);
            }
        }
        Yaml::Script(text) if is_plain_block(text) => {
            out.push_str(" |\n");
            for line in text.lines() {
                if !line.is_empty() {
                    pad(out, indent + 2);
                }
                out.push_str(line);
                out.push('\n');
            }
        }
        value => {
            out.push(' ');
            write_inline(out, value);
            out.push('\n');
        }
    }
}

/// Writes a list's item; a map starts on the line of its dash.
fn write_item(out: &mut String, item: &Yaml, indent: usize) {
    let Yaml::Map(entries) = item else { return write_value(out, item, indent) };
    let Some(((key, value), rest)) = entries.split_first() else {
        return write_value(out, item, indent);
    };
    out.push(' ');
    write_scalar(out, key);
    out.push(':');
    write_value(out, value, indent + 2);
    for (key, value) in rest {
        write_entry(out, key, value, indent + 2);
    }
}

fn write_inline(out: &mut String, value: &Yaml) {
    match value {
        Yaml::Text(text) | Yaml::Script(text) => write_scalar(out, text),
        Yaml::Number(number) => out.push_str(&number.to_string()),
        Yaml::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Yaml::Map(_) => out.push_str("{}"),
        Yaml::List(_) => out.push_str("[]"),
        Yaml::Words(words) => {
            out.push('[');
            for (index, word) in words.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_scalar(out, word);
            }
            out.push(']');
        }
    }
}

fn write_scalar(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if needs_escape(c) && u32::from(c) > 0xffff => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c if needs_escape(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether the text is a word or words in every version of YAML, as a key and in a flow list.
fn is_plain(text: &str) -> bool {
    const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.ends_with(|c: char| c != ' ')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '@' | '-' | ' '))
        && !RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether the lines can stand in a block as they are: printable ASCII, the first not indented.
fn is_plain_block(text: &str) -> bool {
    text.ends_with('\n')
        && text.starts_with(|c: char| !c.is_whitespace())
        && !text.ends_with("\n\n")
        && text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic())
}

/// Whether a character ends a line, cannot stand in YAML, or hides what a reviewer would see
/// (the order marks of bidirectional text).
fn needs_escape(c: char) -> bool {
    breaks_line(c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}')
        || u32::from(c) & 0xfffe == 0xfffe
}

pub(crate) fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_parser_reads_as_something_else_is_quoted() {
        for text in [
            "",
            " ",
            "on",
            "No",
            "y",
            "NULL",
            "~",
            "1",
            "08:00",
            "1e3",
            ".inf",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!x",
            "%x",
            "@x",
            "`x",
            "'x'",
            "\"",
            "a ",
            " a",
            "{a}",
            "[a]",
            "a,b",
            "?",
            "|",
            ">",
            "=",
            "<<",
            "---",
            "...",
            "0x1f",
            "${{ secrets.X }}",
            "a\nb",
            "é",
        ] {
            let written = entry("key", &Yaml::text(text), 0);
            assert!(written.starts_with("key: \"") && written.ends_with("\"\n"), "{written}");
            assert_eq!(written.lines().count(), 1, "{written}");
        }
        for text in ["execute-a", "a b", "rust/src", "self-hosted", "actions/checkout@v5"] {
            assert_eq!(entry("key", &Yaml::text(text), 0), format!("key: {text}\n"));
        }
    }

    #[test]
    fn lists_and_maps_nest() {
        let value = Yaml::map([
            ("empty", Yaml::List(vec![])),
            ("words", Yaml::words(["a", "on"])),
            (
                "steps",
                Yaml::List(vec![
                    Yaml::map([
                        ("run", Yaml::Script("a\n\n  b\n".into())),
                        ("count", Yaml::Number(1)),
                    ]),
                    Yaml::text("x"),
                ]),
            ),
        ]);
        insta::assert_snapshot!(entry("on", &value, 0), @r#"
        "on":
          empty: []
          words: [a, "on"]
          steps:
            - run: |
                a

                  b
              count: 1
            - x
        "#);
    }

    #[test]
    fn no_character_hides_or_ends_a_line() {
        let hostile = "a\u{202e}b\u{85}c\u{2028}d\u{feff}e\u{0}f\u{1fffe}g";
        insta::assert_snapshot!(
            entry("x", &Yaml::text(hostile), 0),
            @r#"x: "a\u202eb\u0085c\u2028d\ufeffe\u0000f\U0001fffeg""#
        );
        assert_eq!(comment("a\nb: c\u{2028}d"), "# a b: c d\n");
    }
}
