//! Gradle: what its projects depend on, configured without a network, of generated builds.
//!
//! A script that every project runs at the end of its configuration prints the directory of each
//! project that a project depends on. What the scripts of the projects above mention counts for
//! every project below, since nobody but Gradle can tell for which of them it is meant.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{Trial, Truth, World, closure, in_tree, program, run, shape::Shape, written};
use crate::sandbox::{Numbers, Sandbox};

/// Prints `EDGE FROM TO` and `PROJECT DIRECTORY PATH`.
const ASK: &str = r#"
allprojects { project ->
    afterEvaluate {
        println "PROJECT ${project.projectDir} ${project.path}"
        configurations.each { it.dependencies.each { needed ->
            if (needed instanceof org.gradle.api.artifacts.ProjectDependency) {
                println "EDGE ${project.projectDir} ${needed.dependencyProject.projectDir}"
            }
        } }
    }
}
"#;

fn name(dir: &str) -> String {
    format!(":{}", dir.replace('/', ":"))
}

fn build(numbers: &mut Numbers) -> World {
    let sandbox = Sandbox::new();
    let mut shape = Shape::new(numbers, name);
    shape.links.clear();
    for package in &mut shape.packages {
        // A project whose directory is said apart from its path.
        if numbers.below(5) == 0 {
            package.name = package.name.replace(":", "-").replacen('-', ":", 1);
        }
    }
    let mut settings = vec!["rootProject.name = 'root'\n// include 'none'\n".to_owned()];
    for package in &shape.packages {
        let path = &package.name;
        let bare = path.trim_start_matches(':');
        settings.push(match numbers.below(4) {
            0 => format!("include '{bare}'\n"),
            1 => format!("include(\"{path}\")\n"),
            2 => format!("include '{path}',\n    '{bare}'\n"),
            _ => format!("include(\n    \"{bare}\"\n)\n"),
        });
        if *path != name(&package.dir) {
            settings.push(match numbers.below(2) {
                0 => format!("project('{path}').projectDir = file('{}')\n", package.dir),
                _ => format!(
                    "project(\"{path}\").projectDir = new File(settingsDir, '{}')\n",
                    package.dir
                ),
            });
        }
    }
    sandbox.write("settings.gradle", settings.concat());
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut above = vec!["subprojects { apply plugin: 'java' }\n".to_owned()];
    // What the root's script and a shared one mention.
    let mut of_all: BTreeSet<String> = BTreeSet::new();
    let shared = numbers.below(2) == 0;
    for package in &shape.packages {
        let (mut own, mut tail) = (Vec::new(), Vec::new());
        for &needed in &package.needs {
            let other = &shape.packages[needed];
            edges.entry(package.dir.clone()).or_default().insert(other.dir.clone());
            let kind =
                *numbers.pick(&["compile", "implementation", "testImplementation", "runtimeOnly"]);
            let to = &other.name;
            let line = match numbers.below(4) {
                0 => format!("{kind} project('{to}')\n"),
                1 => format!("{kind}(project(\"{to}\"))\n"),
                2 => format!("{kind} project(path: '{to}', configuration: 'runtime')\n"),
                _ => format!("{kind}(\n    project(path: \"{to}\")\n)\n"),
            };
            if numbers.below(5) == 0 {
                of_all.extend([package.dir.clone(), other.dir.clone()]);
                let name = &package.name;
                above.push(format!("project('{name}') {{ dependencies {{ {line} }} }}\n"));
            } else if numbers.below(6) == 0 {
                tail.push(format!("dependencies {{ {line} }}\n"));
            } else {
                own.push(format!("    {line}"));
            }
        }
        let mut script = format!("dependencies {{\n{}}}\n", own.concat());
        if !tail.is_empty() {
            sandbox.write(format!("{}/more.gradle", package.dir), tail.concat());
            script += "apply from: 'more.gradle'\n";
        }
        if shared {
            script += "apply from: rootProject.file('gradle/shared.gradle')\n";
        }
        sandbox.write(format!("{}/build.gradle", package.dir), script);
    }
    if shared {
        sandbox.write("gradle/shared.gradle", "ext.words = 'shared'\n");
    }
    sandbox.write("build.gradle", above.concat());
    let own = edges.clone();
    for package in &shape.packages {
        let edges = edges.entry(package.dir.clone()).or_default();
        edges.extend(of_all.iter().cloned());
        for above in &shape.packages {
            if package.name.starts_with(&format!("{}:", above.name)) {
                edges.extend(own.get(&above.dir).into_iter().flatten().cloned());
            }
        }
    }
    World { sandbox, places: shape.dirs(), written: edges }
}

fn ask(world: &World) -> Result<Truth, String> {
    let gradle = program("gradle", "").expect("the caller looked");
    let (script, home) = (world.sandbox.beside("ask.gradle"), world.sandbox.beside("gradle"));
    std::fs::write(&script, ASK).expect("writable");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (script, home) = (text(&script), text(&home));
    let env = [("GRADLE_USER_HOME", home.as_str()), ("GRADLE_OPTS", "-XX:TieredStopAtLevel=1")];
    let args = ["--offline", "--no-daemon", "-q", "-I", &script, "help"];
    let said = run(&world.sandbox, "", &gradle, &args, &env)?;
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in said.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["PROJECT", dir, path] => {
                let dir = in_tree(&world.sandbox, Path::new(dir));
                paths.extend(dir.map(|dir| (dir, path.to_owned())));
            }
            ["EDGE", from, to] => {
                let at = |dir: &str| in_tree(&world.sandbox, Path::new(dir));
                if let Some((from, to)) = at(from).zip(at(to)) {
                    edges.entry(from).or_default().insert(to);
                }
            }
            _ => {}
        }
    }
    let mut truth = Truth::new();
    for dir in &world.places {
        let path = paths.get(dir).ok_or_else(|| format!("`{dir}` is no project: {said}"))?;
        truth.insert(dir.clone(), (path.clone(), closure(&edges, dir)));
    }
    Ok(truth)
}

#[test]
fn lanes_have_the_projects_that_gradle_says_a_project_depends_on() {
    if program("gradle", "").is_some() {
        Trial { key: "gradle", count: 1, build, ask, more: written }.compare();
    }
}
