//! The plan as engines see it: one step per job, its direct dependencies, what it belongs to.
//!
//! Prepare nodes are folded into the jobs that use them, because what they leave lies on one
//! machine: a step of their own on another agent would leave it where nobody looks.
//! `executor apply --only NODE` runs a node with its prepare nodes, and reuses what is there.
//! Knows no engine's syntax.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use plans::{Node, NodeKind, Placement, Plan, PlanLane, RunIf};

/// One step of an engine's pipeline.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// Its name among the steps: letters, digits, `_` and `-`; unique without regard to case.
    pub(crate) key: String,
    /// The node it runs; absent: it only joins others, where an engine limits direct dependencies.
    pub(crate) node: Option<&'a Node>,
    /// The steps that must have ended, all earlier in the list; passed, unless its node's `run_if`
    /// says otherwise.
    pub(crate) after: BTreeSet<usize>,
    /// When it runs only after a failure: the steps of which one must have failed by itself. Those
    /// of `after`, and those before them whose failure makes them be skipped.
    pub(crate) failures: BTreeSet<usize>,
    /// Whether it runs only when something before it failed. Nothing in a lane's verdict can
    /// follow from it: the failure is in the lane, too.
    pub(crate) handles_failures: bool,
    /// Seconds after which the engine may give the step up; the executor's own limits come first.
    pub(crate) backstop_secs: u64,
}

/// A lane with its steps.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    /// Its name among the lanes' steps.
    pub(crate) key: String,
    /// The lane.
    pub(crate) lane: &'a PlanLane,
    /// The steps its verdict is made from.
    pub(crate) steps: BTreeSet<usize>,
}

/// The steps in an order in which they can run, and the lanes in manifest order.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) lanes: Vec<Lane<'a>>,
}

/// Time for what stands around a job: the checkout, the grace period, cleaning up.
const AROUND_SECS: u64 = 600;

impl<'a> Steps<'a> {
    /// Folds prepare nodes; a step with more than `fan_in` dependencies gets joins before it.
    pub(crate) fn new(plan: &'a Plan, fan_in: usize, queue_secs: u64) -> Self {
        let (nodes, graph) = (plan.nodes(), plan.graph());
        // A prepare node that nothing uses is a step like a job: leaving it out would be silent.
        let is_step: Vec<bool> = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| {
                node.kind == NodeKind::Execute || graph.dependents(at).next().is_none()
            })
            .collect();
        let mut keys = Keys::default();
        let mut built = Self { steps: Vec::new(), lanes: Vec::new() };
        let mut step_of: HashMap<usize, usize> = HashMap::new();
        for (at, node) in nodes.iter().enumerate().filter(|(at, _)| is_step[*at]) {
            let mut after = BTreeSet::new();
            let mut secs = worst_secs(node);
            let mut seen = HashSet::new();
            let mut waiting: Vec<usize> = graph.dependencies(at).collect();
            while let Some(dependency) = waiting.pop() {
                if !seen.insert(dependency) {
                    continue;
                }
                match step_of.get(&dependency) {
                    Some(&step) => {
                        after.insert(step);
                    }
                    None => {
                        secs = secs.saturating_add(worst_secs(&nodes[dependency]));
                        waiting.extend(graph.dependencies(dependency));
                    }
                }
            }
            let remote = matches!(node.spec.placement, Placement::RemoteSsh(_));
            if remote || !node.concurrency_groups.is_empty() {
                secs = secs.saturating_add(queue_secs);
            }
            let key = keys.take(node.id.as_str());
            // A join passes or not, and nobody can ask it how those before it ended.
            let after = match node.run_if {
                RunIf::Passed => built.join(after, fan_in, &key, &mut keys),
                RunIf::Failed | RunIf::Always => after,
            };
            let failures = match node.run_if {
                RunIf::Failed => built.failures(&after),
                RunIf::Passed | RunIf::Always => BTreeSet::new(),
            };
            let handles_failures = match node.run_if {
                RunIf::Failed => true,
                RunIf::Passed => after.iter().any(|&at| built.steps[at].handles_failures),
                RunIf::Always => false,
            };
            let backstop_secs = secs.saturating_add(AROUND_SECS);
            step_of.insert(at, built.steps.len());
            let node = Some(&**node);
            built.steps.push(Step { key, node, after, failures, handles_failures, backstop_secs });
        }
        for lane in plan.lanes() {
            let steps = lane
                .nodes
                .iter()
                .filter_map(|id| step_of.get(&graph.position(id.as_str())?).copied())
                .collect();
            let key = keys.take(&format!("lane-{}", lane.id));
            built.lanes.push(Lane { key, lane, steps });
        }
        built
    }

    /// The steps whose failure is one for who waits for `after`.
    fn failures(&self, after: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut failures = BTreeSet::new();
        let mut open: Vec<usize> = after.iter().copied().collect();
        while let Some(at) = open.pop() {
            let step = &self.steps[at];
            let seen = step.node.is_some() && !failures.insert(at);
            if !seen && step.node.is_none_or(|node| node.run_if == RunIf::Passed) {
                open.extend(&step.after);
            }
        }
        failures
    }

    /// The steps that decide a lane's verdict, with their nodes.
    pub(crate) fn deciding<'s>(
        &'s self,
        lane: &'s Lane<'a>,
    ) -> impl Iterator<Item = (&'s Step<'a>, &'a Node)> {
        let steps = lane.steps.iter().map(|&at| &self.steps[at]);
        steps.filter(|step| !step.handles_failures).filter_map(|step| Some((step, step.node?)))
    }

    /// Replaces more than `fan_in` dependencies by steps that join that many each.
    fn join(
        &mut self,
        mut after: BTreeSet<usize>,
        fan_in: usize,
        key: &str,
        keys: &mut Keys,
    ) -> BTreeSet<usize> {
        while after.len() > fan_in {
            let all: Vec<usize> = after.into_iter().collect();
            after = all
                .chunks(fan_in)
                .map(|part| {
                    if let [only] = part {
                        return *only;
                    }
                    let key = keys.take(&format!("join-{key}"));
                    let after = part.iter().copied().collect();
                    let handles_failures = part.iter().any(|&at| self.steps[at].handles_failures);
                    self.steps.push(Step {
                        key,
                        node: None,
                        after,
                        failures: BTreeSet::new(),
                        handles_failures,
                        backstop_secs: AROUND_SECS,
                    });
                    self.steps.len() - 1
                })
                .collect();
        }
        after
    }

    /// Splits steps and lanes into parts that share nothing: no edge and no lane crosses.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut union = Union::new(self.steps.len());
        for (at, step) in self.steps.iter().enumerate() {
            for &before in &step.after {
                union.merge(before, at);
            }
        }
        for lane in &self.lanes {
            let first = lane.steps.first().copied();
            for &step in &lane.steps {
                union.merge(first.unwrap_or(step), step);
            }
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut part_of: BTreeMap<usize, usize> = BTreeMap::new();
        // Lanes first, so that the parts stand in manifest order.
        for (at, lane) in self.lanes.iter().enumerate() {
            let root = lane.steps.first().map(|&step| union.root(step));
            let part = root.and_then(|root| part_of.get(&root).copied()).unwrap_or_else(|| {
                parts.push(Part::default());
                parts.len() - 1
            });
            if let Some(root) = root {
                part_of.insert(root, part);
            }
            parts[part].lanes.push(at);
        }
        for at in 0..self.steps.len() {
            let part = *part_of.entry(union.root(at)).or_insert_with(|| {
                parts.push(Part::default());
                parts.len() - 1
            });
            parts[part].steps.push(at);
        }
        parts
    }
}

/// Steps and lanes that belong into one file, by their positions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) steps: Vec<usize>,
    pub(crate) lanes: Vec<usize>,
}

/// How long a node may take with all its attempts.
fn worst_secs(node: &Node) -> u64 {
    let attempts = u64::from(node.spec.retries).saturating_add(1);
    node.spec.timeout_secs.saturating_mul(attempts)
}

/// Hands out step names. Engines take no dot in them, some no difference in case, one no more
/// than 100 characters.
#[derive(Debug, Default)]
struct Keys {
    taken: HashSet<String>,
    /// How often a name was wanted that was taken already.
    again: HashMap<String, u32>,
}

impl Keys {
    const MAX_LENGTH: usize = 88;

    fn take(&mut self, id: &str) -> String {
        let key: String = id
            .chars()
            .take(Self::MAX_LENGTH)
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
            .collect();
        let mut candidate = key.clone();
        while !self.taken.insert(candidate.to_ascii_lowercase()) {
            let count = self.again.entry(key.to_ascii_lowercase()).or_insert(1);
            *count += 1;
            candidate = format!("{key}-{count}");
        }
        candidate
    }
}

/// Disjoint sets.
struct Union(Vec<usize>);

impl Union {
    fn new(length: usize) -> Self {
        Self((0..length).collect())
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn merge(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_without_regard_to_case() {
        let mut keys = Keys::default();
        let long = "x".repeat(200);
        let given: Vec<String> = ["a.b", "a-b", "A-B", "a-b-2", "a.b", &long, &long]
            .iter()
            .map(|id| keys.take(id))
            .collect();
        let folded: BTreeSet<String> = given.iter().map(|key| key.to_ascii_lowercase()).collect();
        assert_eq!(folded.len(), given.len(), "{given:?}");
        assert!(given.iter().all(|key| key.len() <= 100 && !key.contains('.')), "{given:?}");
    }
}
