//! Profiles, and the instances that have them.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::testing::TestDaemon;

const PROFILES: &str = "/1.0/profiles";
const P1: &str = "/1.0/profiles/p1";

#[tokio::test]
async fn a_profile_in_use_stays() {
    let daemon = TestDaemon::with_pool().await;
    daemon
        .ok(
            Method::POST,
            PROFILES,
            json!({"name": "p1", "config": {"user.a": "1"}}),
        )
        .await;
    let post = json!({"name": "c1", "source": {"type": "none"}, "profiles": ["default", "p1"]});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let view = daemon
        .ok(Method::GET, "/1.0/instances/c1", Value::Null)
        .await;
    assert_eq!(view["expanded_config"]["user.a"], "1");
    let error = daemon.refused(Method::DELETE, P1, Value::Null).await;
    assert_eq!(error, "profile `p1` is in use by c1");
    daemon.ok(Method::POST, P1, json!({"name": "p2"})).await;
    let view = daemon
        .ok(Method::GET, "/1.0/instances/c1", Value::Null)
        .await;
    assert_eq!(view["profiles"], json!(["default", "p2"]));
    daemon
        .ok(Method::DELETE, "/1.0/instances/c1", Value::Null)
        .await;
    daemon
        .ok(Method::DELETE, "/1.0/profiles/p2", Value::Null)
        .await;
}

#[tokio::test]
async fn the_default_profile_keeps_its_name() {
    let daemon = TestDaemon::new();
    let url = "/1.0/profiles/default";
    for (method, body) in [
        (Method::DELETE, Value::Null),
        (Method::POST, json!({"name": "x"})),
    ] {
        let error = daemon.refused(method, url, body).await;
        assert!(error.contains("the profile `default` can't be"), "{error}");
    }
}

#[tokio::test]
async fn profiles_have_tags_and_checks() {
    let daemon = TestDaemon::new();
    daemon
        .ok(Method::POST, PROFILES, json!({"name": "p1"}))
        .await;
    let (status, _) = daemon
        .call(Method::POST, PROFILES, json!({"name": "p1"}))
        .await;
    assert_eq!(status, 409);
    for bad in [
        json!({"name": "a/b"}),
        json!({"name": "p2", "config": {"limits.memory": "much"}}),
        json!({"name": "p2", "devices": {"a": {"type": "x"}}}),
    ] {
        let (status, reply) = daemon.call(Method::POST, PROFILES, bad).await;
        assert_eq!(status, 400, "{reply}");
    }
    let stale = Request::put(P1)
        .header("If-Match", "\"stale\"")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(daemon.reply(stale).await.0, 412);
    let put = |text: &str| json!({"description": text, "config": {"user.a": text}});
    daemon.ok(Method::PUT, P1, put("x")).await;
    daemon
        .ok(Method::PATCH, P1, json!({"config": {"user.b": "y"}}))
        .await;
    let view = daemon.ok(Method::GET, P1, Value::Null).await;
    assert_eq!(view["config"], json!({"user.a": "x", "user.b": "y"}));
    let all = daemon
        .ok(Method::GET, "/1.0/profiles?recursion=1", Value::Null)
        .await;
    assert_eq!(all[1]["description"], "x");
}
