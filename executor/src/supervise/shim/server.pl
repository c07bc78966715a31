# A perl that stays and is asked for many jobs, for the price of two forks each. A job of it needs no shell and its
# directory is not there yet: a child makes and claims that, writes what comes before the job, starts it and waits for it,
# as its supervisor. Whatever is not an end with status 0 within a second is left to a shell: `watch` for the supervisor,
# `join` for a follower. It follows system.pl, and is given redact.pl, which only a job with secrets reads. No single quote
# may be in here.
my ($c, $shim, $hello, $names, $opt, $redact) = @ARGV;
$ENV{PERL5OPT} = $opt if $opt ne "";
umask 077;
numbers($c);
chomp(my $boot = line("/proc/sys/kernel/random/boot_id"));
sub out {
    my ($o, $l) = (0, length $_[0]);
    while ($o < $l) { $o += syswrite(STDOUT, $_[0], $l - $o, $o) // exit 1 }
}
sub sh {
    my $k = fork // return;
    if (!$k) { open STDIN, "<", "/dev/null"; exec "sh", $shim, @_; exit 71 }
    waitpid $k, 0;
}
# Since the system started, as /proc/uptime says it (CLOCK_BOOTTIME is 7).
sub centis {
    my $t = pack "x16";
    if (@n && syscall($n[5], 7, $t) == 0) { my ($s, $ns) = unpack "q2", $t; return $s * 100 + int($ns / 1e7) }
    my ($u) = split / /, line("/proc/uptime");
    int($u * 100 + 0.5);
}
sub now { int(centis() / 100) }
# The exit record of a directory, if it is complete; and writing one where its place is kept.
sub record { line("$_[0]/exit") =~ /^1 (.*?) *END\.$/ ? $1 : undef }
sub judge { put("exit", sprintf("%-251sEND.\n", "1 $_[0]"), "+<") }

# The supervisor of one job.
my ($d, %q, $h, $watcher, $told, $due, @at, $from, $log, $bell, $lost);
sub leave { syscall($n[4], 0) } # perl tidies up, in pages that it shares with its parent
sub nay { syswrite $_[0], "$_[1]\n"; leave() }
sub stop { put("$d/why", sprintf "%-31s\n", $_[0]); syswrite STDOUT, "$_[1]\n"; exit 126 }
sub become {
    my @w = @_;
    $SIG{$_} = "DEFAULT" for "HUP", "PIPE", "USR1", "ALRM";
    my $dir = shift @w;
    %e = map { exists $ENV{$_} ? ($_, $ENV{$_}) : () } grep { /^[A-Za-z_]\w*$/ } split /,/, "$names,$q{keep}";
    words(\@w);
    $e{FORGE_LANES_COOKIE} = $at[0];
    syscall($n[0]);
    leader($boot);
    $q{view} eq "" || view($q{view}) or stop("broken", "cannot mount $q{view}");
    umask 022;
    chdir $dir or stop("no_working_dir", "no such working directory: $dir");
    my $x = $w[0];
    if ($x =~ m{/}) {
        -e $x or stop("not_found", "no such program: $x");
        -f _ && -x _ or stop("not_executable", "not an executable file: $x");
    } else {
        ($x) = grep { -f && -x _ } map { $_ eq "" ? $x : "$_/$x" } split /:/, $e{PATH} // "";
        defined $x or stop("not_found", "no such program on PATH: $w[0]");
    }
    %ENV = %e; exec { $x } @w;
    stop("not_executable", "$x: $!");
}
# Has a shell watch, and wakes it every second. It closes what it says when nobody of the job is left.
sub wake {
    if (!$watcher) {
        pipe my $in, $h;
        pipe $told, my $says;
        $watcher = fork;
        if (defined $watcher && !$watcher) {
            open STDIN, "<&", $in;
            open STDOUT, ">&", $says;
            open STDERR, ">", "/dev/null";
            exec "sh", $shim, "watch", $d, "timeout=$q{timeout}", "grace=$q{grace}", "began=$at[1]", "started=$at[2]";
            exit 71;
        }
    }
    syswrite $h, "\n";
    tick();
}
# The output of the job is a pipe, of which this is the reader, who owns the log: a job that opens its output anew
# cannot shorten that. Takes one piece; false: there is none. A log that takes no more is a closed pipe to the job.
sub take {
    $from or return 0;
    my $v = "";
    vec($v, fileno $from, 1) = 1;
    select($v, undef, undef, 0) > 0 or return 0;
    piece();
    1;
}
sub piece {
    my $l = sysread($from, my $b, 131072) // return;
    undef $from if !$l || !keep(masked($b));
}
sub masked { $q{masks} eq "" ? $_[0] : redact(@_) }
sub keep {
    my $o = 0;
    while ($o < length $_[0]) { $o += syswrite($log, $_[0], length($_[0]) - $o, $o) || return !($lost = 1) }
    1;
}
# Takes what is in the pipe when nobody of the job is left to write; somebody else may have it open for ever.
sub drain {
    for (1 .. 64) { take() or last }
    keep(masked("", 1));
}
# Sleeps until there is output, a child ended, the watcher closed what it says, or a signal came.
sub attend {
    my $v = "";
    for ($from, $bell, $told) { vec($v, fileno $_, 1) = 1 if $_ }
    return if select($v, undef, undef, undef) < 0;
    sysread $bell, my $rung, 4096 if vec($v, fileno $bell, 1);
    undef $told if $told && vec($v, fileno $told, 1) && !sysread $told, my $said, 4096;
    piece() if $from && vec($v, fileno $from, 1);
}
sub output {
    pipe($from, my $to) && pipe($bell, my $ring) or return;
    fcntl($to, 1031, 1 << 20); # F_SETPIPE_SZ: more is only faster
    $SIG{CHLD} = sub { syswrite $ring, "." if $from || $told };
    $to;
}
sub supervise {
    my ($t, @job) = @_;
    $SIG{HUP} = $SIG{PIPE} = "IGNORE";
    $SIG{USR1} = $SIG{ALRM} = sub { $due = 1 };
    open STDIN, "<", "/dev/null";
    open STDOUT, ">", "/dev/null";
    open STDERR, ">", "/dev/null";
    my @o = stat_of("self");
    $boot ne "" && @o or nay($t, "error no_supervisor");
    if (!mkdir($d) && !-d $d) {
        my $m = "";
        for (split m{/}, $d) { $m .= "$_/"; mkdir $m }
    }
    mkdir for "$d/tmp", "$d/artifacts";
    (-d "$d/artifacts" && chdir $d) or nay($t, "error $!");
    if (!-e "claim") {
        if ($q{over} ne "" && -e $q{over}) {
            rmdir for "tmp", "artifacts", $d, $d =~ s{/[^/]*$}{}r;
            nay($t, "error the attempt is over");
        }
        $q{owner} eq "" || -s "../owner" || put("../owner", "$q{owner}\n") or nay($t, "error no_space");
        $q{tree} eq "" || -d $q{tree} or nay($t, "error the source tree is gone");
    }
    sysopen(my $f, "claim", 0301, 0600) or nay($t, -e "claim" ? "already" : "error no_space");
    @at = ("$$-$o[19]-$boot");
    my $until = $q{lease} ? now() + $q{lease} : "-";
    my $i = "$$ $o[19] $boot\n$q{uses}\n";
    if (!(syswrite($f, $i) == length $i && close($f) && put("pid", sprintf "%-63s\n%-28s.\n", "-", "-")
        && put("lease", sprintf "%-15s\n%-15s\n", $until, "-") && open($log, ">>", "log")
        && put("exit", sprintf "%-251s....\n", "-"))) {
        unlink "pid", "lease", "log", "exit", "claim";
        nay($t, "error no_space");
    }
    if ($q{ready} ne "") {
        my $k = open(my $h, "-|") // nay($t, "error no_supervisor");
        if (!$k) { open STDERR, ">&STDOUT"; exec "/bin/sh", "-c", $q{ready}; leave() }
        my @said = <$h>;
        if (!close $h) {
            judge("code=- signal=- reason=broken evidence=none killed=0 started=0 ended=0 elapsed_ms=0");
            chomp(my $why = $said[-1] // "");
            nay($t, "error $why");
        }
    }
    @at[1, 2] = (centis(), time);
    $q{masks} eq "" || eval "$redact\n; needles(\$q{masks}); 1" or nay($t, "error no_redactor");
    my $to = output() or nay($t, "error no_supervisor");
    syswrite $t, "started\n";
    if (begin()) {
        open(STDOUT, ">&", $to) && open(STDERR, ">&", $to) or exit 71;
        become(@job);
    }
    close $to;
    $SIG{USR1} = $SIG{ALRM} = \&wake;
    tick();
    wake() if $due;
    my $s;
    until (defined $s) {
        # Where nothing but an end can come, that is waited for; a signal ends the wait.
        while ((my $w = waitpid(-1, defined $s || $from || $told ? 1 : 0)) > 0) {
            if ($w == $p) { $s = $? } elsif ($w == ($watcher // 0)) { $watcher = 0; undef $told }
        }
        attend() if !defined $s && ($from || $told);
    }
    $SIG{USR1} = $SIG{ALRM} = "IGNORE";
    my $l = ended($s);
    drain() if !$s && $l eq "alone" && !$watcher;
    if ($s || $l ne "alone" || $watcher || $lost || -s "why") {
        for (1 .. 9) {
            wake();
            attend() while $told;
            drain();
            syswrite $h, "lost\n" if $lost;
            close $h;
            waitpid $watcher, 0 if $watcher;
            last if defined record(".");
            $watcher = 0;
            sleep 1;
        }
        leave();
    }
    my $ms = (centis() - $at[1]) * 10;
    my $end = $at[2] + int($ms / 1000);
    judge("code=0 signal=- reason=exited evidence=none killed=0 started=$at[2] ended=$end elapsed_ms=$ms");
    leave();
}

# What is asked: a line of words, of which the first says that the answer is over.
# The locks that the job is started with are its own from now on: all of them, or none and which one is lost.
sub own {
    my @l = map { [split m{/}, $_, 2] } split /,/, $q{held} or return "";
    my $k;
    open($k, ">>", "$q{locks}/.lock") && flock($k, 2) or return "error no_locks";
    my ($now, $wanted) = (now(), "");
    for (@l) {
        my ($t, $f) = @$_;
        $f =~ m{/|^\.|^$} and return "error bad_file";
        open(my $l, "+<", "$q{locks}/$f") or return "error lost $f";
        my ($by, $b) = split / /, <$l> // "";
        ($by // "") eq $t or return "error lost $f";
        push @$_, $b, $l;
        $wanted = " wanted" if $f =~ /^place\./ && line("$q{locks}/wanted") =~ /^(\d+)$/ && $now < $1;
    }
    for (@l) {
        my ($t, $f, $b, $l) = @$_;
        next if length $d > 511;
        seek $l, 0, 0;
        printf $l "%s %s %-15s\n%-511s\n", $t, $b, $now + 60, $d;
        close $l;
    }
    $wanted;
}
sub run {
    my $m;
    ($d, $m) = splice @_, 0, 2;
    %q = map { $_ => "" } "keep", "uses", "view", "over", "owner", "tree", "ready", "held", "masks";
    @q{"timeout", "lease", "grace"} = (0, 0, 5);
    while (@_ && (my $w = shift) ne "--") { my ($k, $v) = split /=/, $w, 2; $q{$k} = $v }
    my $wanted = own();
    if ($wanted =~ s/^error/ error/) {
        -e "$d/claim" or out("\n$m$wanted\n"), return 1;
        $wanted = "";
    }
    my ($r, $t, $said);
    my $k = pipe($r, $t) ? fork : undef;
    supervise($t, @_) if defined $k && !$k;
    close $t;
    defined $k && sysread($r, $said, 4096) or $said = "error no_supervisor";
    chomp $said;
    my $head = "\n$m $said$wanted\n";
    $said eq "started" ? follow($r, $m, $head) : out($head);
    sh("join", $d, 0, $m) if $said eq "already";
    waitpid $k, 0 if $k;
    $said =~ /^(started|already)$/ ? 0 : 1;
}
# That the job left nothing in its artifacts directory, which spares its executor to ask.
sub left {
    opendir my $a, "$d/artifacts" or return "";
    my $n = () = readdir $a;
    $n == 2 ? " artifacts=none" : "";
}
sub follow {
    my ($r, $m, $head) = @_;
    open my $log, "<", "$d/log";
    my ($at, $quiet, $pause) = (0, 0, 0.02);
    for (;;) {
        my $v = "";
        vec($v, fileno $r, 1) = 1;
        # It says nothing more, so it is gone. Asked before the size: what the job wrote, it wrote before.
        my $gone = select $v, undef, undef, $pause;
        $pause = $pause < 0.05 ? 0.05 : $pause < 0.3 ? $pause * 2 : 1;
        $quiet++ if $pause == 1;
        if (-s $log < $at) { # somebody cut it: what is there now may all be new
            $head .= "$m cut\n";
            sysseek $log, $at = 0, 0;
        }
        while (my $l = sysread $log, my $b, 262144) {
            out("$head$m log $at $l\n$b");
            ($head, $at, $quiet, $pause) = ("", $at + $l, 0, 0.05);
        }
        if ($gone) {
            my $x = record($d);
            if (defined $x) { out("$head$m end state=exited log=$at $x" . left() . "\n") }
            else { out($head); sh("join", $d, $at, $m) }
            return;
        }
        $head .= "$m idle\n" if $quiet >= 5;
        $quiet = 0 if $quiet >= 5;
        out($head);
        $head = "";
    }
}
# What ended and left no more than it was given goes here; a shell looks after the rest.
sub clear {
    my ($root, @rest) = shift;
    for (@_) {
        m{^[A-Za-z0-9_-][A-Za-z0-9._-]*/[A-Za-z0-9_-][A-Za-z0-9._-]*$} && !/\.\./ or return 64;
        put("$root/../over/" . s{/}{+}r, "");
        my $t = "$root/$_";
        if (defined record($t)) {
            unlink map { "$t/$_" } "claim", "pid", "lease", "log", "exit";
            rmdir for "$t/tmp", "$t/artifacts", $t;
        }
        if (lstat $t) { push @rest, $_ } else { out("removed $_\n") }
    }
    sh("clear", $root, @rest) if @rest;
    0;
}
sub drop {
    my ($dir, @l) = @_;
    my $k;
    open($k, ">>", "$dir/.lock") && flock($k, 2) or return 74;
    while (my ($t, $f) = splice @l, 0, 2) {
        next if $f =~ m{/|^\.};
        my ($by) = split / /, line("$dir/$f");
        unlink "$dir/$f" if ($by // "") eq $t;
    }
    out("dropped\n");
    0;
}
my %do = (run => \&run, clear => \&clear, drop => \&drop, shell => sub { 0 });
out("\n$hello\n");
while (defined(my $l = <STDIN>)) {
    chomp $l;
    my ($m, $v, @w) = map { s/%(..)/chr hex $1/ger } split / /, $l, -1;
    my $s = $do{$v} ? $do{$v}->(@w) : 64;
    out("\n$m $s\n");
    exec "sh", "-s" if $v eq "shell";
}
