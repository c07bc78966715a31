//! What a condition says about lists of paths: true, false, unknown, a list that matches, and what
//! `!`, `&&`, `||` make of them.
//!
//! [`Formula::clauses`] is the least set of changes that certainly holds every one for which the
//! condition may be true: what is not decided counts as true, whichever way it is asked.

use std::collections::BTreeSet;

/// A list of paths, by its place in the workflow.
pub(super) type Atom = usize;

/// A condition on a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    /// Decided.
    Is(bool),
    /// Not decided, and which part of the text that is.
    Maybe(String),
    /// A changed path is in the list.
    List(Atom),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// Lists that match and lists that do not, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clause {
    pub(super) matched: BTreeSet<Atom>,
    pub(super) unmatched: BTreeSet<Atom>,
    /// What else it said, undecided.
    pub(super) open: BTreeSet<String>,
}

/// More clauses than this are one that always holds.
const MOST: usize = 64;

impl Formula {
    pub(super) fn not(self) -> Self {
        match self {
            Self::Is(value) => Self::Is(!value),
            Self::Not(of) => *of,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Is(false), _) | (_, Self::Is(false)) => Self::Is(false),
            (Self::Is(true), it) | (it, Self::Is(true)) => it,
            (one, other) if one == other => one,
            (Self::All(mut list), it) => {
                if !list.contains(&it) {
                    list.push(it);
                }
                Self::All(list)
            }
            (one, other) => Self::All(vec![one, other]),
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Is(true), _) | (_, Self::Is(true)) => Self::Is(true),
            (Self::Is(false), it) | (it, Self::Is(false)) => it,
            (one, other) if one == other => one,
            (Self::Any(mut list), it) => {
                if !list.contains(&it) {
                    list.push(it);
                }
                Self::Any(list)
            }
            (one, other) => Self::Any(vec![one, other]),
        }
    }

    /// Returns clauses of which at least one holds whenever the condition may; none: it never may.
    pub(super) fn clauses(&self) -> Vec<Clause> {
        let mut clauses = self.normal(true).unwrap_or_else(|| {
            let open = ["a condition of many parts".to_owned()].into();
            vec![Clause { open, ..Clause::default() }]
        });
        clauses.retain(|clause| clause.matched.is_disjoint(&clause.unmatched));
        simplified(clauses)
    }

    fn normal(&self, wanted: bool) -> Option<Vec<Clause>> {
        let product = |list: &[Self]| {
            let mut all = vec![Clause::default()];
            for one in list {
                let more = one.normal(wanted)?;
                if all.len() * more.len() > MOST * MOST {
                    return None;
                }
                all = all.iter().flat_map(|a| more.iter().map(move |b| a.with(b))).collect();
                all.sort();
                all.dedup();
                if all.len() > MOST {
                    all.retain(|clause| clause.matched.is_disjoint(&clause.unmatched));
                    all = simplified(all);
                }
            }
            (all.len() <= MOST).then_some(all)
        };
        let sum = |list: &[Self]| {
            let mut all = Vec::new();
            for one in list {
                all.extend(one.normal(wanted)?);
            }
            Some(all)
        };
        match self {
            Self::Is(value) if *value == wanted => Some(vec![Clause::default()]),
            Self::Is(_) => Some(Vec::new()),
            Self::Maybe(why) => {
                Some(vec![Clause { open: [why.clone()].into(), ..Clause::default() }])
            }
            Self::List(atom) => {
                let mut clause = Clause::default();
                let side = if wanted { &mut clause.matched } else { &mut clause.unmatched };
                side.insert(*atom);
                Some(vec![clause])
            }
            Self::Not(of) => of.normal(!wanted),
            Self::All(list) if wanted => product(list),
            Self::Any(list) if !wanted => product(list),
            Self::All(list) | Self::Any(list) => sum(list),
        }
    }
}

impl Clause {
    fn with(&self, other: &Self) -> Self {
        Self {
            matched: &self.matched | &other.matched,
            unmatched: &self.unmatched | &other.unmatched,
            open: &self.open | &other.open,
        }
    }

    /// Whether every change for which `other` holds is one for which this holds.
    fn covers(&self, other: &Self) -> bool {
        self.matched.is_subset(&other.matched) && self.unmatched.is_subset(&other.unmatched)
    }
}

/// `a || (!a && b)` is `a || b`, and what another clause covers says nothing.
fn simplified(mut clauses: Vec<Clause>) -> Vec<Clause> {
    let mut changed = true;
    while changed {
        changed = false;
        for at in 0..clauses.len() {
            let resolved = |matched: bool| {
                let own = &clauses[at];
                let side = if matched { &own.matched } else { &own.unmatched };
                side.iter().copied().find(|atom| {
                    let mut without = own.clone();
                    if matched {
                        without.matched.remove(atom);
                        without.unmatched.insert(*atom);
                    } else {
                        without.unmatched.remove(atom);
                        without.matched.insert(*atom);
                    }
                    // What is open in the other one is open in the sum, too.
                    clauses.iter().enumerate().any(|(place, other)| {
                        place != at && other.open.is_subset(&own.open) && other.covers(&without)
                    })
                })
            };
            let (first, second) = (resolved(true), resolved(false));
            if let Some(atom) = first {
                clauses[at].matched.remove(&atom);
                changed = true;
            } else if let Some(atom) = second {
                clauses[at].unmatched.remove(&atom);
                changed = true;
            }
        }
    }
    clauses.sort();
    clauses.dedup();
    let all = clauses.clone();
    let mut at = 0;
    clauses.retain(|clause| {
        let own = at;
        at += 1;
        !all.iter().enumerate().any(|(place, other)| {
            place != own
                && other.covers(clause)
                && (!clause.covers(other) || {
                    let (ours, theirs) = (clause.open.len(), other.open.len());
                    (theirs, place) < (ours, own)
                })
        })
    });
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_decided_counts_as_true_either_way() {
        let list = Formula::List;
        let open = Formula::Maybe("x".to_owned());
        let shown = |formula: Formula| {
            let text = |clause: Clause| format!("{:?}-{:?}", clause.matched, clause.unmatched);
            formula.clauses().into_iter().map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(list(0).or(list(0).not().and(list(1)))), "{0}-{} {1}-{}");
        assert_eq!(shown(list(0).and(open.clone())), "{0}-{}");
        assert_eq!(shown(list(0).or(open.clone())), "{}-{}");
        assert_eq!(shown(list(0).or(open.clone()).not()), "{}-{0}");
        assert_eq!(shown(list(0).and(open.not())), "{0}-{}");
        assert_eq!(shown(list(0).or(list(0).not())), "{}-{}");
        assert_eq!(shown(list(0).and(list(0).not())), "");
    }
}
