//! What passes from a job to the jobs that need it: values by name, and files.
//!
//! All of it is data: which variable of which node holds which output of which other node, and where
//! which artifacts of which node appear. Names of variables are made by the planner; a reader of a
//! plan makes none.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{EnvName, NodeId, WorkspacePath, paths_overlap};

/// The name of a value that a job leaves for those that need it: `[A-Za-z_][A-Za-z0-9_-]*`, at most
/// 64 characters, as GitHub's names of outputs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct OutputName(#[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"))] Box<str>);

/// Why a text is not the name of an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the name of an output: at most 64 letters, digits, `_` and `-`, the first a \
     letter or `_`"
)]
pub struct InvalidOutputName {
    text: String,
}

impl OutputName {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidOutputName`] quotes the text.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidOutputName> {
        let text = text.into();
        let well_formed = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.len() <= 64
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if well_formed {
            Ok(Self(text))
        } else {
            let text = text.chars().take(64).flat_map(char::escape_debug).collect();
            Err(InvalidOutputName { text })
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the variable in which jobs that need `job` find this output:
    /// `NEEDS_BUILD_VERSION` for `version` of `build`. Letters become upper case, whatever no name
    /// of a variable holds becomes `_`.
    #[must_use]
    pub fn variable_of(&self, job: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        format!("NEEDS_{job}_{}", self.0).chars().map(plain).collect()
    }
}

impl fmt::Display for OutputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for OutputName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// What a node takes from nodes that it depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Variables of its environment, and the output of another node that each holds.
    pub env: BTreeMap<EnvName, OutputRef>,
    /// Artifacts of other nodes, and where it finds them.
    pub files: Vec<FilesFrom>,
}

impl Taken {
    /// Returns whether it takes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.env.is_empty() && self.files.is_empty()
    }

    /// Returns the nodes it takes something from; some of them more than once.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        let env = self.env.values().map(|output| &output.node);
        env.chain(self.files.iter().map(|files| &files.node))
    }
}

/// An output of a node.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct OutputRef {
    /// The node; always among `depends_on`.
    pub node: NodeId,
    /// One of its `outputs`.
    pub output: OutputName,
}

/// Artifacts of a node, in the workspace of another.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct FilesFrom {
    /// The node; always among `depends_on`.
    pub node: NodeId,
    /// Globs over the paths of its artifacts, sorted.
    #[schemars(length(min = 1))]
    pub files: Vec<String>,
    /// The directory below the workspace in which they appear, each below the directory that all
    /// of `files` begin with.
    pub at: WorkspacePath,
}

impl FilesFrom {
    /// Returns the directory that the plain beginnings of all globs have in common, which is left
    /// out of the paths below `at`; empty: none.
    ///
    /// `dist/**` has `dist`, `dist/a.js` too; `dist/**` and `docs/*.md` have none.
    #[must_use]
    pub fn root(&self) -> String {
        let mut common: Option<Vec<&str>> = None;
        for glob in &self.files {
            let mut base: Vec<&str> = glob.split('/').collect();
            // What is last names a file.
            base.pop();
            let plain =
                base.iter().take_while(|it| !it.contains(['*', '?', '[', ']', '{', '}', '\\']));
            let plain: Vec<&str> = plain.copied().collect();
            common = Some(match common {
                None => plain,
                Some(common) => {
                    let same = common.iter().zip(&plain).take_while(|(a, b)| a == b).count();
                    common[..same].to_vec()
                }
            });
        }
        common.unwrap_or_default().join("/")
    }

    /// Returns whether a place belongs to git: nothing is put there.
    #[must_use]
    pub fn is_of_git(at: &WorkspacePath) -> bool {
        at.as_str().split('/').any(|component| component.eq_ignore_ascii_case(".git"))
    }

    /// Returns whether one of two places is at or below the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        paths_overlap(self.at.as_str(), other.at.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_output_makes_a_name_of_a_variable() {
        let name = |text: &str| OutputName::new(text).expect("well formed");
        assert_eq!(name("version").variable_of("build"), "NEEDS_BUILD_VERSION");
        assert_eq!(name("a-b_C9").variable_of("unit-std.2"), "NEEDS_UNIT_STD_2_A_B_C9");
        assert!(EnvName::new(name(&"x".repeat(64)).variable_of(&"j".repeat(64))).is_ok());
        for bad in ["", "9a", "-a", "a b", "a=b", "a.b", "é", &"x".repeat(65)] {
            assert!(OutputName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn files_lose_the_directory_that_all_globs_begin_with() {
        let root = |files: &[&str]| {
            let files = files.iter().map(|&it| it.to_owned()).collect();
            let at = WorkspacePath::new("x").expect("well formed");
            FilesFrom { node: NodeId::new("execute-a").expect("well formed"), files, at }.root()
        };
        assert_eq!(root(&["dist/**"]), "dist");
        assert_eq!(root(&["dist/app.js"]), "dist");
        assert_eq!(root(&["dist/a/**", "dist/b/*.js"]), "dist");
        assert_eq!(root(&["dist/**", "docs/*.md"]), "");
        assert_eq!(root(&["dist/**", "distance/*.md"]), "");
        assert_eq!(root(&["**/junit.xml"]), "");
        assert_eq!(root(&["app.js"]), "");
        assert_eq!(root(&["a/{b,c}/d/e"]), "a");
    }

    #[test]
    fn places_overlap_when_one_is_at_or_below_the_other() {
        let at = |text: &str| FilesFrom {
            node: NodeId::new("execute-a").expect("well formed"),
            files: vec!["**".to_owned()],
            at: WorkspacePath::new(text).expect("well formed"),
        };
        assert!(at("vendor").overlaps(&at("vendor/dist")));
        assert!(at("vendor/dist").overlaps(&at("vendor")));
        assert!(at("vendor").overlaps(&at("vendor")));
        assert!(!at("vendor").overlaps(&at("vendors")));
        assert!(!at("vendor/a").overlaps(&at("vendor/b")));
    }
}
