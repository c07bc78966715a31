//! The lanes' verdicts as lines, which are a run's answer. Lanes that ran nothing are counted
//! rather than listed once there are many: of 5,000 lanes a change often runs three.

use crate::{
    outcome::LaneOutcome,
    record::Record,
    text::{self, push},
};

/// Up to how many skipped lanes are listed by name.
const SKIPPED_LISTED: usize = 10;

/// Returns one line for each lane; `paint` colours an outcome's word.
#[must_use]
pub fn verdicts(record: &Record, paint: impl Fn(LaneOutcome) -> String) -> String {
    let skipped = record.lanes.iter().filter(|lane| lane.outcome == LaneOutcome::Skipped).count();
    let counted = skipped > SKIPPED_LISTED;
    let mut lines = String::new();
    for lane in &record.lanes {
        if !(counted && lane.outcome == LaneOutcome::Skipped) {
            let words = lane.in_words(&paint(lane.outcome));
            push!(lines, "{} · {words}\n", text::neutral(&lane.title));
        }
    }
    if counted {
        push!(lines, "{skipped} other lanes · {}\n", paint(LaneOutcome::Skipped));
    }
    lines
}
