//! A lock file as a graph of entries, and what differs between two of them.
//!
//! An entry is one resolved package: a name, a version, everything that decides what is installed
//! for it (source, checksum), and the entries it depends on. A package of the tree is affected by a
//! change exactly when the closure of its entries, before or after, holds one that differs. Knows
//! no format; each kind's reader fills a [`Lock`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// One resolved package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name, for people.
    pub(crate) name: String,
    /// Its version, for people; empty where it has none.
    pub(crate) version: String,
    /// What else decides what is installed, by the word for it: `source`, `checksum`.
    pub(crate) fields: BTreeMap<&'static str, String>,
    /// The ids of the entries it depends on. An id that the file does not have is kept: it differs
    /// from one that it has.
    pub(crate) dependencies: BTreeSet<String>,
}

/// A lock file, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lock {
    entries: BTreeMap<String, Entry>,
    packages: BTreeMap<String, BTreeSet<String>>,
    rest: BTreeMap<String, String>,
}

impl Lock {
    /// Adds an entry under an id that is its own in this file. It is best made of name, version and
    /// source, so that another version is another entry.
    pub(crate) fn insert(&mut self, id: impl Into<String>, entry: Entry) {
        self.entries.insert(id.into(), entry);
    }

    /// Says that an entry is a package of the tree, under the key that [`super::LockAt`] has.
    pub(crate) fn package(&mut self, key: impl Into<String>, id: impl Into<String>) {
        self.packages.entry(key.into()).or_default().insert(id.into());
    }

    /// Adds a part of the file that is no entry: where it differs, every package is affected.
    pub(crate) fn rest(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.rest.insert(name.into(), text.into());
    }

    /// Returns whether there is an entry of a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.values().any(|entry| entry.name == name)
    }

    /// Returns the names in the closure of a package; none if the file does not know it.
    pub(crate) fn names_of(&self, key: &str) -> Option<BTreeSet<String>> {
        let mut queue: Vec<&String> = self.packages.get(key)?.iter().collect();
        let mut seen: BTreeSet<&String> = queue.iter().copied().collect();
        let mut names = BTreeSet::new();
        while let Some(id) = queue.pop() {
            let Some(entry) = self.entries.get(id) else { continue };
            names.insert(entry.name.clone());
            queue.extend(entry.dependencies.iter().filter(|id| seen.insert(id)));
        }
        Some(names)
    }
}

/// An entry that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// The entry's name.
    pub(crate) name: String,
    /// The version before; nothing: it was not there.
    pub(crate) before: Option<String>,
    /// The version after; nothing: it is gone.
    pub(crate) after: Option<String>,
    /// What differs in an entry of one version: `checksum`, `dependencies`.
    pub(crate) differs: Vec<&'static str>,
}

/// What a package has to do with the difference of two lock files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Affected {
    /// It cannot be told, so the package counts as affected.
    Unknown(String),
    /// The entries in its closure that differ, the nearest first, each with the chain of names to it.
    By(Vec<(Difference, String)>),
}

/// Two lock files, compared. Answers for one package after the other.
pub(crate) struct Comparison {
    before: Side,
    after: Side,
    differences: Vec<Difference>,
    rest: Option<String>,
}

/// One of the two files, with numbers for ids.
struct Side {
    names: Vec<String>,
    edges: Vec<Vec<u32>>,
    /// For each entry, which difference it is part of.
    difference: Vec<Option<u32>>,
    packages: BTreeMap<String, Vec<u32>>,
}

impl Comparison {
    /// Compares two lock files.
    pub(crate) fn of(before: &Lock, after: &Lock) -> Self {
        let rest = before
            .rest
            .keys()
            .chain(after.rest.keys())
            .find(|name| before.rest.get(*name) != after.rest.get(*name))
            .map(|name| format!("`{name}` differs"));
        let mut marks = Marks::default();
        // Entries that only one side has: of one name, the nth goes with the nth.
        let mut gone: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, entry) in before.entries.iter().filter(|(id, _)| !after.entries.contains_key(*id))
        {
            gone.entry(&entry.name).or_default().push(id);
        }
        let mut new: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, entry) in after.entries.iter().filter(|(id, _)| !before.entries.contains_key(*id))
        {
            new.entry(&entry.name).or_default().push(id);
        }
        let names: BTreeSet<&str> = gone.keys().chain(new.keys()).copied().collect();
        for name in names {
            let gone = gone.get(name).map(Vec::as_slice).unwrap_or_default();
            let new = new.get(name).map(Vec::as_slice).unwrap_or_default();
            for at in 0..gone.len().max(new.len()) {
                marks.pair(before, after, gone.get(at).copied(), new.get(at).copied());
            }
        }
        // Entries of both sides: what they say of themselves, then what they depend on. A list of
        // dependencies that differs only by entries that differ themselves is no difference of its
        // own: the chain goes on to those.
        let both = || {
            before.entries.iter().filter_map(|(id, was)| Some((id, was, after.entries.get(id)?)))
        };
        for (id, was, is) in both() {
            if was.version != is.version || was.fields != is.fields {
                let fields = was.fields.keys().chain(is.fields.keys()).copied();
                let mut differs: Vec<&str> =
                    fields.filter(|field| was.fields.get(field) != is.fields.get(field)).collect();
                differs.sort_unstable();
                differs.dedup();
                marks.same(id, was, is, differs);
            }
        }
        for (id, was, is) in both() {
            if was.dependencies == is.dependencies || marks.before.contains_key(id.as_str()) {
                continue;
            }
            let told = |of: &BTreeMap<&str, u32>, id: &String| of.contains_key(id.as_str());
            let lost = was.dependencies.difference(&is.dependencies);
            let won = is.dependencies.difference(&was.dependencies);
            let (mut lost, mut won) = (lost.peekable(), won.peekable());
            let explained =
                lost.all(|id| told(&marks.before, id)) && won.all(|id| told(&marks.after, id));
            if !explained {
                marks.same(id, was, is, vec!["dependencies"]);
            }
        }
        Self {
            before: Side::of(before, &marks.before),
            after: Side::of(after, &marks.after),
            differences: marks.differences,
            rest,
        }
    }

    /// Returns what differs in the closure of a package; nothing: it is as it was.
    pub(crate) fn affects(&self, key: &str) -> Option<Affected> {
        if let Some(rest) = &self.rest {
            return Some(Affected::Unknown(rest.clone()));
        }
        if self.differences.is_empty() {
            return None;
        }
        let found = match (self.before.packages.get(key), self.after.packages.get(key)) {
            // A lock file that does not know the package cannot say what it depends on.
            (None, None) => return Some(Affected::Unknown(format!("it has no entry of `{key}`"))),
            _ => self.reached(key),
        };
        (!found.is_empty()).then_some(Affected::By(found))
    }

    /// The differences that a package reaches, after first, then those that only before has.
    fn reached(&self, key: &str) -> Vec<(Difference, String)> {
        let mut found: Vec<(usize, u32, String)> = Vec::new();
        let mut seen = BTreeSet::new();
        for side in [&self.after, &self.before] {
            let starts = side.packages.get(key).cloned().unwrap_or_default();
            side.walk(starts, |at, parents| {
                let Some(difference) = side.difference[at as usize] else { return };
                if seen.insert(difference) {
                    let chain = side.chain(at, parents);
                    found.push((chain.len(), difference, chain.join(" -> ")));
                }
            });
        }
        found.sort_by_key(|(length, difference, _)| (*length, *difference));
        let differences = found.into_iter();
        differences.map(|(_, at, chain)| (self.differences[at as usize].clone(), chain)).collect()
    }
}

/// Which entries are part of which difference.
#[derive(Default)]
struct Marks<'a> {
    differences: Vec<Difference>,
    before: BTreeMap<&'a str, u32>,
    after: BTreeMap<&'a str, u32>,
}

impl<'a> Marks<'a> {
    fn pair(&mut self, before: &Lock, after: &Lock, gone: Option<&'a str>, new: Option<&'a str>) {
        let was = gone.map(|id| &before.entries[id]);
        let is = new.map(|id| &after.entries[id]);
        let Some(name) = is.or(was).map(|entry| entry.name.clone()) else { return };
        let mut differs = Vec::new();
        if let (Some(was), Some(is)) = (was, is)
            && was.version == is.version
        {
            let fields = was.fields.keys().chain(is.fields.keys()).copied();
            differs.extend(fields.filter(|it| was.fields.get(it) != is.fields.get(it)));
            differs.sort_unstable();
            differs.dedup();
        }
        let version = |entry: &Entry| entry.version.clone();
        let difference =
            Difference { name, before: was.map(version), after: is.map(version), differs };
        let at = self.add(difference);
        self.before.extend(gone.map(|id| (id, at)));
        self.after.extend(new.map(|id| (id, at)));
    }

    fn same(&mut self, id: &'a str, was: &Entry, is: &Entry, differs: Vec<&'static str>) {
        let at = self.add(Difference {
            name: is.name.clone(),
            before: Some(was.version.clone()),
            after: Some(is.version.clone()),
            differs,
        });
        self.before.insert(id, at);
        self.after.insert(id, at);
    }

    fn add(&mut self, difference: Difference) -> u32 {
        let at = u32::try_from(self.differences.len()).expect("fewer entries than 2^32");
        self.differences.push(difference);
        at
    }
}

impl Side {
    fn of(lock: &Lock, marks: &BTreeMap<&str, u32>) -> Self {
        let number: HashMap<&str, u32> = lock.entries.keys().map(String::as_str).zip(0..).collect();
        let numbers = |ids: &BTreeSet<String>| {
            ids.iter().filter_map(|id| number.get(id.as_str()).copied()).collect::<Vec<u32>>()
        };
        let entries = lock.entries.iter();
        Self {
            names: lock.entries.values().map(|entry| entry.name.clone()).collect(),
            edges: lock.entries.values().map(|entry| numbers(&entry.dependencies)).collect(),
            difference: entries.map(|(id, _)| marks.get(id.as_str()).copied()).collect(),
            packages: lock.packages.iter().map(|(key, ids)| (key.clone(), numbers(ids))).collect(),
        }
    }

    /// Visits the closure of some entries, the nearest first, with the entry each was reached from.
    fn walk(&self, starts: Vec<u32>, mut visit: impl FnMut(u32, &[u32])) {
        let mut parents = vec![u32::MAX; self.edges.len()];
        let mut seen = vec![false; self.edges.len()];
        let mut queue: VecDeque<u32> = VecDeque::new();
        for start in starts {
            if !std::mem::replace(&mut seen[start as usize], true) {
                queue.push_back(start);
            }
        }
        while let Some(at) = queue.pop_front() {
            visit(at, &parents);
            for &next in &self.edges[at as usize] {
                if !std::mem::replace(&mut seen[next as usize], true) {
                    parents[next as usize] = at;
                    queue.push_back(next);
                }
            }
        }
    }

    fn chain(&self, at: u32, parents: &[u32]) -> Vec<&str> {
        let mut chain = Vec::new();
        let mut next = at;
        while let Some(name) = self.names.get(next as usize) {
            chain.push(name.as_str());
            next = parents[next as usize];
        }
        chain.reverse();
        chain
    }
}
