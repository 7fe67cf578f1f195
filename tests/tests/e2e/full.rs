//! Pools that are full in the middle of a verb: it fails, says what is full, and leaves nothing; what frees space works.

use std::path::Path;
use std::time::Duration;

use rlxc_tests::archive::{self, Archive};
use rlxc_tests::process::{Output, eventually};
use rlxc_tests::{Daemon, require};

/// A file system of its own for a pool, on a loop file, as an administrator would mount one.
fn small_disk(daemon: &Daemon, mib: u64) -> String {
    let (disk, place) = (
        daemon.dir().with_file_name("small.img"),
        daemon.dir().with_file_name("small"),
    );
    let file = std::fs::File::create(&disk).unwrap();
    file.set_len(mib << 20).unwrap();
    let (disk, place) = (disk.display().to_string(), place.display().to_string());
    let world = daemon.world();
    // Without blocks that only root may use: they would hide what happens when nothing is left.
    world.run(&["mkfs.ext4", "-q", "-m", "0", "-N", "8192", &disk]);
    world.run(&["mkdir", &place]);
    world.run(&["mount", "-o", "loop", &disk, &place]);
    place
}

fn small_pool(daemon: &Daemon, driver: &str) {
    let cli = daemon.cli();
    if driver == "btrfs" {
        cli.ok(["storage", "create", "small", "btrfs", "size=256MiB"]);
        return;
    }
    let place = small_disk(daemon, 64);
    let source = format!("source={place}");
    cli.ok(["storage", "create", "small", driver, &source]);
    // Volumes are kept apart from each other, see chattr(1): otherwise files are made slowly where many were removed.
    let flags = daemon
        .world()
        .run(&["lsattr", "-d", &format!("{place}/tmp")]);
    assert!(flags.stdout.contains('T'), "{flags}");
}

/// Takes all that is left, and a little more.
fn fill(daemon: &Daemon) {
    let script = "i=0; while dd if=/dev/urandom of=/root/fill$i bs=1M count=64 2>/dev/null; do i=$((i+1)); done; sync; \
                  while dd if=/dev/zero of=/root/last$i bs=4k count=1 2>/dev/null; do i=$((i+1)); done; sync";
    daemon.cli().run(["exec", "c1", "--", "sh", "-c", script]);
}

/// It failed for want of space, said on which pool, and changed nothing.
#[track_caller]
fn refused(daemon: &Daemon, words: &[&str], before: &str) {
    let output = daemon.cli().run(words.iter().copied());
    is_full(&output, words);
    assert_eq!(everything(daemon), before, "{words:?}");
}

#[track_caller]
fn is_full(output: &Output, words: &[&str]) {
    assert_ne!(output.code, 0, "{words:?}: {output}");
    let full = ["No space left on device", "quota exceeded"];
    let said = full.iter().any(|full| output.stderr.contains(full));
    assert!(said, "{words:?}: {output}");
    assert!(output.stderr.contains("`small`"), "{words:?}: {output}");
}

fn everything(daemon: &Daemon) -> String {
    let cli = daemon.cli();
    let volumes = cli.ok(["storage", "volume", "list", "small", "-f", "csv"]);
    let instances = cli.ok(["list", "-f", "csv", "-c", "nS"]);
    let images = cli.ok(["image", "list", "-f", "csv", "-c", "f"]);
    let snapshots = cli.ok(["storage", "volume", "snapshot", "list", "small", "data"]);
    [volumes, instances, images, snapshots].join("\n")
}

#[track_caller]
fn a_full_pool_harms_nothing(driver: &str) {
    require!(root);
    let mut daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    small_pool(&daemon, driver);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c1", "-s", "small"]);
    cli.exec("c1", &["sh", "-c", "echo precious > /root/state"]);
    cli.ok(["create", "busybox", "c4", "-s", "small"]);
    cli.ok(["storage", "volume", "create", "small", "data"]);
    cli.ok(["storage", "volume", "attach", "small", "data", "c1", "/srv"]);
    cli.exec("c1", &["sh", "-c", "echo kept > /srv/file"]);
    too_much(&daemon);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    fill(&daemon);
    nothing_left(&daemon);
    daemon.kill();
    daemon.start();
    what_frees_space_works(&daemon);
}

#[track_caller]
fn what_frees_space_works(daemon: &Daemon) {
    let cli = daemon.cli();
    assert_eq!(cli.exec("c1", &["cat", "/root/state"]), "precious");
    assert_eq!(cli.exec("c1", &["cat", "/srv/file"]), "kept");
    cli.ok(["snapshot", "delete", "c1", "s1"]);
    fill(daemon);
    cli.ok(["delete", "c4"]);
    fill(daemon);
    cli.ok(["image", "delete", "busybox"]);
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["storage", "volume", "delete", "small", "data"]);
    rlxc_tests::image::import_busybox(daemon);
    // Btrfs gives back what was deleted when it has time.
    eventually("room for a new one", Duration::from_secs(60), || {
        cli.run(["launch", "busybox", "c3", "-s", "small"]).code == 0
    });
    cli.ok(["delete", "-f", "c3", "other"]);
    assert_eq!(cli.ok(["admin", "recover"]), "Nothing is lost.");
    let warnings = cli.ok(["warning", "list", "-f", "csv"]);
    assert!(!warnings.contains("volume"), "{warnings}");
}

/// Verbs that have far too much to write, and fail in the middle.
#[track_caller]
fn too_much(daemon: &Daemon) {
    let cli = daemon.cli();
    let scratch = daemon.dir().parent().unwrap().to_owned();
    let at = |name: &str| scratch.join(name).display().to_string();
    let (big, backup, of_volume) = (at("big"), at("backup"), at("volume"));
    noise(Path::new(&big), 300);
    cli.ok(["create", "busybox", "other"]);
    cli.ok(["file", "push", &big, "other/root/big"]);
    cli.ok(["export", "other", &backup, "--compression", "none"]);
    let publish = ["publish", "other", "--alias", "large"];
    cli.ok([&publish[..], &["--compression", "none"]].concat());
    cli.ok(["storage", "volume", "create", "default", "large"]);
    cli.ok([
        "storage", "volume", "attach", "default", "large", "other", "/v",
    ]);
    cli.ok(["start", "other"]);
    cli.exec("other", &["cp", "/root/big", "/v/big"]);
    cli.ok(["stop", "-f", "other"]);
    cli.ok([
        "storage", "volume", "export", "default", "large", &of_volume,
    ]);
    cli.ok(["storage", "volume", "detach", "default", "large", "other"]);
    let before = everything(daemon);
    let volume = ["storage", "volume"];
    for words in [
        &["import", &backup, "c2", "-s", "small"][..],
        &["create", "large", "c2", "-s", "small"],
        &["launch", "large", "c2", "-s", "small"],
        &["copy", "other", "c2", "-s", "small"],
        &["move", "other", "--storage", "small"],
        &["rebuild", "large", "c4"],
        &[&volume[..], &["import", "small", &of_volume, "v2"]].concat(),
        &[&volume[..], &["copy", "default/large", "small/v2"]].concat(),
        &[&volume[..], &["move", "default/large", "small/v2"]].concat(),
    ] {
        refused(daemon, words, &before);
    }
    // It has a root still.
    cli.ok(["start", "c4"]);
    cli.ok(["stop", "-f", "c4"]);
    let pushed = ["file", "push", &big, "c1/root/big"];
    let output = cli.fails(pushed);
    assert!(output.contains("No space left on device"), "{output}");
    let there = cli.run(["exec", "c1", "--", "ls", "/root/big"]);
    assert_ne!(there.code, 0, "half a file: {there}");
    cli.ok(["storage", "volume", "delete", "default", "large"]);
    cli.ok(["image", "delete", "large"]);
    for file in [big, backup, of_volume] {
        std::fs::remove_file(file).unwrap();
    }
}

/// What no compression and no sharing of blocks makes smaller.
fn noise(path: &Path, mib: usize) {
    let mut from = std::io::Read::take(
        std::fs::File::open("/dev/urandom").unwrap(),
        (mib << 20) as u64,
    );
    std::io::copy(&mut from, &mut std::fs::File::create(path).unwrap()).unwrap();
}

/// Verbs for which there is no room at all, or next to none: they fail, or do all that they say.
#[track_caller]
fn nothing_left(daemon: &Daemon) {
    let cli = daemon.cli();
    let before = everything(daemon);
    let volume = ["storage", "volume"];
    let with = |words: &[&'static str]| [&volume[..], words].concat();
    for (words, undo) in [
        (
            vec!["create", "busybox", "c2", "-s", "small"],
            vec!["delete", "c2"],
        ),
        (vec!["copy", "c1", "c2"], vec!["delete", "c2"]),
        (
            vec!["snapshot", "create", "c1", "s2"],
            vec!["snapshot", "delete", "c1", "s2"],
        ),
        (
            with(&["create", "small", "v2"]),
            with(&["delete", "small", "v2"]),
        ),
        (
            with(&["copy", "small/data", "small/v2"]),
            with(&["delete", "small", "v2"]),
        ),
        (
            with(&["snapshot", "create", "small", "data", "s2"]),
            with(&["snapshot", "delete", "small", "data", "s2"]),
        ),
        (
            vec!["snapshot", "restore", "c1", "s1"],
            vec!["exec", "c1", "--", "test", "!", "-e", "/root/fill0"],
        ),
    ] {
        let output = cli.run(words.iter().copied());
        if output.code == 0 {
            cli.ok(undo);
        } else {
            is_full(&output, &words);
        }
        assert_eq!(everything(daemon), before, "{words:?}");
    }
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

/// Images and backups are in the daemon's directory, wherever the pools are.
#[test]
fn where_there_is_no_room_for_images_and_backups_pools_work_on() {
    require!(root);
    let daemon = super::hostile_image::small_disk("24m");
    rlxc_tests::image::import_busybox(&daemon);
    let file = |name: &str| daemon.dir().with_file_name(name);
    let (roomy, big) = (file("roomy"), file("big"));
    std::fs::create_dir(&roomy).unwrap();
    let cli = daemon.cli();
    let source = format!("source={}", roomy.display());
    cli.ok(["storage", "create", "small", "dir", &source]);
    cli.ok(["create", "busybox", "c1", "-s", "small"]);
    cli.ok(["storage", "volume", "create", "small", "data"]);
    noise(&big, 40);
    cli.ok(["file", "push", &big.to_string_lossy(), "c1/root/big"]);
    std::fs::copy(&big, roomy.join("custom/1/rootfs/big")).unwrap();
    let image = Archive::image("large").file("rootfs/large", 0o644, &archive::noise(40));
    std::fs::write(&big, image.finish()).unwrap();
    let volume = "/1.0/storage-pools/small/volumes/custom/data/backups";
    let post = |path| ["query", "--wait", "-X", "POST", "-d", "{}", path];
    let left = || ["scratch", "images", "backups"].map(|place| contents(&daemon.dir().join(place)));
    let before = (everything(&daemon), left());
    for words in [
        &["publish", "c1", "--alias", "large"][..],
        &["publish", "c1", "--compression", "none"],
        &["image", "import", &big.to_string_lossy()],
        &post("/1.0/instances/c1/backups"),
        &post(volume),
    ] {
        let error = cli.fails(words.iter().copied());
        assert!(
            error.contains("No space left on device"),
            "{words:?}: {error}"
        );
        assert_eq!((everything(&daemon), left()), before, "{words:?}");
    }
    // What goes straight to who asked takes no room here.
    cli.ok(["export", "c1", &big.to_string_lossy()]);
    cli.ok(["import", &big.to_string_lossy(), "c2", "-s", "small"]);
    cli.ok(["launch", "busybox", "c3", "-s", "small"]);
    cli.ok(["delete", "-f", "c1", "c2", "c3"]);
}

/// The names below a directory; none if it is not there.
fn contents(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .flat_map(|entry| {
            let inside = contents(&entry.path());
            std::iter::once(entry.path().display().to_string()).chain(inside)
        })
        .collect();
    names.sort();
    names
}
