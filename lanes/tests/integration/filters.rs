//! The glob index gives the answer of a naive loop over globset.

use globset::{GlobBuilder, GlobMatcher};
use lanes::{
    GlobIndex,
    glob::{self, Glob},
};
use proptest::prelude::*;

/// globset as the documentation says it is used. Its classes match `/`, ours never do: a negated
/// class is told so, no other class of these tests holds one.
fn oracle(glob: &str) -> GlobMatcher {
    let glob = glob.replace("[!", "[!/");
    let built = GlobBuilder::new(&glob).literal_separator(true).build();
    built.unwrap_or_else(|error| panic!("globset refuses `{glob}`: {error}")).compile_matcher()
}

fn naive(globs: &[String], path: &str, submodule: bool) -> Vec<usize> {
    let matches = |glob: &String| {
        let glob = oracle(glob);
        glob.is_match(path) || (submodule && glob.is_match(format!("{path}/")))
    };
    (0..globs.len()).filter(|&position| matches(&globs[position])).collect()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{1,3}", "[ab]{1,2}\\.(rs|toml)", Just(".a".to_owned()), Just("é".to_owned())]
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(name(), 1..5).prop_map(|names| names.join("/"))
}

fn component() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => name(),
        2 => Just("*".to_owned()),
        1 => Just("?".to_owned()),
        1 => Just("[ab]".to_owned()),
        1 => Just("[!a]".to_owned()),
        1 => Just("[a-c]".to_owned()),
        1 => Just("\\*".to_owned()),
        1 => Just("{a,b*}".to_owned()),
        1 => Just("{a,{b,ab}}".to_owned()),
    ];
    let pieces = proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    prop_oneof![
        3 => name(),
        3 => pieces,
        1 => Just("{a/b,b}".to_owned()),
        2 => Just("**".to_owned()),
    ]
}

fn glob_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(component(), 1..5)
        .prop_map(|components| components.join("/"))
        .prop_filter("`**` is not a whole component", |text| glob::check(text).is_ok())
}

fn index_of(globs: &[String]) -> (GlobIndex, Vec<lanes::GlobId>) {
    let mut index = GlobIndex::default();
    let ids = globs.iter().map(|glob| index.add(glob).expect("checked")).collect();
    (index, ids)
}

proptest! {
    #![proptest_config(crate::support::cases(300))]

    #[test]
    fn the_index_agrees_with_globset(
        globs in proptest::collection::vec(glob_text(), 1..60),
        paths in proptest::collection::vec((path(), any::<bool>()), 1..12),
    ) {
        let (index, ids) = index_of(&globs);
        let mut hits = Vec::new();
        for (path, submodule) in paths {
            index.matches(path.as_bytes(), submodule, &mut hits);
            let mut expected: Vec<_> =
                naive(&globs, &path, submodule).into_iter().map(|at| ids[at]).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(&hits, &expected, "{}", path);
        }
    }

    #[test]
    fn one_glob_agrees_with_the_index(text in glob_text(), path in path()) {
        let alone = Glob::new(&text).expect("checked");
        let (index, _) = index_of(std::slice::from_ref(&text));
        let mut hits = Vec::new();
        index.matches(path.as_bytes(), false, &mut hits);
        prop_assert_eq!(alone.is_match(path.as_bytes()), !hits.is_empty());
    }

    #[test]
    fn any_text_is_refused_or_understood(text in "[ab*?/!.,{}\\[\\]\\\\()|@+^-]{0,12}", path in path()) {
        if glob::check(&text).is_ok() {
            let alone = Glob::new(&text).expect("checked");
            // Where globset reads `**` beside a brace in its own way, ours is the expansion.
            let odd = text.contains('{') && text.contains("**");
            let class = text.contains('[');
            if !odd && !class {
                prop_assert_eq!(
                    alone.is_match(path.as_bytes()),
                    oracle(&text).is_match(&path),
                    "{} on {}", text, path
                );
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in ".{0,40}", path in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(glob) = Glob::new(&text) {
            let _ = glob.is_match(&path);
        }
    }
}

/// Globs of every shape in one directory, enough that the bucket is divided to the last level.
#[test]
fn a_crowded_directory_agrees_with_globset() {
    let mut globs = Vec::new();
    for number in 0..150 {
        globs.push(format!("src/*_{number}_*"));
        globs.push(format!("src/file_{number}*"));
        globs.push(format!("src/*_{number}.rs"));
        globs.push(format!("src/**/name_{number}"));
        globs.push(format!("src/dir_{number}*/**"));
        globs.push(format!("src/[a-f]*{number}"));
    }
    globs.push("src/*".to_owned());
    globs.push("src/?*".to_owned());
    let (index, ids) = index_of(&globs);
    let mut hits = Vec::new();
    for path in
        ["src/x_7_y", "src/file_149_3.rs", "src/a/b/name_12", "src/dir_14x/y", "src/d5", "lib/d5"]
    {
        index.matches(path.as_bytes(), false, &mut hits);
        let expected: Vec<_> = naive(&globs, path, false).into_iter().map(|at| ids[at]).collect();
        assert_eq!(hits, expected, "{path}");
    }
}

#[test]
fn a_file_named_like_a_glob_is_a_file_like_others() {
    for text in ["{a,b}", "a*", "[ab]", "a?", "\\*a"] {
        let (index, ids) = index_of(&[text.to_owned()]);
        let mut hits = Vec::new();
        index.matches(text.as_bytes(), false, &mut hits);
        assert_eq!(hits.contains(&ids[0]), oracle(text).is_match(text), "{text}");
    }
}

#[test]
fn paths_that_are_not_text_match_too() {
    let (index, ids) = index_of(&["src/*.rs".to_owned(), "src/\\*".to_owned()]);
    let mut hits = Vec::new();
    index.matches(b"src/\xff\n.rs", false, &mut hits);
    assert_eq!(hits, [ids[0]]);
    index.matches(b"src/*", false, &mut hits);
    assert_eq!(hits, [ids[1]]);
}

#[test]
fn a_submodule_counts_as_a_directory() {
    let globs = ["vendor/**", "vendor", "vendor/*", "**"].map(str::to_owned);
    let (index, ids) = index_of(&globs);
    let mut hits = Vec::new();
    index.matches(b"vendor", false, &mut hits);
    assert_eq!(hits, [ids[1], ids[3]]);
    index.matches(b"vendor", true, &mut hits);
    assert_eq!(hits, ids);
}

#[test]
fn the_same_glob_is_one_glob() {
    let globs = vec!["src/**".to_owned(); 3];
    let (index, ids) = index_of(&globs);
    assert_eq!(index.len(), 1);
    assert_eq!(ids[0], ids[2]);
}

#[test]
fn each_refused_form_names_its_place() {
    #[track_caller]
    fn refused(text: &str, part: &str) {
        let problem = glob::check(text).expect_err(text);
        assert_eq!(&text[problem.at.clone()], part, "{problem}");
    }
    refused("", "");
    refused("./x", "./");
    refused("/x", "/");
    refused("!x", "!");
    refused("x/", "/");
    refused("a**", "**");
    refused("**a/b", "**");
    refused("a/***/b", "***");
    refused("{,x}", "{,");
    refused("{a,}", ",}");
    refused("{}", "{}");
    refused("a[/]b", "/");
    refused("[^a/]", "/");
    refused("[é]", "é");
    refused("[z-a]", "z-a");
    refused("a[b", "[");
    refused("a{b,c", "{");
    refused("a}b", "}");
    refused("@(a|b)", "@(a|b)");
    refused("src/+(a|b).rs", "+(a|b)");
    refused("a//b", "/");
    refused("a/./b", "./");
    refused("../a", "../");
    refused("a\\", "\\");
    refused("a\\/b", "\\/");
    refused("{a,b}**", "{a,b}**");
    refused("{/a,b}", "{/a,b}");
    for good in [
        "**",
        "*",
        "**/*.rs",
        "a/**/b",
        "[!a]b",
        "[]a]",
        "[a-]",
        "{a,b}/**",
        "{src/**,*.toml}",
        "app/(group)/page.tsx",
        "a\\{b",
        "café/**",
        "caf?",
        ".github/**",
        "a..b",
        "...",
        "[@]x/**",
    ] {
        glob::check(good).unwrap_or_else(|problem| panic!("`{good}` was refused: {problem}"));
    }
}

#[test]
fn brace_bombs_are_refused_at_once() {
    for text in ["{a,b}".repeat(500), "{a,".repeat(400), "{".repeat(4000)] {
        assert!(glob::check(&text).is_err());
    }
    let list = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        format!("{{{}}}", names.join(","))
    };
    assert!(glob::check(&list(1000)).is_ok());
    assert!(glob::check(&list(1001)).is_err());
}

#[test]
fn a_slash_behind_an_escaped_backslash_is_at_the_end_all_the_same() {
    let problem = |text: &str| Glob::new(text).expect_err("it never matches").what;
    assert_eq!(problem("a\\\\/"), "a path never ends in `/`, so this matches nothing");
    assert_eq!(problem("a\\/"), "`/` cannot be escaped");
    Glob::new("a\\\\/b").expect("a directory whose name ends in a backslash");
}
