//! Reading YAML by key, whatever type a scalar has.

use saphyr::Yaml;

pub(super) fn get<'a, 'i>(node: &'a Yaml<'i>, key: &str) -> Option<&'a Yaml<'i>> {
    node.as_mapping_get(key)
}

/// A scalar as text, whatever its type.
pub(super) fn text(node: &Yaml<'_>) -> Option<String> {
    if let Some(text) = node.as_str() {
        return Some(text.to_owned());
    }
    let number = node.as_integer().map(|number| number.to_string());
    let number = number.or_else(|| node.as_floating_point().map(|number| number.to_string()));
    number.or_else(|| node.as_bool().map(|word| word.to_string()))
}

/// A list of texts, or one text.
pub(super) fn texts(node: Option<&Yaml<'_>>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match node.as_sequence() {
        Some(list) => list.iter().flat_map(|item| texts(Some(item))).collect(),
        None => text(node).into_iter().collect(),
    }
}

pub(super) fn pairs(node: Option<&Yaml<'_>>) -> Vec<(String, String)> {
    let mapping = node.and_then(Yaml::as_mapping);
    mapping
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((text(key)?, text(value)?)))
        .collect()
}
