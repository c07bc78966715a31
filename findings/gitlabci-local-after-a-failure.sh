#!/usr/bin/env bash
# gitlabci-local 13.2.0 (PyPI), jobs on the host itself.
# Guess: as on GitLab, a failed job leaves the other jobs of its stage alone, a job with `needs: []` does not
#   wait for it, a job with `when: always` has a verdict of its own, and `rules` with `changes` and `timeout` count.
# Seen: after the first failure nothing is started but `when: always`: the jobs behind it in the same stage
#   and those with `needs: []` are skipped. What a `when: always` job does no longer counts: it ends with 0
#   and is listed as a failure. A job of the same stage with `allow_failure: true` that was never started is listed
#   as a tolerated failure. In a green pipeline, a job for `docs/**` runs though the only commit has no such
#   file, and one with a limit of a second sleeps for three and succeeds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check gitlabci-local==13.2.0 || exit 2
mkdir project && cd project
git init -q -b main
run() { # commits the file that comes in, runs the pipeline, prints its summary
    { printf 'stages: [one, two]\nimage: local\n' && cat; } >.gitlab-ci.yml
    git add -A && git -c user.name=a -c user.email=a@example.org commit -qm pipeline
    status=0
    HOME=$work timeout 100 "$work/venv/bin/gitlabci-local" --host --pipeline --no-color </dev/null >out 2>&1 || status=$?
    sed -i 's/\x1b\[[0-9;]*m//g' out
    sed -n '/Pipeline: [0-9]* jobs/,$p' out | grep -v 'Pipeline:' | grep -oE '[a-z]+: (Success|Failure|Skipped)|failure allowed' | tee summary
    echo "exit code $status"
}
holds() { for line; do grep -qx "$line" summary || return 1; done; }
echo "== the first job fails"
run <<'YAML'
first: { stage: one, script: [exit 3] }
second: { stage: one, script: [echo second-runs] }
tolerant: { stage: one, allow_failure: true, script: [echo tolerant-runs] }
always: { stage: two, when: always, script: [echo always-runs] }
independent: { stage: two, needs: [], script: [echo independent-runs] }
YAML
[ "$status" = 1 ]
holds 'first: Failure' 'second: Skipped' 'tolerant: Failure' 'failure allowed' 'always: Failure' 'independent: Skipped'
grep -qx always-runs out
if grep -qE '^(second|tolerant|independent)-runs' out; then exit 1; fi
echo "== all is well"
run <<'YAML'
docs: { stage: one, rules: [{ changes: [docs/**] }], script: [echo docs-runs] }
slow: { stage: one, timeout: 1 second, script: [sleep 3] }
YAML
[ "$status" = 0 ] && holds 'docs: Success' 'slow: Success'
