//! Selected jobs in, nodes and the edges between them out.
//!
//! Every selected job and every job it needs becomes an execute node; the prepare work and host
//! setups they use become prepare nodes, once each. Which jobs run was decided before; nothing is
//! left out or added for any other reason here.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Catalog, HostSetupIndex, Job, JobIndex, LaneIndex, PrepareIndex};
use plans::{
    EnvName, FilesFrom, GroupName, InvalidId, LaneId, Member, Mount, Node, NodeId, NodeKind,
    Output, OutputRef, RunIf, SortedMap, SortedSet, Taken,
};

use crate::select::Selected;

/// The nodes of a plan, and those of each selected lane.
#[derive(Debug)]
pub struct Lowered {
    /// In no particular order.
    pub nodes: Vec<Node>,
    /// For each lane of the selection, its nodes: its jobs, what they need and what prepares them.
    pub of_lane: Vec<Vec<NodeId>>,
}

/// Turns the selection into nodes.
///
/// # Errors
///
/// [`InvalidId`] when the id of a prepare node becomes too long by a host's name.
pub fn lower(catalog: &Catalog, selected: &Selected) -> Result<Lowered, InvalidId> {
    let jobs = catalog.with_needed(
        selected.lanes.iter().flat_map(|lane| &lane.jobs).chain(&selected.jobs).copied(),
    );
    let ids = Ids::new(catalog, &jobs)?;

    // Each lane's jobs with all they need: what its verdict is made from.
    let lane_jobs: Vec<BTreeSet<JobIndex>> =
        selected.lanes.iter().map(|lane| catalog.with_needed(lane.jobs.iter().copied())).collect();
    let mut groups: BTreeMap<JobIndex, BTreeSet<GroupName>> = BTreeMap::new();
    for (lane, jobs) in selected.lanes.iter().zip(&lane_jobs) {
        if let Some(group) = &catalog[lane.lane].concurrency_group {
            for &job in jobs {
                groups.entry(job).or_default().insert(group.clone());
            }
        }
    }

    let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
    for &job in &jobs {
        let groups = groups.remove(&job).unwrap_or_default();
        let node = execute_node(catalog, &ids, job, groups.into());
        nodes.insert(node.id.clone(), node);
    }
    for (&work, id) in &ids.prepares {
        let work = &catalog[work];
        nodes.insert(id.clone(), prepare_node(id, work.spec.clone(), work.output.clone()));
    }
    for (&setup, id) in &ids.host_setups {
        let spec = catalog[setup].spec.clone();
        nodes.insert(id.clone(), prepare_node(id, spec, Output::Workspace));
    }
    // What a job that runs in any case cannot start without is made in any case.
    for node in used_always(&nodes) {
        nodes.get_mut(&node).expect("it is used").run_if = RunIf::Always;
    }
    let of_lane: Vec<Vec<NodeId>> =
        lane_jobs.iter().map(|jobs| nodes_of(catalog, &ids, jobs)).collect();
    wait_for_lanes(catalog, selected, &lane_jobs, &of_lane, &ids, &mut nodes);
    Ok(Lowered { nodes: nodes.into_values().collect(), of_lane })
}

/// The node ids of one plan.
struct Ids {
    executes: BTreeMap<JobIndex, NodeId>,
    prepares: BTreeMap<PrepareIndex, NodeId>,
    host_setups: BTreeMap<HostSetupIndex, NodeId>,
}

impl Ids {
    fn new(catalog: &Catalog, jobs: &BTreeSet<JobIndex>) -> Result<Self, InvalidId> {
        let mut executes = BTreeMap::new();
        let mut works: BTreeSet<PrepareIndex> = BTreeSet::new();
        let mut setups = BTreeMap::new();
        for &job in jobs {
            let spec = &catalog[job];
            executes.insert(job, NodeId::new(format!("execute-{}", spec.id))?);
            works.extend(spec.prepares.iter().map(|used| used.work));
            if let Some(setup) = spec.host_setup {
                let first = setups.entry(setup).or_insert(&spec.id);
                *first = (*first).min(&spec.id);
            }
        }
        // The catalog sorts work by id, then by placement: the first placement keeps the id.
        let mut prepares = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for work in works {
            let prepare = &catalog[work];
            let id = if taken.insert(&prepare.id) {
                prepare.id.clone()
            } else {
                NodeId::new(format!("{}-{}", prepare.id, prepare.spec.placement.host_name()))?
            };
            prepares.insert(work, id);
        }
        let host_setups = setups
            .into_iter()
            .map(|(setup, job)| Ok((setup, NodeId::new(format!("prepare-host-setup-{job}"))?)))
            .collect::<Result<_, InvalidId>>()?;
        Ok(Self { executes, prepares, host_setups })
    }
}

fn execute_node(
    catalog: &Catalog,
    ids: &Ids,
    index: JobIndex,
    concurrency_groups: SortedSet<GroupName>,
) -> Node {
    let job = &catalog[index];
    let mounts: Vec<Mount> = job
        .prepares
        .iter()
        .map(|used| Mount { node: ids.prepares[&used.work].clone(), path: used.mount.clone() })
        .collect();
    let workspace_from = job.host_setup.map(|setup| ids.host_setups[&setup].clone());
    let depends_on = job
        .needs
        .iter()
        .map(|needed| &ids.executes[needed])
        .chain(mounts.iter().map(|mount| &mount.node))
        .chain(&workspace_from)
        .cloned()
        .collect();
    let takes = Taken {
        env: variables(catalog, ids, job),
        files: job
            .files
            .iter()
            .map(|needed| FilesFrom {
                node: ids.executes[&needed.job].clone(),
                files: needed.files.clone(),
                at: needed.at.clone(),
            })
            .collect(),
    };
    Node {
        id: ids.executes[&index].clone(),
        kind: NodeKind::Execute,
        member: Member {
            group: job.group.clone(),
            matrix: job.matrix.clone().into(),
            shard: job.shard,
            files: job.shard_files.as_ref().and_then(|files| files.part.clone()),
        },
        depends_on,
        run_if: job.run_if,
        concurrency_groups,
        spec: job.spec.clone(),
        key: None,
        inputs_tree: None,
        cache_keys: SortedMap::default(),
        mounts,
        workspace_from,
        takes,
        output: None,
    }
}

/// The prepare nodes that nodes which run in any case use.
fn used_always(nodes: &BTreeMap<NodeId, Node>) -> BTreeSet<NodeId> {
    let always = nodes.values().filter(|node| node.run_if == RunIf::Always);
    always.flat_map(Node::prepared_by).cloned().collect()
}

/// Every output of the jobs that a job needs, by the variable in which it finds it.
fn variables(catalog: &Catalog, ids: &Ids, job: &Job) -> BTreeMap<EnvName, OutputRef> {
    let mut variables = BTreeMap::new();
    for &index in &job.needs {
        let needed = &catalog[index];
        for output in &needed.spec.outputs {
            // Made of letters, digits and `_`, so it is a name.
            let Ok(name) = EnvName::new(output.variable_of(needed.id.as_str())) else { continue };
            let of = OutputRef { node: ids.executes[&index].clone(), output: output.clone() };
            variables.insert(name, of);
        }
    }
    variables
}

fn prepare_node(id: &NodeId, spec: plans::JobSpec, output: Output) -> Node {
    Node {
        id: id.clone(),
        kind: NodeKind::Prepare,
        member: Member::default(),
        depends_on: SortedSet::default(),
        run_if: RunIf::Passed,
        concurrency_groups: SortedSet::default(),
        spec,
        key: None,
        inputs_tree: None,
        cache_keys: SortedMap::default(),
        mounts: Vec::new(),
        workspace_from: None,
        takes: Taken::default(),
        output: Some(output),
    }
}

/// The execute nodes of some jobs and the prepare nodes they use.
fn nodes_of(catalog: &Catalog, ids: &Ids, jobs: &BTreeSet<JobIndex>) -> Vec<NodeId> {
    let mut nodes = BTreeSet::new();
    for &job in jobs {
        nodes.insert(&ids.executes[&job]);
        nodes.extend(catalog[job].prepares.iter().map(|used| &ids.prepares[&used.work]));
        nodes.extend(catalog[job].host_setup.map(|setup| &ids.host_setups[&setup]));
    }
    nodes.into_iter().cloned().collect()
}

/// Adds the edges of `after`: every node of the later lane waits for the last nodes of the earlier
/// one, those that no other node of that lane waits for. A node that is in the earlier lane, or
/// upstream of it, gets none, so that no edge can close a cycle. Earlier lanes get their edges
/// first, because these decide what is upstream of them.
fn wait_for_lanes(
    catalog: &Catalog,
    selected: &Selected,
    lane_jobs: &[BTreeSet<JobIndex>],
    of_lane: &[Vec<NodeId>],
    ids: &Ids,
    nodes: &mut BTreeMap<NodeId, Node>,
) {
    if selected.lanes.iter().all(|lane| catalog[lane.lane].after.is_empty()) {
        return;
    }
    let names: Vec<NodeId> = nodes.keys().cloned().collect();
    let number = |id: &NodeId| names.binary_search(id).expect("a lane's nodes are in the plan");
    let mut edges: Vec<Vec<usize>> =
        nodes.values().map(|node| node.depends_on.iter().map(number).collect()).collect();
    for (later, earlier) in pairs(catalog, selected) {
        if lane_jobs[earlier].is_empty() || lane_jobs[later].is_empty() {
            continue;
        }
        let jobs = &lane_jobs[earlier];
        let needed: BTreeSet<JobIndex> =
            jobs.iter().flat_map(|&job| &catalog[job].needs).copied().collect();
        let last: Vec<&NodeId> = jobs.difference(&needed).map(|job| &ids.executes[job]).collect();
        let upstream = upstream(&edges, of_lane[earlier].iter().map(number));
        for id in &of_lane[later] {
            let at = number(id);
            if !upstream[at] {
                edges[at].extend(last.iter().map(|id| number(id)));
                let node = nodes.get_mut(id).expect("a lane's nodes are in the plan");
                node.depends_on.extend(last.iter().map(|&id| id.clone()));
            }
        }
    }
}

/// The pairs (later, earlier) of selected lanes that wait for each other, by their positions in
/// the selection; those of an earlier lane come before those of the lanes that wait for it. Where
/// that leaves a choice, ids decide: the order of the manifest changes no edge.
fn pairs(catalog: &Catalog, selected: &Selected) -> Vec<(usize, usize)> {
    let lane = |at: usize| &catalog[selected.lanes[at].lane];
    let position: BTreeMap<LaneIndex, usize> =
        selected.lanes.iter().enumerate().map(|(at, lane)| (lane.lane, at)).collect();
    let earlier: Vec<Vec<usize>> = (0..selected.lanes.len())
        .map(|later| {
            let after = lane(later).after.iter();
            let mut earlier: Vec<usize> =
                after.filter_map(|lane| position.get(lane).copied()).collect();
            earlier.sort_by_key(|&at| &lane(at).id);
            earlier
        })
        .collect();
    // Kahn's order; `load` refuses lanes that wait for each other.
    let mut waiting: Vec<usize> = earlier.iter().map(Vec::len).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); selected.lanes.len()];
    for (later, earlier) in earlier.iter().enumerate() {
        for &earlier in earlier {
            followers[earlier].push(later);
        }
    }
    let mut ready: BTreeMap<&LaneId, usize> = (0..selected.lanes.len())
        .filter(|&at| waiting[at] == 0)
        .map(|at| (&lane(at).id, at))
        .collect();
    let mut pairs = Vec::new();
    while let Some((_, at)) = ready.pop_first() {
        pairs.extend(earlier[at].iter().map(|&earlier| (at, earlier)));
        for &follower in &followers[at] {
            waiting[follower] -= 1;
            if waiting[follower] == 0 {
                ready.insert(&lane(follower).id, follower);
            }
        }
    }
    pairs
}

/// Returns, for each node, whether it is one of some nodes or upstream of one.
fn upstream(edges: &[Vec<usize>], from: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut reached = vec![false; edges.len()];
    let mut open: Vec<usize> = from.collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            open.extend(&edges[at]);
        }
    }
    reached
}
