//! Caches: named directories of a machine that outlive a run, given to jobs that ask for them.
//!
//! Owns whose caches a run reads and writes, what is asked of a machine before a job and after its verdict, and what
//! is told of it. How they lie there is `store.sh`'s, which every machine runs; how a job comes to see one is its
//! runtime's. A cache must not decide a result: whatever is wrong with one is a miss with a note, never a fault.

mod kept;
mod layer;
mod scope;
mod used;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use plans::{Cache, CacheSave, FileMode, Key, Node, NodeKind, Runtime};
use sha2::{Digest as _, Sha256};

pub(crate) use kept::{Found, KeptCache, list, remove};
pub use scope::Scope;
pub use used::{CacheUse, Temperature};

use crate::{
    attempt::{AttemptOutcome, AttemptRequest, AttemptResult, Context},
    command_line::Script,
    config::lists,
    control::Level,
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Flow, Machine},
    runtimes::Work,
    source::{self, Entry},
    supervise::CacheMount,
    text,
};

/// What a machine runs.
const STORE: &str = include_str!("store.sh");

/// What the key is of that a cache is kept under whose globs match no file: no job has it as its exact one.
const OF_NO_FILE: &[u8] = b"the globs of this cache match no file";

/// How long a large cache may take that has to be copied.
const COPYING: Duration = Duration::from_secs(1800);

/// What a run may do with caches.
#[derive(Debug)]
pub struct Caches {
    /// Which repository they are of.
    pub repository: String,
    /// Whose it reads, in this order.
    pub reads: Vec<Scope>,
    /// Whose it writes; absent: it keeps none.
    pub writes: Option<Scope>,
    /// Where they are on this machine; absent: in its cache directory.
    pub dir: Option<PathBuf>,
    /// The most bytes that are kept of one.
    pub most: u64,
    /// The names that are kept; absent: any.
    pub names: Option<Vec<String>>,
    /// Whether the tree is another than the planned one, so that no exact key is known.
    pub stale: bool,
    /// What git is run with.
    pub environment: BTreeMap<String, String>,
}

impl Caches {
    /// Returns whether the site keeps caches of that name.
    fn allows(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| lists(names, name))
    }

    /// Returns the exact key of a cache of a node; nothing where it has none, or its tree is another than the planned one.
    fn key<'a>(&self, node: &'a Node, cache: &Cache) -> Option<&'a Key> {
        node.cache_keys.get(&cache.name).filter(|_| !self.stale)
    }

    /// Reads what a machine said of the cache with a number of a node, and what people should know of it.
    fn read(&self, said: &str, node: &Node, number: usize) -> Option<(CacheUse, Vec<String>)> {
        let cache = &node.spec.caches[number];
        let scope_of = |place: &str| {
            let mut scopes = self.reads.iter();
            scopes.find(|scope| self.place(scope, cache, &node.spec.runtime) == place)
        };
        used::read(said, number, cache, self.key(node, cache), scope_of)
    }

    /// Returns the directory in which all caches of one name, scope and kind of guest are.
    fn place(&self, scope: &Scope, cache: &Cache, runtime: &Runtime) -> String {
        let mut digest = Sha256::new();
        let scope = scope.to_string();
        for part in [&*self.repository, &scope, cache.name.as_str(), &inside(runtime)] {
            digest.update(part);
            digest.update([0]);
        }
        text::hex(&digest.finalize()[..16])
    }
}

/// What a cache is of: files of one guest are of no use, or in the way, in another.
fn inside(runtime: &Runtime) -> String {
    match runtime {
        Runtime::HostProcess => "host_process".to_owned(),
        Runtime::Incus(incus) => format!("incus:{}", incus.image),
        Runtime::Tart(tart) => format!("tart:{}", tart.image),
    }
}

/// Returns where the caches of an attempt are given out on its machine; each in a directory called by its number.
pub(crate) fn root(context: &Context<'_>) -> String {
    let dir = context.machine.attempt_dir(&context.request.job());
    match &context.request.node.spec.runtime {
        // What an instance shares with its machine.
        Runtime::Incus(_) => format!("{dir}/guest/caches"),
        Runtime::HostProcess | Runtime::Tart(_) => format!("{dir}/caches"),
    }
}

/// Returns the caches below the workspace of a job that is a process of the machine.
pub(crate) fn mounts(context: &Context<'_>, work: &Work) -> Vec<CacheMount> {
    let root = root(context);
    // One elsewhere was refused when the plan was read.
    let at = |(number, cache): (usize, &Cache)| {
        let at = cache.path.in_workspace()?.clone();
        Some(CacheMount { dir: format!("{root}/{number}"), at })
    };
    work.caches.iter().enumerate().filter_map(at).collect()
}

/// Returns the locks without which caches that are exclusive are not given out.
pub(crate) fn groups(request: &AttemptRequest) -> Vec<String> {
    let Some(caches) = &request.caches else { return Vec::new() };
    let Some(scope) = caches.writes.as_ref().or(caches.reads.first()) else { return Vec::new() };
    let spec = &request.node.spec;
    let exclusive = spec.caches.iter().filter(|cache| cache.exclusive);
    exclusive
        .map(|cache| {
            let place = caches.place(scope, cache, &spec.runtime);
            format!("cache.{}.{}", cache.name, &place[..8])
        })
        .collect()
}

/// Gives an attempt its caches: a copy of its own of each, in `root`. Can be done again. Returns the script that gives
/// the files of the workspace their times; nothing where none of the caches holds anything.
///
/// # Errors
///
/// When the machine does not answer, or has no room for an empty directory.
pub(crate) fn take(context: &Context<'_>, work: &Work) -> Result<Option<Script>, Fault> {
    let Context { request, machine, .. } = context;
    let Some(caches) = request.caches.as_ref().filter(|_| !work.caches.is_empty()) else {
        return Ok(None);
    };
    let mut script =
        store(context).text("mkdir -p \"$d\" || exit 1\ncat >\"$d/tree\" <<'FORGE_LANES_TREE'\n");
    // What a host setup left has times of this run: all of it is new.
    if work.workspace_from.is_none() {
        let files = source::files_of(&work.source, &caches.environment)?;
        script = script.bytes(&tree_of(&files));
    }
    script = script.text("FORGE_LANES_TREE\n");
    let runtime = &request.node.spec.runtime;
    for (number, cache) in work.caches.iter().enumerate() {
        let key = caches.key(&request.node, cache);
        let yes = |is: bool| if is { "yes" } else { "no" };
        script = script.text("take").word(number.to_string());
        script = script.word(key.map_or("", |key| key.digits())).word(yes(cache.fallback));
        script = script.word(yes(may_be_layered(context, work)));
        if caches.allows(cache.name.as_str()) && !is_clustered(runtime) {
            let places = caches.reads.iter().map(|scope| caches.place(scope, cache, runtime));
            script = script.words(places);
        }
        script = script.text(" && dates").word(number.to_string()).text(" || exit 1\n");
    }
    let said = ask(context, &script, Level::Run)?;
    let mut found = Vec::new();
    for (number, cache) in work.caches.iter().enumerate() {
        let (used, notes) = caches.read(&said, &request.node, number).ok_or_else(|| {
            let what = format!("what `{}` says of caches cannot be read", machine.name());
            Fault::new(FailureKind::Protocol, what)
        })?;
        for note in notes {
            context.warn(note);
        }
        if !caches.allows(cache.name.as_str()) {
            context.warn(format!("this site keeps no cache `{}`", cache.name));
        } else if is_clustered(runtime) {
            let name = &cache.name;
            context.warn(format!("no cache `{name}`: a cluster sees no directory of its machine"));
        } else if used.key.is_none() && !cache.key.is_empty() {
            context
                .warn(format!("cache `{}` has no exact key: its globs match no file", cache.name));
        }
        found.push(used);
    }
    let warm = found.iter().any(|used| used.temperature != Temperature::Cold);
    context.caches.replace(found);
    let dates = store(context).text("date_files \"$1\"\n");
    Ok(warm.then_some(dates))
}

/// Finds again what [`take`] said, for an attempt that an earlier process began.
pub(crate) fn recall(context: &Context<'_>) {
    let request = context.request;
    let Some(caches) = &request.caches else { return };
    if request.node.spec.caches.is_empty() || !context.caches.borrow().is_empty() {
        return;
    }
    let script = Script::new("cat").word(root(context)).text("/*/use 2>/dev/null\ntrue\n");
    let Ok(said) = ask(context, &script, Level::Cancel) else { return };
    let numbers = 0..request.node.spec.caches.len();
    let read = |number| caches.read(&said, &request.node, number).map(|(used, _)| used);
    let found: Option<Vec<_>> = numbers.map(read).collect();
    context.caches.replace(found.unwrap_or_default());
}

/// Returns the numbers of the caches that are kept after an attempt that ended so.
pub(crate) fn to_keep(context: &Context<'_>, result: &AttemptResult) -> Vec<usize> {
    let request = context.request;
    let Some(caches) = &request.caches else { return Vec::new() };
    let ended = match result.outcome {
        AttemptOutcome::Passed => true,
        AttemptOutcome::Failed | AttemptOutcome::TimedOut | AttemptOutcome::Cancelled => false,
        AttemptOutcome::InfraFailed => return Vec::new(),
    };
    let wanted = caches.writes.is_some()
        && !caches.stale
        && result.started
        && context.control.level() < Level::Kill
        && request.node.kind == NodeKind::Execute
        && !is_clustered(&request.node.spec.runtime)
        && !context.caches.borrow().is_empty();
    let all = request.node.spec.caches.iter().enumerate().filter(|_| wanted);
    all.filter(|(_, cache)| caches.allows(cache.name.as_str()))
        .filter(|(_, cache)| match cache.save {
            CacheSave::Passed => ended,
            CacheSave::Always => true,
            CacheSave::Never => false,
        })
        .map(|(number, _)| number)
        .collect()
}

/// Keeps what the job made of its caches. Nothing of it runs any more.
pub(crate) fn keep(context: &Context<'_>, numbers: &[usize]) {
    let Context { request, machine, .. } = context;
    let Some((caches, scope)) =
        request.caches.as_ref().and_then(|caches| Some((caches, caches.writes.as_ref()?)))
    else {
        return;
    };
    let root = root(context);
    let attempt = machine.attempt_dir(&request.job());
    let runtime = &request.node.spec.runtime;
    let mut script = store(context);
    for &number in numbers {
        let cache = &request.node.spec.caches[number];
        let key = request.node.cache_keys.get(&cache.name).cloned();
        let key = match key {
            Some(key) => key,
            None if cache.key.is_empty() => plans::CacheKey::of_nothing(),
            None if cache.fallback => Key::of(OF_NO_FILE),
            None => {
                let name = &cache.name;
                context.warn(format!("cache `{name}` is not kept: its globs match no file"));
                continue;
            }
        };
        let data = format!("{root}/{number}");
        if let Err(error) = layer::fold(Path::new(&data)) {
            context.warn(format!("cache `{}` is not kept: {error}", cache.name));
            continue;
        }
        let most = cache
            .max_mib
            .map_or(caches.most, |mib| mib.saturating_mul(1024 * 1024).min(caches.most));
        let facts = [
            ("name", cache.name.to_string()),
            ("scope", scope.to_string()),
            ("repository", caches.repository.clone()),
            ("inside", inside(runtime)),
            ("path", cache.path.to_string()),
            ("run", request.run.clone()),
            ("node", request.node.id.to_string()),
        ];
        let line = |(word, value): (&str, String)| format!("{word}\t{}\n", text::neutral(&value));
        script = script.set("facts", facts.map(line).concat());
        script = script.text("save").word(number.to_string());
        script = script.word(caches.place(scope, cache, runtime)).word(key.digits());
        script = script.word(most.to_string());
        // A workspace of its own may have it in itself.
        let own = format!("{attempt}/ws");
        script = script.words([&*data, &*own, cache.path.as_str()]).text("\n");
    }
    let said = match ask(context, &script, Level::Cancel) {
        Ok(said) => said,
        Err(fault) => {
            context.warn(format!("caches are not kept: {fault}"));
            return;
        }
    };
    let mut used = context.caches.borrow_mut();
    for line in said.lines() {
        let mut words = line.splitn(3, '\t');
        let (Some(word), Some(number)) = (words.next(), words.next()) else { continue };
        let Some(one) = number.parse().ok().and_then(|number: usize| used.get_mut(number)) else {
            continue;
        };
        match (word, words.next()) {
            ("saved", Some(bytes)) => {
                one.saved = true;
                one.saved_bytes = bytes.parse().ok();
            }
            ("not", Some(why)) => {
                context.warn(format!("cache `{}` is not kept: {}", one.name, text::neutral(why)));
            }
            _ => {}
        }
    }
}

/// Begins a script with the functions of a machine's store.
fn store(context: &Context<'_>) -> Script {
    let own = context.request.caches.as_ref().and_then(|caches| caches.dir.as_ref());
    functions(dir_of(context.machine, own)).set("d", root(context))
}

/// Begins a script with the functions of the store in a directory.
fn functions(dir: impl AsRef<std::ffi::OsStr>) -> Script {
    Script::new("").set("s", dir).text(STORE)
}

/// Runs a script on the machine of an attempt, and returns what it said; it is ended when more than `seen` is asked for.
fn ask(context: &Context<'_>, script: &Script, seen: Level) -> Result<String, Fault> {
    let mut said = Vec::new();
    let mut sink = |bytes: &[u8]| {
        said.extend_from_slice(bytes);
        Flow::Continue
    };
    let command = ControlCommand::new(["sh", "-s"]).stdin(script.as_bytes()).deadline(COPYING);
    let answer = context.machine.stream(&command, &mut sink, context.control, seen)?;
    let Some(answer) = answer else { return Err(Fault::cancelled()) };
    let machine = context.machine.name();
    if !answer.success() {
        let complaint = answer.complaint();
        let what = format!("the directories of caches on `{machine}` cannot be made: {complaint}");
        return Err(Fault::new(FailureKind::Workspace, what));
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn is_clustered(runtime: &Runtime) -> bool {
    matches!(runtime, Runtime::Incus(incus) if incus.cluster.is_some())
}

/// Returns whether a job of this machine may see a cache as layers: what it writes above what was kept. Only root can
/// have layers in which a directory is renamed as in any other.
fn may_be_layered(context: &Context<'_>, work: &Work) -> bool {
    context.machine.placement() == plans::PlacementKind::Local
        && matches!(work.runtime, Runtime::HostProcess)
        && rustix::process::geteuid().is_root()
}

/// Returns a line for each file and directory that a job sees: what it holds, and its path.
///
/// A path that no line can hold has none: it is always new.
fn tree_of(files: &[Entry]) -> Vec<u8> {
    let mut names: BTreeMap<&[u8], Sha256> = BTreeMap::new();
    let mut tree = Vec::new();
    for Entry { path, kind, object } in files {
        let mut below: &[u8] = path;
        while let Some(end) = below.iter().rposition(|byte| *byte == b'/') {
            let (directory, name) = (&below[..end], &below[end + 1..]);
            let known = names.contains_key(directory);
            let digest = names.entry(directory).or_default();
            digest.update(name);
            digest.update([0]);
            if known {
                break;
            }
            below = directory;
        }
        let kind = match kind {
            FileMode::File => 'f',
            FileMode::Executable => 'x',
            FileMode::Symlink => 'l',
            FileMode::Submodule => continue,
        };
        line(&mut tree, &format!("{kind}{object}"), path);
    }
    for (path, digest) in names {
        line(&mut tree, &format!("d{}", text::hex(&digest.finalize()[..16])), path);
    }
    tree
}

fn line(tree: &mut Vec<u8>, what: &str, path: &[u8]) {
    if path.contains(&b'\n') {
        return;
    }
    tree.extend_from_slice(what.as_bytes());
    tree.extend_from_slice(b" ./");
    tree.extend_from_slice(path);
    tree.push(b'\n');
}

/// Returns where a machine keeps caches; `own` is this machine's, where the site says another than usual.
pub(crate) fn dir_of(machine: &dyn Machine, own: Option<&PathBuf>) -> OsString {
    match own.filter(|_| machine.placement() == plans::PlacementKind::Local) {
        Some(dir) => dir.as_os_str().to_owned(),
        None => machine.caches_dir().into(),
    }
}
