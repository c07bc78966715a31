//! How isolated nodes run: one trait, [`Runtime`], with four verbs, and one file for each runtime.
//!
//! A runtime is written against [`Machine`](crate::placements::Machine) and never asks which
//! placement it is: N placements and M runtimes are N + M files. A value is made for one attempt and
//! keeps its own state between the verbs; [`crate::drive`] calls them in order and always ends with `cleanup`.

mod guest;
mod host_process;
pub mod incus;
mod runtime;
mod shard;
pub mod shown;
mod table;
pub mod tart;
mod work;
mod workspace;

use crate::{attempt::AttemptRequest, fault::Fault};

pub use runtime::Runtime;
pub use table::is_built;
pub use work::Work;

/// Makes the runtime of a node.
///
/// # Errors
///
/// When it is not built; [`is_built`] says so before anything starts.
pub fn open(request: &AttemptRequest) -> Result<Box<dyn Runtime>, Fault> {
    match &request.node.spec.runtime {
        plans::Runtime::HostProcess => Ok(Box::new(host_process::HostProcess::default())),
        plans::Runtime::Incus(spec) => Ok(Box::new(incus::Incus::new(spec))),
        plans::Runtime::Tart(spec) => Ok(Box::new(tart::Tart::new(spec))),
    }
}
