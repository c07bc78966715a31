//! Text of others on our terminal: escape sequences neutralised, ends of logs, times for people.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    time::Duration,
};

/// Appends formatted text to a string.
macro_rules! push {
    ($to:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        write!($to, $($text)*).expect("a string takes every text");
    }};
}
pub(crate) use push;

/// How much of a log's end is looked at.
const TAIL_BYTES: u64 = 16 * 1024;

/// The longest line that is shown.
const LINE_CHARS: usize = 400;

/// Returns a line without anything a terminal obeys: escape sequences are dropped, other control
/// characters replaced, tabs kept. A long line is cut.
#[must_use]
pub fn neutral(line: &str) -> String {
    neutral_up_to(line, LINE_CHARS)
}

/// Returns a line as [`neutral`] does, however long it is.
#[must_use]
pub fn neutral_unlimited(line: &str) -> String {
    neutral_up_to(line, usize::MAX)
}

fn neutral_up_to(line: &str, most: usize) -> String {
    let mut shown = String::with_capacity(line.len().min(LINE_CHARS * 4));
    let mut characters = line.chars().peekable();
    let mut count = 0;
    while let Some(character) = characters.next() {
        if count == most {
            shown.push('…');
            break;
        }
        match character {
            '\u{1b}' => skip_sequence(&mut characters),
            // The C1 forms of the same sequences.
            '\u{9b}' => skip_control_sequence(&mut characters),
            '\t' => {
                shown.push(character);
                count += 1;
            }
            '\r' | '\n' => {}
            c if c.is_control() || is_invisible(c) => {
                shown.push('\u{fffd}');
                count += 1;
            }
            c => {
                shown.push(c);
                count += 1;
            }
        }
    }
    shown
}

/// Characters that reorder or hide others (Unicode 15, "Bidi_Control" and zero widths).
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Skips what follows an ESC (ECMA-48, 5.3 to 5.6).
fn skip_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.next() {
        Some('[') => skip_control_sequence(characters),
        // Strings (OSC, DCS, SOS, PM, APC) end with BEL or ST.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = characters.next() {
                if c == '\u{7}' || c == '\u{9c}' {
                    break;
                }
                if c == '\u{1b}' {
                    characters.next();
                    break;
                }
            }
        }
        Some(' '..='/') => {
            characters.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&c) = characters.peek() {
        if !(' '..='?').contains(&c) {
            if ('@'..='~').contains(&c) {
                characters.next();
            }
            break;
        }
        characters.next();
    }
}

/// Returns the last lines of a log, neutralised; an absent file has none. Reads only its end,
/// however large it is.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let Ok(bytes) = read() else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    // A carriage return overwrites its line on a terminal: what was written last is what is seen.
    let all: Vec<&str> = text
        .lines()
        .map(|line| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(line))
        .collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| neutral(line)).collect()
}

/// Returns a duration for people: `0.4s`, `12.3s`, `3m 04s`, `1h 02m`.
#[must_use]
pub fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{}.{}s", seconds, took.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns a number of bytes for people: `812 B`, `1.4 MB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut whole, mut tenths, mut unit) = (number, 0, 0);
    while whole >= 1000 && unit + 1 < units.len() {
        (whole, tenths, unit) = (whole / 1000, whole % 1000 / 100, unit + 1);
    }
    if unit == 0 { format!("{whole} B") } else { format!("{whole}.{tenths} {}", units[unit]) }
}

/// Returns `1 node`, `2 nodes`.
#[must_use]
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Returns bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        push!(text, "{byte:02x}");
        text
    })
}

/// Returns the bytes that hexadecimal digits of either case stand for; nothing for another text.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_moves_no_cursor_and_sets_no_title() {
        for (hostile, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[Hgone", "gone"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Bplain", "plain"),
            ("\u{9b}31mc1", "c1"),
            ("a\u{8}b\u{7}", "a\u{fffd}b\u{fffd}"),
            ("x\u{202e}y", "x\u{fffd}y"),
            ("tab\there", "tab\there"),
            ("cut\u{1b}", "cut"),
        ] {
            assert_eq!(neutral(hostile), shown, "{hostile:?}");
        }
        assert_eq!(neutral(&"x".repeat(10_000_000)).chars().count(), LINE_CHARS + 1);
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines_as_a_terminal_would_show_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        assert!(tail(&path, 3).is_empty());
        std::fs::write(&path, "1\n2\n10%\r50%\r100%\r\nlast").expect("written");
        assert_eq!(tail(&path, 2), ["100%", "last"]);
        assert_eq!(tail(&path, 99).len(), 4);
    }

    #[test]
    fn bytes_are_short() {
        let shown: Vec<String> =
            [0, 999, 1000, 1_449_999, 12_000_000_000, u64::MAX].map(bytes).into_iter().collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.4 MB", "12.0 GB", "18446744.0 TB"]);
    }

    #[test]
    fn durations_are_short() {
        let shown = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [shown(40), shown(12_345), shown(184_000), shown(3_720_000)],
            ["0.0s", "12.3s", "3m 04s", "1h 02m"]
        );
    }
}
