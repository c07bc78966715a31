//! The plan's graph as something to draw: boxes, arrows, and where they belong. A plan that is too
//! large to be read as a picture is drawn in groups instead. Shared by every drawing form; knows
//! no syntax and no coordinates.

use std::collections::{BTreeMap, BTreeSet};

use plans::{NodeKind, Plan};

use super::{text, words};

/// What is drawn.
pub(super) struct Drawing {
    /// The boxes; an arrow never goes to an earlier box.
    pub(super) boxes: Vec<Box>,
    /// Arrows from a dependency to its dependent, sorted.
    pub(super) arrows: BTreeSet<(usize, usize)>,
    /// Where and how isolated nodes run, in the order in which they first appear.
    pub(super) places: Vec<String>,
    /// Whether boxes stand for several nodes, and arrows inside a column may be left out.
    pub(super) grouped: bool,
}

/// A node, or a group of nodes.
pub(super) struct Box {
    /// The positions of its nodes in the plan.
    pub(super) nodes: Vec<usize>,
    /// An index of [`Drawing::places`]; absent: its nodes run in several places.
    pub(super) place: Option<usize>,
    /// The column it belongs to: everything it waits for is in an earlier one.
    pub(super) layer: usize,
    /// The node's id, or what the group holds.
    pub(super) label: String,
    /// For nodes that differ only in what they run: their names, or what tells these apart.
    pub(super) members: Members,
    /// Whether all its nodes make something ready.
    pub(super) prepare: bool,
}

/// What a box says about the nodes it stands for.
pub(super) enum Members {
    /// Nothing: it is one node, or they are too different.
    Unnamed,
    /// Names, one a line.
    Names(Vec<String>),
    /// The words in which the names differ, all on one line.
    Parts(String),
}

/// How many members are named before they are counted.
const NAMED: usize = 8;
const NAMED_PARTS: usize = 16;

/// How coarse groups are; each is tried until the picture is small enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grain {
    /// Every node.
    Node,
    /// Nodes that differ only in what they run: same place, same dependencies, same dependents.
    Twins,
    /// Nodes of the same depth and place.
    DepthAndPlace,
    /// Nodes of neighbouring depths and the same place.
    BandAndPlace,
    /// Nodes of neighbouring depths.
    Band,
}

/// How many columns a drawing of bands has at most.
const BANDS: usize = 12;
/// Above these, sixty boxes that all wait for the same two say less than one that stands for them.
const NODES_ALONE: usize = 40;
const NODES_ABOVE_EACH_OTHER: usize = 14;

impl Drawing {
    /// Draws `plan` with at most about `max_boxes` boxes and `max_arrows` arrows.
    pub(super) fn new(plan: &Plan, max_boxes: usize, max_arrows: usize) -> Self {
        let places = Places::new(plan);
        for grain in [Grain::Node, Grain::Twins, Grain::DepthAndPlace, Grain::BandAndPlace] {
            let drawing = draw(plan, &places, grain);
            // Groups stand in few columns, so that more arrows between them can be followed.
            let (boxes, arrows) = match grain {
                Grain::Node => (max_boxes.min(NODES_ALONE), max_arrows),
                Grain::Twins => (max_boxes, max_arrows),
                _ => (max_boxes, max_arrows * 3),
            };
            let flat = grain != Grain::Node || drawing.tallest() <= NODES_ABOVE_EACH_OTHER;
            if flat && drawing.boxes.len() <= boxes && drawing.arrows.len() <= arrows {
                return drawing;
            }
        }
        draw(plan, &places, Grain::Band)
    }

    /// Draws every node, however many there are.
    pub(super) fn whole(plan: &Plan) -> Self {
        draw(plan, &Places::new(plan), Grain::Node)
    }

    /// Returns how many boxes the largest layer has.
    fn tallest(&self) -> usize {
        let mut heights: BTreeMap<usize, usize> = BTreeMap::new();
        for it in &self.boxes {
            *heights.entry(it.layer).or_default() += 1;
        }
        heights.into_values().max().unwrap_or(0)
    }
}

/// Where each node runs, named once.
pub(super) struct Places {
    /// The names, in the order in which they first appear.
    pub(super) names: Vec<String>,
    /// An index of `names` for each node.
    pub(super) of_node: Vec<usize>,
}

impl Places {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        let mut names = Vec::new();
        let of_node = plan
            .nodes()
            .iter()
            .map(|node| {
                let name = words::place(&node.spec.placement, &node.spec.runtime);
                *index.entry(name.clone()).or_insert_with(|| {
                    names.push(name);
                    names.len() - 1
                })
            })
            .collect();
        Self { names, of_node }
    }
}

fn draw(plan: &Plan, places: &Places, grain: Grain) -> Drawing {
    let depth = |node: usize| plan.graph().depth(node) as usize;
    let deepest = (0..plan.nodes().len()).map(depth).max().unwrap_or(0);
    let band = |node: usize| depth(node) * BANDS.min(deepest + 1) / (deepest + 1);
    let twins = if grain == Grain::Twins { twins(plan, places) } else { Vec::new() };
    let key = |node: usize| match grain {
        Grain::Node => (depth(node), node),
        Grain::Twins => (depth(node), twins[node]),
        Grain::DepthAndPlace => (depth(node), places.of_node[node]),
        Grain::BandAndPlace => (band(node), places.of_node[node]),
        Grain::Band => (band(node), 0),
    };
    let mut groups: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for node in 0..plan.nodes().len() {
        groups.entry(key(node)).or_default().push(node);
    }
    let mut box_of = vec![0; plan.nodes().len()];
    let mut boxes = Vec::with_capacity(groups.len());
    for ((layer, _), nodes) in groups {
        for &node in &nodes {
            box_of[node] = boxes.len();
        }
        let prepare = nodes.iter().all(|&node| plan.nodes()[node].kind == NodeKind::Prepare);
        boxes.push(Box {
            place: nodes
                .iter()
                .all(|&node| places.of_node[node] == places.of_node[nodes[0]])
                .then(|| places.of_node[nodes[0]]),
            label: label(plan, places, &nodes),
            members: match grain {
                Grain::Twins => members(plan, &nodes),
                _ => Members::Unnamed,
            },
            prepare,
            layer,
            nodes,
        });
    }
    let mut arrows = BTreeSet::new();
    for node in 0..plan.nodes().len() {
        for before in plan.graph().dependencies(node) {
            // A band holds several depths, so arrows inside one could go round in circles.
            if boxes[box_of[before]].layer < boxes[box_of[node]].layer {
                arrows.insert((box_of[before], box_of[node]));
            }
        }
    }
    let grouped = boxes.iter().any(|it| it.nodes.len() > 1);
    Drawing { boxes, arrows, places: places.names.clone(), grouped }
}

/// Returns for each node the first of those that have its kind, place, dependencies and dependents.
fn twins(plan: &Plan, places: &Places) -> Vec<usize> {
    let mut first = BTreeMap::new();
    (0..plan.nodes().len())
        .map(|node| {
            let before: BTreeSet<usize> = plan.graph().dependencies(node).collect();
            let after: BTreeSet<usize> = plan.graph().dependents(node).collect();
            let key = (plan.nodes()[node].kind, places.of_node[node], before, after);
            *first.entry(key).or_insert(node)
        })
        .collect()
}

fn label(plan: &Plan, places: &Places, nodes: &[usize]) -> String {
    let ids: Vec<&str> = nodes.iter().map(|&node| plan.nodes()[node].id.as_str()).collect();
    if let [only] = ids[..] {
        return only.to_owned();
    }
    let prepare =
        nodes.iter().filter(|&&node| plan.nodes()[node].kind == NodeKind::Prepare).count();
    let execute = nodes.len() - prepare;
    let here: BTreeSet<usize> = nodes.iter().map(|&node| places.of_node[node]).collect();
    let what = match (prepare, execute) {
        (0, _) => text::count(execute, "execute node"),
        (_, 0) => text::count(prepare, "prepare node"),
        (_, _) => format!("{prepare} prepare, {}", text::count(execute, "execute node")),
    };
    match (here.len(), Pattern::of(&ids)) {
        (1, Some(pattern)) => format!("{} × {pattern}", nodes.len()),
        (1, None) => what,
        (places, _) => format!("{what} in {places} places"),
    }
}

fn members(plan: &Plan, nodes: &[usize]) -> Members {
    let ids: Vec<&str> = nodes.iter().map(|&node| plan.nodes()[node].id.as_str()).collect();
    if ids.len() < 2 {
        return Members::Unnamed;
    }
    if let Some(pattern) = Pattern::of(&ids) {
        let mut parts: Vec<String> =
            ids.iter().take(NAMED_PARTS).map(|id| pattern.difference(id)).collect();
        if ids.len() > NAMED_PARTS {
            parts.push("…".to_owned());
        }
        return Members::Parts(parts.join(", "));
    }
    // The kind is the same for all, and the box shows it.
    let name = |id: &&str| id.split_once('-').map_or(*id, |(_, rest)| rest).to_owned();
    let room = if ids.len() > NAMED { NAMED - 1 } else { NAMED };
    let mut names: Vec<String> = ids.iter().take(room).map(name).collect();
    if ids.len() > room {
        names.push(format!("and {} more", ids.len() - room));
    }
    Members::Names(names)
}

/// What ids have in common, in whole words: `execute-crate-…-tests`.
struct Pattern {
    start: Vec<String>,
    end: Vec<String>,
}

impl Pattern {
    /// Nothing, if all they share is their kind.
    fn of(ids: &[&str]) -> Option<Self> {
        let (first, rest) = ids.split_first()?;
        let first: Vec<&str> = first.split('-').collect();
        let (mut start, mut end) = (first.len(), first.len());
        for id in rest {
            let other: Vec<&str> = id.split('-').collect();
            start = start.min(first.iter().zip(&other).take_while(|(a, b)| a == b).count());
            let shared = first.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b);
            // No word is the start and the end of the same id, and something is left between.
            let between = first.len().min(other.len()).saturating_sub(start + 1);
            end = end.min(shared.count()).min(between);
        }
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        (start > 0 && start + end > 1).then(|| Self {
            start: owned(&first[..start]),
            end: owned(&first[first.len() - end..]),
        })
    }

    /// Returns the words of an id that the others do not share.
    fn difference(&self, id: &str) -> String {
        let words: Vec<&str> = id.split('-').collect();
        let end = words.len() - self.end.len();
        match words[self.start.len().min(end)..end].join("-") {
            nothing if nothing.is_empty() => "(nothing)".to_owned(),
            words => words,
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-…", self.start.join("-"))?;
        self.end.iter().try_for_each(|word| write!(f, "-{word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn a_group_is_named_by_what_its_nodes_share() {
        let shared = |ids: &[&str]| Pattern::of(ids).map(|pattern| pattern.to_string());
        assert_eq!(
            shared(&["execute-a-tests", "execute-b-tests"]).as_deref(),
            Some("execute-…-tests")
        );
        assert_eq!(shared(&["execute-ios-a", "execute-ios-b"]).as_deref(), Some("execute-ios-…"));
        assert_eq!(shared(&["execute-a-a", "execute-a"]).as_deref(), Some("execute-a-…"));
        assert_eq!(shared(&["execute-a", "execute-b"]), None);
    }

    #[test]
    fn what_tells_nodes_apart_is_what_they_do_not_share() {
        let ids = ["execute-crate-a-tests", "execute-crate-b-c-tests"];
        let pattern = Pattern::of(&ids).expect("they share words");
        assert_eq!(ids.map(|id| pattern.difference(id)), ["a", "b-c"]);
        let ids = ["execute-a-a", "execute-a"];
        let pattern = Pattern::of(&ids).expect("they share words");
        assert_eq!(ids.map(|id| pattern.difference(id)), ["a", "(nothing)"]);
    }

    #[test]
    fn jobs_that_wait_for_the_same_are_one_box() {
        let mut parts = sample::parts();
        parts.lanes.clear();
        parts.nodes = vec![sample::node("prepare-deps", &[])];
        for job in 0..60 {
            parts.nodes.push(sample::node(&format!("execute-{job}-tests"), &["prepare-deps"]));
        }
        parts.nodes.push(sample::node("execute-last", &["execute-7-tests"]));
        let plan = Plan::new(parts).expect("the parts fit");
        let drawing = Drawing::new(&plan, 100, 100);
        let labels: Vec<&str> = drawing.boxes.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(
            labels,
            ["prepare-deps", "59 × execute-…-tests", "execute-7-tests", "execute-last"]
        );
        assert_eq!(drawing.arrows.len(), 3);
    }
}
