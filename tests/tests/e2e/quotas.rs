//! Limits that are reached in the middle of a verb: it is refused with what the limit is, and nothing of it stays.

use rlxc_tests::archive::{Archive, noise};
use rlxc_tests::{Daemon, Leaks, require};

const SMALL: &str = "root,size=16MiB";

/// What is on the pool, and where something could be left of what was refused.
fn everything(daemon: &Daemon) -> String {
    let cli = daemon.cli();
    let volumes = cli.ok(["storage", "volume", "list", "fast", "-f", "csv"]);
    let instances = cli.ok(["list", "-f", "csv", "-c", "nS"]);
    let pool = daemon.dir().join("storage-pools/fast");
    let left = ["images", "containers", "custom", "snapshots"].map(|dir| {
        // It is mounted where the daemon is.
        let path = pool.join(dir).display().to_string();
        daemon.world().run(&["ls", &path]).stdout
    });
    [volumes, instances, left.join("\n")].join("\n")
}

#[track_caller]
fn refused(daemon: &Daemon, words: &[&str], before: &str) {
    let error = daemon.cli().fails(words.iter().copied());
    assert!(error.contains("16.00MiB"), "{words:?}: {error}");
    assert_eq!(everything(daemon), before, "{words:?}");
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    require!(root);
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    let file = |name: &str| daemon.dir().with_file_name(name).display().to_string();
    let (image, backup, of_volume) = (file("image"), file("backup"), file("volume"));
    let large = Archive::image("large").file("rootfs/large", 0o644, &noise(40));
    std::fs::write(&image, large.finish()).unwrap();
    cli.ok(["image", "import", &image, "--alias", "large"]);
    rlxc_tests::image::import_busybox(&daemon);
    super::warm_up(&daemon);
    cli.ok(["storage", "create", "fast", "btrfs", "size=1GiB"]);
    // Nobody enforces it there.
    cli.ok(["create", "large", "c1", "-d", SMALL]);
    cli.ok(["export", "c1", &backup]);
    cli.ok([
        "storage",
        "volume",
        "create",
        "default",
        "data",
        "size=16MiB",
    ]);
    let data = daemon
        .dir()
        .join("storage-pools/default/custom/1/rootfs/large");
    std::fs::write(data, noise(40)).unwrap();
    cli.ok(["storage", "volume", "export", "default", "data", &of_volume]);
    cli.ok(["create", "busybox", "c3", "-s", "fast", "-d", SMALL]);
    let (before, leaks) = (everything(&daemon), Leaks::look(&daemon));
    let volume = ["storage", "volume"];
    for words in [
        &["copy", "c1", "c2", "-s", "fast"][..],
        &["move", "c1", "-s", "fast"],
        &["import", &backup, "c2", "-s", "fast"],
        &[&volume[..], &["import", "fast", &of_volume, "v2"]].concat(),
        &[&volume[..], &["copy", "default/data", "fast/v2"]].concat(),
        &[&volume[..], &["move", "default/data", "fast/v2"]].concat(),
    ] {
        refused(&daemon, words, &before);
    }
    // It has what it had.
    cli.ok(["start", "c3"]);
    cli.ok(["delete", "-f", "c3"]);
    assert_eq!(cli.ok(["admin", "recover"]), "Nothing is lost.");
    leaks.assert_none(&daemon);
}
