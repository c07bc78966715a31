//! Any bytes as what a client sends: every answer is one of those that are listed, stands under a policy, and holds nothing
//! of a file beside what is served. Input that begins with a slash is taken for a path, and asked for.

#![no_main]

use std::{
    fs,
    io::{self, Cursor, Read, Write},
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, LazyLock},
};

use executor::{commands::serve::Server, config::Config, record::Record, state::StateDir};

/// The status of an answer is one of these.
const LISTED: [&str; 11] =
    ["200", "206", "400", "401", "404", "405", "413", "416", "421", "431", "503"];

/// What no answer holds.
const SECRET: &[u8] = b"content of a file beside";

const RUN: &str = "20260101-000000-000-000000";

static SERVER: LazyLock<Arc<Server>> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("fuzz-routes-{}", std::process::id()));
    let run = root.join("state/runs").join(RUN);
    make(&root, &run).expect("a state directory is made");
    Server::new(vec![StateDir::at(root.join("state"))], Config::default(), None)
});

/// Makes a run whose one node wrote a log and left artifacts, among them what leads elsewhere.
fn make(root: &Path, run: &Path) -> io::Result<()> {
    let node = run.join("nodes/execute-unit");
    fs::create_dir_all(node.join("artifacts/d"))?;
    fs::create_dir_all(node.join("attempts/1"))?;
    for beside in ["secret", "state/secret", "state/runs/secret"] {
        fs::write(root.join(beside), SECRET)?;
    }
    fs::write(run.join("secret"), SECRET)?;
    fs::write(node.join("secret"), SECRET)?;
    symlink(root, node.join("artifacts/link"))?;
    symlink(root.join("secret"), node.join("artifacts/secret"))?;
    symlink(root.join("secret"), node.join("attempts/1/guest.log"))?;
    fs::write(node.join("artifacts/d/a b"), "kept")?;
    fs::write(node.join("guest.log"), "one\n\u{1b}[31mtwo\u{1b}[0m\n</script>\n")?;
    let record = format!(
        r#"{{"format_version":"1.0","run_id":"{RUN}","plan_digest":"sha256:0","started_at":"2026-01-01T00:00:00Z",
        "outcome":"failed","nodes":[{{"id":"execute-unit","outcome":"failed","attempts":2}}]}}"#
    );
    Record::from_json(record.as_bytes()).expect("a record");
    fs::write(run.join("record.json"), record)
}

/// A client that has said everything, and goes when it is to hear of what has no end.
struct Client<'a> {
    says: Cursor<&'a [u8]>,
    heard: Vec<u8>,
}

impl Read for Client<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.says.read(into)
    }
}

impl Write for Client<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.starts_with(b"retry: ") {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let asked = match bytes {
        [b'/', ..] => [b"GET ", bytes, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat(),
        _ => bytes.to_vec(),
    };
    let mut client = Client { says: Cursor::new(&asked), heard: Vec::new() };
    SERVER.serve(&mut client);
    let heard = &client.heard;
    assert!(!heard.windows(SECRET.len()).any(|part| part == SECRET), "a file beside");
    if let Some(answer) = heard.strip_prefix(b"HTTP/1.1 ") {
        let status = std::str::from_utf8(&answer[..3]).expect("a number");
        assert!(LISTED.contains(&status), "{status}");
        let head = String::from_utf8_lossy(heard);
        assert!(head.contains("Content-Security-Policy: default-src 'none'"), "{head}");
    } else {
        assert!(heard.is_empty(), "an answer begins with its status");
    }
});
