// When a page is first painted and when its rows are there, in a headless Chromium. Called by scripts/bench/serve:
// node paint.cjs URL
"use strict";
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

const profile = mkdtempSync(join(tmpdir(), "paint."));
const words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
const browser = spawn("chromium", words, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const waiting = new Map();
let last = 0, rest = "";
browser.stdio[4].on("data", (some) => {
  const parts = (rest + some).split("\0");
  rest = parts.pop();
  for (const { id, result } of parts.map((part) => JSON.parse(part))) waiting.get(id)?.(result);
});
const ask = (method, params = {}, sessionId) => new Promise((answer) => {
  waiting.set(++last, answer);
  browser.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
});
const PAINT = `(async () => {
  while (!document.querySelector("#rows [role=option]")) await new Promise((next) => setTimeout(next, 10));
  const rows = performance.now();
  let paint;
  while (!(paint = performance.getEntriesByName("first-contentful-paint")[0])) await new Promise((next) => setTimeout(next, 10));
  return "first paint: " + Math.round(paint.startTime) + " ms, rows of nodes there after " + Math.round(rows) + " ms";
})()`;
(async () => {
  const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true });
  await ask("Page.navigate", { url: process.argv[2] }, sessionId);
  const { result } = await ask("Runtime.evaluate", { expression: PAINT, awaitPromise: true, returnByValue: true }, sessionId);
  console.log(result.value);
  browser.kill();
})();
browser.on("exit", () => rmSync(profile, { recursive: true, force: true }));
setTimeout(() => browser.kill(), 120000).unref();
