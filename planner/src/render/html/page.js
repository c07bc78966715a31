"use strict";
(() => {
  const graph = document.querySelector(".graph");
  const boxes = new Map(), before = new Map(), after = new Map();
  const arrows = [...document.querySelectorAll(".arrow")];
  const push = (map, key, value) => map.has(key) ? map.get(key).push(value) : map.set(key, [value]);
  document.querySelectorAll(".box").forEach((box) => boxes.set(box.dataset.box, box));
  arrows.forEach((arrow) => {
    push(before, arrow.dataset.to, arrow.dataset.from);
    push(after, arrow.dataset.from, arrow.dataset.to);
  });
  const closure = (start, next) => {
    const seen = new Set([start]), todo = [start];
    while (todo.length) for (const id of next.get(todo.pop()) ?? [])
      if (!seen.has(id)) { seen.add(id); todo.push(id); }
    return seen;
  };
  const show = (on) => {
    if (!graph) return;
    graph.classList.toggle("dim", on !== null);
    boxes.forEach((box, id) => box.classList.toggle("on", on !== null && on.has(id)));
    arrows.forEach((arrow) => arrow.classList.toggle("on",
      on !== null && on.has(arrow.dataset.from) && on.has(arrow.dataset.to)));
  };
  const pressed = () => document.querySelector("button[aria-pressed=true]");
  const lane = (button) => new Set(button.dataset.boxes.split(" ").filter(Boolean));
  const rest = () => { const button = pressed(); show(button ? lane(button) : null); };
  boxes.forEach((box, id) => {
    const enter = () => show(new Set([...closure(id, before), ...closure(id, after)]));
    box.addEventListener("mouseenter", enter);
    box.addEventListener("mouseleave", rest);
    box.addEventListener("focus", enter);
    box.addEventListener("blur", rest);
    box.addEventListener("keydown", (event) => {
      const column = [...boxes.values()].filter((it) => it.dataset.column === box.dataset.column);
      const at = column.indexOf(box);
      const to = {
        ArrowLeft: () => boxes.get((before.get(id) ?? [])[0]),
        ArrowRight: () => boxes.get((after.get(id) ?? [])[0]),
        ArrowUp: () => column[at - 1],
        ArrowDown: () => column[at + 1],
      }[event.key];
      if (!to) return;
      event.preventDefault();
      to()?.focus();
    });
  });
  document.querySelectorAll("button[data-boxes]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      pressed()?.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      rest();
      if (on) document.getElementById("graph")?.scrollIntoView({ block: "nearest" });
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pressed()?.setAttribute("aria-pressed", "false");
    rest();
  });
  const open = () => {
    const node = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (node?.matches("details")) { node.open = true; node.scrollIntoView({ block: "center" }); }
  };
  addEventListener("hashchange", open);
  open();
  document.querySelectorAll("input[data-filters]").forEach((input) => {
    input.hidden = false;
    const rows = [...document.querySelectorAll(input.dataset.filters)];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const status = document.getElementById(input.dataset.status);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        if (!row.hidden) found += 1;
      });
      status.textContent = words.length ? `${found} of ${rows.length}` : "";
    });
  });
})();
