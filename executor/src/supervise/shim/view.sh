# Gives the job its view, which is TREE read-only, and becomes what is to be run: TREE PROGRAM WORD…
if mount -o bind,ro "$1" "$1" && { [ ! -w "$1" ] || mount -o remount,bind,ro "$1"; }; then
    shift
    exec "$@"
fi
printf "%-31s\n" broken 1<>"$FORGE_LANES_STATE/why"
echo "cannot mount $1"
exit 126
