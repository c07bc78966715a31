//! What the engine says about the run: one file per engine, each with a table of its variables.
//!
//! Owns the names of variables and what they claim. The environment is an argument, and so is the
//! reading of the one file that GitHub and its like point to. Nothing here is believed: claims are
//! checked against the repository, and the base that follows is found, in [`crate::git`].

mod azure;
mod bitbucket;
mod buildkite;
mod circleci;
mod drone;
mod gitea;
mod github;
mod gitlab;
mod jenkins;
mod prow;
mod travis;
mod woodpecker;

use std::collections::BTreeMap;

/// A variable that an engine sets, as its documentation has it.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it says, in our words.
    pub says: &'static str,
}

/// An engine: how it is called, what it sets, and where that is documented.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    /// The word in `base_from`: `github`.
    pub word: &'static str,
    /// Its name: `GitHub Actions`.
    pub name: &'static str,
    /// The pages of its documentation.
    pub documented: &'static [&'static str],
    /// What is read.
    pub variables: &'static [Variable],
    read: fn(&Environment<'_>) -> Option<Event>,
}

/// Every engine, in the order in which they are asked: those that take over the variables of
/// another come before it.
pub const ENGINES: [&Engine; 13] = [
    &gitea::FORGEJO,
    &gitea::GITEA,
    &github::GITHUB,
    &woodpecker::WOODPECKER,
    &gitlab::GITLAB,
    &buildkite::BUILDKITE,
    &drone::DRONE,
    &azure::AZURE,
    &bitbucket::BITBUCKET,
    &circleci::CIRCLECI,
    &travis::TRAVIS,
    &prow::PROW,
    &jenkins::JENKINS,
];

/// What an engine says about the run, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The engine's word: `github`.
    pub engine: &'static str,
    /// What happened.
    pub kind: EventKind,
    /// The repository's default branch, as the engine knows it.
    pub default_branch: Option<String>,
    /// The commit the event is about: a request's own head, or what a push left.
    pub head: Option<Claim>,
    /// The number of the request, of one request alone: digits.
    pub request: Option<String>,
    /// What is odd about the variables.
    pub notes: Vec<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A pull or merge request was opened, changed, or is run again.
    Request {
        /// The branch it is to go to.
        branch: Option<String>,
        /// A commit of that branch, as it was then.
        base: Option<Claim>,
        /// The merge base itself.
        merge_base: Option<Claim>,
    },
    /// What a merge would give: a merge queue, a merge train, a merged result, a batch.
    Merged {
        /// The engine's word for it: `merge_group`.
        word: &'static str,
        /// The branch it is to go to.
        branch: Option<String>,
        /// The commit it is built on.
        base: Option<Claim>,
        /// The merge base of the request alone, where the engine says it.
        merge_base: Option<Claim>,
    },
    /// A branch was pushed.
    Push {
        /// The branch.
        branch: Option<String>,
        /// Where it was.
        before: Before,
    },
    /// A tag was pushed.
    Tag {
        /// Its name.
        name: Option<String>,
    },
    /// A clock started the run.
    Schedule,
    /// A person, a program or another pipeline started the run, of a branch.
    Manual {
        /// The branch.
        branch: Option<String>,
    },
}

/// Where a branch was before a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// At a commit.
    Commit(Claim),
    /// At the commit of the branch's previous run, as far as that is known: when an old run is started
    /// again, the previous one is of a later commit.
    Run(Claim),
    /// Nowhere: it is new. Where that is said.
    New(&'static str),
    /// The engine does not say.
    Unsaid,
}

/// A commit that the engine names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The commit: hexadecimal digits, at least seven.
    pub commit: String,
    /// Where it was read: `GITHUB_EVENT_PATH .before`.
    pub read_from: &'static str,
}

impl Claim {
    /// Takes over a commit's name; what is none is no claim.
    fn new(commit: &str, read_from: &'static str) -> Option<Self> {
        let digits = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let named = digits && (7..=64).contains(&commit.len()) && !is_zero(commit);
        named.then(|| Self { commit: commit.to_ascii_lowercase(), read_from })
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.read_from, self.commit)
    }
}

/// The all-zero id: no commit.
fn is_zero(commit: &str) -> bool {
    !commit.is_empty() && commit.bytes().all(|byte| byte == b'0')
}

impl Before {
    fn new(commit: Option<&str>, read_from: &'static str) -> Self {
        match commit {
            Some(zero) if is_zero(zero) => Self::New(read_from),
            Some(commit) => Claim::new(commit, read_from).map_or(Self::Unsaid, Self::Commit),
            None => Self::Unsaid,
        }
    }
}

impl Before {
    /// The same, of an engine that knows its previous run instead of the push.
    fn of_a_run(self) -> Self {
        match self {
            Self::Commit(claim) => Self::Run(claim),
            other => other,
        }
    }
}

impl Engine {
    /// Returns whether another engine is read from the same variables, as Gitea's are GitHub's.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::ptr::eq(self.variables, other.variables)
    }
}

impl Event {
    /// Reads what the engine of this run says, if it runs under one. `read_file` is asked for the
    /// file that GitHub's `GITHUB_EVENT_PATH` names.
    #[must_use]
    pub fn from_environment(
        variables: &BTreeMap<String, String>,
        read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        Self::of_every_engine(variables, read_file).next()
    }

    /// Reads what each engine says whose variables are set, in the order in which they are asked:
    /// the first one counts.
    pub(crate) fn of_every_engine(
        variables: &BTreeMap<String, String>,
        read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> impl Iterator<Item = Self> {
        ENGINES.iter().filter_map(move |engine| {
            (engine.read)(&Environment { variables, table: engine.variables, read_file })
        })
    }

    /// Returns the engine that says it; none for an event that was made by hand.
    #[must_use]
    pub fn source(&self) -> Option<&'static Engine> {
        ENGINES.iter().copied().find(|engine| engine.word == self.engine)
    }

    /// Returns the engine's word for what happened, as `base_from` has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.kind {
            EventKind::Request { .. } => "request",
            EventKind::Merged { word, .. } => word,
            EventKind::Push { .. } => "push",
            EventKind::Tag { .. } => "tag",
            EventKind::Schedule => "schedule",
            EventKind::Manual { .. } => "manual",
        }
    }

    /// Returns the step's name: `event:github:push`.
    #[must_use]
    pub fn step(&self) -> String {
        format!("event:{}:{}", self.engine, self.word())
    }

    /// Returns the branch that is built, where that is a branch of the repository itself.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match &self.kind {
            EventKind::Push { branch, .. } | EventKind::Manual { branch } => branch.as_deref(),
            _ => None,
        }
    }

    fn new(engine: &'static str, kind: EventKind) -> Self {
        Self { engine, kind, default_branch: None, head: None, request: None, notes: Vec::new() }
    }
}

/// The variables of one engine.
struct Environment<'a> {
    variables: &'a BTreeMap<String, String>,
    table: &'static [Variable],
    read_file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

impl Environment<'_> {
    /// A variable's value. Engines set variables to nothing where they do not apply.
    fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(self.table.iter().any(|it| it.name == name), "`{name}` is in no table");
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A branch, by its name or its whole reference.
    fn branch(&self, name: &str) -> Option<String> {
        self.get(name).map(plain_branch)
    }

    /// A request's number, from the first of these that has one.
    fn number(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name).and_then(number))
    }

    /// The same, of what is a request.
    fn request(&self, kind: &EventKind, names: &[&str]) -> Option<String> {
        matches!(kind, EventKind::Request { .. }).then(|| self.number(names)).flatten()
    }

    fn claim(&self, name: &'static str) -> Option<Claim> {
        Claim::new(self.get(name)?, name)
    }
}

fn number(text: &str) -> Option<String> {
    let is_one = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.to_owned())
}

fn plain_branch(reference: &str) -> String {
    reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()
}

const fn variable(name: &'static str, says: &'static str) -> Variable {
    Variable { name, says }
}

#[cfg(test)]
mod tests;
