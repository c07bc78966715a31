//! Whether a symbolic link to a directory is ignored.
//!
//! Git sees a link as a file, so the rule `node_modules/` leaves a link of that name alone and
//! `git add -A` takes it. libgit2 follows the link and ignores it. For links alone the rules are
//! asked again here, one file of rules at a time, by libgit2 in an empty repository: there the path
//! names nothing on disk, and so no directory.

use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt, path::Path};

use git2::{Config, Odb};

use super::{GitError, error::shown, other};

/// Answers for one work tree.
pub(super) struct LinkRules<'a> {
    repository: &'a git2::Repository,
    root: &'a Path,
    /// A repository without a work tree, in which nothing exists.
    empty: git2::Repository,
}

/// What one file of rules says about a path.
enum Says {
    Ignore,
    Keep,
    Nothing,
}

impl<'a> LinkRules<'a> {
    pub(super) fn new(repository: &'a git2::Repository, root: &'a Path) -> Result<Self, GitError> {
        let empty = || {
            let empty = git2::Repository::from_odb(Odb::new()?)?;
            // Rules are asked about paths below the work tree; this one holds no directory.
            empty.set_workdir(&repository.commondir().join("objects/pack"), false)?;
            Ok(empty)
        };
        let empty =
            empty().map_err(|error: git2::Error| other("reading the ignore rules", &error))?;
        Ok(Self { repository, root, empty })
    }

    /// Whether git ignores the link at `path`. The directories above it are known not to be.
    pub(super) fn ignore(&self, path: &[u8]) -> Result<bool, GitError> {
        // The nearest rules count first.
        let slashes = path.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'/');
        for below in slashes.map(|(at, _)| at + 1).chain([0]) {
            let directory = self.root.join(OsStr::from_bytes(&path[..below]));
            match self.ask(&directory.join(".gitignore"), &path[below..])? {
                Says::Ignore => return Ok(true),
                Says::Keep => return Ok(false),
                Says::Nothing => {}
            }
        }
        let own = self.repository.commondir().join("info/exclude");
        let config = self.repository.config().ok();
        let global = match config.and_then(|config| config.get_path("core.excludesFile").ok()) {
            Some(named) => Some(named),
            None => Config::find_xdg().ok().map(|config| config.with_file_name("ignore")),
        };
        for rules in [Some(own), global].into_iter().flatten() {
            match self.ask(&rules, path)? {
                Says::Ignore => return Ok(true),
                Says::Keep => return Ok(false),
                Says::Nothing => {}
            }
        }
        Ok(false)
    }

    /// Asks one file, by what it changes in the answer of rules that match everything.
    #[expect(clippy::disallowed_methods, reason = "ignore rules are part of the work tree")]
    fn ask(&self, rules: &Path, path: &[u8]) -> Result<Says, GitError> {
        let rules = match fs::read(rules) {
            Ok(rules) => String::from_utf8_lossy(&rules).into_owned(),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::IsADirectory
                ) =>
            {
                return Ok(Says::Nothing);
            }
            Err(source) => {
                let path = shown(rules.as_os_str().as_bytes());
                return Err(GitError::WorkTreeFile { path, source });
            }
        };
        if self.ignored_by(&format!("!*\n{rules}"), path)? {
            Ok(Says::Ignore)
        } else if self.ignored_by(&format!("*\n{rules}"), path)? {
            Ok(Says::Nothing)
        } else {
            Ok(Says::Keep)
        }
    }

    fn ignored_by(&self, rules: &str, path: &[u8]) -> Result<bool, GitError> {
        let ignored = || {
            self.empty.clear_ignore_rules()?;
            self.empty.add_ignore_rule(rules)?;
            self.empty.is_path_ignored(Path::new(OsStr::from_bytes(path)))
        };
        ignored().map_err(|error: git2::Error| other("reading the ignore rules", &error))
    }
}
