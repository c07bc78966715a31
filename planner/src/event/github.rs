//! GitHub Actions: the event is a file, and what it holds depends on its kind.
//!
//! The merge ref of a pull request (`refs/pull/N/merge`) is what is checked out by default; a
//! `pull_request_target` checks out the base branch instead, and then head is not the request.

use serde_json::Value;

use super::{
    Before, Claim, Engine, Environment, Event, EventKind, Variable, number, plain_branch, variable,
};

pub(super) const VARIABLES: &[Variable] = &[
    variable("GITHUB_EVENT_NAME", "which event: `push`, `pull_request`, `merge_group`, …"),
    variable("GITHUB_EVENT_PATH", "the event: `.pull_request.base.sha`, `.before`, …"),
    variable("GITHUB_BASE_REF", "the branch a pull request goes to"),
    variable("GITHUB_REF", "what was pushed: a branch, a tag, a pull request's ref"),
    variable("FORGEJO_ACTIONS", "`true` under Forgejo"),
    variable("GITEA_ACTIONS", "`true` under Gitea, and under Forgejo for likeness"),
];

pub(super) const GITHUB: Engine = Engine {
    word: "github",
    name: "GitHub Actions",
    documented: &[
        "https://docs.github.com/en/actions/reference/workflows-and-actions/variables",
        "https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows",
        "https://docs.github.com/en/webhooks/webhook-events-and-payloads",
    ],
    variables: VARIABLES,
    read: |environment| read(environment, "github"),
};

/// Reads GitHub's variables for `engine`, which is GitHub or one that sets the same.
pub(super) fn read(environment: &Environment<'_>, engine: &'static str) -> Option<Event> {
    let name = match environment.get("GITHUB_EVENT_NAME") {
        Some(name) => name,
        None if environment.has("GITHUB_BASE_REF") => "pull_request",
        None => return None,
    };
    let mut notes = Vec::new();
    let event = match environment.get("GITHUB_EVENT_PATH") {
        None => Value::Null,
        Some(path) => {
            let read = (environment.read_file)(path);
            read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(|| {
                notes.push(format!("GITHUB_EVENT_PATH names `{path}`, which cannot be read"));
                Value::Null
            })
        }
    };
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).filter(|it| !it.is_empty());
    let reference = environment.get("GITHUB_REF").or_else(|| text("/ref"));
    let branch = || {
        let reference = reference?;
        if reference.starts_with("refs/heads/") || !reference.starts_with("refs/") {
            return Some(plain_branch(reference));
        }
        None
    };
    let tag = reference.and_then(|it| it.strip_prefix("refs/tags/")).map(str::to_owned);
    let mut head = None;
    let kind = match name {
        "schedule" => EventKind::Schedule,
        "merge_group" => {
            head = text("/merge_group/head_sha")
                .and_then(|it| Claim::new(it, "GITHUB_EVENT_PATH .merge_group.head_sha"));
            EventKind::Merged {
                word: "merge_group",
                branch: text("/merge_group/base_ref").map(plain_branch),
                base: text("/merge_group/base_sha")
                    .and_then(|it| Claim::new(it, "GITHUB_EVENT_PATH .merge_group.base_sha")),
                merge_base: None,
            }
        }
        _ if name.starts_with("pull_request") || environment.has("GITHUB_BASE_REF") => {
            head = text("/pull_request/head/sha")
                .and_then(|it| Claim::new(it, "GITHUB_EVENT_PATH .pull_request.head.sha"));
            // Gitea and Forgejo say it; GitHub does not have the key.
            let merge_base = text("/pull_request/merge_base")
                .and_then(|it| Claim::new(it, "GITHUB_EVENT_PATH .pull_request.merge_base"));
            EventKind::Request {
                branch: environment
                    .branch("GITHUB_BASE_REF")
                    .or_else(|| text("/pull_request/base/ref").map(plain_branch)),
                base: text("/pull_request/base/sha")
                    .and_then(|it| Claim::new(it, "GITHUB_EVENT_PATH .pull_request.base.sha")),
                merge_base,
            }
        }
        "push" | "create" | "release" if tag.is_some() => EventKind::Tag { name: tag },
        "push" => {
            head = text("/after").and_then(|it| Claim::new(it, "GITHUB_EVENT_PATH .after"));
            let before = Before::new(text("/before"), "GITHUB_EVENT_PATH .before");
            EventKind::Push { branch: branch(), before }
        }
        "create" => {
            EventKind::Push { branch: branch(), before: Before::New("GITHUB_EVENT_NAME=create") }
        }
        _ => EventKind::Manual { branch: branch() },
    };
    let default_branch = text("/repository/default_branch").map(str::to_owned);
    let request = match kind {
        EventKind::Request { .. } => {
            let said = event.pointer("/pull_request/number").or_else(|| event.pointer("/number"));
            let of_reference = || reference?.strip_prefix("refs/pull/")?.split('/').next();
            let said = said.and_then(Value::as_u64).map(|number| number.to_string());
            said.or_else(|| of_reference().and_then(number))
        }
        _ => None,
    };
    Some(Event { engine, kind, default_branch, head, request, notes })
}
