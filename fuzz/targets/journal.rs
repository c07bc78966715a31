//! Any bytes as a journal: its whole entries, in the same number when read again, add up to a record or an error.

#![no_main]

use std::sync::LazyLock;

use executor::{journal, ledger::Ledger, record::{Record, RunOutcome}};
use plans::Plan;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let text = include_bytes!("../../plans/tests/documents/1.0.json");
    Plan::from_json(text).expect("a plan").0
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(replay) = journal::replay(bytes) else { return };
    let whole = &bytes[..usize::try_from(replay.length).expect("small")];
    assert_eq!(journal::replay(whole).expect("whole entries").entries, replay.entries);
    let lines: Vec<u8> = replay.entries.iter().flat_map(journal::Entry::to_line).collect();
    assert_eq!(journal::replay(&lines).expect("own entries").entries, replay.entries);
    let Ok(ledger) = Ledger::replay(&PLAN, replay.entries) else { return };
    let all = vec![true; PLAN.nodes().len()];
    let record = ledger.record(&PLAN, RunOutcome::Interrupted, &all);
    Record::from_json(record.to_json().as_bytes()).expect("a record");
});
