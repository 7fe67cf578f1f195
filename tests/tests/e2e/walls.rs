//! Attacks from inside: what root of a container tries against the host must fail, and the host must not notice. Real Debian,
//! whose perl makes the system calls.

use std::time::Duration;

use rlxc_tests::process::{Run, eventually};
use rlxc_tests::{Cli, Daemon, Uplink, require};

/// Tries a list of attacks; prints a line for each that comes through.
const ATTACKS: &str = include_str!("walls/attacks.pl");
/// Tries what a command that `exec` has started could inherit.
const INHERITED: &str = include_str!("walls/inherited.pl");

fn debian(config: &[&str]) -> Daemon {
    let daemon = Daemon::initialized_with(Uplink::Isolated);
    rlxc_tests::image::import_debian(&daemon);
    let config = config.iter().flat_map(|pair| ["-c", pair]);
    let line = ["launch", "debian/12", "c1"].into_iter().chain(config);
    daemon.cli().ok(line);
    daemon
}

#[track_caller]
fn perl(cli: Cli<'_>, script: &str) -> String {
    let output = cli.feed(script.as_bytes(), ["exec", "c1", "--", "perl", "-"]);
    assert_eq!(output.code, 0, "{output}");
    output.stdout
}

#[test]
fn root_of_a_container_reaches_nothing_of_the_host() {
    require!(root);
    let daemon = debian(&[]);
    let cli = daemon.cli();
    let before = host();
    assert_eq!(
        perl(cli, ATTACKS),
        "53 tried\n",
        "attacks that came through"
    );
    assert_eq!(perl(cli, INHERITED), "", "what a command inherits");
    a_directory_of_the_daemon_is_none_of_a_commands(cli);
    the_monitor_is_not_overwritten(&daemon);
    assert_eq!(host(), before);
}

/// What an attack would leave on the host.
fn host() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/kernel/hostname",
    ]
    .map(read)
    .into()
}

/// The class of CVE-2024-21626: a working directory by way of a descriptor that was left open.
#[track_caller]
fn a_directory_of_the_daemon_is_none_of_a_commands(cli: Cli<'_>) {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    for fd in 0..40 {
        let cwd = format!("/proc/self/fd/{fd}");
        let output = cli.run([
            "exec",
            "c1",
            "--cwd",
            &cwd,
            "--",
            "cat",
            "../../../../etc/hostname",
        ]);
        let leaked = !host.trim().is_empty() && output.stdout.trim() == host.trim();
        assert!(!leaked || output.stdout.trim() == "c1", "{cwd}: {output}");
    }
}

/// The class of CVE-2019-5736: a command that makes the program that starts it run itself, and writes to it.
#[track_caller]
fn the_monitor_is_not_overwritten(daemon: &Daemon) {
    let cli = daemon.cli();
    let monitor = rlxc_tests::binaries().join("rlxc-monitor");
    let before = std::fs::read(&monitor).unwrap();
    cli.exec(
        "c1",
        &[
            "sh",
            "-c",
            "printf '#!/proc/self/exe\\n' > /usr/local/bin/evil; chmod 755 /usr/local/bin/evil",
        ],
    );
    let writer = "my @p; for (1..4000) { for my $p (glob '/proc/[0-9]*') { \
                  if ((readlink(\"$p/exe\") // '') =~ /memfd|monitor/) { open(my $f, '+<', \"$p/exe\") and print \"written $p\\n\"; } } } ";
    let writing = std::thread::scope(|scope| {
        let writer =
            scope.spawn(|| cli.run(["exec", "c1", "--", "timeout", "3", "perl", "-e", writer]));
        for _ in 0..20 {
            // It may fail in any way.
            let _output = cli.run(["exec", "c1", "--", "/usr/local/bin/evil"]);
        }
        writer.join().unwrap()
    });
    assert_eq!(writing.stdout, "", "{writing}");
    assert!(
        std::fs::read(&monitor).unwrap() == before,
        "the monitor's program is as it was"
    );
    assert_eq!(cli.exec("c1", &["echo", "fine"]), "fine");
}

/// Takes what it can get of what the kernel has few of, holds it, and says how many it got of each.
const TAKES: &str = "$SIG{HUP} = 'IGNORE'; my (@held, $watches); \
    while (open(my $terminal, '+<', '/dev/ptmx')) { push @held, $terminal; last if @held > 2000 } my $terminals = @held; \
    while (syscall(294, 0) >= 0) { last if ++$watches > 2000 } \
    print \"$terminals $watches\"; if (fork == 0) { close STDOUT; close STDERR; sleep 600 }";
/// The number of the session keyring.
const KEYRING: &str = "print syscall(250, 0, -3, 0)";

#[test]
fn what_one_instance_takes_is_not_taken_from_the_others() {
    require!(root);
    let daemon = debian(&[]);
    let cli = daemon.cli();
    cli.ok(["launch", "debian/12", "c2"]);
    let taken = cli.exec(
        "c1",
        &["sh", "-c", "ulimit -n 5000; exec perl -e \"$0\"", TAKES],
    );
    let (terminals, watches) = taken.split_once(' ').unwrap();
    assert!(
        (500..=1024).contains(&terminals.parse().unwrap()),
        "{taken}"
    );
    assert!((1..=2000).contains(&watches.parse().unwrap()), "{taken}");
    let in_c2 = "for my $n (1..20) { open(my $t, '+<', '/dev/ptmx') or die 'terminal'; } syscall(294, 0) >= 0 or die 'watch'";
    cli.exec("c2", &["perl", "-e", in_c2]);
    let host = Run::new(["perl", "-e", "exit(syscall(294, 0) < 0)"]);
    assert_eq!(host.output().unwrap().code, 0, "a watch of the host");
    let of_host = Run::new(["perl", "-e", KEYRING]);
    let mut keyrings = vec![of_host.output().unwrap().stdout];
    keyrings.extend(["c1", "c2"].map(|name| cli.exec(name, &["perl", "-e", KEYRING])));
    keyrings.sort();
    keyrings.dedup();
    assert_eq!(keyrings.len(), 3, "session keyrings: {keyrings:?}");
}

#[test]
fn bombs_stay_inside() {
    require!(root);
    let daemon = debian(&[
        "limits.processes=120",
        "limits.memory=200MiB",
        "limits.memory.swap=false",
    ]);
    let cli = daemon.cli();
    eventually("systemd is up", Duration::from_secs(60), || {
        cli.run([
            "exec",
            "c1",
            "--",
            "systemctl",
            "is-system-running",
            "--wait",
        ])
        .stdout
        .trim()
            == "running"
    });
    let forks = "my @all; while (1) { my $p = fork; if (!defined $p) { last } if ($p == 0) { sleep 60; exit } push @all, $p } print scalar @all; kill 9, @all; 1 while wait > 0";
    let count: u32 = cli.exec("c1", &["perl", "-e", forks]).parse().unwrap();
    assert!((50..120).contains(&count), "{count} forks");
    assert_eq!(
        cli.run(["list", "-c", "n", "-f", "csv"]).stdout.trim(),
        "c1"
    );
    let memory = "my $x = ''; while (1) { $x .= 'x' x 1_000_000 }";
    let output = cli.run(["exec", "c1", "--", "perl", "-e", memory]);
    assert_eq!(output.code, 137, "{output}");
    let mounts = "for (1..2000) { system('mount', '-t', 'tmpfs', 'none', '/mnt') == 0 or last }";
    let _mounted = cli.run(["exec", "c1", "--", "timeout", "20", "perl", "-e", mounts]);
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(cli.exec("c1", &["echo", "fine"]), "fine");
    cli.ok(["delete", "-f", "c1"]);
}

/// Space and files of one instance run out, and nobody else's do.
#[test]
fn full_disks_are_full_inside_only() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    cli.ok(["storage", "create", "fast", "btrfs", "size=1GiB"]);
    for name in ["c1", "c2"] {
        cli.ok(["launch", "busybox", name, "-s", "fast"]);
        cli.ok(["config", "device", "set", name, "root", "size=128MiB"]);
    }
    let shell = |name: &str, line: &str| cli.run(["exec", name, "--", "sh", "-c", line]);
    let full = shell("c1", "dd if=/dev/urandom of=/bomb bs=1M count=300");
    assert!(full.code != 0 && full.stderr.contains("uota"), "{full}");
    let files = "rm /bomb; sync; mkdir /files; i=0; while [ $i -lt 30000 ]; do : > /files/$i || break; i=$((i+1)); done; echo made $i; dd if=/dev/urandom of=/bomb bs=1M count=300";
    let made = shell("c1", files);
    assert!(made.stdout.contains("made"), "{made}");
    let other = shell(
        "c2",
        "dd if=/dev/zero of=/fine bs=1M count=32 && sync && echo written",
    );
    assert_eq!(other.stdout.trim(), "written", "{other}");
    cli.ok(["snapshot", "create", "c2"]);
    let text = shell("c1", "rm -rf /bomb /files && echo x > /after && cat /after");
    assert_eq!(text.stdout.trim(), "x", "{text}");
    cli.ok(["delete", "-f", "c1", "c2"]);
    cli.ok(["storage", "delete", "fast"]);
}

/// What a command does with the terminal that it is given is not typed on the terminal of who ran it, and nothing of who
/// starts a command can be looked into.
#[test]
fn commands_are_no_way_to_who_runs_them() {
    require!(root);
    let daemon = debian(&[]);
    let cli = daemon.cli();
    // TIOCSTI (0x5412), and Linux's other way to type, TIOCLINUX (0x541C) with a selection.
    let inject = "for my $fd (0, 1, 2) { open(my $t, '+<&=', $fd) or next; for my $c (split //, qq{touch /tmp/typed\\n}) { ioctl($t, 0x5412, $c) } my $s = chr(2) . pack('S5', 1, 1, 9, 9, 0); ioctl($t, 0x541C, $s) } \
                  if (open my $t, '+<', '/dev/tty') { ioctl($t, 0x5412, 'x') }";
    let line = format!(
        "RLXC_DIR={} {} exec c1 -t -- perl -e \"$INJECT\"; read -t 1 typed; echo heard \"[$typed]\"",
        daemon.dir().display(),
        rlxc_tests::binaries().join("rlxc").display()
    );
    let run = daemon
        .world()
        .enter(["env", &format!("INJECT={inject}"), "bash", "-c", &line]);
    let mut terminal = rlxc_tests::terminal::Terminal::spawn(&run, 80, 24).unwrap();
    terminal.expect("heard []");
    assert_eq!(terminal.wait(), 0);
    // Without a terminal of its own a command has none at all.
    let none = cli.run(["exec", "c1", "-T", "--", "sh", "-c", "echo x > /dev/tty"]);
    assert_ne!(none.code, 0, "{none}");

    // One that has just ended has no program any more.
    let spy = "use strict; my (%seen, $looks); my $end = time + 6; while (time < $end) { opendir(my $d, '/proc'); for my $p (grep { /^\\d+$/ && $_ != $$ } readdir $d) { \
               $looks++; my $exe = readlink(qq{/proc/$p/exe}) // ''; \
               if ($exe =~ /rlxc|memfd/) { print qq{exe $exe\\n} } \
               if (my $fds = join ' ', grep { m{rlxc|monitor} } map { readlink($_) // '' } glob(qq{/proc/$p/fd/*})) { print qq{fds $fds\\n} } \
               if ((syscall(101, 0x4206, 0 + $p, 0, 0) // -1) == 0) { my $is = readlink(qq{/proc/$p/exe}) // ''; print qq{traced $p $is\\n} if $is ne '' && $is !~ m{^/usr|^/bin|^/lib}; syscall(101, 17, 0 + $p, 0, 0) } \
               if (open my $e, '<', qq{/proc/$p/environ}) { local $/; my $t = <$e> // ''; print qq{environment\\n} if $t =~ /RLXC_|NEXTEST/ } } } print qq{looked\\n} if $looks > 100";
    let output = std::thread::scope(|scope| {
        let spying = scope.spawn(|| cli.run(["exec", "c1", "--", "perl", "-e", spy]));
        for _ in 0..60 {
            cli.exec("c1", &["true"]);
        }
        spying.join().unwrap()
    });
    assert_eq!(output.stdout, "looked\n", "{output}");
}

#[test]
fn calls_are_refused_as_the_keys_say() {
    require!(root);
    let (daemon, before) = super::daemon_with_c1();
    let cli = daemon.cli();
    let wrong = cli.fails(["config", "set", "c1", "security.syscalls.deny", "fly"]);
    assert!(wrong.contains("security.syscalls.deny"), "{wrong}");
    cli.ok([
        "config",
        "set",
        "c1",
        "security.syscalls.deny",
        "mkdir errno 13\nmkdirat errno 13",
    ]);
    cli.ok(["restart", "-f", "c1"]);
    let output = cli.run(["exec", "c1", "--", "mkdir", "/tmp/x"]);
    assert!(output.stderr.contains("Permission denied"), "{output}");
    cli.ok(["config", "set", "c1", "security.syscalls.allow", "read"]);
    let wrong = cli.fails(["restart", "-f", "c1"]);
    assert!(wrong.contains("goes without"), "{wrong}");
    // It is refused before anything is stopped.
    assert_eq!(cli.status("c1").as_deref(), Some("Running"));
    cli.ok(["config", "unset", "c1", "security.syscalls.allow"]);
    cli.ok(["config", "set", "c1", "security.syscalls.deny", "# nothing"]);
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["config", "set", "c1", "security.protection.start", "true"]);
    let wrong = cli.fails(["start", "c1"]);
    assert!(wrong.contains("security.protection.start"), "{wrong}");
    cli.ok(["config", "unset", "c1", "security.protection.start"]);
    cli.ok(["start", "c1"]);
    cli.ok(["exec", "c1", "--", "mkdir", "/tmp/x"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn ids_are_an_instances_own_and_what_it_is_given() {
    require!(root);
    let (daemon, before) = super::daemon_with_c1();
    let cli = daemon.cli();
    let words = |name: &str| user_map(cli, name);
    let first = words("c1");
    assert_eq!((first.len(), first[0][0], first[0][2]), (1, 0, 65_536));
    let base = first[0][1];
    cli.ok([
        "exec",
        "c1",
        "--",
        "sh",
        "-c",
        "touch /mine; chown 1000:1000 /mine",
    ]);

    cli.ok(["config", "set", "c1", "raw.idmap", "both 1234 1000"]);
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(
        words("c1"),
        [
            [0, base, 1000],
            [1000, 1234, 1],
            [1001, base + 1001, 64_535]
        ]
    );
    // On disk owners are the instance's: nothing has to be shifted.
    assert_eq!(
        cli.exec("c1", &["stat", "-c", "%u:%g", "/mine"]),
        "1000:1000"
    );

    cli.ok(["config", "unset", "c1", "raw.idmap"]);
    cli.ok(["config", "set", "c1", "security.idmap.size", "131072"]);
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(words("c1")[0][2], 131_072);
    cli.ok(["launch", "busybox", "c2", "-c", "security.privileged=true"]);
    assert_eq!(words("c2"), [[0, 0, u32::MAX]]);
    // One that was privileged gets ids of its own when it is not any more.
    cli.ok(["config", "set", "c2", "security.privileged", "false"]);
    cli.ok(["restart", "-f", "c2"]);
    let (one, two) = (words("c1")[0][1], words("c2")[0][1]);
    assert!(
        two >= one + 131_072 || two + 65_536 <= one,
        "{one} and {two} meet"
    );

    for (key, value) in [
        ("security.idmap.base", one.to_string()),
        ("raw.idmap", format!("uid {one} 40")),
    ] {
        let wrong = cli.fails(["config", "set", "c2", key, &value]);
        assert!(wrong.contains("instance `c1`"), "{wrong}");
    }
    assert_eq!(words("c2")[0][1], two);
    cli.ok(["delete", "-f", "c1", "c2"]);
    before.assert_none(&daemon);
}

/// The lines of `/proc/self/uid_map` in an instance.
#[track_caller]
fn user_map(cli: Cli<'_>, name: &str) -> Vec<Vec<u32>> {
    let text = cli.exec(name, &["cat", "/proc/self/uid_map"]);
    let words = |line: &str| {
        line.split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    };
    text.lines().map(words).collect()
}

#[test]
fn apparmor_confines_where_the_kernel_has_it() {
    require!(root);
    let (mut daemon, _before) = super::daemon_with_c1();
    let cli = daemon.cli();
    let has = std::path::Path::new("/sys/kernel/security/apparmor/.replace").exists();
    // What the kernel asks rules for since lately is not refused: containers without root need it.
    cli.exec("c1", &["unshare", "-U", "true"]);
    cli.ok(["config", "set", "c1", "raw.apparmor", "deny /etc/passwd r,"]);
    if !has {
        let wrong = cli.fails(["restart", "-f", "c1"]);
        assert!(wrong.contains("no AppArmor"), "{wrong}");
        cli.ok(["config", "unset", "c1", "raw.apparmor"]);
        cli.ok(["start", "c1"]);
        return;
    }
    let label = cli.exec("c1", &["cat", "/proc/self/attr/current"]);
    assert!(
        label.starts_with("rlxc-") && label.contains("enforce"),
        "{label}"
    );
    cli.exec("c1", &["cat", "/etc/passwd"]);
    cli.ok(["restart", "-f", "c1"]);
    let output = cli.run(["exec", "c1", "--", "cat", "/etc/passwd"]);
    assert!(output.stderr.contains("Permission denied"), "{output}");
    cli.ok(["config", "set", "c1", "raw.apparmor", "nonsense"]);
    let wrong = cli.fails(["restart", "-f", "c1"]);
    assert!(wrong.contains("AppArmor profile"), "{wrong}");
    // Rules of its own go when nobody runs with them.
    let own = format!("{}.", daemon.prefix());
    let loaded = || std::fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap();
    cli.ok(["config", "set", "c1", "raw.apparmor", "deny /etc/group r,"]);
    cli.ok(["start", "c1"]);
    daemon.kill();
    daemon.start();
    assert!(loaded().contains(&own), "one that runs keeps them");
    daemon.cli().ok(["stop", "-f", "c1"]);
    daemon.kill();
    daemon.start();
    let gone = || !loaded().contains(&own);
    eventually("its profile is removed", Duration::from_secs(10), gone);
}
