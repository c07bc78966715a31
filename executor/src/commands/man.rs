//! `executor man`: the manual page, or a page for each command.

use std::{fs, path::Path};

use clap::CommandFactory as _;

use crate::{cli::Cli, error::Error, exit_code::Exit, reporters};

pub(super) fn run(out_dir: Option<&Path>) -> Result<Exit, Error> {
    let mut program = Cli::command();
    program.build();
    let Some(dir) = out_dir else {
        reporters::stdout().text(&page(program));
        return Ok(Exit::Done);
    };
    let cannot = |path: &Path, error| Error::File {
        what: "cannot write",
        path: path.display().to_string(),
        error,
    };
    fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
    let mut waiting = vec![program];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, page(command)).map_err(|error| cannot(&path, error))?;
    }
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> String {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).expect("writing to memory does not fail");
    String::from_utf8_lossy(&text).into_owned()
}
