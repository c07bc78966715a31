//! When a node starts: a pure state machine, (state, event) -> (state, actions).
//!
//! Owns order, limits, retries, skips. Knows no thread, clock, process, file or plan document:
//! time comes in as events, chance as a number, and tasks are positions. The dispatcher does what
//! the actions say and reports back what happened.
//!
//! No step looks at all tasks: a task that must wait for a resource is parked at that resource and
//! comes back when the resource is given back, so that a run costs `O((V + E) log V)` whatever its
//! shape.

mod order;
mod settle;
mod terms;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
};

use plans::RunIf;

use self::{
    order::{backoff, index, rank},
    settle::{Bad, Settled},
};
pub use self::{
    settle::Restored,
    terms::{Action, Because, Ending, Event, FailureTerms, RunLimits, Task},
};
use crate::outcome::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Tasks it waits for have no verdict yet.
    Waiting,
    /// In the queue of what may start, or parked at a resource.
    Ready,
    Running,
    /// An attempt was begun and waits for its locks, or for a slot again.
    Aside,
    /// Between two attempts.
    Pausing,
    Done,
}

#[derive(Debug, Clone)]
struct TaskState {
    state: State,
    open_dependencies: u32,
    /// Attempts that were started.
    attempts: u32,
    own_failures: u32,
    infra_failures: u32,
    /// How the last attempt ended.
    last: Option<Outcome>,
    /// Whether that is a failure which does not count.
    tolerated: bool,
    /// Of those it waits for: one that counts as failed, and one that did not pass otherwise.
    failed: Option<Because>,
    kept: Option<Because>,
    /// Whether that one had to pass.
    unmet: bool,
    /// Whether one it waits for was to run, or it waits for none.
    asked: bool,
    /// Whether those that wait for it know its verdict.
    settled: bool,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    tasks: Vec<Task>,
    states: Vec<TaskState>,
    dependents: Vec<Vec<u32>>,
    limits: RunLimits,
    used: Vec<usize>,
    running: usize,
    /// Task at each rank, and rank of each task: longer paths first, then canonical order.
    by_rank: Vec<u32>,
    ranks: Vec<u32>,
    ready: BinaryHeap<Reverse<u32>>,
    /// Tasks that were parked and have their locks, the longest first.
    back: VecDeque<usize>,
    parked: Vec<BTreeSet<u32>>,
    open: usize,
    stopped: Option<Stopped>,
    actions: Vec<Action>,
}

/// How far a run is stopped; each hides those before it.
#[derive(Debug, Clone, Copy)]
enum Stopped {
    /// After the first failure: what handles failures, and what runs in any case, still starts.
    FailFast { task: usize },
    /// Somebody ends the run: what runs in any case still starts.
    Asked,
    /// Somebody ends it at once.
    Kill,
}

impl Schedule {
    /// Takes over tasks of which none depends on a later one.
    #[must_use]
    pub fn new(tasks: Vec<Task>, limits: RunLimits) -> Self {
        let mut dependents = vec![Vec::new(); tasks.len()];
        let mut states = Vec::with_capacity(tasks.len());
        for (position, task) in tasks.iter().enumerate() {
            for &dependency in &task.depends_on {
                assert!(dependency < position, "tasks come in the order of their graph");
                dependents[dependency].push(index(position));
            }
            states.push(TaskState {
                state: State::Waiting,
                open_dependencies: index(task.depends_on.len()),
                attempts: 0,
                own_failures: 0,
                infra_failures: 0,
                last: None,
                tolerated: false,
                failed: None,
                kept: None,
                unmet: false,
                asked: task.depends_on.len() == task.uses.len(),
                settled: false,
            });
        }
        let (by_rank, ranks) = rank(&tasks, &dependents);
        Self {
            used: vec![0; limits.resources.len()],
            parked: vec![BTreeSet::new(); limits.resources.len()],
            open: tasks.len(),
            tasks,
            states,
            dependents,
            limits,
            running: 0,
            by_rank,
            ranks,
            ready: BinaryHeap::new(),
            back: VecDeque::new(),
            stopped: None,
            actions: Vec::new(),
        }
    }

    /// Before [`Self::begin`]: this task has its verdict from an earlier process.
    pub fn restore_verdict(&mut self, task: usize) {
        self.states[task].state = State::Done;
        self.open -= 1;
    }

    /// Before [`Self::begin`]: this many attempts of the task were used up by an earlier process.
    pub fn restore_attempts(&mut self, task: usize, attempts: u32, own: u32, infra: u32) {
        let state = &mut self.states[task];
        (state.attempts, state.own_failures, state.infra_failures) = (attempts, own, infra);
        state.last = match (own, infra) {
            (0, 0) => None,
            (0, _) => Some(Outcome::InfraFailed),
            _ => Some(Outcome::Failed),
        };
    }

    /// Before [`Self::begin`]: an attempt of this task is running already. It counts against every
    /// limit, even one that is lower now than when it was started.
    pub fn restore_running(&mut self, task: usize) {
        self.states[task].state = State::Running;
        self.occupy(task);
    }

    /// Starts the run. `verdict` tells the restored verdicts; `stopped` and `killed` whether the
    /// earlier process had been told to end, once or more.
    pub fn begin(
        &mut self,
        verdict: impl Fn(usize) -> Option<Restored>,
        (stopped, killed): (bool, bool),
    ) -> Vec<Action> {
        for task in 0..self.tasks.len() {
            if self.states[task].state == State::Waiting && !self.tasks[task].selected {
                self.finish(task, Outcome::Skipped, Some(Because::NotSelected));
            }
        }
        // Canonical order, so whatever a task waits for has been dealt with when its turn comes.
        for task in 0..self.tasks.len() {
            match self.states[task].state {
                State::Done if self.states[task].settled => {}
                State::Done if !self.tasks[task].selected => {
                    self.settle(task, Settled::NotAsked);
                }
                State::Done => {
                    let known = verdict(task).expect("a restored verdict is known");
                    let settled = self.restored(task, known);
                    self.settle(task, settled);
                }
                State::Waiting if self.states[task].open_dependencies == 0 => self.decide(task),
                _ => {}
            }
        }
        if stopped {
            self.stop(if killed { Stopped::Kill } else { Stopped::Asked });
        } else if self.limits.fail_fast {
            let failed = |&task: &usize| {
                verdict(task).is_some_and(|known| known.outcome >= Outcome::InfraFailed)
            };
            if let Some(task) = (0..self.tasks.len()).find(failed) {
                self.stop(Stopped::FailFast { task });
            }
        }
        self.fill();
        std::mem::take(&mut self.actions)
    }

    /// Takes in what happened and returns what is to be done.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Ended { task, ending, failure, chance } => {
                self.ended(task, ending, failure, chance);
            }
            Event::Aside { task } => {
                if self.states[task].state == State::Running {
                    self.states[task].state = State::Aside;
                    self.running -= 1;
                }
            }
            Event::Back { task } => {
                if self.states[task].state == State::Aside {
                    self.back.push_back(task);
                }
            }
            Event::Due { task } => {
                if self.states[task].state == State::Pausing {
                    self.make_ready(task);
                }
            }
            Event::Stop => self.stop(Stopped::Asked),
            Event::Kill => self.stop(Stopped::Kill),
        }
        self.fill();
        std::mem::take(&mut self.actions)
    }

    /// Returns whether every task has its verdict.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open == 0
    }

    /// Returns how many tasks run now, without those that are parked.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    fn ended(&mut self, task: usize, ending: Ending, failure: FailureTerms, chance: u16) {
        self.give_back(task);
        let own = matches!(ending, Ending::Failed | Ending::TimedOut);
        self.states[task].last = Some(ending.outcome());
        self.states[task].tolerated = own && failure.tolerated;
        let retry = match ending {
            Ending::Failed | Ending::TimedOut => {
                self.states[task].own_failures += 1;
                failure.again && self.states[task].own_failures <= self.tasks[task].retries
            }
            Ending::Infra => {
                self.states[task].infra_failures += 1;
                self.states[task].infra_failures <= self.limits.infra_retries
            }
            Ending::Passed | Ending::Cancelled | Ending::InfraPermanent => false,
        };
        if retry && self.stopped.is_none() {
            self.states[task].state = State::Pausing;
            let state = &self.states[task];
            let failures = if ending == Ending::Infra { state.infra_failures } else { 1 };
            let delay = backoff(failures, chance);
            self.actions.push(Action::Wait { task, delay, attempt: state.attempts + 1 });
            return;
        }
        let outcome = ending.outcome();
        self.finish(task, outcome, None);
        if outcome == Outcome::Passed || self.states[task].tolerated {
            self.settle(task, Settled::Good);
        } else {
            self.settle(task, Settled::Bad(Bad::of(task, outcome)));
            if self.limits.fail_fast && outcome != Outcome::Cancelled {
                self.stop(Stopped::FailFast { task });
            }
        }
    }

    /// Returns whether a task is none of a stopped run's business: a stop neither keeps it from
    /// starting nor ends it.
    #[must_use]
    pub fn outlives_a_stop(&self, task: usize) -> bool {
        self.tasks[task].run_if == RunIf::Always
    }

    fn stop(&mut self, how: Stopped) {
        if self.stopped.is_some_and(|before| before.level() >= how.level()) {
            return;
        }
        self.stopped = Some(how);
        let because = how.because();
        let goes_on = |task: &Task| match how {
            Stopped::FailFast { .. } => task.run_if != RunIf::Passed,
            Stopped::Asked => task.run_if == RunIf::Always,
            Stopped::Kill => false,
        };
        self.ready.clear();
        self.parked.iter_mut().for_each(BTreeSet::clear);
        for task in 0..self.tasks.len() {
            // No attempt is made again in a run that ends.
            let state = &self.states[task];
            if state.state == State::Ready && state.last.is_none() && goes_on(&self.tasks[task]) {
                self.make_ready(task);
            }
        }
        for task in 0..self.tasks.len() {
            match self.states[task].state {
                State::Pausing => self.finish_stopped(task, because),
                State::Ready if self.states[task].last.is_some() => {
                    self.finish_stopped(task, because)
                }
                State::Waiting | State::Ready if !goes_on(&self.tasks[task]) => {
                    self.finish_stopped(task, because);
                }
                _ => {}
            }
        }
    }

    /// A task that waits for its next attempt has its answer already: the one of the last.
    fn finish_stopped(&mut self, task: usize, because: Because) {
        match self.states[task].last {
            Some(outcome) => {
                self.finish(task, outcome, None);
                let settled = match self.states[task].tolerated {
                    true => Settled::Good,
                    false => Settled::Bad(Bad::of(task, outcome)),
                };
                self.settle(task, settled);
            }
            None => self.skip(task, because),
        }
    }

    fn finish(&mut self, task: usize, outcome: Outcome, because: Option<Because>) {
        debug_assert!(self.states[task].state != State::Done, "one verdict each");
        self.states[task].state = State::Done;
        self.open -= 1;
        self.actions.push(Action::Finish { task, outcome, because });
    }

    fn make_ready(&mut self, task: usize) {
        self.states[task].state = State::Ready;
        self.ready.push(Reverse(self.ranks[task]));
    }

    fn occupy(&mut self, task: usize) {
        self.running += 1;
        for &resource in &self.tasks[task].resources {
            self.used[resource] += 1;
        }
    }

    fn is_full(&self, resource: usize) -> bool {
        self.used[resource] >= self.limits.resources[resource]
    }

    fn give_back(&mut self, task: usize) {
        match self.states[task].state {
            State::Aside => self.back.retain(|&back| back != task),
            state => {
                debug_assert!(state == State::Running, "only a running task ends");
                self.running -= 1;
            }
        }
        for position in 0..self.tasks[task].resources.len() {
            let resource = self.tasks[task].resources[position];
            self.used[resource] -= 1;
            self.unpark(resource);
        }
    }

    /// Lets the first of those parked at a resource try again, if it has a unit left.
    fn unpark(&mut self, resource: usize) {
        if !self.is_full(resource)
            && let Some(rank) = self.parked[resource].pop_first()
        {
            self.ready.push(Reverse(rank));
        }
    }

    /// Lets go on and starts what may. What was begun comes first, also when nothing more is started.
    fn fill(&mut self) {
        while self.running < self.limits.jobs.get()
            && let Some(task) = self.back.pop_front()
        {
            self.states[task].state = State::Running;
            self.running += 1;
            self.actions.push(Action::Resume { task });
        }
        while self.running < self.limits.jobs.get() {
            let Some(Reverse(rank)) = self.ready.pop() else { return };
            let task = self.by_rank[rank as usize] as usize;
            if self.states[task].state != State::Ready {
                // A stop gave it its verdict after it had its turn.
                continue;
            }
            let full = self.tasks[task].resources.iter().copied().find(|&r| self.is_full(r));
            if let Some(full) = full {
                self.parked[full].insert(rank);
                // It may have been let out for a resource that it now leaves to the next one.
                for position in 0..self.tasks[task].resources.len() {
                    let resource = self.tasks[task].resources[position];
                    if resource != full {
                        self.unpark(resource);
                    }
                }
                continue;
            }
            self.states[task].state = State::Running;
            self.states[task].attempts += 1;
            self.occupy(task);
            let attempt = self.states[task].attempts;
            self.actions.push(Action::Start { task, attempt });
            // More than one unit may have come free while only one was let out.
            for position in 0..self.tasks[task].resources.len() {
                let resource = self.tasks[task].resources[position];
                self.unpark(resource);
            }
        }
    }
}

#[cfg(test)]
mod shapes;
#[cfg(test)]
#[path = "schedule/tests.rs"]
mod tests;
