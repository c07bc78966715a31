// What the workflows of a tree say of a change: which of their jobs may run. Knows nothing of the importer.
//
// Lists are asked of picomatch as the action does, expressions of GitHub's own evaluator, `paths` of a matcher
// written after GitHub's documentation. What a change does not decide is drawn by lot, again and again; a job
// may run if it ran once.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export async function reference(validators, read) {
    const require = createRequire(`${validators}/node_modules/`);
    const load = (file) => import(pathToFileURL(`${validators}/node_modules/${file}`).href);
    const { Parser, Lexer, Evaluator, data } = await load("@actions/expressions/dist/index.js");
    const ast = await load("@actions/expressions/dist/ast.js");
    const picomatch = require("picomatch");
    const YAML = require("yaml");

    // A file that is no YAML, one key twice included, starts nothing.
    const parse = (text) => {
        try {
            return YAML.parse(text, { merge: true, logLevel: "error", maxAliasCount: -1 });
        } catch {
            return undefined;
        }
    };
    const listed = (value) => (value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]);
    const text = (value) => (value === undefined || value === null ? "" : String(value));

    // GitHub's "filter pattern cheat sheet".
    function documented(pattern) {
        const plain = (sign) => sign.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
        let out = "";
        for (let at = 0; at < pattern.length; ) {
            if (pattern.startsWith("**/", at)) (out += "(?:.*/)?"), (at += 3);
            else if (pattern.startsWith("**", at)) (out += ".*"), (at += 2);
            else if (pattern[at] === "*") (out += "[^/]*"), (at += 1);
            else if ("?+".includes(pattern[at]) && at > 0) (out += pattern[at]), (at += 1);
            else if (pattern[at] === "[" && pattern.includes("]", at)) {
                const end = pattern.indexOf("]", at);
                const inside = pattern.slice(at + 1, end).replace(/[\\^[]/g, "\\$&");
                (out += inside ? `[${inside}]` : "(?!)"), (at = end + 1);
            } else if (pattern[at] === "\\" && at + 1 < pattern.length) (out += plain(pattern[at + 1])), (at += 2);
            else (out += plain(pattern[at])), (at += 1);
        }
        return new RegExp(`^${out}$`, "su");
    }

    const compiled = new Map();
    const cached = (key, make) => {
        if (!compiled.has(key)) compiled.set(key, make());
        return compiled.get(key);
    };
    const githubMatch = (pattern, path) => cached(`g ${pattern}`, () => documented(pattern)).test(path);
    const picoMatch = (pattern, path) => cached(`p ${pattern}`, () => picomatch(pattern, { dot: true }))(path);

    function started(filter, changes) {
        const paths = filter?.paths;
        const ignored = filter?.["paths-ignore"];
        if (paths === undefined && ignored === undefined) return true;
        return changes.some(({ path }) => {
            let yes = paths === undefined;
            for (const pattern of listed(paths ?? ignored).map(text)) {
                const negative = pattern.startsWith("!");
                if (githubMatch(negative ? pattern.slice(1) : pattern, path))
                    yes = paths === undefined ? negative : !negative;
            }
            return yes;
        });
    }

    // A step of paths-filter: each list with its rules; nothing where the lists are not known.
    function listStep(step) {
        const uses = text(step?.uses).split("@")[0].toLowerCase();
        let filters = step?.with?.filters;
        if (!uses.includes("paths-filter") || filters === undefined) return undefined;
        filters = text(filters);
        if (!/[\n:]/.test(filters.trim())) filters = read(filters.trim().replace(/^\.\//, ""));
        if (filters === undefined || filters === null) return { lists: undefined };
        const rules = (value) =>
            listed(value).flatMap((entry) => {
                if (Array.isArray(entry)) return rules(entry);
                if (entry && typeof entry === "object")
                    return Object.entries(entry).flatMap(([kinds, patterns]) =>
                        listed(patterns).flat(9).map((pattern) => ({
                            kinds: kinds.split("|").map((kind) => kind.trim().toLowerCase()),
                            pattern: text(pattern),
                        })));
                return [{ pattern: text(entry) }];
            });
        const lists = new Map();
        for (const [name, value] of Object.entries(parse(filters) ?? {})) lists.set(name, rules(value));
        return {
            lists,
            every: step.with["predicate-quantifier"] === "every",
            files: text(step.with["list-files"] ?? "none"),
        };
    }
    const kinds = { A: "added", M: "modified", D: "deleted" };
    function hits(step, rules, changes) {
        const one = ({ path, status }) => (rule) =>
            (rule.kinds === undefined || rule.kinds.includes(kinds[status])) && picoMatch(rule.pattern, path);
        return changes.filter((change) => (step.every ? rules.every(one(change)) : rules.some(one(change)))).length;
    }

    // The jobs of a workflow with those of the workflows of the tree that it calls.
    function collect(root, caller, jobs, depth) {
        const own = [];
        for (const [id, yaml] of Object.entries(root.jobs ?? {})) {
            const key = caller ? `${caller.key}/${id}` : id;
            const job = { id, key, yaml: yaml ?? {}, caller, steps: new Map(), called: undefined, root };
            jobs.push(job), own.push(job);
        }
        for (const job of own) {
            job.needs = listed(job.yaml.needs).map((name) => own.find((it) => it.id === text(name))).filter(Boolean);
            for (const step of listed(job.yaml.steps)) {
                if (step?.id) job.steps.set(text(step.id), step);
            }
            const path = text(job.yaml.uses);
            if (!path.startsWith("./") || depth > 3) continue;
            const other = read(path.slice(2));
            if (other === undefined) continue;
            const parsed = parse(other);
            job.call = parsed?.on?.workflow_call ?? {};
            job.called = collect(parsed, job, jobs, depth + 1);
        }
        return own;
    }

    // An action of the tree that is made of steps.
    function composite(uses) {
        if (!text(uses).startsWith("./")) return undefined;
        const folder = text(uses).slice(2).replace(/\/$/, "");
        const found = [`${folder}/action.yml`, `${folder}/action.yaml`].map(read).find((it) => it !== undefined);
        const parsed = found === undefined ? undefined : parse(found);
        return parsed?.runs?.using === "composite" ? parsed : undefined;
    }

    const expressions = new Map();
    const functions = ["success", "failure", "always", "cancelled", "hashfiles"];
    const contexts = ["github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs"];
    function expression(written) {
        if (!expressions.has(written)) {
            let found;
            try {
                const info = functions.map((name) => ({ name, minArgs: 0, maxArgs: 255 }));
                found = new Parser(new Lexer(written).lex().tokens, contexts, info).parse();
            } catch {
                found = undefined;
            }
            expressions.set(written, found);
        }
        return expressions.get(written);
    }
    const condition = (written) => {
        const whole = /^\s*\$\{\{([\s\S]*)\}\}\s*$/.exec(written);
        return expression(whole && !whole[1].includes("}}") ? whole[1] : written);
    };
    const asksStatus = (written) => /\b(success|failure|always|cancelled)\s*\(/i.test(written);

    // One drawing of lots: what a change and a run do not decide.
    class Lot {
        constructor(workflow, seed) {
            Object.assign(this, { workflow, state: seed * 7919 + 17, known: new Map(), jobs: new Map() });
            this.event = workflow.events[this.below(workflow.events.length)];
        }
        below(limit) {
            this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
            return Math.floor((this.state / 4294967296) * limit);
        }
        draw(key) {
            if (!this.known.has(key)) this.known.set(key, this.workflow.words[this.below(this.workflow.words.length)]);
            return this.known.get(key);
        }
        drawn(key) {
            if (key.includes("*"))
                return new data.Array(...[0, 1].slice(this.below(3)).map((at) => new data.StringData(this.draw(`${key} ${at}`))));
            return new data.StringData(this.draw(key));
        }
        stepOutput(scope, id, name) {
            const step = scope.steps.get(id);
            if (step === undefined) return "";
            if (step.if !== undefined && !this.truth(text(step.if), { ...scope, step: true })) return "";
            const inside = cachedStep(step);
            if (inside.action) {
                const output = inside.action.outputs?.[name]?.value;
                const steps = new Map(listed(inside.action.runs.steps).filter((it) => it?.id).map((it) => [text(it.id), it]));
                const given = (input) => step.with?.[input] ?? inside.action.inputs?.[input]?.default;
                const input = (input) => this.template(text(given(input)), { ...scope, step: true });
                const within = { key: `${scope.key}.${id}`, steps, input, step: true, job: scope.job };
                return output === undefined ? "" : this.template(text(output), within);
            }
            if (!inside.list || !inside.list.lists) return this.draw(`${scope.key} ${id} ${name}`);
            const list = inside.list;
            const { counts } = list;
            const open = (list) => inside.list.lists.get(list).some((it) => it.pattern.includes("${{"));
            if (counts.has(name)) return open(name) ? this.draw(`${scope.key} ${id} ${name}`) : String(counts.get(name) > 0);
            if (name === "changes") return JSON.stringify([...counts].filter(([, count]) => count > 0).map(([list]) => list));
            const [, of, what] = /^(.*)_(count|files)$/.exec(name) ?? [];
            if (what === "count" && counts.has(of)) return String(counts.get(of));
            if (what === "files" && counts.has(of) && list.files !== "none") {
                const nothing = list.files === "json" ? "[]" : "";
                return counts.get(of) > 0 ? JSON.stringify([this.draw(`${scope.key} ${id} ${name}`)]) : nothing;
            }
            return "";
        }
        output(job, name) {
            const status = this.status(job);
            if (status === "skipped") return "";
            if (job.called) {
                const value = job.call?.outputs?.[name]?.value;
                return value === undefined ? "" : this.template(text(value), this.scope(job, { called: job.called }));
            }
            if (job.yaml.uses) return this.draw(`${job.key} output ${name}`);
            const value = job.yaml.outputs?.[name];
            return value === undefined ? "" : this.template(text(value), this.scope(job, { step: true }));
        }
        input(job, name) {
            if (!job.caller) return new data.StringData(this.draw(`inputs ${name}`));
            const given = job.caller.yaml.with?.[name] ?? job.caller.call?.inputs?.[name]?.default;
            const value = this.template(text(given), this.scope(job.caller, {}));
            if (job.caller.call?.inputs?.[name]?.type === "boolean") return new data.BooleanData(value === "true");
            return new data.StringData(value);
        }
        scope(job, more) {
            return { key: job.key, job, steps: job.steps, ...more };
        }
        resolve(scope, keys) {
            const [first, second, third, fourth] = keys;
            const as = (value) => new data.StringData(value);
            if (first === "needs" && third === "outputs" && fourth !== undefined) {
                const need = scope.job.needs.find((it) => it.id === second);
                return need ? as(this.output(need, fourth)) : as("");
            }
            if (first === "needs" && third === "result") {
                const results = scope.job.needs.map((need) => [need.id, as(this.status(need))]);
                if (second === "*") return new data.Array(...results.map(([, result]) => result));
                return results.find(([id]) => id === second)?.[1] ?? as("");
            }
            if (first === "jobs" && third === "outputs" && scope.called) {
                const job = scope.called.find((it) => it.id === second);
                return job ? as(this.output(job, fourth)) : as("");
            }
            if (first === "steps" && third === "outputs" && fourth !== undefined) return as(this.stepOutput(scope, second, fourth));
            if (first === "github" && second === "event_name" && third === undefined) return as(this.event);
            if (first === "inputs" && second !== undefined && third === undefined)
                return scope.input ? as(scope.input(second)) : this.input(scope.job, second);
            return this.drawn(`${["steps", "matrix", "job"].includes(first) ? scope.key : ""} ${keys.join(".")}`);
        }
        evaluate(tree, scope) {
            const lot = this;
            const chain = (evaluator, node) => {
                if (node instanceof ast.ContextAccess) return [node.name.lexeme.toLowerCase()];
                if (!(node instanceof ast.IndexAccess)) return undefined;
                const keys = chain(evaluator, node.expr);
                if (!keys) return undefined;
                return [...keys, node.index instanceof ast.Star ? "*" : evaluator.eval(node.index).coerceString()];
            };
            class Asked extends Evaluator {
                visitContextAccess(node) {
                    return lot.drawn(node.name.lexeme);
                }
                visitIndexAccess(node) {
                    const keys = chain(this, node);
                    return keys ? lot.resolve(scope, keys) : super.visitIndexAccess(node);
                }
            }
            const call = (name, does) => [name, { name, minArgs: 0, maxArgs: 255, call: does }];
            const before = () => ancestors(scope.job).map((job) => this.status(job));
            const is = (value) => new data.BooleanData(value);
            const status = new Map([
                call("always", () => is(true)),
                call("cancelled", () => is(false)),
                call("success", () => is(scope.step || before().every((it) => it === "success"))),
                call("failure", () => is(!scope.step && before().includes("failure"))),
                call("hashfiles", () => lot.drawn("hashFiles")),
            ]);
            return new Asked(tree, new data.Dictionary(), status).evaluate();
        }
        truth(written, scope) {
            const tree = condition(written);
            if (!tree) return this.draw(`${scope.key} ${written}`) !== "";
            try {
                const value = this.evaluate(tree, scope);
                return !(value.kind === data.Kind.Null || ["", "false", "0", "NaN"].includes(value.coerceString()) && value.kind !== data.Kind.String || (value.kind === data.Kind.String && value.coerceString() === ""));
            } catch {
                return true;
            }
        }
        template(written, scope) {
            return written.replace(/\$\{\{([\s\S]*?)\}\}/g, (_, inside) => {
                const tree = expression(inside);
                try {
                    return tree ? this.evaluate(tree, scope).coerceString() : this.draw(inside);
                } catch {
                    return this.draw(inside);
                }
            });
        }
        status(job) {
            if (!this.jobs.has(job)) {
                this.jobs.set(job, "skipped");
                let runs = !job.caller || this.status(job.caller) !== "skipped";
                const passed = () => ancestors(job).every((it) => this.status(it) === "success");
                const written = job.yaml.if === undefined ? undefined : text(job.yaml.if);
                if (written === undefined) runs = runs && passed();
                else runs = runs && (asksStatus(written) || passed()) && this.truth(written, this.scope(job, {}));
                this.jobs.set(job, !runs ? "skipped" : this.below(12) === 0 ? "failure" : "success");
            }
            return this.jobs.get(job);
        }
    }
    function ancestors(job) {
        const all = new Set();
        const open = [...job.needs];
        while (open.length) {
            const next = open.pop();
            if (!all.has(next)) all.add(next), open.push(...next.needs);
        }
        return [...all];
    }
    const known = new Map();
    function cachedStep(step) {
        if (!known.has(step)) known.set(step, { list: listStep(step), action: composite(step.uses) });
        return known.get(step);
    }

    // Whether a job does nothing but look for lists.
    function looks(job) {
        const steps = listed(job.yaml.steps);
        const one = (step) => cachedStep(step).list !== undefined;
        const checkout = (step) => text(step?.uses).startsWith("actions/checkout");
        const inside = (step) => {
            const action = cachedStep(step).action;
            return action && lists(listed(action.runs.steps));
        };
        const lists = (steps) => steps.some((it) => one(it) || inside(it)) && steps.every((it) => one(it) || checkout(it) || inside(it));
        return lists(steps);
    }

    const ours = ["pull_request", "pull_request_target", "merge_group", "push"];
    function workflow(file, written) {
        const root = parse(written);
        const on = root?.on ?? root?.[true];
        const names = on && typeof on === "object" && !Array.isArray(on) ? Object.keys(on) : listed(on);
        const event = ours.find((it) => names.includes(it));
        if (!root?.jobs || !event) return undefined;
        const jobs = [];
        collect(root, undefined, jobs, 0);
        const words = new Set(["true", "false", "", "x"]);
        for (const job of jobs)
            for (const source of [JSON.stringify(job.root)])
                for (const found of source.matchAll(/'([^'"\\]{1,40})'/g)) words.add(found[1]);
        const lists = new Set();
        const looked = new Set();
        const count = (steps) => {
            for (const step of steps) {
                if (!step) continue;
                const { list, action } = cachedStep(step);
                if (list?.lists) looked.add(list);
                for (const name of list?.lists?.keys() ?? []) lists.add(`${JSON.stringify(step)} ${name}`);
                if (action) count(listed(action.runs.steps));
            }
        };
        jobs.forEach((job) => count(listed(job.yaml.steps)));
        const filter = on?.[event];
        return {
            file,
            filtered: filter?.paths !== undefined || filter?.["paths-ignore"] !== undefined,
            lists: lists.size,
            looked: [...looked],
            answers: new Map(),
            jobs: jobs.filter((job) => !job.called && !looks(job)),
            all: jobs,
            events: names.filter((it) => ours.includes(it)),
            words: [...words],
            starts: (changes) => started(filter, changes),
        };
    }

    // The jobs that may run for a change.
    function mayRun(workflow, changes, draws) {
        const found = new Set();
        if (!workflow.starts(changes)) return found;
        // The same lists with the same counts: the same answer.
        for (const step of workflow.looked)
            step.counts = new Map([...step.lists].map(([name, rules]) => [name, hits(step, rules, changes)]));
        const key = JSON.stringify(workflow.looked.map((step) => [...step.counts.values()].map((it) => Math.min(it, 2))));
        if (workflow.answers.has(key)) return workflow.answers.get(key);
        workflow.answers.set(key, found);
        for (let seed = 0; seed < draws; seed++) {
            const lot = new Lot(workflow, seed);
            for (const job of workflow.jobs) if (lot.status(job) !== "skipped") found.add(job);
        }
        return found;
    }
    return { workflow, mayRun };
}
