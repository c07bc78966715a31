//! Runs a plan on machines and keeps the record.

mod artifacts;
pub mod attempt;
pub mod command_line;
pub mod control;
pub mod directory;
pub mod fault;
pub mod guest_command;
pub mod intent;
pub mod outcome;
pub mod placements;
pub mod runtimes;
pub mod schedule;
pub mod source;
pub mod supervise;
