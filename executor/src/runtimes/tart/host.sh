# The machine's half of a Tart guest: what needs `tart` itself, its locks and its records.
#
#   sh -c SCRIPT tart-host VERB WORDS…     answers in words on stdout; what tart said is on stderr
#
#   examine IMAGE                     "system S", "tart V", "image yes|no", "free KB"
#   slot NAME SECS                    "taken", or "busy NAMES…": one of the two slots for macOS guests
#   slots                             "N NAME RUN JOB SECS STATE" of each that is taken, SECS: how long it is still wanted
#   clone IMAGE NAME OWNER RUN JOB SECS CPU MEMORY DISK      "cloned", "not_ours", or "error WHAT CODE"
#   liveness NAME DIRECTORY           leaves there a script that says whether the guest runs: "left"
#   start NAME [ARGUMENT…]            runs it, detached: "started"
#   probe NAME                        "ready", "ended CODE", "not_yet CODE"
#   look NAME                         "STATE CODE": none, running, stopped, suspended or unknown; `run`'s end or -
#   stop NAME                         "STATE" after it
#   renew NAME SECS                   somebody still wants it
#   remove NAME OWNER                 "removed", or "error WHAT"; what OWNER did not make stays
#   list                              "NAME OWNER RUN JOB SECS STATE", SECS: how long it is still wanted
#   fetch NAME FILE SUM DIRECTORY     unpacks an archive of the guest: "fetched", or "error WHAT"
#   count DIRECTORY                   how many entries it has at any depth
#   share DIRECTORY                   "yes", or "no"
#   toolchain                         the Rust toolchain's directory, then "nix" if there is a store
#
# In ~/.forge-lanes/tart, for every executor that uses this machine: NAME.vm (who made it, written before it
# is made), NAME.log and NAME.end of its `tart run`, slot.0 and slot.1, .lock. A slot is somebody's until its
# time is over and, beyond that, for as long as the guest runs.

# shellcheck shell=sh disable=SC2016,SC2034 # scripts for other shells, and columns that are passed over
set -u
umask 077
set -f
PATH=$PATH:/opt/homebrew/bin:/usr/local/bin
export PATH
# Who only looks makes nothing.
[ "${1-}" != slots ] || [ -d "$HOME/.forge-lanes/tart" ] || exit 0
mkdir -p "$HOME/.forge-lanes/tart" && cd "$HOME/.forge-lanes/tart" || exit 1

# Others who can write here decide what is removed and whose the slots are: "untrusted WHY UID MODE USER PATH". A group of
# the user's own number is the user.
for o_path in "$HOME/.forge-lanes" "$HOME/.forge-lanes/tart"; do
    # shellcheck disable=SC2012 # POSIX has no other program that tells owner and mode
    LC_ALL=C ls -ldn "$o_path/." | {
        read -r o_mode o_links o_uid o_gid o_rest
        o_self=$(id -u) o_why=
        case $o_mode in ????????w*) o_why=writable ;; esac
        case $o_mode in ?????w*) [ "$o_gid" = "$o_self" ] || o_why=writable ;; esac
        [ "$o_uid" = "$o_self" ] || [ "$o_uid" = 0 ] || o_why=foreign
        [ -z "$o_why" ] || { echo "untrusted $o_why $o_uid $o_mode $(id -un) $o_path" && exit 1; }
    } || exit 1
done

has() {
    command -v "$1" >/dev/null 2>&1
}

# Runs the words with the directory's lock held; whatever ends this process lets go of it.
locked() {
    if has flock; then
        (flock 9 && "$@" 9>&-) 9>>.lock
    else
        (perl -e 'open(my $f, ">&=", 9) && flock($f, 2) or exit 1' && "$@" 9>&-) 9>>.lock
    fi
}

# STATE of guest $1, by what tart says of it.
state() {
    s_text=$(tart get "$1" --format json 2>/dev/null </dev/null)
    case $? in
    0) STATE=$(printf '%s' "$s_text" | tr -d ' \t\n' | sed -n 's/.*"State":"\([a-z]*\)".*/\1/p') ;;
    2) STATE=none ;;
    *) STATE=unknown ;;
    esac
    [ -n "$STATE" ] || STATE=unknown
}

# The code with which `run` of guest $1 ended, or nothing.
ended() {
    END=
    [ ! -s "$1.end" ] || read -r END <"$1.end"
}

# The last lines of `run`, for people.
tail_of() {
    tail -n 20 "$1.log" >&2 2>/dev/null
}

# OWNER RUN JOB UNTIL of guest $1.
record() {
    OWNER='' RUN='' JOB='' UNTIL=0
    read -r OWNER RUN JOB UNTIL 2>/dev/null <"$1.vm" && [ -n "$UNTIL" ]
}

write_record() {
    printf '%s %s %s %s\n' "$2" "$3" "$4" "$5" >".new.$1" && mv -f ".new.$1" "$1.vm"
}

examine() {
    echo "system $(uname -s)"
    version=$(tart --version </dev/null) || return
    echo "tart $version"
    names=$(tart list -q </dev/null) || return
    if printf '%s\n' "$names" | grep -qxF -e "$1"; then echo 'image yes'; else echo 'image no'; fi
    home=${TART_HOME:-$HOME/.tart}
    [ -d "$home" ] || home=$HOME
    df -Pk "$home" | tail -n 1 | {
        read -r d_name d_all d_used d_free d_rest
        echo "free $d_free"
    }
}

slot() {
    locked slot_locked "$@"
}

slots() {
    now=$(date +%s)
    for n in 0 1; do
        holder='' until=0
        [ ! -s "slot.$n" ] || read -r holder until <"slot.$n"
        [ -n "$holder" ] || continue
        state "$holder"
        if [ "$STATE" != running ] && [ "$STATE" != unknown ]; then
            [ "$now" -lt "$until" ] || continue
        fi
        # One that is only being made has no record yet.
        record "$holder" || RUN=- JOB=- UNTIL=$until
        echo "$n $holder ${RUN:--} ${JOB:--} $((UNTIL > now ? UNTIL - now : 0)) $STATE"
    done
}

slot_locked() {
    now=$(date +%s)
    free='' others=''
    for n in 0 1; do
        holder='' until=0
        [ ! -s "slot.$n" ] || read -r holder until <"slot.$n"
        if [ "$holder" = "$1" ]; then
            free=$n
            break
        fi
        if [ -n "$holder" ]; then
            state "$holder"
            if [ "$STATE" = running ] || [ "$STATE" = unknown ] || [ "$now" -lt "$until" ]; then
                others="$others $holder"
                continue
            fi
        fi
        [ -n "$free" ] || free=$n
    done
    if [ -z "$free" ]; then
        echo "busy$others"
        return
    fi
    printf '%s %s\n' "$1" $((now + $2)) >.new.slot && mv -f .new.slot "slot.$free" && echo taken
}

free_slot() {
    for n in 0 1; do
        holder=''
        [ ! -s "slot.$n" ] || read -r holder until <"slot.$n"
        [ "$holder" != "$1" ] || rm -f "slot.$n"
    done
}

# Cloning onto a name that exists replaces that guest without a word, so nobody may come in between.
clone() {
    locked clone_locked "$@"
}

clone_locked() {
    image=$1 name=$2 owner=$3 run=$4 job=$5 secs=$6 cpu=$7 memory=$8 disk=$9
    state "$name"
    if [ "$STATE" != none ]; then
        if record "$name" && [ "$OWNER $RUN $JOB" = "$owner $run $job" ]; then
            remove "$name" "$owner" >/dev/null
            state "$name"
        fi
        if [ "$STATE" != none ]; then
            echo not_ours
            return
        fi
    fi
    write_record "$name" "$owner" "$run" "$job" $(($(date +%s) + secs)) || return
    tart clone "$image" "$name" </dev/null >&2 || {
        echo "error clone $?"
        return
    }
    set --
    [ "$cpu" = - ] || set -- "$@" --cpu "$cpu"
    [ "$memory" = - ] || set -- "$@" --memory "$memory"
    if [ "$disk" != - ]; then
        has_gb=$(tart get "$name" --format json </dev/null | tr -d ' \t\n' | sed -n 's/.*"Disk":\([0-9]*\).*/\1/p')
        [ "${has_gb:-0}" -ge "$disk" ] || set -- "$@" --disk-size "$disk"
    fi
    [ $# -eq 0 ] || tart set "$name" "$@" </dev/null >&2 || {
        echo "error set $?"
        return
    }
    echo cloned
}

liveness() {
    mkdir -p "$2" && {
        printf "name='%s' PATH='%s'\n" "$1" "$PATH"
        [ -z "${TART_HOME:-}" ] || printf "export TART_HOME='%s'\n" "$TART_HOME"
        # Gone is 2; what tart cannot say may be.
        printf '%s\n' 'text=$(tart get "$name" --format json </dev/null)' 'code=$?' \
            'case $code$(printf %s "$text" | tr -d " \t\n") in 2*) exit 1 ;; 0*) ;; *) exit 0 ;; esac' \
            'case $(printf %s "$text" | tr -d " \t\n") in *\"State\":\"running\"*) ;; *) exit 1 ;; esac'
    } >"$2/lives" && echo left
}

RUN_IT='n=$1
shift
tart run "$n" --no-graphics "$@" >"$n.log" 2>&1 </dev/null &
printf "%s %s\n" $$ $! >"$n.pid"
wait $!
echo $? >"$n.end"'

start() {
    name=$1
    rm -f "$name.end" "$name.pid"
    : >"$name.log" || return
    if has setsid; then
        setsid sh -c "$RUN_IT" sh "$@" </dev/null >/dev/null 2>&1 &
    else
        perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' sh -c "$RUN_IT" sh "$@" </dev/null >/dev/null 2>&1 &
    fi
    echo started
}

probe() {
    ended "$1"
    if [ -n "$END" ]; then
        tail_of "$1"
        echo "ended $END"
        return
    fi
    if tart exec "$1" true </dev/null >&2; then
        echo ready
    else
        echo "not_yet $?"
    fi
}

look() {
    state "$1"
    ended "$1"
    tail_of "$1"
    echo "$STATE ${END:--}"
}

# Whether process $2 is one of guest $1: a number alone may be somebody else's by now.
is_of() {
    case $(ps -o command= -p "$2" 2>/dev/null) in *"$1"*) ;; *) return 1 ;; esac
}

stop() {
    state "$1"
    case $STATE in
    none | stopped) ;;
    *) tart stop "$1" -t 10 </dev/null >&2 ;;
    esac
    pids='' waits=0
    [ ! -s "$1.pid" ] || read -r pids <"$1.pid"
    # The one who waits for `run` leaves its end behind, and is gone.
    while [ -n "$pids" ] && is_of "$1" "${pids% *}" && [ $waits -lt 100 ]; do
        waits=$((waits + 1))
        sleep 0.1
        # A guest that list calls stopped may still be held by its `run`.
        [ $waits -ne 50 ] || ! is_of "$1" "${pids#* }" || kill -KILL "${pids#* }" 2>/dev/null
    done
    state "$1"
    echo "$STATE"
}

renew() {
    record "$1" && write_record "$1" "$OWNER" "$RUN" "$JOB" $(($(date +%s) + $2))
}

remove() {
    name=$1 tries=0
    if [ -e "$name.vm" ] && record "$name" && [ "$OWNER" != "$2" ]; then
        free_slot "$name"
        echo removed
        return
    fi
    while [ -e "$name.vm" ]; do
        state "$name"
        [ "$STATE" != none ] || break
        if [ $tries -ge 4 ]; then
            echo "error $STATE"
            return
        fi
        [ $tries -eq 0 ] || sleep 0.5
        tries=$((tries + 1))
        stop "$name" >/dev/null
        tart delete "$name" </dev/null >&2
    done
    [ ! -e "$name.vm" ] || stop "$name" >/dev/null
    free_slot "$name"
    rm -f "$name.vm" "$name.log" "$name.end" "$name.pid" ".new.$name"
    echo removed
}

list() {
    now=$(date +%s)
    set +f
    for file in *.vm; do
        set -f
        name=${file%.vm}
        record "$name" || continue
        state "$name"
        echo "$name $OWNER $RUN $JOB $((UNTIL > now ? UNTIL - now : 0)) $STATE"
    done
}

# Whole or not at all: the archive's sum was taken in the guest.
fetch() {
    rm -rf "$4" "$4.new" "$4.tar"
    mkdir -p "$4.new" || return
    tries=0
    until tart exec "$1" cat "$2" >"$4.tar" </dev/null; [ "$(cksum <"$4.tar")" = "$3" ]; do
        tries=$((tries + 1))
        if [ $tries -ge 3 ]; then
            free=$(df -Pk "$4.new" | tail -n 1 | { read -r f_name f_all f_used f_free f_rest; echo "$f_free"; })
            rm -rf "$4.new" "$4.tar"
            if [ "$free" -lt 64 ]; then echo 'error no_space'; else echo 'error incomplete'; fi
            return
        fi
    done
    if tar -xf "$4.tar" --no-same-owner -C "$4.new" && mv "$4.new" "$4"; then
        echo fetched
    else
        echo 'error unpack'
    fi
    rm -rf "$4.tar" "$4.new"
}

count() {
    find "$1" | wc -l
}

share() {
    if [ -d "$1" ]; then echo yes; else echo no; fi
}

toolchain() {
    PATH=$PATH:$HOME/.cargo/bin:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin
    found=$(rustc --print sysroot </dev/null) && [ -d "$found" ] || return
    (cd "$found" && pwd -P)
    [ ! -d /nix/store ] || echo nix
}

"$@"
