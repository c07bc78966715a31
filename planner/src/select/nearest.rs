//! The nearest miss: which changed path came closest to a filter that nothing selected.
//!
//! Closest is the longest common beginning of a path and the literal beginning of a glob, found by
//! binary search in the sorted change set: the cost grows with globs, not with globs times paths.

use std::cmp::Ordering;

use lanes::{Catalog, PathFilter};
use plans::{Change, Nearest};

use crate::matches::Matches;

/// The change set, ready for questions about neighbours.
pub(super) struct Nearby<'a> {
    changes: &'a [Change],
}

impl<'a> Nearby<'a> {
    /// Takes a change set that is sorted by path.
    pub(super) fn new(changes: &'a [Change]) -> Self {
        Self { changes }
    }

    /// Returns the nearest miss of a filter: a path that matched and did not count before one that
    /// only came close.
    pub(super) fn miss(
        &self,
        catalog: &Catalog,
        matches: &Matches<'_>,
        filter: &PathFilter,
    ) -> Option<Nearest> {
        let globs = catalog.globs();
        for used in filter.paths.iter().flatten() {
            if let Some(&at) = matches.of_glob(used.glob).first() {
                let change = &self.changes[at as usize];
                let excluded_by = matches.excluded_by(filter, at);
                return Some(Nearest {
                    glob: globs.text(used.glob).to_owned(),
                    path: change.path.clone(),
                    status: excluded_by.is_none().then_some(change.status),
                    excluded_by: excluded_by.map(|glob| globs.text(glob).to_owned()),
                });
            }
        }
        let mut best: Option<Candidate<'_>> = None;
        for used in filter.paths.iter().flatten() {
            let text = globs.text(used.glob);
            let literal = literal_beginning(text);
            if let Some((common, change)) = self.neighbour(literal.as_bytes()) {
                // Where nothing is shared, a glob for many files is nearer than a single file's
                // name, and the more similar text nearer than the less similar.
                let rank = (common, literal.len() < text.len());
                let candidate = Candidate { rank, glob: text, literal, change, similarity: None };
                if best.as_mut().is_none_or(|best| candidate.is_nearer(best)) {
                    best = Some(candidate);
                }
            }
        }
        best.map(|Candidate { glob, change, .. }| Nearest {
            glob: glob.to_owned(),
            path: change.path.clone(),
            excluded_by: None,
            status: None,
        })
    }

    /// The change whose path shares the longest beginning with `literal`: in sorted order it stands
    /// right before or right behind the place where `literal` would.
    fn neighbour(&self, literal: &[u8]) -> Option<(usize, &'a Change)> {
        let place = self.changes.partition_point(|change| change.path.as_bytes() < literal);
        let before = place.checked_sub(1).map(|at| &self.changes[at]);
        let behind = self.changes.get(place);
        [behind, before]
            .into_iter()
            .flatten()
            .map(|change| (common(literal, change.path.as_bytes()), change))
            .reduce(|best, other| if other.0 > best.0 { other } else { best })
    }
}

/// A glob and the change that is nearest to it.
struct Candidate<'a> {
    rank: (usize, bool),
    glob: &'a str,
    literal: &'a str,
    change: &'a Change,
    /// How similar the texts are; asked only where ranks are equal, since it is dear.
    similarity: Option<f64>,
}

impl Candidate<'_> {
    fn is_nearer(&self, best: &mut Self) -> bool {
        let similar = |it: &Self| strsim::jaro(it.literal, &it.change.path.display());
        match self.rank.cmp(&best.rank) {
            Ordering::Equal => {
                let of_best = best.similarity.unwrap_or_else(|| similar(best));
                best.similarity = Some(of_best);
                similar(self) > of_best
            }
            other => other.is_gt(),
        }
    }
}

/// The part of a glob before its first special character.
fn literal_beginning(glob: &str) -> &str {
    let end = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    &glob[..end]
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
