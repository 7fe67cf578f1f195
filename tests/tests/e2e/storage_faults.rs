//! Disks that fail under a pool, and disks that administrators bring along.

use rlxc_tests::{Daemon, require};

/// Attaches a file as a block device, as if it were a disk; its name.
fn attach(daemon: &Daemon, file: &str) -> String {
    let world = daemon.world();
    let device = world.run(&["losetup", "--find", "--show", file]);
    device.stdout.trim().to_owned()
}

fn sparse(path: &std::path::Path, mib: u64) -> String {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(mib << 20).unwrap();
    path.display().to_string()
}

/// A disk that has far less room than it says: what is too much fails when it is written out.
fn lying_disk(daemon: &Daemon) -> String {
    let dir = daemon.dir().with_file_name("short");
    let place = dir.display().to_string();
    let world = daemon.world();
    world.run(&["mkdir", &place]);
    world.run(&["mount", "-t", "tmpfs", "-o", "size=40m", "short", &place]);
    let disk = dir.join("disk");
    let disk = disk.display().to_string();
    world.run(&["truncate", "-s", "512M", &disk]);
    attach(daemon, &disk)
}

#[track_caller]
fn a_disk_that_fails_fails_alone(driver: &str) {
    require!(root);
    let mut daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "sound"]);
    let device = lying_disk(&daemon);
    let world = daemon.world();
    if driver == "btrfs" {
        let source = format!("source={device}");
        cli.ok(["storage", "create", "bad", "btrfs", &source]);
    } else {
        let place = daemon.dir().with_file_name("bad").display().to_string();
        let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        world.run(&["mkfs.ext4", "-q", "-E", lazy, &device]);
        world.run(&["mkdir", &place]);
        world.run(&["mount", "-o", "errors=remount-ro", &device, &place]);
        cli.ok([
            "storage",
            "create",
            "bad",
            driver,
            &format!("source={place}"),
        ]);
    }
    // It goes with its last user.
    world.run(&["losetup", "-d", &device]);
    cli.ok(["launch", "busybox", "c1", "-s", "bad"]);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    let script = "dd if=/dev/urandom of=/root/big bs=1M count=150; sync; sync";
    cli.run(["exec", "c1", "--", "sh", "-c", script]);
    what_fails_says_so(&daemon);
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(cli.exec("sound", &["echo", "well"]), "well");
    cli.ok(["launch", "busybox", "other"]);
    cli.ok(["list"]);
    cli.ok(["storage", "list"]);
    // It may be deleted; what its disk does not let go of is told.
    cli.run(["delete", "-f", "c1"]);
    cli.ok(["delete", "-f", "sound", "other"]);
}

#[track_caller]
fn what_fails_says_so(daemon: &Daemon) {
    let cli = daemon.cli();
    let file = |name| daemon.dir().with_file_name(name).display().to_string();
    let (backup, broken) = (file("sound.tar"), file("broken.tar"));
    cli.ok(["export", "sound", &backup]);
    let words: [&[&str]; 7] = [
        &["snapshot", "create", "c1", "s2"],
        &["copy", "c1", "c2"],
        &["create", "busybox", "c3", "-s", "bad"],
        &["storage", "volume", "create", "bad", "v1"],
        &["import", &backup, "c4", "-s", "bad"],
        &["publish", "c1", "--force", "--alias", "published"],
        &["export", "c1", &broken],
    ];
    let mut failures = 0;
    for words in words {
        let output = cli.run(words.iter().copied());
        if output.code == 0 {
            continue;
        }
        failures += 1;
        let said = ["Input/output error", "Read-only file system"];
        let clear = said.iter().any(|said| output.stderr.contains(said));
        assert!(clear, "{words:?}: {output}");
        let named = ["`bad`", "`c1`"];
        let named = named.iter().any(|named| output.stderr.contains(named));
        assert!(named, "{words:?}: {output}");
        // What was said to have failed is not there.
        match words {
            // Names alone: the address of another may have a `c4` in it.
            ["import", ..] => assert!(!cli.ok(["list", "-c", "n"]).contains("c4")),
            ["publish", ..] => assert!(!cli.ok(["image", "list"]).contains("published")),
            ["export", ..] => assert!(!std::path::Path::new(&broken).exists()),
            _ => {}
        }
    }
    assert!(failures > 0, "its disk failed, and nobody noticed");
    assert_eq!(cli.exec("sound", &["echo", "well"]), "well");
    cli.ok(["snapshot", "create", "sound", "s1"]);
    cli.ok(["snapshot", "delete", "sound", "s1"]);
}

#[test]
fn a_disk_that_fails_under_layers_fails_alone() {
    a_disk_that_fails_fails_alone("overlay");
}

#[test]
fn a_disk_that_fails_under_directories_fails_alone() {
    a_disk_that_fails_fails_alone("dir");
}

#[test]
fn a_disk_that_fails_under_btrfs_fails_alone() {
    a_disk_that_fails_fails_alone("btrfs");
}

#[test]
fn a_block_device_becomes_a_pool_and_is_given_back() {
    require!(root);
    let mut daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let disk = sparse(&daemon.dir().with_file_name("disk.img"), 512);
    let device = attach(&daemon, &disk);
    let cli = daemon.cli();
    let source = format!("source={device}");
    let none = cli.run(["storage", "create", "disk", "btrfs", "source=/dev/nowhere"]);
    assert!(none.stderr.contains("/dev/nowhere"), "{none}");
    cli.ok(["storage", "create", "disk", "btrfs", &source]);
    cli.ok(["launch", "busybox", "c1", "-s", "disk"]);
    cli.exec("c1", &["sh", "-c", "echo kept > /root/state"]);
    cli.ok(["stop", "-f", "c1"]);
    daemon.stop();
    let mount = daemon.dir().join("storage-pools/disk");
    daemon.world().run(&["umount", &mount.to_string_lossy()]);
    daemon.start();
    let cli = daemon.cli();
    cli.ok(["start", "c1"]);
    assert_eq!(cli.exec("c1", &["cat", "/root/state"]), "kept");
    cli.ok(["delete", "-f", "c1"]);
    cli.ok(["storage", "delete", "disk"]);
    // There is a file system on it now, which may be somebody's.
    let refused = cli.run(["storage", "create", "disk", "btrfs", &source]);
    assert!(refused.stderr.contains("source.wipe"), "{refused}");
    cli.ok([
        "storage",
        "create",
        "disk",
        "btrfs",
        &source,
        "source.wipe=true",
    ]);
    cli.ok(["storage", "delete", "disk"]);
    daemon.world().run(&["losetup", "-d", &device]);
}

#[test]
fn a_directory_of_a_btrfs_becomes_a_pool_and_leaves_the_rest_alone() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let place = daemon.dir().with_file_name("big");
    let disk = sparse(&daemon.dir().with_file_name("big.img"), 512);
    std::fs::create_dir(&place).unwrap();
    let (world, cli) = (daemon.world(), daemon.cli());
    let at = place.display().to_string();
    world.run(&["mkfs.btrfs", "-q", &disk]);
    world.run(&["mount", "-o", "loop", &disk, &at]);
    let (letter, pool) = (format!("{at}/letter"), format!("source={at}/pool"));
    world.run(&["sh", "-c", &format!("echo mine > {letter}")]);
    let refused = cli.run([
        "storage",
        "create",
        "shared",
        "btrfs",
        &format!("source={at}"),
    ]);
    assert!(refused.stderr.contains("not empty"), "{refused}");
    cli.ok(["storage", "create", "shared", "btrfs", &pool]);
    cli.ok(["launch", "busybox", "c1", "-s", "shared"]);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    cli.ok(["copy", "c1", "c2"]);
    cli.ok(["delete", "-f", "c1", "c2"]);
    cli.ok(["storage", "delete", "shared"]);
    assert_eq!(world.run(&["cat", &letter]).stdout, "mine\n");
    let left = world.run(&["ls", &at]).stdout;
    assert!(!left.contains("pool.json"), "{left}");
}

/// Copies and snapshots of a pool of directories take no room where the file system lets files share blocks.
#[track_caller]
fn directories_share_blocks_on(mkfs: &[&str]) {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let place = daemon.dir().with_file_name("cow");
    let disk = sparse(&daemon.dir().with_file_name("cow.img"), 1024);
    std::fs::create_dir(&place).unwrap();
    let (world, cli) = (daemon.world(), daemon.cli());
    let at = place.display().to_string();
    world.run(&[mkfs, &[disk.as_str()]].concat());
    let mounted = world.enter(["mount", "-o", "loop", &disk, &at]).output();
    let mounted = mounted.unwrap();
    if mounted.stderr.contains("unknown filesystem type") {
        // This kernel has no such file system.
        return;
    }
    assert_eq!(mounted.code, 0, "{mounted}");
    cli.ok([
        "storage",
        "create",
        "cow",
        "dir",
        &format!("source={at}/pool"),
    ]);
    cli.ok(["create", "busybox", "c1", "-s", "cow"]);
    let big = daemon.dir().with_file_name("big");
    std::fs::write(&big, rlxc_tests::archive::noise(100)).unwrap();
    cli.ok(["file", "push", &big.to_string_lossy(), "c1/root/big"]);
    let used = || {
        world.run(&["sync", "-f", &at]);
        let text = world.run(&["df", "--output=used", "-m", &at]).stdout;
        text.lines().nth(1).unwrap().trim().parse::<u64>().unwrap()
    };
    let before = used();
    cli.ok(["copy", "c1", "c2"]);
    cli.ok(["snapshot", "create", "c1", "s1"]);
    cli.ok(["snapshot", "restore", "c1", "s1"]);
    let after = used();
    assert!(
        before >= 100 && after < before + 50,
        "{before} MiB, then {after} MiB"
    );
    cli.ok(["start", "c2"]);
    cli.exec("c2", &["sh", "-c", "echo changed > /root/big"]);
    let back = daemon.dir().with_file_name("back");
    cli.ok(["file", "pull", "c1/root/big", &back.to_string_lossy()]);
    assert!(std::fs::read(&back).unwrap() == std::fs::read(&big).unwrap());
    cli.ok(["delete", "-f", "c1", "c2"]);
    cli.ok(["storage", "delete", "cow"]);
}

#[test]
fn directories_share_blocks_on_btrfs() {
    directories_share_blocks_on(&["mkfs.btrfs", "-q"]);
}

#[test]
fn directories_share_blocks_on_xfs() {
    require!(tool "mkfs.xfs");
    directories_share_blocks_on(&["mkfs.xfs", "-q", "-m", "reflink=1"]);
}
