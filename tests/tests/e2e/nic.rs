//! NICs of running instances: plugged in, given addresses, pulled out, while it runs.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::require;

use super::daemon_with_c1;

#[test]
fn a_nic_comes_and_goes_while_the_instance_runs() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.wait_ipv4("c1");
    cli.ok([
        "network",
        "create",
        "lab",
        "ipv4.address=10.77.1.1/24",
        "dns.domain=lab",
    ]);
    cli.ok([
        "config",
        "device",
        "add",
        "c1",
        "eth1",
        "nic",
        "network=lab",
        "ipv4.address=10.77.1.9",
    ]);
    // The name is there at once, before any lease.
    eventually("c1.lab resolves", Duration::from_secs(5), || {
        let found = daemon
            .world()
            .enter(["busybox", "nslookup", "c1.lab", "10.77.1.1"])
            .output();
        found.is_ok_and(|output| output.stdout.contains("10.77.1.9"))
    });
    cli.exec(
        "c1",
        &[
            "udhcpc",
            "-i",
            "eth1",
            "-n",
            "-q",
            "-s",
            "/etc/udhcpc.script",
        ],
    );
    let addresses = cli.exec("c1", &["ip", "-4", "address", "show", "eth1"]);
    assert!(addresses.contains("10.77.1.9"), "{addresses}");
    let links = daemon.world().run(&["ip", "-o", "link"]).stdout;
    assert!(
        links.contains("c1-eth1"),
        "the host's end tells whose it is: {links}"
    );
    cli.ok(["config", "device", "remove", "c1", "eth1"]);
    let inside = cli.exec("c1", &["ip", "-o", "link"]);
    assert!(!inside.contains("eth1"), "{inside}");
    cli.ok(["network", "delete", "lab"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn an_address_that_is_taken_is_refused_with_who_has_it() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    cli.ok(["create", "busybox", "c2"]);
    let pair = format!("ipv4.address={address}");
    let text = cli.fails(["config", "device", "override", "c2", "eth0", &pair]);
    assert!(text.contains("a lease of `c1`"), "{text}");
    cli.ok(["config", "device", "override", "c1", "eth0", &pair]);
    let text = cli.fails(["config", "device", "override", "c2", "eth0", &pair]);
    assert!(text.contains("instance `c1`"), "{text}");
    let text = cli.fails([
        "config",
        "device",
        "override",
        "c2",
        "eth0",
        "ipv4.address=10.255.255.9",
    ]);
    assert!(text.contains("lies outside"), "{text}");
    // So is a MAC address, whose name would be lost with the twin, and a name on the host.
    let hwaddr = cli.ok(["config", "get", "c1", "volatile.eth0.hwaddr"]);
    let hwaddr = format!("hwaddr={hwaddr}");
    let add = [
        "config",
        "device",
        "add",
        "c2",
        "eth1",
        "nic",
        "network=rlxcbr0",
    ];
    for (key, why) in [
        (hwaddr.as_str(), "device `eth0` of instance `c1`"),
        ("host_name=c1-eth0", "device `eth0` of instance `c1`"),
        ("host_name=uplink0", "an interface of the host"),
        ("ipv6.address=fd42::9", "ipv6"),
        ("nictype=macvlan", "beside `network`"),
        ("parent=uplink0", "beside `network`"),
    ] {
        let text = cli.fails(add.iter().copied().chain([key]));
        assert!(text.contains(why), "{key}: {text}");
    }
    // A name that a user chose is kept, at a restart too.
    cli.ok(add.iter().copied().chain(["host_name=mine0"]));
    cli.ok(["start", "c2"]);
    cli.ok(["restart", "-f", "c2"]);
    daemon.world().run(&["ip", "link", "show", "mine0"]);
}
