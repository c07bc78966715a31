//! Python projects of uv: workspaces, sources with a path, and `uv.lock`.
//!
//! Source: uv's documentation, "Workspaces" and "Dependencies", and PEP 508, 621 and 735.
//! Dependencies of every kind count: normal, optional, of groups, of the build. What comes from an
//! index or from git is no directory of the tree. What a build back end computes is not looked at.

mod lock;

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use toml::{Table, Value};

use super::{
    Kind, LockAt, Manifests, Package, Packages, Text, To, directory_of, file_in, join,
    places::{depend, mentioned},
};
use crate::planned_tree::TreeError;

pub(crate) const KIND: Kind = Kind {
    kind: lanes::PackageKind::Uv,
    manifest: NAME,
    watched: &["**/pyproject.toml"],
    read,
    lock: lock::read,
};

const NAME: &str = "pyproject.toml";

fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut reader = Reader { manifests, projects: BTreeMap::new(), packages: Packages::default() };
    reader.read_from(vec![String::new()])?;
    if !reader.packages.has(manifests.wanted()) {
        let all = manifests.matching("**/pyproject.toml")?;
        reader.read_from(all.iter().map(|path| directory_of(path).to_owned()).collect())?;
    }
    Ok(reader.packages)
}

/// A name as PEP 503 compares them.
pub(super) fn normal(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

struct Reader<'a> {
    manifests: &'a Manifests<'a>,
    projects: BTreeMap<String, Option<Table>>,
    packages: Packages,
}

/// The workspace that a project belongs to.
struct Workspace {
    root: String,
    table: Table,
    /// Its projects' directories, by normal name.
    members: BTreeMap<String, BTreeSet<String>>,
}

impl Reader<'_> {
    fn project(&mut self, dir: &str) -> Result<Option<Table>, TreeError> {
        if let Some(known) = self.projects.get(dir) {
            return Ok(known.clone());
        }
        let path = file_in(dir, NAME);
        let found = match self.manifests.text(&path)? {
            Text::Absent => None,
            Text::Unreadable(detail) => {
                self.packages.unreadable(&path, dir, &detail, None);
                None
            }
            Text::Read(text) => match text.parse::<Table>() {
                Ok(table) => Some(table),
                Err(error) => {
                    self.packages.unreadable(&path, dir, error.message(), Some(&text));
                    None
                }
            },
        };
        self.projects.insert(dir.to_owned(), found.clone());
        Ok(found)
    }

    /// The directories that a workspace's `members` name, without those that `exclude` names.
    fn members(&mut self, root: &str, table: &Table) -> Result<Vec<String>, TreeError> {
        let Some(workspace) = at(table, &["tool", "uv", "workspace"]) else {
            return Ok(Vec::new());
        };
        let patterns = |key: &str| -> Vec<String> {
            strings(workspace.get(key)).filter_map(|it| join(root, it)).collect()
        };
        let mut excluded = Vec::new();
        for pattern in patterns("exclude") {
            match GlobBuilder::new(&pattern).literal_separator(true).build() {
                Ok(glob) => excluded.push(glob.compile_matcher()),
                Err(error) => self.packages.unfollowed(
                    &file_in(root, NAME),
                    root,
                    format!("excludes `{pattern}`, which is no pattern: {error}"),
                ),
            }
        }
        let mut dirs = vec![root.to_owned()];
        for pattern in patterns("members") {
            for path in self.manifests.matching(&file_in(&pattern, NAME))? {
                let dir = directory_of(&path);
                if !excluded.iter().any(|glob| glob.is_match(dir)) {
                    dirs.push(dir.to_owned());
                }
            }
        }
        Ok(dirs)
    }

    fn workspace_of(&mut self, dir: &str) -> Result<Option<Workspace>, TreeError> {
        let mut above = Some(dir.to_owned());
        while let Some(root) = above {
            if let Some(table) = self.project(&root)?
                && at(&table, &["tool", "uv", "workspace"]).is_some()
            {
                let dirs = self.members(&root, &table)?;
                if !dirs.iter().any(|member| member == dir) {
                    return Ok(None);
                }
                let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
                for member in dirs {
                    let name = self.project(&member)?.as_ref().and_then(name_of).map(normal);
                    members.entry(name.unwrap_or_default()).or_default().insert(member);
                }
                return Ok(Some(Workspace { root, table, members }));
            }
            above = (!root.is_empty()).then(|| directory_of(&root).to_owned());
        }
        Ok(None)
    }

    fn read_from(&mut self, mut queue: Vec<String>) -> Result<(), TreeError> {
        let mut seen = BTreeSet::new();
        while let Some(dir) = queue.pop() {
            if !seen.insert(dir.clone()) {
                continue;
            }
            let Some(table) = self.project(&dir)? else { continue };
            queue.extend(self.members(&dir, &table)?);
            let Some(name) = name_of(&table).map(str::to_owned) else { continue };
            let mut package = Package::new(name.clone(), dir.clone());
            if normal(&name) != name {
                package.aliases.insert(normal(&name));
            }
            let workspace = self.workspace_of(&dir)?;
            self.fill(&mut package, &table, workspace.as_ref())?;
            let needed = package.dependencies.iter().filter_map(|it| it.to.directory());
            queue.extend(needed.map(str::to_owned));
            self.packages.insert(package);
        }
        Ok(())
    }

    fn fill(
        &mut self,
        package: &mut Package,
        table: &Table,
        workspace: Option<&Workspace>,
    ) -> Result<(), TreeError> {
        let dir = package.dir.clone();
        let (root, root_table) =
            workspace.map_or((dir.as_str(), table), |it| (&it.root, &it.table));
        let mut wanted = requirements(table);
        // The root's overrides and constraints hold for every member.
        wanted.extend(overrides(root_table));
        for wanted in &wanted {
            let key = normal(name_in(wanted));
            if let Some(path) = wanted.split_once("@ file:").map(|(_, path)| path.trim()) {
                let path = path.trim_start_matches("//").trim_start_matches("${PROJECT_ROOT}/");
                self.lead(package, &dir, path)?;
            }
            for member in workspace.iter().flat_map(|it| it.members.get(&key)).flatten() {
                if *member != dir {
                    package.needs(member.clone());
                }
            }
            // A member whose manifest cannot be read may have the name, and any if it says none.
            let unknown = workspace.iter().filter(|it| !it.members.contains_key(&key));
            for member in unknown.flat_map(|it| it.members.get("")).flatten() {
                let may_be = |text: &str| normal(text).contains(&key) || !text.contains("name");
                if *member != dir && self.packages.may_be(member, may_be) {
                    package.needs(member.clone());
                }
            }
            let own = source(table, &key).map(|it| (dir.as_str(), it));
            let inherited = || source(root_table, &key).map(|it| (root, it));
            if let Some((from, source)) = own.or_else(inherited) {
                let entry = (file_in(from, NAME), format!("source of {key}"));
                package.entries.insert(entry, source.to_string());
                let several = source.as_array().cloned().unwrap_or_else(|| vec![source.clone()]);
                for path in several.iter().filter_map(|it| it.get("path")?.as_str()) {
                    self.lead(package, from, path)?;
                }
            }
        }
        let uv = at(root_table, &["tool", "uv"]).cloned().unwrap_or_default();
        let shared = uv.iter().filter(|(key, _)| !matches!(key.as_str(), "workspace" | "sources"));
        let shared: Table = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
        package.entries.insert((file_in(root, NAME), "tool.uv".to_owned()), shared.to_string());
        for index in uv.get("index").and_then(Value::as_array).into_iter().flatten() {
            let url = index.get("url").and_then(Value::as_str).unwrap_or_default();
            if !url.contains("://") && !url.is_empty() {
                self.lead(package, root, url)?;
            }
        }
        for place in strings(uv.get("find-links")).filter(|it| !it.contains("://")) {
            self.lead(package, root, place)?;
        }
        for file in [".python-version", "uv.toml"] {
            package.uses(To::File(file_in(root, file)), file);
        }
        let mut texts = Vec::new();
        texts_of(&Value::Table(table.clone()), &mut texts);
        let texts = texts.iter().map(String::as_str).filter(|text| text.starts_with("../"));
        mentioned(self.manifests, package, &[&dir], texts)?;
        package.locks.insert(LockAt { path: file_in(root, "uv.lock"), key: normal(&package.name) });
        Ok(())
    }

    fn lead(&mut self, package: &mut Package, from: &str, path: &str) -> Result<(), TreeError> {
        let place = self.manifests.lead(from, path)?;
        let is_project = |dir: &str| {
            !matches!(self.manifests.text(&file_in(dir, NAME)), Ok(Text::Absent) | Err(_))
        };
        if !depend(package, &place, path, &is_project) {
            let detail = format!("names the source `{path}`, which is not in the tree");
            self.packages.unfollowed(&file_in(from, NAME), &package.dir, detail);
            if let Some(missing) = join(from, path) {
                package.uses(To::Directory(missing), path);
            }
        }
        Ok(())
    }
}

fn at<'t>(table: &'t Table, keys: &[&str]) -> Option<&'t Table> {
    keys.iter().try_fold(table, |table, key| table.get(*key)?.as_table())
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn name_of(table: &Table) -> Option<&str> {
    table.get("project")?.get("name")?.as_str()
}

/// The requirements of a project, of every kind.
fn requirements(table: &Table) -> Vec<String> {
    let project = at(table, &["project"]);
    let mut lists: Vec<&Value> = project.iter().filter_map(|it| it.get("dependencies")).collect();
    for keys in [&["project", "optional-dependencies"][..], &["dependency-groups"]] {
        lists.extend(at(table, keys).into_iter().flat_map(Table::values));
    }
    lists.extend(at(table, &["build-system"]).and_then(|it| it.get("requires")));
    lists.extend(at(table, &["tool", "uv"]).and_then(|it| it.get("dev-dependencies")));
    lists.into_iter().flat_map(|list| strings(Some(list))).map(str::to_owned).collect()
}

fn overrides(root: &Table) -> Vec<String> {
    let uv = at(root, &["tool", "uv"]);
    ["override-dependencies", "constraint-dependencies", "build-constraint-dependencies"]
        .iter()
        .flat_map(|key| strings(uv.and_then(|uv| uv.get(*key))))
        .map(str::to_owned)
        .collect()
}

/// The name that a requirement (PEP 508) begins with.
fn name_in(requirement: &str) -> &str {
    let text = requirement.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    &text[..end.unwrap_or(text.len())]
}

/// What `tool.uv.sources` says of a package.
fn source<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let sources = at(table, &["tool", "uv", "sources"])?;
    sources.iter().find(|(name, _)| normal(name) == key).map(|(_, source)| source)
}

fn texts_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts_of(value, texts)),
        Value::Table(table) => table.values().for_each(|value| texts_of(value, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
