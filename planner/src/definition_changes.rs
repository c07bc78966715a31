//! What a change of manifest or catalog changes: the jobs whose definition differs.
//!
//! The files of the base and of head are both resolved, and what they mean is compared, lane by
//! lane and job by job: another order, comments or formatting change nothing. A base whose files
//! cannot be read, or that is not known, makes every lane count as changed, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Catalog, Diagnostics, LaneIndex};
use plans::{
    Change, ChangedEntry, DefinitionChanged, JobId, MATCHED_LIMIT, RepoPath, Source, Trigger,
};

use crate::{
    DefinitionPaths, PlanningError, Request,
    git::ObjectId,
    packages::changed,
    planned_tree::Inputs,
    repo_context::{Changed, RepoContext, read_definitions},
    select::Scope,
};

/// The lanes whose definition differs.
#[derive(Debug, Default)]
pub struct DefinitionChanges {
    /// Each of them, with the jobs that differ.
    pub by_lane: BTreeMap<LaneIndex, DefinitionChanged>,
}

impl DefinitionChanges {
    /// Compares the definitions of each base with head's.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] when a file of the base cannot be read from the repository at all.
    pub fn find(
        context: &RepoContext,
        request: &Request,
        catalog: &Catalog,
        inputs: &Inputs,
        changed: &Changed,
    ) -> Result<Self, PlanningError> {
        let mut found = Self::default();
        // A scenario shows what its paths select; it has no definitions before and after.
        let scenario = matches!(changed.source, Source::Scenario(_));
        let manual = request.wanted.trigger == Trigger::Manual;
        if scenario {
            changed::unknown_locks(&mut found, catalog, &changed.changes);
            return Ok(found);
        }
        if manual || changed.scope != Scope::Changes {
            return Ok(found);
        }
        if changed.base_is_empty {
            found.add_all_jobs(catalog);
            return Ok(found);
        }
        if changed.base_trees.is_empty() {
            changed::unknown_locks(&mut found, catalog, &changed.changes);
        }
        for &tree in &changed.base_trees {
            let before = context.tree(tree).expect("a base comes from a repository");
            let after = context.planned_tree();
            changed::locks(&mut found, &before, &after, catalog, &changed.changes)?;
        }
        if !touches(&request.definitions, inputs, &changed.changes) {
            return Ok(found);
        }
        if changed.base_trees.is_empty() {
            found.everything(catalog, "a definition changed, and what it was before is not known");
            return Ok(found);
        }
        for &tree in &changed.base_trees {
            match definitions_of(context, request, tree)? {
                Ok((base, _)) => found.compare(&base, catalog),
                Err(why) => found.everything(catalog, &why),
            }
        }
        Ok(found)
    }

    /// Every job of every lane is new.
    pub(crate) fn add_all_jobs(&mut self, catalog: &Catalog) {
        for lane in catalog.lane_indices() {
            let jobs = catalog.jobs_of(lane).iter().map(|&job| catalog[job].id.clone());
            self.add(lane, jobs.collect());
        }
    }

    pub(crate) fn everything(&mut self, catalog: &Catalog, because: &str) {
        for lane in catalog.lane_indices() {
            self.unknown(lane, because);
        }
    }

    pub(crate) fn compare(&mut self, base: &Catalog, head: &Catalog) {
        for lane in head.lane_indices() {
            let before = base.lane(head[lane].id.as_str());
            let definitions = before.map(|lane| base.definitions(lane)).unwrap_or_default();
            let same_group = before.is_some_and(|lane_before| {
                base[lane_before].concurrency_group == head[lane].concurrency_group
            });
            let differing: BTreeSet<JobId> = head
                .definitions(lane)
                .into_iter()
                .filter(|(job, now)| !same_group || definitions.get(job) != Some(now))
                .map(|(job, _)| job.clone())
                .collect();
            if !differing.is_empty() {
                self.add(lane, differing);
            }
            if let Some(before) = before {
                let shared = changed::shared_entries(&base[before].derived, &head[lane].derived);
                self.entries(head, lane, shared);
            }
        }
    }

    /// Every job of a lane counts as changed.
    pub(crate) fn unknown(&mut self, lane: LaneIndex, because: &str) {
        let because = Some(because.to_owned());
        self.by_lane.insert(lane, DefinitionChanged { because, ..DefinitionChanged::default() });
    }

    /// Every job of a lane counts as changed, for entries that differ in files that packages share.
    pub(crate) fn entries(&mut self, head: &Catalog, lane: LaneIndex, entries: Vec<ChangedEntry>) {
        if entries.is_empty() {
            return;
        }
        self.add(lane, head.jobs_of(lane).iter().map(|&job| head[job].id.clone()).collect());
        let known = self.by_lane.entry(lane).or_default();
        let before = known.entries.len();
        known.entries.extend(entries);
        // Two bases see the same entry differ.
        let mut seen = BTreeSet::new();
        known.entries.retain(|it| seen.insert((it.file.clone(), it.name.clone(), it.via.clone())));
        known.entries_total += (known.entries.len() - before) as u64;
        known.entries.truncate(MATCHED_LIMIT);
    }

    fn add(&mut self, lane: LaneIndex, jobs: BTreeSet<JobId>) {
        let known = self.by_lane.entry(lane).or_default();
        let all: BTreeSet<JobId> = known.jobs.drain(..).chain(jobs).collect();
        known.jobs.extend(all);
    }
}

/// Whether a changed path is, or was, one of the files that the definitions are made of.
pub(crate) fn touches(paths: &DefinitionPaths, inputs: &Inputs, changes: &[Change]) -> bool {
    // A catalog that is gone was not read.
    let main = [paths.manifest.as_bytes(), paths.catalog.as_bytes()];
    let touches = |path: &RepoPath| main.contains(&path.as_bytes()) || inputs.concern(path);
    changes.iter().any(|change| touches(&change.path))
}

/// The definitions of a base, or why it has none.
pub(crate) fn definitions_of(
    context: &RepoContext,
    request: &Request,
    tree: ObjectId,
) -> Result<Result<(Catalog, Inputs), String>, PlanningError> {
    let tree = context.tree(tree).expect("a base comes from a repository");
    match read_definitions(&tree, &request.definitions) {
        Ok(found) => Ok(Ok(found)),
        Err(PlanningError::Definitions(found)) => Ok(Err(unreadable_base(&found))),
        Err(error) => Err(error),
    }
}

/// Why the definitions of a base count as different.
pub(crate) fn unreadable_base(found: &Diagnostics) -> String {
    let first = found.iter().next().map_or("unknown", |first| first.message.as_str());
    format!("the base's definitions cannot be read: {first}")
}
