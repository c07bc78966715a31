use std::collections::BTreeMap;

use super::*;
use crate::packages::lock::{Affected, Comparison};

/// One workspace, locked by each manager itself: `web` needs `ui`, `debug` 4.3.4 (and by it `ms`
/// 2.1.2) and `once` (`wrappy`); `ui` needs `ms` 2.1.3; `docs` needs `inherits` by another name;
/// the root has `wrappy` for its own.
pub(crate) const FILES: [(&str, &str); 5] = [
    ("package-lock.json", include_str!("fixtures/npm/package-lock.json")),
    ("pnpm-lock.yaml", include_str!("fixtures/pnpm/pnpm-lock.yaml")),
    ("yarn.lock", include_str!("fixtures/yarn/yarn.lock")),
    ("bun.lock", include_str!("fixtures/bun/bun.lock")),
    ("classic/yarn.lock", include_str!("fixtures/classic/yarn.lock")),
];

/// What each package asks yarn 1 for.
fn keys(path: &str, package: &str) -> Vec<&'static str> {
    match (path, package) {
        ("classic/yarn.lock", "web") => vec!["debug@4.3.4", "once@1.4.0", "ms@2.1.3"],
        ("classic/yarn.lock", "ui") => vec!["ms@2.1.3"],
        ("classic/yarn.lock", "docs") => vec!["left@npm:inherits@2.0.4"],
        ("classic/yarn.lock", _) => vec!["wrappy@1.0.2"],
        (_, "web") => vec!["packages/web"],
        (_, "ui") => vec!["packages/ui"],
        (_, "docs") => vec!["packages/docs"],
        _ => vec![ROOT_TOOLS],
    }
}

fn compared(path: &str, before: &str, after: &str) -> BTreeMap<&'static str, Vec<String>> {
    let before = read(path, before).expect("a good lock");
    let after = read(path, after).expect("a good lock");
    let comparison = Comparison::of(&before, &after);
    let mut affected = BTreeMap::new();
    for package in ["web", "ui", "docs", "root"] {
        let mut told = Vec::new();
        for key in keys(path, package) {
            match comparison.affects(key) {
                None => {}
                Some(Affected::Unknown(why)) => told.push(why),
                Some(Affected::By(found)) => {
                    told.extend(found.into_iter().map(|(it, _)| {
                        let version = |of: Option<String>| of.unwrap_or_else(|| "nothing".into());
                        let (was, is) = (version(it.before), version(it.after));
                        let what = it.differs.join(", ");
                        if was == is {
                            format!("{} {what}", it.name)
                        } else {
                            format!("{} {was} {is}", it.name)
                        }
                    }));
                }
            }
        }
        if !told.is_empty() {
            affected.insert(package, told);
        }
    }
    affected
}

/// Every place of `from` in the part of the file that begins with `within`.
fn edited(text: &str, within: &str, from: &str, to: &str) -> String {
    let at = text.find(within).unwrap_or_else(|| panic!("no {within}"));
    format!("{}{}", &text[..at], text[at..].replacen(from, to, 1))
}

#[test]
fn the_same_lock_affects_nothing() {
    for (path, text) in FILES {
        assert!(compared(path, text, text).is_empty(), "{path}");
    }
}

#[test]
fn an_integrity_alone_affects_exactly_who_has_the_entry() {
    let web = "debug";
    for (path, text) in FILES {
        let (sum, word) = match path {
            "yarn.lock" => ("10c0/cedbec45298", "checksum"),
            _ => ("sha512-PRWFHuSU3eD", "integrity"),
        };
        assert!(text.contains(sum), "{path}");
        let changed = text.replacen(sum, &sum.replace("e", "f"), 1);
        let affected = compared(path, text, &changed);
        assert_eq!(affected.keys().copied().collect::<Vec<_>>(), ["web"], "{path}");
        assert_eq!(affected["web"], [format!("{web} {word}")], "{path}");
    }
}

#[test]
fn a_source_alone_counts() {
    for path in ["package-lock.json", "classic/yarn.lock"] {
        let (_, text) = FILES.into_iter().find(|(it, _)| *it == path).expect("there");
        let changed = text.replacen("registry.example/inherits", "mirror.example/inherits", 1);
        let affected = compared(path, text, &changed);
        assert_eq!(affected.keys().copied().collect::<Vec<_>>(), ["docs"], "{path}");
        assert!(affected["docs"][0].ends_with("source"), "{path}: {affected:?}");
    }
}

#[test]
fn a_version_deep_in_a_closure_affects_all_that_reach_it_and_nobody_else() {
    for (path, text) in FILES {
        // `ms` 2.1.3, which `ui` has, and `web` through `ui`; 2.1.2 stays as it was.
        let changed = match path {
            "package-lock.json" => edited(
                text,
                "\"node_modules/ms\"",
                "\"version\": \"2.1.3\"",
                "\"version\": \"2.1.4\"",
            ),
            "classic/yarn.lock" => {
                edited(text, "ms@2.1.3", "version \"2.1.3\"", "version \"2.1.4\"")
            }
            "yarn.lock" => edited(text, "\"ms@npm:2.1.3\":", "version: 2.1.3", "version: 2.1.4")
                .replace("resolution: \"ms@npm:2.1.3\"", "resolution: \"ms@npm:2.1.4\""),
            "bun.lock" => text.replace("ms@2.1.3", "ms@2.1.4"),
            _ => text.replace("ms@2.1.3", "ms@2.1.4").replace("version: 2.1.3", "version: 2.1.4"),
        };
        let affected = compared(path, text, &changed);
        let expected: [(&str, Vec<String>); 2] =
            ["ui", "web"].map(|it| (it, vec!["ms 2.1.3 2.1.4".to_owned()]));
        assert_eq!(affected, BTreeMap::from(expected), "{path}");
    }
}

#[test]
fn what_the_root_installs_for_itself_is_told_apart() {
    for (path, text) in FILES {
        let sum = match path {
            "yarn.lock" => "10c0/56fece1a",
            _ => "sha512-l4Sp/DRs",
        };
        let changed = text.replacen(sum, &sum.replace("s", "t").replace("fece", "ffff"), 1);
        let affected = compared(path, text, &changed);
        assert_eq!(affected.keys().copied().collect::<Vec<_>>(), ["root", "web"], "{path}");
    }
}

#[test]
fn a_package_that_is_only_installed_elsewhere_is_the_same() {
    let (path, text) = FILES[0];
    // The nested `ms` 2.1.2 and the hoisted 2.1.3 change places.
    let changed = text
        .replace("\"node_modules/debug/node_modules/ms\"", "\"node_modules/ms \"")
        .replace("\"node_modules/ms\"", "\"node_modules/ui/node_modules/ms\"")
        .replace("\"node_modules/ms \"", "\"node_modules/ms\"")
        .replace("node_modules/ui/node_modules/ms", "packages/ui/node_modules/ms");
    assert_eq!(compared(path, text, &changed), BTreeMap::new());
}

#[test]
fn settings_and_versions_of_the_file_affect_all() {
    let (path, text) = FILES[1];
    let changed = text.replace("autoInstallPeers: true", "autoInstallPeers: false");
    assert_eq!(compared(path, text, &changed).len(), 4);
    let (path, text) = FILES[2];
    let changed = text.replace("cacheKey: 10c0", "cacheKey: 11");
    assert_eq!(compared(path, text, &changed).len(), 4);
}

#[test]
fn a_lock_that_cannot_be_read_says_why() {
    for (path, text, why) in [
        ("package-lock.json", "{", "EOF while parsing"),
        ("package-lock.json", r#"{ "lockfileVersion": 1, "dependencies": {} }"#, "version 1"),
        ("pnpm-lock.yaml", "lockfileVersion: '6.0'\n", "6.0 where version 9 is read"),
        ("pnpm-lock.yaml", "a: [\n", "line"),
        ("yarn.lock", "a@1:\n   version 1 2 3\n", "line 2 is not understood"),
        ("yarn.lock", "__metadata:\n  version: 8\n\"a@npm:1\":\n  version: 1\n", "no resolution"),
        ("x/bun.lock", "{}", "no `workspaces`"),
        ("yarn.lock", "<<<<<<< HEAD\na@1:\n", "merge conflict"),
    ] {
        let error = read(path, text).err().unwrap_or_else(|| panic!("{path}: {text}"));
        assert!(error.contains(why), "{path}: {error}");
    }
}

#[test]
fn a_request_that_a_resolution_rewrote_counts_every_entry_of_its_name() {
    let (path, text) = FILES[2];
    let text = text.replace("ms: \"npm:2.1.2\"", "ms: \"npm:^2\"");
    let changed = text.replace("d924b57e7312b", "e924b57e7312b");
    let affected = compared(path, &text, &changed);
    assert_eq!(affected.keys().copied().collect::<Vec<_>>(), ["ui", "web"]);
}

#[test]
fn entries_of_yarn_1_with_one_name_and_version_are_told_apart() {
    let (plain, mirror) = ("a@^1", "a@https://mirror.example/a.tgz");
    let text = format!(
        "# yarn lockfile v1\n\n\n{plain}:\n  version \"1.0.0\"\n  resolved \"https://registry.example/a.tgz#aa\"\n\n\
         \"{mirror}\":\n  version \"1.0.0\"\n  resolved \"https://mirror.example/a.tgz#bb\"\n"
    );
    for (sum, concerned, other) in [("#aa", plain, mirror), ("#bb", mirror, plain)] {
        let changed = text.replace(sum, "#cc");
        let before = read("yarn.lock", &text).expect("a good lock");
        let after = read("yarn.lock", &changed).expect("a good lock");
        let comparison = Comparison::of(&before, &after);
        assert!(comparison.affects(concerned).is_some(), "{sum}");
        assert_eq!(comparison.affects(other), None, "{sum}");
    }
}
