//! What an engine is called with around a node's command, for people who look before they run it.

use plans::{Node, Runtime};

use super::{incus, tart};

/// Calls of an engine, each a line. What only a run knows stands in capitals for itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Before the job.
    pub before: Vec<String>,
    /// After it.
    pub after: Vec<String>,
}

/// Returns the calls of a node's engine; a plain process has none.
#[must_use]
pub fn calls(node: &Node) -> Calls {
    match &node.spec.runtime {
        Runtime::HostProcess => Calls::default(),
        Runtime::Incus(spec) => incus::calls(node, spec),
        Runtime::Tart(spec) => tart::calls(node, spec),
    }
}
