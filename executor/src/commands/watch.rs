//! `executor watch`: a run as the terminal of its executor shows it, from another terminal. Changes nothing, and ends
//! as the run does.

use std::time::Duration;

use super::{CliContext, logs, prepare};
use crate::{
    error::Error,
    event::{self, Event},
    exit_code::Exit,
    follow::Follower,
    record::{Record, RunOutcome},
    reporters::{self, Human, Reporter as _},
    state::RunDir,
};

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn run(context: &CliContext, run: &str, node: Option<&str>) -> Result<Exit, Error> {
    let state = context.state(&context.config()?)?;
    let dir = state.find(Some(run))?;
    let mut output = node.map(|node| logs::Following::node(&dir, node)).transpose()?;
    let mut human = Human::new(dir.id.to_string(), dir.path().join("nodes"), true);
    let record = match Record::read(&dir.record()) {
        // It may be of a release whose journal cannot be read.
        Ok(record) => {
            begin(&mut human, &record, &dir);
            if let Some(output) = &mut output {
                human.above(|| output.print())?;
            }
            record
        }
        Err(_) => match follow(&dir, &mut human, output.as_mut())? {
            Some(record) => record,
            None => {
                drop(human);
                let id = &dir.id;
                reporters::stderr().text(&format!(
                    "run {id} is interrupted: its executor is gone; `executor resume {id}` finishes it\n"
                ));
                return Ok(Exit::of_run(RunOutcome::Interrupted));
            }
        },
    };
    human.finish(&record);
    Ok(Exit::of_record(&record))
}

/// Tells what an ended run began with.
fn begin(human: &mut Human, record: &Record, dir: &RunDir) {
    human.event(&Event::RunStarted(event::RunStarted {
        format_version: event::VERSION.to_owned(),
        plan_digest: record.plan_digest.clone(),
        at: record.started_at.clone(),
        nodes: record.nodes.len(),
        resumed: false,
        directory: dir.path().display().to_string(),
    }));
    for node in &record.nodes {
        human.event(&Event::NodeFinished(Box::new(event::NodeFinished::of(node))));
    }
}

/// Follows a run until it is over; nothing: its executor is gone.
fn follow(
    dir: &RunDir,
    human: &mut Human,
    mut output: Option<&mut logs::Following>,
) -> Result<Option<Record>, Error> {
    let (plan, _) = plans::Plan::from_json(&prepare::read_plan(&dir.plan())?)?;
    let mut follower = Follower::new(dir.clone(), plan);
    loop {
        // Asked before reading, so that what was written before the end is not missed.
        let abandoned = dir.holder().is_none();
        let events = follower.events().map_err(|error| error.of_run(dir))?;
        let moved = !events.is_empty();
        for event in &events {
            human.event(event);
        }
        if let Some(output) = output.as_deref_mut()
            && output.has_news()
        {
            human.above(|| output.print())?;
        }
        if follower.outcome().is_some() {
            let selected = prepare::select(follower.plan(), follower.only())?;
            return Ok(Some(follower.record(&selected)));
        }
        if abandoned {
            return Ok(None);
        }
        if !moved {
            std::thread::sleep(PAUSE);
        }
    }
}
