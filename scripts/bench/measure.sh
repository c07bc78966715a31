#!/usr/bin/env bash
# What benchmarks that compare two commands by turns share: times, medians, what a figure is printed with, and when it is
# none because the machine was not quiet. Sourced by them, never run.
set -euo pipefail

noisy=0
# milliseconds COMMAND…: how long it takes. What it says is shown if it fails.
milliseconds() {
    local began said
    began=$(date +%s%N)
    said=$("$@" 2>&1) || { echo "$said" | tail -n 20 >&2; return 1; }
    echo $((($(date +%s%N) - began) / 1000000))
}
median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
load() { cut -d ' ' -f 1 /proc/loadavg; }
# compare WHAT NAME FILE OTHER FILE WANTED PLACE LOAD: two files with a time in each line, taken by turns; the load is the one
# before the first. A median a quarter above the best time says that somebody else used the machine.
compare() {
    local what=$1 name=$2 one other other_name=$4 wanted=$6 verdict
    one=$(median "$3") other=$(median "$5")
    verdict=$(awk -v one="$one" -v best="$(sort -n "$3" | head -n 1)" -v other="$other" -v other_best="$(sort -n "$5" | head -n 1)" \
        -v load="$8" -v processors="$(nproc)" \
        'BEGIN { print (one > 1.25 * best || other > 1.25 * other_best || load > processors) ? ", NOISY: NO RESULT" : "" }')
    [[ -z $verdict ]] || noisy=1
    awk -v what="$what" -v name="$name" -v one="$one" -v other_name="$other_name" -v other="$other" -v wanted="$wanted" \
        -v rounds="$(wc -l <"$3")" -v place="$(stat -f -c %T "$7")" -v load="$8" -v verdict="$verdict" \
        'BEGIN { printf "%s: %s %d ms, %s %d ms: %.2f (wanted %s; medians of %d, %s, load %s)%s\n", what, name, one, other_name,
            other, one / other, wanted, rounds, place, load, verdict }'
}
# Ends with 3 when a figure was none.
quiet() { ((noisy == 0)) || { echo "the machine was used by others: run this again" >&2; exit 3; }; }
