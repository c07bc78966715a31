//! `catalog.toml` as people write it: what can run.
//!
//! Types and keys only; [`crate::load`] decides what they mean.

use crate::{
    decode::{Named, tables},
    forms,
    job_file::{JobFile, Settings},
    source::At,
};

tables! {
    /// `catalog.toml`: the targets of a repository, their jobs, and the machines they run on.
    pub struct CatalogFile {
        /// The version of the format: 1. Included files may leave it out.
        #[schemars(extend("const" = 1))]
        pub version: Option<At<u64>>,
        /// Further catalog files: globs over the planned tree. Only in the main file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub include: Option<Vec<At<String>>>,
        /// Only in an included file: the directory below which its globs are.
        #[schemars(with = "Option<forms::Directory>")]
        pub under: Option<At<String>>,
        /// Machines reached over ssh, by name.
        #[schemars(extend("propertyNames" = forms::names_like(forms::NAME)))]
        pub hosts: Option<Named<HostFile>>,
        /// What jobs start from, by name. `remote_incus`, `host_local` and `local_tart` are built
        /// in; a base of the same name replaces one.
        #[schemars(extend("propertyNames" = forms::names_like(forms::NAME)))]
        pub bases: Option<Named<BaseFile>>,
        /// What source trees leave out, by name. `full` is built in and leaves out nothing; a
        /// profile of the same name replaces it.
        #[schemars(extend("propertyNames" = forms::names_like(forms::NAME)))]
        pub snapshot_profiles: Option<Named<ProfileFile>>,
        /// Bundles of jobs that lanes select.
        pub targets: Option<Vec<TargetFile>>,
    }

    /// A machine reached over ssh.
    pub struct HostFile {
        /// What ssh connects to: an alias of `ssh_config`, `user@host`, or `ssh://user@host:port`.
        #[schemars(with = "forms::SshDestination")]
        pub ssh: At<String>,
        /// The absolute directory there under which source trees and runs live. Absent:
        /// `/var/tmp/forge-lanes`.
        #[schemars(with = "Option<forms::Absolute>")]
        pub work_dir: Option<At<String>>,
        /// How many nodes may run there at once, over all executors. Absent: 1.
        #[schemars(range(min = 1))]
        pub max_jobs: Option<At<u32>>,
    }

    /// What a job starts from.
    pub struct BaseFile {
        ..
        /// Values that its jobs have unless they say otherwise.
        settings: Settings
    }

    /// What a source tree leaves out.
    pub struct ProfileFile {
        /// Globs of the paths left out.
        #[schemars(with = "Vec<forms::Glob>")]
        pub exclude: Vec<At<String>>,
    }

    /// A bundle of jobs that a lane selects.
    pub struct TargetFile {
        /// The target's id, unique over the catalog.
        #[schemars(with = "forms::Name")]
        pub id: At<String>,
        /// What the target is for, in a line. Absent: the id.
        pub description: Option<At<String>>,
        /// Globs: the default filter of its jobs.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub paths: Option<Vec<At<String>>>,
        /// Globs of paths that do not count for its jobs.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub exclude: Option<Vec<At<String>>>,
        /// Jobs of other targets that it runs too, by job id.
        #[schemars(with = "Option<Vec<forms::Name>>", extend("uniqueItems" = true))]
        pub jobs_from: Option<Vec<At<String>>>,
        /// Present: a staged Linux target, whose jobs see prebuilt payloads.
        pub staged_linux: Option<StagedLinuxFile>,
        /// Jobs of its own.
        pub jobs: Option<Vec<JobFile>>,
    }

    /// How the payloads of a staged Linux target are made.
    pub struct StagedLinuxFile {
        /// What the source trees of its jobs leave out: a name of `[snapshot_profiles]`. Absent:
        /// what the job or its base says, else `full`.
        #[schemars(with = "Option<forms::Name>")]
        pub snapshot_profile: Option<At<String>>,
        /// The files of the source tree that its payloads are built from, as for jobs; its jobs
        /// say for themselves what they see. Absent: every file.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs: Option<Vec<At<String>>>,
        /// Globs of files that its payloads do not see, whatever `inputs` says.
        #[schemars(with = "Option<Vec<forms::Glob>>")]
        pub inputs_exclude: Option<Vec<At<String>>>,
        /// The payloads' nodes are `prepare-<prefix>-<role>`. Targets that share a prefix share
        /// the nodes.
        pub prepare_node_prefix: At<String>,
        /// What the payloads are for, in a line. Absent: the target's description.
        pub prepare_description: Option<At<String>>,
        /// The nix system of the outputs; only shown.
        pub workspace_output_system: Option<At<String>>,
        /// A recipe that runs the target's shadow by hand; only shown.
        pub shadow_recipe: Option<At<String>>,
        /// What is built before its jobs.
        pub payloads: Vec<PayloadFile>,
    }

    /// A nix output that jobs see.
    pub struct PayloadFile {
        /// `workspace_deps`, `workspace_build`, or a name of your own together with `mount`.
        #[schemars(with = "forms::Role")]
        pub role: At<String>,
        /// The output's name for people and caches.
        #[schemars(with = "forms::Word")]
        pub output_name: At<String>,
        /// What `nix build` builds.
        #[schemars(with = "forms::Word")]
        pub nix_installable: At<String>,
        /// Where jobs see it, read-only. Absent: `/staged/linux-rust/workspace-deps` or
        /// `…/workspace-build`, by its role.
        #[schemars(with = "Option<forms::Absolute>")]
        pub mount: Option<At<String>>,
    }
}
