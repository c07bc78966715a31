//! The time of day, in the one spelling of records, journals and events.

use jiff::{Timestamp, Unit};

/// Returns the present time in RFC 3339, in UTC, to the millisecond.
#[must_use]
pub fn now() -> String {
    let now = Timestamp::now();
    let now = now.round(Unit::Millisecond).unwrap_or(now);
    format!("{now:.3}")
}
