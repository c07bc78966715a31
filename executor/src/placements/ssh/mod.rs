//! Hosts over the user's own ssh: connections, sessions, trees there and artifacts back.
//!
//! Built from the outside in: [`Host`] keeps connections and sessions and repeats what can be repeated;
//! [`Attachment`] reads a job's log; `trees` and `artifacts` move files. How a job is supervised over
//! there is `supervise`'s; nothing here decides how a job ended.

mod archive;
mod artifacts;
mod attachment;
mod collect;
mod commands;
mod error;
mod examine;
mod host;
mod jobs;
mod machine;
mod manifest;
mod master;
mod options;
mod removals;
mod session;
mod token;
mod trees;
mod turns;
mod wire;
mod workspace;

pub use artifacts::{FetchError, Fetched, Refused, fetch, unpack};
pub use attachment::Attachment;
pub use error::{SshError, SshFault};
pub use host::{Host, Patience};
pub use machine::{RemoteSsh, Sources};
pub(crate) use manifest::object_digest;
pub use manifest::{Entry, Manifest, What};
pub use options::{SshOptions, prepare_runtime_dir};
pub use session::Answer;
pub(crate) use token::token;
pub use trees::{SendError, Sent, send};
