//! The change set: which paths differ, sorted, each with how.
//!
//! Owns the list itself and the reading of `--changed-files`. Where a list comes from git is the
//! business of [`crate::git`]; which lanes it selects is decided elsewhere.

use std::borrow::Cow;

use plans::{Change, ChangeStatus, InvalidPath, RepoPath};

/// Changed paths in byte order. A path stands once per status: comparing head with several merge
/// bases may find it `added` against one and `modified` against another, and both count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    changes: Vec<Change>,
}

impl ChangeSet {
    /// Returns the changes, sorted by path.
    #[must_use]
    pub fn as_slice(&self) -> &[Change] {
        &self.changes
    }

    /// Returns whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns how many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Iterates over the changes, sorted by path.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.changes.iter()
    }

    /// Gives the sorted list away.
    #[must_use]
    pub fn into_vec(self) -> Vec<Change> {
        self.changes
    }
}

impl FromIterator<Change> for ChangeSet {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        let mut changes: Vec<Change> = changes.into_iter().collect();
        changes.sort_unstable();
        changes.dedup();
        Self { changes }
    }
}

impl<'a> IntoIterator for &'a ChangeSet {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Why a list of changed files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangedFilesError {
    /// An entry that names nothing inside the repository.
    #[error("entry {number}: {source}")]
    Path {
        /// Which entry, counted from 1: the line number of a newline-separated list.
        number: usize,
        /// What is wrong with it.
        source: InvalidPath,
    },
    /// A line in git's quoted form that does not end, or holds an unknown escape.
    #[error("entry {number}: `{line}` starts with a quote, but is not a name as git quotes it")]
    Quoting {
        /// Which line, counted from 1.
        number: usize,
        /// The line.
        line: String,
    },
    /// A list in UTF-16, or with a byte order mark.
    #[error("the list starts with a byte order mark ({encoding}); paths are expected as raw bytes")]
    ByteOrderMark {
        /// Which encoding the mark announces.
        encoding: &'static str,
    },
}

impl ChangedFilesError {
    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Path { .. } => {
                "list paths relative to the root of the repository, as \
                 `git diff --name-only --no-renames -z` prints them"
            }
            Self::Quoting { .. } => {
                "separate the paths with NUL: `git diff --name-only --no-renames -z`"
            }
            Self::ByteOrderMark { .. } => {
                "write the list without an encoding of its own; in PowerShell, \
                 `git diff --name-only --no-renames -z --output=FILE`"
            }
        }
    }
}

/// Reads a list of changed paths: separated by NUL if it holds any NUL, otherwise by newlines.
///
/// A newline-separated list may hold names as git quotes them (`"caf\303\251"`) and may end its
/// lines with CRLF throughout; empty lines mean nothing. Each path counts as
/// [`ChangeStatus::Modified`], and the list as satisfying any `statuses`.
///
/// # Errors
///
/// [`ChangedFilesError`] for the first entry that is not a path inside the repository.
pub fn parse_changed_files(list: &[u8]) -> Result<ChangeSet, ChangedFilesError> {
    for (mark, encoding) in
        [(&b"\xef\xbb\xbf"[..], "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")]
    {
        if list.starts_with(mark) {
            return Err(ChangedFilesError::ByteOrderMark { encoding });
        }
    }
    let entries = if list.contains(&0) { nul_separated(list) } else { newline_separated(list)? };
    entries
        .into_iter()
        .map(|(number, path)| {
            let path = RepoPath::new(path.into_owned())
                .map_err(|source| ChangedFilesError::Path { number, source })?;
            Ok(Change { path, status: ChangeStatus::Modified })
        })
        .collect()
}

/// Paths with their number in the list.
type Numbered<'a> = Vec<(usize, Cow<'a, [u8]>)>;

fn nul_separated(list: &[u8]) -> Numbered<'_> {
    let list = list.strip_suffix(b"\0").unwrap_or(list);
    list.split(|&byte| byte == 0)
        .enumerate()
        .map(|(at, path)| (at + 1, Cow::Borrowed(path)))
        .collect()
}

fn newline_separated(list: &[u8]) -> Result<Numbered<'_>, ChangedFilesError> {
    let lines = || list.split(|&byte| byte == b'\n').enumerate().filter(|(_, l)| !l.is_empty());
    // A name may end in a carriage return; only where every line does is it the line's end.
    let crlf = lines().all(|(_, line)| line.ends_with(b"\r"));
    lines()
        .map(|(at, line)| (at + 1, if crlf { &line[..line.len() - 1] } else { line }))
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| {
            if !line.starts_with(b"\"") {
                return Ok((number, Cow::Borrowed(line)));
            }
            let name = unquote(line).ok_or_else(|| ChangedFilesError::Quoting {
                number,
                line: String::from_utf8_lossy(line).into_owned(),
            })?;
            Ok((number, Cow::Owned(name)))
        })
        .collect()
}

/// Undoes git's quoting of unusual names (`core.quotePath`): C escapes and three octal digits.
fn unquote(line: &[u8]) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter().copied();
    let mut name = Vec::with_capacity(line.len());
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => return None,
            b'\\' => name.push(match rest.next()? {
                b'a' => 0x07,
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 0x0b,
                b'f' => 0x0c,
                b'r' => b'\r',
                same @ (b'"' | b'\\') => same,
                high @ b'0'..=b'3' => {
                    let mut value = high - b'0';
                    for _ in 0..2 {
                        match rest.next()? {
                            digit @ b'0'..=b'7' => value = value * 8 + (digit - b'0'),
                            _ => return None,
                        }
                    }
                    value
                }
                _ => return None,
            }),
            plain => name.push(plain),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &[u8], expected: &[&[u8]]) {
        let changes = parse_changed_files(list).expect("the list is good");
        let paths: Vec<&[u8]> = changes.iter().map(|change| change.path.as_bytes()).collect();
        assert_eq!(paths, expected);
        assert!(changes.iter().all(|change| change.status == ChangeStatus::Modified));
    }

    #[track_caller]
    fn refused(list: &[u8], expected: &str) {
        let error = parse_changed_files(list).expect_err("the list is bad");
        assert_eq!(error.to_string(), expected);
        assert!(!error.help().is_empty());
    }

    #[test]
    fn a_list_is_sorted_and_without_repetition() {
        check(b"b\na/z\na\nb\n", &[b"a", b"a/z", b"b"]);
        check(b"", &[]);
        check(b"\n\n", &[]);
    }

    #[test]
    fn one_nul_makes_newlines_part_of_names() {
        check(b"new\nline\0\"quoted\"\0\xff\0", &[b"\"quoted\"", b"new\nline", b"\xff"]);
        check(b"a\0b", &[b"a", b"b"]);
    }

    #[test]
    fn lines_quoted_by_git_are_read_as_the_names_they_mean() {
        check(
            b"\"caf\\303\\251\"\n\"a\\tb\\\\\\\"c\\n\"\nplain\n",
            &[b"a\tb\\\"c\n", "café".as_bytes(), b"plain"],
        );
        refused(
            b"ok\n\"open",
            "entry 2: `\"open` starts with a quote, but is not a name as git quotes it",
        );
        refused(
            b"\"\\q\"",
            "entry 1: `\"\\q\"` starts with a quote, but is not a name as git quotes it",
        );
    }

    #[test]
    fn crlf_is_a_line_end_only_where_every_line_has_it() {
        check(b"a\r\nb\r\n", &[b"a", b"b"]);
        check(b"a\r\nb\n", &[b"a\r", b"b"]);
    }

    #[test]
    fn paths_outside_the_repository_are_refused() {
        refused(
            b"a\n/etc/passwd\n",
            "entry 2: `/etc/passwd` is not a path inside the repository: it is absolute",
        );
        refused(
            b"a/../b\0",
            "entry 1: `a/../b` is not a path inside the repository: it has the component `..`",
        );
        refused(
            b"./a\n",
            "entry 1: `./a` is not a path inside the repository: it has the component `.`",
        );
        refused(b"a\0\0b\0", "entry 2: `` is not a path inside the repository: it is empty");
    }

    #[test]
    fn a_byte_order_mark_is_not_taken_for_a_name() {
        refused(
            b"\xff\xfea\0b\0",
            "the list starts with a byte order mark (UTF-16); paths are expected as raw bytes",
        );
        refused(
            b"\xef\xbb\xbfa\n",
            "the list starts with a byte order mark (UTF-8); paths are expected as raw bytes",
        );
    }
}
