//! A state directory without room: said plainly, and nothing that is known gets lost.
//!
//! The file system is a tmpfs of its own in a mount namespace of its own, so nothing is left.

use plans::Workspace;

use crate::harness::{EXECUTOR, Ended, World, cache, sh, with_cache};

/// Runs a script with a small tmpfs at `$FULL`; `None` where that is not allowed.
fn with_small_disk(world: &World, plan: &str, script: &str) -> Option<Ended> {
    let disk = world.path().join("disk");
    std::fs::create_dir_all(&disk).expect("made");
    let script = format!("mount -t tmpfs -o size=128k tmpfs \"$FULL\" || exit 99\n{script}");
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", &script]);
    let template = world.command(&[]);
    command.env_clear().current_dir(world.repo());
    command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("FULL", &disk).env("EXECUTOR", EXECUTOR).env("PLAN", plan);
    let ended = Ended::of(command.output().ok()?);
    if ended.code == Some(99) || ended.err.contains("unshare: ") {
        assert!(std::env::var_os("CI").is_none(), "a tmpfs cannot be mounted: {}", ended.err);
        return None;
    }
    Some(ended)
}

#[test]
fn a_full_state_directory_is_said_before_anything_starts() {
    let world = World::new();
    let mark = world.path().join("mark");
    let plan = world.plan(vec![sh("execute-a", &format!("touch {}", mark.display()), &[])]);
    let script = "head -c 1000000 /dev/zero > \"$FULL/filler\" 2>/dev/null
        exec \"$EXECUTOR\" apply \"$PLAN\" --state-dir \"$FULL/state\"";
    let Some(ended) = with_small_disk(&world, &plan, script) else { return };
    let ended = ended.code(3);
    assert!(ended.err.contains("No space left"), "{}", ended.err);
    assert!(ended.err.contains("--state-dir"), "{}", ended.err);
    assert!(!mark.exists(), "a job ran that could not be recorded");
}

#[test]
fn a_disk_that_fills_up_loses_no_verdict_and_resume_ends_the_run() {
    let world = World::new();
    let mark = world.path().join("mark");
    // The first job fills the disk with its own log, and what it does must not be done twice.
    let script = format!("echo ran >> {}; head -c 1000000 /dev/zero; true", mark.display());
    let plan = world.plan(vec![
        sh("execute-a", &script, &[]),
        sh("execute-b", &format!("echo second >> {}", mark.display()), &["execute-a"]),
    ]);
    let script = "\"$EXECUTOR\" apply \"$PLAN\" --state-dir \"$FULL/state\" >&2
        echo \"first: $?\"
        find \"$FULL/state\" -name guest.log -exec truncate -s 0 {} +
        \"$EXECUTOR\" resume latest --state-dir \"$FULL/state\" --output json
        echo \"second: $?\" >&2
        \"$EXECUTOR\" status --json --state-dir \"$FULL/state\" >&2";
    let Some(ended) = with_small_disk(&world, &plan, script) else { return };
    let ran = std::fs::read_to_string(&mark).expect("it ran");
    assert_eq!(ran.matches("ran").count(), 1, "{}\n{}", ended.out, ended.err);
    let first = ended.out.lines().next().expect("a line");
    assert!(["first: 0", "first: 1", "first: 3"].contains(&first), "{first}\n{}", ended.err);
    assert!(ended.err.contains("\"outcome\""), "{}\n{}", ended.out, ended.err);
    // It exited with 0, and its log is not whole.
    assert!(!ended.err.contains("\"passed\""), "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("the end of its output is missing"), "{}", ended.err);
    assert!(!ended.err.contains("\"interrupted\""), "{}", ended.err);
}

#[test]
fn a_cache_that_has_no_room_is_not_kept_and_what_was_kept_stays() {
    let world = World::new();
    let script = "cat cache/value; echo more >>cache/value; head -c \"$(cat ../../../../size)\" /dev/zero >cache/fill";
    let size = world.path().join("size");
    let mut node =
        sh("execute-a", &script.replace("../../../../size", &size.display().to_string()), &[]);
    node.spec.workspace = Workspace::Writable;
    let node = with_cache(node, cache("c", "cache"), "one");
    let plan = world.plan(vec![node]);
    let config = world.path().join("executor.toml");
    std::fs::write(
        &config,
        format!("[caches]\ndir = \"{}/disk/caches\"\n", world.path().display()),
    )
    .expect("written");
    let script = format!(
        "apply() {{ echo $1 >'{}'; \"$EXECUTOR\" apply \"$PLAN\" --config '{}' --output jsonl; }}
        apply 10 || exit 1; apply 1000000 || exit 1; apply 10 || exit 1
        \"$EXECUTOR\" logs; ls \"$FULL/caches/v1/new\"; \"$EXECUTOR\" caches list --config '{}'",
        size.display(),
        config.display(),
        config.display()
    );
    let Some(ended) = with_small_disk(&world, &plan, &script) else { return };
    let ended = ended.code(0);
    assert!(ended.out.contains("is not kept: it could not be moved there"), "{}", ended.out);
    let temperatures: Vec<&str> =
        ended.out.split("\"temperature\":\"").skip(1).map(|it| &it[..3]).collect();
    assert_eq!(temperatures, ["col", "hit", "hit"], "{}", ended.out);
    // The third one found what the first one left; nothing half-written is beside it.
    let (_, rest) = ended.out.rsplit_once("run_finished").expect("three runs");
    let lines: Vec<&str> = rest.lines().skip(1).collect();
    assert_eq!(lines[0], "more", "{}", ended.out);
    assert!(lines.len() == 2 && lines[1].contains("  c  "), "{lines:?}");
}

#[test]
fn a_full_cache_directory_is_said_once_before_anything_starts() {
    let world = World::new();
    let mark = world.path().join("mark");
    let plan = world.plan(vec![sh("execute-a", &format!("touch {}", mark.display()), &[])]);
    let script = "mkdir \"$FULL/cache\"; head -c 1000000 /dev/zero > \"$FULL/filler\" 2>/dev/null
        export XDG_CACHE_HOME=\"$FULL/cache\"; exec \"$EXECUTOR\" apply \"$PLAN\"";
    let Some(ended) = with_small_disk(&world, &plan, script) else { return };
    let ended = ended.code(2);
    assert!(ended.err.contains("No space left"), "{}", ended.err);
    assert!(ended.err.contains("XDG_CACHE_HOME"), "{}", ended.err);
    assert!(!mark.exists() && world.runs().is_empty(), "something began");
}
