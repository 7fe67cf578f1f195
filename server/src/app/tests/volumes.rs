//! Custom volumes on real file systems: what fails, and dies, at every step leaves nothing between before and after.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{Call, EveryStep, TestDaemon};

const VOLUMES: &str = "/1.0/storage-pools/default/volumes/custom";
const V1: &str = "/1.0/storage-pools/default/volumes/custom/v1";
const SNAPSHOTS: &str = "/1.0/storage-pools/default/volumes/custom/v1/snapshots";

/// With a volume `v1` that an instance has, a snapshot of it, and a second pool.
async fn daemon() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    let pool = json!({"name": "second", "driver": "dir"});
    daemon.ok(Method::POST, "/1.0/storage-pools", pool).await;
    let volume = json!({"name": "v1", "type": "custom", "config": {"user.a": "b"}});
    daemon.ok(Method::POST, VOLUMES, volume).await;
    let device = json!({"type": "disk", "pool": "default", "source": "v1", "path": "/srv"});
    let instance = json!({"name": "c1", "source": {"type": "none"}, "devices": {"data": device}});
    daemon.ok(Method::POST, "/1.0/instances", instance).await;
    daemon
        .ok(Method::POST, SNAPSHOTS, json!({"name": "s1"}))
        .await;
    daemon
}

async fn every_step(method: Method, url: &str, body: Value) -> Vec<&'static str> {
    EveryStep {
        prepare: daemon,
        request: Call::new(method, url, body),
        fallback: None,
    }
    .run()
    .await
}

#[tokio::test]
async fn making_one_leaves_it_or_nothing() {
    let post = json!({"name": "v2", "type": "custom"});
    let steps = every_step(Method::POST, VOLUMES, post).await;
    assert!(steps.contains(&"create volume"), "{steps:?}");
}

#[tokio::test]
async fn copying_one_leaves_it_or_nothing() {
    let source = json!({"type": "copy", "pool": "default", "name": "v1"});
    let post = json!({"name": "v2", "type": "custom", "source": source});
    let url = "/1.0/storage-pools/second/volumes/custom";
    let steps = every_step(Method::POST, url, post).await;
    assert!(steps.contains(&"create snapshot"), "{steps:?}");
}

#[tokio::test]
async fn moving_one_keeps_it_here_or_there() {
    let post = json!({"name": "v1", "pool": "second"});
    let steps = every_step(Method::POST, V1, post).await;
    assert!(steps.contains(&"delete volume"), "{steps:?}");
}

#[tokio::test]
async fn snapshots_come_and_go_whole() {
    every_step(Method::POST, SNAPSHOTS, json!({"name": "s2"})).await;
    let s1 = format!("{SNAPSHOTS}/s1");
    every_step(Method::DELETE, &s1, Value::Null).await;
}

#[tokio::test]
async fn devices_follow_and_users_are_named() {
    let daemon = daemon().await;
    let error = daemon.refused(Method::DELETE, V1, Value::Null).await;
    assert!(error.contains("/1.0/instances/c1"), "{error}");
    let url = "/1.0/storage-pools/default";
    let error = daemon.refused(Method::DELETE, url, Value::Null).await;
    assert!(error.contains("/volumes/custom/v1"), "{error}");
    daemon
        .ok(Method::POST, V1, json!({"name": "v1", "pool": "second"}))
        .await;
    let moved = "/1.0/storage-pools/second/volumes/custom/v1";
    daemon.ok(Method::POST, moved, json!({"name": "v9"})).await;
    let c1 = daemon
        .ok(Method::GET, "/1.0/instances/c1", Value::Null)
        .await;
    assert_eq!(c1["devices"]["data"]["pool"], "second");
    assert_eq!(c1["devices"]["data"]["source"], "v9");
    let view = "/1.0/storage-pools/second/volumes/custom/v9";
    let v9 = daemon.ok(Method::GET, view, Value::Null).await;
    assert_eq!(v9["used_by"], json!(["/1.0/instances/c1"]));
    assert_eq!(v9["config"]["user.a"], "b");
    let all = daemon
        .ok(
            Method::GET,
            "/1.0/storage-volumes/custom?recursion=1",
            Value::Null,
        )
        .await;
    assert_eq!(all[0]["pool"], "second");
}

#[tokio::test]
async fn scheduled_snapshots_come_with_a_name_and_an_end() {
    let daemon = daemon().await;
    let keys = json!({"config": {
        "snapshots.schedule": "* * * * *",
        "snapshots.schedule.stopped": "true",
        "snapshots.pattern": "auto%d",
        "snapshots.expiry": "1d",
    }});
    daemon.ok(Method::PATCH, "/1.0/instances/c1", keys).await;
    // Days without a daemon: one is caught up with.
    let long_ago = "2020-01-01T00:00:00.000000Z";
    daemon
        .app
        .db
        .note::<_, crate::db::DbError, _>(move |tx| {
            tx.execute("UPDATE instances SET created_at = ?1", [long_ago])?;
            crate::db::scheduled::advance(tx, long_ago)
        })
        .await
        .unwrap();
    crate::app::scheduled::once(&daemon.app).await.unwrap();
    daemon.world().await;
    let url = "/1.0/instances/c1/snapshots?recursion=1";
    let taken = daemon.ok(Method::GET, url, Value::Null).await;
    let names: Vec<_> = taken
        .as_array()
        .unwrap()
        .iter()
        .map(|snapshot| snapshot["name"].clone())
        .collect();
    assert_eq!(names, ["auto0"]);
    let expires = taken[0]["expires_at"].as_str().unwrap();
    assert!(
        expires > taken[0]["created_at"].as_str().unwrap(),
        "{expires}"
    );
    let over = json!({"expires_at": "2020-01-02T00:00:00Z"});
    let auto0 = "/1.0/instances/c1/snapshots/auto0";
    daemon.ok(Method::PUT, auto0, over).await;
    crate::app::scheduled::once(&daemon.app).await.unwrap();
    daemon.world().await;
    let (status, _) = daemon.call(Method::GET, auto0, Value::Null).await;
    assert_eq!(status, 404);
}
