//! Two hosts in network namespaces of their own: what a run does while the cable to one of them is out.

use std::{fs, path::PathBuf, time::Duration};

use plans::{AbsolutePath, Node, Placement};

use crate::{
    harness::{Ended, kill, outcomes, sh, until},
    incus::{Site, remote},
};

/// A node of a host, which shares the file system of this machine but nothing of its work.
fn node(site: &Site, host: &str, id: &str, script: &str, depends_on: &[&str]) -> Node {
    let mut node = sh(id, script, depends_on);
    let Placement::RemoteSsh(mut placed) = remote(site, &format!("testbed-{host}")) else {
        unreachable!("a host")
    };
    placed.work_dir =
        AbsolutePath::new(work_dir(site, host).display().to_string()).expect("a path");
    node.spec.placement = Placement::RemoteSsh(placed);
    node
}

fn work_dir(site: &Site, host: &str) -> PathBuf {
    site.world.path().join(format!("work of {host}"))
}

/// What runs left on a host: attempts, and turns besides their lock.
fn left(site: &Site, host: &str) -> Vec<String> {
    let runs = fs::read_dir(work_dir(site, host).join("runs")).into_iter().flatten().flatten();
    let attempts = runs.flat_map(|run| fs::read_dir(run.path()).into_iter().flatten().flatten());
    let turns = fs::read_dir(work_dir(site, host).join("turns")).into_iter().flatten().flatten();
    let names = attempts.chain(turns).map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "owner" && name != ".lock").collect()
}

fn counting(site: &Site, to: u32, name: &str) -> String {
    let counter = site.world.path().join(name);
    format!(
        "echo x >>'{}'; i=0; while [ $i -lt {to} ]; do echo $i; i=$((i+1)); sleep 0.1; done",
        counter.display()
    )
}

fn numbers(to: u32) -> String {
    (0..to).map(|number| format!("{number}\n")).collect()
}

/// The cable of a host, put in again whatever becomes of the test.
struct Cut<'a>(&'a Site, &'static str);

impl<'a> Cut<'a> {
    fn now(site: &'a Site, host: &'static str) -> Self {
        site.bed.link("cut", host);
        Self(site, host)
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        self.0.bed.link("restore", self.1);
    }
}

#[test]
fn a_cable_that_is_out_for_a_while_holds_up_its_host_alone() {
    let Some(site) = Site::with(&["netns"]) else { return };
    let plan = site.world.plan(vec![
        node(&site, "h1", "execute-one", &counting(&site, 60, "one"), &[]),
        node(&site, "h2", "execute-two", &counting(&site, 60, "two"), &[]),
        node(&site, "h2", "execute-both", "echo both", &["execute-one", "execute-two"]),
    ]);
    let child = site.command(&["apply", &plan]).spawn().expect("starts");
    let lines = |id: &str| {
        if site.world.runs().is_empty() { 0 } else { site.log(id, "guest.log").lines().count() }
    };
    until(|| lines("execute-one") > 2 && lines("execute-two") > 2);
    let cut = Cut::now(&site, "h1");
    std::thread::sleep(Duration::from_millis(500));
    let (one, two) = (lines("execute-one"), lines("execute-two"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lines("execute-one"), one, "nothing comes through a cable that is out");
    assert!(lines("execute-two") > two + 10, "the other host is not held up");
    drop(cut);
    Ended::of(child.wait_with_output().expect("ends")).code(0);
    for id in ["execute-one", "execute-two"] {
        assert_eq!(site.log(id, "guest.log"), numbers(60), "{id}");
    }
    for name in ["one", "two"] {
        assert_eq!(fs::read_to_string(site.world.path().join(name)).expect("it ran"), "x\n");
    }
    for node in site.world.record()["nodes"].as_array().expect("nodes") {
        assert_eq!(node["attempts"], 1, "{node:#}");
    }
    for host in ["h1", "h2"] {
        assert_eq!(left(&site, host), Vec::<String>::new(), "{host}");
    }
}

#[test]
fn an_executor_that_dies_while_a_cable_is_out_is_followed_by_one_that_finds_everything() {
    let Some(site) = Site::with(&["netns"]) else { return };
    let plan = site.world.plan(vec![
        node(&site, "h2", "execute-one", &counting(&site, 30, "one"), &[]),
        node(&site, "h2", "execute-after", "exit 3", &["execute-one"]),
    ]);
    let child = site.command(&["apply", &plan]).spawn().expect("starts");
    until(|| {
        !site.world.runs().is_empty() && site.log("execute-one", "guest.log").lines().count() > 2
    });
    let cut = Cut::now(&site, "h2");
    std::thread::sleep(Duration::from_millis(500));
    kill(child);
    // It is out for whoever comes next as well, for a while; the job goes on meanwhile.
    let next = site.command(&["resume", "latest"]).spawn().expect("starts");
    std::thread::sleep(Duration::from_secs(3));
    drop(cut);
    Ended::of(next.wait_with_output().expect("ends")).code(1);
    assert_eq!(site.log("execute-one", "guest.log"), numbers(30));
    assert_eq!(fs::read_to_string(site.world.path().join("one")).expect("it ran"), "x\n", "once");
    let outcomes = outcomes(&site.world.record());
    assert_eq!((&*outcomes["execute-one"], &*outcomes["execute-after"]), ("passed", "failed"));
    assert_eq!(left(&site, "h2"), Vec::<String>::new());
    let left = site.run(&["gc", "--dry-run"]).code(0);
    assert!(!left.out.contains("execute-"), "{}", left.out);
}
