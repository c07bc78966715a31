//! `executor why`: why a node's result was reused, or not, or would be.
//!
//! What decides a result is compared, part by part, with the nearest result that is kept: the one of
//! the same node that differs in the fewest parts.

use std::{collections::BTreeMap, path::Path};

use plans::{HostName, NodeId, ObjectId, SshDestination};
use serde::Serialize;
use serde_json::Value;

use super::{
    CliContext, prepare,
    results::{self, OfHost},
    running,
};
use crate::{
    control::Control,
    error::Error,
    exit_code::Exit,
    placements::Machines,
    policy, reporters,
    results::{Decided, Entry, FarPlace, Reused, Sought, Tools, decided, written_down},
    source,
    text::{self, push},
};

/// How many files of a tree are named.
const FILES: usize = 20;

/// The answer.
#[derive(Serialize)]
struct Answer {
    node: String,
    /// What decides its result, with what its machine knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Whether a kept result stands, or would stand, for it.
    reused: bool,
    /// Which.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Reused>,
    /// Why there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// The nearest kept result.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<Reused>,
    /// What differs from it.
    differs: Vec<Difference>,
}

/// One part that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    /// Which: `plan.env.RUSTFLAGS`, `machine.commands.rustc -Vv`.
    part: String,
    /// What it was there; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What it is here; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Of a tree: the files, as far as the repository still has both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
}

pub(super) fn run(
    context: &CliContext,
    what: &str,
    node: &str,
    hosts: Vec<(HostName, SshDestination)>,
    json: bool,
) -> Result<Exit, Error> {
    let path = Path::new(what);
    let answer = if what == "-" || path.is_file() {
        of_plan(context, path, node, hosts)?
    } else {
        of_run(context, what, node)?
    };
    reporters::stdout().text(&if json {
        format!("{}\n", serde_json::to_string_pretty(&answer).expect("plain data"))
    } else {
        in_words(&answer)
    });
    Ok(Exit::Done)
}

/// Before a run.
fn of_plan(
    context: &CliContext,
    path: &Path,
    wanted: &str,
    hosts: Vec<(HostName, SshDestination)>,
) -> Result<Answer, Error> {
    let bytes = prepare::read_plan(path)?;
    let (plan, _) = plans::Plan::from_json(&bytes)?;
    let config = context.config()?;
    let position = prepare::position(&plan, wanted)?;
    let source = prepare::source(&plan, true)?;
    let flags: BTreeMap<_, _> = hosts.into_iter().collect();
    let nodes = policy::with_site_overrides(&plan, &config, &flags);
    let node = &nodes[position];
    if let Some(reason) = not_reusable(node) {
        return Ok(Answer::without(wanted, reason));
    }
    let Some(sought) = Sought::of(&plan, &nodes, position, &source) else {
        return Ok(Answer::without(wanted, "the plan has no key for it".to_owned()));
    };
    let machines = Machines::new(running::machines_config(&context.state(&config)?)?);
    let control = Control::new()
        .map_err(|error| Error::System { what: "no more files can be opened", error })?;
    let found = decided(&sought, &config.pass_env, (&machines, &control), &Tools::default())
        .map_err(Error::Machine)?;
    machines.close();
    match found {
        Err(reason) => Ok(Answer::without(wanted, reason)),
        Ok(Decided { key, parts }) => {
            let place = results::far_place(&config, &flags, || nodes);
            let far = of_host(context, place)?;
            compared(context, wanted, (&key, true), &parts, (&source.repository, far))
        }
    }
}

/// After a run.
fn of_run(context: &CliContext, run: &str, wanted: &str) -> Result<Answer, Error> {
    let config = context.config()?;
    let state = context.state(&config)?;
    let dir = state.find(Some(run))?;
    let bytes = prepare::read_plan(&dir.plan())?;
    let (plan, _) = plans::Plan::from_json(&bytes)?;
    let position = prepare::position(&plan, wanted)?;
    let node = &plan.nodes()[position];
    let record = running::read_record(&dir)?;
    let id: &NodeId = &node.id;
    let told = record.nodes.iter().find(|node| node.id == id.as_str());
    let is_reused = told.is_some_and(|told| told.reused.is_some());
    let written = written_down(&dir.node(id), is_reused);
    if let Some(from) = told.and_then(|told| told.reused.clone()) {
        let key = written.map(|written| written.key.to_string());
        let answer = Answer::without(id.as_str(), String::new());
        return Ok(Answer { key, reused: true, from: Some(from), because: None, ..answer });
    }
    if let Some(reason) = not_reusable(node) {
        return Ok(Answer::without(id.as_str(), reason));
    }
    let Some(Decided { key, parts }) = written else {
        let reason = match told.map(|told| told.attempts) {
            Some(0) | None => "it has not run".to_owned(),
            Some(_) => "the run neither looked for a result nor kept one: see its warnings, \
                        and `--reuse`"
                .to_owned(),
        };
        return Ok(Answer::without(id.as_str(), reason));
    };
    let repository = running::started(&dir).map(|started| started.repository).unwrap_or_default();
    let hosts = BTreeMap::new();
    let nodes = || policy::with_site_overrides(&plan, &config, &hosts);
    let far = of_host(context, results::far_place(&config, &hosts, nodes))?;
    compared(context, id.as_str(), (&key, false), &parts, (&repository, far))
}

fn not_reusable(node: &plans::Node) -> Option<String> {
    if node.spec.reuse == plans::Reuse::Never {
        return Some("its job does not say `reuse`".to_owned());
    }
    if node.kind == plans::NodeKind::Prepare {
        return Some("it prepares others, and runs when one of these does".to_owned());
    }
    (!crate::results::may_be_reused(node))
        .then(|| "it has secrets, and its job does not say `reuse_with_secrets`".to_owned())
}

/// Looks at what a host keeps; what is wrong with it is no reason not to answer.
fn of_host(
    context: &CliContext,
    place: Option<Result<FarPlace, String>>,
) -> Result<Option<OfHost>, Error> {
    let Some(place) = place else { return Ok(None) };
    let state = context.state(&context.config()?)?;
    let machines = Machines::new(running::machines_config(&state)?);
    let opened = place.and_then(|place| {
        OfHost::open(machines, &place).map_err(|error| format!("results of a host: {error}"))
    });
    Ok(opened.inspect_err(|why| reporters::stderr().text(&format!("{why}\n"))).ok())
}

/// Compares with what is kept, here and on a host. Of a run that is over, what is kept under its key is its own result, or came later.
fn compared(
    context: &CliContext,
    node: &str,
    (key, may_stand): (&plans::Key, bool),
    parts: &Value,
    (repository, far): (&Path, Option<OfHost>),
) -> Result<Answer, Error> {
    let store = results::store(&context.config()?)?;
    let mut kept: Vec<Entry> =
        results::listed(&store)?.into_iter().map(|kept| kept.entry).collect();
    kept.extend(far.iter().flat_map(OfHost::found).map(|found| found.entry));
    let mut answer = Answer::without(node, String::new());
    (answer.key, answer.because) = (Some(key.to_string()), None);
    if let Some(same) = kept.iter().find(|kept| may_stand && kept.key == *key) {
        (answer.reused, answer.from) = (true, Some(same.reused.clone()));
    }
    let others = kept.iter().filter(|it| it.reused.node == node && it.key != *key);
    let differing = |kept: &Entry| {
        let compared = |part: &str| differences(part, &kept.parts[part], &parts[part]);
        ["plan", "machine", "uses"].into_iter().flat_map(compared).collect::<Vec<_>>()
    };
    // The first of equals was of use last.
    let nearest = others.map(|kept| (differing(kept), kept)).min_by_key(|(found, _)| found.len());
    match nearest {
        Some((differs, kept)) if !answer.reused => {
            answer.nearest = Some(kept.reused.clone());
            answer.differs = differs;
            name_files(&mut answer.differs, &kept.parts, parts, repository);
        }
        None if !answer.reused => {
            answer.because = Some("no result of this node is kept".to_owned());
        }
        _ => {}
    }
    Ok(answer)
}

/// Names what differs between the files that the node sees here and saw there, as far as the repository has both.
fn name_files(differs: &mut [Difference], from: &Value, to: &Value, repository: &Path) {
    // The files of a job with a host setup are those that the setup sees.
    let of_files = |it: &&mut Difference| ["plan.tree", "plan.workspace_from"].contains(&&*it.part);
    let Some(tree) = differs.iter_mut().find(of_files) else { return };
    let source = |parts: &Value| ObjectId::new(parts["source"]["tree"].as_str()?).ok();
    let inputs = |parts: &Value| serde_json::from_value(parts["source"]["inputs"].clone()).ok();
    let (Some(old), Some(new)) = (source(from), source(to)) else { return };
    let seen = (inputs(from).flatten(), inputs(to).flatten());
    let environment = running::environment();
    tree.files =
        source::changed_files(repository, (&old, &new), &seen, &environment).unwrap_or_default();
}

/// Lists the parts in which two values differ, each with what it is called.
fn differences(at: &str, from: &Value, to: &Value) -> Vec<Difference> {
    if from == to {
        return Vec::new();
    }
    let below = |key: &str| match at {
        "" => key.to_owned(),
        at => format!("{at}.{key}"),
    };
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let keys: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
            let value = |of: &serde_json::Map<String, Value>, key: &String| {
                of.get(key).cloned().unwrap_or(Value::Null)
            };
            let each = keys.into_iter();
            each.flat_map(|key| differences(&below(key), &value(from, key), &value(to, key)))
                .collect()
        }
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            let pairs = from.iter().zip(to).enumerate();
            pairs
                .flat_map(|(number, (from, to))| differences(&below(&number.to_string()), from, to))
                .collect()
        }
        _ => {
            let shown = |value: &Value| match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            let (from, to) = (shown(from), shown(to));
            vec![Difference { part: at.to_owned(), from, to, files: Vec::new() }]
        }
    }
}

impl Answer {
    fn without(node: &str, because: String) -> Self {
        Self {
            node: node.to_owned(),
            key: None,
            reused: false,
            from: None,
            because: Some(because),
            nearest: None,
            differs: Vec::new(),
        }
    }
}

fn in_words(answer: &Answer) -> String {
    let mut out = String::new();
    let node = text::neutral(&answer.node);
    match (&answer.from, &answer.nearest, &answer.because) {
        (Some(from), _, _) => push!(out, "{node}: reused from {}\n", from.in_words()),
        (None, _, Some(because)) => push!(out, "{node}: not reused: {}\n", text::neutral(because)),
        (None, Some(nearest), None) => {
            push!(out, "{node}: not reused; the nearest result is of {}\n", nearest.in_words());
        }
        (None, None, None) => push!(out, "{node}: not reused\n"),
    }
    for Difference { part, from, to, files } in &answer.differs {
        let part = text::neutral(part);
        if !files.is_empty() {
            push!(out, "  {part} differs in {}\n", text::count(files.len(), "file"));
            for file in files.iter().take(FILES) {
                push!(out, "    {}\n", text::neutral(file));
            }
            if files.len() > FILES {
                push!(out, "    and {} more\n", files.len() - FILES);
            }
            continue;
        }
        let (from, to) = (lines(from.as_deref()), lines(to.as_deref()));
        for (sign, line) in differing_lines(&from, &to) {
            push!(out, "  {part}: {sign} {}\n", text::neutral(line));
        }
    }
    out
}

fn lines(text: Option<&str>) -> Vec<&str> {
    text.map(|text| text.lines().collect()).unwrap_or_default()
}

/// The lines that only one side has.
fn differing_lines<'a>(from: &[&'a str], to: &[&'a str]) -> Vec<(char, &'a str)> {
    let gone = from.iter().filter(|line| !to.contains(line)).map(|line| ('-', *line));
    let come = to.iter().filter(|line| !from.contains(line)).map(|line| ('+', *line));
    gone.chain(come).collect()
}
