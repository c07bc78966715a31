//! Any bytes as a list of changed files: what is read reads the same when written with NULs.

#![no_main]

use planner::change_set::{ChangedFilesError, parse_changed_files};

libfuzzer_sys::fuzz_target!(|list: &[u8]| {
    if let Ok(changes) = parse_changed_files(list) {
        let paths = changes.iter().map(|change| [change.path.as_bytes(), b"\0"].concat());
        let again = paths.collect::<Vec<_>>().concat();
        match parse_changed_files(&again) {
            Ok(again) => assert_eq!(again, changes),
            // A name may begin as such a mark does; sorted, it may come first.
            Err(error) => assert!(matches!(error, ChangedFilesError::ByteOrderMark { .. })),
        }
    }
});
