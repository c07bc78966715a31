# The first shell of the job: says its pid, unless that was done, takes its environment, becomes the job.
umask 022
d=$FORGE_LANES_STATE b=$FORGE_LANES_BOOT c=$FORGE_LANES_CMD
unset FORGE_LANES_STATE FORGE_LANES_BOOT FORGE_LANES_CMD
if [ -z "$b" ]; then :
elif { while IFS= read -r l; do s=$l; done; } 2>/dev/null </proc/$$/stat; then set -f; set -- ${s##*") "}; set +f; s=${20}
else s=$(LC_ALL=C ps -o lstart= -p $$); s=$(printf "%s_" $s); fi
[ -z "$b" ] || printf "%-63s\n" "$$ $s $b" 1<>"$d/pid"
set -- "$d" "$c"
unset b l s d c
if [ -f "$1/env" ]; then
    exec 4<"$1/env"
    rm -f "$1/env"
    . /dev/fd/4
    exec 4<&-
fi
c=$2
set -- "$1"
[ -n "$c" ] || . "$1/cmd"
eval "unset c; $c"
