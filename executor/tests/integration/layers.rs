//! Trees that are mounted above another one: what jobs see of them is what git has, whatever changed and wherever they
//! run, and they go and come back as whole trees do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use plans::{Node, Output, Workspace};

use crate::{
    harness::{EXECUTOR, Ended, Random, World, cache, git, kill, node_id, sh, with_cache},
    trees::collect_beside,
    unprivileged::Unprivileged,
};

/// Tells everything of a tree: kinds, modes, names, where links lead, and contents.
const TELL: &str = r"LC_ALL=C; export LC_ALL
tell() {
    find . -mindepth 1 -path ./.git -prune -o -printf '%y %m %p %l\n' | sort
    find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 cat | cksum
}
tell
";

/// So many files that linking them would take longer than mounting.
fn commit_many(world: &mut World) {
    let files: Vec<(String, String)> = (0..2400)
        .map(|n| (format!("d{:02}/e{}/f{n:04}", n / 200, n / 50 % 4), format!("content of {n}\n")))
        .collect();
    let pairs: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    world.commit(&pairs);
}

/// A world whose machine has a whole tree of them.
fn with_base() -> World {
    let mut world = World::new();
    commit_many(&mut world);
    let plan = world.plan(vec![sh("execute-a", "true", &[])]);
    world.run(&["apply", &plan]).code(0);
    world
}

fn trees(world: &World) -> PathBuf {
    world.path().join("home/.cache/forge-lanes/trees")
}

/// The names of this world's trees: whole ones, and those in layers.
fn names(world: &World) -> (Vec<String>, Vec<String>) {
    let found = fs::read_dir(trees(world)).expect("trees");
    let names = found.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.into_string().expect("ASCII"));
    let mut names: Vec<String> = names.filter(|name| !name.starts_with(".lock.")).collect();
    names.sort();
    names.into_iter().partition(|name| !name.ends_with("-d"))
}

/// What a checkout of the last commit holds, by git's own hand.
fn truth(world: &World) -> String {
    let at = world.path().join("checkout");
    let _ = fs::remove_dir_all(&at);
    git(world.path(), &["worktree", "prune"]);
    git(world.path(), &["worktree", "add", "-q", "--detach", at.to_str().expect("UTF-8"), "HEAD"]);
    let script = format!("chmod -R u=rwX,go=rX .; {TELL}");
    let told = Command::new("sh").args(["-c", &script]).current_dir(&at).output().expect("sh");
    String::from_utf8(told.stdout).expect("UTF-8")
}

fn writable(id: &str, script: &str) -> Node {
    let mut node = sh(id, script, &[]);
    node.spec.workspace = Workspace::Writable;
    node
}

/// One node of each way to see a tree.
fn nodes() -> Vec<Node> {
    let shown = format!("{TELL}! touch d00/new 2>/dev/null && ! rm -f d01/e0/f0201 2>/dev/null");
    let mut after = sh("execute-after", TELL, &["execute-own"]);
    after.depends_on.insert(node_id("execute-shown"));
    let own = format!(
        "{TELL}mv d01 moved && rm -r d02 && mkdir d02 && echo more >>d03/e0/f0601 && \
         [ \"$(ls d02 | wc -l)\" -eq 0 ] && [ \"$(ls moved/e0 | wc -l)\" -ge 1 ]"
    );
    let mut prepare = writable("prepare-kept", "true");
    prepare.output = Some(Output::Workspace);
    let mut from = sh("execute-from", TELL, &["prepare-kept"]);
    from.workspace_from = Some(node_id("prepare-kept"));
    vec![prepare, sh("execute-shown", &shown, &[]), writable("execute-own", &own), after, from]
}

const TELLING: [&str; 4] = ["execute-shown", "execute-own", "execute-after", "execute-from"];

fn write(path: PathBuf, content: &str) {
    fs::create_dir_all(path.parent().expect("below")).expect("made");
    fs::write(path, content).expect("written");
}

/// Changes of every kind that layers can tell.
fn change(repo: &Path) {
    write(repo.join("d03/e0/f0601"), "changed\n");
    write(repo.join("d03/new/deep/er/file"), "new\n");
    for gone in ["d03/e0/f0602", "d04/e1/f0850"] {
        fs::remove_file(repo.join(gone)).expect("removed");
    }
    for gone in ["d05", "d06/e1"] {
        fs::remove_dir_all(repo.join(gone)).expect("removed");
    }
    fs::rename(repo.join("d07/e0"), repo.join("d07/renamed")).expect("renamed");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(repo.join("d08/e0/f1600"), executable).expect("executable");
    fs::remove_file(repo.join("d08/e0/f1601")).expect("removed");
    symlink("../e1/f1650", repo.join("d08/e0/f1601")).expect("linked");
    symlink("nowhere", repo.join("d08/link")).expect("linked");
    write(repo.join("odd/a name: with\\ \"all\", of it\n"), "odd\n");
    // Names that sort between a directory and what is in it.
    write(repo.join("d09.txt"), "beside\n");
    write(repo.join("d09/e0.txt"), "beside\n");
}

#[test]
fn the_next_tree_shows_what_git_has_whatever_changed() {
    let mut world = with_base();
    let base = world.tree.to_string();
    let repo = world.repo();
    let back = |repo: &Path| {
        for path in ["d08/e0/f1601", "d08/link"] {
            fs::remove_file(repo.join(path)).expect("removed");
            write(repo.join(path), "a file again\n");
        }
        write(repo.join("d05/e0/f1000"), "back\n");
    };
    let layered: [&dyn Fn(&Path); 2] = [&change, &back];
    for (round, change) in layered.iter().enumerate() {
        change(&repo);
        world.commit(&[]);
        let plan = world.plan(nodes());
        world.run(&["apply", &plan]).code(0);
        let truth = truth(&world);
        for node in TELLING {
            assert_eq!(world.log(node, "guest.log"), truth, "round {round}, {node}");
            assert!(!world.log(node, "host.log").contains("linked"), "round {round}, {node}");
        }
        let (whole, layers) = names(&world);
        assert_eq!(whole, [base.as_str()], "round {round}");
        assert!(layers.contains(&format!("{}-d", world.tree)), "round {round}: {layers:?}");
    }
    // A directory becomes a file, and a file a directory: not a matter of layers.
    fs::remove_dir_all(repo.join("d10")).expect("removed");
    write(repo.join("d10"), "a file\n");
    fs::remove_file(repo.join("d11/e0/f2200")).expect("removed");
    write(repo.join("d11/e0/f2200/inside"), "a directory\n");
    world.commit(&[]);
    let plan = world.plan(nodes());
    world.run(&["apply", &plan]).code(0);
    let truth = truth(&world);
    for node in TELLING {
        assert_eq!(world.log(node, "guest.log"), truth, "{node}");
    }
    assert_eq!(names(&world).0.len(), 2, "{:?}", names(&world));
}

#[test]
fn who_is_not_root_sees_layers_too() {
    let mut it = Unprivileged::new();
    commit_many(&mut it.world);
    let first = it.world.plan(vec![sh("execute-a", "true", &[])]);
    let first = it.world.keep(&first);
    change(&it.world.repo());
    it.world.commit(&[]);
    let truth = truth(&it.world);
    let plan = it.world.plan(nodes());
    it.hand_over();
    it.run(&["apply", &first]).code(0);
    it.run(&["apply", &plan]).code(0);
    for node in TELLING {
        assert_eq!(it.log(node, "guest.log"), truth, "{node}");
        let said = it.log(node, "host.log");
        assert!(!said.contains("linked") && !said.contains("modes alone"), "{node}: {said}");
    }
    let (whole, layers) = names(&it.world);
    assert_eq!((whole.len(), layers.len()), (1, 1));
}

/// Runs the executor where nobody can mount anything.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn without_mounts(world: &World, arguments: &[&str]) -> Option<Ended> {
    let script = "echo 0 >/proc/sys/user/max_mnt_namespaces && exec \"$@\"";
    let template = world.command(&[]);
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", script, "sh", program]);
        command.args(arguments).env_clear().current_dir(world.repo());
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().expect("unshare is installed")
    };
    if !run("true", &[]).status.success() {
        eprintln!("skipped: no user namespace is to be had");
        return None;
    }
    Some(Ended::of(run(EXECUTOR, arguments)))
}

#[test]
fn where_nothing_can_be_mounted_trees_are_linked_and_it_is_said() {
    let mut world = with_base();
    change(&world.repo());
    world.commit(&[]);
    let truth = truth(&world);
    let own = writable("execute-own", TELL);
    let plan = world.plan(vec![own.clone()]);
    let Some(ended) = without_mounts(&world, &["apply", &plan]) else { return };
    ended.code(0);
    assert_eq!(world.log("execute-own", "guest.log"), truth);
    let said = world.log("execute-own", "host.log");
    assert!(said.contains("the source tree is linked, not mounted above another: "), "{said}");
    assert_eq!(names(&world).1, Vec::<String>::new());
    // What somebody else made of layers is copied there.
    write(world.repo().join("d03/e0/f0601"), "changed again\n");
    world.commit(&[]);
    let truth = self::truth(&world);
    let mut prepare = writable("prepare-kept", "true");
    prepare.output = Some(Output::Workspace);
    let mut from = writable("execute-from", TELL);
    from.depends_on.insert(node_id("prepare-kept"));
    from.workspace_from = Some(node_id("prepare-kept"));
    let plan = world.plan(vec![prepare, own, sh("execute-shown", TELL, &[]), from]);
    world.run(&["apply", &plan]).code(0);
    assert_eq!(names(&world).1, [format!("{}-d", world.tree)]);
    without_mounts(&world, &["apply", &plan]).expect("as before").code(0);
    let locked = |told: &str| told.replace(" 644 ", " 444 ").replace(" 755 ", " 555 ");
    for (node, truth) in [
        ("execute-own", truth.clone()),
        ("execute-from", truth.clone()),
        ("execute-shown", locked(&truth)),
    ] {
        assert_eq!(world.log(node, "guest.log"), truth, "{node}");
    }
}

#[test]
fn a_tree_whose_base_or_boot_is_gone_is_made_again() {
    let mut world = World::new();
    commit_many(&mut world);
    let node = || vec![sh("execute-a", "cat d03/e0/f0601 | tail -n 1", &[])];
    let plan = world.plan(node());
    world.run(&["apply", &plan]).code(0);
    let base = world.tree.to_string();
    world.commit(&[("d03/e0/f0601", "changed\n")]);
    let plan = world.plan(node());
    world.run(&["apply", &plan]).code(0);
    let layered = format!("{}-d", world.tree);
    // What a power cut may leave.
    fs::write(trees(&world).join(&layered).join("boot"), "another").expect("written");
    fs::write(trees(&world).join(&layered).join("delta/d03/e0/f0601"), "").expect("written");
    world.run(&["apply", &plan]).code(0);
    assert_eq!(world.log("execute-a", "guest.log"), "changed\n");
    assert_eq!(names(&world), (vec![base.clone()], vec![layered.clone()]));
    // Kept runs keep what their trees stand on, too.
    let dry = world.run(&["gc", "--keep", "1", "--dry-run"]).code(0);
    assert!(!dry.out.contains("source tree"), "{}", dry.out);
    // Somebody emptied a part of the caches.
    fs::remove_dir_all(trees(&world).join(&base)).expect("removed");
    world.run(&["apply", &plan]).code(0);
    assert_eq!(world.log("execute-a", "guest.log"), "changed\n");
    assert_eq!(names(&world).0, [world.tree.as_str()], "whole, as nothing is below it");
    world.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(names(&world), (Vec::new(), Vec::new()));
}

#[test]
fn a_node_that_needs_every_file_on_the_disk_has_them_beside_one_that_does_not() {
    let mut world = with_base();
    world.commit(&[("d03/e0/f0601", "changed\n")]);
    let look = "cat d03/e0/f0601; ls d* | wc -l";
    let cached = with_cache(writable("execute-cached", look), cache("c", "out/cache"), "one");
    for nodes in [
        vec![sh("execute-a", look, &[]), cached.clone()],
        vec![cached, sh("execute-a", look, &["execute-cached"])],
    ] {
        let plan = world.plan(nodes);
        world.run(&["apply", &plan]).code(0);
        for node in ["execute-a", "execute-cached"] {
            let told = world.log(node, "guest.log");
            assert!(told.starts_with("changed\n"), "{node}: {told}");
        }
    }
}

#[test]
fn a_tree_whose_maker_is_killed_is_not_there_by_half() {
    let mut world = with_base();
    let files: Vec<String> = (0..600).map(|n| format!("d20/f{n:04}")).collect();
    let mut random = Random::new(20);
    for round in 0..8 {
        let text = format!("{round}\n");
        let pairs: Vec<(&str, &str)> = files.iter().map(|path| (&**path, &*text)).collect();
        world.commit(&pairs);
        let script = format!("cat d20/* | grep -cx {round}; cat d0*/e*/* | wc -l");
        let plan = world.plan(vec![sh("execute-a", &script, &[])]);
        let child = world.start(&["apply", &plan]);
        random.sleep(120);
        kill(child);
        world.run(&["apply", &plan]).code(0);
        assert_eq!(world.log("execute-a", "guest.log"), "600\n2000\n", "round {round}");
    }
    world.run(&["gc", "--keep", "0"]).code(0);
    // Runs that were cut short are kept, and what they need with them.
    let (whole, _) = names(&world);
    assert_eq!(whole.len(), 1, "nothing of half a tree: {whole:?}");
}

#[test]
fn collecting_beside_runs_takes_nothing_away_from_below_them() {
    let mut world = World::new();
    commit_many(&mut world);
    let plans: Vec<String> = (0..3)
        .map(|number| {
            world.commit(&[("d03/e0/f0601", &format!("{number}\n"))]);
            let look =
                format!("grep -qx {number} d03/e0/f0601 && [ $(cat d*/e*/* | wc -l) = 2400 ]");
            let plan = world.plan(vec![sh("execute-a", &look, &[]), writable("execute-b", &look)]);
            world.keep(&plan)
        })
        .collect();
    collect_beside(&world, &plans, 4, 4);
    assert_eq!(names(&world), (Vec::new(), Vec::new()));
}
