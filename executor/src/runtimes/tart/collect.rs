//! What a job leaves in its guest, brought back: packed there, checked by size and sum on the
//! machine, unpacked in a directory of the attempt, and from there on not trusted.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use plans::{CachePath, CacheSave, Output};

use super::{
    guest::TartGuest,
    host::TartHost,
    setup::{ARTIFACTS, HOME, WORKSPACE},
};
use crate::{
    artifacts::{self, Collected, Found, FoundFile, Tree, shell},
    caches,
    command_line::Script,
    fault::{FailureKind, Fault},
    placements::{Answer, ControlCommand},
    runtimes::{Work, workspace},
};

/// How long a guest may be silent over its files.
const PATIENCE: Duration = Duration::from_secs(600);
/// A stream that ended early is tried again this often.
const TRIES: u32 = 3;

/// Packs the names on stdin, of directory `$1`, into `$2`; answers with its sum.
const PACK: &str = "cd \"$1/.\" && umask 022 && xargs -0 sh -c 'for p; do [ ! -f \"$p\" ] || [ ! -r \"$p\" ] || \
                    printf \"%s\\\\0\" \"$p\"; done' sh | tar -cf \"$2\" --null -T - >/dev/null && \
                    printf 'sum %s\\n' \"$(cksum <\"$2\")\"";

/// Packs directory `$2` of the workspace `$1`, unless it leads out of it, into `$3`.
const PACK_DIRECTORY: &str = "real=$(cd \"$1/.\" && pwd -P) && from=$(cd \"$1/$2\" && pwd -P) || { echo none; exit; }\n\
     case $from/ in \"$real\"/*) ;; *) echo none; exit ;; esac\n\
     umask 022; tar -cf \"$3\" -C \"$from\" . >/dev/null && printf 'sum %s\\n' \"$(cksum <\"$3\")\"";

/// Brings back artifacts, and a prepare node's output.
pub(super) fn collect(guest: &TartGuest<'_>, work: &Work) -> Result<Collected, Fault> {
    let request = guest.context.request;
    let machine = guest.host.machine;
    let job = request.job();
    let tree = |root: &'static str| GuestTree { guest, root };
    let (own, copy) = (tree(ARTIFACTS), tree(WORKSPACE));
    // A job that could only read its workspace was shown the machine's own tree.
    let shown = match work.writable || work.keep.output.is_some() || work.keep.artifacts.is_empty()
    {
        true => None,
        false => Some(machine.tree(&workspace::placed(guest.context, work)?)),
    };
    let secrets = guest.context.secret_values();
    let outputs = (&work.keep.outputs, &*secrets);
    let mut collected = artifacts::keep(
        &own,
        shown.as_deref().unwrap_or(&copy),
        &work.keep.artifacts,
        outputs,
        &request.artifacts,
    )?;
    bring_caches(guest, work);
    let (below, what) = match &work.keep.output {
        // The guest's own store goes with it.
        None | Some(Output::StorePath) => return Ok(collected),
        Some(Output::Workspace) => (".", "workspace"),
        Some(Output::Directory(below)) => (below.as_str(), "directory"),
    };
    let archive = format!("{HOME}/output.tar");
    let argv = guest.words(&["sh", "-c", PACK_DIRECTORY, "sh", WORKSPACE, below, &archive]);
    let pack = TartHost::exec(guest.name, false, &argv).deadline(PATIENCE);
    let sum = said(guest, || machine.run(&pack), "")?;
    if let Some(sum) = sum.strip_prefix("sum ") {
        let into = format!("{}/{what}", machine.output_dir(&job));
        guest.host.fetch(guest.name, &archive, sum, &into)?;
        collected.output = Some(into);
    }
    Ok(collected)
}

/// Brings back what the job made of its caches, in place of what it was given; one that does not come is not kept.
fn bring_caches(guest: &TartGuest<'_>, work: &Work) {
    let root = caches::root(guest.context);
    for (number, cache) in work.caches.iter().enumerate() {
        let place = match &cache.path {
            CachePath::Workspace(below) if work.writable => {
                (WORKSPACE.to_owned(), below.to_string())
            }
            _ => (HOME.to_owned(), format!("caches/{number}")),
        };
        if cache.save == CacheSave::Never {
            continue;
        }
        if let Err(fault) = bring_cache(guest, &place, &format!("{root}/{number}")) {
            guest.context.warn(format!("cache `{}` does not come back: {fault}", cache.name));
        }
    }
}

fn bring_cache(
    guest: &TartGuest<'_>,
    (root, below): &(String, String),
    into: &str,
) -> Result<(), Fault> {
    let machine = guest.host.machine;
    // Whatever comes of it, what was given is not what the job left.
    let gone = machine.run(&ControlCommand::new(["rm", "-rf", &format!("{into}/data")]))?;
    if !gone.success() {
        let what = format!("{into}/data cannot be removed: {}", gone.complaint());
        return Err(Fault::new(FailureKind::Collect, what));
    }
    let archive = format!("{HOME}/cache.tar");
    let argv = guest.words(&["sh", "-c", PACK_DIRECTORY, "sh", root, below, &archive]);
    let pack = TartHost::exec(guest.name, false, &argv).deadline(PATIENCE);
    let sum = said(guest, || machine.run(&pack), "")?;
    if let Some(sum) = sum.strip_prefix("sum ") {
        guest.host.fetch(guest.name, &archive, sum, &format!("{into}/data"))?;
    }
    Ok(())
}

/// A directory of a guest, of which artifacts are kept.
struct GuestTree<'a> {
    guest: &'a TartGuest<'a>,
    root: &'static str,
}

impl Tree for GuestTree<'_> {
    fn list(&self, below: &[PathBuf]) -> Result<Vec<FoundFile>, Fault> {
        ask(self.guest, &shell::list(self.root, below), shell::read_list)
    }

    fn inspect(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Fault> {
        let script = shell::inspect(self.root, paths);
        ask(self.guest, &script, |said| shell::read_found(said, paths.len()))
    }

    fn read(&self, path: &Path, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        ask(self.guest, &shell::read(self.root, path, most), shell::read_read)
    }

    fn bring(&self, files: &[PathBuf], into: &Path) -> Result<(), Fault> {
        let Self { guest, root } = self;
        let machine = guest.host.machine;
        let mut stdin = Vec::new();
        for name in files {
            stdin.extend_from_slice(b"./");
            stdin.extend_from_slice(name.as_os_str().as_bytes());
            stdin.push(0);
        }
        let there = format!("{}/collected", machine.attempt_dir(&guest.context.request.job()));
        let archive = format!("{HOME}/collected.tar");
        let argv = guest.words(&["sh", "-c", PACK, "sh", root, &archive]);
        let pack = TartHost::exec(guest.name, true, &argv).stdin(stdin).deadline(PATIENCE);
        let sum = said(guest, || machine.run(&pack), "sum ")?;
        guest.host.fetch(guest.name, &archive, &sum, &there)?;
        machine.tree(&there).bring(files, into)
    }
}

/// Asks a guest's shell until its answer is whole.
fn ask<T>(
    guest: &TartGuest<'_>,
    script: &Script,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, Fault> {
    // Names are bytes, and more than an argument holds.
    let argv = guest.words(&["sh", "-s"]);
    let stdin = script.as_bytes().to_vec();
    let command = TartHost::exec(guest.name, true, &argv).stdin(stdin).deadline(PATIENCE);
    let mut last = String::new();
    for _ in 0..TRIES {
        let answer = guest.host.machine.run(&command)?;
        if let Some(read) = read(&answer.stdout) {
            return Ok(read);
        }
        last = answer.complaint();
    }
    Err(unread(guest, &last))
}

/// Returns what follows `prefix` in the answer's first line.
fn said(
    guest: &TartGuest<'_>,
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

fn unread(guest: &TartGuest<'_>, said: &str) -> Fault {
    Fault::new(
        FailureKind::Collect,
        format!("what the job left in guest `{}` cannot be packed: {said}", guest.name),
    )
    .advice("see whether the guest's disk is full (`disk_gb`)")
}
