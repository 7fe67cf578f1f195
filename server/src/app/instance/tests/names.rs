//! Requests that make no sense, and those that mean harm.

use axum::body::Body;
use axum::http::{Method, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{get, with_c1};
use crate::testing::TestDaemon;

const INSTANCES: &str = "/1.0/instances";

#[tokio::test]
async fn names_that_are_none() {
    let daemon = TestDaemon::with_pool().await;
    let long = "a".repeat(64);
    for name in [
        "..", "a/b", "a b", "-a", "123", "a-", "a.b", "ä", "a\0b", "a\nb", &long, "%2f",
    ] {
        let post = json!({"name": name, "source": {"type": "none"}});
        let (status, reply) = daemon.call(Method::POST, INSTANCES, post).await;
        assert_eq!(status, 400, "{name:?}: {reply}");
    }
    assert_eq!(get(&daemon, INSTANCES).await, json!([]));
}

#[tokio::test]
async fn paths_that_lead_nowhere() {
    let daemon = with_c1().await;
    for path in [
        "..",
        "%2e%2e",
        "..%2fc1",
        "c1%2f..%2fc1",
        "c1%00",
        "%00",
        "c1%0a",
        "nobody",
        "c1%2fsnapshots",
    ] {
        for url in [
            format!("{INSTANCES}/{path}"),
            format!("{INSTANCES}/{path}/state"),
            format!("{INSTANCES}/{path}/snapshots"),
        ] {
            let (status, reply) = daemon.call(Method::GET, &url, Value::Null).await;
            assert!([400, 404].contains(&status), "{url}: {status} {reply}");
            assert_eq!(reply["type"], "error", "{url}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_none() {
    let daemon = with_c1().await;
    let url = format!("{INSTANCES}/c1");
    for (body, expected) in [
        ("{", "the body is not what it should be"),
        ("[]", "the body is not what it should be"),
        ("\u{0}", "the body is not what it should be"),
        (r#"{"config": "x"}"#, "config"),
        (
            r#"{"config": {"user.a": 1}}"#,
            "the body is not what it should be",
        ),
        (r#"{"devices": {"a": {"type": "toaster"}}}"#, "`toaster`"),
        (
            r#"{"config": {"limits.cup": "1"}}"#,
            "Did you mean `limits.cpu`?",
        ),
    ] {
        let request = Request::put(&url).body(Body::from(body)).unwrap();
        let (status, reply) = daemon.reply(request).await;
        let error = reply["error"].as_str().unwrap();
        assert_eq!(status, 400, "{body}: {reply}");
        assert!(
            error.contains(expected) || error.contains("not what it should be"),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn a_huge_body_is_refused() {
    let daemon = with_c1().await;
    let body = format!(r#"{{"description": "{}"}}"#, "x".repeat(17 << 20));
    let request = Request::put(format!("{INSTANCES}/c1"))
        .body(Body::from(body))
        .unwrap();
    let (status, reply) = daemon.reply(request).await;
    assert_eq!(status, 400);
    let error = reply["error"].as_str().unwrap();
    assert!(error.starts_with("the body can't be read"), "{error}");
}

#[tokio::test]
async fn sources_and_pools_that_are_not_there() {
    let daemon = TestDaemon::with_pool().await;
    let root = |pool: &str| json!({"root": {"type": "disk", "path": "/", "pool": pool}});
    let none = json!({"type": "none"});
    for (post, expected) in [
        (json!({"source": {"type": "tape"}}), "source type `tape`"),
        (
            json!({"source": {"type": "copy", "source": "c9"}}),
            "instance `c9` not found",
        ),
        (
            json!({"source": none, "profiles": ["p9"]}),
            "profile `p9` not found",
        ),
        (json!({"source": none, "profiles": []}), "has no root disk"),
        (
            json!({"source": none, "devices": root("p9")}),
            "storage pool `p9` not found",
        ),
        (
            json!({"source": none, "type": "virtual-machine"}),
            "rlxc runs containers",
        ),
    ] {
        let mut post = post;
        post["name"] = json!("c1");
        let error = daemon.refused(Method::POST, INSTANCES, post).await;
        assert!(error.contains(expected), "{error}");
    }
    for (post, expected) in [
        (json!({"source": {"type": "tape"}}), 400),
        (json!({"source": none, "profiles": ["p9"]}), 404),
    ] {
        let (code, _) = daemon.call_async(Method::POST, INSTANCES, post).await;
        assert_eq!(code, expected, "at once, without an operation");
    }
    assert_eq!(get(&daemon, INSTANCES).await, json!([]));
    assert!(daemon.journal().await.is_empty());
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict() {
    let daemon = with_c1().await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    let (status, reply) = daemon.call(Method::POST, INSTANCES, post).await;
    assert_eq!(status, 409);
    assert_eq!(reply["error"], "instance `c1` already exists");
    let post = json!({"source": {"type": "none"}});
    daemon.ok(Method::POST, INSTANCES, post).await;
    let urls = get(&daemon, INSTANCES).await;
    assert_eq!(urls.as_array().unwrap().len(), 2, "the server chose a name");
    let error = daemon
        .refused(
            Method::POST,
            &format!("{INSTANCES}/c1"),
            json!({"name": "c1"}),
        )
        .await;
    assert!(error.contains("already"), "{error}");
}

#[test]
fn no_name_breaks_the_api() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let daemon = runtime.block_on(TestDaemon::with_pool());
    let config = ProptestConfig::with_cases(64);
    proptest!(config, |(name in any::<String>())| {
        let valid = name.parse::<rlxc_api::name::InstanceName>().is_ok();
        let post = json!({"name": name, "source": {"type": "none"}});
        let (status, _) = runtime.block_on(daemon.call(Method::POST, INSTANCES, post));
        // An empty one is the server's to choose.
        prop_assert!(status == 202 || (status == 400 && !valid), "{name:?}: {status}");
        prop_assert_eq!(status == 202, valid || name.is_empty());
    });
}
