//! Results on a host, where several machines share them: one file for each key.
//!
//! ```text
//! v1/trusted/<digits>      the lines of `entry.json`, then a tar of what lies beside it on this machine
//! v1/untrusted/…
//! ```
//!
//! A file appears whole, by a rename. What comes back is hostile until this machine's store has compared it with its
//! checksums. Knows nothing of runs: what is asked for and who may have it is for the modules beside this one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use plans::{HostName, Key, SshDestination};

use super::{
    Trust,
    entry::{self, Entry},
    store,
};
use crate::{
    command_line::Script,
    control::Control,
    fault::{FailureKind, Fault},
    ssh::{self, FetchError, Host, Patience, SshError, fault},
    trust,
};

/// How long one thing that is asked may take, and how long a host is waited for: what it could spare is not worth more.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest list of what decided a result that is read.
const MOST: u64 = 64 << 20;

/// Where the store of a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FarPlace {
    /// The host.
    pub(crate) host: HostName,
    /// What ssh connects to.
    pub(crate) ssh: SshDestination,
    /// The directory there.
    pub(crate) dir: String,
}

/// The store of a host.
#[derive(Debug, Clone)]
pub(crate) struct FarStore {
    name: String,
    host: Arc<Host>,
    dir: PathBuf,
}

/// A kept result on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FarName {
    /// Whose.
    pub(crate) trust: Trust,
    /// Its key's digits.
    pub(crate) digits: String,
}

impl FarName {
    pub(crate) fn of(trust: Trust, key: &Key) -> Self {
        Self { trust, digits: key.digits().to_owned() }
    }

    /// Returns its path below `v1`, there and wherever it is brought to.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.trust.as_str(), self.digits)
    }

    /// Returns its key.
    pub(super) fn key(&self) -> Key {
        Key::new(format!("sha256:{}", self.digits)).expect("digits of a key")
    }

    pub(super) fn of_path(path: &str) -> Option<Self> {
        let (trust, digits) = path.split_once('/')?;
        let trust = Trust::ALL.into_iter().find(|it| it.as_str() == trust)?;
        Key::new(format!("sha256:{digits}")).ok()?;
        Some(Self { trust, digits: digits.to_owned() })
    }
}

/// What a host keeps under a name.
#[derive(Debug)]
pub(crate) struct FarFile {
    /// Its bytes.
    pub(crate) bytes: u64,
    /// When it was last of use.
    pub(crate) used: SystemTime,
}

impl FarStore {
    /// Takes the store of a host; nothing is connected yet.
    pub(crate) fn new(place: &FarPlace, host: Arc<Host>) -> Self {
        Self { name: place.host.to_string(), host, dir: PathBuf::from(&place.dir) }
    }

    /// Returns which of these are there, in one round trip; of all that are there, without `wanted`.
    ///
    /// # Errors
    ///
    /// When the host does not answer, or others may change what is kept there.
    pub(crate) fn find(
        &self,
        wanted: Option<&[FarName]>,
        control: &Control,
    ) -> Result<BTreeMap<FarName, FarFile>, Fault> {
        let script = Script::new("umask 077\n").text(trust::SEE).set("s", &self.dir).text(
            "if [ -e \"$s\" ] && [ ! -d \"$s\" ]; then echo 'it is no directory'; exit 1; fi\n\
             id -u && date +%s && fl_see \"$s\" && cd \"$s/v1\" 2>/dev/null || exit 0\nset +f; set --",
        );
        let script = match wanted {
            Some(names) => script.words(names.iter().map(FarName::path)),
            None => script.text(" trusted/* untrusted/*"),
        };
        // What is of use is the last to go.
        let touch = if wanted.is_some() {
            "printf '%s\\n' \"$all\" | xargs touch -c 2>/dev/null\n"
        } else {
            ""
        };
        let script = script.text(
            "\nall=$(for p; do { [ -f \"$p\" ] && [ ! -L \"$p\" ] && [ -O \"$p\" ]; } && printf '%s\\n' \"$p\"; done)\n\
             [ -n \"$all\" ] || exit 0\n",
        );
        let script = script.text(touch).text(
            "if stat -c %Y / >/dev/null 2>&1; then printf '%s\\n' \"$all\" | xargs stat -c '%s %Y %n'\n\
             else printf '%s\\n' \"$all\" | xargs stat -f '%z %m %N'; fi\n",
        );
        let answer = self.ask(&script, control)?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let mut lines = text.lines();
        let uid = lines.next().and_then(|line| line.trim().parse().ok());
        let there = lines.next().and_then(|line| line.trim().parse::<u64>().ok());
        let (Some(uid), Some(there)) = (uid, there) else {
            return Err(self.fault(FailureKind::Protocol, "what it says cannot be read"));
        };
        let now = SystemTime::now();
        if let Some(first) = trust::judge(&mut lines, uid).first() {
            return Err(self.fault(FailureKind::UntrustedDirectory, &first.to_string()));
        }
        let found = lines.filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let bytes = words.next()?.parse().ok()?;
            // Its clock says how long ago that was. What is dated ahead was of use now.
            let since = there.saturating_sub(words.next()?.parse().ok()?);
            let used = now.checked_sub(Duration::from_secs(since)).unwrap_or(UNIX_EPOCH);
            Some((FarName::of_path(words.next()?)?, FarFile { bytes, used }))
        });
        Ok(found.collect())
    }

    /// Brings files that [`Self::find`] found into a directory here, each at its path; one that is not there any more
    /// does not come.
    ///
    /// # Errors
    ///
    /// When the host does not answer, or there is no room.
    pub(crate) fn bring(
        &self,
        names: &[FarName],
        into: &Path,
        control: &Control,
    ) -> Result<(), Fault> {
        let paths: Vec<Vec<u8>> = names.iter().map(|name| name.path().into_bytes()).collect();
        let from = self.dir.join("v1");
        let fetched = ssh::fetch(&self.host, &from, &paths, &self.dir, into, &patience(control));
        fetched.map(drop).map_err(|error| match &error {
            FetchError::Ssh(ssh) => fault(FailureKind::Io, ssh),
            FetchError::Unwritable { error: io, .. } => Fault::io(FailureKind::Io, &error, io),
            FetchError::Archive(_) => Fault::new(FailureKind::Io, error.to_string()),
        })
    }

    /// Puts a file that [`pack`] made where others find it.
    ///
    /// # Errors
    ///
    /// When the host does not answer, or has no room.
    pub(crate) fn publish(
        &self,
        packed: &Path,
        name: &FarName,
        control: &Control,
    ) -> Result<(), Fault> {
        let to = self.dir.join("v1").join(name.path());
        let sent = ssh::send_path(&self.host, packed, &to, 0o600, &patience(control));
        sent.map_err(|error| error.fault())
    }

    /// The same with all files of a directory, named by their keys' digits.
    ///
    /// # Errors
    ///
    /// When the host does not answer, or has no room; some may be there then.
    pub(super) fn publish_all(
        &self,
        from: &Path,
        trust: Trust,
        control: &Control,
    ) -> Result<(), Fault> {
        let to = self.dir.join("v1").join(trust.as_str());
        ssh::send_files(&self.host, from, &to, 0o600, &patience(control))
            .map_err(|error| error.fault())
    }

    /// Returns what is known of results without what they left, as far as it can be read.
    ///
    /// # Errors
    ///
    /// When the host does not answer.
    pub(crate) fn entries(
        &self,
        names: &[FarName],
        control: &Control,
    ) -> Result<BTreeMap<FarName, Entry>, Fault> {
        let mut found = BTreeMap::new();
        // A shell's words have a limit, and an answer is held in memory.
        for some in names.chunks(500) {
            let script = Script::new("cd").word(self.dir.join("v1")).text(" || exit 1\nfor p in");
            let script = script.words(some.iter().map(FarName::path));
            let script = script.text(
                "; do printf '%s\\n' \"$p\"; head -n 2 \"$p\" 2>/dev/null; printf '\\n\\n'; done\n",
            );
            let answer = self.ask(&script, control)?;
            let mut lines = answer.split(|byte| *byte == b'\n');
            while let Some(line) = lines.next() {
                let name = std::str::from_utf8(line).ok().and_then(FarName::of_path);
                let Some(name) = name else { continue };
                let (Some(digest), Some(body)) = (lines.next(), lines.next()) else { break };
                let entry = Entry::parse(&[digest, b"\n", body].concat());
                let entry = entry.ok().filter(|entry| entry.key.digits() == name.digits);
                found.extend(entry.map(|entry| (name, entry)));
            }
        }
        Ok(found)
    }

    /// Removes one thing that [`Self::find`] found.
    ///
    /// # Errors
    ///
    /// When it is still there.
    pub(crate) fn remove(&self, name: &FarName, control: &Control) -> Result<(), Fault> {
        let path = self.dir.join("v1").join(name.path());
        self.ask(&Script::new("rm -f").word(path).text("\n"), control).map(drop)
    }

    /// Removes what was never published: what is a day old and of no name. What is dated ahead is dated now: it would be the
    /// last to go for ever.
    ///
    /// # Errors
    ///
    /// When the host does not answer.
    pub(crate) fn sweep(&self, control: &Control) -> Result<(), Fault> {
        let script = Script::new("cd").word(&self.dir).text(
            " 2>/dev/null || exit 0\nfind . -name '.outgoing-*' -mtime +0 -exec rm -f {} +\n\
             find . -name '.new-*' -mtime +0 -exec rm -rf {} +\n\
             n=.new-$$; umask 077; : 2>/dev/null >\"$n\" || exit 0\n\
             find . -type f -newer \"$n\" -exec touch -c {} +\nrm -f \"$n\"\n",
        );
        self.ask(&script, control).map(drop)
    }

    fn ask(&self, script: &Script, control: &Control) -> Result<Vec<u8>, Fault> {
        let answered = self.host.check(script, &patience(control));
        answered.map_err(|error: SshError| fault(FailureKind::Io, &error))
    }

    fn fault(&self, kind: FailureKind, what: &str) -> Fault {
        Fault::new(kind, format!("host `{}`: {what}", self.name))
    }
}

fn patience(control: &Control) -> Patience<'_> {
    Patience { each: PATIENCE, budget: PATIENCE, give_up: &|| false, control: Some(control) }
}

/// Makes one file of an entry's directory.
///
/// # Errors
///
/// When it cannot be read, or not be written.
pub(super) fn pack(entry: &Entry, dir: &Path, to: &Path) -> io::Result<()> {
    let mut file = io::BufWriter::with_capacity(1 << 18, File::create_new(to)?);
    file.write_all(&entry.to_bytes())?;
    file.write_all(b"\n")?;
    let mut tar = tar::Builder::new(file);
    tar.follow_symlinks(false);
    for name in store::FILES {
        let path = dir.join(name);
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => tar.append_dir_all(name, &path)?,
            Ok(_) => tar.append_path_with_name(&path, name)?,
            Err(_) => {}
        }
    }
    tar.into_inner()?.flush()
}

/// Makes an entry's directory of a file that nobody vouches for.
///
/// # Errors
///
/// When it is none, or cannot be written.
pub(super) fn unpack(from: &Path, dir: &Path) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    let mut file = BufReader::with_capacity(1 << 18, File::open(from).map_err(failed)?);
    let mut head = Vec::new();
    for _ in 0..2 {
        file.by_ref().take(MOST).read_until(b'\n', &mut head).map_err(failed)?;
    }
    if head.pop() != Some(b'\n') {
        return Err("it is cut short".to_owned());
    }
    store::make(dir).map_err(failed)?;
    // Whatever else it holds is in nobody's way: what is taken of it is named by its entry.
    ssh::unpack(file, dir).map_err(|error| error.to_string())?;
    fs::write(dir.join(entry::FILE), head).map_err(failed)
}
