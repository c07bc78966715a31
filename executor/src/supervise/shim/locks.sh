# The slots and groups of a machine, which only one job has at a time. A slot is the file place.N, as it
# always was: executors of other versions must find each other's locks.

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

# Whether lock $1 is nobody's, or ours. If a script has to be asked that may take its time: ASK, and it is neither.
is_free() {
    ASK=
    [ -s "$1" ] || return 0
    { read -r f_token f_boot f_until && IFS= read -r f_job && { read -r f_since f_who || f_since=- f_who=-; }; } <"$1" || return 0
    # Padded, so that it can be written anew in its place.
    f_job=${f_job%"${f_job##*[! ]}"}
    [ "$f_token" != "$token" ] || return 0
    # A job that is resumed has its lock: nobody else is at it.
    [ "$f_job" = - ] || [ "$f_job" != "$job" ] || return 0
    # After another boot nothing of it runs.
    [ "$f_boot" = "$BOOT" ] || return 0
    is_number "$f_until" && [ "$NOW" -lt "$f_until" ] && return 1
    # Of nobody; and `cd -` would go anywhere.
    [ "$f_job" != - ] || return 0
    (cd "$f_job" 2>/dev/null && ! verdict && alive claim) && return 1
    # A job in a guest is seen only by its engine.
    [ -f "$f_job/lives" ] || return 0
    case $gone in *"$NL$f_token$NL"*) return 0 ;; esac
    case $living in *"$NL$f_token$NL"*) ;; *) ASK="$f_token $f_job" ;; esac
    return 1
}

# Writes lock $1: for $2 seconds, of job $3. The third line is for people and says since when it is whose; the first two are
# written anew in their places.
write_lock() {
    printf '%s %s %-15s\n%-511s\n%s' "$token" "$BOOT" $((NOW + $2)) "$3" "$4" >".new.$1" && mv -f ".new.$1" "$1"
}

# Says that $1 is somebody's, whose it is, and leaves a note that the caller waits for it; one that asks no more waits no more.
busy() {
    w_since=$NOW
    ! { { read -r w_rest w_boot w_first w_rest; } <"wait.$token"; } 2>/dev/null || [ "$w_boot" != "$BOOT" ] || w_since=$w_first
    [ "$who" = - ] || printf '%s %s %s %s %s %s\n%s\n' "$token" "$BOOT" "$w_since" $((NOW + 15)) "$who" "$1" "$job" >"wait.$token" 2>/dev/null || :
    case $f_since in
    '' | *[!0-9]*) echo "busy $1" ;;
    *) echo "busy $1 $((NOW - f_since)) $f_who $f_job" ;;
    esac
}

# The locks that the job here is started with are its own from now on: all of them, or none and which one is lost. Says
# `wanted` if somebody waits for a slot. Under the lock: nobody may take one between the look and the word.
own_locks() {
    now
    wanted=
    for lock; do
        file=${lock#*/}
        case $file in '' | */* | .*) fail bad_file ;; esac
        # The first line only: a shell reads byte by byte.
        { read -r f_token f_boot f_until <"$file"; } 2>/dev/null && [ "$f_token" = "${lock%%/*}" ] || {
            echo "lost $file"
            return 0
        }
        case $file in place.*) ! { value wanted && [ "$NOW" -lt "$VALUE" ]; } || wanted=wanted ;; esac
    done
    [ ${#directory} -gt 511 ] || for lock; do
        read -r f_token f_boot f_until <"${lock#*/}"
        printf '%s %s %-15s\n%-511s\n' "$f_token" "$f_boot" $((NOW + 60)) "$directory" 1<>"${lock#*/}"
    done
    echo "$wanted"
}

# Asks a job that only its own engine sees without the lock held: one that is slow keeps nobody else from theirs.
take() {
    token=$1
    is_number "$2" && is_number "$4" || fail bad_number
    gone=$NL living=$NL
    while :; do
        t_said=$(locked take_locked "$2" "$3" "$4" "$@")
        case $t_said in 'ask '*) ;; *)
            printf '%s\n' "$t_said"
            return
            ;;
        esac
        t_said=${t_said#ask }
        if sh "${t_said#* }/lives" </dev/null >/dev/null 2>&1; then
            living=$living${t_said%% *}$NL
        else
            gone=$gone${t_said%% *}$NL
        fi
    done
}

take_locked() {
    seconds=$1 job=$2 places=$3 who=-
    shift 7
    case ${1:-} in who=*)
        who=${1#who=}
        shift
        ;;
    esac
    now
    boot_id
    for group; do
        case $group in '' | */* | .*) fail bad_group ;; esac
        is_free "group.$group" || {
            if [ -n "$ASK" ]; then echo "ask $ASK"; else busy "group.$group"; fi
            return 0
        }
    done
    place='' ask=''
    if [ "$places" -gt 0 ]; then
        place=0
        until is_free "place.$place"; do
            ask=${ask:-$ASK}
            place=$((place + 1))
            [ $place -lt "$places" ] || [ -z "$ask" ] || {
                echo "ask $ask"
                return 0
            }
            [ $place -lt "$places" ] || {
                # An executor that keeps a slot for its next job gives it away while this is fresh.
                printf '%s\n' $((NOW + 5)) >wanted 2>/dev/null
                busy place
                return 0
            }
        done
    fi
    taken='' note=
    [ "$who" = - ] || note="$NOW $who$NL"
    [ ! -e "wait.$token" ] || rm -f "wait.$token"
    for group; do
        write_lock "group.$group" "$seconds" "$job" "$note" || fail no_space
        taken="$taken group.$group"
    done
    if [ -n "$place" ]; then
        write_lock "place.$place" "$seconds" "$job" "$note" || fail no_space
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
        { { read -r f_token f_boot f_until && IFS= read -r f_job && { IFS= read -r f_note || f_note=; }; } <"$file"; } 2>/dev/null &&
            [ "$f_token" = "$token" ] || {
            echo "lost $file"
            return 0
        }
        write_lock "$file" "$seconds" "$f_job" "${f_note:+$f_note$NL}" || fail no_space
    done
    echo held
}

# Says who has what and who waits for what, a line each; `-` is for what nobody knows.
holders() {
    now
    boot_id
    token=- job=- gone=$NL living=$NL
    set +f
    for h_file in group.* place.*; do
        [ -s "$h_file" ] || continue
        f_token=- f_until=- f_job=- f_since=- f_who=-
        is_free "$h_file"
        case $?$ASK in
        0) h_state=dead ;;
        1) h_state=job ;;
        # A job in a guest is seen only by its engine.
        *) if sh "$f_job/lives" </dev/null >/dev/null 2>&1; then h_state=job; else h_state=dead; fi ;;
        esac
        h_left=- h_held=-
        if [ $h_state = job ] && is_number "$f_until" && [ "$NOW" -lt "$f_until" ]; then
            h_state=held h_left=$((f_until - NOW))
        fi
        ! is_number "$f_since" || [ "$f_boot" != "$BOOT" ] || h_held=$((NOW - f_since))
        echo "lock $h_file $h_state $h_held $h_left $f_who $f_job"
    done
    for h_file in wait.*; do
        { { read -r w_rest w_boot w_since w_until w_who w_for && IFS= read -r w_job; } <"$h_file"; } 2>/dev/null || continue
        is_number "$w_since" && is_number "$w_until" || continue
        h_left=0
        [ "$w_boot" != "$BOOT" ] || [ "$NOW" -ge "$w_until" ] || h_left=$((w_until - NOW))
        echo "wait $h_file $w_for $((NOW - w_since)) $h_left $w_who $w_job"
    done
}

# Takes away what holders that are dead left, and says which it was.
free() {
    token=- job=- gone=$NL living=$NL
    for h_file; do
        case $h_file in group.?* | place.?* | wait.?*) ;; *) fail bad_file ;; esac
        case $h_file in */*) fail bad_file ;; esac
        now
        boot_id
        ASK=
        case $h_file in wait.*) ;; *) is_free "$h_file" ;; esac
        [ -z "$ASK" ] || sh "$f_job/lives" </dev/null >/dev/null 2>&1 || gone=$gone$f_token$NL
        locked free_locked "$h_file"
    done
}

free_locked() {
    now
    boot_id
    [ -s "$1" ] || return 0
    case $1 in
    wait.*)
        { read -r w_rest w_boot w_since w_until w_rest <"$1"; } 2>/dev/null || return 0
        [ "$w_boot" != "$BOOT" ] || [ "$NOW" -ge "$w_until" ] || return 0
        ;;
    *) is_free "$1" || return 0 ;;
    esac
    rm -f "$1" && echo "freed $1"
}

drop() {
    locked drop_locked "$@"
}

drop_locked() {
    while [ $# -ge 2 ]; do
        case $2 in
        '' | */* | .*) ;;
        *) { { read -r f_token f_rest <"$2"; } 2>/dev/null && [ "$f_token" = "$1" ] && rm -f "$2"; } || : ;;
        esac
        shift 2
    done
    echo dropped
}
