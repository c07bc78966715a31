# Keeps secrets out of a log on its way to the disk. It is given needles once, then the output in pieces, and returns what
# is decided: a run of secret bytes is one mask, and what may become a secret is held back. The output is read as
# redact/reading.rs reads it, which says why. No single quote may be in here.
my (%sought, $covered, $masked);
my $held = "";
# For each reading: without what it changes nothing; what it takes for something else, for what (nothing: it is left out);
# how the beginning of such a thing looks at the end of a piece; and all of a text at once, of which only that is wanted.
my $escape = qr/\\{1,64}(?:u[dD][89abAB][0-9a-fA-F]{2}\\{1,64}u[dD][c-fC-F][0-9a-fA-F]{2}|u\{[0-9a-fA-F]{1,6}\}
    |u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|C-.|[0-3][0-7]{2}|E
    |M-(?:\\{1,64}(?:C-.|[tn])|\\{1,63}(?=\\)|[\x20-\x7e]))/xs;
my $entity = qr/&(?:amp|lt|gt|quot|apos|#[0-9]{1,9}|#[xX][0-9a-fA-F]{1,8});/;
my %readings = (
    L => [qr/[\n\r\\]/, qr/[\r\n][ \t]*|\\[nr]/, sub { "" }, qr/\\\z/, \&unfolded],
    P => [
        qr/[%+]/, qr/%[0-9a-fA-F]{2}|\+/, sub { $_[0] =~ /^(?:\+|%2[bB])/ ? " " : chr hex substr $_[0], 1 }, qr/%[0-9a-fA-F]?\z/,
        sub { $_[0] =~ s/%([0-9a-fA-F]{2})/chr hex $1/ger =~ tr:+: :r },
    ],
    E => [qr/&/, $entity, \&entity, qr/&[#a-zA-Z0-9]{0,10}\z/, sub { $_[0] =~ s/($entity)/entity($1)/ger }],
    Q => [
        qr/[\x27"\\\$]/,
        qr/$escape|\\{1,64}.?|[\x27"\$\n\t\r\x07\x08\x0b\x0c\x1b]/s,
        \&unquoted,
        qr/\\{1,64}(?:[uU]\{?[0-9a-fA-F]{0,7}(?:\\{1,64}u?[0-9a-fA-F]{0,3})?|x[0-9a-fA-F]?|C-?|M(?:-(?:\\{1,64}(?:C-?)?)?)?|[0-3][0-7]?)?\z/,
        sub { plain($_[0] =~ s/($escape)/unquoted($1)/ger) },
    ],
);
# The bytes of a character; nothing where there is no such one.
sub character {
    my $code = $_[0];
    return if $code > 0x10ffff || ($code >= 0xd800 && $code < 0xe000);
    my $c = chr $code;
    utf8::encode($c);
    $c;
}
sub entity {
    my %named = ("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", "\"", "&apos;", "\x27");
    return $named{$_[0]} if defined $named{$_[0]};
    my $c = character($_[0] =~ /^&#[xX](.*);/ ? hex $1 : $_[0] =~ /^&#(.*);/ ? $1 : 0x110000);
    defined $c ? $c : $_[0];
}
sub unquoted {
    my $c = $_[0];
    if ($c =~ s/^\\+//) {
        my $to = $c eq "E" ? "e"
            : $c =~ /^u(d[89ab]..)\\+u(....)/i ? character(0x10000 + ((hex($1) - 0xd800) << 10) + hex($2) - 0xdc00)
            : $c =~ /^u\{(.*)\}/ || $c =~ /^u(....)/i && length $c < 6 || $c =~ /^U(.*)/ ? character(hex $1)
            : $c =~ /^x(..)/ ? chr hex $1
            : $c =~ /^C-(.)/s ? ($1 eq "?" ? "\x7f" : chr(ord($1) & 31))
            : $c =~ /^M-\\+C-(.)/s ? chr($1 eq "?" ? 255 : ord($1) & 31 | 128)
            : $c =~ /^M-\\+([tn])/ ? ($1 eq "t" ? "\x89" : "\x8a")
            : $c =~ /^M-(.)/s ? chr(ord($1) | 128)
            : $c =~ /^([0-3]..)/ ? chr oct $1 : undef;
        $c = $to if defined $to;
    }
    plain($c);
}
# Without line breaks and what is behind them: at least all that the reading leaves out.
sub unfolded {
    my $t = $_[0];
    $t =~ s/\\[nr]//g if index($t, "\\") >= 0;
    $t =~ s/[\r\n][ \t]+//g;
    $t =~ tr/\r\n//d;
    $t;
}
# Without what quotes, and control characters as the letters that stand for them.
sub plain { $_[0] =~ tr/\x27"\\$//dr =~ tr/\n\t\r\x07\x08\x0b\x0c\x1b/ntrabvfe/r }
sub needles {
    my %all;
    # However many there are, the time that a look at the output takes is no more than that.
    ${^RE_TRIE_MAXBUF} = 1 << 26;
    for (split /,/, $_[0]) {
        my $reading = s/^([A-Z])// ? $1 : "";
        my $needle = pack "H*", $_;
        push @{$all{$reading}}, $needle if $needle ne "";
    }
    for my $reading (keys %all) {
        my @sorted = sort @{$all{$reading}};
        my %first = map { substr($_, 0, 1), 1 } @sorted;
        my ($longest, $head, %heads) = (0, 8);
        for (map { length } @sorted) { $longest = $_ if $_ > $longest; $head = $_ if $_ < $head }
        # The longest of those with one beginning come first.
        push @{$heads{substr $_, 0, $head}}, $_ for reverse @sorted;
        my $any = join "|", map { quotemeta } sort keys %heads;
        $sought{$reading} = {sorted => \@sorted, first => \%first, heads => \%heads, head => $head, any => qr/$any/, longest => $longest};
    }
    $covered = 0;
}
# From where on the end of a text may be the beginning of a needle.
sub undecided {
    my ($needles, $text) = @_;
    my ($n, $sorted) = (length $text, $needles->{sorted});
    for (my $i = $n < $needles->{longest} ? 0 : $n - $needles->{longest} + 1; $i < $n; $i++) {
        $needles->{first}{substr $text, $i, 1} or next;
        my ($t, $l, $r) = (substr($text, $i), 0, scalar @$sorted);
        while ($l < $r) { my $m = ($l + $r) >> 1; if ($sorted->[$m] le $t) { $l = $m + 1 } else { $r = $m } }
        return $i if $l < @$sorted && substr($sorted->[$l], 0, length $t) eq $t;
    }
    $n;
}
# What is held, in a reading; its pieces, each where it is there and here, and for what stands for something else the end of
# that; and where it ends. Nothing where the reading changes nothing.
sub reading_of {
    my ($reading, $last) = @_;
    my ($any, $other, $meaning, $torn) = @{$readings{$reading}};
    return if $held !~ $any;
    my ($view, $at, $out, @from) = ("", 0, 0);
    my $stop = !$last && $held =~ $torn ? $-[0] : length $held;
    pos($held) = 0;
    while ($held =~ /$other/g) {
        my ($s, $e) = ($-[0], $+[0]);
        last if $s >= $stop;
        if ($s > $at) { push @from, [length $view, $at]; $view .= substr $held, $at, $s - $at; $out = 0 }
        my $to = $meaning->(substr $held, $s, $e - $s);
        $out = $to eq "" ? $out + $e - $s : 0;
        $to = "\\" if $out > 256;
        if ($to ne "") { push @from, [length $view, $s, $e]; $view .= $to; $out = 0 }
        $at = $e;
    }
    if ($stop > $at) { push @from, [length $view, $at]; $view .= substr $held, $at, $stop - $at }
    ($view, \@from, $stop);
}
# Where what stands at a place of a view begins in what is held, and where it ends.
sub place {
    my ($from, $at) = @_;
    return ($at, $at + 1) if !$from;
    my ($l, $r) = (0, scalar @$from);
    while ($r - $l > 1) { my $m = ($l + $r) >> 1; if ($from->[$m][0] <= $at) { $l = $m } else { $r = $m } }
    my ($view, $s, $e) = @{$from->[$l]};
    defined $e ? ($s, $e) : ($s + $at - $view, $s + $at - $view + 1);
}
# A place of what is held, or where the escape begins that it is inside of.
sub boundary {
    my ($from, $stop, $at) = @_;
    return $stop if $stop < $at;
    my ($l, $r) = (0, scalar @$from);
    while ($l < $r) { my $m = ($l + $r) >> 1; if ($from->[$m][1] < $at) { $l = $m + 1 } else { $r = $m } }
    return $at if !$l;
    my ($view, $s, $e) = @{$from->[$l - 1]};
    defined $e && $e > $at ? $s : $at;
}
# The needle that a text has at a place, if it has one there; the longest.
sub needle_at {
    my ($needles, $text, $at) = @_;
    for my $needle (@{$needles->{heads}{substr $$text, $at, $needles->{head}}}) {
        return length $needle if substr($$text, $at, length $needle) eq $needle;
    }
    0;
}
# Takes away what is held but its end, if there is no secret in it in any reading: most output, at a fraction of the cost.
sub clear_part {
    my $at = length($held) - 4096;
    # No escape goes over a blank, unless it stands behind one of these.
    do { $at = rindex $held, " ", $at - 1 } until $at < 4096 || substr($held, $at - 1, 1) !~ /[\\-]/;
    return "" if $covered || $at < 4096;
    my $head = substr $held, 0, $at;
    for my $reading (keys %sought) {
        my ($needles, $view) = ($sought{$reading}, $head);
        if ($reading ne "") {
            if ($head =~ $readings{$reading}[0]) { $view = $readings{$reading}[4]->($head) } elsif ($reading ne "L") { next }
        }
        return "" if undecided($needles, $view) < length $view;
        my $any = $needles->{any};
        while ($view =~ /$any/g) {
            return "" if needle_at($needles, \$view, $-[0]);
            pos($view) = $-[0] + 1;
        }
    }
    substr $held, 0, $at, "";
    $masked = 0;
    $head;
}
sub redact {
    my ($bytes, $last) = @_;
    return $bytes if !%sought;
    $held .= $bytes;
    my $out = clear_part();
    my $end = length $held;
    my (@views, @all) = ();
    push @all, [0, $covered] if $covered;
    for my $reading (sort keys %sought) {
        my ($needles, $view, $from, $stop) = ($sought{$reading}, $held, undef, length $held);
        if ($reading ne "") {
            my @read = reading_of($reading, $last);
            # Lines that are not folded are read as they are.
            if (@read) { ($view, $from, $stop) = @read; push @views, [$from, $stop] } elsif ($reading ne "L") { next }
        }
        my $any = $needles->{any};
        pos($view) = 0;
        while ($view =~ /$any/g) {
            my $s = $-[0];
            pos($view) = $s + 1;
            my $length = needle_at($needles, \$view, $s) or next;
            my ($begin, $stop) = ((place($from, $s))[0], (place($from, $s + $length - 1))[1]);
            # The same run, so far.
            if (@all && $all[-1][0] <= $begin && $begin <= $all[-1][1]) {
                $all[-1][1] = $stop if $stop > $all[-1][1];
            } else {
                push @all, [$begin, $stop];
            }
        }
        next if $last;
        my $open = undecided($needles, $view);
        $open = $open < length $view ? (place($from, $open))[0] : $stop;
        $end = $open if $open < $end;
    }
    # No escape is torn: what goes on here is read as if it had never been cut.
    for (my $whole = -1; $whole != $end;) {
        $whole = $end;
        $end = boundary(@$_, $end) for @views;
    }
    return $out if !$end;
    my @found;
    for (sort { $::a->[0] <=> $::b->[0] } @all) {
        if (@found && $_->[0] <= $found[-1][1]) { $found[-1][1] = $_->[1] if $_->[1] > $found[-1][1] } else { push @found, $_ }
    }
    my $at = 0;
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
