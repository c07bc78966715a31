//! What a job leaves on a host: artifacts brought here, outputs kept there.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use plans::Output;

use super::{
    artifacts::{self, FetchError},
    machine::{RemoteSsh, fault},
};
use crate::{
    command_line::Script,
    fault::{FailureKind, Fault},
    placements::Collected,
    supervise::JobRef,
};

impl RemoteSsh {
    /// Brings back the files below `root` that match, but for those whose names are in `except`; returns the
    /// names of those it found.
    pub(super) fn bring(
        &self,
        root: &str,
        globs: &[String],
        into: &Path,
        except: &[Vec<u8>],
        collected: &mut Collected,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let patience = self.host.patience();
        let names = artifacts::list(&self.host, Path::new(root), globs, &patience);
        let globs = compile(globs)?;
        let mut names = names.map_err(|error| fault(FailureKind::Collect, &error))?;
        names.retain(|name| {
            use std::os::unix::ffi::OsStrExt as _;
            globs.is_match(std::ffi::OsStr::from_bytes(name)) && !except.contains(name)
        });
        let scratch = Path::new(&self.work_dir);
        let fetched =
            artifacts::fetch(&self.host, Path::new(root), &names, scratch, into, &patience);
        let fetched = fetched.map_err(|error| match &error {
            FetchError::Ssh(ssh) => fault(FailureKind::Collect, ssh),
            FetchError::Unwritable { error: io, .. } => Fault::io(FailureKind::Collect, &error, io),
            FetchError::Archive(_) => Fault::new(FailureKind::Collect, error.to_string()),
        })?;
        for file in &fetched.files {
            collected.files += 1;
            collected.bytes += into.join(file).symlink_metadata().map_or(0, |found| found.len());
        }
        for refused in fetched.refused {
            let name: String =
                refused.path.to_string_lossy().chars().flat_map(char::escape_debug).collect();
            collected.refused.push(format!("{name}: {}", refused.why));
        }
        Ok(names)
    }

    /// Returns where an output is, after a check that it is there and stays where it should.
    pub(super) fn output(&self, job: &JobRef, output: &Output) -> Result<Option<String>, Fault> {
        let places = self.places(job);
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

/// Compiles the globs of a plan: `*` and `?` stay inside a component.
fn compile(globs: &[String]) -> Result<GlobSet, Fault> {
    let broken = |error: &globset::Error| {
        Fault::new(FailureKind::Collect, format!("the plan has a broken glob: {error}"))
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let built = GlobBuilder::new(glob).literal_separator(true).build();
        set.add(built.map_err(|error| broken(&error))?);
    }
    set.build().map_err(|error| broken(&error))
}
