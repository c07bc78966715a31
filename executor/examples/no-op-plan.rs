//! Writes a plan of nodes that do nothing, for benchmarks and for trying things out:
//!
//!     cargo run -p executor --example no-op-plan -- 100 100 > plan.json
//!
//!     cargo run -p executor --example no-op-plan -- executor/tests/shapes/wide.txt 5 > plan.json
//!
//! Makes LAYERS layers of WIDTH nodes; each node waits for three of the layer before it. The plan is
//! about the tree of the repository's HEAD. With the name of an image, each runs in an Incus instance.
//! Of a shape it makes nodes that sleep, so many milliseconds for each of its seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, ExitCode},
};

use plans::{
    BaseMode, ChangeSource, LaneId, Node, NodeId, ObjectId, Plan, PlanLane, PlanParts, Reason,
    Runtime, Selection, SelectionMode, Source, Trigger,
};

#[path = "../tests/integration/nodes.rs"]
mod nodes;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().unwrap_or(0);
    let plan = match arguments[..] {
        [shape, milliseconds] if shape.ends_with(".txt") => {
            nodes_of_shape(shape, number(milliseconds))
        }
        [layers, width] => layered(number(layers), number(width), &Runtime::HostProcess),
        [layers, width, image] => {
            incus(image).and_then(|it| layered(number(layers), number(width), &it))
        }
        _ => Err("usage: no-op-plan LAYERS WIDTH [IMAGE] | SHAPE.txt MILLISECONDS".into()),
    };
    match plan.and_then(plan_of).and_then(|text| Ok(std::io::stdout().write_all(text.as_bytes())?))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The example has no other way to say it.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn incus(image: &str) -> Result<Runtime, Failure> {
    Ok(Runtime::Incus(plans::Incus {
        image: plans::EngineName::new(image)?,
        project: None,
        profiles: Vec::new(),
        vm: false,
        privileged: false,
        user: None,
        group: None,
        cpu: None,
        memory_mib: None,
        processes: None,
        disk_mib: None,
        cluster: None,
        boot_timeout_secs: None,
    }))
}

/// Nodes that sleep instead of those of a shape in `tests/shapes`.
fn nodes_of_shape(file: &str, milliseconds: usize) -> Result<Vec<Node>, Failure> {
    let text = std::fs::read_to_string(file)?;
    let mut all = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, seconds, needs) = match words[..] {
            ["jobs" | "best", _] => continue,
            [name, seconds] => (name, seconds, None),
            [name, seconds, needs] => (name, seconds, Some(needs)),
            _ => return Err(format!("no node: {line}").into()),
        };
        let ms = seconds.parse::<usize>()? * milliseconds;
        let time = format!("{}.{:03}", ms / 1000, ms % 1000);
        let command = plans::Command::Argv(vec!["sleep".to_owned(), time]);
        let mut node = nodes::node(&format!("execute-{name}"), command);
        let needs = needs.iter().flat_map(|needs| needs.split(','));
        let needs = needs.map(|name| NodeId::new(format!("execute-{name}")));
        node.depends_on = needs.collect::<Result<_, _>>()?;
        all.push(node);
    }
    Ok(all)
}

fn layered(layers: usize, width: usize, runtime: &Runtime) -> Result<Vec<Node>, Failure> {
    let mut all = Vec::with_capacity(layers * width);
    for layer in 0..layers {
        for place in 0..width {
            let depends_on: BTreeSet<NodeId> = match layer.checked_sub(1) {
                None => BTreeSet::new(),
                Some(above) => (0..3.min(width))
                    .map(|shift| id(above, (place + shift) % width))
                    .collect::<Result<_, _>>()?,
            };
            let command = plans::Command::Argv(vec!["true".to_owned()]);
            let mut node = nodes::node(id(layer, place)?.as_str(), command);
            node.depends_on = depends_on.into();
            node.spec.runtime = runtime.clone();
            node.spec.timeout_secs = 600;
            all.push(node);
        }
    }
    Ok(all)
}

fn plan_of(all: Vec<Node>) -> Result<String, Failure> {
    let lane = PlanLane {
        id: LaneId::new("all")?,
        title: "all".to_owned(),
        target: None,
        selected: true,
        reasons: vec![Reason::Always],
        nodes: all.iter().map(|node| node.id.clone()).collect(),
    };
    let plan = Plan::new(PlanParts {
        source: Source::Change(ChangeSource {
            base: None,
            head: Some(revision("HEAD")?),
            tree: Some(revision("HEAD^{tree}")?),
            base_mode: BaseMode::All,
            worktree: false,
            base_from: None,
            passed: None,
            cache_scope: None,
        }),
        selection: Selection {
            trigger: Trigger::Manual,
            mode: SelectionMode::All,
            note: None,
            lanes_not_listed: None,
        },
        inputs: BTreeMap::new(),
        changes: BTreeSet::new(),
        uncovered: BTreeSet::new(),
        lanes: vec![lane],
        nodes: all,
    })?;
    Ok(plan.to_json().json)
}

fn id(layer: usize, place: usize) -> Result<NodeId, Failure> {
    Ok(NodeId::new(format!("execute-{layer:05}-{place:05}"))?)
}

fn revision(name: &str) -> Result<ObjectId, Failure> {
    let output = Command::new("git").args(["rev-parse", "--verify", name]).output()?;
    Ok(ObjectId::new(String::from_utf8(output.stdout)?.trim())?)
}
