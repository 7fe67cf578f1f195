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
