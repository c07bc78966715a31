//! Packages, what each of them depends on, and what a package reaches in the end.
//!
//! A dependency is a thing of the tree ([`To`]): another package, a directory without a manifest, a
//! single file, a link, a submodule, or, where nobody can say, anything at all. Knows no format and
//! reads nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::places::is_below;

/// A thing of the tree that a package's result depends on. Paths are relative to the root; the
/// root itself is `""`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// The package of a directory, and all that it reaches in turn. A directory that has no
    /// package counts as [`To::Directory`].
    Package(String),
    /// Everything below a directory.
    Directory(String),
    /// One file.
    File(String),
    /// Files that match a glob, as a manifest of lanes would write it.
    Glob(String),
    /// A submodule, at or above what is meant; its files are not in the tree.
    Submodule(String),
    /// A symbolic link; where it leads is a dependency of its own.
    Link(String),
    /// Nobody can say, so every file counts; the label of the dependency says why.
    Anything,
}

impl To {
    /// Returns the globs of lanes that match the thing and what may take its place.
    #[must_use]
    pub fn globs(&self) -> Vec<String> {
        match self {
            Self::Package(dir) | Self::Directory(dir) => vec![glob_of(dir)],
            Self::File(path) => vec![literal(path)],
            Self::Glob(glob) => vec![glob.clone()],
            // A commit or link that becomes a directory, or was one, is a change below it.
            Self::Submodule(path) | Self::Link(path) => vec![literal(path), glob_of(path)],
            Self::Anything => vec!["**".to_owned()],
        }
    }

    /// Returns the directory whose files all count, if it is one.
    #[must_use]
    pub fn directory(&self) -> Option<&str> {
        match self {
            Self::Package(dir) | Self::Directory(dir) => Some(dir),
            _ => None,
        }
    }
}

/// One thing that a package depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// What.
    pub to: To,
    /// How a chain calls it, where that is not the name of the package: `shared/lib.rs`,
    /// `vendor/lib (submodule)`.
    pub label: Option<String>,
}

impl Dependency {
    /// A dependency on the package of a directory.
    #[must_use]
    pub fn package(dir: impl Into<String>) -> Self {
        Self { to: To::Package(dir.into()), label: None }
    }

    /// A dependency on anything else.
    #[must_use]
    pub fn on(to: To, label: impl Into<String>) -> Self {
        Self { to, label: Some(label.into()) }
    }
}

/// A package in the lock file that governs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockAt {
    /// The lock file; it need not be there.
    pub path: String,
    /// How the lock file calls the package: see `super::lock::Lock::package`.
    pub key: String,
}

/// One package of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Other names that a lane may use for it.
    pub aliases: BTreeSet<String>,
    /// Its directory, `""` for the root.
    pub dir: String,
    /// What it depends on, of every kind.
    pub dependencies: BTreeSet<Dependency>,
    /// Where its resolved dependencies are locked.
    pub locks: BTreeSet<LockAt>,
    /// What it takes from manifests that packages share, by file and name of the entry: text that
    /// is equal exactly when the meaning is. A lane that reaches the package runs when one of them
    /// differs between base and head.
    pub entries: BTreeMap<(String, String), String>,
}

impl Package {
    /// Makes a package without dependencies.
    #[must_use]
    pub fn new(name: impl Into<String>, dir: impl Into<String>) -> Self {
        Self { name: name.into(), dir: dir.into(), ..Self::default() }
    }

    /// Adds a dependency on another package of the tree.
    pub fn needs(&mut self, dir: impl Into<String>) {
        self.dependencies.insert(Dependency::package(dir));
    }

    /// Adds a dependency on something else.
    pub fn uses(&mut self, to: To, label: impl Into<String>) {
        self.dependencies.insert(Dependency::on(to, label));
    }
}

/// What is wrong with manifests, or cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The manifest.
    pub path: String,
    /// The directory of the package whose reach it concerns.
    pub dir: String,
    /// What is wrong, as a sentence without its subject: `cannot be read: …`.
    pub detail: String,
    /// Whether the manifest cannot be read at all; else it leads where nothing can be followed.
    pub unreadable: bool,
}

/// Something that a package's result depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// What.
    pub to: To,
    /// How it is reached: `app -> core -> macros`.
    pub chain: String,
}

/// The packages of one kind, by directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    by_dir: BTreeMap<String, Package>,
    problems: BTreeSet<Problem>,
    unreadable: BTreeMap<String, Option<String>>,
}

impl Packages {
    /// Adds a package; one of the same directory gives way, which only a reader's second look may
    /// cause.
    pub fn insert(&mut self, package: Package) {
        self.by_dir.insert(package.dir.clone(), package);
    }

    /// Notes that the manifest of a directory's package cannot be read. What depends on that
    /// directory depends on anything. `text` is what the file holds, if that much is known: a
    /// package that is named and not found may be in there.
    pub fn unreadable(&mut self, path: &str, dir: &str, detail: &str, text: Option<&str>) {
        self.problems.insert(Problem {
            path: path.to_owned(),
            dir: dir.to_owned(),
            detail: format!("cannot be read: {detail}"),
            unreadable: true,
        });
        self.unreadable.insert(dir.to_owned(), text.map(str::to_owned));
    }

    /// Notes that the manifest of a directory's package leads where nothing can be followed. What
    /// counts instead, be it [`To::Anything`], is a dependency of that package.
    pub fn unfollowed(&mut self, path: &str, dir: &str, detail: impl Into<String>) {
        self.problems.insert(Problem {
            path: path.to_owned(),
            dir: dir.to_owned(),
            detail: detail.into(),
            unreadable: false,
        });
    }

    /// Returns every package, by directory.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.by_dir.values()
    }

    /// Returns what could not be read or followed, in order.
    pub fn problems(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Returns the packages of a name; there may be several.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Package> {
        let is_called =
            move |package: &&Package| package.name == name || package.aliases.contains(name);
        self.by_dir.values().filter(is_called)
    }

    /// Returns whether all of some names are packages.
    #[must_use]
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.named(name).next().is_some())
    }

    /// Returns the package of exactly that directory.
    #[must_use]
    pub fn at(&self, dir: &str) -> Option<&Package> {
        self.by_dir.get(dir)
    }

    /// Returns the package of exactly that directory, to add to it.
    pub fn at_mut(&mut self, dir: &str) -> Option<&mut Package> {
        self.by_dir.get_mut(dir)
    }

    /// Returns the directories of unreadable manifests that may hold a package of that name.
    pub fn may_hold<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let holds = move |text: &Option<String>| text.as_ref().is_none_or(|it| it.contains(name));
        self.unreadable.iter().filter(move |(_, text)| holds(text)).map(|(dir, _)| dir.as_str())
    }

    /// Returns whether the manifest of a directory cannot be read and may be that of a package which
    /// `fits` looks for in what it holds; nobody knows that of a file whose text is not known.
    pub fn may_be(&self, dir: &str, fits: impl FnOnce(&str) -> bool) -> bool {
        self.unreadable.get(dir).is_some_and(|text| text.as_deref().is_none_or(fits))
    }

    /// Makes packages depend on the manifests above them that cannot be read: each may be the root
    /// of a workspace, and say anything for all that is below it.
    pub fn depend_on_unreadable_roots(&mut self) {
        let broken: Vec<&Problem> = self.problems.iter().filter(|it| it.unreadable).collect();
        for package in self.by_dir.values_mut() {
            for Problem { path, dir, .. } in &broken {
                if *dir != package.dir && is_below(&package.dir, dir) {
                    package.uses(To::Package(dir.clone()), path);
                }
            }
        }
    }

    /// Returns what a package's result depends on: its own directory first, then its dependencies,
    /// the nearest first, each with the shortest chain to it.
    #[must_use]
    pub fn reach(&self, name: &str) -> Vec<Reached> {
        let mut reached = Vec::new();
        let mut seen: BTreeSet<To> = BTreeSet::new();
        let own = self.named(name);
        let mut queue: VecDeque<(To, String)> =
            own.map(|package| (To::Package(package.dir.clone()), name.to_owned())).collect();
        while let Some((to, chain)) = queue.pop_front() {
            if !seen.insert(to.clone()) {
                continue;
            }
            if let To::Package(dir) = &to {
                for dependency in self.by_dir.get(dir).iter().flat_map(|it| &it.dependencies) {
                    let name =
                        dependency.label.as_deref().unwrap_or_else(|| match &dependency.to {
                            To::Package(dir) => self.by_dir.get(dir).map_or(dir, |it| &it.name),
                            _ => "?",
                        });
                    queue.push_back((dependency.to.clone(), format!("{chain} -> {name}")));
                }
                if self.unreadable.contains_key(dir) {
                    let chain = format!("{chain} (its manifest cannot be read)");
                    queue.push_back((To::Anything, chain));
                }
            }
            reached.push(Reached { to, chain });
        }
        reached
    }
}

/// Returns the glob of everything below a directory.
#[must_use]
pub fn glob_of(dir: &str) -> String {
    if dir.is_empty() { "**".to_owned() } else { literal(dir) + "/**" }
}

/// Returns the glob that matches one path and no other.
#[must_use]
pub fn literal(path: &str) -> String {
    let mut glob = String::with_capacity(path.len() + 3);
    for (at, character) in path.chars().enumerate() {
        if at == 0 && character == '!' {
            glob.push('\\');
        }
        let extended = character == '(' && glob.ends_with(['@', '+', '!']);
        if "*?[{}\\".contains(character) || extended {
            glob.extend(['[', character, ']']);
        } else {
            glob.push(character);
        }
    }
    glob
}
