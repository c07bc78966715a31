//! An oracle for reuse: on random histories and catalogs the verdicts of a run with it are those of a run without.
//!
//! Every job here is a function of what it sees: it fails or passes, and says and leaves what it does, by a checksum
//! over its files, its environment and what it takes of other jobs. `FORGE_LANES_ORACLE=N` tries N histories.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use crate::shell::Shell;

/// Numbers that look random, all of them from one.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = self.below(words.len() as u64);
        words[usize::try_from(at).expect("small")]
    }
}

const FILES: [&str; 8] =
    ["a/one", "a/two", "a/deep/one", "b/one", "b/x.md", "c/one", "top", "n.md"];

const GLOBS: [&str; 8] = ["a/**", "a/*", "**/one", "b/**", "c/one", "**/*.md", "top", "*"];

/// A checksum over everything that the job sees; it fails for one in five.
const JOB: &str = "sum=$( { find . -path ./.git -prune -o \\( -type f -o -type l \\) -exec ls -l {} + \
    | awk \"{ print substr(\\$1, 1, 4), \\$NF }\" | sort; \
    find . -path ./.git -prune -o -type f -print | sort | xargs cat; echo \"$WORD $TAKEN\"; } | cksum); \
    echo \"saw $sum\"; mkdir -p \"$ARTIFACTS_DIR/out\"; echo \"$sum\" >\"$ARTIFACTS_DIR/out/sum\"; \
    echo \"sum=${sum%% *}\" >>\"$FORGE_LANES_OUTPUT\"; set -- $sum; [ $(($1 % 5)) -ne 0 ]";

fn catalog(random: &mut Random) -> String {
    let mut text = "version = 1\n[bases.here]\nplacement = \"local\"\nruntime = \"host_process\"\n\
                    timeout_secs = 60\nreuse = \"passed\"\n[[targets]]\nid = \"t\"\n"
        .to_owned();
    for number in 0..2 + random.below(4) {
        let inputs: Vec<String> =
            (0..1 + random.below(3)).map(|_| format!("\"{}\"", random.of(&GLOBS))).collect();
        let _ = write!(text, "\n[[targets.jobs]]\nid = \"j{number}\"\nbase = \"here\"\n");
        let _ = writeln!(text, "command = {{ shell = '''{JOB}''' }}\nartifacts = [\"out/*\"]");
        let _ = writeln!(text, "outputs = [\"sum\"]");
        if !random.one_in(5) {
            let _ = writeln!(text, "inputs = [{}]", inputs.join(", "));
            if random.one_in(3) {
                let _ = writeln!(text, "inputs_exclude = [\"{}\"]", random.of(&GLOBS));
            }
        }
        if random.one_in(2) {
            text.push_str("writable_workspace = true\n");
        }
        if random.one_in(4) {
            text.push_str("reuse = \"passed_with_retries\"\nretries = 1\n");
        }
        if random.one_in(5) {
            let _ = writeln!(
                text,
                "matrix = {{ word = [\"x\", \"y\"] }}\nenv = {{ WORD = \"${{{{ matrix.word }}}}\" }}"
            );
        } else {
            let _ = writeln!(text, "env = {{ WORD = \"{}\" }}", random.below(3));
        }
        if number > 0 && random.one_in(2) {
            let other = random.below(number);
            let files = random.one_in(2);
            let what = if files { ", files = [\"out/*\"], at = \"taken\"" } else { "" };
            let _ = writeln!(text, "needs = [{{ job = \"j{other}\"{what} }}]");
        }
    }
    text
}

/// Changes something, or goes back to what was before.
fn edit(shell: &Shell, random: &mut Random, step: u64) {
    if step > 1 && random.one_in(4) {
        // What was kept then may be of use again.
        let back = 1 + random.below(step - 1);
        shell.does(&format!("git read-tree -u --reset HEAD~{back}"));
    } else {
        for _ in 0..1 + random.below(2) {
            let path = random.of(&FILES);
            let other = random.of(&FILES);
            shell.does(&match random.below(8) {
                0 => format!("rm -f {path}"),
                1 => format!(
                    "mkdir -p $(dirname {path}); [ ! -L {path} ] || rm {path}; touch {path} && chmod +x {path}"
                ),
                2 => format!("mkdir -p $(dirname {path}) && rm -f {path} && ln -s one {path}"),
                3 => format!("[ ! -e {path} ] || {{ mkdir -p $(dirname {other}); mv -f {path} {other}; }} || :"),
                4 => "touch a/one b/one 2>/dev/null; true".to_owned(),
                _ => {
                    let text = random.below(3);
                    format!("mkdir -p $(dirname {path}) && rm -f {path} && echo {text} >{path}")
                }
            });
        }
        if random.one_in(5) {
            shell.write("ci/catalog.toml", &catalog(random));
        }
    }
    shell.does("git add -A && git commit -q --allow-empty -m step");
}

/// What each node came to: its outcome, what it said, what it left.
fn verdicts(shell: &Shell, state: &str) -> (BTreeMap<String, [String; 3]>, usize) {
    let record = shell.does(&format!("executor --state-dir ../{state} status --json"));
    let record: Value = serde_json::from_str(&record).expect("a record");
    let run = record["run_id"].as_str().expect("an id");
    let mut reused = 0;
    let nodes = record["nodes"].as_array().expect("nodes").iter().map(|node| {
        reused += usize::from(node["reused"].is_object());
        let id = node["id"].as_str().expect("an id").to_owned();
        let dir = shell.beside(state).join("runs").join(run).join("nodes").join(&id);
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let outcome = format!("{} {}", node["outcome"], node["outputs"]);
        (id, [outcome, read("guest.log"), read("artifacts/out/sum")])
    });
    (nodes.collect(), reused)
}

/// Returns how many nodes were compared, and how many of them were reused.
fn history(seed: u64) -> (usize, usize) {
    let mut random = Random(seed);
    let shell = Shell::new();
    shell.write(
        "ci/forge-lanes.toml",
        "version = 1\n[[branch.lanes]]\nid = \"l\"\ntarget = \"t\"\npaths = [\"**\"]\n",
    );
    shell.write("ci/catalog.toml", &catalog(&mut random));
    for path in FILES {
        shell.write(path, &format!("{}\n", random.below(3)));
    }
    shell.does("git init -q && git add -A && git commit -qm first");
    let (mut all, mut spared) = (0, 0);
    for step in 0..6 {
        if step > 0 {
            edit(&shell, &mut random, step);
        }
        let planned = shell.run("planner plan --all -o ../plan.json");
        if planned.code != Some(0) {
            // A glob that is of no use in this tree is refused: then there is nothing to compare.
            assert_eq!(planned.code, Some(2), "seed {seed}, step {step}: {}", planned.shown);
            continue;
        }
        let with = shell.run("executor --state-dir ../with apply ../plan.json");
        let without = shell.run("executor --state-dir ../without apply ../plan.json --reuse off");
        assert_eq!(
            with.code, without.code,
            "seed {seed}, step {step}\n{}\n{}",
            with.shown, without.shown
        );
        assert!(matches!(with.code, Some(0 | 1)), "seed {seed}, step {step}: {}", with.shown);
        let (found, reused) = verdicts(&shell, "with");
        let (expected, none) = verdicts(&shell, "without");
        assert_eq!(none, 0);
        assert_eq!(found, expected, "seed {seed}, step {step}\n{}\n{}", with.shown, without.shown);
        all += found.len();
        spared += reused;
    }
    (all, spared)
}

#[test]
#[expect(clippy::print_stderr, reason = "a larger one is run for its figures")]
fn verdicts_with_reuse_are_those_without() {
    let asked = std::env::var("FORGE_LANES_ORACLE").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("FORGE_LANES_ORACLE_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or(1);
    let (mut all, mut spared) = (0, 0);
    for number in 0..asked.unwrap_or(3u64) {
        let (nodes, reused) = history(seed * 1_000_000 + number);
        all += nodes;
        spared += reused;
    }
    eprintln!("{all} nodes compared, {spared} of them reused");
    assert!(spared > 0, "of {all} none was reused");
}
