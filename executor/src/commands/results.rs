//! `executor results`: what is kept for nodes with `reuse`, and who removes it.

use std::{path::Path, time::Duration};

use serde::Serialize;

use super::{CliContext, gc::Collection, running};
use crate::{
    cli::Results,
    config::Config,
    error::Error,
    exit_code::Exit,
    reporters,
    results::{Kept, Store},
    text::{self, push},
};

/// How many days a result that is of no use is kept.
const KEEP_DAYS: u64 = 30;

/// How many MiB are kept.
const MAX_MIB: u64 = 10_240;

/// One result in a list.
#[derive(Serialize)]
struct Listed<'a> {
    key: &'a str,
    node: &'a str,
    run_id: &'a str,
    finished_at: &'a str,
    duration_ms: u64,
    bytes: u64,
    artifacts: u64,
    trust: &'static str,
}

impl<'a> Listed<'a> {
    fn of(kept: &'a Kept) -> Self {
        let of = &kept.entry.reused;
        Self {
            key: kept.entry.key.as_str(),
            node: &of.node,
            run_id: &of.run_id,
            finished_at: &of.finished_at,
            duration_ms: of.duration_ms,
            bytes: kept.entry.bytes,
            artifacts: kept.entry.artifacts,
            trust: kept.trust.as_str(),
        }
    }
}

pub(super) fn run(context: &CliContext, asked: &Results) -> Result<Exit, Error> {
    let store = store(&context.config()?)?;
    match asked {
        Results::List { json } => {
            let all = listed(&store)?;
            let shown: Vec<Listed<'_>> = all.iter().map(Listed::of).collect();
            reporters::stdout().text(&if *json {
                let document = serde_json::json!({ "results": shown });
                format!("{}\n", serde_json::to_string_pretty(&document).expect("plain data"))
            } else {
                table(&shown)
            });
        }
        Results::Show { key } => {
            let kept = find(&store, key)?;
            let text = serde_json::to_string_pretty(&kept.entry).expect("plain data");
            reporters::stdout().text(&format!("{text}\n"));
        }
        Results::Remove { keys, all } => {
            let gone: Vec<Kept> = if *all {
                listed(&store)?
            } else {
                keys.iter().map(|key| find(&store, key)).collect::<Result<_, _>>()?
            };
            for kept in &gone {
                Store::remove(&kept.dir).map_err(|error| unusable(&kept.dir, error))?;
                let (node, key) = (text::neutral(&kept.entry.reused.node), &kept.entry.key);
                reporters::stdout().text(&format!("removed {node}  {}\n", short(key.digits())));
            }
            if gone.is_empty() {
                reporters::stderr().text("nothing to remove\n");
            }
        }
    }
    Ok(Exit::Done)
}

/// Returns the store of this site; its directory is made, and belongs to this user alone.
pub(super) fn store(config: &Config) -> Result<Store, Error> {
    let dir = match &config.results.dir {
        Some(dir) => dir.clone(),
        None => running::machine_dir()?.join("results"),
    };
    running::own("results", &dir, &[], None)?;
    Ok(Store::new(&dir))
}

/// Removes what is old, beyond the site's limit, damaged or was never finished.
pub(super) fn collect(config: &Config, collection: &mut Collection) -> Result<(), Error> {
    let store = store(config)?;
    let days = config.results.keep_days.unwrap_or(KEEP_DAYS);
    let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    let bytes = config.results.max_mib.unwrap_or(MAX_MIB).saturating_mul(1024 * 1024);
    match store.superfluous(age, bytes) {
        Ok(gone) => {
            for (path, what) in gone {
                collection.take(&what, || Store::remove(&path).map_err(|error| error.to_string()));
            }
        }
        Err(error) => collection.stays(format!("results cannot be listed: {error}")),
    }
    Ok(())
}

pub(super) fn listed(store: &Store) -> Result<Vec<Kept>, Error> {
    store.list().map_err(|error| unusable(Path::new("results"), error))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::File { what: "results cannot be used in", path: path.display().to_string(), error }
}

/// Finds the one result whose key begins like that.
fn find(store: &Store, wanted: &str) -> Result<Kept, Error> {
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let mut found: Vec<Kept> =
        listed(store)?.into_iter().filter(|it| it.entry.key.digits().starts_with(digits)).collect();
    match (found.pop(), found.len()) {
        (Some(kept), 0) => Ok(kept),
        (None, _) => Err(Error::NoSuchResult { wanted: text::neutral(wanted), ambiguous: false }),
        (Some(_), _) => Err(Error::NoSuchResult { wanted: text::neutral(wanted), ambiguous: true }),
    }
}

/// Returns as many digits as people need.
pub(super) fn short(digits: &str) -> &str {
    // What a file says may be no digits.
    digits.get(..12).unwrap_or(digits)
}

fn table(all: &[Listed<'_>]) -> String {
    if all.is_empty() {
        return "no results are kept\n".to_owned();
    }
    let mut out = String::new();
    for one in all {
        let digits = one.key.trim_start_matches("sha256:");
        let took = text::duration(Duration::from_millis(one.duration_ms));
        push!(
            out,
            "{}  {:9}  {}  {:>8}  {:>9}  {}\n",
            short(digits),
            one.trust,
            text::neutral(one.finished_at),
            took,
            text::bytes(one.bytes),
            text::neutral(one.node)
        );
    }
    out
}
