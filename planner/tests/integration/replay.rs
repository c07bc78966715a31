//! The events that can be read from the history of a real repository, planned by what engines say:
//! the paths are never less than what git itself says the event brought.
//!
//! `scripts/replay-events` names repositories in `FORGE_LANES_REPOSITORIES`; without it a small one
//! is made. Every merge on the default branch's own line is a request and a push; a commit of one
//! parent is a push; commits whose committer is the same, within a minute each, were pushed at once,
//! unless their subjects end in the number of a request (`(#17)`), which is one squashed commit. As
//! the history is over, every event is planned late: the default branch is where it is today.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use planner::{
    event,
    git::{BaseContext, BaseRequest, ObjectId, Repository},
};
use plans::BaseMode;

use crate::{
    forge::{Says, What, runs},
    sandbox::Sandbox,
};

/// A commit of the default branch's own line.
struct Commit {
    id: ObjectId,
    parents: Vec<ObjectId>,
    committed: i64,
    committer: String,
    subject: String,
}

/// What happened.
struct Happened {
    /// A request has a commit of its own; a push has not.
    request: Option<ObjectId>,
    before: ObjectId,
    head: ObjectId,
    commits: usize,
}

#[derive(Default)]
struct Figures {
    events: usize,
    requests: usize,
    several: usize,
    commits: usize,
    less: usize,
    equal: usize,
    more: usize,
    everything: usize,
    refused: usize,
}

fn git(repository: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(repository: &Path, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&git(repository, arguments)).trim().to_owned()
}

fn id(text: &str) -> ObjectId {
    text.parse().expect("an object id")
}

/// The default branch's own line, the newest first.
fn line(repository: &Path, most: usize) -> Vec<Commit> {
    let most = format!("--max-count={most}");
    let format = "--format=%H%x00%P%x00%ct%x00%cn <%ce>%x00%s";
    let log = text(repository, &["log", "--first-parent", &most, format, "HEAD"]);
    let commits = log.lines().map(|line| {
        let fields: Vec<&str> = line.split('\0').collect();
        let &[commit, parents, committed, committer, subject] = fields.as_slice() else {
            panic!("a line of git log: {line}");
        };
        Commit {
            id: id(commit),
            parents: parents.split(' ').filter(|it| !it.is_empty()).map(id).collect(),
            committed: committed.parse().expect("seconds"),
            committer: committer.to_owned(),
            subject: subject.to_owned(),
        }
    });
    commits.collect()
}

/// Whether a commit is a request, squashed by the forge: its subject ends in `(#17)` or `(!17)`.
fn is_squashed(commit: &Commit) -> bool {
    let number = commit.subject.strip_suffix(')').and_then(|it| it.rsplit_once('('));
    let digits = number.and_then(|(_, number)| number.strip_prefix(['#', '!']));
    digits.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads the events from the line, the newest first.
fn events(repository: &Path, line: &[Commit]) -> Vec<Happened> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let newest = &line[at];
        let Some(&before) = newest.parents.first() else { break };
        if let [_, others @ ..] = newest.parents.as_slice()
            && !others.is_empty()
        {
            let range = format!("{before}..{}", newest.id);
            let commits = text(repository, &["rev-list", "--count", &range]);
            let commits = commits.parse().expect("a number");
            let push = Happened { request: None, before, head: newest.id, commits };
            if let &[own] = others
                && commits > 1
            {
                let request = Some(own);
                found.push(Happened { request, before, head: newest.id, commits: commits - 1 });
            }
            found.push(push);
            at += 1;
            continue;
        }
        // As many as the same committer wrote at once.
        let mut last = at;
        while !is_squashed(newest)
            && let Some(next) = line.get(last + 1)
            && next.parents.len() == 1
            && !is_squashed(next)
            && next.committer == newest.committer
            && (line[last].committed - next.committed).abs() <= 60
        {
            last += 1;
        }
        let before = line[last].parents[0];
        let commits = last + 1 - at;
        found.push(Happened { request: None, before, head: newest.id, commits });
        at = last + 1;
    }
    found
}

/// The paths that git says differ between two commits.
fn differ(repository: &Path, one: ObjectId, other: ObjectId) -> BTreeSet<Vec<u8>> {
    let (one, other) = (one.to_string(), other.to_string());
    let arguments = ["diff-tree", "-r", "--no-renames", "--name-only", "-z", &one, &other];
    let names = git(repository, &arguments);
    names.split(|&byte| byte == 0).filter(|it| !it.is_empty()).map(<[u8]>::to_vec).collect()
}

#[expect(clippy::print_stderr, reason = "what is less is told at once")]
fn replay(path: &Path, most: usize) -> Figures {
    let branch = text(path, &["symbolic-ref", "--short", "HEAD"]);
    let repository = Repository::open(path).expect("the repository opens");
    let mut figures = Figures::default();
    for (number, happened) in events(path, &line(path, most)).iter().enumerate() {
        let before = happened.before;
        // A request is checked out as its own head, or as the merge that arrived.
        let (head, bases) = match happened.request {
            Some(own) if number % 2 == 0 => {
                let found =
                    text(path, &["merge-base", "--all", &before.to_string(), &own.to_string()]);
                (own, found.lines().map(id).collect())
            }
            _ => (happened.head, vec![before]),
        };
        let Some(&first) = bases.first() else { continue };
        let what = match happened.request {
            Some(own) => What::Request { own, target: &branch, at: before, merge_base: first },
            None => What::Push { branch: &branch, before: Some(before) },
        };
        let mut said = runs(&what, head);
        let said = said.swap_remove(number % said.len());
        let mut brought = BTreeSet::new();
        // GitLab names one merge base, be there several.
        let of = if said.says == Says::MergeBase { &bases[..1] } else { &bases[..] };
        for &base in of {
            brought.extend(differ(path, base, head));
        }
        figures.events += 1;
        figures.requests += usize::from(happened.request.is_some());
        figures.several += usize::from(happened.request.is_none() && happened.commits > 1);
        figures.commits += happened.commits;
        let file = |_: &str| Some(said.file.clone().into_bytes());
        let event = event::Event::from_environment(&said.variables, &file).expect("an event");
        let context = BaseContext {
            default_branch: Some(&branch),
            event: Some(&event),
            ..BaseContext::default()
        };
        let found = repository.head(Some(&head.to_string())).expect("the commit is there");
        let Ok(base) = repository.base(&found, &BaseRequest::Default, &context) else {
            figures.refused += 1;
            continue;
        };
        if base.mode == BaseMode::Unknown {
            figures.everything += 1;
            continue;
        }
        let changes = repository.changes(&base, found.tree).expect("changes");
        let planned: BTreeSet<Vec<u8>> =
            changes.iter().map(|change| change.path.as_bytes().to_vec()).collect();
        if !planned.is_superset(&brought) {
            figures.less += 1;
            eprintln!("LESS: {} at {head}: {:?} {:?}", path.display(), said.variables, base.trail);
        } else if planned == brought {
            figures.equal += 1;
        } else {
            figures.more += 1;
        }
    }
    figures
}

/// A repository with a merged request, a squashed one, and a push of three commits.
fn small() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit_file("first");
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.commit_file("one");
    sandbox.commit_file("two");
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.commit_file("three (#2)");
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge pull request #1", "topic"]);
    for name in ["four", "five", "six"] {
        sandbox.commit_file(name);
    }
    sandbox
}

#[test]
#[expect(clippy::print_stdout, reason = "a table for people")]
fn no_event_of_a_real_history_selects_less_than_it_brought() {
    let most = std::env::var("FORGE_LANES_COMMITS").ok();
    let most = most.map_or(1_000, |text| text.parse().expect("a number of commits"));
    let made;
    let repositories: Vec<PathBuf> = match std::env::var_os("FORGE_LANES_REPOSITORIES") {
        Some(list) => std::env::split_paths(&list).collect(),
        None => {
            made = small();
            vec![made.root()]
        }
    };
    println!(
        "{:<32} {:>7} {:>9} {:>8} {:>8} {:>5} {:>6} {:>5} {:>10} {:>8}",
        "repository",
        "events",
        "requests",
        "several",
        "commits",
        "less",
        "equal",
        "more",
        "everything",
        "refused"
    );
    let mut less = 0;
    for path in &repositories {
        let figures = replay(path, most);
        let Figures { events, requests, several, commits, equal, more, everything, .. } = figures;
        let parts: Vec<String> =
            path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let name = parts.iter().rev().find(|it| *it != "repo" && *it != ".git");
        let name = name.map_or("?", |name| name.trim_end_matches(".git")).replace('+', "/");
        println!(
            "{name:<32} {events:>7} {requests:>9} {several:>8} {commits:>8} {:>5} {equal:>6} \
             {more:>5} {everything:>10} {:>8}",
            figures.less, figures.refused
        );
        less += figures.less;
        assert_eq!(events, equal + more + everything + figures.less + figures.refused);
        assert!(equal > 0, "some engine says what was before");
    }
    assert_eq!(less, 0, "less than an event brought");
}
