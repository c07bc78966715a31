//! A scenario: a change described by hand, for plans that people review beforehand.

use lanes::{Diagnostics, ScenarioChange};
use plans::{Change, ChangeStatus, RepoPath, Trigger};

/// A scenario as trusted.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Whose lanes.
    pub trigger: Trigger,
    /// What it shows.
    pub words: String,
    /// The changes.
    pub changes: Vec<Change>,
}

impl Scenario {
    /// Reads a scenario file; `name` is what diagnostics call it.
    ///
    /// # Errors
    ///
    /// Every problem of the file.
    ///
    /// # Panics
    ///
    /// Never: the reader has checked the paths.
    pub fn read(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let (file, _) = lanes::read_scenario(name, text)?;
        let change = |change: &ScenarioChange| {
            let (path, status) = match change {
                ScenarioChange::Path(path) => (path.as_str(), ChangeStatus::Modified),
                ScenarioChange::Table(table) => (
                    table.path.value.as_str(),
                    table.status.as_ref().map_or(ChangeStatus::Modified, |word| word.value.0),
                ),
            };
            let path = RepoPath::new(path.as_bytes()).expect("the reader checks paths");
            Change { path, status }
        };
        Ok(Self {
            trigger: file.trigger.map_or(Trigger::Branch, |word| word.value.0),
            words: file.words.value,
            changes: file.changes.iter().flatten().map(|at| change(&at.value)).collect(),
        })
    }
}
