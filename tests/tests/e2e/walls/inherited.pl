# Descriptors, environment and relations that a command must not get from who starts it.
use strict;
use warnings;

opendir(my $own, '/proc/self/fd') or die;
my $directory = fileno($own) // -1;
for my $fd (sort grep { /^\d+$/ } readdir $own) {
    my $target = readlink("/proc/self/fd/$fd") // next;
    next if $fd <= 2 || $target =~ m{^/proc/\d+/fd$};
    print "descriptor $fd is $target\n";
}
open(my $status, '<', '/proc/self/status') or die;
my %status = map { /^(\w+):\s*(.*)$/ ? ($1 => $2) : () } <$status>;
print "parent $status{PPid}\n" if $status{PPid} ne '0';
print "no filter of system calls\n" if $status{Seccomp} ne '2';
# Perl itself ignores one.
print "signals ignored: $status{SigIgn}\n" if hex($status{SigIgn}) & ~0x80;
for my $name (sort keys %ENV) {
    print "variable $name\n" if $name =~ /^(RLXC|RUST|NOTIFY_SOCKET|LISTEN|WATCHDOG|JOURNAL|INVOCATION|CARGO|NEXTEST)/;
}
open(my $maps, '<', '/proc/self/maps') or die;
print "a part of the monitor is in memory\n" if grep { /memfd|rlxc/ } <$maps>;
print "group of the host: $)\n" if grep { $_ == 65534 } split ' ', $);
