//! `executor serve` in a real browser: what goes on is seen going on, by keyboard, by ear, on a telephone; and whatever a
//! job prints or is called runs nothing.
//!
//! `FORGE_LANES_SCREENSHOTS=DIR` keeps pictures: light and dark, narrow and wide.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Child,
};

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    pages::{large, pictures, unreached},
    shell::Shell,
};

/// A server that ends with the test.
struct Served {
    child: Child,
    origin: String,
}

impl Served {
    fn new(shell: &Shell) -> Self {
        let mut child = shell.start(&["executor", "serve", "--listen", "127.0.0.1:0"]);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe"))
            .read_line(&mut line)
            .expect("it says where");
        Self { child, origin: line.trim().trim_end_matches('/').to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CATALOG: &str = r#"version = 1
[bases.here]
placement = "local"
runtime = "host_process"
timeout_secs = 100
[[targets]]
id = "all"
[[targets.jobs]]
id = "build"
base = "here"
command = { shell = "printf '\\033[32m   Compiling\\033[0m greeter\\n'" }
[[targets.jobs]]
id = "talks"
base = "here"
needs = ["build"]
artifacts = ["**"]
command = { shell = '''
for n in $(seq 3000); do echo "line $n of many"; done
until [ -e "$HOME/more" ]; do sleep 0.02; done
printf '\033[1;31merror\033[0m: <script>window.pwned = 1</script> </script><img src=x onerror="window.pwned=2">\n'
echo x >"$ARTIFACTS_DIR/<img src=x onerror=window.pwned=3>"
until [ -e "$HOME/end" ]; do sleep 0.02; done
exit 1''' }
[[targets.jobs]]
id = "after"
base = "here"
needs = ["talks"]
command = { shell = "true" }
"#;

const MANIFEST: &str = r#"version = 1
[[branch.lanes]]
id = "all"
title = "check-<img src=x onerror=window.pwned=4>"
target = "all"
paths = ["**"]
"#;

fn project() -> Shell {
    let shell = Shell::new();
    shell.write("ci/catalog.toml", CATALOG);
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.does("git init -q && git add -A && git commit -qm first && planner plan -o ../plan.json");
    shell
}

fn allow(shell: &Shell, what: &str) {
    fs::write(shell.beside("home").join(what), "").expect("written");
}

fn row(id: &str, said: &str) -> String {
    format!(
        "[...document.querySelectorAll('[role=option]')].some((one) => one.ariaLabel.startsWith('{id}, {said}'))"
    )
}

#[test]
fn a_run_is_seen_going_on_from_its_first_line_to_its_end() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = project();
    let served = Served::new(&shell);
    browser.look(1280, 900, "light");
    browser.visit(&served.origin, "/");
    assert_eq!(browser.value("document.getElementById('none').hidden"), json!(false));
    let plan = shell.beside("plan.json");
    let mut run = shell.start(&["executor", "apply", plan.to_str().expect("UTF-8")]);
    // It comes by itself.
    browser.wait_for("document.querySelector('#runs tr.running .word')?.textContent === 'Running'");
    let address = browser.value("document.querySelector('#runs a').getAttribute('href')");
    let address = address.as_str().expect("an address").to_owned();
    browser.visit(&served.origin, &address);
    browser.wait_for(&row("execute-talks", "running"));
    browser.wait_for(&row("execute-after", "waiting"));
    browser.wait_for("document.getElementById('live').textContent === 'Live.'");

    // By keyboard to the node and its log.
    browser.press("/");
    browser.write("talks");
    browser.wait_for("document.querySelectorAll('[role=option]').length === 1");
    browser.value("document.getElementById('rows').focus()");
    browser.press("ArrowDown");
    browser.press("Enter");
    browser.wait_for(
        "document.getElementById('log-title').textContent === 'Log: output, 3,000 lines'",
    );
    browser.wait_for("document.querySelector('.line')?.textContent === '1line 1 of many'");
    let elements =
        browser.value("document.querySelectorAll('.line').length").as_u64().expect("a number");
    assert!(elements < 200, "{elements} lines on the page");
    pictures(&mut browser, "serve-live");
    browser.value("document.getElementById('follow').focus()");
    browser.press("Enter");
    browser.wait_for("[...document.querySelectorAll('.line')].some((one) => one.textContent === '3000line 3000 of many')");
    allow(&shell, "more");
    browser.wait_for("[...document.querySelectorAll('.line')].some((one) => one.textContent.startsWith('3001error: <script>'))");
    assert_eq!(
        browser.value("document.querySelector('.line .f1.bold').textContent"),
        json!("error")
    );
    browser.value("document.getElementById('find').focus()");
    browser.write("LINE 1234 ");
    browser.wait_for("document.getElementById('found').textContent === '1 of 1: line 1234'");
    browser.wait_for("document.querySelector('.line.at')?.textContent === '1234line 1234 of many'");
    browser.value("document.getElementById('everywhere').focus()");
    browser.write("compiling");
    browser.press("Enter");
    browser.wait_for(
        "document.querySelector('#everywhere-list a')?.textContent === 'execute-build:1'",
    );
    browser.value("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))");
    browser.wait_for("document.querySelectorAll('[role=option]').length === 3");
    assert_eq!(
        browser.value("document.getElementById('failures').parentElement.hidden"),
        json!(true)
    );
    allow(&shell, "end");
    browser.wait_for(&row("execute-talks", "failed"));
    browser.wait_for("!document.getElementById('failures').parentElement.hidden");
    browser.wait_for(&row("execute-after", "skipped"));
    browser.wait_for("document.getElementById('live').textContent.startsWith('The run is over.')");
    assert_eq!(
        browser.value("document.getElementById('outcome-of-run').textContent"),
        json!("Failed")
    );
    assert_eq!(
        browser.value("document.querySelector('#lane-list .word').textContent"),
        json!("failed")
    );
    // What failed is listed as the whole page lists it.
    let failures = "[...document.querySelectorAll('#failures > li')].map((one) => \
                    [one.id, one.className, one.innerHTML.replace(/>\\n/g, '>').replace(/\\n</g, '<')])";
    let live = browser.value(failures);
    assert!(live.to_string().contains("3001</span>error: &lt;script&gt;"), "{live}");
    assert_eq!(run.wait().expect("it ends").code(), Some(1));
    assert_eq!(browser.complaints(), [""; 0]);

    // The same when it is over, with what failed; its files are links.
    browser.visit(&served.origin, &format!("{address}#node-1"));
    browser.wait_for(
        "document.querySelector('.failures')?.textContent.includes('execute-talks') === true",
    );
    assert_eq!(browser.value(failures), live);
    browser.wait_for("[...document.querySelectorAll('#artifacts a')].some((one) => one.textContent === '<img src=x onerror=window.pwned=3>')");
    browser.wait_for("!document.getElementById('log').hidden");
    pictures(&mut browser, "serve-over");
    assert_eq!(browser.value("document.querySelectorAll('img').length"), json!(0));
    assert_eq!(browser.value("typeof window.pwned"), json!("undefined"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn every_page_is_reached_by_keyboard_and_told_to_a_screen_reader() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = project();
    for name in ["more", "end"] {
        allow(&shell, name);
    }
    for _ in 0..3 {
        assert_eq!(shell.run("executor apply ../plan.json").code, Some(1));
    }
    let served = Served::new(&shell);
    browser.look(1280, 900, "light");
    for (path, title, ready) in [
        ("/", "Runs", "document.querySelectorAll('#runs tr').length === 3"),
        ("/history", "History", "document.querySelectorAll('.plot .cell').length === 3"),
        ("/hosts", "Hosts", "document.querySelector('#machines .standing') !== null"),
        ("/results", "Results", "true"),
    ] {
        browser.visit(&served.origin, path);
        browser.wait_for(ready);
        assert_eq!(unreached(&mut browser), [Value::Null; 0], "{path}");
        browser.value("scrollTo(0, 0)");
        pictures(&mut browser, &format!("serve-{}", title.to_lowercase()));
        let told = browser.told();
        let has = |role: &str, name: &str| told.iter().any(|(r, n)| r == role && n.contains(name));
        for (role, name) in
            [("main", ""), ("navigation", "Pages"), ("heading", title), ("link", "History")]
        {
            assert!(has(role, name), "{path}: no {role} named {name:?}: {told:#?}");
        }
        let nameless = |(role, name): &&(String, String)| {
            ["link", "button", "image", "group"].contains(&role.as_str()) && name.is_empty()
        };
        assert!(told.iter().find(nameless).is_none(), "{path}: {told:#?}");
        assert_eq!(browser.value("typeof window.pwned"), json!("undefined"));
        assert_eq!(browser.complaints(), [""; 0], "{path}");
    }
    // News reach every row, also one that has the focus, which stays where it is.
    browser.visit(&served.origin, "/");
    browser.wait_for("document.querySelectorAll('#runs tr[data-text]').length === 3");
    browser.value(
        "window.link = document.querySelector('#runs a'); link.focus(); \
         for (const row of document.querySelectorAll('#runs tr')) row.dataset.text = ''",
    );
    assert_eq!(shell.run("executor apply ../plan.json").code, Some(1));
    browser.wait_for("document.querySelectorAll('#runs tr:not([data-text=\"\"])').length === 4");
    assert_eq!(browser.value("document.activeElement === link"), json!(true));
    browser.visit(&served.origin, "/history");
    let drawings = browser.value(
        "[...document.querySelectorAll('svg')].map((one) => one.getAttribute('aria-label'))",
    );
    let drawings = drawings.as_array().expect("a list");
    assert!(
        drawings
            .iter()
            .any(|name| name.as_str().is_some_and(|name| name.contains("passed 0 of 4"))),
        "{drawings:?}"
    );
}

#[test]
fn ten_thousand_nodes_and_a_million_lines_stay_usable_when_served() {
    let Some(mut browser) = Browser::start() else { return };
    let shell = large();
    let run = "20260101-000000-000-000001";
    // Of a job that passed; lines of 100 bytes.
    let log =
        shell.directory().join(format!(".forge-lanes/runs/{run}/nodes/execute-job-1/guest.log"));
    fs::create_dir_all(log.parent().expect("a directory")).expect("made");
    shell.does(&format!(
        "yes \"$(printf '%098d' 7)x\" | head -c 100000000 > '{0}' && printf 'the end\\n' >> '{0}'",
        log.display()
    ));
    let served = Served::new(&shell);
    browser.look(1280, 900, "light");
    browser.visit(&served.origin, &format!("/runs/0/{run}"));
    browser.wait_for("document.getElementById('count')?.textContent === '10,000 nodes'");
    let small = |browser: &mut Browser| {
        let elements =
            browser.value("document.querySelectorAll('*').length").as_u64().expect("a number");
        assert!(elements < 6_000, "{elements} elements on the page");
    };
    small(&mut browser);
    browser.value("location.hash = '#node-1'");
    browser.wait_for(
        "document.getElementById('log-title').textContent === 'Log: output, 1,000,001 lines'",
    );
    browser.value("document.getElementById('log').focus()");
    browser.press("End");
    browser.wait_for("[...document.querySelectorAll('.line')].some((one) => one.textContent === '1000001the end')");
    browser.press("Home");
    browser.wait_for("document.querySelector('.line')?.textContent.startsWith('10') === true");
    browser.press("ArrowDown");
    browser.value("location.hash = '#node-1-line-777777'");
    browser.wait_for("document.querySelector('.line.at a')?.textContent === '777777' && document.querySelector('.line.at').textContent.endsWith('7x')");
    browser.value("document.getElementById('find').focus()");
    browser.write("the end");
    browser.wait_for("document.getElementById('found').textContent === '1 of 1: line 1000001'");
    small(&mut browser);
    assert_eq!(browser.complaints(), [""; 0]);
}
