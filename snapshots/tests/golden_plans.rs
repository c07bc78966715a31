//! Golden plans: one line per scenario. What a scenario holds, and how to review a change of its
//! plan, is in the README beside this crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use lanes::{Catalog, FileError, Files, JobIndex, glob::Glob};
use planner::{DefinitionPaths, plan_scenario, scenario::Scenario};
use plans::{
    Command, Plan, PlanParts, ScenarioName, Selection, SelectionMode, Source, Trigger, Workspace,
};

/// The definitions that a folder of scenarios is about.
struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        let name = Path::new(path).file_name().ok_or("a file has a name")?;
        match std::fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[track_caller]
fn plan(folder: &str, name: &str) -> Plan {
    let definitions = match folder {
        "pika" => here("../lanes/examples/pika"),
        own => here("scenarios").join(own),
    };
    let paths = DefinitionPaths::default();
    let catalog = lanes::load(&Folder(definitions), &paths.manifest, &paths.catalog)
        .unwrap_or_else(|found| panic!("{}", found.render(lanes::Style::PLAIN)));
    let file = here("scenarios").join(folder).join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&file).expect("the scenario is there");
    let scenario = Scenario::read(&file.display().to_string(), &text).expect("a scenario");
    let id = ScenarioName::new(format!("{folder}-{name}")).expect("well formed");
    plan_scenario(&catalog, &id, &scenario).expect("a plan")
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(here("plans"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// Holds the short form: what runs, what does not, and why.
#[track_caller]
fn golden(folder: &str, name: &str) {
    golden_up_to(60, folder, name);
}

/// The same for a change that runs every lane: as long as that is, and no longer.
#[track_caller]
fn golden_everything(folder: &str, name: &str) {
    golden_up_to(131, folder, name);
}

#[track_caller]
fn golden_up_to(limit: usize, folder: &str, name: &str) {
    let text = planner::render::short(&plan(folder, name));
    let lines = text.lines().count();
    assert!(lines <= limit, "{lines} lines are too many to review; choose a smaller change");
    settings().bind(|| insta::assert_snapshot!(format!("{folder}-{name}"), text));
    assert_bytes(&format!("{folder}-{name}"), &text);
}

/// Holds the whole document as well, for one scenario of each pair.
#[track_caller]
fn golden_document(folder: &str, name: &str) {
    golden(folder, name);
    let text = plan(folder, name).to_json().json;
    let lines = text.lines().count();
    assert!(lines <= 200, "{lines} lines are too many to review; choose a smaller change");
    settings().bind(|| insta::assert_snapshot!(format!("{folder}-{name}.json"), text));
    assert_bytes(&format!("{folder}-{name}.json"), &text);
}

/// The comparison of snapshots passes over line endings and blank ends; plans are byte-exact.
#[track_caller]
fn assert_bytes(name: &str, text: &str) {
    let kept = std::fs::read_to_string(here("plans").join(format!("{name}.snap"))).expect("kept");
    let (_, body) = kept[4..].split_once("\n---\n").expect("a header ends");
    assert!(body == text, "{name}: the bytes differ");
}

fn worked_example() -> Catalog {
    let paths = DefinitionPaths::default();
    lanes::load(&Folder(here("../lanes/examples/pika")), &paths.manifest, &paths.catalog)
        .expect("the worked example loads")
}

/// Plans exactly some jobs, as if flags named them.
fn plan_of(name: &str, catalog: &Catalog, jobs: BTreeSet<JobIndex>) -> Plan {
    let selected =
        planner::select::Selected { lanes: Vec::new(), jobs, uncovered: BTreeSet::new() };
    Plan::new(PlanParts {
        source: Source::Scenario(ScenarioName::new(name).expect("well formed")),
        selection: Selection {
            trigger: Trigger::Manual,
            mode: SelectionMode::Requested,
            note: None,
            lanes_not_listed: None,
        },
        inputs: BTreeMap::new(),
        changes: BTreeSet::new(),
        uncovered: BTreeSet::new(),
        lanes: Vec::new(),
        nodes: planner::lower::lower(catalog, &selected).expect("nodes").nodes,
    })
    .expect("a plan")
}

/// The executor's tests start from documents, not from the planner; this one must be the planner's.
#[test]
fn the_document_of_the_apple_target_is_what_the_planner_makes() {
    let catalog = worked_example();
    let target = catalog.target("pre-merge-apple-deterministic").expect("a target");
    let jobs = catalog[target].jobs.iter().copied().collect();
    let file = here("../executor/tests/documents/pika-apple.json");
    let text = plan_of("pika-apple", &catalog, jobs).to_json().json;
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&file, &text).expect("writable");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "run once with UPDATE_DOCUMENTS=1, and look at the difference");
}

/// Every fact of the field, held against the plan that would run: a flag that flips for one job on
/// its way from the catalog is a row that differs.
#[test]
fn every_node_of_the_worked_example_is_as_the_field_has_it() {
    let catalog = worked_example();
    let table = include_str!("../../lanes/tests/pika/jobs.tsv");
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|row| row.split('\t').collect()).collect();
    assert_eq!(rows.len(), 43);
    let jobs = rows.iter().map(|row| catalog.job(row[0]).expect("a job of the catalog")).collect();
    let plan = plan_of("pika-all", &catalog, jobs);
    let yes = |value: bool| if value { "yes" } else { "no" };
    for row in rows {
        let node = plan.node(&format!("execute-{}", row[0])).expect("a node for each job");
        let spec = &node.spec;
        let (command, text, as_root) = match &spec.command {
            Command::Staged(path) => ("staged", path.as_str(), false),
            Command::Shell { script, as_root } => ("shell", script.as_str(), *as_root),
            other => panic!("{}: {other:?}", node.id),
        };
        let mut prepares: Vec<&str> = node.mounts.iter().map(|mount| mount.node.as_str()).collect();
        prepares.sort_unstable();
        let prepares = if prepares.is_empty() { "-".to_owned() } else { prepares.join(" ") };
        let setup = node.workspace_from.as_ref().map(|id| plan.node(id.as_str()).expect("a node"));
        let setup = setup.map_or("-", |node| match &node.spec.command {
            Command::Shell { script, as_root: false } => script,
            other => panic!("{}: {other:?}", node.id),
        });
        let found = [
            row[0],
            &spec.timeout_secs.to_string(),
            spec.placement.kind().as_str(),
            spec.runtime.kind().as_str(),
            yes(spec.workspace == Workspace::Writable),
            yes(spec.mount_host_rust_toolchain),
            yes(as_root),
            &prepares,
            setup,
            command,
            text,
        ];
        assert_eq!(found.as_slice(), row, "{}", node.id);
    }
}

macro_rules! scenarios {
    ($($test:ident: $hold:ident($folder:literal, $name:literal);)+) => {
        $(#[test]
        fn $test() {
            $hold($folder, $name);
        })+

        #[test]
        fn every_scenario_is_a_test() {
            let listed = [$(concat!($folder, "/", $name, ".toml")),+];
            for folder in ["pika", "pairs"] {
                for entry in std::fs::read_dir(here("scenarios").join(folder)).expect("there") {
                    let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
                    let definition = matches!(name.as_str(), "forge-lanes.toml" | "catalog.toml");
                    let file = format!("{folder}/{name}");
                    assert!(definition || listed.contains(&file.as_str()), "{file} is no test");
                }
            }
        }
    };
}

scenarios! {
    a_document_runs_the_lanes_that_name_it: golden("pika", "docs-only");
    one_crate_runs_the_lanes_that_name_it: golden("pika", "one-crate");
    a_manifest_edit_runs_what_names_the_manifest: golden_everything("pika", "manifest-edit");
    a_lock_file_runs_everything: golden_everything("pika", "everything");
    the_nightly_lanes_need_no_change: golden("pika", "nightly");
    an_unknown_file_runs_nothing_and_is_listed: golden("pika", "nothing");
    jobs_as_they_are: golden("jobs", "change");
    local_host_process: golden_document("pairs", "local-host-process");
    local_incus: golden_document("pairs", "local-incus");
    local_tart: golden_document("pairs", "local-tart");
    remote_host_process: golden_document("pairs", "remote-host-process");
    remote_incus: golden_document("pairs", "remote-incus");
    remote_tart: golden_document("pairs", "remote-tart");
}
