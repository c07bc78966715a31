use super::{
    super::{
        To,
        tests::{check, read, tree},
    },
    KIND,
};

#[test]
fn modules_of_a_workspace_depend_on_what_they_require() {
    let tree = tree([
        ("go.work", "go 1.22\nuse (\n ./app\n ./lib\n ./other\n)\n"),
        ("app/go.mod", "module example.org/app\ngo 1.22\nrequire example.org/lib v0.0.0\n"),
        ("lib/go.mod", "module example.org/lib\ngo 1.22\n"),
        ("other/go.mod", "module example.org/other\ngo 1.22\n"),
    ]);
    check(
        read(&KIND, &tree, &["example.org/app"]),
        "example.org/app",
        &[
            "app: example.org/app",
            "lib: example.org/app -> example.org/lib",
            "vendor: example.org/app -> vendor",
            "go.work: example.org/app -> go.work",
            "go.work.sum: example.org/app -> go.work.sum",
        ],
    );
}

#[test]
fn a_replacement_is_followed_without_a_workspace() {
    let tree = tree([
        (
            "svc/go.mod",
            "module example.org/svc\ngo 1.22\nreplace example.org/lib => ../forks/lib\n",
        ),
        ("forks/lib/go.mod", "module example.org/lib\ngo 1.22\n"),
    ]);
    check(
        read(&KIND, &tree, &["example.org/svc"]),
        "example.org/svc",
        &["svc: example.org/svc", "forks/lib: example.org/svc -> example.org/lib"],
    );
}

#[test]
fn an_old_module_may_need_all_of_its_workspace() {
    let tree = tree([
        ("go.work", "use ./a\nuse ./b\n"),
        ("a/go.mod", "module example.org/a\ngo 1.16\n"),
        ("b/go.mod", "module example.org/b\ngo 1.16\n"),
    ]);
    let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
    let b = To::Package("b".to_owned());
    assert!(packages.reach("example.org/a").iter().any(|it| it.to == b));
}

#[test]
fn what_uses_a_broken_module_runs_always_and_nothing_else_is_stopped() {
    let tree = tree([
        ("go.work", "use ./a\nuse ./b\nuse ./c\n"),
        ("a/go.mod", "module example.org/a\ngo 1.22\nrequire example.org/b v0.0.0\n"),
        ("b/go.mod", "module \"example.org/b\n"),
        ("c/go.mod", "module example.org/c\ngo 1.22\n"),
    ]);
    let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
    assert_eq!(packages.problems().len(), 1);
    assert!(packages.reach("example.org/a").iter().any(|it| it.to == To::Anything));
}

#[test]
fn a_replacement_that_is_not_in_the_tree_is_said_and_watched() {
    let tree =
        tree([("go.mod", "module example.org/a\ngo 1.22\nreplace example.org/b => ./gone\n")]);
    let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
    assert_eq!(packages.problems().len(), 1);
    let gone = To::Directory("gone".to_owned());
    assert!(packages.reach("example.org/a").iter().any(|it| it.to == gone));
}

#[test]
fn an_import_in_a_workspace_needs_no_requirement() {
    let tree = tree([
        ("go.work", "go 1.22\nuse (\n ./app\n ./lib\n ./low\n ./other\n)\n"),
        ("app/go.mod", "module example.org/app\ngo 1.22\n"),
        ("app/main.go", "package main\nimport \"example.org/lib/sub\"\n"),
        ("app/inner/go.mod", "module example.org/inner\ngo 1.22\n"),
        ("app/inner/a.go", "package inner\nimport \"example.org/other\"\n"),
        (
            "lib/go.mod",
            "module example.org/lib\ngo 1.22\nreplace example.org/fork => ../fork\nrequire example.org/fork v1.0.0\n",
        ),
        ("fork/go.mod", "module example.org/fork\ngo 1.22\n"),
        ("fork/a_test.go", "package fork\nimport (\n\tx `example.org/low`\n)\n"),
        ("low/go.mod", "module example.org/low\ngo 1.22\n"),
        ("other/go.mod", "module example.org/other\ngo 1.22\n"),
    ]);
    let packages = read(&KIND, &tree, &["example.org/app"]).expect("the tree can be read");
    let reached = packages.reach("example.org/app");
    let dirs: Vec<&str> = reached.iter().filter_map(|it| it.to.directory()).collect();
    assert_eq!(dirs, ["app", "lib", "vendor", "fork", "low"]);
}

#[test]
fn a_name_counts_only_where_an_import_may_be() {
    for (text, expected) in [
        ("import \"example.org/a\"", Some("example.org/a")),
        ("import `example.org/a/b`", Some("example.org/a/b")),
        ("import \"example.org/ab\"", None),
        ("// example.org/a", None),
        ("import \"x/example.org/a\"", None),
    ] {
        assert_eq!(super::imports(text, "example.org/a").next(), expected, "{text}");
    }
}
