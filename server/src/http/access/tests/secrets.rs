//! What a secret of an image opens to strangers: one thing, once.

use serde_json::json;

use super::*;

const METADATA: &str = "architecture: x86_64\ncreation_date: 1700000000\n";

fn image() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in [("metadata.yaml", METADATA), ("rootfs/etc/name", "secret")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

async fn upload(daemon: &TestDaemon) -> String {
    let request = Request::post("/1.0/images")
        .body(Body::from(image()))
        .unwrap();
    let (_, reply) = daemon.reply(request).await;
    let text = reply["metadata"]["metadata"]["fingerprint"].as_str();
    text.unwrap_or_else(|| panic!("{reply}")).to_owned()
}

async fn get(daemon: &TestDaemon, url: &str) -> u16 {
    status(daemon, &Method::GET, url, None).await
}

#[tokio::test]
async fn a_secret_opens_one_image_for_one_download() {
    let daemon = TestDaemon::new();
    let fingerprint = upload(&daemon).await;
    let image = format!("/1.0/images/{fingerprint}");
    assert_eq!(get(&daemon, &image).await, 404);
    assert_eq!(get(&daemon, &format!("{image}/export")).await, 404);
    let (code, token) = daemon
        .call_async(Method::POST, &format!("{image}/secret"), Value::Null)
        .await;
    assert_eq!((code, &token["metadata"]["class"]), (202, &json!("token")));
    let secret = token["metadata"]["metadata"]["secret"].as_str().unwrap();
    let with = |path: &str, secret: &str| format!("{path}?secret={secret}");
    for (path, expected) in [
        (with(&image, &"0".repeat(64)), 404),
        (with(&image, ""), 404),
        (with(&image[..image.len() - 1], secret), 404),
        // Looking does not use it up.
        (with(&image, secret), 200),
        (with(&image, secret), 200),
        (
            with(&format!("{image}/export"), secret) + "&project=other",
            404,
        ),
        (with(&format!("{image}/export"), secret), 200),
        (with(&format!("{image}/export"), secret), 404),
        (with(&image, secret), 404),
    ] {
        assert_eq!(get(&daemon, &path).await, expected, "{path}");
    }
    let id = token["metadata"]["id"].as_str().unwrap();
    let ended = daemon.app.operations.wait(id, None).await.unwrap();
    assert_eq!(ended.status, "Success");
}

#[tokio::test]
async fn a_cancelled_secret_opens_nothing() {
    let daemon = TestDaemon::new();
    let image = format!("/1.0/images/{}", upload(&daemon).await);
    let (_, token) = daemon
        .call_async(Method::POST, &format!("{image}/secret"), Value::Null)
        .await;
    let id = token["metadata"]["id"].as_str().unwrap();
    let operation = format!("/1.0/operations/{id}");
    daemon.ok(Method::DELETE, &operation, Value::Null).await;
    daemon.app.operations.wait(id, None).await.unwrap();
    let secret = token["metadata"]["metadata"]["secret"].as_str().unwrap();
    assert_eq!(get(&daemon, &format!("{image}?secret={secret}")).await, 404);
}

/// Uploads as a stranger.
async fn push(daemon: &TestDaemon, fingerprint: &str, secret: &str) -> (u16, Value) {
    let mut request = Request::post("/1.0/images")
        .header("X-LXD-fingerprint", fingerprint)
        .header("X-LXD-secret", secret)
        .header("X-LXD-properties", "os=Pushed")
        .header("X-LXD-aliases", "alias=uninvited")
        .body(Body::from(image()))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer::Tls {
        certificate: None,
        address: ([127, 0, 0, 1], 1).into(),
        door: Door::Api,
    }));
    let (status, body) = daemon.send_as_is(request).await;
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_secret_lets_one_image_in() {
    let daemon = TestDaemon::new();
    let fingerprint = {
        let other = TestDaemon::new();
        upload(&other).await
    };
    let announce = json!({"source": {"mode": "push", "fingerprint": fingerprint}, "public": true,
        "aliases": [{"name": "invited"}]});
    let (code, token) = daemon
        .call_async(Method::POST, "/1.0/images", announce)
        .await;
    assert_eq!(code, 202, "{token}");
    let secret = token["metadata"]["metadata"]["secret"].as_str().unwrap();
    assert_eq!(push(&daemon, &fingerprint, "").await.0, 403);
    assert_eq!(push(&daemon, &fingerprint, &"1".repeat(64)).await.0, 403);
    assert_eq!(push(&daemon, &"a".repeat(64), secret).await.0, 403);
    assert!(daemon.list("scratch").is_empty());
    let (code, begun) = push(&daemon, &fingerprint, secret).await;
    assert_eq!(code, 202, "{begun}");
    assert_eq!(push(&daemon, &fingerprint, secret).await.0, 403);
    let wait = format!(
        "/1.0/operations/{}/wait",
        begun["metadata"]["id"].as_str().unwrap()
    );
    assert_eq!(get(&daemon, &wait).await, 403);
    assert_eq!(get(&daemon, &format!("{wait}?secret=1")).await, 403);
    let (code, ended) = ask(
        &daemon,
        &Method::GET,
        &format!("{wait}?secret={secret}"),
        None,
        "",
    )
    .await;
    assert_eq!(
        (code, &ended["metadata"]["status"]),
        (200, &json!("Success")),
        "{ended}"
    );
    let url = format!("/1.0/images/{fingerprint}");
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(
        view["aliases"],
        json!([{"name": "invited", "description": ""}])
    );
    assert_eq!(
        (&view["public"], &view["properties"]["os"]),
        (&json!(true), &json!("Pushed"))
    );
    // It is public: strangers see it, also by the beginning of its fingerprint.
    assert_eq!(get(&daemon, &url[..24]).await, 200);
    assert_eq!(get(&daemon, "/1.0/images/aliases/invited").await, 200);
}
