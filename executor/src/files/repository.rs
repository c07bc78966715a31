//! The repository a plan is about: where it is, whether it holds a tree, what its work tree is.
//!
//! Asks the user's own git, so that alternates, worktrees, partial clones and configuration mean
//! what they mean everywhere. Makes no source tree; that is [`crate::source`]'s work.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use plans::ObjectId;

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is none.
    #[error("`{path}` is in no git repository")]
    None {
        /// Where it was looked for.
        path: String,
    },
    /// git cannot be started.
    #[error("`git` cannot be started: {0}")]
    NoGit(#[source] std::io::Error),
    /// git failed.
    #[error("`git {command}` failed: {why}")]
    Git {
        /// What it was to do.
        command: String,
        /// Its last words.
        why: String,
    },
    /// The index of the work tree cannot be copied.
    #[error("the work tree cannot be read: {0}")]
    Index(#[source] std::io::Error),
}

impl RepositoryError {
    pub(crate) fn help(&self) -> Option<String> {
        let help = match self {
            Self::None { .. } => "run in a repository, or name one with `-C DIR`",
            Self::NoGit(_) => "install git and put it on PATH",
            Self::Git { .. } | Self::Index(_) => return None,
        };
        Some(help.to_owned())
    }
}

/// A repository.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its work tree, or its git directory when it is bare.
    root: PathBuf,
}

impl Repository {
    /// Finds the repository that `dir` is in.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::None`] when there is none.
    pub fn discover(dir: &Path) -> Result<Self, RepositoryError> {
        let none = || RepositoryError::None { path: dir.display().to_string() };
        let ask = |what: &str| git(dir, &["rev-parse".as_ref(), what.as_ref()], &[]);
        let root = match ask("--show-toplevel") {
            Err(RepositoryError::NoGit(error)) if !dir.is_dir() => {
                // A directory that is not there looks like a program that is not there.
                let _ = error;
                return Err(none());
            }
            Err(RepositoryError::Git { .. }) => {
                ask("--absolute-git-dir").map_err(|error| match error {
                    RepositoryError::Git { .. } => none(),
                    other => other,
                })?
            }
            other => other?,
        };
        if root.is_empty() {
            return Err(none());
        }
        Ok(Self { root: PathBuf::from(OsString::from_vec(root)) })
    }

    /// Returns its work tree, or its git directory when it is bare.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns what stands for the repository wherever it is cloned: where it is fetched from, without who fetches it;
    /// without a remote, where it is.
    #[must_use]
    pub fn identity(&self) -> String {
        let ask = |arguments: &[&str]| {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
            let said = git(&self.root, &arguments, &[]).ok()?;
            Some(String::from_utf8_lossy(&said).into_owned()).filter(|said| !said.is_empty())
        };
        ask(&["config", "--get", "remote.origin.url"])
            .map(|url| plain_url(&url))
            .or_else(|| ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"]))
            .unwrap_or_else(|| self.root.display().to_string())
    }

    /// Returns whether it holds that tree.
    ///
    /// # Errors
    ///
    /// When git cannot be asked.
    pub fn has_tree(&self, tree: &ObjectId) -> Result<bool, RepositoryError> {
        let object = format!("{tree}^{{tree}}");
        match git(&self.root, &["cat-file".as_ref(), "-e".as_ref(), object.as_ref()], &[]) {
            Ok(_) => Ok(true),
            Err(RepositoryError::Git { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether `HEAD` is that commit or builds upon it; where git cannot tell, it is not.
    #[must_use]
    pub fn head_builds_upon(&self, commit: &ObjectId) -> bool {
        let arguments = ["merge-base", "--is-ancestor", commit.as_str(), "HEAD"];
        git(&self.root, &arguments.map(OsStr::new), &[]).is_ok()
    }

    /// Makes a tree of the work tree as it is now: index, changes, untracked files that are not
    /// ignored. The index itself is not touched.
    ///
    /// # Errors
    ///
    /// When git fails.
    pub fn work_tree(&self) -> Result<ObjectId, RepositoryError> {
        let index =
            git(&self.root, &["rev-parse".as_ref(), "--git-path".as_ref(), "index".as_ref()], &[])?;
        let index = self.root.join(OsString::from_vec(index));
        // A copy beside it keeps the index's knowledge of what has not changed.
        let copy = index.with_file_name(format!("index.forge-lanes.{}", std::process::id()));
        let made = match copy_index(&index, &copy) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RepositoryError::Index(error))
            }
            _ => {
                let env = [("GIT_INDEX_FILE", copy.as_os_str())];
                git(&self.root, &["add".as_ref(), "-A".as_ref()], &env)
                    .and_then(|_| git(&self.root, &["write-tree".as_ref()], &env))
            }
        };
        // It is only ever a copy.
        let _ = std::fs::remove_file(&copy);
        let text = String::from_utf8_lossy(&made?).into_owned();
        ObjectId::new(text).map_err(|error| RepositoryError::Git {
            command: "write-tree".to_owned(),
            why: error.to_string(),
        })
    }
}

/// Returns where a tree has submodules, of which a source tree has empty directories; none where git cannot tell.
pub(crate) fn submodules(repository: &Path, tree: &ObjectId) -> Vec<String> {
    let list = |arguments: &[&str]| {
        let arguments = [&["ls-tree", "-z", "--full-tree"], arguments].concat();
        let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
        git(repository, &arguments, &[]).unwrap_or_default()
    };
    // Most trees have none, and a list of all that one holds takes a while.
    if list(&[tree.as_str(), ".gitmodules"]).is_empty() {
        return Vec::new();
    }
    let all = list(&["-r", tree.as_str()]);
    let entries = all.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    entries
        .filter(|entry| entry.starts_with("160000 "))
        .filter_map(|entry| Some(entry.split_once('\t')?.1.to_owned()))
        .collect()
}

/// Returns host and path of a URL as git takes them, alike for each way to reach it.
fn plain_url(url: &str) -> String {
    let (is_url, rest) = match url.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, url),
    };
    let host_end = rest.find('/').unwrap_or(rest.len());
    let rest = match rest[..host_end].rfind('@') {
        Some(at) => &rest[at + 1..],
        None => rest,
    };
    let rest = if is_url { rest.to_owned() } else { rest.replacen(':', "/", 1) };
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix(".git").unwrap_or(rest).to_owned()
}

/// Copies an index, with the time at which it was written.
///
/// git believes what an index says of a file only when the file is older than the index: one that
/// was written in the same second may have changed without looking different ("racily clean",
/// git's `Documentation/technical/racy-git.txt`). A copy that looks newer would vouch for them.
fn copy_index(from: &Path, to: &Path) -> std::io::Result<()> {
    // Read before the copy: if the index is written meanwhile, the copy looks older than it is.
    let written = std::fs::metadata(from)?.modified()?;
    std::fs::copy(from, to)?;
    std::fs::File::options().write(true).open(to)?.set_modified(written)
}

/// Runs git and returns what it printed, without the newline at the end.
fn git(
    dir: &Path,
    arguments: &[&OsStr],
    env: &[(&str, &OsStr)],
) -> Result<Vec<u8>, RepositoryError> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(dir)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(RepositoryError::NoGit)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let why = words.lines().last().unwrap_or("it said nothing");
        return Err(RepositoryError::Git {
            command: arguments
                .iter()
                .map(|argument| argument.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" "),
            why: crate::text::neutral(why),
        });
    }
    let mut text = output.stdout;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_repository_has_one_name_however_it_is_reached() {
        for url in [
            "https://forge.example/a/b.git",
            "https://user:word@forge.example/a/b",
            "ssh://git@forge.example/a/b.git/",
            "git@forge.example:a/b.git",
        ] {
            assert_eq!(super::plain_url(url), "forge.example/a/b", "{url}");
        }
        assert_eq!(super::plain_url("/srv/b.git"), "/srv/b");
    }

    fn fraction_of_the_second() -> Duration {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Duration::from_nanos(since.subsec_nanos().into())
    }

    #[test]
    fn a_change_in_the_second_of_the_last_commit_is_seen_in_any_later_second() {
        let dir = tempfile::tempdir().expect("a directory");
        let run = |arguments: &[&str]| {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
            git(dir.path(), &arguments, &[]).expect("git works")
        };
        run(&["init", "-q"]);
        let repository = Repository::discover(dir.path()).expect("a repository");
        let file = dir.path().join("file");
        // Of the same length, in the same second as the index: nothing but the text tells.
        for _ in 0..20 {
            // Some way into a second: time stamps of files lag behind the clock by a few ms.
            std::thread::sleep(
                Duration::from_millis(1050).saturating_sub(fraction_of_the_second()),
            );
            std::fs::write(&file, "1\n").expect("written");
            run(&["add", "file"]);
            std::fs::write(&file, "2\n").expect("written");
            if fraction_of_the_second() < Duration::from_millis(900) {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(1100));
        let tree = repository.work_tree().expect("a tree");
        assert_eq!(run(&["cat-file", "blob", &format!("{tree}:file")]), b"2");
    }
}
