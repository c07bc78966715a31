#!/usr/bin/env bash
# doublestar, the Go package, 2.0.4 and 4.6.1 (Debian 12 and its backports), Go.
# Guess: `**` in braces is what it is elsewhere, a class that begins with `!` takes back, and a class is one
#   character of a name; the major versions differ in how they are called.
# Seen: in 2.0.4 `**` in braces stays within a name: `{**,a}` does not match `a/b`; `[!b]` matches `!` and `b`;
#   `docs/**` does not match `docs`. In 4.6.1 all three are the other way, and `a[!x]b` and `a[^x]b` match
#   `a/b`: a negated class may be a `/`.
# What follows: an engine's word "doublestar patterns" says little without the major version.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" && chmod 755 .
package=golang-github-bmatcuk-doublestar-dev
command -v go >/dev/null || exit 2
for version in 2.0.4-2 '4.6.1-1~bpo12+1'; do
    apt-get download -qq "$package=$version" 2>/dev/null || exit 2
    dpkg -x "${package}_${version}_all.deb" "v${version%%.*}"
done
cat >ask.go <<'GO'
package main

import (
	"fmt"
	"github.com/bmatcuk/doublestar"
)

func main() {
	pairs := [][2]string{{"{**,a}", "a/b"}, {"{a,**/b}", "x/y/b"}, {"**/{a,b}", "x/y/b"}, {"docs/**", "docs"},
		{"[!b]", "a"}, {"[!b]", "b"}, {"[!b]", "!"}, {"a[!x]b", "a/b"}, {"a[^x]b", "a/b"}}
	for _, it := range pairs {
		matched, _ := doublestar.Match(it[0], it[1])
		fmt.Printf("%s %s %t\n", it[0], it[1], matched)
	}
}
GO
ask() { HOME=$work GO111MODULE=off GOFLAGS='' GOPATH=$work/$1/usr/share/gocode timeout 200 go run ask.go; }
ask v2 >two || exit 2
ask v4 >four || exit 2
join -j 1 <(sed 's/ /|/' two) <(sed 's/ /|/' four) >seen
echo "pattern|path 2.0.4 4.6.1"
cat seen
diff - seen <<'SEEN'
{**,a}|a/b false true
{a,**/b}|x/y/b false true
**/{a,b}|x/y/b true true
docs/**|docs false true
[!b]|a false true
[!b]|b true false
[!b]|! true true
a[!x]b|a/b false true
a[^x]b|a/b false true
SEEN
