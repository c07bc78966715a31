//! `.cargo/config.toml` and toolchain files, of a package's directory and all above it.
//!
//! Cargo reads configuration from the directory that it is started in and upward; here it counts
//! for every package below it. The file itself counts whole, with the programs and sources of the
//! tree that it names; its overrides are those of [`super::overrides`].

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{NAME, overrides, overrides::Override, strings};
use crate::{
    packages::{End, Manifests, Package, Packages, Text, To, directory_of, file_in},
    planned_tree::TreeError,
};

/// Programs that a build runs, by the keys that name them.
const PROGRAMS: [&str; 7] =
    ["rustc", "rustc-wrapper", "rustc-workspace-wrapper", "rustdoc", "linker", "runner", "path"];

/// A configuration file: its path, the directory that its paths start from, its content.
struct File {
    path: String,
    from: String,
    table: Result<Table, String>,
}

/// The configuration that holds in some directories.
fn files(manifests: &Manifests<'_>, dirs: &[&str]) -> Result<Vec<File>, TreeError> {
    let mut all = Vec::new();
    for dir in ancestors(dirs) {
        for name in [".cargo/config.toml", ".cargo/config"] {
            let path = file_in(&dir, name);
            let table = match manifests.text(&path)? {
                Text::Absent => continue,
                Text::Unreadable(detail) => Err(detail),
                Text::Read(text) => {
                    text.parse::<Table>().map_err(|error| error.message().to_owned())
                }
            };
            all.push(File { path, from: dir.clone(), table });
        }
    }
    Ok(all)
}

/// Some directories and all above them.
fn ancestors(dirs: &[&str]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for dir in dirs {
        let mut above = Some(*dir);
        while let Some(dir) = above {
            all.insert(dir.to_owned());
            above = (!dir.is_empty()).then(|| directory_of(dir));
        }
    }
    all
}

/// Adds to a package what configuration and toolchain files above it bring.
pub(super) fn above(
    manifests: &Manifests<'_>,
    dirs: &[&str],
    package: &mut Package,
    packages: &mut Packages,
) -> Result<(), TreeError> {
    for dir in ancestors(dirs) {
        for name in ["rust-toolchain.toml", "rust-toolchain"] {
            let path = file_in(&dir, name);
            if manifests.text(&path)? != Text::Absent {
                file(manifests, package, &path)?;
            }
        }
    }
    for File { path, from, table } in files(manifests, dirs)? {
        file(manifests, package, &path)?;
        let table = match table {
            Ok(table) => table,
            Err(detail) => {
                let here = file_in(&package.dir, NAME);
                let detail = format!("is below `{path}`, which cannot be read: {detail}");
                packages.unfollowed(&here, &package.dir, detail);
                package.uses(To::Anything, format!("{path} (cannot be read)"));
                continue;
            }
        };
        let mut named: Vec<(String, String)> = Vec::new();
        programs(&table, false, &mut |program| named.push((from.clone(), program.to_owned())));
        let sources = table.get("source").and_then(Value::as_table);
        for source in sources.into_iter().flat_map(Table::values) {
            let dirs = ["directory", "local-registry"].into_iter();
            let dirs = dirs.filter_map(|key| source.get(key)?.as_str());
            named.extend(dirs.map(|dir| (from.clone(), dir.to_owned())));
        }
        // Files that it includes are beside it.
        let include = table.get("include");
        let included = include.and_then(Value::as_str).into_iter().chain(strings(include));
        named.extend(included.map(|it| (directory_of(&path).to_owned(), it.to_owned())));
        for (from, to) in named {
            let place = manifests.lead(&from, &to)?;
            for link in &place.links {
                package.uses(To::Link(link.clone()), format!("{link} (link)"));
            }
            match place.end {
                End::File(file) => package.uses(To::File(file.clone()), file),
                End::Directory(dir) => package.uses(To::Directory(dir.clone()), dir),
                End::Submodule(path) => {
                    package.uses(To::Submodule(path.clone()), format!("{path} (submodule)"));
                }
                End::Missing(_) | End::Outside => {}
            }
        }
    }
    Ok(())
}

fn file(manifests: &Manifests<'_>, package: &mut Package, path: &str) -> Result<(), TreeError> {
    let place = manifests.locate(path)?;
    for link in &place.links {
        package.uses(To::Link(link.clone()), format!("{link} (link)"));
    }
    if let End::File(real) = place.end {
        package.uses(To::File(real.clone()), real);
    }
    Ok(())
}

/// The programs that a table names with a path.
fn programs(table: &Table, program: bool, found: &mut impl FnMut(&str)) {
    for (key, value) in table {
        let program = program || PROGRAMS.contains(&key.as_str());
        match value {
            Value::Table(table) => programs(table, false, found),
            Value::String(text) if program => {
                found(text.split_whitespace().next().unwrap_or_default());
            }
            Value::Array(list) if program => {
                list.iter().filter_map(Value::as_str).for_each(&mut *found);
            }
            _ => {}
        }
    }
}

/// The packages that configuration takes from directories.
pub(super) fn overrides(manifests: &Manifests<'_>, root: &str) -> Result<Vec<Override>, TreeError> {
    let mut all = Vec::new();
    for File { from, table, .. } in files(manifests, &[root])? {
        let Ok(table) = table else { continue };
        all.extend(overrides::of_patches(&from, &table));
        for path in strings(table.get("paths")) {
            let End::Directory(dir) = manifests.lead(&from, path)?.end else { continue };
            // Every package below it is taken.
            let escaped = super::super::literal(&dir);
            let glob = if dir.is_empty() { "**".to_owned() } else { format!("{escaped}/**") };
            for manifest in manifests.matching(&format!("{glob}/{NAME}"))? {
                let Text::Read(text) = manifests.text(&manifest)? else { continue };
                let table = text.parse::<Table>().ok();
                let name = table.as_ref().and_then(|it| it.get("package")?.get("name")?.as_str());
                let Some(name) = name.map(str::to_owned) else { continue };
                let path = directory_of(&manifest).to_owned();
                all.push(Override { name, from: String::new(), path });
            }
        }
    }
    Ok(all)
}
