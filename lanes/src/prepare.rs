//! Work that jobs share: payloads of staged Linux targets, `prepare` lists, host setups.
//!
//! The same work for the same placement is one thing however many jobs ask for it; the same id
//! for different work is an error.

use std::collections::{BTreeSet, HashMap};

use plans::{
    AbsolutePath, Checkout, Command, JobInputs, JobSpec, NodeId, Output, Placement,
    SnapshotProfile, WorkspacePath,
};

use crate::{
    bounds::MOST_SECONDS,
    catalog::{HostSetup, HostSetupIndex, Inputs, Payload, Prepare, PrepareIndex, PrepareUse},
    codes,
    context::Context,
    diagnostic::Diagnostic,
    job_file::PrepareFile,
    names::shorten,
    resolve::{self, Source, command_of, prepare_spec},
    source::{At, Span},
};

/// Everything that jobs ask for.
#[derive(Default)]
pub(crate) struct Prepares {
    list: Vec<Asked>,
    by_id: HashMap<NodeId, Vec<usize>>,
    host_setups: Vec<HostSetup>,
    by_command: HashMap<HostSetup, HostSetupIndex>,
}

struct Asked {
    work: Prepare,
    span: Span,
}

impl Prepares {
    /// Asks for work; the index is final only after [`Prepares::finish`].
    fn ask(&mut self, work: Prepare, span: Span, context: &mut Context<'_>) -> PrepareIndex {
        let same_id = self.by_id.entry(work.id.clone()).or_default();
        if let Some(&first) = same_id.first()
            && let Some(key) = difference(&self.list[first].work, &work)
        {
            let message = format!("`{}` is asked for twice, with different `{key}`", work.id);
            context.report(
                Diagnostic::error(&codes::CONFLICTING_PREPARE, span, message)
                    .also(self.list[first].span, "first asked for here")
                    .remedy(),
            );
        }
        let placed =
            |position: &&usize| self.list[**position].work.spec.placement == work.spec.placement;
        let position = match same_id.iter().find(placed) {
            Some(&position) => {
                // For people only: the smallest, so that the order of the files does not matter.
                let description = &mut self.list[position].work.spec.description;
                if work.spec.description < *description {
                    *description = work.spec.description;
                }
                position
            }
            None => {
                same_id.push(self.list.len());
                self.list.push(Asked { work, span });
                self.list.len() - 1
            }
        };
        PrepareIndex::new(position)
    }

    /// The payloads of a staged Linux target for jobs at one placement.
    pub(crate) fn payloads(
        &mut self,
        staged: &Payloads<'_>,
        placement: &Placement,
        context: &mut Context<'_>,
    ) -> Vec<PrepareUse> {
        let mut uses = Vec::new();
        for payload in staged.payloads {
            let role = payload.role.replace('_', "-");
            let id = format!("prepare-{}-{role}", staged.prefix.value);
            let Some(id) = node_id(id, staged.prefix.span, context) else { continue };
            let command = Command::NixBuild {
                installable: payload.nix_installable.clone(),
                output_name: payload.output_name.clone(),
            };
            let work = Prepare {
                id,
                spec: prepare_spec(
                    format!("{}: {}", staged.description, payload.role),
                    placement.clone(),
                    command,
                    JobSpec::DEFAULT_TIMEOUT_SECS,
                    false,
                    Source {
                        checkout: Checkout::Tree,
                        inputs: staged.inputs.clone(),
                        snapshot_profile: staged.snapshot_profile.clone(),
                    },
                ),
                output: Output::StorePath,
            };
            let position = self.ask(work, staged.prefix.span, context);
            uses.push(PrepareUse { work: position, mount: payload.mount.clone() });
        }
        uses
    }

    /// The `prepare` list of a job at its placement.
    pub(crate) fn listed(
        &mut self,
        list: Vec<(&PrepareFile, Option<JobInputs>)>,
        placement: &Placement,
        snapshot_profile: Option<&SnapshotProfile>,
        context: &mut Context<'_>,
    ) -> Vec<PrepareUse> {
        let mut uses = Vec::new();
        for (file, inputs) in list {
            let id = node_id(format!("prepare-{}", file.id.value), file.id.span, context);
            let command = command_of(&file.command, context);
            if let Some(Command::Shell { as_root: true, .. }) = command {
                let message = "prepare work is a process of the host and never runs as root";
                context.error(&codes::INVALID_COMBINATION, file.command.span, message);
            }
            let output = context.checked(&codes::BAD_VALUE, &file.output, WorkspacePath::new);
            let mount = context.checked(&codes::BAD_VALUE, &file.mount, AbsolutePath::new);
            let (Some(id), Some(command), Some(output), Some(mount)) = (id, command, output, mount)
            else {
                continue;
            };
            let timeout_secs = match file.timeout_secs {
                None => JobSpec::DEFAULT_TIMEOUT_SECS,
                Some(at) => {
                    if at.value == 0 {
                        let message = "work with no time can only time out";
                        context.error(&codes::INVALID_COMBINATION, at.span, message);
                    }
                    context.at_most(at, MOST_SECONDS, "timeout_secs")
                }
            };
            let description = context.one_line(file.description.as_ref().unwrap_or(&file.id));
            let spec = prepare_spec(
                description,
                placement.clone(),
                command,
                timeout_secs,
                true,
                Source {
                    checkout: Checkout::Tree,
                    inputs,
                    snapshot_profile: snapshot_profile.cloned(),
                },
            );
            let work = Prepare { id, spec, output: Output::Directory(output) };
            uses.push(PrepareUse { work: self.ask(work, file.id.span, context), mount });
        }
        uses
    }

    /// The host setup of a job: one for each command, placement and kind of source tree.
    pub(crate) fn host_setup(
        &mut self,
        setup: &resolve::HostSetup<'_>,
        job: &JobSpec,
        inputs_from: &Inputs,
    ) -> HostSetupIndex {
        let command = setup.script;
        let (inputs, inputs_from) = match &setup.own {
            Some(own) => (own.clone(), BTreeSet::new()),
            None => (job.inputs.clone(), inputs_from.names()),
        };
        let spec = prepare_spec(
            format!("host setup: {command}"),
            job.placement.clone(),
            Command::Shell { script: command.to_owned(), as_root: false },
            JobSpec::DEFAULT_TIMEOUT_SECS,
            true,
            Source {
                checkout: job.checkout,
                inputs,
                snapshot_profile: job.snapshot_profile.clone(),
            },
        );
        let setup = HostSetup { spec, inputs_from };
        if let Some(index) = self.by_command.get(&setup) {
            return *index;
        }
        let index = HostSetupIndex::new(self.host_setups.len());
        self.host_setups.push(setup.clone());
        self.by_command.insert(setup, index);
        index
    }

    /// Sorts the work by id and placement, and says where each asked position went.
    pub(crate) fn finish(
        self,
        context: &mut Context<'_>,
    ) -> (Vec<Prepare>, Vec<HostSetup>, Vec<PrepareIndex>) {
        for asked in &self.list {
            let same_id = &self.by_id[&asked.work.id];
            if same_id.len() < 2 {
                continue;
            }
            let suffixed = format!("{}-{}", asked.work.id, asked.work.spec.placement.host_name());
            if let Some(&other) = self.by_id.get(suffixed.as_str()).and_then(|list| list.first()) {
                let message = format!(
                    "`{}` runs at several placements, and `{suffixed}` is already something else",
                    asked.work.id
                );
                context.report(
                    Diagnostic::error(&codes::CONFLICTING_PREPARE, asked.span, message)
                        .also(self.list[other].span, "the other work")
                        .help("give one of the two another id"),
                );
            }
        }
        let mut sequence: Vec<usize> = (0..self.list.len()).collect();
        sequence.sort_by_key(|&position| {
            let work = &self.list[position].work;
            (&work.id, &work.spec.placement)
        });
        let mut index_of = vec![PrepareIndex::new(0); self.list.len()];
        for (sorted, &position) in sequence.iter().enumerate() {
            index_of[position] = PrepareIndex::new(sorted);
        }
        let mut list: Vec<Option<Prepare>> =
            self.list.into_iter().map(|asked| Some(asked.work)).collect();
        let sorted = sequence.iter().filter_map(|&position| list[position].take()).collect();
        (sorted, self.host_setups, index_of)
    }
}

/// The payloads of a staged Linux target.
pub(crate) struct Payloads<'a> {
    pub(crate) prefix: &'a At<String>,
    pub(crate) description: &'a str,
    pub(crate) payloads: &'a [Payload],
    pub(crate) inputs: Option<JobInputs>,
    pub(crate) snapshot_profile: Option<SnapshotProfile>,
}

fn node_id(text: String, span: Span, context: &mut Context<'_>) -> Option<NodeId> {
    if text.starts_with("prepare-host-setup-") {
        let message = "ids that start with `host-setup-` are those of host setups";
        context.error(&codes::BAD_ID, span, message);
        return None;
    }
    let shown = shorten(&text);
    match NodeId::new(text) {
        Ok(id) if id.as_str().len() <= 120 => Some(id),
        Ok(_) => {
            // Room for `-<host name>`.
            context.error(&codes::BAD_ID, span, format!("the node id `{shown}` is too long"));
            None
        }
        Err(error) => {
            context.error(&codes::BAD_ID, span, error.to_string());
            None
        }
    }
}

/// Returns the first key in which two works of one id differ, apart from their placement and what
/// people read.
fn difference(a: &Prepare, b: &Prepare) -> Option<&'static str> {
    let what = |command: &Command| match command {
        Command::NixBuild { .. } => "nix_installable` or `output_name",
        _ => "command",
    };
    if a.spec.command != b.spec.command {
        Some(what(&a.spec.command))
    } else if a.output != b.output {
        Some("output")
    } else if a.spec.timeout_secs != b.spec.timeout_secs {
        Some("timeout_secs")
    } else if a.spec.inputs != b.spec.inputs {
        Some("inputs")
    } else if a.spec.snapshot_profile != b.spec.snapshot_profile {
        Some("snapshot_profile")
    } else {
        None
    }
}

/// Sorts what a job sees by mount, and refuses two things at one place.
pub(crate) fn mounts(
    mut uses: Vec<PrepareUse>,
    id: &At<String>,
    context: &mut Context<'_>,
) -> Vec<PrepareUse> {
    uses.sort_by(|a, b| (&a.mount, a.work).cmp(&(&b.mount, b.work)));
    uses.dedup();
    for pair in uses.windows(2) {
        if pair[0].mount == pair[1].mount {
            let message =
                format!("the job `{}` sees two outputs at `{}`", shorten(id), pair[0].mount);
            context.report(
                Diagnostic::error(&codes::INVALID_COMBINATION, id.span, message)
                    .help("give one of them another `mount`"),
            );
        }
    }
    uses
}
