//! Instances through the API, on fakes.

mod devices;
mod ends;
mod ids;
mod lifecycle;
mod names;
mod rows;
mod writing;

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::TestDaemon;

/// A daemon with a pool and the instance `c1`.
async fn with_c1() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    create(&daemon, json!({"name": "c1"})).await;
    daemon
}

/// Makes an empty instance, with what else is said of it.
async fn create(daemon: &TestDaemon, mut post: Value) {
    post["source"] = json!({"type": "none"});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
}

async fn get(daemon: &TestDaemon, url: &str) -> Value {
    daemon.ok(Method::GET, url, Value::Null).await
}

async fn status(daemon: &TestDaemon, name: &str) -> String {
    let view = get(daemon, &format!("/1.0/instances/{name}")).await;
    view["status"].as_str().unwrap().to_owned()
}

/// Changes the state of an instance; the error, if there is one.
async fn act(daemon: &TestDaemon, name: &str, action: &str) -> Option<String> {
    act_with(daemon, name, json!({"action": action})).await
}

async fn act_with(daemon: &TestDaemon, name: &str, put: Value) -> Option<String> {
    let url = format!("/1.0/instances/{name}/state");
    let (status, reply) = daemon.call(Method::PUT, &url, put).await;
    let error = if status == 202 {
        &reply["metadata"]["err"]
    } else {
        &reply["error"]
    };
    error
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
