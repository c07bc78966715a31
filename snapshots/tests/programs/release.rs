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

/// Packs the programs beside the tests, without what debuggers want.
fn package(shell: &Shell, name: &str) -> PathBuf {
    let dir = shell.beside(name);
    fs::create_dir_all(dir.join("programs")).expect("made");
    let programs = shell.does("dirname \"$(command -v planner)\"");
    does(
        "for program in planner executor; do strip -o \"$1/programs/$program\" \"$2/$program\"; done\n\
         root=$PWD out=$1 version=0.0.1 SOURCE_DATE_EPOCH=1767225600\n\
         export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C\n\
         . scripts/release.d/debian\n\
         debian \"$(uname -m)-unknown-linux-musl\" \"$1/programs\" \"$1/programs\" \"$1/tree\"",
        &[&dir, Path::new(programs.trim())],
    );
    let found = fs::read_dir(&dir).expect("there").flatten().map(|entry| entry.path());
    found
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .expect("a package")
}

#[test]
fn a_package_is_the_same_bytes_wherever_it_is_made_and_runs_where_it_is_unpacked() {
    let shell = Shell::new();
    let (one, other) = (package(&shell, "one"), package(&shell, "another place"));
    assert!(fs::read(&one).expect("read") == fs::read(&other).expect("read"), "other bytes");
    does("dpkg-deb -x \"$1\" \"$2\"", &[&one, &shell.beside("installed")]);
    for file in [
        "usr/share/man/man1/executor-serve.1.gz",
        "usr/share/man/man1/planner-plan.1.gz",
        "usr/share/bash-completion/completions/executor",
        "usr/share/zsh/vendor-completions/_planner",
        "usr/share/fish/vendor_completions.d/executor.fish",
        "usr/share/forge-lanes/schemas/catalog.schema.json",
        "usr/share/forge-lanes/schemas/record.schema.json",
        "usr/share/doc/forge-lanes/examples/forge-lanes-nightly.timer",
        "usr/share/doc/forge-lanes/copyright",
    ] {
        assert!(shell.beside("installed").join(file).is_file(), "{file}");
    }
    let control = does("dpkg-deb -f \"$1\" Package Version Depends", &[&one]);
    assert!(control.contains("Package: forge-lanes\nVersion: 0.0.1\n"), "{control}");
    shell.does("cp -r \"$FORGE_LANES_SOURCES\"/snapshots/scenarios/readme/. . && git init -q && git add -A && git commit -qm first");
    let ran = shell.does(&format!(
        "PATH='{}/usr/bin':/usr/bin:/bin; planner plan --all | executor apply -",
        shell.beside("installed").display()
    ));
    assert!(ran.contains("check-unit · passed"), "{ran}");
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
