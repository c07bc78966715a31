//! A host over its connection: what is known of it, its directories, its pushed supervisor.
//!
//! Below the host's `work_dir`: `bin/` (supervisors by hash), `trees/` (by content), `runs/RUN/NODE.ATTEMPT`
//! (one attempt), `outputs/RUN/NODE.ATTEMPT` (what outlives it), `over/`, and the locks. What is done with
//! it is for the modules beside this one.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use plans::SshHost;

use super::workspace::JobPaths;
use crate::{
    batch::Batch,
    command_line::Script,
    fault::{FailureKind, Fault},
    locks::remote::{LockServer, RemoteLocks},
    placements::{MachineFacts, Secret},
    ssh::{Ask, Attachment, Host, SshOptions, fault, prepare_runtime_dir},
    state,
    supervise::{
        JobRef,
        shim::{self, Server},
    },
    trust::{self, Distrust},
};

/// What is asked once of a host.
struct Known {
    facts: MachineFacts,
    may_mount: bool,
    has_perl: bool,
    /// Whether the supervisor is there, and the directories it works with.
    is_provisioned: bool,
    /// What in its `work_dir`, or on the way to it, others may change.
    distrusted: Vec<Distrust>,
}

/// How many of those are told.
const MOST_TOLD: usize = 5;

impl Known {
    /// Reads what the host answered, a line each: system and machine, `id`, which boot, four times yes or
    /// no, what `fl_see` prints, the home directory.
    fn of(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let mut line = || lines.next();
        let (system, architecture) = line()?.split_once(' ')?;
        // uid=0(root) gid=0(root) groups=…
        let (uid, rest) = line()?.strip_prefix("uid=")?.split_once('(')?;
        let (user, gid) = rest.split_once(") gid=")?;
        let gid = gid.split(|byte: char| !byte.is_ascii_digit()).next()?;
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let boot_id = line()?.to_owned();
        let (mounts, perl, provisioned, full) = (line()?, line()?, line()?, line()?);
        if !text.contains("\n.\n") {
            return None;
        }
        let distrusted = trust::judge(&mut lines, uid);
        let home = lines.collect::<Vec<_>>().join("\n").trim_end_matches('\n').to_owned();
        Some(Self {
            facts: MachineFacts {
                boot_id,
                system: system.to_owned(),
                architecture: architecture.to_owned(),
                user: user.to_owned(),
                uid,
                gid,
                home,
                is_full: full == "yes",
            },
            may_mount: mounts == "yes" && uid == 0,
            has_perl: perl == "yes",
            is_provisioned: provisioned == "yes",
            distrusted,
        })
    }
}

/// A host, and what this process has under way there.
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) host: Arc<Host>,
    pub(super) work_dir: String,
    facts: OnceLock<Known>,
    shim: OnceLock<PathBuf>,
    /// `runs/` of this executor's state directory.
    runs_dir: PathBuf,
    /// What must not show in a job's log.
    redacted: Mutex<BTreeMap<JobRef, Vec<String>>>,
    /// Jobs that ended with nothing in their own artifacts directory.
    left_nothing: Mutex<BTreeSet<JobRef>>,
    /// Jobs that were started and are not watched yet.
    begun: Mutex<BTreeMap<JobRef, Attachment>>,
    pub(super) locks: RemoteLocks,
    /// Attempts that are to be removed.
    pub(super) removals: Batch<Result<(), Fault>>,
}

impl Remote {
    /// Makes one of a host in a plan; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the directory for control sockets cannot be made.
    pub(super) fn open(
        host: &SshHost,
        options: SshOptions,
        runs_dir: &Path,
    ) -> Result<Self, Fault> {
        prepare_runtime_dir(&options.runtime_dir)?;
        let connection = Host::new(options)
            .map_err(|error| Fault::io(FailureKind::Io, "opening a cancel token", &error))?;
        Ok(Self {
            name: host.host.to_string(),
            host: Arc::new(connection),
            work_dir: host.work_dir.to_string(),
            facts: OnceLock::new(),
            shim: OnceLock::new(),
            runs_dir: runs_dir.to_owned(),
            redacted: Mutex::default(),
            left_nothing: Mutex::default(),
            begun: Mutex::default(),
            locks: RemoteLocks::default(),
            removals: Batch::default(),
        })
    }

    /// Keeps what came of a start until the job is watched.
    pub(super) fn keep_attachment(&self, job: &JobRef, attachment: Attachment) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.insert(job.clone(), attachment);
    }

    /// Returns whether this process started the job and nobody watched it yet.
    pub(super) fn has_attachment(&self, job: &JobRef) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).contains_key(job)
    }

    pub(super) fn take_attachment(&self, job: &JobRef) -> Option<Attachment> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(job)
    }

    /// Returns what tells this executor's runs there from those of others: its state directory.
    pub(super) fn owner(&self) -> String {
        state::owner(&self.runs_dir)
    }

    /// Returns whether a run of ours may still be resumed, or is being run.
    pub(super) fn is_unfinished(&self, run: &str) -> bool {
        let dir = self.runs_dir.join(run);
        dir.is_dir() && !dir.join("record.json").exists()
    }

    /// Returns what must not show in a job's log.
    pub(super) fn redacted(&self, job: &JobRef) -> Vec<String> {
        let redacted = self.redacted.lock().unwrap_or_else(PoisonError::into_inner);
        redacted.get(job).cloned().unwrap_or_default()
    }

    /// Notes what must not show in a job's log.
    pub(super) fn redact(&self, job: &JobRef, secrets: &BTreeMap<String, Secret>) {
        if !secrets.is_empty() {
            let values = secrets.values().map(|value| value.expose().to_owned()).collect();
            let mut redacted = self.redacted.lock().unwrap_or_else(PoisonError::into_inner);
            redacted.insert(job.clone(), values);
        }
    }

    /// Notes that a job ended and left nothing in its own artifacts directory: nobody has to ask the host what is there.
    pub(super) fn note_left_nothing(&self, job: &JobRef) {
        self.left_nothing.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone());
    }

    /// Returns whether that is known; `false`: there may be something.
    pub(super) fn has_left_nothing(&self, job: &JobRef) -> bool {
        self.left_nothing.lock().unwrap_or_else(PoisonError::into_inner).contains(job)
    }

    /// Forgets what this process had under way of a job.
    pub(super) fn forget(&self, job: &JobRef) {
        self.left_nothing.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        let mut redacted = self.redacted.lock().unwrap_or_else(PoisonError::into_inner);
        redacted.remove(job);
        drop(redacted);
        // Nobody came to watch it.
        drop(self.take_attachment(job));
    }

    /// Returns where things of a job are there.
    pub(super) fn paths(&self, job: &JobRef) -> JobPaths {
        self.paths_of(&job.run, &format!("{}.{}", job.node, job.attempt))
    }

    pub(super) fn paths_of(&self, run: &str, node: &str) -> JobPaths {
        JobPaths {
            name: format!("{run}/{node}"),
            state: format!("{}/runs/{run}/{node}", self.work_dir),
            output: format!("{}/outputs/{run}/{node}", self.work_dir),
            over: format!("{}/{run}+{node}", self.over_dir()),
        }
    }

    /// Returns the supervisor's path there, putting it there first if need be.
    pub(super) fn shim(&self) -> Result<PathBuf, Fault> {
        if let Some(path) = self.shim.get() {
            return Ok(path.clone());
        }
        let directory = Path::new(&self.work_dir).join("bin");
        let known = self.ask_facts()?;
        if !known.is_provisioned {
            let script = shim::install(&directory).text("mkdir -p").word(self.locks_dir());
            let script = script.word(self.over_dir()).text(" || exit 1\n").text(trust::SEE);
            let script = script.text("fl_see").word(&self.work_dir).text("\n");
            let installed = self.host.check(&script, &self.host.patience());
            let seen = installed.map_err(|error| fault(FailureKind::Supervisor, &error))?;
            // Nothing in it was run yet. Somebody may have made it first.
            let seen = String::from_utf8_lossy(&seen).into_owned();
            self.trust(&trust::judge(&mut seen.lines(), known.facts.uid), &known.facts.user)?;
        }
        Ok(self.shim.get_or_init(|| directory.join(shim::file_name())).clone())
    }

    /// Returns the directory of attempts that are over, one empty file for each attempt.
    fn over_dir(&self) -> String {
        format!("{}/over", self.work_dir)
    }

    /// Returns the directory of locks there.
    pub(super) fn locks_dir(&self) -> String {
        // Named as it always was: executors of other versions must find each other's locks.
        format!("{}/turns", self.work_dir)
    }

    /// Returns what serves the locks there.
    pub(super) fn lock_server(&self) -> Result<LockServer, Fault> {
        Ok(LockServer {
            name: self.name.clone(),
            host: Arc::clone(&self.host),
            shim: self.shim()?,
            server: self.server()?,
            directory: self.locks_dir(),
        })
    }

    /// Returns what is true of the host.
    pub(super) fn facts(&self) -> Result<MachineFacts, Fault> {
        self.ask_facts().map(|known| known.facts.clone())
    }

    /// Returns whether all of that was asked and the supervisor is there.
    pub(super) fn is_known(&self) -> bool {
        self.facts.get().is_some() && self.shim.get().is_some()
    }

    pub(super) fn may_mount(&self) -> Result<bool, Fault> {
        self.ask_facts().map(|known| known.may_mount)
    }

    /// Returns the supervisor there, if it can serve.
    pub(super) fn server(&self) -> Result<Option<Server>, Fault> {
        let known = self.ask_facts()?;
        let system = format!("{}/{}", known.facts.system, known.facts.architecture);
        if !known.has_perl || !matches!(&*system, "Linux/x86_64" | "Linux/aarch64") {
            return Ok(None);
        }
        Ok(Some(Server { shim: self.shim()?, system }))
    }

    /// Runs a verb of the supervisor and returns its answer.
    pub(super) fn verb<W: AsRef<std::ffi::OsStr>>(
        &self,
        verb: &str,
        dir: &str,
        words: &[W],
    ) -> Result<String, Fault> {
        let script = shim::call(&self.shim()?, verb, Path::new(dir)).words(words);
        self.answer(&Ask::Shell(Cow::Owned(script)))
    }

    /// Returns what is answered, a failure as well.
    pub(super) fn answer(&self, ask: &Ask<'_>) -> Result<String, Fault> {
        // `error WHY` comes with a status that is no success.
        let answer = self.host.ask(ask, &self.host.patience());
        let answer = answer.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
        Ok(answer.text())
    }

    fn ask_facts(&self) -> Result<&Known, Fault> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let shim = Path::new(&self.work_dir).join("bin").join(shim::file_name());
        let script = Script::new(
            "uname -sm; id\n\
             cat /proc/sys/kernel/random/boot_id 2>/dev/null ||\n\
             sysctl -n kern.bootsessionuuid 2>/dev/null || echo unknown\n\
             is() { if \"$@\" >/dev/null 2>&1; then echo yes; else echo no; fi; }\n\
             is unshare --mount --propagation private true\n\
             is command -v perl\n",
        );
        let script = script.set("digest", shim::digest()).text(trust::SEE);
        let script = script.set("over", self.over_dir()).set("locks", self.locks_dir());
        let script = script.set("shim", shim).text(
            "digest_of() { sha256sum <\"$1\" || shasum -a 256 <\"$1\" || openssl dgst -sha256 <\"$1\"; }\n\
             is_ours() { case $(digest_of \"$shim\") in *$digest*) ;; *) return 1 ;; esac; }\n\
             provisioned() { [ -s \"$shim\" ] && [ -d \"$over\" ] && [ -d \"$locks\" ] && is_ours; }\n\
             full() { [ -d \"$locks\" ] && { (umask 077; printf '%4096s' >\"$locks/.room-$$\") && f=1 || f=0
             rm -f \"$locks/.room-$$\"; return $f; }; }\n\
             is provisioned\nis full\nfl_see",
        );
        let script = script.word(&self.work_dir).text("\nprintf '%s\\n' \"$HOME\"\n");
        // Nothing is on its way for as long as a day: who packed files, and was killed, left them.
        let script = script.set("work", &self.work_dir).text(
            "({ find \"$over\" -type f -mtime +1 -exec rm -f {} +
             find \"$work\" -maxdepth 1 -type f -name '.outgoing-*' -mtime +1 -exec rm -f {} +
             } </dev/null >/dev/null 2>&1 &)",
        );
        let output = self.host.check(&script, &self.host.patience());
        let output = output.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
        let text = String::from_utf8_lossy(&output).into_owned();
        let known = Known::of(&text).ok_or_else(|| self.garbled(&text))?;
        self.trust(&known.distrusted, &known.facts.user)?;
        Ok(self.facts.get_or_init(|| known))
    }

    /// Refuses a `work_dir` in which others may put what is run.
    fn trust(&self, distrusted: &[Distrust], user: &str) -> Result<(), Fault> {
        let Some(first) = distrusted.first() else { return Ok(()) };
        let mut message = format!("host `{}`: {first}", self.name);
        for other in &distrusted[1..distrusted.len().min(MOST_TOLD)] {
            let _ = write!(message, "; {other}");
        }
        if distrusted.len() > MOST_TOLD {
            let _ = write!(message, "; and {} more", distrusted.len() - MOST_TOLD);
        }
        let mend = first.mend(user);
        let advice = format!("{mend}, there; or set another `work_dir` for this host");
        Err(Fault::new(FailureKind::UntrustedDirectory, message).advice(advice))
    }

    pub(super) fn garbled(&self, text: &str) -> Fault {
        let text: String = text.chars().take(200).flat_map(char::escape_debug).collect();
        Fault::new(FailureKind::Protocol, format!("host `{}` answered `{text}`", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_of_itself_is_read_whole_or_not_at_all() {
        let said = "Linux x86_64\nuid=1000(ci (b)) gid=100(users) groups=100(users),27(sudo)\nb-1\nyes\nno\n\
                    yes\nown\n.\n/home/a\nb\n";
        let known = Known::of(said).expect("facts");
        assert_eq!((known.facts.uid, known.facts.gid, &*known.facts.user), (1000, 100, "ci (b)"));
        assert_eq!((&*known.facts.system, &*known.facts.architecture), ("Linux", "x86_64"));
        assert_eq!((&*known.facts.boot_id, &*known.facts.home), ("b-1", "/home/a\nb"));
        assert!(!known.may_mount && !known.has_perl && known.is_provisioned, "only root mounts");
        for cut in [0, 5, 14, 30, 70, 80, 83] {
            assert!(Known::of(&said[..cut]).is_none(), "{cut}");
        }
    }
}
