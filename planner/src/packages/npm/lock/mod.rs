//! Lock files of npm, pnpm, yarn and bun, each read into the one graph of [`crate::packages::lock`].
//!
//! One file per format. A package of the tree is called by its directory seen from the lock file,
//! `.` for the lock file's own. What the root installs for itself is there for every member, since
//! scripts find it on the way up: it is the package [`ROOT_TOOLS`]. yarn 1 does not lock the
//! packages of the tree; there a package is called by each request that it makes, `react@^19`.
//!
//! | file | read by |
//! | --- | --- |
//! | `package-lock.json`, `npm-shrinkwrap.json` of version 2 and 3 | [`npm`] |
//! | `pnpm-lock.yaml` of version 9 | [`pnpm`] |
//! | `yarn.lock` of yarn 2 and newer | [`yarn`] |
//! | `yarn.lock` of yarn 1 | [`yarn_classic`] |
//! | `bun.lock` | [`bun`] |

mod bun;
mod located;
mod npm;
mod pnpm;
#[cfg(test)]
pub(crate) mod tests;
mod yarn;
mod yarn_classic;

use memchr::memmem;
use serde_json::Value;

pub(crate) use self::bun::plain_json;
use crate::packages::{Lock, document};

/// The name of what the root installs for itself.
pub(super) const ROOT_TOOLS: &str = "(root)";

/// Names of lock files.
pub(super) const NAMES: [&str; 5] =
    ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock"];

/// Reads a lock file.
///
/// # Errors
///
/// Why it is not understood.
pub(super) fn read<'t>(path: &str, text: &'t str) -> Result<Lock<'t>, String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let text = text.trim_start_matches('\u{feff}');
    if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| has_line(text, mark)) {
        return Err("it holds a merge conflict".to_owned());
    }
    match name {
        "package-lock.json" | "npm-shrinkwrap.json" => npm::read(text),
        "pnpm-lock.yaml" => pnpm::read(text),
        "yarn.lock" if is_yarn_classic(text) => yarn_classic::read(text),
        "yarn.lock" => yarn::read(text),
        "bun.lock" => bun::read(text),
        _ => Err(format!("nothing reads a lock file called `{name}`")),
    }
    .map(|mut lock| {
        // The root may install nothing for itself; that is known then.
        lock.know(ROOT_TOOLS);
        lock
    })
}

/// Whether a `yarn.lock` is of yarn 1.
pub(super) fn is_yarn_classic(text: &str) -> bool {
    !has_line(text, "__metadata:")
}

/// Whether a line begins so.
fn has_line(text: &str, start: &str) -> bool {
    let mut found = memmem::find_iter(text.as_bytes(), start);
    found.any(|at| at == 0 || text.as_bytes()[at - 1] == b'\n')
}

/// The text of a value with its keys in order: equal exactly when the meaning is.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let mut keys: Vec<&String> = table.keys().collect();
            keys.sort_unstable();
            let fields: Vec<String> = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&table[key])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        plain => plain.to_string(),
    }
}

/// Reads YAML with one document, which holds a table, as the values that JSON has.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    document::yaml(text).map(document::Node::into_json)
}
