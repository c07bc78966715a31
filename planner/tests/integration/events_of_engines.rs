//! Every event of every engine, in the states in which runners meet it: each has exactly the base
//! that is expected, and never are there fewer paths than what the event brought.

use std::path::Path;

use planner::git::ObjectId;

use crate::forge::{Base, Forge, Run, Says, What, commits, found, runs};

/// What a cell of the table expects of an engine, by how much it says.
type Expected<'a> = &'a dyn Fn(&Run) -> Base;

/// A state of the forge in which something is planned.
struct Cell<'a> {
    name: &'a str,
    /// The commit that is checked out.
    head: ObjectId,
    what: What<'a>,
    /// The paths that the event brought, whatever else counts.
    brought: &'a [&'a str],
}

impl Cell<'_> {
    /// Plans it with every engine that knows such an event, in a whole clone.
    #[track_caller]
    fn check(&self, forge: &Forge, expected: Expected<'_>) {
        self.check_in(&forge.clone_at("clone", self.head, &[]), None, expected);
    }

    #[track_caller]
    fn check_in(&self, clone: &Path, remote: Option<&str>, expected: Expected<'_>) {
        for run in runs(&self.what, self.head) {
            // Nobody else merges the branch into the request.
            if self.name.ends_with("merged back") && run.engine != "bitbucket" {
                continue;
            }
            let (base, paths) = found(clone, &run, remote);
            let Self { name, brought, .. } = self;
            assert_eq!(base, expected(&run), "{name}: {} {:?}", run.engine, run.variables);
            if matches!(base, Base::Commits(_)) {
                for path in *brought {
                    assert!(paths.iter().any(|it| it == path), "{name}: {}: no {path}", run.engine);
                }
            }
        }
    }
}

/// `feature` with two commits upon the first of `main`, which went on with another.
struct Feature {
    forge: Forge,
    c0: ObjectId,
    f1: ObjectId,
    f2: ObjectId,
    m1: ObjectId,
}

const BOTH: [&str; 2] = ["one", "two"];

fn feature() -> Feature {
    let forge = Forge::new();
    let c0 = forge.first;
    let f1 = forge.commit("feature", c0, &["one"]);
    let f2 = forge.commit("feature", c0, &["two"]);
    let m1 = forge.commit("main", c0, &["other"]);
    Feature { forge, c0, f1, f2, m1 }
}

impl Feature {
    fn request(&self) -> What<'static> {
        What::Request { own: self.f2, target: "main", at: self.m1, merge_base: self.c0 }
    }

    /// The request's head; its merge into the branch, and (Bitbucket) the branch's merge into it.
    #[track_caller]
    fn check(&self, state: &str, own: Expected<'_>, merged: Expected<'_>) {
        let Self { forge, f2, m1, .. } = self;
        let into = forge.merge_of(*m1, *f2);
        let back = forge.merge_of(*f2, *m1);
        for (how, head, expected) in
            [("its head", *f2, own), ("its merge", into, merged), ("merged back", back, merged)]
        {
            let name = &format!("{state}, {how}");
            Cell { name, head, what: self.request(), brought: &BOTH }.check(forge, expected);
        }
    }
}

#[test]
fn a_request_that_is_open_is_what_it_brings_also_when_it_is_run_again() {
    let it = feature();
    let (c0, f1, m1) = (it.c0, it.f1, it.m1);
    // What CircleCI says of a request is that a branch was pushed.
    let own = |run: &Run| match run.says {
        Says::Nothing => commits(&[c0, f1]),
        _ => commits(&[c0]),
    };
    it.check("open", &own, &|_| commits(&[m1]));
    it.forge.commit("main", c0, &["later"]);
    it.check("run again after main moved", &own, &|_| commits(&[m1]));
}

#[test]
fn a_request_that_was_merged_before_it_is_planned_is_what_it_brought() {
    // By a merge commit.
    let it = feature();
    let (c0, f1, f2, m1) = (it.c0, it.f1, it.f2, it.m1);
    let merge = it.forge.merge_of(m1, f2);
    it.forge.set("main", merge);
    it.forge.commit("main", c0, &["later"]);
    it.check("merged", &|_| commits(&[c0]), &|run| match run.says {
        // Which of the two parents was the branch is not said: what differs from either counts.
        Says::Branch => commits(&[m1, f2]),
        _ => commits(&[m1]),
    });

    let own = |run: &Run| match run.says {
        Says::Nothing => commits(&[c0, f1]),
        _ => commits(&[c0]),
    };
    // By one commit with all of it.
    let it = feature();
    it.forge.git(&["checkout", "-q", "main"]);
    it.forge.git(&["merge", "-q", "--squash", "feature"]);
    it.forge.sandbox.commit("squashed");
    it.check("squashed", &own, &|_| commits(&[m1]));

    // By its commits, made anew.
    let it = feature();
    it.forge.git(&["checkout", "-q", "main"]);
    it.forge.git(&["cherry-pick", "main..feature"]);
    it.check("rebased", &own, &|_| commits(&[m1]));
}

#[test]
fn a_branch_that_was_moved_forward_to_a_request_does_not_hide_it() {
    let forge = Forge::new();
    let c0 = forge.first;
    let f1 = forge.commit("feature", c0, &["one"]);
    let f2 = forge.commit("feature", c0, &["two"]);
    let merge = forge.merge_of(c0, f2);
    forge.set("main", f2);
    let what = What::Request { own: f2, target: "main", at: c0, merge_base: c0 };
    let head = Cell { name: "moved forward", head: f2, what: what.clone(), brought: &BOTH };
    head.check(&forge, &|run| match run.says {
        Says::Base | Says::MergeBase => commits(&[c0]),
        // Where the branch was is said nowhere.
        _ => Base::Everything,
    });
    let merged = Cell { name: "moved forward, its merge", head: merge, what, brought: &BOTH };
    merged.check(&forge, &|run| match run.says {
        Says::Branch => commits(&[c0, f2]),
        _ => commits(&[c0]),
    });
    assert_ne!(f1, f2);
}

#[test]
fn stacked_requests_are_compared_with_the_branch_they_go_to_also_when_it_is_gone() {
    let forge = Forge::new();
    let c0 = forge.first;
    let s1 = forge.commit("stack", c0, &["below"]);
    let f1 = forge.commit("feature", s1, &["one"]);
    let f2 = forge.commit("feature", s1, &["two"]);
    forge.commit("main", c0, &["other"]);
    let what = What::Request { own: f2, target: "stack", at: s1, merge_base: s1 };
    let cell = |name| Cell { name, head: f2, what: what.clone(), brought: &BOTH };
    let circleci = commits(&[c0, s1, f1]);
    cell("stacked").check(&forge, &|run| match run.says {
        Says::Nothing => circleci.clone(),
        _ => commits(&[s1]),
    });
    // The branch below is merged in one commit and deleted, while the request still goes to it.
    forge.git(&["checkout", "-q", "main"]);
    forge.git(&["merge", "-q", "--squash", "stack"]);
    forge.sandbox.commit("squashed");
    forge.git(&["branch", "-q", "-D", "stack"]);
    cell("its branch is deleted").check(&forge, &|run| match run.says {
        Says::Base | Says::MergeBase => commits(&[s1]),
        Says::Nothing => circleci.clone(),
        _ => Base::Refused,
    });
    // The forge lets it go to `main` then, and shows what was squashed as its own.
    let what = What::Request { own: f2, target: "main", at: forge.at("main"), merge_base: c0 };
    let retargeted =
        Cell { name: "it goes to main now", head: f2, what, brought: &["below", "one", "two"] };
    retargeted.check(&forge, &|run| match run.says {
        Says::Nothing => circleci.clone(),
        _ => commits(&[c0]),
    });
}

#[test]
fn a_fork_whose_own_main_is_the_request_is_compared_with_the_main_it_goes_to() {
    let it = feature();
    let (c0, f1, f2, m1) = (it.c0, it.f1, it.f2, it.m1);
    let clone = it.forge.clone_at("clone", f2, &[]);
    // The fork's branch has the name of the branch it goes to, and is the one checked out.
    it.forge.in_clone(&clone, &["checkout", "-q", "-B", "main"]);
    let cell = Cell { name: "a fork's main", head: f2, what: it.request(), brought: &BOTH };
    let expected = |run: &Run| match run.says {
        Says::Nothing => commits(&[c0, f1]),
        _ => commits(&[c0]),
    };
    cell.check_in(&clone, None, &expected);
    // The clone of a fork whose own `main` is behind, with the repository it goes to beside it.
    it.forge.in_clone(&clone, &["update-ref", "refs/remotes/upstream/main", &m1.to_string()]);
    it.forge.in_clone(&clone, &["update-ref", "refs/remotes/origin/main", &c0.to_string()]);
    it.forge.in_clone(&clone, &["remote", "add", "upstream", "https://forge.example/o/r"]);
    it.forge.in_clone(&clone, &["checkout", "-q", "--detach"]);
    let into = it.forge.merge_of(m1, f2);
    it.forge.in_clone(&clone, &["fetch", "-q", "origin", &into.to_string()]);
    it.forge.in_clone(&clone, &["update-ref", "refs/remotes/origin/main", &c0.to_string()]);
    it.forge.in_clone(&clone, &["checkout", "-q", &into.to_string()]);
    let cell = Cell { name: "its merge", head: into, what: it.request(), brought: &BOTH };
    // Only an engine that says neither the request's head nor its base needs to ask the branch.
    cell.check_in(&clone, None, &|run| match run.says {
        Says::Branch => commits(&[c0]),
        _ => commits(&[m1]),
    });
    cell.check_in(&clone, Some("upstream"), &|_| commits(&[m1]));
}

#[test]
fn a_base_that_the_event_names_and_nobody_has_is_replaced_by_its_branch() {
    let it = feature();
    let (c0, f1, f2) = (it.c0, it.f1, it.f2);
    let gone: ObjectId = "1".repeat(40).parse().expect("an id");
    let what = What::Request { own: f2, target: "main", at: gone, merge_base: gone };
    let cell = Cell { name: "the base is gone", head: f2, what, brought: &BOTH };
    cell.check(&it.forge, &|run| match run.says {
        Says::Nothing => commits(&[c0, f1]),
        _ => commits(&[c0]),
    });
}

#[test]
fn the_base_branch_is_not_the_request_that_a_pull_request_target_is_about() {
    let it = feature();
    let clone = it.forge.clone_at("clone", it.m1, &[]);
    for run in &mut runs(&it.request(), it.m1)[..3] {
        let name = "pull_request_target".to_owned();
        run.variables.insert("GITHUB_EVENT_NAME".to_owned(), name);
        assert_eq!(found(&clone, run, None).0, Base::Everything, "{}", run.engine);
    }
}

/// `main` after a push of two commits.
fn pushed() -> (Forge, ObjectId, ObjectId) {
    let forge = Forge::new();
    let before = forge.first;
    let head = forge.commit("main", before, &BOTH);
    (forge, before, head)
}

#[test]
fn a_push_to_the_default_branch_is_compared_with_where_it_was() {
    let expected = |base: ObjectId| {
        move |run: &Run| match run.says {
            Says::Base => commits(&[base]),
            // Of several commits at once, or one: it is not said, so everything runs.
            _ => Base::Everything,
        }
    };
    let (forge, before, head) = pushed();
    let what = What::Push { branch: "main", before: Some(before) };
    let cell = |name| Cell { name, head, what: what.clone(), brought: &BOTH };
    cell("two commits").check(&forge, &expected(before));
    forge.commit("main", before, &["later"]);
    cell("run again after main moved").check(&forge, &expected(before));

    // A merge of a request, and one made the other way round, whose second parent was the branch.
    let it = feature();
    for (name, merge) in
        [("merge", it.forge.merge_of(it.m1, it.f2)), ("foxtrot", it.forge.merge_of(it.f2, it.m1))]
    {
        it.forge.set("main", merge);
        let what = What::Push { branch: "main", before: Some(it.m1) };
        let cell = Cell { name, head: merge, what, brought: &BOTH };
        cell.check(&it.forge, &expected(it.m1));
    }
}

#[test]
fn a_forced_push_is_compared_with_where_the_two_lines_met() {
    // On `main`, with what was replaced still in the clone.
    let forge = Forge::new();
    let c0 = forge.first;
    let before = forge.commit("old", c0, &["replaced"]);
    let head = forge.commit("main", c0, &BOTH);
    let what = What::Push { branch: "main", before: Some(before) };
    Cell { name: "forced", head, what, brought: &BOTH }.check(&forge, &|run| match run.says {
        Says::Base if !run.knows_runs_alone() => commits(&[c0]),
        _ => Base::Everything,
    });
    // Gone from the clone, or never there.
    let gone: ObjectId = "1".repeat(40).parse().expect("an id");
    let what = What::Push { branch: "main", before: Some(gone) };
    let cell = Cell { name: "forced, and before is gone", head, what, brought: &BOTH };
    cell.check(&forge, &|_| Base::Everything);

    // Set back to where it was.
    let what = What::Push { branch: "main", before: Some(head) };
    let cell = Cell { name: "set back", head: c0, what, brought: &BOTH };
    cell.check(&forge, &|run| match run.says {
        Says::Base if !run.knows_runs_alone() => commits(&[head]),
        _ => Base::Everything,
    });

    // A branch that was made anew upon the newer `main`.
    let it = feature();
    let (c0, f2, m1) = (it.c0, it.f2, it.m1);
    let n1 = it.forge.commit("anew", m1, &["one"]);
    let n2 = it.forge.commit("anew", m1, &["two", "three"]);
    let n2_first = it.forge.at("anew~1");
    let what = What::Push { branch: "anew", before: Some(f2) };
    let cell = Cell { name: "rebased", head: n2, what, brought: &["one", "two", "three", "other"] };
    let clone = it.forge.clone_at("clone", n2, &[]);
    let silent = commits(&[m1, n1, n2_first]);
    for run in runs(&cell.what, n2) {
        let (base, _) = found(&clone, &run, None);
        let expected = match run.says {
            Says::Base => commits(&[c0, m1]),
            _ => silent.clone(),
        };
        assert_eq!(base, expected, "{}", run.engine);
    }
    let what = What::Push { branch: "anew", before: Some(gone) };
    let cell = Cell { name: "rebased, and before is gone", head: n2, what, brought: &BOTH };
    cell.check(&it.forge, &|run| match run.says {
        Says::Base => Base::Everything,
        _ => silent.clone(),
    });
}

#[test]
fn a_push_to_another_branch_is_compared_with_where_it_was_or_may_have_been() {
    let it = feature();
    let (c0, f1, f2) = (it.c0, it.f1, it.f2);
    let what = What::Push { branch: "feature", before: Some(f1) };
    let cell = |name, what| Cell { name, head: f2, what, brought: &["two"] };
    cell("one more commit", what.clone()).check(&it.forge, &|run| match run.says {
        Says::Base => commits(&[f1]),
        _ => commits(&[c0, f1]),
    });
    // It reached `main` before it is planned.
    let merge = it.forge.merge_of(it.m1, f2);
    it.forge.set("main", merge);
    cell("merged meanwhile", what.clone()).check(&it.forge, &|run| match run.says {
        Says::Base => commits(&[f1]),
        _ => commits(&[c0]),
    });
    it.forge.set("main", f2);
    cell("main was moved forward to it", what).check(&it.forge, &|run| match run.says {
        Says::Base => commits(&[f1]),
        _ => Base::Everything,
    });

    // What was pushed takes back what was pushed before: nothing differs from where it began.
    let it = feature();
    let (c0, f1, f2) = (it.c0, it.f1, it.f2);
    it.forge.git(&["checkout", "-q", "feature"]);
    it.forge.git(&["rm", "-q", "one", "two"]);
    let f3 = it.forge.sandbox.commit("take it back");
    let what = What::Push { branch: "feature", before: Some(f2) };
    let cell = Cell { name: "taken back", head: f3, what, brought: &BOTH };
    cell.check(&it.forge, &|run| match run.says {
        Says::Base => commits(&[f2]),
        _ => commits(&[c0, f1, f2]),
    });
}

#[test]
fn a_new_branch_is_compared_with_where_it_left_the_default_branch() {
    let it = feature();
    let (c0, f1, f2, m1) = (it.c0, it.f1, it.f2, it.m1);
    let what = What::Push { branch: "feature", before: None };
    let cell = Cell { name: "new", head: f2, what, brought: &BOTH };
    cell.check(&it.forge, &|run| match run.says {
        Says::New => commits(&[c0]),
        _ => commits(&[c0, f1]),
    });
    // At a commit that the default branch has: what that brought is not said.
    let what = What::Push { branch: "release", before: None };
    let cell = Cell { name: "new, without a commit of its own", head: m1, what, brought: &[] };
    cell.check(&it.forge, &|_| Base::Everything);
    let what = What::Push { branch: "main", before: None };
    let cell = Cell { name: "the default branch is new", head: m1, what, brought: &[] };
    cell.check(&it.forge, &|_| Base::Everything);
    // Without any default branch to ask.
    it.forge.git(&["branch", "-q", "-m", "main", "trunk"]);
    let what = What::Push { branch: "feature", before: None };
    let cell = Cell { name: "no default branch", head: f2, what, brought: &BOTH };
    cell.check(&it.forge, &|_| Base::Refused);
}

#[test]
fn of_two_remotes_the_named_one_has_the_default_branch() {
    let it = feature();
    let (c0, f2, m1) = (it.c0, it.f2, it.m1);
    let clone = it.forge.clone_at("clone", f2, &[]);
    let cell = |branch: &'static str| {
        let what = What::Push { branch, before: None };
        Cell { name: branch, head: f2, what, brought: &BOTH }
    };
    // The fork's `main` was moved to the feature; upstream's was not.
    it.forge.in_clone(&clone, &["update-ref", "refs/remotes/origin/main", &f2.to_string()]);
    it.forge.in_clone(&clone, &["update-ref", "refs/remotes/upstream/main", &m1.to_string()]);
    it.forge.in_clone(&clone, &["remote", "add", "upstream", "https://forge.example/o/r"]);
    cell("feature").check_in(&clone, None, &|_| Base::Everything);
    cell("feature").check_in(&clone, Some("upstream"), &|run| match run.says {
        Says::New => commits(&[c0]),
        _ => commits(&[c0, it.f1]),
    });
}

#[test]
fn what_a_queue_or_a_train_builds_is_compared_with_what_it_is_built_on() {
    // A queue of a release branch, one request behind another.
    let forge = Forge::new();
    let r0 = forge.commit("release", forge.first, &["of the release"]);
    let first = forge.commit("request-1", r0, &["ahead"]);
    let own = forge.commit("request-2", r0, &BOTH);
    let ahead = forge.merge_of(r0, first);
    let queued = forge.merge_of(ahead, own);
    let cell = |name, base| {
        let what = What::Queue { branch: "release", base };
        Cell { name, head: queued, what, brought: &BOTH }
    };
    for state in ["waiting", "landed", "landed, and the branch went on"] {
        cell(state, ahead).check(&forge, &|_| commits(&[ahead]));
        cell(state, r0).check(&forge, &|_| commits(&[r0]));
        if state == "waiting" {
            forge.set("release", queued);
        } else {
            forge.commit("release", r0, &[state]);
        }
    }
    // The commit is not here: what the branch does not have, and when it has it all, everything.
    let gone: ObjectId = "1".repeat(40).parse().expect("an id");
    forge.set("release", r0);
    cell("its base is gone", gone).check(&forge, &|_| commits(&[r0]));
    forge.set("release", queued);
    cell("its base is gone, and it landed", gone).check(&forge, &|_| Base::Everything);
}

#[test]
fn a_tag_is_compared_with_the_newest_earlier_tag_in_its_history() {
    let (forge, before, head) = pushed();
    let cell = |name| Cell { name, head, what: What::Tag("v2"), brought: &BOTH };
    forge.git(&["tag", "v2"]);
    cell("the first tag").check(&forge, &|_| Base::Empty);
    forge.git(&["tag", "-a", "-m", "release", "v1", &before.to_string()]);
    cell("annotated").check(&forge, &|_| commits(&[before]));
    // Another tag of the same commit, and one that is no ancestor, are not earlier.
    forge.git(&["tag", "v2-rc1"]);
    let side = forge.commit("side", before, &["side"]);
    forge.git(&["tag", "v3", &side.to_string()]);
    forge.commit("main", before, &["later"]);
    cell("among others").check(&forge, &|_| commits(&[before]));
}

#[test]
fn a_schedule_has_no_base() {
    let (forge, _, head) = pushed();
    let cell = Cell { name: "nightly", head, what: What::Schedule, brought: &[] };
    cell.check(&forge, &|_| Base::Trigger);
}

#[test]
fn a_run_that_is_started_again_is_no_smaller_where_the_engine_knows_its_previous_run_alone() {
    // Two pushes to main; the run of the first one is started again after the second one.
    let forge = Forge::new();
    let first = forge.commit("main", forge.first, &["first"]);
    let second = forge.commit("main", first, &["second"]);
    let (first, second) = (first.to_string(), second.to_string());
    let woodpecker = [
        ("CI", "woodpecker"),
        ("CI_PIPELINE_EVENT", "push"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_SHA", first.as_str()),
        ("CI_PREV_COMMIT_SHA", second.as_str()),
        ("CI_PREV_COMMIT_BRANCH", "main"),
        ("CI_PREV_PIPELINE_EVENT", "push"),
    ];
    let jenkins = [
        ("JENKINS_URL", "x"),
        ("BRANCH_NAME", "main"),
        ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", second.as_str()),
    ];
    let parent = [("CI_PIPELINE_PARENT", "1")];
    let number = [("CI_PIPELINE_PARENT", "0")];
    let clone = forge.clone_at("clone", first.parse().expect("an id"), &[]);
    for variables in [
        woodpecker.to_vec(),
        [&woodpecker[..], &parent].concat(),
        [&woodpecker[..], &number].concat(),
        jenkins.to_vec(),
    ] {
        let engine =
            if variables.contains(&("CI", "woodpecker")) { "woodpecker" } else { "jenkins" };
        let says = Says::Nothing;
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let run = Run { engine, says, variables: variables.collect(), file: String::new() };
        assert_eq!(found(&clone, &run, None).0, Base::Everything, "{:?}", run.variables);
    }
}
