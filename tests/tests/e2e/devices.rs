//! Devices of the host in an instance: they come and go while it runs, are waited for, and are put back after a restart.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, World, require};

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
        ("infiniband", &["nictype=physical"], "needs `parent`"),
        (
            "infiniband",
            &["nictype=sriov", "parent=ib0"],
            "interface of one as the `parent`",
        ),
        (
            "infiniband",
            &["nictype=physical", "parent=ib0", "hwaddr=00:16:3e:01:02:03"],
            "20 bytes, or the last 8",
        ),
        (
            "infiniband",
            &["nictype=physical", "parent=absent0"],
            "`absent0`",
        ),
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

/// A cable of the host's, and a VLAN on it.
const CABLE: &str = "plain0";
const VLAN: &str = "plain0.5";

/// Gives the cable an adapter in software, and a VLAN that stands on it; `false` where the kernel has not got what it takes.
/// Both go with the cable.
fn has_adapter(world: &World) -> bool {
    let name = format!("rlxc{}", world.init_pid());
    let adapter = ["rdma", "link", "add", &name, "type", "rxe", "netdev", CABLE];
    let vlan = [
        "ip", "link", "add", "link", CABLE, "name", VLAN, "type", "vlan", "id", "5",
    ];
    let made = |line: &[&str]| {
        let made = world.enter(line.iter().copied()).output();
        made.is_ok_and(|made| made.code == 0)
    };
    made(&vlan) && made(&adapter)
}

fn is_on_host(world: &World, interface: &str) -> bool {
    let line = ["ip", "-o", "link", "show", interface];
    let shown = world.enter(line).output();
    shown.is_ok_and(|shown| shown.code == 0 && shown.stdout.contains("mtu 1440"))
}

#[test]
fn an_adapter_comes_with_its_interface() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let script = "ip link add plain0 mtu 1440 type veth peer name plain1 && ip link set plain0 up && ip link set plain1 up";
    daemon.world().run(&["sh", "-c", script]);
    let parent = format!("parent={CABLE}");
    let line = ["config", "device", "add", "c1", "ib", "infiniband"];
    let keys = ["nictype=physical", &parent, "name=ib0", "mtu=1400"];
    let line: Vec<&str> = line.into_iter().chain(keys).collect();
    // An interface like any other stays where it is.
    let expected = format!("`{CABLE}` belongs to no RDMA adapter");
    let error = cli.fails(line.iter().copied());
    assert!(error.contains(&expected), "{error}");
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(line.iter().copied());
    let error = cli.fails(["start", "c1"]);
    assert!(error.contains(&expected), "{error}");
    assert!(is_on_host(daemon.world(), CABLE));
    cli.ok(["config", "device", "remove", "c1", "ib"]);
    cli.ok(["start", "c1"]);
    if has_adapter(daemon.world()) {
        lend_an_adapter(&mut daemon, &line);
    }
    daemon.cli().ok(["delete", "-f", "c1"]);
    daemon.world().run(&["ip", "link", "delete", CABLE]);
    before.assert_none(&daemon);
}

/// What is in `/dev/infiniband` of `c1`, and what of it can't be opened.
fn nodes(daemon: &Daemon) -> String {
    let script = "for node in $(ls /dev/infiniband 2>/dev/null); do \
         echo $node; true < /dev/infiniband/$node || echo closed; done";
    daemon.cli().exec("c1", &["sh", "-c", script])
}

/// `c1` has the interface, with this MTU, and its adapter.
#[track_caller]
fn assert_lent(daemon: &Daemon, mtu: &str) {
    let nodes = nodes(daemon);
    let lines: Vec<&str> = nodes.lines().collect();
    let verbs = lines.iter().filter(|line| line.starts_with("uverbs"));
    let found = (verbs.count(), lines.contains(&"closed"));
    assert_eq!(found, (1, false), "{nodes}");
    let show = ["ip", "-o", "link", "show", "ib0"];
    let inside = daemon.cli().exec("c1", &show);
    assert!(inside.contains(mtu), "{inside}");
    assert!(!is_on_host(daemon.world(), VLAN));
}

#[track_caller]
fn comes_back(daemon: &Daemon) {
    eventually("it is back", SOON, || is_on_host(daemon.world(), VLAN));
}

fn with<'a>(line: &[&'a str], from: &str, to: &'a str) -> Vec<&'a str> {
    let words = line.iter();
    let words = words.map(|word| if *word == from { to } else { *word });
    words.collect()
}

/// The rest of the story, on hosts that have RDMA.
fn lend_an_adapter(daemon: &mut Daemon, add: &[&str]) {
    let error = daemon.cli().fails(add.iter().copied());
    assert!(error.contains("RDMA in software"), "{error}");
    let parent = format!("parent={VLAN}");
    let add = &with(add, "parent=plain0", &parent);
    let guid = "hwaddr=00:02:c9:03:00:0a:0b:0c";
    let error = daemon.cli().fails(with(add, "mtu=1400", guid));
    assert!(error.contains("`plain0.5` is none"), "{error}");
    assert!(is_on_host(daemon.world(), VLAN));

    daemon.cli().ok(add.iter().copied());
    assert_lent(daemon, "mtu 1400");
    daemon.kill();
    daemon.start();
    assert_lent(daemon, "mtu 1400");
    daemon.cli().ok(["create", "busybox", "c2"]);
    daemon.cli().ok(with(add, "c1", "c2"));
    let error = daemon.cli().fails(["start", "c2"]);
    assert!(error.contains("lent to instance `c1`"), "{error}");
    daemon.cli().ok(["delete", "c2"]);
    daemon.cli().ok(["restart", "-f", "c1"]);
    assert_lent(daemon, "mtu 1400");
    let set = ["config", "device", "set", "c1", "ib", "mtu=1300"];
    daemon.cli().ok(set);
    assert_lent(daemon, "mtu 1300");
    daemon.cli().ok(["stop", "-f", "c1"]);
    comes_back(daemon);

    daemon.cli().ok(["start", "c1"]);
    assert_lent(daemon, "mtu 1300");
    // An adapter that goes takes its nodes with it, not the interface.
    let name = format!("rlxc{}", daemon.world().init_pid());
    let line = ["rdma", "link", "delete", &name];
    daemon.world().run(&line);
    eventually("its nodes are gone", SOON, || nodes(daemon).is_empty());
    daemon.cli().ok(["config", "device", "remove", "c1", "ib"]);
    comes_back(daemon);
}
