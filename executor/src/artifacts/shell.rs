//! What a tree of artifacts on another machine or in a guest is asked, as scripts for its shell, and what its answers
//! mean. POSIX tools only: busybox and macOS run them.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{FileKind, Found, FoundFile};
use crate::command_line::Script;

/// Goes to the tree, if it is one.
const ENTER: &str =
    " && [ ! -L \"$root\" ] && cd \"$root\" 2>/dev/null || { printf end; exit 0; }\n";

/// Lists what is at or below `$start`: a letter and the path for each, ended by a NUL. Not through a link: what is
/// behind it is not below the directory. An empty tree costs no process.
const LIST: &str = r#"
set +f
reached() { p=$1; while :; do case $p in */*) p=${p%/*} ;; *) return 0 ;; esac; [ ! -L "$p" ] || return 1; done; }
for start; do
{ [ -e "$start" ] || [ -L "$start" ]; } && reached "$start" || continue
if [ "$start" = . ]; then
some=
for entry in * .[!.]* ..?*; do if [ -e "$entry" ] || [ -L "$entry" ]; then some=1; break; fi; done
{ [ "$some" ] || [ ! -r . ]; } || continue
fi
find "$start" -type d -exec sh -c 'for d; do { [ -r "$d" ] && [ -x "$d" ]; } || printf "u%s\0" "$d"; done' sh {} + \
-o -type f -exec printf 'f%s\0' {} + -o -type l -exec printf 'l%s\0' {} + -o -type s -exec printf 's%s\0' {} + \
-o -type p -exec printf 'p%s\0' {} + -o -exec printf 'd%s\0' {} + 2>/dev/null
done
printf end
"#;

/// Says what is at each path: a letter, behind `l` what the link says, ended by a NUL.
const LOOK: &str = r#"
for path; do
if [ -L "$path" ]; then said=$(readlink "$path"; echo .); printf 'l%s\0' "${said%??}"
elif [ -d "$path" ]; then printf 'D\0'
elif [ -f "$path" ]; then printf 'f\0'
elif [ -S "$path" ]; then printf 's\0'
elif [ -p "$path" ]; then printf 'p\0'
elif [ -e "$path" ]; then printf 'd\0'
else printf '\0'; fi
done
printf end
"#;

/// Prints `f` and the first `$most` bytes of a regular file; nothing, if there is none.
const READ: &str = r#"
reached() { p=$1; while :; do case $p in */*) p=${p%/*} ;; *) return 0 ;; esac; [ ! -L "$p" ] || return 1; done; }
[ ! -L "$path" ] && reached "$path" && [ -f "$path" ] && [ -r "$path" ] && { printf f; head -c "$most" "$path"; }
printf end
"#;

/// Returns the script that reads a file.
pub(crate) fn read(root: &str, path: &Path, most: usize) -> Script {
    enter(root).set("path", dotted(path)).set("most", most.to_string()).text(READ)
}

/// Reads the answer of [`read`]; `None`: it is not whole.
pub(crate) fn read_read(answer: &[u8]) -> Option<Option<Vec<u8>>> {
    let all = answer.strip_suffix(b"end")?;
    match all.split_first() {
        None => Some(None),
        Some((b'f', bytes)) => Some(Some(bytes.to_vec())),
        Some(_) => None,
    }
}

/// Returns the script that lists a tree.
pub(crate) fn list(root: &str, below: &[PathBuf]) -> Script {
    enter(root).text("set --").words(below.iter().map(|path| dotted(path))).text(LIST)
}

/// Returns the script that looks at paths.
pub(crate) fn inspect(root: &str, paths: &[PathBuf]) -> Script {
    enter(root).text("set --").words(paths.iter().map(|path| dotted(path))).text(LOOK)
}

fn enter(root: &str) -> Script {
    Script::new("").set("root", root).text("[ -d \"$root\" ]").text(ENTER)
}

fn dotted(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { Path::new(".").join(path) }
}

/// Reads the answer of [`list`]; `None`: it is not whole.
pub(crate) fn read_list(answer: &[u8]) -> Option<Vec<FoundFile>> {
    let entries = words(answer)?.map(|word| {
        let (letter, path) = word.split_first()?;
        let path = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"."))?;
        Some(FoundFile { path: PathBuf::from(OsStr::from_bytes(path)), kind: kind(*letter)? })
    });
    entries.collect()
}

/// Reads the answer of [`look`] about so many paths; `None`: it is not whole.
pub(crate) fn read_found(answer: &[u8], count: usize) -> Option<Vec<Found>> {
    let seen = words(answer)?.map(|word| match word.split_first() {
        None => Some(Found::Nothing),
        Some((b'D', _)) => Some(Found::Directory),
        Some((b'l', target)) => Some(Found::Link(PathBuf::from(OsStr::from_bytes(target)))),
        Some((letter, _)) => kind(*letter).map(Found::Other),
    });
    let seen: Vec<Found> = seen.collect::<Option<_>>()?;
    if seen.is_empty() && count > 0 {
        // The tree is gone, or none.
        return Some(vec![Found::Nothing; count]);
    }
    (seen.len() == count).then_some(seen)
}

/// The words of an answer; without its last one it is not known whether that was all.
fn words(answer: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let all = answer.strip_suffix(b"end")?;
    let all = all.strip_suffix(b"\0").map_or((all, false), |all| (all, true));
    let (all, any) = all;
    (any || all.is_empty()).then(|| all.split(|byte| *byte == 0).filter(move |_| any))
}

fn kind(letter: u8) -> Option<FileKind> {
    Some(match letter {
        b'f' => FileKind::File,
        b'l' => FileKind::Link,
        b's' => FileKind::Socket,
        b'p' => FileKind::Pipe,
        b'd' => FileKind::Device,
        b'u' => FileKind::Closed,
        _ => return None,
    })
}
