//! Instances that travel: copies, moves, backups.

use rlxc_tests::{Cli, Daemon, require};

use super::daemon_with_c1;

/// Writes what is to be found again, before a snapshot and after it.
#[track_caller]
pub(super) fn furnish(cli: Cli<'_>) {
    cli.exec(
        "c1",
        &[
            "sh",
            "-c",
            "echo one > /root/work; ln /root/work /root/second",
        ],
    );
    cli.ok(["snapshot", "create", "c1", "s1"]);
    cli.exec("c1", &["sh", "-c", "echo two > /root/work; mkdir /home/me"]);
    cli.exec(
        "c1",
        &[
            "sh",
            "-c",
            "touch /home/me/x; chown 1234 /home/me/x; chmod 4750 /home/me/x",
        ],
    );
}

/// Looks whether an instance that does not run is what [`furnish`] made, snapshot included.
#[track_caller]
pub(super) fn check(cli: Cli<'_>, name: &str) {
    cli.ok(["start", name]);
    assert_eq!(cli.exec(name, &["cat", "/root/work"]), "two");
    assert_eq!(cli.exec(name, &["hostname"]), name);
    assert_eq!(
        cli.exec(name, &["stat", "-c", "%u %a", "/home/me/x"]),
        "1234 4750"
    );
    cli.ok(["snapshot", "restore", name, "s1"]);
    cli.wait_status(name, "Running");
    assert_eq!(cli.exec(name, &["cat", "/root/second"]), "one");
    assert_eq!(cli.exec(name, &["stat", "-c", "%h", "/root/work"]), "2");
    let gone = cli.run(["exec", name, "--", "test", "-e", "/home/me"]);
    assert_eq!(gone.code, 1);
    cli.ok(["delete", "-f", name]);
}

#[test]
fn a_running_instance_is_copied_with_its_snapshots() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    furnish(cli);
    cli.ok(["copy", "c1", "c2"]);
    assert_eq!(cli.status("c1").as_deref(), Some("Running"));
    check(cli, "c2");
    cli.ok(["copy", "c1/s1", "c3"]);
    cli.ok(["start", "c3"]);
    assert_eq!(cli.exec("c3", &["cat", "/root/work"]), "one");
    cli.ok(["delete", "-f", "c1", "c3"]);
    before.assert_none(&daemon);
}

#[test]
fn a_refresh_brings_what_is_new() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    furnish(cli);
    cli.ok(["copy", "c1", "c2"]);
    cli.exec("c1", &["sh", "-c", "echo three > /root/work"]);
    cli.ok(["snapshot", "create", "c1", "s2"]);
    cli.exec("c1", &["sh", "-c", "echo four > /root/work"]);
    cli.ok(["copy", "c1", "c2", "--refresh"]);
    cli.ok(["start", "c2"]);
    assert_eq!(cli.exec("c2", &["cat", "/root/work"]), "four");
    cli.ok(["snapshot", "restore", "c2", "s2"]);
    cli.wait_status("c2", "Running");
    assert_eq!(cli.exec("c2", &["cat", "/root/work"]), "three");
    let text = cli.fails(["copy", "c1", "c2", "--refresh"]);
    assert!(text.contains("stop it"), "{text}");
    cli.ok(["delete", "-f", "c1", "c2"]);
    before.assert_none(&daemon);
}

#[test]
fn another_pool_is_reached_by_copy_and_by_move() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    furnish(cli);
    cli.ok(["storage", "create", "plain", "dir"]);
    cli.ok(["copy", "c1", "c2", "-s", "plain"]);
    let root = |name: &str| cli.ok(["config", "device", "get", name, "root", "pool"]);
    assert_eq!(root("c2"), "plain");
    check(cli, "c2");
    let text = cli.fails(["move", "c1", "-s", "plain"]);
    assert!(text.contains("stop it"), "{text}");
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["move", "c1", "c9", "-s", "plain"]);
    assert_eq!(root("c9"), "plain");
    assert_eq!(cli.status("c1"), None);
    check(cli, "c9");
}

/// Exports `c1` with what [`furnish`] made.
#[track_caller]
fn export(daemon: &Daemon, args: &[&str]) -> String {
    let path = daemon.dir().with_file_name("c1.tar");
    let path = path.to_string_lossy().into_owned();
    let all = ["export", "c1", &path].into_iter();
    daemon.cli().ok(all.chain(args.iter().copied()));
    path
}

#[test]
fn an_export_comes_back_with_its_snapshots() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    furnish(cli);
    let path = export(&daemon, &[]);
    let text = cli.fails(["import", &path]);
    assert!(text.contains("already exists"), "{text}");
    cli.ok(["import", &path, "c2"]);
    check(cli, "c2");
    cli.ok(["stop", "-f", "c1"]);
    let path = export(
        &daemon,
        &[
            "--instance-only",
            "--compression",
            "gzip",
            "--optimized-storage",
        ],
    );
    cli.ok(["delete", "c1"]);
    cli.ok(["import", &path]);
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/work"]), "two");
    assert_eq!(cli.ok(["snapshot", "list", "c1", "--format", "csv"]), "");
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn a_backup_that_is_cut_short_leaves_nothing() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let path = export(&daemon, &["--compression", "none"]);
    cli.ok(["delete", "-f", "c1"]);
    let whole = std::fs::read(&path).unwrap();
    for part in [0, 100, whole.len() / 2, whole.len() - 2048] {
        std::fs::write(&path, &whole[..part]).unwrap();
        let text = cli.fails(["import", &path]);
        assert!(text.contains("backup"), "{part} bytes: {text}");
    }
    assert_eq!(cli.ok(["list", "--format", "json"]), "[]");
    before.assert_none(&daemon);
    std::fs::write(&path, &whole).unwrap();
    cli.ok(["import", &path]);
    cli.ok(["start", "c1"]);
}

#[test]
fn the_distributions_client_exports_and_imports() {
    require!(root);
    require!(tool "lxc");
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    furnish(cli);
    let lxc = |args: &[&str]| {
        let (dir, conf) = (daemon.dir(), daemon.dir().with_file_name("lxc-conf"));
        let envs = [
            "env".to_owned(),
            format!("LXD_DIR={}", dir.display()),
            format!("LXD_CONF={}", conf.display()),
            "lxc".to_owned(),
        ];
        let line = envs
            .into_iter()
            .chain(args.iter().map(|arg| (*arg).to_owned()));
        let output = daemon.world().enter(line).output().unwrap();
        assert!(output.code == 0, "{args:?}: {output}");
    };
    let path = daemon.dir().with_file_name("by-lxc.tar.gz");
    let path = path.to_string_lossy();
    lxc(&["export", "c1", &path]);
    lxc(&["import", &path, "c2"]);
    check(cli, "c2");
    lxc(&["copy", "c1", "c3"]);
    check(cli, "c3");
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["storage", "create", "plain", "dir"]);
    lxc(&["move", "c1", "c4", "--storage", "plain"]);
    check(cli, "c4");
}

#[test]
fn an_export_in_the_format_of_btrfs_comes_back_on_btrfs_only() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    for pool in ["fast", "other"] {
        cli.ok(["storage", "create", pool, "btrfs", "size=512MiB"]);
    }
    cli.ok(["launch", "busybox", "b1", "-s", "fast"]);
    let file = daemon.dir().with_file_name("b1.tar");
    let path = file.display().to_string();
    cli.exec("b1", &["sh", "-c", "echo one > /root/state"]);
    cli.ok(["snapshot", "create", "b1", "s1"]);
    cli.exec(
        "b1",
        &["sh", "-c", "echo two > /root/state; chown 7:8 /root/state"],
    );
    for running in [true, false] {
        if !running {
            cli.ok(["stop", "-f", "b1"]);
        }
        cli.ok(["export", "b1", &path, "--optimized-storage"]);
        cli.ok(["delete", "-f", "b1"]);
        let refused = cli.fails(["import", &path, "-s", "default"]);
        assert!(refused.contains("driver `btrfs`"), "{refused}");
        cli.ok(["import", &path, "-s", "other"]);
        cli.ok(["start", "b1"]);
        let look = ["sh", "-c", "cat /root/state; stat -c %u:%g /root/state"];
        assert_eq!(cli.exec("b1", &look), "two\n7:8");
        cli.ok(["snapshot", "restore", "b1", "s1"]);
        assert_eq!(cli.exec("b1", &look), "one\n0:0");
        cli.exec(
            "b1",
            &["sh", "-c", "echo two > /root/state; chown 7:8 /root/state"],
        );
    }
    // The parts are streams, and nothing else.
    let listed = daemon.world().run(&["tar", "-taf", &path]).stdout;
    let names: Vec<_> = listed.lines().collect();
    let expected = [
        "backup/index.yaml",
        "backup/snapshots/s1.bin",
        "backup/container.bin",
    ];
    assert_eq!(names, expected);
    std::fs::remove_file(&file).unwrap();
    cli.ok(["delete", "-f", "b1", "c1"]);
    cli.ok(["storage", "delete", "fast"]);
    cli.ok(["storage", "delete", "other"]);
    before.assert_none(&daemon);
}

/// What the daemon had in memory at most, in MiB.
fn peak(daemon: &Daemon) -> u64 {
    let path = format!("/proc/{}/status", daemon.pid().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() >> 10
}

#[test]
fn a_hundred_gigabytes_of_holes_travel_in_little_memory_and_time() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["storage", "create", "plain", "dir"]);
    cli.exec("c1", &["truncate", "-s", "100G", "/root/big"]);
    cli.exec("c1", &["sh", "-c", "echo end >> /root/big"]);
    let calm = peak(&daemon);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    cli.ok(["copy", "c1", "c2", "-s", "plain"]);
    let path = export(&daemon, &["--instance-only"]);
    cli.ok(["import", &path, "c3"]);
    for name in ["c2", "c3"] {
        cli.ok(["start", name]);
    }
    for name in ["c2", "c3"] {
        let look = [
            "sh",
            "-c",
            "stat -c %s /root/big; tail -c 4 /root/big; du -m /root/big | cut -f1",
        ];
        let shown = cli.exec(name, &look);
        let (what, taken) = shown.rsplit_once('\n').unwrap();
        assert_eq!(what, "107374182404\nend", "{name}");
        let taken: u64 = taken.parse().unwrap();
        assert!(taken < 8, "{name}: {taken} MiB on disk");
    }
    let grown = peak(&daemon) - calm;
    assert!(grown < 100, "{grown} MiB for {calm} MiB before");
    cli.ok(["delete", "-f", "c1", "c2", "c3"]);
    std::fs::remove_file(path).unwrap();
    cli.ok(["storage", "delete", "plain"]);
    before.assert_none(&daemon);
}
