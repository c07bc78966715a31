//! The order in which ready tasks start, on shapes that pipelines have: how long the whole takes in simulated time, beside
//! the best schedule that is known.

use std::{collections::BTreeMap, num::NonZeroUsize};

use super::*;

/// A pipeline of `tests/shapes`.
struct Shape {
    name: &'static str,
    jobs: usize,
    /// The shortest schedule that is known, in seconds.
    best: u64,
    /// What each takes in seconds, and what it needs.
    tasks: Vec<(u64, Vec<usize>)>,
}

macro_rules! shapes {
    ($($name:literal),* $(,)?) => {
        vec![$(Shape::read($name, include_str!(concat!("../../../tests/shapes/", $name, ".txt")))),*]
    };
}

fn shapes() -> Vec<Shape> {
    shapes![
        "chains",
        "deep",
        "diamond",
        "long-tail",
        "matrix",
        "mobile",
        "nightly",
        "services",
        "wide",
        "workspace",
    ]
}

/// What the schedule is told.
#[derive(Clone, Copy)]
enum Known {
    Everything,
    Nothing,
    /// All but every third.
    Most,
}

impl Shape {
    fn read(name: &'static str, text: &str) -> Self {
        let mut shape = Self { name, jobs: 0, best: 0, tasks: Vec::new() };
        let mut ids = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let number: u64 = words[1].parse().expect("a number");
            match words[0] {
                "jobs" => shape.jobs = usize::try_from(number).expect("few"),
                "best" => shape.best = number,
                id => {
                    let needs = words.get(2).map_or(Vec::new(), |it| it.split(',').collect());
                    let needs = needs.iter().map(|id| ids[id]).collect();
                    ids.insert(id, shape.tasks.len());
                    shape.tasks.push((number, needs));
                }
            }
        }
        shape
    }

    /// What no schedule can be shorter than: the longest path, and all of the work at once.
    fn bound(&self) -> u64 {
        let mut ends = Vec::new();
        for (took, needs) in &self.tasks {
            ends.push(took + needs.iter().map(|&it| ends[it]).max().unwrap_or(0));
        }
        let work: u64 = self.tasks.iter().map(|(took, _)| took).sum();
        ends.into_iter().max().unwrap_or(0).max(work.div_ceil(self.jobs as u64))
    }

    /// Plays the schedule in simulated time; returns what the whole took, in seconds, and the order of the starts.
    fn play(&self, known: Known) -> (u64, Vec<usize>) {
        let tasks = self.tasks.iter().enumerate().map(|(position, (took, needs))| Task {
            depends_on: needs.clone(),
            usual_ms: match known {
                Known::Everything => Some(took * 1000),
                Known::Most if position % 3 > 0 => Some(took * 1000),
                Known::Most | Known::Nothing => None,
            },
            selected: true,
            ..Task::default()
        });
        let limits = RunLimits {
            jobs: NonZeroUsize::new(self.jobs).expect("some"),
            resources: Vec::new(),
            infra_retries: 0,
            fail_fast: false,
        };
        let mut schedule = Schedule::new(tasks.collect(), limits);
        let (mut now, mut order) = (0, Vec::new());
        let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut actions = schedule.begin(|_| None, (false, false));
        loop {
            for action in actions {
                if let Action::Start { task, .. } = action {
                    running.push(Reverse((now + self.tasks[task].0, task)));
                    order.push(task);
                }
            }
            let Some(Reverse((at, task))) = running.pop() else { break };
            now = at;
            let failure = FailureTerms::default();
            let ended = Event::Ended { task, ending: Ending::Passed, failure, chance: 0 };
            actions = schedule.handle(ended);
        }
        assert!(schedule.is_done());
        (now, order)
    }

    /// What the whole takes when ready tasks start in the order of the plan.
    fn in_plan_order(&self) -> u64 {
        let mut open: Vec<usize> = (0..self.tasks.len()).collect();
        let mut ended = vec![false; self.tasks.len()];
        let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut now = 0;
        loop {
            while running.len() < self.jobs {
                let is_ready = |&task: &usize| self.tasks[task].1.iter().all(|&it| ended[it]);
                let Some(next) = open.iter().position(is_ready) else { break };
                let task = open.remove(next);
                running.push(Reverse((now + self.tasks[task].0, task)));
            }
            let Some(Reverse((at, task))) = running.pop() else { return now };
            (now, ended[task]) = (at, true);
        }
    }
}

#[test]
fn the_whole_takes_at_most_a_twentieth_longer_than_the_best_schedule_that_is_known() {
    for shape in shapes() {
        let (took, _) = shape.play(Known::Everything);
        assert!(shape.bound() <= shape.best, "{}: nothing is that short", shape.name);
        assert!(shape.best <= took, "{}: {took} is better than the best", shape.name);
        assert!(took * 100 <= shape.best * 105, "{}: {took} for {}", shape.name, shape.best);
    }
}

#[test]
fn one_long_tail_is_begun_first() {
    let shapes = shapes();
    let tail = shapes.iter().find(|shape| shape.name == "long-tail").expect("there");
    let (took, _) = tail.play(Known::Everything);
    assert!(took * 13 <= tail.in_plan_order() * 10, "{took} for {}", tail.in_plan_order());
    for shape in &shapes {
        let (took, _) = shape.play(Known::Everything);
        assert!(took <= shape.in_plan_order(), "{}: {took}", shape.name);
    }
}

#[test]
fn what_is_not_known_counts_as_the_middle_of_what_is() {
    for shape in shapes() {
        let (took, _) = shape.play(Known::Most);
        assert!(took * 100 <= shape.best * 125, "{}: {took} for {}", shape.name, shape.best);
    }
}

#[test]
fn without_times_the_longest_row_goes_first_and_equal_ones_in_plan_order() {
    let text = "jobs 1\nbest 6\na 1\nb 1\nc 1 b\nd 1 c\ne 1\nf 1 e\n";
    let (_, order) = Shape::read("rows", text).play(Known::Nothing);
    assert_eq!(order, [1, 2, 4, 0, 3, 5]);
    let same = "jobs 2\nbest 2\na 1\nb 1\nc 1\nd 1\n";
    assert_eq!(Shape::read("same", same).play(Known::Everything).1, [0, 1, 2, 3]);
}
