//! What the files declare under a name, and whether anything uses it.
//!
//! Walks the tables as written, after a load found nothing wrong: a [`Catalog`](crate::Catalog)
//! holds only what jobs became, and what nobody uses is gone from it. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalog_file::CatalogFile,
    job_file::{PlacementFile, Settings},
    lane_trigger::LaneTrigger,
    manifest::{LaneFile, Manifest},
    read::Written,
    source::{At, Span},
};

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeclarationKind {
    /// `[bases.NAME]`.
    Base,
    /// `[hosts.NAME]`.
    Host,
    /// A name of `[path_sets]`.
    PathSet,
    /// `[snapshot_profiles.NAME]`.
    SnapshotProfile,
}

/// A thing that other parts of the files refer to by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// What it is.
    pub kind: DeclarationKind,
    /// Its name.
    pub name: String,
    /// Where the name is declared.
    pub span: Span,
    /// Whether anything names it, used itself or not.
    pub used: bool,
}

/// What the files declare, and what they leave to a default.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    /// Bases, hosts, path sets and snapshot profiles of the user's own, by kind and name.
    pub list: Vec<Declaration>,
    /// The `id` of every lane whose own command names no timeout, directly or by its base.
    pub default_timeouts: Vec<Span>,
}

impl Declarations {
    pub(crate) fn of(written: &Written) -> Self {
        let mut uses = Uses::default();
        for part in &written.manifests {
            uses.manifest(&part.file);
        }
        for part in &written.catalogs {
            uses.catalog(&part.file);
        }
        let mut list = Vec::new();
        let mut declare = |kind, name: &At<String>| {
            let used = uses.of(kind).contains(name.as_str());
            list.push(Declaration { kind, name: name.value.clone(), span: name.span, used });
        };
        for part in &written.manifests {
            for (name, _) in part.file.path_sets.iter().flat_map(|named| &named.0) {
                declare(DeclarationKind::PathSet, name);
            }
        }
        for part in written.own_catalogs() {
            for (name, _) in part.file.bases.iter().flat_map(|named| &named.0) {
                declare(DeclarationKind::Base, name);
            }
            for (name, _) in part.file.hosts.iter().flat_map(|named| &named.0) {
                declare(DeclarationKind::Host, name);
            }
            for (name, _) in part.file.snapshot_profiles.iter().flat_map(|named| &named.0) {
                // `full` is what jobs see that name no profile.
                if name.as_str() != "full" {
                    declare(DeclarationKind::SnapshotProfile, name);
                }
            }
        }
        list.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Self { list, default_timeouts: default_timeouts(written) }
    }
}

fn lanes(manifest: &Manifest) -> impl Iterator<Item = &LaneFile> {
    let triggers = [LaneTrigger::Branch, LaneTrigger::Nightly];
    triggers.into_iter().flat_map(|trigger| manifest.lanes_of(trigger))
}

fn default_timeouts(written: &Written) -> Vec<Span> {
    let mut bases: BTreeMap<&str, &Settings> = BTreeMap::new();
    for part in &written.catalogs {
        for (name, base) in part.file.bases.iter().flat_map(|named| &named.0) {
            bases.insert(name, &base.settings);
        }
    }
    let relies = |lane: &&LaneFile| {
        let base = lane.base.as_ref().and_then(|name| bases.get(name.as_str()));
        lane.command.is_some()
            && lane.settings.timeout_secs.is_none()
            && base.is_none_or(|base| base.timeout_secs.is_none())
    };
    let all = written.manifests.iter().flat_map(|part| lanes(&part.file));
    all.filter(relies).map(|lane| lane.id.span).collect()
}

/// Every name that something refers to.
#[derive(Default)]
struct Uses<'a> {
    bases: BTreeSet<&'a str>,
    hosts: BTreeSet<&'a str>,
    sets: BTreeSet<&'a str>,
    profiles: BTreeSet<&'a str>,
}

impl<'a> Uses<'a> {
    fn of(&self, kind: DeclarationKind) -> &BTreeSet<&'a str> {
        match kind {
            DeclarationKind::Base => &self.bases,
            DeclarationKind::Host => &self.hosts,
            DeclarationKind::PathSet => &self.sets,
            DeclarationKind::SnapshotProfile => &self.profiles,
        }
    }

    fn manifest(&mut self, file: &'a Manifest) {
        self.globs(file.ignore.as_deref());
        self.globs(file.run_all.as_deref());
        for (_, list) in file.path_sets.iter().flat_map(|named| &named.0) {
            self.globs(Some(list));
        }
        for lane in lanes(file) {
            self.globs(lane.paths.as_deref());
            self.globs(lane.exclude.as_deref());
            self.bases.extend(lane.base.as_ref().map(|name| name.as_str()));
            self.globs(lane.input_files());
            self.settings(&lane.settings);
        }
    }

    fn catalog(&mut self, file: &'a CatalogFile) {
        for (_, base) in file.bases.iter().flat_map(|named| &named.0) {
            self.settings(&base.settings);
        }
        for target in file.targets.iter().flatten() {
            self.globs(target.paths.as_deref());
            self.globs(target.exclude.as_deref());
            if let Some(staged) = &target.staged_linux {
                self.globs(staged.inputs.as_deref());
                self.globs(staged.inputs_exclude.as_deref());
            }
            let profile =
                target.staged_linux.as_ref().and_then(|staged| staged.snapshot_profile.as_ref());
            self.profiles.extend(profile.map(|name| name.as_str()));
            for job in target.jobs.iter().flatten() {
                self.globs(job.paths.as_deref());
                self.globs(job.exclude.as_deref());
                self.globs(job.shard_files.as_ref().map(|at| &*at.value));
                self.bases.extend(job.base.as_ref().map(|name| name.as_str()));
                self.settings(&job.settings);
            }
        }
    }

    fn settings(&mut self, settings: &'a Settings) {
        if let Some(PlacementFile::RemoteSsh(remote)) =
            settings.placement.as_ref().map(|at| &at.value)
        {
            self.hosts.insert(&remote.host);
        }
        self.profiles.extend(settings.snapshot_profile.as_ref().map(|name| name.as_str()));
        settings.input_globs().for_each(|globs| self.globs(globs));
    }

    fn globs(&mut self, list: Option<&'a [At<String>]>) {
        let texts = list.unwrap_or_default().iter();
        self.sets.extend(texts.filter_map(|text| text.strip_prefix('@')));
    }
}
