//! What happens to images as time goes by.

use axum::http::Method;
use serde_json::{Value, json};

use super::fetch::ImageServer;
use super::{image, upload};
use crate::app::image::upkeep::Upkeep;
use crate::testing::TestDaemon;

async fn fingerprints(daemon: &TestDaemon) -> Vec<String> {
    let urls = daemon.ok(Method::GET, "/1.0/images", Value::Null).await;
    let urls: Vec<String> = serde_json::from_value(urls).unwrap();
    let last = |url: String| url.rsplit('/').next().unwrap().to_owned();
    urls.into_iter().map(last).collect()
}

/// As if all images had last been used then.
async fn age(daemon: &TestDaemon, days: i64) {
    let ago = jiff::SignedDuration::from_hours(days * 24);
    let then = crate::clock::format(daemon.app.clock.now().checked_sub(ago).unwrap());
    daemon
        .app
        .db
        .write::<_, crate::error::Error, _>(move |tx| {
            tx.execute(
                "UPDATE images SET uploaded_at = ?1, last_used_at = ?1",
                [then],
            )
            .map_err(crate::db::DbError::from)?;
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn cached_images_go_when_nobody_used_them_for_long() {
    let (daemon, server) = (TestDaemon::with_pool().await, ImageServer::start().await);
    let own = upload(&daemon, image("own")).await;
    let post = json!({"name": "c1", "source": server.source("test/1")});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    for (days, left) in [(9, 2), (11, 1)] {
        age(&daemon, days).await;
        Upkeep::default().tick(&daemon.app).await;
        assert_eq!(fingerprints(&daemon).await.len(), left, "after {days} days");
    }
    assert_eq!(fingerprints(&daemon).await, [own]);
    // The instance lives on.
    daemon
        .ok(Method::GET, "/1.0/instances/c1", Value::Null)
        .await;
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn nothing_goes_where_that_is_turned_off() {
    let (daemon, server) = (TestDaemon::with_pool().await, ImageServer::start().await);
    let post = json!({"name": "c1", "source": server.source("test/1")});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let config =
        json!({"config": {"images.remote_cache_expiry": "0", "images.auto_update_interval": "0"}});
    daemon.ok(Method::PATCH, "/1.0", config).await;
    age(&daemon, 1000).await;
    let (before, mut upkeep) = (server.asked(), Upkeep::default());
    upkeep.tick(&daemon.app).await;
    assert_eq!(fingerprints(&daemon).await.len(), 1);
    assert_eq!(server.asked(), before);
    for (key, value) in [
        ("images.remote_cache_expiry", "-1"),
        ("images.auto_update_interval", "often"),
        ("images.default_architecture", "vax"),
        ("images.compression_algorithm", "rar"),
    ] {
        let config = json!({"config": {key: value}});
        let error = daemon.refused(Method::PATCH, "/1.0", config).await;
        assert!(error.contains(value), "{error}");
    }
}

#[tokio::test]
async fn a_newer_image_takes_the_place_of_the_old_one() {
    let (daemon, server) = (TestDaemon::with_pool().await, ImageServer::start().await);
    let post = json!({"source": server.source("test/1"), "auto_update": true, "public": true,
        "aliases": [{"name": "mine", "description": "of mine"}]});
    let made = daemon.ok(Method::POST, "/1.0/images", post).await;
    let old = made["metadata"]["fingerprint"].as_str().unwrap().to_owned();
    let post = json!({"name": "c1", "source": {"type": "image", "alias": "mine"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let mut upkeep = Upkeep::default();
    upkeep.tick(&daemon.app).await;
    assert_eq!(
        fingerprints(&daemon).await,
        [old.as_str()],
        "there is no newer one"
    );
    let new = server.publish("newer");
    let asked = server.asked();
    upkeep.tick(&daemon.app).await;
    assert_eq!(server.asked(), asked, "it is not due yet");
    Upkeep::default().tick(&daemon.app).await;
    assert_eq!(fingerprints(&daemon).await, [new.as_str()]);
    let view = daemon
        .ok(Method::GET, &format!("/1.0/images/{new}"), Value::Null)
        .await;
    assert_eq!(
        view["aliases"],
        json!([{"name": "mine", "description": "of mine"}])
    );
    assert_eq!(
        (&view["public"], &view["auto_update"]),
        (&json!(true), &json!(true))
    );
    assert_ne!(view["last_used_at"], "0001-01-01T00:00:00Z");
    // It is on the pool already, and the instance of the old one lives on.
    let driver = daemon.app.pools.get("default").unwrap();
    assert!(driver.has_image(&new));
    daemon
        .ok(Method::GET, "/1.0/instances/c1", Value::Null)
        .await;
}

#[tokio::test]
async fn a_server_that_is_gone_changes_nothing() {
    let (daemon, server) = (TestDaemon::with_pool().await, ImageServer::start().await);
    let post = json!({"source": server.source("test/1"), "auto_update": true});
    daemon.ok(Method::POST, "/1.0/images", post).await;
    let before = fingerprints(&daemon).await;
    server.stop();
    tokio::task::yield_now().await;
    Upkeep::default().tick(&daemon.app).await;
    assert_eq!(fingerprints(&daemon).await, before);
}
