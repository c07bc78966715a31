//! What decides a node's result where it runs: its key in the plan, and what only machines know.
//!
//! Asks machines; keeps nothing but what tools answered, which is asked once by a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use plans::{Checkout, EnvName, Key, KeyParts, Node, NodeId, Placement, Plan, Runtime, Seen};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    control::{Control, Level},
    fault::Fault,
    guest_command::in_one_line,
    placements::{Answer, ControlCommand, Flow, Machine, Machines},
    runtimes,
    source::SourceSpec,
    text,
};

/// The most of a tool's answer that is kept for people.
const SHOWN: usize = 4096;

/// How long a tool may think about its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most it may say of it, in bytes.
const MOST: usize = 1 << 20;

/// What decides a result, and its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// The digest.
    pub(crate) key: Key,
    /// Part by part: `plan`, `machine`, `uses`.
    pub(crate) parts: Value,
}

/// A node as this site runs it, and its key in the plan.
#[derive(Debug, Clone)]
struct Keyed {
    node: Arc<Node>,
    key: Key,
}

impl Keyed {
    fn of(node: &Arc<Node>) -> Option<Self> {
        Some(Self { node: Arc::clone(node), key: node.key.clone()? })
    }
}

/// A node whose result is looked for, with everything of the plan that decides it.
#[derive(Debug, Clone)]
pub(crate) struct Sought {
    of: Keyed,
    /// Every node that it uses, and those that these use.
    uses: Vec<Keyed>,
    /// What its key is made of, for people: `plan`, and `source`, where `why` finds the files.
    parts: Value,
}

impl Sought {
    /// Takes the node at a position; `nodes` are those of the plan as this site runs them. Nothing where it, or a node
    /// that it uses, has no key.
    pub(crate) fn of(
        plan: &Plan,
        nodes: &[Arc<Node>],
        position: usize,
        source: &SourceSpec,
    ) -> Option<Self> {
        let uses = uses(plan, position).into_iter().map(|used| Keyed::of(&nodes[used]));
        Some(Self {
            of: Keyed::of(&nodes[position])?,
            uses: uses.collect::<Option<_>>()?,
            parts: parts_of(plan, &nodes[position], source)?,
        })
    }

    /// Returns whether what decides the result is known without asking a machine or a tool.
    pub(super) fn is_at_hand(&self, tools: &Tools) -> bool {
        std::iter::once(&self.of).chain(&self.uses).all(|Keyed { node, .. }| {
            let spec = &node.spec;
            let host = spec.placement.host_name();
            matches!((&spec.placement, &spec.runtime), (Placement::Local, Runtime::HostProcess))
                && spec.key_commands.iter().all(|argv| tools.has(host, argv))
        })
    }

    /// Returns the node.
    pub(crate) fn node(&self) -> &Node {
        &self.of.node
    }
}

/// Returns the nodes of which a node has something, and those of which these have something, in the plan's order.
fn uses(plan: &Plan, position: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut open = vec![position];
    while let Some(one) = open.pop() {
        for id in plan.nodes()[one].uses() {
            open.extend(plan.graph().position(id.as_str()).filter(|&used| all.insert(used)));
        }
    }
    all
}

fn parts_of(plan: &Plan, node: &Node, source: &SourceSpec) -> Option<Value> {
    let tree = node.inputs_tree.clone().unwrap_or_else(|| source.tree.clone());
    let commit = source.head.clone().filter(|_| node.spec.checkout == Checkout::Clone);
    let key = |id: &NodeId| plan.node(id.as_str())?.key.as_ref();
    let seen = Seen { tree, commit };
    let parts = KeyParts::of(node, &seen, &key)?;
    let setup = node.workspace_from.as_ref().and_then(|id| plan.node(id.as_str()));
    let from = json!({ "tree": source.tree, "inputs": setup.unwrap_or(node).spec.inputs });
    Some(json!({ "plan": parts.to_value(), "source": from }))
}

/// What a tool answered; a reason in place of an answer that could not be had.
type Said = Result<String, String>;

/// What one tool answered, once it did.
type Asked = Arc<Mutex<Option<Said>>>;

/// What tools answered, by host and words, each asked once.
#[derive(Debug, Default)]
pub(crate) struct Tools(Mutex<BTreeMap<(String, Vec<String>), Asked>>);

impl Tools {
    /// Returns whether a tool answered.
    fn has(&self, host: &str, argv: &[String]) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = known.get(&(host.to_owned(), argv.to_vec()));
        one.is_some_and(|one| one.try_lock().is_ok_and(|said| said.is_some()))
    }

    fn ask(&self, machine: &dyn Machine, argv: &[String], control: &Control) -> Said {
        let asked = (machine.name().to_owned(), argv.to_vec());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = Arc::clone(known.entry(asked).or_default());
        drop(known);
        // A caller that comes meanwhile waits for this answer, and for no other.
        let said = control.lock(&one).and_then(|mut said| match &*said {
            Some(known) => Some(known.clone()),
            // What was cancelled is no answer, and others may still want one.
            None => answer(machine, argv, control).map(|answer| said.insert(answer).clone()),
        });
        said.unwrap_or_else(|| {
            Err(format!("`{}` was asked while the run ended", in_one_line(argv)))
        })
    }
}

/// Asks a tool; nothing when `control` rose before it answered.
fn answer(machine: &dyn Machine, argv: &[String], control: &Control) -> Option<Said> {
    let words = in_one_line(argv);
    let command = ControlCommand::new(argv.iter().cloned()).deadline(PATIENCE);
    let (until, mut stdout) = (Instant::now() + PATIENCE, Vec::new());
    let mut endless = false;
    let mut take = |bytes: &[u8]| {
        stdout.extend_from_slice(bytes);
        endless = stdout.len() > MOST || Instant::now() > until;
        if endless { Flow::Stop } else { Flow::Continue }
    };
    let answer = machine.stream(&command, &mut take, control, Level::Run);
    match answer {
        _ if endless => Some(Err(format!(
            "`{words}` on `{}` went on for more than {} s or {} MiB",
            machine.name(),
            PATIENCE.as_secs(),
            MOST >> 20,
        ))),
        Ok(None) => None,
        Ok(Some(answer)) => Some(said(machine, &words, &Answer { stdout, ..answer })),
        Err(fault) => Some(Err(format!("`{words}` was not answered: {fault}"))),
    }
}

/// Returns what a tool's answer says of its version.
fn said(machine: &dyn Machine, words: &str, answer: &Answer) -> Said {
    if answer.code != Some(0) {
        let ended = answer.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        return Err(format!("`{words}` on `{}` ended with {ended}", machine.name()));
    }
    let said = String::from_utf8_lossy(&answer.stdout);
    let said = said.trim_end();
    Ok(match said.char_indices().nth(SHOWN) {
        None => said.to_owned(),
        Some((end, _)) => format!("{}… {}", &said[..end], Key::of(&answer.stdout)),
    })
}

/// Finds what decides the result of a node, and of all that it uses; the reason, where that cannot be known, or was not
/// before `control` rose.
///
/// # Errors
///
/// When a machine does not answer.
pub(crate) fn decided(
    Sought { of, uses, parts }: &Sought,
    pass_env: &[EnvName],
    (machines, control): (&Machines, &Control),
    tools: &Tools,
) -> Result<Result<Decided, String>, Fault> {
    let known = |of: &Keyed| -> Result<Result<Value, String>, Fault> {
        let machine = machines.open(&of.node.spec.placement)?;
        facts_of(&of.node, (&*machine, control), pass_env, tools)
    };
    let machine = match known(of)? {
        Ok(facts) => facts,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut used = BTreeMap::new();
    for one in uses {
        match known(one)? {
            Ok(facts) => used.insert(one.key.as_str().to_owned(), facts),
            Err(reason) => return Ok(Err(reason)),
        };
    }
    let deciding = json!({ "format": 1, "key": of.key, "machine": machine, "uses": used });
    let key = Key::of(&serde_json::to_vec(&deciding).expect("plain data"));
    let mut parts = parts.clone();
    parts["machine"] = machine;
    parts["uses"] = used.into_iter().collect::<Map<_, _>>().into();
    Ok(Ok(Decided { key, parts }))
}

fn facts_of(
    node: &Node,
    (machine, control): (&dyn Machine, &Control),
    pass_env: &[EnvName],
    tools: &Tools,
) -> Result<Result<Value, String>, Fault> {
    if machine.reach(control)?.is_none() {
        return Ok(Err(format!("`{}` was asked while the run ended", machine.name())));
    }
    let facts = machine.facts()?;
    let mut known = Map::new();
    known.insert("system".to_owned(), facts.system.into());
    known.insert("architecture".to_owned(), facts.architecture.into());
    match &node.spec.runtime {
        Runtime::HostProcess => {
            let names: Vec<&str> = pass_env.iter().map(EnvName::as_str).collect();
            known.insert("user".to_owned(), facts.user.into());
            known.insert("pass_env".to_owned(), names.into());
        }
        Runtime::Incus(incus) => match runtimes::incus::fingerprint(machine, incus)? {
            Some(image) => drop(known.insert("image".to_owned(), image.into())),
            None => {
                let image = text::neutral(incus.image.as_str());
                return Ok(Err(format!("the fingerprint of image `{image}` is not known yet")));
            }
        },
        // A guest of Tart has no fingerprint; its name is in the plan's key.
        Runtime::Tart(_) => {}
    }
    let mut commands = Map::new();
    for argv in &node.spec.key_commands {
        match tools.ask(machine, argv, control) {
            Ok(said) => drop(commands.insert(in_one_line(argv), said.into())),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    known.insert("commands".to_owned(), commands.into());
    Ok(Ok(known.into()))
}
