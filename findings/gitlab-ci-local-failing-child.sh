#!/usr/bin/env bash
# gitlab-ci-local 4.75.1 on Node 24 (both npm).
# Guess: with `strategy: depend` a trigger job takes the child pipeline's verdict, as it does on GitLab.
# Seen: the child's job fails and is listed as failed, the parent's trigger job is passed all the same,
#   later stages go on, and the exit code is 0. The same child file run by itself exits with 1.
# Also: the package names no Node version, and on Node 20 it does not start.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund gitlab-ci-local@4.75.1 node@24.21.0
mkdir project && cd project
git init -q -b main
cat >child.yml <<'YAML'
kid:
  script: [exit 1]
YAML
cat >.gitlab-ci.yml <<'YAML'
stages: [one, two]
kids:
  stage: one
  trigger: { include: child.yml, strategy: depend }
later:
  stage: two
  script: [echo later runs]
YAML
git add -A
git -c user.name=a -c user.email=a@example.org commit -qm first
git remote add origin git@example.org:group/project.git
run() { PATH=$work/node_modules/.bin:$PATH "$work/node_modules/.bin/gitlab-ci-local" --force-shell-executor --home "$work" "$@"; }
status=0
run >out 2>&1 || status=$?
cat out
echo "parent with a failing child: exit code $status"
child=0
run --file child.yml >child.out 2>&1 || child=$?
echo "the child by itself: exit code $child"
[ "$status" = 0 ] && [ "$child" = 1 ]
grep -q 'later runs' out
