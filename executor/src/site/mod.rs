//! The site: what its configuration allows and sets, where secrets come from, and what this program was started with.
//! What a plan asks for is in the plan.

pub mod config;
pub mod inherited;
pub mod policy;
pub mod secrets;
pub mod signals;
pub mod verbosity;
