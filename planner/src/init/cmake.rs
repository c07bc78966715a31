//! CMake projects: configure, build and ctest.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    glob_in, named, working_dir,
};

/// What C, C++ and CMake read, by ending.
const SOURCES: [&str; 14] = [
    "CMakeLists.txt",
    ".cmake",
    ".c",
    ".cc",
    ".cpp",
    ".cxx",
    ".h",
    ".hh",
    ".hpp",
    ".hxx",
    ".ipp",
    ".inl",
    ".in",
    ".s",
];

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) {
    for top in project.tops(&["CMakeLists.txt"]) {
        let id = draft.fresh_id(&named("cmake", &top));
        let script = "set -eu\ncmake -S . -B build\ncmake --build build\n\
                      ctest --test-dir build --output-on-failure";
        // Other files of a root project run every lane.
        let paths = if top.is_empty() {
            let presets = project.existing("", &["CMakePresets.json"]);
            [project.existing_suffixes("", &SOURCES), presets].concat()
        } else {
            vec![glob_in(&top, "**")]
        };
        draft.push(LaneDraft {
            description: "Build and tests of the CMake project".to_owned(),
            paths: Some(paths),
            jobs: vec![JobDraft {
                id: format!("{id}-tests"),
                description: "cmake and ctest".to_owned(),
                command: CommandDraft::Shell(script.to_owned()),
                working_dir: working_dir(&top),
                ..JobDraft::default()
            }],
            id,
            ..LaneDraft::default()
        });
    }
}
