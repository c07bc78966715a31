# The tree of a job: which processes are of it, and how it is ended.

# COOKIE: what every process of this directory's job has in its environment.
cookie() {
    { read -r c_pid c_start c_boot <claim; } 2>/dev/null || return 1
    is_number "$c_pid" && [ -n "$c_boot" ] || return 1
    COOKIE=FORGE_LANES_COOKIE=$c_pid-$c_start-$c_boot
}

# Prints the pids of the job's tree, the dead left out; one may come twice.
tree() {
    t_leader=
    [ -n "${COOKIE:-}" ] || return 0
    if { read -r t_pid t_start t_boot <pid; } 2>/dev/null && is_number "$t_pid"; then
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

# Ends the tree: TERM, $1 seconds, KILL. A cancel with less grace meanwhile is obeyed.
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
        if is_cancelled && [ $((NOW + VALUE)) -lt $e_until ]; then
            e_until=$((NOW + VALUE))
        fi
        [ "$NOW" -lt $e_until ] || break
        nap 0.05
    done
    kill_tree
}
