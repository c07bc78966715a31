//! Sending a source tree to a host: once for each content, whole or not at all.
//!
//! Over there a tree is `WORK_DIR/trees/ID`, where the id names its content. It is filled under a name of
//! its own, checked, and published by rename, so that two executors that send the same tree do not see
//! each other. When a tree like it is there already, that one is hard-linked and only what differs travels.
//! Trees are never written to after that; jobs that write get copies.

use std::{
    fs, io,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    error::{SshError, SshFault},
    host::{Host, Patience},
    manifest::{Entry, Manifest, What, below, hex},
    session::{Answer, Session},
    token::token,
    wire::WireError,
};
use crate::command_line::Script;

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
    /// The tree here cannot be read.
    #[error("the source tree `{}` cannot be read: {error}", path.display())]
    Unreadable {
        /// The tree.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What arrived is not what was sent, twice.
    #[error("the tree that arrived is not the one that was sent: {0}")]
    Corrupt(String),
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
    let ask = Script::new("umask 022\n")
        .text("mkdir -p")
        .word(work_dir.join("trees"))
        .text(" && cd")
        .word(work_dir.join("trees"))
        .text(" || exit 1\n")
        .set("id", id)
        .text(
            "if [ -d \"$id\" ]; then touch -c \"$id\" 2>/dev/null; echo have; else ls -t | head -n 40; fi",
        );
    let answer = host.check(&ask, patience)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.lines().any(|line| line == "have") {
        return Ok(Sent::AlreadyThere);
    }
    let manifest = manifest_of(id, root, cache)
        .map_err(|error| SendError::Unreadable { path: root.to_owned(), error })?;
    let base = nearest(&manifest, &answer, cache);
    let mut corrupt = String::new();
    if let Some((base_id, base)) = &base {
        let (entries, removed) = manifest.difference(base);
        let sent =
            |path: &&[u8]| entries.binary_search_by(|entry| entry.path[..].cmp(path)).is_ok();
        let sweep = base.has_empty_directories() || !removed.iter().all(sent);
        let delta = Delivery {
            manifest: &manifest,
            entries,
            base: Some(Base { id: base_id, removed, sweep }),
        };
        match deliver(host, work_dir, id, root, &delta, patience)? {
            Delivered::Published => {
                let (entries, removed) = manifest.difference(base);
                return Ok(Sent::Difference { entries: entries.len(), removed: removed.len() });
            }
            // The other tree may have been collected, or touched by somebody. All of it, then.
            Delivered::Refused(why) => corrupt = why,
        }
    }
    for _ in 0..2 {
        let entries = manifest.entries().iter().collect();
        let whole = Delivery { manifest: &manifest, entries, base: None };
        match deliver(host, work_dir, id, root, &whole, patience)? {
            Delivered::Published => return Ok(Sent::Whole { bytes: manifest.size() }),
            Delivered::Refused(why) => corrupt = why,
        }
    }
    Err(SendError::Corrupt(corrupt))
}

/// What is to travel.
struct Delivery<'a> {
    manifest: &'a Manifest,
    entries: Vec<&'a Entry>,
    base: Option<Base<'a>>,
}

/// The tree to start from.
struct Base<'a> {
    id: &'a str,
    /// What of it has to go.
    removed: Vec<&'a [u8]>,
    /// Whether directories may be empty then, that have to go as well.
    sweep: bool,
}

enum Delivered {
    Published,
    /// It arrived, and is not what was sent.
    Refused(String),
}

/// Runs in the directory of trees, with `id` and `new` set. Prints `ok`, or what is wrong.
const VERIFY: &str = r#"
hash() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"
    elif command -v shasum >/dev/null 2>&1; then shasum -a 256 "$@"
    else openssl dgst -sha256 -r "$@"; fi
}
names() { find . "$@" -print0 | LC_ALL=C sort -z | hash | cut -c1-64; }
differs() { echo "wrong $1"; cd ..; chmod -R u+rwX "$new"; rm -rf "$new"; exit 0; }
# A name with a newline may be escaped or spread over lines: what begins with a hash counts.
hash_each() {
    if command -v sha256sum >/dev/null 2>&1; then xargs -0 sha256sum --
    elif command -v shasum >/dev/null 2>&1; then xargs -0 shasum -a 256 --
    else xargs -0 openssl dgst -sha256 -r; fi | sed -n 's/^\\\{0,1\}\([0-9a-f]\{64\}\) .*/\1/p' | hash | cut -c1-64
}
[ "$(names -type f)" = "$files" ] || differs names
[ "$(names -type f -perm -100)" = "$executables" ] || differs modes
[ "$(names -type l)" = "$links" ] || differs links
"#;

const PUBLISH: &str = r#"
cd .. || exit 1
# A plain mv would move it into a directory that is there; where there is no -T, perl is.
if mv -T "$new" "$id" 2>/dev/null ||
    perl -e 'rename($ARGV[0], $ARGV[1]) or exit 1' "$new" "$id" 2>/dev/null || [ -d "$id" ]; then
    if [ -d "$new" ]; then rm -rf "$new"; fi
    echo ok
else
    echo "cannot publish $id"; exit 1
fi
"#;

fn deliver(
    host: &Host,
    work_dir: &Path,
    id: &str,
    root: &Path,
    delivery: &Delivery<'_>,
    patience: &Patience<'_>,
) -> Result<Delivered, SendError> {
    let bytes = delivery.entries.iter().map(|entry| entry.size()).sum();
    let script = delivery_script(work_dir, id, delivery);
    let answer = upload(host, script, bytes, root, patience, |session, until| {
        write_tar(session, root, &delivery.entries, until)
    });
    let output = host.succeeded(answer?)?;
    let text = String::from_utf8_lossy(&output);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some("ok") => Ok(Delivered::Published),
        last => Ok(Delivered::Refused(last.unwrap_or("no answer").to_owned())),
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
) -> Result<Answer, SendError> {
    let mut unreadable = None;
    // A slow line is given its time: what is frozen is found by the heartbeat, not by this.
    let each = patience.each + Duration::from_secs(60 + bytes / 50_000);
    let answer = host.repeat(&Patience { each, ..*patience }, |until| {
        let mut session = host.session(until)?;
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

/// Sends a file or a directory of this machine to `to`, whole or not at all.
///
/// # Errors
///
/// See [`SendError`]. Nothing is published then.
pub(super) fn send_path(
    host: &Host,
    from: &Path,
    to: &Path,
    mode: u32,
    patience: &Patience<'_>,
) -> Result<(), SendError> {
    let unreadable = |error| SendError::Unreadable { path: from.to_owned(), error };
    let found = fs::metadata(from).map_err(unreadable)?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let head = Script::new("umask 077\nmkdir -p")
        .word(parent)
        .text(" && cd")
        .word(parent)
        .text(" || exit 1\n")
        .set("to", to.file_name().unwrap_or_default())
        .set("new", format!(".new-{}", token()))
        .set("mode", format!("{:o}", mode & 0o7777));
    let publish = "chmod \"$mode\" \"$new\" && { [ ! -d \"$to\" ] || [ -L \"$to\" ] || rm -rf \"$to\"; } && \
                   mv -f \"$new\" \"$to\"";
    let answer = if found.is_dir() {
        let manifest = Manifest::of_directory(from).map_err(unreadable)?;
        let entries: Vec<&Entry> = manifest.entries().iter().collect();
        let script = |ready: &str| {
            let script = head.clone().text("mkdir \"$new\" && printf '%s\\n'").word(ready);
            script
                .text(" && (cd \"$new\" && tar -xf -) || { rm -rf \"$new\"; exit 1; }\n")
                .text(publish)
        };
        upload(host, script, manifest.size(), from, patience, |session, until| {
            write_tar(session, from, &entries, until)
        })
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
            let mut sink = Sink { session, until, failed: None };
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

/// Returns the script that receives a delivery, given the mark it prints when it is ready for the tar.
fn delivery_script<'a>(
    work_dir: &Path,
    id: &str,
    delivery: &'a Delivery<'a>,
) -> impl Fn(&str) -> Script + use<'a> {
    let digests = delivery.manifest.digests();
    let head = Script::new("umask 022\ncd")
        .word(work_dir.join("trees"))
        .text(" || exit 1\n")
        .set("id", id)
        .set("new", format!(".new-{}", token()))
        .set("files", &digests.files)
        .set("executables", &digests.executables)
        .set("links", &digests.links);
    move |ready| {
        let mut script = head.clone();
        script = match &delivery.base {
            None => script.text("mkdir \"$new\" && cd \"$new\" || exit 1\n"),
            Some(Base { id, removed, sweep }) => {
                // Linux hard-links, macOS clones; a plain copy is right everywhere.
                let mut script = script.set("base", id).text(
                    "cp -al \"$base\" \"$new\" 2>/dev/null || { rm -rf \"$new\"; \
                     cp -cRp \"$base\" \"$new\" 2>/dev/null; } || { rm -rf \"$new\"; \
                     cp -Rp \"$base\" \"$new\"; } || { echo 'no base'; rm -rf \"$new\"; \
                     no_base=1; mkdir \"$new\"; }\n\
                     cd \"$new\" || exit 1\n",
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
        script = script.text("printf '%s\\n'").word(ready).text(
            "\ntar -xf - || { status=$?; \
             head -c 65536 /dev/zero 2>/dev/null >.probe || echo 'error no_space'; cd ..; rm -rf \"$new\"; exit $status; }\n\
             [ -z \"${no_base-}\" ] || { cd ..; rm -rf \"$new\"; echo 'no base'; exit 0; }\n",
        );
        script = script.text(VERIFY);
        // The content of what travelled; the rest was checked when it did.
        let mut hash = Sha256::new();
        let mut names = Vec::new();
        for entry in &delivery.entries {
            if let What::File { digest, .. } = &entry.what {
                hash.update(hex(digest));
                hash.update(b"\n");
                names.push(&entry.path[..]);
            }
        }
        if !names.is_empty() {
            script = script.set("content", hex(&hash.finalize())).text("[ \"$(");
            script = if delivery.base.is_none() {
                script.text("find . -type f -print0 | LC_ALL=C sort -z")
            } else {
                names
                    .iter()
                    .fold(script.text("printf '%s\\0'"), |script, name| script.word(dotted(name)))
            };
            script = script.text(" | hash_each)\" = \"$content\" ] || differs content\n");
        }
        script.text(PUBLISH)
    }
}

fn dotted(path: &[u8]) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from("./");
    word.push(std::ffi::OsStr::from_bytes(path));
    word
}

enum TarError {
    /// A file here cannot be read.
    Here(io::Error),
    Wire(WireError),
}

/// Writes entries as a tar stream into the session.
fn write_tar(
    session: &mut Session,
    root: &Path,
    entries: &[&Entry],
    until: Instant,
) -> Result<(), TarError> {
    let mut sink = Sink { session, until, failed: None };
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(1 << 18, &mut sink));
    let written = append_all(&mut tar, root, entries)
        .and_then(|()| tar.into_inner())
        .and_then(|mut writer| writer.flush());
    match (written, sink.failed) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(TarError::Wire(error)),
        (Err(error), None) => Err(TarError::Here(error)),
    }
}

fn append_all<W: Write>(
    tar: &mut tar::Builder<W>,
    root: &Path,
    entries: &[&Entry],
) -> io::Result<()> {
    for entry in entries {
        let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
        let mut header = tar::Header::new_gnu();
        // The same for everybody; late enough for archivers that know nothing before 1980.
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        match &entry.what {
            What::Link { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                let target = Path::new(std::ffi::OsStr::from_bytes(target));
                tar.append_link(&mut header, path, target)?;
            }
            What::EmptyDirectory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty())?;
            }
            What::File { executable, size, .. } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_size(*size);
                let file = fs::File::open(below(root, &entry.path))?;
                // Never more than the header says; less is found by the digest.
                tar.append_data(&mut header, path, io::Read::take(file, *size))?;
            }
        }
    }
    Ok(())
}

/// A session's stdin as a writer that keeps the reason of a failure.
struct Sink<'a> {
    session: &'a mut Session,
    until: Instant,
    failed: Option<WireError>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.session.wire().write_all(bytes, self.until) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the connection broke"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the manifest of tree `id`, from the cache if it is there.
fn manifest_of(id: &str, root: &Path, cache: &Path) -> io::Result<Manifest> {
    if let Some(manifest) = cached(id, cache) {
        return Ok(manifest);
    }
    let manifest = Manifest::of_directory(root)?;
    // A cache that cannot be written costs time, nothing else.
    let _ = store(id, cache, &manifest);
    Ok(manifest)
}

fn cached(id: &str, cache: &Path) -> Option<Manifest> {
    Manifest::decode(&fs::read(cache.join(format!("{id}.manifest"))).ok()?)
}

fn store(id: &str, cache: &Path, manifest: &Manifest) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    let temporary = cache.join(format!(".{id}-{}", token()));
    fs::write(&temporary, manifest.encode())?;
    fs::rename(&temporary, cache.join(format!("{id}.manifest")))
}

/// Returns the tree over there from which the least is to do, if it saves more than half.
fn nearest(manifest: &Manifest, listing: &str, cache: &Path) -> Option<(String, Manifest)> {
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let known = listing
        .lines()
        .map(str::trim)
        .filter(plain)
        .filter_map(|name| Some((name.to_owned(), cached(name, cache)?)));
    let (cost, name, base) = known
        .take(4)
        .map(|(name, base)| {
            let (send, remove) = manifest.difference(&base);
            (send.len() + remove.len(), name, base)
        })
        .min_by_key(|(cost, ..)| *cost)?;
    (cost * 2 < manifest.entries().len() && cost < 2000).then_some((name, base))
}
