//! Which commit head is compared with.

use std::{fs, process::Command};

use planner::{
    event::{Claim, Event, EventKind},
    git::{Base, BaseContext, BaseRequest, GitError, Head, Note, ObjectId, Range, Repository},
};
use plans::BaseMode;

use crate::sandbox::{Numbers, Sandbox, path, shown};

/// Head and base of the repository as it stands.
#[track_caller]
fn resolve(sandbox: &Sandbox, request: &BaseRequest) -> (Head, Base) {
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let base = repository.base(&head, request, &none()).expect("a base");
    (head, base)
}

#[track_caller]
fn default_base(sandbox: &Sandbox) -> (Option<ObjectId>, BaseMode) {
    let (_, base) = resolve(sandbox, &BaseRequest::Default);
    (base.commit(), base.mode)
}

/// A request to `branch`, as an engine says it.
fn request(branch: Option<&str>, base: Option<ObjectId>, merge_base: Option<ObjectId>) -> Event {
    let claim = |id: Option<ObjectId>| {
        id.map(|id| Claim { commit: id.to_string(), read_from: "THE_VARIABLE" })
    };
    let branch = branch.map(str::to_owned);
    Event {
        engine: "engine",
        kind: EventKind::Request { branch, base: claim(base), merge_base: claim(merge_base) },
        default_branch: None,
        head: None,
        request: None,
        notes: Vec::new(),
    }
}

fn none() -> BaseContext<'static> {
    BaseContext::default()
}

fn named(default_branch: &str) -> BaseContext<'_> {
    BaseContext { default_branch: Some(default_branch), ..BaseContext::default() }
}

fn told(event: &Event) -> BaseContext<'_> {
    BaseContext { event: Some(event), ..BaseContext::default() }
}

/// `main` with two commits, `feature` with one more that left `main` at the first.
fn forked() -> (Sandbox, [ObjectId; 3]) {
    let sandbox = Sandbox::new();
    let first = sandbox.commit_file("first");
    let second = sandbox.commit_file("second");
    sandbox.git(&["checkout", "-q", "-b", "feature", &first.to_string()]);
    let feature = sandbox.commit_file("feature");
    (sandbox, [first, second, feature])
}

#[test]
fn a_branch_is_compared_with_where_it_left_the_default_branch() {
    let (sandbox, [first, ..]) = forked();
    let (head, base) = resolve(&sandbox, &BaseRequest::Default);
    assert_eq!((base.commits.as_slice(), base.mode), (&[first][..], BaseMode::MergeBase));
    let changes = sandbox.open().changes(&base, head.tree).expect("changes");
    assert_eq!(shown(&changes), ["added feature"]);
    let [.., Note::Info(note)] = &base.notes[..] else { panic!("{:?}", base.notes) };
    assert_eq!(
        note,
        "base: default_branch: the merge base with `main`: taken, head is on another branch"
    );
}

#[test]
fn the_default_branch_is_compared_with_its_first_parent() {
    let (sandbox, [first, second, _]) = forked();
    sandbox.git(&["checkout", "-q", "main"]);
    assert_eq!(default_base(&sandbox), (Some(first), BaseMode::FirstParent));
    sandbox.git(&["merge", "-q", "--no-ff", "--no-edit", "feature"]);
    assert_eq!(default_base(&sandbox), (Some(second), BaseMode::FirstParent));
}

#[test]
fn a_detached_commit_of_the_default_branch_is_compared_with_its_first_parent() {
    let (sandbox, [first, second, feature]) = forked();
    sandbox.git(&["checkout", "-q", "--detach", "main"]);
    assert_eq!(default_base(&sandbox), (Some(first), BaseMode::FirstParent));
    sandbox.git(&["checkout", "-q", "--detach", "main~1"]);
    assert_eq!(default_base(&sandbox), (None, BaseMode::FirstParent));
    sandbox.git(&["checkout", "-q", "--detach", "feature"]);
    assert_eq!(default_base(&sandbox), (Some(first), BaseMode::MergeBase));

    let repository = sandbox.open();
    let base = |revision: &str| {
        let head = repository.head(Some(revision)).expect("a head");
        repository.base(&head, &BaseRequest::Default, &none()).expect("a base").commit()
    };
    assert_eq!(base("main"), Some(first));
    assert_eq!(base(&feature.to_string()), Some(first));
    assert_ne!(base("main"), Some(second));
}

#[test]
fn a_root_commit_is_compared_with_the_empty_tree() {
    let sandbox = Sandbox::new();
    sandbox.commit_file("first");
    let (head, base) = resolve(&sandbox, &BaseRequest::Default);
    assert_eq!((base.commit(), base.mode), (None, BaseMode::FirstParent));
    let changes = sandbox.open().changes(&base, head.tree).expect("changes");
    assert_eq!(shown(&changes), ["added first"]);
}

#[test]
fn the_remote_branch_comes_before_the_local_one() {
    let (sandbox, [first, second, _]) = forked();
    sandbox.git(&["update-ref", "refs/remotes/origin/main", &first.to_string()]);
    sandbox.git(&["checkout", "-q", "-b", "late", &second.to_string()]);
    sandbox.commit_file("late");
    assert_eq!(default_base(&sandbox), (Some(first), BaseMode::MergeBase));
}

#[test]
fn the_default_branch_is_the_manifests_then_the_remotes_then_main_then_master() {
    let (sandbox, [first, second, feature]) = forked();
    sandbox.git(&["branch", "trunk", &feature.to_string()]);
    let other = sandbox.commit_file("more");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let base = |manifest: Option<&str>| {
        repository
            .base(&head, &BaseRequest::Default, &BaseContext { default_branch: manifest, ..none() })
            .expect("a base")
            .commit()
    };
    assert_eq!(base(Some("trunk")), Some(feature));
    assert_eq!(base(None), Some(first));
    sandbox.git(&["update-ref", "refs/remotes/origin/trunk", &feature.to_string()]);
    sandbox.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    assert_eq!(base(None), Some(feature));
    assert_eq!(base(Some("main")), Some(first));

    sandbox.git(&["symbolic-ref", "-d", "refs/remotes/origin/HEAD"]);
    sandbox.git(&["branch", "-m", "main", "master"]);
    assert_eq!(base(None), Some(first));
    assert_ne!(second, other);

    sandbox.git(&["remote", "add", "origin", "."]);
    let error = repository
        .base(&head, &BaseRequest::Default, &named("absent"))
        .expect_err("there is no such branch");
    assert_eq!(
        error.to_string(),
        "no base to compare with: none of `origin/absent`, `absent` exists"
    );
    assert!(
        error.help().contains("`git fetch origin +refs/heads/absent:refs/remotes/origin/absent`")
    );
}

#[test]
fn flags_name_the_base() {
    let (sandbox, [first, second, feature]) = forked();
    let check = |request: BaseRequest, commit: Option<ObjectId>, mode: BaseMode| {
        let (_, base) = resolve(&sandbox, &request);
        assert_eq!((base.commit(), base.mode), (commit, mode), "{request:?}");
    };
    check(BaseRequest::MergeBase("main".to_owned()), Some(first), BaseMode::MergeBase);
    check(BaseRequest::MergeBase("HEAD".to_owned()), Some(feature), BaseMode::MergeBase);
    check(BaseRequest::Exact("main".to_owned()), Some(second), BaseMode::Exact);
    check(BaseRequest::Exact("main~1".to_owned()), Some(first), BaseMode::Exact);
    check(BaseRequest::FirstParent, Some(first), BaseMode::FirstParent);
    check(BaseRequest::Empty, None, BaseMode::Empty);
}

#[test]
fn an_annotated_tag_is_its_commit() {
    let (sandbox, [first, ..]) = forked();
    sandbox.git(&["tag", "-a", "-m", "release", "v1", &first.to_string()]);
    let (_, base) = resolve(&sandbox, &BaseRequest::Exact("v1".to_owned()));
    assert_eq!(base.commit(), Some(first));
}

#[test]
fn trees_are_compared_not_commits() {
    let (sandbox, [first, ..]) = forked();
    sandbox.write("feature", "changed");
    sandbox.commit("change");
    sandbox.git(&["rm", "-q", "feature"]);
    sandbox.commit("revert all");
    let (head, base) = resolve(&sandbox, &BaseRequest::Default);
    assert_eq!(base.commit(), Some(first));
    assert!(sandbox.open().changes(&base, head.tree).expect("changes").is_empty());
}

#[test]
fn all_merge_bases_of_a_criss_cross_count() {
    let sandbox = Sandbox::new();
    sandbox.commit_file("root");
    sandbox.git(&["checkout", "-q", "-b", "feature"]);
    let theirs = sandbox.commit_file("theirs");
    sandbox.git(&["checkout", "-q", "main"]);
    let ours = sandbox.commit_file("ours");
    sandbox.git(&["merge", "-q", "--no-edit", &theirs.to_string()]);
    sandbox.git(&["checkout", "-q", "feature"]);
    sandbox.git(&["merge", "-q", "--no-edit", &ours.to_string()]);
    sandbox.write("ours", "edited");
    sandbox.commit("edit");
    let (head, base) = resolve(&sandbox, &BaseRequest::Default);
    assert_eq!(base.commits, [ours, theirs]);
    let changes = sandbox.open().changes(&base, head.tree).expect("changes");
    // `ours` is edited against one base and new against the other; both count.
    assert_eq!(shown(&changes), ["added ours", "modified ours", "added theirs"]);
    assert!(
        base.notes
            .iter()
            .any(|note| matches!(note, Note::Warning(text) if text.contains("2 merge bases")))
    );
    // In a reason it is one path.
    sandbox.write("list", "");
    let manifest =
        "version = 1\n[[branch.lanes]]\nid = \"a\"\ncommand = [\"true\"]\npaths = [\"o*\"]\n";
    sandbox.write("ci/forge-lanes.toml", manifest);
    sandbox.commit("lanes");
    let plan = sandbox.planner(&["plan"]).plan();
    assert_eq!(plan.changes().iter().filter(|change| change.path == path("ours")).count(), 2);
    let reasons = &plan.lanes()[0].reasons;
    let matched = reasons.iter().find_map(|reason| match reason {
        plans::Reason::Paths(paths) => Some((paths.matched.clone(), paths.total)),
        _ => None,
    });
    assert_eq!(matched, Some((vec![path("ours")], 1)), "{reasons:?}");
}

#[test]
fn unrelated_histories_have_no_base() {
    let (sandbox, _) = forked();
    sandbox.git(&["checkout", "-q", "--orphan", "island"]);
    let island = sandbox.commit("island");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let error = repository.base(&head, &BaseRequest::Default, &none()).expect_err("no base");
    assert_eq!(error.to_string(), format!("`{island}` and `main` have no common history"));
    assert!(error.help().contains("--base-empty"));
}

#[test]
fn a_request_is_compared_with_its_target() {
    let (sandbox, [first, second, feature]) = forked();
    sandbox.git(&["branch", "release", &feature.to_string()]);
    sandbox.commit_file("more");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let base = |event: Event| {
        repository.base(&head, &BaseRequest::Default, &told(&event)).expect("a base")
    };
    let found = base(request(Some("release"), None, None));
    assert_eq!(found.commit(), Some(feature));
    assert_eq!(found.from.as_str(), "event:engine:request");
    // A commit before the branch, and the merge base before both.
    assert_eq!(base(request(Some("release"), Some(second), None)).commit(), Some(first));
    assert_eq!(base(request(Some("release"), None, Some(first))).commit(), Some(first));
    // What is not there, or not in the history of head, is no answer.
    let absent: ObjectId = "1".repeat(40).parse().expect("an id");
    for event in [
        request(Some("release"), Some(absent), None),
        request(Some("release"), None, Some(absent)),
        request(Some("release"), None, Some(second)),
    ] {
        let found = base(event);
        assert_eq!(found.commit(), Some(feature));
        assert!(found.notes.iter().any(|note| matches!(note, Note::Warning(_))));
    }
    let gone = request(Some("absent"), None, None);
    let error = repository.base(&head, &BaseRequest::Default, &told(&gone)).expect_err("no base");
    assert!(error.to_string().contains("`absent`"), "{error}");
    // An explicit flag is not overruled.
    let exact = BaseRequest::Exact("main".to_owned());
    let event = request(Some("release"), None, None);
    let found = repository.base(&head, &exact, &told(&event)).expect("a base");
    assert_eq!((found.commit(), found.from.as_str()), (Some(second), "flag"));
}

/// A clone of the sandbox with `depth` commits of `branch`.
fn shallow(sandbox: &Sandbox, depth: u32, branch: &str, more: &[&str]) -> Repository {
    let clone = sandbox.beside("clone");
    let _ = fs::remove_dir_all(&clone);
    let origin = format!("file://{}", sandbox.root().display());
    let depth = format!("--depth={depth}");
    let args = [&["clone", "-q", &depth, "-b", branch], more, &[&origin]].concat();
    let mut command: Command = sandbox.command(&sandbox.root());
    command.args(args).arg(&clone);
    crate::sandbox::finish(command, &[]);
    Repository::open(&clone).expect("the clone opens")
}

#[track_caller]
fn refused(repository: &Repository, request: &BaseRequest, message: &str, help: &str) {
    let head = repository.head(None).expect("a head");
    let error = repository.base(&head, request, &named("main")).expect_err("no base");
    let message = message.replace("HEAD", &head.commit.to_string());
    assert_eq!((error.to_string().as_str(), error.help().as_str()), (message.as_str(), help));
}

const UNSHALLOW: &str =
    "fetch the rest of history: `git fetch --filter=blob:none --unshallow origin`";

#[test]
fn a_shallow_clone_without_the_base_is_refused() {
    let (sandbox, _) = forked();
    let clone = shallow(&sandbox, 1, "main", &[]);
    let message = "this is a shallow clone, and the first parent of `HEAD` lies behind the cut";
    refused(&clone, &BaseRequest::Default, message, UNSHALLOW);
    refused(&clone, &BaseRequest::FirstParent, message, UNSHALLOW);
    let error = clone.head(Some("HEAD~1")).expect_err("it is cut off");
    assert_eq!(
        error.to_string(),
        "`HEAD~1` names no commit of this repository, which is a shallow clone"
    );
    assert_eq!(error.help(), UNSHALLOW.replace(" origin", ""));

    let clone = shallow(&sandbox, 1, "feature", &["--no-single-branch"]);
    refused(
        &clone,
        &BaseRequest::Default,
        "this is a shallow clone, and the merge base of `HEAD` and `origin/main` lies behind the cut",
        "fetch the rest of history: `git fetch --filter=blob:none --unshallow origin \
         +refs/heads/main:refs/remotes/origin/main`",
    );
    let clone = shallow(&sandbox, 1, "feature", &[]);
    let head = clone.head(None).expect("a head");
    let error = clone.base(&head, &BaseRequest::Default, &named("main")).expect_err("no base");
    assert!(matches!(error, GitError::NoDefaultBranch { shallow: true, .. }), "{error}");
    assert!(error.help().contains("--unshallow origin +refs/heads/main:refs/remotes/origin/main"));
}

#[test]
fn a_shallow_clone_that_holds_the_base_is_enough() {
    let (sandbox, [first, second, _]) = forked();
    let base = |clone: &Repository| {
        let head = clone.head(None).expect("a head");
        clone.base(&head, &BaseRequest::Default, &named("main")).map(|base| base.commit())
    };
    sandbox.commit_file("more");
    // Both branches reach back to where they met, which is the cut.
    let clone = shallow(&sandbox, 3, "feature", &["--no-single-branch"]);
    assert_eq!(base(&clone).expect("a base"), Some(first));
    // The merge commit that forges build, with its two parents: one of them is the target.
    sandbox.git(&["checkout", "-q", "--detach", "main"]);
    sandbox.git(&["merge", "-q", "--no-edit", "feature"]);
    sandbox.git(&["branch", "merged"]);
    let clone = shallow(&sandbox, 2, "merged", &["--no-single-branch"]);
    let merged = clone.head(None).expect("a head");
    let exact = request(None, None, Some(second));
    let found = clone.base(&merged, &BaseRequest::Default, &told(&exact)).expect("a base");
    assert_eq!(found.commit(), Some(second));
    let found = clone.base(&merged, &BaseRequest::FirstParent, &none()).expect("a base");
    assert_eq!(found.commit(), Some(second));
}

#[test]
fn history_follows_first_parents() {
    let (sandbox, [first, second, _]) = forked();
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "merge it", "feature"]);
    let merged = sandbox.id("HEAD");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let commits = |repository: &Repository, range: Range| {
        let (steps, notes) = repository.history(&head, &range).expect("a history");
        (steps.iter().map(|step| step.commit).collect::<Vec<_>>(), notes)
    };
    assert_eq!(commits(&repository, Range::Last(10)), (vec![merged, second, first], vec![]));
    assert_eq!(commits(&repository, Range::Last(1)), (vec![merged], vec![]));
    let since = |revision: &str| commits(&repository, Range::Since(revision.to_owned())).0;
    assert_eq!(since("main~1"), [merged]);
    assert_eq!(since("feature~1"), [merged, second]);
    assert_eq!(since("main"), []);
    let (steps, _) = repository.history(&head, &Range::Last(3)).expect("a history");
    assert_eq!(steps[0].summary, "merge it");
    assert_eq!((steps[0].parent, steps[0].parent_tree.is_some()), (Some(second), true));
    assert_eq!((steps[2].parent, steps[2].parent_tree), (None, None));

    let clone = shallow(&sandbox, 2, "main", &[]);
    let (steps, notes) = commits(&clone, Range::Last(10));
    assert_eq!(steps, [merged]);
    assert!(matches!(&notes[..], [Note::Warning(text)] if text.contains("after 1 commits")));
}

#[test]
fn random_histories_have_the_merge_bases_that_git_finds_or_are_known_to_be_cut() {
    let mut numbers = Numbers(811);
    let sandbox = Sandbox::new();
    let tree = ObjectId::empty_tree().to_string();
    sandbox.git_with_input(&["hash-object", "-w", "-t", "tree", "--stdin"], b"");
    let (mut sure, mut cut) = (0, 0);
    for case in 0..20 {
        let mut commits: Vec<String> = Vec::new();
        for n in 0..12 {
            let mut args = vec!["commit-tree".to_owned(), "-m".to_owned(), format!("{case} {n}")];
            // Two roots at most, and then one or two of the last few.
            for _ in 0..if n < 2 { n } else { 1 + numbers.below(2) } {
                let back = 1 + numbers.below(commits.len().min(4));
                args.extend(["-p".to_owned(), commits[commits.len() - back].clone()]);
            }
            args.push(tree.clone());
            commits.push(sandbox.git(&args));
        }
        let (main, feature) = (&commits[10 - numbers.below(3)], &commits[11]);
        sandbox.git(&["update-ref", "refs/heads/main", main]);
        sandbox.git(&["update-ref", "refs/heads/feature", feature]);
        let request = BaseRequest::MergeBase("origin/main".to_owned());
        let mut expected: Vec<ObjectId> = sandbox
            .git(&["merge-base", "--all", main, feature])
            .lines()
            .map(|line| line.parse().expect("an id"))
            .collect();
        expected.sort();

        sandbox.git(&["update-ref", "refs/remotes/origin/main", main]);
        let repository = sandbox.open();
        let head = repository.head(Some("feature")).expect("a head");
        let mut whole = repository.base(&head, &request, &none()).expect("a base").commits;
        whole.sort();
        assert_eq!(whole, expected, "case {case}");

        let depth = 1 + u32::try_from(numbers.below(6)).expect("small");
        let clone = shallow(&sandbox, depth, "feature", &["--no-single-branch", "--no-checkout"]);
        match clone.base(&clone.head(None).expect("a head"), &request, &none()) {
            Ok(mut base) => {
                sure += 1;
                base.commits.sort();
                assert_eq!(base.commits, expected, "case {case} at depth {depth}");
            }
            Err(GitError::Shallow { .. }) => cut += 1,
            Err(error) => panic!("case {case} at depth {depth}: {error}"),
        }
    }
    assert!(sure > 5 && cut > 2, "{sure} sure, {cut} cut");
}
