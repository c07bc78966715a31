//! Lists of translated patterns as filters of lanes: what `!` takes back, exactly where that can
//! be said, wider with a reason where not. Knows no dialect.

use std::collections::BTreeSet;

use lanes::glob::Glob;

use super::dialect::Translation;

/// `paths`, `exclude` and `statuses` of one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter {
    pub(super) paths: Vec<String>,
    pub(super) exclude: Vec<String>,
    /// Nothing: every kind of change.
    pub(super) statuses: Vec<String>,
}

/// Filters of which any selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selects {
    pub(super) filters: Vec<Filter>,
    /// Globs of paths that are certainly selected.
    pub(super) surely: Vec<String>,
    /// What is wider, and why.
    pub(super) notes: Vec<String>,
}

/// More filters than this for one list are one, wider.
const MOST: usize = 6;

/// The file, link or submodule that a glob names, in the tree as it is.
pub(super) type HasFile<'a> = &'a dyn Fn(&str) -> bool;

impl Selects {
    /// Everything.
    pub(super) fn everything(note: &str) -> Self {
        Self {
            filters: vec![Filter { paths: vec!["**".to_owned()], ..Filter::default() }],
            surely: Vec::new(),
            notes: vec![note.to_owned()],
        }
    }

    /// A path is selected when the last pattern that matches it is a positive one.
    pub(super) fn ordered(
        patterns: &[(bool, String)],
        translate: &dyn Fn(&str) -> Translation,
        has_file: HasFile<'_>,
    ) -> Self {
        let mut found = Self::default();
        let mut negative: Vec<String> = Vec::new();
        // Backwards: what a pattern takes back is said behind it.
        let mut filters: Vec<Filter> = Vec::new();
        for (positive, pattern) in patterns.iter().rev() {
            let translation = translate(pattern);
            let itself = translation.itself.iter().filter(|glob| has_file(glob)).cloned();
            if *positive {
                let globs: Vec<String> =
                    translation.include().iter().cloned().chain(itself).collect();
                if negative.is_empty() && translation.wider.is_none() {
                    found.surely.extend(translation.same.iter().flatten().cloned());
                }
                found.notes.extend(translation.wider.map(|(_, reason)| reason));
                match filters.last_mut().filter(|filter| filter.exclude == negative) {
                    Some(filter) => prepend(&mut filter.paths, globs),
                    None => filters.push(Filter {
                        paths: globs,
                        exclude: negative.clone(),
                        statuses: Vec::new(),
                    }),
                }
            } else if let Some(same) = &translation.same {
                if translation.partly {
                    found.notes.push(format!("Of `!{pattern}` only what is certain is excluded."));
                }
                prepend(&mut negative, same.iter().cloned().chain(itself).collect());
            } else {
                found.notes.push(format!(
                    "`!{pattern}` has no exact counterpart and is left out: nothing is excluded for it."
                ));
            }
        }
        filters.reverse();
        found.notes.reverse();
        found.surely.reverse();
        found.filters = joined(filters);
        if found.filters.len() > MOST {
            let paths = found.filters.iter().flat_map(|filter| filter.paths.clone());
            let paths = distinct(paths.collect());
            found.filters = vec![Filter { paths, ..Filter::default() }];
            found.notes.push(
                "Patterns take each other back so often that nothing is excluded here.".to_owned(),
            );
        }
        found
    }

    /// Takes more globs out of every filter.
    pub(super) fn without(mut self, globs: &[String]) -> Self {
        for filter in &mut self.filters {
            let globs = globs.iter().filter(|glob| !disjoint_all(glob, &filter.paths)).cloned();
            let globs: Vec<String> = globs.collect();
            filter.exclude = distinct([filter.exclude.clone(), globs].concat());
        }
        self
    }
}

fn prepend(list: &mut Vec<String>, first: Vec<String>) {
    let all = [first, std::mem::take(list)].concat();
    *list = distinct(all);
}

pub(super) fn distinct(list: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    list.into_iter().filter(|text| seen.insert(text.clone())).collect()
}

/// Joins filters, in the order of their patterns: a filter may take over the exclusions of one
/// before it where they concern none of its paths.
fn joined(filters: Vec<Filter>) -> Vec<Filter> {
    let mut done: Vec<Filter> = Vec::new();
    for filter in filters {
        let place = done.iter().position(|earlier| {
            let mut more = earlier.exclude.iter().filter(|glob| !filter.exclude.contains(glob));
            more.all(|glob| disjoint_all(glob, &filter.paths))
        });
        match place {
            Some(at) => done[at].paths.extend(filter.paths),
            None => done.push(filter),
        }
    }
    for filter in &mut done {
        filter.paths = distinct(std::mem::take(&mut filter.paths));
        let paths = &filter.paths;
        filter.exclude.retain(|glob| !disjoint_all(glob, paths));
    }
    let everything = |filter: &Filter| filter.exclude.iter().any(|glob| glob == "**");
    done.retain(|filter| !filter.paths.is_empty() && !everything(filter));
    merged(done)
}

/// Filters with the same exclusions and kinds of change are one.
pub(super) fn merged(filters: Vec<Filter>) -> Vec<Filter> {
    let mut done: Vec<Filter> = Vec::new();
    for filter in filters {
        let same =
            |it: &&mut Filter| it.exclude == filter.exclude && it.statuses == filter.statuses;
        match done.iter_mut().find(same) {
            Some(known) => {
                let paths = std::mem::take(&mut known.paths);
                known.paths = distinct([paths, filter.paths].concat());
            }
            None => done.push(filter),
        }
    }
    done
}

fn disjoint_all(glob: &str, others: &[String]) -> bool {
    others.iter().all(|other| disjoint(glob, other))
}

/// Whether no path matches both globs; `false` where that is not certain.
pub(super) fn disjoint(a: &str, b: &str) -> bool {
    if [a, b].iter().any(|glob| glob.contains(['{', '\\'])) {
        return false;
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
    let deep = |list: &[&str]| list.contains(&"**");
    if !deep(&a) && !deep(&b) && a.len() != b.len() {
        return true;
    }
    let apart = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
        pairs.take_while(|(a, b)| **a != "**" && **b != "**").any(|(a, b)| names_apart(a, b))
    };
    // What `**` is followed by has one component at least when it ends the glob.
    apart(&mut a.iter().zip(&b)) || apart(&mut a.iter().rev().zip(b.iter().rev()))
}

/// Whether no name matches both components.
fn names_apart(a: &str, b: &str) -> bool {
    let plain = |name: &str| !name.contains(['*', '?', '[']);
    let is_match = |glob: &str, name: &str| {
        Glob::new(glob).map_or(true, |glob| glob.is_match(name.as_bytes()))
    };
    match (plain(a), plain(b)) {
        (true, true) => a != b,
        (true, false) => !is_match(b, a),
        (false, true) => !is_match(a, b),
        (false, false) => {
            let ends = |name: &str| {
                let start = name.find(['*', '?', '[']).unwrap_or(name.len());
                let behind = name.rfind(['*', '?', ']']).map_or(0, |at| at + 1);
                (name[..start].to_owned(), name[behind..].to_owned())
            };
            let ((front_a, back_a), (front_b, back_b)) = (ends(a), ends(b));
            let fits = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
            let fits_behind = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
            !fits(&front_a, &front_b) || !fits_behind(&back_a, &back_b)
        }
    }
}

/// The globs that match what both match, where that is known: one of them holds the other, or one
/// is a directory and the other a name anywhere.
pub(super) fn intersection(a: &str, b: &str) -> Option<String> {
    let within = |a: &str, b: &str| {
        let (Ok(a), Ok(b)) = (Glob::new(a), Glob::new(b)) else { return false };
        a.typical_paths().iter().all(|path| b.is_match(path.as_bytes()))
    };
    if within(a, b) {
        return Some(a.to_owned());
    }
    if within(b, a) {
        return Some(b.to_owned());
    }
    let anywhere = |directory: &str, name: &str| {
        let directory = directory.strip_suffix("/**")?;
        let name = name.strip_prefix("**/").filter(|name| !name.contains('/'))?;
        (!directory.contains("**")).then(|| format!("{directory}/**/{name}"))
    };
    anywhere(a, b).or_else(|| anywhere(b, a))
}
