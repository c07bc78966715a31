//! `[workspace] members` and `exclude`, as Cargo reads them.
//!
//! A pattern has `*`, `?`, `[…]` and `**`, no braces, and matches directories, hidden ones and
//! links too; a file that it matches is passed over. `exclude` has no patterns: it takes away all
//! that begins with its path, except what `members` names outright.

use globset::{GlobBuilder, GlobMatcher};
use toml::Table;

use super::{At, NAME, strings};
use crate::{
    packages::{End, Manifests, Text, TreeEntry, file_in, join},
    planned_tree::TreeError,
};

/// How deep `**` goes at most: links may lead in circles.
const DEEPEST: usize = 32;

/// Whether a workspace leaves a directory out.
pub(super) fn excludes(root: &str, workspace: &Table, dir: &str) -> bool {
    let below = |list: &str| {
        let mut paths = strings(workspace.get(list)).filter_map(|path| join(root, path));
        paths.any(|out| out.is_empty() || dir == out || dir.starts_with(&format!("{out}/")))
    };
    below("exclude") && !below("members")
}

/// The directories that a workspace names.
pub(super) fn members(
    manifests: &Manifests<'_>,
    root: &str,
    workspace: &Table,
) -> Result<Vec<At>, TreeError> {
    let mut found = Vec::new();
    for member in strings(workspace.get("members")) {
        let Some(path) = join(root, member) else { continue };
        if !path.contains(['*', '?', '[']) {
            // Named outright: `exclude` does not take it away.
            if let End::Directory(real) = manifests.locate(&path)?.end {
                found.push(At { real, path });
            }
            continue;
        }
        let mut parts = Vec::new();
        for part in path.split('/') {
            parts.push(Part::of(part));
        }
        let mut matching = Vec::new();
        expand(manifests, &parts, "", &mut matching)?;
        for at in matching {
            let manifest = file_in(&at.real, NAME);
            if !excludes(root, workspace, &at.path) && manifests.text(&manifest)? != Text::Absent {
                found.push(at);
            }
        }
    }
    Ok(found)
}

enum Part {
    Plain(String),
    Pattern(GlobMatcher),
    Any,
    /// A pattern that does not parse; Cargo refuses it.
    Nothing,
}

impl Part {
    fn of(part: &str) -> Self {
        if part == "**" {
            return Self::Any;
        }
        if !part.contains(['*', '?', '[']) {
            return Self::Plain(part.to_owned());
        }
        let plain = part.replace('{', "[{]").replace('}', "[}]");
        match GlobBuilder::new(&plain).literal_separator(true).backslash_escape(false).build() {
            Ok(glob) => Self::Pattern(glob.compile_matcher()),
            Err(_) => Self::Nothing,
        }
    }
}

fn expand(
    manifests: &Manifests<'_>,
    parts: &[Part],
    path: &str,
    found: &mut Vec<At>,
) -> Result<(), TreeError> {
    let End::Directory(real) = manifests.locate(path)?.end else { return Ok(()) };
    let Some((first, rest)) = parts.split_first() else {
        found.push(At { real, path: path.to_owned() });
        return Ok(());
    };
    if path.matches('/').count() > DEEPEST {
        return Ok(());
    }
    if let Part::Plain(name) = first {
        return expand(manifests, rest, &file_in(path, name), found);
    }
    if matches!(first, Part::Any) {
        expand(manifests, rest, path, found)?;
    }
    for (name, entry) in manifests.list(&real)? {
        if !matches!(entry, TreeEntry::Directory | TreeEntry::Link) {
            continue;
        }
        let below = file_in(path, &name);
        match first {
            Part::Pattern(pattern) if pattern.is_match(&name) => {
                expand(manifests, rest, &below, found)?;
            }
            // `**` follows no link.
            Part::Any if entry == TreeEntry::Directory => {
                expand(manifests, parts, &below, found)?;
            }
            _ => {}
        }
    }
    Ok(())
}
