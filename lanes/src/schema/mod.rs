//! JSON Schemas of the four files, for editors and checks, made from the same declarations that
//! read them.
//!
//! | room | owns |
//! | --- | --- |
//! | `together` | which keys of one table need or exclude each other |

mod together;

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::Transform};

use crate::{
    catalog_file::CatalogFile, invariants_file::InvariantsFile, manifest::Manifest,
    scenario_file::ScenarioFile,
};

/// A file that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaOf {
    /// `forge-lanes.toml`.
    Lanes,
    /// `catalog.toml`.
    Catalog,
    /// `invariants.toml`.
    Invariants,
    /// `scenarios/*.toml`.
    Scenario,
}

impl SchemaOf {
    /// Every file, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Lanes, Self::Catalog, Self::Invariants, Self::Scenario];

    /// Returns the word used on the command line and in file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lanes => "lanes",
            Self::Catalog => "catalog",
            Self::Invariants => "invariants",
            Self::Scenario => "scenario",
        }
    }
}

/// Returns the JSON Schema (2020-12) of a file.
#[must_use]
pub fn schema(of: SchemaOf) -> Schema {
    match of {
        SchemaOf::Lanes => make::<Manifest>("forge-lanes.toml"),
        SchemaOf::Catalog => make::<CatalogFile>("catalog.toml"),
        SchemaOf::Invariants => make::<InvariantsFile>("invariants.toml"),
        SchemaOf::Scenario => make::<ScenarioFile>("scenario.toml"),
    }
}

fn make<T: JsonSchema>(title: &str) -> Schema {
    let settings = SchemaSettings::draft2020_12().with_transform(ForToml);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let tables = schema.get_mut("$defs").and_then(|tables| tables.as_object_mut());
    for (name, table) in tables.into_iter().flatten() {
        let more = together::together(name).and_then(|more| more.to_value().as_object().cloned());
        if let Some(table) = table.as_object_mut() {
            table.extend(more.into_iter().flatten());
            let properties = table.get_mut("properties").and_then(|it| it.as_object_mut());
            if let Some((properties, own)) = properties.zip(together::own_property(name)) {
                properties.insert(own.0.to_owned(), own.1.to_value());
            }
        }
    }
    schema
}

/// TOML has no null: an optional key is left out. Editors know `additionalProperties` where they
/// do not know `unevaluatedProperties`, and many of them pass over what stands beside a `$ref`.
/// Of a list of words they say which there are, of alternatives only that none fits.
#[derive(Debug, Clone)]
struct ForToml;

impl Transform for ForToml {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            if let Some(types) = object.get_mut("type").and_then(|types| types.as_array_mut()) {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(any) = object.get_mut("anyOf").and_then(|any| any.as_array_mut()) {
                any.retain(|one| one.get("type").is_none_or(|name| name != "null"));
                if let [only] = any.as_slice()
                    && let Some(only) = only.as_object().cloned()
                {
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            if let Some(closed) = object.remove("unevaluatedProperties") {
                object.insert("additionalProperties".to_owned(), closed);
            }
            let alternatives = object.get("oneOf").and_then(|all| all.as_array());
            let words: Option<Vec<_>> = alternatives.and_then(|all| {
                let words = all.iter().map(|one| one.get("const").filter(|it| it.is_string()));
                words.map(|word| word.cloned()).collect()
            });
            if let Some(words) = words {
                object.remove("oneOf");
                object.insert("type".to_owned(), "string".into());
                object.insert("enum".to_owned(), words.into());
            }
            if object.len() > 1
                && let Some(reference) = object.remove("$ref")
            {
                let reference = schemars::json_schema!({ "$ref": reference }).to_value();
                object.insert("allOf".to_owned(), vec![reference].into());
            }
        }
        schemars::transform::transform_subschemas(self, schema);
    }
}
