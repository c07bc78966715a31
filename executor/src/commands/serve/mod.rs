//! `executor serve`: runs as a page in a browser, while they go on and after. Everything is read from state
//! directories when it is asked for; nothing is written, locked or kept beside them.
//!
//! One thread for each connection. `http` speaks with clients, `gate` says who may ask, `routes` what an address
//! is, `site` and `live` what there is to see, `log` where a log's lines begin, `pages` and `plot` what it
//! looks like; a run's page is the report's.

mod gate;
mod http;
mod live;
mod log;
mod pages;
mod plot;
mod routes;
mod site;

use std::{
    fs::File,
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use serde_json::json;

pub use self::http::Stream;
use self::{
    gate::Gate,
    http::{Events, HTML, NoRequest, Request, Requests, Response, TEXT},
    routes::{Log, OfLog, OfNode, OfRun, Route},
    site::Site,
};
use super::CliContext;
use crate::{
    artifacts::{FileKind, Tree as _, local::LocalTree},
    cli::Serve,
    config::Config,
    error::Error,
    exit_code::Exit,
    reporters,
    signals::Listener,
    state::{RunDir, StateDir},
};

/// More connections at once than this are refused: each has a thread.
const CONNECTIONS: usize = 1024;

/// How long a client may keep a write or the rest of a request waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often streams look for something new.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a stream without news says that it is there, and hears whether its client is.
const SIGN: Duration = Duration::from_secs(15);

/// How many lines of all logs of a run are named by a search.
const HITS: usize = 500;

/// Where clients come from.
enum Door {
    Port(TcpListener),
    Socket(UnixListener, PathBuf),
}

/// What is served: the runs of state directories, to clients that are let in.
pub struct Server {
    site: Site,
    gate: Gate,
    connections: AtomicUsize,
}

pub(super) fn run(context: &CliContext, asked: &Serve) -> Result<Exit, Error> {
    let config = context.config()?;
    let states = match &asked.state_dir[..] {
        [] => vec![context.state(&config)?],
        several => several.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
    };
    let token =
        asked.token_file.as_deref().map(gate::read_token).transpose().map_err(Error::Serve)?;
    let door = Door::open(asked, token.is_some())?;
    let mut out = reporters::stdout();
    match &door {
        Door::Port(listener) => {
            let address = listener.local_addr().map_err(cannot_listen)?;
            out.text(&format!("http://{address}/\n"));
        }
        Door::Socket(_, path) => out.text(&format!("unix:{}\n", path.display())),
    }
    reporters::stderr()
        .text("serving until Ctrl-C; it only reads, and ending it disturbs no run\n");
    let (ends, end) = mpsc::channel();
    let _listener = Listener::start(move |_| {
        let _ = ends.send(());
    })
    .map_err(|error| Error::System { what: "signals cannot be listened to", error })?;
    let server = Server::new(states, config, token.as_deref());
    let socket = match &door {
        Door::Socket(_, path) => Some(path.clone()),
        Door::Port(_) => None,
    };
    let accepting = Arc::clone(&server);
    std::thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || accept(&accepting, &door))
        .map_err(|error| Error::System { what: "a thread that accepts", error })?;
    let _ = end.recv();
    server.site.close();
    if let Some(path) = socket {
        let _ = std::fs::remove_file(path);
    }
    Ok(Exit::Done)
}

fn absolute(path: &Path) -> Result<StateDir, Error> {
    let path = std::path::absolute(path).map_err(|error| Error::File {
        what: "the state directory",
        path: path.display().to_string(),
        error,
    })?;
    if path.is_dir() {
        return Ok(StateDir::at(path));
    }
    Err(Error::Serve(format!("there is no state directory `{}`", path.display())))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn cannot_listen(error: io::Error) -> Error {
    Error::Serve(format!("it cannot be listened there: {error}"))
}

impl Door {
    fn open(asked: &Serve, has_token: bool) -> Result<Self, Error> {
        if let Some(path) = &asked.socket {
            return Self::socket(path);
        }
        let addresses: Vec<SocketAddr> = asked
            .listen
            .to_socket_addrs()
            .map_err(|error| {
                Error::Serve(format!("`{}` is no ADDRESS:PORT: {error}", asked.listen))
            })?
            .collect();
        if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback())
            && !has_token
        {
            return Err(Error::Serve(format!(
                "others could read logs at {open}: only an address of this machine alone, such as 127.0.0.1, is listened on \
                 without `--token-file`"
            )));
        }
        let listener = TcpListener::bind(&*addresses).map_err(|error| {
            Error::Serve(format!("`{}` cannot be listened on: {error}", asked.listen))
        })?;
        Ok(Self::Port(listener))
    }

    /// Makes a socket that is this user's alone. One that nobody listens on any more is replaced.
    fn socket(path: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        let found = std::fs::symlink_metadata(path);
        if found.is_ok_and(|found| found.file_type().is_socket())
            && UnixStream::connect(path).is_err()
        {
            let _ = std::fs::remove_file(path);
        }
        let failed =
            |error| Error::Serve(format!("`{}` cannot be listened on: {error}", path.display()));
        // Nobody comes in between its making and its mode.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound.map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self::Socket(listener, path.to_owned()))
    }

    fn next(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Port(listener) => {
                let (stream, _) = listener.accept()?;
                patient_tcp(&stream)?;
                Ok(Box::new(stream))
            }
            Self::Socket(listener, _) => {
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }
}

fn patient_tcp(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)
}

fn accept(server: &Arc<Server>, door: &Door) {
    loop {
        let Ok(mut stream) = door.next() else {
            // Out of descriptors, or a client that was gone at once.
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        if server.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
            let _ = Response::status(503).send(&Request::default(), &mut *stream);
            server.connections.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let serving = Arc::clone(server);
        let spawned = std::thread::Builder::new().name("client".to_owned()).spawn(move || {
            serving.serve(&mut *stream);
            serving.connections.fetch_sub(1, Ordering::AcqRel);
        });
        if spawned.is_err() {
            server.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Server {
    /// Serves `states`, the first of which is number 0 in addresses; `config` says which hosts are asked who has and who waits
    /// for what. With a `token`, who does not give it is refused.
    #[must_use]
    pub fn new(states: Vec<StateDir>, config: Config, token: Option<&str>) -> Arc<Self> {
        let (site, gate) = (Site::new(states, config), Gate::new(token));
        Arc::new(Self { site, gate, connections: AtomicUsize::new(0) })
    }

    /// Answers one client until it goes: a stream that ends, or fails, is one that is gone.
    pub fn serve(self: &Arc<Self>, stream: &mut dyn Stream) {
        let mut requests = Requests::new();
        loop {
            match requests.next(stream) {
                Ok(request) => {
                    let response = self.answer(&request);
                    match response.send(&request, stream) {
                        Ok(true) => {}
                        Ok(false) | Err(_) => return,
                    }
                }
                Err(NoRequest::Gone) => return,
                Err(NoRequest::Refused(status)) => {
                    let _ = Response::status(status).send(&Request::default(), stream);
                    return;
                }
            }
        }
    }

    fn answer(self: &Arc<Self>, request: &Request) -> Response {
        if let Some(status) = self.gate.refuses(request) {
            return Response::status(status);
        }
        let answer = routes::route(&request.path).and_then(|route| self.find(route, request));
        answer.unwrap_or_else(|| Response::status(404))
    }

    /// Returns what is at an address; nothing: there is nothing.
    fn find(self: &Arc<Self>, route: Route, request: &Request) -> Option<Response> {
        let page = |(page, policy): pages::Page| html(page.into_bytes(), policy);
        match route {
            Route::Index => Some(page(pages::runs(&self.site))),
            Route::Runs => Some(Response::new(200, http::JSON, self.site.list().as_bytes())),
            Route::RunsEvents => Some(Response::events(self.runs_events())),
            Route::History => Some(page(pages::over_time(&self.site))),
            Route::Hosts => Some(page(pages::hosts())),
            Route::HostsData => Some(Response::new(200, http::JSON, self.site.hosts().as_bytes())),
            Route::Results => Some(page(pages::kept(&self.site))),
            Route::Run(state, id, what) => {
                let (dir, run) = self.site.run(state, &id)?;
                match what {
                    OfRun::Page => {
                        let base = format!("/runs/{state}/{id}");
                        let above = pages::navigation(&base);
                        let (page, policy) = run.page(&base, &above, pages::STYLE);
                        Some(html(page, policy))
                    }
                    OfRun::Events => {
                        let since =
                            request.last_event_id.clone().or_else(|| request.value("since"));
                        Some(Response::events(run_events(
                            run,
                            since.and_then(|since| since.parse().ok()),
                        )))
                    }
                    OfRun::Record => {
                        let text = run.record().to_json().into_bytes();
                        Some(Response::new(200, http::JSON, text))
                    }
                    OfRun::Find => Some(find_everywhere(&dir, &run.nodes(), request)),
                    OfRun::Node(node, what) => {
                        run.has_node(node.as_str()).then_some(())?;
                        self.of_node(&dir.node(&node), &what, request)
                    }
                }
            }
        }
    }

    fn of_node(
        self: &Arc<Self>,
        node: &Path,
        what: &OfNode,
        request: &Request,
    ) -> Option<Response> {
        match what {
            OfNode::Log(log, what) => {
                let path = log_path(node, *log);
                let file = open(&path);
                // A job that has said nothing has no log yet.
                let is_silent = !log.host
                    && path.symlink_metadata().is_err()
                    && open(&path.with_file_name("host.log")).is_some();
                if file.is_none() && !is_silent {
                    return None;
                }
                match what {
                    OfLog::Bytes => {
                        let Some(file) = file else { return Some(Response::new(200, TEXT, *b"")) };
                        let length = file.metadata().ok()?.len();
                        Some(Response::file(file, length, TEXT, request.range.as_deref()))
                    }
                    OfLog::Lines if is_silent => Some(Response::json(&log::Lines::empty())),
                    OfLog::Lines => self.site.indexes.of(&path, Response::json).ok(),
                    OfLog::Find if is_silent => {
                        Some(Response::json(&json!({ "hits": [], "more": false })))
                    }
                    OfLog::Tail => {
                        let from = request.last_event_id.clone().or_else(|| request.value("from"));
                        let from = from.and_then(|from| from.parse().ok()).unwrap_or(0);
                        Some(Response::events(tail(Arc::clone(self), path, from)))
                    }
                    OfLog::Find => {
                        let sought = request.value("text")?;
                        let (hits, more) = log::find(&path, &sought, log::MOST_HITS).ok()?;
                        Some(Response::json(&json!({ "hits": hits, "more": more })))
                    }
                }
            }
            OfNode::Artifacts => Some(Response::json(&artifacts(&node.join("artifacts")))),
            OfNode::Artifact(path) => artifact(&node.join("artifacts"), path, request),
        }
    }

    /// Tells the newest runs, whenever they are others or stand otherwise.
    fn runs_events(self: &Arc<Self>) -> Events {
        let server = Arc::clone(self);
        Box::new(move |to| {
            let mut told = Arc::from("");
            until_gone(to, |to| {
                let now = server.site.list();
                if now == told {
                    return Ok(Step::Nothing);
                }
                http::event(to, None, "runs", &now)?;
                told = now;
                Ok(Step::Sent)
            })
        })
    }
}

fn html(page: impl Into<Arc<[u8]>>, policy: String) -> Response {
    let mut response = Response::new(200, HTML, page);
    response.policy = Some(format!("{policy}; frame-ancestors 'none'"));
    response
}

/// What a stream did.
enum Step {
    Sent,
    Nothing,
    Over,
}

/// Takes steps until there are no more or the client is gone, which it hears of at the next sign of life at the latest.
fn until_gone(
    to: &mut dyn Write,
    mut step: impl FnMut(&mut dyn Write) -> io::Result<Step>,
) -> io::Result<()> {
    to.write_all(b"retry: 1000\n\n")?;
    to.flush()?;
    let mut signed = Instant::now();
    loop {
        match step(to)? {
            Step::Over => return Ok(()),
            Step::Sent => signed = Instant::now(),
            Step::Nothing if signed.elapsed() >= SIGN => {
                to.write_all(b":\n\n")?;
                to.flush()?;
                signed = Instant::now();
            }
            Step::Nothing => {}
        }
        std::thread::sleep(PAUSE);
    }
}

/// Tells what changes of a run, from some news on.
fn run_events(run: Arc<live::Run>, since: Option<u64>) -> Events {
    Box::new(move |to| {
        let mut heard = since;
        until_gone(to, |to| {
            let Some(news) = run.news_after(heard) else { return Ok(Step::Nothing) };
            if let Some(nodes) = &news.nodes {
                http::event(to, None, "nodes", nodes)?;
            }
            // The number comes last: who loses the connection in between hears all of it again.
            http::event(to, Some(&news.number.to_string()), "head", &news.head)?;
            heard = Some(news.number);
            if news.over {
                http::event(to, Some(&news.number.to_string()), "over", "")?;
                return Ok(Step::Over);
            }
            Ok(Step::Sent)
        })
    })
}

/// Tells where the new lines of a log begin as it grows, from a byte on.
fn tail(server: Arc<Server>, path: PathBuf, from: u64) -> Events {
    Box::new(move |to| {
        let mut told = from;
        until_gone(to, |to| {
            let length = match std::fs::metadata(&path) {
                Ok(found) => found.len(),
                // Nothing was said yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound && told == 0 => 0,
                Err(error) => return Err(error),
            };
            if length == told {
                return Ok(Step::Nothing);
            }
            let (bytes, data) = server.site.indexes.of(&path, |lines| {
                // A log that is shorter than what was told is another: told from its beginning.
                let known = if lines.bytes < told { 0 } else { told };
                let (first, starts) = lines.since(known);
                let data = json!({ "bytes": lines.bytes, "lines": lines.lines, "first": first, "starts": starts });
                (lines.bytes, data.to_string())
            })?;
            http::event(to, Some(&bytes.to_string()), "grown", &data)?;
            told = bytes;
            Ok(Step::Sent)
        })
    })
}

fn log_path(node: &Path, log: Log) -> PathBuf {
    let name = if log.host { "host.log" } else { "guest.log" };
    match log.attempt {
        Some(attempt) => node.join("attempts").join(attempt.to_string()).join(name),
        None => node.join(name),
    }
}

/// Opens a plain file, and nothing that a link leads to.
fn open(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

/// Names lines of a run's last outputs that hold a text.
fn find_everywhere(dir: &RunDir, nodes: &[String], request: &Request) -> Response {
    let sought = request.value("text").unwrap_or_default();
    let (mut found, mut more) = (Vec::new(), false);
    for (at, id) in nodes.iter().enumerate() {
        let Ok(id) = plans::NodeId::new(id.as_str()) else { continue };
        let path = dir.node(&id).join("guest.log");
        if open(&path).is_none() {
            continue;
        }
        let Ok((hits, cut)) = log::find(&path, &sought, HITS - found.len()) else { continue };
        more |= cut;
        found.extend(
            hits.into_iter().map(|hit| json!({ "node": at, "line": hit.line, "text": hit.text })),
        );
        if found.len() >= HITS {
            more = true;
            break;
        }
    }
    Response::json(&json!({ "hits": found, "more": more }))
}

/// Lists the artifacts of a node: the path of each as people read it, its address, its bytes.
fn artifacts(dir: &Path) -> Vec<serde_json::Value> {
    use std::os::unix::ffi::OsStrExt as _;
    let tree = LocalTree::open(dir);
    let Ok(found) = tree.list(&[PathBuf::new()]) else { return Vec::new() };
    let files = found.into_iter().filter(|entry| entry.kind == FileKind::File);
    files
        .map(|entry| {
            let parts = entry.path.iter().map(|part| http::encode(part.as_bytes()));
            let bytes =
                std::fs::symlink_metadata(dir.join(&entry.path)).map_or(0, |found| found.len());
            json!({
                "path": crate::text::neutral_unlimited(&entry.path.to_string_lossy()),
                "at": parts.collect::<Vec<_>>().join("/"),
                "bytes": bytes,
            })
        })
        .collect()
}

/// Sends an artifact that is listed, to be saved and never to be shown.
fn artifact(dir: &Path, path: &[u8], request: &Request) -> Option<Response> {
    use std::os::unix::ffi::OsStrExt as _;
    let tree = LocalTree::open(dir);
    let listed = tree.list(&[PathBuf::new()]).ok()?;
    let listed = listed
        .into_iter()
        .find(|entry| entry.kind == FileKind::File && entry.path.as_os_str().as_bytes() == path)?;
    let file = tree.file(&listed.path)?;
    let length = file.metadata().ok()?.len();
    let mut response =
        Response::file(file, length, "application/octet-stream", request.range.as_deref());
    let name =
        listed.path.file_name().map(|name| http::encode(name.as_bytes())).unwrap_or_default();
    response.headers.push(("Content-Disposition", format!("attachment; filename*=UTF-8''{name}")));
    Some(response)
}
