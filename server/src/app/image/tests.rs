//! Images through the API, on a real store.

mod delta;
mod fetch;
mod instances;
mod upkeep;

use std::io::Write as _;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::error::Error;
use crate::saga::{self, JournalEntry, Saga};
use crate::testing::TestDaemon;

const METADATA: &str =
    "architecture: amd64\ncreation_date: 1700000000\nproperties: {os: Test, release: 1}\n";

/// A tarball of files by path and content.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn image(content: &str) -> Vec<u8> {
    tarball(&[("metadata.yaml", METADATA), ("rootfs/etc/name", content)])
}

fn upload_of(bytes: Vec<u8>) -> Request<Body> {
    Request::post("/1.0/images")
        .header("Content-Type", "application/octet-stream")
        .body(Body::from(bytes))
        .unwrap()
}

async fn upload(daemon: &TestDaemon, bytes: Vec<u8>) -> String {
    let (status, reply) = daemon.reply(upload_of(bytes)).await;
    assert_eq!(status, 202, "{reply}");
    let text = reply["metadata"]["metadata"]["fingerprint"].as_str();
    text.unwrap_or_else(|| panic!("{reply}")).to_owned()
}

async fn refused(daemon: &TestDaemon, request: Request<Body>) -> String {
    let (status, reply) = daemon.reply(request).await;
    let text = if status == 202 {
        &reply["metadata"]["err"]
    } else {
        &reply["error"]
    };
    text.as_str().unwrap().to_owned()
}

fn is_clean(daemon: &TestDaemon) -> bool {
    daemon.list("images").is_empty() && daemon.list("scratch").is_empty()
}

async fn journal(daemon: &TestDaemon) -> usize {
    let left = daemon.app.db.read(crate::db::journal::list).await.unwrap();
    left.len()
}

#[tokio::test]
async fn an_upload_is_there_as_it_came() {
    let daemon = TestDaemon::new();
    let bytes = image("a");
    let request = Request::post("/1.0/images")
        .header("X-LXD-public", "true")
        .header("X-Incus-properties", "os=Other&label=x%20y")
        .header("X-LXD-filename", "test.tar")
        .header("X-Incus-aliases", "alias=test%2Fone")
        .body(Body::from(bytes.clone()))
        .unwrap();
    let (_, reply) = daemon.reply(request).await;
    let metadata = &reply["metadata"]["metadata"];
    assert_eq!(metadata["size"], bytes.len().to_string());
    let fingerprint = metadata["fingerprint"].as_str().unwrap();
    let url = format!("/1.0/images/{}", &fingerprint[..10]);
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(view["architecture"], "x86_64");
    assert_eq!(
        view["properties"],
        json!({"os": "Other", "release": "1", "label": "x y"})
    );
    assert_eq!(view["created_at"], "2023-11-14T22:13:20.000000Z");
    assert_eq!(
        view["aliases"],
        json!([{"name": "test/one", "description": ""}])
    );
    assert_eq!(
        (&view["public"], &view["filename"]),
        (&json!(true), &json!("test.tar"))
    );
    let export = Request::get(format!("{url}/export"))
        .body(Body::empty())
        .unwrap();
    let (status, headers, body) = daemon.send(export).await;
    assert_eq!((status, body), (200, bytes));
    assert_eq!(
        headers["content-disposition"],
        format!("inline;filename={fingerprint}.tar")
    );
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn two_parts_go_in_and_come_out() {
    let daemon = TestDaemon::new();
    let (meta, root) = (
        tarball(&[("metadata.yaml", METADATA)]),
        tarball(&[("etc/name", "a")]),
    );
    let mut form = Vec::new();
    for (name, part) in [("metadata", &meta), ("rootfs", &root)] {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n"
        );
        form.write_all(head.as_bytes()).unwrap();
        form.extend_from_slice(part);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--b--\r\n");
    let request = Request::post("/1.0/images")
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body(Body::from(form))
        .unwrap();
    let (_, reply) = daemon.reply(request).await;
    let fingerprint = reply["metadata"]["metadata"]["fingerprint"]
        .as_str()
        .unwrap();
    let rootfs = format!("{fingerprint}.rootfs");
    assert_eq!(daemon.list("images"), [fingerprint.to_owned(), rootfs]);
    let export = Request::get(format!("/1.0/images/{fingerprint}/export"))
        .body(Body::empty())
        .unwrap();
    let (_, headers, body) = daemon.send(export).await;
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(length, body.len());
    let at = |part: &[u8]| body.windows(part.len()).position(|window| window == part);
    assert!(at(&meta).unwrap() < at(&root).unwrap());
    daemon
        .ok(
            Method::DELETE,
            &format!("/1.0/images/{fingerprint}"),
            Value::Null,
        )
        .await;
    assert!(is_clean(&daemon));
}

#[tokio::test]
async fn what_is_no_image_leaves_nothing() {
    let daemon = TestDaemon::new();
    let truncated = image(&"x".repeat(4096))[..2000].to_vec();
    for (bytes, expected) in [
        (b"nonsense".to_vec(), "neither a tarball"),
        (tarball(&[("rootfs/etc/name", "a")]), "no `metadata.yaml`"),
        (tarball(&[("metadata.yaml", METADATA)]), "no `rootfs`"),
        (
            tarball(&[("metadata.yaml", "x: 1"), ("rootfs/a", "")]),
            "metadata.yaml",
        ),
        (
            tarball(&[("metadata.yaml", METADATA), ("rootfs/../../x", "")]),
            "`..` in it",
        ),
        (
            tarball(&[("metadata.yaml", METADATA), ("/etc/passwd", "")]),
            "its path is absolute",
        ),
        (truncated, "image"),
    ] {
        let error = refused(&daemon, upload_of(bytes)).await;
        assert!(error.contains(expected), "{error}");
        assert!(is_clean(&daemon), "{error}");
        assert_eq!(journal(&daemon).await, 0);
    }
    let mut announced = upload_of(image("a"));
    let headers = announced.headers_mut();
    headers.insert("X-LXD-fingerprint", "ab".parse().unwrap());
    let error = refused(&daemon, announced).await;
    assert!(error.contains("not ab as announced"), "{error}");
    assert!(is_clean(&daemon));
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let daemon = TestDaemon::new();
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> = vec![
        Ok(image("a")[..600].to_vec()),
        Err(std::io::ErrorKind::ConnectionReset.into()),
    ];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let request = Request::post("/1.0/images").body(body).unwrap();
    let error = refused(&daemon, request).await;
    assert!(error.contains("receive an upload"), "{error}");
    assert!(is_clean(&daemon));
}

#[tokio::test]
async fn the_same_image_is_refused_and_the_first_one_stays() {
    let daemon = TestDaemon::new();
    let fingerprint = upload(&daemon, image("a")).await;
    let (status, reply) = daemon.reply(upload_of(image("a"))).await;
    assert_eq!(status, 409);
    assert!(
        reply["error"].as_str().unwrap().contains(&fingerprint),
        "{reply}"
    );
    assert_eq!(daemon.list("images"), [fingerprint]);
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn a_row_that_is_refused_takes_the_files_along() {
    let daemon = TestDaemon::new();
    let fingerprint = upload(&daemon, image("a")).await;
    let alias = json!({"name": "taken", "target": fingerprint});
    daemon.ok(Method::POST, "/1.0/images/aliases", alias).await;
    let mut incoming = super::incoming::Upload::begin(&daemon.app).unwrap();
    incoming.write(image("b").into()).await.unwrap();
    let incoming = incoming.finish().await.unwrap();
    let draft = super::Draft {
        aliases: vec![("taken".to_owned(), String::new())],
        ..super::Draft::default()
    };
    // Past the check at the door, as if the alias came meanwhile.
    let result = super::import::import(&daemon.app, "op", "default", incoming, draft).await;
    assert!(
        matches!(result, Err(Error::AlreadyExists { .. })),
        "{result:?}"
    );
    assert_eq!(daemon.list("images"), [fingerprint]);
    assert_eq!(journal(&daemon).await, 0);
}

#[tokio::test]
async fn files_that_can_not_be_put_in_place_are_no_image() {
    let daemon = TestDaemon::new();
    std::fs::remove_dir(daemon.path().join("images")).unwrap();
    std::fs::write(daemon.path().join("images"), "").unwrap();
    let error = refused(&daemon, upload_of(image("a"))).await;
    assert!(error.contains("store an image"), "{error}");
    assert!(daemon.list("scratch").is_empty());
    let all = daemon.ok(Method::GET, "/1.0/images", Value::Null).await;
    assert_eq!(all, json!([]));
}

#[tokio::test]
async fn a_crash_between_files_and_row_is_undone() {
    let daemon = TestDaemon::new();
    let known = upload(&daemon, image("a")).await;
    let unknown = "ab".repeat(32);
    std::fs::write(daemon.path().join("images").join(&unknown), "x").unwrap();
    for fingerprint in [&known, &unknown] {
        let mut dying = Saga::new(&daemon.app, "op");
        let fingerprint = fingerprint.clone();
        dying
            .intend(JournalEntry::ImageFiles { fingerprint })
            .await
            .unwrap();
    }
    saga::recover(&daemon.app).await.unwrap();
    assert_eq!(daemon.list("images"), [known]);
    assert_eq!(journal(&daemon).await, 0);
    saga::recover(&daemon.app).await.unwrap();
}

#[tokio::test]
async fn aliases_have_slashes_and_near_names() {
    let daemon = TestDaemon::new();
    let fingerprint = upload(&daemon, image("a")).await;
    let url = "/1.0/images/aliases";
    let alias = json!({"name": "debian/12", "target": &fingerprint[..12]});
    daemon.ok(Method::POST, url, alias.clone()).await;
    let error = daemon.refused(Method::POST, url, alias).await;
    assert_eq!(error, "image alias `debian/12` already exists");
    let list = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(list, json!(["/1.0/images/aliases/debian%2F12"]));
    for name in ["debian/12", "debian%2F12"] {
        let view = daemon
            .ok(Method::GET, &format!("{url}/{name}"), Value::Null)
            .await;
        assert_eq!(
            (&view["name"], &view["target"]),
            (&json!("debian/12"), &json!(fingerprint))
        );
    }
    let error = daemon
        .refused(Method::GET, &format!("{url}/debain%2F12"), Value::Null)
        .await;
    assert_eq!(
        error,
        "image alias `debain/12` not found. Did you mean `debian/12`?"
    );
    let patch = json!({"description": "new"});
    daemon
        .ok(Method::PATCH, &format!("{url}/debian%2F12"), patch)
        .await;
    daemon
        .ok(
            Method::POST,
            &format!("{url}/debian%2F12"),
            json!({"name": "d"}),
        )
        .await;
    let view = daemon
        .ok(Method::GET, &format!("{url}/d"), Value::Null)
        .await;
    assert_eq!(view["description"], "new");
    daemon
        .ok(Method::DELETE, &format!("{url}/d"), Value::Null)
        .await;
    daemon
        .refused(Method::DELETE, &format!("{url}/d"), Value::Null)
        .await;
    for bad in ["", "a b", "/a", "a/"] {
        let alias = json!({"name": bad, "target": fingerprint});
        daemon.refused(Method::POST, url, alias).await;
    }
}

#[tokio::test]
async fn writable_fields_are_written() {
    let daemon = TestDaemon::new();
    let fingerprint = upload(&daemon, image("a")).await;
    let url = format!("/1.0/images/{fingerprint}");
    let patch = json!({"public": true, "properties": {"os": "", "new": "x"}});
    daemon.ok(Method::PATCH, &url, patch).await;
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(view["properties"], json!({"release": "1", "new": "x"}));
    assert_eq!(view["public"], true);
    let put = json!({"properties": {"a": "b"}, "expires_at": "2030-01-01T00:00:00Z"});
    daemon.ok(Method::PUT, &url, put).await;
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(view["properties"], json!({"a": "b"}));
    assert_eq!(
        (&view["public"], &view["expires_at"]),
        (&json!(false), &json!("2030-01-01T00:00:00Z"))
    );
    let stale = Request::put(&url)
        .header("If-Match", "\"stale\"")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(daemon.reply(stale).await.0, 412);
    let objects = daemon
        .ok(Method::GET, "/1.0/images?recursion=1", Value::Null)
        .await;
    assert_eq!(objects[0]["fingerprint"], *fingerprint);
}

#[tokio::test]
async fn sources_that_make_no_sense_are_refused_at_once() {
    let daemon = TestDaemon::new();
    for (post, expected) in [
        (json!({}), "no source"),
        (json!({"source": {"type": "oracle"}}), "`oracle`"),
        (json!({"source": {"type": "image"}}), "names no server"),
        (
            json!({"source": {"type": "image", "server": "https://x", "protocol": "oci", "alias": "a"}}),
            "simplestreams, lxd and incus",
        ),
        (
            json!({"source": {"type": "build", "distribution": "debian", "release": "99"}}),
            "no release `99`",
        ),
    ] {
        let (status, reply) = daemon.call(Method::POST, "/1.0/images", post).await;
        assert_eq!(status, 400, "{reply}");
        assert!(
            reply["error"].as_str().unwrap().contains(expected),
            "{reply}"
        );
    }
}
