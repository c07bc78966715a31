//! Everything that reads what somebody else wrote, against random bytes and against good files
//! with pieces changed, dropped, repeated and swapped: an answer or an error, no panic and no end
//! of patience. The coverage-guided form of the same is in `fuzz/`.

use lanes::{Diagnostics, FileError, Files, GlobIndex, Style, glob::Glob};
use planner::{
    change_set::{ChangedFilesError, parse_changed_files},
    render::Durations,
    scenario::Scenario,
};
use plans::{Plan, RepoPath};

use crate::{
    program::{CATALOG, MANIFEST},
    sandbox::Numbers,
};

const PIKA_MANIFEST: &str = include_str!("../../../lanes/examples/pika/forge-lanes.toml");
const PIKA_CATALOG: &str = include_str!("../../../lanes/examples/pika/catalog.toml");
const PLAN: &[u8] = include_bytes!("../../../plans/tests/documents/1.0.json");
const SCENARIO: &str = "trigger = \"branch\"\nwords = \"a\"\nchanges = [\"a/b\", { path = \"c\", status = \"added\" }]\n";

/// Pieces that mean something to one of the parsers.
const WORDS: [&[u8]; 24] = [
    b"\"",
    b"'",
    b"\"\"\"",
    b"[",
    b"]",
    b"[[",
    b"{",
    b"}",
    b"{a,b}",
    b"**",
    b"/",
    b"@",
    b"=",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\\u0000",
    b"9223372036854775808",
    b"-1",
    b"true",
    b"#",
    b",",
    b"\xe2\x80\xae",
];

/// Changes a text in a few places.
fn mutated(text: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=numbers.below(4) {
        let from = numbers.below(text.len() + 1);
        let to = (from + numbers.below(40)).min(text.len());
        let piece = text[from..to].to_vec();
        let at = numbers.below(text.len() + 1);
        match numbers.below(6) {
            0 => drop(text.drain(from..to)),
            1 => drop(text.splice(at..at, piece)),
            2 => drop(text.splice(at..at, numbers.pick::<&[u8]>(&WORDS).iter().copied())),
            3 => drop(text.splice(from..to, numbers.pick::<&[u8]>(&WORDS).iter().copied())),
            4 if at < text.len() => text[at] = u8::try_from(numbers.below(256)).expect("a byte"),
            _ => text.truncate(at),
        }
    }
    text
}

fn random(numbers: &mut Numbers) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..numbers.below(60) {
        if numbers.below(2) == 0 {
            text.extend_from_slice(numbers.pick::<&[u8]>(&WORDS));
        } else {
            text.push(u8::try_from(numbers.below(256)).expect("a byte"));
        }
    }
    text
}

/// Gives `read` random bytes and mutations of good texts, the same in every run.
fn feed(good: &[&[u8]], rounds: usize, mut read: impl FnMut(&[u8])) {
    let mut numbers = Numbers(42);
    for text in good {
        read(text);
        // Every beginning of a short text, some of a long one.
        for end in (0..text.len()).step_by(1 + text.len() / 500) {
            read(&text[..end]);
        }
    }
    for round in 0..rounds {
        let text = match good {
            [] => random(&mut numbers),
            _ if round % 4 == 0 => random(&mut numbers),
            good => mutated(good[round % good.len()], &mut numbers),
        };
        read(&text);
    }
}

struct Texts<'a> {
    manifest: &'a [u8],
    catalog: &'a [u8],
}

impl Files for Texts<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(match path {
            "manifest" => Some(self.manifest.to_vec()),
            "catalog" => Some(self.catalog.to_vec()),
            "included" => Some(b"under = \"a\"\n".to_vec()),
            _ => None,
        })
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(vec!["included".to_owned(), "gone".to_owned()])
    }
}

fn shown(found: &Diagnostics) {
    assert!(!found.render(Style::PLAIN).is_empty());
}

#[test]
fn any_manifest_is_read_or_refused() {
    feed(&[MANIFEST.as_bytes(), PIKA_MANIFEST.as_bytes()], 1500, |manifest| {
        let catalog = if manifest.len() > 2000 { PIKA_CATALOG } else { CATALOG };
        let files = Texts { manifest, catalog: catalog.as_bytes() };
        let _ = lanes::load(&files, "manifest", "catalog").map_err(|found| shown(&found));
    });
}

#[test]
fn any_catalog_is_read_or_refused() {
    feed(&[CATALOG.as_bytes(), PIKA_CATALOG.as_bytes()], 1500, |catalog| {
        let manifest = if catalog.len() > 2000 { PIKA_MANIFEST } else { MANIFEST };
        let files = Texts { manifest: manifest.as_bytes(), catalog };
        let _ = lanes::load(&files, "manifest", "catalog").map_err(|found| shown(&found));
    });
}

#[test]
fn any_scenario_is_read_or_refused() {
    feed(&[SCENARIO.as_bytes()], 4000, |text| {
        if let Ok(text) = std::str::from_utf8(text) {
            let _ = Scenario::read("a.toml", text).map_err(|found| shown(&found));
        }
    });
}

#[test]
fn any_list_of_changes_is_read_or_refused() {
    let good: [&[u8]; 3] = [b"a/b\nc\n", b"a\0b\n\0\xff\0", b"\"caf\\303\\251\"\r\nb\r\n"];
    feed(&good, 20_000, |list| {
        if let Ok(changes) = parse_changed_files(list) {
            let paths = changes.iter().map(|change| [change.path.as_bytes(), b"\0"].concat());
            let again = paths.collect::<Vec<_>>().concat();
            match parse_changed_files(&again) {
                Ok(again) => assert_eq!(again, changes),
                // A name may begin as such a mark does; sorted, it may come first.
                Err(error) => assert!(matches!(error, ChangedFilesError::ByteOrderMark { .. })),
            }
        }
    });
}

#[test]
fn any_invariants_are_read_or_refused() {
    const GOOD: &str = "version = 1\nmanifest = \"ci/a.toml\"\nstaged_linux_targets = [\"a\"]\n\
                        [lints]\ndead_glob = \"warn\"\n";
    feed(&[GOOD.as_bytes()], 4000, |text| {
        if let Ok(text) = std::str::from_utf8(text) {
            let _ = lanes::read_invariants("a.toml", text).map_err(|found| shown(&found));
        }
    });
}

#[test]
fn any_measured_times_are_read_or_refused() {
    const GOOD: &[u8] = br#"{ "nodes": [{ "id": "execute-x", "runs": 20, "median_secs": 61.5,
        "p90_secs": 8e1, "passed": 18, "failed": 1, "flaky": 1 }] }"#;
    let (plan, _) = Plan::from_json(PLAN).expect("a plan");
    feed(&[GOOD], 8000, |text| {
        if let Ok(times) = Durations::from_json(text) {
            let _ = times.estimate(&plan);
        }
    });
}

#[test]
fn any_manifests_of_packages_are_read_or_passed_over() {
    const CARGO: &[u8] =
        b"[workspace]\nmembers = [\"a/*\", \"../x\"]\nexclude = [\"a/b\"]\n[package]\n\
        name = \"r\"\n[dependencies]\nb = { path = \"a/b\", optional = true }\n\
        [target.'cfg(unix)'.dev-dependencies.c]\npath = \"a/c\"\n";
    const NPM: &[u8] = br#"{ "name": "r", "workspaces": { "packages": ["a/*", "!a/b"] },
        "dependencies": { "b": "workspace:*", "c": "file:a/c" } }"#;
    const PNPM: &[u8] = b"packages:\n  - 'a/*'\n  - \"!a/b\"\n  - &x a/{b,c}\n";
    for (name, good) in
        [("Cargo.toml", CARGO), ("package.json", NPM), ("pnpm-workspace.yaml", PNPM)]
    {
        feed(&[good], 1500, |text| {
            let Ok(text) = std::str::from_utf8(text) else { return };
            let mut tree = crate::check::Tree::default();
            for (path, text) in [
                ("package.json", r#"{ "name": "r" }"#),
                (name, text),
                ("a/b/Cargo.toml", "[package]\nname = \"b\"\n"),
                ("a/b/package.json", r#"{ "name": "b" }"#),
                ("a/c/Cargo.toml", text),
                ("a/c/package.json", text),
            ] {
                tree.0.insert(path.to_owned(), text.to_owned());
            }
            let all = planner::packages::all(&tree, &[]).expect("a tree in memory");
            for package in all.iter().flat_map(|of| of.packages.iter().map(move |it| (of, it))) {
                assert!(!package.0.packages.reach(&package.1.name).is_empty());
            }
        });
    }
}

#[test]
fn any_workflow_is_imported_or_refused() {
    const GOOD: &str = "on:\n  push: { branches: [main], paths: ['src/**', '!src/x/**'] }\n  \
        schedule: [{ cron: '0 8 * * *' }]\njobs:\n  a:\n    runs-on: ubuntu-latest\n    needs: [b]\n    \
        strategy: { matrix: { x: [1, 2] } }\n    steps: [{ run: 'make ${{ matrix.x }}', env: { A: b } }]\n  \
        b: { runs-on: [self-hosted], timeout-minutes: 5, steps: [{ uses: 'a/b@v1' }, { run: |\n x }] }\n";
    feed(&[GOOD.as_bytes()], 1500, |text| {
        let Ok(text) = std::str::from_utf8(text) else { return };
        let files = [("ci.yml".to_owned(), text.to_owned())];
        if let Ok(draft) = planner::import::github::import(&files) {
            let files = draft.files();
            for text in [files.manifest, files.catalog] {
                let parsed: Result<toml::Table, _> = toml::from_str(&text);
                assert!(parsed.is_ok(), "{text}");
            }
        }
    });
}

#[test]
fn any_glob_is_refused_or_matches_as_its_index_does() {
    let good: [&[u8]; 4] = [b"a/**/b*.{x,y}", b"{a,{b,c}}/[a-c!]?", b"**", b"[!a]*\\*b/**"];
    let mut numbers = Numbers(7);
    feed(&good, 20_000, |text| {
        let Ok(text) = std::str::from_utf8(text) else { return };
        let Ok(glob) = Glob::new(text) else { return };
        let mut index = GlobIndex::default();
        let id = index.add(text).expect("the same rules");
        let mut hits = Vec::new();
        // The glob itself is often nearly a path that it matches.
        for path in
            [text.as_bytes().to_vec(), mutated(text.as_bytes(), &mut numbers), b"a/b/bb.x".to_vec()]
        {
            let Ok(path) = RepoPath::new(path) else { continue };
            index.matches(path.as_bytes(), false, &mut hits);
            assert_eq!(hits.contains(&id), glob.is_match(path.as_bytes()), "{text:?} {path:?}");
        }
    });
}

#[test]
fn any_document_is_a_plan_or_refused() {
    feed(&[PLAN], 1500, |text| match Plan::from_json(text) {
        Ok((plan, _)) => drop(Plan::from_json(plan.to_json().json.as_bytes()).expect("a plan")),
        Err(error) => assert!(!error.help().is_empty()),
    });
}

#[test]
fn a_plan_with_its_digest_made_right_is_still_checked() {
    // Behind the digest the shape is met, too: written anew over whatever the mutation left.
    feed(&[PLAN], 1500, |text| {
        let Ok(serde_json::Value::Object(mut document)) = serde_json::from_slice(text) else {
            return;
        };
        document.shift_remove("digest");
        let body = serde_json::to_string_pretty(&document).expect("JSON") + "\n";
        let digest: String = <sha2::Sha256 as sha2::Digest>::digest(body.as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        document.insert("digest".to_owned(), format!("sha256:{digest}").into());
        let text = serde_json::to_string(&document).expect("JSON");
        if let Ok((plan, _)) = Plan::from_json(text.as_bytes()) {
            drop(Plan::from_json(plan.to_json().json.as_bytes()).expect("a plan"));
        }
    });
}
