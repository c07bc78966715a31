//! The directives of `go.mod` and `go.work` that name other modules and directories.
//!
//! Source: the Go Modules Reference, "go.mod files" and "go.work files". Versions, checksums and
//! what the module proxy holds are not looked at.

/// What one of the two files says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// `module`: the module's path.
    pub(super) module: Option<String>,
    /// `go`: the version of the language.
    pub(super) go: Option<String>,
    /// `use`: the directories of a workspace's modules, as written.
    pub(super) uses: Vec<String>,
    /// `require`: the paths of required modules, direct or not.
    pub(super) requires: Vec<String>,
    /// `replace` with a directory: the module and the directory, as written.
    pub(super) replaced: Vec<(String, String)>,
}

impl Directives {
    /// Whether `require` lists what is required by what is required: from Go 1.17 on.
    pub(super) fn lists_indirect(&self) -> bool {
        let Some(version) = &self.go else { return false };
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (1, 17)
    }
}

/// Reads a `go.mod` or `go.work`.
///
/// # Errors
///
/// What cannot be read, with its line, for people.
pub(super) fn directives(text: &str) -> Result<Directives, String> {
    let mut found = Directives::default();
    let mut block: Option<String> = None;
    for (at, line) in (1..).zip(text.lines()) {
        let words = words(line).map_err(|problem| format!("line {at}: {problem}"))?;
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() {
            continue;
        }
        let verb = match &block {
            Some(_) if words == [")"] => {
                block = None;
                continue;
            }
            Some(verb) => verb.clone(),
            None if words.len() == 2 && words[1] == "(" => {
                block = Some(words[0].to_owned());
                continue;
            }
            None => words.remove(0).to_owned(),
        };
        match (verb.as_str(), words.as_slice()) {
            ("module", [path]) => found.module = Some((*path).to_owned()),
            ("go", [version]) => found.go = Some((*version).to_owned()),
            ("use", [dir]) => found.uses.push((*dir).to_owned()),
            ("require", [path, ..]) => found.requires.push((*path).to_owned()),
            ("replace", [path, rest @ ..]) => {
                let arrow = rest.iter().position(|word| *word == "=>");
                let target = arrow.and_then(|arrow| rest.get(arrow + 1));
                let Some(target) = target else {
                    return Err(format!("line {at}: a `replace` without `=>`"));
                };
                if is_directory(target) {
                    found.replaced.push(((*path).to_owned(), (*target).to_owned()));
                }
            }
            ("module" | "use" | "require" | "replace", _) => {
                return Err(format!("line {at}: `{verb}` is not complete"));
            }
            // A directive that is not known says nothing here; a file of something else is no list.
            _ if !verb.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                return Err(format!("line {at}: `{verb}` is no directive"));
            }
            _ => {}
        }
    }
    match block {
        Some(verb) => Err(format!("the block of `{verb}` has no end")),
        None => Ok(found),
    }
}

/// Whether the right side of a `replace` is a directory: it begins with `./` or `../`, or is absolute.
fn is_directory(target: &str) -> bool {
    matches!(target, "." | "..") || ["./", "../", "/"].iter().any(|it| target.starts_with(it))
}

/// The words of a line: `//` ends it, strings in `"` or `` ` `` are one word.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let (word, after) = match rest.chars().next() {
            Some(quote @ ('"' | '`')) => {
                let inside = &rest[1..];
                let end = inside.find(quote).ok_or("a string without an end")?;
                (&inside[..end], &inside[end + 1..])
            }
            Some(bracket @ ('(' | ')')) => rest.split_at(bracket.len_utf8()),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()".contains(c));
                let end = end.unwrap_or(rest.len()).min(rest.find("//").unwrap_or(rest.len()));
                rest.split_at(end)
            }
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lines_comments_and_strings_are_read() {
        let text = "module example.org/app // the program\n\ngo 1.22\n\nrequire (\n\texample.org/lib v0.0.0\n\t\"example.org/quoted\" v1.0.0 // indirect\n)\nrequire example.org/one v1.2.3\nreplace example.org/lib v0.0.0 => ../lib\nreplace (\n\texample.org/two => example.org/fork v1.0.0\n\texample.org/three => `./vendored/three`\n)\nexclude example.org/x v1.0.0\n";
        let expected = Directives {
            module: Some("example.org/app".to_owned()),
            go: Some("1.22".to_owned()),
            uses: Vec::new(),
            requires: ["example.org/lib", "example.org/quoted", "example.org/one"]
                .map(str::to_owned)
                .to_vec(),
            replaced: [("example.org/lib", "../lib"), ("example.org/three", "./vendored/three")]
                .map(|(module, dir)| (module.to_owned(), dir.to_owned()))
                .to_vec(),
        };
        assert_eq!(directives(text), Ok(expected));
    }

    #[test]
    fn a_workspace_names_its_modules() {
        let found = directives("go 1.22\nuse ./one\nuse (\n  ./two // comment\n  .\n)\n");
        assert_eq!(found.expect("it is good").uses, ["./one", "./two", "."]);
    }

    #[test]
    fn what_is_not_complete_is_said_with_its_line() {
        for (text, problem) in [
            ("module\n", "line 1: `module` is not complete"),
            ("go 1.22\nreplace a b\n", "line 2: a `replace` without `=>`"),
            ("use (\n./a\n", "the block of `use` has no end"),
            ("module \"a\n", "line 1: a string without an end"),
            ("go 1.22\n<<<<<<< main\n", "line 2: `<<<<<<<` is no directive"),
        ] {
            assert_eq!(directives(text), Err(problem.to_owned()));
        }
    }
}
