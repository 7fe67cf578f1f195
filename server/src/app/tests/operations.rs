//! Operations outlive their end and the daemon; events tell of them in order.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::operation::OperationSpec;
use crate::testing::{Fault, TestDaemon};

fn spec() -> OperationSpec {
    OperationSpec::task("Waiting", "default", "instances", "/1.0/instances/c1")
}

#[tokio::test]
async fn what_ended_is_remembered_by_the_next_daemon() {
    let mut daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    let done = daemon.ok(Method::POST, "/1.0/instances", post).await;
    let id = done["id"].as_str().unwrap().to_owned();
    daemon.restart().await;
    for url in [
        format!("/1.0/operations/{id}"),
        format!("/1.0/operations/{id}/wait"),
    ] {
        let view = daemon.ok(Method::GET, &url, Value::Null).await;
        assert_eq!(
            (&view["status"], &view["err"]),
            (&json!("Success"), &json!(""))
        );
        assert_eq!(view["resources"], done["resources"]);
    }
    let all = daemon
        .ok(Method::GET, "/1.0/operations?history=true", Value::Null)
        .await;
    let urls = all["success"].as_array().unwrap();
    assert!(
        urls.contains(&json!(format!("/1.0/operations/{id}"))),
        "{all}"
    );
}

#[tokio::test]
async fn what_was_under_way_failed_with_the_daemon() {
    let mut daemon = TestDaemon::with_pool().await;
    daemon.arm(Some((2, Fault::Killed))).await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    let (_, reply) = daemon.call(Method::POST, "/1.0/instances", post).await;
    let id = reply["metadata"]["id"].as_str().unwrap().to_owned();
    daemon.restart().await;
    let view = daemon.app.operations.find(&id).await.unwrap();
    assert_eq!(
        (&*view.status, &*view.err),
        ("Failure", "the daemon was restarted")
    );
}

#[tokio::test]
async fn waiting_ends_with_the_operation_or_the_timeout() {
    let daemon = TestDaemon::new();
    let operation = daemon
        .app
        .operations
        .spawn(spec().cancellable(), |handle| async move {
            handle.cancellation().cancelled().await;
            Err(crate::error::Error::Cancelled)
        });
    let url = format!("/1.0/operations/{}", operation.id);
    let view = daemon
        .ok(Method::GET, &format!("{url}/wait?timeout=0"), Value::Null)
        .await;
    assert_eq!(view["status"], "Running");
    let list = daemon
        .ok(Method::GET, "/1.0/operations?recursion=1", Value::Null)
        .await;
    assert_eq!(list["running"][0]["id"], *operation.id);
    daemon.ok(Method::DELETE, &url, Value::Null).await;
    let view = daemon
        .ok(Method::GET, &format!("{url}/wait"), Value::Null)
        .await;
    assert_eq!(
        (&view["status"], &view["status_code"]),
        (&json!("Cancelled"), &json!(401))
    );
    let (status, _) = daemon.call(Method::DELETE, &url, Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn not_every_operation_can_be_cancelled() {
    let daemon = TestDaemon::new();
    let operation = daemon.app.operations.spawn(spec(), |_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(std::collections::BTreeMap::new())
    });
    let url = format!("/1.0/operations/{}", operation.id);
    let error = daemon.refused(Method::DELETE, &url, Value::Null).await;
    assert_eq!(error, "this operation can't be cancelled");
}

#[tokio::test]
async fn listeners_hear_the_operation_around_what_it_did() {
    let daemon = TestDaemon::with_pool().await;
    let mut events = daemon.app.events.subscribe();
    let post = json!({"name": "c1", "source": {"type": "none"}});
    let done = daemon.ok(Method::POST, "/1.0/instances", post).await;
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        let metadata = &event.metadata;
        let what = if event.kind == "lifecycle" {
            assert_eq!(metadata["source"], "/1.0/instances/c1");
            assert_eq!(metadata["requestor"]["username"], "root");
            metadata["action"].as_str()
        } else {
            assert_eq!(metadata["id"], done["id"]);
            metadata["status"].as_str()
        };
        heard.push(what.unwrap().to_owned());
    }
    assert_eq!(heard, ["Running", "instance-created", "Success"]);
}
