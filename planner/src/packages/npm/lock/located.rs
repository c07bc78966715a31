//! Entries that are told apart by where they are installed, as in the locks of npm and bun.
//!
//! The place is no part of what is installed: a package that is hoisted elsewhere is the same. So
//! places that hold the same package with, in the end, the same dependencies become one entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::packages::{Lock, lock::Entry};

/// One installed package.
pub(super) struct Located {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) fields: BTreeMap<&'static str, String>,
    /// Indices of what it depends on.
    pub(super) dependencies: Vec<usize>,
}

/// Adds all to a lock and returns the id of each.
pub(super) fn add(nodes: &[Located], lock: &mut Lock) -> Vec<String> {
    // Classes of equal entries, refined until the dependencies of a class's members are equal too.
    let mut classes: Vec<usize> = Vec::with_capacity(nodes.len());
    let mut known = HashMap::new();
    for node in nodes {
        let next = known.len();
        classes.push(*known.entry((&node.name, &node.version, &node.fields)).or_insert(next));
    }
    let mut count = known.len();
    loop {
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
    // Names for the classes: plain where one name and version is one class.
    let mut of_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (node, &class) in nodes.iter().zip(&classes) {
        if seen.insert(class) {
            of_name.entry(format!("{}@{}", node.name, node.version)).or_default().push(class);
        }
    }
    let mut ids = vec![String::new(); count];
    for (name, classes) in of_name {
        for (number, class) in classes.into_iter().enumerate() {
            ids[class] = if number == 0 { name.clone() } else { format!("{name} #{number}") };
        }
    }
    let mut done = vec![false; count];
    for (node, &class) in nodes.iter().zip(&classes) {
        if !std::mem::replace(&mut done[class], true) {
            let below = node.dependencies.iter().map(|&at| ids[classes[at]].clone());
            let entry = Entry {
                name: node.name.clone(),
                version: node.version.clone(),
                fields: node.fields.clone(),
                dependencies: below.collect(),
            };
            lock.insert(ids[class].clone(), entry);
        }
    }
    classes.iter().map(|&class| ids[class].clone()).collect()
}
