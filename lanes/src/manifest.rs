//! `forge-lanes.toml` as people write it: when things run.
//!
//! Types and keys only; [`crate::load`] decides what they mean.

use std::borrow::Cow;

use plans::ChangeStatus;

use crate::{
    decode::{Decode, Named, Reader, Value, tables, word},
    forms,
    job_file::{CommandFile, NeedFile, Settings},
    lane_trigger::LaneTrigger,
    source::At,
};

tables! {
    /// `forge-lanes.toml`: the lanes of a repository, and which changes select them.
    pub struct Manifest {
        /// The version of the format: 1. Included files may leave it out.
        #[schemars(extend("const" = 1))]
        pub version: Option<At<u64>>,
        /// Further manifest files: globs over the planned tree. Only in the main file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub include: Option<Vec<At<String>>>,
        /// Only in an included file: the directory below which its globs are.
        #[schemars(with = "Option<forms::Directory>")]
        pub under: Option<At<String>>,
        /// When the nightly lanes run, `HH:MM` in UTC; told to schedulers, nothing here runs a
        /// clock.
        #[schemars(with = "Option<forms::TimeOfDay>")]
        pub nightly_schedule_utc: Option<At<String>>,
        /// The branch changes are merged into. Absent: origin's HEAD, else `main`, else `master`.
        #[schemars(with = "Option<forms::Branch>")]
        pub default_branch: Option<At<String>>,
        /// What a changed path selects that no lane and no `ignore` covers: `"none"` or
        /// `"all_lanes"`. Absent: none.
        pub unmatched_paths: Option<At<UnmatchedPaths>>,
        /// Globs of paths that are known and run nothing.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub ignore: Option<Vec<At<String>>>,
        /// Globs: a change here selects every branch lane.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub run_all: Option<Vec<At<String>>>,
        /// Globs of package manifests that are none: templates, fixtures that are broken on purpose.
        /// `inputs` do not look at them.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub ignore_manifests: Option<Vec<At<String>>>,
        /// Named lists of globs, used as `"@name"`; they may hold each other.
        #[schemars(with = "Option<Named<Vec<forms::Glob>>>", extend("propertyNames" = forms::names_like(forms::NAME)))]
        pub path_sets: Option<Named<Vec<At<String>>>>,
        /// Lanes for changes.
        pub branch: Option<LaneList>,
        /// Lanes for the nightly run.
        pub nightly: Option<LaneList>,
    }

    /// The lanes of one trigger.
    pub struct LaneList {
        /// In the order people see them.
        pub lanes: Option<Vec<LaneFile>>,
    }

    /// A row of CI that a reviewer sees.
    pub struct LaneFile {
        /// The lane's id, unique over all lanes.
        #[schemars(with = "forms::Name")]
        pub id: At<String>,
        /// What a forge shows. Absent: the id.
        pub title: Option<At<String>>,
        /// The catalog target it runs. Exactly one of `target`, `staged_linux_target` and
        /// `command` is needed.
        #[schemars(with = "Option<forms::Name>")]
        pub target: Option<At<String>>,
        /// The same, and the target must be a staged Linux one.
        #[schemars(with = "Option<forms::Name>")]
        pub staged_linux_target: Option<At<String>>,
        /// The lane's own command: one job, which takes every key of a catalog job. Its defaults:
        /// a local host process in a writable clone, 14400 seconds.
        pub command: Option<At<CommandFile>>,
        /// The same work as people start it by hand; only shown.
        pub entrypoint: Option<At<String>>,
        /// Globs: the lane is selected when a changed path matches one of these. Absent: every
        /// path, where `exclude` or `statuses` is there; otherwise the lane is always selected.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub paths: Option<Vec<At<String>>>,
        /// Globs of paths that do not count, whatever `paths` says. Without `paths`: every other path
        /// does.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub exclude: Option<Vec<At<String>>>,
        /// Only changes of these kinds count. Absent: every kind. Without `paths`: of any path.
        pub statuses: Option<Vec<At<StatusWord>>>,
        /// As a table: packages whose directories, and those of their workspace dependencies, count
        /// as paths. As a list, with `command`: the files that the job sees.
        pub inputs: Option<LaneInputsFile>,
        /// At most one node of a group runs at a time.
        #[schemars(with = "Option<forms::Name>")]
        pub concurrency_group: Option<At<String>>,
        /// Lanes whose nodes must have finished before, if they are selected too.
        #[schemars(with = "Option<Vec<forms::Name>>")]
        pub after: Option<Vec<At<String>>>,
        /// With `command`: what the job is for. Absent: the title.
        pub description: Option<At<String>>,
        /// With `command`: the base the job starts from.
        #[schemars(with = "Option<forms::Name>")]
        pub base: Option<At<String>>,
        /// With `command`: jobs that must have passed before; they join the plan. With `files` and
        /// `at`, artifacts of such a job appear in the workspace.
        pub needs: Option<Vec<NeedFile>>,
        ..
        /// With `command`: where and how it runs.
        settings: Settings
    }

    /// Packages whose files a lane depends on, by the tool that builds them.
    pub struct InputsFile {
        /// Packages of Cargo workspaces, by the name in `Cargo.toml`.
        pub cargo: Option<Vec<At<String>>>,
        /// Packages of npm, pnpm, yarn and bun workspaces, by the name in `package.json`.
        pub npm: Option<Vec<At<String>>>,
        /// Go modules, by the module path in `go.mod`.
        pub go: Option<Vec<At<String>>>,
        /// Python projects of uv workspaces, by the name in `pyproject.toml`.
        pub uv: Option<Vec<At<String>>>,
        /// Projects of Gradle builds, by their path, such as `:app`.
        pub gradle: Option<Vec<At<String>>>,
        /// Maven modules, by `artifactId` or `groupId:artifactId`.
        pub maven: Option<Vec<At<String>>>,
        /// .NET projects, by the name of their project file.
        pub dotnet: Option<Vec<At<String>>>,
    }
}

impl Manifest {
    /// Returns the lanes of one trigger, in order.
    pub(crate) fn lanes_of(&self, trigger: LaneTrigger) -> impl Iterator<Item = &LaneFile> {
        let list = match trigger {
            LaneTrigger::Branch => self.branch.as_ref(),
            LaneTrigger::Nightly => self.nightly.as_ref(),
        };
        list.into_iter().flat_map(|list| list.lanes.iter().flatten())
    }
}

impl LaneFile {
    /// Returns the packages whose files select the lane.
    pub(crate) fn packages(&self) -> Option<&InputsFile> {
        match &self.inputs {
            Some(LaneInputsFile::Packages(packages)) => Some(packages),
            Some(LaneInputsFile::Files(_)) | None => None,
        }
    }

    /// Returns the globs of the files that the lane's own job sees.
    pub(crate) fn input_files(&self) -> Option<&[At<String>]> {
        match &self.inputs {
            Some(LaneInputsFile::Files(files)) => Some(files),
            Some(LaneInputsFile::Packages(_)) | None => None,
        }
    }
}

/// What a lane calls its inputs.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum LaneInputsFile {
    /// Packages whose files select the lane.
    Packages(Box<InputsFile>),
    /// The files that the lane's own job sees.
    Files(#[schemars(with = "Vec<forms::Glob>")] Vec<At<String>>),
}

impl Decode for LaneInputsFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            Vec::decode(value, reader).map(Self::Files)
        } else {
            InputsFile::decode(value, reader).map(|packages| Self::Packages(Box::new(packages)))
        }
    }
}

/// What a changed path selects that nothing covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum UnmatchedPaths {
    /// No lane.
    None,
    /// Every branch lane.
    AllLanes,
}

impl Decode for UnmatchedPaths {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &[("none", Self::None), ("all_lanes", Self::AllLanes)])
    }
}

/// The word for a [`ChangeStatus`].
#[derive(Debug, Clone, Copy)]
pub struct StatusWord(pub ChangeStatus);

impl Decode for StatusWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &ChangeStatus::ALL.map(|status| (status.as_str(), status))).map(Self)
    }
}

impl schemars::JsonSchema for StatusWord {
    fn schema_name() -> Cow<'static, str> {
        ChangeStatus::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ChangeStatus::json_schema(generator)
    }
}
