//! A job as a plain process of the machine, in a cleared environment, under the supervisor.
//!
//! There is nothing to create and nothing to delete but the job itself: the machine's own
//! supervisor gives it its view and takes that away.

use std::collections::BTreeMap;

use super::{Runtime, Work, shard, workspace};
use crate::{
    artifacts::Collected,
    attempt::{AttemptRequest, Context, Phase},
    caches,
    fault::Fault,
    intent::{Intent, SupervisedIntent},
    placements::{Job, Secret, ShownWorkspace, WorkspaceSource},
    supervise::JobStatus,
};

/// One attempt as a plain process.
#[derive(Debug, Default)]
pub(super) struct HostProcess {
    /// What was prepared; absent while, and if, the job was begun by somebody else.
    ready: Option<(Work, WorkspaceSource)>,
}

impl Runtime for HostProcess {
    fn describe(&self, context: &Context<'_>) -> String {
        crate::guest_command::display(&context.request.node.spec.command)
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let Context { request, machine, .. } = context;
        let mut work = Work::of(request, machine.name())?;
        let workspace = workspace::place(context, &work)?;
        shard::give(context, &mut work)?;
        self.ready = Some((work, workspace));
        Ok(())
    }

    fn adopt(&mut self, context: &Context<'_>, begun: &[Intent]) -> Result<bool, Fault> {
        let job = context.request.job();
        let was_begun = begun.iter().any(
            |intent| matches!(intent, Intent::Supervised(supervised) if supervised.job == job),
        );
        if was_begun && context.machine.status(&job)? != JobStatus::Unknown {
            return Ok(true);
        }
        self.prepare(context)?;
        Ok(false)
    }

    fn run(&mut self, context: &Context<'_>) -> Result<JobStatus, Fault> {
        let Context { request, machine, control, .. } = context;
        let name = request.job();
        let limits = match self.ready.take() {
            None => {
                machine.redact(&name, &secrets(request));
                Work::of(request, machine.name())?.limits
            }
            Some((work, workspace)) => {
                context.enter(Phase::Launch);
                let limits = work.limits;
                let job = job(context, work, workspace);
                context.intend(&Intent::Supervised(SupervisedIntent {
                    machine: machine.name().to_owned(),
                    job: name.clone(),
                    state_dir: machine.attempt_dir(&name),
                    remote: machine.placement() != plans::PlacementKind::Local,
                }))?;
                machine.start(&job)?;
                limits
            }
        };
        context.enter(Phase::Wait);
        machine.attach(&name, &request.guest_log, &limits, control)
    }

    fn collect(&mut self, context: &Context<'_>) -> Result<Collected, Fault> {
        let Context { request, machine, .. } = context;
        let work = Work::of(request, machine.name())?;
        let placed: &ShownWorkspace<'_> = &|| workspace::placed(context, &work);
        let shown = (!work.writable).then_some(placed);
        let secrets = context.secret_values();
        machine.collect(&request.job(), &work.keep, shown, &secrets, &request.artifacts)
    }

    fn cleanup(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        context.machine.remove(&context.request.job())
    }
}

fn secrets(request: &AttemptRequest) -> BTreeMap<String, Secret> {
    let secrets = request.secrets.iter();
    secrets.map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect()
}

fn job(context: &Context<'_>, work: Work, workspace: WorkspaceSource) -> Job {
    let request = context.request;
    let caches = caches::mounts(context, &work);
    let Work {
        argv,
        display: _,
        // A plan with these for a host process is refused when it is read.
        as_root: _,
        rust_toolchain: _,
        xcode: _,
        runtime: _,
        env,
        source: _,
        workspace_from: _,
        writable,
        working_dir,
        mounts,
        caches: _,
        limits,
        keep,
    } = work;
    Job {
        job: request.job(),
        argv,
        env,
        keep_env: request.pass_env.clone(),
        secrets: secrets(request),
        workspace,
        writable,
        working_dir,
        mounts,
        caches,
        limits,
        keep,
        log: request.guest_log.clone(),
        artifacts: request.artifacts.clone(),
    }
}
