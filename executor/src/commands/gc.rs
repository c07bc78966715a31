//! `executor gc`: compares what is there with what is known, and removes what nobody needs.
//!
//! Removes finished runs beyond the newest few, runs that were never born, and whatever any run
//! left on a machine and nobody answers for. A run that can be resumed is kept. Every removal is
//! checked; what stays is said, and is exit code 6.

use std::{collections::BTreeMap, path::Path};

use plans::{Placement, Plan};

use super::{Place, prepare, running};
use crate::{
    cli::Gc,
    error::Error,
    exit_code::Exit,
    files,
    placements::Machines,
    policy,
    record::RunOutcome,
    reporters::{self, Quiet},
    state::RunDir,
};

/// What a collection did.
struct Collection {
    dry_run: bool,
    removed: usize,
    stays: Vec<String>,
    out: Quiet<std::io::Stdout>,
}

impl Collection {
    /// Removes one thing, or says that it would.
    fn take(&mut self, what: &str, remove: impl FnOnce() -> Result<(), String>) {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let done = if self.dry_run { Ok(()) } else { remove() };
        match done {
            Ok(()) => {
                self.removed += 1;
                self.out.text(&format!("{verb} {what}\n"));
            }
            Err(why) => self.stays.push(format!("{what}: {why}")),
        }
    }
}

pub(super) fn run(place: &Place, gc: &Gc) -> Result<Exit, Error> {
    let config = place.config()?;
    let state = place.state(&config)?;
    let mut collection =
        Collection { dry_run: gc.dry_run, removed: 0, stays: Vec::new(), out: reporters::stdout() };
    for path in state.unborn()? {
        let what = format!("unfinished `{}`", path.display());
        collection.take(&what, || removed(&path));
    }
    let runs = state.runs()?;
    let flags: BTreeMap<_, _> = gc.hosts.iter().cloned().collect();
    let mut placements = BTreeMap::from([("local".to_owned(), Placement::Local)]);
    for dir in &runs {
        let Ok(bytes) = prepare::read_plan(&dir.plan()) else { continue };
        let Ok((plan, _)) = Plan::from_json(&bytes) else { continue };
        for node in policy::sited(&plan, &config, &flags) {
            let placement = node.spec.placement.clone();
            placements.insert(placement.host_name().to_owned(), placement);
        }
    }
    let machines = Machines::new(running::machines_config(&state)?);
    let mut kept = 0;
    for dir in &runs {
        collect_run(dir, gc.keep, &mut kept, &mut collection);
    }
    for placement in placements.values() {
        sweep(&machines, placement, &mut collection);
    }
    if collection.removed == 0 && collection.stays.is_empty() {
        reporters::stderr().text("nothing to remove\n");
    }
    if collection.stays.is_empty() {
        Ok(Exit::Done)
    } else {
        Err(Error::Leftovers(collection.stays))
    }
}

fn collect_run(dir: &RunDir, keep: usize, kept: &mut usize, collection: &mut Collection) {
    // Held for as long as it is looked at and removed: nobody resumes it meanwhile.
    let Ok(_lock) = dir.lock() else { return };
    let outcome = running::read_record(dir).map(|record| record.outcome);
    let unfinished = matches!(outcome, Ok(RunOutcome::Running | RunOutcome::Interrupted));
    if unfinished && dir.journal().exists() {
        return;
    }
    *kept += 1;
    if *kept > keep {
        collection.take(&format!("run {}", dir.id), || removed(dir.path()));
    }
}

/// Removes what nobody answers for on one machine.
fn sweep(machines: &Machines, placement: &Placement, collection: &mut Collection) {
    let name = placement.host_name();
    let machine = match machines.open(placement) {
        Ok(machine) => machine,
        Err(fault) => return collection.stays.push(format!("what is on `{name}`: {fault}")),
    };
    match machine.leftovers(None) {
        Err(fault) => collection.stays.push(format!("what is on `{name}`: {fault}")),
        Ok(leftovers) => {
            for leftover in leftovers.into_iter().filter(|leftover| !leftover.in_use) {
                let what = format!("{:?} `{}` on `{name}`", leftover.kind, leftover.name);
                collection.take(&what, || {
                    machine.remove_leftover(&leftover).map_err(|fault| fault.to_string())
                });
            }
        }
    }
}

fn removed(path: &Path) -> Result<(), String> {
    files::remove_tree(path).map_err(|error| error.to_string())?;
    if path.symlink_metadata().is_ok() {
        return Err("it is still there".to_owned());
    }
    Ok(())
}
