//! What a guest is given before its job: the shares it is run with and the script that makes the
//! job ready inside of it.
//!
//! Everything of an attempt in the guest is below [`HOME`], a path without blanks; a share is
//! reached through a link there, because macOS mounts shares below `/Volumes/My Shared Files`.

use plans::{Cache, CachePath};

use crate::{
    artifacts::outputs,
    attempt::Context,
    command_line::Script,
    fault::{FailureKind, Fault},
    runtimes::{Work, guest},
    supervise::{BindMount, shim},
};

/// Everything of an attempt in its guest.
pub(super) const HOME: &str = "/Users/Shared/forge-lanes";
/// The supervisor.
pub(super) const SHIM: &str = "/Users/Shared/forge-lanes/shim.sh";
/// Its state directory.
pub(super) const JOB: &str = "/Users/Shared/forge-lanes/job";
/// The workspace.
pub(super) const WORKSPACE: &str = "/Users/Shared/forge-lanes/ws";
/// Where the job may leave artifacts.
pub(super) const ARTIFACTS: &str = "/Users/Shared/forge-lanes/artifacts";
/// Where the list of a part's files is.
pub(super) const SHARD: &str = "/Users/Shared/forge-lanes/shard";
/// Is there for as long as the guest is in the boot that it was made in.
pub(super) const MARK: &str = "/tmp/.forge-lanes-boot";
/// Where the guest finds shares.
const SHARES: &str = "/Volumes/My Shared Files";
/// The tag of the machine's `/nix`, which is not mounted with the others.
const NIX_TAG: &str = "forge-lanes-nix";

/// What of its machine a guest sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// The source tree, or what a host setup left.
    pub(super) workspace: String,
    /// How many entries that has.
    pub(super) entries: u64,
    /// Outputs of prepare nodes.
    pub(super) mounts: Vec<BindMount>,
    /// What caches hold, in the order of the job's.
    pub(super) caches: Vec<String>,
    /// The machine's Rust toolchain.
    pub(super) toolchain: Option<String>,
    /// Whether it sees the machine's `/nix`.
    pub(super) nix: bool,
    /// The machine's Xcode.
    pub(super) xcode: Option<String>,
}

impl Shares {
    /// Returns the arguments of `tart run`.
    ///
    /// # Errors
    ///
    /// When a path cannot be said in them.
    pub(super) fn arguments(&self) -> Result<Vec<String>, Fault> {
        let mut all = vec![named("source", &self.workspace)?];
        for (number, mount) in self.mounts.iter().enumerate() {
            all.push(named(&format!("output-{number}"), &mount.from)?);
        }
        for (number, cache) in self.caches.iter().enumerate() {
            all.push(named(&format!("cache-{number}"), cache)?);
        }
        if let Some(toolchain) = &self.toolchain {
            all.push(named("rust", toolchain)?);
        }
        if let Some(xcode) = &self.xcode {
            all.push(named("xcode", xcode)?);
        }
        if self.nix {
            all.push(format!("--dir=/nix:ro,tag={NIX_TAG}"));
        }
        Ok(all)
    }

    /// Returns where the job finds the toolchain.
    fn toolchain_in_guest(&self) -> Option<String> {
        let path = self.toolchain.as_ref()?;
        if self.nix && path.starts_with("/nix/") {
            return Some(path.clone());
        }
        Some(format!("{HOME}/rust"))
    }
}

/// Returns where a job finds a cache that is not in a workspace of its own.
pub(in crate::runtimes) fn cache_in_guest(number: usize) -> String {
    format!("{HOME}/caches/{number}")
}

/// Returns where the directory of a cache is to be in the guest, or a link to it.
pub(super) fn cache_at(number: usize, cache: &Cache, work: &Work) -> String {
    match &cache.path {
        CachePath::Workspace(below) if work.writable => format!("{WORKSPACE}/{below}"),
        // The tree has a link to it.
        CachePath::Workspace(_) => cache_in_guest(number),
        CachePath::Guest(path) => path.to_string(),
    }
}

fn named(name: &str, path: &str) -> Result<String, Fault> {
    if path.contains(':') {
        return Err(Fault::new(
            FailureKind::Workspace,
            format!("tart cannot share `{path}`: its path has a colon"),
        )
        .advice("use a state directory, or a work_dir, without one"));
    }
    Ok(format!("--dir={name}:{path}:ro"))
}

/// Asks the guest for a `/nix` to mount on: an entry of the sealed root, made at the next boot.
/// Answers `there` or `restart`.
pub(super) const MAKE_NIX: &str = "[ ! -d /nix ] || { echo there; exit 0; }\n\
    grep -qx nix /etc/synthetic.conf 2>/dev/null ||\n\
    printf 'nix\\n' | sudo -n /usr/bin/tee -a /etc/synthetic.conf >/dev/null || exit 1\n\
    sync; echo restart";

/// Returns the script that makes the job ready. Its last word is `ready`, or says what is missing.
pub(super) fn script(context: &Context<'_>, work: &Work, shares: &Shares) -> Script {
    let mut script = Script::new("umask 022\n")
        .set("g", HOME)
        .set("shares", SHARES)
        .set("mark", MARK)
        .set("entries", shares.entries.to_string())
        .text(
            "no() { [ \"$(df -Pk \"$g\" | awk 'NR == 2 { print $4 }')\" -gt 64 ] || { echo no_space; exit 1; }\n\
             echo \"$1\"; exit 1; }\n\
             # A copy may take its time; an agent that is silent is given up. What sleeps holds no pipe.\n\
             { while sleep 5 >/dev/null 2>&1; do echo; done; } & alive=$!\n\
             trap 'kill $alive 2>/dev/null' EXIT\n\
             rm -rf \"$g\" 2>/dev/null\n\
             mkdir -p \"$g/job\" \"$g/tmp\" \"$g/artifacts\" || no directories\n: >\"$mark\"\n\
             # A share can come late, and be away for a moment.\n\
             there() { t=0; until [ -n \"$(ls -A \"$shares/$1\" 2>/dev/null)\" ]; do\n\
             t=$((t + 1)); [ $t -lt 100 ] || no \"share $1\"; sleep 0.1; done; }\n\
             [ \"$entries\" -le 1 ] || there source\n",
        );
    if work.writable || work.keep.output.is_some() {
        // Whole or not at all. A guest writes to its own disk: shares lose what builds write.
        script = script.text(
            "try=0\n\
             until rm -rf \"$g/.ws\"; cp -Rp \"$shares/source\" \"$g/.ws\" 2>\"$g/.said\" &&\n\
             [ \"$(find \"$g/.ws\" | wc -l)\" -eq \"$entries\" ]; do\n\
             try=$((try + 1)); [ $try -lt 8 ] || { head -c 300 \"$g/.said\"; no copy; }\n\
             sleep 0.5; done\n\
             chmod -R u+w \"$g/.ws\" && mv \"$g/.ws\" \"$g/ws\" || no copy\n",
        );
    } else {
        script = script.text("ln -s \"$shares/source\" \"$g/ws\" || no links\n");
    }
    if shares.nix {
        script = script
            .text("if ! [ -d /nix/store ]; then sudo -n /sbin/mount_virtiofs")
            .word(NIX_TAG)
            .text(" /nix || no nix; fi\n");
    }
    for (wanted, name) in [(shares.toolchain.is_some(), "rust"), (shares.xcode.is_some(), "xcode")]
    {
        if wanted {
            script = script.text(&format!(
                "there {name}; ln -s \"$shares/{name}\" \"$g/{name}\" || no links\n"
            ));
        }
    }
    for (number, mount) in shares.mounts.iter().enumerate() {
        script = script.set("to", &mount.to).text(&format!(
            "[ ! -e \"$to\" ] || no \"mount $to\"\n\
             mkdir -p \"${{to%/*}}\" 2>/dev/null || sudo -n mkdir -p \"${{to%/*}}\" || no \"mount $to\"\n\
             ln -s \"$shares/output-{number}\" \"$to\" 2>/dev/null ||\n\
             sudo -n ln -s \"$shares/output-{number}\" \"$to\" || no \"mount $to\"\n"
        ));
    }
    for (number, cache) in work.caches.iter().enumerate().take(shares.caches.len()) {
        // A guest writes to its own disk. An empty share looks as one that is not there yet: nothing is waited for.
        script = script.set("to", cache_at(number, cache, work)).text(&format!(
            "mkdir -p \"$g/caches\" || no caches\n\
             cp -Rp \"$shares/cache-{number}\" \"$g/caches/{number}\" 2>/dev/null ||\n\
             {{ rm -rf \"$g/caches/{number}\"; mkdir \"$g/caches/{number}\"; }} || no caches\n\
             case $to in\n\
             \"$g/caches/\"*) ;;\n\
             \"$g\"/*) rm -rf \"$to\"; mkdir -p \"${{to%/*}}\" && mv \"$g/caches/{number}\" \"$to\" || no \"mount $to\" ;;\n\
             *) [ ! -e \"$to\" ] || no \"mount $to\"\n\
             mkdir -p \"${{to%/*}}\" 2>/dev/null || sudo -n mkdir -p \"${{to%/*}}\" || no \"mount $to\"\n\
             ln -s \"$g/caches/{number}\" \"$to\" 2>/dev/null ||\n\
             sudo -n ln -s \"$g/caches/{number}\" \"$to\" || no \"mount $to\" ;;\n\
             esac\n"
        ));
    }
    let file = |script, name: &str, text: &[u8]| {
        guest::file(script, &format!("\"$g/{name}\""), text, &format!("no {name}"))
    };
    script = file(script, "shim.sh", shim::SOURCE.as_bytes());
    script = file(script, "job/cmd", guest::command(work, WORKSPACE).as_bytes());
    script = script.text("umask 077\n");
    script = file(script, "job/env", environment(context, work, shares).as_bytes());
    script = match context.masks() {
        masks if masks.is_empty() => script,
        masks => file(script, "job/masks", masks.as_bytes()),
    };
    script.text("echo ready\n")
}

/// Returns what the job sees besides what the guest itself gives it.
fn environment(context: &Context<'_>, work: &Work, shares: &Shares) -> Script {
    let mut script =
        Script::new("case :$PATH: in *:/sbin:*) ;; *) PATH=$PATH:/usr/sbin:/sbin ;; esac\n");
    if let Some(toolchain) = shares.toolchain_in_guest() {
        script =
            script.set("_fl_rust", toolchain).text("PATH=$_fl_rust/bin:$PATH\nunset _fl_rust\n");
    }
    script = script.text("export PATH\n");
    let tmp = format!("{HOME}/tmp");
    let developer = format!("{HOME}/xcode/Contents/Developer");
    let output_file = format!("{ARTIFACTS}/{}", outputs::FILE);
    let mut given = vec![("ARTIFACTS_DIR", ARTIFACTS), ("TMPDIR", &*tmp)];
    if !work.keep.outputs.is_empty() {
        given.push((outputs::VARIABLE, &*output_file));
    }
    if shares.xcode.is_some() {
        given.push(("DEVELOPER_DIR", &*developer));
    }
    guest::exports(script, &given, context, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_named_read_only_and_never_ambiguous() {
        let shares = Shares {
            workspace: "/a b/tree".to_owned(),
            mounts: vec![BindMount { from: "/out".to_owned(), to: "/staged".to_owned() }],
            toolchain: Some("/nix/store/x-rust".to_owned()),
            nix: true,
            xcode: Some("/Applications/Xcode.app".to_owned()),
            ..Shares::default()
        };
        assert_eq!(
            shares.arguments().expect("arguments"),
            [
                "--dir=source:/a b/tree:ro",
                "--dir=output-0:/out:ro",
                "--dir=rust:/nix/store/x-rust:ro",
                "--dir=xcode:/Applications/Xcode.app:ro",
                "--dir=/nix:ro,tag=forge-lanes-nix",
            ]
        );
        assert_eq!(shares.toolchain_in_guest().as_deref(), Some("/nix/store/x-rust"));
        let colon = Shares { workspace: "/a:b".to_owned(), ..Shares::default() };
        assert_eq!(colon.arguments().expect_err("refused").kind, FailureKind::Workspace);
    }
}
