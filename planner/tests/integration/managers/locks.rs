//! Lock files that npm, pnpm, both yarns and uv write themselves: one package of a registry gets a
//! newer version, and the lanes that a plan selects are the packages whose resolved closure, as the
//! manager tells it, is another one.
//!
//! The managers resolve from a registry on the loopback interface, nothing else of a network.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use planner::{Request, plan};
use serde_json::{Map, Value, json};

use super::{
    closure,
    js::{Manager, js},
    program,
    registry::{Registry, Release},
    run, write_lanes,
};
use crate::sandbox::{Numbers, Sandbox};

/// A package of the tree.
struct Member {
    name: String,
    /// Other members, by place.
    needs: Vec<usize>,
    /// Packages of the registry.
    asks: Vec<String>,
}

/// What a manager says: by a member's name, the ids of everything that it resolves to.
type Closures = BTreeMap<String, BTreeSet<String>>;

/// How one manager is asked.
struct Asked {
    /// The key of `inputs`.
    key: &'static str,
    lock: &'static str,
    /// Writes the manifests of the root, which asks for some packages itself, and of members.
    write: fn(&Sandbox, &[Member], &[String], &Registry),
    /// Locks, and says what each member and the root, called `root`, resolve to.
    ask: fn(&Sandbox, &[Member], &Registry) -> Result<Closures, String>,
    /// Whether what the root asks for is there for every member.
    shares_root: bool,
}

fn releases(numbers: &mut Numbers) -> Vec<Release> {
    const COUNT: usize = 6;
    let name = |at: usize| format!("dep{at}");
    (0..COUNT)
        .map(|at| {
            let later = (at + 1..COUNT).filter(|_| numbers.below(3) == 0);
            Release { name: name(at), version: "1.0.0", needs: later.map(name).collect() }
        })
        .collect()
}

fn members(numbers: &mut Numbers, releases: &[Release]) -> Vec<Member> {
    const COUNT: usize = 4;
    (0..COUNT)
        .map(|at| Member {
            name: format!("member{at}"),
            needs: (at + 1..COUNT).filter(|_| numbers.below(3) == 0).collect(),
            asks: asks(numbers, releases),
        })
        .collect()
}

fn asks(numbers: &mut Numbers, releases: &[Release]) -> Vec<String> {
    let some = releases.iter().filter(|_| numbers.below(4) == 0);
    some.map(|release| release.name.clone()).collect()
}

fn compare(asked: &Asked, count: u64) {
    let mut changed = 0;
    for seed in super::seeds(count) {
        let mut numbers = Numbers(seed);
        let mut releases = releases(&mut numbers);
        let members = members(&mut numbers, &releases);
        let of_root =
            if numbers.below(3) == 0 { asks(&mut numbers, &releases) } else { Vec::new() };
        let registry = Registry::new();
        registry.publish(&releases);
        let sandbox = Sandbox::new();
        (asked.write)(&sandbox, &members, &of_root, &registry);
        let ask = || {
            (asked.ask)(&sandbox, &members, &registry)
                .unwrap_or_else(|why| panic!("seed {seed}: {why}"))
        };
        let before = ask();
        let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
        write_lanes(&sandbox, asked.key, &names);
        sandbox.commit("before");
        let newer = &releases[numbers.below(releases.len())];
        let mut newer = Release { version: "1.1.0", ..newer.clone() };
        if numbers.below(2) == 0 {
            newer.needs.pop();
        }
        let newest = format!("{newer:?}");
        releases.push(newer);
        registry.publish(&releases);
        std::fs::remove_file(sandbox.root().join(asked.lock)).expect("it was written");
        let after = ask();
        if before == after {
            continue;
        }
        sandbox.commit("after");
        let differs = |name: &str| before.get(name) != after.get(name);
        let shared = asked.shares_root && differs("root");
        let expected: BTreeSet<&str> =
            names.iter().copied().filter(|name| shared || differs(name)).collect();
        let request = Request { dir: sandbox.root(), ..Request::default() };
        let plan = plan(&request).expect("a plan").plan;
        let selected = names.iter().enumerate().filter(|(at, _)| {
            let id = format!("p{at}");
            plan.lanes().iter().any(|lane| lane.id.as_str() == id && lane.selected)
        });
        let selected: BTreeSet<&str> = selected.map(|(_, name)| *name).collect();
        assert_eq!(
            selected, expected,
            "seed {seed}, {newest}\nbefore {before:#?}\nafter {after:#?}"
        );
        changed += usize::from(expected.len() < names.len());
    }
    let alone = std::env::var_os("FORGE_LANES_SEED").is_some();
    assert!(changed > 0 || alone, "no lock file changed for some members only");
}

/// The closures of a graph: of the root and of members, without members in them.
fn closures(edges: &BTreeMap<String, BTreeSet<String>>, of: &BTreeMap<String, String>) -> Closures {
    let is_member: BTreeSet<&String> = of.values().collect();
    let closure = |id: &String| {
        let reached = closure(edges, id).into_iter();
        reached.filter(|it| !is_member.contains(it)).collect::<BTreeSet<String>>()
    };
    of.iter().map(|(name, id)| (name.clone(), closure(id))).collect()
}

fn write_npm(sandbox: &Sandbox, members: &[Member], of_root: &[String], range: &str) {
    let table = |asks: &[String]| -> Map<String, Value> {
        asks.iter().map(|name| (name.clone(), json!("^1.0.0"))).collect()
    };
    let root = json!({
        "name": "root", "version": "1.0.0", "private": true, "workspaces": ["packages/*"],
        "dependencies": table(of_root),
    });
    sandbox.write("package.json", root.to_string());
    for (at, member) in members.iter().enumerate() {
        let mut dependencies = table(&member.asks);
        for &other in &member.needs {
            dependencies.insert(members[other].name.clone(), json!(range));
        }
        // Which kind of dependency it is makes no difference to a member's own lane.
        let kind = if at % 2 == 0 { "dependencies" } else { "devDependencies" };
        let manifest = json!({ "name": member.name, "version": "1.0.0", kind: dependencies });
        sandbox.write(format!("packages/{}/package.json", member.name), manifest.to_string());
    }
    sandbox.write(".gitignore", "node_modules\n.yarn\n.pnp.*\n");
}

fn manage(
    sandbox: &Sandbox,
    manager: Manager,
    registry: &Registry,
    args: &[&str],
) -> Result<String, String> {
    let node = program("node", "").expect("the caller looked");
    let script = js(manager).expect("the caller looked");
    let args = [&[script.to_str().expect("text")], args].concat();
    // For root, yarn 1 has one cache for the whole machine.
    let cache = sandbox.beside("home/yarn-1");
    let env = [
        ("YARN_CACHE_FOLDER", cache.to_str().expect("text")),
        ("npm_config_registry", registry.url.as_str()),
        ("npm_config_manage_package_manager_versions", "false"),
        ("npm_config_update_notifier", "false"),
        ("YARN_ENABLE_TELEMETRY", "0"),
    ];
    run(sandbox, "", &node, &args, &env)
}

/// npm's tree as its lock file has it.
const LOCKED: &str = "
const Arborist = require(process.argv[1] + '/node_modules/@npmcli/arborist');
new Arborist({ path: process.argv[2] }).loadVirtual().then(tree => {
  const id = node => node.location.includes('node_modules/') ? node.name + '@' + node.version : node.location;
  const found = [];
  for (const node of tree.inventory.values()) {
    if (node.isLink) continue;
    const edges = [...node.edgesOut.values()].filter(it => it.to && it.type !== 'workspace');
    found.push([id(node), edges.map(it => id(it.to.target))]);
  }
  console.log(JSON.stringify(found));
});
";

fn ask_npm(sandbox: &Sandbox, members: &[Member], registry: &Registry) -> Result<Closures, String> {
    let install = ["install", "--package-lock-only", "--no-audit", "--no-fund"];
    manage(sandbox, Manager::Npm, registry, &install)?;
    let script = js(Manager::Npm).expect("the caller looked");
    let npm = script.ancestors().nth(2).and_then(Path::to_str).expect("a directory");
    let root = sandbox.root();
    let node = program("node", "").expect("the caller looked");
    let text = run(sandbox, "", &node, &["-e", LOCKED, npm, root.to_str().expect("text")], &[])?;
    let found: Vec<(String, BTreeSet<String>)> =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut of: BTreeMap<String, String> =
        members.iter().map(|it| (it.name.clone(), format!("packages/{}", it.name))).collect();
    of.insert("root".to_owned(), String::new());
    Ok(closures(&found.into_iter().collect(), &of))
}

fn ask_pnpm(
    sandbox: &Sandbox,
    members: &[Member],
    registry: &Registry,
) -> Result<Closures, String> {
    manage(sandbox, Manager::Pnpm, registry, &["install", "--lockfile-only"])?;
    let list = ["list", "-r", "--depth", "Infinity", "--json", "--lockfile-only"];
    let text = manage(sandbox, Manager::Pnpm, registry, &list)?;
    let projects: Vec<Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // One that was shown before is shown without what it needs.
    fn add(edges: &mut BTreeMap<String, BTreeSet<String>>, from: &str, of: &Value) {
        for kind in ["dependencies", "devDependencies"] {
            for (name, below) in of[kind].as_object().into_iter().flatten() {
                let version = below["version"].as_str().unwrap_or_default();
                let id = match version.starts_with("link:") {
                    true => name.clone(),
                    false => format!("{name}@{version}"),
                };
                edges.entry(from.to_owned()).or_default().insert(id.clone());
                add(edges, &id, below);
            }
        }
    }
    for project in &projects {
        add(&mut edges, project["name"].as_str().unwrap_or_default(), project);
    }
    let names = members.iter().map(|it| it.name.clone()).chain(["root".to_owned()]);
    Ok(closures(&edges, &names.map(|name| (name.clone(), name)).collect()))
}

/// `yarn why` names each way that leads to a package: `_project_#member#dep1#dep2`.
fn ask_yarn1(
    sandbox: &Sandbox,
    members: &[Member],
    registry: &Registry,
) -> Result<Closures, String> {
    let _ = std::fs::remove_dir_all(sandbox.root().join("node_modules"));
    let install = ["install", "--ignore-scripts", "--non-interactive", "--silent"];
    manage(sandbox, Manager::Yarn1, registry, &install)?;
    let info = manage(sandbox, Manager::Yarn1, registry, &["--silent", "workspaces", "info"])?;
    let info: BTreeMap<String, Value> =
        serde_json::from_str(&info).map_err(|error| error.to_string())?;
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, of) in &info {
        let needs = of["workspaceDependencies"].as_array().into_iter().flatten();
        let needs = needs.filter_map(|it| it.as_str().map(str::to_owned));
        edges.entry(name.clone()).or_default().extend(needs);
    }
    let lock = std::fs::read_to_string(sandbox.root().join("yarn.lock"));
    let lock = lock.map_err(|error| error.to_string())?;
    let locked: BTreeSet<&str> = lock
        .lines()
        .filter(|it| it.starts_with("dep"))
        .filter_map(|it| it.split('@').next())
        .collect();
    for name in locked {
        let why = manage(sandbox, Manager::Yarn1, registry, &["why", name, "--json"])?;
        let mut version = String::new();
        for line in why.lines() {
            let said: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let data = &said["data"];
            if let Some(found) = data.as_str().and_then(|it| it.split_once("Found \"")) {
                version = found.1.trim_end_matches('"').to_owned();
            }
            let items = data["items"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let items = items.chain(data.as_str());
            for way in items.flat_map(|it| it.split('"')).filter(|it| it.starts_with("_project_")) {
                let from = way.split('#').nth(1).unwrap_or_default();
                let from = if members.iter().any(|it| it.name == from) { from } else { "root" };
                edges.entry(from.to_owned()).or_default().insert(version.clone());
            }
            if data.as_str().is_some_and(|it| it.contains("Specified in \"dependencies\"")) {
                edges.entry("root".to_owned()).or_default().insert(version.clone());
            }
        }
    }
    let names = members.iter().map(|it| it.name.clone()).chain(["root".to_owned()]);
    Ok(closures(&edges, &names.map(|name| (name.clone(), name)).collect()))
}

fn ask_yarn4(
    sandbox: &Sandbox,
    members: &[Member],
    registry: &Registry,
) -> Result<Closures, String> {
    manage(sandbox, Manager::Yarn4, registry, &["install", "--mode=update-lockfile"])?;
    let text = manage(sandbox, Manager::Yarn4, registry, &["info", "-A", "-R", "--json"])?;
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let package: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let needs = package["children"]["Dependencies"].as_array().into_iter().flatten();
        let needs = needs.filter_map(|it| it["locator"].as_str().map(str::to_owned)).collect();
        edges.insert(package["value"].as_str().unwrap_or_default().to_owned(), needs);
    }
    let mut of: BTreeMap<String, String> = members
        .iter()
        .map(|it| (it.name.clone(), format!("{0}@workspace:packages/{0}", it.name)))
        .collect();
    of.insert("root".to_owned(), "root@workspace:.".to_owned());
    Ok(closures(&edges, &of))
}

fn write_uv(sandbox: &Sandbox, members: &[Member], of_root: &[String], registry: &Registry) {
    let project = |name: &str, asks: Vec<&str>, more: String| {
        format!(
            "[project]\nname = \"{name}\"\nversion = \"0.1\"\nrequires-python = \">=3.8\"\n\
             dependencies = {}\n{more}",
            super::shape::quoted(asks)
        )
    };
    let more = format!(
        "[tool.uv.workspace]\nmembers = [\"packages/*\"]\n\
         [[tool.uv.index]]\nurl = \"{}/simple\"\ndefault = true\n",
        registry.url
    );
    let asks = of_root.iter().map(String::as_str).collect();
    sandbox.write("pyproject.toml", project("root", asks, more));
    for member in members {
        let others = member.needs.iter().map(|&at| members[at].name.as_str());
        let sources: String =
            others.clone().map(|name| format!("{name} = {{ workspace = true }}\n")).collect();
        let asks = member.asks.iter().map(String::as_str).chain(others).collect();
        let text = project(&member.name, asks, format!("[tool.uv.sources]\n{sources}"));
        sandbox.write(format!("packages/{}/pyproject.toml", member.name), text);
    }
}

fn ask_uv(sandbox: &Sandbox, members: &[Member], _: &Registry) -> Result<Closures, String> {
    let uv: PathBuf = program("uv", "bin/uv").expect("the caller looked");
    let python = uv.with_file_name("python");
    let env = [
        ("UV_PYTHON", python.to_str().expect("text")),
        ("UV_PYTHON_DOWNLOADS", "never"),
        ("UV_NO_CACHE", "1"),
    ];
    run(sandbox, "", &uv, &["lock", "--quiet"], &env)?;
    let mut closures = Closures::new();
    for name in members.iter().map(|it| it.name.as_str()).chain(["root"]) {
        let export =
            ["export", "--frozen", "--no-hashes", "--no-annotate", "--no-header", "--quiet"];
        let text = run(sandbox, "", &uv, &[&export[..], &["--package", name]].concat(), &env)?;
        let ids = text.lines().filter(|line| line.contains("==")).map(str::to_owned);
        closures.insert(name.to_owned(), ids.collect());
    }
    Ok(closures)
}

fn compare_js(manager: Manager, count: u64, asked: &Asked) {
    if js(manager).is_some() {
        compare(asked, count);
    }
}

#[test]
fn a_lock_file_of_npm_selects_exactly_whose_closure_changed() {
    let asked = Asked {
        key: "npm",
        lock: "package-lock.json",
        write: |sandbox, members, of_root, _| write_npm(sandbox, members, of_root, "*"),
        ask: ask_npm,
        shares_root: true,
    };
    compare_js(Manager::Npm, 3, &asked);
}

#[test]
fn a_lock_file_of_pnpm_selects_exactly_whose_closure_changed() {
    let asked = Asked {
        key: "npm",
        lock: "pnpm-lock.yaml",
        write: |sandbox, members, of_root, _| {
            write_npm(sandbox, members, of_root, "workspace:*");
            sandbox.write("pnpm-workspace.yaml", "packages: [\"packages/*\"]\n");
        },
        ask: ask_pnpm,
        shares_root: true,
    };
    compare_js(Manager::Pnpm, 2, &asked);
}

#[test]
fn a_lock_file_of_yarn_1_selects_exactly_whose_closure_changed() {
    let asked = Asked {
        key: "npm",
        lock: "yarn.lock",
        write: |sandbox, members, of_root, _| write_npm(sandbox, members, of_root, "*"),
        ask: ask_yarn1,
        shares_root: true,
    };
    compare_js(Manager::Yarn1, 3, &asked);
}

#[test]
fn a_lock_file_of_yarn_4_selects_exactly_whose_closure_changed() {
    let asked = Asked {
        key: "npm",
        lock: "yarn.lock",
        write: |sandbox, members, of_root, registry| {
            write_npm(sandbox, members, of_root, "workspace:*");
            let settings = format!(
                "npmRegistryServer: \"{}\"\nunsafeHttpWhitelist: [\"127.0.0.1\"]\n\
                 npmMinimalAgeGate: 0\nenableImmutableInstalls: false\n",
                registry.url
            );
            sandbox.write(".yarnrc.yml", settings);
            sandbox.write("yarn.lock", "");
        },
        ask: ask_yarn4,
        shares_root: true,
    };
    compare_js(Manager::Yarn4, 3, &asked);
}

#[test]
fn a_lock_file_of_uv_selects_exactly_whose_closure_changed() {
    let asked =
        Asked { key: "uv", lock: "uv.lock", write: write_uv, ask: ask_uv, shares_root: false };
    if program("uv", "bin/uv").is_some() {
        compare(&asked, 4);
    }
}
