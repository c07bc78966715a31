//! JUnit reports: which file each test is in, and how long it took.
//!
//! There is no one form. A test case may name its file (`file`, as pytest's `xunit1`, Jest and PHPUnit do), else its class
//! may be a path with dots (`tests.unit.test_a.TestIt`, pytest), else its suite may be a package and a test binary
//! (`package::name`, nextest). Owns that; a text that is no report has no times.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node, ParsingOptions};

/// The files that tests can be in.
pub(super) struct Files<'a> {
    /// Nothing: they are not known, and what a report names is believed.
    all: Option<&'a BTreeSet<String>>,
    /// Where the job started, below the workspace: names may begin there.
    working_dir: Option<&'a str>,
    /// By path without extension, with dots for slashes; nothing: more than one has it.
    dotted: BTreeMap<String, Option<&'a str>>,
    /// Cargo's test binaries, by name; nothing: more than one has it.
    binaries: BTreeMap<&'a str, Option<&'a str>>,
}

impl<'a> Files<'a> {
    pub(super) fn new(all: Option<&'a BTreeSet<String>>, working_dir: Option<&'a str>) -> Self {
        let mut files =
            Self { all, working_dir, dotted: BTreeMap::new(), binaries: BTreeMap::new() };
        for path in all.into_iter().flatten() {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let whole =
                if directory.is_empty() { stem.to_owned() } else { format!("{directory}/{stem}") };
            let dotted = whole.replace('/', ".");
            files
                .dotted
                .entry(dotted)
                .and_modify(|known| *known = known.filter(|known| *known == path.as_str()))
                .or_insert(Some(path));
            let mut components = path.rsplit('/');
            let binary = match (components.next(), components.next(), components.next()) {
                (Some("main.rs"), Some(name), Some("tests")) => Some(name),
                (Some(name), Some("tests"), _) => name.strip_suffix(".rs"),
                _ => None,
            };
            if let Some(binary) = binary {
                files
                    .binaries
                    .entry(binary)
                    .and_modify(|known| *known = known.filter(|known| *known == path.as_str()))
                    .or_insert(Some(path));
            }
        }
        files
    }

    /// Finds the file that a report names so: as it stands, or, of a path elsewhere, by the longest end of it.
    fn named(&self, name: &str) -> Option<String> {
        let name = name.replace('\\', "/");
        let name = name.strip_prefix("./").unwrap_or(&name);
        let Some(all) = self.all else {
            let is_below = !name.starts_with('/') && name.split('/').all(|it| it != "..");
            return (is_below && !name.is_empty()).then(|| name.to_owned());
        };
        if let Some(dir) = self.working_dir {
            let below = format!("{dir}/{name}");
            if all.contains(&below) {
                return Some(below);
            }
        }
        let mut rest = name;
        loop {
            if all.contains(rest) {
                return Some(rest.to_owned());
            }
            rest = rest.split_once('/')?.1;
        }
    }

    /// Finds the file of a class, by the longest beginning of its name that is one.
    fn of_class(&self, class: &str) -> Option<String> {
        let below = self.working_dir.map(|dir| dir.replace('/', "."));
        let mut name = class;
        loop {
            let below = below.as_ref().map(|below| format!("{below}.{name}"));
            let below = below.and_then(|below| self.dotted.get(&below));
            if let Some(found) = below.or_else(|| self.dotted.get(name)) {
                return found.map(str::to_owned);
            }
            name = name.rsplit_once('.')?.0;
        }
    }

    /// Finds the file of a suite `package::name`.
    fn of_suite(&self, suite: &str) -> Option<String> {
        let (_, binary) = suite.rsplit_once("::")?;
        self.binaries.get(binary).copied().flatten().map(str::to_owned)
    }
}

/// Returns the files of a report's tests, and the seconds of each test.
pub(super) fn times(report: &str, files: &Files<'_>) -> Vec<(String, f64)> {
    let options = ParsingOptions { allow_dtd: false, ..ParsingOptions::default() };
    let Ok(document) = Document::parse_with_options(report, options) else { return Vec::new() };
    if !matches!(document.root_element().tag_name().name(), "testsuites" | "testsuite") {
        return Vec::new();
    }
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let time = |case: Node<'_, '_>| {
        let seconds: f64 = case.attribute("time")?.replace(',', "").parse().ok()?;
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    };
    cases.filter_map(|case| Some((file_of(case, files)?, time(case)?))).collect()
}

fn file_of(case: Node<'_, '_>, files: &Files<'_>) -> Option<String> {
    let own = case.attribute("file");
    let suites = || case.ancestors().filter(|node| node.has_tag_name("testsuite"));
    let of_suites = suites()
        .filter_map(|suite| suite.attribute("file").or_else(|| suite.attribute("filepath")));
    let named = own.into_iter().chain(of_suites).find_map(|name| files.named(name));
    let class = case.attribute("classname");
    named
        .or_else(|| class.and_then(|class| files.of_class(class)))
        .or_else(|| class.and_then(|class| files.of_suite(class)))
        .or_else(|| {
            suites().filter_map(|it| it.attribute("name")).find_map(|it| files.of_suite(it))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(report: &str, expected: &[(&str, f64)]) {
        let all: BTreeSet<String> = [
            "app/tests/web.rs",
            "core/tests/web.rs",
            "core/tests/store.rs",
            "core/tests/sync/main.rs",
            "tests/unit/test_a.py",
            "tests/test_b.py",
            "src/app.test.ts",
        ]
        .map(str::to_owned)
        .into();
        let expected: Vec<_> = expected.iter().map(|&(path, s)| (path.to_owned(), s)).collect();
        assert_eq!(times(report, &Files::new(Some(&all), None)), expected, "{report}");
    }

    #[test]
    fn a_test_is_in_the_file_that_it_its_class_or_its_suite_names() {
        check(
            r#"<testsuites><testsuite name="pytest">
               <testcase classname="tests.unit.test_a.TestIt" name="one" time="1.5"/>
               <testcase classname="tests.test_b" name="two" file="tests/test_b.py" time="0.25"/>
               <testcase classname="elsewhere" name="three" time="9"/>
               </testsuite></testsuites>"#,
            &[("tests/unit/test_a.py", 1.5), ("tests/test_b.py", 0.25)],
        );
        check(
            r#"<testsuites><testsuite name="core::store"><testcase name="a" classname="core::store" time="0.5"/></testsuite>
               <testsuite name="core::sync"><testcase name="b" time="2"/></testsuite>
               <testsuite name="core::web"><testcase name="two files have that name" time="2"/></testsuite></testsuites>"#,
            &[("core/tests/store.rs", 0.5), ("core/tests/sync/main.rs", 2.0)],
        );
        check(
            r#"<testsuite file="/home/ci/work/src/app.test.ts"><testcase name="a" time="1,000.5"/></testsuite>"#,
            &[("src/app.test.ts", 1000.5)],
        );
    }

    #[test]
    fn names_may_begin_where_the_job_started() {
        let all: BTreeSet<String> =
            ["py/tests/test_a.py", "py/tests/test_b.py"].map(str::to_owned).into();
        let report = r#"<testsuite><testcase file="tests/test_a.py" time="1"/>
            <testcase classname="tests.test_b.T" time="2"/></testsuite>"#;
        let times = times(report, &Files::new(Some(&all), Some("py")));
        let expected =
            [("py/tests/test_a.py".to_owned(), 1.0), ("py/tests/test_b.py".to_owned(), 2.0)];
        assert_eq!(times, expected);
    }

    #[test]
    fn what_is_no_report_or_no_time_says_nothing() {
        for text in [
            "",
            "<html/>",
            "<testsuite>",
            r#"<coverage><testcase file="tests/test_b.py" time="1"/></coverage>"#,
            r#"<testsuite><testcase file="tests/test_b.py"/></testsuite>"#,
            r#"<testsuite><testcase file="tests/test_b.py" time="soon"/></testsuite>"#,
            r#"<testsuite><testcase file="tests/test_b.py" time="-1"/></testsuite>"#,
            r#"<testsuite><testcase file="tests/test_b.py" time="NaN"/></testsuite>"#,
            r#"<!DOCTYPE a [<!ENTITY b "c">]><testsuite><testcase file="tests/test_b.py" time="1"/></testsuite>"#,
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn without_a_tree_what_a_report_names_below_the_workspace_is_believed() {
        let report = r#"<testsuite><testcase file="./a/b.py" time="1"/><testcase file="/a" time="1"/>
            <testcase file="../a" time="1"/><testcase classname="a.b" time="1"/></testsuite>"#;
        assert_eq!(times(report, &Files::new(None, None)), [("a/b.py".to_owned(), 1.0)]);
    }
}
