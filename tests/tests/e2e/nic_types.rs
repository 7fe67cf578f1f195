//! NICs that are on no managed bridge: macvlan, physical, p2p, routed; and what they leave on the host when they go.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, Leaks, Uplink, World, require};

use super::daemon_with_c1;

/// An interface of the host of the test, at whose other end is another host.
const CABLE: &str = "cable0";

fn host_pings(world: &World, address: &str) -> bool {
    let line = ["ping", "-c", "1", "-W", "2", address];
    world.enter(line).output().is_ok_and(|ping| ping.code == 0)
}

fn pings(daemon: &Daemon, from: &str, options: &[&str], address: &str) -> bool {
    let line = ["exec", from, "--", "ping", "-c", "1", "-W", "2"];
    let line = line.iter().chain(options).copied().chain([address]);
    daemon.cli().run(line).code == 0
}

#[track_caller]
fn soon(what: &str, so: impl FnMut() -> bool) {
    eventually(what, Duration::from_secs(10), so);
}

fn link(daemon: &Daemon, name: &str) -> Option<String> {
    let line = ["ip", "-o", "link", "show", name];
    let output = daemon.world().enter(line).output().ok()?;
    (output.code == 0).then_some(output.stdout)
}

/// Another host on a cable, and a daemon that runs `c1`.
fn beside_another_host() -> (Daemon, World, Leaks) {
    let (daemon, _) = daemon_with_c1();
    let other = World::new(Uplink::Isolated).unwrap();
    daemon.world().connect(&other);
    daemon.cli().wait_ipv4("c1");
    let before = Leaks::look(&daemon);
    (daemon, other, before)
}

/// Gives an instance's interface an address by hand.
fn address(daemon: &Daemon, name: &str, device: &str, cidr: &str) {
    let cli = daemon.cli();
    cli.exec(name, &["ip", "address", "add", cidr, "dev", device]);
    cli.exec(name, &["ip", "link", "set", device, "up"]);
}

#[test]
fn a_macvlan_is_a_host_beside_ours() {
    require!(root);
    let (daemon, other, _) = beside_another_host();
    let cli = daemon.cli();
    let parent = format!("parent={CABLE}");
    let add = ["config", "device", "add", "c1", "eth1", "nic"];
    let keys = [
        "nictype=macvlan",
        &parent,
        "mtu=1400",
        "hwaddr=00:16:3e:01:02:03",
    ];
    cli.ok(add.iter().chain(&keys).copied());
    let inside = cli.exec("c1", &["ip", "link", "show", "eth1"]);
    assert!(
        inside.contains("mtu 1400") && inside.contains("00:16:3e:01:02:03"),
        "{inside}"
    );
    address(&daemon, "c1", "eth1", "192.0.2.88/24");
    soon("the other host is reached", || {
        pings(&daemon, "c1", &[], "192.0.2.2")
    });
    assert!(host_pings(&other, "192.0.2.88"));
    cli.ok(["config", "device", "remove", "c1", "eth1"]);
    let inside = cli.exec("c1", &["ip", "-o", "link"]);
    assert!(!inside.contains("eth1"), "{inside}");
    // By a network, and from the start on.
    let text = cli.fails([
        "network",
        "create",
        "mv0",
        "--type",
        "macvlan",
        "parent=absent0",
    ]);
    assert!(text.contains("`absent0`"), "{text}");
    cli.ok(["network", "create", "mv0", "--type", "macvlan", &parent]);
    cli.ok([
        "config",
        "device",
        "add",
        "c1",
        "eth1",
        "nic",
        "network=mv0",
    ]);
    let text = cli.fails(["network", "delete", "mv0"]);
    assert!(text.contains("/1.0/instances/c1"), "{text}");
    let text = cli.fails(["config", "device", "set", "c1", "eth1", "limits.max=1Mbit"]);
    assert!(text.contains("macvlan"), "{text}");
    cli.ok(["restart", "-f", "c1"]);
    address(&daemon, "c1", "eth1", "192.0.2.88/24");
    soon("the other host is reached", || {
        pings(&daemon, "c1", &[], "192.0.2.2")
    });
    assert!(cli.ok(["network", "info", "mv0"]).contains("MTU: "));
    cli.ok(["config", "device", "remove", "c1", "eth1"]);
    cli.ok(["network", "delete", "mv0"]);
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn a_lent_interface_comes_back_whoever_dies() {
    require!(root);
    let (mut daemon, _other, _) = beside_another_host();
    let was = link(&daemon, CABLE).unwrap();
    let parent = format!("parent={CABLE}");
    let keys = ["nictype=physical", &parent, "name=lan", "mtu=1400"];
    // What the host is reached by stays with it.
    let add = ["config", "device", "add", "c1", "eth1", "nic"];
    let text = daemon.cli().fails(add.iter().chain(&keys).copied());
    assert!(
        text.contains("has addresses of the host (192.0.2.1/24)"),
        "{text}"
    );
    daemon
        .world()
        .run(&["ip", "address", "flush", "dev", CABLE]);
    let lend = |daemon: &Daemon| {
        let add = ["config", "device", "add", "c1", "eth1", "nic"];
        daemon.cli().ok(add.iter().chain(&keys).copied());
        assert_eq!(link(daemon, CABLE), None, "it is the instance's now");
        address(daemon, "c1", "lan", "192.0.2.99/24");
        soon("the other host is reached", || {
            pings(daemon, "c1", &[], "192.0.2.2")
        });
    };
    let is_back = |daemon: &Daemon, how: &str| {
        soon(&format!("it is back {how}"), || {
            let text = link(daemon, CABLE).unwrap_or_default();
            let same = |word: &str| {
                let value = |text: &str| {
                    let mut words = text.split_whitespace().skip_while(|found| *found != word);
                    words.nth(1).map(str::to_owned)
                };
                value(&text).is_some() && value(&text) == value(&was)
            };
            same("mtu") && same("link/ether")
        });
    };
    // A daemon that comes back starts what ran before: that must not hide what was taken back.
    daemon
        .cli()
        .ok(["config", "set", "c1", "boot.autostart=false"]);
    let begin = |daemon: &Daemon| daemon.cli().ok(["start", "c1"]);
    lend(&daemon);
    let text = daemon.cli().run(["config", "show", "c1"]).stdout;
    assert!(text.contains("volatile.eth1.host_name: cable0"), "{text}");
    daemon.cli().ok(["create", "busybox", "c2"]);
    let add = ["config", "device", "add", "c2", "eth1", "nic"];
    daemon.cli().ok(add.iter().chain(&keys).copied());
    let text = daemon.cli().fails(["start", "c2"]);
    assert!(text.contains("lent to instance `c1`"), "{text}");
    daemon.cli().ok(["delete", "c2"]);
    daemon
        .cli()
        .ok(["config", "device", "remove", "c1", "eth1"]);
    is_back(&daemon, "when the device goes");

    // A guest may call it what it likes.
    lend(&daemon);
    daemon
        .cli()
        .exec("c1", &["ip", "link", "set", "lan", "down"]);
    daemon
        .cli()
        .exec("c1", &["ip", "link", "set", "lan", "name", "mine"]);
    daemon.cli().ok(["stop", "-f", "c1"]);
    is_back(&daemon, "when the instance stops");

    daemon.cli().ok(["start", "c1"]);
    assert_eq!(link(&daemon, CABLE), None, "it is there from the start on");
    let [init, _] = init_and_monitor(&daemon);
    daemon.kill();
    kill(&daemon, &init);
    daemon.start();
    is_back(&daemon, "when the instance ends without a daemon");

    begin(&daemon);
    let [_, monitor] = init_and_monitor(&daemon);
    daemon.kill();
    kill(&daemon, &monitor);
    daemon.start();
    is_back(&daemon, "when daemon and monitor are killed");

    begin(&daemon);
    let [_, monitor] = init_and_monitor(&daemon);
    kill(&daemon, &monitor);
    is_back(&daemon, "when the monitor is killed");
    daemon
        .cli()
        .ok(["config", "device", "remove", "c1", "eth1"]);
}

/// The init of `c1` and its monitor, as the daemon's world counts processes.
fn init_and_monitor(daemon: &Daemon) -> [String; 2] {
    let state = daemon.cli().instance("c1").unwrap();
    let init = state["state"]["pid"].as_u64().unwrap().to_string();
    let ask = format!("awk '/^PPid/ {{ print $2 }}' /proc/{init}/status");
    let monitor = daemon.world().run(&["sh", "-c", &ask]).stdout;
    [init, monitor.trim().to_owned()]
}

fn kill(daemon: &Daemon, process: &str) {
    daemon.world().run(&["kill", "-KILL", process]);
}

#[test]
fn a_pair_of_its_own_is_reached_by_its_routes() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let add = [
        "config",
        "device",
        "add",
        "c1",
        "eth1",
        "nic",
        "nictype=p2p",
    ];
    cli.ok(add.iter().copied().chain(["ipv4.routes=10.99.0.0/24"]));
    let routes = daemon.world().run(&["ip", "route"]).stdout;
    assert!(routes.contains("10.99.0.0/24 dev c1-eth1"), "{routes}");
    address(&daemon, "c1", "eth1", "10.99.0.5/32");
    soon("it is reached", || host_pings(daemon.world(), "10.99.0.5"));
    cli.ok(["restart", "-f", "c1"]);
    let routes = daemon.world().run(&["ip", "route"]).stdout;
    assert!(routes.contains("10.99.0.0/24 dev c1-eth1"), "{routes}");
    cli.ok(["config", "device", "remove", "c1", "eth1"]);
    // On a bridge the routes go with the NIC.
    cli.ok([
        "config",
        "device",
        "override",
        "c1",
        "eth0",
        "ipv4.routes=10.97.0.0/24",
    ]);
    let routes = daemon.world().run(&["ip", "route"]).stdout;
    assert!(routes.contains("10.97.0.0/24 dev rlxcbr0"), "{routes}");
    cli.ok(["stop", "-f", "c1"]);
    let routes = daemon.world().run(&["ip", "route"]).stdout;
    assert!(!routes.contains("10.97.0.0/24"), "{routes}");
    cli.ok(["delete", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn the_host_routes_to_an_instance_and_answers_for_it() {
    require!(root);
    let (mut daemon, other, before) = beside_another_host();
    let parent = format!("parent={CABLE}");
    let cli = daemon.cli();
    cli.ok(["create", "busybox", "r1"]);
    let add = [
        "config",
        "device",
        "add",
        "r1",
        "eth0",
        "nic",
        "nictype=routed",
    ];
    let keys = [
        "ipv4.address=192.0.2.77",
        "ipv6.address=fd42:77::7",
        &parent,
        "host_name=r1host",
        "name=lan0",
    ];
    cli.ok(add.iter().chain(&keys).copied());
    // Addresses that somebody has are nobody else's.
    let line = ["config", "device", "set", "r1", "eth0"];
    for (taken, why) in [
        ("192.0.2.1", "the host's own, on its interface `cable0`"),
        ("198.51.100.1", "the gateway of the host"),
    ] {
        let own = format!("ipv4.address={taken}");
        cli.ok(line.iter().copied().chain([own.as_str()]));
        let text = cli.fails(["start", "r1"]);
        assert!(text.contains(why), "{text}");
    }
    cli.ok(line.iter().chain(&keys[..1]).copied());
    cli.ok(["start", "r1"]);
    soon("the other host reaches it", || {
        host_pings(&other, "192.0.2.77")
    });
    assert!(
        pings(&daemon, "r1", &[], "192.0.2.2"),
        "it reaches the other host"
    );
    assert!(pings(&daemon, "r1", &[], "169.254.0.1"));
    assert!(host_pings(daemon.world(), "fd42:77::7"));
    // Nobody else's address comes through.
    cli.exec(
        "r1",
        &["ip", "address", "add", "192.0.2.78/32", "dev", "lan0"],
    );
    assert!(!pings(&daemon, "r1", &["-I", "192.0.2.78"], "169.254.0.1"));
    assert!(pings(&daemon, "r1", &["-I", "192.0.2.77"], "169.254.0.1"));
    // Rules that somebody flushed come back, and those of a daemon that was killed stay.
    daemon.world().run(&["nft", "flush", "ruleset"]);
    daemon.kill();
    daemon.start();
    assert!(!pings(&daemon, "r1", &["-I", "192.0.2.78"], "169.254.0.1"));
    let neighbours = |daemon: &Daemon| daemon.world().run(&["ip", "neigh", "show", "proxy"]).stdout;
    assert!(neighbours(&daemon).contains("192.0.2.77"));
    daemon.cli().ok(["stop", "-f", "r1"]);
    assert_eq!(neighbours(&daemon), "");
    daemon.cli().ok(["delete", "r1"]);
    before.assert_none(&daemon);
}

#[test]
fn what_a_kernel_lacks_is_named() {
    require!(root);
    let (daemon, _other, _) = beside_another_host();
    let cli = daemon.cli();
    let world = daemon.world();
    let has = |line: &str| {
        let line = line.split(' ').map(str::to_owned);
        world.enter(line).output().is_ok_and(|made| made.code == 0)
    };
    let has_vlans = has("ip link add link cable0 name probe0 type vlan id 9");
    let has_filter = has("ip link add probe1 type bridge vlan_filtering 1");
    let parent = format!("parent={CABLE}");
    let add = ["config", "device", "add", "c1", "eth1", "nic"];
    let vlan = add
        .iter()
        .copied()
        .chain(["nictype=macvlan", &parent, "vlan=7"]);
    if has_vlans {
        world.run(&["ip", "link", "delete", "probe0"]);
        cli.ok(vlan);
        assert!(link(&daemon, "cable0.7").is_some());
        cli.ok(["config", "device", "remove", "c1", "eth1"]);
    } else {
        let text = cli.fails(vlan);
        assert!(
            text.contains("no VLAN interfaces") && text.contains("8021q"),
            "{text}"
        );
    }
    assert_eq!(link(&daemon, "cable0.7"), None);
    let filtered = ["config", "device", "override", "c1", "eth0", "vlan=7"];
    if has_filter {
        world.run(&["ip", "link", "delete", "probe1"]);
        cli.ok(filtered);
        let ports = world
            .run(&["bridge", "vlan", "show", "dev", "c1-eth0"])
            .stdout;
        assert!(ports.contains("7 PVID Egress Untagged"), "{ports}");
    } else {
        let text = cli.fails(filtered);
        assert!(text.contains("filter by VLAN"), "{text}");
        assert!(
            link(&daemon, "c1-eth0").is_some(),
            "the NIC is plugged in as it was"
        );
    }
}
