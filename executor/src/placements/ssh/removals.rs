//! Attempts on their way out: many threads, one exchange.
//!
//! Removing costs a host little more for many directories than for one. Who comes while some are being removed
//! waits, and goes with all others that wait; everyone hears of his own. How it is done is the supervisor's.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
};

use super::machine::RemoteSsh;
use crate::fault::{FailureKind, Fault};

/// What is to be removed from a host.
#[derive(Debug, Default)]
pub(super) struct Removals {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<String>,
    /// Whether somebody is removing.
    busy: bool,
    removed: BTreeMap<String, Result<(), Fault>>,
}

impl Removals {
    /// Removes everything of an attempt, `RUN/NODE.ATTEMPT`, ending it first if it runs.
    ///
    /// # Errors
    ///
    /// When it is still there, or nobody knows.
    pub(super) fn remove(&self, machine: &RemoteSsh, name: &str) -> Result<(), Fault> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push(name.to_owned());
        loop {
            if let Some(result) = queue.removed.remove(name) {
                return result;
            }
            if queue.busy {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let mut names = std::mem::take(&mut queue.waiting);
            names.sort();
            names.dedup();
            queue.busy = true;
            drop(queue);
            let results = remove_all(machine, &names);
            queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.removed.extend(names.into_iter().zip(results));
            queue.busy = false;
            self.changed.notify_all();
        }
    }
}

fn remove_all(machine: &RemoteSsh, names: &[String]) -> Vec<Result<(), Fault>> {
    let answer = match machine.verb("clear", &format!("{}/runs", machine.work_dir), names) {
        Ok(answer) => answer,
        Err(fault) => return names.iter().map(|_| Err(fault.clone())).collect(),
    };
    let removed = |name: &String| {
        let mut lines = answer.lines().filter(|line| line.split(' ').nth(1) == Some(name));
        match lines.next_back() {
            Some(line) if line.starts_with("removed ") => Ok(()),
            line => {
                let path = Path::new(&machine.work_dir).join("runs").join(name);
                let why = line.and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or(&answer);
                let text = format!(
                    "host `{}`: `{}` cannot be removed: {why}",
                    machine.name,
                    path.display()
                );
                Err(Fault::new(FailureKind::Cleanup, text)
                    .advice("look at who still writes there, then `executor gc`"))
            }
        }
    };
    names.iter().map(removed).collect()
}
