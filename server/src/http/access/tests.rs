//! Every route of the API, as strangers and restricted clients see it. The routes are read from the source, so that a new one
//! is tried without anybody thinking of it.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use serde_json::Value;

use super::super::identity::Peer;
use super::*;
use crate::operation::OperationSpec;
use crate::testing::TestDaemon;
use crate::trust::{ClientCertificate, Kind, ServerCertificate, Trusted};

mod projects;
mod secrets;

/// All paths of all routers, with something in place of each variable.
fn paths() -> BTreeSet<String> {
    let found = super::super::routes::all();
    let filled = found.iter().map(|(_, route)| {
        let parts = route
            .split('/')
            .map(|part| if part.starts_with('{') { "x1" } else { part });
        parts.collect::<Vec<_>>().join("/")
    });
    filled.collect()
}

fn methods() -> [Method; 6] {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ]
}

fn some_certificate() -> ClientCertificate {
    let directory = tempfile::tempdir().unwrap();
    let made = ServerCertificate::ensure(directory.path()).unwrap();
    ClientCertificate::from_pem(made.pem().as_bytes()).unwrap()
}

async fn status(
    daemon: &TestDaemon,
    method: &Method,
    url: &str,
    certificate: Option<&ClientCertificate>,
) -> u16 {
    ask(daemon, method, url, certificate, "{}").await.0
}

async fn ask(
    daemon: &TestDaemon,
    method: &Method,
    url: &str,
    certificate: Option<&ClientCertificate>,
    body: &str,
) -> (u16, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .body(Body::from(body.to_owned()))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer::Tls {
        certificate: certificate.cloned().map(Arc::new),
        address: ([127, 0, 0, 1], 1).into(),
        door: Door::Api,
    }));
    let (status, body) = daemon.send_as_is(request).await;
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn trust(
    daemon: &TestDaemon,
    certificate: &ClientCertificate,
    change: impl FnOnce(&mut Trusted),
) {
    let mut trusted = Trusted {
        fingerprint: certificate.fingerprint().to_owned(),
        name: "c".to_owned(),
        kind: Kind::Client,
        restricted: false,
        projects: BTreeSet::new(),
        certificate: certificate.pem().unwrap(),
        description: String::new(),
    };
    change(&mut trusted);
    daemon
        .app
        .db
        .write(move |tx| crate::db::certificates::insert(tx, &trusted, "now"))
        .await
        .unwrap();
    daemon.app.trust.reload(&daemon.app.db).await.unwrap();
}

#[tokio::test]
async fn strangers_reach_what_is_public_and_nothing_else() {
    let daemon = TestDaemon::new();
    let shown = some_certificate();
    let paths = paths();
    assert!(paths.len() > 40, "the routes are found: {paths:?}");
    let mut open = BTreeSet::new();
    for path in &paths {
        for method in methods() {
            for certificate in [None, Some(&shown)] {
                if status(&daemon, &method, path, certificate).await != 403 {
                    open.insert(format!("{method} {path}"));
                }
            }
        }
    }
    let expected = [
        "GET /",
        "GET /1.0",
        "GET /1.0/images",
        "GET /1.0/images/aliases",
        "GET /1.0/images/aliases/x1",
        "GET /1.0/images/x1",
        "GET /1.0/images/x1/export",
        "HEAD /",
        "HEAD /1.0",
        "HEAD /1.0/images",
        "HEAD /1.0/images/aliases",
        "HEAD /1.0/images/aliases/x1",
        "HEAD /1.0/images/x1",
        "HEAD /1.0/images/x1/export",
        // With a certificate and without a secret the answer is 403, without a certificate there is nothing to trust.
        "POST /1.0/certificates",
    ];
    assert_eq!(
        open.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn a_certificate_for_metrics_reaches_metrics_only() {
    let daemon = TestDaemon::new();
    let (inside, metrics, some) = (some_certificate(), some_certificate(), some_certificate());
    trust(&daemon, &inside, |c| c.restricted = true).await;
    trust(&daemon, &metrics, |c| c.kind = Kind::Metrics).await;
    trust(&daemon, &some, |c| {
        c.kind = Kind::Metrics;
        c.restricted = true;
    })
    .await;
    let (get, url) = (Method::GET, "/1.0/metrics");
    assert_eq!(status(&daemon, &get, url, None).await, 403);
    for certificate in [&inside, &metrics, &some] {
        assert_eq!(status(&daemon, &get, url, Some(certificate)).await, 200);
    }
    for path in paths().iter().filter(|path| *path != url) {
        let of_strangers = status(&daemon, &get, path, None).await;
        for certificate in [&metrics, &some] {
            let code = status(&daemon, &get, path, Some(certificate)).await;
            assert_eq!(code, of_strangers, "{path}");
        }
    }
    let code = status(&daemon, &Method::POST, url, Some(&metrics)).await;
    assert_eq!(code, 403);
}

#[tokio::test]
async fn what_is_internal_is_for_the_socket_only() {
    let daemon = TestDaemon::new();
    let certificate = some_certificate();
    trust(&daemon, &certificate, |_| {}).await;
    let paths = paths();
    let internal = paths.iter().filter(|path| path.starts_with("/internal/"));
    for path in internal {
        for method in methods() {
            let code = status(&daemon, &method, path, Some(&certificate)).await;
            assert_eq!(code, 403, "{method} {path}");
        }
    }
    let ready = daemon
        .call(Method::GET, "/internal/ready", Value::Null)
        .await;
    assert_eq!(ready.0, 200);
}

#[tokio::test]
async fn nonsense_is_refused_in_the_envelope_on_every_route() {
    let daemon = TestDaemon::with_pool().await;
    let deep = format!("{}{}", "{\"config\":".repeat(5000), "}".repeat(5000));
    let bodies: [&[u8]; 9] = [
        b"{",
        b"[]",
        b"\"x\"",
        b"1",
        b"{\"config\": 1, \"devices\": [], \"name\": {}, \"source\": 2, \"profiles\": \"x\"}",
        b"{\"config\": {\"user.a\": []}, \"devices\": {\"a\": 1}}",
        b"{\"description\": \"\xff\xfe\"}",
        b"\x00\x01",
        deep.as_bytes(),
    ];
    let paths = paths();
    let paths = paths.iter().filter(|path| !path.starts_with("/internal/"));
    let mut tried = 0;
    for path in paths {
        let names = ["x1", "..", "a%2fb", "%00", "%ff", &"n".repeat(300)];
        let urls: BTreeSet<String> = names.iter().map(|name| path.replace("x1", name)).collect();
        for (number, url) in urls.iter().enumerate() {
            for method in methods() {
                let body = bodies[(number + tried) % bodies.len()];
                tried += 1;
                let request = Request::builder().method(&method).uri(url);
                let request = request.body(Body::from(body.to_vec())).unwrap();
                let (status, headers, reply) = daemon.send(request).await;
                let what = format!(
                    "{method} {url} {}: {status}",
                    String::from_utf8_lossy(&body[..body.len().min(60)])
                );
                assert!(status < 500, "{what}");
                assert_eq!(headers["x-content-type-options"], "nosniff", "{what}");
                if status >= 400 && method != Method::HEAD {
                    let reply: Value = serde_json::from_slice(&reply).expect(&what);
                    assert_eq!(reply["type"], "error", "{what}");
                    assert_eq!(reply["error_code"], status, "{what}");
                    assert_eq!(headers["content-type"], "application/json", "{what}");
                }
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[tokio::test]
async fn paths_written_in_odd_ways_are_not_let_in() {
    let daemon = TestDaemon::new();
    for path in [
        "/1.0/",
        "//1.0",
        "/1.0/certificates/",
        "/1.0/images/../instances",
        "/1.0/images/x1/export/..",
        "/%31.0/instances",
        "/nothing",
    ] {
        assert_eq!(
            status(&daemon, &Method::POST, path, None).await,
            403,
            "{path}"
        );
    }
    assert_eq!(
        status(&daemon, &Method::GET, "/1.0/instances/../images", None).await,
        403
    );
}

#[tokio::test]
async fn a_trusted_certificate_reaches_all_until_it_is_removed() {
    let daemon = TestDaemon::new();
    let certificate = some_certificate();
    assert_eq!(
        status(&daemon, &Method::GET, "/1.0/instances", Some(&certificate)).await,
        403
    );
    trust(&daemon, &certificate, |_| {}).await;
    for path in [
        "/1.0/instances",
        "/1.0/certificates",
        "/1.0/operations",
        "/1.0/warnings",
    ] {
        assert_eq!(
            status(&daemon, &Method::GET, path, Some(&certificate)).await,
            200,
            "{path}"
        );
    }
    let (_, reply) = ask(&daemon, &Method::GET, "/1.0", Some(&certificate), "").await;
    assert_eq!(reply["metadata"]["auth"], "trusted");
    assert_eq!(reply["metadata"]["auth_user_method"], "tls");
    assert_eq!(
        reply["metadata"]["auth_user_name"],
        certificate.fingerprint()
    );
    assert_eq!(
        status(
            &daemon,
            &Method::GET,
            "/1.0/instances",
            Some(&some_certificate())
        )
        .await,
        403
    );
    let url = format!("/1.0/certificates/{}", &certificate.fingerprint()[..12]);
    assert_eq!(
        status(&daemon, &Method::DELETE, &url, Some(&certificate)).await,
        200
    );
    assert_eq!(
        status(&daemon, &Method::GET, "/1.0/instances", Some(&certificate)).await,
        403
    );
}

#[tokio::test]
async fn a_restricted_certificate_reaches_its_projects_only() {
    let daemon = TestDaemon::new();
    let (inside, outside, metrics) = (some_certificate(), some_certificate(), some_certificate());
    trust(&daemon, &inside, |c| {
        c.restricted = true;
        c.projects = BTreeSet::from(["default".to_owned()]);
    })
    .await;
    trust(&daemon, &outside, |c| c.restricted = true).await;
    trust(&daemon, &metrics, |c| c.kind = Kind::Metrics).await;
    let get = Method::GET;
    for path in [
        "/1.0/instances",
        "/1.0/instances?project=default",
        "/1.0/profiles",
        "/1.0/networks",
        "/1.0/projects/default",
    ] {
        assert_eq!(
            status(&daemon, &get, path, Some(&inside)).await,
            200,
            "{path}"
        );
        assert_eq!(
            status(&daemon, &get, path, Some(&outside)).await,
            403,
            "{path}"
        );
        assert_eq!(
            status(&daemon, &get, path, Some(&metrics)).await,
            403,
            "{path}"
        );
    }
    for path in [
        "/1.0/instances?project=other",
        "/1.0/instances?all-projects=true&project=default",
        "/1.0/instances?project=default&project=other",
        "/1.0/instances?proj%65ct=other",
        "/1.0/warnings",
        "/1.0/projects/other",
        "/1.0/projects/other/state",
        "/1.0/events?project=other",
        "/internal/shutdown",
    ] {
        assert_eq!(
            status(&daemon, &get, path, Some(&inside)).await,
            403,
            "{path}"
        );
    }
    assert_eq!(
        status(&daemon, &Method::PATCH, "/1.0", Some(&inside)).await,
        403
    );
    assert_eq!(
        status(&daemon, &Method::POST, "/1.0/certificates", Some(&inside)).await,
        403
    );
}

#[tokio::test]
async fn a_restricted_client_sees_and_renews_its_own_certificate_only() {
    let daemon = TestDaemon::new();
    let (own, other, next) = (some_certificate(), some_certificate(), some_certificate());
    let restrict = |c: &mut Trusted| {
        c.restricted = true;
        c.projects = BTreeSet::from(["default".to_owned()]);
    };
    trust(&daemon, &own, restrict).await;
    trust(&daemon, &other, |_| {}).await;
    let url = |of: &ClientCertificate| format!("/1.0/certificates/{}", of.fingerprint());
    let list = "/1.0/certificates?recursion=1";
    let (_, seen) = ask(&daemon, &Method::GET, list, Some(&own), "").await;
    assert_eq!(seen["metadata"].as_array().unwrap().len(), 1);
    assert_eq!(seen["metadata"][0]["fingerprint"], own.fingerprint());
    let (_, shown) = ask(&daemon, &Method::GET, &url(&own), Some(&own), "").await;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let code = status(&daemon, &method, &url(&other), Some(&own)).await;
        assert_eq!(code, 403, "{method}");
    }
    assert_eq!(
        status(&daemon, &Method::DELETE, &url(&own), Some(&own)).await,
        403
    );
    // Neither wider nor longer, only with another key.
    for (key, value) in [
        ("restricted", Value::from(false)),
        ("projects", Value::from(Vec::<String>::new())),
        ("name", Value::from("x")),
        ("type", Value::from("metrics")),
    ] {
        let mut body = shown["metadata"].clone();
        body[key] = value;
        let code = ask(
            &daemon,
            &Method::PUT,
            &url(&own),
            Some(&own),
            &body.to_string(),
        )
        .await
        .0;
        assert_eq!(code, 403, "{key}");
    }
    let body = serde_json::json!({"certificate": next.pem().unwrap()}).to_string();
    let code = ask(&daemon, &Method::PATCH, &url(&own), Some(&own), &body)
        .await
        .0;
    assert_eq!(code, 200);
    let instances = "/1.0/instances";
    assert_eq!(
        status(&daemon, &Method::GET, instances, Some(&own)).await,
        403
    );
    assert_eq!(
        status(&daemon, &Method::GET, instances, Some(&next)).await,
        200
    );
    assert_eq!(
        status(&daemon, &Method::GET, "/1.0/warnings", Some(&next)).await,
        403
    );
}

#[tokio::test]
async fn one_site_may_be_let_in() {
    let daemon = TestDaemon::new();
    let config = serde_json::json!({"config": {
        "core.https_allowed_origin": "https://ui.example",
        "core.https_allowed_methods": "GET, PUT",
        "core.https_allowed_credentials": "true",
    }});
    daemon.ok(Method::PATCH, "/1.0", config).await;
    let send = async |method: Method, origin: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/1.0")
            .header("sec-fetch-site", "cross-site")
            .header("origin", origin)
            .body(Body::empty())
            .unwrap();
        let (status, headers, _) = daemon.send(request).await;
        (status, headers)
    };
    let (status, headers) = send(Method::GET, "https://ui.example").await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], "https://ui.example");
    assert_eq!(headers["access-control-allow-methods"], "GET, PUT");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert!(!headers.contains_key("access-control-allow-headers"));
    assert_eq!(send(Method::OPTIONS, "https://ui.example").await.0, 200);
    assert_eq!(send(Method::GET, "https://evil.example").await.0, 403);
}

#[tokio::test]
async fn a_socket_for_metrics_serves_nothing_else() {
    let daemon = TestDaemon::new();
    let certificate = some_certificate();
    trust(&daemon, &certificate, |_| {}).await;
    let at_metrics = async |path: &str, shown: Option<&ClientCertificate>| {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer::Tls {
            certificate: shown.cloned().map(Arc::new),
            address: ([127, 0, 0, 1], 1).into(),
            door: Door::Metrics,
        }));
        daemon.send_as_is(request).await.0
    };
    assert_eq!(at_metrics("/1.0", Some(&certificate)).await, 404);
    assert_eq!(at_metrics("/1.0/instances", Some(&certificate)).await, 404);
    assert_eq!(at_metrics("/1.0/metrics", None).await, 403);
    let config = serde_json::json!({"config": {"core.metrics_authentication": "false"}});
    daemon.ok(Method::PATCH, "/1.0", config).await;
    assert_ne!(at_metrics("/1.0/metrics", None).await, 403);
    assert_eq!(at_metrics("/1.0", None).await, 404);
}

#[tokio::test]
async fn a_request_that_is_no_websocket_uses_up_no_secret() {
    let daemon = TestDaemon::new();
    let plain = daemon.app.operations.spawn(
        OperationSpec::task("T", "default", "instances", "/1.0/instances/x"),
        |_| std::future::pending(),
    );
    let url = format!("{}/websocket?secret=x", plain.url());
    let (code, body) = daemon.call(Method::GET, &url, Value::Null).await;
    assert_eq!((code, &body["type"]), (400, &Value::from("error")));
    let (code, body) = daemon.call(Method::GET, "/1.0/events", Value::Null).await;
    assert_eq!((code, &body["type"]), (400, &Value::from("error")));
    let (code, body) = daemon
        .call(Method::GET, "/1.0/events?type=gossip", Value::Null)
        .await;
    assert_eq!(code, 400);
    assert!(body["error"].as_str().unwrap().contains("gossip"), "{body}");
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let daemon = TestDaemon::new();
    let request = Request::builder()
        .uri("/1.0")
        .header("sec-fetch-site", "cross-site")
        .body(Body::empty())
        .unwrap();
    let (status, _, _) = daemon.send(request).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_token_lets_one_client_in_once() {
    let daemon = TestDaemon::new();
    let post = serde_json::json!({"token": true, "type": "client", "name": "laptop"});
    let (code, reply) = daemon
        .call_async(Method::POST, "/1.0/certificates", post)
        .await;
    assert_eq!(
        (code, &reply["metadata"]["class"]),
        (202, &Value::from("token"))
    );
    let metadata = &reply["metadata"]["metadata"];
    let token = serde_json::json!({"client_name": "laptop", "secret": metadata["secret"], "addresses": [], "fingerprint": ""});
    let token = openssl::base64::encode_block(token.to_string().as_bytes());
    let body = serde_json::json!({"type": "client", "password": token}).to_string();
    let url = "/1.0/certificates";
    let (first, second) = (some_certificate(), some_certificate());
    assert_eq!(ask(&daemon, &Method::POST, url, None, &body).await.0, 400);
    assert_eq!(
        ask(&daemon, &Method::POST, url, Some(&first), "{}").await.0,
        403
    );
    assert_eq!(
        ask(&daemon, &Method::POST, url, Some(&first), &body)
            .await
            .0,
        201
    );
    assert_eq!(
        ask(&daemon, &Method::POST, url, Some(&second), &body)
            .await
            .0,
        403
    );
    let (_, shown) = ask(
        &daemon,
        &Method::GET,
        "/1.0/certificates?recursion=1",
        Some(&first),
        "",
    )
    .await;
    assert_eq!(shown["metadata"][0]["name"], "laptop");
    let id = reply["metadata"]["id"].as_str().unwrap();
    assert_eq!(
        daemon.app.operations.find(id).await.unwrap().status,
        "Success"
    );
}

#[tokio::test]
async fn a_cancelled_token_lets_nobody_in_and_a_resumed_one_does() {
    let daemon = TestDaemon::new();
    let post = serde_json::json!({"token": true, "type": "client", "name": "n"});
    let (_, one) = daemon
        .call_async(Method::POST, "/1.0/certificates", post.clone())
        .await;
    let (_, two) = daemon
        .call_async(Method::POST, "/1.0/certificates", post)
        .await;
    let join = |reply: &Value| {
        let token = serde_json::json!({"secret": reply["metadata"]["metadata"]["secret"]});
        let text = openssl::base64::encode_block(token.to_string().as_bytes());
        serde_json::json!({"trust_token": text}).to_string()
    };
    let id = one["metadata"]["id"].as_str().unwrap();
    let who = rlxc_api::Requestor::default();
    daemon.app.operations.cancel(id, &who).unwrap();
    let ended = daemon.app.operations.wait(id, None).await.unwrap();
    assert_eq!(ended.status, "Cancelled");
    crate::app::join_token::resume(&daemon.app).await.unwrap();
    let resumed = two["metadata"]["id"].as_str().unwrap();
    let resumed = daemon.app.operations.find(resumed).await.unwrap();
    assert_eq!(resumed.created_at.0, two["metadata"]["created_at"]);
    let nameless = serde_json::json!({"token": true, "type": "client", "name": " "});
    let (code, _) = daemon
        .call_async(Method::POST, "/1.0/certificates", nameless)
        .await;
    assert_eq!(code, 400);
    let certificate = some_certificate();
    let url = "/1.0/certificates";
    assert_eq!(
        ask(&daemon, &Method::POST, url, Some(&certificate), &join(&one))
            .await
            .0,
        403
    );
    assert_eq!(
        ask(&daemon, &Method::POST, url, Some(&certificate), &join(&two))
            .await
            .0,
        201
    );
}

#[tokio::test]
async fn the_password_lets_in_and_is_never_shown() {
    let daemon = TestDaemon::new();
    let config = serde_json::json!({"config": {"core.trust_password": "sesame"}});
    daemon.ok(Method::PATCH, "/1.0", config).await;
    let shown = daemon.ok(Method::GET, "/1.0", Value::Null).await;
    assert_eq!(shown["config"]["core.trust_password"], "true");
    // Given back as it was shown, it stays.
    daemon
        .ok(
            Method::PUT,
            "/1.0",
            serde_json::json!({"config": shown["config"]}),
        )
        .await;
    daemon
        .ok(
            Method::PATCH,
            "/1.0",
            serde_json::json!({"config": {"user.a": "b"}}),
        )
        .await;
    let certificate = some_certificate();
    let url = "/1.0/certificates";
    let with =
        |password: &str| serde_json::json!({"type": "client", "password": password}).to_string();
    assert_eq!(
        ask(
            &daemon,
            &Method::POST,
            url,
            Some(&certificate),
            &with("true")
        )
        .await
        .0,
        403
    );
    assert_eq!(
        ask(
            &daemon,
            &Method::POST,
            url,
            Some(&certificate),
            &with("sesame")
        )
        .await
        .0,
        201
    );
    let (code, reply) = ask(
        &daemon,
        &Method::POST,
        url,
        Some(&certificate),
        &with("sesame"),
    )
    .await;
    assert_eq!(
        (code, &reply["error"]),
        (400, &Value::from("Certificate already in trust store"))
    );
}
