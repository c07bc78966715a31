//! The files that a job declares as its inputs, from globs as written to those of its spec.

use plans::JobInputs;

use super::{Job, Layers};
use crate::{
    catalog::{InputUses, Inputs},
    catalog_file::StagedLinuxFile,
    context::Context,
    job_file::{HostSetupFile, HostSetupTable, PrepareFile, Settings},
    lanes_of,
    source::At,
};

/// A list of globs, and the directory below which they are.
#[derive(Clone, Copy)]
struct List<'a> {
    globs: &'a [At<String>],
    under: Option<&'a str>,
}

/// The host setup of a job.
pub(crate) struct HostSetup<'a> {
    pub(crate) script: &'a str,
    /// Nothing: it sees what its job sees.
    pub(crate) own: Option<Option<JobInputs>>,
}

impl<'a> Layers<'a> {
    /// Returns the globs of a job's inputs; nothing for a job that sees the whole tree.
    pub(crate) fn inputs(&self, job: &Job<'a>, context: &mut Context<'_>) -> Option<InputUses> {
        let list = |key: fn(&Settings) -> Option<&Vec<At<String>>>| self.list(job, key);
        let paths = job
            .inputs
            .map(|globs| List { globs, under: job.under })
            .or_else(|| list(|settings| settings.inputs.as_ref()));
        let exclude = list(|settings| settings.inputs_exclude.as_ref());
        let derived = self.pick(|settings| settings.inputs_from.as_ref()).is_some();
        uses(paths, exclude, derived, context)
    }

    /// Returns the packages that a job's inputs are derived from.
    pub(crate) fn inputs_from(&self) -> Inputs {
        self.pick(|settings| settings.inputs_from.as_ref())
            .map(lanes_of::inputs)
            .unwrap_or_default()
    }

    /// Returns what a job's `prepare` work sees.
    pub(crate) fn prepare_inputs(
        &self,
        job: &Job<'a>,
        of: &'a PrepareFile,
        context: &mut Context<'_>,
    ) -> Option<JobInputs> {
        let under = self.under(job, self.own.prepare.is_some());
        own_inputs(of.inputs.as_deref(), of.inputs_exclude.as_deref(), under, context)
    }

    /// Returns the host setup; an empty script takes the base's away.
    pub(crate) fn host_setup(
        &self,
        job: &Job<'a>,
        context: &mut Context<'_>,
    ) -> Option<HostSetup<'a>> {
        let file = self.pick(|settings| settings.host_setup_command.as_ref())?;
        let script = file.value.script();
        let table = match &file.value {
            HostSetupFile::Script(_) => None,
            HostSetupFile::Table(table) => Some(&**table),
        };
        if script.contains('\0') {
            context.error(&crate::codes::BAD_VALUE, file.span, "no command holds a NUL byte");
        }
        if script.trim().is_empty() {
            return None;
        }
        let own = table.map(|HostSetupTable { inputs, inputs_exclude, .. }| {
            let under = self.under(job, self.own.host_setup_command.is_some());
            own_inputs(inputs.as_deref(), inputs_exclude.as_deref(), under, context)
        });
        Some(HostSetup { script, own })
    }

    fn list(
        &self,
        job: &Job<'a>,
        key: impl Fn(&'a Settings) -> Option<&'a Vec<At<String>>>,
    ) -> Option<List<'a>> {
        let own = key(self.own);
        let globs = own.or_else(|| self.base.and_then(|base| key(base.settings)))?;
        Some(List { globs, under: self.under(job, own.is_some()) })
    }

    /// The directory of the file in which a key is written: the job's, or its base's.
    pub(super) fn under(&self, job: &Job<'a>, own: bool) -> Option<&'a str> {
        if own { job.under } else { self.base.and_then(|base| base.under) }
    }
}

impl Settings {
    /// Returns every list of globs about what a job, or what prepares it, sees.
    pub(crate) fn input_globs(&self) -> impl Iterator<Item = Option<&[At<String>]>> {
        let own = [self.inputs.as_deref(), self.inputs_exclude.as_deref()];
        let prepare = self.prepare.iter().flatten();
        let prepare =
            prepare.flat_map(|work| [work.inputs.as_deref(), work.inputs_exclude.as_deref()]);
        let setup = match self.host_setup_command.as_ref().map(|at| &at.value) {
            Some(HostSetupFile::Table(setup)) => {
                [setup.inputs.as_deref(), setup.inputs_exclude.as_deref()]
            }
            Some(HostSetupFile::Script(_)) | None => [None, None],
        };
        let caches = self.caches.iter().flatten().map(|cache| cache.key.as_deref());
        own.into_iter().chain(prepare).chain(setup).chain(caches)
    }
}

/// Returns what the payloads of a staged Linux target are built from.
pub(crate) fn payload_inputs(
    file: &StagedLinuxFile,
    under: Option<&str>,
    context: &mut Context<'_>,
) -> Option<JobInputs> {
    own_inputs(file.inputs.as_deref(), file.inputs_exclude.as_deref(), under, context)
}

/// Returns what work sees that is no job.
fn own_inputs(
    inputs: Option<&[At<String>]>,
    exclude: Option<&[At<String>]>,
    under: Option<&str>,
    context: &mut Context<'_>,
) -> Option<JobInputs> {
    let list = |globs| List { globs, under };
    let uses = uses(inputs.map(list), exclude.map(list), false, context)?;
    Some(uses.texts(&context.globs))
}

fn uses(
    paths: Option<List<'_>>,
    exclude: Option<List<'_>>,
    derived: bool,
    context: &mut Context<'_>,
) -> Option<InputUses> {
    let mut globs =
        |list: Option<List<'_>>| list.map(|List { globs, under }| context.globs(globs, under));
    let paths = globs(paths);
    let exclude = globs(exclude).unwrap_or_default();
    let paths = match paths {
        Some(paths) => paths,
        None if derived => Vec::new(),
        // Everything but.
        None => {
            let span = exclude.first()?.span;
            context.globs(&[At { value: "**".to_owned(), span }], None)
        }
    };
    Some(InputUses { paths, exclude })
}
