//! What `scripts/release` makes, as far as it needs no optimised build: what it refuses, its package, its list of parts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::shell::{Shell, root};

fn bash(script: &str, words: &[&Path]) -> Output {
    let command = Command::new("bash")
        .args(["-euc", script, "bash"])
        .args(words)
        .current_dir(root())
        .stdin(Stdio::null())
        .output();
    command.expect("bash starts")
}

#[track_caller]
fn does(script: &str, words: &[&Path]) -> String {
    let output = bash(script, words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What stands for the programs where their bytes do not matter; it answers what a package check asks of an older version.
const STAND_IN: &str = "#!/bin/sh\necho 'built for   anything'\n";

/// Puts stand-ins where `packed` finds programs.
fn stand_ins(shell: &Shell) -> PathBuf {
    let dir = shell.beside("stand-ins");
    fs::create_dir_all(&dir).expect("made");
    for program in ["planner", "executor"] {
        fs::write(dir.join(program), STAND_IN).expect("written");
    }
    dir
}

/// Packs programs as a release does, with what the programs beside the tests say of themselves; returns archive and
/// package.
fn packed(shell: &Shell, name: &str, version: &str, programs: &Path, first: &str) -> [PathBuf; 2] {
    let dir = shell.beside(name);
    fs::create_dir_all(&dir).expect("made");
    let runnable = shell.does("dirname \"$(command -v planner)\"");
    let script = format!(
        "root=$PWD out=$1 version={version} effort=1 made=() SOURCE_DATE_EPOCH=1767225600\n\
         export SOURCE_DATE_EPOCH\n\
         {first}\n\
         . scripts/release.d/archive && . scripts/release.d/debian\n\
         target=$(uname -m)-unknown-linux-musl\n\
         archive \"$target\" \"$3\" \"$1/tree\"\n\
         debian \"$target\" \"$2\" \"$3\" \"$1/package\"\n\
         printf '%s\\n' \"${{made[@]}}\""
    );
    let made = does(&script, &[&dir, Path::new(runnable.trim()), programs]);
    let made: Vec<PathBuf> = made.lines().map(|file| dir.join(file)).collect();
    made.try_into().expect("an archive and a package")
}

#[test]
fn an_archive_and_a_package_are_the_same_bytes_wherever_they_are_made() {
    let shell = Shell::new();
    let programs = stand_ins(&shell);
    let one = packed(&shell, "one", "0.0.2", &programs, "umask 022; export TZ=UTC LC_ALL=C");
    let elsewhere = "umask 077; export TZ=Pacific/Chatham LC_ALL=C.UTF-8";
    let other = packed(&shell, "another place", "0.0.2", &programs, elsewhere);
    for (one, other) in one.iter().zip(&other) {
        assert!(
            fs::read(one).expect("read") == fs::read(other).expect("read"),
            "{}",
            one.display()
        );
    }
    let modes = does("tar -tvzf \"$1\" | awk '{ print $1, $2 }' | sort | uniq -c", &[&one[0]]);
    let modes: Vec<&str> = modes.lines().map(str::trim).collect();
    assert_eq!(modes, ["4 -rw-r--r-- 0/0", "2 -rwxr-xr-x 0/0", "1 drwxr-xr-x 0/0"]);
    does("dpkg-deb -x \"$1\" \"$2\"", &[&one[1], &shell.beside("unpacked")]);
    for file in [
        "usr/share/man/man1/executor-serve.1.gz",
        "usr/share/man/man1/planner-plan.1.gz",
        "usr/share/bash-completion/completions/executor",
        "usr/share/zsh/vendor-completions/_planner",
        "usr/share/fish/vendor_completions.d/executor.fish",
        "usr/share/forge-lanes/schemas/catalog.schema.json",
        "usr/share/forge-lanes/schemas/record.schema.json",
        "usr/share/doc/forge-lanes/examples/forge-lanes-nightly.timer",
        "usr/share/doc/forge-lanes/CHANGELOG.md.gz",
        "usr/share/doc/forge-lanes/copyright",
    ] {
        assert!(shell.beside("unpacked").join(file).is_file(), "{file}");
    }
    let control = does("dpkg-deb -f \"$1\" Package Version Depends", &[&one[1]]);
    assert!(control.contains("Package: forge-lanes\nVersion: 0.0.2\n"), "{control}");
}

#[test]
fn a_package_is_installed_on_a_bare_debian_runs_a_plan_is_upgraded_and_leaves_nothing() {
    let shell = Shell::new();
    let programs = shell.beside("programs");
    fs::create_dir_all(&programs).expect("made");
    let built = shell.does("dirname \"$(command -v planner)\"");
    // Without what debuggers want.
    let strip =
        "for program in planner executor; do strip -o \"$2/$program\" \"$1/$program\"; done";
    does(strip, &[Path::new(built.trim()), &programs]);
    let [_, older] = packed(&shell, "older", "0.0.1", &stand_ins(&shell), "");
    let [_, newer] = packed(&shell, "newer", "0.0.2", &programs, "");
    let said = does("scripts/package-check \"$1\" --older \"$2\" 2>&1", &[&newer, &older]);
    for line in
        ["package-check: installed 0.0.1, ", "package-check: installed 0.0.2, ", "nothing is left"]
    {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("check-unit · passed"), "{said}");
}

#[test]
fn lintian_finds_nothing_in_a_package() {
    let shell = Shell::new();
    let [_, package] = packed(&shell, "package", "0.0.2", &stand_ins(&shell), "");
    let found = bash(
        "command -v lintian >/dev/null || exit 77; exec scripts/package-check --lint \"$1\"",
        &[&package],
    );
    if found.status.code() == Some(77) {
        assert!(std::env::var_os("CI").is_none(), "no lintian: scripts/bootstrap validators");
        return;
    }
    assert_eq!(found.status.code(), Some(0), "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn what_no_package_check_can_take_is_refused_with_a_word() {
    let refused = bash("exec scripts/package-check /nowhere/at-all.deb", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr),
        "package-check: no package `/nowhere/at-all.deb`\n"
    );
}

#[test]
fn a_second_build_with_other_bytes_is_told_by_its_file() {
    let shell = Shell::new();
    let compare = "mkdir \"$1\" \"$1/one\" \"$1/other\"\n\
         for dir in one other; do for file in a 'b c'; do echo same >\"$1/$dir/$file\"; done; done\n\
         [ -z \"${differs-}\" ] || echo other >\"$1/other/b c\"\n\
         for dir in one other; do (cd \"$1/$dir\" && sha256sum -- a 'b c' >SHA256SUMS); done\n\
         . scripts/release.d/archive && compare \"$1/one\" \"$1/other\"";
    assert_eq!(does(compare, &[&shell.beside("same")]), "built twice: the same bytes\n");
    let differs = bash(&format!("differs=yes\n{compare}"), &[&shell.beside("differs")]);
    assert_eq!(differs.status.code(), Some(1));
    let said = String::from_utf8_lossy(&differs.stdout);
    assert!(said.contains("other/b c differ") && said.contains("SHA256SUMS differ"), "{said}");
}

#[test]
fn the_list_of_parts_has_what_is_linked_and_nothing_that_tests_need() {
    let list = "cargo metadata --format-version 1 --locked --offline --filter-platform x86_64-unknown-linux-gnu |\n\
                jq -S --arg version 0.0.1 --rawfile lock Cargo.lock -f scripts/release.d/parts.jq";
    let text = does(list, &[]);
    assert_eq!(text, does(list, &[]));
    let list: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (list["bomFormat"].as_str(), list["specVersion"].as_str()),
        (Some("CycloneDX"), Some("1.5"))
    );
    let parts = list["components"].as_array().expect("a list");
    let part = |name: &str| parts.iter().find(|part| part["name"] == name);
    for linked in ["plans", "lanes", "planner", "executor", "clap", "httparse", "libgit2-sys"] {
        assert!(part(linked).is_some(), "{linked}");
    }
    for test in ["insta", "proptest", "tempfile", "jsonschema", "snapshots"] {
        assert!(part(test).is_none(), "{test}");
    }
    let one = part("httparse").expect("there");
    assert_eq!(one["hashes"][0]["content"].as_str().map(str::len), Some(64));
    assert!(
        one["licenses"][0]["expression"].is_string()
            && one["purl"].as_str().is_some_and(|it| it.starts_with("pkg:cargo/httparse@"))
    );
}

#[test]
fn a_target_without_a_library_is_refused_with_what_helps() {
    let shell = Shell::new();
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let refused = Command::new(root().join("scripts/release"))
        .args(["--target", "riscv64gc-unknown-linux-musl", "--out"])
        .arg(shell.beside("out"))
        .env("RUSTUP_HOME", rustup.unwrap_or_else(|| home.join(".rustup")))
        .env("HOME", shell.beside("home"))
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    let help = "no standard library for riscv64gc-unknown-linux-musl: rustup target add riscv64gc-unknown-linux-musl";
    assert!(said.contains(help) && said.contains("scripts/bootstrap release"), "{said}");
}
