//! `gradle/libs.versions.toml`: which of its entries scripts use.
//!
//! Source: the Gradle user manual, "Version catalogs". An entry's value has the versions that it
//! refers to in place, so that it differs exactly when what is resolved may.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::script::{Token, chains, strings};

/// A version catalog, or a text that is none.
pub(super) enum VersionCatalog {
    /// Its entries, by accessor without `libs`: `junit.core`, `plugins.android`, `bundles.test`.
    Read(BTreeMap<String, String>),
    /// It cannot be read: every change of it counts.
    Text(String),
}

impl VersionCatalog {
    /// Reads a catalog.
    pub(super) fn of(text: &str) -> Self {
        let Ok(table) = text.parse::<Table>() else { return Self::Text(text.to_owned()) };
        let section =
            |name: &str| table.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
        let versions = section("versions");
        let resolved = |entry: &Value| {
            let reference =
                entry.get("version").and_then(|it| it.get("ref")).and_then(Value::as_str);
            match reference.and_then(|name| versions.get(name)) {
                Some(version) => format!("{entry} {version}"),
                None => entry.to_string(),
            }
        };
        let libraries = section("libraries");
        let mut entries = BTreeMap::new();
        for (alias, entry) in &libraries {
            entries.insert(accessor(alias), resolved(entry));
        }
        for (alias, entry) in &section("plugins") {
            entries.insert(format!("plugins.{}", accessor(alias)), resolved(entry));
        }
        for (alias, entry) in &versions {
            entries.insert(format!("versions.{}", accessor(alias)), entry.to_string());
        }
        for (alias, entry) in &section("bundles") {
            let members = entry.as_array().into_iter().flatten().filter_map(Value::as_str);
            let of_member = |member: &str| libraries.get(member).map(resolved).unwrap_or_default();
            let value = members.map(|it| format!("{it} {}", of_member(it))).collect::<Vec<_>>();
            entries.insert(format!("bundles.{}", accessor(alias)), value.join("\n"));
        }
        Self::Read(entries)
    }

    /// Returns the entries that scripts use, by accessor, with their values. `logic` is build logic
    /// in its own language, which asks for an entry by its alias in a string.
    pub(super) fn used(&self, scripts: &[&[Token]], logic: &[&[Token]]) -> Vec<(String, String)> {
        let entries = match self {
            Self::Text(text) => return vec![("text".to_owned(), text.clone())],
            Self::Read(entries) => entries,
        };
        let mut used: BTreeSet<&String> = BTreeSet::new();
        for chain in scripts.iter().flat_map(|tokens| chains(tokens, "libs")) {
            // Behind the accessor come calls of the entry's own: `.get()`, `.asProvider()`.
            let known = (1..=chain.len())
                .rev()
                .find_map(|length| entries.get_key_value(&chain[..length].join(".")));
            match known {
                Some((accessor, _)) => drop(used.insert(accessor)),
                // Nobody can say which: all of them.
                None => used.extend(entries.keys()),
            }
        }
        let asked: BTreeSet<String> =
            logic.iter().flat_map(|it| strings(it)).map(accessor).collect();
        used.extend(entries.keys().filter(|key| {
            let alias =
                ["plugins.", "versions.", "bundles."].iter().find_map(|it| key.strip_prefix(it));
            asked.contains(alias.unwrap_or(key))
        }));
        used.into_iter().map(|key| (key.clone(), entries[key].clone())).collect()
    }
}

/// An alias as scripts write it: `-`, `_` and `.` are dots.
fn accessor(alias: &str) -> String {
    alias.replace(['-', '_'], ".")
}

#[cfg(test)]
mod tests {
    use super::super::script::tokens;
    use super::*;

    const CATALOG: &str = "[versions]\njunit = '5.1'\nktor = '2.0'\n[libraries]\njunit-core = { module = 'org.junit:core', version.ref = 'junit' }\nktor_client = { module = 'io.ktor:client', version.ref = 'ktor' }\n[bundles]\ntest = ['junit-core']\n[plugins]\nandroid-app = { id = 'x', version = '1' }\n";

    #[track_caller]
    fn check(script: &str, logic: &str, expected: &[&str]) {
        let (script, logic) = (tokens(script), tokens(logic));
        let used = VersionCatalog::of(CATALOG).used(&[&script, &logic], &[&logic]);
        let names: Vec<&str> = used.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn scripts_use_entries_by_accessor_and_logic_by_alias() {
        check("implementation(libs.junit.core)", "", &["junit.core"]);
        check("alias(libs.plugins.android.app)", "", &["plugins.android.app"]);
        check("x = libs.versions.ktor.get()", "", &["versions.ktor"]);
        check("implementation(libs.bundles.test)", "", &["bundles.test"]);
        check(
            "",
            "libs.findLibrary(\"ktor_client\").get()",
            &[
                "bundles.test",
                "junit.core",
                "ktor.client",
                "plugins.android.app",
                "versions.junit",
                "versions.ktor",
            ],
        );
        check("", "catalog.findLibrary(\"ktor_client\").get()", &["ktor.client"]);
        check("nothing", "", &[]);
    }

    #[test]
    fn a_version_that_is_referred_to_is_part_of_the_entry() {
        let script = tokens("implementation(libs.junit.core)");
        let used = |text: &str| VersionCatalog::of(text).used(&[&script], &[]);
        assert_ne!(used(CATALOG), used(&CATALOG.replace("5.1", "5.2")));
        assert_eq!(used(CATALOG), used(&CATALOG.replace("2.0", "2.1")));
        let bundle = tokens("implementation(libs.bundles.test)");
        let of_bundle = |text: &str| VersionCatalog::of(text).used(&[&bundle], &[]);
        assert_ne!(of_bundle(CATALOG), of_bundle(&CATALOG.replace("5.1", "5.2")));
    }

    #[test]
    fn a_catalog_that_cannot_be_read_counts_whole() {
        let used = VersionCatalog::of("[versions").used(&[], &[]);
        assert_eq!(used, [("text".to_owned(), "[versions".to_owned())]);
    }
}
