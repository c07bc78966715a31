//! Placeholder until the first room moves in.
