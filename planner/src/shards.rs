//! Which files each part of a job's work gets: the matching files of the planned tree, divided among the
//! shards of the job.
//!
//! The file that takes longest goes first, to the part that has least so far; of equal ones the order of paths and
//! of parts decides, so the same tree is divided in the same way everywhere. Without durations every file takes the
//! same time. Owns that, and what of it cannot be done; where the list comes to a job is the executor's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use lanes::{
    Catalog, Diagnostic, Diagnostics, JobIndex, ShardFiles,
    codes::{self, Code},
    glob::Glob,
};
use plans::{FileDurations, JobInputs, RepoPath, TreeFilter};

use crate::{
    PlanningError,
    git::FileKind,
    planned_tree::{DefinitionFiles, PlannedTree, TreeError},
};

/// A glob brings no file.
pub static MATCH_NOTHING: Code = Code {
    name: "shard_files_match_nothing",
    cause: "A glob of `shard_files` matches no file of the tree that the job sees: what it was meant to \
            name would be tested by no part.",
    remedy: "Write the path as it is now, or take the glob out.",
};

/// A part would have nothing to do.
pub static WITHOUT_FILES: Code = Code {
    name: "shard_without_files",
    cause: "A job has more `shards` than `shard_files` match: a part would have no file, and many tools \
            test everything when they are told of none.",
    remedy: "Take shards away, or let `shard_files` match more.",
};

/// Nobody can say how long files take.
pub static BAD_DURATIONS: Code = Code {
    name: "bad_shard_durations",
    cause: "The file that `shard_durations` names is not in the tree, or does not say how long files take.",
    remedy: "Commit what `executor history --durations -o FILE` writes, or take the key out until there \
             is such a file.",
};

/// Everything that can be wrong.
pub(crate) static CODES: [&Code; 3] = [&BAD_DURATIONS, &MATCH_NOTHING, &WITHOUT_FILES];

/// Divides the files of every job with `shard_files`, and tells each of its parts.
///
/// # Errors
///
/// [`PlanningError`] with everything that cannot be divided.
pub(crate) fn derive(
    catalog: &mut Catalog,
    files: &DefinitionFiles<'_>,
) -> Result<(), PlanningError> {
    let parts = JobIndex::all(catalog.jobs().len());
    let parts: Vec<JobIndex> = parts.filter(|&job| catalog[job].shard_files.is_some()).collect();
    let mut divided: HashMap<Question, Vec<Vec<RepoPath>>> = HashMap::new();
    let mut durations: BTreeMap<String, Result<FileDurations, String>> = BTreeMap::new();
    let mut found = Vec::new();
    for index in parts {
        let job = &catalog[index];
        let (Some(written), Some(shard)) = (&job.shard_files, job.shard) else { continue };
        let question = Question::of(catalog, index, written, shard.count);
        if !divided.contains_key(&question) {
            let known = match &written.durations {
                None => None,
                Some(at) => {
                    let path = at.value.as_str();
                    if !durations.contains_key(path) {
                        durations.insert(path.to_owned(), read(files.tree(), path)?);
                    }
                    match &durations[path] {
                        Ok(known) => Some(known),
                        Err(problem) => {
                            let message = format!("`{path}` {problem}");
                            let bad = Diagnostic::error(&BAD_DURATIONS, at.span, message);
                            found.push(bad.remedy());
                            None
                        }
                    }
                }
            };
            let matching = question.matching(files.tree())?;
            judge(catalog, written, &matching, shard.count, &mut found);
            divided.insert(question.clone(), divide(&matching, known, shard.count));
        }
        let part = divided[&question][shard.index as usize - 1].clone();
        catalog.set_part(index, part);
    }
    if found.is_empty() {
        return Ok(());
    }
    let found = Diagnostics::new(catalog.sources().clone(), found);
    Err(PlanningError::Definitions(Box::new(found)))
}

/// What decides a division.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    globs: Vec<String>,
    seen: Option<JobInputs>,
    left_out: Vec<String>,
    durations: Option<String>,
    count: u32,
}

impl Question {
    fn of(catalog: &Catalog, job: JobIndex, written: &ShardFiles, count: u32) -> Self {
        let spec = &catalog[job].spec;
        let profile = spec.snapshot_profile.as_ref();
        let texts = written.globs.iter().map(|used| catalog.globs().text(used.glob).to_owned());
        Self {
            globs: texts.collect(),
            seen: spec.inputs.clone(),
            left_out: profile.map(|it| it.exclude.clone()).unwrap_or_default(),
            durations: written.durations.as_ref().map(|at| at.value.as_str().to_owned()),
            count,
        }
    }

    /// Returns the files that the globs match and that the job sees, sorted.
    fn matching(&self, tree: &PlannedTree<'_>) -> Result<Vec<RepoPath>, TreeError> {
        let wanted = JobInputs { paths: self.globs.clone(), exclude: self.left_out.clone() };
        let broken = |problem: plans::glob::GlobProblem| {
            TreeError::Git(crate::git::GitError::Other {
                doing: "reading the globs of a job's shards".to_owned(),
                detail: problem.to_string(),
            })
        };
        let wanted = TreeFilter::new(Some(&wanted), None).map_err(broken)?;
        let seen = TreeFilter::new(self.seen.as_ref(), None).map_err(broken)?;
        let mut files: Vec<RepoPath> = match tree {
            PlannedTree::Git { repository, tree } => repository
                .files_seen(*tree, &wanted)?
                .into_iter()
                .filter(|file| file.kind != FileKind::Submodule)
                .map(|file| file.path)
                .collect(),
            PlannedTree::Directory(_) => {
                let mut paths = tree.paths()?;
                paths.retain(|path| wanted.keeps(path.as_bytes(), false));
                paths
            }
        };
        files.retain(|path| seen.keeps(path.as_bytes(), false));
        files.sort();
        Ok(files)
    }
}

/// Reads a file of durations; what is wrong with it is the inner error.
fn read(tree: &PlannedTree<'_>, path: &str) -> Result<Result<FileDurations, String>, TreeError> {
    let Some(content) = tree.content(path)? else {
        return Ok(Err("is not in the tree".to_owned()));
    };
    Ok(FileDurations::from_json(&content.bytes).map_err(|error| format!("is not right: {error}")))
}

/// Tells what cannot be divided.
fn judge(
    catalog: &Catalog,
    written: &ShardFiles,
    files: &[RepoPath],
    count: u32,
    found: &mut Vec<Diagnostic>,
) {
    let before = found.len();
    for used in &written.globs {
        let text = catalog.globs().text(used.glob);
        let Ok(glob) = Glob::new(text) else { continue };
        if !files.iter().any(|path| glob.is_match(path.as_bytes())) {
            let message =
                format!("the glob `{text}` of `shard_files` matches no file that the job sees");
            found.push(Diagnostic::error(&MATCH_NOTHING, used.span, message).remedy());
        }
    }
    if let Some(path) = files.iter().find(|path| path.as_bytes().contains(&b'\n')) {
        let message = format!("`shard_files` match `{path}`, and a list has a path on each line");
        let help = "rename the file, or write the globs so that they do not match it";
        found.push(Diagnostic::error(&codes::BAD_VALUE, written.span, message).help(help));
    }
    if found.len() == before && files.len() < count as usize {
        let files = match files.len() {
            1 => "1 file".to_owned(),
            some => format!("{some} files"),
        };
        let message = format!("{files} cannot be divided among {count} shards");
        found.push(Diagnostic::error(&WITHOUT_FILES, written.span, message).remedy());
    }
}

/// Divides files, sorted by path, among so many parts; each part is sorted by path.
fn divide(files: &[RepoPath], known: Option<&FileDurations>, count: u32) -> Vec<Vec<RepoPath>> {
    let weights = weights(files, known);
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&at| Reverse(weights[at]));
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); count as usize];
    let mut least: BinaryHeap<Reverse<(u64, usize)>> =
        (0..parts.len()).map(|part| Reverse((0, part))).collect();
    for file in order {
        let Some(Reverse((load, part))) = least.pop() else { break };
        parts[part].push(file);
        least.push(Reverse((load.saturating_add(weights[file]), part)));
    }
    let mut lists = Vec::with_capacity(parts.len());
    for mut part in parts {
        part.sort_unstable();
        lists.push(part.into_iter().map(|file| files[file].clone()).collect());
    }
    lists
}

/// How long each file takes, in milliseconds and at least one; one that is not known is like the middle one of those
/// that are.
fn weights(files: &[RepoPath], known: Option<&FileDurations>) -> Vec<u64> {
    let of = |path: &RepoPath| {
        let seconds = known?.of(path.as_str()?)?;
        // As large as it likes: a conversion from a float ends at the greatest number.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let millis = (seconds * 1000.0).round() as u64;
        Some(millis.max(1))
    };
    let each: Vec<Option<u64>> = files.iter().map(of).collect();
    let mut sorted: Vec<u64> = each.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(1);
    each.into_iter().map(|it| it.unwrap_or(middle)).collect()
}

#[cfg(test)]
mod tests;
