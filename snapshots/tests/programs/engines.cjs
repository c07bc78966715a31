// Plays the three engines for exported pipelines: order, conditions, artifacts and scripts, each job
// in a clone of its own, as an agent would have it. Called by exported.rs:
//   node engines.cjs ENGINE PIPELINE.json REPOSITORY WORK
// Prints { job: "success" | "failure" | "skipped" }. Knows what the exports use, and fails on the rest.
"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const [engine, file, repository, work] = process.argv.slice(2);
const pipeline = JSON.parse(fs.readFileSync(file, "utf8"));
const kept = (name) => path.join(work, "artifacts", name);
const results = {};

function run(script, cwd, env = {}) {
  const ran = spawnSync("bash", ["-eo", "pipefail", "-c", script], { cwd, env: { ...process.env, ...env }, encoding: "utf8" });
  process.stderr.write(`$ ${script}\n${ran.stdout}${ran.stderr}`);
  return ran.status === 0;
}
function must(condition, what) {
  if (!condition) throw new Error(what);
}
function agent(job) {
  const dir = path.join(work, "agents", job.replace(/[^\w.-]/g, "_"));
  must(run(`git clone -q '${repository}' '${dir}'`, "/"), "a clone");
  return dir;
}
function copy(from, to) {
  if (!fs.existsSync(from)) return;
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.cpSync(from, to, { recursive: true });
}
/// Calls `play` for each job once everything that it waits for is over.
function inOrder(jobs, waitsFor, play) {
  const left = new Map(Object.entries(jobs));
  while (left.size) {
    const ready = [...left].find(([, job]) => waitsFor(job).every((name) => !left.has(name)));
    must(ready, "a circle");
    left.delete(ready[0]);
    results[ready[0]] = play(...ready);
  }
}

function github() {
  const outputs = {};
  inOrder(pipeline.jobs, (job) => job.needs ?? [], (name, job) => {
    const steps = {}, needs = {};
    for (const other of job.needs ?? []) needs[other] = { result: results[other], outputs: outputs[other] ?? {} };
    const value = (expression) => {
      const js = expression.replace(/\b(needs|steps)\.([\w-]+)/g, '$1["$2"]');
      const all = Object.values(needs).every((one) => one.result === "success");
      const known = { needs, steps, contains: (text, part) => text.includes(part), always: () => true, cancelled: () => false, success: () => all, failure: () => !all };
      return new Function(...Object.keys(known), `return (${js});`)(...Object.values(known));
    };
    const text = (from) => String(from).replace(/\$\{\{(.*?)\}\}/g, (_, expression) => value(expression) ?? "");
    if (!value(job.if ?? "success()")) return "skipped";
    const dir = path.join(work, "agents", name);
    fs.mkdirSync(dir, { recursive: true });
    let fine = true;
    for (const step of job.steps) {
      if (!fine && step.if !== "always()") continue;
      const action = step.uses?.split("@")[0];
      if (action === "actions/checkout") must(run(`git clone -q '${repository}' .`, dir), "a checkout");
      else if (action === "actions/upload-artifact") copy(path.join(dir, step.with.path), path.join(kept(step.with.name), path.basename(step.with.path)));
      else if (action === "actions/download-artifact") copy(kept(step.with.name), path.join(dir, step.with.path));
      else {
        must(step.run, `what is ${JSON.stringify(step)}?`);
        const env = { GITHUB_OUTPUT: path.join(work, `${name}.output`) };
        for (const [key, from] of Object.entries(step.env ?? {})) env[key] = text(from);
        fs.writeFileSync(env.GITHUB_OUTPUT, "");
        fine = run(text(step.run), dir, env) && fine;
        const said = fs.readFileSync(env.GITHUB_OUTPUT, "utf8").trim().split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
        if (step.id) steps[step.id] = { outputs: Object.fromEntries(said) };
      }
    }
    outputs[name] = Object.fromEntries(Object.entries(job.outputs ?? {}).map(([key, from]) => [key, text(from)]));
    return fine ? "success" : "failure";
  });
}

function gitlab() {
  const jobs = {};
  for (const [name, job] of Object.entries(pipeline)) {
    if (name.startsWith(".") || ["workflow", "stages"].includes(name)) continue;
    jobs[name] = { ...(job.extends ? pipeline[job.extends] : {}), ...job };
  }
  const inside = (job) => (job.needs ?? []).map((need) => (typeof need === "string" ? { job: need, artifacts: true } : need));
  const waitsFor = (job) => inside(job).filter((need) => !need.pipeline).map((need) => need.job);
  inOrder(jobs, waitsFor, (name, job) => {
    const when = job.rules?.[0]?.when ?? "on_success";
    if (when !== "always" && !waitsFor(job).every((other) => results[other] === "success")) return "skipped";
    const dir = agent(name);
    for (const need of inside(job)) if (need.pipeline || need.artifacts) copy(kept(need.job), dir);
    const fine = run([].concat(job.script).join("\n"), dir);
    for (const one of job.artifacts?.paths ?? []) copy(path.join(dir, one), path.join(kept(name), one));
    return fine ? "success" : "failure";
  });
}

function buildkite() {
  const bin = path.join(work, "bin");
  fs.mkdirSync(bin, { recursive: true });
  fs.writeFileSync(path.join(bin, "buildkite-agent"), `#!/bin/sh
case "$1 $2" in
"artifact download") cp '${kept("plan")}'/"$3" "$4" ;;
"step get") cat '${work}/outcome-'"$5" ;;
*) echo "unknown: $*" >&2; exit 9 ;;
esac
`, { mode: 0o755 });
  const steps = Object.fromEntries(pipeline.steps.map((step) => [step.key ?? step.label, step]));
  const waits = (step) => (step.depends_on ?? []).map((one) => (typeof one === "string" ? { step: one } : one));
  inOrder(steps, (step) => waits(step).map((one) => one.step), (name, step) => {
    const done = waits(step).every((one) => one.allow_failure || results[one.step] === "success");
    let result = "skipped";
    if (done) {
      const command = [].concat(step.command).join("\n").replaceAll("$$", "$");
      result = run(command, agent(name), { PATH: `${bin}:${process.env.PATH}` }) ? "success" : "failure";
    }
    fs.writeFileSync(path.join(work, `outcome-${name.replaceAll(" ", "-")}`), { success: "passed", failure: "hard_failed", skipped: "" }[result]);
    return result;
  });
}

({ github, gitlab, buildkite })[engine]();
process.stdout.write(JSON.stringify(results));
