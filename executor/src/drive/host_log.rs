//! `host.log`: the executor's own account of an attempt. A log that cannot be written stops nothing.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use crate::{
    attempt::{AttemptOutcome, AttemptRequest, AttemptResult, TakenFiles},
    caches::CacheUse,
    placements::Machine,
};

/// The log of one attempt.
pub(super) struct HostLog(Option<File>);

impl HostLog {
    pub(super) fn open(path: &Path) -> Self {
        Self(OpenOptions::new().append(true).create(true).open(path).ok())
    }

    /// One line: runtime, placement, host, time, the whole guest command.
    pub(super) fn opening(
        &mut self,
        request: &AttemptRequest,
        machine: &dyn Machine,
        command: &str,
    ) {
        let spec = &request.node.spec;
        let line = format!(
            "runtime={} placement={} host={} time={} command={command}\n",
            spec.runtime.kind().as_str(),
            spec.placement.kind().as_str(),
            machine.host(),
            now(),
        );
        self.write(&line);
        let secrets = request.secrets.len();
        if secrets > 0 {
            let others = match spec.placement.kind() == plans::PlacementKind::Local
                && matches!(spec.runtime, plans::Runtime::HostProcess)
            {
                true => "",
                false => "; other forms of them when it is brought here",
            };
            self.write(&format!(
                "  its log is masked before it is on a disk ({secrets} secrets){others}\n"
            ));
        }
    }

    /// The caches that it was given.
    pub(super) fn given(&mut self, caches: &[CacheUse]) {
        let lines = caches.iter().map(|cache| format!("  cache {}\n", cache.in_words()));
        self.write(&lines.collect::<String>());
    }

    /// How it ended, what the time went into, what is worth knowing.
    pub(super) fn closing(&mut self, result: &AttemptResult) {
        let outcome = match result.outcome {
            AttemptOutcome::Passed => "passed",
            AttemptOutcome::Failed => "failed",
            AttemptOutcome::TimedOut => "timed_out",
            AttemptOutcome::Cancelled => "cancelled",
            AttemptOutcome::InfraFailed => "infra_failed",
        };
        let kind = result.failure_kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
        let message = result.message.as_ref().map(|message| format!(": {message}"));
        let mut lines = vec![format!("{} {outcome}{kind}{}", now(), message.unwrap_or_default())];
        let given = result.files_from.iter().map(TakenFiles::in_words);
        lines.extend(given.map(|given| format!("  given: {given}")));
        let kept = result.caches.iter().filter(|cache| cache.saved);
        lines.extend(kept.map(|cache| {
            let bytes = crate::text::bytes(cache.saved_bytes.unwrap_or(0));
            format!("  kept: cache {}, {bytes}", cache.name)
        }));
        lines.extend(result.advice.iter().map(|advice| format!("  {advice}")));
        if result.killed_processes > 0 {
            lines.push(format!("  {} processes had to be killed", result.killed_processes));
        }
        lines.extend(result.warnings.iter().map(|warning| format!("  {warning}")));
        lines.extend(result.left_out.iter().map(|file| format!("  left out: {file}")));
        lines.push(String::new());
        self.write(&lines.join("\n"));
    }

    fn write(&mut self, text: &str) {
        if let Some(file) = &mut self.0 {
            let _ = file.write_all(text.as_bytes());
        }
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
