//! `executor gc`: compares what is there with what is known, and removes what nobody needs.
//!
//! Removes finished runs beyond the newest few, runs that were never born, whatever any run left on
//! a machine and nobody answers for, and source trees of this machine that no kept run was made of.
//! A run that can be resumed is kept; of one that goes, `history` keeps durations and outcomes. Every removal is checked; what stays is said, and is exit
//! code 6.

mod trees;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use plans::{Placement, Plan, Runtime};

use super::{CliContext, caches, history, prepare, results, running};
use crate::{
    cli::Gc,
    error::Error,
    exit_code::Exit,
    files,
    placements::Machines,
    policy,
    record::RunOutcome,
    reporters::{self, Quiet},
    runtimes::{incus, tart},
    state::{RunDir, StateDir},
};

/// What a collection did.
pub(super) struct Collection {
    dry_run: bool,
    removed: usize,
    stays: Vec<String>,
    out: Quiet<std::io::Stdout>,
}

impl Collection {
    /// Removes one thing, or says that it would.
    pub(super) fn take(&mut self, what: &str, remove: impl FnOnce() -> Result<(), String>) {
        self.try_take(what, || remove().map(|()| true));
    }

    /// Says why something stays.
    pub(super) fn stays(&mut self, why: String) {
        self.stays.push(why);
    }

    /// Removes one thing that somebody may take into use meanwhile; `false` says that this happened.
    fn try_take(&mut self, what: &str, remove: impl FnOnce() -> Result<bool, String>) {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let done = if self.dry_run { Ok(true) } else { remove() };
        match done {
            Ok(true) => {
                self.removed += 1;
                self.out.text(&format!("{verb} {what}\n"));
            }
            Ok(false) => {}
            Err(why) => self.stays.push(format!("{what}: {why}")),
        }
    }
}

pub(super) fn run(context: &CliContext, gc: &Gc) -> Result<Exit, Error> {
    let config = context.config()?;
    let state = context.state(&config)?;
    let mut collection =
        Collection { dry_run: gc.dry_run, removed: 0, stays: Vec::new(), out: reporters::stdout() };
    for path in state.staging()? {
        let what = format!("unfinished `{}`", path.display());
        collection.take(&what, || removed(&path));
    }
    let runs = state.runs()?;
    let flags: BTreeMap<_, _> = gc.hosts.iter().cloned().collect();
    let mut placements = BTreeMap::from([("local".to_owned(), Placement::Local)]);
    // Where instances surely were.
    let mut incuses = BTreeSet::new();
    // Where guests of Tart may be.
    let mut tarts = BTreeSet::new();
    for plan in plans_of(&runs) {
        for node in policy::with_site_overrides(&plan, &config, &flags) {
            let placement = node.spec.placement.clone();
            match &node.spec.runtime {
                Runtime::Incus(_) => {
                    incuses.insert(placement.host_name().to_owned());
                }
                Runtime::Tart(_) => {
                    tarts.insert(placement.host_name().to_owned());
                }
                Runtime::HostProcess => {}
            }
            placements.insert(placement.host_name().to_owned(), placement);
        }
    }
    let here = running::machines_config(&state)?;
    let machine_dir = here.machine_dir.clone();
    let machines = Machines::new(here);
    let unfinished: BTreeSet<String> =
        runs.iter().filter(|run| is_unfinished(run)).map(|run| run.id.to_string()).collect();
    let mut kept = 0;
    let mut gone = BTreeSet::new();
    for dir in &runs {
        if collect_run(&state, dir, gc.keep, &mut kept, &mut collection) {
            gone.insert(dir.id.clone());
        }
    }
    // Instances first: they hold the directories that they share with their machine.
    for (host, placement) in &placements {
        if host == "local" || incuses.contains(host) {
            let surely = incuses.contains(host);
            sweep_instances(&machines, placement, surely, &state, &mut collection);
        }
    }
    for placement in placements.values() {
        sweep(&machines, placement, &state, &mut collection);
        free_locks(&machines, placement, &mut collection);
    }
    let is_held =
        |run: &str| runs.iter().any(|dir| dir.id.as_str() == run && dir.holder().is_some());
    let is_unfinished = |run: &str| unfinished.contains(run);
    for name in &tarts {
        let found = machines.open(&placements[name]).and_then(|machine| {
            let runs_dir = state.runs_dir();
            let found = tart::leftovers(&*machine, &runs_dir, &is_held, &is_unfinished)?;
            Ok((machine, found))
        });
        match found {
            Err(fault) => collection.stays.push(format!("what Tart has on `{name}`: {fault}")),
            Ok((machine, found)) => {
                for leftover in found.into_iter().filter(|leftover| !leftover.in_use) {
                    let what = format!("guest `{}` on `{name}`", leftover.name);
                    collection.take(&what, || {
                        tart::remove_leftover(&*machine, &leftover).map_err(|fault| fault.message)
                    });
                }
            }
        }
    }
    for placement in placements.values() {
        // One that does not answer was told above.
        if let Ok(machine) = machines.open(placement) {
            caches::collect(&*machine, &config, &mut collection);
        }
    }
    trees::collect(&machine_dir, &state, &gone, &mut collection);
    results::collect(context, &config, &mut collection)?;
    if collection.removed == 0 && collection.stays.is_empty() {
        reporters::stderr().text("nothing to remove\n");
    }
    if collection.stays.is_empty() {
        Ok(Exit::Done)
    } else {
        Err(Error::Leftovers(collection.stays))
    }
}

/// Returns the plans of runs, each once, as far as they can be read.
pub(super) fn plans_of(runs: &[RunDir]) -> impl Iterator<Item = Plan> {
    let mut seen = BTreeSet::new();
    runs.iter().filter_map(move |dir| {
        let bytes = prepare::read_plan(&dir.plan()).ok()?;
        let (plan, digest) = Plan::from_json(&bytes).ok()?;
        seen.insert(digest).then_some(plan)
    })
}

/// Takes the names of dead holders off the places and groups of one machine, and away the notes of dead waiters.
fn free_locks(machines: &Machines, placement: &Placement, collection: &mut Collection) {
    let name = placement.host_name();
    // A machine that does not answer was named by the sweep before.
    let Ok(machine) = machines.open(placement) else { return };
    let Ok(table) = machine.holders() else { return };
    for (file, what) in table.dead() {
        collection.try_take(&format!("{what} on `{name}`, which is dead"), || {
            machine.free_dead(&file).map_err(|fault| fault.to_string())
        });
    }
}

/// Returns whether the run is one that is not kept.
fn collect_run(
    state: &StateDir,
    dir: &RunDir,
    keep: usize,
    kept: &mut usize,
    collection: &mut Collection,
) -> bool {
    // Held for as long as it is looked at and removed: nobody resumes it meanwhile.
    let Ok(_lock) = dir.lock() else { return false };
    if is_unfinished(dir) {
        return false;
    }
    *kept += 1;
    let goes = *kept > keep;
    if goes {
        collection.take(&format!("run {}", dir.id), || {
            history::remember(state, dir)?;
            removed(dir.path())
        });
    }
    goes
}

/// Returns whether a run can be resumed.
fn is_unfinished(dir: &RunDir) -> bool {
    let outcome = running::read_record(dir).map(|record| record.outcome);
    let unfinished = matches!(outcome, Ok(RunOutcome::Running | RunOutcome::Interrupted));
    unfinished && dir.journal().exists()
}

/// Removes what nobody answers for on one machine.
fn sweep(
    machines: &Machines,
    placement: &Placement,
    state: &StateDir,
    collection: &mut Collection,
) {
    let name = placement.host_name();
    let machine = match machines.open(placement) {
        Ok(machine) => machine,
        Err(fault) => return collection.stays.push(format!("what is on `{name}`: {fault}")),
    };
    match machine.leftovers(None) {
        Err(fault) => collection.stays.push(format!("what is on `{name}`: {fault}")),
        Ok(leftovers) => {
            let mut unwanted = leftovers;
            // A job in an instance is no process of its machine: its run alone says who wants it.
            unwanted.retain(|leftover| !leftover.in_use && !is_wanted(state, &leftover.run));
            for leftover in unwanted {
                let what = format!("{:?} `{}` on `{name}`", leftover.kind, leftover.name);
                collection.take(&what, || {
                    machine.remove_leftover(&leftover).map_err(|fault| fault.to_string())
                });
            }
        }
    }
}

/// Removes instances that nobody answers for, in all projects of one machine's Incus. Without plans
/// that speak of it here, an Incus that does not answer has nothing of ours.
fn sweep_instances(
    machines: &Machines,
    placement: &Placement,
    surely: bool,
    state: &StateDir,
    collection: &mut Collection,
) {
    let name = placement.host_name();
    let found = machines.open(placement).and_then(|machine| {
        let wanted = |run: &str| is_wanted(state, run);
        let found = incus::leftovers(&*machine, &state.runs_dir(), &wanted)?;
        Ok((machine, found))
    });
    match found {
        Err(_) if !surely => {}
        Err(fault) => collection.stays.push(format!("instances on `{name}`: {fault}")),
        Ok((machine, found)) => {
            for left in found.into_iter().filter(|left| !left.leftover.in_use) {
                let what = format!(
                    "instance `{}` of project `{}` on `{name}`",
                    left.leftover.name, left.project
                );
                collection.take(&what, || {
                    incus::remove_leftover(&*machine, &left).map_err(|fault| fault.to_string())
                });
            }
        }
    }
}

/// Returns whether a run is being run, or can be resumed.
fn is_wanted(state: &StateDir, run: &str) -> bool {
    let Ok(runs) = state.runs() else { return true };
    let Some(dir) = runs.into_iter().find(|dir| dir.id.to_string() == run) else { return false };
    let Ok(_lock) = dir.lock() else { return true };
    let outcome = running::read_record(&dir).map(|record| record.outcome);
    matches!(outcome, Ok(RunOutcome::Running | RunOutcome::Interrupted)) && dir.journal().exists()
}

fn removed(path: &Path) -> Result<(), String> {
    files::remove_tree(path).map_err(|error| error.to_string())?;
    if path.symlink_metadata().is_ok() {
        return Err("it is still there".to_owned());
    }
    Ok(())
}
