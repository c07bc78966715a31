//! The properties of the state machine, over random graphs, limits and fates.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
};

use proptest::prelude::*;

use super::*;

/// What the outside does with the attempts of a task.
#[derive(Debug, Clone)]
struct Fate {
    /// How attempt 1, 2, … end; the last one repeats.
    endings: Vec<Ending>,
    /// What its failures mean.
    failure: FailureTerms,
}

#[derive(Debug, Clone)]
struct World {
    tasks: Vec<Task>,
    fates: Vec<Fate>,
    limits: RunLimits,
    /// After how many events the run is stopped.
    stop_after: Option<usize>,
    /// After how many more it is stopped at once.
    kill_after: Option<usize>,
    /// Picks which running attempt ends next.
    picks: Vec<usize>,
}

impl World {
    /// What others make of a verdict.
    fn counts_as(&self, task: usize, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed | Outcome::TimedOut if self.fates[task].failure.tolerated => {
                Outcome::Passed
            }
            other => other,
        }
    }
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        8 => Just(Ending::Passed),
        2 => Just(Ending::Failed),
        1 => Just(Ending::TimedOut),
        2 => Just(Ending::Infra),
        1 => Just(Ending::InfraPermanent),
        1 => Just(Ending::Cancelled),
    ]
}

fn run_if() -> impl Strategy<Value = RunIf> {
    prop_oneof![3 => Just(RunIf::Passed), 1 => Just(RunIf::Failed), 1 => Just(RunIf::Always)]
}

fn world() -> impl Strategy<Value = World> {
    (1usize..24, 0usize..4).prop_flat_map(|(len, resources)| {
        let task = (
            prop::collection::btree_set(0usize..len, 0..4),
            prop::collection::btree_set(0..resources.max(1), 0..3),
            0u32..3,
            prop::bool::weighted(0.9),
            (run_if(), any::<u8>()),
        );
        let terms = (prop::bool::weighted(0.7), prop::bool::weighted(0.3))
            .prop_map(|(again, tolerated)| FailureTerms { again, tolerated });
        let fate = (prop::collection::vec(ending(), 1..4), terms)
            .prop_map(|(endings, failure)| Fate { endings, failure });
        (
            prop::collection::vec(task, len),
            prop::collection::vec(fate, len),
            (1usize..5, prop::collection::vec(1usize..3, resources), 0u32..3, any::<bool>()),
            (prop::option::weighted(0.3, 0usize..40), prop::option::weighted(0.3, 0usize..10)),
            prop::collection::vec(any::<usize>(), 1..32),
        )
            .prop_map(
                move |(
                    tasks,
                    fates,
                    (jobs, capacity, infra_retries, fail_fast),
                    (stop_after, kill_after),
                    picks,
                )| {
                    let tasks = tasks
                        .into_iter()
                        .enumerate()
                        .map(|(position, (depends_on, used, retries, selected, (run_if, odd)))| {
                            Task {
                                uses: depends_on
                                    .iter()
                                    .copied()
                                    .filter(|&d| d < position && (odd >> (d % 8)) & 3 == 3)
                                    .collect(),
                                depends_on: depends_on
                                    .into_iter()
                                    .filter(|&d| d < position)
                                    .collect(),
                                run_if,
                                resources: used.into_iter().filter(|&r| r < resources).collect(),
                                retries,
                                usual_ms: (odd & 1 == 1).then_some(u64::from(odd)),
                                selected,
                            }
                        })
                        .collect();
                    let jobs = NonZeroUsize::new(jobs).expect("at least one");
                    let limits = RunLimits { jobs, resources: capacity, infra_retries, fail_fast };
                    World { tasks, fates, limits, stop_after, kill_after, picks }
                },
            )
    })
}

/// Plays a world to its end and checks what must hold at every step.
struct Player<'a> {
    world: &'a World,
    schedule: Schedule,
    running: Vec<usize>,
    /// Attempts that wait for other runs, and of those the ones that have their turn.
    parked: Vec<usize>,
    back: Vec<usize>,
    due: VecDeque<usize>,
    starts: Vec<u32>,
    verdicts: BTreeMap<usize, (Outcome, Option<Because>)>,
    stopped: bool,
    killed: bool,
}

impl<'a> Player<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            world,
            schedule: Schedule::new(world.tasks.clone(), world.limits.clone()),
            running: Vec::new(),
            parked: Vec::new(),
            back: Vec::new(),
            due: VecDeque::new(),
            starts: vec![0; world.tasks.len()],
            verdicts: BTreeMap::new(),
            stopped: false,
            killed: false,
        }
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { task, attempt } => {
                    let run_if = self.world.tasks[task].run_if;
                    assert!(!self.stopped || run_if == RunIf::Always, "only what always runs");
                    assert!(!self.stopped || attempt == 1, "and that only once");
                    assert!(!self.killed, "nothing starts after the second stop");
                    assert!(self.world.tasks[task].selected, "only what was asked for starts");
                    assert!(!self.verdicts.contains_key(&task), "a verdict is final");
                    assert!(!self.running.contains(&task), "one attempt at a time");
                    assert_eq!(attempt, self.starts[task] + 1, "attempts are counted");
                    self.may_run(task);
                    self.starts[task] += 1;
                    self.running.push(task);
                }
                Action::Resume { task } => {
                    let at = self.back.iter().position(|&back| back == task);
                    self.back.swap_remove(at.expect("only who asked for it goes on"));
                    self.running.push(task);
                }
                Action::Wait { task, attempt, .. } => {
                    assert_eq!(attempt, self.starts[task] + 1);
                    self.due.push_back(task);
                }
                Action::Finish { task, outcome, because } => {
                    assert_eq!(because.is_some(), outcome == Outcome::Skipped, "a reason each");
                    assert!(!self.running.contains(&task), "no verdict while it runs");
                    let before = self.verdicts.insert(task, (outcome, because));
                    assert!(before.is_none(), "exactly one verdict");
                }
            }
        }
        assert!(self.running.len() <= self.world.limits.jobs.get(), "never over `jobs`");
        assert_eq!(self.running.len(), self.schedule.running());
        for (resource, &capacity) in self.world.limits.resources.iter().enumerate() {
            let used = |task: &&usize| self.world.tasks[**task].resources.contains(&resource);
            let begun = self.running.iter().chain(&self.parked).chain(&self.back);
            assert!(begun.filter(used).count() <= capacity, "never over a limit");
        }
    }

    /// Checks against the words of `run_if`, in the plainest way.
    fn may_run(&self, task: usize) {
        let Task { depends_on, uses, run_if, .. } = &self.world.tasks[task];
        let counts = |&dependency: &usize| {
            let verdict = self.verdicts.get(&dependency).expect("never before it").0;
            let taken = !self.world.tasks[dependency].selected;
            if taken { Outcome::Passed } else { self.world.counts_as(dependency, verdict) }
        };
        let ended: Vec<Outcome> = depends_on.iter().map(counts).collect();
        let used = uses.iter().map(counts).all(|outcome| outcome == Outcome::Passed);
        assert!(used, "what it uses is there");
        match run_if {
            RunIf::Always => {}
            RunIf::Passed => assert!(ended.iter().all(|&outcome| outcome == Outcome::Passed)),
            RunIf::Failed => {
                let alone = depends_on
                    .iter()
                    .filter(|d| !uses.contains(d))
                    .all(|&d| !self.world.tasks[d].selected);
                assert!(alone || depends_on.iter().any(|&d| self.is_failure(d)), "a failure");
            }
        }
    }

    /// Whether a task failed, or was skipped because one before it did.
    fn is_failure(&self, task: usize) -> bool {
        let Some(&(outcome, because)) = self.verdicts.get(&task) else { return false };
        match because {
            Some(Because::Dependency { task, outcome }) => {
                self.world.counts_as(task, outcome) >= Outcome::InfraFailed
            }
            Some(_) => false,
            None => self.world.counts_as(task, outcome) >= Outcome::InfraFailed,
        }
    }

    fn ending(&self, task: usize) -> Ending {
        let endings = &self.world.fates[task].endings;
        endings[(self.starts[task] as usize - 1).min(endings.len() - 1)]
    }

    fn ended(&self, task: usize) -> Event {
        let failure = self.world.fates[task].failure;
        Event::Ended { task, ending: self.ending(task), failure, chance: 7 }
    }

    fn play(mut self) -> BTreeMap<usize, (Outcome, Option<Because>)> {
        let actions = self.schedule.begin(|_| None, (false, false));
        self.obey(actions);
        let mut steps = 0;
        let mut stopped_at = 0;
        while !self.schedule.is_done() {
            steps += 1;
            assert!(steps < 2_000, "it always terminates");
            if self.world.stop_after.is_some_and(|after| steps > after) && !self.stopped {
                let actions = self.schedule.handle(Event::Stop);
                self.stopped = true;
                stopped_at = steps;
                self.obey(actions);
                continue;
            }
            if self.stopped
                && !self.killed
                && self.world.kill_after.is_some_and(|after| steps > stopped_at + after)
            {
                let actions = self.schedule.handle(Event::Kill);
                self.killed = true;
                self.obey(actions);
                continue;
            }
            let pick = self.world.picks[steps % self.world.picks.len()];
            let event = if !self.parked.is_empty()
                && (pick.is_multiple_of(2) || self.running.is_empty())
            {
                let task = self.parked.swap_remove(pick % self.parked.len());
                if pick.is_multiple_of(5) {
                    // Nobody takes turns there, or the run was stopped.
                    self.ended(task)
                } else {
                    self.back.push(task);
                    Event::Back { task }
                }
            } else if self.running.is_empty() || (pick.is_multiple_of(3) && !self.due.is_empty()) {
                let task = self.due.pop_front().expect("who waits for nothing runs");
                Event::Due { task }
            } else if pick.is_multiple_of(7) && steps < 500 {
                let task = self.running.swap_remove(pick % self.running.len());
                self.parked.push(task);
                Event::Aside { task }
            } else {
                let task = self.running.swap_remove(pick % self.running.len());
                self.ended(task)
            };
            let actions = self.schedule.handle(event);
            self.obey(actions);
        }
        assert!(self.running.is_empty() && self.parked.is_empty() && self.back.is_empty());
        assert_eq!(self.verdicts.len(), self.world.tasks.len(), "every task has a verdict");
        for (task, run) in self.world.tasks.iter().enumerate() {
            let used = |&d: &usize| {
                let taken = !self.world.tasks[d].selected;
                taken || self.world.counts_as(d, self.verdicts[&d].0) == Outcome::Passed
            };
            if run.run_if == RunIf::Always && run.selected && run.uses.iter().all(used) {
                assert!(self.starts[task] > 0 || self.killed, "what always runs has run");
            }
        }
        for (task, &starts) in self.starts.iter().enumerate() {
            let most = 1 + self.world.tasks[task].retries + self.world.limits.infra_retries;
            assert!(starts <= most, "retries are counted");
        }
        self.verdicts
    }
}

proptest! {
    #[test]
    fn every_task_gets_one_verdict_within_every_limit(world in world()) {
        Player::new(&world).play();
    }

    #[test]
    fn a_skip_names_a_task_that_did_not_pass(world in world()) {
        let verdicts = Player::new(&world).play();
        for (task, (_, because)) in &verdicts {
            match because {
                Some(Because::Dependency { task: cause, outcome }) => {
                    prop_assert!(cause < task);
                    prop_assert_eq!(verdicts[cause].0, *outcome);
                    let counts = world.counts_as(*cause, *outcome);
                    prop_assert!(!matches!(counts, Outcome::Passed | Outcome::Skipped));
                }
                Some(Because::FailFast { task: cause }) => {
                    prop_assert!(world.limits.fail_fast);
                    let counts = world.counts_as(*cause, verdicts[cause].0);
                    prop_assert!(counts >= Outcome::InfraFailed);
                }
                Some(Because::Stopped) => prop_assert!(world.stop_after.is_some()),
                Some(Because::NotNeeded { task: cause }) => {
                    prop_assert!(cause <= task);
                    prop_assert_eq!(world.tasks[*cause].run_if, RunIf::Failed);
                    for &before in &world.tasks[*cause].depends_on {
                        let counts = world.counts_as(before, verdicts[&before].0);
                        prop_assert!(counts <= Outcome::Skipped);
                    }
                }
                Some(Because::NotSelected) => prop_assert!(!world.tasks[*task].selected),
                None => prop_assert!(world.tasks[*task].selected),
            }
        }
    }

    /// A process that dies after any number of verdicts is followed by one that decides the same
    /// about everything that does not depend on luck.
    #[test]
    fn a_restored_run_reaches_the_verdicts_of_an_unbroken_one(
        mut world in world(), known in 0usize..24,
    ) {
        world.stop_after = None;
        world.limits.fail_fast = false;
        let whole = Player::new(&world).play();
        let mut player = Player::new(&world);
        let known: BTreeMap<usize, Restored> = whole
            .iter()
            .filter(|(task, _)| **task < known)
            .map(|(&task, &(outcome, because))| {
                let cause = match because {
                    Some(Because::Dependency { outcome, .. }) => Some(outcome),
                    Some(Because::NotNeeded { .. }) => Some(Outcome::Passed),
                    _ => None,
                };
                (task, Restored { outcome: world.counts_as(task, outcome), cause })
            })
            .collect();
        for &task in known.keys() {
            player.schedule.restore_verdict(task);
            player.verdicts.insert(task, whole[&task]);
        }
        let actions = player.schedule.begin(|task| known.get(&task).copied(), (false, false));
        player.obey(actions);
        let mut steps = 0;
        while !player.schedule.is_done() {
            steps += 1;
            prop_assert!(steps < 2_000);
            let event = if let Some(task) = player.running.pop() {
                player.ended(task)
            } else {
                Event::Due { task: player.due.pop_front().expect("somebody waits") }
            };
            let actions = player.schedule.handle(event);
            player.obey(actions);
        }
        let outcomes = |verdicts: &BTreeMap<usize, (Outcome, Option<Because>)>| -> Vec<Outcome> {
            verdicts.values().map(|verdict| verdict.0).collect()
        };
        prop_assert_eq!(outcomes(&whole), outcomes(&player.verdicts));
    }
}

fn limits(jobs: usize, resources: Vec<usize>) -> RunLimits {
    let jobs = NonZeroUsize::new(jobs).expect("at least one");
    RunLimits { jobs, resources, infra_retries: 2, fail_fast: false }
}

fn task(depends_on: &[usize], resources: &[usize]) -> Task {
    let (depends_on, resources) = (depends_on.to_vec(), resources.to_vec());
    Task { depends_on, resources, selected: true, ..Task::default() }
}

fn ended(task: usize, ending: Ending) -> Event {
    Event::Ended { task, ending, failure: FailureTerms::default(), chance: 0 }
}

/// Runs everything, each attempt passing, and returns how many events that took.
#[track_caller]
fn run_all(tasks: Vec<Task>, limits: RunLimits) -> usize {
    let mut schedule = Schedule::new(tasks, limits);
    let mut actions = VecDeque::from(schedule.begin(|_| None, (false, false)));
    let mut events = 0;
    while let Some(action) = actions.pop_front() {
        if let Action::Start { task, .. } = action {
            events += 1;
            actions.extend(schedule.handle(ended(task, Ending::Passed)));
        }
    }
    assert!(schedule.is_done());
    events
}

#[test]
fn twenty_thousand_tasks_in_one_group_take_their_turns() {
    let tasks = (0..20_000).map(|_| task(&[], &[0])).collect();
    assert_eq!(run_all(tasks, limits(64, vec![1])), 20_000);
}

#[test]
fn twenty_thousand_tasks_in_one_chain_break_at_once() {
    let tasks: Vec<Task> = (0..20_000usize)
        .map(|position| task(&position.checked_sub(1).into_iter().collect::<Vec<_>>(), &[]))
        .collect();
    let mut schedule = Schedule::new(tasks.clone(), limits(1, vec![]));
    schedule.begin(|_| None, (false, false));
    let actions = schedule.handle(ended(0, Ending::Failed));
    assert_eq!(actions.len(), 20_000);
    assert!(schedule.is_done());
    assert_eq!(run_all(tasks, limits(1, vec![])), 20_000);
}

#[test]
fn the_longest_chain_goes_first() {
    let mut schedule =
        Schedule::new(vec![task(&[], &[]), task(&[], &[]), task(&[1], &[])], limits(1, vec![]));
    assert_eq!(schedule.begin(|_| None, (false, false)), [Action::Start { task: 1, attempt: 1 }]);
}

#[test]
fn a_held_group_does_not_hold_up_the_others() {
    let tasks = vec![task(&[], &[0]), task(&[], &[0]), task(&[], &[])];
    let mut schedule = Schedule::new(tasks, limits(2, vec![1]));
    let started = schedule.begin(|_| None, (false, false));
    assert_eq!(
        started,
        [Action::Start { task: 0, attempt: 1 }, Action::Start { task: 2, attempt: 1 }]
    );
}

#[test]
fn who_waits_for_other_runs_leaves_its_place_and_gets_the_next_one() {
    let tasks = vec![task(&[], &[0]), task(&[], &[0]), task(&[], &[]), task(&[], &[])];
    let mut schedule = Schedule::new(tasks, limits(1, vec![1]));
    schedule.begin(|_| None, (false, false));
    let started = |task| [Action::Start { task, attempt: 1 }];
    assert_eq!(schedule.handle(Event::Aside { task: 0 }), started(2), "the group is still taken");
    assert_eq!(schedule.handle(Event::Back { task: 0 }), []);
    let ended = |task| ended(task, Ending::Passed);
    let actions = schedule.handle(ended(2));
    assert_eq!(actions[1..], [Action::Resume { task: 0 }], "before anything new");
    assert_eq!(schedule.running(), 1);
    assert_eq!(schedule.handle(ended(0))[1..], started(1));
}

#[test]
fn job_and_infrastructure_retries_are_counted_apart() {
    let mut one = task(&[], &[]);
    one.retries = 1;
    let mut schedule = Schedule::new(vec![one], limits(1, vec![]));
    schedule.begin(|_| None, (false, false));
    for (ending, again) in [
        (Ending::Infra, true),
        (Ending::Failed, true),
        (Ending::Infra, true),
        (Ending::Failed, false),
    ] {
        let actions = schedule.handle(ended(0, ending));
        assert_eq!(matches!(actions[0], Action::Wait { .. }), again, "{ending:?}: {actions:?}");
        schedule.handle(Event::Due { task: 0 });
    }
    assert!(schedule.is_done());
}

#[test]
fn a_tolerated_failure_lets_dependants_run_and_is_no_reason_to_stop() {
    let mut limits = limits(1, vec![]);
    limits.fail_fast = true;
    let mut schedule = Schedule::new(vec![task(&[], &[]), task(&[0], &[])], limits);
    schedule.begin(|_| None, (false, false));
    let failure = FailureTerms { again: true, tolerated: true };
    let event = Event::Ended { task: 0, ending: Ending::Failed, failure, chance: 0 };
    assert_eq!(
        schedule.handle(event),
        [
            Action::Finish { task: 0, outcome: Outcome::Failed, because: None },
            Action::Start { task: 1, attempt: 1 }
        ]
    );
}

fn conditional(depends_on: &[usize], run_if: RunIf) -> Task {
    Task { run_if, ..task(depends_on, &[]) }
}

fn skipped(task: usize, because: Because) -> Action {
    Action::Finish { task, outcome: Outcome::Skipped, because: Some(because) }
}

fn start(task: usize) -> Action {
    Action::Start { task, attempt: 1 }
}

fn finish(task: usize, outcome: Outcome) -> Action {
    Action::Finish { task, outcome, because: None }
}

/// A test, what needs it, what handles its failure, what needs that, and what cleans up.
fn handled() -> Schedule {
    let tasks = vec![
        task(&[], &[]),
        task(&[0], &[]),
        conditional(&[0], RunIf::Failed),
        task(&[2], &[]),
        conditional(&[1], RunIf::Always),
    ];
    let mut schedule = Schedule::new(tasks, limits(4, vec![]));
    assert_eq!(schedule.begin(|_| None, (false, false)), [start(0)]);
    schedule
}

#[test]
fn a_failure_starts_what_handles_it_and_what_runs_in_any_case() {
    for ending in [Ending::Failed, Ending::TimedOut, Ending::InfraPermanent] {
        let mut schedule = handled();
        let outcome = ending.outcome();
        let because = Because::Dependency { task: 0, outcome };
        let actions = schedule.handle(ended(0, ending));
        assert_eq!(actions, [finish(0, outcome), skipped(1, because), start(2), start(4)]);
    }
}

#[test]
fn without_a_failure_nothing_handles_one() {
    let mut schedule = handled();
    let because = Because::NotNeeded { task: 2 };
    let actions = schedule.handle(ended(0, Ending::Passed));
    let expected = [finish(0, Outcome::Passed), skipped(2, because), skipped(3, because), start(1)];
    assert_eq!(actions, expected);
}

#[test]
fn what_runs_in_any_case_outlives_the_first_stop_and_not_the_second() {
    let mut schedule = handled();
    let stopped = |task| skipped(task, Because::Stopped);
    let mut actions = schedule.handle(Event::Stop);
    actions.sort_by_key(|action| format!("{action:?}"));
    assert_eq!(actions, [stopped(1), stopped(2), stopped(3), start(4)]);
    let mut schedule = handled();
    schedule.handle(ended(0, Ending::Passed));
    assert_eq!(schedule.handle(Event::Stop), [], "it waits for what is being ended");
    assert!(schedule.outlives_a_stop(4) && !schedule.outlives_a_stop(1));
    let actions = schedule.handle(Event::Kill);
    assert_eq!(actions, [stopped(4)]);
    assert_eq!(schedule.handle(ended(1, Ending::Cancelled)), [finish(1, Outcome::Cancelled)]);
    assert!(schedule.is_done());
}

#[test]
fn a_handler_that_is_asked_for_alone_runs() {
    let mut first = task(&[], &[]);
    first.selected = false;
    let tasks = vec![first, conditional(&[0], RunIf::Failed)];
    let mut schedule = Schedule::new(tasks, limits(1, vec![]));
    let actions = schedule.begin(|_| None, (false, false));
    assert_eq!(actions, [skipped(0, Because::NotSelected), start(1)]);
}

#[test]
fn a_run_that_stops_at_the_first_failure_still_handles_it() {
    let tasks = vec![
        task(&[], &[]),
        task(&[], &[]),
        conditional(&[0], RunIf::Failed),
        conditional(&[1], RunIf::Failed),
    ];
    let mut limits = limits(2, vec![]);
    limits.fail_fast = true;
    let mut schedule = Schedule::new(tasks, limits);
    schedule.begin(|_| None, (false, false));
    let actions = schedule.handle(ended(0, Ending::Failed));
    assert_eq!(actions, [finish(0, Outcome::Failed), start(2)]);
    let actions = schedule.handle(ended(1, Ending::Passed));
    assert_eq!(actions, [finish(1, Outcome::Passed), skipped(3, Because::NotNeeded { task: 3 })]);
}

#[test]
fn a_failure_that_is_not_to_be_tried_again_counts_at_once() {
    let mut one = task(&[], &[]);
    one.retries = 3;
    let mut schedule = Schedule::new(vec![one], limits(1, vec![]));
    schedule.begin(|_| None, (false, false));
    let failure = FailureTerms { again: false, tolerated: false };
    let event = Event::Ended { task: 0, ending: Ending::Failed, failure, chance: 0 };
    let finish = Action::Finish { task: 0, outcome: Outcome::Failed, because: None };
    assert_eq!(schedule.handle(event), [finish]);
}

#[test]
fn a_stop_between_two_attempts_keeps_the_answer_of_the_first() {
    let mut one = task(&[], &[]);
    one.retries = 1;
    let mut schedule = Schedule::new(vec![one], limits(1, vec![]));
    schedule.begin(|_| None, (false, false));
    schedule.handle(ended(0, Ending::Failed));
    let actions = schedule.handle(Event::Stop);
    assert_eq!(actions, [Action::Finish { task: 0, outcome: Outcome::Failed, because: None }]);
}

#[test]
fn pauses_grow_and_spread() {
    let milliseconds = |failures, chance| backoff(failures, chance).as_millis();
    assert_eq!((milliseconds(1, 0), milliseconds(1, u16::MAX)), (250, 500));
    assert_eq!((milliseconds(2, 0), milliseconds(2, u16::MAX)), (500, 1_000));
    assert_eq!(milliseconds(99, u16::MAX), 30_000);
}
