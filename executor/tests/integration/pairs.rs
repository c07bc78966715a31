//! The six pairs of placement and runtime: one scenario becomes a test in each of them.

use std::process::Command;

use plans::Node;

use crate::{
    harness::{World, node_id, sh},
    incus::{Site, contained, remote},
    remote::Far,
    tart::{Mac, guest},
};

/// A world with what one of the pairs needs.
pub(crate) enum Pair {
    Process(World),
    ProcessOfHost(Far),
    Instance(Site),
    InstanceOfHost(Site),
    Guest(Mac),
    GuestOfHost(Mac),
}

impl Pair {
    pub(crate) fn world(&self) -> &World {
        match self {
            Self::Process(world) => world,
            Self::ProcessOfHost(far) => &far.world,
            Self::Instance(site) | Self::InstanceOfHost(site) => &site.world,
            Self::Guest(mac) | Self::GuestOfHost(mac) => &mac.world,
        }
    }

    /// A node of this pair that runs a script.
    pub(crate) fn node(&self, id: &str, script: &str) -> Node {
        let instance = || Node { id: node_id(id), ..contained(script) };
        match self {
            Self::Process(_) => sh(id, script, &[]),
            Self::ProcessOfHost(far) => far.node(id, script, &[]),
            Self::Instance(_) => instance(),
            Self::InstanceOfHost(site) => {
                let mut node = instance();
                node.spec.placement = remote(site, "testbed-host");
                node
            }
            Self::Guest(_) => guest(id, script, &[]),
            Self::GuestOfHost(mac) => mac.at(guest(id, script, &[])),
        }
    }

    /// The program, with what it needs to get there.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        match self {
            Self::Process(world) => world.command(arguments),
            Self::ProcessOfHost(far) => far.command(arguments),
            Self::Instance(site) | Self::InstanceOfHost(site) => site.command(arguments),
            Self::Guest(mac) | Self::GuestOfHost(mac) => mac.command(arguments),
        }
    }

    /// A file of a node in the newest run.
    pub(crate) fn file(&self, node: &str, name: &str) -> Vec<u8> {
        let run = self.world().runs().pop().expect("a run");
        std::fs::read(run.join("nodes").join(node).join(name)).unwrap_or_default()
    }
}

/// Makes a module of six tests of each scenario, a function that takes a `&Pair`.
macro_rules! in_all_pairs {
    ($($name:ident => $scenario:path;)*) => { $(mod $name {
        use crate::{harness::World, incus::Site, pairs::Pair, remote::Far, tart::Mac};

        fn check(pair: Option<Pair>) {
            if let Some(pair) = pair {
                $scenario(&pair);
            }
        }

        #[test]
        fn in_a_process_here() { check(Some(Pair::Process(World::new()))) }
        #[test]
        fn in_a_process_of_a_host() { check(Far::new("").map(Pair::ProcessOfHost)) }
        #[test]
        fn in_an_instance() { check(Site::new().map(Pair::Instance)) }
        #[test]
        fn in_an_instance_of_a_host() {
            check(Site::with(&["incus", "sshd"]).map(Pair::InstanceOfHost))
        }
        #[test]
        fn in_a_virtual_machine() { check(Mac::new().map(Pair::Guest)) }
        #[test]
        fn in_a_virtual_machine_of_a_host() { check(Mac::far().map(Pair::GuestOfHost)) }
    })* };
}
pub(crate) use in_all_pairs;
