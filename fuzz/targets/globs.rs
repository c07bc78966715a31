//! Any text as a glob against any path: the index says what the glob alone says.

#![no_main]

use lanes::{GlobIndex, glob::Glob};

libfuzzer_sys::fuzz_target!(|input: (&str, &[u8])| {
    let (text, path) = input;
    let Ok(glob) = Glob::new(text) else { return };
    let Ok(path) = plans::RepoPath::new(path) else { return };
    let mut index = GlobIndex::default();
    let id = index.add(text).expect("the same rules");
    let mut hits = Vec::new();
    index.matches(path.as_bytes(), false, &mut hits);
    assert_eq!(hits.contains(&id), glob.is_match(path.as_bytes()));
});
