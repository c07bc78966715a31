//! `pom.xml` as written: what it calls itself, its parent, its modules, and what it names.
//!
//! Source: the Maven POM reference. Properties are replaced where this file or its parents define
//! them; a property of the command line, of a profile's activation or of the settings stays as
//! written, and so names nothing here.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};

/// A group and an artifact, as written.
pub(super) type Coordinates = (Option<String>, String);

/// What one file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pom {
    /// `groupId`; without one it is the parent's.
    pub(super) group: Option<String>,
    /// `artifactId`.
    pub(super) artifact: String,
    /// The parent's coordinates and its `relativePath`, `../pom.xml` by default; an empty one is none.
    pub(super) parent: Option<(Coordinates, String)>,
    /// The modules of the project and of its profiles, as written.
    pub(super) modules: Vec<String>,
    /// Dependencies, plugins, extensions and annotation processors.
    pub(super) uses: Vec<Coordinates>,
    /// Managed dependencies of scope `import`: their versions count, not their files.
    pub(super) imports: Vec<Coordinates>,
    /// Every text that may be a path outside the module: it has a slash or is a `directory`.
    pub(super) mentioned: Vec<String>,
    /// `properties` of the project and of its profiles; of two values the last one.
    pub(super) properties: BTreeMap<String, String>,
    /// Properties to which profiles give other values.
    pub(super) several: BTreeSet<String>,
}

/// Reads a `pom.xml`.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn pom(text: &str) -> Result<Pom, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let project = document.root_element();
    if project.tag_name().name() != "project" {
        return Err(format!("its element is `{}`, not `project`", project.tag_name().name()));
    }
    let mut found = Pom {
        group: text_of(project, "groupId"),
        artifact: text_of(project, "artifactId").ok_or("it has no `artifactId`")?,
        ..Pom::default()
    };
    if let Some(parent) = child(project, "parent") {
        let artifact = text_of(parent, "artifactId").ok_or("its parent has no `artifactId`")?;
        let relative = match child(parent, "relativePath") {
            Some(path) => path.text().unwrap_or_default().trim().to_owned(),
            None => "../pom.xml".to_owned(),
        };
        found.parent = Some(((text_of(parent, "groupId"), artifact), relative));
    }
    for node in project.descendants().filter(Node::is_element) {
        read(node, &mut found);
    }
    Ok(found)
}

fn read(node: Node<'_, '_>, found: &mut Pom) {
    let name = node.tag_name().name();
    let text = node.text().map(str::trim).unwrap_or_default();
    let managed = node.ancestors().any(|above| above.tag_name().name() == "dependencyManagement");
    match name {
        "module" | "subproject" if !text.is_empty() => found.modules.push(text.to_owned()),
        "properties" => {
            for property in node.children().filter(Node::is_element) {
                let value = property.text().unwrap_or_default().trim();
                let name = property.tag_name().name().to_owned();
                let before = found.properties.insert(name.clone(), value.to_owned());
                if before.is_some_and(|before| before != value) {
                    found.several.insert(name);
                }
            }
        }
        "parent" | "project" | "exclusion" | "relativePath" => {}
        _ => {
            if let Some(artifact) = text_of(node, "artifactId") {
                let coordinates = (text_of(node, "groupId"), artifact);
                if !managed {
                    found.uses.push(coordinates);
                } else if text_of(node, "scope").as_deref() == Some("import") {
                    found.imports.push(coordinates);
                }
            }
        }
    }
    let is_leaf = !node.children().any(|child| child.is_element());
    let directory = name.ends_with("irectory");
    if is_leaf && name != "module" && (text.contains('/') || directory && !text.is_empty()) {
        found.mentioned.push(text.to_owned());
    }
}

fn child<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    node.children().find(|child| child.is_element() && child.tag_name().name() == name)
}

fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Replaces `${name}` by what `value_of` knows, also inside of what it gives; what it does not know
/// stays as it is.
pub(super) fn interpolate(text: &str, value_of: &dyn Fn(&str) -> Option<String>) -> String {
    let mut text = text.to_owned();
    // A property that names itself would go on for ever.
    for _ in 0..8 {
        let mut next = String::new();
        let mut rest = text.as_str();
        let mut replaced = false;
        while let Some((before, after)) = rest.split_once("${") {
            next.push_str(before);
            let value =
                after.split_once('}').and_then(|(name, tail)| Some((value_of(name)?, tail)));
            match value {
                Some((value, tail)) => {
                    next.push_str(&value);
                    replaced = true;
                    rest = tail;
                }
                None => {
                    next.push_str("${");
                    rest = after;
                }
            }
        }
        next.push_str(rest);
        text = next;
        if !replaced {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_written() {
        let found = pom(r#"<?xml version="1.0"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <parent><groupId>org.example</groupId><artifactId>parent</artifactId><version>1</version></parent>
  <artifactId>app</artifactId>
  <properties><shared.dir>${basedir}/../shared</shared.dir></properties>
  <modules><module>core</module></modules>
  <dependencyManagement><dependencies>
    <dependency><groupId>org.example</groupId><artifactId>managed</artifactId><version>1</version></dependency>
    <dependency><groupId>org.example</groupId><artifactId>bom</artifactId><type>pom</type><scope>import</scope></dependency>
  </dependencies></dependencyManagement>
  <dependencies><dependency><groupId>${project.groupId}</groupId><artifactId>lib</artifactId>
    <exclusions><exclusion><groupId>a</groupId><artifactId>b</artifactId></exclusion></exclusions></dependency></dependencies>
  <build>
    <plugins><plugin><artifactId>maven-x-plugin</artifactId></plugin></plugins>
    <resources><resource><directory>../shared</directory></resource></resources>
  </build>
  <profiles><profile><modules><module>extra</module></modules></profile></profiles>
</project>"#)
        .expect("it is good");
        let own = |text: &str| text.to_owned();
        assert_eq!(found.artifact, "app");
        let parent = (Some(own("org.example")), own("parent"));
        assert_eq!(found.parent, Some((parent, own("../pom.xml"))));
        assert_eq!(found.modules, ["core", "extra"]);
        let uses = [(Some(own("${project.groupId}")), own("lib")), (None, own("maven-x-plugin"))];
        assert_eq!(found.uses, uses);
        assert_eq!(found.imports, [(Some(own("org.example")), own("bom"))]);
        assert!(found.mentioned.contains(&own("../shared")));
    }

    #[test]
    fn what_is_no_project_is_said() {
        assert!(pom("<settings/>").is_err());
        assert!(pom("<project/>").is_err());
        assert!(pom("<project><artifactId>a").is_err());
    }

    #[test]
    fn properties_are_replaced_and_never_for_ever() {
        let value = |name: &str| match name {
            "a" => Some("${b}/x".to_owned()),
            "b" => Some("y".to_owned()),
            "loop" => Some("${loop}".to_owned()),
            _ => None,
        };
        assert_eq!(interpolate("${a}-${unknown}", &value), "y/x-${unknown}");
        assert_eq!(interpolate("${loop}", &value), "${loop}");
        assert_eq!(interpolate("${open", &value), "${open");
    }
}
