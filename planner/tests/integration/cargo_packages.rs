//! Lanes that name Cargo packages: patches, links, submodules, broken manifests and `Cargo.lock`.

use std::os::unix::fs::symlink;

use plans::Plan;

use crate::{
    packages::selected_with,
    sandbox::{Sandbox, planner},
};

/// A repository with a lane for the Cargo package `app`, and one that has nothing to do with it.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    let lane = |id: &str, filter: &str| {
        format!("[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\n{filter}\n")
    };
    let lanes =
        [lane("app", "inputs = { cargo = [\"app\"] }"), lane("docs", "paths = [\"docs/**\"]")];
    sandbox.write("ci/forge-lanes.toml", format!("version = 1\n{}", lanes.concat()));
    sandbox.write("docs/a", "1");
    sandbox
}

/// Writes the manifest and the source of a package.
fn package(sandbox: &Sandbox, dir: &str, name: &str, more: &str) {
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}");
    sandbox.write(format!("{dir}/Cargo.toml"), manifest);
    sandbox.write(format!("{dir}/src/lib.rs"), "");
}

/// The plan that the program makes of what the last commit changed, or of some flags.
#[track_caller]
fn planned(sandbox: &Sandbox, more: &[&str]) -> Plan {
    let args = [&["plan", "--format", "json"], more].concat();
    let (code, out, err) = planner(sandbox, &args);
    assert_eq!(code, 0, "{out}{err}");
    Plan::from_json(out.as_bytes()).unwrap_or_else(|error| panic!("{error}: {out}")).0
}

/// The selected lanes, each with its reasons in short.
fn selected(plan: &Plan) -> Vec<String> {
    selected_with(plan, |of| {
        let entry = |it: &plans::ChangedEntry| {
            let version = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
            let (before, after) = (version(&it.before), version(&it.after));
            format!("{} of {}: {before} to {after} via {}", it.name, it.file, it.via)
        };
        let entries = of.entries.iter().map(entry).chain(of.because.clone());
        entries.collect::<Vec<_>>().join("; ")
    })
}

#[test]
fn a_fork_that_replaces_a_dependency_of_a_dependency_selects_the_lanes_of_the_workspace() {
    // No lock file says which member has `low`, so every member may.
    let sandbox = repository();
    let workspace = "[workspace]\nmembers = [\"app\"]\nexclude = [\"forks\"]\nresolver = \"2\"\n\
                     [patch.\"https://git.example/low\"]\nlow = { path = \"forks/low\" }\n";
    sandbox.write("Cargo.toml", workspace);
    let depends = "[dependencies]\nmid = { git = \"https://git.example/mid\" }\n";
    package(&sandbox, "app", "app", depends);
    package(&sandbox, "forks/low", "low", "");
    sandbox.commit("first");
    sandbox.write("forks/low/src/lib.rs", "// changed");
    sandbox.commit("fork");
    assert_eq!(selected(&planned(&sandbox, &[])), ["app: forks/low/** via app -> low"]);
}

#[test]
fn a_patch_counts_for_the_members_whose_locked_closure_has_it() {
    let sandbox = repository();
    let workspace = "[workspace]\nmembers = [\"app\", \"tool\"]\nexclude = [\"forks\"]\n\
                     [patch.crates-io]\nlow = { path = \"forks/low\" }\n";
    sandbox.write("Cargo.toml", workspace);
    package(&sandbox, "app", "app", "[dependencies]\nmid = \"1\"\n");
    package(&sandbox, "tool", "tool", "");
    package(&sandbox, "forks/low", "low", "");
    let lock = |holder: &str, other: &str| {
        format!(
            "version = 4\n[[package]]\nname = \"{holder}\"\nversion = \"0.1.0\"\n\
             dependencies = [\"mid\"]\n[[package]]\nname = \"low\"\nversion = \"0.1.0\"\n\
             [[package]]\nname = \"mid\"\nversion = \"1.0.0\"\n\
             source = \"registry+https://registry.example/index\"\ndependencies = [\"low\"]\n\
             [[package]]\nname = \"{other}\"\nversion = \"0.1.0\"\n"
        )
    };
    sandbox.write("Cargo.lock", lock("app", "tool"));
    sandbox.commit("app has it");
    sandbox.write("forks/low/src/lib.rs", "// changed");
    sandbox.commit("fork");
    assert_eq!(selected(&planned(&sandbox, &[])), ["app: forks/low/** via app -> low"]);
    sandbox.write("Cargo.lock", lock("tool", "app"));
    sandbox.write("app/Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\n");
    sandbox.commit("tool has it");
    sandbox.write("forks/low/src/lib.rs", "// changed again");
    sandbox.commit("fork");
    assert!(selected(&planned(&sandbox, &[])).is_empty());
}

#[test]
fn a_paths_override_of_cargos_configuration_is_followed() {
    let sandbox = repository();
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\"]\nexclude = [\"forks\"]\n");
    sandbox.write(".cargo/config.toml", "paths = [\"forks\"]\n");
    package(&sandbox, "app", "app", "[dependencies]\nmid = \"1\"\n");
    package(&sandbox, "forks/low", "low", "");
    sandbox.commit("first");
    sandbox.write("forks/low/src/lib.rs", "// changed");
    sandbox.commit("fork");
    assert_eq!(selected(&planned(&sandbox, &[])), ["app: forks/low/** via app -> low"]);
}

#[test]
fn a_path_dependency_in_a_submodule_follows_the_submodule() {
    let sandbox = repository();
    let library = sandbox.beside("library");
    std::fs::create_dir_all(library.join("src")).expect("a directory");
    let commit = |text: &str| {
        let manifest = "[package]\nname = \"lib0\"\nversion = \"0.1.0\"\n";
        std::fs::write(library.join("Cargo.toml"), manifest).expect("a file");
        std::fs::write(library.join("src/lib.rs"), text).expect("a file");
        sandbox.git_in(&library, &["add", "-A"]);
        sandbox.git_in(&library, &["commit", "-q", "-m", "library"]);
    };
    sandbox.git_in(&library, &["init", "-q", "-b", "main"]);
    commit("");
    let url = library.to_str().expect("text");
    sandbox.git(&["submodule", "--quiet", "add", url, "vendor/lib"]);
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\"]\nexclude = [\"vendor\"]\n");
    package(&sandbox, "app", "app", "[dependencies]\nlib0 = { path = \"../vendor/lib\" }\n");
    sandbox.commit("first");
    commit("// changed");
    let inside = sandbox.root().join("vendor/lib");
    sandbox.git_in(&inside, &["pull", "-q"]);
    sandbox.commit("bump the submodule");
    // A glob of what may be below it matches the commit itself as well.
    let reasons =
        "app: vendor/lib/** via app -> lib0, vendor/lib via app -> vendor/lib (submodule)";
    assert_eq!(selected(&planned(&sandbox, &[])), [reasons]);
}

#[test]
fn a_path_dependency_behind_a_link_follows_the_link_and_where_it_leads() {
    let sandbox = repository();
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\"]\n");
    package(&sandbox, "app", "app", "[dependencies]\nlib0 = { path = \"../vendor/lib\" }\n");
    package(&sandbox, "real/one", "lib0", "[workspace]\n");
    package(&sandbox, "real/two", "lib0", "[workspace]\n");
    std::fs::create_dir(sandbox.root().join("vendor")).expect("a directory");
    let link = sandbox.root().join("vendor/lib");
    symlink("../real/one", &link).expect("a link");
    sandbox.commit("first");
    sandbox.write("real/one/src/lib.rs", "// changed");
    sandbox.commit("the target");
    assert_eq!(selected(&planned(&sandbox, &[])), ["app: real/one/** via app -> lib0"]);
    std::fs::remove_file(&link).expect("a link");
    symlink("../real/two", &link).expect("a link");
    sandbox.commit("the link");
    let plan = selected(&planned(&sandbox, &[]));
    assert!(plan.len() == 1, "{plan:?}");
    assert!(plan[0].starts_with("app: vendor/lib via app -> vendor/lib (link)"), "{plan:?}");
    sandbox.write("real/one/src/lib.rs", "// unused by now");
    sandbox.commit("the former target");
    assert!(selected(&planned(&sandbox, &[])).is_empty());
}

#[test]
fn a_template_that_is_no_toml_stops_nothing() {
    let sandbox = repository();
    sandbox.write("rust/Cargo.toml", "[workspace]\nmembers = [\"app\"]\n");
    package(&sandbox, "rust/app", "app", "");
    sandbox.write("templates/new/Cargo.toml", "[package]\nname = {{name}}\n");
    sandbox.commit("first");
    sandbox.write("docs/a", "2");
    sandbox.commit("words");
    assert_eq!(selected(&planned(&sandbox, &[])), ["docs: docs/** via itself"]);
    sandbox.write("rust/app/src/lib.rs", "// changed");
    sandbox.commit("app");
    assert_eq!(selected(&planned(&sandbox, &[])), ["app: rust/app/** via app"]);
    // The note says how to be rid of it, and that helps.
    let (_, _, err) = planner(&sandbox, &["plan"]);
    let key = "ignore_manifests = [\"templates/new/Cargo.toml\"]";
    assert!(err.contains("no lane needs it") && err.contains(key), "{err}");
    let manifest = std::fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml"));
    let manifest = manifest.expect("text").replacen('\n', &format!("\n{key}\n"), 1);
    sandbox.write("ci/forge-lanes.toml", manifest);
    sandbox.commit("ignored");
    let (_, _, err) = planner(&sandbox, &["plan"]);
    assert!(!err.contains("templates/new"), "{err}");
}

/// A workspace of two packages with a lane each, and the lock file that Cargo would write.
fn locked() -> Sandbox {
    let sandbox = repository();
    let lanes = ["app", "tool"].map(|id| {
        format!(
            "[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\ninputs = {{ cargo = [\"{id}\"] }}\n"
        )
    });
    sandbox.write("ci/forge-lanes.toml", format!("version = 1\n{}", lanes.concat()));
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\", \"tool\", \"core\"]\n");
    package(&sandbox, "app", "app", "[dependencies]\ncore = { path = \"../core\" }\n");
    package(&sandbox, "core", "core", "[dependencies]\nserde = \"1\"\n");
    package(&sandbox, "tool", "tool", "[dependencies]\nlog = \"0.4\"\n");
    sandbox.write("Cargo.lock", lock("1.0.1", "aa", "0.4.1"));
    sandbox.commit("locked");
    sandbox
}

fn lock(serde: &str, checksum: &str, log: &str) -> String {
    let registry = "source = \"registry+https://registry.example/index\"";
    format!(
        "version = 4\n\
         [[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"core\"]\n\
         [[package]]\nname = \"core\"\nversion = \"0.1.0\"\ndependencies = [\"serde\"]\n\
         [[package]]\nname = \"log\"\nversion = \"{log}\"\n{registry}\nchecksum = \"00\"\n\
         [[package]]\nname = \"serde\"\nversion = \"{serde}\"\n{registry}\nchecksum = \"{checksum}\"\n\
         [[package]]\nname = \"tool\"\nversion = \"0.1.0\"\ndependencies = [\"log\"]\n"
    )
}

#[test]
fn a_locked_version_that_changes_selects_exactly_the_packages_that_have_it() {
    let sandbox = locked();
    sandbox.write("Cargo.lock", lock("1.0.2", "bb", "0.4.1"));
    sandbox.commit("serde");
    let serde = "app: serde of Cargo.lock: 1.0.1 to 1.0.2 via app -> core -> serde";
    assert_eq!(selected(&planned(&sandbox, &[])), [serde]);
    // The same version with other content.
    sandbox.write("Cargo.lock", lock("1.0.2", "cc", "0.4.1"));
    sandbox.commit("checksum");
    let serde = "app: serde of Cargo.lock: 1.0.2 to 1.0.2 via app -> core -> serde";
    assert_eq!(selected(&planned(&sandbox, &[])), [serde]);
    sandbox.write("Cargo.lock", lock("1.0.2", "cc", "0.4.2"));
    sandbox.commit("log");
    let log = "tool: log of Cargo.lock: 0.4.1 to 0.4.2 via tool -> log";
    assert_eq!(selected(&planned(&sandbox, &[])), [log]);
    // Words that mean nothing to Cargo.
    sandbox.write("Cargo.lock", format!("# a comment\n{}", lock("1.0.2", "cc", "0.4.2")));
    sandbox.commit("comment");
    assert!(selected(&planned(&sandbox, &[])).is_empty());
}

#[test]
fn a_lock_file_that_cannot_be_read_or_compared_selects_every_lane_of_it() {
    let sandbox = locked();
    let lanes = |plan: &Plan| {
        let lanes = plan.lanes().iter().filter(|lane| lane.selected);
        lanes.map(|lane| lane.id.to_string()).collect::<Vec<_>>()
    };
    // What it was before is not known.
    let list = sandbox.beside("changed");
    std::fs::write(&list, "Cargo.lock\n").expect("a file");
    let plan = planned(&sandbox, &["--changed-files", list.to_str().expect("text")]);
    let because = "`Cargo.lock` changed, and what it was before is not known";
    assert_eq!(selected(&plan), [format!("app: {because}"), format!("tool: {because}")]);
    sandbox.write("Cargo.lock", "<<<<<<< ours\n");
    sandbox.commit("a merge that was not finished");
    let plan = planned(&sandbox, &[]);
    assert_eq!(lanes(&plan), ["app", "tool"]);
    assert!(selected(&plan)[0].contains("`Cargo.lock` cannot be read"), "{:?}", selected(&plan));
    sandbox.write("Cargo.lock", lock("1.0.1", "aa", "0.4.1"));
    sandbox.commit("mended");
    let plan = planned(&sandbox, &[]);
    assert_eq!(lanes(&plan), ["app", "tool"]);
    let text = selected(&plan);
    assert!(text[0].contains("`Cargo.lock` at the base cannot be read"), "{text:?}");
    sandbox.git(&["rm", "-q", "Cargo.lock"]);
    sandbox.commit("gone");
    assert_eq!(lanes(&planned(&sandbox, &[])), ["app", "tool"]);
    sandbox.write("docs/a", "2");
    sandbox.commit("words");
    assert!(lanes(&planned(&sandbox, &[])).is_empty());
}

#[test]
fn links_in_a_package_that_lead_out_of_it_bring_what_they_lead_to() {
    let sandbox = repository();
    let npm =
        "[[branch.lanes]]\nid = \"web\"\ncommand = [\"true\"]\ninputs = { npm = [\"web\"] }\n";
    let manifest = std::fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml"));
    sandbox.write("ci/forge-lanes.toml", manifest.expect("text") + npm);
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\", \"core\", \"low\"]\n");
    package(&sandbox, "app", "app", "");
    package(&sandbox, "core", "core", "[dependencies]\nlow = { path = \"../low\" }\n");
    package(&sandbox, "low", "low", "");
    sandbox.write("web/package.json", "{ \"name\": \"web\" }");
    for file in ["shared/one.rs", "data/deep/a", "data/b", "more/c", "other/d"] {
        sandbox.write(file, "1");
    }
    let links = [
        ("app/src/one.rs", "../../shared/one.rs"),
        ("app/data", "../data"),
        ("app/core", "../core"),
        ("app/self", "."),
        // A link in what a link leads to, and two that lead in a circle.
        ("data/more", "../more"),
        ("more/back", "../data"),
        ("app/later", "../not-yet"),
        ("app/away", "/outside"),
        ("web/assets", "../data"),
    ];
    for (link, target) in links {
        symlink(target, sandbox.root().join(link)).expect("a link");
    }
    sandbox.commit("first");
    let changed = |path: &str| {
        sandbox.write(path, "2");
        sandbox.commit(path);
        let plan = planned(&sandbox, &[]);
        let lanes = plan.lanes().iter().filter(|lane| lane.selected);
        lanes.map(|lane| lane.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(changed("shared/one.rs"), ["app"]);
    assert_eq!(changed("data/deep/a"), ["app", "web"]);
    assert_eq!(changed("more/c"), ["app", "web"]);
    assert_eq!(changed("low/src/lib.rs"), ["app"]);
    assert_eq!(changed("other/d"), Vec::<String>::new());
    assert_eq!(changed("not-yet"), ["app"]);
    sandbox.write("core/src/lib.rs", "// changed");
    sandbox.commit("core");
    assert_eq!(selected(&planned(&sandbox, &[])), ["app: core/** via app -> core"]);
}
