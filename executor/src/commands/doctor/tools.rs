//! The programs that plain processes of a plan begin with, looked for where they run.
//!
//! Only what a plan says for certain: the first word of a command without a shell, `cargo` and `nix`
//! of the commands that stand for them. What a guest has is its image's business.

use std::collections::{BTreeMap, BTreeSet};

use plans::{Command, Node, Placement, Runtime};

use crate::{
    fault::{FailureKind, Fault},
    placements::{Check, ControlCommand, Machine},
};

/// Prints those of its arguments that are no program.
const LOOK: &str =
    r#"for tool; do command -v -- "$tool" >/dev/null 2>&1 || printf '%s\n' "$tool"; done"#;

/// Programs of one machine, by the `PATH` their jobs set, if they do.
pub(super) type Wanted = BTreeMap<Option<String>, BTreeSet<String>>;

/// Returns what is wanted on each machine, by its name.
pub(super) fn wanted<'a>(
    nodes: impl Iterator<Item = &'a Node>,
) -> BTreeMap<String, (Placement, Wanted)> {
    let mut all: BTreeMap<String, (Placement, Wanted)> = BTreeMap::new();
    for node in nodes.filter(|node| node.spec.runtime == Runtime::HostProcess) {
        let tool = match &node.spec.command {
            // With a slash it is a file of the tree, or one that a prepare node makes.
            Command::Argv(words) => words.first().filter(|word| !word.contains('/')).cloned(),
            Command::CargoTest { .. } | Command::CargoTests { .. } => Some("cargo".to_owned()),
            Command::NixBuild { .. } => Some("nix".to_owned()),
            Command::Shell { .. } | Command::Staged(_) => None,
        };
        let Some(tool) = tool else { continue };
        let placement = &node.spec.placement;
        let path = node.spec.env.iter().find(|(name, _)| name.as_str() == "PATH");
        let path = path.map(|(_, value)| value.clone());
        let (_, wanted) = all
            .entry(placement.host_name().to_owned())
            .or_insert_with(|| (placement.clone(), Wanted::new()));
        wanted.entry(path).or_default().insert(tool);
    }
    all
}

/// Looks for programs on a machine.
pub(super) fn examine(machine: &dyn Machine, wanted: &Wanted) -> Result<Vec<Check>, Fault> {
    let mut checks = Vec::new();
    let mut there = BTreeSet::new();
    for (path, tools) in wanted {
        let mut argv: Vec<String> = ["/bin/sh", "-c", LOOK, "doctor"].map(str::to_owned).into();
        argv.extend(tools.iter().cloned());
        let mut command = ControlCommand::new(argv);
        command.env.extend(path.iter().map(|path| ("PATH".to_owned(), path.clone())));
        let answer = machine.run(&command)?;
        if !answer.success() {
            let what = format!("looking for programs failed: {}", answer.complaint());
            return Err(Fault::new(FailureKind::NoAnswer, what));
        }
        let missing = String::from_utf8_lossy(&answer.stdout);
        let missing: BTreeSet<&str> = missing.lines().collect();
        for tool in tools {
            if missing.contains(tool.as_str()) {
                checks.push(Check {
                    ok: false,
                    message: format!("there is no program `{tool}` in the PATH of jobs"),
                    advice: Some("install it there, or name it by its whole path".to_owned()),
                });
            } else {
                there.insert(tool.as_str());
            }
        }
    }
    if !there.is_empty() {
        let message = there.into_iter().collect::<Vec<_>>().join(", ");
        checks.push(Check { ok: true, message, advice: None });
    }
    Ok(checks)
}
