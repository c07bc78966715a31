//! What to compare with: every way of naming a base, and every way it can be out of reach.
//!
//! The order is: flags, what the event says, and without an event what the branch has that its
//! remote does not. Each step that is looked at is kept as [`Considered`], taken or not, with the
//! reason. What the event says is checked here against the repository; what the engines call it is
//! the business of [`crate::event`].

mod branch;
mod event;
mod graph;

use git2::Oid;
use plans::{BaseFrom, BaseMode, CacheScope};

use self::branch::Target;
pub(super) use self::graph::has_parents;
use super::{GitError, Head, Note, ObjectId, Repository};
use crate::event::{Event, EventKind};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BaseRequest {
    /// Nothing: what the event brought, or what head has that the default branch does not.
    #[default]
    Default,
    /// `--base REV`: the merge base with a revision.
    MergeBase(String),
    /// `--base-exact REV`: that commit.
    Exact(String),
    /// `--base-first-parent`.
    FirstParent,
    /// `--base-empty`: the empty tree.
    Empty,
}

/// What else decides about the base.
#[derive(Debug, Clone, Copy, Default)]
pub struct BaseContext<'a> {
    /// The manifest's `default_branch`, if it names one: `main`, or `upstream/main`.
    pub default_branch: Option<&'a str>,
    /// The remote whose branches count; none: `origin`, or the only one there is.
    pub remote: Option<&'a str>,
    /// What the engine says about the run.
    pub event: Option<&'a Event>,
}

/// The base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The commits to compare with, the newest first; none is the empty tree, or with
    /// [`BaseMode::Unknown`] that everything runs.
    pub commits: Vec<ObjectId>,
    /// How they were found.
    pub mode: BaseMode,
    /// Which step found them.
    pub from: BaseFrom,
    /// Every step that was looked at, in order; the last is the one taken.
    pub trail: Vec<Considered>,
    /// What is worth saying about it.
    pub notes: Vec<Note>,
}

impl Base {
    /// Returns the one commit that stands for the base; none is the empty tree.
    #[must_use]
    pub fn commit(&self) -> Option<ObjectId> {
        self.commits.first().copied()
    }
}

/// A step that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// The step: `event:github:push`.
    pub step: String,
    /// What it would be compared with.
    pub what: String,
    /// Whether it is the base, or part of it.
    pub taken: bool,
    /// Why, or why not.
    pub why: String,
}

impl Considered {
    /// Returns the step as a note has it.
    #[must_use]
    pub fn note(&self) -> Note {
        let taken = if self.taken { "taken" } else { "not taken" };
        Note::Info(format!("base: {}: {}: {taken}, {}", self.step, self.what, self.why))
    }
}

/// The search for a base: what was found or not, and every step on the way.
#[derive(Debug)]
pub struct BaseSearch {
    /// The base.
    pub found: Result<Base, GitError>,
    /// Every step that was looked at, in order.
    pub trail: Vec<Considered>,
    /// Everything worth saying about the search, the steps of the trail among it.
    pub notes: Vec<Note>,
}

/// Commits, and how they came to be the base.
struct Answer {
    commits: Vec<Oid>,
    mode: BaseMode,
    step: String,
}

/// A search under way.
struct Search<'a> {
    repository: &'a Repository,
    head: &'a Head,
    context: &'a BaseContext<'a>,
    trail: Vec<Considered>,
    notes: Vec<Note>,
}

impl Repository {
    /// Resolves the base of `head`.
    ///
    /// # Errors
    ///
    /// [`GitError`] when the base is out of reach; never a guess. Head is known all the same, so
    /// planning everything is still possible (`--on-unknown-base run-all`).
    pub fn base(
        &self,
        head: &Head,
        request: &BaseRequest,
        context: &BaseContext<'_>,
    ) -> Result<Base, GitError> {
        self.find_base(head, request, context).found
    }

    /// Resolves the base of `head`, and says what was looked at, also when there is none.
    #[must_use]
    pub fn find_base(
        &self,
        head: &Head,
        request: &BaseRequest,
        context: &BaseContext<'_>,
    ) -> BaseSearch {
        let mut search =
            Search { repository: self, head, context, trail: Vec::new(), notes: Vec::new() };
        let found = search.run(request);
        let Search { trail, notes, .. } = search;
        let found = found.map(|answer| Base {
            commits: answer.commits.into_iter().map(ObjectId).collect(),
            mode: answer.mode,
            from: BaseFrom::new(answer.step).expect("steps are plain words"),
            trail: trail.clone(),
            notes: notes.clone(),
        });
        BaseSearch { found, trail, notes }
    }
}

impl Repository {
    /// Says of which branch or request head is, as far as caches and trust go; nothing where that is not certain, and for
    /// a merge of several that may be, or a tag, whatever branch of the same name there is. A request is of no branch:
    /// anybody may call a branch of a fork what he likes.
    ///
    /// The event's word counts while head is the commit that the event is about: a workflow may have checked
    /// out something else since. Without an event it is the branch that is checked out. The default branch is
    /// the engine's or the remote's word, never the manifest's, which is part of what is planned; and head is of it
    /// when the event says so, or when the branch has it.
    #[must_use]
    pub fn cache_scope(&self, head: &Head, context: &BaseContext<'_>) -> Option<CacheScope> {
        let context = BaseContext { default_branch: None, ..*context };
        let event = context.event;
        let claim = event.and_then(|event| event.head.as_ref());
        let is_claimed = claim.map(|claim| head.commit.to_string().starts_with(&claim.commit));
        let (branch, is_certain) = match event.map(|event| &event.kind) {
            Some(EventKind::Push { branch, .. } | EventKind::Manual { branch }) => {
                if is_claimed == Some(false) {
                    return None;
                }
                (Some(branch.clone()?), is_claimed == Some(true))
            }
            Some(EventKind::Schedule) | None => (head.branch.clone(), false),
            Some(EventKind::Request { .. } | EventKind::Merged { .. }) => {
                return event?.request.clone().map(CacheScope::Request);
            }
            Some(EventKind::Tag { .. }) => return None,
        };
        let mut search = Search {
            repository: self,
            head,
            context: &context,
            trail: Vec::new(),
            notes: Vec::new(),
        };
        let target = search.default_target().ok();
        let engine = event.and_then(|event| event.default_branch.as_deref());
        let default = engine.or_else(|| target.as_ref()?.branch.as_deref());
        let has = |target: Option<&Target>| {
            target.is_some_and(|target| {
                self.contains(target.commit, head.commit.0, target).is_ok_and(|contained| contained)
            })
        };
        match branch {
            Some(branch) if default != Some(&*branch) => {
                let own = search.branch_target(&branch).ok().flatten();
                let is_own = event.is_none() || is_certain || has(own.as_ref());
                is_own.then_some(CacheScope::Branch(branch))
            }
            branch => {
                let is_default = (branch.is_some() && is_certain) || has(target.as_ref());
                is_default.then_some(CacheScope::DefaultBranch)
            }
        }
    }
}

impl Search<'_> {
    fn run(&mut self, request: &BaseRequest) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        match request {
            BaseRequest::Default => match self.context.event {
                Some(event) => self.of_event(event),
                None => self.without_event(),
            },
            BaseRequest::MergeBase(revision) => {
                let commit = self.repository.revision(revision)?.commit.0;
                let fetch = self.repository.remote_to_ask();
                let target = Target { fetch, ..Target::commit(revision.clone(), commit) };
                let commits = self.merge_bases(head, &target)?;
                self.take("flag", format!("the merge base with `{revision}`"), "--base names it");
                Ok(Answer { commits, mode: BaseMode::MergeBase, step: "flag".to_owned() })
            }
            BaseRequest::Exact(revision) => {
                let commits = vec![self.repository.revision(revision)?.commit.0];
                self.take("flag", format!("`{revision}`"), "--base-exact names it");
                Ok(Answer { commits, mode: BaseMode::Exact, step: "flag".to_owned() })
            }
            BaseRequest::FirstParent => {
                let commits = self.repository.first_parent(head)?;
                self.take(
                    "flag",
                    "head's first parent".to_owned(),
                    "--base-first-parent asks for it",
                );
                Ok(Answer { commits, mode: BaseMode::FirstParent, step: "flag".to_owned() })
            }
            BaseRequest::Empty => {
                self.take("flag", "the empty tree".to_owned(), "--base-empty asks for it");
                let mode = BaseMode::Empty;
                Ok(Answer { commits: Vec::new(), mode, step: "flag".to_owned() })
            }
        }
    }

    /// What head has that the default branch of the remote does not; on the default branch, when it
    /// has everything, the last commit.
    fn without_event(&mut self) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        let target = self.default_target()?;
        let contained = self.repository.contains(target.commit, head, &target)?;
        let on_it = match (self.head.branch.as_deref(), &target.branch) {
            (Some(branch), Some(target)) => branch == target,
            (Some(_), None) => false,
            // The commit that is built may have reached the branch already.
            (None, _) => contained,
        };
        if !on_it {
            let what = format!("what `{}` does not have", target.name);
            self.pass("unpushed", what, "head is not on that branch");
            let commits = self.merge_bases(head, &target)?;
            let what = format!("the merge base with `{}`", target.name);
            let why = if contained {
                format!("`{}` has every commit of head, so nothing differs", target.name)
            } else {
                "head is on another branch".to_owned()
            };
            self.take("default_branch", what, &why);
            let step = "default_branch".to_owned();
            return Ok(Answer { commits, mode: BaseMode::MergeBase, step });
        }
        if !contained {
            let commits = self.merge_bases(head, &target)?;
            let what = format!("the merge base with `{}`", target.name);
            let why = format!("head has commits of the branch that `{}` has not", target.name);
            self.take("unpushed", what, &why);
            let step = "unpushed".to_owned();
            return Ok(Answer { commits, mode: BaseMode::MergeBase, step });
        }
        let what = format!("`{}`", target.name);
        self.pass("unpushed", what, "it has every commit of head already");
        let mut commits = self.repository.first_parent(head)?;
        let mut what = "head's first parent".to_owned();
        if self.merges_default_branch(&target)? {
            commits = self.repository.parents(head)?;
            "each of head's parents".clone_into(&mut what);
            self.notes.push(Note::Warning(format!(
                "head merges `{}` into another line that became the branch: which parent was the \
                 branch is not known, so what differs from either counts",
                target.branch.as_deref().unwrap_or(&target.name)
            )));
        }
        let why = format!("head is on `{}`", target.name);
        self.take("first_parent", what, &why);
        if target.remote.is_some() {
            self.notes.push(Note::Warning(format!(
                "head is on `{}`, and nothing says where that was before the push: only the last \
                 commit is planned. After a push of several commits name the base with \
                 `--base-exact BEFORE` or `--passed FILE`, or run where the engine's event says it",
                target.name
            )));
        }
        let step = "first_parent".to_owned();
        Ok(Answer { commits, mode: BaseMode::FirstParent, step })
    }

    /// Whether head is a merge whose subject says that the branch itself was merged in (`git pull`
    /// on the way to a push): then the first parent is not what the branch was.
    fn merges_default_branch(&self, target: &Target) -> Result<bool, GitError> {
        let Some(branch) = &target.branch else { return Ok(false) };
        let commit = self.repository.commit(self.head.commit.0)?;
        if commit.parent_count() < 2 {
            return Ok(false);
        }
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        let subject = message.lines().next().unwrap_or_default();
        let Some(quoted) = subject.strip_prefix("Merge ").and_then(|it| it.split('\'').nth(1))
        else {
            return Ok(false);
        };
        Ok(quoted == branch || quoted.split_once('/').is_some_and(|(_, rest)| rest == branch))
    }

    fn merge_bases(&mut self, head: Oid, target: &Target) -> Result<Vec<Oid>, GitError> {
        let found = self.repository.merge_bases(head, target)?;
        if found.len() > 1 {
            self.notes.push(Note::Warning(format!(
                "`{head}` and `{}` have {} merge bases; what differs from any of them counts",
                target.name,
                found.len()
            )));
        }
        Ok(found)
    }

    /// Keeps a step that is taken.
    fn take(&mut self, step: &str, what: String, why: &str) {
        self.consider(step, what, true, why);
    }

    /// Keeps a step that is not taken.
    fn pass(&mut self, step: &str, what: String, why: &str) {
        self.consider(step, what, false, why);
    }

    fn consider(&mut self, step: &str, what: String, taken: bool, why: &str) {
        let considered = Considered { step: step.to_owned(), what, taken, why: why.to_owned() };
        self.notes.push(considered.note());
        self.trail.push(considered);
    }

    fn warn(&mut self, text: String) {
        self.notes.push(Note::Warning(text));
    }
}
