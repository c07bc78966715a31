//! The `planner` binary.

fn main() {}
