//! Where the values of a plan's secrets come from. Looked up once, before anything starts.

use std::collections::{BTreeMap, BTreeSet};

use plans::{EnvName, Node};

use crate::{
    config::{Config, SecretSource},
    placements::Secret,
    word_limits,
};

/// The values, by name.
pub type Secrets = BTreeMap<EnvName, Secret>;

/// Looks up every secret that `nodes` name.
///
/// # Errors
///
/// Every name without a usable value, with the place where it was looked for.
pub fn look_up<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    config: &Config,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Secrets, Vec<String>> {
    let names: BTreeSet<&EnvName> = nodes.flat_map(|node| &node.spec.secrets).collect();
    let (mut values, mut missing) = (Secrets::new(), Vec::new());
    for name in names {
        let from_env = |variable: &EnvName| {
            environment(variable.as_str())
                .ok_or_else(|| format!("the environment variable `{variable}` is not set"))
        };
        let value = match config.secrets.get(name) {
            None => from_env(name),
            Some(SecretSource::Env(variable)) => from_env(variable),
            Some(SecretSource::File(path)) => match std::fs::read_to_string(path) {
                Ok(mut text) => {
                    if text.ends_with('\n') {
                        text.truncate(text.trim_end_matches(['\r', '\n']).len());
                    }
                    Ok(text)
                }
                Err(error) => Err(format!("the file `{}`: {error}", path.display())),
            },
        };
        match value {
            Ok(value) if value.contains('\0') => {
                missing.push(format!("`{name}`: it holds a NUL byte, which no variable can"));
            }
            Ok(value) => match word_limits::variable(name.as_str(), &value) {
                Some(why) => missing.push(why),
                None => {
                    values.insert(name.clone(), Secret::new(value));
                }
            },
            Err(why) => missing.push(format!("`{name}`: {why}")),
        }
    }
    if missing.is_empty() { Ok(values) } else { Err(missing) }
}

/// Returns those values that one node is given.
#[must_use]
pub fn of_node(all: &Secrets, node: &Node) -> Secrets {
    node.spec
        .secrets
        .iter()
        .filter_map(|name| Some((name.clone(), all.get(name)?.clone())))
        .collect()
}
