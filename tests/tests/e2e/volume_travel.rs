//! Custom volumes between two servers.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rlxc_tests::{Daemon, Leaks, require};

use super::migrate::two;

/// The content of the only custom volume on the default pool.
#[track_caller]
pub(super) fn content(daemon: &Daemon) -> PathBuf {
    let custom = daemon.dir().join("storage-pools/default/custom");
    let all: Vec<_> = std::fs::read_dir(custom).unwrap().flatten().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].path().join("rootfs")
}

/// Makes the volume `data` with a snapshot and a change since then.
#[track_caller]
pub(super) fn furnish(daemon: &Daemon) {
    let cli = daemon.cli();
    let volume = |args: &[&str]| cli.ok(["storage", "volume"].iter().chain(args));
    volume(&["create", "default", "data", "user.a=b"]);
    let root = content(daemon);
    std::fs::write(root.join("file"), "one").unwrap();
    std::fs::hard_link(root.join("file"), root.join("link")).unwrap();
    std::os::unix::fs::chown(root.join("file"), Some(7), Some(8)).unwrap();
    volume(&["snapshot", "create", "default", "data", "s1"]);
    std::fs::write(root.join("file"), "two").unwrap();
    std::fs::create_dir(root.join("later")).unwrap();
}

/// Looks at a root that is what [`furnish`] made.
#[track_caller]
pub(super) fn check(root: &Path, text: &str) {
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), text);
    let stat = std::fs::metadata(root.join("file")).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (7, 8));
    assert_eq!(root.join("later").is_dir(), text == "two");
    assert_eq!(std::fs::metadata(root).unwrap().mode() & 0o777, 0o711);
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told between one pair of servers"
)]
fn a_volume_reaches_another_server_in_every_mode_and_follows_its_source() {
    require!(root);
    require!(tool "rsync");
    let (here, there) = two();
    let before = (Leaks::look(&here), Leaks::look(&there));
    furnish(&here);
    let mine = |args: &[&str]| here.cli().ok(["storage", "volume"].iter().chain(args));
    let theirs = |args: &[&str]| there.cli().ok(["storage", "volume"].iter().chain(args));
    let snapshots = || theirs(&["snapshot", "list", "default", "copy", "--format", "csv"]);
    for mode in ["pull", "push", "relay"] {
        mine(&["copy", "default/data", "box:default/copy", "--mode", mode]);
        let root = content(&there);
        check(&root, "two");
        assert_eq!(std::fs::metadata(root.join("link")).unwrap().nlink(), 2);
        assert_eq!(theirs(&["get", "default", "copy", "user.a"]), "b");
        assert!(snapshots().starts_with("s1,"), "{}", snapshots());
        theirs(&["restore", "default", "copy", "s1"]);
        check(&content(&there), "one");
        theirs(&["delete", "default", "copy"]);
    }
    mine(&["copy", "default/data/s1", "box:default/copy"]);
    check(&content(&there), "one");
    assert_eq!(snapshots(), "");
    let taken = [
        "storage",
        "volume",
        "copy",
        "default/data",
        "box:default/copy",
    ];
    let text = here.cli().fails(taken);
    assert!(text.contains("already exists"), "{text}");
    // What is new comes, what is no more goes.
    std::fs::write(content(&here).join("file"), "two").unwrap();
    mine(&["snapshot", "create", "default", "data", "s2"]);
    for mode in ["pull", "push"] {
        let copy = [
            "copy",
            "default/data",
            "box:default/copy",
            "--refresh",
            "--mode",
        ];
        mine(&copy.iter().copied().chain([mode]).collect::<Vec<_>>());
        check(&content(&there), "two");
        assert_eq!(snapshots().lines().count(), 2, "{}", snapshots());
    }
    mine(&["snapshot", "delete", "default", "data", "s1"]);
    mine(&["copy", "default/data", "box:default/copy", "--refresh"]);
    assert!(snapshots().starts_with("s2,"), "{}", snapshots());
    theirs(&["delete", "default", "copy"]);
    mine(&["move", "default/data", "box:default/moved"]);
    check(&content(&there), "two");
    mine(&[
        "copy",
        "box:default/moved",
        "local:default/back",
        "--volume-only",
    ]);
    check(&content(&here), "two");
    mine(&["delete", "default", "back"]);
    theirs(&["delete", "default", "moved"]);
    before.0.assert_none(&here);
    before.1.assert_none(&there);
}

/// Streams of btrfs keep the time of the last access, which rsync and archives do not.
const ACCESSED: &str = "1000000000";

#[test]
fn between_pools_of_btrfs_instances_and_volumes_go_as_streams() {
    require!(root);
    let (here, there) = two();
    let cli = here.cli();
    for daemon in [&here, &there] {
        daemon
            .cli()
            .ok(["storage", "create", "fast", "btrfs", "size=512MiB"]);
    }
    cli.ok(["storage", "create", "second", "btrfs", "size=512MiB"]);
    cli.ok(["storage", "volume", "create", "fast", "data"]);
    cli.ok(["create", "busybox", "c1", "-s", "fast"]);
    cli.ok(["storage", "volume", "attach", "fast", "data", "c1", "/srv"]);
    cli.ok(["start", "c1"]);
    super::travel::furnish(cli);
    let touch = format!("echo x > /srv/f; touch -a -d @{ACCESSED} /root/work /srv/f");
    cli.exec("c1", &["sh", "-c", &touch]);
    let before = (Leaks::look(&here), Leaks::look(&there));
    cli.ok(["copy", "c1", "c2", "-s", "second"]);
    let accessed = ["stat", "-c", "%X", "/root/work"];
    cli.ok(["start", "c2"]);
    assert_eq!(cli.exec("c2", &accessed), ACCESSED);
    cli.ok(["delete", "-f", "c2"]);
    cli.ok(["storage", "volume", "copy", "fast/data", "second/data"]);
    cli.ok(["storage", "volume", "delete", "second", "data"]);
    before.0.assert_none(&here);
    let other = there.cli();
    for mode in ["pull", "push", "relay"] {
        let copy = [
            "storage",
            "volume",
            "copy",
            "fast/data",
            "box:fast/data",
            "--mode",
            mode,
        ];
        cli.ok(copy);
        cli.ok(["copy", "c1", "box:c2", "-s", "fast", "--mode", mode]);
        other.ok(["start", "c2"]);
        let both = ["stat", "-c", "%X", "/root/work", "/srv/f"];
        let both = other.exec("c2", &both);
        assert_eq!(both, format!("{ACCESSED}\n{ACCESSED}"));
        other.ok(["stop", "-f", "c2"]);
        super::travel::check(other, "c2");
        other.ok(["storage", "volume", "delete", "fast", "data"]);
    }
    before.1.assert_none(&there);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story of one volume")]
fn an_export_in_the_format_of_btrfs_comes_back_on_btrfs_only() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    let volume = |args: &[&str]| cli.ok(["storage", "volume"].iter().chain(args));
    for pool in ["fast", "other"] {
        cli.ok(["storage", "create", pool, "btrfs", "size=512MiB"]);
    }
    super::warm_up(&daemon);
    let before = Leaks::look(&daemon);
    cli.ok(["create", "busybox", "c1"]);
    volume(&["create", "fast", "data", "size=64MiB"]);
    volume(&["attach", "fast", "data", "c1", "/srv"]);
    cli.ok(["start", "c1"]);
    let shell = |script: &str| cli.exec("c1", &["sh", "-c", script]);
    shell("echo one > /srv/file; ln /srv/file /srv/link");
    volume(&["snapshot", "create", "fast", "data", "s1"]);
    let change =
        format!("echo two > /srv/file; chown 7:8 /srv/file; touch -a -d @{ACCESSED} /srv/file");
    shell(&change);
    let file = daemon
        .dir()
        .with_file_name("data.tar")
        .display()
        .to_string();
    volume(&["export", "fast", "data", &file, "--optimized-storage"]);
    volume(&["detach", "fast", "data", "c1"]);
    volume(&["delete", "fast", "data"]);
    let listed = daemon.world().run(&["tar", "-taf", &file]).stdout;
    let parts = [
        "backup/index.yaml",
        "backup/volume-snapshots/s1.bin",
        "backup/volume.bin",
    ];
    assert_eq!(listed.lines().collect::<Vec<_>>(), parts);
    let refused = cli.fails(["storage", "volume", "import", "default", &file]);
    assert!(refused.contains("driver `btrfs`"), "{refused}");
    volume(&["import", "other", &file, "again"]);
    volume(&["attach", "other", "again", "c1", "/srv"]);
    let look = || shell("cat /srv/file; stat -c '%u:%g %h' /srv/file");
    assert_eq!(shell("stat -c %X /srv/file"), ACCESSED);
    assert_eq!(look(), "two\n7:8 2");
    assert_eq!(volume(&["get", "other", "again", "size"]), "64MiB");
    // It is limited as the old one was.
    let full = cli.run([
        "exec",
        "c1",
        "--",
        "sh",
        "-c",
        "dd if=/dev/zero of=/srv/big bs=1M count=100; sync",
    ]);
    assert!(full.stderr.contains("quota"), "{full}");
    volume(&["detach", "other", "again", "c1"]);
    volume(&["restore", "other", "again", "s1"]);
    volume(&["attach", "other", "again", "c1", "/srv"]);
    assert_eq!(look(), "one\n0:0 2");
    // A driver without a format of its own exports as ever.
    volume(&["create", "default", "plain"]);
    volume(&["export", "default", "plain", &file, "--optimized-storage"]);
    volume(&["import", "other", &file, "plain"]);
    volume(&["delete", "default", "plain"]);
    volume(&["delete", "other", "plain"]);
    cli.ok(["delete", "-f", "c1"]);
    volume(&["delete", "other", "again"]);
    std::fs::remove_file(&file).unwrap();
    before.assert_none(&daemon);
}

#[test]
fn a_copy_on_this_server_follows_its_source() {
    require!(root);
    let daemon = Daemon::initialized();
    furnish(&daemon);
    let cli = daemon.cli();
    let volume = |args: &[&str]| cli.ok(["storage", "volume"].iter().chain(args));
    cli.ok(["storage", "create", "plain", "dir"]);
    volume(&["copy", "default/data", "plain/copy"]);
    std::fs::write(content(&daemon).join("file"), "three").unwrap();
    volume(&["snapshot", "create", "default", "data", "s2"]);
    volume(&["snapshot", "delete", "default", "data", "s1"]);
    volume(&["copy", "default/data", "plain/copy", "--refresh"]);
    let list = volume(&["snapshot", "list", "plain", "copy", "--format", "csv"]);
    assert!(list.starts_with("s2,"), "{list}");
    let custom = daemon.dir().join("storage-pools/plain/custom");
    let copy = std::fs::read_dir(custom).unwrap().flatten().next().unwrap();
    let file = copy.path().join("rootfs/file");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "three");
    let itself = [
        "storage",
        "volume",
        "copy",
        "plain/copy",
        "plain/copy",
        "--refresh",
    ];
    let text = cli.fails(itself);
    assert!(text.contains("from itself"), "{text}");
}
