//! Runs a plan on machines and keeps the record.
//!
//! ```text
//! plan.json ─> prepare ─> schedule <─> dispatch ─> drive ─> runtimes × placements
//!              (refuse)   (pure)       │  ▲
//!                                      ▼  │ messages
//!                            journal ─> ledger ─> record, reporters
//! ```
//!
//! Two halves. The **run** decides what starts when, writes everything down before it happens and
//! tells it: [`schedule`], [`dispatch`], [`journal`], [`ledger`], [`record`], [`state`],
//! [`reporters`], the commands; [`results`] is what earlier runs proved, [`caches`] what they left. The **machine** half makes one attempt of one node happen
//! somewhere: [`attempt`] (what is asked and answered), [`drive`], [`placements`], [`runtimes`],
//! [`supervise`], [`source`]; what they write of a job's output goes through `redact`.
//!
//! [`site`] is what the caller and the machine say; [`files`] what is true of files here.
//!
//! Knows no lane, glob, target or base commit: whatever it needs is in the plan.

pub mod artifacts;
pub mod attempt;
mod batch;
pub mod caches;
pub mod cli;
pub mod command_line;
pub mod commands;
pub mod control;
pub mod drive;
pub mod error;
pub mod exit_code;
pub mod fault;
pub mod files;
pub mod guest_command;
pub mod intent;
pub mod locks;
pub mod placements;
mod redact;
pub mod report;
pub mod reporters;
pub mod results;
pub mod run;
pub mod runtimes;
pub mod site;
pub mod source;
pub mod ssh;
pub mod supervise;
pub mod text;
pub mod word_limits;

pub use files::{directory, repository, trust};
pub use run::{
    clock, dispatch, event, follow, journal, ledger, outcome, record, schedule, state,
    state_registry, workers,
};
pub use site::{config, inherited, policy, secrets, signals, verbosity};
