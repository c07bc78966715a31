//! Jobs of another engine, with the changes that start them, as lanes, targets and jobs: the form
//! that every importer fills in, and the one place that makes lanes of it.
//!
//! Jobs with the same filters share a lane. What one list of `paths` and `exclude` cannot say is a
//! further lane of the same target.

use std::collections::{BTreeMap, BTreeSet};

use plans::OutputName;

use super::{artifacts::Artifacts, filter, selection::When, values};
use crate::init::draft::{CommandDraft, Draft, JobDraft, LaneDraft};

/// A job.
pub(super) struct Entry {
    /// Its name there.
    pub(super) key: String,
    pub(super) when: When,
    /// The lists that its lane is named after.
    pub(super) words: Vec<String>,
    /// Lines above its lane.
    pub(super) notes: Vec<String>,
    /// What runs; its id is given later.
    pub(super) job: JobDraft,
    /// It stands for something that could not be carried over, and fails.
    pub(super) placeholder: bool,
    /// Jobs that run before it and are pulled in, by place.
    pub(super) needs: Vec<usize>,
    /// What it keeps for others, and what it takes of theirs.
    pub(super) passed: Artifacts,
    /// Files of those: the job's place, globs over what it keeps, and where they are put.
    pub(super) takes: Vec<(usize, Vec<String>, String)>,
    /// Jobs whose lanes its lane waits for, where they are selected.
    pub(super) after: Vec<usize>,
    /// It reports on others.
    pub(super) gate: bool,
    /// A schedule starts it, and no change.
    pub(super) nightly: bool,
    /// At most one job of the group at a time.
    pub(super) group: Option<String>,
    /// Jobs of different parts share no lane: a stage.
    pub(super) part: Option<String>,
    /// The key of `inputs`, and packages.
    pub(super) inputs: Option<(&'static str, Vec<String>)>,
}

impl Entry {
    pub(super) fn new(key: String, job: JobDraft) -> Self {
        Self {
            key,
            when: When::Always,
            words: Vec::new(),
            notes: Vec::new(),
            job,
            placeholder: false,
            needs: Vec::new(),
            passed: Artifacts::default(),
            takes: Vec::new(),
            after: Vec::new(),
            gate: false,
            nightly: false,
            group: None,
            part: None,
            inputs: None,
        }
    }

    fn shares(&self, other: &Self) -> bool {
        self.when == other.when
            && self.after == other.after
            && self.nightly == other.nightly
            && self.group == other.group
            && self.part == other.part
            && self.inputs == other.inputs
    }
}

/// The jobs of one file.
pub(super) struct Pipeline<'a> {
    /// What people call it.
    pub(super) name: String,
    /// Lines above each of its lanes.
    pub(super) comment: Vec<String>,
    /// A schedule starts all of it, too; what a comment says of that.
    pub(super) again: Option<String>,
    pub(super) entries: Vec<Entry>,
    /// The wanted id and the title of the lane of some jobs.
    pub(super) lane: &'a dyn Fn(&[&Entry]) -> (String, String),
    /// The wanted id of a job, by its name there.
    pub(super) job_id: &'a dyn Fn(&str) -> String,
}

impl Pipeline<'_> {
    /// The jobs of a file of which there is nothing more to say: their lanes are called as most are.
    pub(super) fn new(name: impl Into<String>, entries: Vec<Entry>) -> Self {
        Self {
            name: name.into(),
            comment: Vec::new(),
            again: None,
            entries,
            lane: &simple,
            job_id: &str::to_owned,
        }
    }
}

/// Adds the lanes of a pipeline.
pub(super) fn draft(pipeline: Pipeline<'_>, draft: &mut Draft) {
    let entries = &pipeline.entries;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match groups.iter_mut().find(|group| entries[group[0]].shares(entry)) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    let ids = job_ids(&pipeline, &groups, draft);
    let ids = with_variables_apart(entries, ids, draft);
    let members = entries.iter().zip(&ids).flat_map(|(entry, id)| entry.job.ids(id)).collect();
    let mut lane_of: Vec<String> = vec![String::new(); entries.len()];
    let mut waiting: Vec<(usize, Vec<usize>)> = Vec::new();
    for group in groups {
        let own: Vec<&Entry> = group.iter().map(|&at| &entries[at]).collect();
        let first = own[0];
        let (wanted, title) = (pipeline.lane)(&own);
        let notes = own.iter().flat_map(|entry| entry.notes.clone()).collect();
        let id = lane_id(draft, &wanted, &members);
        let mut lane = LaneDraft {
            title: Some(title.clone()),
            description: pipeline.name.clone(),
            comment: [pipeline.comment.clone(), filter::distinct(notes)].concat(),
            id: id.clone(),
            nightly: first.nightly,
            concurrency_group: first.group.clone(),
            inputs: first.inputs.clone(),
            ..LaneDraft::default()
        };
        for &at in &group {
            let entry = &entries[at];
            draft.placeholders += usize::from(entry.placeholder);
            let needs = entry.needs.iter().map(|&need| ids[need].clone()).collect();
            let needs = filter::distinct(needs);
            let takes = entry.takes.iter().cloned();
            let takes = takes.map(|(of, files, to)| (ids[of].clone(), files, to)).collect();
            let command = match &entry.job.command {
                CommandDraft::Shell(script) => {
                    CommandDraft::Shell(values::linked(script, &|job, name| {
                        let of = ids.get(job).map_or("", String::as_str);
                        OutputName::new(name)
                            .map_or_else(|_| String::new(), |it| it.variable_of(of))
                    }))
                }
                argv => argv.clone(),
            };
            let own = ids[at].clone();
            lane.jobs.push(JobDraft { id: own, command, needs, takes, ..entry.job.clone() });
            lane_of[at].clone_from(&id);
        }
        let filters = match &first.when {
            When::Always => Vec::new(),
            When::For(filters) => filters.clone(),
        };
        let mut filters = filters.into_iter();
        if let Some(first) = filters.next() {
            lane.paths = Some(first.paths);
            lane.exclude = first.exclude;
            lane.statuses = first.statuses;
        }
        let again = pipeline.again.as_ref().filter(|_| !first.nightly).map(|why| LaneDraft {
            title: Some(format!("{title} (nightly)")),
            nightly: true,
            target_of: Some(id.clone()),
            comment: vec![why.clone()],
            ..LaneDraft::default()
        });
        waiting.push((draft.lanes.len(), first.after.clone()));
        draft.lanes.push(lane);
        for (number, filter) in (2..).zip(filters) {
            let more = LaneDraft {
                id: draft.fresh_id(&format!("{id}-{number}")),
                title: Some(format!("{title} ({number})")),
                target_of: Some(id.clone()),
                comment: vec![format!("The same as `{id}`, for other changes.")],
                paths: Some(filter.paths),
                exclude: filter.exclude,
                statuses: filter.statuses,
                concurrency_group: first.group.clone(),
                ..LaneDraft::default()
            };
            waiting.push((draft.lanes.len(), first.after.clone()));
            draft.lanes.push(more);
        }
        if let Some(again) = again {
            let id = draft.fresh_id(&format!("{id}-nightly"));
            draft.lanes.push(LaneDraft { id, ..again });
        }
    }
    wait(draft, &waiting, &lane_of);
}

/// Lets lanes wait for those of some jobs, and for all that run the same targets; a lane of changes and a
/// nightly one are never in one plan.
fn wait(draft: &mut Draft, waiting: &[(usize, Vec<usize>)], lane_of: &[String]) {
    for (lane, after) in waiting {
        let lanes: Vec<&String> = after.iter().map(|&job| &lane_of[job]).collect();
        let own = &draft.lanes[*lane];
        let is_one = |it: &&LaneDraft| {
            let runs = lanes.contains(&&it.id) || it.target_of.iter().any(|of| lanes.contains(&of));
            runs && it.nightly == own.nightly && it.id != own.id
        };
        let found = draft.lanes.iter().filter(is_one);
        // In the order in which they are waited for, others of the same targets behind.
        let (first, more): (Vec<&LaneDraft>, Vec<&LaneDraft>) =
            found.partition(|it| lanes.contains(&&it.id));
        let place = |it: &&LaneDraft| lanes.iter().position(|id| **id == it.id);
        let mut first = first;
        first.sort_by_key(place);
        let found: Vec<String> = first.into_iter().chain(more).map(|it| it.id.clone()).collect();
        draft.lanes[*lane].after = found;
    }
}

/// The ids of the jobs, in the order of their lanes.
fn job_ids(pipeline: &Pipeline<'_>, groups: &[Vec<usize>], draft: &Draft) -> Vec<String> {
    let mut ids = vec![String::new(); pipeline.entries.len()];
    let mut taken = draft.taken();
    // What a matrix makes gives way to what is written.
    let (each, plain): (Vec<usize>, Vec<usize>) =
        groups.iter().flatten().partition(|&&at| !pipeline.entries[at].job.members.is_empty());
    for at in plain.into_iter().chain(each) {
        let entry = &pipeline.entries[at];
        let plain = plain_id(&(pipeline.job_id)(&entry.key));
        let fresh = (2..).map(|n| format!("{plain}-{n}"));
        let is_free = |id: &String| entry.job.ids(id).iter().all(|id| !taken.contains(id));
        let ours = std::iter::once(plain.clone()).chain(fresh).find(is_free);
        ids[at] = ours.unwrap_or(plain);
        taken.extend(entry.job.ids(&ids[at]));
    }
    ids
}

/// The ids, some of them longer: two outputs of jobs that one needs must not be one variable of it, nor
/// one that it sets.
fn with_variables_apart(entries: &[Entry], mut ids: Vec<String>, draft: &Draft) -> Vec<String> {
    // Each time around, one id gets longer.
    for number in 2..100 {
        let clash = entries.iter().find_map(|entry| {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            let own = entry.job.env.iter().map(|(name, _)| (name.clone(), usize::MAX));
            seen.extend(own);
            let needs: BTreeSet<usize> = entry.needs.iter().copied().collect();
            let outputs = needs.into_iter().flat_map(|need| {
                entries[need].job.outputs.iter().map(move |name| (need, name.as_str()))
            });
            outputs.into_iter().find_map(|(need, name)| {
                let variable = OutputName::new(name).ok()?.variable_of(&ids[need]);
                let before = seen.insert(variable, need);
                before.filter(|&other| other != need).map(|_| need)
            })
        });
        let Some(job) = clash else { break };
        let mut taken = draft.taken();
        taken.extend(entries.iter().zip(&ids).flat_map(|(entry, id)| entry.job.ids(id)));
        let fresh = (number..).map(|number| format!("{}-{number}", ids[job]));
        let is_free = |id: &String| entries[job].job.ids(id).iter().all(|id| !taken.contains(id));
        if let Some(id) = fresh.take(100).find(is_free) {
            ids[job] = id;
        }
    }
    ids
}

/// A lane's id must be no job's, or the two would read alike in a plan.
fn lane_id(draft: &Draft, wanted: &str, jobs: &BTreeSet<String>) -> String {
    let fresh = draft.fresh_id(wanted);
    let taken = |id: &String| jobs.contains(id) || draft.fresh_id(id) != *id;
    if !jobs.contains(&fresh) {
        return fresh;
    }
    // The word goes behind what is left of a long name, or it would be cut off with the rest.
    let plain = plain_id(wanted);
    let room = |word: &str| plain[..plain.len().min(48 - word.len())].to_owned() + word;
    let numbered = (2..).map(|number| room(&format!("-lane-{number}")));
    let mut names = std::iter::once(room("-lane")).chain(numbered);
    names.find(|id| !taken(id)).unwrap_or(fresh)
}

/// A lane called after its first job.
pub(super) fn simple(entries: &[&Entry]) -> (String, String) {
    let first = &entries[0].key;
    let more = entries.len() - 1;
    let title = if more == 0 { first.clone() } else { format!("{first} and {more} more") };
    (format!("{first}-lane"), title)
}

/// A name as an id of ours.
pub(super) fn plain_id(name: &str) -> String {
    Draft::default().fresh_id(name)
}
