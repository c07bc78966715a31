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
fn projects_depend_on_what_they_refer_to_and_import() {
    let tree = tree([
        (
            "src/App/App.csproj",
            "<Project><Import Project=\"..\\..\\build\\common.props\" /><ItemGroup>\
             <ProjectReference Include=\"..\\Lib\\Lib.csproj\" />\
             <Compile Include=\"..\\Shared\\**\\*.cs\" />\
             <Reference Include=\"X\"><HintPath>$(Libs)\\x.dll</HintPath></Reference>\
             </ItemGroup></Project>",
        ),
        ("src/Lib/Lib.csproj", "<Project />"),
        ("src/Other/Other.fsproj", "<Project />"),
        ("src/Shared/A.cs", ""),
        ("libs/x.dll", ""),
        (
            "build/common.props",
            "<Project><PropertyGroup><Libs>..\\..\\libs</Libs></PropertyGroup></Project>",
        ),
        ("Directory.Build.props", "<Project />"),
        ("global.json", "{}"),
    ]);
    reaches(
        &KIND,
        &tree,
        "App",
        &[
            package("src/App"),
            package("src/Lib"),
            file("build/common.props"),
            file("Directory.Build.props"),
            file("global.json"),
            file("libs/x.dll"),
            To::Glob("src/Shared/**/*.cs".to_owned()),
        ],
        &[package("src/Other")],
    );
    assert_eq!(packages(&tree).problems().len(), 0);
}

#[test]
fn a_reference_that_cannot_be_told_runs_more_and_is_said() {
    let tree = tree([(
        "App/App.csproj",
        "<Project><ItemGroup><ProjectReference Include=\"$(Unknown)/Lib.csproj\" /></ItemGroup>\
         </Project>",
    )]);
    reaches(&KIND, &tree, "App", &[To::Anything], &[]);
    assert_eq!(packages(&tree).problems().len(), 1);
}

#[test]
fn central_versions_belong_to_the_projects_that_refer_to_them() {
    let tree = tree([
        (
            "Directory.Packages.props",
            "<Project><ItemGroup><PackageVersion Include=\"Serilog\" Version=\"3\" />\
             <PackageVersion Include=\"Moq\" Version=\"4\" /></ItemGroup></Project>",
        ),
        (
            "A/A.csproj",
            "<Project><ItemGroup><PackageReference Include=\"serilog\" /></ItemGroup></Project>",
        ),
    ]);
    let packages = packages(&tree);
    let package = packages.named("A").next().expect("it is there");
    let names: Vec<&str> = package.entries.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["serilog", "settings"]);
}

#[test]
fn two_projects_of_a_directory_are_found_by_either_name() {
    let tree = tree([
        ("x/A.csproj", "<Project />"),
        (
            "x/B.csproj",
            "<Project><ItemGroup><ProjectReference Include=\"../l/L.csproj\" /></ItemGroup></Project>",
        ),
        ("l/L.csproj", "<Project />"),
    ]);
    for name in ["A", "B"] {
        reaches(&KIND, &tree, name, &[package("x"), package("l")], &[]);
    }
}
