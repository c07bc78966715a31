//! Files that jobs keep for each other, as `artifacts` and the files of `needs`; and the artifact
//! actions of GitHub, where names and paths stand in the file.
//!
//! Files come to where the other engine puts them: into a directory of their own, where they have one,
//! else into one beside the sources, from which the first lines of the script copy them.

use std::collections::{BTreeSet, VecDeque};

use lanes::glob::Glob;
use plans::{WorkspacePath, paths_overlap};

use super::{
    dialect::picomatch,
    filter::{disjoint, distinct},
    pipeline::Entry,
    script,
    yaml::{Node, get, text},
};
use crate::init::{draft::CommandDraft, shell::quoted};

/// What one step keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// What the artifact is called; with expressions, where it is made while it runs.
    pub(super) name: String,
    /// Globs of what is kept.
    pub(super) globs: Vec<String>,
    /// The directory that they are known by, less which they are put elsewhere.
    pub(super) root: String,
    /// A path that may be a file or a directory.
    pub(super) unsure: Option<String>,
}

/// What one step takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Takes {
    pub(super) of: Of,
    pub(super) to: To,
    /// Where the step stands.
    pub(super) place: String,
}

/// Which artifacts are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// The one of this name.
    Named(String),
    /// All whose name matches, each into a directory called as it is unless they are merged.
    All { pattern: Option<String>, merged: bool },
    /// Those of one of these paths; of the job of this name, where that is said.
    Paths { of: Option<String>, globs: Vec<String> },
}

/// Where files are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    /// Less the directory that all of them are in, into this one; the workspace's root is `""`.
    Into(String),
    /// Less their root, into this one; the workspace's root is `""`.
    Below(String),
}

/// What a job keeps and takes.
#[derive(Debug, Clone, Default)]
pub(super) struct Artifacts {
    pub(super) kept: Vec<Files>,
    pub(super) taken: Vec<Takes>,
}

impl Artifacts {
    /// Every glob of what is kept, once.
    pub(super) fn globs(&self) -> Vec<String> {
        distinct(self.kept.iter().flat_map(|kept| kept.globs.clone()).collect())
    }
}

/// What the steps of a job of GitHub's keep and take; and what of it cannot be carried over.
#[derive(Debug, Default)]
pub(super) struct OfSteps {
    pub(super) passed: Artifacts,
    /// Lines above the job.
    pub(super) comment: Vec<String>,
    /// The actions that are spoken of here.
    pub(super) actions: Vec<String>,
}

/// The directory beside the sources from which files are copied to their places.
const ASIDE: &str = ".artifacts";

impl Entry {
    /// Takes files of a job that it needs, by place.
    ///
    /// # Errors
    ///
    /// Why that cannot be said.
    pub(super) fn take(
        &mut self,
        need: usize,
        of_many: bool,
        kept: &Files,
        to: &To,
    ) -> Result<(), String> {
        let globs = &kept.globs;
        if globs.is_empty() {
            return Ok(());
        }
        if !self.needs.contains(&need) {
            self.needs.push(need);
            self.after.retain(|&it| it != need);
        }
        let groups = match to {
            To::Into(dir) => vec![(dir.clone(), globs.clone())],
            To::Below(dir) => {
                let groups = by_directory(globs).into_iter();
                groups.map(|(own, globs)| (joined(dir, without(&own, &kept.root)), globs)).collect()
            }
        };
        for (dir, globs) in groups {
            let is_taken = self.takes.iter().any(|(.., at)| paths_overlap(at, &dir));
            if !dir.is_empty() && !is_taken && !of_many {
                self.takes.push((need, globs, dir));
                continue;
            }
            let CommandDraft::Shell(script) = &mut self.job.command else {
                return Err("no script is there that could put it into its place".to_owned());
            };
            let aside = format!("{ASIDE}/{}", self.takes.len() + 1);
            let to = if dir.is_empty() { ".".to_owned() } else { dir.clone() };
            let from = if of_many { format!("{aside}/*/.") } else { format!("{aside}/.") };
            let made =
                if dir.is_empty() { String::new() } else { format!("mkdir -p {}\n", quoted(&dir)) };
            let lines = format!("{made}cp -R {from} {}\n", quoted(&to));
            let first = script.find('\n').map_or(0, |at| at + 1);
            script.insert_str(first, &lines);
            self.takes.push((need, globs, aside));
        }
        Ok(())
    }
}

/// A directory in another one; either may be the root, which is empty.
fn joined(dir: &str, inner: &str) -> String {
    match (dir.is_empty(), inner.is_empty()) {
        (_, true) => dir.to_owned(),
        (true, _) => inner.to_owned(),
        _ => format!("{dir}/{inner}"),
    }
}

/// A directory less another one that it is in.
fn without<'a>(dir: &'a str, root: &str) -> &'a str {
    let rest = if root.is_empty() { Some(dir) } else { dir.strip_prefix(root) };
    rest.unwrap_or(dir).trim_start_matches('/')
}

/// Globs by the directory that they begin with; one that is in another's goes with that.
fn by_directory(globs: &[String]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut sorted: Vec<(String, &String)> =
        globs.iter().map(|glob| (directory(glob), glob)).collect();
    sorted.sort();
    for (dir, glob) in sorted {
        let holds = |(known, _): &&mut (String, Vec<String>)| {
            *known == dir || !known.is_empty() && dir.starts_with(&format!("{known}/"))
        };
        match groups.iter_mut().find(holds) {
            Some((_, list)) => list.push(glob.clone()),
            None => groups.push((dir, vec![glob.clone()])),
        }
    }
    groups
}

/// The directory that every path of a glob is in.
fn directory(glob: &str) -> String {
    let parts: Vec<&str> = glob.split('/').collect();
    let fixed = parts[..parts.len() - 1].iter();
    fixed
        .take_while(|part| !part.contains(['*', '?', '[', '{', '\\']))
        .copied()
        .collect::<Vec<_>>()
        .join("/")
}

/// Lets each job have the files that jobs before it keep for it.
pub(super) fn pass_on(entries: &mut [Entry]) {
    for at in 0..entries.len() {
        for taken in entries[at].passed.taken.clone() {
            let before = before(entries, at, matches!(taken.of, Of::Paths { .. }));
            let mut found: Vec<(usize, Files)> = Vec::new();
            for &need in &before {
                let kept = entries[need].passed.kept.iter();
                found.extend(kept.filter_map(|kept| Some((need, taken.of.wanted(kept)?))));
            }
            let what = match &taken.of {
                Of::Named(name) => format!("the files of the artifact `{name}`"),
                Of::All { pattern: Some(pattern), .. } => {
                    format!("the files of the artifacts `{pattern}`")
                }
                Of::All { .. } => "the files of all artifacts".to_owned(),
                Of::Paths { globs, .. } => format!("the files `{}`", globs.join("`, `")),
            };
            let mut trouble = BTreeSet::new();
            if found.is_empty() {
                trouble.insert("no job that it needs keeps them".to_owned());
            }
            let apart = matches!(taken.of, Of::All { merged: false, .. });
            for (need, kept) in found {
                let of_many = !entries[need].job.members.is_empty();
                let to = match &taken.to {
                    To::Into(dir) if apart => To::Into(joined(dir, &kept.name)),
                    to => to.clone(),
                };
                let done = match &kept.unsure {
                    _ if apart && kept.name.contains("${{") => {
                        Err(format!("the name of `{}` is made while it runs", kept.name))
                    }
                    Some(path) if matches!(to, To::Into(_)) => Err(format!(
                        "`{path}` may be a file or a directory: write `{path}/**` if it is one"
                    )),
                    _ => entries[at].take(need, of_many, &kept, &to),
                };
                trouble.extend(done.err());
            }
            for why in trouble {
                let line = format!("Not carried over: {what} ({}): {why}.", taken.place);
                entries[at].job.comment.push(line);
            }
        }
    }
}

impl Of {
    /// What of some kept files is taken; nothing where that is none.
    fn wanted(&self, kept: &Files) -> Option<Files> {
        let is = match self {
            Self::Named(name) => kept.name == *name,
            Self::All { pattern: None, .. } => true,
            Self::All { pattern: Some(pattern), .. } => {
                // What is made while it runs is some word.
                let name = super::matrix::expressions(&kept.name, &mut |_, out| out.push('x'));
                let globs = picomatch::translate(pattern).same.unwrap_or_default();
                globs
                    .iter()
                    .any(|glob| Glob::new(glob).is_ok_and(|it| it.is_match(name.as_bytes())))
            }
            Self::Paths { of, globs } => {
                let meets = |own: &&String| globs.iter().any(|glob| !disjoint(own, glob));
                let own: Vec<String> = kept.globs.iter().filter(meets).cloned().collect();
                let is = of.as_ref().is_none_or(|of| kept.name == *of) && !own.is_empty();
                return is.then(|| Files { globs: own, ..kept.clone() });
            }
        };
        is.then(|| kept.clone())
    }
}

/// The jobs that one needs, and those that they need: the nearest first; with `late`, also those that
/// it waits for where they run.
fn before(entries: &[Entry], at: usize, late: bool) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let mut open: VecDeque<usize> = VecDeque::from([at]);
    while let Some(next) = open.pop_front() {
        let entry = &entries[next];
        let after = if late { entry.after.as_slice() } else { &[] };
        for &it in entry.needs.iter().chain(after) {
            if !found.contains(&it) && it != at {
                found.push(it);
                open.push_back(it);
            }
        }
    }
    found
}

/// Reads the artifact actions among the steps of a job.
pub(super) fn of_steps(
    steps: &[Node],
    file: Option<&str>,
    known: &dyn Fn(&str) -> String,
) -> OfSteps {
    let mut found = OfSteps::default();
    for step in steps {
        let Some(uses) = get(step, "uses").and_then(text) else { continue };
        let with = |key: &str| {
            let written = get(step, "with").and_then(|with| get(with, key)).and_then(text);
            written.map(|it| known(&it))
        };
        let place = script::place(file, step.line);
        let name = with("name").filter(|it| !it.is_empty());
        let of_another =
            ["run-id", "repository", "artifact-ids"].into_iter().find(|key| with(key).is_some());
        let open = |text: &Option<String>| text.as_ref().is_some_and(|it| it.contains("${{"));
        let result = if uses.starts_with("actions/upload-artifact@") {
            let name = name.clone().unwrap_or_else(|| "artifact".to_owned());
            kept(&name, &with("path").unwrap_or_default()).map(|it| found.passed.kept.push(it))
        } else if uses.starts_with("actions/download-artifact@") {
            let merged = with("merge-multiple").is_some_and(|it| it == "true");
            let pattern = with("pattern");
            match (of_another, open(&name) || open(&pattern)) {
                (Some(key), _) => Err(format!("`{key}` says that it is another run's")),
                (None, true) => Err("its name is made while it runs".to_owned()),
                (None, false) => into(&with("path").unwrap_or_default()).map(|to| {
                    let of = match name.clone() {
                        Some(name) => Of::Named(name),
                        None => Of::All { pattern, merged },
                    };
                    found.passed.taken.push(Takes { of, to: To::Into(to), place: place.clone() });
                }),
            }
        } else {
            continue;
        };
        if let Err(why) = result {
            let name = name.map(|it| format!(" `{it}`")).unwrap_or_default();
            found.comment.push(format!(
                "Not carried over: the artifact{name} of `{uses}` ({place}): {why}."
            ));
        }
        found.actions.push(uses);
    }
    found
}

/// The lines of a `path` as globs of the workspace.
fn kept(name: &str, written: &str) -> Result<Files, String> {
    let lines = written.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut found = Files { name: name.to_owned(), ..Files::default() };
    for line in lines {
        let (glob, sure) = glob(line)?;
        found.globs.push(glob);
        if !sure && found.unsure.is_none() {
            found.unsure = Some(line.trim_start_matches("./").to_owned());
        }
    }
    found.globs = distinct(found.globs);
    if found.globs.is_empty() { Err("it has no path".to_owned()) } else { Ok(found) }
}

/// A path that is kept as a glob, and whether it is known which files that are: what ends in `/` or
/// has a `*` is a directory or a glob, what has an ending is a file, anything else is one or the other.
///
/// # Errors
///
/// Why it is no path of the workspace.
pub(super) fn glob(line: &str) -> Result<(String, bool), String> {
    // The workspace by its own name.
    let plain = line.strip_prefix("${{ github.workspace }}/").unwrap_or(line);
    let plain = plain.trim_start_matches("./");
    let odd =
        ["${{", "$", "!", "~", "..", "[", "{", "\\", "?"].iter().any(|sign| plain.contains(sign));
    if odd || plain.starts_with('/') || plain.is_empty() {
        return Err(format!("`{line}` is no path of the workspace that is read here"));
    }
    let last = plain.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let (found, sure) = if plain.ends_with('/') {
        (format!("{plain}**"), true)
    } else if last == "*" {
        // What a `*` is a directory of is kept whole.
        (format!("{plain}*"), true)
    } else if last.trim_start_matches('.').contains('.') || last.contains('*') {
        (plain.to_owned(), true)
    } else {
        let above = plain.strip_suffix(last).unwrap_or_default();
        (format!("{above}{{{last},{last}/**}}"), false)
    };
    match Glob::new(&found) {
        Ok(_) => Ok((found, sure)),
        Err(_) => Err(format!("`{line}` has no counterpart")),
    }
}

/// Where an artifact is put; the root is empty.
fn into(written: &str) -> Result<String, String> {
    let plain = written.trim();
    // The workspace by its own name.
    let plain = plain.strip_prefix("${{ github.workspace }}").unwrap_or(plain);
    let plain = plain.trim_start_matches("./").trim_matches('/');
    if plain.is_empty() || plain == "." {
        return Ok(String::new());
    }
    match WorkspacePath::new(plain) {
        Ok(_) if !plain.contains('$') && !plain.starts_with('~') => Ok(plain.to_owned()),
        _ => Err(format!("`{written}` is no directory of the workspace")),
    }
}
