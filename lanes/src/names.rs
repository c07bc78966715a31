//! Names in messages: kept short, and the nearest one to a typing error.

/// Keeps a message readable whatever somebody wrote.
pub(crate) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

/// Returns the candidate nearest to `word`, if one is near enough to be a typing error.
pub(crate) fn suggestion<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A hostile name of a megabyte is compared with nothing.
    let length = word.chars().take(101).count();
    if length > 100 {
        return None;
    }
    let limit = 1 + length / 4;
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit + 3)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word() {
        let keys = ["timeout_secs", "title", "target", "paths"];
        assert_eq!(suggestion("timeout_sec", keys), Some("timeout_secs"));
        assert_eq!(suggestion("tilte", keys), Some("title"));
        assert_eq!(suggestion("path", keys), Some("paths"));
    }

    #[test]
    fn another_word_finds_none() {
        assert_eq!(suggestion("colour", ["timeout_secs", "title"]), None);
        assert_eq!(suggestion(&"a".repeat(1_000_000), ["a"]), None);
    }
}
