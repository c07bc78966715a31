//! What earlier runs took, and what that says about a plan: expected time, critical path, machine
//! time per lane, flaky nodes. The measurements are read from what `executor history --json`
//! writes; they are shown beside a plan and never part of it.
//!
//! ```json
//! { "nodes": [ { "id": "execute-x", "runs": 20, "median_secs": 61.5, "p90_secs": 80.0,
//!                "passed": 18, "failed": 1, "flaky": 1 } ] }
//! ```
//!
//! The expected time is that of the executor's own rule (a ready node starts when its host has a
//! free slot and its groups are free), every node taking its median; it promises nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use plans::{GroupName, LaneId, NodeId, Placement, Plan};
use serde::Deserialize;

/// What earlier runs of nodes took, by node id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    nodes: BTreeMap<NodeId, Measured>,
}

/// What is known about one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// How many finished runs were counted.
    pub runs: u64,
    /// The time half of them took at most.
    pub median: Duration,
    /// The time nine out of ten of them took at most.
    pub p90: Duration,
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many passed only after a retry, or failed where another run of the same tree passed.
    pub flaky: u64,
}

/// Why a text is not a file of measured times.
#[derive(Debug, thiserror::Error)]
pub enum DurationsError {
    /// Not the JSON that `executor history --json` writes.
    #[error("the measured times are not what `executor history --json` writes: {0}")]
    Shape(#[source] serde_json::Error),
    /// A time that no clock shows.
    #[error("the measured times of node `{node}`: {secs} is not a number of seconds")]
    NotATime {
        /// The node.
        node: NodeId,
        /// What stands there.
        secs: f64,
    },
    /// Two entries for the same node.
    #[error("the measured times of node `{0}` are given twice")]
    Duplicate(NodeId),
}

/// The file; keys that a newer executor adds are passed over.
#[derive(Deserialize)]
struct Wire {
    nodes: Vec<NodeWire>,
}

#[derive(Deserialize)]
struct NodeWire {
    id: NodeId,
    runs: u64,
    median_secs: f64,
    p90_secs: f64,
    passed: u64,
    failed: u64,
    flaky: u64,
}

impl Durations {
    /// Reads what `executor history --json` writes.
    ///
    /// # Errors
    ///
    /// [`DurationsError`] says what is wrong, and with which node.
    pub fn from_json(text: &[u8]) -> Result<Self, DurationsError> {
        let wire: Wire = serde_json::from_slice(text).map_err(DurationsError::Shape)?;
        let mut nodes = BTreeMap::new();
        for NodeWire { id, runs, median_secs, p90_secs, passed, failed, flaky } in wire.nodes {
            let time = |secs: f64| {
                Duration::try_from_secs_f64(secs)
                    .map_err(|_| DurationsError::NotATime { node: id.clone(), secs })
            };
            let (median, p90) = (time(median_secs)?, time(p90_secs)?);
            let measured = Measured { runs, median, p90, passed, failed, flaky };
            if nodes.insert(id.clone(), measured).is_some() {
                return Err(DurationsError::Duplicate(id));
            }
        }
        Ok(Self { nodes })
    }

    /// Returns what is known about a node.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Measured> {
        self.nodes.get(id).filter(|measured| measured.runs > 0)
    }

    /// Returns what the measurements say about `plan`.
    #[must_use]
    pub fn estimate(&self, plan: &Plan) -> Estimate {
        let times: Vec<Duration> = plan
            .nodes()
            .iter()
            .map(|node| self.node(&node.id).map_or(Duration::ZERO, |measured| measured.median))
            .collect();
        let unknown = plan.nodes().iter().filter(|node| self.node(&node.id).is_none()).count();
        let (critical_path, critical_time) = critical_path(plan, &times);
        Estimate {
            expected: simulate(plan, &times),
            critical_path,
            critical_time,
            machine_time: sum(times.iter().copied()),
            lanes: self.lane_times(plan),
            flaky: plan
                .nodes()
                .iter()
                .filter(|node| self.node(&node.id).is_some_and(|measured| measured.flaky > 0))
                .map(|node| node.id.clone())
                .collect(),
            unknown,
        }
    }

    fn lane_times(&self, plan: &Plan) -> BTreeMap<LaneId, Duration> {
        let selected = plan.lanes().iter().filter(|lane| lane.selected);
        selected
            .filter_map(|lane| {
                let mut known = lane.nodes.iter().filter_map(|id| self.node(id)).peekable();
                known.peek()?;
                Some((lane.id.clone(), sum(known.map(|measured| measured.median))))
            })
            .collect()
    }
}

/// What measurements say about a plan. Nodes that were never measured count as no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// From start to end, with the slots of each host and the concurrency groups.
    pub expected: Duration,
    /// The chain of nodes that takes longest, in order: more machines make nothing faster than it.
    pub critical_path: Vec<NodeId>,
    /// What that chain takes.
    pub critical_time: Duration,
    /// All nodes together.
    pub machine_time: Duration,
    /// The nodes of each selected lane together; a shared node counts for each of its lanes. A
    /// lane of which nothing was measured is not listed.
    pub lanes: BTreeMap<LaneId, Duration>,
    /// Nodes of the plan that are known to be flaky.
    pub flaky: BTreeSet<NodeId>,
    /// How many nodes were never measured.
    pub unknown: usize,
}

fn sum(times: impl Iterator<Item = Duration>) -> Duration {
    times.fold(Duration::ZERO, Duration::saturating_add)
}

/// Finds the longest chain. Positions are a topological order, so one pass is enough.
fn critical_path(plan: &Plan, times: &[Duration]) -> (Vec<NodeId>, Duration) {
    let mut finish: Vec<Duration> = Vec::with_capacity(times.len());
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(times.len());
    for (position, &time) in times.iter().enumerate() {
        // Of equally late dependencies, the first in the plan's order.
        let last = plan
            .graph()
            .dependencies(position)
            .max_by_key(|&before| (finish[before], Reverse(before)));
        let start = last.map_or(Duration::ZERO, |before| finish[before]);
        finish.push(start.saturating_add(time));
        previous.push(last);
    }
    let end = (0..times.len()).max_by_key(|&position| (finish[position], Reverse(position)));
    let time = end.map_or(Duration::ZERO, |position| finish[position]);
    if time.is_zero() {
        return (Vec::new(), time);
    }
    let mut path: Vec<NodeId> = std::iter::successors(end, |&position| previous[position])
        .map(|position| plan.nodes()[position].id.clone())
        .collect();
    path.reverse();
    (path, time)
}

/// Something nodes wait for besides each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Resource<'a> {
    Slot(&'a str),
    Group(&'a GroupName),
}

/// Free units of each resource, and who waits for one; the first in the plan's order goes first.
struct Resources<'a> {
    free: BTreeMap<Resource<'a>, u32>,
    waiting: BTreeMap<Resource<'a>, BTreeSet<usize>>,
    needs: Vec<Vec<Resource<'a>>>,
}

impl<'a> Resources<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut free = BTreeMap::new();
        let mut needs = Vec::with_capacity(plan.nodes().len());
        for node in plan.nodes() {
            let mut needed: Vec<Resource<'a>> =
                node.concurrency_groups.iter().map(Resource::Group).collect();
            for group in &needed {
                free.insert(group.clone(), 1);
            }
            if let Placement::RemoteSsh(host) = &node.spec.placement {
                let slot = Resource::Slot(host.host.as_str());
                free.insert(slot.clone(), host.max_jobs.max(1));
                needed.push(slot);
            }
            needs.push(needed);
        }
        Self { free, waiting: BTreeMap::new(), needs }
    }

    /// Takes all that a node needs, or puts it into the queue of the first thing that is not free.
    fn start(&mut self, node: usize) -> bool {
        match self.needs[node].iter().find(|it| self.free[*it] == 0) {
            Some(taken) => {
                self.waiting.entry(taken.clone()).or_default().insert(node);
                false
            }
            None => {
                for needed in &self.needs[node] {
                    *self.free.get_mut(needed).expect("every need was entered") -= 1;
                }
                true
            }
        }
    }

    /// Gives back what a node held and starts who waited for it; returns those.
    fn finish(&mut self, node: usize) -> Vec<usize> {
        let held = self.needs[node].clone();
        for resource in &held {
            *self.free.get_mut(resource).expect("every need was entered") += 1;
        }
        let mut started = Vec::new();
        // A node that still cannot start joins the queue of something that is not free, so this ends.
        while let Some((next, resource)) = held
            .iter()
            .filter(|resource| self.free[*resource] > 0)
            .filter_map(|resource| Some((*self.waiting.get(resource)?.first()?, resource)))
            .min()
        {
            if let Some(queue) = self.waiting.get_mut(resource) {
                queue.remove(&next);
            }
            if self.start(next) {
                started.push(next);
            }
        }
        started
    }
}

/// Plays the plan: a ready node starts as soon as its host and its groups are free.
fn simulate(plan: &Plan, times: &[Duration]) -> Duration {
    let mut resources = Resources::new(plan);
    let mut left: Vec<usize> =
        (0..times.len()).map(|position| plan.graph().dependencies(position).count()).collect();
    let mut running: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
    let mut now = Duration::ZERO;
    for node in 0..times.len() {
        if left[node] == 0 && resources.start(node) {
            running.push(Reverse((times[node], node)));
        }
    }
    while let Some(Reverse((end, done))) = running.pop() {
        now = end;
        let mut started = resources.finish(done);
        let mut dependents: Vec<usize> = plan.graph().dependents(done).collect();
        dependents.sort_unstable();
        for dependent in dependents {
            left[dependent] -= 1;
            if left[dependent] == 0 && resources.start(dependent) {
                started.push(dependent);
            }
        }
        for node in started {
            running.push(Reverse((now.saturating_add(times[node]), node)));
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use plans::{GroupName, NodeId, Plan, PlanParts};

    use super::*;
    use crate::render::sample::{node, parts, remote};

    fn seconds(plan: &Plan, times: &[(&str, u64)]) -> Durations {
        let measured = |secs| Measured {
            runs: 1,
            median: Duration::from_secs(secs),
            p90: Duration::from_secs(secs),
            passed: 1,
            failed: 0,
            flaky: 0,
        };
        let nodes = times
            .iter()
            .map(|(id, secs)| (NodeId::new(*id).expect("well formed"), measured(*secs)))
            .collect();
        assert!(times.iter().all(|(id, _)| plan.node(id).is_some()), "a time for no node");
        Durations { nodes }
    }

    fn plan(change: impl FnOnce(&mut PlanParts)) -> Plan {
        let mut parts = parts();
        parts.lanes.clear();
        parts.nodes = ["a", "b", "c", "d"].map(|id| node(&format!("execute-{id}"), &[])).into();
        change(&mut parts);
        Plan::new(parts).expect("the parts fit")
    }

    const TIMES: [(&str, u64); 4] =
        [("execute-a", 10), ("execute-b", 20), ("execute-c", 30), ("execute-d", 40)];

    #[track_caller]
    fn check(plan: &Plan, expected: u64, longest: u64) {
        let estimate = seconds(plan, &TIMES).estimate(plan);
        assert_eq!(estimate.expected, Duration::from_secs(expected));
        assert_eq!(estimate.critical_time, Duration::from_secs(longest));
        assert_eq!(estimate.machine_time, Duration::from_secs(100));
    }

    #[test]
    fn what_does_not_wait_runs_at_once() {
        check(&plan(|_| {}), 40, 40);
    }

    #[test]
    fn a_host_runs_as_many_as_it_has_slots() {
        // Two slots: a and b first, then c when a ends, d when b ends.
        check(
            &plan(|parts| parts.nodes.iter_mut().for_each(|it| it.spec.placement = remote("h"))),
            60,
            40,
        );
    }

    #[test]
    fn a_group_runs_one_at_a_time() {
        let group = || GroupName::new("g").expect("well formed");
        let all = plan(|parts| {
            parts.nodes.iter_mut().for_each(|it| {
                it.concurrency_groups.insert(group());
            });
        });
        check(&all, 100, 40);
        // Where a host is full as well, c comes before d, which waited for the group.
        let both = plan(|parts| {
            parts.nodes.iter_mut().for_each(|it| it.spec.placement = remote("h"));
            parts.nodes[0].concurrency_groups.insert(group());
            parts.nodes[3].concurrency_groups.insert(group());
        });
        check(&both, 60, 40);
    }

    #[test]
    fn the_longest_chain_is_named_in_order() {
        let plan = plan(|parts| {
            parts.nodes[1] = node("execute-b", &["execute-a"]);
            parts.nodes[2] = node("execute-c", &["execute-a", "execute-b"]);
        });
        check(&plan, 60, 60);
        let chain = seconds(&plan, &TIMES).estimate(&plan).critical_path;
        let chain: Vec<&str> = chain.iter().map(NodeId::as_str).collect();
        assert_eq!(chain, ["execute-a", "execute-b", "execute-c"]);
    }

    #[test]
    fn a_number_that_is_no_time_is_refused_with_its_node() {
        let text = |secs: &str| {
            format!(
                r#"{{ "nodes": [ {{ "id": "execute-a", "runs": 1, "median_secs": {secs},
                    "p90_secs": 1, "passed": 1, "failed": 0, "flaky": 0 }} ] }}"#
            )
        };
        for bad in ["-1", "1e300"] {
            let error = Durations::from_json(text(bad).as_bytes()).expect_err("no time");
            assert!(error.to_string().contains("`execute-a`"), "{error}");
        }
        assert!(Durations::from_json(text("1.5").as_bytes()).is_ok());
        for bad in ["null", "\"1\"", "1, \"median_secs\": 2"] {
            assert!(Durations::from_json(text(bad).as_bytes()).is_err(), "{bad} was accepted");
        }
        let twice = text("1").replace(" ] }", ", X ] }");
        let one = twice.split_once('[').expect("a list").1.split_once(", X").expect("an end").0;
        let error = Durations::from_json(twice.replace('X', one).as_bytes()).expect_err("twice");
        assert!(error.to_string().contains("twice"), "{error}");
    }

    #[test]
    fn endless_times_do_not_overflow() {
        let plan = plan(|parts| parts.nodes[1] = node("execute-b", &["execute-a"]));
        let mut durations = seconds(&plan, &TIMES);
        for measured in durations.nodes.values_mut() {
            measured.median = Duration::MAX;
        }
        assert_eq!(durations.estimate(&plan).machine_time, Duration::MAX);
    }
}
