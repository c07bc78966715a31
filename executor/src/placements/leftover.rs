//! Things that runs left on a machine.

/// Something of a run that is still on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// The run it belongs to.
    pub run: String,
    /// What [`crate::placements::Leftovers::remove_leftover`] or the engine takes to find it.
    pub name: String,
    /// Whether somebody still answers for it: its run is locked, or its lease runs.
    pub in_use: bool,
}

/// What a leftover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// A supervised job and its state directory.
    Job,
    /// A process with the cookie of a job whose supervisor is gone.
    Process,
    /// A source tree that no run uses.
    Tree,
    /// An Incus instance.
    Instance,
    /// A Tart virtual machine.
    VirtualMachine,
}
