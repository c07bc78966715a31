//! Caches: what a job finds of an earlier one, in every pair; and that whatever is wrong with one is a miss.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use plans::{Cache, CacheSave, CacheScope, Key, Node, Plan, Source, Workspace};
use serde_json::Value;

use crate::{
    harness::{Ended, World, cache, kill, lane, sh, with_cache},
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    a_job_finds_what_one_before_it_left => super::finds;
}

fn writable(mut node: Node) -> Node {
    node.spec.workspace = Workspace::Writable;
    node
}

/// Says what it finds in its cache, and leaves something more there.
fn counts(at: &str) -> String {
    format!(
        "cd {at} || exit 1; cat value 2>/dev/null || echo none\n\
         [ \"$(cat sub/deep/value 2>/dev/null)\" = \"$(cat value 2>/dev/null)\" ] || exit 1\n\
         mkdir -p sub/deep && echo more >>value && ln -sf ../value sub/link || exit 1\n\
         cat sub/link >sub/deep/value; [ ! -e sub/gone ] || exit 1; : >sub/gone; rm sub/gone"
    )
}

fn apply(pair: &Pair, nodes: Vec<Node>) -> Ended {
    let plan = pair.world().plan(nodes);
    let apply = pair.command(&["apply", &plan, "--output", "jsonl"]).output();
    Ended::of(apply.expect("it starts"))
}

/// What each node was given: its temperature.
fn temperatures(ended: &Ended) -> Vec<String> {
    let finished = |event: &Value| (event["event"] == "node_finished").then(|| event.clone());
    let mut nodes: Vec<Value> = ended.events().iter().filter_map(finished).collect();
    nodes.sort_by_key(|node| node["node"].to_string());
    let caches =
        nodes.iter().flat_map(|node| node["caches"].as_array().cloned().unwrap_or_default());
    caches.map(|cache| cache["temperature"].as_str().expect("a word").to_owned()).collect()
}

fn finds(pair: &Pair) {
    let nodes = |key: &str, fallback: bool| {
        let cache = |name: &str| Cache { fallback, ..cache(name, "out/cache") };
        let own = writable(pair.node("execute-own", &counts("out/cache")));
        let shown = pair.node("execute-shown", &counts("out/cache"));
        vec![with_cache(own, cache("own"), key), with_cache(shown, cache("shown"), key)]
    };
    let logs = |expected: &str| {
        for id in ["execute-own", "execute-shown"] {
            let log = pair.file(id, "guest.log");
            assert_eq!(String::from_utf8_lossy(&log), expected, "{id}");
        }
    };
    let ended = apply(pair, nodes("one", false)).code(0);
    assert_eq!(temperatures(&ended), ["cold", "cold"]);
    logs("none\n");
    let ended = apply(pair, nodes("one", false)).code(0);
    assert_eq!(temperatures(&ended), ["hit", "hit"], "{}", ended.err);
    logs("more\n");
    let log = String::from_utf8_lossy(&pair.file("execute-own", "host.log")).into_owned();
    assert!(log.contains("  cache own: hit, "), "{log}");
    assert!(log.contains("  kept: cache own, "), "{log}");
    // Another key: the newest of the name, where it will do.
    let ended = apply(pair, nodes("two", false)).code(0);
    assert_eq!(temperatures(&ended), ["cold", "cold"]);
    let ended = apply(pair, nodes("three", true)).code(0);
    assert_eq!(temperatures(&ended), ["warm", "warm"]);
    logs("more\n");
    // What the first key has is as it was left.
    let ended = apply(pair, nodes("one", true)).code(0);
    assert_eq!(temperatures(&ended), ["hit", "hit"]);
    logs("more\nmore\n");
}

/// A world here, with a plan of one branch.
struct Here {
    world: World,
    scope: Option<CacheScope>,
}

impl Here {
    fn new() -> Self {
        Self { world: World::new(), scope: Some(CacheScope::DefaultBranch) }
    }

    fn of(&self, scope: Option<CacheScope>) -> &Self {
        // The world is the same.
        let path = self.world.path().join("scope.json");
        fs::write(path, serde_json::to_vec(&scope).expect("plain data")).expect("written");
        self
    }

    fn scope(&self) -> Option<CacheScope> {
        let text = fs::read(self.world.path().join("scope.json"));
        text.ok().map_or(self.scope.clone(), |text| serde_json::from_slice(&text).expect("it"))
    }

    fn plan(&self, nodes: Vec<Node>) -> String {
        let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let lanes = vec![lane("lane", &ids)];
        let mut parts = self.world.parts(nodes, lanes);
        if let Source::Change(source) = &mut parts.source {
            source.cache_scope = self.scope();
        }
        let path = self.world.path().join("plan.json");
        fs::write(&path, Plan::new(parts).expect("a plan").to_json().json).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn apply(&self, nodes: Vec<Node>, more: &[&str]) -> Ended {
        let plan = self.plan(nodes);
        self.world.run(&[&["apply", &plan, "--output", "jsonl"], more].concat())
    }

    /// Runs a job that counts, and returns what it was given and what it found.
    #[track_caller]
    fn count(&self, key: &str, fallback: bool, more: &[&str]) -> (String, String) {
        let node = sh("execute-count", &counts("cache"), &[]);
        let node = with_cache(writable(node), Cache { fallback, ..cache("c", "cache") }, key);
        let ended = self.apply(vec![node], more).code(0);
        (temperatures(&ended).concat(), self.log("execute-count"))
    }

    fn log(&self, node: &str) -> String {
        self.world.log(node, "guest.log")
    }

    fn store(&self) -> PathBuf {
        self.world.path().join("home/.cache/forge-lanes/caches")
    }

    /// The directories of everything that is kept.
    fn entries(&self) -> Vec<PathBuf> {
        let Ok(places) = fs::read_dir(self.store().join("v1")) else { return Vec::new() };
        let places = places.map(|it| it.expect("readable").path());
        let all = places.filter(|place| !place.ends_with("new")).flat_map(|place| {
            fs::read_dir(place).expect("readable").map(|it| it.expect("readable").path())
        });
        let mut all: Vec<PathBuf> = all.collect();
        all.sort();
        all
    }

    fn listed(&self) -> Vec<Value> {
        let listed = self.world.run(&["caches", "list", "--json"]).code(0);
        let document: Value = serde_json::from_str(&listed.out).expect("JSON");
        document["caches"].as_array().expect("caches").clone()
    }
}

fn pair(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn a_failed_job_leaves_no_cache_unless_it_always_does() {
    let here = Here::new();
    for (save, expected) in [(CacheSave::Passed, "cold"), (CacheSave::Always, "hit")] {
        let fails = || {
            let node = sh("execute-fails", "echo x >cache/x; exit 1", &[]);
            with_cache(writable(node), Cache { save, ..cache("c", "cache") }, "one")
        };
        here.apply(vec![fails()], &[]).code(1);
        let ended = here.apply(vec![fails()], &[]).code(1);
        assert_eq!(temperatures(&ended), [expected]);
    }
    let here = Here::new();
    let reads = || {
        let node = sh("execute-reads", "echo x >cache/x", &[]);
        with_cache(writable(node), Cache { save: CacheSave::Never, ..cache("c", "cache") }, "one")
    };
    here.apply(vec![reads()], &[]).code(0);
    assert_eq!(temperatures(&here.apply(vec![reads()], &[]).code(0)), ["cold"]);
}

#[test]
fn a_branch_reads_its_own_then_the_defaults_and_writes_its_own() {
    let here = Here::new();
    let branch = |name: &str| Some(CacheScope::Branch(name.to_owned()));
    assert_eq!(here.count("one", false, &[]), pair("cold", "none\n"));
    assert_eq!(here.of(branch("x")).count("one", false, &[]), pair("hit", "more\n"));
    assert_eq!(here.count("one", false, &[]), pair("hit", "more\nmore\n"));
    // Nobody else has what the branch left.
    assert_eq!(here.of(branch("y")).count("one", false, &[]), pair("hit", "more\n"));
    // What is not known to be of a branch, and what is not trusted, never writes the default's.
    assert_eq!(here.of(None).count("one", false, &[]), pair("hit", "more\n"));
    here.of(Some(CacheScope::DefaultBranch));
    assert_eq!(here.count("one", false, &["--untrusted"]), pair("hit", "more\n"));
    assert_eq!(here.count("one", false, &["--untrusted"]), pair("hit", "more\nmore\n"));
    assert_eq!(here.count("one", false, &[]), pair("hit", "more\n"));
    let scopes: Vec<_> = here.listed().iter().map(|it| it["scope"].to_string()).collect();
    assert_eq!(scopes.len(), 5, "{scopes:?}");
    assert!(scopes.contains(&"\"branch:x\"".to_owned()), "{scopes:?}");
}

#[test]
fn parallel_users_have_copies_of_their_own() {
    let here = Here::new();
    here.count("one", false, &[]);
    let nodes: Vec<Node> = (0..3)
        .map(|number| {
            let script = format!(
                "cd cache; echo {number} >mine; echo {number} >>value; sleep 0.3; cat value mine; cp value sub/deep/"
            );
            let node = sh(&format!("execute-user-{number}"), &script, &[]);
            with_cache(writable(node), cache("c", "cache"), "one")
        })
        .collect();
    here.apply(nodes, &["--jobs", "3"]).code(0);
    for number in 0..3 {
        let log = here.log(&format!("execute-user-{number}"));
        assert_eq!(log, format!("more\n{number}\n{number}\n"));
    }
    // One of them, whole, is what is kept.
    let (temperature, found) = here.count("one", false, &[]);
    assert_eq!(temperature, "hit");
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines.len() == 2 && lines[0] == "more", "{found}");
    assert_eq!(here.entries().len(), 1);
}

#[test]
fn of_jobs_that_end_at_once_one_leaves_what_it_made() {
    for _ in 0..3 {
        let here = Here::new();
        let node = |number: u8| {
            let node = sh(&format!("execute-user-{number}"), "echo >cache/file", &[]);
            with_cache(writable(node), cache("c", "cache"), "one")
        };
        here.apply((0..4).map(node).collect(), &["--jobs", "4"]).code(0);
        assert!(!here.entries().is_empty());
    }
}

#[test]
fn a_clock_that_was_set_back_keeps_no_cache_for_ever() {
    let here = Here::new();
    here.count("one", false, &[]);
    let place = |name: &str| {
        let [entry] = &here.entries()[..] else { panic!("one is kept") };
        let key = Key::of(b"one");
        fs::rename(entry, entry.with_file_name(format!("{}-{name}", key.digits()))).expect("moved");
    };
    place("9999999999-1");
    assert_eq!(here.count("one", false, &[]), pair("hit", "more\n"));
    let [entry] = &here.entries()[..] else { panic!("one is kept") };
    assert!(!entry.display().to_string().ends_with("-9999999999-1"), "{}", entry.display());
    assert_eq!(here.count("one", false, &[]), pair("hit", "more\nmore\n"));
}

#[test]
fn what_is_another_users_is_left_alone() {
    let here = Here::new();
    here.count("one", false, &[]);
    let [entry] = &here.entries()[..] else { panic!("one is kept") };
    // Only root can give it away.
    if std::os::unix::fs::chown(entry, Some(12345), None).is_err() {
        return;
    }
    let said = here.world.run(&["gc"]).code(0);
    assert!(entry.join("data").is_dir(), "{}", said.out);
    assert!(here.listed().is_empty());
}

#[test]
fn a_cache_whose_globs_match_no_file_is_no_exact_one() {
    let here = Here::new();
    let node = |cache: Cache| {
        let mut node = writable(sh("execute-count", &counts("cache"), &[]));
        node.spec.caches.push(cache);
        node
    };
    let ended = here.apply(vec![node(cache("c", "cache"))], &[]).code(0);
    assert!(ended.out.contains("is not kept: its globs match no file"), "{}", ended.out);
    assert!(here.entries().is_empty());
    let last = || Cache { fallback: true, ..cache("c", "cache") };
    for expected in ["cold", "warm"] {
        assert_eq!(temperatures(&here.apply(vec![node(last())], &[]).code(0)), [expected]);
    }
    // Nor that of one that has no globs.
    let cache = Cache { key: Vec::new(), ..cache("c", "cache") };
    let mut all = node(cache.clone());
    all.cache_keys.insert(cache.name, plans::CacheKey::of_nothing());
    assert_eq!(temperatures(&here.apply(vec![all], &[]).code(0)), ["cold"]);
}

#[test]
fn what_a_job_dates_ahead_is_no_newer_than_what_changes_after_it() {
    let mut here = Here::new();
    here.world.commit(&[("a", "one\n")]);
    let script = "if [ ! -e cache/a ] || [ a -nt cache/a ]; then cp a cache/a; echo built; fi\n\
                  perl -e '$t = (stat \"a\")[9]; $t = time if $t < time; $t += 7200; utime $t, $t, \"cache/a\"'\n\
                  cmp a cache/a";
    for (text, expected) in [("one\n", "built\n"), ("two\n", "built\n"), ("two\n", "")] {
        if text != "one\n" && !expected.is_empty() {
            here.world.commit(&[("a", text)]);
        }
        let node =
            with_cache(writable(sh("execute-build", script, &[])), cache("c", "cache"), "one");
        here.apply(vec![node], &[]).code(0);
        assert_eq!(here.log("execute-build"), expected);
    }
}

#[test]
fn git_finds_nothing_changed_in_a_clone_with_a_cache() {
    let here = Here::new();
    for expected in ["cold", "hit"] {
        // Looks at times alone.
        let script = "git -c safe.directory='*' diff-files --name-only; echo >cache/file";
        let mut node = sh("execute-clone", script, &[]);
        node.spec.checkout = plans::Checkout::Clone;
        let ended = here.apply(vec![with_cache(node, cache("c", "cache"), "one")], &[]).code(0);
        assert_eq!(temperatures(&ended), [expected]);
    }
    assert_eq!(here.log("execute-clone"), "");
}

#[test]
fn an_exclusive_cache_is_one_jobs_at_a_time() {
    let here = Here::new();
    let nodes: Vec<Node> = (0..3)
        .map(|number| {
            let script = "cd cache; [ ! -e busy ] || exit 1; : >busy; sleep 0.1; rm busy; echo >>n";
            let node = sh(&format!("execute-user-{number}"), script, &[]);
            with_cache(writable(node), Cache { exclusive: true, ..cache("c", "cache") }, "one")
        })
        .collect();
    here.apply(nodes, &["--jobs", "3"]).code(0);
    let node =
        with_cache(writable(sh("execute-n", "wc -l <cache/n", &[])), cache("c", "cache"), "one");
    here.apply(vec![node], &[]).code(0);
    assert_eq!(here.log("execute-n").trim(), "3");
}

#[test]
fn what_is_torn_or_foreign_is_a_miss_with_a_note() {
    type Tear = fn(&std::path::Path);
    let tears: [(&str, Tear); 12] = [
        ("half a meta", |it| {
            let text = fs::read_to_string(it.join("meta")).expect("there");
            fs::write(it.join("meta"), &text[..text.len() / 2]).expect("written");
        }),
        ("no meta", |it| fs::remove_file(it.join("meta")).expect("removed")),
        ("a file less", |it| fs::remove_file(it.join("data/value")).expect("removed")),
        ("a shorter file", |it| fs::write(it.join("data/value"), "").expect("written")),
        ("another bit", |it| {
            let mut bytes = fs::read(it.join("data/value")).expect("there");
            bytes[0] ^= 1;
            fs::write(it.join("data/value"), bytes).expect("written");
        }),
        ("bytes that went from one file to another", |it| {
            fs::write(it.join("data/value"), "mor").expect("written");
            fs::write(it.join("data/sub/deep/value"), "more\nx").expect("written");
        }),
        ("other times of files", |it| {
            let text = fs::read_to_string(it.join("dates")).expect("there");
            fs::write(it.join("dates"), text.replacen('2', "1", 1)).expect("written");
        }),
        ("a machine that went down before it was written", |it| {
            let text = fs::read_to_string(it.join("meta")).expect("there");
            let (before, _) = text.split_once("boot\t").expect("its boot");
            fs::write(it.join("meta"), format!("{before}boot\tanother\nend\t\n")).expect("written");
            // Whoever notes that it is written may be at it yet.
            crate::harness::until(|| fs::remove_file(it.join("synced")).is_ok());
        }),
        ("no data", |it| fs::remove_dir_all(it.join("data")).expect("removed")),
        ("another format", |it| {
            let text = fs::read_to_string(it.join("meta")).expect("there");
            fs::write(it.join("meta"), text.replace("format\t1", "format\t2")).expect("written");
        }),
        ("a time that cannot be", |it| {
            let text = fs::read_to_string(it.join("meta")).expect("there");
            let text = text.replace("saved\t", "saved\t9999999");
            fs::write(it.join("meta"), text).expect("written");
        }),
        ("a file in its place", |it| {
            fs::remove_dir_all(it).expect("removed");
            fs::write(it, "").expect("written");
        }),
    ];
    for (what, tear) in tears {
        let here = Here::new();
        here.count("one", false, &[]);
        let entries = here.entries();
        let [entry] = &entries[..] else { panic!("one is kept") };
        tear(entry);
        let node = with_cache(
            writable(sh("execute-count", &counts("cache"), &[])),
            cache("c", "cache"),
            "one",
        );
        let ended = here.apply(vec![node], &[]).code(0);
        assert_eq!(temperatures(&ended), ["cold"], "{what}");
        let noted = ended.out.contains("is not used");
        assert!(noted || what == "a file in its place", "{what}: {}", ended.out);
        assert_eq!(here.count("one", false, &[]).0, "hit", "{what}: what it left is kept");
        here.world.run(&["gc"]).code(0);
        assert_eq!(here.entries().len(), 1, "{what}: what is torn goes");
        assert_eq!(here.count("one", false, &[]).0, "hit", "{what}");
    }
}

#[test]
fn what_was_on_the_disk_when_the_machine_went_down_is_a_hit() {
    let here = Here::new();
    here.count("one", false, &[]);
    let [entry] = &here.entries()[..] else { panic!("one is kept") };
    crate::harness::until(|| entry.join("synced").exists());
    let text = fs::read_to_string(entry.join("meta")).expect("there");
    let (before, _) = text.split_once("boot\t").expect("its boot");
    fs::write(entry.join("meta"), format!("{before}boot\tanother\nend\t\n")).expect("written");
    assert_eq!(here.count("one", false, &[]), pair("hit", "more\n"));
}

#[test]
fn a_store_that_cannot_be_used_costs_no_verdict() {
    let here = Here::new();
    let store = here.store();
    fs::create_dir_all(store.parent().expect("a parent")).expect("made");
    fs::set_permissions(
        here.world.path().join("home/.cache/forge-lanes"),
        fs::Permissions::from_mode(0o700),
    )
    .expect("set");
    fs::write(&store, "").expect("written");
    let node = || {
        let node = sh("execute-count", &counts("cache"), &[]);
        with_cache(writable(node), cache("c", "cache"), "one")
    };
    for _ in 0..2 {
        let ended = here.apply(vec![node()], &[]).code(0);
        assert_eq!(temperatures(&ended), ["cold"]);
        assert!(ended.out.contains("it is no directory"), "{}", ended.out);
    }
    let elsewhere = here.world.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).expect("set");
    let config = here.world.path().join("executor.toml");
    let text = format!("[caches]\ndir = {:?}\n", elsewhere.display().to_string());
    fs::write(&config, text).expect("written");
    let config = ["--config", config.to_str().expect("UTF-8")];
    let ended = here.apply(vec![node()], &config).code(0);
    assert!(ended.out.contains("anybody may write there"), "{}", ended.out);
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o775)).expect("set");
    let ended = here.apply(vec![node()], &config).code(0);
    assert!(ended.out.contains("its whole group may write there"), "{}", ended.out);
    // So is the usual one.
    fs::remove_file(&store).expect("removed");
    fs::create_dir(&store).expect("made");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).expect("set");
    let ended = here.apply(vec![node()], &[]).code(0);
    assert!(ended.out.contains("anybody may write there"), "{}", ended.out);
}

#[test]
fn an_executor_that_is_killed_never_leaves_half_a_cache() {
    let here = Here::new();
    // A generation is 40 files that all hold its number.
    let script = "set -e; cd cache; n=$(cat 0 2>/dev/null || echo 0)\n\
                  for f in $(seq 0 39); do [ ! -e $f ] || [ \"$(cat $f)\" = \"$n\" ] || exit 7; done\n\
                  [ \"$n\" = 0 ] || [ \"$(ls | wc -l)\" = 40 ] || exit 8\n\
                  for f in $(seq 0 39); do echo $((n + 1)) >$f; done";
    let node = || with_cache(writable(sh("execute-n", script, &[])), cache("c", "cache"), "one");
    here.apply(vec![node()], &[]).code(0);
    for round in 0..12u64 {
        let plan = here.plan(vec![node()]);
        let child = here.world.start(&["apply", &plan]);
        std::thread::sleep(std::time::Duration::from_millis(40 + round * 37 % 300));
        kill(child);
        here.apply(vec![node()], &[]).code(0);
    }
    // Nothing half-written stays.
    let shells = Command::new("sleep").arg("0.5").status();
    assert!(shells.is_ok_and(|it| it.success()));
    here.world.run(&["gc"]);
    let new = fs::read_dir(here.store().join("v1/new"));
    assert_eq!(new.map_or(0, Iterator::count), 0);
}

#[test]
fn caches_are_listed_removed_and_collected() {
    let here = Here::new();
    assert!(here.world.run(&["caches", "list"]).code(0).out.contains("no caches are kept"));
    here.count("one", false, &[]);
    here.count("two", false, &[]);
    let listed = here.listed();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["key"], Key::of(b"two").as_str());
    for (key, value) in [("name", "c"), ("scope", "default_branch"), ("host", "local")] {
        assert_eq!(listed[0][key], value, "{key}");
    }
    assert_eq!(here.world.run(&["caches", "remove", "d"]).code, Some(2));
    let config = here.world.path().join("executor.toml");
    fs::write(&config, "[caches]\nkeep_days = 14\nmax_mib = 0\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    let gone = here.world.run(&["gc", "--config", config]).code(0);
    assert_eq!(gone.out.matches("beyond the limit").count(), 2, "{}", gone.out);
    here.count("one", false, &[]);
    let removed = here.world.run(&["caches", "remove", "c", "--json"]).code(0);
    let removed: Value = serde_json::from_str(&removed.out).expect("JSON");
    assert_eq!(removed["removed"][0]["name"], "c");
    assert!(here.listed().is_empty());
}

#[test]
fn what_was_given_stands_wherever_a_run_is_told() {
    let here = Here::new();
    here.count("one", false, &[]);
    here.count("one", false, &[]);
    let status = here.world.run(&["status"]).code(0).out;
    assert!(status.contains("cache c: hit, "), "{status}");
    let record = here.world.run(&["status", "--json"]).code(0).out;
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let cache = &record["nodes"][0]["caches"][0];
    assert_eq!(cache["key"], Key::of(b"one").as_str());
    assert!(cache["age_secs"].is_u64() && cache["bytes"].is_u64() && cache["saved"] == true);
    let file = here.world.path().join("report");
    let file = file.to_str().expect("UTF-8");
    for (form, row) in [("--markdown", "c: hit, "), ("--html", "c: hit, ")] {
        here.world.run(&["report", "latest", form, file]).code(0);
        let report = fs::read_to_string(file).expect("written");
        assert!(report.contains(row), "{form}: {report}");
    }
    let junit = here.world.path().join("junit.xml");
    here.count("one", false, &["--junit", junit.to_str().expect("UTF-8")]);
    assert!(
        fs::read_to_string(junit).expect("written").contains("name=\"cache\" value=\"c: hit, ")
    );
    let history = here.world.run(&["history"]).code(0).out;
    assert!(
        history.contains("hit ") && history.contains("cold ") && history.contains("(2)"),
        "{history}"
    );
    let history = here.world.run(&["history", "--json"]).code(0).out;
    let history: Value = serde_json::from_str(&history).expect("JSON");
    let temperatures = &history["nodes"][0]["temperatures"];
    assert_eq!(temperatures[0]["temperature"], "hit");
    assert_eq!(temperatures[0]["runs"], 2);
    assert_eq!(temperatures[1]["temperature"], "cold");
}

#[test]
fn what_changed_since_a_cache_was_kept_is_newer_than_it_and_nothing_else_is() {
    let mut here = Here::new();
    here.world.commit(&[("a", "one\n"), ("b", "one\n")]);
    // Builds like make: what is older than its output is not built again.
    let script = "for f in a b; do\n\
        if [ ! -e cache/$f ] || [ $f -nt cache/$f ]; then cp $f cache/$f; echo built $f; fi\n\
        cmp -s $f cache/$f || { echo stale $f; exit 1; }\ndone";
    let builds = |here: &Here, inputs: &str| {
        let mut node =
            with_cache(writable(sh("execute-build", script, &[])), cache("c", "cache"), "one");
        if !inputs.is_empty() {
            node.spec.command =
                plans::Command::Shell { script: script.replace("a b", inputs), as_root: false };
        }
        here.apply(vec![node], &[]).code(0);
        here.log("execute-build")
    };
    assert_eq!(builds(&here, ""), "built a\nbuilt b\n");
    assert_eq!(builds(&here, ""), "");
    here.world.commit(&[("a", "two\n")]);
    assert_eq!(builds(&here, ""), "built a\n");
    // Back again: the times of the tree that was made first are older than what was built since.
    here.world.commit(&[("a", "one\n")]);
    assert_eq!(builds(&here, ""), "built a\n");
    // A job that looks at less in between leaves the change of the other file to be seen.
    here.world.commit(&[("b", "two\n")]);
    assert_eq!(builds(&here, "a"), "");
    assert_eq!(builds(&here, ""), "built b\n");
    assert_eq!(builds(&here, ""), "");
}

#[test]
fn a_cache_is_written_to_as_any_directory() {
    let here = Here::new();
    // Renames directories, within one and out of it, and writes to one of two names of a file.
    let script = "set -e; cd cache; perl -e 'for (@ARGV) { my ($a, $b) = split /:/; -d $a or mkdir $a; rename($a, $b) or die \"$a: $!\" }' \
                  gen:old; mkdir gen; mkdir -p deep/er; [ ! -e moved ] || rm -r moved\n\
                  perl -e 'rename(\"deep/er\", \"moved\") or die $!'; echo x >>moved/file; rm -r old\n\
                  [ -e linked/a ] || { mkdir linked; echo 0 >linked/a; ln linked/a linked/b; }\n\
                  echo 1 >>linked/a; cmp linked/a linked/b; echo y >gen/file; cat moved/file; ls";
    let mut logs = Vec::new();
    for expected in ["cold", "hit", "hit"] {
        let node = with_cache(writable(sh("execute-n", script, &[])), cache("c", "cache"), "one");
        let ended = here.apply(vec![node], &[]).code(0);
        assert_eq!(temperatures(&ended), [expected]);
        logs.push(here.log("execute-n"));
    }
    assert_eq!(logs, ["x\ndeep\ngen\nlinked\nmoved\n"; 3]);
    // Without names of one file: layers, where these can be.
    let script = "set -e; cd cache; rm -rf linked; mkdir -p a/b; echo x >>a/b/file; exec perl -e \
                  'mkdir \"c\"; rename(\"a/b\", \"c/n\") or die $!; rename(\"c\", \"d\") or die $!; rename(\"d/n\", \"a/b\") or die $!; rename(\"a\", \"e\") or die $!; rename(\"e\", \"a\") or die $!; rmdir \"d\"'";
    for lines in 1..4 {
        let node = with_cache(writable(sh("execute-n", script, &[])), cache("c", "cache"), "two");
        let ended = here.apply(vec![node], &[]).code(0);
        assert!(!ended.out.contains("is not kept"), "{}", ended.out);
        let entries = here.entries();
        let entry = entries.iter().find(|it| it.join("data/a").exists()).expect("it is kept");
        let text = fs::read_to_string(entry.join("data/a/b/file")).expect("there");
        assert_eq!(text.lines().count(), lines);
    }
}

#[test]
fn a_site_says_where_how_large_and_which() {
    let here = Here::new();
    let dir = here.world.path().join("elsewhere");
    let config = here.world.path().join("executor.toml");
    let text =
        format!("[caches]\ndir = {:?}\nnames = [\"c*\"]\nmax_mib = 1\n", dir.display().to_string());
    fs::write(&config, text).expect("written");
    let config = ["--config", config.to_str().expect("UTF-8")];
    here.count("one", false, &config);
    assert_eq!(here.count("one", false, &config).0, "hit");
    assert!(dir.join("v1").is_dir() && !here.store().exists());
    let large = "head -c 2000000 /dev/zero >cache/large";
    let node = with_cache(writable(sh("execute-large", large, &[])), cache("c", "cache"), "two");
    let ended = here.apply(vec![node], &config).code(0);
    assert!(ended.out.contains("2000000 bytes, 1048576 are allowed"), "{}", ended.out);
    let other =
        with_cache(writable(sh("execute-other", "true", &[])), cache("other", "cache"), "one");
    let ended = here.apply(vec![other], &config).code(0);
    assert!(ended.out.contains("keeps no cache `other`"), "{}", ended.out);
}
