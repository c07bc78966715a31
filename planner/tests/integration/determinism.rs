//! The same inputs give the same bytes, whoever asks, wherever, however often.

use std::{fmt::Write as _, fs};

use plans::{Node, Plan};

use crate::{program::lanes_of, sandbox::Sandbox};

macro_rules! put {
    ($text:ident, $($arguments:tt)*) => { write!($text, $($arguments)*).expect("memory") };
}

/// A repository in which much is selected: lanes with several globs, shared jobs, odd names.
fn busy() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut manifest = "version = 1\ndefault_branch = \"main\"\n[path_sets]\n".to_owned();
    let mut catalog = "version = 1\n".to_owned();
    for set in 0..10 {
        put!(manifest, "set-{set} = [\"p{set}/**\", \"shared/{set}.*\"]\n");
    }
    for lane in 0..40 {
        let (set, other) = (lane % 10, (lane * 7 + 1) % 10);
        put!(
            manifest,
            "[[branch.lanes]]\nid = \"lane-{lane}\"\ntarget = \"t{lane}\"\n\
             paths = [\"@set-{set}\", \"@set-{other}\", \"**/*_{lane}.rs\"]\n\
             concurrency_group = \"g{}\"\n",
            lane % 3
        );
        if lane > 30 {
            put!(manifest, "after = [\"lane-{}\", \"lane-{}\"]\n", lane - 20, lane - 30);
        }
        put!(catalog, "[[targets]]\nid = \"t{lane}\"\n");
        for job in 0..3 {
            let needs = if job > 0 { format!("\"job-{lane}-{}\"", job - 1) } else { String::new() };
            put!(
                catalog,
                "[[targets.jobs]]\nid = \"job-{lane}-{job}\"\nbase = \"host_local\"\n\
                 timeout_secs = 60\nneeds = [{needs}]\nenv = {{ B = \"1\", A = \"2\", C = \"3\" }}\n\
                 command = {{ argv = [\"true\"] }}\nprepare = [{{ id = \"kit-{}\", command = [\"make\"], \
                 output = \"out\", mount = \"/kit\" }}]\n",
                lane % 4
            );
        }
    }
    sandbox.define(&manifest, &catalog);
    sandbox.commit("base");
    for file in 0..300 {
        sandbox.write(format!("p{}/d{}/file_{}.rs", file % 12, file % 7, file), "");
    }
    sandbox.write(b"p1/\xff", "");
    sandbox.commit("change");
    sandbox
}

#[test]
fn a_hundred_runs_give_the_same_bytes() {
    let sandbox = busy();
    let first = sandbox.planner(&["plan"]).with_code(0);
    assert!(first.len() > 50_000, "much is selected");
    // Every process seeds its hash maps anew.
    for _ in 1..100 {
        assert!(sandbox.planner(&["plan"]).with_code(0) == first);
    }
}

#[test]
fn surroundings_change_nothing() {
    let sandbox = busy();
    for args in [&["plan"][..], &["plan", "--worktree", "--base", "HEAD~1"], &["plan", "--all"]] {
        let first = sandbox.planner(args).with_code(0);
        let other = sandbox.beside("other-home");
        fs::create_dir_all(&other).expect("a home");
        for (name, value) in [
            ("TZ", "Pacific/Apia"),
            ("LANG", "tr_TR.UTF-8"),
            ("LC_ALL", "C"),
            ("HOME", other.to_str().expect("text")),
            ("COLUMNS", "40"),
            ("TERM", "xterm"),
            ("NO_COLOR", "1"),
            ("RAYON_NUM_THREADS", "1"),
            ("USER", "somebody"),
            ("TMPDIR", "/nonexistent"),
        ] {
            let mut command = sandbox.planner_command(&sandbox.root().join("p1"));
            let output = command.args(args).env(name, value).output().expect("planner runs");
            assert!(output.stdout == first.as_bytes(), "{name}");
        }
    }
}

/// The same with main files and included files large enough for threads of their own, several
/// hundred directories to compare, and, if wanted, a mistake in each file.
fn large(mistakes: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut manifest =
        "version = 1\ndefault_branch = \"main\"\ninclude = [\"p*/lanes.toml\"]\n".to_owned();
    let mut catalog = "version = 1\ninclude = [\"p*/catalog.toml\"]\n".to_owned();
    let lane = |text: &mut String, name: &str| {
        put!(
            text,
            "[[branch.lanes]]\nid = \"{name}\"\ntarget = \"{name}\"\n\
             paths = [\"d*/{name}/**\", \"**/{name}.rs\"] # {:>120}\n",
            ""
        );
    };
    let target = |text: &mut String, name: &str| {
        put!(
            text,
            "[[targets]]\nid = \"{name}\"\n[[targets.jobs]]\nid = \"{name}\"\n\
             base = \"host_local\"\ntimeout_secs = 60\ncommand = [\"true\"] # {:>120}\n",
            ""
        );
    };
    let wrong = if mistakes { "wibble = 1\n" } else { "" };
    for number in 0..400 {
        lane(&mut manifest, &format!("m{number}"));
        target(&mut catalog, &format!("m{number}"));
    }
    for part in 0..6 {
        let (mut lanes, mut targets) = (String::new(), String::new());
        for number in 0..100 {
            lane(&mut lanes, &format!("i{part}-{number}"));
            target(&mut targets, &format!("i{part}-{number}"));
        }
        sandbox.write(format!("p{part}/lanes.toml"), lanes + wrong);
        sandbox.write(format!("p{part}/catalog.toml"), targets + wrong);
    }
    sandbox.define(&(manifest + wrong), &(catalog + wrong));
    sandbox.commit("base");
    for number in 0..400 {
        sandbox.write(format!("d{number}/m{}/file", number % 50), "");
        sandbox.write(format!("d{number}/i{}-{}/x", number % 6, number % 100), "");
    }
    sandbox.commit("change");
    sandbox
}

/// What `planner` says when it may use the first processor only.
fn on_one_processor(sandbox: &Sandbox, args: &[&str]) -> std::process::Output {
    let mut one = std::process::Command::new("taskset");
    one.current_dir(sandbox.root()).env_clear().env("HOME", sandbox.beside("home"));
    one.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // The first processor that this process may use is among those of the child.
    let allowed = fs::read_to_string("/proc/self/status").expect("a status");
    let list = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let processor = list.expect("a list").trim().split([',', '-']).next().expect("one");
    let planner = env!("CARGO_BIN_EXE_planner");
    one.args(["-c", processor, planner]).args(args).output().expect("taskset runs")
}

#[test]
fn the_number_of_processors_changes_nothing() {
    for (sandbox, code) in [(busy(), 0), (large(false), 0), (large(true), 2)] {
        for args in [&["plan"][..], &["plan", "--base", "HEAD~1"], &["check", "--format", "json"]] {
            let code = if args[0] == "check" { 1 } else { code };
            let first = sandbox.planner(args);
            assert!(first.out.len() + first.err.len() > 3_000, "{}", first.err);
            for _ in 0..5 {
                let again = sandbox.planner(args);
                assert!(again.out == first.out && again.err == first.err);
            }
            let one = on_one_processor(&sandbox, args);
            assert!(one.stdout == first.out.as_bytes(), "{}", first.err);
            assert!(one.stderr == first.err.as_bytes(), "{}", first.err);
            first.with_code(code);
        }
    }
}

/// The changes are looked for before the manifest is read whole; what was guessed of it may be
/// wrong.
#[test]
fn a_default_branch_that_is_not_found_at_once_counts_all_the_same() {
    let sandbox = Sandbox::with_lanes();
    let before = sandbox.id("HEAD");
    sandbox.git(&["branch", "trunk"]);
    sandbox.git(&["checkout", "-q", "-b", "side"]);
    let lanes =
        crate::program::MANIFEST.split_once("default_branch = \"main\"\n").expect("it is there").1;
    let manifest =
        format!("version = 1\nignore = [\"\"\"\n[x]\"\"\"]\ndefault_branch = \"trunk\"\n{lanes}");
    sandbox.define(&manifest, crate::program::CATALOG);
    sandbox.commit("another default branch");
    sandbox.git(&["branch", "-f", "main", "HEAD"]);
    let plan = sandbox.planner(&["plan"]).plan();
    let plans::Source::Change(source) = plan.source() else { panic!("a change") };
    assert_eq!(source.base, Some(before.into()));
    assert!(lanes_of(&plan).is_empty(), "only the manifest changed");
    let one = on_one_processor(&sandbox, &["plan"]);
    assert!(one.stdout == sandbox.planner(&["plan"]).with_code(0).as_bytes());
}

#[test]
fn a_clone_elsewhere_gives_the_same_bytes() {
    let sandbox = busy();
    let first = sandbox.planner(&["plan", "--base-exact", "HEAD~1"]).with_code(0);
    let clone = sandbox.beside("a clone of another name");
    let root = sandbox.root();
    let (from, to) = (root.to_str().expect("text"), clone.to_str().expect("text"));
    sandbox.git(&["clone", "-q", from, to]);
    let said = sandbox.planner_in(&clone, &["plan", "--base-exact", "HEAD~1"], b"");
    assert!(said.with_code(0) == first);
}

#[test]
fn the_order_of_tables_and_keys_changes_nothing_but_the_files_ids() {
    let sandbox = busy();
    let plan =
        |sandbox: &Sandbox| sandbox.planner(&["plan", "--base", "HEAD~1", "--worktree"]).plan();
    let before = plan(&sandbox);
    assert!(!lanes_of(&before).is_empty());
    let read = |path: &str| fs::read_to_string(sandbox.root().join(path)).expect("a file");
    let catalog = read("ci/catalog.toml");
    let mut targets: Vec<&str> = catalog.split("[[targets]]").skip(1).collect();
    targets.reverse();
    let shuffled = format!("version = 1\n[[targets]]{}", targets.join("[[targets]]"));
    let manifest = read("ci/forge-lanes.toml");
    let (head, lanes) = manifest.split_once("[path_sets]\n").expect("sets");
    let (sets, lanes) = lanes.split_once("[[branch.lanes]]").expect("lanes");
    let mut sets: Vec<&str> = sets.lines().collect();
    sets.reverse();
    let reversed_keys: Vec<String> = lanes
        .split("[[branch.lanes]]")
        .map(|lane| {
            let mut keys: Vec<&str> = lane.trim().lines().collect();
            keys.reverse();
            format!("[[branch.lanes]]\n{}\n", keys.join("\n"))
        })
        .collect();
    let keys = head.trim().lines().rev().collect::<Vec<_>>().join("\n");
    sandbox.define(
        &format!("{keys}\n{}\n[path_sets]\n{}\n", reversed_keys.concat(), sets.join("\n")),
        &shuffled,
    );
    let after = plan(&sandbox);
    // The definitions are files of the tree that jobs see, which is part of their keys.
    let without_keys = |plan: &Plan| -> Vec<Node> {
        plan.nodes().iter().map(|node| Node { key: None, ..Node::clone(node) }).collect()
    };
    assert_eq!(without_keys(&before), without_keys(&after));
    // The changed files themselves are changes now; lanes and reasons are as before.
    assert_eq!(before.lanes(), after.lanes());
}
