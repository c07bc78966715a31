//! What decides a node's result where it runs: its key in the plan, and what only machines know.
//!
//! Asks machines; keeps nothing but what tools answered, which is asked once by a run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use plans::{EnvName, Key, Node, Runtime};
use serde_json::{Map, Value, json};

use crate::{
    fault::Fault,
    placements::{ControlCommand, Machine, Machines},
    runtimes, text,
};

/// The most of a tool's answer that is kept for people.
const SHOWN: usize = 4096;

/// How long a tool may think about its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// What decides a result, and its digest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decided {
    /// The digest.
    pub(crate) key: Key,
    /// Part by part: `plan`, `machine`, `uses`.
    pub(crate) parts: Value,
}

/// A node, its key in the plan, and what that is made of.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    /// The node as this site runs it.
    pub(crate) node: Arc<Node>,
    /// Its key.
    pub(crate) key: Key,
}

impl Keyed {
    /// Takes a node that has a key.
    pub(crate) fn of(node: &Arc<Node>) -> Option<Self> {
        Some(Self { node: Arc::clone(node), key: node.key.clone()? })
    }
}

/// Answers by host and words, each made once; a reason in place of one that failed.
type Answers = BTreeMap<(String, Vec<String>), Arc<OnceLock<Result<String, String>>>>;

/// What tools answered.
#[derive(Debug, Default)]
pub(crate) struct Tools(Mutex<Answers>);

impl Tools {
    fn ask(&self, machine: &dyn Machine, argv: &[String]) -> Result<String, String> {
        let asked = (machine.name().to_owned(), argv.to_vec());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = Arc::clone(known.entry(asked).or_default());
        drop(known);
        // Who comes meanwhile waits for this answer, and for no other.
        one.get_or_init(|| answer(machine, argv)).clone()
    }
}

fn answer(machine: &dyn Machine, argv: &[String]) -> Result<String, String> {
    let words = text::neutral(&argv.join(" "));
    let command = ControlCommand::new(argv.iter().cloned()).deadline(PATIENCE);
    let answer =
        machine.run(&command).map_err(|fault| format!("`{words}` was not answered: {fault}"))?;
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

/// Finds what decides the result of a node, and of all that it uses; the reason, where that cannot be known.
///
/// # Errors
///
/// When a machine does not answer.
pub(crate) fn decided(
    of: &Keyed,
    uses: &[Keyed],
    parts: &Value,
    pass_env: &[EnvName],
    machines: &Machines,
    tools: &Tools,
) -> Result<Result<Decided, String>, Fault> {
    let known = |of: &Keyed| -> Result<Result<Value, String>, Fault> {
        let machine = machines.open(&of.node.spec.placement)?;
        facts_of(&of.node, &*machine, pass_env, tools)
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
    machine: &dyn Machine,
    pass_env: &[EnvName],
    tools: &Tools,
) -> Result<Result<Value, String>, Fault> {
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
        match tools.ask(machine, argv) {
            Ok(said) => drop(commands.insert(argv.join(" "), said.into())),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    known.insert("commands".to_owned(), commands.into());
    Ok(Ok(known.into()))
}
