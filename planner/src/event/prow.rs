//! Prow: merges what it tests itself, on a base that it names; a batch is several requests at once.
//!
//! Where a branch was before a push is only in `JOB_SPEC`, in the link to the comparison.

use serde_json::Value;

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const PROW: Engine = Engine {
    word: "prow",
    name: "Prow",
    documented: &[
        "https://docs.prow.k8s.io/docs/jobs/#job-environment-variables",
        // Which job has which variables: a batch has no `PULL_PULL_SHA`, a periodic job no branch.
        "https://github.com/kubernetes-sigs/prow/blob/main/pkg/pod-utils/downwardapi/jobspec.go",
        // `base_link` is the push event's `compare`.
        "https://github.com/kubernetes-sigs/prow/blob/main/pkg/plugins/trigger/push.go",
    ],
    variables: &[
        variable("PROW_JOB_ID", "the run's id"),
        variable("JOB_TYPE", "`presubmit`, `postsubmit`, `batch` or `periodic`"),
        variable("JOB_SPEC", "the job as JSON: `.refs.base_ref`, `.refs.base_link`, …"),
        variable("PULL_BASE_REF", "the branch the requests go to"),
        variable("PULL_BASE_SHA", "its commit; of a push, the commit pushed"),
        variable("PULL_NUMBER", "the number of the one request"),
        variable("PULL_PULL_SHA", "the head of the one request"),
    ],
    read: |environment| {
        let kind = environment.get("JOB_TYPE")?;
        if !environment.has("PROW_JOB_ID")
            && !environment.has("JOB_SPEC")
            && !environment.has("PULL_BASE_REF")
        {
            return None;
        }
        let branch = environment.branch("PULL_BASE_REF");
        let base = environment.claim("PULL_BASE_SHA");
        let mut head = environment.claim("PULL_PULL_SHA");
        let kind = match kind {
            "presubmit" => EventKind::Request { branch, base, merge_base: None },
            "batch" => EventKind::Merged { word: "batch", branch, base, merge_base: None },
            "postsubmit" => {
                head = base;
                let spec: Option<Value> =
                    environment.get("JOB_SPEC").and_then(|it| serde_json::from_str(it).ok());
                let link = spec.as_ref().and_then(|it| it.pointer("/refs/base_link")?.as_str());
                let range = link.and_then(|link| link.rsplit_once("/compare/"));
                let from = range.and_then(|(_, range)| range.split_once("...")).map(|it| it.0);
                EventKind::Push { branch, before: Before::new(from, "JOB_SPEC .refs.base_link") }
            }
            "periodic" => EventKind::Schedule,
            _ => EventKind::Manual { branch },
        };
        let request = environment.request(&kind, &["PULL_NUMBER"]);
        Some(Event { head, request, ..Event::new("prow", kind) })
    },
};
