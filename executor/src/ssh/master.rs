//! One connection to a host, owned by this process and by nobody else.
//!
//! The client runs `cat` on the host and stays in the foreground: each line that comes back proves the
//! whole path, and when this process dies, however it dies, its end of the pipe closes, `cat` ends, and
//! the client leaves with its last session. No connection outlives its executor.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::{debug, info, info_span, warn};

use super::{
    error::{SshError, SshFault},
    options::SshOptions,
    wire::{Wire, WireError},
};
use crate::{
    control::{Control, Level},
    supervise::token,
};

/// A connection that sessions can use.
#[derive(Debug)]
pub(crate) struct Master {
    shared: Arc<Shared>,
    /// Dropped to end the watch.
    stop: Option<io::PipeWriter>,
    watch: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    socket: PathBuf,
    alive: AtomicBool,
    sessions: AtomicUsize,
    /// How many sessions fit; lowered when the server refuses one.
    room: AtomicUsize,
    /// Why it is not alive any more.
    lost: Mutex<Option<SshError>>,
    pid: u32,
}

impl Master {
    /// Connects, logs in, and proves the path once, unless `control` rises meanwhile or has risen.
    pub(crate) fn connect(options: &SshOptions, control: &Control) -> Result<Self, SshError> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let here = |error: &io::Error| {
            SshError::new(&options.destination, SshFault::Here, error.to_string())
        };
        let raised = control.raised(Level::Run).filter(|_| control.level() == Level::Run);
        let Some(raised) = raised else {
            let text = "nothing more is wanted of it";
            return Err(SshError::new(&options.destination, SshFault::Here, text));
        };
        let raised = raised.try_clone_to_owned().map_err(|error| here(&error))?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        info!(destination = options.destination, "connecting");
        let socket = options.runtime_dir.join(format!("m-{}-{number}", std::process::id()));
        // ssh adds seventeen characters for a moment; the system allows some hundred.
        if socket.as_os_str().len() > 84 {
            let text = format!("the path of a control socket is too long: {}", socket.display());
            return Err(SshError::new(&options.destination, SshFault::Here, text));
        }
        let _ = fs::remove_file(&socket);
        let mut wire = Wire::spawn(&mut options.master(&socket)).map_err(|error| {
            SshError::new(&options.destination, SshFault::NoClient, error.to_string())
        })?;
        let until = Instant::now() + options.connect_timeout;
        wire.wake_on(Some(raised));
        if let Err(error) = beat(&mut wire, until) {
            if matches!(error, WireError::Woken) {
                // Nobody waits for what it may still say.
                wire.kill();
            }
            return Err(explain(&options.destination, &mut wire, error));
        }
        let (stopped, stop) = io::pipe().map_err(|error| here(&error))?;
        let stopped = stopped.as_fd().try_clone_to_owned().map_err(|error| here(&error))?;
        wire.wake_on(Some(stopped));
        info!(destination = options.destination, pid = wire.id(), "connected");
        let shared = Arc::new(Shared {
            host: options.destination.clone(),
            socket,
            alive: AtomicBool::new(true),
            sessions: AtomicUsize::new(0),
            room: AtomicUsize::new(options.sessions),
            lost: Mutex::new(None),
            pid: wire.id(),
        });
        let watched = Arc::clone(&shared);
        let (every, silence) = (options.heartbeat, options.silence);
        let watch = thread::Builder::new()
            .name(format!("ssh {}", options.destination))
            .spawn(move || {
                let _span = info_span!("host", destination = watched.host).entered();
                watch(&watched, wire, every, silence);
            })
            .map_err(|error| here(&error))?;
        Ok(Self { shared, stop: Some(stop), watch: Some(watch) })
    }

    /// Returns the control socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.shared.socket
    }

    /// Returns the process id of the client.
    pub(crate) fn id(&self) -> u32 {
        self.shared.pid
    }

    /// Returns whether the connection stood when it was last looked at.
    pub(crate) fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// Returns why it is not alive, waiting a moment for a client that is just going.
    pub(crate) fn why_lost(&self, at_most: Duration) -> Option<SshError> {
        let until = Instant::now() + at_most;
        while self.is_alive() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes one of the seats, if one is free.
    pub(crate) fn take_seat(&self) -> bool {
        let room = self.shared.room.load(Ordering::Acquire);
        self.shared
            .sessions
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                (used < room).then_some(used + 1)
            })
            .is_ok()
    }

    /// Returns how many seats are taken.
    pub(crate) fn sessions(&self) -> usize {
        self.shared.sessions.load(Ordering::Acquire)
    }

    /// Gives a seat back.
    pub(crate) fn leave_seat(&self) {
        self.shared.sessions.fetch_sub(1, Ordering::AcqRel);
    }

    /// Remembers that the server allows no more than the seats that are taken, but for the caller's own.
    /// Returns how many that is.
    pub(crate) fn no_more_room(&self) -> usize {
        let room = self.shared.sessions.load(Ordering::Acquire).saturating_sub(1);
        self.shared.room.fetch_min(room, Ordering::AcqRel);
        room
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(watch) = self.watch.take() {
            // The thread reported its panic itself.
            let _ = watch.join();
        }
    }
}

/// Sends a line and waits for it to come back. What comes before it is the noise of login scripts.
fn beat(wire: &mut Wire, until: Instant) -> Result<(), WireError> {
    let mark = format!("{}\n", token());
    wire.write_all(mark.as_bytes(), until)?;
    wire.skip_to(mark.as_bytes(), until)?;
    Ok(())
}

/// Keeps proving the path until it breaks or is no longer needed.
fn watch(shared: &Shared, mut wire: Wire, every: Duration, silence: Duration) {
    let error = loop {
        match wire.more(0, Instant::now() + every) {
            Ok(noise) => {
                let noise = noise.len();
                wire.take(noise);
                continue;
            }
            Err(WireError::Deadline) => {}
            Err(error) => break error,
        }
        if let Err(error) = beat(&mut wire, Instant::now() + silence) {
            break error;
        }
    };
    let reason = match error {
        WireError::Woken => {
            // Nobody needs it any more. The client leaves when `cat` has; the sessions are over.
            wire.wake_on(None);
            let _ = wire.last_words(Instant::now() + Duration::from_secs(2));
            None
        }
        WireError::Deadline => Some(SshError::new(
            &shared.host,
            SshFault::Lost,
            format!("no answer for {} s", silence.as_secs()),
        )),
        error => Some(explain(&shared.host, &mut wire, error)),
    };
    match &reason {
        None => debug!("connection closed"),
        Some(error) => warn!(%error, "connection lost"),
    }
    *shared.lost.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    wire.kill();
    let _ = fs::remove_file(&shared.socket);
    shared.alive.store(false, Ordering::Release);
}

/// Turns what happened to a client into an error, with the client's last words.
pub(crate) fn explain(host: &str, wire: &mut Wire, error: WireError) -> SshError {
    match error {
        WireError::Deadline => {
            let said = wire.errors();
            SshError::new(host, SshFault::ConnectTimeout, said)
        }
        WireError::Closed | WireError::Woken => {
            wire.wake_on(None);
            let said = wire.last_words(Instant::now() + Duration::from_secs(2));
            SshError::new(host, SshFault::of_client(&said), said)
        }
        WireError::Io(error) => SshError::new(host, SshFault::Here, error.to_string()),
    }
}
