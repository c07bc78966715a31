# The redacting reader of a machine without perl: one piece of output at a time, as redact.pl does it. Bytes are octal
# escapes, so that none of them means anything to awk. Lines: the needles, a comma between; `COVERED MASKED +HELD` as it
# was returned for the piece before; the piece, empty at the end. Prints `+OUTPUT COVERED MASKED +HELD`. No single quote
# may be in here.
NR == 1 { m = split($0, needle, ",") }
NR == 2 { covered = $1; masked = $2; text = substr($3, 2) }
NR == 3 { sub(/[^0-7]+$/, ""); last = $0 == ""; text = text $0 }
END {
    ORS = ""
    head = 24
    for (j = 1; j <= m; j++) {
        if (length(needle[j]) < head) head = length(needle[j])
        if (length(needle[j]) > longest) longest = length(needle[j])
    }
    for (j = 1; j <= m; j++) {
        first[substr(needle[j], 1, 4)] = first[substr(needle[j], 1, 4)] " " j
        heads[substr(needle[j], 1, head)] = heads[substr(needle[j], 1, head)] " " j
        if (m > 100 || index(text, needle[j])) some = 1
    }
    # From where on the end of it may be the beginning of a needle.
    n = length(text)
    end = n
    for (i = n < longest ? 0 : n - longest + 4; i < end && !last; i += 4) {
        c = substr(text, i + 1, 4)
        if (!(c in first)) continue
        tail = substr(text, i + 1)
        k = split(first[c], here, " ")
        for (q = 1; q <= k; q++) if (substr(needle[here[q]], 1, n - i) == tail) { end = i; break }
    }
    # Runs of secret bytes, from and to. In blocks: some awks look for the end of a text that a part is taken of.
    if (covered) { runs = 1; from[1] = 0; to[1] = covered }
    for (b = 0; b < n && some; b += 512) {
        block = substr(text, b + 1, 512 + head)
        for (i = 0; i < 512; i += 4) {
            h = substr(block, i + 1, head)
            if (!(h in heads)) continue
            best = 0
            k = split(heads[h], here, " ")
            for (q = 1; q <= k; q++) {
                l = length(needle[here[q]])
                if (l > best && substr(text, b + i + 1, l) == needle[here[q]]) best = l
            }
            if (!best) continue
            if (!runs || b + i > to[runs]) { from[++runs] = b + i; to[runs] = 0 }
            if (b + i + best > to[runs]) to[runs] = b + i + best
        }
    }
    print "+"
    at = 0
    covered = 0
    for (r = 1; r <= runs && from[r] < end; r++) {
        if (from[r] > at) { print substr(text, at + 1, from[r] - at); masked = 0 }
        if (!masked) print "\\052\\052\\052"
        masked = 1
        at = to[r] < end ? to[r] : end
        covered = to[r] - at
    }
    if (at < end) { print substr(text, at + 1, end - at); masked = 0 }
    print " " covered " " masked + 0 " +" substr(text, end + 1) "\n"
}
