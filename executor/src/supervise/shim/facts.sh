# What is known of this machine, its processes and the files of a job; the smallest tools.

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

# WALL: seconds since 1970. A library asked once how far that is from NOW.
wall() {
    if [ -n "${FL_EPOCH:-}" ]; then WALL=$((FL_EPOCH + NOW)); else WALL=$(date +%s); fi
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

# PID, START: of this process, which in a subshell is not $$.
myself() {
    if stat_of self; then
        START=${STAT##* }
        PID=${STAT%% *}
    else
        PID=$(exec sh -c 'echo $PPID')
        start_time "$PID"
    fi
}

# STAT: "PID STATE START" of process $1, where there is /proc. Its name, the second field, may hold anything: blanks,
# brackets, line breaks, bytes that are no characters. What comes after it is on the last line, behind the last bracket.
stat_of() {
    s_pid='' s_last=''
    {
        while IFS= read -r s_line; do
            s_pid=${s_pid:-${s_line%%' '*}}
            s_last=$s_line
        done <"/proc/$1/stat"
    } 2>/dev/null || return 1
    set -- ${s_last##*') '}
    [ $# -ge 20 ] || return 1
    STAT="$s_pid $1 ${20}"
}

# START: when process $1 started, since a pid alone may belong to somebody else by now. Fails for the dead.
start_time() {
    START=
    if [ -r /proc/self/stat ]; then
        stat_of "$1" || return 1
        case $STAT in *' Z '* | *' X '*) return 1 ;; esac
        START=${STAT##* }
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
    { read -r a_pid a_start a_boot a_rest <"$1"; } 2>/dev/null || return 1
    is_number "$a_pid" || return 1
    boot_id
    # Where it cannot be asked, as in a guest that is being ended, it is no other boot for certain.
    [ "$a_boot" = "$BOOT" ] || { [ "$BOOT" = unknown ] && return 1; } || return 2
    start_time "$a_pid" && [ "$START" = "$a_start" ]
}

# Whether somebody owns the directory.
is_claimed() {
    [ -f claim ] || return 1
    # It has its name before its content, for a moment.
    c_tries=0
    until [ -s claim ] || [ $c_tries -ge 500 ]; do
        c_tries=$((c_tries + 1))
        nap 0.02
    done
    [ -f claim ]
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

# Overwrites the line that file $1, of lines of fixed size, begins with, with $3 in format $2. Allocates nothing,
# so it works on a full disk.
in_place() {
    printf "$2" "$3" 1<>"$1"
}

# The same with its second line.
in_second_place() {
    { read -r i_rest <&4 && printf "$2" "$3" >&4; } 4<>"$1"
}

# Reads number file $1 into VALUE.
value() {
    VALUE=
    { read -r VALUE v_rest <"$1"; } 2>/dev/null && is_number "$VALUE"
}

# Reads the grace that somebody wants it cancelled with into VALUE.
is_cancelled() {
    VALUE=
    { { read -r v_rest && read -r VALUE v_rest; } <lease; } 2>/dev/null && is_number "$VALUE"
}

# RECORD: the exit record, if it is complete.
verdict() {
    { IFS= read -r RECORD <exit; } 2>/dev/null || RECORD=
    case $RECORD in '1 '*END.) ;; *)
        RECORD=
        return 1
        ;;
    esac
    RECORD=${RECORD#1 }
    RECORD=${RECORD%%  *}
}

# SIZE: of the log. `wc -c` of busybox reads all of it.
log_size() {
    SIZE=0
    [ -s log ] || return 0
    z_line=$(LC_ALL=C ls -ln log 2>/dev/null)
    set -- $z_line
    ! is_number "${5:-}" || SIZE=$5
}
