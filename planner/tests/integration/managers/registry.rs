//! A registry of packages on the loopback interface, for managers that resolve nothing without one.
//!
//! Speaks as much of npm's protocol and of Python's simple index as locking and installing takes.
//! Owns no test; what is published can be changed while it runs.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// One version of a package, and the packages that it needs at version 1.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) name: String,
    pub(crate) version: &'static str,
    pub(crate) needs: Vec<String>,
}

/// By path, what is answered.
type Answers = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A registry; its thread ends with the process.
pub(crate) struct Registry {
    pub(crate) url: String,
    answers: Answers,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answers = Answers::default();
        let of_thread = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = of_thread.clone();
                std::thread::spawn(move || answer(&stream, &answers));
            }
        });
        Self { url, answers }
    }

    /// Publishes these releases and no others.
    pub(crate) fn publish(&self, releases: &[Release]) {
        let mut answers = BTreeMap::new();
        let mut of_name: BTreeMap<&str, Vec<&Release>> = BTreeMap::new();
        for release in releases {
            of_name.entry(&release.name).or_default().push(release);
        }
        for (name, releases) in of_name {
            let mut versions = Map::new();
            let mut page = String::new();
            for Release { version, needs, .. } in releases.iter().copied() {
                let needed: Map<String, Value> =
                    needs.iter().map(|it| (it.clone(), json!("^1.0.0"))).collect();
                let manifest = json!({ "name": name, "version": version, "dependencies": needed });
                let path = format!("/{name}/-/{name}-{version}.tgz");
                let packed = packed(&manifest.to_string());
                let mut of_version = manifest.clone();
                of_version["dist"] = json!({
                    "tarball": format!("{}{path}", self.url),
                    "integrity": integrity(&packed),
                });
                versions.insert((*version).to_owned(), of_version);
                answers.insert(path, packed);
                let wheel = format!("/files/{name}-{version}-py3-none-any.whl");
                let needed: String =
                    needs.iter().map(|it| format!("Requires-Dist: {it}>=1\n")).collect();
                let metadata =
                    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}");
                let sum: String =
                    Sha256::digest(&metadata).iter().map(|byte| format!("{byte:02x}")).collect();
                page.extend([format!(
                    "<a href=\"{wheel}#sha256={sum}\" data-dist-info-metadata=\"true\">{}</a>\n",
                    wheel.trim_start_matches("/files/")
                )]);
                answers.insert(format!("{wheel}.metadata"), metadata.into_bytes());
            }
            let latest = releases.last().map(|release| release.version);
            let all =
                json!({ "name": name, "dist-tags": { "latest": latest }, "versions": versions });
            answers.insert(format!("/{name}"), all.to_string().into_bytes());
            answers.insert(format!("/simple/{name}/"), page.into_bytes());
        }
        *self.answers.lock().expect("nobody panicked") = answers;
    }
}

/// A package as npm publishes it.
fn packed(manifest: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let package = dir.path().join("package");
    std::fs::create_dir(&package).expect("a directory");
    std::fs::write(package.join("package.json"), manifest).expect("a file");
    let tar = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-czf", "-", "package"];
    let output = Command::new("tar").args(tar).current_dir(dir.path()).output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn integrity(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sum = sha2::Sha512::digest(bytes);
    let mut text = "sha512-".to_owned();
    for three in sum.chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        let bits = bits << (8 * (3 - three.len()));
        for digit in 0..4 {
            let is_there = digit <= three.len();
            let character = DIGITS[bits >> (18 - 6 * digit) & 63];
            text.push(if is_there { char::from(character) } else { '=' });
        }
    }
    text
}

fn answer(stream: &TcpStream, answers: &Answers) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(request)) = lines.next() else { return };
    // The rest of the request says nothing that matters here.
    lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let body = answers.lock().expect("nobody panicked").get(path).cloned();
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let kind = if path.starts_with("/simple/") { "text/html" } else { "application/json" };
    let body = body.unwrap_or_else(|| b"{}".to_vec());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    // A client that went away needs no answer.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
