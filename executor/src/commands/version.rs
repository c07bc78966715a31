//! `executor --version --verbose`: which program this is, and which versions of documents it reads and writes. The
//! program's own version says nothing about those: each has its own, and a later program reads an earlier document.

use plans::SchemaVersion;

use crate::{event, journal, record, supervise::shim, text::push};

/// Returns what the program is, a line for each thing.
#[must_use]
pub fn verbose() -> String {
    let mut out = format!("executor {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| push!(out, "{name:<12}{value}\n");
    line("commit", option_env!("FORGE_LANES_COMMIT").unwrap_or("not a release"));
    line("built for", &machine());
    line("plan", &reads(SchemaVersion::CURRENT));
    line("record", &reads(record::VERSION));
    line("journal", &reads(journal::VERSION));
    line("passed", &reads(plans::Passed::VERSION));
    line("events", &format!("writes {}", event::VERSION));
    line("supervisor", &format!("{} on hosts and in guests", shim::file_name()));
    out
}

/// Returns what kind of machine it was built for.
fn machine() -> String {
    let libc = match () {
        () if cfg!(target_env = "musl") => "musl, static",
        () if cfg!(target_feature = "crt-static") => "static",
        () => "its C library",
    };
    let debug = if cfg!(debug_assertions) { ", unoptimised" } else { "" };
    format!("{} {} ({libc}{debug})", std::env::consts::OS, std::env::consts::ARCH)
}

/// Returns which versions of a document are read and written; what does not need the newest is written as an earlier one.
fn reads(version: SchemaVersion) -> String {
    let SchemaVersion { major, minor } = version;
    match minor {
        0 => format!("reads and writes {major}.0"),
        _ => format!("reads and writes {major}.0 to {major}.{minor}"),
    }
}
