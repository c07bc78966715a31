//! What a run knows of results before it starts: which nodes passed before, and which prepare nodes
//! nobody needs therefore.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plans::{Node, NodeKind, Plan};
use serde_json::Value;

use super::Run;
use crate::{
    control::Control,
    ledger::Ledger,
    placements::Machines,
    results::{Asked, Keyed, Looked, Patience, Reused, may_be_reused, parts_of},
};

impl Run {
    /// Returns what an attempt of a node does with results; nothing where it has nothing to do with them.
    pub(super) fn asked(&self, node: &Arc<Node>, flaky: bool) -> Option<Asked> {
        let results = self.results.as_ref().filter(|_| may_be_reused(node))?;
        let position = self.plan.graph().position(node.id.as_str())?;
        let uses = uses(&self.plan, position).into_iter();
        Some(Asked {
            results: Arc::clone(results),
            of: Keyed::of(node)?,
            plan: Arc::new(parts_of(&self.plan, node, &self.source).unwrap_or(Value::Null)),
            uses: uses.map(|used| Keyed::of(&self.nodes[used])).collect::<Option<_>>()?,
            flaky,
            node_dir: self.dir.node(&node.id),
            run: self.dir.id.to_string(),
        })
    }
}

/// Returns the nodes of which a node has something, and those of which these have something, in the plan's order.
pub(crate) fn uses(plan: &Plan, position: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut open = vec![position];
    while let Some(one) = open.pop() {
        for id in used(&plan.nodes()[one]) {
            open.extend(plan.graph().position(id).filter(|&used| all.insert(used)));
        }
    }
    all
}

/// The nodes of which a node has something.
fn used(node: &Node) -> impl Iterator<Item = &str> {
    let mounts = node.mounts.iter().map(|mount| mount.node.as_str());
    let taken = node.takes.nodes().map(plans::NodeId::as_str);
    mounts.chain(node.workspace_from.iter().map(plans::NodeId::as_str)).chain(taken)
}

/// Looks for the results of those that use prepare nodes, and returns the prepare nodes that nobody who is to run uses.
pub(super) fn spared(run: &Run, ledger: &Ledger, machines: &Machines) -> BTreeMap<String, Reused> {
    let mut spared = BTreeMap::new();
    if run.results.is_none() {
        return spared;
    }
    let Ok(control) = Control::new() else { return spared };
    let begun = |position: usize| {
        let facts = ledger.node(position);
        facts.verdict.is_some() || facts.attempts > 0
    };
    // Of each prepare node: who uses it, and the results that were found.
    let mut users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, node) in run.nodes.iter().enumerate().filter(|(at, _)| run.selected[*at]) {
        for id in used(node) {
            users.entry(id).or_default().push(position);
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
        let node = &run.nodes[position];
        let Some(asked) = run.asked(node, false) else { continue };
        if std::fs::create_dir_all(&asked.node_dir).is_err() {
            continue;
        }
        let looked = asked.look(machines, Patience::None, &control, &|| {}, &mut |_| {});
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
            spared.insert(id.to_owned(), reused);
        }
    }
    spared
}
