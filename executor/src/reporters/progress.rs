//! The live display of a terminal: what runs and for how long, and how much is done.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::outcome::Outcome;

/// How many running nodes are shown; the rest only counts.
const SHOWN: usize = 12;

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

impl Progress {
    pub(super) fn begin(&mut self, nodes: usize) {
        self.total = self.bars.add(ProgressBar::new(nodes as u64));
        self.total.set_style(style("{elapsed:>11}  {bar:24} {pos}/{len}{wide_msg}"));
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
