//! Keeping secrets out of a log: a writer that replaces them, in whatever form they come by.
//!
//! Masked are the value itself, its base64 at each alignment, its URL-encoded and JSON-escaped
//! forms, and the same of each line of a value with several. What might still become a secret is
//! held back until the next bytes decide; nothing else is.

use std::{collections::BTreeSet, fmt::Write as _, io::Write};

use aho_corasick::{AhoCorasick, MatchKind};

/// A shorter value is not masked: it would match everywhere and so be known from where it does.
const SHORTEST: usize = 6;
const MASK: &[u8] = b"***";

/// A writer that masks.
pub(crate) struct Masking<W> {
    to: W,
    needles: Vec<Vec<u8>>,
    finder: Option<AhoCorasick>,
    longest: usize,
    held: Vec<u8>,
    over: bool,
}

impl<W: Write> Masking<W> {
    /// Makes a writer for these values. Returns also how many are too short to be masked.
    pub(crate) fn new<'a>(values: impl Iterator<Item = &'a String>, to: W) -> (Self, usize) {
        let mut needles = BTreeSet::new();
        let mut too_short = 0;
        for value in values {
            if value.is_empty() {
                continue;
            }
            too_short += usize::from(value.len() < SHORTEST);
            forms(value, &mut needles);
            if value.contains(['\n', '\r']) {
                for line in value.split(['\n', '\r']) {
                    forms(line.trim(), &mut needles);
                }
            }
        }
        // Sorted, for the search for prefixes.
        let needles: Vec<Vec<u8>> = needles.into_iter().collect();
        let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&needles)
            .ok()
            .filter(|_| !needles.is_empty());
        (Self { to, needles, finder, longest, held: Vec::new(), over: false }, too_short)
    }

    /// Takes bytes; writes what is decided.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let Some(finder) = &self.finder else {
            self.over |= self.to.write_all(bytes).is_err();
            return;
        };
        self.held.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        loop {
            let hold = self.undecided(at);
            let found = finder.find(aho_corasick::Input::new(&self.held).range(at..));
            match found {
                Some(found) if found.start() < hold => {
                    out.extend_from_slice(&self.held[at..found.start()]);
                    out.extend_from_slice(MASK);
                    at = found.end();
                }
                _ => {
                    out.extend_from_slice(&self.held[at..hold]);
                    at = hold;
                    break;
                }
            }
        }
        self.held.drain(..at);
        // A full disk takes the log, never the job.
        let _ = self.to.write_all(&out);
    }

    /// Writes what was held back: nothing more comes.
    pub(crate) fn finish(&mut self) {
        let rest = std::mem::take(&mut self.held);
        let rest = match &self.finder {
            // A whole needle may be held because a longer one began with it.
            Some(finder) => finder.replace_all_bytes(&rest, &vec![MASK; self.needles.len()]),
            None => rest,
        };
        let _ = self.to.write_all(&rest);
    }

    /// Returns how many bytes were taken and not yet written.
    pub(crate) fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// Remembers that nobody writes any more.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// Returns whether nobody writes any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Returns from where on the held bytes may be the beginning of a secret.
    fn undecided(&self, from: usize) -> usize {
        let length = self.held.len();
        let earliest = length.saturating_sub(self.longest.saturating_sub(1)).max(from);
        (earliest..length).find(|&at| self.is_beginning(&self.held[at..])).unwrap_or(length)
    }

    fn is_beginning(&self, tail: &[u8]) -> bool {
        let at = self.needles.partition_point(|needle| needle.as_slice() <= tail);
        // The needles that begin with `tail` and are longer stand right behind it.
        self.needles.get(at).is_some_and(|needle| needle.starts_with(tail))
    }
}

fn forms(value: &str, needles: &mut BTreeSet<Vec<u8>>) {
    let bytes = value.as_bytes();
    if bytes.len() < SHORTEST {
        return;
    }
    let mut add = |form: Vec<u8>| {
        if form.len() >= SHORTEST {
            needles.insert(form);
        }
    };
    add(bytes.to_vec());
    for alphabet in [STANDARD, URL_SAFE] {
        for skip in 0..3 {
            add(base64_inside(bytes, skip, alphabet));
        }
    }
    for (upper, plus) in [(true, false), (true, true), (false, false)] {
        add(url_encoded(value, upper, plus));
    }
    if let Ok(json) = serde_json::to_string(value) {
        let inside = &json[1..json.len() - 1];
        // Some writers escape the slash too, some everything beyond ASCII.
        for text in [inside.to_owned(), inside.replace('/', "\\/")] {
            let ascii = text.chars().fold(String::new(), |mut ascii, c| {
                if c.is_ascii() {
                    ascii.push(c);
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(ascii, "\\u{unit:04x}");
                    }
                }
                ascii
            });
            add(text.into_bytes());
            add(ascii.into_bytes());
        }
    }
}

fn url_encoded(value: &str, upper: bool, plus: bool) -> Vec<u8> {
    let mut text = String::new();
    for byte in value.bytes() {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
                Ok(())
            }
            b' ' if plus => {
                text.push('+');
                Ok(())
            }
            _ if upper => write!(text, "%{byte:02X}"),
            _ => write!(text, "%{byte:02x}"),
        };
    }
    text.into_bytes()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns the base64 characters that `bytes` alone decide when `skip` bytes come before them,
/// whatever comes before and behind.
fn base64_inside(bytes: &[u8], skip: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |index: usize| {
        let byte = index / 8;
        if byte < skip { 0 } else { (bytes[byte - skip] >> (7 - index % 8)) & 1 }
    };
    let first = (skip * 8).div_ceil(6);
    let end = (skip + bytes.len()) * 8 / 6;
    (first..end)
        .map(|character| {
            let value = (0..6).fold(0, |value, at| value << 1 | bit(character * 6 + at));
            alphabet[usize::from(value)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(secrets: &[&str], chunks: &[&[u8]]) -> String {
        let secrets: Vec<String> = secrets.iter().map(|&s| s.to_owned()).collect();
        let mut out = Vec::new();
        let (mut masking, _) = Masking::new(secrets.iter(), &mut out);
        for chunk in chunks {
            masking.push(chunk);
        }
        masking.finish();
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_secret_is_masked_wherever_the_chunks_break() {
        let text = b"token=hunter2hunter2 ok";
        for at in 0..text.len() {
            let (a, b) = text.split_at(at);
            assert_eq!(masked(&["hunter2hunter2"], &[a, b]), "token=*** ok", "at {at}");
        }
    }

    #[test]
    fn its_other_forms_are_masked_too() {
        let secret = "pa ss/w\"örd!";
        for (form, around) in [
            ("pa%20ss%2Fw%22%C3%B6rd%21", ""),
            ("pa+ss%2Fw%22%C3%B6rd%21", ""),
            ("pa ss/w\\\"örd!", ""),
            ("pa ss\\/w\\\"\\u00f6rd!", ""),
            ("cGEgc3MvdyLDtnJkI", "Q=="),
            // The same behind one and behind two other bytes.
            ("BhIHNzL3ciw7ZyZC", ""),
        ] {
            let text = format!("[{form}{around}]");
            let shown = masked(&[secret], &[text.as_bytes()]);
            assert!(shown.starts_with("[***"), "{form} -> {shown}");
        }
    }

    #[test]
    fn each_line_of_a_key_is_masked() {
        let key = "-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----\n";
        assert_eq!(masked(&[key], &[b"1 klmnopqrst\n2 abcdefghij\n"]), "1 ***\n2 ***\n");
        assert_eq!(masked(&[key], &[key.as_bytes()]), "***");
    }

    #[test]
    fn nothing_but_a_possible_secret_is_held_back() {
        let secrets = ["secret-value".to_owned()];
        let mut out = Vec::new();
        let (mut masking, _) = Masking::new(secrets.iter(), &mut out);
        masking.push(b"Password: sec");
        assert_eq!(masking.held, b"sec");
        masking.push(b"ond");
        assert!(masking.held.is_empty());
        drop(masking);
        assert_eq!(out, b"Password: second");
    }

    #[test]
    fn short_secrets_are_counted_and_left_alone() {
        let secrets = ["abc".to_owned()];
        let (_, too_short) = Masking::new(secrets.iter(), Vec::new());
        assert_eq!(too_short, 1);
        assert_eq!(masked(&["abc", ""], &[b"xabcx"]), "xabcx");
    }

    proptest! {
        #[test]
        fn base64_of_any_text_around_a_secret_shows_none_of_it(
            before in proptest::collection::vec(any::<u8>(), 0..7),
            secret in "[a-z]{12,20}",
            after in proptest::collection::vec(any::<u8>(), 0..7),
        ) {
            let all: Vec<u8> =
                before.iter().chain(secret.as_bytes()).chain(&after).copied().collect();
            let whole = base64_inside(&all, 0, STANDARD);
            let shown = masked(&[&secret], &[&whole]);
            prop_assert!(shown.contains("***"), "{shown}");
        }

        #[test]
        fn text_without_a_secret_is_untouched(
            chunks in proptest::collection::vec(proptest::collection::vec(b'a'..b'd', 0..20), 0..8),
        ) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let whole = String::from_utf8(chunks.concat()).expect("ascii");
            prop_assert_eq!(masked(&["abcabcabcX"], &chunks), whole);
        }
    }
}
