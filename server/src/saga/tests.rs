//! Every operation of more than one effect, failing at every step: the world is as before or as after. See
//! [`crate::testing::EveryStep`].

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{Call, EveryStep, Fault, TestDaemon};

async fn every_step<P, F>(prepare: P, method: Method, url: &str, body: Value) -> Vec<&'static str>
where
    P: Fn() -> F,
    F: Future<Output = TestDaemon>,
{
    let request = Call::new(method, url, body);
    let fallback = None;
    EveryStep {
        prepare,
        request,
        fallback,
    }
    .run()
    .await
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

/// The smallest image there is, and its fingerprint.
fn image() -> (Vec<u8>, String) {
    let mut builder = tar::Builder::new(Vec::new());
    let metadata = "architecture: amd64\ncreation_date: 1700000000\n";
    for (path, content) in [("metadata.yaml", metadata), ("rootfs/a", "a")] {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let fingerprint = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    (bytes, fingerprint)
}

async fn with_image() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    let request = axum::http::Request::post("/1.0/images").body(image().0.into());
    let (status, reply) = daemon.reply(request.unwrap()).await;
    assert_eq!((status, &reply["metadata"]["err"]), (202, &json!("")));
    daemon
}

fn from_image(name: &str) -> Value {
    json!({"name": name, "source": {"type": "image", "fingerprint": image().1}})
}

async fn with_image_on_pool() -> TestDaemon {
    let daemon = with_image().await;
    let post = from_image("c1");
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let url = "/1.0/instances/c1";
    daemon.ok(Method::DELETE, url, Value::Null).await;
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
async fn bring_an_image_in_and_publish_one() {
    let upload = EveryStep {
        prepare: || async { TestDaemon::with_pool().await },
        request: Call::upload("/1.0/images", image().0),
        fallback: None,
    };
    assert!(!upload.run().await.is_empty());
    for (kind, name) in [("instance", "c1"), ("snapshot", "c1/s1")] {
        let body = json!({"source": {"type": kind, "name": name}});
        let steps = every_step(with_snapshot, Method::POST, "/1.0/images", body).await;
        assert!(!steps.is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn create_an_instance_of_an_image() {
    let request = Call::new(Method::POST, "/1.0/instances", from_image("c1"));
    let prepare = with_image;
    let fallback = Some(with_image_on_pool().await.world().await);
    let test = EveryStep {
        prepare,
        request,
        fallback,
    };
    let steps = test.run().await;
    assert!(steps.contains(&"create image"), "{steps:?}");
}

#[tokio::test]
async fn import_an_image() {
    let request = Call::upload("/1.0/images", image().0);
    let prepare = TestDaemon::with_pool;
    let fallback = None;
    EveryStep {
        prepare,
        request,
        fallback,
    }
    .run()
    .await;
}

#[tokio::test]
async fn delete_an_image() {
    let url = format!("/1.0/images/{}", image().1);
    let steps = every_step(with_image_on_pool, Method::DELETE, &url, Value::Null).await;
    assert!(steps.contains(&"delete image"), "{steps:?}");
}

#[tokio::test]
async fn copy_an_instance() {
    let body = json!({"name": "c2", "source": {"type": "copy", "source": "c1"}});
    every_step(with_instance, Method::POST, "/1.0/instances", body).await;
}

#[tokio::test]
async fn copy_an_instance_with_snapshots() {
    let body = json!({"name": "c2", "source": {"type": "copy", "source": "c1"}});
    let steps = every_step(with_snapshot, Method::POST, "/1.0/instances", body).await;
    assert!(steps.contains(&"copy snapshot"), "{steps:?}");
}

async fn with_copy() -> TestDaemon {
    let daemon = with_snapshot().await;
    let body = json!({"name": "c2", "source": {"type": "copy", "source": "c1"}});
    daemon.ok(Method::POST, "/1.0/instances", body).await;
    let url = "/1.0/instances/c1/snapshots";
    daemon.ok(Method::POST, url, json!({"name": "s2"})).await;
    daemon
}

#[tokio::test]
async fn refresh_a_copy() {
    let source = json!({"type": "copy", "source": "c1", "refresh": true});
    let body = json!({"name": "c2", "source": source});
    let steps = every_step(with_copy, Method::POST, "/1.0/instances", body).await;
    assert!(steps.contains(&"copy snapshot"), "{steps:?}");
}

async fn with_two_pools() -> TestDaemon {
    let daemon = with_snapshot().await;
    let post = json!({"name": "other", "driver": "dir"});
    daemon.ok(Method::POST, "/1.0/storage-pools", post).await;
    daemon
}

#[tokio::test]
async fn move_to_another_pool() {
    let body = json!({"name": "c9", "migration": true, "pool": "other"});
    let steps = every_step(with_two_pools, Method::POST, "/1.0/instances/c1", body).await;
    assert!(steps.contains(&"delete volume"), "{steps:?}");
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

/// Past the decision there is no way back: what failed at first was done at the second try.
#[tokio::test]
async fn rebuild_an_instance() {
    let prepare = || async {
        let daemon = with_image_on_pool().await;
        daemon.ok(Method::POST, "/1.0/instances", empty("c2")).await;
        daemon
    };
    let url = "/1.0/instances/c2/rebuild";
    let body = json!({"source": {"type": "image", "fingerprint": image().1}});
    let after = prepare().await;
    after.ok(Method::POST, url, body.clone()).await;
    let test = EveryStep {
        prepare,
        request: Call::new(Method::POST, url, body),
        fallback: Some(after.world().await),
    };
    let steps = test.run().await;
    assert!(
        steps.contains(&"delete volume") && steps.contains(&"create volume"),
        "{steps:?}"
    );
}

#[tokio::test]
async fn snapshot_a_running_instance() {
    let prepare = || async {
        let daemon = with_instance().await;
        let start = json!({"action": "start"});
        daemon
            .ok(Method::PUT, "/1.0/instances/c1/state", start)
            .await;
        daemon.make_cgroup(1);
        daemon
    };
    let url = "/1.0/instances/c1/snapshots";
    every_step(prepare, Method::POST, url, json!({"name": "s1"})).await;
}

/// A start is no saga: what it makes dies with the container. What it notes for the next start of the host may be lost.
#[tokio::test]
async fn a_start_that_fails_can_be_repeated() {
    let daemon = with_instance().await;
    let network = json!({"name": "br0"});
    daemon.ok(Method::POST, "/1.0/networks", network).await;
    let nic = json!({"devices": {"eth0": {"type": "nic", "network": "br0"}}});
    daemon.ok(Method::PATCH, "/1.0/instances/c1", nic).await;
    let start = Call::new(
        Method::PUT,
        "/1.0/instances/c1/state",
        json!({"action": "start"}),
    );
    let stop = json!({"action": "stop"});
    daemon.arm(None).await;
    start.send(&daemon).await.unwrap();
    let steps = daemon.faults.disarm();
    assert!(steps.contains(&"attach NIC"), "{steps:?}");
    let mut failures = 0;
    for number in 0..steps.len() {
        for fault in [Fault::Refused, Fault::Done] {
            let url = "/1.0/instances/c1/state";
            daemon.ok(Method::PUT, url, stop.clone()).await;
            daemon.let_veths_die().await;
            daemon.arm(Some((number, fault))).await;
            let failed = start.send(&daemon).await;
            daemon.faults.disarm();
            if failed.is_err() {
                failures += 1;
                start.send(&daemon).await.unwrap();
            }
        }
    }
    assert!(failures >= 4, "{failures} of {steps:?}");
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
