//! Directories that others may change are refused before anything starts: a host's `work_dir` and
//! what is in it, the cache of this machine.

#![expect(clippy::print_stderr, reason = "a test says why it was skipped")]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
};

use executor::supervise::shim;
use serde_json::Value;

use crate::{
    harness::{Ended, SmallDisk, World, sh},
    remote::Far,
};

/// The user `nobody`, whom the tests that are root give things to.
const OTHER: u32 = 65534;

fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: {what}: only root gives files away");
    }
    root
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// What `apply` and `doctor` say: refused, before there is a run.
#[track_caller]
fn refused(far: &Far, plan: &str, expected: &[&str]) {
    let ended = far.run(&["apply", plan]).code(4);
    let doctor = far.run(&["doctor", plan, "--json"]).code(1);
    let findings: Value = serde_json::from_str(&doctor.out).expect("JSON");
    let finding = findings["findings"].as_array().expect("a list").iter();
    let finding = finding.clone().find(|one| one["about"] == "host far").expect("of the host");
    assert_eq!(finding["ok"], false);
    for part in expected {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
        let told = format!("{} {}", finding["message"], finding["advice"]);
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(far.world.runs().len(), 0, "nothing was made");
}

#[test]
fn a_work_dir_of_somebody_else_is_refused_before_anything_starts() {
    let Some(far) = Far::new("") else { return };
    if !is_root("a work_dir of somebody else") {
        return;
    }
    let ran = far.world.path().join("ran");
    let plan = far.world.plan(vec![
        sh("execute-here", &format!("touch {}", ran.display()), &[]),
        far.node("execute-there", &format!("touch {}", ran.display()), &[]),
    ]);
    let work = far.work_dir();
    let shown = work.display().to_string();
    fs::create_dir(&work).expect("made");
    mode(&work, 0o777);
    chown(&work, Some(OTHER), Some(OTHER)).expect("given away");
    // What stands where the supervisor is looked for is not run.
    fs::create_dir(work.join("bin")).expect("made");
    let planted = format!("touch {}\n", ran.display());
    fs::write(work.join("bin").join(shim::file_name()), planted).expect("written");
    let owner = ["belongs to somebody else", "owner uid 65534", "drwxrwxrwx", "rm -rf", &shown];
    refused(&far, &plan, &owner);

    // The user's own again, and somebody else's still in it.
    chown(&work, Some(0), Some(0)).expect("given back");
    mode(&work, 0o755);
    chown(work.join("bin"), Some(OTHER), Some(OTHER)).expect("given away");
    refused(&far, &plan, &["work dir/bin` belongs to somebody else"]);
    assert!(!ran.exists(), "something ran");
}

#[test]
fn a_work_dir_that_others_may_write_to_is_refused_with_the_command_that_mends_it() {
    let Some(far) = Far::new("") else { return };
    let plan = far.world.plan(vec![far.node("execute-there", "true", &[])]);
    let work = far.work_dir();
    for bits in [0o777, 0o1777, 0o757] {
        let _ = fs::create_dir(&work);
        mode(&work, bits);
        let mend = format!("chmod go-w '{}'", work.display());
        refused(&far, &plan, &["can be changed by others", &mend]);
    }
    mode(&work, 0o755);
    far.run(&["apply", &plan]).code(0);
    mode(&work.join("bin"), 0o777);
    let ended = far.run(&["apply", &plan]).code(4);
    assert!(ended.err.contains("work dir/bin` can be changed by others"), "{}", ended.err);
    assert_eq!(far.world.runs().len(), 1);
}

#[test]
fn a_link_of_somebody_else_on_the_way_to_a_work_dir_is_refused() {
    let Some(far) = Far::new("") else { return };
    if !is_root("a link of somebody else") {
        return;
    }
    let mut node = far.node("execute-there", "true", &[]);
    let (link, real) = (far.sshd.root().join("link"), far.sshd.root().join("real"));
    fs::create_dir(&real).expect("made");
    symlink(&real, &link).expect("made");
    let plans::Placement::RemoteSsh(host) = &mut node.spec.placement else { unreachable!() };
    let path = link.join("work");
    host.work_dir = plans::AbsolutePath::new(path.to_str().expect("UTF-8")).expect("a path");
    let plan = far.world.plan(vec![node]);
    std::os::unix::fs::lchown(&link, Some(OTHER), Some(OTHER)).expect("given away");
    refused(&far, &plan, &["link` belongs to somebody else"]);
    std::os::unix::fs::lchown(&link, Some(0), Some(0)).expect("given back");
    // A link of the user's own is followed, and where it leads is looked at.
    mode(&real, 0o777);
    refused(&far, &plan, &["real` can be changed by others"]);
    mode(&real, 0o755);
    far.run(&["apply", &plan]).code(0);
}

#[test]
fn a_supervisor_whose_content_is_another_is_replaced_before_it_is_run() {
    let Some(far) = Far::new("") else { return };
    let plan = far.world.plan(vec![far.node("execute-there", "echo done", &[])]);
    let bin = far.work_dir().join("bin");
    fs::create_dir_all(&bin).expect("made");
    mode(&far.work_dir(), 0o700);
    mode(&bin, 0o700);
    for name in ["over", "turns"] {
        fs::create_dir(far.work_dir().join(name)).expect("made");
        mode(&far.work_dir().join(name), 0o700);
    }
    let ran = far.world.path().join("ran");
    let script = bin.join(shim::file_name());
    fs::write(&script, format!("touch {}\n", ran.display())).expect("written");
    mode(&script, 0o755);
    far.run(&["apply", &plan]).code(0);
    assert!(!ran.exists(), "what stood there was run");
    assert_eq!(far.log("execute-there"), "done\n");
    assert_eq!(fs::read_to_string(&script).expect("there"), shim::SOURCE);
}

#[test]
fn what_is_made_on_a_host_is_the_users_alone() {
    let Some(far) = Far::new("") else { return };
    let plan = far.world.plan(vec![far.node("execute-there", "true", &[])]);
    far.run(&["apply", &plan]).code(0);
    for part in ["", "bin", "turns", "over", "trees"] {
        let found = fs::metadata(far.work_dir().join(part)).expect("there").mode();
        assert_eq!(found & 0o022, 0, "{part} {found:o}");
    }
}

#[test]
fn a_cache_directory_of_somebody_else_is_named_with_its_variable() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "true", &[])]);
    let cache = world.path().join("cache");
    fs::create_dir(&cache).expect("made");
    let apply = || {
        let mut command = world.command(&["apply", &plan]);
        command.env("XDG_CACHE_HOME", &cache);
        Ended::of(command.output().expect("starts"))
    };
    mode(&cache, 0o777);
    let ended = apply().code(2);
    let mend = format!("chmod go-w {}", cache.display());
    for part in ["(by `XDG_CACHE_HOME`)", "can be changed by others", &mend] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    mode(&cache, 0o755);
    if is_root("a cache directory of somebody else") {
        chown(&cache, Some(OTHER), Some(OTHER)).expect("given away");
        let ended = apply().code(2);
        for part in ["(by `XDG_CACHE_HOME`)", "belongs to somebody else", "owner uid 65534"] {
            assert!(ended.err.contains(part), "{part}: {}", ended.err);
        }
        chown(&cache, Some(0), Some(0)).expect("given back");
    }
    // A file where the directory should be: not to be had, whoever asks.
    fs::write(cache.join("forge-lanes"), "").expect("written");
    let ended = apply().code(2);
    assert!(ended.err.contains("(by `XDG_CACHE_HOME`)"), "{}", ended.err);
    fs::remove_file(cache.join("forge-lanes")).expect("removed");
    assert!(world.runs().is_empty(), "nothing was tried");
    apply().code(0);
}

#[test]
fn a_home_of_somebody_else_is_not_used_as_the_cache() {
    if !is_root("a home of somebody else") {
        return;
    }
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "true", &[])]);
    let home = world.path().join("home");
    chown(&home, Some(OTHER), Some(OTHER)).expect("given away");
    world.run(&["apply", &plan]).code(0);
    assert!(!home.join(".cache").exists());
}

#[test]
fn a_state_directory_that_others_could_change_is_refused_before_a_run_is_made_or_taken_up() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "true", &[])]);
    world.run(&["apply", &plan]).code(0);
    let state = world.state_dir();
    let made = fs::metadata(&state).expect("there").mode();
    assert_eq!(made & 0o022, 0, "{made:o}");
    let refused = |parts: &[&str]| {
        for words in [&["apply", &plan][..], &["resume", "latest"], &["rerun", "latest"]] {
            let ended = world.run(words).code(2);
            for part in ["the state directory", "--state-dir"].iter().chain(parts) {
                assert!(ended.err.contains(part), "{words:?}: {part}: {}", ended.err);
            }
        }
        let doctor = world.run(&["doctor", &plan]);
        assert!(doctor.out.contains(parts[0]), "{}", doctor.out);
        assert_eq!(world.runs().len(), 1, "a run was made");
    };
    for part in [state.clone(), state.join("runs"), world.runs()[0].clone()] {
        mode(&part, 0o777);
        let mend = format!("chmod go-w {}", part.display());
        refused(&["can be changed by others", &mend]);
        mode(&part, 0o755);
        if is_root("a state directory of somebody else") {
            chown(&part, Some(OTHER), Some(OTHER)).expect("given away");
            refused(&["belongs to somebody else", "owner uid 65534"]);
            chown(&part, Some(0), Some(0)).expect("given back");
        }
    }
    world.run(&["apply", &plan]).code(0);
}

#[test]
fn a_directory_of_sockets_below_that_of_somebody_else_is_refused() {
    let Some(far) = Far::new("") else { return };
    if !is_root("a directory of somebody else") {
        return;
    }
    // A short one: sockets have short names.
    let theirs = tempfile::tempdir_in("/tmp").expect("a directory");
    chown(theirs.path(), Some(OTHER), Some(OTHER)).expect("given away");
    let plan = far.world.plan(vec![far.node("execute-there", "true", &[])]);
    let mut command = far.command(&["apply", &plan]);
    command.env("XDG_RUNTIME_DIR", theirs.path());
    let ended = Ended::of(command.output().expect("starts")).code(4);
    for part in ["control sockets", "belongs to somebody else", "XDG_RUNTIME_DIR"] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
}

#[test]
fn a_full_work_dir_is_refused_before_anything_starts_and_cleared_by_gc() {
    let Some(far) = Far::new("") else { return };
    let work = far.work_dir();
    let Some(_disk) = SmallDisk::at(&work, 2048) else { return };
    let ran = far.world.path().join("ran");
    let count = || fs::read_to_string(&ran).unwrap_or_default().lines().count();
    let script = format!("echo ran >> '{}'", ran.display());
    let plan = far.world.plan(vec![far.node("execute-there", &script, &[])]);
    far.run(&["apply", &plan]).code(0);
    let filler = work.join("filler");
    let mut file = fs::File::create(&filler).expect("made");
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let ended = far.run(&["apply", &plan]).code(4);
    assert!(ended.err.contains("far: nothing can be written to its `work_dir`"), "{}", ended.err);
    assert!(ended.err.contains("make room there"), "{}", ended.err);
    assert_eq!((far.world.runs().len(), count()), (1, 1));
    let doctor = far.run(&["doctor", &plan, "--json"]).code(1);
    assert!(doctor.out.contains("0 MiB free"), "{}", doctor.out);
    // What needs no room goes on.
    far.run(&["gc", "--keep", "0"]).code(0);
    fs::remove_file(&filler).expect("removed");
    far.run(&["apply", &plan]).code(0);
    assert_eq!(count(), 2);
}
