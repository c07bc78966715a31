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

/// What makes one tree of another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    /// What is new or another, sorted by path.
    pub(super) made: Vec<Entry>,
    /// What is there no more, directories as one and without what they held, sorted.
    pub(super) gone: Vec<Box<[u8]>>,
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

    /// Compares two trees that the repository has; nothing is fetched for it. `None`: what changed is not a matter of files
    /// alone (a directory that became a file, or the other way round; a directory in which nothing is left).
    pub(super) fn compare(self, from: &ObjectId, to: &ObjectId) -> Result<Option<Delta>, Fault> {
        let mut command = self.command();
        command.env("GIT_NO_LAZY_FETCH", "1").args(["diff-tree", "-r", "-t", "-z"]);
        command.args(["--no-renames", "--ignore-submodules=none", from.as_str(), to.as_str()]);
        let output = command.output().map_err(|error| not_started(&error))?;
        if !output.status.success() {
            return Err(self.complains(&output.stderr));
        }
        let mut words = output.stdout.split(|byte| *byte == 0);
        let mut delta = Delta::default();
        while let Some(about) = words.next().filter(|about| !about.is_empty()) {
            let path = words.next().ok_or_else(|| unreadable(about))?;
            if !delta.add(about, path)? {
                return Ok(None);
            }
        }
        delta.made.sort_by(|a, b| a.path.cmp(&b.path));
        delta.gone.sort();
        let is_made =
            |path: &[u8]| delta.made.binary_search_by(|made| (*made.path).cmp(path)).is_ok();
        let is_above = |path: &[u8]| {
            let at = delta.made.partition_point(|made| *made.path < *path);
            // What sorts between a directory and what is in it has a name that begins as its own does.
            let after = delta.made[at..].iter().take_while(|made| made.path.starts_with(path));
            after.into_iter().any(|made| made.path.get(path.len()) == Some(&b'/'))
        };
        Ok((!delta.gone.iter().any(|gone| is_made(gone) || is_above(gone))).then_some(delta))
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

impl Delta {
    /// Takes a change as git tells it; `false` where it cannot be told so.
    fn add(&mut self, about: &[u8], path: &[u8]) -> Result<bool, Fault> {
        let broken = || unreadable(about);
        let text = std::str::from_utf8(about).map_err(|_| broken())?;
        let words: Vec<&str> = text.strip_prefix(':').ok_or_else(broken)?.split(' ').collect();
        let [from, to, _, object, letter] = words[..] else { return Err(broken()) };
        let is_below =
            |gone: &[u8]| path.strip_prefix(gone).is_some_and(|rest| rest.starts_with(b"/"));
        match (letter, from, to) {
            // A directory comes before what is in it, and takes it along.
            ("D", ..) if self.gone.last().is_some_and(|gone| is_below(gone)) => {}
            ("D", ..) => self.gone.push(checked(path).ok_or_else(broken)?),
            // git's own id of a tree without entries begins so, in either hash.
            (_, _, "040000")
                if object.starts_with("4b825dc642") || object.starts_with("6ef19b41225") =>
            {
                return Ok(false);
            }
            (_, _, "040000") => {}
            (_, "160000", "160000") => {}
            // One is a directory here, the other is not.
            (_, "160000", to) if to != "160000" => return Ok(false),
            (_, from, "160000") if from != "000000" => return Ok(false),
            ("A" | "M" | "T", _, to) => {
                let kind = kind_of(to).ok_or_else(broken)?;
                let path = checked(path).ok_or_else(broken)?;
                self.made.push(Entry { path, kind, object: object.into() });
            }
            _ => return Err(broken()),
        }
        Ok(true)
    }
}

fn unreadable(line: &[u8]) -> Fault {
    let line = String::from_utf8_lossy(line).escape_debug().to_string();
    Fault::new(FailureKind::SourceMissing, format!("unreadable tree entry: {line}"))
}

fn kind_of(mode: &str) -> Option<FileMode> {
    Some(match mode {
        "100644" | "100664" => FileMode::File,
        "100755" => FileMode::Executable,
        "120000" => FileMode::Symlink,
        "160000" => FileMode::Submodule,
        _ => return None,
    })
}

/// Returns a path that can be made: a crafted tree can name anything; ours never leaves the directory it is put into.
fn checked(path: &[u8]) -> Option<Box<[u8]>> {
    let path = RepoPath::new(path).ok()?;
    let mut names = path.as_bytes().split(|byte| *byte == b'/');
    let hidden = names.any(|name| name.eq_ignore_ascii_case(b".git"));
    (!hidden).then(|| path.as_bytes().into())
}

fn entry(line: &[u8]) -> Result<Entry, Fault> {
    let broken = || unreadable(line);
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(broken)?;
    let mut words = std::str::from_utf8(&line[..tab]).map_err(|_| broken())?.split(' ');
    let kind = words.next().and_then(kind_of).ok_or_else(broken)?;
    let object = words.nth(1).ok_or_else(broken)?;
    let path = checked(&line[tab + 1..]).ok_or_else(broken)?;
    Ok(Entry { path, kind, object: object.into() })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository that trees are written into by hand.
    struct Bench {
        dir: tempfile::TempDir,
        environment: BTreeMap<String, String>,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let path = std::env::var("PATH").expect("a path");
            let environment = BTreeMap::from([("PATH".to_owned(), path)]);
            let bench = Self { dir, environment };
            bench.git().ask(["init", "-q"]).expect("a repository");
            bench
        }

        fn git(&self) -> Git<'_> {
            Git { repository: self.dir.path(), environment: &self.environment }
        }

        /// Writes a tree of lines as `git ls-tree` prints them: a mode and a name, and for a tree its id.
        fn tree(&self, entries: &[(&str, &str, &str)]) -> ObjectId {
            let lines = entries.iter().map(|(mode, name, content)| {
                let (kind, object) = match *mode {
                    "040000" => ("tree", (*content).to_owned()),
                    "160000" => ("commit", content.repeat(40)),
                    _ => ("blob", self.put(&["hash-object", "-w", "--stdin"], content)),
                };
                format!("{mode} {kind} {object}\t{name}\n")
            });
            ObjectId::new(self.put(&["mktree", "--missing"], &lines.collect::<String>()))
                .expect("an id")
        }

        fn put(&self, arguments: &[&str], text: &str) -> String {
            let mut command = self.git().command();
            let mut child = command
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("git starts");
            child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("taken");
            let output = child.wait_with_output().expect("it ends");
            String::from_utf8(output.stdout).expect("an id").trim().to_owned()
        }

        /// What is made and what is gone from one tree to the other; absent: no matter of files alone.
        fn compare(&self, from: &ObjectId, to: &ObjectId) -> Option<(Vec<String>, Vec<String>)> {
            let delta = self.git().compare(from, to).expect("compared")?;
            let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
            let made = delta.made.iter().map(|made| text(&made.path)).collect();
            Some((made, delta.gone.iter().map(|gone| text(gone)).collect()))
        }
    }

    fn told(made: &[&str], gone: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
        let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Some((owned(made), owned(gone)))
    }

    #[test]
    fn a_directory_that_goes_takes_along_what_is_in_it() {
        let bench = Bench::new();
        let (file, none) = ("100644", told(&[], &[]));
        let deep = bench.tree(&[(file, "x", "x"), (file, "y", "y")]);
        let dir = bench.tree(&[("040000", "deep", deep.as_str()), (file, "z", "z")]);
        let less = bench.tree(&[(file, "z", "z")]);
        let of = |dir: &ObjectId| {
            bench.tree(&[("040000", "d", dir.as_str()), (file, "d-e", "beside"), (file, "f", "f")])
        };
        let without = bench.tree(&[(file, "d-e", "beside"), (file, "f", "f")]);
        assert_eq!(bench.compare(&of(&dir), &of(&dir)), none);
        assert_eq!(bench.compare(&of(&dir), &of(&less)), told(&[], &["d/deep"]));
        assert_eq!(bench.compare(&of(&dir), &without), told(&[], &["d"]));
        let back = told(&["d/deep/x", "d/deep/y", "d/z"], &[]);
        assert_eq!(bench.compare(&without, &of(&dir)), back);
    }

    #[test]
    fn what_layers_cannot_tell_is_not_told() {
        let bench = Bench::new();
        let file = "100644";
        let dir = bench.tree(&[(file, "x", "x")]);
        let empty = bench.tree(&[]);
        let a_file = bench.tree(&[(file, "a", "a")]);
        let a_dir = bench.tree(&[("040000", "a", dir.as_str())]);
        let hollow = bench.tree(&[("040000", "a", empty.as_str())]);
        let a_module = bench.tree(&[("160000", "a", "1")]);
        let a_link = bench.tree(&[("120000", "a", "x")]);
        for (from, to) in [
            (&a_file, &a_dir),
            (&a_dir, &a_file),
            (&a_dir, &hollow),
            (&a_file, &a_module),
            (&a_module, &a_file),
            (&a_module, &a_dir),
            (&a_dir, &a_module),
        ] {
            assert_eq!(bench.compare(from, to), None, "{from} {to}");
        }
        assert_eq!(bench.compare(&a_file, &a_link), told(&["a"], &[]));
        // A submodule is an empty directory, whatever its commit is.
        let another = bench.tree(&[("160000", "a", "2")]);
        assert_eq!(bench.compare(&a_module, &another), told(&[], &[]));
        assert_eq!(bench.compare(&empty, &a_module), told(&["a"], &[]));
        assert_eq!(bench.compare(&a_module, &empty), told(&[], &["a"]));
    }

    #[test]
    fn a_name_that_a_tree_has_twice_is_gone_twice() {
        let bench = Bench::new();
        let twice = bench.tree(&[("100644", "a", "a"), ("100644", "a", "b")]);
        assert_eq!(bench.compare(&twice, &bench.tree(&[])), told(&[], &["a", "a"]));
    }

    #[test]
    fn a_tree_that_the_repository_has_not_is_an_error() {
        let bench = Bench::new();
        let tree = bench.tree(&[("100644", "a", "a")]);
        let other = ObjectId::new("1".repeat(40)).expect("an id");
        assert!(bench.git().compare(&tree, &other).is_err());
    }
}
