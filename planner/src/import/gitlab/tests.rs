use super::super::{Tree, tests::loaded};

/// Imports a pipeline with further files; returns lanes as text, and both drafts.
#[track_caller]
fn imported(pipeline: &str, files: &[(&str, &str)]) -> (Vec<String>, String, String) {
    let read = |path: &str| match path {
        super::FILE => Some(pipeline.to_owned()),
        path => files.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned()),
    };
    let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    let tree = Tree { paths: &paths, read: &read, has_file: &|_| false };
    loaded(&super::import(&tree).expect("a pipeline"))
}

#[track_caller]
fn lanes(pipeline: &str, expected: &[&str]) {
    let (lanes, manifest, _) = imported(pipeline, &[]);
    assert_eq!(lanes, expected, "{manifest}");
}

#[test]
fn changes_are_one_level_deep_where_ruby_says_so() {
    lanes(
        "docs:\n  script: make docs\n  rules:\n    - changes: ['docs/**']\n\
         all:\n  script: make\n  rules:\n    - changes: { paths: ['src/**/*', '{a,b}.txt'] }\n",
        &[
            r#"docs-lane Some({"docs/*"}) -{} docs"#,
            r#"all-lane Some({"a.txt", "b.txt", "src/**/*"}) -{} all"#,
        ],
    );
}

#[test]
fn the_first_rule_that_holds_decides() {
    lanes(
        "a:\n  script: x\n  rules:\n    - { changes: ['docs/**/*'], when: never }\n    - when: on_success\n\
         b:\n  script: x\n  rules:\n    - if: $CI_PIPELINE_SOURCE == 'schedule'\n      when: never\n    \
         - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n      changes: [b/*]\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n\
         c:\n  script: x\n  rules:\n    - if: $FORCE\n    - changes: [c/*]\n\
         d:\n  script: x\n  rules:\n    - changes: [d/*]\n      when: manual\n\
         e:\n  script: x\n  only: { changes: [e/*], refs: [branches] }\n\
         f:\n  script: x\n  except: { changes: ['f/**/*'] }\n\
         g:\n  script: x\n  only: [tags]\n\
         h:\n  script: x\n  rules: [{ if: '$CI_PIPELINE_SOURCE == \"schedule\"' }]\n",
        &[
            r#"a-lane Some({"**"}) -{"docs/**/*"} a"#,
            r#"b-lane Some({"b/*"}) -{} b"#,
            r"c-lane None -{} c",
            r#"e-lane Some({"e/*"}) -{} e"#,
            r#"f-lane Some({"**"}) -{"f/**/*"} f"#,
            r"h-lane None -{} h",
        ],
    );
}

#[test]
fn templates_references_includes_and_anchors_are_resolved() {
    let (lanes, manifest, catalog) = imported(
        "include: [{ local: /ci/base.yml }, { remote: 'https://example.com/x.yml' }]\n\
         .own: &own\n  before_script: [echo before]\n\
         .rules: { common: [{ changes: [common/**/*] }] }\n\
         unit:\n  <<: *own\n  extends: [.base, .more]\n  script:\n    - !reference [.base, script]\n    - echo own\n  \
         rules:\n    - !reference [.rules, common]\n    - changes: [unit/*]\n",
        &[(
            "ci/base.yml",
            ".base: { script: [echo base], variables: { A: base, B: base } }\n.more: { variables: { B: more } }\n\
             extra: { script: [echo extra], rules: [{ changes: [extra/*] }] }\n",
        )],
    );
    assert_eq!(
        lanes,
        [
            r#"extra-lane Some({"extra/*"}) -{} extra"#,
            r#"unit-lane Some({"common/**/*", "unit/*"}) -{} unit"#
        ],
        "{manifest}"
    );
    assert!(catalog.contains("echo before\necho base\necho own"), "{catalog}");
    assert!(catalog.contains("A = \"base\", B = \"more\""), "{catalog}");
    assert!(manifest.contains("Not carried over: `include` of"), "{manifest}");
}

#[test]
fn stages_needs_and_groups_order_jobs() {
    let (lanes, manifest, catalog) = imported(
        "stages: [build, test, deploy]\n\
         build: { stage: build, script: make, rules: [{ changes: [src/**/*] }] }\n\
         lint: { stage: test, needs: [], script: make lint, rules: [{ changes: [src/**/*] }] }\n\
         unit: { stage: test, needs: [{ job: build, optional: true }], script: make unit, rules: [{ changes: [src/**/*] }] }\n\
         deploy: { stage: deploy, script: make deploy, resource_group: prod, rules: [{ when: on_success }], parallel: { matrix: [{ A: [x, y] }] } }\n",
        &[],
    );
    assert_eq!(
        lanes,
        [
            r#"build-lane Some({"src/**/*"}) -{} build"#,
            r#"lint-lane Some({"src/**/*"}) -{} lint,unit"#,
            "deploy-lane None -{} deploy-x,deploy-y",
        ],
        "{manifest}"
    );
    assert!(manifest.contains("after = [\"build-lane\", \"lint-lane\"]"), "{manifest}");
    assert!(manifest.contains("concurrency_group = \"prod\""), "{manifest}");
    assert!(catalog.contains("needs = [\"build\"]"), "{catalog}");
    assert!(catalog.contains("matrix = { A = [\"x\", \"y\"] }"), "{catalog}");
}

#[test]
fn a_doubt_runs_more_and_says_which() {
    let (lanes, manifest, _) = imported(
        "variables: { DIR: app }\n\
         workflow: { rules: [{ if: $CI_MERGE_REQUEST_IID }, { if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH }] }\n\
         a: { script: x, rules: [{ changes: { paths: [a/*], compare_to: refs/heads/develop } }] }\n\
         b: { script: x, rules: [{ changes: [$DIR/*] }] }\n\
         c: { script: x, rules: [{ changes: [$OTHER/*] }] }\n\
         d: { script: x, rules: [{ exists: [Dockerfile], changes: [d/*] }] }\n\
         e: { script: x, rules: [{ if: '$CI_COMMIT_REF_NAME =~ /^x/', changes: [e/*] }] }\n",
        &[],
    );
    assert_eq!(
        lanes,
        [
            "a-lane None -{} a",
            r#"b-lane Some({"app/*"}) -{} b"#,
            r#"c-lane Some({"**"}) -{} c"#,
            r#"d-lane Some({"d/*"}) -{} d"#,
            r#"e-lane Some({"e/*"}) -{} e"#,
        ],
        "{manifest}"
    );
    for said in ["compare_to: develop", "`$DIR` in a pattern is `app`", "exists: Dockerfile"] {
        assert!(manifest.contains(said), "{said}\n{manifest}");
    }
}

#[test]
fn what_is_not_in_the_tree_is_a_doubt() {
    lanes(
        "include: { remote: 'https://example.com/x.yml' }\n\
         workflow: { rules: [{ if: $CI_PIPELINE_SOURCE == 'merge_request_event' }] }\n\
         a: { script: x, rules: [!reference [.theirs, rules], { changes: [a/*] }] }\n\
         b: { script: x, rules: [{ changes: !reference [.theirs, changes] }] }\n\
         c: { script: x, extends: .theirs }\n\
         d: { script: x, variables: { DIR: d }, rules: [{ changes: [$DIR/*] }] }\n\
         variables: { DIR: e }\n\
         e: { script: x, only: { changes: [e/*] } }\n",
        &["a-lane None -{} a,b,c", r#"d-lane Some({"**"}) -{} d"#, r#"e-lane Some({"e/*"}) -{} e"#],
    );
}

#[test]
fn a_tolerated_failure_is_tolerated() {
    let (_, _, catalog) = imported(
        "a: { script: x, allow_failure: true }\nb: { script: x, allow_failure: { exit_codes: [3, 4] } }\n\
         c: { script: x, allow_failure: false }\nd: { script: x, allow_failure: { exit_codes: 5 } }\n",
        &[],
    );
    for said in ["= true", "= { exit_codes = [3, 4] }", "= { exit_codes = [5] }"] {
        assert!(catalog.contains(&format!("allow_failure {said}")), "{said}\n{catalog}");
    }
    assert_eq!(catalog.matches("allow_failure").count(), 3, "{catalog}");
}

#[test]
fn a_merge_request_and_a_branch_both_count() {
    lanes(
        "a: { script: x, rules: [{ if: $CI_MERGE_REQUEST_IID, changes: [a/*] }, { if: $CI_COMMIT_BRANCH }] }\n\
         b: { script: x, rules: [{ if: $CI_MERGE_REQUEST_IID, changes: [b/*] }, \
              { if: $CI_COMMIT_BRANCH == \"main\" }] }\n",
        &["a-lane None -{} a", r#"b-lane Some({"b/*"}) -{} b"#],
    );
}

#[test]
fn combinations_and_parts_are_jobs_of_ours() {
    let (lanes, _, catalog) = imported(
        "one: { script: 'make $OS', parallel: { matrix: [{ OS: [linux, mac], ARCH: arm }] } }\n\
         rows: { script: 'make $OS', parallel: { matrix: [{ OS: [linux, mac], ARCH: arm }, { OS: plan9 }] } }\n\
         parts: { script: make, parallel: 2 }\n\
         odd: { script: make, parallel: { matrix: [{ OS: [{ a: b }] }] } }\n\
         one-linux: { script: x }\n\
         last: { script: x, needs: [one] }\n",
        &[],
    );
    assert_eq!(
        lanes.join("\n"),
        "one-lane None -{} one-linux-arm,one-mac-arm,rows-linux-arm,rows-mac-arm,rows-plan9,parts-1,parts-2,odd,one-linux\n\
         last-lane None -{} last",
        "{catalog}"
    );
    for line in [
        "matrix = { OS = [\"linux\", \"mac\"], ARCH = [\"arm\"] }\n",
        "export OS=\"${MATRIX_OS}\"\n",
        "needs = [\"one\"]\n",
        "if [ -n \"${MATRIX_ARCH-}\" ]; then export ARCH=\"${MATRIX_ARCH}\"; fi\n",
        "export CI_NODE_INDEX=\"$FORGE_LANES_SHARD\" CI_NODE_TOTAL=\"$FORGE_LANES_SHARDS\"\n",
        "(`OS` holds more than texts)",
    ] {
        assert!(catalog.contains(line), "{line}\n{catalog}");
    }
}
