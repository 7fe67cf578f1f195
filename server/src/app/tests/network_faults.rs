//! Forwards, ACLs, zones and names of networks: whatever fails, and whenever the daemon dies, rows and rules agree.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{Call, EveryStep, TestDaemon};

const FORWARDS: &str = "/1.0/networks/br0/forwards";
const FORWARD: &str = "/1.0/networks/br0/forwards/192.0.2.1";
const ACL: &str = "/1.0/network-acls/web";

/// A network that an ACL and a forward belong to.
async fn with_rules() -> TestDaemon {
    let daemon = TestDaemon::new();
    let acl = json!({"name": "web", "ingress": [rule("80")]});
    daemon.ok(Method::POST, "/1.0/network-acls", acl).await;
    let config =
        json!({"ipv4.address": "10.9.0.1/24", "ipv6.address": "none", "security.acls": "web"});
    let network = json!({"name": "br0", "config": config});
    daemon.ok(Method::POST, "/1.0/networks", network).await;
    daemon
        .ok(Method::POST, FORWARDS, forward("192.0.2.1"))
        .await;
    daemon
}

fn rule(port: &str) -> Value {
    json!({"action": "allow", "protocol": "tcp", "destination_port": port, "state": "enabled"})
}

fn forward(address: &str) -> Value {
    json!({"listen_address": address, "config": {"target_address": "10.9.0.7"}})
}

async fn every_step(method: Method, url: &str, body: Value) -> Vec<&'static str> {
    EveryStep {
        prepare: with_rules,
        request: Call::new(method, url, body),
        fallback: None,
    }
    .run()
    .await
}

#[tokio::test]
async fn forwards_come_change_and_go_at_every_step() {
    let port = json!({"protocol": "tcp", "listen_port": "80", "target_address": "10.9.0.8"});
    for (method, url, body) in [
        (Method::POST, FORWARDS, forward("192.0.2.2")),
        (Method::PATCH, FORWARD, json!({"ports": [port]})),
        (Method::DELETE, FORWARD, Value::Null),
    ] {
        let steps = every_step(method, url, body).await;
        assert!(steps.contains(&"apply rules"), "{steps:?}");
    }
}

#[tokio::test]
async fn rules_of_acls_change_at_every_step() {
    for rules in [json!([rule("80"), rule("443")]), json!([])] {
        let steps = every_step(Method::PUT, ACL, json!({"ingress": rules})).await;
        assert!(steps.contains(&"apply rules"), "{steps:?}");
    }
}

#[tokio::test]
async fn networks_are_renamed_at_every_step() {
    let body = json!({"name": "br1"});
    let steps = every_step(Method::POST, "/1.0/networks/br0", body).await;
    assert!(steps.contains(&"make bridge"), "{steps:?}");
}
