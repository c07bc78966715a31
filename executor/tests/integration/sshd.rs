//! A private sshd for one test: own keys, own configuration, a free port, and a link that can be cut.

#![expect(clippy::print_stderr, reason = "a test says why it was skipped")]

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use executor::ssh::{Host, SshOptions};

/// A server, the link to it, and a client configuration with one host, `testhost`.
pub(crate) struct Sshd {
    directory: tempfile::TempDir,
    server: Child,
    pub(crate) link: Link,
}

impl Sshd {
    /// Starts a server with further lines in its configuration, in which `{root}` is the test's own
    /// directory. `None`, with a word on stderr, where there
    /// is no sshd; under CI that is a failure.
    pub(crate) fn start(configuration: &str) -> Option<Self> {
        let found = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
        let Some(program) = found.iter().find(|path| Path::new(path).exists()) else {
            assert!(std::env::var_os("CI").is_none(), "sshd is not installed (openssh-server)");
            eprintln!("skipped: sshd is not installed (openssh-server)");
            return None;
        };
        // Short: control sockets live below it.
        let directory =
            tempfile::Builder::new().prefix("fl").tempdir_in("/tmp").expect("a directory");
        let root = directory.path();
        for key in ["host_key", "other_key", "user_key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(root.join(key))
                .stdin(Stdio::null())
                .status();
            assert!(made.is_ok_and(|status| status.success()), "ssh-keygen works");
        }
        fs::copy(root.join("user_key.pub"), root.join("authorized_keys")).expect("a copy");
        // Privilege separation wants it; without root there is none.
        let _ = fs::create_dir_all("/run/sshd");
        let configuration = configuration.replace("{root}", &root.display().to_string());
        let (server, port) = serve(program, root, &configuration);
        let link = Link::to(port);
        let sshd = Self { directory, server, link };
        sshd.write_client_configuration("host_key");
        Some(sshd)
    }

    /// Writes a client configuration that knows the server by `key`.
    pub(crate) fn write_client_configuration(&self, key: &str) {
        let root = self.directory.path();
        let port = self.link.port;
        let key = fs::read_to_string(root.join(format!("{key}.pub"))).expect("a key");
        fs::write(root.join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).expect("written");
        let user =
            String::from_utf8(Command::new("id").arg("-un").output().expect("id works").stdout);
        let configuration = format!(
            "Host testhost\n HostName 127.0.0.1\n Port {port}\n User {}\n IdentityFile {root}/user_key\n \
             IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {root}/known_hosts\n \
             GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n \
             LocalForward {root}/forward.sock localhost:1\n RemoteCommand echo of-the-alias\n \
             RequestTTY force\n ControlMaster auto\n ControlPath {root}/users-own.sock\n\
             Host nowhere\n HostName does-not-exist.invalid\n\
             Host silent\n ProxyCommand sh -c 'echo $$ >{root}/new; mv {root}/new {root}/proxy; exec sleep 600'\n",
            user.expect("a name").trim(),
            root = root.display(),
        );
        fs::write(root.join("ssh_config"), configuration).expect("written");
    }

    /// Returns a directory that is the test's own.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Returns options for a destination of the client configuration, less patient than in earnest.
    pub(crate) fn options(&self, destination: &str) -> SshOptions {
        let runtime = self.root().join("r");
        executor::ssh::prepare_runtime_dir(&runtime).expect("a directory");
        let mut options = SshOptions::new(destination, &runtime);
        options.arguments = vec!["-F".into(), self.root().join("ssh_config").into()];
        options.heartbeat = Duration::from_millis(300);
        options.silence = Duration::from_secs(3);
        options.reconnect_budget = Duration::from_secs(60);
        options
    }

    pub(crate) fn host(&self) -> Host {
        Host::new(self.options("testhost")).expect("descriptors")
    }

    /// Returns the server and all of its children.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.server.id()];
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            found.extend(children_of(parent));
            next += 1;
        }
        found
    }

    /// Kills the sessions, not the listener: what runs in them is not touched.
    pub(crate) fn kill_sessions(&self) {
        for pid in self.processes().into_iter().skip(1) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.starts_with("sshd") {
                signal(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill_sessions();
        let _ = self.server.kill();
        let _ = self.server.wait();
        self.link.cut();
    }
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    let _ = rustix::process::kill_process(pid, signal);
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("a /proc").flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            let found: u32 = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
            (found == parent).then_some(pid)
        })
        .collect()
}

/// Starts sshd on a port that is free: asks the system for one, and again if somebody was faster.
fn serve(program: &str, root: &Path, configuration: &str) -> (Child, u16) {
    for _ in 0..10 {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let text = format!(
            "{configuration}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {root}/host_key\n\
             AuthorizedKeysFile {root}/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             PrintMotd no\nLogLevel ERROR\nUseDNS no\n",
            root = root.display(),
        );
        fs::write(root.join("sshd_config"), text).expect("written");
        let mut server = Command::new(program)
            .arg("-D")
            .arg("-e")
            .arg("-f")
            .arg(root.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(root.join("sshd.log")).expect("a log"))
            .process_group(0)
            .spawn()
            .expect("sshd starts");
        let until = Instant::now() + Duration::from_secs(30);
        while server.try_wait().expect("a child").is_none() && Instant::now() < until {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (server, port);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = server.kill();
        let _ = server.wait();
    }
    let log = fs::read_to_string(root.join("sshd.log")).unwrap_or_default();
    panic!("sshd does not start: {log}");
}

/// A TCP relay before the server: cut, frozen and healed at will.
pub(crate) struct Link {
    pub(crate) port: u16,
    state: Arc<LinkState>,
}

struct LinkState {
    target: u16,
    /// Bytes wait, connections stay: a network that swallows packets.
    frozen: AtomicBool,
    /// New connections are closed at once.
    down: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Link {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(LinkState {
            target,
            frozen: AtomicBool::new(false),
            down: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for incoming in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.relay(incoming));
            }
        });
        Self { port, state }
    }

    /// Breaks what is connected; what connects afterwards works.
    pub(crate) fn cut(&self) {
        for stream in self.state.streams.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on nothing gets through and nobody is told.
    pub(crate) fn freeze(&self) {
        self.state.frozen.store(true, Ordering::SeqCst);
    }

    pub(crate) fn thaw(&self) {
        self.state.frozen.store(false, Ordering::SeqCst);
    }

    /// Breaks what is connected and refuses what connects, until [`up`](Self::up).
    pub(crate) fn down(&self) {
        self.state.down.store(true, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn up(&self) {
        self.state.down.store(false, Ordering::SeqCst);
    }
}

impl LinkState {
    fn relay(self: &Arc<Self>, client: TcpStream) {
        if self.down.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target)) else { return };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        {
            let mut streams = self.streams.lock().expect("no panic");
            streams.extend([client.try_clone(), server.try_clone()].into_iter().flatten());
        }
        let (Ok(back_from), Ok(back_to)) = (server.try_clone(), client.try_clone()) else { return };
        let shared = Arc::clone(self);
        let back = thread::spawn(move || shared.pump(back_from, back_to));
        self.pump(client, server);
        let _ = back.join();
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = [0; 64 * 1024];
        loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            while self.frozen.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
            if to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// Installs the supervisor on the host, below `work`, and returns where it is.
pub(crate) fn install_shim(host: &Host, work: &Path) -> PathBuf {
    use executor::supervise::shim;
    let directory = work.join("bin");
    host.check(&shim::install(&directory), &host.patience()).expect("the supervisor is installed");
    directory.join(shim::file_name())
}
