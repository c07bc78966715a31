//! The base that an event claims, checked against the repository.
//!
//! A claim holds when its commit is here and stands to head as the event says. One that does not is
//! a warning and a wider answer: in the end every lane
//! runs ([`BaseMode::Unknown`]). A claim that
//! cannot be checked because this clone is shallow is an error with the command that deepens it.

use git2::Oid;
use plans::BaseMode;

use super::{Answer, Search, Target};
use crate::{
    event::{Before, Claim, Event, EventKind},
    git::GitError,
};

/// How many commits of a branch are looked at one by one before everything runs.
const MOST_COMMITS: usize = 200;

impl Search<'_> {
    pub(super) fn of_event(&mut self, event: &Event) -> Result<Answer, GitError> {
        for note in &event.notes {
            self.warn(note.clone());
        }
        let step = event.step();
        match &event.kind {
            EventKind::Request { branch, base, merge_base } => {
                self.of_request(&step, event, branch.as_deref(), base.as_ref(), merge_base.as_ref())
            }
            EventKind::Merged { branch, base, merge_base, .. } => {
                self.of_merged(&step, event, branch.as_deref(), base.as_ref(), merge_base.as_ref())
            }
            EventKind::Push { branch, before } => {
                let branch = branch.as_deref().or(self.head.branch.as_deref());
                match before {
                    Before::Commit(before) => self.of_push(&step, event, branch, before, false),
                    Before::Run(before) => self.of_push(&step, event, branch, before, true),
                    Before::New(said) => {
                        let note = format!("the branch is new, as `{said}` says");
                        self.notes.push(crate::git::Note::Info(note));
                        self.new_branch(&step, branch)
                    }
                    Before::Unsaid => {
                        let what = "where the branch was".to_owned();
                        self.pass(&step, what, "the engine does not say it");
                        self.of_branch(&step, branch)
                    }
                }
            }
            EventKind::Tag { name } => self.of_tag(&step, name.as_deref()),
            EventKind::Schedule | EventKind::Manual { .. } => {
                self.pass(&step, "the event".to_owned(), "it names nothing to compare with");
                self.of_branch(&step, event.branch().or(self.head.branch.as_deref()))
            }
        }
    }

    /// What a request brings.
    fn of_request(
        &mut self,
        step: &str,
        event: &Event,
        branch: Option<&str>,
        base: Option<&Claim>,
        merge_base: Option<&Claim>,
    ) -> Result<Answer, GitError> {
        if let Some(answer) = self.merge_ref(step, event)? {
            return Ok(answer);
        }
        let head = self.head.commit.0;
        if let Some(claim) = merge_base {
            match self.repository.known_commit(&claim.commit) {
                Some(_) if !self.is_of_request(event)? => {
                    self.broken(step, claim, "is about a request that head is not");
                }
                Some(commit) if commit != head && self.holds(head, commit, claim)? => {
                    self.take(step, format!("`{commit}`"), &format!("{claim}, and head has it"));
                    let (commits, mode) = (vec![commit], BaseMode::MergeBase);
                    return Ok(Answer { commits, mode, step: step.to_owned() });
                }
                Some(_) => self.broken(step, claim, "is not in the history of head"),
                None if base.is_none() && branch.is_none() => return Err(self.missing(claim)),
                None => self.broken(step, claim, "is not in this repository"),
            }
        }
        let mut gone = None;
        if let Some(claim) = base {
            match self.repository.known_commit(&claim.commit) {
                Some(commit) => {
                    let target = self.of_claim(claim, commit, branch);
                    return self.against(step, event, &target, &claim.to_string());
                }
                None => {
                    self.broken(step, claim, "is not in this repository");
                    gone = Some(claim);
                }
            }
        }
        let (target, said) = match branch {
            Some(branch) => match (self.branch_target(branch)?, gone) {
                (Some(target), _) => (target, format!("the request goes to `{branch}`")),
                (None, Some(claim)) => return Err(self.missing(claim)),
                (None, None) => {
                    let remote = self.remote()?;
                    self.pass(step, format!("`{branch}`"), "there is no such branch here");
                    return Err(self.no_branch(&[branch], Some(branch), &remote));
                }
            },
            None => match gone {
                Some(claim) => return Err(self.missing(claim)),
                None => {
                    (self.default_target()?, "the engine does not say where it goes".to_owned())
                }
            },
        };
        match self.against(step, event, &target, &said) {
            Err(GitError::Shallow { .. }) if gone.is_some() => {
                Err(self.missing(gone.expect("it was just looked at")))
            }
            answer => answer,
        }
    }

    /// What a queue, a train or a batch brings: all since the commit it is built on.
    fn of_merged(
        &mut self,
        step: &str,
        event: &Event,
        branch: Option<&str>,
        base: Option<&Claim>,
        merge_base: Option<&Claim>,
    ) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        let Some(claim) = base else {
            return self.of_request(step, event, branch, None, merge_base);
        };
        let Some(commit) = self.repository.known_commit(&claim.commit) else {
            if let Some(answer) = self.merge_ref(step, event)? {
                return Ok(answer);
            }
            if self.repository.inner.is_shallow() || branch.is_none() {
                return Err(self.missing(claim));
            }
            self.broken(step, claim, "is not in this repository");
            return self.of_request(step, event, branch, None, merge_base);
        };
        if commit != head && self.holds(head, commit, claim)? {
            self.take(step, format!("`{commit}`"), &format!("{claim}, and head is built on it"));
            return Ok(Answer {
                commits: vec![commit],
                mode: BaseMode::Exact,
                step: step.to_owned(),
            });
        }
        if self.holds(commit, head, claim)? {
            return Ok(self.everything(step, &format!("`{claim}` has head already")));
        }
        self.broken(step, claim, "is not in the history of head");
        let target = self.of_claim(claim, commit, branch);
        let mut commits = self.repository.first_parent(head)?;
        let unrelated = format!("`{claim}` shares no history with head");
        match self.shared_with(&target, step, &unrelated)? {
            Ok(found) => commits.extend(found),
            Err(everything) => return Ok(everything),
        }
        self.union(step, commits, "head's first parent and the merge base with that commit")
    }

    /// What a push brought.
    fn of_push(
        &mut self,
        step: &str,
        event: &Event,
        branch: Option<&str>,
        before: &Claim,
        of_a_run: bool,
    ) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        if let Some(after) = &event.head
            && !head.to_string().starts_with(&after.commit)
        {
            self.warn(format!("head is `{head}`, and the event is about {after}"));
        }
        let Some(commit) = self.repository.known_commit(&before.commit) else {
            if self.repository.inner.is_shallow() {
                return Err(self.missing(before));
            }
            self.broken(step, before, "is gone");
            let remote = self.remote()?;
            let because = format!(
                "the push was forced, and where the branch was is not in this repository (`git \
                 fetch {remote} {}` brings it while the remote keeps it)",
                before.commit
            );
            return Ok(self.everything(step, &because));
        };
        if commit == head {
            self.broken(step, before, "is head itself");
            return self.of_branch(step, branch);
        }
        if self.holds(head, commit, before)? {
            self.take(step, format!("`{commit}`"), &format!("{before}, and head has it"));
            return Ok(Answer {
                commits: vec![commit],
                mode: BaseMode::Exact,
                step: step.to_owned(),
            });
        }
        let target = self.of_claim(before, commit, None);
        let mut commits = if self.holds(commit, head, before)? {
            self.notes
                .push(crate::git::Note::Info(format!("the branch was set back from {before}")));
            vec![commit]
        } else {
            self.broken(step, before, "is not in the history of head: the push was forced");
            match self.shared_with(&target, step, "the push replaced the whole history")? {
                Ok(found) => found,
                Err(everything) => return Ok(everything),
            }
        };
        let default = self.default_target()?;
        if of_a_run && branch.is_some() && branch == default.branch.as_deref() {
            // The default branch is seldom set back, and old runs are often started again.
            let why = format!("{before} is no ancestor of head: an older run may be started again");
            return Ok(self.everything(step, &why));
        }
        if branch.is_none() || branch != default.branch.as_deref() {
            // Where the default branch was before it merged head, when it has since then.
            let mut tip = default.commit;
            if self.repository.contains(tip, head, &default)? {
                let (at, before) = self.repository.arrival(tip, head, &default)?;
                let Some(before) = before.filter(|_| at != head) else {
                    let why = format!("`{}` was moved forward to head since", default.name);
                    return Ok(self.everything(step, &why));
                };
                tip = before;
            }
            let unrelated = format!("head shares no history with `{}`", default.name);
            match self.shared_with(&Target { commit: tip, ..default }, step, &unrelated)? {
                Ok(found) => commits.extend(found),
                Err(everything) => return Ok(everything),
            }
        }
        self.union(
            step,
            commits,
            "what the forced push left, and the default branch where it differs",
        )
    }

    /// What a branch brings that was not there before, or whose place before is not known.
    fn new_branch(&mut self, step: &str, branch: Option<&str>) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        let target = self.default_target()?;
        if branch.is_some() && branch == target.branch.as_deref() {
            return Ok(self.everything(step, "nothing says where the default branch was"));
        }
        if self.repository.contains(target.commit, head, &target)? {
            return self.arrived(step, &target);
        }
        let unrelated = format!("the branch shares no history with `{}`", target.name);
        match self.shared_with(&target, step, &unrelated)? {
            Ok(commits) => {
                let what = format!("the merge base with `{}`", target.name);
                self.take(step, what, "nothing says where the branch was");
                Ok(Answer { commits, mode: BaseMode::MergeBase, step: step.to_owned() })
            }
            Err(everything) => Ok(everything),
        }
    }

    /// What may have been brought to a branch when nothing says where it was: it was at its beginning,
    /// or at any commit since then, one of which may have been taken back by the next.
    fn of_branch(&mut self, step: &str, branch: Option<&str>) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        let target = self.default_target()?;
        let contained = self.repository.contains(target.commit, head, &target)?;
        let is_default = branch.is_some() && branch == target.branch.as_deref();
        // The default branch may also have been set back behind head since the push.
        if is_default || (contained && branch.is_none()) {
            self.notes.push(crate::git::Note::Info(
                "`--passed FILE` plans what is owed, `--base-exact BEFORE` what was pushed, and \
                 `--base-first-parent` the last commit or merge"
                    .to_owned(),
            ));
            let why = format!("nothing says where `{}` was before", target.name);
            return Ok(self.everything(step, &why));
        }
        if contained {
            return self.arrived(step, &target);
        }
        let unrelated = format!("the branch shares no history with `{}`", target.name);
        let mut commits = match self.shared_with(&target, step, &unrelated)? {
            Ok(commits) => commits,
            Err(everything) => return Ok(everything),
        };
        let own = self.repository.commits_between(target.commit, head)?;
        if own.len() > MOST_COMMITS {
            let why = format!("the branch has more than {MOST_COMMITS} commits of its own");
            return Ok(self.everything(step, &why));
        }
        let since = own.iter().filter(|&&commit| commit != head).count();
        let mut what = format!("the merge base with `{}`", target.name);
        if since > 0 {
            what = format!("{what}, and each of the {since} commits since");
        }
        commits.extend(own.into_iter().filter(|&commit| commit != head));
        self.take(step, what, "the branch may have been at any of them");
        Ok(Answer { commits, mode: BaseMode::MergeBase, step: step.to_owned() })
    }

    /// What a tag brings: all since the newest earlier tag.
    fn of_tag(&mut self, step: &str, name: Option<&str>) -> Result<Answer, GitError> {
        let step = step.to_owned();
        let built = name.map_or_else(|| "the tag".to_owned(), |name| format!("`{name}`"));
        if let Some((commit, tag)) = self.repository.earlier_tag(self.head.commit.0)? {
            let why = format!("the newest tag in the history of {built}");
            self.take(&step, format!("`{tag}` ({commit})"), &why);
            return Ok(Answer { commits: vec![commit], mode: BaseMode::Exact, step });
        }
        let why = format!("no earlier tag is in the history of {built}");
        self.take(&step, "the empty tree".to_owned(), &why);
        Ok(Answer { commits: Vec::new(), mode: BaseMode::Empty, step })
    }

    /// Whether head is what the request brings, or has it; a `pull_request_target` is of the branch.
    fn is_of_request(&self, event: &Event) -> Result<bool, GitError> {
        let head = self.head.commit.0;
        let Some(own) = &event.head else { return Ok(true) };
        if head.to_string().starts_with(&own.commit) {
            return Ok(true);
        }
        match self.repository.known_commit(&own.commit) {
            Some(commit) => self.holds(head, commit, own),
            None => Ok(false),
        }
    }

    /// Head as a merge of the request into its target, made by the engine or the forge: the first
    /// parent is exactly what it was merged into.
    fn merge_ref(&mut self, step: &str, event: &Event) -> Result<Option<Answer>, GitError> {
        let head = self.head.commit.0;
        let Some(own) = &event.head else { return Ok(None) };
        let parents = self.repository.written_parents(head)?;
        let merges = |parent: &Oid| parent.to_string().starts_with(&own.commit);
        if parents.len() < 2 || !parents[1..].iter().any(merges) {
            return Ok(None);
        }
        let commits = self.repository.first_parent(head)?;
        let why = format!("head is the merge of {own} into it");
        self.take(step, format!("head's first parent `{}`", parents[0]), &why);
        Ok(Some(Answer { commits, mode: BaseMode::FirstParent, step: step.to_owned() }))
    }

    /// Head against the branch it goes to; when that has head already, what came with it.
    fn against(
        &mut self,
        step: &str,
        event: &Event,
        target: &Target,
        said: &str,
    ) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        if self.repository.contains(target.commit, head, target)? {
            if let Some(own) = &event.head
                && !head.to_string().starts_with(&own.commit)
            {
                self.warn(format!(
                    "head is `{head}`, which `{}` has already; the request itself is {own}: check \
                     that out to plan it",
                    target.name
                ));
            }
            let what = format!("the merge base with `{}`", target.name);
            self.pass(step, what, "it has every commit of head already");
            return self.arrived(step, target);
        }
        let mut commits = self.merge_bases(head, target)?;
        let parents = self.repository.written_parents(head)?;
        let mut merges_what_is_there = parents.len() > 1;
        for parent in parents {
            merges_what_is_there =
                merges_what_is_there && self.repository.contains(target.commit, parent, target)?;
        }
        if merges_what_is_there {
            // The merge of a request that has arrived since, or a merge of the branch into it.
            let merged = format!("`{}` has what head merges", target.name);
            self.pass(step, format!("the merge base with `{}`", target.name), &merged);
            commits.extend(self.repository.first_parent(head)?);
            return self.union(step, commits, "head's first parent, and that merge base");
        }
        self.take(step, format!("the merge base with `{}`", target.name), said);
        Ok(Answer { commits, mode: BaseMode::MergeBase, step: step.to_owned() })
    }

    /// What head brought to a branch that has it: all since the branch before it arrived. A branch
    /// that was moved forward to head does not say where it was.
    fn arrived(&mut self, step: &str, target: &Target) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        let (at, before) = self.repository.arrival(target.commit, head, target)?;
        let Some(before) = before.filter(|_| at != head) else {
            let why = format!("`{}` was moved forward to head, or starts there", target.name);
            return Ok(self.everything(step, &why));
        };
        let name = format!("{} before {at}", target.name);
        let unrelated = "what head was merged into shares no history with it";
        match self.shared_with(&Target::commit(name, before), step, unrelated)? {
            Ok(commits) => {
                let what = format!("the merge base with `{before}`");
                let why = format!("`{}` was there before `{at}` merged head", target.name);
                self.take(step, what, &why);
                Ok(Answer { commits, mode: BaseMode::MergeBase, step: step.to_owned() })
            }
            Err(everything) => Ok(everything),
        }
    }

    /// The merge bases of head and a target; where they share no history everything runs, because
    /// of what is `unrelated`.
    fn shared_with(
        &mut self,
        target: &Target,
        step: &str,
        unrelated: &str,
    ) -> Result<Result<Vec<Oid>, Answer>, GitError> {
        match self.merge_bases(self.head.commit.0, target) {
            Ok(commits) => Ok(Ok(commits)),
            Err(GitError::Unrelated { .. }) => Ok(Err(self.everything(step, unrelated))),
            Err(error) => Err(error),
        }
    }

    /// Several commits at once: what differs from any of them counts.
    fn union(&mut self, step: &str, commits: Vec<Oid>, why: &str) -> Result<Answer, GitError> {
        let head = self.head.commit.0;
        let mut found: Vec<Oid> = Vec::new();
        for commit in commits {
            if commit != head && !found.contains(&commit) {
                found.push(commit);
            }
        }
        if found.is_empty() {
            return Ok(self.everything(step, "every commit to compare with is head itself"));
        }
        let names: Vec<String> = found.iter().map(|commit| format!("`{commit}`")).collect();
        self.take(step, names.join(" and "), why);
        let mode = if found.len() == 1 { BaseMode::Exact } else { BaseMode::MergeBase };
        Ok(Answer { commits: found, mode, step: step.to_owned() })
    }

    /// The widest answer.
    fn everything(&mut self, step: &str, because: &str) -> Answer {
        self.warn(format!("{because}: what the event brought cannot be told, so everything runs"));
        self.take(step, "nothing, so that everything runs".to_owned(), because);
        Answer { commits: Vec::new(), mode: BaseMode::Unknown, step: step.to_owned() }
    }

    /// Whether `of` has `commit` in its history.
    fn holds(&self, of: Oid, commit: Oid, claim: &Claim) -> Result<bool, GitError> {
        let target = self.of_claim(claim, commit, None);
        self.repository.contains(of, commit, &target)
    }

    fn of_claim(&self, claim: &Claim, commit: Oid, branch: Option<&str>) -> Target {
        let fetch = self.remote().unwrap_or_else(|_| "origin".to_owned());
        let branch = branch.map(str::to_owned);
        Target { branch, fetch, ..Target::commit(claim.commit.clone(), commit) }
    }

    /// A claim that does not hold.
    fn broken(&mut self, step: &str, claim: &Claim, why: &str) {
        self.warn(format!("{claim} {why}; the plan may be larger than what the event brought"));
        self.pass(step, format!("{claim}"), why);
    }

    fn missing(&mut self, claim: &Claim) -> GitError {
        let step = self.context.event.map_or_else(String::new, Event::step);
        self.pass(&step, claim.to_string(), "it is not in this repository");
        GitError::EventCommit {
            read_from: claim.read_from,
            commit: claim.commit.clone(),
            shallow: self.repository.inner.is_shallow(),
            remote: self.remote().unwrap_or_else(|_| "origin".to_owned()),
        }
    }
}
