//! Pools of all drivers and custom volumes: what users type, on real file systems in loop files.

use std::path::Path;

use rlxc_tests::process::Run;
use rlxc_tests::{Daemon, Leaks, require};

use super::warm_up;

/// A daemon with the busybox image.
fn daemon() -> Daemon {
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    warm_up(&daemon);
    daemon
}

/// Loop devices whose file lies in a directory.
fn loop_devices(dir: &Path) -> Vec<String> {
    let output = Run::new(["losetup", "-n", "-O", "NAME,BACK-FILE"])
        .ok()
        .unwrap();
    output
        .stdout
        .lines()
        .filter(|line| line.contains(&*dir.to_string_lossy()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn btrfs_on_a_loop_file_lives_its_whole_life() {
    require!(root);
    let mut daemon = daemon();
    let before = Leaks::look(&daemon);
    fill_a_pool(&daemon);
    kill_all_and_restore(&mut daemon);
    let cli = daemon.cli();
    cli.ok(["storage", "set", "fast", "size=1280MiB"]);
    let info = cli.ok(["storage", "info", "fast"]);
    assert!(info.contains("of 1.25GiB"), "{info}");
    let refused = cli.run(["storage", "set", "fast", "size=512MiB"]);
    assert!(
        refused.stderr.contains("can't shrink"),
        "{}",
        refused.stderr
    );
    cli.ok(["copy", "c1/s1", "c2"]);
    cli.ok(["start", "c2"]);
    assert_eq!(cli.exec("c2", &["cat", "/root/state"]), "one");
    let refused = cli.run(["storage", "delete", "fast"]);
    assert!(
        refused.stderr.contains("/1.0/instances/c1"),
        "{}",
        refused.stderr
    );
    cli.ok(["delete", "-f", "c1", "c2"]);
    cli.ok(["storage", "delete", "fast"]);
    before.assert_none(&daemon);
    assert!(loop_devices(daemon.dir()).is_empty());
}

/// A pool with quotas and an instance with two snapshots.
fn fill_a_pool(daemon: &Daemon) {
    let cli = daemon.cli();
    cli.ok(["storage", "create", "fast", "btrfs", "size=1GiB"]);
    let info = cli.ok(["storage", "info", "fast"]);
    assert!(info.contains("Quotas: yes"), "{info}");
    assert!(info.contains("Instant snapshots: yes"), "{info}");
    cli.ok([
        "launch",
        "busybox",
        "c1",
        "-s",
        "fast",
        "-d",
        "root,size=64MiB",
    ]);
    cli.exec("c1", &["sh", "-c", "echo one > /root/state"]);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    cli.exec("c1", &["sh", "-c", "echo two > /root/state"]);
    cli.ok(["snapshot", "create", "c1", "s2"]);
    let write = "dd if=/dev/zero of=/root/fill bs=1M count=100 2>&1; sync; rm -f /root/fill";
    let full = cli.run(["exec", "c1", "--", "sh", "-c", write]).stdout;
    assert!(full.contains("quota"), "{full}");
    cli.ok(["config", "device", "set", "c1", "root", "size=256MiB"]);
    let roomy = cli.run(["exec", "c1", "--", "sh", "-c", write]).stdout;
    assert!(!roomy.contains("quota"), "{roomy}");
}

/// Everything is killed; the next start finds the pool mounted, or mounts it.
fn kill_all_and_restore(daemon: &mut Daemon) {
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    cli.ok(["snapshot", "restore", "c1", "s1"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/state"]), "one");
    cli.ok(["snapshot", "restore", "c1", "s2"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/state"]), "two");
    cli.ok(["stop", "-f", "c1"]);
    daemon.stop();
    let mount = daemon.dir().join("storage-pools/fast");
    daemon.world().run(&["umount", &mount.to_string_lossy()]);
    assert!(loop_devices(daemon.dir()).is_empty());
    daemon.start();
    let cli = daemon.cli();
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/state"]), "two");
}

#[test]
fn a_pool_that_is_missing_keeps_its_instances_visible_and_comes_back() {
    require!(root);
    let mut daemon = daemon();
    let cli = daemon.cli();
    cli.ok(["storage", "create", "fast", "btrfs", "size=512MiB"]);
    cli.ok(["create", "busybox", "c1", "-s", "fast"]);
    daemon.stop();
    let (disk, aside) = (
        daemon.dir().join("disks/fast.img"),
        daemon.dir().join("aside.img"),
    );
    let mount = daemon.dir().join("storage-pools/fast");
    daemon.world().run(&["umount", &mount.to_string_lossy()]);
    std::fs::rename(&disk, &aside).unwrap();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(cli.status("c1").as_deref(), Some("Stopped"));
    let refused = cli.run(["start", "c1"]);
    assert!(
        refused
            .stderr
            .contains("fast.img`, on which the pool stands, is gone"),
        "{}",
        refused.stderr
    );
    let pools = cli.ok(["storage", "list"]);
    assert!(pools.contains("UNAVAILABLE"), "{pools}");
    std::fs::rename(&aside, &disk).unwrap();
    daemon.stop();
    daemon.start();
    let cli = daemon.cli();
    cli.ok(["start", "c1"]);
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["storage", "delete", "fast"]);
}

#[test]
fn a_custom_volume_goes_into_a_file_and_comes_back() {
    require!(root);
    let daemon = daemon();
    let before = Leaks::look(&daemon);
    let cli = daemon.cli();
    let volume = |args: &[&str]| cli.ok(["storage", "volume"].iter().chain(args));
    cli.ok(["storage", "create", "fast", "btrfs", "size=512MiB"]);
    cli.ok(["storage", "create", "plain", "dir"]);
    volume(&["create", "fast", "data", "user.a=b"]);
    cli.ok(["create", "busybox", "c1"]);
    volume(&["attach", "fast", "data", "c1", "/srv"]);
    cli.ok(["start", "c1"]);
    cli.exec(
        "c1",
        &[
            "sh",
            "-c",
            "echo one > /srv/f; chown 7:8 /srv/f; ln /srv/f /srv/g",
        ],
    );
    volume(&["snapshot", "create", "fast", "data", "s1"]);
    cli.exec("c1", &["sh", "-c", "echo two > /srv/f"]);
    let path = daemon.dir().with_file_name("data.tar.zst");
    let path = path.to_string_lossy();
    // It is in use meanwhile.
    volume(&["export", "fast", "data", &path]);
    let refused = cli.run(["storage", "volume", "import", "fast", &path]);
    assert!(refused.stderr.contains("already exists"), "{refused}");
    let refused = cli.run(["import", &path]);
    assert!(
        refused.stderr.contains("storage volume import"),
        "{refused}"
    );
    volume(&["import", "plain", &path, "back"]);
    assert_eq!(volume(&["get", "plain", "back", "user.a"]), "b");
    volume(&["attach", "plain", "back", "c1", "/back"]);
    let look = ["sh", "-c", "cat /back/g; stat -c '%u:%g %h' /back/f"];
    assert_eq!(cli.exec("c1", &look), "two\n7:8 2");
    cli.ok(["stop", "-f", "c1"]);
    volume(&["restore", "plain", "back", "s1"]);
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &look), "one\n7:8 2");
    cli.ok(["delete", "-f", "c1"]);
    volume(&["export", "plain", "back", &path, "--volume-only"]);
    for name in ["fast/data", "plain/back"] {
        let (pool, name) = name.split_once('/').unwrap();
        volume(&["delete", pool, name]);
    }
    volume(&["import", "fast", &path]);
    let kept = volume(&["snapshot", "list", "fast", "back", "--format", "csv"]);
    assert_eq!(kept, "");
    volume(&["delete", "fast", "back"]);
    cli.ok(["storage", "delete", "plain"]);
    cli.ok(["storage", "delete", "fast"]);
    before.assert_none(&daemon);
}

#[test]
fn a_custom_volume_is_shared_snapshotted_and_moved() {
    require!(root);
    let daemon = daemon();
    let before = Leaks::look(&daemon);
    let cli = daemon.cli();
    cli.ok(["storage", "create", "fast", "btrfs", "size=512MiB"]);
    cli.ok(["storage", "create", "plain", "dir"]);
    cli.ok(["storage", "volume", "create", "fast", "data", "size=64MiB"]);
    for name in ["c1", "c2"] {
        cli.ok(["create", "busybox", name]);
        cli.ok(["storage", "volume", "attach", "fast", "data", name, "/srv"]);
        cli.ok(["start", name]);
    }
    cli.exec("c1", &["sh", "-c", "echo ours > /srv/file"]);
    assert_eq!(cli.exec("c2", &["cat", "/srv/file"]), "ours");
    // Each sees the files of root as its own.
    assert_eq!(
        cli.exec("c2", &["stat", "-c", "%u:%g %a", "/srv/file"]),
        "0:0 644"
    );
    assert_eq!(cli.exec("c1", &["stat", "-c", "%u %a", "/srv"]), "0 711");
    let refused = cli.run(["storage", "volume", "delete", "fast", "data"]);
    assert!(
        refused
            .stderr
            .contains("/1.0/instances/c1, /1.0/instances/c2"),
        "{}",
        refused.stderr
    );
    cli.ok([
        "storage", "volume", "snapshot", "create", "fast", "data", "s1",
    ]);
    cli.exec("c2", &["sh", "-c", "echo changed > /srv/file"]);
    let refused = cli.run(["storage", "volume", "restore", "fast", "data", "s1"]);
    assert!(refused.stderr.contains("running"), "{}", refused.stderr);
    cli.ok(["stop", "-f", "c1", "c2"]);
    cli.ok(["storage", "volume", "restore", "fast", "data", "s1"]);
    cli.ok(["storage", "volume", "move", "fast/data", "plain/moved"]);
    let shown = cli.ok(["storage", "volume", "show", "plain", "moved"]);
    assert!(shown.contains("/1.0/instances/c2"), "{shown}");
    let kept = cli.ok(["storage", "volume", "snapshot", "list", "plain", "moved"]);
    assert!(kept.contains("s1"), "{}", kept);
    cli.ok(["storage", "volume", "rename", "plain", "moved", "again"]);
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["cat", "/srv/file"]), "ours");
    cli.ok(["storage", "volume", "copy", "plain/again/s1", "fast/second"]);
    let listed = cli.ok(["storage", "volume", "list", "fast"]);
    assert!(listed.contains("second"), "{listed}");
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["storage", "volume", "detach", "plain", "again", "c2"]);
    cli.ok(["storage", "volume", "delete", "plain", "again"]);
    cli.ok(["storage", "volume", "delete", "fast", "second"]);
    cli.ok(["delete", "c2"]);
    cli.ok(["storage", "delete", "plain"]);
    cli.ok(["storage", "delete", "fast"]);
    before.assert_none(&daemon);
}

#[test]
fn what_can_not_be_a_volume_is_refused() {
    require!(root);
    let daemon = daemon();
    let cli = daemon.cli();
    cli.ok(["storage", "create", "plain", "dir"]);
    let create = |words: &[&str]| {
        let argv = ["storage", "volume", "create", "plain"].iter().chain(words);
        cli.run(argv.copied()).stderr
    };
    for (words, expected) in [
        (&["v", "--type", "block"][..], "virtual machines"),
        (&["v", "size=much"], "is not a size"),
        (&["v", "seize=1GiB"], "Did you mean `size`?"),
        (&["a/b"], "invalid storage volume name"),
        (&[".."], "invalid storage volume name"),
    ] {
        let error = create(words);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    let info = cli.ok(["storage", "info", "plain"]);
    assert!(info.contains("Quotas: no: "), "{info}");
    assert_eq!(create(&["v"]), "");
    let twice = create(&["v"]);
    assert!(twice.contains("already exists"), "{twice}");
    cli.ok(["create", "busybox", "c1"]);
    let nobody = cli.run([
        "config",
        "device",
        "add",
        "c1",
        "data",
        "disk",
        "pool=plain",
        "source=nobody",
        "path=/d",
    ]);
    assert!(
        nobody.stderr.contains("no custom volume `nobody`"),
        "{}",
        nobody.stderr
    );
}

#[test]
fn disks_come_and_go_while_it_runs() {
    require!(root);
    let (mut daemon, before) = super::daemon_with_c1();
    let shared = daemon.dir().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("file"), "from the host").unwrap();
    let cli = daemon.cli();
    let source = format!("source={}", shared.display());
    let add = |name: &str, keys: &[&str]| {
        let argv = ["config", "device", "add", "c1", name, "disk"];
        cli.run(argv.iter().chain(keys).copied())
    };
    assert_eq!(add("data", &[&source, "path=/data", "shift=true"]).code, 0);
    assert_eq!(cli.exec("c1", &["cat", "/data/file"]), "from the host");
    cli.exec("c1", &["sh", "-c", "echo inside > /data/new"]);
    let written = std::fs::read_to_string(shared.join("new")).unwrap();
    assert_eq!(written, "inside\n");
    let file = format!("{source}/file");
    assert_eq!(
        add("one", &[&file, "path=/etc/one", "readonly=true"]).code,
        0
    );
    assert_eq!(cli.exec("c1", &["cat", "/etc/one"]), "from the host");
    cli.ok(["config", "device", "set", "c1", "data", "readonly=true"]);
    let refused = cli.run(["exec", "c1", "--", "sh", "-c", "echo x > /data/new"]);
    assert!(refused.stderr.contains("Read-only"), "{}", refused.stderr);
    let missing = add("none", &["source=/no/such/place", "path=/none"]);
    assert!(
        missing.stderr.contains("`/no/such/place` is not there"),
        "{}",
        missing.stderr
    );
    let optional = add(
        "none",
        &["source=/no/such/place", "path=/none", "required=false"],
    );
    assert_eq!(optional.code, 0, "{}", optional.stderr);

    cli.ok(["storage", "volume", "create", "default", "vol"]);
    cli.ok([
        "storage", "volume", "attach", "default", "vol", "c1", "/vol",
    ]);
    cli.exec("c1", &["sh", "-c", "echo kept > /vol/file"]);
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(cli.exec("c1", &["cat", "/vol/file"]), "kept");
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(
        cli.exec("c1", &["cat", "/vol/file", "/etc/one"]),
        "kept\nfrom the host"
    );
    cli.ok(["storage", "volume", "detach", "default", "vol", "c1"]);
    cli.ok(["config", "device", "remove", "c1", "data", "one", "none"]);
    assert_eq!(
        cli.exec("c1", &["sh", "-c", "ls /data /vol"]),
        "/data:\n\n/vol:"
    );
    cli.ok(["storage", "volume", "delete", "default", "vol"]);
    cli.ok(["delete", "-f", "c1"]);
    std::fs::remove_dir_all(&shared).unwrap();
    before.assert_none(&daemon);
}
