//! Whether a directory is the user's own: whose each component of its path is, and who may write
//! there, as ssh asks of its own files.
//!
//! A user who can rename a component can put another directory in its place, and what stands there is run
//! as this user. So every component belongs to root or to the user and only they may write to it;
//! above the directory itself the sticky bit will do (`/tmp`, `/var/tmp`), since what lies below is
//! asked for its owner. Group `gid == uid` is a user's private one and counts as the user.
//!
//! What root, or another process of the same user, does is not defended against.

use std::{fmt, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::geteuid;

/// The function `fl_see DIRECTORY` of a host's shell: how each component of a path stands, links and
/// what they lead to included, then the directory with what is in it. [`judge`] reads it.
///
/// One process for each part, not one for each component. `ls -n` is in POSIX; `readlink` is wherever
/// there are links.
pub const SEE: &str = r#"
fl_see() {
    f_left=$1 f_at= f_hops=0
    set -- /
    while [ -n "$f_left" ]; do
        f_name=${f_left%%/*}
        case $f_left in */*) f_left=${f_left#*/} ;; *) f_left= ;; esac
        case $f_name in
        '' | .) continue ;;
        ..) f_at=${f_at%/*} && continue ;;
        esac
        set -- "$@" "$f_at/$f_name"
        if [ -L "$f_at/$f_name" ]; then
            f_hops=$((f_hops + 1))
            [ $f_hops -le 40 ] && f_to=$(readlink "$f_at/$f_name") || break
            case $f_to in /*) f_at= ;; esac
            f_left=$f_to/$f_left
        else
            f_at=$f_at/$f_name
        fi
    done
    LC_ALL=C ls -ldn "$@" 2>/dev/null
    echo own
    [ ! -d "$f_at" ] || LC_ALL=C ls -ldn "$f_at" "$f_at"/* "$f_at"/*/ "$f_at"/bin/* "$f_at"/trees/* 2>/dev/null
    echo .
}
"#;

/// How an entry of a file system stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ListedPart {
    path: String,
    link: bool,
    sticky: bool,
    group_writes: bool,
    others_write: bool,
    uid: u32,
    gid: u32,
    /// As it is shown.
    mode: String,
}

/// Why a directory is not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    /// The component or part.
    pub path: String,
    /// Its owner.
    pub uid: u32,
    /// Its mode as `ls` shows it.
    pub mode: String,
    /// Whether it is somebody else's; otherwise others may write to it.
    pub foreign: bool,
    /// Whether it only leads to the directory.
    pub above: bool,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, uid, mode, foreign, above: _ } = self;
        let why = if *foreign { "belongs to somebody else" } else { "can be changed by others" };
        write!(f, "`{path}` {why} (owner uid {uid}, mode {mode})")
    }
}

impl Distrust {
    /// Returns the command that mends it; `user` runs the jobs.
    #[must_use]
    pub fn mend(&self, user: &str) -> String {
        use crate::command_line::quote;
        let path = String::from_utf8_lossy(&quote(&self.path)).into_owned();
        if self.foreign && self.above {
            "use a directory that is not below it".to_owned()
        } else if self.foreign {
            format!(
                "as root, once you know whose it is: `rm -rf -- {path}` (or `chown {user} {path}`, \
                 if you trust all that is in it)"
            )
        } else {
            format!("`chmod go-w {path}`")
        }
    }
}

impl ListedPart {
    /// Reads a line of `ls -ldn`; what is none says nothing.
    fn of_line(line: &str) -> Option<Self> {
        let (mode, rest) = line.split_once(' ')?;
        // Neither sizes nor times hold a slash.
        let (numbers, path) = rest.split_once(" /")?;
        let mut numbers = numbers.split_whitespace().skip(1);
        let uid = numbers.next()?.parse().ok()?;
        let gid = numbers.next()?.parse().ok()?;
        let bits = mode.as_bytes();
        let link = bits.first() == Some(&b'l');
        let path = if link { path.split(" -> ").next()? } else { path };
        Some(Self {
            path: format!("/{path}"),
            link,
            sticky: matches!(bits.get(9)?, b't' | b'T'),
            group_writes: bits[5] == b'w',
            others_write: bits[8] == b'w',
            uid,
            gid,
            mode: mode.chars().take(10).collect(),
        })
    }

    fn of(path: &Path, found: &fs::Metadata) -> Self {
        let mode = found.mode();
        Self {
            path: path.display().to_string(),
            link: found.is_symlink(),
            sticky: mode & 0o1000 != 0,
            group_writes: mode & 0o020 != 0,
            others_write: mode & 0o002 != 0,
            uid: found.uid(),
            gid: found.gid(),
            mode: format!("{:04o}", mode & 0o7777),
        }
    }

    /// Returns what is wrong with it; `above`: it only leads to the directory.
    fn judge(self, uid: u32, above: bool) -> Option<Distrust> {
        let foreign = self.uid != uid && self.uid != 0;
        // The group root is root's, and that of a user's own number is the user's.
        let group_is_own = self.gid == 0 || (self.gid == uid && self.uid == uid);
        let writable = self.others_write || (self.group_writes && !group_is_own);
        let loose = writable && !self.link && !(above && self.sticky);
        (foreign || loose).then_some(Distrust {
            path: self.path,
            uid: self.uid,
            mode: self.mode,
            foreign,
            above,
        })
    }
}

/// Reads what `fl_see` printed, up to the line that ends it, and returns what user `uid` must not
/// trust, each path once.
pub fn judge<'a>(lines: &mut impl Iterator<Item = &'a str>, uid: u32) -> Vec<Distrust> {
    let (mut found, mut above): (Vec<Distrust>, bool) = (Vec::new(), true);
    for line in lines.by_ref().take_while(|line| *line != ".") {
        if line == "own" {
            above = false;
        } else if let Some(distrust) = ListedPart::of_line(line).and_then(|e| e.judge(uid, above)) {
            // The directory itself is shown in both parts, what is in it with a slash as well.
            let path = distrust.path.trim_end_matches('/').to_owned();
            match found.iter_mut().find(|one| one.path.trim_end_matches('/') == path) {
                Some(one) => one.above &= distrust.above,
                None => found.push(distrust),
            }
        }
    }
    found
}

/// What is looked at by those who use it, and is then a miss: the store of caches.
const UNTRUSTED: &str = "caches";

/// Makes a directory of this user's alone that can be written to, unless it is there, and returns what must not be trusted
/// on the way to it, in it, and in those of its `parts`.
///
/// # Errors
///
/// What the operating system says.
pub fn own_directory(dir: &Path, parts: &[&str]) -> io::Result<Option<Distrust>> {
    let distrust = readable_directory(dir, parts)?;
    if distrust.is_none() {
        rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?;
    }
    Ok(distrust)
}

/// The same of a directory that may be there to be read alone.
///
/// It is looked at again after it was made: what somebody else made first is found to be theirs, and
/// once every component is the user's own nobody can change that.
///
/// # Errors
///
/// What the operating system says.
pub fn readable_directory(dir: &Path, parts: &[&str]) -> io::Result<Option<Distrust>> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(distrust) = distrusted(dir, None, parts) {
        return Ok(Some(distrust));
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    Ok(distrusted(dir, None, parts))
}

/// Looks at what is there of a path as it was given, for its links, and of where it leads, then at what
/// is in it and in those of its `parts`. What `top`, which somebody else answers for, lies in is not
/// looked at, nor is it itself.
#[must_use]
pub fn distrusted(dir: &Path, top: Option<&Path>, parts: &[&str]) -> Option<Distrust> {
    let uid = geteuid().as_raw();
    let there = dir.ancestors().find_map(|path| path.canonicalize().ok()).unwrap_or_default();
    let real_top = top.and_then(|top| top.canonicalize().ok());
    let (real, is_there) = (&*there, dir.exists());
    let see = |path: &Path, above: bool| {
        ListedPart::of(path, &fs::symlink_metadata(path).ok()?).judge(uid, above)
    };
    let given = dir.ancestors().take_while(|path| Some(*path) != top);
    let led = real.ancestors().take_while(|path| Some(*path) != real_top.as_deref());
    let way =
        given.chain(led).find_map(|path| see(path, path != dir && !(is_there && path == real)));
    way.or_else(|| {
        std::iter::once(dir.to_owned())
            .chain(parts.iter().map(|part| dir.join(part)))
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flat_map(|entries| entries.flatten())
            .filter(|entry| entry.file_name() != UNTRUSTED)
            .find_map(|entry| see(&entry.path(), false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, above: bool, expected: Option<&str>) {
        let found = ListedPart::of_line(line).expect("a line of ls").judge(1000, above);
        assert_eq!(found.map(|found| found.to_string()).as_deref(), expected, "{line}");
    }

    #[test]
    fn components_belong_to_root_or_the_user_and_nobody_else_writes_there() {
        check("drwxr-xr-x 19 0 0 4096 Nov 28 23:07 /", true, None);
        check("drwxrwxrwt  9 0 0 4096 Nov 28 23:07 /var/tmp", true, None);
        check("drwx------. 2 1000 1000 40 Jan  1  2026 /home/a b", true, None);
        check("drwxrwxr-x 2 1000 1000 40 Jan  1  2026 /home/private-group", false, None);
        check(
            "drwxrwxr-x 2 1000 100 40 Jan  1  2026 /home/users",
            false,
            Some("`/home/users` can be changed by others (owner uid 1000, mode drwxrwxr-x)"),
        );
        check(
            "drwxrwxrwt 2 1000 1000 40 Jan  1  2026 /w",
            false,
            Some("`/w` can be changed by others (owner uid 1000, mode drwxrwxrwt)"),
        );
        check(
            "drwxr-xr-x 2 1001 1001 40 Jan  1  2026 /w",
            false,
            Some("`/w` belongs to somebody else (owner uid 1001, mode drwxr-xr-x)"),
        );
        check("lrwxr-xr-x@ 1 0 0 11 Jan  1  2026 /var -> private/var", true, None);
        check(
            "lrwxrwxrwx 1 1001 1001 11 Jan  1  2026 /tmp/w -> /home/a",
            true,
            Some("`/tmp/w` belongs to somebody else (owner uid 1001, mode lrwxrwxrwx)"),
        );
    }

    #[test]
    fn what_a_host_shows_is_read_to_its_end_and_no_further() {
        let text = "drwxr-xr-x 1 0 0 1 Jan 1 2026 /\ndrwxrwxrwx 1 7 7 1 Jan 1 2026 /w\n\
                    own\ndrwxrwxrwx 1 7 7 1 Jan 1 2026 /w\n\
                    drwxr-xr-x 1 8 8 1 Jan 1 2026 /w/bin\ndrwxr-xr-x 1 8 8 1 Jan 1 2026 /w/bin/\n.\nrest";
        let mut lines = text.lines();
        let found = judge(&mut lines, 7);
        assert_eq!(lines.next(), Some("rest"));
        let found: Vec<_> = found.iter().map(|one| (&*one.path, one.foreign, one.above)).collect();
        assert_eq!(found, [("/w", false, false), ("/w/bin", true, false)]);
    }
}
