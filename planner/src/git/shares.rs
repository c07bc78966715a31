//! Work on many objects, shared by a few threads.
//!
//! Says nothing about what the work is, nor from how much on it is worth sharing.

use std::{panic, thread};

/// The most threads that share: more wait for the same disk.
const MOST: usize = 4;

/// Does work in as many shares as there are processors, and returns what came of each, in no particular order. A panic of one
/// is a panic of all.
pub(super) fn in_shares<T: Send, R: Send>(
    mut work: Vec<T>,
    each: impl Fn(Vec<T>) -> R + Sync,
) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let share = work.len().div_ceil(threads);
    let mut shares = Vec::with_capacity(threads);
    while work.len() > share {
        shares.push(work.split_off(work.len() - share));
    }
    let each = &each;
    thread::scope(|scope| {
        let others: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || each(share))).collect();
        let mut done = vec![each(work)];
        for other in others {
            done.push(other.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        done
    })
}
