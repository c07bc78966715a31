//! Source trees to a host and artifacts back, through a real sshd.

#![expect(clippy::print_stderr, reason = "a test says why it was skipped")]

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use executor::{
    command_line::Script,
    ssh::{Manifest, SendError, Sent, fetch, send},
};

use crate::{harness::SmallDisk, sshd::Sshd};

macro_rules! sshd {
    () => {
        match Sshd::start("") {
            Some(sshd) => sshd,
            None => return,
        }
    };
}

/// Makes a tree with every kind of thing git can hold, and names that nobody likes.
fn make_tree(root: &Path, files: usize) {
    for n in 0..files {
        let path = root.join(format!("dir {}/sub{}/file-{n}.txt", n % 7, n % 31));
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, format!("content of {n}\n").repeat(1 + n % 50)).expect("a file");
    }
    for name in
        [&b"-rf"[..], b"a b", b"it's", b"new\nline", b"\xff\xfe", b"back\\slash", b"*", b"~"]
    {
        fs::write(root.join(OsStr::from_bytes(name)), name).expect("a file");
    }
    let long = root.join("l".repeat(120)).join("m".repeat(120));
    fs::create_dir_all(&long).expect("a directory");
    fs::write(long.join("n".repeat(200)), "deep").expect("a file");
    fs::write(root.join("script"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(root.join("script"), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::write(root.join("empty"), "").expect("a file");
    symlink("script", root.join("link")).expect("a link");
    symlink("/nonexistent/\u{fc}", root.join("dangling")).expect("a link");
}

#[track_caller]
fn assert_same(left: &Path, right: &Path) {
    let read = |root| Manifest::of_directory(root).expect("a tree");
    let (left, right) = (read(left), read(right));
    assert_eq!(left.entries().len(), right.entries().len());
    for (left, right) in left.entries().iter().zip(right.entries()) {
        assert_eq!(left, right);
    }
}

struct Bench {
    sshd: Sshd,
    work: PathBuf,
    cache: PathBuf,
}

impl Bench {
    fn new(sshd: Sshd) -> Self {
        let (work, cache) = (sshd.root().join("work dir"), sshd.root().join("cache"));
        Self { sshd, work, cache }
    }

    fn send(&self, id: &str, tree: &Path) -> Result<Sent, SendError> {
        let host = self.sshd.host();
        send(&host, &self.work, id, tree, &self.cache, &host.patience())
    }

    fn remote(&self, id: &str) -> PathBuf {
        self.work.join("trees").join(id)
    }

    fn trees(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work.join("trees")).expect("a directory").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_tree_travels_once_and_then_only_what_differs() {
    let bench = Bench::new(sshd!());
    let tree = bench.sshd.root().join("tree");
    make_tree(&tree, 400);
    assert!(matches!(bench.send("one", &tree).expect("sent"), Sent::Whole { .. }));
    assert_same(&tree, &bench.remote("one"));
    assert_eq!(bench.send("one", &tree).expect("sent"), Sent::AlreadyThere);

    // Changed, added, removed, a file that becomes a directory and the other way round, a mode, a link.
    let second = bench.sshd.root().join("second");
    make_tree(&second, 400);
    fs::write(second.join("new\nline"), "changed").expect("a file");
    fs::write(second.join("added \u{fc}"), "added").expect("a file");
    fs::remove_file(second.join("-rf")).expect("a file");
    fs::remove_file(second.join("empty")).expect("a file");
    fs::create_dir(second.join("empty")).expect("a directory");
    fs::write(second.join("empty/inside"), "x").expect("a file");
    fs::remove_dir_all(second.join("l".repeat(120))).expect("a directory");
    fs::write(second.join("l".repeat(120)), "a file now").expect("a file");
    fs::set_permissions(second.join("a b"), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::remove_file(second.join("link")).expect("a link");
    symlink("a b", second.join("link")).expect("a link");
    let sent = bench.send("two", &second).expect("sent");
    assert!(matches!(sent, Sent::Difference { entries: 6, removed: 6 }), "{sent:?}");
    assert_same(&second, &bench.remote("two"));
    assert_same(&tree, &bench.remote("one"));
    assert_eq!(bench.trees(), ["one", "two"]);
    // What did not change is one file on the disk, where the disk can do that.
    let inode = |id: &str| fs::metadata(bench.remote(id).join("script")).expect("a file").ino();
    assert_eq!(inode("one"), inode("two"));
}

#[test]
fn many_senders_of_one_tree_publish_it_once() {
    let bench = Bench::new(sshd!());
    let tree = bench.sshd.root().join("tree");
    make_tree(&tree, 100);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..5).map(|_| scope.spawn(|| bench.send("one", &tree))).collect();
        for sender in senders {
            sender.join().expect("no panic").expect("sent");
        }
    });
    assert_same(&tree, &bench.remote("one"));
    assert_eq!(bench.trees(), ["one"], "nothing else is left");
}

#[test]
fn a_tree_over_there_that_somebody_spoilt_is_not_built_upon() {
    let bench = Bench::new(sshd!());
    let tree = bench.sshd.root().join("tree");
    make_tree(&tree, 100);
    bench.send("one", &tree).expect("sent");
    fs::remove_file(bench.remote("one").join("a b")).expect("a file");
    let second = bench.sshd.root().join("second");
    make_tree(&second, 100);
    fs::write(second.join("a new one"), "x").expect("a file");
    assert!(matches!(bench.send("two", &second).expect("sent"), Sent::Whole { .. }));
    assert_same(&second, &bench.remote("two"));
    fs::remove_dir_all(bench.remote("one")).expect("a tree");
    fs::remove_dir_all(bench.remote("two")).expect("a tree");
    assert!(matches!(bench.send("one", &tree).expect("sent"), Sent::Whole { .. }));
}

#[test]
fn a_cut_while_sending_publishes_nothing_and_is_repeated() {
    let bench = Bench::new(sshd!());
    let tree = bench.sshd.root().join("tree");
    fs::create_dir_all(&tree).expect("a directory");
    for n in 0..64u8 {
        fs::write(tree.join(format!("{n}")), vec![n; 1 << 20]).expect("a file");
    }
    thread::scope(|scope| {
        let sender = scope.spawn(|| bench.send("one", &tree));
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(150));
            if bench.remote("one").exists() {
                break;
            }
            bench.sshd.link.cut();
        }
        sender.join().expect("no panic").expect("sent");
    });
    assert_same(&tree, &bench.remote("one"));
}

#[test]
fn a_full_disk_over_there_is_named() {
    let bench = Bench::new(sshd!());
    let Some(disk) = SmallDisk::at(&bench.work, 256) else { return };
    let tree = bench.sshd.root().join("tree");
    fs::create_dir_all(&tree).expect("a directory");
    fs::write(tree.join("big"), vec![b'x'; 2 << 20]).expect("a file");
    let error = bench.send("one", &tree);
    let left = bench.trees();
    drop(disk);
    match error {
        Err(SendError::Ssh(error)) => {
            assert_eq!(error.fault, executor::ssh::SshFault::NoSpace, "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn artifacts_come_back_whatever_they_are_called() {
    let bench = Bench::new(sshd!());
    let host = bench.sshd.host();
    let remote = bench.sshd.root().join("far away");
    make_tree(&remote, 40);
    fs::write(remote.join("big"), vec![7; 3 << 20]).expect("a file");
    fs::hard_link(remote.join("big"), remote.join("same")).expect("a link");
    let names = names(&remote);
    let destination = bench.sshd.root().join("here");
    let scratch = bench.sshd.root();
    let fetched =
        fetch(&host, &remote, &names, scratch, &destination, &host.patience()).expect("fetched");
    assert_eq!(fetched.refused, []);
    assert_eq!(fetched.files.len(), names.len());
    for name in &names {
        let name = OsStr::from_bytes(name);
        let read = |root: &Path| fs::read(root.join(name)).expect("a file");
        assert_eq!(read(&remote), read(&destination), "{name:?}");
    }
    let outgoing = fs::read_dir(scratch).expect("a directory").flatten();
    let left =
        outgoing.filter(|entry| entry.file_name().to_string_lossy().starts_with(".outgoing"));
    assert_eq!(left.count(), 0);
    // What is not there, or no file, does not come.
    let missing = [b"missing".to_vec()];
    let fetched = fetch(&host, &remote, &missing, scratch, &destination, &host.patience());
    assert_eq!(fetched.expect("an archive of nothing").files, Vec::<std::path::PathBuf>::new());
}

/// The regular files of a tree.
fn names(tree: &Path) -> Vec<Vec<u8>> {
    let manifest = Manifest::of_directory(tree).expect("a tree");
    let is_file = |path: &[u8]| {
        fs::symlink_metadata(tree.join(OsStr::from_bytes(path))).is_ok_and(|found| found.is_file())
    };
    let names = manifest.entries().iter().map(|entry| entry.path.clone());
    names.filter(|path| is_file(path)).collect()
}

#[test]
fn busybox_over_there_will_do() {
    let found = Command::new("busybox").arg("true").status().is_ok_and(|status| status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "busybox is not installed");
        eprintln!("skipped: busybox is not installed");
        return;
    }
    let sshd = Sshd::start(
        "ForceCommand export PATH={root}/bin; exec {root}/bin/sh -c \"$SSH_ORIGINAL_COMMAND\"",
    );
    let Some(sshd) = sshd else { return };
    let bin = sshd.root().join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    let installed = Command::new("busybox").args(["--install", "-s"]).arg(&bin).status();
    assert!(installed.is_ok_and(|status| status.success()));
    let bench = Bench::new(sshd);
    let host = bench.sshd.host();
    let tar =
        host.check(&Script::new("tar --help 2>&1 | head -n 1"), &host.patience()).expect("tar");
    assert!(String::from_utf8_lossy(&tar).contains("BusyBox"), "it is busybox that is tested");
    let tree = bench.sshd.root().join("tree");
    make_tree(&tree, 60);
    bench.send("one", &tree).expect("sent");
    assert_same(&tree, &bench.remote("one"));
    fs::write(tree.join("a new one"), "x").expect("a file");
    fs::remove_file(tree.join("a b")).expect("a file");
    let sent = bench.send("two", &tree).expect("sent");
    assert!(matches!(sent, Sent::Difference { .. }), "{sent:?}");
    assert_same(&tree, &bench.remote("two"));
    // More than one call of its tar takes.
    let many = bench.sshd.root().join("many");
    make_tree(&many, 2_500);
    let names = names(&many);
    let destination = bench.sshd.root().join("here");
    let fetched = fetch(&host, &many, &names, bench.sshd.root(), &destination, &host.patience());
    assert_eq!(fetched.expect("fetched").files.len(), names.len());
}

#[test]
fn files_that_take_long_to_pack_come_as_long_as_the_host_says_that_it_packs() {
    let sshd = Sshd::start(
        "ForceCommand export PATH={root}/bin:$PATH; exec sh -c \"$SSH_ORIGINAL_COMMAND\"",
    );
    let Some(sshd) = sshd else { return };
    let bin = sshd.root().join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    // Longer than one try may take.
    let slow = "#!/bin/sh\n[ \"$1\" = --version ] || sleep 9\nPATH=${PATH#*:} exec tar \"$@\"\n";
    fs::write(bin.join("tar"), slow).expect("a program");
    fs::set_permissions(bin.join("tar"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let bench = Bench::new(sshd);
    let host = bench.sshd.host();
    let tree = bench.sshd.root().join("tree");
    make_tree(&tree, 5);
    let names = names(&tree);
    let destination = bench.sshd.root().join("here");
    let each = std::time::Duration::from_secs(7);
    let patience = executor::ssh::Patience { each, budget: each, ..host.patience() };
    let fetched = fetch(&host, &tree, &names, bench.sshd.root(), &destination, &patience);
    assert_eq!(fetched.expect("fetched").files.len(), names.len());
}
