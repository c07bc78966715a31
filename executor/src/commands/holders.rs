//! `executor holders`: who has the places and groups of machines, and who waits for them. Only looks: the dead are
//! freed by `gc`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::mpsc,
};

use plans::{HostName, Node, Placement, Plan, SshDestination};
use serde::Serialize;

use super::{CliContext, gc, prepare, running};
use crate::{
    config::Config,
    error::Error,
    exit_code::Exit,
    locks::{
        Holder, Holding, Resource, Table, Waiter,
        holders::{Standing, for_people},
    },
    placements::Machines,
    policy, reporters,
    runtimes::tart,
    state::StateDir,
    text::{self, push},
};

/// What a machine has of places and groups.
#[derive(Debug, Serialize)]
pub(crate) struct MachineLocks {
    /// The catalog's name of the host, or `local`.
    pub(crate) machine: String,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Its groups, then its places, then its slots for guests of Tart.
    pub(crate) locks: Vec<LockLine>,
    /// Who waits, the longest first.
    pub(crate) waiters: Vec<WaiterLine>,
}

/// One place or group.
#[derive(Debug, Serialize)]
pub(crate) struct LockLine {
    /// `group`, `place` or `guest`.
    kind: &'static str,
    /// The group's name, the number of the place or of the slot for guests.
    name: String,
    /// How it stands.
    pub(crate) state: Standing,
    #[serde(flatten)]
    pub(crate) holder: Holder,
    /// For how long it has been held.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_ms: Option<u64>,
    /// For how long it is held without a renewal; absent: as long as its process or job lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_left_ms: Option<u64>,
}

/// One who waits.
#[derive(Debug, Serialize)]
pub(crate) struct WaiterLine {
    /// `group NAME` or `a place`.
    pub(crate) waits_for: String,
    #[serde(flatten)]
    pub(crate) holder: Holder,
    /// For how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<u64>,
    /// Whether it is gone.
    pub(crate) dead: bool,
}

/// What may be on a machine, as plans say.
struct Known {
    placement: Placement,
    resources: BTreeSet<Resource>,
    /// Whether it has guests of Tart.
    guests: bool,
}

pub(super) fn run(
    context: &CliContext,
    plan: Option<&Path>,
    hosts: Vec<(HostName, SshDestination)>,
    json: bool,
) -> Result<Exit, Error> {
    #[derive(Serialize)]
    struct Document {
        machines: Vec<MachineLocks>,
    }
    let config = context.config()?;
    let hosts = hosts.into_iter().collect();
    let (state, plans) = match plan {
        Some(plan) => {
            let (plan, _) = Plan::from_json(&prepare::read_plan(plan)?)?;
            // Only a name in what hosts are told: nothing is made there.
            let state =
                context.state(&config).or_else(|_| super::current_dir().map(StateDir::at))?;
            (state, vec![plan])
        }
        None => {
            let state = context.state(&config)?;
            let plans = gc::plans_of(&state.runs()?).collect();
            (state, plans)
        }
    };
    let opened = Machines::new(running::machines_config(&state)?);
    let machines = look(&opened, &config, &plans, &hosts);
    opened.close();
    let unreached = machines.iter().any(|machine| machine.error.is_some());
    let mut out = reporters::stdout();
    if json {
        let text = serde_json::to_string_pretty(&Document { machines }).expect("plain data");
        out.text(&format!("{text}\n"));
    } else {
        out.text(&for_terminal(&machines));
    }
    Ok(if unreached { Exit::Infrastructure } else { Exit::Done })
}

/// Asks this machine and the hosts of plans, all at once.
pub(crate) fn look(
    machines: &Machines,
    config: &Config,
    plans: &[Plan],
    hosts: &BTreeMap<HostName, SshDestination>,
) -> Vec<MachineLocks> {
    let mut known = BTreeMap::new();
    known_of(&mut known, Placement::Local);
    for plan in plans {
        for node in policy::with_site_overrides(plan, config, hosts) {
            let known = known_of(&mut known, node.spec.placement.clone());
            known.resources.extend(resources_of(&node));
            known.guests |= matches!(node.spec.runtime, plans::Runtime::Tart(_));
        }
    }
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for (name, known) in known {
            let sender = sender.clone();
            scope.spawn(move || {
                let table = machines.open(&known.placement).and_then(|machine| {
                    let mut table = machine.holders()?;
                    if known.guests {
                        table.holdings.extend(tart::slots(&*machine)?);
                    }
                    Ok(table)
                });
                let shown = match table {
                    Ok(table) => shown(name, table, known.resources),
                    Err(fault) => MachineLocks {
                        machine: name,
                        error: Some(fault.to_string()),
                        locks: Vec::new(),
                        waiters: Vec::new(),
                    },
                };
                sender.send(shown).expect("it is listened to until the end");
            });
        }
    });
    drop(sender);
    let mut all: Vec<MachineLocks> = answers.into_iter().collect();
    // This machine first.
    all.sort_by_key(|machine| (machine.machine != "local", machine.machine.clone()));
    all
}

fn known_of(known: &mut BTreeMap<String, Known>, placement: Placement) -> &mut Known {
    let name = placement.host_name().to_owned();
    known.entry(name).or_insert_with(|| {
        let places = match &placement {
            Placement::Local => 0,
            Placement::RemoteSsh(host) => host.max_jobs,
        };
        let resources = (0..places).map(Resource::Place).collect();
        Known { placement, resources, guests: false }
    })
}

fn resources_of(node: &Node) -> impl Iterator<Item = Resource> {
    node.concurrency_groups.iter().map(|group| Resource::Group(group.as_str().to_owned()))
}

fn shown(machine: String, table: Table, mut known: BTreeSet<Resource>) -> MachineLocks {
    let Table { mut holdings, waiters } = table;
    for holding in &holdings {
        known.remove(&holding.resource);
    }
    holdings.extend(known.into_iter().map(|resource| Holding {
        resource,
        standing: Standing::Free,
        holder: Holder::default(),
        lease_left: None,
    }));
    holdings.sort_by(|a, b| a.resource.cmp(&b.resource));
    MachineLocks {
        machine,
        error: None,
        locks: holdings.into_iter().map(lock_line).collect(),
        waiters: waiters.into_iter().map(waiter_line).collect(),
    }
}

fn lock_line(holding: Holding) -> LockLine {
    let Holding { resource, standing, holder, lease_left } = holding;
    let (kind, name) = match resource {
        Resource::Group(group) => ("group", group),
        Resource::Place(number) => ("place", number.to_string()),
        Resource::Guest(number) => ("guest", number.to_string()),
    };
    let (held_ms, lease_left_ms) = (holder.held_for().map(millis), lease_left.map(millis));
    LockLine { kind, name, state: standing, holder, held_ms, lease_left_ms }
}

fn waiter_line(waiter: Waiter) -> WaiterLine {
    let Waiter { resource, holder, dead, .. } = waiter;
    WaiterLine { waits_for: resource, waited_ms: holder.held_for().map(millis), holder, dead }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl LockLine {
    /// Returns what it is: `group apple-compile`, `place 0`.
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.kind, text::neutral(&self.name))
    }

    /// Returns how it stands and whose it is, in words.
    pub(crate) fn in_words(&self) -> String {
        if self.state == Standing::Free {
            return "free".to_owned();
        }
        let mut said = format!("{}: {}", self.state.as_str(), self.holder.in_full());
        if let Some(left) = self.lease_left_ms {
            let left = for_people(std::time::Duration::from_millis(left));
            push!(said, ", {left} of its lease left");
        }
        if self.state == Standing::Dead {
            said.push_str("; `executor gc` takes its name off, whoever wants it has it at once");
        }
        said
    }
}

impl WaiterLine {
    /// Returns who waits, in words.
    pub(crate) fn in_words(&self) -> String {
        let mut said = self.holder.in_full();
        if self.dead {
            said.push_str("; it is dead");
        }
        said
    }
}

fn for_terminal(machines: &[MachineLocks]) -> String {
    let mut shown = String::new();
    for machine in machines {
        push!(shown, "{}\n", text::neutral(&machine.machine));
        if let Some(error) = &machine.error {
            push!(shown, "  not known: {}\n", text::neutral(error));
        } else if machine.locks.is_empty() && machine.waiters.is_empty() {
            shown.push_str("  nothing is held\n");
        }
        for lock in &machine.locks {
            push!(shown, "  {}  {}\n", lock.what(), lock.in_words());
        }
        for waiter in &machine.waiters {
            let what = text::neutral(&waiter.waits_for);
            push!(shown, "  {what}  waits: {}\n", waiter.in_words());
        }
    }
    shown
}
