//! Deleting an instance until it is gone, whatever the daemon is at meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::engine::{ACT, Engine};
use crate::{
    batch::Batch,
    fault::{FailureKind, Fault},
};

/// How long a daemon that is restarted may stay away.
const RESTART: Duration = Duration::from_secs(60);

/// Something that the daemon is at.
#[derive(Debug, Deserialize)]
struct Operation {
    /// What it is about, by kind: paths that end with a name, and maybe a project.
    resources: Option<BTreeMap<String, Vec<String>>>,
}

impl Operation {
    fn is_about(&self, instance: &str) -> bool {
        let instances = self.resources.iter().flat_map(|all| all.get("instances")).flatten();
        let names = instances.filter_map(|path| path.rsplit('/').next()?.split('?').next());
        names.into_iter().any(|name| name == instance)
    }
}

/// Looks for instances, by machine and project.
static LOOKS: Mutex<BTreeMap<[String; 2], Looks>> = Mutex::new(BTreeMap::new());

/// Those of one project.
type Looks = Arc<Batch<Result<bool, Fault>>>;

impl Engine<'_> {
    /// Returns whether an instance is there; asked together with all who ask at the same time.
    fn is_there(&self, name: &str) -> Result<bool, Fault> {
        let key = [self.machine.name(), self.project].map(str::to_owned);
        let looks = {
            let mut all = LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key).or_default())
        };
        looks.ask(name.to_owned(), |names| {
            let which: Vec<String> =
                names.iter().map(|name| format!("name%20eq%20{name}")).collect();
            match self.query(&format!("filter={}", which.join("%20or%20"))) {
                Ok(found) => {
                    let is_there =
                        |name: &String| Ok(found.iter().any(|instance| instance.name == *name));
                    names.iter().map(is_there).collect()
                }
                Err(fault) => names.iter().map(|_| Err(fault.clone())).collect(),
            }
        })
    }

    /// Returns whether the daemon is still at something with an instance: what somebody asked for who has been
    /// killed meanwhile goes on without them.
    fn is_busy(&self, name: &str) -> bool {
        let path = format!("/1.0/operations?recursion=1&project={}", self.project);
        let operations: Option<BTreeMap<String, Vec<Operation>>> = self.read(&path).ok().flatten();
        let mut running =
            operations.and_then(|mut all| all.remove("running")).into_iter().flatten();
        running.any(|operation| operation.is_about(name))
    }

    /// Deletes an instance, and checks that it is gone. Judged by its state, not by exit codes. A
    /// daemon that is being restarted is waited for, and so is one that is still making or starting it.
    pub(super) fn delete(&self, name: &str) -> Result<(), Fault> {
        let until = Instant::now() + RESTART;
        let idle_by = Instant::now() + ACT / 3;
        let mut tries = 0;
        let mut said = String::new();
        while tries < 3 {
            let answer = self.ask(&self.command(["delete", "--force", name]).deadline(ACT / 3))?;
            said = answer.complaint();
            // What is there at the first look may just be going.
            let left = self.is_there(name);
            match left.and_then(|left| if left { self.instance(name) } else { Ok(None) }) {
                Ok(None) => return Ok(()),
                Ok(Some(_)) if Instant::now() < idle_by && self.is_busy(name) => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                Ok(Some(_)) => tries += 1,
                Err(fault) if fault.kind != FailureKind::EngineDown || Instant::now() >= until => {
                    return Err(fault);
                }
                Err(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
        let machine = self.machine.name();
        Err(Fault::new(
            FailureKind::Cleanup,
            format!("instance `{name}` on `{machine}` cannot be deleted: {said}"),
        )
        .advice("`executor gc` tries again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_about_the_instances_whose_paths_it_names() {
        let operation = |text: &str| serde_json::from_str::<Operation>(text).expect("JSON");
        let one = operation(
            r#"{"resources":{"instances":["/1.0/instances/fl-a","/1.0/instances/fl-b?project=p"]}}"#,
        );
        assert!(one.is_about("fl-a") && one.is_about("fl-b") && !one.is_about("fl"));
        assert!(!operation(r#"{"resources":null}"#).is_about("fl-a"));
        assert!(!operation(r#"{"resources":{"images":["/1.0/images/fl-a"]}}"#).is_about("fl-a"));
    }
}
