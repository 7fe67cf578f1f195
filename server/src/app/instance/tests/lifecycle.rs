//! Verbs, the states they are possible in, and who holds an instance.

use axum::http::Method;
use rlxc_container::protocol::Failure;
use serde_json::{Value, json};

use super::{act, act_with, create, get, status, with_c1};
use crate::instance::state::Verb;
use crate::runtime::fake::Script;

#[tokio::test]
async fn every_verb_in_every_state() {
    let daemon = with_c1().await;
    daemon.make_cgroup(1);
    let already = |state: &str| format!("the instance is already {state}");
    let not_running = "the instance is not running".to_owned();
    for action in ["restart", "freeze", "unfreeze"] {
        assert_eq!(act(&daemon, "c1", action).await, Some(not_running.clone()));
    }
    assert_eq!(act(&daemon, "c1", "stop").await, Some(already("stopped")));
    assert_eq!(act(&daemon, "c1", "start").await, None);
    assert_eq!(status(&daemon, "c1").await, "Running");
    assert_eq!(act(&daemon, "c1", "start").await, Some(already("running")));
    let url = "/1.0/instances/c1";
    let error = daemon.refused(Method::DELETE, url, Value::Null).await;
    assert!(error.contains("is running: stop it first"), "{error}");
    assert_eq!(act(&daemon, "c1", "freeze").await, None);
    assert_eq!(status(&daemon, "c1").await, "Frozen");
    assert_eq!(act(&daemon, "c1", "freeze").await, Some(already("frozen")));
    assert_eq!(act(&daemon, "c1", "unfreeze").await, None);
    assert_eq!(act(&daemon, "c1", "restart").await, None);
    assert_eq!(status(&daemon, "c1").await, "Running");
    let force = json!({"action": "stop", "force": true});
    assert_eq!(act_with(&daemon, "c1", force).await, None);
    assert_eq!(status(&daemon, "c1").await, "Stopped");
    daemon.ok(Method::DELETE, url, Value::Null).await;
    let (status, reply) = daemon.call(Method::GET, url, Value::Null).await;
    assert_eq!((status, &reply["error_code"]), (404, &json!(404)));
}

#[tokio::test]
async fn what_is_busy_names_the_operation() {
    let daemon = with_c1().await;
    let handle = daemon.app.instances.get(1).unwrap();
    let permit = handle.begin(Verb::Copy, "c1", "some-operation").await;
    let error = act(&daemon, "c1", "start").await.unwrap();
    assert_eq!(
        error,
        "instance `c1` is busy: operation some-operation (copy) is under way"
    );
    drop(permit.unwrap());
    assert_eq!(act(&daemon, "c1", "start").await, None);
}

#[tokio::test]
async fn what_is_on_its_way_is_no_riddle() {
    let daemon = with_c1().await;
    // As while it is being created: the row is there, the rest is not.
    daemon.app.instances.remove(1);
    let url = "/1.0/instances/c1";
    let patch = json!({"config": {"user.a": "b"}});
    for (method, body) in [(Method::PATCH, patch), (Method::DELETE, Value::Null)] {
        let (status, reply) = daemon.call(method, url, body).await;
        assert_eq!(status, 400, "{reply}");
        let error = reply["error"].as_str().unwrap();
        assert!(
            error.contains("`c1` is being created or deleted"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_verb_holds_the_instance_under_the_id_of_its_operation() {
    let daemon = with_c1().await;
    let script = Script {
        ignore_shutdown: true,
        ..Script::default()
    };
    daemon.host.runtime.set_script(script);
    act(&daemon, "c1", "start").await;
    let url = "/1.0/instances/c1/state";
    let stop = json!({"action": "stop", "timeout": 1});
    let (_, reply) = daemon.call_async(Method::PUT, url, stop).await;
    let operation = reply["metadata"]["id"].as_str().unwrap();
    let error = act(&daemon, "c1", "freeze").await.unwrap();
    assert!(error.contains(operation), "{error}");
    let ended = daemon.app.operations.wait(operation, None).await.unwrap();
    assert!(
        ended.err.contains("did not shut down within 1 s"),
        "{}",
        ended.err
    );
    assert_eq!(status(&daemon, "c1").await, "Running");
}

#[tokio::test]
async fn a_start_that_fails_leaves_it_stopped() {
    let daemon = with_c1().await;
    let failure = Failure {
        phase: "exec".to_owned(),
        errno: 2,
        detail: "no init".to_owned(),
    };
    for script in [
        Script {
            fail_prepare: Some(failure.clone()),
            ..Script::default()
        },
        Script {
            fail_release: Some(failure),
            ..Script::default()
        },
    ] {
        daemon.host.runtime.set_script(script);
        let error = act(&daemon, "c1", "start").await.unwrap();
        assert!(error.starts_with("start instance `c1`: "), "{error}");
        assert_eq!(status(&daemon, "c1").await, "Stopped");
    }
    daemon.host.runtime.set_script(Script::default());
    assert_eq!(act(&daemon, "c1", "start").await, None);
}

#[tokio::test]
async fn all_at_once() {
    let daemon = with_c1().await;
    create(&daemon, json!({"name": "c2"})).await;
    act(&daemon, "c1", "start").await;
    let all = |action: &str| json!({"state": {"action": action, "force": true}});
    daemon.ok(Method::PUT, "/1.0/instances", all("start")).await;
    assert_eq!(status(&daemon, "c2").await, "Running");
    daemon.ok(Method::PUT, "/1.0/instances", all("stop")).await;
    assert_eq!(status(&daemon, "c1").await, "Stopped");
    let error = daemon
        .refused(Method::PUT, "/1.0/instances", all("fly"))
        .await;
    assert!(error.starts_with("action `fly` is not known"), "{error}");
}

#[tokio::test]
async fn views_grow_with_recursion() {
    let daemon = with_c1().await;
    let urls = get(&daemon, "/1.0/instances").await;
    assert_eq!(urls, json!(["/1.0/instances/c1"]));
    let plain = get(&daemon, "/1.0/instances?recursion=1").await;
    assert_eq!(plain[0]["name"], "c1");
    assert_eq!(plain[0].get("state"), None);
    let full = get(&daemon, "/1.0/instances?recursion=2").await;
    assert_eq!(full[0]["state"]["status"], "Stopped");
    assert_eq!(full[0]["snapshots"], json!([]));
}

#[tokio::test]
async fn a_panic_ends_the_operation_and_gives_the_instance_back() {
    let daemon = with_c1().await;
    let handle = daemon.app.instances.get(1).unwrap();
    let permit = handle.begin(Verb::Update, "c1", "op").await.unwrap();
    let url = "/1.0/instances/c1";
    let spec = crate::operation::OperationSpec::task("Panicking", "default", "instances", url);
    let operation = daemon.app.operations.spawn(spec, move |_| async move {
        let _held = permit;
        panic!("as ordered");
    });
    let ended = daemon.app.operations.wait(&operation.id, None).await;
    assert_eq!(ended.unwrap().err, "internal error: it panicked");
    assert_eq!(act(&daemon, "c1", "start").await, None);
}
