# Starts the job's own processes, and the two that wait for them: perl, or a shell and its ticks.

# The same without perl. The words: NAME=VALUE of its environment, --, what starts it.
wait_for_leader() {
    # env wants its command where the -- stands.
    w_env=
    for w_word; do
        [ -z "$w_env" ] || set -- "$@" "$w_word"
        [ -n "$w_env" ] || case $w_word in
        --) w_env=1 ;;
        *) set -- "$@" "$w_word" ;;
        esac
        shift
    done
    if env --default-signal=INT,QUIT true 2>/dev/null; then
        set -- --default-signal=INT,QUIT -i "$@"
    else
        set -- -i "$@"
    fi
    env "$@"
    w_code=$?
    w_result="$w_code -"
    if [ $w_code -gt 128 ] && [ $w_code -le 192 ]; then
        w_result="- $((w_code - 128))"
    fi
    in_second_place pid '%-28s.\n' "$w_result - -"
}

# kept names.
launch() {
    l_names=$NAMES,$keep
    well_known
    # The shell is spelled out: where it is looked for depends on whose PATH it is.
    set -- /bin/sh -c "$BECOME_JOB" sh
    # Eight words: perl knows them.
    [ -z "$view" ] || set -- unshare --mount --propagation=private /bin/sh -c "$VIEW" sh "$view" "$@"
    if has setsid; then
        set -- setsid "$@"
    elif has perl; then
        set -- perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@"
    else
        set -m
    fi
    set -- "$COOKIE" "FORGE_LANES_STATE=$PWD" "FORGE_LANES_BOOT=$BOOT" -- "$@"
    while [ -n "$l_names" ]; do
        l_name=${l_names%%,*}
        l_names=${l_names#"$l_name"}
        l_names=${l_names#,}
        case $l_name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
        eval "l_set=\${$l_name+set}"
        [ -z "$l_set" ] || eval "set -- \"$l_name=\$$l_name\" \"\$@\""
    done
    if [ $ticks = perl ]; then
        export FORGE_LANES_CMD="${fl_cmd:-}"
        exec perl -e "$PERL_WAIT" -- $me "$system" "$view" "$@"
    fi
    wait_for_leader "FORGE_LANES_CMD=${fl_cmd:-}" "$@"
}

# Wakes the supervisor every second, where there is no perl to do it; ends when that has ended.
tick() {
    trap 'kill $t_sleep 2>/dev/null; exit' TERM
    while :; do
        sleep 1 &
        t_sleep=$!
        wait $t_sleep
        alive claim && kill -USR1 "$a_pid" 2>/dev/null || exit
    done
}

oom_kills() {
    OOM=0
    [ ! -r /proc/vmstat ] || OOM=$(grep '^oom_kill ' /proc/vmstat)
}

