//! The caches of a job, from tables as written to those of its spec.

use plans::{Cache, CacheName, CachePath, CacheSave};

use super::{Job, Layers};
use crate::{
    catalog::{CacheUse, InputUses},
    codes,
    context::Context,
    job_file::CacheFile,
};

/// The most MiB that anybody can mean: a PiB.
const MOST_MIB: u64 = 1 << 30;

impl<'a> Layers<'a> {
    /// Returns the caches, sorted by name, and where their keys are written.
    pub(crate) fn caches(
        &self,
        job: &Job<'a>,
        context: &mut Context<'_>,
    ) -> Vec<(Cache, CacheUse)> {
        let written = self.pick(|settings| settings.caches.as_ref());
        let under = self.under(job, self.own.caches.is_some());
        let caches = written.into_iter().flatten();
        let mut caches: Vec<_> =
            caches.filter_map(|cache| resolved(cache, under, context)).collect();
        caches.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        caches
    }
}

fn resolved(
    file: &CacheFile,
    under: Option<&str>,
    context: &mut Context<'_>,
) -> Option<(Cache, CacheUse)> {
    let CacheFile { name, path, key, fallback, max_mib, save, exclusive, .. } = file;
    let known = context.checked(&codes::BAD_VALUE, name, CacheName::new);
    let place = context.checked(&codes::BAD_VALUE, path, CachePath::new);
    let uses = context.globs(key.as_deref().unwrap_or_default(), under);
    let uses = InputUses { paths: uses, exclude: Vec::new() };
    let max_mib = max_mib.map(|at| context.at_most(at, MOST_MIB, "max_mib"));
    let cache = Cache {
        name: known?,
        path: place?,
        key: uses.texts(&context.globs).paths,
        fallback: fallback.is_some_and(|at| at.value),
        max_mib,
        save: save.map_or(CacheSave::Passed, |at| at.value.0),
        exclusive: exclusive.is_some_and(|at| at.value),
    };
    Some((cache, CacheUse { key: uses.paths, span: name.span }))
}
