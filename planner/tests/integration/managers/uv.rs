//! uv: `uv lock --offline` of generated workspaces.

use std::collections::{BTreeMap, BTreeSet};

use lanes::glob::Glob;
use toml::{Table, Value};

use super::{
    Trial, Truth, World, closure, in_tree, program, relative, run,
    shape::{Shape, quoted, some},
    written,
};
use crate::sandbox::{Numbers, Sandbox};

const MEMBERS: [(&str, &str); 6] = [
    ("packages/*", "packages/"),
    ("apps/*", "apps/"),
    ("libs/low", "libs/low"),
    ("tools/g*", "tools/"),
    ("groups/[xy]", "groups/"),
    ("more/**/z", "more/"),
];
const EXCLUDED: [&str; 3] = ["packages/old-one", "packages/b*", "apps/web"];

/// A name that is not in its normal form.
fn name(dir: &str) -> String {
    dir.replace("packages/", "Pkg.").replace("apps/", "app__").replace('/', "_")
}

fn requirement(numbers: &mut Numbers, name: &str) -> String {
    let name = match numbers.below(3) {
        0 => name.to_ascii_lowercase().replace(['.', '_'], "-"),
        1 => name.to_ascii_uppercase(),
        _ => name.to_owned(),
    };
    let more = *numbers.pick(&[
        "",
        "",
        ">=0.1",
        " ; sys_platform == 'win32'",
        "==0.1 ; python_version > '3.8'",
    ]);
    name + more
}

fn build(numbers: &mut Numbers) -> World {
    let sandbox = Sandbox::new();
    let mut shape = Shape::new(numbers, name);
    shape.links.retain(|(link, _)| link.starts_with("links/"));
    let has = |start: &str| shape.packages.iter().any(|it| it.dir.starts_with(start));
    let patterns: Vec<(&str, &str)> =
        MEMBERS.into_iter().filter(|(_, start)| numbers.below(2) == 0 && has(start)).collect();
    let excluded = some(numbers, &EXCLUDED, 4);
    let glob =
        |pattern: &str, dir: &str| Glob::new(pattern).expect("a glob").is_match(dir.as_bytes());
    let member = |dir: &str| {
        patterns.iter().any(|(pattern, _)| glob(pattern, dir))
            && !excluded.iter().any(|pattern| glob(pattern, dir))
    };
    let root_sources: Vec<usize> = (0..shape.packages.len())
        .filter(|&at| member(&shape.packages[at].dir) && numbers.below(2) == 0)
        .collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut write = |numbers: &mut Numbers, dir: &str, name: &str, needs: &[usize], more: &str| {
        let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut sources = String::new();
        for &to in needs {
            let other = &shape.packages[to];
            let list = *numbers.pick(&["dependencies", "dependencies", "extra", "group", "dev"]);
            lists.entry(list).or_default().push(requirement(numbers, &other.name));
            let inherited = dir.is_empty() || (member(dir) && root_sources.contains(&to));
            if !(root_sources.contains(&to) && inherited) {
                sources.extend([if member(&other.dir) && (member(dir) || dir.is_empty()) {
                    format!("\"{}\" = {{ workspace = true }}\n", other.name)
                } else {
                    // uv takes one package under one path, and either editable or not.
                    let way = shape.links.iter().find(|(_, end)| *end == other.dir);
                    let path = relative(dir, way.map_or(&other.dir, |(link, _)| link));
                    let editable = to % 2 == 0;
                    format!("\"{}\" = {{ path = \"{path}\", editable = {editable} }}\n", other.name)
                }]);
            }
            edges.entry(dir.to_owned()).or_default().insert(other.dir.clone());
        }
        let list = |key: &str| {
            let list = lists.get(key).map(Vec::as_slice).unwrap_or_default();
            quoted(list.iter().map(String::as_str))
        };
        let mut text = format!(
            "[project]\nname = \"{name}\"\nversion = \"0.1\"\nrequires-python = \">=3.8\"\n\
             dependencies = {}\n",
            list("dependencies")
        );
        text.extend([format!("[project.optional-dependencies]\nextra = {}\n", list("extra"))]);
        text.extend([format!("[dependency-groups]\ntest = {}\n", list("group"))]);
        text.extend([format!("[tool.uv]\ndev-dependencies = {}\n", list("dev"))]);
        text.extend([format!("[tool.uv.sources]\n{sources}")]);
        let file = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        sandbox.write(format!("{file}pyproject.toml"), text + more);
    };
    for package in &shape.packages {
        write(numbers, &package.dir, &package.name, &package.needs, "");
    }
    let shared: String = root_sources
        .iter()
        .map(|&at| format!("\"{}\" = {{ workspace = true }}\n", shape.packages[at].name))
        .collect();
    let workspace = format!(
        "{shared}[tool.uv.workspace]\nmembers = {}\nexclude = {}\n",
        quoted(patterns.iter().map(|it| it.0)),
        quoted(excluded.iter().copied())
    );
    let needs: Vec<usize> = (0..shape.packages.len()).filter(|_| numbers.below(4) == 0).collect();
    write(numbers, "", "root", &needs, &workspace);
    shape.link(&sandbox);
    let mut places = shape.dirs();
    places.push(String::new());
    World { sandbox, places, written: edges }
}

fn ask(world: &World) -> Result<Truth, String> {
    let uv = program("uv", "bin/uv").expect("the caller looked");
    let python = uv.with_file_name("python");
    let python = python.to_str().expect("text");
    let env = [
        ("UV_PYTHON", python),
        ("UV_PYTHON_DOWNLOADS", "never"),
        ("UV_OFFLINE", "1"),
        ("UV_NO_CONFIG", "0"),
    ];
    run(&world.sandbox, "", &uv, &["lock", "--offline", "--quiet"], &env)?;
    let root = world.sandbox.root();
    let lock = std::fs::read_to_string(root.join("uv.lock")).map_err(|error| error.to_string())?;
    let lock: Table = lock.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut dirs: BTreeMap<String, String> = BTreeMap::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().into_iter().flatten().filter_map(Value::as_table) {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let source = package["source"].as_table().expect("a table");
        let path = ["editable", "virtual", "directory"].iter().find_map(|key| source.get(*key));
        let path = path.and_then(Value::as_str).expect("only packages of the tree");
        dirs.extend(in_tree(&world.sandbox, &root.join(path)).map(|dir| (name.clone(), dir)));
        let groups = ["optional-dependencies", "dev-dependencies"];
        let groups = groups.iter().filter_map(|key| package.get(*key)?.as_table());
        let lists = package.get("dependencies").into_iter().chain(groups.flat_map(Table::values));
        let needs = lists.filter_map(Value::as_array).flatten();
        let needs = needs.filter_map(|it| Some(it.get("name")?.as_str()?.to_owned())).collect();
        edges.insert(name, needs);
    }
    let mut truth = Truth::new();
    for (name, dir) in &dirs {
        let reached = closure(&edges, name);
        let reached = reached.iter().filter_map(|it| dirs.get(it).cloned()).collect();
        truth.insert(dir.clone(), (name.clone(), reached));
    }
    Ok(truth)
}

#[test]
fn lanes_have_what_uv_resolves() {
    if program("uv", "bin/uv").is_some() {
        Trial { key: "uv", count: 8, build, ask, more: written }.compare();
    }
}
