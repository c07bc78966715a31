//! Whether this site lets this plan run, asked before anything starts; all objections at once.
//!
//! Owns the answer, not the limits ([`crate::config`]) and not the machines: whether a host
//! answers is what `doctor` asks.

use std::{collections::BTreeMap, sync::Arc};

use plans::{HostName, Node, Placement, Plan, Runtime, SshDestination};

use crate::{
    config::{Allow, Config, lists},
    runtimes, word_limits,
};

/// Returns every reason why the plan is refused, in plan order; none: it may run. Only nodes that
/// `selected` names are looked at.
#[must_use]
pub fn objections(plan: &Plan, config: &Config, selected: impl Fn(usize) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(most) = config.limits.nodes
        && plan.nodes().len() > most
    {
        found.push(format!(
            "the plan has {} nodes, this site allows {most} (`limits.nodes`)",
            plan.nodes().len()
        ));
    }
    for (position, node) in plan.nodes().iter().enumerate() {
        if selected(position) {
            let why = of_node(node, config).into_iter().chain(word_limits::objections(node));
            found.extend(why.map(|why| format!("`{}`: {why}", node.id)));
        }
    }
    found
}

fn of_node(node: &Node, config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let Allow { placements, runtimes, hosts, images, privileged } = &config.allow;
    let (placement, runtime) = (node.spec.placement.kind(), node.spec.runtime.kind());
    if !runtimes::is_built(placement, runtime) {
        found.push(format!(
            "this executor does not run `{}` at `{}` yet",
            runtime.as_str(),
            placement.as_str()
        ));
    }
    let mut refuse = |key: &str, list: &Option<Vec<String>>, what: &str, word: &str| {
        if let Some(list) = list
            && !lists(list, word)
        {
            found.push(format!("this site does not allow the {what} `{word}` (`allow.{key}`)"));
        }
    };
    refuse("placements", placements, "placement", placement.as_str());
    refuse("runtimes", runtimes, "runtime", runtime.as_str());
    if let Placement::RemoteSsh(host) = &node.spec.placement {
        refuse("hosts", hosts, "host", host.host.as_str());
    }
    match &node.spec.runtime {
        Runtime::HostProcess => {}
        Runtime::Incus(incus) => refuse("images", images, "image", incus.image.as_str()),
        Runtime::Tart(tart) => refuse("images", images, "image", tart.image.as_str()),
    }
    if let Runtime::Incus(incus) = &node.spec.runtime
        && incus.privileged
        && !privileged
    {
        found
            .push("this site does not allow privileged containers (`allow.privileged`)".to_owned());
    }
    if let Some(most) = config.limits.timeout_secs
        && node.spec.timeout_secs > most
    {
        found.push(format!(
            "it may run for {} seconds, this site allows {most} (`limits.timeout_secs`)",
            node.spec.timeout_secs
        ));
    }
    found
}

/// Returns the plan's nodes as this site runs them: hosts reached its way, never more at once than
/// the plan says. `flags` (from `--host`) win over the configuration.
#[must_use]
pub fn with_site_overrides(
    plan: &Plan,
    config: &Config,
    flags: &BTreeMap<HostName, SshDestination>,
) -> Vec<Arc<Node>> {
    // A node that the site says nothing of is the plan's own: of a large plan there is one in memory, not two.
    let site = |node: &Arc<Node>| {
        let mut node = node.clone();
        let Placement::RemoteSsh(host) = &node.spec.placement else { return node };
        let configured = config.hosts.get(&host.host);
        let ssh = flags.get(&host.host).or(configured.and_then(|host| host.ssh.as_ref()));
        let most = configured.and_then(|host| host.max_jobs);
        if (ssh.is_some() || most.is_some())
            && let Placement::RemoteSsh(host) = &mut Arc::make_mut(&mut node).spec.placement
        {
            if let Some(ssh) = ssh {
                host.ssh = ssh.clone();
            }
            if let Some(most) = most {
                host.max_jobs = host.max_jobs.min(most.max(1));
            }
        }
        node
    };
    plan.nodes().iter().map(site).collect()
}
