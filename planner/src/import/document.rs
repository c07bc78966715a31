//! YAML and JSON documents of other engines as one kind of value, in their order: anchors and merge
//! keys (`<<`) resolved, a tagged node as `{"!tag": value}`.

use saphyr::ScalarOwned;
use serde_json::{Map, Number, Value};

use super::{
    ImportError, Tree,
    yaml::{Data, Node},
};

/// Reads every document of a text.
///
/// # Errors
///
/// What the reader says.
pub(super) fn read(text: &str) -> Result<Vec<Value>, String> {
    Ok(super::yaml::load(text)?.iter().map(value).collect())
}

/// Reads the last document of a file's text; null where there is none.
///
/// # Errors
///
/// What the reader says.
pub(super) fn last_of(file: &str, text: &str) -> Result<Value, ImportError> {
    let error = |detail| ImportError { file: file.to_owned(), detail };
    Ok(read(text).map_err(error)?.pop().unwrap_or(Value::Null))
}

/// Reads the last document of a file of the tree; null where there is no such file.
///
/// # Errors
///
/// What the reader says.
pub(super) fn of_file(tree: &Tree<'_>, file: &str) -> Result<Value, ImportError> {
    last_of(file, &(tree.read)(file).unwrap_or_default())
}

fn value(node: &Node) -> Value {
    match &node.data {
        Data::Scalar(scalar) => of_scalar(scalar),
        Data::List(list) => Value::Array(list.iter().map(value).collect()),
        Data::Map(pairs) => {
            let mut map = Map::new();
            let mut merged: Vec<Value> = Vec::new();
            for (key, inside) in pairs {
                let key = text_of(&value(key)).unwrap_or_default();
                if key == "<<" {
                    match value(inside) {
                        Value::Array(list) => merged.extend(list),
                        other => merged.push(other),
                    }
                } else {
                    map.insert(key, value(inside));
                }
            }
            // What is there goes before what is merged, the first of several before the others.
            for other in merged {
                for (key, inside) in other.as_object().into_iter().flatten() {
                    map.entry(key.clone()).or_insert_with(|| inside.clone());
                }
            }
            Value::Object(map)
        }
        Data::Tagged(tag, inside) => {
            let mut map = Map::new();
            map.insert(format!("!{tag}"), value(inside));
            Value::Object(map)
        }
        Data::Nothing => Value::Null,
    }
}

fn of_scalar(scalar: &ScalarOwned) -> Value {
    match scalar {
        ScalarOwned::Null => Value::Null,
        ScalarOwned::Boolean(value) => Value::Bool(*value),
        ScalarOwned::Integer(value) => Value::Number((*value).into()),
        ScalarOwned::FloatingPoint(value) => {
            Number::from_f64(value.into_inner()).map_or(Value::Null, Value::Number)
        }
        ScalarOwned::String(text) => Value::String(text.to_string()),
    }
}

/// A scalar as text, whatever its type.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The text at a key.
pub(super) fn text(of: &Value, key: &str) -> Option<String> {
    of.get(key).and_then(text_of)
}

/// A list of texts, of any depth, or one text.
pub(super) fn texts(of: Option<&Value>) -> Vec<String> {
    match of {
        Some(Value::Array(list)) => list.iter().flat_map(|item| texts(Some(item))).collect(),
        Some(other) => text_of(other).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Puts a value over another: mappings key by key, everything else as a whole.
pub(super) fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (under, over) => *under = over,
    }
}
