//! The supervisor of this machine: the executor's own binary under another name.
//!
//! One supervisor is a process with a session of its own that runs one job after the other, each in
//! a private view of the file system, each with everything it forked gone before the next one
//! starts. The executor keeps as many as it runs jobs at once, so that a node costs one process.
//!
//! A supervisor belongs to its executor only by a socket. When that closes, a job that runs goes on
//! until its end, its timeout or its lease; then the supervisor leaves. It is a child subreaper:
//! whatever a job starts, however it daemonizes, ends up as a descendant that can be found.
//!
//! Linux only: it stands on subreapers, mount namespaces and inotify. It never reads the plan.

mod job;
mod keep;
mod launch;
mod memory;
mod mounts;
mod protocol;
mod pump;
mod record;
mod slot;
mod tree;
mod view;
mod worker;

pub(crate) use protocol::{JobReport, Reply, Request, ShownTree, Start, View, receive, send};
pub(crate) use record::{AttemptFiles, SupervisorRecord, job_of_cookie};
pub(crate) use slot::{abandoned, clear_abandoned};
pub(crate) use tree::{boot_id, kill, kill_cookie, processes_with_cookie};

pub use worker::main;

/// The hidden subcommand of the executor's binary that is this supervisor.
pub const SUBCOMMAND: &str = "__supervise";

/// With this word behind it, the subcommand says whether jobs get views of their own here: by its
/// exit code, and why not on its stdout. A directory and layers after it: whether they can be mounted there, too.
pub const PROBE: &str = "probe";

/// The environment variable that marks every process of a job: `RUN/NODE.ATTEMPT@SUPERVISOR`, so
/// that no job is taken for one of another state directory; see `record::Owner::cookie`.
pub(crate) const COOKIE: &str = "FORGE_LANES_COOKIE";
