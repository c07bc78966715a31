//! Selection held against the naive matcher, and its laws.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Catalog, FileError, Files, JobIndex, glob::Glob};
use planner::{
    plan_scenario,
    scenario::Scenario,
    select::{Question, Selected, select},
};
use plans::{Change, ChangeStatus, NodeKind, Plan, PlanLane, Reason, ScenarioName, Trigger};
use proptest::prelude::*;

use crate::{
    naive::{Filter, Job, Lane, Model, Target},
    sandbox::path,
};

struct Texts(String, String);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(match path {
            "ci/forge-lanes.toml" => Some(self.0.clone().into_bytes()),
            "ci/catalog.toml" => Some(self.1.clone().into_bytes()),
            _ => None,
        })
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}

#[track_caller]
fn load(manifest: String, catalog: String) -> Catalog {
    lanes::load(&Texts(manifest, catalog), "ci/forge-lanes.toml", "ci/catalog.toml")
        .unwrap_or_else(|found| panic!("{}", found.render(lanes::Style::PLAIN)))
}

fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort();
    changes.dedup_by(|b, a| a.path == b.path);
    changes
}

fn component() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "a.x", "\u{e9}"])
}

fn change() -> impl Strategy<Value = Change> {
    let status = prop::sample::select(ChangeStatus::ALL.to_vec());
    (prop::collection::vec(component(), 1..4), any::<bool>(), status).prop_map(
        |(parts, foreign, status)| {
            let mut bytes = parts.join("/").into_bytes();
            if foreign {
                bytes.push(0xff);
            }
            Change { path: path(bytes), status }
        },
    )
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 0..15).prop_map(sorted)
}

fn glob() -> impl Strategy<Value = String> {
    let parts =
        vec!["a", "b", "c", "*", "**", "a*", "?", "{a,b}", "[a-b]", "*.x", "\u{e9}", "[!a]"];
    prop::collection::vec(prop::sample::select(parts), 1..4).prop_map(|parts| parts.join("/"))
}

fn globs(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(glob(), 0..=most)
}

fn filter() -> impl Strategy<Value = Filter> {
    let statuses =
        prop::collection::btree_set(prop::sample::select(ChangeStatus::ALL.to_vec()), 1..4);
    (
        prop::option::weighted(0.8, prop::collection::vec(glob(), 1..4)),
        globs(1),
        prop::option::weighted(0.2, statuses.prop_map(|kinds| kinds.into_iter().collect())),
    )
        .prop_map(|(paths, exclude, statuses)| Filter { paths, exclude, statuses })
}

/// The filter of a target or a job: no `statuses`, and none at all when nothing is written.
fn narrowing() -> impl Strategy<Value = Option<Filter>> {
    prop::option::weighted(0.3, filter()).prop_map(|filter| {
        let filter = Filter { statuses: None, ..filter? };
        (filter.paths.is_some() || !filter.exclude.is_empty()).then_some(filter)
    })
}

prop_compose! {
    fn model()(
        sizes in prop::collection::vec(1..4_usize, 1..4),
    )(
        ignore in globs(1),
        run_all in globs(1),
        use_run_all in prop::bool::weighted(0.2),
        unmatched_select_all in prop::bool::weighted(0.3),
        lanes in prop::collection::vec(
            (filter(), prop::option::weighted(0.8, 0..sizes.len()), prop::option::of(0..3_u8),
             prop::collection::vec(any::<prop::sample::Index>(), 0..3)),
            1..7,
        ),
        targets in sizes.iter().map(|&jobs| (
            narrowing(),
            prop::collection::vec(
                (narrowing(), prop::collection::vec(any::<prop::sample::Index>(), 0..2)),
                jobs,
            ),
        )).collect::<Vec<_>>(),
    ) -> Model {
        // Lanes wait for earlier lanes, jobs need earlier jobs: no circle.
        let mut known: Vec<(usize, usize)> = Vec::new();
        let targets = targets.into_iter().enumerate().map(|(at, (filter, jobs))| Target {
            filter,
            jobs: jobs.into_iter().enumerate().map(|(number, (filter, needs))| {
                let needs = needs.iter().filter(|_| !known.is_empty());
                let needs: BTreeSet<(usize, usize)> = needs.map(|index| *index.get(&known)).collect();
                known.push((at, number));
                Job { filter, needs: needs.into_iter().collect() }
            }).collect(),
        }).collect();
        let lanes = lanes.into_iter().enumerate().map(|(at, (filter, target, group, after))| {
            let after = after.iter().filter(|_| at > 0).map(|index| index.index(at));
            let after: BTreeSet<usize> = after.collect();
            Lane { filter, target, group, after: after.into_iter().collect() }
        }).collect();
        let run_all = if use_run_all { run_all } else { Vec::new() };
        Model { ignore, run_all, unmatched_select_all, lanes, targets }
    }
}

fn selected(model: &Model, changes: &[Change]) -> (Catalog, Selected) {
    let catalog = load(model.manifest(), model.catalog());
    let selected = select(&catalog, changes, &Question::default());
    (catalog, selected)
}

/// The lane's own jobs, without what other lanes need of it.
fn jobs_of(catalog: &Catalog, selected: &Selected, lane: usize) -> BTreeSet<String> {
    let jobs = selected.lanes[lane].jobs.iter();
    jobs.map(|&job| catalog[job].id.to_string()).collect()
}

/// The lane's jobs with all they need.
fn nodes_of(catalog: &Catalog, selected: &Selected, lane: usize) -> BTreeSet<JobIndex> {
    let mut nodes = BTreeSet::new();
    let mut open: Vec<JobIndex> = selected.lanes[lane].jobs.iter().copied().collect();
    while let Some(job) = open.pop() {
        if nodes.insert(job) {
            open.extend(&catalog[job].needs);
        }
    }
    nodes
}

#[track_caller]
fn plan(model: &Model, order: &[usize], changes: Vec<Change>) -> Plan {
    let catalog = load(model.manifest_in(order), model.catalog());
    let scenario = Scenario { trigger: Trigger::Branch, words: String::new(), changes };
    let name = ScenarioName::new("a").expect("a name");
    plan_scenario(&catalog, &name, &scenario).expect("a plan")
}

fn lane_of<'a>(plan: &'a Plan, id: &str) -> Option<&'a PlanLane> {
    plan.lanes().iter().find(|lane| lane.id.as_str() == id)
}

proptest! {
    #![proptest_config(crate::sandbox::cases(150))]

    #[test]
    fn the_answer_is_the_naive_one(model in model(), changes in changes()) {
        let (catalog, selected) = selected(&model, &changes);
        let uncovered: BTreeSet<Vec<u8>> =
            selected.uncovered.iter().map(|path| path.as_bytes().to_vec()).collect();
        prop_assert_eq!(uncovered, model.uncovered(&changes));

        for (at, expected) in model.expected(&changes).into_iter().enumerate() {
            let lane = &selected.lanes[at];
            let needed = lane.reasons.iter().any(|why| matches!(why, Reason::NeededBy(_)));
            prop_assert_eq!(lane.selected, expected.selected() || needed, "lane-{}", at);
            prop_assert!(!lane.reasons.is_empty());
            prop_assert!(lane.reasons.iter().all(|why| why.selects() == lane.selected));
            let mut paths = BTreeMap::new();
            let mut run_all = BTreeMap::new();
            for reason in &lane.reasons {
                match reason {
                    Reason::Always => prop_assert!(expected.always),
                    Reason::Paths(why) => {
                        let all = &expected.paths[&why.glob];
                        prop_assert_eq!(why.total, all.len() as u64);
                        let first: Vec<Vec<u8>> =
                            why.matched.iter().map(|path| path.as_bytes().to_vec()).collect();
                        prop_assert_eq!(&first[..], &all[..all.len().min(10)]);
                        prop_assert!(paths.insert(why.glob.clone(), all.clone()).is_none());
                    }
                    Reason::RunAll(why) => {
                        let glob = why.glob.clone().expect("a glob matched");
                        run_all.insert(glob, usize::try_from(why.total).expect("small"));
                    }
                    Reason::Unmatched(why) => {
                        prop_assert_eq!(why.total, expected.unmatched as u64);
                    }
                    Reason::NeededBy(_) | Reason::NoMatch(_) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(&paths, &expected.paths);
            prop_assert_eq!(&run_all, &expected.run_all);
            let jobs = jobs_of(&catalog, &selected, at);
            if needed {
                prop_assert!(jobs.is_superset(&expected.jobs));
            } else {
                prop_assert_eq!(jobs, expected.jobs);
            }
        }
    }

    #[test]
    fn more_changes_never_deselect(model in model(), changes in changes(), more in changes()) {
        let (catalog, few) = selected(&model, &changes);
        let mut all = [changes, more].concat();
        all.sort();
        all.dedup();
        let (_, many) = selected(&model, &all);
        for at in 0..few.lanes.len() {
            prop_assert!(!few.lanes[at].selected || many.lanes[at].selected, "lane-{}", at);
            let (few, many) = (nodes_of(&catalog, &few, at), nodes_of(&catalog, &many, at));
            prop_assert!(few.is_subset(&many), "lane-{}: {:?} {:?}", at, few, many);
        }
    }

    #[test]
    fn neither_the_order_of_changes_nor_of_lanes_matters(
        model in model(),
        changes in changes().prop_shuffle(),
        order in Just(()).prop_flat_map(|()| Just((0..7).collect::<Vec<usize>>()).prop_shuffle()),
    ) {
        let straight: Vec<usize> = (0..model.lanes.len()).collect();
        let shuffled: Vec<usize> = order.into_iter().filter(|&at| at < straight.len()).collect();
        let a = plan(&model, &straight, sorted(changes.clone()));
        let b = plan(&model, &straight, changes.clone());
        prop_assert_eq!(a.to_json(), b.to_json());
        let c = plan(&model, &shuffled, changes);
        prop_assert_eq!(a.nodes(), c.nodes());
        for lane in a.lanes() {
            let other = lane_of(&c, lane.id.as_str()).expect("selected as well");
            prop_assert_eq!(&lane.nodes, &other.nodes);
            let own = |lane: &PlanLane| {
                let mine = |why: &&Reason| !matches!(why, Reason::NeededBy(_));
                lane.reasons.iter().filter(mine).cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(own(lane), own(other));
        }
    }

    #[test]
    fn edges_and_groups_are_what_the_lanes_say(model in model(), changes in changes()) {
        let order: Vec<usize> = (0..model.lanes.len()).collect();
        // That there is a plan says that no edge closes a cycle.
        let plan = plan(&model, &order, changes);
        let at = |id: &plans::NodeId| plan.graph().position(id.as_str()).expect("in the plan");
        for (number, written) in model.lanes.iter().enumerate() {
            let Some(lane) = lane_of(&plan, &format!("lane-{number}")) else { continue };
            for earlier in written.after.iter().filter_map(|at| lane_of(&plan, &format!("lane-{at}"))) {
                let theirs: BTreeSet<usize> = earlier.nodes.iter().map(at).collect();
                let upstream: BTreeSet<usize> =
                    theirs.iter().flat_map(|&node| plan.graph().upstream(node)).collect();
                for node in lane.nodes.iter().map(at).filter(|node| !upstream.contains(node)) {
                    prop_assert!(theirs.is_subset(&plan.graph().upstream(node)), "lane-{}", number);
                }
            }
        }
        for node in plan.nodes() {
            let groups: BTreeSet<String> = model.lanes.iter().enumerate()
                .filter(|(number, _)| {
                    lane_of(&plan, &format!("lane-{number}")).is_some_and(|lane| lane.nodes.contains(&node.id))
                })
                .filter_map(|(_, lane)| lane.group)
                .map(|group| format!("group-{group}"))
                .collect();
            let expected = if node.kind == NodeKind::Execute { groups } else { BTreeSet::new() };
            let said: BTreeSet<String> = node.concurrency_groups.iter().map(ToString::to_string).collect();
            prop_assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_a_selected_job_needs_is_in_the_plan(model in model(), changes in changes()) {
        let order: Vec<usize> = (0..model.lanes.len()).collect();
        let plan = plan(&model, &order, changes);
        for (target, written) in model.targets.iter().enumerate() {
            for (number, job) in written.jobs.iter().enumerate() {
                let id = format!("execute-{}", crate::naive::job_id(target, number));
                let Some(node) = plan.node(&id) else { continue };
                for &(of, needed) in &job.needs {
                    let needed = format!("execute-{}", crate::naive::job_id(of, needed));
                    prop_assert!(node.depends_on.iter().any(|on| on.as_str() == needed));
                    if of == target {
                        continue;
                    }
                    // The lane whose target defines the needed job answers for it.
                    for (lane, written) in model.lanes.iter().enumerate() {
                        if written.target == Some(of) {
                            let lane = lane_of(&plan, &format!("lane-{lane}")).expect("needed");
                            prop_assert!(lane.nodes.iter().any(|node| node.as_str() == needed));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_nightly_lane_that_is_about_everything_but_covers_no_file() {
    for filter in ["exclude = [\"docs/**\"]", "statuses = [\"added\"]"] {
        let text = |trigger: &str| {
            format!(
                "version = 1\nunmatched_paths = \"all_lanes\"\n[[branch.lanes]]\nid = \"a\"\n\
                 command = [\"a\"]\npaths = [\"a/**\"]\n[[{trigger}.lanes]]\nid = \"n\"\n\
                 command = [\"n\"]\n{filter}\n"
            )
        };
        let changes = [Change { path: path("new/file"), status: ChangeStatus::Modified }];
        let answer = |trigger: &str| {
            let catalog = load(text(trigger), "version = 1\n".to_owned());
            let selected = select(&catalog, &changes, &Question::default());
            (selected.uncovered.len(), selected.lanes[0].selected)
        };
        assert_eq!(answer("nightly"), (1, true), "{filter}: nobody looks at it, so all lanes run");
        assert_eq!(answer("branch"), (0, false), "{filter}: a branch lane is asked about it");
    }
}
