//! Signals as messages. No handler does anything but say that one came.

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

/// Who asks the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// TERM, or a terminal that hung up.
    Terminate,
}

/// A thread that listens; dropping it ends it.
pub struct Listener {
    handle: Handle,
}

impl Listener {
    /// Hands every Ctrl-C, TERM and HUP to `tell`.
    ///
    /// # Errors
    ///
    /// When the handlers cannot be installed.
    pub fn start(tell: impl Fn(Asked) + Send + 'static) -> std::io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in &mut signals {
                tell(if signal == SIGINT { Asked::Interrupt } else { Asked::Terminate });
            }
        })?;
        Ok(Self { handle })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
    }
}
