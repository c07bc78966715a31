//! Random histories of a forge, planned with what is known to have passed: no change is ever lost.
//!
//! The histories are those of [`crate::simulator`]: pushes of several commits, branches, merges of
//! each kind, queues, forced pushes, and runs that are started again. Here runs pass, fail,
//! are cancelled, lost with their machine, replaced before they start; what passed is written down
//! by several machines, and some of their files come late or never. After each of it, for every
//! job: either it is planned, or what it is about is, to the byte, what it passed with at a commit
//! that head builds upon. `FORGE_LANES_HISTORIES=10000` plays more of them.

use std::collections::{BTreeMap, BTreeSet};

use git2::Oid;
use planner::{
    ChangesFrom, Request, Wanted,
    git::BaseRequest,
    passed::{Otherwise, PassedFile},
    plan,
};
use plans::{NodeKind, Passed, Plan, lane_runs};

use crate::{
    histories::{CloneState, Place, play, wanted},
    sandbox::Numbers,
    simulator::{Event, Forge, Happened, JOBS, lane_of},
};

/// What is run, and what of it is known.
struct Runs<'a> {
    place: &'a Place<'a>,
    forge: &'a Forge<'a>,
    random: Numbers,
    positions: BTreeMap<Oid, usize>,
    /// What passed in truth.
    passed: BTreeSet<(usize, usize)>,
    /// What planning knows, and the files of machines that have not been merged into it.
    known: Passed,
    machines: [Passed; 3],
    runs: u32,
}

impl Runs<'_> {
    fn plan(&mut self, head: usize, base: usize, otherwise: Otherwise) -> (Plan, String) {
        let document = self.known.clone();
        let id = |commit: usize| self.forge.commits[commit].id.to_string();
        let request = Request {
            dir: self.place.whole.dir.clone(),
            head: Some(id(head)),
            changes: ChangesFrom::Base(BaseRequest::Exact(id(base))),
            passed: Some(PassedFile { document, digest: "sha256:0".to_owned(), otherwise }),
            wanted: Wanted::default(),
            ..Request::default()
        };
        let plan = plan(&request).expect("a plan").plan;
        let digest = plan.to_json().digest;
        (plan, digest)
    }

    /// Whether a job passed, in truth, with exactly this at a commit that head builds upon.
    fn is_proven(&self, head: usize, job: usize) -> bool {
        let state = |commit: usize| self.forge.commits[commit].state[job];
        self.passed.iter().any(|&(commit, of)| {
            of == job && self.forge.is_below(commit, head) && state(commit) == state(head)
        })
    }

    /// The commits below head at which the file says that a job passed, or was to run and has not.
    fn known_at(&self, head: usize, job: usize) -> (Vec<usize>, Vec<usize>) {
        let lane = lane_of(JOBS[job]);
        let history = self.known.lanes.iter().find(|(id, _)| id.as_str() == lane);
        let of = |runs: &[plans::LaneRun]| -> Vec<usize> {
            let about =
                runs.iter().filter(|run| run.jobs.iter().any(|it| it.as_str() == JOBS[job]));
            let ids = about.map(|run| run.commit.as_str().parse::<Oid>().expect("an id"));
            ids.map(|id| self.positions[&id])
                .filter(|&commit| self.forge.is_below(commit, head))
                .collect()
        };
        history.map_or((Vec::new(), Vec::new()), |(_, it)| (of(&it.passed), of(&it.owed)))
    }

    /// Holds a plan against what is true.
    fn judge(&self, plan: &Plan, head: usize, base: usize, otherwise: Otherwise, seed: u64) {
        for (job, id) in JOBS.iter().enumerate() {
            let planned = plan.node(&format!("execute-{id}")).is_some();
            let (passed, owed) = self.known_at(head, job);
            let state = |commit: usize| self.forge.commits[commit].state[job];
            let wanted = state(head);
            if !planned && !self.is_proven(head, job) {
                let of_base = otherwise == Otherwise::Base && passed.is_empty() && owed.is_empty();
                let same = state(base) == wanted;
                assert!(of_base && same, "history {seed}: `{id}` is skipped at {head}\n{plan:#?}");
            }
            // What passed at the newest commits that are known does not run again; a lane whose jobs
            // are defined together may.
            let newest = |at: &&usize| {
                passed.iter().all(|other| other == *at || !self.forge.is_below(**at, *other))
            };
            let mut latest = passed.iter().filter(newest);
            if planned && !passed.is_empty() && (job < 4 || self.same_lane(head, &passed)) {
                let differs = latest.any(|&at| state(at) != wanted);
                assert!(differs, "history {seed}: `{id}` runs at {head} for nothing\n{plan:#?}");
            }
        }
    }

    /// Whether no definition of the shared lane differs from those of then.
    fn same_lane(&self, head: usize, then: &[usize]) -> bool {
        let definitions =
            |commit: &usize| self.forge.commits[*commit].state.map(|(_, definition)| definition);
        then.iter().all(|commit| definitions(commit) == definitions(&head))
    }

    /// The plan is run, in whole, in part, or not at all, and written down somewhere, or not.
    fn run(&mut self, plan: &Plan, digest: &str, head: usize) {
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

/// The commit that an event is about, and one that was there before.
fn compared(forge: &Forge<'_>, happened: &Happened, merged: bool) -> (usize, usize) {
    let default = forge.moments[happened.moment].branches[forge.default];
    match happened.event {
        Event::Push { before, after, .. } => (after, before.unwrap_or(default)),
        Event::Request { onto, merge, .. } if merged => (merge, onto),
        Event::Request { onto, head, .. } | Event::Queue { onto, head, .. } => (head, onto),
        Event::Tag { at, .. } => (at, default),
    }
}

fn one(place: &Place<'_>, seed: u64) -> usize {
    let mut forge = Forge::new(place.memory, seed, true);
    forge.play(12);
    place.fill_whole();
    place
        .whole
        .set(&CloneState { head: format!("{}\n", forge.commits[0].id), ..CloneState::default() });
    let forge = &forge;
    let mut runs = Runs {
        place,
        forge,
        random: Numbers(!seed),
        positions: forge.commits.iter().enumerate().map(|(at, it)| (it.id, at)).collect(),
        passed: BTreeSet::new(),
        known: Passed::default(),
        machines: [const { None }; 3].map(|_: Option<()>| Passed::default()),
        runs: 0,
    };
    let mut plans = 0;
    let mut happens = |runs: &mut Runs<'_>, happened: &Happened| {
        let (head, base) = compared(forge, happened, runs.random.below(2) == 0);
        let otherwise = *runs.random.pick(&[Otherwise::Base, Otherwise::Run]);
        let (plan, digest) = runs.plan(head, base, otherwise);
        runs.judge(&plan, head, base, otherwise, seed);
        runs.run(&plan, &digest, head);
        runs.merge();
        plans += 1;
    };
    for (at, happened) in forge.events.iter().enumerate() {
        happens(&mut runs, happened);
        // A run is started again, that of another event now and then.
        while runs.random.below(8) == 0 {
            let again = runs.random.below(at + 1);
            happens(&mut runs, &forge.events[again]);
        }
    }
    plans
}

#[test]
#[expect(clippy::print_stdout, reason = "figures of many histories are kept")]
fn whatever_happens_every_change_since_a_job_passed_has_been_run_or_is_planned() {
    let plans = play(wanted(40), one);
    let (histories, plans) = (plans.len(), plans.iter().sum::<usize>());
    println!("histories {histories}, plans {plans}");
    assert!(plans > 0);
}
