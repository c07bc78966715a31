# Keeps secrets out of a log on its way to the disk. It is given needles once, then the output in pieces, and returns what
# is decided: a run of secret bytes is one mask, and what may become a secret is held back. The output is read as
# redact/reading.rs reads it, which says why. No single quote may be in here.
my (%sought, $covered, $masked);
my $held = "";
# For each reading: without what it changes nothing; what it takes for something else, for what (nothing: it is left out),
# and how the beginning of such a thing looks at the end of a piece.
my %readings = (
    L => [qr/[\n\r\\]/, qr/[\r\n][ \t]*|\\[nr]/, sub { "" }, qr/\\\z/],
    P => [qr/[%+]/, qr/%[0-9a-fA-F]{2}|\+/, sub { $_[0] =~ /^(?:\+|%2[bB])/ ? " " : chr hex substr $_[0], 1 }, qr/%[0-9a-fA-F]?\z/],
    E => [qr/&/, qr/&(?:amp|lt|gt|quot|apos|#[0-9]{1,9}|#[xX][0-9a-fA-F]{1,8});/, \&entity, qr/&[#a-zA-Z0-9]{0,10}\z/],
    Q => [
        qr/[\x27"\\\$]/,
        qr/\\{1,64}(?:u[dD][89abAB][0-9a-fA-F]{2}\\{1,64}u[dD][c-fC-F][0-9a-fA-F]{2}|u\{[0-9a-fA-F]{1,6}\}
            |u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|C-.|[0-3][0-7]{2}|E)?|[\x27"\$\n\t\r\x07\x08\x0b\x0c\x1b]/xs,
        \&unquoted,
        qr/\\{1,64}(?:[uU]\{?[0-9a-fA-F]{0,7}(?:\\{1,64}u?[0-9a-fA-F]{0,3})?|x[0-9a-fA-F]?|C-?|[0-3][0-7]?)?\z/,
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
            : $c =~ /^([0-3]..)/ ? chr oct $1 : undef;
        $c = $to if defined $to;
    }
    $c =~ tr/\x27"\\$//d;
    $c =~ tr/\n\t\r\x07\x08\x0b\x0c\x1b/ntrabvfe/;
    $c;
}
sub needles {
    my %all;
    for (split /,/, $_[0]) {
        my $reading = s/^([A-Z])// ? $1 : "";
        my $needle = pack "H*", $_;
        push @{$all{$reading}}, $needle if $needle ne "";
    }
    for my $reading (keys %all) {
        my @sorted = sort @{$all{$reading}};
        my %first = map { substr($_, 0, 1), 1 } @sorted;
        # The longest of those with one beginning stand last. (A variable b that is no part of a sort is in system.pl.)
        my $any = join "|", map { quotemeta } reverse @sorted;
        my $longest = 0;
        for (@sorted) { $longest = length if length > $longest }
        $sought{$reading} = {sorted => \@sorted, first => \%first, any => qr/$any/, longest => $longest};
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
sub redact {
    my ($bytes, $last) = @_;
    return $bytes if !%sought;
    $held .= $bytes;
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
        pos($view) = 0;
        while ($view =~ /$needles->{any}/g) {
            my ($s, $e) = ($-[0], $+[0]);
            push @all, [(place($from, $s))[0], (place($from, $e - 1))[1]];
            pos($view) = $s + 1;
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
    return "" if !$end;
    my @found;
    for (sort { $::a->[0] <=> $::b->[0] } @all) {
        if (@found && $_->[0] <= $found[-1][1]) { $found[-1][1] = $_->[1] if $_->[1] > $found[-1][1] } else { push @found, $_ }
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
