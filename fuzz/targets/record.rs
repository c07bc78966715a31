//! Any bytes as a record: what is read is written and read again the same, and becomes every form of report.

#![no_main]

use executor::{record::Record, report::Report};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Ok(record) = Record::from_json(text) else { return };
    assert_eq!(Record::from_json(record.to_json().as_bytes()).expect("a record"), record);
    let report = Report::new(record, None, "/nonexistent".into());
    drop((report.markdown(), report.trace(), report.html()));
});
