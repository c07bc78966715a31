//! Deciding: changed paths and a catalog in, a plan out.

pub mod change_set;
pub mod git;
pub mod pull_request;
pub mod render;
