# What a supervisor is asked by others: one function for each verb.

# The words after DIR of `start` and `run`.
options() {
    timeout=0 lease=0 grace=5 keep='' uses='' held='' locks='' system='' view='' over='' owner='' tree='' linger='' masks=''
    for option; do
        case $option in
        timeout=* | lease=* | grace=* | began=* | started=*)
            is_number "${option#*=}" || fail "bad_option $option"
            eval "${option%%=*}=\${option#*=}"
            ;;
        keep=* | uses=* | held=* | locks=* | system=* | view=* | over=* | owner=* | tree=* | masks=*)
            eval "${option%%=*}=\${option#*=}"
            ;;
        *) fail "bad_option $option" ;;
        esac
    done
}

start() {
    if is_claimed; then
        echo already
        return 0
    fi
    [ -f cmd ] || fail no_cmd
    options "$@"
    # The supervisor holds nothing of this process but the pipe, which ends when it has claimed the job.
    set -- sh "$SHIM" supervise . "$@"
    answer=$(
        if has setsid; then
            apart setsid "$@" </dev/null 2>/dev/null
        elif has perl; then
            perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@" </dev/null 2>/dev/null &
        else
            set -m
            "$@" </dev/null 2>/dev/null &
        fi
    )
    [ "$answer" != already ] || await_files
    echo "${answer:-error no_supervisor}"
    case $answer in started | already) ;; *) exit 1 ;; esac
}

# An executor that is told `already` finds the other's files.
await_files() {
    until [ -f exit ] || ! alive claim; do
        nap 0.01
    done
}

run() {
    offset=$1 marker=$2
    shift 2
    options "$@"
    wanted=
    [ -z "$held" ] || {
        r_rest=$held,
        set --
        while [ -n "$r_rest" ]; do
            set -- "$@" "${r_rest%%,*}"
            r_rest=${r_rest#*,}
        done
        wanted=$(cd "$locks" && locked own_locks "$@") || wanted=${wanted:-error no_locks}
        case $wanted in
        '') ;;
        wanted) wanted=' wanted' ;;
        *)
            # It may not begin without them. One that did begin has them as long as it runs.
            [ -f "$directory/claim" ] || {
                printf '\n%s error %s\n' "$marker" "${wanted#error }"
                exit 1
            }
            wanted=
            ;;
        esac
    }
    if [ -f "$directory/claim" ]; then
        answer=already
    else
        linger=1
        # A shell of its own, in the background of nobody: it ends with the job, whatever becomes of this one.
        # It has the session of this shell, and nothing else of it.
        answer=$(apart supervise </dev/null 2>/dev/null)
        answer=${answer:-error no_supervisor}
    fi
    cd "$directory" 2>/dev/null || answer=${answer#already}
    [ "$answer" != already ] || { is_claimed && await_files; }
    printf '\n%s %s%s\n' "$marker" "${answer:-error gone}" "$wanted"
    case $answer in started | already) ;; *) exit 1 ;; esac
    follow
}

fail() {
    echo "error $1"
    exit 1
}

# Prints what is known. The record is asked again after the supervisor was found dead: it may have
# written it in between.
status() {
    log_size
    if verdict; then
        echo "state=exited log=$SIZE $RECORD"
    elif ! is_claimed; then
        echo "state=unknown log=$SIZE"
    else
        alive claim
        case $? in
        0)
            s_lease=
            now
            value lease && s_lease=" lease=$((VALUE > NOW ? VALUE - NOW : 0))"
            echo "state=running log=$SIZE$s_lease"
            ;;
        *)
            s_alive=$?
            if verdict; then
                log_size
                echo "state=exited log=$SIZE $RECORD"
            elif [ "$s_alive" = 2 ]; then
                echo "state=host_rebooted log=$SIZE"
            else
                echo "state=lost log=$SIZE"
            fi
            ;;
        esac
    fi
}

# Copies $1 bytes of descriptor 3, which never has fewer. dd reads no byte too many.
copy() {
    [ $(($1 / 65536)) -eq 0 ] || dd bs=65536 count=$(($1 / 65536)) <&3 2>/dev/null || exit 1
    [ $(($1 % 65536)) -eq 0 ] || dd bs=$(($1 % 65536)) count=1 <&3 2>/dev/null || exit 1
}

attach() {
    offset=$1 marker=$2
    is_number "$offset" || fail bad_offset
    [ "$verb" = join ] || printf '\n'
    is_claimed || {
        printf '%s end %s\n' "$marker" "$(status)"
        return 0
    }
    until [ -f log ]; do
        alive claim || break
        nap 0.01
    done
    follow
}

# Frames from $offset to the end.
follow() {
    at=0 step=0 quiet=0
    [ ! -f log ] || exec 3<log
    while :; do
        # Asked before the size: what the job wrote, it wrote before the record.
        ended=
        if verdict; then
            ended=1
        elif [ $step -ge 6 ] && ! alive claim && ! verdict; then
            ended=1
        fi
        log_size
        length=$((SIZE - offset))
        if [ $length -lt 0 ] && [ -f log ]; then
            # Somebody cut it: what is there now may all be new.
            printf '%s cut\n' "$marker"
            exec 3<log
            offset=0 at=0
        elif [ $length -gt 0 ]; then
            [ $length -le 4194304 ] || length=4194304
            printf '%s log %s %s\n' "$marker" "$offset" $length
            if [ "$at" = "$offset" ]; then
                copy $length
            else
                dd bs=1 skip="$offset" count=1 <&3 2>/dev/null || exit 1
                copy $((length - 1))
            fi
            offset=$((offset + length))
            at=$offset quiet=0
            [ $step -le 2 ] || step=2
        elif [ -n "$ended" ]; then
            if [ -n "$RECORD" ]; then
                printf '%s end state=exited log=%s %s\n' "$marker" $SIZE "$RECORD"
            else
                printf '%s end %s\n' "$marker" "$(status)"
            fi
            return 0
        else
            case $step in
            0 | 1) pause=0.02 ;;
            2 | 3) pause=0.05 ;;
            4) pause=0.1 ;;
            5) pause=0.3 ;;
            *) pause=1 quiet=$((quiet + 1)) ;;
            esac
            step=$((step + 1))
            nap $pause
            if [ $quiet -ge 5 ]; then
                printf '%s idle\n' "$marker"
                quiet=0
            fi
        fi
    done
}

renew() {
    is_number "$1" || fail bad_seconds
    [ -f lease ] || fail not_started
    now
    in_place lease '%-15s\n' $((NOW + $1))
    status
}

cancel() {
    is_number "$1" || fail bad_seconds
    if is_claimed && ! verdict; then
        # Between the claim and the files there is a moment.
        tries=0
        until [ -s exit ] || [ $tries -ge 100 ]; do
            tries=$((tries + 1))
            nap 0.02
        done
        if [ -s lease ] && { ! is_cancelled || [ "$1" -lt "$VALUE" ]; }; then
            in_second_place lease '%-15s\n' "$1"
        fi
        if alive claim; then
            kill -USR1 "$a_pid" 2>/dev/null
        elif [ "$a_boot" = "$BOOT" ] && cookie; then
            # Nobody is left to do it.
            KILLED=0
            end_tree "$1"
        fi
    fi
    status
}

gc() {
    # What was not started cannot be started while it is removed.
    mine=
    if [ ! -f claim ]; then
        set -C
        { printf '' >claim; } 2>/dev/null && mine=1
        set +C
    fi
    if [ -z "$mine" ] && is_claimed && ! verdict; then
        if alive claim; then
            now
            if [ "${1:-}" != force ] && { ! value lease || [ "$NOW" -lt "$VALUE" ]; }; then
                echo busy
                return 0
            fi
            cancel 0 >/dev/null
            tries=0
            until verdict || ! alive claim || [ $tries -ge 250 ]; do
                tries=$((tries + 1))
                nap 0.02
            done
            if ! verdict && alive claim; then
                kill -KILL "$a_pid" 2>/dev/null
            fi
        fi
    fi
    KILLED=0
    # After a verdict there is nothing of it left.
    if [ -z "$mine" ] && [ -f claim ] && ! verdict; then
        boot_id
        read -r c_pid c_start c_boot <claim
        [ "$c_boot" != "$BOOT" ] || { cookie && kill_tree; }
    fi
    here=$PWD
    cd / || fail cd
    rm -rf "$here" 2>/dev/null
    if [ -e "$here" ]; then
        # A job may have taken its own write permission away.
        chmod -R u+rwX "$here" 2>/dev/null
        rm -rf "$here" 2>/dev/null
    fi
    [ ! -e "$here" ] || fail not_removed
    echo removed
}

# The verb `end`, which is a word of zsh's own.
end_named() {
    case $1 in '' | *[!0-9a-f]*) fail bad_name ;; esac
    COOKIE=FORGE_LANES_COOKIE=$1
    KILLED=0
    end_tree 2
    echo ended
}

# What is over and gives way goes in one stroke, the rest one by one.
clear() {
    c_over=
    for c_dir; do
        case $c_dir in *[!A-Za-z0-9._/-]* | /* | *..*) fail bad_dir ;; esac
        # A start that is still on its way, from a connection that is gone, is to come to nothing.
        { printf '' >"../over/${c_dir%%/*}+${c_dir##*/}"; } 2>/dev/null
        # Relative to ROOT; the words of this shell stay where they are.
        ! { { read -r c_head c_rest <"$c_dir/exit"; } 2>/dev/null && [ "${c_rest##* }" = END. ]; } ||
            c_over="$c_over $c_dir"
    done
    [ -z "$c_over" ] || rm -rf $c_over 2>/dev/null
    for c_dir; do
        c_said=removed
        [ ! -e "$c_dir" ] || c_said=$(cd "$c_dir" && gc force)
        case $c_said in
        removed) echo "removed $c_dir" ;;
        *) echo "error $c_dir $c_said" ;;
        esac
    done
}

list() {
    set +f
    for l_dir in */*.*; do
        set -f
        [ -d "$l_dir" ] || continue
        l_line=$(cd "$l_dir" && status) && printf '%s %s\n' "$l_dir" "$l_line"
    done
}
