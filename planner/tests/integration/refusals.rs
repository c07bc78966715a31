//! Repositories that cannot be planned: each is told apart, with the command that mends it.

use std::{fs, process::Command};

use planner::git::{BaseContext, BaseRequest, GitError, Repository};
use plans::{JobInputs, TreeFilter};

use crate::sandbox::{Sandbox, finish};

#[test]
fn a_directory_outside_any_repository_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for missing in [dir.path().to_owned(), dir.path().join("absent")] {
        let error = Repository::open(&missing).expect_err("no repository");
        let expected = format!("no git repository at `{}` or above it", missing.display());
        assert_eq!(error.to_string(), expected);
        assert!(error.help().contains("--changed-files"));
    }
}

#[test]
fn a_branch_without_a_commit_is_refused() {
    let sandbox = Sandbox::new();
    let error = sandbox.open().head(None).expect_err("no commit");
    assert_eq!(error.to_string(), "the branch `main` has no commit yet");
    assert!(error.help().contains("git commit"));
}

#[test]
fn a_revision_that_does_not_exist_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.commit_file("first");
    let repository = sandbox.open();
    let blob = sandbox.id("HEAD:first").to_string();
    let absent = "1".repeat(40);
    for revision in ["absent", "HEAD~1", "HEAD..HEAD", "", &blob, &absent] {
        let error = repository.head(Some(revision)).expect_err("no commit");
        assert_eq!(error.to_string(), format!("`{revision}` names no commit of this repository"));
        let head = repository.head(None).expect("a head");
        let request = BaseRequest::Exact(revision.to_owned());
        let error =
            repository.base(&head, &request, &BaseContext::default()).expect_err("no commit");
        assert!(matches!(error, GitError::UnknownRevision { shallow: false, .. }), "{error}");
    }
}

#[test]
fn formats_that_libgit2_cannot_read_are_named() {
    let sha256 = Sandbox::with(&["--object-format=sha256"]);
    let reftable = Sandbox::new();
    let root = reftable.root();
    let by_git =
        reftable.command(&root).args(["refs", "migrate", "--ref-format=reftable"]).output();
    if !by_git.expect("git starts").status.success() {
        // A git that does not know them yet: say it as one would that does.
        reftable.git(&["config", "core.repositoryFormatVersion", "1"]);
        reftable.git(&["config", "extensions.refStorage", "reftable"]);
    }
    for (sandbox, shown) in [
        (sha256, "extensions.objectFormat = sha256"),
        (reftable, "extensions.refStorage = reftable"),
    ] {
        fs::create_dir(sandbox.root().join("below")).expect("a directory");
        for dir in [sandbox.root(), sandbox.root().join("below")] {
            let error = Repository::open(&dir).expect_err("not supported");
            let root = sandbox.root();
            assert_eq!(
                error.to_string(),
                format!(
                    "the repository at `{}` uses `{shown}`, which is not supported",
                    root.display()
                )
            );
            assert!(error.help().contains("--changed-files -"));
            assert_eq!(planner::git::root_of(&dir), Some(root));
        }
    }
}

/// libgit2 reads the home directory of this process, which may call every directory safe; so the
/// question is asked in a process of its own.
#[test]
fn a_repository_of_another_user_is_refused_with_the_command_that_trusts_it() {
    const ASK: &str = "PLANNER_TEST_FOREIGN_REPOSITORY";
    if let Ok(dir) = std::env::var(ASK) {
        let error = Repository::open(dir.as_ref()).expect_err("not trusted");
        assert_eq!(error.to_string(), format!("the repository at `{dir}` belongs to another user"));
        let command = format!("if you trust it: `git config --global --add safe.directory {dir}`");
        assert_eq!(error.help(), command);
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.commit_file("first");
    let root = sandbox.root();
    let chown = Command::new("chown").args(["-R", "12345"]).arg(&root).output();
    if !chown.is_ok_and(|output| output.status.success()) {
        // Only root can give files away.
        return;
    }
    let ask = |home: &std::path::Path| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args([
                "--exact",
                "refusals::a_repository_of_another_user_is_refused_with_the_command_that_trusts_it",
            ])
            .env_clear()
            .env("HOME", home)
            .env(ASK, &root);
        command
    };
    let home = sandbox.beside("home");
    finish(ask(&home), &[]);
    // And the command does mend it.
    let trust = ["config", "--global", "--add", "safe.directory", root.to_str().expect("text")];
    sandbox.git_in(&home, &trust);
    let trusted = ask(&home).output().expect("this program runs");
    assert!(!trusted.status.success(), "the repository is still refused");
}

#[test]
fn objects_that_git_replaces_are_refused_and_a_list_of_changes_is_the_way_out() {
    let sandbox = Sandbox::with_lanes();
    let first = sandbox.id("HEAD");
    sandbox.write("src/lib.rs", "second");
    let second = sandbox.commit("second");
    sandbox.write("docs/a.md", "third");
    sandbox.commit("third");
    // Git now sees the third commit's parent as the first one's tree.
    sandbox.git(&["replace", &second.to_string(), &first.to_string()]);
    let error = Repository::open(&sandbox.root()).expect_err("replaced");
    assert!(matches!(error, GitError::Replaced { count: 1, .. }), "{error}");
    assert!(error.help().contains("git replace -d $(git replace -l)"));
    let said = sandbox.planner(&["plan", "--base-first-parent"]).refused();
    assert!(said.contains("1 object replaced under `refs/replace/`"), "{said}");
    let list = sandbox.git(&["diff", "--name-only", "HEAD~1", "HEAD"]);
    assert_eq!(list, "docs/a.md\nsrc/lib.rs", "git follows it");
    let said =
        sandbox.planner_in(&sandbox.root(), &["plan", "--changed-files", "-"], list.as_bytes());
    assert_eq!(crate::program::lanes_of(&said.plan()), ["rust", "docs"]);
    // Where git does not follow them, neither matters.
    sandbox.git(&["config", "core.useReplaceRefs", "false"]);
    let plan = sandbox.planner(&["plan", "--base-first-parent"]).plan();
    assert_eq!(crate::program::lanes_of(&plan), ["docs"]);
    sandbox.git(&["config", "--unset", "core.useReplaceRefs"]);
    sandbox.git(&["replace", "-d", &second.to_string()]);
    assert_eq!(sandbox.planner(&["plan", "--base-first-parent"]).code, 0);
}

/// `info/grafts` gives commits other parents, to git and here alike.
#[test]
fn grafted_parents_are_those_that_git_sees() {
    let sandbox = Sandbox::with_lanes();
    let first = sandbox.id("HEAD");
    sandbox.write("src/lib.rs", "second");
    sandbox.commit("second");
    sandbox.write("docs/a.md", "third");
    let third = sandbox.commit("third");
    let graft = format!("{third} {first}\n");
    fs::write(sandbox.root().join(".git/info/grafts"), graft).expect("a file");
    assert_eq!(sandbox.id("HEAD~1"), first, "git follows it");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let base =
        repository.base(&head, &BaseRequest::FirstParent, &BaseContext::default()).expect("a base");
    assert_eq!(base.commit(), Some(first));
}

#[test]
fn a_partial_clone_without_the_trees_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("dir/file", "one");
    sandbox.commit("first");
    sandbox.write("dir/file", "two");
    sandbox.commit("second");
    sandbox.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = |filter: &str, to: &str| {
        let dir = sandbox.beside(to);
        let origin = format!("file://{}", sandbox.root().display());
        let mut command = sandbox.command(&sandbox.root());
        command.args(["clone", "-q", "--no-checkout", filter, &origin]).arg(&dir);
        finish(command, &[]);
        dir
    };
    let dir = clone("--filter=tree:0", "treeless");
    let repository = Repository::open(&dir).expect("the clone opens");
    let head = repository.head(None).expect("a head");
    let base =
        repository.base(&head, &BaseRequest::Default, &BaseContext::default()).expect("a base");
    let error = repository.changes(&base, head.tree).expect_err("no trees");
    assert!(error.to_string().ends_with("is missing from this partial clone"), "{error}");
    // The command it names does mend it.
    let help = error.help();
    let command = help.split('`').nth(1).expect("a command").strip_prefix("git ").expect("git");
    let words: Vec<&str> = command.trim_end_matches(" >/dev/null").split(' ').collect();
    sandbox.git_in(&dir, &words);
    let repository = Repository::open(&dir).expect("the clone opens");
    assert_eq!(repository.changes(&base, head.tree).expect("changes").len(), 1);

    // Without file contents there is enough to compare, and a file says how to get it.
    let dir = clone("--filter=blob:none", "blobless");
    let repository = Repository::open(&dir).expect("the clone opens");
    assert_eq!(repository.changes(&base, head.tree).expect("changes").len(), 1);
    let path = crate::sandbox::path("dir/file");
    let file = repository.file(head.tree, &path).expect("a lookup").expect("a file");
    let error = repository.read(file.id).expect_err("no blob");
    assert_eq!(
        error.help(),
        format!("let git fetch it: `git cat-file blob {} >/dev/null`", file.id)
    );
}

#[test]
fn a_damaged_tree_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("dir/file", "one");
    sandbox.commit("first");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    for bytes in [&b"100644 file\0short"[..], b"999999 file\0", b"100644file"] {
        let tree = sandbox
            .git_with_input(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], bytes);
        let tree = tree.parse().expect("an id");
        let error = repository.changes_between(Some(head.tree), tree).expect_err("damaged");
        assert!(matches!(error, GitError::Corrupt { .. }), "{error}");
    }
    let id = sandbox.id("HEAD:dir").to_string();
    let object = sandbox.root().join(".git/objects").join(&id[..2]).join(&id[2..]);
    fs::remove_file(object).expect("it is loose");
    let error = sandbox.open().changes_between(None, head.tree).expect_err("missing");
    assert_eq!(error.to_string(), format!("the tree {id} is missing"));
    assert!(error.help().contains("git fsck"));
}

#[test]
fn a_history_with_a_hole_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.commit_file("first");
    let hole = sandbox.commit_file("second").to_string();
    sandbox.commit_file("third");
    sandbox.git(&["checkout", "-q", "-b", "feature", "HEAD~2"]);
    sandbox.commit_file("fourth");
    let object = sandbox.root().join(".git/objects").join(&hole[..2]).join(&hole[2..]);
    fs::remove_file(object).expect("it is loose");
    let repository = sandbox.open();
    for detached in [false, true] {
        let revision = if detached { Some("feature") } else { None };
        let head = repository.head(revision).expect("a head");
        let error = repository
            .base(&head, &BaseRequest::Default, &BaseContext::default())
            .expect_err("a hole");
        assert_eq!(error.to_string(), format!("the commit {hole} is missing"));
    }
}

#[test]
fn a_file_of_shards_with_a_line_break_in_its_name_is_refused_where_the_globs_stand() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "ci/forge-lanes.toml",
        "version = 1\n[[branch.lanes]]\nid = \"l\"\ntarget = \"t\"\n",
    );
    sandbox.write(
        "ci/catalog.toml",
        "version = 1\n[[targets]]\nid = \"t\"\n[[targets.jobs]]\nid = \"j\"\nplacement = \"local\"\n\
         runtime = \"host_process\"\ntimeout_secs = 60\nshards = 2\nshard_files = [\"t/*\"]\n\
         command = { argv = [\"true\"] }\n",
    );
    for name in ["t/a", "t/b", "t/c\nd"] {
        sandbox.write(name, "");
    }
    sandbox.commit("one");
    let said = sandbox.planner(&["plan", "--all"]).refused();
    assert!(
        said.contains("`shard_files` match `t/c\\nd`, and a list has a path on each line"),
        "{said}"
    );
    assert!(said.contains("ci/catalog.toml:10"), "{said}");
}

#[test]
fn a_name_that_leads_elsewhere_is_damage_in_what_a_job_sees() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "one");
    sandbox.commit("first");
    let repository = sandbox.open();
    let blob = sandbox.id("HEAD:file");
    let everything = JobInputs { paths: vec!["**".to_owned()], exclude: Vec::new() };
    let filter = TreeFilter::new(Some(&everything), None).expect("well formed");
    for name in [".", ".."] {
        let bytes = [format!("100644 {name}\0").as_bytes(), blob.as_bytes()].concat();
        let tree = sandbox
            .git_with_input(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes);
        let error = repository.files_seen(tree.parse().expect("an id"), &filter);
        let error = error.expect_err("damaged");
        assert!(matches!(error, GitError::Corrupt { .. }), "{error}");
    }
}
