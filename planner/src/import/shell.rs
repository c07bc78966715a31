//! Steps of another engine as one script: each ran in a shell of its own there, so nothing that one
//! does to its shell reaches the next; one that may fail fails nothing, and one that runs after a
//! failure still does. Knows no engine.

use super::matrix;
use crate::init::shell::quoted;

/// One step.
#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    /// What people call it.
    pub(super) name: Option<String>,
    /// Where it starts.
    pub(super) dir: Option<String>,
    /// What it has in its environment.
    pub(super) env: Vec<(String, String)>,
    /// What it runs.
    pub(super) text: String,
    /// When it runs.
    pub(super) when: When,
    /// Its failure does not count.
    pub(super) tolerated: bool,
    /// Variables that are set from what it leaves in `$GITHUB_OUTPUT`, each with the name there.
    pub(super) reads: Vec<(String, String)>,
}

/// When a step runs, by how those before it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum When {
    #[default]
    Passed,
    Failed,
    Always,
}

/// Words after which a shell is not what it was, or has ended.
const CHANGES: [&str; 17] = [
    "cd", "pushd", "popd", "exit", "return", "set", "shopt", "unset", "export", "exec", "trap",
    "umask", "ulimit", "source", ".", "alias", "wait",
];

/// The first line of what a step runs where it is one of several.
const STRICT: &str = "set -e\n";

/// Steps as the lines of a script that has said `set -e`; `known` are the names of the matrix whose
/// values they read.
pub(super) fn script(steps: &[Step], known: &[String]) -> String {
    let mut out = String::new();
    let after_failure = steps.iter().any(|step| step.when != When::Passed);
    if steps.iter().any(Step::leaves) {
        out.push_str(OUTPUT);
    }
    if after_failure {
        out.push_str(
            "# Steps run after a failure, too: the first one is this job's.\nfailed=0\nset +e\n",
        );
    }
    for step in steps {
        if let Some(name) = &step.name {
            out.extend(["# ", &name.replace('\n', " "), "\n"]);
        }
        if step.leaves() {
            out.push_str(": >\"$GITHUB_OUTPUT\"\n");
        }
        let body = step.body(known);
        let own = ["(\n", STRICT, &body, ")\n"].concat();
        match (after_failure, step.when) {
            (true, When::Passed) => {
                let told = if step.tolerated { "" } else { "failed=$?\n" };
                out.extend(["if [ \"$failed\" = 0 ]; then\n", &own, told, "fi\n"]);
            }
            (true, when) => {
                let open =
                    if when == When::Failed { "if [ \"$failed\" != 0 ]; then\n" } else { "" };
                let told = "code=$?\n[ \"$failed\" != 0 ] || failed=$code\n";
                let told = if step.tolerated || when == When::Failed { "" } else { told };
                let close = if when == When::Failed { "fi\n" } else { "" };
                out.extend([open, &own, told, close]);
            }
            (false, _) if step.tolerated => out.extend(["set +e\n", &own, "set -e\n"]),
            (false, _) if step.is_open() || steps.len() > 1 && step.changes_its_shell() => {
                out.extend(["(\n", &body, ")\n"]);
            }
            (false, _) => out.push_str(&body),
        }
        for (variable, name) in &step.reads {
            out.extend([variable, "=$(output_of ", &quoted(name), ")\n"]);
        }
    }
    out
}

/// The last lines of a script of [`script`], behind everything else.
pub(super) fn end(steps: &[Step]) -> &'static str {
    let after_failure = steps.iter().any(|step| step.when != When::Passed);
    if after_failure { "exit \"$failed\"\n" } else { "" }
}

impl Step {
    fn body(&self, known: &[String]) -> String {
        let read = |text: &str| matrix::script(text, known);
        let mut body = String::new();
        if let Some(dir) = &self.dir {
            body.extend(["cd ", &read(&quoted(dir)), "\n"]);
        }
        for (name, value) in &self.env {
            body.extend(["export ", name, "=", &read(&quoted(value)), "\n"]);
        }
        body.push_str(&read(self.text.trim_end()));
        body.push('\n');
        body
    }

    fn is_open(&self) -> bool {
        self.dir.is_some() || !self.env.is_empty()
    }

    /// Whether a later step would notice that it ran in the same shell.
    fn changes_its_shell(&self) -> bool {
        let breaks = |c: char| c.is_whitespace() || ";&|(){}`".contains(c);
        self.text.split(breaks).any(|word| CHANGES.contains(&word))
    }

    /// Whether it writes where values for others are read.
    fn leaves(&self) -> bool {
        !self.reads.is_empty() || self.text.contains("GITHUB_OUTPUT")
    }
}

/// Reads what a step leaves, in both forms that GitHub documents: `NAME=VALUE`, and `NAME<<END` with
/// lines up to one that is `END`. Of several values of a name the last one holds.
const OUTPUT: &str = r#"GITHUB_OUTPUT=$(mktemp)
export GITHUB_OUTPUT
output_of() {
  awk -v wanted="$1" '
    end != "" && $0 == end { if (name == wanted) found = text; end = ""; next }
    end != "" { text = text (lines++ ? "\n" : "") $0; next }
    { equals = index($0, "="); here = index($0, "<<") }
    here && (!equals || here < equals) {
      name = substr($0, 1, here - 1); end = substr($0, here + 2); text = ""; lines = 0; next
    }
    equals && substr($0, 1, equals - 1) == wanted { found = substr($0, equals + 1) }
    END { printf "%s", found }
  ' "$GITHUB_OUTPUT"
}
"#;
