//! PUT and PATCH: tags, merging, and who is first.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::testing::TestDaemon;

/// A resource of each kind that can be changed, and a change of it that is right.
async fn resources(daemon: &TestDaemon) -> Vec<(&'static str, Value)> {
    for (url, post) in [
        ("/1.0/profiles", json!({"name": "p1"})),
        ("/1.0/networks", json!({"name": "br1"})),
        (
            "/1.0/instances",
            json!({"name": "c1", "source": {"type": "none"}}),
        ),
        ("/1.0/instances/c1/snapshots", json!({"name": "s1"})),
    ] {
        daemon.ok(Method::POST, url, post).await;
    }
    let described = || json!({"description": "d"});
    vec![
        ("/1.0", json!({"config": {"user.a": "b"}})),
        ("/1.0/profiles/p1", described()),
        ("/1.0/networks/br1", described()),
        ("/1.0/storage-pools/default", described()),
        ("/1.0/instances/c1", described()),
        (
            "/1.0/instances/c1/snapshots/s1",
            json!({"expires_at": "2030-01-01T00:00:00Z"}),
        ),
    ]
}

async fn tag(daemon: &TestDaemon, url: &str) -> String {
    let request = Request::get(url).body(Body::empty()).unwrap();
    let (_, headers, _) = daemon.send(request).await;
    headers["etag"].to_str().unwrap().to_owned()
}

fn edit(method: &Method, url: &str, tag: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(url);
    let request = request.header("If-Match", tag);
    request.body(Body::from(body.to_string())).unwrap()
}

#[tokio::test]
async fn a_stale_tag_is_refused_everywhere() {
    let daemon = TestDaemon::with_pool().await;
    for (url, change) in resources(&daemon).await {
        let before = tag(&daemon, url).await;
        for method in [Method::PUT, Method::PATCH] {
            let stale = edit(&method, url, "\"0\"", &change);
            assert_eq!(daemon.reply(stale).await.0, 412, "{method} {url}");
        }
        assert_eq!(
            tag(&daemon, url).await,
            before,
            "{url}: nothing has changed"
        );
        let fresh = edit(&Method::PATCH, url, &format!("W/{before}"), &change);
        let (status, reply) = daemon.reply(fresh).await;
        assert!(status < 300, "{url}: {reply}");
        assert_ne!(tag(&daemon, url).await, before, "{url}");
        let late = edit(&Method::PATCH, url, &before, &change);
        assert_eq!(daemon.reply(late).await.0, 412, "{url}");
    }
}

#[tokio::test]
async fn of_two_edits_of_the_same_state_one_wins() {
    let daemon = TestDaemon::with_pool().await;
    for (url, _) in resources(&daemon).await.into_iter().take(5) {
        let tag = tag(&daemon, url).await;
        let change = |value: &str| json!({"config": {"user.who": value}});
        let (first, second) = tokio::join!(
            daemon.reply(edit(&Method::PATCH, url, &tag, &change("first"))),
            daemon.reply(edit(&Method::PATCH, url, &tag, &change("second")))
        );
        let mut codes = [first.0, second.0];
        codes.sort_unstable();
        assert_eq!(codes, [200, 412], "{url}");
    }
}

#[tokio::test]
async fn put_replaces_and_patch_merges() {
    let daemon = TestDaemon::with_pool().await;
    let url = "/1.0/profiles/default";
    let put = json!({"description": "d", "config": {"user.a": "1", "user.b": "2"}, "unknown": [1]});
    daemon.ok(Method::PUT, url, put).await;
    let view = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(
        (&view["devices"], &view["description"]),
        (&json!({}), &json!("d"))
    );
    let changes = json!({"config": {"user.a": "", "user.c": "3"}});
    daemon.ok(Method::PATCH, url, changes).await;
    let view = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(view["config"], json!({"user.b": "2", "user.c": "3"}));
    assert_eq!(view["description"], "d");
}
