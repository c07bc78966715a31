//! Which combinations of placement and runtime are built: the one table.

use plans::{PlacementKind, RuntimeKind};

/// Returns whether the executor can run that runtime at that placement; what it cannot is refused
/// by name, before anything starts.
#[must_use]
pub fn is_built(placement: PlacementKind, runtime: RuntimeKind) -> bool {
    match (placement, runtime) {
        (
            PlacementKind::Local | PlacementKind::RemoteSsh,
            RuntimeKind::HostProcess | RuntimeKind::Incus | RuntimeKind::Tart,
        ) => true,
    }
}
