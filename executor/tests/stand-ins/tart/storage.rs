//! The guests on disk: `$TART_HOME/vms/NAME/{config.json,disk.img,nvram.bin}`, what "running"
//! means, and the commands that only touch files.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockOffsetType, FlockType, Pid};
use serde_json::json;

use crate::arguments::Grammar;
use crate::failure::{Failure, Outcome};
use crate::faults;
use crate::json::{self, Object, Value};

const GIGABYTE: u64 = 1_000_000_000;
const MEBIBYTE: u64 = 1024 * 1024;
const FILES: [&str; 3] = ["config.json", "disk.img", "nvram.bin"];

/// `$TART_HOME`, or `.tart` in the home directory.
pub(crate) fn home() -> PathBuf {
    std::env::var_os("TART_HOME").filter(|home| !home.is_empty()).map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".tart"),
        PathBuf::from,
    )
}

/// The lock that `clone` and `run` hold while they look around and change things.
pub(crate) fn lock_home() -> Result<File, Failure> {
    let lock = File::open(home()).map_err(|e| Failure::io("cannot open the Tart home", e))?;
    lock.lock().map_err(|e| Failure::io("cannot lock the Tart home", e))?;
    Ok(lock)
}

/// One guest's directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
}

impl Directory {
    fn at(path: PathBuf, name: &str) -> Self {
        Self { path, name: name.to_owned() }
    }

    fn complete(&self) -> bool {
        FILES.iter().all(|file| self.path.join(file).exists())
    }

    /// A local guest, its access date renewed.
    pub(crate) fn open(name: &str) -> Result<Self, Failure> {
        let local = Self::at(home().join("vms").join(name), name);
        local.validate()?;
        if let Ok(directory) = File::open(&local.path) {
            // The access date is only ever shown; a read-only home must not stop a command.
            let _ = directory.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        }
        Ok(local)
    }

    /// A local guest, or an image of a registry that lies in the cache.
    fn open_source(name: &str) -> Result<Self, Failure> {
        if !name.contains('/') {
            return Self::open(name);
        }
        let cached = Self::at(home().join("cache/OCIs").join(name.replace(':', "/")), name);
        if cached.complete() {
            Ok(cached)
        } else {
            Err(Failure::prefixed(format!("cannot pull \"{name}\": the stand-in has no network")))
        }
    }

    fn validate(&self) -> Result<(), Failure> {
        if !self.path.exists() {
            return Err(Failure::missing(&self.name));
        }
        if !self.complete() {
            let files = "(config.json, disk.img or nvram.bin)";
            let text = format!("VM is missing some of its files {files}");
            return Err(Failure::bare(1, text));
        }
        Ok(())
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path.join("config.json")
    }

    pub(crate) fn config(&self) -> Result<serde_json::Value, Failure> {
        let bytes = fs::read(self.config_path()).map_err(|e| Failure::io("config.json", e))?;
        serde_json::from_slice(&bytes).map_err(|e| Failure::io("config.json", e))
    }

    fn save_config(&self, config: &serde_json::Value) -> Result<(), Failure> {
        fs::write(self.config_path(), format!("{config:#}"))
            .map_err(|e| Failure::io("config.json", e))
    }

    /// The process that holds the lock of a running guest.
    pub(crate) fn runner(&self) -> Option<Pid> {
        let config = File::options().read(true).write(true).open(self.config_path()).ok()?;
        let whole = Flock {
            start: 0,
            length: 0,
            pid: None,
            typ: FlockType::WriteLock,
            offset_type: FlockOffsetType::Set,
        };
        rustix::process::fcntl_getlk(&config, &whole).ok()??.pid
    }

    /// Locks the guest for this process, which keeps it by never closing the file; `None` if
    /// another has it. The configuration must not be opened again after this: closing any
    /// descriptor of it would drop the lock.
    pub(crate) fn try_lock(&self) -> Result<Option<File>, Failure> {
        let config = File::options()
            .read(true)
            .write(true)
            .open(self.config_path())
            .map_err(|e| Failure::io("failed to open lock file config.json", e))?;
        Ok(rustix::fs::fcntl_lock(&config, FlockOperation::NonBlockingLockExclusive)
            .is_ok()
            .then_some(config))
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.path.join("state.vzvmsave")
    }

    pub(crate) fn state(&self) -> &'static str {
        if self.runner().is_some() {
            "running"
        } else if self.snapshot().exists() {
            "suspended"
        } else {
            "stopped"
        }
    }

    fn bytes(&self, measure: fn(&fs::Metadata) -> u64) -> u64 {
        FILES.iter().filter_map(|f| fs::metadata(self.path.join(f)).ok()).map(|m| measure(&m)).sum()
    }

    fn size(&self) -> u64 {
        self.bytes(fs::Metadata::len)
    }

    fn allocated(&self) -> u64 {
        self.bytes(|metadata| metadata.blocks() * 512)
    }
}

/// Every complete local guest, by name.
pub(crate) fn locals() -> Vec<Directory> {
    let mut found: Vec<Directory> = fs::read_dir(home().join("vms"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| Directory::at(entry.path(), &entry.file_name().to_string_lossy()))
        .filter(Directory::complete)
        .collect();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

fn cached_below(path: &Path, name: &str, found: &mut Vec<Directory>) {
    let here = Directory::at(path.to_owned(), name);
    if here.complete() {
        found.push(here);
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let component = entry.file_name().to_string_lossy().into_owned();
        let separator = match name {
            "" => "",
            _ if entry.path().join("config.json").exists() => ":",
            _ => "/",
        };
        cached_below(&entry.path(), &[name, separator, &component].concat(), found);
    }
}

fn random_mac() -> String {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mixed = (seed as u64 ^ u64::from(std::process::id())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [a, b, c, d, e, ..] = mixed.to_be_bytes();
    format!("6e:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

pub(crate) fn create(arguments: &[String]) -> Outcome {
    let grammar = Grammar {
        command: "tart create",
        flags: &["--linux"],
        options: &["--from-ipsw", "--disk-size"],
        positionals: 1..=1,
    };
    let parsed = grammar.parse(arguments)?;
    if !parsed.has("--from-ipsw") {
        return Err(Failure::usage(grammar.command, "the stand-in only makes macOS guests"));
    }
    let size = grammar.number(&parsed, "--disk-size")?.unwrap_or(50);
    let name = &parsed.positionals[0];
    let made = Directory::at(home().join("vms").join(name), name);
    (|| {
        fs::create_dir_all(&made.path)?;
        File::create(made.path.join("disk.img"))?.set_len(size * GIGABYTE)?;
        fs::write(made.path.join("nvram.bin"), [0; 64])
    })()
    .map_err(|e| Failure::io("cannot create the VM", e))?;
    made.save_config(&json!({
        "version": 1, "os": "darwin", "arch": "arm64",
        "cpuCountMin": 4, "cpuCount": 4,
        "memorySizeMin": 4096 * MEBIBYTE, "memorySize": 4096 * MEBIBYTE,
        "macAddress": random_mac(), "display": { "width": 1024, "height": 768 },
        "diskFormat": "raw",
    }))?;
    Ok(0)
}

pub(crate) fn clone(arguments: &[String]) -> Outcome {
    let grammar = Grammar {
        command: "tart clone",
        flags: &["--insecure"],
        options: &["--concurrency", "--prune-limit"],
        positionals: 2..=2,
    };
    let parsed = grammar.parse(arguments)?;
    let [source, name] = &parsed.positionals[..] else { unreachable!("the grammar takes two") };
    if name.contains('/') {
        return Err(Failure::usage(grammar.command, "<new-name> should be a local name"));
    }
    let source = Directory::open_source(source)?;
    let target = Directory::at(home().join("vms").join(name), name);
    let _home = lock_home()?;
    if faults::on("clone-refuses-existing") && target.complete() {
        let text = format!("VM \"{name}\" already exists, use --overwrite to replace it");
        return Err(Failure::usage(grammar.command, text));
    }
    let copy = home().join("tmp").join(format!("{:x}", std::process::id()));
    let copied = (|| {
        fs::create_dir_all(&copy)?;
        fs::copy(source.config_path(), copy.join("config.json"))?;
        fs::copy(source.path.join("nvram.bin"), copy.join("nvram.bin"))?;
        if faults::take("clone-enospc") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A disk of zeros is copied by its length; what a guest wrote lies in `guest`.
        let length = fs::metadata(source.path.join("disk.img"))?.len();
        File::create(copy.join("disk.img"))?.set_len(length)?;
        copy_tree(&source.path.join("guest"), &copy.join("guest"))
    })();
    copied.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => Failure::prefixed(
            "You can’t save the file “disk.img” because the volume “Macintosh HD” is out of space.",
        ),
        _ => Failure::io("cannot copy the VM", error),
    })?;
    let clone = Directory::at(copy, name);
    let mut config = clone.config()?;
    if locals()
        .iter()
        .any(|other| other.config().is_ok_and(|other| other["macAddress"] == config["macAddress"]))
    {
        config["macAddress"] = random_mac().into();
        clone.save_config(&config)?;
    }
    (|| {
        fs::create_dir_all(home().join("vms"))?;
        // An existing guest is replaced without a word, a running one as well.
        if target.path.exists() {
            remove_tree(&target.path)?;
        }
        fs::rename(&clone.path, &target.path)
    })()
    .map_err(|e| Failure::io("cannot move the VM into place", e))?;
    Ok(0)
}

pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(from) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)
    } else if metadata.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, metadata.permissions())
    } else if metadata.is_file() {
        fs::copy(from, to).map(drop)
    } else {
        Ok(()) // sockets and fifos of a guest that was running
    }
}

pub(crate) fn set(arguments: &[String]) -> Outcome {
    let grammar = Grammar {
        command: "tart set",
        flags: &["--random-mac", "--random-serial"],
        options: &["--cpu", "--memory", "--disk-size", "--display"],
        positionals: 1..=1,
    };
    let parsed = grammar.parse(arguments)?;
    let guest = Directory::open(&parsed.positionals[0])?;
    let mut config = guest.config()?;
    if let Some(cpus) = grammar.number(&parsed, "--cpu")? {
        config["cpuCount"] = cpus.into();
    }
    if let Some(megabytes) = grammar.number(&parsed, "--memory")? {
        let least = config["memorySizeMin"].as_u64().unwrap_or(0);
        if megabytes * MEBIBYTE < least {
            return Err(Failure::prefixed(format!(
                "VM should have {least} bytes of memory at minimum (requested {})",
                megabytes * MEBIBYTE
            )));
        }
        config["memorySize"] = (megabytes * MEBIBYTE).into();
    }
    if let Some(display) = parsed.value("--display") {
        let sides = display.split_once('x').and_then(|(width, height)| {
            Some((width.parse::<u64>().ok()?, height.parse::<u64>().ok()?))
        });
        let (width, height) = sides.ok_or_else(|| {
            Failure::usage(grammar.command, format!("The value '{display}' is invalid"))
        })?;
        config["display"] = json!({ "width": width, "height": height });
    }
    if parsed.has("--random-mac") {
        config["macAddress"] = random_mac().into();
    }
    guest.save_config(&config)?;
    if let Some(size) = grammar.number(&parsed, "--disk-size")? {
        let disk = File::options()
            .write(true)
            .open(guest.path.join("disk.img"))
            .map_err(|e| Failure::io("disk.img", e))?;
        let current = disk.metadata().map_err(|e| Failure::io("disk.img", e))?.len();
        if size * GIGABYTE < current {
            return Err(Failure::bare(
                1,
                format!(
                    "new disk size of {size} GB should be larger than the current disk size of \
                     {} GB",
                    current / GIGABYTE
                ),
            ));
        }
        disk.set_len(size * GIGABYTE).map_err(|e| Failure::io("disk.img", e))?;
    }
    Ok(0)
}

pub(crate) fn list(arguments: &[String]) -> Outcome {
    let grammar = Grammar {
        command: "tart list",
        flags: &["-q", "--quiet"],
        options: &["--source", "--format"],
        positionals: 0..=0,
    };
    let parsed = grammar.parse(arguments)?;
    let source = parsed.value("--source");
    if let Some(other) = source.filter(|source| !["local", "oci"].contains(source)) {
        return Err(Failure::usage(grammar.command, format!("'{other}' is not a valid <source>")));
    }
    while faults::on("list-hangs") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let mut found = Vec::new();
    if source != Some("oci") {
        found.extend(locals().into_iter().map(|guest| ("local", guest)));
    }
    if source != Some("local") {
        let mut cached = Vec::new();
        cached_below(&home().join("cache/OCIs"), "", &mut cached);
        found.extend(cached.into_iter().map(|guest| ("OCI", guest)));
    }
    if parsed.has("-q") || parsed.has("--quiet") {
        found.iter().for_each(|(_, guest)| println!("{}", guest.name));
    } else if parsed.value("--format") == Some("json") {
        println!("{}", json::array(found.iter().map(|(from, guest)| row(from, guest)).collect()));
    } else {
        println!("Source Name Disk Size State");
        for (from, guest) in found {
            let (disk, size) = (guest.size() / GIGABYTE, guest.allocated() / GIGABYTE);
            println!("{from} {} {disk} {size} {}", guest.name, guest.state());
        }
    }
    Ok(0)
}

fn row(source: &str, guest: &Directory) -> Object {
    let accessed = fs::metadata(&guest.path).and_then(|metadata| metadata.accessed());
    vec![
        ("Source", Value::Text(source.to_owned())),
        ("Name", Value::Text(guest.name.clone())),
        ("Disk", Value::Number(guest.size() / GIGABYTE)),
        ("Size", Value::Number(guest.allocated() / GIGABYTE)),
        ("Accessed", Value::Text(iso_8601(accessed.unwrap_or(UNIX_EPOCH)))),
        ("Running", Value::Truth(guest.runner().is_some())),
        ("State", Value::Text(guest.state().to_owned())),
    ]
}

pub(crate) fn get(arguments: &[String]) -> Outcome {
    let grammar =
        Grammar { command: "tart get", flags: &[], options: &["--format"], positionals: 1..=1 };
    let parsed = grammar.parse(arguments)?;
    let guest = Directory::open(&parsed.positionals[0])?;
    let config = guest.config()?;
    let number = |key: &str| config[key].as_u64().unwrap_or(0);
    let display = format!("{}x{}", config["display"]["width"], config["display"]["height"]);
    let facts: Object = vec![
        ("OS", Value::Text(config["os"].as_str().unwrap_or_default().to_owned())),
        ("CPU", Value::Number(number("cpuCount"))),
        ("Memory", Value::Number(number("memorySize") / MEBIBYTE)),
        ("Disk", Value::Number(guest.size() / GIGABYTE)),
        ("DiskFormat", Value::Text("raw".to_owned())),
        ("Size", Value::Text(format!("{:.3}", guest.allocated() as f64 / GIGABYTE as f64))),
        ("Display", Value::Text(display)),
        ("Running", Value::Truth(guest.runner().is_some())),
        ("State", Value::Text(guest.state().to_owned())),
    ];
    if parsed.value("--format") == Some("json") {
        println!("{}", json::object(facts, ""));
    } else {
        facts.iter().for_each(|(key, value)| println!("{key} {value:?}"));
    }
    Ok(0)
}

pub(crate) fn delete(arguments: &[String]) -> Outcome {
    let grammar =
        Grammar { command: "tart delete", flags: &[], options: &[], positionals: 1..=usize::MAX };
    for name in &grammar.parse(arguments)?.positionals {
        let guest = Directory::at(home().join("vms").join(name), name);
        if !guest.path.exists() {
            return Err(Failure::missing(name));
        }
        if faults::take("delete-fails") {
            return Err(Failure::prefixed(format!("“{name}” couldn’t be removed.")));
        }
        let lock = guest.try_lock()?;
        if lock.is_none() {
            return Err(Failure::bare(1, format!("VM \"{name}\" is running")));
        }
        remove_tree(&guest.path)
            .map_err(|e| Failure::prefixed(format!("“{name}” couldn’t be removed: {e}")))?;
    }
    Ok(0)
}

/// Removes a guest's directory. The last processes of a guest whose `run` was killed a moment ago
/// may still add to it: the lock goes before they do.
fn remove_tree(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && tries < 20 => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

/// A time as `2026-11-22T21:39:15Z`.
fn iso_8601(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date, by eras of 400 years that start in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = years + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Makes a file that the guest can run.
pub(crate) fn write_program(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
