//! `yarn.lock` of yarn 1.
//!
//! Source: yarn 1's `lockfile/parse`. Lines, indented by two: the requests that an entry answers,
//! then its version, source and integrity, then what it depends on. The packages of the tree are
//! not in it, so each request is a package under its own name.

use std::borrow::Cow;

use foldhash::HashMap;
use memchr::{memchr, memchr2};

use crate::packages::{
    document::Node,
    lock::{Entry, Lock, Need},
};

pub(super) fn read(text: &str) -> Result<Lock<'_>, String> {
    let mut entries: Vec<(Vec<Cow<'_, str>>, Raw<'_>)> = Vec::new();
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let said = line.trim_start();
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        let bad = || format!("line {} is not understood", number + 1);
        let indent = line.len() - said.len();
        if indent == 0 {
            entries.push((requests(said).ok_or_else(bad)?, Raw::default()));
            continue;
        }
        split(said, &mut words).ok_or_else(bad)?;
        let (_, entry) = entries.last_mut().ok_or_else(bad)?;
        match (indent, words.as_slice()) {
            (2, [key]) if key.ends_with(':') => {
                entry.in_dependencies = key == "dependencies:" || key == "optionalDependencies:";
            }
            (2, [key, value]) => match key.as_ref() {
                "version" => entry.version = value.clone(),
                "resolved" => entry.resolved = value.clone(),
                "integrity" => entry.integrity = value.clone(),
                _ => entry.other.push(as_list(&words)),
            },
            (4, [name, range]) if entry.in_dependencies => {
                entry.asks.push((name.clone(), range.clone()));
            }
            (4, [_, _]) => entry.other.push(as_list(&words)),
            _ => return Err(bad()),
        }
    }
    let answers: HashMap<&str, usize> = entries
        .iter()
        .enumerate()
        .flat_map(|(at, (requests, _))| requests.iter().map(move |it| (it.as_ref(), at)))
        .collect();
    let mut request = String::new();
    let mut needs = Vec::with_capacity(entries.len());
    for (_, entry) in &entries {
        let of_entry = entry.asks.iter().map(|(name, range)| {
            request.clear();
            request.extend([name, "@", range]);
            let found = answers.get(request.as_str());
            found.map_or_else(|| Need::Absent(Cow::Owned(request.clone())), |&at| Need::Entry(at))
        });
        needs.push(of_entry.collect::<Vec<_>>());
    }
    let of_tree: Vec<(Cow<'_, str>, usize)> = entries
        .iter()
        .enumerate()
        .flat_map(|(at, (requests, _))| requests.iter().map(move |it| (it.clone(), at)))
        .collect();
    let entries = entries.into_iter().zip(needs).map(|((requests, entry), needs)| {
        let request = requests.into_iter().next().unwrap_or_default();
        // An alias, `x@npm:y@1`, is an entry of its own.
        let at = request.get(1..).and_then(|rest| rest.find('@'));
        let name = match (request, at) {
            (Cow::Borrowed(request), Some(at)) => Cow::Borrowed(&request[..=at]),
            (request, Some(at)) => Cow::Owned(request[..=at].to_owned()),
            (request, None) => request,
        };
        Entry {
            id: [&name, "@", &entry.version].concat().into(),
            name,
            version: entry.version,
            fields: vec![
                ("integrity", Node::Text(entry.integrity)),
                ("source", Node::Text(entry.resolved)),
                ("settings", Node::List(entry.other)),
            ],
            needs,
        }
    });
    Ok(Lock::new(entries.collect(), of_tree))
}

#[derive(Default)]
struct Raw<'t> {
    version: Cow<'t, str>,
    resolved: Cow<'t, str>,
    integrity: Cow<'t, str>,
    other: Vec<Node<'t>>,
    /// Names and ranges.
    asks: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    in_dependencies: bool,
}

fn as_list<'t>(words: &[Cow<'t, str>]) -> Node<'t> {
    Node::List(words.iter().cloned().map(Node::Text).collect())
}

/// The requests of a line without indentation: `a@^1, "b@^2":`.
fn requests<'t>(mut line: &'t str) -> Option<Vec<Cow<'t, str>>> {
    let mut requests = Vec::new();
    loop {
        let (request, end) = if line.starts_with('"') {
            let (request, behind) = quoted(line)?;
            (request, behind)
        } else {
            let end = line.find(' ').unwrap_or(line.len());
            let word = &line[..end];
            let request = word.strip_suffix([',', ':'])?;
            (Cow::Borrowed(request), &line[request.len()..])
        };
        requests.push(request);
        match end.strip_prefix(',') {
            Some(more) => line = more.trim_start(),
            None if end == ":" => return Some(requests),
            None => return None,
        }
    }
}

/// The words of a line, without their quotes.
fn split<'t>(mut line: &'t str, words: &mut Vec<Cow<'t, str>>) -> Option<()> {
    words.clear();
    while !line.is_empty() {
        let (word, behind) = if line.starts_with('"') {
            quoted(line)?
        } else {
            let end = memchr(b' ', line.as_bytes()).unwrap_or(line.len());
            (Cow::Borrowed(&line[..end]), &line[end..])
        };
        if !behind.is_empty() && !behind.starts_with(' ') {
            return None;
        }
        words.push(word);
        line = behind.trim_start();
    }
    Some(())
}

/// A text between quotes at the beginning, and what follows it.
fn quoted(line: &str) -> Option<(Cow<'_, str>, &str)> {
    let body = line.strip_prefix('"')?;
    let end = memchr2(b'"', b'\\', body.as_bytes())?;
    if body.as_bytes()[end] == b'"' {
        return Some((Cow::Borrowed(&body[..end]), &body[end + 1..]));
    }
    let mut text = String::new();
    let mut characters = body.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((Cow::Owned(text), &body[at + 1..])),
            (_, '\\') => text.push(characters.next()?.1),
            (_, character) => text.push(character),
        }
    }
}
