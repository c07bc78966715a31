//! A forge in small: branches, requests and merges of each kind on a server, clones as engines make
//! them, and each engine's variables for what happened.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use planner::{
    RepoContext, Request,
    event::Event,
    git::{GitError, ObjectId},
};
use plans::{BaseMode, Source};

use crate::sandbox::{Sandbox, finish};

/// What happened, as the forge knows it.
#[derive(Clone)]
pub(crate) enum What<'a> {
    /// A request is run: its own head, where it goes, and where that was then.
    Request { own: ObjectId, target: &'a str, at: ObjectId, merge_base: ObjectId },
    /// What a queue would merge, built on a commit of a branch.
    Queue { branch: &'a str, base: ObjectId },
    /// A branch was pushed; nothing: it is new.
    Push { branch: &'a str, before: Option<ObjectId> },
    /// A tag was pushed.
    Tag(&'a str),
    /// A clock.
    Schedule,
    /// A person, of a branch.
    Manual(&'a str),
}

/// How much an engine says about what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// The commit to compare with.
    Base,
    /// The merge base of the request.
    MergeBase,
    /// The request's own head, and the branch it goes to.
    Own,
    /// The branch alone.
    Branch,
    /// That the branch is new.
    New,
    /// That there is something to run.
    Nothing,
}

/// An engine's variables, and the event file of GitHub and its like.
pub(crate) struct Run {
    pub(crate) engine: &'static str,
    pub(crate) says: Says,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) file: String,
}

impl Run {
    /// The engine knows the previous run of a branch instead of the push: where the default branch was
    /// before a push that is forced, it cannot tell.
    pub(crate) fn knows_runs_alone(&self) -> bool {
        matches!(self.engine, "woodpecker" | "jenkins")
    }
}

/// What is to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// These commits, sorted.
    Commits(Vec<ObjectId>),
    /// The empty tree.
    Empty,
    /// Unknown: everything runs.
    Everything,
    /// None: the trigger decides.
    Trigger,
    /// There is none, and the error says which command mends that.
    Refused,
}

pub(crate) fn commits(of: &[ObjectId]) -> Base {
    let mut commits = of.to_vec();
    commits.sort();
    commits.dedup();
    Base::Commits(commits)
}

const ZERO: &str = "0000000000000000000000000000000000000000";

/// The same event as every engine says it that knows such a thing; `built` is what is checked out.
pub(crate) fn runs(what: &What<'_>, built: ObjectId) -> Vec<Run> {
    let built = built.to_string();
    match what {
        What::Request { own, target, at, merge_base } => {
            let (own, at) = (own.to_string(), at.to_string());
            requests(&own, target, &at, &merge_base.to_string(), &built)
        }
        What::Queue { branch, base } => queues(branch, &base.to_string(), &built),
        What::Push { branch, before } => pushes(branch, before.map(|it| it.to_string()), &built),
        What::Tag(tag) => tags(tag, &built),
        What::Schedule => schedules(),
        What::Manual(branch) => by_hand(branch, &built),
    }
}

fn run(engine: &'static str, says: Says, variables: &[(&str, &str)], file: &str) -> Run {
    let variables =
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Run { engine, says, variables, file: file.to_owned() }
}

/// GitHub, Gitea and Forgejo, which sets what Gitea sets.
fn actions(says: Says, variables: &[(&str, &str)], file: &str, gitea: &str) -> Vec<Run> {
    let with = |more: &[(&'static str, &'static str)]| [variables, more].concat();
    let path = ("GITHUB_EVENT_PATH", "/event.json");
    vec![
        run("github", says, &with(&[path]), file),
        run("gitea", says, &with(&[path, ("GITEA_ACTIONS", "true")]), gitea),
        run(
            "forgejo",
            says,
            &with(&[path, ("GITEA_ACTIONS", "true"), ("FORGEJO_ACTIONS", "true")]),
            gitea,
        ),
    ]
}

fn requests(own: &str, target: &str, at: &str, merge_base: &str, built: &str) -> Vec<Run> {
    let file = |more: &str| {
        format!(
            r#"{{"pull_request":{{"base":{{"ref":"{target}","sha":"{at}"}},"head":{{"ref":"main","sha":"{own}"}}{more}}},
            "repository":{{"default_branch":"main"}}}}"#
        )
    };
    let gitea = file(&format!(r#","merge_base":"{merge_base}""#));
    let variables = [("GITHUB_EVENT_NAME", "pull_request"), ("GITHUB_BASE_REF", target)];
    let range = format!("{}...{}", &at[..12], &own[..12]);
    let reference = format!("refs/heads/{target}");
    let mut runs = actions(Says::Base, &variables, &file(""), &gitea);
    // A merge base is the whole answer, but only Gitea's head is checked out by default.
    runs.extend([
        run(
            "buildkite",
            Says::Own,
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_SOURCE", "webhook"),
                ("BUILDKITE_BRANCH", "someone:main"),
                ("BUILDKITE_COMMIT", own),
                ("BUILDKITE_PULL_REQUEST", "1"),
                ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", target),
            ],
            "",
        ),
        run(
            "woodpecker",
            Says::Own,
            &[
                ("CI", "woodpecker"),
                ("CI_PIPELINE_EVENT", "pull_request"),
                ("CI_COMMIT_BRANCH", target),
                ("CI_COMMIT_TARGET_BRANCH", target),
                ("CI_COMMIT_SHA", own),
            ],
            "",
        ),
        run(
            "drone",
            Says::Own,
            &[
                ("DRONE", "true"),
                ("DRONE_BUILD_EVENT", "pull_request"),
                ("DRONE_BRANCH", target),
                ("DRONE_TARGET_BRANCH", target),
                ("DRONE_COMMIT_SHA", own),
            ],
            "",
        ),
        run(
            "azure",
            Says::Own,
            &[
                ("TF_BUILD", "True"),
                ("BUILD_REASON", "PullRequest"),
                ("BUILD_SOURCEBRANCH", "refs/pull/1/merge"),
                ("SYSTEM_PULLREQUEST_TARGETBRANCH", &reference),
                ("SYSTEM_PULLREQUEST_SOURCECOMMITID", own),
            ],
            "",
        ),
        run(
            "bitbucket",
            Says::Base,
            &[
                ("BITBUCKET_BUILD_NUMBER", "1"),
                ("BITBUCKET_COMMIT", &own[..12]),
                ("BITBUCKET_BRANCH", "topic"),
                ("BITBUCKET_PR_ID", "1"),
                ("BITBUCKET_PR_DESTINATION_BRANCH", target),
                ("BITBUCKET_PR_DESTINATION_COMMIT", &at[..12]),
            ],
            "",
        ),
        run(
            "travis",
            Says::Own,
            &[
                ("TRAVIS", "true"),
                ("TRAVIS_EVENT_TYPE", "pull_request"),
                ("TRAVIS_BRANCH", target),
                ("TRAVIS_COMMIT_RANGE", &range),
                ("TRAVIS_COMMIT", built),
                ("TRAVIS_PULL_REQUEST", "1"),
                ("TRAVIS_PULL_REQUEST_SHA", own),
            ],
            "",
        ),
        run(
            "prow",
            Says::Base,
            &[
                ("PROW_JOB_ID", "1"),
                ("JOB_TYPE", "presubmit"),
                ("PULL_BASE_REF", target),
                ("PULL_BASE_SHA", at),
                ("PULL_PULL_SHA", own),
            ],
            "",
        ),
        run(
            "jenkins",
            Says::Branch,
            &[
                ("JENKINS_URL", "https://ci.example/"),
                ("BRANCH_NAME", "PR-1"),
                ("CHANGE_TARGET", target),
            ],
            "",
        ),
    ]);
    runs.push(run(
        "jenkins",
        Says::Own,
        &[
            ("JENKINS_URL", "https://ci.example/"),
            ("GIT_BRANCH", "detached"),
            ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", merge_base),
            ("ghprbTargetBranch", target),
            ("ghprbActualCommit", own),
        ],
        "",
    ));
    runs.push(run(
        "jenkins",
        Says::Branch,
        &[
            ("JENKINS_URL", "https://ci.example/"),
            ("GIT_BRANCH", "origin/feature"),
            ("gitlabMergeRequestIid", "1"),
            ("gitlabTargetBranch", target),
        ],
        "",
    ));
    if own == built {
        runs.push(run(
            "gitlab",
            Says::MergeBase,
            &[
                ("GITLAB_CI", "true"),
                ("CI_PIPELINE_SOURCE", "merge_request_event"),
                ("CI_MERGE_REQUEST_EVENT_TYPE", "detached"),
                ("CI_COMMIT_BEFORE_SHA", ZERO),
                ("CI_COMMIT_SHA", own),
                ("CI_DEFAULT_BRANCH", "main"),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", target),
                ("CI_MERGE_REQUEST_DIFF_BASE_SHA", merge_base),
            ],
            "",
        ));
        runs.push(run(
            "gitlab",
            Says::Base,
            &[
                ("GITLAB_CI", "true"),
                ("CI_PIPELINE_SOURCE", "external_pull_request_event"),
                ("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME", target),
                ("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA", at),
                ("CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA", own),
            ],
            "",
        ));
        // A request of a fork is a branch of its own to CircleCI.
        runs.push(run(
            "circleci",
            Says::Nothing,
            &[("CIRCLECI", "true"), ("CIRCLE_BRANCH", "pull/1"), ("CIRCLE_SHA1", own)],
            "",
        ));
    }
    runs
}

fn queues(branch: &str, base: &str, built: &str) -> Vec<Run> {
    let file = format!(
        r#"{{"merge_group":{{"base_ref":"refs/heads/{branch}","base_sha":"{base}","head_sha":"{built}"}}}}"#
    );
    let gitlab = |kind: &'static str| {
        run(
            "gitlab",
            Says::Base,
            &[
                ("GITLAB_CI", "true"),
                ("CI_PIPELINE_SOURCE", "merge_request_event"),
                ("CI_MERGE_REQUEST_EVENT_TYPE", kind),
                ("CI_COMMIT_SHA", built),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", branch),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", base),
                ("CI_MERGE_REQUEST_DIFF_BASE_SHA", base),
            ],
            "",
        )
    };
    let queue = format!("gh-readonly-queue/{branch}/pr-1");
    vec![
        run(
            "github",
            Says::Base,
            &[
                ("GITHUB_EVENT_NAME", "merge_group"),
                ("GITHUB_REF", &format!("refs/heads/{queue}")),
                ("GITHUB_EVENT_PATH", "/event.json"),
            ],
            &file,
        ),
        gitlab("merged_result"),
        gitlab("merge_train"),
        run(
            "buildkite",
            Says::Base,
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_SOURCE", "webhook"),
                ("BUILDKITE_BRANCH", &queue),
                ("BUILDKITE_COMMIT", built),
                ("BUILDKITE_PULL_REQUEST", "false"),
                ("BUILDKITE_MERGE_QUEUE_BASE_BRANCH", branch),
                ("BUILDKITE_MERGE_QUEUE_BASE_COMMIT", base),
            ],
            "",
        ),
        run(
            "prow",
            Says::Base,
            &[
                ("PROW_JOB_ID", "1"),
                ("JOB_TYPE", "batch"),
                ("PULL_BASE_REF", branch),
                ("PULL_BASE_SHA", base),
            ],
            "",
        ),
    ]
}

fn pushes(branch: &str, before: Option<String>, built: &str) -> Vec<Run> {
    let says = if before.is_some() { Says::Base } else { Says::New };
    let known = before.is_some();
    let before = before.unwrap_or_else(|| ZERO.to_owned());
    let reference = format!("refs/heads/{branch}");
    let file = format!(
        r#"{{"before":"{before}","after":"{built}","repository":{{"default_branch":"main"}}}}"#
    );
    let range = if known { format!("{}...{}", &before[..12], &built[..12]) } else { String::new() };
    let spec = format!(
        r#"{{"refs":{{"base_link":"https://forge.example/o/r/compare/{before}...{built}"}}}}"#
    );
    let previous = if known { before.as_str() } else { "" };
    let only = |yes: Says| if known { yes } else { Says::Nothing };
    let push = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", &reference)];
    let mut runs = actions(says, &push, &file, &file);
    runs.extend([
        run(
            "gitlab",
            says,
            &[
                ("GITLAB_CI", "true"),
                ("CI_PIPELINE_SOURCE", "push"),
                ("CI_COMMIT_BRANCH", branch),
                ("CI_COMMIT_BEFORE_SHA", &before),
                ("CI_COMMIT_SHA", built),
                ("CI_DEFAULT_BRANCH", "main"),
            ],
            "",
        ),
        run(
            "woodpecker",
            says,
            &[
                ("CI", "woodpecker"),
                ("CI_PIPELINE_EVENT", "push"),
                ("CI_COMMIT_BRANCH", branch),
                ("CI_COMMIT_SHA", built),
                ("CI_PREV_COMMIT_SHA", previous),
                ("CI_PREV_COMMIT_BRANCH", if known { branch } else { "" }),
                ("CI_PREV_PIPELINE_EVENT", if known { "push" } else { "" }),
            ],
            "",
        ),
        run(
            "drone",
            says,
            &[
                ("DRONE", "true"),
                ("DRONE_BUILD_EVENT", "push"),
                ("DRONE_BRANCH", branch),
                ("DRONE_COMMIT_BEFORE", &before),
                ("DRONE_COMMIT_SHA", built),
            ],
            "",
        ),
        run(
            "travis",
            says,
            &[
                ("TRAVIS", "true"),
                ("TRAVIS_EVENT_TYPE", "push"),
                ("TRAVIS_BRANCH", branch),
                ("TRAVIS_COMMIT_RANGE", &range),
                ("TRAVIS_COMMIT", built),
                ("TRAVIS_PULL_REQUEST", "false"),
            ],
            "",
        ),
        run(
            "prow",
            says,
            &[
                ("PROW_JOB_ID", "1"),
                ("JOB_TYPE", "postsubmit"),
                ("PULL_BASE_REF", branch),
                ("PULL_BASE_SHA", built),
                ("JOB_SPEC", &spec),
            ],
            "",
        ),
        run(
            "jenkins",
            only(Says::Base),
            &[
                ("JENKINS_URL", "https://ci.example/"),
                ("BRANCH_NAME", branch),
                ("GIT_BRANCH", branch),
                ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", previous),
                ("GIT_PREVIOUS_COMMIT", built),
            ],
            "",
        ),
        run(
            "buildkite",
            Says::Nothing,
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_SOURCE", "webhook"),
                ("BUILDKITE_BRANCH", branch),
                ("BUILDKITE_COMMIT", built),
                ("BUILDKITE_PULL_REQUEST", "false"),
            ],
            "",
        ),
        run(
            "azure",
            Says::Nothing,
            &[
                ("TF_BUILD", "True"),
                ("BUILD_REASON", "BatchedCI"),
                ("BUILD_SOURCEBRANCH", &reference),
            ],
            "",
        ),
        run(
            "bitbucket",
            Says::Nothing,
            &[
                ("BITBUCKET_BUILD_NUMBER", "1"),
                ("BITBUCKET_COMMIT", built),
                ("BITBUCKET_BRANCH", branch),
            ],
            "",
        ),
        run(
            "circleci",
            Says::Nothing,
            &[("CIRCLECI", "true"), ("CIRCLE_BRANCH", branch), ("CIRCLE_SHA1", built)],
            "",
        ),
    ]);
    runs
}

fn tags(tag: &str, built: &str) -> Vec<Run> {
    let reference = format!("refs/tags/{tag}");
    let file = format!(r#"{{"before":"{ZERO}","after":"{built}","ref":"{reference}"}}"#);
    let push = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", &reference)];
    let mut runs = actions(Says::Base, &push, &file, &file);
    let others: [(&'static str, Vec<(&str, &str)>); 9] = [
        (
            "gitlab",
            vec![
                ("CI_PIPELINE_SOURCE", "push"),
                ("CI_COMMIT_TAG", tag),
                ("CI_COMMIT_BEFORE_SHA", ZERO),
            ],
        ),
        (
            "buildkite",
            vec![
                ("BUILDKITE_SOURCE", "webhook"),
                ("BUILDKITE", "true"),
                ("BUILDKITE_BRANCH", tag),
                ("BUILDKITE_TAG", tag),
            ],
        ),
        ("woodpecker", vec![("CI_PIPELINE_EVENT", "tag"), ("CI_COMMIT_TAG", tag)]),
        ("drone", vec![("DRONE_BUILD_EVENT", "tag"), ("DRONE_TAG", tag), ("DRONE_BRANCH", "main")]),
        ("azure", vec![("BUILD_REASON", "IndividualCI"), ("BUILD_SOURCEBRANCH", &reference)]),
        ("bitbucket", vec![("BITBUCKET_BUILD_NUMBER", "1"), ("BITBUCKET_TAG", tag)]),
        ("circleci", vec![("CIRCLECI", "true"), ("CIRCLE_TAG", tag)]),
        (
            "travis",
            vec![("TRAVIS_EVENT_TYPE", "push"), ("TRAVIS_BRANCH", tag), ("TRAVIS_TAG", tag)],
        ),
        ("jenkins", vec![("JENKINS_URL", "x"), ("TAG_NAME", tag), ("BRANCH_NAME", tag)]),
    ];
    runs.extend(others.iter().map(|(engine, of)| run(engine, Says::Base, of, "")));
    runs
}

fn schedules() -> Vec<Run> {
    let mut runs = actions(Says::Base, &[("GITHUB_EVENT_NAME", "schedule")], "{}", "{}");
    let others: [(&'static str, &[(&str, &str)]); 8] = [
        ("gitlab", &[("CI_PIPELINE_SOURCE", "schedule"), ("CI_COMMIT_BRANCH", "main")]),
        ("buildkite", &[("BUILDKITE", "true"), ("BUILDKITE_SOURCE", "schedule")]),
        ("woodpecker", &[("CI_PIPELINE_EVENT", "cron"), ("CI_COMMIT_BRANCH", "main")]),
        ("drone", &[("DRONE_BUILD_EVENT", "cron"), ("DRONE_BRANCH", "main")]),
        ("azure", &[("BUILD_REASON", "Schedule"), ("BUILD_SOURCEBRANCH", "refs/heads/main")]),
        ("azure", &[("BUILD_REASON", "ScheduleForced"), ("BUILD_SOURCEBRANCH", "refs/heads/main")]),
        ("travis", &[("TRAVIS_EVENT_TYPE", "cron"), ("TRAVIS_BRANCH", "main")]),
        ("prow", &[("JOB_TYPE", "periodic"), ("PROW_JOB_ID", "1")]),
    ];
    runs.extend(others.iter().map(|(engine, of)| run(engine, Says::Base, of, "")));
    runs
}

fn by_hand(branch: &str, built: &str) -> Vec<Run> {
    let reference = format!("refs/heads/{branch}");
    let file = r#"{"repository":{"default_branch":"main"}}"#;
    let dispatch = [("GITHUB_EVENT_NAME", "workflow_dispatch"), ("GITHUB_REF", &reference)];
    let mut runs = actions(Says::Nothing, &dispatch, file, file);
    let others: [(&'static str, Vec<(&str, &str)>); 6] = [
        (
            "gitlab",
            vec![
                ("CI_PIPELINE_SOURCE", "web"),
                ("CI_COMMIT_BRANCH", branch),
                ("CI_COMMIT_BEFORE_SHA", ZERO),
                ("CI_COMMIT_SHA", built),
                ("CI_DEFAULT_BRANCH", "main"),
            ],
        ),
        (
            "buildkite",
            vec![
                ("BUILDKITE", "true"),
                ("BUILDKITE_SOURCE", "ui"),
                ("BUILDKITE_BRANCH", branch),
                ("BUILDKITE_COMMIT", built),
            ],
        ),
        (
            "woodpecker",
            vec![
                ("CI", "woodpecker"),
                ("CI_PIPELINE_EVENT", "manual"),
                ("CI_COMMIT_BRANCH", branch),
                ("CI_COMMIT_SHA", built),
                ("CI_PREV_COMMIT_SHA", built),
                ("CI_PREV_COMMIT_BRANCH", branch),
                ("CI_PREV_PIPELINE_EVENT", "push"),
            ],
        ),
        ("drone", vec![("DRONE_BUILD_EVENT", "custom"), ("DRONE_BRANCH", branch)]),
        ("azure", vec![("BUILD_REASON", "Manual"), ("BUILD_SOURCEBRANCH", &reference)]),
        (
            "travis",
            vec![("TRAVIS_EVENT_TYPE", "api"), ("TRAVIS_BRANCH", branch), ("TRAVIS_COMMIT", built)],
        ),
    ];
    runs.extend(others.iter().map(|(engine, of)| run(engine, Says::Nothing, of, "")));
    runs
}

/// The server's repository, on whose `main` there is one commit.
pub(crate) struct Forge {
    pub(crate) sandbox: Sandbox,
    pub(crate) first: ObjectId,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
            sandbox.git(&["config", key, "true"]);
        }
        let lane =
            "version = 1\n[[branch.lanes]]\nid = \"a\"\ncommand = [\"true\"]\npaths = [\"**\"]\n";
        sandbox.write("ci/forge-lanes.toml", lane);
        let first = sandbox.commit_file("first");
        Self { sandbox, first }
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.sandbox.git(args)
    }

    pub(crate) fn at(&self, revision: &str) -> ObjectId {
        self.sandbox.id(revision)
    }

    /// Commits each file to a branch, which starts at a commit when it is new; the last of them.
    pub(crate) fn commit(&self, branch: &str, from: ObjectId, files: &[&str]) -> ObjectId {
        let exists = !self.git(&["branch", "--list", branch]).is_empty();
        if exists {
            self.git(&["checkout", "-q", branch]);
        } else {
            self.git(&["checkout", "-q", "-b", branch, &from.to_string()]);
        }
        files.iter().map(|file| self.sandbox.commit_file(file)).last().expect("a file")
    }

    /// A merge of two commits that no branch has.
    pub(crate) fn merge_of(&self, one: ObjectId, other: ObjectId) -> ObjectId {
        self.git(&["checkout", "-q", "--detach", &one.to_string()]);
        self.git(&["merge", "-q", "--no-ff", "-m", "a merge", &other.to_string()]);
        self.at("HEAD")
    }

    pub(crate) fn set(&self, branch: &str, commit: ObjectId) {
        self.git(&["checkout", "-q", "--detach"]);
        self.git(&["branch", "-q", "-f", branch, &commit.to_string()]);
    }

    /// A clone with a commit checked out, detached.
    pub(crate) fn clone_at(&self, name: &str, head: ObjectId, options: &[&str]) -> PathBuf {
        let clone = self.sandbox.beside(name);
        let _ = std::fs::remove_dir_all(&clone);
        let origin = format!("file://{}", self.sandbox.root().display());
        let mut command = self.sandbox.command(&self.sandbox.root());
        command.args([&["clone", "-q", "--no-checkout"], options, &[&origin]].concat()).arg(&clone);
        finish(command, &[]);
        let depth: Vec<&str> = options.iter().copied().filter(|it| it.contains("depth")).collect();
        let head = head.to_string();
        self.in_clone(&clone, &[&["fetch", "-q"], &depth[..], &["origin", &head]].concat());
        self.in_clone(&clone, &["checkout", "-q", "--detach", &head]);
        // Engines fetch references; which one the server's `HEAD` is they do not learn.
        self.in_clone(&clone, &["remote", "set-head", "origin", "--delete"]);
        self.sandbox.settle(&clone);
        clone
    }

    pub(crate) fn in_clone(&self, clone: &Path, args: &[&str]) -> String {
        let output = self.sandbox.git_in(clone, args);
        String::from_utf8(output).expect("text").trim_end().to_owned()
    }
}

/// The base that an engine's variables lead to, and the paths that differ.
pub(crate) fn found(clone: &Path, run: &Run, remote: Option<&str>) -> (Base, Vec<String>) {
    let event = Event::from_environment(&run.variables, &|_| Some(run.file.as_bytes().to_vec()));
    let event = event.unwrap_or_else(|| panic!("{} says nothing", run.engine));
    assert_eq!(event.engine, run.engine, "{:?}", run.variables);
    let request = Request {
        dir: clone.to_owned(),
        event: Some(event),
        remote: remote.map(str::to_owned),
        ..Request::default()
    };
    let context = RepoContext::open(&request).expect("a head");
    let changed = match context.changes(&request, None) {
        Ok(changed) => changed,
        Err(planner::RepoContextError::Git(
            GitError::NoDefaultBranch { .. }
            | GitError::EventCommit { .. }
            | GitError::Shallow { .. }
            | GitError::MissingObject { .. },
        )) => return (Base::Refused, Vec::new()),
        Err(error) => panic!("{}: {error}", run.engine),
    };
    let Source::Change(source) = &changed.source else { panic!("a change") };
    let from = source.base_from.as_ref().expect("the step is recorded").as_str();
    assert!(from.starts_with(&format!("event:{}:", run.engine)), "{from}");
    let paths = changed.changes.iter().map(|change| change.path.display().into_owned()).collect();
    let base = match source.base_mode {
        BaseMode::All => Base::Trigger,
        BaseMode::Unknown => Base::Everything,
        _ if changed.base_is_empty => Base::Empty,
        _ => {
            let search = context.base_search(&request, None).expect("a search");
            commits(&search.found.expect("a base").commits)
        }
    };
    (base, paths)
}
