use std::collections::BTreeMap;

use globset::GlobBuilder;
use lanes::glob::Glob;

use super::*;

/// A tree as a table of files.
pub(crate) struct Tree(pub(crate) BTreeMap<&'static str, &'static str>);

impl ManifestTree for Tree {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        Ok(self.0.get(path).map(|&text| text.to_owned()))
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        let glob = GlobBuilder::new(glob).literal_separator(true).build().expect("a glob");
        let matcher = glob.compile_matcher();
        Ok(self.0.keys().filter(|path| matcher.is_match(path)).map(|&it| it.to_owned()).collect())
    }
}

pub(crate) fn tree<const N: usize>(files: [(&'static str, &'static str); N]) -> Tree {
    Tree(BTreeMap::from(files))
}

pub(crate) fn read(
    kind: &Kind,
    tree: &dyn ManifestTree,
    wanted: &[&str],
) -> Result<Packages, TreeError> {
    (kind.read)(&Manifests::new(tree, &[], wanted))
}

#[track_caller]
pub(crate) fn check(packages: Result<Packages, TreeError>, name: &str, expected: &[&str]) {
    let packages = packages.expect("the manifests are good");
    let reached = packages.reach(name);
    let path = |to: &To| match to {
        To::Package(dir) | To::Directory(dir) => dir.clone(),
        other => other.globs().join(" "),
    };
    let found: Vec<String> =
        reached.iter().map(|it| format!("{}: {}", path(&it.to), it.chain)).collect();
    assert_eq!(found, expected);
}

/// What a package of a kind reaches, and what it does not.
#[track_caller]
pub(crate) fn reaches(kind: &Kind, tree: &Tree, name: &str, expected: &[To], absent: &[To]) {
    let packages = read(kind, tree, &[]).expect("the tree can be read");
    let reached: Vec<To> = packages.reach(name).into_iter().map(|it| it.to).collect();
    for to in expected {
        assert!(reached.contains(to), "{to:?} is not among {reached:?}");
    }
    for to in absent {
        assert!(!reached.contains(to), "{to:?} is among {reached:?}");
    }
}

pub(crate) fn package(dir: &str) -> To {
    To::Package(dir.to_owned())
}

pub(crate) fn file(path: &str) -> To {
    To::File(path.to_owned())
}

#[test]
fn dependencies_of_every_kind_are_followed() {
    let tree = tree([
        (
            "Cargo.toml",
            "[workspace]\nmembers = ['crates/*', 'tools/gen']\nexclude = ['crates/old']\n[workspace.dependencies]\nmedia = { path = 'crates/media' }\nserde = '1'\n",
        ),
        (
            "crates/app/Cargo.toml",
            "[package]\nname = 'app'\n[dependencies]\nmedia = { workspace = true }\nserde.workspace = true\n[dev-dependencies]\ntest-kit = { path = '../kit' }\n[build-dependencies]\ngen = { path = '../../tools/gen' }\n[target.'cfg(unix)'.dependencies]\nunixy = { path = '../unix', package = 'app-unix' }\n",
        ),
        ("crates/media/Cargo.toml", "[package]\nname = 'media'\n[dependencies]\ncodec = '2'\n"),
        (
            "crates/kit/Cargo.toml",
            "[package]\nname = 'test-kit'\n[dependencies]\ndeep = { path = '../deep', optional = true }\n",
        ),
        ("crates/deep/Cargo.toml", "[package]\nname = 'deep'\n"),
        ("crates/unix/Cargo.toml", "[package]\nname = 'app-unix'\n"),
        ("crates/old/Cargo.toml", "[package]\nname = 'old'\n"),
        ("tools/gen/Cargo.toml", "[package]\nname = 'gen'\n"),
    ]);
    check(
        read(&cargo::KIND, &tree, &["app"]),
        "app",
        &[
            "crates/app: app",
            "crates/kit: app -> test-kit",
            "crates/media: app -> media",
            "crates/unix: app -> app-unix",
            "tools/gen: app -> gen",
            "crates/deep: app -> test-kit -> deep",
        ],
    );
    let packages = read(&cargo::KIND, &tree, &["app"]).expect("good manifests");
    assert!(packages.named("old").next().is_none(), "an excluded member is none");
    let packages = read(&cargo::KIND, &tree, &["old"]).expect("good manifests");
    assert!(packages.named("old").next().is_some(), "who names it finds it");
}

#[test]
fn a_patched_dependency_is_a_directory_of_the_tree() {
    let tree = tree([
        (
            "Cargo.toml",
            "[package]\nname = 'root'\n[dependencies]\ncodec = '2'\n[patch.crates-io]\nfork = { path = 'vendor/codec', package = 'codec' }\n[workspace]\n",
        ),
        ("vendor/codec/Cargo.toml", "[package]\nname = 'codec'\n"),
    ]);
    let expected = [": root", "vendor/codec: root -> codec"];
    check(read(&cargo::KIND, &tree, &["root"]), "root", &expected);
}

#[test]
fn a_package_outside_a_workspace_has_its_patches_where_a_member_needs_it() {
    let lock = "version = 4\n\
                [[package]]\nname = 'app'\nversion = '0.1.0'\ndependencies = ['tool']\n\
                [[package]]\nname = 'codec'\nversion = '2.0.0'\n\
                [[package]]\nname = 'mid'\nversion = '1.0.0'\nsource = 'registry+x'\n\
                dependencies = ['codec']\n\
                [[package]]\nname = 'tool'\nversion = '0.1.0'\ndependencies = ['mid']\n";
    let tree = tree([
        (
            "Cargo.toml",
            "[workspace]\nmembers = ['app']\nexclude = ['tool', 'vendor']\n[patch.crates-io]\ncodec = { path = 'vendor/codec' }\n",
        ),
        ("Cargo.lock", lock),
        (
            "app/Cargo.toml",
            "[package]\nname = 'app'\n[dependencies]\ntool = { path = '../tool' }\n",
        ),
        ("tool/Cargo.toml", "[package]\nname = 'tool'\n[dependencies]\nmid = '1'\n"),
        ("vendor/codec/Cargo.toml", "[package]\nname = 'codec'\n"),
    ]);
    let packages = read(&cargo::KIND, &tree, &["tool"]);
    check(packages, "tool", &["tool: tool", "vendor/codec: tool -> codec"]);
    let packages = read(&cargo::KIND, &tree, &["tool"]).expect("good manifests");
    let locks = &packages.named("tool").next().expect("there").locks;
    let paths: Vec<&str> = locks.iter().map(|at| at.path.as_str()).collect();
    assert_eq!(paths, ["Cargo.lock", "tool/Cargo.lock"]);
}

#[test]
fn a_workspace_below_the_root_is_found_by_the_name_of_its_package() {
    let tree = tree([
        (
            "rust/Cargo.toml",
            "[workspace]\nmembers = ['a', 'b']\n[workspace.dependencies]\nb = { path = 'b' }\n",
        ),
        ("rust/a/Cargo.toml", "[package]\nname = 'a'\n[dependencies]\nb.workspace = true\n"),
        ("rust/b/Cargo.toml", "[package]\nname = 'b'\n[dev-dependencies]\na = { path = '../a' }\n"),
    ]);
    check(read(&cargo::KIND, &tree, &["a"]), "a", &["rust/a: a", "rust/b: a -> b"]);
    check(read(&cargo::KIND, &tree, &["b"]), "b", &["rust/b: b", "rust/a: b -> a"]);
}

#[test]
fn a_path_that_leaves_the_tree_is_no_directory_of_it() {
    let tree = tree([(
        "a/Cargo.toml",
        "[package]\nname = 'a'\n[dependencies]\nout = { path = '../../out' }\nabs = { path = '/abs' }\n",
    )]);
    check(read(&cargo::KIND, &tree, &["a"]), "a", &["a: a"]);
}

#[test]
fn pnpm_workspaces_take_packages_out_again() {
    let tree = tree([
        ("pnpm-workspace.yaml", "packages:\n  - 'packages/**'\n  - '!**/test/**'\n"),
        ("package.json", r#"{ "private": true }"#),
        ("packages/a/package.json", r#"{ "name": "a", "dependencies": { "b": "workspace:^" } }"#),
        ("packages/b/package.json", r#"{ "name": "b" }"#),
        ("packages/b/test/c/package.json", r#"{ "name": "c" }"#),
    ]);
    check(read(&npm::KIND, &tree, &["a"]), "a", &["packages/a: a", "packages/b: a -> b"]);
    let packages = read(&npm::KIND, &tree, &["a"]).expect("good manifests");
    assert!(packages.named("c").next().is_none());
}

#[test]
fn a_manifest_that_does_not_parse_is_named() {
    let tree = tree([("Cargo.toml", "[package\n")]);
    let packages = read(&cargo::KIND, &tree, &["a"]).expect("the tree is good");
    let problem = packages.problems().next().expect("no TOML");
    assert_eq!((problem.path.as_str(), problem.unreadable), ("Cargo.toml", true));
}

#[test]
fn directories_with_signs_make_globs_that_match_them() {
    for dir in ["a", "apps/[slug]", "a*b/c?d", "x{y,z}"] {
        let glob = Glob::new(&glob_of(dir)).expect("an allowed form");
        assert!(glob.is_match(format!("{dir}/f").as_bytes()), "{dir}");
    }
    assert!(Glob::new(&glob_of("")).expect("a glob").is_match(b"anything/at/all"));
}
