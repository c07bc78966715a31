//! `matrix` and `shards`: one job as written becomes one for each combination and part.
//!
//! Works on tables as written, before any name is resolved, so that everything behind it knows only
//! plain jobs; a group is the name its members are called by together. What stands in for
//! `${{ matrix.NAME }}`, and where, is `fill`'s.

mod combine;
mod fill;

use std::collections::{BTreeSet, HashMap};

use self::{
    combine::{combinations, id_of},
    fill::{Filling, refuse_without_matrix},
};
use crate::{
    bounds::MOST_MEMBERS,
    codes,
    diagnostic::Diagnostic,
    groups::{Groups, Member},
    job_file::{JobFile, Settings},
    names::shorten,
    read::Written,
    source::{At, SourceId, Span},
};

/// Replaces every job with a matrix or shards by its members.
pub(crate) fn expand(written: &mut Written, found: &mut Vec<Diagnostic>) {
    let mut plain: HashMap<String, Span> = HashMap::new();
    let mut bases: HashMap<String, Settings> = HashMap::new();
    let mut any = false;
    for part in &written.catalogs {
        for (name, base) in part.file.bases.iter().flat_map(|bases| &bases.0) {
            if fill::mentions(&base.settings) {
                bases.insert(name.value.clone(), base.settings.clone());
            }
        }
        for job in part.file.targets.iter().flatten().flat_map(|it| it.jobs.iter().flatten()) {
            if is_group(job) {
                any = true;
            } else {
                refuse_without_matrix(job, found);
            }
        }
    }
    if !any {
        return;
    }
    for part in &written.catalogs {
        for job in part.file.targets.iter().flatten().flat_map(|it| it.jobs.iter().flatten()) {
            if !is_group(job) {
                plain.entry(job.id.value.clone()).or_insert(job.id.span);
            }
        }
    }
    let mut groups = Groups::default();
    for part in &mut written.catalogs {
        for target in part.file.targets.iter_mut().flatten() {
            let Some(jobs) = &mut target.jobs else { continue };
            if !jobs.iter().any(is_group) {
                continue;
            }
            let mut expanded = Vec::with_capacity(jobs.len());
            for job in std::mem::take(jobs) {
                if !is_group(&job) {
                    expanded.push(job);
                    continue;
                }
                if let Some(first) = plain.insert(job.id.value.clone(), job.id.span) {
                    let message = format!("two jobs have the id `{}`", shorten(&job.id));
                    found.push(
                        Diagnostic::error(&codes::DUPLICATE_ID, job.id.span, message)
                            .also(first, "the first"),
                    );
                }
                let base = job.base.as_ref().and_then(|name| bases.get(name.as_str()));
                let members = members(&job, base, found);
                let mut ids = Vec::with_capacity(members.len());
                for (file, member) in members {
                    ids.push(file.id.value.clone());
                    groups.members.insert(file.id.value.clone(), member);
                    expanded.push(file);
                }
                groups.groups.insert(job.id.value.clone(), ids);
            }
            *jobs = expanded;
        }
    }
    written.groups = groups;
}

fn is_group(job: &JobFile) -> bool {
    job.matrix.is_some()
        || job.shards.is_some()
        || job.shard_files.is_some()
        || job.shard_durations.is_some()
        || job.matrix_include.is_some()
        || job.matrix_exclude.is_some()
}

/// The jobs that come of one; a first member stands for a group of which something is wrong, so
/// that what else is wrong with the job is told as well.
fn members(
    job: &JobFile,
    base: Option<&Settings>,
    found: &mut Vec<Diagnostic>,
) -> Vec<(JobFile, Member)> {
    let before = found.len();
    let mut rows = if job.matrix.is_some() || job.matrix_include.is_some() {
        combinations(job, found)
    } else {
        if let Some(first) = job.matrix_exclude.iter().flatten().next() {
            let message = "`matrix_exclude` takes nothing away without a `matrix`";
            found.push(Diagnostic::error(&codes::EMPTY_MATRIX, first.span, message).remedy());
        }
        vec![combine::Row::default()]
    };
    let shards = shards(job, found);
    shard_files(job, found);
    let count = rows.len().saturating_mul(shards.map_or(1, |count| count as usize));
    if found.len() == before && count > MOST_MEMBERS {
        let span = job.matrix.as_ref().map(|at| at.span).or(job.shards.map(|at| at.span));
        too_many(job, count, span.unwrap_or(job.id.span), found);
    }
    if found.len() > before {
        rows.truncate(1);
    }
    let known: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.values.keys().map(String::as_str)).collect();
    // Its matrix may be as long as it has members, each of which would have a copy of it.
    let mut template = job.clone();
    (template.matrix, template.shards) = (None, None);
    (template.matrix_exclude, template.matrix_include) = (None, None);
    let mut taken: HashMap<String, String> = HashMap::new();
    let mut members = Vec::with_capacity(count.min(MOST_MEMBERS));
    for row in &rows {
        for shard in parts(shards.filter(|_| found.len() == before)) {
            let id = id_of(&job.id, row, shard.map(|(index, _)| index));
            let said = row.said();
            if let Some(other) = taken.insert(id.clone(), said.clone()) {
                let span = job.matrix.as_ref().map_or(job.id.span, |at| at.span);
                let message = format!("two combinations would both be the job `{}`", shorten(&id));
                found.push(
                    Diagnostic::error(&codes::MATRIX_COLLISION, span, message)
                        .help(format!("`{}` and `{}`", shorten(&other), shorten(&said)))
                        .remedy(),
                );
                return members;
            }
            let mut nothing = Vec::new();
            // What is wrong is wrong in each of them, and told once.
            let told = if members.is_empty() { &mut *found } else { &mut nothing };
            let id = At { value: id, span: job.id.span };
            let mut file = JobFile { id, ..template.clone() };
            Filling { job, base, row: &row.values, known: &known, found: told }
                .fill(&mut file, shard);
            let member = Member { group: job.id.value.clone(), matrix: row.values.clone(), shard };
            members.push((file, member));
        }
    }
    members
}

fn parts(shards: Option<u32>) -> impl Iterator<Item = Option<(u32, u32)>> {
    let last = shards.unwrap_or(1);
    (1..=last).map(move |index| shards.map(|count| (index, count)))
}

fn shards(job: &JobFile, found: &mut Vec<Diagnostic>) -> Option<u32> {
    let shards = job.shards?;
    if shards.value == 0 {
        let message = "a job in 0 parts would run nothing";
        found.push(
            Diagnostic::error(&codes::BAD_VALUE, shards.span, message)
                .help("write how many parts it has, from 1 up"),
        );
        return None;
    }
    Some(shards.value)
}

/// What is divided among parts has parts, and is something.
fn shard_files(job: &JobFile, found: &mut Vec<Diagnostic>) {
    let mut refuse = |span: Span, message: &str, help: &str| {
        found.push(Diagnostic::error(&codes::INVALID_COMBINATION, span, message).help(help));
    };
    if let Some(durations) = &job.shard_durations
        && job.shard_files.is_none()
    {
        let help = "name the files with `shard_files`, or remove the key";
        refuse(durations.span, "`shard_durations` is about the files of `shard_files`", help);
    }
    let Some(files) = &job.shard_files else { return };
    if job.shards.is_none() {
        let help = "say with `shards` how many parts there are, or remove the key";
        refuse(files.span, "`shard_files` are divided among `shards`", help);
    }
    if files.value.is_empty() {
        let message = "`shard_files` names no file that could be divided";
        found.push(
            Diagnostic::error(&codes::BAD_VALUE, files.span, message)
                .help("write a glob of the files, such as `tests/**/*.rs`"),
        );
    }
}

fn too_many(job: &JobFile, count: usize, span: Span, found: &mut Vec<Diagnostic>) {
    let id = shorten(&job.id);
    let message = format!("the job `{id}` would be {count} jobs, and one may be {MOST_MEMBERS}");
    found.push(Diagnostic::error(&codes::MATRIX_TOO_LARGE, span, message).remedy());
}

/// Tells what is wrong with several members of a group once, as something of the group.
pub(crate) fn once(mut found: Vec<Diagnostic>, groups: &Groups) -> Vec<Diagnostic> {
    once_each(&mut found, groups, |diagnostic| DiagnosticParts {
        place: diagnostic.span.map(|span| (span.source, span.start)),
        kind: diagnostic.code.name,
        // That two members have one id is no fault of either.
        message: (diagnostic.code.name != codes::MATRIX_COLLISION.name)
            .then_some(&mut diagnostic.message),
    });
    found
}

/// What tells two findings apart.
pub(crate) struct DiagnosticParts<'a> {
    /// Where it is.
    pub(crate) place: Option<(SourceId, u32)>,
    /// What kind of finding it is.
    pub(crate) kind: &'static str,
    /// Its words, if they may name the group in place of a member.
    pub(crate) message: Option<&'a mut String>,
}

/// Keeps one of the findings that several members of a group have in common, and lets it name the
/// group. A key of a group is looked at once for each member.
pub(crate) fn once_each<T>(
    found: &mut Vec<T>,
    groups: &Groups,
    parts_of: impl for<'a> Fn(&'a mut T) -> DiagnosticParts<'a>,
) {
    if groups.groups.is_empty() {
        return;
    }
    let mut seen = BTreeSet::new();
    found.retain_mut(|it| {
        let DiagnosticParts { place, kind, message } = parts_of(it);
        let Some(message) = message else { return true };
        let parts: Vec<&str> = message
            .split('`')
            .map(|part| groups.members.get(part).map_or(part, |member| member.group.as_str()))
            .collect();
        *message = parts.join("`");
        seen.insert((place, kind, message.clone()))
    });
}
