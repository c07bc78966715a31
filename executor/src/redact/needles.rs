//! Many byte strings, sought at once: where one of them begins, which is the longest, and whether an end
//! of the text may be the beginning of one.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, Input, MatchKind};

/// How many bytes of a needle the automaton knows; the rest is compared. Short, so that building it costs
/// no more than there are needles, however they overlap themselves and each other.
const HEAD: usize = 8;

/// A set of needles.
#[derive(Debug)]
pub(super) struct Needles {
    /// In order; none is empty.
    sorted: Vec<Vec<u8>>,
    /// For each the longest other one that it begins with.
    within: Vec<Option<usize>>,
    heads: AhoCorasick,
    /// Whether any begins with that byte.
    begins: [bool; 256],
    /// A bit for each two bytes: whether they stand side by side in any.
    pairs: Vec<u64>,
    longest: usize,
}

impl Needles {
    /// Makes a set.
    ///
    /// # Errors
    ///
    /// When there are more than the automaton can hold.
    pub(super) fn new(needles: BTreeSet<Vec<u8>>) -> Result<Self, BuildError> {
        let sorted: Vec<Vec<u8>> = needles.into_iter().collect();
        let heads: BTreeSet<&[u8]> =
            sorted.iter().map(|needle| &needle[..needle.len().min(HEAD)]).collect();
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostFirst);
        if heads.len() > 500 {
            builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        }
        let heads = builder.build(heads)?;
        let mut begins = [false; 256];
        let mut pairs = vec![0; 1 << 10];
        let mut within = Vec::with_capacity(sorted.len());
        // Those that the present one begins with, the longest last.
        let mut open: Vec<usize> = Vec::new();
        for (index, needle) in sorted.iter().enumerate() {
            begins[usize::from(needle[0])] = true;
            for pair in needle.windows(2) {
                let (word, bit) = place_of_pair(pair[0], pair[1]);
                pairs[word] |= bit;
            }
            while open.last().is_some_and(|&outer| !needle.starts_with(&sorted[outer])) {
                open.pop();
            }
            within.push(open.last().copied());
            open.push(index);
        }
        let longest = sorted.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Self { sorted, within, heads, begins, pairs, longest })
    }

    /// Returns them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.sorted.iter().map(Vec::as_slice)
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Returns the length of the longest.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Returns whether two bytes stand side by side in any of them.
    pub(super) fn has_pair(&self, first: u8, second: u8) -> bool {
        let (word, bit) = place_of_pair(first, second);
        self.pairs[word] & bit != 0
    }

    /// Returns where, at `from` or behind it, a needle may begin.
    pub(super) fn candidate(&self, text: &[u8], from: usize) -> Option<usize> {
        self.heads.find(Input::new(text).range(from..)).map(|found| found.start())
    }

    /// Returns the length of the longest needle that `text` begins with.
    pub(super) fn longest_at(&self, text: &[u8]) -> Option<usize> {
        let behind = self.sorted.partition_point(|needle| needle.as_slice() <= text);
        let mut at = behind.checked_sub(1)?;
        if text.starts_with(&self.sorted[at]) {
            return Some(self.sorted[at].len());
        }
        at = self.within[at]?;
        // Whatever `text` begins with, the needle before it in order does, too.
        let common = self.sorted[behind - 1].iter().zip(text).take_while(|(a, b)| a == b).count();
        while self.sorted[at].len() > common {
            at = self.within[at]?;
        }
        Some(self.sorted[at].len())
    }

    /// Returns from where on the end of `text` may be the beginning of a needle; its length if it cannot.
    pub(super) fn undecided(&self, text: &[u8]) -> usize {
        let earliest = text.len().saturating_sub(self.longest.saturating_sub(1));
        (earliest..text.len())
            .find(|&at| self.begins[usize::from(text[at])] && self.is_beginning(&text[at..]))
            .unwrap_or(text.len())
    }

    fn is_beginning(&self, tail: &[u8]) -> bool {
        let at = self.sorted.partition_point(|needle| needle.as_slice() <= tail);
        // The needles that begin with `tail` and are longer stand right behind it.
        self.sorted.get(at).is_some_and(|needle| needle.starts_with(tail))
    }
}

fn place_of_pair(first: u8, second: u8) -> (usize, u64) {
    let number = usize::from(first) << 8 | usize::from(second);
    (number >> 6, 1 << (number & 63))
}
