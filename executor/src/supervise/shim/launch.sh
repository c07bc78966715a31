# Starts the job's own processes, and the two that wait for them: perl, or a shell and its ticks.

# The same without perl. The words: NAME=VALUE of its environment, --, what starts it. A process that has descriptor 6 open tells
# the supervisor that the job is not over: no process of the job has it.
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
    w_said=
    if env time -f %x -o /proc/self/fd/4 true 4>/dev/null 2>/dev/null; then
        # It tells a signal from 128+n, which a shell does not. It has not the cookie of the job.
        {
            w_said=$(LC_ALL=C exec env time -f %x -o /proc/self/fd/4 \
                /bin/sh -c 'exec 4>&-; exec env -i "$@"' sh "$@" 4>&1 >&3 3>&- 6>&-)
            w_code=$?
        } 3>&1
    else
        env -i "$@" 6>&-
        w_code=$?
    fi
    w_result="$w_code -"
    case $w_said in
    *'by signal '*)
        w_said=${w_said##*'by signal '}
        w_result="- ${w_said%%[!0-9]*}"
        ;;
    '')
        if [ $w_code -gt 128 ] && [ $w_code -le 192 ]; then
            w_result="- $((w_code - 128))"
        fi
        ;;
    esac
    in_second_place pid '%-28s.\n' "$w_result - -"
}

# Runs "$@" in a process that nobody here waits for. Not in the background: a shell has SIGINT and SIGQUIT ignored in
# what it starts there, and no shell can undo that. The last of a pipeline kills the shell in between instead.
apart() {
    (
        myself
        { "$@" >&7 7>&- | kill -KILL "$PID" 7>&-; } 7>&1
    )
}

# What a job of a shell begins with, apart from its supervisor.
begin_apart() {
    exec >&5 2>&1 5>&- </dev/null
    trap - USR1 HUP PIPE
    launch
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

