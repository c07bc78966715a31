//! Foreign text on one line: nothing in it moves the cursor, turns the reading direction or
//! breaks a table. Knows widths of terminals; knows no markup.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr as _;

/// A text that grows line by line.
#[derive(Default)]
pub(crate) struct Lines(String);

impl Lines {
    /// Appends `text` and a newline; nothing but ends of lines is trimmed.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref().trim_end_matches(' '));
        self.0.push('\n');
    }

    /// Appends an empty line.
    pub(crate) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Returns how many bytes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Returns `text` on one line, with characters that are not shown as themselves escaped.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unprintable(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Control characters, line and paragraph separators, and the marks that reorder what follows.
pub(crate) fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Returns how many columns `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks `text` at spaces into lines of at most `columns`; a longer word is broken where it must.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut line_width = 0;
    // A line that starts with spaces keeps them: they are empty words.
    let mut fresh = true;
    for word in text.split(' ') {
        let word_width = width(word);
        if !fresh && line_width + 1 + word_width > columns {
            lines.push(std::mem::take(&mut line));
            line_width = 0;
            fresh = true;
        }
        if !fresh {
            line.push(' ');
            line_width += 1;
        }
        fresh = false;
        if word_width <= columns {
            line.push_str(word);
            line_width += word_width;
            continue;
        }
        for character in word.chars() {
            let character_width = width(character.encode_utf8(&mut [0; 4]));
            if line_width + character_width > columns {
                lines.push(std::mem::take(&mut line));
                line_width = 0;
            }
            line.push(character);
            line_width += character_width;
        }
    }
    lines.push(line);
    lines
}

/// Returns `1 lane`, `2 lanes`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Joins sorted numbers as `1-4 7 9-10`.
pub(crate) fn ranges(sorted: &[usize]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut index = 0;
    while index < sorted.len() {
        let first = sorted[index];
        let mut last = first;
        while index + 1 < sorted.len() && sorted[index + 1] == last + 1 {
            index += 1;
            last += 1;
        }
        index += 1;
        words.push(match last - first {
            0 => first.to_string(),
            1 => format!("{first} {last}"),
            _ => format!("{first}-{last}"),
        });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_moves_the_cursor_or_turns_the_line() {
        assert_eq!(one_line("a\x1b[2J\nb\u{202e}c"), "a\\u{1b}[2J\\nb\\u{202e}c");
        assert!(matches!(one_line("plain café 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn text_is_measured_in_columns() {
        for line in wrap("漢字漢字漢字 and a-word-that-is-too-long-for-a-line", 10) {
            assert!(width(&line) <= 10, "{line}");
        }
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("  indented text", 10), ["  indented", "text"]);
    }

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8, 10]), "1-3 5 7 8 10");
        assert_eq!(ranges(&[]), "");
    }
}
