//! Any text as a scenario.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(found) = planner::scenario::Scenario::read("scenario.toml", text) {
        assert!(!found.render(lanes::Style::PLAIN).is_empty());
    }
});
