#!/usr/bin/env bash
# yarn 1.22.22, yarn 4.18.1 (@yarnpkg/cli-dist) and pnpm 10.34.5 (all npm).
# Guess: `"workspaces": ["packages/*", "!packages/x"]` has the same members in every package manager, and
#   `packages/!(old)` is every directory but `old`.
# Seen: yarn 4 leaves `x` out; yarn 1 lists it, without a word. In pnpm `packages/!(old)` leaves out `older`, too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund yarn@1.22.22 @yarnpkg/cli-dist@4.18.1 pnpm@10.34.5
modules=$work/node_modules
mkdir project && cd project
for name in a old older x; do
    mkdir -p "packages/$name"
    echo "{\"name\":\"$name\",\"version\":\"1.0.0\"}" >"packages/$name/package.json"
done
echo '{"name":"root","version":"1.0.0","private":true,"workspaces":["packages/*","!packages/x"]}' >package.json
classic=$(node "$modules/yarn/bin/yarn.js" -s workspaces info | grep -o '"location": "[^"]*"' | cut -d'"' -f4 | xargs)
touch yarn.lock
berry=$(node "$modules/@yarnpkg/cli-dist/bin/yarn.js" workspaces list | grep -o 'packages/.*' | xargs)
rm yarn.lock
echo '{"name":"root","version":"1.0.0","private":true}' >package.json
printf 'packages:\n  - "packages/!(old)"\n' >pnpm-workspace.yaml
pnpm=$(cd packages/a && node "$modules/pnpm/bin/pnpm.cjs" ls -r --depth -1 --parseable | grep -o 'packages/.*' | xargs)
echo "yarn 1, !packages/x: $classic"
echo "yarn 4, !packages/x: $berry"
echo "pnpm, packages/!(old): $pnpm"
[ "$classic" = "packages/a packages/old packages/older packages/x" ]
[ "$berry" = "packages/a packages/old packages/older" ]
[ "$pnpm" = "packages/a packages/x" ]
