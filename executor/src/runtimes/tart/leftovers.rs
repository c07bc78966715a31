//! What guests were left behind, found by name and record and removed one by one; and whether the
//! machine's Tart does what a job needs.

use std::path::Path;

use super::host::TartHost;
use crate::{
    fault::{FailureKind, Fault},
    placements::{Check, Leftover, LeftoverKind, Machine},
    state::owner,
};

/// Lists guests of ours. One of this state directory is in use while `is_held` says that somebody
/// is at its run, or while it may still be resumed and is not lapsed; one of another, until it is
/// lapsed.
///
/// # Errors
///
/// When tart does not answer.
pub fn leftovers(
    machine: &dyn Machine,
    runs_dir: &Path,
    is_held: &dyn Fn(&str) -> bool,
    is_unfinished: &dyn Fn(&str) -> bool,
) -> Result<Vec<Leftover>, Fault> {
    let us = owner(runs_dir);
    let all = TartHost { machine }.list()?;
    Ok(all
        .into_iter()
        .map(|guest| {
            let in_use = if guest.owner == us {
                is_held(&guest.run) || (is_unfinished(&guest.run) && guest.is_wanted)
            } else {
                guest.is_wanted
            };
            Leftover {
                kind: LeftoverKind::VirtualMachine,
                run: guest.run,
                name: guest.name,
                in_use,
            }
        })
        .collect())
}

/// Removes a guest that [`leftovers`] listed, and checks that it is gone.
///
/// # Errors
///
/// When it is still there, or its record is not.
pub fn remove_leftover(machine: &dyn Machine, leftover: &Leftover) -> Result<(), Fault> {
    let host = TartHost { machine };
    let mut recorded = host.list()?.into_iter();
    let recorded = recorded.find(|it| it.name == leftover.name && it.run == leftover.run);
    let Some(recorded) = recorded else {
        return Err(Fault::new(
            FailureKind::Cleanup,
            format!("guest `{}` has no record of ours any more", leftover.name),
        ));
    };
    host.remove(&recorded.name, &recorded.owner)
}

/// Looks at what a job of this image needs of the machine's Tart.
///
/// # Errors
///
/// When the machine itself does not answer.
pub fn examine(machine: &dyn Machine, spec: &plans::Tart) -> Result<Vec<Check>, Fault> {
    Ok(vec![match (TartHost { machine }).examine(spec.image.as_str()) {
        Ok(found) => Check {
            ok: true,
            message: format!(
                "tart {} has image `{}`, {} GiB free",
                found.version,
                spec.image,
                found.free >> 30
            ),
            advice: None,
        },
        Err(Fault { message, advice, .. }) => Check { ok: false, message, advice },
    }])
}
