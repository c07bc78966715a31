//! The forms that a value comes by: which bytes are sought in which reading of the output.
//!
//! Readings decode whatever style a program escapes in. The common encoders' exact forms are sought in the
//! output as it is as well: there what stands beside a value cannot make another escape of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{LONGEST, SHORTEST, reading::Reading};

/// A part of a form in base64 or hex: less than a line of it, so that lines with something before each are
/// hidden for the most part, too.
const CODED: usize = 48;

/// The needles of each reading.
#[derive(Debug, Default)]
pub(super) struct Forms(BTreeMap<Reading, BTreeSet<Vec<u8>>>);

impl Forms {
    /// Adds a value, and each line of one with several.
    pub(super) fn add(&mut self, value: &str) {
        self.add_one(value);
        if value.contains(['\n', '\r']) {
            for line in value.split(['\n', '\r']) {
                self.add_one(line.trim());
            }
        }
    }

    /// Returns the readings that there is something to seek in.
    pub(super) fn into_readings(self) -> impl Iterator<Item = (Reading, BTreeSet<Vec<u8>>)> {
        self.0.into_iter().filter(|(_, needles)| !needles.is_empty())
    }

    fn add_one(&mut self, value: &str) {
        let bytes = value.as_bytes();
        if bytes.len() < SHORTEST {
            return;
        }
        self.seek(Reading::AsItIs, bytes);
        for alphabet in [STANDARD, URL_SAFE] {
            for skip in 0..3 {
                self.seek(Reading::Unfolded, &base64_inside(bytes, skip, alphabet));
            }
        }
        self.seek(Reading::Unfolded, hex(bytes, false).as_bytes());
        self.seek(Reading::Unfolded, hex(bytes, true).as_bytes());
        // Nothing escapes these.
        if bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)) {
            return;
        }
        for reading in [Reading::Unquoted, Reading::UrlDecoded, Reading::EntitiesDecoded] {
            self.seek(reading, &reading.canonical(bytes));
        }
        // Python writes the characters that Latin-1 has as \xXX, where others write bytes so.
        let latin: Vec<u8> = value.chars().fold(Vec::new(), |mut latin, c| {
            match u8::try_from(c) {
                Ok(byte) => latin.push(byte),
                Err(_) => latin.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            latin
        });
        self.seek(Reading::Unquoted, &Reading::Unquoted.canonical(&latin));
        for kept in ["", "/", "!'()*", "!'()*/:;,?@&=+$#"] {
            for upper in [true, false] {
                for plus in [true, false] {
                    self.seek(Reading::AsItIs, url_encoded(value, kept, upper, plus).as_bytes());
                }
            }
        }
        for json in json_forms(value) {
            self.seek(Reading::AsItIs, json.as_bytes());
            // JSON in JSON.
            self.seek(Reading::AsItIs, json_escaped(&json).as_bytes());
        }
        for quoted in [value.replace('\'', "'\\''"), value.replace('\'', "'\"'\"'")] {
            self.seek(Reading::AsItIs, quoted.as_bytes());
        }
    }

    /// Adds a form, in parts of bounded and about equal length.
    fn seek(&mut self, reading: Reading, form: &[u8]) {
        if form.len() < SHORTEST {
            return;
        }
        let most = if reading == Reading::Unfolded { CODED } else { LONGEST };
        let parts = form.len().div_ceil(most);
        let length = form.len().div_ceil(parts);
        let needles = self.0.entry(reading).or_default();
        let mut rest = form;
        while rest.len() > length {
            needles.insert(rest[..length].to_vec());
            rest = &rest[length..];
        }
        // The last one is as long as the others: it overlaps them.
        needles.insert(form[form.len() - length..].to_vec());
    }
}

/// Returns the inside of the JSON strings that writers make of a value.
fn json_forms(value: &str) -> Vec<String> {
    let plain = json_escaped(value);
    let with_slash = plain.replace('/', "\\/");
    let mut all = Vec::new();
    for text in [&plain, &with_slash] {
        all.push(text.clone());
        all.push(with_escapes(text, |c| !c.is_ascii()));
        all.push(with_escapes(text, |c| !c.is_ascii() || "<>&'".contains(c)));
    }
    // Go's, which leaves other text as it is.
    all.push(with_escapes(&plain, |c| "<>&\u{2028}\u{2029}".contains(c)));
    all
}

fn json_escaped(value: &str) -> String {
    let text = serde_json::Value::from(value).to_string();
    text[1..text.len() - 1].to_owned()
}

fn with_escapes(text: &str, escaped: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
        out
    })
}

fn url_encoded(value: &str, kept: &str, upper: bool, plus: bool) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
                Ok(())
            }
            _ if byte.is_ascii() && kept.as_bytes().contains(&byte) => {
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
    text
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
        text
    })
}

pub(super) const STANDARD: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns the base64 characters that `bytes` alone decide when `skip` bytes come before them,
/// whatever comes before and behind.
pub(super) fn base64_inside(bytes: &[u8], skip: usize, alphabet: &[u8; 64]) -> Vec<u8> {
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
