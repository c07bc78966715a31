//! From a plan's bytes to a run that may start: every refusal, in the contract's order.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use plans::{CacheScope, HostName, NodeKind, ObjectId, Plan, RunIf, Source, SshDestination};

use super::{current_dir, results, running::environment};
use crate::{
    caches::{Caches, Scope},
    cli::ReuseFlags,
    config::{Config, ResultsConfig, Write, lists},
    dispatch::Run,
    error::Error,
    policy,
    repository::Repository,
    results::{Far, Results, ReuseMode, Sought, Tools, Trust, may_be_reused},
    secrets,
    source::{NotAsPlanned, SourceSpec, not_as_planned},
    state::RunDir,
};

/// The largest plan that is read: a million nodes fit.
const PLAN_BYTES: u64 = 2 << 30;

/// How a plan is to be run.
pub(super) struct Wanted {
    pub(super) jobs: Option<NonZeroUsize>,
    pub(super) fail_fast: bool,
    pub(super) only: Option<Vec<String>>,
    pub(super) hosts: Vec<(HostName, SshDestination)>,
    pub(super) allow_stale: bool,
    pub(super) reuse: ReuseFlags,
}

/// A plan that may run, without a run yet.
pub(super) struct Ready {
    pub(super) plan: Plan,
    pub(super) digest: String,
    pub(super) selected: Vec<bool>,
    pub(super) source: SourceSpec,
    wanted: Wanted,
    pub(super) config: Config,
    secrets: secrets::Secrets,
}

/// Reads a plan's bytes from a file or, for `-`, from standard input.
pub(super) fn read_plan(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let (shown, read) = if path == Path::new("-") {
        let read = std::io::stdin().take(PLAN_BYTES).read_to_end(&mut bytes);
        ("standard input".to_owned(), read)
    } else {
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(PLAN_BYTES).read_to_end(&mut bytes));
        (path.display().to_string(), read)
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Error::File { what: "the plan cannot be read from", path: shown, error }),
    }
}

/// Checks everything that can be checked before anything is made.
///
/// The site's configuration is asked for only once the plan is one: a plan that is refused is
/// refused for what it is.
pub(super) fn ready(
    bytes: &[u8],
    expect_digest: Option<&str>,
    config: impl FnOnce() -> Result<Config, Error>,
    wanted: Wanted,
) -> Result<Ready, Error> {
    let (plan, digest) = Plan::from_json(bytes)?;
    if let Some(expected) = expect_digest
        && expected != digest
    {
        return Err(Error::OtherDigest { found: digest, expected: expected.to_owned() });
    }
    let selected = select(&plan, wanted.only.as_deref())?;
    let config = config()?;
    let source = source(&plan, wanted.allow_stale)?;
    check(plan, digest, selected, source, config, wanted)
}

/// Checks what the site says; the tree is known to be there.
pub(super) fn check(
    plan: Plan,
    digest: String,
    selected: Vec<bool>,
    source: SourceSpec,
    config: Config,
    wanted: Wanted,
) -> Result<Ready, Error> {
    let objections = policy::objections(&plan, &config, |position| selected[position]);
    if !objections.is_empty() {
        return Err(Error::Refused(objections));
    }
    let nodes = plan.nodes().iter().zip(&selected).filter(|(_, selected)| **selected);
    let secrets =
        secrets::look_up(nodes.map(|(node, _)| &**node), &config, |name| std::env::var(name).ok())
            .map_err(Error::Secrets)?;
    Ok(Ready { plan, digest, selected, source, wanted, config, secrets })
}

impl Ready {
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Returns how many nodes run at once.
    pub(super) fn jobs(&self) -> NonZeroUsize {
        let jobs = self
            .wanted
            .jobs
            .or(self.config.defaults.jobs)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        self.config.limits.jobs.map_or(jobs, |most| jobs.min(most))
    }

    pub(super) fn fail_fast(&self) -> bool {
        self.wanted.fail_fast || self.config.defaults.fail_fast
    }

    /// Returns the plan's nodes as this site runs them, by position.
    pub(super) fn with_site_overrides(&self) -> Vec<Arc<plans::Node>> {
        let hosts: BTreeMap<_, _> = self.wanted.hosts.iter().cloned().collect();
        policy::with_site_overrides(&self.plan, &self.config, &hosts)
    }

    /// Returns whether the site trusts what the run passes.
    fn is_trusted(&self) -> bool {
        let ResultsConfig { trusted_triggers, trusted_branches, .. } = &self.config.results;
        let trigger = self.plan.selection().trigger.as_str();
        let by_trigger = |triggers: &Vec<String>| triggers.iter().any(|it| it == trigger);
        let by_branch = |branches: &Vec<String>| match self.branch() {
            Some(CacheScope::DefaultBranch) => true,
            Some(CacheScope::Branch(name)) => lists(branches, name),
            Some(CacheScope::Request(_)) | None => false,
        };
        !self.wanted.reuse.untrusted
            && trusted_triggers.as_ref().is_none_or(by_trigger)
            && trusted_branches.as_ref().is_none_or(by_branch)
    }

    /// Returns of which branch the plan is, as far as it says that.
    fn branch(&self) -> Option<&CacheScope> {
        match self.plan.source() {
            Source::Change(change) => change.cache_scope.as_ref(),
            Source::Scenario(_) => None,
        }
    }

    /// Returns what it may do with caches; nothing where no node has any.
    fn caches(&self) -> Result<Option<Caches>, Error> {
        if self.plan.nodes().iter().all(|node| node.spec.caches.is_empty()) {
            return Ok(None);
        }
        let trust = if self.is_trusted() { Trust::Trusted } else { Trust::Untrusted };
        let (reads, writes) = Scope::of(self.branch(), self.source.head.as_ref(), trust);
        let config = &self.config.caches;
        Ok(Some(Caches {
            repository: Repository::discover(&self.source.repository)?.identity(),
            reads,
            writes: Some(writes),
            dir: config.dir.clone(),
            most: config.bytes(),
            names: config.names.clone(),
            stale: self.source.stale,
            environment: environment(),
        }))
    }

    /// Returns what it may do with results of earlier runs; nothing where it is to do nothing with them.
    pub(super) fn results(&self) -> Result<Option<Results>, Error> {
        let ReuseFlags { reuse, untrusted: _ } = self.wanted.reuse;
        // Their keys are those of other files.
        let in_use = reuse != ReuseMode::Off && !self.source.stale;
        if !in_use || !self.plan.nodes().iter().any(|node| may_be_reused(node)) {
            return Ok(None);
        }
        let config = &self.config.results;
        let trusted = self.is_trusted();
        let (reads, mine) = match trusted {
            true => (vec![Trust::Trusted], Trust::Trusted),
            false => (vec![Trust::Trusted, Trust::Untrusted], Trust::Untrusted),
        };
        let writes = match config.write {
            Write::Never => None,
            Write::Trusted => Some(mine).filter(|_| trusted),
            Write::Always => Some(mine),
        };
        Ok(Some(Results {
            store: results::store(&self.config)?,
            far: self.far(),
            reads,
            writes: writes.filter(|_| reuse == ReuseMode::On),
            pass_env: self.config.pass_env.clone(),
            tools: Tools::default(),
            read_only: OnceLock::new(),
        }))
    }

    /// Returns the host that keeps results as well, with the nodes whose results may be there.
    fn far(&self) -> Option<Far> {
        let flags: BTreeMap<_, _> = self.wanted.hosts.iter().cloned().collect();
        let mut nodes = Vec::new();
        let place = results::far_place(&self.config, &flags, || {
            nodes = self.with_site_overrides();
            nodes.clone()
        })?;
        let chosen = self.selected.iter().enumerate().filter(|(_, selected)| **selected);
        let reusable = chosen.filter(|(position, _)| may_be_reused(&nodes[*position]));
        let sought = reusable
            .filter_map(|(position, _)| Sought::of(&self.plan, &nodes, position, &self.source));
        Some(Far::new(place, sought.collect()))
    }

    /// Makes it the run of a directory; `usual` says how long nodes take, in milliseconds.
    pub(super) fn into_run(self, dir: RunDir, usual: &BTreeMap<String, u64>) -> Result<Run, Error> {
        let results = self.results()?.map(Arc::new);
        let caches = self.caches()?.map(Arc::new);
        let (jobs, fail_fast) = (self.jobs(), self.fail_fast());
        let nodes = self.with_site_overrides();
        let usual = |node: &Arc<plans::Node>| usual.get(node.id.as_str()).copied();
        let config = self.config;
        Ok(Run {
            results,
            caches,
            usual: nodes.iter().map(usual).collect(),
            nodes,
            plan: self.plan,
            selected: self.selected,
            dir,
            jobs,
            infra_retries: config.infra_retries.unwrap_or(2),
            fail_fast,
            source: self.source,
            secrets: self.secrets,
            pass_env: config.pass_env,
            grace: Duration::from_secs(config.grace_secs.unwrap_or(5)),
            lease: Duration::from_secs(config.lease_secs.unwrap_or(900)),
        })
    }
}

/// Returns which nodes are asked for: those named, with the prepare nodes they need and the nodes
/// they take something from.
pub(super) fn select(plan: &Plan, only: Option<&[String]>) -> Result<Vec<bool>, Error> {
    let Some(only) = only else { return Ok(vec![true; plan.nodes().len()]) };
    let mut selected = vec![false; plan.nodes().len()];
    let mut wanted = Vec::new();
    for id in only {
        match plan.graph().position(id) {
            Some(position) => wanted.push(position),
            None => {
                let members = members(plan, id);
                if members.is_empty() {
                    return Err(no_such_node(plan, id));
                }
                wanted.extend(members);
            }
        }
    }
    while let Some(position) = wanted.pop() {
        if std::mem::replace(&mut selected[position], true) {
            continue;
        }
        let prepares = plan
            .graph()
            .dependencies(position)
            .filter(|&dependency| plan.nodes()[dependency].kind == NodeKind::Prepare);
        wanted.extend(prepares);
        let taken = plan.nodes()[position].takes.nodes();
        wanted.extend(taken.filter_map(|id| plan.graph().position(id.as_str())));
    }
    Ok(selected)
}

/// Finds a node by its id.
pub(super) fn position(plan: &Plan, id: &str) -> Result<usize, Error> {
    plan.graph().position(id).ok_or_else(|| no_such_node(plan, id))
}

/// The nodes that came of one job with a matrix or shards: `execute-<its id>` is all of them.
fn members(plan: &Plan, id: &str) -> Vec<usize> {
    let Some(job) = id.strip_prefix("execute-") else { return Vec::new() };
    let nodes = plan.nodes().iter().enumerate();
    let of_it = nodes
        .filter(|(_, node)| node.member.group.as_ref().is_some_and(|group| group.as_str() == job));
    of_it.map(|(position, _)| position).collect()
}

fn no_such_node(plan: &Plan, wanted: &str) -> Error {
    let wanted: String = crate::text::neutral(wanted).chars().take(200).collect();
    let nearest = plan
        .nodes()
        .iter()
        .map(|node| node.id.as_str())
        .map(|id| (strsim::damerau_levenshtein(&wanted, id.trim_start_matches("execute-")), id))
        .chain(
            plan.nodes()
                .iter()
                .map(|node| node.id.as_str())
                .map(|id| (strsim::damerau_levenshtein(&wanted, id), id)),
        )
        .min()
        .filter(|(distance, id)| *distance <= 1 + id.len() / 4)
        .map(|(_, id)| id.to_owned());
    Error::NoSuchNode { wanted, nearest }
}

/// Finds the plan's tree in the repository, or makes the one of its work tree.
pub(super) fn source(plan: &Plan, allow_stale: bool) -> Result<SourceSpec, Error> {
    let change = match plan.source() {
        Source::Change(change) => change,
        Source::Scenario(name) => return Err(Error::Scenario(name.to_string())),
    };
    let Some(tree) = &change.tree else { return Err(Error::NoTree) };
    let repository = Repository::discover(&current_dir()?)?;
    let (mut tree, mut stale) = (tree.clone(), false);
    if change.worktree {
        let now = repository.work_tree()?;
        if now != tree && !allow_stale {
            return Err(Error::Stale { planned: tree.to_string(), now: now.to_string() });
        }
        stale = now != tree;
        tree = now;
    } else {
        must_have(&repository, &tree)?;
    }
    let repository = repository.root().to_owned();
    let source = SourceSpec { repository, head: change.head.clone(), tree, stale };
    must_be_as_planned(plan, &source)?;
    Ok(source)
}

/// Finds the tree of a run that was begun already.
pub(super) fn source_of_run(
    plan: &Plan,
    repository: &Path,
    tree: &str,
) -> Result<SourceSpec, Error> {
    let (head, planned) = match plan.source() {
        Source::Change(change) => (change.head.clone(), change.tree.clone()),
        Source::Scenario(name) => return Err(Error::Scenario(name.to_string())),
    };
    let tree = ObjectId::new(tree).map_err(|_| Error::NoTree)?;
    let repository: PathBuf = repository.to_owned();
    must_have(&Repository::discover(&repository)?, &tree)?;
    let stale = planned.is_some_and(|planned| planned != tree);
    let source = SourceSpec { repository, head, tree, stale };
    must_be_as_planned(plan, &source)?;
    Ok(source)
}

/// Refuses a plan whose nodes see other files than it says, or claim the result of another.
fn must_be_as_planned(plan: &Plan, source: &SourceSpec) -> Result<(), Error> {
    if source.stale {
        return Ok(());
    }
    match not_as_planned(source, plan, &environment()).map_err(Error::Machine)? {
        None => Ok(()),
        Some(NotAsPlanned::Tree { node, planned, found }) => Err(Error::OtherInputs {
            node: node.to_string(),
            planned: planned.to_string(),
            found: found.to_string(),
        }),
        Some(NotAsPlanned::Key { node, planned, found }) => Err(Error::OtherKey {
            node: node.to_string(),
            planned: planned.to_string(),
            found: found.map(|key| key.to_string()),
        }),
    }
}

fn must_have(repository: &Repository, tree: &ObjectId) -> Result<(), Error> {
    if repository.has_tree(tree)? {
        return Ok(());
    }
    let repository = repository.root().display().to_string();
    Err(Error::TreeMissing { tree: tree.to_string(), repository })
}

/// Returns what a rerun repeats: what did not pass, of what had been asked for; and what runs by the
/// ends of these, or was not needed because of them.
pub(super) fn not_passed(
    plan: &Plan,
    passed: &BTreeSet<String>,
    not_needed: &BTreeSet<String>,
    asked: &[bool],
) -> Vec<String> {
    let mut again = vec![false; plan.nodes().len()];
    for (position, node) in plan.nodes().iter().enumerate() {
        let id = node.id.as_str();
        let follows = node.run_if != RunIf::Passed || not_needed.contains(id);
        let mut before = plan.graph().dependencies(position);
        again[position] = asked[position]
            && (!passed.contains(id) || (follows && before.any(|before| again[before])));
    }
    let nodes = plan.nodes().iter().zip(again);
    nodes.filter(|(_, again)| *again).map(|(node, _)| node.id.as_str().to_owned()).collect()
}
