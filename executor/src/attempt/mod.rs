//! What an attempt of a node is asked and answers: below everything that makes one happen.
//!
//! Owns the request, the result, the observer, and the context that every verb of a runtime is
//! given. What drives an attempt from one to the other is [`crate::drive`].

mod context;
mod observer;
mod request;
mod result;

pub use context::Context;
pub use observer::{Observer, Phase};
pub use request::{AttemptRequest, FilesNeeded};
pub use result::{AttemptOutcome, AttemptResult, Details, OutputKind, PreparedOutput, TakenFiles};
