//! Every key in every place: it means something, it is refused, or it is told to change nothing.
//!
//! A row is an edit of the two files below. Where the key means something, what the files resolve to
//! differs without it; nothing is silently without effect.

use std::collections::BTreeSet;

use lanes::{Catalog, SchemaOf, schema};

use crate::support::Tree;

const MANIFEST: &str = r##"
version = 1
#main#
[path_sets]
rust = ["src/**"]
[[branch.lanes]]
id = "target"
target = "unit"
#lane#
[[branch.lanes]]
id = "own"
command = ["make"]
#own#
[[branch.lanes]]
id = "other"
target = "other"
#other#
[[nightly.lanes]]
id = "night"
command = ["make"]
#night#
"##;

const CATALOG: &str = r##"
version = 1
#catalog#
[hosts.far]
ssh = "far"
#host#
[snapshot_profiles.small]
exclude = ["big/**"]
[bases.guest]
placement = "local"
runtime = { incus = { image = "ci" } }
timeout_secs = 60
#base#
[[targets]]
id = "unit"
#target#
[[targets.jobs]]
id = "host"
base = "host_local"
timeout_secs = 60
command = ["make"]
#host_job#
[[targets.jobs]]
id = "guest"
base = "guest"
command = ["make"]
#job#
[[targets]]
id = "other"
[[targets.jobs]]
id = "other-job"
base = "guest"
command = ["make"]
#other_job#
"##;

/// What a key does where it stands.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The files resolve to something else with it.
    Means,
    /// Refused, with this code, at its place.
    Refused(&'static str),
    /// Told to change nothing, in words that hold these.
    Idle(&'static str),
}
use Outcome::{Idle, Means, Refused};

type Row = (&'static str, &'static [(&'static str, &'static str)], Outcome);

/// Keys by table as the schema calls it, edits, and what comes of them.
const ROWS: &[Row] = &[
    // The main file of the manifest, and included ones.
    ("Manifest.version", &[("version = 1\n#main#", "version = 2")], Refused("unsupported_version")),
    ("Manifest.include", &[("#main#", "include = [\"more/*.toml\"]")], Means),
    (
        "Manifest.include",
        &[("#main#", "include = [\"gone/*.toml\"]")],
        Idle("`include` matches no"),
    ),
    ("Manifest.include", &[("#main#", "include = [\"gone.toml\"]")], Refused("missing_file")),
    (
        "Manifest.include",
        &[("#main#", "include = [\"ci/forge-lanes.toml\"]")],
        Refused("bad_value"),
    ),
    ("Manifest.under", &[("#main#", "under = \"src\"")], Refused("bad_value")),
    (
        "Manifest.under",
        &[
            ("#main#", "include = [\"more/*.toml\"]"),
            ("#more#", "under = \"more\"\nignore = [\"x\"]"),
        ],
        Means,
    ),
    (
        "Manifest.under",
        &[("#main#", "include = [\"more/*.toml\"]"), ("#more#", "under = \"more\"")],
        Idle("`under` moves nothing"),
    ),
    ("Manifest.nightly_schedule_utc", &[("#main#", "nightly_schedule_utc = \"08:00\"")], Means),
    (
        "Manifest.nightly_schedule_utc",
        &[("#main#", "nightly_schedule_utc = \"08:00\""), ("nightly.lanes", "branch.lanes")],
        Idle("there is no nightly lane"),
    ),
    (
        "Manifest.nightly_schedule_utc",
        &[
            ("#main#", "include = [\"more/*.toml\"]"),
            ("#more#", "nightly_schedule_utc = \"08:00\""),
        ],
        Refused("bad_value"),
    ),
    ("Manifest.default_branch", &[("#main#", "default_branch = \"trunk\"")], Means),
    ("Manifest.unmatched_paths", &[("#main#", "unmatched_paths = \"all_lanes\"")], Means),
    (
        "Manifest.unmatched_paths",
        &[("#main#", "unmatched_paths = \"all_lanes\""), ("branch.lanes", "nightly.lanes")],
        Idle("`unmatched_paths` selects nothing"),
    ),
    ("Manifest.ignore", &[("#main#", "ignore = [\"notes/**\"]")], Means),
    ("Manifest.run_all", &[("#main#", "run_all = [\"flake.lock\"]")], Means),
    (
        "Manifest.run_all",
        &[("#main#", "run_all = [\"flake.lock\"]"), ("branch.lanes", "nightly.lanes")],
        Idle("`run_all` selects nothing"),
    ),
    ("Manifest.ignore_manifests", &[("#main#", "ignore_manifests = [\"templates/**\"]")], Means),
    ("Manifest.path_sets", &[("#lane#", "paths = [\"@rust\"]")], Means),
    (
        "Manifest.branch",
        &[("#other#", "[[branch.lanes]]\nid = \"a\"\ncommand = [\"true\"]")],
        Means,
    ),
    ("Manifest.nightly", &[("#night#", "[[nightly.lanes]]\nid = \"a\"\ntarget = \"unit\"")], Means),
    ("LaneList.lanes", &[("#night#", "[[nightly.lanes]]\nid = \"a\"\ntarget = \"unit\"")], Means),
    // Lanes.
    ("LaneFile.id", &[("id = \"target\"", "id = \"renamed\"")], Means),
    ("LaneFile.title", &[("#lane#", "title = \"check\"")], Means),
    ("LaneFile.target", &[("target = \"other\"", "target = \"unit\"")], Means),
    (
        "LaneFile.staged_linux_target",
        &[("target = \"other\"", "staged_linux_target = \"other\"")],
        Refused("not_staged_linux"),
    ),
    (
        "LaneFile.staged_linux_target",
        &[
            ("target = \"other\"", "staged_linux_target = \"unit\""),
            (
                "#target#",
                "staged_linux = { prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_build\", output_name = \"b\", nix_installable = \".#b\" }] }",
            ),
        ],
        Means,
    ),
    ("LaneFile.command", &[("command = [\"make\"]\n#own#", "command = [\"just\"]")], Means),
    ("LaneFile.command", &[("#lane#", "command = [\"make\"]")], Refused("target_and_command")),
    ("LaneFile.entrypoint", &[("#lane#", "entrypoint = \"just x\"")], Means),
    ("LaneFile.paths", &[("#lane#", "paths = [\"src/**\"]")], Means),
    ("LaneFile.paths", &[("#night#", "paths = [\"src/**\"]")], Idle("`paths` does not keep")),
    ("LaneFile.paths", &[("#night#", "paths = []")], Idle("`paths` does not keep")),
    ("LaneFile.exclude", &[("#lane#", "exclude = [\"docs/**\"]")], Means),
    (
        "LaneFile.exclude",
        &[("#night#", "exclude = [\"docs/**\"]")],
        Idle("`exclude` does not keep"),
    ),
    ("LaneFile.statuses", &[("#lane#", "statuses = [\"added\"]")], Means),
    ("LaneFile.statuses", &[("#lane#", "statuses = []")], Refused("bad_value")),
    (
        "LaneFile.statuses",
        &[("#night#", "statuses = [\"added\"]")],
        Idle("`statuses` does not keep"),
    ),
    ("LaneFile.inputs", &[("#lane#", "inputs = { cargo = [\"app\"] }")], Means),
    ("LaneFile.inputs", &[("#lane#", "inputs = {}")], Refused("bad_value")),
    (
        "LaneFile.inputs",
        &[("#night#", "inputs = { npm = [\"web\"] }")],
        Idle("`inputs` does not keep"),
    ),
    ("InputsFile.cargo", &[("#lane#", "inputs = { cargo = [\"app\"] }")], Means),
    ("InputsFile.npm", &[("#lane#", "inputs = { npm = [\"app\"] }")], Means),
    ("InputsFile.go", &[("#lane#", "inputs = { go = [\"app\"] }")], Means),
    ("InputsFile.uv", &[("#lane#", "inputs = { uv = [\"app\"] }")], Means),
    ("InputsFile.gradle", &[("#lane#", "inputs = { gradle = [\":app\"] }")], Means),
    ("InputsFile.maven", &[("#lane#", "inputs = { maven = [\"app\"] }")], Means),
    ("InputsFile.dotnet", &[("#lane#", "inputs = { dotnet = [\"app\"] }")], Means),
    ("LaneFile.concurrency_group", &[("#lane#", "concurrency_group = \"apple\"")], Means),
    ("LaneFile.after", &[("#lane#", "after = [\"own\"]")], Means),
    ("LaneFile.after", &[("#lane#", "after = [\"night\"]")], Refused("after_other_trigger")),
    ("LaneFile.after", &[("#lane#", "after = [\"target\"]")], Refused("cycle")),
    (
        "LaneFile.after",
        &[("target = \"other\"", "target = \"unit\"\nafter = [\"target\"]")],
        Idle("`after` adds no order"),
    ),
    (
        "LaneFile.after",
        &[("#other#", "after = [\"target\"]"), ("#job#", "needs = [\"other-job\"]")],
        Idle("`after` adds no order"),
    ),
    ("LaneFile.description", &[("#own#", "description = \"for that\"")], Means),
    (
        "LaneFile.description",
        &[("#lane#", "description = \"for that\"")],
        Refused("target_and_command"),
    ),
    ("LaneFile.base", &[("#own#", "base = \"guest\"")], Means),
    ("LaneFile.base", &[("#lane#", "base = \"guest\"")], Refused("target_and_command")),
    ("LaneFile.needs", &[("#own#", "needs = [\"host\"]")], Means),
    ("LaneFile.needs", &[("#lane#", "needs = [\"other-job\"]")], Refused("target_and_command")),
    // The catalog.
    (
        "CatalogFile.version",
        &[("version = 1\n#catalog#", "version = 2")],
        Refused("unsupported_version"),
    ),
    ("CatalogFile.include", &[("#catalog#", "include = [\"jobs/*.toml\"]")], Means),
    (
        "CatalogFile.include",
        &[("#catalog#", "include = [\"gone/*.toml\"]")],
        Idle("`include` matches no"),
    ),
    ("CatalogFile.under", &[("#catalog#", "under = \"src\"")], Refused("bad_value")),
    (
        "CatalogFile.under",
        &[("#catalog#", "include = [\"jobs/*.toml\"]"), ("#jobs#", "under = \"jobs\"")],
        Idle("`under` moves nothing"),
    ),
    (
        "CatalogFile.under",
        &[
            ("#catalog#", "include = [\"jobs/*.toml\"]"),
            ("#jobs#", "under = \"jobs\""),
            ("id = \"included\"", "id = \"included\"\npaths = [\"src/**\"]"),
        ],
        Means,
    ),
    (
        "CatalogFile.hosts",
        &[
            ("#base#", ""),
            ("placement = \"local\"", "placement = { remote_ssh = { host = \"far\" } }"),
        ],
        Means,
    ),
    (
        "RemoteSshFile.host",
        &[("placement = \"local\"", "placement = { remote_ssh = { host = \"near\" } }")],
        Refused("unknown_host"),
    ),
    (
        "HostFile.ssh",
        &[
            ("ssh = \"far\"", "ssh = \"ci@far\""),
            ("placement = \"local\"", "placement = { remote_ssh = { host = \"far\" } }"),
        ],
        Means,
    ),
    (
        "HostFile.work_dir",
        &[
            ("#host#", "work_dir = \"/srv\""),
            ("placement = \"local\"", "placement = { remote_ssh = { host = \"far\" } }"),
        ],
        Means,
    ),
    (
        "HostFile.max_jobs",
        &[
            ("#host#", "max_jobs = 4"),
            ("placement = \"local\"", "placement = { remote_ssh = { host = \"far\" } }"),
        ],
        Means,
    ),
    (
        "CatalogFile.bases",
        &[(
            "base = \"guest\"\ncommand = [\"make\"]\n#job#",
            "base = \"host_local\"\ntimeout_secs = 1\ncommand = [\"make\"]",
        )],
        Means,
    ),
    ("CatalogFile.snapshot_profiles", &[("#job#", "snapshot_profile = \"small\"")], Means),
    ("ProfileFile.exclude", &[("big/**", "large/**")], Means),
    (
        "CatalogFile.targets",
        &[("#other_job#", "[[targets]]\nid = \"more\"\njobs_from = [\"host\"]")],
        Means,
    ),
    (
        "TargetFile.id",
        &[
            ("id = \"other\"\n[[targets", "id = \"others\"\n[[targets"),
            ("target = \"other\"", "target = \"others\""),
        ],
        Means,
    ),
    ("TargetFile.description", &[("#target#", "description = \"units\"")], Means),
    ("TargetFile.paths", &[("#target#", "paths = [\"src/**\"]")], Means),
    (
        "TargetFile.paths",
        &[
            ("#target#", "paths = [\"src/**\"]"),
            ("#host_job#", "paths = [\"a/**\"]"),
            ("#job#", "paths = [\"b/**\"]"),
        ],
        Idle("narrows nothing"),
    ),
    (
        "TargetFile.paths",
        &[
            ("#target#", "paths = [\"src/**\"]"),
            ("#host_job#", "paths = [\"a/**\"]"),
            ("#job#", "exclude = [\"b/**\"]"),
        ],
        Means,
    ),
    ("TargetFile.exclude", &[("#target#", "exclude = [\"docs/**\"]")], Means),
    (
        "TargetFile.exclude",
        &[
            ("#target#", "exclude = [\"docs/**\"]"),
            ("#host_job#", "paths = [\"a/**\"]"),
            ("#job#", "paths = [\"b/**\"]"),
        ],
        Idle("narrows nothing"),
    ),
    ("TargetFile.jobs_from", &[("#target#", "jobs_from = [\"other-job\"]")], Means),
    ("TargetFile.jobs_from", &[("#target#", "jobs_from = [\"host\"]")], Refused("duplicate_id")),
    (
        "TargetFile.jobs",
        &[("#other_job#", "[[targets.jobs]]\nid = \"j\"\nbase = \"guest\"\ncommand = [\"x\"]")],
        Means,
    ),
    (
        "TargetFile.staged_linux",
        &[("#target#", "staged_linux = { prepare_node_prefix = \"p\", payloads = [] }")],
        Idle("`staged_linux` of the target `unit` builds nothing"),
    ),
    ("StagedLinuxFile.prepare_node_prefix", STAGED, Means),
    ("StagedLinuxFile.payloads", STAGED, Means),
    (
        "StagedLinuxFile.snapshot_profile",
        &[(
            "#target#",
            "staged_linux = { snapshot_profile = \"small\", prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_deps\", output_name = \"b\", nix_installable = \".#b\" }] }",
        )],
        Means,
    ),
    (
        "StagedLinuxFile.prepare_description",
        &[(
            "#target#",
            "staged_linux = { prepare_description = \"d\", prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_deps\", output_name = \"b\", nix_installable = \".#b\" }] }",
        )],
        Means,
    ),
    (
        "StagedLinuxFile.workspace_output_system",
        &[(
            "#target#",
            "staged_linux = { workspace_output_system = \"x\", prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_deps\", output_name = \"b\", nix_installable = \".#b\" }] }",
        )],
        Means,
    ),
    (
        "StagedLinuxFile.shadow_recipe",
        &[(
            "#target#",
            "staged_linux = { shadow_recipe = \"x\", prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_deps\", output_name = \"b\", nix_installable = \".#b\" }] }",
        )],
        Means,
    ),
    ("PayloadFile.role", STAGED, Means),
    ("PayloadFile.output_name", STAGED, Means),
    ("PayloadFile.nix_installable", STAGED, Means),
    ("PayloadFile.mount", STAGED, Means),
    // Jobs, beside the keys that bases and lanes share.
    ("JobFile.id", &[("id = \"guest\"\n", "id = \"renamed\"\n")], Means),
    ("JobFile.description", &[("#job#", "description = \"d\"")], Means),
    (
        "JobFile.base",
        &[(
            "base = \"guest\"\ncommand = [\"make\"]\n#job#",
            "base = \"host_local\"\ntimeout_secs = 1\ncommand = [\"make\"]",
        )],
        Means,
    ),
    ("JobFile.command", &[("command = [\"make\"]\n#job#", "command = [\"just\"]")], Means),
    (
        "JobFile.staged_command",
        &[("command = [\"make\"]\n#job#", "staged_command = \"x\"")],
        Refused("not_staged_linux"),
    ),
    ("JobFile.needs", &[("#job#", "needs = [\"host\"]")], Means),
    ("JobFile.paths", &[("#job#", "paths = [\"src/**\"]")], Means),
    (
        "JobFile.paths",
        &[("branch.lanes", "nightly.lanes"), ("#job#", "paths = [\"src/**\"]")],
        Idle("`paths` does not keep the job `guest` from running"),
    ),
    ("JobFile.exclude", &[("#job#", "exclude = [\"docs/**\"]")], Means),
    (
        "JobFile.exclude",
        &[("branch.lanes", "nightly.lanes"), ("#job#", "exclude = [\"docs/**\"]")],
        Idle("`exclude` does not keep the job `guest` from running"),
    ),
    // Shared keys where another decides.
    (
        "JobFile.snapshot_profile",
        &[("#job#", "snapshot_profile = \"small\"\ncheckout = \"clone\"")],
        Idle("a clone is whole"),
    ),
    (
        "LaneFile.snapshot_profile",
        &[("#own#", "snapshot_profile = \"small\"")],
        Idle("a clone is whole"),
    ),
    (
        "LaneFile.snapshot_profile",
        &[("#own#", "snapshot_profile = \"small\"\ncheckout = \"tree\"")],
        Means,
    ),
    ("JobFile.matrix", &[("#job#", "matrix = { a = [\"x\", \"y\"] }")], Means),
    (
        "JobFile.matrix_exclude",
        &[("#job#", "matrix = { a = [\"x\", \"y\"] }\nmatrix_exclude = [{ a = \"x\" }]")],
        Means,
    ),
    (
        "JobFile.matrix_exclude",
        &[("#job#", "matrix_exclude = [{ a = \"x\" }]")],
        Refused("empty_matrix"),
    ),
    ("JobFile.matrix_include", &[("#job#", "matrix_include = [{ a = \"x\" }]")], Means),
    ("JobFile.shards", &[("#job#", "shards = 2")], Means),
    ("JobFile.shards", &[("#job#", "shards = 0")], Refused("bad_value")),
    ("JobFile.reuse", &[("#job#", "reuse = \"passed_with_retries\"")], Means),
    ("JobFile.reuse", &[("#job#", "reuse = \"always\"")], Refused("bad_value")),
    (
        "JobFile.reuse",
        &[("#job#", "reuse = \"passed\"\nsecrets = [\"TOKEN\"]")],
        Idle("keeps no result"),
    ),
    (
        "JobFile.reuse_with_secrets",
        &[("#job#", "reuse_with_secrets = true")],
        Refused("invalid_combination"),
    ),
    ("JobFile.key_commands", &[("#job#", "key_commands = [[\"cc\"]]")], Idle("decide nothing")),
    (
        "JobFile.key_commands",
        &[("#job#", "reuse = \"passed\"\nkey_commands = [[]]")],
        Refused("invalid_combination"),
    ),
    ("JobFile.shard_files", &[("#job#", "shards = 2\nshard_files = [\"tests/**\"]")], Means),
    (
        "JobFile.shard_files",
        &[("#job#", "shard_files = [\"tests/**\"]")],
        Refused("invalid_combination"),
    ),
    ("JobFile.shard_files", &[("#job#", "shards = 2\nshard_files = []")], Refused("bad_value")),
    (
        "JobFile.shard_durations",
        &[("#job#", "shards = 2\nshard_files = [\"t/**\"]\nshard_durations = \"ci/d.json\"")],
        Means,
    ),
    (
        "JobFile.shard_durations",
        &[("#job#", "shards = 2\nshard_durations = \"ci/d.json\"")],
        Refused("invalid_combination"),
    ),
    (
        "JobFile.retry_on",
        &[("#job#", "retry_on = { exit_codes = [75] }")],
        Refused("invalid_combination"),
    ),
    (
        "JobFile.retry_on",
        &[("#job#", "retries = 1\nretry_on = {}")],
        Refused("invalid_combination"),
    ),
    (
        "BaseFile.retry_on",
        &[("#base#", "retry_on = { exit_codes = [75] }")],
        Idle("retries nothing"),
    ),
    (
        "BaseFile.retry_on",
        &[("#base#", "retry_on = { exit_codes = [75] }"), ("#job#", "retries = 1")],
        Means,
    ),
    (
        "RetryOnFile.exit_codes",
        &[("#job#", "retries = 1\nretry_on = { exit_codes = [75], outcomes = [\"timed_out\"] }")],
        Means,
    ),
    (
        "RetryOnFile.exit_codes",
        &[("#job#", "retries = 1\nretry_on = { exit_codes = [75], outcomes = [\"failed\"] }")],
        Idle("the outcome `failed` is every exit code"),
    ),
    (
        "RetryOnFile.outcomes",
        &[("#job#", "retries = 1\nretry_on = { outcomes = [\"failed\"] }")],
        Means,
    ),
    ("AllowedCodesFile.exit_codes", &[("#job#", "allow_failure = { exit_codes = [77] }")], Means),
    (
        "AllowedCodesFile.exit_codes",
        &[("#job#", "allow_failure = { exit_codes = [] }")],
        Refused("invalid_combination"),
    ),
    (
        "JobFile.mount_host_rust_toolchain",
        &[("#host_job#", "mount_host_rust_toolchain = true")],
        Refused("invalid_combination"),
    ),
    (
        "JobFile.mount_host_xcode",
        &[("#job#", "mount_host_xcode = \"/x\"")],
        Refused("invalid_combination"),
    ),
    (
        "JobFile.secrets",
        &[("#job#", "secrets = [\"A\"]\nenv = { A = \"1\" }")],
        Refused("invalid_combination"),
    ),
    (
        "CommandTable.argv",
        &[("command = [\"make\"]\n#job#", "command = { argv = [\"x\"] }")],
        Means,
    ),
    (
        "CommandTable.shell",
        &[("command = [\"make\"]\n#job#", "command = { shell = \"x\" }")],
        Means,
    ),
    (
        "CommandTable.shell",
        &[("command = [\"make\"]\n#job#", "command = { shell = \"x\", argv = [\"x\"] }")],
        Refused("multiple_commands"),
    ),
    (
        "CommandTable.as_root",
        &[("command = [\"make\"]\n#job#", "command = { shell = \"x\", as_root = true }")],
        Means,
    ),
    (
        "CommandTable.as_root",
        &[("command = [\"make\"]\n#job#", "command = { argv = [\"x\"], as_root = true }")],
        Refused("invalid_combination"),
    ),
    (
        "CommandTable.as_root",
        &[("command = [\"make\"]\n#host_job#", "command = { shell = \"x\", as_root = true }")],
        Refused("invalid_combination"),
    ),
    (
        "CommandTable.cargo_test",
        &[(
            "command = [\"make\"]\n#job#",
            "command = { cargo_test = { package = \"p\", test = \"t\" } }",
        )],
        Means,
    ),
    (
        "CargoTestFile.package",
        &[(
            "command = [\"make\"]\n#job#",
            "command = { cargo_test = { package = \"p\", test = \"t\" } }",
        )],
        Means,
    ),
    (
        "CargoTestFile.test",
        &[(
            "command = [\"make\"]\n#job#",
            "command = { cargo_test = { package = \"p\", test = \"t\" } }",
        )],
        Means,
    ),
    (
        "CommandTable.cargo_tests",
        &[("command = [\"make\"]\n#job#", "command = { cargo_tests = { package = \"p\" } }")],
        Means,
    ),
    (
        "CargoTestsFile.package",
        &[("command = [\"make\"]\n#job#", "command = { cargo_tests = { package = \"p\" } }")],
        Means,
    ),
    (
        "CargoTestsFile.filter",
        &[(
            "command = [\"make\"]\n#job#",
            "command = { cargo_tests = { package = \"p\", filter = \"f\" } }",
        )],
        Means,
    ),
    (
        "CargoTestsFile.lib_only",
        &[(
            "command = [\"make\"]\n#job#",
            "command = { cargo_tests = { package = \"p\", lib_only = true } }",
        )],
        Means,
    ),
    ("IncusFile.image", &[("image = \"ci\"", "image = \"x\"")], Means),
    ("IncusFile.project", &[("image = \"ci\"", "image = \"ci\", project = \"x\"")], Means),
    ("IncusFile.profiles", &[("image = \"ci\"", "image = \"ci\", profiles = [\"x\"]")], Means),
    ("IncusFile.vm", &[("image = \"ci\"", "image = \"ci\", vm = true")], Means),
    ("IncusFile.privileged", &[("image = \"ci\"", "image = \"ci\", privileged = true")], Means),
    (
        "IncusFile.privileged",
        &[("image = \"ci\"", "image = \"ci\", privileged = true, vm = true")],
        Refused("invalid_combination"),
    ),
    ("IncusFile.user", &[("image = \"ci\"", "image = \"ci\", user = 1")], Means),
    (
        "IncusFile.user",
        &[(
            "command = [\"make\"]\n#job#",
            "runtime = { incus = { image = \"ci\", user = 1 } }\ncommand = { shell = \"x\", as_root = true }",
        )],
        Idle("`user` has no effect"),
    ),
    ("IncusFile.group", &[("image = \"ci\"", "image = \"ci\", group = 1")], Means),
    (
        "IncusFile.group",
        &[(
            "command = [\"make\"]\n#job#",
            "runtime = { incus = { image = \"ci\", group = 1 } }\ncommand = { shell = \"x\", as_root = true }",
        )],
        Idle("`group` has no effect"),
    ),
    ("IncusFile.cpu", &[("image = \"ci\"", "image = \"ci\", cpu = 1")], Means),
    ("IncusFile.memory_mib", &[("image = \"ci\"", "image = \"ci\", memory_mib = 1")], Means),
    ("IncusFile.processes", &[("image = \"ci\"", "image = \"ci\", processes = 1")], Means),
    ("IncusFile.disk_mib", &[("image = \"ci\"", "image = \"ci\", disk_mib = 1")], Means),
    (
        "IncusFile.cluster",
        &[("image = \"ci\"", "image = \"ci\", cluster = { member = \"m\" }")],
        Means,
    ),
    (
        "IncusFile.boot_timeout_secs",
        &[("image = \"ci\"", "image = \"ci\", boot_timeout_secs = 1")],
        Means,
    ),
    ("TartFile.image", &[("incus = { image = \"ci\"", "tart = { image = \"ci\"")], Means),
    ("TartFile.cpu", &[("incus = { image = \"ci\"", "tart = { image = \"ci\", cpu = 1")], Means),
    (
        "TartFile.memory_mib",
        &[("incus = { image = \"ci\"", "tart = { image = \"ci\", memory_mib = 1")],
        Means,
    ),
    (
        "TartFile.disk_gb",
        &[("incus = { image = \"ci\"", "tart = { image = \"ci\", disk_gb = 1")],
        Means,
    ),
    (
        "TartFile.boot_timeout_secs",
        &[("incus = { image = \"ci\"", "tart = { image = \"ci\", boot_timeout_secs = 1")],
        Means,
    ),
    ("PrepareFile.id", PREPARE, Means),
    ("PrepareFile.command", PREPARE, Means),
    ("PrepareFile.output", PREPARE, Means),
    ("PrepareFile.mount", PREPARE, Means),
    ("PrepareFile.description", PREPARE, Means),
    ("PrepareFile.timeout_secs", PREPARE, Means),
    (
        "PrepareFile.inputs",
        &[(
            "#job#",
            "prepare = [{ id = \"f\", command = [\"x\"], output = \"o\", mount = \"/o\", inputs = [] }]",
        )],
        Means,
    ),
    (
        "PrepareFile.inputs_exclude",
        &[(
            "#job#",
            "prepare = [{ id = \"f\", command = [\"x\"], output = \"o\", mount = \"/o\", inputs_exclude = [\"x\"] }]",
        )],
        Means,
    ),
    ("CacheFile.name", CACHE, Means),
    (
        "CacheFile.name",
        &[("#job#", "caches = [{ name = \"a b\", path = \"target\" }]")],
        Refused("bad_value"),
    ),
    (
        "CacheFile.name",
        &[("#job#", "caches = [{ name = \"a\", path = \"x\" }, { name = \"a\", path = \"y\" }]")],
        Refused("invalid_combination"),
    ),
    ("CacheFile.path", CACHE, Means),
    ("CacheFile.path", &[("#job#", "caches = [{ name = \"a\", path = \"/root/.npm\" }]")], Means),
    (
        "CacheFile.path",
        &[("#job#", "caches = [{ name = \"a\", path = \"../target\" }]")],
        Refused("bad_value"),
    ),
    (
        "CacheFile.path",
        &[("#job#", "caches = [{ name = \"a\", path = \".git/a\" }]")],
        Refused("invalid_combination"),
    ),
    (
        "CacheFile.path",
        &[("#host_job#", "caches = [{ name = \"a\", path = \"/root/.npm\" }]")],
        Refused("invalid_combination"),
    ),
    (
        "CacheFile.path",
        &[("#job#", "caches = [{ name = \"a\", path = \"x\" }, { name = \"b\", path = \"x/y\" }]")],
        Refused("invalid_combination"),
    ),
    ("CacheFile.key", CACHE, Means),
    ("CacheFile.fallback", CACHE, Means),
    ("CacheFile.max_mib", CACHE, Means),
    (
        "CacheFile.max_mib",
        &[("#job#", "caches = [{ name = \"a\", path = \"x\", max_mib = 0 }]")],
        Refused("invalid_combination"),
    ),
    ("CacheFile.save", CACHE, Means),
    (
        "CacheFile.save",
        &[("#job#", "caches = [{ name = \"a\", path = \"x\", save = \"failed\" }]")],
        Refused("bad_value"),
    ),
    ("CacheFile.exclusive", CACHE, Means),
    ("NeedTable.job", NEED, Means),
    ("NeedTable.files", NEED, Means),
    ("NeedTable.at", NEED, Means),
    ("HostSetupTable.shell", &[("#job#", "host_setup_command = { shell = \"make\" }")], Means),
    (
        "HostSetupTable.inputs",
        &[("#job#", "host_setup_command = { shell = \"make\", inputs = [\"src/**\"] }")],
        Means,
    ),
    (
        "HostSetupTable.inputs_exclude",
        &[("#job#", "host_setup_command = { shell = \"make\", inputs_exclude = [\"x\"] }")],
        Means,
    ),
    (
        "HostSetupTable.inputs",
        &[(
            "#job#",
            "inputs = [\"x\"]\nhost_setup_command = { shell = \"make\", inputs = [\"src/**\"] }",
        )],
        Refused("invalid_combination"),
    ),
    (
        "JobFile.inputs",
        &[("#job#", "inputs = [\"src/**\"]\ncheckout = \"clone\"")],
        Refused("invalid_combination"),
    ),
    (
        "StagedLinuxFile.inputs",
        &[(
            "#target#",
            "staged_linux = { inputs = [\"src/**\"], prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_deps\", output_name = \"b\", nix_installable = \".#b\" }] }",
        )],
        Means,
    ),
    (
        "StagedLinuxFile.inputs_exclude",
        &[(
            "#target#",
            "staged_linux = { inputs_exclude = [\"docs/**\"], prepare_node_prefix = \"p\", payloads = [{ role = \"workspace_deps\", output_name = \"b\", nix_installable = \".#b\" }] }",
        )],
        Means,
    ),
    (
        "PrepareFile.command",
        &[(
            "#job#",
            "prepare = [{ id = \"f\", command = { shell = \"x\", as_root = true }, output = \"o\", mount = \"/o\" }]",
        )],
        Refused("invalid_combination"),
    ),
];

const STAGED: &[(&str, &str)] = &[(
    "#target#",
    "staged_linux = { prepare_node_prefix = \"p\", payloads = [{ role = \"own\", output_name = \"b\", \
     nix_installable = \".#b\", mount = \"/own\" }] }",
)];

const NEED: &[(&str, &str)] = &[
    ("#host_job#", "artifacts = [\"dist/**\"]"),
    ("#job#", "needs = [{ job = \"host\", files = [\"dist/**\"], at = \"in\" }]"),
];

const CACHE: &[(&str, &str)] = &[(
    "#job#",
    "caches = [{ name = \"a\", path = \"target\", key = [\"Cargo.lock\"], fallback = true, \
     max_mib = 9, save = \"always\", exclusive = true }]",
)];

const PREPARE: &[(&str, &str)] = &[(
    "#job#",
    "prepare = [{ id = \"f\", description = \"d\", command = [\"x\"], output = \"o\", mount = \"/o\", \
     timeout_secs = 9 }]",
)];

/// Keys that bases, jobs and lanes' own commands share, each with a value that is no default.
const SETTINGS: &[(&str, &str)] = &[
    ("placement", "{ remote_ssh = { host = \"far\" } }"),
    ("runtime", "{ incus = { image = \"other\" } }"),
    ("timeout_secs", "7"),
    ("grace_secs", "7"),
    ("env", "{ A = \"1\" }"),
    ("secrets", "[\"TOKEN\"]"),
    ("writable_workspace", "true"),
    ("working_dir", "\"src\""),
    ("checkout", "\"clone\""),
    ("snapshot_profile", "\"small\""),
    ("mount_host_rust_toolchain", "true"),
    ("mount_host_xcode", "\"/Xcode\""),
    ("artifacts", "[\"out/**\"]"),
    ("retries", "2"),
    ("retry_on", "{ exit_codes = [75] }"),
    ("allow_failure", "true"),
    ("run_if", "\"always\""),
    ("reuse", "\"passed\""),
    ("reuse_with_secrets", "true"),
    ("key_commands", "[[\"rustc\", \"-Vv\"]]"),
    ("caches", "[{ name = \"a\", path = \"target\", key = [\"@rust\"] }]"),
    ("inputs", "[\"@rust\"]"),
    ("outputs", "[\"version\"]"),
    ("inputs_exclude", "[\"docs/**\"]"),
    ("inputs_from", "{ cargo = [\"app\"] }"),
    ("host_setup_command", "\"make setup\""),
    ("prepare", "[{ id = \"f\", command = [\"x\"], output = \"o\", mount = \"/o\" }]"),
];

fn tree(edits: &[(&str, &str)]) -> Tree {
    let mut manifest = MANIFEST.to_owned();
    let mut catalog = CATALOG.to_owned();
    let mut more = "#more#\n[[branch.lanes]]\nid = \"more\"\ncommand = [\"true\"]\n".to_owned();
    let mut jobs = "#jobs#\n[[targets]]\nid = \"included\"\njobs_from = [\"host\"]\n".to_owned();
    for (from, to) in edits {
        let mut found = false;
        for text in [&mut manifest, &mut catalog, &mut more, &mut jobs] {
            found |= text.contains(from);
            *text = text.replace(from, to);
        }
        assert!(found || from.is_empty(), "no file holds `{from}`");
    }
    Tree::new([
        ("ci/forge-lanes.toml", &manifest),
        ("ci/catalog.toml", &catalog),
        ("more/lanes.toml", &more),
        ("jobs/jobs.toml", &jobs),
    ])
}

/// What the files resolve to, without the places of things in them.
fn meaning(catalog: &Catalog) -> String {
    let text = format!(
        "{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
        catalog.lanes(),
        catalog.targets(),
        catalog.jobs(),
        catalog.prepares(),
        catalog.host_setups(),
        catalog.rules(),
        catalog.snapshot_profiles(),
        catalog.jobs().iter().map(|job| job.host_setup).collect::<Vec<_>>(),
    );
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Span {") {
        plain.push_str(&rest[..at]);
        let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
        rest = &rest[end..];
    }
    plain + rest
}

fn judge(key: &str, edits: &[(&str, &str)], expected: Outcome) {
    let with = tree(edits);
    match (expected, with.load()) {
        (Refused(code), Err(found)) => {
            let refusal = found.iter().find(|it| it.code.name == code);
            let refusal = refusal.unwrap_or_else(|| panic!("{key}: no `{code}` in\n{found}"));
            assert!(refusal.span.is_some(), "{key}: refused without a place");
        }
        (Refused(code), Ok(_)) => panic!("{key} is taken, `{code}` was expected: {edits:?}"),
        (_, Err(found)) => panic!("{key} is refused:\n{found}"),
        (Means, Ok(catalog)) => {
            let without = tree(&[]).load().expect("the files are good");
            assert_ne!(meaning(&catalog), meaning(&without), "{key} changes nothing: {edits:?}");
            assert_eq!(catalog.idle(), [], "{key}: {edits:?}");
        }
        (Idle(words), Ok(catalog)) => {
            let idle = catalog.idle();
            assert!(
                idle.iter().any(|it| it.message.contains(words) && !it.help.is_empty()),
                "{key}: {words} is not in {idle:?}"
            );
        }
    }
}

#[test]
fn each_key_means_something_is_refused_or_is_told_to_change_nothing() {
    for (key, edits, expected) in ROWS {
        judge(key, edits, *expected);
    }
}

#[test]
fn keys_that_bases_jobs_and_lanes_share_mean_the_same_in_all_of_them() {
    for (key, value) in SETTINGS {
        // What these mean, they mean together with others.
        let beside = match *key {
            "retry_on" => "\nretries = 1",
            "reuse_with_secrets" | "key_commands" => "\nreuse = \"passed\"",
            "mount_host_xcode" => "\nruntime = { tart = { image = \"x\" } }",
            "mount_host_rust_toolchain" => "\nruntime = { incus = { image = \"x\" } }",
            _ => "",
        };
        let text = format!("{key} = {value}{beside}");
        // A lane's own command has other defaults.
        let own = match *key {
            "writable_workspace" => "writable_workspace = false".to_owned(),
            "checkout" => "checkout = \"tree\"".to_owned(),
            "snapshot_profile" => format!("{text}\ncheckout = \"tree\""),
            _ => text.clone(),
        };
        judge(
            &format!("JobFile.{key}"),
            &[
                ("timeout_secs = 60\ncommand", "command"),
                ("#job#", &text),
                ("#host_job#", "timeout_secs = 1"),
            ],
            Means,
        );
        judge(&format!("LaneFile.{key}"), &[("#own#", &own)], Means);
        judge(&format!("LaneFile.{key}"), &[("#lane#", &text)], Refused("target_and_command"));
        let base = CATALOG.split("[bases.guest]\n").nth(1).and_then(|it| it.split("#base#").next());
        let base = base.expect("the base is there");
        let others = base.lines().filter(|line| {
            let name = |text: &str| text.split(" =").next().unwrap_or_default().to_owned();
            !text.lines().any(|own| name(own) == name(line))
        });
        let merged = others.map(|line| format!("{line}\n")).collect::<String>() + &text + "\n";
        judge(&format!("BaseFile.{key}"), &[(base, &merged)], Means);
    }
}

/// A key that the table does not have would be one that nobody asked about.
#[test]
fn the_table_has_every_key_of_the_schemas() {
    let mut known: BTreeSet<String> = ROWS.iter().map(|(key, ..)| (*key).to_owned()).collect();
    for table in ["JobFile", "BaseFile", "LaneFile"] {
        known.extend(SETTINGS.iter().map(|(key, _)| format!("{table}.{key}")));
    }
    for (of, root) in [(SchemaOf::Lanes, "Manifest"), (SchemaOf::Catalog, "CatalogFile")] {
        let schema = schema(of);
        let schema = schema.as_value();
        let none = serde_json::Map::new();
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value["properties"].as_object().unwrap_or(&none).keys().cloned().collect()
        };
        let mut all: Vec<String> = keys(schema).iter().map(|key| format!("{root}.{key}")).collect();
        for (table, value) in schema["$defs"].as_object().unwrap_or(&none) {
            all.extend(keys(value).iter().map(|key| format!("{table}.{key}")));
        }
        assert!(all.len() > 20, "the schema has its tables elsewhere: {all:?}");
        let missing: Vec<_> = all.into_iter().filter(|key| !known.contains(key)).collect();
        assert!(missing.is_empty(), "no row asks about {missing:?}");
    }
}
