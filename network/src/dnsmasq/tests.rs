//! Snapshots of the configuration, and real dnsmasqs in namespaces of their own.

use super::*;

fn spec() -> BridgeSpec {
    BridgeSpec {
        name: "br0".to_owned(),
        ipv4: Some("10.88.0.1/24".parse().unwrap()),
        ipv6: Some("fd42:88::1/64".parse().unwrap()),
        ipv4_dhcp: true,
        ipv6_dhcp: true,
        ..BridgeSpec::default()
    }
}

fn rendered(spec: &BridgeSpec) -> String {
    let dnsmasq = Dnsmasq::new(DnsmasqDirs {
        state: "/state".into(),
        run: "/run".into(),
    });
    let settings = config::Settings {
        user: "dnsmasq".to_owned(),
        index: 3,
    };
    config::render(spec, &dnsmasq.files(&spec.name), &settings)
}

#[test]
fn renders_the_default() {
    insta::assert_snapshot!(rendered(&spec()));
}

#[test]
fn renders_what_differs() {
    let spec = BridgeSpec {
        ipv6_stateful: true,
        ipv4_dhcp_ranges: vec![("10.88.0.50".parse().unwrap(), "10.88.0.60".parse().unwrap())],
        dhcp_expiry: Some("10m".to_owned()),
        mtu: Some(1400),
        dns_domain: Some("lab".to_owned()),
        dns_mode: crate::DnsMode::Dynamic,
        raw_dnsmasq: Some("log-queries\n".to_owned()),
        ..spec()
    };
    insta::assert_snapshot!(rendered(&spec));
}

#[test]
fn renders_no_dns_and_no_dhcp() {
    let spec = BridgeSpec {
        ipv4_dhcp: false,
        ipv6_dhcp: false,
        dns_mode: crate::DnsMode::None,
        ..spec()
    };
    insta::assert_snapshot!(rendered(&spec));
}

#[test]
fn chooses_an_unprivileged_user() {
    assert_eq!(
        config::choose_user("root:x:0\nnobody:x:65534\ndnsmasq:x:999\n"),
        "dnsmasq"
    );
    assert_eq!(config::choose_user("root:x:0\nnobody:x:65534\n"), "nobody");
    assert_eq!(config::choose_user(""), "root");
}
