//! The life of an instance: launch, exec, snapshot, restore, reboot, stop, start, delete.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, Leaks, require};

use super::{daemon_with_c1, warm_up};

/// How often the instance has booted, by its own account.
#[track_caller]
fn boots(cli: Cli<'_>) -> usize {
    cli.exec("c1", &["cat", "/etc/boots"]).lines().count()
}

#[test]
fn a_container_lives_its_whole_life_and_leaves_nothing() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    assert_eq!(cli.status("c1").as_deref(), Some("Running"));
    assert_eq!(cli.exec("c1", &["hostname"]), "c1");

    cli.exec("c1", &["sh", "-c", "echo precious > /root/work"]);
    cli.ok(["snapshot", "create", "c1", "clean"]);
    cli.exec("c1", &["rm", "-rf", "/root/work", "/etc/passwd"]);
    cli.exec("c1", &["sh", "-c", "echo later > /root/later"]);
    cli.ok(["snapshot", "restore", "c1", "clean"]);
    cli.wait_status("c1", "Running");
    assert_eq!(cli.exec("c1", &["cat", "/root/work"]), "precious");
    assert_eq!(
        cli.run(["exec", "c1", "--", "test", "-e", "/root/later"])
            .code,
        1
    );
    assert!(cli.exec("c1", &["cat", "/etc/passwd"]).contains("root:"));

    let booted = boots(cli);
    cli.run(["exec", "c1", "--", "reboot"]);
    let again = || {
        cli.run(["exec", "c1", "--", "cat", "/etc/boots"])
            .stdout
            .lines()
            .count()
            > booted
    };
    eventually("it boots again", Duration::from_secs(30), again);

    cli.ok(["stop", "c1"]);
    assert_eq!(cli.status("c1").as_deref(), Some("Stopped"));
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/work"]), "precious");
    cli.ok(["restart", "-f", "c1"]);
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["delete", "c1"]);
    assert_eq!(cli.status("c1"), None);
    before.assert_none(&daemon);
}

#[test]
fn poweroff_from_inside_stops_it() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.run(["exec", "c1", "--", "poweroff"]);
    cli.wait_status("c1", "Stopped");
    cli.ok(["delete", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn an_init_that_dies_stops_it() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let pid = cli
        .instance("c1")
        .and_then(|c1| c1.pointer("/state/pid")?.as_i64())
        .unwrap_or_default();
    assert!(pid > 1, "the state names the process id of init: {pid}");
    daemon.world().run(&["kill", "-KILL", &pid.to_string()]);
    cli.wait_status("c1", "Stopped");
    cli.ok(["start", "c1"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn an_ephemeral_one_goes_when_it_stops() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "brief", "--ephemeral"]);
    cli.ok(["stop", "-f", "brief"]);
    eventually("`brief` is gone", Duration::from_secs(10), || {
        cli.status("brief").is_none()
    });
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn pause_freezes_and_resume_thaws() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["pause", "c1"]);
    assert_eq!(cli.status("c1").as_deref(), Some("Frozen"));
    cli.ok(["resume", "c1"]);
    assert_eq!(cli.exec("c1", &["echo", "awake"]), "awake");
}

#[test]
fn a_rename_keeps_everything() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.exec("c1", &["touch", "/root/mine"]);
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["rename", "c1", "c2"]);
    cli.ok(["start", "c2"]);
    cli.exec("c2", &["test", "-e", "/root/mine"]);
    assert_eq!(cli.exec("c2", &["hostname"]), "c2");
}

#[test]
fn snapshots_of_a_stopped_and_a_running_one_restore_what_was() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    for (snapshot, content) in [("one", "1"), ("two", "2"), ("three", "3")] {
        cli.exec(
            "c1",
            &["sh", "-c", &format!("echo {content} > /root/n; sync")],
        );
        if snapshot == "two" {
            cli.ok(["stop", "-f", "c1"]);
        }
        cli.ok(["snapshot", "create", "c1", snapshot]);
        if snapshot == "two" {
            cli.ok(["start", "c1"]);
        }
    }
    cli.ok(["snapshot", "delete", "c1", "two"]);
    for (snapshot, content) in [("one", "1"), ("three", "3")] {
        cli.ok(["snapshot", "restore", "c1", snapshot]);
        cli.wait_status("c1", "Running");
        assert_eq!(cli.exec("c1", &["cat", "/root/n"]), content);
    }
    let listed = cli.ok(["snapshot", "list", "c1", "--format", "csv"]);
    assert!(
        listed.contains("one") && listed.contains("three") && !listed.contains("two"),
        "{listed}"
    );
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn ten_at_once_come_and_go() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    warm_up(&daemon);
    let before = Leaks::look(&daemon);
    let names: Vec<String> = (0..10).map(|n| format!("many{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let cli = daemon.cli();
            scope.spawn(move || cli.ok(["launch", "busybox", name]));
        }
    });
    let cli = daemon.cli();
    for name in &names {
        assert_eq!(&cli.exec(name, &["hostname"]), name);
    }
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || cli.ok(["delete", "-f", name]));
        }
    });
    before.assert_none(&daemon);
}

#[test]
fn each_instance_has_host_ids_of_its_own() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c2"]);
    let map = |name| cli.exec(name, &["cat", "/proc/self/uid_map"]);
    let (one, two) = (map("c1"), map("c2"));
    assert_ne!(one, two, "no two instances share host ids");
    assert!(
        !one.split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .starts_with('0'),
        "root inside is not root outside: {one}"
    );
}
