//! Descriptions follow the inventory, and an inventory that is lost comes back from them.

use axum::http::Method;
use serde_json::{Value, json};

use super::flush;
use crate::testing::TestDaemon;

const VALIDATE: &str = "/internal/recover/validate";
const IMPORT: &str = "/internal/recover/import";

fn description(daemon: &TestDaemon, volume: &str) -> Value {
    let path = daemon.path().join("storage-pools/default").join(volume);
    let text = std::fs::read_to_string(path.join("backup.yaml")).unwrap_or_default();
    serde_norway::from_str(&text).unwrap()
}

async fn furnished() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    furnish(&daemon, "default").await;
    daemon
}

/// An instance with a snapshot and a volume with a snapshot.
async fn furnish(daemon: &TestDaemon, pool: &str) {
    let root = json!({"root": {"type": "disk", "path": "/", "pool": pool}});
    let post = json!({"name": "c1", "source": {"type": "none"}, "config": {"user.a": "1"}, "devices": root});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let post = json!({"name": "s1", "description": "first"});
    let snapshots = "/1.0/instances/c1/snapshots";
    daemon.ok(Method::POST, snapshots, post).await;
    let volumes = format!("/1.0/storage-pools/{pool}/volumes/custom");
    let post = json!({"name": "data", "type": "custom", "config": {"size": "1MiB"}});
    daemon.ok(Method::POST, &volumes, post).await;
    let post = json!({"name": "v1"});
    let snapshots = format!("{volumes}/data/snapshots");
    daemon.ok(Method::POST, &snapshots, post).await;
}

#[tokio::test]
async fn a_description_follows_what_it_describes() {
    let daemon = furnished().await;
    flush(&daemon.app).await.unwrap();
    let read = description(&daemon, "containers/1");
    assert_eq!(read["container"]["name"], "c1");
    assert_eq!(read["container"]["config"]["user.a"], "1");
    assert_eq!(read["snapshots"][0]["description"], "first");
    assert_eq!(read["rlxc"]["snapshots"]["s1"], 1);
    assert_eq!(read["pool"]["driver"], "dir");
    let read = description(&daemon, "custom/1");
    assert_eq!(read["volume"]["config"]["size"], "1MiB");
    assert_eq!(read["rlxc"]["snapshots"]["v1"], 1);
    let changes = [
        (
            Method::PATCH,
            "/1.0/instances/c1",
            json!({"config": {"user.a": "2"}}),
        ),
        (
            Method::PUT,
            "/1.0/instances/c1",
            json!({"restore": "s1", "profiles": ["default"]}),
        ),
        (
            Method::POST,
            "/1.0/instances/c1/snapshots/s1",
            json!({"name": "s2"}),
        ),
        (
            Method::PATCH,
            "/1.0/profiles/default",
            json!({"description": "ours"}),
        ),
        (
            Method::PATCH,
            "/1.0/storage-pools/default",
            json!({"description": "big"}),
        ),
        (Method::POST, "/1.0/instances/c1", json!({"name": "c2"})),
    ];
    let mut before = description(&daemon, "containers/1");
    for (method, url, body) in changes {
        daemon.ok(method, url, body.clone()).await;
        flush(&daemon.app).await.unwrap();
        let now = description(&daemon, "containers/1");
        assert_ne!(now, before, "{url} {body}");
        before = now;
    }
    let stale = daemon.app.db.read(crate::db::descriptions::stale).await;
    assert_eq!(stale.unwrap(), []);
}

#[tokio::test]
async fn a_volume_that_is_put_back_or_made_anew_is_described_again() {
    let daemon = furnished().await;
    let file = daemon
        .path()
        .join("storage-pools/default/containers/1/backup.yaml");
    flush(&daemon.app).await.unwrap();
    for (url, body) in [
        (
            "/1.0/instances/c1",
            json!({"restore": "s1", "profiles": ["default"]}),
        ),
        (
            "/1.0/instances/c1/rebuild",
            json!({"source": {"type": "none"}}),
        ),
    ] {
        // What a driver may do to it.
        drop(std::fs::remove_file(&file));
        let method = if body["restore"].is_string() {
            Method::PUT
        } else {
            Method::POST
        };
        if method == Method::POST {
            let snapshot = "/1.0/instances/c1/snapshots/s1";
            daemon.ok(Method::DELETE, snapshot, Value::Null).await;
        }
        daemon.ok(method, url, body).await;
        flush(&daemon.app).await.unwrap();
        assert!(file.is_file(), "{url}");
    }
}

/// The database and the daemon are lost; what lies on disk goes to another one.
async fn lost() -> (TestDaemon, TestDaemon) {
    let old = furnished().await;
    flush(&old.app).await.unwrap();
    old.app.tasks.close();
    old.app.tasks.wait().await;
    // Its lock goes with it.
    drop(old.app.pools.remove("default"));
    let new = TestDaemon::new();
    let pools =
        ["storage-pools/default"].map(|name| (old.path().join(name), new.path().join(name)));
    for (from, to) in pools {
        std::fs::rename(from, to).unwrap();
    }
    (old, new)
}

#[tokio::test]
async fn what_the_inventory_lost_comes_back() {
    let (_old, new) = lost().await;
    let found = new.ok(Method::POST, VALIDATE, json!({})).await;
    assert_eq!(found["LostPools"][0]["name"], "default");
    assert_eq!(
        found["UnknownVolumes"].as_array().unwrap().len(),
        2,
        "{found}"
    );
    assert_eq!(found["UnknownVolumes"][0]["snapshotCount"], 1);
    new.ok(Method::POST, IMPORT, json!({"pools": []})).await;
    let view = new
        .ok(Method::GET, "/1.0/instances/c1?recursion=1", Value::Null)
        .await;
    assert_eq!(view["config"]["user.a"], "1");
    assert_eq!(view["snapshots"][0]["description"], "first");
    let profile = new
        .ok(Method::GET, "/1.0/profiles/default", Value::Null)
        .await;
    assert_eq!(profile["devices"]["root"]["pool"], "default");
    let url = "/1.0/storage-pools/default/volumes/custom/data/snapshots/v1";
    new.ok(Method::GET, url, Value::Null).await;
    let start = json!({"action": "start"});
    new.ok(Method::PUT, "/1.0/instances/c1/state", start).await;
    let again = new.ok(Method::POST, VALIDATE, json!({})).await;
    assert_eq!(again["UnknownVolumes"], json!([]), "{again}");
    new.reconcile().await;
    assert!(new.warnings().await.is_empty());
}

#[tokio::test]
async fn numbers_that_others_have_are_changed() {
    let (_old, new) = lost().await;
    let elsewhere = new.path().join("elsewhere");
    std::fs::rename(new.path().join("storage-pools/default"), &elsewhere).unwrap();
    let post = json!({"name": "default", "driver": "dir"});
    new.ok(Method::POST, "/1.0/storage-pools", post).await;
    let root = json!({"root": {"type": "disk", "path": "/", "pool": "default"}});
    let post = json!({"name": "other", "source": {"type": "none"}, "devices": root});
    new.ok(Method::POST, "/1.0/instances", post).await;
    let pools = json!([{"name": "second", "config": {"source": elsewhere.display().to_string()}}]);
    let post = json!({"pools": pools});
    new.ok(Method::POST, IMPORT, post).await;
    let names = |directory: &str| {
        let entries = std::fs::read_dir(elsewhere.join(directory)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("containers"), ["2"]);
    assert_eq!(names("custom"), ["1"], "nobody had that one");
    let view = new.ok(Method::GET, "/1.0/instances/c1", Value::Null).await;
    assert_eq!(view["expanded_devices"]["root"]["pool"], "second");
    let restore = json!({"restore": "s1", "profiles": ["default"]});
    new.ok(Method::PUT, "/1.0/instances/c1", restore).await;
    assert!(new.journal().await.is_empty());
    assert!(new.warnings().await.is_empty());
}

#[tokio::test]
async fn what_is_in_the_way_is_named_and_nothing_is_taken_back() {
    let (_old, new) = lost().await;
    let place = new
        .path()
        .join("storage-pools/default/containers/1/backup.yaml");
    let text = std::fs::read_to_string(&place).unwrap();
    let foreign = text.replace("project: default", "project: gone");
    std::fs::write(&place, foreign).unwrap();
    let error = new.refused(Method::POST, IMPORT, json!({})).await;
    assert!(error.contains("rlxc project create gone"), "{error}");
    let pools = new.ok(Method::GET, "/1.0/storage-pools", Value::Null).await;
    assert_eq!(pools, json!([]));
    std::fs::write(&place, "container: [").unwrap();
    let found = new.ok(Method::POST, VALIDATE, json!({})).await;
    let unreadable = found["UnreadableVolumes"].to_string();
    assert!(unreadable.contains("root volume 1"), "{unreadable}");
    new.ok(Method::POST, IMPORT, json!({})).await;
    let post = json!({"name": "third", "config": {"source": "/nowhere"}});
    let error = new
        .refused(Method::POST, IMPORT, json!({"pools": [post]}))
        .await;
    assert!(error.contains("`third`"), "{error}");
}
