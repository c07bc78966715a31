# A shell that is to become one reads no further. Its words: SYSTEM SHIM HELLO.
[ "${FORGE_LANES_LIBRARY:-}" != serve ] || {
    well_known
    export PATH
    # No setting of the login turns bytes into characters here; a job may have asked for it.
    set -- "$@" "$NAMES" "${PERL5OPT:-}" "$PERL_REDACT"
    unset PERL5OPT
    exec perl -C0 -e "$PERL_SERVER" -- "$@"
}
