//! A job as the pushed supervisor is told of it: what it starts, where, and what it sees.
//!
//! Everything is text for the host's `sh`. With the rights to mount, a job that may not write sees the tree
//! itself, read-only for root as well, in a mount namespace of its own; without them, a private copy
//! whose write permissions are gone.

use plans::Output;

use crate::{
    command_line::{Script, is_variable_name},
    guest_command::OUT_LINK,
    placements::{Job, WorkspaceSource},
    supervise::shim::ENTER,
};

/// Where things of one attempt are on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The state directory.
    pub(super) state: String,
    /// What outlives the attempt.
    pub(super) output: String,
}

impl Places {
    /// Returns the directory the job may write to as its workspace.
    pub(super) fn copy(&self, keeps_workspace: bool) -> String {
        if keeps_workspace {
            format!("{}/workspace", self.output)
        } else {
            format!("{}/ws", self.state)
        }
    }
}

/// How a job comes to its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// It gets a copy.
    Copy,
    /// It gets a copy that it cannot write to.
    LockedCopy,
    /// It sees the tree, mounted read-only.
    Mount,
}

/// Returns the script that makes everything ready for `start`: directories, workspace, `cmd`, `env`. It
/// can be run again at any time.
pub(super) fn make_ready(job: &Job, places: &Places, owner: &str, may_mount: bool) -> Script {
    let tree = tree(job);
    let keeps_workspace = job.keep.output == Some(Output::Workspace);
    let view = view(job, may_mount);
    let mut script = Script::new("umask 077\n")
        .set("state", &places.state)
        .set("output", &places.output)
        .set("tree", tree)
        .set("ws", places.copy(keeps_workspace))
        .set("owner", owner)
        .text(
            "[ -f \"$state/claim\" ] || mkdir -p \"$state/tmp\" \"$state/artifacts\" \"$state/.new-$$\"\n\
             cd \"$state\" || exit 1\n\
             if [ ! -f claim ]; then\n\
             [ -s ../owner ] || printf '%s\\n' \"$owner\" >../owner || exit 1\n\
             printf '%s\\n' \"${tree##*/}\" >uses || exit 1\n\
             [ -d \"$tree\" ] || { echo 'the source tree is gone'; exit 1; }\n",
        );
    if job.keep.output.is_some() {
        script = script.text(
            "mkdir -p \"$output\" && printf '%s\\n' \"$owner\" >\"${output%/*}/owner\" || exit 1\n",
        );
    }
    if view != View::Mount {
        // Whole or not at all; linked blocks where the file system can.
        script = script.text(
            "if [ ! -d \"$ws\" ]; then\n\
             new=${ws%/*}/.new-ws\n\
             chmod -R u+rwX \"$new\" 2>/dev/null; rm -rf \"$new\"\n\
             cp -a \"$tree\" \"$new\" 2>/dev/null || { rm -rf \"$new\"; cp -cRp \"$tree\" \"$new\" 2>/dev/null; } ||\n\
             { rm -rf \"$new\"; cp -Rp \"$tree\" \"$new\"; } || exit 1\n",
        );
        script = script.text(if view == View::LockedCopy {
            "chmod -R a-w \"$new\" || exit 1\n"
        } else {
            "chmod -R u+w \"$new\" || exit 1\n"
        });
        script = script.text("chmod u+w \"$new\"; mv \"$new\" \"$ws\" || exit 1\n");
        if view == View::LockedCopy {
            script = script.text("chmod a-w \"$ws\"\n");
        }
        script = script.text("fi\n");
    }
    // Renamed into place: a supervisor that another try started reads them whole.
    script = script.text("{ printf '%s'").word(bytes(&command(job, places, may_mount)));
    script = script.text(" >.new-$$/cmd && printf '%s'").word(bytes(&environment(job, places)));
    script.text(
        " >.new-$$/env && mv -f .new-$$/cmd .new-$$/env .; } || { echo 'error no_space'; exit 1; }\n\
         if [ -f claim ]; then rm -f env; fi\nfi\n",
    )
}

fn tree(job: &Job) -> &str {
    match &job.workspace {
        WorkspaceSource::Tree(placed) => &placed.path,
        WorkspaceSource::Output(path) => path,
    }
}

fn view(job: &Job, may_mount: bool) -> View {
    match (job.writable || job.keep.output == Some(Output::Workspace), may_mount) {
        (true, _) => View::Copy,
        (false, true) => View::Mount,
        (false, false) => View::LockedCopy,
    }
}

fn bytes(script: &Script) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(script.as_bytes().to_vec())
}

/// Returns `cmd`.
fn command(job: &Job, places: &Places, may_mount: bool) -> Script {
    let view = view(job, may_mount);
    let keeps_workspace = job.keep.output == Some(Output::Workspace);
    let workspace = match view {
        View::Mount => tree(job).to_owned(),
        View::Copy | View::LockedCopy => places.copy(keeps_workspace),
    };
    let directory = match &job.working_dir {
        Some(below) => format!("{workspace}/{below}"),
        None => workspace,
    };
    let enter = |script: Script| {
        script.set("_fl_dir", &directory).text(ENTER).text("_fl_enter").text(" \"$@\"\n")
    };
    if view != View::Mount && job.mounts.is_empty() {
        let script = Script::new("_fl_state=$1\nset --").words(&job.argv).text("\n");
        return enter(script);
    }
    // Inside of a mount namespace, which is gone with its last process.
    let mut inner = Script::new("_fl_state=$1; shift\n").text(
        // Some mount(8) take `bind,ro` for `bind`: asked, and told again.
        "_fl_bind() { mount -o bind,ro \"$1\" \"$2\" && { [ ! -w \"$2\" ] || \
         mount -o remount,bind,ro \"$2\"; } || _fl_no broken \"cannot mount $1 at $2\"; }\n",
    );
    if view == View::Mount {
        inner = inner.text("_fl_bind").word(tree(job)).word(tree(job)).text("\n");
    }
    for mount in &job.mounts {
        inner = inner.text("mkdir -p").word(&mount.to).text("\n_fl_bind");
        inner = inner.word(&mount.from).word(&mount.to).text("\n");
    }
    // Functions first: they are used above.
    let inner = Script::new(ENTER).text(&String::from_utf8_lossy(inner.as_bytes()));
    let inner = inner.set("_fl_dir", &directory).text("_fl_enter \"$@\"\n");
    Script::new("exec unshare --mount --propagation private /bin/sh -c")
        .word(bytes(&inner))
        .word("sh")
        .text(" \"$1\"")
        .words(&job.argv)
        .text("\n")
}

/// Returns `env`: what the job sees besides what the host itself gives it.
fn environment(job: &Job, places: &Places) -> Script {
    let mut script = Script::default();
    let mut export = |name: &str, value: &str| {
        if is_variable_name(name) {
            script = std::mem::take(&mut script).text("export ").set(name, value);
        }
    };
    export("TMPDIR", &format!("{}/tmp", places.state));
    export("ARTIFACTS_DIR", &format!("{}/artifacts", places.state));
    if job.keep.output == Some(Output::StorePath) {
        export(OUT_LINK, &format!("{}/result", places.output));
    }
    for (name, value) in &job.env {
        export(name, value);
    }
    for (name, value) in &job.secrets {
        export(name, value.reveal());
    }
    script
}
