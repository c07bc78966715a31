use super::{
    super::{
        To,
        tests::{check, file, package, reaches, read, tree},
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

#[test]
fn what_profiles_and_command_lines_decide_may_be_any_of_it() {
    let root = "<project><groupId>org.example</groupId><artifactId>all</artifactId>
      <properties><impl>core</impl></properties>
      <modules><module>app</module><module>${extra}</module></modules>
      <profiles><profile><id>x</id><modules><module>other</module><module>core</module></modules>
        <properties><impl>other</impl></properties></profile></profiles></project>";
    let uses = format!("{}{}", dependency("${impl}"), dependency("spark_${scala}"));
    let (app, core, other) = (module("app", &uses), module("core", ""), module("other", ""));
    let spark = "<project><groupId>org.example</groupId><artifactId>spark_3</artifactId></project>";
    let tree = tree([
        ("pom.xml", root),
        ("app/pom.xml", app.leak()),
        ("core/pom.xml", core.leak()),
        ("other/pom.xml", other.leak()),
        ("computed/pom.xml", spark),
    ]);
    let packages = read(&KIND, &tree, &["app"]).expect("the tree can be read");
    let reached = packages.reach("app");
    for dir in ["core", "other", "computed"] {
        assert!(reached.iter().any(|it| it.to == To::Package(dir.to_owned())), "{dir}");
    }
    assert!(packages.problems().any(|it| it.detail.contains("`${extra}`, which is computed")));
}

#[test]
fn a_list_of_versions_that_imports_another_counts_with_it() {
    let import = |artifact: &str| {
        format!(
            "<dependencyManagement><dependencies><dependency><groupId>org.example</groupId>\
             <artifactId>{artifact}</artifactId><type>pom</type><scope>import</scope></dependency>\
             </dependencies></dependencyManagement>"
        )
    };
    let (core, app) = (module("core", &import("other")), module("app", &import("core")));
    let other = module("other", &import("core"));
    let tree = tree([
        ("pom.xml", ROOT),
        ("core/pom.xml", core.leak()),
        ("app/pom.xml", app.leak()),
        ("other/pom.xml", other.leak()),
    ]);
    let packages = read(&KIND, &tree, &[]).expect("the tree can be read");
    let reached = packages.reach("app");
    for file in ["core/pom.xml", "other/pom.xml"] {
        assert!(reached.iter().any(|it| it.to == To::File(file.to_owned())), "{file}");
    }
}

#[test]
fn a_name_with_unknown_parts_may_be_many_names() {
    for (text, name, expected) in [
        ("core", "core", true),
        ("core", "cores", false),
        ("a_${x}", "a_2", true),
        ("a_${x}", "b_2", false),
        ("${x}-b-${y}-c", "1-b-2-c", true),
        ("${x}-b-${y}-c", "1-c", false),
    ] {
        assert_eq!(super::may_be(text, name), expected, "{text} {name}");
    }
}

#[test]
fn files_below_a_directory_that_only_maven_knows_count_where_they_are() {
    let text = |path: &str| {
        format!(
            "<project><groupId>g</groupId><artifactId>a</artifactId><build><plugins><plugin>\
             <artifactId>checks</artifactId><configuration><configLocation>{path}</configLocation>\
             </configuration></plugin></plugins></build></project>"
        )
    };
    for path in [
        "${maven.multiModuleProjectDirectory}/config/checks.xml",
        "${session.executionRootDirectory}/config/checks.xml",
        "${unknown}/config/checks.xml",
    ] {
        let module: &'static str = text(path).leak();
        let tree = tree([
            (
                "pom.xml",
                "<project><groupId>g</groupId><artifactId>root</artifactId><modules><module>x/a</module></modules></project>",
            ),
            ("x/a/pom.xml", module),
            ("config/checks.xml", ""),
            ("config/other.xml", ""),
        ]);
        reaches(&KIND, &tree, "a", &[file("config/checks.xml")], &[file("config/other.xml")]);
    }
}

#[test]
fn a_parent_that_its_path_does_not_lead_to_is_found_by_its_coordinates() {
    for path in ["<relativePath/>", "<relativePath>../gone</relativePath>", ""] {
        let module: &'static str = format!(
            "<project><parent><groupId>g</groupId><artifactId>par</artifactId><version>1</version>\
             {path}</parent><artifactId>a</artifactId></project>"
        )
        .leak();
        let tree = tree([
            (
                "build/pom.xml",
                "<project><groupId>g</groupId><artifactId>root</artifactId><modules><module>../x/a</module><module>../y/par</module><module>../lib</module></modules></project>",
            ),
            ("x/a/pom.xml", module),
            (
                "y/par/pom.xml",
                "<project><groupId>g</groupId><artifactId>par</artifactId><dependencies><dependency><groupId>g</groupId><artifactId>lib</artifactId></dependency></dependencies></project>",
            ),
            ("lib/pom.xml", "<project><groupId>g</groupId><artifactId>lib</artifactId></project>"),
        ]);
        let packages = read(&KIND, &tree, &["a"]).expect("the tree can be read");
        let reached: Vec<To> = packages.reach("a").into_iter().map(|it| it.to).collect();
        for to in [file("y/par/pom.xml"), package("lib")] {
            assert!(reached.contains(&to), "{path}: {to:?} is not among {reached:?}");
        }
    }
}
