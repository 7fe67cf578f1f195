//! The whole crate at work: a host, two instances and a world outside, each a network namespace of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Instant;

use rlxc_sys::netns::in_netns;
use rlxc_sys::tool::Tool;

use crate::testing::lab::{
    ANSWER, Guest, Network, eventually, eventually_gone, has_tools, ip, query, spec,
};
use crate::{
    BridgeSpec, Dnsmasq, DnsmasqDirs, Host, Links, Mac, NetnsView, NicSpec, PortVlans,
    RtnetlinkLinks, Uplink, ipam, testing,
};

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
            (one.resolve("dev2.rlxc", 1) == [fixed]).then_some(())
        });
        assert_eq!(two.dhcp(network.dir.path()), fixed);
        assert_eq!(one.resolve("nobody.rlxc", 1), [] as [IpAddr; 0]);

        leases_are(&network, [("dev1", &one, first), ("dev2", &two, fixed)]).await;

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

        forget_hosts(&network, &one, &two).await;
        assert_eq!(network.dnsmasq.leases("br0").await.unwrap(), []);
        // Sockets keep a namespace alive as much as processes do.
        drop((one, two, listener));
        eventually_gone(&["veth1", "veth2"]).await;
        network.down(&spec()).await;
    });
}

async fn leases_are(network: &Network, expected: [(&str, &Guest, Ipv4Addr); 2]) {
    let mut leases = network.dnsmasq.leases("br0").await.unwrap();
    leases.sort_by_key(|lease| lease.hostname.clone());
    let leases: Vec<_> = leases
        .iter()
        .map(|lease| (lease.hostname.as_deref(), lease.hwaddr, lease.address))
        .collect();
    let expected = expected
        .map(|(name, guest, address)| (Some(name), Some(guest.hwaddr), IpAddr::from(address)));
    assert_eq!(leases, expected);
}

async fn forget_hosts(network: &Network, one: &Guest, two: &Guest) {
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
        two.resolve("dev2.rlxc", 1).is_empty().then_some(())
    });
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
        let ports = crate::host_interfaces().unwrap();
        let port = ports
            .iter()
            .find(|interface| interface.name == "veth1")
            .unwrap();
        assert_eq!(
            port.addresses,
            [],
            "a port of the bridge has no address of its own"
        );
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
            query("dev1.rlxc", 1, SocketAddr::from(([10, 88, 0, 1], 53)))
        });
        assert!(asked.unwrap().is_err(), "DNS answered to a stranger");
        drop((guest, socket));
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
            ipv6_stateful: true,
            ipv4_dhcp_ranges: vec![(Ipv4Addr::new(10, 88, 0, 50), Ipv4Addr::new(10, 88, 0, 60))],
            dhcp_expiry: Some("10m".to_owned()),
            mtu: Some(1400),
            dns_domain: Some("lab".to_owned()),
            raw_dnsmasq: Some("log-queries".to_owned()),
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
fn a_namespace_of_an_unprivileged_user_gets_its_nic() {
    if !testing::has_tool("unshare") {
        return;
    }
    testing::in_fresh_netns(|| async {
        RtnetlinkLinks.ensure_bridge(&spec()).await.unwrap();
        // As an instance is: a network namespace that belongs to a user namespace.
        let mut child = Tool::new("unshare")
            .args(["--user", "--net", "sleep", "60"])
            .command()
            .unwrap()
            .spawn()
            .unwrap();
        let path = format!("/proc/{}/ns/net", child.id());
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        eventually("the namespace", || {
            std::fs::read_link(&path)
                .ok()
                .filter(|theirs| *theirs != own)
        });
        let netns = std::fs::File::open(&path).unwrap();
        let nic = NicSpec {
            host_name: "veth1".to_owned(),
            container_name: "eth0".to_owned(),
            bridge: Some("br0".to_owned()),
            hwaddr: Mac::from_seed(1),
            mtu: Some(1400),
            up: false,
            isolated: false,
            vlans: PortVlans::default(),
        };
        let attached = RtnetlinkLinks.attach_nic(&nic, netns.as_fd()).await;
        let view = NetnsView::open(netns.as_fd());
        child.kill().unwrap();
        child.wait().unwrap();
        attached.unwrap();
        let interfaces = view.unwrap().interfaces().unwrap();
        let eth0 = interfaces
            .iter()
            .find(|interface| interface.name == "eth0")
            .unwrap();
        assert_eq!(
            (eth0.hwaddr.clone(), eth0.mtu, eth0.up),
            (Some(nic.hwaddr.into()), 1400, false)
        );
        RtnetlinkLinks.detach_nic("veth1").await.unwrap();
        RtnetlinkLinks.delete_bridge("br0").await.unwrap();
    });
}

#[test]
fn dnsmasq_goes_to_a_control_group_of_its_own() {
    if !has_tools() {
        return;
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let unified = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields[2] == "cgroup2");
    let Some(unified) = unified else {
        testing::skip("no cgroup2 is mounted");
        return;
    };
    let name = format!("rlxc-test-{}", std::process::id());
    let group = std::path::Path::new(unified[1]).join(&name);
    testing::in_fresh_netns(|| async {
        let network = Network::up_in(&spec(), Some(group.clone())).await;
        let pid = std::fs::read_to_string(network.dir.path().join("run/dnsmasq-br0.pid")).unwrap();
        let own = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
        assert!(own.contains(&format!("0::/{name}")), "{own}");
        network.down(&spec()).await;
    });
    assert!(!group.exists());
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
