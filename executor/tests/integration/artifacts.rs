//! Which files of a job come back, and what is said of those that do not: one rule in every pair.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

use serde_json::Value;

use crate::{
    harness::Ended,
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    every_kind_of_file_is_kept_or_left_out_with_a_reason => super::kinds;
    what_no_glob_names_is_told => super::unnamed;
    a_link_in_the_place_of_a_directory_leads_nowhere => super::replaced;
    files_of_a_workspace_that_is_only_read_are_kept => super::only_read;
}

/// Runs one node that may write to its workspace, and returns its record.
fn run(pair: &Pair, script: &str, globs: &[&str]) -> (Value, Ended) {
    run_in(plans::Workspace::Writable, pair, script, globs)
}

fn run_in(
    workspace: plans::Workspace,
    pair: &Pair,
    script: &str,
    globs: &[&str],
) -> (Value, Ended) {
    let mut node = pair.node("execute-a", script);
    node.spec.workspace = workspace;
    node.spec.artifacts = globs.iter().map(|&glob| glob.to_owned()).collect();
    let plan = pair.world().plan(vec![node]);
    let ended = Ended::of(pair.command(&["apply", &plan]).output().expect("it starts")).code(0);
    (pair.world().record()["nodes"][0].clone(), ended)
}

/// What `host.log` says was left out, in order.
fn left_out(pair: &Pair) -> Vec<String> {
    let log = String::from_utf8(pair.file("execute-a", "host.log")).expect("UTF-8");
    let mut left: Vec<String> = log
        .lines()
        .filter_map(|line| line.strip_prefix("  left out: "))
        .map(str::to_owned)
        .collect();
    left.sort();
    left
}

fn kinds(pair: &Pair) {
    let script = r#"
        ws=$PWD; cd "$ARTIFACTS_DIR" && mkdir -p d
        echo 1 >kept.txt; echo 2 >unnamed; echo 3 >d/.hidden; echo h >hard.txt; ln hard.txt hard2.txt
        echo m >mode.txt; chmod 4750 mode.txt
        printf x >"$(printf 'a\nb \377.txt')"
        ln -s kept.txt link.txt; ln -s "$PWD/kept.txt" absolute.txt; ln -s nothing dangling.txt
        ln -s circle.txt circle.txt; ln -s ../../x out.txt; ln -s d dir.txt; ln -s unnamed other.txt
        mkfifo pipe.txt; ln -s pipe.txt to-pipe.txt
        cd "$ws" && mkdir out && echo w >kept.txt; echo o >out/o.xml; ln -s ../file.txt out/up.xml
        ln -s "$ARTIFACTS_DIR/kept.txt" out/absolute.xml; mkdir out/d; ln -s ../d/../../out/o.xml out/d/o.xml
    "#;
    let (node, ended) = run(pair, script, &["*.txt", "out/**/*.xml", "nothing/*.xml"]);
    let left = [
        "absolute.txt: it is an absolute link; a relative one would be followed",
        "circle.txt: it is a link that leads in a circle",
        "d/.hidden: no glob of `artifacts` names it",
        "dangling.txt: it is a link to nothing",
        "dir.txt: it is a link to a directory",
        "kept.txt: $ARTIFACTS_DIR has one of that name",
        "out.txt: it is a link that leads out of its directory",
        "out/absolute.xml: it is an absolute link; a relative one would be followed",
        "pipe.txt: it is a named pipe",
        "to-pipe.txt: it is a link to a named pipe",
        "unnamed: no glob of `artifacts` names it",
    ];
    assert_eq!(left_out(pair), left);
    assert_eq!(node["artifacts_left_out"], left.len(), "{node}");
    let warnings: Vec<&str> =
        node["warnings"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let said = [
        "`artifacts`: `nothing/*.xml` names no file",
        "11 files left out of the artifacts: host.log says which",
    ];
    assert_eq!(warnings, said);
    assert!(said.iter().all(|said| ended.err.contains(said)), "{}", ended.err);

    let root = pair.world().runs().pop().expect("a run").join("nodes/execute-a/artifacts");
    let kept: [(&[u8], &str, u32); 11] = [
        (b"a\nb \xff.txt", "x", 0o644),
        (b"file.txt", "content\n", 0o644),
        (b"hard.txt", "h\n", 0o644),
        (b"hard2.txt", "h\n", 0o644),
        (b"kept.txt", "1\n", 0o644),
        (b"link.txt", "1\n", 0o644),
        (b"mode.txt", "m\n", 0o750),
        (b"other.txt", "2\n", 0o644),
        (b"out/d/o.xml", "o\n", 0o644),
        (b"out/o.xml", "o\n", 0o644),
        (b"out/up.xml", "content\n", 0o644),
    ];
    let mut found = Vec::new();
    list(&root, &mut found);
    found.sort();
    let names: Vec<Vec<u8>> = kept.iter().map(|(name, ..)| name.to_vec()).collect();
    let names_found: Vec<Vec<u8>> = found
        .iter()
        .map(|path| path.strip_prefix(&root).expect("below").as_os_str().as_bytes().to_vec())
        .collect();
    assert_eq!(names_found, names, "{found:?}");
    for (name, content, mode) in kept {
        let path = root.join(OsStr::from_bytes(name));
        let metadata = std::fs::symlink_metadata(&path).expect("it is there");
        assert!(metadata.is_file(), "{path:?}");
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path:?}");
        assert_eq!(std::fs::read_to_string(&path).expect("kept"), content, "{path:?}");
    }
    assert_eq!(node["artifacts"], kept.len());
}

fn list(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        match entry.file_type().expect("a type").is_dir() {
            true => list(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

fn unnamed(pair: &Pair) {
    let (node, ended) = run(pair, "echo ok >\"$ARTIFACTS_DIR/ok\"", &[]);
    assert_eq!(left_out(pair), ["ok: no glob of `artifacts` names it"]);
    assert_eq!((&node["artifacts_left_out"], &node["artifacts"]), (&1.into(), &Value::Null));
    assert!(ended.err.contains("1 file left out of the artifacts"), "{}", ended.err);
}

fn only_read(pair: &Pair) {
    let (node, _) = run_in(plans::Workspace::ReadOnly, pair, "true", &["file.txt"]);
    assert_eq!((&node["artifacts"], &node["warnings"]), (&1.into(), &Value::Null), "{node}");
    let kept = pair.world().runs().pop().expect("a run").join("nodes/execute-a/artifacts/file.txt");
    assert_eq!(std::fs::read_to_string(kept).expect("kept"), "content\n");
}

fn replaced(pair: &Pair) {
    let script =
        "cd /; mv \"$ARTIFACTS_DIR\" \"$ARTIFACTS_DIR.gone\" && ln -s /etc \"$ARTIFACTS_DIR\"";
    let (node, _) = run(pair, script, &["passwd", "host*"]);
    assert_eq!(node["artifacts"], Value::Null, "{node}");
    let kept = pair.world().runs().pop().expect("a run").join("nodes/execute-a/artifacts");
    assert!(!kept.join("passwd").exists());
}
