//! Random histories of a forge, planned by what engines say: the plan never selects less than what
//! the event brought, and exactly that where the event is complete.
//!
//! What an event brought is known to [`crate::simulator`], which asks neither git nor the planner. Each
//! event is planned as the engines have it: at once or late, when branches have moved, merged, or
//! are gone; again; in clones that have everything, what branches have, or a few commits.
//! `FORGE_LANES_HISTORIES=10000` plays more of them, `17..18` one.

use std::{collections::BTreeSet, fmt};

use planner::{
    Planned, PlanningError, RepoContextError, Request, event,
    git::{GitError, ObjectId},
    plan,
};

use crate::{
    forge::{self, Says, What},
    histories::{CloneState, Place, play, wanted},
    simulator::{EVERY, Event, Forge, Happened, JOBS, Jobs},
};

/// How an event is planned.
struct Run {
    said: forge::Run,
    /// The engine names what there is to compare with.
    complete: bool,
    /// A request is checked out as the merge that the forge made for trial.
    merged: bool,
    /// When: a position in the forge's moments.
    moment: usize,
    /// The commit that is checked out.
    head: usize,
    clone: Kind,
    /// The clone has a second remote, which nobody named.
    fork: bool,
    /// A branch is checked out, not a commit.
    attached: bool,
    /// The state that a push left is run by a clock or by hand.
    again: Option<Again>,
}

/// What runs a branch's state without anything having happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Schedule,
    ByHand,
}

/// What a clone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Every commit there ever was.
    Whole,
    /// What its branches and tags have, and what is checked out.
    Branches,
    /// So many commits of each.
    Shallow(usize),
    /// Every commit, with its trees and without files but those that are checked out.
    Blobless,
    /// Every commit; trees and files of what is checked out alone.
    Treeless,
}

impl Kind {
    /// What a partial clone leaves out.
    fn filter(self) -> Option<&'static str> {
        match self {
            Self::Blobless => Some("blob:none"),
            Self::Treeless => Some("tree:0"),
            Self::Whole | Self::Branches | Self::Shallow(_) => None,
        }
    }
}

/// How often a plan was what the event brought, more, or nothing at all because a commit is missing.
#[derive(Default, Debug)]
struct Figures {
    events: usize,
    equal: usize,
    more: usize,
    refused: usize,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { said, complete, merged, moment, head, clone, fork, attached, again } = self;
        writeln!(
            f,
            "planned at moment {moment}, head {head}, merged {merged}, complete {complete}, \
             {clone:?}, fork {fork}, attached {attached}, again {again:?}"
        )?;
        write!(f, "{} says {:?}: {:?} {}", said.engine, said.says, said.variables, said.file)
    }
}

/// What must be planned, and whether it is all that may be.
struct Truth {
    jobs: Jobs,
    exact: bool,
}

fn truth(forge: &Forge<'_>, happened: &Happened, run: &Run) -> Truth {
    let now = run.moment;
    let whole = run.clone == Kind::Whole || run.clone.filter().is_some();
    let default = forge.default;
    let complete = run.complete && whole;
    let differ = |base: usize| forge.differ(base, run.head);
    let brought = |branch: &str, commit: usize, moment: usize| {
        forge.brought(branch, commit, moment).unwrap_or(0)
    };
    match &happened.event {
        // The trigger decides, and that is all.
        Event::Push { .. } if run.again == Some(Again::Schedule) => {
            Truth { jobs: EVERY, exact: true }
        }
        // What the branch has and the default branch has not; of that, its last commit.
        Event::Push { branch, after, .. } if run.again == Some(Again::ByHand) => {
            let last = forge.commits[*after].parents.first().map_or(0, |&it| differ(it));
            let own = brought(default, *after, now);
            let jobs = if branch == default { last & own } else { own };
            Truth { jobs, exact: false }
        }
        Event::Push { branch, before: Some(before), after } => {
            let on_default = branch == default;
            let forced = !forge.is_below(*before, *after);
            let mut jobs = if forced { forge.brings(*after, *before) } else { differ(*before) };
            if forced && !on_default {
                // What the branch has now and had not, and what the default branch has not: it may
                // have been set back since, and is taken as it is then.
                let then = brought(default, *after, happened.moment);
                jobs |= then & brought(default, *after, now);
            }
            let tip = forge.moments[now].branches[default];
            // Where nobody says what was before, it is taken for one of the commits that the
            // default branch has not. Then what that has already counts for the branch, too.
            let own = !forced && !forge.is_below(*before, tip);
            if run.said.says == Says::Nothing && !on_default && !own {
                jobs &= brought(default, *after, now);
            }
            let set_back = forge.is_below(*after, *before);
            let moved = !on_default && tip != forge.moments[happened.moment].branches[default];
            let unclear = forced && on_default && run.said.knows_runs_alone();
            Truth { jobs, exact: complete && !unclear && !(forced && (set_back || moved)) }
        }
        Event::Push { before: None, after, .. } => {
            let arrived = forge.is_below(*after, forge.moments[now].branches[default]);
            Truth { jobs: brought(default, *after, now), exact: complete && !arrived }
        }
        Event::Request { onto, head, .. } if run.complete => {
            let jobs = if run.merged { differ(*onto) } else { forge.brings(*head, *onto) };
            Truth { jobs, exact: complete }
        }
        Event::Request { target, onto, head, .. } => {
            // The engine names a branch alone, or not even that: what counts is where that is.
            let target = if run.said.says == Says::Nothing { default } else { target };
            let mut jobs = brought(target, run.head, now);
            if run.merged {
                jobs &= differ(*onto);
            } else if run.said.says == Says::Nothing {
                jobs &= forge.brings(*head, *onto);
            }
            Truth { jobs, exact: false }
        }
        Event::Queue { onto, .. } => Truth { jobs: differ(*onto), exact: complete },
        Event::Tag { at, .. } => {
            let earlier = |&tag: &usize| tag != *at && forge.is_below(tag, *at);
            let tags: Vec<usize> =
                forge.moments[now].tags.values().copied().filter(earlier).collect();
            let newest = |tag: &usize| {
                !tags.iter().any(|other| other != tag && forge.is_below(*tag, *other))
            };
            let newest: BTreeSet<usize> = tags.iter().copied().filter(newest).collect();
            let jobs = newest.iter().fold(EVERY, |jobs, &tag| jobs & differ(tag));
            Truth { jobs, exact: complete && newest.len() < 2 }
        }
    }
}

/// Chooses how an event is planned; nothing, where there is no one to ask.
fn some_run(forge: &mut Forge<'_>, happened: &Happened) -> Option<Run> {
    let id = |forge: &Forge<'_>, commit: usize| -> ObjectId {
        forge.commits[commit].id.to_string().parse().expect("an id")
    };
    let merged = matches!(happened.event, Event::Request { .. }) && forge.random.below(2) == 0;
    let (head, mut bases) = match &happened.event {
        Event::Push { after, .. } => (*after, 1),
        Event::Request { merge, .. } if merged => (*merge, 1),
        Event::Request { onto, head, .. } => (*head, forge.merge_bases(*head, *onto).len()),
        Event::Queue { head, .. } => (*head, 1),
        Event::Tag { at, .. } => (*at, 1),
    };
    let what = match &happened.event {
        Event::Push { branch, before, .. } => {
            What::Push { branch, before: before.map(|it| id(forge, it)) }
        }
        Event::Request { target, onto, head, .. } => {
            let found = forge.merge_bases(*onto, *head);
            bases = found.len();
            let merge_base = found.first().map_or(id(forge, *onto), |&it| id(forge, it));
            What::Request { own: id(forge, *head), target, at: id(forge, *onto), merge_base }
        }
        Event::Queue { target, onto, .. } => What::Queue { branch: target, base: id(forge, *onto) },
        Event::Tag { name, .. } => What::Tag(name),
    };
    let is_push = matches!(happened.event, Event::Push { .. });
    let again = match forge.random.below(10) {
        0 if is_push => Some(Again::Schedule),
        1 if is_push => Some(Again::ByHand),
        _ => None,
    };
    let what = match (again, what) {
        (Some(Again::Schedule), _) => What::Schedule,
        (Some(Again::ByHand), What::Push { branch, .. }) => What::Manual(branch),
        (_, what) => what,
    };
    let mut runs = forge::runs(&what, id(forge, head));
    let mut said = runs.swap_remove(forge.random.below(runs.len()));
    let mut complete = match said.says {
        Says::Base => merged || bases > 0,
        Says::New => true,
        Says::MergeBase => bases == 1,
        Says::Own => merged,
        Says::Branch | Says::Nothing => false,
    };
    let later = forge.moments.len() - happened.moment;
    let moment = match forge.random.below(3) {
        0 => happened.moment + forge.random.below(later),
        _ => happened.moment,
    };
    // Started again later: the previous run is that of the newest commit of the branch then.
    if let Event::Push { branch, after, .. } = &happened.event
        && again.is_none()
        && moment > happened.moment
        && let Some(&tip) = forge.moments[moment].branches.get(branch)
        && tip != *after
        && !forge.is_below(tip, *after)
    {
        let previous = match said.engine {
            "woodpecker" => Some("CI_PREV_COMMIT_SHA"),
            "jenkins" => Some("GIT_PREVIOUS_SUCCESSFUL_COMMIT"),
            _ => None,
        };
        if let Some(previous) = previous {
            said.variables.insert(previous.to_owned(), id(forge, tip).to_string());
            said.variables.insert("CI_PIPELINE_PARENT".to_owned(), "1".to_owned());
            said.says = Says::Nothing;
            complete = false;
        }
    }
    let clone = match forge.random.below(14) {
        0 => Kind::Branches,
        1 => Kind::Shallow(1 + forge.random.below(6)),
        2 => Kind::Blobless,
        3 => Kind::Treeless,
        _ => Kind::Whole,
    };
    let fork = forge.random.below(8) == 0;
    let attached = forge.random.below(4) == 0;
    Some(Run { said, complete, merged, moment, head, clone, fork, attached, again })
}

/// Makes the clone, and plans.
fn planned(
    place: &Place<'_>,
    forge: &Forge<'_>,
    happened: &Happened,
    run: &Run,
) -> Result<Planned, PlanningError> {
    let references = &forge.moments[run.moment];
    let id = |commit: usize| forge.commits[commit].id;
    let remote = if run.fork { "upstream" } else { "origin" };
    let mut state = CloneState {
        head: format!("{}\n", id(run.head)),
        remotes: vec![remote],
        default: Some(forge.default),
        filter: run.clone.filter(),
        ..CloneState::default()
    };
    for (name, &tip) in &references.branches {
        state.references.push((format!("refs/remotes/{remote}/{name}"), id(tip)));
    }
    for (name, &tip) in &references.tags {
        state.references.push((format!("refs/tags/{name}"), id(tip)));
    }
    if run.fork {
        // A fork of long ago.
        state.remotes.push("origin");
        state.references.push((format!("refs/remotes/origin/{}", forge.default), id(0)));
    }
    if run.attached
        && let Event::Push { branch, .. } = &happened.event
    {
        state.head = format!("ref: refs/heads/{branch}\n");
        state.references.push((format!("refs/heads/{branch}"), id(run.head)));
    }
    let reachable = || {
        let mut commits = forge.reachable(run.moment);
        commits.extend(forge.below(run.head));
        commits
    };
    let clone = match run.clone {
        Kind::Whole => &place.whole,
        Kind::Blobless | Kind::Treeless => {
            let all = forge.commits.iter().map(|it| it.id);
            place.fill_partial(all, id(run.head), run.clone == Kind::Blobless);
            &place.part
        }
        Kind::Branches => {
            place.fill_part(reachable().into_iter().map(id));
            &place.part
        }
        Kind::Shallow(depth) => {
            let tips = references.branches.values().chain(references.tags.values());
            let tips: BTreeSet<usize> = tips.copied().chain([run.head]).collect();
            let (here, cut) = shallow(forge, tips, depth);
            state.cut = cut.into_iter().map(id).collect();
            place.fill_part(here.into_iter().map(id));
            &place.part
        }
    };
    clone.set(&state);
    let file = |_: &str| Some(run.said.file.clone().into_bytes());
    let event = event::Event::from_environment(&run.said.variables, &file).expect("an event");
    assert_eq!(event.engine, run.said.engine);
    plan(&Request {
        dir: clone.dir.clone(),
        remote: run.fork.then(|| remote.to_owned()),
        event: Some(event),
        ..Request::default()
    })
}

/// What a clone of some depth has of each tip, and which of it has lost its parents.
fn shallow(
    forge: &Forge<'_>,
    tips: BTreeSet<usize>,
    depth: usize,
) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let (mut here, mut edge) = (tips.clone(), tips);
    for _ in 1..depth {
        let parents = edge.iter().flat_map(|&it| forge.commits[it].parents.clone());
        edge = parents.filter(|it| !here.contains(it)).collect();
        here.extend(&edge);
    }
    let lost = |&it: &usize| forge.commits[it].parents.iter().any(|parent| !here.contains(parent));
    let cut: BTreeSet<usize> = here.iter().copied().filter(lost).collect();
    (here, cut)
}

fn one(place: &Place<'_>, seed: u64) -> Figures {
    let mut forge = Forge::new(place.memory, seed, false);
    forge.play(12);
    place.fill_whole();
    let mut figures = Figures::default();
    for happened in forge.events.clone() {
        let Some(run) = some_run(&mut forge, &happened) else { continue };
        figures.events += 1;
        let truth = truth(&forge, &happened, &run);
        let told = || {
            let graph: Vec<String> = forge
                .commits
                .iter()
                .enumerate()
                .map(|(at, it)| format!("{at} {} {:?} on {:?}", it.id, it.state, it.parents))
                .collect();
            let moments: Vec<String> =
                forge.moments.iter().map(|it| format!("{:?} {:?}", it.branches, it.tags)).collect();
            format!(
                "history {seed}: {happened:?}\n{run}\nbranches by moment:\n{}\ncommits:\n{}",
                moments.join("\n"),
                graph.join("\n")
            )
        };
        let planned = match planned(place, &forge, &happened, &run) {
            Ok(planned) => planned,
            // What a partial clone fetches on demand is not fetched here: the refusal says how.
            Err(error)
                if run.clone.filter().is_some()
                    && format!("{error} {error:?}").contains("partial: true") =>
            {
                figures.refused += 1;
                continue;
            }
            Err(PlanningError::RepoContext(RepoContextError::Git(error))) => {
                let missing = match error {
                    GitError::Shallow { .. } | GitError::EventCommit { .. } => {
                        run.clone != Kind::Whole
                    }
                    // The branch a request goes to is gone, or shares nothing with it.
                    GitError::NoDefaultBranch { .. } | GitError::Unrelated { .. } => !truth.exact,
                    _ => false,
                };
                assert!(missing, "{error}\n{}", told());
                figures.refused += 1;
                continue;
            }
            Err(error) => panic!("{error}\n{}", told()),
        };
        let is_planned = |job: &str| planned.plan.node(&format!("execute-{job}")).is_some();
        let jobs: Jobs =
            (0..JOBS.len()).filter(|&job| is_planned(JOBS[job])).map(|job| 1 << job).sum();
        let less = truth.jobs & !jobs;
        let told = || {
            format!(
                "wanted {:06b}, planned {jobs:06b}\n{:?}\n{:#?}\n{}",
                truth.jobs,
                planned.plan.source(),
                planned.notes,
                told()
            )
        };
        assert!(less == 0, "LESS: {}", told());
        assert!(!truth.exact || jobs == truth.jobs, "MORE than a complete event: {}", told());
        if jobs == truth.jobs { figures.equal += 1 } else { figures.more += 1 }
    }
    figures
}

#[test]
#[expect(clippy::print_stdout, reason = "figures of many histories are kept")]
fn a_plan_is_never_less_than_what_the_event_brought() {
    let figures = play(wanted(60), one);
    let sum = |of: fn(&Figures) -> usize| figures.iter().map(of).sum::<usize>();
    let (events, equal) = (sum(|it| it.events), sum(|it| it.equal));
    let (more, refused) = (sum(|it| it.more), sum(|it| it.refused));
    let histories = figures.len();
    println!(
        "histories {histories}, events {events}, equal {equal}, more {more}, refused {refused}"
    );
    assert_eq!(events, equal + more + refused);
    assert!(equal * 2 > events, "most events are complete");
}
