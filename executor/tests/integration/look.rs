//! What people look at before they run a plan: `doctor`, `apply --dry-run`.

use plans::{Command, EnvName, Mount, Placement, Runtime};
use serde_json::Value;

use crate::harness::{World, node_id, sh};

fn findings(world: &World, plan: &str, code: i32) -> Vec<(String, bool, String)> {
    let ended = world.run(&["doctor", plan, "--json"]).code(code);
    let found: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(found["ok"], code == 0, "{found:#}");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    found["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|one| (text(&one["about"]), one["ok"] == true, text(&one["message"])))
        .collect()
}

#[test]
fn doctor_says_what_this_machine_lacks_before_anything_starts() {
    let world = World::new();
    let mut tool = sh("execute-tool", "", &[]);
    tool.spec.command = Command::Argv(vec!["no-such-program".to_owned()]);
    let mut there = sh("execute-there", "", &[]);
    there.spec.command = Command::Argv(vec!["git".to_owned(), "status".to_owned()]);
    let mut elsewhere = sh("execute-elsewhere", "", &[]);
    elsewhere.spec.command = Command::Argv(vec!["git".to_owned()]);
    elsewhere.spec.env.insert(EnvName::new("PATH").expect("a name"), "/nonexistent".to_owned());
    let mut secret = sh("execute-secret", "true", &[]);
    secret.spec.secrets.insert(EnvName::new("TOKEN").expect("a name"));
    let well = world.plan(vec![there.clone()]);
    let found = findings(&world, &well, 0);
    let about: Vec<&str> = found.iter().map(|(about, ..)| about.as_str()).collect();
    assert!(about.contains(&"tree") && about.contains(&"programs on local"), "{found:?}");
    for says in ["MiB free in", "git version", "views of their own"] {
        assert!(found.iter().any(|(_, ok, message)| *ok && message.contains(says)), "{says}");
    }
    let ill = world.plan(vec![tool, there, elsewhere, secret]);
    let found = findings(&world, &ill, 1);
    let bad = |about: &str, says: &str| {
        let hit = |(of, ok, message): &(String, bool, String)| {
            of == about && !ok && message.contains(says)
        };
        assert!(found.iter().any(hit), "{about}: {says}: {found:?}");
    };
    bad("programs on local", "`no-such-program`");
    bad("programs on local", "`git`");
    bad("secrets", "TOKEN");
    assert!(!world.state_dir().exists(), "nothing was made");
    let human = world.run(&["doctor", &ill]).code(1);
    assert!(human.out.contains("problem  programs on local"), "{}", human.out);
    assert!(human.err.contains("problems"), "{}", human.err);
}

#[test]
fn a_dry_run_shows_what_engines_are_called_with() {
    let world = World::new();
    let incus = r#"{ "incus": { "image": "pika-ci", "project": "pika", "profiles": ["ci"],
        "memory_mib": 512, "cluster": { "member": "m2" } } }"#;
    let tart = r#"{ "tart": { "image": "sequoia-base", "cpu": 4 } }"#;
    let runtime = |text: &str| serde_json::from_str::<Runtime>(text).expect("a runtime");
    let mut prepare = sh("prepare-deps", "mkdir out", &[]);
    prepare.spec.workspace = plans::Workspace::Writable;
    let below = plans::WorkspacePath::new("out").expect("a path");
    prepare.output = Some(plans::Output::Directory(below));
    let mut contained = sh("execute-contained", "make test", &["prepare-deps"]);
    contained.spec.runtime = runtime(incus);
    contained.mounts = vec![Mount {
        node: node_id("prepare-deps"),
        path: plans::AbsolutePath::new("/staged/deps").expect("a path"),
    }];
    let mut virtual_machine = sh("execute-vm", "xcodebuild", &[]);
    virtual_machine.spec.runtime = runtime(tart);
    let host =
        r#"{ "remote_ssh": { "host": "mac", "ssh": "ci@mac", "work_dir": "/w", "max_jobs": 1 } }"#;
    virtual_machine.spec.placement = serde_json::from_str::<Placement>(host).expect("a placement");
    let plan = world.plan(vec![prepare, contained, virtual_machine]);
    let ended = world.run(&["apply", &plan, "--dry-run", "--jobs", "3"]).code(0);
    insta::assert_snapshot!(ended.out);
    assert!(!world.state_dir().exists(), "nothing was made");
}
