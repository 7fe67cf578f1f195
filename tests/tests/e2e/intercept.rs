//! System calls that the monitor answers where it is asked to: what is allowed works, all else fails as it did, and nobody
//! gets further by them than was meant.

use std::time::{Duration, Instant};

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, Uplink, require};

use super::daemon_with_c1;
use super::disks::Disk;

const ATTACKS: &str = include_str!("intercept/attacks.pl");
const KEY: &str = "security.syscalls.intercept";

#[track_caller]
fn intercept(cli: Cli<'_>, calls: &[&str]) {
    for call in calls {
        cli.ok(["config", "set", "c1", &format!("{KEY}.{call}")]);
    }
    cli.ok(["restart", "-f", "c1"]);
}

fn shell(cli: Cli<'_>, line: &str) -> rlxc_tests::process::Output {
    cli.run(["exec", "c1", "--", "sh", "-c", line])
}

/// A disk of the instance's own.
fn give(disk: &Disk, cli: Cli<'_>) {
    let source = format!("source={}", disk.node);
    let line = ["config", "device", "add", "c1", "disk", "unix-block"];
    cli.ok(line
        .into_iter()
        .chain([source.as_str(), "path=/dev/mydisk"]));
}

#[test]
fn harmless_nodes_are_made_where_that_is_asked_for() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let plain = shell(cli, "mknod /root/null c 1 3");
    assert!(plain.stderr.contains("not permitted"), "{plain}");
    intercept(cli, &["mknod=true"]);
    for (name, minor) in [
        ("null", "1 3"),
        ("zero", "1 5"),
        ("full", "1 7"),
        ("random", "1 8"),
        ("urandom", "1 9"),
        ("tty", "5 0"),
        ("console", "5 1"),
    ] {
        cli.exec(
            "c1",
            &["sh", "-c", &format!("mknod /root/{name} c {minor}")],
        );
    }
    // They work, and belong to who made them.
    assert_eq!(
        cli.exec(
            "c1",
            &[
                "sh",
                "-c",
                "echo gone > /root/null; head -c 4 /root/zero | wc -c"
            ]
        ),
        "4"
    );
    let made = "umask 027; mknod /root/mine c 1 3; stat -c '%u:%g %a %t:%T' /root/mine";
    assert_eq!(cli.exec("c1", &["sh", "-c", made]), "0:0 640 1:3");
    nodes_stand_where_the_caller_does(cli);
    other_nodes_are_refused(cli);
    // A daemon that dies takes nothing along, and a command that another has started is heard too.
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    cli.exec("c1", &["mknod", "/root/later", "c", "1", "3"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

/// In its directory, in its root.
#[track_caller]
fn nodes_stand_where_the_caller_does(cli: Cli<'_>) {
    let jail = "mkdir -p /jail/bin /jail/dev /jail/sub; cp /bin/busybox /jail/bin/; cd /jail/sub && mknod ../dev/a c 1 3 && \
                chroot /jail /bin/busybox sh -c 'cd /sub && /bin/busybox mknod ../../../dev/b c 1 3' && \
                ln -s /etc /jail/link; chroot /jail /bin/busybox mknod /link/c c 1 3; ls /jail/dev; ls /etc/c /dev/b 2>/dev/null";
    let seen = shell(cli, jail);
    assert_eq!(seen.stdout, "a\nb\n", "{seen}");
}

#[track_caller]
fn other_nodes_are_refused(cli: Cli<'_>) {
    // Pipes and files are the kernel's, as ever.
    cli.exec(
        "c1",
        &["sh", "-c", "mknod /root/pipe p && mkfifo /root/fifo"],
    );
    for wrong in ["b 7 0", "c 1 1", "c 1 11", "c 10 229"] {
        let refused = shell(cli, &format!("mknod /root/wrong {wrong}"));
        assert!(
            refused.stderr.contains("not permitted"),
            "{wrong}: {refused}"
        );
    }
    let again = shell(cli, "mknod /root/null c 1 3");
    assert!(again.stderr.contains("exists"), "{again}");
    let user = cli.run([
        "exec",
        "c1",
        "--user",
        "1000",
        "--cwd",
        "/tmp",
        "--",
        "mknod",
        "/tmp/theirs",
        "c",
        "1",
        "3",
    ]);
    assert!(user.stderr.contains("not permitted"), "{user}");
}

#[test]
fn file_systems_are_mounted_that_are_allowed() {
    require!(root);
    let disk = Disk::new();
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    give(&disk, cli);
    let plain = shell(cli, "mkdir -p /mnt; mount -t ext4 /dev/mydisk /mnt");
    assert!(
        plain.stderr.contains("ermission denied") || plain.stderr.contains("not permitted"),
        "{plain}"
    );
    intercept(
        cli,
        &["mount=true", "mount.allowed=ext4", "mount.shift=true"],
    );
    cli.exec("c1", &["mount", "-t", "ext4", "/dev/mydisk", "/mnt"]);
    let seen = "stat -c %u:%g /mnt; touch /mnt/mine && stat -c %u:%g /mnt/mine; grep -c '^/dev/mydisk /mnt ext4 rw,.*nodev' /proc/mounts";
    assert_eq!(cli.exec("c1", &["sh", "-c", seen]), "0:0\n0:0\n1");
    assert!(
        !std::fs::read_to_string("/proc/mounts")
            .unwrap()
            .contains("mydisk")
    );
    cli.exec("c1", &["umount", "/mnt"]);
    cli.exec(
        "c1",
        &[
            "mount",
            "-t",
            "ext4",
            "-o",
            "ro,noexec",
            "/dev/mydisk",
            "/mnt",
        ],
    );
    let written = shell(cli, "mount -o remount,rw /mnt; echo x > /mnt/y");
    assert!(written.stderr.contains("Read-only"), "{written}");
    cli.exec("c1", &["umount", "/mnt"]);
    for wrong in [
        "-t ext2 /dev/mydisk",
        "-t ext4 /dev/null",
        "-t ext4 -o errors=panic /dev/mydisk",
    ] {
        let refused = shell(cli, &format!("mount {wrong} /mnt"));
        assert_ne!(refused.code, 0, "{wrong}");
    }
    what_is_allowed_changes_at_once(cli);
    // What the kernel lets a container mount it still does.
    cli.exec(
        "c1",
        &["sh", "-c", "mount -t tmpfs none /mnt && umount /mnt"],
    );
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

fn what_is_allowed_changes_at_once(cli: Cli<'_>) {
    let allow = |types: &str| {
        cli.ok([
            "config",
            "set",
            "c1",
            &format!("{KEY}.mount.allowed={types}"),
        ]);
        shell(cli, "mount -t ext4 /dev/mydisk /mnt && umount /mnt")
    };
    let refused = allow("ext2");
    assert_ne!(refused.code, 0, "{refused}");
    let allowed = allow("ext2,ext4");
    assert_eq!(allowed.code, 0, "{allowed}");
}

#[test]
fn a_program_in_the_instance_mounts_instead_of_the_kernel() {
    require!(root);
    let disk = Disk::new();
    let daemon = Daemon::initialized_with(Uplink::Isolated);
    rlxc_tests::image::import_debian_with(&daemon, super::nesting::PACKAGES);
    let cli = daemon.cli();
    cli.ok(["launch", "debian/12", "c1"]);
    give(&disk, cli);
    intercept(
        cli,
        &["mount=true", "mount.fuse=ext4=fuse2fs,xfs=no-such-program"],
    );
    let line =
        "mount -t ext4 -o ro /dev/mydisk /mnt && ls /mnt && grep -c ' /mnt fuse' /proc/mounts";
    let seen = shell(cli, line);
    assert!(
        seen.stdout.contains("this-is-mydisk") && seen.stdout.ends_with("\n1\n"),
        "{seen}"
    );
    cli.exec("c1", &["umount", "/mnt"]);
    let refused = shell(
        cli,
        "mount -t xfs /dev/mydisk /mnt || unshare -m mount -t ext4 /dev/mydisk /mnt",
    );
    assert_ne!(refused.code, 0, "{refused}");
    // Nobody but root of the instance gets that far.
    let call = "my ($s, $t, $k) = (\"/dev/mydisk\\0\", \"/mnt\\0\", \"ext4\\0\"); syscall(165, $s, $t, $k, 0, 0); print $!";
    let user = cli.run(["exec", "c1", "--user", "1000", "--", "perl", "-e", call]);
    assert!(user.stdout.contains("not permitted"), "{user}");
}

#[test]
fn the_machine_is_what_the_instance_got() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["config", "set", "c1", "limits.memory=100MiB"]);
    intercept(cli, &["sysinfo=true"]);
    let free = cli.exec("c1", &["sh", "-c", "free -k | grep Mem: "]);
    assert_eq!(free.split_whitespace().nth(1), Some("102400"), "{free}");
    let up = cli.exec("c1", &["uptime"]);
    assert!(up.contains("up 0 min"), "{up}");
}

#[test]
fn what_is_wrong_is_said() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    for (pair, said) in [
        ("mknod=perhaps", "mknod"),
        ("mount.allowed=ext4;xfs", "mount.allowed"),
        ("mount.fuse=ext4", "mount.fuse"),
        ("bpf=true", "privilege of the host"),
        ("umount=true", "Did you mean"),
    ] {
        let error = cli.fails(["config", "set", "c1", &format!("{KEY}.{pair}")]);
        assert!(error.contains(said), "{pair}: {error}");
    }
    cli.ok(["config", "set", "c1", &format!("{KEY}.bpf=false")]);
    cli.ok([
        "config",
        "set",
        "c1",
        &format!("{KEY}.mknod=true"),
        "security.syscalls.allow=read",
    ]);
    let error = cli.fails(["restart", "-f", "c1"]);
    assert!(error.contains("security.syscalls.allow"), "{error}");
    cli.ok(["config", "unset", "c1", "security.syscalls.allow"]);
    // In a restricted project none, unless it is said.
    cli.ok([
        "project",
        "create",
        "p1",
        "-c",
        "restricted=true",
        "-c",
        "features.images=false",
        "-c",
        "features.profiles=false",
    ]);
    let error = cli.fails([
        "--project",
        "p1",
        "init",
        "busybox",
        "x",
        "-c",
        &format!("{KEY}.mknod=true"),
    ]);
    assert!(
        error.contains("restricted.containers.interception"),
        "{error}"
    );
    cli.ok(["project", "delete", "p1"]);
}

#[test]
fn nobody_gets_further_by_it() {
    require!(root);
    let disk = Disk::new();
    let daemon = Daemon::initialized_with(Uplink::Isolated);
    rlxc_tests::image::import_debian(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "debian/12", "c1"]);
    give(&disk, cli);
    let all = [
        "mknod=true",
        "setxattr=true",
        "sysinfo=true",
        "sched_setscheduler=true",
        "mount=true",
        "mount.allowed=ext4",
        "mount.shift=true",
    ];
    intercept(cli, &all);
    let perl = |script: &str| {
        let output = cli.feed(script.as_bytes(), ["exec", "c1", "--", "perl", "-"]);
        assert_eq!(output.code, 0, "{output}");
        output.stdout
    };
    // What is allowed works here too: an attribute, and urgency.
    let allowed = "my ($p, $n, $v) = (\"/run/opaque\\0\", \"trusted.overlay.opaque\\0\", 'y'); mkdir '/run/opaque'; \
                   print syscall(188, $p, $n, $v, 1, 0), ' '; my $q = pack 'i', 0; my $own = 0 + $$; syscall(144, $own, 5, $q); print syscall(144, $own, 0, $q), ' ', syscall(144, 0, 3, $q), qq{\\n};";
    assert_eq!(perl(allowed), "0 0 0\n");
    assert_eq!(perl(ATTACKS), "52 tried\n", "attacks that came through");
    the_monitor_serves_on(cli);
    eventually("it boots as ever", Duration::from_secs(60), || {
        let state = cli.run(["exec", "c1", "--", "systemctl", "is-system-running"]);
        state.stdout.trim() == "running"
    });
    a_dead_monitor_opens_nothing(&daemon);
}

/// Paths on a file system that never answers, and more calls at once than there are workers.
#[track_caller]
fn the_monitor_serves_on(cli: Cli<'_>) {
    let hang = "$| = 1; open my $f, '+<', '/dev/fuse' or die; my ($s, $t, $k) = (\"x\\0\", \"/srv\\0\", \"fuse\\0\"); \
                my $d = 'fd=' . fileno($f) . \",rootmode=40000,user_id=0,group_id=0\\0\"; syscall(165, $s, $t, $k, 0, $d) == 0 or die \"mount: $!\"; \
                for (1..40) { next if fork; my $p = \"/srv/a/b\\0\"; syscall(133, $p, 0020666, 0x103); print \"$!\\n\"; exit } \
                sleep 2; print \"waiting\\n\"; sleep 60";
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            cli.run([
                "exec", "c1", "--", "timeout", "-s", "KILL", "14", "perl", "-e", hang,
            ])
        });
        std::thread::sleep(Duration::from_secs(1));
        for _ in 0..5 {
            let before = Instant::now();
            assert_eq!(cli.exec("c1", &["echo", "fine"]), "fine");
            assert!(
                before.elapsed() < Duration::from_secs(2),
                "{:?}",
                before.elapsed()
            );
        }
        let output = hanging.join().unwrap();
        assert!(output.stdout.contains("waiting"), "{output}");
        // As many as there are workers were given up; the others had not had their turn.
        let given_up = output.stdout.matches("not permitted").count();
        assert_eq!(given_up, 16, "{output}");
    });
    // Those that hung were given up, and others have their turn.
    eventually("a node is made", Duration::from_secs(30), || {
        cli.run(["exec", "c1", "--", "mknod", "/root/after", "c", "1", "3"])
            .code
            == 0
    });
}

/// Without whoever answers, calls fail; the container goes with its monitor.
#[track_caller]
fn a_dead_monitor_opens_nothing(daemon: &Daemon) {
    let cli = daemon.cli();
    let state = cli.instance("c1").unwrap();
    let init = state.pointer("/state/pid").unwrap().as_i64().unwrap();
    let kill = format!("kill -9 $(sed -n 's/^PPid:\\t//p' /proc/{init}/status)");
    let trying = "for my $n (1..100000) { my $p = \"/root/dead$n\\0\"; syscall(133, $p, 0060666, 0x800) == 0 and print \"made\\n\" }";
    std::thread::scope(|scope| {
        let trying = scope.spawn(|| cli.run(["exec", "c1", "--", "perl", "-e", trying]));
        std::thread::sleep(Duration::from_millis(700));
        daemon.world().run(&["sh", "-c", &kill]);
        let output = trying.join().unwrap();
        assert!(!output.stdout.contains("made"), "{output}");
    });
    cli.wait_status("c1", "Stopped");
    cli.ok(["start", "c1"]);
    let made = cli.exec(
        "c1",
        &[
            "sh",
            "-c",
            "ls /root/dead* 2>/dev/null | wc -l; mknod /root/again c 1 3",
        ],
    );
    assert_eq!(made, "0");
}
