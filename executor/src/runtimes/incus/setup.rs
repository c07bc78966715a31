//! What an instance is given before its job, as scripts: the directories that it shares with its
//! machine, the job as its supervisor is told of it, what is made ready inside; and the output that
//! is kept afterwards.

use std::time::Duration;

use plans::{CachePath, Output};

use super::{
    Site,
    engine::Engine,
    instance::{JOB, SCRATCH, SHIM, STATE, TOOLCHAIN, WORKSPACE},
};
use crate::{
    artifacts::outputs,
    attempt::Context,
    command_line::Script,
    fault::{FailureKind, Fault},
    locks::LIVENESS_SCRIPT,
    placements::ControlCommand,
    runtimes::{Work, guest},
    supervise::shim,
};

pub(super) fn not_made(machine: &str, said: &str) -> Fault {
    if said.contains("no_space") {
        return Fault::new(
            FailureKind::DiskFull,
            format!("there is no room on `{machine}` for the job's own files"),
        )
        .advice("make room there, then resume the run");
    }
    Fault::new(
        FailureKind::Workspace,
        format!("the job's directories on `{machine}` cannot be made: {said}"),
    )
}

/// Finds the machine's Rust toolchain.
pub(super) fn toolchain(context: &Context<'_>) -> Result<String, Fault> {
    let script = "PATH=$PATH:$HOME/.cargo/bin; rustc --print sysroot";
    let answer = context.machine.run(&ControlCommand::new(["sh", "-c", script]))?;
    let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if answer.success() && path.starts_with('/') {
        return Ok(path);
    }
    Err(Fault::new(
        FailureKind::ToolMissing,
        format!("`{}` has no Rust toolchain to mount", context.machine.name()),
    )
    .advice("install one there, with `rustc` in PATH or ~/.cargo/bin"))
}

/// Returns the script that makes what the instance shares with its machine: the supervisor, the
/// job as it is told of it, a place for artifacts, and the private copy of a writable workspace.
pub(super) fn directories(
    context: &Context<'_>,
    work: &Work,
    site: &Site,
    workspace: &str,
    lives: &Script,
) -> Script {
    let (uid, gid) = site.user;
    let mut script = Script::new("umask 077\nset -f\n")
        .set("d", &site.shared)
        .set("tree", workspace)
        .set("who", format!("{uid}:{gid}"))
        .text(
            "no() { [ \"$(df -Pk \"$d\" | awk 'NR == 2 { print $4 }')\" -gt 64 ] || echo no_space >&2\n\
             exit 1; }\n\
             mkdir -p -m 711 \"$d\" && cd \"$d\" || no\n\
             [ ! -e job ] || rm -rf job artifacts ws .new-ws || no\nmkdir job artifacts || no\n\
             cat /proc/sys/kernel/random/boot_id >../boot 2>/dev/null\n\
             [ -d \"$tree\" ] || { echo \"the source tree $tree is gone\" >&2; exit 1; }\n",
        );
    if work.writable {
        // Linked blocks where the file system can.
        script = script.text(
            "cp -a --reflink=auto \"$tree\" .new-ws 2>/dev/null || \
             { rm -rf .new-ws; cp -Rp \"$tree\" .new-ws; } || no\n\
             chmod -R u+w .new-ws && mv .new-ws ws || no\n",
        );
    }
    let file = |script, name: &str, text: &[u8]| guest::file(script, name, text, "no");
    script = file(script, "job/cmd", guest::command(work, WORKSPACE).as_bytes());
    script = file(script, "job/env", environment(context, work, site).as_bytes());
    script = match context.masks() {
        masks if masks.is_empty() => script,
        masks => file(script, "job/masks", masks.as_bytes()),
    };
    // Beside what the guest sees.
    script = file(script, &format!("../{LIVENESS_SCRIPT}"), lives.as_bytes());
    script = file(script.text("umask 022\n"), "supervisor.sh", shim::SOURCE.as_bytes());
    if site.machine_may_chown() && site.user != site.machine_user {
        script = script.text("chown -R \"$who\" job artifacts || no\n");
        if work.writable {
            script = script.text("chown -R \"$who\" ws || no\n");
        }
        if !work.caches.is_empty() {
            script = script.text("chown -R \"$who\" caches/*/data || no\n");
        }
    }
    script
}

/// Returns the script that says, when the executor that holds the job's lock is gone, whether the job runs: asked for
/// until a moment (seconds since the epoch) after which its lease is over. Without an
/// answer it may.
pub(super) fn lives(engine: &Engine<'_>, site: &Site, until: u64) -> Script {
    let status = ["sh", SHIM, "status", JOB].map(str::to_owned);
    let path = format!("/1.0/instances/{}?project={}", site.name, engine.project);
    Script::new("")
        .set("until", until.to_string())
        .text(
            "[ \"$(date +%s)\" -lt \"$until\" ] || exit 1\n\
             ask() { if command -v timeout >/dev/null; then timeout 15 \"$@\"; else \"$@\"; fi \
             </dev/null 2>/dev/null; }\n\
             case $(ask",
        )
        .words(&engine.exec(&site.name, site.user, &status).argv)
        .text(") in *state=running*) exit 0 ;; *state=*) exit 1 ;; esac\ncase $(ask incus query")
        .word(&path)
        .text(
            " | tr -d ' \\t\\n') in *'\"status\":\"Running\"'*) exit 0 ;; ?*) exit 1 ;; esac\n\
             ! ask incus query /1.0 >/dev/null\n",
        )
}

/// Returns the script that makes ready what is inside of an instance, run by its root: places of the
/// job's own, and the scratch copy. Every program that it starts is one more for each job.
pub(super) fn ready(site: &Site, work: &Work, is_clustered: bool) -> Script {
    let mut script = Script::new(
        "umask 077\n[ -d /forge-lanes ] || mkdir /forge-lanes || exit 1\n\
         cd /forge-lanes || exit 1\n[ -d home ] || mkdir tmp home || exit 1\n",
    );
    if site.user != (0, 0) {
        let (uid, gid) = site.user;
        script = script
            .set("who", format!("{uid}:{gid}"))
            .text("chown \"$who\" tmp home && chmod 755 . || exit 1\n");
    }
    let foreign = !site.machine_may_chown() && site.user != site.machine_user;
    if foreign && !is_clustered {
        script = script.text("chown -R \"$who\" state/job state/artifacts\n");
        if work.writable {
            script = script.text(&format!("chown -R \"$who\" {WORKSPACE}\n"));
        }
        if !work.caches.is_empty() {
            script = script.text("chown -R \"$who\" state/caches/*/data\n");
        }
    }
    if !is_clustered {
        script = script.then(&caches(work));
    }
    if is_clustered { script } else { script.text(&scratch(site, work).to_text()) }
}

/// Returns the script that mounts each cache where the job finds it, unless it is there.
fn caches(work: &Work) -> Script {
    let mut script = Script::default();
    for (number, cache) in work.caches.iter().enumerate() {
        let at = match &cache.path {
            CachePath::Workspace(below) => format!("{WORKSPACE}/{below}"),
            CachePath::Guest(path) => path.to_string(),
        };
        script = script.set("c", format!("{STATE}/caches/{number}/data")).set("at", at).text(
            "[ \"$at\" -ef \"$c\" ] || { mkdir -p \"$at\" && mount --bind \"$c\" \"$at\"; } || exit 1\n",
        );
    }
    script
}

/// Returns the script that mounts the source tree once more at [`SCRATCH`], where writing is allowed
/// and lands on the instance's own disk: the tree itself is shared. Where the kernel cannot, it is not
/// there. A workspace of the job's own needs none.
pub(super) fn scratch(site: &Site, work: &Work) -> Script {
    if work.writable {
        return Script::default();
    }
    let give = match site.user {
        (0, 0) => "true".to_owned(),
        (uid, gid) => format!("chown {uid}:{gid} \"$u/new\" && chmod 755 \"$u/new\""),
    };
    // Without `userxattr` directories of the tree could not be renamed or removed.
    Script::new("umask 077\n").set("s", SCRATCH).set("w", WORKSPACE).text(&format!(
        "u=/forge-lanes/.scratch\n\
         [ -d $u ] || {{ mkdir $u $u/new $u/work \"$s\" && {give} &&\n\
         mount -t overlay -o \"lowerdir=$w,upperdir=$u/new,workdir=$u/work,userxattr\" none \"$s\" \\\n\
         2>/dev/null || rmdir \"$s\"; }}\n"
    ))
}

/// Returns what the job sees besides what the guest itself gives it.
fn environment(context: &Context<'_>, work: &Work, site: &Site) -> Script {
    let home = if site.user.0 == 0 { "/root" } else { "/forge-lanes/home" };
    let artifacts = format!("{STATE}/artifacts");
    let mut script = Script::default();
    if work.rust_toolchain {
        script = script.text(&format!("export PATH=\"{TOOLCHAIN}/bin:$PATH\"\n"));
    }
    let output_file = format!("{artifacts}/{}", outputs::FILE);
    let mut given =
        vec![("HOME", home), ("ARTIFACTS_DIR", &*artifacts), ("TMPDIR", "/forge-lanes/tmp")];
    if !work.keep.outputs.is_empty() {
        given.push((outputs::VARIABLE, &*output_file));
    }
    script = guest::exports(script, &given, context, work);
    script.text(&format!("if [ -d {SCRATCH} ]; then export FORGE_LANES_SCRATCH={SCRATCH}; fi\n"))
}

/// Keeps a prepare node's output where it outlives the attempt; `None` when there is none.
pub(super) fn keep_output(
    context: &Context<'_>,
    output: &Output,
    workspace: &str,
) -> Result<Option<String>, Fault> {
    let Context { request, machine, .. } = context;
    let (below, name) = match output {
        Output::Workspace => (".", "workspace"),
        Output::Directory(below) => (below.as_str(), "directory"),
        // A store inside of a guest goes with it.
        Output::StorePath => return Ok(None),
    };
    let script = Script::new("umask 022\n")
        .set("ws", workspace)
        .set("below", below)
        .set("out", machine.output_dir(&request.job()))
        .set("name", name)
        .text(
            // A job may have put a link in its place.
            "[ ! -L \"$ws\" ] || exit 3\n\
             real=$(cd \"$ws\" && pwd -P) && from=$(cd \"$ws/$below\" && pwd -P) || exit 3\n\
             case $from/ in \"$real\"/*) ;; *) exit 3 ;; esac\n\
             mkdir -p \"$out\" && rm -rf \"$out/.new\" \"$out/$name\" &&\n\
             cp -Rp \"$from\" \"$out/.new\" && mv \"$out/.new\" \"$out/$name\" || exit 1\n\
             cd \"$out/$name\" && pwd -P\n",
        );
    let command = ControlCommand::new(["sh", "-s"])
        .stdin(script.as_bytes())
        .deadline(Duration::from_secs(600));
    let answer = machine.run(&command)?;
    match answer.code {
        Some(0) => Ok(Some(String::from_utf8_lossy(&answer.stdout).trim_end().to_owned())),
        Some(3) => Ok(None),
        _ => Err(Fault::new(
            FailureKind::Collect,
            format!("the output on `{}` cannot be kept: {}", machine.name(), answer.complaint()),
        )),
    }
}
