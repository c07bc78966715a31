//! Whose caches: the default branch's, another branch's, a request's, or a commit's of which none of these is known.

use std::fmt;

use plans::{CacheScope, ObjectId};

use crate::results::Trust;

/// Whose caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    trust: Trust,
    of: Of,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Planned(CacheScope),
    /// A run whose plan names no branch has caches of its own.
    Commit(String),
}

impl Scope {
    /// Returns whose caches a run reads, in this order, and whose it writes: its own, which an untrusted run has apart
    /// from what its branch is called.
    #[must_use]
    pub fn of(
        planned: Option<&CacheScope>,
        head: Option<&ObjectId>,
        trust: Trust,
    ) -> (Vec<Self>, Self) {
        let of = match planned {
            Some(scope) => Of::Planned(scope.clone()),
            None => Of::Commit(head.map_or("none", ObjectId::as_str).to_owned()),
        };
        let own = Self { trust, of };
        let of = Of::Planned(CacheScope::DefaultBranch);
        let default = Self { trust: Trust::Trusted, of };
        let mut reads = vec![own.clone()];
        if own != default {
            reads.push(default);
        }
        (reads, own)
    }
}

impl fmt::Display for Scope {
    /// `default_branch`, `branch:NAME`, `request:NUMBER`, `commit:ID`; `untrusted:` before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.trust == Trust::Untrusted {
            f.write_str("untrusted:")?;
        }
        match &self.of {
            Of::Planned(CacheScope::DefaultBranch) => f.write_str("default_branch"),
            Of::Planned(CacheScope::Branch(name)) => write!(f, "branch:{name}"),
            Of::Planned(CacheScope::Request(number)) => write!(f, "request:{number}"),
            Of::Commit(id) => write!(f, "commit:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(planned: Option<&CacheScope>, trust: Trust, reads: &[&str], writes: &str) {
        let head = ObjectId::new("a".repeat(40)).expect("an id");
        let (found, own) = Scope::of(planned, Some(&head), trust);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), reads);
        assert_eq!(own.to_string(), writes);
    }

    #[test]
    fn a_branch_reads_its_own_then_the_default_and_writes_its_own() {
        let branch = CacheScope::Branch("x/y".to_owned());
        check(Some(&branch), Trust::Trusted, &["branch:x/y", "default_branch"], "branch:x/y");
        let default = CacheScope::DefaultBranch;
        check(Some(&default), Trust::Trusted, &["default_branch"], "default_branch");
        let request = CacheScope::Request("7".to_owned());
        check(Some(&request), Trust::Trusted, &["request:7", "default_branch"], "request:7");
    }

    #[test]
    fn what_is_untrusted_or_unknown_never_writes_the_defaults() {
        let default = CacheScope::DefaultBranch;
        check(
            Some(&default),
            Trust::Untrusted,
            &["untrusted:default_branch", "default_branch"],
            "untrusted:default_branch",
        );
        let own = format!("commit:{}", "a".repeat(40));
        check(None, Trust::Trusted, &[&own, "default_branch"], &own);
    }
}
