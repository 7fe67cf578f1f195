//! Every operation of more than one effect, failing at every step: the world is as before or as after. See
//! [`crate::testing::EveryStep`].

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{Call, EveryStep, TestDaemon};

async fn every_step<P, F>(prepare: P, method: Method, url: &str, body: Value) -> Vec<&'static str>
where
    P: Fn() -> F,
    F: Future<Output = TestDaemon>,
{
    let request = Call::new(method, url, body);
    EveryStep { prepare, request }.run().await
}

fn empty(name: &str) -> Value {
    json!({"name": name, "source": {"type": "none"}})
}

async fn with_instance() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    daemon.ok(Method::POST, "/1.0/instances", empty("c1")).await;
    daemon
}

async fn with_snapshot() -> TestDaemon {
    let daemon = with_instance().await;
    write_root(&daemon, "then");
    let post = json!({"name": "s1"});
    daemon
        .ok(Method::POST, "/1.0/instances/c1/snapshots", post)
        .await;
    write_root(&daemon, "now");
    let patch = json!({"config": {"user.when": "now"}});
    daemon.ok(Method::PATCH, "/1.0/instances/c1", patch).await;
    daemon
}

/// Leaves something to be told apart in the root volume of the first instance.
fn write_root(daemon: &TestDaemon, text: &str) {
    let root = daemon
        .path()
        .join("storage-pools/default/containers/1/rootfs/when");
    std::fs::write(root, text).unwrap();
}

async fn with_network() -> TestDaemon {
    let daemon = TestDaemon::new();
    let post =
        json!({"name": "br0", "config": {"ipv4.address": "10.9.0.1/24", "ipv6.address": "none"}});
    daemon.ok(Method::POST, "/1.0/networks", post).await;
    daemon
}

#[tokio::test]
async fn create_an_empty_instance() {
    let steps = every_step(
        TestDaemon::with_pool,
        Method::POST,
        "/1.0/instances",
        empty("c1"),
    )
    .await;
    assert!(steps.contains(&"create volume"), "{steps:?}");
}

#[tokio::test]
async fn copy_an_instance() {
    let body = json!({"name": "c2", "source": {"type": "copy", "source": "c1"}});
    every_step(with_instance, Method::POST, "/1.0/instances", body).await;
}

#[tokio::test]
async fn copy_a_snapshot() {
    let body = json!({"name": "c2", "source": {"type": "copy", "source": "c1/s1"}});
    every_step(with_snapshot, Method::POST, "/1.0/instances", body).await;
}

#[tokio::test]
async fn delete_an_instance() {
    let url = "/1.0/instances/c1";
    let steps = every_step(with_snapshot, Method::DELETE, url, Value::Null).await;
    assert!(steps.contains(&"delete volume"), "{steps:?}");
}

#[tokio::test]
async fn rename_an_instance() {
    let body = json!({"name": "c9"});
    every_step(with_instance, Method::POST, "/1.0/instances/c1", body).await;
}

#[tokio::test]
async fn change_an_instance() {
    let body = json!({"config": {"user.a": "b"}, "profiles": ["default"], "description": "new"});
    every_step(with_instance, Method::PUT, "/1.0/instances/c1", body).await;
}

#[tokio::test]
async fn take_a_snapshot() {
    let url = "/1.0/instances/c1/snapshots";
    let steps = every_step(with_instance, Method::POST, url, json!({"name": "s1"})).await;
    assert!(steps.contains(&"create snapshot"), "{steps:?}");
}

#[tokio::test]
async fn delete_a_snapshot() {
    let url = "/1.0/instances/c1/snapshots/s1";
    let steps = every_step(with_snapshot, Method::DELETE, url, Value::Null).await;
    assert!(steps.contains(&"delete snapshot"), "{steps:?}");
}

#[tokio::test]
async fn rename_a_snapshot() {
    let url = "/1.0/instances/c1/snapshots/s1";
    every_step(with_snapshot, Method::POST, url, json!({"name": "s2"})).await;
}

#[tokio::test]
async fn restore_a_snapshot() {
    let body = json!({"restore": "s1"});
    let steps = every_step(with_snapshot, Method::PUT, "/1.0/instances/c1", body).await;
    assert!(steps.contains(&"restore snapshot"), "{steps:?}");
}

#[tokio::test]
async fn create_a_network() {
    let body =
        json!({"name": "br0", "config": {"ipv4.address": "10.9.0.1/24", "ipv4.nat": "true"}});
    let prepare = || async { TestDaemon::new() };
    let steps = every_step(prepare, Method::POST, "/1.0/networks", body).await;
    assert!(steps.contains(&"start dnsmasq"), "{steps:?}");
}

#[tokio::test]
async fn change_a_network() {
    let body = json!({"config": {"ipv4.address": "10.9.1.1/24", "ipv4.nat": "true"}});
    every_step(with_network, Method::PUT, "/1.0/networks/br0", body).await;
}

#[tokio::test]
async fn delete_a_network() {
    let url = "/1.0/networks/br0";
    let steps = every_step(with_network, Method::DELETE, url, Value::Null).await;
    assert!(steps.contains(&"delete bridge"), "{steps:?}");
}

#[tokio::test]
async fn create_a_pool() {
    let body = json!({"name": "p1", "driver": "dir"});
    let prepare = || async { TestDaemon::new() };
    every_step(prepare, Method::POST, "/1.0/storage-pools", body).await;
}

#[tokio::test]
async fn delete_a_pool() {
    let prepare = || async {
        let daemon = TestDaemon::new();
        let post = json!({"name": "p1", "driver": "dir"});
        daemon.ok(Method::POST, "/1.0/storage-pools", post).await;
        daemon
    };
    let url = "/1.0/storage-pools/p1";
    let steps = every_step(prepare, Method::DELETE, url, Value::Null).await;
    assert!(steps.contains(&"delete pool"), "{steps:?}");
}
