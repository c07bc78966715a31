//! Sending a source tree to a host: once for each content, whole or not at all.
//!
//! Over there a tree is `WORK_DIR/trees/ID`, where the id names its content. It is filled under a name of
//! its own, checked, and published by rename, so that two executors that send the same tree do not see
//! each other. When a tree like it is there already, that one is hard-linked and only what differs travels.
//! Trees are never written to after that; jobs that write get copies.

use std::{
    cell::Cell,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    archive::{Sink, TarError, append_all, write_tar},
    error::{SshError, SshFault, fault},
    host::{Host, Patience},
    manifest::{Manifest, ManifestEntry},
    session::{Session, SessionKind, ShellAnswer},
    wire::WireError,
};
use crate::{
    command_line::Script,
    control::Level,
    fault::{FailureKind, Fault},
    supervise::token,
    text,
};

/// What sending a tree took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was there.
    AlreadyThere,
    /// All of it travelled.
    Whole {
        /// How many bytes of file content.
        bytes: u64,
    },
    /// What differs from another tree travelled.
    Difference {
        /// How many files and links.
        entries: usize,
        /// How many paths of the other tree went.
        removed: usize,
    },
}

/// Why a tree could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The host, or the way there.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// There is no tree here to send.
    #[error(transparent)]
    Source(Box<Fault>),
    /// The tree here cannot be read.
    #[error("the source tree `{}` cannot be read: {error}", path.display())]
    Unreadable {
        /// The tree.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// What arrived is not what was sent, twice.
    #[error("the tree that arrived is not the one that was sent: {0}")]
    Corrupt(String),
}

impl SendError {
    /// Returns what is wrong with the machines, for who has no better word for it.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Source(fault) => (**fault).clone(),
            Self::Ssh(ssh) => fault(FailureKind::Io, ssh),
            Self::Unreadable { error, .. } => Fault::io(FailureKind::Io, self, error),
            Self::Corrupt(_) => Fault::new(FailureKind::Io, self.to_string()),
        }
    }
}

/// Sends the tree at `root` as `id`. `cache` keeps manifests of what was sent before; what is in it is
/// trusted only together with the id, which names the content.
///
/// # Errors
///
/// See [`SendError`]. Nothing is published then.
pub fn send(
    host: &Host,
    work_dir: &Path,
    id: &str,
    root: &Path,
    cache: &Path,
    patience: &Patience<'_>,
) -> Result<Sent, SendError> {
    let to = To { host, work_dir, id, cache, patience };
    match look_up(&to)? {
        Lookup::There => Ok(Sent::AlreadyThere),
        Lookup::Others(others) => send_beside(&others, &to, || Ok((root.to_owned(), None))),
    }
}

/// Where a tree is sent to.
pub(crate) struct To<'a> {
    pub(crate) host: &'a Host,
    pub(crate) work_dir: &'a Path,
    /// What names its content.
    pub(crate) id: &'a str,
    /// Keeps manifests of what was sent before.
    pub(crate) cache: &'a Path,
    pub(crate) patience: &'a Patience<'a>,
}

impl To<'_> {
    /// Returns the directory of all trees on the host.
    fn trees(&self) -> PathBuf {
        self.work_dir.join("trees")
    }
}

/// What trees a host has.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// The one that was asked for; it is new again.
    There,
    /// Some others, the newest first.
    Others(Vec<String>),
}

/// Asks for a tree.
pub(crate) fn look_up(to: &To<'_>) -> Result<Lookup, SshError> {
    let ask = Script::new("umask 022\n")
        .set("trees", to.trees())
        .text("cd \"$trees\" 2>/dev/null || { mkdir -p \"$trees\" && cd \"$trees\"; } || exit 1\n")
        .set("id", to.id)
        .text(
            "if [ -d \"$id\" ]; then touch -c \"$id\" 2>/dev/null; echo have; else ls -t | head -n 40; fi",
        );
    let answer = to.host.check(&ask, to.patience)?;
    let answer = String::from_utf8_lossy(&answer);
    let lines: Vec<String> = answer.lines().map(|line| line.trim().to_owned()).collect();
    let is_there = lines.iter().any(|line| line == "have");
    Ok(if is_there { Lookup::There } else { Lookup::Others(lines) })
}

/// A tree on this machine: its directory, and what is in it, where that is known without reading it; contents are
/// compared by what it calls them.
pub(crate) type Tree = (PathBuf, Option<Manifest>);

/// Sends a tree to a host that has only others; `make` makes it here.
pub(crate) fn send_beside(
    others: &[String],
    to: &To<'_>,
    make: impl FnOnce() -> Result<Tree, SendError>,
) -> Result<Sent, SendError> {
    let bases = bases(others, to.cache);
    let (tree, mut prepared) = thread::scope(|scope| {
        // Most often it is the newest that is built upon: linked while the tree is made and read here.
        let newest = bases.first().map(|(newest, _)| newest);
        let preparing = newest.map(|newest| scope.spawn(|| prepare(to, newest)));
        let tree = make().and_then(|tree| known(to, tree, !bases.is_empty()));
        (tree, preparing.and_then(|preparing| preparing.join().unwrap_or_default()))
    });
    let nearest = tree.as_ref().ok().and_then(|(_, manifest)| nearest(manifest, bases));
    let is_nearest =
        |prepared: &Prepared| nearest.as_ref().is_some_and(|(id, _)| *id == prepared.base);
    if let Some(unwanted) = prepared.take_if(|prepared| !is_nearest(prepared)) {
        let trees = Script::new("cd").word(to.trees()).text(" && rm -rf");
        // What stays is collected once it is old.
        let _ = to.host.run(&trees.word(unwanted.name), to.patience);
    }
    let (root, manifest) = tree?;
    let mut corrupt = String::new();
    if let Some((base_id, base)) = nearest {
        let (entries, removed) = manifest.difference(&base);
        let counts = Sent::Difference { entries: entries.len(), removed: removed.len() };
        let sent =
            |path: &&[u8]| entries.binary_search_by(|entry| entry.path[..].cmp(path)).is_ok();
        let sweep = base.has_empty_directories() || !removed.iter().all(sent);
        let prepared = prepared.map(|prepared| prepared.name);
        let base = Some(Base { id: &base_id, prepared, removed, sweep });
        let delta = Delivery { manifest: &manifest, entries, base };
        match deliver(to, &root, &delta)? {
            Delivered::Published(_) => return Ok(counts),
            // The other tree may have been collected, or touched by somebody. All of it, then.
            Delivered::Refused(why) => corrupt = why,
        }
    }
    for _ in 0..2 {
        let entries = manifest.entries().iter().collect();
        let whole = Delivery { manifest: &manifest, entries, base: None };
        match deliver(to, &root, &whole)? {
            Delivered::Published(digests) => {
                let bytes = manifest.size();
                let mut manifest = manifest;
                if !digests.is_empty() {
                    for (index, digest) in digests {
                        manifest.set_digest(index, digest);
                    }
                    store(to.id, to.cache, &manifest);
                }
                return Ok(Sent::Whole { bytes });
            }
            Delivered::Refused(why) => corrupt = why,
        }
    }
    Err(SendError::Corrupt(corrupt))
}

/// Returns what is in a tree. What is compared with another has to be known by content; one that travels whole is
/// read on its way.
fn known(
    to: &To<'_>,
    (root, manifest): Tree,
    compared: bool,
) -> Result<(PathBuf, Manifest), SendError> {
    let unreadable = |error| SendError::Unreadable { path: root.clone(), error };
    let manifest = match manifest {
        Some(manifest) => manifest,
        None => match cached(to.id, to.cache) {
            Some(manifest) => return Ok((root, manifest)),
            None if !compared => {
                return Ok((root.clone(), Manifest::unread(&root).map_err(unreadable)?));
            }
            None => Manifest::of_directory(&root).map_err(unreadable)?,
        },
    };
    store(to.id, to.cache, &manifest);
    Ok((root, manifest))
}

/// What is to travel.
struct Delivery<'a> {
    manifest: &'a Manifest,
    entries: Vec<&'a ManifestEntry>,
    base: Option<Base<'a>>,
}

/// The tree to start from.
struct Base<'a> {
    id: &'a str,
    /// A copy of it that was made already; one try may have it.
    prepared: Option<String>,
    /// What of it has to go.
    removed: Vec<&'a [u8]>,
    /// Whether directories may be empty then, that have to go as well.
    sweep: bool,
}

/// A copy of a tree on the host, of which one is to become the next.
struct Prepared {
    base: String,
    name: String,
}

/// Makes such a copy, if that works.
fn prepare(to: &To<'_>, base: &str) -> Option<Prepared> {
    let name = format!(".new-{}", token());
    let script = Script::new("umask 022\ncd").word(to.trees()).text(" || exit 1\n");
    let script = script.set("base", base).set("new", &name).text(COPY_BASE).text(" || exit 1\n");
    to.host.check(&script, to.patience).ok()?;
    Some(Prepared { base: base.to_owned(), name })
}

/// Makes `$new` a copy of `$base`. Linux hard-links, macOS clones; a plain copy is right everywhere. One that is
/// not whole goes.
const COPY_BASE: &str = r#"{ cp -al "$base" "$new" 2>/dev/null || { rm -rf "$new"; cp -cRp "$base" "$new" 2>/dev/null; } ||
    { rm -rf "$new"; cp -Rp "$base" "$new"; } || { rm -rf "$new"; false; }; }"#;

enum Delivered {
    /// What the files that travelled hash to, by their number among the entries.
    Published(Vec<(usize, [u8; 32])>),
    /// It arrived, and is not what was sent.
    Refused(String),
}

/// Up to this many bytes an archive is made before it is sent.
const LITTLE: u64 = 4 << 20;

/// A function that prints the SHA-256 of its stdin first, with what a host has for that.
pub(super) const HASH: &str = r#"
hash() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum
    elif command -v shasum >/dev/null 2>&1; then shasum -a 256
    else openssl dgst -sha256 -r; fi
}
"#;

/// Functions for the directory of a tree that arrives, `$new` below that of all trees; [`HASH`] is before them.
const FUNCTIONS: &str = r#"
# Of much: with the processor's own instructions, where its start is worth it.
hash_much() {
    if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else hash; fi
}
names() { find . "$@" -print0 | LC_ALL=C sort -z | hash; }
remove() { cd "$trees" || exit 1; chmod -R u+rwX "$new" 2>/dev/null; rm -rf "$new" "$new".*; }
differs() { echo "wrong $1"; remove; exit 0; }
"#;

/// Unpacks what comes on stdin and hashes it on its way. A program that unpacked only what it wanted is given the rest.
const RECEIVE: &str = r#"
hash_much <"$trees/$new.pipe" >"$trees/$new.sum" &
tee "$trees/$new.pipe" | { tar -xf -; status=$?; cat >/dev/null; (exit $status); } || { status=$?
    head -c 65536 /dev/zero 2>/dev/null >.probe || echo 'error no_space'; remove; exit $status; }
[ -z "${no_base-}" ] || { remove; echo 'no base'; exit 0; }
wait
"#;

/// The same with so little that it is kept whole for a moment: in half as many processes.
const RECEIVE_LITTLE: &str = r#"
{ head -c "$size" >"$trees/$new.tar" && tar -xf "$trees/$new.tar"; } || { status=$?
    head -c 65536 /dev/zero 2>/dev/null >.probe || echo 'error no_space'
    cat >/dev/null; remove; exit $status; }
[ -z "${no_base-}" ] || { remove; echo 'no base'; exit 0; }
hash <"$trees/$new.tar" >"$trees/$new.sum"
"#;

/// Prints `arrived SUM NAME`, or what is wrong.
const VERIFY: &str = r#"
names -type f >"$trees/$new.files" &
names '(' -type l -o -type f -perm -100 ')' >"$trees/$new.marked"
wait
read -r got rest <"$trees/$new.files" && [ "$got" = "$files" ] || differs names
read -r got rest <"$trees/$new.marked" && [ "$got" = "$marked" ] || differs 'modes or links'
read -r got rest <"$trees/$new.sum" || differs sum
rm -f "$trees/$new".*
echo "arrived $got $new"
"#;

const PUBLISH: &str = r#"
# A plain mv would move it into a directory that is there; where there is no -T, perl is.
if mv -T "$new" "$id" 2>/dev/null ||
    perl -e 'rename($ARGV[0], $ARGV[1]) or exit 1' "$new" "$id" 2>/dev/null || [ -d "$id" ]; then
    if [ -d "$new" ]; then rm -rf "$new"; fi
else
    echo "cannot publish $id"; exit 1
fi
"#;

fn deliver(to: &To<'_>, root: &Path, delivery: &Delivery<'_>) -> Result<Delivered, SendError> {
    let &To { host, id, patience, .. } = to;
    let bytes: u64 = delivery.entries.iter().map(|entry| entry.size()).sum();
    // A little is packed beforehand: the host knows what to expect then, and publishes it by itself.
    if bytes + 2048 * delivery.entries.len() as u64 <= LITTLE {
        let mut archive = tar::Builder::new(Vec::new());
        let mut digests = Vec::new();
        let packed = append_all(&mut archive, root, &delivery.entries, &mut digests)
            .and_then(|()| archive.into_inner())
            .map_err(|error| SendError::Unreadable { path: root.to_owned(), error })?;
        let sum = text::hex(&Sha256::digest(&packed));
        let receive = delivery_script(to, delivery, Some(packed.len()));
        let script = |ready: &str| {
            let script = receive(ready).set("sum", &sum).set("id", id);
            script
                .text("[ \"$got\" = \"$sum\" ] || differs content\ncd \"$trees\" || exit 1\n")
                .text(PUBLISH)
                .text("echo published\n")
        };
        let answer = upload(host, script, bytes, root, patience, |session, until| {
            session.wire().write_all(&packed, until).map_err(TarError::Wire)
        });
        let output = host.succeeded(answer?)?;
        let text = String::from_utf8_lossy(&output);
        return Ok(match text.lines().rev().find(|line| !line.trim().is_empty()) {
            Some("published") => Delivered::Published(digests),
            last => Delivered::Refused(last.unwrap_or("no answer").to_owned()),
        });
    }
    let script = delivery_script(to, delivery, None);
    let passed = Cell::new((String::new(), Vec::new()));
    let answer = thread::scope(|scope| {
        // The session that receives is over then: one for what follows.
        scope.spawn(|| host.run(&Script::new("true"), patience));
        upload(host, script, bytes, root, patience, |session, until| {
            write_tar(session, root, &delivery.entries, until).map(|read| passed.set(read))
        })
    });
    let output = host.succeeded(answer?)?;
    let text = String::from_utf8_lossy(&output);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no answer");
    let (sum, digests) = passed.take();
    let trees = Script::new("cd").word(to.trees()).text(" || exit 1\n").set("id", id);
    match last.split(' ').collect::<Vec<_>>()[..] {
        ["arrived", arrived, new] if arrived == sum => {
            host.check(&trees.set("new", new).text(PUBLISH), patience)?;
            Ok(Delivered::Published(digests))
        }
        ["arrived", _, new] => {
            host.check(&trees.text("rm -rf").word(new), patience)?;
            Ok(Delivered::Refused("wrong content".to_owned()))
        }
        _ => Ok(Delivered::Refused(last.to_owned())),
    }
}

/// Runs a script that prints the mark it is given when it is ready to read `bytes` and more from its
/// stdin; the session is over after that.
fn upload(
    host: &Host,
    script: impl Fn(&str) -> Script,
    bytes: u64,
    from: &Path,
    patience: &Patience<'_>,
    write: impl Fn(&mut Session, Instant) -> Result<(), TarError>,
) -> Result<ShellAnswer, SendError> {
    let mut unreadable = None;
    // A slow line is given its time: what is frozen is found by the heartbeat, not by this.
    let each = patience.each + Duration::from_secs(60 + bytes / 50_000);
    let answer = host.repeat(&Patience { each, ..*patience }, |until| {
        let mut session = host.session(SessionKind::Shell, until)?;
        let raised = patience.control.and_then(|control| control.raised(Level::Run));
        session.wire().wake_on(raised.and_then(|raised| raised.try_clone_to_owned().ok()));
        let ready = token();
        session.begin(&script(&ready), "2>&1", until)?;
        if let Some(answer) = session.await_ready(&ready, until)? {
            return Ok(answer);
        }
        if let Err(error) = write(&mut session, until) {
            match error {
                TarError::Here(error) => {
                    unreadable = Some(error);
                    return Err(SshError::new(&session.host, SshFault::Here, "cannot read"));
                }
                // The answer tells more than a closed pipe, for instance that there is no space left.
                TarError::Wire(WireError::Closed) => {}
                TarError::Wire(error) => return Err(session.explain(error, SshFault::Lost)),
            }
        }
        session.wire().close_input();
        session.finish(until)
    });
    match unreadable {
        Some(error) => Err(SendError::Unreadable { path: from.to_owned(), error }),
        None => Ok(answer?),
    }
}

/// Begins a script that receives into a directory; `put NEW TO` gives what arrived its mode and its name there.
fn receiving(dir: &Path, mode: u32) -> Script {
    let script = Script::new("umask 077\nmkdir -p").word(dir).text(" && cd").word(dir);
    script.text(" || exit 1\n").set("mode", format!("{:o}", mode & 0o7777)).text(
        "put() { chmod \"$mode\" \"$1\" && { [ ! -d \"$2\" ] || [ -L \"$2\" ] || rm -rf \"$2\"; } && \
         mv -f \"$1\" \"$2\"; }\n",
    )
}

/// Sends the files of a directory of this machine into `to`, in the place of those of their names: each whole or not at all,
/// and dated when it came.
///
/// # Errors
///
/// See [`SendError`]. Some may be there then.
pub(crate) fn send_files(
    host: &Host,
    from: &Path,
    to: &Path,
    mode: u32,
    patience: &Patience<'_>,
) -> Result<(), SendError> {
    let script = |ready: &str, count: usize| {
        receiving(to, mode)
            .set("new", format!(".new-{ready}"))
            .text("mkdir \"$new\" && printf '%s\\n'")
            .word(ready)
            // The dates in the archive are the same for everybody.
            .text(" && (cd \"$new\" && tar -xmf - && [ $(ls | wc -l) -eq")
            .word(count.to_string())
            .text(
                " ]) || { rm -rf \"$new\"; exit 1; }\nfor f in \"$new\"/*; do put \"$f\" \"${f##*/}\" || \
                 { rm -rf \"$new\"; exit 1; }; done\nrmdir \"$new\"\n",
            )
    };
    host.succeeded(upload_all(host, script, from, patience)?)?;
    Ok(())
}

/// Uploads everything in a directory as an archive, to a script that is told how much that is.
fn upload_all(
    host: &Host,
    script: impl Fn(&str, usize) -> Script,
    from: &Path,
    patience: &Patience<'_>,
) -> Result<ShellAnswer, SendError> {
    let manifest = Manifest::unread(from)
        .map_err(|error| SendError::Unreadable { path: from.to_owned(), error })?;
    let entries: Vec<&ManifestEntry> = manifest.entries().iter().collect();
    let script = |ready: &str| script(ready, entries.len());
    upload(host, script, manifest.size(), from, patience, |session, until| {
        write_tar(session, from, &entries, until).map(drop)
    })
}

/// Sends a file or a directory of this machine to `to`, whole or not at all.
///
/// # Errors
///
/// See [`SendError`]. Nothing is published then.
pub(crate) fn send_path(
    host: &Host,
    from: &Path,
    to: &Path,
    mode: u32,
    patience: &Patience<'_>,
) -> Result<(), SendError> {
    let found = fs::metadata(from)
        .map_err(|error| SendError::Unreadable { path: from.to_owned(), error })?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let head = receiving(parent, mode)
        .set("to", to.file_name().unwrap_or_default())
        .set("new", format!(".new-{}", token()));
    let publish = "put \"$new\" \"$to\"";
    let answer = if found.is_dir() {
        let script = |ready: &str, _| {
            let script = head.clone().text("mkdir \"$new\" && printf '%s\\n'").word(ready);
            script
                .text(" && (cd \"$new\" && tar -xf -) || { rm -rf \"$new\"; exit 1; }\n")
                .text(publish)
        };
        upload_all(host, script, from, patience)
    } else {
        let size = found.len();
        let script = |ready: &str| {
            let script = head
                .clone()
                .text("printf '%s\\n'")
                .word(ready)
                .text(" && cat >\"$new\" && [ $(wc -c <\"$new\") -eq");
            script
                .word(size.to_string())
                .text(" ] || { rm -f \"$new\"; echo incomplete; exit 1; }\n")
                .text(publish)
        };
        upload(host, script, size, from, patience, |session, until| {
            let mut sink = Sink::new(session, until);
            let file = fs::File::open(from).map_err(TarError::Here)?;
            let copied = io::copy(&mut io::Read::take(file, size), &mut sink);
            match (copied, sink.failed) {
                (Ok(_), _) => Ok(()),
                (Err(_), Some(error)) => Err(TarError::Wire(error)),
                (Err(error), None) => Err(TarError::Here(error)),
            }
        })
    };
    host.succeeded(answer?)?;
    Ok(())
}

/// Returns the script that receives a delivery, given the mark it prints when it is ready for the tar; each
/// try receives under a name of its own. `little`: how many bytes, of a tar that is packed already.
fn delivery_script<'a>(
    to: &To<'_>,
    delivery: &'a Delivery<'a>,
    little: Option<usize>,
) -> impl Fn(&str) -> Script + use<'a> {
    let digests = delivery.manifest.digests();
    let head = Script::new("umask 022\n")
        .set("trees", to.trees())
        .set("files", &digests.files)
        .set("marked", &digests.marked)
        .text(HASH)
        .text(FUNCTIONS)
        .text("cd \"$trees\" || exit 1\n");
    move |ready| {
        let new = format!(".new-{ready}");
        let script = head.clone().set("new", &new);
        let (mut script, receive) = match little {
            Some(size) => (script.set("size", size.to_string()), RECEIVE_LITTLE),
            None => (script.text("mkfifo \"$new.pipe\" || exit 1\n"), RECEIVE),
        };
        script = match &delivery.base {
            None => script.text("mkdir \"$new\" && cd \"$new\" || exit 1\n"),
            Some(Base { id, prepared, removed, sweep }) => {
                script = script.set("base", id);
                if let Some(prepared) = prepared {
                    // The one that renames it has it.
                    script = script.text("mv").word(prepared).text(" \"$new\" 2>/dev/null || ");
                }
                let mut script = script.text(COPY_BASE).text(
                    " || { echo 'no base'; no_base=1; mkdir \"$new\"; }\ncd \"$new\" || exit 1\n",
                );
                if !removed.is_empty() {
                    script = script.text("printf '%s\\0'");
                    for path in removed {
                        script = script.word(dotted(path));
                    }
                    script = script.text(" | xargs -0 rm -f --\n");
                    if *sweep {
                        // Directories that end up empty go as well: a file may come in their place.
                        script = script.text(
                            "find . -depth -type d -empty ! -name . -exec rmdir {} \\; 2>/dev/null\n",
                        );
                    }
                }
                script
            }
        };
        script.text("printf '%s\\n'").word(ready).text(receive).text(VERIFY)
    }
}

fn dotted(path: &[u8]) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from("./");
    word.push(std::ffi::OsStr::from_bytes(path));
    word
}

fn cached(id: &str, cache: &Path) -> Option<Manifest> {
    Manifest::decode(&fs::read(cache.join(format!("{id}.manifest"))).ok()?)
}

/// Keeps a manifest for the next tree that is like it. A cache that cannot be written costs time, nothing else.
fn store(id: &str, cache: &Path, manifest: &Manifest) {
    let temporary = cache.join(format!(".{id}-{}", token()));
    let _ = fs::create_dir_all(cache)
        .and_then(|()| fs::write(&temporary, manifest.encode()))
        .and_then(|()| fs::rename(&temporary, cache.join(format!("{id}.manifest"))));
}

/// Returns the newest trees on the host that are known here.
fn bases(names: &[String], cache: &Path) -> Vec<(String, Manifest)> {
    let plain = |name: &&String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let names = names.iter().filter(plain);
    names.filter_map(|name| Some((name.clone(), cached(name, cache)?))).take(4).collect()
}

/// Returns the tree on the host from which the least is to do, if it saves more than half.
fn nearest(manifest: &Manifest, bases: Vec<(String, Manifest)>) -> Option<(String, Manifest)> {
    let (cost, name, base) = bases
        .into_iter()
        .map(|(name, base)| {
            let (send, remove) = manifest.difference(&base);
            (send.len() + remove.len(), name, base)
        })
        .min_by_key(|(cost, ..)| *cost)?;
    (cost * 2 < manifest.entries().len() && cost < 2000).then_some((name, base))
}
