//! Gitea and Forgejo Actions: the variables and the event file of GitHub, with differences.
//!
//! A pull request's run checks out its head (`refs/pull/N/head`), not a merge, and its event also
//! has `.pull_request.merge_base`. There is no merge queue.

use super::{Engine, github};

pub(super) const GITEA: Engine = Engine {
    word: "gitea",
    name: "Gitea Actions",
    documented: &[
        "https://docs.gitea.com/usage/actions/comparison",
        "https://docs.gitea.com/usage/webhooks",
        // `merge_base` and `base.sha` of a request.
        "https://github.com/go-gitea/gitea/blob/main/modules/structs/pull.go",
    ],
    variables: github::VARIABLES,
    read: |environment| {
        environment.get("GITEA_ACTIONS").filter(|it| *it == "true")?;
        github::read(environment, "gitea")
    },
};

pub(super) const FORGEJO: Engine = Engine {
    word: "forgejo",
    name: "Forgejo Actions",
    documented: &[
        "https://forgejo.org/docs/latest/user/actions/reference/",
        // Each `GITHUB_*` variable is there beside `FORGEJO_*`; runners before 7.0 set
        // `GITEA_ACTIONS` alone.
        "https://code.forgejo.org/forgejo/runner/src/branch/main/internal/app/run/runner.go",
    ],
    variables: github::VARIABLES,
    read: |environment| {
        environment.get("FORGEJO_ACTIONS").filter(|it| *it == "true")?;
        github::read(environment, "forgejo")
    },
};
