//! The plan's facts as sentences, shared by every form: why a lane runs or does not, where a node
//! runs, what it runs, how long. Text that was quoted from the plan is kept apart from ours, so
//! that each form can mark and escape it in its own way.

use std::time::Duration;

use plans::{
    BaseMode, ChangedEntry, Command, Nearest, ObjectId, PathsReason, Placement, Plan, Reason,
    RepoPath, Runtime, Selection, SelectionMode, Since, Source,
};

use super::text::{count, one_line};

/// A piece of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Our own words, without markup.
    Text(String),
    /// Something quoted: a glob, a path, an id. One line, otherwise as foreign as it came.
    Quote(String),
}

/// A sentence in pieces, without a full stop.
pub type Sentence = Vec<Piece>;

/// How many paths a sentence names before it counts the rest.
const NAMED_PATHS: usize = 3;

/// Returns the sentence as text, quotes between backticks.
#[must_use]
pub fn plain(sentence: &[Piece]) -> String {
    let mut text = String::new();
    for piece in sentence {
        match piece {
            Piece::Text(words) => text.push_str(words),
            Piece::Quote(quoted) => {
                text.push('`');
                text.push_str(quoted);
                text.push('`');
            }
        }
    }
    text
}

fn words(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

fn quote(text: &str) -> Piece {
    Piece::Quote(one_line(text).into_owned())
}

fn quote_path(path: &RepoPath) -> Piece {
    quote(&path.display())
}

/// Appends `a`, `b` and 3 more.
fn push_paths(sentence: &mut Sentence, paths: &[RepoPath], total: u64) {
    let named = paths.len().min(NAMED_PATHS);
    let rest = total.saturating_sub(named as u64);
    for (index, path) in paths[..named].iter().enumerate() {
        if index > 0 {
            sentence.push(words(if index + 1 == named && rest == 0 { " and " } else { ", " }));
        }
        sentence.push(quote_path(path));
    }
    if rest > 0 {
        sentence.push(words(format!("{}{rest} more", if named > 0 { " and " } else { "" })));
    }
}

/// Returns why a lane has its place in the plan.
#[must_use]
pub fn reason(reason: &Reason) -> Sentence {
    let mut sentence = without_since(reason);
    if let Some(since) = reason.since() {
        sentence.extend(since_words(since));
    }
    sentence
}

/// What a lane of a plan made with `--passed` was compared with.
fn since_words(since: &Since) -> Sentence {
    let commit = since.commit.as_ref().map_or("the empty tree", abbreviated);
    if since.passed {
        vec![words(", since it passed at "), quote(commit)]
    } else {
        vec![words(", since the base "), quote(commit), words(": no pass of it is known there")]
    }
}

/// What differs in files that packages share: the first entry of each file, and how many more.
fn changed_entries(entries: &[ChangedEntry], total: u64) -> Sentence {
    let mut sentence = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for entry in entries {
        if told.contains(&entry.file.as_str()) {
            continue;
        }
        if !told.is_empty() {
            sentence.push(words("; "));
        }
        told.push(&entry.file);
        let differs = entry.differs.join(", ");
        let what = match (&entry.before, &entry.after) {
            (Some(before), Some(after)) if before == after => format!("{before} ({differs})"),
            (Some(before), Some(after)) => format!("{before} -> {after}"),
            (None, Some(after)) => format!("{after} (new)"),
            (Some(before), None) => format!("{before} (gone)"),
            (None, None) => differs,
        };
        sentence.extend([quote(entry.file.as_str()), words(": "), quote(entry.name.as_str())]);
        sentence.extend([words(" "), quote(&what), words(" via ")]);
        sentence.push(quote(entry.via.as_str()));
    }
    let more = total.saturating_sub(told.len() as u64);
    if more > 0 {
        sentence.push(words(format!(", and {more} more")));
    }
    sentence
}

fn without_since(reason: &Reason) -> Sentence {
    match reason {
        Reason::Always => vec![words("it has no path filter, so it always runs")],
        Reason::Requested => vec![words("it was asked for")],
        Reason::Paths(paths) => matched(paths),
        Reason::DefinitionChanged(changed) => {
            if let Some(because) = &changed.because {
                return vec![words("its definition counts as changed: "), quote(because)];
            }
            if !changed.entries.is_empty() {
                return changed_entries(&changed.entries, changed.entries_total);
            }
            let mut sentence = vec![words(match changed.jobs.len() {
                1 => "the definition of its job ",
                _ => "the definitions of its jobs ",
            })];
            for (index, job) in changed.jobs.iter().enumerate() {
                if index > 0 {
                    sentence.push(words(", "));
                }
                sentence.push(quote(job.as_str()));
            }
            sentence.push(words(" changed"));
            sentence
        }
        Reason::RunAll(all) => {
            let mut sentence = vec![words("everything runs: ")];
            match (&all.glob, &all.because) {
                (Some(glob), _) => {
                    push_paths(&mut sentence, &all.matched, all.total);
                    sentence.extend([
                        words(" matches "),
                        quote(glob),
                        words(" of "),
                        quote("run_all"),
                    ]);
                }
                (None, Some(because)) => sentence.push(quote(because)),
                (None, None) => sentence.push(words("the plan does not say why")),
            }
            sentence
        }
        Reason::Unmatched(unmatched) => {
            let mut sentence = vec![words("everything runs: no lane and no ignore covers ")];
            push_paths(&mut sentence, &unmatched.matched, unmatched.total);
            sentence
        }
        Reason::Owed(owed) => {
            let mut sentence = vec![words("it owes a run: "), words(one_line(&owed.because))];
            if let Some(commit) = &owed.commit {
                sentence.extend([words(" at "), quote(abbreviated(commit))]);
            }
            sentence
        }
        Reason::NeededBy(needed) => vec![
            words("job "),
            quote(needed.job.as_str()),
            words(" of lane "),
            quote(needed.lane.as_str()),
            words(" needs its job "),
            quote(needed.needs.as_str()),
        ],
        Reason::NoMatch(miss) => match &miss.nearest {
            Some(nearest) => nearest_miss(nearest),
            None => vec![words("no changed path comes near its filter")],
        },
        Reason::NotRequested => vec![words("it was not asked for")],
    }
}

fn matched(paths: &PathsReason) -> Sentence {
    let mut sentence = Vec::new();
    push_paths(&mut sentence, &paths.matched, paths.total);
    sentence.push(words(if paths.total == 1 { " matches " } else { " match " }));
    sentence.push(quote(&paths.glob));
    if let Some(via) = &paths.via {
        sentence.extend([words(" via "), quote(via)]);
    }
    sentence
}

fn nearest_miss(nearest: &Nearest) -> Sentence {
    let mut sentence = vec![quote_path(&nearest.path)];
    match (&nearest.excluded_by, nearest.status) {
        (Some(exclude), _) => sentence.extend([
            words(" matches "),
            quote(&nearest.glob),
            words(" but is excluded by "),
            quote(exclude),
        ]),
        (None, Some(status)) => sentence.extend([
            words(" matches "),
            quote(&nearest.glob),
            words(format!(" but the lane does not count paths that are {status}")),
        ]),
        (None, None) => sentence.extend([words(" is nearest to "), quote(&nearest.glob)]),
    }
    sentence
}

/// Returns where a node runs: `local`, or the host's name.
#[must_use]
pub fn placement(placement: &Placement) -> String {
    match placement {
        Placement::Local => "local".to_owned(),
        Placement::RemoteSsh(host) => format!("{} (remote_ssh)", host.host),
    }
}

/// Returns how isolated a node runs, with what tells it from other guests of its engine.
#[must_use]
pub fn runtime(runtime: &Runtime) -> String {
    match runtime {
        Runtime::HostProcess => "host_process".to_owned(),
        Runtime::Incus(incus) => {
            let machine = if incus.vm { "incus vm" } else { "incus" };
            let privileged = if incus.privileged { ", privileged" } else { "" };
            format!("{machine} {}{privileged}", incus.image)
        }
        Runtime::Tart(tart) => format!("tart {}", tart.image),
    }
}

/// Returns where and how isolated: the pair that groups nodes.
#[must_use]
pub fn place(at: &Placement, isolated: &Runtime) -> String {
    format!("{} × {}", placement(at), runtime(isolated))
}

/// Returns what a node runs, on one line; words that a shell would split are quoted for the eye.
#[must_use]
pub fn command(command: &Command) -> String {
    let text = match command {
        Command::Argv(argv) => {
            argv.iter().map(|word| shown_word(word)).collect::<Vec<_>>().join(" ")
        }
        Command::Shell { script, as_root } => {
            let root = if *as_root { " as root" } else { "" };
            format!("sh{root}: {}", script.trim())
        }
        Command::CargoTest { package, test } => format!("cargo test {package}: exactly {test}"),
        Command::CargoTests { package, filter, lib_only } => {
            let lib = if *lib_only { ", library only" } else { "" };
            let filter = filter.as_ref().map(|it| format!(", names with {it}")).unwrap_or_default();
            format!("cargo test {package}{filter}{lib}")
        }
        Command::Staged(path) => path.to_string(),
        Command::NixBuild { installable, .. } => format!("nix build {installable}"),
    };
    one_line(&text).into_owned()
}

fn shown_word(word: &str) -> String {
    let plain =
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_-./:=@%+,".contains(c));
    if plain { word.to_owned() } else { format!("'{word}'") }
}

/// Returns a whole number of seconds as `45s`, `30m`, `1h 30m`, `2d`.
#[must_use]
pub fn seconds(total: u64) -> String {
    let parts = [
        (total / 86_400, "d"),
        (total / 3600 % 24, "h"),
        (total / 60 % 60, "m"),
        (total % 60, "s"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

/// Returns a measured time with as much detail as it deserves: `0.4s`, `12s`, `3m 20s`, `2h 5m`.
#[must_use]
pub fn measured(time: Duration) -> String {
    let total = time.as_secs();
    match total {
        0..10 => {
            let tenths = (time.as_millis() + 50) / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        10..3600 => seconds(total),
        3600..172_800 => seconds(total - total % 60),
        _ => seconds(total - total % 3600),
    }
}

/// Returns what was asked and over which commits: `branch, affected` and so on.
#[must_use]
pub fn selection(selection: &Selection) -> String {
    let mode = match selection.mode {
        SelectionMode::Affected => "what the change affects",
        SelectionMode::All => "every lane",
        SelectionMode::Requested => "what was asked for",
        SelectionMode::NoChange => "nothing changed",
    };
    format!("{}: {mode}", selection.trigger.as_str())
}

/// Returns which commits, or which scenario, with `shorten` applied to object ids.
#[must_use]
pub fn source(source: &Source) -> String {
    let change = match source {
        Source::Scenario(name) => return format!("scenario {name}"),
        Source::Change(change) => change,
    };
    let how = match change.base_mode {
        BaseMode::MergeBase => "merge base",
        BaseMode::Exact => "exact base",
        BaseMode::FirstParent => "first parent",
        BaseMode::Empty => "the empty tree",
        BaseMode::ChangedFiles => "a list of changed files",
        BaseMode::All => "no base, everything was asked for",
        BaseMode::Unknown => "no base could be found",
    };
    let head = match (&change.head, change.worktree) {
        (Some(head), false) => abbreviated(head).to_owned(),
        (Some(head), true) => format!("the work tree on {}", abbreviated(head)),
        (None, true) => "the work tree".to_owned(),
        (None, false) => return how.to_owned(),
    };
    match &change.base {
        Some(base) => format!("{}..{head} ({how})", abbreviated(base)),
        None => format!("{head} ({how})"),
    }
}

/// Returns the first twelve digits, as many as tell objects of the largest repositories apart.
fn abbreviated(id: &ObjectId) -> &str {
    &id.as_str()[..12]
}

/// Returns `2 of 14 lanes run`, counting lanes that are not listed too.
#[must_use]
pub fn headline(plan: &Plan) -> String {
    let selected = plan.lanes().iter().filter(|lane| lane.selected).count();
    let unlisted = plan.selection().lanes_not_listed.unwrap_or(0);
    let all = plan.lanes().len() as u64 + unlisted;
    match (selected, all) {
        // A target or a job may be asked for without the lane it belongs to.
        (0, _) if !plan.nodes().is_empty() => {
            format!("{} as asked for, no lane", count(plan.nodes().len(), "node"))
        }
        (0, 0) => "no lanes".to_owned(),
        (0, _) => format!(
            "nothing runs, {} skipped",
            count(usize::try_from(all).unwrap_or(usize::MAX), "lane")
        ),
        (1, 1) => "the only lane runs".to_owned(),
        (selected, all) if selected as u64 == all => format!("all {all} lanes run"),
        (1, _) => format!("1 of {all} lanes runs"),
        (selected, all) => format!("{selected} of {all} lanes run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_for_reading() {
        assert_eq!(seconds(0), "0s");
        assert_eq!(seconds(14_400), "4h");
        assert_eq!(seconds(5_430), "1h 30m 30s");
        assert_eq!(measured(Duration::from_millis(440)), "0.4s");
        assert_eq!(measured(Duration::from_millis(9_990)), "10.0s");
        assert_eq!(measured(Duration::from_secs(7_530)), "2h 5m");
        assert_eq!(measured(Duration::from_secs(200_000)), "2d 7h");
    }

    #[test]
    fn a_command_stays_on_one_line() {
        let script = Command::Shell { script: "a\nb\n".to_owned(), as_root: true };
        assert_eq!(command(&script), "sh as root: a\\nb");
        let argv = Command::Argv(vec!["just".to_owned(), "a b".to_owned(), String::new()]);
        assert_eq!(command(&argv), "just 'a b' ''");
    }
}
