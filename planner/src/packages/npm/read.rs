//! Packages of a tree: workspaces and their members, and where every dependency leads.
//!
//! A dependency counts when its name is a package of the tree, whatever version it asks for, and
//! when it names a path. What nothing can follow is noted. The root workspace is read first; a name
//! that it does not have is looked for in every manifest of the tree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::{
    NAME, NAME_YAML, lock,
    manager::Manager,
    overrides::Override,
    patterns::Patterns,
    spec::{self, Spec},
    workspace::Workspace,
};
use crate::{
    packages::{
        End, LockAt, Manifests, Package, Packages, Text, To, TreeEntry, directory_of, file_in,
        join, tree::Place,
    },
    planned_tree::TreeError,
};

const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];
/// Catalogs and `$name` may lead on; in circles too.
const MOST_STEPS: usize = 8;

/// Reads the packages of a tree.
pub(super) fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut reader = Reader::new(manifests);
    reader.visit(VecDeque::from([Visit { dir: String::new(), root: None }]))?;
    let packages = reader.packages()?;
    if packages.has(manifests.wanted()) {
        return Ok(packages);
    }
    // A workspace below the root, or a package that no workspace has.
    let all = manifests.matching(&format!("**/{NAME}"))?;
    let dirs = all.iter().map(|path| Visit { dir: directory_of(path).to_owned(), root: None });
    reader.visit(dirs.collect())?;
    reader.packages()
}

/// A directory to look at, for the workspace that it is a member of.
struct Visit {
    dir: String,
    root: Option<String>,
}

struct Reader<'a> {
    tree: &'a Manifests<'a>,
    /// Manifests by directory.
    found: BTreeMap<String, Value>,
    workspaces: BTreeMap<String, Workspace>,
    member_of: BTreeMap<String, String>,
    /// Texts of members' manifests that cannot be read.
    broken: BTreeMap<String, String>,
    /// The links through which a pattern finds a member.
    links: BTreeMap<String, BTreeSet<String>>,
    /// Members whose manifests are in no tree, by workspace.
    submodules: BTreeMap<String, BTreeSet<String>>,
    problems: Packages,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a Manifests<'a>) -> Self {
        Self {
            tree,
            found: BTreeMap::new(),
            workspaces: BTreeMap::new(),
            member_of: BTreeMap::new(),
            broken: BTreeMap::new(),
            links: BTreeMap::new(),
            submodules: BTreeMap::new(),
            problems: Packages::default(),
        }
    }

    fn visit(&mut self, mut queue: VecDeque<Visit>) -> Result<(), TreeError> {
        while let Some(Visit { dir, root }) = queue.pop_front() {
            if dir.split('/').any(|part| part == "node_modules") {
                continue;
            }
            let member = root.is_some();
            if let Some(root) = root.filter(|root| *root != dir) {
                self.member_of.entry(dir.clone()).or_insert(root);
            }
            if self.found.contains_key(&dir) {
                continue;
            }
            let Some(manifest) = self.manifest(&dir, member)? else { continue };
            self.workspace(&dir, &manifest, &mut queue)?;
            for (_, key, text) in dependencies_of(&manifest) {
                if let Spec::Path(path) = spec::read(key, text)
                    && let End::Directory(dir) = self.tree.lead(&dir, path)?.end
                {
                    queue.push_back(Visit { dir, root: None });
                }
            }
            self.found.insert(dir, manifest);
        }
        Ok(())
    }

    /// The manifest of a directory, an empty one where only a workspace's own file is.
    fn manifest(&mut self, dir: &str, member: bool) -> Result<Option<Value>, TreeError> {
        for name in [NAME, NAME_YAML] {
            let path = file_in(dir, name);
            let (text, read) = match self.tree.text(&path)? {
                Text::Absent => continue,
                Text::Unreadable(detail) => (None, Err(detail)),
                Text::Read(text) => {
                    let text = text.trim_start_matches('\u{feff}').to_owned();
                    let read = if name == NAME {
                        serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
                    } else {
                        lock::yaml(&text)
                    };
                    let table = |it: Value| {
                        if it.is_object() { Ok(it) } else { Err("it is no table".to_owned()) }
                    };
                    (Some(text), read.and_then(table))
                }
            };
            return Ok(match read {
                Ok(manifest) => Some(manifest),
                Err(detail) => {
                    self.problems.unreadable(&path, dir, &detail, text.as_deref());
                    if member {
                        self.broken.insert(dir.to_owned(), text.unwrap_or_default());
                    }
                    None
                }
            });
        }
        let pnpm = self.tree.text(&file_in(dir, super::workspace::PNPM))?;
        Ok((pnpm != Text::Absent).then(|| Value::Object(serde_json::Map::new())))
    }

    /// Reads a workspace's root and queues its members.
    fn workspace(
        &mut self,
        dir: &str,
        manifest: &Value,
        queue: &mut VecDeque<Visit>,
    ) -> Result<(), TreeError> {
        if self.workspaces.contains_key(dir) {
            return Ok(());
        }
        let mut problems = Vec::new();
        let workspace = Workspace::new(self.tree, dir, manifest.clone(), &mut problems)?;
        for (path, detail) in problems {
            self.problems.unreadable(&path, dir, &detail, None);
        }
        if workspace.has_members() {
            // yarn's members may have members of their own; they are of the outer workspace.
            let outer = self.member_of.get(dir).filter(|root| {
                self.workspaces.get(*root).is_some_and(|it| it.managers.contains(&Manager::Yarn))
            });
            let root = outer.cloned().unwrap_or_else(|| dir.to_owned());
            for patterns in workspace.patterns() {
                for (pattern, why) in patterns.not_understood() {
                    let detail = format!(
                        "has the workspace pattern `{pattern}`, which is not understood ({}): more \
                         directories count as members than it may mean",
                        why.words()
                    );
                    self.problems.unfollowed(&file_in(dir, NAME), dir, detail);
                }
                self.members(&patterns, &root, queue)?;
            }
        }
        self.workspaces.insert(dir.to_owned(), workspace);
        Ok(())
    }

    fn members(
        &mut self,
        patterns: &Patterns,
        root: &str,
        queue: &mut VecDeque<Visit>,
    ) -> Result<(), TreeError> {
        let mut dirs = BTreeSet::new();
        for name in [NAME, NAME_YAML] {
            for glob in patterns.candidates(name) {
                let found = self.tree.matching(&glob)?;
                let found = found.iter().map(|path| directory_of(path));
                dirs.extend(found.filter(|dir| patterns.has(dir)).map(str::to_owned));
            }
        }
        // Links and submodules in the place of a member: no path below them is in the tree.
        for parent in patterns.parents() {
            for (name, entry) in self.tree.list(&parent)? {
                let path = file_in(&parent, &name);
                if !matches!(entry, TreeEntry::Link | TreeEntry::Submodule) || !patterns.has(&path)
                {
                    continue;
                }
                let Place { links, end } = self.tree.locate(&path)?;
                match end {
                    End::Directory(dir) => {
                        self.links.entry(dir.clone()).or_default().extend(links);
                        dirs.insert(dir);
                    }
                    End::Submodule(path) => {
                        self.submodules.entry(root.to_owned()).or_default().insert(path);
                    }
                    _ => {}
                }
            }
        }
        let root = Some(root.to_owned());
        queue.extend(dirs.into_iter().map(|dir| Visit { dir, root: root.clone() }));
        Ok(())
    }

    fn packages(&self) -> Result<Packages, TreeError> {
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (dir, manifest) in &self.found {
            names.entry(name_of(dir, manifest)).or_default().push(dir);
        }
        let mut packages = self.problems.clone();
        let mut requests: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (dir, manifest) in &self.found {
            let root = self.member_of.get(dir).map_or(dir.as_str(), String::as_str);
            let Some(workspace) = self.workspaces.get(root).or_else(|| self.workspaces.get(dir))
            else {
                continue;
            };
            let mut building = Building {
                reader: self,
                names: &names,
                workspace,
                package: Package::new(name_of(dir, manifest), dir.as_str()),
                unfollowed: Vec::new(),
                installs: false,
                direct: BTreeSet::new(),
            };
            let mut asked = BTreeSet::new();
            for (kind, key, text) in dependencies_of(manifest) {
                building.direct.insert(key.to_owned());
                if building.follow(dir, key, text, None, 0)? && kind != "peerDependencies" {
                    asked.insert(format!("{key}@{text}"));
                }
            }
            building.whole_workspace()?;
            for detail in building.unfollowed {
                packages.unfollowed(&file_in(dir, NAME), dir, detail);
            }
            packages.insert(building.package);
            requests.insert(dir, asked);
        }
        self.ask_yarn_classic(&mut packages, &requests);
        Ok(packages)
    }

    /// yarn 1 locks requests, not packages of the tree: a package has those of all that it reaches.
    fn ask_yarn_classic(
        &self,
        packages: &mut Packages,
        requests: &BTreeMap<&str, BTreeSet<String>>,
    ) {
        let nothing = BTreeSet::new();
        let mut asks: Vec<(String, BTreeSet<LockAt>)> = Vec::new();
        for package in packages.iter() {
            let root = self.member_of.get(&package.dir).unwrap_or(&package.dir);
            let Some(workspace) = self.workspaces.get(root) else { continue };
            if !workspace.managers.contains(&Manager::YarnClassic) {
                continue;
            }
            let Some(path) = workspace.locks.iter().find(|path| path.ends_with("yarn.lock")) else {
                continue;
            };
            let mut seen = BTreeSet::from([package.dir.as_str(), root.as_str()]);
            let mut queue: Vec<&str> = vec![&package.dir];
            let mut keys: BTreeSet<&String> =
                requests.get(root.as_str()).unwrap_or(&nothing).iter().collect();
            while let Some(dir) = queue.pop() {
                keys.extend(requests.get(dir).unwrap_or(&nothing));
                let dependencies = packages.at(dir).into_iter().flat_map(|it| &it.dependencies);
                for dependency in dependencies {
                    if let To::Package(dir) = &dependency.to
                        && seen.insert(dir)
                    {
                        queue.push(dir);
                    }
                }
            }
            let at = |key: &String| LockAt { path: path.clone(), key: key.clone() };
            asks.push((package.dir.clone(), keys.into_iter().map(at).collect()));
        }
        for (dir, locks) in asks {
            if let Some(package) = packages.at_mut(&dir) {
                package.locks.extend(locks);
            }
        }
    }
}

/// One package while its dependencies are followed.
struct Building<'a> {
    reader: &'a Reader<'a>,
    names: &'a BTreeMap<&'a str, Vec<&'a str>>,
    workspace: &'a Workspace,
    package: Package,
    unfollowed: Vec<String>,
    /// Whether anything from outside the tree is installed for it.
    installs: bool,
    direct: BTreeSet<String>,
}

impl Building<'_> {
    /// Follows what a dependency asks for; whether that is something from outside the tree.
    /// `by` is the override that brings it.
    fn follow(
        &mut self,
        base: &str,
        key: &str,
        text: &str,
        by: Option<&str>,
        steps: usize,
    ) -> Result<bool, TreeError> {
        if steps > MOST_STEPS {
            self.unfollowed.push(format!("asks for `{key}` in a circle"));
            return Ok(true);
        }
        if by.is_none() && steps == 0 {
            let workspace = self.workspace;
            for Override { name, text, by } in
                workspace.overrides.iter().filter(|it| it.name == key)
            {
                self.follow(&workspace.dir, name, text, Some(by), steps + 1)?;
            }
        }
        match spec::read(key, text) {
            Spec::Named(name) => return Ok(!self.named(name, key, by)),
            Spec::Path(path) => self.path(base, key, path, by)?,
            Spec::Catalog(catalog) => {
                let workspace = self.workspace;
                let Some(entry) = workspace.catalog(catalog, key) else {
                    self.unfollowed.push(format!(
                        "asks for `{key}` of the catalog `{catalog}`, which has no such entry"
                    ));
                    return Ok(true);
                };
                self.package.entries.insert((entry.file, entry.name), entry.text.to_owned());
                return self.follow(&workspace.dir, key, entry.text, by, steps + 1);
            }
            Spec::OfRoot(name) => {
                let workspace = self.workspace;
                if let Some(text) = workspace.version_of(name) {
                    return self.follow(&workspace.dir, name, text, by, steps + 1);
                }
            }
            Spec::Patched(range, files) => {
                for file in files {
                    self.path(base, key, &file, Some("patch"))?;
                }
                self.follow(base, key, &range, by, steps + 1)?;
                self.installs = true;
                return Ok(true);
            }
            Spec::Elsewhere => {
                self.installs = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a name is a package of the tree.
    fn named(&mut self, name: &str, key: &str, by: Option<&str>) -> bool {
        let mut dirs: Vec<&str> = self.names.get(name).cloned().unwrap_or_default();
        if dirs.is_empty() {
            // A member whose manifest cannot be read may have the name, and any if it says none.
            let quoted = format!("\"{name}\"");
            let may_be = |text: &str| text.contains(&quoted) || !text.contains("name");
            let broken = self.reader.broken.iter().filter(|(_, text)| may_be(text));
            dirs.extend(broken.map(|(dir, _)| dir.as_str()));
        }
        for dir in &dirs {
            self.needs(dir, key, by);
        }
        if !dirs.is_empty() {
            return true;
        }
        self.installs = true;
        if let Some(submodules) = self.reader.submodules.get(&self.workspace.dir) {
            for path in submodules {
                let label = format!("{path} (submodule)");
                self.package.uses(To::Submodule(path.clone()), label);
            }
        }
        false
    }

    fn needs(&mut self, dir: &str, key: &str, by: Option<&str>) {
        if dir == self.package.dir {
            return;
        }
        match by {
            None => self.package.needs(dir),
            Some(by) => {
                let name = self.reader.found.get(dir).map_or(dir, |it| name_of(dir, it));
                self.package.uses(To::Package(dir.to_owned()), format!("{key} ({name}, by {by})"));
            }
        }
        for link in self.reader.links.get(dir).into_iter().flatten() {
            self.package.uses(To::Link(link.clone()), format!("{link} (link)"));
        }
    }

    /// Follows a path to whatever is there.
    fn path(
        &mut self,
        base: &str,
        key: &str,
        path: &str,
        by: Option<&str>,
    ) -> Result<(), TreeError> {
        let tree = self.reader.tree;
        let root = &self.workspace.dir;
        let mut place = match path.strip_prefix("~/") {
            Some(path) => tree.lead(root, path)?,
            None => tree.lead(base, path)?,
        };
        if matches!(place.end, End::Missing(_)) && base != root {
            // yarn sees `workspace:packages/ui` from the root.
            let other = tree.lead(root, path)?;
            if !matches!(other.end, End::Missing(_) | End::Outside) {
                place = other;
            }
        }
        // npm reads the paths of a member that is a link from where the link is.
        for link in self.reader.links.get(base).into_iter().flatten() {
            let from_link = tree.lead(link, path)?;
            if from_link != place && !matches!(from_link.end, End::Missing(_) | End::Outside) {
                self.place(from_link, key, path, by)?;
            }
        }
        self.place(place, key, path, by)
    }

    /// Depends on what is at a place that a path leads to.
    fn place(
        &mut self,
        place: Place,
        key: &str,
        path: &str,
        by: Option<&str>,
    ) -> Result<(), TreeError> {
        let label = |path: &str| match by {
            None => format!("{key} ({path})"),
            Some(by) => format!("{key} ({path}, by {by})"),
        };
        for link in &place.links {
            self.package.uses(To::Link(link.clone()), format!("{link} (link)"));
        }
        match place.end {
            End::Directory(dir) if self.reader.found.contains_key(&dir) => {
                self.needs(&dir, key, by)
            }
            End::Directory(dir) if self.reader.tree.text(&file_in(&dir, NAME))? != Text::Absent => {
                // It has a manifest that cannot be read.
                self.needs(&dir, key, by);
            }
            End::Directory(dir) => self.package.uses(To::Directory(dir.clone()), label(&dir)),
            End::File(file) => self.package.uses(To::File(file.clone()), label(&file)),
            End::Submodule(path) => {
                let label = format!("{key} ({path}, a submodule)");
                self.package.uses(To::Submodule(path), label);
            }
            End::Missing(path) => {
                self.unfollowed.push(format!("asks for `{key}` at `{path}`, where nothing is"));
                self.package.uses(To::File(path.clone()), label(&path));
                self.package.uses(To::Directory(path.clone()), label(&path));
            }
            End::Outside => {
                self.unfollowed
                    .push(format!("asks for `{key}` at `{path}`, which leaves the tree"));
            }
        }
        Ok(())
    }

    /// What the root says for all of its packages.
    fn whole_workspace(&mut self) -> Result<(), TreeError> {
        let workspace = self.workspace;
        let root = workspace.dir.as_str();
        let dir = self.package.dir.clone();
        let below = dir.strip_prefix(root).unwrap_or(&dir);
        let own = match below.trim_start_matches('/') {
            "" => ".",
            below => below,
        };
        if self.installs {
            // An override may hold for a dependency of a dependency.
            for Override { name, text, by } in &workspace.overrides {
                if self.direct.contains(name) {
                    continue;
                }
                let to_tree = match spec::read(name, text) {
                    Spec::Path(_) | Spec::Patched(..) => true,
                    Spec::Catalog(catalog) => {
                        workspace.catalog(catalog, name).is_some_and(|it| leads_into_tree(it.text))
                    }
                    Spec::OfRoot(name) => workspace.version_of(name).is_some_and(leads_into_tree),
                    _ => leads_into_tree(text),
                };
                if to_tree {
                    self.follow(root, name, text, Some(by), 1)?;
                }
            }
            for (name, file) in workspace.patches() {
                if self.direct.contains(name) || workspace.may_hold(own, name) {
                    self.path(root, name, file, Some("patch"))?;
                }
            }
        }
        self.package.entries.extend(workspace.entries(self.installs));
        for file in &workspace.files {
            self.package.uses(To::File(file.clone()), file.as_str());
        }
        for dir in &workspace.dirs {
            self.package.uses(To::Directory(dir.clone()), dir.as_str());
        }
        let locks: Vec<String> = if workspace.locks.is_empty() {
            lock::NAMES.iter().filter_map(|name| join(root, name)).collect()
        } else {
            workspace.locks.clone()
        };
        let classic = workspace.managers.contains(&Manager::YarnClassic);
        for path in locks {
            if path.ends_with("yarn.lock") && classic {
                continue;
            }
            for key in [own, lock::ROOT_TOOLS] {
                self.package.locks.insert(LockAt { path: path.clone(), key: key.to_owned() });
            }
        }
        Ok(())
    }
}

/// Whether the text of an override leads to something of the tree.
fn leads_into_tree(text: &str) -> bool {
    text.starts_with("workspace:") || matches!(spec::read("", text), Spec::Path(_))
}

/// The name of a package; one that has none goes by its directory.
fn name_of<'a>(dir: &'a str, manifest: &'a Value) -> &'a str {
    manifest.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or(dir)
}

fn dependencies_of(manifest: &Value) -> impl Iterator<Item = (&'static str, &str, &str)> {
    KINDS.into_iter().flat_map(move |kind| {
        let table = manifest.get(kind).and_then(Value::as_object);
        let entries = table.into_iter().flatten();
        entries.filter_map(move |(name, text)| Some((kind, name.as_str(), text.as_str()?)))
    })
}
