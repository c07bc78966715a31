//! Cargo: `cargo metadata` of generated workspaces with a directory of vendored packages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use lanes::glob::Glob;
use planner::{Request, plan};
use serde_json::Value;

use super::{
    Trial, Truth, World, closure, in_tree, relative, run,
    shape::{Shape, quoted, some},
    write_lanes, written,
};
use crate::sandbox::{Numbers, Sandbox};

const MEMBERS: [&str; 9] = [
    "packages/*",
    "apps/*",
    "apps/web",
    "libs/low",
    "./tools/*",
    "packages/[a-c]*",
    "groups/?",
    "more/**/z",
    "*/a",
];
const EXCLUDED: [&str; 5] = ["packages/old-one", "packages/a/nested", "groups", "vendor", "more"];
/// What is vendored, and what it depends on.
const VENDORED: [(&str, &str, &[&str]); 6] = [
    ("low", "1.0.0", &[]),
    ("low", "1.1.0", &[]),
    ("mid", "1.0.0", &["low"]),
    ("mid", "1.1.0", &["low"]),
    ("top", "1.0.0", &["mid"]),
    ("other", "1.0.0", &[]),
];

fn name(dir: &str) -> String {
    if dir == "vendor/fork" { "low".to_owned() } else { dir.replace('/', "-") }
}

/// One dependency: the key of its table and its line.
type Line = (&'static str, String);

fn depend(numbers: &mut Numbers, shape: &Shape, from: usize, to: usize, shared: &[usize]) -> Line {
    let table = *numbers.pick(&[
        "dependencies",
        "dependencies",
        "dev-dependencies",
        "build-dependencies",
        "target.'cfg(windows)'.dependencies",
        "target.'cfg(unix)'.build-dependencies",
    ]);
    let other = &shape.packages[to];
    let optional =
        if !table.starts_with("dev") && numbers.below(6) == 0 { ", optional = true" } else { "" };
    if shared.contains(&to) && numbers.below(2) == 0 {
        return (table, format!("{} = {{ workspace = true{optional} }}\n", other.name));
    }
    let path = relative(&shape.packages[from].dir, &shape.way(numbers, to));
    let line = if numbers.below(5) == 0 {
        format!("alias-{to} = {{ package = \"{}\", path = \"{path}\"{optional} }}\n", other.name)
    } else {
        format!("{} = {{ path = \"{path}\"{optional} }}\n", other.name)
    };
    (table, line)
}

fn manifest(sandbox: &Sandbox, dir: &str, name: &str, lines: &[Line], more: &str) {
    let mut tables: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (table, line) in lines {
        tables.entry(table).or_default().insert(line);
    }
    let version = if name == "low" { "1.2.0" } else { "0.1.0" };
    let mut text =
        format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n");
    for (table, lines) in tables {
        let lines: String = lines.into_iter().collect();
        text.extend([format!("[{table}]\n{lines}")]);
    }
    let below = |file: &str| if dir.is_empty() { file.to_owned() } else { format!("{dir}/{file}") };
    sandbox.write(below("Cargo.toml"), text + more);
    sandbox.write(below("src/lib.rs"), "");
    sandbox.write(below("build.rs"), "fn main() {}\n");
}

fn vendor(sandbox: &Sandbox) {
    for (name, version, needs) in VENDORED {
        let dir = format!("third-party/{name}-{version}");
        let needs: String = needs.iter().map(|it| format!("{it} = \"1\"\n")).collect();
        let text = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\
             [dependencies]\n{needs}"
        );
        sandbox.write(format!("{dir}/Cargo.toml"), text);
        sandbox.write(format!("{dir}/src/lib.rs"), "");
        let sums = "{\"files\":{},\"package\":\"0000000000000000000000000000000000000000000000000000000000000000\"}";
        sandbox.write(format!("{dir}/.cargo-checksum.json"), sums);
    }
}

fn build(numbers: &mut Numbers) -> World {
    let sandbox = Sandbox::new();
    let shape = Shape::new(numbers, name);
    vendor(&sandbox);
    let members = some(numbers, &MEMBERS, 3);
    // Cargo refuses a pattern that matches nothing.
    let has = |pattern: &&str| {
        let glob = Glob::new(pattern.trim_start_matches("./")).expect("a glob");
        shape.packages.iter().any(|it| glob.is_match(it.dir.as_bytes()))
    };
    let members: Vec<&str> = members.into_iter().filter(has).collect();
    let excluded = some(numbers, &EXCLUDED, 4);
    let out =
        |dir: &str| excluded.iter().any(|it| dir == *it || dir.starts_with(&format!("{it}/")));
    let shared: Vec<usize> = (0..shape.packages.len()).filter(|_| numbers.below(3) == 0).collect();
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (at, package) in shape.packages.iter().enumerate() {
        // A package outside inherits nothing.
        let inherits: &[usize] = if out(&package.dir) { &[] } else { &shared };
        let mut lines = Vec::new();
        for &to in &package.needs {
            lines.push(depend(numbers, &shape, at, to, inherits));
            written.entry(package.dir.clone()).or_default().insert(shape.packages[to].dir.clone());
        }
        // A circle, which only dependencies for tests may make.
        if at > 0 && numbers.below(5) == 0 {
            let to = &shape.packages[numbers.below(at)];
            let path = relative(&package.dir, &to.dir);
            lines.push(("dev-dependencies", format!("{} = {{ path = \"{path}\" }}\n", to.name)));
            written.entry(package.dir.clone()).or_default().insert(to.dir.clone());
        }
        if numbers.below(3) == 0 {
            let from = *numbers.pick(&["top", "mid", "other"]);
            lines.push(("dependencies", format!("{from} = \"1\"\n")));
        }
        let more = if out(&package.dir) && numbers.below(2) == 0 { "[workspace]\n" } else { "" };
        manifest(&sandbox, &package.dir, &package.name, &lines, more);
    }
    shape.link(&sandbox);
    let list: String = shared
        .iter()
        .map(|&at| {
            let path = shape.way(numbers, at);
            format!("{} = {{ path = \"{path}\" }}\n", shape.packages[at].name)
        })
        .collect();
    let fork = shape.packages.iter().any(|it| it.name == "low");
    let patch = "[patch.crates-io]\nlow = { path = \"vendor/fork\" }\n";
    let at = numbers.below(4);
    let mut root = format!(
        "[workspace]\nresolver = \"2\"\nmembers = {}\nexclude = {}\n[workspace.dependencies]\n{list}",
        quoted(members),
        quoted(excluded.iter().copied().chain(["third-party"])),
    );
    let mut config = "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\n\
                      directory = \"third-party\"\n"
        .to_owned();
    match at {
        0 if fork => root += patch,
        1 if fork => config += patch,
        _ => {}
    }
    let mut places = shape.dirs();
    if numbers.below(3) == 0 {
        let mut lines = Vec::new();
        for to in &shape.packages {
            if numbers.below(4) == 0 {
                lines
                    .push(("dependencies", format!("{} = {{ path = \"{}\" }}\n", to.name, to.dir)));
                written.entry(String::new()).or_default().insert(to.dir.clone());
            }
        }
        manifest(&sandbox, "", "root", &lines, &root);
        places.push(String::new());
    } else {
        sandbox.write("Cargo.toml", root);
    }
    sandbox.write(".cargo/config.toml", config);
    World { sandbox, places, written }
}

fn cargo(world: &World, args: &[&str]) -> Result<String, String> {
    let cargo = PathBuf::from(env!("CARGO"));
    let rustc = cargo.with_file_name("rustc");
    let home = world.sandbox.beside("home/cargo");
    let text = |path: &'_ Path| path.to_str().expect("text").to_owned();
    let env = [("RUSTC", text(&rustc)), ("CARGO_HOME", text(&home))];
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (*key, value.as_str())).collect();
    run(&world.sandbox, "", &cargo, args, &env)
}

/// A package of the resolved graph.
struct Node {
    name: String,
    /// Its directory, if it is one of the tree.
    dir: Option<String>,
    needs: BTreeSet<String>,
}

fn metadata(world: &World, manifest: &str) -> Result<BTreeMap<String, Node>, String> {
    let args = ["metadata", "--offline", "--format-version", "1", "--all-features"];
    let text = cargo(world, &[&args[..], &["--manifest-path", manifest]].concat())?;
    let all: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut nodes = BTreeMap::new();
    for package in list(&all["packages"]) {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let dir = manifest.parent().and_then(|dir| in_tree(&world.sandbox, dir));
        let dir = dir.filter(|_| package["source"].is_null());
        let node = Node { name: text(&package["name"]), dir, needs: BTreeSet::new() };
        nodes.insert(text(&package["id"]), node);
    }
    for node in list(&all["resolve"]["nodes"]) {
        let needs = list(&node["deps"]).iter().map(|it| text(&it["pkg"])).collect();
        nodes.get_mut(&text(&node["id"])).expect("it is a package").needs = needs;
    }
    Ok(nodes)
}

fn ask(world: &World) -> Result<Truth, String> {
    let mut truth = Truth::new();
    let mut answers = vec![metadata(world, "Cargo.toml")?];
    let known = |answers: &[BTreeMap<String, Node>], dir: &str| {
        let mut nodes = answers.iter().flat_map(BTreeMap::values);
        nodes.any(|node| node.dir.as_deref() == Some(dir))
    };
    for dir in &world.places {
        if !known(&answers, dir) {
            // One that is no member and has no workspace of its own is refused.
            answers.extend(metadata(world, &format!("{dir}/Cargo.toml")));
        }
    }
    for nodes in answers {
        let edges = nodes.iter().map(|(id, node)| (id.clone(), node.needs.clone())).collect();
        for (id, node) in &nodes {
            let Some(dir) = &node.dir else { continue };
            let reached = closure(&edges, id);
            let dirs = reached.iter().filter_map(|id| nodes[id].dir.clone());
            let at =
                truth.entry(dir.clone()).or_insert_with(|| (node.name.clone(), BTreeSet::new()));
            at.1.extend(dirs);
        }
    }
    Ok(truth)
}

/// Features, and dependencies of packages outside the workspace for their tests, count whether or
/// not Cargo resolves them; a patch may be in whatever the lock file does not know.
fn more(world: &World, own: &str, dir: &str) -> bool {
    let patched = |file: &str| {
        let text = std::fs::read_to_string(world.sandbox.root().join(file));
        text.is_ok_and(|it| it.contains("[patch.crates-io]"))
    };
    written(world, own, dir)
        || ((patched("Cargo.toml") || patched(".cargo/config.toml"))
            && closure(&world.written, "vendor/fork").contains(dir))
}

#[test]
fn lanes_have_what_cargo_resolves() {
    Trial { key: "cargo", count: 10, build, ask, more }.compare();
}

/// Packages of the tree that have a vendored package of these ids in their closure, by name.
fn holders(nodes: &BTreeMap<String, Node>, changed: &BTreeSet<String>) -> BTreeSet<String> {
    let edges: BTreeMap<String, BTreeSet<String>> =
        nodes.iter().map(|(id, node)| (id.clone(), node.needs.clone())).collect();
    let holds = |id: &str| !closure(&edges, id).is_disjoint(changed);
    let of_tree = nodes.iter();
    let of_tree = of_tree.filter(|(_, node)| node.dir.as_ref().is_some_and(|dir| !dir.is_empty()));
    of_tree.filter(|(id, _)| holds(id)).map(|(_, node)| node.name.clone()).collect()
}

#[test]
fn a_changed_lock_file_selects_exactly_whose_closure_changed() {
    let mut compared = 0;
    for seed in super::seeds(8) {
        let world = build(&mut Numbers(seed));
        // `cargo update --precise` changes nothing for a directory of vendored packages, so the newer
        // ones come into it later.
        let newer = ["low-1.1.0", "mid-1.1.0"];
        let newer = newer.map(|it| {
            (world.sandbox.root().join("third-party").join(it), world.sandbox.beside(it))
        });
        for (there, away) in newer.iter().filter(|_| seed % 3 > 0).chain(&newer[..1]) {
            let _ = std::fs::rename(there, away);
        }
        let before = metadata(&world, "Cargo.toml");
        for (there, away) in &newer {
            let _ = std::fs::rename(away, there);
        }
        let Ok(before) = before else { continue };
        let names: BTreeSet<String> = before
            .values()
            // The lock file is in the directory of a package at the root.
            .filter(|node| node.dir.as_ref().is_some_and(|dir| !dir.is_empty()))
            .map(|node| node.name.clone())
            .collect();
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        write_lanes(&world.sandbox, "cargo", &names);
        world.sandbox.commit("before");
        std::fs::remove_file(world.sandbox.root().join("Cargo.lock")).expect("it was written");
        let after = metadata(&world, "Cargo.toml").expect("it was good before");
        world.sandbox.commit("after");
        let ids = |nodes: &BTreeMap<String, Node>| nodes.keys().cloned().collect::<BTreeSet<_>>();
        let changed: BTreeSet<String> =
            ids(&before).symmetric_difference(&ids(&after)).cloned().collect();
        let mut expected = holders(&before, &changed);
        expected.extend(holders(&after, &changed));
        let request = Request { dir: world.sandbox.root(), ..Request::default() };
        let plan = plan(&request).expect("a plan").plan;
        let selected = names.iter().enumerate().filter(|(at, _)| {
            let id = format!("p{at}");
            plan.lanes().iter().any(|lane| lane.id.as_str() == id && lane.selected)
        });
        let selected: BTreeSet<String> = selected.map(|(_, name)| (*name).to_owned()).collect();
        assert_eq!(selected, expected, "seed {seed}, changed {changed:?}");
        compared += usize::from(!expected.is_empty());
    }
    assert!(compared > 1, "only {compared} lock files changed for anybody");
}
