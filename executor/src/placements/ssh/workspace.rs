//! A job as the pushed supervisor is told of it: what it starts, where, and what it sees.
//!
//! Everything is text for the host's `sh`. With the rights to mount, a job that may not write sees the tree
//! itself, read-only for root as well, in a mount namespace of its own; without them, a private copy
//! whose write permissions are gone.

use plans::Output;

use crate::{
    artifacts::outputs,
    command_line::{Script, is_variable_name},
    guest_command::OUT_LINK,
    placements::Job,
    supervise::shim::ENTER,
};

/// Where things of one attempt are on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobPaths {
    /// `RUN/NODE.ATTEMPT`, its path below the directory of attempts.
    pub(super) name: String,
    /// The state directory.
    pub(super) state: String,
    /// What outlives the attempt.
    pub(super) output: String,
    /// A file that is there once the attempt was removed: a later start of it is refused.
    pub(super) over: String,
}

impl JobPaths {
    /// Returns the directory of what outlives the attempts of the same run.
    fn run_outputs(&self) -> &str {
        self.output.rsplit_once('/').map_or("/", |(run, _)| run)
    }

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
enum WorkspaceView {
    /// It gets a copy.
    Copy,
    /// It gets a copy that it cannot write to.
    LockedCopy,
    /// It sees the tree, mounted read-only.
    Mount,
}

/// Returns what sets the variables of which the supervisor's `run`, which is to follow in the same shell, takes the job:
/// what only the one that owns the directory may write and do.
pub(super) fn with_shell(job: &Job, places: &JobPaths, owner: &str, may_mount: bool) -> Script {
    Script::default()
        .set("fl_ready", bytes(&ready(job, places, owner, may_mount)))
        .set("fl_cmd", bytes(&command(job, places, may_mount)))
        .set("fl_env", bytes(&secrets(job)))
}

/// Returns the script that makes everything ready. It can be run again at any time.
fn ready(job: &Job, places: &JobPaths, owner: &str, may_mount: bool) -> Script {
    let mut ready = Script::default();
    if job.keep.output.is_some() {
        let output = Script::new("mkdir -p").word(&places.output).text(" && printf '%s\\n'");
        let output = output.word(owner).text(" >").word(format!("{}/owner", places.run_outputs()));
        ready = ready.then(&output.text(" || exit 1\n"));
    }
    if view(job, may_mount) != WorkspaceView::Mount {
        let locked = view(job, may_mount) == WorkspaceView::LockedCopy;
        ready = ready.set("tree", tree(job)).set("ws", workspace(job, places, may_mount));
        ready = ready.text(if locked { LOCKED_COPY } else { WRITABLE_COPY });
        // The copy is the job's own: its caches are moved into it.
        for cache in &job.caches {
            ready =
                ready.set("cache", format!("{}/data", cache.dir)).set("below", cache.at.as_str());
            ready = ready.text(MOVED_CACHE);
        }
    }
    ready
}

/// Returns the words that tell the supervisor's `run` of the directory it is to make.
pub(super) fn room(job: &Job, places: &JobPaths, owner: &str) -> [String; 3] {
    [format!("over={}", places.over), format!("owner={owner}"), format!("tree={}", tree(job))]
}

/// Copies the tree whole or not at all, with linked blocks where the file system can, and leaves it to
/// `finish`. Run by the supervisor, with `tree` and `ws` set.
macro_rules! copy {
    ($finish:literal) => {
        concat!(
            "if [ ! -d \"$ws\" ]; then\n\
             new=${ws%/*}/.new-ws\n\
             [ ! -d \"$new\" ] || { chmod -R u+rwX \"$new\"; rm -rf \"$new\"; }\n\
             cp -a \"$tree\" \"$new\" 2>/dev/null || { rm -rf \"$new\"; cp -cRp \"$tree\" \"$new\" 2>/dev/null; } ||\n\
             { rm -rf \"$new\"; cp -Rp \"$tree\" \"$new\"; } || exit 1\n",
            $finish,
            "fi\n"
        )
    };
}

/// Moves a cache into the workspace, unless that was done. Whoever may not write there does so all the same.
const MOVED_CACHE: &str = "if [ -d \"$cache\" ]; then\n\
    at=$ws rest=$below\n\
    while [ -n \"$rest\" ]; do\n\
    name=${rest%%/*}\n\
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac\n\
    parent=$at at=$at/$name mode=\n\
    { [ ! -L \"$at\" ] && { [ ! -e \"$at\" ] || [ -d \"$at\" ]; }; } || \
    { echo \"something is in the way of a cache: $at\" >&2; exit 1; }\n\
    [ -w \"$parent\" ] || { mode=u-w; chmod u+w \"$parent\"; }\n\
    if [ -n \"$rest\" ]; then [ -d \"$at\" ] || mkdir \"$at\" || exit 1\n\
    else\n\
    [ ! -d \"$at\" ] || { chmod -R u+rwX \"$at\"; rm -rf \"$at\"; }\n\
    mv \"$cache\" \"$at\" || exit 1\n\
    fi\n\
    [ -z \"$mode\" ] || chmod \"$mode\" \"$parent\"\n\
    done\n\
    fi\n";

const WRITABLE_COPY: &str = copy!("chmod -R u+w \"$new\" && mv \"$new\" \"$ws\" || exit 1\n");

const LOCKED_COPY: &str = copy!(
    "chmod -R a-w \"$new\" && chmod u+w \"$new\" && mv \"$new\" \"$ws\" && chmod a-w \"$ws\" || exit 1\n"
);

/// Returns the name of the tree that the job uses.
pub(super) fn used(job: &Job) -> &str {
    tree(job).rsplit('/').next().unwrap_or_default()
}

/// Returns the tree that the supervisor is to show the job read-only, when that is all it needs mounted.
pub(super) fn shown(job: &Job, may_mount: bool) -> Option<&str> {
    (view(job, may_mount) == WorkspaceView::Mount && !mounts_more(job, may_mount))
        .then(|| tree(job))
}

/// Returns whether something besides the tree is to be mounted.
fn mounts_more(job: &Job, may_mount: bool) -> bool {
    let caches = view(job, may_mount) == WorkspaceView::Mount && !job.caches.is_empty();
    caches || !job.mounts.is_empty()
}

fn tree(job: &Job) -> &str {
    job.workspace.path()
}

fn view(job: &Job, may_mount: bool) -> WorkspaceView {
    match (job.writable || job.keep.output == Some(Output::Workspace), may_mount) {
        (true, _) => WorkspaceView::Copy,
        (false, true) => WorkspaceView::Mount,
        (false, false) => WorkspaceView::LockedCopy,
    }
}

fn bytes(script: &Script) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(script.as_bytes().to_vec())
}

/// Returns what a server's `run` is told of a job that needs no shell, after its options: nothing has to be mounted
/// besides the tree.
pub(super) fn without_shell(
    job: &Job,
    places: &JobPaths,
    owner: &str,
    may_mount: bool,
) -> Option<Vec<String>> {
    if mounts_more(job, may_mount) {
        return None;
    }
    let ready = ready(job, places, owner, may_mount);
    let ready = String::from_utf8_lossy(ready.as_bytes()).into_owned();
    let directory = directory(job, workspace(job, places, may_mount));
    let mut words = vec![format!("ready={ready}"), "--".to_owned(), directory];
    let secrets = job.secrets.iter().map(|(name, value)| (&**name, value.expose().to_owned()));
    let given = secrets.chain(variables(job, places)).filter(|(name, _)| is_variable_name(name));
    words.extend(given.map(|(name, value)| format!("{name}={value}")));
    words.push("--".to_owned());
    words.extend(job.argv.iter().cloned());
    Some(words)
}

/// Returns where the job finds its workspace.
fn workspace(job: &Job, places: &JobPaths, may_mount: bool) -> String {
    match view(job, may_mount) {
        WorkspaceView::Mount => tree(job).to_owned(),
        WorkspaceView::Copy | WorkspaceView::LockedCopy => {
            places.copy(job.keep.output == Some(Output::Workspace))
        }
    }
}

fn directory(job: &Job, workspace: String) -> String {
    match &job.working_dir {
        Some(below) => format!("{workspace}/{below}"),
        None => workspace,
    }
}

/// Returns `cmd`.
fn command(job: &Job, places: &JobPaths, may_mount: bool) -> Script {
    let view = view(job, may_mount);
    let directory = directory(job, workspace(job, places, may_mount));
    let enter = |script: Script| {
        script.set("_fl_dir", &directory).text(ENTER).text("_fl_enter").text(" \"$@\"\n")
    };
    let given = exports(variables(job, places).into_iter());
    if !mounts_more(job, may_mount) {
        let script = given.text("_fl_state=$1\nset --").words(&job.argv).text("\n");
        return enter(script);
    }
    // Inside of a mount namespace, which is gone with its last process.
    let mut inner = Script::new("_fl_state=$1; shift\n").text(
        // Some mount(8) take `bind,ro` for `bind`: asked, and told again.
        "_fl_bind() { mount -o bind,ro \"$1\" \"$2\" && { [ ! -w \"$2\" ] || \
         mount -o remount,bind,ro \"$2\"; } || _fl_no broken \"cannot mount $1 at $2\"; }\n",
    );
    if view == WorkspaceView::Mount {
        inner = inner.text("_fl_bind").word(tree(job)).word(tree(job)).text("\n");
        for cache in &job.caches {
            let (from, at) = (format!("{}/data", cache.dir), format!("{}/{}", tree(job), cache.at));
            inner = inner.text("mount --bind").words([&from, &at]).text(" || _fl_no broken");
            inner = inner.word(format!("cannot mount a cache at {at}")).text("\n");
        }
    }
    for mount in &job.mounts {
        inner = inner.text("mkdir -p").word(&mount.to).text("\n_fl_bind");
        inner = inner.word(&mount.from).word(&mount.to).text("\n");
    }
    // Functions first: they are used above.
    let inner = Script::new(ENTER).text(&String::from_utf8_lossy(inner.as_bytes()));
    let inner = inner.set("_fl_dir", &directory).text("_fl_enter \"$@\"\n");
    given
        .text("exec unshare --mount --propagation private /bin/sh -c")
        .word(bytes(&inner))
        .word("sh")
        .text(" \"$1\"")
        .words(&job.argv)
        .text("\n")
}

/// Returns what the job sees besides what the host itself gives it, secrets apart.
fn variables<'a>(job: &'a Job, places: &JobPaths) -> Vec<(&'a str, String)> {
    let mut given: Vec<(&str, String)> = vec![
        ("TMPDIR", format!("{}/tmp", places.state)),
        ("ARTIFACTS_DIR", format!("{}/artifacts", places.state)),
    ];
    if !job.keep.outputs.is_empty() {
        given.push((outputs::VARIABLE, format!("{}/artifacts/{}", places.state, outputs::FILE)));
    }
    if job.keep.output == Some(Output::StorePath) {
        given.push((OUT_LINK, format!("{}/result", places.output)));
    }
    given.extend(job.env.iter().map(|(name, value)| (name.as_str(), value.clone())));
    given
}

/// Returns `env`, which is removed once the job has read it.
fn secrets(job: &Job) -> Script {
    exports(job.secrets.iter().map(|(name, value)| (name.as_str(), value.expose().to_owned())))
}

fn exports<'a>(variables: impl Iterator<Item = (&'a str, String)>) -> Script {
    variables
        .filter(|(name, _)| is_variable_name(name))
        .fold(Script::default(), |script, (name, value)| script.text("export ").set(name, value))
}
