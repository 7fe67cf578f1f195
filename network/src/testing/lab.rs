//! A host with a network and guests on it, each a network namespace, with the real kernel and a real dnsmasq.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rlxc_sys::netns::in_netns;
use rlxc_sys::tool::Tool;

use crate::{
    BridgeSpec, Dnsmasq, DnsmasqDirs, Firewall, Links, Mac, Nftables, NicSpec, PortVlans,
    RtnetlinkLinks, host_interfaces, plan_ruleset, setup_sysctls, testing,
};

pub(crate) const ANSWER: Duration = Duration::from_secs(3);

pub(crate) fn spec() -> BridgeSpec {
    BridgeSpec {
        name: "br0".to_owned(),
        ipv4: Some("10.88.0.1/24".parse().unwrap()),
        ipv6: Some("fd42:88::1/64".parse().unwrap()),
        ipv4_nat: true,
        ipv6_nat: true,
        ipv4_firewall: true,
        ipv6_firewall: true,
        ipv4_dhcp: true,
        ipv6_dhcp: true,
        ..BridgeSpec::default()
    }
}

/// A network as the server makes it.
pub(crate) struct Network {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) dnsmasq: Dnsmasq,
    firewall: Nftables,
}

impl Network {
    pub(crate) async fn up(spec: &BridgeSpec) -> Self {
        Self::up_in(spec, None).await
    }

    /// With dnsmasq in a control group.
    pub(crate) async fn up_in(spec: &BridgeSpec, group: Option<std::path::PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // As /var/lib/rlxc is: not readable, but passable.
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o711),
        )
        .unwrap();
        let dirs = DnsmasqDirs {
            state: dir.path().join("networks"),
            run: dir.path().join("run"),
        };
        let network = Self {
            dir,
            dnsmasq: Dnsmasq::new(dirs).in_group(group),
            firewall: Nftables::new("rlxc"),
        };
        ip("link set lo up");
        setup_sysctls(spec).await.unwrap();
        RtnetlinkLinks.ensure_bridge(spec).await.unwrap();
        network
            .firewall
            .apply(&spec.name, &plan_ruleset(spec))
            .await
            .unwrap();
        network
            .dnsmasq
            .ensure(spec)
            .await
            .unwrap_or_else(|error| panic!("{}", rlxc_sys::chain::chain(&error)));
        network
    }

    pub(crate) async fn down(self, spec: &BridgeSpec) {
        self.dnsmasq.stop(&spec.name).await.unwrap();
        assert!(!self.dnsmasq.is_running(&spec.name).await.unwrap());
        self.firewall.remove(&spec.name).await.unwrap();
        RtnetlinkLinks.delete_bridge(&spec.name).await.unwrap();
        assert_eq!(
            Tool::new("nft").args(["list", "ruleset"]).run().unwrap(),
            b""
        );
        assert!(
            !RtnetlinkLinks
                .list()
                .await
                .unwrap()
                .iter()
                .any(|link| link.ours),
            "a link stays behind"
        );
    }
}

impl Drop for Network {
    /// A test that fails leaves no process behind either.
    fn drop(&mut self) {
        self.dnsmasq.stop_now("br0").unwrap();
    }
}

/// A namespace with a NIC on the bridge.
pub(crate) struct Guest {
    pub(crate) netns: OwnedFd,
    pub(crate) hwaddr: Mac,
}

impl Guest {
    pub(crate) async fn attach(name: &str, number: u64) -> Self {
        let netns = rlxc_sys::netns::new_netns().unwrap();
        let hwaddr = Mac::from_seed(number);
        let nic = NicSpec {
            host_name: name.to_owned(),
            container_name: "eth0".to_owned(),
            bridge: Some("br0".to_owned()),
            hwaddr,
            mtu: None,
            up: false,
            isolated: false,
            vlans: PortVlans::default(),
        };
        RtnetlinkLinks
            .attach_nic(&nic, netns.as_fd())
            .await
            .unwrap();
        in_netns(netns.as_fd(), || {
            ip("link set lo up");
            ip("link set eth0 up");
        })
        .unwrap();
        Self { netns, hwaddr }
    }

    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_netns(self.netns.as_fd(), work).unwrap()
    }

    /// Asks for an address as busybox does, and sets it.
    pub(crate) fn dhcp(&self, dir: &Path) -> Ipv4Addr {
        let script = dir.join("udhcpc.sh");
        let text = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip address add $ip/$mask dev $interface\nip route add default via $router\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        self.inside(|| {
            let arguments = [
                "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "5", "-T", "1", "-s",
            ];
            Tool::new("busybox")
                .args(arguments)
                .args([&script])
                .run()
                .unwrap();
            let interfaces = host_interfaces().unwrap();
            let eth0 = interfaces
                .iter()
                .find(|interface| interface.name == "eth0")
                .unwrap();
            eth0.addresses
                .iter()
                .find_map(|address| {
                    if let IpAddr::V4(v4) = address.address {
                        Some(v4)
                    } else {
                        None
                    }
                })
                .unwrap()
        })
    }

    pub(crate) fn resolve(&self, name: &str, kind: u8) -> Vec<IpAddr> {
        self.inside(|| query(name, kind, SocketAddr::from(([10, 88, 0, 1], 53))).unwrap())
    }
}

pub(crate) fn ip(arguments: &str) {
    Tool::new("ip").args(arguments.split(' ')).run().unwrap();
}

/// A DNS question (1 is A, 28 is AAAA, RFC 1035) and its addresses; none where there is no such name.
pub(crate) fn query(name: &str, kind: u8, server: SocketAddr) -> std::io::Result<Vec<IpAddr>> {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len().try_into().unwrap());
        question.extend(label.bytes());
    }
    question.extend([0, 0, kind, 0, 1]);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket.send_to(&question, server).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let (answer, count) = (&answer[question.len()..length], answer[7]);
    let size = if kind == 1 { 4 } else { 16 };
    // Each record: a pointer to the name, type, class, lifetime, length, address.
    let addresses = answer
        .chunks_exact(12 + size)
        .take(count.into())
        .map(|record| match size {
            4 => IpAddr::from(<[u8; 4]>::try_from(&record[12..]).unwrap()),
            _ => IpAddr::from(<[u8; 16]>::try_from(&record[12..]).unwrap()),
        })
        .collect();
    Ok(addresses)
}

pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(8);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn has_tools() -> bool {
    ["ip", "nft", "dnsmasq", "busybox"]
        .into_iter()
        .all(testing::has_tool)
}

/// The death of a namespace takes its NICs along, a little later.
pub(crate) async fn eventually_gone(names: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(8);
    while RtnetlinkLinks
        .list()
        .await
        .unwrap()
        .iter()
        .any(|link| names.contains(&&*link.name))
    {
        assert!(Instant::now() < deadline, "{names:?} stay");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
