//! The connection to a host, over the user's own ssh: sessions, a job's log, files both ways.
//!
//! Built from the outside in: [`Host`] keeps connections and sessions and repeats what can be repeated;
//! [`Attachment`] reads a job's log; `trees` and `artifacts` move files. What a host is to the run is
//! [`crate::placements`]'s; nothing here decides how a job ended.

mod archive;
mod artifacts;
mod attachment;
mod error;
mod host;
mod manifest;
mod master;
mod options;
mod session;
mod trees;
mod wire;

pub use artifacts::{FetchError, Fetched, Refused, fetch, unpack};
pub use attachment::Attachment;
pub(crate) use attachment::Started;
pub(crate) use error::fault;
pub use error::{SshError, SshFault};
pub use host::{Host, Patience};
pub(crate) use manifest::object_digest;
pub use manifest::{Manifest, ManifestEntry, What};
pub use options::{SshOptions, prepare_runtime_dir};
pub use session::ShellAnswer;
pub(crate) use session::{Ask, SessionKind};
pub(crate) use trees::{Lookup, To, Tree, look_up, send_beside, send_files, send_path};
pub use trees::{SendError, Sent, send};
pub(crate) use wire::{WireError, find};
