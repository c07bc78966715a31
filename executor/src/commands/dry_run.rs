//! `executor apply --dry-run`: what would run, where, in which order; nothing is started or made.

use super::prepare::Ready;
use crate::{error::Error, exit_code::Exit, policy, reporters, state::StateDir, text};

pub(super) fn run(_state: &StateDir, ready: Ready) -> Result<Exit, Error> {
    let flags = ready.wanted().hosts.iter().cloned().collect();
    let nodes = policy::sited(&ready.plan, &ready.config, &flags);
    let mut out = reporters::stdout();
    let asked = ready.selected.iter().filter(|selected| **selected).count();
    out.text(&format!(
        "{} of {} would run, {} at once\n",
        asked,
        text::count(nodes.len(), "node"),
        ready.jobs()
    ));
    for (node, _) in nodes.iter().zip(&ready.selected).filter(|(_, selected)| **selected) {
        out.text(&format!(
            "\n{}  ({} on {}, {}s)\n",
            node.id,
            node.spec.runtime.kind().as_str(),
            node.spec.placement.host_name(),
            node.spec.timeout_secs
        ));
        if !node.depends_on.is_empty() {
            let after: Vec<&str> = node.depends_on.iter().map(|id| id.as_str()).collect();
            out.text(&format!("  after {}\n", after.join(", ")));
        }
        out.text(&format!("  {}\n", text::neutral(&describe(node))));
    }
    Ok(Exit::Done)
}

fn describe(node: &plans::Node) -> String {
    use plans::Command;
    match &node.spec.command {
        Command::Argv(argv) => argv.join(" "),
        Command::Shell { script, .. } => script.clone(),
        other => format!("{other:?}"),
    }
}
