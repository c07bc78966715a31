//! `executor.toml`: what this site has and what it lets a plan use.
//!
//! A site never changes what a plan says; it only says how to reach a host, what secrets are, and
//! where the limits are. Whether a plan stays within them is [`crate::policy`]'s question.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use plans::{EnvName, HostName, SshDestination};
use serde::Deserialize;
use tracing::info;

use crate::text::push;

/// The only version of the format so far.
const VERSION: u32 = 1;

/// The file as a person writes it.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Config")]
pub struct Config {
    /// The format's version; absent: 1.
    #[serde(default = "current")]
    pub version: u32,
    /// Seconds between TERM and KILL for jobs that do not say; absent: 5.
    #[serde(default)]
    pub grace_secs: Option<u64>,
    /// After how many seconds a job ends that no executor answers for; absent: 900.
    #[serde(default)]
    pub lease_secs: Option<u64>,
    /// How often a node is tried again after its machine failed; absent: 2.
    #[serde(default)]
    pub infra_retries: Option<u32>,
    /// Environment variables that host processes take from their machine.
    #[serde(default)]
    pub pass_env: Vec<EnvName>,
    /// What holds when no flag says otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// What no flag and no plan may exceed.
    #[serde(default)]
    pub limits: Limits,
    /// What a plan may use; absent: everything but privileged containers.
    #[serde(default)]
    pub allow: Allow,
    /// What is done with results that passed.
    #[serde(default)]
    pub results: ResultsConfig,
    /// What is done with directories that outlive a run.
    #[serde(default)]
    pub caches: CachesConfig,
    /// Hosts of the catalog by name: how this site reaches them.
    #[serde(default)]
    pub hosts: BTreeMap<HostName, SiteHost>,
    /// Where the values of secrets come from; one that is not listed comes from the executor's
    /// environment variable of the same name.
    #[serde(default)]
    pub secrets: BTreeMap<EnvName, SecretSource>,
}

fn current() -> u32 {
    VERSION
}

/// What holds when no flag says otherwise.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// `--jobs`; absent: one for each processor.
    #[serde(default)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// `--fail-fast`; absent: false.
    #[serde(default)]
    pub fail_fast: bool,
    /// `--state-dir`; absent: `.forge-lanes` at the repository's root.
    #[serde(default)]
    pub state_dir: Option<PathBuf>,
}

/// What no flag and no plan may exceed.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most nodes at once; a larger `--jobs` is lowered to it. Absent: no limit.
    #[serde(default)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// The longest `timeout_secs` of a node. Absent: no limit.
    #[serde(default)]
    pub timeout_secs: Option<u64>,
    /// The most nodes of a plan. Absent: no limit.
    #[serde(default)]
    pub nodes: Option<usize>,
}

/// What a plan may use. A list that is absent allows everything, an empty one nothing. An entry
/// that ends in `*` allows whatever begins like that.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// `local`, `remote_ssh`.
    #[serde(default)]
    pub placements: Option<Vec<String>>,
    /// `host_process`, `incus`, `tart`.
    #[serde(default)]
    pub runtimes: Option<Vec<String>>,
    /// Hosts of the catalog.
    #[serde(default)]
    pub hosts: Option<Vec<String>>,
    /// Images of Incus and Tart.
    #[serde(default)]
    pub images: Option<Vec<String>>,
    /// Whether containers may be privileged; absent: no.
    #[serde(default)]
    pub privileged: bool,
}

/// Returns whether a list of a site has a word: as it is, or by an entry with `*` at its end that the word begins like.
#[must_use]
pub fn lists(list: &[String], word: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => entry == word,
    })
}

/// What is done with results that passed, for nodes with `reuse`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultsConfig {
    /// Where they are kept on this machine; absent: `results` in its cache directory, shared by all state directories.
    #[serde(default)]
    pub dir: Option<PathBuf>,
    /// A host of the catalog that keeps them as well, for several machines: asked over ssh, once in a run, for what is not
    /// known here. It is reached as nodes are, or by `hosts.NAME.ssh`.
    #[serde(default)]
    pub host: Option<HostName>,
    /// The absolute directory there; absent: `results` in the host's `work_dir`, which plans say that have nodes there.
    #[serde(default)]
    pub host_dir: Option<plans::AbsolutePath>,
    /// Whose are kept.
    #[serde(default)]
    pub write: Write,
    /// The triggers whose plans are trusted; absent: all. Results of others are never given to these, nor do others write
    /// the caches of the default branch.
    #[serde(default)]
    pub trusted_triggers: Option<Vec<String>>,
    /// The branches beside the default one whose plans are trusted, an entry that ends in `*` whatever begins like that; absent:
    /// all. A request, a tag, and a plan that names no branch are then of none.
    #[serde(default)]
    pub trusted_branches: Option<Vec<String>>,
    /// After how many days without use `executor gc` removes one; absent: 30.
    #[serde(default)]
    pub keep_days: Option<u64>,
    /// How many MiB `executor gc` leaves, those that were of use last; absent: 10,240.
    #[serde(default)]
    pub max_mib: Option<u64>,
}

/// What is done with caches, for jobs with `caches`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CachesConfig {
    /// Where they are kept on this machine; absent: `caches` in its cache directory, shared by all state directories. Hosts
    /// keep theirs in `caches` of their `work_dir`.
    #[serde(default)]
    pub dir: Option<PathBuf>,
    /// The names that are kept, an entry that ends in `*` whatever begins like that; absent: any.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// After how many days without use `executor gc` removes one; absent: 14.
    #[serde(default)]
    pub keep_days: Option<u64>,
    /// How many MiB `executor gc` leaves on a machine, those that were of use last; none is kept that is larger. Absent: 51,200.
    #[serde(default)]
    pub max_mib: Option<u64>,
}

impl CachesConfig {
    /// Returns for how long one is kept that is of no use.
    #[must_use]
    pub fn age(&self) -> std::time::Duration {
        let days = self.keep_days.unwrap_or(14);
        std::time::Duration::from_secs(days.saturating_mul(24 * 60 * 60))
    }

    /// Returns how many bytes are kept on a machine.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.max_mib.unwrap_or(51_200).saturating_mul(1024 * 1024)
    }
}

/// Whose results are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Those of trusted runs.
    #[default]
    Trusted,
    /// Those of all runs; what untrusted ones leave is given to untrusted ones alone.
    Always,
    /// Nobody's.
    Never,
}

/// How this site reaches a host.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteHost {
    /// What ssh connects to; absent: what the plan says.
    #[serde(default)]
    pub ssh: Option<SshDestination>,
    /// How many nodes may run there at once; absent: what the plan says. Only lowers it.
    #[serde(default)]
    pub max_jobs: Option<u32>,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// An environment variable of the executor.
    Env(EnvName),
    /// A file; a newline at its end is no part of the value.
    File(PathBuf),
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("the configuration `{path}` cannot be read: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
    /// It is not what is expected; says where, and shows the line.
    #[error("the configuration `{path}` is wrong: {why}")]
    Shape {
        /// The file.
        path: String,
        /// What is wrong, where.
        why: String,
    },
}

/// Where to look, as the environment and the flags say.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    /// `--config`.
    pub flag: Option<PathBuf>,
    /// `$EXECUTOR_CONFIG`.
    pub variable: Option<OsString>,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub user_dir: Option<PathBuf>,
    /// `/etc`.
    pub system_dir: Option<PathBuf>,
}

impl Lookup {
    /// Reads what the environment says.
    #[must_use]
    pub fn from_env(flag: Option<PathBuf>) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let user_dir = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
        Self {
            flag,
            variable: set("EXECUTOR_CONFIG"),
            user_dir,
            system_dir: Some(PathBuf::from("/etc")),
        }
    }

    /// Reads the first configuration there is: the flag's, the variable's, the user's, the
    /// system's. One that was named must be there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let named = self.flag.clone().or_else(|| self.variable.clone().map(PathBuf::from));
        if let Some(path) = named {
            return Config::read(&path);
        }
        for dir in [&self.user_dir, &self.system_dir].into_iter().flatten() {
            let path = dir.join("forge-lanes/executor.toml");
            match Config::read(&path) {
                Err(ConfigError::Io { error, .. })
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                    ) => {}
                other => return other,
            }
        }
        Ok(Config { version: VERSION, ..Config::default() })
    }
}

impl Config {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Io { path: shown(), error })?;
        info!(path = shown(), "configuration read");
        Self::parse(&text).map_err(|why| ConfigError::Shape { path: shown(), why })
    }

    /// Reads the text of a configuration.
    ///
    /// # Errors
    ///
    /// What is wrong, with line and column; an unknown key is named with the one it resembles.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            version: Option<u32>,
        }
        let head: Head = toml::from_str(text).map_err(|error| error.to_string())?;
        match head.version {
            Some(VERSION) | None => {}
            Some(other) => {
                return Err(format!("`version = {other}`: this program reads version {VERSION}"));
            }
        }
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let mut why = error.to_string().trim_end().to_owned();
            if let Some(meant) = did_you_mean(error.message()) {
                push!(why, "\ndid you mean `{meant}`?");
            }
            why
        })
    }
}

/// Finds, in serde's words about an unknown key, the known key that resembles it most.
fn did_you_mean(message: &str) -> Option<&str> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown") {
        return None;
    }
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wrong(text: &str) -> String {
        Config::parse(text).expect_err("it is refused")
    }

    #[test]
    fn everything_a_site_can_say_reads() {
        let config = Config::parse(
            r#"
            version = 1
            grace_secs = 10
            pass_env = ["SSH_AUTH_SOCK"]
            [defaults]
            jobs = 4
            [limits]
            jobs = 8
            timeout_secs = 7200
            [allow]
            placements = ["local"]
            images = ["pika-*"]
            [hosts.pika-build]
            ssh = "ci@10.0.0.5"
            [secrets]
            NPM_TOKEN = { env = "CI_NPM_TOKEN" }
            DEPLOY_KEY = { file = "/run/secrets/key" }
            "#,
        )
        .expect("reads");
        assert_eq!(config.limits.timeout_secs, Some(7200));
        assert_eq!(config.secrets.len(), 2);
        assert!(!config.allow.privileged);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_one_that_was_meant() {
        insta::assert_snapshot!(wrong("version = 1\n[limits]\njob = 3\n"), @r"
        TOML parse error at line 3, column 1
          |
        3 | job = 3
          | ^^^
        unknown field `job`, expected one of `jobs`, `timeout_secs`, `nodes`
        did you mean `jobs`?
        ");
        assert!(wrong("version = 1\ngracesecs = 3\n").contains("did you mean `grace_secs`?"));
    }

    #[test]
    fn the_version_comes_first() {
        assert!(wrong("jobs = 3\n").contains("unknown field `jobs`"), "absent is version 1");
        assert!(wrong("version = 2\nnew_key = 3\n").contains("reads version 1"));
    }

    #[test]
    fn the_named_file_wins_and_must_be_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let user = dir.path().join("forge-lanes");
        std::fs::create_dir(&user).expect("made");
        std::fs::write(user.join("executor.toml"), "version = 1\ngrace_secs = 1\n").expect("w");
        let named = dir.path().join("named.toml");
        std::fs::write(&named, "version = 1\ngrace_secs = 2\n").expect("written");
        let lookup = Lookup { user_dir: Some(dir.path().to_owned()), ..Lookup::default() };
        assert_eq!(lookup.read().expect("reads").grace_secs, Some(1));
        let lookup = Lookup { variable: Some(named.clone().into()), ..lookup };
        assert_eq!(lookup.read().expect("reads").grace_secs, Some(2));
        let lookup = Lookup { flag: Some(dir.path().join("absent.toml")), ..lookup };
        assert!(matches!(lookup.read(), Err(ConfigError::Io { .. })));
        assert_eq!(Lookup::default().read().expect("none").grace_secs, None);
    }
}
