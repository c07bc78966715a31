//! Attempts on their way out: removing costs a host little more for many directories than for one. How it is done
//! is the supervisor's.

use std::path::Path;

use super::remote::Remote;
use crate::{
    fault::{FailureKind, Fault},
    ssh::Ask,
};

/// Removes everything of an attempt, `RUN/NODE.ATTEMPT`, ending it first if it runs.
///
/// # Errors
///
/// When it is still there, or nobody knows.
pub(super) fn remove(remote: &Remote, name: &str) -> Result<(), Fault> {
    remote.removals.ask(name.to_owned(), |names| remove_all(remote, names))
}

fn remove_all(remote: &Remote, names: &[String]) -> Vec<Result<(), Fault>> {
    let runs = format!("{}/runs", remote.work_dir);
    let answer = remote.server().and_then(|server| {
        let shim = remote.shim()?;
        remote.answer(&Ask::verb(server.as_ref(), &shim, "clear", &runs, names))
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return names.iter().map(|_| Err(fault.clone())).collect(),
    };
    let removed = |name: &String| {
        let mut lines = answer.lines().filter(|line| line.split(' ').nth(1) == Some(name));
        match lines.next_back() {
            Some(line) if line.starts_with("removed ") => Ok(()),
            line => {
                let path = Path::new(&remote.work_dir).join("runs").join(name);
                let why = line.and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or(&answer);
                let text = format!(
                    "host `{}`: `{}` cannot be removed: {why}",
                    remote.name,
                    path.display()
                );
                Err(Fault::new(FailureKind::Cleanup, text)
                    .advice("see which process still writes there, then `executor gc`"))
            }
        }
    };
    names.iter().map(removed).collect()
}
