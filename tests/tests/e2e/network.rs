//! The bridge: addresses, names, NAT; nothing left behind.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::require;

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
    let daemon = rlxc_tests::Daemon::prepared(rlxc_tests::Uplink::Isolated);
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
