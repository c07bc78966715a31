//! The targets of the catalog and every job: names first, then specs.

use std::collections::{BTreeMap, HashMap};

use plans::{AbsolutePath, JobId, Placement, ProfileName, RunIf, Shard, TargetId, WorkspacePath};

use crate::{
    catalog::{
        FilesNeeded, Job, JobIndex, JobOwner, PathFilter, Payload, PrepareUse, ShardFiles,
        StagedLinux, Target, TargetIndex,
    },
    catalog_file::{CatalogFile, StagedLinuxFile, TargetFile},
    codes,
    context::Context,
    diagnostic::Diagnostic,
    groups::Groups,
    job_file::{JobFile, NeedFile},
    names::shorten,
    path_sets::filter,
    prepare::{Payloads, Prepares, mounts},
    read::Part,
    resolve::{self, Declared, Of, Staged},
    source::{At, Span},
};

/// Targets with their filters, and jobs as written with every name resolved.
pub(crate) struct Described<'a> {
    pub(crate) targets: Vec<Target>,
    pub(crate) files: Vec<&'a TargetFile>,
    pub(crate) target_names: HashMap<&'a str, TargetIndex>,
    pub(crate) jobs: Vec<DescribedJob<'a>>,
    pub(crate) job_names: HashMap<&'a str, JobIndex>,
    pub(crate) groups: &'a Groups,
}

impl<'a> Described<'a> {
    fn new(groups: &'a Groups) -> Self {
        Self {
            targets: Vec::new(),
            files: Vec::new(),
            target_names: HashMap::new(),
            jobs: Vec::new(),
            job_names: HashMap::new(),
            groups,
        }
    }

    /// The jobs of that name: one, or the members of a group.
    pub(crate) fn named(&self, name: &str) -> Option<Vec<JobIndex>> {
        if let Some(&job) = self.job_names.get(name) {
            return Some(vec![job]);
        }
        let members = self.groups.groups.get(name)?;
        Some(members.iter().filter_map(|id| self.job_names.get(id.as_str()).copied()).collect())
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.groups.keys().map(String::as_str);
        self.job_names.keys().copied().chain(groups)
    }
}

/// A job as written and what it refers to.
pub(crate) struct DescribedJob<'a> {
    pub(crate) job: resolve::Job<'a>,
    pub(crate) owner: JobOwner,
    pub(crate) needs: Vec<JobIndex>,
    pub(crate) files: Vec<FilesNeeded>,
    pub(crate) needs_written: &'a [NeedFile],
    pub(crate) shard_files: Option<ShardFiles>,
    pub(crate) filter: Option<PathFilter>,
}

/// Names every target and job, and resolves what they say of each other.
pub(crate) fn describe<'a>(
    catalogs: &'a [Part<CatalogFile>],
    groups: &'a Groups,
    declared: &Declared<'a>,
    context: &mut Context<'a>,
) -> Described<'a> {
    let mut all = Described::new(groups);
    // Tens of thousands of large values: moved once less than they would be as lists grow.
    let files = || catalogs.iter().flat_map(|part| part.file.targets.iter().flatten());
    let jobs = files().map(|file| file.jobs.as_ref().map_or(0, Vec::len)).sum();
    all.targets.reserve(files().count());
    all.jobs.reserve(jobs);
    all.job_names.reserve(jobs);
    for part in catalogs {
        for file in part.file.targets.iter().flatten() {
            target(file, part.under.as_deref(), declared, &mut all, context);
        }
    }
    for position in 0..all.files.len() {
        jobs_from(position, &mut all, context);
    }
    all
}

fn target<'a>(
    file: &'a TargetFile,
    under: Option<&'a str>,
    declared: &Declared<'a>,
    all: &mut Described<'a>,
    context: &mut Context<'a>,
) {
    let index = TargetIndex::new(all.targets.len());
    let id = context.checked(&codes::BAD_ID, &file.id, TargetId::new);
    if let Some(first) = all.target_names.get(file.id.as_str()) {
        let first = all.files[first.position()].id.span;
        context.duplicate("targets", &file.id, first);
    } else {
        all.target_names.insert(&file.id, index);
    }
    let mut jobs = Vec::new();
    for job in file.jobs.iter().flatten() {
        let job_index = JobIndex::new(all.jobs.len());
        if let Some(first) = all.job_names.get(job.id.as_str()) {
            let first = all.jobs[first.position()].job.id.span;
            context.duplicate("jobs", &job.id, first);
        } else {
            all.job_names.insert(&job.id, job_index);
        }
        jobs.push(job_index);
        let description = context.one_line(job.description.as_ref().unwrap_or(&job.id));
        all.jobs.push(DescribedJob {
            job: resolve::Job {
                id: &job.id,
                description,
                base: job.base.as_ref(),
                command: job.command.as_ref(),
                staged_command: job.staged_command.as_ref(),
                settings: &job.settings,
                inputs: None,
                under,
                table: job.table,
                // What the target gives is added when its payloads are known.
                of: Of::Target(None),
            },
            owner: JobOwner::Target(index),
            needs: Vec::new(),
            files: Vec::new(),
            needs_written: job.needs.as_deref().unwrap_or_default(),
            shard_files: shard_files(job, under, context),
            filter: filter(job.paths.as_deref(), job.exclude.as_deref(), under, context),
        });
    }
    let staged_linux =
        file.staged_linux.as_ref().map(|staged| staged_linux(staged, under, declared, context));
    // A bad id is told; the placeholder never leaves a failed load.
    let Some(id) = id.or_else(|| TargetId::new("bad").ok()) else { return };
    all.files.push(file);
    all.targets.push(Target {
        id,
        description: context.one_line(file.description.as_ref().unwrap_or(&file.id)),
        own_jobs: jobs.len(),
        jobs,
        filter: filter(file.paths.as_deref(), file.exclude.as_deref(), under, context),
        staged_linux,
        span: file.id.span,
    });
}

/// What the parts of a job's work are parts of.
fn shard_files(
    job: &JobFile,
    under: Option<&str>,
    context: &mut Context<'_>,
) -> Option<ShardFiles> {
    let files = job.shard_files.as_ref()?;
    let durations = job.shard_durations.as_ref().and_then(|path| {
        let value = context.checked(&codes::BAD_VALUE, path, WorkspacePath::new)?;
        Some(At { value, span: path.span })
    });
    let globs = context.globs(&files.value, under);
    Some(ShardFiles { globs, durations, span: files.span, part: None })
}

/// Adds the jobs a target takes from others, and checks that it has any.
fn jobs_from<'a>(position: usize, all: &mut Described<'a>, context: &mut Context<'a>) {
    let file = all.files[position];
    let mut seen: HashMap<JobIndex, Span> = HashMap::new();
    for name in file.jobs_from.iter().flatten() {
        let Some(named) = all.named(name) else {
            if !context.lost_catalog {
                context.unknown(&codes::UNKNOWN_JOB, "job", name, all.known());
            }
            continue;
        };
        for job in named {
            if let Some(first) = seen.insert(job, name.span) {
                context.duplicate("entries", name, first);
            } else if all.jobs[job.position()].owner == JobOwner::Target(TargetIndex::new(position))
            {
                let message = format!("`{}` is a job of this target already", shorten(name));
                context.error(&codes::DUPLICATE_ID, name.span, message);
            } else {
                all.targets[position].jobs.push(job);
            }
        }
    }
    let nothing = file.jobs.as_ref().is_none_or(Vec::is_empty)
        && file.jobs_from.as_ref().is_none_or(Vec::is_empty);
    if nothing && file.table.intact && !context.lost_catalog {
        let message = format!("the target `{}` has no job", shorten(&file.id));
        context.report(Diagnostic::error(&codes::EMPTY_TARGET, file.id.span, message).remedy());
    }
}

fn staged_linux(
    file: &StagedLinuxFile,
    under: Option<&str>,
    declared: &Declared<'_>,
    context: &mut Context<'_>,
) -> StagedLinux {
    let mut roles: BTreeMap<&str, Span> = BTreeMap::new();
    let mut payloads = Vec::new();
    for payload in &file.payloads {
        let role = payload.role.as_str();
        let good = !role.is_empty()
            && role.len() <= 40
            && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !good {
            let message = format!(
                "a role has lower-case letters, digits and `_`, unlike `{}`",
                shorten(role)
            );
            context.error(&codes::BAD_ID, payload.role.span, message);
        }
        if let Some(first) = roles.insert(role, payload.role.span) {
            context.duplicate("payloads of one target", &payload.role, first);
        }
        for (key, text) in
            [("output_name", &payload.output_name), ("nix_installable", &payload.nix_installable)]
        {
            if text.is_empty() || text.starts_with('-') || text.contains(char::is_control) {
                let message = format!("`{key}` must be a name that nix does not read as an option");
                context.error(&codes::BAD_VALUE, text.span, message);
            }
        }
        let mount = match (&payload.mount, role) {
            (Some(path), _) => context.checked(&codes::BAD_VALUE, path, AbsolutePath::new),
            (None, "workspace_deps") => AbsolutePath::new(WORKSPACE_DEPS).ok(),
            (None, "workspace_build") => AbsolutePath::new(WORKSPACE_BUILD).ok(),
            (None, _) => {
                if good && payload.table.intact {
                    let message = format!("the role `{role}` has no place of its own in the guest");
                    context.report(
                        Diagnostic::error(&codes::MISSING_KEY, payload.role.span, message)
                            .help("say with `mount` where jobs see it"),
                    );
                }
                None
            }
        };
        let Some(mount) = mount else { continue };
        payloads.push(Payload {
            role: role.to_owned(),
            output_name: payload.output_name.value.clone(),
            nix_installable: payload.nix_installable.value.clone(),
            mount,
        });
    }
    let profile = file.snapshot_profile.as_ref();
    if let Some(name) = profile {
        resolve::profile(name, declared, context);
    }
    let text = |text: &Option<At<String>>| text.as_ref().map(|text| text.value.clone());
    StagedLinux {
        prepare_node_prefix: file.prepare_node_prefix.value.clone(),
        prepare_description: file.prepare_description.as_ref().map(|text| context.one_line(text)),
        snapshot_profile: profile.and_then(|name| ProfileName::new(name.value.as_str()).ok()),
        workspace_output_system: text(&file.workspace_output_system),
        shadow_recipe: text(&file.shadow_recipe),
        inputs: resolve::payload_inputs(file, under, context),
        payloads,
    }
}

const WORKSPACE_DEPS: &str = "/staged/linux-rust/workspace-deps";
const WORKSPACE_BUILD: &str = "/staged/linux-rust/workspace-build";

/// A job sees the copy of its host setup, so both cannot say what is in it.
fn own_inputs_of_setup(job: &resolve::Job<'_>, context: &mut Context<'_>) {
    let message = format!(
        "the job `{}` has `inputs`, and so has its host setup, whose copy of the tree it sees",
        shorten(job.id)
    );
    context.report(
        Diagnostic::error(&codes::INVALID_COMBINATION, job.id.span, message)
            .help("name what both need in one of the two places, and take the other out"),
    );
}

/// Resolves every job. One that is wrong is told and left out: the list is whole exactly when
/// nothing was told. Prepare work is numbered as it was asked for, see [`Prepares::finish`].
pub(crate) fn resolve<'a>(
    all: &Described<'a>,
    declared: &Declared<'a>,
    prepares: &mut Prepares,
    context: &mut Context<'a>,
) -> Vec<Job> {
    // The payloads of a target are the same for all its jobs at one placement.
    let mut payloads: HashMap<(usize, Placement), Vec<PrepareUse>> = HashMap::new();
    let mut jobs = Vec::with_capacity(all.jobs.len());
    for described in &all.jobs {
        let staged = match described.owner {
            JobOwner::Target(target) => {
                let position = target.position();
                let file = all.files[position].staged_linux.as_ref();
                file.zip(all.targets[position].staged_linux.as_ref()).map(|it| (position, it))
            }
            JobOwner::Lane(_) => None,
        };
        let of = match described.job.of {
            Of::Target(_) => Of::Target(staged.map(|(_, (file, staged))| {
                Staged {
                    snapshot_profile: file.snapshot_profile.as_ref(),
                    build_mount: staged
                        .payloads
                        .iter()
                        .find(|payload| payload.role == "workspace_build")
                        .map(|payload| &payload.mount),
                }
            })),
            Of::Lane => Of::Lane,
        };
        let job =
            resolve::Job { of, description: described.job.description.clone(), ..described.job };
        let layers = resolve::layers(&job, declared, context);
        let id = context.checked(&codes::BAD_ID, job.id, JobId::new);
        let inputs = layers.inputs(&job, context);
        let (caches, cache_uses): (Vec<_>, Vec<_>) =
            layers.caches(&job, context).into_iter().unzip();
        let seen = resolve::Seen { inputs: inputs.as_ref(), caches, cache_uses: &cache_uses };
        let spec = resolve::job_spec(&job, &layers, seen, declared, context);
        let run_if = layers.run_if();
        if let Some(At { value: RunIf::Failed, span }) = run_if
            && described.needs_written.is_empty()
        {
            let message =
                format!("the job `{}` could never run: it needs nothing", shorten(job.id));
            context.report(Diagnostic::error(&codes::INVALID_COMBINATION, span, message).help(
                "`run_if = \"failed\"` is about the jobs it `needs`: name them, or remove the key",
            ));
        }
        let (Some(id), Some(spec)) = (id, spec) else { continue };
        let mut uses = Vec::new();
        if let Some((position, (file, staged))) = staged {
            let key = (position, spec.placement.clone());
            let of_target = payloads.entry(key).or_insert_with(|| {
                let target = &all.targets[position];
                let description = staged.prepare_description.as_ref();
                let profile = file.snapshot_profile.as_ref();
                let shared = Payloads {
                    prefix: &file.prepare_node_prefix,
                    description: description.unwrap_or(&target.description),
                    payloads: &staged.payloads,
                    inputs: staged.inputs.clone(),
                    snapshot_profile: profile
                        .and_then(|name| declared.profiles.get(name.as_str()))
                        .or_else(|| declared.profiles.get("full"))
                        .cloned()
                        .flatten(),
                };
                prepares.payloads(&shared, &spec.placement, context)
            });
            uses.extend(of_target.iter().cloned());
        }
        let listed = layers.prepare();
        let listed: Vec<_> =
            listed.iter().map(|file| (file, layers.prepare_inputs(&job, file, context))).collect();
        uses.extend(prepares.listed(
            listed,
            &spec.placement,
            spec.snapshot_profile.as_ref(),
            context,
        ));
        let uses = mounts(uses, job.id, context);
        let inputs_from = layers.inputs_from();
        let host_setup = layers.host_setup(&job, context).map(|setup| {
            if setup.own.is_some() && spec.inputs.is_some() {
                own_inputs_of_setup(&job, context);
            }
            prepares.host_setup(&setup, &spec, &inputs_from)
        });
        let member = all.groups.members.get(id.as_str());
        jobs.push(Job {
            id,
            owner: described.owner,
            spec,
            inputs,
            caches: cache_uses,
            inputs_from,
            needs: described.needs.clone(),
            group: member.and_then(|it| JobId::new(it.group.as_str()).ok()),
            matrix: member.map(|it| it.matrix.clone()).unwrap_or_default(),
            shard: member.and_then(|it| it.shard).map(|(index, count)| Shard { index, count }),
            shard_files: described.shard_files.clone(),
            run_if: run_if.map_or(RunIf::Passed, |at| at.value),
            files: described.files.clone(),
            prepares: uses,
            host_setup,
            filter: described.filter.clone(),
            span: job.id.span,
        });
    }
    jobs
}
