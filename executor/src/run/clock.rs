//! The time of day, in the one spelling of records, journals and events.

use jiff::{Timestamp, Unit};

/// Returns the present time in RFC 3339, in UTC, to the millisecond.
#[must_use]
pub fn now() -> String {
    at(Timestamp::now())
}

/// Returns another time the same way.
#[must_use]
pub fn at(time: Timestamp) -> String {
    let time = time.round(Unit::Millisecond).unwrap_or(time);
    format!("{time:.3}")
}
