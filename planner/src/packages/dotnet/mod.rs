//! .NET projects: what MSBuild's files refer to.
//!
//! Source: the MSBuild reference, "Directory.Build.props" and "Central Package Management". A
//! package is a project file, called by its name without the ending. Conditions are not decided,
//! every branch counts. A reference whose properties are not known leads anywhere.

mod msbuild;

use std::collections::{BTreeMap, BTreeSet};

use self::msbuild::{ProjectFile, expand, function, project_file};
use super::{
    End, Kind, Manifests, Package, Packages, Text, To, directory_of, file_in, join, literal,
    places::{depend, is_below},
};
use crate::planned_tree::TreeError;

pub(crate) const KIND: Kind = Kind {
    kind: lanes::PackageKind::Dotnet,
    manifest: "Directory.Build.props",
    // A solution decides what `$(SolutionDir)` is.
    watched: &["**/*.{csproj,fsproj,vbproj,sqlproj,props,targets,projitems,sln,slnx}"],
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
/// What stands for the repository's root in the values of properties.
const ROOT: char = '\u{1}';
/// Properties of the SDK, of installed programs and of what a build puts out: no path that begins with
/// one is an input of the tree.
const ELSEWHERE: [&str; 20] = [
    "$(MSBuildExtensionsPath",
    "$(MSBuildToolsPath",
    "$(MSBuildBinPath",
    "$(MSBuildSDKsPath",
    "$(MSBuildSdksPath",
    "$(MSBuildUserExtensionsPath",
    "$(VSToolsPath",
    "$(NuGet",
    "$(Pkg",
    "$(UserProfile",
    "$(NetCore",
    "$(ProgramFiles",
    "$(WindowsSdk",
    "$(OutDir",
    "$(OutputPath",
    "$(TargetDir",
    "$(IntermediateOutputPath",
    "$(BaseIntermediateOutputPath",
    "$(BaseOutputPath",
    "$(PublishDir",
];
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

/// A directory in the value of a property, with a slash at its end as MSBuild has it.
fn at_root(dir: &str) -> String {
    if dir.is_empty() { ROOT.to_string() } else { format!("{ROOT}{dir}/") }
}

fn is_elsewhere(text: &str) -> bool {
    ELSEWHERE.iter().any(|it| text.starts_with(it))
}

/// What a text with properties stands in.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// The file that says it.
    file: &'a str,
    /// The project that is built.
    project: &'a str,
    properties: &'a BTreeMap<String, Vec<String>>,
}

/// A project with all that it imports, and the values of its properties.
struct Evaluated {
    project: String,
    /// The files, the project first.
    files: Vec<String>,
    properties: BTreeMap<String, Vec<String>>,
    /// Whether an import leads somewhere that is not known.
    unknown: Option<(String, String)>,
}

impl Evaluated {
    /// What a text of one of the files stands in.
    fn scope<'a>(&'a self, file: &'a str) -> Scope<'a> {
        Scope { file, project: &self.project, properties: &self.properties }
    }
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
        let mut found = Evaluated {
            project: path.to_owned(),
            files: Vec::new(),
            properties: BTreeMap::new(),
            unknown: None,
        };
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
                // A value is of the file that gives it.
                let here = at_root(directory_of(&path));
                let values =
                    values.iter().map(|it| it.replace("$(MSBuildThisFileDirectory)", &here));
                found.properties.entry(name.clone()).or_default().extend(values);
            }
            for import in &file.imports {
                let here = directory_of(&path);
                let scope =
                    Scope { file: &path, project: &found.project, properties: &found.properties };
                let Some(texts) = self.expanded(import, here, &scope) else {
                    if !is_elsewhere(import) {
                        found.unknown.get_or_insert((path.clone(), import.clone()));
                    }
                    continue;
                };
                for text in texts {
                    if text.contains(['*', '?']) {
                        let glob = join(here, &text).unwrap_or_default();
                        let files = self.manifests.matching(&glob)?;
                        queue.extend(files.into_iter().map(|file| (file, depth + 1)));
                    } else if let End::File(file) = self.manifests.lead(here, &text)?.end {
                        queue.push((file, depth + 1));
                    }
                }
            }
        }
        Ok(found)
    }

    /// The paths that a text may be once its properties are in place, from a directory; none where one
    /// of them is not known.
    fn expanded(&self, text: &str, from: &str, scope: &Scope<'_>) -> Option<Vec<String>> {
        // Items of a list, and what is known of each, come from a build.
        if text.contains("@(") || text.contains("%(") {
            return None;
        }
        let up = "../".repeat(from.split('/').filter(|it| !it.is_empty()).count());
        let texts = expand(text, &|name| self.value(name, scope), DEEPEST)?;
        let path = |text: String| {
            let text = text.replace('\\', "/");
            let text = match text.rsplit_once(ROOT) {
                Some((_, path)) => format!("{up}{path}"),
                None => text,
            };
            text.replace("//", "/")
        };
        Some(texts.into_iter().map(path).collect())
    }

    /// The values of a property or a property function.
    fn value(&self, name: &str, scope: &Scope<'_>) -> Option<Vec<String>> {
        let here = directory_of(scope.file);
        let one = |text: &str| Some(vec![text.to_owned()]);
        match name {
            "MSBuildThisFileDirectory" => return one(&at_root(here)),
            "MSBuildThisFileFullPath" => return one(&format!("{ROOT}{}", scope.file)),
            "MSBuildThisFile" => return one(scope.file.rsplit('/').next().unwrap_or_default()),
            "MSBuildThisFileName" => return one(stem(scope.file)),
            "MSBuildProjectDirectory" | "ProjectDir" => {
                return one(&at_root(directory_of(scope.project)));
            }
            "MSBuildProjectName" | "ProjectName" => return one(stem(scope.project)),
            "SolutionDir" => {
                let dir = self.solution(directory_of(scope.project));
                return dir.map(|dir| vec![at_root(&dir)]);
            }
            _ => {}
        }
        let Some((function, arguments)) = function(name) else {
            let default = matches!(name, "AssemblyName" | "RootNamespace")
                .then(|| vec![stem(scope.project).to_owned()]);
            return scope.properties.get(name).cloned().or(default);
        };
        let mut known = Vec::new();
        for argument in arguments {
            let values = expand(argument, &|name| self.value(name, scope), DEEPEST / 2)?;
            known.push(values.into_iter().next()?.replace('\\', "/"));
        }
        let start = |at: Option<&String>| {
            let path = at.map_or(here, |at| at.rsplit(ROOT).next().unwrap_or(at));
            join("", path)
        };
        match (function, &known[..]) {
            ("[MSBuild]::GetPathOfFileAbove", [file, rest @ ..]) => {
                let found = self.above(&start(rest.first())?, file).ok()??;
                one(&format!("{ROOT}{found}"))
            }
            ("[MSBuild]::GetDirectoryNameOfFileAbove", [from, file]) => {
                let found = self.above(&start(Some(from))?, file).ok()??;
                one(&at_root(directory_of(&found)))
            }
            (
                "[System.IO.Path]::Combine"
                | "[System.IO.Path]::GetFullPath"
                | "[MSBuild]::NormalizePath"
                | "[MSBuild]::NormalizeDirectory"
                | "[MSBuild]::EnsureTrailingSlash",
                [_, ..],
            ) => {
                let slash = function.contains("Directory") || function.contains("Slash");
                one(&(known.join("/") + if slash { "/" } else { "" }))
            }
            _ => None,
        }
    }

    /// The nearest directory with a solution, the project's or above it.
    fn solution(&self, project: &str) -> Option<String> {
        let mut above = Some(project);
        while let Some(dir) = above {
            let names = self.manifests.list(dir).ok()?;
            if names.iter().any(|(name, _)| name.ends_with(".sln") || name.ends_with(".slnx")) {
                return Some(dir.to_owned());
            }
            above = (!dir.is_empty()).then(|| directory_of(dir));
        }
        None
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
            for (text, is_item) in &says.mentioned {
                self.mention(package, file, text, *is_item, &evaluated)?;
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
        let known = self.expanded(reference, &dir, &evaluated.scope(file));
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
                    // Where the case of letters does not count, it is there all the same.
                    let missing = join(&dir, &text).unwrap_or_default();
                    let same = |it: &&String| it.eq_ignore_ascii_case(&missing);
                    if let Some(project) = self.known.iter().find(same).cloned() {
                        package.needs(directory_of(&project).to_owned());
                    }
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
        is_item: bool,
        evaluated: &Evaluated,
    ) -> Result<(), TreeError> {
        let dir = package.dir.clone();
        let mut known = self.expanded(text, &dir, &evaluated.scope(file));
        if known.is_none() && is_item && !is_elsewhere(text) && !text.contains("@(") {
            // Any text may stand in the place of a property; where it is the first, it may lead
            // anywhere.
            known = expand(text, &|_| Some(vec!["*".to_owned()]), DEEPEST)
                .map(|texts| texts.iter().map(|it| it.replace('\\', "/")).collect());
            if text.starts_with("$(") {
                let detail = format!("takes `{text}`, whose properties are not known");
                self.packages.unfollowed(file, &dir, detail);
                package.uses(To::Anything, text);
                return Ok(());
            }
        }
        for text in known.iter().flatten().filter(|text| text.contains("../")) {
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
        Ok(())
    }
}

#[cfg(test)]
mod tests;
