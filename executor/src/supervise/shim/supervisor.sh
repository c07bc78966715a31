# Claims a directory, starts its job, watches it, gives the verdict.

# Makes the directory that a job is to be started in, and goes there.
room() {
    [ -d "$directory/artifacts" ] || r_said=$(mkdir -p "$directory/tmp" "$directory/artifacts" 2>&1) || {
        printf 'error %s\n' "$(printf '%s' "$r_said" | tail -n 1)"
        return 1
    }
    cd "$directory" || return 1
    [ ! -f claim ] || return 0
    [ -z "$over" ] || [ ! -e "$over" ] || {
        cd / && rm -rf "$directory"
        rmdir "${directory%/*}"
        echo 'error the attempt is over'
        return 1
    }
    [ -z "$owner" ] || [ -s ../owner ] || printf '%s\n' "$owner" >../owner || {
        echo 'error no_space'
        return 1
    }
    [ -z "$tree" ] || [ -d "$tree" ] || {
        echo 'error the source tree is gone'
        return 1
    }
}

# Claims the directory it is in, writes what has to be there before the job, and makes everything ready.
claim() {
    # 1. The claim: the one that makes the file owns the directory.
    set -C
    { printf '' >claim; } 2>/dev/null || {
        if [ -f claim ]; then echo already; else echo 'error no_space'; fi
        exit 75
    }
    set +C
    { printf '%s %s %s\n%s\n' $me "$START" "$BOOT" "$uses" 1<>claim; } 2>/dev/null || {
        rm -f claim
        echo 'error no_space'
        exit 74
    }

    # 2. Whatever may not fit on the disk comes before the job; the record last: who sees it sees all of them.
    {
        # More than an argument may hold.
        { [ ${#fl_cmd} -lt 60000 ] || { printf '%s' "$fl_cmd" >cmd && fl_cmd=; }; } &&
            { [ -z "${fl_env:-}" ] || printf '%s' "$fl_env" >env; } &&
            printf '%-63s\n%-28s.\n' - - >pid &&
            printf '%-15s\n%-15s\n' "$until" - >lease &&
            printf '' >log &&
            printf '%-251s....\n' - >exit
    } 2>/dev/null || {
        rm -f env masks pid lease log exit claim
        echo 'error no_space'
        exit 74
    }
    mkfifo -m 600 .output 2>/dev/null || rm -f .output
    [ -z "$masks" ] || { [ -p .output ] && can_redact; } || {
        rm -f env masks .output pid lease log exit claim
        echo 'error no_redactor'
        exit 69
    }
    if [ -n "${fl_ready:-}" ]; then
        s_said=$(eval "$fl_ready" 2>&1) || {
            printf 'error %s\n' "$(printf '%s' "$s_said" | tail -n 1)"
            rm -f env masks .output
            in_place exit '%-251sEND.\n' "1 code=- signal=- reason=broken evidence=none\
 killed=0 started=0 ended=0 elapsed_ms=0"
            exit 74
        }
    fi
    echo started
    [ -n "$linger" ] || exec >/dev/null
}

# Says on its stdout whether it is the one: started, already, error WHY. Closes it when the job is over or has
# run for a while.
supervise() {
    : "${fl_cmd:=}"
    now
    until=-
    [ "$lease" -eq 0 ] || until=$((NOW + lease))
    trap '' PIPE
    ticks='sleep'
    if has perl; then
        ticks=perl
    else
        oom_kills
        oom_before=$OOM
    fi
    boot_id
    myself && [ -n "$START" ] || {
        echo 'error no_supervisor'
        exit 71
    }
    me=$PID
    COOKIE=FORGE_LANES_COOKIE=$me-$START-$BOOT
    [ -z "$linger" ] || room || exit 74
    [ ! -f masks ] || masks=$(cat masks 2>/dev/null)
    claim
    [ ! -f masks ] || rm -f masks

    # 3. The job.
    now
    began=$CENTIS
    wall
    started=$WALL
    trap : USR1
    trap '' HUP
    output
    if [ $ticks = sleep ] && mkfifo -m 600 .waiter 2>/dev/null; then
        # What is waited for in its place: it ends with the last who has descriptor 6 open.
        (read -r w_rest) <.waiter >/dev/null 2>&1 5>&- &
        waiter=$!
        exec 6>.waiter
        rm -f .waiter
        apart begin_apart
        exec 6>&-
    else
        # perl puts the signals right.
        (begin_apart) &
        waiter=$!
    fi
    exec 5>&-
    watch_over
}

# Opens descriptor 5 for the job's output: a pipe to a reader that owns the log, so that a job which opens
# /dev/stdout or /dev/stderr cannot shorten it. A reader for which the disk has no room closes it.
output() {
    pump=
    if [ -p .output ]; then
        if [ -z "$masks" ]; then
            (exec cat) <.output >>log 2>/dev/null &
        elif has perl; then
            # No argument: anybody may read those.
            (printf '%s\n' "$masks" | (exec 4<&0 <.output; exec perl -C0 -e "$PERL_PUMP") >>log) 2>/dev/null &
        else
            (redact) <.output >>log 2>/dev/null &
        fi
        pump=$!
        exec 5>.output
        rm -f .output
    else
        exec 5>>log
    fi
}

# Waits until the reader has written everything; nobody of the job is left who writes.
drain() {
    d_tries=0
    while start_time "$1" && [ $d_tries -lt 250 ]; do
        d_tries=$((d_tries + 1))
        nap 0.02
    done
    # Somebody else has the pipe open.
    if [ $d_tries -ge 250 ]; then
        kill "$1" 2>/dev/null
        return
    fi
    # Its status; a wait that a signal ended is made again.
    wait "$1" && return
    [ $? -gt 128 ] && wait "$1" || lost=1
}

# Sees to the end of a job that perl started and waits for: a line on stdin says that it is time to look.
watch() {
    ticks='read' began='' started='' pump=''
    options "$@"
    cookie && waiter=$c_pid || fail no_supervisor
    trap '' HUP PIPE
    watch_over
}

# Watches until the leader is gone or somebody wants it gone, then gives the verdict.
watch_over() {
    # 4. What is awaited is the waiter.
    until=0
    [ "$timeout" -eq 0 ] || until=$((began + timeout * 100))
    KILLED=0
    lost=
    reason=exited
    ticker=
    while :; do
        leader_ended && break
        now
        if is_cancelled; then
            reason=cancelled
            end_tree "$VALUE"
        elif [ $until -ne 0 ] && [ $CENTIS -ge $until ]; then
            reason=timed_out
            end_tree "$grace"
        elif value lease && [ "$NOW" -ge "$VALUE" ]; then
            reason=lease_expired
            end_tree "$grace"
        elif ! kill -0 $waiter 2>/dev/null; then
            leader_ended && break
            reason=broken
        fi
        if [ $reason != exited ]; then
            # The waiter says how the leader went, unless it went down with it.
            tries=0
            until leader_ended || [ $tries -ge 100 ] || ! kill -0 $waiter 2>/dev/null; do
                tries=$((tries + 1))
                nap 0.02
            done
            break
        fi
        if [ $ticks = read ]; then
            read -r w_rest || nap 0.1
            continue
        fi
        # The process that started it waits no longer for the end.
        [ $((CENTIS - began)) -lt 20 ] || exec >/dev/null
        [ $ticks = perl ] || [ -n "$ticker" ] || {
            (tick) </dev/null >/dev/null 2>&1 &
            ticker=$!
        }
        # Its end ends the wait, and so does USR1. Should that come a moment before, another one follows.
        wait $waiter
    done
    [ -z "$ticker" ] || kill $ticker 2>/dev/null

    # 5. Whatever the job left behind, then the verdict.
    leader_ended || CODE=- SIGNAL=- OOM_KILLED=- ALONE=-
    [ $reason = exited ] && [ "$ALONE" = alone ] || kill_tree
    [ -z "$pump" ] || drain "$pump"
    # The process that started it has the pipe: it is told that nobody is left who writes, and ends when everything is in the log.
    [ $ticks != read ] || {
        exec >/dev/null
        while read -r w_rest; do lost=${w_rest:-$lost}; done
    }
    # The supervisor itself is gone: nobody answers for a verdict.
    [ $reason = broken ] && [ $ticks = read ] && return
    evidence=none
    [ -z "$lost" ] || evidence=log_lost
    if { [ "$CODE" != 0 ] || [ -n "$lost" ]; } && [ $reason = exited ]; then
        if [ $ticks = sleep ] && { [ "$SIGNAL" = 9 ] || [ "$CODE" = 137 ]; }; then
            oom_kills
            [ "$OOM" = "$oom_before" ] || OOM_KILLED=oom
        fi
        [ "$OOM_KILLED" != oom ] || evidence=oom
        { printf '%8192s' - >.probe; } 2>/dev/null || evidence=disk_full
        rm -f .probe
    fi
    if [ $reason = exited ] && [ -s why ] && read -r why w_rest <why; then
        case $why in not_found | not_executable | no_working_dir | broken) reason=$why ;; esac
    fi
    [ ! -f env ] || rm -f env
    now
    in_place exit '%-251sEND.\n' "1 code=$CODE signal=$SIGNAL reason=$reason evidence=$evidence\
 killed=$KILLED started=$started ended=$((started + (CENTIS - began) / 100)) elapsed_ms=$(((CENTIS - began) * 10))"
}

# CODE, SIGNAL; OOM_KILLED: oom; ALONE: alone, if certainly nobody was left.
leader_ended() {
    { { read -r l_rest && read -r CODE SIGNAL OOM_KILLED ALONE l_end; } <pid; } 2>/dev/null && [ "$l_end" = . ]
}
