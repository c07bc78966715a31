//! Random patterns of each dialect against random paths: nothing is ever narrower.

#![expect(clippy::disallowed_methods, reason = "the real matcher is a program")]
#![expect(clippy::print_stderr, reason = "a test that skips says why")]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use lanes::glob::Glob;

use super::{Translation, github, picomatch, ruby};
use crate::export::tests::validators::validators;

mod engines;

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn joined(&mut self, of: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| of[self.below(of.len())]).collect()
    }

    fn path(&mut self) -> String {
        let letters =
            ["a", "b", "ab", "1", "2", ".", "-", "[ab]", "{a}", "{a,b}", "+", "@", "é", "aa"];
        let mut path: Vec<String> = Vec::new();
        for _ in 0..=self.below(3) {
            let name = self.joined(&letters, 3);
            path.push(if [".", ".."].contains(&name.as_str()) { "a".to_owned() } else { name });
        }
        path.join("/")
    }
}

/// Paths that a pattern is likely to be about: its own text with the signs read in some way.
fn near(pattern: &str, numbers: &mut Numbers) -> String {
    let mut path = String::new();
    for c in pattern.chars() {
        match c {
            '*' | '?' => path.push_str(["", "a", "b", "a/b", "ab"][numbers.below(5)]),
            '^' | '$' | '[' | ']' | '{' | '}' | ',' | '!' | '\\' | '+' | '(' | ')' | '|'
                if numbers.below(3) > 0 => {}
            c => path.push(c),
        }
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !["", ".", ".."].contains(part)).collect();
    if parts.is_empty() { "a".to_owned() } else { parts.join("/") }
}

/// Pairs of a pattern and a path; a pattern comes with several.
fn pairs(signs: &[&str], count: usize) -> Vec<(String, String)> {
    pairs_from(signs, count, |pattern| {
        !pattern.starts_with('!') && !pattern.trim_matches(['.', '/']).is_empty()
    })
}

fn pairs_from(signs: &[&str], count: usize, wanted: fn(&str) -> bool) -> Vec<(String, String)> {
    let mut numbers = Numbers(7);
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let pattern = numbers.joined(signs, 6);
        if !wanted(&pattern) {
            continue;
        }
        for turn in 0..10 {
            let path = if turn < 6 { near(&pattern, &mut numbers) } else { numbers.path() };
            pairs.push((pattern.clone(), path));
        }
    }
    pairs
}

/// The answers of a program that reads pairs as JSON; nothing if it is not there.
fn piped(mut command: Command, pairs: &[(String, String)], what: &str) -> Option<Vec<bool>> {
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        assert!(std::env::var_os("CI").is_none(), "no {what}");
        eprintln!("skipped: no {what}");
        return None;
    };
    let mut stdin = child.stdin.take().expect("it was piped");
    let input = serde_json::to_vec(pairs).expect("texts");
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    feeder.join().expect("no panic").expect("it reads its input");
    Some(serde_json::from_slice(&output.stdout).expect("a list of answers"))
}

/// Compares with the answers of a real matcher; returns how many it matched.
#[track_caller]
fn compare(
    pairs: &[(String, String)],
    answers: &[bool],
    translate: fn(&str) -> Translation,
) -> usize {
    let mut narrower: Vec<String> = Vec::new();
    let mut last: Option<(&str, Translation, Vec<Glob>, Vec<Glob>)> = None;
    let globs = |list: &[String]| -> Vec<Glob> {
        list.iter().map(|glob| Glob::new(glob).expect("a glob that loads")).collect()
    };
    for ((pattern, path), real) in pairs.iter().zip(answers) {
        if last.as_ref().is_none_or(|(known, ..)| *known != pattern) {
            let found = translate(pattern);
            let include = globs(&[found.include(), &found.itself].concat());
            let same = globs(found.same.as_deref().unwrap_or_default());
            last = Some((pattern, found, include, same));
        }
        let (_, found, include, same) = last.as_ref().expect("just set");
        let is = |list: &[Glob]| list.iter().any(|glob| glob.is_match(path.as_bytes()));
        if *real && !is(include) {
            narrower.push(format!("`{pattern}` matches `{path}`: {found:?}"));
        }
        // What is excluded must be excluded there, too.
        if !*real && is(same) {
            narrower.push(format!("`!{pattern}` does not exclude `{path}`: {found:?}"));
        }
    }
    let shown = &narrower[..narrower.len().min(12)];
    assert!(narrower.is_empty(), "{} narrower, such as\n{}", narrower.len(), shown.join("\n"));
    answers.iter().filter(|answer| **answer).count()
}

/// What `answer` is in Node, an expression of `pattern`, `path` and what `of` gives, `match`.
fn ask_node(of: &str, answer: &str, pairs: &[(String, String)]) -> Vec<bool> {
    let program = format!(
        "const match = {of};\
         const pairs = JSON.parse(require('fs').readFileSync(0, 'utf8'));\
         console.log(JSON.stringify(pairs.map(([pattern, path]) => {answer})))"
    );
    let mut command = Command::new("node");
    command.args(["-e", &program]);
    piped(command, pairs, "node: run scripts/bootstrap validators")
        .expect("it came with what is asked")
}

fn ask(picomatch: &Path, pairs: &[(String, String)]) -> Vec<bool> {
    let of = format!(
        "(known => (pattern) => {{ if (!known.has(pattern)) known.set(pattern, require({:?})(pattern, {{ dot: true }}));\
         return known.get(pattern) }})(new Map())",
        picomatch.display().to_string()
    );
    ask_node(&of, "match(pattern)(path)", pairs)
}

#[test]
fn nothing_that_picomatch_matches_is_missed() {
    let Some(validators) = validators() else { return };
    let there = validators.join("node_modules/picomatch");
    let signs = [
        "a", "b", "ab", "1", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "[!a]", "[a-c]",
        "[id]", "{a,b}", "{a,}", "{a}", "{1..3}", "{a/b,c}", "+", ".", "-", "!", "\\", "@(a|b)",
        "./", "\\*", "é", "(a)", "|", ",", "[", "{", "}",
    ];
    let pairs = pairs(&signs, 100_000);
    let matched = compare(&pairs, &ask(&there, &pairs), picomatch::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

/// GitHub's documentation ("Filter pattern cheat sheet"), as a matcher that tries everything.
fn documented(pattern: &[char], path: &[char]) -> bool {
    let Some(&first) = pattern.first() else { return path.is_empty() };
    if first == '*' {
        let run = pattern.iter().take_while(|c| **c == '*').count();
        let rest = &pattern[run..];
        // `**/` is any number of directories, none too.
        if run > 1 && rest.first() == Some(&'/') && documented(&rest[1..], path) {
            return true;
        }
        for end in 0..=path.len() {
            if run == 1 && end > 0 && path[end - 1] == '/' {
                return false;
            }
            if documented(rest, &path[end..]) {
                return true;
            }
        }
        return false;
    }
    let (length, is): (usize, Box<dyn Fn(char) -> bool>) = match first {
        '\\' if pattern.len() > 1 => {
            let plain = pattern[1];
            (2, Box::new(move |c| c == plain))
        }
        '[' => {
            let Some(end) = pattern.iter().position(|c| *c == ']') else { return false };
            let items: Vec<char> = pattern[1..end].to_vec();
            let is = move |c: char| {
                let range = |at: usize| items[at] <= c && c <= items[at + 2];
                (c != '-' && items.contains(&c))
                    || (0..items.len().saturating_sub(2))
                        .any(|at| items[at + 1] == '-' && range(at))
            };
            (end + 1, Box::new(is))
        }
        plain => (1, Box::new(move |c| c == plain)),
    };
    let rest = &pattern[length..];
    let one = |rest: &[char]| path.first().is_some_and(|c| is(*c)) && documented(rest, &path[1..]);
    match rest.first() {
        Some('?') => one(&rest[1..]) || documented(&rest[1..], path),
        Some('+') => {
            let many = path.iter().take_while(|c| is(**c)).count();
            (1..=many).any(|count| documented(&rest[1..], &path[count..]))
        }
        _ => one(rest),
    }
}

#[test]
fn nothing_that_githubs_documentation_matches_is_missed() {
    let matches = |pattern: &str, path: &str| {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        documented(&letters(pattern), &letters(path))
    };
    // The examples of the documentation.
    for (pattern, path) in [
        ("*.jsx?", "page.js"),
        ("**.js", "src/js/app.js"),
        ("docs/**/*.md", "docs/README.md"),
        ("**/docs/**", "dir/docs/my-file.txt"),
        ("**/*src/**", "my-src/code/js/app.js"),
        ("[CB]at", "Bat"),
        ("**/README.md", "README.md"),
    ] {
        assert!(matches(pattern, path), "{pattern} {path}");
    }
    let signs = [
        "a", "b", "ab", "1", "/", "/", "*", "**", "**/", "/**", "a?", "a+", "[ab]", "[a-c]",
        "[0-9]?", "{a,b}", ".", "-", "@", "(a)", "\\*", "\\[", "\\?", "é",
    ];
    let pairs = pairs(&signs, 100_000);
    let answers: Vec<bool> = pairs.iter().map(|(pattern, path)| matches(pattern, path)).collect();
    let matched = compare(&pairs, &answers, github::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

/// What Ruby answers; nothing without it, which `scripts/bootstrap validators` mends.
fn ask_ruby(pairs: &[(String, String)]) -> Option<Vec<bool>> {
    let program = "require 'json'; Encoding.default_external = 'UTF-8';\
                   flags = File::FNM_PATHNAME | File::FNM_DOTMATCH | File::FNM_EXTGLOB;\
                   pairs = JSON.parse(STDIN.read);\
                   puts JSON.generate(pairs.map { |pattern, path| File.fnmatch?(pattern, path, flags) })";
    let mut command = Command::new("ruby");
    command.args(["-e", program]);
    piped(command, pairs, "ruby: run scripts/bootstrap validators")
}

#[test]
fn nothing_that_ruby_matches_is_missed() {
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
        "[id]",
        "{a,b}",
        "{a,}",
        "{a}",
        "{}",
        "{a/b,c}",
        "{a,{b,ab}}",
        "+",
        ".",
        "-",
        "!",
        "\\",
        "@(a|b)",
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
        "[!]",
        "[.]",
    ];
    let pairs = pairs(&signs, 100_000);
    let Some(answers) = ask_ruby(&pairs) else { return };
    let matched = compare(&pairs, &answers, ruby::translate);
    assert!(matched > 5_000, "only {matched} pairs match");
}

#[test]
fn rubys_patterns_say_same_wider_or_cannot() {
    let same = |pattern: &str, globs: &[&str]| {
        let found = ruby::translate(pattern);
        assert_eq!(found.same.as_deref().unwrap_or_default(), globs, "{pattern}: {found:?}");
        assert!(found.same.is_some() && found.wider.is_none(), "{pattern}: {found:?}");
    };
    same("docs/**", &["docs/*"]);
    same("docs/**/*", &["docs/**/*"]);
    same("**/*.md", &["**/*.md"]);
    same("docs/**.md", &["docs/*.md"]);
    same("{docs,src}/**/*", &["docs/**/*", "src/**/*"]);
    same("src/[id]/**", &["src/[id]/*"]);
    same("src/\\[id\\]/**/*", &["src/\\[id\\]/**/*"]);
    same("Dockerfile", &["Dockerfile"]);
    same("a{b", &[]);
    same("a[b", &[]);
    same("a//b", &[]);
    for wider in ["a?", "[!a]x", "/docs/*", "docs/", "a[!]b", "[\\]]/x", "d/[é]"] {
        let found = ruby::translate(wider);
        assert!(found.wider.is_some(), "{wider}: {found:?}");
    }
}
