//! Caches of drafted jobs: what their tools build or fetch, kept from one run to the next.
//!
//! A job that calls one of the tools below gets the directory in which that tool keeps what it can use
//! again; where the tool keeps it outside of the job's workspace, a variable brings it in. A job that
//! says such a variable itself is left as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    draft::{CacheDraft, CommandDraft, Draft, JobDraft},
    shell,
};
use crate::packages::literal;

/// What a tool keeps.
struct Tool {
    /// The words by which it is called.
    words: &'static [&'static str],
    /// The name of the cache.
    name: &'static str,
    /// The directory, from where the job starts.
    dir: &'static str,
    /// The variable that says so, and whether the tool takes a relative path.
    variable: Option<(&'static str, bool)>,
    /// The files that decide what is in it; the nearest of each counts.
    key: &'static [&'static str],
}

const TOOLS: [Tool; 9] = [
    Tool {
        words: &["cargo"],
        name: "cargo-target",
        dir: "target",
        variable: None,
        key: &["Cargo.lock", "rust-toolchain.toml", "rust-toolchain"],
    },
    Tool {
        words: &["npm", "npx"],
        name: "npm",
        dir: ".cache/npm",
        variable: Some(("npm_config_cache", true)),
        key: &["package-lock.json", "npm-shrinkwrap.json"],
    },
    Tool {
        words: &["pnpm"],
        name: "pnpm-store",
        dir: ".cache/pnpm",
        variable: Some(("npm_config_store_dir", true)),
        key: &["pnpm-lock.yaml"],
    },
    Tool {
        words: &["uv", "uvx"],
        name: "uv",
        dir: ".cache/uv",
        variable: Some(("UV_CACHE_DIR", true)),
        key: &["uv.lock"],
    },
    Tool {
        words: &["go"],
        name: "go-build",
        dir: ".cache/go-build",
        variable: Some(("GOCACHE", false)),
        key: &["go.sum", "go.work.sum"],
    },
    Tool {
        words: &["go"],
        name: "go-mod",
        dir: ".cache/go-mod",
        variable: Some(("GOMODCACHE", false)),
        key: &["go.sum", "go.work.sum"],
    },
    Tool {
        words: &["./gradlew", "gradlew", "gradle"],
        name: "gradle",
        dir: ".cache/gradle",
        variable: Some(("GRADLE_USER_HOME", true)),
        key: &[
            "gradle/wrapper/gradle-wrapper.properties",
            "gradle/libs.versions.toml",
            "gradle.lockfile",
        ],
    },
    Tool {
        words: &["ccache"],
        name: "ccache",
        dir: ".cache/ccache",
        variable: Some(("CCACHE_DIR", false)),
        key: &[],
    },
    Tool {
        words: &["sccache"],
        name: "sccache",
        dir: ".cache/sccache",
        variable: Some(("SCCACHE_DIR", false)),
        key: &[],
    },
];

/// What besides letters and digits stands in words of a command without quotes.
const SIGNS: &str = "-_./:=@%+,";

/// Gives each job of a draft the caches of the tools that it calls. `paths` are the files of the tree.
pub fn add(draft: &mut Draft, paths: &BTreeSet<String>) {
    for job in draft.lanes.iter_mut().flat_map(|lane| &mut lane.jobs) {
        let called: Vec<String> = words(&job.command);
        if formats_only(&called) {
            continue;
        }
        for tool in &TOOLS {
            if called.iter().any(|word| tool.words.contains(&word.as_str())) {
                give(tool, job, paths);
            }
        }
    }
    of_their_own(draft);
}

/// What one job builds is another one's only as far as both build the same: of several, each keeps its own. What is
/// fetched is the same for all.
fn of_their_own(draft: &mut Draft) {
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    let jobs = draft.lanes.iter().flat_map(|lane| &lane.jobs);
    for cache in jobs.flat_map(|job| &job.caches) {
        *users.entry(cache.name.clone()).or_default() += 1;
    }
    for job in draft.lanes.iter_mut().flat_map(|lane| &mut lane.jobs) {
        for cache in &mut job.caches {
            if users[&cache.name] > 1 && cache.name.starts_with("cargo-target") {
                cache.name = format!("cargo-target-{}", job.id).chars().take(64).collect();
            }
        }
    }
}

/// Returns the words of a command at which a program may stand.
fn words(command: &CommandDraft) -> Vec<String> {
    match command {
        CommandDraft::Argv(words) => words.clone(),
        CommandDraft::Shell(script) => {
            let word = |c: char| c.is_whitespace() || "();&|`\"'$".contains(c);
            script.split(word).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
    }
}

/// Nothing is built by `cargo fmt`, and a directory of caches is no place to look for sources.
fn formats_only(words: &[String]) -> bool {
    words.first().is_some_and(|word| word == "cargo") && words.get(1).is_some_and(|it| it == "fmt")
        || words.iter().any(|word| word == "gofmt")
}

fn give(tool: &Tool, job: &mut JobDraft, paths: &BTreeSet<String>) {
    let top = job.working_dir.clone().unwrap_or_default();
    // Not known before its matrix is.
    if top.contains("${{") {
        return;
    }
    let is_named = |variable: &str| {
        job.env.iter().any(|(name, _)| name == variable)
            || matches!(&job.command, CommandDraft::Shell(script) if script.contains(variable))
    };
    if tool.variable.is_some_and(|(variable, _)| is_named(variable))
        || is_named("CARGO_TARGET_DIR") && tool.variable.is_none()
        || job.caches.iter().any(|cache| cache.name == tool.name)
    {
        return;
    }
    let key: Vec<String> = tool.key.iter().filter_map(|name| nearest(&top, name, paths)).collect();
    // What is fetched or built without a lock is another thing each time.
    if key.is_empty() && !tool.key.is_empty() {
        return;
    }
    let dir = match tool.variable {
        // A workspace of Cargo builds where its lock is.
        None => key[0].rsplit_once('/').map_or(String::new(), |(dir, _)| dir.to_owned()),
        Some(_) => top,
    };
    if let Some((variable, relative)) = tool.variable {
        if relative {
            job.env.push((variable.to_owned(), tool.dir.to_owned()));
        } else {
            let script = match &job.command {
                CommandDraft::Argv(words) => {
                    words.iter().map(|word| shell::word(word, SIGNS)).collect::<Vec<_>>().join(" ")
                }
                CommandDraft::Shell(script) => script.clone(),
            };
            let export = format!("export {variable}=\"$PWD/{}\"\n", tool.dir);
            job.command = CommandDraft::Shell(export + &script);
        }
    }
    let path = if dir.is_empty() { tool.dir.to_owned() } else { format!("{dir}/{}", tool.dir) };
    let name = if dir.is_empty() { tool.name.to_owned() } else { format!("{}-{dir}", tool.name) };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).take(64).collect();
    let key = key.iter().map(|path| literal(path)).collect();
    job.caches.push(CacheDraft { name, path, key });
}

/// Returns the file of that name in a directory, or in the nearest one above it.
fn nearest(top: &str, name: &str, paths: &BTreeSet<String>) -> Option<String> {
    let mut dir = top;
    loop {
        let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        if paths.contains(&path) {
            return Some(path);
        }
        if dir.is_empty() {
            return None;
        }
        dir = dir.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::draft::LaneDraft;

    fn drafted(command: CommandDraft, dir: &str, files: &[&str]) -> JobDraft {
        let working_dir = (!dir.is_empty()).then(|| dir.to_owned());
        let job = JobDraft { command, working_dir, ..JobDraft::default() };
        let lane = LaneDraft { jobs: vec![job], ..LaneDraft::default() };
        let mut draft = Draft { lanes: vec![lane], ..Draft::default() };
        add(&mut draft, &files.iter().map(|&path| path.to_owned()).collect());
        draft.lanes.remove(0).jobs.remove(0)
    }

    fn caches(job: &JobDraft) -> Vec<(&str, &str)> {
        job.caches.iter().map(|cache| (cache.name.as_str(), cache.path.as_str())).collect()
    }

    #[test]
    fn cargo_builds_where_its_lock_is() {
        let test = || CommandDraft::argv(&["cargo", "test"]);
        let job = drafted(test(), "", &["Cargo.lock", "rust-toolchain.toml"]);
        assert_eq!(caches(&job), [("cargo-target", "target")]);
        assert_eq!(job.caches[0].key, ["Cargo.lock", "rust-toolchain.toml"]);
        let job = drafted(test(), "rust/a", &["rust/Cargo.lock"]);
        assert_eq!(caches(&job), [("cargo-target-rust", "rust/target")]);
        assert_eq!(caches(&drafted(test(), "", &[])), []);
        let format = CommandDraft::argv(&["cargo", "fmt", "--check"]);
        assert_eq!(caches(&drafted(format, "", &["Cargo.lock"])), []);
    }

    #[test]
    fn what_a_tool_keeps_elsewhere_is_brought_into_the_workspace() {
        let job = drafted(CommandDraft::argv(&["npm", "ci"]), "web", &["web/package-lock.json"]);
        assert_eq!(caches(&job), [("npm-web", "web/.cache/npm")]);
        assert_eq!(job.env, [("npm_config_cache".to_owned(), ".cache/npm".to_owned())]);
        let job = drafted(CommandDraft::argv(&["go", "test", "./..."]), "", &["go.sum"]);
        let CommandDraft::Shell(script) = &job.command else { panic!("a script") };
        assert_eq!(
            script,
            "export GOMODCACHE=\"$PWD/.cache/go-mod\"\nexport GOCACHE=\"$PWD/.cache/go-build\"\ngo test ./..."
        );
        let own = CommandDraft::Shell("UV_CACHE_DIR=/x uv sync".to_owned());
        assert_eq!(caches(&drafted(own, "", &["uv.lock"])), []);
    }
}
