//! What follows when an init ends, when an instance is ephemeral, and when the daemon starts again.

use axum::http::Method;
use serde_json::{Value, json};

use super::{act, create, get, status, with_c1};
use crate::app::instance::{self, exits, start_all};
use crate::instance::state::Verb;
use crate::runtime::ExitCause;
use crate::testing::TestDaemon;

/// Ends the init of instance 1 from inside, and lets the daemon hear of it.
async fn end(daemon: &mut TestDaemon, cause: ExitCause) {
    let directory = daemon.app.places.instance_run(1);
    assert!(daemon.host.runtime.end(&directory, cause));
    let exit = daemon.ended.recv().await.unwrap();
    exits::ended(&daemon.app, &exit).await.unwrap();
    settle(daemon).await;
}

async fn settle(daemon: &TestDaemon) {
    for operation in daemon
        .app
        .operations
        .list(crate::operation::Wanted::default())
        .await
        .unwrap()
    {
        let ended = daemon.app.operations.wait(&operation.id, None).await;
        drop(ended.unwrap());
    }
}

async fn power(daemon: &TestDaemon) -> Value {
    let view = get(daemon, "/1.0/instances/c1").await;
    view["config"]["volatile.last_state.power"].clone()
}

#[tokio::test]
async fn a_reboot_boots_and_a_halt_halts() {
    let mut daemon = with_c1().await;
    act(&daemon, "c1", "start").await;
    end(&mut daemon, ExitCause::Reboot).await;
    assert_eq!(status(&daemon, "c1").await, "Running");
    assert_eq!(daemon.host.runtime.specs().len(), 2);
    assert_eq!(power(&daemon).await, "RUNNING");
    end(&mut daemon, ExitCause::Halt).await;
    assert_eq!(status(&daemon, "c1").await, "Stopped");
    assert_eq!(power(&daemon).await, "STOPPED");
}

#[tokio::test]
async fn a_reboot_while_the_instance_is_busy_is_not_forgotten() {
    let mut daemon = with_c1().await;
    act(&daemon, "c1", "start").await;
    let handle = daemon.app.instances.get(1).unwrap();
    let permit = handle.begin(Verb::Snapshot, "c1", "op").await.unwrap();
    let directory = daemon.app.places.instance_run(1);
    assert!(daemon.host.runtime.end(&directory, ExitCause::Reboot));
    let exit = daemon.ended.recv().await.unwrap();
    let app = std::sync::Arc::clone(&daemon.app);
    let ended = tokio::spawn(async move { exits::ended(&app, &exit).await });
    tokio::task::yield_now().await;
    drop(permit);
    ended.await.unwrap().unwrap();
    settle(&daemon).await;
    assert_eq!(status(&daemon, "c1").await, "Running");
}

#[tokio::test]
async fn an_ephemeral_instance_goes_when_it_stops() {
    let mut daemon = TestDaemon::with_pool().await;
    create(&daemon, json!({"name": "c1", "ephemeral": true})).await;
    create(&daemon, json!({"name": "c2", "ephemeral": true})).await;
    act(&daemon, "c1", "start").await;
    act(&daemon, "c2", "start").await;
    assert_eq!(act(&daemon, "c2", "stop").await, None);
    end(&mut daemon, ExitCause::Halt).await;
    assert_eq!(get(&daemon, "/1.0/instances").await, json!([]));
    assert!(daemon.list("storage-pools/default/containers").is_empty());
}

#[tokio::test]
async fn instances_run_on_while_the_daemon_is_away() {
    let mut daemon = with_c1().await;
    create(&daemon, json!({"name": "c2"})).await;
    act(&daemon, "c1", "start").await;
    daemon.restart().await;
    assert_eq!(status(&daemon, "c1").await, "Running");
    assert_eq!(status(&daemon, "c2").await, "Stopped");
    assert_eq!(act(&daemon, "c1", "stop").await, None);
}

#[tokio::test]
async fn after_the_host_went_down_what_ran_is_started_as_its_keys_say() {
    let mut daemon = TestDaemon::with_pool().await;
    for (name, config) in [
        ("ran", json!({})),
        ("never", json!({"boot.autostart": "false"})),
        (
            "always",
            json!({"boot.autostart": "true", "boot.autostart.priority": "5"}),
        ),
        ("idle", json!({})),
    ] {
        create(&daemon, json!({"name": name, "config": config})).await;
    }
    act(&daemon, "ran", "start").await;
    act(&daemon, "never", "start").await;
    // The host takes all containers and the daemon along at once.
    daemon.host_goes_down().await;
    daemon.restart().await;
    let to_start = instance::adopt_running(&daemon.app).await.unwrap();
    let names: Vec<_> = to_start.iter().map(|instance| &*instance.name).collect();
    assert_eq!(names, ["always", "ran"]);
    start_all(&daemon.app, to_start).await;
    assert_eq!(status(&daemon, "ran").await, "Running");
    assert_eq!(status(&daemon, "never").await, "Stopped");
}

#[tokio::test]
async fn a_user_who_stops_it_does_not_find_it_started() {
    let mut daemon = with_c1().await;
    act(&daemon, "c1", "start").await;
    act(&daemon, "c1", "stop").await;
    daemon.host_goes_down().await;
    daemon.restart().await;
    let to_start = instance::adopt_running(&daemon.app).await.unwrap();
    assert!(to_start.is_empty());
}

#[tokio::test]
async fn a_daemon_that_dies_while_it_takes_a_snapshot_leaves_nothing_frozen() {
    let mut daemon = with_c1().await;
    act(&daemon, "c1", "start").await;
    daemon.make_cgroup(1);
    let url = "/1.0/instances/c1/snapshots";
    daemon.arm(None).await;
    daemon.ok(Method::POST, url, json!({"name": "s1"})).await;
    let steps = daemon.faults.disarm();
    let at = steps.iter().position(|step| *step == "create snapshot");
    daemon
        .arm(Some((at.unwrap(), crate::testing::Fault::Killed)))
        .await;
    daemon
        .refused(Method::POST, url, json!({"name": "s2"}))
        .await;
    // It died before it could thaw.
    let cgroup = daemon.app.cgroup(1);
    cgroup.freeze().unwrap();
    daemon.restart().await;
    assert!(!cgroup.is_frozen());
    assert_eq!(status(&daemon, "c1").await, "Running");
}
