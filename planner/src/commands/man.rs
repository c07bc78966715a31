//! `planner man`: the manual page, or a page for each command.

use std::path::Path;

use clap::CommandFactory as _;

use super::{Answer, Console};
use crate::{cli::Cli, exit_code::Exit};

pub(super) fn run(console: &Console, out_dir: Option<&Path>) -> Answer {
    let mut program = Cli::command();
    program.build();
    let Some(dir) = out_dir else {
        console.write(&page(program))?;
        return Ok(Exit::Done);
    };
    console.make_dir(dir)?;
    let mut waiting = vec![program];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        console.write_file(&dir.join(format!("{name}.1")), &page(command))?;
    }
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> Vec<u8> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).expect("writing to memory does not fail");
    text
}
