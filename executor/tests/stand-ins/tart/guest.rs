//! The inside of a guest: its first process, which `run` starts in new PID and mount namespaces.
//!
//! The root is a small file system of its own, sealed once it is provisioned: programs and
//! libraries of the host read-only, everything that a guest may write (its users, `/etc`, `/var`,
//! `/tmp`, `/opt`, `/usr/local`, `/Applications`, `/Library`) from the directory `guest` beside
//! its disk image, so that it outlives a restart and travels with a clone. Nothing else of the
//! host is there: a path of the host that a job uses by mistake is not found.
//!
//! Of macOS it has what tools around `tart` touch: shares under `/Volumes/My Shared Files`,
//! `mount_virtiofs` for tagged ones, `/etc/synthetic.conf`, which makes entries of the sealed root
//! at the next boot, `shutdown`, `reboot`, and a `sudo` that asks nothing. Everything runs as
//! root, whatever `$USER` says.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::StatVfsMountFlags;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{Pid, WaitOptions};
use signal_hook::consts::{SIGHUP, SIGUSR2};

use crate::failure::{Failure, Outcome};
use crate::run::{Boot, Share, is_automounted};
use crate::{agent, faults, storage};

pub(crate) const INIT_VERB: &str = "stand-in-guest";
/// Exit codes of the first process: the guest was shut down, or restarted, from within.
pub(crate) const HALTED: i32 = 0;
pub(crate) const RESTARTING: i32 = 85;
pub(crate) const HOME: &str = "/Users/admin";

const AUTOMOUNTED: &str = "Volumes/My Shared Files";
/// Where all shares are mounted, by number, for `mount_virtiofs` and for coming back.
const SHARES: &str = ".shares";
/// The host's: programs and what they need.
const HOST_READ_ONLY: [&str; 6] = ["usr", "bin", "sbin", "lib", "lib32", "lib64"];
/// The guest's own disk.
const DISK: [&str; 7] = ["Users", "etc", "var", "tmp", "opt", "Applications", "Library"];
/// The host's files without which its programs do not run.
const BORROWED: [&str; 8] = [
    "passwd",
    "group",
    "hosts",
    "nsswitch.conf",
    "resolv.conf",
    "ld.so.cache",
    "localtime",
    "alternatives",
];

const SUDO: &str = r#"#!/bin/sh
# Everybody is root here: options are dropped, assignments kept, and a file says that it was used.
while [ $# -gt 0 ]; do
    case $1 in
        -u|-g) shift 2 ;;
        --) shift; break ;;
        -*) shift ;;
        *) break ;;
    esac
done
: >/var/tmp/sudo
exec env "$@"
"#;
const SHUTDOWN: &str = r#"#!/bin/sh
case $1 in
    -r) kill -HUP 1 ;;
    -h) kill -USR2 1 ;;
    *) echo "usage: shutdown [-h | -r] now" >&2; exit 64 ;;
esac
"#;
const REBOOT: &str = "#!/bin/sh\nkill -HUP 1\n";
const HALT: &str = "#!/bin/sh\nkill -USR2 1\n";
const MOUNT_VIRTIOFS: &str = r#"#!/bin/sh
if [ ! -d "/.shares/tag-$1" ]; then
    echo "mount_virtiofs: failed to mount $2: Device not configured" >&2
    exit 69
fi
exec mount --rbind "/.shares/tag-$1" "$2"
"#;

/// The guest's first process: furnishes the root, starts the agent, reaps orphans.
pub(crate) fn init(arguments: &[String]) -> Outcome {
    let boot: Boot = arguments
        .first()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| Failure::prefixed("stand-in: a guest is started by `tart run` alone"))?;
    if !rustix::process::getpid().is_init() {
        return Err(Failure::prefixed("stand-in: no PID namespace"));
    }
    watch_host();
    watch_shutdown()?;
    let flapping = faults::value("shares-flap-ms").and_then(|ms| ms.parse().ok());
    provision(&boot).map_err(|error| {
        Failure::prefixed(format!(
            "stand-in: cannot make a guest, which takes root or user namespaces: {error}"
        ))
    })?;
    if let Some(period) = flapping {
        let shares = boot.shares.clone();
        std::thread::spawn(move || flap(&shares, Duration::from_millis(period)));
    }
    let start =
        || start_agent(&boot).map_err(|e| Failure::io("stand-in: cannot start the guest agent", e));
    let mut agent = start()?;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid == Pid::from_child(&agent) => agent = start()?,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::io("stand-in: nothing left to wait for", error)),
        }
    }
}

/// Ends the guest when `run` is gone: it holds the other end of our standard output.
fn watch_host() {
    std::thread::spawn(|| {
        let lifeline = io::stdout();
        let mut watched = [PollFd::new(&lifeline, PollFlags::empty())];
        while !matches!(rustix::event::poll(&mut watched, None), Ok(events) if events > 0) {}
        std::process::exit(1);
    });
}

/// The guest's end from within, by `shutdown` and its kin.
fn watch_shutdown() -> Result<(), Failure> {
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGUSR2])
        .map_err(|e| Failure::io("stand-in: cannot take signals", e))?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            std::process::exit(if signal == SIGHUP { RESTARTING } else { HALTED });
        }
    });
    Ok(())
}

fn start_agent(boot: &Boot) -> io::Result<Child> {
    let delay = boot.agent_delay_ms.map_or_else(|| "never".to_owned(), |ms| ms.to_string());
    // This program is not in the guest's root, but the kernel still knows it.
    Command::new("/proc/self/exe")
        .args([agent::AGENT_VERB, &delay])
        .env_clear()
        .stdout(Stdio::null())
        .spawn()
}

fn in_context(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn provision(boot: &Boot) -> io::Result<()> {
    let disk = boot.directory.join("guest");
    prepare_disk(&disk)?;
    let root = boot.directory.join("guest.root");
    fs::create_dir_all(&root)?;
    rustix::mount::mount("tmpfs", &root, "tmpfs", MountFlags::empty(), None::<&CStr>)
        .map_err(|error| in_context(&root)(error.into()))?;

    for name in HOST_READ_ONLY {
        match fs::symlink_metadata(Path::new("/").join(name)) {
            Ok(metadata) if name == "sbin" && metadata.is_symlink() => {}
            Ok(metadata) if metadata.is_symlink() => {
                symlink(fs::read_link(Path::new("/").join(name))?, root.join(name))?;
            }
            Ok(_) => bind(&Path::new("/").join(name), &root.join(name), true)?,
            Err(_) => {}
        }
    }
    for name in DISK {
        bind(&disk.join(name), &root.join(name), false)?;
    }
    if let Some(kb) = boot.disk_kb {
        let shared = root.join("Users/Shared");
        fs::create_dir_all(&shared)?;
        let size = CString::new(format!("size={kb}k,mode=1777"))?;
        rustix::mount::mount("tmpfs", &shared, "tmpfs", MountFlags::empty(), size.as_c_str())?;
    }
    if Path::new("/usr/local").is_dir() {
        bind(&disk.join("usr.local"), &root.join("usr/local"), false)?;
    }
    for name in ["dev", "proc", "Volumes"] {
        fs::create_dir(root.join(name))?;
    }
    rustix::mount::mount_bind_recursive("/dev", root.join("dev"))?;
    rustix::mount::mount("proc", root.join("proc"), "proc", MountFlags::empty(), None::<&CStr>)?;
    system_programs(&root)?;
    synthetic_entries(&disk.join("etc/synthetic.conf"), &root)?;
    mount_shares(&boot.shares, &root)?;

    std::env::set_current_dir(&root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    seal(Path::new("/"))
}

/// What the guest finds on its disk; its `/tmp` is empty after every boot.
fn prepare_disk(disk: &Path) -> io::Result<()> {
    if disk.join("tmp").exists() {
        fs::remove_dir_all(disk.join("tmp"))?;
    }
    for name in DISK.into_iter().chain(["usr.local/bin", "var/tmp", "var/run", "Users/admin"]) {
        fs::create_dir_all(disk.join(name))?;
    }
    for name in ["tmp", "var/tmp"] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        fs::set_permissions(disk.join(name), open)?;
    }
    for name in BORROWED {
        let (from, to) = (Path::new("/etc").join(name), disk.join("etc").join(name));
        if from.exists() && !to.exists() {
            storage::copy_tree(&fs::canonicalize(from)?, &to)?;
        }
    }
    storage::write_program(&disk.join("usr.local/bin/sudo"), SUDO)
}

/// `/sbin`: the guest's own programs, and links to those of the host.
fn system_programs(root: &Path) -> io::Result<()> {
    let sbin = root.join("sbin");
    if sbin.exists() {
        return Ok(()); // A host without a merged `/usr` keeps its own.
    }
    fs::create_dir(&sbin)?;
    let own = [
        ("shutdown", SHUTDOWN),
        ("reboot", REBOOT),
        ("halt", HALT),
        ("mount_virtiofs", MOUNT_VIRTIOFS),
    ];
    for (name, text) in own {
        storage::write_program(&sbin.join(name), text)?;
    }
    for entry in fs::read_dir("/usr/sbin")? {
        let name = entry?.file_name();
        if !sbin.join(&name).exists() {
            symlink(Path::new("/usr/sbin").join(&name), sbin.join(&name))?;
        }
    }
    // A real `sudo` of the host would miss its configuration.
    if Path::new("/usr/bin/sudo").exists() {
        storage::write_program(&sbin.join(".sudo"), SUDO)?;
        rustix::mount::mount_bind(sbin.join(".sudo"), root.join("usr/bin/sudo"))?;
    }
    Ok(())
}

/// Entries of the root that `/etc/synthetic.conf` asks for: a name is a directory, a name, a tab
/// and a path are a link.
fn synthetic_entries(conf: &Path, root: &Path) -> io::Result<()> {
    let text = match fs::read_to_string(conf) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (name, target) = line.split_once('\t').unwrap_or((line.trim(), ""));
        let path = root.join(name);
        // As on macOS, a line that makes no sense is passed over.
        if name.contains('/') || fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        if target.is_empty() {
            fs::create_dir(path)?;
        } else {
            symlink(Path::new("/").join(target), path)?;
        }
    }
    Ok(())
}

/// Where a share is kept mounted, and where the guest looks for it by itself.
fn share_places(share: &Share, root: &Path) -> (PathBuf, Option<PathBuf>) {
    let name = share.name.as_deref().unwrap_or_default();
    let tag = share.tag.as_deref().unwrap_or("automount");
    let kept = root.join(SHARES).join(format!("tag-{tag}")).join(name);
    (kept, is_automounted(share).then(|| root.join(AUTOMOUNTED).join(name)))
}

fn mount_shares(shares: &[Share], root: &Path) -> io::Result<()> {
    for share in shares {
        let (kept, automounted) = share_places(share, root);
        bind(&share.path, &kept, share.read_only)?;
        if let Some(place) = automounted {
            fs::create_dir_all(&place)?;
            rustix::mount::mount_bind(&kept, &place)?;
            read_only_like(share, &place)?;
        }
    }
    Ok(())
}

fn read_only_like(share: &Share, place: &Path) -> io::Result<()> {
    if share.read_only { seal(place) } else { Ok(()) }
}

/// Takes the automounted shares away and brings them back, for ever.
fn flap(shares: &[Share], period: Duration) {
    let root = Path::new("/");
    loop {
        std::thread::sleep(period);
        for share in shares {
            let (kept, place) = share_places(share, root);
            let Some(place) = place else { continue };
            // Taken away although in use; where that fails the share just stays.
            let _ = rustix::mount::unmount(&place, UnmountFlags::DETACH);
            std::thread::sleep(period);
            let _ = rustix::mount::mount_bind(&kept, &place);
            let _ = read_only_like(share, &place);
        }
    }
}

fn bind(from: &Path, to: &Path, read_only: bool) -> io::Result<()> {
    fs::create_dir_all(to).map_err(in_context(to))?;
    rustix::mount::mount_bind(from, to).map_err(|error| in_context(from)(error.into()))?;
    if read_only { seal(to) } else { Ok(()) }
}

/// Makes one mount read-only; flags that an unprivileged user may not clear stay.
fn seal(mount: &Path) -> io::Result<()> {
    let held = rustix::fs::statvfs(mount)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (holds, keeps) in kept {
        if held.contains(holds) {
            flags |= keeps;
        }
    }
    rustix::mount::mount_remount(mount, flags, "").map_err(|error| in_context(mount)(error.into()))
}
