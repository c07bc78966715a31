//! What package managers themselves say of generated workspaces, against what lanes derive.
//!
//! Each file builds random workspaces for one manager, asks the real program, without a network,
//! which packages there are and what each reaches, and [`Trial::compare`] plans a change in every
//! directory: a lane may never have less than the manager says, and nothing more unless the file
//! says why. `FORGE_LANES_WORKSPACES=500` builds that many per manager instead of a few, and
//! `FORGE_LANES_SEED=7` builds the one that failed and leaves it to be looked at.

#![expect(clippy::print_stderr, reason = "a test says what it compared and what it skipped")]

mod cargo;
mod go;
mod gradle;
mod js;
mod locks;
mod maven;
mod registry;
mod shape;
mod uv;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use lanes::glob::Glob;
use planner::{ChangesFrom, Request, packages::glob_of, plan};
use plans::Reason;

use crate::sandbox::{Numbers, Sandbox};

/// What a manager says: by directory, a package's name and the directories that it reaches.
pub(crate) type Truth = BTreeMap<String, (String, BTreeSet<String>)>;

/// A generated workspace.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    /// Directories that a package may be in or lead to; a file in each of them changes.
    pub(crate) places: Vec<String>,
    /// What manifests say, by directory, whether or not the manager takes it up.
    pub(crate) written: BTreeMap<String, BTreeSet<String>>,
}

/// A lane may have what is written down though the manager takes no notice of it.
pub(crate) fn written(world: &World, own: &str, dir: &str) -> bool {
    closure(&world.written, own).contains(dir)
}

/// How one manager is compared.
pub(crate) struct Trial {
    /// The key of `inputs`.
    pub(crate) key: &'static str,
    /// How many workspaces are built unless the environment asks for more.
    pub(crate) count: u64,
    pub(crate) build: fn(&mut Numbers) -> World,
    /// Asks the manager; an error is its refusal.
    pub(crate) ask: fn(&World) -> Result<Truth, String>,
    /// Whether a lane of the package in the first directory may have the second one's files though
    /// the manager does not say so.
    pub(crate) more: fn(&World, &str, &str) -> bool,
}

impl Trial {
    /// Compares generated workspaces; fails when the manager refuses most of them.
    pub(crate) fn compare(&self) {
        let mut wrong = Vec::new();
        let mut refused = Vec::new();
        let mut edges = 0;
        let seeds = seeds(self.count);
        for seed in seeds.clone() {
            let world = (self.build)(&mut Numbers(seed));
            match (self.ask)(&world) {
                Ok(truth) => {
                    edges += truth.values().map(|(_, reached)| reached.len() - 1).sum::<usize>();
                    let said = differences(self, &world, &truth);
                    if std::env::var_os("FORGE_LANES_SEED").is_some() {
                        keep(&world.sandbox, seed);
                    }
                    wrong.extend(said.into_iter().map(|it| format!("seed {seed}: {it}")));
                }
                Err(why) => refused.push(format!("seed {seed}: {why}")),
            }
        }
        let asked = seeds.count();
        let show = |list: &[String]| list[..list.len().min(12)].join("\n");
        assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), show(&wrong));
        let most = asked.div_ceil(3);
        assert!(
            refused.len() <= most || asked == 1,
            "{} of {asked} refused\n{}",
            refused.len(),
            show(&refused)
        );
        assert!(2 * edges > asked || asked == 1, "only {edges} dependencies in {asked} workspaces");
        eprintln!("{asked} workspaces, {} refused, {edges} dependencies", refused.len());
    }
}

/// Leaves a copy of a workspace to look at.
fn keep(sandbox: &Sandbox, seed: u64) {
    let kept = std::env::temp_dir().join(format!("forge-lanes-workspace-{seed}"));
    let copied = Command::new("cp").arg("-a").arg(sandbox.root()).arg(&kept).status();
    eprintln!("{} ({copied:?})", kept.display());
}

/// The seeds to build from.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    if let Some(seed) = asked("FORGE_LANES_SEED") {
        return seed..seed + 1;
    }
    0..asked("FORGE_LANES_WORKSPACES").unwrap_or(count)
}

const MARKER: &str = "changed.txt";

/// Where what lanes derive is not what the manager says.
fn differences(trial: &Trial, world: &World, truth: &Truth) -> Vec<String> {
    let World { sandbox, places, .. } = world;
    let names: BTreeSet<&str> = truth.values().map(|(name, _)| name.as_str()).collect();
    write_lanes(sandbox, trial.key, &names);
    let mut marked: BTreeSet<&str> = places.iter().map(String::as_str).collect();
    marked.extend(truth.values().flat_map(|(_, reached)| reached).map(String::as_str));
    let marker =
        |dir: &str| if dir.is_empty() { MARKER.to_owned() } else { format!("{dir}/{MARKER}") };
    for dir in &marked {
        sandbox.write(marker(dir), "1");
    }
    sandbox.commit("all");
    let list: String = marked.iter().map(|dir| marker(dir) + "\n").collect();
    let request = Request {
        dir: sandbox.root(),
        changes: ChangesFrom::List(list.into_bytes()),
        ..Request::default()
    };
    let planned = match plan(&request) {
        Ok(planned) => planned.plan,
        Err(error) => return vec![format!("no plan: {error:?}")],
    };
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let id = format!("p{at}");
        let lane = planned.lanes().iter().find(|lane| lane.id.as_str() == id).expect("there");
        let globs = lane.reasons.iter().filter_map(|reason| match reason {
            Reason::Paths(paths) => Some(paths.glob.as_str()),
            _ => None,
        });
        let globs: BTreeSet<&str> = globs.collect();
        let of_name = || truth.iter().filter(|(_, (it, _))| it == name);
        let real: BTreeSet<&str> =
            of_name().flat_map(|(_, (_, reached))| reached).map(String::as_str).collect();
        for dir in &marked {
            let has = globs.contains(glob_of(dir).as_str());
            let matched = || {
                let path = marker(dir);
                globs
                    .iter()
                    .any(|glob| Glob::new(glob).is_ok_and(|glob| glob.is_match(path.as_bytes())))
            };
            if real.contains(dir) && !has && !matched() {
                found.push(format!("LESS: `{name}` reaches `{dir}`; lane: {globs:?}"));
            }
            if !real.contains(dir)
                && has
                && !of_name().all(|(own, _)| (trial.more)(world, own, dir))
            {
                found.push(format!("more: `{name}` does not reach `{dir}`; manager: {real:?}"));
            }
        }
    }
    found
}

/// Writes a lane `p0`, `p1` and so on for each name.
pub(crate) fn write_lanes(sandbox: &Sandbox, key: &str, names: &BTreeSet<&str>) {
    let lanes = names.iter().enumerate().map(|(at, name)| {
        let inputs = format!("inputs = {{ {key} = [\"{name}\"] }}");
        format!("[[branch.lanes]]\nid = \"p{at}\"\ncommand = [\"true\"]\n{inputs}\n")
    });
    let text = format!("version = 1\n{}", lanes.collect::<String>());
    sandbox.write("ci/forge-lanes.toml", text);
}

/// What is reached from everything, over edges; itself included.
pub(crate) fn closure(edges: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::from([from.to_owned()]);
    let mut queue = vec![from];
    while let Some(at) = queue.pop() {
        for to in edges.get(at).into_iter().flatten() {
            if reached.insert(to.clone()) {
                queue.push(to);
            }
        }
    }
    reached
}

/// A path that a manager prints, from the repository's root.
pub(crate) fn in_tree(sandbox: &Sandbox, path: &Path) -> Option<String> {
    let root = sandbox.root().canonicalize().expect("it is there");
    let path = path.canonicalize().ok()?;
    Some(path.strip_prefix(root).ok()?.to_str().expect("text").to_owned())
}

/// A relative path from one directory of the repository to another.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let from: Vec<&str> = from.split('/').filter(|it| !it.is_empty()).collect();
    let to: Vec<&str> = to.split('/').filter(|it| !it.is_empty()).collect();
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    let path: Vec<&str> = up.chain(to[same..].iter().copied()).collect();
    if path.is_empty() { ".".to_owned() } else { path.join("/") }
}

/// Where `scripts/bootstrap managers` put a program, or where the machine has it. Without it a test
/// does nothing, except where the checks run.
pub(crate) fn program(name: &str, below: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let own = home.join(".cache/forge-lanes/managers").join(below);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = if below.is_empty() {
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|it| it.is_file())
    } else {
        Some(own).filter(|it| it.is_file())
    };
    if there.is_none() {
        let why = format!("no {name}: run scripts/bootstrap managers");
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
    }
    there
}

/// Runs a program with a cleared environment in a directory of the repository; what it prints, or
/// what it says when it fails.
pub(crate) fn run(
    sandbox: &Sandbox,
    dir: &str,
    program: &Path,
    args: &[&str],
    env: &[(&str, &str)],
) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(sandbox.root().join(dir))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", sandbox.beside("home"))
        .envs(env.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &out;
    Err(said.lines().filter(|line| !line.is_empty()).take(8).collect::<Vec<_>>().join(" | "))
}
