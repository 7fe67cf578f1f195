//! Disk devices whose source is the host's: how mounts below it are seen, and file systems on block devices.

use std::path::Path;

use rlxc_tests::process::{Output, Run};
use rlxc_tests::{Cli, Daemon, require};

use super::daemon_with_c1;

/// A file system in a file of the host's, as a block device; detached when it is dropped.
pub(super) struct Disk {
    pub(super) node: String,
    _file: tempfile::NamedTempFile,
}

impl Disk {
    /// With ext4, and one file on it.
    pub(super) fn new() -> Self {
        let (file, tree) = (
            tempfile::NamedTempFile::new().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        file.as_file().set_len(16 << 20).unwrap();
        std::fs::write(tree.path().join("this-is-mydisk"), "").unwrap();
        let text = |path: &Path| path.display().to_string();
        let (image, tree) = (text(file.path()), text(tree.path()));
        let make = ["mkfs.ext4", "-q", "-d", &tree, &image];
        Run::new(make).ok().unwrap();
        let found = Run::new(["losetup", "-f", "--show", &image]).ok().unwrap();
        Self {
            node: found.stdout.trim().to_owned(),
            _file: file,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let detached = Run::new(["losetup", "-d", &self.node]).ok();
        assert!(detached.is_ok() || std::thread::panicking(), "{detached:?}");
    }
}

fn add(cli: Cli<'_>, name: &str, keys: &[&str]) -> Output {
    let line = ["config", "device", "add", "c1", name, "disk"];
    cli.run(line.iter().chain(keys).copied())
}

/// Runs a line of shell on the daemon's host.
fn host(daemon: &Daemon, script: &str) {
    daemon.world().run(&["sh", "-ec", script]);
}

#[test]
fn mounts_of_the_host_are_seen_as_the_disk_says() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let shared = daemon.dir().with_file_name("shared");
    let place = shared.display().to_string();
    std::fs::create_dir_all(shared.join("below")).unwrap();
    std::fs::create_dir(shared.join("late")).unwrap();
    host(
        &daemon,
        &format!(
            "mount --bind {place} {place}; mount --make-shared {place}; \
             mount -t tmpfs none {place}/below; echo seen > {place}/below/file"
        ),
    );
    let source = format!("source={place}");
    for (name, keys) in [
        ("plain", &[][..]),
        ("whole", &["recursive=true"]),
        ("following", &["recursive=true", "propagation=rslave"]),
        ("locked", &["recursive=true", "readonly=true"]),
    ] {
        let path = format!("path=/{name}");
        let added = add(cli, name, &[&[source.as_str(), &path], keys].concat());
        assert_eq!(added.code, 0, "{added}");
    }
    let expected = ["", "seen", "seenlate", "seen"];
    assert_eq!(seen_below(&daemon, &place), expected);
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(seen_below(&daemon, &place), expected);
    let write = "echo x > /locked/below/file; mount -o remount,bind,rw /locked/below; mount -o remount,bind,rw /locked";
    let written = cli.run(["exec", "c1", "--", "sh", "-c", write]);
    assert_eq!(written.code, 1, "{written}");
    // Nothing that an instance mounts reaches the host.
    let over = ["mount", "-t", "tmpfs", "none", "/following/late"];
    cli.exec("c1", &over);
    let mounts = daemon.world().run(&["cat", "/proc/mounts"]).stdout;
    assert!(!mounts.contains("shared/late"), "{mounts}");
    cli.ok(["delete", "-f", "c1"]);
    host(&daemon, &format!("umount {place}/below; umount {place}"));
    std::fs::remove_dir_all(&shared).unwrap();
    before.assert_none(&daemon);
}

/// What each disk shows of a mount that was there before it, and of one that comes after.
fn seen_below(daemon: &Daemon, place: &str) -> [String; 4] {
    let mount = format!("mount -t tmpfs none {place}/late; echo late > {place}/late/file");
    host(daemon, &mount);
    let seen = ["plain", "whole", "following", "locked"].map(|name| {
        let look = format!("cat /{name}/below/file /{name}/late/file 2>/dev/null | tr -d '\\n'");
        let line = ["exec", "c1", "--", "sh", "-c", &look];
        daemon.cli().run(line).stdout
    });
    host(daemon, &format!("umount {place}/late"));
    seen
}

#[test]
fn what_is_on_a_block_device_is_shown() {
    require!(root);
    let disk = Disk::new();
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let source = format!("source={}", disk.node);
    let add = |keys: &[&str]| {
        let all = [&[source.as_str(), "path=/disk"], keys].concat();
        add(cli, "d", &all)
    };
    let options = "raw.mount.options=noexec,data=journal";
    assert_eq!(add(&["shift=true", options]).code, 0);
    assert_shown(cli);
    cli.ok(["restart", "-f", "c1"]);
    assert_shown(cli);
    cli.ok(["config", "device", "remove", "c1", "d"]);
    assert_eq!(add(&["readonly=true"]).code, 0);
    let write = "mount -o remount,rw /disk; touch /disk/x";
    let written = cli.run(["exec", "c1", "--", "sh", "-c", write]);
    assert!(written.stderr.contains("Read-only"), "{written}");
    cli.ok(["config", "device", "remove", "c1", "d"]);
    let wrong = add(&["raw.mount.options=no-such-option"]);
    assert!(
        wrong.code == 1 && wrong.stderr.contains("no-such-option"),
        "{wrong}"
    );
    a_directory_takes_options_of_mounts_only(cli);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

/// The file on it, as the instance's own, mounted as was asked for.
#[track_caller]
fn assert_shown(cli: Cli<'_>) {
    let look =
        "ls /disk; touch /disk/mine && stat -c %u:%g /disk/mine; grep ' /disk ext4 ' /proc/mounts";
    let seen = cli.exec("c1", &["sh", "-c", look]);
    for expected in [
        "this-is-mydisk",
        "\n0:0\n",
        "noexec",
        "data=journal",
        "nodev",
    ] {
        assert!(seen.contains(expected), "{expected}: {seen}");
    }
}

#[track_caller]
fn a_directory_takes_options_of_mounts_only(cli: Cli<'_>) {
    let directory = ["source=/etc", "path=/e"];
    let with = |options: &'static str| add(cli, "e", &[&directory[..], &[options]].concat());
    let wrong = with("raw.mount.options=data=journal");
    assert!(wrong.stderr.contains("no block device"), "{wrong}");
    let right = with("raw.mount.options=noexec,noatime");
    assert_eq!(right.code, 0, "{right}");
    let look = "grep ' /e .*noexec.*noatime' /proc/mounts";
    cli.exec("c1", &["sh", "-c", look]);
}
