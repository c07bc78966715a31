//! A lane that does not notice a change of what it runs.

use std::collections::BTreeSet;

use lanes::{LaneIndex, LintLevel, codes::Code};
use plans::Command;

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "lane_misses_its_script",
        cause: "A lane's command, its jobs' commands or its `entrypoint` name a file of the tree \
                that the lane does not cover: a broken script is found by whoever comes next.",
        remedy: "Add the file to the lane's `paths`, or to `run_all`.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let run_all: Vec<lanes::GlobId> = {
        let mut globs: Vec<_> = view.catalog.rules().run_all.iter().map(|it| it.glob).collect();
        globs.sort_unstable();
        globs
    };
    let mut found = Vec::new();
    for index in view.selected_by_paths() {
        let lane = &view.catalog[index];
        let filter = view.filter_of(index);
        for file in named_files(view, index) {
            if view.counts(filter, file) || view.any_matches(&run_all, file) {
                continue;
            }
            let path = &view.files[file as usize].path;
            let message = format!("the lane `{}` runs `{path}` and does not cover it", lane.id);
            found.push(
                Found::at(&RULE.code, lane.span, message)
                    .help(format!("add \"{path}\" to its `paths`")),
            );
        }
    }
    found
}

/// The files of the tree that a lane's definition names, by position.
fn named_files(view: &View<'_>, index: LaneIndex) -> BTreeSet<u32> {
    let catalog = view.catalog;
    let lane = &catalog[index];
    let mut files = BTreeSet::new();
    let mut name = |directory: Option<&str>, word: &str| {
        let word = word.strip_prefix("./").unwrap_or(word);
        // A word without either sign is a program's name, even if a file is called the same.
        if !word.contains(['/', '.']) {
            return;
        }
        let below = directory.map(|directory| format!("{directory}/{word}"));
        let paths = [below.as_deref(), Some(word)];
        let mut found = paths.iter().flatten().filter_map(|path| view.file_at(path.as_bytes()));
        files.extend(found.next());
    };
    for word in lane.entrypoint.iter().flat_map(|text| words(text)) {
        name(None, word);
    }
    for &job in catalog.jobs_of(index) {
        let job = &catalog[job];
        let setup = job.host_setup.map(|setup| &catalog[setup].spec);
        let prepares = job.prepares.iter().map(|used| &catalog[used.work].spec);
        for spec in prepares.chain(setup).chain([&job.spec]) {
            let directory = spec.working_dir.as_ref().map(plans::WorkspacePath::as_str);
            match &spec.command {
                Command::Argv(argv) => argv.iter().for_each(|word| name(directory, word)),
                Command::Shell { script, .. } => {
                    words(script).for_each(|word| name(directory, word));
                }
                Command::CargoTest { .. }
                | Command::CargoTests { .. }
                | Command::Staged(_)
                | Command::NixBuild { .. } => {}
            }
        }
    }
    files
}

/// The words of a text for a shell, as far as names of files go.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'`;|&()<>=$".contains(c))
        .filter(|word| !word.is_empty())
}
