//! A stand-in for `tart` 2.32.1 on Linux: test code, an executable that tests put on a private
//! `PATH` under the name `tart`. Product code knows nothing of it.
//!
//! It keeps the contract that `docs/tart.md` describes: state on disk under `$TART_HOME`, the
//! fcntl lock that means "running", exit codes, texts, the JSON of `list` and `get`, and a guest
//! that is real enough to run jobs in: PID and mount namespaces of its own, a private disk, a
//! sealed root, shares under `/Volumes/My Shared Files`. What a guest is made of is in
//! [`guest`]; the host side of a running guest in [`run`]; `exec` in [`exec`] and [`agent`].
//!
//! It needs Linux, the `unshare` program (util-linux) and root, or user namespaces that an
//! ordinary user may make. Where a guest cannot be made, `tart run` says so and exits 1.
//! `/bin`, `/usr` and the libraries of the guest are the host's, read-only.
//!
//! # Differences from the real one, beside what a Linux guest cannot be
//!
//! * `create --from-ipsw=… NAME` makes an empty guest at once (tests start from it).
//! * Images of a registry exist if they lie in `$TART_HOME/cache/OCIs`; nothing is ever pulled.
//! * What a guest has on its disk is the directory `guest` beside `disk.img`.
//! * `exec -t` is refused: no terminal is ever asked for.
//!
//! # Faults
//!
//! Lines in `$TART_HOME/faults`: `name` or `name=value`, `#` starts a comment. A fault with a
//! count (N) happens N times: each time takes one off.
//!
//! | fault | what happens |
//! | --- | --- |
//! | `version=V` (2.32.1) | what `--version` says |
//! | `disk-kb=N` | what `/Users/Shared` of a guest has room for |
//! | `boot-delay-ms=MS` (50) | `run` takes its lock only after this long |
//! | `agent-delay-ms=MS` (100) | the guest agent answers only after this long |
//! | `agent-never` | it never does |
//! | `agent-dies-at-reboot` | it does not after the guest was restarted from within |
//! | `ip-delay-ms=MS` (200), `no-ip` | the address comes late, or never |
//! | `limit=N` (2) | how many guests may run |
//! | `phantoms=N` | guests that `list` does not show still count against that limit |
//! | `keychain-locked` | `run` fails as on a Mac without an unlocked login keychain |
//! | `run-dies-after-ms=MS` | `run` is killed this long after its start |
//! | `stop-ignored` | `run` takes no notice of `tart stop` until it is killed |
//! | `exec-hangs=N` | the command runs, its output and end are never reported |
//! | `exec-ends-early=N` | the stream ends after the first output without an exit record: 0 |
//! | `exec-drops=N` | the connection breaks after the first output: 1 |
//! | `delete-fails=N` | `delete` fails, the guest stays |
//! | `clone-enospc=N` | `clone` runs out of disk, half a copy stays in `tmp` |
//! | `clone-refuses-existing` | `clone` onto an existing name fails, as later versions do |
//! | `list-hangs` | `list` never answers |
//! | `shares-flap-ms=MS` | shares come and go with this period: what is under them is not found |

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a command line program of one process; what it prints is its contract"
)]

#[cfg(target_os = "linux")]
mod agent;
#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod exec;
#[cfg(target_os = "linux")]
mod failure;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod guest;
#[cfg(target_os = "linux")]
mod json;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod storage;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match verb.as_str() {
        "--version" => {
            println!("{}", faults::value("version").as_deref().unwrap_or("2.32.1"));
            Ok(0)
        }
        "create" => storage::create(&rest),
        "clone" => storage::clone(&rest),
        "set" => storage::set(&rest),
        "list" => storage::list(&rest),
        "get" => storage::get(&rest),
        "delete" => storage::delete(&rest),
        "run" => run::run(&rest),
        "stop" => run::stop(&rest),
        "suspend" => run::suspend(&rest),
        "ip" => run::ip(&rest),
        "exec" => exec::exec(&rest),
        guest::INIT_VERB => guest::init(&rest),
        agent::AGENT_VERB => agent::serve(&rest),
        other => Err(failure::Failure::usage("tart", format!("Unexpected argument '{other}'"))),
    };
    std::process::exit(match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code
        }
    });
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the stand-in for tart is made of Linux namespaces; a Mac has the real one");
    std::process::exit(1);
}
