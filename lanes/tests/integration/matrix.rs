//! One job for each combination: ids, values, where they stand, and what they are called together.

use crate::support::Tree;

const HEAD: &str = "version = 1\n[[branch.lanes]]\nid = \"unit\"\ntarget = \"unit\"\n";

fn tree(catalog: &str) -> Tree {
    let mut tree = Tree::default();
    tree.0.insert("ci/forge-lanes.toml".to_owned(), HEAD.as_bytes().to_vec());
    let text = format!("version = 1\n[[targets]]\nid = \"unit\"\n{catalog}");
    tree.0.insert("ci/catalog.toml".to_owned(), text.into_bytes());
    tree
}

fn job(text: &str) -> String {
    format!("[[targets.jobs]]\nid = \"unit\"\nbase = \"host_local\"\ntimeout_secs = 60\n{text}\n")
}

#[track_caller]
fn ids(text: &str) -> Vec<String> {
    let catalog = tree(&job(text)).load().expect("it loads");
    catalog.jobs().iter().map(|job| job.id.to_string()).collect()
}

#[test]
fn there_is_a_job_for_each_combination_the_first_name_slowest() {
    let text =
        "command = [\"x\"]\nmatrix = { z = [\"std\", \"no_std\"], a = [\"pika-ci\", 7, true] }";
    let expected = [
        "unit-std-pika-ci",
        "unit-std-7",
        "unit-std-true",
        "unit-no_std-pika-ci",
        "unit-no_std-7",
        "unit-no_std-true",
    ];
    assert_eq!(ids(text), expected);
}

#[test]
fn combinations_are_taken_out_and_added() {
    let matrix = "command = [\"x\"]\nmatrix = { f = [\"a\", \"b\"], g = [\"c\", \"d\"] }\n";
    let out = format!("{matrix}matrix_exclude = [{{ f = \"a\" }}]");
    assert_eq!(ids(&out), ["unit-b-c", "unit-b-d"]);
    let more = format!(
        "{matrix}matrix_include = [{{ f = \"e\", h = \"x\" }}, {{ g = \"c\", k = \"v\" }}]"
    );
    assert_eq!(ids(&more), ["unit-a-c", "unit-a-d", "unit-b-c", "unit-b-d", "unit-e-x"]);
    let catalog = tree(&job(&more)).load().expect("it loads");
    let first = &catalog.jobs()[0];
    assert_eq!(first.matrix["k"], "v");
    let variable = |name: &str| first.spec.env.iter().find(|(it, _)| it.as_str() == name);
    assert_eq!(variable("MATRIX_K").expect("set").1, "v");
    assert_eq!(variable("MATRIX_H").expect("set").1, "", "a name that others have is empty");
}

#[test]
fn a_value_stands_in_env_words_image_host_and_description_and_never_in_a_shells_text() {
    let text = "description = \"tests ${{ matrix.f }}\"\n\
        command = [\"cargo\", \"${{ matrix.f }}\", \"${{matrix.g}}\"]\n\
        env = { A = \"<${{ matrix.f }}|${{ matrix.g }}>\" }\n\
        runtime = { incus = { image = \"${{ matrix.g }}\" } }\n\
        matrix = { f = [\"; rm -rf / #\"], g = [\"img\"] }";
    let catalog = tree(&job(text)).load().expect("it loads");
    let spec = &catalog.jobs()[0].spec;
    assert_eq!(spec.description, "tests ; rm -rf / #");
    let plans::Command::Argv(words) = &spec.command else { panic!("{:?}", spec.command) };
    assert_eq!(words[..], ["cargo", "; rm -rf / #", "img"]);
    let env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=<; rm -rf / #|img>", "MATRIX_F=; rm -rf / #", "MATRIX_G=img"]);
    let plans::Runtime::Incus(incus) = &spec.runtime else { panic!("{:?}", spec.runtime) };
    assert_eq!(incus.image.as_str(), "img");
    let shell = "command = { shell = \"echo $MATRIX_F\" }\nmatrix = { f = [\"$(id)\"] }";
    let catalog = tree(&job(shell)).load().expect("it loads");
    let plans::Command::Shell { script, .. } = &catalog.jobs()[0].spec.command else { panic!() };
    assert_eq!(script, "echo $MATRIX_F", "no value becomes a part of it");
}

#[test]
fn others_need_the_group_or_one_of_it() {
    let text = job("command = [\"x\"]\nmatrix = { f = [\"a\", \"b\"] }")
        + &job("command = [\"x\"]\nneeds = [\"unit\"]").replace("\"unit\"\nbase", "\"all\"\nbase")
        + &job("command = [\"x\"]\nneeds = [\"unit-b\"]")
            .replace("\"unit\"\nbase", "\"one\"\nbase");
    let catalog = tree(&text).load().expect("it loads");
    let needs = |id: &str| {
        let job = &catalog[catalog.job(id).expect("known")];
        job.needs.iter().map(|&need| catalog[need].id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(needs("all"), ["unit-a", "unit-b"]);
    assert_eq!(needs("one"), ["unit-b"]);
    assert_eq!(catalog.jobs_named("unit").expect("known").len(), 2);
    assert!(catalog.jobs_named("unit-a").is_some() && catalog.jobs_named("unit-c").is_none());
}

#[test]
fn files_of_a_group_come_from_each_into_a_directory_of_its_own() {
    let text = job("command = [\"x\"]\nartifacts = [\"cov/*\"]\nshards = 2")
        + &job("command = [\"x\"]\nneeds = [{ job = \"unit\", files = [\"cov/*\"], at = \"c\" }]")
            .replace("\"unit\"\nbase", "\"all\"\nbase");
    let catalog = tree(&text).load().expect("it loads");
    let all = &catalog[catalog.job("all").expect("known")];
    let from = |files: &lanes::FilesNeeded| format!("{} at {}", catalog[files.job].id, files.at);
    let places: Vec<String> = all.files.iter().map(from).collect();
    assert_eq!(places, ["unit-1 at c/unit-1", "unit-2 at c/unit-2"]);
}

#[test]
fn shards_are_parts_and_know_which() {
    let text = "command = [\"x\"]\nmatrix = { f = [\"a\", \"b\"] }\nshards = 2";
    assert_eq!(ids(text), ["unit-a-1", "unit-a-2", "unit-b-1", "unit-b-2"]);
    let catalog = tree(&job("command = [\"x\"]\nshards = 4")).load().expect("it loads");
    let last = &catalog.jobs()[3];
    let env: Vec<String> =
        last.spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["FORGE_LANES_SHARD=4", "FORGE_LANES_SHARDS=4"]);
    assert_eq!(last.shard.map(|it| (it.index, it.count)), Some((4, 4)));
    assert_eq!(last.group.as_ref().map(plans::JobId::as_str), Some("unit"));
}

#[test]
fn what_is_wrong_with_a_job_is_told_once_and_by_its_own_id() {
    let text = "[[targets.jobs]]\nid = \"unit\"\nbase = \"host_lokal\"\nneeds = [\"no\"]\n\
        paths = [\"/x\"]\ncommand = [\"x\"]\nmatrix = { f = [1, 2, 3] }\n";
    let found = tree(text).load().expect_err("three problems");
    let codes: Vec<&str> = found.iter().map(|it| it.code.name).collect();
    assert_eq!(codes.len(), 3, "{found}");
}

#[test]
fn a_key_of_a_group_without_effect_is_told_once_and_by_its_own_id() {
    let text = job("command = [\"x\"]\nretries = 1\n\
        retry_on = { exit_codes = [7], outcomes = [\"failed\"] }\nmatrix = { f = [1, 2, 3] }");
    let idle = tree(&text).load().expect("it loads").idle();
    assert_eq!(idle.len(), 1, "{idle:?}");
}

#[test]
fn two_hundred_and_fifty_six_combinations_are_not_too_many() {
    let values: Vec<String> = (0..256).map(|number| number.to_string()).collect();
    let text = format!("command = [\"x\"]\nmatrix = {{ f = [{}] }}", values.join(", "));
    assert_eq!(ids(&text).len(), 256);
}
