//! The JUnit report against a schema and a validator that is not ours (`xmllint`).

use std::path::Path;

use crate::harness::{World, sh};

/// Asks `xmllint` about a report; returns whether there is one here to ask.
#[track_caller]
fn validate(file: &Path) -> bool {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/junit.xsd");
    let output = std::process::Command::new("xmllint")
        .args(["--huge", "--noout", "--schema", schema])
        .arg(file)
        .output();
    let Ok(output) = output else {
        assert!(std::env::var_os("CI").is_none(), "xmllint is missing: scripts/bootstrap engines");
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", said.lines().take(20).collect::<Vec<_>>().join("\n"));
    true
}

/// Asks `xmllint` what a path in a report is.
fn xpath(file: &Path, path: &str) -> String {
    let output = std::process::Command::new("xmllint")
        .args(["--huge", "--xpath", path])
        .arg(file)
        .output()
        .expect("xmllint starts");
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

#[test]
fn a_report_with_every_kind_of_end_fits_the_schema() {
    let snapshot = include_str!(
        "../../src/reporters/snapshots/\
         executor__reporters__junit__tests__every_kind_of_end_has_its_element.snap"
    );
    let xml = snapshot.splitn(3, "---\n").nth(2).expect("a snapshot");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("report.xml");
    std::fs::write(&file, xml).expect("written");
    validate(&file);
}

#[test]
fn a_report_with_a_bare_name_is_written_where_the_program_was_started() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-it", "true", &[])]);
    for name in ["report.xml", "./again.xml"] {
        let ended = world.run(&["apply", &plan, "--junit", name]).code(0);
        assert!(!ended.err.contains("warning"), "{}", ended.err);
        assert!(world.repo().join(name).exists());
    }
}

#[test]
fn what_jobs_print_and_plans_name_breaks_no_report() {
    let world = World::new();
    // All bytes there are, invalid UTF-8 among them, and what would end a CDATA section.
    let bytes = "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done;\
                 printf ']]></system-out><failure>&#0;&amp;\\357\\277\\277\\355\\240\\200\\n'";
    let mut named = sh("execute-named", "", &[]);
    let hostile = "no/\u{1}\u{8}\u{1b}]0;x\u{7}\u{fffe}\u{85}\r\n\"'<&>]]>";
    named.spec.command = plans::Command::Argv(vec![hostile.to_owned()]);
    let mut flaky =
        sh("execute-flaky", "[ -e \"$HOME/again\" ] || { : > \"$HOME/again\"; exit 1; }", &[]);
    flaky.spec.retries = 1;
    let mut stubborn = sh("execute-stubborn", "exit 1", &[]);
    stubborn.spec.retries = 2;
    let mut slow = sh("execute-slow", "sleep 60", &[]);
    slow.spec.timeout_secs = 1;
    let plan = world.plan(vec![
        sh("execute-bytes", &format!("{bytes}; exit 3"), &[]),
        sh(
            "execute-long",
            "head -c 10000000 /dev/zero | tr '\\0' 'x'; echo; echo end; exit 1",
            &[],
        ),
        sh("execute-many", "yes 'a <line> & more' | head -n 300000; exit 1", &[]),
        sh("execute-signal", "kill -9 $$", &[]),
        named,
        flaky,
        stubborn,
        slow,
        sh("execute-after", "true", &["execute-signal"]),
    ]);
    let file = world.path().join("report.xml");
    let junit = file.to_str().expect("UTF-8");
    world.run(&["apply", &plan, "--junit", junit]).code(1);
    assert!(std::fs::metadata(&file).expect("a report").len() < 1 << 20, "it holds whole logs");
    if !validate(&file) {
        return;
    }
    assert_eq!(xpath(&file, "string(/testsuites/@tests)"), "9");
    assert_eq!(xpath(&file, "string(/testsuites/@failures)"), "7");
    assert_eq!(xpath(&file, "count(//testcase[@name='execute-flaky']/flakyFailure)"), "1");
    assert_eq!(xpath(&file, "count(//testcase[@name='execute-stubborn']/rerunFailure)"), "2");
    assert_eq!(
        xpath(&file, "string(//testcase[@name='execute-after']/skipped/@message)"),
        "`execute-signal` failed"
    );
    let tail = xpath(&file, "string(//testcase[@name='execute-long']/system-out)");
    assert!(tail.ends_with("end"), "{}", tail.len());
    let tail = xpath(&file, "string(//testcase[@name='execute-bytes']/system-out)");
    assert!(tail.contains("]]></system-out><failure>&#0;&amp;"), "{tail}");
}

#[test]
fn a_run_without_a_node_and_one_that_was_cancelled_fit_the_schema() {
    let world = World::new();
    let file = world.path().join("report.xml");
    let junit = file.to_str().expect("UTF-8");
    let empty = world.plan(Vec::new());
    world.run(&["apply", &empty, "--junit", junit]).code(0);
    validate(&file);
    let up = world.path().join("up");
    let script = format!("touch {}; sleep 60", up.display());
    let plan =
        world.plan(vec![sh("execute-a", &script, &[]), sh("execute-b", "true", &["execute-a"])]);
    let child = world.start(&["apply", &plan, "--junit", junit]);
    crate::harness::until(|| up.exists());
    world.run(&["cancel", "latest", "--reason", "a \"reason\" <with> & more"]).code(0);
    let ended = crate::harness::Ended::of(child.wait_with_output().expect("ends"));
    ended.code(130);
    validate(&file);
}
