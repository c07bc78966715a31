// Compares the lanes that `planner import github` made in a clone with what its workflows say; prints one row.
// node compare.mjs VALIDATORS CLONE MILLISECONDS NAME [--more]
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { reference } from "./reference.mjs";

const [, , validators, clone, took, name, more] = process.argv;
const draws = 96;
const git = (...words) =>
    execFileSync("git", ["-C", clone, ...words], { encoding: "utf8", maxBuffer: 1 << 30 });
const texts = new Map();
const tree = new Set(git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0"));
const read = (path) => {
    if (!texts.has(path)) texts.set(path, tree.has(path) ? git("show", `HEAD:${path}`) : undefined);
    return texts.get(path);
};

// The lane of each job, and the lines above lane and job that say something of it.
function imported() {
    const jobs = new Map();
    const notes = new Map();
    const block = (file, starts, use) => {
        let above = [];
        let now;
        for (const line of readFileSync(`${clone}/ci/${file}`, "utf8").split("\n")) {
            if (line.startsWith("#")) above.push(line);
            else if (line.startsWith("[[")) (now = { kind: line, above }), (above = []);
            else if (line === "") above = [];
            const pair = /^(id|target) = "(.*)"$/.exec(line);
            if (pair && starts.test(now?.kind ?? "")) use(now, pair[1], pair[2]);
        }
    };
    let target;
    block("catalog.toml", /targets/, (now, key, value) => {
        if (key !== "id") return;
        if (now.kind === "[[targets]]") target = value;
        else if (!jobs.has(value)) jobs.set(value, { target, above: now.above });
    });
    block("forge-lanes.toml", /lanes/, (now, key, value) => {
        if (key === "target") notes.set(value, [...(notes.get(value) ?? []), ...now.above.slice(1)]);
    });
    return { jobs, notes };
}

// Ids are the name in plain signs.
const plain = (text) => {
    const words = text.split(/[^A-Za-z0-9_]+/).filter(Boolean).join("-").replace(/^_+|_+$/g, "");
    return words.slice(0, 48).replace(/^[-_]+|[-_]+$/g, "") || "lane";
};

const { workflow, mayRun } = await reference(validators, read);
const workflows = [];
for (const path of [...tree].sort()) {
    if (!/^\.github\/workflows\/[^/]+\.ya?ml$/.test(path)) continue;
    const found = workflow(path, read(path));
    if (found) workflows.push(found);
}
const { jobs, notes } = imported();
// What is planned, a member of a matrix as the job that has the matrix: the longest id that it begins with.
const written = (id) => {
    if (jobs.has(id)) return id;
    const known = [...jobs.keys()].filter((it) => id.startsWith(`${it}-`));
    return known.sort((a, b) => b.length - a.length)[0] ?? id;
};
const ids = new Map();
let ambiguous = 0;
for (const flow of workflows) {
    const stem = flow.file.split("/").pop().replace(/(\.yml)+$/, "").replace(/(\.yaml)+$/, "");
    for (const job of flow.jobs) {
        const id = plain(`${stem}-${job.key}`);
        job.imported = id;
        ids.set(id, (ids.get(id) ?? 0) + 1);
    }
}
const plans = JSON.parse(readFileSync(`${clone}/plans.json`, "utf8"));
const changes = new Map();
let now;
const log = git("log", "-z", `-n${plans.commits.length + 50}`, "--first-parent", "-m", "--raw", "--no-renames", "--no-abbrev", "--format=%x01%H", "HEAD");
const fields = log.split("\0");
for (let at = 0; at < fields.length; at++) {
    const field = fields[at].replace(/^\n/, "");
    if (field.startsWith("\x01")) changes.set(field.slice(1).trim(), (now = []));
    else if (field.startsWith(":")) now.push({ status: field.split(" ")[4][0], path: fields[++at] });
}

const total = { decisions: 0, fewer: 0, equal: 0, more: 0, unsaid: 0 };
const shown = new Map();
for (const commit of plans.commits) {
    const change = changes.get(commit.commit);
    if (!change?.length) continue;
    const planned = new Set(commit.jobs.map(written));
    for (const flow of workflows) {
        const may = mayRun(flow, change, draws);
        for (const job of flow.jobs) {
            if (ids.get(job.imported) > 1) {
                ambiguous += 1;
                continue;
            }
            total.decisions += 1;
            const [there, here] = [may.has(job), planned.has(job.imported)];
            const known = jobs.get(job.imported);
            const said = known && [...(notes.get(known.target) ?? []), ...known.above];
            if (there === here) total.equal += 1;
            else if (there) total.fewer += 1;
            else (total.more += 1), said?.length || (total.unsaid += 1);
            if (there !== here) {
                const key = `${there ? "FEWER" : "more"} ${flow.file} ${job.key} (${job.imported}${known ? "" : ", not there"})`;
                const entry = shown.get(key) ?? { count: 0, commit: commit.commit, said };
                entry.count += 1;
                shown.set(key, entry);
            }
        }
    }
}
for (const [key, { count, commit, said }] of shown)
    if (key.startsWith("FEWER") || more)
        console.log(`    ${key}: ${count}, as in ${commit.slice(0, 12)}${key.startsWith("more") ? `\n        ${(said ?? []).join("\n        ")}` : ""}`);
const filters = workflows.filter((flow) => flow.filtered).length;
const lists = workflows.reduce((sum, flow) => sum + flow.lists, 0);
const row = [name, workflows.length, filters, lists, plans.commits.length, total.decisions, total.fewer, total.equal, total.more, total.unsaid, `${took} ms`];
console.log(`| ${row.join(" | ")} |`);
if (ambiguous) console.log(`    ${ambiguous} decisions left out: two jobs have one id`);
process.exit(total.fewer ? 1 : 0);
