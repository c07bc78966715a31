//! The plan's graph: unique ids, edges that resolve, no cycle; orders and closures.
//!
//! Built once from the nodes' `depends_on` and never changed. The canonical order is by depth
//! (the longest way from a node without dependencies), then by id: it is the order of the
//! document, and a valid order to run in.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
};

use petgraph::{Direction, graph::DiGraph, visit::Dfs};

use crate::{Node, NodeId};

/// Why nodes are not a graph that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two nodes have the same id.
    #[error("two nodes have the id `{0}`")]
    DuplicateId(NodeId),
    /// A node depends on one that is not there.
    #[error("node `{node}` depends on `{missing}`, which is not in the plan")]
    DanglingEdge {
        /// The node with the edge.
        node: NodeId,
        /// What it names.
        missing: NodeId,
    },
    /// Nodes wait for each other.
    #[error("nodes wait for each other: {}", path(.0))]
    Cycle(
        /// The cycle, each node waiting for the next; the last waits for the first.
        Vec<NodeId>,
    ),
}

/// Joins a cycle as `a -> b -> a`; a long one is shortened in the middle.
fn path(cycle: &[NodeId]) -> String {
    const SHOWN: usize = 20;
    let mut words: Vec<&str> = cycle.iter().take(SHOWN).map(NodeId::as_str).collect();
    let more = format!("({} more)", cycle.len().saturating_sub(SHOWN));
    if cycle.len() > SHOWN {
        words.push(&more);
    }
    words.extend(cycle.first().map(NodeId::as_str));
    words.join(" -> ")
}

/// A checked graph over nodes `0..len`, in canonical order: node `i` never depends on a later one.
#[derive(Debug, Clone)]
pub struct Graph {
    /// An edge goes from a dependency to its dependent.
    edges: DiGraph<(), (), u32>,
    by_id: HashMap<NodeId, usize>,
    depths: Vec<u32>,
}

impl Graph {
    /// Checks `nodes` and puts them into canonical order.
    ///
    /// # Errors
    ///
    /// [`GraphError`] for a duplicate id, an edge to nowhere, or a cycle with its whole path.
    pub fn build<N: Borrow<Node>>(mut nodes: Vec<N>) -> Result<(Vec<N>, Self), GraphError> {
        let mut depths = depths(&nodes)?;
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        let rank = |at: usize| (depths[at], &nodes[at].borrow().id);
        order.sort_by(|&a, &b| rank(a).cmp(&rank(b)));
        arrange(&mut order, |a, b| {
            nodes.swap(a, b);
            depths.swap(a, b);
        });

        let ids = nodes.iter().map(|node| node.borrow().id.clone());
        let by_id: HashMap<NodeId, usize> = ids.zip(0..).collect();
        let mut edges = DiGraph::with_capacity(nodes.len(), nodes.len());
        for _ in &nodes {
            edges.add_node(());
        }
        for (dependent, node) in nodes.iter().enumerate() {
            for dependency in &node.borrow().depends_on {
                edges.add_edge(vertex(by_id[dependency]), vertex(dependent), ());
            }
        }
        Ok((nodes, Self { edges, by_id, depths }))
    }

    /// Returns the position of a node in canonical order.
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Returns the longest way from a node without dependencies to the node at `position`.
    #[must_use]
    pub fn depth(&self, position: usize) -> u32 {
        self.depths[position]
    }

    /// Returns the positions of the nodes that the one at `position` waits for directly.
    pub fn dependencies(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.neighbors_directed(vertex(position), Direction::Incoming).map(|v| v.index())
    }

    /// Returns the positions of the nodes that wait directly for the one at `position`.
    pub fn dependents(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.neighbors_directed(vertex(position), Direction::Outgoing).map(|v| v.index())
    }

    /// Returns `position` and everything it waits for, directly or not.
    #[must_use]
    pub fn upstream(&self, position: usize) -> BTreeSet<usize> {
        let reversed = petgraph::visit::Reversed(&self.edges);
        let mut walk = Dfs::new(reversed, vertex(position));
        std::iter::from_fn(|| walk.next(reversed)).map(|v| v.index()).collect()
    }

    /// Returns `position` and everything that waits for it, directly or not.
    #[must_use]
    pub fn downstream(&self, position: usize) -> BTreeSet<usize> {
        let mut walk = Dfs::new(&self.edges, vertex(position));
        std::iter::from_fn(|| walk.next(&self.edges)).map(|v| v.index()).collect()
    }
}

/// Puts things into an order, `order[i]` being the place of the one that is to stand at `i`: where
/// they are, since twice as many large ones would not be had for nothing.
fn arrange(order: &mut [usize], mut swap: impl FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == start {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

fn vertex(position: usize) -> petgraph::graph::NodeIndex<u32> {
    petgraph::graph::NodeIndex::new(position)
}

/// Computes each node's depth with Kahn's algorithm; what is left over holds a cycle.
fn depths<N: Borrow<Node>>(nodes: &[N]) -> Result<Vec<u32>, GraphError> {
    let mut index: HashMap<&NodeId, usize> = HashMap::with_capacity(nodes.len());
    for (position, node) in nodes.iter().map(Borrow::borrow).enumerate() {
        if index.insert(&node.id, position).is_some() {
            return Err(GraphError::DuplicateId(node.id.clone()));
        }
    }
    let mut waiting = vec![0usize; nodes.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (position, node) in nodes.iter().map(Borrow::borrow).enumerate() {
        for dependency in &node.depends_on {
            let Some(&upstream) = index.get(dependency) else {
                let (node, missing) = (node.id.clone(), dependency.clone());
                return Err(GraphError::DanglingEdge { node, missing });
            };
            dependents[upstream].push(position);
            waiting[position] += 1;
        }
    }
    let mut depths = vec![0u32; nodes.len()];
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|&node| waiting[node] == 0).collect();
    let mut done = 0;
    while let Some(node) = ready.pop() {
        done += 1;
        for &dependent in &dependents[node] {
            depths[dependent] = depths[dependent].max(depths[node] + 1);
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                ready.push(dependent);
            }
        }
    }
    if done == nodes.len() {
        Ok(depths)
    } else {
        Err(GraphError::Cycle(cycle(nodes, &index, &waiting)))
    }
}

/// Walks from a node that never became ready to one it waits for, until one comes up again. A
/// loop, not a recursion: a hostile plan may hold a cycle of a million nodes.
fn cycle<N: Borrow<Node>>(
    nodes: &[N],
    index: &HashMap<&NodeId, usize>,
    waiting: &[usize],
) -> Vec<NodeId> {
    let stuck = |position: &usize| waiting[*position] > 0;
    let start = (0..nodes.len())
        .filter(stuck)
        .min_by_key(|&position| &nodes[position].borrow().id)
        .expect("Kahn left at least one node");
    let mut walk = vec![start];
    let mut seen: HashMap<usize, usize> = HashMap::from([(start, 0)]);
    loop {
        let at = *walk.last().expect("the walk starts with a node");
        let next = nodes[at]
            .borrow()
            .depends_on
            .iter()
            .map(|dependency| index[dependency])
            .find(stuck)
            .expect("a node that never became ready waits for another such node");
        if let Some(&from) = seen.get(&next) {
            let mut cycle: Vec<NodeId> =
                walk[from..].iter().map(|&position| nodes[position].borrow().id.clone()).collect();
            // The same cycle reads the same wherever the walk entered it.
            let smallest = cycle.iter().enumerate().min_by_key(|(_, id)| *id).map_or(0, |(i, _)| i);
            cycle.rotate_left(smallest);
            return cycle;
        }
        seen.insert(next, walk.len());
        walk.push(next);
    }
}
