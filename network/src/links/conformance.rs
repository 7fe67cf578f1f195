//! What every implementation of [`Links`] does: run on the fake and on the kernel.

use std::os::fd::{AsFd, OwnedFd};

use super::*;
use crate::{PortVlans, testing};

fn bridge(name: &str) -> BridgeSpec {
    BridgeSpec {
        name: name.to_owned(),
        ipv4: Some("10.77.0.1/24".parse().unwrap()),
        ipv6: Some("fd42:77::1/64".parse().unwrap()),
        ..BridgeSpec::default()
    }
}

fn nic(host_name: &str, bridge: &str) -> NicSpec {
    NicSpec {
        host_name: host_name.to_owned(),
        container_name: "eth0".to_owned(),
        bridge: Some(bridge.to_owned()),
        hwaddr: Mac::from_seed(7),
        mtu: None,
        up: false,
        isolated: false,
        vlans: PortVlans::default(),
    }
}

async fn named(links: &dyn Links, name: &str) -> Option<LinkView> {
    links
        .list()
        .await
        .unwrap()
        .into_iter()
        .find(|link| link.name == name)
}

async fn suite(links: &dyn Links, netns: OwnedFd) {
    let before = links.list().await.unwrap();
    let spec = bridge("br0");
    links.ensure_bridge(&spec).await.unwrap();
    let made = named(links, "br0").await.unwrap();
    assert!(
        made.ours && made.up && made.kind.as_deref() == Some("bridge"),
        "{made:?}"
    );
    links.ensure_bridge(&spec).await.unwrap();
    assert_eq!(
        named(links, "br0").await.unwrap(),
        made,
        "a second time changes nothing"
    );

    let changed = BridgeSpec {
        mtu: Some(1400),
        hwaddr: Some(Mac::from_seed(9)),
        ..spec
    };
    links.ensure_bridge(&changed).await.unwrap();
    let made = named(links, "br0").await.unwrap();
    assert_eq!((made.mtu, made.mac()), (1400, Some(Mac::from_seed(9))));

    attaches_nics(links, &netns, made.index).await;
    lends_and_takes_back(links, &netns).await;
    makes_what_needs_a_parent(links, &netns).await;

    for _ in 0..2 {
        links.detach_nic("veth-a").await.unwrap();
        links.delete_bridge("br0").await.unwrap();
    }
    assert_eq!(links.list().await.unwrap(), before, "nothing stays behind");
    assert!(matches!(
        links.ensure_bridge(&bridge("alien")).await,
        Err(Error::NotOurs(_))
    ));
    assert!(matches!(
        links.delete_bridge("alien").await,
        Err(Error::NotOurs(_))
    ));
    assert_eq!(
        links.list().await.unwrap(),
        before,
        "others' links are not touched"
    );
}

async fn attaches_nics(links: &dyn Links, netns: &OwnedFd, bridge_index: u32) {
    links
        .attach_nic(&nic("veth-a", "br0"), netns.as_fd())
        .await
        .unwrap();
    let end = named(links, "veth-a").await.unwrap();
    assert!(end.ours && end.up, "{end:?}");
    assert_eq!(
        (end.master, end.mtu, end.kind.as_deref()),
        (Some(bridge_index), 1400, Some("veth"))
    );

    let again = links
        .attach_nic(&nic("veth-a", "br0"), netns.as_fd())
        .await
        .unwrap_err();
    assert!(matches!(again, Error::Link { .. }), "{again:?}");
    let nowhere = links
        .attach_nic(&nic("veth-b", "br9"), netns.as_fd())
        .await
        .unwrap_err();
    assert!(matches!(nowhere, Error::NoLink(name) if name == "br9"));
    for bad in ["", "sixteen-bytes-xx", "a/b", "a b", ".."] {
        assert!(
            matches!(
                links.ensure_bridge(&bridge(bad)).await,
                Err(Error::InvalidName(_))
            ),
            "{bad}"
        );
    }
}

async fn lends_and_takes_back(links: &dyn Links, netns: &OwnedFd) {
    let directory = tempfile::tempdir().unwrap();
    let pin = directory.path().join("netns");
    let before = named(links, "spare0").await.unwrap();
    let spec = LoanSpec {
        name: "spare0".to_owned(),
        container_name: "eth7".to_owned(),
        hwaddr: Some(Mac::from_seed(11).into()),
        mtu: Some(1300),
        up: true,
    };
    let index = links.lend(&spec, &pin, netns.as_fd()).await.unwrap();
    assert_eq!(named(links, "spare0").await, None);
    let lent = Lent {
        name: "spare0".to_owned(),
        container_name: "eth7".to_owned(),
        index: Some(index),
        hwaddr: before.hwaddr.clone(),
        mtu: before.mtu,
        up: before.up,
    };
    for _ in 0..2 {
        links.take_back(&lent, &pin).await.unwrap();
        links.unpin(&pin).await.unwrap();
    }
    let after = named(links, "spare0").await.unwrap();
    assert_eq!(
        (after.hwaddr, after.mtu, after.up),
        (before.hwaddr, before.mtu, before.up)
    );
    let absent = LoanSpec {
        name: "nowhere".to_owned(),
        ..spec
    };
    let error = links.lend(&absent, &pin, netns.as_fd()).await.unwrap_err();
    assert!(matches!(error, Error::NoLink(name) if name == "nowhere"));
}

async fn makes_what_needs_a_parent(links: &dyn Links, netns: &OwnedFd) {
    let spec = MacvlanSpec {
        parent: "spare0".to_owned(),
        container_name: "eth8".to_owned(),
        hwaddr: Mac::from_seed(12),
        mtu: None,
        mode: crate::MacvlanMode::Bridge,
    };
    let index = links.attach_macvlan(&spec, netns.as_fd()).await.unwrap();
    for _ in 0..2 {
        let link = ("eth8", Some(index));
        links.detach_inside(link, netns.as_fd()).await.unwrap();
    }
    let absent = MacvlanSpec {
        parent: "nowhere".to_owned(),
        ..spec
    };
    let error = links.attach_macvlan(&absent, netns.as_fd()).await;
    assert!(matches!(error, Err(Error::NoLink(name)) if name == "nowhere"));
    let routed = ["10.88.0.0/24".parse().unwrap()];
    let addresses = ["10.88.0.9".parse().unwrap()];
    for _ in 0..2 {
        links.add_routes("spare0", &routed).await.unwrap();
        links.answer_for("spare0", &addresses).await.unwrap();
    }
    for _ in 0..2 {
        links.remove_routes("spare0", &routed).await.unwrap();
        links.stop_answering("spare0", &addresses).await.unwrap();
    }
    let error = links.add_routes("nowhere", &routed).await;
    assert!(matches!(error, Err(Error::NoLink(_))));
}

#[test]
fn the_fake_conforms() {
    let Some(inner) = testing::netns() else {
        return;
    };
    testing::in_fresh_netns(|| async {
        let links = FakeLinks::default();
        links.add_foreign("alien", "bridge");
        links.add_foreign("spare0", "veth");
        suite(&links, inner).await;
    });
}

#[test]
fn the_kernel_conforms() {
    let Some(inner) = testing::netns() else {
        return;
    };
    testing::in_fresh_netns(|| async {
        for line in [
            "link add alien type bridge",
            "link add spare0 up type veth peer name spare1",
        ] {
            let ip = rlxc_sys::tool::Tool::new("ip").args(line.split(' '));
            ip.run().unwrap();
        }
        suite(&RtnetlinkLinks, inner).await;
    });
}
