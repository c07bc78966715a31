use super::{
    super::{
        To,
        tests::{check, read, tree},
    },
    KIND, normal,
};

#[test]
fn members_depend_on_members_by_any_kind_of_requirement() {
    let tree = tree([
        (
            "pyproject.toml",
            "[project]\nname = 'root'\n[tool.uv.workspace]\nmembers = ['packages/*']\nexclude = ['packages/old']\n[tool.uv.sources]\nlib_core = { workspace = true }\n",
        ),
        (
            "packages/app/pyproject.toml",
            "[project]\nname = 'app'\ndependencies = ['lib-core>=1; python_version > \"3\"', 'requests']\n[dependency-groups]\ndev = ['test.kit', { include-group = 'x' }]\n[build-system]\nrequires = ['plugin']\n",
        ),
        ("packages/core/pyproject.toml", "[project]\nname = 'Lib_Core'\n"),
        ("packages/kit/pyproject.toml", "[project]\nname = 'test-kit'\n"),
        ("packages/plugin/pyproject.toml", "[project]\nname = 'plugin'\n"),
        ("packages/old/pyproject.toml", "[project]\nname = 'requests'\n"),
    ]);
    check(
        read(&KIND, &tree, &["app"]),
        "app",
        &[
            "packages/app: app",
            "packages/core: app -> Lib_Core",
            "packages/kit: app -> test-kit",
            "packages/plugin: app -> plugin",
            ".python-version: app -> .python-version",
            "uv.toml: app -> uv.toml",
        ],
    );
    let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
    let app = packages.named("app").next().expect("it is there");
    assert!(app.locks.iter().any(|lock| lock.path == "uv.lock" && lock.key == "app"));
    assert!(packages.named("lib-core").next().is_some(), "a name is found in its normal form");
}

#[test]
fn sources_with_a_path_lead_to_directories_and_files() {
    let tree = tree([
        (
            "app/pyproject.toml",
            "[project]\nname = 'app'\ndependencies = ['a', 'b', 'c', 'd @ file:../d']\n[tool.uv.sources]\na = { path = '../a', editable = true }\nb = [{ path = '../wheels/b.whl', marker = 'x' }]\nc = { path = '../gone' }\n",
        ),
        ("a/pyproject.toml", "[project]\nname = 'a'\n"),
        ("wheels/b.whl", ""),
        ("d/setup.py", ""),
    ]);
    let packages = read(&KIND, &tree, &["app"]).expect("the tree can be read");
    let reached: Vec<To> = packages.reach("app").into_iter().map(|it| it.to).collect();
    for to in [
        To::Package("a".to_owned()),
        To::File("wheels/b.whl".to_owned()),
        To::Directory("gone".to_owned()),
        To::Directory("d".to_owned()),
    ] {
        assert!(reached.contains(&to), "{to:?} is not among {reached:?}");
    }
    assert_eq!(packages.problems().len(), 1);
}

#[test]
fn what_the_root_settles_for_all_is_an_entry_of_each() {
    let root = "[project]\nname = 'root'\n[tool.uv]\nprerelease = 'allow'\n[tool.uv.workspace]\nmembers = ['a']\n";
    let entry = |root: &'static str| {
        let tree =
            tree([("pyproject.toml", root), ("a/pyproject.toml", "[project]\nname = 'a'\n")]);
        let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
        packages.named("a").next().expect("it is there").entries.clone()
    };
    assert_ne!(entry(root), entry(root.replace("allow", "never").leak()));
    assert_eq!(entry(root), entry(root.replace("'root'", "'root'\nversion = '2'").leak()));
}

#[test]
fn names_are_compared_as_indexes_do() {
    for name in ["Lib_Core", "lib.core", "LIB--core"] {
        assert_eq!(normal(name), "lib-core");
    }
}

#[test]
fn a_broken_project_outside_stops_nothing() {
    let tree = tree([
        ("pyproject.toml", "[project]\nname = 'root'\n"),
        ("templates/pyproject.toml", "name = {{name}}"),
    ]);
    let packages = read(&KIND, &tree, &["elsewhere"]).expect("the tree can be read");
    assert!(packages.named("root").next().is_some());
    assert_eq!(packages.problems().len(), 1);
}
