//! The shape of replies, as clients of LXD parse them.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::testing::TestDaemon;

#[tokio::test]
async fn every_envelope_has_all_fields() {
    let daemon = TestDaemon::with_pool().await;
    let (status, reply) = daemon.call(Method::GET, "/1.0", Value::Null).await;
    assert_eq!(status, 200);
    let mut head = reply.clone();
    head["metadata"].take();
    let expected = json!({"type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": "", "metadata": null});
    assert_eq!(head, expected);
    let post = json!({"name": "c1", "source": {"type": "none"}});
    let request = Request::post("/1.0/instances").body(Body::from(post.to_string()));
    let (status, headers, body) = daemon.send(request.unwrap()).await;
    let reply: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 202);
    let id = reply["metadata"]["id"].as_str().unwrap();
    let url = format!("/1.0/operations/{id}");
    assert_eq!(
        (&reply["type"], &reply["status_code"]),
        (&json!("async"), &json!(100))
    );
    assert_eq!(reply["operation"], *url);
    assert_eq!(headers["location"], *url);
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let daemon = TestDaemon::with_pool().await;
    let pool = json!({"name": "default", "driver": "dir"});
    for (method, url, body, code) in [
        (Method::GET, "/1.0/instances/c9", Value::Null, 404),
        (Method::GET, "/1.0/nothing", Value::Null, 404),
        (Method::GET, "/2.0", Value::Null, 404),
        (Method::GET, "/1.0/instances?project=p9", Value::Null, 404),
        (Method::DELETE, "/1.0", Value::Null, 405),
        (Method::POST, "/1.0/storage-pools", pool, 409),
        (
            Method::POST,
            "/1.0/storage-pools",
            json!({"name": "."}),
            400,
        ),
        (Method::GET, "/1.0/instances?recursion=x", Value::Null, 400),
        (Method::GET, "/1.0/operations/none", Value::Null, 404),
        (Method::DELETE, "/1.0/operations/none", Value::Null, 404),
        (Method::GET, "/1.0/warnings/none", Value::Null, 404),
    ] {
        let (status, reply) = daemon.call(method.clone(), url, body).await;
        assert_eq!(status, code, "{method} {url}: {reply}");
        assert_eq!(reply["type"], "error");
        assert_eq!(reply["error_code"], code);
        assert!(!reply["error"].as_str().unwrap().is_empty(), "{url}");
    }
}
