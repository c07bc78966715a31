//! What a run has to do with the results of a host: looked for once, for all nodes, when this machine's store first does
//! not know one; brought, kept here, and published there. What it was not given earlier is handed over meanwhile. A host
//! that does not answer is left alone for the rest of the run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use plans::Key;

use super::{
    Decided, Entry, Results, Sought, Store, Trust, decided,
    entry::Unusable,
    far::{self, FarFile, FarName, FarPlace, FarStore},
    owed::{HandingOver, Owed},
    store::{self, Destination},
};
use crate::{
    control::{Control, Level},
    directory,
    fault::{FailureKind, Fault},
    placements::Machines,
    text,
};

/// What is brought together with its like, before anybody needs it; what is larger waits for its node.
const SMALL: u64 = 1 << 20;

/// How many bytes are brought so.
const TOGETHER: u64 = 32 << 20;

/// The store of a host, for a run.
#[derive(Debug)]
pub(crate) struct Far {
    /// Where it is, or why nobody knows.
    place: Result<FarPlace, String>,
    /// Every node whose result may be there.
    sought: Vec<Sought>,
    store: OnceLock<Option<FarStore>>,
    known: OnceLock<Known>,
    /// Set once it is left alone.
    left: OnceLock<()>,
    /// Why, as long as nobody was told.
    pending_note: Mutex<Option<String>>,
    /// What earlier runs could not publish is on its way.
    handing_over: Mutex<Option<HandingOver>>,
}

/// What there is.
#[derive(Debug, Default)]
struct Known {
    there: BTreeMap<FarName, FarFile>,
    /// Where some of it was brought to.
    here: PathBuf,
}

impl Drop for Known {
    fn drop(&mut self) {
        if !self.here.as_os_str().is_empty() {
            // A collection takes what stays.
            let _ = directory::remove(&self.here);
        }
    }
}

impl Far {
    /// Takes a place, and the nodes of a run.
    pub(crate) fn new(place: Result<FarPlace, String>, sought: Vec<Sought>) -> Self {
        Self {
            place,
            sought,
            store: OnceLock::new(),
            known: OnceLock::new(),
            left: OnceLock::new(),
            pending_note: Mutex::default(),
            handing_over: Mutex::default(),
        }
    }

    fn owed(&self, of: &Results) -> Option<Owed> {
        self.place.as_ref().ok().map(|place| Owed::new(&of.store, place))
    }

    /// Writes down that a result is about to be kept here, which the host is to have as well.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub(super) fn note(&self, of: &Results, key: &Key, trust: Trust) -> io::Result<()> {
        self.owed(of).map_or(Ok(()), |owed| owed.note(&FarName::of(trust, key)))
    }

    /// Takes that back, unless an earlier result is kept.
    pub(super) fn unnote(&self, of: &Results, key: &Key, trust: Trust) {
        if !of.store.has(key, &[trust]) {
            self.owed(of).iter().for_each(|owed| owed.strike(&FarName::of(trust, key)));
        }
    }

    /// Waits for what is handed over, for at most `patience`, and leaves the rest to a later run; says why the host did
    /// not take it, unless that was said.
    pub(super) fn end(&self, patience: Duration) -> Option<String> {
        let handing_over = self.handing_over.lock().unwrap_or_else(PoisonError::into_inner).take();
        let why = handing_over?.end(patience).filter(|_| self.left.get().is_none())?;
        Some(format!("results owed to `{}` are not handed over: {why}", self.host()))
    }

    /// Returns why the host is left alone, once.
    pub(super) fn pending_note(&self) -> Option<String> {
        self.pending_note.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts what the host keeps of a key, verified, to where it is wanted; kept here as well, where the
    /// run keeps results. Returns nothing when there is nothing, with a note when that is because of what lies there.
    pub(super) fn take(
        &self,
        of: &Results,
        key: &Key,
        to: Destination<'_>,
        (machines, control): (&Machines, &Control),
    ) -> Result<Entry, Option<String>> {
        let Some((store, known)) = self.known(of, (machines, control)) else { return Err(None) };
        let mut note = None;
        for &trust in &of.reads {
            let name = FarName::of(trust, key);
            if !known.there.contains_key(&name) {
                continue;
            }
            let packed = known.here.join(name.path());
            if !packed.exists()
                && let Err(fault) = store.bring(std::slice::from_ref(&name), &known.here, control)
            {
                self.leave(fault.to_string(), control);
                return Err(None);
            }
            match unpacked(of, &packed, (key, trust), to, control) {
                Ok(entry) => return Ok(entry),
                Err(why) => {
                    let (host, digits) = (self.host(), &name.digits[..12]);
                    note = Some(format!("the result {digits} kept on `{host}` is not used: {why}"));
                }
            }
        }
        Err(note)
    }

    /// Puts what this machine keeps of a key where others find it, verified.
    ///
    /// # Errors
    ///
    /// Why that cannot be done, for people; that the host is left alone is told elsewhere.
    pub(super) fn publish(
        &self,
        of: &Results,
        key: &Key,
        trust: Trust,
        (machines, control): (&Machines, &Control),
    ) -> Result<(), String> {
        // Whoever may write there was looked at.
        let Some((store, _)) = self.known(of, (machines, control)) else { return Ok(()) };
        let staged = of.store.new_path().map_err(|error| error.to_string())?;
        let packed = staged.with_extension("packed");
        let made = packed_from(&of.store, key, trust, &staged, &packed, control);
        if made.is_ok() {
            let name = FarName::of(trust, key);
            match store.publish(&packed, &name, control) {
                Ok(()) => self.owed(of).iter().for_each(|owed| owed.strike(&name)),
                Err(fault) => self.leave(fault.to_string(), control),
            }
        }
        let _ = directory::remove(&staged);
        let _ = fs::remove_file(&packed);
        made.map_err(|why| format!("its result is not kept on `{}`: {why}", self.host()))
    }

    fn host(&self) -> String {
        self.place.as_ref().map(|place| text::neutral(place.host.as_str())).unwrap_or_default()
    }

    /// Returns the store with what it keeps for this run, asked once by whoever comes first, unless it is left alone.
    fn known(
        &self,
        of: &Results,
        (machines, control): (&Machines, &Control),
    ) -> Option<(&FarStore, &Known)> {
        let store = self.store.get_or_init(|| {
            let store = self.place.clone().and_then(|place| {
                let host = machines.connect_in_haste(&place.ssh);
                host.map(|host| FarStore::new(&place, host)).map_err(|fault| fault.to_string())
            });
            store.map_err(|why| self.leave(why, control)).ok()
        });
        let known = store.as_ref().map(|store| {
            self.known.get_or_init(|| {
                self.ask(store, of, (machines, control)).unwrap_or_else(|fault| {
                    self.leave(fault.to_string(), control);
                    Known::default()
                })
            })
        });
        store.as_ref().zip(known).filter(|_| self.left.get().is_none())
    }

    fn ask(
        &self,
        store: &FarStore,
        of: &Results,
        (machines, control): (&Machines, &Control),
    ) -> Result<Known, Fault> {
        let mut wanted = BTreeSet::new();
        for sought in &self.sought {
            // A machine that does not answer, and an image that is not known yet, is its node's own concern.
            let Ok(Ok(Decided { key, .. })) =
                decided(sought, &of.pass_env, (machines, control), &of.tools)
            else {
                continue;
            };
            if !of.store.has(&key, &of.reads) {
                wanted.extend(of.reads.iter().map(|&trust| FarName::of(trust, &key)));
            }
        }
        // It hands over what it could have kept itself.
        let trust = of.writes.filter(|_| of.store.read_only().is_none());
        let owed = self.owed(of).zip(trust);
        let owes = owed.as_ref().map(|(owed, trust)| owed.first(*trust)).unwrap_or_default();
        let asked: BTreeSet<_> = wanted.iter().chain(&owes).cloned().collect();
        let asked: Vec<_> = asked.into_iter().collect();
        let mut there = store.find(Some(&asked), control)?;
        if let Some((owed, _)) = owed {
            let (has, lacks): (Vec<_>, Vec<_>) =
                owes.into_iter().partition(|name| there.contains_key(name));
            has.iter().for_each(|name| owed.strike(name));
            if !lacks.is_empty() {
                *self.handing_over.lock().unwrap_or_else(PoisonError::into_inner) =
                    owed.hand_over(lacks, store.clone());
            }
        }
        there.retain(|name, _| wanted.contains(name));
        let mut sum = 0;
        let small = there.iter().filter(|(_, file)| {
            let fits = file.bytes <= SMALL && sum + file.bytes <= TOGETHER;
            sum += if fits { file.bytes } else { 0 };
            fits
        });
        let small: Vec<FarName> = small.map(|(name, _)| name.clone()).collect();
        let here = of.store.new_path();
        let unwritable = |error| Fault::io(FailureKind::Io, "bringing results", &error);
        let known = Known { there, here: here.map_err(unwritable)? };
        if !small.is_empty() {
            store.bring(&small, &known.here, control)?;
        }
        Ok(known)
    }

    /// Leaves the host alone from now on.
    fn leave(&self, why: String, control: &Control) {
        if self.left.set(()).is_ok() && control.level() == Level::Run {
            let host = self
                .place
                .as_ref()
                .map(|_| format!("results on `{}` are left alone: ", self.host()));
            let note = format!("{}{why}", host.unwrap_or_default());
            *self.pending_note.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
        }
    }
}

/// Takes a result out of what came, and keeps it here where the run keeps what is as trusted. What an untrusted run was
/// given is nobody else's: its plan may have said where the host is.
fn unpacked(
    of: &Results,
    packed: &Path,
    (key, trust): (&Key, Trust),
    to: Destination<'_>,
    control: &Control,
) -> Result<Entry, String> {
    let dir = of.store.new_path().map_err(|error| error.to_string())?;
    let taken = far::unpack(packed, &dir).and_then(|()| {
        store::taken(&dir, key, to, control).map_err(|why| match why {
            Unusable::Absent => "it is not whole".to_owned(),
            Unusable::Damaged(why) => why,
        })
    });
    let _ = fs::remove_file(packed);
    if taken.is_ok() && (trust, of.writes) == (Trust::Trusted, Some(Trust::Trusted)) {
        // The next run has it from there if this cannot be.
        let _ = of.store.adopt(&dir, trust, key);
    }
    let _ = directory::remove(&dir);
    taken
}

/// Makes one file of what this machine keeps, compared with its checksums.
pub(super) fn packed_from(
    store: &Store,
    key: &Key,
    trust: Trust,
    staged: &Path,
    packed: &Path,
    control: &Control,
) -> Result<(), String> {
    let entry = store.take(key, &[trust], Destination::New(staged), control);
    let entry = entry.map_err(|note| note.unwrap_or_else(|| "it is gone".to_owned()))?;
    far::pack(&entry, staged, packed).map_err(|error| error.to_string())
}
