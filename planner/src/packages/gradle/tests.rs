use super::{
    super::{
        Packages, To,
        tests::{Tree, file, package, reaches, read, tree},
    },
    KIND,
};

fn packages(tree: &Tree) -> Packages {
    read(&KIND, tree, &[]).expect("the tree can be read")
}

#[test]
fn projects_depend_on_projects_by_path_and_by_accessor() {
    let tree = tree([
        (
            "settings.gradle.kts",
            "rootProject.name = \"shop\"\ninclude(\":app\", \":core:data-store\")\ninclude(\":ui\")\ninclude(\":other\")\nproject(\":ui\").projectDir = file(\"libs/ui\")\n",
        ),
        (
            "app/build.gradle.kts",
            "dependencies {\n implementation(projects.core.dataStore)\n implementation(project(path = \":ui\"))\n}\n",
        ),
        ("core/data-store/build.gradle", "dependencies { implementation 'a:b:1' }"),
        ("libs/ui/build.gradle", "apply from: '../../gradle/common.gradle'"),
        ("other/build.gradle", ""),
        ("gradle/common.gradle", ""),
        ("gradle/libs.versions.toml", "[versions]\n"),
    ]);
    reaches(
        &KIND,
        &tree,
        ":app",
        &[
            package("app"),
            package("core/data-store"),
            package("libs/ui"),
            file("settings.gradle.kts"),
            file("gradle.properties"),
            file("gradle/common.gradle"),
            To::Directory("buildSrc".to_owned()),
        ],
        &[package("other"), file("gradle/libs.versions.toml"), To::Directory(String::new())],
    );
    reaches(&KIND, &tree, "core:data-store", &[package("core/data-store")], &[package("app")]);
    assert_eq!(packages(&tree).problems().len(), 0);
}

#[test]
fn what_is_shared_by_projects_counts_for_each() {
    let tree = tree([
        ("settings.gradle", "include 'a', 'b'\nincludeBuild 'build-logic'\n"),
        ("build.gradle", "subprojects { dependencies { implementation project(':b') } }"),
        ("a/build.gradle", "plugins { id 'x' }"),
        ("b/build.gradle", ""),
        ("build-logic/src/main/kotlin/X.kt", "dependencies.add(\"api\", 1)"),
    ]);
    let logic = To::Directory("build-logic".to_owned());
    reaches(&KIND, &tree, ":a", &[package("b"), file("build.gradle"), logic], &[]);
}

#[test]
fn what_is_computed_runs_more_and_is_said() {
    let tree = tree([
        ("settings.gradle", "rootDir.eachDir { include it.name }\ninclude 'a'\n"),
        ("a/build.gradle", "dependencies { implementation project(name) }"),
    ]);
    reaches(&KIND, &tree, ":a", &[To::Directory(String::new())], &[]);
    let found = packages(&tree);
    assert_eq!(found.problems().len(), 2);
    assert!(found.may_hold(":unseen").next().is_some());
}

#[test]
fn entries_of_a_version_catalog_belong_to_the_projects_that_use_them() {
    let tree = tree([
        ("settings.gradle", "include 'a', 'b'\n"),
        ("a/build.gradle", "dependencies { implementation libs.junit }"),
        ("b/build.gradle", "dependencies { implementation libs.ktor.client }"),
        (
            "gradle/libs.versions.toml",
            "[libraries]\njunit = 'org.junit:junit:4'\nktor-client = 'io.ktor:client:2'\n",
        ),
    ]);
    let packages = packages(&tree);
    let names = |name: &str| {
        let package = packages.named(name).next().expect("it is there");
        package.entries.keys().map(|(_, name)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(":a"), ["junit"]);
    assert_eq!(names(":b"), ["ktor.client"]);
}

#[test]
fn scripts_that_are_applied_are_read_like_those_that_apply_them() {
    let tree = tree([
        ("settings.gradle", "apply from: 'gradle/projects.gradle'\n"),
        ("gradle/projects.gradle", "include 'a', 'b', 'c', 'd', 'e'\n"),
        ("a/build.gradle", "apply from: \"$rootDir/gradle/shared.gradle\"\n"),
        ("gradle/shared.gradle", "apply from: 'more.gradle'\ndependencies { api project(':b') }\n"),
        ("gradle/more.gradle", "dependencies { api project(':c') }\n"),
        ("b/build.gradle", ""),
        ("c/other.gradle.kts", "dependencies { api(project(\":d\")) }\n"),
        ("d/build.gradle", "apply from: \"${conventions}/java.gradle\"\n"),
        ("tools/conventions/java.gradle", "dependencies { api project(':e') }\n"),
        ("e/build.gradle", "apply plugin: 'java'\n"),
    ]);
    let expected = [
        package("b"),
        package("c"),
        package("d"),
        package("e"),
        file("gradle/shared.gradle"),
        file("tools/conventions/java.gradle"),
    ];
    reaches(&KIND, &tree, ":a", &expected, &[To::Directory(String::new())]);
    reaches(&KIND, &tree, ":e", &[file("gradle/projects.gradle")], &[package("a"), package("b")]);
    assert_eq!(packages(&tree).problems().len(), 0);
}

#[test]
fn a_script_or_a_project_that_cannot_be_told_runs_more_and_is_said() {
    for script in [
        "apply from: \"${it}.gradle\"",
        "dependencies { api project(':gone') }",
        "dependencies { api(project(\":gone\")) }",
    ] {
        let tree = tree([("settings.gradle", "include 'a'\n"), ("a/build.gradle", script)]);
        reaches(&KIND, &tree, ":a", &[To::Directory(String::new())], &[]);
        assert_eq!(packages(&tree).problems().len(), 1, "{script}");
    }
}

#[test]
fn paths_of_tasks_and_other_ways_to_name_a_project_count() {
    for script in [
        "jar.dependsOn(':core:data:jar')",
        "evaluationDependsOn(\":core:data\")",
        "dependencies { api rootProject.project(':core:data') }",
        "tasks.named(\"x\") { dependsOn(project(\":core:data\").tasks.named(\"jar\")) }",
        "dependencies { api project(path: ':core:data', configuration: 'shadow') }",
        "dependencies { api(projects.core.data) }",
        "dependencies.add('api', dependencies.project(path: ':core:data'))",
    ] {
        let tree = tree([
            ("settings.gradle", "include 'a', 'core:data'\n"),
            ("a/build.gradle", script),
            ("core/data/build.gradle", ""),
        ]);
        reaches(&KIND, &tree, ":a", &[package("core/data")], &[To::Directory(String::new())]);
        assert_eq!(packages(&tree).problems().len(), 0, "{script}");
    }
}

#[test]
fn a_catalog_at_another_place_counts_for_every_project() {
    let tree = tree([
        (
            "settings.gradle.kts",
            "dependencyResolutionManagement { versionCatalogs { create(\"tools\") { \
             from(files(\"deps/tools.versions.toml\")) } } }\ninclude(\":a\")\n",
        ),
        ("a/build.gradle.kts", "dependencies { implementation(tools.junit) }"),
        ("deps/tools.versions.toml", "[libraries]\n"),
        ("deps/other.toml", ""),
    ]);
    reaches(&KIND, &tree, ":a", &[file("deps/tools.versions.toml")], &[file("deps/other.toml")]);
}
