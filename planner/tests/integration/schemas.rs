//! The JSON Schemas against a validator that is not ours: whatever the repository shows as good is
//! accepted, every bad file is refused or stands in a table with the reason, and nothing that the
//! reader takes is refused.
//!
//! Each is asked twice, as the draft that the schema names and as draft 7, which is what many
//! editors know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use jsonschema::{Draft, Validator};
use lanes::{FileError, Files, SchemaOf, glob::Glob};
use serde_json::{Value, json};

use crate::sandbox::Numbers;

/// A schema under both drafts.
struct Schema {
    validators: [Validator; 2],
}

impl Schema {
    fn new(mut schema: Value) -> Self {
        let own = jsonschema::validator_for(&schema).expect("a schema");
        schema.as_object_mut().expect("a table").remove("$schema");
        let seventh = jsonschema::options().with_draft(Draft::Draft7).build(&schema);
        Self { validators: [own, seventh.expect("a schema of draft 7 too")] }
    }

    fn of(of: SchemaOf) -> Self {
        Self::new(lanes::schema(of).to_value())
    }

    fn plan() -> Self {
        Self::new(plans::plan_schema())
    }

    /// What is wrong, in the validator's words; both drafts agree.
    #[track_caller]
    fn refuses(&self, value: &Value) -> Vec<String> {
        let [own, seventh] = self.validators.each_ref().map(|validator| {
            let errors = validator.iter_errors(value);
            errors.map(|error| format!("{}: {error}", error.instance_path())).collect::<Vec<_>>()
        });
        assert_eq!(own.is_empty(), seventh.is_empty(), "{own:#?}\n{seventh:#?}");
        own
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every file below a directory whose name ends so.
fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![repository().join(below)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn toml(text: &str) -> Result<Value, String> {
    let value: toml::Value = toml::from_str(text).map_err(|error| error.to_string())?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn schema_of(path: &Path) -> SchemaOf {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    match name {
        "forge-lanes.toml" => SchemaOf::Lanes,
        "catalog.toml" | "bases.toml" => SchemaOf::Catalog,
        "invariants.toml" => SchemaOf::Invariants,
        _ => SchemaOf::Scenario,
    }
}

#[test]
fn every_example_is_accepted() {
    let mut seen = 0;
    for below in ["ci", "lanes/examples", "lanes/src", "snapshots/scenarios"] {
        for path in files(below, ".toml") {
            let text = fs::read_to_string(&path).expect("a file");
            let value = toml(&text).expect("TOML");
            let wrong = Schema::of(schema_of(&path)).refuses(&value);
            assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} files");
}

#[test]
fn every_kept_plan_is_accepted() {
    let plan = Schema::plan();
    let mut seen = 0;
    let places = [
        ("ci/plans", ".json"),
        ("plans/tests/documents", ".json"),
        ("executor/tests/documents", ".json"),
        ("snapshots/plans", ".json.snap"),
    ];
    for (below, ending) in places {
        for path in files(below, ending) {
            let text = fs::read_to_string(&path).expect("a file");
            // A snapshot has a head of its own.
            let json = &text[text.find('{').expect("a document")..];
            let value: Value = serde_json::from_str(json).expect("JSON");
            let wrong = plan.refuses(&value);
            assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen} plans");
}

#[test]
fn every_difference_is_accepted() {
    let sandbox = crate::sandbox::Sandbox::with_lanes();
    let schema = |name: &str| {
        let text = sandbox.planner(&["schema", name]).with_code(0);
        Schema::new(serde_json::from_str(&text).expect("JSON"))
    };
    let diff = schema("diff");
    let plans: Vec<String> =
        files("ci/plans", ".json").iter().map(|path| path.display().to_string()).collect();
    let mut pairs: Vec<[&str; 2]> = Vec::new();
    for one in &plans {
        pairs.extend(plans.iter().map(|other| [one.as_str(), other.as_str()]));
    }
    sandbox.write("ci/catalog.toml", crate::program::CATALOG.replace("60", "61"));
    sandbox.commit("change");
    pairs.push(["HEAD~1", "HEAD"]);
    for [one, other] in pairs {
        let said = sandbox.planner(&["diff", one, other, "--format", "json"]);
        let value: Value = serde_json::from_str(&said.out).expect("JSON");
        let wrong = diff.refuses(&value);
        assert!(wrong.is_empty(), "{one} {other}: {wrong:#?}");
        for (key, bad) in [("same", json!(1)), ("wibble", json!(1)), ("nodes", json!([]))] {
            let mut other = value.clone();
            other[key] = bad;
            assert!(!diff.refuses(&other).is_empty(), "{key}");
        }
    }
    // The program prints the same schemas as the library.
    for of in SchemaOf::ALL {
        let text = sandbox.planner(&["schema", of.as_str()]).with_code(0);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value, lanes::schema(of).to_value());
    }
}

/// The tables of the documentation are pieces of files: each is one of the four, or the executor's.
#[test]
fn every_piece_of_the_documentation_is_accepted() {
    let schemas = SchemaOf::ALL.map(Schema::of);
    let mut seen = 0;
    let pages = files("docs", ".md").into_iter().chain([repository().join("README.md")]);
    for page in pages.filter(|page| !page.ends_with("executor.md")) {
        let text = fs::read_to_string(&page).expect("a page");
        for piece in text.split("```toml").skip(1) {
            // Behind the word may stand the file that the piece is.
            let piece = piece.split("```").next().and_then(|piece| piece.split_once('\n'));
            let piece = piece.expect("it ends").1;
            let value = toml(piece).unwrap_or_else(|wrong| panic!("{}: {wrong}", page.display()));
            let wrong: Vec<_> = schemas.iter().map(|schema| schema.refuses(&value)).collect();
            assert!(wrong.iter().any(Vec::is_empty), "{}:\n{piece}{wrong:#?}", page.display());
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} pieces");
}

/// Bad files that a schema cannot tell, and why. A new bad file is refused by its schema or has
/// a line here.
const BEYOND: [(&str, &str); 25] = [
    ("after_other_trigger", "two lists of lanes are compared"),
    ("bad_toml", "the text is no TOML, so there is nothing to validate"),
    ("conflicting_prepare", "the work of two targets is compared"),
    ("cycle", "names lead from table to table"),
    ("duplicate_id", "ids are compared, over both files"),
    ("empty_matrix", "an entry of another key takes the last combination away"),
    ("id_clash", "an id of the manifest is compared with one of the catalog"),
    ("matrix_collision", "ids are made of values"),
    ("matrix_in_text", "a text is read"),
    ("matrix_too_large", "combinations are counted"),
    ("missing_build_payload", "a job is compared with the payloads of its target"),
    ("missing_file", "another file is not there"),
    ("missing_timeout", "the base may have one"),
    ("needs_itself", "ids are compared"),
    ("no_such_artifact", "globs of two jobs are compared"),
    ("output_clash", "names of two jobs are compared"),
    ("unknown_base", "a name is looked up"),
    ("unknown_host", "a name is looked up"),
    ("unknown_job", "a name is looked up"),
    ("unknown_lane", "a name is looked up"),
    ("unknown_matrix_name", "a name is looked up"),
    ("unknown_profile", "a name is looked up"),
    ("unknown_set", "a name is looked up"),
    ("unknown_target", "a name is looked up"),
    ("unreadable_file", "the bytes are no text, so there is nothing to validate"),
];

#[test]
fn every_bad_file_is_refused_or_listed_with_the_reason() {
    let invalid = "lanes/tests/manifests/invalid";
    let beyond: BTreeMap<&str, &str> = BEYOND.into();
    let mut passed = BTreeSet::new();
    for directory in fs::read_dir(repository().join(invalid)).expect("bad files") {
        let path = directory.expect("an entry").path();
        let code = path.file_name().and_then(|name| name.to_str()).expect("a code").to_owned();
        let refused = files(&format!("{invalid}/{code}"), ".toml").iter().any(|file| {
            let Ok(text) = fs::read_to_string(file) else { return false };
            let schema = Schema::of(schema_of(file));
            toml(&text).is_ok_and(|value| !schema.refuses(&value).is_empty())
        });
        if !refused {
            assert!(beyond.contains_key(code.as_str()), "`{code}`: no schema refuses it");
            passed.insert(code);
        }
    }
    let listed: BTreeSet<String> = beyond.keys().map(|code| (*code).to_owned()).collect();
    assert_eq!(passed, listed, "listed, and refused all the same");
}

/// Most bad files hold several mistakes: each is refused by itself.
#[test]
fn each_mistake_is_refused_alone() {
    let lane = |more: &str| format!("version = 1\n[[branch.lanes]]\nid = \"a\"\n{more}\n");
    let job = |more: &str| {
        format!(
            "version = 1\n[[targets]]\nid = \"t\"\n[[targets.jobs]]\nid = \"j\"\n\
             base = \"host_local\"\n{more}\n"
        )
    };
    let (command, target) = ("command = [\"make\"]", "target = \"t\"");
    let lanes = [
        "version = 2".to_owned(),
        "version = \"1\"".to_owned(),
        "versoin = 1".to_owned(),
        "nightly_schedule_utc = \"24:00\"".to_owned(),
        "default_branch = \"refs/heads/main\"".to_owned(),
        "unmatched_paths = \"all\"".to_owned(),
        "under = \"/projects\"".to_owned(),
        "under = \"projects/*\"".to_owned(),
        "path_sets = { \"a b\" = [] }".to_owned(),
        "ignore = [\"./a\"]".to_owned(),
        "run_all = [1]".to_owned(),
        "include = [\"a/\"]".to_owned(),
        lane(""),
        lane("target = \"t\"\ncommand = [\"make\"]"),
        lane("target = \"t\"\nstaged_linux_target = \"t\""),
        lane("target = \"t\"\ntimeout_secs = 60"),
        lane("command = \"make\""),
        lane("command = []"),
        lane("command = { argv = [] }"),
        lane("command = { argv = [\"a\"], shell = \"a\" }"),
        lane("command = { argv = [\"a\"], as_root = true }"),
        lane("command = { shell = \" \" }"),
        lane("command = { cargo_test = { package = \"a\" } }"),
        lane("command = { cargo_test = { package = \"-a\", test = \"b\" } }"),
        lane(&format!("{command}\ntimeout_secs = 0")),
        lane(&format!("{command}\nretries = 101")),
        lane(&format!("{command}\nretries = -1")),
        lane(&format!("{command}\nenv = {{ \"A B\" = \"x\" }}")),
        lane(&format!("{command}\nenv = {{ A = 1 }}")),
        lane(&format!("{command}\nsecrets = [\"A-B\"]")),
        lane(&format!("{command}\nworking_dir = \"../a\"")),
        lane(&format!("{command}\ncheckout = \"full\"")),
        lane(&format!("{command}\nruntime = \"incus\"")),
        lane(&format!("{command}\nruntime = {{ incus = {{}} }}")),
        lane(&format!("{command}\nruntime = {{ incus = {{ image = \"a\", cpu = 0 }} }}")),
        lane(&format!(
            "{command}\nruntime = {{ incus = {{ image = \"a\" }}, tart = {{ image = \"b\" }} }}"
        )),
        lane(&format!(
            "{command}\nruntime = {{ incus = {{ image = \"a\", vm = true, privileged = true }} }}"
        )),
        lane(&format!("{command}\nplacement = {{ remote_ssh = {{ host = \"a b\" }} }}")),
        lane(&format!("{command}\nplacement = {{ local = {{}} }}")),
        lane(&format!("{target}\nstatuses = [\"renamed\"]")),
        lane(&format!("{target}\nconcurrency_group = \"a:b\"")),
        lane(&format!("{target}\nafter = \"b\"")),
        lane(&format!("{target}\ninputs = {{ pip = [\"a\"] }}")),
    ];
    let catalogs = [
        "hosts = { \"a b\" = { ssh = \"a\" } }".to_owned(),
        "hosts = { a = {} }".to_owned(),
        "hosts = { a = { ssh = \"-oX\" } }".to_owned(),
        "hosts = { a = { ssh = \"a\", max_jobs = 0 } }".to_owned(),
        "hosts = { a = { ssh = \"a\", work_dir = \"tmp\" } }".to_owned(),
        "snapshot_profiles = { a = {} }".to_owned(),
        "[[targets]]\nid = \"a\"".to_owned(),
        "[[targets]]\nid = \"a\"\njobs = []".to_owned(),
        "[[targets]]\nid = \"a\"\njobs_from = [\"b\", \"b\"]".to_owned(),
        job(""),
        job("command = [\"a\"]\nstaged_command = \"a\""),
        job("staged_command = \"run\""),
        job("command = [\"a\"]\nprepare = [{ id = \"a\", command = [\"b\"], output = \"c\" }]"),
        job("command = [\"a\"]").replace("base = \"host_local\"", "placement = \"local\""),
        job("staged_command = \"run\"")
            + "[targets.staged_linux]\nprepare_node_prefix = \"p\"\npayloads = [{ role = \"own\", \
               output_name = \"a\", nix_installable = \"b\" }]",
    ];
    for (schema, texts) in [(SchemaOf::Lanes, &lanes[..]), (SchemaOf::Catalog, &catalogs[..])] {
        let schema = Schema::of(schema);
        for text in texts {
            let value = toml(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert!(!schema.refuses(&value).is_empty(), "accepted:\n{text}");
        }
    }
}

fn glob_schema() -> Schema {
    let lanes = lanes::schema(SchemaOf::Lanes).to_value();
    Schema::new(lanes["$defs"]["Glob"].clone())
}

#[test]
fn each_bad_glob_is_refused() {
    let file = repository().join("lanes/tests/manifests/invalid/bad_glob/forge-lanes.toml");
    let value = toml(&fs::read_to_string(file).expect("a file")).expect("TOML");
    let lists = [&value["ignore"], &value["run_all"], &value["branch"]["lanes"][0]["paths"]];
    let globs = lists.into_iter().flat_map(|list| list.as_array().expect("a list"));
    let schema = glob_schema();
    let accepted: Vec<&Value> = globs.filter(|glob| schema.refuses(glob).is_empty()).collect();
    // How many alternatives braces stand for is counted, not matched.
    assert_eq!(accepted, ["{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"]);
}

#[test]
fn no_glob_that_the_reader_takes_is_refused() {
    const PIECES: [&str; 22] = [
        "a", "b.rs", "/", "/", ".", "..", "*", "**", "?", "[", "]", "{", "}", ",", "!", "@", "(",
        ")", "\\", "-", "é", "|",
    ];
    let schema = glob_schema();
    let (mut numbers, mut taken) = (Numbers(17), 0);
    for _ in 0..30_000 {
        let length = 1 + numbers.below(7);
        let text: String = (0..length).map(|_| *numbers.pick(&PIECES)).collect();
        if Glob::new(&text).is_ok() {
            taken += 1;
            let wrong = schema.refuses(&json!(text));
            assert!(wrong.is_empty(), "`{text}`: {wrong:#?}");
        }
    }
    assert!(taken > 5_000, "{taken} globs");
}

/// Manifest and catalog in memory.
struct Pair([String; 2]);

impl Files for Pair {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(Some(self.0[usize::from(path == "catalog")].clone().into_bytes()))
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}

/// Changes one value somewhere: takes it out, or puts something else there.
fn change(value: &mut Value, numbers: &mut Numbers) {
    const TEXTS: [&str; 14] = [
        "a", "a b", "", "./a", "/a", "a/", "a/**", "@rust", "-a", "local", "clone", "1:2", "A_B",
        "..",
    ];
    match value {
        Value::Object(table) if !table.is_empty() && numbers.below(8) > 0 => {
            let at = numbers.below(table.len());
            let (key, inner) = table.iter_mut().nth(at).expect("it is there");
            let key = key.clone();
            match numbers.below(12) {
                0 => drop(table.remove(&key)),
                1 => drop(table.insert("wibble".to_owned(), json!(1))),
                _ => change(inner, numbers),
            }
        }
        Value::Array(list) if !list.is_empty() && numbers.below(8) > 0 => {
            let at = numbers.below(list.len());
            match numbers.below(12) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => change(&mut list[at], numbers),
            }
        }
        other => {
            *other = match numbers.below(10) {
                0 => json!([]),
                1 => json!({}),
                2 => json!(true),
                3 => json!(numbers.below(3)),
                _ => json!(numbers.pick(&TEXTS)),
            };
        }
    }
}

#[test]
fn no_file_that_the_reader_takes_is_refused() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect("a file");
    let pairs = [
        ("ci/forge-lanes.toml", "ci/catalog.toml"),
        ("lanes/examples/pika/forge-lanes.toml", "lanes/examples/pika/catalog.toml"),
        ("snapshots/scenarios/pairs/forge-lanes.toml", "snapshots/scenarios/pairs/catalog.toml"),
    ]
    .map(|(lanes, catalog)| [read(lanes), read(catalog)].map(|text| toml(&text).expect("TOML")));
    let schemas = [Schema::of(SchemaOf::Lanes), Schema::of(SchemaOf::Catalog)];
    let (mut numbers, mut taken, mut refused) = (Numbers(23), 0, 0);
    for round in 0..1_500 {
        let mut pair = pairs[round % pairs.len()].clone();
        let side = numbers.below(2);
        change(&mut pair[side], &mut numbers);
        let Ok(texts) =
            pair.each_ref().map(toml::to_string).into_iter().collect::<Result<Vec<_>, _>>()
        else {
            continue;
        };
        let texts = Pair(texts.try_into().expect("two"));
        let wrong = schemas[side].refuses(&pair[side]);
        if lanes::load(&texts, "lanes", "catalog").is_ok() {
            taken += 1;
            assert!(wrong.is_empty(), "{wrong:#?}\n{}", texts.0[side]);
        }
        refused += usize::from(!wrong.is_empty());
    }
    assert!(taken > 100 && refused > 300, "{taken} taken, {refused} refused");
}

#[test]
fn a_plan_with_anything_more_less_or_other_is_refused() {
    /// Every place of a document, as a pointer.
    fn places(value: &Value, at: &str, all: &mut Vec<String>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => {
                list.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect()
            }
            _ => Vec::new(),
        };
        for (key, value) in below {
            let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            places(value, &place, all);
            all.push(place);
        }
    }
    let schema = Schema::plan();
    let text = fs::read_to_string(repository().join("plans/tests/documents/1.0.json"));
    let plan: Value = serde_json::from_str(&text.expect("a file")).expect("JSON");
    let mut all = Vec::new();
    places(&plan, "", &mut all);
    for place in &all {
        // Anything of another kind.
        let mut other = plan.clone();
        let value = other.pointer_mut(place).expect("a place");
        let free = place.ends_with("/env") || place == "/inputs";
        *value = if value.is_object() { json!(1) } else { json!({ "wibble": {} }) };
        assert!(!schema.refuses(&other).is_empty(), "{place} of another kind");
        // Anything more.
        let mut more = plan.clone();
        if let Some(table) = more.pointer_mut(place).expect("a place").as_object_mut()
            && !free
        {
            table.insert("wibble".to_owned(), json!(1));
            assert!(!schema.refuses(&more).is_empty(), "{place} with a key more");
        }
    }
    for key in plan.as_object().expect("an object").keys() {
        let mut less = plan.clone();
        less.as_object_mut().expect("an object").remove(key);
        assert!(!schema.refuses(&less).is_empty(), "without `{key}`");
    }
}
