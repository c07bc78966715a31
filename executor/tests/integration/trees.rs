//! Source trees of a machine over many runs: collected when no run needs them, never under a job.

use std::{collections::BTreeMap, path::PathBuf};

use crate::harness::{Ended, SmallDisk, World, git, sh, until};

/// The trees of this world's machine.
fn trees(world: &World) -> Vec<String> {
    let dir = world.path().join("home/.cache/forge-lanes/trees");
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("trees")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII"))
        .collect();
    names.sort();
    names
}

fn apply(world: &mut World, content: &str) -> String {
    world.commit(&[("file.txt", content)]);
    let plan = world.plan(vec![sh("execute-a", "cat file.txt", &[])]);
    world.run(&["apply", &plan]).code(0);
    world.tree.to_string()
}

#[test]
fn trees_that_no_kept_run_was_made_of_are_collected() {
    let mut world = World::new();
    let made: Vec<String> = ["1\n", "2\n", "3\n"].map(|text| apply(&mut world, text)).into();
    // Another repository's runs count as well, wherever they are kept.
    let other = world.path().join("elsewhere");
    let plan = world.plan(vec![sh("execute-b", "true", &[])]);
    let state_dir = other.to_str().expect("UTF-8");
    world.run(&["apply", &plan, "--state-dir", state_dir]).code(0);
    let dry = world.run(&["gc", "--keep", "1", "--dry-run"]).code(0);
    for tree in &made[..2] {
        assert!(dry.out.contains(&format!("would remove source tree `{tree}` (")), "{}", dry.out);
    }
    assert_eq!(trees(&world).len(), 3);
    world.run(&["gc", "--keep", "1"]).code(0);
    assert_eq!(trees(&world), [made[2].as_str()]);
    world.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(trees(&world), [made[2].as_str()], "the other state directory's run is kept");
    std::fs::remove_dir_all(&other).expect("removed");
    world.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(trees(&world), Vec::<String>::new());
    assert_eq!(world.run(&["gc", "--keep", "0", "--dry-run"]).code(0).out, "");
}

#[test]
fn a_tree_of_many_files_is_whole_although_several_threads_make_it() {
    let mut world = World::new();
    let mut files: BTreeMap<String, String> = (0..1500)
        .map(|n| (format!("d{}/e{}/f{n:04}", n / 700, n / 35), format!("content of {n}\n")))
        .collect();
    // The second tree shares what did not change.
    for round in 0..2 {
        let pairs: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        world.commit(&pairs);
        let script = "LC_ALL=C; export LC_ALL; find d* -type f | sort | xargs cat; find d* -type f ! -perm 644";
        let plan = world.plan(vec![sh("execute-a", script, &[])]);
        world.run(&["apply", &plan]).code(0);
        let run = world.runs().pop().expect("a run");
        let log = std::fs::read_to_string(run.join("nodes/execute-a/guest.log")).expect("a log");
        assert_eq!(log, files.values().map(String::as_str).collect::<String>(), "round {round}");
        for (_, text) in files.iter_mut().step_by(170) {
            text.push_str("changed\n");
        }
    }
}

/// Commits so many files that several threads make their tree.
fn commit_many(world: &mut World) {
    let files: Vec<(String, String)> = (0..1500)
        .map(|n| (format!("d{}/f{n:04}", n / 100), format!("{n} {}\n", "content".repeat(600))))
        .collect();
    let pairs: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    world.commit(&pairs);
}

/// A configuration with which nothing is tried again.
fn without_retries(world: &World) -> String {
    let path = world.path().join("executor.toml");
    std::fs::write(&path, "version = 1\ninfra_retries = 0\n").expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

/// Whether nothing is there but locks of trees that were not made.
fn has_none(world: &World) -> bool {
    trees(world).iter().all(|name| name.starts_with(".lock."))
}

#[test]
fn a_tree_of_which_one_thread_misses_an_object_is_not_there_by_half() {
    let mut world = World::new();
    commit_many(&mut world);
    let object = |path: &str| {
        let id = git(world.path(), &["rev-parse", &format!("HEAD:{path}")]);
        let (two, rest) = id.trim().split_at(2);
        world.repo().join(".git/objects").join(two).join(rest)
    };
    // Of the first part, then of the last one.
    for path in ["d0/f0007", "d9/f0999"] {
        let (object, aside) = (object(path), world.path().join("aside"));
        std::fs::rename(&object, &aside).expect("not packed");
        let plan = world.plan(vec![sh("execute-a", "true", &[])]);
        let ended = world.run(&["apply", &plan, "--config", &without_retries(&world)]);
        let run = world.runs().pop().expect("a run");
        let record = std::fs::read_to_string(run.join("record.json")).expect("a record");
        assert!(record.contains("source_missing"), "{path}: {record}\n{}", ended.err);
        assert!(has_none(&world), "{path}: {:?}", trees(&world));
        std::fs::rename(&aside, &object).expect("moved back");
    }
    let plan = world.plan(vec![sh("execute-a", "cat d*/* | wc -l", &[])]);
    world.run(&["apply", &plan]).code(0);
}

#[test]
fn a_tree_that_finds_no_room_is_not_there_by_half() {
    let mut world = World::new();
    commit_many(&mut world);
    let caches = world.path().join("home/.cache");
    let Some(_disk) = SmallDisk::at(&caches, 3000) else { return };
    let plan = world.plan(vec![sh("execute-a", "true", &[])]);
    world.run(&["apply", &plan, "--config", &without_retries(&world)]);
    let node = &world.record()["nodes"][0];
    assert_eq!(node["outcome"], "infra_failed", "{node:#}");
    let message = node["message"].as_str().expect("a message");
    assert!(message.contains("No space left"), "{message}");
    assert!(has_none(&world), "{:?}", trees(&world));
}

#[test]
fn a_tree_that_a_job_sees_stays_even_when_its_executor_is_gone() {
    let world = World::new();
    let (up, go) = (world.path().join("up"), world.path().join("go"));
    let script = format!(
        "touch {}; until [ -e {} ]; do sleep 0.02; done; cat file.txt",
        up.display(),
        go.display()
    );
    let plan = world.plan(vec![sh("execute-a", &script, &[])]);
    let mut child = world.start(&["apply", &plan]);
    until(|| up.exists());
    child.kill().expect("killed");
    child.wait().expect("it ends");
    // Its run would keep the tree; without the run only the lock does.
    let run: PathBuf = world.runs().pop().expect("a run");
    let aside = world.path().join("aside");
    std::fs::rename(&run, &aside).expect("moved");
    world.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(trees(&world).len(), 1);
    std::fs::rename(&aside, &run).expect("moved back");
    std::fs::write(&go, "").expect("written");
    world.run(&["resume", "latest"]).code(0);
    assert_eq!(world.record()["outcome"], "passed");
}

#[test]
fn collecting_beside_runs_takes_no_tree_away_from_them() {
    let mut world = World::new();
    let plans: Vec<String> = (0..2)
        .map(|number| {
            world.commit(&[("file.txt", &format!("{number}\n"))]);
            let node = |id: &str| sh(id, &format!("grep -qx {number} file.txt"), &[]);
            world.keep(&world.plan(vec![node("execute-a"), node("execute-b")]))
        })
        .collect();
    collect_beside(&world, &plans, 6, 3);
    assert_eq!(trees(&world), Vec::<String>::new());
}

/// Runs all plans at once, so often, and collects beside them, so often each time, and once more at the end.
pub(crate) fn collect_beside(world: &World, plans: &[String], rounds: usize, collections: usize) {
    for _ in 0..rounds {
        let runs: Vec<_> = plans.iter().map(|plan| world.start(&["apply", plan])).collect();
        for _ in 0..collections {
            world.run(&["gc", "--keep", "0"]).code(0);
        }
        for run in runs {
            Ended::of(run.wait_with_output().expect("ends")).code(0);
        }
    }
    world.run(&["gc", "--keep", "0"]).code(0);
}

#[test]
fn caches_that_somebody_empties_meanwhile_are_filled_again() {
    let world = World::new();
    let cache = world.path().join("home/.cache");
    let plan = world.plan(vec![
        sh("execute-a", &format!("rm -rf {} && cat file.txt; true", cache.display()), &[]),
        sh("execute-b", "cat file.txt && ! touch new 2>/dev/null", &["execute-a"]),
    ]);
    world.run(&["apply", &plan, "--jobs", "1"]).code(0);
    let record = world.record();
    assert_eq!(record["nodes"][1]["attempts"], 1, "{record:#}");
}
