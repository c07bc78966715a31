#!/bin/sh
# The supervisor that runs beside a job on a machine or in a guest that has no `executor` of its own.
#
# POSIX sh only: dash, busybox sh and bash run it as it is. It knows nothing of how it was reached
# (ssh, incus, tart): it is given a state directory, and that directory outlives every connection.
#
#   sh shim.sh start   DIR [timeout=SECS] [lease=SECS] [grace=SECS] [keep=NAME,NAME…]
#       Starts DIR/cmd once, whoever asks and however often: "started", "already" or "error WHY".
#       grace: between TERM and KILL when it is the timeout or the lease that ends the job.
#   sh shim.sh attach  DIR OFFSET MARKER     streams the log from a byte offset, in frames (below)
#   sh shim.sh status  DIR                   one line: what is known, from facts only
#   sh shim.sh renew   DIR SECS              pushes the lease out: SECS from now
#   sh shim.sh cancel  DIR GRACE             TERM, GRACE seconds, KILL; a later, smaller GRACE wins
#   sh shim.sh gc      DIR [force]           ends what is left, removes DIR: "removed", "busy", "error WHY"
#   sh shim.sh list    ROOT                  "RUN/NODE.ATTEMPT <status line>" for each directory below
#   sh shim.sh take    TURNS TOKEN SECS JOB PLACES [GROUP…]
#       Takes one of PLACES (0: no limit) and all GROUPs at once: "taken FILE…", or "busy FILE". Who took
#       them has SECS to start the job in directory JOB or to call again; while it runs, they are taken,
#       also while JOB/lives, a script, says that it does in a guest. JOB itself may always take them again.
#   sh shim.sh hold    TURNS TOKEN SECS FILE…  another SECS: "held", or "lost FILE"
#   sh shim.sh drop    TURNS TOKEN FILE…       lets go: "dropped"
#
# The state directory. Written by the placing side before `start`:
#   cmd    the job, a sh script; it is sourced with the state directory as $1, and may say in `why` that it
#          could not become what it should: printf '%-31s\n' not_found 1<>"$1/why"
#   env    sh assignments to export (0600; removed once read)
# Written here:
#   claim  "pid starttime boot_id" of the supervisor; hard-linked into place, so it exists whole or
#          not at all, and exactly one supervisor owns the directory for good
#   pid    "pid starttime boot_id" of the job's leader, which has a session and group of its own
#   log    stdout and stderr of the job, one file, appended to
#   hb     uptime in seconds, rewritten every few seconds while the supervisor lives
#   lease  uptime in seconds at which nobody is thought to care any more
#   cancel the grace in seconds that somebody asked for
#   exit   256 bytes: "1 code=C signal=S reason=R evidence=E killed=K started=T ended=T elapsed_ms=M",
#          padded, "END.", a newline. Without that trailer there is no verdict.
# Whatever is written after the start exists, at its full size, before it: a full disk takes no verdict.
#
# status line: "state=S log=BYTES", with an exit record all of its fields, for a running job with a lease
# "lease=SECS" that are left.
#   state: unknown (never started here) | running | exited | lost (no verdict, nobody alive to write
#   one) | host_rebooted
# reason: exited | timed_out | lease_expired | cancelled | broken, or the word in `why` (not_found,
# not_executable, no_working_dir, broken).  evidence: none | oom | disk_full.
# killed: how many processes outlived TERM, or the job that started them, and had to be KILLed.
#
# Frames of attach, each a line of its own that starts with MARKER; what comes before the first is noise:
#   MARKER log OFFSET LENGTH    followed by exactly LENGTH raw bytes of the log
#   MARKER idle                 nothing new; proves that the path is alive
#   MARKER end <status line>    the log is drained
#
# The leader's signal comes from perl's waitpid where there is perl, else it is the shell's 128+n, which
# a job that exits with such a code itself cannot be told from.
#
# The tree of a job is its session, its process group, and whoever carries its cookie in the environment
# (Linux: /proc). A process that leaves the session *and* clears its environment is not found.
# macOS has neither setsid(1) nor /proc: perl starts the session, ps finds the tree.

# shellcheck disable=SC2009,SC2015,SC2016,SC2034,SC2059,SC2086,SC2094,SC2154,SC2238 # words are split and formats passed on purpose
set -u
umask 077
# Globs are wanted in one place only; nothing else may depend on what a directory holds.
set -f
NL='
'

# NOW: seconds that no clock change moves, where the system has such a thing. CENTIS: finer.
now() {
    if [ -r /proc/uptime ] && read -r n_up n_rest </proc/uptime; then
        NOW=${n_up%.*}
        CENTIS=$((NOW * 100 + 1${n_up#*.} - 100))
    else
        NOW=$(date +%s)
        CENTIS=$((NOW * 100))
    fi
}

# BOOT: which boot of the machine this is.
boot_id() {
    if [ -r /proc/sys/kernel/random/boot_id ]; then
        read -r BOOT </proc/sys/kernel/random/boot_id
    else
        BOOT=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || BOOT=
        [ -n "$BOOT" ] || BOOT=unknown
    fi
}

# START: when process $1 started, since a pid alone may belong to somebody else by now. Fails for the dead.
start_time() {
    START=
    if [ -r /proc/self/stat ]; then
        read -r s_line 2>/dev/null <"/proc/$1/stat" || return 1
        # The second field, the name, may hold blanks and brackets.
        set -- ${s_line##*') '}
        case $1 in Z | X) return 1 ;; esac
        START=${20}
    else
        s_line=$(LC_ALL=C ps -o stat= -o lstart= -p "$1" 2>/dev/null) || return 1
        set -- $s_line
        case ${1:-Z} in Z*) return 1 ;; esac
        shift
        START=$(printf '%s_' "$@")
    fi
}

# Whether the process of identity file $1 lives: 0 yes, 1 no, 2 it was another boot.
alive() {
    read -r a_pid a_start a_boot a_rest 2>/dev/null <"$1" || return 1
    is_number "$a_pid" || return 1
    boot_id
    [ "$a_boot" = "$BOOT" ] || return 2
    start_time "$a_pid" && [ "$START" = "$a_start" ]
}

is_number() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Sleeps a fraction of a second where sleep(1) can.
nap() {
    sleep "$1" 2>/dev/null || sleep 1
}

# Overwrites file $1, of fixed size, with $3 in format $2. Allocates nothing, so a full disk is no matter.
in_place() {
    printf "$2" "$3" 1<>"$1"
}

# Reads number file $1 into VALUE.
value() {
    VALUE=
    read -r VALUE v_rest 2>/dev/null <"$1" && is_number "$VALUE"
}

# RECORD: the exit record, if it is complete.
verdict() {
    IFS= read -r RECORD 2>/dev/null <exit || RECORD=
    case $RECORD in '1 '*END.) ;; *)
        RECORD=
        return 1
        ;;
    esac
    RECORD=${RECORD#1 }
    RECORD=${RECORD%%  *}
}

log_size() {
    SIZE=0
    [ ! -f log ] || SIZE=$(($(wc -c <log)))
}

# ---------------------------------------------------------------------------------------- the tree

# COOKIE: what every process of this directory's job has in its environment.
cookie() {
    read -r c_pid c_start c_boot 2>/dev/null <claim || return 1
    is_number "$c_pid" && [ -n "$c_boot" ] || return 1
    COOKIE=FORGE_LANES_COOKIE=$c_pid-$c_start-$c_boot
}

# Prints the pids of the job's tree, the dead left out; one may come twice.
tree() {
    t_leader=
    [ -n "${COOKIE:-}" ] || return 0
    if read -r t_pid t_start t_boot 2>/dev/null <pid && is_number "$t_pid"; then
        # A dead leader's number stays taken while its group lives. Given to another process since, it
        # says nothing any more.
        if ! start_time "$t_pid" || [ "$START" = "$t_start" ]; then
            t_leader=$t_pid
        fi
    fi
    if [ -r /proc/self/stat ]; then
        # One process for all of them. Dead ones have no environment and match no state. Both patterns
        # are anchored on words that nothing else begins with: an empty one would match anybody.
        set -- -e "^$COOKIE\$"
        [ -z "$t_leader" ] ||
            set -- "$@" -e "^[0-9]+ [(].*[)] [^ZX] [0-9]+ ([0-9]+ )?$t_leader "
        set +f
        t_found=$(LC_ALL=C grep -lzE "$@" /proc/[0-9]*/environ /proc/[0-9]*/stat 2>/dev/null)
        set -f
        for t_file in $t_found; do
            t_file=${t_file#/proc/}
            t_pid=${t_file%/*}
            [ "$t_pid" = 1 ] || [ "$t_pid" = $$ ] || echo "$t_pid"
        done
    else
        LC_ALL=C ps -A -o pid= -o pgid= -o stat= | while read -r p_pid p_group p_stat; do
            case $p_stat in Z*) continue ;; esac
            [ "$p_group" = "$t_leader" ] && echo "$p_pid"
        done
        LC_ALL=C ps -A -E -o pid= -o command= 2>/dev/null | grep -F -e "$COOKIE" |
            while read -r p_pid p_rest; do
                [ "$p_pid" = $$ ] || echo "$p_pid"
            done
    fi
}

# KILLs the tree until two looks find it empty: it may fork meanwhile, and a process in the middle of an
# exec has no environment for a moment. KILLED grows by one for each process.
kill_tree() {
    k_seen=$NL
    k_round=0
    k_empty=0
    while [ $k_round -lt 200 ]; do
        k_list=$(tree)
        if [ -z "$k_list" ]; then
            k_empty=$((k_empty + 1))
            [ $k_empty -lt 2 ] || return 0
            continue
        fi
        k_empty=0
        for k_pid in $k_list; do
            case $k_seen in
            *"$NL$k_pid$NL"*) ;;
            *)
                k_seen=$k_seen$k_pid$NL
                KILLED=$((KILLED + 1))
                ;;
            esac
            kill -KILL "$k_pid" 2>/dev/null
        done
        k_round=$((k_round + 1))
        [ $k_round -lt 3 ] || nap 0.02
    done
}

# Ends the tree: TERM, $1 seconds, KILL. Who cancels with less grace meanwhile is obeyed.
end_tree() {
    e_seen=$NL
    now
    e_until=$((NOW + $1))
    while :; do
        e_list=$(tree)
        [ -n "$e_list" ] || break
        for e_pid in $e_list; do
            case $e_seen in *"$NL$e_pid$NL"*) continue ;; esac
            e_seen=$e_seen$e_pid$NL
            kill -TERM "$e_pid" 2>/dev/null
            # A stopped process hears nothing but KILL.
            kill -CONT "$e_pid" 2>/dev/null
        done
        now
        if value cancel && [ $((NOW + VALUE)) -lt $e_until ]; then
            e_until=$((NOW + VALUE))
        fi
        [ "$NOW" -lt $e_until ] || break
        nap 0.05
    done
    kill_tree
}

# ------------------------------------------------------------------------------------ the supervisor

# The job's own first shell: says who it is, takes its environment, becomes the job.
BECOME_JOB='umask 022
d=$FORGE_LANES_STATE b=$FORGE_LANES_BOOT
unset FORGE_LANES_STATE FORGE_LANES_BOOT
if read -r l 2>/dev/null </proc/$$/stat; then set -f; set -- ${l##*") "}; set +f; s=${20}
else s=$(LC_ALL=C ps -o lstart= -p $$); s=$(printf "%s_" $s); fi
printf "%-63s\n" "$$ $s $b" 1<>"$d/pid"
set -- "$d"
unset b l s d
if [ -f "$1/env" ]; then
    exec 4<"$1/env"
    rm -f "$1/env"
    . /dev/fd/4
    exec 4<&-
fi
. "$1/cmd"'

# Waits for the leader where perl can: tells a signal from 128+n, and gives back the INT and QUIT that a
# shell takes away from what it starts in the background.
WAIT='$SIG{INT} = $SIG{QUIT} = "DEFAULT";
open my $r, ">&=", 3 or exit 74; # perl closes it on exec: nothing of the job may hold it
my %e; while (@ARGV && (my $w = shift) ne "--") { my ($n, $v) = split /=/, $w, 2; $e{$n} = $v }
my $p = fork;
exit 71 unless defined $p;
if (!$p) { %ENV = %e; exec { $ARGV[0] } @ARGV or exit 127 }
waitpid $p, 0;
print $r $?;'

# Starts the job, waits for its leader, leaves "code signal" in `result` and wakes supervisor $1. The
# words: NAME=VALUE of its environment, --, what starts it.
wait_for_leader() {
    w_owner=$1
    shift
    w_result='- -'
    if has perl; then
        w_raw=$(perl -e "$WAIT" -- "$@" 3>&1 >>log 2>&1 </dev/null)
        if is_number "$w_raw"; then
            w_result="$((w_raw >> 8)) -"
            [ $((w_raw & 127)) -eq 0 ] || w_result="- $((w_raw & 127))"
        fi
    else
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
        env "$@" >>log 2>&1 </dev/null
        w_code=$?
        w_result="$w_code -"
        if [ $w_code -gt 128 ] && [ $w_code -le 192 ]; then
            w_result="- $((w_code - 128))"
        fi
    fi
    in_place result '%-14s.\n' "$w_result"
    kill -USR1 "$w_owner" 2>/dev/null
}

# Becomes the waiter: the job gets a session of its own and, of this environment, only the kept names.
launch() {
    l_owner=$1
    l_names=PATH,HOME,USER,LOGNAME,SHELL,LANG,LC_ALL,LC_CTYPE,LC_COLLATE,LC_MESSAGES,LC_NUMERIC,LC_TIME,TZ,$2
    # Where package managers put things that a login would have found.
    for l_dir in /usr/local/bin /opt/homebrew/bin /run/current-system/sw/bin \
        /nix/var/nix/profiles/default/bin "${HOME:-/nonexistent}/.nix-profile/bin"; do
        case :$PATH: in
        *:"$l_dir":*) ;;
        *) [ ! -d "$l_dir" ] || PATH=$PATH:$l_dir ;;
        esac
    done
    # The shell is spelled out: where it is looked for depends on whose PATH it is.
    set -- -- /bin/sh -c "$BECOME_JOB" sh
    if has setsid; then
        shift
        set -- -- setsid "$@"
    elif has perl; then
        shift
        set -- -- perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@"
    else
        set -m
    fi
    set -- "$COOKIE" "FORGE_LANES_STATE=$PWD" "FORGE_LANES_BOOT=$BOOT" "$@"
    while [ -n "$l_names" ]; do
        l_name=${l_names%%,*}
        l_names=${l_names#"$l_name"}
        l_names=${l_names#,}
        case $l_name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
        eval "l_set=\${$l_name+set}"
        [ -z "$l_set" ] || eval "set -- \"$l_name=\$$l_name\" \"\$@\""
    done
    wait_for_leader "$l_owner" "$@"
}

oom_kills() {
    OOM=0
    [ ! -r /proc/vmstat ] || OOM=$(grep '^oom_kill ' /proc/vmstat)
}

# Says on its stdout, which it then closes, whether it is the one: started, already, error WHY.
supervise() {
    timeout=$1 lease=$2 grace=$3 keep=$4
    boot_id
    start_time $$ || {
        echo 'error no_supervisor'
        exit 71
    }

    now
    until=-
    [ "$lease" -eq 0 ] || until=$((NOW + lease))

    # 1. Whatever may not fit on the disk comes before the claim.
    new=.new.$$
    {
        mkdir $new &&
            printf '%s %s %s\n' $$ "$START" "$BOOT" >$new/claim &&
            printf '%-251s....\n' - >$new/exit &&
            printf '%-14s.\n' - >$new/result &&
            printf '%-63s\n' - >$new/pid &&
            printf '%-31s\n' - >$new/why &&
            printf '%-15s\n' "$until" >$new/lease &&
            printf '%-15s\n' - >$new/cancel &&
            printf '%-15s\n' - >$new/hb &&
            : >$new/log
    } 2>/dev/null || {
        rm -rf $new
        echo 'error no_space'
        exit 74
    }

    # 2. The claim: a hard link is there or is not, and a second one fails.
    ln $new/claim claim 2>/dev/null || {
        rm -rf $new
        if [ -f claim ]; then echo already; else echo 'error no_space'; fi
        exit 75
    }
    # The record last: who sees it sees all of them.
    mv $new/result $new/pid $new/why $new/lease $new/cancel $new/hb $new/log $new/exit .
    rm -rf $new
    # The starter waits for this, unless it is gone.
    trap '' PIPE
    echo started
    exec >/dev/null
    trap - PIPE

    # 3. The job.
    now
    began=$CENTIS
    started=$(date +%s)
    until=0
    [ "$timeout" -eq 0 ] || until=$((NOW + timeout))
    oom_kills
    oom_before=$OOM
    cookie
    trap : USR1
    trap '' HUP
    (
        trap - USR1 HUP
        launch $$ "$keep"
    ) &
    waiter=$!

    # 4. Watch until the leader is gone or somebody wants it gone.
    KILLED=0
    reason=exited
    pause=0.2
    while :; do
        leader_ended && break
        now
        in_place hb '%-15s\n' "$NOW"
        if value cancel; then
            reason=cancelled
            end_tree "$VALUE"
        elif [ $until -ne 0 ] && [ "$NOW" -ge $until ]; then
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
        # USR1 ends the wait. Should it come a moment before, the sleep is over soon as well.
        sleep $pause 2>/dev/null &
        sleeper=$!
        wait $sleeper
        kill $sleeper 2>/dev/null
        case $pause in 0.2) pause=0.5 ;; 0.5) pause=1 ;; esac
    done

    # 5. Whatever the job left behind, then the verdict.
    kill_tree
    leader_ended || CODE=- SIGNAL=-
    evidence=none
    if [ "$CODE" != 0 ] && [ $reason = exited ]; then
        if [ "$SIGNAL" = 9 ] || [ "$CODE" = 137 ]; then
            oom_kills
            [ "$OOM" = "$oom_before" ] || evidence=oom
        fi
        { printf '%8192s' - >.probe; } 2>/dev/null || evidence=disk_full
        rm -f .probe
    fi
    if [ $reason = exited ] && read -r why w_rest <why; then
        case $why in not_found | not_executable | no_working_dir | broken) reason=$why ;; esac
    fi
    [ ! -f env ] || rm -f env
    now
    in_place exit '%-251sEND.\n' "1 code=$CODE signal=$SIGNAL reason=$reason evidence=$evidence\
 killed=$KILLED started=$started ended=$((started + (CENTIS - began) / 100)) elapsed_ms=$(((CENTIS - began) * 10))"
}

leader_ended() {
    read -r CODE SIGNAL l_end 2>/dev/null <result && [ "$l_end" = . ]
}

# ---------------------------------------------------------------------------------------- the verbs

start() {
    if [ -f claim ]; then
        echo already
        return 0
    fi
    [ -f cmd ] || fail no_cmd
    timeout=0 lease=0 grace=5 keep=
    for option; do
        case $option in
        timeout=* | lease=* | grace=*)
            is_number "${option#*=}" || fail "bad_option $option"
            eval "${option%%=*}=\${option#*=}"
            ;;
        keep=*) keep=${option#*=} ;;
        *) fail "bad_option $option" ;;
        esac
    done
    # The supervisor holds nothing of this process but the pipe, which ends when it has claimed the job.
    set -- sh "$SHIM" supervise . $timeout $lease $grace "$keep"
    answer=$(
        if has setsid; then
            setsid "$@" </dev/null 2>/dev/null &
        elif has perl; then
            perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@" </dev/null 2>/dev/null &
        else
            set -m
            "$@" </dev/null 2>/dev/null &
        fi
    )
    if [ "$answer" = already ]; then
        # Who is told so finds the other's files.
        until [ -f exit ] || ! alive claim; do
            nap 0.01
        done
    fi
    echo "${answer:-error no_supervisor}"
    case $answer in started | already) ;; *) exit 1 ;; esac
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
    elif [ ! -f claim ]; then
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
            elif [ "$a_boot" != "$BOOT" ]; then
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
    [ -f claim ] || {
        printf '\n%s end %s\n' "$marker" "$(status)"
        return 0
    }
    until [ -f log ]; do
        alive claim || break
        nap 0.01
    done
    printf '\n'
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
        if [ $length -gt 0 ]; then
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
    if [ -f claim ] && ! verdict; then
        # Between the claim and the files there is a moment.
        tries=0
        until [ -f cancel ] || [ $tries -ge 100 ]; do
            tries=$((tries + 1))
            nap 0.02
        done
        if ! value cancel || [ "$1" -lt "$VALUE" ]; then
            in_place cancel '%-15s\n' "$1"
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
    if [ -f claim ] && ! verdict; then
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
    if [ -f claim ] && ! verdict; then
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

list() {
    set +f
    for l_dir in */*.*; do
        set -f
        [ -d "$l_dir" ] || continue
        l_line=$(cd "$l_dir" && status) && printf '%s %s\n' "$l_dir" "$l_line"
    done
}

# ---------------------------------------------------------------------------------------- the turns

# Runs the words with the directory's lock held; it is let go by whatever ends this process.
locked() {
    if has flock; then
        (flock 9 && "$@") 9>>.lock
    elif has perl; then
        (perl -e 'open(my $f, ">&=", 9) && flock($f, 2) or exit 1' && "$@") 9>>.lock
    else
        fail no_flock
    fi
}

# Whether turn file $1 is nobody's, or ours.
is_free() {
    [ -s "$1" ] || return 0
    { read -r f_token f_boot f_until && IFS= read -r f_job; } <"$1" || return 0
    [ "$f_token" != "$token" ] || return 0
    # Who takes a job up again has its turn: nobody else is at it.
    [ "$f_job" = - ] || [ "$f_job" != "$job" ] || return 0
    # After another boot nothing of it runs.
    [ "$f_boot" = "$BOOT" ] || return 0
    is_number "$f_until" && [ "$NOW" -lt "$f_until" ] && return 1
    (cd "$f_job" 2>/dev/null && ! verdict && alive claim) && return 1
    # A job in a guest is seen by whoever made that.
    [ -f "$f_job/lives" ] && sh "$f_job/lives" </dev/null >/dev/null 2>&1 9>&- && return 1
    return 0
}

write_turn() {
    printf '%s %s %s\n%s\n' "$token" "$BOOT" $((NOW + $2)) "$3" >".new.$1" && mv -f ".new.$1" "$1"
}

take() {
    token=$1
    is_number "$2" && is_number "$4" || fail bad_number
    locked take_locked "$2" "$3" "$4" "$@"
}

take_locked() {
    seconds=$1 job=$2 places=$3
    shift 7
    now
    boot_id
    for group; do
        case $group in '' | */* | .*) fail bad_group ;; esac
        is_free "group.$group" || {
            echo "busy group.$group"
            return 0
        }
    done
    place=
    if [ "$places" -gt 0 ]; then
        place=0
        until is_free "place.$place"; do
            place=$((place + 1))
            [ $place -lt "$places" ] || {
                echo "busy place"
                return 0
            }
        done
    fi
    taken=
    for group; do
        write_turn "group.$group" "$seconds" "$job" || fail no_space
        taken="$taken group.$group"
    done
    if [ -n "$place" ]; then
        write_turn "place.$place" "$seconds" "$job" || fail no_space
        taken="$taken place.$place"
    fi
    echo "taken$taken"
}

hold() {
    token=$1
    is_number "$2" || fail bad_number
    locked hold_locked "$@"
}

hold_locked() {
    seconds=$2
    shift 2
    now
    boot_id
    for file; do
        case $file in '' | */* | .*) fail bad_file ;; esac
        { read -r f_token f_boot f_until && IFS= read -r f_job; } 2>/dev/null <"$file" &&
            [ "$f_token" = "$token" ] || {
            echo "lost $file"
            return 0
        }
        write_turn "$file" "$seconds" "$f_job" || fail no_space
    done
    echo held
}

drop() {
    token=$1
    locked drop_locked "$@"
}

drop_locked() {
    shift
    for file; do
        case $file in '' | */* | .*) continue ;; esac
        read -r f_token f_rest 2>/dev/null <"$file" || continue
        [ "$f_token" != "$token" ] || rm -f "$file"
    done
    echo dropped
}

[ $# -ge 2 ] || fail usage
verb=$1 directory=$2
shift 2
case $0 in
/*) SHIM=$0 ;;
*) SHIM=$PWD/$0 ;;
esac
case $directory in
/*) ;;
*) directory=./$directory ;;
esac
cd "$directory" 2>/dev/null || {
    case $verb in
    status | cancel | renew) echo "state=unknown log=0" ;;
    attach) printf '\n%s end state=unknown log=0\n' "${2:-}" ;;
    gc) echo removed ;;
    list) ;;
    *) fail no_directory ;;
    esac
    exit 0
}
case $verb in
start | status | attach | renew | cancel | gc | list | supervise | take | hold | drop) "$verb" "$@" ;;
*) fail "bad_verb $verb" ;;
esac
