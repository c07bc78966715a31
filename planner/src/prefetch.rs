//! What changed, looked for on a second thread while manifest and catalog are read.
//!
//! One word stands between the two: the manifest may name the default branch. It is guessed from
//! the manifest's first lines, and what was found with a wrong guess is not used. Decides nothing.

use std::thread;

use crate::{
    ChangesFrom, Request,
    git::BaseRequest,
    repo_context::{Changed, RepoContext, RepoContextError},
};

/// What was found, if it was right to look.
pub(crate) struct Prefetched {
    /// What the default branch was taken to be; nothing where that does not matter.
    guess: Option<Option<String>>,
    found: Result<Changed, RepoContextError>,
}

/// Runs `read`, and looks for the changes meanwhile where a second processor can.
pub(crate) fn prefetch_changes<T>(
    context: &RepoContext,
    request: &Request,
    read: impl FnOnce() -> T,
) -> (T, Option<Prefetched>) {
    let several = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
    let other = context.again(&request.dir).filter(|_| several);
    let (ChangesFrom::Base(wanted), Some(other)) = (&request.changes, other) else {
        return (read(), None);
    };
    thread::scope(|scope| {
        let looking = scope.spawn(move || {
            let context = other()?;
            let guess = (*wanted == BaseRequest::Default).then(|| guess(&context, request));
            let branch = guess.as_ref().and_then(Option::as_deref);
            let found = context.changes(request, branch);
            Some(Prefetched { guess, found })
        });
        (read(), looking.join().expect("looking for changes does not panic"))
    })
}

fn guess(context: &RepoContext, request: &Request) -> Option<String> {
    let manifest = context.planned_tree().content(&request.definitions.manifest).ok()??;
    lanes::likely_default_branch(std::str::from_utf8(&manifest.bytes).ok()?)
}

impl Prefetched {
    /// Returns what was found, unless another default branch was taken.
    pub(crate) fn with(
        self,
        default_branch: Option<&str>,
    ) -> Option<Result<Changed, RepoContextError>> {
        let right = self.guess.is_none_or(|guess| guess.as_deref() == default_branch);
        right.then_some(self.found)
    }
}
