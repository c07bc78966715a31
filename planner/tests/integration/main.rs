//! The planner against real repositories, made by the `git` program with a cleared environment.

#![expect(clippy::disallowed_methods, reason = "tests make repositories and run git")]

mod backtest;
mod base;
mod cache_scope;
mod cargo_packages;
mod check;
mod check_command;
mod check_pika;
mod cli;
mod compare;
mod definitions;
mod determinism;
mod diff;
mod events;
mod events_of_engines;
mod explain_base;
mod export_command;
mod followed;
mod forge;
mod histories;
mod hostile;
mod import_command;
mod init;
mod init_ecosystems;
mod list;
mod managers;
mod mends;
mod monorepos;
mod naive;
mod npm_packages;
mod oracle;
mod packages;
mod passed_history;
mod passed_limits;
mod program;
mod refusals;
mod replay;
mod sandbox;
mod schemas;
mod selection;
mod simulator;
mod submodules;
mod surroundings;
mod worktree;

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration");
    for file in std::fs::read_dir(here).expect("the folder is there") {
        let name = file.expect("an entry").file_name().into_string().expect("a plain name");
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
