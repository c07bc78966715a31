//! The forms as people see them, what hostile text does to them, and how they take large plans.

mod browser;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::{
    Durations, Options, dot, html, human, markdown, mermaid,
    sample::{self, hostile, large, parts, plan},
    short,
    text::width,
};

fn durations() -> Durations {
    Durations::from_json(
        br#"{ "nodes": [
            { "id": "prepare-pika-core-linux-rust-workspace-deps", "runs": 20, "median_secs": 210.4,
              "p90_secs": 400, "passed": 20, "failed": 0, "flaky": 0 },
            { "id": "prepare-pika-core-linux-rust-workspace-build", "runs": 20, "median_secs": 95,
              "p90_secs": 100, "passed": 20, "failed": 0, "flaky": 0 },
            { "id": "execute-pika-core-lib-app-flows-tests", "runs": 20, "median_secs": 61.5,
              "p90_secs": 80, "passed": 18, "failed": 1, "flaky": 1 },
            { "id": "execute-pika-core-messaging-e2e-tests", "runs": 19, "median_secs": 130,
              "p90_secs": 180, "passed": 19, "failed": 0, "flaky": 0 },
            { "id": "execute-ios-unit-tests", "runs": 8, "median_secs": 40, "p90_secs": 55,
              "passed": 8, "failed": 0, "flaky": 0 },
            { "id": "execute-ios-ui-tests", "runs": 8, "median_secs": 300, "p90_secs": 500,
              "passed": 5, "failed": 1, "flaky": 2 },
            { "id": "execute-not-in-the-plan", "runs": 1, "median_secs": 9999, "p90_secs": 9999,
              "passed": 1, "failed": 0, "flaky": 1 }
        ] }"#,
    )
    .expect("well formed")
}

fn timed() -> Options {
    let digest = Some(format!("sha256:{}", "9f".repeat(32)));
    Options { durations: Some(durations()), digest, ..Options::default() }
}

#[test]
fn the_terminal_shows_what_runs_and_why() {
    insta::assert_snapshot!(human(&plan(), &Options::default()));
}

#[test]
fn the_terminal_shows_measured_times_beside_the_plan() {
    let text = human(&plan(), &timed());
    let nodes = text.split_once("\nNodes").expect("nodes are listed").1;
    insta::assert_snapshot!(nodes);
}

#[test]
fn golden_text_is_short_and_complete() {
    let text = short(&plan());
    assert!(text.lines().count() <= 60, "{} lines", text.lines().count());
    insta::assert_snapshot!(text);
}

#[test]
fn a_comment_names_lanes_reasons_and_the_graph() {
    insta::assert_snapshot!(markdown(&plan(), &timed()));
}

#[test]
fn a_plan_without_nodes_is_shown_in_every_form() {
    let mut parts = parts();
    parts.nodes.clear();
    for lane in &mut parts.lanes {
        lane.nodes.clear();
        lane.selected = false;
        lane.reasons = vec![plans::Reason::NotRequested];
    }
    let plan = plans::Plan::new(parts).expect("the parts fit");
    for text in
        [human(&plan, &timed()), short(&plan), markdown(&plan, &timed()), html(&plan, &timed())]
    {
        assert!(text.to_lowercase().contains("nothing runs, 6 lanes skipped"), "{text}");
    }
    assert_eq!(mermaid(&plan), "flowchart LR\n");
    check_dot(&dot(&plan));
}

#[test]
fn jobs_asked_for_without_their_lanes_are_not_called_nothing() {
    let mut parts = parts();
    for lane in &mut parts.lanes {
        lane.nodes.clear();
        lane.selected = false;
        lane.reasons = vec![plans::Reason::NotRequested];
    }
    let plan = plans::Plan::new(parts).expect("the parts fit");
    let headline = format!("{} nodes as asked for, no lane", plan.nodes().len());
    for text in [human(&plan, &timed()), short(&plan), markdown(&plan, &timed())] {
        assert!(text.contains(&headline), "{text}");
    }
}

#[test]
fn every_line_fits_the_terminal() {
    for columns in [60, 72, 80, 132] {
        for plan in [plan(), hostile(), large(12, 30)] {
            let text = human(&plan, &Options { width: columns, ..timed() });
            for line in text.lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }
}

#[test]
fn nothing_foreign_reaches_the_terminal_as_a_control_character() {
    for text in [human(&hostile(), &timed()), short(&hostile())] {
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(bad), "{text:?}");
        assert!(!text.contains("\n@team"), "a line was broken by foreign text: {text}");
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let options = Options { color: true, ..timed() };
    let colored = human(&plan(), &options);
    assert!(colored.contains('\u{1b}'));
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').expect("a colour ends").1;
    }
    plain.push_str(rest);
    assert_eq!(plain, human(&plan(), &timed()));
}

#[test]
fn hostile_text_in_a_comment_is_always_code() {
    let text = markdown(&hostile(), &timed());
    // What is left without code, our own tags and the graph is our own text.
    let mut rest = text.clone();
    while let Some(start) = rest.find("<code>") {
        let end = rest[start..].find("</code>").expect("code ends") + start + "</code>".len();
        assert!(!rest[start..end].contains(['|', '`', '\n', '@', '"']), "{}", &rest[start..end]);
        rest.replace_range(start..end, "");
    }
    let graph = rest.find("```mermaid").expect("there is a graph");
    for span in rest[..graph].split('`').step_by(2) {
        for bad in ["@", "http", "script>", "<img", "-->", "\u{202e}"] {
            assert!(!span.contains(bad), "{bad} outside code: {span}");
        }
    }
    assert_eq!(rest.matches("```").count(), 2, "the fence cannot be ended from inside");
    for row in text.lines().filter(|line| line.starts_with('|')) {
        assert!(row.ends_with('|'), "{row}");
    }
}

#[test]
fn a_comment_stays_below_what_forges_take() {
    for plan in [large(1, 1), large(3, 100), large(20, 250), hostile()] {
        let text = markdown(&plan, &timed());
        assert!(text.len() < 65_536, "{} bytes", text.len());
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    }
    let text = markdown(&large(20, 250), &timed());
    assert!(text.contains("*Cut here: "), "{}", &text[..2_000]);
    assert!(text.contains("```mermaid"));
}

#[test]
fn a_chart_keeps_within_the_limits_of_mermaid() {
    for plan in [plan(), large(3, 100), large(20, 250), large(300, 2)] {
        let text = mermaid(&plan);
        assert!(text.len() < 50_000, "{} bytes", text.len());
        assert!(text.matches(" --> ").count() < 500);
    }
    insta::assert_snapshot!(mermaid(&plan()));
}

#[test]
fn no_foreign_text_ends_a_label_of_a_chart() {
    for line in mermaid(&hostile()).lines() {
        assert!(line.matches('"').count() <= 2, "{line}");
    }
}

/// What a change to a workspace looks like: three payloads, sixty jobs that need them.
fn wide() -> plans::Plan {
    let mut parts = parts();
    parts.lanes.truncate(1);
    parts.lanes[0].nodes.clear();
    parts.nodes = ["sources", "deps", "build"]
        .map(|id| {
            sample::node(
                &format!("prepare-{id}"),
                if id == "sources" { &[] } else { &["prepare-sources"] },
            )
        })
        .into();
    for job in 0..60 {
        let before: &[&str] =
            if job % 3 == 0 { &["prepare-deps"] } else { &["prepare-build", "prepare-deps"] };
        let mut node = sample::node(&format!("execute-crate-{job:02}-tests"), before);
        if job % 4 == 0 {
            node.spec.placement = sample::remote("pika-build");
            node.spec.runtime = sample::incus("pika-ci");
        }
        parts.nodes.push(node);
    }
    plans::Plan::new(parts).expect("the parts fit")
}

/// Runs Graphviz where it is installed.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "another program judges what is written for it")]
fn check_dot(text: &str) {
    let run = Command::new("dot")
        .arg("-Tsvg")
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut run) = run else { return };
    let mut stdin = run.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).expect("Graphviz reads");
    drop(stdin);
    let output = run.wait_with_output().expect("Graphviz ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("rror"), "{errors}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("<svg"));
}

#[test]
fn graphviz_reads_what_is_written_for_it() {
    check_dot(&dot(&plan()));
    check_dot(&dot(&hostile()));
    check_dot(&dot(&wide()));
}

#[test]
fn the_page_holds_no_foreign_markup_and_asks_for_nothing() {
    let page = html(&hostile(), &timed());
    for bad in ["<img", "onerror=alert(1)>", "\u{202e}", "\u{1b}", "<b>"] {
        assert!(!page.contains(bad), "{bad} stands in the page");
    }
    assert_eq!(page.matches("</script>").count(), 1);
    for page in [page, html(&plan(), &timed())] {
        for request in ["src=", "url(http", "@import", "<link", "fetch(", "href=\"http"] {
            let ours = page.replace("src=x", "");
            assert!(!ours.contains(request), "{request} stands in the page");
        }
    }
}

#[test]
fn every_node_has_its_place_in_the_page() {
    let plan = plan();
    let page = html(&plan, &timed());
    for node in plan.nodes() {
        assert!(page.contains(&format!("href=\"#{}\"", node.id)), "{} is not drawn", node.id);
        assert!(page.contains(&format!(" id=\"{}\"", node.id)), "{} is not listed", node.id);
    }
    let drawn = page.matches("<a class=\"box").count();
    assert_eq!(drawn, plan.nodes().len());
}

#[test]
fn a_large_plan_is_drawn_in_groups_and_listed_whole() {
    let page = html(&large(20, 250), &timed());
    assert!(page.matches("<a class=\"box").count() <= 120);
    assert_eq!(page.matches("<details class=\"node").count(), 5_000);
    assert!(page.len() < 8_000_000, "{} bytes", page.len());
}

#[test]
fn every_form_says_the_same_twice() {
    let plan = large(3, 40);
    let forms = || {
        [
            human(&plan, &timed()),
            short(&plan),
            markdown(&plan, &timed()),
            mermaid(&plan),
            dot(&plan),
            html(&plan, &timed()),
        ]
    };
    assert_eq!(forms(), forms());
}

/// Writes the forms to a directory, for looking at them: `FORMS=DIR cargo test -p planner --lib
/// write_the_forms -- --ignored`.
#[test]
#[ignore = "for people who look at the forms"]
#[expect(clippy::disallowed_methods, reason = "a tool for people, run by hand")]
fn write_the_forms() {
    let directory = std::path::PathBuf::from(std::env::var_os("FORMS").expect("FORMS is set"));
    for (name, plan) in [
        ("plan", plan()),
        ("hostile", hostile()),
        ("middle", large(4, 30)),
        ("wide", wide()),
        ("large", large(20, 250)),
    ] {
        for (form, text) in [
            ("txt", human(&plan, &timed())),
            ("md", markdown(&plan, &timed())),
            ("mmd", mermaid(&plan)),
            ("dot", dot(&plan)),
            ("html", html(&plan, &timed())),
            ("json", plan.to_json().json),
        ] {
            std::fs::write(directory.join(format!("{name}.{form}")), text).expect("it is writable");
        }
    }
}
