//! What goes first, and how long the next attempt waits.

use std::{cmp::Reverse, time::Duration};

use super::Task;

/// Returns how long to wait before the next attempt: doubling from half a second to half a minute,
/// and between half of that and all of it by chance, so that tasks that failed together do not
/// come back together.
pub(super) fn backoff(failures: u32, chance: u16) -> Duration {
    let full = 500u64.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(30_000);
    Duration::from_millis(full / 2 + full / 2 * u64::from(chance) / u64::from(u16::MAX))
}

pub(super) fn index(position: usize) -> u32 {
    u32::try_from(position).expect("a plan holds fewer than 2^32 nodes")
}

/// Orders tasks by the longest path that begins with them, then by position. A path is as long as its tasks usually
/// take together; one of which that is not known counts as the middle one of those that are, and where none is, each
/// counts alike: what is left is how many tasks wait in a row. One that is not to run takes no time.
pub(super) fn rank(tasks: &[Task], dependents: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut known: Vec<u64> =
        tasks.iter().filter(|task| task.selected).filter_map(|task| task.usual_ms).collect();
    known.sort_unstable();
    let otherwise = known.get(known.len() / 2).copied().unwrap_or(1);
    let mut paths = vec![0u64; dependents.len()];
    for task in (0..dependents.len()).rev() {
        let behind = dependents[task].iter().map(|&d| paths[d as usize]).max().unwrap_or(0);
        let own = match &tasks[task] {
            // A task that takes no time is still one more that waits in the row.
            Task { selected: true, usual_ms, .. } => usual_ms.unwrap_or(otherwise).max(1),
            _ => 0,
        };
        paths[task] = behind.saturating_add(own);
    }
    let mut by_rank: Vec<u32> = (0..index(dependents.len())).collect();
    by_rank.sort_by_key(|&task| (Reverse(paths[task as usize]), task));
    let mut ranks = vec![0u32; dependents.len()];
    for (rank, &task) in by_rank.iter().enumerate() {
        ranks[task as usize] = index(rank);
    }
    (by_rank, ranks)
}
