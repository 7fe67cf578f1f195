//! Devices of the host in an instance: they come and go while it runs, are waited for, and are put back after a restart.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, require};

use super::daemon_with_c1;

const SOON: Duration = Duration::from_secs(5);

fn add(cli: Cli<'_>, device: &str, kind: &str, keys: &[&str]) {
    let line = ["config", "device", "add", "c1", device, kind];
    cli.ok(line.iter().chain(keys).copied());
}

fn is_there(cli: Cli<'_>, path: &str) -> bool {
    cli.run(["exec", "c1", "--", "test", "-e", path]).code == 0
}

#[test]
fn nodes_come_and_go_and_are_put_back() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let keys = [
        "source=/dev/zero",
        "path=/dev/sub/mine",
        "uid=1000",
        "gid=5",
        "mode=0640",
    ];
    add(cli, "zero", "unix-char", &keys);
    let seen = || cli.exec("c1", &["stat", "-c", "%F %t:%T %u:%g %a", "/dev/sub/mine"]);
    assert_eq!(seen(), "character special file 1:5 1000:5 640");
    assert_eq!(
        cli.exec("c1", &["sh", "-c", "head -c 3 /dev/sub/mine | wc -c"]),
        "3"
    );
    add(
        cli,
        "disk",
        "unix-block",
        &["path=/dev/mydisk", "major=7", "minor=250"],
    );
    assert_eq!(
        cli.exec("c1", &["stat", "-c", "%F %t:%T", "/dev/mydisk"]),
        "block special file 7:fa"
    );
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(seen(), "character special file 1:5 1000:5 640");
    cli.ok(["config", "device", "set", "c1", "zero", "mode=0600"]);
    assert_eq!(seen(), "character special file 1:5 1000:5 600");
    cli.ok(["config", "device", "remove", "c1", "zero"]);
    cli.ok(["config", "device", "remove", "c1", "disk"]);
    assert!(!is_there(cli, "/dev/sub/mine") && !is_there(cli, "/dev/mydisk"));
    // A profile's device, and its mask.
    cli.ok([
        "profile",
        "device",
        "add",
        "default",
        "full",
        "unix-char",
        "source=/dev/full",
        "path=/dev/mine",
    ]);
    assert!(is_there(cli, "/dev/mine"));
    add(cli, "full", "none", &[]);
    assert!(!is_there(cli, "/dev/mine"));
    cli.ok(["config", "device", "remove", "c1", "full"]);
    assert!(is_there(cli, "/dev/mine"));
    cli.ok(["profile", "device", "remove", "default", "full"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    require!(root);
    let (mut daemon, _before) = daemon_with_c1();
    let node = |daemon: &Daemon, script: &str| {
        daemon.world().run(&["sh", "-c", script]);
    };
    node(&daemon, "mkdir -p /run/plug");
    let keys = [
        "source=/run/plug/sensor",
        "path=/dev/sensor",
        "required=false",
    ];
    add(daemon.cli(), "sensor", "unix-char", &keys);
    assert!(!is_there(daemon.cli(), "/dev/sensor"));
    node(&daemon, "mknod /run/plug/sensor c 1 5");
    eventually("it is plugged in", SOON, || {
        is_there(daemon.cli(), "/dev/sensor")
    });
    node(&daemon, "rm /run/plug/sensor");
    eventually("it is pulled out", SOON, || {
        !is_there(daemon.cli(), "/dev/sensor")
    });
    // What comes while no daemon is there is seen by the next.
    daemon.kill();
    node(&daemon, "mknod /run/plug/sensor c 1 5");
    daemon.start();
    eventually("the next daemon sees it", SOON, || {
        is_there(daemon.cli(), "/dev/sensor")
    });
    daemon.cli().ok(["restart", "-f", "c1"]);
    assert!(is_there(daemon.cli(), "/dev/sensor"));
}

/// Loop devices, which need nobody to plug them in. The numbers are nobody else's.
fn loop_control(request: &str, number: u32) {
    let code = format!("import fcntl; fcntl.ioctl(open('/dev/loop-control'), {request}, {number})");
    rlxc_tests::process::Run::new(["python3", "-c", &code])
        .ok()
        .unwrap();
}

#[test]
fn events_of_the_kernel_are_followed() {
    const NUMBER: u32 = 4217;
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    add(
        cli,
        "disks",
        "unix-hotplug",
        &["subsystem=block", "mode=0000"],
    );
    let node = format!("/dev/loop{NUMBER}");
    assert!(!is_there(cli, &node));
    loop_control("0x4C80", NUMBER);
    let came = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        is_there(cli, &node)
    });
    loop_control("0x4C81", NUMBER);
    assert!(came, "{node} did not come");
    eventually("it goes", SOON, || !is_there(cli, &node));
}

#[test]
fn what_cannot_be_had_is_said() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    for (kind, keys, expected) in [
        ("unix-char", &["source=/dev/none"][..], "required=false"),
        ("unix-char", &["source=/dev/loop0"], "use type `unix-block`"),
        ("unix-char", &["source=/etc/passwd"], "is no device"),
        ("unix-char", &["mode=0660"], "needs a `source` or a `path`"),
        ("unix-block", &["path=/dev/x", "major=7"], "go together"),
        ("unix-hotplug", &[], "vendorid"),
        ("usb", &["vendorid=xyz"], "vendorid=xyz"),
        (
            "usb",
            &["vendorid=ffff", "required=true"],
            "nothing of this host fits",
        ),
        ("gpu", &["pci=ffff:ff:1f.7"], "no GPU of this host"),
        ("tpm", &["path=/dev/../x"], "leads back"),
        ("tpm", &["path=/dev/tpmrm0"], "are the same"),
        ("infiniband", &[], "nictype=physical"),
    ] {
        let line = ["config", "device", "add", "c1", "x", kind];
        let error = cli.fails(line.iter().chain(keys).copied());
        assert!(
            error.contains(expected) && error.contains('x'),
            "{kind}: {error}"
        );
    }
    assert_eq!(cli.ok(["config", "device", "list", "c1"]), "");
}

#[test]
fn a_container_does_not_lead_the_host_astray() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    let outside = daemon.dir().with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    let place = outside.display().to_string();
    let script = format!(
        "ln -s {place} /dev/trap; ln -s {place}/file /dev/file; mkdir /dev/over; mount -t tmpfs none /dev/over"
    );
    cli.exec("c1", &["sh", "-c", &script]);
    for path in ["path=/dev/trap/x", "path=/dev/file", "path=/dev/over/x"] {
        cli.fails([
            "config",
            "device",
            "add",
            "c1",
            "x",
            "unix-char",
            "source=/dev/zero",
            path,
        ]);
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let error = cli.fails([
        "config",
        "device",
        "add",
        "c1",
        "x",
        "unix-char",
        "source=/dev/zero",
        "path=/dev/../x",
    ]);
    assert!(!error.is_empty());
}

#[test]
fn two_devices_for_one_place_are_refused() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    let place = daemon.dir().with_file_name("outside");
    std::fs::create_dir(&place).unwrap();
    let source = format!("source={}", place.display());
    add(cli, "one", "disk", &[&source, "path=/data"]);
    for (kind, keys) in [
        ("disk", &[source.as_str(), "path=/data/"][..]),
        ("disk", &[source.as_str(), "path=/"]),
        ("unix-char", &["source=/dev/zero", "path=/data"]),
        ("nic", &["network=rlxcbr0", "name=eth0"]),
    ] {
        let line = ["config", "device", "add", "c1", "two", kind];
        let error = cli.fails(line.iter().chain(keys).copied());
        assert!(error.contains("`two`"), "{kind} {keys:?}: {error}");
    }
    // A profile that brings the other of two is refused as well, and so is an instance that never was.
    let profile = ["profile", "device", "add", "default", "two", "disk"];
    let error = cli.fails(profile.into_iter().chain([source.as_str(), "path=/data"]));
    assert!(error.contains("`one` and `two`"), "{error}");
    assert_eq!(cli.ok(["config", "device", "list", "c1"]), "one");
    cli.ok(["config", "device", "remove", "c1", "one"]);
}
