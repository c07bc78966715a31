//! Words for a shell: the one function that quotes, and the small script builder on top of it.
//!
//! Everything that reaches a shell of another machine goes through [`quote`]. Only POSIX `sh` ever reads
//! the result: a login shell that is fish or csh is given a constant command without any data in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Returns `word` as one word of a POSIX shell, whatever bytes it holds.
///
/// A NUL cannot be part of any argument of any process; it is left out, so that what follows it is not
/// lost. Callers refuse such words where a person wrote them.
pub fn quote(word: impl AsRef<OsStr>) -> Vec<u8> {
    let word = word.as_ref().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(byte);
    // `=` in the first word would be an assignment, `-` is the program's business.
    if !word.is_empty() && word.iter().all(plain) && !word.contains(&b'=') {
        return word.to_vec();
    }
    let mut quoted = Vec::with_capacity(word.len() + 2);
    quoted.push(b'\'');
    for &byte in word {
        match byte {
            0 => {}
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// A `sh` script under construction: literal shell text and quoted words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    text: Vec<u8>,
    library: Option<String>,
}

impl Script {
    /// Returns a script that starts with literal shell text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.as_bytes().to_vec(), library: None }
    }

    /// Says which file of functions the script is to find read; a shell that is kept reads it once.
    #[must_use]
    pub fn with_library(mut self, path: &std::path::Path) -> Self {
        self.library = Some(String::from_utf8_lossy(&quote(path)).into_owned());
        self
    }

    /// Returns that file's path, quoted.
    #[must_use]
    pub fn library(&self) -> Option<&str> {
        self.library.as_deref()
    }

    /// Appends another script, with the library it wants.
    #[must_use]
    pub fn then(mut self, other: &Self) -> Self {
        self.text.extend_from_slice(&other.text);
        if other.library.is_some() {
            self.library.clone_from(&other.library);
        }
        self
    }

    /// Appends literal shell text as it is.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends bytes as they are: what a here-document holds.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.text.extend_from_slice(bytes);
        self
    }

    /// Appends a blank and one word, quoted.
    #[must_use]
    pub fn word(mut self, word: impl AsRef<OsStr>) -> Self {
        self.text.push(b' ');
        self.text.extend_from_slice(&quote(word));
        self
    }

    /// Appends words, each quoted, each after a blank.
    #[must_use]
    pub fn words<W: AsRef<OsStr>>(self, words: impl IntoIterator<Item = W>) -> Self {
        words.into_iter().fold(self, Self::word)
    }

    /// Appends `NAME='value'` and a newline. `name` is a constant of the code.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'=');
        self.text.extend_from_slice(&quote(value));
        self.text.push(b'\n');
        self
    }

    /// Returns the script for who takes text alone: an argument of ours that holds no path but our own.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Returns the bytes of the script.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// Tells whether a shell takes `name` as the name of a variable.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: &str) {
        assert_eq!(String::from_utf8(quote(word)).unwrap(), expected);
    }

    #[test]
    fn plain_words_stay_readable_and_all_others_are_single_quoted() {
        check("cargo", "cargo");
        check("/a/b-c.d", "/a/b-c.d");
        check("", "''");
        check("a b", "'a b'");
        check("it's", "'it'\\''s'");
        check("$HOME", "'$HOME'");
        check("A=b", "'A=b'");
        check("~root", "'~root'");
        check("a\nb", "'a\nb'");
        check("*", "'*'");
    }

    #[test]
    fn only_what_a_shell_can_assign_is_a_variable_name() {
        assert!(is_variable_name("_A1"));
        for name in ["", "1A", "A-B", "A=B", "A\n", "É"] {
            assert!(!is_variable_name(name), "{name:?}");
        }
    }
}
