//! Which list of the manifest a lane is in.

/// Which list a lane is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneTrigger {
    /// `[[branch.lanes]]`.
    Branch,
    /// `[[nightly.lanes]]`.
    Nightly,
}

impl LaneTrigger {
    /// Returns the word used in files and plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Nightly => "nightly",
        }
    }
}
