//! Sends a directory to a host as a source tree and prints how many milliseconds that took, connecting
//! apart. Called by `scripts/bench/ssh`: `send SSH_CONFIG HOST WORK_DIR ID DIRECTORY CACHE`.
#![expect(clippy::print_stdout, reason = "the number is what it is for")]

use std::{path::Path, process::ExitCode, time::Instant};

use executor::{
    command_line::Script,
    ssh::{Host, SshOptions, prepare_runtime_dir, send},
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [config, destination, work_dir, id, directory, cache] = &words[..] else {
        return ExitCode::from(2);
    };
    let runtime = std::env::temp_dir().join(format!("forge-lanes-send-{}", std::process::id()));
    let sent = prepare_runtime_dir(&runtime).map_err(|error| error.to_string()).and_then(|()| {
        let mut options = SshOptions::new(destination, &runtime);
        options.arguments = vec!["-F".into(), config.into()];
        let host = Host::new(options).map_err(|error| error.to_string())?;
        let patience = host.patience();
        host.check(&Script::new("true"), &patience).map_err(|error| error.to_string())?;
        let began = Instant::now();
        let sent =
            send(&host, Path::new(work_dir), id, Path::new(directory), Path::new(cache), &patience);
        let took = began.elapsed();
        sent.map(|sent| (sent, took)).map_err(|error| error.to_string())
    });
    let _ = std::fs::remove_dir_all(&runtime);
    match sent {
        Ok((sent, took)) => {
            println!("{} {sent:?}", took.as_millis());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
