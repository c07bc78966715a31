//! Any bytes as the manifest: a catalog or diagnostics that can be shown, no panic.

#![no_main]

use lanes::{FileError, Files, Style, glob::Glob, load};

struct One<'a>(&'a [u8]);

impl Files for One<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(Some(if path == "manifest" { self.0.to_vec() } else { b"version = 1".to_vec() }))
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(vec!["included.toml".to_owned()])
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(found) = load(&One(bytes), "manifest", "catalog") {
        assert!(!found.render(Style::PLAIN).is_empty());
    }
});
