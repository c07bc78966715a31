//! A scenario as people write it: a described change that a golden plan answers.

use std::borrow::Cow;

use plans::{ChangeStatus, Trigger};

use crate::{
    decode::{Decode, Reader, Value, tables, word},
    forms,
    manifest::StatusWord,
    source::{At, Span},
};

tables! {
    /// `scenarios/NAME.toml`: changes, and in words what the plan for them shows.
    pub struct ScenarioFile {
        /// Which lanes are asked: `"branch"` or `"nightly"`. Absent: branch. `"manual"`, which is about
        /// flags and no changes, is refused.
        pub trigger: Option<At<TriggerWord>>,
        /// What the scenario shows.
        pub words: At<String>,
        /// The changed paths.
        pub changes: Option<Vec<At<ScenarioChange>>>,
    }

    /// A changed path and how it changed.
    pub struct ScenarioChangeTable {
        /// The path, from the repository's root.
        #[schemars(with = "forms::Below")]
        pub path: At<String>,
        /// How it changed. Absent: modified.
        pub status: Option<At<StatusWord>>,
    }
}

/// A changed path, alone or with how it changed.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum ScenarioChange {
    /// A modified path.
    Path(#[schemars(with = "forms::Below")] String),
    /// A path and how it changed.
    Table(ScenarioChangeTable),
}

impl At<ScenarioChange> {
    /// Returns the path and where it is written.
    #[must_use]
    pub fn path(&self) -> (&str, Span) {
        match &self.value {
            ScenarioChange::Path(path) => (path, self.span),
            ScenarioChange::Table(table) => (&table.path.value, table.path.span),
        }
    }

    /// Returns how the path changed.
    #[must_use]
    pub fn status(&self) -> ChangeStatus {
        match &self.value {
            ScenarioChange::Path(_) => ChangeStatus::Modified,
            ScenarioChange::Table(table) => {
                table.status.map_or(ChangeStatus::Modified, |status| status.value.0)
            }
        }
    }
}

impl Decode for ScenarioChange {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            ScenarioChangeTable::decode(value, reader).map(Self::Table)
        } else {
            String::decode(value, reader).map(Self::Path)
        }
    }
}

/// The word for a [`Trigger`].
#[derive(Debug, Clone, Copy)]
pub struct TriggerWord(pub Trigger);

impl Decode for TriggerWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let triggers = [Trigger::Branch, Trigger::Nightly, Trigger::Manual];
        word(value, reader, &triggers.map(|trigger| (trigger.as_str(), trigger))).map(Self)
    }
}

impl schemars::JsonSchema for TriggerWord {
    fn schema_name() -> Cow<'static, str> {
        Trigger::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Trigger::json_schema(generator)
    }
}
