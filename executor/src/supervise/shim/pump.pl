# The reader of the pipe that a shell gives a job whose output is redacted: needles on descriptor 4, the output on
# stdin, the log on stdout, which closes the pipe to the job when it takes no more. It follows redact.pl. No single
# quote may be in here.
open(my $f, "<&=", 4) or exit 71;
my $l = <$f> // exit 71;
close $f;
chomp $l;
needles($l);
while (1) {
    my $n = sysread(STDIN, my $b, 131072) // next;
    $b = redact($b, !$n);
    my $o = 0;
    while ($o < length $b) { $o += syswrite(STDOUT, $b, length($b) - $o, $o) || exit 74 }
    last if !$n;
}
