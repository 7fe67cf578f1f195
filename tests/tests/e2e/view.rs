//! What an instance sees of the machine is what it got: by our own files, and by those of lxcfs.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, Uplink, require};

use super::daemon_with_c1;
use super::limits::limited_before;

/// Kibibytes by their name in `/proc/meminfo`.
#[track_caller]
fn meminfo(cli: Cli<'_>, name: &str, what: &str) -> u64 {
    let text = cli.exec(name, &["cat", "/proc/meminfo"]);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.unwrap_or_else(|| panic!("no {what} in {text}"))
        .parse()
        .unwrap()
}

#[test]
fn an_instance_sees_its_limits() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().ok(["delete", "-f", "c1"]);
    let before = limited_before(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c1"]);
    let mounts = cli.exec("c1", &["cat", "/proc/self/mountinfo"]);
    assert!(
        mounts.contains(" /proc/meminfo ") && !mounts.contains("/dev/.view"),
        "{mounts}"
    );
    cli.ok([
        "config",
        "set",
        "c1",
        "limits.memory=200MiB",
        "limits.memory.swap=false",
        "limits.cpu=1",
    ]);
    assert_shows_limits(cli, 200);
    cli.ok(["config", "set", "c1", "limits.memory=100MiB"]);
    assert_eq!(meminfo(cli, "c1", "MemTotal"), 100 << 10, "at once");
    // It outlives the daemon, and nothing of it is in the way of a new /proc.
    daemon.kill();
    let world = daemon.world().run(&["cat", "/proc/1/mountinfo"]).stdout;
    // The host's own lxcfs has nothing to do with it.
    let ours = |line: &&str| line.contains(" - fuse") && !line.contains(" fuse.lxcfs ");
    assert_eq!(world.lines().find(ours), None, "{world}");
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(meminfo(cli, "c1", "MemTotal"), 100 << 10);
    assert_survives_readers(cli);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[track_caller]
fn assert_shows_limits(cli: Cli<'_>, mib: u64) {
    assert_eq!(meminfo(cli, "c1", "MemTotal"), mib << 10);
    assert!(meminfo(cli, "c1", "MemAvailable") <= mib << 10);
    assert_eq!(meminfo(cli, "c1", "SwapTotal"), 0);
    let count = |pattern: &str, file: &str| cli.exec("c1", &["grep", "-c", pattern, file]);
    assert_eq!(count("^processor", "/proc/cpuinfo"), "1");
    assert_eq!(count("^cpu[0-9]", "/proc/stat"), "1");
    assert_eq!(
        cli.exec("c1", &["cat", "/sys/devices/system/cpu/online"]),
        "0"
    );
    let uptime = cli.exec("c1", &["cat", "/proc/uptime"]);
    let up: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!(up < 120.0, "{uptime}");
    let load = cli.exec("c1", &["cat", "/proc/loadavg"]);
    assert_eq!(load.split(' ').count(), 5, "{load}");
    assert_eq!(
        cli.exec("c1", &["wc", "-l", "/proc/swaps"]),
        "1 /proc/swaps"
    );
    cli.exec("c1", &["cat", "/proc/diskstats"]);
    // Nobody can write there, not even its root.
    assert_ne!(
        cli.run(["exec", "c1", "--", "sh", "-c", "echo x > /proc/meminfo"])
            .code,
        0
    );
}

/// Many at once, and one that reads byte by byte.
#[track_caller]
fn assert_survives_readers(cli: Cli<'_>) {
    let script = "for i in $(seq 20); do (for j in $(seq 50); do cat /proc/stat /proc/meminfo /proc/cpuinfo > /dev/null; done) & done; wait";
    cli.exec("c1", &["sh", "-c", script]);
    let whole = cli.exec(
        "c1",
        &[
            "sh",
            "-c",
            "dd if=/proc/cpuinfo bs=7 2>/dev/null | wc -c; cat /proc/cpuinfo | wc -c",
        ],
    );
    let sizes: Vec<u64> = whole
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert!(
        sizes[0] > 100 && sizes[0].abs_diff(sizes[1]) < 100,
        "{sizes:?}"
    );
    // Files that nobody closes are nobody's burden.
    let script = "exec 3</proc/stat; head -c 10 <&3 >/dev/null; kill -9 $$";
    cli.run(["exec", "c1", "--", "sh", "-c", script]);
    assert!(meminfo(cli, "c1", "MemFree") > 0);
}

#[test]
fn lxcfs_is_taken_where_it_runs() {
    require!(root);
    require!(tool "lxcfs");
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    daemon.start();
    daemon.cli().ok(["admin", "init", "--auto"]);
    rlxc_tests::image::import_busybox(&daemon);
    let script =
        "mkdir -p /var/lib/lxcfs; exec setsid lxcfs /var/lib/lxcfs >/dev/null 2>&1 </dev/null &";
    daemon.world().run(&["sh", "-c", script]);
    eventually("lxcfs serves", Duration::from_secs(10), || {
        let look = daemon
            .world()
            .enter(["cat", "/var/lib/lxcfs/proc/meminfo"])
            .output();
        look.is_ok_and(|output| output.code == 0)
    });
    let cli = daemon.cli();
    cli.ok([
        "launch",
        "busybox",
        "c1",
        "-c",
        "limits.memory=200MiB",
        "-c",
        "limits.cpu=1",
    ]);
    let mounts = cli.exec("c1", &["cat", "/proc/self/mountinfo"]);
    assert!(
        mounts.contains("/proc/meminfo") && mounts.contains("fuse.lxcfs"),
        "{mounts}"
    );
    assert_eq!(meminfo(cli, "c1", "MemTotal"), 200 << 10);
    cli.ok(["delete", "-f", "c1"]);
}
