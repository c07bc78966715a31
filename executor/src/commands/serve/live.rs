//! One run as all who look at it share it: its journal is read once for everybody, and each is told what changed since
//! it heard last.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    commands::{prepare, running},
    error::Error,
    event::Event,
    follow::Follower,
    record::{Record, RunOutcome},
    report::{Report, html},
    state::RunDir,
};

/// How often the journal of a run is looked at, however many watch.
const PAUSE: Duration = Duration::from_millis(200);

/// For how long the page of a run that goes on is given again.
const PAGE_AGE: Duration = Duration::from_millis(500);

/// For how many different things that had been heard before the newest news are kept: viewers keep up or are one behind.
const TOLD: usize = 4;

/// A run that is shown.
pub(super) struct Run(Mutex<State>);

struct State {
    dir: RunDir,
    report: Report,
    /// What follows it; absent: it is over, or abandoned.
    follower: Option<(Follower, Vec<bool>)>,
    /// Up to which news it is known. A place in the journal, so that it means the same to the next server; waits add to it.
    news: u64,
    /// Which news changed each node last.
    changed: Vec<u64>,
    looked: Instant,
    drawn: html::Drawn,
    page: Option<Page>,
    /// The newest news as they were told last, by what had been heard before: the same for all who heard that.
    told: Vec<(Option<u64>, Arc<News>)>,
}

/// The page as it was made last.
struct Page {
    made: Instant,
    /// Whether the run was over.
    over: bool,
    bytes: Arc<[u8]>,
    /// What it may do.
    policy: String,
}

/// What changed since somebody heard last.
pub(super) struct News {
    /// Up to here.
    pub(super) number: u64,
    /// The nodes, as the page takes them; absent: none changed.
    pub(super) nodes: Option<String>,
    /// The head, as the page takes it.
    pub(super) head: String,
    /// Whether there will be no more.
    pub(super) over: bool,
}

impl Run {
    /// Opens a run, over or not.
    pub(super) fn open(dir: RunDir) -> Result<Self, Error> {
        let nodes_dir = dir.path().join("nodes");
        let plan = prepare::read_plan(&dir.plan())
            .ok()
            .and_then(|bytes| plans::Plan::from_json(&bytes).ok());
        let plan = plan.map(|(plan, _)| plan);
        let (report, follower) = match (Record::read(&dir.record()), &plan) {
            (Err(_), Some(plan)) if dir.holder().is_some() => {
                let mut follower = Follower::new(dir.clone(), plan.clone());
                follower.events().map_err(|error| error.of_run(&dir))?;
                let selected = prepare::select(plan, follower.only())?;
                let mut record = follower.record(&selected);
                running::tell_waiting(&mut record, &dir);
                let follower = Some((follower, selected));
                (Report::new(record, Some(plan.clone()), nodes_dir), follower)
            }
            (Ok(record), _) => (Report::new(record, plan, nodes_dir), None),
            (Err(_), _) => (Report::new(running::read_record(&dir)?, plan, nodes_dir), None),
        };
        let news = follower.as_ref().map_or(0, |(follower, _)| follower.read());
        let changed = vec![news; report.record.nodes.len()];
        let looked = Instant::now();
        Ok(Self(Mutex::new(State {
            dir,
            report,
            follower,
            news,
            changed,
            looked,
            drawn: html::Drawn::default(),
            page: None,
            told: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether more may happen to it.
    pub(super) fn goes_on(&self) -> bool {
        let mut state = self.state();
        state.look();
        state.follower.is_some()
    }

    /// Returns whether somebody has to look anew: nothing follows it any more, and it may have been taken up again and
    /// written its record since.
    pub(super) fn is_stale(&self) -> bool {
        let mut state = self.state();
        state.look();
        let unsettled = [RunOutcome::Interrupted, RunOutcome::Running];
        state.follower.is_none() && unsettled.contains(&state.report.record.outcome)
    }

    /// Returns the record as it stands.
    pub(super) fn record(&self) -> Record {
        let mut state = self.state();
        state.look();
        state.report.record.clone()
    }

    /// Returns whether the run has such a node.
    pub(super) fn has_node(&self, id: &str) -> bool {
        self.state().report.record.nodes.iter().any(|node| node.id == id)
    }

    /// Returns the nodes' ids in order.
    pub(super) fn nodes(&self) -> Vec<String> {
        self.state().report.record.nodes.iter().map(|node| node.id.clone()).collect()
    }

    /// Returns the page and what it may do. Made once for all who ask within [`PAGE_AGE`]: it says up to which news it tells,
    /// and its script hears what came after.
    pub(super) fn page(&self, base: &str, above: &str, style: &str) -> (Arc<[u8]>, String) {
        let mut state = self.state();
        state.look();
        let over = state.follower.is_none();
        if let Some(page) = &state.page
            && page.over == over
            && (over || page.made.elapsed() < PAGE_AGE)
        {
            return (Arc::clone(&page.bytes), page.policy.clone());
        }
        let news = (!over).then_some(state.news);
        let served = html::Served { base, news, above, style };
        let State { report, drawn, .. } = &mut *state;
        let (page, policy) = html::served(report, drawn, &served);
        let bytes: Arc<[u8]> = Arc::from(page.into_bytes());
        // Of the moment when it is there: who waited for it asked before.
        let made = Instant::now();
        state.page = Some(Page { made, over, bytes: Arc::clone(&bytes), policy: policy.clone() });
        (bytes, policy)
    }

    /// Returns what changed after some news; a number that was never given out has heard nothing. Made once for all who
    /// heard the same.
    pub(super) fn news_after(&self, heard: Option<u64>) -> Option<Arc<News>> {
        let mut state = self.state();
        state.look();
        let heard = heard.filter(|heard| *heard <= state.news);
        let over = state.follower.is_none();
        if heard == Some(state.news) && !over {
            return None;
        }
        let now = state.news;
        state.told.retain(|(_, news)| news.number == now && news.over == over);
        if let Some((_, news)) = state.told.iter().find(|(of, _)| *of == heard) {
            return Some(Arc::clone(news));
        }
        let changed: Vec<usize> = (0..state.changed.len())
            .filter(|at| heard.is_none_or(|heard| state.changed[*at] > heard))
            .collect();
        let nodes = (!changed.is_empty()).then(|| html::news_of_nodes(&state.report, &changed));
        let news =
            Arc::new(News { number: now, nodes, head: html::news_of_head(&state.report), over });
        if state.told.len() == TOLD {
            state.told.remove(0);
        }
        state.told.push((heard, Arc::clone(&news)));
        Some(news)
    }
}

impl State {
    /// Reads what the run's executor wrote since, unless that was done just now.
    fn look(&mut self) {
        let Some((follower, selected)) = &mut self.follower else { return };
        if self.looked.elapsed() < PAUSE {
            return;
        }
        self.looked = Instant::now();
        // Asked before reading, so that what was written before the end is not missed.
        let abandoned = self.dir.holder().is_none();
        let Ok(events) = follower.events() else {
            // What cannot be read stays as it was seen last.
            self.follower = None;
            self.news += 1;
            return;
        };
        let over = follower.outcome().is_some() || abandoned;
        if events.is_empty() && !over {
            return;
        }
        self.news = follower.read().max(self.news + 1);
        let plan = follower.plan();
        let mut touched: Vec<usize> =
            events.iter().filter_map(|event| plan.graph().position(node_of(event)?)).collect();
        touched.sort_unstable();
        touched.dedup();
        for task in touched {
            let mut node = follower.node_record(task);
            running::tell_wait(&mut node, &self.dir);
            self.report.record.nodes[task] = node;
            self.changed[task] = self.news;
            self.drawn.forget(task);
        }
        let header = follower.header(selected);
        let nodes = std::mem::take(&mut self.report.record.nodes);
        self.report.record = Record { nodes, ..header };
        if over {
            self.follower = None;
            // It says how the run ended, also where its executor is gone.
            if let Ok(record) = running::read_record(&self.dir) {
                self.changed.fill(self.news);
                self.drawn = html::Drawn::default();
                self.report.record = record;
            }
        }
    }
}

fn node_of(event: &Event) -> Option<&str> {
    match event {
        Event::NodeStarted(it) => Some(&it.node),
        Event::NodeWaiting(it) => Some(&it.node),
        Event::NodeWaited(it) => Some(&it.node),
        Event::NodeRetrying(it) => Some(&it.node),
        Event::NodeFinished(it) => Some(&it.node),
        Event::Warning(it) => it.node.as_deref(),
        Event::RunStarted(_) | Event::RunStopping(_) | Event::RunFinished(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    #[test]
    fn news_are_made_once_for_all_who_heard_the_same() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = StateDir::at(dir.path().to_owned());
        let id = "20260101-000000-000-000000";
        let run = state.runs_dir().join(id);
        std::fs::create_dir_all(&run).expect("writable");
        let record = format!(
            r#"{{"format_version":"1.0","run_id":"{id}","plan_digest":"sha256:0","started_at":"2026-01-01T00:00:00Z","outcome":"passed"}}"#
        );
        std::fs::write(run.join("record.json"), record).expect("writable");
        let dir = state.runs().expect("listed").remove(0);
        let run = Run::open(dir).expect("opened");
        let told = |heard| run.news_after(heard).expect("its end is news");
        let first = told(None);
        assert!(first.over && first.head.contains("Passed"), "{}", first.head);
        assert!(Arc::ptr_eq(&first, &told(None)) && Arc::ptr_eq(&told(Some(0)), &told(Some(0))));
        // A client that claims much keeps nobody's place but its own.
        for heard in 0..100 {
            assert!(told(Some(heard)).over);
        }
        assert!(run.state().told.len() <= TOLD);
    }
}
