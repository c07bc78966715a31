//! The worked example says what the field says.

use lanes::{Catalog, JobOwner, Work};

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
