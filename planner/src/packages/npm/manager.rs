//! Which package managers a workspace may be of.
//!
//! Owns the evidence: `packageManager`, `devEngines`, lock files and settings. What a manager does
//! with patterns, overrides and locks is told where those are read.

use serde_json::Value;

use super::lock::is_yarn_classic;
use crate::{
    packages::{End, Manifests, Text, file_in},
    planned_tree::TreeError,
};

/// A package manager, as far as managers differ here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manager {
    /// npm.
    Npm,
    /// pnpm.
    Pnpm,
    /// yarn 2 and newer.
    Yarn,
    /// yarn 1.
    YarnClassic,
    /// bun.
    Bun,
}

/// Those that read `workspaces` of `package.json`.
const OF_PACKAGE_JSON: [Manager; 4] =
    [Manager::Npm, Manager::Yarn, Manager::YarnClassic, Manager::Bun];

/// The managers that a directory's workspace may be of: one where its files agree, else every one
/// that is possible.
pub(super) fn possible(
    tree: &Manifests<'_>,
    dir: &str,
    manifest: &Value,
) -> Result<Vec<Manager>, TreeError> {
    if let Some(named) = named(manifest) {
        return Ok(vec![named]);
    }
    let has = |name: &str| -> Result<bool, TreeError> {
        Ok(matches!(tree.locate(&file_in(dir, name))?.end, End::File(_)))
    };
    let mut found = Vec::new();
    if has("package-lock.json")? || has("npm-shrinkwrap.json")? {
        found.push(Manager::Npm);
    }
    if has("pnpm-lock.yaml")? {
        found.push(Manager::Pnpm);
    }
    match tree.text(&file_in(dir, "yarn.lock"))? {
        Text::Read(lock) if lock.trim().is_empty() => {
            // Both open an empty one.
            found.extend([Manager::Yarn, Manager::YarnClassic]);
        }
        Text::Read(lock) if is_yarn_classic(&lock) => found.push(Manager::YarnClassic),
        Text::Read(_) => found.push(Manager::Yarn),
        Text::Absent | Text::Unreadable(_) if has(".yarnrc.yml")? => found.push(Manager::Yarn),
        Text::Absent | Text::Unreadable(_) => {}
    }
    if has("bun.lock")? || has("bun.lockb")? {
        found.push(Manager::Bun);
    }
    if found.is_empty() {
        found.extend(OF_PACKAGE_JSON);
        found.push(Manager::Pnpm);
    }
    Ok(found)
}

/// The manager that a manifest names.
fn named(manifest: &Value) -> Option<Manager> {
    let field = manifest.get("packageManager").and_then(Value::as_str);
    if let Some((name, version)) = field.and_then(|field| field.split_once('@')) {
        return of_name(name, version);
    }
    let engine = manifest.get("devEngines")?.get("packageManager")?;
    let version = engine.get("version").and_then(Value::as_str).unwrap_or_default();
    of_name(engine.get("name")?.as_str()?, version)
}

fn of_name(name: &str, version: &str) -> Option<Manager> {
    match name {
        "npm" => Some(Manager::Npm),
        "pnpm" => Some(Manager::Pnpm),
        "bun" => Some(Manager::Bun),
        "yarn" => {
            let major = version.trim_start_matches(['^', '~', '=', 'v', '>', ' ']);
            match major.split(['.', '+', '-']).next().and_then(|major| major.parse::<u32>().ok()) {
                Some(0 | 1) => Some(Manager::YarnClassic),
                Some(_) => Some(Manager::Yarn),
                None => version.contains("berry").then_some(Manager::Yarn),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_may_name_its_manager() {
        for (manifest, expected) in [
            (json!({ "packageManager": "yarn@4.9.1+sha224.ab" }), Some(Manager::Yarn)),
            (json!({ "packageManager": "yarn@1.22.22" }), Some(Manager::YarnClassic)),
            (json!({ "packageManager": "yarn@berry" }), Some(Manager::Yarn)),
            (json!({ "packageManager": "npm@11" }), Some(Manager::Npm)),
            (json!({ "packageManager": "pnpm@10.1.0" }), Some(Manager::Pnpm)),
            (json!({ "packageManager": "deno@2" }), None),
            (
                json!({ "devEngines": { "packageManager": { "name": "bun", "version": "^1" } } }),
                Some(Manager::Bun),
            ),
            (json!({ "name": "npm" }), None),
        ] {
            assert_eq!(named(&manifest), expected, "{manifest}");
        }
    }
}
