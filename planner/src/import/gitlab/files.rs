//! Files between jobs of GitLab: `artifacts:paths`, and who has them by `needs`, `dependencies` or
//! an earlier stage. They are where they were, so a path may be a file or a directory.

use serde_json::Value;

use crate::import::{
    artifacts::{self, Files, To},
    document::{text, text_of, texts},
    pipeline::Entry,
};

/// Gives each job what those before it keep; `ranks` has the place of its stage.
pub(super) fn pass_on(jobs: &[(String, Value)], ranks: &[(usize, bool)], entries: &mut [Entry]) {
    let of = |entry: &Entry| jobs.iter().find(|(name, _)| *name == entry.key).map(|(_, job)| job);
    let jobs_of: Vec<Value> =
        entries.iter().map(|it| of(it).cloned().unwrap_or_default()).collect();
    let kept: Vec<Files> =
        entries.iter_mut().zip(&jobs_of).map(|(entry, job)| kept(entry, job)).collect();
    for (entry, kept) in entries.iter_mut().zip(&kept) {
        entry.job.artifacts.clone_from(&kept.globs);
    }
    for at in 0..entries.len() {
        let named = jobs_of[at].get("dependencies").map(|it| texts(Some(it)));
        for (need, pulls) in sources(&jobs_of[at], named.as_ref(), at, ranks, entries) {
            if kept[need].globs.is_empty() {
                continue;
            }
            let name = entries[need].key.clone();
            if !pulls && !starts_alike(&entries[need], &entries[at]) {
                entries[at].job.comment.push(format!(
                    "Not carried over: the files of `{name}`, which runs for other changes: \
                     `dependencies` or `needs` would say that it needs them."
                ));
                continue;
            }
            let of_many = !entries[need].job.members.is_empty();
            let done = entries[at].take(need, of_many, &kept[need], &To::Below(String::new()));
            if let Err(why) = done {
                let line = format!("Not carried over: the files of `{name}`: {why}.");
                entries[at].job.comment.push(line);
            }
        }
    }
}

fn starts_alike(a: &Entry, b: &Entry) -> bool {
    a.when == b.when && a.nightly == b.nightly
}

/// The jobs whose files a job has, and whether it asks for them by name.
fn sources(
    job: &Value,
    named: Option<&Vec<String>>,
    at: usize,
    ranks: &[(usize, bool)],
    entries: &[Entry],
) -> Vec<(usize, bool)> {
    let place = |name: &str| entries.iter().position(|it| it.key == name).filter(|&it| it != at);
    let is_wanted = |name: &String| named.is_none_or(|named| named.contains(name));
    let Some(needs) = job.get("needs") else {
        return match named {
            Some(named) => named.iter().filter_map(|it| Some((place(it)?, true))).collect(),
            None => {
                let earlier = |&it: &usize| {
                    ranks[it].0 < ranks[at].0 && entries[it].nightly == entries[at].nightly
                };
                (0..entries.len()).filter(earlier).map(|it| (it, false)).collect()
            }
        };
    };
    let list = needs.as_array().cloned().unwrap_or_else(|| vec![needs.clone()]);
    let has = |need: &&Value| {
        need.get("artifacts") != Some(&Value::Bool(false))
            && ["project", "pipeline"].iter().all(|key| need.get(key).is_none())
    };
    let names = list.iter().filter(has).filter_map(|it| text_of(it).or_else(|| text(it, "job")));
    names.filter(is_wanted).filter_map(|name| Some((place(&name)?, true))).collect()
}

/// What a job keeps; says what of it is left out.
fn kept(entry: &mut Entry, job: &Value) -> Files {
    let mut found = Files::default();
    let Some(artifacts) = job.get("artifacts") else { return found };
    for key in ["exclude", "untracked", "reports"] {
        if artifacts.get(key).is_some() {
            entry.job.comment.push(format!("Not carried over: `artifacts:{key}`."));
        }
    }
    for path in texts(artifacts.get("paths")) {
        let plain = ["$CI_PROJECT_DIR/", "${CI_PROJECT_DIR}/"];
        let plain = plain.iter().find_map(|start| path.strip_prefix(start)).unwrap_or(&path);
        match artifacts::glob(plain) {
            Ok((glob, _)) if !found.globs.contains(&glob) => found.globs.push(glob),
            Ok(_) => {}
            Err(why) => entry.job.comment.push(format!("Not carried over: `artifacts`: {why}.")),
        }
    }
    found
}
