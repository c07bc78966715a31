//! `executor caches`: directories that outlive a run, on this machine and on hosts, and who removes them.

use std::{collections::BTreeMap, ffi::OsString, sync::Arc, time::SystemTime};

use plans::Placement;
use serde::Serialize;

use super::{
    CliContext,
    gc::{self, Collection},
    results, running,
};
use crate::{
    caches::{self, Found, KeptCache},
    cli::Caches,
    clock,
    config::Config,
    error::Error,
    exit_code::Exit,
    fault::Fault,
    placements::{Machine, Machines},
    policy, reporters,
    text::{self, push},
};

/// One cache in a list.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    key: &'a str,
    scope: &'a str,
    repository: &'a str,
    inside: &'a str,
    host: &'a str,
    bytes: u64,
    saved_at: String,
    used_at: String,
    run_id: &'a str,
    node: &'a str,
}

impl<'a> Listed<'a> {
    fn of((host, kept): &'a (Arc<dyn Machine>, KeptCache)) -> Self {
        Self {
            name: &kept.name,
            key: &kept.key,
            scope: &kept.scope,
            repository: &kept.repository,
            inside: &kept.inside,
            host: host.name(),
            bytes: kept.bytes,
            saved_at: clock::of_system(kept.saved),
            used_at: clock::of_system(kept.used),
            run_id: &kept.run,
            node: &kept.node,
        }
    }
}

pub(super) fn run(context: &CliContext, asked: &Caches) -> Result<Exit, Error> {
    let config = context.config()?;
    let (Caches::List { hosts, json } | Caches::Remove { hosts, json, .. }) = asked;
    let machines = machines(context, &config, *hosts)?;
    let mut all = Vec::new();
    for machine in machines {
        let kept = kept(&*machine, &config)?;
        all.extend(kept.into_iter().map(|kept| (Arc::clone(&machine), kept)));
    }
    let mut out = reporters::stdout();
    let names = match asked {
        Caches::List { .. } => {
            let shown: Vec<Listed<'_>> = all.iter().map(Listed::of).collect();
            out.text(&if *json { document("caches", &shown) } else { table(&shown) });
            return Ok(Exit::Done);
        }
        Caches::Remove { all: true, .. } => None,
        Caches::Remove { names, .. } => Some(names),
    };
    let is_named = |name: &str| names.is_none_or(|names| names.iter().any(|it| it == name));
    for name in names.into_iter().flatten() {
        if all.iter().all(|(_, kept)| kept.name != *name) {
            return Err(Error::NoSuchCache(text::neutral(name)));
        }
    }
    all.retain(|(_, kept)| is_named(&kept.name));
    for (machine, kept) in &all {
        caches::remove(&**machine, &dir(&**machine, &config), &kept.path)
            .map_err(Error::Machine)?;
    }
    let gone: Vec<Listed<'_>> = all.iter().map(Listed::of).collect();
    if *json {
        out.text(&document("removed", &gone));
    } else {
        for one in &gone {
            out.text(&format!("removed {}\n", line(one)));
        }
        if gone.is_empty() {
            reporters::stderr().text("nothing to remove\n");
        }
    }
    Ok(Exit::Done)
}

/// Returns the caches that a machine keeps, the one that was of use last first.
pub(super) fn kept(machine: &dyn Machine, config: &Config) -> Result<Vec<KeptCache>, Error> {
    let found = caches::list(machine, &dir(machine, config), false).map_err(Error::Machine)?;
    let kept = found.into_iter().filter_map(|one| match one {
        Found::Kept(kept) => Some(*kept),
        Found::Damaged(_) | Found::Unfinished(_) => None,
    });
    Ok(kept.collect())
}

/// Removes what is old, beyond the site's limit, damaged or was never finished, on one machine.
pub(super) fn collect(machine: &dyn Machine, config: &Config, collection: &mut Collection) {
    let dir = dir(machine, config);
    let (age, bytes) = (config.caches.age(), config.caches.bytes());
    let found = match caches::list(machine, &dir, true) {
        Ok(found) => found,
        Err(fault) => return collection.stays(fault.to_string()),
    };
    let now = SystemTime::now();
    let mut sum = 0u64;
    for one in found {
        let (path, what) = match one {
            Found::Damaged(path) => (path, "a damaged cache".to_owned()),
            Found::Unfinished(path) => (path, "an unfinished cache".to_owned()),
            Found::Kept(kept) => {
                let is_old = now.duration_since(kept.used).is_ok_and(|passed| passed > age);
                sum = sum.saturating_add(kept.bytes);
                let why = match (is_old, sum > bytes) {
                    (true, _) => "unused for too long",
                    (false, true) => "beyond the limit",
                    (false, false) => continue,
                };
                // What goes takes no room.
                sum -= kept.bytes;
                (kept.path, format!("cache `{}` of {}, {why}", kept.name, kept.scope))
            }
        };
        let what = format!("{} on `{}`", text::neutral(&what), machine.name());
        collection.take(&what, || {
            caches::remove(machine, &dir, &path).map_err(|fault: Fault| fault.to_string())
        });
    }
}

fn dir(machine: &dyn Machine, config: &Config) -> OsString {
    caches::dir_of(machine, config.caches.dir.as_ref())
}

/// Returns this machine, and with `hosts` those of the plans of the runs that are kept.
fn machines(
    context: &CliContext,
    config: &Config,
    hosts: bool,
) -> Result<Vec<Arc<dyn Machine>>, Error> {
    let state = context.state(config)?;
    let mut placements = BTreeMap::from([("local".to_owned(), Placement::Local)]);
    if hosts {
        for plan in gc::plans_of(&state.runs()?) {
            for node in policy::with_site_overrides(&plan, config, &BTreeMap::new()) {
                let placement = node.spec.placement.clone();
                placements.insert(placement.host_name().to_owned(), placement);
            }
        }
    }
    let machines = Machines::new(running::machines_config(&state)?);
    placements.values().map(|it| machines.open(it).map_err(Error::Machine)).collect()
}

fn document(what: &str, all: &[Listed<'_>]) -> String {
    let document = serde_json::json!({ what: all });
    format!("{}\n", serde_json::to_string_pretty(&document).expect("plain data"))
}

fn table(all: &[Listed<'_>]) -> String {
    if all.is_empty() {
        return "no caches are kept\n".to_owned();
    }
    let mut out = String::new();
    for one in all {
        push!(out, "{}\n", line(one));
    }
    out
}

fn line(one: &Listed<'_>) -> String {
    text::neutral(&format!(
        "{}  {}  {:>9}  {}  {}  {}  {}",
        results::short(one.key.trim_start_matches("sha256:")),
        one.used_at,
        text::bytes(one.bytes),
        one.name,
        one.scope,
        one.inside,
        one.host,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_which_and_whose() {
        let listed = Listed {
            name: "cargo-target",
            key: "sha256:0123456789abcdef",
            scope: "branch:x",
            repository: "forge.example/a",
            inside: "host_process",
            host: "local",
            bytes: 2048,
            saved_at: String::new(),
            used_at: "2026-11-29T12:00:00Z".to_owned(),
            run_id: "r",
            node: "n",
        };
        assert_eq!(
            line(&listed),
            "0123456789ab  2026-11-29T12:00:00Z     2.0 kB  cargo-target  branch:x  host_process  local"
        );
    }
}
