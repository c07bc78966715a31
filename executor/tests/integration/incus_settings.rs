//! What a plan asks of an instance beside its command: who may do what in it, what it sees, what it
//! may use; against a real daemon.

use std::{
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

use crate::{
    harness::{Ended, node_id},
    incus::{Site, check_infra, contained, incus},
    testbed::TestBed,
};

/// Changes the tree below the scratch copy in every way there is.
const SCRATCHES: &str = "cd \"$FORGE_LANES_SCRATCH\" && cat file.txt && echo own >> file.txt && \
    mkdir -p new/dir && mv new moved && cp file.txt moved/dir && rm file.txt && cat moved/dir/file.txt; \
    touch /workspace/x 2>/dev/null && echo written; cat /workspace/file.txt";

#[test]
fn a_read_only_tree_has_a_scratch_copy_whose_changes_nobody_else_sees() {
    let Some(site) = Site::new() else { return };
    // The tree's files belong to the executor's user: another one may add, and change what it may.
    let mut user =
        contained("cd \"$FORGE_LANES_SCRATCH\" && echo own > added && cat file.txt added");
    user.id = node_id("execute-b");
    user.spec.runtime = incus(r#""user":1234,"group":567"#);
    let mut writable = contained("echo \"scratch ${FORGE_LANES_SCRATCH-none}\"");
    writable.id = node_id("execute-c");
    writable.spec.workspace = plans::Workspace::Writable;
    let plan = site.world.plan(vec![contained(SCRATCHES), user, writable]);
    // Twice: the tree is shared between runs.
    for _ in 0..2 {
        site.run(&["apply", &plan]).code(0);
        assert_eq!(site.log("execute-a", "guest.log"), "content\ncontent\nown\ncontent\n");
        assert_eq!(site.log("execute-b", "guest.log"), "content\nown\n");
        assert_eq!(site.log("execute-c", "guest.log"), "scratch none\n");
    }
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_privileged_container_takes_the_plan_and_the_site() {
    let Some(site) = Site::new() else { return };
    let mut node = contained("cat /proc/self/uid_map");
    node.spec.runtime = incus(r#""privileged":true"#);
    let plan = site.world.plan(vec![node]);
    let refused = site.run(&["apply", &plan]).code(4);
    assert!(refused.err.contains("does not allow privileged containers"), "{}", refused.err);
    let config = site.world.path().join("executor.toml");
    std::fs::write(&config, "version = 1\n[allow]\nprivileged = true\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    site.run(&["--config", config, "apply", &plan]).code(0);
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(site.log("execute-a", "guest.log")), ["0", "0", "4294967295"]);
    // The site alone makes nothing privileged.
    let plan = site.world.plan(vec![contained("cat /proc/self/uid_map")]);
    site.run(&["--config", config, "apply", &plan]).code(0);
    assert_ne!(words(site.log("execute-a", "guest.log"))[1], "0");
}

#[test]
fn what_an_engine_cannot_do_is_refused_before_a_job_counts_on_it() {
    let Some(site) = Site::new() else { return };
    let (_, server) = site.bed.incus(&["query", "/1.0"]);
    if !server.contains("qemu") {
        let vm = incus(r#""vm":true"#);
        check_infra(&site, vm, "true", "engine_refused", "runs no virtual machines (`vm`)");
        let log = site.log("execute-a", "host.log");
        assert!(log.contains("KVM") && log.contains("vhost_vsock"), "{log}");
    }
    // The test bed's pool is a directory.
    let disk = incus(r#""disk_mib":64"#);
    check_infra(&site, disk, "true", "engine_refused", "cannot limit the disk");
    let mut node = contained("true");
    node.spec.runtime = incus(r#""disk_mib":64"#);
    let plan = site.world.plan(vec![node]);
    let ended = site.run(&["doctor", &plan]).code(1);
    assert!(ended.out.contains("cannot limit the disk"), "{}", ended.out);
    assert_eq!(site.instances(), Vec::<String>::new());
}

/// A storage pool with quotas, and a profile of the same name whose root is on it.
struct Quota<'a> {
    bed: &'a TestBed,
    name: String,
}

impl<'a> Quota<'a> {
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    fn on(bed: &'a TestBed) -> Option<Self> {
        if !["/usr/sbin/mkfs.btrfs", "/sbin/mkfs.btrfs"].iter().any(|path| Path::new(path).exists())
        {
            assert!(std::env::var_os("CI").is_none(), "mkfs.btrfs is missing");
            eprintln!("skipped: mkfs.btrfs is missing: scripts/bootstrap engines");
            return None;
        }
        let quota = Self { bed, name: format!("quota-{}", std::process::id()) };
        let name = &quota.name;
        for words in [
            vec!["storage", "create", name, "btrfs", "size=300MiB"],
            vec!["profile", "create", name],
            vec![
                "profile",
                "device",
                "add",
                name,
                "root",
                "disk",
                "path=/",
                &format!("pool={name}"),
            ],
        ] {
            let (made, said) = bed.incus(&words);
            assert!(made, "{words:?}: {said}");
        }
        Some(quota)
    }
}

impl Drop for Quota<'_> {
    fn drop(&mut self) {
        self.bed.incus(&["profile", "delete", &self.name]);
        self.bed.incus(&["storage", "delete", &self.name]);
    }
}

#[test]
fn a_disk_limit_holds_where_the_pool_can_keep_it() {
    let Some(site) = Site::new() else { return };
    let Some(quota) = Quota::on(&site.bed) else { return };
    let settings = |mib: u32| incus(&format!(r#""disk_mib":{mib},"profiles":["{}"]"#, quota.name));
    let script = "dd if=/dev/zero of=\"$TMPDIR/x\" bs=1M count=80";
    check_infra(&site, settings(40), script, "disk_full", "no room");
    let mut node = contained(script);
    node.spec.runtime = settings(200);
    let plan = site.world.plan(vec![node]);
    site.run(&["apply", &plan]).code(0);
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn the_rust_toolchain_of_the_machine_is_first_in_path_and_read_only() {
    let Some(site) = Site::new() else { return };
    let toolchain = site.world.path().join("rust");
    crate::bench::write(&toolchain.join("bin/cargo"), "#!/bin/sh\necho cargo of the machine\n");
    let rustc = format!("#!/bin/sh\necho '{}'\n", toolchain.display());
    crate::bench::write(&site.world.path().join("bin/rustc"), &rustc);
    let mut node = contained("cargo; touch /forge-lanes/toolchain/x 2>/dev/null || echo refused");
    node.spec.mount_host_rust_toolchain = true;
    let plan = site.world.plan(vec![node]);
    site.run(&["apply", &plan]).code(0);
    assert_eq!(site.log("execute-a", "guest.log"), "cargo of the machine\nrefused\n");
}

/// Gives everything below a directory to another user.
fn give(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).expect("given");
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).expect("readable") {
            give(&entry.expect("an entry").path(), uid);
        }
    }
}

#[test]
fn who_is_not_root_runs_jobs_with_the_engines_group_and_owns_what_comes_back() {
    let Some(site) = Site::new() else { return };
    let uid = 54321;
    let mut node = contained(
        "id -u; echo b > \"$ARTIFACTS_DIR/b\"; echo more >> file.txt; cp file.txt c; mkdir d; touch d/e",
    );
    node.spec.workspace = plans::Workspace::Writable;
    node.spec.artifacts = vec!["*".to_owned(), "d/*".to_owned()];
    let mut root = contained("id -u; touch \"$ARTIFACTS_DIR/r\"; touch \"$FORGE_LANES_SCRATCH/x\"");
    root.id = node_id("execute-b");
    let script = "id -u; touch \"$ARTIFACTS_DIR/r\"; touch \"$FORGE_LANES_SCRATCH/x\"";
    root.spec.command = plans::Command::Shell { script: script.to_owned(), as_root: true };
    root.spec.artifacts = vec!["r".to_owned()];
    let plan = site.world.plan(vec![node, root]);
    std::fs::set_permissions(site.world.path(), std::fs::Permissions::from_mode(0o755))
        .expect("its mode");
    give(site.world.path(), uid);
    let as_user = |groups: &str| {
        let command = site.command(&["apply", &plan]);
        let mut user = std::process::Command::new("setpriv");
        user.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), groups]);
        user.arg(command.get_program()).args(command.get_args());
        user.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        user.env("INCUS_CONF", site.world.path().join("home"));
        user.current_dir(command.get_current_dir().expect("a directory"));
        Ended::of(user.output().expect("setpriv starts"))
    };
    // The test bed's daemon is open to the group of root.
    as_user("--groups=0").code(0);
    assert_eq!(site.log("execute-a", "guest.log"), format!("{uid}\n"));
    assert_eq!(site.log("execute-b", "guest.log"), "0\n");
    let run = site.world.runs().pop().expect("a run");
    for file in ["execute-a/artifacts/b", "execute-a/artifacts/d/e", "execute-b/artifacts/r"] {
        let found = run.join("nodes").join(file).metadata().expect(file);
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&found), uid, "{file}");
    }
    assert_eq!(site.instances(), Vec::<String>::new());
    as_user("--clear-groups").code(3);
    let log = site.log("execute-a", "host.log");
    assert!(log.contains("(engine_down)") && log.contains("incus-admin"), "{log}");
}
