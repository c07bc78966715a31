//! A job as a plain process of the machine, in a cleared environment, under the supervisor.

use super::{Context, Runtime};
use crate::{fault::Fault, intent::Intent, placements::Collected, supervise::JobStatus};

/// One attempt as a plain process.
#[derive(Debug, Default)]
pub(super) struct HostProcess {}

impl Runtime for HostProcess {
    fn describe(&self, _context: &Context<'_>) -> String {
        String::new()
    }

    fn prepare(&mut self, _context: &Context<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn adopt(&mut self, _context: &Context<'_>, _begun: &[Intent]) -> Result<bool, Fault> {
        Ok(false)
    }

    fn run(&mut self, context: &Context<'_>) -> Result<JobStatus, Fault> {
        context.machine.status(&context.request.job())
    }

    fn collect(&mut self, _context: &Context<'_>) -> Result<Collected, Fault> {
        Ok(Collected::default())
    }

    fn cleanup(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        context.machine.remove(&context.request.job())
    }
}
