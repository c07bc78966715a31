"use strict";
// Keeps the list of runs and the list of hosts as they are now. Foreign text is put on the page as text alone.
(() => {
  const get = (id) => document.getElementById(id);
  const make = (name, css, ...parts) => {
    const made = document.createElement(name);
    if (css) made.className = css;
    made.append(...parts.filter((part) => part !== ""));
    return made;
  };
  const two = (n) => String(n).padStart(2, "0");
  const time = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s}.${Math.floor((ms % 1000) / 100)}s`;
    if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
    return `${Math.floor(s / 3600)}h ${two(Math.floor(s / 60) % 60)}m`;
  };
  const status = get("live");
  const say = (text) => { if (status && status.textContent !== text) status.textContent = text; };

  const rows = get("runs");
  if (rows) {
    const several = rows.dataset.several === "yes";
    const row = (run) => {
      const link = make("a", "id", run.run_id);
      link.href = run.at;
      const meter = make("span", "meter", make("span"));
      meter.ariaHidden = "true";
      meter.firstChild.style.width = `${(100 * run.over) / Math.max(1, run.nodes)}%`;
      const took = make("td", "number", run.took === null ? "" : time(run.took));
      if (run.outcome === "running") took.dataset.since = run.started_at;
      const made = make("tr", `o ${run.outcome}`,
        make("td", "", make("span", "word", run.words)),
        make("td", "name", link, run.damaged ? make("div", "soft", run.damaged) : "", several ? make("div", "soft small", run.state_dir) : ""),
        make("td", "more", meter, ` ${run.over} of ${run.nodes}`),
        make("td", "", run.lanes.map((lane) => `${lane[2]} ${lane[1]}`).join(", ")),
        make("td", "more", run.started_at.replace("T", " ").replace(/\.\d+Z$/, "")),
        took);
      made.dataset.at = run.at;
      made.dataset.text = JSON.stringify(run);
      return made;
    };
    // A row that is there stays, and its link with the focus that may be on it; what changed is put into it.
    const refresh = (old, fresh) => {
      old.className = fresh.className;
      old.dataset.text = fresh.dataset.text;
      [...fresh.children].forEach((cell, at) => {
        if (!cell.isEqualNode(old.children[at])) old.children[at].replaceWith(cell);
      });
    };
    const show = (runs) => {
      const known = new Map([...rows.children].map((each) => [each.dataset.at, each]));
      let before = null;
      for (const run of runs) {
        let each = known.get(run.at);
        if (!each) {
          each = row(run);
          if (before) before.after(each);
          else rows.prepend(each);
        } else if (each.dataset.text !== JSON.stringify(run)) {
          refresh(each, row(run));
        }
        before = each;
      }
      get("none").hidden = rows.children.length > 0;
    };
    const tick = () => {
      for (const cell of rows.querySelectorAll("[data-since]")) cell.textContent = time(Date.now() - Date.parse(cell.dataset.since));
    };
    setInterval(tick, 1000);
    tick();
    const news = new EventSource("/events");
    news.addEventListener("runs", (event) => { show(JSON.parse(event.data)); tick(); });
    news.onopen = () => say("Live.");
    news.onerror = () => say("The server does not answer; what is shown may be old.");
  }

  const machines = get("machines");
  if (machines) {
    let shown = "";
    const line = (css, what, words) => make("li", css, make("span", "what", what), make("span", "", words));
    const load = async () => {
      try {
        const answer = await fetch("/hosts.json");
        const text = await answer.text();
        if (!answer.ok) throw new Error(text);
        say("Live.");
        if (text === shown) return;
        shown = text;
        machines.replaceChildren(...JSON.parse(text).map((machine) => {
          const list = make("ul", "standing");
          list.ariaLabel = `Places and groups of ${machine.machine}`;
          if (machine.error) list.append(line("o dead", "not known", machine.error));
          for (const [what, state, words] of machine.locks) list.append(line(`o ${state}`, what, words));
          for (const [what, words] of machine.waiters) list.append(line("o waits", `waits for ${what}`, words));
          if (!list.children.length) list.append(line("o free", "nothing is held", ""));
          return make("section", "", make("h2", "", machine.machine === "local" ? "This machine" : machine.machine), list);
        }));
      } catch (error) {
        say("The server does not answer; what is shown may be old.");
      }
    };
    const again = async () => { if (!document.hidden) await load(); setTimeout(again, 2000); };
    again();
  }
})();
