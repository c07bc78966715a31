//! Repositories with large lock files, for `scripts/bench/planner`.
//!
//! `lock_repository FORMAT [ENTRIES]` prints a stream for `git fast-import`: the branch `main`, a
//! workspace of two packages with a lane for each; `words`, which changes a file that no lane is
//! about; `one` and `hundred`, which change the version of so many entries; and `all`, which changes
//! every checksum. The same arguments give the same objects.

#![expect(clippy::print_stdout, reason = "it prints a stream")]

use std::fmt::Write as _;

/// What differs from `main`.
#[derive(Clone, Copy)]
struct Change {
    /// Entries whose version differs, evenly spread.
    versions: usize,
    /// Every checksum differs.
    checksums: bool,
}

struct Format {
    name: &'static str,
    /// The key of `inputs`.
    kind: &'static str,
    lock: &'static str,
    files: &'static [(&'static str, &'static str)],
    write: fn(&Entries) -> String,
}

struct Entries {
    count: usize,
    change: Change,
}

const NPM: &[(&str, &str)] = &[
    (
        "package.json",
        "{ \"name\": \"root\", \"private\": true, \"workspaces\": [\"app\", \"tool\"] }",
    ),
    ("app/package.json", "{ \"name\": \"app\", \"dependencies\": { \"package-0\": \"^1.0.0\" } }"),
    ("tool/package.json", "{ \"name\": \"tool\" }"),
];
const FORMATS: [Format; 6] = [
    Format {
        name: "cargo",
        kind: "cargo",
        lock: "Cargo.lock",
        files: &[
            ("Cargo.toml", "[workspace]\nmembers = [\"app\", \"tool\"]\n"),
            ("app/Cargo.toml", "[package]\nname = \"app\"\n[dependencies]\npackage-0 = \"1\"\n"),
            ("tool/Cargo.toml", "[package]\nname = \"tool\"\n"),
        ],
        write: cargo,
    },
    Format { name: "npm", kind: "npm", lock: "package-lock.json", files: NPM, write: npm },
    Format {
        name: "pnpm",
        kind: "npm",
        lock: "pnpm-lock.yaml",
        files: &[NPM[0], NPM[1], NPM[2], ("pnpm-workspace.yaml", "packages: [app, tool]\n")],
        write: pnpm,
    },
    Format { name: "yarn-1", kind: "npm", lock: "yarn.lock", files: NPM, write: yarn_1 },
    Format { name: "yarn", kind: "npm", lock: "yarn.lock", files: NPM, write: yarn },
    Format {
        name: "uv",
        kind: "uv",
        lock: "uv.lock",
        files: &[
            (
                "pyproject.toml",
                "[project]\nname = \"root\"\n[tool.uv.workspace]\nmembers = [\"app\", \"tool\"]\n",
            ),
            ("app/pyproject.toml", "[project]\nname = \"app\"\ndependencies = [\"package-0\"]\n"),
            ("tool/pyproject.toml", "[project]\nname = \"tool\"\n"),
        ],
        write: uv,
    },
];

fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(5000);
    let Some(format) = FORMATS.iter().find(|format| format.name == name) else {
        let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        println!("a format is one of {}", names.join(", "));
        std::process::exit(2);
    };
    let lane = |id: &str| {
        format!(
            "[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\ninputs = {{ {} = [\"{id}\"] }}\n",
            format.kind
        )
    };
    commit("main", None);
    file("ci/forge-lanes.toml", &["version = 1\n", &lane("app"), &lane("tool")].concat());
    for (path, text) in format.files {
        file(path, text);
    }
    let lock = |versions, checksums| {
        (format.write)(&Entries { count, change: Change { versions, checksums } })
    };
    file(format.lock, &lock(0, false));
    commit("words", Some("main"));
    file("README.md", "words\n");
    for (branch, versions, checksums) in
        [("one", 1, false), ("hundred", 100, false), ("all", 0, true)]
    {
        commit(branch, Some("main"));
        file(format.lock, &lock(versions, checksums));
    }
}

fn commit(branch: &str, parent: Option<&str>) {
    println!("commit refs/heads/{branch}\ncommitter b <b@example.com> 1700000000 +0000\ndata 0");
    if let Some(parent) = parent {
        println!("from refs/heads/{parent}");
    }
}

fn file(path: &str, text: &str) {
    println!("M 100644 inline {path}\ndata {}\n{text}", text.len());
}

impl Entries {
    fn version(&self, at: usize) -> String {
        let step = self.count / self.change.versions.max(1);
        let other = self.change.versions > 0 && at % step == step / 2;
        format!("1.{}.{}", at % 30, if other { 1 } else { 0 })
    }

    /// What an entry depends on: a tree with some further edges, as deep as real ones are.
    fn below(&self, at: usize) -> impl Iterator<Item = usize> {
        let count = self.count;
        let mut below = vec![at * 3 + 1, at * 3 + 2, at * 3 + 3, at + 1 + at % 7];
        below.retain(|&it| it < count);
        below.sort_unstable();
        below.dedup();
        below.into_iter()
    }

    /// As many hexadecimal digits, another text for each entry.
    fn digits(&self, at: usize, length: usize) -> String {
        let mut digits = String::new();
        let mut state = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if self.change.checksums {
            state ^= 0xffff;
        }
        while digits.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let _ = write!(digits, "{:016x}", state ^ (state >> 29));
        }
        digits.truncate(length);
        digits
    }
}

/// The text, if there is anything to stand below it.
fn listed(head: &str, items: &str, tail: &str) -> String {
    if items.is_empty() { String::new() } else { [head, items, tail].concat() }
}

fn cargo(all: &Entries) -> String {
    let mut text = "version = 4\n".to_owned();
    text += "\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"package-0\",\n]\n";
    for at in 0..all.count {
        let below: String = all.below(at).map(|it| format!(" \"package-{it}\",\n")).collect();
        let _ = write!(
            text,
            "\n[[package]]\nname = \"package-{at}\"\nversion = \"{}\"\n\
             source = \"registry+https://registry.example/index\"\nchecksum = \"{}\"\n{}",
            all.version(at),
            all.digits(at, 64),
            listed("dependencies = [\n", &below, "]\n")
        );
    }
    text + "\n[[package]]\nname = \"tool\"\nversion = \"0.1.0\"\n"
}

fn npm(all: &Entries) -> String {
    let mut text = "{\n  \"name\": \"root\",\n  \"lockfileVersion\": 3,\n  \"requires\": true,\n  \"packages\": {\n    \
                    \"\": {\n      \"name\": \"root\",\n      \"workspaces\": [\"app\", \"tool\"]\n    },\n    \
                    \"app\": {\n      \"dependencies\": {\n        \"package-0\": \"^1.0.0\"\n      }\n    },\n    \
                    \"tool\": {},\n    \
                    \"node_modules/app\": {\n      \"resolved\": \"app\",\n      \"link\": true\n    },\n    \
                    \"node_modules/tool\": {\n      \"resolved\": \"tool\",\n      \"link\": true\n    }"
        .to_owned();
    for at in 0..all.count {
        let below: Vec<String> =
            all.below(at).map(|it| format!("        \"package-{it}\": \"^1.0.0\"")).collect();
        let version = all.version(at);
        let _ = write!(
            text,
            ",\n    \"node_modules/package-{at}\": {{\n      \"version\": \"{version}\",\n      \
             \"resolved\": \"https://registry.example/package-{at}/-/package-{at}-{version}.tgz\",\n      \
             \"integrity\": \"sha512-{}==\",\n      \"license\": \"MIT\",\n{}      \
             \"engines\": {{\n        \"node\": \">=18\"\n      }}\n    }}",
            all.digits(at, 86),
            listed("      \"dependencies\": {\n", &below.join(",\n"), "\n      },\n")
        );
    }
    text + "\n  }\n}\n"
}

fn pnpm(all: &Entries) -> String {
    let mut text = format!(
        "lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n  excludeLinksFromLockfile: false\n\n\
         importers:\n\n  .: {{}}\n\n  app:\n    dependencies:\n      package-0:\n        specifier: ^1.0.0\n        \
         version: {}\n\n  tool: {{}}\n\npackages:\n",
        all.version(0)
    );
    for at in 0..all.count {
        let _ = write!(
            text,
            "\n  package-{at}@{}:\n    resolution: {{integrity: sha512-{}==}}\n    engines: {{node: '>=18'}}\n",
            all.version(at),
            all.digits(at, 86)
        );
    }
    text += "\nsnapshots:\n";
    for at in 0..all.count {
        let below: String =
            all.below(at).map(|it| format!("      package-{it}: {}\n", all.version(it))).collect();
        let version = all.version(at);
        if below.is_empty() {
            let _ = write!(text, "\n  package-{at}@{version}: {{}}\n");
        } else {
            let _ = write!(text, "\n  package-{at}@{version}:\n    dependencies:\n{below}");
        }
    }
    text
}

fn yarn_1(all: &Entries) -> String {
    let mut text = "# yarn lockfile v1\n\n".to_owned();
    for at in 0..all.count {
        let below: String =
            all.below(at).map(|it| format!("    package-{it} \"^1.0.0\"\n")).collect();
        let version = all.version(at);
        let _ = write!(
            text,
            "\npackage-{at}@^1.0.0:\n  version \"{version}\"\n  \
             resolved \"https://registry.example/package-{at}/-/package-{at}-{version}.tgz#{}\"\n  \
             integrity sha512-{}==\n{}",
            all.digits(at, 40),
            all.digits(at, 86),
            listed("  dependencies:\n", &below, "")
        );
    }
    text
}

fn yarn(all: &Entries) -> String {
    let member = |name: &str, below: &str| {
        format!(
            "\"{name}@workspace:{name}\":\n  version: 0.0.0-use.local\n  resolution: \"{name}@workspace:{name}\"\n\
             {below}  languageName: unknown\n  linkType: soft\n\n"
        )
    };
    let mut text = "__metadata:\n  version: 8\n  cacheKey: 10c0\n\n".to_owned();
    text += &member("app", "  dependencies:\n    package-0: \"npm:^1.0.0\"\n");
    for at in 0..all.count {
        let below: String =
            all.below(at).map(|it| format!("    package-{it}: \"npm:^1.0.0\"\n")).collect();
        let version = all.version(at);
        let _ = write!(
            text,
            "\"package-{at}@npm:^1.0.0\":\n  version: {version}\n  resolution: \"package-{at}@npm:{version}\"\n{}  \
             checksum: 10c0/{}\n  languageName: node\n  linkType: hard\n\n",
            listed("  dependencies:\n", &below, ""),
            all.digits(at, 128)
        );
    }
    text + &member("tool", "")
}

fn uv(all: &Entries) -> String {
    let mut text = "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[manifest]\nmembers = [\"app\", \"root\", \"tool\"]\n"
        .to_owned();
    text += "\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\nsource = { editable = \"app\" }\n\
             dependencies = [\n    { name = \"package-0\" },\n]\n";
    for at in 0..all.count {
        let below: String =
            all.below(at).map(|it| format!("    {{ name = \"package-{it}\" }},\n")).collect();
        let version = all.version(at);
        let file = |kind: &str, length: usize| {
            format!(
                "{{ url = \"https://files.example/{}/package_{at}-{version}{kind}\", hash = \"sha256:{}\", size = {length} }}",
                all.digits(at, 60),
                all.digits(at, 64)
            )
        };
        let _ = write!(
            text,
            "\n[[package]]\nname = \"package-{at}\"\nversion = \"{version}\"\n\
             source = {{ registry = \"https://index.example/simple\" }}\n{}sdist = {}\nwheels = [\n    {},\n]\n",
            listed("dependencies = [\n", &below, "]\n"),
            file(".tar.gz", 100),
            file("-py3-none-any.whl", 90)
        );
    }
    text + "\n[[package]]\nname = \"tool\"\nversion = \"0.1.0\"\nsource = { virtual = \"tool\" }\n"
}
