//! `executor resume`: takes up a run whose process died, where its journal ends.

use std::sync::Arc;

use tracing::info;

use super::{
    CliContext, history,
    prepare::{self, Wanted},
    running,
};
use crate::{
    cli::{Resume, ReuseFlags, Running},
    clock,
    error::Error,
    exit_code::Exit,
    journal::{self, Entry, Journal},
    ledger::Ledger,
    placements::Machines,
    record::{RecordError, RunOutcome},
    state::{RunDir, StateDir},
};

pub(super) fn run(context: &CliContext, resume: &Resume) -> Result<Exit, Error> {
    let config = context.config()?;
    let state = context.state(&config)?;
    let dir = state.find(Some(&resume.run))?;
    resume_run(context, &state, dir, &resume.running, resume.hosts.clone(), None)
}

/// Goes on with a run; with `stop`, ends it instead.
pub(super) fn resume_run(
    context: &CliContext,
    state: &StateDir,
    dir: RunDir,
    running: &Running,
    hosts: Vec<(plans::HostName, plans::SshDestination)>,
    stop: Option<String>,
) -> Result<Exit, Error> {
    running::own_state(state)?;
    let lock = dir.lock()?;
    let shown = (dir.path().join("nodes"), dir.path().display().to_string());
    match crate::record::Record::read(&dir.record()) {
        Ok(record) => return Ok(running::tell_finished(&record, shown.0, shown.1, running)),
        Err(RecordError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let bytes = prepare::read_plan(&dir.plan())?;
    let (plan, digest) = plans::Plan::from_json(&bytes)?;
    let replay = journal::read(&dir.journal())?;
    let length = replay.length;
    let mut ledger = Ledger::replay(&plan, replay.entries)
        .map_err(|error| Error::Ledger { run: dir.id.to_string(), error })?;
    let started = ledger.started().cloned().expect("a replayed ledger has begun");
    let selected = prepare::select(&plan, started.only.as_deref())?;
    if let Some(outcome) = ledger.finished() {
        // Only the record is missing.
        let record = ledger.record(&plan, outcome, &selected);
        record
            .write(&dir.record())
            .map_err(|error| Error::RecordNotWritten { run: dir.id.to_string(), error })?;
        return Ok(running::tell_finished(&record, shown.0, shown.1, running));
    }
    let source = prepare::source_of_run(&plan, &started.repository, &started.tree)?;
    let jobs = running.jobs.or_else(|| std::num::NonZeroUsize::new(started.jobs));
    let reuse = ReuseFlags { reuse: started.reuse, untrusted: started.untrusted };
    let wanted = Wanted {
        jobs,
        fail_fast: started.fail_fast,
        only: started.only,
        hosts,
        allow_stale: true,
        reuse,
    };
    let ready = prepare::check(plan, digest, selected, source, context.config()?, wanted)?;
    let machines = Arc::new(Machines::new(running::machines_config(state)?));
    let journal = Journal::open(&dir.journal(), length)?;
    let mut note = |entry: Entry| -> Result<(), Error> {
        journal.write_through(&entry)?;
        ledger.apply(entry).expect("it is about no node");
        Ok(())
    };
    info!(run = %dir.id, "the run is taken up");
    note(Entry::RunResumed { at: clock::now(), pid: std::process::id() })?;
    if let Some(reason) = stop {
        note(Entry::Stopping { at: clock::now(), reason, kill: false })?;
    }
    let run = ready.into_run(dir, &history::usual(state))?;
    running::go_on((state, machines), &run, &lock, journal, ledger, running, true)
}

/// Returns how a run stands that nobody holds, for messages.
pub(super) fn standing(dir: &RunDir) -> Result<RunOutcome, Error> {
    Ok(running::read_record(dir)?.outcome)
}
