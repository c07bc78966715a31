//! Maven modules: reactors, parents and what modules name of each other.
//!
//! Source: the Maven POM reference and "Introduction to the POM". A package is called by its
//! artifact, or by `group:artifact`. A parent counts with its file, and with what its own
//! `dependencies` and plugins name, not with its directory. What comes from a repository is no
//! directory of the tree.

mod pom;

use std::collections::{BTreeMap, BTreeSet};

use self::pom::{Coordinates, Pom, interpolate, pom};
use super::{
    End, Kind, Manifests, Package, Packages, Text, To, directory_of, file_in, join,
    places::mentioned,
};
use crate::planned_tree::TreeError;

pub(crate) const KIND: Kind = Kind {
    kind: lanes::PackageKind::Maven,
    manifest: NAME,
    watched: &["**/pom.xml"],
    read,
    lock: |path, _| Err(format!("`{path}` is no lock file of Maven's")),
};

const NAME: &str = "pom.xml";
/// How many parents a module has at the most; a longer line goes in a circle.
const MOST_PARENTS: usize = 32;

fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut reader = Reader {
        manifests,
        by_artifact: BTreeMap::new(),
        poms: BTreeMap::new(),
        packages: Packages::default(),
    };
    reader.collect(vec![NAME.to_owned()])?;
    reader.assemble()?;
    if !reader.packages.has(manifests.wanted()) {
        reader.collect(manifests.matching("**/pom.xml")?)?;
        reader.assemble()?;
    }
    Ok(reader.packages)
}

struct Reader<'a> {
    manifests: &'a Manifests<'a>,
    /// The files of each artifact, once all are read.
    by_artifact: BTreeMap<String, Vec<String>>,
    /// Every file that was looked at; none where it cannot be read.
    poms: BTreeMap<String, Option<Pom>>,
    packages: Packages,
}

/// A file with what it inherits: itself first, then its parents, the nearest first.
type Line<'a> = Vec<(&'a str, &'a Pom)>;

impl Reader<'_> {
    /// Reads some files, their modules and their parents.
    fn collect(&mut self, mut queue: Vec<String>) -> Result<(), TreeError> {
        while let Some(path) = queue.pop() {
            if self.poms.contains_key(&path) {
                continue;
            }
            let read = match self.manifests.text(&path)? {
                Text::Absent => continue,
                Text::Unreadable(detail) => Err((detail, None)),
                Text::Read(text) => pom(&text).map_err(|detail| (detail, Some(text))),
            };
            let dir = directory_of(&path).to_owned();
            let found = match read {
                Ok(found) => found,
                Err((detail, text)) => {
                    self.packages.unreadable(&path, &dir, &detail, text.as_deref());
                    self.poms.insert(path, None);
                    continue;
                }
            };
            for module in &found.modules {
                let lead = join(&dir, module).filter(|_| !module.contains("${"));
                let place = match &lead {
                    Some(lead) => self.manifests.locate(lead)?.end,
                    None => End::Outside,
                };
                match place {
                    End::Directory(dir) => queue.push(file_in(&dir, NAME)),
                    End::File(file) => queue.push(file),
                    // Whichever directory the property means is among all.
                    End::Outside if module.contains("${") => {
                        queue.extend(self.manifests.matching("**/pom.xml")?);
                        let detail = format!("names the module `{module}`, which is computed");
                        self.packages.unfollowed(&path, &dir, detail);
                    }
                    // The reactor would not start.
                    _ => self.packages.unfollowed(
                        &path,
                        &dir,
                        format!("names the module `{module}`, which is not in the tree"),
                    ),
                }
            }
            queue.extend(self.parent_path(&dir, &found)?);
            self.poms.insert(path, Some(found));
        }
        Ok(())
    }

    /// Where the parent's file is, if the tree has it.
    fn parent_path(&self, dir: &str, pom: &Pom) -> Result<Option<String>, TreeError> {
        let Some((_, relative)) = &pom.parent else { return Ok(None) };
        if relative.is_empty() {
            return Ok(None);
        }
        Ok(match self.manifests.lead(dir, relative)?.end {
            End::File(file) => Some(file),
            End::Directory(dir) => Some(file_in(&dir, NAME)),
            _ => None,
        })
    }

    fn line<'p>(&'p self, path: &'p str) -> Result<Line<'p>, TreeError> {
        let mut line = Vec::new();
        let mut next = self.poms.get_key_value(path);
        while let Some((path, Some(pom))) = next {
            line.push((path.as_str(), pom));
            if line.len() == MOST_PARENTS {
                break;
            }
            let parent = self.parent_path(directory_of(path), pom)?;
            let parent = match parent.and_then(|parent| self.poms.get_key_value(&parent)) {
                Some(parent) => Some(parent),
                None => self.parent_by_name(pom).and_then(|path| self.poms.get_key_value(path)),
            };
            next = parent;
        }
        Ok(line)
    }

    /// Maven 4 takes a parent that its path does not lead to from the reactor, by its coordinates;
    /// Maven 3.8 refuses the module (asked of both kinds of path).
    fn parent_by_name(&self, pom: &Pom) -> Option<&String> {
        let ((group, artifact), _) = pom.parent.as_ref()?;
        let fits = |path: &&String| {
            let other = self.poms.get(*path).and_then(Option::as_ref);
            let other = other.and_then(|it| it.group.as_ref());
            other.is_none() || group.is_none() || other == group.as_ref()
        };
        self.by_artifact.get(artifact)?.iter().find(fits)
    }

    fn assemble(&mut self) -> Result<(), TreeError> {
        self.by_artifact.clear();
        for (path, pom) in &self.poms {
            if let Some(pom) = pom {
                self.by_artifact.entry(pom.artifact.clone()).or_default().push(path.clone());
            }
        }
        let mut by_name = ByName::new();
        let mut made = Vec::new();
        let paths: Vec<&String> = self.poms.keys().collect();
        for path in &paths {
            let line = self.line(path)?;
            let Some((_, own)) = line.first() else { continue };
            let artifact = value(&own.artifact, &line);
            let group = group_of(&line);
            let known = by_name.entry(artifact.clone()).or_default();
            known.insert((group.clone(), (*path).clone()));
            made.push(((*path).clone(), artifact, group));
        }
        let mut packages = Vec::new();
        for (path, artifact, group) in made {
            let dir = directory_of(&path).to_owned();
            let mut package = Package::new(artifact.clone(), dir);
            if let Some(group) = group {
                package.aliases.insert(format!("{group}:{artifact}"));
            }
            self.fill(&mut package, &path, &by_name)?;
            packages.push(package);
        }
        for package in packages {
            self.packages.insert(package);
        }
        Ok(())
    }

    fn fill(&self, package: &mut Package, path: &str, by_name: &ByName) -> Result<(), TreeError> {
        let line = self.line(path)?;
        let named = |coordinates: &Coordinates| named(coordinates, &line, by_name);
        for (at, (file, pom)) in line.iter().enumerate() {
            if at > 0 {
                package.uses(To::File((*file).to_owned()), *file);
            }
            for uses in &pom.uses {
                let found = named(uses);
                if found.is_empty() {
                    self.in_broken(package, uses);
                }
                for used in found.iter().filter(|used| used.as_str() != path) {
                    package.needs(directory_of(used));
                }
            }
            // A list of versions may import further ones.
            let mut boms: Vec<String> = pom.imports.iter().flat_map(&named).collect();
            let mut seen = BTreeSet::from([path.to_owned()]);
            while let Some(bom) = boms.pop() {
                if !seen.insert(bom.clone()) {
                    continue;
                }
                let of_bom = self.line(&bom)?;
                for (file, pom) in &of_bom {
                    package.uses(To::File((*file).to_owned()), *file);
                    boms.extend(
                        pom.imports.iter().flat_map(|it| self::named(it, &of_bom, by_name)),
                    );
                }
            }
            // A path that a parent names is below the module that inherits it.
            let texts: Vec<String> =
                pom.mentioned.iter().map(|it| base_of(&value(it, &line))).collect();
            let from = package.dir.clone();
            mentioned(self.manifests, package, &[&from], texts.iter().map(String::as_str))?;
            // What begins with a property that is not known (`${session.executionRootDirectory}/x`)
            // is there below a directory above, or nowhere in the tree.
            let rest = texts.iter().filter_map(|it| it.strip_prefix("${")?.split_once("}/"));
            let rest = rest.filter(|(name, _)| !name.starts_with("project.build.")).map(|it| it.1);
            let rest: Vec<&str> = rest.filter(|it| !it.contains("${")).collect();
            let mut above = from.as_str();
            while !rest.is_empty() && !above.is_empty() {
                above = directory_of(above);
                mentioned(self.manifests, package, &[above], rest.iter().copied())?;
            }
        }
        if let Some((_, Some(_))) = self.parent_outside(path)? {
            // The parent is in the tree and cannot be read.
            package.uses(To::Anything, "its parent cannot be read");
        }
        let mut above = Some(package.dir.clone());
        while let Some(dir) = above {
            let settings = file_in(&dir, ".mvn");
            if let End::Directory(found) = self.manifests.locate(&settings)?.end {
                package.uses(To::Directory(found), ".mvn");
                break;
            }
            above = (!dir.is_empty()).then(|| directory_of(&dir).to_owned());
        }
        Ok(())
    }

    /// A module whose file cannot be read may be what coordinates mean, and any if it says none.
    fn in_broken(&self, package: &mut Package, (_, artifact): &Coordinates) {
        let may_be = |text: &str| {
            artifact.contains("${") || text.contains(artifact) || !text.contains("artifactId")
        };
        for (path, _) in self.poms.iter().filter(|(_, pom)| pom.is_none()) {
            if self.packages.may_be(directory_of(path), may_be) {
                package.needs(directory_of(path));
            }
        }
    }

    /// The first parent on the line that is in the tree and cannot be read.
    fn parent_outside(&self, path: &str) -> Result<Option<(String, Option<()>)>, TreeError> {
        for (file, pom) in self.line(path)? {
            let Some(parent) = self.parent_path(directory_of(file), pom)? else { continue };
            if let Some(None) = self.poms.get(&parent) {
                return Ok(Some((parent, Some(()))));
            }
        }
        Ok(None)
    }
}

/// By artifact: the group and file of each module of that name.
type ByName = BTreeMap<String, BTreeSet<(Option<String>, String)>>;

/// The files of the modules that coordinates in a line of files may mean. Where a property is not
/// known, or profiles give it several values, any text may stand in its place.
fn named(coordinates: &Coordinates, line: &Line<'_>, by_name: &ByName) -> Vec<String> {
    let certain = |text: &str| {
        interpolate(text, &|name| {
            let several = line.iter().any(|(_, pom)| pom.several.contains(name));
            if several { None } else { Some(value(&format!("${{{name}}}"), line)) }
                .filter(|value| !value.contains("${"))
        })
    };
    let group = coordinates.0.as_ref().map(|group| certain(group));
    // A group that is computed from elsewhere may be any.
    let group = group.filter(|group| !group.contains("${"));
    let artifact = certain(&coordinates.1);
    let known = by_name.iter().filter(|(name, _)| may_be(&artifact, name)).flat_map(|it| it.1);
    let fits = |it: &&(Option<String>, String)| group.is_none() || it.0.is_none() || it.0 == group;
    known.filter(fits).map(|(_, path)| path.clone()).collect()
}

/// Whether a text may become a name once its `${…}` are replaced.
fn may_be(text: &str, name: &str) -> bool {
    let Some((before, rest)) = text.split_once("${") else { return text == name };
    let Some(mut name) = name.strip_prefix(before) else { return false };
    let mut rest = rest.split_once('}').map_or("", |it| it.1);
    while let Some((middle, after)) = rest.split_once("${") {
        let Some(at) = name.find(middle) else { return false };
        name = &name[at + middle.len()..];
        rest = after.split_once('}').map_or("", |it| it.1);
    }
    name.ends_with(rest)
}

/// A module's group: its own, or the nearest parent's.
fn group_of(line: &Line<'_>) -> Option<String> {
    let own = line.iter().find_map(|(_, pom)| {
        pom.group.clone().or_else(|| pom.parent.as_ref().and_then(|((group, _), _)| group.clone()))
    })?;
    let group = value(&own, line);
    (!group.contains("${")).then_some(group)
}

/// A text with the properties of a line of files in place.
fn value(text: &str, line: &Line<'_>) -> String {
    interpolate(text, &|name| {
        let own = line.first()?.1;
        let group = || {
            line.iter()
                .find_map(|(_, pom)| pom.group.clone().or_else(|| pom.parent.as_ref()?.0.0.clone()))
        };
        match name.strip_prefix("project.").or_else(|| name.strip_prefix("pom.")).unwrap_or(name) {
            "groupId" => group(),
            "artifactId" => Some(own.artifact.clone()),
            "parent.groupId" => own.parent.as_ref()?.0.0.clone(),
            "parent.artifactId" => Some(own.parent.as_ref()?.0.1.clone()),
            _ => line.iter().find_map(|(_, pom)| pom.properties.get(name).cloned()),
        }
    })
}

/// A path without the words for the module's own directory.
fn base_of(text: &str) -> String {
    ["${project.basedir}/", "${basedir}/", "${pom.basedir}/"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests;
