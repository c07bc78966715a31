//! The lists of `dorny/paths-filter`, and of its forks with the same inputs.

use std::collections::BTreeSet;

use super::{
    dialect::picomatch,
    filter::{Filter, HasFile, Selects, intersection, merged},
    yaml::{Node, get, load, text, texts},
};

/// One step with its lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    /// In order.
    pub(super) lists: Vec<(String, Selects)>,
    /// Why there are none.
    pub(super) trouble: Option<String>,
    /// What `<list>_files` is when nothing matched; nothing: such outputs are not written.
    pub(super) no_files: Option<&'static str>,
}

/// Whether a step is one: the action, or a fork that takes the same input.
pub(super) fn is_step(step: &Node) -> bool {
    let uses = get(step, "uses").and_then(text).unwrap_or_default();
    let name = uses.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let input = get(step, "with").and_then(|with| get(with, "filters"));
    name.contains("paths-filter") && input.is_some()
}

/// Reads the lists of a step; `read` gives the text of a file of the tree.
pub(super) fn read(
    step: &Node,
    read: &dyn Fn(&str) -> Option<String>,
    has_file: HasFile<'_>,
) -> Step {
    let with = |key: &str| get(step, "with").and_then(|with| get(with, key));
    let mut found = Step {
        no_files: match with("list-files").and_then(text).as_deref() {
            None | Some("none") => None,
            Some("json") => Some("[]"),
            Some(_) => Some(""),
        },
        ..Step::default()
    };
    let every = with("predicate-quantifier").and_then(text).is_some_and(|it| it == "every");
    let written = with("filters").and_then(text).unwrap_or_default();
    // As the action does: one line without a colon is the path of a file.
    let is_path = !written.trim().contains(['\n', ':']);
    let lists = if is_path {
        let path = written.trim().trim_start_matches("./");
        match read(path) {
            Some(text) => text,
            None => {
                found.trouble =
                    Some(format!("`{path}`, which holds the lists, is not in the tree"));
                return found;
            }
        }
    } else {
        written
    };
    let Ok(documents) = load(&lists) else {
        found.trouble = Some("its lists are no YAML".to_owned());
        return found;
    };
    let Some(mapping) = documents.first().and_then(Node::as_map) else {
        found.trouble = Some("its lists are no mapping".to_owned());
        return found;
    };
    for (name, list) in mapping {
        if let Some(name) = text(name) {
            let mut entries = Vec::new();
            flatten(list, &mut entries);
            let selects =
                if every { self::every(&entries, has_file) } else { some(&entries, has_file) };
            found.lists.push((name, selects));
        }
    }
    found
}

/// A pattern, with the kinds of change it counts for; none: all.
type Entry = (Vec<String>, String);

/// The entries of a list, each with the kinds of change it counts for.
fn flatten(node: &Node, entries: &mut Vec<Entry>) {
    if let Some(list) = node.as_list() {
        list.iter().for_each(|item| flatten(item, entries));
    } else if let Some(mapping) = node.as_map() {
        for (status, patterns) in mapping {
            let statuses = statuses(&text(status).unwrap_or_default());
            entries.extend(texts(Some(patterns)).into_iter().map(|it| (statuses.clone(), it)));
        }
    } else if let Some(pattern) = text(node) {
        entries.push((Vec::new(), pattern));
    }
}

/// Our words for the action's. It asks git without looking for renames, and git calls a submodule
/// that moves modified.
fn statuses(words: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for word in words.split('|') {
        match word.trim().to_ascii_lowercase().as_str() {
            "added" | "copied" | "renamed" => found.insert(0),
            "modified" => found.insert(1) | found.insert(3),
            "deleted" => found.insert(2),
            _ => return Vec::new(),
        };
    }
    found.insert(4);
    let all = ["added", "modified", "deleted", "type_changed", "submodule"];
    if found.len() == all.len() {
        return Vec::new();
    }
    found.into_iter().map(|at| all[at].to_owned()).collect()
}

/// One pattern has to match; `!x` is a pattern that everything but `x` matches.
fn some(entries: &[Entry], has_file: HasFile<'_>) -> Selects {
    let mut filters: Vec<Filter> = Vec::new();
    let mut found = Selects::default();
    let negative = entries.iter().filter(|(_, pattern)| pattern.starts_with('!')).count();
    for (statuses, pattern) in entries {
        let one = match pattern.strip_prefix('!') {
            Some(pattern) => {
                let list = [(true, "**".to_owned()), (false, pattern.to_owned())];
                let mut one = Selects::ordered(&list, &picomatch::translate, has_file);
                if negative > 1 || entries.len() > negative {
                    let whole = one.filters.iter().flat_map(|filter| &filter.exclude).all(|glob| {
                        let others = entries.iter().filter(|(_, it)| !it.starts_with('!'));
                        negative == 1
                            && others
                                .flat_map(|(_, it)| picomatch::translate(it).include().to_vec())
                                .all(|it| super::filter::disjoint(&it, glob))
                    });
                    if !whole {
                        one = Selects::everything(
                            "The list says `!…`, which matches nearly every path: `**` is wider.",
                        );
                    }
                }
                one
            }
            None => {
                let list = [(true, pattern.clone())];
                Selects::ordered(&list, &picomatch::translate, has_file)
            }
        };
        found.notes.extend(one.notes);
        if statuses.is_empty() {
            found.surely.extend(one.surely);
        }
        filters.extend(
            one.filters.into_iter().map(|filter| Filter { statuses: statuses.clone(), ..filter }),
        );
    }
    let all = |filter: &Filter| {
        filter.paths == ["**"] && filter.exclude.is_empty() && filter.statuses.is_empty()
    };
    if filters.iter().any(all) {
        filters.retain(all);
    }
    found.filters = merged(filters);
    found.notes = super::filter::distinct(found.notes);
    found
}

/// Every pattern has to match.
fn every(entries: &[Entry], has_file: HasFile<'_>) -> Selects {
    let (negative, positive): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|(_, pattern)| pattern.starts_with('!'));
    let mut notes = Vec::new();
    let mut paths: Option<Vec<String>> = None;
    for (_, pattern) in &positive {
        let translation = picomatch::translate(pattern);
        let itself = translation.itself.iter().filter(|glob| has_file(glob)).cloned();
        let globs: Vec<String> = translation.include().iter().cloned().chain(itself).collect();
        notes.extend(translation.wider.map(|(_, reason)| reason));
        paths = Some(match paths.take() {
            None => globs,
            Some(known) => {
                let pairs = known.iter().flat_map(|a| globs.iter().map(move |b| (a, b)));
                let both: Option<Vec<String>> = pairs
                    .filter(|(a, b)| !super::filter::disjoint(a, b))
                    .map(|(a, b)| intersection(a, b))
                    .collect();
                both.unwrap_or_else(|| {
                    notes.push(format!(
                        "The list wants every pattern to match, `{pattern}` too: without it, this is wider."
                    ));
                    known
                })
            }
        });
    }
    let mut exclude = Vec::new();
    for (_, pattern) in &negative {
        let pattern = &pattern[1..];
        match picomatch::translate(pattern).same {
            Some(globs) => exclude.extend(globs),
            None => notes.push(format!("`!{pattern}` has no exact counterpart and is left out.")),
        }
    }
    let mut statuses: Option<Vec<String>> = None;
    for (kinds, _) in entries.iter().filter(|(kinds, _)| !kinds.is_empty()) {
        statuses = Some(match statuses {
            None => kinds.clone(),
            Some(known) => known.into_iter().filter(|kind| kinds.contains(kind)).collect(),
        });
    }
    // `!x` with a kind of change holds for other paths of that kind only: still all of the kind.
    let paths = paths.unwrap_or_else(|| vec!["**".to_owned()]);
    let filter = Filter { paths, exclude: Vec::new(), statuses: statuses.unwrap_or_default() };
    let found = Selects { filters: vec![filter], surely: Vec::new(), notes };
    found.without(&exclude)
}
