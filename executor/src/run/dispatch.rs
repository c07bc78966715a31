//! The run itself: starts attempts, puts what they report into one order, writes it down.
//!
//! One thread decides: every message (an attempt ended, a signal came, a pause is over) goes
//! through [`Dispatch::run`], from there to the [`Schedule`], and what the schedule answers is
//! journaled before it is done or told. Attempts run on threads of their own and only ever write
//! intents. Owns cancellation; does not own when a node may start, nor what an attempt does.

mod foresight;
mod tasks;
mod words;
mod worker;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::{BuildHasher as _, RandomState},
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use plans::{EnvName, FilesFrom, Node, NodeId, Placement, Plan};
use tracing::info;

use crate::{
    attempt::{AttemptRequest, AttemptResult, FilesNeeded},
    caches::Caches,
    clock,
    control::{Control, Level},
    event::{self, Event},
    fault::FailureKind,
    journal::{AttemptEnded, Entry, Journal, JournalError},
    ledger::{Begun, Ledger, NodeVerdict},
    locks::Waiting,
    outcome::Outcome,
    placements::Machines,
    reporters::Reporter,
    results::{Results, Reused},
    schedule::{self, Action, Because, Schedule},
    secrets::{self, Secrets},
    signals::Asked,
    source::SourceSpec,
    state::RunDir,
    workers::Workers,
};

use tasks::{schedule_of, taken_from};
use words::{stop_reason, why};
use worker::{JournalObserver, at_once, ending_of, facts_of, make_room, not_begun, terms_of, work};

/// What a run is, beside its plan.
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// Its nodes as this site runs them, by position.
    pub nodes: Vec<Arc<Node>>,
    /// How many milliseconds each usually takes, by position; absent: nobody knows.
    pub usual: Vec<Option<u64>>,
    /// Which of them are asked for.
    pub selected: Vec<bool>,
    /// Its directory.
    pub dir: RunDir,
    /// How many attempts run at once.
    pub jobs: NonZeroUsize,
    /// How often a node is tried again after its machine failed.
    pub infra_retries: u32,
    /// Whether nothing more is started after a failure.
    pub fail_fast: bool,
    /// What source trees are made from.
    pub source: SourceSpec,
    /// The values of the secrets.
    pub secrets: Secrets,
    /// What it does with results of earlier runs; absent: nothing.
    pub results: Option<Arc<Results>>,
    /// What it does with directories that outlive it; absent: no node has any.
    pub caches: Option<Arc<Caches>>,
    /// What host processes take from their machine's environment.
    pub pass_env: Vec<EnvName>,
    /// Between TERM and KILL for jobs that do not say.
    pub grace: Duration,
    /// How long a job runs that nobody answers for.
    pub lease: Duration,
}

/// What comes from other threads.
pub enum Message {
    /// An attempt ended.
    Ended {
        /// The task.
        task: usize,
        /// How.
        result: Box<AttemptResult>,
        /// How long it took.
        took: Duration,
    },
    /// An attempt waits for its locks among other runs, or somebody else has them by now.
    Waits {
        /// The task.
        task: usize,
        /// For what.
        waiting: Waiting,
    },
    /// It has its locks, and goes on when it hears of it, or when the other end is gone.
    Returns {
        /// The task.
        task: usize,
        /// What it listens to.
        go: Sender<()>,
    },
    /// Somebody asks the run to end.
    Asked(Asked),
}

/// How a dispatch ended.
#[derive(Debug)]
pub enum Dispatched {
    /// Every node has its verdict.
    Finished,
    /// It was left at once; jobs go on, and `resume` takes them up.
    Left,
    /// The journal cannot be written; what ran was ended, and `resume` goes on.
    Broken(JournalError),
}

/// The run while it goes on.
pub struct Dispatch<'a> {
    run: &'a Run,
    journal: Arc<Journal>,
    ledger: &'a mut Ledger,
    machines: Arc<Machines>,
    reporter: &'a mut dyn Reporter,
    schedule: Schedule,
    workers: Workers,
    sender: Sender<Message>,
    controls: BTreeMap<usize, Control>,
    /// Attempts that have their locks and wait for a slot; dropping one resumes it.
    returning: BTreeMap<usize, Sender<()>>,
    /// Attempts that said that they wait for other runs, and have a note of it in their directory.
    waiting: BTreeSet<usize>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    chance: RandomState,
    /// How often somebody asked for the end, and what was asked last.
    asked: u32,
    /// What asked first: decides between exit codes 130 and 143.
    pub asked_by: Option<Asked>,
    broken: Option<JournalError>,
    /// Prepare nodes of which everybody who uses them passed before, and where.
    spared: BTreeMap<usize, Reused>,
    /// The nodes whose artifacts others take.
    taken_from: BTreeSet<NodeId>,
    /// What happened and has not been told yet. Told only after everything that may start has been
    /// started: machines do not wait for a terminal.
    pending: Vec<Event>,
}

impl<'a> Dispatch<'a> {
    /// Makes a dispatch of what the ledger does not hold a verdict for. Before anything starts it looks for earlier results,
    /// until `before` rises.
    #[must_use]
    pub fn new(
        run: &'a Run,
        journal: Arc<Journal>,
        ledger: &'a mut Ledger,
        (machines, before): (Arc<Machines>, &Control),
        reporter: &'a mut dyn Reporter,
        sender: Sender<Message>,
    ) -> Self {
        let schedule = schedule_of(run);
        let spared = foresight::spared(run, ledger, (&machines, before));
        Self {
            spared,
            run,
            journal,
            ledger,
            machines,
            reporter,
            schedule,
            workers: Workers::default(),
            sender,
            controls: BTreeMap::new(),
            returning: BTreeMap::new(),
            waiting: BTreeSet::new(),
            due: BinaryHeap::new(),
            chance: RandomState::new(),
            asked: 0,
            asked_by: None,
            broken: None,
            taken_from: taken_from(&run.nodes),
            pending: Vec::new(),
        }
    }

    /// Runs until every node has its verdict or the run is left.
    pub fn run(mut self, messages: &Receiver<Message>) -> (Dispatched, Option<Asked>) {
        self.begin();
        self.tell_all();
        while !self.is_over() {
            let message = match self.due.peek() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(Reverse((at, _))) => {
                    messages.recv_timeout(at.saturating_duration_since(Instant::now()))
                }
            };
            match message {
                Ok(Message::Ended { task, result, took }) => self.ended(task, *result, took),
                Ok(Message::Waits { task, waiting }) => self.waits(task, &waiting),
                Ok(Message::Returns { task, go }) => self.returns(task, go),
                Ok(Message::Asked(by)) => {
                    self.asked_by.get_or_insert(by);
                    if self.asked >= 2 {
                        self.tell_all();
                        return (Dispatched::Left, self.asked_by);
                    }
                    self.stop(by);
                }
                Err(RecvTimeoutError::Timeout) => self.wake(),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this end holds a sender"),
            }
            self.tell_all();
        }
        let dispatched = match self.broken.take() {
            Some(error) => Dispatched::Broken(error),
            None => Dispatched::Finished,
        };
        (dispatched, self.asked_by)
    }

    fn is_over(&self) -> bool {
        if self.broken.is_some() { self.controls.is_empty() } else { self.schedule.is_done() }
    }

    fn begin(&mut self) {
        let (mut open, mut settled) = (Vec::new(), Vec::new());
        for task in 0..self.run.nodes.len() {
            let facts = self.ledger.node(task);
            if facts.verdict.is_some() {
                self.schedule.restore_verdict(task);
                continue;
            }
            let (mut own, mut infra) = (facts.own_failures, facts.infra_failures);
            if facts.open.is_some() {
                self.schedule.restore_running(task);
                open.push(task);
            } else if let Some(last) = &facts.last {
                // The process died between an attempt's end and what follows from it: the end is
                // told to the schedule once more.
                match last.facts.outcome {
                    Outcome::Failed | Outcome::TimedOut => own -= 1,
                    Outcome::InfraFailed => infra -= 1,
                    Outcome::Passed | Outcome::Cancelled | Outcome::Skipped => {}
                }
                self.schedule.restore_running(task);
                let terms = terms_of(&self.run.nodes[task].spec, &last.facts);
                settled.push((task, ending_of(&last.facts), terms));
            }
            self.schedule.restore_attempts(task, facts.attempts, own, infra);
        }
        // What is known already is told again, so that every stream tells every node once.
        for task in 0..self.run.nodes.len() {
            if self.ledger.node(task).verdict.is_some() {
                self.tell_finished(task);
            }
        }
        for &task in &open {
            let facts = self.ledger.node(task);
            let (attempt, begun) = (facts.attempts, facts.open.clone());
            self.launch(task, attempt, begun);
        }
        let (stopped, killed) = (self.ledger.stopping().is_some(), self.ledger.killed());
        let ledger = &*self.ledger;
        let verdict = |task: usize| ledger.node(task).verdict.as_ref().map(NodeVerdict::restored);
        let actions = self.schedule.begin(verdict, (stopped, killed));
        if stopped {
            self.asked = 1 + u32::from(killed);
            self.end_attempts(if killed { Level::Kill } else { Level::Cancel });
        }
        self.obey(actions);
        for (task, ending, failure) in settled {
            let ended = schedule::Event::Ended { task, ending, failure, chance: 0 };
            let actions = self.schedule.handle(ended);
            self.obey(actions);
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((at, task))) = self.due.peek() {
            if at > now {
                break;
            }
            self.due.pop();
            let actions = self.schedule.handle(schedule::Event::Due { task });
            self.obey(actions);
        }
    }

    /// Somebody asks for the end: the first time nothing more is started and what runs is given
    /// its grace, the second time it is killed.
    fn stop(&mut self, by: Asked) {
        self.asked += 1;
        let kill = self.asked > 1;
        let reason = stop_reason(&self.run.dir, by);
        info!(reason, kill, "the run is to end");
        self.note(Entry::Stopping { at: clock::now(), reason: reason.clone(), kill });
        self.tell(Event::RunStopping(event::RunStopping { reason, kill }));
        let level = if kill { Level::Kill } else { Level::Cancel };
        self.end_attempts(level);
        let event = if kill { schedule::Event::Kill } else { schedule::Event::Stop };
        let actions = self.schedule.handle(event);
        self.obey(actions);
    }

    /// Tells attempts to end, those that wait for a place among them; to cancel is no word to
    /// nodes that run in any case.
    fn end_attempts(&mut self, level: Level) {
        let schedule = &self.schedule;
        let ends = |task: usize| level > Level::Cancel || !schedule.outlives_a_stop(task);
        for (_, control) in self.controls.iter().filter(|(task, _)| ends(**task)) {
            control.raise(level);
        }
        self.returning.retain(|task, _| !ends(*task));
    }

    /// An attempt waits for what is another run's; what it uses of this run's limits is free for others.
    fn waits(&mut self, task: usize, waiting: &Waiting) {
        let node = &self.run.nodes[task].id;
        // For those who look from elsewhere; the run needs it no more than its terminal.
        let note = serde_json::to_vec(waiting).expect("plain data");
        let _ = std::fs::write(self.run.dir.waiting(node), note);
        self.waiting.insert(task);
        self.tell(Event::NodeWaiting(event::NodeWaiting::of(node.as_str(), waiting)));
        let actions = self.schedule.handle(schedule::Event::Aside { task });
        self.obey(actions);
    }

    /// It waits no more.
    fn waited(&mut self, task: usize) {
        if self.waiting.remove(&task) {
            self.remove_note(task);
        }
    }

    fn remove_note(&self, task: usize) {
        let _ = std::fs::remove_file(self.run.dir.waiting(&self.run.nodes[task].id));
    }

    /// An attempt that was parked has its locks.
    fn returns(&mut self, task: usize, go: Sender<()>) {
        self.waited(task);
        let node = self.run.nodes[task].id.as_str().to_owned();
        self.tell(Event::NodeWaited(event::NodeWaited { node, at: clock::now() }));
        let ends = self.controls.get(&task).is_none_or(|control| control.level() > Level::Run);
        if !ends {
            self.returning.insert(task, go);
        }
        let actions = self.schedule.handle(schedule::Event::Back { task });
        self.obey(actions);
    }

    fn ended(&mut self, task: usize, result: AttemptResult, took: Duration) {
        self.controls.remove(&task);
        self.returning.remove(&task);
        self.waited(task);
        let facts = facts_of(&result);
        let ending = ending_of(&facts);
        let node = &self.run.nodes[task];
        let failure = terms_of(&node.spec, &facts);
        for warning in &result.warnings {
            let node = Some(node.id.as_str().to_owned());
            let message = warning.clone();
            self.tell(Event::Warning(event::Warning { node, message }));
        }
        let ended = AttemptEnded {
            node: node.id.as_str().to_owned(),
            attempt: self.ledger.node(task).attempts,
            at: clock::now(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            facts,
            output: result.output,
        };
        if self.note(Entry::AttemptEnded(ended)) {
            let chance = (self.chance.hash_one((task, took)) & 0xffff) as u16;
            let ended = schedule::Event::Ended { task, ending, failure, chance };
            let actions = self.schedule.handle(ended);
            self.obey(actions);
        }
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            if self.broken.is_some() {
                return;
            }
            match action {
                Action::Start { task, attempt } => self.start(task, attempt),
                // One that is to end no longer listens.
                Action::Resume { task } => drop(self.returning.remove(&task)),
                Action::Wait { task, delay, .. } => {
                    info!(node = self.run.nodes[task].id.as_str(), ?delay, "tries again later");
                    self.due.push(Reverse((Instant::now() + delay, task)));
                    self.tell_retrying(task, delay);
                }
                Action::Finish { task, outcome, because } => self.finish(task, outcome, because),
            }
        }
    }

    fn start(&mut self, task: usize, attempt: u32) {
        let node = self.run.nodes[task].id.as_str().to_owned();
        let at = clock::now();
        if self.note(Entry::AttemptStarted { node, attempt, at }) {
            self.launch(task, attempt, None);
        }
    }

    /// Hands an attempt to a thread; `begun` is what an earlier process said it would make.
    fn launch(&mut self, task: usize, attempt: u32, begun: Option<Begun>) {
        let node = Arc::clone(&self.run.nodes[task]);
        self.tell(Event::NodeStarted(event::NodeStarted {
            node: node.id.as_str().to_owned(),
            attempt,
            at: clock::now(),
        }));
        if begun.is_some() {
            // What an earlier process of the run waited for.
            self.remove_note(task);
        }
        let began = Instant::now();
        let sender = self.sender.clone();
        let tell = move |result: AttemptResult| {
            // Nobody listens once the run was left.
            let _ = sender.send(Message::Ended {
                task,
                result: Box::new(result),
                took: began.elapsed(),
            });
        };
        let refuse = tell.clone();
        let control = match Control::new() {
            Ok(control) => control,
            Err(error) => return tell(not_begun(FailureKind::Io, "no cancel token", &error)),
        };
        self.controls.insert(task, control.clone());
        let dir = self.run.dir.node(&node.id);
        // Before the first intent an executor may have died on the way to it.
        let mut is_new = false;
        if begun.as_ref().is_none_or(|begun| begun.intents.is_empty()) {
            match make_room(&dir, attempt) {
                Ok(new) => is_new = new,
                Err(error) => {
                    return tell(not_begun(FailureKind::Io, "the node's directory", &error));
                }
            }
        }
        let request = self.request(task, attempt, &dir);
        // Of what an earlier process began, something may be left.
        if begun.is_none()
            && let Some(result) = at_once(&request, is_new, (&self.machines, &control))
        {
            return tell(result);
        }
        let observer = JournalObserver::new(
            Arc::clone(&self.journal),
            node.id.as_str(),
            attempt,
            (task, self.sender.clone()),
        );
        let machines = Arc::clone(&self.machines);
        let spawned = self.workers.run(move || {
            tell(work(&request, &machines, &control, &observer, begun));
        });
        if let Err(error) = spawned {
            refuse(not_begun(FailureKind::Io, "a thread for the attempt", &error));
        }
    }

    fn request(&self, task: usize, attempt: u32, dir: &Path) -> AttemptRequest {
        let node = &self.run.nodes[task];
        AttemptRequest {
            run: self.run.dir.id.as_str().to_owned(),
            node: Arc::clone(node),
            attempt,
            runs_dir: self.run.dir.runs_dir(),
            host_log: dir.join("host.log"),
            guest_log: dir.join("guest.log"),
            artifacts: dir.join("artifacts"),
            source: self.run.source.clone(),
            outputs: self.ledger.outputs(node),
            needs: self.ledger.values(node),
            files: self.files(node),
            reuse: self.run.asked(task, self.ledger.node(task).own_failures > 0),
            caches: self.run.caches.clone().filter(|_| !node.spec.caches.is_empty()),
            spared: self.spared.get(&task).cloned(),
            is_taken_from: self.taken_from.contains(&node.id),
            secrets: secrets::of_node(&self.run.secrets, node),
            pass_env: self.run.pass_env.iter().map(|name| name.as_str().to_owned()).collect(),
            grace: self.run.grace,
            lease: self.run.lease,
            max_jobs: match &node.spec.placement {
                Placement::Local => None,
                Placement::RemoteSsh(host) => Some(host.max_jobs),
            },
        }
    }

    /// What a node takes of the artifacts of others, and where those are.
    fn files(&self, node: &Node) -> Vec<FilesNeeded> {
        let files = node.takes.files.iter();
        let needed = |from: &FilesFrom| FilesNeeded {
            from: from.clone(),
            artifacts: self.run.dir.node(&from.node).join("artifacts"),
        };
        files.map(needed).collect()
    }

    fn finish(&mut self, task: usize, outcome: Outcome, because: Option<Because>) {
        let cause = match because {
            Some(Because::Dependency { outcome, .. }) => Some(outcome),
            Some(Because::NotNeeded { .. }) => Some(Outcome::Passed),
            _ => None,
        };
        let because = because.map(|because| why(because, task, self.run, self.ledger));
        let node = &self.run.nodes[task];
        let last = self.ledger.node(task).last.as_ref().filter(|_| outcome != Outcome::Skipped);
        let because = because.or_else(|| last.and_then(|last| last.facts.because.clone()));
        let tolerated = last.is_some_and(|last| {
            last.facts.outcome == outcome && terms_of(&node.spec, &last.facts).tolerated
        });
        let node = node.id.as_str().to_owned();
        info!(node, %outcome, tolerated, "verdict");
        if self.note(Entry::NodeFinished { node, outcome, tolerated, because, cause }) {
            self.tell_finished(task);
        }
    }

    fn tell(&mut self, event: Event) {
        self.pending.push(event);
    }

    fn tell_all(&mut self) {
        for event in std::mem::take(&mut self.pending) {
            if let Event::NodeFinished(node) = &event
                && node.attempts > 0
                && let Ok(id) = NodeId::new(node.node.as_str())
            {
                let text = serde_json::to_vec_pretty(&node.record).expect("plain data");
                // A copy for people: the journal holds it already, and the record will.
                let record = &node.record;
                let is_settled = record.outcome == Outcome::Passed
                    && record.warnings.is_empty()
                    && record.reused.is_none();
                let _ = self.run.dir.write_result(&id, node.attempts, is_settled, &text);
            }
            self.reporter.event(&event);
        }
    }

    fn tell_finished(&mut self, task: usize) {
        let node = self.ledger.node_record(&self.run.plan, task);
        self.tell(Event::NodeFinished(Box::new(event::NodeFinished::of(&node))));
    }

    fn tell_retrying(&mut self, task: usize, delay: Duration) {
        let Some(last) = &self.ledger.node(task).last else { return };
        let event = event::NodeRetrying {
            node: last.node.clone(),
            attempt: last.attempt,
            outcome: last.facts.outcome,
            exit_code: last.facts.exit_code,
            failure_kind: last.facts.failure_kind.clone(),
            message: last.facts.message.clone(),
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        };
        self.tell(Event::NodeRetrying(event));
    }

    /// Writes an entry down and takes it in; returns whether that worked. When it did not, the run
    /// cannot go on: what runs is ended, and what is known is in the journal.
    fn note(&mut self, entry: Entry) -> bool {
        if self.broken.is_some() {
            return false;
        }
        match self.journal.write(&entry) {
            Ok(()) => {
                self.ledger.apply(entry).expect("the entry is about a node of the plan");
                true
            }
            Err(error) => {
                let message = error.to_string();
                self.broken = Some(error);
                self.tell(Event::Warning(event::Warning { node: None, message }));
                self.controls.values().for_each(|control| control.raise(Level::Cancel));
                self.returning.clear();
                false
            }
        }
    }
}
