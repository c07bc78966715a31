//! Gradle projects, as far as settings and build scripts can be read without running them.
//!
//! Source: the Gradle user manual, "Settings file", "Declaring dependencies", "Version catalogs" and
//! the directory layout. A package is a project, called by its path (`:core:data`, or without the
//! first colon). Scripts are programs: what one computes is said by a finding, and runs more. Logic
//! that many projects share (the scripts of the projects above, `buildSrc`, included builds) counts
//! for each of them.

mod catalog;
mod script;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    catalog::VersionCatalog,
    script::{Token, calls, chains, strings, tokens},
};
use super::{
    End, Kind, Manifests, Package, Packages, Text, To, directory_of, file_in, join,
    places::mentioned, tree::Place,
};
use crate::planned_tree::TreeError;

pub(crate) const KIND: Kind = Kind {
    kind: lanes::PackageKind::Gradle,
    manifest: "settings.gradle",
    watched: &[
        "**/*.gradle",
        "**/*.gradle.kts",
        "**/*.versions.toml",
        "**/gradle/**",
        "**/buildSrc/**",
    ],
    read,
    lock: |path, _| Err(format!("`{path}` is not read for single packages")),
};

const SETTINGS: [&str; 2] = ["settings.gradle", "settings.gradle.kts"];
const BUILD: [&str; 2] = ["build.gradle", "build.gradle.kts"];
const CATALOG: &str = "gradle/libs.versions.toml";

fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut packages = Packages::default();
    let mut roots = BTreeSet::from([String::new()]);
    read_builds(manifests, &roots, &mut packages)?;
    if !packages.has(manifests.wanted()) {
        roots.clear();
        for name in SETTINGS {
            let found = manifests.matching(&format!("**/{name}"))?;
            roots.extend(found.iter().map(|path| directory_of(path).to_owned()));
        }
        read_builds(manifests, &roots, &mut packages)?;
    }
    Ok(packages)
}

fn read_builds(
    manifests: &Manifests<'_>,
    roots: &BTreeSet<String>,
    packages: &mut Packages,
) -> Result<(), TreeError> {
    for root in roots {
        for name in SETTINGS {
            let path = file_in(root, name);
            if let Some(text) = text(manifests, packages, &path, root)? {
                let mut scripts = vec![Script { path: path.clone(), tokens: tokens(&text) }];
                let unknown = applied(manifests, packages, root, root, &mut scripts)?;
                let all: Vec<Token> = scripts.iter().flat_map(|it| it.tokens.clone()).collect();
                let mut settings = Settings::of(root, &path, &all);
                settings.scripts = scripts;
                if unknown {
                    settings.computed.push("which script it applies is computed");
                }
                Build { manifests, packages, settings }.read()?;
                break;
            }
        }
    }
    Ok(())
}

/// The text of a file; what cannot be read is noted.
fn text(
    manifests: &Manifests<'_>,
    packages: &mut Packages,
    path: &str,
    owner: &str,
) -> Result<Option<String>, TreeError> {
    Ok(match manifests.text(path)? {
        Text::Absent => None,
        Text::Read(text) => Some(text),
        Text::Unreadable(detail) => {
            packages.unreadable(path, owner, &detail, None);
            None
        }
    })
}

/// Adds the scripts that scripts of a directory apply, and those apply in turn: every string that is the
/// path of a script counts. Returns whether there is one that is computed and cannot be told.
fn applied(
    manifests: &Manifests<'_>,
    packages: &mut Packages,
    root: &str,
    dir: &str,
    scripts: &mut Vec<Script>,
) -> Result<bool, TreeError> {
    let mut unknown = false;
    let mut seen: BTreeSet<String> = scripts.iter().map(|it| it.path.clone()).collect();
    let mut at = 0;
    while at < scripts.len() {
        let here = directory_of(&scripts[at].path).to_owned();
        let texts: Vec<String> =
            strings(&scripts[at].tokens).filter(|it| is_script(it)).map(str::to_owned).collect();
        at += 1;
        for name in texts {
            let mut found = Vec::new();
            for from in [dir, root, &here] {
                if let End::File(file) = manifests.lead(from, in_root(&name))?.end {
                    found.push(file);
                }
            }
            if found.is_empty() && name.contains('$') {
                // Whichever directory is meant is among those that have such a file.
                let file = name.rsplit('/').next().unwrap_or(&name);
                let below = file_in(&globset::escape(root), "**");
                found = match file.contains('$') {
                    true => Vec::new(),
                    false => manifests.matching(&format!("{below}/{}", globset::escape(file)))?,
                };
                unknown |= found.is_empty();
            }
            for path in found {
                if seen.insert(path.clone())
                    && let Some(text) = text(manifests, packages, &path, dir)?
                {
                    scripts.push(Script { path, tokens: tokens(&text) });
                }
            }
        }
    }
    Ok(unknown)
}

/// Whether a text may be the path of a script, and is none of elsewhere.
fn is_script(text: &str) -> bool {
    (text.ends_with(".gradle") || text.ends_with(".gradle.kts")) && !text.contains("://")
}

/// What a settings script says.
struct Settings {
    root: String,
    path: String,
    /// The script itself and those that it applies.
    scripts: Vec<Script>,
    /// Projects' directories, by path without the first colon; the root project is `""`.
    projects: BTreeMap<String, String>,
    /// The root project's name.
    name: Option<String>,
    /// Directories of included builds.
    included: BTreeSet<String>,
    /// What is computed, in words.
    computed: Vec<&'static str>,
}

impl Settings {
    fn of(root: &str, path: &str, tokens: &[Token]) -> Self {
        let mut found = Self {
            root: root.to_owned(),
            path: path.to_owned(),
            scripts: Vec::new(),
            projects: BTreeMap::from([(String::new(), root.to_owned())]),
            name: None,
            included: BTreeSet::new(),
            computed: Vec::new(),
        };
        for call in calls(tokens, "include") {
            if call.computed {
                found.computed.push("which projects it includes is computed");
            }
            for project in &call.texts {
                found.include(project.trim_start_matches(':'));
            }
        }
        for call in calls(tokens, "includeFlat") {
            if call.computed {
                found.computed.push("which projects it includes is computed");
            }
            for project in call.texts {
                let dir = join(root, &format!("../{project}"));
                found.projects.insert(project, dir.unwrap_or_default());
            }
        }
        for call in calls(tokens, "includeBuild") {
            // A block that configures the build comes after its directory.
            if call.texts.is_empty() {
                found.computed.push("which builds it includes is computed");
            }
            found.included.extend(call.texts.iter().take(1).filter_map(|it| join(root, it)));
        }
        found.directories(tokens);
        found
    }

    /// `include 'a:b'` makes projects of `a` and of `a:b`.
    fn include(&mut self, project: &str) {
        let mut path = String::new();
        for name in project.split(':').filter(|name| !name.is_empty()) {
            if !path.is_empty() {
                path.push(':');
            }
            path.push_str(name);
            let dir = file_in(&self.root, &path.replace(':', "/"));
            self.projects.entry(path.clone()).or_insert(dir);
        }
    }

    /// `project(":a").projectDir = file("x")`, and `rootProject.name = "x"`.
    fn directories(&mut self, tokens: &[Token]) {
        for (at, token) in tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            let assigned = || {
                let rest = &tokens[at + 1..];
                let end = rest.iter().position(|it| *it == Token::Mark('\n')).unwrap_or(rest.len());
                rest[..end].iter().find_map(|it| match it {
                    Token::Text(text) | Token::Computed(text) => Some(text.as_str()),
                    _ => None,
                })
            };
            let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
            match word.as_str() {
                "name" if before(2) == Some(&Token::Word("rootProject".to_owned())) => {
                    self.name = assigned().map(str::to_owned).or(self.name.take());
                }
                "projectDir" => {
                    // `project(":a")` stands before the dot.
                    let project = match (before(1), before(2), before(3)) {
                        (Some(Token::Mark('.')), Some(Token::Mark(')')), Some(Token::Text(it))) => {
                            Some(it)
                        }
                        _ => None,
                    };
                    let dir = assigned().and_then(|text| join(&self.root, in_root(text)));
                    match (project, dir.filter(|dir| !dir.contains('$'))) {
                        (Some(project), Some(dir)) => {
                            let project = project.trim_start_matches(':').to_owned();
                            // The projects below it go with it.
                            let below = format!("{project}:");
                            for (path, at) in &mut self.projects {
                                if *path == project {
                                    *at = dir.clone();
                                } else if let Some(rest) = path.strip_prefix(&below) {
                                    *at = file_in(&dir, &rest.replace(':', "/"));
                                }
                            }
                        }
                        _ => self.computed.push("where a project's directory is is computed"),
                    }
                }
                _ => {}
            }
        }
    }
}

/// A text without the words for the root's directory.
fn in_root(text: &str) -> &str {
    const ROOTS: [&str; 9] = [
        "$rootDir/",
        "${rootDir}/",
        "$settingsDir/",
        "${settingsDir}/",
        "$projectDir/",
        "${projectDir}/",
        "$rootProject.projectDir/",
        "${rootProject.projectDir}/",
        "${project.rootDir}/",
    ];
    ROOTS.iter().find_map(|root| text.strip_prefix(root)).unwrap_or(text)
}

/// A script, and whether it is one of Gradle's own kind or a class of the build logic.
struct Script {
    path: String,
    tokens: Vec<Token>,
}

struct Build<'a> {
    manifests: &'a Manifests<'a>,
    packages: &'a mut Packages,
    settings: Settings,
}

impl Build<'_> {
    fn read(mut self) -> Result<(), TreeError> {
        let root = self.settings.root.clone();
        for computed in self.settings.computed.clone() {
            // A project that is not found may be one of those.
            self.packages.unreadable(&self.settings.path, &root, computed, None);
        }
        let logic = self.logic()?;
        let catalog_path = file_in(&root, CATALOG);
        let catalog = text(self.manifests, self.packages, &catalog_path, &root)?;
        let catalog = catalog.map(|text| (catalog_path, VersionCatalog::of(&text)));
        for (path, dir) in self.settings.projects.clone() {
            let mut package = Package::new(format!(":{path}"), dir.clone());
            if path.is_empty() {
                package.aliases.extend(self.settings.name.clone());
            } else {
                package.aliases.insert(path.clone());
            }
            let mut scripts = Vec::new();
            for (above, at) in self.above(&path) {
                for name in self.scripts_in(&at, above == path)? {
                    let file = file_in(&at, &name);
                    if let Some(text) = text(self.manifests, self.packages, &file, &dir)? {
                        if above != path {
                            package.uses(To::File(file.clone()), file.clone());
                        }
                        scripts.push(Script { path: file, tokens: tokens(&text) });
                    }
                }
            }
            let own = scripts.len();
            if applied(self.manifests, self.packages, &root, &dir, &mut scripts)? {
                let script = scripts.first().map_or(&self.settings.path, |it| &it.path);
                let detail = "applies a script that it computes";
                self.packages.unfollowed(script, &dir, detail);
                package.uses(To::Directory(root.clone()), "a script that is computed");
            }
            for script in &scripts[own..] {
                package.uses(To::File(script.path.clone()), script.path.clone());
            }
            self.fill(&mut package, &path, &scripts, &logic)?;
            if let Some((file, catalog)) = &catalog {
                let words: Vec<&[Token]> =
                    scripts.iter().chain(&logic).map(|script| script.tokens.as_slice()).collect();
                let built: Vec<&[Token]> = logic.iter().map(|it| it.tokens.as_slice()).collect();
                for (name, value) in catalog.used(&words, &built) {
                    package.entries.insert((file.clone(), name), value);
                }
            }
            self.packages.insert(package);
        }
        Ok(())
    }

    /// The build scripts of a project's directory, which may have a name of its own: of the project
    /// itself every script counts, settings apart.
    fn scripts_in(&self, dir: &str, own: bool) -> Result<Vec<String>, TreeError> {
        let names = self.manifests.list(dir)?.into_iter().map(|(name, _)| name);
        let is_build = |name: &String| {
            BUILD.contains(&name.as_str())
                || (own && is_script(name) && !SETTINGS.contains(&name.as_str()))
        };
        Ok(names.filter(is_build).collect())
    }

    /// A project with those above it, the root first.
    fn above(&self, path: &str) -> Vec<(String, String)> {
        let contains = |above: &str| {
            above.is_empty() || above == path || path.starts_with(&format!("{above}:"))
        };
        let projects = self.settings.projects.iter().filter(|(above, _)| contains(above));
        projects.map(|(above, dir)| (above.clone(), dir.clone())).collect()
    }

    /// The sources of `buildSrc` and of included builds.
    fn logic(&mut self) -> Result<Vec<Script>, TreeError> {
        let mut dirs = self.settings.included.clone();
        dirs.insert(file_in(&self.settings.root, "buildSrc"));
        let mut scripts = Vec::new();
        for dir in dirs {
            let below = if dir.is_empty() {
                "**".to_owned()
            } else {
                format!("{}/**", globset::escape(&dir))
            };
            for path in
                self.manifests.matching(&format!("{below}/*.{{gradle,kts,kt,groovy,java}}"))?
            {
                if let Some(text) = text(self.manifests, self.packages, &path, &dir)? {
                    scripts.push(Script { path, tokens: tokens(&text) });
                }
            }
        }
        Ok(scripts)
    }

    fn fill(
        &mut self,
        package: &mut Package,
        path: &str,
        scripts: &[Script],
        logic: &[Script],
    ) -> Result<(), TreeError> {
        let root = self.settings.root.clone();
        for (file, label) in [
            (self.settings.path.clone(), "settings"),
            (file_in(&root, "gradle.properties"), "gradle.properties"),
        ] {
            package.uses(To::File(file), label);
        }
        for file in self.manifests.matching(&file_in(&globset::escape(&root), "gradle/**"))? {
            if !file.ends_with(CATALOG) {
                package.uses(To::File(file.clone()), file);
            }
        }
        package.uses(To::Directory(file_in(&root, "buildSrc")), "buildSrc");
        for dir in &self.settings.included {
            package.uses(To::Directory(dir.clone()), dir.clone());
        }
        // Catalogs, properties and scripts that settings name, wherever they are.
        for text in self.settings.scripts.iter().flat_map(|it| strings(&it.tokens)) {
            if let Place { links, end: End::File(file) } =
                self.manifests.lead(&root, in_root(text))?
            {
                for link in links {
                    package.uses(To::Link(link), text);
                }
                if !file.ends_with(CATALOG) {
                    package.uses(To::File(file.clone()), file);
                }
            }
        }
        for script in scripts.iter().chain(logic) {
            let mut computed = false;
            for call in calls(&script.tokens, "project") {
                computed |= call.computed && call.texts.is_empty();
                let mut known = call.texts.is_empty();
                for text in &call.texts {
                    known |= self.depend(package, path, text);
                }
                if !known {
                    let detail = format!(
                        "names the project `{}`, which the settings do not include",
                        call.texts[0]
                    );
                    self.packages.unfollowed(&script.path, &package.dir, detail);
                    package.uses(To::Directory(root.clone()), "a project that is not included");
                }
            }
            // Paths of projects and of their tasks: `dependsOn(":core:jar")`.
            for text in strings(&script.tokens).filter(|text| text.starts_with(':')) {
                self.depend_on_task(package, text);
            }
            computed |= self.accessors(package, &script.tokens);
            if computed {
                let detail = "names a project that it computes";
                self.packages.unfollowed(&script.path, &package.dir, detail);
                package.uses(To::Directory(root.clone()), "a project that is computed");
            }
        }
        for script in scripts {
            let texts: Vec<&str> = strings(&script.tokens).map(in_root).collect();
            let own = package.dir.clone();
            mentioned(self.manifests, package, &[&own, &root], texts.into_iter())?;
        }
        if let End::Missing(dir) = self.manifests.locate(&package.dir)?.end {
            let detail = format!("includes `:{path}`, whose directory `{dir}` is not in the tree");
            self.packages.unfollowed(&self.settings.path, &package.dir, detail);
        }
        Ok(())
    }

    /// The project that a path begins with, be it one of a project or of a task.
    fn depend_on_task(&self, package: &mut Package, path: &str) {
        let mut path = path.trim_start_matches(':');
        loop {
            if let Some(dir) = self.settings.projects.get(path).filter(|_| !path.is_empty()) {
                if *dir != package.dir {
                    package.needs(dir.clone());
                }
                return;
            }
            let Some((above, _)) = path.rsplit_once(':') else { return };
            path = above;
        }
    }

    /// A project that a script names, by its path from the root or from the script's project. Returns
    /// whether there is one.
    fn depend(&self, package: &mut Package, from: &str, named: &str) -> bool {
        let candidates = match named.strip_prefix(':') {
            Some(path) => vec![path.to_owned()],
            None => {
                vec![format!("{from}:{named}").trim_start_matches(':').to_owned(), named.to_owned()]
            }
        };
        let mut known = false;
        for path in candidates {
            let Some(dir) = self.settings.projects.get(&path) else { continue };
            known = true;
            if *dir != package.dir {
                package.needs(dir.clone());
            }
        }
        known
    }

    /// `projects.core.data`: returns whether one of them is no project that is known.
    fn accessors(&self, package: &mut Package, tokens: &[Token]) -> bool {
        let mut unknown = false;
        for chain in chains(tokens, "projects") {
            let root = self.settings.name.as_deref().map(camel);
            let chain = match (chain.first(), &root) {
                (Some(first), Some(root)) if first == root => &chain[1..],
                _ => &chain[..],
            };
            let known = (1..=chain.len()).rev().find_map(|length| {
                let fits = |path: &&String| {
                    let names: Vec<String> = path.split(':').map(camel).collect();
                    names.iter().map(String::as_str).eq(chain[..length].iter().copied())
                };
                self.settings.projects.iter().find(|(path, _)| fits(path))
            });
            match known {
                Some((_, dir)) if *dir != package.dir => package.needs(dir.clone()),
                Some(_) => {}
                None => unknown |= !chain.is_empty(),
            }
        }
        unknown
    }
}

/// A project's name as type-safe accessors have it: `data-store` is `dataStore`.
fn camel(name: &str) -> String {
    let mut words = name.split(['-', '_', '.']);
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

#[cfg(test)]
mod tests;
