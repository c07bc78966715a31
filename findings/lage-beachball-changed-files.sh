#!/usr/bin/env bash
# lage 2.17.0 and beachball 2.66.0 (both npm), which ask one library which files a branch changed.
# Guess: a file that is moved from package `b` to package `c` changes both; what a file is called decides
#   nothing but which package it is in.
# Seen: of a moved file only the new place counts: `lage --since` runs `c` alone, not `b` and not `a`, which
#   needs `b`; beachball asks for a change file of `c` alone. A new file of `b` with a letter outside ASCII
#   comes as git quotes it, in no package: lage runs everything, beachball says that nothing is needed.
#   With `diff.renames` off and `core.quotePath` off in git's settings both are right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GIT_CONFIG_GLOBAL=$work/gitconfig GIT_CONFIG_NOSYSTEM=1
git config --global user.name a
git config --global user.email a@example.org
mkdir project && cd project
git init -q -b main
for name in a b c; do
    mkdir -p "packages/$name"
    printf '{"name":"%s","version":"1.0.0","scripts":{"t":"true"}%s}' "$name" \
        "$([ $name != a ] || echo ',"dependencies":{"b":"1.0.0"}')" >"packages/$name/package.json"
    echo "words of $name" >"packages/$name/words"
done
echo '{"name":"root","version":"1.0.0","private":true,"workspaces":["packages/*"]}' >package.json
echo 'module.exports = { pipeline: { t: [] }, cache: false };' >lage.config.js
echo node_modules >.gitignore
npm install --silent --no-audit --no-fund --save-dev --save-exact lage@2.17.0 beachball@2.66.0 || exit 2
git add -A && git commit -qm first
git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git fetch -q
git checkout -qb topic
asked() { # commits what changed, asks both, takes it back
    git add -A && git commit -qm change
    lage=$(timeout 60 npx lage info t --since main --reporter json 2>/dev/null | grep -o '"id":"[a-c]#t"' | cut -d'"' -f4 | sort | xargs)
    ball=$(timeout 60 npx beachball check -b main 2>&1 | grep -oE '• [a-c]$|No change files are needed' | xargs)
    git reset -q --hard main
    echo "$lage; $ball"
}
git mv packages/b/words packages/c/moved && moved=$(asked)
echo x >packages/b/é && letter=$(asked)
git config --global diff.renames false
git config --global core.quotePath false
git mv packages/b/words packages/c/moved && moved_set=$(asked)
echo x >packages/b/é && letter_set=$(asked)
printf '%s\n' "b/words moved to c:         $moved" "new file b/é:               $letter" \
    "moved, with the settings:    $moved_set" "new file, with the settings: $letter_set"
[ "$moved" = "c#t; • c" ]
[ "$letter" = "a#t b#t c#t; No change files are needed" ]
[ "$moved_set" = "a#t b#t c#t; • b • c" ]
[ "$letter_set" = "a#t b#t; • b" ]
