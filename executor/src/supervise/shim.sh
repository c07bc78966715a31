#!/bin/sh
# The supervisor that runs beside a job on a machine or in a guest that has no `executor` of its own.
#
# POSIX sh only: dash, busybox sh and bash run it as it is. It knows nothing of how it was reached
# (ssh, incus, tart): it is given a state directory, and that directory outlives every connection.
#
#   sh shim.sh start   DIR [timeout=SECS] [lease=SECS] [grace=SECS] [keep=NAME,NAME…]
#       Starts DIR/cmd once, whoever asks and however often: "started", "already" or "error WHY".
#       grace: between TERM and KILL when it is the timeout or the lease that ends the job.
#   sh shim.sh attach  DIR OFFSET MARKER     streams the log from a byte offset, in frames (below)
#   sh shim.sh join    DIR OFFSET MARKER     the same for who is among frames already
#   sh shim.sh status  DIR                   one line: what is known, from facts only
#   sh shim.sh renew   DIR SECS              pushes the lease out: SECS from now
#   sh shim.sh cancel  DIR GRACE             TERM, GRACE seconds, KILL; a later, smaller GRACE wins
#   sh shim.sh gc      DIR [force]           ends what is left, removes DIR: "removed", "busy", "error WHY"
#   sh shim.sh list    ROOT                  "RUN/NODE.ATTEMPT <status line>" for each directory below
#   sh shim.sh take    TURNS TOKEN SECS JOB PLACES [GROUP…]
#       Takes one of PLACES (0: no limit) and all GROUPs at once: "taken FILE…", or "busy FILE". Who took
#       them has SECS to start the job in directory JOB or to call again; while it runs, they are taken,
#       also while JOB/lives, a script, says that it does in a guest. JOB itself may always take them again.
#   sh shim.sh hold    TURNS TOKEN SECS FILE…  another SECS: "held", or "lost FILE"
#   sh shim.sh drop    TURNS TOKEN FILE [TOKEN FILE…]   lets go: "dropped"
#
# A shell that is kept may read the script as a library (FORGE_LANES_LIBRARY=1 . shim.sh) and call
# `fl_verb VERB DIR …` in subshells: the same verbs for the price of a fork. Two more are worth it there only:
#   run     DIR OFFSET MARKER [options of start] [uses=WORD] [system=S view=TREE]
#           [over=FILE] [owner=WORD] [tree=DIR] [turn=FILE token=TOKEN turns=TURNS]
#       start and attach in one, in a directory that it makes with tmp/ and artifacts/. In $fl_cmd and $fl_env it is given
#       what else is in `cmd` and `env`, in $fl_ready what is to be done before the job starts; only who claimed the
#       directory writes and does that. Its first frame is "MARKER started|already [wanted]" or "MARKER error WHY".
#       system: where it is Linux/x86_64 or Linux/aarch64, system calls of perl's stand for programs. view: the job sees
#       TREE read-only, whoever it is. over: nothing is started where that file is. owner: kept in DIR/../owner. tree: has
#       to be there. turn: this turn is taken for this job now; "wanted": somebody else waits for a place.
#   end     DIR NAME      ends whatever has FORGE_LANES_COOKIE=NAME in its environment: "ended"
#   clear   ROOT DIR…     gc force for many that are over: for each of them "removed DIR" or "error DIR WHY".
#       RUN/NODE.ATTEMPT leaves the empty file ROOT/../over/RUN+NODE.ATTEMPT, where there is that directory.
#
# Where there is perl, on Linux/x86_64 and Linux/aarch64 (SYSTEM), a shell may also become a server that stays:
#   set -- SYSTEM SHIM HELLO; FORGE_LANES_LIBRARY=serve; . shim.sh
# SHIM is this script. It says HELLO on a line of its own and then answers requests, a line each: "END VERB WORD…", every word
# with %XX for what is no letter. After the answer comes a line "END STATUS". The verbs:
#   run     DIR MARKER [options of run] [ready=SCRIPT] -- JOBDIR [NAME=VALUE…] -- PROGRAM WORD…
#       as above, with no shell in between; SCRIPT stands for $fl_ready
#   clear   ROOT DIR…     as above
#   drop    TURNS TOKEN FILE [TOKEN FILE…]
#   shell   it becomes `sh -s`
#
# The state directory. Written by the placing side before `start`:
#   cmd    the job, a sh script; it is sourced with the state directory as $1, and may say in `why` that it
#          could not become what it should: printf '%-31s\n' not_found 1<>"$1/why"
#   env    sh assignments to export (0600; removed once read)
# Written here:
#   claim  "pid starttime boot_id" of the supervisor; made by an open that fails where it exists, so
#          exactly one supervisor owns the directory for good; empty for the moment until it is written.
#          Its second line is what `uses=` said.
#   pid    "pid starttime boot_id" of the job's leader, which has a session and group of its own; in its second
#          line how the leader ended
#   log    stdout and stderr of the job, one file, appended to
#   lease  uptime in seconds at which nobody is thought to care any more; in its second line the grace in
#          seconds that somebody asked for who wants it cancelled
#   exit   256 bytes: "1 code=C signal=S reason=R evidence=E killed=K started=T ended=T elapsed_ms=M",
#          padded, "END.", a newline. Without that trailer there is no verdict.
#   why    a word of the job's own, if it has one to say
# What is written after the start exists, at its full size, before it: a full disk takes no verdict. There are few
# files, because making and removing one costs more than what is in it.
#
# status line: "state=S log=BYTES", with an exit record all of its fields, for a running job with a lease
# "lease=SECS" that are left.
#   state: unknown (never started here) | running | exited | lost (no verdict, nobody alive to write
#   one) | host_rebooted
# reason: exited | timed_out | lease_expired | cancelled | broken, or the word in `why` (not_found,
# not_executable, no_working_dir, broken).  evidence: none | oom | disk_full.
# killed: how many processes outlived TERM, or the job that started them, and had to be KILLed.
#
# Frames of attach, each a line of its own that starts with MARKER; what comes before the first is noise:
#   MARKER log OFFSET LENGTH    followed by exactly LENGTH raw bytes of the log
#   MARKER idle                 nothing new; proves that the path is alive
#   MARKER end <status line>    the log is drained
#
# The leader's signal comes from perl's waitpid where there is perl, else it is the shell's 128+n, which
# a job that exits with such a code itself cannot be told from.
#
# The tree of a job is its session, its process group, and whoever carries its cookie in the environment
# (Linux: /proc). A process that leaves the session *and* clears its environment is not found.
# macOS has neither setsid(1) nor /proc: perl starts the session, ps finds the tree.

# shellcheck disable=SC2009,SC2015,SC2016,SC2034,SC2059,SC2086,SC2094,SC2154,SC2238 # words are split and formats passed on purpose

# --------------------------------------------------------------------------------------- the server

# What a job sees of its host's environment, with what it asks to keep.
NAMES=PATH,HOME,USER,LOGNAME,SHELL,LANG,LC_ALL,LC_CTYPE,LC_COLLATE,LC_MESSAGES,LC_NUMERIC,LC_TIME,TZ

# Appends to PATH where package managers put things that a login would have found.
well_known() {
    for l_dir in /usr/local/bin /opt/homebrew/bin /run/current-system/sw/bin \
        /nix/var/nix/profiles/default/bin "${HOME:-/nonexistent}/.nix-profile/bin"; do
        case :$PATH: in
        *:"$l_dir":*) ;;
        *) [ ! -d "$l_dir" ] || PATH=$PATH:$l_dir ;;
        esac
    done
}

# What is perl's. HEAD: system calls where their numbers are known (setsid, unshare, mount, prctl), in place of a program
# each. An orphan of the job becomes a child of a subreaper (36), so it is known whether anybody is left.
HEAD='my @n;
sub numbers {
    length pack("p", "x") == 8 or return; # those of 64 bits
    @n = (112, 272, 165, 157, 231) if $_[0] eq "Linux/x86_64";
    @n = (157, 97, 40, 167, 94) if $_[0] eq "Linux/aarch64";
}
sub line { my $f; open($f, "<", $_[0]) && <$f> // "" }
sub stat_of { split / /, line("/proc/$_[0]/stat") =~ s/.*[)] //r }
sub put { my $f; open($f, $_[2] // ">", $_[0]) && print($f $_[1]) && close $f }
sub oom { open my $v, "<", "/proc/vmstat" or return 0; my ($k) = grep /^oom_kill /, <$v>; $k }
sub view {
    my ($t, $x, $r) = ($_[0], "none", "/"); # syscall takes no constant
    @n && syscall($n[1], 0x20000) == 0 && syscall($n[2], $x, $r, $x, 0x44000, 0) == 0
        && syscall($n[2], $t, $t, $x, 0x1000, 0) == 0 && syscall($n[2], $x, $t, $x, 0x1021, 0) == 0;
}
sub leader { my @s = stat_of("self"); @s && put("pid", sprintf("%-63s\n", "$$ $s[19] $_[0]"), "+<") }
my (%e, $o, $b, $r, $p);
sub words { while (@{$_[0]} && (my $w = shift @{$_[0]}) ne "--") { my ($n, $v) = split /=/, $w, 2; $e{$n} = $v } }
sub begin {
    $b = oom();
    $r = @n && syscall($n[3], 36, 1, 0, 0, 0) == 0;
    $p = fork;
    exit 71 unless defined $p;
    $SIG{INT} = $SIG{QUIT} = "DEFAULT" if !$p; # which a shell takes from what it starts in the background
    !$p;
}
# Writes how the leader ended, which tells a signal from 128+n; returns whether somebody is left.
sub ended {
    my ($s, $q) = @_;
    1 while ($q = waitpid(-1, 1)) > 0;
    my $l = $r && $q == -1 ? "alone" : "-";
    my $m = (($s & 127) == 9 || $s >> 8 == 137) && oom() ne $b ? "oom" : "-";
    open my $f, "+<", "pid" or exit 74;
    seek $f, 64, 0;
    printf $f "%-28s.\n", ($s & 127 ? "- " . ($s & 127) : ($s >> 8) . " -") . " $m $l";
    close $f or exit 74;
    $l;
}
'

# A perl that stays and is asked for many jobs, for the price of two forks each. A job of it needs no shell and its
# directory is not there yet: a child makes and claims that, writes what comes before the job, starts it and waits for it,
# as its supervisor. Whatever is not an end with status 0 within a second is left to a shell: `watch` for the supervisor,
# `join` for who follows.
SERVE=$HEAD'
my ($c, $shim, $hello, $names, $opt) = @ARGV;
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
sub centis { my ($u) = split / /, line("/proc/uptime"); int($u * 100 + 0.5) }
sub now { int(centis() / 100) }
# The exit record of a directory, if it is complete; and writing one where its place is kept.
sub record { line("$_[0]/exit") =~ /^1 (.*?) *END\.$/ ? $1 : undef }
sub judge { put("exit", sprintf("%-251sEND.\n", "1 $_[0]"), "+<") }

# The supervisor of one job.
my ($d, %q, $h, $watcher, $due, @at);
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
# Has a shell watch, and wakes it every second.
sub wake {
    if (!$watcher) {
        pipe my $in, $h;
        $watcher = fork;
        if (defined $watcher && !$watcher) {
            open STDIN, "<&", $in;
            open STDOUT, ">", "/dev/null";
            open STDERR, ">&STDOUT"; # which was the log of the job
            exec "sh", $shim, "watch", $d, "timeout=$q{timeout}", "grace=$q{grace}", "began=$at[1]", "started=$at[2]";
            exit 71;
        }
    }
    syswrite $h, "\n";
    alarm 1;
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
    my $m = "";
    for (split m{/}, "$d/tmp") { $m .= "$_/"; mkdir $m }
    mkdir "$d/artifacts";
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
        && put("lease", sprintf "%-15s\n%-15s\n", $until, "-") && put("log", "")
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
    syswrite $t, "started\n";
    open STDOUT, ">>", "log";
    open STDERR, ">&STDOUT";
    become(@job) if begin();
    $SIG{USR1} = $SIG{ALRM} = \&wake;
    alarm 1;
    wake() if $due;
    while ((my $w = waitpid(-1, 0)) != $p) { last if $w < 0; $watcher = 0 if $w == ($watcher // 0) }
    my $s = $?;
    $SIG{USR1} = $SIG{ALRM} = "IGNORE";
    my $l = ended($s);
    if ($s || $l ne "alone" || $watcher || -s "why") {
        for (1 .. 9) {
            wake() if !$watcher;
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
sub turn {
    $q{turn} ne "" && $q{turn} !~ m{/|^\.} or return "";
    my ($k, $b) = split / /, line("$q{turns}/$q{turn}");
    ($k // "") eq $q{token} or return "";
    my $now = now();
    length $d > 511 or put("$q{turns}/$q{turn}", sprintf("%s %s %-15s\n%-511s\n", $k, $b, $now + 60, $d), "+<");
    line("$q{turns}/wanted") =~ /^(\d+)$/ && $now < $1 ? " wanted" : "";
}
sub run {
    my $m;
    ($d, $m) = splice @_, 0, 2;
    %q = map { $_ => "" } "keep", "uses", "view", "over", "owner", "tree", "ready", "turn";
    @q{"timeout", "lease", "grace"} = (0, 0, 5);
    while (@_ && (my $w = shift) ne "--") { my ($k, $v) = split /=/, $w, 2; $q{$k} = $v }
    my $wanted = turn();
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
        while (my $l = sysread $log, my $b, 262144) {
            out("$head$m log $at $l\n$b");
            ($head, $at, $quiet, $pause) = ("", $at + $l, 0, 0.05);
        }
        if ($gone) {
            my $x = record($d);
            if (defined $x) { out("$head$m end state=exited log=$at $x\n") }
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
}'

# A shell that is to become one reads no further. Its words: SYSTEM SHIM HELLO.
[ "${FORGE_LANES_LIBRARY:-}" != serve ] || {
    well_known
    export PATH
    # No setting of the login turns bytes into characters here; a job may have asked for it.
    set -- "$@" "$NAMES" "${PERL5OPT:-}"
    unset PERL5OPT
    exec perl -C0 -e "$SERVE" -- "$@"
}

# -------------------------------------------------------------------------------------------- facts

NL='
'

# NOW: seconds that no clock change moves, where the system has such a thing. CENTIS: finer.
now() {
    if [ -r /proc/uptime ] && read -r n_up n_rest </proc/uptime; then
        NOW=${n_up%.*}
        CENTIS=$((NOW * 100 + 1${n_up#*.} - 100))
    else
        NOW=$(date +%s)
        CENTIS=$((NOW * 100))
    fi
}

# WALL: seconds since 1970. A library asked once how far that is from NOW.
wall() {
    if [ -n "${FL_EPOCH:-}" ]; then WALL=$((FL_EPOCH + NOW)); else WALL=$(date +%s); fi
}

# BOOT: which boot of the machine this is.
boot_id() {
    if [ -r /proc/sys/kernel/random/boot_id ]; then
        read -r BOOT </proc/sys/kernel/random/boot_id
    else
        BOOT=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || BOOT=
        [ -n "$BOOT" ] || BOOT=unknown
    fi
}

# PID, START: of this process, which in a subshell is not $$.
myself() {
    if read -r PID s_line 2>/dev/null </proc/self/stat; then
        set -- ${s_line##*') '}
        START=${20}
    else
        PID=$(exec sh -c 'echo $PPID')
        start_time "$PID"
    fi
}

# START: when process $1 started, since a pid alone may belong to somebody else by now. Fails for the dead.
start_time() {
    START=
    if [ -r /proc/self/stat ]; then
        read -r s_line 2>/dev/null <"/proc/$1/stat" || return 1
        # The second field, the name, may hold blanks and brackets.
        set -- ${s_line##*') '}
        case $1 in Z | X) return 1 ;; esac
        START=${20}
    else
        s_line=$(LC_ALL=C ps -o stat= -o lstart= -p "$1" 2>/dev/null) || return 1
        set -- $s_line
        case ${1:-Z} in Z*) return 1 ;; esac
        shift
        START=$(printf '%s_' "$@")
    fi
}

# Whether the process of identity file $1 lives: 0 yes, 1 no, 2 it was another boot.
alive() {
    read -r a_pid a_start a_boot a_rest 2>/dev/null <"$1" || return 1
    is_number "$a_pid" || return 1
    boot_id
    [ "$a_boot" = "$BOOT" ] || return 2
    start_time "$a_pid" && [ "$START" = "$a_start" ]
}

# Whether somebody owns the directory.
is_claimed() {
    [ -f claim ] || return 1
    # It has its name before its content, for a moment.
    c_tries=0
    until [ -s claim ] || [ $c_tries -ge 500 ]; do
        c_tries=$((c_tries + 1))
        nap 0.02
    done
    [ -f claim ]
}

is_number() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Sleeps a fraction of a second where sleep(1) can.
nap() {
    sleep "$1" 2>/dev/null || sleep 1
}

# Overwrites the line that file $1, of lines of fixed size, begins with, with $3 in format $2. Allocates nothing,
# so a full disk is no matter.
in_place() {
    printf "$2" "$3" 1<>"$1"
}

# The same with its second line.
in_second_place() {
    { read -r i_rest <&4 && printf "$2" "$3" >&4; } 4<>"$1"
}

# Reads number file $1 into VALUE.
value() {
    VALUE=
    read -r VALUE v_rest 2>/dev/null <"$1" && is_number "$VALUE"
}

# Reads the grace that somebody wants it cancelled with into VALUE.
is_cancelled() {
    VALUE=
    { read -r v_rest && read -r VALUE v_rest; } 2>/dev/null <lease && is_number "$VALUE"
}

# RECORD: the exit record, if it is complete.
verdict() {
    IFS= read -r RECORD 2>/dev/null <exit || RECORD=
    case $RECORD in '1 '*END.) ;; *)
        RECORD=
        return 1
        ;;
    esac
    RECORD=${RECORD#1 }
    RECORD=${RECORD%%  *}
}

log_size() {
    SIZE=0
    [ ! -s log ] || SIZE=$(($(wc -c <log)))
}

# ---------------------------------------------------------------------------------------- the tree

# COOKIE: what every process of this directory's job has in its environment.
cookie() {
    read -r c_pid c_start c_boot 2>/dev/null <claim || return 1
    is_number "$c_pid" && [ -n "$c_boot" ] || return 1
    COOKIE=FORGE_LANES_COOKIE=$c_pid-$c_start-$c_boot
}

# Prints the pids of the job's tree, the dead left out; one may come twice.
tree() {
    t_leader=
    [ -n "${COOKIE:-}" ] || return 0
    if read -r t_pid t_start t_boot 2>/dev/null <pid && is_number "$t_pid"; then
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

# Ends the tree: TERM, $1 seconds, KILL. Who cancels with less grace meanwhile is obeyed.
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

# ------------------------------------------------------------------------------------ the supervisor

# The job's own first shell: says who it is, unless that was done, takes its environment, becomes the job.
BECOME_JOB='umask 022
d=$FORGE_LANES_STATE b=$FORGE_LANES_BOOT c=$FORGE_LANES_CMD
unset FORGE_LANES_STATE FORGE_LANES_BOOT FORGE_LANES_CMD
if [ -z "$b" ]; then :
elif read -r l 2>/dev/null </proc/$$/stat; then set -f; set -- ${l##*") "}; set +f; s=${20}
else s=$(LC_ALL=C ps -o lstart= -p $$); s=$(printf "%s_" $s); fi
[ -z "$b" ] || printf "%-63s\n" "$$ $s $b" 1<>"$d/pid"
set -- "$d" "$c"
unset b l s d c
if [ -f "$1/env" ]; then
    exec 4<"$1/env"
    rm -f "$1/env"
    . /dev/fd/4
    exec 4<&-
fi
c=$2
set -- "$1"
[ -n "$c" ] || . "$1/cmd"
eval "unset c; $c"'

# Starts what the words say, waits for it and wakes the supervisor every second.
WAIT=$HEAD'
($o, my ($c, $t)) = splice @ARGV, 0, 3;
numbers($c);
words(\@ARGV);
$e{FORGE_LANES_CMD} = $ENV{FORGE_LANES_CMD}; # no word: who looks for a process by its words is not to find this one
if (begin()) {
    shift if @n && $ARGV[0] eq "setsid" && syscall($n[0]) > 0;
    splice @ARGV, $ARGV[0] eq "setsid", 8 if $t ne "" && view($t);
    $e{FORGE_LANES_BOOT} = "" if leader($e{FORGE_LANES_BOOT});
    %ENV = %e; exec { $ARGV[0] } @ARGV or exit 127
}
$SIG{ALRM} = sub { kill "USR1", $o if getppid == $o; alarm 1 };
alarm 1;
1 until waitpid(-1, 0) == $p;
ended($?);'

# The same without perl. The words: NAME=VALUE of its environment, --, what starts it.
wait_for_leader() {
    # env wants its command where the -- stands.
    w_env=
    for w_word; do
        [ -z "$w_env" ] || set -- "$@" "$w_word"
        [ -n "$w_env" ] || case $w_word in
        --) w_env=1 ;;
        *) set -- "$@" "$w_word" ;;
        esac
        shift
    done
    if env --default-signal=INT,QUIT true 2>/dev/null; then
        set -- --default-signal=INT,QUIT -i "$@"
    else
        set -- -i "$@"
    fi
    env "$@"
    w_code=$?
    w_result="$w_code -"
    if [ $w_code -gt 128 ] && [ $w_code -le 192 ]; then
        w_result="- $((w_code - 128))"
    fi
    in_second_place pid '%-28s.\n' "$w_result - -"
}

# What gives the job its view: TREE and what to run.
VIEW='if mount -o bind,ro "$1" "$1" && { [ ! -w "$1" ] || mount -o remount,bind,ro "$1"; }; then
    shift
    exec "$@"
fi
printf "%-31s\n" broken 1<>"$FORGE_LANES_STATE/why"
echo "cannot mount $1"
exit 126'

# Becomes the waiter of the supervisor: the job gets a session of its own and, of this environment, only the
# kept names.
launch() {
    l_names=$NAMES,$keep
    well_known
    # The shell is spelled out: where it is looked for depends on whose PATH it is.
    set -- /bin/sh -c "$BECOME_JOB" sh
    # Eight words: perl knows them.
    [ -z "$view" ] || set -- unshare --mount --propagation=private /bin/sh -c "$VIEW" sh "$view" "$@"
    if has setsid; then
        set -- setsid "$@"
    elif has perl; then
        set -- perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@"
    else
        set -m
    fi
    set -- "$COOKIE" "FORGE_LANES_STATE=$PWD" "FORGE_LANES_BOOT=$BOOT" -- "$@"
    while [ -n "$l_names" ]; do
        l_name=${l_names%%,*}
        l_names=${l_names#"$l_name"}
        l_names=${l_names#,}
        case $l_name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
        eval "l_set=\${$l_name+set}"
        [ -z "$l_set" ] || eval "set -- \"$l_name=\$$l_name\" \"\$@\""
    done
    if [ $ticks = perl ]; then
        export FORGE_LANES_CMD="${fl_cmd:-}"
        exec perl -e "$WAIT" -- $me "$system" "$view" "$@"
    fi
    wait_for_leader "FORGE_LANES_CMD=${fl_cmd:-}" "$@"
}

# Wakes the supervisor every second, where there is no perl to do it; ends when that has ended.
tick() {
    trap 'kill $t_sleep 2>/dev/null; exit' TERM
    while :; do
        sleep 1 &
        t_sleep=$!
        wait $t_sleep
        alive claim && kill -USR1 "$a_pid" 2>/dev/null || exit
    done
}

oom_kills() {
    OOM=0
    [ ! -r /proc/vmstat ] || OOM=$(grep '^oom_kill ' /proc/vmstat)
}

# Makes the directory that a job is to be started in, and goes there.
room() {
    [ -d "$directory/artifacts" ] || r_said=$(mkdir -p "$directory/tmp" "$directory/artifacts" 2>&1) || {
        printf 'error %s\n' "$(printf '%s' "$r_said" | tail -n 1)"
        return 1
    }
    cd "$directory" || return 1
    [ ! -f claim ] || return 0
    [ -z "$over" ] || [ ! -e "$over" ] || {
        cd / && rm -rf "$directory"
        rmdir "${directory%/*}"
        echo 'error the attempt is over'
        return 1
    }
    [ -z "$owner" ] || [ -s ../owner ] || printf '%s\n' "$owner" >../owner || {
        echo 'error no_space'
        return 1
    }
    [ -z "$tree" ] || [ -d "$tree" ] || {
        echo 'error the source tree is gone'
        return 1
    }
}

# Claims the directory it is in, writes what has to be there before the job, and makes everything ready.
claim() {
    # 1. The claim: who makes the file owns the directory.
    set -C
    { printf '' >claim; } 2>/dev/null || {
        if [ -f claim ]; then echo already; else echo 'error no_space'; fi
        exit 75
    }
    set +C
    { printf '%s %s %s\n%s\n' $me "$START" "$BOOT" "$uses" 1<>claim; } 2>/dev/null || {
        rm -f claim
        echo 'error no_space'
        exit 74
    }

    # 2. Whatever may not fit on the disk comes before the job; the record last: who sees it sees all of them.
    {
        # More than an argument may hold.
        { [ ${#fl_cmd} -lt 60000 ] || { printf '%s' "$fl_cmd" >cmd && fl_cmd=; }; } &&
            { [ -z "${fl_env:-}" ] || printf '%s' "$fl_env" >env; } &&
            printf '%-63s\n%-28s.\n' - - >pid &&
            printf '%-15s\n%-15s\n' "$until" - >lease &&
            printf '' >log &&
            printf '%-251s....\n' - >exit
    } 2>/dev/null || {
        rm -f env pid lease log exit claim
        echo 'error no_space'
        exit 74
    }
    if [ -n "${fl_ready:-}" ]; then
        s_said=$(eval "$fl_ready" 2>&1) || {
            printf 'error %s\n' "$(printf '%s' "$s_said" | tail -n 1)"
            [ ! -f env ] || rm -f env
            in_place exit '%-251sEND.\n' "1 code=- signal=- reason=broken evidence=none\
 killed=0 started=0 ended=0 elapsed_ms=0"
            exit 74
        }
    fi
    echo started
    [ -n "$linger" ] || exec >/dev/null
}

# Says on its stdout whether it is the one: started, already, error WHY. Closes it when the job is over or has
# run for a while.
supervise() {
    : "${fl_cmd:=}"
    now
    until=-
    [ "$lease" -eq 0 ] || until=$((NOW + lease))
    trap '' PIPE
    ticks='sleep'
    if has perl; then
        ticks=perl
    else
        oom_kills
        oom_before=$OOM
    fi
    boot_id
    myself && [ -n "$START" ] || {
        echo 'error no_supervisor'
        exit 71
    }
    me=$PID
    COOKIE=FORGE_LANES_COOKIE=$me-$START-$BOOT
    [ -z "$linger" ] || room || exit 74
    claim

    # 3. The job.
    now
    began=$CENTIS
    wall
    started=$WALL
    trap : USR1
    trap '' HUP
    (
        trap - USR1 HUP PIPE
        launch
    ) >>log 2>&1 </dev/null &
    waiter=$!
    watch_over
}

# Sees to the end of a job that perl started and waits for: a line on stdin says that it is time to look.
watch() {
    ticks='read' began='' started=''
    options "$@"
    cookie && waiter=$c_pid || fail no_supervisor
    trap '' HUP PIPE
    watch_over
}

# Watches until the leader is gone or somebody wants it gone, then gives the verdict.
watch_over() {
    # 4. What is awaited is the waiter.
    until=0
    [ "$timeout" -eq 0 ] || until=$((began / 100 + timeout))
    KILLED=0
    reason=exited
    ticker=
    while :; do
        leader_ended && break
        now
        if is_cancelled; then
            reason=cancelled
            end_tree "$VALUE"
        elif [ $until -ne 0 ] && [ "$NOW" -ge $until ]; then
            reason=timed_out
            end_tree "$grace"
        elif value lease && [ "$NOW" -ge "$VALUE" ]; then
            reason=lease_expired
            end_tree "$grace"
        elif ! kill -0 $waiter 2>/dev/null; then
            leader_ended && break
            reason=broken
        fi
        if [ $reason != exited ]; then
            # The waiter says how the leader went, unless it went down with it.
            tries=0
            until leader_ended || [ $tries -ge 100 ] || ! kill -0 $waiter 2>/dev/null; do
                tries=$((tries + 1))
                nap 0.02
            done
            break
        fi
        if [ $ticks = read ]; then
            read -r w_rest || nap 0.1
            continue
        fi
        # Who started it waits no longer for the end.
        [ $((CENTIS - began)) -lt 20 ] || exec >/dev/null
        [ $ticks = perl ] || [ -n "$ticker" ] || {
            (tick) </dev/null >/dev/null 2>&1 &
            ticker=$!
        }
        # Its end ends the wait, and so does USR1. Should that come a moment before, another one follows.
        wait $waiter
    done
    [ -z "$ticker" ] || kill $ticker 2>/dev/null

    # 5. Whatever the job left behind, then the verdict.
    leader_ended || CODE=- SIGNAL=- OOM_KILLED=- ALONE=-
    [ $reason = exited ] && [ "$ALONE" = alone ] || kill_tree
    # The supervisor itself is gone: nobody answers for a verdict.
    [ $reason = broken ] && [ $ticks = read ] && return
    evidence=none
    if [ "$CODE" != 0 ] && [ $reason = exited ]; then
        if [ $ticks = sleep ] && { [ "$SIGNAL" = 9 ] || [ "$CODE" = 137 ]; }; then
            oom_kills
            [ "$OOM" = "$oom_before" ] || OOM_KILLED=oom
        fi
        [ "$OOM_KILLED" != oom ] || evidence=oom
        { printf '%8192s' - >.probe; } 2>/dev/null || evidence=disk_full
        rm -f .probe
    fi
    if [ $reason = exited ] && [ -s why ] && read -r why w_rest <why; then
        case $why in not_found | not_executable | no_working_dir | broken) reason=$why ;; esac
    fi
    [ ! -f env ] || rm -f env
    now
    in_place exit '%-251sEND.\n' "1 code=$CODE signal=$SIGNAL reason=$reason evidence=$evidence\
 killed=$KILLED started=$started ended=$((started + (CENTIS - began) / 100)) elapsed_ms=$(((CENTIS - began) * 10))"
}

# CODE, SIGNAL; OOM_KILLED: oom; ALONE: alone, if certainly nobody was left.
leader_ended() {
    { read -r l_rest && read -r CODE SIGNAL OOM_KILLED ALONE l_end; } 2>/dev/null <pid && [ "$l_end" = . ]
}

# ---------------------------------------------------------------------------------------- the verbs

# The words after DIR of `start` and `run`.
options() {
    timeout=0 lease=0 grace=5 keep='' uses='' turn='' token='' turns='' system='' view='' over='' owner='' tree='' linger=''
    for option; do
        case $option in
        timeout=* | lease=* | grace=* | began=* | started=*)
            is_number "${option#*=}" || fail "bad_option $option"
            eval "${option%%=*}=\${option#*=}"
            ;;
        keep=* | uses=* | turn=* | token=* | turns=* | system=* | view=* | over=* | owner=* | tree=*)
            eval "${option%%=*}=\${option#*=}"
            ;;
        *) fail "bad_option $option" ;;
        esac
    done
}

start() {
    if is_claimed; then
        echo already
        return 0
    fi
    [ -f cmd ] || fail no_cmd
    options "$@"
    # The supervisor holds nothing of this process but the pipe, which ends when it has claimed the job.
    set -- sh "$SHIM" supervise . "$@"
    answer=$(
        if has setsid; then
            setsid "$@" </dev/null 2>/dev/null &
        elif has perl; then
            perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@" </dev/null 2>/dev/null &
        else
            set -m
            "$@" </dev/null 2>/dev/null &
        fi
    )
    [ "$answer" != already ] || await_files
    echo "${answer:-error no_supervisor}"
    case $answer in started | already) ;; *) exit 1 ;; esac
}

# Who is told `already` finds the other's files.
await_files() {
    until [ -f exit ] || ! alive claim; do
        nap 0.01
    done
}

run() {
    offset=$1 marker=$2
    shift 2
    options "$@"
    wanted=
    [ -z "$turn" ] || take_over
    if [ -f "$directory/claim" ]; then
        answer=already
    else
        linger=1
        # A shell of its own, in the background of nobody: it ends with the job, whatever becomes of this one.
        # It has the session of this shell, and nothing else of it.
        answer=$( (supervise) </dev/null 2>/dev/null &)
        answer=${answer:-error no_supervisor}
    fi
    cd "$directory" 2>/dev/null || answer=${answer#already}
    [ "$answer" != already ] || { is_claimed && await_files; }
    printf '\n%s %s%s\n' "$marker" "${answer:-error gone}" "$wanted"
    case $answer in started | already) ;; *) exit 1 ;; esac
    follow
}

fail() {
    echo "error $1"
    exit 1
}

# Prints what is known. The record is asked again after the supervisor was found dead: it may have
# written it in between.
status() {
    log_size
    if verdict; then
        echo "state=exited log=$SIZE $RECORD"
    elif ! is_claimed; then
        echo "state=unknown log=$SIZE"
    else
        alive claim
        case $? in
        0)
            s_lease=
            now
            value lease && s_lease=" lease=$((VALUE > NOW ? VALUE - NOW : 0))"
            echo "state=running log=$SIZE$s_lease"
            ;;
        *)
            s_alive=$?
            if verdict; then
                log_size
                echo "state=exited log=$SIZE $RECORD"
            elif [ "$a_boot" != "$BOOT" ]; then
                echo "state=host_rebooted log=$SIZE"
            else
                echo "state=lost log=$SIZE"
            fi
            ;;
        esac
    fi
}

# Copies $1 bytes of descriptor 3, which never has fewer. dd reads no byte too many.
copy() {
    [ $(($1 / 65536)) -eq 0 ] || dd bs=65536 count=$(($1 / 65536)) <&3 2>/dev/null || exit 1
    [ $(($1 % 65536)) -eq 0 ] || dd bs=$(($1 % 65536)) count=1 <&3 2>/dev/null || exit 1
}

attach() {
    offset=$1 marker=$2
    is_number "$offset" || fail bad_offset
    [ "$verb" = join ] || printf '\n'
    is_claimed || {
        printf '%s end %s\n' "$marker" "$(status)"
        return 0
    }
    until [ -f log ]; do
        alive claim || break
        nap 0.01
    done
    follow
}

# Frames from $offset to the end.
follow() {
    at=0 step=0 quiet=0
    [ ! -f log ] || exec 3<log
    while :; do
        # Asked before the size: what the job wrote, it wrote before the record.
        ended=
        if verdict; then
            ended=1
        elif [ $step -ge 6 ] && ! alive claim && ! verdict; then
            ended=1
        fi
        log_size
        length=$((SIZE - offset))
        if [ $length -gt 0 ]; then
            [ $length -le 4194304 ] || length=4194304
            printf '%s log %s %s\n' "$marker" "$offset" $length
            if [ "$at" = "$offset" ]; then
                copy $length
            else
                dd bs=1 skip="$offset" count=1 <&3 2>/dev/null || exit 1
                copy $((length - 1))
            fi
            offset=$((offset + length))
            at=$offset quiet=0
            [ $step -le 2 ] || step=2
        elif [ -n "$ended" ]; then
            if [ -n "$RECORD" ]; then
                printf '%s end state=exited log=%s %s\n' "$marker" $SIZE "$RECORD"
            else
                printf '%s end %s\n' "$marker" "$(status)"
            fi
            return 0
        else
            case $step in
            0 | 1) pause=0.02 ;;
            2 | 3) pause=0.05 ;;
            4) pause=0.1 ;;
            5) pause=0.3 ;;
            *) pause=1 quiet=$((quiet + 1)) ;;
            esac
            step=$((step + 1))
            nap $pause
            if [ $quiet -ge 5 ]; then
                printf '%s idle\n' "$marker"
                quiet=0
            fi
        fi
    done
}

renew() {
    is_number "$1" || fail bad_seconds
    [ -f lease ] || fail not_started
    now
    in_place lease '%-15s\n' $((NOW + $1))
    status
}

cancel() {
    is_number "$1" || fail bad_seconds
    if is_claimed && ! verdict; then
        # Between the claim and the files there is a moment.
        tries=0
        until [ -s exit ] || [ $tries -ge 100 ]; do
            tries=$((tries + 1))
            nap 0.02
        done
        if [ -s lease ] && { ! is_cancelled || [ "$1" -lt "$VALUE" ]; }; then
            in_second_place lease '%-15s\n' "$1"
        fi
        if alive claim; then
            kill -USR1 "$a_pid" 2>/dev/null
        elif [ "$a_boot" = "$BOOT" ] && cookie; then
            # Nobody is left to do it.
            KILLED=0
            end_tree "$1"
        fi
    fi
    status
}

gc() {
    # What was not started cannot be started while it is removed.
    mine=
    if [ ! -f claim ]; then
        set -C
        { printf '' >claim; } 2>/dev/null && mine=1
        set +C
    fi
    if [ -z "$mine" ] && is_claimed && ! verdict; then
        if alive claim; then
            now
            if [ "${1:-}" != force ] && { ! value lease || [ "$NOW" -lt "$VALUE" ]; }; then
                echo busy
                return 0
            fi
            cancel 0 >/dev/null
            tries=0
            until verdict || ! alive claim || [ $tries -ge 250 ]; do
                tries=$((tries + 1))
                nap 0.02
            done
            if ! verdict && alive claim; then
                kill -KILL "$a_pid" 2>/dev/null
            fi
        fi
    fi
    KILLED=0
    # After a verdict there is nothing of it left.
    if [ -z "$mine" ] && [ -f claim ] && ! verdict; then
        boot_id
        read -r c_pid c_start c_boot <claim
        [ "$c_boot" != "$BOOT" ] || { cookie && kill_tree; }
    fi
    here=$PWD
    cd / || fail cd
    rm -rf "$here" 2>/dev/null
    if [ -e "$here" ]; then
        # A job may have taken its own write permission away.
        chmod -R u+rwX "$here" 2>/dev/null
        rm -rf "$here" 2>/dev/null
    fi
    [ ! -e "$here" ] || fail not_removed
    echo removed
}

end() {
    case $1 in '' | *[!0-9a-f]*) fail bad_name ;; esac
    COOKIE=FORGE_LANES_COOKIE=$1
    KILLED=0
    end_tree 2
    echo ended
}

# What is over and gives way goes in one stroke, the rest one by one.
clear() {
    c_over=
    for c_dir; do
        case $c_dir in *[!A-Za-z0-9._/-]* | /* | *..*) fail bad_dir ;; esac
        # A start that is still on its way, from a connection that is gone, is to come to nothing.
        { printf '' >"../over/${c_dir%%/*}+${c_dir##*/}"; } 2>/dev/null
        # Relative to ROOT; the words of this shell stay where they are.
        ! { read -r c_head c_rest 2>/dev/null <"$c_dir/exit" && [ "${c_rest##* }" = END. ]; } ||
            c_over="$c_over $c_dir"
    done
    [ -z "$c_over" ] || rm -rf $c_over 2>/dev/null
    for c_dir; do
        c_said=removed
        [ ! -e "$c_dir" ] || c_said=$(cd "$c_dir" && gc force)
        case $c_said in
        removed) echo "removed $c_dir" ;;
        *) echo "error $c_dir $c_said" ;;
        esac
    done
}

list() {
    set +f
    for l_dir in */*.*; do
        set -f
        [ -d "$l_dir" ] || continue
        l_line=$(cd "$l_dir" && status) && printf '%s %s\n' "$l_dir" "$l_line"
    done
}

# ---------------------------------------------------------------------------------------- the turns

# Runs the words with the directory's lock held; it is let go by whatever ends this process.
locked() {
    if has flock; then
        (flock 9 && "$@") 9>>.lock
    elif has perl; then
        (perl -e 'open(my $f, ">&=", 9) && flock($f, 2) or exit 1' && "$@") 9>>.lock
    else
        fail no_flock
    fi
}

# Whether turn file $1 is nobody's, or ours.
is_free() {
    [ -s "$1" ] || return 0
    { read -r f_token f_boot f_until && IFS= read -r f_job; } <"$1" || return 0
    # Padded, so that it can be written anew in its place.
    f_job=${f_job%"${f_job##*[! ]}"}
    [ "$f_token" != "$token" ] || return 0
    # Who takes a job up again has its turn: nobody else is at it.
    [ "$f_job" = - ] || [ "$f_job" != "$job" ] || return 0
    # After another boot nothing of it runs.
    [ "$f_boot" = "$BOOT" ] || return 0
    is_number "$f_until" && [ "$NOW" -lt "$f_until" ] && return 1
    (cd "$f_job" 2>/dev/null && ! verdict && alive claim) && return 1
    # A job in a guest is seen by whoever made that.
    [ -f "$f_job/lives" ] && sh "$f_job/lives" </dev/null >/dev/null 2>&1 9>&- && return 1
    return 0
}

write_turn() {
    printf '%s %s %-15s\n%-511s\n' "$token" "$BOOT" $((NOW + $2)) "$3" >".new.$1" && mv -f ".new.$1" "$1"
}

# A turn that is ours is now for the job here, too. Says in `wanted` whether somebody waits for a place.
take_over() {
    case $turn in '' | */* | .*) fail bad_file ;; esac
    # The first line only: a shell reads byte by byte.
    read -r f_token f_boot f_until 2>/dev/null <"$turns/$turn" || return 0
    [ "$f_token" = "$token" ] || return 0
    now
    [ ${#directory} -gt 511 ] ||
        printf '%s %s %-15s\n%-511s\n' "$token" "$f_boot" $((NOW + 60)) "$directory" 1<>"$turns/$turn"
    ! { value "$turns/wanted" && [ "$NOW" -lt "$VALUE" ]; } || wanted=' wanted'
}

take() {
    token=$1
    is_number "$2" && is_number "$4" || fail bad_number
    locked take_locked "$2" "$3" "$4" "$@"
}

take_locked() {
    seconds=$1 job=$2 places=$3
    shift 7
    now
    boot_id
    for group; do
        case $group in '' | */* | .*) fail bad_group ;; esac
        is_free "group.$group" || {
            echo "busy group.$group"
            return 0
        }
    done
    place=
    if [ "$places" -gt 0 ]; then
        place=0
        until is_free "place.$place"; do
            place=$((place + 1))
            [ $place -lt "$places" ] || {
                # Who keeps a place for its next job gives it away while this is fresh.
                printf '%s\n' $((NOW + 5)) >wanted 2>/dev/null
                echo "busy place"
                return 0
            }
        done
    fi
    taken=
    for group; do
        write_turn "group.$group" "$seconds" "$job" || fail no_space
        taken="$taken group.$group"
    done
    if [ -n "$place" ]; then
        write_turn "place.$place" "$seconds" "$job" || fail no_space
        taken="$taken place.$place"
    fi
    echo "taken$taken"
}

hold() {
    token=$1
    is_number "$2" || fail bad_number
    locked hold_locked "$@"
}

hold_locked() {
    seconds=$2
    shift 2
    now
    boot_id
    for file; do
        case $file in '' | */* | .*) fail bad_file ;; esac
        { read -r f_token f_boot f_until && IFS= read -r f_job; } 2>/dev/null <"$file" &&
            [ "$f_token" = "$token" ] || {
            echo "lost $file"
            return 0
        }
        write_turn "$file" "$seconds" "$f_job" || fail no_space
    done
    echo held
}

drop() {
    locked drop_locked "$@"
}

drop_locked() {
    while [ $# -ge 2 ]; do
        case $2 in
        '' | */* | .*) ;;
        *) { read -r f_token f_rest 2>/dev/null <"$2" && [ "$f_token" = "$1" ] && rm -f "$2"; } || : ;;
        esac
        shift 2
    done
    echo dropped
}

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
        list) ;;
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
    end | start | run | watch | status | attach | renew | cancel | gc | clear | list | take | hold | drop)
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
