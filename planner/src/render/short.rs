//! The text of golden files: what a reviewer checks against a change by eye. Terse and stable:
//! one line for each fact, ids instead of titles, no measured times, no object ids.

use std::fmt::Write as _;

use plans::{NodeKind, Output, Placement, Plan, Reason, Reuse, Source};

use super::{
    text::{Lines, count, one_line},
    words,
};

/// How many changed paths are listed before they are counted.
const PATHS: usize = 12;

/// How many globs of what a node sees are listed before they are counted.
const INPUTS: usize = 6;

/// Returns the plan as text for a golden file.
#[must_use]
pub fn short(plan: &Plan) -> String {
    let mut out = Lines::default();
    if let Source::Scenario(name) = plan.source() {
        out.line(format!("scenario {name}"));
    }
    out.line(words::selection(plan.selection()));
    if let Some(note) = &plan.selection().note {
        out.line(format!("note: {}", one_line(note)));
    }
    changes(&mut out, plan);
    lanes(&mut out, plan);
    nodes(&mut out, plan);
    out.finish()
}

fn changes(out: &mut Lines, plan: &Plan) {
    if !plan.changes().is_empty() {
        out.gap();
        out.line("changes");
        for change in plan.changes().iter().take(PATHS) {
            let uncovered = if plan.uncovered().binary_search(&change.path).is_ok() {
                " (no lane covers it)"
            } else {
                ""
            };
            let path = change.path.display();
            out.line(format!("  {} {}{uncovered}", change.status, one_line(&path)));
        }
        if let Some(rest) = plan.changes().len().checked_sub(PATHS).filter(|&rest| rest > 0) {
            out.line(format!("  and {rest} more"));
        }
    }
}

fn lanes(out: &mut Lines, plan: &Plan) {
    out.gap();
    out.line(words::headline(plan));
    for lane in plan.lanes().iter().filter(|lane| lane.selected) {
        match &lane.target {
            Some(target) => out.line(format!("  + {}: target {target}", lane.id)),
            None => out.line(format!("  + {}: its own command", lane.id)),
        }
        for reason in &lane.reasons {
            out.line(format!("      {}", words::plain(&words::reason(reason))));
        }
    }
    for lane in plan.lanes().iter().filter(|lane| !lane.selected) {
        let why: Vec<String> = lane
            .reasons
            .iter()
            .map(|reason: &Reason| words::plain(&words::reason(reason)))
            .collect();
        out.line(format!("  - {}: {}", lane.id, why.join("; ")));
    }
    if let Some(unlisted) = plan.selection().lanes_not_listed.filter(|&unlisted| unlisted > 0) {
        let unlisted = usize::try_from(unlisted).unwrap_or(usize::MAX);
        out.line(format!("  - {} not listed", count(unlisted, "skipped lane")));
    }
}

fn nodes(out: &mut Lines, plan: &Plan) {
    out.gap();
    out.line(count(plan.nodes().len(), "node"));
    for node in plan.nodes() {
        let spec = &node.spec;
        let host = match &spec.placement {
            Placement::Local => "local",
            Placement::RemoteSsh(host) => host.host.as_str(),
        };
        let mut line = format!(
            "  {}: {host} × {}, {}",
            node.id,
            words::runtime(&spec.runtime),
            words::seconds(spec.timeout_secs)
        );
        if !node.concurrency_groups.is_empty() {
            let groups: Vec<&str> =
                node.concurrency_groups.iter().map(plans::GroupName::as_str).collect();
            write!(line, ", one at a time in {}", groups.join(" ")).expect("a string takes text");
        }
        if let Some(which) = node.member.in_words() {
            write!(line, ", {which}").expect("a string takes text");
        }
        if let Some(when) = node.run_if.in_words() {
            write!(line, ", {when}").expect("a string takes text");
        }
        if node.kind == NodeKind::Prepare {
            line.push_str(match &node.output {
                Some(Output::Directory(_)) => ", leaves a directory",
                Some(Output::StorePath) => ", leaves a store path",
                Some(Output::Workspace) => ", leaves its workspace",
                None => "",
            });
        }
        if spec.reuse != Reuse::Never {
            line.push_str(", reused where it passed before");
        }
        out.line(line);
        if let Some(inputs) = &spec.inputs {
            let but = inputs.exclude.iter().map(|glob| format!("not {glob}"));
            let seen: Vec<String> = inputs.paths.iter().cloned().chain(but).collect();
            let (first, rest) = seen.split_at(seen.len().min(INPUTS));
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            out.line(format!("      sees {}{more}", one_line(&first.join(", "))));
        }
        for before in &node.depends_on {
            out.line(format!("      after {before}"));
        }
    }
}
