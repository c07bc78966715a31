//! What a job's workspace starts from, the same for every runtime: its source tree or what a host setup left,
//! with the files of other nodes laid into it.
//!
//! A tree is shared and never written to. So files of other nodes make it another one, for this attempt alone:
//! `composed` in the attempt's directory, in which everything of the tree is linked where the file system can and
//! copied where not. It is then what any tree is: shown read-only, or copied for a job that writes. A job with caches
//! may need one too: with places for these to appear at, and with files whose times tell what is newer than what a cache
//! holds, which the times of a shared tree do not. Owns that tree; which files come, and that they are what was kept, is
//! [`crate::artifacts::kept`]'s, and which times, [`crate::caches`]'s.

use std::time::Duration;

use plans::WorkspacePath;

use super::Work;
use crate::{
    artifacts::kept::KeptFiles,
    attempt::{Context, Phase},
    caches,
    command_line::Script,
    control::Level,
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Flow, PlacedFiles, WorkspaceSource},
    source::Form,
    text,
};

/// How long a tree may take that is copied because it cannot be linked.
const COMPOSING: Duration = Duration::from_secs(1800);

/// Makes what the workspace starts from, and finds it on the machine.
///
/// # Errors
///
/// When the source tree or another node's files cannot be had there; [`FailureKind::Files`] when another node did not
/// leave what the job takes, or it has no place in the tree.
pub(super) fn place(context: &Context<'_>, work: &Work) -> Result<WorkspaceSource, Fault> {
    let needed = &context.request.files;
    // Known before anything is made.
    let kept = needed.iter().map(KeptFiles::of).collect::<Result<Vec<_>, _>>()?;
    let base = base(context, work)?;
    let mut dates = None;
    if !work.caches.is_empty() {
        context.enter(Phase::Caches);
        dates = caches::take(context, work)?;
    }
    if kept.is_empty() && dates.is_none() && points(work).next().is_none() {
        return Ok(base);
    }
    context.enter(Phase::Tree);
    compose(context, work, base.path(), &kept, dates.as_ref())?;
    Ok(WorkspaceSource::Output(composed(context)))
}

/// Returns the directory that [`place`] made or found, for one who looks at it afterwards.
///
/// # Errors
///
/// When the source tree cannot be had any more.
pub(super) fn placed(context: &Context<'_>, work: &Work) -> Result<String, Fault> {
    if context.request.files.is_empty() && work.caches.is_empty() {
        return Ok(base(context, work)?.path().to_owned());
    }
    Ok(composed(context))
}

fn base(context: &Context<'_>, work: &Work) -> Result<WorkspaceSource, Fault> {
    if let Some(path) = &work.workspace_from {
        return Ok(WorkspaceSource::Output(path.clone()));
    }
    let Context { request, machine, control, .. } = context;
    // Guests take a directory as it is, and what is laid into a tree makes another one of its files.
    let is_shown = work.runtime == plans::Runtime::HostProcess
        && request.files.is_empty()
        && work.caches.is_empty();
    let form = if is_shown { Form::Layers } else { Form::Whole };
    let placed = machine.place_source(&work.source, form, control)?;
    if let Some(note) = &placed.note {
        context.warn(note.clone());
    }
    Ok(WorkspaceSource::Tree(placed))
}

/// Returns where caches appear in a workspace that the job cannot write to: there must be something to appear at.
fn points(work: &Work) -> impl Iterator<Item = (usize, &WorkspacePath)> {
    let caches = work.caches.iter().enumerate().filter(|_| !work.writable);
    caches.filter_map(|(number, cache)| Some((number, cache.path.in_workspace()?)))
}

fn composed(context: &Context<'_>) -> String {
    format!("{}/composed", context.machine.attempt_dir(&context.request.job()))
}

/// What the script says when a cache has no place.
const NO_POINT: i32 = 4;

/// What the script says when it cannot go on for the job's own reason.
const NO_PLACE: i32 = 3;

/// Copies trees by links to their files, or else whole, and lays others into them. `$d` is the attempt's directory. No
/// file of a copy is ever written to: it may be the very file of a tree that others share. It is removed, and another
/// is put in its place.
const FUNCTIONS: &str = r#"
no() {
    [ "$(df -Pk "$d" | awk 'NR == 2 { print $4 }')" -gt 64 ] || echo no_space >&2
    exit 1
}
# Directories are a copy's own; the modes of its files may be those of a shared tree.
remove() {
    rm -rf "$1" 2>/dev/null || { find "$1" -type d -exec chmod u+rwx {} \; 2>/dev/null; rm -rf "$1"; }
}
# copy FROM TO: TO is not there. With `$dated` its files are its own: they get times of their own.
copy() {
    { [ "$dated" = no ] && cp -al "$1" "$2" 2>/dev/null; } || { remove "$2"; cp -a --reflink=auto "$1" "$2" 2>/dev/null; } ||
        { remove "$2"; cp -cRp "$1" "$2" 2>/dev/null; } || { remove "$2"; cp -Rp "$1" "$2"; }
}
# Below TO: the first path at which one of the two trees has a directory and the other has none.
clash() {
    { cd "$from" && find . -type d -print0; } | { cd "$to" && xargs -0 sh -c '
        for p; do
            if [ -L "$p" ] || { [ -e "$p" ] && [ ! -d "$p" ]; }; then printf "%s\n" "$p"; exit 255; fi
            [ ! -d "$p" ] || chmod u+rwx "$p"
        done' sh; } 2>/dev/null
    { cd "$from" && find . ! -type d -print0; } | { cd "$to" && xargs -0 sh -c '
        for p; do if [ -d "$p" ] && [ ! -L "$p" ]; then printf "%s\n" "$p"; exit 255; fi; done' sh; } 2>/dev/null
}
# Removes below TO what FROM has as well; a line for each.
give_way() {
    { cd "$from" && find . ! -type d -print0; } | { cd "$to" && xargs -0 sh -c '
        for p; do if [ -e "$p" ] || [ -L "$p" ]; then echo; rm -f "$p" || exit 255; fi; done' sh; }
}
no_place() {
    printf 'no place %s %s\n' "$number" "$1"
    exit 3
}
# lay FROM AT NUMBER OWN: puts the directory FROM at AT of the new tree; whether FROM is this attempt's own.
lay() {
    from=$1 number=$3
    [ -d "$from" ] || { echo "gone $from" >&2; exit 1; }
    at=$d/.composed rest=$2
    while [ -n "$rest" ]; do
        name=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        at=$at/$name
        [ ! -L "$at" ] || no_place "${at#"$d/.composed/"}"
        [ -e "$at" ] || break
        [ -d "$at" ] || no_place "${at#"$d/.composed/"}"
        chmod u+rwx "$at" || no
    done
    to=$d/.composed/$2
    if [ ! -d "$to" ]; then
        mkdir -p "${to%/*}" || no
        if [ "$4" = own ]; then mv "$from" "$to" || no; else copy "$from" "$to" || no; fi
        return
    fi
    path=$(clash | head -n 1)
    [ -z "$path" ] || no_place "$2/${path#./}"
    replaced=$(give_way | wc -l)
    [ "$(give_way | wc -l)" -eq 0 ] || no
    [ "$replaced" -eq 0 ] || echo "replaced $number $((replaced))"
    { [ "$dated" = no ] && cp -al "$from/." "$to" 2>/dev/null; } || {
        give_way >/dev/null
        [ "$(give_way | wc -l)" -eq 0 ] || no
        cp -Rp "$from/." "$to" || no
    }
}
# point AT LINK: a directory for a cache to appear at, or where nothing can be mounted a link to where it is.
point() {
    at=$d/.composed rest=$1
    while [ -n "$rest" ]; do
        name=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        chmod u+rwx "$at" || no
        at=$at/$name
        if [ -L "$at" ] || { [ -e "$at" ] && [ ! -d "$at" ]; }; then
            printf 'no point %s\n' "${at#"$d/.composed/"}"
            exit 4
        fi
        [ -d "$at" ] || mkdir "$at" || no
    done
    [ -z "$2" ] || { remove "$at" && ln -s "$2" "$at" || no; }
}
"#;

fn compose(
    context: &Context<'_>,
    work: &Work,
    base: &str,
    kept: &[KeptFiles],
    dates: Option<&Script>,
) -> Result<(), Fault> {
    let Context { request, machine, control, .. } = context;
    let dir = machine.attempt_dir(&request.job());
    let script = Script::new("umask 022\nset -f\n").set("d", &dir).set("base", base);
    let script = script.set("dated", if dates.is_some() { "yes" } else { "no" }).text(FUNCTIONS);
    let mut script = script.text(
        "mkdir -p \"$d\" || no\n\
         [ -d \"$base\" ] || { echo \"gone $base\" >&2; exit 1; }\n\
         remove \"$d/.composed\"; remove \"$d/composed\"\n\
         copy \"$base\" \"$d/.composed\" && chmod u+rwx \"$d/.composed\" || no\n",
    );
    for (number, at) in points(work) {
        let link = match work.runtime {
            plans::Runtime::Tart(_) => super::tart::cache_in_guest(number),
            _ => String::new(),
        };
        script = script.text("point").words([at.as_str(), &link]).text("\n");
    }
    if let Some(dates) = dates {
        script = script.text("(\nset -- \"$d/.composed\"\nset +f\n").then(dates).text(") || no\n");
    }
    for (number, (needed, kept)) in request.files.iter().zip(kept).enumerate() {
        let into = format!("{dir}/given-{number}");
        let PlacedFiles { path, own } = machine.place_files(kept, &into, control)?;
        let from = match needed.from.root() {
            root if root.is_empty() => path,
            root => format!("{path}/{root}"),
        };
        script = script.text("lay").words([&from, needed.from.at.as_str()]);
        script = script.word(number.to_string()).text(if own { " own\n" } else { " shared\n" });
        if dates.is_some() {
            // Whenever they were made, no cache has seen them.
            script = script.text("find \"$to\" -type f -exec touch {} +\n");
        }
    }
    let script = script.text("mv \"$d/.composed\" \"$d/composed\" || no\n");
    let mut said = Vec::new();
    let mut sink = |bytes: &[u8]| {
        said.extend_from_slice(bytes);
        Flow::Continue
    };
    let command = ControlCommand::new(["sh", "-s"]).stdin(script.as_bytes()).deadline(COMPOSING);
    let answer = machine.stream(&command, &mut sink, control, Level::Run)?;
    let Some(answer) = answer else { return Err(Fault::cancelled()) };
    let said = String::from_utf8_lossy(&said).into_owned();
    let of = |number: &str| number.parse().ok().and_then(|number: usize| request.files.get(number));
    if answer.code == Some(NO_POINT) {
        let last = said.lines().find_map(|line| line.strip_prefix("no point ")).unwrap_or_default();
        let path = text::neutral(last);
        let what = format!("a cache has no place: something else is at `{path}` of the tree");
        return Err(
            Fault::new(FailureKind::Workspace, what).advice("give the cache another `path`")
        );
    }
    if answer.code == Some(NO_PLACE) {
        let last = said.lines().rfind(|line| line.starts_with("no place ")).unwrap_or_default();
        let mut words = last.splitn(4, ' ').skip(2);
        let (number, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = text::neutral(path);
        let whose = of(number).map_or("another node", |needed| needed.from.node.as_str());
        return Err(Fault::new(
            FailureKind::Files,
            format!("files of `{whose}` have no place: something else is at `{path}` of the tree"),
        )
        .advice("give `at` another directory, or take that path out of the job's tree"));
    }
    if !answer.success() {
        return Err(not_composed(machine.name(), &answer.complaint()));
    }
    if said.lines().any(|line| line == "undated") {
        context.warn("times of files cannot be told from caches: every file is new".to_owned());
    }
    for line in said.lines() {
        let mut words = line.split(' ');
        if let (Some("replaced"), Some(number), Some(count)) =
            (words.next(), words.next(), words.next())
            && let (Some(needed), Ok(count)) = (of(number), count.parse())
        {
            let (node, at) = (&needed.from.node, &needed.from.at);
            let files = text::count(count, "file");
            context.warn(format!("{files} of the tree below `{at}` gave way to those of `{node}`"));
        }
    }
    Ok(())
}

fn not_composed(machine: &str, said: &str) -> Fault {
    if said.contains("no_space") || said.contains("No space left") {
        return Fault::new(
            FailureKind::DiskFull,
            format!("there is no room on `{machine}` for the files of other nodes"),
        )
        .advice("make room there, then resume the run");
    }
    if let Some(path) = said.strip_prefix("gone ") {
        let what = format!("{path} is not there any more on `{machine}`");
        return Fault::new(FailureKind::OutputMissing, what);
    }
    Fault::new(
        FailureKind::Workspace,
        format!("files of other nodes cannot be put into the tree on `{machine}`: {said}"),
    )
}
