//! A forge in small: random histories of branches, requests, queues and tags, and what each event
//! brought.
//!
//! Knows the graph of commits by itself, as sets of numbers: neither git nor the planner is asked
//! for a merge base. Commits and trees are real ones, written to a repository as they come.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use git2::{Oid, Repository, Time};

use crate::sandbox::Numbers;

/// The jobs: four lanes of one command, and the lane `both` of two jobs that are about half of it
/// each.
pub(crate) const JOBS: [&str; 6] = ["a", "b", "c", "d", "one", "two"];

/// What each job is about: a number for its directory's content and one for its definition.
pub(crate) type State = [(u8, u8); JOBS.len()];

/// A set of jobs, a bit for each.
pub(crate) type Jobs = u8;

/// Every job.
pub(crate) const EVERY: Jobs = (1 << JOBS.len()) - 1;

/// A set of commits, a bit for each.
type Commits = u128;

/// So many commits fit; a history stops growing before.
const MOST: usize = 108;

/// A commit, known by its place in the history.
pub(crate) struct Commit {
    pub(crate) id: Oid,
    pub(crate) state: State,
    pub(crate) parents: Vec<usize>,
    /// What it builds upon, itself included.
    below: Commits,
}

/// Branches and tags.
#[derive(Clone, Default)]
pub(crate) struct References {
    pub(crate) branches: BTreeMap<String, usize>,
    pub(crate) tags: BTreeMap<String, usize>,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A branch was pushed, or something was merged to it.
    Push { branch: String, before: Option<usize>, after: usize },
    /// A request was opened or changed; `merge` is what the forge made of it for trial.
    Request { target: String, onto: usize, head: usize, merge: usize },
    /// What a queue would make of one or more requests.
    Queue { target: String, onto: usize, head: usize },
    /// A tag was pushed.
    Tag { name: String, at: usize },
}

/// An event, and the moment it happened at: a position in [`Forge::moments`].
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) event: Event,
    pub(crate) moment: usize,
}

/// A request that is open.
#[derive(Clone)]
struct Open {
    branch: String,
    fork: bool,
    target: String,
    head: usize,
}

pub(crate) struct Forge<'a> {
    repository: &'a Repository,
    pub(crate) random: Numbers,
    clock: i64,
    trees: BTreeMap<State, Oid>,
    /// Whether commits may change what jobs are, beside what they are about.
    definitions: bool,
    pub(crate) commits: Vec<Commit>,
    /// The default branch.
    pub(crate) default: &'static str,
    references: References,
    open: Vec<Open>,
    names: usize,
    /// Branches and tags after each step.
    pub(crate) moments: Vec<References>,
    /// What happened, in order.
    pub(crate) events: Vec<Happened>,
}

impl<'a> Forge<'a> {
    /// A forge with a default branch of one commit.
    pub(crate) fn new(repository: &'a Repository, seed: u64, definitions: bool) -> Self {
        let random = Numbers(seed);
        let default = "main";
        let mut forge = Self {
            repository,
            random,
            clock: 1_700_000_000,
            trees: BTreeMap::new(),
            definitions,
            commits: Vec::new(),
            default,
            references: References::default(),
            open: Vec::new(),
            names: 0,
            moments: Vec::new(),
            events: Vec::new(),
        };
        let root = forge.commit([(0, 0); JOBS.len()], &[], "first");
        forge.references.branches.insert(default.to_owned(), root);
        forge.moments.push(forge.references.clone());
        forge
    }

    /// Plays so many steps.
    pub(crate) fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.commits.len() < MOST - 16 {
                self.step();
                self.moments.push(self.references.clone());
            }
        }
    }

    fn commit(&mut self, state: State, parents: &[usize], subject: &str) -> usize {
        let tree = match self.trees.get(&state) {
            Some(&known) => known,
            None => {
                let tree = tree_of(self.repository, &state);
                self.trees.insert(state, tree);
                tree
            }
        };
        // Clocks of committers are not in order.
        self.clock += 60;
        let skew = i64::try_from(self.random.below(200)).expect("small");
        let time = Time::new(self.clock - skew, 0);
        let who = git2::Signature::new("a", "a@example.com", &time).expect("a signature");
        let find = |id: Oid| self.repository.find_commit(id).expect("known");
        let real: Vec<_> = parents.iter().map(|&it| find(self.commits[it].id)).collect();
        let real: Vec<&git2::Commit<'_>> = real.iter().collect();
        let tree = self.repository.find_tree(tree).expect("just written");
        let words = format!("{subject}\n\n{}\n", self.commits.len());
        let id = self.repository.commit(None, &who, &who, &words, &tree, &real).expect("written");
        let position = self.commits.len();
        let mut below: Commits = 1 << position;
        for &parent in parents {
            below |= self.commits[parent].below;
        }
        self.commits.push(Commit { id, state, parents: parents.to_vec(), below });
        position
    }

    /// One to five commits on top of another, each with a few changes, some of them back again.
    fn work(&mut self, mut on: usize) -> usize {
        for _ in 0..1 + self.random.below(5) {
            let mut state = self.commits[on].state;
            for _ in 0..self.random.below(3) {
                let job = self.random.below(JOBS.len());
                state[job].0 = u8::try_from(self.random.below(4)).expect("small");
            }
            if self.definitions && self.random.below(12) == 0 {
                let job = self.random.below(JOBS.len());
                state[job].1 = u8::try_from(self.random.below(3)).expect("small");
            }
            on = self.commit(state, &[on], "work");
        }
        on
    }

    /// Both, as a merge gives it; where both changed the same, one of them.
    fn merged(&mut self, ours: usize, theirs: usize) -> State {
        let mut state = self.commits[ours].state;
        let base = self.merge_bases(ours, theirs).first().map(|&it| self.commits[it].state);
        let theirs = self.commits[theirs].state;
        for job in 0..JOBS.len() {
            let was = base.map_or((0, 0), |base| base[job]);
            if state[job] == was || (theirs[job] != was && self.random.below(2) == 0) {
                state[job] = theirs[job];
            }
        }
        state
    }

    fn merge(&mut self, ours: usize, theirs: usize, subject: &str) -> usize {
        let state = self.merged(ours, theirs);
        self.commit(state, &[ours, theirs], subject)
    }

    fn tip(&self, branch: &str) -> usize {
        self.references.branches[branch]
    }

    fn happened(&mut self, event: Event) {
        self.events.push(Happened { event, moment: self.moments.len() });
    }

    /// Moves a branch, as an event.
    fn push(&mut self, branch: &str, after: usize) {
        let before = self.references.branches.insert(branch.to_owned(), after);
        self.happened(Event::Push { branch: branch.to_owned(), before, after });
        // Its requests change with it.
        for at in 0..self.open.len() {
            if self.open[at].branch == branch && !self.open[at].fork {
                self.open[at].head = after;
                self.announce(at);
            }
        }
    }

    /// A request is opened or changed, as an event.
    fn announce(&mut self, at: usize) {
        let Open { target, head, .. } = self.open[at].clone();
        let Some(&onto) = self.references.branches.get(&target) else { return };
        if self.is_below(head, onto) {
            return;
        }
        let merge = self.merge(onto, head, "Merge a request for trial");
        self.happened(Event::Request { target, onto, head, merge });
    }

    fn some_branch(&mut self) -> String {
        let names: Vec<&String> = self.references.branches.keys().collect();
        self.random.pick(&names).to_string()
    }

    /// A commit of the default branch, its last one most often.
    fn some_start(&mut self) -> usize {
        let mut at = self.tip(self.default);
        if self.random.below(3) == 0 {
            for _ in 0..self.random.below(4) {
                at = self.commits[at].parents.first().copied().unwrap_or(at);
            }
        }
        at
    }

    fn step(&mut self) {
        let default = self.default;
        match self.random.below(20) {
            0..4 => {
                let after = self.work(self.tip(default));
                self.push(default, after);
            }
            // `git pull` on the way to a push: the branch becomes the second parent.
            4 => {
                let start = self.some_start();
                let ours = self.work(start);
                let subject = format!("Merge branch '{default}' of forge.example:o/r");
                let after = self.merge(ours, self.tip(default), &subject);
                self.push(default, after);
            }
            5..8 => self.new_branch(),
            8 | 9 => {
                let branch = self.some_branch();
                let mut at = self.tip(&branch);
                if branch != default && self.random.below(3) == 0 {
                    at = self.merge(at, self.tip(default), "Merge the branch it goes to");
                }
                let after = self.work(at);
                self.push(&branch, after);
            }
            10 | 11 => self.force(),
            12..17 => self.merge_request(),
            17 => self.queue(),
            18 => {
                let at = if self.random.below(2) == 0 {
                    self.tip(default)
                } else {
                    let branch = self.some_branch();
                    self.tip(&branch)
                };
                self.names += 1;
                let name = format!("v{}", self.names);
                self.references.tags.insert(name.clone(), at);
                self.happened(Event::Tag { name, at });
            }
            _ => {
                let branch = self.some_branch();
                if branch != default {
                    self.references.branches.remove(&branch);
                }
            }
        }
    }

    fn new_branch(&mut self) {
        self.names += 1;
        let name = format!("topic-{}", self.names);
        let start = match self.random.below(8) {
            0 | 1 => {
                let branch = self.some_branch();
                self.tip(&branch)
            }
            _ => self.some_start(),
        };
        let head = match self.random.below(24) {
            // A branch that starts where another is, and one that starts from nothing.
            0 => start,
            1 => {
                let root = self.commit([(1, 0); JOBS.len()], &[], "first of its own");
                self.work(root)
            }
            _ => self.work(start),
        };
        let fork = self.random.below(4) == 0;
        let target = match self.random.below(4) {
            0 => self.some_branch(),
            _ => self.default.to_owned(),
        };
        if !fork {
            self.push(&name, head);
        }
        if fork || self.random.below(3) > 0 {
            self.open.push(Open { branch: name, fork, target, head });
            self.announce(self.open.len() - 1);
        }
    }

    /// A forced push: some commits are gone, others come; or the branch is put upon another.
    fn force(&mut self) {
        let branch = self.some_branch();
        let mut back = self.tip(&branch);
        let after = match self.random.below(4) {
            0 if branch != self.default => {
                let onto = self.tip(self.default);
                self.rebase(back, onto)
            }
            kind => {
                for _ in 0..1 + self.random.below(3) {
                    back = self.commits[back].parents.first().copied().unwrap_or(back);
                }
                if kind == 1 { back } else { self.work(back) }
            }
        };
        if after != self.tip(&branch) {
            self.push(&branch, after);
        }
    }

    /// The commits that another branch has not, once more on top of it.
    fn rebase(&mut self, head: usize, onto: usize) -> usize {
        let own = self.commits[head].below & !self.commits[onto].below;
        let mut at = onto;
        for commit in members(own) {
            let &[parent] = self.commits[commit].parents.as_slice() else { continue };
            let (was, is) = (self.commits[parent].state, self.commits[commit].state);
            let mut state = self.commits[at].state;
            for job in 0..JOBS.len() {
                if was[job] != is[job] {
                    state[job] = is[job];
                }
            }
            at = self.commit(state, &[at], "work");
        }
        at
    }

    /// A request arrives: as a merge, as one commit, as its commits once more, or as they are.
    fn merge_request(&mut self) {
        let Some((request, onto)) = self.take_request() else { return };
        let head = request.head;
        let after = match self.random.below(4) {
            0 => {
                let state = self.merged(onto, head);
                self.commit(state, &[onto], "Squashed (#1)")
            }
            1 => self.rebase(head, onto),
            2 if self.is_below(onto, head) => head,
            _ => self.merge(onto, head, "Merge pull request #1"),
        };
        self.push(&request.target, after);
        self.maybe_delete(&request);
    }

    /// One to three requests arrive by way of a queue.
    fn queue(&mut self) {
        let Some((request, start)) = self.take_request() else { return };
        let target = request.target.clone();
        let (mut onto, mut requests) = (start, vec![request]);
        while requests.len() < 3 && self.random.below(2) == 0 {
            let Some(at) = self.open.iter().position(|it| it.target == target) else { break };
            requests.push(self.open.remove(at));
        }
        let start = onto;
        for request in &requests {
            if self.is_below(request.head, onto) {
                continue;
            }
            let head = if self.random.below(2) == 0 {
                self.merge(onto, request.head, "Merge pull request #1")
            } else {
                let state = self.merged(onto, request.head);
                self.commit(state, &[onto], "Squashed (#1)")
            };
            let since = if self.random.below(2) == 0 { start } else { onto };
            self.happened(Event::Queue { target: target.clone(), onto: since, head });
            onto = head;
        }
        // A queue that fails leaves nothing.
        if self.random.below(5) > 0 && onto != start {
            self.push(&target, onto);
            for request in &requests {
                self.maybe_delete(request);
            }
        }
    }

    fn take_request(&mut self) -> Option<(Open, usize)> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.random.below(self.open.len());
        let request = self.open.remove(at);
        let onto = *self.references.branches.get(&request.target)?;
        (!self.is_below(request.head, onto)).then_some((request, onto))
    }

    fn maybe_delete(&mut self, request: &Open) {
        if !request.fork && request.branch != self.default && self.random.below(2) == 0 {
            self.references.branches.remove(&request.branch);
        }
    }

    /// Whether a commit is another, or one that it builds upon.
    pub(crate) fn is_below(&self, commit: usize, of: usize) -> bool {
        self.commits[of].below & (1 << commit) != 0
    }

    /// What a commit builds upon, itself included.
    pub(crate) fn below(&self, of: usize) -> impl Iterator<Item = usize> + use<> {
        members(self.commits[of].below)
    }

    /// The best common ancestors of two commits.
    pub(crate) fn merge_bases(&self, one: usize, other: usize) -> Vec<usize> {
        let common = self.commits[one].below & self.commits[other].below;
        let of_another = |it: usize| {
            members(common).any(|other| other != it && self.commits[other].below & (1 << it) != 0)
        };
        members(common).filter(|&it| !of_another(it)).collect()
    }

    /// The jobs that differ between two commits.
    pub(crate) fn differ(&self, one: usize, other: usize) -> Jobs {
        let (one, other) = (self.commits[one].state, self.commits[other].state);
        (0..JOBS.len()).filter(|&job| one[job] != other[job]).map(|job| 1 << job).sum()
    }

    /// What a commit has that another has not: the jobs that differ from any merge base; all, where
    /// there is none.
    pub(crate) fn brings(&self, head: usize, to: usize) -> Jobs {
        let bases = self.merge_bases(head, to);
        let every = if bases.is_empty() { EVERY } else { 0 };
        bases.iter().fold(every, |jobs, &base| jobs | self.differ(base, head))
    }

    /// What a commit brings to a branch, up to a moment; if that has it, what it brought to where the
    /// branch was before. Nothing, if it always had it. After a merge with its parents swapped the
    /// graph tells another story than what happened: then what both tell counts.
    pub(crate) fn brought(&self, branch: &str, commit: usize, moment: usize) -> Option<Jobs> {
        let tips = self.moments[..=moment].iter().rev().filter_map(|it| it.branches.get(branch));
        let then = tips.copied().find(|&tip| !self.is_below(commit, tip))?;
        let mut line = self.moments[moment].branches.get(branch).copied();
        while let Some(at) = line.filter(|&at| self.is_below(commit, at)) {
            line = self.commits[at].parents.first().copied();
        }
        let of_graph = line.map_or(EVERY, |tip| self.brings(commit, tip));
        Some(self.brings(commit, then) & of_graph)
    }

    /// Every commit the branches and tags of a moment have.
    pub(crate) fn reachable(&self, moment: usize) -> BTreeSet<usize> {
        let references = &self.moments[moment];
        let tips = references.branches.values().chain(references.tags.values());
        members(tips.fold(0, |all, &tip| all | self.commits[tip].below)).collect()
    }
}

fn members(set: Commits) -> impl Iterator<Item = usize> + use<> {
    (0..128).filter(move |&it| set & (1 << it) != 0)
}

/// The lane that a job is of.
pub(crate) fn lane_of(job: &str) -> &str {
    if matches!(job, "one" | "two") { "both" } else { job }
}

fn tree_of(repository: &Repository, state: &State) -> Oid {
    let command = |job: usize| format!("[\"run\", \"{}\"]", state[job].1);
    let mut manifest = "version = 1\n".to_owned();
    for (job, id) in JOBS.iter().enumerate().take(4) {
        write!(
            manifest,
            "[[branch.lanes]]\nid = \"{id}\"\npaths = [\"{id}/**\"]\ncommand = {}\n",
            command(job)
        )
        .expect("a string takes it");
    }
    manifest +=
        "[[branch.lanes]]\nid = \"both\"\ntarget = \"t\"\npaths = [\"one/**\", \"two/**\"]\n";
    let mut catalog =
        "version = 1\n[bases.host]\nplacement = \"local\"\nruntime = \"host_process\"\n\
        timeout_secs = 9\n[[targets]]\nid = \"t\"\ndescription = \"two\"\n"
            .to_owned();
    for (job, id) in JOBS.iter().enumerate().skip(4) {
        write!(
            catalog,
            "[[targets.jobs]]\nid = \"{id}\"\nbase = \"host\"\npaths = [\"{id}/**\"]\n\
             command = {{ argv = {} }}\n",
            command(job)
        )
        .expect("a string takes it");
    }
    let directory = |files: &[(&str, String)]| {
        let mut tree = repository.treebuilder(None).expect("a tree");
        for (name, text) in files {
            let blob = repository.blob(text.as_bytes()).expect("written");
            tree.insert(name, blob, 0o100_644).expect("a file");
        }
        tree.write().expect("written")
    };
    let mut root = repository.treebuilder(None).expect("a tree");
    let ci = directory(&[("forge-lanes.toml", manifest), ("catalog.toml", catalog)]);
    root.insert("ci", ci, 0o040_000).expect("a directory");
    for (job, id) in JOBS.iter().enumerate() {
        let content = directory(&[("file", state[job].0.to_string())]);
        root.insert(id, content, 0o040_000).expect("a directory");
    }
    root.write().expect("written")
}
