//! Workspace patterns of each package manager, in its own dialect and order.
//!
//! Owns which directories a list of patterns makes members. What a single pattern matches is
//! [`super::glob`]'s; which manager a workspace has is [`super::manager`]'s.
//!
//! | manager | a `!` pattern | what else is its own |
//! | --- | --- | --- |
//! | npm | excludes wherever it stands, unless a later pattern's text matches it: then it is void | a leading `/` counts for nothing; `\` is `/` |
//! | pnpm | excludes wherever it stands | the root is always a member; `bower_components` is passed over |
//! | yarn 2 and newer | excludes wherever it stands, with everything below | `a/**` is not `a` itself; members may have `workspaces` |
//! | yarn 1 | is no exclusion | |
//! | bun | excludes wherever it stands, but not what another pattern names outright | |
//!
//! `node_modules` and directories that begin with a dot are passed over by all, unless a pattern
//! writes the dot. Measured with npm 11.19, pnpm 10.34 and 12.21, yarn 4.18 and 1.22, bun 1.4.

use super::{
    glob::{Flavour, Glob, NotUnderstood},
    manager::Manager,
};
use crate::packages::file_in;

/// The patterns of one workspace, as one manager reads them. Its directories are those of the
/// tree, not of the workspace.
#[derive(Debug)]
pub(super) struct Patterns {
    manager: Manager,
    root: String,
    includes: Vec<Glob>,
    excludes: Vec<Glob>,
    not_understood: Vec<(String, NotUnderstood)>,
}

impl Patterns {
    /// Reads the patterns of a workspace whose root is `root`.
    pub(super) fn new(manager: Manager, root: &str, patterns: &[String]) -> Self {
        let mut includes: Vec<&str> = Vec::new();
        let mut excludes: Vec<&str> = Vec::new();
        let flavour = manager.flavour();
        for pattern in patterns {
            let bare = pattern.trim_start_matches('!');
            let marks = pattern.len() - bare.len();
            match manager {
                Manager::Npm | Manager::Bun if marks % 2 == 1 => excludes.push(bare),
                Manager::Npm => {
                    // Text against text, as npm does it: `packages/x` voids `!packages/x`, and
                    // `!packages/**` too.
                    let void = |exclude: &&str| {
                        Glob::new(exclude, flavour).is_ok_and(|it| it.is_match(bare))
                    };
                    excludes.retain(|exclude| !void(exclude));
                    includes.push(bare);
                }
                Manager::Bun => includes.push(bare),
                Manager::Pnpm | Manager::Yarn if marks > 0 && !pattern.starts_with("!(") => {
                    excludes.push(&pattern[1..]);
                }
                _ => includes.push(pattern),
            }
        }
        let mut read = Self {
            manager,
            root: root.to_owned(),
            includes: Vec::new(),
            excludes: Vec::new(),
            not_understood: Vec::new(),
        };
        for pattern in includes {
            match read.glob(pattern) {
                Ok(glob) => read.includes.push(glob),
                Err(why) => {
                    read.not_understood.push((pattern.to_owned(), why));
                    // Everything below what is plain in it.
                    let magic = pattern.find(['*', '?', '[', '{', '(', '\\', '+', '@', '!']);
                    let plain = &pattern[..magic.unwrap_or(pattern.len())];
                    let plain = plain.rsplit_once('/').map_or("", |(plain, _)| plain);
                    let below = read.glob(&format!("{plain}/**"));
                    read.includes.extend(below.or_else(|_| read.glob("**")).ok());
                }
            }
        }
        for pattern in excludes {
            match read.glob(pattern) {
                Ok(glob) => read.excludes.push(glob.with_dots()),
                // Nothing is taken away.
                Err(why) => read.not_understood.push((format!("!{pattern}"), why)),
            }
        }
        read
    }

    /// The patterns that are taken for more than they say, and why they are not understood.
    pub(super) fn not_understood(&self) -> impl Iterator<Item = (&str, NotUnderstood)> {
        self.not_understood.iter().map(|(pattern, why)| (pattern.as_str(), *why))
    }

    /// Globs that the tree is asked with; [`Self::has`] says which of the answers are members.
    pub(super) fn candidates(&self, file: &str) -> Vec<String> {
        let mut globs: Vec<String> = self.includes.iter().flat_map(Glob::coarse).collect();
        globs.sort_unstable();
        globs.dedup();
        globs.into_iter().map(|glob| file_in(&glob, file)).collect()
    }

    /// Directories, named outright, whose entries may be members.
    pub(super) fn parents(&self) -> Vec<String> {
        let mut parents: Vec<String> = self.includes.iter().flat_map(Glob::parents).collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    /// Whether a directory with a manifest is a member.
    pub(super) fn has(&self, dir: &str) -> bool {
        let Some(below) = below(&self.root, dir) else {
            // A pattern with `..`: only what it matches counts.
            return self.includes.iter().any(|glob| glob.is_match(dir));
        };
        let passed_over = |name: &str| match name {
            "node_modules" => true,
            "bower_components" => self.manager == Manager::Pnpm,
            _ => false,
        };
        if below.split('/').any(passed_over) {
            return false;
        }
        let included = |glob: &Glob| match self.manager {
            Manager::Yarn => glob.is_match_below(dir),
            _ => glob.is_match(dir),
        };
        let outright =
            |glob: &Glob| self.manager == Manager::Bun && glob.is_literal() && glob.is_match(dir);
        self.includes.iter().any(included)
            && (self.includes.iter().any(outright) || !self.excludes(dir))
    }

    fn excludes(&self, dir: &str) -> bool {
        let excluded = |dir: &str| self.excludes.iter().any(|glob| glob.is_match(dir));
        match self.manager {
            Manager::Yarn => {
                let ends = dir.match_indices('/').map(|(end, _)| end).chain([dir.len()]);
                ends.map(|end| &dir[..end]).any(|above| {
                    below(&self.root, above).is_some_and(|it| !it.is_empty()) && excluded(above)
                })
            }
            _ => excluded(dir),
        }
    }

    /// A pattern of the workspace as one of the tree.
    fn glob(&self, pattern: &str) -> Result<Glob, NotUnderstood> {
        let pattern = match self.manager {
            Manager::Npm => pattern.replace('\\', "/"),
            _ => pattern.to_owned(),
        };
        // `packages/*/package.json` names a directory's manifest instead of the directory.
        let pattern = pattern.strip_suffix("/package.json").unwrap_or(&pattern);
        let mut full = String::with_capacity(self.root.len() + pattern.len() + 1);
        for character in self.root.chars() {
            if "*?[]{}()!+@|\\".contains(character) {
                full.push('\\');
            }
            full.push(character);
        }
        full.push('/');
        full.push_str(pattern);
        Glob::new(&full, self.manager.flavour())
    }
}

/// The rest of a directory's path below another; none if it is not below.
fn below<'a>(root: &str, dir: &'a str) -> Option<&'a str> {
    if root.is_empty() {
        return Some(dir);
    }
    let rest = dir.strip_prefix(root)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

impl Manager {
    fn flavour(self) -> Flavour {
        match self {
            Self::Npm | Self::YarnClassic | Self::Bun => Flavour::Minimatch,
            Self::Pnpm | Self::Yarn => Flavour::Picomatch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories with a manifest.
    const DIRS: [&str; 15] = [
        "other",
        "packages",
        "packages/.hid",
        "packages/1",
        "packages/2",
        "packages/a",
        "packages/a/bower_components/bz",
        "packages/a/node_modules/z",
        "packages/a/sub",
        "packages/b",
        "packages/ol",
        "packages/old",
        "packages/older",
        "packages/s/node_modules_not/q",
        "x",
    ];

    fn members(manager: Manager, patterns: &[&str]) -> String {
        let patterns: Vec<String> = patterns.iter().map(|&it| it.to_owned()).collect();
        let read = Patterns::new(manager, "", &patterns);
        let members: Vec<&str> = DIRS.into_iter().filter(|dir| read.has(dir)).collect();
        members.join(" ").replace("packages/", "")
    }

    /// The answers of npm, yarn 2, yarn 1, pnpm and bun. Where ours is wider, the pair says so.
    #[track_caller]
    fn check(patterns: &[&str], [npm, yarn, classic, pnpm, bun]: [&str; 5]) {
        for (manager, expected) in [
            (Manager::Npm, npm),
            (Manager::Yarn, yarn),
            (Manager::YarnClassic, classic),
            (Manager::Pnpm, pnpm),
            (Manager::Bun, bun),
        ] {
            assert_eq!(members(manager, patterns), expected, "{patterns:?} of {manager:?}");
        }
    }

    #[test]
    fn plain_patterns_are_alike() {
        for patterns in [&["packages/*"][..], &["packages/*/"], &["./packages/*"]] {
            check(patterns, ["1 2 a b ol old older"; 5]);
        }
        check(&["packages/{a,b}", "x"], ["a b x"; 5]);
        check(&["packages/.*"], [".hid"; 5]);
        check(&["packages/**/sub"], ["a/sub"; 5]);
        check(&["packages/{1..2}"], ["1 2"; 5]);
        check(&[], [""; 5]);
        // Measured: nothing in any of them. It is meant, so it counts.
        check(&["packages/*/package.json"], ["1 2 a b ol old older"; 5]);
    }

    #[test]
    fn two_stars_are_not_the_same_everywhere() {
        let all = "packages 1 2 a a/bower_components/bz a/sub b ol old older s/node_modules_not/q";
        let without_base = all.strip_prefix("packages ").expect("it begins so");
        let pnpm = all.replace(" a/bower_components/bz", "");
        check(&["packages/**"], [all, without_base, all, &pnpm, all]);
    }

    #[test]
    fn extended_globs_are_followed() {
        let but_old = "1 2 a b ol older";
        // pnpm 10 leaves `older` out too, pnpm 12 refuses the pattern.
        let hidden = ".hid 1 2 a b ol older";
        check(&["packages/!(old)"], [but_old, hidden, but_old, hidden, but_old]);
        check(&["packages/@(a|b)"], ["a b"; 5]);
        check(&["packages/ol?(der)"], ["ol older"; 5]);
        check(&["packages/(a|b)"], ["", "a b", "", "a b", ""]);
        let hidden = ".hid 1 2 a b";
        check(&["packages/[!o]*"], ["1 2 a b", hidden, "1 2 a b", hidden, "1 2 a b"]);
    }

    #[test]
    fn an_exclusion_holds_wherever_it_stands_but_not_in_yarn_1() {
        let (but_old, with_old) = ("1 2 a b ol older", "1 2 a b ol old older");
        for patterns in [["!packages/old", "packages/*"], ["packages/*", "!packages/old"]] {
            check(&patterns, [but_old, but_old, with_old, but_old, but_old]);
        }
        let but_a = "1 2 b ol old older";
        check(&["packages/*", "!packages/a/**"], [but_a, but_a, with_old, but_a, but_a]);
    }

    #[test]
    fn what_an_exclusion_takes_with_it_is_each_managers_own() {
        let rest = "b ol old older s/node_modules_not/q";
        let all = format!("packages 1 2 a a/bower_components/bz a/sub {rest}");
        let with_sub = format!("packages 1 2 a/bower_components/bz a/sub {rest}");
        let yarn = format!("1 2 {rest}");
        let pnpm = format!("packages 1 2 a/sub {rest}");
        check(&["packages/**", "!packages/a"], [&with_sub, &yarn, &all, &pnpm, &with_sub]);
        // A later pattern takes it back in npm; bun takes what is named outright.
        let patterns = ["packages/**", "!packages/a", "packages/a"];
        check(&patterns, [&all, &yarn, &all, &pnpm, &all]);
        let patterns = ["packages/**", "!packages/a/**", "packages/a/sub"];
        let none = format!("packages 1 2 {rest}");
        let bun = format!("packages 1 2 a/sub {rest}");
        check(&patterns, [&all, &yarn, &all, &none, &bun]);
    }

    #[test]
    fn a_pattern_that_is_not_understood_makes_more_members_and_is_told() {
        let patterns = ["packages/a[".to_owned(), "!packages/@(b/c)".to_owned()];
        let read = Patterns::new(Manager::Npm, "", &patterns);
        assert!(read.has("packages/b") && read.has("packages/a/sub") && !read.has("x"));
        let told: Vec<(&str, NotUnderstood)> = read.not_understood().collect();
        assert_eq!(
            told,
            [
                ("packages/a[", NotUnderstood::Unclosed),
                ("!packages/@(b/c)", NotUnderstood::SlashInGroup)
            ]
        );
    }

    #[test]
    fn patterns_of_a_workspace_below_the_root_are_its_own() {
        let patterns = ["packages/*".to_owned(), "../shared".to_owned()];
        let read = Patterns::new(Manager::Yarn, "web[1]", &patterns);
        assert!(read.has("web[1]/packages/a"));
        assert!(read.has("shared"));
        assert!(!read.has("packages/a") && !read.has("web[1]"));
        assert_eq!(
            read.candidates("package.json"),
            ["shared/package.json", "web[[]1[]]/packages/*/package.json"]
        );
    }
}
