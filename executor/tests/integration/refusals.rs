//! What is not run at all: which exit code, in which order, and that nothing is left behind.

use std::process::Stdio;

use plans::{
    EngineName, EnvName, Incus, Placement, Plan, Runtime, ScenarioName, Source, SshDestination,
    SshHost,
};

use crate::harness::{World, sh};

/// Nothing may be printed or made by a run that is refused.
#[track_caller]
fn refused(world: &World, arguments: &[&str], code: i32, says: &str) {
    let ended = world.run(arguments).code(code);
    assert!(ended.err.contains(says), "{says:?} is not in:\n{}", ended.err);
    assert_eq!(ended.out, "");
    assert!(world.runs().is_empty(), "a run was made");
}

fn with_text(world: &World, edit: impl Fn(String) -> String) -> String {
    let path = world.plan(vec![sh("execute-a", "true", &[])]);
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, edit(text)).expect("written");
    path
}

#[test]
fn what_is_no_plan_is_bad_input() {
    let world = World::new();
    let whole = with_text(&world, |text| text);
    let text = std::fs::read(&whole).expect("readable");
    for cut in (0..text.len() - 1).step_by(97) {
        std::fs::write(&whole, &text[..cut]).expect("written");
        refused(&world, &["apply", &whole], 2, "not a JSON document");
    }
    refused(&world, &["apply", "/nowhere/plan.json"], 2, "/nowhere/plan.json");
    refused(&world, &["apply", "/"], 2, "the plan cannot be read");
}

#[test]
fn an_edited_plan_is_refused() {
    let world = World::new();
    let path = with_text(&world, |text| text.replace("\"true\"", "\"rm -rf /\""));
    refused(&world, &["apply", &path], 4, "was changed after it was written");
    let path = with_text(&world, |text| text.replace("\"1.0\"", "\"9.0\""));
    refused(&world, &["apply", &path], 4, "format version 9.0");
    let path = with_text(&world, |text| text);
    refused(&world, &["apply", &path, "--expect-digest", "sha256:0"], 4, "expected was sha256:0");
}

/// The limit of a word; the plan's own copy of it is in `word_limits.rs`.
const WORD: usize = 131_071;

#[test]
fn what_no_program_can_be_given_is_refused_before_the_start_wherever_it_would_run() {
    let text = |length: usize| format!(": {}", "x".repeat(length - 2));
    let fits = {
        let world = World::new();
        let mut node = sh("execute-a", &text(WORD), &[]);
        node.spec.env.insert(EnvName::new("BIG").expect("a name"), "x".repeat(WORD - 4));
        let plan = world.plan(vec![node]);
        world.run(&["apply", &plan]).code(0).err
    };
    assert!(!fits.contains("bytes"), "{fits}");
    for (placement, runtime) in
        [(None, None), (Some(()), None), (None, Some(())), (Some(()), Some(()))]
    {
        let world = World::new();
        let mut node = sh("execute-a", &text(WORD + 1), &[]);
        node.spec.env.insert(EnvName::new("BIG").expect("a name"), "x".repeat(WORD - 3));
        if placement.is_some() {
            node.spec.placement = far();
        }
        if runtime.is_some() {
            node.spec.runtime = crate::incus::incus("");
        }
        let plan = world.plan(vec![node]);
        refused(
            &world,
            &["apply", &plan],
            4,
            "`execute-a`: its command has a word of 131072 bytes",
        );
        refused(&world, &["apply", &plan], 4, "`execute-a`: the variable `BIG` has 131072 bytes");
        let told = world.run(&["doctor", &plan]);
        assert!(told.out.contains("a word of 131072 bytes"), "{}{}", told.out, told.err);
    }
}

#[test]
fn variables_that_are_too_much_together_are_refused_and_so_is_a_long_secret() {
    let world = World::new();
    let mut node = sh("execute-a", "true", &[]);
    for number in 0..17 {
        let name = EnvName::new(format!("V{number}")).expect("a name");
        node.spec.env.insert(name, "x".repeat(130_000));
    }
    let plan = world.plan(vec![node]);
    refused(&world, &["apply", &plan], 4, "a program can be given 2097152");
    let mut node = sh("execute-a", "true", &[]);
    node.spec.secrets.insert(EnvName::new("TOKEN").expect("a name"));
    let plan = world.plan(vec![node]);
    let file = world.path().join("token");
    std::fs::write(&file, "x".repeat(140_000)).expect("written");
    let config = world.path().join("executor.toml");
    let text = format!("version = 1\n[secrets]\nTOKEN = {{ file = \"{}\" }}\n", file.display());
    std::fs::write(&config, text).expect("written");
    let config = config.to_str().expect("UTF-8");
    refused(
        &world,
        &["apply", &plan, "--config", config],
        2,
        "the variable `TOKEN` has 140006 bytes",
    );
}

fn far() -> Placement {
    Placement::RemoteSsh(SshHost {
        host: plans::HostName::new("far").expect("a name"),
        ssh: SshDestination::new("nowhere.invalid").expect("a destination"),
        work_dir: plans::AbsolutePath::new("/var/tmp/x").expect("a path"),
        max_jobs: 1,
    })
}

#[test]
fn a_scenario_is_shown_never_applied() {
    let world = World::new();
    let mut parts = world.parts(vec![sh("execute-a", "true", &[])], Vec::new());
    parts.source = Source::Scenario(ScenarioName::new("docs-only").expect("well formed"));
    let path = world.path().join("plan.json");
    std::fs::write(&path, Plan::new(parts).expect("a plan").to_json().json).expect("written");
    refused(&world, &["apply", path.to_str().expect("UTF-8")], 4, "scenario `docs-only`");
}

#[test]
fn a_tree_that_the_repository_lost_is_refused() {
    let world = World::new();
    let mut parts = world.parts(vec![sh("execute-a", "true", &[])], Vec::new());
    let Source::Change(change) = &mut parts.source else { panic!("a change") };
    change.tree = Some(plans::ObjectId::new("1".repeat(40)).expect("an id"));
    let path = world.path().join("plan.json");
    std::fs::write(&path, Plan::new(parts).expect("a plan").to_json().json).expect("written");
    refused(&world, &["apply", path.to_str().expect("UTF-8")], 4, &"1".repeat(40));
}

#[test]
fn outside_a_repository_nothing_is_run() {
    let world = World::new();
    let path = world.plan(vec![sh("execute-a", "true", &[])]);
    let home = world.path().join("home");
    let home = home.to_str().expect("UTF-8");
    refused(&world, &["-C", home, "apply", &path], 2, "in no git repository");
    refused(&world, &["-C", "/nowhere", "apply", &path], 2, "/nowhere");
}

#[test]
fn every_objection_of_the_site_is_named_at_once() {
    let world = World::new();
    let mut incus = sh("execute-incus", "true", &[]);
    incus.spec.runtime = Runtime::Incus(Incus {
        image: EngineName::new("other").expect("well formed"),
        project: None,
        profiles: Vec::new(),
        vm: false,
        privileged: true,
        user: None,
        group: None,
        cpu: None,
        memory_mib: None,
        processes: None,
        disk_mib: None,
        cluster: None,
        boot_timeout_secs: None,
    });
    let mut remote = sh("execute-remote", "true", &[]);
    remote.spec.placement = Placement::RemoteSsh(SshHost {
        host: plans::HostName::new("build").expect("well formed"),
        ssh: SshDestination::new("ci@build").expect("well formed"),
        work_dir: plans::AbsolutePath::new("/w").expect("absolute"),
        max_jobs: 1,
    });
    let mut long = sh("execute-long", "true", &[]);
    long.spec.timeout_secs = 100_000;
    let path = world.plan(vec![incus, remote, long]);
    let config = world.path().join("executor.toml");
    std::fs::write(
        &config,
        "version = 1\n[limits]\ntimeout_secs = 3600\n[allow]\nplacements = [\"local\"]\n\
         images = [\"pika-*\"]\n",
    )
    .expect("written");
    let ended = world.run(&["apply", &path, "--config", config.to_str().expect("UTF-8")]).code(4);
    for says in [
        "`execute-incus`: this site does not allow the image `other` (`allow.images`)",
        "`execute-incus`: this site does not allow privileged containers (`allow.privileged`)",
        "`execute-remote`: this site does not allow the placement `remote_ssh`",
        "`execute-long`: it may run for 100000 seconds, this site allows 3600",
    ] {
        assert!(ended.err.contains(says), "{says:?} is not in:\n{}", ended.err);
    }
    assert!(world.runs().is_empty());
}

#[test]
fn a_wrong_configuration_is_bad_input_with_its_place() {
    let world = World::new();
    let path = world.plan(vec![sh("execute-a", "true", &[])]);
    let config = world.path().join("executor.toml");
    std::fs::write(&config, "version = 1\n[limit]\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    refused(&world, &["apply", &path, "--config", config], 2, "did you mean `limits`?");
    refused(&world, &["apply", &path, "--config", "/nowhere.toml"], 2, "/nowhere.toml");
}

#[test]
fn a_secret_without_a_value_stops_the_plan_before_it_starts() {
    let world = World::new();
    let mut node = sh("execute-a", "true", &[]);
    for name in ["FIRST_TOKEN", "SECOND_TOKEN"] {
        node.spec.secrets.insert(EnvName::new(name).expect("well formed"));
    }
    let path = world.plan(vec![node]);
    refused(&world, &["apply", &path], 2, "`FIRST_TOKEN`: the environment variable");
    refused(&world, &["apply", &path], 2, "SECOND_TOKEN");
}

#[test]
fn a_node_that_is_not_in_the_plan_is_bad_input() {
    let world = World::new();
    let path = world.plan(vec![sh("execute-unit", "true", &[])]);
    let says = "no node `execute-unti`; did you mean `execute-unit`?";
    refused(&world, &["apply", &path, "--only", "execute-unti"], 2, says);
}

#[test]
fn a_closed_pipe_and_bad_flags_are_told_apart() {
    let world = World::new();
    world.run(&["apply"]).code(2);
    world.run(&["aply"]).code(2);
    world.run(&["--help"]).code(0);
    let mut child = world.command(&["list", "--json"]).stdout(Stdio::piped()).spawn().expect("s");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn an_unwritable_state_directory_is_named() {
    let world = World::new();
    let path = world.plan(vec![sh("execute-a", "true", &[])]);
    let ended = world.run(&["apply", &path, "--state-dir", "/proc/forge-lanes"]).code(3);
    assert!(ended.err.contains("/proc/forge-lanes"), "{}", ended.err);
    assert!(ended.err.contains("--state-dir"), "{}", ended.err);
}

#[test]
fn a_secret_with_a_nul_byte_is_named_before_anything_starts() {
    let world = World::new();
    let mut node = sh("execute-a", "true", &[]);
    node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("well formed"));
    let plan = world.plan(vec![node]);
    let file = world.path().join("token");
    std::fs::write(&file, b"before\0after").expect("written");
    let config = world.path().join("executor.toml");
    let text = format!("version = 1\n[secrets]\nTOKEN = {{ file = \"{}\" }}\n", file.display());
    std::fs::write(&config, text).expect("written");
    let ended = world.run(&["apply", &plan, "--config", config.to_str().expect("UTF-8")]).code(2);
    assert!(ended.err.contains("`TOKEN`") && ended.err.contains("NUL"), "{}", ended.err);
}
