//! The scripts that a job in a guest is started by, as its supervisor sources them.

use std::{collections::BTreeMap, ffi::OsStr, os::unix::ffi::OsStrExt as _};

use crate::{
    attempt::Context,
    command_line::{Script, is_variable_name},
    runtimes::Work,
    supervise::shim,
};

/// Returns the job as its supervisor sources it; its source tree is at `workspace`.
pub(in crate::runtimes) fn command(work: &Work, workspace: &str) -> Script {
    let directory = match &work.working_dir {
        Some(below) => format!("{workspace}/{below}"),
        None => workspace.to_owned(),
    };
    Script::new("_fl_state=$1\nset --")
        .words(&work.argv)
        .text("\n")
        .set("_fl_dir", directory)
        .text(shim::ENTER)
        .text("_fl_enter \"$@\"\n")
}

/// Goes on with a script that exports what the guest gives every job, then the job's own variables,
/// then its secrets.
pub(in crate::runtimes) fn exports(
    mut script: Script,
    given: &[(&str, &str)],
    context: &Context<'_>,
    work: &Work,
) -> Script {
    let mut all: BTreeMap<&str, &str> = given.iter().copied().collect();
    all.extend(work.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let secrets = context.request.secrets.iter();
    all.extend(secrets.map(|(name, value)| (name.as_str(), value.expose())));
    for (name, value) in all {
        if is_variable_name(name) {
            script = script.text("export ").set(name, value);
        }
    }
    script
}

/// Goes on with a script that writes a file, or ends in `otherwise`. `path` is shell text.
pub(in crate::runtimes) fn file(
    script: Script,
    path: &str,
    text: &[u8],
    otherwise: &str,
) -> Script {
    let script = script.text("printf '%s'").word(OsStr::from_bytes(text));
    script.text(&format!(" >{path} || {otherwise}\n"))
}
