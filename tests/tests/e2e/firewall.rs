//! Forwards, access control lists and filters of spoofed addresses, with real packets.

use std::time::Duration;

use rlxc_tests::Daemon;
use rlxc_tests::process::eventually;
use rlxc_tests::require;

use super::daemon_with_c1;

/// Serves `hello` on a TCP port of an instance.
fn serve(daemon: &Daemon, name: &str, port: &str) {
    let script = format!("(while true; do echo hello | nc -l -p {port}; done) >/dev/null 2>&1 &");
    daemon.cli().exec(name, &["sh", "-c", &script]);
}

/// Whether the host of the test reaches a port.
fn host_reaches(daemon: &Daemon, address: &str, port: &str) -> bool {
    let line = [
        "busybox", "timeout", "2", "busybox", "nc", "-w", "1", address, port,
    ];
    let output = daemon.world().enter(line).stdin("").output();
    output.is_ok_and(|output| output.stdout.contains("hello"))
}

/// Whether an instance reaches a port.
fn reaches(daemon: &Daemon, from: &str, address: &str, port: &str) -> bool {
    let command = format!("timeout 2 nc -w 1 {address} {port} </dev/null");
    let output = daemon.cli().run(["exec", from, "--", "sh", "-c", &command]);
    output.stdout.contains("hello")
}

/// What serves takes a moment between two connections.
#[track_caller]
fn soon(reached: impl FnMut() -> bool) {
    eventually("it is reached", Duration::from_secs(10), reached);
}

fn pings(daemon: &Daemon, from: &str, address: &str) -> bool {
    let ping = ["exec", from, "--", "ping", "-c", "1", "-W", "1", address];
    daemon.cli().run(ping).code == 0
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn a_forward_leads_to_an_instance_and_goes_again() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    serve(&daemon, "c1", "8080");
    daemon
        .world()
        .run(&["ip", "address", "add", "192.0.2.10/32", "dev", "lo"]);
    cli.ok(["network", "forward", "create", "rlxcbr0", "192.0.2.10"]);
    let port = [
        "network",
        "forward",
        "port",
        "add",
        "rlxcbr0",
        "192.0.2.10",
        "tcp",
        "80",
        &address,
        "8080",
    ];
    cli.ok(port);
    eventually("the forward leads there", Duration::from_secs(10), || {
        host_reaches(&daemon, "192.0.2.10", "80")
    });
    // A neighbour gets its answer too.
    cli.ok(["launch", "busybox", "c2"]);
    cli.wait_ipv4("c2");
    eventually(
        "c2 reaches c1 by the forward",
        Duration::from_secs(10),
        || reaches(&daemon, "c2", "192.0.2.10", "80"),
    );
    let text = cli.fails([
        "network",
        "forward",
        "port",
        "add",
        "rlxcbr0",
        "192.0.2.10",
        "tcp",
        "70-90",
        &address,
    ]);
    assert!(text.contains("twice"), "{text}");
    let text = cli.fails([
        "network",
        "forward",
        "port",
        "add",
        "rlxcbr0",
        "192.0.2.10",
        "tcp",
        "99",
        "10.255.255.1",
    ]);
    assert!(text.contains("outside the network's subnets"), "{text}");
    assert!(
        cli.ok(["network", "list-allocations"])
            .contains("192.0.2.10/32")
    );
    cli.ok([
        "network",
        "forward",
        "port",
        "remove",
        "rlxcbr0",
        "192.0.2.10",
        "tcp",
        "80",
    ]);
    assert!(!host_reaches(&daemon, "192.0.2.10", "80"));
    cli.ok(["network", "forward", "delete", "rlxcbr0", "192.0.2.10"]);
    cli.ok(["delete", "-f", "c1", "c2"]);
    daemon
        .world()
        .run(&["ip", "address", "del", "192.0.2.10/32", "dev", "lo"]);
    before.assert_none(&daemon);
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn an_acl_blocks_and_lets_pass() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    serve(&daemon, "c1", "80");
    serve(&daemon, "c1", "81");
    eventually("c1 serves", Duration::from_secs(10), || {
        host_reaches(&daemon, &address, "80") && host_reaches(&daemon, &address, "81")
    });
    cli.ok(["network", "acl", "create", "web"]);
    cli.ok([
        "network",
        "acl",
        "rule",
        "add",
        "web",
        "ingress",
        "action=allow",
        "protocol=tcp",
        "destination_port=80",
    ]);
    // On the network: between it and the host.
    cli.ok(["network", "set", "rlxcbr0", "security.acls=web"]);
    soon(|| host_reaches(&daemon, &address, "80"));
    assert!(!host_reaches(&daemon, &address, "81"));
    let text = cli.fails(["network", "acl", "delete", "web"]);
    assert!(text.contains("/1.0/networks/rlxcbr0"), "{text}");
    cli.ok([
        "network",
        "acl",
        "rule",
        "add",
        "web",
        "ingress",
        "action=allow",
        "protocol=tcp",
        "destination_port=81",
    ]);
    soon(|| host_reaches(&daemon, &address, "81"));
    cli.ok(["network", "unset", "rlxcbr0", "security.acls"]);
    // On a NIC: between neighbours as well.
    cli.ok([
        "network",
        "acl",
        "rule",
        "remove",
        "web",
        "ingress",
        "destination_port=81",
    ]);
    cli.ok(["launch", "busybox", "c2"]);
    cli.wait_ipv4("c2");
    soon(|| reaches(&daemon, "c2", &address, "81"));
    cli.ok([
        "config",
        "device",
        "override",
        "c1",
        "eth0",
        "security.acls=web",
    ]);
    soon(|| reaches(&daemon, "c2", &address, "80"));
    assert!(!reaches(&daemon, "c2", &address, "81"));
    assert!(!pings(&daemon, "c2", &address));
    cli.ok(["delete", "-f", "c1", "c2"]);
    cli.ok(["network", "acl", "delete", "web"]);
    before.assert_none(&daemon);
}

#[test]
fn nobody_speaks_in_anothers_name() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let gateway = gateway(&daemon);
    let address = cli.wait_ipv4("c1");
    let stranger = format!(
        "{}.250",
        address.rsplit_once('.').map_or("", |(net, _)| net)
    );
    // Another address of the subnet works as long as nothing is filtered.
    cli.exec(
        "c1",
        &[
            "ip",
            "address",
            "add",
            &format!("{stranger}/24"),
            "dev",
            "eth0",
        ],
    );
    let from = [
        "exec", "c1", "--", "ping", "-c", "1", "-W", "1", "-I", &stranger, &gateway,
    ];
    assert_eq!(cli.run(from).code, 0);
    cli.ok([
        "config",
        "device",
        "override",
        "c1",
        "eth0",
        "security.ipv4_filtering=true",
    ]);
    assert_ne!(
        cli.run(from).code,
        0,
        "a packet with a strange address passed"
    );
    assert!(
        pings(&daemon, "c1", &gateway),
        "its own address still works"
    );
    cli.exec(
        "c1",
        &["ip", "link", "set", "eth0", "address", "00:16:3e:99:99:99"],
    );
    assert!(
        !pings(&daemon, "c1", &gateway),
        "a frame with a strange address passed"
    );
    // It holds from the first packet after a restart, and what the filter needs is there again.
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(cli.wait_ipv4("c1"), address);
    assert!(pings(&daemon, "c1", &gateway));
}

fn gateway(daemon: &Daemon) -> String {
    let text = daemon
        .cli()
        .ok(["network", "get", "rlxcbr0", "ipv4.address"]);
    text.split('/').next().unwrap_or_default().to_owned()
}

#[test]
fn isolated_ports_do_not_see_each_other() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c2"]);
    let address = cli.wait_ipv4("c1");
    cli.wait_ipv4("c2");
    assert!(pings(&daemon, "c2", &address));
    for name in ["c1", "c2"] {
        cli.ok([
            "config",
            "device",
            "override",
            name,
            "eth0",
            "security.port_isolation=true",
        ]);
        cli.ok(["restart", "-f", name]);
        cli.wait_ipv4(name);
    }
    let address = cli.wait_ipv4("c1");
    assert!(!pings(&daemon, "c2", &address));
    assert!(pings(&daemon, "c2", &gateway(&daemon)));
}

#[test]
fn rules_that_somebody_flushed_come_back() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    let address = daemon.cli().wait_ipv4("c1");
    daemon.world().run(&["nft", "flush", "ruleset"]);
    daemon
        .world()
        .run(&["nft", "add", "table", "inet", "rlxc_rlxcbr0"]);
    daemon.kill();
    daemon.start();
    let rules = daemon.world().run(&["nft", "list", "ruleset"]).stdout;
    assert!(rules.contains("masquerade"), "{rules}");
    assert!(pings(&daemon, "c1", &address));
}

#[test]
fn what_no_rule_names_is_treated_as_said() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    serve(&daemon, "c1", "80");
    soon(|| host_reaches(&daemon, &address, "80"));
    let ok = |line: &str| cli.ok(line.split(' '));
    ok("network acl create quiet");
    ok("network acl rule add quiet ingress action=drop protocol=tcp destination_port=22");
    ok("network set rlxcbr0 security.acls=quiet");
    assert!(
        !host_reaches(&daemon, &address, "80"),
        "what no rule names is rejected"
    );
    ok("network set rlxcbr0 security.acls.default.ingress.action=allow");
    soon(|| host_reaches(&daemon, &address, "80"));
    let gateway = gateway(&daemon);
    assert!(
        !pings(&daemon, "c1", &gateway),
        "the other way it is still rejected"
    );
    ok("network set rlxcbr0 security.acls.default.egress.action=allow");
    soon(|| pings(&daemon, "c1", &gateway));
    let text = cli.fails([
        "network",
        "set",
        "rlxcbr0",
        "security.acls.default.egress.action=maybe",
    ]);
    assert!(
        text.contains("security.acls.default.egress.action"),
        "{text}"
    );
}

#[test]
fn what_passes_is_counted() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    let counted = || {
        let state = cli.instance("c1").unwrap();
        let counters = &state["state"]["network"]["eth0"]["counters"];
        [&counters["packets_received"], &counters["bytes_sent"]].map(|n| n.as_i64().unwrap())
    };
    let before = counted();
    let ping = [
        "exec", "c1", "--", "ping", "-c", "20", "-i", "0.1", "-s", "1000",
    ];
    let gateway = gateway(&daemon);
    cli.ok(ping.iter().copied().chain([gateway.as_str()]));
    let after = counted();
    assert!(after[0] >= before[0] + 20, "{before:?} {after:?}");
    assert!(after[1] >= before[1] + 20_000, "{before:?} {after:?}");
    let info = cli.ok(["info", "c1"]);
    assert!(
        info.contains(&address) && info.contains("Received: "),
        "{info}"
    );
    let own = cli.ok(["network", "info", "rlxcbr0"]);
    assert!(own.contains(&gateway) && own.contains("Sent: "), "{own}");
}
