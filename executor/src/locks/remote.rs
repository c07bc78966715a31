//! The locks of a host, over all executors that use it: slots and groups.
//!
//! A lock is a file on the host, written under a `flock` that nobody keeps. It is somebody's for a minute,
//! renewed by this process while it holds it, and for as long as the job runs that it was acquired for. So
//! it is released by whatever ends both.
//!
//! A slot is kept for this executor's next job, for a moment and unless another executor waits for one:
//! acquiring one costs a host more than a short job does. A job that starts there writes itself into
//! the slot it is given; one in a guest cannot, so it acquires and releases a slot of its own. A group is
//! released at once.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    HeldLocks, Holder, Holding as Held, LockRequest, Resource, Table, Waiter, Waiting,
    ask_until_free,
    holders::{self, Standing},
};
use crate::{
    batch::Batch,
    command_line::Script,
    control::Control,
    fault::{FailureKind, Fault},
    ssh::{Ask, Host, Patience, SshError, SshFault, fault},
    supervise::{
        shim::{self, Server},
        token,
    },
};

/// For how long a lock is ours without a job or a renewal.
const SECONDS: u64 = 60;

/// How often locks are renewed.
const RENEW: Duration = Duration::from_secs(SECONDS / 3);

/// For how long a slot is kept that nobody here needs.
const KEPT_IDLE: Duration = Duration::from_millis(1500);

/// A lock that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    /// What says so in the file.
    pub(crate) token: String,
    /// The file's name.
    pub(crate) file: String,
}

/// The locks of one host that this process holds.
#[derive(Debug, Default)]
pub(crate) struct RemoteLocks {
    shared: Arc<Shared>,
    takes: Batch<Result<String, Fault>, Vec<String>>,
    keeper: Mutex<Option<thread::JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    ours: Mutex<Ours>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Ours {
    /// Locks of attempts, with the directory of each.
    used: Vec<(String, Lock)>,
    /// Slots without an attempt, with the time since when.
    idle: Vec<(Instant, Lock)>,
    /// Slots that others wait for.
    wanted: Vec<Lock>,
    /// To be released.
    over: Vec<Lock>,
    closing: bool,
}

impl RemoteLocks {
    /// Returns the locks of the attempt in that directory.
    pub(crate) fn of(&self, directory: &str) -> Vec<Lock> {
        let ours = self.shared.ours();
        let used = ours.used.iter().filter(|(user, _)| user == directory);
        used.map(|(_, lock)| lock.clone()).collect()
    }

    /// Releases slots once their attempt is over: another executor waits for one, or has it.
    pub(crate) fn give_up(&self, locks: &[Lock]) {
        self.shared.ours().give_up(locks);
    }

    /// Releases everything and waits until the host was told, or cannot be.
    pub(crate) fn close(&self) {
        self.shared.ours().closing = true;
        self.shared.changed.notify_all();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // It says itself what it could not do.
            let _ = keeper.join();
        }
    }

    /// Acquires everything that is wanted, waiting as long as `control` allows.
    ///
    /// # Errors
    ///
    /// When the host does not answer, or its lock directory cannot be used.
    pub(crate) fn acquire(
        &self,
        server: &dyn Fn() -> Result<LockServer, Fault>,
        wanted: &LockRequest,
        control: &Control,
        waits: &dyn Fn(&Waiting),
    ) -> Result<Option<Box<dyn HeldLocks>>, Fault> {
        let shared = &self.shared;
        let keep = !wanted.in_guest;
        let mut groups = wanted.groups.clone();
        groups.sort();
        groups.dedup();
        let directory = wanted.holder.as_ref().map_or("-", |(_, directory)| directory.as_str());
        let mine = token();
        let waited = Cell::new(false);
        let told = |waiting: &Waiting| {
            waited.set(true);
            waits(waiting);
        };
        let held = ask_until_free(control, &told, || {
            let mut holding =
                Holding { shared: Arc::clone(shared), locks: Vec::new(), keep, server: None };
            let hold = |holding: &mut Holding, lock: Lock| {
                shared.ours().used.push((directory.to_owned(), lock.clone()));
                holding.locks.push(lock);
            };
            let mut slots = wanted.max_jobs;
            if slots.is_some() && keep {
                let kept = shared.ours().idle.pop();
                if let Some((_, slot)) = kept {
                    hold(&mut holding, slot);
                    slots = None;
                }
            }
            if slots.is_none() && groups.is_empty() {
                return Ok(Ok(holding));
            }
            let server = server()?;
            self.keep(&server)?;
            let mut words = vec![mine.clone(), SECONDS.to_string(), directory.to_owned()];
            words.push(slots.unwrap_or(0).to_string());
            words.push(format!("who={}", holders::this_process()));
            words.extend_from_slice(&groups);
            // One of this process asks at a time: the others would only hear the same.
            let answer = self.takes.ask(words, |all| server.take(all))?;
            if let Some(files) = answer.strip_prefix("taken") {
                for file in files.split_ascii_whitespace() {
                    let lock = Lock { token: mine.clone(), file: file.to_owned() };
                    hold(&mut holding, lock);
                }
                holding.server = Some(server);
                return Ok(Ok(holding));
            }
            if answer == "error no_space" {
                let full = SshError::new(&server.name, SshFault::NoSpace, answer);
                return Err(fault(FailureKind::NoAnswer, &full));
            }
            let Some(busy) = answer.strip_prefix("busy ") else {
                let text = format!("host `{}`: no lock can be acquired: {answer}", server.name);
                // Trying again changes neither.
                if answer.contains("lock") {
                    return Err(Fault::new(FailureKind::ToolMissing, text).advice(
                        "`work_dir` has to be on a file system with locks (flock), and flock(1) or perl there",
                    ));
                }
                return Err(Fault::new(FailureKind::Protocol, text));
            };
            // While it waits for a group, its slot is for others.
            shared.ours().wanted.extend(holding.locks.iter().cloned());
            Ok(Err(waiting(busy, &server.name)))
        })?;
        if held.is_none() && waited.get() {
            // Nobody is to see it wait any more.
            let file = format!("wait.{mine}");
            shared.ours().over.push(Lock { token: mine, file });
            shared.changed.notify_all();
        }
        Ok(held.map(|held| Box::new(held) as Box<dyn HeldLocks>))
    }

    /// Starts the thread that renews and releases, unless it runs.
    fn keep(&self, server: &LockServer) -> Result<(), Fault> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            let server = server.clone();
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new()
                .name("locks".to_owned())
                .spawn(move || keep(&shared, &server))
                .map_err(|error| {
                    Fault::io(FailureKind::Io, "starting a thread that keeps locks", &error)
                })?;
            *keeper = Some(started);
        }
        Ok(())
    }
}

impl Ours {
    fn give_up(&mut self, locks: &[Lock]) {
        self.wanted.extend(locks.iter().filter(|lock| lock.is_slot()).cloned());
    }

    /// Nothing of these is kept: somebody else has them.
    fn lose(&mut self, lost: &[Lock]) {
        self.idle.retain(|(_, slot)| !lost.contains(slot));
        self.give_up(lost);
    }
}

impl Lock {
    fn is_slot(&self) -> bool {
        self.file.starts_with("place.")
    }
}

impl Shared {
    fn ours(&self) -> MutexGuard<'_, Ours> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The locks of one attempt.
struct Holding {
    shared: Arc<Shared>,
    locks: Vec<Lock>,
    /// Whether its slot may be kept for the next job.
    keep: bool,
    /// What serves them, once there are some.
    server: Option<LockServer>,
}

impl HeldLocks for Holding {
    fn check(&self) -> Result<(), Fault> {
        let Some(server) = &self.server else { return Ok(()) };
        let lost = server.hold(&self.locks, &server.host.patience());
        let lost = lost.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
        self.shared.ours().lose(&lost);
        match lost.first() {
            None => Ok(()),
            Some(lock) => Err(lost_lock(&server.name, &lock.file)),
        }
    }
}

/// The fault of a job that may not start: somebody else has its lock.
pub(crate) fn lost_lock(host: &str, file: &str) -> Fault {
    let text =
        format!("host `{host}`: another executor took its lock (`{file}`) before it started");
    Fault::new(FailureKind::LockLost, text)
        .advice("the connection was away for longer than a lock lasts; it is tried again")
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut ours = self.shared.ours();
        for lock in self.locks.drain(..) {
            ours.used.retain(|(_, used)| *used != lock);
            let wanted = ours.wanted.iter().position(|wanted| *wanted == lock);
            if let Some(wanted) = wanted {
                ours.wanted.swap_remove(wanted);
            }
            if self.keep && wanted.is_none() && lock.is_slot() {
                ours.idle.push((Instant::now(), lock));
            } else {
                ours.over.push(lock);
            }
        }
        self.shared.changed.notify_all();
    }
}

/// Reads `FILE [HELD WHO JOB]`, which a host says of a lock that somebody has.
fn waiting(busy: &str, host: &str) -> Waiting {
    let (file, holder) = busy.split_once(' ').unwrap_or((busy, ""));
    // Of many places it says no number.
    let resource = Resource::of_file(file).unwrap_or(Resource::Place(0));
    let mut words = holder.splitn(3, ' ');
    let holder = words.next().zip(words.next()).zip(words.next());
    let holder = holder.map(|((held, who), job)| {
        Holder::of_directory(job).since_secs_ago(held.parse().ok()).in_process(who)
    });
    Waiting::of(&resource, host, holder)
}

/// Reads a line of `holders`: `lock FILE STANDING HELD LEFT WHO JOB` or `wait FILE FOR WAITED LEFT WHO JOB`, where `-`
/// is for what is not known.
fn read_line(line: &str, table: &mut Table) -> Option<()> {
    let mut words = line.splitn(7, ' ');
    let mut word = || words.next();
    let (kind, file, what, since, left) = (word()?, word()?, word()?, word()?, word()?);
    let (who, job) = (word()?, word()?);
    let holder = Holder::of_directory(job).since_secs_ago(since.parse().ok()).in_process(who);
    match kind {
        "lock" => {
            let standing = match what {
                "held" => Standing::Held,
                "job" => Standing::Job,
                _ => Standing::Dead,
            };
            let lease_left = left.parse().ok().map(Duration::from_secs);
            let resource = Resource::of_file(file)?;
            table.holdings.push(Held { resource, standing, holder, lease_left });
        }
        "wait" => {
            let resource = match Resource::of_file(what) {
                Some(resource) => resource.to_string(),
                None => "a place".to_owned(),
            };
            let (dead, file) = (left == "0", file.to_owned());
            table.waiters.push(Waiter { resource, holder, dead, file });
        }
        _ => {}
    }
    Some(())
}

/// Returns a script that makes the calls one after the other and says before each which one it is.
fn numbered(calls: impl Iterator<Item = Script>) -> (Script, String) {
    let mark = token();
    let script = calls.enumerate().fold(Script::default(), |script, (number, call)| {
        script.text(&format!("printf '\\n%s ' {mark}{number}\n(")).then(&call).text(")\n")
    });
    (script, mark)
}

/// Returns what each call said: the line that begins with one of these words, or else all that a shell complained of.
fn answers(text: &str, mark: &str, count: usize, words: &[&str]) -> Vec<String> {
    let mut all = vec![String::new(); count];
    for part in text.split(mark) {
        let Some((number, said)) = part.split_once(' ') else { continue };
        let Some(answer) = number.parse::<usize>().ok().and_then(|at| all.get_mut(at)) else {
            continue;
        };
        let line = said.lines().find(|line| words.iter().any(|word| line.starts_with(word)));
        line.unwrap_or(said).trim().clone_into(answer);
    }
    all
}

/// What serves the locks of a host: its supervisor.
#[derive(Clone)]
pub(crate) struct LockServer {
    /// The host, for messages.
    pub(crate) name: String,
    pub(crate) host: Arc<Host>,
    /// The supervisor's path there.
    pub(crate) shim: PathBuf,
    pub(crate) server: Option<Server>,
    /// The directory of locks there.
    pub(crate) directory: String,
}

impl fmt::Debug for LockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockServer").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl LockServer {
    /// Returns what the supervisor says to each request for locks.
    fn take(&self, all: &[Vec<String>]) -> Vec<Result<String, Fault>> {
        let calls = all
            .iter()
            .map(|words| shim::call(&self.shim, "take", self.directory.as_ref()).words(words));
        let (script, mark) = numbered(calls);
        // `error WHY` comes with a status that is no success.
        match self.host.ask(&Ask::Shell(Cow::Owned(script)), &self.host.patience()) {
            Err(error) => vec![Err(fault(FailureKind::NoAnswer, &error)); all.len()],
            Ok(answer) => answers(&answer.text(), &mark, all.len(), &["taken", "busy ", "error "])
                .into_iter()
                .map(Ok)
                .collect(),
        }
    }

    /// Returns what is held and waited for there.
    pub(crate) fn table(&self) -> Result<Table, Fault> {
        let text = self.ask("holders", &[])?;
        let mut table = Table::default();
        for line in text.lines() {
            // A login may greet.
            let _ = read_line(line, &mut table);
        }
        Ok(table.sorted())
    }

    /// Takes the name of a dead holder off its lock, or a dead waiter's note away; `false`: it is not dead any more.
    pub(crate) fn free(&self, file: &str) -> Result<bool, Fault> {
        let text = self.ask("free", &[file])?;
        Ok(text.lines().any(|line| line == format!("freed {file}")))
    }

    fn ask(&self, verb: &str, words: &[&str]) -> Result<String, Fault> {
        let script = shim::call(&self.shim, verb, self.directory.as_ref()).words(words);
        let answer = self.host.ask(&Ask::Shell(Cow::Owned(script)), &self.host.patience());
        answer.map(|answer| answer.text()).map_err(|error| fault(FailureKind::NoAnswer, &error))
    }

    /// Releases locks.
    fn drop(&self, locks: &[Lock]) {
        let words = locks.iter().flat_map(|lock| [&lock.token, &lock.file]);
        let ask = Ask::verb(self.server.as_ref(), &self.shim, "drop", &self.directory, words);
        let _ = self.host.ask(&ask, &within(5));
    }

    /// Keeps locks for another while; returns those that somebody else has by now.
    fn hold(&self, locks: &[Lock], patience: &Patience<'_>) -> Result<Vec<Lock>, SshError> {
        let (script, mark) = numbered(locks.iter().map(|lock| {
            let call = shim::call(&self.shim, "hold", self.directory.as_ref()).word(&lock.token);
            call.word(SECONDS.to_string()).word(&lock.file)
        }));
        let text = self.host.ask(&Ask::Shell(Cow::Owned(script)), patience)?.text();
        let said = answers(&text, &mark, locks.len(), &["held", "lost ", "error "]);
        let lost = locks.iter().zip(said).filter(|(_, said)| said.starts_with("lost "));
        Ok(lost.map(|(lock, _)| lock.clone()).collect())
    }
}

/// The patience of the thread that keeps locks. A job holds its own as well, once it runs; one that is
/// not released in time is free by itself within a minute.
fn within(budget: u64) -> Patience<'static> {
    Patience {
        each: Duration::from_secs(15),
        budget: Duration::from_secs(budget),
        give_up: &|| false,
        control: None,
    }
}

/// Renews what is held and releases what is over, until the host is closed.
fn keep(shared: &Shared, server: &LockServer) {
    let mut renew_at = Instant::now() + RENEW;
    let mut ours = shared.ours();
    loop {
        let now = Instant::now();
        let closing = ours.closing;
        let is_over = |since: &Instant| closing || now >= *since + KEPT_IDLE;
        let (over, idle) = std::mem::take(&mut ours.idle)
            .into_iter()
            .partition::<Vec<_>, _>(|(since, _)| is_over(since));
        ours.idle = idle;
        let mut gone = std::mem::take(&mut ours.over);
        gone.extend(over.into_iter().map(|(_, slot)| slot));
        if !gone.is_empty() {
            drop(ours);
            server.drop(&gone);
            ours = shared.ours();
            continue;
        }
        if closing {
            return;
        }
        if now >= renew_at {
            renew_at = now + RENEW;
            let used = ours.used.iter().map(|(_, lock)| lock);
            let all: Vec<Lock> =
                used.chain(ours.idle.iter().map(|(_, lock)| lock)).cloned().collect();
            drop(ours);
            // What could not be asked is asked again.
            let lost = match all.is_empty() {
                true => Vec::new(),
                false => server.hold(&all, &within(10)).unwrap_or_default(),
            };
            ours = shared.ours();
            ours.lose(&lost);
            continue;
        }
        let next = ours.idle.iter().map(|(since, _)| *since + KEPT_IDLE).min();
        let until = next.map_or(renew_at, |next| next.min(renew_at));
        let wait = until.saturating_duration_since(now);
        ours = shared.changed.wait_timeout(ours, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_its_request_whatever_others_say() {
        let (script, mark) = numbered((0..4).map(|_| Script::new("true")));
        assert!(script.as_bytes().windows(mark.len()).any(|part| part == mark.as_bytes()));
        // The first says nothing, the second complains, the third as well and then has its word.
        let text = format!(
            "\n{mark}0 \n{mark}1 sh: flock: not found\n\n{mark}2 sh: odd\ntaken place.1\n\n{mark}3 busy place\n"
        );
        assert_eq!(
            answers(&text, &mark, 4, &["taken", "busy ", "error "]),
            ["", "sh: flock: not found", "taken place.1", "busy place"]
        );
    }

    #[test]
    fn what_a_host_says_of_holders_is_read() {
        let mut table = Table::default();
        for line in [
            "Welcome to the host",
            "lock group.a held 240 17 12@mac /w d/runs/r1/execute-a.1",
            "lock place.0 dead - - - -",
            "wait wait.0f group.a 12 8 13@mac /w d/runs/r2/execute-b.2",
            "wait wait.1f place 12 0 - -",
        ] {
            let _ = read_line(line, &mut table);
        }
        let [group, place] = &table.holdings[..] else { panic!("{table:?}") };
        assert_eq!(
            (group.standing, group.lease_left),
            (Standing::Held, Some(Duration::from_secs(17)))
        );
        assert!(group.holder.in_words().starts_with("run r1, execute-a, 4m"), "{group:?}");
        assert_eq!((place.standing, &place.holder), (Standing::Dead, &Holder::default()));
        let [one, other] = &table.waiters[..] else { panic!("{table:?}") };
        assert_eq!(
            (&*one.resource, one.dead, one.holder.node.as_deref()),
            ("group a", false, Some("execute-b"))
        );
        assert_eq!((&*other.resource, other.dead), ("a place", true));
        let said = waiting("place 5 12@mac /w/runs/r1/execute-a.1", "mac").to_string();
        assert_eq!(said, "waits for a place on mac (run r1, execute-a, 5s)");
        assert_eq!(waiting("group.g", "mac").to_string(), "waits for group g");
    }
}
