#!/usr/bin/env bash
# yarn 4.18.1 (@yarnpkg/cli-dist) and pnpm 10.34.5 (both npm), a registry on the loopback.
# Guess: a gate that keeps back what is newer than N minutes is off until it is set, and lets what is
#   not known to be new pass, or says that the age is not known.
# Seen: yarn's `npmMinimalAgeGate` is 1440 where nobody sets it, and a release for which the registry says no
#   time counts as too new, for ever: "All versions … are quarantined". So a registry of one's own that
#   leaves `time` out of its answers is of no use to yarn, until the gate is 0 or the package is in
#   `npmPreapprovedPackages`. pnpm has no gate until it is set, and then names what is missing.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @yarnpkg/cli-dist@4.18.1 pnpm@10.34.5 || exit 2
modules=$work/node_modules
cat >serve.js <<'JS'
const time = { "1.0.0": "2020-01-01T00:00:00.000Z" };
const server = require("http").createServer((request, response) => {
  const name = request.url.slice(1);
  if (!["timed", "untimed"].includes(name)) return response.writeHead(404).end("{}");
  const tarball = `http://127.0.0.1:${server.address().port}/${name}/-/${name}-1.0.0.tgz`;
  const integrity = "sha512-" + Buffer.alloc(64).toString("base64");
  const versions = { "1.0.0": { name, version: "1.0.0", dist: { tarball, integrity } } };
  const answer = { name, "dist-tags": { latest: "1.0.0" }, versions, ...(name === "timed" && { time }) };
  response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
timeout 300 node serve.js >port &
server=$!
for _ in $(seq 100); do [ -s port ] || sleep 0.1; done
[ -s port ] || exit 2
registry=http://127.0.0.1:$(cat port)
export HOME=$work YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_IMMUTABLE_INSTALLS=false YARN_ENABLE_GLOBAL_CACHE=false
project() { # DEPENDENCY: an empty project that asks for it
    rm -rf project && mkdir project && cd project && touch yarn.lock
    echo "{\"name\":\"root\",\"version\":\"1.0.0\",\"private\":true,\"dependencies\":{\"$1\":\"1.0.0\"}}" >package.json
}
yarn() { # DEPENDENCY SETTING: yarn's word about it
    (project "$1"
     printf 'npmRegistryServer: "%s"\nunsafeHttpWhitelist: ["127.0.0.1"]\n%s\n' "$registry" "$2" >.yarnrc.yml
     timeout 60 node "$modules/@yarnpkg/cli-dist/bin/yarn.js" install --mode=update-lockfile >out 2>&1 || true
     grep -oE 'are quarantined|\+ (un)?timed@npm:1.0.0' out)
}
pnpm() { # DEPENDENCY FLAG…: pnpm's word about it
    (project "$1"
     timeout 60 node "$modules/pnpm/bin/pnpm.cjs" install --lockfile-only --registry "$registry" "${@:2}" >out 2>&1 || true
     grep -oE 'ERR_PNPM_[A-Z_]*|^Done' out)
}
seen="yarn: $(yarn timed '') / $(yarn untimed '') / $(yarn untimed 'npmMinimalAgeGate: 0')
pnpm: $(pnpm untimed) / $(pnpm timed --config.minimum-release-age=1) / $(pnpm untimed --config.minimum-release-age=1)"
echo "$seen"
[ "$seen" = "yarn: + timed@npm:1.0.0 / are quarantined / + untimed@npm:1.0.0
pnpm: Done / Done / ERR_PNPM_MISSING_TIME" ]
