//! Who has what and who waits: told while it is so, by `holders`, `status`, events and lines; what the dead leave is
//! shown as theirs and goes with `gc`.

use std::process::{Child, Command};

use plans::{GroupName, Node};
use serde_json::Value;

use crate::{
    harness::{Ended, World, kill, sh, until},
    remote::Far,
};

/// A script that says that it runs and waits to be let go.
fn holds(world: &World, name: &str) -> String {
    let at = world.path().display();
    format!("touch {at}/{name}; until [ -e {at}/go ]; do sleep 0.05; done")
}

fn in_group(mut node: Node, group: &str) -> Node {
    node.concurrency_groups.insert(GroupName::new(group).expect("a name"));
    node
}

fn said(command: &mut Command) -> Value {
    let ended = Ended::of(command.output().expect("it starts")).code(0);
    serde_json::from_str(&ended.out).expect("JSON")
}

/// The machine of that name in what `holders --json` says.
fn machine<'a>(said: &'a Value, name: &str) -> &'a Value {
    let machines = said["machines"].as_array().expect("machines");
    machines.iter().find(|machine| machine["machine"] == name).expect("the machine")
}

fn locks(machine: &Value) -> Vec<(&str, &str, &str)> {
    let locks = machine["locks"].as_array().expect("locks");
    locks
        .iter()
        .map(|lock| {
            let word = |key: &str| lock[key].as_str().unwrap_or("-");
            (word("name"), word("state"), word("node"))
        })
        .collect()
}

fn run_id(world: &World, at: usize) -> String {
    let runs = world.runs();
    runs[at].file_name().expect("a name").to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_wait_for_a_group_is_told_everywhere_with_who_has_it() {
    let world = World::new();
    let plan = world.plan(vec![in_group(
        sh("execute-ios-compile", &holds(&world, "up"), &[]),
        "apple-compile",
    )]);
    let first = world.start(&["apply", &plan]);
    until(|| world.path().join("up").exists());
    let other = world.plan(vec![in_group(sh("execute-b", "true", &[]), "apple-compile")]);
    let second = world.start(&["apply", &other, "--output", "jsonl"]);
    let waits = |said: &Value| {
        machine(said, "local")["waiters"].as_array().is_some_and(|all| all.len() == 1)
    };
    let look = || said(&mut world.command(&["holders", "--json"]));
    until(|| waits(&look()));
    let table = look();
    let here = machine(&table, "local");
    assert_eq!(locks(here), [("apple-compile", "held", "execute-ios-compile")]);
    let lock = &here["locks"][0];
    assert_eq!(
        (lock["kind"].as_str(), lock["run_id"].as_str()),
        (Some("group"), Some(&*run_id(&world, 0)))
    );
    let process = lock["process"].as_str().expect("a process");
    assert!(process.starts_with(&format!("{} on ", first.id())), "{process}");
    assert!(lock["since"].is_string() && lock["held_ms"].is_u64(), "{lock}");
    let waiter = &here["waiters"][0];
    assert_eq!(
        (waiter["waits_for"].as_str(), waiter["node"].as_str()),
        (Some("group apple-compile"), Some("execute-b"))
    );
    assert_eq!(waiter["dead"], false);
    let line =
        format!("waits for group apple-compile (run {}, execute-ios-compile, ", run_id(&world, 0));
    let status = world.run(&["status", &run_id(&world, 1)]).code(0);
    assert!(status.out.contains(&line), "{}", status.out);
    let holders = world.run(&["holders"]).code(0);
    assert!(holders.out.contains("group apple-compile  held: run "), "{}", holders.out);
    assert!(holders.out.contains("group apple-compile  waits: run "), "{}", holders.out);
    // A plan names what is free as well.
    let known = said(&mut world.command(&["holders", &other, "--json"]));
    assert_eq!(locks(machine(&known, "local")).len(), 1);
    std::fs::write(world.path().join("go"), "").expect("written");
    Ended::of(first.wait_with_output().expect("ends")).code(0);
    let second = Ended::of(second.wait_with_output().expect("ends")).code(0);
    assert!(second.err.contains(&line), "{}", second.err);
    let events = second.events();
    let waiting = events.iter().find(|event| event["event"] == "node_waiting").expect("it is told");
    assert_eq!(waiting["waits_for"], "group apple-compile");
    assert_eq!(waiting["holder"]["node"], "execute-ios-compile");
    assert!(waiting["message"].as_str().expect("text").starts_with(&line));
    assert!(events.iter().any(|event| event["event"] == "node_waited"));
    let table = look();
    assert_eq!(locks(machine(&table, "local")), [("apple-compile", "free", "-")]);
    assert!(world.runs().iter().all(|run| !run.join("nodes/execute-b/waiting.json").exists()));
}

#[test]
fn what_killed_holders_and_waiters_leave_here_is_shown_as_theirs_and_goes_with_gc() {
    let world = World::new();
    let plan = world.plan(vec![in_group(sh("execute-a", &holds(&world, "up"), &[]), "apple")]);
    let first = world.start(&["apply", &plan]);
    until(|| world.path().join("up").exists());
    let second = world.start(&["apply", &plan]);
    let look = || said(&mut world.command(&["holders", "--json"]));
    until(|| machine(&look(), "local")["waiters"].as_array().is_some_and(|all| all.len() == 1));
    kill(second);
    let table = look();
    assert_eq!(machine(&table, "local")["waiters"][0]["dead"], true);
    kill(first);
    // Its job goes on, and has the group.
    let table = look();
    assert_eq!(locks(machine(&table, "local")), [("apple", "job", "execute-a")]);
    world.run(&["gc", "--dry-run"]).code(0);
    std::fs::write(world.path().join("go"), "").expect("written");
    until(|| locks(machine(&look(), "local")) == [("apple", "dead", "execute-a")]);
    let dry = world.run(&["gc", "--dry-run"]).code(0);
    assert!(dry.out.contains("would remove group apple of run "), "{}", dry.out);
    assert_eq!(locks(machine(&look(), "local"))[0].1, "dead");
    let gc = world.run(&["gc"]).code(0);
    assert!(
        gc.out.contains("removed group apple of run ")
            && gc.out.contains("the wait for group apple"),
        "{}",
        gc.out
    );
    let table = look();
    assert_eq!(locks(machine(&table, "local")), [("apple", "free", "-")]);
    assert_eq!(machine(&table, "local")["waiters"].as_array().map(Vec::len), Some(0));
}

#[test]
fn two_executors_that_race_for_a_group_are_holder_and_waiter_by_turns_and_both_end() {
    let world = World::new();
    let counter = world.path().join("at once");
    let script = format!("set -e; mkdir '{0}'; sleep 0.05; rmdir '{0}'", counter.display());
    let nodes =
        (0..6).map(|n| in_group(sh(&format!("execute-{n}"), &script, &[]), "one")).collect();
    let plan = world.plan(nodes);
    let both: Vec<Child> = (0..2).map(|_| world.start(&["apply", &plan, "--jobs", "3"])).collect();
    // Whoever looks takes nothing and holds nobody up.
    for _ in 0..20 {
        said(&mut world.command(&["holders", "--json"]));
    }
    for child in both {
        Ended::of(child.wait_with_output().expect("ends")).code(0);
    }
    let table = said(&mut world.command(&["holders", "--json"]));
    assert_eq!(machine(&table, "local")["waiters"].as_array().map(Vec::len), Some(0));
}

#[test]
fn places_and_groups_of_a_host_are_told_with_their_leases_and_freed_when_dead() {
    let Some(far) = Far::new("") else { return };
    let world = &far.world;
    let mut node = in_group(far.node("execute-a", &holds(world, "up"), &[]), "apple");
    if let plans::Placement::RemoteSsh(host) = &mut node.spec.placement {
        host.max_jobs = 1;
    }
    let mut waits = node.clone();
    let plan = world.plan(vec![node]);
    let first = far.start(&["apply", &plan]);
    until(|| world.path().join("up").exists());
    waits.concurrency_groups = plans::SortedSet::default();
    let other = world.plan(vec![waits]);
    let second = far.start(&["apply", &other]);
    let look = || said(&mut far.command(&["holders", "--json"]));
    until(|| machine(&look(), "far")["waiters"].as_array().is_some_and(|all| all.len() == 1));
    let table = look();
    let there = machine(&table, "far");
    assert_eq!(locks(there), [("apple", "held", "execute-a"), ("0", "held", "execute-a")]);
    for lock in there["locks"].as_array().expect("locks") {
        assert!(lock["lease_left_ms"].as_u64().is_some_and(|left| left <= 60_000), "{lock}");
        assert!(
            lock["process"]
                .as_str()
                .is_some_and(|who| who.starts_with(&format!("{} on ", first.id()))),
            "{lock}"
        );
        assert_eq!(lock["run_id"].as_str(), Some(&*run_id(world, 0)));
    }
    assert_eq!(there["waiters"][0]["waits_for"], "a place");
    let status =
        Ended::of(far.command(&["status", &run_id(world, 1)]).output().expect("starts")).code(0);
    let line = format!("waits for a place on far (run {}, execute-a, ", run_id(world, 0));
    assert!(status.out.contains(&line), "{}", status.out);
    // One that is cancelled waits no more.
    Ended::of(far.command(&["cancel", &run_id(world, 1)]).output().expect("starts")).code(0);
    Ended::of(second.wait_with_output().expect("ends"));
    until(|| machine(&look(), "far")["waiters"].as_array().is_some_and(Vec::is_empty));
    // Killed: its job goes on and has them; then it is over as well, and so is the lease.
    kill(first);
    std::fs::write(world.path().join("go"), "").expect("written");
    let turns = far.work_dir().join("turns");
    let lapse = |file: &str| {
        let text = std::fs::read_to_string(turns.join(file)).expect("a lock");
        let mut words: Vec<&str> =
            text.lines().next().expect("a line").split_whitespace().collect();
        words[2] = "0";
        let rest = text.split_once('\n').expect("more").1;
        std::fs::write(turns.join(file), format!("{}\n{rest}", words.join(" "))).expect("written");
    };
    lapse("group.apple");
    lapse("place.0");
    until(|| locks(machine(&look(), "far")).iter().all(|lock| lock.1 == "dead"));
    std::fs::write(turns.join("wait.0"), "0 other 1 2 7@gone place\n-\n").expect("written");
    assert_eq!(machine(&look(), "far")["waiters"][0]["dead"], true);
    let gc = far.run(&["gc"]).code(0);
    assert!(
        gc.out.contains("removed group apple of run ")
            && gc.out.contains("removed place 0 of run "),
        "{}",
        gc.out
    );
    let table = look();
    assert_eq!(locks(machine(&table, "far")), [("apple", "free", "-"), ("0", "free", "-")]);
    assert!(machine(&table, "far")["waiters"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn a_host_that_is_out_of_reach_is_named_and_the_others_are_told_all_the_same() {
    let Some(far) = Far::new("") else { return };
    let plan = far.world.plan(vec![far.node("execute-a", "true", &[])]);
    let mut command =
        far.command(&["holders", &plan, "--json", "--host", "far=nobody@127.0.0.1:1"]);
    let ended = Ended::of(command.output().expect("starts"));
    let said: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(
        machine(&said, "far")["error"].is_string() && machine(&said, "local")["error"].is_null()
    );
}
