# Keeps secrets out of the log where there is no perl: what pump.pl does, with awk, some pieces of output a second.

# stdin to stdout, without what $masks says. Every byte is an octal escape on the way: no awk and no shell takes all of
# them as they are. Nothing secret is an argument, printf being the shell's own.
redact() {
    r_needles=$(printf '%s\n' "$masks" | LC_ALL=C awk '{
        n = split($0, all, ",")
        for (j = 1; j <= n; j++) {
            # Output is not read in any other way here; lines that are not folded are read as they are.
            if (sub(/^L/, "", all[j]) + 0 == 0 && all[j] ~ /^[A-Z]/) continue
            if (m++) printf ","
            for (i = 1; i < length(all[j]); i += 2) {
                v = 16 * index("123456789abcdef", substr(all[j], i, 1))
                v += index("123456789abcdef", substr(all[j], i + 1, 1))
                printf "\\%d%d%d", v / 64, v / 8 % 8, v % 8
            }
        }
    }')
    r_state='0 0 +'
    while :; do
        r_piece=$(dd bs=24576 count=1 2>/dev/null | LC_ALL=C od -An -v -to1 | tr -s ' \n' "\\\\\\\\")
        r_said=$(printf '%s\n' "$r_needles" "$r_state" "$r_piece" | LC_ALL=C awk "$AWK_REDACT")
        set -- $r_said
        [ $# -eq 4 ] || return 71
        printf "${1#+}" || return 74
        [ -n "$r_piece" ] || return 0
        r_state="$2 $3 $4"
    done
}

# Whether $masks can be kept out of a log here; what is not tried is not believed. The bound: without perl each piece of
# output costs as much as there is to look for.
can_redact() {
    has perl || {
        [ ${#masks} -le 1000000 ] &&
            [ "$(masks=616263646566 && printf 'xabc%sabcy' def | redact 2>/dev/null)" = 'x***abcy' ]
    }
}
