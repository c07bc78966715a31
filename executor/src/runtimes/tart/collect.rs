//! What a job leaves in its guest, brought back: packed there, checked by size and sum on the
//! machine, unpacked in a directory of the attempt, and from there on not trusted.

use std::{
    collections::BTreeSet, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path, time::Duration,
};

use plans::Output;

use super::{
    guest::Guest,
    host::Host,
    setup::{ARTIFACTS, HOME, WORKSPACE},
};
use crate::{
    artifacts::Globs,
    fault::{FailureKind, Fault},
    placements::{Answer, Collected},
    runtimes::Work,
};

/// How long a guest may be silent over its files.
const PATIENCE: Duration = Duration::from_secs(600);
/// A stream that ended early is tried again this often.
const TRIES: u32 = 3;

/// Lists what is below `$1`, each name after `./`, ended by a NUL; then a last word.
const LIST: &str =
    "cd \"$1/.\" 2>/dev/null && find . \\( -type f -o -type l \\) -print0\nprintf end";

/// Packs the names on stdin, of directory `$1`, into `$2`; answers with its sum.
const PACK: &str = "cd \"$1/.\" && umask 022 && tar -cf \"$2\" --null -T - >/dev/null && \
                    printf 'sum %s\\n' \"$(cksum <\"$2\")\"";

/// Packs directory `$2` of the workspace `$1`, unless it leads out of it, into `$3`.
const PACK_DIRECTORY: &str = "real=$(cd \"$1/.\" && pwd -P) && from=$(cd \"$1/$2\" && pwd -P) || { echo none; exit; }\n\
     case $from/ in \"$real\"/*) ;; *) echo none; exit ;; esac\n\
     umask 022; tar -cf \"$3\" -C \"$from\" . >/dev/null && printf 'sum %s\\n' \"$(cksum <\"$3\")\"";

/// Brings back artifacts, and a prepare node's output.
pub(super) fn collect(guest: &Guest<'_>, work: &Work) -> Result<Collected, Fault> {
    let request = guest.context.request;
    let machine = guest.host.machine;
    let job = request.job();
    let mut collected = Collected::default();
    if !work.keep.artifacts.is_empty() {
        crate::artifacts::begin(&request.artifacts)?;
        let globs = Globs::new(&work.keep.artifacts)?;
        let into = format!("{}/collected", machine.attempt_dir(&job));
        // What a job puts into its own artifacts directory goes before a file of that name in its
        // workspace.
        for from in [ARTIFACTS, WORKSPACE] {
            let names: BTreeSet<Vec<u8>> = list(guest, from)?
                .into_iter()
                .filter(|name| globs.matches(Path::new(OsStr::from_bytes(name))))
                .collect();
            if names.is_empty() {
                continue;
            }
            let mut stdin = Vec::new();
            for name in &names {
                stdin.extend_from_slice(b"./");
                stdin.extend_from_slice(name);
                stdin.push(0);
            }
            let archive = format!("{HOME}/collected.tar");
            let argv = guest.words(&["sh", "-c", PACK, "sh", from, &archive]);
            let pack = Host::exec(guest.name, true, &argv).stdin(stdin).deadline(PATIENCE);
            let sum = said(guest, || machine.run(&pack), "sum ")?;
            guest.host.fetch(guest.name, &archive, &sum, &into)?;
            let more = machine.fetch(&into, &work.keep.artifacts, &request.artifacts)?;
            collected.files += more.files;
            collected.bytes += more.bytes;
            collected.refused.extend(more.refused);
        }
    }
    let (below, what) = match &work.keep.output {
        // The guest's own store goes with it.
        None | Some(Output::StorePath) => return Ok(collected),
        Some(Output::Workspace) => (".", "workspace"),
        Some(Output::Directory(below)) => (below.as_str(), "directory"),
    };
    let archive = format!("{HOME}/output.tar");
    let argv = guest.words(&["sh", "-c", PACK_DIRECTORY, "sh", WORKSPACE, below, &archive]);
    let pack = Host::exec(guest.name, false, &argv).deadline(PATIENCE);
    let sum = said(guest, || machine.run(&pack), "")?;
    if let Some(sum) = sum.strip_prefix("sum ") {
        let into = format!("{}/{what}", machine.output_dir(&job));
        guest.host.fetch(guest.name, &archive, sum, &into)?;
        collected.output = Some(into);
    }
    Ok(collected)
}

/// Returns the names of files below a directory of the guest.
fn list(guest: &Guest<'_>, directory: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let argv = guest.words(&["sh", "-c", LIST, "sh", directory]);
    let command = Host::exec(guest.name, false, &argv).deadline(PATIENCE);
    let mut last = String::new();
    for _ in 0..TRIES {
        let answer = guest.host.machine.run(&command)?;
        // Without the last word it is not known whether that was all.
        if let Some(all) = answer.stdout.strip_suffix(b"end") {
            let names = all.split(|byte| *byte == 0).filter_map(|name| name.strip_prefix(b"./"));
            return Ok(names.map(<[u8]>::to_vec).collect());
        }
        last = answer.complaint();
    }
    Err(unread(guest, &last))
}

/// Returns what follows `prefix` in the answer's first line.
fn said(
    guest: &Guest<'_>,
    ask: impl Fn() -> Result<Answer, Fault>,
    prefix: &str,
) -> Result<String, Fault> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let answer = ask()?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        match text.lines().next().and_then(|line| line.strip_prefix(prefix)) {
            Some(rest) if text.ends_with('\n') => return Ok(rest.to_owned()),
            _ => last = answer.complaint(),
        }
    }
    Err(unread(guest, &last))
}

fn unread(guest: &Guest<'_>, said: &str) -> Fault {
    Fault::new(
        FailureKind::Collect,
        format!("what the job left in guest `{}` cannot be packed: {said}", guest.name),
    )
    .advice("see whether the guest's disk is full (`disk_gb`)")
}
