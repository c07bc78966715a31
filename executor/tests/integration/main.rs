//! The executor from plan documents to records: real git, real processes, real mounts. Real
//! machines and engines too; `tart` alone has a stand-in.

mod apply;
mod artifacts;
mod attempts;
mod behaviour;
mod bench;
mod caches;
mod chaos;
mod clocks;
mod contract;
mod cut_short;
mod durations;
mod environment;
mod errors;
mod far_results;
mod files_between_jobs;
mod full_disk;
mod harness;
mod hold;
mod holders;
mod hostile;
mod incus;
mod incus_faults;
mod incus_settings;
mod inputs;
mod junit;
mod kept_kills;
mod layers;
mod leases;
mod look;
mod machine;
mod nodes;
mod oom;
mod order;
mod output;
mod outputs;
mod pairs;
mod quiet_kills;
mod records;
mod refusals;
mod remote;
mod report;
mod resume;
mod reuse;
mod run_if;
mod serve;
mod shards;
mod shim;
mod ssh;
mod sshd;
mod stand_in;
mod tart;
mod tart_contract;
mod tart_faults;
mod testbed;
mod tolerated;
mod transfer;
mod trees;
mod trusted;
mod two_hosts;
mod unprivileged;
mod verbose;
mod watch;

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration"))
        .expect("the directory is there")
    {
        let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
