//! When a job runs, as filters of a lane: of each clause one list that has to match, without what
//! must not. Knows no engine.

use std::collections::BTreeSet;

use super::{
    filter::{self, Filter, Selects},
    formula::{Atom, Clause},
};

/// When a lane is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Always,
    For(Vec<Filter>),
}

/// The lane of some clauses: of each, one list that has to match, without what must not.
pub(super) fn selection(
    lists: &[(String, Selects)],
    own: Option<&Selects>,
    clauses: &[Clause],
    inherited: &BTreeSet<Atom>,
) -> (When, Vec<String>, Vec<String>) {
    let mut filters: Vec<Filter> = Vec::new();
    let (mut words, mut notes, mut always) = (Vec::new(), Vec::new(), false);
    for clause in clauses {
        let (matched, unmatched) = (&clause.matched, &clause.unmatched);
        let everything =
            |it: &&usize| lists[**it].1.filters.iter().any(|filter| filter.paths == ["**"]);
        let chosen = matched
            .iter()
            // Its own list says more than one that something before it asked for.
            .find(|it| !everything(it) && !inherited.contains(it))
            .or_else(|| matched.iter().find(|it| !everything(it)))
            .or_else(|| matched.first());
        let mut selects = match chosen {
            Some(&list) => {
                let (name, selects) = &lists[list];
                words.push(name.clone());
                if own.is_some() {
                    notes.push(
                        "The workflow's own `paths` narrowed this further; here they do not."
                            .to_owned(),
                    );
                }
                let others = matched.iter().filter(|it| **it != list);
                notes.extend(others.map(|it| {
                    format!("The list `{}` had to match too; here it does not.", lists[*it].0)
                }));
                selects.clone()
            }
            None => match own {
                Some(own) => own.clone(),
                None if unmatched.is_empty() => {
                    always = true;
                    Selects::default()
                }
                None => Selects {
                    filters: vec![Filter { paths: vec!["**".to_owned()], ..Filter::default() }],
                    ..Selects::default()
                },
            },
        };
        for list in unmatched {
            let (name, of) = &lists[*list];
            if chosen.is_none() {
                words.push(format!("not-{name}"));
            }
            notes.push(format!(
                "It ran when no change was in the list `{name}`; here it runs unless every change is."
            ));
            selects = selects.without(&of.surely);
        }
        notes.extend(selects.notes);
        filters.extend(selects.filters);
    }
    let words = filter::distinct(words);
    let notes = filter::distinct(notes);
    if always {
        return (When::Always, Vec::new(), notes);
    }
    filters.retain(|filter| !filter.paths.is_empty());
    if filters.is_empty() {
        filters.push(Filter::default());
    }
    (When::For(filter::merged(filters)), words, notes)
}
