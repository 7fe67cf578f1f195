//! The whole crate at work on the real kernel and a real dnsmasq: a host, two instances and a world outside, each a
//! network namespace of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rlxc_sys::netns::in_netns;
use rlxc_sys::tool::Tool;

use crate::*;

const ANSWER: Duration = Duration::from_secs(3);

fn spec() -> BridgeSpec {
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
struct Network {
    dir: tempfile::TempDir,
    dnsmasq: Dnsmasq,
    firewall: Nftables,
}

impl Network {
    async fn up(spec: &BridgeSpec) -> Self {
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
            dnsmasq: Dnsmasq::new(dirs),
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

    async fn down(self, spec: &BridgeSpec) {
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

/// A namespace with a NIC on the bridge.
struct Guest {
    netns: OwnedFd,
    hwaddr: Mac,
}

impl Guest {
    async fn attach(name: &str, number: u64) -> Self {
        let netns = rlxc_sys::netns::new_netns().unwrap();
        let hwaddr = Mac::from_seed(number);
        let nic = NicSpec {
            host_name: name.to_owned(),
            container_name: "eth0".to_owned(),
            bridge: "br0".to_owned(),
            hwaddr,
            mtu: None,
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

    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_netns(self.netns.as_fd(), work).unwrap()
    }

    /// Asks for an address as busybox does, and sets it.
    fn dhcp(&self, dir: &Path) -> Ipv4Addr {
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

    fn resolve(&self, name: &str, kind: u8) -> Vec<IpAddr> {
        self.inside(|| query(name, kind, SocketAddr::from(([10, 88, 0, 1], 53))))
    }
}

fn ip(arguments: &str) {
    Tool::new("ip").args(arguments.split(' ')).run().unwrap();
}

/// A DNS question (1 is A, 28 is AAAA, RFC 1035) and its addresses; none where there is no such name.
fn query(name: &str, kind: u8, server: SocketAddr) -> Vec<IpAddr> {
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
    let length = socket.recv(&mut answer).unwrap();
    let (answer, count) = (&answer[question.len()..length], answer[7]);
    let size = if kind == 1 { 4 } else { 16 };
    // Each record: a pointer to the name, type, class, lifetime, length, address.
    answer
        .chunks_exact(12 + size)
        .take(count.into())
        .map(|record| match size {
            4 => IpAddr::from(<[u8; 4]>::try_from(&record[12..]).unwrap()),
            _ => IpAddr::from(<[u8; 16]>::try_from(&record[12..]).unwrap()),
        })
        .collect()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(8);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has_tools() -> bool {
    ["ip", "nft", "dnsmasq", "busybox"]
        .into_iter()
        .all(testing::has_tool)
}

#[test]
fn instances_get_addresses_and_names() {
    if !has_tools() {
        return;
    }
    testing::in_fresh_netns(|| async {
        let network = Network::up(&spec()).await;
        let (one, two) = (
            Guest::attach("veth1", 1).await,
            Guest::attach("veth2", 2).await,
        );
        for (name, guest, ipv4) in [
            ("dev1", &one, None),
            ("dev2", &two, Some(Ipv4Addr::new(10, 88, 0, 77))),
        ] {
            let host = Host {
                name: name.to_owned(),
                hwaddr: guest.hwaddr,
                ipv4,
                ipv6: None,
            };
            network.dnsmasq.set_host("br0", host).await.unwrap();
        }
        let begun = Instant::now();
        let first = one.dhcp(network.dir.path());
        println!("udhcpc: {:?}", begun.elapsed());
        assert_eq!(one.resolve("dev1.rlxc", 1), [first]);
        // A fixed address has its name before any lease.
        let fixed = Ipv4Addr::new(10, 88, 0, 77);
        eventually("the fixed name", || {
            (two_names(&one) == [fixed]).then_some(())
        });
        assert_eq!(two.dhcp(network.dir.path()), fixed);
        assert_eq!(one.resolve("nobody.rlxc", 1), [] as [IpAddr; 0]);

        let mut leases = network.dnsmasq.leases("br0").await.unwrap();
        leases.sort_by_key(|lease| lease.hostname.clone());
        let leases: Vec<_> = leases
            .iter()
            .map(|lease| (lease.hostname.as_deref(), lease.hwaddr, lease.address))
            .collect();
        assert_eq!(
            leases,
            [
                (Some("dev1"), Some(one.hwaddr), first.into()),
                (Some("dev2"), Some(two.hwaddr), fixed.into())
            ]
        );

        // Instances reach each other.
        let listener = two.inside(|| UdpSocket::bind((fixed, 7000)).unwrap());
        listener.set_read_timeout(Some(ANSWER)).unwrap();
        one.inside(|| {
            UdpSocket::bind((first, 0))
                .unwrap()
                .send_to(b"hello", (fixed, 7000))
                .unwrap()
        });
        assert_eq!(listener.recv_from(&mut [0; 9]).unwrap().1.ip(), first);

        // A removed host loses its name and gives back its lease.
        network
            .dnsmasq
            .remove_host("br0", one.hwaddr)
            .await
            .unwrap();
        eventually("the end of the name", || {
            two.resolve("dev1.rlxc", 1).is_empty().then_some(())
        });
        network
            .dnsmasq
            .remove_host("br0", two.hwaddr)
            .await
            .unwrap();
        eventually("the end of the fixed name", || {
            two_names(&two).is_empty().then_some(())
        });
        assert_eq!(network.dnsmasq.leases("br0").await.unwrap(), []);
        drop((one, two));
        eventually_gone(&["veth1", "veth2"]).await;
        network.down(&spec()).await;
    });
}

fn two_names(guest: &Guest) -> Vec<IpAddr> {
    guest.resolve("dev2.rlxc", 1)
}

/// The death of a namespace takes its NICs along, a little later.
async fn eventually_gone(names: &[&str]) {
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

#[test]
fn instances_configure_ipv6_by_themselves() {
    if !has_tools() {
        return;
    }
    testing::in_fresh_netns(|| async {
        let network = Network::up(&spec()).await;
        let guest = Guest::attach("veth1", 1).await;
        let view = NetnsView::open(guest.netns.as_fd()).unwrap();
        let wanted = IpAddr::from(ipam::eui64(spec().ipv6.unwrap(), guest.hwaddr));
        let begun = Instant::now();
        eventually("an address by SLAAC", || {
            let interfaces = view.interfaces().unwrap();
            let eth0 = interfaces
                .iter()
                .find(|interface| interface.name == "eth0")?;
            eth0.addresses
                .iter()
                .find(|address| address.address == wanted && !address.tentative)
                .cloned()
        });
        println!("SLAAC: {:?}", begun.elapsed());
        drop((guest, view));
        eventually_gone(&["veth1"]).await;
        network.down(&spec()).await;
    });
}

#[test]
fn instances_reach_the_world_by_nat() {
    if !has_tools() {
        return;
    }
    testing::in_fresh_netns(|| async {
        let world = rlxc_sys::netns::new_netns().unwrap();
        ip("link add up0 type veth peer name up1");
        // The peer has no name for its namespace but our file descriptor.
        let path = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            std::os::fd::AsRawFd::as_raw_fd(&world)
        );
        Tool::new("ip")
            .args(["link", "set", "up1", "netns", &path])
            .run()
            .unwrap();
        ip("address add 192.0.2.2/24 dev up0");
        ip("link set up0 up");
        ip("route add default via 192.0.2.1");
        let listener = in_netns(world.as_fd(), || {
            ip("address add 192.0.2.1/24 dev up1");
            ip("link set up1 up");
            UdpSocket::bind("192.0.2.1:7000").unwrap()
        })
        .unwrap();
        listener.set_read_timeout(Some(ANSWER)).unwrap();
        let uplink = RtnetlinkLinks.host().await.unwrap().uplink_ipv4;
        assert_eq!(
            uplink,
            Some(Uplink {
                name: "up0".to_owned(),
                mtu: 1500
            })
        );

        let network = Network::up(&spec()).await;
        let guest = Guest::attach("veth1", 1).await;
        guest.dhcp(network.dir.path());
        let socket = guest.inside(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(ANSWER)).unwrap();
        socket.send_to(b"ping", "192.0.2.1:7000").unwrap();
        let mut bytes = [0; 9];
        let (_, peer) = listener.recv_from(&mut bytes).unwrap();
        assert_eq!(
            peer.ip(),
            IpAddr::from([192, 0, 2, 2]),
            "the host's address, not the instance's"
        );
        listener.send_to(b"pong", peer).unwrap();
        assert_eq!(socket.recv(&mut bytes).unwrap(), 4);

        // The bridge's resolver is not for the world.
        let asked = in_netns(world.as_fd(), || {
            ip("route add 10.88.0.0/24 via 192.0.2.2");
            std::panic::catch_unwind(|| {
                query("dev1.rlxc", 1, SocketAddr::from(([10, 88, 0, 1], 53)))
            })
        });
        assert!(asked.unwrap().is_err(), "DNS answered to a stranger");
        drop(guest);
        eventually_gone(&["veth1"]).await;
        network.down(&spec()).await;
    });
}

#[test]
fn dnsmasq_is_found_again_and_replaced_only_when_needed() {
    if !has_tools() {
        return;
    }
    testing::in_fresh_netns(|| async {
        let network = Network::up(&spec()).await;
        let pid_file = network.dir.path().join("run/dnsmasq-br0.pid");
        let pid = || std::fs::read_to_string(&pid_file).unwrap();
        let first = pid();
        network.dnsmasq.ensure(&spec()).await.unwrap();
        assert_eq!(pid(), first, "the same configuration keeps the process");
        let changed = BridgeSpec {
            dns_domain: Some("lab".to_owned()),
            ..spec()
        };
        network.dnsmasq.ensure(&changed).await.unwrap();
        assert_ne!(pid(), first);
        // A pid file that points to somebody else kills nobody.
        let second = pid();
        std::fs::write(&pid_file, std::process::id().to_string()).unwrap();
        assert!(!network.dnsmasq.is_running("br0").await.unwrap());
        std::fs::write(&pid_file, &second).unwrap();
        // The bridge is made anew: dnsmasq's sockets are bound to the old one.
        RtnetlinkLinks.delete_bridge("br0").await.unwrap();
        RtnetlinkLinks.ensure_bridge(&spec()).await.unwrap();
        network.dnsmasq.ensure(&changed).await.unwrap();
        assert_ne!(pid(), second);
        network.down(&spec()).await;
    });
}

#[test]
fn tells_who_holds_the_address() {
    if !has_tools() {
        return;
    }
    testing::in_fresh_netns(|| async {
        ip("link set lo up");
        let _other = UdpSocket::bind("0.0.0.0:53").unwrap();
        RtnetlinkLinks.ensure_bridge(&spec()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dnsmasq = Dnsmasq::new(DnsmasqDirs {
            state: dir.path().into(),
            run: dir.path().into(),
        });
        let error = dnsmasq.ensure(&spec()).await.unwrap_err();
        assert!(
            error.to_string().contains("another DNS or DHCP server"),
            "{}",
            rlxc_sys::chain::chain(&error)
        );
        dnsmasq.stop("br0").await.unwrap();
        RtnetlinkLinks.delete_bridge("br0").await.unwrap();
    });
}
