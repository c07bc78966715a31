//! What `-v` and `FORGE_LANES_LOG` say: on standard error alone, by node and host, and never a secret.

use plans::EnvName;

use crate::{
    harness::{Ended, World, sh},
    remote::Far,
};

const SECRET: &str = "a-secret-that-is-not-to-be-seen";

fn with_secret(mut node: plans::Node) -> plans::Node {
    node.spec.secrets = [EnvName::new("TOKEN").expect("a name")].into();
    node
}

#[test]
fn steps_are_told_by_node_on_stderr_and_stdout_is_as_without() {
    let world = World::new();
    let plan = world.plan(vec![with_secret(sh("execute-a", "echo \"$TOKEN\"; exit 3", &[]))]);
    let run = |arguments: &[&str], filter: Option<&str>| {
        let mut command = world.command(arguments);
        command.env("TOKEN", SECRET).envs(filter.map(|filter| ("FORGE_LANES_LOG", filter)));
        Ended::of(command.output().expect("the program starts")).code(1)
    };
    let plain = run(&["apply", &plan], None);
    assert!(!plain.err.contains("INFO"), "{}", plain.err);
    let told = run(&["apply", &plan, "-v"], None);
    let span = "node{id=\"execute-a\" attempt=1 host=\"local\"}";
    assert!(told.err.contains(&format!("INFO {span}: executor::run::dispatch")), "{}", told.err);
    assert!(!told.err.contains("DEBUG"), "{}", told.err);
    let detailed = run(&["apply", &plan, "-vv"], None);
    assert!(detailed.err.contains("phase begins phase=\"wait\""), "{}", detailed.err);
    let everything = run(&["apply", &plan, "-vvv"], None);
    let filtered = run(&["apply", &plan, "-vv"], Some("executor::placements=debug"));
    assert!(!filtered.err.contains("phase begins"), "{}", filtered.err);
    for ended in [told, detailed, everything, filtered] {
        assert_eq!(ended.out, plain.out);
        assert!(!ended.err.contains(SECRET), "{}", ended.err);
    }
}

#[test]
fn connections_are_told_by_host() {
    let Some(far) = Far::new("") else { return };
    let plan = far.world.plan(vec![with_secret(far.node("execute-a", "echo \"$TOKEN\"", &[]))]);
    let output = far.command(&["-vvv", "apply", &plan]).env("TOKEN", SECRET).output();
    let ended = Ended::of(output.expect("the program starts")).code(0);
    let span = "node{id=\"execute-a\" attempt=1 host=\"far\"}";
    assert!(ended.err.contains(span), "{}", ended.err);
    assert!(ended.err.contains("connected destination=\"testhost\""), "{}", ended.err);
    assert!(!ended.err.contains(SECRET), "{}", ended.err);
}

#[test]
fn a_filter_that_is_none_is_refused_before_anything_happens() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "true", &[])]);
    let output = world.command(&["apply", &plan]).env("FORGE_LANES_LOG", "executor=loud").output();
    let ended = Ended::of(output.expect("the program starts")).code(2);
    assert!(ended.err.contains("error: `FORGE_LANES_LOG`: "), "{}", ended.err);
    assert!(ended.err.contains("help: "), "{}", ended.err);
    assert!(world.runs().is_empty());
    // Said to nobody, nothing goes wrong either.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" -vv apply \"$1\" 2>&-", crate::harness::EXECUTOR, &plan]);
    let template = world.command(&[]);
    shell.env_clear().envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.current_dir(world.repo()).output().expect("it starts");
    Ended::of(output).code(0);
}
