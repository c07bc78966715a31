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
    /// Whether all its nodes make something ready.
    pub(super) prepare: bool,
}

/// How coarse groups are; each is tried until the picture is small enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grain {
    Node,
    DepthAndPlace,
    BandAndPlace,
    Band,
}

/// How many columns a drawing of bands has at most.
const BANDS: usize = 12;

impl Drawing {
    /// Draws `plan` with at most about `max_boxes` boxes and `max_arrows` arrows.
    pub(super) fn new(plan: &Plan, max_boxes: usize, max_arrows: usize) -> Self {
        let places = Places::new(plan);
        for grain in [Grain::Node, Grain::DepthAndPlace, Grain::BandAndPlace] {
            let drawing = draw(plan, &places, grain);
            // Groups stand in few columns, so that more arrows between them can be followed.
            let factor = if drawing.grouped { 3 } else { 1 };
            if drawing.boxes.len() <= max_boxes && drawing.arrows.len() <= max_arrows * factor {
                return drawing;
            }
        }
        draw(plan, &places, Grain::Band)
    }

    /// Draws every node, however many there are.
    pub(super) fn whole(plan: &Plan) -> Self {
        draw(plan, &Places::new(plan), Grain::Node)
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
    let key = |node: usize| match grain {
        Grain::Node => (depth(node), node),
        Grain::DepthAndPlace => (depth(node), places.of_node[node]),
        Grain::BandAndPlace => (band(node), places.of_node[node]),
        Grain::Band => (band(node), 0),
    };
    let mut members: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for node in 0..plan.nodes().len() {
        members.entry(key(node)).or_default().push(node);
    }
    let mut box_of = vec![0; plan.nodes().len()];
    let mut boxes = Vec::with_capacity(members.len());
    for ((layer, _), nodes) in members {
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
    Drawing { boxes, arrows, places: places.names.clone(), grouped: grain != Grain::Node }
}

fn label(plan: &Plan, places: &Places, nodes: &[usize]) -> String {
    if let [only] = nodes {
        return plan.nodes()[*only].id.to_string();
    }
    let prepare =
        nodes.iter().filter(|&&node| plan.nodes()[node].kind == NodeKind::Prepare).count();
    let execute = nodes.len() - prepare;
    let label = match (prepare, execute) {
        (0, _) => text::count(execute, "execute node"),
        (_, 0) => text::count(prepare, "prepare node"),
        (_, _) => format!("{prepare} prepare, {}", text::count(execute, "execute node")),
    };
    let here: BTreeSet<usize> = nodes.iter().map(|&node| places.of_node[node]).collect();
    if here.len() > 1 { format!("{label} in {} places", here.len()) } else { label }
}
