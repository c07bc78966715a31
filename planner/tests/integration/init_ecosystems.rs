//! `planner init` for every kind of project: what it writes passes its own check, and a change
//! selects what it concerns.

use crate::sandbox::{Sandbox, planner};

/// Drafts for some files, checks the draft, and returns the repository with both committed.
#[track_caller]
fn drafted(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (path, text) in files {
        sandbox.write(path, text);
    }
    sandbox.commit("project");
    let (code, out, said) = planner(&sandbox, &["init"]);
    assert_eq!(code, 0, "{out}{said}");
    let (code, out, said) = planner(&sandbox, &["check"]);
    assert_eq!(code, 0, "{out}{said}\n{}", manifest(&sandbox));
    sandbox.commit("definitions");
    sandbox
}

fn manifest(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml")).expect("a manifest")
}

fn catalog(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("ci/catalog.toml")).expect("a catalog")
}

/// Changes a file in a commit of its own; returns the lanes of its plan.
#[track_caller]
fn lanes(sandbox: &Sandbox, path: &str) -> Vec<String> {
    let before = std::fs::read_to_string(sandbox.root().join(path)).expect("a file");
    sandbox.write(path, format!("{before}\n"));
    sandbox.commit("change");
    let (code, out, said) = planner(sandbox, &["plan", "--base", "HEAD~1"]);
    assert_eq!(code, 0, "{said}");
    let plan: serde_json::Value = serde_json::from_str(&out).expect("a plan");
    let lanes = plan["lanes"].as_array().expect("lanes").iter();
    let mut ids: Vec<String> = lanes
        .filter(|lane| lane["selected"] == true)
        .map(|lane| lane["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

#[track_caller]
fn selects(sandbox: &Sandbox, path: &str, expected: &[&str]) {
    assert_eq!(lanes(sandbox, path), expected, "{path}\n{}", manifest(sandbox));
}

const POM: &str = "<project><groupId>g</groupId><artifactId>all</artifactId><modules>\
    <module>core</module><module>app</module></modules></project>";

fn pom(artifact: &str, dependency: Option<&str>) -> String {
    let dependency = dependency.map_or(String::new(), |it| {
        format!(
            "<dependencies><dependency><groupId>g</groupId><artifactId>{it}</artifactId>\
             </dependency></dependencies>"
        )
    });
    format!(
        "<project><parent><groupId>g</groupId><artifactId>all</artifactId></parent>\
         <artifactId>{artifact}</artifactId>{dependency}</project>"
    )
}

#[test]
fn a_maven_build_with_a_cargo_fixture_gets_lanes_for_its_modules() {
    let sandbox = drafted(&[
        ("pom.xml", POM),
        ("core/pom.xml", &pom("core", None)),
        ("core/src/main/java/A.java", ""),
        ("core/src/test/resources/project/Cargo.toml", "[package]\nname = 'fixture'\n"),
        ("core/src/test/resources/project/src/lib.rs", ""),
        ("app/pom.xml", &pom("app", Some("core"))),
        ("app/src/main/java/B.java", ""),
    ]);
    assert!(manifest(&sandbox).contains("Taken for data of tests"), "{}", manifest(&sandbox));
    selects(&sandbox, "core/src/main/java/A.java", &["maven-app", "maven-core"]);
    selects(&sandbox, "app/src/main/java/B.java", &["maven-app"]);
    selects(&sandbox, "pom.xml", &["maven-app", "maven-core"]);
}

#[test]
fn a_maven_project_of_one_module_has_one_lane_wherever_it_is() {
    let single = "<project><artifactId>one</artifactId></project>";
    let sandbox = drafted(&[("pom.xml", single), ("src/main/java/A.java", ""), ("mvnw", "")]);
    assert!(manifest(&sandbox).contains("\"src/**\""));
    selects(&sandbox, "src/main/java/A.java", &["maven"]);
    let sandbox = drafted(&[
        ("java/pom.xml", single),
        ("java/src/A.java", ""),
        ("go.mod", "module m\n"),
        ("a.go", ""),
    ]);
    selects(&sandbox, "java/src/A.java", &["maven-java"]);
    selects(&sandbox, "a.go", &["go"]);
}

#[test]
fn a_gradle_build_follows_its_projects() {
    let sandbox = drafted(&[
        ("settings.gradle.kts", "include(\":app\", \":core:data\")\n"),
        ("gradlew", ""),
        ("app/build.gradle.kts", "dependencies { implementation(project(\":core:data\")) }\n"),
        ("app/src/A.kt", ""),
        ("core/data/build.gradle.kts", ""),
        ("core/data/src/B.kt", ""),
    ]);
    let catalog = std::fs::read_to_string(sandbox.root().join("ci/catalog.toml")).unwrap();
    assert!(
        catalog.contains("\"./gradlew\", \"--console=plain\", \":core:data:check\""),
        "{catalog}"
    );
    selects(&sandbox, "core/data/src/B.kt", &["gradle-app", "gradle-core-data"]);
    selects(&sandbox, "app/src/A.kt", &["gradle-app"]);
    selects(&sandbox, "settings.gradle.kts", &["gradle-app", "gradle-core-data"]);
}

#[test]
fn dotnet_projects_follow_their_references() {
    let sandbox = drafted(&[
        ("All.sln", ""),
        (
            "src/App/App.csproj",
            "<Project><ItemGroup><ProjectReference Include=\"..\\Lib\\Lib.csproj\" /></ItemGroup></Project>",
        ),
        ("src/App/A.cs", ""),
        ("src/Lib/Lib.csproj", "<Project />"),
        ("src/Lib/B.cs", ""),
    ]);
    selects(&sandbox, "src/Lib/B.cs", &["dotnet-App", "dotnet-Lib"]);
    selects(&sandbox, "src/App/A.cs", &["dotnet-App"]);
}

#[test]
fn modules_of_a_go_workspace_follow_each_other() {
    let sandbox = drafted(&[
        ("go.work", "go 1.22\nuse (\n./a\n./b\n./c\n)\n"),
        ("a/go.mod", "module example.com/a\ngo 1.22\nrequire example.com/b v0.0.0\n"),
        ("a/a.go", "package a\n"),
        ("b/go.mod", "module example.com/b\ngo 1.22\n"),
        ("b/b.go", "package b\n"),
        ("c/go.mod", "module example.com/c\ngo 1.22\n"),
        ("c/c.go", "package c\n"),
    ]);
    selects(&sandbox, "b/b.go", &["go-a", "go-b"]);
    selects(&sandbox, "c/c.go", &["go-c"]);
    selects(&sandbox, "go.work", &["go-a", "go-b", "go-c"]);
}

/// A workspace of uv, locked or not.
fn uv_workspace(lock: &[(&str, &str)]) -> Sandbox {
    let files = [
        (
            "pyproject.toml",
            "[project]\nname = 'root'\n[dependency-groups]\ndev = ['pytest']\n\
             [tool.uv.workspace]\nmembers = ['packages/*']\n",
        ),
        (
            "packages/app/pyproject.toml",
            "[project]\nname = 'app'\ndependencies = ['core']\n[tool.uv.sources]\ncore = { workspace = true }\n",
        ),
        ("packages/app/app.py", ""),
        ("packages/core/pyproject.toml", "[project]\nname = 'core'\n"),
        ("packages/core/core.py", ""),
        ("tests/test_all.py", ""),
    ];
    let sandbox = drafted(&[&files, lock].concat());
    selects(&sandbox, "packages/core/core.py", &["python-app", "python-core"]);
    selects(&sandbox, "packages/core/pyproject.toml", &["python-app", "python-core"]);
    selects(&sandbox, "packages/app/app.py", &["python-app"]);
    selects(&sandbox, "tests/test_all.py", &["python"]);
    sandbox
}

#[test]
fn members_of_a_uv_workspace_follow_each_other() {
    let locked = catalog(&uv_workspace(&[("uv.lock", "")]));
    assert!(locked.contains("--frozen"), "{locked}");
    // There is nothing yet that uv could hold to.
    let unlocked = catalog(&uv_workspace(&[]));
    assert!(unlocked.contains(r#""uv", "run""#) && !unlocked.contains("--frozen"), "{unlocked}");
}

#[test]
fn packages_of_npm_and_of_cargo_follow_each_other() {
    let script = r#""scripts": { "test": "node --test" }"#;
    let sandbox = drafted(&[
        ("package.json", r#"{ "private": true, "workspaces": ["js/*"] }"#),
        (
            "js/a/package.json",
            &format!(r#"{{ "name": "a", {script}, "dependencies": {{ "b": "*" }} }}"#),
        ),
        ("js/a/a.js", ""),
        ("js/b/package.json", &format!(r#"{{ "name": "b", {script} }}"#)),
        ("js/b/b.js", ""),
    ]);
    selects(&sandbox, "js/b/b.js", &["node-a", "node-b"]);
    selects(&sandbox, "js/a/a.js", &["node-a"]);
}

#[test]
fn bun_deno_cmake_and_bazel_are_known() {
    let sandbox = drafted(&[
        ("package.json", r#"{ "name": "x" }"#),
        ("bun.lock", "{}"),
        ("src/x.test.ts", ""),
        ("README.md", ""),
    ]);
    selects(&sandbox, "src/x.test.ts", &["bun"]);

    let sandbox = drafted(&[
        ("deno.jsonc", "{\n  // what runs\n  \"tasks\": { \"test\": \"deno test\", },\n}\n"),
        ("main.ts", ""),
        ("c/CMakeLists.txt", ""),
        ("c/main.c", ""),
    ]);
    selects(&sandbox, "main.ts", &["deno"]);
    selects(&sandbox, "c/main.c", &["cmake-c"]);

    let sandbox = drafted(&[("MODULE.bazel", ""), ("lib/BUILD", ""), ("lib/a.cc", "")]);
    selects(&sandbox, "lib/a.cc", &["bazel"]);
}

#[test]
fn long_and_odd_names_pass_the_check_of_the_draft() {
    let long = "d".repeat(60);
    let script = r#"{ "name": "NAME", "scripts": { "typecheck": "tsc" } }"#;
    let package = |name: &str| script.replace("NAME", name);
    let files: Vec<(String, String)> = [
        (format!("{long}/{long}/a/Cargo.toml"), "[package]\nname = 'a'\n".to_owned()),
        (format!("{long}/{long}/a/src/lib.rs"), String::new()),
        (format!("{long}/{long}/b/package.json"), package("b.c")),
        (format!("{long}/{long}/c/package.json"), package("b-c")),
        (format!("{long}/{long}/d/go.mod"), format!("module example.com/{long}\n")),
        (format!("{long}/{long}/d/d.go"), String::new()),
        ("odd [1] {x}*?/pyproject.toml".to_owned(), "[project]\nname = 'odd'\n".to_owned()),
        ("odd [1] {x}*?/odd.py".to_owned(), String::new()),
        ("@scope/web/package.json".to_owned(), package("@scope/web")),
        ("@(a|b)/go.mod".to_owned(), "module x\n".to_owned()),
        ("@(a|b)/x.go".to_owned(), String::new()),
        ("!no/CMakeLists.txt".to_owned(), String::new()),
        ("!no/go.mod".to_owned(), "module no\n".to_owned()),
        ("é è/Cargo.toml".to_owned(), "[package]\nname = 'e'\n".to_owned()),
        ("é è/src/lib.rs".to_owned(), String::new()),
        ("rustfmt.toml".to_owned(), String::new()),
        ("new\nline/go.mod".to_owned(), "module y\n".to_owned()),
        ("---/deno.json".to_owned(), "{}".to_owned()),
    ]
    .into();
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let sandbox = drafted(&borrowed);
    selects(&sandbox, "@scope/web/package.json", &["node-scope-web"]);
    selects(&sandbox, "odd [1] {x}*?/odd.py", &["python-odd-1-x"]);
    selects(&sandbox, "!no/CMakeLists.txt", &["cmake-no", "go-no"]);
}

#[test]
fn broken_and_empty_manifests_are_notes() {
    let sandbox = drafted(&[
        ("tests/fixtures/empty/package.json", ""),
        ("tests/fixtures/empty/Cargo.toml", "]["),
        ("tests/fixtures/empty/go.mod", "((("),
        ("templates/new/pom.xml", "<project>"),
        ("templates/new/package.json", "{{"),
        ("templates/new/deno.json", "{{"),
        ("templates/new/pyproject.toml", "{{"),
        ("templates/new/settings.gradle", "{{"),
        ("templates/new/uv.lock", ""),
        ("Cargo.toml", "[package]\nname = 'x'\n"),
        ("src/lib.rs", ""),
    ]);
    selects(&sandbox, "src/lib.rs", &["rust"]);
}

#[test]
fn more_modules_than_lanes_share_one() {
    let files: Vec<(String, String)> = (0..20)
        .flat_map(|at| {
            [
                (format!("m{at}/go.mod"), format!("module example.com/m{at}\n")),
                (format!("m{at}/m.go"), String::new()),
                (format!("j{at}/pom.xml"), pom(&format!("j{at}"), None)),
            ]
        })
        .chain([(
            "pom.xml".to_owned(),
            format!(
                "<project><artifactId>all</artifactId><modules>{}</modules></project>",
                (0..20).map(|at| format!("<module>j{at}</module>")).collect::<String>()
            ),
        )])
        .collect();
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let sandbox = drafted(&borrowed);
    selects(&sandbox, "m3/m.go", &["go"]);
    selects(&sandbox, "j3/pom.xml", &["maven"]);
}
