//! `planner init` in real projects: what it writes passes `planner check`, and its first plan runs
//! with the tools of this machine. Where a tool is missing, the plan is made and that is said.

use std::io::Write as _;

use crate::shell::Shell;

/// A project: its files, the tools that its jobs call, and a word that their output holds.
struct Kind {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    before: &'static str,
    tools: &'static [&'static str],
    jobs: &'static [&'static str],
    says: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "a Cargo workspace",
        files: &[
            ("Cargo.toml", "[workspace]\nmembers = [\"app\", \"lib\"]\nresolver = \"2\"\n"),
            (
                "app/Cargo.toml",
                "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nlib = { path = \"../lib\" }\n",
            ),
            ("app/src/lib.rs", "#[test]\nfn it_adds() { assert_eq!(lib::two(), 2); }\n"),
            (
                "lib/Cargo.toml",
                "[package]\nname = \"lib\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
            ),
            ("lib/src/lib.rs", "pub fn two() -> u8 { 2 }\n"),
            (".gitignore", "target\n"),
        ],
        before: "cargo generate-lockfile --offline",
        tools: &["cargo"],
        jobs: &["rust-app-tests", "rust-lib-tests"],
        says: "test it_adds ... ok",
    },
    Kind {
        name: "npm scripts",
        files: &[
            (
                "package.json",
                "{ \"name\": \"a\", \"version\": \"1.0.0\", \"scripts\": { \"test\": \"node test.js\", \"lint\": \"node --check test.js\", \"start\": \"node\" } }\n",
            ),
            ("test.js", "console.log('it ' + 'adds')\n"),
        ],
        before: "true",
        tools: &["npm"],
        jobs: &["node-lint", "node-test"],
        says: "it adds",
    },
    Kind {
        name: "Python with unittest",
        files: &[
            ("requirements.txt", ""),
            ("adder.py", "def two():\n    return 2\n"),
            (
                "tests/test_adder.py",
                "import sys, unittest\nsys.path.insert(0, '.')\nimport adder\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(adder.two(), 2)\n",
            ),
        ],
        // Without anything to install nothing is asked of a network.
        before: "rm requirements.txt && echo '[tool.x]' > pyproject.toml",
        tools: &["python3"],
        jobs: &["python-tests"],
        says: "Ran 1 test",
    },
    Kind {
        name: "a Go module",
        files: &[
            ("go.mod", "module example.org/a\n\ngo 1.18\n"),
            ("a.go", "package a\n\nfunc Two() int { return 2 }\n"),
            (
                "a_test.go",
                "package a\n\nimport \"testing\"\n\nfunc TestTwo(t *testing.T) {\n\tif Two() != 2 {\n\t\tt.Fatal(1)\n\t}\n}\n",
            ),
        ],
        before: "true",
        tools: &["go"],
        jobs: &["go-vet", "go-tests"],
        says: "ok",
    },
    Kind {
        name: "a Go workspace, whose jobs see their modules alone",
        files: &[
            ("go.work", "go 1.18\n\nuse (\n\t./a\n\t./b\n\t./c\n)\n"),
            ("a/go.mod", "module example.org/a\n\ngo 1.18\n\nrequire example.org/b v0.0.0\n"),
            (
                "a/a.go",
                "package a\n\nimport \"example.org/b\"\n\nfunc Two() int { return b.Two() }\n",
            ),
            (
                "a/a_test.go",
                "package a\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nconst up = \".\" + \"./\"\n\nfunc TestTwo(t *testing.T) {\n\tif Two() != 2 {\n\t\tt.Fatal(1)\n\t}\n\tif _, err := os.Stat(up + \"c/c.go\"); err == nil {\n\t\tt.Fatal(2)\n\t}\n}\n",
            ),
            ("b/go.mod", "module example.org/b\n\ngo 1.18\n"),
            ("b/b.go", "package b\n\nfunc Two() int { return 2 }\n"),
            ("c/go.mod", "module example.org/c\n\ngo 1.18\n"),
            ("c/c.go", "package c\n\n// See ../a.\nconst Other = \"../a\"\n"),
        ],
        before: "true",
        tools: &["go"],
        jobs: &["go-a-vet", "go-a-tests", "go-b-tests", "go-c-tests"],
        says: "ok",
    },
    Kind {
        name: "a Makefile",
        files: &[("Makefile", "test:\n\t@echo it adds\nlint:\n\t@true\n")],
        before: "true",
        tools: &["make"],
        jobs: &["make-lint", "make-test"],
        says: "it adds",
    },
    Kind {
        name: "a justfile",
        files: &[("justfile", "check:\n    @echo it adds\n")],
        before: "true",
        tools: &["just"],
        jobs: &["just-check"],
        says: "it adds",
    },
];

#[test]
fn what_init_writes_checks_and_its_first_plan_runs() {
    for kind in KINDS {
        let shell = Shell::new();
        // Tools that keep their toolchains in the home of whoever installed them.
        for name in ["CARGO_HOME", "RUSTUP_HOME"] {
            let default = name.split('_').next().map(str::to_lowercase).unwrap_or_default();
            let home = std::env::var("HOME").unwrap_or_default();
            let value = std::env::var(name).unwrap_or_else(|_| format!("{home}/.{default}"));
            shell.does(&format!("export {name}='{value}'"));
        }
        shell.does("mkdir -p ~/.config/forge-lanes && printf 'version = 1\\npass_env = [\"CARGO_HOME\", \"RUSTUP_HOME\"]\\n' > ~/.config/forge-lanes/executor.toml");
        for (path, text) in kind.files {
            shell.write(path, text);
        }
        let missing = kind
            .tools
            .iter()
            .find(|tool| shell.run(&format!("{tool} --version || {tool} version")).code != Some(0));
        shell.does("git init -q");
        if missing.is_none() {
            shell.does(kind.before);
        }
        shell.does("planner init");
        let checked = shell.run("planner check");
        assert_eq!(checked.code, Some(0), "{}: {}", kind.name, checked.shown);
        // A second time it touches nothing.
        shell.does("cp -r ci ../ci");
        assert_eq!(shell.run("planner init").code, Some(2), "{}", kind.name);
        shell.does("diff -r ci ../ci && git add -A && git commit -qm first");
        let plan = shell.does("planner plan --all -o ../plan.json && planner show ../plan.json");
        for job in kind.jobs {
            assert!(plan.contains(&format!("execute-{job}")), "{}: no {job} in {plan}", kind.name);
        }
        if let Some(tool) = missing {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {} is planned, not run: no {tool}",
                kind.name
            );
            continue;
        }
        let ran = shell.run("executor apply ../plan.json");
        assert_eq!(ran.code, Some(0), "{}: {}", kind.name, ran.shown);
        let logs = shell.does("executor logs");
        assert!(logs.contains(kind.says), "{}: {logs}", kind.name);
    }
}
