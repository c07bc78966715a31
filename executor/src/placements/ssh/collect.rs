//! What a job leaves on a host: artifacts brought here, outputs kept there.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use plans::Output;

use super::remote::Remote;
use crate::{
    artifacts::{Found, FoundFile, Tree, shell},
    command_line::Script,
    fault::{FailureKind, Fault},
    ssh::{self, FetchError, fault},
    supervise::JobRef,
};

/// A directory of a host, of which artifacts are kept.
pub(super) struct FarTree<'a> {
    pub(super) remote: &'a Remote,
    pub(super) root: String,
}

impl Tree for FarTree<'_> {
    fn list(&self, below: &[PathBuf]) -> Result<Vec<FoundFile>, Fault> {
        let answer = self.ask(&shell::list(&self.root, below))?;
        shell::read_list(&answer).ok_or_else(|| self.unread())
    }

    fn inspect(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Fault> {
        let answer = self.ask(&shell::inspect(&self.root, paths))?;
        shell::read_found(&answer, paths.len()).ok_or_else(|| self.unread())
    }

    fn read(&self, path: &Path, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let answer = self.ask(&shell::read(&self.root, path, most))?;
        shell::read_read(&answer).ok_or_else(|| self.unread())
    }

    fn bring(&self, files: &[PathBuf], into: &Path) -> Result<(), Fault> {
        let host = &self.remote.host;
        let names: Vec<Vec<u8>> =
            files.iter().map(|file| file.as_os_str().as_bytes().to_vec()).collect();
        let (root, scratch) = (Path::new(&self.root), Path::new(&self.remote.work_dir));
        let fetched = ssh::fetch(host, root, &names, scratch, into, &host.patience());
        fetched.map(drop).map_err(|error| match &error {
            FetchError::Ssh(ssh) => fault(FailureKind::Collect, ssh),
            FetchError::Unwritable { error: io, .. } => Fault::io(FailureKind::Collect, &error, io),
            FetchError::Archive(_) => Fault::new(FailureKind::Collect, error.to_string()),
        })
    }
}

impl FarTree<'_> {
    fn ask(&self, script: &Script) -> Result<Vec<u8>, Fault> {
        let host = &self.remote.host;
        host.check(script, &host.patience()).map_err(|error| fault(FailureKind::Collect, &error))
    }

    fn unread(&self) -> Fault {
        let what = format!("host `{}`: {} cannot be listed", self.remote.name, self.root);
        Fault::new(FailureKind::Collect, what)
    }
}

impl Remote {
    /// Returns where an output is, after a check that it is there and stays where it should.
    pub(super) fn output(&self, job: &JobRef, output: &Output) -> Result<Option<String>, Fault> {
        let places = self.paths(job);
        let script = match output {
            Output::Workspace => {
                Script::new("cd").word(format!("{}/workspace", places.output)).text(" && pwd -P")
            }
            Output::StorePath => {
                Script::new("cd").word(&places.output).text(" && [ -e result ] && readlink result")
            }
            // Copied, since the workspace goes with the attempt; whole or not at all.
            Output::Directory(below) => Script::new("")
                .set("ws", places.copy(false))
                .set("out", &places.output)
                .set("below", below.as_str())
                .text(
                    "real=$(cd \"$ws\" && pwd -P) && from=$(cd \"$ws/$below\" && pwd -P) || exit 1\n\
                     case $from/ in \"$real\"/*) ;; *) exit 1 ;; esac\n\
                     if [ ! -d \"$out/directory\" ]; then\n\
                     mkdir -p \"$out\" && rm -rf \"$out/.new\" && cp -Rp \"$from\" \"$out/.new\" &&\n\
                     mv \"$out/.new\" \"$out/directory\" || exit 2\n\
                     fi\ncd \"$out/directory\" && pwd -P",
                ),
        };
        let answer = self.host.run(&script, &self.host.patience());
        let answer = answer.map_err(|error| fault(FailureKind::Collect, &error))?;
        match answer.status {
            0 => Ok(Some(answer.text())),
            2 => Err(Fault::new(
                FailureKind::Collect,
                format!(
                    "host `{}`: the output of {job} cannot be kept: {}",
                    self.name,
                    answer.text()
                ),
            )),
            _ => Ok(None),
        }
    }
}
