//! What a supervisor may do with the file system's view: a mount namespace of its own, in which
//! trees are read-only for root as well and outputs appear at the paths jobs expect.
//!
//! Root enters one directly, anybody else in a user namespace with the same user id. Without either
//! (containers often allow none) trees are protected by their modes alone, which root is above.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::symlink,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags,
        MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
        fsmount, fsopen, mount, mount_bind, mount_bind_recursive, mount_change, mount_remount,
        move_mount, unmount,
    },
    thread::UnshareFlags,
};

/// A supervisor's rights over its own view.
pub(super) struct Mounts {
    /// Why there is no namespace; absent: there is one.
    refused: Option<String>,
    /// Whether it is a user namespace's: overlays keep their notes in the user's own attributes.
    by_user: bool,
    /// What is shown read-only at its own path already.
    shown: BTreeSet<PathBuf>,
    /// Whether the view was changed beyond undoing, so that no other job may have it.
    spent: bool,
}

impl Mounts {
    /// Enters a namespace if that is wanted. Call before there is any thread.
    pub(super) fn enter(wanted: bool) -> Self {
        let by_user = !rustix::process::geteuid().is_root();
        let refused = if wanted {
            enter_namespace(by_user).err().map(|error| error.to_string())
        } else {
            Some("not asked for".to_owned())
        };
        Self { refused, by_user, shown: BTreeSet::new(), spent: false }
    }

    /// Returns why nothing can be mounted here.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Returns whether no other job may have this view.
    pub(super) fn spent(&self) -> bool {
        self.spent
    }

    /// Gives no other job this view, or this supervisor.
    pub(super) fn spend(&mut self) {
        self.spent = true;
    }

    /// Makes a directory read-only at its own path, for as long as the supervisor lives.
    pub(super) fn read_only(&mut self, dir: &Path) -> io::Result<()> {
        self.once(dir, |mounts| mounts.show(dir, dir))
    }

    /// Makes directories appear as one, the upper one first and read-only, for as long as the supervisor lives.
    pub(super) fn layers(&mut self, layers: &[PathBuf], at: &Path) -> io::Result<()> {
        self.once(at, |mounts| mounts.try_overlay(layers, None, at, false))
    }

    fn once(&mut self, at: &Path, mount: impl FnOnce(&Self) -> io::Result<()>) -> io::Result<()> {
        // A directory that was removed and made again has lost its mount.
        let is_shown = || statvfs(at).is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::RDONLY));
        if self.shown.contains(at) && is_shown() {
            return Ok(());
        }
        mount(self)?;
        self.shown.insert(at.to_owned());
        Ok(())
    }

    /// Shows a directory (or file) read-only at a path that exists.
    pub(super) fn show(&self, from: &Path, at: &Path) -> io::Result<()> {
        mount_bind_recursive(from, at)?;
        // What the mount below forbids must be forbidden still: the kernel refuses less.
        let inherited = [
            (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (StatVfsMountFlags::NODEV, MountFlags::NODEV),
            (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
            (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        ];
        let has = statvfs(at)?.f_flag;
        let flags = inherited
            .iter()
            .filter(|(flag, _)| has.contains(*flag))
            .fold(MountFlags::BIND | MountFlags::RDONLY, |flags, (_, flag)| flags | *flag);
        mount_remount(at, flags, c"").inspect_err(|_| {
            let _ = unmount(at, UnmountFlags::DETACH);
        })?;
        Ok(())
    }

    /// Shows a directory at another that exists, as it is.
    #[expect(clippy::unused_self, reason = "only who may mount can ask")]
    pub(super) fn bind(&self, from: &Path, at: &Path) -> io::Result<()> {
        Ok(mount_bind(from, at)?)
    }

    /// Mounts a writable view of `lower`, the upper one first, at `at`; what is written goes to `upper`.
    pub(super) fn overlay(
        &self,
        lower: &[PathBuf],
        upper: &Path,
        work: &Path,
        at: &Path,
    ) -> io::Result<()> {
        // Its contents are thrown away: no reason to flush them at the end (Linux 5.10).
        self.try_overlay(lower, Some((upper, work)), at, true)
            .or_else(|_| self.try_overlay(lower, Some((upper, work)), at, false))
    }

    fn try_overlay(
        &self,
        lower: &[PathBuf],
        above: Option<(&Path, &Path)>,
        at: &Path,
        volatile: bool,
    ) -> io::Result<()> {
        // An option is at most 255 bytes long (fsconfig(2)), and paths may hold what separates them: each directory is
        // opened here and named by its number.
        let opened = |dir: &Path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, dir, flags, Mode::empty())
        };
        let named = |dir: &OwnedFd| format!("/proc/self/fd/{}", dir.as_raw_fd());
        let lower: Vec<OwnedFd> = lower.iter().map(|dir| opened(dir)).collect::<Result<_, _>>()?;
        let options = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let names: Vec<String> = lower.iter().map(named).collect();
        fsconfig_set_string(&options, "lowerdir", names.join(":"))?;
        let above = match above {
            Some((upper, work)) => Some((opened(upper)?, opened(work)?)),
            None => None,
        };
        if let Some((upper, work)) = &above {
            fsconfig_set_string(&options, "upperdir", named(upper))?;
            fsconfig_set_string(&options, "workdir", named(work))?;
        }
        if self.by_user {
            // Without it directories of the lower tree cannot be renamed or removed.
            fsconfig_set_flag(&options, "userxattr")?;
        } else {
            // Nor can they be renamed without this one, which a user may not ask for.
            fsconfig_set_string(&options, "redirect_dir", "on")?;
        }
        if volatile {
            fsconfig_set_flag(&options, "volatile")?;
        }
        fsconfig_create(&options)?;
        let mounted = fsmount(&options, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        move_mount(&mounted, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(())
    }

    /// Takes a mount away, whoever still looks at it.
    pub(super) fn hide(&self, at: &Path) {
        let _ = unmount(at, UnmountFlags::DETACH);
    }

    /// Makes directories appear that the machine does not have, without making them there: the
    /// nearest existing parent is replaced, in this view only, by a directory in memory in which
    /// everything of it appears again. `scratch` is an empty directory to work in.
    pub(super) fn make_room(&mut self, missing: &Path, scratch: &Path) -> io::Result<()> {
        let parent = missing.ancestors().find(|parent| parent.is_dir()).unwrap_or(Path::new("/"));
        self.spend();
        if parent == Path::new("/") {
            new_root(scratch)?;
        } else {
            let stage = scratch.join("stage");
            fs::create_dir(&stage)?;
            mount_memory(&stage)?;
            mirror(parent, &stage)?;
            // The kernel moves a mount only while its parent is private.
            mount_bind_recursive(&stage, parent)?;
        }
        fs::create_dir_all(missing)
    }
}

fn mount_memory(at: &Path) -> io::Result<()> {
    Ok(mount("forge-lanes", at, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?)
}

/// Puts everything of one directory into another.
fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if to == Path::new("/.old") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_dir() {
            fs::create_dir(&to)?;
            mount_bind_recursive(&from, &to)?;
        } else {
            fs::File::create(&to)?;
            mount_bind(&from, &to)?;
        }
    }
    Ok(())
}

/// Replaces the root of this view by one in memory with everything of the old one in it.
fn new_root(scratch: &Path) -> io::Result<()> {
    let root = scratch.join("root");
    fs::create_dir(&root)?;
    mount_memory(&root)?;
    let old = root.join(".old");
    fs::create_dir(&old)?;
    rustix::process::pivot_root(&root, &old)?;
    std::env::set_current_dir("/")?;
    let old = Path::new("/.old");
    mirror(old, Path::new("/"))?;
    unmount(old, UnmountFlags::DETACH)?;
    fs::remove_dir(old)
}

#[expect(
    deprecated,
    reason = "its caller must not share descriptors among threads; there is one thread here"
)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(flags)?)
}

fn enter_namespace(by_user: bool) -> io::Result<()> {
    if by_user {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1", uid = uid.as_raw()))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1", gid = gid.as_raw()))?;
    } else {
        unshare(UnshareFlags::NEWNS)?;
    }
    // What the machine mounts and unmounts is seen here, what is mounted here is not seen there.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(())
}
