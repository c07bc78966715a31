//! `executor apply --dry-run`: what would run, where, in which order; nothing is started or made.

use plans::{Node, Placement};

use super::prepare::Ready;
use crate::{error::Error, exit_code::Exit, guest_command, policy, reporters, runtimes, text};

pub(super) fn run(ready: &Ready) -> Result<Exit, Error> {
    let flags = ready.wanted().hosts.iter().cloned().collect();
    let nodes = policy::with_site_overrides(&ready.plan, &ready.config, &flags);
    let mut out = reporters::stdout();
    let asked = ready.selected.iter().filter(|selected| **selected).count();
    let of = text::count(nodes.len(), "node");
    out.text(&format!("{asked} of {of} would run, {} at once\n", ready.jobs()));
    for (node, _) in nodes.iter().zip(&ready.selected).filter(|(_, selected)| **selected) {
        out.text(&shown(node));
    }
    Ok(Exit::Done)
}

fn shown(node: &Node) -> String {
    let place = match &node.spec.placement {
        Placement::Local => "local".to_owned(),
        Placement::RemoteSsh(host) => format!("{} ({})", host.host, host.ssh),
    };
    let mut shown = format!(
        "\n{}  {} at {place}, at most {} s\n",
        node.id,
        node.spec.runtime.kind().as_str(),
        node.spec.timeout_secs
    );
    let mut line = |key: &str, words: Vec<&str>| {
        if !words.is_empty() {
            text::push!(shown, "  {key:<8}{}\n", words.join(", "));
        }
    };
    line("after", node.depends_on.iter().map(|id| id.as_str()).collect());
    line("group", node.concurrency_groups.iter().map(|group| group.as_str()).collect());
    line("secrets", node.spec.secrets.iter().map(|name| name.as_str()).collect());
    for (name, value) in &node.spec.env {
        text::push!(shown, "  env     {name}={}\n", text::neutral_unlimited(value));
    }
    if let Some(dir) = &node.spec.working_dir {
        text::push!(shown, "  in      {dir}\n");
    }
    if node.spec.workspace == plans::Workspace::Writable {
        shown.push_str("  tree    a writable copy\n");
    }
    if let Some(from) = &node.workspace_from {
        text::push!(shown, "  tree    the one that {from} left\n");
    }
    for mount in &node.mounts {
        text::push!(shown, "  sees    what {} left, at {}\n", mount.node, mount.path);
    }
    if let Some(which) = node.member.in_words() {
        text::push!(shown, "  part    {}\n", text::neutral(&which));
    }
    for plans::FilesFrom { node, files, at } in &node.takes.files {
        text::push!(shown, "  given   {} of {node}, at {at}\n", files.join(", "));
    }
    let calls = runtimes::shown::calls(node);
    let engine = |shown: &mut String, calls: &[String]| {
        for call in calls {
            text::push!(shown, "  engine  {}\n", text::neutral_unlimited(call));
        }
    };
    engine(&mut shown, &calls.before);
    // Every character of the command, or it is not the command; its lines stay lines.
    let command = guest_command::display(&node.spec.command);
    for line in command.lines() {
        text::push!(shown, "  $ {}\n", text::neutral_unlimited(line));
    }
    engine(&mut shown, &calls.after);
    shown
}
