# What a container tries against who answers its system calls. Prints a line for each attempt that comes through.
use strict; use warnings;
my $tried = 0;
sub attempt { my ($name, $code) = @_; $tried++; my $got = eval { $code->() }; print "$name\n" if $got; }
my ($MKNOD, $MKNODAT, $SETXATTR, $MOUNT, $MMAP, $READ, $SYSINFO, $SCHED) = (133, 259, 188, 165, 9, 0, 99, 144);
sub mknod { my ($path, $mode, $major, $minor) = @_; $path .= "\0"; my $number = ($major << 8) | ($minor & 0xff) | (($minor & ~0xff) << 12); return syscall($MKNOD, $path, $mode, $number) == 0 }
my ($CHR, $BLK) = (0020666, 0060666);
mkdir '/atk'; chdir '/atk';

# Devices that are none of a container's.
for my $device ([1, 1, 'mem'], [1, 4, 'port'], [1, 11, 'kmsg'], [10, 232, 'kvm'], [10, 229, 'fuse'], [5, 2, 'ptmx'], [4, 0, 'tty0'], [4096 + 1, 3, 'null, as 12 bits']) {
    attempt("character device $device->[2]", sub { mknod("/atk/c$device->[0].$device->[1]", $CHR, $device->[0], $device->[1]) });
}
for my $device ([7, 0], [8, 0], [254, 0], [1, 3], [0, 0]) {
    attempt("block device @$device", sub { mknod("/atk/b$device->[0].$device->[1]", $BLK, @$device) });
}
# Paths that lead out, or that the caller could not follow.
attempt('links of /proc', sub { my $found = 0; for my $p (glob '/proc/[0-9]*') { for my $way ('root', 'cwd', glob "$p/fd/*") { my $to = $way =~ m{^/} ? $way : "$p/$way"; $found |= mknod("$to/rlxc-attack", $CHR, 1, 3) } } $found });
attempt('through a link to a process', sub { symlink '/proc/1/root/tmp', '/atk/link'; mknod('/atk/link/x', $CHR, 1, 3) });
attempt('kernel files', sub { mknod('/proc/sys/x', $CHR, 1, 3) || mknod('/sys/x', $CHR, 1, 3) || mknod('/sys/fs/cgroup/x', $CHR, 1, 3) });
attempt('bad memory', sub { syscall($MKNOD, 1, $CHR, 0x103) == 0 });
attempt('bad descriptor', sub { my $n = "x\0"; syscall($MKNODAT, 12345, $n, $CHR, 0x103) == 0 });
attempt('no name', sub { mknod('', $CHR, 1, 3) || mknod('/', $CHR, 1, 3) || mknod('/atk/..', $CHR, 1, 3) || mknod('x' x 5000, $CHR, 1, 3) });
symlink '/atk/target', '/atk/dangling';
attempt('a link as the last name', sub { mknod('/atk/dangling', $CHR, 1, 3); -e '/atk/target' });

# Without privilege: as a user, and as root of a user namespace below.
sub as_user { my ($code) = @_; pipe(my $r, my $w); my $pid = fork; if (!$pid) { $) = "1000 1000"; $( = 1000; $< = 1000; $> = 1000; my $got = eval { $code->() }; print $w 'yes' if $got; close $w; require POSIX; POSIX::_exit(0) } close $w; waitpid $pid, 0; my $got = <$r>; return ($got // '') eq 'yes' }
sub nested { my ($code) = @_; return as_user(sub {
    syscall(157, 4, 1, 0, 0, 0);   # dumpable again, so that its maps are its own
    syscall(272, 0x10000000 | 0x20000) == 0 or return 0;   # unshare: user, mount
    for my $file (['setgroups', 'deny'], ['uid_map', '0 1000 1'], ['gid_map', '0 1000 1']) { open my $f, '>', "/proc/self/$file->[0]" or return 0; syswrite $f, $file->[1]; close $f }
    return $code->() }) }
chmod 0777, '/atk';
my $opaque = "trusted.overlay.opaque\0"; my $y = 'y';
for my $who (['a user', \&as_user], ['root of a namespace below', \&nested]) {
    my ($name, $as) = @$who;
    attempt("mknod by $name", sub { $as->(sub { mknod('/atk/by-user', $CHR, 1, 3) }) });
    attempt("setxattr by $name", sub { $as->(sub { mkdir '/atk/d'; my $d = "/atk/d\0"; syscall($SETXATTR, $d, $opaque, $y, 1, 0) == 0 }) });
    attempt("mount by $name", sub { $as->(sub { my ($s, $t, $k) = ("/dev/mydisk\0", "/mnt\0", "ext4\0"); syscall($MOUNT, $s, $t, $k, 0, 0) == 0 }) });
    attempt("urgency by $name", sub { $as->(sub { my $p = pack 'i', 10; syscall($SCHED, 0, 1, $p) == 0 }) });
}
# The test of the test: these are real namespaces.
print "no namespace below\n" unless nested(sub { $> == 0 });

# Attributes that are not an overlay's mark.
for my $name ('trusted.other', 'trusted.overlay.origin', 'trusted.overlay.upper', 'trusted.overlay.opaque.x', 'security.capability', 'trusted.overlay.metacopy') {
    attempt("attribute $name", sub { my ($p, $n) = ("/atk/d2\0", "$name\0"); mkdir '/atk/d2'; syscall($SETXATTR, $p, $n, $y, 1, 0) == 0 });
}
attempt('attribute on a file of the kernel', sub { my $p = "/proc/1\0"; syscall($SETXATTR, $p, $opaque, $y, 1, 0) == 0 });

# Mounts of what is not allowed, from where it is not allowed, with options that lead elsewhere.
sub mounts { my ($source, $kind, $data, $flags) = @_; my ($s, $t, $k, $d) = ("$source\0", "/mnt\0", "$kind\0", ($data // '') . "\0"); my $ok = syscall($MOUNT, $s, $t, $k, $flags // 0, $d) == 0; system('umount', '/mnt') if $ok; return $ok }
attempt('a file system that is not allowed', sub { mounts('/dev/mydisk', 'ext2') || mounts('/dev/mydisk', 'xfs') || mounts('/dev/mydisk', 'btrfs') });
attempt('a device that is not its own', sub { mounts('/dev/null', 'ext4') || mounts('/dev/vda', 'ext4') || mounts('/dev/loop0', 'ext4') });
attempt('a file as a device', sub { open my $f, '>', '/atk/file'; close $f; mounts('/atk/file', 'ext4') });
for my $option ('journal_path=/dev/mydisk', 'journal_dev=0x700', 'errors=panic', 'source=/dev/vda', 'noatime,errors=panic') {
    attempt("option $option", sub { mounts('/dev/mydisk', 'ext4', $option) });
}
attempt('a device only to be read, to be written', sub { mounts('/dev/mydisk', 'ext4', 'rw', 1) && do { mounts_writable() } });
sub mounts_writable { my ($s, $t, $k, $d) = ("/dev/mydisk\0", "/mnt\0", "ext4\0", "rw\0"); syscall($MOUNT, $s, $t, $k, 1, $d); my $ok = open my $f, '>', '/mnt/written'; system('umount', '/mnt'); return $ok }

# Memory that changes while it is looked at: a neighbour writes to it by reads from a file, through its own address.
my $shared = syscall($MMAP, 0, 4096, 3, 0x21, -1, 0);
sub race { my ($one, $other, $try) = @_; my $pid = fork;
    if (!$pid) { my @pipes = map { pipe(my $r, my $w); [$r, $w] } 0, 1; while (1) { for my $i (0, 1) { my $text = ($i ? $other : $one) . "\0"; syswrite $pipes[$i][1], $text; syscall($READ, fileno $pipes[$i][0], $shared, length $text) } } }
    my $got = 0; for (1 .. 150) { $got |= $try->() } kill 9, $pid; waitpid $pid, 0; return $got }
attempt('a race of file systems', sub { race('ext4', 'ext2', sub { my ($s, $t) = ("/dev/mydisk\0", "/mnt\0"); my $ok = syscall($MOUNT, $s, $t, $shared, 0, 0) == 0; return 0 unless $ok; open my $m, '<', '/proc/self/mounts'; my $wrong = grep { m{ /mnt (?!ext4)} } <$m>; system('umount', '/mnt'); return $wrong }) });
attempt('a race of sources', sub { race('/dev/mydisk', '/dev/vda', sub { my ($t, $k) = ("/mnt\0", "ext4\0"); my $ok = syscall($MOUNT, $shared, $t, $k, 0, 0) == 0; return 0 unless $ok; my $wrong = !-e '/mnt/this-is-mydisk'; system('umount', '/mnt'); return $wrong }) });
mkdir '/atk/in';
attempt('a race of paths', sub { race('/atk/in/x', '/proc/1/root/etc/x', sub { syscall($MKNOD, $shared, $CHR, 0x103); unlink '/atk/in/x'; -e '/etc/x' }) });
attempt('a race of attributes', sub { mkdir '/atk/d3'; race('trusted.overlay.opaque', 'trusted.overlay.origin', sub { my $p = "/atk/d3\0"; syscall($SETXATTR, $p, $shared, $y, 1, 0); 0 }) });
# A directory that is swapped for a link to elsewhere.
attempt('a race of directories', sub { my $pid = fork; if (!$pid) { while (1) { mkdir '/atk/swap'; rmdir '/atk/swap'; symlink '/proc/1/root/etc', '/atk/swap'; unlink '/atk/swap' } }
    for (1 .. 150) { mknod('/atk/swap/y', $CHR, 1, 3) } kill 9, $pid; waitpid $pid, 0; unlink '/atk/swap/y'; -e '/etc/y' });

# Memory that the caller may not write to stays as it is.
attempt('a structure where nothing may be written', sub { my $page = syscall($MMAP, 0, 4096, 1, 0x22, -1, 0); syscall($SYSINFO, $page) == 0 });
attempt('policies that there are not', sub { my $p = pack 'i', 10; syscall($SCHED, 0, 6, $p) == 0 || syscall($SCHED, -1, 1, $p) == 0 });
# Callers that are gone: nobody answers for them.
attempt('callers that die', sub { for (1 .. 100) { my $pid = fork; if (!$pid) { mknod("/atk/gone", $CHR, 1, 3); require POSIX; POSIX::_exit(0) } select undef, undef, undef, 0.0005; kill 9, $pid; waitpid $pid, 0; unlink '/atk/gone' } 0 });
print "$tried tried\n";
