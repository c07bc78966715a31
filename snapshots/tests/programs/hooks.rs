//! What editors and hooks see: the real taplo checks files against our schemas, the real pre-commit runs our hooks.
//! `scripts/bootstrap hooks` installs both.

use std::path::PathBuf;

use crate::shell::{Shell, root};

/// Where they are; nothing where they are not installed, which CI does not allow.
fn hooks() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let there = home.join(".cache/forge-lanes/hooks");
    if there.join("complete").is_file() {
        return Some(there);
    }
    assert!(std::env::var_os("CI").is_none(), "no hooks: scripts/bootstrap hooks");
    None
}

#[test]
fn taplo_accepts_what_init_writes_and_our_own_files_and_says_what_is_wrong_with_others() {
    let Some(there) = hooks() else { return };
    let shell = Shell::new();
    let taplo = there.join("node_modules/.bin/taplo");
    let lint =
        |files: &str| shell.run(&format!("'{}' lint {files} >../said 2>&1", taplo.display()));
    shell.does(
        "mkdir src && printf '[package]\\nname = \"a\"\\nversion = \"0.1.0\"\\n' >Cargo.toml && touch src/lib.rs \
         && git init -q && git add -A && git commit -qm first && planner init",
    );
    for (file, schema) in [("forge-lanes", "lanes"), ("catalog", "catalog")] {
        let first = shell.does(&format!("head -n 1 ci/{file}.toml"));
        assert_eq!(first, format!("#:schema ./{schema}.schema.json\n"));
        shell.does(&format!("planner schema {schema} >ci/{schema}.schema.json"));
    }
    let said = |shell: &Shell| shell.does("head -c 2000 ../said");
    assert_eq!(lint("ci/forge-lanes.toml ci/catalog.toml").code, Some(0), "{}", said(&shell));
    // Those of this repository, its documentation's scenarios among them.
    shell.does(&format!(
        "for at in $(find '{0}/ci' '{0}/snapshots/scenarios' -name catalog.toml -exec dirname {{}} +); do n=$((n + 1)); mkdir -p all/$n; cp $at/forge-lanes.toml $at/catalog.toml all/$n; \
         cp ci/*.json all/$n; sed -i '1i #:schema ./lanes.schema.json' all/$n/forge-lanes.toml; \
         sed -i '1i #:schema ./catalog.schema.json' all/$n/catalog.toml; done; test $n -ge 4",
        root().display()
    ));
    assert_eq!(lint("'all/*/*.toml'").code, Some(0), "{}", said(&shell));
    shell.does("sed -i 's/^version = 1/version = 1\\nnonsense = 3/' ci/catalog.toml");
    assert_eq!(lint("ci/catalog.toml").code, Some(1));
    assert!(said(&shell).contains("'nonsense' was unexpected"), "{}", said(&shell));
}

#[test]
fn pre_commit_runs_our_hooks_and_stops_a_commit_that_breaks_lanes() {
    let Some(there) = hooks() else { return };
    let shell = Shell::new();
    // The hooks come from a repository, as from a forge.
    shell.does(&format!(
        "mkdir ../hooks && cp '{}/.pre-commit-hooks.yaml' ../hooks && git -C ../hooks init -q && git -C ../hooks add -A \
         && git -C ../hooks commit -qm hooks && cp -r '{0}/snapshots/scenarios/readme/.' . && git init -q && git add -A && git commit -qm first && planner golden init && planner golden accept lane-docs lane-unit",
        root().display()
    ));
    shell.does(
        "printf 'repos:\\n- repo: ../hooks\\n  rev: %s\\n  hooks: [{ id: planner-check }, { id: planner-golden-check }]\\n' \
         \"$(git -C ../hooks rev-parse HEAD)\" >.pre-commit-config.yaml && git add -A && git commit -qm hooks",
    );
    let pre_commit = there.join("bin/pre-commit");
    let installed = shell.does(&format!("'{}' install", pre_commit.display()));
    assert!(installed.contains("pre-commit installed at"), "{installed}");
    let fine = shell.run("echo '# more' >>ci/catalog.toml && git commit -qam more");
    assert_eq!(fine.code, Some(0), "{}", fine.shown);
    assert!(
        fine.shown.contains("planner check") && fine.shown.contains("Passed"),
        "{}",
        fine.shown
    );
    let broken = shell.run("echo 'nonsense = 3' >>ci/catalog.toml && git commit -qam broken");
    assert_eq!(broken.code, Some(1), "{}", broken.shown);
    assert!(
        broken.shown.contains("Failed") && broken.shown.contains("nonsense"),
        "{}",
        broken.shown
    );
}
