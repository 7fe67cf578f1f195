//! Archives that mean harm or are broken: refused, with a reason, and nothing stays behind, inside or outside.

use std::path::Path;

use rlxc_tests::archive::{Archive, xz, xz_bomb};
use rlxc_tests::{Daemon, Leaks, require};

/// Imports a bad archive; says what the user reads. A canary outside must be untouched and nothing left behind.
#[track_caller]
fn refused(daemon: &Daemon, name: &str, bytes: &[u8]) -> String {
    let before = Leaks::look(daemon);
    let path = daemon.dir().with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    let cli = daemon.cli();
    let output = cli.run(["image", "import", &path.to_string_lossy(), "--alias", "bad"]);
    let text = if output.code == 0 {
        // An archive may also be refused when it is unpacked for the first instance.
        let text = cli.fails(["create", "bad", "victim"]);
        assert_eq!(
            cli.status("victim"),
            None,
            "a launch that failed leaves no instance: {text}"
        );
        cli.ok(["image", "delete", "bad"]);
        text
    } else {
        rlxc_tests::cli::complaint(&output)
    };
    assert_eq!(cli.ok(["image", "list", "--format", "json"]), "[]");
    assert!(
        !Path::new("/var/tmp/rlxc-escaped").exists(),
        "something was written outside"
    );
    std::fs::remove_file(&path).unwrap();
    before.assert_none(daemon);
    text
}

#[test]
fn paths_that_lead_out_are_refused() {
    require!(root);
    let daemon = Daemon::initialized();
    for (what, archive) in [
        (
            "dots",
            Archive::image("x").file(
                "rootfs/../../../../../../../../var/tmp/rlxc-escaped",
                0o644,
                b"x",
            ),
        ),
        (
            "absolute",
            Archive::image("x").file("/var/tmp/rlxc-escaped", 0o644, b"x"),
        ),
        (
            "symlink",
            Archive::image("x").symlink("rootfs/out", "/var/tmp").file(
                "rootfs/out/rlxc-escaped",
                0o644,
                b"x",
            ),
        ),
        (
            "relative-symlink",
            Archive::image("x")
                .symlink("rootfs/out", "../../../../../../../../../var/tmp")
                .file("rootfs/out/rlxc-escaped", 0o644, b"x"),
        ),
        (
            "hardlink",
            Archive::image("x").hardlink("rootfs/shadow", "/etc/shadow"),
        ),
        (
            "hardlink-dots",
            Archive::image("x").hardlink(
                "rootfs/shadow",
                "rootfs/../../../../../../../../../etc/shadow",
            ),
        ),
        (
            "hardlink-by-symlink",
            Archive::image("x")
                .symlink("rootfs/e", "/etc")
                .hardlink("rootfs/shadow", "rootfs/e/shadow"),
        ),
    ] {
        let text = refused(&daemon, &format!("{what}.tar"), &archive.finish());
        assert!(text.len() > 20, "{what}: {text}");
    }
}

#[test]
fn device_nodes_are_not_made() {
    require!(root);
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    let archive = Archive::image("x")
        .device("sda")
        .device("rootfs/sda")
        .dir("rootfs/dev");
    let path = daemon.dir().with_file_name("device.tar");
    std::fs::write(&path, archive.device("rootfs/dev/sda").finish()).unwrap();
    // Refused or passed over, as long as no disk of the host is in reach.
    cli.run([
        "image",
        "import",
        &path.to_string_lossy(),
        "--alias",
        "device",
    ]);
    cli.run(["create", "device", "victim"]);
    let dir = daemon.dir().display().to_string();
    let found = daemon.world().run(&["find", &dir, "-type", "b"]).stdout;
    assert_eq!(found, "");
}

#[test]
fn broken_archives_are_refused() {
    require!(root);
    let daemon = Daemon::initialized();
    let whole = xz(&rlxc_tests::image::busybox().unwrap()).unwrap();
    refused(&daemon, "truncated.tar.xz", &whole[..whole.len() / 2]);
    let plain = rlxc_tests::image::busybox().unwrap();
    refused(&daemon, "truncated.tar", &plain[..plain.len() / 2]);
    refused(&daemon, "empty.tar", b"");
    refused(&daemon, "noise.tar", &vec![0x5a; 40_000]);
    refused(
        &daemon,
        "no-metadata.tar",
        &Archive::new().dir("rootfs").finish(),
    );
    let broken = Archive::new()
        .file("metadata.yaml", 0o644, b"architecture: [")
        .dir("rootfs");
    refused(&daemon, "bad-metadata.tar", &broken.finish());
    refused(
        &daemon,
        "no-rootfs.tar",
        &Archive::new()
            .file(
                "metadata.yaml",
                0o644,
                rlxc_tests::archive::metadata("x").as_bytes(),
            )
            .finish(),
    );
}

#[test]
fn an_xz_bomb_does_not_fill_the_disk() {
    require!(root);
    let daemon = small_disk("96m");
    // 1 GiB of zeros in less than 1 MB.
    let text = refused(&daemon, "bomb.tar.xz", &xz_bomb(1 << 30).unwrap());
    assert!(
        text.contains("space") || text.contains("limit") || text.contains("large"),
        "{text}"
    );
}

#[test]
fn a_full_disk_is_told_and_nothing_stays() {
    require!(root);
    let daemon = small_disk("12m");
    let noise: Vec<u8> = (0..9_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let archive = Archive::image("big")
        .file("rootfs/big", 0o644, &noise)
        .finish();
    let text = refused(&daemon, "big.tar", &archive);
    assert!(text.contains("space"), "{text}");
    // And it still works.
    daemon.cli().ok(["list"]);
}

/// A daemon whose directory is a small file system in memory.
#[track_caller]
pub(super) fn small_disk(size: &str) -> Daemon {
    let mut daemon = Daemon::prepared(rlxc_tests::Uplink::Isolated);
    let dir = daemon.dir().display().to_string();
    daemon.world().run(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        &format!("size={size},mode=755"),
        "small",
        &dir,
    ]);
    daemon.start();
    daemon.cli().ok(["admin", "init", "--auto"]);
    daemon
}
