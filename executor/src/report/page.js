"use strict";
// Draws the nodes, the graph and the logs from the data blocks. Foreign text is put on the page as
// text nodes and attribute values alone; no markup is ever made of it.
(() => {
  const get = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(get(id).textContent);
  const make = (name, css, ...parts) => {
    const made = document.createElement(name);
    if (css) made.className = css;
    made.append(...parts);
    return made;
  };
  const data = read("data"), packed = read("packed"), nodes = data.nodes;
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
  nodes.forEach((node, at) => {
    node.at = at;
    node.after ??= [];
    node.phases ??= [];
    node.earlier ??= [];
    node.before = [];
    node.text = [node.id, node.why ?? "", ...node.facts.map((fact) => fact[1])].join("\n").toLowerCase();
  });
  for (const node of nodes) for (const at of node.after) nodes[at].before.push(node.at);
  let end = Math.max(1, data.took ?? 0);
  for (const node of nodes) if (node.began !== undefined) end = Math.max(end, node.began + (node.took ?? 0));

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
  function select() {
    const wanted = filter.value.trim().toLowerCase();
    shown = nodes.filter((node) => (!outcome.value || node.state === outcome.value) && (!wanted || node.text.includes(wanted)));
    shown.sort(orders[order.value]);
    get("count").textContent = shown.length === nodes.length ? count(nodes.length, "node") : `${shown.length.toLocaleString("en")} of ${count(nodes.length, "node")}`;
    rows.scrollTop = 0;
    draw();
    graph();
  }
  for (const state of new Set(nodes.map((node) => node.state))) {
    const option = make("option", "", words(state));
    option.value = state;
    outcome.append(option);
  }
  const used = new Set(nodes.flatMap((node) => node.phases.filter((phase) => phase[1] > 0).map((phase) => phase[0])));
  if (nodes.some((node) => node.earlier.length)) get("legend").append(make("li", "", make("span", "swatch earlier o failed"), "an earlier attempt"));
  for (const name of NAMES) if (used.has(name)) get("legend").append(make("li", "", make("span", `swatch ${phaseCss(name)}`), meaning(name)));
  filter.oninput = later(select);
  outcome.onchange = order.onchange = select;
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
    if (node.after.length) fact("Depends on", links(node.after));
    if (node.before.length) fact("Needed by", links(node.before));
    get("about").replaceChildren(list);
  }

  // Logs: unpacked when they are looked at.
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
    if (kept.head === undefined) return { lines: [], cut: -1, none: true, number };
    const head = split(await unpack(kept.head));
    if (!kept.tail) return { lines: head, cut: -1, number };
    const jump = kept.lines ?? 0, cut = head.length;
    const note = `${count(kept.bytes ?? 0, "byte")} left out here: ${count(jump, "line")}`;
    const lines = [...head, note, ...split(await unpack(kept.tail))];
    return { lines, cut, number: (n) => (n < cut ? n + 1 : n + jump) };
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
  const center = (n) => { pane.scrollTop = Math.max(0, n * LINE - pane.clientHeight / 3); };
  async function openLog(node, which, line) {
    const kept = packed[node.at] ?? [], one = kept[which];
    for (const id of ["log-title", "log-bar", "log"]) get(id).hidden = !one;
    if (!one) {
      opened = "";
      log = null;
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
      log = { ...loaded, node, which, states: states(loaded.lines), matches: [], match: -1, set: new Set() };
      get("log-title").textContent = loaded.none
        ? `Log: the page had no room for it; executor logs ${data.run} --node ${node.id} prints it`
        : `Log: ${one.title}, ${count(loaded.lines.length - (loaded.cut < 0 ? 0 : 1), "line")}`;
      pane.scrollTop = pane.scrollLeft = 0;
      search(true);
    }
    if (!log) return;
    pane.hidden = Boolean(log.none);
    log.at = -1;
    if (line) {
      log.at = log.cut >= 0 && line > log.cut ? log.lines.findIndex((_, n) => n > log.cut && log.number(n) === line) : line - 1;
      center(log.at);
    }
    drawLog();
  }
  function drawLog() {
    if (!log) return;
    logSpace.style.height = `${log.lines.length * LINE}px`;
    pane.style.height = `min(60vh, 640px, ${Math.max(2, log.lines.length + 1) * LINE}px)`;
    const first = Math.max(0, Math.floor(pane.scrollTop / LINE) - 20);
    const last = Math.min(log.lines.length, Math.ceil((pane.scrollTop + pane.clientHeight) / LINE) + 20);
    const made = [];
    for (let n = first; n < last; n++) {
      const row = make("div", "line");
      if (n === log.cut) {
        row.className = "line gap";
        row.append(log.lines[n]);
      } else {
        const number = make("a", "", String(log.number(n)));
        number.href = `#${address(log.node.at, log.which, log.number(n))}`;
        number.tabIndex = -1;
        row.append(number, ...coloured(log.lines[n], log.states[n]));
        if (log.set.has(n)) row.classList.add("match");
        if (n === log.at) {
          row.classList.add("at");
          row.ariaCurrent = "true";
        }
      }
      row.style.top = `${n * LINE}px`;
      made.push(row);
    }
    logSpace.replaceChildren(...made);
  }
  pane.onscroll = eachFrame(drawLog);
  const find = get("find"), found = get("found");
  function search(quiet) {
    if (!log) return;
    const wanted = find.value.toLowerCase();
    log.matches = [];
    if (wanted) log.lines.forEach((line, n) => { if (n !== log.cut && plain(line).toLowerCase().includes(wanted)) log.matches.push(n); });
    log.set = new Set(log.matches);
    log.match = -1;
    found.textContent = !wanted ? "" : log.matches.length ? count(log.matches.length, "line") : "nothing found";
    drawLog();
    if (!quiet && log.matches.length) step(1);
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
    let hits = 0, rested = performance.now();
    const look = (at, which, one) => one.lines.forEach((line, n) => {
      const text = /[\x1b\r]/.test(line) ? plain(line) : line;
      if (n === one.cut || !text.toLowerCase().includes(wanted) || ++hits > MOST_HITS) return;
      const place = make("a", "", `${nodes[at].id}:${one.number(n)}`);
      place.href = `#${address(at, which, one.number(n))}`;
      list.append(make("li", "", place, ` ${plain(text).slice(0, 300)}`));
    });
    for (let from = 0; from < nodes.length; from += 64) {
      const some = nodes.slice(from, from + 64).flatMap((node) => (packed[node.at] ?? []).map((kept, which) => [node.at, which, kept]));
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
})();
