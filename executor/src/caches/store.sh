# Where caches lie on a machine, as functions for the `sh` there. `$s` is the store.
#
#   v1/new/<process>.<number>/            being published, or being removed
#   v1/<place>/<key>-<seconds>-<process>/ data/, dates, meta, used, synced
#
# An entry appears whole, by a rename, and is only ever copied: what a job writes is its own. What `meta` says of its
# files (their names, sizes and times) must be so, and the number of them and of their bytes in the copy; what is torn, of
# another format or somebody else's is no entry. Nobody waits for the disk: what was not on it (`synced`) when the machine
# went down is no entry either.

LC_ALL=C
export LC_ALL
umask 077
tab=$(printf '\t')

remove() {
    rm -rf "$1" 2>/dev/null
    [ -e "$1" ] || [ -L "$1" ] || return 0
    find "$1" -type d -exec chmod u+rwx {} \; 2>/dev/null
    rm -rf "$1"
}

# Whether the store can be used; `$why` not.
usable() {
    [ -e "$s" ] || [ -L "$s" ] || mkdir -p "$s" 2>/dev/null
    why=
    if [ -L "$s" ] || { [ -e "$s" ] && [ ! -d "$s" ]; }; then
        why='it is no directory'
    elif [ ! -d "$s" ]; then
        why='it cannot be made'
    elif [ ! -O "$s" ]; then
        why="it is another user's"
    else
        case $(ls -ld "$s") in
        ????????w*) why='anybody may write there' ;;
        ?????w*) why='its whole group may write there' ;;
        esac
    fi
    [ -z "$why" ]
}

if find / -prune -printf '' 2>/dev/null; then
    kinds() { find "$1" -printf '%y %s\n'; }
else
    kinds() { find "$1" -exec ls -ldn {} + | awk '{ print substr($1, 1, 1), $5 }'; }
fi

# measure DIR: the number of its entries, and the bytes of its files.
measure() {
    kinds "$1" 2>/dev/null | awk '{ n++ } $1 == "f" || $1 == "-" { b += $2 } END { printf "%d %.0f\n", n, b }'
}

# listing DIR: a checksum of what is there: kinds, sizes, times, names.
if find / -prune -printf '' 2>/dev/null; then
    listing() { (cd "$1" && find . -type f -printf 'f %s %T@ %p\n' -o -printf '%y %p\n') 2>/dev/null | sort | cksum; }
else
    listing() {
        (cd "$1" && find . -type f -exec ls -ln {} + && find . ! -type f) 2>/dev/null |
            awk '/^-/ { print $5, substr($0, index($0, "./")); next } 1' | sort | cksum
    }
fi

boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.bootsessionuuid 2>/dev/null)

# meta ENTRY: reads what is known of it into `$m_…`; `$why` it is none.
meta() {
    m_format= m_key= m_saved= m_entries= m_bytes= m_listing= m_dates= m_boot= m_end=
    why='it is not whole'
    [ -d "$1" ] && [ ! -L "$1" ] && [ -f "$1/meta" ] && [ -d "$1/data" ] && [ ! -L "$1/data" ] || return 1
    [ -O "$1" ] || { why="it is another user's" && return 1; }
    while IFS=$tab read -r m_word m_value; do
        case $m_word in
        format) m_format=$m_value ;;
        key) m_key=$m_value ;;
        saved) m_saved=$m_value ;;
        entries) m_entries=$m_value ;;
        bytes) m_bytes=$m_value ;;
        listing) m_listing=$m_value ;;
        dates) m_dates=$m_value ;;
        boot) m_boot=$m_value ;;
        end) m_end=yes ;;
        esac
    done <"$1/meta"
    [ "$m_format" = 1 ] || [ -z "$m_format" ] || { why='it is of another format' && return 1; }
    for m_value in "$m_saved" "$m_entries" "$m_bytes"; do
        case $m_value in '' | *[!0-9]* | 0?*) return 1 ;; esac
    done
    # What is longer is no time that a file can have.
    [ "${#m_saved}" -le 11 ] && [ "$m_end" = yes ] && [ -n "$m_key" ] || return 1
    [ -z "$m_boot" ] || [ "$m_boot" = "$boot" ] || [ -e "$1/synced" ] ||
        { why='the machine went down before it was on the disk' && return 1; }
    why=
}

# unchanged ENTRY: whether its files are those that were kept. What was kept before there was a list of them has none.
unchanged() {
    { [ -z "$m_listing" ] || [ "$(listing "$1/data")" = "$m_listing" ]; } &&
        { [ -z "$m_dates" ] || [ "$(cksum 2>/dev/null <"$1/dates")" = "$m_dates" ]; }
}

# newest PLACE PREFIX: its entries whose names begin so, the one that was kept last first. One that is from later than now
# is of a clock that was set back since: it comes after all others.
newest() {
    for n_entry in "$1/$2"*; do
        [ ! -d "$n_entry" ] || printf '%s\n' "${n_entry##*/}"
    done | awk -F- '{ print ($2 + 0 > now + 2 ? 0 : $2) "-" $2 "-" $3 "-" $0 }' now="$(date +%s)" |
        sort -t- -k1,1nr -k2,2nr -k3,3nr | head -n 4 | cut -d- -f4-
}

# layered DIR: whether nobody can tell layers above it from a copy: two names of one file would become two files, and
# overlayfs renames no directory whose path is longer than it notes.
layered() {
    [ "$layers" = yes ] &&
        find "$1" -type f -links +1 -exec ls -di {} + | awk 'seen[$1]++ { exit 1 }' &&
        (cd "$1" && find . -type d | awk 'length($0) > 200 { exit 1 }')
}

# copy FROM TO: shared blocks, shared files below layers (in `lower`), or a copy; `$way` says which.
copy() {
    way=reflink
    # Asked with one file: without an answer every file of a cache would be made and removed in vain.
    if cp --reflink=always "${1%/*}/meta" "$2/probe" 2>/dev/null; then
        cp -a --reflink=always "$1" "$2/data" 2>/dev/null && return
        remove "$2/data"
    fi
    rm -f "$2/probe"
    if layered "$1"; then
        way=overlay
        cp -al "$1" "$2/lower" 2>/dev/null && return
        remove "$2/lower"
    fi
    if [ "$(uname -s)" = Darwin ]; then
        way=reflink
        cp -cRp "$1" "$2/data" 2>/dev/null && return
        remove "$2/data"
    fi
    way=copy
    cp -a "$1" "$2/data" 2>/dev/null && return
    remove "$2/data"
    cp -Rp "$1" "$2/data" 2>/dev/null && return
    remove "$2/data"
    return 1
}

# give ENTRY TO: a copy of it that is whole.
give() {
    meta "$1" || return 1
    unchanged "$1" || { why='it is not what was kept' && return 1; }
    copy "$1/data" "$2" || { why='it cannot be copied' && return 1; }
    g_copied=$2/data
    [ "$way" != overlay ] || g_copied=$2/lower
    if [ "$(measure "$g_copied")" = "$m_entries $m_bytes" ] && { [ ! -e "$1/dates" ] || cp "$1/dates" "$2/old"; }; then
        date +%s 2>/dev/null >"$1/used"
        return 0
    fi
    remove "$g_copied"
    why='it is torn'
    return 1
}

# take NUMBER KEY FALLBACK LAYERS PLACE…: puts a cache, or an empty one, into `$d/NUMBER`, and says what it is.
take() {
    number=$1 key=$2 fallback=$3 layers=$4
    shift 4
    to=$d/$number
    if [ ! -s "$to/use" ]; then
        remove "$to"
        mkdir -p "$to" || return 1
        : >"$to/said"
        find_one "$@"
        printf 'cache\t%s\t%s\n' "$number" "$found" >>"$to/said"
        mv "$to/said" "$to/use" || return 1
    fi
    cat "$to/use"
}

find_one() {
    if ! usable; then
        printf 'note\t%s\tcaches of %s are not used: %s\n' "$number" "$s" "$why" >>"$to/said"
    else
        for f_kind in hit warm; do
            case $f_kind in
            hit) f_prefix=$key- && [ -n "$key" ] || continue ;;
            warm) f_prefix= && [ "$fallback" = yes ] || continue ;;
            esac
            for f_place; do
                for f_entry in $(newest "$s/v1/$f_place" "$f_prefix"); do
                    f_entry=$s/v1/$f_place/$f_entry
                    if give "$f_entry" "$to"; then
                        f_age=$(($(date +%s) - m_saved))
                        [ "$f_age" -ge 0 ] || f_age=0
                        printf '%s\n' "$m_saved" >"$to/saved"
                        found="$f_kind$tab$m_key$tab$f_place$tab$f_age$tab$m_bytes$tab$way"
                        return
                    fi
                    [ ! -e "$f_entry" ] ||
                        printf 'note\t%s\tthe kept %s is not used: %s\n' "$number" "$f_entry" "$why" >>"$to/said"
                done
            done
        done
    fi
    # Whatever user the job is.
    mkdir "$to/data" && chmod 755 "$to/data"
    found="cold$tab-$tab-${tab}0${tab}0${tab}new"
}

at() { date -u -d "@$1" +%Y%m%d%H%M.%S 2>/dev/null || date -u -r "$1" +%Y%m%d%H%M.%S; }

# dates NUMBER: when each file and directory that the job sees became what it is, as far as that cache can know. `tree`
# has a line for each: what it holds, and its path; in `dates` a time is before it. What the last job that the cache is
# of has not seen is newer than anything in the cache; where a link leads elsewhere, everything is, and where it cannot be
# told (`fresh`).
dates() {
    to=$d/$1
    [ ! -e "$to/dates" ] || return 0
    (find_dates) 2>/dev/null && return
    printf 'note\t%s\ttimes of files cannot be told from it: every file is new\n' "$1"
    : >"$to/fresh" && : >"$to/dates"
}

find_dates() {
    if [ -e "$to/saved" ]; then
        [ -e "$to/old" ] || : >"$to/old"
        now=$(date +%s)
        read -r d_saved <"$to/saved"
        # What is new is newer than the cache and older than what is made of it. A clock may have been set back.
        while [ "$now" -lt "$d_saved" ] && [ "$((d_saved - now))" -le 2 ]; do
            sleep 0.1 2>/dev/null || sleep 1
            now=$(date +%s)
        done
        [ "$now" -ge "$d_saved" ] || now=$d_saved
        awk '{ i = index($0, " ") }
            step == 1 { time[substr($0, i + 1)] = substr($0, 1, i - 1) }
            step == 2 && /^l/ && !($0 in time) { fresh = 1 }
            step == 3 { print ((!fresh && $0 in time) ? time[$0] : now) " " $0 }' \
            now="$(at "$now")" step=1 "$to/old" step=2 "$d/tree" step=3 "$d/tree" >"$to/.dates" || return 1
    else
        sed 's/^/200001010000.00 /' "$d/tree" >"$to/.dates" || return 1
    fi
    mv "$to/.dates" "$to/dates"
}

# date_files DIR: gives the files there the times that `dates` found, the newest where caches differ; one that no list
# has is new. Nothing of git's own is touched, whose list of the files learns their times.
date_files() {
    latest=$(date +%s)
    for dated in "$d"/*/saved; do
        { [ -e "$dated" ] && read -r d_saved <"$dated" && [ "$d_saved" -gt "$latest" ] && latest=$d_saved; } || :
    done
    latest=$(at "$latest") && all_new "$1" || return 1
    is_fresh=
    for dated in "$d"/*/fresh; do [ ! -e "$dated" ] || is_fresh=yes; done
    [ -n "$is_fresh" ] || (as_dated "$1") 2>/dev/null || { printf 'undated\n' && all_new "$1"; } || return 1
    [ ! -e "$1/.git" ] || git -C "$1" update-index -q --refresh >/dev/null 2>&1 || :
}

all_new() { (cd "$1" && TZ=UTC0 find . -path ./.git -prune -o -type f -exec touch -t "$latest" {} +); }

as_dated() {
    remove "$d/dated"
    mkdir "$d/dated" || return 1
    cat "$d"/*/dates | awk '{
            i = index($0, " "); time = substr($0, 1, i - 1)
            rest = substr($0, i + 1); path = substr(rest, index(rest, " ") + 1)
            if (rest ~ /^l/) next
            if (!(path in newest) || time "" > newest[path] "") newest[path] = time
        } END { for (path in newest) print newest[path] " " path }' | sort | dated=$d/dated awk '{
            i = index($0, " "); time = substr($0, 1, i - 1)
            if (time != last) { if (last != "") close(file); file = ENVIRON["dated"] "/" time; last = time }
            print substr($0, i + 1) >file
        }' || return 1
    for dated in "$d"/dated/*; do
        [ -e "$dated" ] || continue
        tr '\n' '\0' <"$dated" | { cd "$1" && TZ=UTC0 xargs -0 touch -c -t "${dated##*/}"; } || return 1
    done
    remove "$d/dated"
}

# latest_in DIR: the newest time that anything there has, in seconds.
if stat -c %Y / >/dev/null 2>&1; then
    latest_in() { find "$1" -exec stat -c %Y {} +; }
else
    latest_in() { find "$1" -exec stat -f %m {} +; }
fi

# save NUMBER PLACE KEY MOST GIVEN WORKSPACE BELOW: keeps the directory that was given, or BELOW of the workspace where
# it was moved there; `$facts` is what else is known of it.
save() {
    number=$1 place=$s/v1/$2 key=$3 most=$4 root=$5 below=data
    [ -d "$root/data" ] || { root=$6 && below=$7; }
    not() {
        [ -z "${new-}" ] || remove "$new"
        printf 'not\t%s\t%s\n' "$number" "$1"
    }
    new=
    from=$(cd "$root/$below" 2>/dev/null && pwd -P)
    if [ -z "$from" ] || [ "$from" != "$(cd "$root" && pwd -P)/$below" ]; then
        not 'the job left no directory there'
        return
    fi
    usable || { not "$s cannot be used: $why" && return; }
    measured=$(measure "$from")
    entries=${measured% *} bytes=${measured#* }
    [ "$bytes" -le "$most" ] || { not "it has $bytes bytes, $most are allowed" && return; }
    new=$s/v1/new/$$.$number
    remove "$new"
    # Where it lies elsewhere a move is a copy.
    { mkdir -p "$new" "$place" && mv "$from" "$new/data" && [ "$(measure "$new/data")" = "$measured" ]; } 2>/dev/null ||
        { not 'it could not be moved there: no room, or no right to write' && return; }
    seconds=$(date +%s)
    # What a job dates ahead is no newer than what changes after it.
    latest=$(latest_in "$new/data" 2>/dev/null | awk '$1 > m { m = $1 } END { printf "%.0f\n", m }')
    [ "$latest" -ge "$seconds" ] 2>/dev/null || latest=$seconds
    [ "$latest" -le "$((seconds + 315360000))" ] || { not 'a file of it has a time that is years ahead' && return; }
    {
        [ ! -e "$d/$number/dates" ] || cp "$d/$number/dates" "$new/dates"
    } && {
        dated=
        [ ! -e "$new/dates" ] || dated=$(cksum <"$new/dates")
        printf 'format\t1\n%skey\t%s\nsaved\t%s\nentries\t%s\nbytes\t%s\nlisting\t%s\ndates\t%s\nboot\t%s\nend\t\n' \
            "$facts" "$key" "$((latest + 1))" "$entries" "$bytes" "$(listing "$new/data")" "$dated" "$boot" >"$new/meta"
    } && printf '%s\n' "$seconds" >"$new/used" && [ ! -e "$place/$key-$seconds-$$" ] &&
        mv "$new" "$place/$key-$seconds-$$" ||
        { not 'it could not be written there' && return; }
    new=
    written "$place/$key-$seconds-$$"
    # Those before it, and those of a clock that was set back since. Of two in one second one stays, whoever comes last.
    for other in "$place/$key"-*; do
        other_process=${other##*-} other_seconds=${other#"$place/$key-"}
        other_seconds=${other_seconds%%-*}
        [ "$other_seconds" -lt "$seconds" ] || [ "$other_seconds" -gt "$((seconds + 2))" ] ||
            { [ "$other_seconds" -eq "$seconds" ] && [ "$other_process" -lt "$$" ]; } || continue
        mkdir -p "$s/v1/new" && mv "$other" "$s/v1/new/$$.old" && remove "$s/v1/new/$$.old"
    done 2>/dev/null
    printf 'saved\t%s\t%s\n' "$number" "$bytes"
}

# written ENTRY: notes that it is on the disk, as soon as it is; nobody waits for that, and no run answers for it.
written() {
    (cd "$1" && { sync -f . 2>/dev/null || sync; } && : >synced) </dev/null >/dev/null 2>&1 &
}

# list WHOLE: every entry with what is known of it; with `whole`, whether it is that. What is another user's is left out.
list() {
    [ -d "$s/v1" ] && usable || return 0
    for new in "$s/v1/new"/*; do
        [ -O "$new" ] || continue
        process=${new##*/}
        kill -0 "${process%%.*}" 2>/dev/null || printf 'unfinished\t%s\n' "$new"
    done
    for entry in "$s/v1"/*/*-*-*; do
        is_ours "${entry%/*}" || continue
        [ -L "$entry" ] || [ -O "$entry" ] || continue
        if meta "$entry" && { [ "$1" != whole ] || { unchanged "$entry" && [ "$(measure "$entry/data")" = "$m_entries $m_bytes" ]; }; }; then
            printf 'entry\t%s\n' "$entry"
            cat "$entry/meta"
            printf 'used\t%s\n' "$(cat "$entry/used" 2>/dev/null)"
        else
            printf 'damaged\t%s\n' "$entry"
        fi
    done
}

# is_ours PLACE: whether that is the name of one.
is_ours() {
    case ${1#"$s/v1/"} in '' | *[!0-9a-f]*) return 1 ;; esac
}

# drop PATH: removes one thing that `list` named. It is moved away first: nobody finds half of it.
drop() {
    usable || return 1
    case ${1#"$s/v1/"} in
    */ | */.* | */*/*) return 1 ;;
    esac
    case $1 in
    "$s/v1/new/"?*) remove "$1" ;;
    "$s/v1/"*/*-*-*)
        is_ours "${1%/*}" || return 1
        mkdir -p "$s/v1/new" && mv "$1" "$s/v1/new/$$.gone" && remove "$s/v1/new/$$.gone"
        rmdir "${1%/*}" 2>/dev/null
        [ ! -e "$1" ]
        ;;
    *) return 1 ;;
    esac
}
