//! Chaos: what a run depends on is killed, cut or filled up at random instants, and nothing is lost.
//!
//! A short form runs with the other tests. The campaign runs for as many faults of each kind as it is told, by
//! `scripts/chaos`; `docs/chaos.md` holds its result. Everything random comes from one number, which a failure names.

mod check;
mod faults;
mod site;

use std::time::Instant;

use self::{faults::Kind, site::Chaos};
use crate::harness::Random;

/// What came of the faults of one kind.
#[derive(Debug, Default)]
struct Tally {
    faults: usize,
    runs: usize,
    jobs: usize,
    retried: usize,
    wrong: Vec<String>,
}

/// Runs plans and breaks things until there were as many faults of this kind, or the time is over.
#[expect(clippy::print_stderr, reason = "what is wrong is said at once")]
fn rounds(chaos: &Chaos, kind: Kind, wanted: usize, seed: u64, until: Instant) -> Tally {
    let mut tally = Tally::default();
    while tally.faults < wanted && Instant::now() < until {
        let seed = seed + tally.runs as u64;
        let mut random = Random::new(seed);
        let flavour = kind.flavour(&mut random);
        let run = chaos.disturbed(kind, flavour, wanted - tally.faults, &mut random);
        tally.runs += 1;
        tally.faults += run.faults;
        match chaos.check(&run) {
            Ok(checked) => {
                tally.jobs += checked.jobs;
                tally.retried += checked.retried;
            }
            Err(wrong) => {
                let kept = run.keep();
                chaos.clear(&run);
                let wrong = format!(
                    "{kind:?}, {flavour:?}, seed {seed}, kept in {kept}: {wrong}\nfaults: {}",
                    run.struck.join("; ")
                );
                eprintln!("{wrong}\n");
                tally.wrong.push(wrong);
            }
        }
    }
    tally
}

/// How many faults of each kind: `KIND=COUNT` words.
fn wishes(text: &str) -> Vec<(Kind, usize)> {
    text.split_whitespace()
        .map(|word| {
            let (kind, count) = word.split_once('=').expect("KIND=COUNT");
            let known = Kind::ALL.iter().find(|known| known.word() == kind);
            (*known.expect("a kind of fault"), count.parse().expect("a number"))
        })
        .collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[ignore = "takes hours: scripts/chaos runs it"]
#[expect(clippy::print_stdout, reason = "its table is what it is run for")]
fn campaign() {
    let wishes = wishes(&std::env::var("CHAOS").unwrap_or_default());
    let seed = variable("CHAOS_SEED").unwrap_or(1);
    let minutes = variable("CHAOS_MINUTES").unwrap_or(60);
    let Some(chaos) = Chaos::new("chaos", &["sshd", "netns", "incus"]) else { return };
    println!("| what | faults | runs | jobs | attempts made again | wrong | minutes |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut wrong = Vec::new();
    for (kind, wanted) in wishes {
        let began = Instant::now();
        let until = began + std::time::Duration::from_secs(60 * minutes);
        let tally = rounds(&chaos, kind, wanted, seed * 1_000_000, until);
        let Tally { faults, runs, jobs, retried, wrong: found } = tally;
        println!(
            "| {} | {faults} | {runs} | {jobs} | {retried} | {} | {} |",
            kind.title(),
            found.len(),
            began.elapsed().as_secs().div_ceil(60)
        );
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn executors_clients_and_supervisors_are_killed_at_random_and_nothing_is_lost() {
    let Some(chaos) = Chaos::new("chaos-short", &["sshd"]) else { return };
    let seed = variable("CHAOS_SEED").unwrap_or(1);
    let until = Instant::now() + std::time::Duration::from_secs(12);
    for (kind, faults) in
        [(Kind::Executor, 8), (Kind::Master, 2), (Kind::Client, 2), (Kind::Supervisor, 2)]
    {
        let tally = rounds(&chaos, kind, faults, seed, until);
        assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n\n"));
    }
}
