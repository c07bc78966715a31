//! `ARCHITECTURE.md` against the tree: every path on it exists, and every top-level module is on it.

use std::{collections::BTreeSet, fs, path::Path};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn map() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map")
}

/// The paths that the map names: where links lead, and whatever in backticks looks like one. `{a,b}` is both;
/// `<name>` and `*` stand for what is not there yet.
fn paths(map: &str) -> BTreeSet<String> {
    let links = map.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let code = map.split('`').skip(1).step_by(2).filter(|word| {
        word.contains('/') && !word.contains([' ', '\n', '<', '*', '…']) && !word.starts_with('/')
    });
    links.filter(|link| !link.contains("://")).chain(code).flat_map(both).collect()
}

fn both(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (names, after) = rest.split_once('}').expect("a closing brace");
    names.split(',').map(|name| format!("{before}{name}{after}")).flat_map(|it| both(&it)).collect()
}

#[test]
fn every_path_on_the_map_exists() {
    let paths = paths(&map());
    let dead: Vec<&String> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert_eq!(dead, Vec::<&String>::new(), "ARCHITECTURE.md names what is not there");
    assert!(paths.len() > 120, "only {} paths were found", paths.len());
}

#[test]
fn every_top_level_module_is_on_the_map() {
    let map = map();
    for krate in ["plans", "lanes", "planner", "executor"] {
        let lib = fs::read_to_string(root().join(krate).join("src/lib.rs")).expect("a library");
        let modules = lib.lines().filter_map(|line| {
            line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')
        });
        for module in modules {
            let ways = [
                format!("[{module}]({krate}/src/{module}.rs)"),
                format!("[{module}]({krate}/src/{module}/mod.rs)"),
            ];
            assert!(
                ways.iter().any(|way| map.contains(way)),
                "`{krate}::{module}` has no place in the table of ARCHITECTURE.md: {}",
                ways[0]
            );
        }
    }
}
