//! The trees of a machine: each made once, in a directory named by its content, published by
//! rename, and locked while it is in use.
//!
//! Layout of a tree: `ID/files` is what jobs see, `ID/list` what is in it (for the next tree, which
//! shares what did not change), `ID/use` is locked shared by who uses it. A tree in layers
//! ([`super::layers`]) is `ID-d`: `base` names the whole tree below, `delta` holds what differs, and at
//! `files`, which is empty, both are mounted for a job; who uses it holds both trees' locks. Next to
//! them stand `.lock.ID`, held while a tree is made, and `.new-…`, a tree that is being made.

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
    Form, PlacedSource, SourceRequest, build,
    git::{Entry, Git},
    layers,
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
    /// The program that mounts layers for jobs; absent: nobody does.
    mounted_by: Option<PathBuf>,
    /// Trees this process uses, by name; the locks go with the process.
    in_use: Mutex<BTreeMap<String, InUse>>,
}

/// A tree that stays while this lives.
struct InUse {
    /// The locks of the directories that it is made of, shared.
    locks: Vec<File>,
    /// Its layers, the upper one first; none: it is whole.
    layers: Vec<PathBuf>,
}

impl InUse {
    fn is_there(&self, files: &Path) -> bool {
        files.is_dir() && self.layers.iter().all(|layer| layer.is_dir())
    }
}

impl Store {
    pub(crate) fn open(dir: &Path, environment: &BTreeMap<String, String>) -> Result<Self, Fault> {
        fs::create_dir_all(dir).map_err(|error| failed("making", dir, &error))?;
        // Jobs see paths below it, and mounts want the real one.
        let dir = fs::canonicalize(dir).map_err(|error| failed("resolving", dir, &error))?;
        let environment = environment.clone();
        Ok(Self { dir, environment, mounted_by: None, in_use: Mutex::default() })
    }

    /// Makes trees of layers where they are allowed, which that program (an executor) mounts for jobs.
    pub(crate) fn mounted_by(self, executor: &Path) -> Self {
        Self { mounted_by: Some(executor.to_owned()), ..self }
    }

    /// Returns a tree, making it if nobody did.
    pub(crate) fn place(
        &self,
        wanted: &SourceRequest,
        form: Form,
        control: &Control,
    ) -> Result<PlacedSource, Fault> {
        let id = wanted.id();
        // Held over the making: the other nodes of this process wait for it instead of asking.
        let mut in_use = control.lock(&self.in_use).ok_or_else(Fault::cancelled)?;
        // A whole one is as good in layers' place, and needs nobody who mounts it.
        let names = [id.clone(), layers::name(&id)];
        let allowed = if form == Form::Layers { &names[..] } else { &names[..1] };
        for name in allowed {
            // Somebody may have emptied the user's caches meanwhile.
            if let Some(using) = in_use.get(name)
                && using.is_there(&self.files(name))
            {
                return self.placed(name, id, using, None);
            }
        }
        let (mut note, mut made) = (None, None);
        if let Some(using) = self.take_into_use(&id)? {
            made = Some((&names[0], using));
        } else if form == Form::Layers {
            match self.in_layers(wanted, &names[1], control)? {
                Layered::Made(using) => made = Some((&names[1], using)),
                Layered::Refused(why) => {
                    let what = "the source tree is linked, not mounted above another";
                    note = Some(format!("{what}: {why}"));
                }
                Layered::No => {}
            }
        }
        let (name, using) = match made {
            Some(made) => made,
            None => {
                let fill = |new: &Path| self.fill(wanted, new, control);
                (&names[0], self.make(&id, control, &fill)?)
            }
        };
        let placed = self.placed(name, id, &using, note);
        in_use.insert(name.clone(), using);
        placed
    }

    fn files(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("files")
    }

    fn placed(
        &self,
        name: &str,
        id: String,
        using: &InUse,
        note: Option<String>,
    ) -> Result<PlacedSource, Fault> {
        let path = self.files(name).into_os_string().into_string();
        let path = path.map_err(|_| Fault::new(FailureKind::Io, "the tree's path is not UTF-8"))?;
        Ok(PlacedSource { path, layers: using.layers.clone(), id, note })
    }

    /// Takes a tree in layers into use, or makes it where that can be.
    fn in_layers(
        &self,
        wanted: &SourceRequest,
        name: &str,
        control: &Control,
    ) -> Result<Layered, Fault> {
        let Some(executor) = self.mounted_by.as_deref().filter(|_| layers::can_be(wanted)) else {
            return Ok(Layered::No);
        };
        if let Some(using) = self.take_into_use(name)? {
            return Ok(Layered::Made(using));
        }
        let git = self.git(wanted);
        // The nearest one is most likely the one that was used last; it stays while we look.
        let found = self.used_last(layers::can_be_base).into_iter().find_map(|(base, _)| {
            let using = self.take_into_use(&base).ok()??;
            Some((layers::delta(git, &base, wanted)?, base, using))
        });
        let Some((delta, base, _using)) = found else { return Ok(Layered::No) };
        let fill = |new: &Path| {
            let below = self.dir.join(&base);
            layers::fill(git, (&base, &delta, &below), new, (executor, control))?;
            self.mark(new)
        };
        match self.make(name, control, &fill) {
            Ok(using) => Ok(Layered::Made(using)),
            Err(_) if control.level() > Level::Run => Err(Fault::cancelled()),
            // Whatever it is, a whole tree may do without it.
            Err(fault) => Ok(Layered::Refused(fault.to_string())),
        }
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

    fn git<'a>(&'a self, wanted: &'a SourceRequest) -> Git<'a> {
        Git { repository: &wanted.source.repository, environment: &self.environment }
    }

    /// Locks a tree that is there, with everything it is made of.
    fn take_into_use(&self, name: &str) -> Result<Option<InUse>, Fault> {
        let Some(using) = self.lock_shared(name)? else { return Ok(None) };
        let tree = self.dir.join(name);
        let in_use = if layers::is_name(name) {
            // What a power cut left of one is not asked: it is made again in no time.
            let Some(base) = layers::base(&tree).filter(|_| self.is_of_this_boot(&tree)) else {
                return Ok(None);
            };
            let Some(below) = self.take_into_use(&base)? else { return Ok(None) };
            let layers = layers::of(&tree, &self.dir.join(&base));
            InUse { locks: below.locks.into_iter().chain([using]).collect(), layers }
        } else {
            if !self.is_whole(&tree)? {
                return Ok(None);
            }
            InUse { locks: vec![using], layers: Vec::new() }
        };
        Ok(in_use.is_there(&tree.join("files")).then_some(in_use))
    }

    /// Locks what has this name.
    fn lock_shared(&self, name: &str) -> Result<Option<File>, Fault> {
        let tree = self.dir.join(name);
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
        if !tree.join("use").exists() {
            return Ok(None);
        }
        // For the collector: when it was last wanted.
        let _ = using.set_modified(SystemTime::now());
        Ok(Some(using))
    }

    /// A rename is on the disk before the files behind it are: after a power cut they may be
    /// empty. So a tree made in another boot is compared with its list, once.
    fn is_whole(&self, tree: &Path) -> Result<bool, Fault> {
        if self.is_of_this_boot(tree) {
            return Ok(true);
        }
        let whole = Listing::read(&tree.join("list"))
            .is_some_and(|listing| listing.is_at(&tree.join("files")));
        if whole {
            let new = tree.join(".boot");
            let marking = boot_id().and_then(|boot| {
                fs::write(&new, boot)?;
                fs::rename(new, tree.join("boot"))
            });
            marking.map_err(|error| failed("marking", tree, &error))?;
        }
        Ok(whole)
    }

    fn is_of_this_boot(&self, tree: &Path) -> bool {
        let made = fs::read_to_string(tree.join("boot"));
        made.is_ok_and(|made| boot_id().is_ok_and(|boot| made == boot))
    }

    /// Makes what has this name: `fill` writes it at the path it is given, and it is there once it is whole.
    fn make(
        &self,
        name: &str,
        control: &Control,
        fill: &dyn Fn(&Path) -> Result<(), Fault>,
    ) -> Result<InUse, Fault> {
        let lock = self.dir.join(unused::lock(name));
        let _making = lock_patiently(&lock, control)?;
        // Another executor may have made it while we waited.
        if let Some(using) = self.take_into_use(name)? {
            return Ok(using);
        }
        let tree = self.dir.join(name);
        self.clear(&tree)?;
        let new = self.dir.join(unused::making(name));
        directory::remove(&new).map_err(|error| failed("removing", &new, &error))?;
        let made = fill(&new);
        let published = made.and_then(|()| {
            fs::rename(&new, &tree).map_err(|error| failed("publishing", &tree, &error))
        });
        if let Err(fault) = published {
            let _ = directory::remove(&new);
            return Err(fault);
        }
        let _ = fs::remove_file(&lock);
        self.take_into_use(name)?.ok_or_else(|| {
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
        let git = self.git(wanted);
        let files = new.join("files");
        fs::create_dir_all(&files).map_err(|error| failed("making", &files, &error))?;
        let entries = wanted.entries(git)?;
        let nearest = self.nearest(wanted, &entries);
        let near = nearest.as_ref().map(|(listing, files, _)| (listing, &**files));
        let listing = build::build(git, &entries, near, &files, control)?;
        if wanted.checkout == Checkout::Clone {
            build::make_checkout(git, wanted, &files)?;
        }
        listing.write(&new.join("list")).map_err(|error| failed("describing", new, &error))?;
        self.mark(new)
    }

    /// Says that a tree is of this boot, and that it can be used.
    fn mark(&self, new: &Path) -> Result<(), Fault> {
        boot_id()
            .and_then(|boot| fs::write(new.join("boot"), boot))
            .and_then(|()| fs::write(new.join("use"), ""))
            .map_err(|error| failed("describing", new, &error))
    }

    /// Returns the tree that shares most with the wanted one, of the few used last.
    fn nearest(
        &self,
        wanted: &SourceRequest,
        entries: &[Entry],
    ) -> Option<(Listing, PathBuf, InUse)> {
        if wanted.checkout == Checkout::Clone {
            // Its index says which file is which; a shared one would look changed.
            return None;
        }
        self.used_last(|name, _| !layers::is_name(name))
            .into_iter()
            .filter_map(|(name, tree)| {
                let using = self.take_into_use(&name).ok()??;
                let listing = Listing::read(&tree.join("list"))?;
                let shared = listing.shared_with(entries);
                (shared > 0).then(|| (shared, (listing, tree.join("files"), using)))
            })
            .max_by_key(|(shared, _)| *shared)
            .map(|(_, nearest)| nearest)
    }

    /// Returns the few trees that were used last, of those that will do, the last one first: name and directory.
    fn used_last(&self, will_do: impl Fn(&str, &Path) -> bool) -> Vec<(String, PathBuf)> {
        const LOOKED_AT: usize = 4;
        let mut candidates: Vec<(SystemTime, String, PathBuf)> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let (name, tree) = (entry.file_name().into_string().ok()?, entry.path());
                if name.starts_with('.') || !will_do(&name, &tree) {
                    return None;
                }
                Some((tree.join("use").metadata().ok()?.modified().ok()?, name, tree))
            })
            .collect();
        candidates.sort();
        candidates.into_iter().rev().take(LOOKED_AT).map(|(_, name, tree)| (name, tree)).collect()
    }
}

/// What became of a tree that may be one in layers.
enum Layered {
    /// It is one.
    Made(InUse),
    /// It could be one, but for this.
    Refused(String),
    /// It cannot be one.
    No,
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
