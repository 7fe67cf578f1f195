//! Lists: `recursion`, `filter`, `project` and `all-projects`.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::testing::TestDaemon;

const LISTS: [&str; 13] = [
    "/1.0/instances",
    "/1.0/containers",
    "/1.0/profiles",
    "/1.0/networks",
    "/1.0/projects",
    "/1.0/certificates",
    "/1.0/images",
    "/1.0/images/aliases",
    "/1.0/warnings",
    "/1.0/storage-pools",
    "/1.0/storage-pools/default/volumes",
    "/1.0/storage-pools/default/volumes/container",
    "/1.0/instances/db/snapshots",
];

#[tokio::test]
async fn instances_are_listed_by_their_type() {
    let daemon = daemon().await;
    for (query, count) in [
        ("instances?instance-type=container", 3),
        ("instances?instance-type=", 3),
        ("instances?instance-type=virtual-machine", 0),
        ("instances?instance-type=virtual-machine&recursion=2", 0),
        ("virtual-machines", 0),
        ("virtual-machines?recursion=1", 0),
    ] {
        let url = format!("/1.0/{query}");
        let list = daemon.ok(Method::GET, &url, Value::Null).await;
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
    let url = "/1.0/instances?instance-type=bogus";
    assert_eq!(daemon.call(Method::GET, url, Value::Null).await.0, 400);
}

/// A pool, and of some kinds `db`, `web1` and `web2`.
async fn daemon() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    for name in ["web1", "web2", "db"] {
        let config = json!({"user.role": format!("the {name}")});
        let post = json!({"name": name, "source": {"type": "none"}, "config": config});
        daemon.ok(Method::POST, "/1.0/instances", post).await;
        let post = json!({"name": name, "config": config});
        daemon.ok(Method::POST, "/1.0/profiles", post).await;
        let none = json!({"ipv4.address": "none", "ipv6.address": "none"});
        let post = json!({"name": name, "config": none});
        daemon.ok(Method::POST, "/1.0/networks", post).await;
    }
    daemon
}

async fn names(daemon: &TestDaemon, list: &str, filter: &str) -> Vec<String> {
    let filter = filter.replace(' ', "%20").replace('"', "%22");
    let url = format!("{list}?recursion=1&filter={filter}");
    let all = daemon.ok(Method::GET, &url, Value::Null).await;
    let names = all.as_array().unwrap().iter();
    names
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_filter_chooses_by_field_and_key() {
    let daemon = daemon().await;
    for list in ["/1.0/instances", "/1.0/profiles", "/1.0/networks"] {
        assert_eq!(
            names(&daemon, list, "name eq WEB.*").await,
            ["web1", "web2"]
        );
        assert_eq!(names(&daemon, list, "name eq web").await, [""; 0]);
        let both = "name eq db and not name eq web1";
        assert_eq!(names(&daemon, list, both).await, ["db"]);
    }
    let role = "config.user.role eq \"the web2\"";
    assert_eq!(names(&daemon, "/1.0/instances", role).await, ["web2"]);
    assert_eq!(names(&daemon, "/1.0/profiles", role).await, ["web2"]);
    let urls = "/1.0/instances?filter=name+eq+db";
    let urls = daemon.ok(Method::GET, urls, Value::Null).await;
    assert_eq!(urls, json!(["/1.0/instances/db"]));
}

#[tokio::test]
async fn every_list_can_be_filtered() {
    let daemon = daemon().await;
    for list in LISTS {
        for recursion in 0..3 {
            let nothing = "name+eq+%22%22+and+name+ne+%22%22";
            let url = format!("{list}?recursion={recursion}&filter={nothing}");
            let all = daemon.ok(Method::GET, &url, Value::Null).await;
            assert_eq!(all, json!([]), "{url}");
        }
        for query in ["filter=name", "project=default&all-projects=true"] {
            let url = format!("{list}?{query}");
            let (status, reply) = daemon.call(Method::GET, &url, Value::Null).await;
            assert_eq!(status, 400, "{url}: {reply}");
        }
        let request = Request::head(list).body(Body::empty()).unwrap();
        let (status, headers, body) = daemon.send(request).await;
        assert_eq!((status, body.len()), (200, 0), "{list}");
        assert_eq!(headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn a_server_is_in_no_cluster() {
    let daemon = TestDaemon::new();
    let view = daemon.ok(Method::GET, "/1.0/cluster", Value::Null).await;
    assert_eq!(
        view,
        json!({"server_name": "", "enabled": false, "member_config": []})
    );
}

#[tokio::test]
async fn metrics_are_in_the_form_of_openmetrics() {
    let daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "c1", "source": {"type": "none"}, "start": true});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let request = Request::get("/1.0/metrics").body(Body::empty()).unwrap();
    let (status, headers, body) = daemon.send(request).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        text.contains("# TYPE lxd_operations_total gauge\n"),
        "{text}"
    );
    assert!(
        text.contains("lxd_filesystem_size_bytes{device=\"default\",fstype=\"\",mountpoint=\"/\",name=\"c1\",project=\"default\",type=\"container\"}"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
}
