//! DNS zones: what secondary servers get, and who gets nothing.

use rlxc_tests::{Daemon, require};

use super::daemon_with_c1;

const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTE=";

/// Answers come from here unless a test says otherwise.
const SERVER: &str = "127.0.0.1";

fn dig(daemon: &Daemon, options: &[&str], zone: &str) -> String {
    let server = format!("@{SERVER}");
    let line = ["dig", &server, "-p", "5353", "+tries=1", "+time=3"];
    let line = line.iter().chain(options).copied().chain([zone, "AXFR"]);
    let answer = daemon.world().enter(line).output().unwrap().stdout;
    // Tabs and blanks between fields are dig's taste.
    let lines = answer.lines().map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn ok(daemon: &Daemon, line: &str) -> String {
    daemon.cli().ok(line.split_whitespace())
}

#[track_caller]
fn refused(daemon: &Daemon, line: &str, why: &str) {
    let text = daemon.cli().fails(line.split_whitespace());
    assert!(text.contains(why), "{line}: {text}");
}

/// The reverse zone of a /24, and the name of an address in it.
fn reverse_of(address: &str) -> (String, String) {
    let mut parts: Vec<&str> = address.split('.').rev().collect();
    let last = parts.remove(0);
    let zone = format!("{}.in-addr.arpa", parts.join("."));
    let name = format!("{last}.{zone}.");
    (zone, name)
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn a_zone_has_the_instances_and_goes_to_its_peers_alone() {
    require!(root);
    require!(tool "dig");
    let (mut daemon, before) = daemon_with_c1();
    let address = daemon.cli().wait_ipv4("c1");
    let (reverse, pointer) = reverse_of(&address);
    ok(&daemon, "config set core.dns_address 127.0.0.1:5353");
    ok(
        &daemon,
        "network zone create lab.example dns.nameservers=ns1.lab.example",
    );
    let create = format!("network zone create {reverse} peers.one.address={SERVER}");
    ok(&daemon, &create);
    ok(&daemon, "network set rlxcbr0 dns.zone.forward=lab.example");
    let set = format!("network set rlxcbr0 dns.zone.reverse.ipv4={reverse}");
    ok(&daemon, &set);
    assert!(
        !dig(&daemon, &[], "lab.example").contains(" SOA "),
        "it has no peers"
    );

    let set = format!("network zone set lab.example peers.one.address={SERVER}");
    ok(&daemon, &set);
    let zone = dig(&daemon, &[], "lab.example");
    assert_eq!(zone.matches(" IN SOA ").count(), 2, "{zone}");
    for line in [
        "lab.example. 300 IN NS ns1.lab.example.".to_owned(),
        format!("c1.lab.example. 300 IN A {address}"),
        "rlxcbr0.gw.lab.example. 300 IN A ".to_owned(),
        "c1.lab.example. 300 IN AAAA fd42".to_owned(),
    ] {
        assert!(zone.contains(&line), "{line}: {zone}");
    }
    let zone = dig(&daemon, &[], &reverse);
    let line = format!("{pointer} 300 IN PTR c1.lab.example.");
    assert!(zone.contains(&line), "{zone}");

    // By a key instead of an address, which is still known after the daemon was killed.
    ok(&daemon, "network zone unset lab.example peers.one.address");
    let set = format!("network zone set lab.example peers.one.key={SECRET}");
    ok(&daemon, &set);
    assert!(!dig(&daemon, &[], "lab.example").contains(&address));
    daemon.kill();
    daemon.start();
    for algorithm in ["hmac-sha256", "hmac-sha512"] {
        let key = format!("{algorithm}:lab.example_one:{SECRET}");
        let zone = dig(&daemon, &["-y", &key], "lab.example");
        assert!(zone.contains(&address), "{zone}");
        assert!(!zone.contains("could not be validated"), "{zone}");
        let wrong = key.replace("LTE=", "LTI=");
        assert!(!dig(&daemon, &["-y", &wrong], "lab.example").contains(&address));
    }

    refused(
        &daemon,
        "network zone delete lab.example",
        "/1.0/networks/rlxcbr0",
    );
    ok(&daemon, "network unset rlxcbr0 dns.zone.forward");
    ok(&daemon, "network unset rlxcbr0 dns.zone.reverse.ipv4");
    ok(
        &daemon,
        &format!("network zone delete lab.example {reverse}"),
    );
    ok(&daemon, "config unset core.dns_address");
    ok(&daemon, "delete -f c1");
    before.assert_none(&daemon);
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn records_are_checked_and_given_out() {
    require!(root);
    require!(tool "dig");
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    ok(&daemon, "config set core.dns_address :5353");
    let create = format!("network zone create lab.example peers.one.address={SERVER}");
    ok(&daemon, &create);
    ok(&daemon, "network zone record create lab.example demo");
    let entry = "network zone record entry add lab.example demo";
    let mut words: Vec<&str> = entry.split(' ').collect();
    words.extend(["TXT", "\"hello $ world\"", "--ttl", "60"]);
    cli.ok(words);
    let zone = dig(&daemon, &[], "lab.example");
    let line = "demo.lab.example. 60 IN TXT \"hello $ world\"";
    assert!(zone.contains(line), "{zone}");
    // The address of the socket changes, to one that the old one is in the way of, and to one that can't be had.
    ok(&daemon, "config set core.dns_address 127.0.0.1:5353");
    assert!(dig(&daemon, &[], "lab.example").contains(line));
    refused(
        &daemon,
        "config set core.dns_address 203.0.113.9:5353",
        "203.0.113.9",
    );
    assert!(dig(&daemon, &[], "lab.example").contains(line));

    let far = format!("{entry} A 192.0.2.1 --ttl 4294967296");
    for (line, why) in [
        ("network zone create lab.example", "already"),
        (
            "network zone create -- -lab",
            "is no name for a network zone",
        ),
        ("network zone create a.example peers.x=1", "peers.x"),
        (
            "network zone create a.example peers.x.address=home",
            "peers.x.address",
        ),
        ("network zone create a.example peers.x.key=!", "peers.x.key"),
        (
            "network zone create a.example network.nat=maybe",
            "network.nat",
        ),
        ("network zone show a.example", "a.example"),
        ("network zone record create a.example x", "a.example"),
        ("network zone record create lab.example demo", "demo"),
        ("network zone record create lab.example a..b", "a..b"),
        ("network zone record create lab.example x what=1", "what"),
        (
            "network set rlxcbr0 dns.zone.forward=a.example",
            "`dns.zone.forward=a.example`",
        ),
        (
            "network set rlxcbr0 dns.zone.reverse.ipv6=a.example",
            "a.example",
        ),
        ("config set core.dns_address nowhere", "core.dns_address"),
        (&format!("{entry} A nowhere"), "record `demo`"),
        (&format!("{entry} WHAT x"), "record `demo`"),
        (&format!("{entry} SOA x"), "one SOA"),
        (&format!("{entry} A 192.0.2.256"), "record `demo`"),
        (&far, "ttl 4294967296"),
        (
            "network zone record entry remove lab.example demo A 192.0.2.9",
            "no such entry",
        ),
    ] {
        refused(&daemon, line, why);
    }
}

#[test]
fn projects_have_zones_of_their_own() {
    require!(root);
    require!(tool "dig");
    let (daemon, _) = daemon_with_c1();
    daemon.cli().wait_ipv4("c1");
    ok(&daemon, "config set core.dns_address 127.0.0.1:5353");
    let peer = format!("peers.one.address={SERVER}");
    ok(&daemon, &format!("network zone create lab.example {peer}"));
    ok(
        &daemon,
        "project create team -c features.networks.zones=true -c features.images=false -c features.profiles=false",
    );
    let create = format!("network zone create team.example {peer} --project team");
    ok(&daemon, &create);
    refused(
        &daemon,
        "network zone create lab.example --project team",
        "already",
    );
    refused(&daemon, "network zone show team.example", "team.example");
    ok(
        &daemon,
        "network set rlxcbr0 dns.zone.forward=lab.example,team.example",
    );
    ok(&daemon, "init busybox c2 --project team");
    ok(&daemon, "config device override c2 eth0 --project team");
    let has = |zone: &str, name: &str| {
        let answer = dig(&daemon, &[], zone);
        answer.contains(&format!("{name}.{zone}. 300 IN AAAA "))
    };
    assert!(has("lab.example", "c1") && !has("lab.example", "c2"));
    assert!(has("team.example", "c2") && !has("team.example", "c1"));
    let list = ok(&daemon, "network zone list --format csv");
    assert!(list.contains("lab.example") && !list.contains("team.example"));
    let everywhere = ok(&daemon, "network zone list --all-projects --format csv");
    assert!(everywhere.contains("default,lab.example"), "{everywhere}");
    assert!(everywhere.contains("team,team.example"), "{everywhere}");
    refused(&daemon, "project delete team", "team");

    // A restricted one has those that it is told of, and what is in them.
    ok(
        &daemon,
        "project create guests -c features.networks.zones=true -c restricted=true -c restricted.networks.zones=guests.example",
    );
    refused(
        &daemon,
        "network zone create other.example --project guests",
        "restricted.networks.zones",
    );
    ok(
        &daemon,
        "network zone create a.guests.example --project guests",
    );
}
