//! Many threads, one exchange: a question that costs little more for many names than for one.
//!
//! A request that comes while one is under way waits, and goes with all others that wait; each gets its own answer.
//! What is asked, and of whom, is the caller's.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, PoisonError},
};

/// Questions of one kind to one machine, each about a name, `K`; `R` is the answer about one.
#[derive(Debug)]
pub(crate) struct Batch<R, K = String> {
    queue: Mutex<Queue<R, K>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue<R, K> {
    waiting: Vec<K>,
    /// Whether somebody asks.
    busy: bool,
    answers: BTreeMap<K, R>,
}

impl<R, K> Default for Batch<R, K> {
    fn default() -> Self {
        let queue = Queue { waiting: Vec::new(), busy: false, answers: BTreeMap::new() };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }
}

impl<R, K: Ord + Clone> Batch<R, K> {
    /// Returns the answer about `name`, which nobody else asks about at the same time. `all` asks about many
    /// names, sorted, and answers in their order; it may be asked by another thread than its own.
    pub(crate) fn ask(&self, name: K, all: impl Fn(&[K]) -> Vec<R>) -> R {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push(name.clone());
        loop {
            if let Some(answer) = queue.answers.remove(&name) {
                return answer;
            }
            if queue.busy {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let mut names = std::mem::take(&mut queue.waiting);
            names.sort();
            queue.busy = true;
            drop(queue);
            let answers = all(&names);
            queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.answers.extend(names.into_iter().zip(answers));
            queue.busy = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn everyone_hears_of_his_own_name_and_who_waits_goes_together() {
        let batch = Batch::default();
        let exchanges = AtomicUsize::new(0);
        let together = Barrier::new(20);
        thread::scope(|scope| {
            for number in 0..20 {
                let (batch, exchanges, together) = (&batch, &exchanges, &together);
                scope.spawn(move || {
                    together.wait();
                    let name = format!("n{number}");
                    let answer = batch.ask(name.clone(), |names| {
                        exchanges.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(50));
                        names.iter().map(|name| format!("{name}!")).collect()
                    });
                    assert_eq!(answer, format!("n{number}!"));
                });
            }
        });
        let exchanges = exchanges.into_inner();
        assert!((1..20).contains(&exchanges), "{exchanges} exchanges");
    }
}
