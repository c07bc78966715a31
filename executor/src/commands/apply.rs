//! `executor apply`: a plan becomes a run.

use super::{
    CliContext, dry_run,
    prepare::{self, Wanted},
    running,
};
use crate::{cli::Apply, error::Error, exit_code::Exit};

pub(super) fn run(context: &CliContext, apply: &Apply) -> Result<Exit, Error> {
    let (plan, only) = apply.plan_and_only().ok_or(Error::NoPlan)?;
    let bytes = prepare::read_plan(&plan)?;
    let wanted = Wanted {
        jobs: apply.running.jobs,
        fail_fast: apply.fail_fast,
        only,
        hosts: apply.hosts.clone(),
        allow_stale: apply.allow_stale,
        reuse: apply.reuse,
    };
    let ready =
        prepare::ready(&bytes, apply.expect_digest.as_deref(), || context.config(), wanted)?;
    if apply.dry_run {
        return dry_run::run(&ready);
    }
    let state = context.state(&ready.config)?;
    running::begin(&state, &bytes, ready, None, &apply.running)
}
