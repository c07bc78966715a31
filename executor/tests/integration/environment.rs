//! What a job starts with, and how its end is told: the table of `docs/job-environment.md`, in every pair of
//! placement and runtime.

use std::{collections::BTreeMap, process::Command};

use crate::pairs::{Pair, in_all_pairs};

in_all_pairs! {
    a_job_starts_with_what_the_page_says => super::check;
}

/// Prints what its first process started with, a line `WHAT: VALUE` for each row of the table. For POSIX sh.
const PROBE: &str = r#"
umask=$(umask)
set -- $(sed 's/.*) //' /proc/$$/stat)
group=$3 tty=$5
signals() {
    mask=$(sed -n "s/^$1:[[:space:]]*//p" /proc/self/status)
    # 32 and 33 are the C library's own, and no program's: glibc ignores them in what posix_spawn starts.
    mask=$((0x$mask & ~0x180000000))
    [ $mask = 0 ] && echo none || printf '%x\n' $mask
}
as_its_parent() { [ "$1" = "$2" ] && echo inherited || echo "$1, not $2"; }
nice_of() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 17; }
open=
for fd in /proc/$$/fd/*; do
    # The list itself was read through a descriptor, which is gone.
    [ -L "$fd" ] || continue
    case ${fd##*/} in 0 | 1 | 2) ;; *) open="$open${fd##*/}:$(readlink "$fd") " ;; esac
done
echo "blocked signals: $(signals SigBlk)"
echo "ignored signals: $(signals SigIgn)"
[ "$group" = $$ ] && echo 'process group: its own' || echo "process group: $group of $$"
{ [ "$tty" = 0 ] && ! (: </dev/tty) 2>/dev/null && echo 'controlling terminal: none'; } || echo "controlling terminal: $tty"
echo "standard input: $(readlink /proc/$$/fd/0)"
[ /proc/$$/fd/1 -ef /proc/$$/fd/2 ] && echo 'standard output and error: one stream' || echo 'standard output and error: two'
echo "other open files: ${open:-none}"
echo "umask: $umask"
echo "niceness: $(as_its_parent "$(nice_of $$)" "$(nice_of $PPID)")"
echo "resource limits: $(as_its_parent "$(cat /proc/$$/limits)" "$(cat /proc/$PPID/limits)")"
"#;

/// How jobs end that decide it themselves: by a code, by a signal.
const ENDS: [(&str, &str, Option<i64>, Option<i64>); 4] = [
    ("execute-exit-137", "exit 137", Some(137), None),
    ("execute-exit-130", "exit 130", Some(130), None),
    ("execute-kill", "kill -KILL $$", None, Some(9)),
    ("execute-int", "kill -INT $$; echo alive", None, Some(2)),
];

/// The table of the page: what, and its value.
fn table() -> BTreeMap<String, String> {
    let page = include_str!("../../../docs/job-environment.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (what, value) = (cells.next()?, cells.next()?);
        Some((what.to_owned(), value.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
    });
    rows.collect()
}

/// Runs the probe and the ends in one pair.
fn check(pair: &Pair) {
    let world = pair.world();
    let mut nodes = vec![pair.node("execute-probe", PROBE)];
    nodes.extend(ENDS.iter().map(|(id, script, ..)| pair.node(id, script)));
    let plan = world.plan(nodes);
    let executor = pair.command(&["apply", &plan, "--jobs", "2"]);
    // Whoever starts it may have left anything behind.
    let mut spoiled = Command::new("sh");
    spoiled.args([
        "-c",
        "umask 077; exec 7</dev/null 9>/dev/null
         exec env --ignore-signal=INT,QUIT,HUP,PIPE,USR1,TSTP --block-signal=USR2,ALRM,TERM nice -n 1 \"$@\"",
        "sh",
    ]);
    spoiled.arg(executor.get_program()).args(executor.get_args()).env_clear();
    spoiled.current_dir(executor.get_current_dir().expect("a directory"));
    spoiled.envs(executor.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = spoiled.output().expect("sh starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");

    let run = world.runs().pop().expect("a run");
    let log = std::fs::read_to_string(run.join("nodes/execute-probe/guest.log")).expect("a log");
    let found: BTreeMap<String, String> = log
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(what, value)| (what.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(found, table(), "{log}");

    let record = world.record();
    for (id, script, code, signal) in ENDS {
        let nodes = record["nodes"].as_array().expect("nodes");
        let node = nodes.iter().find(|node| node["id"] == id).expect("the node");
        let told = (node["exit_code"].as_i64(), node["signal"].as_i64());
        assert_eq!(told, (code, signal), "{script}: {node}");
        assert_eq!(node["outcome"], "failed", "{script}: {node}");
        let log = std::fs::read_to_string(run.join("nodes").join(id).join("guest.log"));
        assert_eq!(log.unwrap_or_default(), "", "{script}");
    }
}
