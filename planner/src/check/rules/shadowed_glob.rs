//! A glob that selects nothing that another glob of the same filter does not.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use lanes::{GlobId, GlobUse, LintLevel, Via, codes::Code, glob::Glob};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "shadowed_glob",
        cause: "Every file that a glob matches, now or later, is matched by one other glob of the \
                same list. It says nothing, and whoever reads it believes that it does.",
        remedy: "Take it out, or narrow the other one.",
    },
    level: LintLevel::Warn,
    find,
};

/// How many globs of a list one is compared with, the broadest first. A list in which more match
/// the same file is beyond reading, and comparing all of them with each other beyond patience.
const COMPARED: usize = 100;

fn find(view: &View<'_>) -> Vec<Found> {
    let mut shadows = Shadows { view, verdicts: HashMap::new(), broadest: HashMap::new() };
    let mut told = BTreeSet::new();
    let mut in_list = vec![None; view.catalog.globs().len()];
    let mut found = Vec::new();
    for list in view.selecting() {
        shadows.broadest.clear();
        for (position, used) in list.iter().enumerate() {
            in_list[used.glob.position()] = Some(position);
        }
        for (position, used) in list.iter().enumerate() {
            let Some(by) = shadows.of(list, &in_list, position) else { continue };
            let by = &list[by];
            // Nobody can take a glob out of a set for the sake of one list that uses it.
            let mendable = match &used.via {
                None => true,
                Some(Via::Sets(_)) => used.via == by.via,
                // Nor one that nobody wrote.
                Some(Via::Dependencies(_) | Via::EveryPath) => false,
            };
            if mendable && told.insert(used.span) {
                let (text, other) = (view.text(used.glob), view.text(by.glob));
                let message = format!("`{text}` adds nothing to `{other}`");
                let through = match &by.via {
                    Some(Via::Sets(sets)) => format!("matches the same, through `@{sets}`"),
                    Some(Via::Dependencies(chain)) => format!("matches the same: {chain}"),
                    None | Some(Via::EveryPath) => "matches all of it".to_owned(),
                };
                let help = format!("take `{text}` out, or narrow `{other}`");
                found.push(
                    Found::at(&RULE.code, used.span, message).also(by.span, through).help(help),
                );
            }
        }
        for used in list {
            in_list[used.glob.position()] = None;
        }
    }
    found
}

/// Which glob's files are all another's, asked once for each pair.
struct Shadows<'v, 'a> {
    view: &'v View<'a>,
    verdicts: HashMap<(GlobId, GlobId), bool>,
    /// The positions of the list's globs that match a file, those with the most files first.
    broadest: HashMap<u32, Rc<[usize]>>,
}

impl Shadows<'_, '_> {
    /// Returns the position of the broadest glob of the list that shadows one of it. `in_list`
    /// has the position of each of the list's globs.
    fn of(
        &mut self,
        list: &[GlobUse],
        in_list: &[Option<usize>],
        position: usize,
    ) -> Option<usize> {
        let glob = list[position].glob;
        let files = self.view.files_of(glob);
        let first = *files.first()?;
        // Whatever matches all of its files matches the first of them, and as many.
        let view = self.view;
        let of = |at: usize| view.files_of(list[at].glob);
        let candidates = self.broadest.entry(first).or_insert_with(|| {
            let globs = view.globs_of(first).iter();
            let mut all: Vec<usize> = globs.filter_map(|&glob| in_list[glob as usize]).collect();
            all.sort_by_key(|&at| (std::cmp::Reverse(of(at).len()), at));
            all.into()
        });
        let candidates = Rc::clone(candidates);
        let broad = candidates.iter().copied().take_while(|&at| of(at).len() >= files.len());
        broad.filter(|&other| other != position).take(COMPARED).find(|&other| {
            let by = list[other].glob;
            let alike = self.view.files_of(by).len() == files.len();
            // Of two that match the same, the narrower text is the one to take out.
            let narrower = |at: usize| (literal(self.view.text(list[at].glob)), at);
            if alike && narrower(position) < narrower(other) {
                return false;
            }
            *self.verdicts.entry((glob, by)).or_insert_with(|| {
                files.iter().all(|&file| view.is_match(by, file))
                    && contains(view.text(by), view.text(glob))
            })
        })
    }
}

/// Returns whether a glob matches whatever another does: two that happen to match the same files
/// today are both needed tomorrow.
fn contains(outer: &str, inner: &str) -> bool {
    let (Ok(outer), Ok(inner)) = (Glob::new(outer), Glob::new(inner)) else { return false };
    inner.typical_paths().iter().all(|path| outer.is_match(path.as_bytes()))
}

/// How much of a glob is spelt out.
fn literal(text: &str) -> usize {
    text.bytes().filter(|byte| !b"*?[]{},".contains(byte)).count()
}
