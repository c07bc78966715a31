//! A run: what starts when, what is written down before it happens, and what came of it. How one attempt is made on a
//! machine is [`crate::drive`]'s; what people see, [`crate::reporters`]'s.

pub mod clock;
pub mod dispatch;
pub mod event;
pub mod follow;
pub mod journal;
pub mod ledger;
pub mod outcome;
pub mod record;
pub mod schedule;
pub mod state;
pub mod state_registry;
pub mod workers;
