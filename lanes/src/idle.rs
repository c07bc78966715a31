//! Keys that are there and change nothing: combinations in which a key has no meaning.
//!
//! Walks the tables as written beside what became of them, after a load found nothing wrong. What
//! cannot work at all is refused in `resolve`; what only the tree can tell (a glob that matches no
//! file) is asked by `planner check`.

use std::collections::{BTreeMap, BTreeSet};

use plans::{Checkout, FailedOutcome, Reuse};

use crate::{
    catalog::{Catalog, Job, JobIndex, Work},
    catalog_file::{CatalogFile, TargetFile},
    job_file::{CommandFile, RuntimeFile, Settings},
    lane_trigger::LaneTrigger,
    manifest::{LaneFile, Manifest, UnmatchedPaths},
    matrix::{DiagnosticParts, once_each},
    read::{Part, Written},
    source::{At, Span},
};

/// A key that changes nothing where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// Where it is written.
    pub span: Span,
    /// Which key, and why it changes nothing.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Catalog {
    /// Returns every key that changes nothing where it stands, as far as the files tell.
    #[must_use]
    pub fn idle(&self) -> Vec<Idle> {
        idle(&self.written, self)
    }
}

fn idle(written: &Written, catalog: &Catalog) -> Vec<Idle> {
    let mut found = Found(Vec::new());
    for span in &written.empty_includes {
        found.add(
            *span,
            "`include` matches no file",
            "write the path as it is now, or take it out",
        );
    }
    of_manifests(written, catalog, &mut found);
    of_lanes(written, catalog, &mut found);
    let mut triggers: BTreeMap<JobIndex, BTreeSet<LaneTrigger>> = BTreeMap::new();
    for lane in catalog.lane_indices() {
        for &job in catalog.jobs_of(lane) {
            triggers.entry(job).or_default().insert(catalog[lane].trigger);
        }
    }
    for part in written.own_catalogs() {
        of_catalog(part, written, catalog, &triggers, &mut found);
    }
    once_each(&mut found.0, &written.groups, |idle| DiagnosticParts {
        place: Some((idle.span.source, idle.span.start)),
        kind: "idle",
        message: Some(&mut idle.message),
    });
    found.0
}

struct Found(Vec<Idle>);

impl Found {
    fn add(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Idle { span, message: message.into(), help: help.into() });
    }
}

fn of_manifests(written: &Written, catalog: &Catalog, found: &mut Found) {
    let has = |trigger| catalog.lanes.iter().any(|lane| lane.trigger == trigger);
    for part in &written.manifests {
        let file = &part.file;
        if let Some(at) = file.nightly_schedule_utc.as_ref().filter(|_| !has(LaneTrigger::Nightly))
        {
            let message = "`nightly_schedule_utc` starts nothing: there is no nightly lane";
            found.add(at.span, message, "add `[[nightly.lanes]]`, or take the key out");
        }
        if !has(LaneTrigger::Branch) {
            let help = "add `[[branch.lanes]]`, or take the key out";
            if let Some(first) = file.run_all.as_ref().and_then(|list| list.first()) {
                found.add(first.span, "`run_all` selects nothing: there is no branch lane", help);
            }
            if let Some(at) = file.unmatched_paths.filter(|at| at.value == UnmatchedPaths::AllLanes)
            {
                let message = "`unmatched_paths` selects nothing: there is no branch lane";
                found.add(at.span, message, help);
            }
        }
        under(file.under.as_ref(), || globs_of_manifest(file), found);
    }
}

/// `under` moves globs, and nothing else.
fn under<'a>(
    under: Option<&At<String>>,
    globs: impl FnOnce() -> Vec<Option<&'a [At<String>]>>,
    found: &mut Found,
) {
    let Some(under) = under else { return };
    let plain = |text: &At<String>| !text.starts_with('@');
    if !globs().into_iter().flatten().flatten().any(plain) {
        let message = "`under` moves nothing: the file has no glob of its own";
        found.add(under.span, message, "take the key out");
    }
}

fn globs_of_manifest(file: &Manifest) -> Vec<Option<&[At<String>]>> {
    let mut all =
        vec![file.ignore.as_deref(), file.run_all.as_deref(), file.ignore_manifests.as_deref()];
    all.extend(file.path_sets.iter().flat_map(|sets| &sets.0).map(|(_, list)| Some(&list[..])));
    for trigger in [LaneTrigger::Branch, LaneTrigger::Nightly] {
        for lane in file.lanes_of(trigger) {
            all.extend([lane.paths.as_deref(), lane.exclude.as_deref()]);
            all.push(lane.input_files());
            all.extend(lane.settings.input_globs());
        }
    }
    all
}

fn globs_of_catalog(file: &CatalogFile) -> Vec<Option<&[At<String>]>> {
    let mut all = Vec::new();
    for (_, base) in file.bases.iter().flat_map(|bases| &bases.0) {
        all.extend(base.settings.input_globs());
    }
    for target in file.targets.iter().flatten() {
        all.extend([target.paths.as_deref(), target.exclude.as_deref()]);
        if let Some(staged) = &target.staged_linux {
            all.extend([staged.inputs.as_deref(), staged.inputs_exclude.as_deref()]);
        }
        for job in target.jobs.iter().flatten() {
            all.extend([job.paths.as_deref(), job.exclude.as_deref()]);
            all.push(job.shard_files.as_ref().map(|at| &*at.value));
            all.extend(job.settings.input_globs());
        }
    }
    all
}

fn of_lanes(written: &Written, catalog: &Catalog, found: &mut Found) {
    // The order of the catalog: branch first, each in the order of the files.
    let of = |trigger| written.manifests.iter().flat_map(move |it| it.file.lanes_of(trigger));
    let files = of(LaneTrigger::Branch).chain(of(LaneTrigger::Nightly));
    for (file, index) in files.zip(catalog.lane_indices()) {
        let lane = &catalog[index];
        if lane.trigger == LaneTrigger::Nightly {
            nightly_filter(file, found);
        }
        for name in file.after.iter().flatten() {
            let Some(other) = catalog.lane(name) else { continue };
            let upstream = catalog.with_needed(catalog.jobs_of(other).iter().copied());
            if catalog.jobs_of(index).iter().all(|job| upstream.contains(job)) {
                let message = format!(
                    "`after` adds no order: every job of `{}` is in the lane `{}`, or before it, \
                     already",
                    lane.id, catalog[other].id
                );
                found.add(name.span, message, "take the entry out");
            }
        }
        if let Work::Command(job) = lane.work {
            of_job(&file.settings, file.command.as_ref(), &catalog[job], found);
        }
    }
}

/// A nightly run starts every nightly lane: its filter decides only where a flag names changes.
fn nightly_filter(file: &LaneFile, found: &mut Found) {
    let first = |list: &Option<Vec<At<String>>>| Some(list.as_ref()?.first().map(|at| at.span));
    let statuses = file.statuses.as_ref().map(|list| list.first().map(|at| at.span));
    for (key, at) in [
        ("paths", first(&file.paths)),
        ("exclude", first(&file.exclude)),
        ("statuses", statuses),
        ("inputs", file.packages().map(|packages| Some(packages.table.span))),
    ] {
        let Some(span) = at else { continue };
        let message = format!(
            "`{key}` does not keep the nightly lane `{}` from running: a nightly run starts every \
             nightly lane",
            file.id.value
        );
        let help = "take the key out, or make it a branch lane; only with `--trigger nightly` and \
                    one of `--base`, `--base-exact` and `--changed-files` does a change decide";
        found.add(span.unwrap_or(file.id.span), message, help);
    }
}

fn of_catalog(
    part: &Part<CatalogFile>,
    written: &Written,
    catalog: &Catalog,
    triggers: &BTreeMap<JobIndex, BTreeSet<LaneTrigger>>,
    found: &mut Found,
) {
    let file = &part.file;
    under(file.under.as_ref(), || globs_of_catalog(file), found);
    for (name, base) in file.bases.iter().flat_map(|bases| &bases.0) {
        of_settings(&base.settings, found);
        base_retries(name, &base.settings, written, catalog, found);
    }
    for target in file.targets.iter().flatten() {
        of_target(target, catalog, found);
        for job in target.jobs.iter().flatten() {
            let Some(index) = catalog.job(&job.id) else { continue };
            of_job(&job.settings, job.command.as_ref(), &catalog[index], found);
            let only_nightly =
                triggers.get(&index).is_some_and(|of| !of.contains(&LaneTrigger::Branch));
            let filter = first_glob(job.paths.as_deref(), job.exclude.as_deref());
            if let Some((key, span)) = filter
                && only_nightly
            {
                let message = format!(
                    "`{key}` does not keep the job `{}` from running: only nightly lanes run it, \
                     and a nightly run runs all of a lane",
                    job.id.value
                );
                found.add(span, message, "take the key out, or run its target in a branch lane");
            }
        }
    }
}

fn first_glob<'a>(
    paths: Option<&'a [At<String>]>,
    exclude: Option<&'a [At<String>]>,
) -> Option<(&'static str, Span)> {
    let first = |key, list: Option<&[At<String>]>| Some((key, list?.first()?.span));
    first("paths", paths).or_else(|| first("exclude", exclude))
}

fn of_target(file: &TargetFile, catalog: &Catalog, found: &mut Found) {
    let Some(index) = catalog.target(&file.id) else { return };
    let target = &catalog[index];
    let narrows = |job: &&JobIndex| {
        let own = catalog[**job].filter.as_ref();
        own.is_none_or(|filter| filter.paths.is_none())
    };
    let filter = first_glob(file.paths.as_deref(), file.exclude.as_deref());
    if let Some((key, span)) = filter
        && !target.jobs.iter().any(|job| narrows(&job))
    {
        let message = format!(
            "`{key}` of the target `{}` narrows nothing: each of its jobs has `paths` of its own, \
             which stand instead",
            target.id
        );
        found.add(span, message, "take the key out, or the `paths` of the jobs");
    }
    if let Some(staged) = &file.staged_linux
        && staged.payloads.is_empty()
    {
        let message = format!(
            "`staged_linux` of the target `{}` builds nothing: `payloads` is empty",
            target.id
        );
        let help = "name what is built before its jobs, or take the table out";
        found.add(staged.prepare_node_prefix.span, message, help);
    }
}

/// Keys of a job, in its own table, that change nothing.
fn of_job(settings: &Settings, command: Option<&At<CommandFile>>, job: &Job, found: &mut Found) {
    of_settings(settings, found);
    if let Some(at) = settings.reuse
        && job.spec.reuse != Reuse::Never
        && !job.spec.secrets.is_empty()
        && !job.spec.reuse_with_secrets
    {
        let message = format!("`reuse` keeps no result of `{}`: it has secrets", job.id);
        let help = "add `reuse_with_secrets = true` if no artifact or output can hold one, or take \
                    the key out";
        found.add(at.span, message, help);
    }
    if let Some(first) = settings.key_commands.as_ref().and_then(|list| list.first())
        && job.spec.reuse == Reuse::Never
    {
        let message = format!("`key_commands` decide nothing: `{}` has no `reuse`", job.id);
        found.add(first.span, message, "add `reuse = \"passed\"`, or take the key out");
    }
    if let Some(profile) = &settings.snapshot_profile
        && job.spec.checkout == Checkout::Clone
        && job.prepares.is_empty()
        && profile.as_str() != "full"
    {
        let message = format!(
            "`snapshot_profile` leaves nothing out for `{}`: a clone is whole, git would call what is \
             missing deleted",
            job.id
        );
        let help = "add `checkout = \"tree\"` if the job does not call git, or take the key out";
        found.add(profile.span, message, help);
    }
    let as_root = match command.map(|command| &command.value) {
        Some(CommandFile::Table(table)) => table.as_root.is_some_and(|at| at.value),
        _ => false,
    };
    if let Some(RuntimeFile::Incus(incus)) = settings.runtime.as_ref().map(|at| &at.value)
        && as_root
    {
        for (key, at) in [("user", incus.user), ("group", incus.group)] {
            let Some(at) = at.filter(|at| at.value != 0) else { continue };
            let message = format!(
                "`{key}` has no effect on `{}`: its command runs as the guest's root",
                job.id
            );
            found.add(at.span, message, "take the key or `as_root` out");
        }
    }
}

fn of_settings(settings: &Settings, found: &mut Found) {
    let Some(on) = &settings.retry_on else { return };
    let codes = on.value.exit_codes.as_deref().unwrap_or_default();
    let mut outcomes = on.value.outcomes.iter().flatten();
    if let Some(first) = codes.first()
        && outcomes.any(|word| word.value.0 == FailedOutcome::Failed)
    {
        let message =
            "`exit_codes` adds nothing to `retry_on`: the outcome `failed` is every exit code";
        let help = "keep one of the two: the exit codes alone for those failures only";
        found.add(first.span, message, help);
    }
}

/// `retry_on` of a base, where no job that starts from it is run again.
fn base_retries(
    name: &At<String>,
    base: &Settings,
    written: &Written,
    catalog: &Catalog,
    found: &mut Found,
) {
    let Some(on) = &base.retry_on else { return };
    if base.retries.is_some_and(|at| at.value > 0) {
        return;
    }
    let starts = |base: &Option<At<String>>| base.as_ref().is_some_and(|at| at.value == name.value);
    let targets = written.own_catalogs().iter().flat_map(|part| part.file.targets.iter().flatten());
    let jobs = targets.flat_map(|it| it.jobs.iter().flatten()).filter(|job| starts(&job.base));
    let lanes = [LaneTrigger::Branch, LaneTrigger::Nightly]
        .into_iter()
        .flat_map(|trigger| written.manifests.iter().flat_map(move |it| it.file.lanes_of(trigger)))
        .filter(|lane| starts(&lane.base));
    let mut ids = jobs.map(|job| &job.id).chain(lanes.map(|lane| &lane.id));
    let retries = |id: &At<String>| {
        let job = catalog.job(id).map(|job| &catalog[job].spec);
        job.is_some_and(|spec| spec.retries > 0 && spec.retry_on.is_some())
    };
    if !ids.any(retries) {
        let message = format!(
            "`retry_on` of the base `{}` retries nothing: neither it nor a job that starts from it \
             has `retries`",
            name.value
        );
        found.add(on.span, message, "set `retries`, or take the key out");
    }
}
