//! What goes first, and how long the next attempt waits.

use std::{cmp::Reverse, time::Duration};

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

/// Orders tasks by the longest chain that waits for them, then by position.
pub(super) fn rank(dependents: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut heights = vec![0u32; dependents.len()];
    for task in (0..dependents.len()).rev() {
        let below = dependents[task].iter().map(|&d| heights[d as usize] + 1).max();
        heights[task] = below.unwrap_or(0);
    }
    let mut by_rank: Vec<u32> = (0..index(dependents.len())).collect();
    by_rank.sort_by_key(|&task| (Reverse(heights[task as usize]), task));
    let mut ranks = vec![0u32; dependents.len()];
    for (rank, &task) in by_rank.iter().enumerate() {
        ranks[task as usize] = index(rank);
    }
    (by_rank, ranks)
}
