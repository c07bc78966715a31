//! A planned tree in memory.

use std::collections::BTreeMap;

use lanes::{Catalog, Diagnostics, FileError, Files, glob::Glob};

/// Files by path.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Vec<u8>>);

impl Tree {
    pub(crate) fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into())
    }

    pub(crate) fn load(&self) -> Result<Catalog, Diagnostics> {
        lanes::load(self, "ci/forge-lanes.toml", "ci/catalog.toml")
    }
}

impl Files for Tree {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(self.0.get(path).cloned())
    }

    fn matching(&self, glob: &Glob) -> Result<Vec<String>, FileError> {
        Ok(self.0.keys().filter(|path| glob.is_match(path.as_bytes())).cloned().collect())
    }
}

/// How often a property is tried: as often as `PROPTEST_CASES` says, else so often.
pub(crate) fn cases(cases: u32) -> proptest::prelude::ProptestConfig {
    let default = proptest::prelude::ProptestConfig::default();
    let cases = if default.cases == 256 { cases } else { default.cases };
    proptest::prelude::ProptestConfig { cases, failure_persistence: None, ..default }
}
