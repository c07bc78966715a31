//! Maven: `mvn -pl MODULE -am validate`, without a network, of generated reactors.
//!
//! What Maven makes "also" for a module is what it reaches. `validate` needs no plugin of Maven's own,
//! so nothing is downloaded. A parent or aggregator counts with its file, not with its directory: it
//! is no part of what is compared here.

use std::collections::{BTreeMap, BTreeSet};

use super::{Trial, Truth, World, program, relative, run, shape::Shape, written};
use crate::sandbox::{Numbers, Sandbox};

fn name(dir: &str) -> String {
    dir.replace('/', "-")
}

fn project(own: &str, rest: &str) -> String {
    format!("<project><modelVersion>4.0.0</modelVersion>{own}{rest}</project>\n")
}

fn build(numbers: &mut Numbers) -> World {
    let sandbox = Sandbox::new();
    let mut shape = Shape::new(numbers, name);
    shape.links.clear();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut modules, mut of_profile) = (String::new(), String::new());
    for package in &shape.packages {
        let list = if numbers.below(4) == 0 { &mut of_profile } else { &mut modules };
        list.extend(["<module>", &package.dir, "</module>"]);
    }
    let active = "<activation><activeByDefault>true</activeByDefault></activation>";
    let root = format!(
        "<packaging>pom</packaging><properties><of>g</of></properties><modules>{modules}</modules>\
         <profiles><profile><id>more</id>{active}<modules>{of_profile}</modules></profile></profiles>"
    );
    let own = "<groupId>g</groupId><artifactId>root</artifactId><version>1</version>";
    sandbox.write("pom.xml", project(own, &root));
    for package in &shape.packages {
        let inherits = numbers.below(3) > 0;
        let own = if inherits {
            let path = relative(&package.dir, "");
            format!(
                "<parent><groupId>g</groupId><artifactId>root</artifactId><version>1</version>\
                 <relativePath>{path}</relativePath></parent><artifactId>{}</artifactId>",
                package.name
            )
        } else {
            format!(
                "<groupId>g</groupId><artifactId>{}</artifactId><version>1</version>",
                package.name
            )
        };
        let (mut dependencies, mut plugins, mut of_profile) =
            (String::new(), String::new(), String::new());
        for &needed in &package.needs {
            let other = &shape.packages[needed];
            edges.entry(package.dir.clone()).or_default().insert(other.dir.clone());
            let group = match numbers.below(3) {
                0 => "${project.groupId}",
                1 if inherits => "${of}",
                _ => "g",
            };
            // Another version comes from a repository; which that is, is not looked at.
            let version = if numbers.below(8) == 0 { "2" } else { "1" };
            let more = *numbers.pick(&["", "<scope>test</scope>", "<optional>true</optional>"]);
            let coordinates = format!(
                "<groupId>{group}</groupId><artifactId>{}</artifactId><version>{version}</version>",
                other.name
            );
            let dependency = format!("<dependency>{coordinates}{more}</dependency>");
            match numbers.below(6) {
                0 => plugins.extend(["<plugin>", &coordinates, "</plugin>"]),
                1 => of_profile += &dependency,
                _ => dependencies += &dependency,
            }
        }
        let rest = format!(
            "<dependencies>{dependencies}</dependencies><build><plugins>{plugins}</plugins></build>\
             <profiles><profile><id>own</id>{active}<dependencies>{of_profile}</dependencies></profile>\
             </profiles>"
        );
        sandbox.write(format!("{}/pom.xml", package.dir), project(&own, &rest));
    }
    World { sandbox, places: shape.dirs(), written: edges }
}

fn ask(world: &World) -> Result<Truth, String> {
    let mvn = program("mvn", "").expect("the caller looked");
    let env = [("MAVEN_OPTS", "-XX:TieredStopAtLevel=1 -Xshare:auto")];
    let mut truth = Truth::new();
    for dir in &world.places {
        let one = format!(":{}", name(dir));
        let args = ["-o", "-B", "-pl", &one, "-am", "validate"];
        let said = run(&world.sandbox, "", &mvn, &args, &env)?;
        let built = said.lines().filter_map(|line| {
            let of = line.strip_prefix("[INFO] Building ")?;
            of.split_whitespace().next()
        });
        let built: BTreeSet<&str> = built.collect();
        let reached = world.places.iter().filter(|it| built.contains(name(it).as_str()));
        let reached: BTreeSet<String> = reached.cloned().collect();
        if !reached.contains(dir) {
            return Err(format!("`{dir}` is not among what Maven builds: {said}"));
        }
        truth.insert(dir.clone(), (name(dir), reached));
    }
    Ok(truth)
}

#[test]
fn lanes_have_what_maven_builds_also() {
    if program("mvn", "").is_some() {
        Trial { key: "maven", count: 1, build, ask, more: written }.compare();
    }
}
