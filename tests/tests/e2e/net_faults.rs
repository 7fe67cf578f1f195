//! Networks that go wrong: a daemon that dies while packets flow, rules of others, tools that are missing.

use std::path::Path;
use std::time::Duration;

use rlxc_tests::{Daemon, Leaks, Uplink, World, require};

use super::daemon_with_c1;

fn gateway(daemon: &Daemon) -> String {
    let text = daemon
        .cli()
        .ok(["network", "get", "rlxcbr0", "ipv4.address"]);
    text.split('/').next().unwrap_or_default().to_owned()
}

/// Runs a command of the host in the network of an instance, whatever becomes of the daemon.
pub(super) fn beside(daemon: &Daemon, name: &str, argv: &[&str]) -> rlxc_tests::process::Run {
    let state = daemon.cli().instance(name).unwrap();
    let init = state["state"]["pid"].as_u64().unwrap().to_string();
    let line = ["nsenter", "-t", &init, "-n"]
        .into_iter()
        .chain(argv.iter().copied());
    daemon.world().enter(line.map(str::to_owned))
}

pub(super) fn rules(daemon: &Daemon) -> String {
    daemon.world().run(&["nft", "list", "ruleset"]).stdout
}

#[test]
fn no_packet_is_lost_while_the_daemon_is_gone() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().ok(["launch", "busybox", "c2"]);
    daemon.cli().wait_ipv4("c1");
    let neighbour = daemon.cli().wait_ipv4("c2");
    let (host, quiet) = (gateway(&daemon), ["ping", "-q", "-i", "0.02", "-c", "250"]);
    let pings = [host, neighbour].map(|address| {
        let line: Vec<&str> = quiet.iter().copied().chain([address.as_str()]).collect();
        let ping = beside(&daemon, "c1", &line).deadline(Duration::from_secs(60));
        std::thread::spawn(move || ping.output())
    });
    daemon.kill();
    daemon.start();
    daemon.stop();
    daemon.start();
    for ping in pings {
        let output = ping.join().unwrap().unwrap();
        assert!(
            output.stdout.contains("250 received, 0% packet loss"),
            "{output}"
        );
    }
}

#[test]
fn rules_are_the_same_after_the_daemon_was_killed() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let address = cli.wait_ipv4("c1");
    daemon
        .world()
        .run(&["ip", "address", "add", "192.0.2.10/32", "dev", "lo"]);
    cli.ok(["network", "forward", "create", "rlxcbr0", "192.0.2.10"]);
    let port = ["network", "forward", "port", "add", "rlxcbr0", "192.0.2.10"];
    cli.ok(port.iter().copied().chain(["tcp", "80", &address]));
    cli.ok(["network", "acl", "create", "web"]);
    let rule = [
        "network",
        "acl",
        "rule",
        "add",
        "web",
        "ingress",
        "action=allow",
    ];
    cli.ok(rule
        .iter()
        .copied()
        .chain(["protocol=tcp", "destination_port=80"]));
    cli.ok(["network", "set", "rlxcbr0", "security.acls=web"]);
    let limit = ["config", "device", "override", "c1", "eth0"];
    cli.ok(limit
        .iter()
        .copied()
        .chain(["limits.max=50Mbit", "security.acls=web"]));
    let before = rules(&daemon);
    assert!(
        before.contains("192.0.2.10") && before.contains("limit rate"),
        "{before}"
    );
    daemon.kill();
    daemon.start();
    // Counters aside there is nothing in a rule that changes by itself.
    assert_eq!(rules(&daemon), before);
    daemon.kill();
    daemon.world().run(&["nft", "flush", "ruleset"]);
    daemon.start();
    assert_eq!(rules(&daemon), before);
}

#[test]
fn a_table_of_our_name_is_taken_over() {
    require!(root);
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    let table = format!("{}_lab", daemon.prefix());
    daemon.start();
    let before = Leaks::look(&daemon);
    let chain = "type filter hook forward priority 0; policy drop";
    let text = format!("table inet {table} {{\n chain stray {{\n {chain};\n }}\n}}\n");
    daemon
        .world()
        .enter(["nft", "-f", "-"])
        .stdin(text)
        .ok()
        .unwrap();
    daemon.cli().ok(["network", "create", "lab"]);
    let rules = rules(&daemon);
    assert!(
        !rules.contains("stray") && rules.contains("masquerade"),
        "{rules}"
    );
    daemon.cli().ok(["network", "delete", "lab"]);
    before.assert_none(&daemon);
}

#[test]
fn without_nft_nothing_is_half_made() {
    require!(root);
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    let hide = ["/usr/sbin/nft", "/sbin/nft"].map(Path::new);
    for path in hide.into_iter().filter(|path| path.is_file()) {
        daemon.world().blank(path);
    }
    daemon.start();
    let interfaces = || daemon.world().run(&["ls", "/sys/class/net"]).stdout;
    let before = interfaces();
    let text = daemon.cli().fails(["network", "create", "extra0"]);
    assert!(text.contains("`nft"), "{text}");
    assert_eq!(interfaces(), before);
}

#[test]
fn a_network_in_use_names_its_users_and_subnets_do_not_meet() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let text = cli.fails(["network", "delete", "rlxcbr0"]);
    assert!(
        text.contains("/1.0/instances/c1") && text.contains("/1.0/profiles/default"),
        "{text}"
    );
    let own = cli.ok(["network", "get", "rlxcbr0", "ipv4.address"]);
    let text = cli.fails(["network", "create", "twin", &format!("ipv4.address={own}")]);
    assert!(
        text.contains("overlaps") && text.contains("`rlxcbr0`"),
        "{text}"
    );
    // Who has an address of the subnet is not left behind.
    let address = cli.wait_ipv4("c1");
    let fixed = format!("ipv4.address={address}");
    cli.ok(["config", "device", "override", "c1", "eth0", &fixed]);
    for pair in [
        "ipv4.address=10.88.0.1/24",
        "ipv4.address=none",
        "ipv4.dhcp=false",
    ] {
        let text = cli.fails(["network", "set", "rlxcbr0", pair]);
        let who = format!("device `eth0` of instance `c1` has {address}");
        assert!(text.contains(&who), "{pair}: {text}");
    }
    cli.ok(["config", "set", "c1", "user.foo=bar"]);
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
    ];
    cli.ok(port.iter().copied().chain([address.as_str()]));
    cli.ok(["config", "device", "unset", "c1", "eth0", "ipv4.address"]);
    let text = cli.fails(["network", "set", "rlxcbr0", "ipv4.address=10.88.0.1/24"]);
    assert!(text.contains("forward 192.0.2.10 leads to"), "{text}");
    cli.ok(["network", "forward", "delete", "rlxcbr0", "192.0.2.10"]);
    cli.ok(["network", "set", "rlxcbr0", "ipv4.address=10.88.0.1/24"]);
}

#[test]
fn a_bridge_that_others_took_apart_is_whole_again() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().wait_ipv4("c1");
    let address = gateway(&daemon);
    let breaks = [
        "ip link set rlxcbr0 down && ip address flush dev rlxcbr0",
        "ip link set c1-eth0 nomaster",
        "ip link delete rlxcbr0",
    ];
    for line in breaks {
        daemon.world().run(&["sh", "-c", line]);
        assert!(!reaches(&daemon, &address), "{line}");
        daemon.kill();
        daemon.start();
        let shows = |words: &[&str], what: &str| {
            let line = ["ip", "-o"].iter().chain(words).copied();
            let shown = daemon.world().enter(line).output();
            shown.is_ok_and(|shown| shown.stdout.contains(what))
        };
        rlxc_tests::process::eventually(line, Duration::from_secs(20), || {
            shows(&["address", "show", "rlxcbr0"], &address)
                && shows(&["link", "show", "c1-eth0"], "master rlxcbr0")
        });
        // Neighbours remember the MAC address of a bridge that was deleted for a while.
        if !line.contains("delete") {
            assert!(reaches(&daemon, &address), "{line}");
        }
    }
}

/// Two hosts on a cable; `c1` reaches the other one by NAT, if nobody stands in the way.
fn with_another_host() -> (Daemon, World, String) {
    let (daemon, _) = daemon_with_c1();
    let other = World::new(Uplink::Isolated).unwrap();
    let [_, far] = daemon.world().connect(&other);
    daemon.cli().wait_ipv4("c1");
    (daemon, other, far.to_owned())
}

fn reaches(daemon: &Daemon, address: &str) -> bool {
    let ping = ["exec", "c1", "--", "ping", "-c", "1", "-W", "1", address];
    daemon.cli().run(ping).code == 0
}

#[test]
fn docker_lets_instances_pass() {
    require!(root);
    require!(tool "iptables");
    let (daemon, _other, far) = with_another_host();
    assert!(reaches(&daemon, &far));
    // As Docker lays it.
    for line in [
        "-N DOCKER-USER",
        "-A DOCKER-USER -j RETURN",
        "-I FORWARD -j DOCKER-USER",
        "-P FORWARD DROP",
    ] {
        let argv: Vec<&str> = ["iptables", "-w"]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        daemon.world().run(&argv);
    }
    assert!(!reaches(&daemon, &far), "Docker stands in the way");
    // Whatever changes the network's rules looks for Docker; the reconciler does it every minute.
    daemon
        .cli()
        .ok(["network", "set", "rlxcbr0", "user.seen=docker"]);
    assert!(reaches(&daemon, &far));
    daemon.cli().ok(["delete", "-f", "c1"]);
    daemon
        .cli()
        .ok(["profile", "device", "remove", "default", "eth0"]);
    daemon.cli().ok(["network", "delete", "rlxcbr0"]);
    let left = daemon.world().run(&["iptables", "-w", "-S"]).stdout;
    assert!(!left.contains("rlxcbr0"), "{left}");
}

/// A table of another firewall: an empty chain, and one that begins with it.
fn laid(table: &str, empty: &str, chain: &str, rules: &str) -> String {
    format!("table {table} {{\n chain {empty} {{\n }}\n chain {chain} {{\n {rules}\n }}\n}}\n")
}

#[test]
fn a_firewall_that_drops_is_named_with_its_remedy() {
    require!(root);
    let (daemon, _other, far) = with_another_host();
    // As ufw lays it: a policy, and a chain for the administrator.
    let forward = "type filter hook forward priority 0; policy drop;\n jump user-forward";
    let table = laid("ip ufw", "user-forward", "FORWARD", forward);
    daemon
        .world()
        .enter(["nft", "-f", "-"])
        .stdin(table)
        .ok()
        .unwrap();
    assert!(!reaches(&daemon, &far));
    let report = daemon.cli().run(["admin", "doctor"]).stdout;
    assert!(report.contains("policy drop in `ip ufw"), "{report}");
    assert!(report.contains("-i rlxcbr0 -j ACCEPT"), "{report}");
    for side in ["iifname", "oifname"] {
        let line = [
            "nft",
            "add",
            "rule",
            "ip",
            "ufw",
            "user-forward",
            side,
            "rlxcbr0",
            "accept",
        ];
        daemon.world().run(&line);
    }
    assert!(reaches(&daemon, &far), "what the remedy says helps");
    // As firewalld lays it: all that is in no zone is rejected at the end, the trusted zone passes.
    daemon.world().run(&["nft", "delete", "table", "ip", "ufw"]);
    let forward = "type filter hook forward priority 10; policy accept;\n jump zones\n reject";
    let table = laid("inet firewalld", "zones", "filter_FORWARD", forward);
    daemon
        .world()
        .enter(["nft", "-f", "-"])
        .stdin(table)
        .ok()
        .unwrap();
    assert!(!reaches(&daemon, &far));
    for side in ["iifname", "oifname"] {
        let line = [
            "nft",
            "add",
            "rule",
            "inet",
            "firewalld",
            "zones",
            side,
            "rlxcbr0",
            "accept",
        ];
        daemon.world().run(&line);
    }
    assert!(reaches(&daemon, &far));
    let ours = rules(&daemon);
    assert!(
        ours.contains("firewalld"),
        "its rules are not touched: {ours}"
    );
}

/// Megabits a second that come through, as iperf3 sees it; `options` tell which way.
fn rate(daemon: &Daemon, options: &[&str]) -> f64 {
    let host = gateway(daemon);
    let mut line = vec!["iperf3", "-J", "-c", &host, "-t", "3", "-O", "1"];
    line.extend(options);
    let output = beside(daemon, "c1", &line)
        .deadline(Duration::from_secs(30))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let received = &report["end"]["sum_received"]["bits_per_second"];
    received.as_f64().unwrap_or_default() / 1e6
}

#[test]
fn limits_hold_both_ways_and_change_at_once() {
    require!(root);
    require!(tool "iperf3");
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.wait_ipv4("c1");
    daemon.world().run(&["iperf3", "-s", "-D"]);
    let near = |what: &str, options: &[&str], wanted: f64| {
        let mut found = 0.0;
        // Another try for a machine that was busy.
        for _ in 0..3 {
            found = rate(&daemon, options);
            if (found / wanted - 1.0).abs() <= 0.1 {
                return;
            }
        }
        panic!("{what}: {found} Mbit/s instead of {wanted}");
    };
    let set = ["config", "device", "override", "c1", "eth0"];
    cli.ok(set
        .iter()
        .copied()
        .chain(["limits.egress=20Mbit", "limits.ingress=40Mbit"]));
    near("sent", &["-u", "-b", "60M"], 20.0);
    near("received", &["-u", "-b", "80M", "-R"], 40.0);
    cli.ok(["config", "device", "unset", "c1", "eth0", "limits.ingress"]);
    cli.ok(["config", "device", "set", "c1", "eth0", "limits.egress="]);
    cli.ok(["config", "device", "set", "c1", "eth0", "limits.max=30Mbit"]);
    near("sent by TCP", &[], 30.0);
    near("received by TCP", &["-R"], 30.0);
    cli.ok(["config", "device", "unset", "c1", "eth0", "limits.max"]);
    assert!(rate(&daemon, &[]) > 100.0, "nothing holds it any more");
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["network", "create", "lab", "ipv4.address=10.77.1.1/24"]);
    let before = Leaks::look(&daemon);
    for (line, why) in [
        ("network create sixteenbyteslong", "15"),
        ("network create -- a/b", "a/b"),
        ("network create uplink0", "uplink0"),
        ("network create xx --type ovn", "ovn"),
        ("network create xx ipv4.address=10.0.0.1", "ipv4.address"),
        ("network create xx ipv4.address=10.0.0.0/33", "ipv4.address"),
        ("network create xx ipv4.address=10.78.0.0/24", "10.78.0.0"),
        (
            "network create xx ipv4.address=10.78.0.255/24",
            "10.78.0.255",
        ),
        ("network create xx ipv4.address=10.77.1.130/25", "overlaps"),
        ("network create xx ipv6.address=10.0.0.1/24", "ipv6.address"),
        (
            "network create xx ipv4.address=10.78.0.1/24 ipv4.dhcp.ranges=10.79.0.2-10.79.0.9",
            "outside",
        ),
        ("network create xx ipv4.address=127.0.0.1/8", "127.0.0.1/8"),
        ("network create xx ipv4.address=198.51.100.1/24", "gateway"),
        (
            "network create xx ipv4.address=198.51.100.129/26",
            "`uplink0`",
        ),
        ("network set lab ipv4.address=198.51.0.1/16", "gateway"),
        ("network create xx ipv6.address=fe80::1/64", "fe80::1"),
        ("network create xx ipv6.address=fd42::1/56", "64 to 127"),
        (
            "network create xx bridge.mtu=1200 ipv6.address=fd42::1/64",
            "1280",
        ),
        ("network create xx bridge.mtu=12", "bridge.mtu"),
        ("network create xx bridge.mtu=huge", "bridge.mtu"),
        ("network create xx dns.domain=-.", "dns.domain"),
        ("network create xx security.acls=absent", "absent"),
        ("network create xx ipv4.addres=none", "Did you mean"),
        ("network set lab ipv4.address=10.77.1.1/99", "ipv4.address"),
        ("network rename lab c1-too-long-a-name", "15"),
        ("network rename lab rlxcbr0", "rlxcbr0"),
        ("network forward create lab 10.77.1.300", "10.77.1.300"),
        ("network forward create absent 192.0.2.1", "absent"),
        ("network acl create -- -x", "-x"),
        ("config device add c1 e1 nic network=absent", "absent"),
        (
            "config device add c1 e1 nic nictype=bridged parent=absent0",
            "absent0",
        ),
        (
            "config device add c1 e1 nic nictype=bridged parent=uplink0",
            "`uplink0` is not a bridge",
        ),
        (
            "config device add c1 e1 nic nictype=physical parent=lo",
            "can't be lent",
        ),
        (
            "config device add c1 e1 nic network=lab hwaddr=01:00:5e:00:00:01",
            "multicast",
        ),
        (
            "config device add c1 e1 nic nictype=macvlan parent=absent0",
            "absent0",
        ),
        (
            "config device add c1 e1 nic nictype=physical parent=absent0",
            "absent0",
        ),
        (
            "config device add c1 e1 nic nictype=what parent=lab",
            "what",
        ),
        (
            "config device add c1 e1 nic network=lab name=a-name-that-is-too-long",
            "name",
        ),
        (
            "config device add c1 e1 nic network=lab hwaddr=00:16:3e",
            "hwaddr",
        ),
        (
            "config device add c1 e1 nic network=lab ipv4.address=10.99.0.9",
            "lies outside",
        ),
        (
            "config device add c1 e1 nic network=lab ipv4.address=10.77.1.1",
            "host's own",
        ),
        (
            "config device add c1 e1 nic network=lab limits.ingress=fast",
            "limits.ingress",
        ),
        (
            "config device add c1 e1 nic network=lab security.acls=absent",
            "absent",
        ),
    ] {
        let text = cli.fails(line.split_whitespace());
        assert!(text.contains(why), "{line}: {text}");
        before.assert_none(&daemon);
    }
}

/// What the host has of a network: its bridge, its table, its dnsmasq.
fn parts(daemon: &Daemon, network: &str) -> [bool; 3] {
    let script = format!("grep -alE 'conf-file=[^ ]*/{network}/dnsmasq.conf' /proc/[0-9]*/cmdline");
    let found = daemon.world().enter(["sh", "-c", &script]).output();
    let links = daemon.world().run(&["ip", "-o", "link"]).stdout;
    [
        links.contains(&format!(": {network}:")),
        rules(daemon).contains(&format!("_{network} {{")),
        found.unwrap().stdout.lines().count() == 1,
    ]
}

#[test]
fn a_daemon_that_is_killed_leaves_whole_networks_or_none() {
    const CREATE: &str = "network create lab ipv4.address=10.77.1.1/24 dns.domain=lab";
    const STEPS: u32 = 8;
    require!(root);
    let mut daemon = Daemon::initialized();
    let listed = |daemon: &Daemon| {
        let list = daemon.cli().ok(["network", "list", "-f", "csv"]);
        list.lines().any(|line| line.starts_with("lab,"))
    };
    let (mut kept, mut undone) = (0, 0);
    for line in [
        CREATE,
        "network set lab ipv4.address=10.78.1.1/24",
        "network delete lab",
    ] {
        // How long it takes when nobody stands in its way.
        if line != CREATE && !listed(&daemon) {
            daemon.cli().ok(CREATE.split(' '));
        }
        let took = daemon.cli().command(line.split(' ')).ok().unwrap().elapsed;
        for step in 0..STEPS {
            if listed(&daemon) {
                daemon.cli().ok(["network", "delete", "lab"]);
            }
            if line != CREATE {
                daemon.cli().ok(CREATE.split(' '));
            }
            let run = daemon.cli().command(line.split(' '));
            let running = std::thread::spawn(move || run.output().unwrap().code);
            let pause = took * step / (STEPS - 2);
            std::thread::sleep(pause);
            daemon.kill();
            drop(running.join());
            daemon.start();
            let there = listed(&daemon);
            let found = parts(&daemon, "lab");
            assert_eq!(found, [there; 3], "{line} killed after {pause:?}");
            if !there {
                undone += 1;
                continue;
            }
            kept += 1;
            let wanted = daemon.cli().ok(["network", "get", "lab", "ipv4.address"]);
            let show = ["ip", "-4", "address", "show", "lab"];
            let shown = daemon.world().run(&show).stdout;
            assert!(shown.contains(wanted.trim()), "{line}: {wanted} {shown}");
            assert_eq!(shown.matches("inet ").count(), 1, "{shown}");
        }
    }
    assert!(kept > 0 && undone > 0, "{kept} kept, {undone} undone");
}

#[test]
fn networks_are_there_again_after_the_host_was_started_anew() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    let leased = daemon.cli().wait_ipv4("c1");
    let before = daemon
        .cli()
        .ok(["network", "get", "rlxcbr0", "ipv4.address"]);
    daemon.cli().ok(["stop", "-f", "c1"]);
    // What is looked at every minute is looked at now: leases are kept then.
    daemon.kill();
    daemon.start();
    let kept = daemon.dir().join("networks/rlxcbr0/leases");
    let is_kept = || std::fs::read_to_string(&kept).is_ok_and(|text| text.contains(&leased));
    rlxc_tests::process::eventually("its lease is kept", Duration::from_secs(10), is_kept);
    daemon.kill();
    // As a host comes up: nothing but what is on disk.
    let world = daemon.world();
    world.run(&["nft", "flush", "ruleset"]);
    world.run(&["ip", "link", "delete", "rlxcbr0"]);
    world.run(&[
        "sh",
        "-c",
        "kill -9 $(cat $(find /run -name 'dnsmasq-*.pid')); rm -rf /run/rlxc*",
    ]);
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(
        cli.ok(["network", "get", "rlxcbr0", "ipv4.address"]),
        before
    );
    assert!(rules(&daemon).contains("masquerade"));
    let listed = cli.ok(["network", "list-leases", "rlxcbr0", "-f", "csv"]);
    assert!(listed.contains(&leased), "{listed}");
    cli.ok(["start", "c1"]);
    cli.wait_ipv4("c1");
    assert!(reaches(&daemon, &gateway(&daemon)));
}

#[test]
fn without_its_firewall_a_network_has_no_rules() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok("network create lab ipv4.address=10.77.1.1/24 ipv6.address=none ipv4.firewall=false ipv6.firewall=false"
        .split(' '));
    assert!(!rules(&daemon).contains("_lab"), "{}", rules(&daemon));
    cli.ok(["network", "set", "lab", "ipv4.nat=true"]);
    let ours = rules(&daemon);
    assert!(
        ours.contains("_lab") && ours.contains("masquerade"),
        "{ours}"
    );
    cli.ok(["network", "unset", "lab", "ipv4.nat"]);
    assert!(!rules(&daemon).contains("_lab"), "{}", rules(&daemon));
}
