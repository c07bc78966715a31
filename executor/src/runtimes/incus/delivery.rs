//! What a job needs and leaves, when its instance may run on another member of a cluster, which
//! sees no directory of this machine: sent as archives through `incus exec`, and fetched likewise.

use std::time::Duration;

use super::{
    engine::Engine,
    instance::{STATE, WORKSPACE},
};
use crate::{
    command_line::Script,
    fault::{FailureKind, Fault},
    placements::ControlCommand,
};

/// How long a tree may take.
const TRANSFER: Duration = Duration::from_secs(900);

/// One directory of the machine and where the guest has it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) writable: bool,
}

/// Both ends of a pipe have to succeed; a shell tells only of one.
const BOTH: &str = r#"
both() {
    [ "$1" = '0
0' ] || exit 1
}
"#;

/// Sends parcels into an instance and gives the writable ones to `user`; the others cannot be
/// written to, by anybody there. Runs `then` inside, as its root.
pub(super) fn send(
    engine: &Engine<'_>,
    name: &str,
    user: (u32, u32),
    parcels: &[Parcel],
    then: &Script,
) -> Result<(), Fault> {
    let into = |script: Script, to: &str| {
        let unpack = "mkdir -p \"$1\" && tar -C \"$1\" -xpf -";
        let argv = ["sh", "-c", unpack, "sh", to].map(str::to_owned);
        script
            .text("; echo $? >&3; } |")
            .words(&engine.exec(name, (0, 0), &argv).argv)
            .text(" >&2; echo $?; } 3>&1 ); both \"$s\"\n")
    };
    let mut script = Script::new(BOTH);
    let (stored, plain): (Vec<&Parcel>, Vec<&Parcel>) =
        parcels.iter().partition(|parcel| parcel.is_stored());
    for parcel in plain {
        script = script.text("s=$( { { tar -C").word(&parcel.from).text(" -cf - . </dev/null");
        script = into(script, &parcel.to);
    }
    if !stored.is_empty() {
        // With everything that they refer to.
        script = script.text("paths=$(nix-store -qR");
        script = script.words(stored.iter().map(|parcel| &parcel.from));
        script = script.text(") || exit 1\nset --\ncd / || exit 1\n");
        script = script.text("for p in $paths; do set -- \"$@\" \"${p#/}\"; done\n");
        script = script.text("s=$( { { tar -cf - \"$@\" </dev/null");
        script = into(script, "/");
    }
    let command = ControlCommand::new(["sh", "-s"]).stdin(script.as_bytes()).deadline(TRANSFER);
    let answer = engine.ask(&command)?;
    if !answer.success() {
        return Err(refused(engine, name, "cannot be given its files", &answer.complaint()));
    }

    let mut script = Script::new("").set("who", format!("{}:{}", user.0, user.1)).text(
        "seen() { mkdir -p \"${2%/*}/\" && { if [ -d \"$1\" ]; then mkdir -p \"$2\"; else \
         : >>\"$2\"; fi; } &&\n\
         mount --bind \"$1\" \"$2\" && mount -o remount,bind,ro \"$2\" || exit 1; }\n",
    );
    for parcel in parcels {
        let Parcel { from, to, writable } = parcel;
        script = match (*writable, parcel.is_stored()) {
            (true, _) => script.text("chown -R \"$who\"").word(to).text(" || exit 1\n"),
            (false, true) => script.text("seen").words([from, to]).text("\n"),
            (false, false) => script.text("seen").words([to, to]).text("\n"),
        };
    }
    script = script.text(&then.to_text());
    let argv = ["sh".to_owned(), "-c".to_owned(), script.to_text()];
    let answer = engine.ask(&engine.exec(name, (0, 0), &argv))?;
    if answer.success() {
        return Ok(());
    }
    Err(refused(engine, name, "cannot mount its files", &answer.complaint()))
}

impl Parcel {
    fn is_stored(&self) -> bool {
        self.from.starts_with("/nix/store/")
    }
}

/// Fetches what the job left into `shared`, as if the instance had shared it: its artifacts, and a
/// workspace that it could write to.
pub(super) fn fetch(
    engine: &Engine<'_>,
    name: &str,
    shared: &str,
    writable: bool,
) -> Result<(), Fault> {
    let mut script = Script::new(BOTH).text("umask 077\ncd").word(shared).text(" || exit 1\n");
    let artifacts = format!("{STATE}/artifacts");
    let mut wanted = vec![(artifacts.as_str(), "artifacts")];
    wanted.extend(writable.then_some((WORKSPACE, "ws")));
    for (from, to) in wanted {
        let argv = ["tar", "-C", from, "-cf", "-", "."].map(str::to_owned);
        script = script
            .text(&format!("rm -rf {to} && mkdir {to} || exit 1\ns=$( {{ {{"))
            .words(&engine.exec(name, (0, 0), &argv).argv)
            .text(&format!(
                " </dev/null; echo $? >&3; }} | tar -C {to} --no-same-owner -xf - >&2; \
                 echo $?; }} 3>&1 ); both \"$s\"\n"
            ));
    }
    let command = ControlCommand::new(["sh", "-s"]).stdin(script.as_bytes()).deadline(TRANSFER);
    let answer = engine.ask(&command)?;
    if answer.success() {
        return Ok(());
    }
    let said = answer.complaint();
    let mut fault = refused(engine, name, "does not hand over what its job left", &said);
    fault.kind = FailureKind::Collect;
    Err(fault)
}

fn refused(engine: &Engine<'_>, name: &str, what: &str, said: &str) -> Fault {
    let machine = engine.machine.name();
    Fault::new(
        FailureKind::Workspace,
        format!("instance `{name}` of the cluster at `{machine}` {what}: {said}"),
    )
}
