# Keeps the plainest forms of secrets out of a log on its way to the disk. Every other form is looked for where the log
# is brought back to, which has more time. It is given needles once, then the output in pieces, and returns what is
# decided: a run of secret bytes is one mask, and what may become a secret is held back. No single quote may be in here.
my (@needles, $needles, $longest, %first, $covered, $masked);
my $held = "";
sub needles {
    @needles = sort grep { $_ ne "" } map { pack "H*", $_ } split /,/, $_[0];
    $longest = (sort { $b <=> $a } map { length } @needles)[0] // return;
    $first{substr $_, 0, 1} = 1 for @needles;
    my $any = join "|", map { quotemeta } sort { length $b <=> length $a } @needles;
    $needles = qr/$any/;
    $covered = 0;
}
# From where on the end of what is held may be the beginning of a needle.
sub undecided {
    my $n = length $held;
    my $i = $n < $longest ? 0 : $n - $longest + 1;
    for (; $i < $n; $i++) {
        $first{substr $held, $i, 1} or next;
        my ($t, $l, $r) = (substr($held, $i), 0, scalar @needles);
        while ($l < $r) { my $m = ($l + $r) >> 1; if ($needles[$m] le $t) { $l = $m + 1 } else { $r = $m } }
        return $i if $l < @needles && substr($needles[$l], 0, length $t) eq $t;
    }
    $n;
}
sub redact {
    my ($bytes, $last) = @_;
    return $bytes if !$needles;
    $held .= $bytes;
    my $end = $last ? length $held : undecided();
    return "" if !$end;
    my @found = $covered ? [0, $covered] : ();
    pos($held) = 0;
    while ($held =~ /$needles/g) {
        my ($s, $e) = ($-[0], $+[0]);
        if (@found && $s <= $found[-1][1]) { $found[-1][1] = $e if $e > $found[-1][1] } else { push @found, [$s, $e] }
        pos($held) = $s + 1;
    }
    my ($at, $out) = (0, "");
    $covered = 0;
    for (@found) {
        my ($s, $e) = @$_;
        last if $s >= $end;
        if ($s > $at) { $out .= substr $held, $at, $s - $at; $masked = 0 }
        $out .= "***" if !$masked;
        $masked = 1;
        $at = $e < $end ? $e : $end;
        $covered = $e - $at;
    }
    if ($at < $end) { $out .= substr $held, $at, $end - $at; $masked = 0 }
    substr $held, 0, $end, "";
    $out;
}
