//! What continuous integration consists of: `forge-lanes.toml` and `catalog.toml`, read into a
//! [`Catalog`] or refused with every problem at once.
//!
//! ```text
//! text ──> TOML tree ──> Manifest, CatalogFile ──> Catalog ──> (planner)
//!          toml          decode: types and keys     load: meaning
//!              └──────────────┴──────────────────────┴──> Diagnostics
//! ```
//!
//! - [`load`] takes [`Files`] (the planned tree; this crate opens nothing itself) and returns the
//!   [`Catalog`]: [`Lane`]s in manifest order, [`Target`]s, [`Job`]s with their complete
//!   [`plans::JobSpec`], the [`Prepare`] work and [`HostSetup`]s they need, and [`Rules`]. A
//!   `JobSpec` is built here and nowhere else.
//! - Everything has an index: `catalog[lane]`, `catalog[job]`; [`Catalog::jobs_of`] and
//!   [`Catalog::job_filter`] walk from lane to job.
//! - Globs are interned: a [`PathFilter`] holds [`GlobUse`]s, [`Catalog::globs`] is the index over
//!   all of them ([`GlobIndex::matches`]: which globs match this path?), [`Catalog::owners`] says
//!   who uses a glob.
//! - [`Catalog::definitions`] compares what a lane runs between two trees, whatever the files look
//!   like.
//! - [`Diagnostics`] render for people ([`Diagnostics::render`]) and give positions to machines.
//! - [`InvariantsFile`] and [`ScenarioFile`] are read with [`read_invariants`] and
//!   [`read_scenario`]; [`schema`] makes the JSON Schemas of all four files.
//!
//! It knows no git, no change and no plan around a job.

mod bounds;
mod catalog;
pub mod catalog_file;
pub mod codes;
mod context;
mod declarations;
mod decode;
mod diagnostic;
mod filter_index;
mod forms;
mod groups;
mod idle;
mod invariants_file;
pub mod job_file;
mod lane_trigger;
mod lanes_of;
mod load;
pub mod manifest;
mod matrix;
mod names;
mod needs_of;
mod order;
mod path_sets;
mod prepare;
mod read;
mod resolve;
mod scenario_file;
mod schema;
mod source;
mod targets_of;

pub use catalog::{
    CacheUse, Catalog, Definition, Derived, FilesNeeded, FilterText, GlobOwner, GlobUse, HostSetup,
    HostSetupIndex, InputUses, Inputs, Job, JobIndex, JobOwner, Lane, LaneIndex, LockUse,
    PackageKind, PathFilter, Payload, Prepare, PrepareIndex, PrepareUse, Rules, ShardFiles,
    SharedEntry, StagedLinux, Target, TargetIndex, Via, Work,
};
pub use declarations::{Declaration, DeclarationKind, Declarations};
pub use decode::{Named, TableAt};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Level, Style, render_one};
pub use filter_index::{GlobId, GlobIndex};
pub use idle::Idle;
pub use invariants_file::{InvariantsFile, LintLevel};
pub use lane_trigger::LaneTrigger;
pub use load::load;
pub use manifest::UnmatchedPaths;
pub use plans::glob;
pub use read::{FileError, Files, likely_default_branch, read_invariants, read_scenario};
pub use scenario_file::{ScenarioChange, ScenarioFile, TriggerWord};
pub use schema::{SchemaOf, schema};
pub use source::{At, Position, SourceId, Sources, Span};
