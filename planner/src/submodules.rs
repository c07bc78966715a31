//! The submodules that `.gitmodules` of a tree names, and what to say of them: jobs see submodules as
//! empty directories. A source tree is what the planned tree holds, and nothing is fetched for it.
//! Which lanes a changed submodule selects is the change set's; where packages in them lead is
//! [`crate::packages`]'s.

use crate::{
    git::Note,
    planned_tree::{PlannedTree, TreeError},
};

/// A submodule as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name, under which git keeps its repository.
    pub(crate) name: String,
    /// Where it is in the tree.
    pub(crate) path: String,
}

/// Returns the submodules that `.gitmodules` of a tree names.
pub(crate) fn named(tree: &PlannedTree<'_>) -> Result<Vec<Named>, TreeError> {
    let text = tree.content(".gitmodules")?.map(|it| it.bytes).unwrap_or_default();
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Reads git's configuration format as far as `[submodule "NAME"]` and `path` go.
fn parse(text: &str) -> Vec<Named> {
    let mut all = Vec::new();
    let mut name: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let of = section.trim_end_matches(']').trim();
            name = of.strip_prefix("submodule").map(value).filter(|name| !name.is_empty());
        } else if let (Some(name), Some((key, text))) = (&name, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("path")
        {
            let path = value(text).trim_end_matches('/').to_owned();
            if !path.is_empty() {
                all.push(Named { name: name.clone(), path });
            }
        }
    }
    all
}

/// A value, quoted or not, without what stands behind it as a comment.
fn value(text: &str) -> String {
    let mut out = String::new();
    // What is quoted keeps its spaces.
    let (mut quoted, mut kept) = (false, 0);
    let mut characters = text.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                kept = out.len();
            }
            '\\' => out.extend(characters.next()),
            '#' | ';' if !quoted => break,
            _ => out.push(character),
        }
    }
    out.truncate(out.trim_end().len().max(kept));
    out
}

/// So many are named.
const NAMED: usize = 3;

/// Returns what to say of the submodules that `.gitmodules` of a tree names; nothing where there are none.
pub(crate) fn note(tree: &PlannedTree<'_>) -> Option<Note> {
    // Whoever cannot read it has been told by the definitions, which are of the same tree.
    let all = named(tree).ok()?;
    let paths: Vec<&str> = all.iter().map(|named| named.path.as_str()).collect();
    let mut named: Vec<String> = paths.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
    if paths.len() > NAMED {
        named.push(format!("{} more", paths.len() - NAMED));
    }
    (!paths.is_empty()).then(|| {
        Note::Warning(format!(
            "submodules are empty directories to jobs, nothing is fetched: {}; a job that needs one runs `git clone` \
             itself",
            named.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitmodules_is_read_as_git_writes_it_and_as_people_do() {
        let text = "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib\n[core]\n\tpath = x\n\
                    [submodule \"a \\\"b\\\"\"]\n\tPath=\"b # c\" ; words\n[submodule \"c\"]\n\tpath = d/ # e\n";
        let read: Vec<_> = parse(text).into_iter().map(|it| (it.name, it.path)).collect();
        let expected = [("lib", "vendor/lib"), ("a \"b\"", "b # c"), ("c", "d")];
        assert_eq!(read, expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
    }
}
