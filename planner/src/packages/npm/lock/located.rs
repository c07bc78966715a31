//! Entries that are told apart by where they are installed, as in the locks of npm and bun.
//!
//! The place is no part of what is installed: a package that is hoisted elsewhere is the same. So
//! places that hold the same package with, in the end, the same dependencies become one entry.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt as _};

use crate::packages::{
    document::Node,
    lock::{Entry, Need},
};

/// One installed package.
pub(super) struct Located<'t> {
    pub(super) name: Cow<'t, str>,
    pub(super) version: Cow<'t, str>,
    pub(super) fields: Vec<(&'static str, Node<'t>)>,
    /// Indices of what it depends on.
    pub(super) dependencies: Vec<usize>,
}

/// Returns the entries, and for each place which of them it has.
pub(super) fn entries(nodes: Vec<Located<'_>>) -> (Vec<Entry<'_>>, Vec<usize>) {
    let classes = classes(&nodes);
    let mut entries: Vec<Entry<'_>> = Vec::new();
    // Plain ids where one name and version is one class.
    let mut named: HashMap<String, usize> = HashMap::new();
    for (node, &class) in nodes.into_iter().zip(&classes) {
        // Classes have their numbers in the order in which they come first.
        if class < entries.len() {
            continue;
        }
        let plain = [&node.name, "@", &node.version].concat();
        let id = match named.get_mut(&plain) {
            Some(number) => {
                *number += 1;
                format!("{plain} #{number}")
            }
            None => {
                named.insert(plain.clone(), 0);
                plain
            }
        };
        let needs = node.dependencies.iter().map(|&at| Need::Entry(classes[at])).collect();
        let Located { name, version, fields, .. } = node;
        entries.push(Entry { id: id.into(), name, version, fields, needs });
    }
    (entries, classes)
}

/// Classes of equal entries, refined until the dependencies of a class's members are equal too.
fn classes(nodes: &[Located<'_>]) -> Vec<usize> {
    let mut classes: Vec<usize> = Vec::with_capacity(nodes.len());
    let mut known = HashMap::new();
    for node in nodes {
        let next = known.len();
        classes.push(*known.entry((&node.name, &node.version, &node.fields)).or_insert(next));
    }
    let mut count = known.len();
    while count < nodes.len() {
        let mut known: HashMap<(usize, Vec<usize>), usize> = HashMap::new();
        let mut refined = Vec::with_capacity(nodes.len());
        for (node, class) in nodes.iter().zip(&classes) {
            let mut below: Vec<usize> = node.dependencies.iter().map(|&at| classes[at]).collect();
            below.sort_unstable();
            below.dedup();
            let next = known.len();
            refined.push(*known.entry((*class, below)).or_insert(next));
        }
        let finer = known.len();
        classes = refined;
        if finer == count {
            break;
        }
        count = finer;
    }
    classes
}
