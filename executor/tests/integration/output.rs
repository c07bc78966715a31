//! A job's output, whole and in order, whatever the job does with it; and what of it must not show.

use crate::{
    harness::{SmallDisk, World, sh},
    remote::Far,
};

/// Runs one node and returns its outcome and its log.
fn ran(world: &World, script: &str, secret: Option<&str>) -> (String, String) {
    let mut node = sh("execute-a", script, &[]);
    node.spec.timeout_secs = 20;
    let plan = match secret {
        None => world.plan(vec![node]),
        Some(_) => {
            node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("a name"));
            world.plan(vec![node])
        }
    };
    let mut command = world.command(&["apply", &plan]);
    if let Some(secret) = secret {
        command.env("TOKEN", secret);
    }
    command.output().expect("it runs");
    let record = world.record();
    let outcome = record["nodes"][0]["outcome"].as_str().expect("an outcome").to_owned();
    let run = world.runs().pop().expect("a run");
    // A full disk leaves the last of several attempts none.
    let log = std::fs::read(run.join("nodes/execute-a/guest.log")).unwrap_or_default();
    (outcome, String::from_utf8_lossy(&log).into_owned())
}

#[test]
fn a_job_that_opens_its_own_output_loses_no_line() {
    for secret in [None, Some("hunter2hunter2")] {
        let world = World::new();
        let script = "echo first; echo second > /dev/stderr; echo third >/dev/stdout
            echo fourth | tee /dev/stderr >/dev/null; echo fifth >>/proc/self/fd/2";
        let (outcome, log) = ran(&world, script, secret);
        assert_eq!(outcome, "passed", "{log}");
        assert_eq!(log, "first\nsecond\nthird\nfourth\nfifth\n");
    }
}

#[test]
fn both_of_its_outputs_are_in_order_to_the_last_byte() {
    let world = World::new();
    let script = "i=0; while [ $i -lt 500 ]; do echo $i; echo $i >&2; i=$((i + 1)); done
        printf end; (sleep 0.2; echo never) & exit 1";
    let (outcome, log) = ran(&world, script, None);
    let expected: String = (0..500).map(|i| format!("{i}\n{i}\n")).collect();
    assert_eq!(outcome, "failed");
    assert_eq!(log, expected + "end");
}

#[test]
fn a_secret_of_any_length_neither_shows_nor_holds_the_job_up() {
    let secret = "k".repeat(120_000);
    let world = World::new();
    let (outcome, log) = ran(&world, "echo ${#TOKEN}; echo \"<$TOKEN>\"", Some(&secret));
    assert_eq!(outcome, "passed", "{log}");
    assert_eq!(log, "120000\n<***>\n");
}

#[test]
fn output_that_never_stops_moves_no_timeout() {
    let world = World::new();
    let secret: String = (0..10_000).map(|i| format!("{i:06}")).collect();
    let mut node = sh("execute-a", "yes 1 & yes 2 & yes 3 & wait", &[]);
    node.spec.timeout_secs = 1;
    node.spec.grace_secs = Some(1);
    node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("a name"));
    let plan = world.plan(vec![node]);
    let mut command = world.command(&["apply", &plan]);
    command.env("TOKEN", &secret);
    let ended = command.output().expect("it runs");
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(world.record()["nodes"][0]["outcome"], "timed_out");
}

#[test]
fn a_long_secret_without_end_moves_no_timeout_of_a_host() {
    let Some(far) = Far::new("") else { return };
    let mut state = 1_u64;
    let secret: String = (0..60_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[(state >> 59) as usize])
        })
        .collect();
    let script = "yes \"$TOKEN$TOKEN\" & yes \"$TOKEN\" & yes \"$TOKEN\"";
    let mut node = far.node("execute-a", script, &[]);
    node.spec.timeout_secs = 2;
    node.spec.grace_secs = Some(1);
    node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("a name"));
    let plan = far.world.plan(vec![node]);
    let mut command = far.command(&["apply", &plan]);
    command.env("TOKEN", &secret);
    let ended = command.output().expect("it runs");
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(far.world.record()["nodes"][0]["outcome"], "timed_out");
    let log = far.log("execute-a");
    // Three write at once and tear each other's lines apart; a part that is longer than a needle never shows.
    for part in log.split("***").filter(|part| part.len() > 260) {
        assert!(!secret.contains(&part[130..260]), "{part}");
    }
    assert!(log.contains("***"), "{log}");
}

#[test]
fn a_secret_too_short_to_mask_changes_nothing_of_a_full_disk() {
    let world = World::new();
    let Some(_disk) = SmallDisk::at(&world.state_dir(), 1500) else { return };
    let (outcome, _) = ran(&world, "head -c 3000000 /dev/zero", Some("abc"));
    assert_eq!(outcome, "infra_failed");
}

#[test]
fn a_folded_secret_and_one_that_a_shell_quotes_are_masked() {
    let world = World::new();
    let secret = "it's a-password 100001.100002.100003.100004.100005.100006.100007.100008";
    let script = "printf %s \"$TOKEN\" | base64; printf %s \"user:$TOKEN\" | base64 -w 60
        set -x; : \"$TOKEN\"; set +x; export -p";
    let (outcome, log) = ran(&world, script, Some(secret));
    assert_eq!(outcome, "passed", "{log}");
    for part in ["password", "10000", "MTAwMD", "LjEwMDAw", "EwMDAw"] {
        assert!(!log.contains(part), "{part}: {log}");
    }
}
