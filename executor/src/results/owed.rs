//! What this machine's store owes to a host's: results that were kept here while the host could not have them.
//!
//! ```text
//! v1/owed/<trust>/<host>-<12 digits>/<digits>     an empty note, dated when it was made or tried last
//! ```
//!
//! A note is there before its result, and is struck once the host has that: no death leaves a result that nobody knows to be
//! owed. The 12 digits are of how the host is reached and of the directory there: what is owed to one place goes to no other.
//! Owns the notes, and the thread that hands results over beside a run's nodes; how they travel is `far`'s, which are
//! looked for there, and when, `second`'s.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, SystemTime},
};

use plans::Key;

use super::{
    Store, Trust,
    far::{FarName, FarPlace, FarStore},
    second,
    store::{self, DAY},
};
use crate::{
    control::{Control, Level},
    directory,
};

/// How many results a run hands over.
const COUNT: usize = 200;

/// How many bytes of them; one that is larger goes alone.
const MOST: u64 = 32 << 20;

/// How many bytes of them travel together.
const TOGETHER: u64 = 4 << 20;

/// How long one is waited for that is told to end.
const LEAVING: Duration = Duration::from_secs(1);

/// What is owed to one place.
#[derive(Debug)]
pub(super) struct Owed {
    store: Store,
    place: String,
}

impl Owed {
    pub(super) fn new(store: &Store, FarPlace { host, ssh, dir }: &FarPlace) -> Self {
        let digest = Key::of(format!("{ssh}\0{dir}").as_bytes());
        Self { store: store.clone(), place: format!("{host}-{}", &digest.digits()[..12]) }
    }

    fn dir(&self, trust: Trust) -> PathBuf {
        self.store.owed().join(trust.as_str()).join(&self.place)
    }

    fn path(&self, name: &FarName) -> PathBuf {
        self.dir(name.trust).join(&name.digits)
    }

    /// Writes down that a result will be owed, which is about to be kept.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn note(&self, name: &FarName) -> io::Result<()> {
        store::make(&self.dir(name.trust))?;
        // One that is there already is as good, and young again.
        File::create(self.path(name))?.set_modified(SystemTime::now())
    }

    /// Writes down that the host has it. A note that stays costs one more question.
    pub(super) fn strike(&self, name: &FarName) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Returns what is owed, as many as one run may hand over, those that were tried last at the end.
    pub(super) fn first(&self, trust: Trust) -> Vec<FarName> {
        let mut notes: Vec<_> = notes(&self.dir(trust), trust)
            .filter_map(|(path, name)| Some((fs::metadata(path).ok()?.modified().ok()?, name)))
            .collect();
        notes.sort();
        notes.truncate(COUNT);
        notes.into_iter().map(|(_, name)| name).collect()
    }

    /// Begins to hand over what is owed, beside what the run does; nothing without a thread for it.
    pub(super) fn hand_over(self, names: Vec<FarName>, far: FarStore) -> Option<HandingOver> {
        let control = Control::new().ok()?;
        let (sender, answer) = sync_channel(1);
        let its_own = control.clone();
        let work = move || {
            // Nobody may wait any more.
            let _ = sender.send(self.give(&names, &far, &its_own));
        };
        thread::Builder::new().spawn(work).ok()?;
        Some(HandingOver { control, answer })
    }

    fn give(&self, names: &[FarName], far: &FarStore, control: &Control) -> Result<(), String> {
        let lock = Key::of(self.place.as_bytes());
        let Some(_alone) = self.store.lock(&lock, Duration::ZERO, control, &|_| {}) else {
            // Another executor hands them over.
            return Ok(());
        };
        let new = || self.store.new_path().map_err(|error| error.to_string());
        let (staged, dir) = (new()?, new()?);
        let given = self.give_all(names, (&staged, &dir), far, control);
        let _ = directory::remove(&staged);
        let _ = directory::remove(&dir);
        given
    }

    /// `staged` is for one result at a time, `dir` for the files that travel together.
    fn give_all(
        &self,
        names: &[FarName],
        (staged, dir): (&Path, &Path),
        far: &FarStore,
        control: &Control,
    ) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        store::make(dir).map_err(failed)?;
        let (mut all, mut together) = (0, 0);
        let mut batch = Vec::new();
        for name in names {
            if control.level() > Level::Run {
                return Ok(());
            }
            let (note, key) = (self.path(name), name.key());
            if !note.exists() {
                // Another executor handed it over meanwhile.
                continue;
            }
            let Some(bytes) = self.store.bytes(&key, name.trust) else {
                forget(&note);
                continue;
            };
            if all > 0 && u64::saturating_add(all, bytes) > MOST {
                continue;
            }
            if together > 0 && u64::saturating_add(together, bytes) > TOGETHER {
                self.send(&mut batch, dir, far, control)?;
                together = 0;
            }
            let packed = dir.join(&name.digits);
            let made = second::packed_from(&self.store, &key, name.trust, staged, &packed, control);
            let _ = directory::remove(staged);
            if made.is_err() {
                let _ = fs::remove_file(&packed);
                if control.level() == Level::Run {
                    // Without room here, nothing is known of it.
                    fs::write(&packed, [0; 4096]).map_err(failed)?;
                    fs::remove_file(&packed).map_err(failed)?;
                    forget(&note);
                }
                continue;
            }
            let _ = File::open(note).and_then(|note| note.set_modified(SystemTime::now()));
            let bytes = fs::metadata(&packed).map_err(failed)?.len();
            (all, together) = (all + bytes, together + bytes);
            batch.push(name);
        }
        self.send(&mut batch, dir, far, control)
    }

    /// Puts what lies in `dir` where others find it.
    fn send(
        &self,
        batch: &mut Vec<&FarName>,
        dir: &Path,
        far: &FarStore,
        control: &Control,
    ) -> Result<(), String> {
        let Some(first) = batch.first() else { return Ok(()) };
        far.publish_all(dir, first.trust, control).map_err(|fault| fault.to_string())?;
        for name in batch.drain(..) {
            self.strike(name);
            fs::remove_file(dir.join(&name.digits)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Results on their way to a host.
#[derive(Debug)]
pub(super) struct HandingOver {
    control: Control,
    answer: Receiver<Result<(), String>>,
}

impl HandingOver {
    /// Ends it, after at most `patience`; says why the host did not take something. What it has not got by then stays owed,
    /// which is nobody's fault.
    pub(super) fn end(self, patience: Duration) -> Option<String> {
        let answer = self.answer.recv_timeout(patience);
        if answer.is_err() {
            self.control.raise(Level::Cancel);
            // It ends, but for one that a host which does not answer keeps from opening a session.
            let _ = self.answer.recv_timeout(LEAVING);
        }
        answer.ok()?.err()
    }
}

/// Removes the note of a result that is gone or damaged; a young one may be of a result that is just being kept.
fn forget(note: &Path) {
    if is_old(note) {
        let _ = fs::remove_file(note);
    }
}

fn is_old(path: &Path) -> bool {
    let now = SystemTime::now();
    store::used(path, now).is_ok_and(|dated| store::is_older(dated, now, DAY))
}

fn notes(dir: &Path, trust: Trust) -> impl Iterator<Item = (PathBuf, FarName)> {
    store::entries(dir).unwrap_or_default().into_iter().filter_map(move |path| {
        let name = format!("{}/{}", trust.as_str(), path.file_name()?.to_str()?);
        FarName::of_path(&name).map(|name| (path, name))
    })
}

/// Returns the places that something is owed to, each with its host.
fn places(store: &Store) -> Vec<(Trust, String, PathBuf)> {
    let all = Trust::ALL.into_iter().flat_map(|trust| {
        let dirs = store::entries(&store.owed().join(trust.as_str())).unwrap_or_default();
        dirs.into_iter().filter_map(move |dir| {
            let (host, _) = dir.file_name()?.to_str()?.rsplit_once('-')?;
            Some((trust, host.to_owned(), dir))
        })
    });
    all.collect()
}

/// Returns how many results are owed to which host.
pub(crate) fn counts(store: &Store) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (trust, host, dir) in places(store) {
        let kept = notes(&dir, trust).filter(|(_, name)| store.has(&name.key(), &[trust])).count();
        if kept > 0 {
            *counts.entry(host).or_default() += kept;
        }
    }
    counts
}

/// Returns notes that nobody needs, each with the reason: of results that are gone, and of hosts that are not known.
pub(crate) fn superfluous(
    store: &Store,
    is_known: impl Fn(&str) -> bool,
) -> Vec<(PathBuf, String)> {
    let mut gone = Vec::new();
    for (trust, host, dir) in places(store) {
        if !is_known(&host) {
            gone.push((dir, format!("what was owed to `{host}`, which is not in `executor.toml`")));
            continue;
        }
        if !dir.is_dir() {
            gone.push((dir, "a file in the place of notes".to_owned()));
            continue;
        }
        let of_none = notes(&dir, trust)
            .filter(|(path, name)| !store.has(&name.key(), &[trust]) && is_old(path));
        gone.extend(of_none.map(|(path, _)| (path, "a note of a result that is gone".to_owned())));
    }
    gone
}

#[cfg(test)]
mod tests {
    use plans::{HostName, SshDestination};

    use super::*;

    #[test]
    fn a_run_hands_over_some_and_the_next_run_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::new(dir.path());
        let owed = |dir: &str| {
            let host = HostName::new("far-away").expect("a name");
            let ssh = SshDestination::new("far").expect("a destination");
            Owed::new(&store, &FarPlace { host, ssh, dir: dir.to_owned() })
        };
        let (one, other) = (owed("/one"), owed("/other"));
        let key = |number: u32| Key::of(&number.to_ne_bytes());
        for number in 0..250 {
            let name = FarName::of(Trust::Trusted, &key(number));
            one.note(&name).expect("written");
            let dated = SystemTime::UNIX_EPOCH + Duration::from_secs(number.into());
            File::open(one.path(&name)).and_then(|note| note.set_modified(dated)).expect("dated");
        }
        let first = one.first(Trust::Trusted);
        let all = |numbers: std::ops::Range<u32>| {
            numbers.map(|number| FarName::of(Trust::Trusted, &key(number))).collect::<Vec<_>>()
        };
        assert_eq!(first, all(0..200));
        assert!(one.first(Trust::Untrusted).is_empty() && other.first(Trust::Trusted).is_empty());
        first.iter().take(100).for_each(|name| one.strike(name));
        first.iter().skip(100).for_each(|name| one.note(name).expect("written"));
        assert_eq!(one.first(Trust::Trusted)[..50], all(200..250));

        assert!(counts(&store).is_empty(), "nothing is kept");
        assert_eq!(superfluous(&store, |_| false).len(), 1);
        let known = superfluous(&store, |host| host == "far-away");
        assert_eq!(known.len(), 50, "the others are young");
    }
}
