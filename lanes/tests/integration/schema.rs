//! The JSON Schemas are those in the repository, and describe what the reader reads.

use lanes::{SchemaOf, schema};

/// Run with `UPDATE_SCHEMAS=1` to write them anew.
#[test]
fn the_schemas_in_the_repository_are_current() {
    for of in SchemaOf::ALL {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("schemas")
            .join(format!("{}.schema.json", of.as_str()));
        let mut current = serde_json::to_string_pretty(&schema(of)).expect("serializes");
        current.push('\n');
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &current).expect("writable");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == current, "{} is stale: UPDATE_SCHEMAS=1 writes it", path.display());
    }
}

/// Every table is closed, every key is described, and nothing may be null.
#[test]
fn every_key_is_described() {
    fn walk(value: &serde_json::Value, at: &str) {
        match value {
            serde_json::Value::Object(object) => {
                // What only adds to a table, such as the `then` of a condition, has no type.
                let table = object.get("type").is_some_and(|name| name == "object");
                let properties = object.get("properties").and_then(|it| it.as_object());
                if let Some(properties) = properties.filter(|_| table) {
                    let tag = object.get("required").and_then(|it| it.as_array());
                    let tagged = properties.len() == 1 && tag.is_some_and(|it| it.len() == 1);
                    assert!(
                        object.get("additionalProperties") == Some(&false.into()),
                        "{at} is open"
                    );
                    for (key, property) in properties {
                        assert!(
                            tagged || property.get("description").is_some(),
                            "{at}.{key} has no description"
                        );
                    }
                }
                for (key, value) in object {
                    walk(value, &format!("{at}.{key}"));
                }
            }
            serde_json::Value::Array(list) => list.iter().for_each(|value| walk(value, at)),
            serde_json::Value::String(text) => assert!(text != "null", "{at} may be null"),
            _ => {}
        }
    }
    for of in SchemaOf::ALL {
        walk(schema(of).as_value(), of.as_str());
    }
}

/// The reader's own list of known keys, as it tells them for an unknown one, is the schema's.
#[test]
fn the_reader_knows_the_keys_of_the_schema() {
    use crate::support::Tree;
    let manifest = Tree::new([(
        "ci/forge-lanes.toml",
        "zzzzzzzz = 1\nversion = 1\n[branch]\nzzzzzzzz = 1\n[[branch.lanes]]\nzzzzzzzz = 1\n",
    )]);
    let catalog = Tree::new([
        ("ci/forge-lanes.toml", "version = 1\n"),
        (
            "ci/catalog.toml",
            "zzzzzzzz = 1\nversion = 1\n[hosts.a]\nzzzzzzzz = 1\n[bases.a]\nzzzzzzzz = 1\n\
             [bases.b]\nruntime = { incus = { zzzzzzzz = 1 } }\n\
             [bases.c]\nruntime = { tart = { zzzzzzzz = 1 } }\n\
             [[bases.d.prepare]]\nzzzzzzzz = 1\ncommand = { zzzzzzzz = 1 }\n\
             [[targets]]\nzzzzzzzz = 1\nstaged_linux = { zzzzzzzz = 1, payloads = [{ zzzzzzzz = 1 }] }\n\
             [[targets.jobs]]\nzzzzzzzz = 1\n",
        ),
    ]);
    let tables = [(manifest, SchemaOf::Lanes, 3), (catalog, SchemaOf::Catalog, 11)];
    for (tree, of, count) in tables {
        let schema = schema(of);
        let definitions = schema.get("$defs").and_then(|it| it.as_object()).expect("definitions");
        let objects = definitions.values().chain([schema.as_value()]);
        let known: Vec<Vec<String>> = objects
            .filter_map(|object| {
                let mut keys: Vec<String> =
                    object.get("properties")?.as_object()?.keys().cloned().collect();
                keys.sort();
                Some(keys)
            })
            .collect();
        let diagnostics = tree.load().expect_err("unknown keys");
        let unknown = diagnostics.iter().filter(|found| found.code.name == "unknown_key");
        let lists: Vec<&str> = unknown.map(|found| found.help[0].as_str()).collect();
        assert_eq!(lists.len(), count, "{diagnostics}");
        for list in lists {
            let list = list.strip_prefix("known keys are ").expect(list);
            let mut keys: Vec<String> =
                list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect();
            keys.sort();
            assert!(known.contains(&keys), "no table of the schema has {keys:?}");
        }
    }
}
