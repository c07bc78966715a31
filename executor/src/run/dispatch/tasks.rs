//! A run's plan as the schedule sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plans::{Node, NodeId, Placement};

use super::Run;
use crate::schedule::{RunLimits, Schedule, Task};

/// The nodes whose artifacts others take.
pub(super) fn taken_from(nodes: &[Arc<Node>]) -> BTreeSet<NodeId> {
    let files = nodes.iter().flat_map(|node| &node.takes.files);
    files.map(|files| files.node.clone()).collect()
}

/// Turns the plan's graph, hosts and groups into tasks and resources.
pub(super) fn schedule_of(run: &Run) -> Schedule {
    let mut names: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut capacity = Vec::new();
    let mut tasks = Vec::with_capacity(run.nodes.len());
    for (position, node) in run.nodes.iter().enumerate() {
        let mut resources = Vec::new();
        let mut occupy = |name, units: usize| {
            let resource = *names.entry(name).or_insert_with(|| {
                capacity.push(units);
                capacity.len() - 1
            });
            capacity[resource] = capacity[resource].min(units);
            resources.push(resource);
        };
        for group in &node.concurrency_groups {
            occupy(("group", group.as_str()), 1);
        }
        if let Placement::RemoteSsh(host) = &node.spec.placement {
            occupy(("host", host.host.as_str()), host.max_jobs.max(1) as usize);
        }
        tasks.push(Task {
            depends_on: run.plan.graph().dependencies(position).collect(),
            run_if: node.run_if,
            uses: node
                .prepared_by()
                .filter_map(|id| run.plan.graph().position(id.as_str()))
                .collect(),
            resources,
            retries: node.spec.retries,
            usual_ms: run.usual.get(position).copied().flatten(),
            selected: run.selected[position],
        });
    }
    let limits = RunLimits {
        jobs: run.jobs,
        resources: capacity,
        infra_retries: run.infra_retries,
        fail_fast: run.fail_fast,
    };
    Schedule::new(tasks, limits)
}
