//! The worked example says what the field says.

use lanes::{Catalog, JobOwner, Work};
use plans::{Checkout, Command, Placement, Runtime, Workspace};

use crate::support::Tree;

fn pika() -> Catalog {
    let tree = Tree::new([
        ("ci/forge-lanes.toml", include_str!("../../examples/pika/forge-lanes.toml")),
        ("ci/catalog.toml", include_str!("../../examples/pika/catalog.toml")),
    ]);
    tree.load().unwrap_or_else(|diagnostics| panic!("the example loads:\n{diagnostics}"))
}

#[test]
fn the_example_loads_whole() {
    let catalog = pika();
    assert_eq!(catalog.lanes().len(), 15);
    assert_eq!(catalog.targets().len(), 33);
    let own = |job: &&lanes::Job| matches!(job.owner, JobOwner::Target(_));
    assert_eq!(catalog.jobs().iter().filter(own).count(), 43);
    assert_eq!(catalog.targets().iter().filter(|it| it.staged_linux.is_some()).count(), 9);
    let commands = catalog.lanes().iter().filter(|lane| matches!(lane.work, Work::Command(_)));
    assert_eq!(commands.count(), 6);
}

/// The rows of a table without its header, each as its fields.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).map(|line| line.split('\t').collect())
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Every job as the table has it: a flag that flips for one job is a row that differs.
#[test]
fn every_job_is_as_the_field_has_it() {
    let catalog = pika();
    let mut expected = 0;
    for row in rows(include_str!("../pika/jobs.tsv")) {
        expected += 1;
        let job = &catalog[catalog.job(row[0]).unwrap_or_else(|| panic!("no job {}", row[0]))];
        let spec = &job.spec;
        let (command, text, as_root) = match &spec.command {
            Command::Staged(path) => ("staged", path.as_str(), false),
            Command::Shell { script, as_root } => ("shell", script.as_str(), *as_root),
            other => panic!("{}: {other:?}", job.id),
        };
        let prepares = job.prepares.iter().map(|prepare| catalog[prepare.work].id.as_str());
        let prepares: Vec<&str> = prepares.collect();
        let host_setup = job.host_setup.map(|setup| match &catalog[setup].spec.command {
            Command::Shell { script, as_root: false } => script.clone(),
            other => panic!("{}: {other:?}", job.id),
        });
        let found = [
            job.id.as_str(),
            &spec.timeout_secs.to_string(),
            spec.placement.kind().as_str(),
            spec.runtime.kind().as_str(),
            yes(spec.workspace == Workspace::Writable),
            yes(spec.mount_host_rust_toolchain),
            yes(as_root),
            &or_dash(prepares.join(" ")),
            &or_dash(host_setup.unwrap_or_default()),
            command,
            text,
        ];
        assert_eq!(found.as_slice(), row, "{}", job.id);
        for prepare in &job.prepares {
            assert_eq!(catalog[prepare.work].spec.placement, spec.placement, "{}", job.id);
        }
        assert!(spec.snapshot_profile.is_some(), "{}", job.id);
    }
    let own = catalog.jobs().iter().filter(|job| matches!(job.owner, JobOwner::Target(_)));
    assert_eq!(own.count(), expected);
}

#[test]
fn every_target_is_as_the_field_has_it() {
    let catalog = pika();
    let mut expected = 0;
    for row in rows(include_str!("../pika/targets.tsv")) {
        expected += 1;
        let target = catalog.target(row[0]).unwrap_or_else(|| panic!("no target {}", row[0]));
        let target = &catalog[target];
        let mut jobs: Vec<&str> = target.jobs.iter().map(|&job| catalog[job].id.as_str()).collect();
        jobs.sort_unstable();
        let paths = target.filter.as_ref().map(|filter| {
            let paths = filter.paths.iter().flatten();
            paths.map(|used| catalog.globs().text(used.glob)).collect::<Vec<_>>().join(" ")
        });
        let staged = target.staged_linux.as_ref();
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let installables = staged.map(|staged| {
            let mut list: Vec<_> =
                staged.payloads.iter().map(|payload| payload.nix_installable.as_str()).collect();
            list.sort_unstable();
            list.join(" ")
        });
        let found = [
            target.id.as_str().to_owned(),
            text(staged.and_then(|it| Some(it.snapshot_profile.as_ref()?.to_string()))),
            text(staged.map(|it| it.prepare_node_prefix.clone())),
            text(staged.and_then(|it| it.workspace_output_system.clone())),
            text(staged.and_then(|it| it.shadow_recipe.clone())),
            text(installables),
            jobs.join(" "),
            text(paths),
        ];
        assert_eq!(found.as_slice(), row, "{}", target.id);
    }
    assert_eq!(catalog.targets().len(), expected);
}

/// Two targets share a prefix: their payloads are the same two nodes.
#[test]
fn shared_payloads_are_one_node_each() {
    let catalog = pika();
    let of = |job: &str| &catalog[catalog.job(job).expect("a job of the example")].prepares;
    assert_eq!(of("pikachat-package-tests"), of("pikachat-typescript"));
    assert_eq!(catalog.prepares().len(), 8 * 2);
    assert_eq!(catalog.host_setups().len(), 1);
    for prepare in catalog.prepares() {
        assert!(matches!(prepare.spec.command, Command::NixBuild { .. }), "{}", prepare.id);
    }
}

#[test]
fn a_lane_with_its_own_command_is_a_local_process_in_a_clone() {
    let catalog = pika();
    let spec = &catalog[catalog.job("apple_host_sanity").expect("a lane of the example")].spec;
    assert_eq!(spec.placement, Placement::Local);
    assert_eq!(spec.runtime, Runtime::HostProcess);
    assert_eq!(spec.timeout_secs, 14_400);
    assert_eq!(spec.workspace, Workspace::Writable);
    assert_eq!(spec.checkout, Checkout::Clone);
    assert_eq!(spec.snapshot_profile, None);
}
