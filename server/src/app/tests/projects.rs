//! Projects: what is in them, what they share, how much they may have.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::TestDaemon;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;
const TEAM: &str = "/1.0/projects/team";

async fn project(daemon: &TestDaemon, name: &str, config: Value) {
    let post = json!({"name": name, "config": config});
    daemon.ok(POST, "/1.0/projects", post).await;
}

async fn with_root(daemon: &TestDaemon, project: &str) {
    let root = json!({"root": {"type": "disk", "path": "/", "pool": "default"}});
    let url = format!("/1.0/profiles/default?project={project}");
    daemon.ok(PATCH, &url, json!({"devices": root})).await;
}

fn empty(name: &str) -> Value {
    json!({"name": name, "source": {"type": "none"}})
}

fn of(project: &str) -> String {
    format!("/1.0/instances?project={project}")
}

#[tokio::test]
async fn a_new_project_is_empty_and_has_what_is_usual() {
    let daemon = TestDaemon::with_pool().await;
    project(&daemon, "team", json!({"user.a": "b"})).await;
    let view = daemon.ok(GET, TEAM, Value::Null).await;
    assert_eq!(view["config"]["features.images"], "true");
    assert_eq!(view["config"]["features.networks"], "false");
    assert_eq!(view["config"]["user.a"], "b");
    assert_eq!(
        view["used_by"],
        json!(["/1.0/profiles/default?project=team"])
    );
    let url = "/1.0/profiles/default?project=team";
    let profile = daemon.ok(GET, url, Value::Null).await;
    assert_eq!(
        (&profile["project"], &profile["devices"]),
        (&json!("team"), &json!({}))
    );
    assert_eq!(
        daemon.ok(GET, "/1.0/projects", Value::Null).await,
        json!(["/1.0/projects/default", TEAM])
    );
    let default = daemon.ok(GET, "/1.0/projects/default", Value::Null).await;
    assert_eq!(default["used_by"], json!(["/1.0/profiles/default"]));
    for bad in [
        json!({"name": "a/b"}),
        json!({"name": ""}),
        json!({"name": "x", "config": {"limits.instance": "1"}}),
    ] {
        assert_eq!(daemon.call(POST, "/1.0/projects", bad).await.0, 400);
    }
    let twice = json!({"name": "team"});
    assert_eq!(daemon.call(POST, "/1.0/projects", twice).await.0, 409);
}

#[tokio::test]
async fn only_an_empty_project_is_renamed_or_deleted_or_changes_features() {
    let daemon = TestDaemon::with_pool().await;
    project(&daemon, "team", json!({})).await;
    daemon.ok(POST, TEAM, json!({"name": "crew"})).await;
    assert_eq!(daemon.call(GET, TEAM, Value::Null).await.0, 404);
    daemon
        .ok(POST, "/1.0/projects/crew", json!({"name": "team"}))
        .await;
    let shared = json!({"config": {"features.profiles": "false"}});
    daemon.ok(PATCH, TEAM, shared).await;
    assert_eq!(
        daemon.ok(GET, TEAM, Value::Null).await["used_by"],
        json!([])
    );
    daemon.ok(POST, &of("team"), empty("c1")).await;
    let own = json!({"config": {"features.profiles": "true"}});
    for (method, body) in [
        (PATCH, own.clone()),
        (POST, json!({"name": "crew"})),
        (DELETE, Value::Null),
    ] {
        let error = daemon.refused(method, TEAM, body).await;
        assert!(error.contains("empty projects"), "{error}");
    }
    let url = "/1.0/instances/c1?project=team";
    daemon.ok(DELETE, url, Value::Null).await;
    daemon.ok(PATCH, TEAM, own).await;
    daemon.ok(DELETE, TEAM, Value::Null).await;
    let all = daemon.ok(GET, "/1.0/profiles?all-projects=true", Value::Null);
    assert_eq!(all.await, json!(["/1.0/profiles/default"]));
    let default = "/1.0/projects/default";
    for (method, body) in [
        (DELETE, Value::Null),
        (POST, json!({"name": "x"})),
        (PATCH, json!({"config": {"features.images": "false"}})),
    ] {
        let error = daemon.refused(method, default, body).await;
        assert!(error.contains("can't be"), "{error}");
    }
}

#[tokio::test]
async fn two_projects_have_instances_of_the_same_name() {
    let daemon = TestDaemon::with_pool().await;
    project(&daemon, "team", json!({})).await;
    let error = daemon.refused(POST, &of("team"), empty("c1")).await;
    assert!(error.contains("no root disk"), "{error}");
    with_root(&daemon, "team").await;
    daemon.ok(POST, "/1.0/instances", empty("c1")).await;
    let made = daemon.ok(POST, &of("team"), empty("c1")).await;
    let url = "/1.0/instances/c1?project=team";
    assert_eq!(made["resources"]["instances"], json!([url]));
    assert_eq!(daemon.ok(GET, &of("team"), Value::Null).await, json!([url]));
    let all = daemon.ok(GET, "/1.0/instances?all-projects=true", Value::Null);
    assert_eq!(all.await, json!(["/1.0/instances/c1", url]));
    let both = "/1.0/instances?all-projects=true&project=team";
    assert_eq!(daemon.call(GET, both, Value::Null).await.0, 400);
    let change = json!({"config": {"user.whose": "team's"}});
    daemon.ok(PATCH, url, change).await;
    let other = daemon.ok(GET, "/1.0/instances/c1", Value::Null).await;
    assert_eq!(other["config"]["user.whose"], Value::Null);
    daemon.ok(DELETE, url, Value::Null).await;
    assert_eq!(
        daemon.ok(GET, "/1.0/instances", Value::Null).await,
        json!(["/1.0/instances/c1"])
    );
    assert_eq!(daemon.call(GET, &of("nobody"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_project_without_profiles_uses_those_of_default() {
    let daemon = TestDaemon::with_pool().await;
    project(&daemon, "team", json!({"features.profiles": "false"})).await;
    daemon.ok(POST, &of("team"), empty("c1")).await;
    let url = "/1.0/profiles/default?project=team";
    let profile = daemon.ok(GET, url, Value::Null).await;
    assert_eq!(profile["project"], "default");
    assert_eq!(
        profile["used_by"],
        json!(["/1.0/instances/c1?project=team"])
    );
    let view = daemon
        .ok(GET, "/1.0/instances/c1?project=team", Value::Null)
        .await;
    assert_eq!(view["expanded_devices"]["root"]["pool"], "default");
    let all = "/1.0/instances?all-projects=true&recursion=1";
    let all = daemon.ok(GET, all, Value::Null).await;
    assert_eq!(all[0]["expanded_devices"]["root"]["pool"], "default");
    // A change of what is shared is held against the limits of all who share it.
    let limit = json!({"config": {"limits.memory": "2GiB"}});
    let error = daemon.refused(PATCH, TEAM, limit.clone()).await;
    assert!(
        error.contains("instance `c1` must set limits.memory"),
        "{error}"
    );
    let memory = |size: &str| json!({"config": {"limits.memory": size}});
    daemon
        .ok(PATCH, "/1.0/profiles/default", memory("1GiB"))
        .await;
    daemon.ok(PATCH, TEAM, limit).await;
    let error = daemon
        .refused(PATCH, "/1.0/profiles/default", memory("3GiB"))
        .await;
    assert_eq!(
        error,
        "project `team` has limits.memory=2GiB, and this would make 3GiB"
    );
}

#[tokio::test]
async fn limits_hold_at_every_change() {
    let daemon = TestDaemon::with_pool().await;
    let limits = json!({"limits.instances": "2", "limits.cpu": "4"});
    project(&daemon, "team", limits).await;
    with_root(&daemon, "team").await;
    let with_cpu = |name: &str, cpu: &str| {
        let mut post = empty(name);
        post["config"] = json!({"limits.cpu": cpu});
        post
    };
    let error = daemon.refused(POST, &of("team"), empty("c1")).await;
    assert!(error.contains("must set limits.cpu"), "{error}");
    daemon.ok(POST, &of("team"), with_cpu("c1", "2")).await;
    let error = daemon.refused(POST, &of("team"), with_cpu("c2", "3")).await;
    assert!(error.contains("limits.cpu=4"), "{error}");
    daemon.ok(POST, &of("team"), with_cpu("c2", "2")).await;
    let error = daemon.refused(POST, &of("team"), with_cpu("c3", "1")).await;
    assert!(error.contains("limits.instances=2"), "{error}");
    let copy = json!({"name": "c3", "source": {"type": "copy", "source": "c1"}});
    let error = daemon.refused(POST, &of("team"), copy).await;
    assert!(error.contains("limits.instances=2"), "{error}");
    let url = "/1.0/instances/c1?project=team";
    for config in [json!({"limits.cpu": "3"}), json!({"limits.cpu": ""})] {
        let error = daemon.refused(PATCH, url, json!({"config": config})).await;
        assert!(error.contains("limits.cpu"), "{error}");
    }
    // What was refused has not been done.
    let view = daemon.ok(GET, url, Value::Null).await;
    assert_eq!(view["config"]["limits.cpu"], "2");
    let lower = json!({"config": {"limits.instances": "1"}});
    let error = daemon.refused(PATCH, TEAM, lower).await;
    assert!(error.contains("would make 2"), "{error}");
    let state = daemon
        .ok(GET, "/1.0/projects/team/state", Value::Null)
        .await;
    assert_eq!(state["resources"]["cpu"], json!({"limit": 4, "usage": 4}));
    assert_eq!(
        state["resources"]["memory"],
        json!({"limit": -1, "usage": 0})
    );
    assert_eq!(
        state["resources"]["instances"],
        json!({"limit": 2, "usage": 2})
    );
}

#[tokio::test]
async fn what_is_restricted_is_refused_wherever_it_comes_from() {
    let daemon = TestDaemon::with_pool().await;
    project(&daemon, "team", json!({})).await;
    with_root(&daemon, "team").await;
    let mut nesting = empty("c1");
    nesting["config"] = json!({"security.nesting": "true"});
    daemon.ok(POST, &of("team"), nesting.clone()).await;
    // Somebody has already what would be forbidden.
    let restrict = json!({"config": {"restricted": "true"}});
    let error = daemon.refused(PATCH, TEAM, restrict.clone()).await;
    assert!(error.contains("restricted.containers.nesting"), "{error}");
    let url = "/1.0/instances/c1?project=team";
    let off = json!({"config": {"security.nesting": ""}});
    daemon.ok(PATCH, url, off).await;
    daemon.ok(PATCH, TEAM, restrict).await;
    nesting["name"] = json!("c2");
    let on = json!({"config": {"security.nesting": "true"}});
    let host = json!({"devices": {"host": {"type": "disk", "source": "/", "path": "/host"}}});
    let profiles = "/1.0/profiles?project=team";
    for (method, url, body) in [
        (POST, of("team"), nesting),
        (PATCH, url.to_owned(), on.clone()),
        (PATCH, url.to_owned(), host.clone()),
        (PATCH, "/1.0/profiles/default?project=team".to_owned(), on),
        (
            PATCH,
            "/1.0/profiles/default?project=team".to_owned(),
            host.clone(),
        ),
        (
            POST,
            profiles.to_owned(),
            json!({"name": "p", "devices": host["devices"]}),
        ),
        (
            POST,
            "/1.0/instances/c1/snapshots?project=team".to_owned(),
            json!({"name": "s"}),
        ),
    ] {
        let error = daemon.refused(method, &url, body).await;
        assert!(
            error.contains("is not allowed in project `team`"),
            "{error}"
        );
    }
    let allow = json!({"config": {"restricted.snapshots": "allow"}});
    daemon.ok(PATCH, TEAM, allow).await;
    let snapshots = "/1.0/instances/c1/snapshots?project=team";
    daemon.ok(POST, snapshots, json!({"name": "s"})).await;
}

#[tokio::test]
async fn an_instance_goes_to_another_project_with_all_it_has() {
    let daemon = TestDaemon::with_pool().await;
    project(&daemon, "team", json!({"limits.instances": "1"})).await;
    daemon.ok(POST, "/1.0/instances", empty("a")).await;
    daemon
        .ok(POST, "/1.0/instances/a/snapshots", json!({"name": "s"}))
        .await;
    let go = json!({"name": "b", "project": "team", "migration": true});
    let error = daemon.refused(POST, "/1.0/instances/a", go.clone()).await;
    assert!(error.contains("would have no root disk"), "{error}");
    with_root(&daemon, "team").await;
    daemon.ok(POST, "/1.0/instances/a", go).await;
    assert_eq!(
        daemon.call(GET, "/1.0/instances/a", Value::Null).await.0,
        404
    );
    let url = "/1.0/instances/b/snapshots?project=team";
    let kept = daemon.ok(GET, url, Value::Null).await;
    assert_eq!(kept.as_array().unwrap().len(), 1);
    daemon.ok(POST, "/1.0/instances", empty("c")).await;
    let go = json!({"name": "c", "project": "team", "migration": true});
    let error = daemon.refused(POST, "/1.0/instances/c", go).await;
    assert!(error.contains("limits.instances=1"), "{error}");
    daemon.ok(GET, "/1.0/instances/c", Value::Null).await;
    // A copy goes the same way, and the other way.
    let copy = json!({"name": "d", "source": {"type": "copy", "source": "b/s", "project": "team"}});
    daemon.ok(POST, "/1.0/instances", copy).await;
    daemon
        .ok(PUT, "/1.0/instances/d/state", json!({"action": "start"}))
        .await;
    let go = json!({"name": "d", "project": "team", "migration": true});
    let error = daemon.refused(POST, "/1.0/instances/d", go).await;
    assert!(error.contains("is running"), "{error}");
}
