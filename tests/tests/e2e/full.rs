//! Pools that are full in the middle of a verb: it fails, says what is full, and leaves nothing; what frees space works.

use rlxc_tests::process::Output;
use rlxc_tests::{Daemon, require};

/// A pool on a small file system of its own, as an administrator would mount one.
fn small_pool(daemon: &Daemon, driver: &str) {
    let cli = daemon.cli();
    if driver == "btrfs" {
        cli.ok(["storage", "create", "small", "btrfs", "size=256MiB"]);
        return;
    }
    let (disk, place) = (
        daemon.dir().with_file_name("small.img"),
        daemon.dir().with_file_name("small"),
    );
    let file = std::fs::File::create(&disk).unwrap();
    file.set_len(40 << 20).unwrap();
    let (disk, place) = (disk.display().to_string(), place.display().to_string());
    let world = daemon.world();
    world.run(&["mkfs.ext4", "-q", "-m", "0", "-N", "4096", &disk]);
    world.run(&["mkdir", &place]);
    world.run(&["mount", "-o", "loop", &disk, &place]);
    let source = format!("source={place}");
    cli.ok(["storage", "create", "small", driver, &source]);
}

/// Takes all that is left, and a little more.
fn fill(daemon: &Daemon) {
    let script = "i=0; while dd if=/dev/zero of=/root/fill$i bs=64k 2>/dev/null; do i=$((i+1)); done; sync; \
                  while dd if=/dev/zero of=/root/last$i bs=4k count=1 2>/dev/null; do i=$((i+1)); done; sync";
    daemon.cli().run(["exec", "c1", "--", "sh", "-c", script]);
}

#[track_caller]
fn full(output: &Output) {
    assert_ne!(output.code, 0, "{output}");
    let words = ["No space left on device", "No space left in"];
    assert!(
        words.iter().any(|words| output.stderr.contains(words)),
        "{output}"
    );
    assert!(
        output.stderr.contains("storage pool `small` is full"),
        "{output}"
    );
}

fn everything(daemon: &Daemon) -> String {
    let cli = daemon.cli();
    let volumes = cli.ok(["storage", "volume", "list", "small", "-f", "csv"]);
    let instances = cli.ok(["list", "-f", "csv", "-c", "nS"]);
    let images = cli.ok(["image", "list", "-f", "csv", "-c", "f"]);
    [volumes, instances, images].join("\n")
}

#[track_caller]
fn a_full_pool_harms_nothing(driver: &str) {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    small_pool(&daemon, driver);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c1", "-s", "small"]);
    cli.exec("c1", &["sh", "-c", "echo precious > /root/state"]);
    cli.ok(["storage", "volume", "create", "small", "data"]);
    too_much(&daemon);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    fill(&daemon);
    nothing_left(&daemon);
    assert_eq!(cli.exec("c1", &["cat", "/root/state"]), "precious");
    // What frees space needs none.
    cli.ok(["snapshot", "delete", "c1", "s1"]);
    cli.exec("c1", &["sh", "-c", "rm -f /root/fill* /root/last*"]);
    cli.ok(["snapshot", "create", "c1", "s3"]);
    fill(&daemon);
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["storage", "volume", "delete", "small", "data"]);
    cli.ok(["launch", "busybox", "c3", "-s", "small"]);
    cli.ok(["delete", "-f", "c3", "other"]);
    assert_eq!(cli.ok(["admin", "recover"]), "Nothing is lost.");
}

/// Verbs that have far too much to write, and fail in the middle.
#[track_caller]
fn too_much(daemon: &Daemon) {
    let cli = daemon.cli();
    let big = daemon.dir().with_file_name("big");
    std::fs::write(&big, vec![7_u8; 300 << 20]).unwrap();
    let big = big.display().to_string();
    cli.ok(["create", "busybox", "other"]);
    cli.ok(["file", "push", &big, "other/root/big"]);
    let backup = daemon.dir().with_file_name("backup").display().to_string();
    cli.ok(["export", "other", &backup, "--compression", "zstd"]);
    let publish = ["publish", "other", "--alias", "large"];
    cli.ok([&publish[..], &["--compression", "zstd"]].concat());
    let before = everything(daemon);
    for words in [
        &["import", &backup, "c2", "-s", "small"][..],
        &["create", "large", "c2", "-s", "small"],
        &["copy", "other", "c2", "-s", "small"],
        &["move", "other", "--storage", "small"],
    ] {
        full_later(daemon, &cli.run(words.iter().copied()), words);
        assert_eq!(everything(daemon), before, "{words:?}");
    }
    let pushed = cli.run(["file", "push", &big, "c1/root/big"]);
    assert_ne!(pushed.code, 0, "{pushed}");
    cli.run(["file", "delete", "c1/root/big"]);
}

/// Verbs for which there is no room at all.
#[track_caller]
fn nothing_left(daemon: &Daemon) {
    let cli = daemon.cli();
    let before = everything(daemon);
    for (words, undo) in [
        (
            &["create", "large", "c2", "-s", "small"][..],
            &["delete", "c2"][..],
        ),
        (&["copy", "c1", "c2"], &["delete", "c2"]),
        (
            &["snapshot", "create", "c1", "s2"],
            &["snapshot", "delete", "c1", "s2"],
        ),
    ] {
        let output = cli.run(words.iter().copied());
        if output.code == 0 {
            // There was room for what it needs, which may be next to nothing.
            cli.ok(undo.iter().copied());
        } else {
            full(&output);
        }
        assert_eq!(everything(daemon), before, "{words:?}");
    }
}

/// The pool is not full any more when the client asks: what was written is gone.
#[track_caller]
fn full_later(daemon: &Daemon, output: &Output, words: &[&str]) {
    assert_ne!(output.code, 0, "{words:?}: {output}");
    assert!(
        output.stderr.contains("No space left on device"),
        "{words:?}: {output}"
    );
    assert!(output.stderr.contains("small"), "{words:?}: {output}");
    daemon.cli().ok(["list"]);
}

#[test]
fn a_full_pool_of_layers_harms_nothing() {
    a_full_pool_harms_nothing("overlay");
}

#[test]
fn a_full_pool_of_directories_harms_nothing() {
    a_full_pool_harms_nothing("dir");
}

#[test]
fn a_full_btrfs_harms_nothing() {
    a_full_pool_harms_nothing("btrfs");
}
