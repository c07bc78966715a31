use proptest::prelude::*;

use super::*;

fn paths(names: &[&str]) -> Vec<RepoPath> {
    names.iter().map(|name| RepoPath::new(name.as_bytes()).expect("a path")).collect()
}

fn durations(of: &[(&str, f64)]) -> FileDurations {
    let mut all = FileDurations::default();
    of.iter().for_each(|(path, seconds)| all.set(path, *seconds));
    all
}

fn names(parts: &[Vec<RepoPath>]) -> Vec<Vec<&str>> {
    parts.iter().map(|part| part.iter().filter_map(RepoPath::as_str).collect()).collect()
}

#[test]
fn without_durations_parts_are_dealt_out_by_name() {
    let parts = divide(&paths(&["a", "b", "c", "d", "e"]), None, 2);
    assert_eq!(names(&parts), [vec!["a", "c", "e"], vec!["b", "d"]]);
}

#[test]
fn the_longest_file_goes_first_and_one_without_a_time_is_like_the_middle_one() {
    let known = durations(&[("a", 1.0), ("b", 2.0), ("c", 9.0), ("gone", 50.0)]);
    let parts = divide(&paths(&["a", "b", "c", "new"]), Some(&known), 2);
    assert_eq!(names(&parts), [vec!["c"], vec!["a", "b", "new"]]);
    // Nothing takes no time: else all of them would be in one part.
    let known = durations(&[("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 0.0)]);
    let parts = divide(&paths(&["a", "b", "c", "d"]), Some(&known), 2);
    assert_eq!(names(&parts), [vec!["a", "c"], vec!["b", "d"]]);
}

/// The 120 files of the fixture take from 0.2 s to 3 min, as those of a grown test suite.
#[test]
fn on_the_fixture_the_longest_part_is_within_a_twentieth_of_the_best_possible() {
    let text = include_bytes!("durations.json");
    let known = FileDurations::from_json(text).expect("durations");
    let all: Vec<&str> = known.iter().map(|(path, _)| path).collect();
    let files = paths(&all);
    let (total, longest) = known
        .iter()
        .fold((0.0, 0.0_f64), |(total, longest), (_, one)| (total + one, longest.max(one)));
    for count in 2..=16_u32 {
        let parts = divide(&files, Some(&known), count);
        let load = |part: &Vec<RepoPath>| -> f64 {
            part.iter().filter_map(|path| known.of(path.as_str()?)).sum()
        };
        let worst = parts.iter().map(load).fold(0.0, f64::max);
        // No division is better than this.
        let best = (total / f64::from(count)).max(longest);
        assert!(worst <= best * 1.05, "{count} parts: {worst} s, where {best} s would do");
    }
}

proptest! {
    #[test]
    fn every_file_is_in_one_part_and_no_order_of_the_tree_matters(
        times in prop::collection::vec(prop::option::of(0.0..100.0_f64), 1..60),
        count in 1..9_u32,
    ) {
        let all: Vec<String> = (0..times.len()).map(|at| format!("t/{at:03}.rs")).collect();
        let mut known = FileDurations::default();
        for (path, time) in all.iter().zip(&times) {
            time.iter().for_each(|time| known.set(path, *time));
        }
        let files = paths(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let parts = divide(&files, Some(&known), count);
        prop_assert_eq!(parts.len(), count as usize);
        let mut back: Vec<RepoPath> = parts.iter().flatten().cloned().collect();
        back.sort();
        prop_assert_eq!(&back, &files);
        prop_assert!(parts.iter().all(|part| part.is_sorted()));
        if files.len() >= count as usize {
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
        }
        prop_assert_eq!(&divide(&files, Some(&known), count), &parts);
        // Graham's bound for longest first: 4/3 - 1/(3m) of the best; the best is at least this.
        let weights = weights(&files, Some(&known));
        let weight: std::collections::HashMap<&RepoPath, u64> = files.iter().zip(weights.iter().copied()).collect();
        let worst: u64 = parts.iter().map(|part| part.iter().map(|it| weight[it]).sum()).max().unwrap_or(0);
        let total: u64 = weights.iter().sum();
        let longest = weights.iter().copied().max().unwrap_or(0);
        // A part begins its last file when it has least, so at most an even share.
        prop_assert!(worst <= total / u64::from(count) + longest);
    }
}
