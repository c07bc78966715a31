//! The live display of a terminal: what runs and for how long, and how much is done.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::terminal::{self, Terminal};
use crate::outcome::Outcome;

/// How many running nodes are shown; the rest only counts.
const SHOWN: usize = 12;

/// How many cells the gauge has.
const CELLS: usize = 24;

/// Terminals of fewer columns have no gauge: the numbers beside it would be cut off, or break the line.
const LEAST_COLUMNS: u16 = 60;

/// Bars on standard error.
pub(super) struct Progress {
    bars: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<String, Option<ProgressBar>>,
    failed: usize,
}

impl Default for Progress {
    fn default() -> Self {
        let terminal = Box::new(Terminal::default());
        let target = ProgressDrawTarget::term_like_with_hz(terminal, 10);
        let bars = MultiProgress::with_draw_target(target);
        Self { bars, total: ProgressBar::hidden(), running: BTreeMap::new(), failed: 0 }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

/// Returns how much is done as cells, with what parts them from the numbers; nothing where the terminal is narrow.
fn gauge(done: u64, of: u64, columns: u16) -> String {
    if columns < LEAST_COLUMNS {
        return String::new();
    }
    let full = (done.min(of) as usize * CELLS).checked_div(of as usize).unwrap_or(CELLS);
    format!("{}{} ", "█".repeat(full), "░".repeat(CELLS - full))
}

impl Progress {
    pub(super) fn begin(&mut self, nodes: usize) {
        self.total = self.bars.add(ProgressBar::new(nodes as u64));
        // Asked for at each drawing: a terminal is made wider and narrower while a run goes on.
        let columns = || terminal::size().0;
        let gauge = move |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = to.write_str(&gauge(state.pos(), state.len().unwrap_or(0), columns()));
        };
        let total = style("{elapsed:>11}  {gauge}{pos}/{len}{wide_msg}").with_key("gauge", gauge);
        self.total.set_style(total);
        self.total.enable_steady_tick(Duration::from_millis(500));
    }

    pub(super) fn started(&mut self, node: &str, attempt: u32) {
        let visible = self.running.values().flatten().count();
        let bar = (visible < SHOWN).then(|| {
            let bar = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
            bar.set_style(style("{elapsed:>11}  {wide_msg}"));
            let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            bar.set_message(format!("{node}{again}"));
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        self.running.insert(node.to_owned(), bar);
        self.count();
    }

    /// Shows what a node waits for.
    pub(super) fn waits(&self, node: &str, message: &str) {
        if let Some(Some(bar)) = self.running.get(node) {
            bar.set_message(format!("{node}  {message}"));
        }
    }

    /// Shows that a node goes on after a wait.
    pub(super) fn goes_on(&self, node: &str) {
        if let Some(Some(bar)) = self.running.get(node) {
            bar.set_message(node.to_owned());
        }
    }

    pub(super) fn paused(&mut self, node: &str) {
        if let Some(Some(bar)) = self.running.remove(node) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.count();
    }

    pub(super) fn finished(&mut self, node: &str, outcome: Outcome) {
        self.failed += usize::from(outcome >= Outcome::InfraFailed);
        self.total.inc(1);
        self.paused(node);
    }

    fn count(&self) {
        let failed =
            if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        self.total.set_message(format!("  {} running{failed}", self.running.len()));
    }

    /// Lets `write` write above the bars.
    pub(super) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }

    pub(super) fn clear(self) {
        self.total.finish_and_clear();
        // A terminal that is gone has nothing to clear.
        let _ = self.bars.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_full_at_the_end_and_left_out_where_it_has_no_room() {
        assert_eq!(gauge(0, 15, 80), format!("{} ", "░".repeat(24)));
        assert_eq!(gauge(5, 15, 80), format!("{}{} ", "█".repeat(8), "░".repeat(16)));
        assert_eq!(gauge(15, 15, 60), format!("{} ", "█".repeat(24)));
        assert_eq!(gauge(0, 0, 60), format!("{} ", "█".repeat(24)));
        assert_eq!(gauge(5, 15, 59), "");
    }
}
