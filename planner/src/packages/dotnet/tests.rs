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

#[test]
fn a_file_is_named_from_the_file_that_says_so_also_through_properties() {
    let tree = tree([
        (
            "Directory.Build.props",
            "<Project><PropertyGroup><RepoRoot>$(MSBuildThisFileDirectory)</RepoRoot></PropertyGroup>\
             <Import Project=\"$(MSBuildThisFileDirectory)build/common.props\" /></Project>",
        ),
        ("build/common.props", "<Project />"),
        (
            "src/Directory.Build.props",
            "<Project><Import Project=\"$([MSBuild]::GetPathOfFileAbove('Directory.Build.props', \
             '$(MSBuildThisFileDirectory)../'))\" /></Project>",
        ),
        (
            "src/App/App.csproj",
            "<Project><Import Project=\"..\\Shared\\Shared.projitems\" Label=\"Shared\" /><ItemGroup>\
             <ProjectReference Include=\"$(RepoRoot)src\\Lib\\Lib.csproj\" />\
             <ProjectReference Include=\"$([System.IO.Path]::Combine('$(RepoRoot)', 'src/More/More.csproj'))\" />\
             <Import Project=\"$(MSBuildExtensionsPath)/x.targets\" /></ItemGroup></Project>",
        ),
        ("src/Lib/Lib.csproj", "<Project />"),
        ("src/More/More.csproj", "<Project />"),
        ("src/Other/Other.csproj", "<Project />"),
        (
            "src/Shared/Shared.projitems",
            "<Project><ItemGroup><Compile Include=\"$(MSBuildThisFileDirectory)A.cs\" /></ItemGroup></Project>",
        ),
        ("src/Shared/A.cs", ""),
        ("src/App/A.cs", ""),
    ]);
    reaches(
        &KIND,
        &tree,
        "App",
        &[
            package("src/Lib"),
            package("src/More"),
            file("Directory.Build.props"),
            file("src/Directory.Build.props"),
            file("build/common.props"),
            file("src/Shared/Shared.projitems"),
            file("src/Shared/A.cs"),
        ],
        &[package("src/Other"), To::Anything],
    );
    assert_eq!(packages(&tree).problems().len(), 0);
}

#[test]
fn items_with_properties_of_elsewhere_run_more_never_less() {
    let project = |item: &str| {
        tree([
            (
                "src/App/App.csproj",
                format!("<Project><ItemGroup>{item}</ItemGroup></Project>").leak(),
            ),
            ("src/Lib/Lib.csproj", "<Project />"),
            ("build/a.props", "<Project />"),
            ("gen/linux/x.cs", ""),
        ])
    };
    let anything = |item: &str| {
        let tree = project(item);
        reaches(&KIND, &tree, "App", &[To::Anything], &[]);
        assert_eq!(packages(&tree).problems().len(), 1, "{item}");
    };
    anything("<ProjectReference Include=\"@(Projects)\" />");
    anything("<Compile Include=\"$(GeneratedDir)\\x.cs\" />");
    anything("<Reference Include=\"X\"><HintPath>$(Sdk)\\x.dll</HintPath></Reference>");
    let glob = To::Glob("gen/*/x.cs".to_owned());
    let tree = project("<Compile Include=\"..\\..\\gen\\$(Os)\\x.cs\" />");
    reaches(&KIND, &tree, "App", &[glob], &[To::Anything]);
    for quiet in [
        "<Content Include=\"$(OutDir)/x.json\" />",
        "<None Include=\"$(NuGetPackageRoot)/x/y\" />",
        "<Compile Remove=\"obj/**\" />",
    ] {
        reaches(&KIND, &project(quiet), "App", &[], &[To::Anything]);
    }
    // Properties are no inputs: they say where a build puts things.
    let text = "<Project><PropertyGroup><X>$(Unknown)\\bin</X></PropertyGroup></Project>";
    reaches(&KIND, &self::tree([("A/A.csproj", text)]), "A", &[], &[To::Anything]);
}

#[test]
fn references_with_other_letters_and_imports_by_a_pattern_are_followed() {
    let tree = tree([
        (
            "src/App/App.csproj",
            "<Project><Import Project=\"..\\..\\build\\*.props\" /><ItemGroup>\
             <ProjectReference Include=\"..\\lib\\LIB.csproj\" />\
             <ProjectReference Include=\"..\\more\\**\\*.csproj\" /></ItemGroup></Project>",
        ),
        ("src/Lib/Lib.csproj", "<Project />"),
        ("src/more/a/A.csproj", "<Project />"),
        ("build/a.props", "<Project />"),
    ]);
    reaches(
        &KIND,
        &tree,
        "App",
        &[package("src/Lib"), package("src/more/a"), file("build/a.props")],
        &[To::Anything],
    );
}
