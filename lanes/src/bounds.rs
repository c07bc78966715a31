//! How large numbers of the files may be: for the schemas and for what the values mean.

/// A year: longer is a mistake, and clocks may be added to it without care.
pub(crate) const MOST_SECONDS: u64 = 31_536_000;

/// A day.
pub(crate) const MOST_GRACE: u64 = 86_400;

pub(crate) const MOST_RETRIES: u32 = 100;

/// So many jobs may come of one.
pub(crate) const MOST_MEMBERS: usize = 256;
