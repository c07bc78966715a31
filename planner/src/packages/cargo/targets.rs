//! Crate roots and build scripts that are outside the package's directory.
//!
//! A crate root may have modules beside it, so its directory counts, unless its text has none. What
//! a source includes by `include!` or `#[path]` from elsewhere is not followed.

use toml::{Table, Value};

use super::{At, NAME};
use crate::{
    packages::{End, Manifests, Package, Packages, Text, To, directory_of, file_in, join},
    planned_tree::TreeError,
};

/// Adds the sources of a package that are outside its directory.
pub(super) fn outside(
    manifests: &Manifests<'_>,
    at: &At,
    manifest: &Table,
    package: &mut Package,
    packages: &mut Packages,
) -> Result<(), TreeError> {
    for path in paths(manifest) {
        let here = file_in(&at.real, NAME);
        let Some(lexical) = join(&at.path, path) else {
            let detail = format!("names `{path}`, which is outside the repository");
            packages.unfollowed(&here, &at.real, detail);
            continue;
        };
        let inside = |path: &str, dir: &str| dir.is_empty() || path.starts_with(&format!("{dir}/"));
        let place = manifests.locate(&lexical)?;
        for link in &place.links {
            if !inside(link, &at.real) {
                package.uses(To::Link(link.clone()), format!("{link} (link)"));
            }
        }
        match place.end {
            End::File(file) if inside(&file, &at.real) => {}
            End::File(file) => {
                let alone = match manifests.text(&file)? {
                    Text::Read(text) => !has_modules(&text),
                    Text::Absent | Text::Unreadable(_) => false,
                };
                if alone {
                    package.uses(To::File(file.clone()), file);
                } else {
                    package.uses(To::Directory(directory_of(&file).to_owned()), file);
                }
            }
            End::Submodule(path) => {
                package.uses(To::Submodule(path.clone()), format!("{path} (submodule)"));
            }
            End::Directory(dir) => package.uses(To::Directory(dir.clone()), dir),
            End::Missing(path) if inside(&path, &at.real) => {}
            End::Missing(path) => {
                let detail = format!("names `{path}`, which is not in the tree");
                packages.unfollowed(&here, &at.real, detail);
                package.uses(To::File(path.clone()), format!("{path} (missing)"));
            }
            End::Outside => {
                let detail = format!("names `{path}`, which leads out of the repository");
                packages.unfollowed(&here, &at.real, detail);
            }
        }
    }
    Ok(())
}

/// Whether a source may have others beside it.
fn has_modules(text: &str) -> bool {
    let words = ["mod", "include", "include_str", "include_bytes", "path"];
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| words.contains(&word))
}

/// The paths of crate roots and build scripts.
fn paths(manifest: &Table) -> Vec<&str> {
    let mut paths = Vec::new();
    let build = manifest.get("package").and_then(|package| package.get("build"));
    paths.extend(build.and_then(Value::as_str));
    paths.extend(super::strings(build));
    let lib = manifest.get("lib").and_then(|lib| lib.get("path")).and_then(Value::as_str);
    paths.extend(lib);
    for kind in ["bin", "test", "bench", "example"] {
        let list = manifest.get(kind).and_then(Value::as_array).into_iter().flatten();
        paths.extend(list.filter_map(|target| target.get("path")?.as_str()));
    }
    paths
}
