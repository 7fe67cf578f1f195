# Each attack is a name and a sub that is true if it came through. Numbers of system calls are those of x86_64.
use strict;
use warnings;
use Fcntl;

my %number = (
    mount => 165, settimeofday => 164, clock_settime => 227, init_module => 175, finit_module => 313, delete_module => 176,
    kexec_load => 246, kexec_file_load => 320, open_by_handle_at => 304, syslog => 103, reboot => 169, swapon => 167,
    acct => 163, iopl => 172, ioperm => 173, setns => 308, umount2 => 166, quotactl => 179, bpf => 321, mknod => 133,
);

sub refused { my ($name, @args) = @_; my $result = syscall($number{$name}, @args); return $result == -1 ? 0 + $! : 0 }

sub writes {
    my ($path, $text) = @_;
    open(my $file, '>', $path) or return 0;
    my $done = syswrite($file, $text);
    return defined $done && $done > 0;
}

sub reads {
    my ($path) = @_;
    sysopen(my $file, $path, O_RDONLY | O_NONBLOCK) or return 0;
    return sysread($file, my $text, 512);
}

my @attacks = (
    ['load a module' => sub { refused('init_module', my $image = "\0" x 64, 64, my $none = '') != 38 }],
    ['load a module by descriptor' => sub { refused('finit_module', 0, my $none = '', 0) != 38 }],
    ['unload a module' => sub { refused('delete_module', my $name = 'overlay', 0) != 38 }],
    ['load a kernel' => sub { refused('kexec_load', 0, 0, 0, 0) != 38 }],
    ['load a kernel by descriptor' => sub { refused('kexec_file_load', 0, 0, 0, 0, 0) != 38 }],
    ['open by handle' => sub { refused('open_by_handle_at', 0, my $handle = pack('II', 8, 1) . ("\0" x 8), 0) != 38 }],
    ['unmount by force' => sub { refused('umount2', my $path = '/proc', 1) != 13 }],
    ['set the time' => sub { refused('settimeofday', my $time = pack('qq', 1, 0), 0) != 1 }],
    ['set the clock' => sub { refused('clock_settime', 0, my $time = pack('qq', 1, 0)) != 1 }],
    ['swap' => sub { refused('swapon', my $path = '/etc/passwd', 0) == 0 }],
    ['account' => sub { refused('acct', my $path = '/etc/passwd') == 0 }],
    ['use ports of the machine' => sub { refused('iopl', 3) == 0 }],
    ['clear the log of the kernel' => sub { refused('syslog', 5, 0, 0) == 0 }],
    ['read the log of the kernel' => sub { refused('syslog', 3, my $buffer = "\0" x 4096, 4096) == 0 }],
    ['open the log of the kernel' => sub { reads('/dev/kmsg') }],
    ['open the memory of the machine' => sub { reads('/dev/mem') || reads('/proc/kcore') }],
    ['make a block device' => sub { refused('mknod', my $path = '/tmp/disk', 0060600, 8 << 8) == 0 }],
    ['make a device of memory' => sub { refused('mknod', my $path = '/tmp/mem', 0020600, 1 << 8 | 1) == 0 }],
    ['load a program for the kernel to trace' => sub { refused('bpf', 5, my $attr = pack('IIQQIIQ', 5, 2, 0, 0, 0, 0, 0) . "\0" x 80, 120) == 0 }],
    (map { my $type = $_; ["mount $type" => sub { mkdir '/tmp/m'; refused('mount', my $s = $type, my $t = '/tmp/m', my $f = $type, 0, 0) == 0 }] }
        qw(debugfs tracefs securityfs efivarfs configfs pstore cgroup)),
    ['mount a disk' => sub { mkdir '/tmp/m'; refused('mount', my $s = '/dev/vda', my $t = '/tmp/m', my $f = 'ext4', 0, 0) == 0 }],
    (map { my $path = $_; ["write $path" => sub { writes($path, "1\n") }] }
        '/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/vm/overcommit_memory',
        '/proc/sys/vm/drop_caches', '/proc/sys/kernel/panic', '/proc/sys/fs/file-max', '/proc/irq/0/smp_affinity',
        '/sys/kernel/uevent_helper', '/sys/power/state', '/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/pids.max',
        '/sys/fs/cgroup/cgroup.max.descendants', '/sys/fs/cgroup/release_agent', '/sys/module/kernel/parameters/panic',
        '/proc/1/oom_score_adj_'),
    ['uncover what is masked' => sub { my $seen = 0; for my $path (qw(/proc/kcore /proc/sysrq-trigger /proc/timer_list /proc/keys /sys/firmware)) {
        $seen = 1 if refused('umount2', my $p = $path, 2) == 0 } $seen }],
    ['see processes of the host' => sub { my $init = readlink('/proc/1/exe') // ''; $init !~ m{/systemd$} || -e '/proc/2/task' && (readlink('/proc/2/exe') // '') =~ /rlxcd/ }],
    ['see keys of the host' => sub { open(my $keys, '<', '/proc/keys') or return 0; my @lines = <$keys>; grep { /rlxc|_uid\.0/ && !/_uid/ } @lines }],
    ['find a device that is not harmless' => sub {
        my %harmless = map { $_ => 1 } qw(null zero full random urandom tty console ptmx net/tun fuse core fd stdin stdout stderr log initctl);
        my @found = grep { (-b $_) || (-c $_) && !$harmless{substr($_, 5)} && !m{^/dev/(pts|lxd|incus)} } glob('/dev/*');
        print "  $_\n" for @found;
        scalar @found }],
    ['leave the own control group' => sub { for my $path (glob('/sys/fs/cgroup/../*/cgroup.procs'), '/sys/fs/cgroup/../cgroup.procs') {
        return 1 if $path !~ m{^/sys/fs/cgroup/\.\./cgroup/} && writes($path, "$$\n") } 0 }],
    ['join namespaces of the first process of the host' => sub { open(my $ns, '<', '/proc/1/ns/mnt') or return 0;
        my $own = readlink('/proc/self/ns/mnt'); my $first = readlink('/proc/1/ns/mnt'); $own ne $first }],
    ['leave by the root of the first process' => sub { my @own = stat('/'); my @out = stat('/proc/1/root/../../../..');
        @out && ($own[0] != $out[0] || $own[1] != $out[1]) || -e '/proc/1/root/../../../../proc/1/root/etc/hostname_' }],
    # The class of CVE-2022-0492: a hierarchy of version 1, mounted in namespaces of one's own.
    ['have the host run a program when a control group is empty' => sub {
        my $pid = fork; if (!$pid) {
            my $through = 0; syscall(272, 0x10000000 | 0x02000000 | 0x00020000);
            for my $name (qw(rdma memory cpu cpuset blkio pids freezer devices hugetlb perf_event net_cls misc)) {
                mkdir '/tmp/v1'; my ($s, $t, $k, $d) = ("none\0", "/tmp/v1\0", "cgroup\0", "$name\0");
                syscall($number{mount}, $s, $t, $k, 0, $d) == 0 or next;
                $through = 1 if writes('/tmp/v1/release_agent', "/tmp/agent\n") || writes('/tmp/v1/notify_on_release', "1\n") || writes('/tmp/v1/tasks', "$$\n");
                syscall(166, $t, 2) }
            require POSIX; POSIX::_exit($through) }
        waitpid $pid, 0; $? != 0 }],
    # A cgroup namespace shows the groups below those that its first process was in, and no others.
    ['see or make control groups among those of the host' => sub {
        my $pid = fork; if (!$pid) {
            my $through = 0; syscall(272, 0x10000000 | 0x02000000 | 0x00020000); mkdir '/tmp/v1';
            for my $name (qw(name=systemd rdma memory cpu cpuacct cpuset blkio pids freezer devices hugetlb perf_event net_cls misc)) {
                my ($s, $t, $k, $d) = ("none\0", "/tmp/v1\0", "cgroup\0", "$name\0");
                syscall($number{mount}, $s, $t, $k, 0, $d) == 0 or next;
                my @seen = grep { -d } glob('/tmp/v1/*');
                print "  $name: @seen\n" if @seen;
                $through = 1 if @seen || mkdir('/tmp/v1/evil');
                syscall(166, $t, 2) }
            require POSIX; POSIX::_exit($through) }
        waitpid $pid, 0; $? != 0 }],
    ['more than the capabilities of a container' => sub { open(my $status, '<', '/proc/self/status') or return 1;
        my ($bounding) = grep { /^CapBnd/ } <$status>; my $bits = hex((split ' ', $bounding)[1]);
        # sys_module 16, sys_rawio 17, sys_time 25, mac_override 32, mac_admin 33
        my $bad = 0; for my $bit (16, 17, 25, 32, 33) { $bad = 1 if $bits & (1 << $bit) } $bad }],
);

for my $attack (@attacks) {
    my ($name, $try) = @$attack;
    my $through = eval { $try->() };
    print "$name\n" if $through;
}
print scalar(@attacks), " tried\n";
