//! Which address is what. An id comes through here as an id or not at all, so nothing below has to ask whether a path
//! leads out of its directory.

use plans::NodeId;

use super::http::decode;
use crate::state::RunId;

/// Something that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// The page of all runs.
    Index,
    /// The same as data.
    Runs,
    /// What happens to runs.
    RunsEvents,
    /// Lanes, durations and flakiness over time.
    History,
    /// Who has and who waits for what.
    Hosts,
    /// The same as data.
    HostsData,
    /// What is kept for reuse.
    Results,
    /// Something of one run: the state directory's number, the run.
    Run(usize, RunId, OfRun),
}

/// Something of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OfRun {
    Page,
    Events,
    Record,
    /// Lines of all logs.
    Find,
    Node(NodeId, OfNode),
}

/// Something of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OfNode {
    /// A log, of an earlier attempt or of the last.
    Log(Log, OfLog),
    /// The list of its artifacts.
    Artifacts,
    /// One of them, by its path's bytes.
    Artifact(Vec<u8>),
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Log {
    /// The earlier attempt that it is of.
    pub(super) attempt: Option<u32>,
    /// Whether it is the executor's own account.
    pub(super) host: bool,
}

/// What of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfLog {
    Bytes,
    /// Where its lines begin.
    Lines,
    /// The same while it grows.
    Tail,
    Find,
}

/// Reads an address; what is none of ours is nothing.
pub(super) fn route(path: &str) -> Option<Route> {
    let path = path.strip_prefix('/')?;
    let raw: Vec<&str> = path.split('/').collect();
    match &raw[..] {
        [""] => Some(Route::Index),
        ["runs.json"] => Some(Route::Runs),
        ["events"] => Some(Route::RunsEvents),
        ["history"] => Some(Route::History),
        ["hosts"] => Some(Route::Hosts),
        ["hosts.json"] => Some(Route::HostsData),
        ["results"] => Some(Route::Results),
        ["runs", state, run, rest @ ..] => {
            let run = RunId::parse(&text(run)?)?;
            Some(Route::Run(number(state)?, run, of_run(rest)?))
        }
        _ => None,
    }
}

fn of_run(rest: &[&str]) -> Option<OfRun> {
    match rest {
        [] => Some(OfRun::Page),
        ["events"] => Some(OfRun::Events),
        ["record.json"] => Some(OfRun::Record),
        ["find"] => Some(OfRun::Find),
        ["nodes", node, rest @ ..] => {
            Some(OfRun::Node(NodeId::new(text(node)?).ok()?, of_node(rest)?))
        }
        _ => None,
    }
}

fn of_node(rest: &[&str]) -> Option<OfNode> {
    match rest {
        ["artifacts.json"] => Some(OfNode::Artifacts),
        ["artifacts", path @ ..] if !path.is_empty() => {
            let parts: Option<Vec<Vec<u8>>> = path.iter().map(|part| decode(part)).collect();
            let parts = parts?;
            // What is listed is looked for among what is listed; this only keeps nonsense from getting there.
            let odd = |part: &Vec<u8>| {
                part.is_empty()
                    || part == b"."
                    || part == b".."
                    || part.contains(&0)
                    || part.contains(&b'/')
            };
            (!parts.iter().any(odd)).then(|| OfNode::Artifact(parts.join(&b'/')))
        }
        ["attempts", attempt, rest @ ..] => {
            let attempt = u32::try_from(number(attempt)?).ok()?;
            of_log(rest, Some(attempt))
        }
        rest => of_log(rest, None),
    }
}

fn of_log(rest: &[&str], attempt: Option<u32>) -> Option<OfNode> {
    let (name, what) = match rest {
        [name] => (name, OfLog::Bytes),
        [name, "lines"] => (name, OfLog::Lines),
        [name, "tail"] => (name, OfLog::Tail),
        [name, "find"] => (name, OfLog::Find),
        _ => return None,
    };
    let host = match *name {
        "guest.log" => false,
        "host.log" => true,
        _ => return None,
    };
    Some(OfNode::Log(Log { attempt, host }, what))
}

fn text(part: &str) -> Option<String> {
    String::from_utf8(decode(part)?).ok()
}

/// Reads a number that is written in one way alone.
fn number(text: &str) -> Option<usize> {
    let plain =
        text.len() <= 9 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_page_has_its_address() {
        let run = |rest: &str| route(&format!("/runs/0/20261129-180000-000-abcdef{rest}"));
        assert_eq!(route("/"), Some(Route::Index));
        assert!(matches!(run(""), Some(Route::Run(0, _, OfRun::Page))));
        assert!(matches!(
            run("/nodes/execute-a/guest.log"),
            Some(Route::Run(0, _, OfRun::Node(..)))
        ));
        assert!(matches!(
            run("/nodes/execute-a/attempts/1/guest.log/tail"),
            Some(Route::Run(0, _, _))
        ));
        let artifact = run("/nodes/execute-a/artifacts/d%20x/%3Cb%3E");
        let Some(Route::Run(_, _, OfRun::Node(_, OfNode::Artifact(path)))) = artifact else {
            panic!()
        };
        assert_eq!(path, b"d x/<b>");
        for none in [
            "",
            "x",
            "//",
            "/runs",
            "/runs/",
            "/runs/0",
            "/runs/0/",
            "/runs/00/x",
            "/runs/-1/x",
            "/runs/0/..",
            "/runs/0/%2e%2e",
            "/runs/0/a/nodes/..",
            "/runs/0/a/nodes/%2e%2e/guest.log",
            "/runs/0/a/nodes/a%2fb/guest.log",
            "/runs/0/a/nodes/x/passwd",
            "/runs/0/a/nodes/x/artifacts/..%2f..%2fetc",
            "/runs/0/a/nodes/x/artifacts/../a",
            "/runs/0/a/nodes/x/artifacts/",
            "/runs/0/a/nodes/x/artifacts/a%00",
            "/runs/0/a/nodes/x/attempts/../guest.log",
            "/runs/99999999999/a",
            "/runs/0/a%00",
        ] {
            assert_eq!(route(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_address_leads_out_of_a_directory(path in "/(runs|nodes|artifacts|attempts|guest\\.log|[0-9]|[a-z%./]{0,6}|%2[eEfF]|\\.\\.|/){0,12}") {
            if let Some(Route::Run(_, run, what)) = route(&path) {
                prop_assert!(!run.as_str().contains('/') && !run.as_str().starts_with('.'));
                if let OfRun::Node(node, of) = what {
                    prop_assert!(!node.as_str().contains('/') && !node.as_str().starts_with('.'));
                    if let OfNode::Artifact(path) = of {
                        let path = std::path::PathBuf::from(std::ffi::OsString::from(String::from_utf8_lossy(&path).into_owned()));
                        prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                    }
                }
            }
        }

        #[test]
        fn any_text_is_an_address_or_none(path in ".*") {
            let _ = route(&path);
        }
    }
}
