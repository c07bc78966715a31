//! `executor report`: one run as a page, a summary or a trace.

use std::path::Path;

use super::{CliContext, running};
use crate::{cli, error::Error, exit_code::Exit, files, report::Report, reporters, state::RunDir};

pub(super) fn run(context: &CliContext, wanted: &cli::Report) -> Result<Exit, Error> {
    let state = context.state(&context.config()?)?;
    let dir = state.find(wanted.run.as_deref())?;
    let report = gather(&dir)?;
    if let Some(file) = &wanted.html {
        write(file, &report.html())?;
    }
    if let Some(file) = &wanted.markdown {
        write(file, &report.markdown())?;
    }
    if let Some(file) = &wanted.trace {
        write(file, &report.trace())?;
    }
    Ok(Exit::Done)
}

/// Reads what is there. A record alone still makes a report: it only has no commands and no edges.
fn gather(dir: &RunDir) -> Result<Report, Error> {
    let record = running::read_record(dir)?;
    let plan = super::prepare::read_plan(&dir.plan())
        .ok()
        .and_then(|bytes| plans::Plan::from_json(&bytes).ok())
        .map(|(plan, _)| plan);
    Ok(Report::new(record, plan, dir.path().join("nodes")))
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    if file == Path::new("-") {
        reporters::stdout().text(text);
        return Ok(());
    }
    // A pipe or a device is written to, a file is replaced: half a report is none.
    let special = std::fs::metadata(file).is_ok_and(|there| !there.is_file());
    let written = match std::path::absolute(file) {
        Ok(_) if special => std::fs::write(file, text),
        Ok(path) => files::replace(&path, text.as_bytes()),
        Err(error) => Err(error),
    };
    written.map_err(|error| Error::File {
        what: "the report cannot be written to",
        path: file.display().to_string(),
        error,
    })
}
