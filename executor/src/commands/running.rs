//! Takes a run from its journal to its record and tells it: what `apply`, `rerun` and `resume` do
//! once they know what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use plans::Placement;

use crate::{
    cli::{Output, Running},
    clock,
    control::{Control, Level},
    dispatch::{Dispatch, Dispatched, Message, Run},
    error::Error,
    event::{self, Event},
    exit_code::Exit,
    fault::{FailureKind, Fault},
    journal::{self, Entry, Journal, RunStarted},
    ledger::Ledger,
    placements::{Machines, MachinesConfig},
    record::{self, NodeRecord, Record, RunOutcome},
    reporters::{self, GitHub, Human, JUnit, Jsonl, Reporter, Reporters},
    repository::{self, Repository},
    signals::{Asked, Listener},
    state::{RunId, RunLock, StateDir},
    state_registry, text,
    trust::{self, Distrust},
};

use super::{history, prepare::Ready};

/// How long a run that is over waits for what it hands over to the host that keeps results as well.
const LAST_RESULTS: Duration = Duration::from_secs(1);

/// What a run repeats.
pub(super) struct Repeats {
    /// The run.
    pub(super) run: String,
    /// The nodes that need not run again, because they passed there or before.
    pub(super) passed: BTreeSet<String>,
}

/// Makes a new run of a plan and runs it.
pub(super) fn begin(
    state: &StateDir,
    plan: &[u8],
    ready: Ready,
    rerun_of: Option<Repeats>,
    running: &Running,
) -> Result<Exit, Error> {
    let machines = Arc::new(Machines::new(machines_config(state)?));
    own_state(state)?;
    trusted_hosts(&machines, &ready)?;
    let (rerun_of, passed_before) = match rerun_of {
        Some(Repeats { run, passed }) => (Some(run), passed),
        None => (None, BTreeSet::new()),
    };
    let started = |id: &RunId| {
        Entry::RunStarted(RunStarted {
            format_version: journal::VERSION.to_string(),
            run_id: id.to_string(),
            plan_digest: ready.digest.clone(),
            at: clock::now(),
            pid: std::process::id(),
            jobs: ready.jobs().get(),
            fail_fast: ready.fail_fast(),
            only: ready.wanted().only.clone(),
            repository: ready.source.repository.clone(),
            tree: ready.source.tree.to_string(),
            rerun_of,
            reuse: ready.wanted().reuse.reuse,
            untrusted: ready.wanted().reuse.untrusted,
            passed_before,
        })
    };
    let mut first = None;
    let (dir, lock) = state.new_run(plan, |id| first.insert(started(id)).to_line())?;
    let first = first.expect("a run that was made has its first line");
    let journal = Journal::open(&dir.journal(), first.to_line().len() as u64)?;
    let mut ledger = Ledger::new(&ready.plan);
    ledger.apply(first).expect("it is about no node");
    let run = ready.into_run(dir, &history::usual(state))?;
    go_on((state, machines), &run, &lock, journal, ledger, running, false)
}

/// Runs what the ledger has no verdict for, and tells the whole.
pub(super) fn go_on(
    (state, machines): (&StateDir, Arc<Machines>),
    run: &Run,
    _held: &RunLock,
    journal: Journal,
    mut ledger: Ledger,
    running: &Running,
    resumed: bool,
) -> Result<Exit, Error> {
    let mut reporters = reporters_of(run.dir.id.as_str(), &nodes_dir(run), running);
    reporters.event(&Event::RunStarted(event::RunStarted {
        format_version: event::VERSION.to_owned(),
        plan_digest: ledger.started().map(|s| s.plan_digest.clone()).unwrap_or_default(),
        at: ledger.started().map(|s| s.at.clone()).unwrap_or_default(),
        nodes: run.nodes.len(),
        resumed,
        directory: run.dir.path().display().to_string(),
    }));
    if !resumed && let Some(message) = empty_submodules(run) {
        reporters.event(&Event::Warning(event::Warning { node: None, message }));
    }
    let journal = Arc::new(journal);
    // Only a collection asks for it, and one that does not know it makes a tree anew at worst.
    let _ = state_registry::note(machines.machine_dir(), state);
    let (sender, messages) = mpsc::channel();
    let asked = sender.clone();
    let before = Control::new()
        .map_err(|error| Error::System { what: "no more files can be opened", error })?;
    let stop_looking = before.clone();
    let _listener = Listener::start(move |by| {
        stop_looking.raise(Level::Cancel);
        // The run may be over already.
        let _ = asked.send(Message::Asked(by));
    })
    .map_err(|error| Error::System { what: "signals cannot be listened to", error })?;

    let dispatch = Dispatch::new(
        run,
        Arc::clone(&journal),
        &mut ledger,
        (Arc::clone(&machines), &before),
        &mut reporters,
        sender,
    );
    let (dispatched, asked_by) = dispatch.run(&messages);
    // Who asked for the end waits for nothing.
    let patience = asked_by.map_or(LAST_RESULTS, |_| Duration::ZERO);
    if let Some(message) = run.results.as_ref().and_then(|results| results.end(patience)) {
        reporters.event(&Event::Warning(event::Warning { node: None, message }));
    }
    if !matches!(dispatched, Dispatched::Left) {
        machines.close();
    }
    let interrupted = match asked_by {
        Some(Asked::Terminate) => Exit::Terminated,
        Some(Asked::Interrupt) | None => Exit::Interrupted,
    };
    let run_id = run.dir.id.to_string();
    match dispatched {
        Dispatched::Finished => {}
        Dispatched::Left => {
            // What is drawn on a terminal goes before something is written below it.
            drop(reporters);
            reporters::stderr().text(&format!(
                "left run {run_id} as it is; `executor resume {run_id}` takes it up\n"
            ));
            return Ok(interrupted);
        }
        Dispatched::Broken(error) => return Err(Error::Broken { run: run_id, error }),
    }
    let outcome = record::run_outcome(ledger.outcomes(), ledger.stopping().is_some());
    let finished = Entry::RunFinished { at: clock::now(), outcome };
    let written = journal.write(&finished).and_then(|()| journal.settle());
    if let Err(error) = written {
        return Err(Error::Broken { run: run_id, error });
    }
    ledger.apply(finished).expect("it is about no node");
    let record = ledger.record(&run.plan, outcome, &run.selected);
    let kept = record.write(&run.dir.record());
    // The request to end has been answered.
    let _ = std::fs::remove_file(run.dir.cancel_request());
    tell_end(&mut reporters, &record, running.output);
    if let Err(error) = kept {
        return Err(Error::RecordNotWritten { run: run_id, error });
    }
    Ok(if outcome == RunOutcome::Cancelled { interrupted } else { Exit::of_run(outcome) })
}

/// What is said of submodules, which jobs see as empty directories: the first three, and how many there are.
fn empty_submodules(run: &Run) -> Option<String> {
    let paths = repository::submodules(&run.source.repository, &run.source.tree);
    let mut named: Vec<_> =
        paths.iter().take(3).map(|path| format!("`{}`", text::neutral(path))).collect();
    if paths.len() > named.len() {
        named.push(format!("{} more", paths.len() - named.len()));
    }
    (!paths.is_empty()).then(|| {
        format!(
            "submodules are empty directories to jobs, nothing is fetched: {}; a job that needs one runs `git clone` \
             itself",
            named.join(", ")
        )
    })
}

/// Tells a run that was over before.
pub(super) fn tell_finished(
    record: &Record,
    nodes_dir: PathBuf,
    directory: String,
    running: &Running,
) -> Exit {
    let mut reporters = reporters_of(&record.run_id, &nodes_dir, running);
    reporters.event(&Event::RunStarted(event::RunStarted {
        format_version: event::VERSION.to_owned(),
        plan_digest: record.plan_digest.clone(),
        at: record.started_at.clone(),
        nodes: record.nodes.len(),
        resumed: true,
        directory,
    }));
    for node in &record.nodes {
        reporters.event(&Event::NodeFinished(Box::new(event::NodeFinished::of(node))));
    }
    tell_end(&mut reporters, record, running.output);
    Exit::of_run(record.outcome)
}

fn tell_end(reporters: &mut Reporters, record: &Record, output: Output) {
    reporters.event(&Event::RunFinished(event::RunFinished {
        outcome: record.outcome,
        at: record.finished_at.clone().unwrap_or_default(),
        lanes: record.lanes.clone(),
    }));
    // Before the end is told: a forge's runner obeys what comes after it.
    if output == Output::Json {
        reporters::stdout().text(&record.to_json());
    }
    reporters.finish(record);
}

fn nodes_dir(run: &Run) -> PathBuf {
    run.dir.path().join("nodes")
}

fn reporters_of(run: &str, nodes_dir: &std::path::Path, running: &Running) -> Reporters {
    let mut reporters = Reporters::default();
    // First: what it prints makes everything after it harmless to a forge's runner.
    if let Some(github) = GitHub::from_env(|name| std::env::var(name).ok()) {
        reporters.add(github);
    }
    let verdicts = running.output == Output::Human;
    reporters.add(Human::new(run.to_owned(), nodes_dir.to_owned(), verdicts));
    if running.output == Output::Jsonl {
        reporters.add(Jsonl::new(std::io::stdout(), run.to_owned()));
    }
    if let Some(file) = &running.junit {
        reporters.add(JUnit::new(file.clone(), nodes_dir.to_owned()));
    }
    reporters
}

/// Returns where this process keeps what its machines need.
pub(super) fn machines_config(state: &StateDir) -> Result<MachinesConfig, Error> {
    let executor = std::env::current_exe()
        .map_err(|error| Error::System { what: "this program's own file is not known", error })?;
    Ok(MachinesConfig {
        runs_dir: state.runs_dir(),
        machine_dir: machine_dir()?,
        environment: environment(),
        executor,
    })
}

/// Returns this process's own environment. A variable that is not UTF-8 means nothing to anybody here.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Returns the per-machine directory of this user, and makes it if need be: below
/// `$XDG_CACHE_HOME` or `~/.cache`, else a directory of the user's own below `/var/tmp`. A `HOME`
/// that belongs to somebody else, as containers have it, is not used.
pub(super) fn machine_dir() -> Result<PathBuf, Error> {
    let set =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = rustix::process::geteuid().as_raw();
    let owned = |home: &PathBuf| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(home).is_ok_and(|found| found.uid() == user)
    };
    let (variable, dir) = if let Some(cache) = set("XDG_CACHE_HOME") {
        (Some("XDG_CACHE_HOME"), cache.join("forge-lanes"))
    } else if let Some(home) = set("HOME").filter(owned) {
        (Some("HOME"), home.join(".cache/forge-lanes"))
    } else {
        (None, PathBuf::from(format!("/var/tmp/forge-lanes-{user}")))
    };
    own("cache", &dir, &["trees", "results"], variable)?;
    match unfit(&dir) {
        None => Ok(dir),
        Some(why) => Err(Error::Directory {
            what: "cache",
            path: dir.display().to_string(),
            variable,
            why,
            mend: None,
        }),
    }
}

/// Makes a directory of this user's own, and refuses one that others, or whose `parts` others, could change.
pub(super) fn own(
    what: &'static str,
    dir: &Path,
    parts: &[&str],
    variable: Option<&'static str>,
) -> Result<(), Error> {
    owned(what, dir, variable, trust::own_directory(dir, parts))
}

/// The same of one that may be there to be read alone.
pub(super) fn own_readable(what: &'static str, dir: &Path) -> Result<(), Error> {
    owned(what, dir, None, trust::readable_directory(dir, &[]))
}

fn owned(
    what: &'static str,
    dir: &Path,
    variable: Option<&'static str>,
    found: std::io::Result<Option<Distrust>>,
) -> Result<(), Error> {
    let (why, mend) = match found {
        Ok(None) => return Ok(()),
        Ok(Some(distrust)) => (distrust.to_string(), Some(distrust.mend(&user_name()))),
        Err(error) => (error.to_string(), None),
    };
    Err(Error::Directory { what, path: dir.display().to_string(), variable, why, mend })
}

fn user_name() -> String {
    let user = rustix::process::geteuid().as_raw();
    std::env::var("USER").unwrap_or_else(|_| user.to_string())
}

/// Returns why a state directory is not to be trusted: what it says is run, and resumed. Whether the repository that it
/// lies in is, git says.
pub(super) fn distrusted_state(state: &StateDir) -> Option<Distrust> {
    let path = state.path();
    let found = trust::distrusted(path, None, &["runs"])?;
    let repository = std::env::current_dir().ok().and_then(|dir| Repository::discover(&dir).ok());
    match repository.as_ref().map(Repository::root).filter(|top| path.starts_with(top)) {
        Some(top) => trust::distrusted(path, Some(top), &["runs"]),
        None => Some(found),
    }
}

/// Returns what to do about it.
pub(super) fn mend_state(distrust: &Distrust) -> String {
    format!("{}; or choose another place with `--state-dir`", distrust.mend(&user_name()))
}

/// Makes the state directory, and refuses one that others could change, or in which no lock holds.
pub(super) fn own_state(state: &StateDir) -> Result<(), Error> {
    let refused = |why, mend| Error::Directory {
        what: "state",
        path: state.path().display().to_string(),
        variable: None,
        why,
        mend,
    };
    let look = || match distrusted_state(state) {
        Some(distrust) => Err(refused(distrust.to_string(), Some(distrust.mend(&user_name())))),
        None => Ok(()),
    };
    look()?;
    state.create()?;
    // Somebody else may have made it first.
    look()?;
    unfit(state.path()).map_or(Ok(()), |why| Err(refused(why, None)))
}

/// Says, for people, why a directory cannot do what runs need of one: take a file, and keep everybody else from a lock
/// that is held. Without, two executors would take the same run, or the same group.
fn unfit(dir: &Path) -> Option<String> {
    let path = dir.join(format!(".probe-{}", std::process::id()));
    let tried = || -> std::io::Result<bool> {
        std::fs::write(&path, [b'-'; 4096])?;
        let open = || std::fs::File::options().append(true).open(&path);
        let (one, other) = (open()?, open()?);
        one.lock()?;
        Ok(matches!(other.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    };
    let answer = tried();
    let _ = std::fs::remove_file(&path);
    match answer {
        Ok(true) => None,
        Ok(false) => Some("its file system lets two hold the same lock (flock)".to_owned()),
        Err(error) => Some(format!("a file with a lock (flock) cannot be made in it: {error}")),
    }
}

/// How long a run waits for its hosts to say whose their directories are. A host that takes longer
/// is asked again by the first node that needs it, and no job of it starts before.
const HOSTS_ANSWER: Duration = Duration::from_secs(20);

/// Refuses hosts on which others could change what is run, or that have no room, before anything starts. A host that
/// cannot be reached is no reason to refuse: its nodes say so.
fn trusted_hosts(machines: &Arc<Machines>, ready: &Ready) -> Result<(), Error> {
    let mut hosts = BTreeMap::new();
    for (node, _) in
        ready.with_site_overrides().iter().zip(&ready.selected).filter(|(_, asked)| **asked)
    {
        if let Placement::RemoteSsh(host) = &node.spec.placement {
            hosts.insert(host.host.clone(), node.spec.placement.clone());
        }
    }
    let (sender, answers) = mpsc::channel();
    for placement in hosts.into_values() {
        let (machines, sender) = (Arc::clone(machines), sender.clone());
        let ask = move || {
            let found = machines.open(&placement).and_then(|machine| {
                let facts = machine.facts()?;
                if !facts.is_full {
                    return Ok(());
                }
                let message =
                    format!("{}: nothing can be written to its `work_dir`", machine.name());
                Err(Fault::new(FailureKind::DiskFull, message).advice(
                    "make room there, `executor gc` does, or set another `work_dir` for this host",
                ))
            });
            // The run may go on without the answer.
            let _ = sender.send(found.err());
        };
        std::thread::Builder::new()
            .spawn(ask)
            .map_err(|error| Error::System { what: "a thread to ask a host", error })?;
    }
    drop(sender);
    let until = Instant::now() + HOSTS_ANSWER;
    let mut refused = Vec::new();
    while let Ok(answer) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
        let Some(fault) = answer else { continue };
        if matches!(fault.kind, FailureKind::UntrustedDirectory | FailureKind::DiskFull) {
            let advice = fault.advice.as_deref().unwrap_or_default();
            refused.push(format!("{}\n    {advice}", fault.message));
        }
    }
    refused.sort();
    if refused.is_empty() { Ok(()) } else { Err(Error::Untrusted(refused)) }
}

/// Reads how a run was begun, as far as its journal can be read.
pub(super) fn started(dir: &crate::state::RunDir) -> Option<RunStarted> {
    let replay = journal::read(&dir.journal()).ok()?;
    replay.entries.into_iter().find_map(|entry| match entry {
        Entry::RunStarted(started) => Some(started),
        _ => None,
    })
}

/// Reads how a run stands, from its record or, while there is none, from its journal.
pub(super) fn read_record(dir: &crate::state::RunDir) -> Result<Record, Error> {
    match Record::read(&dir.record()) {
        Ok(record) => return Ok(record),
        Err(record::RecordError::Io { error, .. })
            if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let bytes = super::prepare::read_plan(&dir.plan())?;
    let (plan, _) = plans::Plan::from_json(&bytes)?;
    let replay = journal::read(&dir.journal())?;
    let ledger = Ledger::replay(&plan, replay.entries)
        .map_err(|error| Error::Ledger { run: dir.id.to_string(), error })?;
    let only = ledger.started().and_then(|started| started.only.clone());
    let selected = super::prepare::select(&plan, only.as_deref())?;
    let unfinished = match dir.holder() {
        Some(_) => RunOutcome::Running,
        None => RunOutcome::Interrupted,
    };
    let mut record = ledger.record(&plan, unfinished, &selected);
    if record.outcome == RunOutcome::Running {
        tell_waiting(&mut record, dir);
    }
    Ok(record)
}

/// Writes into the record of a run that goes on what its nodes wait for.
pub(super) fn tell_waiting(record: &mut Record, dir: &crate::state::RunDir) {
    record.nodes.iter_mut().for_each(|node| tell_wait(node, dir));
}

/// Writes into the record of a node of such a run what it waits for.
pub(super) fn tell_wait(node: &mut NodeRecord, dir: &crate::state::RunDir) {
    if node.attempts > 0 && node.finished_at.is_none() {
        let id = plans::NodeId::new(node.id.as_str()).ok();
        node.waits_for = id.and_then(|id| dir.waits_for(&id)).map(|waiting| waiting.to_string());
    }
}
