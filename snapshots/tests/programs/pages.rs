//! The pages for people, in a real browser: what a keyboard reaches, what a screen reader is told,
//! what the console says, and that nothing is asked of a network.
//!
//! `FORGE_LANES_SCREENSHOTS=DIR` keeps pictures: light and dark, narrow and wide.

use std::{fmt::Write as _, fs, io::Write as _, path::PathBuf};

use serde_json::{Value, json};

use crate::{browser::Browser, shell::Shell};

const CATALOG: &str = r#"version = 1
[bases.here]
placement = "local"
runtime = "host_process"
timeout_secs = 60
[[targets]]
id = "all"
[[targets.jobs]]
id = "build"
base = "here"
command = { shell = "printf '\\033[32m   Compiling\\033[0m greeter\\n'; sleep 0.3" }
[[targets.jobs]]
id = "flaky"
base = "here"
retries = 1
needs = ["build"]
command = { shell = "sleep 0.2; test -e \"$HOME/again\" || { touch \"$HOME/again\"; echo 'error: not yet'; exit 1; }; echo 'now'" }
[[targets.jobs]]
id = "unit"
base = "here"
needs = ["build"]
command = { shell = "for n in $(seq 300); do echo \"test number $n ... ok\"; done; printf '\\033[1;31merror\\033[0m: it does not greet\\n'; exit 1" }
[[targets.jobs]]
id = "publish"
base = "here"
needs = ["unit", "flaky"]
command = { shell = "true" }
"#;

const MANIFEST: &str = r#"version = 1
[[branch.lanes]]
id = "all"
title = "check-all"
target = "all"
paths = ["**"]
"#;

/// A project with one run: a build, a job that passed at its second try, a failure, and what it
/// kept from running.
fn project() -> Shell {
    let shell = Shell::new();
    shell.write("ci/catalog.toml", CATALOG);
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.does("git init -q && git add -A && git commit -qm first && planner plan -o ../plan.json");
    let ran = shell.run("executor apply ../plan.json");
    assert_eq!(ran.code, Some(1), "{}", ran.shown);
    shell
}

fn report(shell: &Shell) -> PathBuf {
    shell.does("executor report latest --html ../run.html");
    shell.beside("run.html")
}

/// The four looks, each kept as a picture.
pub(crate) fn pictures(browser: &mut Browser, name: &str) {
    for (look, width) in [("wide", 1280), ("narrow", 390)] {
        for scheme in ["light", "dark"] {
            browser.look(width, 900, scheme);
            // Nothing sticks out to the side.
            browser.wait_for("document.documentElement.scrollWidth <= innerWidth");
            browser.value(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
            );
            browser.picture(&format!("{name}-{look}-{scheme}"));
        }
    }
    browser.look(1280, 900, "light");
}

/// Every control that can be seen, and whether pressing Tab often enough reaches it.
pub(crate) fn unreached(browser: &mut Browser) -> Vec<Value> {
    browser.value(
        "window.scrollTo(0, 0); document.activeElement.blur(); window.reached = new Set(); \
         addEventListener('focusin', (event) => reached.add(event.target)); \
         window.controls = [...document.querySelectorAll('a[href], button, input, select, summary, \
         [tabindex=\"0\"]')].filter((one) => one.checkVisibility() && one.tabIndex >= 0); true",
    );
    let controls = browser.value("controls.length").as_u64().expect("a number");
    assert!(controls > 0);
    for _ in 0..controls + 5 {
        browser.press("Tab");
    }
    let left = browser.value(
        "controls.filter((one) => !reached.has(one)).map((one) => one.outerHTML.slice(0, 120))",
    );
    left.as_array().expect("a list").clone()
}

#[test]
fn a_report_can_be_used_without_a_mouse_and_without_eyes() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = project();
    let page = report(&shell);
    browser.look(1280, 900, "light");
    browser.open(&page, "");
    browser.wait_for("document.querySelectorAll('[role=option]').length === 4");
    assert_eq!(unreached(&mut browser), [Value::Null; 0]);

    // From anywhere: `/` goes to the filter, Tab on to the list, arrows move, Enter opens.
    browser.value("document.activeElement.blur()");
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), json!("filter"));
    browser.write("does not greet");
    browser.wait_for("document.querySelectorAll('[role=option]').length === 1");
    for _ in 0..3 {
        browser.press("Tab");
    }
    assert_eq!(browser.value("document.activeElement.id"), json!("rows"));
    browser.press("ArrowDown");
    browser.wait_for("location.hash !== ''");
    browser.press("Enter");
    browser.wait_for("document.activeElement.id === 'detail-title'");
    assert_eq!(browser.value("document.activeElement.textContent"), json!("execute-unit"));
    browser.wait_for("!document.getElementById('log').hidden");
    browser.press("Escape");
    browser.wait_for("document.activeElement.id === 'rows'");

    let told = browser.told();
    let has = |role: &str, name: &str| {
        assert!(
            told.iter().any(|(r, n)| r == role && n.contains(name)),
            "no {role} named {name:?}: {told:#?}"
        );
    };
    for (role, name) in [
        ("main", ""),
        ("heading", "Failed"),
        ("heading", "What failed"),
        ("searchbox", "Filter"),
        ("combobox", "Outcome"),
        ("listbox", "Nodes"),
        ("option", "execute-unit, failed"),
        ("region", "Log"),
        ("region", "Graph"),
        ("searchbox", "Text"),
        ("link", "execute-unit"),
    ] {
        has(role, name);
    }
    let nameless: Vec<_> = told
        .iter()
        .filter(|(role, name)| {
            ["button", "link", "searchbox", "combobox", "listbox", "option", "region"]
                .contains(&role.as_str())
                && name.is_empty()
        })
        .collect();
    assert!(nameless.is_empty(), "{nameless:?}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_failure_leads_to_the_line_of_its_log() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = project();
    let page = report(&shell);
    browser.open(&page, "");
    browser.wait_for("document.querySelectorAll('[role=option]').length === 4");
    pictures(&mut browser, "report");
    let link = "[...document.querySelectorAll('.failures a')].find((one) => one.textContent === 'Log, line 301')";
    browser.value(&format!("{link}.focus()"));
    browser.press("Enter");
    browser.wait_for(
        "document.querySelector('.line.at')?.textContent === '301error: it does not greet'",
    );
    // The line is in sight, and the log is where the keyboard is.
    browser.wait_for(
        "(() => { const line = document.querySelector('.line.at').getBoundingClientRect(), \
         log = document.getElementById('log').getBoundingClientRect(); \
         return line.top >= log.top && line.bottom <= log.bottom && line.top < innerHeight; })()",
    );
    assert_eq!(browser.value("document.activeElement.id"), json!("log"));
    // The colour of the job's output.
    assert_eq!(
        browser.value("document.querySelector('.line.at .f1.bold').textContent"),
        json!("error")
    );
    pictures(&mut browser, "report-log");

    browser.value("document.getElementById('find').focus()");
    browser.write("number 42 ");
    browser.wait_for("document.getElementById('found').textContent === '1 of 1: line 42'");
    browser.value("document.getElementById('everywhere').focus()");
    browser.write("not yet");
    browser.press("Enter");
    // The executor's own log has the command, in which the text stands too.
    let hit = "[...document.querySelectorAll('#everywhere-list li')].find((one) => \
               one.textContent === 'execute-flaky:1 error: not yet')?.querySelector('a')";
    browser.wait_for(&format!("Boolean({hit})"));
    // Its link opens the log of the attempt that said so.
    browser.value(&format!("{hit}.focus()"));
    browser.press("Enter");
    browser.wait_for(
        "document.querySelector('#log-names [aria-pressed=true]')?.textContent === 'output of attempt 1'",
    );
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn each_attempt_is_a_bar_of_its_own() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = project();
    let page = report(&shell);
    browser.open(&page, "");
    browser.wait_for("document.querySelectorAll('[role=option]').length === 4");
    let bars = browser.value(
        "(() => { const row = [...document.querySelectorAll('[role=option]')].find((one) => \
         one.ariaLabel.startsWith('execute-flaky')); const box = (css) => \
         row.querySelector(css).getBoundingClientRect(); return [box('.earlier.failed').right, \
         box('.whole').left, row.querySelectorAll('.earlier').length]; })()",
    );
    let number = |at: usize| bars[at].as_f64().expect("a number");
    assert!(number(0) <= number(1), "the second try is behind the first: {bars}");
    assert_eq!(bars[2], json!(1));
    assert!(
        browser
            .value("document.getElementById('legend').textContent")
            .as_str()
            .is_some_and(|text| text.contains("an earlier attempt"))
    );
    let trace: Value =
        serde_json::from_str(&shell.does("executor report latest --trace -")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    assert!(events.iter().any(|event| event["name"] == "execute-flaky (attempt 1)"));
}

/// A run of ten thousand nodes, as the executor would have recorded it.
pub(crate) fn large() -> Shell {
    let shell = Shell::new();
    let mut catalog =
        "version = 1\n[bases.here]\nplacement = \"local\"\nruntime = \"host_process\"\n\
                       timeout_secs = 60\n[[targets]]\nid = \"all\"\n"
            .to_owned();
    for n in 0..10_000 {
        let needs =
            if n < 100 { String::new() } else { format!("needs = [\"job-{}\"]\n", n - 100) };
        let _ = write!(
            catalog,
            "[[targets.jobs]]\nid = \"job-{n}\"\nbase = \"here\"\n{needs}command = {{ argv = [\"true\"] }}\n"
        );
    }
    shell.write("ci/catalog.toml", &catalog);
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.does("git init -q && git add -A && git commit -qm first && planner plan -o plan.json");
    let plan = fs::read_to_string(shell.directory().join("plan.json")).expect("readable");
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let id = "20260101-000000-000-000001";
    let run = format!(".forge-lanes/runs/{id}");
    let mut nodes = Vec::new();
    for (at, node) in plan["nodes"].as_array().expect("a list").iter().enumerate() {
        let name = node["id"].as_str().expect("an id");
        let failed = at % 97 == 0;
        let (minute, second, ms) = (at / 1000, at / 17 % 60, at % 1000);
        nodes.push(json!({
            "id": name, "outcome": if failed { "failed" } else { "passed" },
            "exit_code": u8::from(failed), "attempts": 1, "placement": "local",
            "runtime": "host_process", "phases": { "tree": 20, "wait": 100 + at % 900 },
            "started_at": format!("2026-01-01T00:{minute:02}:{second:02}.{ms:03}Z"),
            "duration_ms": 120 + at % 900,
        }));
        if failed {
            let lines: String = (0..200).map(|n| format!("line {n} of {name}\n")).collect();
            shell.write(
                &format!("{run}/nodes/{name}/guest.log"),
                &format!("{lines}error: {name}\n"),
            );
        }
    }
    let record = json!({
        "format_version": "1.0", "run_id": id, "plan_digest": plan["digest"],
        "started_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:11:00.000Z",
        "outcome": "failed", "lanes": [{ "id": "all", "title": "check-all", "outcome": "failed" }],
        "nodes": nodes,
    });
    shell.write(&format!("{run}/record.json"), &record.to_string());
    shell.does(&format!("cp plan.json {run}/ && executor report {id} --html ../run.html"));
    shell
}

#[test]
fn ten_thousand_nodes_stay_usable() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = large();
    browser.look(1280, 900, "light");
    browser.open(&shell.beside("run.html"), "");
    browser.wait_for("document.getElementById('count')?.textContent === '10,000 nodes'");
    let elements = "document.querySelectorAll('*').length";
    let small = |browser: &mut Browser| {
        let elements = browser.value(elements).as_u64().expect("a number");
        assert!(elements < 5_000, "{elements} elements on the page");
    };
    small(&mut browser);
    let told = browser.value("JSON.stringify(performance.getEntriesByType('navigation')[0])");
    let told: Value = serde_json::from_str(told.as_str().expect("text")).expect("JSON");
    let ready = &told["domContentLoadedEventEnd"];
    let _ = writeln!(std::io::stderr(), "interactive after {ready} ms");

    browser.value("document.getElementById('rows').focus()");
    browser.press("End");
    browser.wait_for("document.querySelector('[aria-selected=true]')?.ariaPosInSet === '10000'");
    assert_eq!(
        browser.value("document.querySelector('[aria-selected=true]').ariaSetSize"),
        json!("10000")
    );
    small(&mut browser);
    browser.press("/");
    browser.write("job-77");
    browser.wait_for("document.getElementById('count').textContent === '111 of 10,000 nodes'");
    browser.wait_for("document.querySelectorAll('#graph .box').length === 111");
    small(&mut browser);
    pictures(&mut browser, "report-large");
    browser.value("document.getElementById('everywhere').focus()");
    browser.write("error:");
    browser.press("Enter");
    browser.wait_for("document.getElementById('everywhere-found').textContent === '104 lines'");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_backtest_is_a_page_that_everybody_can_read() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = Shell::new();
    shell.does(
        "cp -r \"$FORGE_LANES_SOURCES\"/snapshots/scenarios/readme/. . && git init -q && git add -A \
         && git commit -qm first; for n in $(seq 30); do echo \"# $n\" >> src/greet.sh; \
         [ $((n % 3)) != 0 ] || echo \"$n\" >> docs/usage.md; git commit -qam \"step $n\"; done; \
         planner plan --all | executor apply - >/dev/null; executor history --json > ../durations.json; \
         sed 's|\"src/\\*\\*\"|\"src/*.py\"|' ci/forge-lanes.toml > new.toml; \
         planner backtest --with new.toml --against HEAD --durations ../durations.json \
         --format html -o ../backtest.html",
    );
    let page = shell.beside("backtest.html");
    browser.open(&page, "");
    assert_eq!(unreached(&mut browser), [Value::Null; 0]);
    browser.value("scrollTo(0, 0)");
    pictures(&mut browser, "backtest");
    let told = browser.told();
    for (role, name) in [("main", ""), ("heading", "would have run less"), ("heading", "Share")] {
        assert!(
            told.iter().any(|(r, n)| r == role && n.contains(name)),
            "no {role} named {name:?}: {told:#?}"
        );
    }
    // What would have slipped through comes before everything else.
    let first = browser.value("document.querySelector('h2').textContent");
    assert!(first.as_str().is_some_and(|text| text.contains("less")), "{first}");
    let drawings = browser.value(
        "[...document.querySelectorAll('svg')].map((one) => one.getAttribute('aria-label') ?? \
         one.querySelector('title')?.textContent ?? '')",
    );
    let drawings = drawings.as_array().expect("a list");
    assert!(!drawings.is_empty() && drawings.iter().all(|name| name != ""), "{drawings:?}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_plan_is_a_page_that_asks_for_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = project();
    shell.does("planner show ../plan.json --format html > ../plan.html");
    browser.open(&shell.beside("plan.html"), "");
    pictures(&mut browser, "plan");
    assert!(browser.told().iter().any(|(role, _)| role == "main"));
    assert_eq!(browser.complaints(), [""; 0]);
}
