//! What jobs need of each other: names become jobs, and what passes between them is checked.
//!
//! First [`needs`], once every job has its name; then [`flow`], once every job has its spec: outputs
//! that would be one variable, files that nothing leaves. Circles are told in `load`.

use std::collections::BTreeMap;

use plans::{FilesFrom, OutputName, WorkspacePath, paths_overlap};

use crate::{
    catalog::{FilesNeeded, Job, JobIndex},
    codes,
    context::Context,
    diagnostic::Diagnostic,
    glob::may_meet,
    job_file::{NeedFile, NeedTable},
    names::shorten,
    resolve::exclude_globs,
    source::{At, Span},
    targets_of::Described,
};

/// Resolves what jobs need, once every job has its name.
pub(crate) fn needs(all: &mut Described<'_>, context: &mut Context<'_>) {
    for position in 0..all.jobs.len() {
        let written = all.jobs[position].needs_written;
        let mut needs: Vec<JobIndex> = Vec::with_capacity(written.len());
        let mut files: Vec<(FilesNeeded, Span)> = Vec::new();
        for need in written {
            let name = need.job();
            let named = all.named(name);
            match &named {
                Some(named) if named.iter().any(|index| index.position() == position) => {
                    needs_itself(name, context);
                }
                Some(named) => needs.extend(named),
                None if context.lost_catalog => {}
                None => context.unknown(&codes::UNKNOWN_JOB, "job", name, all.known()),
            }
            if let NeedFile::Files(table) = need {
                let jobs: Vec<(JobIndex, String)> = named
                    .iter()
                    .flatten()
                    .map(|index| (*index, all.jobs[index.position()].job.id.value.clone()))
                    .collect();
                let new = files_needed(table, &jobs, &files, context);
                files.extend(new);
            }
        }
        needs.sort_unstable();
        needs.dedup();
        let mut files: Vec<FilesNeeded> = files.into_iter().map(|(files, _)| files).collect();
        files.sort_by(|a, b| a.at.cmp(&b.at));
        (all.jobs[position].needs, all.jobs[position].files) = (needs, files);
    }
}

fn needs_itself(name: &At<String>, context: &mut Context<'_>) {
    let message = format!("the job `{}` needs itself", shorten(name));
    context.report(Diagnostic::error(&codes::NEEDS_ITSELF, name.span, message).remedy());
}

/// Checks one entry with files against those before it; nothing if something of it is wrong.
///
/// Of a group's members, each has its files in a directory of its own, called as it is.
fn files_needed(
    table: &NeedTable,
    jobs: &[(JobIndex, String)],
    before: &[(FilesNeeded, Span)],
    context: &mut Context<'_>,
) -> Vec<(FilesNeeded, Span)> {
    let NeedTable { files: written, at, .. } = table;
    let files = exclude_globs(written, context);
    if written.is_empty() {
        let message =
            format!("`files` of `{}` is empty, so nothing would come", shorten(&table.job));
        context.report(
            Diagnostic::error(&codes::BAD_VALUE, table.table.span, message)
                .help("name files, or need the job by its id alone"),
        );
    }
    let Some(place) = context.checked(&codes::BAD_VALUE, at, WorkspacePath::new) else {
        return Vec::new();
    };
    if FilesFrom::is_of_git(&place) {
        let message = format!("`{}` is git's own directory: no files are put there", shorten(at));
        context.error(&codes::BAD_VALUE, at.span, message);
        return Vec::new();
    }
    let overlaps = |other: &WorkspacePath| paths_overlap(place.as_str(), other.as_str());
    if let Some((other, span)) = before.iter().find(|(other, _)| overlaps(&other.at)) {
        let message = if other.at == place {
            format!("two lists of files would appear at `{place}`")
        } else {
            format!("files at `{place}` and at `{}` overlap", other.at)
        };
        context.report(
            Diagnostic::error(&codes::FILES_OVERLAP, at.span, message)
                .also(*span, "the other one")
                .remedy(),
        );
        return Vec::new();
    }
    let mut needed = Vec::with_capacity(jobs.len());
    for (job, id) in jobs {
        let place = match jobs {
            [_] => Some(place.clone()),
            _ => {
                let of_member = At { value: format!("{place}/{id}"), span: at.span };
                context.checked(&codes::BAD_VALUE, &of_member, WorkspacePath::new)
            }
        };
        let Some(at_member) = place else { break };
        let files = files.clone();
        needed.push((FilesNeeded { job: *job, files, at: at_member }, at.span));
    }
    needed
}

/// Checks what passes between jobs that all have their spec.
pub(crate) fn flow(all: &Described<'_>, jobs: &[Job], context: &mut Context<'_>) {
    if jobs.len() != all.jobs.len() {
        // One that is wrong is told, and may be what another needs.
        return;
    }
    for (described, job) in all.jobs.iter().zip(jobs) {
        outputs_differ(job, described.job.settings.outputs.as_deref(), context);
        let span_of = |index: JobIndex| {
            let names =
                |need: &&NeedFile| all.named(need.job()).is_some_and(|it| it.contains(&index));
            described.needs_written.iter().find(names).map_or(job.span, |need| need.job().span)
        };
        variables_differ(job, jobs, span_of, context);
        for need in described.needs_written {
            let NeedFile::Files(table) = need else { continue };
            caches_overlap(job, table, context);
            for index in all.named(&table.job).into_iter().flatten() {
                files_are_left(&jobs[index.position()], table, context);
            }
        }
    }
}

/// Two outputs of a job must not be one variable of those that need it.
fn outputs_differ(job: &Job, own: Option<&[At<String>]>, context: &mut Context<'_>) {
    let mut variables: BTreeMap<String, &OutputName> = BTreeMap::new();
    for output in &job.spec.outputs {
        let variable = output.variable_of(job.id.as_str());
        if let Some(first) = variables.get(&variable) {
            let written = own.and_then(|own| own.iter().find(|it| it.value == output.as_str()));
            let span = written.map_or(job.span, |written| written.span);
            let message =
                format!("`{first}` and `{output}` would both be the variable `{variable}`");
            context.report(Diagnostic::error(&codes::OUTPUT_CLASH, span, message).remedy());
        } else {
            variables.insert(variable, output);
        }
    }
}

/// A variable of a job must hold one thing.
fn variables_differ(
    job: &Job,
    jobs: &[Job],
    span_of: impl Fn(JobIndex) -> Span,
    context: &mut Context<'_>,
) {
    let mut variables: BTreeMap<String, (&Job, &OutputName)> = BTreeMap::new();
    for &index in &job.needs {
        let needed = &jobs[index.position()];
        for output in &needed.spec.outputs {
            let variable = output.variable_of(needed.id.as_str());
            let own = job.spec.env.keys().chain(&job.spec.secrets);
            let other = if own.into_iter().any(|name| name.as_str() == variable) {
                Some(format!("a variable that `{}` sets itself", job.id))
            } else {
                let before = variables.get(&variable).filter(|(first, _)| first.id != needed.id);
                before.map(|(first, output)| format!("`{output}` of `{}`", first.id))
            };
            if let Some(other) = other {
                let message = format!(
                    "`{output}` of `{}` would be the variable `{variable}`, and so would {other}",
                    needed.id
                );
                let span = span_of(index);
                context.report(Diagnostic::error(&codes::OUTPUT_CLASH, span, message).remedy());
            } else {
                variables.insert(variable, (needed, output));
            }
        }
    }
}

/// A cache hides what else is at its place.
fn caches_overlap(job: &Job, table: &NeedTable, context: &mut Context<'_>) {
    for (cache, written) in job.spec.caches.iter().zip(&job.caches) {
        let Some(path) = cache.path.in_workspace() else { continue };
        if !paths_overlap(path.as_str(), &table.at.value) {
            continue;
        }
        let name = &cache.name;
        let message =
            format!("files at `{}` and the cache `{name}` at `{path}` overlap", shorten(&table.at));
        context.report(
            Diagnostic::error(&codes::FILES_OVERLAP, table.at.span, message)
                .also(written.span, "the cache")
                .help("give one of the two another place"),
        );
    }
}

/// What is asked for must be something that the needed job may keep.
fn files_are_left(needed: &Job, table: &NeedTable, context: &mut Context<'_>) {
    for glob in &table.files {
        if needed.spec.artifacts.iter().any(|kept| may_meet(kept, glob)) {
            continue;
        }
        let id = &needed.id;
        let message = format!("no artifact of `{id}` can match `{}`", shorten(glob));
        let help = if needed.spec.artifacts.is_empty() {
            format!("`{id}` keeps no files: give it `artifacts = [\"{}\"]`", shorten(glob))
        } else {
            format!("`{id}` keeps `{}`", needed.spec.artifacts.join("`, `"))
        };
        context.report(
            Diagnostic::error(&codes::NO_SUCH_ARTIFACT, glob.span, message)
                .also(needed.span, "the needed job")
                .help(help),
        );
    }
}
