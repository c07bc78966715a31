//! When a job's lease is renewed, whoever supervises it: one rule for hosts and guests.
//!
//! A job that was taken up again is renewed at once, since what is left of its lease is not known; one that was
//! started just now has all of it. Then every third of the lease, however often connections break meanwhile. A
//! renewal that failed is tried again soon. Owns the times only; saying so is the follower's.

use std::time::{Duration, Instant};

/// The times of one job's renewals.
#[derive(Debug)]
pub(crate) struct Renewal {
    lease: Duration,
    /// Absent: the job has no lease.
    due: Option<Instant>,
}

impl Renewal {
    /// Of a job that was started just now.
    pub(crate) fn of_started(lease: Duration, now: Instant) -> Self {
        Self { lease, due: (!lease.is_zero()).then(|| now + lease / 3) }
    }

    /// Of a job that another process, or an earlier try, started.
    pub(crate) fn of_resumed(lease: Duration, now: Instant) -> Self {
        Self { lease, due: (!lease.is_zero()).then_some(now) }
    }

    /// Returns when the next one is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether it is time.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Remembers that it was tried.
    pub(crate) fn tried(&mut self, succeeded: bool, now: Instant) {
        let most = if succeeded { self.lease / 3 } else { self.lease / 12 };
        let again = if succeeded { most } else { most.min(Duration::from_secs(5)) };
        self.due = self.due.map(|_| now + again.max(Duration::from_millis(100)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(900);

    #[test]
    fn a_job_taken_up_again_is_renewed_at_once_and_then_every_third() {
        let now = Instant::now();
        let mut renewal = Renewal::of_resumed(LEASE, now);
        assert!(renewal.is_due(now));
        renewal.tried(true, now);
        assert_eq!(renewal.due(), Some(now + LEASE / 3));
        let renewal = Renewal::of_started(LEASE, now);
        assert_eq!(renewal.due(), Some(now + LEASE / 3));
    }

    #[test]
    fn a_renewal_that_failed_is_tried_again_soon() {
        let now = Instant::now();
        let mut renewal = Renewal::of_resumed(LEASE, now);
        renewal.tried(false, now);
        assert_eq!(renewal.due(), Some(now + Duration::from_secs(5)));
    }

    #[test]
    fn without_a_lease_nothing_is_ever_due() {
        let now = Instant::now();
        let mut renewal = Renewal::of_resumed(Duration::ZERO, now);
        renewal.tried(false, now);
        assert!(!renewal.is_due(now + LEASE));
    }
}
