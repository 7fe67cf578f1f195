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
    // The old one is there until the new one is.
    let steps = every_step(
        Method::POST,
        SNAPSHOTS,
        json!({"name": "s1", "reuse": true}),
    )
    .await;
    assert!(steps.contains(&"delete snapshot"), "{steps:?}");
    let url = "/1.0/instances/c1/snapshots";
    let with_one = || async {
        let daemon = daemon().await;
        daemon.ok(Method::POST, url, json!({"name": "s1"})).await;
        daemon
    };
    EveryStep {
        prepare: with_one,
        request: Call::new(Method::POST, url, json!({"name": "s1", "reuse": true})),
        fallback: None,
    }
    .run()
    .await;
    let daemon = with_one().await;
    let again = json!({"name": "s1", "reuse": true});
    daemon.ok(Method::POST, url, again).await;
    let names = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(names, json!([format!("{url}/s1")]));
}

#[tokio::test]
async fn refreshing_one_brings_all_or_nothing() {
    let prepare = || async {
        let daemon = daemon().await;
        let source = json!({"type": "copy", "pool": "default", "name": "v1"});
        let post = json!({"name": "v2", "type": "custom", "source": source});
        let url = "/1.0/storage-pools/second/volumes/custom";
        daemon.ok(Method::POST, url, post).await;
        daemon
            .ok(Method::POST, SNAPSHOTS, json!({"name": "s2"}))
            .await;
        daemon
    };
    let source = json!({"type": "copy", "pool": "default", "name": "v1", "refresh": true});
    let post = json!({"name": "v2", "type": "custom", "source": source});
    let url = "/1.0/storage-pools/second/volumes/custom";
    let steps = EveryStep {
        prepare,
        request: Call::new(Method::POST, url, post),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.contains(&"create snapshot"), "{steps:?}");
}

const BACKUPS: &str = "/1.0/storage-pools/default/volumes/custom/v1/backups";

#[tokio::test]
async fn a_backup_goes_whole_by_itself_and_with_its_volume() {
    let prepare = || async {
        let daemon = TestDaemon::with_pool().await;
        let volume = json!({"name": "v1", "type": "custom"});
        daemon.ok(Method::POST, VOLUMES, volume).await;
        daemon
            .ok(Method::POST, BACKUPS, json!({"name": "b1"}))
            .await;
        daemon
    };
    for url in [format!("{BACKUPS}/b1"), V1.to_owned()] {
        EveryStep {
            prepare,
            request: Call::new(Method::DELETE, &url, Value::Null),
            fallback: None,
        }
        .run()
        .await;
    }
    let daemon = prepare().await;
    daemon.ok(Method::DELETE, V1, Value::Null).await;
    assert!(!daemon.path().join("backups/volume-1").exists());
}

#[tokio::test]
async fn backups_are_listed_renamed_and_move_with_their_volume() {
    let daemon = daemon().await;
    daemon.ok(Method::POST, BACKUPS, json!({})).await;
    let body = json!({"name": "backup0"});
    let error = daemon.refused(Method::POST, BACKUPS, body).await;
    assert_eq!(error, "backup `v1/backup0` already exists");
    let one = format!("{BACKUPS}/backup0");
    daemon.ok(Method::POST, &one, json!({"name": "b1"})).await;
    let list = daemon.ok(Method::GET, BACKUPS, Value::Null).await;
    assert_eq!(list, json!([format!("{BACKUPS}/b1")]));
    daemon
        .ok(Method::POST, V1, json!({"name": "v1", "pool": "second"}))
        .await;
    let moved = "/1.0/storage-pools/second/volumes/custom/v1/backups/b1";
    let view = daemon.ok(Method::GET, moved, Value::Null).await;
    assert_eq!(view["volume_only"], false);
    let export = axum::http::Request::builder().uri(format!("{moved}/export"));
    let export = export.body(axum::body::Body::empty()).unwrap();
    let (status, _, file) = daemon.send(export).await;
    assert_eq!(status, 200);
    assert!(file.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "no zstd");
    daemon.ok(Method::DELETE, moved, Value::Null).await;
}

/// What `v1` is as a file.
async fn exported(post: Value) -> Vec<u8> {
    let daemon = daemon().await;
    daemon.ok(Method::POST, BACKUPS, post).await;
    let file = daemon.path().join("backups/volume-1");
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn importing_one_leaves_it_or_nothing() {
    let whole = exported(json!({})).await;
    let prepare = || async {
        let daemon = TestDaemon::with_pool().await;
        let v9 = json!({"name": "v9", "type": "custom"});
        daemon.ok(Method::POST, VOLUMES, v9).await;
        daemon
    };
    let steps = EveryStep {
        prepare,
        request: Call::upload(VOLUMES, whole.clone()),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.contains(&"create snapshot"), "{steps:?}");
    let daemon = prepare().await;
    let import = Call::upload(VOLUMES, whole);
    import.send(&daemon).await.unwrap();
    let v1 = daemon.ok(Method::GET, V1, Value::Null).await;
    assert_eq!(v1["config"]["user.a"], "b");
    let list = daemon.ok(Method::GET, SNAPSHOTS, Value::Null).await;
    assert_eq!(list, json!([format!("{SNAPSHOTS}/s1")]));
    let again = import.send(&daemon).await.unwrap_err();
    assert!(again.contains("already exists"), "{again}");
    let wrong = Call::upload("/1.0/instances", exported(json!({})).await);
    let error = wrong.send(&daemon).await.unwrap_err();
    assert!(error.contains("rlxc storage volume import"), "{error}");
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

#[tokio::test]
async fn a_backup_is_made_whole_or_not_at_all_and_becomes_a_volume_or_nothing() {
    const BACKUPS: &str = "/1.0/storage-pools/default/volumes/custom/v1/backups";
    let prepare = || async {
        let made = daemon().await;
        made.ok(Method::POST, BACKUPS, json!({"name": "b1"})).await;
        made
    };
    let steps = EveryStep {
        prepare,
        request: Call::new(Method::POST, BACKUPS, json!({"name": "b2"})),
        fallback: None,
    }
    .run()
    .await;
    assert!(!steps.is_empty());
    let made = prepare().await;
    let whole = std::fs::read(made.app.places.volume_backup(1)).unwrap();
    drop(made);
    let steps = EveryStep {
        prepare: TestDaemon::with_pool,
        request: Call::upload(VOLUMES, whole),
        fallback: None,
    }
    .run()
    .await;
    assert!(steps.contains(&"create snapshot"), "{steps:?}");
}
