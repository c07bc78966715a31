//! `planner check`: every rule has one tree that shows it, and what people see of it is reviewed.

use std::{collections::BTreeMap, fs, path::Path};

use lanes::{FileError, Files, LintLevel, Style, glob::Glob};
use planner::{
    PlanningError, RepoContext, Request,
    check::{self, Findings, github::github, human, json::json, rules, sarif::sarif},
    packages::{self, ManifestTree, PackagesError},
    planned_tree::Tracked,
    shards,
};
use plans::RepoPath;

use crate::sandbox::Sandbox;

/// A tree in memory.
#[derive(Default, Clone)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, String>);

impl Tree {
    /// Reads a tree in one text: `== path ==` lines, each followed by the file's content.
    fn read(text: &str) -> Self {
        let mut tree = Self::default();
        let mut path = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("== ").and_then(|it| it.strip_suffix(" ==")) {
                name.clone_into(&mut path);
                tree.0.insert(path.clone(), String::new());
            } else if let Some(content) = tree.0.get_mut(&path) {
                content.push_str(line);
                content.push('\n');
            }
        }
        tree
    }

    #[track_caller]
    pub(crate) fn check(&self) -> Findings {
        let definitions = lanes::load(self, "ci/forge-lanes.toml", "ci/catalog.toml");
        let invariants = match self.0.get("ci/invariants.toml") {
            Some(text) => lanes::read_invariants("ci/invariants.toml", text).map(Some),
            None => Ok(None),
        };
        let files: Vec<Tracked> = self
            .0
            .keys()
            .map(|path| Tracked {
                path: RepoPath::new(path.as_bytes()).expect("a path"),
                submodule: false,
                // A file that says only `-> TARGET` is a symbolic link.
                link: self.0[path].strip_prefix("-> ").map(|to| to.trim_end().into()),
            })
            .collect();
        let packages = packages::all(self, &[]).expect("a tree in memory");
        let definitions = definitions.map_err(Box::new);
        check::check(definitions, invariants.map_err(Box::new), &files, &packages, &[])
            .unwrap_or_else(|found| panic!("the files are there:\n{found}"))
    }
}

impl Files for Tree {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(self.0.get(path).map(|text| text.clone().into_bytes()))
    }

    fn matching(&self, glob: &Glob) -> Result<Vec<String>, FileError> {
        Ok(self.0.keys().filter(|path| glob.is_match(path.as_bytes())).cloned().collect())
    }
}

impl ManifestTree for Tree {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        Ok(self.0.get(path).cloned())
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        let Ok(glob) = Glob::new(glob) else { return Ok(Vec::new()) };
        Ok(self.0.keys().filter(|path| glob.is_match(path.as_bytes())).cloned().collect())
    }
}

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check"))
}

#[track_caller]
fn fixture_text(code: &str) -> String {
    let file = fixtures().join(format!("{code}.txt"));
    fs::read_to_string(&file).unwrap_or_else(|_| panic!("`{code}` has no bad tree"))
}

#[track_caller]
fn fixture(code: &str) -> Findings {
    let tree = Tree::read(&fixture_text(code));
    if OF_A_TREE.contains(&code) { in_repository(&tree) } else { tree.check() }
}

/// Told while packages and shards are resolved, which takes a planned tree.
const OF_A_TREE: [&str; 7] = [
    packages::UNKNOWN_PACKAGE.name,
    shards::BAD_DURATIONS.name,
    shards::MATCH_NOTHING.name,
    shards::WITHOUT_FILES.name,
    "bad_package_manifest",
    "stray_manifest",
    "unfollowed_dependency",
];

/// The codes that this crate adds to those of `lanes`, which have bad files there.
fn own_codes() -> Vec<&'static str> {
    let all = rules::codes().into_iter().map(|(code, _)| code.name);
    all.filter(|name| lanes::codes::find(name).is_none()).collect()
}

/// Checks a tree as the program does, committed.
#[track_caller]
fn in_repository(tree: &Tree) -> Findings {
    let sandbox = Sandbox::new();
    for (path, text) in &tree.0 {
        sandbox.write(path, text);
    }
    sandbox.commit("a tree");
    let request = Request { dir: sandbox.root(), ..Request::default() };
    let context = RepoContext::open(&request).expect("a repository");
    let tree = context.planned_tree();
    let mut problems = Vec::new();
    let definitions = match context.definitions(&request.definitions) {
        Ok((catalog, inputs)) => {
            problems = inputs.problems;
            Ok(catalog)
        }
        Err(PlanningError::Definitions(found)) => Err(found),
        Err(error) => panic!("{error}"),
    };
    let files = tree.tracked().expect("a tree");
    let packages = packages::all(&tree, &[]).expect("a tree");
    check::check(definitions, Ok(None), &files, &packages, &problems)
        .unwrap_or_else(|found| panic!("the files are there:\n{found}"))
}

#[test]
fn a_manifest_that_ignore_manifests_names_is_no_manifest() {
    for (code, broken) in
        [("stray_manifest", "templates/new/Cargo.toml"), ("bad_package_manifest", "lib/Cargo.toml")]
    {
        let mut tree = Tree::read(&fixture_text(code));
        assert_eq!(codes_of(&in_repository(&tree)), [code]);
        let manifest = tree.0.get_mut("ci/forge-lanes.toml").expect("the manifest");
        *manifest = format!("ignore_manifests = [\"{broken}\"]\n{manifest}");
        let found = in_repository(&tree);
        assert!(!codes_of(&found).contains(&code), "{}", human::human(&found, Style::PLAIN, false));
    }
}

fn codes_of(findings: &Findings) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.diagnostic.code.name).collect()
}

#[test]
fn every_rule_has_a_tree_that_shows_it_and_nothing_else() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../check/rendered");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for code in own_codes() {
        let findings = fixture(code);
        let found = codes_of(&findings);
        assert!(!found.is_empty(), "{code} shows nothing");
        settings.bind(|| {
            insta::assert_snapshot!(code, human::human(&findings, Style::PLAIN, false));
        });
        assert!(found.iter().all(|it| *it == code), "{code} shows {found:?}");
    }
}

#[test]
fn no_fixture_is_without_a_rule() {
    let codes = own_codes();
    for entry in fs::read_dir(fixtures()).expect("the directory is there") {
        let name = entry.expect("readable").file_name();
        let name = name.to_string_lossy();
        let code = name.strip_suffix(".txt").unwrap_or(&name);
        assert!(name == "rendered" || codes.contains(&code), "`{name}` is no code");
    }
}

#[test]
fn invariants_set_the_level_of_a_rule() {
    let text = fs::read_to_string(fixtures().join("dead_glob.txt")).expect("the fixture");
    let with = |level: &str| {
        let mut tree = Tree::read(&text);
        let lints =
            format!("version = 1\n[lints]\ndead_glob = \"{level}\"\nuncovered_file = \"allow\"\n");
        tree.0.insert("ci/invariants.toml".to_owned(), lints);
        tree.check()
    };
    let denied = with("deny");
    assert_eq!((denied.count(LintLevel::Deny), denied.count(LintLevel::Warn)), (2, 0));
    let warned = with("warn");
    assert_eq!((warned.count(LintLevel::Deny), warned.count(LintLevel::Warn)), (0, 2));
    assert_eq!(with("allow").iter().len(), 0);
}

#[test]
fn errors_in_the_files_are_findings_and_silence_the_rules() {
    let mut tree = Tree::default();
    let manifest =
        "version = 1\n[[branch.lanes]]\nid = \"a\"\ntarget = \"unti\"\npaths = [\"x/\"]\n";
    let catalog = "version = 1\n[[targets]]\nid = \"unit\"\n[[targets.jobs]]\nid = \"j\"\n\
                   base = \"host_local\"\ntimeout_secs = 1\ncommand = { argv = [\"true\"] }\n";
    tree.0.insert("ci/forge-lanes.toml".to_owned(), manifest.to_owned());
    tree.0.insert("ci/catalog.toml".to_owned(), catalog.to_owned());
    let invariants = "version = 1\n[lints]\ndead_glob = \"denny\"\n";
    tree.0.insert("ci/invariants.toml".to_owned(), invariants.to_owned());
    let findings = tree.check();
    assert!(!findings.is_complete());
    assert_eq!(codes_of(&findings), ["unknown_target", "bad_glob", "bad_value"]);
    assert_eq!(findings.count(LintLevel::Deny), 3);
    let told = human::human(&findings, Style::PLAIN, false);
    assert!(told.contains("did you mean `unit`?") && told.contains("files must be understood"));
}

#[test]
fn every_code_explains_itself() {
    let all = human::explain("all").expect("a list");
    for (code, level) in rules::codes() {
        let text = human::explain(code.name).expect(code.name);
        assert!(
            text.contains(code.cause)
                && text.contains(code.remedy)
                && text.contains(level.as_str())
        );
        assert!(all.contains(code.name));
    }
    assert_eq!(human::explain("dead_globs"), Err(Some("dead_glob")));
    assert_eq!(human::explain("wibble"), Err(None));
}

/// A code that is declared and not in the index could be told and not explained.
#[test]
fn every_code_that_the_sources_declare_is_in_the_index() {
    fn declared(dir: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                declared(&path, names);
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            for behind in text.split("Code {").skip(1) {
                let name = behind.trim_start().strip_prefix("name: \"");
                names.extend(name.and_then(|it| it.split('"').next()).map(str::to_owned));
            }
        }
    }
    let mut names = Vec::new();
    for member in ["planner", "lanes"] {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(member).join("src");
        declared(&sources, &mut names);
    }
    names.extend(lanes::codes::ALL.iter().map(|code| code.name.to_owned()));
    names.sort();
    let index: Vec<&str> = rules::codes().into_iter().map(|(code, _)| code.name).collect();
    assert_eq!(names, index);
}

#[test]
fn json_has_every_finding_with_its_place() {
    let expected = serde_json::json!({
        "complete": true,
        "counts": { "deny": 0, "warn": 1 },
        "findings": [{
            "code": "shadowed_glob",
            "level": "warn",
            "message": "`src/lib.rs` adds nothing to `src/**`",
            "file": "ci/forge-lanes.toml",
            "line": 6, "column": 10, "end_line": 6, "end_column": 22,
            "help": "take `src/lib.rs` out, or narrow `src/**`",
        }],
    });
    let value: serde_json::Value =
        serde_json::from_str(&json(&fixture("shadowed_glob"))).expect("JSON");
    assert_eq!(value, expected);
    let uncovered: serde_json::Value =
        serde_json::from_str(&json(&fixture("uncovered_file"))).expect("JSON");
    assert_eq!(uncovered["findings"][0]["file"], "notes.txt");
    assert_eq!(uncovered["findings"][0]["line"], serde_json::Value::Null);
}

#[test]
fn where_lanes_without_paths_run_for_everything_the_rest_is_one_finding() {
    let mut tree = Tree::read(
        &fs::read_to_string(fixtures().join("uncovered_file.txt")).expect("the fixture"),
    );
    let manifest = tree.0.get_mut("ci/forge-lanes.toml").expect("a manifest");
    manifest.push_str("[[branch.lanes]]\nid = \"all\"\ntarget = \"unit\"\n");
    for number in 0..3000 {
        tree.0.insert(format!("data/{number}"), String::new());
    }
    let findings = tree.check();
    assert_eq!(codes_of(&findings), ["uncovered_file"]);
    let told = human::human(&findings, Style::PLAIN, false);
    for expected in [
        "3002 files that no glob covers; they run only the lanes without `paths`: `all`",
        "`data/0`, `data/1`, `data/10`, `data/100`, `data/1000` and 2997 more",
        "\n1 warning\n",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn github_annotations_are_one_line_each() {
    let findings = fixture("dead_glob");
    let text = github(&findings);
    assert_eq!(text.lines().count(), findings.iter().len());
    let first = text.lines().next().expect("a line");
    assert!(
        first.starts_with(
            "::error file=ci/forge-lanes.toml,line=8,endLine=8,col=20,endColumn=40,\
             title=dead_glob::`crates/pika-cor/**` matches no file%0Ahelp: "
        ),
        "{first}"
    );
}

/// A tree in which names, globs and codes try to say something else to whoever reads the output.
fn hostile() -> Findings {
    let mut tree = Tree::read(
        "== ci/forge-lanes.toml ==\nversion = 1\n[[branch.lanes]]\nid = \"a\"\n\
         command = [\"true\"]\npaths = [\"x%0A::error::y/**\", \"a,line=1::b\", \"\\n::stop-commands::z\"]\n\
         == ci/invariants.toml ==\nversion = 1\n[lints]\n\"::add-mask::x\\n::error::\" = \"deny\"\n\
         uncovered_file = \"deny\"\n",
    );
    for name in
        ["n\n::error file=x::y", "r\r::warning::", "p%0A::debug::", "c,title=x:y", "\u{2028}é"]
    {
        tree.0.insert(name.to_owned(), String::new());
    }
    tree.check()
}

#[test]
fn no_name_speaks_to_the_forge() {
    let findings = hostile();
    assert!(findings.iter().len() >= 9);
    let text = github(&findings);
    assert_eq!(text.lines().count(), findings.iter().len(), "{text}");
    assert!(!text.contains('\r'));
    let unescape = |text: &str| {
        let text = text.replace("%3A", ":").replace("%2C", ",");
        text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    };
    let mut named = Vec::new();
    for line in text.lines() {
        let (head, message) = line[2..].split_once("::").expect("a command");
        let (command, properties) = head.split_once(' ').expect("properties");
        assert!(matches!(command, "error" | "warning"), "{line}");
        for property in properties.split(',') {
            let (key, value) = property.split_once('=').expect("a property");
            assert!(!value.contains("::"), "{line}");
            let keys = ["file", "line", "endLine", "col", "endColumn", "title"];
            assert!(keys.contains(&key), "{line}");
            if key == "file" {
                named.push(unescape(value));
            }
        }
        // A percent sign of a message is never the start of an escape of somebody else's.
        assert!(unescape(message).len() <= message.len(), "{line}");
    }
    for name in ["n\n::error file=x::y", "r\r::warning::", "p%0A::debug::", "c,title=x:y"] {
        assert!(named.iter().any(|file| file == name), "{name:?} in {named:?}");
    }
}

/// The standard's own schema, where `scripts/bootstrap validators` has put it.
#[test]
#[expect(clippy::print_stderr, reason = "the test says when the schema is missing")]
fn sarif_follows_the_schema_of_its_standard() {
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from).unwrap_or_default();
    let file = home.join(".cache/forge-lanes/validators/sarif-2.1.0.json");
    let Ok(text) = fs::read_to_string(&file) else {
        let why = format!("no {}: run scripts/bootstrap validators", file.display());
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
        return;
    };
    let mut schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    // A key that is not written here, whose pattern has a bracket too many for some readers.
    for table in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][table]["properties"]["language"];
        language.as_object_mut().expect("a key").remove("pattern");
    }
    let validator =
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let logs = own_codes().into_iter().map(fixture).chain([hostile()]);
    for findings in logs {
        let log: serde_json::Value = serde_json::from_str(&sarif(&findings)).expect("JSON");
        let wrong: Vec<String> = validator.iter_errors(&log).map(|it| it.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{log:#}");
    }
    let mut bad: serde_json::Value = serde_json::from_str(&sarif(&hostile())).expect("JSON");
    bad["runs"][0]["results"][0]["level"] = "deny".into();
    assert!(!validator.is_valid(&bad), "it looks at results");
}

/// What the schema of SARIF 2.1.0 asks of the parts that are written here.
#[test]
fn sarif_has_the_form_of_its_standard() {
    for code in own_codes() {
        let findings = fixture(code);
        let log: serde_json::Value = serde_json::from_str(&sarif(&findings)).expect("JSON");
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
        assert_eq!(rules.len(), rules::codes().len());
        let results = run["results"].as_array().expect("results");
        assert_eq!(results.len(), findings.iter().len());
        for result in results {
            let index =
                usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert_eq!(result["ruleId"], code);
            assert!(matches!(result["level"].as_str(), Some("error" | "warning")));
            assert!(!result["message"]["text"].as_str().expect("a text").is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            assert!(!place["artifactLocation"]["uri"].as_str().expect("a uri").contains(' '));
            if let Some(region) = place.get("region") {
                for key in ["startLine", "startColumn", "endLine", "endColumn"] {
                    assert!(region[key].as_u64().expect(key) >= 1);
                }
            }
        }
    }
}

/// The table of rules in the documentation is written from the registry.
#[test]
fn the_documentation_lists_every_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/check.md");
    let written = fs::read_to_string(&page).expect("the page is there");
    let row = |(code, level): (&lanes::codes::Code, LintLevel)| {
        format!("| `{}` | {} | {} | {} |\n", code.name, level.as_str(), code.cause, code.remedy)
    };
    let table = |own: bool| {
        let codes = rules::codes().into_iter();
        let wanted = codes.filter(|(code, _)| rules::find(code.name).is_some() == own);
        let head = "| code | level | what it finds | what to do |\n| --- | --- | --- | --- |\n";
        [head.to_owned(), wanted.map(row).collect()].concat()
    };
    let mut expected = written.clone();
    for (name, own) in [("rules", true), ("errors", false)] {
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
        let from = expected.find(&start).expect(&start) + start.len();
        let to = expected.find(&end).expect(&end);
        expected.replace_range(from..to, &table(own));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &expected).expect("the page is writable");
        return;
    }
    assert!(expected == written, "docs/check.md is stale: run this test with UPDATE_DOCS=1");
}
