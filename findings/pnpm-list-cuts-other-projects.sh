#!/usr/bin/env bash
# pnpm 10.34.5 and 12.21.0 (both npm), a registry on the loopback.
# Guess: each element of `pnpm list -r --json --depth Infinity` is one project with its whole tree, as it
#   is when the project is listed alone; `deduped` cuts what the same tree shows elsewhere.
# Seen: it cuts across projects. `a` and `b` both need `y`, which needs `w`; below `a` both are listed, below
#   `b` there is `y` with `deduped` and no `dependencies`. Without `-r`, in the directory of `b`, `w` is there.
# What follows: a program that asks what a project needs must ask for each alone, or join the projects first.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
for version in 10.34.5 12.21.0; do
    mkdir "$version"
    (cd "$version" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund "pnpm@$version") || exit 2
done
cat >serve.js <<'JS'
const needs = { y: { w: "1.0.0" }, w: {} };
const server = require("http").createServer((request, response) => {
  const name = request.url.slice(1);
  if (!needs[name]) return response.writeHead(404).end("{}");
  const tarball = `http://127.0.0.1:${server.address().port}/${name}/-/${name}-1.0.0.tgz`;
  const integrity = "sha512-" + Buffer.alloc(64).toString("base64");
  const versions = { "1.0.0": { name, version: "1.0.0", dependencies: needs[name], dist: { tarball, integrity } } };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ name, "dist-tags": { latest: "1.0.0" }, versions }));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
timeout 300 node serve.js >port &
server=$!
for _ in $(seq 100); do [ -s port ] || sleep 0.1; done
[ -s port ] || exit 2
mkdir -p project/packages/a project/packages/b && cd project
echo '{"name":"root","version":"1.0.0","private":true}' >package.json
echo 'packages: ["packages/*"]' >pnpm-workspace.yaml
echo "registry=http://127.0.0.1:$(cat ../port)" >.npmrc
for name in a b; do
    echo "{\"name\":\"$name\",\"version\":\"1.0.0\",\"dependencies\":{\"y\":\"1.0.0\"}}" >"packages/$name/package.json"
done
cat >../names.js <<'JS'
const below = (of) => Object.entries(of.dependencies ?? {}).map(([name, it]) => name + (it.deduped ? "!" : "") + below(it)).join("");
const projects = JSON.parse(require("fs").readFileSync(0)).filter((it) => it.name !== "root");
console.log(projects.map((it) => `${it.name}:${below(it)}`).join(" "));
JS
export HOME=$work
for version in 10.34.5 12.21.0; do
    list() { timeout 60 "$work/$version/node_modules/.bin/pnpm" list --json --depth Infinity --lockfile-only "$@" | node "$work/names.js"; }
    [ -e pnpm-lock.yaml ] || timeout 60 "$work/$version/node_modules/.bin/pnpm" install --lockfile-only >/dev/null || exit 2
    all=$(list -r)
    alone=$(cd packages/b && list)
    echo "pnpm $version, ! for deduped: all: $all; b alone: $alone"
    [ "$all; $alone" = "a:yw b:y!; b:yw" ]
done
