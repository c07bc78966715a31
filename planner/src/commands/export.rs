//! `planner export`: a plan as the pipeline of another engine.

use std::path::Path;

use plans::{Plan, Source, Trigger};

use super::{Answer, Console, Failure, list, show::read_plan};
use crate::{
    cli::ExportArgs,
    exit_code::Exit,
    export::{self, Engine, Export, ExportedFile, MARK, Options, TimeOfDay},
    git::Note,
};

pub(super) fn run(console: &Console, args: &ExportArgs) -> Answer {
    let (plan, digest) = read_plan(console, &args.plan)?;
    let mut options = Options::from(args);
    let nightly = plan.selection().trigger == Trigger::Nightly && args.to == Engine::Github;
    if nightly && options.nightly_schedule_utc.is_none() {
        options.nightly_schedule_utc = schedule(console, args, &plan);
    }
    let Export { files, notes } =
        export::export(&plan, &digest, args.to, &options).map_err(|error| {
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
            remove_stale(console, args, dir, files)?;
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

/// When the manifest of the plan's commit says that nightly lanes start. A plan holds no clock, so
/// that is asked of the repository; outside of it nothing is known.
fn schedule(console: &Console, args: &ExportArgs, plan: &Plan) -> Option<TimeOfDay> {
    let Source::Change(source) = plan.source() else { return None };
    let head = source.head.as_ref()?.to_string();
    let context = list::now(console, Some(head)).ok()?;
    let (catalog, _) = context.definitions(&args.definitions.clone().into()).ok()?;
    catalog.rules().nightly_schedule_utc.as_deref()?.parse().ok()
}

/// Removes files that an earlier export to the same engine, under the same name, left behind the
/// last one: an engine that reads the directory would run them still. What anybody else wrote
/// stays.
fn remove_stale(
    console: &Console,
    args: &ExportArgs,
    dir: &Path,
    files: &[ExportedFile],
) -> Result<(), Failure> {
    let mark = format!("# {MARK}{}`", args.to.name());
    for (stem, bytes) in console.files_in(dir, "yml")? {
        let name = format!("{stem}.yml");
        let number = stem.strip_prefix(args.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let of_ours = number.is_some_and(|number| number.parse::<usize>().is_ok())
            && bytes.starts_with(mark.as_bytes());
        if of_ours && !files.iter().any(|file| file.name == name) {
            let path = dir.join(name);
            console.remove_file(&path)?;
            console.say(&format!("removed {}, which an earlier export needed", path.display()));
        }
    }
    Ok(())
}
