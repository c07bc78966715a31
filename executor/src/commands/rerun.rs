//! `executor rerun`: the plan of a run, again, as a new run.

use std::collections::BTreeSet;

use super::{
    CliContext,
    prepare::{self, Wanted},
    running::{self, Repeats},
};
use crate::{cli::Rerun, error::Error, exit_code::Exit};

pub(super) fn run(context: &CliContext, rerun: &Rerun) -> Result<Exit, Error> {
    let config = context.config()?;
    let state = context.state(&config)?;
    let dir = state.find(Some(&rerun.run))?;
    let bytes = prepare::read_plan(&dir.plan())?;
    let (plan, _) = plans::Plan::from_json(&bytes)?;
    let record = running::read_record(&dir)?;
    let started = running::started(&dir);
    let asked_only = started.as_ref().and_then(|started| started.only.clone());
    let mut passed = BTreeSet::new();
    let only = if rerun.failed {
        let here = record.nodes.iter().filter(|node| node.counts_as_passed());
        passed = here.map(|node| node.id.clone()).collect();
        let asked = prepare::select(&plan, asked_only.as_deref())?;
        let not_needed = record.nodes.iter().filter(|node| node.not_needed);
        let not_needed = not_needed.map(|node| node.id.clone()).collect();
        Some(prepare::not_passed(&plan, &passed, &not_needed, &asked))
    } else {
        asked_only
    };
    let wanted = Wanted {
        jobs: rerun.running.jobs,
        fail_fast: rerun.fail_fast,
        only,
        hosts: rerun.hosts.clone(),
        allow_stale: rerun.allow_stale,
        reuse: rerun.reuse,
    };
    let ready = prepare::ready(&bytes, None, || Ok(config), wanted)?;
    match started {
        Some(started) if started.tree == ready.source.tree.as_str() => {
            passed.extend(started.passed_before);
        }
        // What passed there may have passed on other files.
        _ => passed.clear(),
    }
    let repeats = Repeats { run: dir.id.to_string(), passed };
    running::begin(&state, &bytes, ready, Some(repeats), &rerun.running)
}
