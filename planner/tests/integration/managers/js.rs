//! npm, pnpm, yarn 1 and yarn 4: what each makes of the same kind of generated workspace.
//!
//! npm is asked for its ideal tree, pnpm for a lock file without downloads, both yarns for their
//! workspaces and who needs whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{
    Trial, Truth, World, closure, in_tree, program, relative, run,
    shape::{Shape, some},
};
use crate::sandbox::{Numbers, Sandbox};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Npm,
    Pnpm,
    Yarn1,
    Yarn4,
}

use Manager::{Npm, Pnpm, Yarn1, Yarn4};

/// Patterns, each with what its directories begin with.
const MEMBERS: [(&str, &str); 11] = [
    ("packages/*", "packages/"),
    ("packages/**", "packages/"),
    ("apps/*", "apps/"),
    ("./libs/low", "libs/low"),
    ("tools/*/", "tools/"),
    ("packages/{a,b}", "-"),
    ("packages/!(old-*)", "-"),
    ("groups/[xy]", "groups/"),
    ("groups/@(x|q)", "-"),
    ("more/**/z", "more/"),
    ("*/core", "-"),
];
const EXCLUDED: [&str; 4] = ["!packages/old-one", "!**/nested", "!packages/a/**", "!apps/web"];

fn name(dir: &str) -> String {
    let plain = dir.replace('/', "-");
    if dir.starts_with("packages") { format!("@s/{plain}") } else { plain }
}

pub(crate) fn js(manager: Manager) -> Option<PathBuf> {
    program("node", "")?;
    match manager {
        Npm => program("npm", "node_modules/npm/bin/npm-cli.js"),
        Pnpm => program("pnpm", "node_modules/pnpm/bin/pnpm.cjs"),
        Yarn1 => program("yarn 1", "node_modules/yarn/bin/yarn.js"),
        Yarn4 => program("yarn 4", "node_modules/@yarnpkg/cli-dist/bin/yarn.js"),
    }
}

/// What a package writes to need another.
fn text(
    numbers: &mut Numbers,
    manager: Manager,
    [from, to]: [&str; 2],
    member: bool,
    is_peer: bool,
) -> String {
    let path = relative(from, to);
    let range = ["*", "^1.0.0", "1.0.0", ">=1 <2"];
    let all: Vec<String> = match manager {
        Npm | Yarn1 if member => {
            let mut all: Vec<String> = range.map(str::to_owned).to_vec();
            if !is_peer && manager == Npm {
                all.push(format!("file:{path}"));
            }
            all
        }
        Yarn4 if member && is_peer => ["*", "workspace:*"].map(str::to_owned).to_vec(),
        // pnpm asks the registry for a range.
        Pnpm if member && is_peer => vec!["workspace:*".to_owned()],
        Pnpm if member => {
            let mut all = ["workspace:*", "workspace:^", "workspace:~", "workspace:1.0.0"]
                .map(str::to_owned)
                .to_vec();
            all.extend([
                format!("workspace:{path}"),
                format!("link:{path}"),
                format!("file:{path}"),
            ]);
            all
        }
        Yarn4 if member => {
            let mut all =
                ["workspace:*", "workspace:^", "workspace:~", "1.0.0"].map(str::to_owned).to_vec();
            all.push(format!("workspace:{to}"));
            all
        }
        Npm => vec![format!("file:{path}"), path.clone()],
        Pnpm | Yarn1 => vec![format!("link:{path}"), format!("file:{path}")],
        Yarn4 => vec![format!("link:{path}"), format!("portal:{path}")],
    };
    let text = numbers.pick(&all).clone();
    // A path alone is one only if it begins like one.
    if text == path && !path.starts_with('.') { format!("./{path}") } else { text }
}

fn build(numbers: &mut Numbers, manager: Manager) -> World {
    let sandbox = Sandbox::new();
    let shape = Shape::new(numbers, name);
    let patterns: Vec<(&str, &str)> =
        MEMBERS.into_iter().filter(|_| numbers.below(2) == 0).collect();
    let excluded = some(numbers, &EXCLUDED, 4);
    // What is a member for sure: in a plain pattern, and not like anything that is excluded.
    let member = |dir: &str| {
        let deep = if dir.starts_with("more/") { 3 } else { 1 };
        dir.matches('/').count() == deep
            && patterns.iter().any(|(_, start)| dir.starts_with(start))
            && (excluded.is_empty()
                || !["packages/old-one", "packages/a", "apps/web"].contains(&dir))
    };
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut manifests: BTreeMap<String, Value> = BTreeMap::new();
    for package in &shape.packages {
        let mut tables: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for &to in &package.needs {
            let other = &shape.packages[to];
            let kinds =
                ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
            let mut kind = *numbers.pick(&kinds);
            if kind == "peerDependencies" && !member(&other.dir) {
                kind = "dependencies";
            }
            let is_peer = kind == "peerDependencies";
            let way = shape.way(numbers, to);
            let way = if member(&other.dir) { &other.dir } else { &way };
            let ends = [package.dir.as_str(), way];
            let text = text(numbers, manager, ends, member(&other.dir), is_peer);
            let (key, text) = match (manager, numbers.below(6)) {
                (Pnpm | Yarn4, 0) if member(&other.dir) && !is_peer && manager == Pnpm => {
                    (format!("alias-{to}"), format!("workspace:{}@*", other.name))
                }
                (_, 0) if text.contains(":.") => (format!("alias-{to}"), text),
                _ => (other.name.clone(), text),
            };
            tables.entry(kind).or_default().insert(key, json!(text));
            written.entry(package.dir.clone()).or_default().insert(other.dir.clone());
        }
        let mut manifest = json!({ "name": package.name, "version": "1.0.0" });
        for (kind, table) in tables {
            manifest[kind] = Value::Object(table);
        }
        manifests.insert(package.dir.clone(), manifest);
    }
    shape.link(&sandbox);
    let list: Vec<&str> =
        patterns.iter().map(|(pattern, _)| *pattern).chain(excluded.iter().copied()).collect();
    let mut root = json!({ "name": "root", "version": "1.0.0", "private": true });
    if manager == Pnpm {
        let list: Vec<String> = list.iter().map(|it| format!("  - '{it}'\n")).collect();
        let text = format!("packages:\n{}", list.concat());
        sandbox
            .write("pnpm-workspace.yaml", if list.is_empty() { "packages: []\n" } else { &text });
    } else if numbers.below(2) == 0 {
        root["workspaces"] = json!(list);
    } else {
        root["workspaces"] = json!({ "packages": list });
    }
    let version = match manager {
        Npm => "npm@10.9.4",
        Pnpm => "pnpm@10.34.5",
        Yarn1 => "yarn@1.22.22",
        Yarn4 => "yarn@4.18.1",
    };
    if numbers.below(2) == 0 || manager == Yarn1 {
        root["packageManager"] = json!(version);
    }
    if manager == Yarn4 {
        sandbox.write(".yarnrc.yml", "nodeLinker: node-modules\n");
    }
    // Something else in the place of a package, for everybody.
    if let Some(fork) = shape.packages.iter().find(|it| it.dir == "vendor/fork")
        && numbers.below(2) == 0
    {
        let last = shape.packages.iter().rfind(|it| it.dir != fork.dir).expect("several");
        let table = json!({ &last.name: format!("{}:./{}", match manager {
            Npm => "file",
            Pnpm | Yarn1 => "link",
            Yarn4 => "portal",
        }, fork.dir) });
        match manager {
            Npm => root["overrides"] = table,
            Pnpm => root["pnpm"] = json!({ "overrides": table }),
            Yarn1 | Yarn4 => root["resolutions"] = table,
        }
        for edges in written.values_mut() {
            edges.insert(fork.dir.clone());
        }
    }
    manifests.insert(String::new(), root);
    for (dir, manifest) in manifests {
        let file = Path::new(&dir).join("package.json");
        sandbox.write(file.to_str().expect("text"), manifest.to_string());
    }
    sandbox.write(".gitignore", "node_modules\n");
    World { sandbox, places: shape.dirs(), written }
}

/// Runs a manager's program.
fn manage(world: &World, manager: Manager, args: &[&str]) -> Result<String, String> {
    let node = program("node", "").expect("the caller looked");
    let script = js(manager).expect("the caller looked");
    let args = [&[script.to_str().expect("text")], args].concat();
    let env = [
        ("YARN_ENABLE_NETWORK", "0"),
        ("YARN_ENABLE_TELEMETRY", "0"),
        ("npm_config_manage_package_manager_versions", "false"),
        ("npm_config_update_notifier", "false"),
        ("CI", "1"),
    ];
    run(&world.sandbox, "", &node, &args, &env)
}

fn truth(names: &BTreeMap<String, String>, edges: &BTreeMap<String, BTreeSet<String>>) -> Truth {
    let of = |(dir, name): (&String, &String)| (dir.clone(), (name.clone(), closure(edges, dir)));
    names.iter().map(of).collect()
}

fn name_at(world: &World, dir: &str) -> Option<String> {
    let path = world.sandbox.root().join(dir).join("package.json");
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    Some(manifest["name"].as_str()?.to_owned())
}

/// npm's ideal tree: packages of the tree and where each of their dependencies leads.
const IDEAL: &str = "
const Arborist = require(process.argv[1] + '/node_modules/@npmcli/arborist');
const arborist = new Arborist({ path: process.argv[2], offline: true, audit: false });
arborist.buildIdealTree().then(tree => {
  const found = [];
  for (const node of tree.inventory.values()) {
    if (node.isLink || node.location.includes('node_modules')) continue;
    const edges = [...node.edgesOut.values()].filter(it => it.to && it.type !== 'workspace');
    found.push([node.location, edges.map(it => it.to.target.location)]);
  }
  console.log(JSON.stringify(found));
}).catch(error => { console.error(error.message); process.exit(1); });
";

fn ask_npm(world: &World) -> Result<Truth, String> {
    let node = program("node", "").expect("the caller looked");
    let script = js(Npm).expect("the caller looked");
    let npm = script.ancestors().nth(2).and_then(Path::to_str).expect("a directory");
    let root = world.sandbox.root();
    let args = ["-e", IDEAL, npm, root.to_str().expect("text")];
    let text = run(&world.sandbox, "", &node, &args, &[])?;
    let found: Vec<(String, BTreeSet<String>)> =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let edges: BTreeMap<String, BTreeSet<String>> = found.into_iter().collect();
    let real = |dir: &String| in_tree(&world.sandbox, &root.join(dir));
    let mut located: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (dir, to) in &edges {
        let of = located.entry(real(dir).unwrap_or_default()).or_default();
        of.extend(to.iter().filter_map(real));
    }
    let mut names = BTreeMap::new();
    for dir in located.keys().filter(|dir| !dir.is_empty()) {
        names.extend(name_at(world, dir).map(|name| (dir.clone(), name)));
    }
    Ok(truth(&names, &located))
}

fn ask_pnpm(world: &World) -> Result<Truth, String> {
    manage(world, Pnpm, &["install", "--lockfile-only", "--offline"])?;
    let lock = std::fs::read_to_string(world.sandbox.root().join("pnpm-lock.yaml"));
    let lock = lock.map_err(|error| error.to_string())?;
    let mut names = BTreeMap::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut dir = None;
    for line in lock.lines().skip_while(|line| *line != "importers:").skip(1) {
        if line.starts_with(|first: char| first.is_ascii_lowercase()) {
            break;
        }
        if let Some(key) = line.strip_prefix("  ").filter(|it| !it.starts_with(' ')) {
            let key = key.trim_end_matches(" {}").trim_end_matches(':').trim_matches('\'');
            dir = in_tree(&world.sandbox, &world.sandbox.root().join(key));
            let named = dir.clone().and_then(|dir| Some((dir.clone(), name_at(world, &dir)?)));
            names.extend(named.filter(|(dir, _)| !dir.is_empty()));
        }
        let (Some(version), Some(dir)) = (line.strip_prefix("        version: "), &dir) else {
            continue;
        };
        let version = version.trim_matches('\'').split('(').next().unwrap_or_default();
        let root = world.sandbox.root();
        let to = match version.split_once(':') {
            Some(("link", path)) => root.join(dir).join(path),
            Some(("file", path)) => root.join(path),
            _ => continue,
        };
        edges.entry(dir.clone()).or_default().extend(in_tree(&world.sandbox, &to));
    }
    Ok(truth(&names, &edges))
}

fn ask_yarn1(world: &World) -> Result<Truth, String> {
    let text = manage(world, Yarn1, &["--silent", "workspaces", "info"])?;
    let all: BTreeMap<String, Value> =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let dir_of =
        |of: &Value| in_tree(&world.sandbox, &world.sandbox.root().join(of["location"].as_str()?));
    let mut names = BTreeMap::new();
    let mut edges = BTreeMap::new();
    for (name, of) in &all {
        let Some(dir) = dir_of(of) else { continue };
        let lists = ["workspaceDependencies", "mismatchedWorkspaceDependencies"];
        let to = lists.iter().filter_map(|list| of[*list].as_array()).flatten();
        let to = to.filter_map(|name| dir_of(all.get(name.as_str()?)?)).collect();
        names.insert(dir.clone(), name.clone());
        edges.insert(dir, to);
    }
    Ok(truth(&names, &edges))
}

fn ask_yarn4(world: &World) -> Result<Truth, String> {
    let text = manage(world, Yarn4, &["workspaces", "list", "--json", "-v"])?;
    let mut names = BTreeMap::new();
    let mut edges = BTreeMap::new();
    let real = |dir: &str| in_tree(&world.sandbox, &world.sandbox.root().join(dir));
    for line in text.lines() {
        let of: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let Some(dir) = of["location"].as_str().and_then(real) else { continue };
        let to = of["workspaceDependencies"].as_array().into_iter().flatten();
        edges.insert(dir.clone(), to.filter_map(|it| real(it.as_str()?)).collect());
        if let (Some(name), false) = (of["name"].as_str(), dir.is_empty()) {
            names.insert(dir, name.to_owned());
        }
    }
    Ok(truth(&names, &edges))
}

/// A lane may have what is written down, also where the manager takes it from a registry, or
/// passes over a member of two names.
fn compare(
    manager: Manager,
    count: u64,
    build: fn(&mut Numbers) -> World,
    ask: fn(&World) -> Result<Truth, String>,
) {
    if js(manager).is_some() {
        Trial { key: "npm", count, build, ask, more: super::written }.compare();
    }
}

#[test]
fn lanes_have_what_npm_links() {
    compare(Npm, 5, |numbers| build(numbers, Npm), ask_npm);
}

#[test]
fn lanes_have_what_pnpm_links() {
    compare(Pnpm, 4, |numbers| build(numbers, Pnpm), ask_pnpm);
}

#[test]
fn lanes_have_what_yarn_1_links() {
    compare(Yarn1, 4, |numbers| build(numbers, Yarn1), ask_yarn1);
}

#[test]
fn lanes_have_what_yarn_4_links() {
    compare(Yarn4, 4, |numbers| build(numbers, Yarn4), ask_yarn4);
}
