//! The database is lost; instances and volumes are found on their pools and taken back.

use std::time::Duration;

use rlxc_tests::{Daemon, require};

const POOLS: [(&str, &[&str]); 3] = [
    ("layered", &["overlay"]),
    ("plain", &["dir"]),
    ("fast", &["btrfs", "size=512MiB"]),
];

/// On each pool an instance with a snapshot, and a volume with a snapshot that it has.
fn furnish(daemon: &Daemon) {
    let cli = daemon.cli();
    for (pool, kind) in POOLS {
        cli.ok([&["storage", "create", pool][..], kind].concat());
        let name = format!("on-{pool}");
        cli.ok(["storage", "volume", "create", pool, "data"]);
        cli.ok([
            "launch",
            "busybox",
            &name,
            "-s",
            pool,
            "-c",
            "user.kept=yes",
        ]);
        cli.ok(["storage", "volume", "attach", pool, "data", &name, "/data"]);
        cli.exec(
            &name,
            &["sh", "-c", "echo one | tee /root/state >/data/state"],
        );
        cli.ok(["snapshot", "create", &name, "s1"]);
        cli.ok([
            "storage", "volume", "snapshot", "create", pool, "data", "v1",
        ]);
        cli.exec(
            &name,
            &["sh", "-c", "echo two | tee /root/state >/data/state"],
        );
        cli.ok(["snapshot", "create", &name, "s2"]);
        cli.ok(["snapshot", "delete", &name, "s2"]);
    }
    cli.ok(["stop", "-f", "on-plain", "on-fast"]);
    cli.ok(["config", "set", "on-fast", "user.last=change"]);
}

fn lose_the_database(daemon: &mut Daemon) {
    std::fs::remove_dir_all(daemon.dir().join("database")).unwrap();
    daemon.start();
    assert_eq!(daemon.cli().ok(["list", "-f", "csv", "-c", "n"]), "");
}

#[test]
fn what_a_lost_database_knew_comes_back_from_the_pools() {
    require!(root);
    let mut daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    furnish(&daemon);
    // The last change is a moment old.
    daemon.stop();
    lose_the_database(&mut daemon);
    let cli = daemon.cli();
    let refused = cli.run(["admin", "recover", "--yes"]).stderr;
    assert!(refused.contains("rlxc network create rlxcbr0"), "{refused}");
    cli.ok(["network", "create", "rlxcbr0"]);
    let found = cli.ok(["admin", "recover", "--yes"]);
    assert!(
        found.contains("Instance `on-fast` on storage pool `fast`, with 1 snapshot"),
        "{found}"
    );
    assert!(
        found.contains("Custom volume `data` on storage pool `plain`"),
        "{found}"
    );
    assert_eq!(
        cli.ok(["list", "-f", "csv", "-c", "nsS"]),
        "on-fast,STOPPED,1\non-layered,RUNNING,1\non-plain,STOPPED,1"
    );
    // It ran all the time.
    assert_eq!(cli.exec("on-layered", &["cat", "/root/state"]), "two");
    assert_eq!(cli.ok(["config", "get", "on-fast", "user.last"]), "change");
    for (pool, _) in POOLS {
        let name = format!("on-{pool}");
        assert_eq!(cli.ok(["config", "get", &name, "user.kept"]), "yes");
        cli.ok(["snapshot", "restore", &name, "s1"]);
        cli.run(["start", &name]);
        assert_eq!(cli.exec(&name, &["cat", "/root/state"]), "one");
        assert_eq!(cli.exec(&name, &["cat", "/data/state"]), "two");
        cli.ok(["stop", "-f", &name]);
        cli.ok([
            "storage", "volume", "snapshot", "restore", pool, "data", "v1",
        ]);
        cli.ok(["start", &name]);
        assert_eq!(cli.exec(&name, &["cat", "/data/state"]), "one");
    }
    assert_eq!(cli.ok(["admin", "recover"]), "Nothing is lost.");
    cli.ok(["delete", "-f", "on-fast", "on-layered", "on-plain"]);
}

#[test]
fn a_daemon_that_is_killed_leaves_no_description_behind() {
    require!(root);
    let mut daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    cli.ok(["create", "busybox", "c1"]);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    daemon.kill();
    // The next one makes up for it.
    daemon.start();
    std::thread::sleep(Duration::from_millis(500));
    daemon.kill();
    lose_the_database(&mut daemon);
    let cli = daemon.cli();
    let disk = daemon.dir().join("database");
    assert!(disk.is_dir());
    cli.ok(["network", "create", "rlxcbr0"]);
    // Nobody is there who could be asked.
    let refused = cli.run(["admin", "recover"]).stderr;
    assert!(refused.contains("--yes"), "{refused}");
    cli.ok(["admin", "recover", "-y"]);
    cli.ok(["start", "c1"]);
    cli.ok(["snapshot", "restore", "c1", "s1"]);
    cli.ok(["delete", "-f", "c1"]);
}
