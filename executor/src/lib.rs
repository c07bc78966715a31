//! Runs a plan on machines and keeps the record.

pub mod attempt;
pub mod control;
pub mod fault;
pub mod intent;
pub mod placements;
pub mod runtimes;
pub mod source;
pub mod supervise;
