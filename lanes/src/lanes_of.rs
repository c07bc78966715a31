//! The lanes of the manifest: what each runs, when, and after which others.

use std::collections::HashMap;

use plans::{GroupName, LaneId};

use crate::{
    catalog::{
        Derived, Inputs, JobIndex, JobOwner, Lane, LaneIndex, PackageKind, PathFilter, TargetIndex,
        Via, Work,
    },
    codes,
    context::Context,
    diagnostic::Diagnostic,
    lane_trigger::LaneTrigger,
    manifest::{InputsFile, LaneFile, Manifest},
    names::shorten,
    order::order,
    path_sets::report_circle,
    read::Part,
    resolve::{self, Of},
    source::{At, Span},
    targets_of::{Described, DescribedJob},
};

/// The lanes, branch first.
pub(crate) struct Lanes {
    pub(crate) list: Vec<Lane>,
    /// Where a lane first names a target.
    pub(crate) first_target: Option<Span>,
}

/// Resolves the lanes of all manifests; jobs of their own commands are added to `described`.
pub(crate) fn lanes<'a>(
    manifests: &'a [Part<Manifest>],
    described: &mut Described<'a>,
    no_catalog: bool,
    context: &mut Context<'a>,
) -> Lanes {
    let of = |trigger: LaneTrigger| {
        manifests.iter().flat_map(move |part| {
            let lanes = part.file.lanes_of(trigger);
            lanes.map(move |file| (trigger, file, part.under.as_deref()))
        })
    };
    let files: Vec<_> = of(LaneTrigger::Branch).chain(of(LaneTrigger::Nightly)).collect();
    let globs = files.iter().map(|(_, file, _)| file.paths.as_ref().map_or(0, Vec::len)).sum();
    context.globs.reserve(globs);
    let mut names: HashMap<&'a str, LaneIndex> = HashMap::with_capacity(files.len());
    for (position, (_, file, _)) in files.iter().enumerate() {
        match names.get(file.id.as_str()) {
            Some(first) => context.duplicate("lanes", &file.id, files[first.position()].1.id.span),
            None => {
                names.insert(&file.id, LaneIndex::new(position));
            }
        }
    }
    let mut list = Vec::with_capacity(files.len());
    let mut first_target = None;
    for (position, &(trigger, file, under)) in files.iter().enumerate() {
        let index = LaneIndex::new(position);
        first_target = first_target.or_else(|| named_target(file).map(|(name, _)| name.span));
        let work = work(index, file, under, described, no_catalog, context);
        let id = context.checked(&codes::BAD_ID, &file.id, LaneId::new);
        let mut after = Vec::new();
        for name in file.after.iter().flatten() {
            match names.get(name.as_str()) {
                Some(other) if files[other.position()].0 == trigger => after.push(*other),
                Some(other) => other_trigger(name, files[other.position()].1, context),
                None if context.lost_manifest => {}
                None => {
                    context.unknown(&codes::UNKNOWN_LANE, "lane", name, names.keys().copied());
                }
            }
        }
        after.sort_unstable();
        after.dedup();
        let group = file.concurrency_group.as_ref();
        let concurrency_group =
            group.and_then(|group| context.checked(&codes::BAD_ID, group, GroupName::new));
        let filter = lane_filter(file, under, context);
        // Placeholders never leave a failed load.
        let Some(id) = id.or_else(|| LaneId::new("bad").ok()) else { continue };
        list.push(Lane {
            id,
            title: context.one_line(file.title.as_ref().unwrap_or(&file.id)),
            trigger,
            work: work.unwrap_or(Work::Target(TargetIndex::new(0))),
            filter,
            concurrency_group,
            after,
            entrypoint: file.entrypoint.as_ref().map(|text| text.value.clone()),
            inputs: file.packages().map(inputs).unwrap_or_default(),
            derived: Derived::default(),
            span: file.id.span,
        });
    }
    let edges: Vec<Vec<usize>> =
        list.iter().map(|lane| lane.after.iter().map(|lane| lane.position()).collect()).collect();
    for circle in order(&edges).err().unwrap_or_default() {
        let steps: Vec<(&str, Span)> =
            circle.iter().map(|&at| (files[at].1.id.as_str(), files[at].1.id.span)).collect();
        report_circle("lanes wait for each other", &steps, context);
    }
    Lanes { list, first_target }
}

fn other_trigger(name: &At<String>, other: &LaneFile, context: &mut Context<'_>) {
    let message = format!("`{}` is a lane of the other list", shorten(name));
    context.report(
        Diagnostic::error(&codes::AFTER_OTHER_TRIGGER, name.span, message)
            .also(other.id.span, "it is here")
            .help("branch and nightly lanes are never in one plan; take the entry out"),
    );
}

/// The target a lane names, and whether it must be a staged Linux one.
fn named_target(file: &LaneFile) -> Option<(&At<String>, bool)> {
    let staged = file.staged_linux_target.as_ref().map(|name| (name, true));
    file.target.as_ref().map(|name| (name, false)).or(staged)
}

/// What a lane runs; nothing if that is wrong, which is told.
fn work<'a>(
    index: LaneIndex,
    file: &'a LaneFile,
    under: Option<&'a str>,
    described: &mut Described<'a>,
    no_catalog: bool,
    context: &mut Context<'a>,
) -> Option<Work> {
    let said: Vec<(&str, Span)> = [
        file.target.as_ref().map(|at| ("target", at.span)),
        file.staged_linux_target.as_ref().map(|at| ("staged_linux_target", at.span)),
        file.command.as_ref().map(|at| ("command", at.span)),
    ]
    .into_iter()
    .flatten()
    .collect();
    match said[..] {
        [] => {
            if file.table.intact {
                let message = format!("the lane `{}` has nothing to run", shorten(&file.id));
                context.report(
                    Diagnostic::error(&codes::NO_TARGET_OR_COMMAND, file.id.span, message)
                        .help("give it a `target`, a `staged_linux_target` or a `command`"),
                );
            }
            return None;
        }
        [_] => {}
        [(first, at), (second, also), ..] => {
            let message =
                format!("the lane `{}` has both `{first}` and `{second}`", shorten(&file.id));
            context.report(
                Diagnostic::error(&codes::TARGET_AND_COMMAND, also, message)
                    .also(at, "the other one")
                    .help("keep the one that the lane is to run"),
            );
        }
    }
    match named_target(file) {
        Some((name, must_be_staged)) => {
            no_job_keys(file, context);
            if no_catalog {
                return None;
            }
            let Some(&target) = described.target_names.get(name.as_str()) else {
                if !context.lost_catalog {
                    let known = described.target_names.keys().copied();
                    context.unknown(&codes::UNKNOWN_TARGET, "target", name, known);
                }
                return None;
            };
            let written = described.files[target.position()];
            if must_be_staged && written.staged_linux.is_none() && written.table.intact {
                let message = format!("`{}` is not a staged Linux target", shorten(name));
                context.report(
                    Diagnostic::error(&codes::NOT_STAGED_LINUX, name.span, message)
                        .also(written.id.span, "declared here, without `staged_linux`")
                        .help("name it with `target`, or add `[targets.staged_linux]`"),
                );
            }
            Some(Work::Target(target))
        }
        None => Some(Work::Command(own_job(index, file, under, described, context))),
    }
}

/// Adds the job of a lane's own command.
fn own_job<'a>(
    index: LaneIndex,
    file: &'a LaneFile,
    under: Option<&'a str>,
    described: &mut Described<'a>,
    context: &mut Context<'a>,
) -> JobIndex {
    let job = JobIndex::new(described.jobs.len());
    if let Some(&other) = described.job_names.get(file.id.as_str()) {
        let other = &described.jobs[other.position()];
        // Two lanes of one id are told as that.
        if matches!(other.owner, JobOwner::Target(_)) {
            let span = other.job.id.span;
            let message = format!(
                "the lane `{0}` and the job `{0}` would both be the node `execute-{0}`",
                shorten(&file.id)
            );
            context.report(
                Diagnostic::error(&codes::ID_CLASH, file.id.span, message)
                    .also(span, "the job")
                    .help("rename one of the two"),
            );
        }
    } else {
        described.job_names.insert(&file.id, job);
    }
    let title = file.title.as_ref().unwrap_or(&file.id);
    described.jobs.push(DescribedJob {
        job: resolve::Job {
            id: &file.id,
            description: context.one_line(file.description.as_ref().unwrap_or(title)),
            base: file.base.as_ref(),
            command: file.command.as_ref(),
            staged_command: None,
            settings: &file.settings,
            inputs: file.input_files(),
            under,
            table: file.table,
            of: Of::Lane,
        },
        owner: JobOwner::Lane(index),
        needs: Vec::new(),
        files: Vec::new(),
        needs_written: file.needs.as_deref().unwrap_or_default(),
        shard_files: None,
        filter: None,
    });
    job
}

/// Refuses keys of a job beside a target, whose jobs bring their own.
fn no_job_keys(file: &LaneFile, context: &mut Context<'_>) {
    let needs = file.needs.as_ref().and_then(|needs| needs.first());
    let own = [
        file.description.as_ref().map(|at| ("description", at.span)),
        file.base.as_ref().map(|at| ("base", at.span)),
        needs.map(|need| ("needs", need.job().span)),
        file.input_files().map(|files| ("inputs", first_span(Some(files)).unwrap_or(file.id.span))),
    ];
    for (key, span) in own.into_iter().flatten().chain(file.settings.written.iter().copied()) {
        let message = format!("`{key}` has no effect beside a target");
        context.report(
            Diagnostic::error(&codes::TARGET_AND_COMMAND, span, message)
                .help("set it on the target's jobs in the catalog"),
        );
    }
}

fn lane_filter(file: &LaneFile, under: Option<&str>, context: &mut Context<'_>) -> PathFilter {
    says_something(file, context);
    let paths = file.paths.as_deref().map(|paths| context.globs(paths, under));
    // A lane with `inputs` has paths, even before they are derived.
    let paths = paths.or_else(|| file.packages().map(|_| Vec::new()));
    // `exclude` or `statuses` alone is about every path: everything but. Of the whole tree, whatever
    // `under` says: a lane with no key at all runs for any change, and this takes away only what
    // it names.
    let narrows = || first_span(file.exclude.as_deref()).or(first_span(file.statuses.as_deref()));
    let paths = paths.or_else(|| {
        let everything = At { value: EVERYTHING.to_owned(), span: narrows()? };
        let mut every = context.globs(&[everything], None);
        every.iter_mut().for_each(|used| used.via = Some(Via::EveryPath));
        Some(every)
    });
    let exclude = context.globs(file.exclude.as_deref().unwrap_or_default(), under);
    let statuses = file.statuses.as_ref();
    let statuses = statuses.map(|list| list.iter().map(|status| status.value.0).collect());
    PathFilter { paths, exclude, statuses }
}

/// Refuses keys of a filter that would count nothing, whatever changes.
fn says_something(file: &LaneFile, context: &mut Context<'_>) {
    let id = shorten(&file.id);
    if file.statuses.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("`statuses` of the lane `{id}` is empty, so no change would count");
        context.report(
            Diagnostic::error(&codes::BAD_VALUE, file.id.span, message)
                .help("name the kinds of change that count, or take the key out: every kind"),
        );
    }
    if file.packages().is_some_and(|it| inputs(it).is_empty()) && file.paths.is_none() {
        let message =
            format!("`inputs` of the lane `{id}` names no package, so nothing would count");
        context.report(
            Diagnostic::error(&codes::BAD_VALUE, file.id.span, message)
                .help("name the packages, or take the key out: the lane then always runs"),
        );
    }
}

/// The glob that every path matches.
const EVERYTHING: &str = "**";

fn first_span<T>(list: Option<&[At<T>]>) -> Option<Span> {
    list?.first().map(|item| item.span)
}

/// The packages of a table, by their kind.
pub(crate) fn inputs(file: &InputsFile) -> Inputs {
    let list = |kind| match kind {
        PackageKind::Cargo => &file.cargo,
        PackageKind::Npm => &file.npm,
        PackageKind::Go => &file.go,
        PackageKind::Uv => &file.uv,
        PackageKind::Gradle => &file.gradle,
        PackageKind::Maven => &file.maven,
        PackageKind::Dotnet => &file.dotnet,
    };
    let names = |kind| list(kind).iter().flatten().map(|name| (name.value.clone(), name.span));
    Inputs::new(PackageKind::ALL.map(|kind| (kind, names(kind).collect())))
}
