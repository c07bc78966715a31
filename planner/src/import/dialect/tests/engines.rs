//! The dialects of engines that are not forges: Go's and Python's own matchers answer.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Translation, ask_node, compare, pairs, pairs_from, piped};
use crate::{
    export::tests::validators::validators,
    import::dialect::{azure, buildkite, doublestar, regex, taskgraph, workspaces},
};

/// What a Go program answers, which reads pairs and writes answers; nothing without Go, which
/// `scripts/bootstrap managers` mends.
fn ask_go(imports: &str, answer: &str, pairs: &[(String, String)]) -> Option<Vec<bool>> {
    let there = tempfile::tempdir().expect("a directory");
    let file = there.path().join("main.go");
    let program = format!(
        "package main\nimport (\n\"encoding/json\"\n\"os\"\n{imports})\n\
         func main() {{\nvar pairs [][2]string\njson.NewDecoder(os.Stdin).Decode(&pairs)\n\
         answers := make([]bool, len(pairs))\nfor at, pair := range pairs {{\n{answer}\n}}\n\
         json.NewEncoder(os.Stdout).Encode(answers)\n}}\n"
    );
    std::fs::write(&file, program).expect("writable");
    let mut command = Command::new("go");
    command.arg("run").arg(&file).env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
    piped(command, pairs, "go: run scripts/bootstrap managers")
}

/// What Python answers for `answer`, an expression of `pattern` and `path`.
fn ask_python(imports: &str, answer: &str, pairs: &[(String, String)]) -> Option<Vec<bool>> {
    let there = validators()?;
    let program = format!(
        "import json, sys\n{imports}\nsys.stdin.reconfigure(encoding='utf-8')\n\
         print(json.dumps([bool({answer}) for pattern, path in json.load(sys.stdin)]))"
    );
    let mut command = Command::new(there.join("bin/python"));
    command.args(["-c", &program]);
    piped(command, pairs, "python: run scripts/bootstrap validators")
}

/// Pieces of expressions as people write them for paths.
const REGEX: [&str; 44] = [
    "a",
    "b",
    "ab",
    "/",
    "/",
    "^",
    "$",
    ".*",
    ".+",
    ".",
    "\\.",
    "[^/]*",
    "[^/]+",
    "(a|b)",
    "(^|/)",
    "(a/|b)",
    "[ab]",
    "[a-c]",
    "[^a]",
    "a?",
    "(ab)?",
    "(a/)*",
    "a+",
    "b*",
    "(?:a|ab/)",
    "$",
    "^a",
    "\\w+",
    "\\d",
    "(a|b)+",
    "[/a]",
    "|",
    "^(a|b)/",
    "/.*$",
    "-",
    "é",
    "a{2}",
    "a{1,2}",
    "\\+",
    ".*/",
    "/?",
    "[\\w/]+",
    "(?i:A)",
    "b$",
];

fn expressions() -> Vec<(String, String)> {
    pairs_from(&REGEX, 100_000, |_| true)
}

#[test]
fn nothing_that_gos_expressions_match_is_missed() {
    let pairs = expressions();
    let answer = "if known, err := regexp.Compile(pair[0]); err == nil { \
                  answers[at] = known.MatchString(pair[1]) }";
    let Some(answers) = ask_go("\"regexp\"\n", answer, &pairs) else { return };
    let matched = compare(&pairs, &answers, regex::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

#[test]
fn nothing_that_pythons_expressions_match_is_missed() {
    let pairs = expressions();
    let imports = "import re, functools\n@functools.cache\ndef known(pattern):\n    try:\n        \
                   return re.compile(pattern)\n    except re.error:\n        return re.compile('(?!)')\n";
    let answer = "known(pattern).search(path)";
    let Some(answers) = ask_python(imports, answer, &pairs) else { return };
    let matched = compare(&pairs, &answers, regex::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

#[test]
fn nothing_that_taskgraph_matches_is_missed() {
    let signs = [
        "a", "b", "ab", "1", "/", "/", "*", "**", "**/", "/**", "[ab]", "{a,b}", "?", ".", "-",
        "+", "é", "\\", "/**/", "aa",
    ];
    let pairs = pairs(&signs, 100_000);
    let answer = "match(path, pattern)";
    let imports = "from taskgraph.util.path import match";
    let Some(answers) = ask_python(imports, answer, &pairs) else { return };
    let matched = compare(&pairs, &answers, taskgraph::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

/// Where `scripts/bootstrap monorepos` put the programs of workspaces.
fn monorepos() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let there = home.join(".cache/forge-lanes/monorepos");
    if there.join("complete").is_file() {
        return Some(there.join("node_modules"));
    }
    assert!(std::env::var_os("CI").is_none(), "run scripts/bootstrap monorepos");
    eprintln!("skipped, no programs of workspaces: run scripts/bootstrap monorepos");
    None
}

/// What nx and turbo only ever include.
fn included(pattern: &str) -> Translation {
    let found = workspaces::included(pattern);
    let globs = found.include().to_vec();
    Translation { same: None, wider: Some((globs, String::new())), ..found }
}

/// Pieces of the globs of inputs.
const INPUTS: [&str; 30] = [
    "a",
    "b",
    "ab",
    "1",
    "/",
    "/",
    "/",
    "*",
    "**",
    "**/",
    "/**",
    "?",
    "[ab]",
    "[!a]",
    "{a,b}",
    "{a,}",
    "{a}",
    "{a/b,c}",
    "{1..3}",
    "+",
    ".",
    "-",
    "@",
    "é",
    "aa",
    "*.a",
    "/**/",
    "./",
    "{a,{b,ab}}",
    "a/",
];

#[test]
fn nothing_that_nxs_inputs_match_is_missed() {
    let Some(there) = monorepos() else { return };
    let pairs = pairs(&INPUTS, 100_000);
    let answers = ask_node(
        &format!("require({:?}).minimatch", there.join("minimatch").display().to_string()),
        "match(path, pattern, { dot: true })",
        &pairs,
    );
    let matched = compare(&pairs, &answers, included);
    assert!(matched > 5_000, "only {matched} pairs match");
}

/// The files that turbo counts for some patterns of `globalDependencies`; nothing where it refuses one.
fn ask_turbo(turbo: &Path, workspace: &Path, patterns: &[&str]) -> Option<BTreeSet<String>> {
    let settings = serde_json::json!({ "globalDependencies": patterns, "tasks": { "t": {} } });
    std::fs::write(workspace.join("turbo.json"), settings.to_string()).expect("writable");
    let ran = Command::new(turbo)
        .args(["run", "t", "--dry=json", "--no-daemon"])
        .env("TURBO_TELEMETRY_DISABLED", "1")
        .current_dir(workspace)
        .output()
        .expect("turbo starts");
    let text = String::from_utf8_lossy(&ran.stdout);
    let said: serde_json::Value = serde_json::from_str(&text[text.find('{')?..]).ok()?;
    let files = said.pointer("/globalCacheInputs/files")?.as_object()?;
    Some(files.keys().cloned().collect())
}

/// Several patterns, a line each: a program that takes its time is asked about them at once.
fn any_included(patterns: &str) -> Translation {
    let mut globs = Vec::new();
    for pattern in patterns.lines() {
        let found = included(pattern);
        globs.extend([found.include(), &found.itself].concat());
    }
    Translation { wider: Some((globs, String::new())), ..Translation::default() }
}

#[test]
fn nothing_that_turbos_global_dependencies_match_is_missed() {
    let Some(there) = monorepos() else { return };
    let workspace = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let file = workspace.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a parent"))
            .and_then(|()| std::fs::write(file, text))
            .is_ok()
    };
    let root =
        r#"{ "name": "root", "packageManager": "npm@11.0.0", "workspaces": ["packages/*"] }"#;
    write("package.json", root);
    write("packages/p/package.json", r#"{ "name": "p", "scripts": { "t": "true" } }"#);
    let mut found: Vec<(String, String)> = pairs(&INPUTS, 12_000);
    // One that turbo refuses would take those beside it away.
    let is_read = |pattern: &&String| {
        let odd = ["//", ",}", "..", "**/**"].iter().any(|signs| pattern.contains(signs));
        !odd && pattern.split('/').all(|name| name == "**" || !name.contains("**"))
    };
    let mut patterns: Vec<&String> = found.iter().map(|(pattern, _)| pattern).collect();
    patterns.dedup();
    let patterns: Vec<String> = patterns.into_iter().filter(is_read).cloned().collect();
    found.retain(|(_, path)| !path.is_empty() && write(path, ""));
    let paths: BTreeSet<String> = found.into_iter().map(|(_, path)| path).take(5_000).collect();
    let mut asked: Vec<(String, String)> = Vec::new();
    let mut answers: Vec<bool> = Vec::new();
    for patterns in patterns.chunks(4) {
        if asked.len() >= 100_000 {
            break;
        }
        let list: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let Some(files) = ask_turbo(&there.join(".bin/turbo"), workspace.path(), &list) else {
            continue;
        };
        for path in &paths {
            answers.push(files.contains(path));
            asked.push((list.join("\n"), path.clone()));
        }
    }
    assert!(asked.len() >= 100_000, "only {} pairs", asked.len());
    let matched = compare(&asked, &answers, any_included);
    assert!(matched > 1_000, "only {matched} pairs match");
}

#[track_caller]
fn same(translate: fn(&str) -> Translation, pattern: &str, globs: &[&str]) {
    let found = translate(pattern);
    assert!(found.same.is_some() && found.wider.is_none(), "{pattern}: {found:?}");
    assert_eq!(found.same.as_deref().unwrap_or_default(), globs, "{pattern}");
}

#[track_caller]
fn wider(translate: fn(&str) -> Translation, pattern: &str, globs: &[&str]) {
    let found = translate(pattern);
    let Some((wider, _)) = &found.wider else { panic!("{pattern}: {found:?}") };
    assert_eq!(wider, globs, "{pattern}: {found:?}");
}

#[test]
fn an_expression_is_a_union_of_globs_where_it_is_one() {
    for (pattern, globs) in [
        ("^docs/", &["docs/**"][..]),
        ("\\.go$", &["**/*.go"]),
        ("^(cmd|pkg)/", &["cmd/**", "pkg/**"]),
        ("^pkg/.*\\.go$", &["pkg/**/*.go"]),
        ("(^|/)OWNERS$", &["**/OWNERS"]),
        ("^go\\.(mod|sum)$", &["go.mod", "go.sum"]),
        ("^docs/[^/]+\\.md$", &["docs/?*.md"]),
        ("^.*$", &["**"]),
        ("^Makefile$|^config/.*$", &["Makefile", "config/**"]),
        ("^README", &["README{*,*/**}"]),
        ("^a/[^/]*/b$", &["a/*/b"]),
        ("^a/.+/b$", &["a/*/**/b"]),
        ("a^", &[]),
    ] {
        same(regex::translate, pattern, globs);
    }
    for (pattern, globs) in [
        ("^go.mod$", &["go{*,/}mod"][..]),
        ("^v\\d+/", &["v?*/**"]),
        ("^(?!docs/)", &["**"]),
        ("^(a/)*b$", &["{*,*/**/*}b"]),
    ] {
        let found = regex::translate(pattern);
        assert!(found.wider.is_some(), "{pattern}: {found:?}");
        if !globs[0].starts_with('{') {
            wider(regex::translate, pattern, globs);
        }
    }
    assert_eq!(regex::translate("^go.mod$").same, Some(vec!["go?mod".to_owned()]));
}

#[test]
fn taskgraphs_directories_are_whole_trees() {
    same(taskgraph::translate, "docs", &["docs/**"]);
    assert_eq!(taskgraph::translate("docs").itself, ["docs"]);
    same(taskgraph::translate, "docs/*", &["docs/**"]);
    same(taskgraph::translate, "docs/**", &["docs/**"]);
    same(taskgraph::translate, "**/*.md", &["{**/*.md,**/*.md/**}"]);
    same(taskgraph::translate, "**", &["**"]);
    same(taskgraph::translate, "docs/", &[]);
}

#[test]
fn buildkites_patterns_say_same_wider_or_cannot() {
    for (pattern, globs) in [
        ("docs/**", &["docs/**"][..]),
        ("**.go", &["**/*.go"]),
        ("**/*.md", &["**/*.md"]),
        ("{a,b/c}/x", &["a/x", "b/c/x"]),
        ("docs", &["docs"]),
        ("a/**/b", &["a/**/b"]),
        ("~/x", &[]),
    ] {
        same(buildkite::translate, pattern, globs);
    }
    wider(buildkite::translate, "{a", &["**"]);
    wider(buildkite::translate, "a?", &["a*"]);
    wider(buildkite::translate, "docs/", &["docs/**"]);
    assert!(!buildkite::is_read("[a"));
}

#[test]
fn nothing_that_doublestar_matches_is_missed() {
    if !std::path::Path::new("/usr/share/gocode/src/github.com/bmatcuk/doublestar/globoptions.go")
        .is_file()
    {
        assert!(std::env::var_os("CI").is_none(), "no doublestar: run scripts/bootstrap managers");
        return;
    }
    let signs = [
        "a",
        "b",
        "ab",
        "1",
        "/",
        "/",
        "*",
        "**",
        "**/",
        "/**",
        "?",
        "[ab]",
        "[!a]",
        "[^a]",
        "[a-c]",
        "{a,b}",
        "{a,}",
        "{a}",
        "{}",
        "{a/b,c}",
        "{a,{b,ab}}",
        "{**,a}",
        "+",
        ".",
        "-",
        "!",
        "\\",
        "./",
        "\\*",
        "é",
        ",",
        "[",
        "]",
        "{",
        "}",
        "***",
        "[]",
        "/**/",
    ];
    let pairs = pairs(&signs, 100_000);
    let answer = "answers[at], _ = doublestar.Match(pair[0], pair[1])";
    let imports = "\"github.com/bmatcuk/doublestar\"\n";
    let Some(answers) = ask_go(imports, answer, &pairs) else { return };
    let matched = compare(&pairs, &answers, doublestar::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

/// zzglob's README as a matcher that tries everything; nothing for what is not well formed.
fn zzglob(pattern: &[char], path: &[char], starts: bool) -> Option<bool> {
    let Some(&first) = pattern.first() else { return Some(path.is_empty()) };
    let one = |rest: &[char], fits: bool, slash: bool| -> Option<bool> {
        Some(fits && zzglob(rest, &path[1..], slash)?)
    };
    let next = path.first().copied();
    match first {
        '*' if pattern.get(1) == Some(&'*') => {
            let rest = &pattern[2..];
            if starts && rest.first() == Some(&'/') && zzglob(&rest[1..], path, true)? {
                return Some(true);
            }
            let mut found = false;
            for end in 0..=path.len() {
                found |= zzglob(rest, &path[end..], false)?;
            }
            Some(found)
        }
        '*' => {
            let mut found = false;
            for end in 0..=path.len() {
                if path[..end].contains(&'/') {
                    break;
                }
                found |= zzglob(&pattern[1..], &path[end..], false)?;
            }
            Some(found)
        }
        '?' => one(&pattern[1..], next.is_some_and(|c| c != '/'), false),
        '\\' if pattern.len() > 1 => {
            one(&pattern[2..], next == Some(pattern[1]), pattern[1] == '/')
        }
        '[' if pattern.len() > 1 => {
            let end = pattern.iter().position(|c| *c == ']')?;
            let negated = pattern[1] == '^';
            let list = &pattern[1 + usize::from(negated)..end];
            let fits = next.is_some_and(|c| list.contains(&c) != negated);
            one(&pattern[end + 1..], fits, false)
        }
        '{' => {
            let (mut depth, mut from, mut parts, mut end) = (0, 1, Vec::new(), None);
            for (at, c) in pattern.iter().enumerate() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if (depth == 1 && *c == ',') || depth == 0 {
                    parts.push(&pattern[from..at]);
                    from = at + 1;
                }
                if depth == 0 {
                    end = Some(at);
                    break;
                }
            }
            let rest = &pattern[end? + 1..];
            let mut found = false;
            for part in parts {
                found |= zzglob(&[part, rest].concat(), path, false)?;
            }
            Some(found)
        }
        c => one(&pattern[1..], next == Some(c), c == '/'),
    }
}

#[test]
fn nothing_that_buildkites_documentation_matches_is_missed() {
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    let matches =
        |pattern: &str, path: &str| zzglob(&letters(pattern), &letters(path), true).unwrap_or(true);
    for (pattern, path) in [("**.go", "a/b.go"), ("a/**/b", "a/b"), ("{,a}b", "b"), ("[^a]", "b")] {
        assert!(matches(pattern, path), "{pattern} {path}");
    }
    let signs = [
        "a", "b", "ab", "1", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "[^a]", "{a,b}",
        "{a,}", "{a/b,c}", ".", "-", "é", "}", ",", "{a,*b}", "\\*",
    ];
    let pairs = pairs(&signs, 100_000);
    let answers: Vec<bool> = pairs.iter().map(|(pattern, path)| matches(pattern, path)).collect();
    let matched = compare(&pairs, &answers, buildkite::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

#[test]
fn woodpeckers_and_azures_patterns_say_same_wider_or_cannot() {
    for (pattern, globs) in [
        ("docs/**", &["docs/**"][..]),
        ("**/*.md", &["**/*.md"]),
        ("a/**.md", &["a/*.md"]),
        ("{a,b}/x", &["a/x", "b/x"]),
        ("a{b", &[]),
    ] {
        same(doublestar::translate, pattern, globs);
    }
    assert_eq!(doublestar::translate("docs/**").itself, ["docs"]);
    wider(doublestar::translate, "a?", &["a*"]);
    for (pattern, globs) in [
        ("docs", &["docs/**"][..]),
        ("/docs/", &["docs/**"]),
        ("/", &["**"]),
        ("docs/**", &["docs/**"]),
    ] {
        same(azure::translate, pattern, globs);
    }
    for (pattern, same, globs) in [
        ("docs/*", "docs/*", &["docs/*", "docs/*/**"]),
        ("src/**/*.cs", "src/**/*.cs", &["src/**/*.cs", "src/**/*.cs/**"]),
        ("*.md", "*.md", &["*.md", "*.md/**"]),
    ] {
        wider(azure::translate, pattern, globs);
        assert_eq!(azure::translate(pattern).same.as_deref(), Some(&[same.to_owned()][..]));
    }
    assert_eq!(azure::translate("docs").itself, ["docs"]);
}

/// Azure's documentation of path filters as a matcher that tries everything; `below` says whether a
/// path with a wildcard also names what is below a directory that it matches.
fn documented_by_azure(pattern: &str, path: &str, below: bool) -> bool {
    fn whole(pattern: &[char], path: &[char], starts: bool) -> bool {
        let Some(&first) = pattern.first() else { return path.is_empty() };
        let next = path.first().copied();
        match first {
            '*' if pattern.get(1) == Some(&'*') => {
                let rest = &pattern[2..];
                // Any number of directories: none, too.
                starts && rest.first() == Some(&'/') && whole(&rest[1..], path, true)
                    || (0..=path.len()).any(|end| whole(rest, &path[end..], false))
            }
            '*' => {
                let name = path.iter().take_while(|c| **c != '/').count();
                (0..=name).any(|end| whole(&pattern[1..], &path[end..], false))
            }
            '?' => next.is_some_and(|c| c != '/') && whole(&pattern[1..], &path[1..], false),
            c => next == Some(c) && whole(&pattern[1..], &path[1..], c == '/'),
        }
    }
    let plain = pattern.trim_start_matches("./").trim_matches('/');
    if plain.is_empty() {
        return true;
    }
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    let (is_open, pattern, path) = (plain.contains(['*', '?']), letters(plain), letters(path));
    let mut above = (1..path.len()).filter(|&end| path[end] == '/');
    whole(&pattern, &path, true)
        || (below || !is_open) && above.any(|end| whole(&pattern, &path[..end], true))
}

#[test]
fn nothing_that_azures_documentation_matches_is_missed() {
    for (pattern, path) in [
        ("docs", "docs/a/b"),
        ("/docs/", "docs/a"),
        ("docs/README.md", "docs/README.md"),
        ("src/app/**/myapp*", "src/app/myapp1"),
        ("src/app/**/myapp*", "src/app/a/b/myapp"),
        ("a?/*", "ab/c"),
    ] {
        assert!(documented_by_azure(pattern, path, false), "{pattern} {path}");
    }
    let signs = [
        "a", "b", "ab", "1", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "{a,b}", ".", "-",
        "+", "é", "/*", "./", "***", "(", "!", "\\",
    ];
    let pairs = pairs(&signs, 100_000);
    for below in [true, false] {
        let answers: Vec<bool> =
            pairs.iter().map(|(pattern, path)| documented_by_azure(pattern, path, below)).collect();
        let matched = compare(&pairs, &answers, azure::translate);
        assert!(matched > 5_000, "only {matched} pairs match");
    }
}
