//! `executor doctor`: whether everything a plan needs is there, asked before anything starts.

mod tools;

use std::{collections::BTreeMap, path::Path};

use plans::{HostName, Plan, SshDestination};
use serde::Serialize;

use super::{CliContext, prepare, results, running};
use crate::{
    error::Error, exit_code::Exit, placements::Machines, policy, reporters, runtimes, secrets, text,
};

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    /// What: `tree`, `site`, `secrets`, `host NAME`, `programs on NAME`, `incus on NAME`.
    about: String,
    /// Whether it is as the plan needs it.
    ok: bool,
    /// What was found.
    message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

pub(super) fn run(
    context: &CliContext,
    path: &Path,
    hosts: Vec<(HostName, SshDestination)>,
    json: bool,
) -> Result<Exit, Error> {
    let bytes = prepare::read_plan(path)?;
    let (plan, _) = Plan::from_json(&bytes)?;
    let config = context.config()?;
    let mut findings = Vec::new();
    let mut add = |about: &str, ok: bool, message: String, advice: Option<String>| {
        findings.push(Finding { about: about.to_owned(), ok, message, advice });
    };

    match prepare::source(&plan, true) {
        Ok(source) => {
            let repository = source.repository.display();
            add("tree", true, format!("{} is in `{repository}`", source.tree), None);
        }
        Err(error) => add("tree", false, error.to_string(), error.help()),
    }
    for objection in policy::objections(&plan, &config, |_| true) {
        add("site", false, objection, None);
    }
    let missing = secrets::look_up(plan.nodes().iter().map(|node| &**node), &config, |name| {
        std::env::var(name).ok()
    });
    match missing {
        Ok(values) if values.is_empty() => {}
        Ok(values) => {
            add("secrets", true, text::count(values.len(), "value"), None);
        }
        Err(missing) => {
            for why in missing {
                add("secrets", false, why, None);
            }
        }
    }
    let flags: BTreeMap<_, _> = hosts.into_iter().collect();
    let state = context.state(&config)?;
    if let Some(distrust) = running::distrusted_state(&state) {
        let advice = running::mend_state(&distrust);
        add("state directory", false, distrust.to_string(), Some(advice));
    }
    let machines = Machines::new(running::machines_config(&state)?);
    let nodes = policy::with_site_overrides(&plan, &config, &flags);
    let mut asked = std::collections::BTreeSet::new();
    for node in &nodes {
        let placement = &node.spec.placement;
        if let plans::Runtime::Tart(spec) = &node.spec.runtime {
            let about = format!("image {} on {}", spec.image, placement.host_name());
            if asked.insert(about.clone()) {
                let found = machines.open(placement);
                match found.and_then(|machine| runtimes::tart::examine(&*machine, spec)) {
                    Ok(checks) => {
                        for check in checks {
                            add(&about, check.ok, check.message, check.advice);
                        }
                    }
                    Err(fault) => add(&about, false, fault.message, fault.advice),
                }
            }
        }
        if !asked.insert(placement.host_name().to_owned()) {
            continue;
        }
        let about = format!("host {}", placement.host_name());
        let found =
            machines.open(placement).and_then(|machine| Ok((machine.facts()?, machine.examine()?)));
        match found {
            Ok((facts, checks)) => {
                let message = format!("{} {} as {}", facts.system, facts.architecture, facts.user);
                add(&about, true, message, None);
                for check in checks {
                    add(&about, check.ok, check.message, check.advice);
                }
            }
            Err(fault) => add(&about, false, fault.message, fault.advice),
        }
    }
    for (name, (placement, wanted)) in tools::wanted(nodes.iter().map(AsRef::as_ref)) {
        let about = format!("programs on {name}");
        let found = machines.open(&placement);
        // A machine that does not answer was said to be so.
        for check in found.and_then(|m| tools::examine(&*m, &wanted)).unwrap_or_default() {
            add(&about, check.ok, check.message, check.advice);
        }
    }
    if let Some(place) = results::far_place(&config, &flags, || nodes.clone()) {
        let name = config.results.host.as_ref().map(ToString::to_string).unwrap_or_default();
        let about = format!("results on {name}");
        match place.map(|place| results::examine(&machines, &place)) {
            Ok(Ok(message)) => add(&about, true, message, None),
            Ok(Err(fault)) => add(&about, false, fault.message, fault.advice),
            Err(why) => add(&about, false, why, None),
        }
    }
    for (host, owed) in results::owed(&config) {
        let message =
            format!("{}, for the next run that asks that host", text::count(owed, "result"));
        add(&format!("owed to {host}"), true, message, None);
    }
    let mut tried = std::collections::BTreeSet::new();
    for node in &nodes {
        let plans::Runtime::Incus(spec) = &node.spec.runtime else { continue };
        let host = node.spec.placement.host_name();
        if !tried.insert((host.to_owned(), spec.clone())) {
            continue;
        }
        let about = format!("incus on {host}");
        let checks = machines
            .open(&node.spec.placement)
            .and_then(|machine| runtimes::incus::examine(&*machine, spec));
        match checks {
            Ok(checks) => {
                for check in checks {
                    add(&about, check.ok, check.message, check.advice);
                }
            }
            Err(fault) => add(&about, false, fault.message, fault.advice),
        }
    }
    let well = findings.iter().all(|finding| finding.ok);
    let mut out = reporters::stdout();
    if json {
        #[derive(Serialize)]
        struct Findings {
            ok: bool,
            findings: Vec<Finding>,
        }
        let findings = Findings { ok: well, findings };
        out.text(&(serde_json::to_string_pretty(&findings).expect("plain data") + "\n"));
    } else {
        let wide = findings.iter().map(|finding| finding.about.chars().count()).max();
        let wide = wide.unwrap_or_default();
        for finding in &findings {
            let word = if finding.ok { "ok" } else { "problem" };
            let message = text::neutral(&finding.message);
            out.text(&format!("{word:>8}  {:wide$}  {message}\n", finding.about));
            if let Some(advice) = &finding.advice {
                out.text(&format!("{:>8}  {:wide$}  {}\n", "", "", text::neutral(advice)));
            }
        }
        let problems = findings.iter().filter(|finding| !finding.ok).count();
        if problems > 0 {
            reporters::stderr().text(&format!("{}\n", text::count(problems, "problem")));
        }
    }
    Ok(if well { Exit::Done } else { Exit::No })
}
