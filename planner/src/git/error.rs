//! What can be wrong with a repository, and the command that mends it.
//!
//! Every failure is one of these, never an empty answer: a plan that is silently smaller is worse
//! than none. Which exit code or fallback follows is for the caller to say.

use std::path::{Path, PathBuf};

use super::ObjectId;

/// Why git could not answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No repository at the directory or above it.
    #[error("no git repository at `{}` or above it", dir.display())]
    NoRepository {
        /// Where the search began.
        dir: PathBuf,
    },
    /// The repository belongs to another user, and git would not trust it either.
    #[error("the repository at `{}` belongs to another user", dir.display())]
    ForeignOwner {
        /// The directory to declare safe.
        dir: PathBuf,
    },
    /// The repository is written in a form that cannot be read here.
    #[error("the repository at `{}` uses `extensions.{extension} = {value}`, which is not supported", dir.display())]
    UnsupportedFormat {
        /// The repository.
        dir: PathBuf,
        /// The git extension, such as `objectFormat`.
        extension: String,
        /// Its value, such as `sha256`.
        value: String,
    },
    /// Objects are replaced by others: git reads those, libgit2 does not.
    #[error(
        "the repository at `{}` has {count} object{} replaced under `refs/replace/`, which are not \
         followed here as git follows them",
        dir.display(),
        if *.count == 1 { "" } else { "s" }
    )]
    Replaced {
        /// The repository.
        dir: PathBuf,
        /// How many.
        count: usize,
    },
    /// `HEAD` names a branch that has no commit yet.
    #[error("the branch `{branch}` has no commit yet")]
    UnbornBranch {
        /// The branch's name.
        branch: String,
    },
    /// A revision that names no commit of this repository.
    #[error("`{revision}` names no commit of this repository{}", if *.shallow { ", which is a shallow clone" } else { "" })]
    UnknownRevision {
        /// What was asked for.
        revision: String,
        /// Whether history was cut off, and the commit may lie behind the cut.
        shallow: bool,
        /// The remotes there are; the first is the one to ask.
        remotes: Vec<String>,
    },
    /// None of the branches that could be the default branch exists.
    #[error("no base to compare with: none of {} exists", backticked(.tried))]
    NoDefaultBranch {
        /// The references looked for.
        tried: Vec<String>,
        /// The branch to fetch; none where the name is a guess.
        branch: Option<String>,
        /// The remote to fetch from, if there is one.
        remote: Option<String>,
        /// Whether history was cut off besides.
        shallow: bool,
    },
    /// A remote that is not configured.
    #[error("there is no remote `{remote}`")]
    NoRemote {
        /// What was asked for.
        remote: String,
        /// The remotes there are.
        known: Vec<String>,
    },
    /// The event names a commit that is not here.
    #[error("`{read_from}` names the commit `{commit}`, which is not in this {}", if *.shallow { "shallow clone" } else { "repository" })]
    EventCommit {
        /// Where the engine says it.
        read_from: &'static str,
        /// The commit.
        commit: String,
        /// Whether history was cut off, and the commit may lie behind the cut.
        shallow: bool,
        /// The remote to fetch from.
        remote: String,
    },
    /// History was cut off before the base.
    #[error("this is a shallow clone, and {looked_for} lies behind the cut")]
    Shallow {
        /// What was looked for: `the merge base of … and …`.
        looked_for: String,
        /// The remote branch, if the base is on one.
        branch: Option<String>,
        /// The remote to fetch from.
        remote: String,
    },
    /// Two commits with no common ancestor.
    #[error("`{one}` and `{other}` have no common history")]
    Unrelated {
        /// One commit, as it was asked for.
        one: String,
        /// The other.
        other: String,
    },
    /// An object is not there: a partial clone fetches it on demand, which is not done here.
    #[error("the {kind} {id} is missing{}", if *.partial { " from this partial clone" } else { "" })]
    MissingObject {
        /// The object.
        id: ObjectId,
        /// `commit`, `tree` or `blob`.
        kind: &'static str,
        /// Whether the repository is a partial clone.
        partial: bool,
        /// The git command that reads it, and in a partial clone fetches it and its like.
        reader: String,
    },
    /// An object does not hold what it should.
    #[error("the object {id} is damaged: {detail}")]
    Corrupt {
        /// The object.
        id: ObjectId,
        /// What is wrong with it.
        detail: String,
    },
    /// A bare repository has no work tree to plan.
    #[error("`{}` is a bare repository: it has no work tree", dir.display())]
    NoWorkTree {
        /// The repository.
        dir: PathBuf,
    },
    /// The index is written in a form that cannot be read here.
    #[error("the index cannot be read: {detail}")]
    Index {
        /// What libgit2 said.
        detail: String,
    },
    /// A changed file goes through a filter program on its way into git.
    #[error("`{path}` goes through {filter} when it is added, which is not run while planning")]
    Filter {
        /// The file.
        path: String,
        /// The filter, as its attribute names it.
        filter: String,
    },
    /// A repository inside the work tree without a commit: `git add` refuses it too.
    #[error("`{path}` is a repository of its own without a commit")]
    EmbeddedRepository {
        /// Its directory.
        path: String,
    },
    /// A file of the work tree could not be read.
    #[error("cannot read `{path}` of the work tree: {source}")]
    WorkTreeFile {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file changed while it was read.
    #[error("`{path}` changed while it was read")]
    Moving {
        /// The file.
        path: String,
    },
    /// Anything else libgit2 refuses to do.
    #[error("{doing}: {detail}")]
    Other {
        /// What was being done.
        doing: String,
        /// What libgit2 said.
        detail: String,
    },
}

impl GitError {
    /// Returns what to do about it: usually one command.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NoRepository { .. } => "run it inside a repository, name one with `-C DIR`, or \
                 plan without git: `--changed-files FILE`"
                .to_owned(),
            Self::ForeignOwner { dir } => {
                format!(
                    "if you trust it: `git config --global --add safe.directory {}`",
                    quoted(dir)
                )
            }
            Self::UnsupportedFormat { .. } => {
                "let git say what changed: `git diff --name-only --no-renames -z BASE HEAD | \
                 planner plan --changed-files -`"
                    .to_owned()
            }
            Self::Replaced { .. } => {
                "take them out: `git replace -d $(git replace -l)`; or let git say what changed: \
                 `git diff --name-only --no-renames -z BASE HEAD | planner plan --changed-files -`"
                    .to_owned()
            }
            Self::UnbornBranch { .. } => "commit first: `git add -A && git commit`".to_owned(),
            Self::UnknownRevision { revision, shallow, remotes } => {
                unknown_revision(revision, *shallow, remotes)
            }
            Self::NoDefaultBranch { remote: None, .. } => {
                "there is no remote to fetch it from: name the base with `--base REV`, or set \
                 `default_branch` in the manifest"
                    .to_owned()
            }
            Self::NoDefaultBranch {
                branch: Some(branch), remote: Some(remote), shallow, ..
            } => {
                let fetch = fetch_branch(remote, branch, *shallow);
                format!(
                    "fetch it: `{fetch}`; if the remote does not have it any more, name the base \
                     with `--base REV`, or run everything: `--on-unknown-base run-all`"
                )
            }
            Self::NoDefaultBranch { branch: None, remote: Some(remote), shallow, .. } => {
                let fetch = if *shallow { UNSHALLOW } else { "git fetch" };
                format!(
                    "let the remote say which it is: `{fetch} {remote} \
                     '+refs/heads/*:refs/remotes/{remote}/*' && git remote set-head {remote} \
                     --auto`; or set `default_branch` in the manifest, or name the base with \
                     `--base REV`"
                )
            }
            Self::NoRemote { known, .. } if known.is_empty() => {
                "`git remote add NAME URL` adds one; without `--remote` local branches count"
                    .to_owned()
            }
            Self::NoRemote { known, .. } => format!("there is {}", backticked(known)),
            Self::EventCommit { commit, shallow, remote, .. } => {
                let fetch = if *shallow { UNSHALLOW } else { "git fetch" };
                format!(
                    "fetch it: `{fetch} {remote} {commit}`; if the remote does not have it any \
                     more, run everything: `--on-unknown-base run-all`"
                )
            }
            Self::Shallow { branch: None, remote, .. } => {
                format!("fetch the rest of history: `{UNSHALLOW} {remote}`")
            }
            Self::Shallow { branch: Some(branch), remote, .. } => {
                format!("fetch the rest of history: `{}`", fetch_branch(remote, branch, true))
            }
            Self::Unrelated { .. } => {
                "name the base: `--base-exact REV`, or compare with nothing: \
                 `--base-empty`"
                    .to_owned()
            }
            Self::MissingObject { partial: true, reader, .. } => {
                format!("let git fetch it: `{reader}`")
            }
            Self::MissingObject { partial: false, .. } | Self::Corrupt { .. } => {
                "`git fsck` lists the damage; `git fetch --refetch` brings the objects again"
                    .to_owned()
            }
            Self::NoWorkTree { .. } => "plan a commit: `--head REV`".to_owned(),
            Self::Index { .. } => {
                "write it in the plain form: `git update-index --no-split-index`, \
                 `git sparse-checkout reapply --no-sparse-index`"
                    .to_owned()
            }
            Self::Filter { .. } => {
                "commit it, then plan the commit without `--worktree`".to_owned()
            }
            Self::EmbeddedRepository { path } => {
                format!("commit inside it, or add `/{path}/` to `.gitignore`")
            }
            Self::WorkTreeFile { .. } => {
                "mend what keeps it from being read, or ignore it".to_owned()
            }
            Self::Moving { .. } => "plan again once nothing writes to the work tree".to_owned(),
            Self::Other { .. } => "`git status` and `git fsck` say more".to_owned(),
        }
    }
}

/// Brings the commits and trees that a shallow clone lacks, but no file contents.
const UNSHALLOW: &str = "git fetch --filter=blob:none --unshallow";

/// Brings a revision that is not here, as far as its name says what it is.
fn unknown_revision(revision: &str, shallow: bool, remotes: &[String]) -> String {
    let fetch = if shallow { UNSHALLOW } else { "git fetch" };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    let is_name = !revision.starts_with('-') && revision.chars().all(plain);
    let Some(remote) = remotes.first().filter(|_| is_name && !revision.is_empty()) else {
        return if shallow {
            format!("fetch the rest of history: `{UNSHALLOW}`")
        } else {
            "`git branch --all` and `git tag` list the names there are".to_owned()
        };
    };
    if let Some((first, branch)) = revision.split_once('/')
        && remotes.iter().any(|it| it == first)
    {
        return format!("fetch it: `{}`", fetch_branch(first, branch, shallow));
    }
    let commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if commit {
        return format!("fetch it, if the remote has it: `{fetch} {remote} {revision}`");
    }
    let here = format!("{fetch} {remote} +refs/heads/{revision}:refs/heads/{revision}");
    format!(
        "a branch that only the remote has: `{here}`; `git branch --all` and `git tag` list the \
         names there are"
    )
}

fn fetch_branch(remote: &str, branch: &str, shallow: bool) -> String {
    let fetch = if shallow { UNSHALLOW } else { "git fetch" };
    format!("{fetch} {remote} +refs/heads/{branch}:refs/remotes/{remote}/{branch}")
}

fn backticked(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Quotes a path for a POSIX shell, if it needs it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path for people: foreign bytes and control characters escaped.
pub(super) fn shown(path: &[u8]) -> String {
    match plans::RepoPath::new(path) {
        Ok(path) => path.display().into_owned(),
        Err(_) => path.escape_ascii().to_string(),
    }
}
