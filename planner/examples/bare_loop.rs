//! What `scripts/bench/planner` holds `planner plan` against: the same question answered by the least that somebody
//! would write by hand. `bare_loop REPOSITORY BASE HEAD OUT` parses manifest and catalog of HEAD, compares the two
//! trees, asks an index over the globs once about every change, and writes lanes, what matched, and the jobs of those
//! that run as JSON.
//!
//! Left out of it is whatever makes a plan safe to run or easy to understand: nothing is validated, no `exclude`,
//! `needs`, `include` or path set is followed, no lane is told why it does not run, nothing has a key or a digest.

#![expect(clippy::disallowed_methods, reason = "a program of its own, for the benchmark alone")]

use std::{collections::HashMap, fs, io::BufWriter};

use git2::{ObjectType, Oid, Repository, Tree};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    run_all: Vec<String>,
    branch: Branch,
}

#[derive(Deserialize)]
struct Branch {
    lanes: Vec<Lane>,
}

#[derive(Deserialize)]
struct Lane {
    id: String,
    title: String,
    target: String,
    paths: Vec<String>,
}

#[derive(Deserialize)]
struct Catalog {
    bases: HashMap<String, toml::Table>,
    hosts: HashMap<String, toml::Table>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    id: String,
    jobs: Vec<Job>,
}

#[derive(Deserialize, Serialize)]
struct Job {
    id: String,
    description: String,
    base: String,
    command: toml::Table,
}

#[derive(Serialize)]
struct Reason<'a> {
    glob: &'a str,
    matched: Vec<&'a str>,
    total: usize,
}

#[derive(Serialize)]
struct LaneOut<'a> {
    id: &'a str,
    title: &'a str,
    target: &'a str,
    selected: bool,
    reasons: Vec<Reason<'a>>,
}

#[derive(Serialize)]
struct NodeOut<'a> {
    #[serde(flatten)]
    job: &'a Job,
    settings: Option<&'a toml::Table>,
}

#[derive(Serialize)]
struct Out<'a> {
    changes: &'a [String],
    uncovered: Vec<&'a str>,
    hosts: &'a HashMap<String, toml::Table>,
    lanes: Vec<LaneOut<'a>>,
    nodes: Vec<NodeOut<'a>>,
}

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [dir, base, head, out] = &words[..] else {
        return Err("bare_loop REPOSITORY BASE HEAD OUT".into());
    };
    let repository = Repository::open(dir)?;
    let tree = |name: &str| repository.revparse_single(name)?.peel_to_tree();
    let (base, head) = (tree(base)?, tree(head)?);
    let text = |path: &str| -> Result<String, Failed> {
        let entry = head.get_path(path.as_ref())?;
        Ok(String::from_utf8(repository.find_blob(entry.id())?.content().to_vec())?)
    };
    let manifest: Manifest = toml::from_str(&text("ci/forge-lanes.toml")?)?;
    let catalog: Catalog = toml::from_str(&text("ci/catalog.toml")?)?;

    let mut changes = Vec::new();
    compare(&repository, Some(&base), Some(&head), "", &mut changes)?;
    changes.sort();

    // One pass: the changes that each distinct glob matches.
    let lists = manifest.branch.lanes.iter().map(|lane| &lane.paths);
    let mut index = Index::default();
    for glob in lists.chain([&manifest.ignore, &manifest.run_all]).flatten() {
        index.add(glob);
    }
    let mut hits: Vec<Vec<u32>> = vec![Vec::new(); index.texts.len()];
    let mut uncovered = Vec::new();
    for (at, path) in (0..).zip(&changes) {
        let found = index.matches(path);
        if found.is_empty() {
            uncovered.push(path.as_str());
        }
        found.into_iter().for_each(|glob| hits[glob].push(at));
    }

    let targets: HashMap<&str, &Target> =
        catalog.targets.iter().map(|target| (target.id.as_str(), target)).collect();
    let reason = |glob: &str| {
        let found = &hits[index.ids[glob]];
        let matched = found.iter().take(3).map(|&at| changes[at as usize].as_str()).collect();
        Reason { glob: index.texts[index.ids[glob]], matched, total: found.len() }
    };
    let all = manifest.run_all.iter().any(|glob| !hits[index.ids[glob.as_str()]].is_empty());
    let (mut lanes, mut nodes) = (Vec::new(), Vec::new());
    for lane in &manifest.branch.lanes {
        let matching = lane.paths.iter().filter(|glob| !hits[index.ids[glob.as_str()]].is_empty());
        let reasons: Vec<Reason<'_>> = matching.map(|glob| reason(glob)).collect();
        let selected = all || !reasons.is_empty();
        if selected {
            let target = targets.get(lane.target.as_str()).ok_or("no such target")?;
            nodes.extend(
                target
                    .jobs
                    .iter()
                    .map(|job| NodeOut { job, settings: catalog.bases.get(&job.base) }),
            );
        }
        let (id, title, target) = (&lane.id, &lane.title, &lane.target);
        lanes.push(LaneOut { id, title, target, selected, reasons });
    }
    let out = BufWriter::new(fs::File::create(out)?);
    let hosts = &catalog.hosts;
    serde_json::to_writer_pretty(out, &Out { changes: &changes, uncovered, hosts, lanes, nodes })?;
    Ok(())
}

/// The paths that differ; equal directories are not entered.
fn compare(
    repository: &Repository,
    old: Option<&Tree<'_>>,
    new: Option<&Tree<'_>>,
    dir: &str,
    changes: &mut Vec<String>,
) -> Result<(), Failed> {
    let entries = |tree: Option<&Tree<'_>>| -> Vec<(Vec<u8>, Oid, i32, bool)> {
        let entry = |it: git2::TreeEntry<'_>| {
            (it.name_bytes().to_vec(), it.id(), it.filemode(), it.kind() == Some(ObjectType::Tree))
        };
        tree.into_iter().flat_map(|tree| tree.iter().map(entry).collect::<Vec<_>>()).collect()
    };
    let before: HashMap<_, _> = entries(old).into_iter().map(|it| (it.0.clone(), it)).collect();
    let after = entries(new);
    let mut differ = |name: &[u8], old: Option<(Oid, bool)>, new: Option<(Oid, bool)>| {
        let path = format!("{dir}{}", std::str::from_utf8(name)?);
        let tree = |side: Option<(Oid, bool)>| {
            side.filter(|it| it.1).map(|it| repository.find_tree(it.0)).transpose()
        };
        if [old, new].into_iter().flatten().any(|it| !it.1) {
            changes.push(path.clone());
        }
        let (old, new) = (tree(old)?, tree(new)?);
        if old.is_some() || new.is_some() {
            compare(repository, old.as_ref(), new.as_ref(), &format!("{path}/"), changes)?;
        }
        Ok::<(), Failed>(())
    };
    for (name, id, mode, is_tree) in &after {
        match before.get(name) {
            Some((_, old, old_mode, _)) if old == id && old_mode == mode => {}
            Some((_, old, _, was_tree)) => {
                differ(name, Some((*old, *was_tree)), Some((*id, *is_tree)))?;
            }
            None => differ(name, None, Some((*id, *is_tree)))?,
        }
    }
    let left: std::collections::HashSet<&Vec<u8>> = after.iter().map(|it| &it.0).collect();
    let mut gone: Vec<_> = before.values().filter(|it| !left.contains(&it.0)).collect();
    gone.sort();
    gone.into_iter()
        .try_for_each(|(name, id, _, was_tree)| differ(name, Some((*id, *was_tree)), None))
}

/// The globs by the literal directory that they start with.
#[derive(Default)]
struct Index<'a> {
    texts: Vec<&'a str>,
    ids: HashMap<&'a str, usize>,
    below: HashMap<String, Vec<(usize, Vec<String>)>>,
}

impl<'a> Index<'a> {
    fn add(&mut self, glob: &'a str) {
        if self.ids.contains_key(glob) {
            return;
        }
        let id = self.texts.len();
        self.texts.push(glob);
        self.ids.insert(glob, id);
        for plain in without_braces(glob) {
            let literal = plain.find(['*', '?', '[']).unwrap_or(plain.len());
            let dir = plain[..literal].rfind('/').map_or(0, |at| at + 1);
            let rest = plain[dir..].split('/').map(str::to_owned).collect();
            self.below.entry(plain[..dir].to_owned()).or_default().push((id, rest));
        }
    }

    fn matches(&self, path: &str) -> Vec<usize> {
        let dirs = path.match_indices('/').map(|(at, _)| at + 1);
        let mut found = Vec::new();
        for dir in std::iter::once(0).chain(dirs) {
            let Some(globs) = self.below.get(&path[..dir]) else { continue };
            let names: Vec<&str> = path[dir..].split('/').collect();
            found.extend(globs.iter().filter(|(_, glob)| is_match(glob, &names)).map(|it| it.0));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn without_braces(glob: &str) -> Vec<String> {
    let Some((start, rest)) = glob.split_once('{') else { return vec![glob.to_owned()] };
    let Some((choices, end)) = rest.split_once('}') else { return vec![glob.to_owned()] };
    choices.split(',').flat_map(|it| without_braces(&format!("{start}{it}{end}"))).collect()
}

fn is_match(glob: &[String], names: &[&str]) -> bool {
    match (glob.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any == "**" => {
            (rest.is_empty() && !names.is_empty())
                || (!rest.is_empty() && (0..names.len()).any(|skip| is_match(rest, &names[skip..])))
        }
        (Some((one, rest)), Some((name, names))) => {
            is_name(one.as_bytes(), name.as_bytes()) && is_match(rest, names)
        }
        _ => false,
    }
}

fn is_name(glob: &[u8], name: &[u8]) -> bool {
    match (glob, name) {
        ([], []) => true,
        ([b'*', glob @ ..], name) => (0..=name.len()).any(|skip| is_name(glob, &name[skip..])),
        ([b'?', glob @ ..], [_, name @ ..]) => is_name(glob, name),
        ([b'[', class @ ..], [byte, name @ ..]) => {
            let end = class.iter().position(|&it| it == b']').unwrap_or(class.len() - 1);
            let (class, glob) = (&class[..end], &class[end + 1..]);
            let range = class.windows(3).any(|it| it[1] == b'-' && (it[0]..=it[2]).contains(byte));
            (range || class.contains(byte)) && is_name(glob, name)
        }
        ([one, glob @ ..], [byte, name @ ..]) => one == byte && is_name(glob, name),
        _ => false,
    }
}
