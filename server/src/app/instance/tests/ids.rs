//! Host ids: what another instance has is refused before it is written, with the name of who has it.

use axum::http::Method;
use serde_json::{Value, json};

use super::{act, create, get, status, with_c1};
use crate::testing::TestDaemon;

const C2: &str = "/1.0/instances/c2";

/// The first ids of the ranges, in their order.
async fn bases(daemon: &TestDaemon) -> Vec<u32> {
    let spans = daemon
        .app
        .db
        .read(|tx| crate::db::instances::id_spans(tx, None))
        .await
        .unwrap();
    spans.into_iter().map(|span| span.first).collect()
}

async fn refused(daemon: &TestDaemon, url: &str, key: &str, value: &str) -> String {
    let patch = json!({"config": {key: value}});
    let error = daemon.refused(Method::PATCH, url, patch).await;
    assert!(error.contains(key), "{error}");
    error
}

#[tokio::test]
async fn ids_of_another_are_refused_before_they_are_written() {
    let daemon = with_c1().await;
    create(&daemon, json!({"name": "c2"})).await;
    let bases = bases(&daemon).await;
    let [theirs, own] = bases[..] else {
        panic!("{bases:?}")
    };
    let line = format!("uid {} 40", theirs + 4);
    for (key, value, expected) in [
        ("raw.idmap", line.clone(), "those of instance `c1`"),
        ("raw.idmap", format!("gid {own} 40"), "own"),
        ("raw.idmap", "uid 5 5\nuid 5 6".to_owned(), "given twice"),
        (
            "security.idmap.base",
            (theirs + 100).to_string(),
            "instance `c1` has some",
        ),
        ("security.idmap.base", "5".to_owned(), "/etc/subuid"),
    ] {
        let error = refused(&daemon, C2, key, &value).await;
        assert!(error.contains(expected), "{error}");
        let profile = refused(&daemon, "/1.0/profiles/default", key, &value).await;
        assert!(!profile.is_empty());
    }
    let view = get(&daemon, C2).await;
    assert_eq!(view["config"]["raw.idmap"], Value::Null);
    let post = json!({"name": "c3", "source": {"type": "none"}, "config": {"raw.idmap": line}});
    let error = daemon.refused(Method::POST, "/1.0/instances", post).await;
    assert!(error.contains("those of instance `c1`"), "{error}");
}

#[tokio::test]
async fn a_range_is_never_chosen_around_ids_that_are_shared() {
    let daemon = with_c1().await;
    let next = bases(&daemon).await[0] + 65_536;
    let shares = json!({"config": {"raw.idmap": format!("both {} 1000", next + 7)}});
    daemon.ok(Method::PATCH, "/1.0/instances/c1", shares).await;
    create(&daemon, json!({"name": "c2"})).await;
    let base = next.to_string();
    let error = refused(&daemon, C2, "security.idmap.base", &base).await;
    assert!(error.contains("a `raw.idmap` has some"), "{error}");
    assert_eq!(bases(&daemon).await[1], next + 65_536);
}

#[tokio::test]
async fn a_range_grows_where_it_is() {
    let daemon = with_c1().await;
    create(&daemon, json!({"name": "c2"})).await;
    let own = bases(&daemon).await[1];
    let wanted = json!({"security.idmap.base": own.to_string(), "security.idmap.size": "131072"});
    daemon
        .ok(Method::PATCH, C2, json!({"config": wanted}))
        .await;
    assert_eq!(act(&daemon, "c2", "start").await, None);
    assert_eq!(status(&daemon, "c2").await, "Running");
    assert_eq!(bases(&daemon).await[1], own);
}

#[tokio::test]
async fn a_restart_asks_before_it_stops() {
    let daemon = with_c1().await;
    create(&daemon, json!({"name": "c2"})).await;
    assert_eq!(act(&daemon, "c2", "start").await, None);
    let theirs = bases(&daemon).await[0];
    // As a daemon wrote it that did not ask.
    let id = crate::app::instance::find_id(&daemon.app, "default", "c2")
        .await
        .unwrap();
    let note = [("security.idmap.base", theirs.to_string())];
    daemon
        .app
        .db
        .write(move |tx| crate::db::instances::set_keys(tx, id, &note))
        .await
        .unwrap();
    let error = act(&daemon, "c2", "restart").await.unwrap();
    assert!(error.contains("instance `c1` has some"), "{error}");
    assert_eq!(status(&daemon, "c2").await, "Running");
}

#[tokio::test]
async fn a_profile_is_given_once() {
    let daemon = with_c1().await;
    let twice = json!({"profiles": ["default", "default"]});
    let error = daemon
        .refused(Method::PATCH, "/1.0/instances/c1", twice.clone())
        .await;
    assert!(
        error.contains("profile `default` is given twice"),
        "{error}"
    );
    let mut post = twice;
    (post["name"], post["source"]) = (json!("c2"), json!({"type": "none"}));
    let error = daemon.refused(Method::POST, "/1.0/instances", post).await;
    assert!(
        error.contains("profile `default` is given twice"),
        "{error}"
    );
}
