//! What a job sees of the source tree: its declared inputs, less what its snapshot profile leaves
//! out.
//!
//! One rule for both programs: the planner names the filtered tree in the plan, the executor makes
//! it. Reads no tree; who walks one asks [`TreeFilter`] on the way.

use crate::{
    SnapshotProfile,
    glob::{self, GlobProblem, Pattern},
};

/// The files that a job declares as its inputs; it sees no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct JobInputs {
    /// Globs of the paths it sees, sorted.
    pub paths: Vec<String>,
    /// Globs of the paths it does not see all the same, sorted.
    pub exclude: Vec<String>,
}

/// Decides which files of a tree a job sees.
///
/// Globs mean what they mean in lanes, on the bytes of the path; the path of a submodule also
/// counts as a directory.
#[derive(Debug, Clone)]
pub struct TreeFilter {
    /// Nothing: every path.
    include: Option<Vec<Pattern>>,
    exclude: Vec<Pattern>,
}

impl TreeFilter {
    /// Reads the globs of a job's inputs and of its snapshot profile.
    ///
    /// # Errors
    ///
    /// [`GlobProblem`] of the first glob whose form is not allowed.
    pub fn new(
        inputs: Option<&JobInputs>,
        profile: Option<&SnapshotProfile>,
    ) -> Result<Self, GlobProblem> {
        let own = inputs.map_or(&[][..], |inputs| &inputs.exclude);
        let left_out = profile.map_or(&[][..], |profile| &profile.exclude);
        Ok(Self {
            include: inputs.map(|inputs| patterns(&inputs.paths)).transpose()?,
            exclude: patterns(own.iter().chain(left_out))?,
        })
    }

    /// Returns whether a job sees the file at a path.
    #[must_use]
    pub fn keeps(&self, path: &[u8], submodule: bool) -> bool {
        let mut components: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let matches = |patterns: &[Pattern], components: &[&[u8]]| {
            patterns.iter().any(|pattern| pattern.matches(components))
        };
        let mut included = self.include.as_ref().is_none_or(|it| matches(it, &components));
        let mut excluded = matches(&self.exclude, &components);
        if submodule {
            components.push(b"");
            included |= self.include.as_ref().is_some_and(|it| matches(it, &components));
            excluded |= matches(&self.exclude, &components);
        }
        included && !excluded
    }

    /// Returns where a walk over a tree begins.
    #[must_use]
    pub fn walk(&self) -> TreeWalk<'_> {
        let start = |patterns: &[Pattern]| patterns.iter().map(Pattern::start).collect();
        TreeWalk {
            filter: self,
            include: self.include.as_deref().map(start),
            exclude: start(&self.exclude),
        }
    }
}

fn patterns<'a>(globs: impl IntoIterator<Item = &'a String>) -> Result<Vec<Pattern>, GlobProblem> {
    let mut patterns = Vec::new();
    for text in globs {
        glob::check(text)?;
        patterns.extend(glob::alternatives(text).iter().map(|text| Pattern::parse(text)));
    }
    Ok(patterns)
}

/// A directory on a walk over a tree.
#[derive(Debug, Clone)]
pub struct TreeWalk<'a> {
    filter: &'a TreeFilter,
    include: Option<Vec<glob::Positions>>,
    exclude: Vec<glob::Positions>,
}

impl<'a> TreeWalk<'a> {
    /// Returns the names in this directory that a job can see something at or below of; nothing where these may be any.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&'a [u8]>> {
        let (patterns, at) = (self.filter.include.as_ref()?, self.include.as_ref()?);
        let mut names = Vec::new();
        let few = patterns.iter().zip(at).all(|(pattern, at)| pattern.names(at, &mut names));
        few.then_some(names)
    }

    /// Returns whether a job sees every file below this directory, whatever is there.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        let included = match (&self.filter.include, &self.include) {
            (Some(patterns), Some(at)) => {
                patterns.iter().zip(at).any(|(pattern, at)| pattern.matches_all_below(at))
            }
            _ => true,
        };
        included && !self.exclude.iter().any(glob::Positions::are_open)
    }

    /// Goes into a directory; nothing where a job can see no file below it.
    #[must_use]
    pub fn enter(&self, name: &[u8]) -> Option<Self> {
        let step = |patterns: &[Pattern], at: &[glob::Positions]| -> Vec<glob::Positions> {
            patterns.iter().zip(at).map(|(pattern, at)| pattern.step(at, name)).collect()
        };
        let filter = self.filter;
        let include = match (&filter.include, &self.include) {
            (Some(patterns), Some(at)) => {
                let at = step(patterns, at);
                if !at.iter().any(glob::Positions::are_open) {
                    return None;
                }
                Some(at)
            }
            _ => None,
        };
        let exclude = step(&filter.exclude, &self.exclude);
        let all = |(pattern, at): (&Pattern, &glob::Positions)| pattern.matches_all_below(at);
        if filter.exclude.iter().zip(&exclude).any(all) {
            return None;
        }
        Some(Self { filter, include, exclude })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|&text| text.to_owned()).collect()
    }

    fn inputs(paths: &[&str], exclude: &[&str]) -> JobInputs {
        JobInputs { paths: texts(paths), exclude: texts(exclude) }
    }

    #[test]
    fn a_job_sees_its_inputs_less_what_is_excluded() {
        let inputs = inputs(&["src/**", "Cargo.*"], &["**/*.md"]);
        let profile = SnapshotProfile {
            name: crate::ProfileName::new("rust").expect("a name"),
            exclude: texts(&["src/gen/**"]),
        };
        let filter = TreeFilter::new(Some(&inputs), Some(&profile)).expect("allowed forms");
        for seen in ["src/a.rs", "src/x/.hidden", "Cargo.toml"] {
            assert!(filter.keeps(seen.as_bytes(), false), "{seen}");
        }
        for unseen in ["docs/a", "src/README.md", "src/gen/a.rs", "sub/Cargo.toml"] {
            assert!(!filter.keeps(unseen.as_bytes(), false), "{unseen}");
        }
        assert!(filter.keeps(b"src/\xff\n", false));
    }

    #[test]
    fn a_directory_is_seen_whole_below_two_stars_unless_something_of_it_may_be_excluded() {
        let whole = |paths: &[&str], exclude: &[&str]| {
            let filter = TreeFilter::new(Some(&inputs(paths, exclude)), None).expect("globs");
            let walk = filter.walk();
            walk.enter(b"src").is_some_and(|walk| walk.sees_all())
        };
        assert!(whole(&["src/**"], &[]) && whole(&["**"], &["docs/**"]));
        assert!(whole(&["a", "src/a", "{src,x}/**"], &[]));
        assert!(!whole(&["src/**"], &["src/gen/**"]) && !whole(&["src/**"], &["**/*.md"]));
        assert!(!whole(&["src/*"], &[]) && !whole(&["src/**/a"], &[]) && !whole(&["x/**"], &[]));
    }

    #[test]
    fn without_inputs_a_job_sees_everything_and_with_empty_ones_nothing() {
        let all = TreeFilter::new(None, None).expect("no glob");
        assert!(all.keeps(b"a/b", false) && all.walk().enter(b"a").is_some());
        let none = TreeFilter::new(Some(&inputs(&[], &[])), None).expect("no glob");
        assert!(!none.keeps(b"a/b", false) && none.walk().enter(b"a").is_none());
    }

    #[test]
    fn the_path_of_a_submodule_is_also_a_directory() {
        let filter = TreeFilter::new(Some(&inputs(&["vendor/**"], &[])), None).expect("a glob");
        assert!(filter.keeps(b"vendor", true));
        assert!(!filter.keeps(b"vendor", false));
        let none = TreeFilter::new(Some(&inputs(&["**"], &["vendor/**"])), None).expect("a glob");
        assert!(!none.keeps(b"vendor", true));
    }

    fn globs() -> impl Strategy<Value = Vec<String>> {
        let component = prop_oneof![
            Just("**".to_owned()),
            Just("*".to_owned()),
            "[ab]{1,2}",
            "[ab]\\*",
            Just("{a,b/a}".to_owned()),
            Just("[!a]".to_owned()),
            Just("?".to_owned()),
        ];
        let glob = prop::collection::vec(component, 1..4).prop_map(|parts| parts.join("/"));
        prop::collection::vec(glob, 0..3)
            .prop_map(|globs| globs.into_iter().filter(|it| glob::check(it).is_ok()).collect())
    }

    proptest! {
        #[test]
        fn below_a_directory_that_is_seen_whole_every_path_is_kept(
            paths in globs(),
            exclude in globs(),
            directory in prop::collection::vec("[ab]{1,2}", 0..3),
            below in prop::collection::vec("[ab]{1,2}", 1..4),
            submodule in any::<bool>(),
        ) {
            let filter = TreeFilter::new(Some(&JobInputs { paths, exclude }), None).expect("checked");
            let mut walk = Some(filter.walk());
            for name in &directory {
                walk = walk.and_then(|walk| walk.enter(name.as_bytes()));
            }
            if walk.is_some_and(|walk| walk.sees_all()) {
                let path = [directory, below].concat().join("/");
                prop_assert!(filter.keeps(path.as_bytes(), submodule), "{}", path);
            }
        }

        #[test]
        fn a_walk_enters_every_directory_of_a_file_that_is_kept(
            paths in globs(),
            exclude in globs(),
            path in prop::collection::vec("[ab]{1,2}", 1..5),
        ) {
            let filter = TreeFilter::new(Some(&JobInputs { paths, exclude }), None).expect("checked");
            if filter.keeps(path.join("/").as_bytes(), false) {
                let (_, directories) = path.split_last().expect("one or more");
                let mut walk = filter.walk();
                let may_be = |walk: &TreeWalk<'_>, name: &str| {
                    walk.names().is_none_or(|names| names.contains(&name.as_bytes()))
                };
                for name in directories {
                    prop_assert!(may_be(&walk, name));
                    walk = walk.enter(name.as_bytes()).expect("a file below it is kept");
                }
                prop_assert!(may_be(&walk, path.last().expect("one or more")));
            }
        }
    }
}
