# Starts what the words say, waits for it and wakes the supervisor every second. It follows system.pl. No single
# quote may be in here.
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
$SIG{ALRM} = sub { kill "USR1", $o if getppid == $o; tick() };
tick();
1 until waitpid(-1, 0) == $p;
ended($?);
