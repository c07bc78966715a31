//! A host: as many connections as its sessions need, opened when needed, replaced when broken.
//!
//! Every operation given to it can be repeated without harm, has a deadline, and is repeated within a
//! budget when the connection, not the host, is at fault. What an operation means is not known here.

use std::{
    borrow::Cow,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::info;

use super::{
    error::{SshError, SshFault},
    master::Master,
    options::SshOptions,
    session::{Ask, Session, SessionKind, ShellAnswer},
};
use crate::{
    command_line::Script,
    control::{Control, Level},
    supervise::token,
};

/// How long something may take, and how long it is worth trying again.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// One try.
    pub each: Duration,
    /// All tries, for a host that was reached before.
    pub budget: Duration,
    /// Asked between tries: whether it is no longer wanted.
    pub give_up: &'a (dyn Fn() -> bool + Sync),
    /// The same, and ends a transfer that is under way when it rises; absent: none is ended.
    pub control: Option<&'a Control>,
}

impl Patience<'_> {
    /// Whether it is no longer wanted.
    fn is_over(&self) -> bool {
        (self.give_up)() || self.control.is_some_and(|control| control.level() > Level::Run)
    }
}

impl std::fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("each", &self.each).field("budget", &self.budget).finish()
    }
}

/// A host reached over ssh. Shared by all threads that have something to do there.
#[derive(Debug)]
pub struct Host {
    options: SshOptions,
    pool: Mutex<Pool>,
    /// A session came back, or was opened.
    changed: Condvar,
    /// Held while connecting, so that many who need a connection make one.
    connecting: Mutex<()>,
    /// Raised when nothing more is wanted of the host.
    closed: Control,
    reached: AtomicBool,
}

#[derive(Debug, Default)]
struct Pool {
    masters: Vec<Arc<Master>>,
    idle: Vec<Session>,
    /// The server allows one session a connection: each session brings its own.
    direct: bool,
    /// How many are opening a session.
    opening: usize,
    /// The last connection that could not be made, and when that was known.
    failed: Option<(Instant, SshError)>,
}

impl Pool {
    /// Returns whether somebody has a session that may soon come back.
    fn is_busy(&self) -> bool {
        let sessions: usize = self.masters.iter().map(|master| master.sessions()).sum();
        sessions > self.idle.len()
    }
}

/// Sessions kept although nobody uses them.
const KEPT_IDLE: usize = 16;

/// For how long a session that somebody has is worth waiting for: opening one costs a host more than most of
/// what is asked of it.
const WORTH_WAITING: Duration = Duration::from_millis(15);

/// How many sessions are opened at once; a later caller waits for one of them.
const AT_ONCE: usize = 3;

/// For how long another one's opening is waited for.
const OPENING: Duration = Duration::from_millis(500);

impl Host {
    /// Makes a host; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left.
    pub fn new(options: SshOptions) -> io::Result<Self> {
        Ok(Self {
            options,
            pool: Mutex::default(),
            changed: Condvar::new(),
            connecting: Mutex::new(()),
            closed: Control::new()?,
            reached: AtomicBool::new(false),
        })
    }

    /// Returns how the host is reached.
    #[must_use]
    pub fn options(&self) -> &SshOptions {
        &self.options
    }

    /// Returns the patience for a short control operation.
    #[must_use]
    pub fn patience(&self) -> Patience<'static> {
        Patience {
            each: Duration::from_secs(60),
            budget: self.options.reconnect_budget,
            give_up: &|| false,
            control: None,
        }
    }

    /// Runs a script that can be repeated, until it was answered. The answer may well be a failure.
    ///
    /// # Errors
    ///
    /// When no answer could be had within `patience`, or trying again is of no use.
    pub fn run(&self, script: &Script, patience: &Patience<'_>) -> Result<ShellAnswer, SshError> {
        self.ask(&Ask::Shell(Cow::Borrowed(script)), patience)
    }

    /// The same with anything that can be asked.
    pub(crate) fn ask(
        &self,
        ask: &Ask<'_>,
        patience: &Patience<'_>,
    ) -> Result<ShellAnswer, SshError> {
        self.repeat(patience, |until| {
            let mut session = self.session(ask.kind(), until)?;
            let answer = session.request(ask, until)?;
            self.give_back(session);
            Ok(answer)
        })
    }

    /// Runs a script that is to succeed.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run), and the script's own failure with what it printed.
    pub fn check(&self, script: &Script, patience: &Patience<'_>) -> Result<Vec<u8>, SshError> {
        let answer = self.run(script, patience)?;
        self.succeeded(answer)
    }

    /// Returns the output of an answer that has to be a success.
    pub(crate) fn succeeded(&self, answer: ShellAnswer) -> Result<Vec<u8>, SshError> {
        if answer.status == 0 {
            return Ok(answer.output);
        }
        let text = answer.text();
        let full = ["No space left on device", "Disk quota exceeded", "error no_space"];
        let fault = if full.iter().any(|sign| text.contains(sign)) {
            SshFault::NoSpace
        } else {
            SshFault::Remote
        };
        Err(SshError::new(
            &self.options.destination,
            fault,
            format!("{text}\nstatus {}", answer.status),
        ))
    }

    /// Tries until it works, cannot work, is not wanted any more, or the budget is used up. A host that
    /// was never reached gets a few tries only: it is more likely mistyped than asleep.
    pub(crate) fn repeat<T>(
        &self,
        patience: &Patience<'_>,
        mut once: impl FnMut(Instant) -> Result<T, SshError>,
    ) -> Result<T, SshError> {
        let end = Instant::now() + patience.budget;
        let mut pause = Duration::from_millis(200);
        let mut tries = 0;
        loop {
            let error = match once(Instant::now() + patience.each) {
                Ok(value) => {
                    self.reached.store(true, Ordering::Release);
                    return Ok(value);
                }
                Err(error) => error,
            };
            tries += 1;
            let hopeless =
                !self.reached.load(Ordering::Acquire) && tries >= self.options.first_attempts;
            let wait = pause.mul_f64(0.5 + jitter());
            if !error.fault.is_transient()
                || hopeless
                || patience.is_over()
                || Instant::now() + wait >= end
            {
                return Err(error);
            }
            info!(destination = self.options.destination, %error, tries, ?wait, "tries again");
            let until = Instant::now() + wait;
            while Instant::now() < until && !patience.is_over() {
                thread::sleep(Duration::from_millis(50).min(wait));
            }
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    /// Returns a session that nobody else uses, if possible of that kind.
    pub(crate) fn session(&self, kind: SessionKind, until: Instant) -> Result<Session, SshError> {
        if let Some(session) = self.kept(kind) {
            return Ok(session);
        }
        let session = self.open(until);
        self.pool().opening -= 1;
        self.changed.notify_all();
        session
    }

    /// Opens a session that will be needed, unless the host is connected already: many who come at the beginning
    /// then have theirs opened while one of them asks what the host is.
    pub(crate) fn preconnect(&self) {
        if self.pool().masters.is_empty()
            && let Ok(session) =
                self.session(SessionKind::Shell, Instant::now() + self.patience().each)
        {
            self.give_back(session);
        }
    }

    /// Returns a session that was kept or comes back soon; without one, the caller is to open one.
    fn kept(&self, kind: SessionKind) -> Option<Session> {
        let began = Instant::now();
        let mut pool = self.pool();
        loop {
            while !pool.idle.is_empty() {
                let of_kind = pool.idle.iter().rposition(|session| session.kind() == kind);
                let index = of_kind.unwrap_or(pool.idle.len() - 1);
                let mut session = pool.idle.remove(index);
                if session.is_usable() {
                    return Some(session);
                }
            }
            let patience = match (pool.opening >= AT_ONCE, pool.is_busy()) {
                (true, _) => OPENING,
                (false, true) => WORTH_WAITING,
                (false, false) => Duration::ZERO,
            };
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                pool.opening += 1;
                return None;
            }
            pool = self.changed.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn open(&self, until: Instant) -> Result<Session, SshError> {
        loop {
            let master = if self.pool().direct { None } else { Some(self.seat()?) };
            let error = match Session::open(&self.options, master.clone(), until) {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let Some(master) = master.filter(|_| error.fault == SshFault::SessionRefused) else {
                return Err(error);
            };
            // The seat was given back when the session did not open: count it again while asking.
            if master.take_seat() {
                let room = master.no_more_room();
                master.leave_seat();
                if room == 0 {
                    self.pool().direct = true;
                }
            }
        }
    }

    /// Returns a connection with a seat taken in it.
    fn seat(&self) -> Result<Arc<Master>, SshError> {
        if let Some(master) = self.free_seat() {
            return Ok(master);
        }
        let began = Instant::now();
        let _alone = self.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have connected meanwhile and left a seat; its failure need not be repeated.
        if let Some(master) = self.free_seat() {
            return Ok(master);
        }
        if let Some((at, error)) = &self.pool().failed
            && *at >= began
        {
            return Err(error.clone());
        }
        let master =
            Arc::new(Master::connect(&self.options, &self.closed).inspect_err(|error| {
                self.pool().failed = Some((Instant::now(), error.clone()));
            })?);
        self.reached.store(true, Ordering::Release);
        master.take_seat();
        self.pool().masters.push(Arc::clone(&master));
        Ok(master)
    }

    fn free_seat(&self) -> Option<Arc<Master>> {
        let mut pool = self.pool();
        let (alive, gone) = std::mem::take(&mut pool.masters)
            .into_iter()
            .partition::<Vec<_>, _>(|master| master.is_alive());
        pool.masters = alive;
        let free = pool.masters.iter().find(|master| master.take_seat()).cloned();
        drop(pool);
        // Outside of the lock: it waits for a thread.
        drop(gone);
        free
    }

    /// Takes a session back for the next one.
    pub(crate) fn give_back(&self, mut session: Session) {
        if session.is_usable() {
            let mut pool = self.pool();
            if pool.idle.len() < KEPT_IDLE {
                pool.idle.push(session);
                self.changed.notify_one();
            }
        }
    }

    /// Closes all connections that nobody is using at the moment. What runs on the host goes on.
    pub fn disconnect(&self) {
        let (idle, masters) = {
            let mut pool = self.pool();
            (std::mem::take(&mut pool.idle), std::mem::take(&mut pool.masters))
        };
        drop(idle);
        drop(masters);
    }

    /// Disconnects and ends a connection that is being made: nothing more is wanted of the host.
    pub fn close(&self) {
        self.closed.raise(Level::Kill);
        // Its client is gone when it lets go of this.
        drop(self.connecting.lock().unwrap_or_else(PoisonError::into_inner));
        self.disconnect();
    }

    /// Returns the process ids of the clients that hold a connection open.
    #[must_use]
    pub fn connections(&self) -> Vec<u32> {
        self.pool().masters.iter().map(|master| master.id()).collect()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Returns a random number from 0 up to 1, so that many who lost the same host do not come back at once.
fn jitter() -> f64 {
    let digits = token();
    u32::from_str_radix(&digits[..8], 16).map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX))
}
