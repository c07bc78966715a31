//! A file that lanes follow by what is in it: a lock file, a manifest that packages share.
//!
//! No glob says that such a file counts, so the answer names the lanes, whose packages they are
//! about, and, where a change is at hand, the entries that differ with the chain to each.

use std::collections::BTreeSet;

use lanes::Catalog;
use plans::{ChangedEntry, DefinitionChanged, Reason, RepoPath};
use serde::Serialize;

use super::PathAnswer;
use crate::{Decision, render::words};

/// A lane that runs when what its packages take from a file differs.
#[derive(Debug, Serialize)]
pub struct FollowedBy {
    /// The lane.
    pub lane: String,
    /// Its title.
    pub title: String,
    /// Whose list it is in.
    pub trigger: &'static str,
    /// The packages whose entries count, where it is a lock file.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub packages: BTreeSet<String>,
    /// The entries that count, where it is a manifest that packages share.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// It says for the whole workspace what the packages are and where their dependencies lead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
    /// The entries of it that differ in the change at hand and make the lane run, the first ones;
    /// absent: there is no change at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<ChangedEntry>>,
    /// Why all of it counts as changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// The lanes that follow a file, in manifest order.
pub(super) fn by_lanes(catalog: &Catalog, path: &RepoPath) -> Vec<FollowedBy> {
    let Some(path) = path.as_str() else { return Vec::new() };
    let of_lane = |lane: &lanes::Lane| {
        let derived = &lane.derived;
        let locks = derived.locks.iter().filter(|used| used.path == path);
        let entries = derived.entries.keys().filter(|(file, _)| file == path);
        Some(FollowedBy {
            lane: lane.id.to_string(),
            title: lane.title.clone(),
            trigger: lane.trigger.as_str(),
            packages: locks.map(|used| used.package.clone()).collect(),
            entries: entries.map(|(_, name)| name.clone()).collect(),
            root: derived.roots.contains(path),
            changed: None,
            because: None,
        })
        .filter(|it| it.root || !it.packages.is_empty() || !it.entries.is_empty())
    };
    catalog.lanes().iter().filter_map(of_lane).collect()
}

impl PathAnswer {
    /// Adds what of the file differs in the change that a decision is about.
    pub fn add_change(&mut self, decision: &Decision) {
        let file = self.path.display().into_owned();
        for followed in &mut self.followed_by {
            let lane = decision.catalog.lane(&followed.lane);
            let selection = decision.selected.lanes.iter().find(|it| Some(it.lane) == lane);
            let Some(selection) = selection else { continue };
            let mut changed = Vec::new();
            for reason in &selection.reasons {
                let Reason::DefinitionChanged(of) = reason else { continue };
                let of_file = of.entries.iter().filter(|entry| entry.file == file);
                changed.extend(of_file.cloned());
                let because = of.because.as_ref().filter(|it| it.contains(&format!("`{file}`")));
                followed.because = followed.because.take().or_else(|| because.cloned());
            }
            followed.changed = Some(changed);
        }
    }
}

impl FollowedBy {
    pub(super) fn lines(&self) -> Vec<String> {
        const NAMED: usize = 5;
        let mut what = Vec::new();
        if !self.packages.is_empty() {
            let packages: Vec<String> = self.packages.iter().map(|it| format!("`{it}`")).collect();
            what.push(format!("an entry changes that {} resolves to", packages.join(" or ")));
        }
        if !self.entries.is_empty() {
            let more = self.entries.len().saturating_sub(NAMED);
            let named: Vec<String> =
                self.entries.iter().take(NAMED).map(|it| format!("`{it}`")).collect();
            let more = if more == 0 { String::new() } else { format!(" or {more} more") };
            what.push(format!("{}{more} of it changes", named.join(", ")));
        }
        if self.root {
            what.push("it makes packages depend on something else".to_owned());
        }
        let mut lines = vec![format!(
            "  followed by {} ({}) · runs when {}",
            self.lane,
            self.title,
            what.join(", or when ")
        )];
        if let Some(because) = &self.because {
            lines.push(format!("    runs now: {because}"));
        }
        match self.changed.as_deref() {
            None => {}
            Some([]) if self.because.is_none() => {
                lines.push("    nothing of that differs in this change".to_owned());
            }
            Some(entries) => {
                for entry in entries {
                    let one = DefinitionChanged {
                        entries: vec![entry.clone()],
                        entries_total: 1,
                        ..DefinitionChanged::default()
                    };
                    let sentence = words::reason(&Reason::DefinitionChanged(one));
                    lines.push(format!("    differs: {}", words::plain(&sentence)));
                }
            }
        }
        lines
    }
}
