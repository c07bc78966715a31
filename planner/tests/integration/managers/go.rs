//! Go: `go list -deps` of generated workspaces (`go.work`) and of single modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{Trial, Truth, World, closure, in_tree, program, relative, run, shape::Shape};
use crate::sandbox::{Numbers, Sandbox};

fn name(dir: &str) -> String {
    format!("example.org/{dir}")
}

fn build(numbers: &mut Numbers) -> World {
    let sandbox = Sandbox::new();
    let shape = Shape::new(numbers, name);
    let workspace = numbers.below(4) > 0;
    let used: Vec<bool> =
        shape.packages.iter().map(|_| workspace && numbers.below(5) > 0).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &shape.packages {
        let needs = package.needs.iter().map(|&to| shape.packages[to].dir.clone()).collect();
        edges.insert(package.dir.clone(), needs);
    }
    let by_dir = |dir: &str| shape.packages.iter().position(|it| it.dir == dir).expect("there");
    let mut work = String::from("go 1.18\n");
    for (at, package) in shape.packages.iter().enumerate() {
        if used[at] {
            let way = if numbers.below(3) == 0 { "./" } else { "" };
            let dir = format!("./{way}{}", package.dir);
            work.extend([if numbers.below(2) == 0 {
                format!("use {dir}\n")
            } else {
                format!("use (\n\t{dir} // comment\n)\n")
            }]);
        }
        let mut text = format!("module {}\n\ngo 1.18\n", package.name);
        for dir in closure(&edges, &package.dir).iter().filter(|dir| **dir != package.dir) {
            let to = by_dir(dir);
            let path = relative(&package.dir, &shape.way(numbers, to));
            // In a workspace its modules need not be required; a module alone names everything.
            let both = used[at] && used[to];
            if both && numbers.below(2) == 0 {
                continue;
            }
            let other = &shape.packages[to].name;
            text.extend([format!("require {other} v0.0.0\n")]);
            let replaces = if numbers.below(2) == 0 {
                format!("replace {other} => {path}\n")
            } else {
                format!("replace (\n\t{other} v0.0.0 => {path}\n)\n")
            };
            if both {
                // Without it the go command asks for the version that is named.
                let replaced = format!("replace {other} v0.0.0 => ./{dir}\n");
                if !work.contains(&replaced) {
                    work += &replaced;
                }
            } else if path.starts_with('.') {
                text += &replaces;
            } else {
                text += &replaces.replace(&path, &format!("./{path}"));
            }
        }
        sandbox.write(format!("{}/go.mod", package.dir), text);
        let mut imports = Vec::new();
        let mut tests = Vec::new();
        for &to in &package.needs {
            let other = &shape.packages[to].name;
            let import = match numbers.below(3) {
                0 => format!("import _ \"{other}\"\n"),
                1 => format!("import (\n\tx{to} \"{other}/sub\"\n)\nvar _ = x{to}.X\n"),
                _ => format!("import _ `{other}/sub`\n"),
            };
            if numbers.below(4) == 0 { tests.push(import) } else { imports.push(import) }
        }
        imports.sort_by_key(|it| it.contains("var"));
        let source = |imports: &[String]| {
            let (imports, uses): (Vec<&str>, Vec<&str>) =
                imports.iter().map(|it| it.split_once("var").unwrap_or((it, ""))).unzip();
            let uses: String =
                uses.iter().filter(|it| !it.is_empty()).map(|it| format!("var{it}")).collect();
            format!("package p\n\n{}{uses}", imports.concat())
        };
        sandbox.write(format!("{}/p.go", package.dir), source(&imports));
        sandbox.write(format!("{}/p_test.go", package.dir), source(&tests));
        sandbox.write(format!("{}/sub/sub.go", package.dir), "package sub\n\nvar X = 1\n");
    }
    if workspace {
        sandbox.write("go.work", work);
    }
    shape.link(&sandbox);
    World { sandbox, places: shape.dirs(), written: edges }
}

/// Packages by import path: the directory of their module, and what they import.
type Listed = BTreeMap<String, (String, Vec<String>)>;

/// What the go command lists for some directories; it stays in one process for all of them.
fn list(world: &World, dirs: &[&String], workspace: bool) -> Result<Listed, String> {
    let go = program("go", "").expect("the caller looked");
    let home = world.sandbox.beside("home");
    let at = |name: &str| home.join(name).to_str().expect("text").to_owned();
    let (path, cache) = (at("go"), at("cache"));
    let mut env = vec![
        ("GOPROXY", "off"),
        ("GOSUMDB", "off"),
        ("GOFLAGS", "-mod=readonly"),
        ("GOTOOLCHAIN", "local"),
        ("CGO_ENABLED", "0"),
        ("GOPATH", path.as_str()),
        ("GOCACHE", cache.as_str()),
    ];
    let format = "{{.ImportPath}}|{{if .Module}}{{.Module.Dir}}{{end}}|{{join .Imports \"|\"}}";
    let (dir, patterns) = if workspace {
        ("", dirs.iter().map(|dir| format!("./{dir}/...")).collect())
    } else {
        env.push(("GOWORK", "off"));
        (dirs[0].as_str(), vec!["./...".to_owned()])
    };
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let args = [&["list", "-deps", "-test", "-f", format][..], &patterns].concat();
    let mut listed = Listed::new();
    for line in run(&world.sandbox, dir, &go, &args, &env)?.lines() {
        let mut fields = line.split('|');
        let (Some(package), Some(module)) = (fields.next(), fields.next()) else { continue };
        if let Some(module) =
            in_tree(&world.sandbox, Path::new(module)).filter(|_| !module.is_empty())
        {
            listed.insert(package.to_owned(), (module, fields.map(str::to_owned).collect()));
        }
    }
    Ok(listed)
}

fn ask(world: &World) -> Result<Truth, String> {
    let work = std::fs::read_to_string(world.sandbox.root().join("go.work")).unwrap_or_default();
    let is_used = |dir: &str| {
        work.lines()
            .any(|line| line.split_whitespace().any(|it| it.trim_start_matches("./") == dir))
    };
    let (used, alone): (Vec<&String>, Vec<&String>) =
        world.places.iter().partition(|dir| is_used(dir));
    let mut truth = Truth::new();
    let mut of = |dirs: &[&String], listed: &Listed| {
        let edges: BTreeMap<String, BTreeSet<String>> = listed
            .iter()
            .map(|(package, (_, imports))| (package.clone(), imports.iter().cloned().collect()))
            .collect();
        for &dir in dirs {
            let mut reached = BTreeSet::from([dir.clone()]);
            for (package, _) in listed.iter().filter(|(_, (module, _))| module == dir) {
                let packages = closure(&edges, package);
                reached.extend(packages.iter().filter_map(|it| Some(listed.get(it)?.0.clone())));
            }
            truth.insert(dir.clone(), (name(dir), reached));
        }
    };
    if !used.is_empty() {
        of(&used, &list(world, &used, true)?);
    }
    for dir in alone.iter().take(3) {
        of(&[dir], &list(world, &[dir], false)?);
    }
    Ok(truth)
}

/// A package of a module inside another that is not of the workspace may be of the outer one.
fn more(world: &World, own: &str, dir: &str) -> bool {
    let mut edges = world.written.clone();
    for inner in &world.places {
        let outer = |it: &&String| inner.starts_with(&format!("{it}/"));
        let outer: Vec<String> = world.places.iter().filter(outer).cloned().collect();
        edges.entry(inner.clone()).or_default().extend(outer);
    }
    closure(&edges, own).contains(dir)
}

#[test]
fn lanes_have_what_the_go_command_builds() {
    if program("go", "").is_none() {
        return;
    }
    Trial { key: "go", count: 4, build, ask, more }.compare();
}
