//! Words of a POSIX shell in what is drafted: the one place that quotes them.

/// A text between single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A text as one word; without quotes where it holds nothing but letters, digits and some of `signs`.
pub(super) fn word(text: &str, signs: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}
