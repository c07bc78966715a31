//! Go modules: workspaces (`go.work`) and replacements by directories.
//!
//! Source: the Go Modules Reference. A module that others of the workspace require or import, and
//! every directory that a `replace` names, counts. In a workspace an import needs no `require`, so
//! the sources of its modules are looked at for the names of the others. The go command reads
//! `vendor` beside `go.work` too.
//! What comes from the module proxy is no directory of the tree; `go.sum` lies in the module's own
//! directory, so a change of it selects that module.

mod directives;

use std::collections::{BTreeMap, BTreeSet};

use self::directives::{Directives, directives};
use super::{
    End, Kind, Manifests, Package, Packages, Text, To, directory_of, file_in, join,
    places::{depend, is_below},
};
use crate::planned_tree::TreeError;

pub(crate) const KIND: Kind = Kind {
    kind: lanes::PackageKind::Go,
    manifest: "go.mod",
    watched: &["**/go.mod", "**/go.work"],
    read,
    lock: |path, _| Err(format!("`{path}` is not read for single packages")),
};

/// A workspace: where its `go.work` is, what that says, and the directories it uses.
#[derive(Clone)]
struct Workspace {
    dir: String,
    says: Directives,
    used: BTreeSet<String>,
}

fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut reader = Reader {
        manifests,
        modules: BTreeMap::new(),
        workspaces: BTreeMap::new(),
        packages: Packages::default(),
        imported: BTreeMap::new(),
    };
    let mut start = vec![String::new()];
    start.extend(reader.workspace("")?.into_iter().flat_map(|it| it.used));
    reader.read_from(start)?;
    if !reader.packages.has(manifests.wanted()) {
        let all = manifests.matching("**/go.mod")?;
        reader.read_from(all.iter().map(|path| directory_of(path).to_owned()).collect())?;
    }
    Ok(reader.packages)
}

struct Reader<'a> {
    manifests: &'a Manifests<'a>,
    modules: BTreeMap<String, Option<Directives>>,
    workspaces: BTreeMap<String, Option<Workspace>>,
    packages: Packages,
    /// By a module's directory and its workspace's: the modules that its sources name.
    imported: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Reader<'_> {
    /// What the `go.mod` of a directory says; none where there is none, or none that can be read.
    fn module(&mut self, dir: &str) -> Result<Option<Directives>, TreeError> {
        if let Some(known) = self.modules.get(dir) {
            return Ok(known.clone());
        }
        let path = file_in(dir, "go.mod");
        let found = match self.manifests.text(&path)? {
            Text::Absent => None,
            Text::Unreadable(detail) => {
                self.packages.unreadable(&path, dir, &detail, None);
                None
            }
            Text::Read(text) => match directives(&text) {
                Ok(found) => Some(found),
                Err(detail) => {
                    self.packages.unreadable(&path, dir, &detail, Some(&text));
                    None
                }
            },
        };
        self.modules.insert(dir.to_owned(), found.clone());
        Ok(found)
    }

    /// The workspace whose `go.work` is in a directory.
    fn workspace(&mut self, dir: &str) -> Result<Option<Workspace>, TreeError> {
        if let Some(known) = self.workspaces.get(dir) {
            return Ok(known.clone());
        }
        let path = file_in(dir, "go.work");
        let read = match self.manifests.text(&path)? {
            Text::Absent => None,
            Text::Unreadable(detail) => Some(Err((detail, None))),
            Text::Read(text) => Some(directives(&text).map_err(|detail| (detail, Some(text)))),
        };
        let found = match read {
            None => None,
            Some(Ok(says)) => {
                let used = says.uses.iter().filter_map(|it| join(dir, it)).collect();
                Some(Workspace { dir: dir.to_owned(), says, used })
            }
            Some(Err((detail, text))) => {
                self.packages.unreadable(&path, dir, &detail, text.as_deref());
                None
            }
        };
        self.workspaces.insert(dir.to_owned(), found.clone());
        Ok(found)
    }

    /// The workspace that a module is built in: the nearest `go.work` above it, if that uses it.
    fn workspace_of(&mut self, module: &str) -> Result<Option<Workspace>, TreeError> {
        let mut above = Some(module);
        while let Some(dir) = above {
            if let Some(workspace) = self.workspace(dir)? {
                return Ok(workspace.used.contains(module).then_some(workspace));
            }
            above = (!dir.is_empty()).then(|| directory_of(dir));
        }
        Ok(None)
    }

    /// Reads the modules of some directories and all that they lead to.
    fn read_from(&mut self, start: Vec<String>) -> Result<(), TreeError> {
        let mut seen = BTreeSet::new();
        let mut queue: Vec<(String, Option<Workspace>)> =
            start.into_iter().map(|dir| (dir, None)).collect();
        while let Some((dir, outer)) = queue.pop() {
            // What a module of a workspace is replaced by is built in that workspace.
            let own = self.workspace_of(&dir)?;
            let workspaces: Vec<Workspace> = own.into_iter().chain(outer).collect();
            let of = workspaces.last().map(|it| it.dir.clone());
            if !seen.insert((dir.clone(), of)) {
                continue;
            }
            let Some(says) = self.module(&dir)? else { continue };
            let Some(name) = says.module.clone() else {
                let path = file_in(&dir, "go.mod");
                self.packages.unreadable(&path, &dir, "it has no `module`", None);
                continue;
            };
            let known = self.packages.at(&dir).cloned();
            let mut package = known.unwrap_or_else(|| Package::new(name, dir.clone()));
            for (_, target) in &says.replaced {
                self.replacement(&mut package, &dir, target)?;
            }
            for workspace in &workspaces {
                self.in_workspace(&mut package, &says, workspace)?;
            }
            let needed = package.dependencies.iter().filter_map(|it| it.to.directory());
            let workspace = workspaces.last();
            queue.extend(needed.map(|dir| (dir.to_owned(), workspace.cloned())));
            self.packages.insert(package);
        }
        Ok(())
    }

    /// The modules of a workspace that the sources of a module name.
    fn imports(
        &mut self,
        module: &str,
        workspace: &Workspace,
    ) -> Result<BTreeSet<String>, TreeError> {
        let key = (module.to_owned(), workspace.dir.clone());
        if let Some(known) = self.imported.get(&key) {
            return Ok(known.clone());
        }
        let mut modules = Vec::new();
        for used in workspace.used.iter().filter(|used| *used != module) {
            let path = self.module(used)?.and_then(|it| it.module);
            modules.extend(path.map(|path| (path, used.clone())));
        }
        // The module with the longest name that has the package.
        modules.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let below = |pattern: &str| file_in(&globset::escape(module), pattern);
        let inner = self.manifests.matching(&below("**/go.mod"))?;
        let inner: Vec<&str> = inner.iter().map(|path| directory_of(path)).collect();
        let is_inner = |path: &str| inner.iter().any(|dir| *dir != module && is_below(path, dir));
        let mut wanted = BTreeSet::new();
        let mut found = BTreeSet::new();
        for file in self.manifests.matching(&below("**/*.go"))? {
            if is_inner(&file) {
                continue;
            }
            match self.manifests.text(&file)? {
                Text::Absent => {}
                Text::Unreadable(_) => found.extend(modules.iter().map(|(path, _)| path.clone())),
                Text::Read(text) => {
                    for (path, _) in &modules {
                        wanted.extend(imports(&text, path).map(str::to_owned));
                    }
                }
            }
        }
        for import in wanted {
            let mut has_it = false;
            for (path, dir) in &modules {
                let Some(rest) = import.strip_prefix(path.as_str()) else { continue };
                if has_it || !(rest.is_empty() || rest.starts_with('/')) {
                    continue;
                }
                let place = self.manifests.lead(dir, rest.trim_start_matches('/'))?;
                has_it = matches!(place.end, End::Directory(_));
                found.insert(path.clone());
            }
        }
        self.imported.insert(key, found.clone());
        Ok(found)
    }

    fn in_workspace(
        &mut self,
        package: &mut Package,
        says: &Directives,
        workspace: &Workspace,
    ) -> Result<(), TreeError> {
        // Before Go 1.17 a module does not list what its requirements require.
        let imported = self.imports(&package.dir, workspace)?;
        let requires = |path: &str| {
            !says.lists_indirect()
                || says.requires.iter().any(|it| it == path)
                || imported.contains(path)
        };
        for file in ["go.work", "go.work.sum"] {
            package.uses(To::File(file_in(&workspace.dir, file)), file);
        }
        package.uses(To::Directory(file_in(&workspace.dir, "vendor")), "vendor");
        for (path, target) in &workspace.says.replaced {
            if requires(path) {
                self.replacement(package, &workspace.dir, target)?;
            }
        }
        let own = package.dir.clone();
        for used in workspace.used.iter().filter(|used| **used != own) {
            let Some(other) = self.module(used)? else {
                if self.packages.problems().any(|problem| problem.dir == *used) {
                    package.needs(used.clone());
                }
                continue;
            };
            if other.module.as_deref().is_none_or(&requires) {
                package.needs(used.clone());
            }
            // A replacement in one module of a workspace holds for all of them.
            for (path, target) in &other.replaced {
                if requires(path) {
                    self.replacement(package, used, target)?;
                }
            }
        }
        Ok(())
    }

    fn replacement(
        &mut self,
        package: &mut Package,
        from: &str,
        target: &str,
    ) -> Result<(), TreeError> {
        let place = self.manifests.lead(from, target)?;
        let is_module = |dir: &str| {
            !matches!(self.manifests.text(&file_in(dir, "go.mod")), Ok(Text::Absent) | Err(_))
        };
        if !depend(package, &place, target, &is_module) && !target.starts_with('/') {
            let path = file_in(from, if from == package.dir { "go.mod" } else { "go.work" });
            let detail = format!("replaces a module by `{target}`, which is not in the tree");
            self.packages.unfollowed(&path, &package.dir, detail);
            if let Some(missing) = join(from, target) {
                package.uses(To::Directory(missing), target);
            }
        }
        Ok(())
    }
}

/// What a source names of a module in quotes, as imports do.
fn imports<'t>(text: &'t str, module: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(module).filter_map(move |(at, _)| {
        let quoted = text[..at].ends_with(['"', '`']);
        let end = text[at..].find(['"', '`', '\n'])?;
        let import = &text[at..at + end];
        let rest = &import[module.len()..];
        (quoted && (rest.is_empty() || rest.starts_with('/'))).then_some(import)
    })
}

#[cfg(test)]
mod tests;
