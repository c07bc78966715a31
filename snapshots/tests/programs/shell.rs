//! A person's shell: a scratch directory, a home of its own, the built programs on `PATH`, and
//! nothing of this process's surroundings. Directory and exported variables last from one line to
//! the next.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// The directory that holds the programs: the one above the tests' own.
fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a program");
    let target = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_owned();
    for program in ["planner", "executor"] {
        let there = target.join(program).is_file();
        assert!(there, "`{program}` is not built: cargo build --workspace --bins");
    }
    target
}

/// The root of this repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace")
}

/// Where `scripts/bootstrap validators` puts programs of others, `needed` among them; nothing where it
/// did not run, which CI does not allow.
pub(crate) fn validators(needed: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let there = home.join(".cache/forge-lanes/validators");
    if there.join("complete").is_file() && there.join(needed).is_file() {
        return Some(there);
    }
    assert!(std::env::var_os("CI").is_none(), "no validators: scripts/bootstrap validators");
    None
}

/// How a line ended, and what a terminal would have shown of it.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) shown: String,
}

pub(crate) struct Shell {
    scratch: TempDir,
    environment: Vec<(String, String)>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        for name in ["home", "project"] {
            fs::create_dir(scratch.path().join(name)).expect("writable");
        }
        let shell = Self { environment: environment(scratch.path()), scratch };
        fs::write(shell.beside("directory"), shell.beside("project").to_str().expect("UTF-8"))
            .expect("writable");
        fs::write(shell.beside("exports"), "").expect("writable");
        shell
    }

    /// A path in the scratch directory, beside the project that the shell starts in.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Where the shell is now.
    pub(crate) fn directory(&self) -> PathBuf {
        fs::read_to_string(self.beside("directory")).expect("readable").trim_end().into()
    }

    /// Writes a file below the shell's directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.directory().join(path);
        fs::create_dir_all(path.parent().expect("a directory above")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    /// Runs a line, or several; both outputs in the order in which they were written.
    pub(crate) fn run(&self, line: &str) -> Ran {
        // `export -p` writes what a later `.` reads; a line that is not ended in two minutes hangs.
        let script = format!(
            "exec 2>&1\n. '{0}/exports'\ncd \"$(cat '{0}/directory')\" || exit 99\n{line}\n\
             code=$?\nexport -p >'{0}/exports'\npwd >'{0}/directory'\nexit $code\n",
            self.scratch.path().display(),
        );
        let output = Command::new("timeout")
            .args(["120", "sh", "-c", &script])
            .env_clear()
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .output()
            .expect("a shell starts");
        Ran { code: output.status.code(), shown: String::from_utf8(output.stdout).expect("UTF-8") }
    }

    /// Starts a program in the shell's directory, with its surroundings, and lets it go on.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        Command::new(programs().join(words[0]))
            .args(&words[1..])
            .current_dir(self.directory())
            .env_clear()
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts")
    }

    /// Runs a line that has to end well; returns what it showed.
    #[track_caller]
    pub(crate) fn does(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, Some(0), "$ {line}\n{}", ran.shown);
        ran.shown
    }
}

fn environment(scratch: &Path) -> Vec<(String, String)> {
    let date = "2026-01-01T00:00:00Z";
    let path = std::env::var("PATH").expect("there is a PATH");
    let mut all = vec![
        ("PATH".to_owned(), format!("{}:{path}", programs().display())),
        ("HOME".to_owned(), scratch.join("home").display().to_string()),
        ("USER".to_owned(), "you".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TZ".to_owned(), "UTC".to_owned()),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
        // What a new repository's branch is called must not depend on the machine.
        ("GIT_CONFIG_COUNT".to_owned(), "1".to_owned()),
        ("GIT_CONFIG_KEY_0".to_owned(), "init.defaultBranch".to_owned()),
        ("GIT_CONFIG_VALUE_0".to_owned(), "main".to_owned()),
        ("FORGE_LANES_SOURCES".to_owned(), root().display().to_string()),
    ];
    for who in ["AUTHOR", "COMMITTER"] {
        for (what, value) in [("NAME", "you"), ("EMAIL", "you@example.org"), ("DATE", date)] {
            all.push((format!("GIT_{who}_{what}"), value.to_owned()));
        }
    }
    all
}
