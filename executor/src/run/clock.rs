//! The time of day, in the one spelling of records, journals and events.

use jiff::{Timestamp, Unit};

/// Returns a time in RFC 3339, in UTC, to the second.
#[must_use]
pub fn of_system(time: std::time::SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.0}")
}

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
