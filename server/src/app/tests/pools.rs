//! Storage pools on a real file system.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::TestDaemon;

const POOLS: &str = "/1.0/storage-pools";

#[tokio::test]
async fn a_pool_comes_and_goes() {
    let daemon = TestDaemon::new();
    let before = daemon.world().await;
    let source = daemon.path().join("elsewhere");
    let post = json!({"name": "p1", "driver": "dir", "config": {"source": source}});
    daemon.ok(Method::POST, POOLS, post.clone()).await;
    let view = daemon
        .ok(Method::GET, "/1.0/storage-pools/p1", Value::Null)
        .await;
    assert_eq!(
        (&view["driver"], &view["status"]),
        (&json!("dir"), &json!("Created"))
    );
    assert_eq!(view["config"]["source"], json!(source));
    let inside = json!({"name": "p2", "driver": "dir", "config": {"source": source.join("x")}});
    let error = daemon.refused(Method::POST, POOLS, inside).await;
    assert!(
        error.contains("overlaps that of storage pool `p1`"),
        "{error}"
    );
    daemon
        .ok(Method::DELETE, "/1.0/storage-pools/p1", Value::Null)
        .await;
    let (status, _) = daemon
        .call(Method::GET, "/1.0/storage-pools/p1", Value::Null)
        .await;
    assert_eq!(status, 404);
    // A directory that somebody named is somebody's: it stays, and can be used again.
    daemon.ok(Method::POST, POOLS, post).await;
    daemon
        .ok(Method::DELETE, "/1.0/storage-pools/p1", Value::Null)
        .await;
    let difference = daemon.world().await.difference(&before);
    assert!(
        difference
            .lines()
            .all(|line| line.starts_with("+ directory elsewhere")),
        "{difference}"
    );
}

#[tokio::test]
async fn what_is_no_pool_is_refused() {
    let daemon = TestDaemon::new();
    let full = daemon.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("letter"), "dear").unwrap();
    let before = daemon.world().await;
    let pool = |config: Value| json!({"name": "p1", "driver": "dir", "config": config});
    for (post, expected) in [
        (
            json!({"name": "p1", "driver": "tape"}),
            "storage driver `tape`",
        ),
        (json!({"name": "a/b", "driver": "dir"}), "name"),
        (json!({"name": "..", "driver": "dir"}), "name"),
        (
            pool(json!({"source": "relative"})),
            "must be an absolute path",
        ),
        (
            pool(json!({"size": "1GiB"})),
            "unknown storage pool key `size`",
        ),
        (pool(json!({"source": full})), "is not empty"),
    ] {
        let error = daemon.refused(Method::POST, POOLS, post).await;
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(daemon.world().await.difference(&before), "");
    assert!(daemon.journal().await.is_empty());
}

#[tokio::test]
async fn a_pool_in_use_stays() {
    let daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let url = "/1.0/storage-pools/default";
    let error = daemon.refused(Method::DELETE, url, Value::Null).await;
    assert!(error.contains("/1.0/instances/c1"), "{error}");
    assert!(error.contains("/1.0/profiles/default"), "{error}");
    let moved = json!({"config": {"source": "/elsewhere"}});
    let error = daemon.refused(Method::PUT, url, moved).await;
    assert!(error.contains("can't be changed"), "{error}");
    let put = json!({"description": "d", "config": {"user.a": "b"}});
    daemon.ok(Method::PUT, url, put).await;
    let view = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(
        (&view["description"], &view["config"]["user.a"]),
        (&json!("d"), &json!("b"))
    );
    assert!(view["config"]["source"].is_string());
}
