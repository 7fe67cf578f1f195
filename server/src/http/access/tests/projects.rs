//! What those see who are kept to projects: their own, what is shared with them, and nothing of anybody else.

use serde_json::json;

use super::*;

/// A word that is in all names of what must not be seen.
const SECRET: &str = "secret";

/// Projects `team` and `secretteam`, each with an instance, a profile, an image and an operation.
async fn with_two_projects() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    for name in ["team", "secretteam"] {
        let post = json!({"name": name, "config": {"user.note": name}});
        daemon.ok(Method::POST, "/1.0/projects", post).await;
        let root = json!({"root": {"type": "disk", "path": "/", "pool": "default"}});
        let url = format!("/1.0/profiles/default?project={name}");
        daemon
            .ok(Method::PATCH, &url, json!({"devices": root}))
            .await;
        let profile = json!({"name": format!("{name}-profile")});
        let url = format!("/1.0/profiles?project={name}");
        daemon.ok(Method::POST, &url, profile).await;
        let instance = json!({"name": format!("{name}-c"), "source": {"type": "none"}});
        let url = format!("/1.0/instances?project={name}");
        daemon.ok(Method::POST, &url, instance).await;
        let network = json!({"name": format!("{name}br")});
        daemon.ok(Method::POST, "/1.0/networks", network).await;
    }
    daemon
        .ok(Method::POST, "/1.0/network-acls", json!({"name": "web"}))
        .await;
    // A network and an ACL that are shared are named by the profile and by the instance of the other team.
    let nic = json!({"eth0": {"type": "nic", "network": "teambr", "security.acls": "web"}});
    let url = "/1.0/profiles/secretteam-profile?project=secretteam";
    daemon
        .ok(Method::PATCH, url, json!({"devices": nic.clone()}))
        .await;
    let url = "/1.0/instances/secretteam-c?project=secretteam";
    daemon.ok(Method::PATCH, url, json!({"devices": nic})).await;
    let shared = json!({"name": "shared", "config": {"features.profiles": "false"}});
    daemon.ok(Method::POST, "/1.0/projects", shared).await;
    let user = json!({"name": "secret-user", "source": {"type": "none"}});
    let url = "/1.0/instances?project=shared";
    daemon.ok(Method::POST, url, user).await;
    daemon
}

async fn member(daemon: &TestDaemon, project: &str) -> ClientCertificate {
    let certificate = some_certificate();
    trust(daemon, &certificate, |entry| {
        entry.restricted = true;
        entry.projects = BTreeSet::from([project.to_owned()]);
    })
    .await;
    certificate
}

#[tokio::test]
async fn nothing_of_another_project_is_reached_by_any_route() {
    let daemon = with_two_projects().await;
    let client = member(&daemon, "team").await;
    for path in paths() {
        for method in methods() {
            for query in ["project=secretteam", "project=default", "project=nobody"] {
                let url = format!("{path}?{query}");
                let status = status(&daemon, &method, &url, Some(&client)).await;
                let server = matches!(
                    path.as_str(),
                    "/" | "/1.0"
                        | "/1.0/certificates"
                        | "/1.0/cluster"
                        | "/1.0/metrics"
                        | "/1.0/metadata/configuration"
                        | "/1.0/openapi.json"
                        | "/1.0/projects"
                        | "/1.0/operations"
                        | "/1.0/storage-pools"
                ) && matches!(method, Method::GET | Method::HEAD);
                assert!(
                    server || status == 403 || status == 404,
                    "{method} {url}: {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_list_and_no_object_tells_of_another_project() {
    let daemon = with_two_projects().await;
    let client = member(&daemon, "team").await;
    let objects = [
        "/1.0/projects/team",
        "/1.0/projects/team/state",
        "/1.0/profiles/default",
        "/1.0/profiles/team-profile",
        "/1.0/instances/team-c",
        "/1.0/instances/secretteam-c",
        "/1.0/networks/teambr",
        "/1.0/network-acls/web",
        "/1.0/storage-pools/default",
        "/1.0/storage-pools/default/volumes",
        "/1.0/storage-pools/default/volumes/container",
        "/1.0/storage-pools/default/volumes/container/secretteam-c",
    ];
    let urls = paths().into_iter().chain(objects.map(str::to_owned));
    let queries = [
        "project=team",
        "project=team&recursion=1",
        "project=team&recursion=2",
        "all-projects=true",
        "all-projects=true&recursion=1",
        "all-projects=true&recursion=2&history=true",
        "recursion=1&history=true",
    ];
    let mut seen = 0;
    for url in urls {
        for query in queries {
            let url = format!("{url}?{query}");
            let (status, reply) = ask(&daemon, &Method::GET, &url, Some(&client), "").await;
            // What was asked for stands in the words that refuse it; the networks are shared and named by their owner.
            let text = reply["metadata"]
                .to_string()
                .replace("secretteambr", "a-shared-network");
            assert!(!text.contains(SECRET), "{url}: {text}");
            seen += usize::from(status == 200);
        }
    }
    assert!(seen > 30, "{seen} replies were looked at");
}

#[tokio::test]
async fn members_change_what_is_theirs_and_read_what_is_shared() {
    let daemon = with_two_projects().await;
    let (own, shared) = (
        member(&daemon, "team").await,
        member(&daemon, "shared").await,
    );
    let profile = json!({"name": "p"}).to_string();
    let url = "/1.0/profiles?project=team";
    let post = Method::POST;
    assert_eq!(ask(&daemon, &post, url, Some(&own), &profile).await.0, 201);
    let url = "/1.0/profiles?project=shared";
    let get = Method::GET;
    assert_eq!(status(&daemon, &get, url, Some(&shared)).await, 200);
    assert_eq!(
        ask(&daemon, &post, url, Some(&shared), &profile).await.0,
        403
    );
    let url = "/1.0/profiles/default?project=shared";
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::POST] {
        assert_eq!(
            status(&daemon, &method, url, Some(&shared)).await,
            403,
            "{method}"
        );
    }
    let network = json!({"name": "mine"}).to_string();
    let url = "/1.0/networks?project=team";
    assert_eq!(ask(&daemon, &post, url, Some(&own), &network).await.0, 403);
    let projects = ask(&daemon, &get, "/1.0/projects", Some(&own), "").await.1;
    assert_eq!(projects["metadata"], json!(["/1.0/projects/team"]));
    let url = "/1.0/projects/team";
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::POST] {
        assert_eq!(
            status(&daemon, &method, url, Some(&own)).await,
            403,
            "{method}"
        );
    }
}

#[tokio::test]
async fn acls_and_zones_are_for_members_of_a_project_that_has_its_own() {
    let daemon = with_two_projects().await;
    let features = json!({"features.networks": "true", "features.networks.zones": "true"});
    let lab = json!({"name": "lab", "config": features});
    daemon.ok(Method::POST, "/1.0/projects", lab).await;
    let zone = json!({"name": "secret.example"});
    daemon.ok(Method::POST, "/1.0/network-zones", zone).await;
    let (own, guest) = (
        member(&daemon, "lab").await,
        member(&daemon, "shared").await,
    );
    let record = "/1.0/network-zones/lab.example/records";
    for (list, name, own_url) in [
        ("/1.0/network-acls", "ssh", "/1.0/network-acls/ssh"),
        (
            "/1.0/network-zones",
            "lab.example",
            "/1.0/network-zones/lab.example",
        ),
        (record, "www", &format!("{record}/www")),
    ] {
        let body = json!({"name": name}).to_string();
        let wanted = [
            (Method::POST, list, 201),
            (Method::GET, list, 200),
            (Method::GET, own_url, 200),
            (Method::PATCH, own_url, 200),
        ];
        for (method, url, expected) in wanted {
            let url = format!("{url}?project=lab");
            let (status, reply) = ask(&daemon, &method, &url, Some(&own), &body).await;
            assert_eq!(status, expected, "{method} {url}: {reply}");
        }
        let url = format!("{list}?project=shared");
        let (status, _) = ask(&daemon, &Method::POST, &url, Some(&guest), &body).await;
        assert_eq!(status, 403, "{url}");
    }
    // An ACL of a shared network can be named, so it can be read; its log tells of others, and a zone holds keys.
    for (url, expected) in [
        ("/1.0/network-acls/web", 200),
        ("/1.0/network-acls/web/log", 404),
        ("/1.0/network-zones/secret.example", 404),
        ("/1.0/network-zones/secret.example/records", 404),
    ] {
        let url = format!("{url}?project=shared");
        let status = status(&daemon, &Method::GET, &url, Some(&guest)).await;
        assert_eq!(status, expected, "{url}");
    }
    let url = "/1.0/network-zones?project=shared";
    let (_, zones) = ask(&daemon, &Method::GET, url, Some(&guest), "").await;
    assert_eq!(zones["metadata"], json!([]));
}

#[tokio::test]
async fn bodies_that_name_another_project_are_refused() {
    let daemon = with_two_projects().await;
    let client = member(&daemon, "team").await;
    let source = json!({"type": "copy", "source": "secretteam-c", "project": "secretteam"});
    for (url, body) in [
        (
            "/1.0/instances?project=team",
            json!({"name": "x", "source": source}),
        ),
        (
            "/1.0/instances/team-c?project=team",
            json!({"name": "x", "project": "secretteam", "migration": true}),
        ),
        (
            "/1.0/images?project=team",
            json!({"source": {"type": "build", "alias": "debian/12"}}),
        ),
    ] {
        let text = body.to_string();
        let (status, reply) = ask(&daemon, &Method::POST, url, Some(&client), &text).await;
        assert_eq!(status, 403, "{url}: {reply}");
    }
}

#[tokio::test]
async fn operations_are_those_of_ones_projects_also_when_they_are_over() {
    let daemon = with_two_projects().await;
    let client = member(&daemon, "team").await;
    let url = "/1.0/operations?all-projects=true&history=true&recursion=1";
    let all = daemon.ok(Method::GET, url, Value::Null).await;
    let ids = all["success"].as_array().unwrap();
    let reached = |operation: &Value| operation.to_string().contains("team-c?project=team");
    let mut seen = 0;
    for operation in ids {
        let url = format!("/1.0/operations/{}", operation["id"].as_str().unwrap());
        let own = reached(operation) && !operation.to_string().contains(SECRET);
        let expected = if own { 200 } else { 403 };
        assert_eq!(
            status(&daemon, &Method::GET, &url, Some(&client)).await,
            expected,
            "{operation}"
        );
        seen += usize::from(own);
    }
    assert!(seen > 0);
    assert_eq!(
        status(
            &daemon,
            &Method::GET,
            "/1.0/operations/nothing",
            Some(&client)
        )
        .await,
        403
    );
}

#[tokio::test]
async fn a_user_of_this_host_has_a_project_and_no_other() {
    let daemon = with_two_projects().await;
    let ask = async |uid: Option<u32>, method: Method, url: &str, body: Value| {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .body(Body::from(body.to_string()))
            .unwrap();
        let peer = Peer::User { uid };
        request.extensions_mut().insert(ConnectInfo(peer));
        let (status, body) = daemon.send_as_is(request).await;
        let reply: Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, reply)
    };
    let get = |uid, url: &'static str| ask(uid, Method::GET, url, Value::Null);
    let (ann, bob) = (Some(54_321), Some(54_322));
    let (status, projects) = get(ann, "/1.0/projects").await;
    assert_eq!(
        (status, &projects["metadata"]),
        (200, &json!(["/1.0/projects/user-54321"]))
    );
    let own = "/1.0/instances?project=user-54321";
    let post = json!({"name": "c1", "source": {"type": "none"}});
    assert_eq!(ask(ann, Method::POST, own, post.clone()).await.0, 202);
    assert_eq!(get(bob, own).await.0, 403);
    assert_eq!(get(ann, "/1.0/instances").await.0, 403);
    assert_eq!(get(bob, "/1.0/instances?project=user-54322").await.0, 200);
    assert_eq!(get(None, own).await.0, 403);
    let (_, profile) = get(ann, "/1.0/profiles/default?project=user-54321").await;
    assert_eq!(profile["metadata"]["devices"]["root"]["pool"], "default");
    let bad = json!({"name": "c2", "source": {"type": "none"}, "config": {"security.privileged": "true"}});
    let (status, reply) = ask(ann, Method::POST, own, bad).await;
    assert_eq!(status, 202);
    let id = reply["metadata"]["id"].as_str().unwrap();
    let ended = daemon.app.operations.wait(id, None).await.unwrap();
    assert!(
        ended.err.contains("restricted.containers.privilege"),
        "{}",
        ended.err
    );
}
