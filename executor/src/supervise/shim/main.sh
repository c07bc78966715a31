# Where everything begins: as a program, or as the library of a shell that is kept.

# One verb, in a process or subshell of its own.
fl_verb() {
    set -u
    umask 077
    # Globs are wanted in one place only; nothing else may depend on what a directory holds.
    set -f
    [ $# -ge 2 ] || fail usage
    verb=$1 directory=$2
    shift 2
    case $directory in
    /*) ;;
    *) directory=./$directory ;;
    esac
    # It makes its own.
    [ "$verb" = run ] || cd "$directory" 2>/dev/null || {
        case $verb in
        status | cancel | renew) echo "state=unknown log=0" ;;
        attach) printf '\n%s end state=unknown log=0\n' "${2:-}" ;;
        join) printf '%s end state=unknown log=0\n' "${2:-}" ;;
        gc) echo removed ;;
        list | holders | free) ;;
        clear) printf 'removed %s\n' "$@" ;;
        *) fail no_directory ;;
        esac
        exit 0
    }
    case $verb in
    join) attach "$@" ;;
    supervise)
        options "$@"
        supervise
        ;;
    end) end_named "$@" ;;
    start | run | watch | status | attach | renew | cancel | gc | clear | list | take | hold | drop | holders | free)
        "$verb" "$@"
        ;;
    *) fail "bad_verb $verb" ;;
    esac
}

if [ -n "${FORGE_LANES_LIBRARY:-}" ]; then
    now
    FL_EPOCH=$(($(date +%s) - NOW))
else
    case $0 in
    /*) SHIM=$0 ;;
    *) SHIM=$PWD/$0 ;;
    esac
    fl_verb "$@"
fi
