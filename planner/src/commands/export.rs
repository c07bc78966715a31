//! `planner export`: a plan as the pipeline of another engine.

use super::{Answer, Console, Failure, show::read_plan};
use crate::{
    cli::ExportArgs,
    exit_code::Exit,
    export::{self, Export, Options},
    git::Note,
};

pub(super) fn run(console: &Console, args: &ExportArgs) -> Answer {
    let (plan, digest) = read_plan(console, &args.plan)?;
    let Export { files, notes } = export::export(&plan, &digest, args.to, &Options::from(args))
        .map_err(|error| {
            Failure::bad_input(format!("`{}`: {error}", args.plan.display()), error.help())
        })?;
    let notes: Vec<Note> = notes.into_iter().map(Note::Warning).collect();
    match (&args.out_dir, files.as_slice()) {
        (Some(dir), files) => {
            console.make_dir(dir)?;
            for file in files {
                let path = dir.join(&file.name);
                console.write_file(&path, file.text.as_bytes())?;
                console.say(&format!("wrote {}", path.display()));
            }
        }
        (None, [file]) => console.write(file.text.as_bytes())?,
        (None, files) => {
            let message = format!("the export takes {} files", files.len());
            return Err(Failure::bad_input(message, "name a directory for them with `--out-dir`"));
        }
    }
    console.notes(&notes);
    Ok(Exit::Done)
}
