//! A real, headless Chromium, spoken to over its own pipe (`--remote-debugging-pipe`, the Chrome
//! DevTools Protocol): no port, no driver, no library. `scripts/bootstrap browser` installs it.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before the browser is thought to hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    /// Everything the browser told without being asked.
    events: Vec<Value>,
    /// The server whose page is open, if it came from one.
    origin: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser; none installed: says why and returns nothing, unless `CI` is set.
    pub(crate) fn start() -> Option<Self> {
        let there = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let asked = Command::new("sh").args(["-c", &format!("command -v {name}")]).output();
            asked.is_ok_and(|asked| asked.status.success())
        });
        let Some(program) = there else {
            let why = "no Chromium: run scripts/bootstrap browser";
            assert!(std::env::var_os("CI").is_none(), "{why}");
            writeln!(std::io::stderr(), "skipped: {why}").expect("writable");
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary directory");
        let (commands, answers) = (profile.path().join("commands"), profile.path().join("answers"));
        let made = Command::new("mkfifo").args([&commands, &answers]).status();
        assert!(made.expect("mkfifo starts").success());
        // The browser reads from descriptor 3 and writes to 4; a shell is what can put them there.
        let child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<commands 4>answers", program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--force-color-profile=srgb", "--user-data-dir=data"])
            // Nothing of ours goes anywhere; should it try, it finds nobody.
            .args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"])
            .current_dir(profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let to = OpenOptions::new().write(true).open(&commands).expect("the browser reads");
        let answers = BufReader::new(File::open(&answers).expect("the browser writes"));
        let (send, from) = channel();
        std::thread::spawn(move || {
            for message in answers.split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: None,
            calls: 0,
            events: Vec::new(),
            origin: None,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = Some(session["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol; returns its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser reads");
        loop {
            let answer = self.from.recv_timeout(PATIENCE).expect("the browser answers");
            if answer["id"] == json!(self.calls) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Opens a file of this machine and waits until it is loaded.
    pub(crate) fn open(&mut self, file: &Path, fragment: &str) {
        self.events.clear();
        // The same file with another fragment would not be loaded again.
        self.call("Page.navigate", &json!({ "url": "about:blank" }));
        self.wait_for("document.readyState === 'complete' && location.href === 'about:blank'");
        self.origin = None;
        let url = format!("file://{}{fragment}", file.display());
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait_for("document.readyState === 'complete' && location.protocol === 'file:'");
    }

    /// Opens a page of a server of this machine and waits until it is loaded.
    pub(crate) fn visit(&mut self, origin: &str, path: &str) {
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": "about:blank" }));
        self.wait_for("document.readyState === 'complete' && location.href === 'about:blank'");
        self.origin = Some(origin.to_owned());
        self.call("Page.navigate", &json!({ "url": format!("{origin}{path}") }));
        self.wait_for("document.readyState === 'complete' && location.protocol === 'http:'");
    }

    /// What an expression of the page gives, waited for if it is a promise.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", &params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until something is so on the page.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let tries = PATIENCE.as_millis() / 20;
        for _ in 0..tries {
            if self.value(expression) == json!(true) {
                return;
            }
            // Time for the page to go on; nothing here is measured.
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = self.value("document.body.innerText.slice(0, 2000)");
        panic!("it never came: {expression}\n{}", text.as_str().unwrap_or_default());
    }

    /// Presses and lets go of a key.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "End" => 35,
            "Home" => 36,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut down = json!({ "type": "rawKeyDown", "key": key, "windowsVirtualKeyCode": code });
        if key == "Enter" {
            down["text"] = json!("\r");
            down["type"] = json!("keyDown");
        } else if code == 0 {
            down["text"] = json!(key);
            down["type"] = json!("keyDown");
        }
        self.call("Input.dispatchKeyEvent", &down);
        self.call(
            "Input.dispatchKeyEvent",
            &json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Sets the size of the window and what the system prefers.
    pub(crate) fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &media);
    }

    /// Keeps a picture of the window for people, where `FORGE_LANES_SCREENSHOTS` names a directory.
    pub(crate) fn picture(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("FORGE_LANES_SCREENSHOTS") else { return };
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let file = Path::new(&directory).join(format!("{name}.png"));
        let mut decode = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(File::create(file).expect("writable"))
            .spawn()
            .expect("base64 starts");
        let text = shot["data"].as_str().expect("a picture");
        decode.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        assert!(decode.wait().expect("it ends").success());
    }

    /// Everything that a page must not do: errors on the console, and requests beyond itself.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.value("1");
        let mut found = Vec::new();
        for event in &self.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => found.push(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if params["type"] == "error" => {
                    found.push(params["args"].to_string());
                }
                "Log.entryAdded" if params["entry"]["level"] == "error" => {
                    found.push(params["entry"]["text"].to_string());
                }
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().unwrap_or_default();
                    let own = params["type"] == "Document"
                        && (url.starts_with("file:") || url == "about:blank");
                    let served = self.origin.as_ref();
                    let served =
                        served.is_some_and(|origin| url.starts_with(&format!("{origin}/")));
                    if !own && !served && !url.starts_with("blob:") {
                        found.push(format!("it asked for {url}"));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// What a screen reader is told: role and name of everything that is not hidden from it.
    pub(crate) fn told(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().expect("a list");
        nodes
            .iter()
            .filter(|node| node["ignored"] != json!(true))
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own way of ending takes its children along; the kill is for one that hangs.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        for _ in 0..250 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
