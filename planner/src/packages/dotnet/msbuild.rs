//! MSBuild's project files as written: what they refer to, and the properties that paths are made of.
//!
//! Source: the MSBuild project file schema and "Common MSBuild project properties". Conditions are
//! not decided: every branch counts, and of a property every value.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Document;

/// What one file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProjectFile {
    /// `ProjectReference`s, as written.
    pub(super) references: Vec<String>,
    /// `Import`s of files, as written.
    pub(super) imports: Vec<String>,
    /// Every other attribute or text that may be a path: `Include`, `Update`, `HintPath`, `Project`;
    /// and whether it is one of an item, which a build reads.
    pub(super) mentioned: Vec<(String, bool)>,
    /// `PackageReference`s: the packages' names.
    pub(super) packages: BTreeSet<String>,
    /// `PackageVersion`s: the packages' names and the element as written.
    pub(super) versions: BTreeMap<String, String>,
    /// Properties, each with every value it is given.
    pub(super) properties: BTreeMap<String, Vec<String>>,
}

/// Reads a project, `.props` or `.targets` file.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn project_file(text: &str) -> Result<ProjectFile, String> {
    let text = text.trim_start_matches('\u{feff}');
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let mut found = ProjectFile::default();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        let include = ["Include", "Update"].iter().find_map(|it| node.attribute(*it));
        match (name, include) {
            ("ProjectReference", Some(list)) => found.references.extend(list_of(list)),
            ("PackageReference" | "GlobalPackageReference", Some(list)) => {
                found.packages.extend(list_of(list).map(|name| name.to_ascii_lowercase()));
                if name == "GlobalPackageReference" {
                    found
                        .versions
                        .extend(list_of(list).map(|it| (it.to_ascii_lowercase(), raw(node))));
                }
            }
            ("PackageVersion", Some(list)) => {
                found.versions.extend(list_of(list).map(|it| (it.to_ascii_lowercase(), raw(node))));
            }
            ("Import", _) => found.imports.extend(node.attribute("Project").map(str::to_owned)),
            _ => {}
        }
        let is_property =
            node.parent_element().is_some_and(|it| it.tag_name().name() == "PropertyGroup");
        if is_property {
            let values = found.properties.entry(name.to_owned()).or_default();
            values.push(node.text().unwrap_or_default().trim().to_owned());
        }
        let attributes = node.attributes().filter(|attribute| attribute.name() != "Condition");
        let leaf =
            (!node.children().any(|child| child.is_element())).then(|| node.text()).flatten();
        let texts = attributes.map(|attribute| attribute.value()).chain(leaf);
        if name != "ProjectReference" && name != "Import" {
            let is_item = node.ancestors().any(|it| it.tag_name().name() == "ItemGroup");
            let is_path =
                |text: &String| text.contains(['/', '\\']) || text.contains("$(MSBuildThisFile");
            let paths = texts.flat_map(list_of).filter(is_path);
            found.mentioned.extend(paths.map(|text| (text, is_item)));
        }
    }
    Ok(found)
}

fn raw(node: roxmltree::Node<'_, '_>) -> String {
    let text = node.document().input_text();
    text[node.range()].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The items of a list: `;` is between them.
fn list_of(list: &str) -> impl Iterator<Item = String> {
    list.split(';').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned)
}

/// Replaces `$(Name)` by every value that is known: a text for each; none where one is not known.
pub(super) fn expand(
    text: &str,
    values: &dyn Fn(&str) -> Option<Vec<String>>,
    depth: usize,
) -> Option<Vec<String>> {
    let Some((before, after)) = text.split_once("$(") else { return Some(vec![text.to_owned()]) };
    let (name, rest) = closed(after)?;
    // A property that names itself would go on for ever.
    let depth = depth.checked_sub(1)?;
    let mut expanded = Vec::new();
    for value in values(name)? {
        expanded.extend(expand(&format!("{before}{value}{rest}"), values, depth)?);
        if expanded.len() > 32 {
            return None;
        }
    }
    Some(expanded)
}

/// A text up to the parenthesis that closes it, and what follows.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A property function and its arguments, without their quotes: `[MSBuild]::NormalizePath('a', 'b')`.
pub(super) fn function(text: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = text.split_once('(')?;
    let list = rest.trim_end().strip_suffix(')')?;
    let mut arguments = Vec::new();
    let (mut start, mut depth, mut quoted) = (0, 0_usize, false);
    for (at, character) in list.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                arguments.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(&list[start..]);
    let plain = |it: &'_ str| it.trim().trim_matches(['\'', '"']).len();
    let trimmed = arguments.into_iter().filter(|it| plain(it) > 0);
    Some((name.trim(), trimmed.map(|it| it.trim().trim_matches(['\'', '"'])).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_as_written() {
        let text = r#"<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><Shared>..\shared</Shared><Shared Condition="'$(CI)' == 'true'">..\ci</Shared></PropertyGroup>
  <ItemGroup>
    <ProjectReference Include="..\Lib\Lib.csproj;../Other/Other.fsproj" />
    <PackageReference Include="Serilog" />
    <Compile Include="$(Shared)\**\*.cs" />
    <Reference Include="X"><HintPath>..\libs\x.dll</HintPath></Reference>
  </ItemGroup>
  <Import Project="..\common.props" />
</Project>"#;
        let found = project_file(text).expect("it is good");
        assert_eq!(found.references, ["..\\Lib\\Lib.csproj", "../Other/Other.fsproj"]);
        assert_eq!(found.imports, ["..\\common.props"]);
        assert!(found.packages.contains("serilog"));
        assert!(found.mentioned.contains(&("..\\libs\\x.dll".to_owned(), true)));
        assert!(found.mentioned.contains(&("$(Shared)\\**\\*.cs".to_owned(), true)));
        let values = |name: &str| found.properties.get(name).cloned();
        let expanded = expand("$(Shared)\\a.cs", &values, 8);
        assert_eq!(expanded, Some(vec!["..\\shared\\a.cs".to_owned(), "..\\ci\\a.cs".to_owned()]));
        assert_eq!(expand("$(Unknown)\\a.cs", &values, 8), None);
    }

    #[test]
    fn central_versions_are_entries() {
        let found = project_file(
            "\u{feff}<Project><ItemGroup><PackageVersion Include=\"Serilog\"\n Version=\"3.1\" /></ItemGroup></Project>",
        );
        let versions = found.expect("it is good").versions;
        assert_eq!(versions["serilog"], "<PackageVersion Include=\"Serilog\" Version=\"3.1\" />");
    }

    #[test]
    fn property_functions_are_read_with_their_arguments() {
        let text = "[MSBuild]::GetPathOfFileAbove('a.props', '$(MSBuildThisFileDirectory)../')";
        let expected = vec!["a.props", "$(MSBuildThisFileDirectory)../"];
        assert_eq!(function(text), Some(("[MSBuild]::GetPathOfFileAbove", expected)));
        let values = |name: &str| name.contains("Above").then(|| vec!["x".to_owned()]);
        assert_eq!(expand(&format!("$({text})/y"), &values, 8), Some(vec!["x/y".to_owned()]));
    }

    #[test]
    fn a_property_that_names_itself_is_not_known() {
        let values = |_: &str| Some(vec!["$(a)".to_owned()]);
        assert_eq!(expand("$(a)", &values, 8), None);
    }
}
