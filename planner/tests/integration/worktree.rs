//! The work tree as a tree: the one that `git add -A && git write-tree` makes.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

use planner::git::{GitError, ObjectId};

use crate::sandbox::{Numbers, Sandbox, finish, path, shown};

/// What git makes of the work tree, with an index and objects of its own.
#[track_caller]
fn oracle(sandbox: &Sandbox) -> ObjectId {
    let root = sandbox.root();
    let (index, objects) = (sandbox.beside("index"), sandbox.beside("objects"));
    let _ = (fs::remove_file(&index), fs::remove_dir_all(&objects));
    fs::create_dir(&objects).expect("a directory");
    if root.join(".git/index").exists() {
        // With its time: git trusts the sizes and times in an index only if it is younger.
        let mut copy = std::process::Command::new("cp");
        copy.arg("-p").arg(root.join(".git/index")).arg(&index);
        finish(copy, &[]);
    }
    let run = |args: &[&str]| {
        let mut command = sandbox.command(&root);
        command
            .env("GIT_INDEX_FILE", &index)
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", root.join(".git/objects"))
            .args(args);
        String::from_utf8(finish(command, &[])).expect("text")
    };
    run(&["add", "-A"]);
    run(&["write-tree"]).trim_end().parse().expect("an id")
}

/// Every file below `.git` with its size: nothing may be written.
fn contents(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        if metadata.is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.push((entry.path().display().to_string(), metadata.len()));
        }
    }
    found.sort();
    found
}

/// Checks the tree against git's, and the changes against the expectation.
#[track_caller]
fn check(sandbox: &Sandbox, expected: &[&str]) {
    let before = contents(&sandbox.root().join(".git"));
    let mut repository = sandbox.open();
    let tree = repository.read_work_tree().expect("a work tree");
    assert_eq!(contents(&sandbox.root().join(".git")), before, "something was written");
    let head = repository.head(None).expect("a head");
    let changes = repository.changes_between(Some(head.tree), tree).expect("changes");
    assert_eq!(shown(&changes), expected);
    assert_eq!(tree, oracle(sandbox), "the tree is not git's");
}

fn sample() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["kept", "edited", "gone", "mode", "link", "dir/one", "dir/two"] {
        sandbox.write(name, name);
    }
    sandbox.write(".gitignore", "ignored\nbuild/\n");
    sandbox.commit("first");
    sandbox
}

#[test]
fn a_clean_work_tree_is_heads_tree() {
    let sandbox = sample();
    check(&sandbox, &[]);
    let mut repository = sandbox.open();
    let tree = repository.read_work_tree().expect("a work tree");
    assert_eq!(tree, repository.head(None).expect("a head").tree);
}

#[test]
fn staged_unstaged_and_untracked_changes_count_and_ignored_files_do_not() {
    let sandbox = sample();
    sandbox.write("staged", "staged");
    sandbox.git(&["add", "staged"]);
    sandbox.write("edited", "EDITED");
    sandbox.write("untracked/deep/er", "new");
    sandbox.write("ignored", "ignored");
    sandbox.write("build/output", "ignored");
    sandbox.make_executable("mode");
    fs::remove_file(sandbox.root().join("gone")).expect("it was there");
    fs::remove_file(sandbox.root().join("link")).expect("it was there");
    std::os::unix::fs::symlink("nowhere", sandbox.root().join("link")).expect("a link");
    sandbox.git(&["rm", "-q", "--cached", "kept"]);
    check(
        &sandbox,
        &[
            "modified edited",
            "deleted gone",
            "type_changed link",
            "modified mode",
            "added staged",
            "added untracked/deep/er",
        ],
    );
}

#[test]
fn a_file_staged_and_then_edited_or_removed_counts_as_it_is_on_disk() {
    let sandbox = sample();
    sandbox.write("edited", "staged");
    sandbox.write("new", "staged");
    sandbox.git(&["add", "-A"]);
    sandbox.write("edited", "edited");
    fs::remove_file(sandbox.root().join("new")).expect("it was there");
    check(&sandbox, &[]);
}

#[test]
fn files_and_directories_take_each_others_place() {
    let sandbox = sample();
    fs::remove_dir_all(sandbox.root().join("dir")).expect("it was there");
    sandbox.write("dir", "a file now");
    fs::remove_file(sandbox.root().join("kept")).expect("it was there");
    sandbox.write("kept/below", "a directory now");
    check(
        &sandbox,
        &["added dir", "deleted dir/one", "deleted dir/two", "deleted kept", "added kept/below"],
    );
}

#[test]
fn a_directory_that_became_a_symbolic_link_hides_its_files() {
    let sandbox = sample();
    sandbox.write("elsewhere/one", "dir/one");
    fs::remove_dir_all(sandbox.root().join("dir")).expect("it was there");
    std::os::unix::fs::symlink("elsewhere", sandbox.root().join("dir")).expect("a link");
    check(&sandbox, &["added dir", "deleted dir/one", "deleted dir/two", "added elsewhere/one"]);
}

#[test]
fn an_intent_to_add_counts_with_its_content() {
    let sandbox = sample();
    sandbox.write("intended", "content");
    sandbox.write("withdrawn", "content");
    sandbox.write("empty", "");
    sandbox.git(&["add", "-N", "intended", "withdrawn", "empty"]);
    fs::remove_file(sandbox.root().join("withdrawn")).expect("it was there");
    check(&sandbox, &["added empty", "added intended"]);
}

#[test]
fn a_conflict_counts_as_it_is_on_disk() {
    let sandbox = sample();
    sandbox.git(&["checkout", "-q", "-b", "other"]);
    sandbox.write("edited", "theirs");
    sandbox.commit("theirs");
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.write("edited", "ours");
    sandbox.commit("ours");
    let merge = sandbox.command(&sandbox.root()).args(["merge", "other"]).output();
    assert!(!merge.expect("git starts").status.success());
    check(&sandbox, &["modified edited"]);
    fs::remove_file(sandbox.root().join("edited")).expect("it was there");
    check(&sandbox, &["deleted edited"]);
}

#[test]
fn names_are_bytes() {
    let sandbox = sample();
    for name in [&b"new\nline"[..], b"\"quoted\"", b"\xff\xfe", b"d\xff/x", b"caf\xc3\xa9", b" "] {
        sandbox.write(name, name);
    }
    check(
        &sandbox,
        &[
            "added  ",
            "added \"quoted\"",
            "added café",
            "added d\\xff/x",
            "added new\\nline",
            "added \\xff\\xfe",
        ],
    );
}

#[test]
fn line_endings_and_idents_are_stored_as_git_stores_them() {
    let sandbox = sample();
    sandbox.write(
        ".gitattributes",
        "*.txt text\n*.crlf text eol=crlf\n*.bin -text\n*.auto text=auto\n*.id ident\n",
    );
    for name in ["a.txt", "a.crlf", "a.bin", "a.auto", "plain"] {
        sandbox.write(name, "one\r\ntwo\r\n");
    }
    sandbox.write("nul.auto", "one\r\n\0two\r\n");
    sandbox.write("a.id", "$Id: 0123 $\n");
    check(
        &sandbox,
        &[
            "added .gitattributes",
            "added a.auto",
            "added a.bin",
            "added a.crlf",
            "added a.id",
            "added a.txt",
            "added nul.auto",
            "added plain",
        ],
    );
    for setting in ["true", "input"] {
        sandbox.git(&["config", "core.autocrlf", setting]);
        let repository = sandbox.open().read_work_tree().expect("a work tree");
        assert_eq!(repository, oracle(&sandbox), "core.autocrlf={setting}");
    }
    // Text that was committed with its carriage returns keeps them.
    sandbox.git(&["config", "core.autocrlf", "false"]);
    sandbox.write("kept", "one\r\n");
    sandbox.commit("with returns");
    sandbox.git(&["config", "core.autocrlf", "true"]);
    sandbox.write("kept", "one\r\ntwo\r\n");
    check(&sandbox, &["modified kept"]);
}

#[test]
fn a_file_that_needs_a_program_is_refused() {
    let sandbox = sample();
    sandbox.write(".gitattributes", "*.bin filter=lfs\n*.utf16 working-tree-encoding=UTF-16\n");
    sandbox.write("a.bin", "large");
    // Without the program git stores it as it is.
    check(&sandbox, &["added .gitattributes", "added a.bin"]);
    sandbox.git(&["config", "filter.lfs.clean", "cat"]);
    let error = sandbox.open().read_work_tree().expect_err("a filter");
    assert_eq!(
        error.to_string(),
        "`a.bin` goes through the filter `lfs` when it is added, which is not run while planning"
    );
    sandbox.git(&["config", "--unset", "filter.lfs.clean"]);
    sandbox.write("a.utf16", "large");
    let error = sandbox.open().read_work_tree().expect_err("an encoding");
    assert!(error.to_string().contains("the encoding `UTF-16`"), "{error}");
    assert!(error.help().contains("without `--worktree`"));
}

#[test]
fn submodules_count_at_the_commit_that_is_checked_out() {
    let sandbox = sample();
    let module = Sandbox::new();
    module.commit_file("inside");
    let url = module.root();
    sandbox.git(&["submodule", "--quiet", "add", url.to_str().expect("text"), "module"]);
    sandbox.git(&["submodule", "--quiet", "add", url.to_str().expect("text"), "absent"]);
    sandbox.git(&["submodule", "--quiet", "add", url.to_str().expect("text"), "removed"]);
    sandbox.commit("with submodules");
    check(&sandbox, &[]);
    sandbox.write("module/dirty", "not committed in it");
    check(&sandbox, &[]);
    sandbox.git(&["-C", "module", "add", "-A"]);
    sandbox.git(&["-C", "module", "commit", "-q", "-m", "moved"]);
    sandbox.git(&["submodule", "--quiet", "deinit", "-f", "absent"]);
    fs::remove_dir_all(sandbox.root().join("removed")).expect("it was there");
    check(&sandbox, &["submodule module", "submodule removed"]);
}

#[test]
fn a_repository_inside_the_work_tree_is_a_submodule_or_an_error() {
    let sandbox = sample();
    let inner = sandbox.root().join("inner");
    sandbox.git(&["init", "-q", "inner"]);
    sandbox.write("inner/file", "x");
    let error = sandbox.open().read_work_tree().expect_err("no commit");
    assert!(matches!(error, GitError::EmbeddedRepository { .. }), "{error}");
    assert!(error.help().contains("`/inner/`"));
    sandbox.git_in(&inner, &["add", "-A"]);
    sandbox.git_in(&inner, &["commit", "-q", "-m", "first"]);
    check(&sandbox, &["submodule inner"]);
}

#[test]
fn a_sparse_checkout_loses_no_file() {
    let sandbox = sample();
    sandbox.write("other/file", "x");
    sandbox.commit("more");
    sandbox.git(&["sparse-checkout", "set", "--no-cone", "/dir/"]);
    assert!(!sandbox.root().join("other/file").exists());
    check(&sandbox, &[]);
    sandbox.write("dir/one", "edited");
    check(&sandbox, &["modified dir/one"]);
}

#[test]
fn a_rule_for_directories_does_not_ignore_a_link_to_one() {
    let sandbox = sample();
    sandbox.write(".gitignore", "node_modules/\n/result\n*.link\n!kept.link\n");
    sandbox.write("dir/.gitignore", "!nested.link\n/here/\nhere-too\n");
    sandbox.write(".git/info/exclude", "/excluded\n/excluded-directory/\n");
    for name in [
        "node_modules",
        "dir/node_modules",
        "result",
        "some.link",
        "kept.link",
        "dir/nested.link",
        "dir/here",
        "dir/here-too",
        "excluded",
        "excluded-directory",
        "pack",
        "info",
    ] {
        std::os::unix::fs::symlink("/tmp", sandbox.root().join(name)).expect("a link");
    }
    check(
        &sandbox,
        &[
            "modified .gitignore",
            "added dir/.gitignore",
            "added dir/here",
            "added dir/nested.link",
            "added dir/node_modules",
            "added excluded-directory",
            "added info",
            "added kept.link",
            "added node_modules",
            "added pack",
        ],
    );
}

#[test]
fn a_file_assumed_unchanged_is_unchanged() {
    let sandbox = sample();
    sandbox.git(&["update-index", "--assume-unchanged", "edited", "gone"]);
    sandbox.write("edited", "edited");
    fs::remove_file(sandbox.root().join("gone")).expect("it was there");
    check(&sandbox, &[]);
}

#[test]
fn without_permission_bits_the_index_knows() {
    let sandbox = sample();
    sandbox.git(&["update-index", "--chmod=+x", "mode"]);
    sandbox.git(&["commit", "-q", "-m", "mode"]);
    sandbox.git(&["config", "core.fileMode", "false"]);
    sandbox.make_executable("edited");
    sandbox.write("mode", "edited");
    sandbox.make_executable("mode");
    fs::set_permissions(sandbox.root().join("mode"), fs::Permissions::from_mode(0o644))
        .expect("a file");
    check(&sandbox, &["modified mode"]);
}

#[test]
fn an_index_that_libgit2_cannot_read_is_refused() {
    let sandbox = sample();
    sandbox.git(&["update-index", "--split-index"]);
    let error = sandbox.open().read_work_tree().expect_err("a split index");
    assert!(matches!(error, GitError::Index { .. }), "{error}");
    assert!(error.help().contains("git update-index --no-split-index"));
    sandbox.git(&["update-index", "--no-split-index"]);
    check(&sandbox, &[]);

    sandbox.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "nowhere"]);
    let error = sandbox.open().read_work_tree().expect_err("a sparse index");
    assert!(matches!(error, GitError::Index { .. }), "{error}");
    sandbox.git(&["sparse-checkout", "reapply", "--no-sparse-index"]);
    check(&sandbox, &[]);
}

#[test]
fn a_bare_repository_has_no_work_tree() {
    let sandbox = Sandbox::with(&["--bare"]);
    let error = sandbox.open().read_work_tree().expect_err("bare");
    assert!(matches!(error, GitError::NoWorkTree { .. }), "{error}");
}

#[test]
fn a_linked_work_tree_has_its_own_index() {
    let sandbox = sample();
    let linked = sandbox.beside("linked");
    sandbox.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().expect("text")]);
    fs::write(linked.join("new"), "new").expect("a file");
    let mut repository = planner::git::Repository::open(&linked).expect("it opens");
    let tree = repository.read_work_tree().expect("a work tree");
    let head = repository.head(None).expect("a head");
    let changes = repository.changes_between(Some(head.tree), tree).expect("changes");
    assert_eq!(shown(&changes), ["added new"]);
    check(&sandbox, &[]);
}

#[test]
fn files_of_the_work_tree_read_as_git_would_store_them() {
    let sandbox = sample();
    sandbox.write(".gitattributes", "*.toml text\n");
    sandbox.write("ci/lanes.toml", "version = 1\r\n");
    std::os::unix::fs::symlink("lanes.toml", sandbox.root().join("ci/link")).expect("a link");
    let mut repository = sandbox.open();
    let tree = repository.read_work_tree().expect("a work tree");
    let read = |name: &str| {
        let file = repository.file(tree, &path(name)).expect("a lookup").expect("a file");
        repository.read(file.id)
    };
    assert_eq!(read("ci/lanes.toml").expect("content"), b"version = 1\n");
    assert_eq!(read("ci/link").expect("content"), b"lanes.toml");
    assert_eq!(read("kept").expect("content"), b"kept");
    let found = repository.files_matching(tree, &["ci/*.toml"]).expect("a listing");
    assert_eq!(found.len(), 1);
    sandbox.write("ci/lanes.toml", "version = 2\n");
    let error = read("ci/lanes.toml").expect_err("it changed");
    assert!(matches!(error, GitError::Moving { .. }), "{error}");
}

#[test]
fn random_work_trees_make_the_tree_that_git_makes() {
    const NAMES: [&str; 9] = ["a", "a-", "a.", "a0", "b", "\"q\"", "new\nline", "x.txt", "x.log"];
    let sandbox = Sandbox::new();
    sandbox.write(".gitignore", "*.log\n!a/x.log\n/b/b/\n");
    sandbox.write(".gitattributes", "*.txt text\n");
    sandbox.commit("first");
    let root = sandbox.root();
    let mut numbers = Numbers(4_711);
    for step in 0..60 {
        for _ in 0..1 + numbers.below(5) {
            let depth = 1 + numbers.below(3);
            let names: Vec<&str> = (0..depth).map(|_| *numbers.pick(&NAMES)).collect();
            let name = names.join("/");
            let place = root.join(OsStr::from_bytes(name.as_bytes()));
            // Whatever is in the way goes away.
            for above in place.ancestors().take_while(|above| *above != root) {
                if above.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
                    fs::remove_file(above).expect("it is there");
                }
            }
            if place.is_dir() {
                fs::remove_dir_all(&place).expect("it is there");
            }
            match numbers.below(6) {
                0 => {}
                1 => {
                    fs::create_dir_all(place.parent().expect("one")).expect("a directory");
                    std::os::unix::fs::symlink("a", &place).expect("a link");
                }
                2 => {
                    sandbox.write(&name, format!("{step}\r\n"));
                    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("a file");
                }
                _ => sandbox.write(&name, format!("{}\r\n", numbers.below(4))),
            }
        }
        match numbers.below(5) {
            0 => drop(sandbox.commit("step")),
            1 => drop(sandbox.git(&["add", "-A"])),
            2 => drop(sandbox.git(&["add", "-A", "-N"])),
            3 => drop(sandbox.git(&["rm", "-r", "-f", "-q", "--cached", "--ignore-unmatch", "a"])),
            _ => {}
        }
        let mut repository = sandbox.open();
        let tree = repository.read_work_tree().expect("a work tree");
        let expected = oracle(&sandbox);
        if tree != expected {
            let ours: Vec<_> = repository.files(tree).expect("files");
            let ours: Vec<_> = ours.iter().map(|f| format!("{}\t{}", f.id, f.path)).collect();
            let git = sandbox
                .command(&root)
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", sandbox.beside("objects"))
                .args(["ls-tree", "-r", "--format=%(objectname)%x09%(path)"])
                .arg(expected.to_string())
                .output()
                .expect("git starts");
            let git = String::from_utf8_lossy(&git.stdout).into_owned();
            panic!(
                "step {step}: {}\nours: {ours:#?}\ngit: {git}",
                sandbox.git(&["status", "--short"])
            );
        }
    }
}
