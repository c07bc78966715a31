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
mod plain;
mod pnpm;
#[cfg(test)]
mod tests;
mod yarn;
mod yarn_classic;

use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::Value;

pub(crate) use self::bun::plain_json;
use crate::packages::Lock;

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
pub(super) fn read(path: &str, text: &str) -> Result<Lock, String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let text = text.trim_start_matches('\u{feff}');
    if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| text.lines().any(|line| line.starts_with(mark))) {
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
        lock.package(ROOT_TOOLS, "");
        lock
    })
}

/// Whether a `yarn.lock` is of yarn 1.
pub(super) fn is_yarn_classic(text: &str) -> bool {
    !text.contains("\n__metadata:") && !text.starts_with("__metadata:")
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
    plain::read(text).map_or_else(|| whole_yaml(text), Ok)
}

/// The same, whatever of YAML is in it.
fn whole_yaml(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.into_iter().next() {
        None => Ok(Value::Null),
        Some(document) => value_of(document),
    }
}

fn value_of(node: Yaml<'_>) -> Result<Value, String> {
    use saphyr::Scalar;
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::from(value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => Value::from(text.into_owned()),
        Yaml::Representation(text, ..) => Value::from(text.into_owned()),
        Yaml::Tagged(_, inner) => value_of(*inner)?,
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(value_of).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(table) => {
            let mut values = serde_json::Map::new();
            for (key, value) in table {
                let key = match value_of(key)? {
                    Value::String(key) => key,
                    Value::Array(_) | Value::Object(_) => {
                        return Err("a key is no plain text".to_owned());
                    }
                    plain => plain.to_string(),
                };
                values.insert(key, value_of(value)?);
            }
            Value::Object(values)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err("it holds what is not understood".to_owned()),
    })
}

/// The entries of a table of a table; none where it is not there.
fn table<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let table = of.get(key).and_then(Value::as_object);
    table.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}
