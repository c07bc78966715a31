//! Pages over state directories: who may ask, what is found, and that nothing else is. What a browser makes of them is
//! tested with one.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Stdio},
};

use proptest::prelude::*;
use serde_json::Value;

use crate::harness::{Ended, World, kill, sh, until};

/// A server that ends with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn new(world: &World, words: &[&str]) -> Self {
        let words = [&["serve"], words].concat();
        let mut command = world.command(&words);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("it says where");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, address }
    }

    fn on_any_port(world: &World) -> Self {
        Self::new(world, &["--listen", "127.0.0.1:0"])
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("it listens")
    }

    /// Asks for a path, with further lines of a head.
    fn get(&self, path: &str, lines: &[&str]) -> Answer {
        let host = format!("Host: {}", self.address);
        self.ask(&format!("GET {path} HTTP/1.1"), &[&[&*host], lines].concat())
    }

    fn ask(&self, first: &str, lines: &[&str]) -> Answer {
        let text = [&[first], lines, &["Connection: close", "", ""]].concat().join("\r\n");
        self.raw(text.as_bytes())
    }

    fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A refusal may come before everything was sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        Answer::read(&mut stream)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    #[track_caller]
    fn status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }

    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|it| it.eq_ignore_ascii_case(line))
    }
}

fn run_id(world: &World) -> String {
    let run = world.runs().pop().expect("a run");
    run.file_name().expect("a name").to_str().expect("UTF-8").to_owned()
}

/// What a job may leave that would like to be markup, a path, or a command to a terminal.
const HOSTILE: &str = "\
printf 'error: <script>alert(1)</script>\\n\\033[31mred\\033[0m \\033]0;title\\007 </script><img src=x onerror=alert(2)>\\n'
mkdir -p \"$ARTIFACTS_DIR/d\"
echo a >\"$ARTIFACTS_DIR/d/<img src=x onerror=alert(3)>.html\"
echo b >\"$ARTIFACTS_DIR/a b%2f..%2fü\"
ln -s /etc/passwd \"$ARTIFACTS_DIR/link\"
for n in $(seq 1 2500); do echo \"line $n\"; done
exit 1";

fn with_a_run() -> (World, String) {
    let world = World::new();
    let mut node = sh("execute-a", HOSTILE, &[]);
    node.spec.artifacts = vec!["**".parse().expect("a glob")];
    let plan = world.plan(vec![node, sh("execute-b", "true", &[])]);
    world.run(&["apply", &plan]).code(1);
    let id = run_id(&world);
    (world, id)
}

#[test]
fn runs_logs_and_artifacts_are_found_and_nothing_of_them_is_markup() {
    let (world, id) = with_a_run();
    let served = Served::on_any_port(&world);
    let index = served.get("/", &[]).status(200);
    assert!(index.text().contains(&format!("href=\"/runs/0/{id}\"")), "{}", index.text());
    let list = served.get("/runs.json", &[]).status(200).json();
    assert_eq!(
        (list[0]["run_id"].as_str(), list[0]["outcome"].as_str()),
        (Some(&*id), Some("failed"))
    );
    let base = format!("/runs/0/{id}");
    let page = served.get(&base, &[]).status(200);
    for line in
        ["X-Content-Type-Options: nosniff", "Cache-Control: no-store", "X-Frame-Options: DENY"]
    {
        assert!(page.has(line), "{line}: {}", page.head);
    }
    let policy = page
        .head
        .lines()
        .find(|line| line.starts_with("Content-Security-Policy: "))
        .expect("a policy");
    assert!(
        policy.contains("default-src 'none'; style-src 'sha256-")
            && policy.contains("connect-src 'self'"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !page.head.to_ascii_lowercase().contains("access-control"),
        "{}",
        page.head
    );
    assert!(
        page.text().contains("&lt;script&gt;alert(1)") && !page.text().contains("<script>alert")
    );
    assert!(!page.text().contains("<img"), "{}", page.text());
    for (page, status) in
        [("/history", 200), ("/hosts", 200), ("/results", 200), ("/hosts.json", 200)]
    {
        served.get(page, &[]).status(status);
    }
    let log = format!("{base}/nodes/execute-a/guest.log");
    let whole = served.get(&log, &[]).status(200);
    assert!(
        whole.has("Content-Type: text/plain; charset=utf-8") && whole.has("Accept-Ranges: bytes")
    );
    assert_eq!(
        whole.body,
        std::fs::read(world.runs()[0].join("nodes/execute-a/guest.log")).expect("a log")
    );
    let part = served.get(&log, &["Range: bytes=8-13"]).status(206);
    assert_eq!(part.body, &whole.body[8..14]);
    assert!(part.has(&format!("Content-Range: bytes 8-13/{}", whole.body.len())), "{}", part.head);
    served.get(&log, &["Range: bytes=99999999-"]).status(416);
    let head = served.ask(&format!("HEAD {log} HTTP/1.1"), &["Host: localhost"]).status(200);
    assert!(head.body.is_empty() && head.has(&format!("Content-Length: {}", whole.body.len())));
    let lines = served.get(&format!("{log}/lines"), &[]).status(200).json();
    assert_eq!(
        (lines["lines"].as_u64(), lines["starts"].as_array().map(Vec::len)),
        (Some(2502), Some(3))
    );
    let found = served.get(&format!("{log}/find?text=LINE%202500"), &[]).status(200).json();
    assert_eq!(found["hits"][0]["line"], 2501);
    let found = served.get(&format!("{base}/find?text=red"), &[]).status(200).json();
    assert_eq!((&found["hits"][0]["node"], &found["hits"][0]["line"]), (&0.into(), &1.into()));
    assert_eq!(served.get(&format!("{base}/record.json"), &[]).status(200).json()["run_id"], *id);
    let artifacts =
        served.get(&format!("{base}/nodes/execute-a/artifacts.json"), &[]).status(200).json();
    let files = artifacts.as_array().expect("a list");
    assert!(files.len() >= 2 && files.iter().all(|file| file["path"] != "link"), "{artifacts}");
    for file in files {
        let at = file["at"].as_str().expect("an address");
        let sent = served.get(&format!("{base}/nodes/execute-a/artifacts/{at}"), &[]).status(200);
        assert!(sent.has("Content-Type: application/octet-stream"), "{}", sent.head);
        assert!(
            sent.head.contains("Content-Disposition: attachment; filename*=UTF-8''"),
            "{}",
            sent.head
        );
        assert_eq!(sent.body.len() as u64, file["bytes"].as_u64().expect("a size"));
    }
    for none in [
        format!("{base}/nodes/execute-x/guest.log"),
        format!("{base}/nodes/execute-b/guest.log/other"),
        format!("{base}/nodes/execute-a/attempts/1/guest.log"),
        format!("{base}/nodes/execute-a/artifacts/link"),
        format!("{base}/nodes/execute-a/artifacts/../guest.log"),
        format!("{base}/nodes/execute-a/artifacts/%2e%2e/guest.log"),
        format!("{base}/nodes/execute-a/artifacts/..%2fguest.log"),
        format!("{base}/journal.jsonl"),
        format!("{base}/../{id}/record.json"),
        format!("/runs/1/{id}"),
        "/runs/0/.new-x".to_owned(),
        "/etc/passwd".to_owned(),
        "/../../etc/passwd".to_owned(),
    ] {
        served.get(&none, &[]).status(404);
    }
}

#[test]
fn only_reading_is_served_and_only_under_names_of_this_machine() {
    let (world, id) = with_a_run();
    let served = Served::on_any_port(&world);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = served
            .ask(&format!("{method} /runs/0/{id} HTTP/1.1"), &["Host: localhost"])
            .status(405);
        assert!(answer.has("Allow: GET, HEAD"));
    }
    for host in ["evil.example", "evil.example:80", "localhost.evil.example"] {
        served.ask("GET / HTTP/1.1", &[&format!("Host: {host}")]).status(421);
    }
    served.ask("GET / HTTP/1.1", &[]).status(400);
    served.ask("GET / HTTP/1.1", &["Host: localhost", "Host: evil.example"]).status(400);
    let answer = served
        .ask("GET /runs.json HTTP/1.1", &["Host: localhost", "Origin: http://evil.example"])
        .status(200);
    assert!(!answer.head.to_ascii_lowercase().contains("access-control-allow"), "{}", answer.head);
    served.ask("GET / HTTP/1.1", &["Host: localhost", "Content-Length: 3"]).status(413);
    served
        .ask("GET / HTTP/1.1", &["Host: localhost", &format!("X: {}", "x".repeat(40_000))])
        .status(431);
    // Two requests on one connection.
    let mut stream = served.connect();
    let text = "GET /runs.json HTTP/1.1\r\nHost: localhost\r\n\r\nGET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).expect("written");
    let mut both = String::new();
    stream.read_to_string(&mut both).expect("UTF-8");
    assert!(both.starts_with("HTTP/1.1 200 ") && both.contains("HTTP/1.1 404 "), "{both}");
}

#[test]
fn others_need_a_token_and_a_socket_is_this_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (world, _) = with_a_run();
    for open in ["0.0.0.0:0", "[::]:0"] {
        let refused = world.run(&["serve", "--listen", open]).code(2);
        assert!(refused.err.contains("--token-file"), "{}", refused.err);
    }
    world.run(&["serve", "--listen", "nonsense"]).code(2);
    world.run(&["serve", "--state-dir", "/nowhere"]).code(2);
    let token = world.path().join("token");
    let shown = token.to_str().expect("UTF-8");
    let mode = |mode| {
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).expect("its mode")
    };
    world.run(&["serve", "--listen", "0.0.0.0:0", "--token-file", shown]).code(2);
    std::fs::write(&token, "correct-horse-battery-staple\n").expect("written");
    mode(0o644);
    assert!(
        world
            .run(&["serve", "--listen", "0.0.0.0:0", "--token-file", shown])
            .code(2)
            .err
            .contains("chmod 600")
    );
    std::fs::write(&token, "short\n").expect("written");
    mode(0o600);
    world.run(&["serve", "--listen", "0.0.0.0:0", "--token-file", shown]).code(2);
    std::fs::write(&token, "correct-horse-battery-staple\n").expect("written");
    let mut served = Served::new(&world, &["--listen", "0.0.0.0:0", "--token-file", shown]);
    served.address = served.address.replace("0.0.0.0", "127.0.0.1");
    assert!(served.get("/", &[]).status(401).head.contains("WWW-Authenticate: Basic "));
    served.get("/none", &[]).status(401);
    served.get("/", &["Authorization: Bearer wrong"]).status(401);
    served.get("/", &["Authorization: Bearer correct-horse-battery-staple"]).status(200);
    served.get("/", &["Authorization: Basic eDpjb3JyZWN0LWhvcnNlLWJhdHRlcnktc3RhcGxl"]).status(200);
    drop(served);
    let socket = world.path().join("s");
    let ask = |socket: &Path| {
        let mut stream = UnixStream::connect(socket).expect("it listens");
        stream
            .write_all(b"GET /runs.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("written");
        Answer::read(&mut stream)
    };
    let path = socket.to_str().expect("UTF-8");
    // The second finds what the first left, which was killed.
    for _ in 0..2 {
        let served = Served::new(&world, &["--socket", path]);
        assert_eq!(std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777, 0o600);
        ask(&socket).status(200);
        world.run(&["serve", "--socket", path]).code(2);
        drop(served);
    }
}

/// Reads events of a stream until one is as wanted; returns the ids and what was read.
fn events_until(
    served: &Served,
    path: &str,
    lines: &[&str],
    mut wanted: impl FnMut(&str) -> bool,
) -> (Vec<String>, String) {
    let mut stream = served.connect();
    let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", lines.concat());
    stream.write_all(text.as_bytes()).expect("written");
    let (mut ids, mut read) = (Vec::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.expect("UTF-8");
        ids.extend(line.strip_prefix("id: ").map(str::to_owned));
        read.push_str(&line);
        read.push('\n');
        if wanted(&line) {
            return (ids, read);
        }
    }
    (ids, read)
}

#[test]
fn a_run_and_its_log_are_live_and_a_lost_connection_goes_on_where_it_was() {
    let world = World::new();
    let at = world.path().display();
    let script = format!("echo one; until [ -e {at}/go ]; do sleep 0.02; done; echo two");
    let plan =
        world.plan(vec![sh("execute-a", &script, &[]), sh("execute-b", "true", &["execute-a"])]);
    let run = world.start(&["apply", &plan]);
    until(|| {
        world.runs().pop().is_some_and(|run| {
            std::fs::read(run.join("nodes/execute-a/guest.log")).is_ok_and(|log| log == b"one\n")
        })
    });
    let served = Served::on_any_port(&world);
    let base = format!("/runs/0/{}", run_id(&world));
    let page = served.get(&base, &[]).status(200).text();
    assert!(page.contains("\"news\":") && page.contains("\"state\":\"running\""), "{page}");
    let log = format!("{base}/nodes/execute-a/guest.log");
    let (ids, _) =
        events_until(&served, &format!("{log}/tail"), &[], |line| line.starts_with("data: "));
    assert_eq!(ids, ["4"], "as many bytes as there are");
    let (ids, _) = events_until(&served, &format!("{base}/events"), &[], |line| {
        line.starts_with("event: head")
    });
    let heard = format!("Last-Event-ID: {}\r\n", ids.last().expect("an id"));
    std::fs::write(world.path().join("go"), "").expect("written");
    let (_, read) =
        events_until(&served, &format!("{log}/tail"), &["Last-Event-ID: 4\r\n"], |line| {
            line.starts_with("data: ")
        });
    assert!(read.contains("\"bytes\":8") && read.contains("\"lines\":2"), "{read}");
    let (_, read) =
        events_until(&served, &format!("{base}/events"), &[&heard], |line| line == "event: over");
    assert!(
        read.contains("\"id\":\"execute-a\"") && read.contains("\"state\":\"passed\""),
        "{read}"
    );
    Ended::of(run.wait_with_output().expect("ends")).code(0);
    until(|| served.get("/runs.json", &[]).json()[0]["outcome"] == "passed");
    assert!(!served.get(&base, &[]).status(200).text().contains("\"news\":"));
}

/// Reads what a page, or news of it, say of nodes: how each stands.
fn states(nodes: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let nodes = nodes.as_array().expect("a list").iter();
    nodes.map(|node| (text(&node["id"]), text(&node["state"]))).collect()
}

#[test]
fn nothing_that_happens_is_lost_between_a_page_and_its_news() {
    let world = World::new();
    let at = world.path().display();
    let name = |n: usize| format!("execute-{n}");
    let last = format!("until [ -e {at}/go ]; do sleep 0.02; done");
    let nodes: Vec<_> = (0..=20)
        .map(|n| match n {
            0 => sh(&name(0), "true", &[]),
            20 => sh(&name(20), &last, &[&name(19)]),
            n => sh(&name(n), "sleep 0.05", &[&name(n - 1)]),
        })
        .collect();
    let plan = world.plan(nodes);
    let run = world.start(&["apply", &plan]);
    until(|| world.runs().pop().is_some_and(|run| run.join("plan.json").exists()));
    let served = Served::on_any_port(&world);
    let base = format!("/runs/0/{}", run_id(&world));
    // Each opens the page at another moment of the run, and hears its news until the last node is the only one left.
    std::thread::scope(|viewers| {
        for _ in 0..12 {
            let page = served.get(&base, &[]).status(200).text();
            let (served, base) = (&served, &base);
            viewers.spawn(move || {
                let (_, data) = page.split_once("id=\"data\">").expect("data");
                let data = data.split_once("</script>").expect("its end").0;
                let data: Value = serde_json::from_str(data).expect("JSON");
                let mut shown: BTreeMap<_, _> = states(&data["nodes"]).into_iter().collect();
                let news = format!("{base}/events?since={}", data["served"]["news"]);
                let all_passed =
                    |shown: &BTreeMap<String, String>| (0..20).all(|n| shown[&name(n)] == "passed");
                if all_passed(&shown) {
                    return;
                }
                events_until(served, &news, &[], |line| {
                    if let Some(nodes) = line.strip_prefix("data: [") {
                        let nodes = serde_json::from_str(&format!("[{nodes}")).expect("JSON");
                        shown.extend(states(&nodes));
                    }
                    all_passed(&shown)
                });
                assert!(all_passed(&shown), "{shown:?}");
            });
        }
    });
    std::fs::write(world.path().join("go"), "").expect("written");
    Ended::of(run.wait_with_output().expect("ends")).code(0);
}

#[test]
fn a_server_that_is_killed_disturbs_no_run_and_keeps_nothing() {
    let world = World::new();
    let at = world.path().display();
    let plan = world.plan(vec![sh(
        "execute-a",
        &format!("until [ -e {at}/go ]; do sleep 0.02; done"),
        &[],
    )]);
    let run = world.start(&["apply", &plan]);
    until(|| !world.runs().is_empty());
    let before = std::fs::read_dir(world.state_dir()).expect("there").count();
    let mut served = Served::on_any_port(&world);
    let base = format!("/runs/0/{}", run_id(&world));
    served.get(&base, &[]).status(200);
    let child = std::mem::replace(&mut served.child, world.start(&["list"]));
    kill(child);
    assert_eq!(std::fs::read_dir(world.state_dir()).expect("there").count(), before);
    std::fs::write(world.path().join("go"), "").expect("written");
    Ended::of(run.wait_with_output().expect("ends")).code(0);
}

#[test]
fn any_request_is_answered_and_the_server_lives() {
    let (world, id) = with_a_run();
    let served = Served::on_any_port(&world);
    let base = format!("/runs/0/{id}");
    let secret = "content of a file beside";
    std::fs::write(world.state_dir().join("secret"), secret).expect("written");
    let part = prop_oneof![
        Just(base.clone()),
        Just("nodes/execute-a".to_owned()),
        Just("artifacts".to_owned()),
        Just("guest.log".to_owned()),
        Just("..".to_owned()),
        Just("%2e%2e".to_owned()),
        Just("%2f".to_owned()),
        Just("secret".to_owned()),
        Just("find?text=a".to_owned()),
        "[ -~]{0,8}",
    ];
    let paths = proptest::collection::vec(part, 0..8).prop_map(|parts| parts.join("/"));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&paths, |path| {
            let answer = served.raw(
                format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            );
            prop_assert!([200, 400, 404].contains(&answer.status), "{path}: {}", answer.status);
            prop_assert!(!answer.text().contains(secret), "{path}");
            Ok(())
        })
        .expect("every path");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(100));
    runner
        .run(&proptest::collection::vec(any::<u8>(), 1..200), |bytes| {
            let mut stream = served.connect();
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            prop_assert!(!answer.starts_with(b"HTTP/1.1 2"));
            Ok(())
        })
        .expect("any bytes");
    served.get("/", &[]).status(200);
}
