//! Images in and out: unified, split, squashfs; fingerprints, aliases.

use rlxc_tests::archive::{fingerprint, xz};
use rlxc_tests::image::{busybox, busybox_split, busybox_squashfs};
use rlxc_tests::{Cli, Daemon, require};

/// Imports files, launches from them, and says the fingerprint under which they are known.
#[track_caller]
fn launch_from(daemon: &Daemon, files: &[(&str, &[u8])]) -> String {
    let cli = daemon.cli();
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut args = vec!["image".to_owned(), "import".to_owned()];
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        args.push(path.display().to_string());
    }
    cli.ok(args
        .into_iter()
        .chain(["--alias".to_owned(), "it".to_owned()]));
    cli.ok(["launch", "it", "c1"]);
    assert_eq!(cli.exec("c1", &["hostname"]), "c1");
    assert_eq!(cli.exec("c1", &["stat", "-c", "%u", "/home/guest"]), "1000");
    cli.ok(["delete", "-f", "c1"]);
    only_fingerprint(cli)
}

#[track_caller]
fn only_fingerprint(cli: Cli<'_>) -> String {
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&cli.ok(["image", "list", "--format", "json"])).unwrap();
    assert_eq!(list.len(), 1, "one image: {list:?}");
    list[0]["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn a_unified_tarball_is_known_by_its_sha256() {
    require!(root);
    let daemon = Daemon::initialized();
    let tar = xz(&busybox().unwrap()).unwrap();
    assert_eq!(
        launch_from(&daemon, &[("image.tar.xz", &tar)]),
        fingerprint(&[&tar])
    );
}

#[test]
fn a_split_image_is_known_by_the_sha256_of_both() {
    require!(root);
    let daemon = Daemon::initialized();
    let (meta, root) = busybox_split().unwrap();
    let known = launch_from(&daemon, &[("meta.tar", &meta), ("rootfs.tar", &root)]);
    assert_eq!(known, fingerprint(&[&meta, &root]));
}

#[test]
fn a_squashfs_root_works_too() {
    require!(root);
    require!(tool "mksquashfs");
    let daemon = Daemon::initialized();
    let dir = tempfile::tempdir().unwrap();
    let (meta, root) = busybox_squashfs(dir.path()).unwrap();
    let known = launch_from(&daemon, &[("meta.tar", &meta), ("rootfs.squashfs", &root)]);
    assert_eq!(known, fingerprint(&[&meta, &root]));
}

#[test]
fn what_is_exported_is_what_was_imported() {
    require!(root);
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let (here, there) = (dir.path().join("in.tar"), dir.path().join("out"));
    std::fs::write(&here, busybox().unwrap()).unwrap();
    cli.ok(["image", "import", &here.to_string_lossy(), "--alias", "it"]);
    cli.ok(["image", "export", "it", &there.to_string_lossy()]);
    let exported = std::fs::read_dir(dir.path())
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("out"))
        .expect("a file was made");
    assert!(
        std::fs::read(exported.path()).unwrap() == std::fs::read(&here).unwrap(),
        "byte for byte"
    );
}

#[test]
fn aliases_come_go_and_are_shown() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    let known = only_fingerprint(cli);
    cli.ok(["image", "alias", "create", "second", &known]);
    assert!(
        cli.ok(["image", "alias", "list", "--format", "csv"])
            .contains("second")
    );
    cli.ok(["launch", "second", "c1"]);
    cli.ok(["image", "alias", "delete", "second"]);
    cli.fails(["launch", "second", "c2"]);
    // The fingerprint, or the beginning of it, names an image as well.
    cli.ok(["launch", &known[..12], "c3"]);
    assert!(cli.ok(["image", "info", "busybox"]).contains(&known));
    cli.ok(["delete", "-f", "c1", "c3"]);
    cli.ok(["image", "delete", "busybox"]);
    assert_eq!(cli.ok(["image", "list", "--format", "json"]), "[]");
}

#[test]
fn the_same_image_twice_is_told() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let path = daemon.dir().with_file_name("busybox.tar");
    let text = daemon
        .cli()
        .fails(["image", "import", &path.to_string_lossy()]);
    assert!(
        text.contains("exists") || text.contains("already"),
        "{text}"
    );
}

#[test]
fn a_published_container_is_an_image_again() {
    require!(root);
    let (daemon, _) = super::daemon_with_c1();
    let cli = daemon.cli();
    cli.exec("c1", &["sh", "-c", "echo mine > /root/mark"]);
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["publish", "c1", "--alias", "mine"]);
    cli.ok(["launch", "mine", "c2"]);
    assert_eq!(cli.exec("c2", &["cat", "/root/mark"]), "mine");
}
