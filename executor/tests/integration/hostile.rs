//! Records and journals that somebody damaged, edited or wrote to do harm: an answer or an error,
//! no panic, nothing lost that is whole. The coverage-guided form of the same is in `fuzz/`.

use executor::{journal, ledger::Ledger, record::Record};
use plans::Plan;

use crate::harness::{World, sh};

const RECORDS: [&[u8]; 2] =
    [include_bytes!("../records/1.0.json"), include_bytes!("../records/1.0-early.json")];

/// Numbers that look random and are the same in every run (Marsaglia's xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).expect("small")
    }
}

/// Pieces that mean something in JSON, in times, in names.
const PIECES: [&[u8]; 18] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"4294967295",
    b"18446744073709551616",
    b"1e999",
    b"\\u0000",
    b"\0",
    b"\xff",
    b"../",
    b"\n",
    b"{\"run_started\":",
];

fn mutated(text: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=numbers.below(3) {
        let from = numbers.below(text.len() + 1);
        let to = (from + numbers.below(60)).min(text.len());
        let piece = text[from..to].to_vec();
        let at = numbers.below(text.len() + 1);
        match numbers.below(6) {
            0 => drop(text.drain(from..to)),
            1 => drop(text.splice(at..at, piece)),
            2 => drop(text.splice(at..at, PIECES[numbers.below(18)].iter().copied())),
            3 => drop(text.splice(from..to, PIECES[numbers.below(18)].iter().copied())),
            4 if at < text.len() => text[at] = u8::try_from(numbers.below(256)).expect("a byte"),
            _ => text.truncate(at),
        }
    }
    text
}

fn read_journal(plan: &Plan, bytes: &[u8]) {
    match journal::replay(bytes) {
        Ok(replay) => {
            let length = usize::try_from(replay.length).expect("small");
            assert!(length == 0 || bytes[length - 1] == b'\n');
            let again = journal::replay(&bytes[..length]).expect("what was whole is whole");
            assert_eq!(again.entries, replay.entries);
            if let Ok(ledger) = Ledger::replay(plan, replay.entries) {
                let all = vec![true; plan.nodes().len()];
                let record =
                    ledger.record(plan, executor::record::RunOutcome::Interrupted, &all).to_json();
                Record::from_json(record.as_bytes()).expect("what is written can be read");
            }
        }
        Err((line, why)) => assert!(line > 0 && !why.is_empty()),
    }
}

#[test]
fn any_bytes_are_a_record_or_an_error() {
    let mut numbers = Numbers(7);
    let read = |bytes: &[u8]| {
        if let Ok(record) = Record::from_json(bytes) {
            let again = Record::from_json(record.to_json().as_bytes()).expect("reads back");
            assert_eq!(again, record);
        }
    };
    for record in RECORDS {
        (0..record.len()).for_each(|end| read(&record[..end]));
        (0..3_000).for_each(|_| read(&mutated(record, &mut numbers)));
    }
}

/// A world with one finished run of three nodes: one passed, one failed, one skipped.
fn finished() -> (World, std::path::PathBuf, Vec<u8>) {
    let world = World::new();
    let mut again = sh("execute-b", "exit 1", &[]);
    again.spec.retries = 1;
    let plan = world.plan(vec![
        sh("execute-a", "echo a", &[]),
        again,
        sh("execute-c", "true", &["execute-b"]),
    ]);
    world.run(&["apply", &plan]).code(1);
    let run = world.runs().remove(0);
    std::fs::remove_file(run.join("record.json")).expect("removed");
    let journal = std::fs::read(run.join("journal.jsonl")).expect("a journal");
    (world, run, journal)
}

#[test]
fn any_bytes_are_a_journal_or_an_error() {
    let (_world, run, good) = finished();
    let text = std::fs::read(run.join("plan.json")).expect("a plan");
    let (plan, _) = Plan::from_json(&text).expect("a plan");
    let mut numbers = Numbers(11);
    (0..good.len()).for_each(|end| read_journal(&plan, &good[..end]));
    (0..6_000).for_each(|_| read_journal(&plan, &mutated(&good, &mut numbers)));
    let lines: Vec<&[u8]> = good.split_inclusive(|&byte| byte == b'\n').collect();
    for _ in 0..1_000 {
        // Whole lines, again and in another order.
        let some: Vec<u8> = (0..numbers.below(2 * lines.len()))
            .flat_map(|_| lines[numbers.below(lines.len())].to_vec())
            .collect();
        read_journal(&plan, &some);
    }
}

#[test]
fn a_run_with_a_damaged_journal_is_said_to_be_so_or_goes_on() {
    let (world, run, good) = finished();
    let path = run.join("journal.jsonl");
    let lines: Vec<&[u8]> = good.split_inclusive(|&byte| byte == b'\n').collect();
    let last = lines.len() - 1;
    let without_end: Vec<u8> = lines[..last].concat();
    let cut = &without_end[..without_end.len() - 5];
    let check = |what: &str, text: &[u8], code: i32, says: &str| {
        std::fs::write(&path, text).expect("written");
        let _ = std::fs::remove_file(run.join("record.json"));
        for command in ["status", "resume"] {
            let ended = world.run(&[command, "latest"]);
            let all = format!("{}{}", ended.out, ended.err);
            assert!(!all.contains("panicked"), "{what}: {command}: {all}");
            assert!(all.contains(says), "{what}: {command}: {all}");
            let expected = if command == "status" && code == 1 { 0 } else { code };
            assert_eq!(ended.code, Some(expected), "{what}: {command}: {all}");
        }
        world.run(&["list"]).code(0);
        world.run(&["gc", "--dry-run"]).code(0);
    };
    check("without its end", &without_end, 1, "");
    check("a torn tail", cut, 1, "");
    check("zeros at the end", &[cut, &[0; 4096][..]].concat(), 1, "");
    check("every line twice", &lines.iter().flat_map(|l| l.repeat(2)).collect::<Vec<_>>(), 1, "");
    let huge = format!("{{\"news\":\"{}\"}}\n", "x".repeat(10 << 20));
    let middle = [lines[0], huge.as_bytes(), &lines[1..].concat()].concat();
    check("a huge line that is no entry", &middle, 2, "damaged in line 2");
    check("zeros in the middle", &[lines[0], b"\0\0\0\n", lines[1]].concat(), 2, "in line 2");
    check("nothing", b"", 2, "does not begin with");
    check("only zeros", &[0; 512], 2, "does not begin with");
    let later = good.clone();
    let later = String::from_utf8(later).expect("UTF-8").replace("\"1.0\"", "\"1.9\"");
    check("a later version", later.as_bytes(), 2, "format version 1.9");
    let foreign = String::from_utf8(good.clone()).expect("UTF-8");
    let foreign = foreign.replace("execute-b", "../../../../execute-b");
    check("a node that is none", foreign.as_bytes(), 2, "not in the plan");
    let most = String::from_utf8(without_end.clone()).expect("UTF-8");
    let most = most.replace("\"attempt\":2", "\"attempt\":4294967295");
    let open = most.rfind("{\"attempt_ended\"").map_or(most.len(), |at| at);
    check("the largest attempt", &most.as_bytes()[..open], 1, "");
}

#[test]
fn other_things_in_the_state_directory_are_no_runs() {
    let (world, run, _) = finished();
    let runs = world.state_dir().join("runs");
    std::fs::write(runs.join("20990101-000000-000-ffffff"), "a file").expect("written");
    std::fs::create_dir(runs.join("20990101-000000-001-ffffff")).expect("made");
    std::fs::create_dir(runs.join("not a run")).expect("made");
    std::os::unix::fs::symlink("/nonexistent", runs.join("dangling")).expect("linked");
    std::fs::write(run.join("plan.json"), "no plan").expect("written");
    for arguments in [&["list"][..], &["history"], &["gc", "--dry-run"], &["gc"]] {
        let ended = world.run(arguments);
        let all = format!("{}{}", ended.out, ended.err);
        assert!(!all.contains("panicked"), "{arguments:?}: {all}");
        assert_eq!(ended.code, Some(0), "{arguments:?}: {all}");
    }
    assert!(run.exists(), "a run that cannot be read is not thrown away");
}

/// Gives an edited plan the digest it needs to be looked at.
fn redigest(edited: &str) -> String {
    match Plan::from_json(edited.as_bytes()) {
        Err(plans::PlanReadError::Digest { found, computed }) => edited.replace(&found, &computed),
        other => panic!("{other:?}"),
    }
}

/// How many nodes a large plan has here; `HOSTILE_NODES=1000000` is what a release build takes.
fn many() -> usize {
    std::env::var("HOSTILE_NODES").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

#[test]
fn large_plans_that_cannot_run_are_refused_and_name_why() {
    let world = World::new();
    let id = |number: usize| format!("execute-{number:07}");
    let last = many() - 1;
    let nodes = (0..=last)
        .map(|number| {
            let before = number.checked_sub(1).map(id);
            sh(&id(number), "true", &before.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .collect();
    let path = world.plan(nodes);
    let good = std::fs::read_to_string(&path).expect("a plan");
    let edge = |from: usize, to: usize| {
        let node = format!("\"id\": \"{}\",", id(from));
        let at = good.rfind(&node).expect("the node");
        let (head, tail) = good.split_at(at);
        let own = format!("\"depends_on\": [\n        \"{}\"", id(from.saturating_sub(1)));
        let none = "\"depends_on\": []".to_owned();
        let with = format!("\"depends_on\": [\n        \"{}\"", id(to));
        let tail = if from == 0 {
            tail.replacen(&none, &format!("{with}\n      ]"), 1)
        } else {
            tail.replacen(&own, &with, 1)
        };
        redigest(&format!("{head}{tail}"))
    };
    let refused = |what: &str, text: &str, code: i32, says: &str| {
        std::fs::write(&path, text).expect("written");
        for command in [&["apply", &path][..], &["doctor", &path], &["apply", &path, "--dry-run"]] {
            let ended = world.run(command).code(code);
            assert!(ended.err.contains(says), "{what}: {}", ended.err);
            assert!(ended.err.len() < 4_000, "{what}: the message is short");
            assert!(ended.out.is_empty(), "{what}: {}", ended.out);
        }
    };
    refused("a cycle of all nodes", &edge(0, last), 2, "more) -> ");
    refused("a node that waits for itself", &edge(last, last), 2, &format!("{0} -> {0}", id(last)));
    refused("a node that is not there", &edge(last, last + 9), 2, &id(last + 9));
    let huge = good.replacen("\"/bin/sh\"", &format!("\"{}\"", "x".repeat(10 << 20)), 1);
    let huge = huge.replacen("\"true\"", &format!("\"{}\"", "y".repeat(10 << 20)), 1);
    let huge = redigest(&huge);
    std::fs::write(&path, huge).expect("written");
    for command in [&["apply", &path][..], &["apply", &path, "--dry-run"], &["doctor", &path]] {
        let ended = world.run(command).code(if command[0] == "doctor" { 1 } else { 4 });
        let told = format!("{}{}", ended.out, ended.err);
        assert!(told.contains("a word of 10485760 bytes"), "{}", &told[..told.len().min(3_000)]);
        assert!(told.len() < 4_000, "ten megabytes are not shown: {}", &told[..3_000]);
    }
    let limit = world.path().join("executor.toml");
    std::fs::write(&limit, "[limits]\nnodes = 100\n").expect("written");
    std::fs::write(&path, &good).expect("written");
    let limit = limit.to_str().expect("UTF-8");
    let ended = world.run(&["apply", &path, "--config", limit]).code(4);
    assert!(ended.err.contains("this site allows 100"), "{}", ended.err);
    assert_eq!(
        world.run(&["apply", &path, "--only", &id(last)]).code(0).out,
        "check-lane · incomplete\n"
    );
}
