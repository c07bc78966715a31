//! What jobs of GitHub's keep for each other, as `artifacts` and the files of `needs`: the artifact
//! actions, where names and paths stand in the file.
//!
//! A path is kept as it is where its kind is certain: what ends in `/` or has a `*` is a directory or
//! a glob, what has an ending is a file. Everything else is said by name and left out.

use lanes::glob::Glob;
use plans::WorkspacePath;
use saphyr::Yaml;

use super::yaml::{get, text};

/// What one step keeps or takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// What the artifact is called.
    pub(super) name: String,
    /// Globs of what is kept; where it is put, for one that takes.
    pub(super) paths: Vec<String>,
}

/// What the steps of a job keep and take; and what of it cannot be carried over.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    pub(super) kept: Vec<Files>,
    pub(super) taken: Vec<Files>,
    /// Lines above the job.
    pub(super) comment: Vec<String>,
    /// The actions that are spoken of here.
    pub(super) actions: Vec<String>,
}

/// Reads the artifact actions among the steps of a job.
pub(super) fn of_steps(steps: &[Yaml<'_>]) -> Artifacts {
    let mut found = Artifacts::default();
    for step in steps {
        let Some(uses) = get(step, "uses").and_then(text) else { continue };
        let with = |key: &str| get(step, "with").and_then(|with| get(with, key)).and_then(text);
        let keeps = uses.starts_with("actions/upload-artifact@");
        if !keeps && !uses.starts_with("actions/download-artifact@") {
            continue;
        }
        let name = with("name").or_else(|| keeps.then(|| "artifact".to_owned()));
        let read = match &name {
            Some(name) if name.contains("${{") => Err("its name is made while it runs".to_owned()),
            None => Err("it takes all of them, or some by a pattern".to_owned()),
            Some(_)
                if ["pattern", "run-id", "repository", "artifact-ids"]
                    .iter()
                    .any(|key| with(key).is_some()) =>
            {
                Err("it is not one of this run, or not one".to_owned())
            }
            Some(_) if keeps => globs(&with("path").unwrap_or_default()),
            Some(_) => place(&with("path").unwrap_or_default()).map(|at| vec![at]),
        };
        match (read, name) {
            (Ok(paths), Some(name)) => {
                let list = if keeps { &mut found.kept } else { &mut found.taken };
                list.push(Files { name, paths });
            }
            (Err(why), name) => {
                let name = name.map(|it| format!(" `{it}`")).unwrap_or_default();
                found
                    .comment
                    .push(format!("Not carried over: the artifact{name} of `{uses}`: {why}."));
            }
            (Ok(_), None) => {}
        }
        found.actions.push(uses);
    }
    found
}

/// The lines of a `path` as globs of the workspace.
fn globs(written: &str) -> Result<Vec<String>, String> {
    let lines = written.lines().map(str::trim).filter(|line| !line.is_empty());
    let globs: Vec<String> = lines.map(glob).collect::<Result<_, _>>()?;
    if globs.is_empty() { Err("it has no path".to_owned()) } else { Ok(globs) }
}

fn glob(line: &str) -> Result<String, String> {
    let plain = line.trim_start_matches("./");
    let odd =
        ["${{", "$", "!", "~", "..", "[", "{", "\\", "?"].iter().any(|sign| plain.contains(sign));
    if odd || plain.starts_with('/') {
        return Err(format!("`{line}` is no path of the workspace that is read here"));
    }
    let last = plain.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let found = if plain.ends_with('/') {
        format!("{plain}**")
    } else if last == "*" {
        // What a `*` is a directory of is kept whole.
        format!("{plain}*")
    } else if last.trim_start_matches('.').contains('.') || last == "**" {
        plain.to_owned()
    } else {
        return Err(format!(
            "`{line}` may be a file or a directory: write `{plain}/**` if it is one"
        ));
    };
    match Glob::new(&found) {
        Ok(_) => Ok(found),
        Err(_) => Err(format!("`{line}` has no counterpart")),
    }
}

/// Where an artifact is put.
fn place(written: &str) -> Result<String, String> {
    let plain = written.trim().trim_start_matches("./").trim_end_matches('/');
    if plain.is_empty() || plain == "." {
        return Err("it is put into the root of the workspace".to_owned());
    }
    match WorkspacePath::new(plain) {
        Ok(_) if !plain.contains('$') && !plain.starts_with('~') => Ok(plain.to_owned()),
        _ => Err(format!("`{written}` is no directory of the workspace")),
    }
}

/// Whether one directory is in the other.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}
