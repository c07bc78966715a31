//! Whether an engine can do what a job's settings ask of it: a limit that is silently not there is
//! worse than a refusal. Asked only where a plan says `vm` or `disk_mib`.

use super::engine::Engine;
use crate::fault::{FailureKind, Fault};

/// Looks, before anything is made, whether the engine has what these settings take.
///
/// # Errors
///
/// When it surely has not.
pub(super) fn can_be_obeyed(engine: &Engine<'_>, spec: &plans::Incus) -> Result<(), Fault> {
    if spec.vm { engine.runs_virtual_machines() } else { Ok(()) }
}

/// Looks whether `disk_mib` holds in an instance that runs. A pool of directories takes the setting
/// and does nothing with it, unless its file system has project quotas: then the guest sees its size.
///
/// # Errors
///
/// When the limit is not there.
pub(super) fn is_obeyed(engine: &Engine<'_>, spec: &plans::Incus, name: &str) -> Result<(), Fault> {
    let Some(wanted) = spec.disk_mib else { return Ok(()) };
    let mut profiles: Vec<String> = spec.profiles.iter().map(ToString::to_string).collect();
    if profiles.is_empty() {
        profiles.push("default".to_owned());
    }
    let Some((pool, driver)) = engine.root_pool(&profiles)? else { return Ok(()) };
    if spec.vm || driver != "dir" {
        return Ok(());
    }
    let argv = ["df", "-Pk", "/"].map(str::to_owned);
    let answer = engine.ask(&engine.exec(name, (0, 0), &argv))?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let seen = text.lines().last().and_then(|line| line.split_ascii_whitespace().nth(1));
    if seen.and_then(|kb| kb.parse::<u64>().ok()).is_some_and(|kb| kb / 1024 <= wanted.into()) {
        return Ok(());
    }
    Err(Fault::new(
        FailureKind::EngineRefused,
        format!(
            "Incus on `{}` cannot limit the disk of an instance (`disk_mib`): its pool `{pool}` is a \
             directory on a file system without project quotas",
            engine.machine.name()
        ),
    )
    .advice(
        "put the profile's root on a pool of btrfs, zfs or lvm (`incus storage create`), or leave \
         `disk_mib` out of the catalog",
    ))
}
