//! The trees of a machine: each made once, in a directory named by its content, published by
//! rename, and locked while it is in use.
//!
//! Layout of a tree: `ID/files` is what jobs see, `ID/list` what is in it (for the next tree, which
//! shares what did not change), `ID/use` is locked shared by who uses it. Next to them stand
//! `.lock.ID`, held while a tree is made, and `.new-…`, a tree that is being made.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Mutex,
    time::SystemTime,
};

use plans::Checkout;

use super::{
    PlacedSource, SourceRequest, build,
    git::{Entry, Git},
    list::Listing,
    unused,
};
use crate::{
    control::{Control, Level},
    directory,
    fault::{FailureKind, Fault},
    supervise::native::boot_id,
};

/// The trees below one directory.
pub(crate) struct Store {
    dir: PathBuf,
    environment: BTreeMap<String, String>,
    /// Trees this process uses, by id; the locks go with the process.
    in_use: Mutex<BTreeMap<String, File>>,
}

impl Store {
    pub(crate) fn open(dir: &Path, environment: &BTreeMap<String, String>) -> Result<Self, Fault> {
        fs::create_dir_all(dir).map_err(|error| failed("making", dir, &error))?;
        // Jobs see paths below it, and mounts want the real one.
        let dir = fs::canonicalize(dir).map_err(|error| failed("resolving", dir, &error))?;
        Ok(Self { dir, environment: environment.clone(), in_use: Mutex::default() })
    }

    /// Returns a tree, making it if nobody did.
    pub(crate) fn place(
        &self,
        wanted: &SourceRequest,
        control: &Control,
    ) -> Result<PlacedSource, Fault> {
        let id = wanted.id();
        let files = self.dir.join(&id).join("files");
        let path = files
            .to_str()
            .ok_or_else(|| Fault::new(FailureKind::Io, "the tree's path is not UTF-8"))?
            .to_owned();
        let placed = PlacedSource { path, id: id.clone() };
        // Held over the making: the other nodes of this process wait for it instead of asking.
        let mut in_use = control.lock(&self.in_use).ok_or_else(Fault::cancelled)?;
        // Somebody may have emptied the user's caches meanwhile.
        if in_use.contains_key(&id) && files.is_dir() {
            return Ok(placed);
        }
        let using = match self.take_into_use(&id)? {
            Some(using) => using,
            None => self.make(wanted, &id, control)?,
        };
        in_use.insert(id, using);
        Ok(placed)
    }

    /// Returns the files of a tree that was placed, and what they are; not of a checkout, which holds more.
    pub(crate) fn listing(&self, wanted: &SourceRequest) -> Option<(PathBuf, Vec<(Entry, u64)>)> {
        if wanted.checkout == Checkout::Clone {
            return None;
        }
        let tree = self.dir.join(wanted.id());
        let Listing(entries) = Listing::read(&tree.join("list"))?;
        Some((tree.join("files"), entries))
    }

    /// Locks a tree that is there and whole.
    fn take_into_use(&self, id: &str) -> Result<Option<File>, Fault> {
        let tree = self.dir.join(id);
        let using = match File::open(tree.join("use")) {
            Ok(using) => using,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("opening", &tree, &error)),
        };
        match using.try_lock_shared() {
            Ok(()) => {}
            // Somebody removes it this very moment.
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed("locking", &tree, &error)),
        }
        // Removed between the opening and the lock?
        if !tree.join("use").exists() || !self.is_whole(&tree)? {
            return Ok(None);
        }
        // For the collector: when it was last wanted.
        let _ = using.set_modified(SystemTime::now());
        Ok(Some(using))
    }

    /// A rename is on the disk before the files behind it are: after a power cut they may be
    /// empty. So a tree made in another boot is compared with its list, once.
    fn is_whole(&self, tree: &Path) -> Result<bool, Fault> {
        let boot = boot_id().map_err(|error| failed("asking for the boot of", tree, &error))?;
        let marked = tree.join("boot");
        if fs::read_to_string(&marked).is_ok_and(|made| made == boot) {
            return Ok(true);
        }
        let whole = Listing::read(&tree.join("list"))
            .is_some_and(|listing| listing.is_at(&tree.join("files")));
        if whole {
            let new = tree.join(".boot");
            let marking = fs::write(&new, boot).and_then(|()| fs::rename(new, marked));
            marking.map_err(|error| failed("marking", tree, &error))?;
        }
        Ok(whole)
    }

    fn make(&self, wanted: &SourceRequest, id: &str, control: &Control) -> Result<File, Fault> {
        let lock = self.dir.join(unused::lock(id));
        let _making = lock_patiently(&lock, control)?;
        // Another executor may have made it while we waited.
        if let Some(using) = self.take_into_use(id)? {
            return Ok(using);
        }
        let tree = self.dir.join(id);
        self.clear(&tree)?;
        let new = self.dir.join(unused::making(id));
        directory::remove(&new).map_err(|error| failed("removing", &new, &error))?;
        let made = self.fill(wanted, &new, control);
        let published = made.and_then(|()| {
            fs::rename(&new, &tree).map_err(|error| failed("publishing", &tree, &error))
        });
        if let Err(fault) = published {
            let _ = directory::remove(&new);
            return Err(fault);
        }
        let _ = fs::remove_file(&lock);
        self.take_into_use(id)?.ok_or_else(|| {
            Fault::new(
                FailureKind::SourceMissing,
                format!("the source tree {} vanished while it was made", tree.display()),
            )
        })
    }

    fn clear(&self, tree: &Path) -> Result<(), Fault> {
        directory::remove(tree).map_err(|error| failed("removing", tree, &error))
    }

    fn fill(&self, wanted: &SourceRequest, new: &Path, control: &Control) -> Result<(), Fault> {
        let git = Git { repository: &wanted.source.repository, environment: &self.environment };
        let files = new.join("files");
        fs::create_dir_all(&files).map_err(|error| failed("making", &files, &error))?;
        let entries = wanted.entries(git)?;
        let nearest = self.nearest(wanted, &entries);
        let listing = build::build(git, &entries, nearest.as_ref(), &files, control)?;
        if wanted.checkout == Checkout::Clone {
            build::make_checkout(git, wanted, &files)?;
        }
        listing
            .write(&new.join("list"))
            .and_then(|()| boot_id())
            .and_then(|boot| fs::write(new.join("boot"), boot))
            .and_then(|()| fs::write(new.join("use"), ""))
            .map_err(|error| failed("describing", new, &error))
    }

    /// Returns the tree that shares most with the wanted one, of the few used last.
    fn nearest(
        &self,
        wanted: &SourceRequest,
        entries: &[Entry],
    ) -> Option<(Listing, PathBuf, File)> {
        const LOOKED_AT: usize = 4;
        if wanted.checkout == Checkout::Clone {
            // Its index says which file is which; a shared one would look changed.
            return None;
        }
        let mut candidates: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.dir)
            .ok()?
            .flatten()
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .filter_map(|entry| {
                let using = entry.path().join("use");
                Some((using.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect();
        candidates.sort();
        candidates
            .into_iter()
            .rev()
            .take(LOOKED_AT)
            .filter_map(|(_, tree)| {
                let id = tree.file_name()?.to_str()?;
                let using = self.take_into_use(id).ok()??;
                let listing = Listing::read(&tree.join("list"))?;
                let shared = listing.shared_with(entries);
                (shared > 0).then(|| (shared, (listing, tree.join("files"), using)))
            })
            .max_by_key(|(shared, _)| *shared)
            .map(|(_, nearest)| nearest)
    }
}

fn lock_patiently(path: &Path, control: &Control) -> Result<File, Fault> {
    loop {
        let opened = File::options().append(true).create(true).open(path);
        let file = opened.map_err(|error| failed("opening", path, &error))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    // Another executor makes this very tree; that ends in seconds.
                    if control.wait(Level::Run, std::time::Duration::from_millis(50)) > Level::Run {
                        return Err(Fault::cancelled());
                    }
                }
                Err(TryLockError::Error(error)) => return Err(failed("locking", path, &error)),
            }
        }
        // Its holder removes the file when the tree is there; then the lock is about nothing.
        if unused::is_same(&file, path) {
            return Ok(file);
        }
    }
}

pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::io(FailureKind::Workspace, format!("{what} {}", path.display()), error)
}
