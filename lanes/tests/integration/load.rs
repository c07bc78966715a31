//! What the keys mean: defaults, bases, sets, includes, shared work, comparisons.

use lanes::{Catalog, GlobOwner, LaneTrigger, UnmatchedPaths, Via, codes};
use plans::{Checkout, Command, FailedOutcome, Failure, Output, Placement, Runtime, Workspace};

use crate::support::Tree;

const LANE: &str = r#"
version = 1
[[branch.lanes]]
id = "unit"
target = "unit"
"#;

fn load<const N: usize>(files: [(&str, &str); N]) -> Catalog {
    Tree::new(files).load().unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn pair(manifest: &str, catalog: &str) -> Catalog {
    load([("ci/forge-lanes.toml", manifest), ("ci/catalog.toml", catalog)])
}

#[track_caller]
fn refused(manifest: &str, catalog: &str, code: &codes::Code, words: &str) {
    let tree = Tree::new([("ci/forge-lanes.toml", manifest), ("ci/catalog.toml", catalog)]);
    let diagnostics = tree.load().expect_err("a mistake");
    let found = diagnostics.iter().find(|found| found.code == code);
    let found = found.unwrap_or_else(|| panic!("no `{}` in:\n{diagnostics}", code.name));
    assert!(found.message.contains(words), "{}", found.message);
    assert_eq!(diagnostics.len(), 1, "{diagnostics}");
}

fn texts(catalog: &Catalog, globs: &[lanes::GlobUse]) -> Vec<String> {
    globs.iter().map(|used| catalog.globs().text(used.glob).to_owned()).collect()
}

#[test]
fn a_manifest_alone_is_enough_when_no_lane_names_a_target() {
    let catalog = load([(
        "ci/forge-lanes.toml",
        "version = 1\n[[branch.lanes]]\nid = \"lint\"\ncommand = [\"make\", \"lint\"]\n",
    )]);
    assert_eq!(catalog.files(), ["ci/forge-lanes.toml"]);
    let lane = &catalog[catalog.lane("lint").expect("there")];
    assert_eq!(lane.title, "lint");
    assert!(lane.filter.paths.is_none(), "a lane without `paths` is always selected");
    assert_eq!(catalog.rules().unmatched_paths, UnmatchedPaths::None);
}

#[test]
fn no_manifest_is_told_without_a_place() {
    let diagnostics = Tree::default().load().expect_err("nothing there");
    let found: Vec<_> = diagnostics.iter().collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].code.name, "missing_file");
    assert!(diagnostics.position(found[0]).is_none());
}

#[test]
fn a_job_overrides_every_key_of_its_base() {
    let catalog = pair(
        LANE,
        r#"
version = 1
[hosts.far]
ssh = "ci@far"
[bases.guest]
placement = { remote_ssh = { host = "far" } }
runtime = { incus = { image = "ci", vm = true, cluster = { group = "fast" } } }
timeout_secs = 10
grace_secs = 1
env = { A = "base", B = "base" }
secrets = ["TOKEN"]
writable_workspace = true
retries = 2
retry_on = { exit_codes = [75], outcomes = ["timed_out"] }
allow_failure = { exit_codes = [77, 3] }
artifacts = ["out/**"]
outputs = ["version", "commit-id"]
host_setup_command = "make setup"
[[targets]]
id = "unit"
[[targets.jobs]]
id = "as-base"
base = "guest"
command = { cargo_tests = { package = "p", lib_only = true } }
[[targets.jobs]]
id = "own"
base = "guest"
placement = "local"
runtime = { tart = { image = "sonoma", disk_gb = 60 } }
timeout_secs = 20
env = { B = "own" }
secrets = []
writable_workspace = false
checkout = "clone"
working_dir = "crates/p"
retries = 0
allow_failure = false
artifacts = []
outputs = []
needs = [{ job = "as-base", files = ["out/b/**", "out/*.a"], at = "lib" }]
host_setup_command = ""
command = { shell = "make", as_root = true }
"#,
    );
    let base = &catalog[catalog.job("as-base").expect("there")];
    assert_eq!(base.spec.placement.host_name(), "far");
    assert_eq!((base.spec.timeout_secs, base.spec.grace_secs, base.spec.retries), (10, Some(1), 2));
    let failed = |exit_code| Failure { outcome: FailedOutcome::Failed, exit_code };
    assert!(base.spec.tolerates(failed(Some(77))) && base.spec.tolerates(failed(Some(3))));
    assert!(base.spec.retries_after(failed(Some(75))) && !base.spec.retries_after(failed(Some(1))));
    assert_eq!(base.spec.workspace, Workspace::Writable);
    assert_eq!(base.spec.checkout, Checkout::Tree);
    assert_eq!(base.spec.secrets.len(), 1);
    assert_eq!(base.spec.description, "as-base");
    let outputs: Vec<&str> = base.spec.outputs.iter().map(|it| it.as_str()).collect();
    assert_eq!(outputs, ["commit-id", "version"]);
    let setup = &catalog[base.host_setup.expect("the base's")];
    assert_eq!(setup.spec.placement, base.spec.placement);
    assert_eq!(setup.spec.runtime, Runtime::HostProcess);
    assert_eq!(setup.spec.workspace, Workspace::Writable);

    let own = &catalog[catalog.job("own").expect("there")];
    assert_eq!((&own.spec.allow_failure, &own.spec.retry_on), (&None, &None));
    assert_eq!(own.spec.outputs.len(), 0);
    let [files] = &own.files[..] else { panic!("{:?}", own.files) };
    assert_eq!(
        (files.at.as_str(), &*files.files),
        ("lib", &["out/*.a".to_owned(), "out/b/**".to_owned()][..])
    );
    assert_eq!((&*own.needs, catalog[files.job].id.as_str()), (&[files.job][..], "as-base"));
    assert_eq!(own.spec.placement, Placement::Local);
    assert!(matches!(&own.spec.runtime, Runtime::Tart(tart) if tart.disk_gb == Some(60)));
    assert_eq!((own.spec.timeout_secs, own.spec.retries), (20, 0));
    assert_eq!(own.spec.workspace, Workspace::ReadOnly);
    assert_eq!(own.spec.checkout, Checkout::Clone);
    assert!(own.spec.secrets.is_empty() && own.spec.artifacts.is_empty());
    let env: Vec<_> = own.spec.env.iter().map(|(name, text)| (name.as_str(), &**text)).collect();
    assert_eq!(env, [("A", "base"), ("B", "own")]);
    assert_eq!(own.host_setup, None);
    assert!(matches!(&own.spec.command, Command::Shell { as_root: true, .. }));
}

#[test]
fn the_canonical_bases_are_built_in_and_may_be_replaced() {
    let catalog = pair(
        LANE,
        r#"
version = 1
[hosts.pika-build]
ssh = "ci@pika-build"
[bases.host_local]
placement = "local"
runtime = "host_process"
timeout_secs = 5
[[targets]]
id = "unit"
[[targets.jobs]]
id = "built-in"
base = "remote_incus"
timeout_secs = 60
command = ["make"]
[[targets.jobs]]
id = "replaced"
base = "host_local"
command = ["make"]
"#,
    );
    let spec = &catalog[catalog.job("built-in").expect("there")].spec;
    assert!(matches!(&spec.runtime, Runtime::Incus(incus) if incus.image.as_str() == "pika-ci"));
    assert_eq!(catalog[catalog.job("replaced").expect("there")].spec.timeout_secs, 5);
}

#[test]
fn sets_nest_and_say_how_a_glob_came_in() {
    let catalog = pair(
        r#"
version = 1
ignore = ["@drafts"]
[path_sets]
drafts = ["docs/drafts/**"]
rust = ["Cargo.toml", "@source"]
source = ["src/**", "Cargo.toml"]
[[branch.lanes]]
id = "unit"
target = "unit"
paths = ["Cargo.lock", "@rust", "src/**"]
exclude = ["@drafts"]
statuses = ["added", "deleted"]
"#,
        UNIT,
    );
    let lane = catalog.lane("unit").expect("there");
    let paths = catalog[lane].filter.paths.as_deref().expect("written");
    assert_eq!(texts(&catalog, paths), ["Cargo.lock", "Cargo.toml", "src/**"]);
    assert_eq!(paths[0].via, None);
    assert_eq!(paths[2].via, Some(Via::Sets("rust -> source".into())));
    assert_eq!(catalog.sources().position(paths[2].span).line, 7);
    let drafts = catalog.globs().id("docs/drafts/**").expect("a glob");
    let job = catalog.job("doc-tests").expect("there");
    assert_eq!(
        catalog.owners(drafts),
        [GlobOwner::LaneExclude(lane), GlobOwner::Job(job), GlobOwner::Ignore]
    );
    assert_eq!(
        catalog[lane].filter.statuses.as_ref().map(std::collections::BTreeSet::len),
        Some(2)
    );
}

const UNIT: &str = r#"
version = 1
[[targets]]
id = "unit"
paths = ["src/**"]
[[targets.jobs]]
id = "unit-tests"
base = "host_local"
timeout_secs = 60
command = ["./test"]
[[targets.jobs]]
id = "doc-tests"
base = "host_local"
timeout_secs = 60
command = ["./doc"]
paths = ["docs/**"]
exclude = ["docs/drafts/**"]
"#;

#[test]
fn a_job_narrows_by_its_own_paths_else_by_its_targets() {
    let catalog = pair(LANE, UNIT);
    let lane = catalog.lane("unit").expect("there");
    let filter = |job: &str| {
        let job = catalog.job(job).expect("there");
        catalog.filter_text(&catalog.job_filter(lane, job).expect("a filter"))
    };
    assert!(filter("unit-tests").paths.expect("paths").contains("src/**"));
    assert!(filter("doc-tests").paths.expect("paths").contains("docs/**"));
    assert!(filter("doc-tests").exclude.contains("docs/drafts/**"));
}

#[test]
fn exclude_without_paths_takes_from_what_counts_otherwise() {
    // A lane: of every path; a job: of what its target counts.
    let catalog = UNIT.replace("paths = [\"docs/**\"]\n", "");
    let catalog = pair(
        "version = 1\n[[branch.lanes]]\nid = \"unit\"\ntarget = \"unit\"\nexclude = [\"*.md\"]\n\
         [[branch.lanes]]\nid = \"new\"\ntarget = \"unit\"\nstatuses = [\"added\"]\n\
         [[branch.lanes]]\nid = \"all\"\ntarget = \"unit\"\nexclude = []\n",
        &catalog,
    );
    let paths = |lane: &str| {
        let lane = catalog.lane(lane).expect("there");
        catalog.filter_text(&catalog[lane].filter).paths.map(|it| it.into_iter().collect())
    };
    assert_eq!(paths("unit"), Some(vec!["**"]));
    assert_eq!(paths("new"), Some(vec!["**"]));
    assert_eq!(paths("all"), None);
    let (lane, job) = (catalog.lane("unit").expect("there"), catalog.job("doc-tests"));
    let filter = catalog.job_filter(lane, job.expect("there")).expect("a filter");
    let filter = catalog.filter_text(&filter);
    assert!(filter.paths.expect("paths").contains("src/**"));
    assert!(filter.exclude.contains("docs/drafts/**"));
}

#[test]
fn a_filter_that_would_count_nothing_is_refused() {
    for (filter, words) in [
        ("statuses = []", "`statuses` of the lane `a` is empty"),
        ("paths = [\"**\"]\nstatuses = []", "`statuses` of the lane `a` is empty"),
        ("inputs = {}", "`inputs` of the lane `a` names no package"),
        ("inputs = { cargo = [], npm = [] }", "`inputs` of the lane `a` names no package"),
    ] {
        let manifest =
            format!("version = 1\n[[branch.lanes]]\nid = \"a\"\ncommand = [\"true\"]\n{filter}\n");
        refused(&manifest, "version = 1\n", &codes::BAD_VALUE, words);
    }
}

#[test]
fn everything_but_is_of_the_whole_tree_in_an_included_file_too() {
    let catalog = load([
        ("ci/forge-lanes.toml", "version = 1\ninclude = [\"projects/*/lanes.toml\"]\n"),
        (
            "projects/a/lanes.toml",
            "under = \"projects/a\"\n[[branch.lanes]]\nid = \"a\"\ncommand = [\"make\"]\n\
             exclude = [\"docs/**\"]\n",
        ),
    ]);
    let filter = catalog.filter_text(&catalog[catalog.lane("a").expect("there")].filter);
    assert!(filter.paths.expect("paths").contains("**"));
    assert!(filter.exclude.contains("projects/a/docs/**"));
}

#[test]
fn included_files_keep_their_globs_below_their_directory() {
    let catalog = load([
        (
            "ci/forge-lanes.toml",
            "version = 1\ninclude = [\"projects/*/lanes.toml\"]\n[path_sets]\nall = [\"**\"]\n\
             [[nightly.lanes]]\nid = \"soak\"\ncommand = [\"make\"]\n",
        ),
        (
            "projects/b/lanes.toml",
            "under = \"projects/b\"\nignore = [\"notes/**\"]\n[[branch.lanes]]\nid = \"b\"\n\
             target = \"b\"\npaths = [\"src/**\", \"@all\"]\nexclude = [\"{x,y}/**\"]\n",
        ),
        (
            "projects/a/lanes.toml",
            "[[branch.lanes]]\nid = \"a\"\ncommand = [\"make\"]\npaths = [\"src/**\"]\n",
        ),
        ("ci/catalog.toml", "version = 1\ninclude = [\"projects/*/catalog.toml\"]\n"),
        (
            "projects/b/catalog.toml",
            "under = \"projects/b\"\n[[targets]]\nid = \"b\"\n[[targets.jobs]]\nid = \"b-tests\"\n\
             base = \"host_local\"\ntimeout_secs = 60\ncommand = [\"make\"]\npaths = [\"src/**\"]\n",
        ),
    ]);
    let ids: Vec<_> = catalog.lanes().iter().map(|lane| lane.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "soak"], "branch before nightly, included files by path");
    assert_eq!(catalog.lanes()[2].trigger, LaneTrigger::Nightly);
    let filter = &catalog.lanes()[1].filter;
    let paths = texts(&catalog, filter.paths.as_deref().expect("written"));
    assert_eq!(paths, ["projects/b/src/**", "**"], "a set's globs stay where the set is");
    assert_eq!(texts(&catalog, &filter.exclude), ["projects/b/{x,y}/**"]);
    assert_eq!(texts(&catalog, &catalog.rules().ignore), ["projects/b/notes/**"]);
    let job = &catalog[catalog.job("b-tests").expect("there")];
    let paths = job.filter.as_ref().and_then(|filter| filter.paths.as_deref()).expect("written");
    assert_eq!(texts(&catalog, paths), ["projects/b/src/**"]);
    assert_eq!(catalog.files().len(), 5);
}

#[test]
fn ids_are_unique_over_all_files() {
    let tree = Tree::new([
        (
            "ci/forge-lanes.toml",
            "version = 1\ninclude = [\"more.toml\"]\n[[branch.lanes]]\nid = \"a\"\ncommand = [\"make\"]\n",
        ),
        (
            "more.toml",
            "default_branch = \"main\"\ninclude = [\"x\"]\nunder = \"../x\"\n[[nightly.lanes]]\nid = \"a\"\ncommand = [\"make\"]\n",
        ),
    ]);
    let diagnostics = tree.load().expect_err("mistakes");
    let mut found: Vec<_> = diagnostics.iter().map(|found| found.code.name).collect();
    found.sort_unstable();
    assert_eq!(found, ["bad_value", "bad_value", "bad_value", "duplicate_id"], "{diagnostics}");
}

/// The catalog of two guests at two placements that share payloads and a prepare step.
const SHARED: &str = r#"
version = 1
[hosts.far]
ssh = "far"
[bases.guest]
runtime = { incus = { image = "ci" } }
timeout_secs = 60
prepare = [{ id = "fixtures", command = ["make", "fixtures"], output = "out", mount = "/fixtures" }]
[[targets]]
id = "unit"
[targets.staged_linux]
prepare_node_prefix = "linux"
prepare_description = "the workspace"
payloads = [
  { role = "workspace_build", output_name = "build", nix_installable = ".#build" },
  { role = "cache", output_name = "cache", nix_installable = ".#cache", mount = "/cache" },
]
[[targets.jobs]]
id = "near"
base = "guest"
placement = "local"
staged_command = "run-near"
[[targets.jobs]]
id = "far-one"
base = "guest"
placement = { remote_ssh = { host = "far" } }
staged_command = "run-far"
needs = ["near"]
[[targets.jobs]]
id = "far-two"
base = "guest"
placement = { remote_ssh = { host = "far" } }
command = ["./other"]
"#;

#[test]
fn shared_work_is_one_node_for_each_placement() {
    let catalog = pair(LANE, SHARED);
    let prepares: Vec<_> = catalog
        .prepares()
        .iter()
        .map(|prepare| (prepare.id.as_str(), prepare.spec.placement.host_name()))
        .collect();
    assert_eq!(
        prepares,
        [
            ("prepare-fixtures", "local"),
            ("prepare-fixtures", "far"),
            ("prepare-linux-cache", "local"),
            ("prepare-linux-cache", "far"),
            ("prepare-linux-workspace-build", "local"),
            ("prepare-linux-workspace-build", "far"),
        ]
    );
    let job = |id: &str| &catalog[catalog.job(id).expect("there")];
    assert_eq!(job("far-one").prepares, job("far-two").prepares);
    let mounts: Vec<_> =
        job("near").prepares.iter().map(|prepare| prepare.mount.as_str()).collect();
    assert_eq!(mounts, ["/cache", "/fixtures", "/staged/linux-rust/workspace-build"]);
    let fixtures = &catalog[job("near").prepares[1].work];
    assert!(matches!(&fixtures.output, Output::Directory(path) if path.as_str() == "out"));
    assert_eq!(fixtures.spec.workspace, Workspace::Writable);
    assert_eq!(fixtures.spec.timeout_secs, 14_400);
    let build = &catalog[job("near").prepares[2].work];
    assert_eq!(build.output, Output::StorePath);
    assert_eq!(build.spec.description, "the workspace: workspace_build");
    assert_eq!(job("far-one").needs, [catalog.job("near").expect("there")]);
}

#[test]
fn a_suffixed_id_cannot_be_something_else() {
    let catalog = SHARED.replace("id = \"fixtures\"", "id = \"linux-cache-far\"");
    // The id is asked for at two places, and is what the cache's second node would be called.
    let tree = Tree::new([("ci/forge-lanes.toml", LANE), ("ci/catalog.toml", &catalog)]);
    let diagnostics = tree.load().expect_err("a clash");
    assert!(diagnostics.iter().all(|found| found.code == &codes::CONFLICTING_PREPARE));
}

#[test]
fn two_outputs_cannot_be_at_one_place() {
    let catalog = SHARED.replace("mount = \"/fixtures\"", "mount = \"/cache\"");
    let tree = Tree::new([("ci/forge-lanes.toml", LANE), ("ci/catalog.toml", &catalog)]);
    let diagnostics = tree.load().expect_err("a clash");
    assert!(diagnostics.iter().all(|found| found.code == &codes::INVALID_COMBINATION));
}

#[test]
fn reordering_and_reformatting_define_the_same() {
    let before = pair(LANE, SHARED);
    let (head, jobs) = SHARED.split_once("[[targets.jobs]]").expect("jobs");
    let mut jobs: Vec<&str> = jobs.split("[[targets.jobs]]").collect();
    jobs.reverse();
    let shuffled = format!("{head}[[targets.jobs]]{}", jobs.join("\n# a note\n[[targets.jobs]]\n"));
    let lane = "version = 1\nbranch.lanes = [{ target = 'unit', id = 'unit' }]\n";
    let after = pair(lane, &shuffled);
    let definitions = |catalog: &Catalog| {
        let lane = catalog.lane("unit").expect("there");
        format!("{:?}", catalog.definitions(lane))
    };
    assert_eq!(definitions(&before), definitions(&after));

    let changed = pair(LANE, &SHARED.replace("timeout_secs = 60", "timeout_secs = 61"));
    let lane = before.lane("unit").expect("there");
    let (before, after) = (before.definitions(lane), changed.definitions(lane));
    assert_eq!(before.len(), 3);
    for (id, definition) in before {
        assert_ne!(Some(&definition), after.get(id), "{id}");
    }
}

#[test]
fn a_profile_of_the_target_goes_before_that_of_the_base() {
    let catalog = pair(
        LANE,
        &SHARED
            .replace("timeout_secs = 60", "timeout_secs = 60\nsnapshot_profile = \"full\"")
            .replace("prepare_node_prefix", "snapshot_profile = \"small\"\nprepare_node_prefix")
            .replace(
                "[hosts.far]",
                "[snapshot_profiles.small]\nexclude = [\"b/**\", \"a/**\"]\n[hosts.far]",
            ),
    );
    let spec = &catalog[catalog.job("near").expect("there")].spec;
    let profile = spec.snapshot_profile.as_ref().expect("the target's");
    assert_eq!(profile.name.as_str(), "small");
    assert_eq!(profile.exclude, ["a/**", "b/**"], "sorted: their order means nothing");
}

#[test]
fn derived_paths_join_the_filter_and_the_index() {
    let mut catalog = pair(
        "version = 1\n[[branch.lanes]]\nid = \"unit\"\ntarget = \"unit\"\n\
         inputs = { cargo = [\"app\"], npm = [\"web\"] }\n",
        UNIT,
    );
    let lane = catalog.lane("unit").expect("there");
    assert_eq!(catalog[lane].inputs.of(lanes::PackageKind::Cargo)[0].0, "app");
    assert_eq!(catalog[lane].filter.paths.as_deref().map(<[_]>::len), Some(0), "not always");
    catalog.add_derived_path(lane, "crates/media/**", "app -> media").expect("a good glob");
    let mut hits = Vec::new();
    catalog.globs().matches(b"crates/media/src/lib.rs", false, &mut hits);
    assert_eq!(catalog.owners(hits[0]), [GlobOwner::LanePaths(lane)]);
    assert!(catalog.add_derived_path(lane, "/x", "").is_err());
}

#[test]
fn one_mistake_is_told_once() {
    refused(
        "version = 1\n[[branch.lanes]]\nid = \"unit\"\ntarget = \"unit\"\nneeds = []\n",
        &UNIT.replace(
            "base = \"host_local\"\ntimeout_secs = 60\ncommand = [\"./doc\"]",
            "base = \"host\"\ncommand = [\"./doc\"]",
        ),
        &codes::UNKNOWN_BASE,
        "`host`",
    );
    // A job that could not be read is not also unknown.
    refused(
        LANE,
        &format!("{UNIT}\nneeds = [\"lost\"]\n[[targets.jobs]]\nid = 1\nbase = \"host_local\"\n"),
        &codes::WRONG_TYPE,
        "`id`",
    );
    refused(LANE, &UNIT.replace("version = 1", "version = 9"), &codes::UNSUPPORTED_VERSION, "9");
    refused(
        &format!("{LANE}paths = [\"@gone\"]\nexclude = [\"x/\"]\n").replace("\"@gone\"", ""),
        UNIT,
        &codes::BAD_GLOB,
        "`x/`",
    );
}

#[test]
fn sets_that_grow_without_end_are_refused() {
    let sets: Vec<String> = (0..400)
        .map(|number| {
            let globs: Vec<String> = (0..200).map(|glob| format!("\"d{number}/{glob}\"")).collect();
            let inner = if number == 0 { String::new() } else { format!(", \"@s{}\"", number - 1) };
            format!("s{number} = [{}{inner}]\n", globs.join(", "))
        })
        .collect();
    let manifest = format!(
        "version = 1\n[path_sets]\n{}[[branch.lanes]]\nid = \"unit\"\ntarget = \"unit\"\n",
        sets.concat()
    );
    refused(&manifest, UNIT, &codes::BAD_VALUE, "path sets");
}

#[test]
fn a_scenario_of_the_trigger_manual_is_refused() {
    let found = lanes::read_scenario("s.toml", "trigger = \"manual\"\nwords = \"w\"\n");
    let found = found.expect_err("it could run nothing");
    assert!(found.iter().any(|it| it.message.contains("only what flags name")), "{found}");
    for trigger in ["branch", "nightly"] {
        let text = format!("trigger = \"{trigger}\"\nwords = \"w\"\n");
        lanes::read_scenario("s.toml", &text).expect(trigger);
    }
}
