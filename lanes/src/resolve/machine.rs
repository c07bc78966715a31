//! Placement and runtime of a job: which machine, and how isolated.

use plans::{
    AbsolutePath, EngineName, HostName, Incus, IncusCluster, Placement, Runtime, SshDestination,
    SshHost, Tart,
};

use super::Declared;
use crate::{
    catalog_file::HostFile,
    codes,
    context::Context,
    diagnostic::Diagnostic,
    job_file::{ClusterFile, IncusFile, PlacementFile, RuntimeFile, TartFile},
    source::At,
};

pub(super) fn placement(
    written: &At<PlacementFile>,
    built_in_base: Option<&At<String>>,
    declared: &Declared<'_>,
    context: &mut Context<'_>,
) -> Option<Placement> {
    let name = match &written.value {
        PlacementFile::Local => return Some(Placement::Local),
        PlacementFile::RemoteSsh(remote) => &remote.host,
    };
    match (declared.hosts.get(name.as_str()), built_in_base) {
        (Some(host), _) => host.host.clone().map(Placement::RemoteSsh),
        (None, _) if context.lost_catalog => None,
        (None, Some(base)) => {
            let message = format!(
                "the built-in base `{}` runs on the host `{}`, which is not declared",
                base.value, name.value
            );
            let help = format!(
                "declare `[hosts.{}]`, or a `[bases.{}]` of your own",
                name.value, base.value
            );
            let diagnostic = Diagnostic::error(&codes::UNKNOWN_HOST, base.span, message);
            context.report(diagnostic.help(help));
            None
        }
        (None, None) => {
            context.unknown(&codes::UNKNOWN_HOST, "host", name, declared.hosts.keys().copied());
            None
        }
    }
}

/// Checks a declared host.
pub(crate) fn host(
    name: &At<String>,
    file: &HostFile,
    context: &mut Context<'_>,
) -> Option<SshHost> {
    let host = context.checked(&codes::BAD_ID, name, HostName::new);
    let host = host.filter(|host| {
        // The name stands for this machine in node ids and messages.
        let taken = host.as_str() == "local";
        if taken {
            context.error(&codes::BAD_ID, name.span, "a host cannot be called `local`");
        }
        !taken
    });
    let ssh = context.checked(&codes::BAD_VALUE, &file.ssh, SshDestination::new);
    let work_dir = match &file.work_dir {
        Some(path) => context.checked(&codes::BAD_VALUE, path, AbsolutePath::new),
        None => AbsolutePath::new("/var/tmp/forge-lanes").ok(),
    };
    let max_jobs = file.max_jobs.map_or(1, |at| at.value);
    if let Some(at) = file.max_jobs
        && at.value == 0
    {
        context.error(&codes::BAD_VALUE, at.span, "a host with `max_jobs = 0` would run nothing");
    }
    Some(SshHost { host: host?, ssh: ssh?, work_dir: work_dir?, max_jobs })
}

pub(super) fn runtime(written: &At<RuntimeFile>, context: &mut Context<'_>) -> Option<Runtime> {
    match &written.value {
        RuntimeFile::HostProcess => Some(Runtime::HostProcess),
        RuntimeFile::Incus(file) => incus(file, context).map(Runtime::Incus),
        RuntimeFile::Tart(file) => tart(file, context).map(Runtime::Tart),
    }
}

fn engine_name(text: &At<String>, context: &mut Context<'_>) -> Option<EngineName> {
    context.checked(&codes::BAD_VALUE, text, EngineName::new)
}

/// Refuses a limit of nothing.
fn some(limit: Option<At<u32>>, what: &str, context: &mut Context<'_>) -> Option<u32> {
    let limit = limit?;
    if limit.value == 0 {
        let message = format!("`{what}` cannot be 0; leave the key out for no limit");
        context.error(&codes::BAD_VALUE, limit.span, message);
    }
    Some(limit.value)
}

fn incus(file: &IncusFile, context: &mut Context<'_>) -> Option<Incus> {
    let image = engine_name(&file.image, context);
    let project = file.project.as_ref().and_then(|name| engine_name(name, context));
    let profiles = file.profiles.iter().flatten();
    let profiles = profiles.filter_map(|name| engine_name(name, context)).collect();
    let cluster = file.cluster.as_ref().and_then(|cluster| match &cluster.value {
        ClusterFile::Any => Some(IncusCluster::Any),
        ClusterFile::Member(name) => engine_name(name, context).map(IncusCluster::Member),
        ClusterFile::Group(name) => engine_name(name, context).map(IncusCluster::Group),
    });
    let is = |flag: &Option<At<bool>>| flag.is_some_and(|at| at.value);
    Some(Incus {
        image: image?,
        project,
        profiles,
        vm: is(&file.vm),
        privileged: is(&file.privileged),
        user: file.user.map(|at| at.value),
        group: file.group.map(|at| at.value),
        cpu: some(file.cpu, "cpu", context),
        memory_mib: some(file.memory_mib, "memory_mib", context),
        processes: some(file.processes, "processes", context),
        disk_mib: some(file.disk_mib, "disk_mib", context),
        cluster,
        boot_timeout_secs: some(file.boot_timeout_secs, "boot_timeout_secs", context),
    })
}

fn tart(file: &TartFile, context: &mut Context<'_>) -> Option<Tart> {
    Some(Tart {
        image: engine_name(&file.image, context)?,
        cpu: some(file.cpu, "cpu", context),
        memory_mib: some(file.memory_mib, "memory_mib", context),
        disk_gb: some(file.disk_gb, "disk_gb", context),
        boot_timeout_secs: some(file.boot_timeout_secs, "boot_timeout_secs", context),
    })
}
