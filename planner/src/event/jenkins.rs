//! Jenkins: multibranch projects name the target of a change, the git plugin the commit of the
//! previous build. The last that succeeded comes first: what failed since is owed.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const JENKINS: Engine = Engine {
    word: "jenkins",
    name: "Jenkins",
    documented: &[
        "https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables",
        "https://plugins.jenkins.io/git/#plugin-content-environment-variables",
        "https://plugins.jenkins.io/branch-api/",
        "https://plugins.jenkins.io/ghprb/",
        "https://plugins.jenkins.io/gitlab-plugin/",
    ],
    variables: &[
        variable("JENKINS_URL", "the server's address"),
        variable("CHANGE_TARGET", "the branch the change goes to"),
        variable("ghprbTargetBranch", "the same, from the plugin GitHub Pull Request Builder"),
        variable("CHANGE_ID", "the change's number"),
        variable("ghprbPullId", "the number of that request"),
        variable("ghprbActualCommit", "the head of that request"),
        variable("gitlabMergeRequestIid", "the number of a merge request, from the GitLab plugin"),
        variable("gitlabTargetBranch", "the branch that merge request goes to"),
        variable("TAG_NAME", "the tag"),
        variable("BRANCH_NAME", "the branch; of a change, `PR-N`"),
        variable("BRANCH_IS_PRIMARY", "`true` on the default branch"),
        variable("GIT_BRANCH", "the branch, with its remote, in a project of one branch"),
        variable("GIT_PREVIOUS_SUCCESSFUL_COMMIT", "the commit of the last build that succeeded"),
        variable("GIT_PREVIOUS_COMMIT", "the commit of the last build"),
    ],
    read: |environment| {
        if !environment.has("JENKINS_URL") && !environment.has("CHANGE_TARGET") {
            return None;
        }
        let branch = environment.branch("BRANCH_NAME").or_else(|| {
            let branch = environment.get("GIT_BRANCH")?;
            Some(branch.strip_prefix("origin/").unwrap_or(branch).to_owned())
        });
        let primary = environment.get("BRANCH_IS_PRIMARY") == Some("true");
        let default_branch = branch.clone().filter(|_| primary);
        let of_gitlab = || {
            environment.get("gitlabMergeRequestIid")?;
            environment.branch("gitlabTargetBranch")
        };
        let target = environment
            .branch("CHANGE_TARGET")
            .or_else(|| environment.branch("ghprbTargetBranch"))
            .or_else(of_gitlab);
        let kind = if target.is_some() {
            EventKind::Request { branch: target, base: None, merge_base: None }
        } else if environment.has("TAG_NAME") {
            EventKind::Tag { name: environment.owned("TAG_NAME") }
        } else {
            let before = match Before::new(
                environment.get("GIT_PREVIOUS_SUCCESSFUL_COMMIT"),
                "GIT_PREVIOUS_SUCCESSFUL_COMMIT",
            ) {
                Before::Unsaid => {
                    Before::new(environment.get("GIT_PREVIOUS_COMMIT"), "GIT_PREVIOUS_COMMIT")
                }
                before => before,
            };
            EventKind::Push { branch, before: before.of_a_run() }
        };
        let head = environment.claim("ghprbActualCommit");
        let numbers = ["CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid"];
        let request = environment.request(&kind, &numbers);
        Some(Event { default_branch, head, request, ..Event::new("jenkins", kind) })
    },
};
