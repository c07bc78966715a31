//! The page as headless Chromium lays it out: light and dark, everyday, hostile and large.
//! `scripts/bootstrap browser` installs it; where it is missing the test skips and says so, and
//! fails when `CI` is set.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the test starts a browser, and says when there is none"
)]

use std::process::{Command, Stdio};

use serde_json::Value;

use super::*;

/// Asks the laid out page, and leaves the answers as its title. What the page itself does wrong is
/// told from the start.
const PROBE: [&str; 2] = [
    "<script>var wrong = []; addEventListener('error', (it) => wrong.push(it.message)); \
     addEventListener('securitypolicyviolation', (it) => wrong.push(it.violatedDirective)); \
     window.alert = () => wrong.push('alert');</script>",
    "<script>addEventListener('load', () => {
      const all = (what) => [...document.querySelectorAll(what)];
      const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => {
        const part = (it) => (it /= 255) <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
      };
      const ground = (it) => {
        for (; it; it = it.parentElement) {
          const colour = numbers(getComputedStyle(it).backgroundColor);
          if (colour.length < 4 || colour[3] > 0.9) return light(colour);
        }
        return 1;
      };
      const faint = all('h1, h2, p, li, code, summary, summary span, button').filter((it) => {
        if (!it.checkVisibility() || !it.textContent.trim()) return false;
        const pair = [light(numbers(getComputedStyle(it).color)), ground(it)].sort();
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05) < 4.5;
      });
      const boxes = all('.box').map((it) => [it, it.getBoundingClientRect()]);
      const apart = ([, a], [, b]) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
      const over = boxes.filter((a, at) => boxes.slice(at + 1).some((b) => !apart(a, b)));
      const spilt = boxes.filter(([it, box]) => [...it.querySelectorAll('text')].some((text) => {
        const { left, right, top, bottom } = text.getBoundingClientRect();
        return left < box.left || right > box.right || top < box.top - 1 || bottom > box.bottom + 1;
      }));
      all('button[data-boxes]')[0]?.click();
      const shown = all('.box.on').length;
      const filter = document.querySelector('input[data-filters]');
      if (filter) { filter.value = 'no such node at all'; filter.dispatchEvent(new Event('input')); }
      const left = all('details.node').filter((it) => !it.hidden).length;
      document.title = JSON.stringify({
        wrong, over: over.length, spilt: spilt.map(([it]) => it.textContent), shown, left,
        faint: faint.map((it) => it.textContent.slice(0, 60)), nodes: all('details.node').length,
        boxes: boxes.length, wide: document.documentElement.scrollWidth - innerWidth,
        ground: ground(document.body), asked: performance.getEntriesByType('resource').length,
      }).replace(/[<>&]/g, ' ');
    });</script>",
];

fn chromium() -> Option<&'static str> {
    let there = |name: &&str| {
        let asked = Command::new(name).arg("--version").output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(there);
    if found.is_none() {
        let why = "no Chromium: run scripts/bootstrap browser";
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
    }
    found
}

/// What the page says of itself in a window so wide.
fn ask(browser: &str, page: &str, dark: bool, width: usize) -> Value {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("page.html");
    let probed = page.replacen("</title>", &format!("</title>{}", PROBE[0]), 1);
    let probed = probed.replacen("</body>", &format!("{}</body>", PROBE[1]), 1);
    std::fs::write(&file, probed).expect("written");
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"])
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg("--dump-dom")
        .arg(&file)
        .env("HOME", directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("the browser starts");
    let dom = String::from_utf8(output.stdout).expect("text");
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    serde_json::from_str(title.expect("a title")).unwrap_or_else(|_| panic!("{title:?}"))
}

#[test]
fn a_browser_lays_the_page_out_light_and_dark() {
    let Some(browser) = chromium() else { return };
    let pages = [
        (plan(), 1200, false, "everyday"),
        (plan(), 1200, true, "everyday and dark"),
        (plan(), 420, true, "on a telephone"),
        (hostile(), 1200, false, "hostile"),
        (large(4, 30), 1200, true, "large"),
    ];
    for (plan, width, dark, what) in pages {
        let said = ask(browser, &html(&plan, &timed()), dark, width);
        let is = |key: &str| said[key].as_f64().unwrap_or_else(|| panic!("{key}: {said:#}"));
        let none = |key: &str| assert_eq!(said[key], serde_json::json!([]), "{what}: {said:#}");
        none("wrong");
        none("spilt");
        none("faint");
        assert_eq!(is("over"), 0.0, "{what}: boxes lie over each other: {said:#}");
        assert_eq!(is("nodes"), plan.nodes().len() as f64, "{what}");
        assert!(is("boxes") > 0.0 && is("shown") > 0.0, "{what}: {said:#}");
        assert_eq!(is("left"), 0.0, "{what}: the filter filters");
        assert!(is("wide") <= 0.0, "{what}: the page is wider than its window: {said:#}");
        assert_eq!(is("asked"), 0.0, "{what}: it asks for nothing");
        assert_eq!(is("ground") < 0.2, dark, "{what}: {said:#}");
    }
}
