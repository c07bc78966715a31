//! The algebra of the graph: orders, closures, and what is no graph.

use std::collections::BTreeSet;

use plans::{Graph, GraphError, Node, NodeId};
use proptest::prelude::*;

use crate::sample::{node, node_id};

fn name(number: usize) -> String {
    format!("execute-{number:03}")
}

/// Random acyclic graphs: an edge only goes from a smaller number to a larger one, and the nodes
/// come in any order under names that say nothing about it.
fn acyclic() -> impl Strategy<Value = Vec<Node>> {
    (1usize..30).prop_flat_map(|len| {
        let edges = prop::collection::vec((0..len, 0..len), 0..80);
        let names = Just((0..len).map(name).collect::<Vec<_>>()).prop_shuffle();
        let order = Just((0..len).collect::<Vec<_>>()).prop_shuffle();
        (edges, names, order).prop_map(|(edges, names, order)| {
            order
                .into_iter()
                .map(|at| {
                    let upstream: Vec<&str> = edges
                        .iter()
                        .filter(|(a, b)| a != b && *a.max(b) == at)
                        .map(|(a, b)| names[*a.min(b)].as_str())
                        .collect();
                    node(&names[at], &upstream)
                })
                .collect()
        })
    })
}

proptest! {
    #[test]
    fn no_node_comes_before_what_it_waits_for(nodes in acyclic()) {
        let (ordered, graph) = Graph::build(nodes).expect("acyclic");
        for (position, node) in ordered.iter().enumerate() {
            let upstream: BTreeSet<&NodeId> =
                graph.dependencies(position).map(|at| &ordered[at].id).collect();
            prop_assert_eq!(&upstream, &node.depends_on.iter().collect());
            prop_assert!(graph.dependencies(position).all(|at| at < position));
            let longest = graph.dependencies(position).map(|at| graph.depth(at) + 1).max();
            prop_assert_eq!(graph.depth(position), longest.unwrap_or(0));
        }
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_given(nodes in acyclic(), seed in any::<u64>()) {
        let mut other = nodes.clone();
        other.sort_by_key(|node| seed.wrapping_mul(node.id.as_str().len() as u64) ^ u64::from(node.id.as_str().as_bytes()[10]));
        let ids = |nodes| -> Vec<NodeId> {
            Graph::build(nodes).expect("acyclic").0.into_iter().map(|node: Node| node.id).collect()
        };
        prop_assert_eq!(ids(nodes), ids(other));
    }

    #[test]
    fn upstream_and_downstream_are_each_others_mirror(nodes in acyclic()) {
        let (ordered, graph) = Graph::build(nodes).expect("acyclic");
        for a in 0..ordered.len() {
            prop_assert!(graph.upstream(a).contains(&a));
            for b in graph.upstream(a) {
                prop_assert!(graph.downstream(b).contains(&a));
            }
        }
    }
}

#[test]
fn a_cycle_is_named_whole_and_from_its_smallest_node() {
    let nodes = vec![
        node("execute-lead-in", &["execute-c"]),
        node("execute-c", &["execute-b"]),
        node("execute-a", &["execute-c"]),
        node("execute-b", &["execute-a"]),
    ];
    let error = Graph::build(nodes).expect_err("a cycle");
    insta::assert_snapshot!(error, @"nodes wait for each other: execute-a -> execute-c -> execute-b -> execute-a");
}

#[test]
fn a_node_that_waits_for_itself_is_a_cycle() {
    let error = Graph::build(vec![node("execute-a", &["execute-a"])]).expect_err("a cycle");
    assert_eq!(error, GraphError::Cycle(vec![node_id("execute-a")]));
}

#[test]
fn a_cycle_of_a_hundred_thousand_nodes_neither_overflows_nor_floods() {
    let len = 100_000;
    let id = |number: usize| format!("execute-{:06}", number % len);
    let nodes = (0..len).map(|number| node(&id(number), &[&id(number + 1)])).collect();
    let error = Graph::build(nodes).expect_err("a cycle").to_string();
    assert!(error.contains("(99980 more)") && error.len() < 600, "{error}");
}

#[test]
fn duplicates_and_edges_to_nowhere_are_named() {
    let twice = Graph::build(vec![node("execute-a", &[]), node("execute-a", &[])]);
    assert_eq!(twice.expect_err("twice"), GraphError::DuplicateId(node_id("execute-a")));
    let error = Graph::build(vec![node("execute-a", &["execute-b"])]).expect_err("dangling");
    insta::assert_snapshot!(error, @"node `execute-a` depends on `execute-b`, which is not in the plan");
}
