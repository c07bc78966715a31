//! The command of a job or of prepare work, from the forms in which people write one.

use plans::{AbsolutePath, Command};

use super::{Job, Of};
use crate::{
    codes,
    context::Context,
    diagnostic::Diagnostic,
    job_file::{CommandFile, CommandTable},
    names::shorten,
    source::At,
};

pub(super) fn command(job: &Job<'_>, context: &mut Context<'_>) -> Option<Command> {
    match (job.command, job.staged_command) {
        (Some(command), None) => command_of(command, context),
        (None, Some(name)) => staged_command(job, name, context),
        (Some(command), Some(staged)) => {
            let message = format!("the job `{}` has two commands", shorten(job.id));
            context.report(
                Diagnostic::error(&codes::MULTIPLE_COMMANDS, staged.span, message)
                    .also(command.span, "the other one")
                    .help("keep `staged_command` if the wrapper does the same"),
            );
            None
        }
        (None, None) => {
            if job.table.intact {
                let message = format!("the job `{}` has nothing to run", shorten(job.id));
                context.report(
                    Diagnostic::error(&codes::NO_COMMAND, job.id.span, message)
                        .help("give it a `command` or a `staged_command`"),
                );
            }
            None
        }
    }
}

fn staged_command(job: &Job<'_>, name: &At<String>, context: &mut Context<'_>) -> Option<Command> {
    let Of::Target(Some(staged)) = job.of else {
        let message = format!(
            "`staged_command` needs a staged Linux target, and the target of `{}` is none",
            shorten(job.id)
        );
        context.report(
            Diagnostic::error(&codes::NOT_STAGED_LINUX, name.span, message)
                .help("add `[targets.staged_linux]` to the target, or give the job a `command`"),
        );
        return None;
    };
    let Some(mount) = staged.build_mount else {
        let message = "the target has no `workspace_build` payload to run this from";
        context
            .report(Diagnostic::error(&codes::MISSING_BUILD_PAYLOAD, name.span, message).remedy());
        return None;
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(good) {
        let message = format!(
            "`{}` is not the name of a file in the payload's `bin` directory",
            shorten(name)
        );
        context.error(&codes::BAD_VALUE, name.span, message);
        return None;
    }
    let path = AbsolutePath::new(format!("{}/bin/{}", mount.as_str(), name.value));
    path.ok().map(Command::Staged)
}

/// Checks a command; nothing if something of it is wrong, which is told.
pub(crate) fn command_of(written: &At<CommandFile>, context: &mut Context<'_>) -> Option<Command> {
    let plain = |words: &[At<String>]| words.iter().map(|word| word.value.clone()).collect();
    let command = match &written.value {
        CommandFile::Argv(words) => Command::Argv(plain(words)),
        CommandFile::Table(table) => {
            let CommandTable { argv, shell, as_root, cargo_test, cargo_tests, table } = &**table;
            let forms = [
                argv.as_ref().map(|argv| Command::Argv(plain(argv))),
                shell.as_ref().map(|script| Command::Shell {
                    script: script.value.clone(),
                    as_root: as_root.is_some_and(|at| at.value),
                }),
                cargo_test.as_ref().map(|one| Command::CargoTest {
                    package: one.package.value.clone(),
                    test: one.test.value.clone(),
                }),
                cargo_tests.as_ref().map(|many| Command::CargoTests {
                    package: many.package.value.clone(),
                    filter: many.filter.as_ref().map(|filter| filter.value.clone()),
                    lib_only: many.lib_only.is_some_and(|at| at.value),
                }),
            ];
            if let Some(at) = as_root
                && shell.is_none()
            {
                let message = "`as_root` belongs to `shell`";
                let help = "the other forms never run as root; write the command as a script";
                let code = &codes::INVALID_COMBINATION;
                context.report(Diagnostic::error(code, at.span, message).help(help));
            }
            let mut forms = forms.into_iter().flatten();
            match (forms.next(), forms.next()) {
                (Some(command), None) => command,
                (Some(_), Some(_)) => {
                    let message = "the command has more than one form";
                    let help = "keep one of `argv`, `shell`, `cargo_test` and `cargo_tests`";
                    let code = &codes::MULTIPLE_COMMANDS;
                    context.report(Diagnostic::error(code, written.span, message).help(help));
                    return None;
                }
                (None, _) => {
                    if table.intact {
                        let message = "the command has nothing to run";
                        let help = "write one of `argv`, `shell`, `cargo_test` and `cargo_tests`";
                        let code = &codes::NO_COMMAND;
                        context.report(Diagnostic::error(code, written.span, message).help(help));
                    }
                    return None;
                }
            }
        }
    };
    if let Err(error) = command.validate() {
        context.error(&codes::BAD_VALUE, written.span, error.to_string());
        return None;
    }
    Some(command)
}
