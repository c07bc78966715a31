use super::{
    super::{
        To,
        tests::{check, read, tree},
    },
    KIND,
};

const ROOT: &str = "<project><groupId>org.example</groupId><artifactId>all</artifactId><modules>
  <module>core</module><module>app</module><module>other</module></modules></project>";

fn module(artifact: &str, rest: &str) -> String {
    format!(
        "<project><parent><groupId>org.example</groupId><artifactId>all</artifactId></parent>\
         <artifactId>{artifact}</artifactId>{rest}</project>"
    )
}

fn dependency(artifact: &str) -> String {
    format!(
        "<dependencies><dependency><groupId>${{project.groupId}}</groupId>\
         <artifactId>{artifact}</artifactId></dependency></dependencies>"
    )
}

#[test]
fn modules_of_a_reactor_depend_on_what_they_name_and_on_their_parents_file() {
    let (core, app, other) =
        (module("core", ""), module("app", &dependency("core")), module("other", ""));
    let tree = tree([
        ("pom.xml", ROOT),
        ("core/pom.xml", core.leak()),
        ("app/pom.xml", app.leak()),
        ("other/pom.xml", other.leak()),
    ]);
    let expected =
        ["app: NAME", "core: NAME -> core", "pom.xml: NAME -> pom.xml"].map(str::to_owned);
    for name in ["app", "org.example:app"] {
        let expected: Vec<String> = expected.iter().map(|it| it.replace("NAME", name)).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(read(&KIND, &tree, &[name]), name, &expected);
    }
}

#[test]
fn what_a_parent_depends_on_counts_and_what_it_only_manages_does_not() {
    let root = ROOT.replace(
        "</modules>",
        &format!(
            "</modules>{}<dependencyManagement>{}</dependencyManagement>",
            dependency("core"),
            dependency("other")
        ),
    );
    let (core, app, other) = (module("core", ""), module("app", ""), module("other", ""));
    let tree = tree([
        ("pom.xml", root.leak()),
        ("core/pom.xml", core.leak()),
        ("app/pom.xml", app.leak()),
        ("other/pom.xml", other.leak()),
    ]);
    let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
    let reached = packages.reach("app");
    let holds = |dir: &str| reached.iter().any(|it| it.to == To::Package(dir.to_owned()));
    assert!(holds("core") && !holds("other"));
}

#[test]
fn directories_outside_a_module_and_the_builds_settings_count() {
    let app = module(
        "app",
        "<build><resources><resource><directory>${project.basedir}/../shared</directory>\
         </resource></resources></build>",
    );
    let tree = tree([
        (
            "pom.xml",
            "<project><artifactId>all</artifactId><modules><module>app</module></modules></project>",
        ),
        ("app/pom.xml", app.leak()),
        ("shared/x.txt", ""),
        (".mvn/maven.config", ""),
    ]);
    check(
        read(&KIND, &tree, &["app"]),
        "app",
        &["app: app", ".mvn: app -> .mvn", "shared: app -> ../shared", "pom.xml: app -> pom.xml"],
    );
}

#[test]
fn a_broken_fixture_stops_nothing_and_a_broken_parent_runs_always() {
    let app = module("app", "");
    let tree = tree([
        ("pom.xml", "<project><artifactId>all"),
        ("app/pom.xml", app.leak()),
        ("fixtures/pom.xml", "<<<"),
    ]);
    let packages = read(&KIND, &tree, &["app"]).expect("the tree can be read");
    assert_eq!(packages.problems().len(), 2);
    assert!(packages.reach("app").iter().any(|it| it.to == To::Anything));
}
