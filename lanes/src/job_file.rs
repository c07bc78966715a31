//! A job as people write it: in a target of the catalog, in a base, or as a lane's own command.
//!
//! Types and keys only; what the values mean together is decided in `resolve`.

use std::{borrow::Cow, num::NonZeroU8};

use plans::{CacheSave, Checkout, FailedOutcome, Reuse, RunIf};

use crate::{
    bounds::{MOST_GRACE, MOST_RETRIES, MOST_SECONDS},
    decode::{Decode, Named, Reader, Tagged, Value, shared_keys, tables, tagged, word},
    forms,
    manifest::InputsFile,
    source::At,
};

shared_keys! {
    /// What a base, a job of the catalog and a lane's own command may all say.
    pub struct Settings {
        /// Which machine: `"local"`, or `{ remote_ssh = { host = "NAME" } }` with a name of
        /// `[hosts]`. Absent: the base's; a job of the catalog needs one of the two, a lane's own
        /// command is local.
        pub placement: At<PlacementFile>,
        /// How isolated: `"host_process"`, `{ incus = { … } }` or `{ tart = { … } }`. Absent: the
        /// base's; a lane's own command is a host process.
        pub runtime: At<RuntimeFile>,
        /// Seconds after which the job is ended. Absent: the base's; a lane's own command has
        /// 14400.
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        pub timeout_secs: At<u64>,
        /// Seconds between TERM and KILL. Absent: the executor's site decides (5).
        #[schemars(range(max = MOST_GRACE))]
        pub grace_secs: At<u64>,
        /// Environment of the command. A base's variables stay unless the job sets them.
        #[schemars(extend("propertyNames" = forms::names_like(forms::VARIABLE)))]
        pub env: Named<At<String>>,
        /// Names of environment variables whose values the executor's side holds.
        #[schemars(with = "Option<Vec<forms::Variable>>")]
        pub secrets: Vec<At<String>>,
        /// Whether the job may write into its source tree. Absent: it may not; a lane's own
        /// command may.
        pub writable_workspace: At<bool>,
        /// The directory below the workspace in which the command starts. Absent: its root.
        #[schemars(with = "Option<forms::Below>")]
        pub working_dir: At<String>,
        /// The source tree: `"tree"` (the files), or `"clone"`, a real, shallow git checkout of
        /// head for jobs that call git. Absent: `"tree"`; for a lane's own command `"clone"`.
        pub checkout: At<CheckoutWord>,
        /// The files of the source tree that the job sees, and no other: globs, and path sets as
        /// `"@name"`. Absent: the base's, else every file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs: Vec<At<String>>,
        /// Globs of files that the job does not see, whatever `inputs` says. Without `inputs`: it
        /// sees every other file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs_exclude: Vec<At<String>>,
        /// Packages whose directories, and those of their workspace dependencies, the job sees,
        /// beside `inputs`.
        pub inputs_from: InputsFile,
        /// What the source tree leaves out: a name of `[snapshot_profiles]`. Absent: the staged
        /// target's, else the base's, else `full`.
        #[schemars(with = "Option<forms::Name>")]
        pub snapshot_profile: At<String>,
        /// Whether the machine's own Rust toolchain is visible in the guest.
        pub mount_host_rust_toolchain: At<bool>,
        /// The machine's Xcode to show in a Tart guest: an absolute path.
        #[schemars(with = "Option<forms::Absolute>")]
        pub mount_host_xcode: At<String>,
        /// Globs below the workspace: files kept after the job.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub artifacts: Vec<At<String>>,
        /// Names of the values that the job leaves, as `NAME=VALUE` lines in the file
        /// `$FORGE_LANES_OUTPUT`; jobs that need it find them as `NEEDS_JOB_NAME`.
        #[schemars(with = "Option<Vec<forms::OutputName>>")]
        pub outputs: Vec<At<String>>,
        /// How often a failed job is run again before its failure counts.
        #[schemars(range(max = MOST_RETRIES))]
        pub retries: At<u32>,
        /// After which failures it is run again. Absent: after any.
        pub retry_on: At<RetryOnFile>,
        /// Which failures do not count: `true`, or `{ exit_codes = [77] }`. They are recorded as
        /// failed and tolerated, the lane passes and dependants run. Absent: none; `false` takes
        /// the base's away.
        pub allow_failure: At<AllowFailureFile>,
        /// Directories that outlive the run, on the machine that runs the job. Absent: the base's;
        /// an empty list takes them away.
        pub caches: Vec<CacheFile>,
        /// Which earlier results of the same key stand for it: `"never"`, `"passed"` (at the first
        /// attempt) or `"passed_with_retries"`. Absent: `"never"`.
        pub reuse: At<ReuseWord>,
        /// Whether a result is kept although the job has secrets. Absent: it is not.
        pub reuse_with_secrets: At<bool>,
        /// Commands whose output is part of what decides the result: `[["rustc", "-Vv"]]`.
        #[schemars(with = "Option<Vec<forms::Words>>")]
        pub key_commands: Vec<At<Vec<At<String>>>>,
        /// After which ends of its `needs` it runs: `"passed"`, `"failed"` (one of them failed or was
        /// skipped because of a failure) or `"always"` (also when somebody ends the run). Absent:
        /// `"passed"`.
        pub run_if: At<RunIfWord>,
        /// A shell command run on the host in a writable copy of the source tree, before the jobs
        /// that ask for it; they see that copy. It sees the job's `inputs`; as
        /// `{ shell = "…", inputs = […] }` it has inputs of its own, and the job none. An empty
        /// text takes the base's away.
        pub host_setup_command: At<HostSetupFile>,
        /// Work whose output the job sees, done once for all jobs that ask for it.
        pub prepare: Vec<PrepareFile>,
    }
}

tables! {
    /// One command, run once, in one execution environment.
    pub struct JobFile {
        /// The job's id, unique over the catalog; its node is `execute-<id>`.
        #[schemars(with = "forms::Name")]
        pub id: At<String>,
        /// What the job is for, in a line. Absent: the id.
        pub description: Option<At<String>>,
        /// The name of the base the job starts from; every key of it may be overridden.
        #[schemars(with = "Option<forms::Name>")]
        pub base: Option<At<String>>,
        /// What runs. Exactly one of `command` and `staged_command` is needed.
        pub command: Option<At<CommandFile>>,
        /// The name of a wrapper in the `workspace_build` payload's `bin` directory; never run as
        /// root.
        #[schemars(with = "Option<forms::Wrapper>")]
        pub staged_command: Option<At<String>>,
        /// Jobs that must have ended before; they join the plan. `run_if` says how they must have
        /// ended: they must have passed. With `files` and `at`, artifacts of such a job appear in the
        /// workspace.
        pub needs: Option<Vec<NeedFile>>,
        /// One job for each combination of these values, at most 256: `features = ["std", "no_std"]`.
        /// Values are strings, integers, `true` or `false`.
        #[schemars(extend("propertyNames" = forms::names_like(forms::AXIS)))]
        pub matrix: Option<At<Named<At<Vec<At<MatrixValue>>>>>>,
        /// Combinations that are left out: each entry those with all of its values.
        pub matrix_exclude: Option<Vec<At<Named<At<MatrixValue>>>>>,
        /// What is added: values to the combinations that an entry fits, else a combination of its
        /// own.
        pub matrix_include: Option<Vec<At<Named<At<MatrixValue>>>>>,
        /// One job for each of so many parts of the work; `FORGE_LANES_SHARD` says which, from 1,
        /// `FORGE_LANES_SHARDS` of how many.
        #[schemars(range(min = 1, max = 256))]
        pub shards: Option<At<u32>>,
        /// With `shards`: globs of files of the tree that are divided among the parts; the file
        /// `$FORGE_LANES_SHARD_FILES` holds those of a part, a path on each line.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub shard_files: Option<At<Vec<At<String>>>>,
        /// With `shard_files`: the file of the tree that says how long each of them takes, as
        /// `executor history --durations` writes it. Absent: each takes as long as another.
        #[schemars(with = "Option<forms::Below>")]
        pub shard_durations: Option<At<String>>,
        /// Globs that narrow the lane's filter for this job. Absent: the target's.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub paths: Option<Vec<At<String>>>,
        /// Globs of paths that do not count for this job.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub exclude: Option<Vec<At<String>>>,
        ..
        /// Where and how it runs.
        settings: Settings
    }

    /// Work done once, whose output directory jobs see.
    pub struct PrepareFile {
        /// Its id; the node is `prepare-<id>`. The same id must always be the same work.
        pub id: At<String>,
        /// What it is for, in a line. Absent: the id.
        pub description: Option<At<String>>,
        /// What runs, as a process of the host in a writable copy of the source tree.
        pub command: At<CommandFile>,
        /// The directory below that copy which is the output.
        #[schemars(with = "forms::Below")]
        pub output: At<String>,
        /// Where jobs see it, read-only: an absolute path.
        #[schemars(with = "forms::Absolute")]
        pub mount: At<String>,
        /// The files of the source tree that it sees, as for jobs. Absent: every file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs: Option<Vec<At<String>>>,
        /// Globs of files that it does not see, whatever `inputs` says.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs_exclude: Option<Vec<At<String>>>,
        /// Seconds after which it is ended. Absent: 14400.
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        pub timeout_secs: Option<At<u64>>,
    }

    /// A named directory that outlives the run.
    pub struct CacheFile {
        /// What it is called; jobs that name the same one share it.
        #[schemars(with = "forms::Name")]
        pub name: At<String>,
        /// Where the job finds it: a path below the workspace, or an absolute one in a guest.
        #[schemars(with = "forms::CachePath")]
        pub path: At<String>,
        /// Globs of the files of the tree that its exact key is made of, and path sets as
        /// `"@name"`. Absent: none, and every cache of that name is an exact one.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub key: Option<Vec<At<String>>>,
        /// Whether the newest cache of the name will do where none has the exact key. Absent: it
        /// will not.
        pub fallback: Option<At<bool>>,
        /// The most MiB that are kept of it. Absent: the executor's site decides.
        #[schemars(range(min = 1))]
        pub max_mib: Option<At<u64>>,
        /// After which ends of the job it is kept: `"passed"`, `"always"` or `"never"`. Absent:
        /// `"passed"`.
        pub save: Option<At<CacheSaveWord>>,
        /// Whether only one job of a machine has it at a time; the others wait. Absent: each has a
        /// copy of its own.
        pub exclusive: Option<At<bool>>,
    }

    /// A host setup with inputs of its own.
    pub struct HostSetupTable {
        /// A script for `/bin/sh`.
        pub shell: At<String>,
        /// The files of the source tree that it sees, and with what it makes of them the jobs that
        /// ask for it. Absent: every file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs: Option<Vec<At<String>>>,
        /// Globs of files that it does not see, whatever `inputs` says.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs_exclude: Option<Vec<At<String>>>,
    }

    /// A job that must have passed before, and files of it.
    pub struct NeedTable {
        /// The job.
        #[schemars(with = "forms::Name")]
        pub job: At<String>,
        /// Globs over the paths of its artifacts.
        #[schemars(with = "Vec<forms::Glob>", length(min = 1))]
        pub files: Vec<At<String>>,
        /// The directory below the workspace in which they appear, each below the directory that all
        /// of `files` begin with; read-only unless the workspace is writable.
        #[schemars(with = "forms::Below")]
        pub at: At<String>,
    }

    /// Failures after which a job is run again; any other counts at once.
    pub struct RetryOnFile {
        /// Exit codes.
        #[schemars(with = "Option<Vec<NonZeroU8>>")]
        pub exit_codes: Option<Vec<At<u32>>>,
        /// `"failed"`, `"timed_out"`.
        pub outcomes: Option<Vec<At<FailedWord>>>,
    }

    /// Exit codes that do not count.
    pub struct AllowedCodesFile {
        /// The exit codes; any other, a signal and running out of time count.
        #[schemars(with = "Vec<NonZeroU8>", length(min = 1))]
        pub exit_codes: Vec<At<u32>>,
    }

    /// A remote placement.
    pub struct RemoteSshFile {
        /// A name of `[hosts]`.
        #[schemars(with = "forms::FilledName")]
        pub host: At<String>,
    }

    /// An Incus instance.
    pub struct IncusFile {
        /// The image: an alias or fingerprint the server knows.
        #[schemars(with = "forms::FilledEngine")]
        pub image: At<String>,
        /// The Incus project. Absent: the server's default project.
        #[schemars(with = "Option<forms::Engine>")]
        pub project: Option<At<String>>,
        /// Profiles applied in this order. Absent: the project's `default` profile.
        #[schemars(with = "Option<Vec<forms::Engine>>")]
        pub profiles: Option<Vec<At<String>>>,
        /// A virtual machine instead of a container.
        pub vm: Option<At<bool>>,
        /// A privileged container; the executor's site must allow it too.
        pub privileged: Option<At<bool>>,
        /// The numeric user the job runs as in the guest. Absent: the executor's own user id.
        pub user: Option<At<u32>>,
        /// The numeric group the job runs as in the guest. Absent: the executor's own group id.
        pub group: Option<At<u32>>,
        /// How many processors the instance may use. Absent: what its profiles say.
        #[schemars(range(min = 1))]
        pub cpu: Option<At<u32>>,
        /// How much memory it may use, in MiB. Absent: what its profiles say.
        #[schemars(range(min = 1))]
        pub memory_mib: Option<At<u32>>,
        /// How many processes it may have. Absent: what its profiles say.
        #[schemars(range(min = 1))]
        pub processes: Option<At<u32>>,
        /// How large its root disk may grow, in MiB. Absent: what its profiles say.
        #[schemars(range(min = 1))]
        pub disk_mib: Option<At<u32>>,
        /// Which part of an Incus cluster may hold it: `"any"`, `{ member = "NAME" }` or
        /// `{ group = "NAME" }`. Absent: wherever the server's scheduler says.
        pub cluster: Option<At<ClusterFile>>,
        /// Seconds until a command must run in it. Absent: 30, for a virtual machine 120.
        #[schemars(range(min = 1))]
        pub boot_timeout_secs: Option<At<u32>>,
    }

    /// A Tart virtual machine.
    pub struct TartFile {
        /// The image: a local virtual machine or an OCI image already pulled.
        #[schemars(with = "forms::FilledEngine")]
        pub image: At<String>,
        /// How many processors. Absent: the image's.
        #[schemars(range(min = 1))]
        pub cpu: Option<At<u32>>,
        /// How much memory, in MiB. Absent: the image's.
        #[schemars(range(min = 1))]
        pub memory_mib: Option<At<u32>>,
        /// How large a disk, in GB; it only grows. Absent: the image's.
        #[schemars(range(min = 1))]
        pub disk_gb: Option<At<u32>>,
        /// Seconds until the guest agent must answer. Absent: 180.
        #[schemars(range(min = 1))]
        pub boot_timeout_secs: Option<At<u32>>,
    }

    /// What runs, in exactly one of these forms.
    pub struct CommandTable {
        /// A program and its arguments, run without a shell.
        #[schemars(length(min = 1))]
        pub argv: Option<At<Vec<At<String>>>>,
        /// A script for `/bin/sh`.
        #[schemars(with = "Option<forms::Something>")]
        pub shell: Option<At<String>>,
        /// With `shell`: the guest's root runs it. Absent: it does not.
        pub as_root: Option<At<bool>>,
        /// Exactly one Rust test.
        pub cargo_test: Option<CargoTestFile>,
        /// A package's Rust tests.
        pub cargo_tests: Option<CargoTestsFile>,
    }

    /// Exactly one Rust test; matching none is a failure.
    pub struct CargoTestFile {
        /// The cargo package.
        #[schemars(with = "forms::Word")]
        pub package: At<String>,
        /// The test's whole path.
        #[schemars(with = "forms::Word")]
        pub test: At<String>,
    }

    /// A package's Rust tests; matching none is a failure.
    pub struct CargoTestsFile {
        /// The cargo package.
        #[schemars(with = "forms::Word")]
        pub package: At<String>,
        /// What test names must contain. Absent: every test.
        #[schemars(with = "Option<forms::Word>")]
        pub filter: Option<At<String>>,
        /// Only the library's unit tests. Absent: every kind.
        pub lib_only: Option<At<bool>>,
    }
}

/// A command: a list is a program and its arguments, a table says more.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum CommandFile {
    /// A program and its arguments, run without a shell.
    Argv(#[schemars(length(min = 1))] Vec<At<String>>),
    /// One of the other forms.
    Table(Box<CommandTable>),
}

impl Decode for CommandFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            Vec::decode(value, reader).map(Self::Argv)
        } else if value.get_ref().is_table() {
            CommandTable::decode(value, reader).map(|table| Self::Table(Box::new(table)))
        } else {
            reader.wrong_command(&value);
            None
        }
    }
}

/// A host setup: its script, or a table that says more.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum HostSetupFile {
    /// A script for `/bin/sh`; it sees the inputs of its job.
    Script(String),
    /// One with inputs of its own.
    Table(Box<HostSetupTable>),
}

impl HostSetupFile {
    /// Returns the script for `/bin/sh`.
    pub(crate) fn script(&self) -> &str {
        match self {
            Self::Script(script) => script,
            Self::Table(table) => &table.shell,
        }
    }
}

impl Decode for HostSetupFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            HostSetupTable::decode(value, reader).map(|table| Self::Table(Box::new(table)))
        } else {
            String::decode(value, reader).map(Self::Script)
        }
    }
}

/// A job that must have passed before: its id, or a table that also names files.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum NeedFile {
    /// The job.
    Job(#[schemars(with = "forms::Name")] At<String>),
    /// The job, and files of it.
    Files(NeedTable),
}

impl NeedFile {
    /// Returns the job.
    pub(crate) fn job(&self) -> &At<String> {
        match self {
            Self::Job(job) => job,
            Self::Files(table) => &table.job,
        }
    }
}

impl Decode for NeedFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            NeedTable::decode(value, reader).map(Self::Files)
        } else {
            At::decode(value, reader).map(Self::Job)
        }
    }
}

/// Which failures do not count.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum AllowFailureFile {
    /// All of them, or none.
    All(bool),
    /// These exit codes.
    Codes(AllowedCodesFile),
}

impl Decode for AllowFailureFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_table() {
            AllowedCodesFile::decode(value, reader).map(Self::Codes)
        } else {
            bool::decode(value, reader).map(Self::All)
        }
    }
}

/// The word for a [`FailedOutcome`].
#[derive(Debug, Clone, Copy)]
pub struct FailedWord(pub FailedOutcome);

impl Decode for FailedWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &FailedOutcome::ALL.map(|it| (it.as_str(), it))).map(Self)
    }
}

impl schemars::JsonSchema for FailedWord {
    fn schema_name() -> Cow<'static, str> {
        FailedOutcome::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FailedOutcome::json_schema(generator)
    }
}

/// The word for a [`RunIf`].
#[derive(Debug, Clone, Copy)]
pub struct RunIfWord(pub RunIf);

impl Decode for RunIfWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &RunIf::ALL.map(|it| (it.as_str(), it))).map(Self)
    }
}

impl schemars::JsonSchema for RunIfWord {
    fn schema_name() -> Cow<'static, str> {
        RunIf::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RunIf::json_schema(generator)
    }
}

/// The word for a [`CacheSave`].
#[derive(Debug, Clone, Copy)]
pub struct CacheSaveWord(pub CacheSave);

impl Decode for CacheSaveWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &CacheSave::ALL.map(|it| (it.as_str(), it))).map(Self)
    }
}

impl schemars::JsonSchema for CacheSaveWord {
    fn schema_name() -> Cow<'static, str> {
        CacheSave::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        CacheSave::json_schema(generator)
    }
}

/// The word for a [`Reuse`].
#[derive(Debug, Clone, Copy)]
pub struct ReuseWord(pub Reuse);

impl Decode for ReuseWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &Reuse::ALL.map(|it| (it.as_str(), it))).map(Self)
    }
}

impl schemars::JsonSchema for ReuseWord {
    fn schema_name() -> Cow<'static, str> {
        Reuse::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Reuse::json_schema(generator)
    }
}

/// A value of a matrix: a string; an integer, `true` and `false` are their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixValue(pub String);

impl Decode for MatrixValue {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        use toml::de::DeValue;
        match value.get_ref() {
            DeValue::Integer(_) => u64::decode(value, reader).map(|it| Self(it.to_string())),
            DeValue::Boolean(_) => bool::decode(value, reader).map(|it| Self(it.to_string())),
            _ => String::decode(value, reader).map(Self),
        }
    }
}

impl schemars::JsonSchema for MatrixValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MatrixValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

/// Which machine.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum PlacementFile {
    /// The machine the executor runs on.
    Local,
    /// A host of the catalog.
    RemoteSsh(Box<RemoteSshFile>),
}

impl Decode for PlacementFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match tagged(value, reader, "local", &[("remote_ssh", "{ host = \"NAME\" }")])? {
            Tagged::Word => Some(Self::Local),
            Tagged::Table(_, value) => {
                RemoteSshFile::decode(value, reader).map(|remote| Self::RemoteSsh(Box::new(remote)))
            }
        }
    }
}

/// What a guest cannot do without, as people are told it.
const IMAGE: &str = "{ image = \"NAME\" }";

/// How isolated.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum RuntimeFile {
    /// A plain process of the machine.
    HostProcess,
    /// A container or virtual machine of the machine's Incus.
    Incus(Box<IncusFile>),
    /// A virtual machine of the machine's Tart.
    Tart(Box<TartFile>),
}

impl Decode for RuntimeFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match tagged(value, reader, "host_process", &[("incus", IMAGE), ("tart", IMAGE)])? {
            Tagged::Word => Some(Self::HostProcess),
            Tagged::Table("incus", value) => {
                IncusFile::decode(value, reader).map(|incus| Self::Incus(Box::new(incus)))
            }
            Tagged::Table(_, value) => {
                TartFile::decode(value, reader).map(|tart| Self::Tart(Box::new(tart)))
            }
        }
    }
}

/// Which part of an Incus cluster.
#[derive(Debug, Clone, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum ClusterFile {
    /// Any member; the cluster's scheduler chooses.
    Any,
    /// Exactly this member.
    Member(At<String>),
    /// A member of this cluster group.
    Group(At<String>),
}

impl Decode for ClusterFile {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match tagged(value, reader, "any", &[("member", "\"NAME\""), ("group", "\"NAME\"")])? {
            Tagged::Word => Some(Self::Any),
            Tagged::Table("member", value) => At::decode(value, reader).map(Self::Member),
            Tagged::Table(_, value) => At::decode(value, reader).map(Self::Group),
        }
    }
}

/// The word for a [`Checkout`].
#[derive(Debug, Clone, Copy)]
pub struct CheckoutWord(pub Checkout);

impl Decode for CheckoutWord {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        word(value, reader, &[("tree", Checkout::Tree), ("clone", Checkout::Clone)]).map(Self)
    }
}

impl schemars::JsonSchema for CheckoutWord {
    fn schema_name() -> Cow<'static, str> {
        Checkout::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Checkout::json_schema(generator)
    }
}
