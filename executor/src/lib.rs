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
//! [`reporters`], the commands. The **machine** half makes one attempt of one node happen
//! somewhere: [`attempt`] (what is asked and answered), [`drive`], [`placements`], [`runtimes`],
//! [`supervise`], [`source`]; what they write of a job's output goes through `redact`.
//!
//! Knows no lane, glob, target or base commit: whatever it needs is in the plan.

pub mod artifacts;
pub mod attempt;
mod batch;
pub mod cli;
pub mod clock;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod control;
pub mod directory;
pub mod dispatch;
pub mod drive;
pub mod error;
pub mod event;
pub mod exit_code;
pub mod fault;
pub mod files;
pub mod guest_command;
pub mod inherited;
pub mod intent;
pub mod journal;
pub mod ledger;
pub mod locks;
pub mod outcome;
pub mod placements;
pub mod policy;
pub mod record;
mod redact;
pub mod report;
pub mod reporters;
pub mod repository;
pub mod runtimes;
pub mod schedule;
pub mod secrets;
pub mod signals;
pub mod source;
pub mod ssh;
pub mod state;
pub mod state_registry;
pub mod supervise;
pub mod text;
pub mod trust;
pub mod verbosity;
pub mod word_limits;
pub mod workers;
