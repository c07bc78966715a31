//! The exact keys of caches: which files of the planned tree their globs match, and what these hold.
//!
//! The executor matches no globs: it takes the key from the plan. Caches of equal globs share the answer.

use std::collections::HashMap;

use plans::{Cache, CacheKey, JobInputs, Key, Node, TreeFilter};

use crate::{
    git::{GitError, ObjectId, Repository},
    planned_tree::TreeError,
};

/// Gives each cache of the nodes its exact key; one whose globs match no file has none.
///
/// # Errors
///
/// [`TreeError`] when the tree cannot be read.
pub(crate) fn name(
    repository: &Repository,
    tree: ObjectId,
    nodes: &mut [Node],
) -> Result<(), TreeError> {
    let mut known: HashMap<Vec<String>, Option<Key>> = HashMap::new();
    for node in nodes {
        for Cache { name, key: globs, .. } in &node.spec.caches {
            let key = match known.get(globs) {
                Some(key) => key.clone(),
                None => {
                    let key = key_of(repository, tree, globs)?;
                    known.entry(globs.clone()).or_insert(key).clone()
                }
            };
            if let Some(key) = key {
                node.cache_keys.insert(name.clone(), key);
            }
        }
    }
    Ok(())
}

fn key_of(
    repository: &Repository,
    tree: ObjectId,
    globs: &[String],
) -> Result<Option<Key>, TreeError> {
    if globs.is_empty() {
        return Ok(Some(CacheKey::of_nothing()));
    }
    let files = JobInputs { paths: globs.to_vec(), exclude: Vec::new() };
    let filter = TreeFilter::new(Some(&files), None).map_err(|problem| {
        TreeError::Git(GitError::Other {
            doing: "reading the globs of a cache's key".to_owned(),
            detail: problem.to_string(),
        })
    })?;
    let mut key = CacheKey::default();
    for file in repository.files_seen(tree, &filter)? {
        key.add(file.path.as_bytes(), file.kind.into(), file.id.as_bytes());
    }
    Ok(key.finish())
}
