use crate::packages::{
    Manifests, Packages, To,
    tests::{Tree, tree},
};

fn read(tree: &Tree, wanted: &[&str]) -> Packages {
    super::read::read(&Manifests::new(tree, &[], wanted)).expect("a tree that can be read")
}

/// What a package reaches beside its own directory, as `what: chain`.
#[track_caller]
fn check(tree: &Tree, name: &str, expected: &[&str]) {
    let packages = read(tree, &[name]);
    let reached = packages.reach(name);
    let found = reached.iter().skip(1).map(|it| {
        let to = match &it.to {
            To::Package(dir) => dir.clone(),
            To::Directory(dir) => format!("{dir}/**"),
            To::File(path) => format!("file {path}"),
            other => format!("{other:?}"),
        };
        format!("{to}: {}", it.chain)
    });
    let found: Vec<String> = found.collect();
    assert_eq!(found, expected);
}

#[test]
fn packages_of_a_workspace_name_each_other() {
    let tree = tree([
        (
            "package.json",
            r#"{ "name": "root", "workspaces": { "packages": ["packages/*", "./apps/web/"] } }"#,
        ),
        (
            "apps/web/package.json",
            r#"{ "name": "@x/web", "dependencies": { "@x/ui": "workspace:*", "react": "^19" }, "devDependencies": { "cfg": "file:../../packages/config", "renamed": "npm:@x/core@1" } }"#,
        ),
        (
            "packages/ui/package.json",
            r#"{ "name": "@x/ui", "peerDependencies": { "@x/core": "^1" } }"#,
        ),
        ("packages/core/package.json", r#"{ "name": "@x/core" }"#),
        ("packages/config/package.json", r#"{ "name": "@x/config" }"#),
        ("node_modules/react/package.json", r#"{ "name": "react" }"#),
    ]);
    check(
        &tree,
        "@x/web",
        &[
            "packages/config: @x/web -> @x/config",
            "packages/core: @x/web -> @x/core",
            "packages/ui: @x/web -> @x/ui",
        ],
    );
}

#[test]
fn files_and_directories_without_a_manifest_are_dependencies() {
    let tree = tree([
        (
            "package.json",
            r#"{ "private": true, "workspaces": ["pk/*"], "pnpm": { "overrides": { "left": "link:./pk/left-fork" } } }"#,
        ),
        (
            "pk/web/package.json",
            r#"{ "name": "web", "dependencies": { "left": "^1", "t": "file:../../vendor/t.tgz", "a": "link:../../assets" } }"#,
        ),
        ("pk/left-fork/package.json", r#"{ "name": "left-fork" }"#),
        ("assets/x", "1"),
        ("vendor/t.tgz", "1"),
    ]);
    check(
        &tree,
        "web",
        &[
            "pk/left-fork: web -> left (left-fork, by overrides)",
            "assets/**: web -> a (assets)",
            "file vendor/t.tgz: web -> t (vendor/t.tgz)",
        ],
    );
}

#[test]
fn overrides_lead_to_packages_of_the_tree_at_any_depth() {
    let member = r#"{ "name": "s", "dependencies": { "zz": "^1" } }"#;
    let deep = r#"{ "name": "s", "dependencies": { "other": "^1" } }"#;
    for (root, pnpm) in [
        (r#"{ "workspaces": ["packages/*"], "overrides": { "zz": "file:packages/p1" } }"#, None),
        (
            r#"{ "workspaces": ["packages/*"], "overrides": { "x": { "y": { "zz": "$p1" } } }, "devDependencies": { "p1": "file:packages/p1" } }"#,
            None,
        ),
        (
            r#"{ "workspaces": ["packages/*"], "resolutions": { "zz": "portal:./packages/p1" } }"#,
            None,
        ),
        (
            r#"{ "workspaces": ["packages/*"], "resolutions": { "a/**/zz": "workspace:packages/p1" } }"#,
            None,
        ),
        ("{}", Some("packages: [packages/*]\noverrides:\n  x>zz: link:./packages/p1\n")),
        ("{}", Some("packages: [packages/*]\noverrides:\n  zz@1: workspace:p1@*\n")),
        (
            "{}",
            Some(
                "packages: [packages/*]\ncatalog:\n  zz: workspace:p1@*\noverrides:\n  zz: 'catalog:'\n",
            ),
        ),
    ] {
        for manifest in [member, deep] {
            let mut files = vec![
                ("package.json", root),
                ("packages/s/package.json", manifest),
                ("packages/p1/package.json", r#"{ "name": "p1" }"#),
                ("packages/q/package.json", r#"{ "name": "q", "dependencies": { "s": "*" } }"#),
            ];
            files.extend(pnpm.map(|text| ("pnpm-workspace.yaml", text)));
            let tree = Tree(files.into_iter().collect());
            let packages = read(&tree, &["s"]);
            let reached = packages.reach("s");
            let to = To::Package("packages/p1".to_owned());
            let found = reached.iter().find(|it| it.to == to);
            let chain = found.map(|it| it.chain.as_str());
            let by = if root.contains("resolutions") { "resolutions" } else { "overrides" };
            let expected = format!("s -> zz (p1, by {by})");
            let alias = expected.replace("zz", "p1");
            assert!(
                chain == Some(&expected) || (root.contains("$p1") && chain == Some(&alias)),
                "{root} {pnpm:?} {manifest}: {chain:?}"
            );
        }
    }
}

#[test]
fn catalogs_lead_to_packages_and_are_entries_of_who_uses_them() {
    let tree = tree([
        (
            "pnpm-workspace.yaml",
            "packages: ['packages/*']\ncatalog:\n  al: workspace:p1@*\n  react: ^18\ncatalogs:\n  new:\n    react: ^19\n",
        ),
        ("package.json", r#"{ "private": true }"#),
        ("packages/s/package.json", r#"{ "name": "s", "dependencies": { "al": "catalog:" } }"#),
        (
            "packages/t/package.json",
            r#"{ "name": "t", "dependencies": { "react": "catalog:new" } }"#,
        ),
        ("packages/p1/package.json", r#"{ "name": "p1" }"#),
    ]);
    check(&tree, "s", &["packages/p1: s -> p1"]);
    let packages = read(&tree, &["s", "t"]);
    let entries = |dir: &str| {
        let package = packages.at(dir).expect("there");
        let entries = package.entries.iter().filter(|((_, name), _)| name.starts_with("catalog"));
        entries.map(|((file, name), text)| format!("{file} {name} {text}")).collect::<Vec<_>>()
    };
    assert_eq!(entries("packages/s"), ["pnpm-workspace.yaml catalog default: al workspace:p1@*"]);
    assert_eq!(entries("packages/t"), ["pnpm-workspace.yaml catalog new: react ^19"]);
    assert!(entries("packages/p1").is_empty());
}

#[test]
fn patches_are_files_of_packages_that_install_something() {
    let tree = tree([
        (
            "package.json",
            r#"{ "workspaces": ["packages/*"], "pnpm": { "patchedDependencies": { "react@19.0.0": "patches/react.patch" } } }"#,
        ),
        (
            "packages/s/package.json",
            r#"{ "name": "s", "dependencies": { "x": "patch:x@npm%3A1.0.0#~/.yarn/patches/x.patch" } }"#,
        ),
        ("packages/t/package.json", r#"{ "name": "t", "dependencies": { "s": "*" } }"#),
        ("patches/react.patch", "1"),
        (".yarn/patches/x.patch", "1"),
    ]);
    let files = [
        "file .yarn/patches/x.patch: t -> s -> x (.yarn/patches/x.patch, by patch)",
        "file patches/react.patch: t -> s -> react (patches/react.patch, by patch)",
    ];
    check(&tree, "t", &["packages/s: t -> s", files[0], files[1]]);
}

#[test]
fn a_lock_file_says_whose_closure_a_patch_is_in() {
    let tree = tree([
        ("pnpm-workspace.yaml", "packages: ['p/*']\npatchedDependencies:\n  ms@2.1.2: ms.patch\n"),
        ("package.json", "{}"),
        ("ms.patch", "1"),
        ("p/a/package.json", r#"{ "name": "a", "dependencies": { "debug": "4.3.4" } }"#),
        ("p/b/package.json", r#"{ "name": "b", "dependencies": { "once": "1" } }"#),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\nimporters:\n  p/a:\n    dependencies:\n      debug: {specifier: 4.3.4, version: 4.3.4}\n  p/b:\n    dependencies:\n      once: {specifier: '1', version: 1.4.0}\nsnapshots:\n  debug@4.3.4: {dependencies: {ms: 2.1.2(patch_hash=x)}}\n  ms@2.1.2(patch_hash=x): {}\n  once@1.4.0: {}\n",
        ),
    ]);
    check(&tree, "a", &["file ms.patch: a -> ms (ms.patch, by patch)"]);
    check(&tree, "b", &[]);
}

#[test]
fn what_the_root_says_for_all_is_told_apart_from_what_it_says_for_itself() {
    let root = r#"{ "name": "root", "description": "x", "workspaces": ["p/*"], "engines": { "node": "24" }, "overrides": { "ms": "2" } }"#;
    let tree = tree([
        ("package.json", root),
        (".npmrc", "x"),
        ("p/a/package.json", r#"{ "name": "a", "dependencies": { "ms": "1" } }"#),
        ("p/b/package.json", r#"{ "name": "b" }"#),
    ]);
    let packages = read(&tree, &["a", "b"]);
    let names = |dir: &str| {
        let package = packages.at(dir).expect("there");
        package.entries.keys().map(|(_, name)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("p/a"), ["engines", "overrides"]);
    assert_eq!(names("p/b"), ["engines"]);
    check(&tree, "b", &["file .npmrc: b -> .npmrc"]);
}

#[test]
fn a_broken_manifest_concerns_only_who_may_need_it() {
    let tree = tree([
        ("package.json", r#"{ "workspaces": ["p/*"] }"#),
        ("p/a/package.json", r#"{ "name": "a", "dependencies": { "lost": "*", "ms": "1" } }"#),
        ("p/b/package.json", r#"{ "name": "b", "dependencies": { "ms": "1" } }"#),
        ("p/lost/package.json", r#"{ "name": "lost", "#),
        ("fixtures/empty/package.json", ""),
    ]);
    check(
        &tree,
        "a",
        &["p/lost: a -> p/lost", "Anything: a -> p/lost (its manifest cannot be read)"],
    );
    check(&tree, "b", &[]);
    let packages = read(&tree, &["a", "\0"]);
    let told: Vec<&str> = packages.problems().map(|problem| problem.path.as_str()).collect();
    assert_eq!(told, ["fixtures/empty/package.json", "p/lost/package.json"]);
}

#[test]
fn what_cannot_be_followed_is_told() {
    let tree = tree([
        ("package.json", r#"{ "workspaces": ["p/*", "q/@(a/b)"] }"#),
        (
            "p/a/package.json",
            r#"{ "name": "a", "dependencies": { "x": "catalog:", "y": "link:../../../y", "z": "link:../z" } }"#,
        ),
        ("q/r/package.json", r#"{ "name": "r" }"#),
    ]);
    let packages = read(&tree, &["a"]);
    let told: Vec<&str> = packages.problems().map(|problem| problem.detail.as_str()).collect();
    let pattern = "has the workspace pattern `q/@(a/b)`, which is not understood (a slash stands in a parenthesis): more directories count as members than it may mean";
    assert_eq!(
        told,
        [
            "asks for `x` of the catalog `default`, which has no such entry",
            "asks for `y` at `../../../y`, which leaves the tree",
            "asks for `z` at `p/z`, where nothing is",
            pattern,
        ]
    );
    assert!(packages.named("r").next().is_some(), "more are members, not fewer");
}

#[test]
fn the_lock_of_a_workspace_is_that_of_its_root() {
    let tree = tree([
        ("web/package.json", r#"{ "workspaces": ["p/*"], "packageManager": "npm@11" }"#),
        ("web/package-lock.json", "{}"),
        ("web/p/a/package.json", r#"{ "name": "a" }"#),
        ("alone/package.json", r#"{ "name": "alone" }"#),
        ("alone/pnpm-lock.yaml", ""),
    ]);
    let packages = read(&tree, &["a"]);
    let locks = |dir: &str| {
        let package = packages.at(dir).expect("there");
        package.locks.iter().map(|at| format!("{} {}", at.path, at.key)).collect::<Vec<_>>()
    };
    assert_eq!(locks("web/p/a"), ["web/package-lock.json (root)", "web/package-lock.json p/a"]);
    assert_eq!(locks("alone"), ["alone/pnpm-lock.yaml (root)", "alone/pnpm-lock.yaml ."]);
}

#[test]
fn yarn_1_is_asked_for_all_that_a_package_reaches() {
    let tree = tree([
        (
            "package.json",
            r#"{ "private": true, "workspaces": ["p/*"], "devDependencies": { "jest": "^30" } }"#,
        ),
        ("yarn.lock", "# yarn lockfile v1\n"),
        ("p/a/package.json", r#"{ "name": "a", "dependencies": { "b": "1", "ms": "2" } }"#),
        ("p/b/package.json", r#"{ "name": "b", "dependencies": { "once": "^1" } }"#),
    ]);
    let packages = read(&tree, &["a"]);
    let keys: Vec<&str> =
        packages.at("p/a").expect("there").locks.iter().map(|at| at.key.as_str()).collect();
    assert_eq!(keys, ["jest@^30", "ms@2", "once@^1"]);
}
