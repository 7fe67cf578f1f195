//! Managed networks, on a host without hardware.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::TestDaemon;

const NETWORKS: &str = "/1.0/networks";
const BR0: &str = "/1.0/networks/br0";

async fn create(daemon: &TestDaemon, name: &str, config: Value) {
    let post = json!({"name": name, "config": config});
    daemon.ok(Method::POST, NETWORKS, post).await;
}

#[tokio::test]
async fn a_network_that_says_nothing_gets_subnets_and_nat() {
    let daemon = TestDaemon::new();
    create(&daemon, "br0", json!({})).await;
    let view = daemon.ok(Method::GET, BR0, Value::Null).await;
    let config = &view["config"];
    assert!(
        config["ipv4.address"].as_str().unwrap().ends_with(".1/24"),
        "{config}"
    );
    assert!(
        config["ipv6.address"].as_str().unwrap().starts_with("fd"),
        "{config}"
    );
    assert_eq!(
        (&config["ipv4.nat"], &config["ipv6.nat"]),
        (&json!("true"), &json!("true"))
    );
    assert_eq!(
        (&view["managed"], &view["type"]),
        (&json!(true), &json!("bridge"))
    );
    assert!(daemon.host.firewall.rulesets().contains_key("br0"));
    assert!(daemon.host.names.all().contains_key("br0"));
    daemon.ok(Method::DELETE, BR0, Value::Null).await;
    assert!(daemon.host.firewall.rulesets().is_empty());
    assert!(daemon.host.names.all().is_empty());
    let left = daemon.ok(Method::GET, NETWORKS, Value::Null).await;
    assert_eq!(left, json!([]));
}

#[tokio::test]
async fn subnets_do_not_meet() {
    let daemon = TestDaemon::new();
    create(
        &daemon,
        "br0",
        json!({"ipv4.address": "10.9.0.1/24", "ipv6.address": "none"}),
    )
    .await;
    let before = daemon.world().await;
    let inside =
        json!({"name": "br1", "config": {"ipv4.address": "10.9.0.129/25", "ipv6.address": "none"}});
    let error = daemon.refused(Method::POST, NETWORKS, inside).await;
    assert!(error.contains("overlaps that of `br0`"), "{error}");
    let (status, reply) = daemon
        .call(Method::POST, NETWORKS, json!({"name": "br0"}))
        .await;
    assert_eq!(
        (status, &reply["error"]),
        (409, &json!("network `br0` already exists"))
    );
    for (post, expected) in [
        (
            json!({"name": "br1", "config": {"ipv4.adress": "none"}}),
            "Did you mean `ipv4.address`?",
        ),
        (
            json!({"name": "br1", "config": {"ipv4.address": "10.9"}}),
            "is not",
        ),
        (json!({"name": "br1", "type": "ovn"}), "network type `ovn`"),
        (json!({"name": "../br1"}), "name"),
        (json!({"name": "a-name-that-is-too-long"}), "name"),
    ] {
        let (status, reply) = daemon.call(Method::POST, NETWORKS, post).await;
        let error = reply["error"].as_str().unwrap();
        assert_eq!(status, 400, "{error}");
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(daemon.world().await.difference(&before), "");
}

#[tokio::test]
async fn a_foreign_bridge_is_not_taken_over() {
    let daemon = TestDaemon::new();
    daemon.host.links.add_foreign("docker0", "bridge");
    let before = daemon.world().await;
    daemon
        .refused(Method::POST, NETWORKS, json!({"name": "docker0"}))
        .await;
    assert_eq!(daemon.world().await.difference(&before), "");
    assert!(daemon.journal().await.is_empty());
    assert!(daemon.warnings().await.is_empty());
    let view = daemon
        .ok(Method::GET, "/1.0/networks/docker0", Value::Null)
        .await;
    assert_eq!(view["managed"], false);
    let (status, _) = daemon
        .call(Method::DELETE, "/1.0/networks/docker0", Value::Null)
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_network_in_use_stays() {
    let daemon = TestDaemon::with_pool().await;
    create(&daemon, "br0", json!({})).await;
    let nic = json!({"eth0": {"type": "nic", "network": "br0"}});
    daemon
        .ok(
            Method::PATCH,
            "/1.0/profiles/default",
            json!({"devices": nic}),
        )
        .await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let error = daemon.refused(Method::DELETE, BR0, Value::Null).await;
    assert!(
        error.contains("/1.0/profiles/default, /1.0/instances/c1"),
        "{error}"
    );
    let start = json!({"action": "start"});
    daemon
        .ok(Method::PUT, "/1.0/instances/c1/state", start)
        .await;
    let hosts = daemon.host.names.all();
    assert_eq!(hosts["br0"].values().collect::<Vec<_>>(), ["c1"]);
    daemon
        .ok(Method::POST, "/1.0/instances/c1", json!({"name": "c2"}))
        .await;
    let hosts = daemon.host.names.all();
    assert_eq!(hosts["br0"].values().collect::<Vec<_>>(), ["c2"]);
}

#[tokio::test]
async fn a_change_is_carried_out_and_one_that_fails_is_not() {
    let daemon = TestDaemon::new();
    create(
        &daemon,
        "br0",
        json!({"ipv4.address": "10.9.0.1/24", "ipv6.address": "none"}),
    )
    .await;
    let patch = json!({"config": {"ipv4.address": "10.9.1.1/24", "ipv4.nat": "true"}});
    daemon.ok(Method::PATCH, BR0, patch).await;
    let rules = &daemon.host.firewall.rulesets()["br0"];
    assert_eq!(rules.masquerade_ipv4.unwrap().to_string(), "10.9.1.0/24");
    let before = daemon.world().await;
    let patch = json!({"config": {"ipv4.address": "10.9.2.1"}});
    daemon.refused(Method::PATCH, BR0, patch).await;
    assert_eq!(daemon.world().await.difference(&before), "");
}
