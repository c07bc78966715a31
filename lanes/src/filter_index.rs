//! Which globs match a path, for tens of thousands of globs and paths.
//!
//! Globs are bucketed by the literal directory they start with; a path asks the buckets of its
//! ancestors and no other. `dir/**` and plain paths are answered by a hash lookup. What is left
//! in a bucket is parsed when a path first gets there, and a crowded bucket is divided further by
//! the bytes its patterns start with, end with and contain, so that neither many globs in one
//! directory nor many paths meet each other one by one.
//!
//! Knows globs and paths; who owns a glob, and what a match means, is not its business.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use aho_corasick::AhoCorasick;

use crate::glob::{self, GlobProblem, Pattern, alternatives, literal_directory};

/// A glob of one index; the same text is the same glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GlobId(u32);

impl GlobId {
    /// Returns the glob's position, counted from 0 in the order in which globs were first written.
    #[must_use]
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// Globs, each once, and an index over them.
#[derive(Debug, Clone, Default)]
pub struct GlobIndex {
    texts: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, GlobId>,
    buckets: OnceLock<Arc<Buckets>>,
}

impl GlobIndex {
    /// Adds a glob, if its form is allowed; the same text gets the same id.
    ///
    /// # Errors
    ///
    /// [`GlobProblem`] says what is wrong with its form.
    pub fn add(&mut self, text: &str) -> Result<GlobId, GlobProblem> {
        if let Some(id) = self.ids.get(text) {
            return Ok(*id);
        }
        glob::check(text)?;
        let id = GlobId(u32::try_from(self.texts.len()).expect("fewer than 2^32 globs"));
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.ids.insert(text, id);
        self.buckets = OnceLock::new();
        Ok(id)
    }

    /// Makes room for so many more globs.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.texts.reserve(more);
        self.ids.reserve(more);
    }

    /// Returns how many distinct globs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Returns the glob as written.
    #[must_use]
    pub fn text(&self, id: GlobId) -> &str {
        &self.texts[id.position()]
    }

    /// Returns the id of a text that is one of the globs.
    #[must_use]
    pub fn id(&self, text: &str) -> Option<GlobId> {
        self.ids.get(text).copied()
    }

    /// Returns the ids of all globs.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = GlobId> {
        (0..self.texts.len()).map(|position| GlobId(u32::try_from(position).unwrap_or(u32::MAX)))
    }

    /// Replaces `hits` by the globs that match a changed path, sorted. A submodule's path also
    /// counts as a directory: `vendor/**` matches the submodule `vendor`.
    pub fn matches(&self, path: &[u8], submodule: bool, hits: &mut Vec<GlobId>) {
        let buckets = self.buckets.get_or_init(|| Arc::new(Buckets::of(&self.texts)));
        hits.clear();
        // A glob without signs and braces is its own only match.
        if let Ok(text) = std::str::from_utf8(path)
            && let Some(id) = self.ids.get(text)
            && !text.contains(SIGNS)
            && !text.contains('{')
        {
            hits.push(*id);
        }
        buckets.matches(&self.texts, path, hits);
        if submodule {
            let directory = [path, b"/"].concat();
            buckets.matches(&self.texts, &directory, hits);
        }
        hits.sort_unstable();
        hits.dedup();
    }
}

/// The index proper.
#[derive(Debug, Default)]
struct Buckets {
    /// Alternatives without any sign that braces stood for, by their text.
    exact: HashMap<Box<[u8]>, Vec<GlobId>>,
    /// Whatever has signs, by the literal directory they start with.
    below: HashMap<Box<[u8]>, Bucket>,
}

/// The globs that start with one literal directory.
#[derive(Debug, Default)]
struct Bucket {
    /// `dir/**`.
    all: Option<GlobId>,
    /// Every other pattern, not yet parsed.
    patterns: Vec<Written>,
    /// The patterns, parsed when a path first asks.
    parsed: OnceLock<Box<Divided>>,
}

/// What follows the literal directory in one alternative of a glob.
#[derive(Debug)]
struct Written {
    glob: GlobId,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// The glob's own text from this byte on.
    From(usize),
    /// An alternative that braces stood for.
    Text(Box<str>),
}

impl Buckets {
    fn of(texts: &[Arc<str>]) -> Self {
        let mut buckets = Self { below: HashMap::with_capacity(texts.len()), ..Self::default() };
        for (position, text) in texts.iter().enumerate() {
            let glob = GlobId(u32::try_from(position).unwrap_or(u32::MAX));
            if text.contains('{') {
                for alternative in alternatives(text) {
                    match rest_start(&alternative) {
                        Some(start) => {
                            let rest = Rest::Text(alternative[start..].into());
                            buckets.add(glob, &alternative, rest);
                        }
                        None => {
                            let path = alternative.as_bytes().into();
                            buckets.exact.entry(path).or_default().push(glob);
                        }
                    }
                }
            } else if let Some(start) = rest_start(text) {
                buckets.add(glob, text, Rest::From(start));
            }
        }
        buckets
    }

    fn add(&mut self, glob: GlobId, text: &str, rest: Rest) {
        let length = literal_directory(text);
        let directory = &text.as_bytes()[..length];
        if !self.below.contains_key(directory) {
            self.below.insert(directory.into(), Bucket::default());
        }
        let Some(bucket) = self.below.get_mut(directory) else { return };
        let everything = text.len() == rest_of(length) + 2 && text.ends_with("**");
        if everything && bucket.all.is_none() {
            bucket.all = Some(glob);
        } else {
            bucket.patterns.push(Written { glob, rest });
        }
    }

    fn matches(&self, texts: &[Arc<str>], path: &[u8], hits: &mut Vec<GlobId>) {
        if !self.exact.is_empty()
            && let Some(globs) = self.exact.get(path)
        {
            hits.extend(globs);
        }
        let mut names: Vec<&[u8]> = Vec::new();
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for directory in std::iter::once(0).chain(slashes) {
            let Some(bucket) = self.below.get(&path[..directory]) else { continue };
            hits.extend(bucket.all);
            if bucket.patterns.is_empty() {
                continue;
            }
            let below = &path[if directory == 0 { 0 } else { directory + 1 }..];
            names.clear();
            names.extend(below.split(|&byte| byte == b'/'));
            let parsed =
                bucket.parsed.get_or_init(|| Box::new(Divided::of(&bucket.patterns, texts)));
            parsed.matches(below, &names, hits);
        }
    }
}

/// What makes a text more than itself; braces stand for texts without.
const SIGNS: [char; 4] = ['*', '?', '[', '\\'];

/// Returns where the text behind a literal directory of that length starts.
fn rest_of(directory: usize) -> usize {
    if directory == 0 { 0 } else { directory + 1 }
}

/// Returns where the part with signs starts, if there is one.
fn rest_start(text: &str) -> Option<usize> {
    text.contains(SIGNS).then(|| rest_of(literal_directory(text)))
}

/// Up to this many patterns are simply tried.
const FEW: usize = 8;

/// The patterns of a bucket, divided by what their matches start and end with.
#[derive(Debug)]
enum Divided {
    Few(Vec<(GlobId, Pattern)>),
    Many(Affixes<Affixes<Contained>>),
}

impl Divided {
    fn of(written: &[Written], texts: &[Arc<str>]) -> Self {
        let parse = |written: &Written| {
            let text = match &written.rest {
                Rest::From(start) => &texts[written.glob.position()][*start..],
                Rest::Text(text) => text,
            };
            (written.glob, Pattern::parse(text))
        };
        if written.len() <= FEW {
            return Self::Few(written.iter().map(parse).collect());
        }
        let by_start = written.iter().map(parse).map(|(glob, pattern)| {
            let start = pattern.literal_start();
            (start, (glob, pattern))
        });
        Self::Many(Affixes::of(by_start.collect(), |patterns| {
            let by_end = patterns.into_iter().map(|(glob, pattern)| {
                let mut end = pattern.literal_end();
                end.reverse();
                (end, (glob, pattern))
            });
            Affixes::of(by_end.collect(), Contained::of)
        }))
    }

    fn matches(&self, below: &[u8], names: &[&[u8]], hits: &mut Vec<GlobId>) {
        match self {
            Self::Few(patterns) => {
                let matching = patterns.iter().filter(|(_, pattern)| pattern.matches(names));
                hits.extend(matching.map(|(glob, _)| *glob));
            }
            Self::Many(by_start) => {
                let backwards: Vec<u8> = below.iter().rev().copied().collect();
                for by_end in by_start.starting(below) {
                    for contained in by_end.starting(&backwards) {
                        contained.matches(below, names, hits);
                    }
                }
            }
        }
    }
}

/// Values by a key that a text must start with. Sorted, each key linked to its longest proper
/// prefix among the keys: all keys that a text starts with are then one search and one chain.
#[derive(Debug)]
struct Affixes<T> {
    keys: Vec<Vec<u8>>,
    shorter: Vec<Option<usize>>,
    values: Vec<T>,
}

impl<T> Affixes<T> {
    fn of<V>(mut pairs: Vec<(Vec<u8>, V)>, value: impl Fn(Vec<V>) -> T) -> Self {
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut groups: Vec<Vec<V>> = Vec::new();
        for (key, member) in pairs {
            if keys.last() != Some(&key) {
                keys.push(key);
                groups.push(Vec::new());
            }
            if let Some(group) = groups.last_mut() {
                group.push(member);
            }
        }
        let mut shorter: Vec<Option<usize>> = Vec::with_capacity(keys.len());
        for position in 0..keys.len() {
            let mut candidate = position.checked_sub(1);
            while let Some(at) = candidate
                && !keys[position].starts_with(&keys[at])
            {
                candidate = shorter[at];
            }
            shorter.push(candidate);
        }
        Self { keys, shorter, values: groups.into_iter().map(value).collect() }
    }

    /// Returns the values of every key that `text` starts with.
    fn starting(&self, text: &[u8]) -> impl Iterator<Item = &T> {
        let mut next = self.keys.partition_point(|key| key.as_slice() <= text).checked_sub(1);
        std::iter::from_fn(move || {
            while let Some(at) = next {
                next = self.shorter[at];
                if text.starts_with(&self.keys[at]) {
                    return Some(&self.values[at]);
                }
            }
            None
        })
    }
}

/// From this many patterns on, a search for what their matches contain pays.
const CROWD: usize = 64;

/// Patterns that start and end alike, found by what their matches contain.
#[derive(Debug)]
struct Contained {
    patterns: Vec<(GlobId, Pattern)>,
    /// Finds the patterns from `search_from` on; those before contain nothing in particular.
    search: Option<AhoCorasick>,
    search_from: usize,
}

impl Contained {
    fn of(mut patterns: Vec<(GlobId, Pattern)>) -> Self {
        let everything = Self { patterns: Vec::new(), search: None, search_from: 0 };
        if patterns.len() < CROWD {
            return Self { search_from: patterns.len(), patterns, ..everything };
        }
        patterns.sort_by_key(|(_, pattern)| !pattern.literal_inside().is_empty());
        let needles: Vec<Vec<u8>> =
            patterns.iter().map(|(_, pattern)| pattern.literal_inside()).collect();
        let search_from = needles.partition_point(Vec::is_empty);
        // Too large for the automaton: try them all, slower but right.
        match AhoCorasick::new(&needles[search_from..]) {
            Ok(search) => Self { patterns, search: Some(search), search_from },
            Err(_) => Self { search_from: patterns.len(), patterns, ..everything },
        }
    }

    fn matches(&self, below: &[u8], names: &[&[u8]], hits: &mut Vec<GlobId>) {
        let mut attempt = |(glob, pattern): &(GlobId, Pattern)| {
            if pattern.matches(names) {
                hits.push(*glob);
            }
        };
        self.patterns[..self.search_from].iter().for_each(&mut attempt);
        if let Some(search) = &self.search {
            let mut candidates: Vec<usize> = search
                .find_overlapping_iter(below)
                .map(|found| self.search_from + found.pattern().as_usize())
                .collect();
            candidates.sort_unstable();
            candidates.dedup();
            candidates.into_iter().map(|at| &self.patterns[at]).for_each(attempt);
        }
    }
}
