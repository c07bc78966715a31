//! What the forge says about the pull request being built.
//!
//! Owns the names of the forges' variables, and nothing else: the environment is an argument, and
//! so is the one file GitHub points to. Which commit follows from it is decided in [`crate::git`].

use std::collections::BTreeMap;

use serde::Deserialize;

/// The target of the pull request (merge request) that a forge is building.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The branch it is to be merged into.
    pub base_branch: Option<String>,
    /// A commit of that branch, as the forge saw it.
    pub base_commit: Option<String>,
    /// Whether the commit is the merge base itself (GitLab), and so to be preferred to the branch.
    pub commit_first: bool,
    /// Where this was read: `GITHUB_BASE_REF=main`.
    pub read_from: String,
}

impl PullRequest {
    /// Reads the variables of GitHub, GitLab and Buildkite, in this order. `read_file` is asked for
    /// GitHub's event (`GITHUB_EVENT_PATH`); an event that cannot be read is no event.
    #[must_use]
    pub fn from_environment(
        variables: &BTreeMap<String, String>,
        read_file: impl FnOnce(&str) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        // Forges set a variable to nothing where it does not apply.
        let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();

        if let Some(branch) = variable("GITHUB_BASE_REF") {
            let event = variable("GITHUB_EVENT_PATH").and_then(|path| read_file(&path));
            return Some(Self {
                read_from: format!("GITHUB_BASE_REF={branch}"),
                base_branch: Some(branch),
                base_commit: event.as_deref().and_then(github_base_commit),
                commit_first: false,
            });
        }
        let branch = variable("CI_MERGE_REQUEST_TARGET_BRANCH_NAME");
        let commit = variable("CI_MERGE_REQUEST_DIFF_BASE_SHA");
        if branch.is_some() || commit.is_some() {
            let named = [
                ("CI_MERGE_REQUEST_DIFF_BASE_SHA", &commit),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", &branch),
            ];
            let read_from: Vec<String> = named
                .iter()
                .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")))
                .collect();
            return Some(Self {
                read_from: read_from.join(", "),
                base_branch: branch,
                base_commit: commit,
                commit_first: true,
            });
        }
        let branch = variable("BUILDKITE_PULL_REQUEST_BASE_BRANCH")?;
        Some(Self {
            read_from: format!("BUILDKITE_PULL_REQUEST_BASE_BRANCH={branch}"),
            base_branch: Some(branch),
            base_commit: None,
            commit_first: false,
        })
    }
}

/// The two fields of GitHub's event that matter here. The rest of it is not ours to check.
#[derive(Deserialize)]
struct Event {
    pull_request: EventPullRequest,
}

#[derive(Deserialize)]
struct EventPullRequest {
    base: EventBase,
}

#[derive(Deserialize)]
struct EventBase {
    sha: String,
}

fn github_base_commit(event: &[u8]) -> Option<String> {
    let event: Event = serde_json::from_slice(event).ok()?;
    Some(event.pull_request.base.sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], event: Option<&str>) -> Option<PullRequest> {
        let variables =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        PullRequest::from_environment(&variables, |_| event.map(|text| text.as_bytes().to_vec()))
    }

    #[test]
    fn without_a_pull_request_there_is_none() {
        assert_eq!(read(&[], None), None);
        let unset = [("GITHUB_BASE_REF", ""), ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "")];
        assert_eq!(read(&unset, None), None);
    }

    #[test]
    fn github_names_the_branch_and_its_event_the_commit() {
        let variables = [("GITHUB_BASE_REF", "main"), ("GITHUB_EVENT_PATH", "/event.json")];
        let event = r#"{"action":"opened","pull_request":{"base":{"ref":"main","sha":"4b1d"}}}"#;
        let found = read(&variables, Some(event)).expect("a pull request");
        assert_eq!(found.base_branch.as_deref(), Some("main"));
        assert_eq!(found.base_commit.as_deref(), Some("4b1d"));
        assert_eq!(found.read_from, "GITHUB_BASE_REF=main");
        for unreadable in [None, Some("{"), Some("[]"), Some(r#"{"pull_request":null}"#)] {
            let found = read(&variables, unreadable).expect("a pull request");
            assert_eq!(found.base_commit, None);
        }
    }

    #[test]
    fn gitlab_names_the_merge_base_itself() {
        let variables = [
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "4b1d"),
        ];
        let found = read(&variables, None).expect("a merge request");
        assert!(found.commit_first);
        assert_eq!(found.base_commit.as_deref(), Some("4b1d"));
        assert_eq!(found.base_branch.as_deref(), Some("main"));
    }

    #[test]
    fn buildkite_names_the_branch() {
        let found = read(&[("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "release")], None);
        assert_eq!(found.expect("a pull request").base_branch.as_deref(), Some("release"));
    }
}
