//! Addresses and names on a bridge: DHCP, router advertisements and DNS, as instances and other hosts see them.

use std::path::PathBuf;
use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, Uplink, World, require};

use super::daemon_with_c1;

const GATEWAY: &str = "10.77.1.1";

fn ok(daemon: &Daemon, line: &str) -> String {
    daemon.cli().ok(line.split_whitespace())
}

/// What the bridge's resolver says.
fn look_up(daemon: &Daemon, options: &[&str], gateway: &str) -> Vec<String> {
    let server = format!("@{gateway}");
    let line = ["dig", &server, "+short", "+tries=1", "+time=2"];
    let line = line.iter().chain(options).copied();
    let output = daemon.world().enter(line).output().unwrap().stdout;
    let answers = output.lines().filter(|line| !line.starts_with(';'));
    answers.map(str::to_owned).collect()
}

#[track_caller]
fn soon(what: &str, so: impl FnMut() -> bool) {
    eventually(what, Duration::from_secs(10), so);
}

#[test]
fn a_name_leads_to_an_address_and_back_at_once() {
    require!(root);
    require!(tool "dig");
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    ok(
        &daemon,
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=fd42:77::1/64 ipv4.nat=true dns.domain=lab",
    );
    ok(&daemon, "launch busybox web -n lab");
    let leased = cli.wait_ipv4("web");
    assert_eq!(look_up(&daemon, &["web.lab", "A"], GATEWAY), [&*leased]);
    assert_eq!(look_up(&daemon, &["-x", &leased], GATEWAY), ["web.lab."]);
    // A fixed address has its name before anybody asks for it, and the old one has none.
    ok(
        &daemon,
        "config device set web eth0 ipv4.address=10.77.1.77",
    );
    soon("the new address has the name", || {
        look_up(&daemon, &["-x", "10.77.1.77"], GATEWAY) == ["web.lab."]
    });
    let addresses = look_up(&daemon, &["web.lab", "A"], GATEWAY);
    assert!(
        addresses.contains(&"10.77.1.77".to_owned()),
        "{addresses:?}"
    );
    ok(&daemon, "restart -f web");
    soon("it gets the address", || {
        cli.exec("web", &["ip", "-4", "address"])
            .contains("10.77.1.77")
    });
    assert_eq!(look_up(&daemon, &["web.lab", "A"], GATEWAY), ["10.77.1.77"]);
    let listed = ok(&daemon, "network list-leases lab -f csv");
    let fixed = listed.contains("web") && listed.contains("STATIC");
    assert!(fixed, "{listed}");
    assert!(listed.contains("GATEWAY"), "{listed}");
    let info = ok(&daemon, "network info lab");
    assert!(info.contains(GATEWAY) && info.contains("web"), "{info}");
    // Who is on another network is no neighbour.
    assert_eq!(
        look_up(&daemon, &["c1.lab", "A"], GATEWAY),
        Vec::<String>::new()
    );
    // Renamed, it is no longer found by what it was called.
    ok(&daemon, "launch busybox old -n lab");
    let leased = cli.wait_ipv4("old");
    ok(&daemon, "rename old new");
    soon("the new name leads there", || {
        look_up(&daemon, &["new.lab", "A"], GATEWAY) == [&*leased]
    });
    soon("the old one is gone", || {
        look_up(&daemon, &["old.lab", "A"], GATEWAY).is_empty()
    });
    // Nobody upstream is asked for addresses of the subnet.
    assert!(look_up(&daemon, &["-x", "10.77.1.250"], GATEWAY).is_empty());
    ok(&daemon, "delete -f web c1 new");
    ok(&daemon, "network delete lab");
    before.assert_none(&daemon);
}

#[test]
fn ipv6_comes_by_advertisements_and_has_names() {
    require!(root);
    require!(tool "dig");
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    ok(
        &daemon,
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=fd42:77::1/64 dns.domain=lab",
    );
    ok(&daemon, "launch busybox v6 -n lab");
    let address = |name: &str| {
        let shown = cli.exec(name, &["ip", "-6", "-o", "address", "show", "dev", "eth0"]);
        let mut words = shown.split_whitespace();
        let found = words.find(|word| word.starts_with("fd42:77:"))?.to_owned();
        Some(found.split('/').next()?.to_owned())
    };
    soon("an address by SLAAC", || address("v6").is_some());
    let routes = cli.exec("v6", &["ip", "-6", "route"]);
    assert!(routes.contains("default via fe80::"), "{routes}");
    soon("it reaches its gateway", || {
        cli.run([
            "exec",
            "v6",
            "--",
            "ping6",
            "-c",
            "1",
            "-W",
            "1",
            "fd42:77::1",
        ])
        .code
            == 0
    });
    // dnsmasq learns it by asking who is there (ra-names).
    let own = address("v6").unwrap();
    eventually("the name of it", Duration::from_secs(20), || {
        look_up(&daemon, &["v6.lab", "AAAA"], GATEWAY).contains(&own)
    });
    // Nobody sends from an address that is not its own.
    let state = cli.instance("v6").unwrap();
    let init = state["state"]["pid"].as_u64().unwrap().to_string();
    let add = ["nsenter", "-t", &init, "-n", "ip", "address", "add"];
    let strange = ["fd42:77::bad/64", "dev", "eth0", "nodad"];
    daemon.world().run(&[&add[..], &strange].concat());
    let ping = |from: &str| {
        let ping = ["exec", "v6", "--", "ping6", "-c", "1", "-W", "1", "-I"];
        let line = ping.into_iter().chain([from, "fd42:77::1"]);
        cli.run(line).code == 0
    };
    soon("a strange address works", || ping("fd42:77::bad"));
    ok(
        &daemon,
        "config device set v6 eth0 security.ipv6_filtering=true",
    );
    assert!(!ping("fd42:77::bad"), "a strange address passed");
    soon("its own still works", || ping(&own));
}

#[test]
fn dhcpv6_gives_out_addresses() {
    require!(root);
    let daemon = Daemon::initialized();
    let files = rlxc_tests::image::debian().unwrap();
    let mut line = vec!["image".to_owned(), "import".to_owned()];
    line.extend(files.iter().map(|file| file.display().to_string()));
    line.extend(["--alias".to_owned(), "debian".to_owned()]);
    daemon.cli().ok_within(
        Duration::from_secs(120),
        &line.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    ok(
        &daemon,
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=fd42:77::1/64 ipv6.dhcp.stateful=true",
    );
    ok(&daemon, "create debian d1 -n lab");
    ok(
        &daemon,
        "config device set d1 eth0 ipv6.address=fd42:77::99",
    );
    ok(&daemon, "start d1");
    let cli = daemon.cli();
    eventually("the fixed address", Duration::from_secs(60), || {
        let shown = cli.run(["exec", "d1", "--", "ip", "-6", "address"]).stdout;
        shown.contains("fd42:77::99/128")
    });
    let leases = ok(&daemon, "network list-leases lab -f csv");
    assert!(leases.contains("fd42:77::99"), "{leases}");
}

fn dnsmasq_pid(daemon: &Daemon, network: &str) -> Option<u32> {
    let script = format!("cat $(find /run -name dnsmasq-{network}.pid)");
    let output = daemon.world().enter(["sh", "-c", &script]).output().ok()?;
    output.stdout.trim().parse().ok()
}

#[test]
fn dnsmasq_is_nobody_and_is_started_again_at_once() {
    require!(root);
    require!(tool "dig");
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().wait_ipv4("c1");
    let gateway = ok(&daemon, "network get rlxcbr0 ipv4.address");
    let gateway = gateway.split('/').next().unwrap().to_owned();
    let first = dnsmasq_pid(&daemon, "rlxcbr0").expect("its pid file");
    let status = format!("/proc/{first}/status");
    let status = daemon.world().run(&["cat", &status]).stdout;
    let uid = status.lines().find(|line| line.starts_with("Uid:"));
    assert!(uid.is_some_and(|line| !line.contains("\t0\t")), "{status}");

    // It outlives the daemon, and is the same afterwards.
    daemon.kill();
    assert_eq!(look_up(&daemon, &["c1.rlxc", "A"], &gateway).len(), 1);
    daemon.start();
    assert_eq!(dnsmasq_pid(&daemon, "rlxcbr0"), Some(first));

    daemon.world().run(&["kill", "-9", &first.to_string()]);
    soon("another one answers", || {
        look_up(&daemon, &["c1.rlxc", "A"], &gateway).len() == 1
    });
    assert_ne!(dnsmasq_pid(&daemon, "rlxcbr0"), Some(first));
    let warnings = ok(&daemon, "warning list -f csv");
    assert!(warnings.contains("Network mended"), "{warnings}");
}

#[test]
fn a_resolver_of_the_host_is_no_hindrance() {
    require!(root);
    require!(tool "dig");
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    let dir: PathBuf = daemon.dir().to_owned();
    let file = dir.with_file_name("host-resolver.pid");
    let pid_file = format!("--pid-file={}", file.display());
    daemon.world().run(&[
        "dnsmasq",
        "--conf-file=/dev/null",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--address=/host.test/192.0.2.99",
        &pid_file,
    ]);
    daemon.start();
    ok(
        &daemon,
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=none",
    );
    let host = || look_up(&daemon, &["host.test", "A"], "127.0.0.1");
    assert_eq!(host(), ["192.0.2.99"]);
    assert_eq!(
        look_up(&daemon, &["lab.rlxc", "A"], GATEWAY),
        Vec::<String>::new()
    );
    // One that takes all addresses leaves none for us, and is named as the reason.
    ok(&daemon, "network delete lab");
    let kill = format!("kill $(cat {})", file.display());
    daemon.world().run(&["sh", "-c", &kill]);
    soon("its port is free", || host().is_empty());
    let script = "import socket\nu = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nu.bind(('0.0.0.0', 53))\n\
                  t = socket.socket()\nt.bind(('0.0.0.0', 53))\nt.listen()\nprint('there', flush=True)\n__import__('time').sleep(600)";
    let greedy = daemon.world().enter(["python3", "-c", script]);
    let mut greedy = greedy
        .command()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(greedy.stdout.as_mut().unwrap()),
        &mut said,
    )
    .unwrap();
    let text = daemon.cli().fails(["network", "create", "lab"]);
    assert!(text.contains("another DNS or DHCP server"), "{text}");
    assert!(!ok(&daemon, "network list -f csv").contains("lab"));
    greedy.kill().unwrap();
    greedy.wait().unwrap();
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn another_host_on_the_bridge_is_served_as_well() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let other = World::new(Uplink::Isolated).unwrap();
    daemon.world().connect(&other);
    // An interface with addresses is in use by the host.
    let text = daemon.cli().fails([
        "network",
        "create",
        "lab",
        "bridge.external_interfaces=cable0",
    ]);
    assert!(
        text.contains("`cable0`") && text.contains("address"),
        "{text}"
    );
    for world in [daemon.world(), &other] {
        world.run(&["ip", "address", "flush", "dev", "cable0"]);
    }
    let text = daemon.cli().fails([
        "network",
        "create",
        "lab",
        "bridge.external_interfaces=absent0",
    ]);
    assert!(text.contains("`absent0`"), "{text}");
    ok(
        &daemon,
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=none bridge.external_interfaces=cable0 bridge.mtu=1400",
    );
    ok(&daemon, "launch busybox e1 -n lab");
    let address = daemon.cli().wait_ipv4("e1");
    let link = daemon.cli().exec("e1", &["ip", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1400"), "{link}");
    let dhcp = "printf '#!/bin/sh\\n[ \"$1\" != bound ] || ip address add $ip/24 dev $interface\\n' > /run/script; chmod 755 /run/script; \
                busybox udhcpc -i cable0 -n -q -t 10 -T 1 -s /run/script";
    other.run(&["sh", "-c", dhcp]);
    other.run(&["ping", "-c", "1", "-W", "2", &address]);
    // Out again, it is the host's as before.
    ok(&daemon, "network unset lab bridge.external_interfaces");
    assert_ne!(
        other
            .enter(["ping", "-c", "1", "-W", "1", &address])
            .output()
            .unwrap()
            .code,
        0
    );
    // One that is gone when the daemon starts is no reason for a network to be away.
    ok(&daemon, "network set lab bridge.external_interfaces=cable0");
    let mut daemon = daemon;
    daemon.kill();
    daemon.world().run(&["ip", "link", "delete", "cable0"]);
    daemon.world().run(&["ip", "link", "delete", "lab"]);
    daemon.start();
    let links = daemon
        .world()
        .run(&["ip", "-4", "address", "show", "lab"])
        .stdout;
    assert!(links.contains("10.77.1.1/24"), "{links}");
    let warnings = ok(&daemon, "warning list -f csv");
    assert!(warnings.contains("cable0"), "{warnings}");
    ok(&daemon, "delete -f e1 c1");
    ok(&daemon, "network delete lab");
    drop(other);
    before.assert_none(&daemon);
}

#[test]
fn lines_for_dnsmasq_are_its_own_and_wrong_ones_change_nothing() {
    require!(root);
    require!(tool "dig");
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    ok(
        &daemon,
        "network create lab ipv4.address=10.77.1.1/24 ipv6.address=none",
    );
    ok(
        &daemon,
        "network set lab raw.dnsmasq=address=/x.test/192.0.2.5",
    );
    assert_eq!(look_up(&daemon, &["x.test", "A"], GATEWAY), ["192.0.2.5"]);
    let text = cli.fails(["network", "set", "lab", "raw.dnsmasq=what is this"]);
    assert!(text.contains("dnsmasq"), "{text}");
    assert_eq!(look_up(&daemon, &["x.test", "A"], GATEWAY), ["192.0.2.5"]);
    ok(&daemon, "network set lab dns.mode=none");
    assert_eq!(
        look_up(&daemon, &["x.test", "A"], GATEWAY),
        Vec::<String>::new()
    );
}
