//! Files that lanes follow by what is in them: they are covered, and every command says so.

use crate::sandbox::{Sandbox, planner};

/// The key of `inputs`, a package, and the files.
type Workspace = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// One workspace of each kind of lock file or shared manifest, and a lane for a package of it.
const WORKSPACES: [Workspace; 7] = [
    (
        "cargo",
        "app",
        &[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"app\"]\n[workspace.dependencies]\nlog = \"1\"\n",
            ),
            ("Cargo.lock", "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n"),
            ("app/Cargo.toml", "[package]\nname = \"app\"\n[dependencies]\nlog.workspace = true\n"),
        ],
    ),
    (
        "npm",
        "app",
        &[
            ("package.json", r#"{ "name": "root", "workspaces": ["app"] }"#),
            (
                "package-lock.json",
                r#"{ "lockfileVersion": 3, "packages": { "": { "workspaces": ["app"] }, "app": {} } }"#,
            ),
            ("app/package.json", r#"{ "name": "app" }"#),
        ],
    ),
    (
        "npm",
        "app",
        &[
            ("package.json", r#"{ "name": "root" }"#),
            ("pnpm-workspace.yaml", "packages: [app]\n"),
            ("pnpm-lock.yaml", "lockfileVersion: '9.0'\nimporters:\n  .: {}\n  app: {}\n"),
            ("app/package.json", r#"{ "name": "app" }"#),
        ],
    ),
    (
        "npm",
        "app",
        &[
            ("package.json", r#"{ "name": "root", "private": true, "workspaces": ["app"] }"#),
            ("yarn.lock", "# yarn lockfile v1\n\n\nms@^2:\n  version \"2.1.3\"\n"),
            ("app/package.json", r#"{ "name": "app", "dependencies": { "ms": "^2" } }"#),
        ],
    ),
    (
        "uv",
        "app",
        &[
            (
                "pyproject.toml",
                "[project]\nname = \"root\"\n[tool.uv.workspace]\nmembers = [\"app\"]\n",
            ),
            (
                "uv.lock",
                "version = 1\n[[package]]\nname = \"app\"\nversion = \"1\"\nsource = { editable = \"app\" }\n",
            ),
            ("app/pyproject.toml", "[project]\nname = \"app\"\n"),
        ],
    ),
    (
        "gradle",
        ":app",
        &[
            ("settings.gradle", "include ':app'\n"),
            (
                "gradle/libs.versions.toml",
                "[versions]\nok = \"1\"\n[libraries]\nok = { module = \"a:b\", version.ref = \"ok\" }\n",
            ),
            ("app/build.gradle", "dependencies { implementation libs.ok }\n"),
        ],
    ),
    (
        "go",
        "example.com/app",
        &[
            ("go.work", "go 1.22\nuse ./app\n"),
            ("app/go.mod", "module example.com/app\ngo 1.22\n"),
            ("app/go.sum", ""),
        ],
    ),
];

fn workspace(at: usize) -> Sandbox {
    let (kind, name, files) = WORKSPACES[at];
    let sandbox = Sandbox::new();
    let manifest = format!(
        "version = 1\nunmatched_paths = \"all_lanes\"\n[[branch.lanes]]\nid = \"app\"\n\
         command = [\"true\"]\ninputs = {{ {kind} = [\"{name}\"] }}\n[[branch.lanes]]\n\
         id = \"docs\"\ncommand = [\"true\"]\npaths = [\"docs/**\"]\n"
    );
    sandbox.write("ci/forge-lanes.toml", manifest);
    sandbox.write("docs/a", "");
    for (path, text) in files {
        sandbox.write(path, text);
    }
    sandbox.commit("a workspace");
    sandbox
}

#[test]
fn locks_and_shared_manifests_that_a_lane_follows_are_covered() {
    for (at, (kind, _, files)) in WORKSPACES.iter().enumerate() {
        let sandbox = workspace(at);
        let (code, out, err) = planner(&sandbox, &["check"]);
        assert!(!out.contains("uncovered_file"), "{kind}: {out}{err}");
        assert_eq!(code, 0, "{kind}: {out}{err}");
        for (path, text) in *files {
            sandbox.write(path, format!("{text}\n"));
            sandbox.commit("a line at the end");
            let (code, out, err) = planner(&sandbox, &["plan", "--format", "json"]);
            assert_eq!(code, 0, "{kind}: {out}{err}");
            // Nothing is uncovered, so no lane but the one that follows the file can run.
            let plan = plans::Plan::from_json(out.as_bytes()).expect("a plan").0;
            let docs = plan.lanes().iter().find(|lane| lane.id.as_str() == "docs").expect("there");
            assert!(!docs.selected, "{path}: {:?}", docs.reasons);
            let (_, out, _) = planner(&sandbox, &["explain", path]);
            assert!(!out.contains("covers it"), "{out}");
        }
    }
}

/// `Cargo.lock` of a workspace in which `app` uses `log`, and `tool` nothing.
fn lock(version: &str) -> String {
    format!(
        "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"log\"]\n\
         [[package]]\nname = \"log\"\nversion = \"{version}\"\nsource = \"registry+https://registry.example/i\"\n\
         [[package]]\nname = \"tool\"\nversion = \"0.1.0\"\n"
    )
}

fn two_packages() -> Sandbox {
    let sandbox = Sandbox::new();
    let lane = |id: &str| {
        format!(
            "[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\ninputs = {{ cargo = [\"{id}\"] }}\n"
        )
    };
    let lanes = [lane("app"), lane("tool")].concat();
    sandbox.write("ci/forge-lanes.toml", format!("version = 1\n{lanes}"));
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\", \"tool\"]\n");
    sandbox.write("app/Cargo.toml", "[package]\nname = \"app\"\n[dependencies]\nlog = \"0.4\"\n");
    sandbox.write("tool/Cargo.toml", "[package]\nname = \"tool\"\n");
    sandbox.write("Cargo.lock", lock("0.4.21"));
    sandbox.commit("a workspace");
    sandbox
}

#[test]
fn explain_says_which_lanes_follow_a_lock_file_and_what_of_it_changed() {
    let sandbox = two_packages();
    let (code, out, err) = planner(&sandbox, &["explain", "Cargo.lock"]);
    assert_eq!(code, 0, "{out}{err}");
    for line in [
        "  followed by app (app) · runs when an entry changes that `app` resolves to\n",
        "  followed by tool (tool) · runs when an entry changes that `tool` resolves to\n",
    ] {
        assert!(out.contains(line), "{out}");
    }
    sandbox.write("Cargo.lock", lock("0.4.22"));
    sandbox.commit("cargo update");
    let (code, out, err) = planner(&sandbox, &["explain", "Cargo.lock", "--base-exact", "HEAD~1"]);
    assert_eq!(code, 0, "{out}{err}");
    for line in [
        "    differs: `Cargo.lock`: `log` `0.4.21 -> 0.4.22` via `app -> log`\n",
        "    nothing of that differs in this change\n",
    ] {
        assert!(out.replace('`', "").contains(&line.replace('`', "")), "{out}");
    }
    let (_, out, _) =
        planner(&sandbox, &["explain", "Cargo.lock", "--base-exact", "HEAD~1", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let followed = &answer["paths"][0]["followed_by"];
    assert_eq!(answer["paths"][0]["covered"], true);
    assert_eq!(followed[0]["changed"][0]["via"], "app -> log");
    assert_eq!(followed[1]["changed"], serde_json::json!([]));
}

#[test]
fn backtest_replays_changes_of_entries() {
    let sandbox = two_packages();
    sandbox.write("Cargo.lock", lock("0.4.22"));
    sandbox.commit("cargo update");
    for with in [&["backtest", "--last", "1"][..], &["backtest", "--last", "1", "--with", "HEAD"]] {
        let (code, out, err) = planner(&sandbox, with);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("entries of Cargo.lock"), "{out}");
        assert!(!out.contains("nothing covers"), "{out}");
        let (_, out, _) = planner(&sandbox, &[with, &["--format", "json"]].concat());
        let replay: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let lanes = replay["lanes"].as_array().expect("lanes");
        let runs = |id: &str| lanes.iter().find(|it| it["id"] == id).map(|it| it["runs"].clone());
        assert_eq!((runs("app"), runs("tool")), (Some(1.into()), Some(0.into())), "{out}");
    }
}

#[test]
fn everything_but_is_covered_and_selected_by_every_other_path() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "ci/forge-lanes.toml",
        "version = 1\nignore = [\"docs/**\"]\n[[branch.lanes]]\nid = \"all\"\n\
         command = [\"true\"]\ntimeout_secs = 9\nexclude = [\"docs/**\"]\n",
    );
    sandbox.write("docs/a", "1");
    sandbox.write("src/a", "1");
    sandbox.commit("first");
    let plan = |words: &str| {
        let (code, out, err) = planner(&sandbox, &["plan", "--format", "json"]);
        assert_eq!(code, 0, "{out}{err}");
        let plan = plans::Plan::from_json(out.as_bytes()).expect("a plan").0;
        let (_, told, _) = planner(&sandbox, &["explain", "--lane", "all"]);
        assert!(told.replace('`', "").contains(words), "{told}");
        plan.lanes()[0].selected
    };
    sandbox.write("docs/a", "2");
    sandbox.commit("words");
    assert!(!plan("docs/a matches ** but is excluded by docs/**"));
    sandbox.write("src/a", "2");
    sandbox.commit("work");
    assert!(plan("src/a matches **"));
    let (code, out, err) = planner(&sandbox, &["check"]);
    assert_eq!((code, out.contains("warning")), (0, false), "{out}{err}");
    let (_, out, _) = planner(&sandbox, &["explain", "docs/a", "src/a"]);
    for line in
        ["not all · `**` matches, but `docs/**` excludes it", "runs all (all) · matches `**`"]
    {
        assert!(out.contains(line), "{out}");
    }
}

#[test]
fn a_submodule_that_a_package_depends_on_is_told_until_somebody_answers_for_it() {
    let sandbox = two_packages();
    let library = sandbox.beside("library");
    std::fs::create_dir_all(&library).expect("a directory");
    sandbox.git_in(&library, &["init", "-q", "-b", "main"]);
    // Its own manifest leads back: nobody can see that from here.
    let manifest = "[package]\nname = \"lib0\"\n[dependencies]\ntool = { path = \"../../tool\" }\n";
    std::fs::write(library.join("Cargo.toml"), manifest).expect("a file");
    sandbox.git_in(&library, &["add", "-A"]);
    sandbox.git_in(&library, &["commit", "-q", "-m", "library"]);
    sandbox.git(&["submodule", "--quiet", "add", library.to_str().expect("text"), "vendor/lib"]);
    sandbox.write(
        "app/Cargo.toml",
        "[package]\nname = \"app\"\n[dependencies]\nlib0 = { path = \"../vendor/lib\" }\n",
    );
    sandbox.commit("a submodule");
    // On this machine, it is followed.
    let (code, out, err) = planner(&sandbox, &["check"]);
    assert!(code == 0 && !out.contains("unfollowed_dependency"), "{out}{err}");
    sandbox.git(&["submodule", "--quiet", "deinit", "-f", "vendor/lib"]);
    std::fs::remove_dir_all(sandbox.root().join(".git/modules/vendor")).expect("git keeps it");
    let (code, out, err) = planner(&sandbox, &["check"]);
    assert_eq!(code, 0, "{out}{err}");
    for words in ["unfollowed_dependency", "`vendor/lib` is a submodule", "concerns the lane `app`"]
    {
        assert!(out.contains(words), "{out}");
    }
    let lanes = std::fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml")).expect("there");
    sandbox.write(
        "ci/forge-lanes.toml",
        lanes.replace("version = 1\n", "version = 1\nignore_manifests = [\"vendor/lib/**\"]\n"),
    );
    sandbox.commit("there is nothing");
    let (_, out, err) = planner(&sandbox, &["check"]);
    assert!(!out.contains("unfollowed_dependency"), "{out}{err}");
}

#[test]
fn a_change_of_a_packages_manifest_alone_is_planned_by_what_it_derives() {
    let sandbox = two_packages();
    sandbox.write("core/src/lib.rs", "");
    sandbox.write("core/Cargo.toml", "[package]\nname = \"core0\"\n");
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"app\", \"tool\", \"core\"]\n");
    sandbox.commit("a third package");
    let planned = || {
        let (code, out, err) =
            planner(&sandbox, &["plan", "--format", "json", "--base-exact", "HEAD~1"]);
        assert_eq!(code, 0, "{out}{err}");
        let plan = plans::Plan::from_json(out.as_bytes()).expect("a plan").0;
        let lanes = plan.lanes().iter().filter(|lane| lane.selected);
        lanes.map(|lane| lane.id.to_string()).collect::<Vec<_>>()
    };
    // `core` is nobody's, then `tool`'s, and its own manifest leads nowhere.
    sandbox.write("core/Cargo.toml", "[package]\nname = \"core0\"\nversion = \"0.2.0\"\n");
    sandbox.commit("nobody's");
    assert!(planned().is_empty());
    sandbox.write(
        "tool/Cargo.toml",
        "[package]\nname = \"tool\"\n[dependencies]\ncore0 = { path = \"../core\" }\n",
    );
    sandbox.commit("tool's");
    assert_eq!(planned(), ["tool"]);
    sandbox.write(
        "core/Cargo.toml",
        "[package]\nname = \"core0\"\n[dependencies]\napp = { path = \"../app\" }\n",
    );
    sandbox.commit("a dependency of a dependency");
    assert_eq!(planned(), ["tool"]);
}

#[test]
fn passes_with_the_same_definitions_are_compared_each_with_the_packages_of_its_commit() {
    let sandbox = two_packages();
    let root = |log: &str| {
        format!(
            "[workspace]\nmembers = [\"app\", \"tool\"]\n[workspace.dependencies]\nlog = \"{log}\"\n"
        )
    };
    sandbox.write(
        "app/Cargo.toml",
        "[package]\nname = \"app\"\n[dependencies]\nlog = { workspace = true }\n",
    );
    let planned = |more: &[&str]| {
        let (code, out, err) = planner(&sandbox, &[&["plan", "--format", "json"], more].concat());
        assert_eq!(code, 0, "{out}{err}");
        plans::Plan::from_json(out.as_bytes()).expect("a plan")
    };
    let mut passed = plans::Passed::default();
    // `app` passes with one version of `log`, `tool` at the next commit, with another.
    for (log, lane) in [("1", "app"), ("2", "tool")] {
        sandbox.write("Cargo.toml", root(log));
        sandbox.commit("a version");
        let (plan, digest) = planned(&["--all"]);
        for (id, run) in plans::lane_runs(&plan, &digest.to_string(), log, |_| true) {
            if id.as_str() == lane {
                passed.add(&id, run);
            }
        }
    }
    // The definitions change since, in nothing that concerns the two.
    let lanes = std::fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml")).expect("there");
    let lanes = lanes.replace("version = 1\n", "version = 1\nignore = [\"notes\"]\n");
    for order in [lanes.clone(), swapped(&lanes)] {
        sandbox.write("ci/forge-lanes.toml", order);
        sandbox.commit("definitions");
        let file = sandbox.beside("passed.json");
        std::fs::write(&file, passed.to_json()).expect("a file");
        let (plan, _) =
            planned(&["--base-exact", "HEAD", "--passed", file.to_str().expect("text")]);
        let of = |id: &str| plan.lanes().iter().find(|lane| lane.id.as_str() == id).expect("there");
        assert!(of("app").selected, "it has not passed with this `log`");
        assert!(!of("tool").selected, "{:?}", of("tool").reasons);
    }
}

/// The manifest with its two lanes in the other order.
fn swapped(manifest: &str) -> String {
    let mut parts: Vec<&str> = manifest.split("[[branch.lanes]]").collect();
    parts.swap(1, 2);
    parts.join("[[branch.lanes]]")
}

#[test]
fn a_lock_file_or_shared_manifest_that_exclude_names_does_not_count() {
    for (key, package, files) in WORKSPACES {
        let sandbox = Sandbox::new();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let root =
            names.iter().filter(|name| !name.contains('/')).map(|name| format!("\"{name}\""));
        let root: Vec<String> = root.collect();
        let lanes = |exclude: &str| {
            format!(
                "version = 1\n[[branch.lanes]]\nid = \"app\"\ncommand = [\"true\"]\n\
                 timeout_secs = 9\ninputs = {{ {key} = [\"{package}\"] }}\n{exclude}"
            )
        };
        sandbox.write("ci/forge-lanes.toml", lanes(&format!("exclude = [{}]\n", root.join(", "))));
        for (name, text) in files {
            sandbox.write(name, text);
        }
        sandbox.commit("a workspace");
        let (code, out, err) = planner(&sandbox, &["check", "--format", "json"]);
        assert!(
            code == 0 && !out.contains("exclude_without_effect"),
            "{key} {names:?}: {out}{err}"
        );
        // None of them is followed any more.
        for name in names.iter().filter(|name| !name.contains('/')) {
            let (_, out, err) = planner(&sandbox, &["explain", name]);
            assert!(!out.contains("runs app"), "{key} {name}: {out}{err}");
        }
    }
}
