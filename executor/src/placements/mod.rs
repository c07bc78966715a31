//! Where nodes run: one trait, [`Machine`], and one file for each placement.
//!
//! A machine runs short commands, supervises jobs, holds source trees, gives files back and keeps
//! the locks that hold over all executors. It knows no isolation: that is what
//! [`Runtime`](crate::runtimes::Runtime)s build on it. Paths on a machine are text (`&str`): it may
//! not be this one.

mod command;
mod job;
mod leftover;
mod local;
mod machine;
mod registry;
mod secret;
pub mod ssh;

pub use command::{Answer, ControlCommand, Flow};
pub use job::{Job, WorkspaceSource};
pub use leftover::{Leftover, LeftoverKind};
pub use machine::{
    Check, Commands, Jobs, Leftovers, Machine, MachineFacts, PlacedFiles, ShownWorkspace,
};
pub use registry::{Machines, MachinesConfig};
pub use secret::Secret;
