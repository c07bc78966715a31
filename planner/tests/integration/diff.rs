//! Trees against trees: what `git diff --no-renames --raw -z` says, we say.

use std::{collections::BTreeMap, fs};

use planner::git::{FileKind, ObjectId, Repository};
use plans::ChangeStatus;

use crate::sandbox::{Numbers, Sandbox, pairs, path, shown};

/// What git says differs between two trees.
fn oracle(sandbox: &Sandbox, old: ObjectId, new: ObjectId) -> Vec<(Vec<u8>, ChangeStatus)> {
    let args = ["diff", "--no-renames", "--raw", "--no-abbrev", "-z"].map(str::to_owned);
    let args = [&args[..], &[old.to_string(), new.to_string()]].concat();
    parse_raw(&sandbox.git_in(&sandbox.root(), &args))
}

/// `:<mode> <mode> <id> <id> <letter>\0<path>\0`, again and again.
pub(crate) fn parse_raw(output: &[u8]) -> Vec<(Vec<u8>, ChangeStatus)> {
    let mut fields = output.split(|&byte| byte == 0);
    let mut changes = Vec::new();
    while let (Some(header), Some(path)) = (fields.next(), fields.next()) {
        let header = std::str::from_utf8(header).expect("text");
        let words: Vec<&str> = header.split(' ').collect();
        let status = match words[4] {
            _ if words[0] == ":160000" || words[1] == "160000" => ChangeStatus::Submodule,
            "A" => ChangeStatus::Added,
            "D" => ChangeStatus::Deleted,
            "M" => ChangeStatus::Modified,
            "T" => ChangeStatus::TypeChanged,
            letter => panic!("git says {letter}"),
        };
        changes.push((path.to_vec(), status));
    }
    changes.sort();
    changes
}

/// Names that sort, quote or decode badly. `a`, `a-`, `a.` and `a0` lie around `a/`.
const NAMES: &[&[u8]] = &[
    b"a",
    b"a-",
    b"a.",
    b"a0",
    b"b",
    b"B",
    b"new\nline",
    b"\"quoted\"",
    b"\xff\xfe",
    b" ",
    b"tab\t",
    b"caf\xc3\xa9",
    b"cafe\xcc\x81",
    b"back\\slash",
    b"-x",
    b"\x01",
    b"d",
    b"e",
    b"f",
];

const MODES: &[&str] = &["100644", "100644", "100755", "120000", "160000"];

type Model = BTreeMap<Vec<u8>, (&'static str, String)>;

fn random_path(numbers: &mut Numbers) -> Vec<u8> {
    let depth = 1 + numbers.below(4);
    let names: Vec<&[u8]> = (0..depth).map(|_| *numbers.pick(NAMES)).collect();
    names.join(&b'/')
}

/// Changes a few paths; a path that a file or directory is in the way of takes its place.
fn mutate(model: &mut Model, numbers: &mut Numbers, blobs: &[String]) {
    for _ in 0..1 + numbers.below(6) {
        if numbers.below(3) == 0 && !model.is_empty() {
            let at = numbers.below(model.len());
            let path = model.keys().nth(at).expect("in range").clone();
            match numbers.below(3) {
                0 => {
                    model.remove(&path);
                }
                1 => {
                    let entry = model.get_mut(&path).expect("there");
                    entry.0 = numbers.pick::<&'static str>(MODES);
                }
                _ => {
                    // A whole directory, or the file.
                    let top = path.split(|&byte| byte == b'/').next().expect("one").to_vec();
                    model.retain(|path, _| path.split(|&byte| byte == b'/').next() != Some(&top));
                }
            }
            continue;
        }
        let path = random_path(numbers);
        let below = [&path[..], b"/"].concat();
        model.retain(|other, _| {
            let above = [&other[..], b"/"].concat();
            !other.starts_with(&below) && !path.starts_with(&above)
        });
        model.insert(path, (numbers.pick::<&'static str>(MODES), numbers.pick(blobs).clone()));
    }
}

fn write_tree(sandbox: &Sandbox, model: &Model) -> ObjectId {
    let _ = fs::remove_file(sandbox.root().join(".git/index"));
    let mut input = Vec::new();
    for (path, (mode, blob)) in model {
        input.extend_from_slice(format!("{mode} {blob}\t").as_bytes());
        input.extend_from_slice(path);
        input.push(0);
    }
    sandbox.git_with_input(&["update-index", "-z", "--index-info"], &input);
    sandbox.git(&["write-tree"]).parse().expect("an id")
}

#[test]
fn random_histories_differ_as_git_says() {
    let sandbox = Sandbox::new();
    let blobs: Vec<String> = (0..6)
        .map(|n| sandbox.git_with_input(&["hash-object", "-w", "--stdin"], &[b'0' + n]))
        .collect();
    let mut numbers = Numbers(20_261_122);
    let mut model = Model::new();
    let mut trees = vec![write_tree(&sandbox, &model)];
    assert_eq!(trees[0], ObjectId::empty_tree());
    let repository = sandbox.open();
    for step in 0..120 {
        mutate(&mut model, &mut numbers, &blobs);
        let tree = write_tree(&sandbox, &model);
        for base in [*trees.last().expect("one"), *numbers.pick(&trees)] {
            let found = repository.changes_between(Some(base), tree).expect("a difference");
            assert_eq!(pairs(&found), oracle(&sandbox, base, tree), "step {step}");
        }
        trees.push(tree);

        let files = repository.files(tree).expect("files");
        let listed: Vec<&[u8]> = files.iter().map(|file| file.path.as_bytes()).collect();
        assert_eq!(listed, model.keys().map(Vec::as_slice).collect::<Vec<_>>());
        for file in files {
            let found = repository.file(tree, &file.path).expect("a lookup");
            assert_eq!(found, Some(file));
        }
    }
}

#[test]
fn many_changes_are_found_by_all_threads_together() {
    let sandbox = Sandbox::new();
    let blobs: Vec<String> = (0..2)
        .map(|n| sandbox.git_with_input(&["hash-object", "-w", "--stdin"], &[b'0' + n]))
        .collect();
    let model = |pick: fn(u32) -> usize| -> Model {
        (0..6_000_u32)
            .map(|n| {
                let path = format!("d{}/e{}/f{n}", n % 19, n % 37);
                (path.into_bytes(), ("100644", blobs[pick(n)].clone()))
            })
            .collect()
    };
    let old = write_tree(&sandbox, &model(|_| 0));
    let new = write_tree(&sandbox, &model(|n| usize::from(n % 3 == 0)));
    let repository = sandbox.open();
    let found = repository.changes_between(Some(old), new).expect("a difference");
    assert_eq!(found.len(), 2_000);
    assert_eq!(pairs(&found), oracle(&sandbox, old, new));
    let all = repository.changes_between(None, new).expect("a difference");
    assert_eq!(all.len(), 6_000);
}

#[test]
fn each_kind_of_change_has_its_status() {
    let sandbox = Sandbox::new();
    for name in ["kept", "edited", "gone", "mode", "link", "dir/inside"] {
        sandbox.write(name, name);
    }
    let first = sandbox.commit("first");
    sandbox.write("edited", "otherwise");
    sandbox.write("new", "new");
    sandbox.make_executable("mode");
    for gone in ["gone", "link"] {
        fs::remove_file(sandbox.root().join(gone)).expect("it was there");
    }
    std::os::unix::fs::symlink("kept", sandbox.root().join("link")).expect("a link");
    fs::remove_dir_all(sandbox.root().join("dir")).expect("it was there");
    sandbox.write("dir", "now a file");
    sandbox.git(&["add", "-A"]);
    let module = format!("160000,{first},module");
    sandbox.git(&["update-index", "--add", "--cacheinfo", &module]);
    sandbox.git(&["commit", "-q", "-m", "second"]);

    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let base = repository.tree_of(first).expect("a tree");
    let changes = repository.changes_between(Some(base), head.tree).expect("a difference");
    assert_eq!(
        shown(&changes),
        [
            "added dir",
            "deleted dir/inside",
            "modified edited",
            "deleted gone",
            "type_changed link",
            "modified mode",
            "submodule module",
            "added new",
        ]
    );
}

#[test]
fn a_rename_is_a_deletion_and_an_addition() {
    let sandbox = Sandbox::new();
    sandbox.write("old/name", "content");
    let first = sandbox.commit("first");
    fs::create_dir(sandbox.root().join("new")).expect("a directory");
    sandbox.git(&["mv", "old/name", "new/name"]);
    sandbox.git(&["commit", "-q", "-m", "second"]);
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let base = repository.tree_of(first).expect("a tree");
    let changes = repository.changes_between(Some(base), head.tree).expect("a difference");
    assert_eq!(shown(&changes), ["added new/name", "deleted old/name"]);
}

#[test]
fn packed_and_loose_objects_read_alike() {
    let sandbox = Sandbox::new();
    for n in 0..50 {
        sandbox.write(format!("dir{}/file{n}", n % 7), format!("{n}\n").repeat(50));
    }
    let first = sandbox.commit("first");
    sandbox.write("dir3/file3", "changed");
    let second = sandbox.commit("second");
    let read = || {
        let repository = sandbox.open();
        let tree = |commit| repository.tree_of(commit).expect("a tree");
        shown(&repository.changes_between(Some(tree(first)), tree(second)).expect("a difference"))
    };
    let loose = read();
    sandbox.git(&["gc", "-q"]);
    assert_eq!(read(), loose);
    assert_eq!(loose, ["modified dir3/file3"]);
}

#[test]
fn a_file_is_found_with_its_blob_and_content() {
    let sandbox = Sandbox::new();
    sandbox.write("ci/lanes.toml", "version = 1\n");
    sandbox.write("ci.toml", "beside");
    sandbox.commit("first");
    let repository = sandbox.open();
    let tree = repository.head(None).expect("a head").tree;
    let found = repository.file(tree, &path("ci/lanes.toml")).expect("a lookup").expect("a file");
    assert_eq!(found.kind, FileKind::File { executable: false });
    assert_eq!(found.id, sandbox.id("HEAD:ci/lanes.toml"));
    assert_eq!(repository.read(found.id).expect("content"), b"version = 1\n");
    for absent in ["ci", "ci/lanes", "ci.toml/lanes.toml", "c", "ci/lanes.toml/x"] {
        assert_eq!(repository.file(tree, &path(absent)).expect("a lookup"), None, "{absent}");
    }
}

#[test]
fn globs_list_what_they_match_and_nothing_else() {
    let sandbox = Sandbox::new();
    for name in [
        "projects/p1/ci/lanes.toml",
        "projects/p2/ci/lanes.toml",
        "projects/p2/ci/other.toml",
        "projects/deep/er/ci/lanes.toml",
        "lanes.toml",
        "x/lanes.toml",
        ".hidden/lanes.toml",
    ] {
        sandbox.write(name, name);
    }
    sandbox.commit("first");
    let repository = sandbox.open();
    let tree = repository.head(None).expect("a head").tree;
    let check = |globs: &[&str], expected: &[&str]| {
        let found = repository.files_matching(tree, globs).expect("a listing");
        let found: Vec<_> = found.iter().map(|file| file.path.to_string()).collect();
        assert_eq!(found, expected, "{globs:?}");
    };
    check(
        &["projects/*/ci/lanes.toml"],
        &["projects/p1/ci/lanes.toml", "projects/p2/ci/lanes.toml"],
    );
    check(
        &["projects/**/ci/lanes.toml"],
        &[
            "projects/deep/er/ci/lanes.toml",
            "projects/p1/ci/lanes.toml",
            "projects/p2/ci/lanes.toml",
        ],
    );
    check(
        &["{projects/p2,x}/**"],
        &["projects/p2/ci/lanes.toml", "projects/p2/ci/other.toml", "x/lanes.toml"],
    );
    check(&["*.toml", "projects/p1/**/lanes.toml"], &["lanes.toml", "projects/p1/ci/lanes.toml"]);
    check(
        &["**/lanes.toml"],
        &[
            ".hidden/lanes.toml",
            "lanes.toml",
            "projects/deep/er/ci/lanes.toml",
            "projects/p1/ci/lanes.toml",
            "projects/p2/ci/lanes.toml",
            "x/lanes.toml",
        ],
    );
    check(&["nowhere/*"], &[]);
}

#[test]
fn every_directory_and_linked_work_tree_leads_to_the_repository() {
    let sandbox = Sandbox::new();
    sandbox.write("deep/er/file", "x");
    let commit = sandbox.commit("first");
    let linked = sandbox.beside("linked");
    sandbox.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().expect("text")]);
    let bare = sandbox.beside("bare");
    sandbox.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("text")]);
    for dir in [sandbox.root(), sandbox.root().join("deep/er"), linked.join("deep"), bare] {
        let repository = Repository::open(&dir).expect("the repository opens");
        assert_eq!(repository.head(None).expect("a head").commit, commit, "{dir:?}");
    }
    let linked = Repository::open(&linked).expect("the repository opens");
    assert_eq!(linked.head(None).expect("a head").branch.as_deref(), Some("side"));
}
