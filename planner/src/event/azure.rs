//! Azure Pipelines: builds the merge of a pull request, and does not say where a pushed branch was.

use super::{Before, Engine, Event, EventKind, plain_branch, variable};

pub(super) const AZURE: Engine = Engine {
    word: "azure",
    name: "Azure Pipelines",
    documented: &[
        "https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables",
        // The text of that page: names, reasons, and an example of each value.
        "https://github.com/MicrosoftDocs/azure-devops-docs/blob/main/docs/pipelines/build/variables.md",
    ],
    variables: &[
        variable("TF_BUILD", "`True`"),
        variable(
            "BUILD_REASON",
            "`IndividualCI`, `BatchedCI`, `PullRequest`, `Schedule`, `ScheduleForced`, …",
        ),
        variable("BUILD_SOURCEBRANCH", "the branch, tag or request, as a reference"),
        variable("SYSTEM_PULLREQUEST_TARGETBRANCH", "the branch the request goes to"),
        variable("SYSTEM_PULLREQUEST_PULLREQUESTID", "the request's id"),
        variable("SYSTEM_PULLREQUEST_SOURCECOMMITID", "the request's head"),
    ],
    read: |environment| {
        let reason = environment.get("BUILD_REASON");
        if reason.is_none() && !environment.has("TF_BUILD") {
            return None;
        }
        let reference = environment.get("BUILD_SOURCEBRANCH");
        let branch = reference.filter(|it| it.starts_with("refs/heads/")).map(plain_branch);
        let tag = reference.and_then(|it| it.strip_prefix("refs/tags/")).map(str::to_owned);
        let kind = if environment.has("SYSTEM_PULLREQUEST_TARGETBRANCH") {
            let branch = environment.branch("SYSTEM_PULLREQUEST_TARGETBRANCH");
            EventKind::Request { branch, base: None, merge_base: None }
        } else if matches!(reason, Some("Schedule" | "ScheduleForced")) {
            EventKind::Schedule
        } else if tag.is_some() {
            EventKind::Tag { name: tag }
        } else if matches!(reason, Some("IndividualCI" | "BatchedCI")) {
            EventKind::Push { branch, before: Before::Unsaid }
        } else {
            // Also a request whose target is not told, as where no branch policy asks for the build.
            EventKind::Manual { branch }
        };
        let head = environment.claim("SYSTEM_PULLREQUEST_SOURCECOMMITID");
        let request = environment.request(&kind, &["SYSTEM_PULLREQUEST_PULLREQUESTID"]);
        Some(Event { head, request, ..Event::new("azure", kind) })
    },
};
