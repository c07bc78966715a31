//! What differs between two plans: nodes and lanes added, removed and changed, field by field.
//!
//! Fields are named by their way through `plan.json` (`runtime.incus.image`, `env.RUST_LOG`), and
//! compared as they stand there, so that a field that joins the format is compared from its first
//! day. Lists whose order means nothing (`depends_on`, `secrets`, reasons) are compared as sets.
//! Everything is sorted by id, so the same two plans give the same answer, and exchanging them
//! gives its mirror image.
//!
//! Knows nothing of files and revisions; the caller brings two plans and their names.

mod human;
mod json;
mod markdown;
mod schema;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plans::{Node, Plan, SortedMap};
use serde_json::{Map, Value};

pub use human::human;
pub use json::json;
pub use markdown::markdown;
pub use schema::schema;

/// One of two plans that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// What the reader calls it: a file, a revision.
    pub name: &'a str,
    /// The plan.
    pub plan: &'a Plan,
    /// Its checked digest, where it was read or written: equal digests end the comparison.
    pub digest: Option<&'a str>,
}

/// What counts as a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The whole document; for two plan files.
    Document,
    /// Only lanes and nodes; for two revisions, whose commits differ by nature, and whose files
    /// may differ without meaning anything else.
    Work,
}

/// What differs between two plans. Empty: nothing does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff {
    /// Source, selection, inputs and change set.
    pub document: Vec<Field>,
    /// Lanes, by id.
    pub lanes: Items,
    /// Nodes, by id.
    pub nodes: Items,
}

/// What differs between two lists of things with ids. Each list is sorted by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Items {
    /// Only in the second plan, with everything about them.
    pub added: Vec<Item>,
    /// Only in the first plan, with everything about them.
    pub removed: Vec<Item>,
    /// In both, with other fields.
    pub changed: Vec<Changed>,
}

/// A lane or node that only one of the plans has.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// All of it, as in `plan.json`.
    pub value: Value,
}

/// A lane or node that both plans have.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// What differs, sorted by path.
    pub fields: Vec<Field>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The way to it, such as `runtime.incus.image` or `inputs["ci/catalog.toml"]`.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

/// How a field differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Only the second plan has it.
    Added(Value),
    /// Only the first plan has it.
    Removed(Value),
    /// Both have it, with other values.
    Replaced {
        /// What the first plan says.
        from: Value,
        /// What the second plan says.
        to: Value,
    },
    /// A list whose order means nothing has other members.
    Members {
        /// What only the second plan lists.
        added: Vec<Value>,
        /// What only the first plan lists.
        removed: Vec<Value>,
    },
}

/// Lists whose order means nothing, by the last word of their path.
const SETS: [&str; 8] = [
    "depends_on",
    "concurrency_groups",
    "secrets",
    "nodes",
    "changes",
    "uncovered",
    "reasons",
    "shard_files",
];

/// Fields that hold one of several shapes, told apart by their first key.
const ALTERNATIVES: [&str; 4] = ["placement", "runtime", "command", "output"];

impl Diff {
    /// Compares two plans.
    #[must_use]
    pub fn between(from: &Side<'_>, to: &Side<'_>, scope: Scope) -> Self {
        let same_digest = from.digest.is_some() && from.digest == to.digest;
        if same_digest || same(from.plan, to.plan, scope) {
            return Self::default();
        }
        let (mut from, mut to) = (document(from.plan), document(to.plan));
        let mut take = |key: &str| (list(&mut from, key), list(&mut to, key));
        let (lanes, mut nodes) = (take("lanes"), take("nodes"));
        if scope == Scope::Work {
            nodes.0.iter_mut().chain(&mut nodes.1).for_each(forget_files);
        }
        let mut diff = Self {
            document: Vec::new(),
            lanes: Items::between(&lanes.0, &lanes.1),
            nodes: Items::between(&nodes.0, &nodes.1),
        };
        if scope == Scope::Document {
            compare_objects("", &from, &to, &mut diff.document);
            compare_order(&lanes.0, &lanes.1, &mut diff.document);
        }
        diff
    }

    /// Returns whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.document.is_empty() && self.lanes.is_empty() && self.nodes.is_empty()
    }

    /// Returns the answer as an exit code: 0 for the same, 1 for different plans.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_empty())
    }

    /// Returns what differs when the plans are exchanged.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self {
            document: mirrored(self.document),
            lanes: self.lanes.mirrored(),
            nodes: self.nodes.mirrored(),
        }
    }
}

impl Items {
    /// Returns whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn between(from: &[Value], to: &[Value]) -> Self {
        let (from, to) = (by_id(from), by_id(to));
        let mut items = Self::default();
        let ids: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
        for id in ids {
            let (id, from, to) = (id.to_owned(), from.get(id), to.get(id));
            match (from, to) {
                (Some(from), Some(to)) => {
                    let mut fields = Vec::new();
                    compare("", from, to, &mut fields);
                    if !fields.is_empty() {
                        items.changed.push(Changed { id, fields });
                    }
                }
                (None, Some(to)) => items.added.push(Item { id, value: (*to).clone() }),
                (Some(from), None) => items.removed.push(Item { id, value: (*from).clone() }),
                (None, None) => {}
            }
        }
        items
    }

    fn mirrored(self) -> Self {
        let changed = self
            .changed
            .into_iter()
            .map(|Changed { id, fields }| Changed { id, fields: mirrored(fields) })
            .collect();
        Self { added: self.removed, removed: self.added, changed }
    }
}

fn mirrored(fields: Vec<Field>) -> Vec<Field> {
    let mirror = |change| match change {
        Change::Added(value) => Change::Removed(value),
        Change::Removed(value) => Change::Added(value),
        Change::Replaced { from, to } => Change::Replaced { from: to, to: from },
        Change::Members { added, removed } => Change::Members { added: removed, removed: added },
    };
    fields
        .into_iter()
        .map(|Field { path, change }| Field { path, change: mirror(change) })
        .collect()
}

/// Compares without writing anything, which is enough for most pairs of plans.
fn same(from: &Plan, to: &Plan, scope: Scope) -> bool {
    let alike = |(from, to): (&Arc<Node>, &Arc<Node>)| {
        from == to || (scope == Scope::Work && without_files(from) == without_files(to))
    };
    let work = from.lanes() == to.lanes()
        && from.nodes().len() == to.nodes().len()
        && from.nodes().iter().zip(to.nodes()).all(alike);
    let around = scope == Scope::Work
        || (from.version() == to.version()
            && from.source() == to.source()
            && from.selection() == to.selection()
            && from.inputs() == to.inputs()
            && from.changes() == to.changes()
            && from.uncovered() == to.uncovered());
    work && around
}

/// What the files of one commit make of a node says nothing about what could run.
const OF_FILES: [&str; 3] = ["key", "inputs_tree", "cache_keys"];

fn without_files(node: &Node) -> Node {
    Node { key: None, inputs_tree: None, cache_keys: SortedMap::default(), ..node.clone() }
}

fn forget_files(node: &mut Value) {
    if let Value::Object(node) = node {
        node.retain(|key, _| !OF_FILES.contains(&key.as_str()));
    }
}

/// Returns the plan as it stands in a file, without its digest.
fn document(plan: &Plan) -> Map<String, Value> {
    let text = plan.to_json().json;
    match serde_json::from_str(&text) {
        Ok(Value::Object(mut document)) => {
            document.shift_remove("digest");
            document
        }
        _ => unreachable!("a plan is written as a JSON object"),
    }
}

fn list(document: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    match document.shift_remove(key) {
        Some(Value::Array(values)) => values,
        _ => unreachable!("lanes and nodes are lists of every plan"),
    }
}

fn id_of(value: &Value) -> &str {
    value.get("id").and_then(Value::as_str).unwrap_or_default()
}

fn by_id(values: &[Value]) -> BTreeMap<&str, &Value> {
    values.iter().map(|value| (id_of(value), value)).collect()
}

/// The order of lanes is part of the document; of lanes that both have, it is compared once.
fn compare_order(from: &[Value], to: &[Value], fields: &mut Vec<Field>) {
    let common = |of: &[Value], other: &[Value]| -> Vec<Value> {
        let other = by_id(other);
        let ids = of.iter().map(id_of).filter(|id| other.contains_key(id));
        ids.map(|id| Value::String(id.to_owned())).collect()
    };
    let (from, to) = (common(from, to), common(to, from));
    if from != to {
        let change = Change::Replaced { from: Value::Array(from), to: Value::Array(to) };
        fields.push(Field { path: "order of lanes".to_owned(), change });
    }
}

fn compare_objects(
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    fields: &mut Vec<Field>,
) {
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for key in keys {
        let path = join(path, key);
        match (from.get(key), to.get(key)) {
            (Some(from), Some(to)) => compare(&path, from, to, fields),
            (None, Some(to)) => fields.push(Field { path, change: Change::Added(to.clone()) }),
            (Some(from), None) => {
                fields.push(Field { path, change: Change::Removed(from.clone()) });
            }
            (None, None) => {}
        }
    }
}

fn compare(path: &str, from: &Value, to: &Value, fields: &mut Vec<Field>) {
    if from == to {
        return;
    }
    let last = path.rsplit('.').next().unwrap_or(path);
    let change = match (from, to) {
        (Value::Object(from), Value::Object(to))
            if !ALTERNATIVES.contains(&last) || from.keys().next() == to.keys().next() =>
        {
            return compare_objects(path, from, to, fields);
        }
        (Value::Array(from), Value::Array(to)) if SETS.contains(&last) => members(from, to),
        _ => Change::Replaced { from: from.clone(), to: to.clone() },
    };
    fields.push(Field { path: path.to_owned(), change });
}

fn members(from: &[Value], to: &[Value]) -> Change {
    // A value's text orders it and tells it from others.
    let texts = |values: &[Value]| -> BTreeMap<String, Value> {
        values.iter().map(|value| (value.to_string(), value.clone())).collect()
    };
    let (from_texts, to_texts) = (texts(from), texts(to));
    let only = |of: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| -> Vec<Value> {
        of.iter().filter(|(text, _)| !other.contains_key(*text)).map(|(_, it)| it.clone()).collect()
    };
    let (added, removed) = (only(&to_texts, &from_texts), only(&from_texts, &to_texts));
    if added.is_empty() && removed.is_empty() {
        // The same members, written in another order or number.
        return Change::Replaced {
            from: Value::Array(from.to_vec()),
            to: Value::Array(to.to_vec()),
        };
    }
    Change::Members { added, removed }
}

fn join(path: &str, key: &str) -> String {
    let word =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (path, word) {
        ("", true) => key.to_owned(),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", Value::String(key.to_owned())),
    }
}
