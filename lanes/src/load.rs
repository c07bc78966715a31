//! From files as written to a [`Catalog`]: what the tables mean together.
//!
//! The steps are in [`load`]; each goes on after an error and tells every problem it can see. What
//! follows from a problem already told is not told again.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use plans::ProfileName;

use crate::{
    catalog::{Catalog, JobIndex, LaneIndex, Names, Rules, TargetIndex},
    catalog_file::CatalogFile,
    codes,
    context::Context,
    declarations::Declarations,
    diagnostic::{Diagnostic, Diagnostics},
    lanes_of,
    manifest::{Manifest, UnmatchedPaths},
    matrix, needs_of,
    order::order,
    path_sets::{expand, report_circle},
    prepare::Prepares,
    read::{Files, Part, Written, read_all},
    resolve::{self, Declared},
    source::{At, Sources, Span},
    targets_of::{self, Described},
};

/// Reads manifest and catalog from the planned tree and resolves them.
///
/// A missing catalog is an error only when a lane names a target.
///
/// # Errors
///
/// Every independent problem of all files.
pub fn load(files: &dyn Files, manifest: &str, catalog: &str) -> Result<Catalog, Diagnostics> {
    let mut sources = Sources::default();
    let mut found = Vec::new();
    // 1. Files to tables.
    let mut written = read_all(files, manifest, catalog, &mut sources, &mut found);
    // … and one job to those of its matrix.
    matrix::expand(&mut written, &mut found);
    let resolved = resolve_all(&written, catalog, &sources, found);
    match resolved {
        Ok(mut catalog) => {
            catalog.declarations = Declarations::of(&written);
            catalog.files.clone_from(&written.paths);
            catalog.written = Arc::new(written);
            catalog.sources = Arc::new(sources);
            Ok(catalog)
        }
        Err(found) => Err(Diagnostics::new(sources, matrix::once(found, &written.groups))),
    }
}

fn resolve_all(
    written: &Written,
    catalog_path: &str,
    sources: &Sources,
    found: Vec<Diagnostic>,
) -> Result<Catalog, Vec<Diagnostic>> {
    let mut context = Context::new(sources, found);
    context.lost_manifest = written.lost_manifest;
    context.lost_catalog = written.lost_catalog;
    // 2. Path sets, and what the manifest says beside its lanes.
    expand(&written.manifests, &mut context);
    let rules = rules(&written.manifests, &mut context);
    // 3. What jobs refer to, then targets and their jobs by name.
    let declared = declared(&written.catalogs, &mut context);
    let mut described =
        targets_of::describe(&written.catalogs, &written.groups, &declared, &mut context);
    // 4. Lanes; a lane's own command is one job more.
    let lanes =
        lanes_of::lanes(&written.manifests, &mut described, written.no_catalog, &mut context);
    needs_of::needs(&mut described, &mut context);
    if written.no_catalog
        && let Some(span) = lanes.first_target
    {
        let message = format!("lanes name targets, but `{catalog_path}` is not in the tree");
        context.report(
            Diagnostic::error(&codes::MISSING_FILE, span, message)
                .help("commit the catalog, or name another with `--catalog`"),
        );
    }
    // 5. Every job's spec and the prepare work it asks for.
    let mut prepares = Prepares::default();
    let mut jobs = targets_of::resolve(&described, &declared, &mut prepares, &mut context);
    needs_of::flow(&described, &jobs, &mut context);
    let (prepares, host_setups, index_of) = prepares.finish(&mut context);
    // 6. Circles.
    circle_of_needs(&described, &mut context);
    if context.found.iter().any(|found| found.level == crate::Level::Error) {
        return Err(context.found);
    }
    // 7. Nothing is wrong: every name is resolved and every job has its spec.
    for prepare in jobs.iter_mut().flat_map(|job| &mut job.prepares) {
        prepare.work = index_of[prepare.work.position()];
    }
    let groups = described.groups.groups.iter().map(|(group, members)| {
        let members = members.iter().filter_map(|id| described.job_names.get(id.as_str()).copied());
        (group.clone(), members.collect())
    });
    let groups = groups.collect();
    let names = Names {
        groups,
        lanes: index(lanes.list.iter().map(|lane| lane.id.clone()), LaneIndex::new),
        targets: index(described.targets.iter().map(|it| it.id.clone()), TargetIndex::new),
        jobs: index(jobs.iter().map(|job| job.id.clone()), JobIndex::new),
    };
    let profiles = declared.profiles.iter().filter_map(|(name, profile)| {
        let exclude = profile.as_ref().map(|profile| profile.exclude.clone());
        Some((ProfileName::new(*name).ok()?, exclude.unwrap_or_default()))
    });
    Ok(Catalog {
        sources: Arc::default(),
        files: Vec::new(),
        lanes: lanes.list,
        targets: described.targets,
        jobs,
        prepares,
        host_setups,
        rules,
        profiles: profiles.collect(),
        globs: context.globs,
        declarations: Declarations::default(),
        written: Arc::default(),
        names,
        owners: OnceLock::new(),
    })
}

fn index<K: std::hash::Hash + Eq, V>(
    names: impl Iterator<Item = K>,
    index: impl Fn(usize) -> V,
) -> HashMap<K, V> {
    names.enumerate().map(|(position, name)| (name, index(position))).collect()
}

fn rules(manifests: &[Part<Manifest>], context: &mut Context<'_>) -> Rules {
    let mut rules = Rules {
        ignore: Vec::new(),
        run_all: Vec::new(),
        ignore_manifests: Vec::new(),
        ignore_manifests_at: Vec::new(),
        unmatched_paths: UnmatchedPaths::None,
        default_branch: None,
        nightly_schedule_utc: None,
    };
    for (position, part) in manifests.iter().enumerate() {
        let under = part.under.as_deref();
        let file = &part.file;
        rules.ignore.extend(context.globs(file.ignore.as_deref().unwrap_or_default(), under));
        rules.run_all.extend(context.globs(file.run_all.as_deref().unwrap_or_default(), under));
        let manifests = file.ignore_manifests.as_deref().unwrap_or_default();
        for (glob, span) in context.plain_globs(manifests, under) {
            rules.ignore_manifests.push(glob);
            rules.ignore_manifests_at.push(span);
        }
        if position > 0 {
            continue;
        }
        rules.unmatched_paths = file.unmatched_paths.map_or(UnmatchedPaths::None, |at| at.value);
        if let Some(branch) = &file.default_branch {
            if branch_is_plain(branch) {
                rules.default_branch = Some(branch.value.clone());
            } else {
                let message = "`default_branch` must be the plain name of a branch";
                context.report(
                    Diagnostic::error(&codes::BAD_VALUE, branch.span, message)
                        .help("write it without `origin/` or `refs/`, such as `main`"),
                );
            }
        }
        if let Some(time) = &file.nightly_schedule_utc {
            if is_time_of_day(time) {
                rules.nightly_schedule_utc = Some(time.value.clone());
            } else {
                let message = "`nightly_schedule_utc` must be a time of day, `HH:MM`";
                context.error(&codes::BAD_VALUE, time.span, message);
            }
        }
    }
    rules
}

/// Whether git would take the text as a branch and nobody would read it as anything else.
fn branch_is_plain(name: &str) -> bool {
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.starts_with("refs/")
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains("//")
        && !name.contains(odd)
}

fn is_time_of_day(text: &str) -> bool {
    let number = |digits: &str, below: u32| {
        digits.len() == 2
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u32>().is_ok_and(|number| number < below)
    };
    text.split_once(':').is_some_and(|(hours, minutes)| number(hours, 24) && number(minutes, 60))
}

/// Hosts, bases and snapshot profiles by name. The built-in file comes first and may be replaced;
/// two of the user's own of one name may not.
fn declared<'a>(catalogs: &'a [Part<CatalogFile>], context: &mut Context<'a>) -> Declared<'a> {
    let mut declared = Declared::default();
    declared.profiles.insert("full", None);
    let mut profile_spans: HashMap<&str, Span> = HashMap::new();
    for (position, part) in catalogs.iter().enumerate() {
        let built_in = position == 0;
        for (name, file) in part.file.hosts.iter().flat_map(|hosts| &hosts.0) {
            let host = resolve::host(name, file, context);
            let host = resolve::Host { name, host };
            if let Some(first) = declared.hosts.insert(name, host) {
                context.duplicate("hosts", name, first.name.span);
            }
        }
        for (name, file) in part.file.bases.iter().flat_map(|bases| &bases.0) {
            name_is_good("base", name, context);
            let base = resolve::Base {
                name,
                settings: &file.settings,
                under: part.under.as_deref(),
                built_in,
            };
            if let Some(first) = declared.bases.insert(name, base)
                && !first.built_in
            {
                context.duplicate("bases", name, first.name.span);
            }
        }
        for (name, file) in part.file.snapshot_profiles.iter().flat_map(|profiles| &profiles.0) {
            let profile = resolve::declared_profile(name, &file.exclude, context);
            declared.profiles.insert(name, profile);
            if let Some(first) = profile_spans.insert(name, name.span) {
                context.duplicate("snapshot profiles", name, first);
            }
        }
    }
    declared
}

fn name_is_good(what: &str, name: &At<String>, context: &mut Context<'_>) {
    if let Err(error) = ProfileName::new(name.value.as_str()) {
        let message = error.to_string().replace(ProfileName::WHAT, what);
        context.error(&codes::BAD_ID, name.span, message);
    }
}

fn circle_of_needs(described: &Described<'_>, context: &mut Context<'_>) {
    let edges: Vec<Vec<usize>> = described
        .jobs
        .iter()
        .map(|job| job.needs.iter().map(|index| index.position()).collect())
        .collect();
    for circle in order(&edges).err().unwrap_or_default() {
        let steps: Vec<(&str, Span)> = circle
            .iter()
            .map(|&at| (described.jobs[at].job.id.as_str(), described.jobs[at].job.id.span))
            .collect();
        report_circle("jobs need each other", &steps, context);
    }
}
