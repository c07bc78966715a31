#!/usr/bin/env bash
# uv 0.13.9 (PyPI).
# Guess: where one member of a workspace asks for another with `editable = false` and a third one says
#   nothing, either the explicit word holds or the default does, whatever the members are called.
# Seen: the member whose name comes last decides: `a` says false and `b` nothing, `c` is locked as
#   `editable`; `b` says false and `a` nothing, as `directory`. There is no warning; only true against
#   false is an error.
# What follows: say it at every requirement, or renaming a package changes what is installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 || exit 2
project() { # DIRECTORY NAME DEPENDENCIES TABLES
    mkdir -p "$1/src/$2" && touch "$1/src/$2/__init__.py"
    printf '%s\n' '[project]' "name = \"$2\"" 'version = "1.0.0"' 'requires-python = ">=3.9"' "dependencies = [$3]" \
        '[build-system]' 'requires = ["uv_build"]' 'build-backend = "uv_build"' "$4" >"$1/pyproject.toml"
}
locked() { # OF-A OF-B: how `c` is locked when `a` and `b` ask for it with these words
    rm -rf project && mkdir project && cd project
    project . root '"a", "b"' "[tool.uv.workspace]
members = [\"packages/*\"]
[tool.uv.sources]
a = { workspace = true }
b = { workspace = true }"
    project packages/a a '"c"' "[tool.uv.sources]
c = { workspace = true$1 }"
    project packages/b b '"c"' "[tool.uv.sources]
c = { workspace = true$2 }"
    project packages/c c '' ''
    UV_CACHE_DIR=$work/cache timeout 60 "$work/venv/bin/uv" lock --quiet --no-config --offline --python python3 2>error || true
    cd ..
    sed -n '/^name = "c"$/,/^source/s/^source = { \([a-z]*\) .*/\1/p' project/uv.lock 2>/dev/null || grep -o 'was requested as both' project/error
}
neither=$(locked '' '')
first=$(locked ', editable = false' '')
last=$(locked '' ', editable = false')
both=$(locked ', editable = false' ', editable = true')
echo "nobody says anything:           $neither"
echo "a says false, b says nothing:   $first"
echo "a says nothing, b says false:   $last"
echo "a says false, b says true:      $both"
[ "$neither $first $last $both" = "editable editable directory was requested as both" ]
