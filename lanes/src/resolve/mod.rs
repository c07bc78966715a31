//! From a job as written to its [`JobSpec`]: base, own keys and defaults become one value.
//!
//! The only room in which a `JobSpec` is built. Which jobs there are, and how they hang together,
//! is decided in [`crate::load`].

mod caches;
mod command;
mod inputs;
mod machine;

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU8,
};

use plans::{
    AbsolutePath, AllowFailure, AllowedCodes, Cache, Checkout, Command, EnvName, ExitCodes,
    JobInputs, JobSpec, OutputName, Placement, ProfileName, RetryOn, Reuse, RunIf, Runtime,
    SnapshotProfile, SortedMap, SshHost, Workspace, WorkspacePath,
};

use self::{
    command::command,
    machine::{placement, runtime},
};
pub(crate) use self::{
    command::command_of,
    inputs::{HostSetup, payload_inputs},
    machine::host,
};
use crate::{
    bounds::{MOST_GRACE, MOST_RETRIES, MOST_SECONDS},
    catalog::{CacheUse, InputUses},
    codes,
    context::Context,
    decode::{Named, TableAt},
    diagnostic::Diagnostic,
    job_file::{AllowFailureFile, CommandFile, PrepareFile, Settings},
    names::shorten,
    source::{At, Span},
};

/// What jobs refer to by name.
#[derive(Default)]
pub(crate) struct Declared<'a> {
    pub(crate) hosts: HashMap<&'a str, Host<'a>>,
    pub(crate) bases: HashMap<&'a str, Base<'a>>,
    pub(crate) profiles: HashMap<&'a str, Option<SnapshotProfile>>,
}

pub(crate) struct Host<'a> {
    pub(crate) name: &'a At<String>,
    /// Nothing: it is declared, but wrongly, which is told.
    pub(crate) host: Option<SshHost>,
}

#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) name: &'a At<String>,
    pub(crate) settings: &'a Settings,
    /// Of the file in which it stands.
    pub(crate) under: Option<&'a str>,
    pub(crate) built_in: bool,
}

/// A job as written, wherever it stands.
pub(crate) struct Job<'a> {
    pub(crate) id: &'a At<String>,
    pub(crate) description: String,
    pub(crate) base: Option<&'a At<String>>,
    pub(crate) command: Option<&'a At<CommandFile>>,
    pub(crate) staged_command: Option<&'a At<String>>,
    pub(crate) settings: &'a Settings,
    /// A lane's own list of files that its job sees; elsewhere it is one of the settings.
    pub(crate) inputs: Option<&'a [At<String>]>,
    /// Of the file in which it stands.
    pub(crate) under: Option<&'a str>,
    pub(crate) table: TableAt,
    pub(crate) of: Of<'a>,
}

/// Where a job stands.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    /// In a target.
    Target(Option<Staged<'a>>),
    /// It is a lane's own command.
    Lane,
}

/// What a staged Linux target gives its jobs.
#[derive(Clone, Copy)]
pub(crate) struct Staged<'a> {
    pub(crate) snapshot_profile: Option<&'a At<String>>,
    /// Where the `workspace_build` payload is mounted, if there is one.
    pub(crate) build_mount: Option<&'a AbsolutePath>,
}

/// A job's own settings over those of its base.
pub(crate) struct Layers<'a> {
    pub(crate) own: &'a Settings,
    pub(crate) base: Option<Base<'a>>,
    /// The key that names the base, for problems of a built-in one.
    named: Option<Span>,
}

impl<'a> Layers<'a> {
    fn pick<T: 'a>(&self, key: impl Fn(&'a Settings) -> Option<&'a T>) -> Option<&'a T> {
        key(self.own).or_else(|| self.base.and_then(|base| key(base.settings)))
    }

    fn is_built_in<T: 'a>(&self, key: impl Fn(&'a Settings) -> Option<&'a T>) -> bool {
        key(self.own).is_none() && self.base.is_some_and(|base| base.built_in)
    }

    /// Returns the `prepare` list.
    pub(crate) fn prepare(&self) -> &'a [PrepareFile] {
        self.pick(|settings| settings.prepare.as_ref()).map_or(&[], Vec::as_slice)
    }

    /// Returns after which ends of its needs a job runs, and where that is written.
    pub(crate) fn run_if(&self) -> Option<At<RunIf>> {
        let word = self.pick(|settings| settings.run_if.as_ref())?;
        Some(At { value: word.value.0, span: word.span })
    }

    /// Returns where a key is written, for problems of its value.
    fn place(&self, key: &str) -> Option<Span> {
        let of = |settings: &Settings| {
            settings.written.iter().find(|(name, _)| *name == key).map(|(_, span)| *span)
        };
        of(self.own).or_else(|| {
            self.base.and_then(|base| if base.built_in { self.named } else { of(base.settings) })
        })
    }
}

/// Finds a job's base.
pub(crate) fn layers<'a>(
    job: &Job<'a>,
    declared: &Declared<'a>,
    context: &mut Context<'_>,
) -> Layers<'a> {
    let base = job.base.and_then(|name| {
        let base = declared.bases.get(name.as_str()).copied();
        if base.is_none() && !context.lost_catalog {
            context.unknown(&codes::UNKNOWN_BASE, "base", name, declared.bases.keys().copied());
        }
        base
    });
    Layers { own: job.settings, base, named: job.base.map(|name| name.span) }
}

/// What a job sees, resolved before the rest of it.
pub(crate) struct Seen<'a> {
    pub(crate) inputs: Option<&'a InputUses>,
    pub(crate) caches: Vec<Cache>,
    pub(crate) cache_uses: &'a [CacheUse],
}

/// Resolves a job; nothing if something of it is wrong, which is told.
pub(crate) fn job_spec<'a>(
    job: &Job<'a>,
    layers: &Layers<'a>,
    seen: Seen<'_>,
    declared: &Declared<'a>,
    context: &mut Context<'_>,
) -> Option<JobSpec> {
    let Seen { inputs, caches, cache_uses } = seen;
    let lane = matches!(job.of, Of::Lane);
    let before = context.found.len();
    // A base that is not found, or a key that was not understood, may have held what is missing.
    let complete = job.table.intact && (job.base.is_none() || layers.base.is_some());
    let missing = |code, key: &str, context: &mut Context<'_>| {
        if complete {
            let message = format!("the job `{}` has no `{key}`", shorten(job.id));
            let help = match job.base {
                Some(base) => format!("set `{key}` here or in the base `{}`", shorten(base)),
                None => format!("set `{key}`, or start from a `base` that has it"),
            };
            context.report(Diagnostic::error(code, job.id.span, message).help(help));
        }
    };

    let placement = match layers.pick(|settings| settings.placement.as_ref()) {
        Some(written) => {
            let built_in = layers.is_built_in(|settings| settings.placement.as_ref());
            let base = built_in.then_some(job.base).flatten();
            placement(written, base, declared, context)
        }
        None if lane => Some(Placement::Local),
        None => {
            missing(&codes::MISSING_KEY, "placement", context);
            None
        }
    };
    let runtime = match layers.pick(|settings| settings.runtime.as_ref()) {
        Some(written) => runtime(written, context),
        None if lane => Some(Runtime::HostProcess),
        None => {
            missing(&codes::MISSING_KEY, "runtime", context);
            None
        }
    };
    let timeout_secs = match layers.pick(|settings| settings.timeout_secs.as_ref()) {
        Some(written) => Some(context.at_most(*written, MOST_SECONDS, "timeout_secs")),
        None if lane => Some(JobSpec::DEFAULT_TIMEOUT_SECS),
        None => {
            missing(&codes::MISSING_TIMEOUT, "timeout_secs", context);
            None
        }
    };
    let command = command(job, context);
    let env = env(layers, context);
    let secrets = layers
        .pick(|settings| settings.secrets.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|name| context.checked(&codes::BAD_VALUE, name, EnvName::new))
        .collect::<BTreeSet<_>>();
    let writable = layers.pick(|settings| settings.writable_workspace.as_ref());
    let working_dir = layers
        .pick(|settings| settings.working_dir.as_ref())
        .and_then(|path| context.checked(&codes::BAD_VALUE, path, WorkspacePath::new));
    let checkout = layers.pick(|settings| settings.checkout.as_ref());
    let default_checkout = if lane && inputs.is_none() { Checkout::Clone } else { Checkout::Tree };
    let profile = snapshot_profile(job, layers, declared, context);
    let toolchain = layers.pick(|settings| settings.mount_host_rust_toolchain.as_ref());
    let xcode = layers
        .pick(|settings| settings.mount_host_xcode.as_ref())
        .and_then(|path| context.checked(&codes::BAD_VALUE, path, AbsolutePath::new));
    let artifacts = layers.pick(|settings| settings.artifacts.as_ref());
    let artifacts = exclude_globs(artifacts.map_or(&[][..], Vec::as_slice), context);
    let outputs = layers.pick(|settings| settings.outputs.as_ref());
    let outputs = outputs
        .into_iter()
        .flatten()
        .filter_map(|name| context.checked(&codes::BAD_VALUE, name, OutputName::new))
        .collect::<BTreeSet<_>>();

    let grace_secs = layers.pick(|settings| settings.grace_secs.as_ref());
    let grace_secs = grace_secs.map(|at| context.at_most(*at, MOST_GRACE, "grace_secs"));
    let retries = layers.pick(|settings| settings.retries.as_ref());
    let retries = retries.map_or(0, |at| context.at_most(*at, MOST_RETRIES, "retries"));

    let retry_on = layers.pick(|settings| settings.retry_on.as_ref());
    // A job that takes its base's retries away has no use for the rule, either.
    let retry_on = retry_on.filter(|_| retries > 0 || layers.own.retry_on.is_some());
    let retry_on = retry_on.map(|at| RetryOn {
        exit_codes: exit_codes(at.exit_codes.as_deref().unwrap_or_default(), context),
        outcomes: at.outcomes.iter().flatten().map(|word| word.value.0).collect(),
    });
    let allow_failure = layers.pick(|settings| settings.allow_failure.as_ref());
    let allow_failure = allow_failure.and_then(|at| match &at.value {
        AllowFailureFile::All(all) => all.then_some(AllowFailure::ANY),
        AllowFailureFile::Codes(codes) => Some(AllowFailure::Some(AllowedCodes {
            exit_codes: exit_codes(&codes.exit_codes, context),
        })),
    });

    let reuse = layers.pick(|settings| settings.reuse.as_ref()).map(|at| at.value.0);
    let with_secrets = layers.pick(|settings| settings.reuse_with_secrets.as_ref());
    // A job that takes its base's reuse away has no use for the rule, either.
    let with_secrets = with_secrets.filter(|_| {
        reuse.is_some_and(|reuse| reuse != Reuse::Never) || layers.own.reuse_with_secrets.is_some()
    });
    let key_commands = layers.pick(|settings| settings.key_commands.as_ref());
    let words = |at: &At<Vec<At<String>>>| at.value.iter().map(|word| word.value.clone()).collect();

    // Everything above is told before the first thing missing ends this job.
    let spec = JobSpec {
        description: job.description.clone(),
        placement: placement?,
        runtime: runtime?,
        timeout_secs: timeout_secs?,
        grace_secs,
        command: command?,
        env,
        secrets,
        workspace: workspace(writable.map_or(lane, |at| at.value)),
        working_dir,
        checkout: checkout.map_or(default_checkout, |at| at.value.0),
        inputs: inputs.map(|uses| uses.texts(&context.globs)),
        snapshot_profile: profile,
        mount_host_rust_toolchain: toolchain.is_some_and(|at| at.value),
        mount_host_xcode: xcode,
        artifacts,
        outputs,
        retries,
        retry_on,
        allow_failure,
        caches,
        reuse: reuse.unwrap_or_default(),
        reuse_with_secrets: with_secrets.is_some_and(|at| at.value),
        key_commands: key_commands.into_iter().flatten().map(words).collect(),
    };
    for (position, why) in spec.invalid_caches() {
        let message = format!("`caches` cannot work for the job `{}`", shorten(job.id));
        let place = cache_uses[position].span;
        context.report(Diagnostic::error(&codes::INVALID_COMBINATION, place, message).help(why));
    }
    for combination in spec.invalid_combinations() {
        // Told above, of the cache that it is about.
        if combination.key == "caches" {
            continue;
        }
        let place = match combination.key {
            "as_root" => job.command.map(|command| command.span),
            "privileged" => layers.place("runtime"),
            // A lane's own key is not among its settings.
            "inputs" => first_of(job.inputs).or_else(|| {
                ["inputs", "inputs_from", "inputs_exclude"].iter().find_map(|it| layers.place(it))
            }),
            key => layers.place(key),
        };
        let message =
            format!("`{}` cannot work for the job `{}`", combination.key, shorten(job.id));
        context.report(
            Diagnostic::error(&codes::INVALID_COMBINATION, place.unwrap_or(job.id.span), message)
                .help(combination.why),
        );
    }
    (context.found.len() == before).then_some(spec)
}

fn first_of(list: Option<&[At<String>]>) -> Option<Span> {
    list?.first().map(|item| item.span)
}

/// What prepare work sees.
pub(crate) struct Source {
    pub(crate) checkout: Checkout,
    pub(crate) inputs: Option<JobInputs>,
    pub(crate) snapshot_profile: Option<SnapshotProfile>,
}

/// The spec of prepare work: a process of its placement's host.
pub(crate) fn prepare_spec(
    description: String,
    placement: Placement,
    command: Command,
    timeout_secs: u64,
    writable: bool,
    source: Source,
) -> JobSpec {
    let Source { checkout, inputs, snapshot_profile } = source;
    JobSpec {
        description,
        placement,
        runtime: Runtime::HostProcess,
        timeout_secs,
        grace_secs: None,
        command,
        env: SortedMap::default(),
        secrets: BTreeSet::new(),
        workspace: workspace(writable),
        working_dir: None,
        checkout,
        inputs,
        snapshot_profile,
        mount_host_rust_toolchain: false,
        mount_host_xcode: None,
        artifacts: Vec::new(),
        outputs: BTreeSet::new(),
        retries: 0,
        retry_on: None,
        allow_failure: None,
        caches: Vec::new(),
        reuse: Reuse::Never,
        reuse_with_secrets: false,
        key_commands: Vec::new(),
    }
}

/// What a job's process can end with, beside 0, which is no failure.
fn exit_codes(written: &[At<u32>], context: &mut Context<'_>) -> ExitCodes {
    let code = |at: &At<u32>| {
        let code = u8::try_from(at.value).ok().and_then(NonZeroU8::new);
        if code.is_none() {
            let message =
                format!("{} is no exit code of a failure: they go from 1 to 255", at.value);
            context.error(&codes::BAD_VALUE, at.span, message);
        }
        code
    };
    written.iter().filter_map(code).collect()
}

fn workspace(writable: bool) -> Workspace {
    if writable { Workspace::Writable } else { Workspace::ReadOnly }
}

fn env(layers: &Layers<'_>, context: &mut Context<'_>) -> SortedMap<EnvName, String> {
    let mut env = SortedMap::default();
    let base = layers.base.and_then(|base| base.settings.env.as_ref());
    let layers: [Option<&Named<At<String>>>; 2] = [base, layers.own.env.as_ref()];
    for (name, value) in layers.into_iter().flatten().flat_map(|Named(entries)| entries) {
        if value.contains('\0') {
            context.error(&codes::BAD_VALUE, value.span, "no environment holds a NUL byte");
        }
        if let Some(name) = context.checked(&codes::BAD_VALUE, name, EnvName::new) {
            env.insert(name, value.value.clone());
        }
    }
    env
}

fn snapshot_profile(
    job: &Job<'_>,
    layers: &Layers<'_>,
    declared: &Declared<'_>,
    context: &mut Context<'_>,
) -> Option<SnapshotProfile> {
    let of_target = match job.of {
        Of::Target(Some(staged)) => staged.snapshot_profile,
        Of::Target(None) | Of::Lane => None,
    };
    let of_base = || layers.base.and_then(|base| base.settings.snapshot_profile.as_ref());
    match layers.own.snapshot_profile.as_ref().or(of_target).or_else(of_base) {
        Some(name) => profile(name, declared, context),
        // A real checkout is whole unless somebody says otherwise.
        None if matches!(job.of, Of::Lane) => None,
        None => declared.profiles.get("full").cloned().flatten(),
    }
}

/// Finds a snapshot profile; nothing for one that leaves out nothing.
pub(crate) fn profile(
    name: &At<String>,
    declared: &Declared<'_>,
    context: &mut Context<'_>,
) -> Option<SnapshotProfile> {
    let profile = declared.profiles.get(name.as_str());
    if profile.is_none() && !context.lost_catalog {
        let known = declared.profiles.keys().copied();
        context.unknown(&codes::UNKNOWN_PROFILE, "snapshot profile", name, known);
    }
    profile.cloned().flatten()
}

/// Checks a declared snapshot profile.
pub(crate) fn declared_profile(
    name: &At<String>,
    exclude: &[At<String>],
    context: &mut Context<'_>,
) -> Option<SnapshotProfile> {
    let exclude = exclude_globs(exclude, context);
    let name = context.checked(&codes::BAD_ID, name, ProfileName::new)?;
    (!exclude.is_empty()).then_some(SnapshotProfile { name, exclude })
}

/// Checks globs that select nothing here: the executor applies them to files. Sorted, so that
/// their order in the file means nothing.
pub(crate) fn exclude_globs(list: &[At<String>], context: &mut Context<'_>) -> Vec<String> {
    let mut globs = Vec::with_capacity(list.len());
    for text in list {
        match crate::glob::check(text) {
            Ok(()) => globs.push(text.value.clone()),
            Err(problem) => {
                let diagnostic = crate::read::bad_glob(context.sources, text, &problem);
                context.report(diagnostic);
            }
        }
    }
    globs.sort();
    globs.dedup();
    globs
}
