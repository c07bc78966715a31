//! What every engine with guests shares: a job in a guest, and the scripts it is started by.
//!
//! An engine keeps what is its own: how a guest is made, reached, inspected and removed.

mod job;
mod script;

pub(super) use job::{GuestJob, GuestStart, GuestTransport};
pub(super) use script::{command, exports, file};
