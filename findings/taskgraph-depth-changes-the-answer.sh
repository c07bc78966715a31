#!/usr/bin/env bash
# taskcluster-taskgraph 24.5.1 (PyPI), git.
# Guess: the list of files changed between two commits does not depend on how deep the clone is.
# Seen: `GitRepository.get_changed_files(base=…, rev=…)` reads `git log base..rev` in a full clone and
#   `git diff base rev` in a shallow one. For the same two commits
#   - a file that was changed and changed back is listed (twice) in the full clone, not in the shallow one;
#   - a file that only the merge commit itself changed is listed in the shallow clone, not in the full one.
# What follows: decide from a comparison of two trees, or plan with the same depth everywhere.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check taskcluster-taskgraph==24.5.1
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org

git init -q -b main full
cd full
save() { git add -A && git commit -qm "$1"; }
echo 0 >reverted; save "before the base"
echo 1 >reverted; save base
git tag base
git checkout -qb side; echo 2 >side-only; save side
git checkout -q main
echo 2 >reverted; save change; echo 1 >reverted; save "change back"
git merge -q --no-commit side >/dev/null 2>&1
echo 1 >merge-only; git add -A; git commit -qm merge
cd ..
# All commits of the range are there; only what lies before the base is not.
git clone -q --depth 3 --no-single-branch "file://$work/full" shallow

cat >ask.py <<'PYTHON'
import os, subprocess, sys
from taskgraph.util.vcs import get_repository

os.chdir(sys.argv[1])
commit = lambda name: subprocess.check_output(["git", "rev-parse", name], text=True).strip()
print(" ".join(sorted(get_repository(".").get_changed_files(base=sys.argv[2], rev=commit("HEAD")))))
PYTHON
base=$(git -C full rev-parse base)
test "$(git -C shallow rev-parse --is-shallow-repository)" = true || { echo "the clone is not shallow"; exit 1; }
full=$(venv/bin/python ask.py "$work/full" "$base")
shallow=$(venv/bin/python ask.py "$work/shallow" "$base")
printf 'full clone:    %s\nshallow clone: %s\n' "$full" "$shallow"
[ "$full" = "reverted reverted side-only" ]
[ "$shallow" = "merge-only side-only" ]
