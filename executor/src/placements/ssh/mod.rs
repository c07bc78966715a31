//! A host as a machine: jobs under its pushed supervisor, sources and outputs there.
//!
//! How it is reached is [`crate::ssh`]'s; nothing here decides how a job ended.

mod collect;
mod commands;
mod examine;
mod jobs;
mod machine;
mod remote;
mod removals;
mod workspace;

pub use machine::{RemoteSsh, Sources};
