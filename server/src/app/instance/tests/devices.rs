//! Devices that change while their instance runs.

use axum::http::Method;
use rlxc_network::Links as _;
use serde_json::{Value, json};

use super::{act, create, get, status};
use crate::testing::{Call, EveryStep, TestDaemon};

const C1: &str = "/1.0/instances/c1";
const DEFAULT: &str = "/1.0/profiles/default";

/// A daemon with two networks and the running instance `c1`.
async fn running() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    for (name, subnet) in [("br0", "10.9.0.1/24"), ("br1", "10.9.1.1/24")] {
        let config = json!({"ipv4.address": subnet, "ipv6.address": "none"});
        let post = json!({"name": name, "config": config});
        daemon.ok(Method::POST, "/1.0/networks", post).await;
    }
    create(&daemon, json!({"name": "c1"})).await;
    assert_eq!(act(&daemon, "c1", "start").await, None);
    daemon
}

fn nic(network: &str) -> Value {
    json!({"type": "nic", "network": network})
}

fn devices(devices: &Value) -> Value {
    json!({ "devices": devices })
}

async fn veths(daemon: &TestDaemon) -> Vec<String> {
    let links = daemon.host.links.list().await.unwrap();
    let veths = links
        .into_iter()
        .filter(|link| link.kind.as_deref() == Some("veth"));
    veths.map(|link| link.name).collect()
}

#[tokio::test]
async fn a_nic_is_plugged_in_moved_and_pulled_out() {
    let daemon = running().await;
    daemon
        .ok(Method::PATCH, C1, devices(&json!({"eth0": nic("br0")})))
        .await;
    assert_eq!(veths(&daemon).await, ["c1-eth0"]);
    let view = get(&daemon, C1).await;
    assert_eq!(view["config"]["volatile.eth0.host_name"], "c1-eth0");
    let hwaddr = view["config"]["volatile.eth0.hwaddr"].clone();
    assert!(hwaddr.as_str().unwrap().starts_with("00:16:3e:"));
    daemon
        .ok(Method::PATCH, C1, devices(&json!({"eth0": nic("br1")})))
        .await;
    assert_eq!(veths(&daemon).await, ["c1-eth0"]);
    let hosts = daemon.host.names.all();
    assert_eq!((hosts["br0"].len(), hosts["br1"].len()), (0, 1));
    let view = get(&daemon, C1).await;
    assert_eq!(view["config"]["volatile.eth0.hwaddr"], hwaddr);
    let mut put = view;
    put["devices"] = json!({});
    daemon.ok(Method::PUT, C1, put).await;
    assert_eq!(veths(&daemon).await, [""; 0]);
    let view = get(&daemon, C1).await;
    assert_eq!(view["config"].get("volatile.eth0.host_name"), None);
    assert!(daemon.host.names.all()["br1"].is_empty());
}

#[tokio::test]
async fn a_profile_reaches_all_that_have_it() {
    let daemon = running().await;
    for name in ["c2", "rests"] {
        create(&daemon, json!({"name": name})).await;
    }
    assert_eq!(act(&daemon, "c2", "start").await, None);
    let patch = devices(&json!({"eth0": nic("br0")}));
    daemon.ok(Method::PATCH, DEFAULT, patch).await;
    assert_eq!(veths(&daemon).await, ["c1-eth0", "c2-eth0"]);
    let view = get(&daemon, "/1.0/instances/c2").await;
    assert_eq!(view["config"]["volatile.eth0.host_name"], "c2-eth0");
    // All or none: what one can't have, nobody gets.
    let before = daemon.world().await;
    let fixed = json!({"type": "nic", "network": "br0", "ipv4.address": "10.9.0.7"});
    let error = daemon
        .refused(Method::PATCH, DEFAULT, devices(&json!({"eth0": fixed})))
        .await;
    assert!(error.contains("10.9.0.7"), "{error}");
    assert_eq!(daemon.world().await.difference(&before), "");
    assert_eq!(status(&daemon, "c1").await, "Running");
}

#[tokio::test]
async fn what_a_running_instance_cannot_take_is_refused_by_name() {
    let daemon = running().await;
    let before = daemon.world().await;
    for (device, expected) in [
        (
            json!({"type": "unix-char", "source": "/dev/no-such-device"}),
            "device `dev1`: `/dev/no-such-device` is not there",
        ),
        (nic("br7"), "network `br7` not found"),
    ] {
        let wanted = devices(&json!({"eth0": nic("br0"), "dev1": device}));
        let error = daemon.refused(Method::PATCH, C1, wanted).await;
        assert!(error.contains(expected), "{error}");
        assert_eq!(daemon.world().await.difference(&before), "");
    }
}

#[tokio::test]
async fn fixed_addresses_are_of_the_subnet_and_nobody_elses() {
    let daemon = running().await;
    let fixed = |address: &str| {
        devices(&json!({"eth0": {"type": "nic", "network": "br0", "ipv4.address": address}}))
    };
    daemon.ok(Method::PATCH, C1, fixed("10.9.0.7")).await;
    daemon.ok(Method::PATCH, C1, fixed("10.9.0.8")).await;
    create(&daemon, json!({"name": "c2"})).await;
    let c2 = "/1.0/instances/c2";
    for (address, expected) in [
        ("10.9.0.8", "taken by device `eth0` of instance `c1`"),
        ("10.9.0.1", "the host's own"),
        ("10.9.1.8", "lies outside 10.9.0.0/24"),
        ("tenth", "is not an address"),
    ] {
        let error = daemon.refused(Method::PATCH, c2, fixed(address)).await;
        assert!(error.contains(expected), "{error}");
    }
    daemon.ok(Method::PATCH, c2, fixed("10.9.0.7")).await;
}

#[tokio::test]
async fn plugging_in_fails_and_dies_at_every_step() {
    let web = json!({"type": "proxy", "listen": "tcp:127.0.0.1:80", "connect": "tcp:127.0.0.1:80"});
    let two = devices(&json!({"eth0": nic("br0"), "eth1": nic("br1"), "web": web}));
    let steps = EveryStep {
        prepare: running,
        request: Call::new(Method::PATCH, C1, two),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.contains(&"attach NIC"), "{steps:?}");
    assert!(steps.contains(&"start proxy"), "{steps:?}");
}

#[tokio::test]
async fn moving_fails_and_dies_at_every_step() {
    let prepare = || async {
        let daemon = running().await;
        let one = devices(&json!({"eth0": nic("br0")}));
        daemon.ok(Method::PATCH, C1, one).await;
        daemon
    };
    let steps = EveryStep {
        prepare,
        request: Call::new(Method::PATCH, C1, devices(&json!({"eth0": nic("br1")}))),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.contains(&"detach NIC"), "{steps:?}");
}

#[tokio::test]
async fn a_profile_fails_and_dies_at_every_step() {
    let prepare = || async {
        let daemon = running().await;
        create(&daemon, json!({"name": "c2"})).await;
        assert_eq!(act(&daemon, "c2", "start").await, None);
        daemon
    };
    let steps = EveryStep {
        prepare,
        request: Call::new(
            Method::PATCH,
            DEFAULT,
            devices(&json!({"eth0": nic("br0")})),
        ),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.len() >= 4, "{steps:?}");
}

#[tokio::test]
async fn limits_fail_and_die_at_every_step() {
    let mut patch = devices(&json!({"eth0": nic("br0")}));
    patch["config"] = json!({"limits.memory": "1GiB", "limits.processes": "50", "limits.cpu": "2"});
    let steps = EveryStep {
        prepare: running,
        request: Call::new(Method::PATCH, C1, patch),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.contains(&"limit"), "{steps:?}");
}

#[tokio::test]
async fn limits_reach_what_runs_and_nothing_of_a_refusal_does() {
    let daemon = running().await;
    let limited = |daemon: &TestDaemon| daemon.host.runtime.limits().into_values().next();
    let patch = json!({"config": {"limits.memory": "50%", "limits.cpu": "2"}});
    daemon.ok(Method::PATCH, C1, patch).await;
    let limits = limited(&daemon).unwrap();
    assert_eq!(
        (limits.memory, limits.cpus.as_deref()),
        (Some(4 << 30), Some("0-1"))
    );
    for (key, value, expected) in [
        ("limits.memory", "9GiB", "more than this host has: 8.00GiB"),
        ("limits.cpu", "5", "this host has 4 processors (0-3)"),
        ("limits.cpu.nodes", "3", "no NUMA node 3"),
        ("limits.hugepages.2MB", "1GiB", "no huge pages of that size"),
        ("limits.kernel.files", "1", "no such resource limit"),
    ] {
        let error = daemon
            .refused(Method::PATCH, C1, json!({"config": {key: value}}))
            .await;
        assert!(error.contains(key) && error.contains(expected), "{error}");
        assert_eq!(limited(&daemon).unwrap(), limits);
    }
    // It is none of the files of version 2.
    let unmet = json!({"config": {"limits.memory.swap.priority": "2"}});
    daemon.ok(Method::PATCH, C1, unmet).await;
    assert_eq!(daemon.warnings().await[0].0, "Resource limit not honoured");
}
