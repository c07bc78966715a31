//! `executor results`: what is kept for nodes with `reuse`, and who removes it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plans::{HostName, Node, Placement, SshDestination};
use serde::Serialize;

use super::{
    CliContext,
    gc::{self, Collection},
    running,
};
use crate::{
    cli::Results,
    config::{Config, ResultsConfig},
    control::Control,
    error::Error,
    exit_code::Exit,
    fault::{FailureKind, Fault},
    placements::Machines,
    policy, reporters,
    results::{
        self, DAMAGED, Entry, FarFile, FarName, FarPlace, FarStore, Kept, Retention, Store, Trust,
    },
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
    host: &'a str,
}

impl<'a> Listed<'a> {
    fn of(found: &'a Found) -> Self {
        let Found { entry, trust, .. } = found;
        let of = &entry.reused;
        Self {
            key: entry.key.as_str(),
            node: &of.node,
            run_id: &of.run_id,
            finished_at: &of.finished_at,
            duration_ms: of.duration_ms,
            bytes: entry.bytes,
            artifacts: entry.artifacts,
            trust: trust.as_str(),
            host: found.host(),
        }
    }
}

/// A kept result, and where.
pub(super) struct Found {
    pub(super) entry: Entry,
    trust: Trust,
    place: Place,
}

/// Where a result is kept.
enum Place {
    Here(PathBuf),
    Host(String, FarName),
}

impl Found {
    fn here(kept: Kept) -> Self {
        Self { entry: kept.entry, trust: kept.trust, place: Place::Here(kept.dir) }
    }

    fn host(&self) -> &str {
        match &self.place {
            Place::Here(_) => "local",
            Place::Host(host, _) => host,
        }
    }
}

/// A file that a host keeps.
struct OfFile {
    name: FarName,
    file: FarFile,
    /// What it is, if it can be read.
    entry: Option<Entry>,
}

/// The results that a host keeps.
pub(super) struct OfHost {
    store: FarStore,
    control: Control,
    /// What was of use last first.
    files: Vec<OfFile>,
    host: String,
    machines: Machines,
}

impl OfHost {
    /// Looks at all that is kept there.
    pub(super) fn open(machines: Machines, place: &FarPlace) -> Result<Self, Error> {
        let (store, control, found) = look(&machines, place).map_err(Error::Machine)?;
        let mut found: Vec<(FarName, FarFile)> = found.into_iter().collect();
        found.sort_by_key(|(_, file)| std::cmp::Reverse(file.used));
        let names: Vec<FarName> = found.iter().map(|(name, _)| name.clone()).collect();
        let mut entries = store.entries(&names, &control).map_err(Error::Machine)?;
        let of_file = |(name, file)| OfFile { entry: entries.remove(&name), name, file };
        let files = found.into_iter().map(of_file).collect();
        Ok(Self { store, control, files, host: text::neutral(place.host.as_str()), machines })
    }

    pub(super) fn found(&self) -> impl Iterator<Item = Found> {
        self.files.iter().filter_map(|OfFile { name, entry, .. }| {
            let place = Place::Host(self.host.clone(), name.clone());
            Some(Found { entry: entry.clone()?, trust: name.trust, place })
        })
    }

    fn remove(&self, name: &FarName) -> Result<(), Error> {
        self.store.remove(name, &self.control).map_err(Error::Machine)
    }
}

impl Drop for OfHost {
    fn drop(&mut self) {
        self.machines.close();
    }
}

pub(super) fn run(context: &CliContext, asked: &Results) -> Result<Exit, Error> {
    let config = context.config()?;
    let store = store(&config)?;
    let (Results::List { hosts, .. } | Results::Show { hosts, .. } | Results::Remove { hosts, .. }) =
        asked;
    let of_host = if *hosts { of_kept_runs(context, &config)? } else { None };
    let mut all: Vec<Found> = listed(&store)?.into_iter().map(Found::here).collect();
    all.extend(of_host.iter().flat_map(OfHost::found));
    match asked {
        Results::List { json, .. } => {
            let shown: Vec<Listed<'_>> = all.iter().map(Listed::of).collect();
            reporters::stdout().text(&if *json {
                let document = serde_json::json!({ "results": shown });
                format!("{}\n", serde_json::to_string_pretty(&document).expect("plain data"))
            } else {
                table(&shown)
            });
        }
        Results::Show { key, .. } => {
            let found = find(&all, key)?[0];
            let text = serde_json::to_string_pretty(&found.entry).expect("plain data");
            reporters::stdout().text(&format!("{text}\n"));
        }
        Results::Remove { keys, all: every, .. } => {
            let gone: Vec<&Found> = if *every {
                all.iter().collect()
            } else {
                let each: Vec<_> =
                    keys.iter().map(|key| find(&all, key)).collect::<Result<_, _>>()?;
                each.concat()
            };
            for found in &gone {
                let on = match &found.place {
                    Place::Here(dir) => {
                        Store::remove(dir).map_err(|error| unusable(dir, error))?;
                        String::new()
                    }
                    Place::Host(host, name) => {
                        of_host.iter().try_for_each(|of| of.remove(name))?;
                        format!("  on {host}")
                    }
                };
                let (node, key) = (text::neutral(&found.entry.reused.node), &found.entry.key);
                let line = format!("removed {node}  {}{on}\n", short(key.digits()));
                reporters::stdout().text(&line);
            }
            if gone.is_empty() {
                reporters::stderr().text("nothing to remove\n");
            }
        }
    }
    Ok(Exit::Done)
}

/// Looks at the host that keeps results as well, which the site or a plan of a kept run says how to reach.
fn of_kept_runs(context: &CliContext, config: &Config) -> Result<Option<OfHost>, Error> {
    let state = context.state(config)?;
    let runs = state.runs()?;
    let nodes = || {
        let nodes_of = |plan| policy::with_site_overrides(&plan, config, &BTreeMap::new());
        gc::plans_of(&runs).flat_map(nodes_of).collect()
    };
    let Some(place) = far_place(config, &BTreeMap::new(), nodes) else { return Ok(None) };
    match place {
        Ok(place) => {
            let machines = Machines::new(running::machines_config(&state)?);
            OfHost::open(machines, &place).map(Some)
        }
        Err(why) => {
            reporters::stderr().text(&format!("{why}\n"));
            Ok(None)
        }
    }
}

/// Asks a host for all that it keeps.
fn look(
    machines: &Machines,
    place: &FarPlace,
) -> Result<(FarStore, Control, BTreeMap<FarName, FarFile>), Fault> {
    let failed = |error| Fault::io(FailureKind::Io, "a control", &error);
    let control = Control::new().map_err(failed)?;
    let store = FarStore::new(place, machines.connect_in_haste(&place.ssh)?);
    let found = store.find(None, &control)?;
    Ok((store, control, found))
}

/// Asks the host that keeps results as well whether it can be used, and returns what is there, for people.
///
/// # Errors
///
/// When it does not answer, or others may change what is kept there.
pub(super) fn examine(machines: &Machines, place: &FarPlace) -> Result<String, Fault> {
    let (_, _, found) = look(machines, place)?;
    let bytes = found.values().map(|file| file.bytes).sum();
    Ok(format!(
        "{}, {}, in `{}`",
        text::count(found.len(), "result"),
        text::bytes(bytes),
        place.dir
    ))
}

/// Returns how many results each host has yet to be given, as far as this machine's store can be read.
pub(super) fn owed(config: &Config) -> BTreeMap<String, usize> {
    store(config).map(|store| results::owed_counts(&store)).unwrap_or_default()
}

/// Returns the store of this site; its directory is made, and belongs to this user alone. It may be one that cannot be
/// written to.
pub(super) fn store(config: &Config) -> Result<Store, Error> {
    let dir = match &config.results.dir {
        Some(dir) => dir.clone(),
        None => running::machine_dir()?.join("results"),
    };
    running::own_readable("results", &dir)?;
    Ok(Store::new(&dir))
}

/// Returns where the host is that keeps results as well, or why nobody knows; nothing where the site names none. `nodes`
/// are those of a plan as this site runs them, asked for where it does.
pub(super) fn far_place(
    config: &Config,
    flags: &BTreeMap<HostName, SshDestination>,
    nodes: impl FnOnce() -> Vec<Arc<Node>>,
) -> Option<Result<FarPlace, String>> {
    let ResultsConfig { host, host_dir, .. } = &config.results;
    let host = host.clone()?;
    let nodes = nodes();
    let planned = nodes.iter().find_map(|node| match &node.spec.placement {
        Placement::RemoteSsh(there) if there.host == host => Some(there),
        _ => None,
    });
    let configured = config.hosts.get(&host).and_then(|site| site.ssh.as_ref());
    let ssh = flags.get(&host).or(configured).or(planned.map(|there| &there.ssh));
    let below = planned.map(|there| format!("{}/results", there.work_dir));
    let dir = host_dir.as_ref().map(ToString::to_string).or(below);
    Some(match (ssh.cloned(), dir) {
        (Some(ssh), Some(dir)) => Ok(FarPlace { host, ssh, dir }),
        (ssh, _) => {
            let key = match ssh {
                None => format!("`hosts.{host}.ssh`"),
                Some(_) => "`results.host_dir`".to_owned(),
            };
            Err(format!(
                "results on `{host}` are left alone: no node of the plan is there, and {key} is not set"
            ))
        }
    })
}

/// Removes what is old, beyond the site's limit, damaged or was never finished.
pub(super) fn collect(
    context: &CliContext,
    config: &Config,
    collection: &mut Collection,
) -> Result<(), Error> {
    let store = store(config)?;
    let days = config.results.keep_days.unwrap_or(KEEP_DAYS);
    let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    let bytes = config.results.max_mib.unwrap_or(MAX_MIB).saturating_mul(1024 * 1024);
    match store.superfluous(Retention::new(age, bytes)) {
        Ok(gone) => {
            for (path, what) in gone {
                collection.take(&what, || Store::remove(&path).map_err(|error| error.to_string()));
            }
        }
        Err(error) => collection.stays(format!("results cannot be listed: {error}")),
    }
    let is_known = |name: &str| {
        config.results.host.iter().chain(config.hosts.keys()).any(|host| host.as_str() == name)
    };
    for (path, what) in results::superfluous_notes(&store, is_known) {
        collection.take(&what, || Store::remove(&path).map_err(|error| error.to_string()));
    }
    match of_kept_runs(context, config) {
        Ok(None) => {}
        Ok(Some(of_host)) => collect_far(&of_host, Retention::new(age, bytes), collection),
        Err(error) => collection.stays(format!("results of a host: {error}")),
    }
    Ok(())
}

/// The same on a host.
fn collect_far(of: &OfHost, mut retention: Retention, collection: &mut Collection) {
    let host = &of.host;
    for OfFile { name, file, entry } in &of.files {
        let why = match entry {
            None => Some(DAMAGED.to_owned()),
            Some(entry) => retention.ends(entry, file.bytes, file.used),
        };
        let Some(what) = why else { continue };
        collection.take(&format!("{what}, on `{host}`"), || {
            of.remove(name).map_err(|error| error.to_string())
        });
    }
    if let Err(fault) = of.store.sweep(&of.control) {
        collection.stays(format!("unfinished results on `{host}`: {fault}"));
    }
}

pub(super) fn listed(store: &Store) -> Result<Vec<Kept>, Error> {
    store.list().map_err(|error| unusable(store.dir(), error))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::File { what: "results cannot be used in", path: path.display().to_string(), error }
}

/// Finds the result whose key begins like that, in all places.
fn find<'a>(all: &'a [Found], wanted: &str) -> Result<Vec<&'a Found>, Error> {
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let found: Vec<&Found> =
        all.iter().filter(|it| it.entry.key.digits().starts_with(digits)).collect();
    let no_such = |ambiguous| Error::NoSuchResult { wanted: text::neutral(wanted), ambiguous };
    match &found[..] {
        [] => Err(no_such(false)),
        [first, others @ ..] => {
            let one = others.iter().all(|it| it.entry.key == first.entry.key);
            if one { Ok(found) } else { Err(no_such(true)) }
        }
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
            "{}  {:9}  {}  {:>8}  {:>9}  {}",
            short(digits),
            one.trust,
            text::neutral(one.finished_at),
            took,
            text::bytes(one.bytes),
            text::neutral(one.node)
        );
        match one.host {
            "local" => out.push('\n'),
            host => push!(out, "  on {host}\n"),
        }
    }
    out
}
