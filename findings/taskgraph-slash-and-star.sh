#!/usr/bin/env bash
# taskcluster-taskgraph 24.5.1 (PyPI): the matcher behind `files-changed`.
# Guess: as in .gitignore, `docs/` is the directory and all below it, and `docs/*` only what lies
#   directly in it; braces are alternatives and `?` is one character.
# Seen: `docs/` matches nothing at all; `docs/*` (and a bare `*`) matches files at every depth,
#   because a pattern that matches a directory covers what is below; but `docs/*.md` stays on one
#   level; braces, `?` and classes are plain characters.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check taskcluster-taskgraph==24.5.1
venv/bin/python - <<'PYTHON'
from taskgraph.util.path import match

files = ["a.md", "docs/a.md", "docs/b/c.md", "docs/a1"]
expected = {
    "docs/": [],
    "docs": ["docs/a.md", "docs/b/c.md", "docs/a1"],
    "docs/*": ["docs/a.md", "docs/b/c.md", "docs/a1"],
    "*": files,
    "docs/*.md": ["docs/a.md"],
    "docs/a?": [],
    "docs/[a-z]*": [],
    "{docs,src}/a.md": [],
}
for pattern, wanted in expected.items():
    seen = [file for file in files if match(file, pattern)]
    print(f"{pattern:16} {' '.join(seen) or '(nothing)'}")
    assert seen == wanted, f"{pattern}: this has changed, {wanted} was expected"
PYTHON
