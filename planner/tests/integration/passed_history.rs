//! Random histories of a forge, planned with what is known to have passed: no change is ever lost.
//!
//! Pushes of several commits, branches, merges of each kind, forced pushes; runs that pass, fail,
//! are cancelled, lost with their machine, replaced before they start; what passed is written down
//! by several machines, and some of their files come late or never. After each of it, for every
//! job: either it is planned, or what it is about is, to the byte, what it passed with at a commit
//! that head builds upon. `FORGE_LANES_HISTORIES=10000` plays more of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use git2::{Oid, Time};
use planner::{
    ChangesFrom, Request, Wanted,
    git::BaseRequest,
    passed::{Otherwise, PassedFile},
    plan,
};
use plans::{NodeKind, Passed, Plan, lane_runs};

use crate::sandbox::Numbers;

/// The jobs: two lanes of one command, and a lane of two jobs that are about half of it each.
const JOBS: [&str; 4] = ["a", "b", "one", "two"];

/// What each job is about: a number for its directory's content and one for its definition.
type State = [(u32, u32); 4];

struct Forge<'a> {
    repository: &'a git2::Repository,
    random: Numbers,
    clock: i64,
    commits: BTreeMap<Oid, (State, Vec<Oid>)>,
    /// What passed in truth, and what is known to have been planned and not passed.
    passed: BTreeSet<(Oid, usize)>,
    main: Oid,
    branches: Vec<Oid>,
    /// What planning knows, and the files of machines that have not been merged into it.
    known: Passed,
    machines: [Passed; 3],
    runs: u32,
}

impl<'a> Forge<'a> {
    fn new(repository: &'a git2::Repository, seed: u64) -> Self {
        let mut forge = Self {
            repository,
            random: Numbers(seed),
            clock: 1_700_000_000,
            commits: BTreeMap::new(),
            passed: BTreeSet::new(),
            main: Oid::ZERO_SHA1,
            branches: Vec::new(),
            known: Passed::default(),
            machines: [const { None }; 3].map(|_: Option<()>| Passed::default()),
            runs: 0,
        };
        forge.main = forge.commit([(0, 0); 4], &[]);
        forge
    }

    fn commit(&mut self, state: State, parents: &[Oid]) -> Oid {
        let tree = tree_of(self.repository, &state);
        // Clocks of committers are not in order.
        self.clock += 60;
        let skew = i64::try_from(self.random.below(200)).expect("small");
        let time = Time::new(self.clock - skew, 0);
        let who = git2::Signature::new("a", "a@example.com", &time).expect("a signature");
        let tree = self.repository.find_tree(tree).expect("just written");
        let parents_of: Vec<git2::Commit<'_>> =
            parents.iter().map(|&id| self.repository.find_commit(id).expect("known")).collect();
        let parents_of: Vec<&git2::Commit<'_>> = parents_of.iter().collect();
        let words = format!("{}", self.clock);
        let id = self.repository.commit(None, &who, &who, &words, &tree, &parents_of);
        let id = id.expect("written");
        self.commits.insert(id, (state, parents.to_vec()));
        id
    }

    /// So many commits on top of another, each with a few changes, some of them back again.
    fn work(&mut self, mut on: Oid) -> Oid {
        for _ in 0..1 + self.random.below(5) {
            let mut state = self.commits[&on].0;
            for _ in 0..self.random.below(3) {
                let job = self.random.below(4);
                state[job].0 = u32::try_from(self.random.below(4)).expect("small");
            }
            if self.random.below(12) == 0 {
                let job = self.random.below(4);
                state[job].1 = u32::try_from(self.random.below(3)).expect("small");
            }
            on = self.commit(state, &[on]);
        }
        on
    }

    fn ancestors(&self, of: Oid) -> BTreeSet<Oid> {
        let mut found = BTreeSet::from([of]);
        let mut open = vec![of];
        while let Some(id) = open.pop() {
            open.extend(self.commits[&id].1.iter().filter(|&&parent| found.insert(parent)));
        }
        found
    }

    /// Something happens; the commit that is to be planned, and what the forge says was before.
    fn event(&mut self) -> (Oid, Oid) {
        let before = self.main;
        match self.random.below(10) {
            0..4 => self.main = self.work(before),
            4 | 5 => {
                let from = match self.branches.last() {
                    Some(&branch) if self.random.below(2) == 0 => branch,
                    _ => before,
                };
                let branch = self.work(from);
                self.branches.push(branch);
                return (branch, before);
            }
            6 | 7 if !self.branches.is_empty() => {
                let at = self.random.below(self.branches.len());
                let branch = self.branches.swap_remove(at);
                let (ours, theirs) = (self.commits[&before].0, self.commits[&branch].0);
                let mut merged = ours;
                for (ours, theirs) in merged.iter_mut().zip(theirs) {
                    if self.random.below(2) == 0 {
                        *ours = theirs;
                    }
                }
                self.main = match self.random.below(3) {
                    0 => self.commit(merged, &[before]),
                    1 if self.ancestors(branch).contains(&before) => branch,
                    _ => self.commit(merged, &[before, branch]),
                };
            }
            8 => {
                // A forced push: some commits are gone, others come.
                let mut back = before;
                for _ in 0..self.random.below(4) {
                    back = self.commits[&back].1.first().copied().unwrap_or(back);
                }
                self.main = self.work(back);
            }
            // A run is started again.
            _ => {}
        }
        (self.main, before)
    }

    fn plan(&mut self, head: Oid, base: Oid, otherwise: Otherwise) -> (Plan, String) {
        let document = self.known.clone();
        let request = Request {
            dir: self.repository.path().to_owned(),
            head: Some(head.to_string()),
            changes: ChangesFrom::Base(BaseRequest::Exact(base.to_string())),
            passed: Some(PassedFile { document, digest: "sha256:0".to_owned(), otherwise }),
            wanted: Wanted::default(),
            ..Request::default()
        };
        let plan = plan(&request).expect("a plan").plan;
        let digest = plan.to_json().digest;
        (plan, digest)
    }

    /// Whether a job passed, in truth, with exactly this at a commit that head builds upon.
    fn is_proven(&self, head: Oid, job: usize) -> bool {
        let wanted = self.commits[&head].0[job];
        let below = self.ancestors(head);
        let mut passed = self.passed.iter().filter(|(id, of)| *of == job && below.contains(id));
        passed.any(|(id, _)| self.commits[id].0[job] == wanted)
    }

    /// The commits below head at which the file says that a job passed, or was to run and has not.
    fn known_at(&self, head: Oid, job: usize) -> (Vec<Oid>, Vec<Oid>) {
        let below = self.ancestors(head);
        let lane = lane_of(JOBS[job]);
        let history = self.known.lanes.iter().find(|(id, _)| id.as_str() == lane);
        let of = |runs: &[plans::LaneRun]| -> Vec<Oid> {
            let about =
                runs.iter().filter(|run| run.jobs.iter().any(|it| it.as_str() == JOBS[job]));
            let ids = about.map(|run| run.commit.as_str().parse::<Oid>().expect("an id"));
            ids.filter(|id| below.contains(id)).collect()
        };
        history.map_or((Vec::new(), Vec::new()), |(_, it)| (of(&it.passed), of(&it.owed)))
    }

    /// Holds a plan against what is true.
    fn judge(&self, plan: &Plan, head: Oid, base: Oid, otherwise: Otherwise, seed: u64) {
        for (job, id) in JOBS.iter().enumerate() {
            let planned = plan.node(&format!("execute-{id}")).is_some();
            let (passed, owed) = self.known_at(head, job);
            let wanted = self.commits[&head].0[job];
            if !planned && !self.is_proven(head, job) {
                let of_base = otherwise == Otherwise::Base && passed.is_empty() && owed.is_empty();
                let same = self.commits[&base].0[job] == wanted;
                assert!(of_base && same, "history {seed}: `{id}` is skipped at {head}\n{plan:#?}");
            }
            // What passed at the newest commits that are known does not run again; a lane whose jobs
            // are defined together may.
            let newest = |at: &&Oid| {
                passed.iter().all(|other| other == *at || !self.ancestors(*other).contains(at))
            };
            let mut latest = passed.iter().filter(newest);
            if planned && !passed.is_empty() && (job < 2 || self.same_lane(head, &passed)) {
                let differs = latest.any(|at| self.commits[at].0[job] != wanted);
                assert!(differs, "history {seed}: `{id}` runs at {head} for nothing\n{plan:#?}");
            }
        }
    }

    /// Whether no definition of the shared lane differs from those of then.
    fn same_lane(&self, head: Oid, then: &[Oid]) -> bool {
        let definitions = |id: &Oid| self.commits[id].0.map(|(_, definition)| definition);
        then.iter().all(|id| definitions(id) == definitions(&head))
    }

    /// The plan is run, in whole, in part, or not at all, and written down somewhere, or not.
    fn run(&mut self, plan: &Plan, digest: &str, head: Oid) {
        let fate = self.random.below(10);
        // Replaced while it was pending.
        if fate == 0 {
            return;
        }
        let mut done: BTreeSet<String> = BTreeSet::new();
        for node in plan.nodes().iter().filter(|node| node.kind == NodeKind::Execute) {
            let cancelled = fate == 1 && self.random.below(2) == 0;
            if !cancelled && self.random.below(4) > 0 {
                done.insert(node.id.to_string());
                let job = node.id.as_str().trim_start_matches("execute-");
                let job = JOBS.iter().position(|id| *id == job).expect("one of the jobs");
                self.passed.insert((head, job));
            }
        }
        // The machine is gone with all that it knew.
        if fate == 2 {
            return;
        }
        self.runs += 1;
        let run = format!("{:06}", self.runs);
        let machine = self.random.below(3);
        for (lane, run) in lane_runs(plan, digest, &run, |id| done.contains(id.as_str())) {
            self.machines[machine].add(&lane, run);
        }
    }

    /// Files of machines arrive, or do not.
    fn merge(&mut self) {
        for machine in 0..3 {
            if self.random.below(3) > 0 {
                let text = self.machines[machine].to_json();
                self.known.merge(Passed::from_json(text.as_bytes()).expect("reads"));
            }
            if self.random.below(20) == 0 {
                self.machines[machine] = Passed::default();
            }
        }
        self.known.trim(|_| false);
    }
}

fn lane_of(job: &str) -> &str {
    if matches!(job, "one" | "two") { "both" } else { job }
}

fn tree_of(repository: &git2::Repository, state: &State) -> Oid {
    let command = |job: usize| format!("[\"run\", \"{}\"]", state[job].1);
    let mut manifest = "version = 1\n".to_owned();
    for (job, id) in JOBS.iter().enumerate().take(2) {
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
    for (job, id) in JOBS.iter().enumerate().skip(2) {
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

fn play(repository: &git2::Repository, seed: u64) -> usize {
    let mut forge = Forge::new(repository, seed);
    let mut plans = 0;
    for _ in 0..12 {
        let (head, base) = forge.event();
        let otherwise = *forge.random.pick(&[Otherwise::Base, Otherwise::Run]);
        let (plan, digest) = forge.plan(head, base, otherwise);
        forge.judge(&plan, head, base, otherwise, seed);
        forge.run(&plan, &digest, head);
        forge.merge();
        plans += 1;
    }
    plans
}

#[test]
fn whatever_happens_every_change_since_a_job_passed_has_been_run_or_is_planned() {
    let wanted = std::env::var("FORGE_LANES_HISTORIES").ok();
    let histories = wanted.map_or(60, |text| text.parse().expect("a number of histories"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let repository = git2::Repository::init_bare(directory.path()).expect("a repository");
    let plans: usize = (0..histories).map(|seed| play(&repository, seed)).sum();
    assert_eq!(plans, 12 * usize::try_from(histories).expect("small"));
}
