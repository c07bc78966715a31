//! Asking git, as a child process: the user's own git knows every repository format, alternates,
//! partial clones and `safe.directory`, and costs two processes for a tree of any size.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use plans::{FileMode, ObjectId, RepoPath};

use crate::fault::{FailureKind, Fault};

/// A repository, asked with a given environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Git<'a> {
    pub(super) repository: &'a Path,
    pub(super) environment: &'a BTreeMap<String, String>,
}

/// How many bytes git reads ahead of what is written.
const AHEAD: usize = 1 << 20;

/// Takes an object: its index among those asked for, its size, its content.
type Take<'a> = dyn FnMut(usize, u64, &mut dyn Read) -> Result<(), Fault> + 'a;

/// An entry of a tree: anything but a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Box<[u8]>,
    pub(crate) kind: FileMode,
    pub(crate) object: Box<str>,
}

impl Git<'_> {
    /// Returns git on that repository, with the variables that would point it elsewhere removed.
    pub(super) fn command(self) -> Command {
        let mut command = Command::new("git");
        let kept = self.environment.iter().filter(|(name, _)| {
            !name.starts_with("GIT_")
                || name.starts_with("GIT_CONFIG")
                || name.as_str() == "GIT_EXEC_PATH"
        });
        command
            .env_clear()
            .envs(kept)
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .arg("--no-replace-objects")
            .arg("-C")
            .arg(self.repository)
            .stdin(Stdio::null());
        command
    }

    /// Runs git to its end and returns what it printed.
    pub(super) fn ask<I>(self, arguments: I) -> Result<Vec<u8>, Fault>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = self.command();
        command.args(arguments);
        let output = command.output().map_err(|error| not_started(&error))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(self.complains(&output.stderr))
        }
    }

    fn complains(self, stderr: &[u8]) -> Fault {
        let text = String::from_utf8_lossy(stderr);
        let said = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        Fault::new(
            FailureKind::SourceMissing,
            format!("git in {}: {}", self.repository.display(), said.trim()),
        )
    }

    /// Returns whether the repository has an object as what it should be, `tree` or `commit`.
    pub(super) fn has(self, object: &ObjectId, kind: &str) -> Result<bool, Fault> {
        let mut command = self.command();
        command.args(["cat-file", "-e", &format!("{object}^{{{kind}}}")]);
        let output = command.output().map_err(|error| not_started(&error))?;
        match output.status.code() {
            Some(0) => Ok(true),
            // 128 is both "no such object" and "no repository"; the second is an error.
            _ => {
                self.ask(["rev-parse", "--git-dir"])?;
                Ok(false)
            }
        }
    }

    /// Lists a tree with everything below it, sorted by path.
    pub(super) fn list(self, tree: &ObjectId) -> Result<Vec<Entry>, Fault> {
        let listing = self.ask(["ls-tree", "-r", "-z", "--full-tree", tree.as_str()])?;
        let mut entries = Vec::new();
        for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            entries.push(entry(line)?);
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Reads objects in the order asked for; `take` gets each one's index, size and content.
    pub(super) fn read(self, objects: &[&str], take: &mut Take<'_>) -> Result<(), Fault> {
        if objects.is_empty() {
            return Ok(());
        }
        let mut command = self.command();
        command
            .args(["cat-file", "--batch", "--buffer"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| not_started(&error))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Fault::new(FailureKind::Io, "git has no pipes"));
        };
        // So that git is not woken for each few objects; where no more is allowed it stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, AHEAD);
        let result = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut asked = Vec::with_capacity(objects.len() * 41);
                for object in objects {
                    asked.extend_from_slice(object.as_bytes());
                    asked.push(b'\n');
                }
                // git leaving early shows on the other pipe.
                let _ = stdin.write_all(&asked);
            });
            let mut from = BufReader::with_capacity(AHEAD, stdout);
            let result = (0..objects.len()).try_for_each(|index| self.one(index, &mut from, take));
            // Closes the pipe, so that git, and then the writer, end.
            drop(from);
            result
        });
        let _ = child.kill();
        let _ = child.wait();
        result
    }

    fn one(self, index: usize, from: &mut impl BufRead, take: &mut Take<'_>) -> Result<(), Fault> {
        let broken = |what: &str| {
            let place = self.repository.display();
            Fault::new(FailureKind::SourceMissing, format!("git in {place}: {what}"))
        };
        let io = |error: &io::Error| broken(&error.to_string());
        let mut header = String::new();
        from.read_line(&mut header).map_err(|error| io(&error))?;
        let mut words = header.trim_end().rsplitn(2, ' ');
        let last = words.next().unwrap_or_default();
        let Ok(size) = last.parse::<u64>() else {
            return Err(broken(&format!("object {} is {last}", header.trim_end())));
        };
        let mut content = from.by_ref().take(size);
        take(index, size, &mut content)?;
        io::copy(&mut content, &mut io::sink()).map_err(|error| io(&error))?;
        let mut newline = [0];
        from.read_exact(&mut newline).map_err(|error| io(&error))
    }
}

fn not_started(error: &io::Error) -> Fault {
    Fault::new(FailureKind::ToolMissing, format!("starting git: {error}"))
        .advice("install git on the machine that runs the executor, or put it into PATH")
}

fn entry(line: &[u8]) -> Result<Entry, Fault> {
    let broken = || {
        let line = String::from_utf8_lossy(line).escape_debug().to_string();
        Fault::new(FailureKind::SourceMissing, format!("unreadable tree entry: {line}"))
    };
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(broken)?;
    let mut words = std::str::from_utf8(&line[..tab]).map_err(|_| broken())?.split(' ');
    let kind = match words.next() {
        Some("100644" | "100664") => FileMode::File,
        Some("100755") => FileMode::Executable,
        Some("120000") => FileMode::Symlink,
        Some("160000") => FileMode::Submodule,
        _ => return Err(broken()),
    };
    let object = words.nth(1).ok_or_else(broken)?;
    // A crafted tree can name anything; a path never leaves the directory it is put into.
    let path = RepoPath::new(&line[tab + 1..]).map_err(|_| broken())?;
    if path.as_bytes().split(|byte| *byte == b'/').any(|name| name.eq_ignore_ascii_case(b".git")) {
        return Err(broken());
    }
    Ok(Entry { path: path.as_bytes().into(), kind, object: object.into() })
}

/// Returns the paths of a tree, sorted.
///
/// # Errors
///
/// When git cannot list it.
pub(crate) fn paths_of(
    repository: &Path,
    tree: &ObjectId,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Box<[u8]>>, Fault> {
    let entries = Git { repository, environment }.list(tree)?;
    Ok(entries.into_iter().map(|entry| entry.path).collect())
}

/// Returns the repository's own directory, where objects and shallow marks are.
pub(super) fn common_dir(git: Git<'_>) -> Result<PathBuf, Fault> {
    let said = git.ask(["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    let text = String::from_utf8_lossy(&said);
    Ok(PathBuf::from(text.trim_end_matches('\n')))
}
