//! A run that another process drives, watched from beside it.

use std::process::Stdio;

use crate::harness::{Ended, World, kill, sh, until};

fn gate(world: &World, name: &str) -> String {
    let at = world.path().display();
    format!("touch {at}/{name}; until [ -e {at}/go-{name} ]; do sleep 0.05; done")
}

fn open(world: &World, name: &str) {
    std::fs::write(world.path().join(format!("go-{name}")), "").expect("written");
}

#[test]
fn a_run_of_another_process_is_shown_as_it_goes_on_and_ends_with_its_code() {
    let world = World::new();
    let plan = world.plan(vec![
        sh("execute-a", &format!("echo first; {}; echo last", gate(&world, "a")), &[]),
        sh("execute-b", "exit 3", &["execute-a"]),
        sh("execute-c", "true", &["execute-b"]),
    ]);
    let run = world.start(&["apply", &plan]);
    until(|| world.path().join("a").exists());
    let watch = world.start(&["watch", "latest", "--node", "execute-a"]);
    let quits = {
        let mut quits = world.command(&["watch", "latest"]);
        quits.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    // One that goes away is no matter to anybody.
    kill(quits);
    open(&world, "a");
    let run = Ended::of(run.wait_with_output().expect("ends")).code(1);
    let watch = Ended::of(watch.wait_with_output().expect("ends")).code(1);
    let verdicts = |out: &str| {
        out.lines().filter(|line| line.contains('·')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&watch.out), verdicts(&run.out));
    assert!(watch.out.starts_with("first\nlast\n"), "{}", watch.out);
    for said in [
        "started  execute-a",
        "passed  execute-a",
        "failed  execute-b",
        "it exited with 3",
        "skipped  execute-c",
    ] {
        assert!(watch.err.contains(said), "{said}: {}", watch.err);
    }
    let last = |err: &str| err.lines().last().map(str::to_owned);
    assert_eq!(last(&watch.err), last(&run.err));
    // After the end it says the same, and ends the same.
    let after = world.run(&["watch", "latest", "--node", "execute-a"]).code(1);
    assert!(
        after.out.starts_with("first\nlast\n") && after.err.contains("failed  execute-b"),
        "{}",
        after.err
    );
}

#[test]
fn a_cancelled_run_and_one_whose_executor_died_end_their_watchers() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", &gate(&world, "a"), &[])]);
    let run = world.start(&["apply", &plan]);
    until(|| world.path().join("a").exists());
    let watch = world.start(&["watch", "latest"]);
    world.run(&["cancel", "latest"]).code(0);
    Ended::of(run.wait_with_output().expect("ends")).code(130);
    let watch = Ended::of(watch.wait_with_output().expect("ends")).code(130);
    assert!(watch.err.contains("cancelled from another terminal"), "{}", watch.err);
    std::fs::remove_file(world.path().join("a")).expect("removed");
    let run = world.start(&["apply", &plan]);
    until(|| world.path().join("a").exists());
    let watch = world.start(&["watch", "latest"]);
    kill(run);
    let watch = Ended::of(watch.wait_with_output().expect("ends")).code(3);
    assert!(watch.err.contains("`executor resume "), "{}", watch.err);
    open(&world, "a");
    world.run(&["resume", "latest"]).code(0);
    world.run(&["watch", "latest"]).code(0);
    assert!(
        world.run(&["watch", "latest", "--node", "execute-x"]).code(2).err.contains("execute-x")
    );
    world.run(&["watch", "nothing"]).code(2);
}

#[test]
fn a_watched_run_that_waits_says_for_what() {
    let world = World::new();
    let group = plans::GroupName::new("g").expect("a name");
    let mut node = sh("execute-a", &gate(&world, "a"), &[]);
    node.concurrency_groups.insert(group);
    let plan = world.plan(vec![node]);
    let first = world.start(&["apply", &plan]);
    until(|| world.path().join("a").exists());
    let second = world.start(&["apply", &plan]);
    until(|| {
        world.runs().len() == 2 && world.runs()[1].join("nodes/execute-a/waiting.json").exists()
    });
    let watch = world.start(&["watch", "latest"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    open(&world, "a");
    for child in [first, second] {
        Ended::of(child.wait_with_output().expect("ends")).code(0);
    }
    let watch = Ended::of(watch.wait_with_output().expect("ends")).code(0);
    assert!(watch.err.contains("waits for group g (run "), "{}", watch.err);
}
