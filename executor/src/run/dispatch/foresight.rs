//! What a run knows of results before it starts: which nodes passed before, and which prepare nodes
//! nobody needs therefore.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plans::NodeKind;

use super::Run;
use crate::{
    control::{Control, Level},
    ledger::Ledger,
    placements::Machines,
    results::{Asked, Looked, Patience, Reused, Sought, may_be_reused},
};

impl Run {
    /// Returns what an attempt of a node does with results; nothing where it has nothing to do with them.
    pub(super) fn asked(&self, task: usize, flaky: bool) -> Option<Asked> {
        let node = &self.nodes[task];
        let results = self.results.as_ref().filter(|_| may_be_reused(node))?;
        Some(Asked {
            results: Arc::clone(results),
            sought: Sought::of(&self.plan, &self.nodes, task, &self.source)?,
            flaky,
            node_dir: self.dir.node(&node.id),
            run: self.dir.id.to_string(),
        })
    }
}

/// Looks for the results of those that use prepare nodes, and returns the prepare nodes that nobody who is to run uses.
pub(super) fn spared(
    run: &Run,
    ledger: &Ledger,
    (machines, control): (&Machines, &Control),
) -> BTreeMap<usize, Reused> {
    let mut spared = BTreeMap::new();
    if run.results.is_none() {
        return spared;
    }
    let begun = |position: usize| {
        let facts = ledger.node(position);
        facts.verdict.is_some() || facts.attempts > 0
    };
    // Of each prepare node: who uses it, and the results that were found.
    let mut users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, node) in run.nodes.iter().enumerate().filter(|(at, _)| run.selected[*at]) {
        for id in node.uses() {
            users.entry(id.as_str()).or_default().push(position);
        }
    }
    let is_prepare = |id: &str| {
        let position = run.plan.graph().position(id)?;
        let prepare = run.nodes[position].kind == NodeKind::Prepare && !begun(position);
        prepare.then_some(position)
    };
    let asked_for: BTreeSet<usize> = users
        .iter()
        .filter(|(id, _)| is_prepare(id).is_some())
        .flat_map(|(_, users)| users.iter().copied())
        .filter(|&user| !begun(user))
        .collect();
    let mut found: BTreeMap<usize, Reused> = BTreeMap::new();
    for position in asked_for {
        // What is not known is run, or rather not: the run is to end.
        if control.level() > Level::Run {
            break;
        }
        let Some(asked) = run.asked(position, false) else { continue };
        if std::fs::create_dir_all(&asked.node_dir).is_err() {
            continue;
        }
        let looked = asked.look(machines, Patience::None, control, &|_| {}, &mut |_| {});
        if let Looked::Passed(result) = looked {
            found.extend(result.reused.map(|reused| (position, reused)));
        }
    }
    // A prepare node may be used by others: the last ones first.
    for position in (0..run.nodes.len()).rev() {
        let id = run.nodes[position].id.as_str();
        let Some(users) = users.get(id).filter(|_| is_prepare(id).is_some()) else { continue };
        let first = users.iter().map(|user| found.get(user)).collect::<Option<Vec<_>>>();
        if let Some(reused) = first.as_ref().and_then(|first| first.first().copied().cloned()) {
            found.insert(position, reused.clone());
            spared.insert(position, reused);
        }
    }
    spared
}
