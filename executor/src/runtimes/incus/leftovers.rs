//! What instances were left behind, found by their labels and removed one by one; and whether the
//! engine does what a job needs, tried for real.

use std::path::Path;

use super::{
    engine::{Engine, Instance},
    limits, now,
};
use crate::{
    fault::{FailureKind, Fault},
    placements::{Check, Leftover, LeftoverKind, Machine},
    state::owner,
};

/// An instance of ours that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftInstance {
    /// The Incus project that it is in.
    pub project: String,
    /// Its name and run.
    pub leftover: Leftover,
}

/// Lists instances of ours in every project that this user may see. One of this state directory is in
/// use while `is_wanted` says so of its run; one of another, until its lease has expired.
///
/// # Errors
///
/// When the engine does not answer.
pub fn leftovers(
    machine: &dyn Machine,
    runs_dir: &Path,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<LeftInstance>, Fault> {
    let us = owner(runs_dir);
    let all = Engine::new(machine, None).list_everywhere()?;
    let label =
        |instance: &Instance, name: &str| instance.label(name).unwrap_or_default().to_owned();
    // Without an owner it is nobody's of ours, whatever else it carries.
    let ours = all.iter().filter(|instance| !label(instance, "owner").is_empty());
    Ok(ours
        .map(|instance| {
            let run = label(instance, "run");
            let in_use = if label(instance, "owner") == us {
                is_wanted(&run)
            } else {
                label(instance, "lease").parse::<u64>().map_or(true, |until| now() < until)
            };
            let name = instance.name.clone();
            LeftInstance {
                project: instance.project.clone(),
                leftover: Leftover { kind: LeftoverKind::Instance, run, name, in_use },
            }
        })
        .collect())
}

/// Removes an instance that [`leftovers`] listed, and checks that it is gone.
///
/// # Errors
///
/// When it is still there, or is not ours any more.
pub fn remove_leftover(machine: &dyn Machine, left: &LeftInstance) -> Result<(), Fault> {
    let LeftInstance { project, leftover } = left;
    let engine =
        Engine::new(machine, Some(project).filter(|name| !name.is_empty()).map(|it| &**it));
    let Some(instance) = engine.instance(&leftover.name)? else { return Ok(()) };
    if instance.label("owner").is_none() || instance.label("run") != Some(&leftover.run) {
        return Err(Fault::new(
            FailureKind::Cleanup,
            format!("instance `{}` is another one by now", leftover.name),
        ));
    }
    engine.delete(&leftover.name)
}

/// Tries what a job needs of the engine: makes an instance, runs a command in it, deletes it.
///
/// # Errors
///
/// When the machine itself does not answer.
pub fn examine(machine: &dyn Machine, spec: &plans::Incus) -> Result<Vec<Check>, Fault> {
    use super::instance::{Disks, Document, Labels, options};
    let engine = Engine::new(machine, spec.project.as_ref().map(plans::EngineName::as_str));
    let bad = |fault: Fault| Check { ok: false, message: fault.message, advice: fault.advice };
    if let Err(fault) = engine.reachable().and_then(|()| limits::can_be_obeyed(&engine, spec)) {
        return Ok(vec![bad(fault)]);
    }
    let job = crate::supervise::JobRef {
        run: "doctor".to_owned(),
        node: "doctor".to_owned(),
        attempt: std::process::id(),
    };
    let owner = format!("doctor-{}", now());
    let name = super::instance::name(&owner, &job);
    let labels = Labels { owner: &owner, job: &job, until: now() + 600 };
    // A directory of the machine that is surely there: whether it can be shared is the question.
    let disks = Disks { workspace: Some(("/usr".to_owned(), false)), ..Disks::default() };
    let document = Document::new(spec, &disks).text();
    let options = [labels.options(), options(spec)].concat();
    let tried = engine.launch(spec.image.as_str(), &name, &options, &document).and_then(|_| {
        let argv = ["sh", "-c", "test -d /workspace && command -v tar"].map(str::to_owned);
        let mut answer = engine.ask(&engine.exec(&name, (0, 0), &argv))?;
        for _ in 0..20 {
            if answer.success() {
                return limits::is_obeyed(&engine, spec, &name);
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
            answer = engine.ask(&engine.exec(&name, (0, 0), &argv))?;
        }
        Err(Fault::new(
            FailureKind::NotReady,
            format!("an instance of `{}` runs no command: {}", spec.image, answer.complaint()),
        )
        .advice(super::START_ADVICE))
    });
    let removed = match engine.instance(&name) {
        Ok(Some(_)) => engine.delete(&name),
        Ok(None) => Ok(()),
        Err(fault) => Err(fault),
    };
    Ok(vec![match tried.and(removed) {
        Ok(()) => Check {
            ok: true,
            message: format!("Incus makes, runs and deletes an instance of `{}`", spec.image),
            advice: None,
        },
        Err(fault) => bad(fault),
    }])
}
