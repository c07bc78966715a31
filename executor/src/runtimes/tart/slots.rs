//! Who has the machine's slots for guests, as its own records say. Takes nothing and frees nothing.

use super::host::{Slot, TartHost};
use crate::{
    fault::Fault,
    locks::{Holder, Holding, Resource, holders::Standing},
    placements::Machine,
};

/// How many macOS guests run on a machine at most: Apple's licence and the Virtualization framework say so.
const SLOTS: u32 = 2;

/// Returns the slots of a machine that is known to have guests, the free ones too.
///
/// # Errors
///
/// When its records are not to be trusted or cannot be read.
pub fn slots(machine: &dyn Machine) -> Result<Vec<Holding>, Fault> {
    let taken = TartHost { machine }.slots()?;
    let slot = |number| taken.iter().find(|slot| slot.number == number);
    Ok((0..SLOTS).map(|number| holding(number, slot(number))).collect())
}

fn holding(number: u32, slot: Option<&Slot>) -> Holding {
    let resource = Resource::Guest(number);
    let Some(slot) = slot else {
        let holder = Holder::default();
        return Holding { resource, standing: Standing::Free, holder, lease_left: None };
    };
    // A guest that nobody renews any more and that still runs is freed with it, by `gc` or by its own end.
    let standing = if slot.wanted.is_zero() { Standing::Job } else { Standing::Held };
    let holder = match &slot.job {
        Some(job) => Holder::of_job(job),
        None => Holder { node: Some(format!("guest {}", slot.guest)), ..Holder::default() },
    };
    let lease_left = (!slot.wanted.is_zero()).then_some(slot.wanted);
    Holding { resource, standing, holder, lease_left }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervise::JobRef;

    #[test]
    fn a_slot_is_its_jobs_until_nobody_wants_its_guest() {
        let job = JobRef::parse("20260101-000000-000-000000/execute-a.1");
        let slot = |wanted, job| Slot {
            number: 1,
            guest: "forge-lanes-1".to_owned(),
            job,
            wanted: Duration::from_secs(wanted),
        };
        let held = holding(1, Some(&slot(60, job.clone())));
        assert_eq!(
            (held.standing, held.lease_left),
            (Standing::Held, Some(Duration::from_secs(60)))
        );
        assert_eq!(held.holder.node.as_deref(), Some("execute-a"));
        let left = holding(1, Some(&slot(0, job)));
        assert_eq!((left.standing, left.lease_left), (Standing::Job, None));
        assert_eq!(holding(1, Some(&slot(60, None))).holder.in_words(), "guest forge-lanes-1");
        assert_eq!(holding(0, None).standing, Standing::Free);
    }
}
