//! The bridge: addresses, names, NAT; nothing left behind.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, Uplink, require};

use super::daemon_with_c1;

#[test]
fn two_instances_reach_each_other_by_name() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c2"]);
    let (one, two) = (cli.wait_ipv4("c1"), cli.wait_ipv4("c2"));
    assert_ne!(one, two);
    eventually("c2 finds c1 by name", Duration::from_secs(20), || {
        cli.run(["exec", "c2", "--", "ping", "-c", "1", "-W", "1", "c1.rlxc"])
            .code
            == 0
    });
    let looked_up = cli.exec("c2", &["nslookup", "c1.rlxc"]);
    assert!(looked_up.contains(&one), "{looked_up}");
    cli.ok(["delete", "-f", "c1", "c2"]);
    before.assert_none(&daemon);
}

#[test]
fn an_address_comes_fast_and_is_listed() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    assert!(cli.ok(["list"]).contains(&address), "the table shows it");
    let bridge = daemon
        .world()
        .run(&["ip", "-4", "-o", "address", "show", "rlxcbr0"])
        .stdout;
    let gateway = bridge.split_whitespace().nth(3).unwrap_or_default();
    assert_eq!(
        gateway.rsplit_once('.').map(|(net, _)| net.to_owned()),
        address.rsplit_once('.').map(|(net, _)| net.to_owned()),
        "the address is of the bridge's subnet"
    );
    let leases = cli.ok(["network", "list-leases", "rlxcbr0", "--format", "csv"]);
    assert!(leases.contains(&address), "{leases}");
}

#[test]
fn the_firewall_is_ours_alone_and_goes_with_the_network() {
    require!(root);
    let daemon = Daemon::prepared(Uplink::Isolated);
    let mut daemon = daemon;
    daemon
        .world()
        .run(&["nft", "add", "table", "inet", "someone_else"]);
    daemon.start();
    let cli = daemon.cli();
    let before = rlxc_tests::Leaks::look(&daemon);
    cli.ok(["network", "create", "extra0"]);
    let rules = daemon.world().run(&["nft", "list", "ruleset"]).stdout;
    assert!(
        rules.contains("masquerade") && rules.contains("someone_else"),
        "{rules}"
    );
    cli.ok(["network", "delete", "extra0"]);
    before.assert_none(&daemon);
}

#[test]
fn a_network_in_use_is_not_deleted() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let text = daemon.cli().fails(["network", "delete", "rlxcbr0"]);
    assert!(text.contains("use"), "{text}");
}

#[test]
fn a_nic_may_name_the_bridge_of_a_network_as_its_parent() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let addresses = ["ipv4.address=10.97.7.1/24", "ipv6.address=none"];
    cli.ok([&["network", "create", "lab0"][..], &addresses].concat());
    let nic = ["nic", "nictype=bridged", "parent=lab0", "name=eth0"];
    let add = [&["config", "device", "add", "c2", "eth0"][..], &nic].concat();
    cli.ok(["create", "busybox", "c2"]);
    let text = cli.fails([&add[..], &["ipv4.address=10.97.8.50"]].concat());
    assert!(text.contains("lies outside"), "{text}");
    cli.ok([&add[..], &["ipv4.address=10.97.7.50"]].concat());
    cli.ok(["start", "c2"]);
    assert_eq!(cli.wait_ipv4("c2"), "10.97.7.50");
    let leases = || cli.ok(["network", "list-leases", "lab0", "-f", "csv"]);
    assert!(leases().contains("c2,"), "{}", leases());
    let shown = cli.ok(["network", "show", "lab0"]);
    assert!(shown.contains("/1.0/instances/c2"), "{shown}");
    for change in [&["delete", "lab0"][..], &["rename", "lab0", "lab1"]] {
        let text = cli.fails([&["network"], change].concat());
        assert!(text.contains("in use"), "{text}");
    }
    cli.ok(["delete", "-f", "c2"]);
    assert!(!leases().contains("10.97.7.50"), "{}", leases());
    cli.ok(["network", "delete", "lab0"]);
}

#[test]
fn a_second_daemon_on_a_host_takes_the_next_bridge() {
    require!(root);
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    daemon.start();
    let of_another = ["ip", "link", "add", "rlxcbr0", "type", "bridge"];
    daemon.world().run(&of_another);
    let cli = daemon.cli();
    cli.ok(["admin", "init", "--auto"]);
    let own = cli.ok(["profile", "device", "get", "default", "eth0", "network"]);
    assert_eq!(own, "rlxcbr1");
}
