//! .NET projects: what MSBuild's files refer to.
//!
//! Source: the MSBuild reference, "Directory.Build.props" and "Central Package Management". A
//! package is a project file, called by its name without the ending. Conditions are not decided,
//! every branch counts. A reference whose properties are not known leads anywhere.

mod msbuild;

use std::collections::{BTreeMap, BTreeSet};

use self::msbuild::{ProjectFile, expand, project_file};
use super::{
    End, Kind, Manifests, Package, Packages, Text, To, directory_of, file_in, join, literal,
    places::{depend, is_below},
};
use crate::planned_tree::TreeError;

pub(crate) const KIND: Kind = Kind {
    kind: lanes::PackageKind::Dotnet,
    manifest: "Directory.Build.props",
    watched: &["**/*.{csproj,fsproj,vbproj,sqlproj,props,targets}"],
    read,
    lock: |path, _| Err(format!("`{path}` is not read for single packages")),
};

const ENDINGS: [&str; 4] = ["csproj", "fsproj", "vbproj", "sqlproj"];
/// Files that MSBuild and NuGet take from the project's directory or the nearest one above.
const FROM_ABOVE: [&str; 8] = [
    "Directory.Build.props",
    "Directory.Build.targets",
    "Directory.Build.rsp",
    "Directory.Solution.props",
    "Directory.Solution.targets",
    "global.json",
    ".editorconfig",
    ".globalconfig",
];
const CENTRAL: &str = "Directory.Packages.props";
/// How deep files import each other, and properties name each other.
const DEEPEST: usize = 16;

fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut packages = Packages::default();
    let mut projects = Vec::new();
    for ending in ENDINGS {
        projects.extend(manifests.matching(&format!("**/*.{ending}"))?);
    }
    projects.sort();
    let known: BTreeSet<String> = projects.iter().cloned().collect();
    let mut reader = Reader { manifests, files: BTreeMap::new(), packages: &mut packages, known };
    let mut made: BTreeMap<String, Package> = BTreeMap::new();
    for path in &projects {
        let name = stem(path).to_owned();
        let dir = directory_of(path).to_owned();
        // Two projects of one directory share its files: what either depends on counts for both.
        let package = made.entry(dir.clone()).or_insert_with(|| Package::new(name.clone(), dir));
        if package.name != name {
            package.aliases.insert(name);
        }
        reader.fill(package, path)?;
    }
    for package in made.into_values() {
        packages.insert(package);
    }
    Ok(packages)
}

/// A file's name without its ending.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

struct Reader<'a> {
    manifests: &'a Manifests<'a>,
    files: BTreeMap<String, Option<ProjectFile>>,
    packages: &'a mut Packages,
    known: BTreeSet<String>,
}

/// A project with all that it imports, and the values of its properties.
struct Evaluated {
    /// The files, the project first.
    files: Vec<String>,
    properties: BTreeMap<String, Vec<String>>,
    /// Whether an import leads somewhere that is not known.
    unknown: Option<(String, String)>,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, owner: &str) -> Result<Option<ProjectFile>, TreeError> {
        if let Some(known) = self.files.get(path) {
            return Ok(known.clone());
        }
        let found = match self.manifests.text(path)? {
            Text::Absent => None,
            Text::Unreadable(detail) => {
                self.packages.unreadable(path, owner, &detail, None);
                None
            }
            Text::Read(text) => match project_file(&text) {
                Ok(found) => Some(found),
                Err(detail) => {
                    self.packages.unreadable(path, owner, &detail, Some(&text));
                    None
                }
            },
        };
        self.files.insert(path.to_owned(), found.clone());
        Ok(found)
    }

    /// The nearest file of a name in a directory or above it.
    fn above(&self, dir: &str, name: &str) -> Result<Option<String>, TreeError> {
        let mut above = Some(dir);
        while let Some(dir) = above {
            let path = file_in(dir, name);
            if self.manifests.text(&path)? != Text::Absent {
                return Ok(Some(path));
            }
            above = (!dir.is_empty()).then(|| directory_of(dir));
        }
        Ok(None)
    }

    fn evaluate(&mut self, path: &str) -> Result<Evaluated, TreeError> {
        let dir = directory_of(path).to_owned();
        let mut found = Evaluated { files: Vec::new(), properties: BTreeMap::new(), unknown: None };
        let mut queue = vec![(path.to_owned(), 0)];
        for name in ["Directory.Build.props", "Directory.Build.targets", CENTRAL] {
            queue.extend(self.above(&dir, name)?.map(|path| (path, 0)));
        }
        queue.reverse();
        while let Some((path, depth)) = queue.pop() {
            if found.files.contains(&path) || depth > DEEPEST {
                continue;
            }
            let Some(file) = self.file(&path, &dir)? else { continue };
            found.files.push(path.clone());
            for (name, values) in &file.properties {
                found.properties.entry(name.clone()).or_default().extend(values.iter().cloned());
            }
            for import in &file.imports {
                let Some(texts) = self.expanded(import, &path, &dir, &found.properties) else {
                    // What comes with the SDK or with a package is not of the tree.
                    let outside = ["$(MSBuild", "$(VSTools", "$(NuGet", "$(Pkg", "$(UserProfile"];
                    if !outside.iter().any(|it| import.contains(it)) {
                        found.unknown.get_or_insert((path.clone(), import.clone()));
                    }
                    continue;
                };
                for text in texts {
                    if let End::File(file) = self.manifests.lead(directory_of(&path), &text)?.end {
                        queue.push((file, depth + 1));
                    } else if text.contains(['*', '?']) {
                        found.unknown.get_or_insert((path.clone(), import.clone()));
                    }
                }
            }
        }
        Ok(found)
    }

    /// A path with its properties in place, relative to the file that has it.
    fn expanded(
        &self,
        text: &str,
        file: &str,
        project: &str,
        properties: &BTreeMap<String, Vec<String>>,
    ) -> Option<Vec<String>> {
        let here = directory_of(file);
        let up = |from: &str| "../".repeat(from.split('/').filter(|it| !it.is_empty()).count());
        let absolute = |dir: &str| format!("{}{dir}", up(here));
        let solution = || {
            let mut above = Some(project);
            while let Some(dir) = above {
                let has = self
                    .manifests
                    .list(dir)
                    .ok()?
                    .iter()
                    .any(|(name, _)| name.ends_with(".sln") || name.ends_with(".slnx"));
                if has {
                    return Some(absolute(dir));
                }
                above = (!dir.is_empty()).then(|| directory_of(dir));
            }
            None
        };
        let values = |name: &str| match name {
            "MSBuildThisFileDirectory" => Some(vec![String::new()]),
            "MSBuildProjectDirectory" | "ProjectDir" => Some(vec![absolute(project) + "/"]),
            "SolutionDir" => solution().map(|dir| vec![dir + "/"]),
            _ if name.starts_with("[MSBuild]::GetPathOfFileAbove('") => {
                let file = name.split('\'').nth(1)?;
                let start = directory_of(here);
                let found = self.above(start, file).ok()??;
                Some(vec![absolute(&found)])
            }
            _ => properties.get(name).cloned(),
        };
        let texts = expand(text, &values, DEEPEST)?;
        Some(texts.into_iter().map(|text| text.replace('\\', "/").replace("//", "/")).collect())
    }

    fn fill(&mut self, package: &mut Package, path: &str) -> Result<(), TreeError> {
        let dir = package.dir.clone();
        let evaluated = self.evaluate(path)?;
        if let Some((file, import)) = &evaluated.unknown {
            let detail = format!("imports `{import}`, which cannot be told");
            self.packages.unfollowed(file, &dir, detail);
            package.uses(To::Anything, import.clone());
        }
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut versions: BTreeMap<String, (String, String)> = BTreeMap::new();
        for file in &evaluated.files {
            let Some(says) = self.file(file, &dir)? else { continue };
            if file != path && !file.ends_with(CENTRAL) {
                package.uses(To::File(file.clone()), file.clone());
            }
            wanted.extend(says.packages.iter().cloned());
            for (name, element) in &says.versions {
                versions.insert(name.clone(), (file.clone(), element.clone()));
            }
            for reference in &says.references {
                self.reference(package, file, reference, &evaluated)?;
            }
            for text in &says.mentioned {
                self.mention(package, file, text, &evaluated)?;
            }
        }
        for (name, (file, element)) in
            versions.into_iter().filter(|(name, _)| wanted.contains(name))
        {
            package.entries.insert((file, name), element);
        }
        for file in evaluated.files.iter().filter(|file| file.ends_with(CENTRAL)) {
            // What is no version of a package counts for every project.
            let says = self.file(file, &dir)?.unwrap_or_default();
            let rest = format!("{:?} {:?}", says.properties, says.imports);
            package.entries.insert((file.clone(), "settings".to_owned()), rest);
        }
        for name in FROM_ABOVE {
            if let Some(file) = self.above(&dir, name)? {
                package.uses(To::File(file), name);
            }
        }
        let mut above = Some(dir.as_str());
        while let Some(here) = above {
            for name in ["nuget.config", "NuGet.config", "NuGet.Config"] {
                let path = file_in(here, name);
                if self.manifests.text(&path)? != Text::Absent {
                    package.uses(To::File(path), name);
                }
            }
            above = (!here.is_empty()).then(|| directory_of(here));
        }
        Ok(())
    }

    fn reference(
        &mut self,
        package: &mut Package,
        file: &str,
        reference: &str,
        evaluated: &Evaluated,
    ) -> Result<(), TreeError> {
        let dir = package.dir.clone();
        // A path in an imported file is relative to the project that imports it.
        let known = self.expanded(reference, &file_in(&dir, "x"), &dir, &evaluated.properties);
        let Some(texts) = known else {
            let detail = format!("refers to `{reference}`, whose properties are not known");
            self.packages.unfollowed(file, &dir, detail);
            package.uses(To::Anything, reference);
            return Ok(());
        };
        for text in texts {
            if text.contains(['*', '?']) {
                let glob = join(&dir, &text).and_then(|it| globset::Glob::new(&it).ok());
                let glob = glob.map(|glob| glob.compile_matcher());
                let matching = self
                    .known
                    .iter()
                    .filter(|it| glob.as_ref().is_some_and(|glob| glob.is_match(it)));
                for project in matching.cloned().collect::<Vec<_>>() {
                    package.needs(directory_of(&project).to_owned());
                }
                continue;
            }
            let place = self.manifests.lead(&dir, &text)?;
            for link in place.links.iter().cloned().map(To::Link) {
                package.uses(link, text.clone());
            }
            match &place.end {
                End::File(project) if directory_of(project) == dir => {}
                End::File(project) => package.needs(directory_of(project).to_owned()),
                End::Submodule(path) => package.uses(To::Submodule(path.clone()), text.clone()),
                End::Directory(_) | End::Missing(_) | End::Outside => {
                    let detail = format!("refers to `{text}`, which is not in the tree");
                    self.packages.unfollowed(file, &dir, detail);
                    if let Some(missing) = join(&dir, &text) {
                        package
                            .uses(To::Directory(directory_of(&missing).to_owned()), text.clone());
                    }
                }
            }
        }
        Ok(())
    }

    /// Files that a project takes from outside its directory.
    fn mention(
        &mut self,
        package: &mut Package,
        file: &str,
        text: &str,
        evaluated: &Evaluated,
    ) -> Result<(), TreeError> {
        let dir = package.dir.clone();
        let Some(texts) = self.expanded(text, &file_in(&dir, "x"), &dir, &evaluated.properties)
        else {
            return Ok(());
        };
        for text in texts.iter().filter(|text| text.contains("../")) {
            let Some(path) = join(&dir, text) else { continue };
            if is_below(&path, &dir) {
                continue;
            }
            if let Some(start) = path.find(['*', '?']) {
                let above = directory_of(&path[..start]).to_owned();
                let simple = literal(&above);
                let glob = format!("{simple}/{}", path[above.len()..].trim_start_matches('/'));
                let glob = if above.is_empty() { path.clone() } else { glob };
                match lanes::glob::Glob::new(&glob) {
                    Ok(_) => package.uses(To::Glob(glob), text.clone()),
                    Err(_) => package.uses(To::Directory(above), text.clone()),
                }
                continue;
            }
            let place = self.manifests.locate(&path)?;
            depend(package, &place, text, &|_| false);
        }
        let _ = file;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
