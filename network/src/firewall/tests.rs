//! Snapshots of the rendered text, and one conformance suite for the recorder and for nftables.

use rlxc_sys::tool::Tool;

use super::acl::Memory;
use super::*;
use crate::{BridgeSpec, testing};

fn full() -> BridgeSpec {
    BridgeSpec {
        name: "br0".to_owned(),
        ipv4: Some("10.1.2.1/24".parse().unwrap()),
        ipv6: Some("fd42:1:2:3::1/64".parse().unwrap()),
        ipv4_nat: true,
        ipv6_nat: true,
        ipv4_firewall: true,
        ipv6_firewall: true,
        hwaddr: Some("00:16:3e:00:00:01".parse().unwrap()),
        ..BridgeSpec::default()
    }
}

/// A NIC whose ACLs let nothing pass but what all need.
fn closed() -> NicRules {
    let drop = DefaultAction {
        action: Action::Drop,
        log: None,
    };
    NicRules {
        host_name: "veth1".to_owned(),
        hwaddr: "00:16:3e:00:00:02".parse().unwrap(),
        mac: false,
        ipv4: None,
        ipv6: None,
        policy: Some(Policy {
            ingress: Vec::new(),
            egress: Vec::new(),
            default_ingress: drop.clone(),
            default_egress: drop,
        }),
        rate_from: None,
        rate_to: None,
        priority: None,
    }
}

#[test]
fn an_acl_leaves_the_services_of_the_bridge_open_and_those_of_others_not() {
    let rules = Ruleset {
        nics: vec![closed()],
        ..plan_ruleset(&full())
    };
    let text = render::render("rlxc_br0", &rules, false, Memory::None);
    let nics = text.split_once("table bridge").unwrap().1;
    insta::assert_snapshot!(nics);
}

#[test]
fn renders_all() {
    insta::assert_snapshot!(render::render(
        "rlxc_br0",
        &plan_ruleset(&full()),
        false,
        Memory::None
    ));
}

#[test]
fn renders_nat_only() {
    let spec = BridgeSpec {
        ipv6: None,
        ipv4_firewall: false,
        ..full()
    };
    insta::assert_snapshot!(render::render(
        "rlxc_br0",
        &plan_ruleset(&spec),
        false,
        Memory::None
    ));
}

#[test]
fn a_routed_network_without_firewall_needs_no_table() {
    let spec = BridgeSpec {
        ipv4_nat: false,
        ipv6_nat: false,
        ipv4_firewall: false,
        ipv6_firewall: false,
        ..full()
    };
    assert!(!plan_ruleset(&spec).needs_table());
}

async fn suite(firewall: &dyn Firewall) {
    assert_eq!(firewall.networks().await.unwrap(), [""; 0]);
    assert!(!firewall.verify("net.1").await.unwrap());
    let rules = plan_ruleset(&full());
    for _ in 0..2 {
        firewall.apply("net.1", &rules).await.unwrap();
        firewall
            .apply(
                "net_2",
                &plan_ruleset(&BridgeSpec {
                    name: "br1".to_owned(),
                    ..full()
                }),
            )
            .await
            .unwrap();
    }
    let mut networks = firewall.networks().await.unwrap();
    networks.sort();
    assert_eq!(networks, ["net.1", "net_2"]);
    assert!(firewall.verify("net.1").await.unwrap());
    firewall.apply("net.1", &Ruleset::default()).await.unwrap();
    assert_eq!(firewall.networks().await.unwrap(), ["net_2"]);
    for _ in 0..2 {
        firewall.remove("net.1").await.unwrap();
        firewall.remove("net_2").await.unwrap();
    }
    assert_eq!(firewall.networks().await.unwrap(), [""; 0]);
}

#[test]
fn the_recorder_conforms() {
    testing::in_fresh_netns(|| async { suite(&RecordingFirewall::default()).await });
}

#[test]
fn nftables_conforms() {
    if !testing::has_tool("nft") {
        return;
    }
    testing::in_fresh_netns(|| async { suite(&Nftables::new("rlxctest")).await });
}

#[test]
fn nftables_notices_what_others_did() {
    if !testing::has_tool("nft") {
        return;
    }
    testing::in_fresh_netns(|| async {
        let firewall = Nftables::new("rlxc");
        let rules = plan_ruleset(&full());
        for vandal in [
            "flush ruleset",
            "flush table inet rlxc_net",
            "delete table inet rlxc_net",
        ] {
            firewall.apply("net", &rules).await.unwrap();
            assert!(firewall.verify("net").await.unwrap());
            Tool::new("nft").args(vandal.split(' ')).run().unwrap();
            assert!(!firewall.verify("net").await.unwrap(), "{vandal}");
        }
        assert_eq!(firewall.findings().await.unwrap(), []);
        let drop = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; };\n";
        Tool::new("nft")
            .args(["-f", "-"])
            .input(drop)
            .run()
            .unwrap();
        assert_eq!(firewall.findings().await.unwrap().len(), 1);
    });
}

fn iptables(arguments: &str) -> String {
    let text = Tool::new("iptables")
        .args(arguments.split(' '))
        .run()
        .unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn docker_is_asked_to_let_bridges_pass() {
    if !testing::has_tool("nft") || !testing::has_tool("iptables") {
        return;
    }
    testing::in_fresh_netns(|| async {
        let firewall = Nftables::new("rlxc");
        let rules = plan_ruleset(&full());
        firewall.apply("net", &rules).await.unwrap();
        firewall.remove("net").await.unwrap();
        assert_eq!(
            Tool::new("nft").args(["list", "ruleset"]).run().unwrap(),
            b"",
            "without Docker nothing is touched"
        );

        iptables("-N DOCKER-USER");
        iptables("-P FORWARD DROP");
        iptables("-A FORWARD -j DOCKER-USER");
        let before = iptables("-S");
        for _ in 0..2 {
            firewall.apply("net", &rules).await.unwrap();
        }
        let during = iptables("-S DOCKER-USER");
        assert_eq!(during.matches("-j ACCEPT").count(), 2, "{during}");
        assert!(
            during.contains("-A DOCKER-USER -i br0") && during.contains("-A DOCKER-USER -o br0"),
            "{during}"
        );
        assert_eq!(firewall.findings().await.unwrap().len(), 1);
        assert!(firewall.verify("net").await.unwrap());
        iptables("-F DOCKER-USER");
        assert!(!firewall.verify("net").await.unwrap());
        firewall.apply("net", &rules).await.unwrap();
        assert!(firewall.verify("net").await.unwrap());
        let closed = Ruleset {
            pass_ipv4: false,
            ..rules
        };
        firewall.apply("net", &closed).await.unwrap();
        assert_eq!(iptables("-S"), before);
        firewall.remove("net").await.unwrap();
        assert_eq!(iptables("-S"), before);
    });
}
