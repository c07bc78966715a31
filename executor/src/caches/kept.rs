//! What a machine keeps: the list of its caches, and what is removed from it.

use std::{
    ffi::OsStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::functions;
use crate::{
    command_line::Script,
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Machine},
    text,
};

/// How long a store may take to be looked through.
const LOOKING: Duration = Duration::from_secs(600);

/// A cache that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptCache {
    /// Its directory on the machine.
    pub(crate) path: String,
    /// What it is called.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) scope: String,
    /// Which repository it is of.
    pub(crate) repository: String,
    /// In which kind of guest it was made.
    pub(crate) inside: String,
    /// Its key.
    pub(crate) key: String,
    /// When it was kept.
    pub(crate) saved: SystemTime,
    /// When it was last of use.
    pub(crate) used: SystemTime,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The run that left it.
    pub(crate) run: String,
    /// The node of that run.
    pub(crate) node: String,
}

/// Something of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A cache.
    Kept(Box<KeptCache>),
    /// A cache that is torn, of another format or somebody else's.
    Damaged(String),
    /// One that was never published, or not removed to the end.
    Unfinished(String),
}

/// Lists what a store holds, what was of use last first; `whole` looks at every file.
///
/// # Errors
///
/// When the machine does not answer.
pub(crate) fn list(machine: &dyn Machine, dir: &OsStr, whole: bool) -> Result<Vec<Found>, Fault> {
    let script = functions(dir).text(if whole { "list whole\n" } else { "list some\n" });
    let said = ask(machine, &script)?;
    let mut found = Vec::new();
    let mut kept: Option<KeptCache> = None;
    for line in said.lines() {
        let (word, value) = line.split_once('\t').unwrap_or((line, ""));
        if matches!(word, "entry" | "damaged" | "unfinished") {
            found.extend(kept.take().map(Box::new).map(Found::Kept));
        }
        let time = || UNIX_EPOCH + Duration::from_secs(value.parse().unwrap_or(0));
        match (word, &mut kept) {
            ("entry", _) => kept = Some(KeptCache::at(value)),
            ("damaged", _) => found.push(Found::Damaged(value.to_owned())),
            ("unfinished", _) => found.push(Found::Unfinished(value.to_owned())),
            ("name", Some(it)) => value.clone_into(&mut it.name),
            ("scope", Some(it)) => value.clone_into(&mut it.scope),
            ("repository", Some(it)) => value.clone_into(&mut it.repository),
            ("inside", Some(it)) => value.clone_into(&mut it.inside),
            ("key", Some(it)) => it.key = format!("sha256:{value}"),
            ("saved", Some(it)) => it.saved = time(),
            ("used", Some(it)) => it.used = time().max(it.saved),
            ("bytes", Some(it)) => it.bytes = value.parse().unwrap_or(0),
            ("run", Some(it)) => value.clone_into(&mut it.run),
            ("node", Some(it)) => value.clone_into(&mut it.node),
            _ => {}
        }
    }
    found.extend(kept.take().map(Box::new).map(Found::Kept));
    let used = |found: &Found| match found {
        Found::Kept(kept) => kept.used,
        Found::Damaged(_) | Found::Unfinished(_) => UNIX_EPOCH,
    };
    found.sort_by_key(|it| std::cmp::Reverse(used(it)));
    Ok(found)
}

/// Removes one thing that [`list`] named.
///
/// # Errors
///
/// When it is still there.
pub(crate) fn remove(machine: &dyn Machine, dir: &OsStr, path: &str) -> Result<(), Fault> {
    ask(machine, &functions(dir).text("drop").word(path).text("\n")).map(drop)
}

impl KeptCache {
    fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            name: String::new(),
            scope: String::new(),
            repository: String::new(),
            inside: String::new(),
            key: String::new(),
            saved: UNIX_EPOCH,
            used: UNIX_EPOCH,
            bytes: 0,
            run: String::new(),
            node: String::new(),
        }
    }
}

fn ask(machine: &dyn Machine, script: &Script) -> Result<String, Fault> {
    let command = ControlCommand::new(["sh", "-s"]).stdin(script.as_bytes()).deadline(LOOKING);
    let answer = machine.run(&command)?;
    if answer.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
    }
    let (name, said) = (machine.name(), text::neutral(&answer.complaint()));
    Err(Fault::new(FailureKind::Io, format!("caches on `{name}` cannot be looked at: {said}")))
}
