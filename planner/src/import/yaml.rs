//! Reading YAML, and by key, whatever type a scalar has; each node knows the line it starts in.

use saphyr::{LoadableYamlNode as _, MarkedYamlOwned, ScalarOwned, YamlDataOwned};

/// More mends than this in one text are not tried.
const MOST: usize = 1_000;

/// A node of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The line that it starts in, from 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) data: Data,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Scalar(ScalarOwned),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// A tag of the document's own, without its `!`.
    Tagged(String, Box<Node>),
    /// What the reader had no value for.
    Nothing,
}

impl Node {
    pub(super) fn as_list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(list) => Some(list),
            _ => None,
        }
    }

    /// Keys and values, in order.
    pub(super) fn as_map(&self) -> Option<&[(Self, Self)]> {
        match &self.data {
            Data::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(ScalarOwned::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        match &self.data {
            Data::Scalar(ScalarOwned::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(ScalarOwned::Null))
    }
}

/// Reads every document of a text.
///
/// Inside `[…]` and `{…}` a line may stand as far left as the key it belongs to: engines read that, the
/// parser does not, so such a line is moved to the right.
///
/// # Errors
///
/// What the parser says.
pub(super) fn load(text: &str) -> Result<Vec<Node>, String> {
    let mut lines: Option<Vec<String>> = None;
    for _ in 0..MOST {
        let joined = lines.as_ref().map(|lines| lines.join("\n"));
        let error = match MarkedYamlOwned::load_from_str(joined.as_deref().unwrap_or(text)) {
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

fn own(node: MarkedYamlOwned) -> Node {
    let data = match node.data {
        YamlDataOwned::Value(scalar) => Data::Scalar(scalar),
        YamlDataOwned::Representation(text, ..) => Data::Scalar(ScalarOwned::String(text)),
        YamlDataOwned::Sequence(list) => Data::List(list.into_iter().map(own).collect()),
        YamlDataOwned::Mapping(pairs) => {
            Data::Map(pairs.into_iter().map(|(key, value)| (own(key), own(value))).collect())
        }
        YamlDataOwned::Tagged(tag, inside) => Data::Tagged(tag.suffix, Box::new(own(*inside))),
        YamlDataOwned::Alias(_) | YamlDataOwned::BadValue => Data::Nothing,
    };
    Node { line: node.span.start.line(), data }
}

/// The value at a key.
pub(super) fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    entry(node, key).map(|(_, value)| value)
}

/// The value at a key, whatever its case.
pub(super) fn find<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let own = |(known, _): &&(Node, Node)| known.as_str().is_some_and(|it| is_same(it, key));
    node.as_map()?.iter().find(own).map(|(_, value)| value)
}

/// Whether two names are one, as GitHub's expressions read them.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The line of a key.
pub(super) fn line_of(node: &Node, key: &str) -> Option<usize> {
    entry(node, key).map(|(key, _)| key.line)
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a (Node, Node)> {
    node.as_map()?.iter().find(|(known, _)| known.as_str() == Some(key))
}

/// A scalar as text, whatever its type.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.data {
        Data::Scalar(ScalarOwned::String(text)) => Some(text.clone()),
        Data::Scalar(ScalarOwned::Integer(number)) => Some(number.to_string()),
        Data::Scalar(ScalarOwned::FloatingPoint(number)) => Some(number.to_string()),
        Data::Scalar(ScalarOwned::Boolean(word)) => Some(word.to_string()),
        _ => None,
    }
}

/// A list of texts, or one text.
pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match node.as_list() {
        Some(list) => list.iter().flat_map(|item| texts(Some(item))).collect(),
        None => text(node).into_iter().collect(),
    }
}

pub(super) fn pairs(node: Option<&Node>) -> Vec<(String, String)> {
    let mapping = node.and_then(Node::as_map);
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
