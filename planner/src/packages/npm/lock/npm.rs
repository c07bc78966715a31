//! `package-lock.json` and `npm-shrinkwrap.json`, version 2 and 3.
//!
//! Source: npm's page `package-lock.json`. The list `packages` is read; `dependencies` of version 2
//! repeats it for older readers. What a name means at a place is found as node finds it: in the
//! nearest `node_modules` on the way up.

use std::{borrow::Cow, cell::RefCell, sync::LazyLock};

use foldhash::{HashMap, HashSet, HashSetExt as _};
use memchr::memmem::FinderRev;
use serde::de::DeserializeSeed as _;

use super::{
    ROOT_TOOLS,
    located::{self, Located},
};
use crate::packages::{
    document::{Borrowed, Keys, Node, Table},
    lock::Lock,
};

/// What is installed of a package with it, and at a place of the tree.
const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// One place: a package that is installed there, a package of the tree, or a link to one.
#[derive(Default)]
struct Place<'t> {
    at: Cow<'t, str>,
    name: Cow<'t, str>,
    version: Cow<'t, str>,
    source: Cow<'t, str>,
    integrity: Cow<'t, str>,
    link: Option<Node<'t>>,
    /// What it asks for, by name.
    asks: Vec<Cow<'t, str>>,
    /// Scripts that run, platforms it is for, programs it brings.
    settings: Table<'t>,
}

impl<'t> Place<'t> {
    fn new(at: Cow<'t, str>, table: Table<'t>) -> Self {
        let installed = is_installed(&at);
        let mut place = Self { at, ..Self::default() };
        for (key, value) in table {
            match key.as_ref() {
                "name" => place.name = value.into_text(),
                "version" => place.version = value.into_text(),
                "resolved" => place.source = value.into_text(),
                "integrity" => place.integrity = value.into_text(),
                "devDependencies" if installed => {}
                kind if KINDS.contains(&kind) => {
                    place.asks.extend(value.into_table().into_iter().map(|(name, _)| name));
                }
                // What it leads to is compared instead.
                "peerDependenciesMeta" => {}
                "link" => {
                    place.link = Some(value.clone());
                    place.settings.push((key, value));
                }
                _ => place.settings.push((key, value)),
            }
        }
        place
    }
}

fn is_installed(at: &str) -> bool {
    in_modules(at).is_some()
}

/// The part of a place that is below its last `node_modules/`: where it begins.
fn in_modules(at: &str) -> Option<usize> {
    const MODULES: &str = "node_modules/";
    static LAST: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(MODULES));
    LAST.rfind(at).map(|at| at + MODULES.len())
}

pub(super) fn read(text: &str) -> Result<Lock<'_>, String> {
    let mut document = serde_json::Deserializer::from_str(text);
    let taken = RefCell::default();
    let file = Borrowed(Part::File(&taken)).deserialize(&mut document).and_then(|file| {
        document.end()?;
        Ok(file)
    });
    let Node::Table(file) = file.map_err(|error| error.to_string())? else {
        return Err("it is no table".to_owned());
    };
    let mut has_packages = false;
    let mut version = Node::Null;
    let mut rest = Table::new();
    for (key, value) in file {
        match (key.as_ref(), value) {
            ("packages", Node::Table(_)) => has_packages = true,
            ("lockfileVersion", value) => version = value,
            ("name" | "version" | "packages", _) => {}
            (_, value) => rest.push((key, value)),
        }
    }
    if !has_packages {
        return Err(match &version {
            Node::Number(version) if version != "1" => "it has no `packages`".to_owned(),
            _ => "version 1 does not say what its packages depend on".to_owned(),
        });
    }
    let places = last_of_each(taken.into_inner());
    let number: HashMap<&str, usize> =
        places.iter().map(|place| place.at.as_ref()).zip(0..).collect();
    // A link stands for the directory that it leads to.
    let follow = |at: usize| {
        let place = &places[at];
        if place.link != Some(Node::Bool(true)) {
            return Some(at);
        }
        number.get(place.source.as_ref()).copied()
    };
    let mut looked_at = String::new();
    let mut find = |from: &str, name: &str| {
        let mut above = Some(from);
        while let Some(dir) = above {
            if dir != "node_modules" && !dir.ends_with("/node_modules") {
                looked_at.clear();
                looked_at.push_str(dir);
                looked_at.push_str(if dir.is_empty() { "" } else { "/" });
                looked_at.push_str("node_modules/");
                looked_at.push_str(name);
                if let Some(&at) = number.get(looked_at.as_str()) {
                    return follow(at);
                }
            }
            above = (!dir.is_empty()).then(|| dir.rsplit_once('/').map_or("", |(dir, _)| dir));
        }
        None
    };
    let found: Vec<Vec<usize>> = places
        .iter()
        .map(|place| place.asks.iter().filter_map(|name| find(&place.at, name)).collect())
        .collect();
    let mut of_tree: Vec<(Cow<'_, str>, usize)> = Vec::new();
    for (at, place) in places.iter().enumerate() {
        if is_installed(&place.at) || place.link.is_some() {
            continue;
        }
        if place.at.is_empty() {
            let tools = found[at].iter().filter(|&&tool| is_installed(&places[tool].at));
            of_tree.extend(tools.map(|&tool| (Cow::Borrowed(ROOT_TOOLS), tool)));
        }
        of_tree.push((if place.at.is_empty() { ".".into() } else { place.at.clone() }, at));
    }
    let nodes = places.into_iter().zip(found).map(|(place, dependencies)| {
        let installed = is_installed(&place.at);
        let of_place = || match in_modules(&place.at) {
            Some(at) => cut(&place.at, at),
            None => place.at.clone(),
        };
        let name = if place.name.is_empty() { of_place() } else { place.name };
        let (version, fields) = if installed {
            let fields = vec![
                ("integrity", Node::Text(place.integrity)),
                ("source", Node::Text(place.source)),
                ("settings", Node::Table(place.settings).sorted()),
            ];
            (place.version, fields)
        } else {
            // A package of the tree has a version of its own only for people who publish it.
            (format!("in {}", place.at).into(), Vec::new())
        };
        let name = if name.is_empty() { Cow::Borrowed(".") } else { name };
        Located { name, version, fields, dependencies }
    });
    let (entries, of_place) = located::entries(nodes.collect());
    let of_tree = of_tree.into_iter().map(|(key, at)| (key, of_place[at]));
    let mut lock = Lock::new(entries, of_tree);
    lock.rest("lockfileVersion", version);
    for (key, value) in rest {
        lock.rest(key, value);
    }
    Ok(lock)
}

/// Of a place that is there twice the last counts, as of every key.
fn last_of_each(mut places: Vec<Place<'_>>) -> Vec<Place<'_>> {
    let distinct: HashSet<&str> = places.iter().map(|place| place.at.as_ref()).collect();
    if distinct.len() < places.len() {
        let mut seen = HashSet::new();
        places.reverse();
        places.retain(|place| seen.insert(place.at.clone()));
        places.reverse();
    }
    places
}

/// The end of a text.
fn cut<'t>(text: &Cow<'t, str>, from: usize) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
        Cow::Owned(text) => Cow::Owned(text[from..].to_owned()),
    }
}

/// A table of the file. What is looked at nowhere is passed over while the text is read.
#[derive(Clone, Copy)]
enum Part<'c, 't> {
    File(&'c RefCell<Vec<Place<'t>>>),
    /// Its entries become places.
    Packages(&'c RefCell<Vec<Place<'t>>>),
    Package,
    Below,
}

impl<'t> Keys<'t> for Part<'_, 't> {
    fn take(self, key: Cow<'t, str>, value: Node<'t>) -> Option<(Cow<'t, str>, Node<'t>)> {
        let Self::Packages(places) = self else { return Some((key, value)) };
        places.borrow_mut().push(Place::new(key, value.into_table()));
        None
    }

    fn below(self, key: &str) -> Option<Self> {
        match self {
            Self::File(places) => match key {
                "dependencies" | "requires" => None,
                "packages" => {
                    // The last one counts.
                    places.borrow_mut().clear();
                    Some(Self::Packages(places))
                }
                _ => Some(Self::Below),
            },
            Self::Packages(_) => Some(Self::Package),
            Self::Package => {
                let passed_over = [
                    "dev",
                    "devOptional",
                    "peer",
                    "extraneous",
                    "funding",
                    "license",
                    "deprecated",
                    "engines",
                ];
                (!passed_over.contains(&key)).then_some(Self::Below)
            }
            Self::Below => Some(Self::Below),
        }
    }
}
