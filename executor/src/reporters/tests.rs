//! What reporters write, for one record with every kind of end in it.

use crate::{
    outcome::{LaneOutcome, Outcome},
    record::{LaneRecord, NodeRecord, Record, RetriedAttempt, RunOutcome},
};

fn node(id: &str, outcome: Outcome) -> NodeRecord {
    let text = format!(r#"{{ "id": "{id}", "outcome": "{outcome}", "attempts": 1 }}"#);
    serde_json::from_str(&text).expect("a record of a node")
}

/// Hostile where a job or a manifest can be.
pub(super) fn record() -> Record {
    let mut failed = node("execute-failed", Outcome::Failed);
    failed.exit_code = Some(101);
    failed.duration_ms = Some(1_500);
    failed.placement = Some("local".to_owned());
    failed.runtime = Some("host_process".to_owned());
    failed.message = Some("it exited\n::error::100% a|b <script>\u{1b}[31m".to_owned());
    failed.retried = vec![RetriedAttempt {
        attempt: 1,
        outcome: Outcome::InfraFailed,
        exit_code: None,
        failure_kind: Some("lost".to_owned()),
        message: Some("the job is gone".to_owned()),
        started_at: Some("2026-01-01T00:00:01.000Z".to_owned()),
        duration_ms: Some(20),
    }];
    let mut infra = node("execute-infra", Outcome::InfraFailed);
    infra.failure_kind = Some("unreachable".to_owned());
    let mut skipped = node("execute-skipped", Outcome::Skipped);
    skipped.attempts = 0;
    skipped.because = Some("`execute-failed` failed".to_owned());
    let mut flaky = node("execute-flaky", Outcome::Passed);
    flaky.retried =
        vec![RetriedAttempt { attempt: 1, outcome: Outcome::Failed, ..failed.retried[0].clone() }];
    Record {
        format_version: "1.0".to_owned(),
        run_id: "r1".to_owned(),
        plan_digest: "sha256:0".to_owned(),
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        finished_at: None,
        outcome: RunOutcome::Failed,
        stopped: None,
        rerun_of: None,
        lanes: vec![
            LaneRecord {
                id: "unit".to_owned(),
                title: "check-[unit](x)".to_owned(),
                outcome: LaneOutcome::Failed,
                tolerated: 0,
                reused: 0,
            },
            LaneRecord {
                id: "app".to_owned(),
                title: "check-app".to_owned(),
                outcome: LaneOutcome::Incomplete,
                tolerated: 0,
                reused: 0,
            },
        ],
        nodes: vec![
            failed,
            infra,
            skipped,
            flaky,
            node("execute-late", Outcome::TimedOut),
            node("execute-cancelled", Outcome::Cancelled),
        ],
    }
}

pub(super) fn many(count: usize) -> Record {
    let mut record = record();
    record.nodes =
        (0..count).map(|number| node(&format!("execute-{number}"), Outcome::Failed)).collect();
    record
}

#[test]
fn many_skipped_lanes_are_counted_not_listed() {
    let lane = |number: usize, outcome| LaneRecord {
        id: format!("lane-{number}"),
        title: format!("lane {number}"),
        outcome,
        tolerated: 0,
        reused: 0,
    };
    let mut record = record();
    record.lanes = (0..10).map(|number| lane(number, LaneOutcome::Skipped)).collect();
    record.lanes.insert(3, lane(99, LaneOutcome::Failed));
    let text = super::verdicts(&record, |outcome| outcome.to_string());
    assert_eq!(text.lines().count(), 11);
    record.lanes.push(lane(10, LaneOutcome::Skipped));
    let text = super::verdicts(&record, |outcome| outcome.to_string());
    assert_eq!(text, "lane 99 · failed\n11 other lanes · skipped\n");
}
