//! The machine's half of a guest: what is asked of its `tart`, through one pushed script.
//!
//! Owns the calls and what their answers mean; when they are made is the business of the parent
//! module. Nothing here knows which placement the machine is.

use std::time::Duration;

use crate::{
    fault::{FailureKind, Fault},
    placements::{Answer, ControlCommand, Machine},
    supervise::JobRef,
    trust::Distrust,
};

/// Verbs of the machine's half; its head documents them.
const SCRIPT: &str = include_str!("host.sh");

/// What `tart` itself is started through: a session that is no login finds no Homebrew.
const TART: &str = "PATH=$PATH:/opt/homebrew/bin:/usr/local/bin; export PATH; exec tart \"$@\"";

/// The version whose behaviour this was written for: major, minor.
const LEAST: (u32, u32) = (2, 32);

/// Less room than this is no room for a guest to start in.
const LEAST_FREE: u64 = 1 << 30;

/// A machine, as the one who has Tart.
#[derive(Clone, Copy)]
pub(super) struct TartHost<'a> {
    pub(super) machine: &'a dyn Machine,
}

/// What a clone is to be.
pub(super) struct Clone<'a> {
    pub(super) spec: &'a plans::Tart,
    pub(super) name: &'a str,
    pub(super) owner: &'a str,
    pub(super) run: &'a str,
    /// `NODE.ATTEMPT`.
    pub(super) job: &'a str,
    /// For how long it is wanted unless somebody renews.
    pub(super) wanted: Duration,
}

/// How a guest stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuestState {
    /// `none`, `running`, `stopped`, `suspended` or `unknown`.
    pub(super) state: String,
    /// Its `tart run` is over, with this code.
    pub(super) ended: Option<i32>,
    /// The last that `tart run` said.
    pub(super) said: String,
}

/// A slot for running guests that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// Which.
    pub(super) number: u32,
    /// The guest that has it.
    pub(super) guest: String,
    /// Whose that is; absent: it is only being made.
    pub(super) job: Option<JobRef>,
    /// How long it is still wanted without a renewal; zero: it only runs on.
    pub(super) wanted: Duration,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// Commands run in the guest.
    Ready,
    /// Not yet; `tart exec`'s code and words.
    NotYet(i32, String),
    /// Its `tart run` is over.
    Ended(i32, String),
}

/// A guest that has a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) run: String,
    /// Whether it is still wanted by whoever renews it.
    pub(super) is_wanted: bool,
}

/// What a machine with Tart is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) version: String,
    pub(super) free: u64,
}

impl TartHost<'_> {
    fn call(&self, words: &[&str], deadline: Duration) -> Result<Answer, Fault> {
        let mut argv = vec!["sh", "-c", SCRIPT, "tart-host"];
        argv.extend(words);
        let answer = self.machine.run(&ControlCommand::new(argv).deadline(deadline));
        let answer = answer.map_err(|fault| match fault.kind {
            FailureKind::NoAnswer => Fault::new(
                FailureKind::EngineDown,
                format!("tart on `{}` does not answer: {}", self.name(), fault.message),
            )
            .advice("try `tart list` there; a restart of the machine ends what hangs"),
            _ => fault,
        })?;
        match untrusted(&text(&answer.stdout)) {
            Some((distrust, user)) => Err(Fault::new(
                FailureKind::UntrustedDirectory,
                format!("the directory of guests on `{}`: {distrust}", self.name()),
            )
            .advice(distrust.mend(&user))),
            None => Ok(answer),
        }
    }

    fn ask(&self, words: &[&str]) -> Result<Answer, Fault> {
        self.call(words, Duration::from_secs(60))
    }

    fn name(&self) -> &str {
        self.machine.name()
    }

    /// Returns a command that runs in a guest.
    pub(super) fn exec(name: &str, interactive: bool, argv: &[String]) -> ControlCommand {
        let mut all = vec!["sh", "-c", TART, "tart", "exec"];
        // Options stand before the name; whatever comes after it is the command, `--` as well.
        all.extend(interactive.then_some("-i"));
        all.push(name);
        ControlCommand::new(all.into_iter().chain(argv.iter().map(String::as_str)))
    }

    /// Looks whether a guest of this image can be made.
    pub(super) fn examine(&self, image: &str) -> Result<Examined, Fault> {
        let answer = self.call(&["examine", image], Duration::from_secs(20))?;
        let text = text(&answer.stdout);
        let word = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned))
        };
        let machine = self.name();
        let Some(version) = word("tart").filter(|version| !version.is_empty()) else {
            let system = word("system").unwrap_or_default();
            let advice = if system == "Darwin" {
                "install it there: brew install cirruslabs/cli/tart"
            } else {
                "Tart runs on a Mac with Apple silicon: name one as the job's placement"
            };
            return Err(Fault::new(
                FailureKind::ToolMissing,
                format!("`{machine}` ({system}) has no tart: {}", answer.complaint()),
            )
            .advice(advice));
        };
        if !is_new_enough(&version) {
            let (major, minor) = LEAST;
            return Err(Fault::new(
                FailureKind::ToolMissing,
                format!(
                    "tart on `{machine}` is {version}: jobs in guests take {major}.{minor} or newer"
                ),
            )
            .advice("brew upgrade cirruslabs/cli/tart"));
        }
        match word("image").as_deref() {
            Some("yes") => {}
            Some(_) => {
                return Err(Fault::new(
                    FailureKind::ImageMissing,
                    format!("tart on `{machine}` has no image `{image}`"),
                )
                .advice(format!("pull or clone it there first: tart clone SOURCE {image}")));
            }
            None => {
                return Err(Fault::new(
                    FailureKind::EngineDown,
                    format!("tart on `{machine}` lists no images: {}", answer.complaint()),
                ));
            }
        }
        let free = word("free").and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024;
        if free < LEAST_FREE {
            return Err(Fault::new(
                FailureKind::DiskFull,
                format!("`{machine}` has {} MiB left where tart keeps its guests", free >> 20),
            )
            .advice("make room there: tart prune, or delete guests that are not needed"));
        }
        Ok(Examined { version, free })
    }

    /// Takes one of the slots for running guests, or keeps it; `Err` in the answer: the guests that have them.
    pub(super) fn slot(&self, name: &str) -> Result<Result<(), String>, Fault> {
        let answer = self.ask(&["slot", name, "600"])?;
        let text = text(&answer.stdout);
        match text.split_once(' ').map_or(text.as_str(), |(word, _)| word) {
            "taken" => Ok(Ok(())),
            "busy" => Ok(Err(text["busy".len()..].trim().to_owned())),
            _ => Err(self.unclear("take a slot for a guest", &answer)),
        }
    }

    /// Lists the slots for running guests that are taken.
    pub(super) fn slots(&self) -> Result<Vec<Slot>, Fault> {
        let answer = self.ask(&["slots"])?;
        if !answer.success() {
            return Err(self.unclear("list slots for guests", &answer));
        }
        Ok(text(&answer.stdout).lines().filter_map(slot_of).collect())
    }

    pub(super) fn clone(&self, wanted: &Clone<'_>) -> Result<(), Fault> {
        let Clone { spec, name, owner, run, job, wanted } = wanted;
        let number = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
        let (cpu, memory, disk) = (number(spec.cpu), number(spec.memory_mib), number(spec.disk_gb));
        let seconds = wanted.as_secs().to_string();
        let words =
            ["clone", spec.image.as_str(), name, owner, run, job, &seconds, &cpu, &memory, &disk];
        let answer = self.call(&words, Duration::from_secs(1800))?;
        let said = answer.complaint();
        let machine = self.name();
        let text = text(&answer.stdout);
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["cloned"] => Ok(()),
            ["not_ours"] => Err(Fault::new(
                FailureKind::EngineRefused,
                format!("tart on `{machine}` has a guest `{name}` that is not ours"),
            )
            .advice("rename or delete that guest")),
            ["error", "clone", _] if is_out_of_space(&said) => Err(Fault::new(
                FailureKind::DiskFull,
                format!("`{machine}` has no room for a clone of `{}`: {said}", spec.image),
            )
            .advice("make room there (tart prune), then resume the run")),
            ["error", "clone", "2"] => Err(Fault::new(
                FailureKind::ImageMissing,
                format!("tart on `{machine}` has no image `{}`: {said}", spec.image),
            )),
            ["error", what, code] => Err(Fault::new(
                FailureKind::EngineRefused,
                format!("`tart {what}` of `{name}` on `{machine}` ended with {code}: {said}"),
            )),
            _ => Err(self.unclear("clone a guest", &answer)),
        }
    }

    /// Leaves in an attempt's directory a script that says whether its guest runs: a lock that was
    /// acquired for it is held for as long.
    pub(super) fn leave_liveness_script(&self, name: &str, directory: &str) -> Result<(), Fault> {
        let answer = self.ask(&["liveness", name, directory])?;
        if text(&answer.stdout) == "left" {
            return Ok(());
        }
        Err(self.unclear("leave a liveness script", &answer))
    }

    /// Runs a guest in the background of its machine.
    pub(super) fn start(&self, name: &str, shares: &[String]) -> Result<(), Fault> {
        let mut words = vec!["start", name];
        words.extend(shares.iter().map(String::as_str));
        let answer = self.ask(&words)?;
        if text(&answer.stdout) == "started" {
            return Ok(());
        }
        Err(self.unclear("start a guest", &answer))
    }

    pub(super) fn probe(&self, name: &str) -> Result<Probe, Fault> {
        let answer = self.call(&["probe", name], Duration::from_secs(15))?;
        let said = last_lines(&answer.stderr);
        let text = text(&answer.stdout);
        let code = |code: &str| code.parse().unwrap_or(-1);
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["ready"] => Ok(Probe::Ready),
            ["not_yet", number] => Ok(Probe::NotYet(code(number), said)),
            ["ended", number] => Ok(Probe::Ended(code(number), said)),
            _ => Err(self.unclear("look at a guest", &answer)),
        }
    }

    pub(super) fn look(&self, name: &str) -> Result<GuestState, Fault> {
        let answer = self.ask(&["look", name])?;
        let text = text(&answer.stdout);
        let Some((state, ended)) = text.split_once(' ') else {
            return Err(self.unclear("look at a guest", &answer));
        };
        Ok(GuestState {
            state: state.to_owned(),
            ended: ended.parse().ok(),
            said: last_lines(&answer.stderr),
        })
    }

    /// Stops a guest, the hard way after ten seconds.
    pub(super) fn stop(&self, name: &str) -> Result<(), Fault> {
        self.ask(&["stop", name]).map(drop)
    }

    /// Says that a guest is still wanted: for as long as its job runs when nobody renews that, and
    /// a moment for what comes after.
    pub(super) fn renew(&self, name: &str, lease: Duration) -> Result<(), Fault> {
        let wanted = lease + Duration::from_secs(5);
        self.ask(&["renew", name, &wanted.as_secs().to_string()]).map(drop)
    }

    /// Stops and deletes a guest that `owner` made, with its records and its place, and checks that
    /// it is gone.
    pub(super) fn remove(&self, name: &str, owner: &str) -> Result<(), Fault> {
        let answer = self.call(&["remove", name, owner], Duration::from_secs(180))?;
        if text(&answer.stdout) == "removed" {
            return Ok(());
        }
        Err(Fault::new(
            FailureKind::Cleanup,
            format!("guest `{name}` on `{}` is still there: {}", self.name(), answer.complaint()),
        )
        .advice(format!("tart stop {name}; tart delete {name}; or `executor gc`")))
    }

    /// Lists every guest of ours, whoever made it.
    pub(super) fn list(&self) -> Result<Vec<Recorded>, Fault> {
        let answer = self.ask(&["list"])?;
        if !answer.success() {
            return Err(self.unclear("list guests", &answer));
        }
        Ok(text(&answer.stdout).lines().filter_map(recorded).collect())
    }

    /// Brings an archive of the guest, of which the sum is known, unpacked to its machine.
    pub(super) fn fetch(
        &self,
        name: &str,
        archive: &str,
        sum: &str,
        into: &str,
    ) -> Result<(), Fault> {
        let words = ["fetch", name, archive, sum, into];
        let answer = self.call(&words, Duration::from_secs(1800))?;
        let (kind, why) = match text(&answer.stdout).as_str() {
            "fetched" => return Ok(()),
            "error no_space" => (FailureKind::DiskFull, "there is no room".to_owned()),
            "error incomplete" => (FailureKind::Collect, "it did not come whole".to_owned()),
            _ => (FailureKind::Collect, answer.complaint()),
        };
        let machine = self.name();
        Err(Fault::new(
            kind,
            format!("what guest `{name}` left cannot be brought to `{machine}`: {why}"),
        ))
    }

    pub(super) fn count(&self, directory: &str) -> Result<u64, Fault> {
        let answer = self.call(&["count", directory], Duration::from_secs(120))?;
        text(&answer.stdout).parse().map_err(|_| self.unclear("count files", &answer))
    }

    pub(super) fn has_directory(&self, directory: &str) -> Result<bool, Fault> {
        Ok(text(&self.ask(&["share", directory])?.stdout) == "yes")
    }

    /// Returns the machine's Rust toolchain, and whether it has a nix store.
    pub(super) fn toolchain(&self) -> Result<(String, bool), Fault> {
        let answer = self.ask(&["toolchain"])?;
        let text = text(&answer.stdout);
        let mut lines = text.lines();
        match lines.next().filter(|path| path.starts_with('/')) {
            Some(path) => Ok((path.to_owned(), lines.next() == Some("nix"))),
            None => Err(Fault::new(
                FailureKind::ToolMissing,
                format!("`{}` has no Rust toolchain to share: {}", self.name(), answer.complaint()),
            )
            .advice("install one there, with `rustc` in PATH or ~/.cargo/bin")),
        }
    }

    fn unclear(&self, what: &str, answer: &Answer) -> Fault {
        Fault::new(
            FailureKind::Protocol,
            format!(
                "`{}` was to {what} and answered `{}` ({})",
                self.name(),
                text(&answer.stdout).escape_debug(),
                answer.complaint()
            ),
        )
    }
}

/// Reads that a directory of guests is not the user's own, and the name of that user.
fn untrusted(text: &str) -> Option<(Distrust, String)> {
    let mut words = text.strip_prefix("untrusted ")?.splitn(5, ' ');
    let foreign = words.next()? == "foreign";
    let uid = words.next()?.parse().ok()?;
    let mode = words.next()?.chars().take(10).collect();
    let user = words.next()?.to_owned();
    let path = words.next()?.to_owned();
    Some((Distrust { path, uid, mode, foreign, above: false }, user))
}

fn slot_of(line: &str) -> Option<Slot> {
    let [number, guest, run, job, wanted, _state] = *line.split(' ').collect::<Vec<_>>().as_slice()
    else {
        return None;
    };
    Some(Slot {
        number: number.parse().ok()?,
        guest: guest.to_owned(),
        job: JobRef::parse(&format!("{run}/{job}")),
        wanted: Duration::from_secs(wanted.parse().ok()?),
    })
}

fn recorded(line: &str) -> Option<Recorded> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, owner, run, _job, seconds, _state] = words[..] else { return None };
    // What comes back is not a name of ours until it looks like one.
    name.starts_with("ex-").then(|| Recorded {
        name: name.to_owned(),
        owner: owner.to_owned(),
        run: run.to_owned(),
        is_wanted: seconds != "0",
    })
}

/// Returns whether a version is the least one or newer. One that cannot be read is: what it lacks
/// shows when it is used.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= LEAST,
        _ => true,
    }
}

fn is_out_of_space(said: &str) -> bool {
    ["out of space", "No space left", "not enough disk space"]
        .iter()
        .any(|words| said.contains(words))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Returns the end of what was said, in one line.
fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    let skip = last.chars().count().saturating_sub(600);
    last.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_with_a_name_of_ours_are_listed() {
        let line = "ex-abc-job-123456-a1 0011 run1 execute-x.1 0 stopped";
        let found = recorded(line).expect("a record");
        assert_eq!((found.run.as_str(), found.is_wanted), ("run1", false));
        assert_eq!(recorded("sequoia-base 0011 run1 execute-x.1 0 stopped"), None);
        assert_eq!(recorded("ex-abc"), None);
    }

    #[test]
    fn an_old_version_is_told_from_a_new_one_and_one_that_cannot_be_read_is_tried() {
        for (version, new_enough) in [
            ("2.32.1", true),
            ("2.32.0", true),
            ("2.100.0", true),
            ("3.0.0-beta1", true),
            ("2.31.9", false),
            ("2.9.0", false),
            ("1.99.0", false),
            ("SNAPSHOT", true),
        ] {
            assert_eq!(is_new_enough(version), new_enough, "{version}");
        }
    }

    #[test]
    fn the_last_lines_make_one() {
        assert_eq!(last_lines(b"a\n\nb\nc\nd\n"), "b / c / d");
        assert_eq!(last_lines(b""), "");
    }
}
