"use strict";
// Draws the nodes, the graph and the logs from the data blocks. Foreign text is put on the page as
// text nodes and attribute values alone; no markup is ever made of it. A page that is served has its
// logs fetched where they are looked at, and hears what changes while its run goes on.
(() => {
  const get = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(get(id).textContent);
  const make = (name, css, ...parts) => {
    const made = document.createElement(name);
    if (css) made.className = css;
    made.append(...parts);
    return made;
  };
  const data = read("data"), nodes = data.nodes, served = data.served;
  // Logs may be most of the page: read when one is looked at, after everything else is drawn.
  let logs;
  const packed = (at) => (logs ??= read("packed"))[at] ?? [];
  const SIGNS = { passed: "✓", failed: "✗", timed_out: "◷", infra_failed: "⚠", cancelled: "■", skipped: "–", running: "▶", waiting: "…" };
  const PHASES = new Map([["turn", "waits its turn"], ["directories", "directories"], ["tree", "source tree"], ["runtime", "instance or machine"], ["launch", "launch"], ["wait", "the job"], ["collect", "collects files"], ["cleanup", "cleans up"]]);
  const NAMES = [...PHASES.keys()];
  const words = (state) => ({ timed_out: "timed out", infra_failed: "infrastructure failed" })[state] ?? state;
  const phaseCss = (name) => `w${NAMES.includes(name) ? NAMES.indexOf(name) : 7}`;
  const meaning = (name) => PHASES.get(name) ?? name;
  const two = (n) => String(n).padStart(2, "0");
  const time = (ms) => {
    const s = Math.floor(ms / 1000);
    if (ms < 100) return `${ms} ms`;
    if (s < 60) return `${s}.${Math.floor((ms % 1000) / 100)}s`;
    if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
    return `${Math.floor(s / 3600)}h ${two(Math.floor(s / 60) % 60)}m`;
  };
  const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
  const later = (f, wait = 120) => {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(f, wait); };
  };
  const eachFrame = (f) => {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; f(); });
    };
  };
  const ready = (node, at, before) => {
    node.at = at;
    node.after ??= [];
    node.phases ??= [];
    node.earlier ??= [];
    node.before = before;
    node.text = [node.id, node.why ?? "", ...node.facts.map((fact) => fact[1])].join("\n").toLowerCase();
  };
  nodes.forEach((node, at) => ready(node, at, []));
  for (const node of nodes) for (const at of node.after) nodes[at].before.push(node.at);
  const loaded = performance.now();
  let end = 1, goesOn = served?.news !== undefined;
  function measure() {
    const now = goesOn ? (served.now ?? 0) + performance.now() - loaded : 0;
    end = Math.max(1, data.took ?? 0, now);
    for (const node of nodes) if (node.began !== undefined) end = Math.max(end, node.began + (node.took ?? 0));
  }
  measure();

  // The list: only the rows in sight are on the page.
  const rows = get("rows"), space = get("space");
  let shown = nodes, current = -1, height = 30;
  const label = (node) => [node.id, words(node.state), node.took === undefined ? "" : time(node.took), node.why ?? ""].filter(Boolean).join(", ");
  const percent = (part) => `${(100 * part) / end}%`;
  function track(node) {
    const made = make("div", "track");
    made.ariaHidden = "true";
    const add = (css, at, ms) => {
      const bar = make("span", css);
      bar.style.left = percent(at);
      bar.style.width = percent(Math.max(0, ms));
      made.append(bar);
    };
    for (const [at, ms, state] of node.earlier) add(`earlier o ${state}`, at, ms);
    if (node.began === undefined) return made;
    const took = node.took ?? end - node.began;
    let at = node.began;
    for (const [name, ms] of node.phases) {
      const fits = Math.min(ms, node.began + took - at);
      if (fits > 0) add(phaseCss(name), at, fits);
      at += ms;
    }
    add("whole", node.began, took);
    return made;
  }
  function draw() {
    height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) || 30;
    space.style.height = `${shown.length * height}px`;
    const first = Math.max(0, Math.floor(rows.scrollTop / height) - 8);
    const last = Math.min(shown.length, Math.ceil((rows.scrollTop + rows.clientHeight) / height) + 8);
    const made = [];
    for (let n = first; n < last; n++) {
      const node = shown[n];
      const sign = make("span", "sign", SIGNS[node.state] ?? "?");
      const row = make("div", `row o ${node.state}`, make("span", "id", sign, node.id), track(node), make("span", "time", node.took === undefined ? words(node.state) : time(node.took)));
      row.id = `row-${node.at}`;
      row.role = "option";
      row.ariaLabel = label(node);
      row.ariaPosInSet = String(n + 1);
      row.ariaSetSize = String(shown.length);
      row.ariaSelected = String(node.at === current);
      row.title = label(node);
      row.style.top = `${n * height}px`;
      row.onclick = () => go(`node-${node.at}`);
      made.push(row);
    }
    space.replaceChildren(...made);
    if (get(`row-${current}`)) rows.setAttribute("aria-activedescendant", `row-${current}`);
    else rows.removeAttribute("aria-activedescendant");
  }
  function ticks() {
    const steps = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
    const step = steps.find((s) => end / s <= 8) ?? Math.ceil(end / 8);
    const made = [];
    for (let at = 0; at <= end * 0.95; at += step) {
      const tick = make("span", "", at ? time(at) : "0");
      tick.style.left = percent(at);
      made.push(tick);
    }
    get("ticks").replaceChildren(...made);
  }
  function reveal() {
    const n = shown.findIndex((node) => node.at === current);
    if (n < 0) return;
    if (n * height < rows.scrollTop) rows.scrollTop = n * height;
    else if ((n + 1) * height > rows.scrollTop + rows.clientHeight) rows.scrollTop = (n + 1) * height - rows.clientHeight;
  }
  const filter = get("filter"), outcome = get("outcome"), order = get("order");
  const began = (node) => node.began ?? Number.MAX_SAFE_INTEGER;
  const orders = {
    plan: (a, b) => a.at - b.at,
    start: (a, b) => began(a) - began(b) || a.at - b.at,
    time: (a, b) => (b.took ?? -1) - (a.took ?? -1) || a.at - b.at,
    name: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  };
  function select(stay) {
    const wanted = filter.value.trim().toLowerCase();
    shown = nodes.filter((node) => (!outcome.value || node.state === outcome.value) && (!wanted || node.text.includes(wanted)));
    shown.sort(orders[order.value]);
    get("count").textContent = shown.length === nodes.length ? count(nodes.length, "node") : `${shown.length.toLocaleString("en")} of ${count(nodes.length, "node")}`;
    if (stay !== true) rows.scrollTop = 0;
    draw();
    graph();
  }
  function offer() {
    const offered = new Set([...outcome.options].map((option) => option.value));
    for (const state of new Set(nodes.map((node) => node.state))) {
      if (offered.has(state)) continue;
      const option = make("option", "", words(state));
      option.value = state;
      outcome.append(option);
    }
    const used = new Set(nodes.flatMap((node) => node.phases.filter((phase) => phase[1] > 0).map((phase) => phase[0])));
    const colours = NAMES.filter((name) => used.has(name)).map((name) => make("li", "", make("span", `swatch ${phaseCss(name)}`), meaning(name)));
    if (nodes.some((node) => node.earlier.length)) colours.unshift(make("li", "", make("span", "swatch earlier o failed"), "an earlier attempt"));
    get("legend").replaceChildren(...colours);
  }
  offer();
  filter.oninput = later(() => select());
  outcome.onchange = order.onchange = () => select();
  rows.onscroll = eachFrame(draw);
  addEventListener("resize", eachFrame(draw));
  rows.onkeydown = (event) => {
    const n = shown.findIndex((node) => node.at === current);
    const page = Math.max(1, Math.floor(rows.clientHeight / height) - 1);
    const to = { ArrowDown: n + 1, ArrowUp: n - 1, Home: 0, End: shown.length - 1, PageDown: n + page, PageUp: n - page }[event.key];
    if (event.key === "Enter" && n >= 0) {
      get("detail-title").focus();
      event.preventDefault();
    } else if (to !== undefined && shown.length) {
      go(`node-${shown[Math.min(shown.length - 1, Math.max(0, to))].at}`, true);
      event.preventDefault();
    }
  };
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      filter.focus();
      event.preventDefault();
    } else if (event.key === "Escape" && get("detail").contains(event.target)) {
      rows.focus();
      rows.scrollIntoView({ block: "nearest" });
    }
  });

  // A place on the page has an address, so that it can be linked and gone back to.
  function go(hash, quiet) {
    if (quiet) {
      history.replaceState(null, "", `#${hash}`);
      visit(true);
    } else if (location.hash === `#${hash}`) visit(false);
    else location.hash = hash;
  }
  async function visit(quiet) {
    const place = /^#node-(\d+)(?:-log-(\d+))?(?:-line-(\d+))?$/.exec(location.hash);
    const node = place && nodes[Number(place[1])];
    if (!node) return;
    const changed = node.at !== current;
    current = node.at;
    if (changed && !shown.includes(node)) {
      filter.value = outcome.value = "";
      select();
    }
    reveal();
    draw();
    if (changed) describe(node);
    graph();
    await openLog(node, Number(place[2] ?? 0), Number(place[3] ?? 0));
    if (quiet) return;
    const target = get(place[3] ? "log" : "detail-title");
    target.focus({ preventScroll: true });
    (place[3] ? get("log-title") : target).scrollIntoView({ block: "start" });
  }
  addEventListener("hashchange", () => visit(false));
  const link = (at) => {
    const made = make("a", "", nodes[at].id);
    made.href = `#node-${at}`;
    return made;
  };
  const links = (list) => make("div", "links", ...list.slice(0, 500).map(link), list.length > 500 ? `and ${list.length - 500} more` : "");
  function describe(node) {
    get("detail").hidden = false;
    get("detail-title").textContent = node.id;
    const list = make("dl", `detail o ${node.state}`);
    const fact = (name, ...value) => list.append(make("dt", "", name), make("dd", "", ...value));
    fact("Outcome", make("span", "word", `${SIGNS[node.state] ?? ""} ${words(node.state)}`), node.why ? ` · ${node.why}` : "");
    if (node.took !== undefined) fact("Time", time(node.took), node.began === undefined ? "" : `, from ${time(node.began)} into the run`);
    const timed = node.phases.filter((phase) => phase[1] > 0);
    if (timed.length) {
      const bar = make("div", "phases");
      bar.ariaHidden = "true";
      for (const [name, ms] of timed) {
        const part = make("span", phaseCss(name));
        part.style.flexGrow = String(ms);
        bar.append(part);
      }
      fact("Phases", bar, ...timed.map(([name, ms]) => make("span", "phase", make("span", `swatch ${phaseCss(name)}`), `${meaning(name)} ${time(ms)} `)));
    }
    for (const [name, value] of node.facts) fact(name, name === "Command" ? make("code", "", value) : value);
    if (served && node.facts.some((each) => each[0] === "Files kept")) {
      const list = make("ul");
      list.id = "artifacts";
      fact("Files", list);
      listFiles(node, list);
    }
    if (node.after.length) fact("Depends on", links(node.after));
    if (node.before.length) fact("Needed by", links(node.before));
    get("about").replaceChildren(list);
  }

  async function listFiles(node, list) {
    const base = `${served.base}/nodes/${encodeURIComponent(node.id)}`;
    const answer = await fetch(`${base}/artifacts.json`);
    if (!answer.ok) return;
    list.replaceChildren(...(await answer.json()).slice(0, 2000).map((file) => {
      const place = make("a", "", file.path);
      place.href = `${base}/artifacts/${file.at}`;
      return make("li", "", place, make("span", "soft", ` ${count(file.bytes, "byte")}`));
    }));
  }

  // Logs: unpacked or fetched when they are looked at.
  function logsOf(node) {
    if (!served) return packed(node.at);
    if (node.began === undefined) return [];
    const base = `${served.base}/nodes/${encodeURIComponent(node.id)}`;
    const before = node.earlier.map((_, n) => n + 1).reverse();
    return [
      { title: "output", url: `${base}/guest.log` },
      ...before.map((n) => ({ title: `output of attempt ${n}`, url: `${base}/attempts/${n}/guest.log` })),
      { title: "executor", url: `${base}/host.log` },
    ];
  }
  const MOST_BYTES = 2 ** 21, CHUNKS = 40;
  // A log that stays where it is: its lines' beginnings are known, and the bytes around what is seen are fetched.
  function remote(url, index) {
    const chunks = new Map();
    async function ask(n) {
      chunks.set(n, {});
      if (chunks.size > CHUNKS) chunks.delete(chunks.keys().next().value);
      const from = index.starts[n], to = (index.starts[n + 1] ?? index.bytes) - 1, last = Math.min(to, from + MOST_BYTES - 1);
      if (to < from) return;
      const answer = await fetch(url, { headers: { Range: `bytes=${from}-${last}` } });
      if (!answer.ok) return;
      const lines = split(await answer.text());
      if (last < to) lines.push("… more than is shown here: save the log");
      chunks.set(n, { lines, states: states(lines) });
      drawLog();
    }
    const chunk = (n) => {
      const at = Math.floor(n / index.step);
      if (!chunks.has(at)) ask(at);
      return chunks.get(at);
    };
    return {
      url, index, cut: -1, number: (n) => n + 1,
      size: () => index.lines,
      line: (n) => chunk(n)?.lines?.[n % index.step],
      state: (n) => chunk(n)?.states?.[n % index.step] ?? NEUTRAL,
      grown(news) {
        // The piece that was the last one has more in it now.
        for (const n of [...chunks.keys()]) if (n >= index.starts.length - 1) chunks.delete(n);
        index.starts.length = Math.min(index.starts.length, news.first);
        index.starts.push(...news.starts);
        index.bytes = news.bytes;
        index.lines = news.lines;
      },
    };
  }
  const here = (lines, cut, number) => {
    let all;
    return { lines, cut, number, size: () => lines.length, line: (n) => lines[n], state: (n) => (all ??= states(lines))[n] };
  };
  async function unpack(kept) {
    if (!kept.startsWith("z")) return kept.slice(1);
    const text = kept.slice(1);
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(stream).text();
  }
  const split = (text) => {
    const lines = text.split("\n");
    if (lines[lines.length - 1] === "") lines.pop();
    return lines;
  };
  async function load(kept) {
    const number = (n) => n + 1;
    if (kept.url) {
      const answer = await fetch(`${kept.url}/lines`);
      return answer.ok ? remote(kept.url, await answer.json()) : { ...here([], -1, number), none: true, absent: true };
    }
    if (kept.head === undefined) return { ...here([], -1, number), none: true };
    const head = split(await unpack(kept.head));
    if (!kept.tail) return here(head, -1, number);
    const jump = kept.lines ?? 0, cut = head.length;
    const note = `${count(kept.bytes ?? 0, "byte")} left out here: ${count(jump, "line")}`;
    const lines = [...head, note, ...split(await unpack(kept.tail))];
    return here(lines, cut, (n) => (n < cut ? n + 1 : n + jump));
  }
  // Everything a terminal obeys (ECMA-48), and characters that reorder or hide others.
  const CONTROL = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[PX^_][^\x1b]*(?:\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
  // A carriage return overwrites its line: what was written last is seen.
  const written = (line) => {
    const text = line.replace(/\r+$/, "");
    return text.slice(text.lastIndexOf("\r") + 1);
  };
  const plain = (line) => written(line).replace(CONTROL, "");
  const NEUTRAL = { fg: "", bg: "", bold: false, dim: false, italic: false, under: false, invert: false };
  const CUBE = [0, 95, 135, 175, 215, 255];
  function colour(codes, kind) {
    const byte = (n) => Math.min(255, Math.max(0, Number(n) || 0));
    const mode = codes.shift();
    if (mode === 5) {
      const n = byte(codes.shift()), m = n - 16;
      if (n < 16) return kind + (n % 8);
      if (n > 231) return `rgb(${Array(3).fill((n - 232) * 10 + 8)})`;
      return `rgb(${[CUBE[Math.floor(m / 36)], CUBE[Math.floor(m / 6) % 6], CUBE[m % 6]]})`;
    }
    return mode === 2 ? `rgb(${[0, 0, 0].map(() => byte(codes.shift()))})` : "";
  }
  const SWITCHES = { 1: ["bold", true], 2: ["dim", true], 3: ["italic", true], 4: ["under", true], 7: ["invert", true], 23: ["italic", false], 24: ["under", false], 27: ["invert", false], 39: ["fg", ""], 49: ["bg", ""] };
  function sgr(state, text) {
    const next = { ...state }, codes = text.split(/[;:]/).map(Number);
    while (codes.length) {
      const code = codes.shift(), tens = Math.floor(code / 10), ones = code % 10;
      if (code === 0) Object.assign(next, NEUTRAL);
      else if (code === 22) next.bold = next.dim = false;
      else if (code === 38) next.fg = colour(codes, "f");
      else if (code === 48) next.bg = colour(codes, "g");
      else if (SWITCHES[code]) next[SWITCHES[code][0]] = SWITCHES[code][1];
      else if (ones < 8 && (tens === 3 || tens === 9)) next.fg = `f${ones}`;
      else if (ones < 8 && (tens === 4 || tens === 10)) next.bg = `g${ones}`;
    }
    return next;
  }
  function states(lines) {
    let state = NEUTRAL;
    return lines.map((line) => {
      const before = state;
      if (line.includes("\x1b[")) for (const [, codes] of line.matchAll(CONTROL)) if (codes !== undefined) state = sgr(state, codes);
      return before;
    });
  }
  const MOST = 4000;
  function coloured(line, before) {
    const made = [];
    let state = before, text = written(line);
    const more = text.length - MOST;
    if (more > 0) text = text.slice(0, MOST);
    const add = (part) => {
      if (!part) return;
      const css = ["bold", "dim", "italic", "under", "invert"].filter((name) => state[name]);
      const ours = [state.fg, state.bg].filter((name) => /^[fg]\d$/.test(name));
      const span = make("span", [...css, ...ours].join(" "), part);
      if (state.fg.startsWith("rgb")) span.style.color = state.fg;
      if (state.bg.startsWith("rgb")) span.style.backgroundColor = state.bg;
      made.push(span);
    };
    let at = 0;
    for (const control of text.matchAll(CONTROL)) {
      add(text.slice(at, control.index));
      at = control.index + control[0].length;
      if (control[1] !== undefined) state = sgr(state, control[1]);
    }
    add(text.slice(at));
    if (more > 0) made.push(make("span", "dim", ` … ${count(more, "more character")}`));
    return made;
  }
  const pane = get("log"), logSpace = get("log-space"), LINE = 20;
  let log = null, opened = "";
  const address = (at, which, line) => `node-${at}${which ? `-log-${which}` : ""}-line-${line}`;
  // No browser draws an element as high as a hundred million lines: of a longer log the bar stands for a part only, and
  // what is seen is counted apart from it.
  const TALLEST = 8e6;
  const tall = () => log.size() * LINE, high = () => Math.min(TALLEST, tall());
  const scale = () => (tall() <= TALLEST ? 1 : (tall() - pane.clientHeight) / (TALLEST - pane.clientHeight));
  function topOf() {
    const by = scale();
    if (by === 1) return pane.scrollTop;
    const exact = log.exact ?? -1;
    return Math.abs(exact / by - pane.scrollTop) < 1 ? exact : pane.scrollTop * by;
  }
  function moveTo(top) {
    log.exact = Math.max(0, Math.min(top, tall() - pane.clientHeight));
    pane.scrollTop = log.exact / scale();
    drawLog();
  }
  const center = (n) => moveTo(n * LINE - pane.clientHeight / 3);
  let tailed = null;
  const follow = get("follow");
  const following = () => follow.ariaPressed === "true";
  function untail() {
    tailed?.close();
    tailed = null;
  }
  function tail(mine) {
    untail();
    if (!goesOn || !mine.url) return;
    tailed = new EventSource(`${mine.url}/tail?from=${mine.index.bytes}`);
    tailed.addEventListener("grown", (event) => {
      if (log !== mine) return;
      mine.grown(JSON.parse(event.data));
      titleLog();
      if (following()) moveTo(tall());
      else drawLog();
    });
  }
  follow.onclick = () => {
    follow.ariaPressed = String(!following());
    if (log && following()) moveTo(tall());
  };
  function titleLog() {
    const many = count(log.size() - (log.cut < 0 ? 0 : 1), "line");
    const none = log.absent ? "there is none" : `the page had no room for it; executor logs ${data.run} --node ${log.node.id} prints it`;
    get("log-title").textContent = log.none ? `Log: ${none}` : `Log: ${log.title}, ${many}`;
  }
  async function openLog(node, which, line) {
    const kept = logsOf(node), one = kept[which];
    for (const id of ["log-title", "log-bar", "log"]) get(id).hidden = !one;
    if (!one) {
      opened = "";
      log = null;
      untail();
      return;
    }
    const key = `${node.at}-${which}`;
    if (opened !== key) {
      opened = key;
      const names = kept.map((each, n) => {
        const button = make("button", "", each.title);
        button.type = "button";
        button.ariaPressed = String(n === which);
        button.onclick = () => go(`node-${node.at}-log-${n}`, true);
        return button;
      });
      get("log-names").replaceChildren(...names);
      const look = get("look");
      look.hidden = which !== 0 || !node.look;
      look.textContent = `Go to line ${node.look}`;
      look.onclick = () => go(address(node.at, 0, node.look));
      const loaded = await load(one);
      if (opened !== key) return;
      log = Object.assign(loaded, { node, which, title: one.title, matches: [], match: -1, set: new Set() });
      titleLog();
      pane.scrollTop = pane.scrollLeft = 0;
      follow.hidden = !goesOn || !loaded.url || node.state !== "running";
      follow.ariaPressed = "false";
      tail(log);
      search(true);
    }
    if (!log) return;
    pane.hidden = Boolean(log.none);
    log.at = -1;
    if (line) {
      log.at = log.cut >= 0 && line > log.cut ? log.lines.findIndex((_, n) => n > log.cut && log.number(n) === line) : line - 1;
      drawLog();
      center(log.at);
    }
    drawLog();
  }
  function drawLog() {
    if (!log) return;
    logSpace.style.height = `${high()}px`;
    pane.style.height = `min(60vh, 640px, ${Math.max(2, log.size() + 1) * LINE}px)`;
    const top = topOf(), above = pane.scrollTop - top;
    const first = Math.max(0, Math.floor(top / LINE) - 20);
    const last = Math.min(log.size(), Math.ceil((top + pane.clientHeight) / LINE) + 20);
    const made = [];
    for (let n = first; n < last; n++) {
      const row = make("div", "line");
      if (n === log.cut) {
        row.className = "line gap";
        row.append(log.line(n));
      } else {
        const text = log.line(n);
        const number = make("a", "", String(log.number(n)));
        number.href = `#${address(log.node.at, log.which, log.number(n))}`;
        number.tabIndex = -1;
        row.append(number, ...(text === undefined ? [make("span", "dim", "…")] : coloured(text, log.state(n))));
        if (log.set.has(n)) row.classList.add("match");
        if (n === log.at) {
          row.classList.add("at");
          row.ariaCurrent = "true";
        }
      }
      row.style.top = `${n * LINE + above}px`;
      made.push(row);
    }
    logSpace.replaceChildren(...made);
  }
  pane.onscroll = eachFrame(drawLog);
  pane.onwheel = (event) => {
    if (event.deltaY < 0 && following()) follow.ariaPressed = "false";
    if (!log || scale() === 1 || event.ctrlKey || event.shiftKey || !event.deltaY) return;
    event.preventDefault();
    moveTo(topOf() + (event.deltaMode === 1 ? event.deltaY * LINE : event.deltaY));
  };
  pane.onkeydown = (event) => {
    if (!log || scale() === 1) return;
    const page = pane.clientHeight - LINE;
    const by = { ArrowDown: LINE, ArrowUp: -LINE, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    moveTo(topOf() + by);
  };
  const find = get("find"), found = get("found");
  function searched(quiet, more) {
    log.set = new Set(log.matches);
    log.match = -1;
    const many = `${more ? "the first " : ""}${count(log.matches.length, "line")}`;
    found.textContent = !find.value ? "" : log.matches.length ? many : "nothing found";
    drawLog();
    if (!quiet && log.matches.length) step(1);
  }
  async function search(quiet) {
    if (!log) return;
    const wanted = find.value.toLowerCase(), mine = log;
    log.matches = [];
    if (wanted && log.url) {
      found.textContent = "searching";
      const answer = await fetch(`${log.url}/find?text=${encodeURIComponent(find.value)}`);
      const { hits, more } = answer.ok ? await answer.json() : { hits: [], more: false };
      if (log !== mine || find.value.toLowerCase() !== wanted) return;
      log.matches = hits.map((hit) => hit.line);
      searched(quiet, more);
      return;
    }
    if (wanted) log.lines.forEach((line, n) => { if (n !== log.cut && plain(line).toLowerCase().includes(wanted)) log.matches.push(n); });
    searched(quiet, false);
  }
  function step(by) {
    if (!log || !log.matches.length) return;
    const many = log.matches.length;
    log.match = log.match < 0 && by < 0 ? many - 1 : (log.match + by + many) % many;
    log.at = log.matches[log.match];
    center(log.at);
    found.textContent = `${log.match + 1} of ${many}: line ${log.number(log.at)}`;
    drawLog();
  }
  find.oninput = later(() => search(false), 200);
  find.onkeydown = (event) => {
    if (event.key !== "Enter") return;
    step(event.shiftKey ? -1 : 1);
    event.preventDefault();
  };
  get("find-next").onclick = () => step(1);
  get("find-before").onclick = () => step(-1);
  get("save").onclick = () => {
    if (!log) return;
    const file = make("a");
    if (log.url) {
      file.href = log.url;
      file.download = `${log.node.id.replace(/[^\w.-]/g, "_")}.log`;
      file.click();
      return;
    }
    file.href = URL.createObjectURL(new Blob([`${log.lines.map(plain).join("\n")}\n`], { type: "text/plain" }));
    file.download = `${log.node.id.replace(/[^\w.-]/g, "_")}.log`;
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 10000);
  };

  // All logs: one after the other, so that the page stays alive.
  const MOST_HITS = 500;
  let searching = 0;
  async function everywhere() {
    const wanted = get("everywhere").value.toLowerCase(), list = get("everywhere-list"), status = get("everywhere-found");
    const mine = ++searching;
    list.replaceChildren();
    status.textContent = "";
    if (!wanted) return;
    if (served) {
      status.textContent = "searching";
      const answer = await fetch(`${served.base}/find?text=${encodeURIComponent(get("everywhere").value)}`);
      const { hits, more } = answer.ok ? await answer.json() : { hits: [], more: false };
      if (mine !== searching) return;
      list.replaceChildren(...hits.map((hit) => {
        const place = make("a", "", `${nodes[hit.node].id}:${hit.line + 1}`);
        place.href = `#${address(hit.node, 0, hit.line + 1)}`;
        return make("li", "", place, ` ${hit.text}`);
      }));
      status.textContent = count(hits.length, "line") + (more ? ", there are more" : "");
      return;
    }
    let hits = 0, rested = performance.now();
    const look = (at, which, one) => one.lines.forEach((line, n) => {
      const text = /[\x1b\r]/.test(line) ? plain(line) : line;
      if (n === one.cut || !text.toLowerCase().includes(wanted) || ++hits > MOST_HITS) return;
      const place = make("a", "", `${nodes[at].id}:${one.number(n)}`);
      place.href = `#${address(at, which, one.number(n))}`;
      list.append(make("li", "", place, ` ${plain(text).slice(0, 300)}`));
    });
    for (let from = 0; from < nodes.length; from += 64) {
      const some = nodes.slice(from, from + 64).flatMap((node) => packed(node.at).map((kept, which) => [node.at, which, kept]));
      const loaded = await Promise.all(some.map(([, , kept]) => load(kept)));
      if (mine !== searching) return;
      some.forEach(([at, which], n) => look(at, which, loaded[n]));
      if (performance.now() - rested > 50) {
        status.textContent = `${count(hits, "line")} so far, ${Math.round((100 * from) / nodes.length)} % searched`;
        await new Promise((done) => { setTimeout(done); });
        rested = performance.now();
        if (mine !== searching) return;
      }
    }
    status.textContent = count(hits, "line") + (hits > MOST_HITS ? `, the first ${MOST_HITS} are listed` : "");
  }
  get("everywhere-go").onclick = everywhere;
  get("everywhere").onkeydown = (event) => { if (event.key === "Enter") everywhere(); };

  // The graph: all of what is listed, or what is around one node.
  const MOST_BOXES = 250, SVG = "http://www.w3.org/2000/svg";
  const svg = (name, attributes, ...parts) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...parts);
    return made;
  };
  const edges = nodes.some((node) => node.after.length);
  let drawn = "";
  function around(node) {
    const chosen = new Set([node.at]);
    for (const side of ["after", "before"]) {
      let wave = [node.at];
      while (wave.length && chosen.size < MOST_BOXES) {
        const next = [];
        for (const at of wave) for (const to of nodes[at][side]) {
          if (chosen.has(to) || chosen.size >= MOST_BOXES) continue;
          chosen.add(to);
          next.push(to);
        }
        wave = next;
      }
    }
    return chosen;
  }
  function graph() {
    const note = get("graph-note"), place = get("graph");
    let chosen;
    if (!edges) {
      note.textContent = "No node of this run depends on another, as far as its plan is known.";
      return;
    }
    if (shown.length && shown.length <= MOST_BOXES) {
      chosen = new Set(shown.map((node) => node.at));
      note.textContent = `${count(chosen.size, "node")}, left to right; dashed ones prepare.`;
    } else if (current >= 0) {
      chosen = around(nodes[current]);
      note.textContent = `What ${nodes[current].id} depends on and what needs it: ${count(chosen.size, "node")}${chosen.size >= MOST_BOXES ? ", not all of them" : ""}.`;
    } else {
      note.textContent = shown.length ? `${count(shown.length, "node")} are too many to draw: choose one, or filter to ${MOST_BOXES} at most.` : "";
      place.replaceChildren();
      drawn = "";
      return;
    }
    const key = [...chosen].join();
    if (key !== drawn) {
      drawn = key;
      place.replaceChildren(layout(chosen));
    }
    const name = String(current);
    for (const box of place.querySelectorAll(".box")) {
      const chosen = box.dataset.at === name;
      if (chosen && !box.classList.contains("on")) {
        // Inside the drawing alone: the page stays where it is.
        const { x, y } = box.querySelector("rect");
        place.scrollTo(x.baseVal.value - place.clientWidth / 2, y.baseVal.value - place.clientHeight / 2);
      }
      box.classList.toggle("on", chosen);
    }
    for (const edge of place.querySelectorAll(".edge")) edge.classList.toggle("on", edge.dataset.from === name || edge.dataset.to === name);
  }
  // The longest way from a beginning, for each node; a plan has no circles.
  function columnsOf(chosen) {
    const column = new Map();
    for (const at of chosen) {
      const stack = [at];
      while (stack.length) {
        const top = stack[stack.length - 1];
        const inside = nodes[top].after.filter((to) => chosen.has(to));
        const open = inside.filter((to) => !column.has(to));
        if (open.length && !column.has(top)) {
          stack.push(...open);
          continue;
        }
        stack.pop();
        column.set(top, Math.max(-1, ...inside.map((to) => column.get(to))) + 1);
      }
    }
    return column;
  }
  function layout(chosen) {
    const WIDTH = 224, HEIGHT = 38, GAP = 64, STEP = 50;
    const column = columnsOf(chosen), columns = [], row = new Map();
    for (const at of [...chosen].sort((a, b) => a - b)) (columns[column.get(at)] ??= []).push(at);
    columns.forEach((list, c) => {
      const mean = (at) => {
        const from = nodes[at].after.filter((to) => row.has(to));
        return from.length ? from.reduce((sum, to) => sum + row.get(to), 0) / from.length : c;
      };
      const means = new Map(list.map((at) => [at, mean(at)]));
      list.sort((a, b) => means.get(a) - means.get(b) || a - b);
      list.forEach((at, n) => row.set(at, n - list.length / 2));
    });
    const tall = Math.max(...columns.map((list) => list.length));
    const x = (at) => 14 + column.get(at) * (WIDTH + GAP), y = (at) => 14 + (row.get(at) + tall / 2) * STEP;
    const lines = [], boxes = [];
    for (const at of chosen) for (const from of nodes[at].after) {
      if (!chosen.has(from)) continue;
      const [x1, y1, x2, y2] = [x(from) + WIDTH, y(from) + HEIGHT / 2, x(at), y(at) + HEIGHT / 2];
      const line = svg("path", { class: "edge", d: `M${x1} ${y1}C${x1 + GAP / 2} ${y1} ${x2 - GAP / 2} ${y2} ${x2 - 3} ${y2}`, "marker-end": "url(#tip)" });
      line.dataset.from = String(from);
      line.dataset.to = String(at);
      lines.push(line);
    }
    for (const at of columns.flat()) {
      const node = nodes[at];
      const name = node.id.length > 29 ? `${node.id.slice(0, 14)}…${node.id.slice(-14)}` : node.id;
      const box = svg("a", { class: `box o ${node.state}${node.prepare ? " prepare" : ""}`, href: `#node-${at}`, "aria-label": label(node) },
        svg("title", {}, label(node)),
        svg("rect", { x: x(at), y: y(at), width: WIDTH, height: HEIGHT, rx: 6 }),
        svg("text", { x: x(at) + 10, y: y(at) + 16 }, `${SIGNS[node.state] ?? ""} ${name}`),
        svg("text", { x: x(at) + 10, y: y(at) + 30, class: "meta" }, words(node.state) + (node.took === undefined ? "" : ` · ${time(node.took)}`)));
      box.dataset.at = String(at);
      boxes.push(box);
    }
    const wide = 28 + columns.length * (WIDTH + GAP) - GAP, high = 28 + tall * STEP;
    const tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", fill: "context-stroke" }));
    return svg("svg", { class: "drawing", width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "group", "aria-label": "Graph of the nodes" }, svg("defs", {}, tip), ...lines, ...boxes);
  }

  for (const section of document.querySelectorAll(".scripted")) if (section.id !== "detail") section.hidden = false;
  ticks();
  select();
  visit(false);

  // News of a run that goes on.
  function headline(news) {
    const title = get("outcome-of-run");
    title.textContent = news.words;
    title.className = `o ${news.state}`;
    const fact = (css, name, value) => make("div", css, make("dt", "", name), make("dd", "", value));
    const facts = news.tally.map(([word, name, many]) => fact(`o ${word}`, name, String(many)));
    if (news.took !== null) facts.unshift(fact("", "Time", time(news.took)));
    get("facts").replaceChildren(...facts);
    get("lane-list")?.replaceChildren(...news.lanes.map(([word, name, said]) =>
      make("li", `o ${word}`, make("span", "name", name), " ", make("span", "word", said))));
    document.title = document.title.replace(/^[^·]*/, `${news.words.toLowerCase()} `);
  }
  function take(fresh) {
    const node = nodes[fresh.at], before = node.before, had = logsOf(node).length, ran = node.state === "running";
    const said = JSON.stringify([node.state, node.why, node.look]);
    for (const key of Object.keys(node)) delete node[key];
    Object.assign(node, fresh);
    ready(node, fresh.at, before);
    told(node, said);
    if (node.at !== current) return;
    describe(node);
    if (logsOf(node).length !== had) {
      opened = "";
      openLog(node, 0, 0);
    } else if (ran && node.state !== "running") follow.hidden = true;
  }
  // What failed, in the order of the plan. An entry that is there stays, and the focus that may be in it, unless it says
  // something else now.
  const MOST_FAILURES = 200;
  const fails = (node) => ["failed", "timed_out", "infra_failed"].includes(node.state);
  const failure = (node) => {
    const link = (words, hash) => { const made = make("a", "", words); made.href = hash; return made; };
    const made = make("li", `o ${node.state}`, make("h3", "", link(node.id, `#node-${node.at}`), " ", make("span", "word", words(node.state))));
    made.id = `failed-${node.at}`;
    if (node.why) made.append(make("p", "", node.why));
    const advice = node.facts.find(([name]) => name === "What to do");
    if (advice) made.append(make("p", "soft", advice[1]));
    if (node.excerpt) {
      made.append(make("pre", "", ...node.excerpt.flatMap(([number, line]) => [make("span", "n", String(number)), `${line}\n`])));
      made.append(make("p", "", link(`Log, line ${node.look}`, `#node-${node.at}-line-${node.look}`)));
    }
    return made;
  };
  const place = (entry) => Number(entry.id.slice("failed-".length));
  function told(node, before) {
    const there = get(`failed-${node.at}`), list = get("failures");
    if (!fails(node)) return there?.remove();
    if (there && before === JSON.stringify([node.state, node.why, node.look])) return;
    if (there) return there.replaceWith(failure(node));
    const next = [...list.children].find((entry) => place(entry) > node.at);
    if (!next && list.children.length >= MOST_FAILURES) return;
    list.insertBefore(failure(node), next ?? null);
    if (list.children.length > MOST_FAILURES) list.lastElementChild.remove();
  }
  function tellFailures() {
    const many = nodes.filter(fails).length, more = many - get("failures").children.length;
    get("failures").parentElement.hidden = many === 0;
    get("failures-more").hidden = more <= 0;
    get("failures-more").textContent = `${more} more failed: filter the nodes below by outcome.`;
  }
  if (goesOn) {
    const say = (text) => { if (get("live").textContent !== text) get("live").textContent = text; };
    const source = new EventSource(`${served.base}/events?since=${served.news}`);
    source.onopen = () => say("Live.");
    source.onerror = () => say("The server does not answer; what is shown may be old.");
    source.addEventListener("nodes", (event) => {
      for (const fresh of JSON.parse(event.data)) take(fresh);
      tellFailures();
      drawn = "";
      offer();
      measure();
      ticks();
      select(true);
    });
    source.addEventListener("head", (event) => headline(JSON.parse(event.data)));
    const clock = setInterval(() => {
      if (document.hidden) return;
      measure();
      ticks();
      draw();
    }, 1000);
    source.addEventListener("over", () => {
      source.close();
      clearInterval(clock);
      goesOn = false;
      measure();
      draw();
      const again = make("a", "", "Show it whole");
      again.href = location.pathname;
      get("live").replaceChildren("The run is over. ", again);
      // What was written last is still to come.
      setTimeout(untail, 3000);
    });
  }
})();
