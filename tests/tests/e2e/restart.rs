//! The daemon dies, instances live: killed while they run, while they come and go, and while nobody looks.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Leaks, require};

use super::daemon_with_c1;

#[test]
fn instances_outlive_a_killed_daemon_and_stay_manageable() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    let address = daemon.cli().wait_ipv4("c1");
    let boot = daemon.cli().exec("c1", &["stat", "-c", "%Y", "/proc/1"]);
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(cli.status("c1").as_deref(), Some("Running"));
    assert_eq!(
        cli.exec("c1", &["stat", "-c", "%Y", "/proc/1"]),
        boot,
        "it is the same boot"
    );
    assert_eq!(cli.wait_ipv4("c1"), address);
    cli.ok(["snapshot", "create", "c1", "after"]);
    cli.ok(["restart", "-f", "c1"]);
    cli.ok(["launch", "busybox", "c2"]);
    cli.wait_ipv4("c2");
    cli.ok(["stop", "c2"]);
    cli.ok(["delete", "-f", "c1", "c2"]);
    before.assert_none(&daemon);
}

#[test]
fn a_clean_stop_of_the_daemon_leaves_them_running_too() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.stop();
    let processes = daemon.world().run(&["ps", "ax"]).stdout;
    assert!(processes.contains("init"), "{processes}");
    daemon.start();
    assert_eq!(daemon.cli().exec("c1", &["hostname"]), "c1");
}

#[test]
fn an_end_that_nobody_was_there_to_see_is_noticed() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let pid = cli
        .instance("c1")
        .and_then(|c1| c1.pointer("/state/pid")?.as_i64())
        .unwrap();
    daemon.kill();
    daemon.world().run(&["kill", "-KILL", &pid.to_string()]);
    daemon.start();
    let cli = daemon.cli();
    cli.wait_status("c1", "Stopped");
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["hostname"]), "c1");
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn killed_in_the_midst_of_launches_and_deletes_it_leaves_no_orphan() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    for round in 0..6_u64 {
        let names: Vec<String> = (0..3).map(|n| format!("r{round}n{n}")).collect();
        std::thread::scope(|scope| {
            for name in &names {
                let launch = daemon.cli().command(["launch", "busybox", name]);
                let delete = daemon.cli().command(["delete", "-f", name]);
                // Both may fail: the daemon goes away under them.
                scope.spawn(move || launch.output().and_then(|_| delete.output()).is_ok());
            }
            std::thread::sleep(Duration::from_millis(5 + round * 17));
            let pid = daemon.pid().unwrap();
            rlxc_tests::process::signal(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        daemon.forget_killed();
        daemon.start();
        let cli = daemon.cli();
        assert_eq!(
            cli.exec("c1", &["hostname"]),
            "c1",
            "who was not touched runs on"
        );
        for name in &names {
            eventually(
                &format!("`{name}` can be removed"),
                Duration::from_secs(20),
                || cli.status(name).is_none() || cli.run(["delete", "-f", name]).code == 0,
            );
        }
    }
    daemon.cli().ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn what_was_reported_as_done_is_there_after_a_kill() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().ok(["create", "busybox", "kept"]);
    daemon.cli().ok(["snapshot", "create", "c1", "kept"]);
    daemon.cli().ok(["config", "set", "c1", "user.note=kept"]);
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(cli.status("kept").as_deref(), Some("Stopped"));
    assert!(
        cli.ok(["snapshot", "list", "c1", "--format", "csv"])
            .contains("kept")
    );
    assert_eq!(cli.ok(["config", "get", "c1", "user.note"]), "kept");
}

#[test]
fn an_idle_restart_changes_nothing() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().wait_ipv4("c1");
    // What a power cut would need goes a moment after the volume was made.
    let volumes = daemon.dir().join("storage-pools/default/containers");
    eventually("the volume is on disk", Duration::from_secs(10), || {
        let mut all = std::fs::read_dir(&volumes).unwrap().flatten();
        all.all(|volume| !volume.path().join("before.json").exists())
    });
    let before = Leaks::look(&daemon);
    daemon.stop();
    daemon.start();
    before.assert_none(&daemon);
    before.assert_all(&daemon);
}

#[test]
fn a_shutdown_takes_the_instances_along_and_the_next_start_brings_them_back() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    let monitors = || {
        let found = daemon.world().enter(["pgrep", "-x", "rlxc-monitor"]);
        found.output().unwrap().code == 0
    };
    assert!(monitors());
    daemon.cli().ok(["admin", "shutdown", "--force"]);
    assert!(!monitors(), "an instance runs on");
    daemon.forget_killed();
    daemon.start();
    daemon.cli().wait_status("c1", "Running");
    daemon.cli().ok(["delete", "-f", "c1"]);
}
