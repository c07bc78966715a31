//! Lanes, targets and jobs as trusted: every name resolved, every spec complete.
//!
//! A [`Catalog`] is built by [`load`](crate::load) alone. It says what can run and which globs
//! select it; it sees no change and selects nothing.

mod definition;
mod owners;
mod packages;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Index,
    sync::{Arc, OnceLock},
};

use plans::{
    AbsolutePath, ChangeStatus, GroupName, JobId, JobInputs, JobSpec, LaneId, NodeId, Output,
    ProfileName, RepoPath, RunIf, Shard, TargetId, WorkspacePath,
};

pub(crate) use self::owners::Owners;
pub use self::{
    definition::{Definition, FilterText},
    owners::GlobOwner,
    packages::{Derived, Inputs, LockUse, PackageKind, SharedEntry},
};
use crate::{
    declarations::Declarations,
    filter_index::{GlobId, GlobIndex},
    glob::GlobProblem,
    lane_trigger::LaneTrigger,
    manifest::UnmatchedPaths,
    read::Written,
    source::{At, Sources, Span},
};

macro_rules! indices {
    ($($(#[$doc:meta])* $name:ident => $field:ident: $item:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            pub(crate) fn new(position: usize) -> Self {
                Self(u32::try_from(position).expect("fewer than 2^32 things fit in memory"))
            }

            /// Returns the position in the catalog's list.
            #[must_use]
            pub fn position(self) -> usize {
                self.0 as usize
            }

            /// Returns the indices of a list of that many.
            pub fn all(count: usize) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
                (0..count).map(Self::new)
            }
        }

        impl Index<$name> for Catalog {
            type Output = $item;

            fn index(&self, index: $name) -> &$item {
                &self.$field[index.position()]
            }
        }
    )+};
}

indices! {
    /// A lane of one catalog.
    LaneIndex => lanes: Lane;
    /// A target of one catalog.
    TargetIndex => targets: Target;
    /// A job of one catalog; a lane's own command is one.
    JobIndex => jobs: Job;
    /// Prepare work of one catalog.
    PrepareIndex => prepares: Prepare;
    /// A host setup of one catalog.
    HostSetupIndex => host_setups: HostSetup;
}

/// What a lane runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The jobs of a target.
    Target(TargetIndex),
    /// Its own command.
    Command(JobIndex),
}

/// A row of CI that a reviewer sees.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its id.
    pub id: LaneId,
    /// What a forge shows.
    pub title: String,
    /// Which list it is in.
    pub trigger: LaneTrigger,
    /// What it runs.
    pub work: Work,
    /// Which changes select it; a filter without `paths` selects it always.
    pub filter: PathFilter,
    /// At most one node of the group runs at a time.
    pub concurrency_group: Option<GroupName>,
    /// Lanes that its nodes wait for, if they are selected too.
    pub after: Vec<LaneIndex>,
    /// The same work as people start it by hand.
    pub entrypoint: Option<String>,
    /// Packages whose directories become paths; resolved by the planner, see
    /// [`Catalog::add_derived_path`].
    pub inputs: Inputs,
    /// What the planner derived from `inputs` beside paths.
    pub derived: Derived,
    /// The value of its `id` key.
    pub span: Span,
}

/// A bundle of jobs that a lane selects.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its id.
    pub id: TargetId,
    /// What it is for.
    pub description: String,
    /// Its own jobs in file order, then those of `jobs_from`.
    pub jobs: Vec<JobIndex>,
    /// How many of `jobs` are its own.
    pub own_jobs: usize,
    /// The default filter of its jobs.
    pub filter: Option<PathFilter>,
    /// Present: a staged Linux target.
    pub staged_linux: Option<StagedLinux>,
    /// The value of its `id` key.
    pub span: Span,
}

/// How the payloads of a staged Linux target are made.
#[derive(Debug, Clone)]
pub struct StagedLinux {
    /// What the payloads' node ids start with, after `prepare-`.
    pub prepare_node_prefix: String,
    /// What the payloads are for.
    pub prepare_description: Option<String>,
    /// What the source trees of its jobs leave out; nothing: what job or base say.
    pub snapshot_profile: Option<ProfileName>,
    /// The nix system of the outputs.
    pub workspace_output_system: Option<String>,
    /// A recipe that runs the target's shadow by hand.
    pub shadow_recipe: Option<String>,
    /// What its payloads are built from; nothing: the whole tree.
    pub inputs: Option<JobInputs>,
    /// What is built before its jobs.
    pub payloads: Vec<Payload>,
}

/// A nix output that jobs see.
#[derive(Debug, Clone)]
pub struct Payload {
    /// `workspace_deps`, `workspace_build` or a name of the catalog's own.
    pub role: String,
    /// The output's name for people and caches.
    pub output_name: String,
    /// What `nix build` builds.
    pub nix_installable: String,
    /// Where jobs see it.
    pub mount: AbsolutePath,
}

/// What defines a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOwner {
    /// A target of the catalog.
    Target(TargetIndex),
    /// A lane with its own command; the job has the lane's id.
    Lane(LaneIndex),
}

/// One job, resolved.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id; the node is `execute-<id>`.
    pub id: JobId,
    /// The id it is called by together with the others that came of the same job; nothing: it is
    /// the job as written.
    pub group: Option<JobId>,
    /// The values of its combination, by name.
    pub matrix: BTreeMap<String, String>,
    /// Which part of how many it is.
    pub shard: Option<Shard>,
    /// The files that are divided among the parts; nothing: the job knows its part by its number.
    pub shard_files: Option<ShardFiles>,
    /// What defines it.
    pub owner: JobOwner,
    /// Everything needed to run it.
    pub spec: JobSpec,
    /// The globs of the files it sees, where they are written; nothing: it sees the whole tree.
    pub inputs: Option<InputUses>,
    /// The globs of the keys of its caches, where they are written, in the order of its spec.
    pub caches: Vec<CacheUse>,
    /// The packages that its inputs are derived from; the planner adds what they reach.
    pub inputs_from: Inputs,
    /// Jobs that must have ended before.
    pub needs: Vec<JobIndex>,
    /// After which of their ends it runs.
    pub run_if: RunIf,
    /// Artifacts of some of them that it finds in its workspace.
    pub files: Vec<FilesNeeded>,
    /// Prepare work whose output it sees, sorted by mount.
    pub prepares: Vec<PrepareUse>,
    /// The host setup whose copy of the source tree it sees.
    pub host_setup: Option<HostSetupIndex>,
    /// Its own filter, which narrows the lane's; nothing: see [`Catalog::job_filter`].
    pub filter: Option<PathFilter>,
    /// The value of its `id` key.
    pub span: Span,
}

/// What the parts of a job's work are parts of.
#[derive(Debug, Clone)]
pub struct ShardFiles {
    /// The globs, where they are written.
    pub globs: Vec<GlobUse>,
    /// The file of the tree that says how long each takes; nothing: all take the same time.
    pub durations: Option<At<WorkspacePath>>,
    /// The value of `shard_files`.
    pub span: Span,
    /// The files of this part, sorted; nothing until the planner has looked at the tree, see
    /// [`Catalog::set_part`].
    pub part: Option<Vec<RepoPath>>,
}

/// Artifacts of a needed job, in the workspace of the one that needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilesNeeded {
    /// The job whose artifacts they are.
    pub job: JobIndex,
    /// Globs over their paths, sorted.
    pub files: Vec<String>,
    /// Where they appear.
    pub at: WorkspacePath,
}

/// Prepare work as one job sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrepareUse {
    /// The work.
    pub work: PrepareIndex,
    /// Where the job sees its output, read-only.
    pub mount: AbsolutePath,
}

/// Work whose output jobs see, at one placement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prepare {
    /// The node's id, `prepare-…`, without the suffix of a second placement: where one plan holds
    /// several [`Prepare`]s of this id, the first by placement keeps it and the others append
    /// `-<host name>`.
    pub id: NodeId,
    /// Everything needed to run it.
    pub spec: JobSpec,
    /// What it leaves.
    pub output: Output,
}

/// A command on the host whose copy of the source tree jobs see. Its node is
/// `prepare-host-setup-<id>` with the smallest id among the plan's jobs that use it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostSetup {
    /// Everything needed to run it; its output is its workspace.
    pub spec: JobSpec,
    /// The packages of the jobs whose inputs it sees; nothing for one with inputs of its own.
    pub inputs_from: BTreeSet<(PackageKind, String)>,
}

/// The globs of a job's inputs, where they are written.
#[derive(Debug, Clone, Default)]
pub struct InputUses {
    /// Of the files it sees.
    pub paths: Vec<GlobUse>,
    /// Of the files it does not see all the same.
    pub exclude: Vec<GlobUse>,
}

/// What the exact key of a cache is made of, where it is written.
#[derive(Debug, Clone)]
pub struct CacheUse {
    /// Of the files of the tree.
    pub key: Vec<GlobUse>,
    /// The value of its `name`.
    pub span: Span,
}

impl InputUses {
    /// Returns the globs as a spec has them: sorted, so that their order in the file means nothing.
    #[must_use]
    pub fn texts(&self, globs: &GlobIndex) -> JobInputs {
        let texts = |uses: &[GlobUse]| {
            let mut texts: Vec<String> =
                uses.iter().map(|used| globs.text(used.glob).to_owned()).collect();
            texts.sort();
            texts.dedup();
            texts
        };
        JobInputs { paths: texts(&self.paths), exclude: texts(&self.exclude) }
    }
}

/// Which changes count for a lane, a target's jobs or a job.
#[derive(Debug, Clone, Default)]
pub struct PathFilter {
    /// A path counts when it matches one of these; nothing: every path, and a lane is selected
    /// even without a change.
    pub paths: Option<Vec<GlobUse>>,
    /// A path does not count when it matches one of these.
    pub exclude: Vec<GlobUse>,
    /// Only changes of these kinds count; nothing: every kind.
    pub statuses: Option<BTreeSet<ChangeStatus>>,
}

impl Lane {
    /// Returns the globs whose paths the lane covers, unless its `exclude` takes them away. A nightly
    /// lane covers what it names: "everything but" is no answer to who looks at a new file.
    pub fn covering(&self) -> impl Iterator<Item = &GlobUse> {
        let names = |used: &&GlobUse| {
            self.trigger == LaneTrigger::Branch || used.via != Some(Via::EveryPath)
        };
        self.filter.paths.iter().flatten().filter(names)
    }
}

/// A glob where it is written.
#[derive(Debug, Clone)]
pub struct GlobUse {
    /// Which glob.
    pub glob: GlobId,
    /// Where it is written; for a glob of a path set, there.
    pub span: Span,
    /// The path sets it came through, `outer -> … -> inner`, or the dependency chain of a derived
    /// path.
    pub via: Option<Via>,
}

/// How a glob came into a filter in which it is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Through these path sets.
    Sets(Arc<str>),
    /// Through this chain of dependencies.
    Dependencies(Arc<str>),
    /// It is every path, because `exclude` or `statuses` stands without `paths`.
    EveryPath,
}

/// What the manifest says beside its lanes.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Globs of paths that are known and run nothing.
    pub ignore: Vec<GlobUse>,
    /// Globs of paths that select every branch lane.
    pub run_all: Vec<GlobUse>,
    /// Globs of package manifests that `inputs` do not look at.
    pub ignore_manifests: Vec<crate::glob::Glob>,
    /// Where each of them is written.
    pub ignore_manifests_at: Vec<Span>,
    /// What a changed path selects that nothing covers.
    pub unmatched_paths: UnmatchedPaths,
    /// The branch changes are merged into, if the manifest names it.
    pub default_branch: Option<String>,
    /// When the nightly lanes run, `HH:MM` in UTC.
    pub nightly_schedule_utc: Option<String>,
}

/// Everything the files of one tree say, resolved.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) sources: Arc<Sources>,
    pub(crate) files: Vec<String>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) targets: Vec<Target>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) prepares: Vec<Prepare>,
    pub(crate) host_setups: Vec<HostSetup>,
    pub(crate) rules: Rules,
    pub(crate) profiles: BTreeMap<ProfileName, Vec<String>>,
    pub(crate) globs: GlobIndex,
    pub(crate) declarations: Declarations,
    pub(crate) written: Arc<Written>,
    pub(crate) names: Names,
    pub(crate) owners: OnceLock<Owners>,
}

/// Ids to indices.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) lanes: HashMap<LaneId, LaneIndex>,
    pub(crate) targets: HashMap<TargetId, TargetIndex>,
    pub(crate) jobs: HashMap<JobId, JobIndex>,
    pub(crate) groups: BTreeMap<String, Vec<JobIndex>>,
}

impl Catalog {
    /// Returns the lanes: branch, then nightly, each in the order of the files.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Returns the targets in the order of the files.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns the jobs: those of the catalog in the order of the files, then the lanes' own
    /// commands.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Returns every prepare work, sorted by id and placement.
    #[must_use]
    pub fn prepares(&self) -> &[Prepare] {
        &self.prepares
    }

    /// Returns every host setup.
    #[must_use]
    pub fn host_setups(&self) -> &[HostSetup] {
        &self.host_setups
    }

    /// Returns the indices of all lanes, in order.
    pub fn lane_indices(&self) -> impl DoubleEndedIterator<Item = LaneIndex> + ExactSizeIterator {
        LaneIndex::all(self.lanes.len())
    }

    /// Returns the lane of that id.
    #[must_use]
    pub fn lane(&self, id: &str) -> Option<LaneIndex> {
        self.names.lanes.get(id).copied()
    }

    /// Returns the target of that id.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<TargetIndex> {
        self.names.targets.get(id).copied()
    }

    /// Returns the job of that id; a lane's own command has the lane's id.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<JobIndex> {
        self.names.jobs.get(id).copied()
    }

    /// Returns the job of that id, or those that came of one with a matrix or shards.
    #[must_use]
    pub fn jobs_named(&self, id: &str) -> Option<Vec<JobIndex>> {
        let job = || self.job(id).map(|job| vec![job]);
        job().or_else(|| self.names.groups.get(id).cloned())
    }

    /// Says which files the part of a job's work is made of.
    pub fn set_part(&mut self, job: JobIndex, part: Vec<RepoPath>) {
        if let Some(files) = &mut self.jobs[job.position()].shard_files {
            files.part = Some(part);
        }
    }

    /// Returns every id that [`Self::jobs_named`] knows.
    pub fn job_ids(&self) -> impl Iterator<Item = &str> {
        let groups = self.names.groups.keys().map(String::as_str);
        self.jobs.iter().map(|job| job.id.as_str()).chain(groups)
    }

    /// Returns the jobs a lane runs, in order.
    #[must_use]
    pub fn jobs_of(&self, lane: LaneIndex) -> &[JobIndex] {
        match &self[lane].work {
            Work::Target(target) => &self[*target].jobs,
            Work::Command(job) => std::slice::from_ref(job),
        }
    }

    /// Returns the jobs, and every job they need, directly or not.
    #[must_use]
    pub fn with_needed(&self, jobs: impl IntoIterator<Item = JobIndex>) -> BTreeSet<JobIndex> {
        let mut all = BTreeSet::new();
        let mut open: Vec<JobIndex> = jobs.into_iter().collect();
        while let Some(job) = open.pop() {
            if all.insert(job) {
                open.extend(&self[job].needs);
            }
        }
        all
    }

    /// Returns the filter that narrows a lane's filter for one of its jobs: the job's own, else
    /// that of the lane's target; nothing: the job runs whenever the lane does. A job with
    /// `exclude` and no `paths` takes that from what its target counts.
    #[must_use]
    pub fn job_filter(&self, lane: LaneIndex, job: JobIndex) -> Option<Cow<'_, PathFilter>> {
        let of_target = match self[lane].work {
            Work::Target(target) => self[target].filter.as_ref(),
            Work::Command(_) => None,
        };
        match (&self[job].filter, of_target) {
            (Some(own @ PathFilter { paths: None, .. }), Some(of_target)) => {
                let exclude = [of_target.exclude.as_slice(), &own.exclude].concat();
                Some(Cow::Owned(PathFilter { exclude, ..of_target.clone() }))
            }
            (own, of_target) => own.as_ref().or(of_target).map(Cow::Borrowed),
        }
    }

    /// Returns what the manifest says beside its lanes.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns the snapshot profiles and their exclude globs; `full` is always there.
    #[must_use]
    pub fn snapshot_profiles(&self) -> &BTreeMap<ProfileName, Vec<String>> {
        &self.profiles
    }

    /// Returns what the files declare by name, used or not.
    #[must_use]
    pub fn declarations(&self) -> &Declarations {
        &self.declarations
    }

    /// Returns every distinct glob of lanes, targets, jobs, `ignore` and `run_all`.
    #[must_use]
    pub fn globs(&self) -> &GlobIndex {
        &self.globs
    }

    /// Returns the filters that use a glob.
    #[must_use]
    pub fn owners(&self, glob: GlobId) -> &[GlobOwner] {
        self.owners.get_or_init(|| Owners::of(self)).of_glob(glob)
    }

    /// Returns the paths of the planned tree that were read: manifest, catalog and what they
    /// include.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Returns the texts that spans point into, for rendering further findings about them.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Adds a path that the planner derived from a lane's `inputs`.
    ///
    /// # Errors
    ///
    /// [`GlobProblem`] when `glob` has a form that manifests may not have either.
    pub fn add_derived_path(
        &mut self,
        lane: LaneIndex,
        glob: &str,
        via: &str,
    ) -> Result<(), GlobProblem> {
        let glob = self.globs.add(glob)?;
        let lane = &mut self.lanes[lane.position()];
        let via = Some(Via::Dependencies(via.into()));
        lane.filter.paths.get_or_insert_default().push(GlobUse { glob, span: lane.span, via });
        self.owners = OnceLock::new();
        Ok(())
    }

    /// Adds a path that the planner derived from a job's `inputs_from`: the job sees it, and so does
    /// its host setup, unless that has inputs of its own.
    ///
    /// # Errors
    ///
    /// [`GlobProblem`] when `glob` has a form that catalogs may not have either.
    pub fn add_job_input(
        &mut self,
        job: JobIndex,
        glob: &str,
        via: &str,
    ) -> Result<(), GlobProblem> {
        let glob = self.globs.add(glob)?;
        let job = &mut self.jobs[job.position()];
        let via = Some(Via::Dependencies(via.into()));
        let uses = job.inputs.get_or_insert_default();
        uses.paths.push(GlobUse { glob, span: job.span, via });
        let inputs = uses.texts(&self.globs);
        if let Some(setup) = job.host_setup {
            let setup = &mut self.host_setups[setup.position()];
            if !setup.inputs_from.is_empty() {
                setup.spec.inputs = Some(inputs.clone());
            }
        }
        job.spec.inputs = Some(inputs);
        Ok(())
    }
}
