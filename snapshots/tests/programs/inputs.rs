//! Jobs that see what they declare: both programs from the manifest to the files a job finds, held
//! against git's own idea of the filtered tree.

use std::{collections::BTreeSet, fmt::Write as _};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::Value;

use crate::shell::Shell;

const CATALOG: &str = r#"
version = 1

[bases.here]
placement = "local"
runtime = "host_process"
timeout_secs = 60

[[targets]]
id = "rust"

[[targets.jobs]]
id = "unit"
base = "here"
command = { shell = "find . ! -type d | sort" }
inputs = ["@rust", "fixtures/**"]
inputs_exclude = ["**/*.md"]

[[targets.jobs]]
id = "hidden"
base = "here"
command = ["cat", "docs/page"]
inputs = ["src/**"]
"#;

const MANIFEST: &str = r#"
version = 1

[path_sets]
rust = ["src/**"]

[[branch.lanes]]
id = "rust"
target = "rust"
paths = ["src/**", "fixtures/**"]

[[branch.lanes]]
id = "pages"
command = { shell = "find . ! -type d | sort" }
inputs = ["docs/**"]
paths = ["docs/**"]
"#;

fn shell() -> Shell {
    let shell = Shell::new();
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.write("ci/catalog.toml", CATALOG);
    for path in ["src/a.rs", "src/README.md", "docs/page", "fixtures/one"] {
        shell.write(path, "text\n");
    }
    shell.does("git init -q && git add -A && git commit -qm first");
    shell
}

fn read(shell: &Shell, file: &str) -> Value {
    let text = std::fs::read(shell.beside(file)).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

fn node<'a>(plan: &'a Value, id: &str) -> &'a Value {
    let nodes = plan["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == id).expect("the node")
}

/// Writes `plan.json` with other nodes, and a digest that is right, to `forged.json`.
fn forge(shell: &Shell, change: impl FnOnce(&mut Vec<Value>)) {
    let mut plan = read(shell, "plan.json");
    plan.as_object_mut().expect("an object").shift_remove("digest");
    change(plan["nodes"].as_array_mut().expect("nodes"));
    let mut body = serde_json::to_string_pretty(&plan).expect("JSON");
    body.push('\n');
    let digest = plans::digest_of(body.as_bytes());
    plan.as_object_mut().expect("an object").insert("digest".to_owned(), digest.into());
    std::fs::write(shell.beside("forged.json"), plan.to_string()).expect("written");
}

#[test]
fn a_job_sees_its_inputs_and_nothing_else() {
    let shell = shell();
    shell.does("planner plan --all -o ../plan.json");
    let plan = read(&shell, "plan.json");
    assert_eq!(plan["format_version"], "1.1");
    let unit = node(&plan, "execute-unit");
    assert_eq!(unit["inputs"], serde_json::json!(["fixtures/**", "src/**"]));
    assert_eq!(unit["inputs_exclude"], serde_json::json!(["**/*.md"]));
    let tree = shell.does(
        "export GIT_INDEX_FILE=$PWD/../index; git read-tree HEAD && \
         git rm -qr --cached docs ci src/README.md && git write-tree; unset GIT_INDEX_FILE",
    );
    assert_eq!(unit["inputs_tree"], tree.trim_end());

    let ran = shell.run("executor apply ../plan.json --jobs 1");
    assert_eq!(ran.code, Some(1), "{}", ran.shown);
    assert_eq!(shell.does("executor logs --node execute-unit"), "./fixtures/one\n./src/a.rs\n");
    assert_eq!(shell.does("executor logs --node execute-pages"), "./docs/page\n");
    // What is not declared fails by name, instead of being missed later.
    assert!(ran.shown.contains("docs/page: No such file or directory"), "{}", ran.shown);

    // The same files in another commit are the same tree.
    shell.does("echo new >docs/page; git add -A; git commit -qm second");
    shell.does("planner plan --all -o ../second.json");
    let second = read(&shell, "second.json");
    assert_eq!(node(&second, "execute-unit")["inputs_tree"], unit["inputs_tree"]);
    assert_ne!(
        node(&second, "execute-pages")["inputs_tree"],
        node(&plan, "execute-pages")["inputs_tree"]
    );
    let page = shell.does("planner show ../plan.json --format html");
    assert!(page.contains("<code>fixtures/**</code>"), "the page does not say what it sees");
}

#[test]
fn a_tree_that_is_written_oddly_has_the_id_of_its_files() {
    let shell = shell();
    shell.does("planner plan --all -o ../plan.json");
    // The mode of old versions of git, and a directory without a file.
    shell.does(
        r#"old=$(git ls-tree HEAD:src | sed 's/^100644/100664/') &&
        none=$(git mktree </dev/null) &&
        src=$(printf '%s\n040000 tree %s\tempty\n' "$old" "$none" | git mktree) &&
        root=$(git ls-tree HEAD | sed "s/$(git rev-parse HEAD:src)/$src/" | git mktree) &&
        test "$root" != "$(git rev-parse 'HEAD^{tree}')" &&
        git update-ref HEAD "$(git commit-tree -p HEAD -m odd "$root")""#,
    );
    shell.does("planner plan --all -o ../odd.json");
    let (plain, odd) = (read(&shell, "plan.json"), read(&shell, "odd.json"));
    for id in ["execute-unit", "execute-hidden"] {
        assert_eq!(node(&odd, id)["inputs_tree"], node(&plain, id)["inputs_tree"], "{id}");
    }
}

#[test]
fn the_work_tree_as_it_is_has_the_same_inputs_for_both_programs() {
    let shell = shell();
    shell.does("echo more >src/b.rs; chmod +x src/b.rs; rm fixtures/one; ln -s a.rs src/link");
    shell.does("planner plan --worktree --all -o ../plan.json");
    let ran = shell.run("executor apply ../plan.json --only execute-unit");
    assert_eq!(ran.code, Some(0), "{}", ran.shown);
    let seen = shell.does("executor logs --node execute-unit");
    assert_eq!(seen, "./src/a.rs\n./src/b.rs\n./src/link\n");
    // Another work tree than the planned one is allowed on request, and then its files are seen.
    shell.does("echo more >src/c.rs");
    assert_eq!(shell.run("executor apply ../plan.json --only execute-unit").code, Some(4));
    shell.does("executor apply ../plan.json --only execute-unit --allow-stale");
    assert!(shell.does("executor logs --node execute-unit").contains("./src/c.rs"));
}

#[test]
fn a_plan_with_another_tree_than_its_globs_make_is_refused() {
    let shell = shell();
    shell.does("planner plan --all -o ../plan.json");
    forge(&shell, |nodes| {
        let pages = nodes.iter_mut().find(|node| node["id"] == "execute-pages").expect("the node");
        pages["inputs"] = serde_json::json!(["src/**"]);
    });
    let ran = shell.run("executor apply ../forged.json");
    assert_eq!(ran.code, Some(4), "{}", ran.shown);
    assert!(ran.shown.contains("the inputs of `execute-pages` are the tree"), "{}", ran.shown);
}

#[test]
fn a_plan_that_claims_the_key_of_another_result_is_refused() {
    let shell = shell();
    shell.does("planner plan --all -o ../plan.json");
    forge(&shell, |nodes| {
        let of_unit = nodes.iter().find(|node| node["id"] == "execute-unit").expect("the node");
        let key = of_unit["key"].clone();
        let pages = nodes.iter_mut().find(|node| node["id"] == "execute-pages").expect("the node");
        pages["key"] = key;
    });
    let ran = shell.run("executor apply ../forged.json");
    assert_eq!(ran.code, Some(4), "{}", ran.shown);
    assert!(ran.shown.contains("`execute-pages`"), "{}", ran.shown);
    let ran = shell.run("executor apply ../forged.json --only execute-unit");
    assert_eq!(ran.code, Some(4), "{}", ran.shown);
}

#[test]
fn the_same_work_on_the_same_files_has_the_same_key_wherever_it_is_planned() {
    let shell = shell();
    let keys = |plan: &Value| -> Vec<(String, String)> {
        let nodes = plan["nodes"].as_array().expect("nodes").iter();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        nodes.map(|node| (text(&node["id"]), text(&node["key"]))).collect()
    };
    shell.does("planner plan --all -o ../plan.json");
    let here = keys(&read(&shell, "plan.json"));
    shell.does("git clone -q . ../elsewhere && cd ../elsewhere");
    shell.does("planner plan --all -o ../plan.json");
    assert_eq!(keys(&read(&shell, "plan.json")), here);
    shell.does("planner plan --all --worktree -o ../plan.json");
    assert_eq!(keys(&read(&shell, "plan.json")), here);

    // Only who sees the change has another key; titles, limits and lanes are in none.
    shell.does("echo new >docs/page; git add -A; git commit -qm second");
    shell.does("sed -i 's/timeout_secs = 60/timeout_secs = 90\\nretries = 1/' ci/catalog.toml");
    shell.does("git commit -qam third; planner plan --all -o ../plan.json");
    let changed: Vec<(String, String)> =
        keys(&read(&shell, "plan.json")).into_iter().filter(|key| !here.contains(key)).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].0, "execute-pages");
}

#[test]
fn what_prepares_a_job_has_the_inputs_of_the_job_or_its_own() {
    let shell = Shell::new();
    shell.write(
        "ci/forge-lanes.toml",
        "version = 1\n[[branch.lanes]]\nid = \"l\"\ntarget = \"t\"\n",
    );
    let job = |id: &str, more: &str| {
        format!(
            "[[targets.jobs]]\nid = \"{id}\"\nplacement = \"local\"\nruntime = \"host_process\"\n\
             timeout_secs = 60\ncommand = {{ shell = \"find . ! -type d | sort\" }}\n{more}\n"
        )
    };
    let catalog = format!(
        "version = 1\n[[targets]]\nid = \"t\"\n{}{}{}",
        job("shared", "inputs = [\"a/**\"]\nhost_setup_command = \"cp a/one made\""),
        job("own", "host_setup_command = { shell = \"cp b/two made\", inputs = [\"b/**\"] }"),
        job(
            "prepared",
            "inputs = [\"a/**\"]\nprepare = [{ id = \"work\", command = { shell = \"mkdir out; find . ! \
             -type d | sort >out/seen\" }, output = \"out\", mount = \"/opt/forge-lanes-test\", \
             inputs = [\"b/**\"] }]"
        ),
    );
    shell.write("ci/catalog.toml", &catalog);
    shell.write("a/one", "1\n");
    shell.write("b/two", "2\n");
    shell.does("git init -q && git add -A && git commit -qm first");
    shell.does("planner plan --all -o ../plan.json");
    let plan = read(&shell, "plan.json");
    let a = shell.does("git rev-parse HEAD:a");
    assert_ne!(a, "");
    for (id, inputs) in [
        ("prepare-host-setup-shared", "a/**"),
        ("execute-shared", "a/**"),
        ("prepare-host-setup-own", "b/**"),
        ("prepare-work", "b/**"),
        ("execute-prepared", "a/**"),
    ] {
        assert_eq!(node(&plan, id)["inputs"], serde_json::json!([inputs]), "{id}");
        assert!(node(&plan, id)["inputs_tree"].is_string(), "{id}");
    }
    shell.does("executor apply ../plan.json --only execute-shared --only execute-own");
    assert_eq!(shell.does("executor logs --node execute-shared"), "./a/one\n./made\n");
    assert_eq!(shell.does("executor logs --node execute-own"), "./b/two\n./made\n");

    // Two places that say what one tree holds.
    let both = catalog.replace("id = \"own\"", "id = \"own\"\ninputs = [\"a/**\"]");
    shell.write("ci/catalog.toml", &both);
    let ran = shell.run("planner plan --worktree --all");
    assert_eq!(ran.code, Some(2), "{}", ran.shown);
    assert!(ran.shown.contains("and so has its host setup"), "{}", ran.shown);
}

#[test]
fn inputs_that_cannot_be_are_refused_with_words() {
    let shell = shell();
    for (from, to, words) in [
        ("inputs = [\"src/**\"]", "inputs = [\"@nowhere\"]", "no path set is called `@nowhere`"),
        ("inputs = [\"src/**\"]", "inputs = [\"/src/**\"]", "the repository's root"),
        (
            "inputs = [\"src/**\"]",
            "inputs = [\"src/**\"]\ncheckout = \"clone\"",
            "a checkout of git holds the history",
        ),
        (
            "inputs = [\"src/**\"]",
            "inputs_from = { cargo = [\"nobody\"] }",
            "no cargo package is called `nobody`",
        ),
    ] {
        shell.write("ci/catalog.toml", &CATALOG.replace(from, to));
        let ran = shell.run("planner plan --worktree --all");
        assert_eq!(ran.code, Some(2), "{to}: {}", ran.shown);
        assert!(ran.shown.contains(words), "{to}: {}", ran.shown);
    }
}

#[test]
fn a_job_sees_what_its_packages_reach() {
    let shell = shell();
    for (path, text) in [
        ("Cargo.toml", "[workspace]\nmembers = [\"app\", \"base\", \"other\"]\n"),
        ("Cargo.lock", "version = 4\n"),
        (
            "app/Cargo.toml",
            "[package]\nname = \"app\"\n[dependencies]\nbase = { path = \"../base\" }\n",
        ),
        ("app/src/lib.rs", ""),
        ("base/Cargo.toml", "[package]\nname = \"base\"\n"),
        ("base/src/lib.rs", ""),
        ("other/Cargo.toml", "[package]\nname = \"other\"\n"),
        ("other/src/lib.rs", ""),
    ] {
        shell.write(path, text);
    }
    let from = "inputs = [\"src/**\"]";
    let to = "inputs = [\"docs/**\"]\ninputs_from = { cargo = [\"app\"] }";
    shell.write(
        "ci/catalog.toml",
        &CATALOG
            .replace(from, to)
            .replace("\"cat\", \"docs/page\"", "\"find\", \".\", \"-type\", \"f\""),
    );
    shell.does("git add -A && git commit -qm packages && planner plan --all -o ../plan.json");
    shell.does("executor apply ../plan.json --only execute-hidden");
    let log = shell.does("executor logs --node execute-hidden");
    let seen: BTreeSet<&str> = log.lines().collect();
    let expected = [
        "./Cargo.lock",
        "./Cargo.toml",
        "./app/Cargo.toml",
        "./app/src/lib.rs",
        "./base/Cargo.toml",
        "./base/src/lib.rs",
        "./docs/page",
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn what_a_job_sees_is_explained_and_checked_against_what_runs_it() {
    let shell = shell();
    let text = shell.does("planner explain --all --job unit --inputs");
    assert!(text.contains("it sees 2 files:"), "{text}");
    assert!(text.contains("src/a.rs") && text.contains("`fixtures/**`"), "{text}");
    let json = shell.does("planner explain --all --job unit --inputs --json");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let inputs = &json["jobs"][0]["inputs"];
    assert_eq!(inputs["declared"], true);
    assert_eq!(inputs["files"][1], serde_json::json!({ "path": "src/a.rs", "globs": ["src/**"] }));
    assert_eq!(shell.run("planner explain src/a.rs --inputs").code, Some(2));

    let check = |shell: &Shell, catalog: &str| -> Vec<(String, String)> {
        shell.write("ci/catalog.toml", catalog);
        shell.does("git add -A");
        let ran = shell.run("planner check --format json 2>/dev/null");
        let found: Value = serde_json::from_str(&ran.shown).expect("JSON");
        let found = found["findings"].as_array().expect("findings").iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found
            .map(|it| (text(&it["code"]), text(&it["message"])))
            .filter(|(code, _)| code.contains("input"))
            .collect()
    };
    assert_eq!(check(&shell, CATALOG), []);
    // A file that can break the job and does not run it.
    let wider = CATALOG.replace("\"fixtures/**\"]", "\"fixtures/**\", \"docs/**\"]");
    let [(code, message)] = &check(&shell, &wider)[..] else { panic!("one finding") };
    assert_eq!(code, "input_outside_filter");
    assert!(message.contains("`docs/page`") && message.contains("lane `rust`"), "{message}");
    // A glob that brings nothing.
    let dead = CATALOG.replace("\"fixtures/**\"]", "\"fixtures/**\", \"nothing/**\"]");
    let [(code, _)] = &check(&shell, &dead)[..] else { panic!("one finding") };
    assert_eq!(code, "inputs_match_nothing");
    // A lane that runs for what no job of it sees.
    let narrow = CATALOG.replace("\"@rust\", \"fixtures/**\"", "\"@rust\"");
    let [(code, message)] = &check(&shell, &narrow)[..] else { panic!("one finding") };
    assert_eq!(code, "filter_outside_input");
    assert!(message.contains("`fixtures/one`"), "{message}");
    // A link without what it leads to.
    shell.does("ln -s ../docs/page src/link");
    let found = check(&shell, CATALOG);
    assert_eq!(found.len(), 2, "{found:?}");
    for (code, message) in found {
        assert_eq!(code, "input_link_outside");
        assert!(message.contains("`src/link`, but not `docs/page`"), "{message}");
    }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A path as `git update-index --index-info -z` takes it, of bytes.
fn path(random: &mut Random) -> Vec<u8> {
    const NAMES: [&[u8]; 8] = [b"a", b"b", b"ab", b"a.b", b".c", b"a b", b"\xff\xfe", b"n\nl"];
    let mut path = Vec::new();
    for depth in 0..=random.below(3) {
        if depth > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(NAMES[random.below(NAMES.len())]);
    }
    path
}

fn globs(random: &mut Random) -> Vec<String> {
    let part = |random: &mut Random| {
        random.pick(&["**", "*", "a", "b*", "{a,ab}", "[ab]", "?", ".c", "a.*"])
    };
    let mut globs = Vec::new();
    for _ in 0..=random.below(2) {
        let mut glob = part(random).to_owned();
        for _ in 0..random.below(3) {
            let next = part(random);
            if !(next == "**" && glob.ends_with("**")) {
                let _ = write!(glob, "/{next}");
            }
        }
        globs.push(glob);
    }
    globs
}

fn set(globs: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(GlobBuilder::new(glob).literal_separator(true).build().expect("a glob"));
    }
    set.build().expect("globs")
}

/// The tree that git makes of head without the files that are not kept.
fn by_git(shell: &Shell, kept: impl Fn(&[u8]) -> bool, files: &BTreeSet<Vec<u8>>) -> String {
    let removed: Vec<u8> = files
        .iter()
        .filter(|path| !kept(path))
        .flat_map(|path| path.iter().copied().chain([0]))
        .collect();
    std::fs::write(shell.beside("removed"), removed).expect("written");
    let tree = shell.does(
        "export GIT_INDEX_FILE=$PWD/../index; rm -f ../index; git read-tree HEAD; \
         ! test -s ../removed || git --literal-pathspecs rm -q --cached \
         --pathspec-from-file=../removed --pathspec-file-nul; git write-tree; unset GIT_INDEX_FILE",
    );
    tree.trim_end().to_owned()
}

#[test]
fn both_programs_and_git_agree_on_the_tree_of_any_globs() {
    let mut random = Random(20_261_129);
    for round in 0..6 {
        let shell = Shell::new();
        shell.does("git init -q && printf text | git hash-object -w --stdin >../blob");
        let blob = std::fs::read_to_string(shell.beside("blob")).expect("an id");
        // Files and directories that do not stand in each other's way.
        let mut files: BTreeSet<Vec<u8>> = BTreeSet::new();
        for _ in 0..30 {
            let new = path(&mut random);
            let below =
                |a: &[u8], b: &[u8]| a.len() > b.len() && a.starts_with(b) && a[b.len()] == b'/';
            if !files.iter().any(|old| below(old, &new) || below(&new, old)) {
                files.insert(new);
            }
        }
        let mut index = Vec::new();
        for file in &files {
            let mode = random.pick(&["100644", "100644", "100755", "120000"]);
            index.extend_from_slice(format!("{mode} {} 0\t", blob.trim_end()).as_bytes());
            index.extend_from_slice(file);
            index.push(0);
        }
        std::fs::write(shell.beside("entries"), index).expect("written");
        let commit = "1234567890123456789012345678901234567890";
        shell.does(&format!(
            "git update-index -z --index-info <../entries && \
             git update-index --add --cacheinfo 160000,{commit},module"
        ));
        let sets: Vec<(Vec<String>, Vec<String>)> = (0..10)
            .map(|_| {
                (globs(&mut random), if random.below(2) == 0 { globs(&mut random) } else { vec![] })
            })
            .collect();
        let mut manifest = String::from("version = 1\n");
        for (position, (paths, exclude)) in sets.iter().enumerate() {
            let _ = write!(
                manifest,
                "[[branch.lanes]]\nid = \"l{position}\"\ntimeout_secs = 60\nworking_dir = \".\"\n\
                 command = [\"true\"]\ninputs = {paths:?}\ninputs_exclude = {exclude:?}\n",
            );
        }
        let manifest = manifest.replace("working_dir = \".\"\n", "");
        std::fs::write(shell.beside("manifest"), manifest).expect("written");
        shell.does(
            "manifest=$(git hash-object -w ../manifest) && git update-index --add \
             --cacheinfo 100644,$manifest,ci/forge-lanes.toml && git commit -qm x",
        );
        files.insert(b"ci/forge-lanes.toml".to_vec());
        files.insert(b"module".to_vec());
        shell.does("planner plan --all -o ../plan.json");
        let plan = read(&shell, "plan.json");
        for (position, (paths, exclude)) in sets.iter().enumerate() {
            use std::os::unix::ffi::OsStrExt as _;
            let (paths, exclude) = (set(paths), set(exclude));
            let matches = |set: &GlobSet, path: &[u8]| {
                set.is_match(std::ffi::OsStr::from_bytes(path))
                    // A submodule is also a directory.
                    || path == b"module" && set.is_match("module/")
            };
            let kept = |path: &[u8]| matches(&paths, path) && !matches(&exclude, path);
            let expected = by_git(&shell, kept, &files);
            let planned = &node(&plan, &format!("execute-l{position}"))["inputs_tree"];
            assert_eq!(*planned, expected.as_str(), "round {round}: {:?}", sets[position]);
        }
        // The executor makes the same trees, or it would refuse.
        shell.does("executor apply ../plan.json --jobs 2");
    }
}
