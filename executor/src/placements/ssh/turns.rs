//! Taking turns on a host, over all executors that use it: places and groups.
//!
//! A turn is a file over there, written under a lock that nobody keeps. It is somebody's for a minute,
//! renewed by this process while it holds it, and for as long as the job runs that it was taken for. So
//! it is let go by whatever ends both.
//!
//! A place is kept for this executor's next job, for a moment and unless another executor waits for one:
//! taking one costs a host more than a short job does. A job that starts over there writes itself into
//! the place it is given; one in a guest cannot, so it takes and lets go a place of its own. A group is
//! let go at once.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    Patience,
    error::{SshError, SshFault},
    machine::{Reach, RemoteSsh, fault},
    session::Ask,
    token::token,
};
use crate::{
    batch::Batch,
    command_line::Script,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    locks::{Held, Turn},
    supervise::shim::{self, Server},
};

/// For how long a turn is ours without a job or a renewal.
const SECONDS: u64 = 60;

/// How often turns are renewed.
const RENEW: Duration = Duration::from_secs(SECONDS / 3);

/// How often a turn that somebody has is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// For how long a place is kept that nobody here needs.
const KEPT_IDLE: Duration = Duration::from_millis(1500);

/// A turn that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// What says so in the file.
    pub(super) token: String,
    /// The file's name.
    pub(super) file: String,
}

/// The turns of one host that this process holds.
#[derive(Debug, Default)]
pub(super) struct Turns {
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
    /// Turns of attempts, with the directory of each.
    used: Vec<(String, Taken)>,
    /// Places without an attempt, with the time since when.
    idle: Vec<(Instant, Taken)>,
    /// Places that others wait for.
    wanted: Vec<Taken>,
    /// To be let go.
    over: Vec<Taken>,
    closing: bool,
}

impl Turns {
    /// Returns the locks of the attempt in that directory.
    pub(super) fn of(&self, directory: &str) -> Vec<Taken> {
        let ours = self.shared.ours();
        let used = ours.used.iter().filter(|(user, _)| user == directory);
        used.map(|(_, lock)| lock.clone()).collect()
    }

    /// Lets places go once their attempt is over: another executor waits for one, or has it.
    pub(super) fn give_up(&self, locks: &[Taken]) {
        self.shared.ours().give_up(locks);
    }

    /// Lets everything go and waits until that is said over there, or cannot be.
    pub(super) fn close(&self) {
        self.shared.ours().closing = true;
        self.shared.changed.notify_all();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // It says itself what it could not do.
            let _ = keeper.join();
        }
    }

    /// Starts the thread that renews and lets go, unless it runs.
    fn keep(&self, machine: &RemoteSsh) -> Result<(), Fault> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            let there = There::of(machine)?;
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new()
                .name("turns".to_owned())
                .spawn(move || keep(&shared, &there))
                .map_err(|error| {
                    Fault::io(FailureKind::Io, "starting a thread that keeps turns", &error)
                })?;
            *keeper = Some(started);
        }
        Ok(())
    }
}

impl Ours {
    fn give_up(&mut self, locks: &[Taken]) {
        self.wanted.extend(locks.iter().filter(|lock| lock.is_place()).cloned());
    }

    /// Nothing of these is kept: somebody else has them.
    fn lose(&mut self, lost: &[Taken]) {
        self.idle.retain(|(_, place)| !lost.contains(place));
        self.give_up(lost);
    }
}

impl Taken {
    fn is_place(&self) -> bool {
        self.file.starts_with("place.")
    }
}

impl Shared {
    fn ours(&self) -> MutexGuard<'_, Ours> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turns of one attempt.
struct Holding {
    shared: Arc<Shared>,
    turns: Vec<Taken>,
    /// Whether its place may be kept for the next job.
    keep: bool,
    /// Where they are, once there are some.
    there: Option<There>,
}

impl Held for Holding {
    fn check(&self) -> Result<(), Fault> {
        let Some(there) = &self.there else { return Ok(()) };
        let lost = there.hold(&self.turns, &there.host.patience());
        let lost = lost.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
        self.shared.ours().lose(&lost);
        match lost.first() {
            None => Ok(()),
            Some(lock) => Err(lost_lock(&there.name, &lock.file)),
        }
    }
}

/// The fault of a job that may not start: somebody else has its lock.
pub(super) fn lost_lock(host: &str, file: &str) -> Fault {
    let text =
        format!("host `{host}`: another executor took its lock (`{file}`) before it started");
    Fault::new(FailureKind::LockLost, text)
        .advice("the connection was away for longer than a lock lasts; it is tried again")
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut ours = self.shared.ours();
        for turn in self.turns.drain(..) {
            ours.used.retain(|(_, used)| *used != turn);
            let wanted = ours.wanted.iter().position(|wanted| *wanted == turn);
            if let Some(wanted) = wanted {
                ours.wanted.swap_remove(wanted);
            }
            if self.keep && wanted.is_none() && turn.is_place() {
                ours.idle.push((Instant::now(), turn));
            } else {
                ours.over.push(turn);
            }
        }
        self.shared.changed.notify_all();
    }
}

/// Takes everything that is wanted, waiting as long as `control` allows.
pub(super) fn acquire(
    machine: &RemoteSsh,
    wanted: &Turn,
    control: &Control,
    waits: &dyn Fn(),
) -> Result<Option<Box<dyn Held>>, Fault> {
    let shared = &machine.turns.shared;
    let keep = !wanted.in_guest;
    let mut holding = Holding { shared: Arc::clone(shared), turns: Vec::new(), keep, there: None };
    let mut waiting = false;
    let mut groups = wanted.groups.clone();
    groups.sort();
    groups.dedup();
    let directory = wanted.holder.as_ref().map_or("-", |(_, directory)| directory.as_str());
    let mine = token();
    machine.host.warm();
    loop {
        if control.level() > Level::Run {
            return Ok(None);
        }
        let mut hold = |turn: Taken| {
            let mut ours = shared.ours();
            ours.used.push((directory.to_owned(), turn.clone()));
            drop(ours);
            holding.turns.push(turn);
        };
        let mut places = wanted.max_jobs;
        if places.is_some() && keep {
            let kept = shared.ours().idle.pop();
            if let Some((_, place)) = kept {
                hold(place);
                places = None;
            }
        }
        if places.is_none() && groups.is_empty() {
            return Ok(Some(Box::new(holding)));
        }
        machine.turns.keep(machine)?;
        let mut words = vec![mine.clone(), SECONDS.to_string(), directory.to_owned()];
        words.push(places.unwrap_or(0).to_string());
        words.extend_from_slice(&groups);
        // One of this process asks at a time: the others would only hear the same.
        let answer = machine.turns.takes.ask(words, |all| take(machine, all))?;
        if let Some(files) = answer.strip_prefix("taken") {
            for file in files.split_ascii_whitespace() {
                hold(Taken { token: mine.clone(), file: file.to_owned() });
            }
            holding.there = Some(There::of(machine)?);
            return Ok(Some(Box::new(holding)));
        }
        if answer == "error no_space" {
            let full = SshError::new(&machine.name, SshFault::NoSpace, answer);
            return Err(fault(FailureKind::NoAnswer, &full));
        }
        if !answer.starts_with("busy") {
            let text = format!("host `{}`: no turn can be taken: {answer}", machine.name);
            return Err(Fault::new(FailureKind::Protocol, text));
        }
        if !std::mem::replace(&mut waiting, true) {
            waits();
        }
        // Who has to wait for a group leaves its place to others.
        let turns = std::mem::take(&mut holding.turns);
        shared.ours().wanted.extend(turns.iter().cloned());
        drop(Holding { shared: Arc::clone(shared), turns, keep, there: None });
        let _ = control.wait(Level::Run, ASK_AGAIN);
    }
}

/// Returns what the supervisor says to each request for turns.
fn take(machine: &RemoteSsh, all: &[Vec<String>]) -> Vec<Result<String, Fault>> {
    let shim = match machine.shim() {
        Ok(shim) => shim,
        Err(fault) => return vec![Err(fault); all.len()],
    };
    let calls = all
        .iter()
        .map(|words| shim::call(&shim, "take", machine.turns_dir().as_ref()).words(words));
    let (script, mark) = numbered(calls);
    match machine.answer(&Ask::Shell(Cow::Owned(script))) {
        Err(fault) => vec![Err(fault); all.len()],
        Ok(text) => answers(&text, &mark, all.len(), &["taken", "busy ", "error "])
            .into_iter()
            .map(Ok)
            .collect(),
    }
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

/// Where the keeper finds the turns.
struct There {
    name: String,
    host: Arc<Reach>,
    shim: std::path::PathBuf,
    server: Option<Server>,
    directory: String,
}

impl fmt::Debug for There {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("There").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl There {
    fn of(machine: &RemoteSsh) -> Result<Self, Fault> {
        Ok(Self {
            name: machine.name.clone(),
            host: machine.reach(),
            shim: machine.shim()?,
            server: machine.server()?,
            directory: machine.turns_dir(),
        })
    }

    /// Lets turns go.
    fn drop(&self, turns: &[Taken]) {
        let words = turns.iter().flat_map(|turn| [&turn.token, &turn.file]);
        let ask = Ask::verb(self.server.as_ref(), &self.shim, "drop", &self.directory, words);
        let _ = self.host.ask(&ask, &within(5));
    }

    /// Keeps turns for another while; returns those that somebody else has by now.
    fn hold(&self, turns: &[Taken], patience: &Patience<'_>) -> Result<Vec<Taken>, SshError> {
        let (script, mark) = numbered(turns.iter().map(|turn| {
            let call = shim::call(&self.shim, "hold", self.directory.as_ref()).word(&turn.token);
            call.word(SECONDS.to_string()).word(&turn.file)
        }));
        let text = self.host.ask(&Ask::Shell(Cow::Owned(script)), patience)?.text();
        let said = answers(&text, &mark, turns.len(), &["held", "lost ", "error "]);
        let lost = turns.iter().zip(said).filter(|(_, said)| said.starts_with("lost "));
        Ok(lost.map(|(turn, _)| turn.clone()).collect())
    }
}

/// The patience of whoever keeps turns. A job holds its own as well, once it runs; what is not let go in time is free by
/// itself within a minute.
fn within(budget: u64) -> Patience<'static> {
    Patience {
        each: Duration::from_secs(15),
        budget: Duration::from_secs(budget),
        give_up: &|| false,
    }
}

/// Renews what is held and lets go of what is over, until the host is left.
fn keep(shared: &Shared, there: &There) {
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
        gone.extend(over.into_iter().map(|(_, place)| place));
        if !gone.is_empty() {
            drop(ours);
            there.drop(&gone);
            ours = shared.ours();
            continue;
        }
        if closing {
            return;
        }
        if now >= renew_at {
            renew_at = now + RENEW;
            let used = ours.used.iter().map(|(_, turn)| turn);
            let all: Vec<Taken> =
                used.chain(ours.idle.iter().map(|(_, turn)| turn)).cloned().collect();
            drop(ours);
            // What could not be asked is asked again.
            let lost = match all.is_empty() {
                true => Vec::new(),
                false => there.hold(&all, &within(10)).unwrap_or_default(),
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
}
