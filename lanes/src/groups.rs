//! Jobs that came of one with a matrix or shards, by their names.
//!
//! How they came about is `matrix`'s; here is what everything behind it looks up.

use std::collections::{BTreeMap, HashMap};

/// What a member of a group is.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The id of the job as written.
    pub(crate) group: String,
    /// The value of each name, if it has a matrix.
    pub(crate) matrix: BTreeMap<String, String>,
    /// Which part of how many it is, if it has shards.
    pub(crate) shard: Option<(u32, u32)>,
}

/// The groups of all files.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Members by id.
    pub(crate) members: HashMap<String, Member>,
    /// The ids of each group's members, in their order.
    pub(crate) groups: BTreeMap<String, Vec<String>>,
}
