//! Bringing files back from a host, and refusing what an archive must not do here.
//!
//! The far side packs the files that were asked for, and says how long the archive is and what it hashes
//! to, before the archive itself. What is in it was made by a job, so it is taken for hostile: nothing is
//! written outside of the destination, through a link, or as anything but files, directories and links
//! that stay inside. Which files are wanted is the caller's business.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    error::{SshError, SshFault},
    host::{Host, Patience},
    session::SessionKind,
    trees::HASH,
};
use crate::{artifacts::local::kept_mode, command_line::Script, supervise::token, text};

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The files and links that were written, relative to the destination.
    pub files: Vec<PathBuf>,
    /// What was in the archive and was not written.
    pub refused: Vec<Refused>,
}

/// Something in an archive that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name in the archive.
    pub path: PathBuf,
    /// Why: a fragment for people.
    pub why: String,
}

/// Why files could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The host, or the way there.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// They cannot be written here.
    #[error("`{}` cannot be written: {error}", path.display())]
    Unwritable {
        /// The destination.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// What came is no archive.
    #[error("the archive that came back cannot be read: {0}")]
    Archive(#[source] io::Error),
}

/// Brings `paths`, relative to `directory` on the host, into `destination`, which is made for them.
/// `scratch` is a directory on the host with room for the archive.
///
/// # Errors
///
/// See [`FetchError`]. What cannot be trusted is left out and told, which is no error.
pub fn fetch(
    host: &Host,
    directory: &Path,
    paths: &[Vec<u8>],
    scratch: &Path,
    destination: &Path,
    patience: &Patience<'_>,
) -> Result<Fetched, FetchError> {
    if paths.is_empty() {
        return Ok(Fetched::default());
    }
    let here = |error| FetchError::Unwritable { path: destination.to_owned(), error };
    fs::create_dir_all(destination).map_err(here)?;
    let archive = destination.join(format!(".incoming-{}", token()));
    let result = bring(host, directory, paths, scratch, &archive, patience).and_then(|()| {
        let file = fs::File::open(&archive).map_err(here)?;
        unpack(io::BufReader::with_capacity(1 << 18, file), destination)
    });
    // It is not there when nothing came.
    let _ = fs::remove_file(&archive);
    result
}

/// Packs the names it is given into `$t`, and says the size and checksum of it behind the mark that is put at its end.
///
/// What cannot be read does not come. tar's 1 is "a file changed while it was read", which is no news here. busybox tar
/// knows no `--null`: what it packs in pieces is one archive behind the other. While it works a line says so; where
/// nobody hears it any more, it ends. [`HASH`] is before it.
const PACK: &str = r#"
trap 'rm -f "$t" "$t.names" "$t.said"' EXIT
for p; do [ ! -f "$p" ] || [ ! -r "$p" ] || printf '%s\0' "$p"; done >"$t.names"
pack() {
    if [ ! -s "$t.names" ]; then : >"$t"
    elif tar --version 2>/dev/null | grep -q -e GNU -e bsdtar; then exec tar --null -T "$t.names" -cf "$t"
    else exec xargs -0 -n 1000 tar -cf - -- <"$t.names" >"$t"; fi
}
pack >"$t.said" 2>&1 & packing=$!
{ trap '' PIPE; while sleep 1 >/dev/null 2>&1; do echo packing 2>/dev/null || { kill $packing 2>/dev/null; exit; }; done; } &
alive=$!
wait $packing; status=$?
[ $status -le 1 ] || { kill $alive 2>/dev/null; tail -n 5 "$t.said"; exit $status; }
sum=$(hash <"$t")
kill $alive 2>/dev/null; wait $alive 2>/dev/null
printf '%s\n%s %s\n' "#;

/// What is said while files are packed.
const PACKING: &str = "packing";

fn bring(
    host: &Host,
    directory: &Path,
    paths: &[Vec<u8>],
    scratch: &Path,
    archive: &Path,
    patience: &Patience<'_>,
) -> Result<(), FetchError> {
    let mut script = Script::new("umask 077\ncd").word(directory).text(" || exit 1\n");
    script = script.set("t", scratch.join(format!(".outgoing-{}.tar", token())));
    script = script.text("set --");
    for path in paths {
        let mut name = std::ffi::OsString::from("./");
        name.push(std::ffi::OsStr::from_bytes(path));
        script = script.word(name);
    }
    script = script.text(HASH).text(PACK);
    let mut wrong = None;
    host.repeat(patience, |until| {
        let ready = token();
        let script =
            script.clone().word(&ready).text(" $(($(wc -c <\"$t\"))) \"${sum%% *}\"\ncat \"$t\"\n");
        let mut session = host.session(SessionKind::Shell, until)?;
        session.begin(&script, "</dev/null 2>&1", until)?;
        let (mut until, alive) = (until, Some((PACKING, patience.each)));
        if let Some(answer) = session.await_ready_alive(&ready, alive, &mut until)? {
            host.succeeded(answer)?;
            return Err(SshError::new(&session.host, SshFault::Remote, "it sent no archive"));
        }
        let wire = session.wire();
        let line = wire.line(until);
        let line = line.map_err(|error| session.explain(error, SshFault::Lost))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let header = line.split_once(' ').and_then(|(size, sum)| Some((size.parse().ok()?, sum)));
        let Some((size, sum)) = header else {
            return Err(SshError::new(&session.host, SshFault::Garbled, line));
        };
        let mut left: u64 = size;
        let mut hash = Sha256::new();
        let mut file = match fs::File::create(archive) {
            Ok(file) => file,
            Err(error) => {
                wrong = Some(error);
                return Err(SshError::new(&session.host, SshFault::Here, "cannot write"));
            }
        };
        // A slow line is given its time; what is frozen is found by the heartbeat.
        let until = until + Duration::from_secs(size / 50_000);
        while left > 0 {
            let bytes = match session.wire().more(0, until) {
                Ok(bytes) => bytes,
                Err(error) => return Err(session.explain(error, SshFault::Lost)),
            };
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hash.update(&bytes[..count]);
            if let Err(error) = file.write_all(&bytes[..count]) {
                wrong = Some(error);
                return Err(SshError::new(&session.host, SshFault::Here, "cannot write"));
            }
            session.wire().take(count);
            left -= count as u64;
        }
        let answer = session.finish(until)?;
        host.succeeded(answer)?;
        if text::hex(&hash.finalize()) != sum {
            let text = "the archive does not have the checksum it was sent with";
            return Err(SshError::new(&session.host, SshFault::Garbled, text));
        }
        host.give_back(session);
        Ok(())
    })
    .map_err(|error| match wrong.take() {
        Some(error) => FetchError::Unwritable { path: archive.to_owned(), error },
        None => FetchError::Ssh(error),
    })
}

/// Unpacks an archive that nobody vouches for into `destination`, a directory of ours.
///
/// # Errors
///
/// When it is no archive, or cannot be written here. Single members that must not be written are left
/// out and told.
pub fn unpack(archive: impl Read, destination: &Path) -> Result<Fetched, FetchError> {
    let here = |error| FetchError::Unwritable { path: destination.to_owned(), error };
    let mut archive = tar::Archive::new(archive);
    archive.set_ignore_zeros(true);
    let mut fetched = Fetched::default();
    let mut written = BTreeSet::new();
    // Made when all files stand, so that no file is written through one.
    let mut links = Vec::new();
    for entry in archive.entries().map_err(FetchError::Archive)? {
        let mut entry = entry.map_err(FetchError::Archive)?;
        let name = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path_bytes()));
        let mut refuse = |why: &str| {
            fetched.refused.push(Refused { path: name.clone(), why: why.to_owned() });
        };
        let path = match inside(&name) {
            Ok(path) => path,
            Err(why) => {
                refuse(why);
                continue;
            }
        };
        if path.as_os_str().is_empty() {
            continue;
        }
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                if make_directories(destination, &path).is_err() {
                    refuse("its directory cannot be made");
                }
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let parent = path.parent().unwrap_or(Path::new(""));
                if make_directories(destination, parent).is_err() {
                    refuse("its directory cannot be made");
                    continue;
                }
                let target = destination.join(&path);
                // The same name twice: the later one counts, and never goes through what stands there.
                let _ = fs::remove_file(&target);
                let mut file = match fs::File::create_new(&target) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                        return Err(here(error));
                    }
                    Err(_) => {
                        refuse("something else stands in its place");
                        continue;
                    }
                };
                io::copy(&mut entry, &mut file).map_err(here)?;
                use std::os::unix::fs::PermissionsExt as _;
                let mode = kept_mode(entry.header().mode().unwrap_or(0o600));
                fs::set_permissions(&target, fs::Permissions::from_mode(mode)).map_err(here)?;
                written.insert(path);
            }
            tar::EntryType::Symlink => match entry.link_name_bytes() {
                Some(target) => links.push((path, target.into_owned())),
                None => refuse("a link to nothing"),
            },
            tar::EntryType::Link => {
                let original = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
                let original = original
                    .and_then(|name| inside(Path::new(std::ffi::OsStr::from_bytes(&name))).ok())
                    .filter(|name| written.contains(name));
                let parent = path.parent().unwrap_or(Path::new(""));
                let copied = original.is_some_and(|original| {
                    make_directories(destination, parent).is_ok()
                        && original != path
                        && copy_new(&destination.join(original), &destination.join(&path)).is_ok()
                });
                if copied {
                    written.insert(path);
                } else {
                    refuse("a hard link to something that is not in the archive");
                }
            }
            tar::EntryType::Char | tar::EntryType::Block => refuse("a device"),
            tar::EntryType::Fifo => refuse("a named pipe"),
            _ => refuse("neither a file, a directory nor a link"),
        }
    }
    for (path, target) in links {
        let why = link(destination, &path, &target).err();
        match why {
            None => {
                written.insert(path);
            }
            Some(why) => fetched.refused.push(Refused { path, why: why.to_owned() }),
        }
    }
    fetched.files = written.into_iter().collect();
    Ok(fetched)
}

/// Returns `name` without its dots, if it stays inside.
fn inside(name: &Path) -> Result<PathBuf, &'static str> {
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("it leads out of the archive"),
            Component::RootDir | Component::Prefix(_) => return Err("its path is absolute"),
        }
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err("its name holds a NUL");
    }
    Ok(path)
}

/// Makes the directories of `path` one by one; something else in the way is an error.
fn make_directories(root: &Path, path: &Path) -> io::Result<()> {
    let mut directory = root.to_owned();
    for component in path.components() {
        directory.push(component);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(&directory)?.is_dir() {
                    return Err(error);
                }
            }
            made => made?,
        }
    }
    Ok(())
}

fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = fs::File::create_new(to)?;
    io::copy(&mut fs::File::open(from)?, &mut target).map(drop)
}

/// Makes a symbolic link whose target stays inside `root`.
fn link(root: &Path, path: &Path, target: &[u8]) -> Result<(), &'static str> {
    let target = Path::new(std::ffi::OsStr::from_bytes(target));
    if target.is_absolute() {
        return Err("a link to an absolute path");
    }
    // Where it leads, counted in directories below the root; other links on the way are refused below.
    let parent = path.parent().unwrap_or(Path::new(""));
    let mut depth = parent.components().count();
    for component in target.components() {
        match component {
            Component::ParentDir if depth == 0 => {
                return Err("a link that leads out of the archive");
            }
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    // `a/..` is not here again when `a` is itself a link: dots may only lead.
    let dots_lead = target
        .components()
        .skip_while(|component| matches!(component, Component::ParentDir | Component::CurDir))
        .all(|component| matches!(component, Component::Normal(_)));
    if !dots_lead {
        return Err("a link that turns back on its way");
    }
    make_directories(root, parent).map_err(|_| "its directory cannot be made")?;
    std::os::unix::fs::symlink(target, root.join(path))
        .map_err(|_| "something else stands in its place")
}

#[cfg(test)]
mod tests {
    use std::{
        io::BufRead as _,
        os::unix::fs::PermissionsExt as _,
        process::{Command, Stdio},
    };

    use super::*;

    fn archive(fill: impl FnOnce(&mut tar::Builder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut builder = tar::Builder::new(&mut bytes);
        fill(&mut builder);
        builder.finish().expect("an archive in memory");
        drop(builder);
        bytes
    }

    /// Adds a member with exactly these bytes as its name.
    fn member(
        builder: &mut tar::Builder<&mut Vec<u8>>,
        kind: tar::EntryType,
        name: &[u8],
        target: &[u8],
        content: &[u8],
    ) {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name);
        old.linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).expect("a member in memory");
    }

    #[track_caller]
    fn check_refused(kind: tar::EntryType, name: &[u8], target: &[u8], why: &str) {
        let bytes = archive(|builder| {
            member(builder, tar::EntryType::Regular, b"good", b"", b"yes");
            member(builder, kind, name, target, b"");
        });
        let outer = tempfile::tempdir().expect("a directory");
        let destination = outer.path().join("in/side");
        fs::create_dir_all(&destination).expect("a directory");
        let fetched = unpack(&bytes[..], &destination).expect("an archive");
        assert_eq!(fetched.files, [PathBuf::from("good")]);
        assert_eq!(fetched.refused.len(), 1, "{fetched:?}");
        assert!(fetched.refused[0].why.contains(why), "{fetched:?}");
        let all = walk(outer.path());
        assert_eq!(all, ["in", "in/side", "in/side/good"], "something was written");
    }

    fn walk(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![root.to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).expect("a directory").flatten() {
                let path = entry.path();
                found.push(path.strip_prefix(root).expect("below").display().to_string());
                if entry.file_type().expect("a type").is_dir() {
                    pending.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn who_packs_says_so_and_ends_when_nobody_hears_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let bin = directory.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        let slow = "#!/bin/sh\n[ \"$1\" != --version ] || { echo GNU; exit; }\necho $$ >packing\nexec sleep 300\n";
        fs::write(bin.join("tar"), slow).expect("a program");
        fs::set_permissions(bin.join("tar"), fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::write(directory.path().join("file"), "x").expect("a file");
        let path = std::env::join_paths(
            std::iter::once(bin)
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let script = Script::new("")
            .set("t", "out.tar")
            .text("set -- ./file")
            .text(HASH)
            .text(PACK)
            .text("end");
        let mut child = Command::new("sh")
            .args(["-c", &script.to_text()])
            .current_dir(directory.path())
            .env("PATH", path.expect("a PATH"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let mut heard = io::BufReader::new(child.stdout.take().expect("its output"));
        heard.read_line(&mut line).expect("a line");
        assert_eq!(line, format!("{PACKING}\n"));
        let packing = fs::read_to_string(directory.path().join("packing")).expect("its id");
        drop(heard);
        assert!(!child.wait().expect("it ends").success());
        assert!(!Path::new("/proc").join(packing.trim()).exists());
        assert!(!directory.path().join("out.tar.names").exists());
    }

    #[test]
    fn what_would_leave_the_destination_is_refused_and_the_rest_is_kept() {
        use tar::EntryType as SessionKind;
        check_refused(SessionKind::Regular, b"../evil", b"", "leads out");
        check_refused(SessionKind::Regular, b"a/../../evil", b"", "leads out");
        check_refused(SessionKind::Regular, b"/tmp/evil-forge-lanes", b"", "absolute");
        check_refused(SessionKind::Symlink, b"l", b"/etc/passwd", "absolute");
        check_refused(SessionKind::Symlink, b"l", b"../outside", "leads out");
        check_refused(SessionKind::Symlink, b"l", b"good/../../x", "leads out");
        check_refused(SessionKind::Link, b"l", b"/etc/passwd", "hard link");
        check_refused(SessionKind::Link, b"l", b"../x", "hard link");
        check_refused(SessionKind::Char, b"null", b"", "device");
        check_refused(SessionKind::Block, b"sda", b"", "device");
        check_refused(SessionKind::Fifo, b"pipe", b"", "pipe");
    }

    #[test]
    fn a_file_is_never_written_through_a_link_of_the_same_archive() {
        let outer = tempfile::tempdir().expect("a directory");
        let (destination, secret) = (outer.path().join("d"), outer.path().join("s"));
        fs::create_dir_all(&destination).expect("a directory");
        fs::create_dir_all(&secret).expect("a directory");
        let bytes = archive(|builder| {
            member(builder, tar::EntryType::Symlink, b"door", b"../s", b"");
            member(builder, tar::EntryType::Regular, b"door/evil", b"", b"x");
            member(builder, tar::EntryType::Symlink, b"x", b"y", b"");
            member(builder, tar::EntryType::Regular, b"x", b"", b"file");
        });
        let fetched = unpack(&bytes[..], &destination).expect("an archive");
        assert_eq!(fs::read_dir(&secret).expect("a directory").count(), 0);
        assert_eq!(fs::read(destination.join("x")).expect("a file"), b"file");
        assert_eq!(fetched.refused.len(), 2);
    }

    #[test]
    fn files_links_inside_and_odd_names_arrive() {
        let bytes = archive(|builder| {
            member(builder, tar::EntryType::Regular, b"a b/\xff\n'c'", b"", b"odd");
            member(builder, tar::EntryType::Symlink, b"up/link", b"../a b", b"");
            member(builder, tar::EntryType::Link, b"same", b"a b/\xff\n'c'", b"");
        });
        let outer = tempfile::tempdir().expect("a directory");
        let fetched = unpack(&bytes[..], outer.path()).expect("an archive");
        assert_eq!(fetched.refused, []);
        assert_eq!(fetched.files.len(), 3);
        assert_eq!(fs::read(outer.path().join("same")).expect("a file"), b"odd");
        assert!(outer.path().join("up/link").is_dir());
    }

    #[test]
    fn bytes_that_are_no_archive_are_an_error() {
        let outer = tempfile::tempdir().expect("a directory");
        assert!(matches!(unpack(&[7u8; 2000][..], outer.path()), Err(FetchError::Archive(_))));
    }
}
