//! PUT, PATCH, tags, snapshots, copies and renames.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::{act, create, get, with_c1};
use crate::testing::TestDaemon;

const C1: &str = "/1.0/instances/c1";

#[tokio::test]
async fn put_replaces_and_patch_merges() {
    let daemon = with_c1().await;
    let uuid = get(&daemon, C1).await["config"]["volatile.uuid"].clone();
    let put = json!({"config": {"user.a": "1", "user.b": "2"}, "description": "d", "profiles": ["default"]});
    daemon.ok(Method::PUT, C1, put).await;
    let patch = json!({"config": {"user.a": "", "user.c": "3"}});
    daemon.ok(Method::PATCH, C1, patch).await;
    let view = get(&daemon, C1).await;
    let expected = json!({"user.b": "2", "user.c": "3", "volatile.uuid": uuid});
    assert_eq!(view["config"], expected);
    assert_eq!(view["description"], "d");
    daemon
        .ok(Method::PUT, C1, json!({"profiles": ["default"]}))
        .await;
    let view = get(&daemon, C1).await;
    assert_eq!(view["config"], json!({"volatile.uuid": uuid}));
    assert_eq!(view["description"], "");
    let error = daemon
        .refused(Method::PUT, C1, json!({"profiles": ["p9"]}))
        .await;
    assert!(error.contains("profile `p9` not found"), "{error}");
    let error = daemon
        .refused(Method::PUT, C1, json!({"profiles": []}))
        .await;
    assert!(error.contains("would have no root disk"), "{error}");
}

#[tokio::test]
async fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let daemon = with_c1().await;
    for method in [Method::PUT, Method::PATCH] {
        let request = Request::get(C1).body(Body::empty()).unwrap();
        let (_, headers, _) = daemon.send(request).await;
        let tag = headers["etag"].clone();
        let change = |value: &str| {
            let body = json!({"config": {"user.a": value}, "profiles": ["default"]}).to_string();
            let request = Request::builder().method(method.clone()).uri(C1);
            let request = request.header("If-Match", tag.clone());
            request.body(Body::from(body)).unwrap()
        };
        let (status, reply) = daemon.reply(change(method.as_str())).await;
        assert!(status < 300, "{reply}");
        let (status, reply) = daemon.reply(change("late")).await;
        assert_eq!((status, &reply["error_code"]), (412, &json!(412)));
        assert_eq!(get(&daemon, C1).await["config"]["user.a"], method.as_str());
    }
}

#[tokio::test]
async fn snapshots_come_and_go() {
    let daemon = with_c1().await;
    let url = format!("{C1}/snapshots");
    daemon.ok(Method::POST, &url, json!({})).await;
    daemon.ok(Method::POST, &url, json!({"name": "b"})).await;
    let error = daemon
        .refused(Method::POST, &url, json!({"name": "b"}))
        .await;
    assert_eq!(error, "snapshot `c1/b` already exists");
    for name in ["..", "a/b", "a b", "\0"] {
        let (status, _) = daemon.call(Method::POST, &url, json!({"name": name})).await;
        assert_eq!(status, 400, "{name:?}");
    }
    let names = get(&daemon, &url).await;
    assert_eq!(names, json!([format!("{url}/snap0"), format!("{url}/b")]));
    daemon
        .ok(Method::POST, &format!("{url}/b"), json!({"name": "c"}))
        .await;
    let error = daemon
        .refused(Method::POST, &format!("{url}/c"), json!({"name": "snap0"}))
        .await;
    assert!(error.contains("already exists"), "{error}");
    let put = json!({"expires_at": "2030-01-01T00:00:00Z"});
    daemon.ok(Method::PUT, &format!("{url}/c"), put).await;
    let view = get(&daemon, &format!("{url}/c")).await;
    assert_eq!(view["expires_at"], "2030-01-01T00:00:00Z");
    let error = daemon
        .refused(Method::DELETE, &format!("{url}/snap1"), Value::Null)
        .await;
    assert!(error.contains("Did you mean `snap0`?"), "{error}");
    daemon
        .ok(Method::DELETE, &format!("{url}/c"), Value::Null)
        .await;
    assert_eq!(
        get(&daemon, &format!("{url}?recursion=1")).await[0]["name"],
        "snap0"
    );
    let stateful = json!({"name": "d", "stateful": true});
    let error = daemon.refused(Method::POST, &url, stateful).await;
    assert!(error.contains("stateful"), "{error}");
}

#[tokio::test]
async fn a_restore_brings_keys_back_and_a_running_instance_runs_again() {
    let daemon = with_c1().await;
    let patch = |value: &str| json!({"config": {"user.a": value}});
    daemon.ok(Method::PATCH, C1, patch("then")).await;
    daemon
        .ok(
            Method::POST,
            &format!("{C1}/snapshots"),
            json!({"name": "s1"}),
        )
        .await;
    daemon.ok(Method::PATCH, C1, patch("now")).await;
    act(&daemon, "c1", "start").await;
    daemon.ok(Method::PUT, C1, json!({"restore": "s1"})).await;
    let view = get(&daemon, C1).await;
    assert_eq!(
        (&view["config"]["user.a"], &view["status"]),
        (&json!("then"), &json!("Running"))
    );
    let error = daemon
        .refused(Method::PUT, C1, json!({"restore": "s2"}))
        .await;
    assert!(error.contains("snapshot `c1/s2` not found"), "{error}");
    let error = daemon
        .refused(Method::PATCH, C1, json!({"restore": "s1"}))
        .await;
    assert!(error.contains("use PUT"), "{error}");
}

#[tokio::test]
async fn copies_have_ids_of_their_own() {
    let daemon = TestDaemon::with_pool().await;
    create(&daemon, json!({"name": "c1", "config": {"user.a": "1"}})).await;
    let source = |extra: Value| {
        let mut source = json!({"type": "copy", "source": "c1"});
        source
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"name": "c2", "source": source})
    };
    let url = "/1.0/instances";
    daemon
        .ok(
            Method::POST,
            &format!("{C1}/snapshots"),
            json!({"name": "s1"}),
        )
        .await;
    let only = source(json!({"instance_only": true}));
    daemon.ok(Method::POST, url, only).await;
    let (first, second) = (
        get(&daemon, C1).await,
        get(&daemon, "/1.0/instances/c2").await,
    );
    assert_eq!(second["config"]["user.a"], "1");
    let uuid = |view: &Value| view["config"]["volatile.uuid"].clone();
    assert_ne!(uuid(&first), uuid(&second));
    let bases = daemon
        .app
        .db
        .read(|tx| crate::db::instances::id_spans(tx, None))
        .await
        .unwrap();
    assert_eq!(bases.len(), 2);
    let snapshots = get(&daemon, "/1.0/instances/c2/snapshots").await;
    assert_eq!(snapshots, json!([]));
}

async fn snapshots(daemon: &TestDaemon, name: &str) -> Vec<String> {
    let list = get(
        daemon,
        &format!("/1.0/instances/{name}/snapshots?recursion=1"),
    )
    .await;
    let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(name).collect()
}

async fn take(daemon: &TestDaemon, instance: &str, name: &str) {
    let url = format!("/1.0/instances/{instance}/snapshots");
    daemon.ok(Method::POST, &url, json!({"name": name})).await;
}

#[tokio::test]
async fn snapshots_come_along_and_a_refresh_brings_what_is_new() {
    let daemon = with_c1().await;
    take(&daemon, "c1", "s1").await;
    take(&daemon, "c1", "s2").await;
    let post = |refresh: bool| {
        let source = json!({"type": "copy", "source": "c1", "refresh": refresh});
        json!({"name": "c2", "source": source})
    };
    let url = "/1.0/instances";
    daemon.ok(Method::POST, url, post(true)).await;
    assert_eq!(snapshots(&daemon, "c2").await, ["s1", "s2"]);
    take(&daemon, "c2", "own").await;
    take(&daemon, "c1", "s3").await;
    daemon
        .ok(Method::DELETE, &format!("{C1}/snapshots/s1"), Value::Null)
        .await;
    let error = daemon.refused(Method::POST, url, post(false)).await;
    assert_eq!(error, "instance `c2` already exists");
    daemon.ok(Method::POST, url, post(true)).await;
    assert_eq!(snapshots(&daemon, "c2").await, ["s2", "s3"]);
    assert_eq!(snapshots(&daemon, "c1").await, ["s2", "s3"]);
    act(&daemon, "c2", "start").await;
    let error = daemon.refused(Method::POST, url, post(true)).await;
    assert!(error.contains("stop it before"), "{error}");
}

#[tokio::test]
async fn an_instance_moves_to_another_pool_with_its_snapshots() {
    let daemon = with_c1().await;
    let directory = tempfile::tempdir().unwrap();
    let pool =
        json!({"name": "other", "driver": "dir", "config": {"source": directory.path().join("p")}});
    daemon.ok(Method::POST, "/1.0/storage-pools", pool).await;
    take(&daemon, "c1", "s1").await;
    act(&daemon, "c1", "start").await;
    let to = |pool: &str, name: &str| json!({"name": name, "migration": true, "pool": pool});
    let error = daemon.refused(Method::POST, C1, to("other", "c1")).await;
    assert!(error.contains("stop it before"), "{error}");
    act(&daemon, "c1", "stop").await;
    let error = daemon.refused(Method::POST, C1, to("nowhere", "c1")).await;
    assert_eq!(error, "storage pool `nowhere` not found");
    daemon.ok(Method::POST, C1, to("other", "c9")).await;
    let view = get(&daemon, "/1.0/instances/c9").await;
    assert_eq!(view["devices"]["root"]["pool"], "other");
    assert_eq!(snapshots(&daemon, "c9").await, ["s1"]);
    let restore = json!({"restore": "s1"});
    daemon.ok(Method::PUT, "/1.0/instances/c9", restore).await;
    let view = get(&daemon, "/1.0/instances/c9").await;
    assert_eq!(view["devices"]["root"]["pool"], "other");
    let post = json!({"name": "c1", "source": {"type": "copy", "source": "c9"},
        "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    assert_eq!(snapshots(&daemon, "c1").await, ["s1"]);
}

#[tokio::test]
async fn a_running_instance_can_be_renamed() {
    let daemon = with_c1().await;
    create(&daemon, json!({"name": "c2"})).await;
    act(&daemon, "c1", "start").await;
    let error = daemon
        .refused(Method::POST, C1, json!({"name": "c2"}))
        .await;
    assert_eq!(error, "instance `c2` already exists");
    let (status, _) = daemon.call(Method::POST, C1, json!({"name": "a/b"})).await;
    assert_eq!(status, 400);
    daemon.ok(Method::POST, C1, json!({"name": "c3"})).await;
    let view = get(&daemon, "/1.0/instances/c3").await;
    assert_eq!(view["status"], "Running");
    assert_eq!(daemon.call(Method::GET, C1, Value::Null).await.0, 404);
}

#[tokio::test]
async fn what_is_protected_is_not_deleted() {
    let daemon = with_c1().await;
    let patch = json!({"config": {"security.protection.delete": "true"}});
    daemon.ok(Method::PATCH, C1, patch).await;
    let error = daemon.refused(Method::DELETE, C1, Value::Null).await;
    assert!(
        error.contains("unset security.protection.delete"),
        "{error}"
    );
}
