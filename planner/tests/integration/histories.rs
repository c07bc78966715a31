//! Repositories for many random histories, fast: written in memory, planned from packs on a file
//! system that is memory too, played by as many threads as there are processors.

use std::{
    fmt::Write as _,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use git2::{Buf, Mempack, Oid, Repository};
use tempfile::TempDir;

/// Which histories are played: those of the gate, or as `FORGE_LANES_HISTORIES` says, a number or
/// a range of seeds: `10000`, `17..18`.
pub(crate) fn wanted(in_the_gate: u64) -> Range<u64> {
    let number = |text: &str| text.parse().expect("FORGE_LANES_HISTORIES: a number, or FROM..TO");
    match std::env::var("FORGE_LANES_HISTORIES") {
        Err(_) => 0..in_the_gate,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        },
    }
}

/// Plays histories on every processor, each thread with a place of its own; the first one that
/// fails ends all.
pub(crate) fn play<T: Send>(
    seeds: Range<u64>,
    one: impl Fn(&Place<'_>, u64) -> T + Sync,
) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let directory = memory();
        let memory = Repository::init_bare(directory.path().join("memory")).expect("a repository");
        let odb = memory.odb().expect("objects");
        let pack = odb.add_new_mempack_backend(1_000).expect("objects in memory");
        let clones = ["whole", "part"].map(|name| Clone::new(&directory.path().join(name)));
        let [whole, part] = clones;
        let place = Place { memory: &memory, pack, whole, part };
        let mut found = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return found;
            }
            found.push(one(&place, seed));
            place.pack.reset().expect("memory is freed");
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|it| it.join().expect("a thread")).collect()
    })
}

/// A temporary directory, in memory where the system has such a file system.
fn memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// Where one thread plays: objects in memory, and two clones to plan in.
pub(crate) struct Place<'a> {
    pub(crate) memory: &'a Repository,
    pack: Mempack<'a>,
    /// Has every object that was written.
    pub(crate) whole: Clone,
    /// Has what it is given.
    pub(crate) part: Clone,
}

impl Place<'_> {
    /// Brings every object of the history to the clone that has them all.
    pub(crate) fn fill_whole(&self) {
        let mut bytes = Buf::new();
        self.pack.dump(self.memory, &mut bytes).expect("a pack");
        self.whole.fill(&bytes);
    }

    /// Brings commits to the other clone as a partial clone has them: with their trees or without, and
    /// what is checked out whole.
    pub(crate) fn fill_partial(&self, commits: impl Iterator<Item = Oid>, head: Oid, trees: bool) {
        let mut builder = self.memory.packbuilder().expect("a pack");
        builder.set_threads(1);
        for id in commits {
            builder.insert_object(id, None).expect("it was written");
            let tree = self.memory.find_commit(id).expect("a commit").tree().expect("a tree");
            if id == head {
                builder.insert_tree(tree.id()).expect("it was written");
            } else if trees {
                builder.insert_object(tree.id(), None).expect("it was written");
                tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
                    if entry.kind() == Some(git2::ObjectType::Tree) {
                        builder.insert_object(entry.id(), None).expect("it was written");
                    }
                    git2::TreeWalkResult::Ok
                })
                .expect("a tree");
            }
        }
        let mut bytes = Buf::new();
        builder.write_buf(&mut bytes).expect("a pack");
        self.part.fill(&bytes);
    }

    /// Brings so many commits, with their trees, to the other clone.
    pub(crate) fn fill_part(&self, commits: impl Iterator<Item = Oid>) {
        let mut builder = self.memory.packbuilder().expect("a pack");
        builder.set_threads(1);
        for commit in commits {
            builder.insert_commit(commit).expect("it was written");
        }
        let mut bytes = Buf::new();
        builder.write_buf(&mut bytes).expect("a pack");
        self.part.fill(&bytes);
    }
}

/// A bare repository whose objects and references are put there as files.
pub(crate) struct Clone {
    pub(crate) dir: PathBuf,
}

impl Clone {
    fn new(dir: &Path) -> Self {
        Repository::init_bare(dir).expect("a repository");
        Self { dir: dir.to_owned() }
    }

    fn fill(&self, pack: &[u8]) {
        use std::io::Write as _;
        for file in fs::read_dir(self.dir.join("objects/pack")).expect("a directory") {
            fs::remove_file(file.expect("a file").path()).expect("it goes");
        }
        let repository = Repository::open_bare(&self.dir).expect("a repository");
        let odb = repository.odb().expect("objects");
        let mut writer = odb.packwriter().expect("a pack");
        writer.write_all(pack).expect("a pack");
        writer.commit().expect("a pack");
    }

    /// Sets everything that is no object: `HEAD`, references, remotes, and where history is cut.
    pub(crate) fn set(&self, state: &CloneState<'_>) {
        let mut packed = "# pack-refs with: sorted \n".to_owned();
        let mut references = state.references.clone();
        references.sort();
        for (name, id) in references {
            writeln!(packed, "{id} {name}").expect("a string takes it");
        }
        let mut config = "[core]\nbare = true\nrepositoryformatversion = 0\n".to_owned();
        for remote in &state.remotes {
            writeln!(config, "[remote \"{remote}\"]\nurl = x\nfetch = x").expect("it takes it");
            if let Some(filter) = state.filter {
                writeln!(config, "promisor = true\npartialclonefilter = {filter}").expect("so too");
            }
            let head = self.dir.join("refs/remotes").join(remote);
            fs::create_dir_all(&head).expect("a directory");
            let head = head.join("HEAD");
            match state.default {
                Some(default) => {
                    let text = format!("ref: refs/remotes/{remote}/{default}\n");
                    fs::write(head, text).expect("a file");
                }
                None => drop(fs::remove_file(head)),
            }
        }
        let shallow = self.dir.join("shallow");
        if state.cut.is_empty() {
            drop(fs::remove_file(shallow));
        } else {
            let cut: Vec<String> = state.cut.iter().map(|id| format!("{id}\n")).collect();
            fs::write(shallow, cut.concat()).expect("a file");
        }
        for (name, text) in [("HEAD", &state.head), ("packed-refs", &packed), ("config", &config)] {
            fs::write(self.dir.join(name), text).expect("a file");
        }
    }
}

/// What a clone has beside objects.
#[derive(Default)]
pub(crate) struct CloneState<'a> {
    /// The content of `HEAD`: a commit, or `ref: refs/heads/main`.
    pub(crate) head: String,
    pub(crate) references: Vec<(String, Oid)>,
    pub(crate) remotes: Vec<&'a str>,
    /// The branch to which the remotes' `HEAD` points.
    pub(crate) default: Option<&'a str>,
    /// The commits whose parents a shallow clone has not.
    pub(crate) cut: Vec<Oid>,
    /// What a partial clone leaves out: `blob:none`.
    pub(crate) filter: Option<&'a str>,
}
