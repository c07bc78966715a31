//! Reading YAML, and by key, whatever type a scalar has.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

/// More mends than this in one text are not tried.
const MOST: usize = 1_000;

/// Reads every document of a text.
///
/// Inside `[…]` and `{…}` a line may stand as far left as the key it belongs to: engines read that, the
/// parser does not, so such a line is moved to the right.
///
/// # Errors
///
/// What the parser says.
pub(super) fn load(text: &str) -> Result<Vec<Yaml<'static>>, String> {
    let mut lines: Option<Vec<String>> = None;
    for _ in 0..MOST {
        let joined = lines.as_ref().map(|lines| lines.join("\n"));
        let error = match Yaml::load_from_str(joined.as_deref().unwrap_or(text)) {
            Ok(documents) => return Ok(documents.into_iter().map(own).collect()),
            Err(error) => error,
        };
        let lines = lines.get_or_insert_with(|| text.lines().map(str::to_owned).collect());
        let at = error.marker().line().saturating_sub(1);
        if !error.info().starts_with("invalid indentation") || !goes_on(lines, at) {
            return Err(error.to_string());
        }
        lines[at].insert_str(0, &" ".repeat(8));
    }
    Err("its lists are indented in too many ways".to_owned())
}

/// Whether a line certainly goes on with `[…]` or `{…}`.
fn goes_on(lines: &[String], at: usize) -> bool {
    let Some(line) = lines.get(at) else { return false };
    let indented = line.len() - line.trim_start().len();
    if indented > 400 {
        return false;
    }
    let mut before = lines[..at].iter().rev().map(|line| line.trim());
    let before = before.find(|line| !line.is_empty() && !line.starts_with('#'));
    line.trim_start().starts_with([']', '}'])
        || before.is_some_and(|line| line.ends_with(['[', '{', ',']))
}

/// A document that borrows nothing.
fn own(node: Yaml<'_>) -> Yaml<'static> {
    match node {
        Yaml::Value(Scalar::String(text)) => Yaml::Value(Scalar::String(text.into_owned().into())),
        Yaml::Value(Scalar::Null) => Yaml::Value(Scalar::Null),
        Yaml::Value(Scalar::Boolean(value)) => Yaml::Value(Scalar::Boolean(value)),
        Yaml::Value(Scalar::Integer(value)) => Yaml::Value(Scalar::Integer(value)),
        Yaml::Value(Scalar::FloatingPoint(value)) => Yaml::Value(Scalar::FloatingPoint(value)),
        Yaml::Sequence(list) => Yaml::Sequence(list.into_iter().map(own).collect()),
        Yaml::Mapping(pairs) => {
            Yaml::Mapping(pairs.into_iter().map(|(key, value)| (own(key), own(value))).collect())
        }
        Yaml::Tagged(tag, inside) => {
            Yaml::Tagged(std::borrow::Cow::Owned(tag.into_owned()), Box::new(own(*inside)))
        }
        Yaml::Representation(text, ..) => Yaml::Value(Scalar::String(text.into_owned().into())),
        Yaml::Alias(_) | Yaml::BadValue => Yaml::BadValue,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_close_as_far_left_as_its_key() {
        let text =
            "a:\n  b: [\n    x,\n  ]\n  c: {\n  d: 1,\n  e: [\"y\",\n  \"z\"\n  ]\n  }\nf: 1\n";
        let read = load(text).expect("engines read it");
        let a = get(&read[0], "a").expect("a");
        assert_eq!(texts(get(a, "b")), ["x"]);
        assert_eq!(texts(get(a, "c").and_then(|c| get(c, "e"))), ["y", "z"]);
        assert_eq!(texts(get(&read[0], "f")), ["1"]);
        load("a:\n  b: 1\n c: 2\n").expect_err("no reader takes that");
    }
}
