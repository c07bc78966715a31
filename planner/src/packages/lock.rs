//! A lock file as a graph of entries, and what differs between two of them.
//!
//! An entry is one resolved package: a name, a version, everything that decides what is installed
//! for it (source, checksum), and the entries it depends on. A package of the tree is affected by a
//! change exactly when the closure of its entries, before or after, holds one that differs. Knows
//! no format; each kind's reader makes a [`Lock`] that borrows from the file's text.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use super::document::Node;

/// One resolved package.
#[derive(Debug, Clone, Default)]
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct Entry<'t> {
    /// What tells it from the others of the file, best made of name, version and source, so that
    /// another version is another entry.
    pub(crate) id: Cow<'t, str>,
    /// Its name, for people.
    pub(crate) name: Cow<'t, str>,
    /// Its version, for people; empty where it has none.
    pub(crate) version: Cow<'t, str>,
    /// What else decides what is installed, by the word for it: `source`, `checksum`.
    pub(crate) fields: Vec<(&'static str, Node<'t>)>,
    /// What it depends on.
    pub(crate) needs: Vec<Need<'t>>,
}

/// What an entry depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need<'t> {
    /// Another entry, by its place in the list that [`Lock::new`] is given.
    Entry(usize),
    /// What the file has no entry of, as it is written. It differs from one that it has.
    Absent(Cow<'t, str>),
}

/// A lock file, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lock<'t> {
    /// Sorted by id.
    entries: Vec<Entry<'t>>,
    packages: BTreeMap<Cow<'t, str>, Vec<usize>>,
    rest: BTreeMap<Cow<'t, str>, Node<'t>>,
    /// What a field means, where it is kept as it is written.
    settle: Option<Settle>,
}

/// What the value of a field means, by the field's name.
type Settle = for<'v> fn(&str, Node<'v>) -> Node<'v>;

impl<'t> Lock<'t> {
    /// A file of some entries, with those of them that are packages of the tree, under the keys that
    /// [`super::LockAt`] has. Of entries with one id each stays one of its own.
    pub(crate) fn new(
        mut entries: Vec<Entry<'t>>,
        packages: impl IntoIterator<Item = (Cow<'t, str>, usize)>,
    ) -> Self {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|&one, &other| entries[one].id.cmp(&entries[other].id));
        let twins: Vec<usize> = order
            .windows(2)
            .filter(|pair| entries[pair[0]].id == entries[pair[1]].id)
            .map(|pair| pair[1])
            .collect();
        if !twins.is_empty() {
            for (number, at) in twins.into_iter().enumerate() {
                let id = format!("{} #{number}", entries[at].id);
                entries[at].id = Cow::Owned(id);
            }
            order.sort_by(|&one, &other| entries[one].id.cmp(&entries[other].id));
        }
        let mut place = vec![0; entries.len()];
        for (to, &from) in order.iter().enumerate() {
            place[from] = to;
        }
        for entry in &mut entries {
            for need in &mut entry.needs {
                if let Need::Entry(at) = need {
                    *at = place[*at];
                }
            }
            entry.needs.sort_unstable();
            entry.needs.dedup();
        }
        let mut lock = Self::default();
        for (key, at) in packages {
            lock.packages.entry(key).or_default().push(place[at]);
        }
        for places in lock.packages.values_mut() {
            places.sort_unstable();
            places.dedup();
        }
        lock.entries = order.iter().map(|&from| std::mem::take(&mut entries[from])).collect();
        lock
    }

    /// Says that a package of the tree is known, even if it has no entries.
    pub(crate) fn know(&mut self, key: &'static str) {
        self.packages.entry(Cow::Borrowed(key)).or_default();
    }

    /// Adds a part of the file that is no entry: where it differs, every package is affected.
    pub(crate) fn rest(&mut self, name: impl Into<Cow<'t, str>>, value: Node<'t>) {
        self.rest.insert(name.into(), value.sorted());
    }

    /// Says what the fields mean that are kept as they are written; it is asked where two entries are
    /// not written alike, so nearly never.
    pub(crate) fn settled_by(&mut self, settle: Settle) {
        self.settle = Some(settle);
    }

    /// Returns whether there is an entry of a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Returns the names in the closure of a package; none if the file does not know it.
    pub(crate) fn names_of(&self, key: &str) -> Option<BTreeSet<&str>> {
        let mut queue: Vec<usize> = self.packages.get(key)?.clone();
        let mut seen: BTreeSet<usize> = queue.iter().copied().collect();
        let mut names = BTreeSet::new();
        while let Some(at) = queue.pop() {
            names.insert(self.entries[at].name.as_ref());
            queue.extend(self.entries[at].below().filter(|&at| seen.insert(at)));
        }
        Some(names)
    }

    /// Returns the same without the text it was read from.
    pub(crate) fn into_owned(self) -> Lock<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let entry = |entry: Entry<'_>| Entry {
            id: owned(entry.id),
            name: owned(entry.name),
            version: owned(entry.version),
            fields: entry.fields.into_iter().map(|(key, it)| (key, it.into_owned())).collect(),
            needs: entry
                .needs
                .into_iter()
                .map(|need| match need {
                    Need::Entry(at) => Need::Entry(at),
                    Need::Absent(text) => Need::Absent(owned(text)),
                })
                .collect(),
        };
        Lock {
            entries: self.entries.into_iter().map(entry).collect(),
            packages: self.packages.into_iter().map(|(key, it)| (owned(key), it)).collect(),
            settle: self.settle,
            rest: self.rest.into_iter().map(|(key, it)| (owned(key), it.into_owned())).collect(),
        }
    }
}

/// What they mean is the same, however it is kept.
#[cfg(test)]
impl<'t> PartialEq for Lock<'t> {
    fn eq(&self, other: &Self) -> bool {
        let plain = |it: &Entry<'t>| -> Entry<'t> { Entry { fields: Vec::new(), ..it.clone() } };
        let alike = |(one, other): (&Entry<'t>, &Entry<'t>)| {
            plain(one) == plain(other) && one.differing(other, self.settle).is_empty()
        };
        self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(alike)
            && (&self.packages, &self.rest) == (&other.packages, &other.rest)
    }
}

impl Entry<'_> {
    /// The entries it depends on.
    fn below(&self) -> impl Iterator<Item = usize> {
        self.needs.iter().filter_map(|need| match need {
            Need::Entry(at) => Some(*at),
            Need::Absent(_) => None,
        })
    }

    /// The fields that are not alike, by name.
    fn differing(&self, other: &Self, settle: Option<Settle>) -> Vec<&'static str> {
        if self.fields == other.fields {
            return Vec::new();
        }
        let value = |of: &'_ Self, name: &str| {
            let found = of.fields.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| match settle {
                Some(settle) => settle(name, value.clone()),
                None => value.clone(),
            })
        };
        let names = self.fields.iter().chain(&other.fields).map(|(name, _)| *name);
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().filter(|name| value(self, name) != value(other, name)).collect()
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
pub(crate) struct Comparison<'l> {
    before: Side<'l>,
    after: Side<'l>,
    differences: Vec<Difference>,
    rest: Option<String>,
}

/// One of the two files.
struct Side<'l> {
    lock: &'l Lock<'l>,
    /// For each entry, the entry of the same id in the other file.
    twin: Vec<Option<usize>>,
    /// For each entry, which difference it is part of.
    difference: Vec<Option<usize>>,
    /// For each entry, whether its closure holds a difference.
    concerned: Vec<bool>,
}

impl<'l> Comparison<'l> {
    /// Compares two lock files.
    pub(crate) fn of(before: &'l Lock<'l>, after: &'l Lock<'l>) -> Self {
        let names = before.rest.keys().chain(after.rest.keys());
        let rest = names
            .into_iter()
            .find(|name| before.rest.get(*name) != after.rest.get(*name))
            .map(|name| format!("`{name}` differs"));
        let mut comparison = Self {
            before: Side::of(before),
            after: Side::of(after),
            differences: Vec::new(),
            rest,
        };
        comparison.find_twins();
        comparison.pair_others();
        comparison.mark_fields();
        comparison.mark_needs();
        comparison.before.find_concerned();
        comparison.after.find_concerned();
        comparison
    }

    /// Both lists are sorted by id.
    fn find_twins(&mut self) {
        let (before, after) = (&self.before.lock.entries, &self.after.lock.entries);
        let (mut was, mut is) = (0, 0);
        while let (Some(one), Some(other)) = (before.get(was), after.get(is)) {
            let order = one.id.cmp(&other.id);
            if order.is_eq() {
                self.before.twin[was] = Some(is);
                self.after.twin[is] = Some(was);
            }
            was += usize::from(order.is_le());
            is += usize::from(order.is_ge());
        }
    }

    /// Entries that only one side has: of one name, the nth goes with the nth.
    fn pair_others(&mut self) {
        let gone = self.before.others();
        let new = self.after.others();
        let names: BTreeSet<&str> = gone.keys().chain(new.keys()).copied().collect();
        for name in names {
            let of =
                |list: &'_ BTreeMap<&str, Vec<usize>>| list.get(name).cloned().unwrap_or_default();
            let (gone, new) = (of(&gone), of(&new));
            for at in 0..gone.len().max(new.len()) {
                let (was, is) = (gone.get(at).copied(), new.get(at).copied());
                let both = was.zip(is).map(|(was, is)| self.entries(was, is));
                let differs = both.filter(|(one, other)| one.version == other.version);
                let settle = self.before.lock.settle;
                let differs = differs.map(|(one, other)| one.differing(other, settle));
                self.mark(was, is, differs.unwrap_or_default());
            }
        }
    }

    /// Entries of both sides, by what they say of themselves.
    fn mark_fields(&mut self) {
        for (was, is) in self.before.twins() {
            let (one, other) = self.entries(was, is);
            let differs = one.differing(other, self.before.lock.settle);
            if one.version != other.version || !differs.is_empty() {
                self.mark(Some(was), Some(is), differs);
            }
        }
    }

    /// Entries of both sides, by what they depend on. A list of dependencies that differs only by
    /// entries that differ themselves is no difference of its own: the chain goes on to those.
    fn mark_needs(&mut self) {
        for (was, is) in self.before.twins() {
            if self.before.difference[was].is_some() {
                continue;
            }
            let told = self.before.all_in(was, &self.after, is)
                && self.after.all_in(is, &self.before, was);
            if !told {
                self.mark(Some(was), Some(is), vec!["dependencies"]);
            }
        }
    }

    fn entries(&self, was: usize, is: usize) -> (&'l Entry<'l>, &'l Entry<'l>) {
        (&self.before.lock.entries[was], &self.after.lock.entries[is])
    }

    /// Notes that two entries, or one alone, are a difference.
    fn mark(&mut self, was: Option<usize>, is: Option<usize>, differs: Vec<&'static str>) {
        let one = was.map(|at| &self.before.lock.entries[at]);
        let other = is.map(|at| &self.after.lock.entries[at]);
        let version = |entry: &Entry<'_>| entry.version.clone().into_owned();
        let number = self.differences.len();
        self.differences.push(Difference {
            name: other.or(one).map(|entry| entry.name.clone().into_owned()).unwrap_or_default(),
            before: one.map(version),
            after: other.map(version),
            differs,
        });
        for (side, at) in [(&mut self.before, was), (&mut self.after, is)] {
            if let Some(at) = at {
                side.difference[at] = Some(number);
            }
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
        let starts = [&self.after, &self.before].map(|side| (side, side.lock.packages.get(key)));
        if starts.iter().all(|(_, starts)| starts.is_none()) {
            // A lock file that does not know the package cannot say what it depends on.
            return Some(Affected::Unknown(format!("it has no entry of `{key}`")));
        }
        // The differences that it reaches after, then those that only before has.
        let mut found: Vec<(usize, usize, String)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (side, starts) in starts {
            side.walk(starts.map(Vec::as_slice).unwrap_or_default(), |at, parents| {
                let Some(difference) = side.difference[at] else { return };
                if seen.insert(difference) {
                    let chain = side.chain(at, parents);
                    found.push((chain.len(), difference, chain.join(" -> ")));
                }
            });
        }
        found.sort_by_key(|(length, difference, _)| (*length, *difference));
        let differences = found.into_iter();
        let found: Vec<(Difference, String)> =
            differences.map(|(_, at, chain)| (self.differences[at].clone(), chain)).collect();
        (!found.is_empty()).then_some(Affected::By(found))
    }
}

impl<'l> Side<'l> {
    fn of(lock: &'l Lock<'l>) -> Self {
        let count = lock.entries.len();
        let (twin, difference) = (vec![None; count], vec![None; count]);
        Self { lock, twin, difference, concerned: vec![false; count] }
    }

    /// The entries of both sides, each with its twin.
    fn twins(&self) -> Vec<(usize, usize)> {
        let twins = self.twin.iter().enumerate();
        twins.filter_map(|(at, twin)| Some((at, (*twin)?))).collect()
    }

    /// The entries that the other side does not have, by name.
    fn others(&self) -> BTreeMap<&'l str, Vec<usize>> {
        let mut others: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, entry) in self.lock.entries.iter().enumerate() {
            if self.twin[at].is_none() {
                others.entry(&entry.name).or_default().push(at);
            }
        }
        others
    }

    /// Whether everything that an entry depends on is there among what an entry of the other side
    /// depends on, or is a difference.
    fn all_in(&self, at: usize, other: &Self, there: usize) -> bool {
        let there = &other.lock.entries[there].needs;
        self.lock.entries[at].needs.iter().all(|need| match need {
            Need::Entry(at) => {
                self.difference[*at].is_some()
                    || self.twin[*at]
                        .is_some_and(|twin| there.binary_search(&Need::Entry(twin)).is_ok())
            }
            Need::Absent(_) => there.binary_search(need).is_ok(),
        })
    }

    /// Looks which closures hold a difference, from the differences up.
    fn find_concerned(&mut self) {
        let mut above: Vec<Vec<usize>> = vec![Vec::new(); self.lock.entries.len()];
        if self.difference.iter().all(Option::is_none) {
            return;
        }
        for (at, entry) in self.lock.entries.iter().enumerate() {
            entry.below().for_each(|below| above[below].push(at));
        }
        let differing = self.difference.iter().enumerate().filter(|(_, it)| it.is_some());
        let mut queue: Vec<usize> = differing.map(|(at, _)| at).collect();
        while let Some(at) = queue.pop() {
            if !std::mem::replace(&mut self.concerned[at], true) {
                queue.extend(&above[at]);
            }
        }
    }

    /// Visits what some entries reach and what leads to a difference, the nearest first, with the
    /// entry that each was reached from; those it begins with, from themselves.
    fn walk(&self, starts: &[usize], mut visit: impl FnMut(usize, &[Option<usize>])) {
        let mut queue: VecDeque<usize> =
            starts.iter().copied().filter(|&at| self.concerned[at]).collect();
        if queue.is_empty() {
            return;
        }
        let mut parents = vec![None; self.lock.entries.len()];
        for &at in &queue {
            parents[at] = Some(at);
        }
        while let Some(at) = queue.pop_front() {
            visit(at, &parents);
            for next in self.lock.entries[at].below() {
                if self.concerned[next] && parents[next].is_none() {
                    parents[next] = Some(at);
                    queue.push_back(next);
                }
            }
        }
    }

    fn chain(&self, at: usize, parents: &[Option<usize>]) -> Vec<&str> {
        let mut chain: Vec<&str> = vec![&self.lock.entries[at].name];
        let mut at = at;
        while let Some(parent) = parents[at].filter(|&parent| parent != at) {
            chain.push(&self.lock.entries[parent].name);
            at = parent;
        }
        chain.reverse();
        chain
    }
}
