//! Any bytes as a plan: what is read writes the same digest again.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    match plans::Plan::from_json(text) {
        Ok((plan, _)) => drop(plans::Plan::from_json(plan.to_json().json.as_bytes()).expect("a plan")),
        Err(error) => assert!(!error.help().is_empty()),
    }
});
