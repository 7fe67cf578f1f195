//! Newer images from a server that has nothing but a delta of them.

use axum::http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fetch::{Files, ImageServer, index};
use super::{METADATA, tarball};
use crate::app::image::upkeep::Upkeep;
use crate::simplestreams::architecture;
use crate::testing::TestDaemon;

/// An image of this version; the second one has the root of the first, which is there as a whole only as long as the first is the
/// newest.
fn content(version: usize) -> (String, Files) {
    let hash = |parts: &[&[u8]]| {
        let sum = parts.iter().fold(Sha256::new(), Sha256::chain_update);
        hex::encode(sum.finalize())
    };
    let root = tarball(&[("etc/name", "served")]);
    let delta = copy_of(root.len());
    let item = |ftype: &str, content: &[u8]| json!({"ftype": ftype, "path": ftype, "size": content.len(), "sha256": hash(&[content])});
    let (mut versions, mut files) = (json!({}), Files::new());
    let mut newest = String::new();
    for number in 1..=version {
        let meta = tarball(&[("metadata.yaml", METADATA), ("a", &number.to_string())]);
        newest = hash(&[&meta, &root]);
        let (mut head, mut difference) =
            (item("lxd.tar.xz", &meta), item("squashfs.vcdiff", &delta));
        head["combined_squashfs_sha256"] = json!(newest);
        difference["delta_base"] = json!("1");
        versions[number.to_string()] =
            json!({"items": {"head": head, "root": item("squashfs", &root), "delta": difference}});
        files.insert("/lxd.tar.xz".to_owned(), meta);
    }
    let (path, whole) = match version {
        1 => ("/squashfs", root),
        _ => ("/squashfs.vcdiff", delta),
    };
    files.insert(path.to_owned(), whole);
    let product = json!({"aliases": "test/1", "arch": architecture::native(), "os": "Test", "versions": versions});
    files.extend(index(&json!({"products": {"test:1:default": product}})));
    (newest, files)
}

/// A delta that copies a file of so many bytes.
fn copy_of(length: usize) -> Vec<u8> {
    let low = |shift: usize| u8::try_from(length >> shift & 0x7f).unwrap();
    let length = [0x80 | low(14), 0x80 | low(7), low(0)];
    let parts: [&[u8]; 7] = [
        &[0xd6, 0xc3, 0xc4, 0, 0, 1],
        &length,
        &[0, 0],
        &length,
        &[0, 0, 4, 1, 19],
        &length,
        &[0],
    ];
    parts.concat()
}

async fn daemon_with_the_first() -> (TestDaemon, ImageServer) {
    let daemon = TestDaemon::with_pool().await;
    let server = ImageServer::start_with(content(1)).await;
    let post = json!({"name": "c1", "source": server.source("test/1")});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    (daemon, server)
}

#[tokio::test]
async fn the_next_launch_fetches_the_delta() {
    let (daemon, server) = daemon_with_the_first().await;
    let second = server.replace(content(2));
    daemon.app.image_checks.forget();
    let post = json!({"name": "c2", "source": server.source("test/1")});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let url = format!("/1.0/images/{second}");
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(view["properties"]["type"], "squashfs");
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn upkeep_fetches_the_delta() {
    let (daemon, server) = daemon_with_the_first().await;
    let second = server.replace(content(2));
    Upkeep::default().tick(&daemon.app).await;
    let urls = daemon.ok(Method::GET, "/1.0/images", Value::Null).await;
    assert_eq!(urls, json!([format!("/1.0/images/{second}")]));
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn what_a_delta_makes_counts_as_if_it_had_been_fetched() {
    let daemon = TestDaemon::with_pool().await;
    let server = ImageServer::start_with(content(1)).await;
    let project = json!({"name": "p", "config": {"features.images": "true", "limits.disk": "8kB"}});
    daemon.ok(Method::POST, "/1.0/projects", project).await;
    let post = json!({"source": server.source("test/1")});
    let made = daemon.ok(Method::POST, "/1.0/images?project=p", post).await;
    let first = made["metadata"]["fingerprint"].as_str().unwrap();
    server.replace(content(2));
    let refresh = format!("/1.0/images/{first}/refresh?project=p");
    let error = daemon.refused(Method::POST, &refresh, Value::Null).await;
    assert!(error.contains("limits.disk"), "{error}");
    let urls = daemon
        .ok(Method::GET, "/1.0/images?project=p", Value::Null)
        .await;
    assert_eq!(urls, json!([format!("/1.0/images/{first}?project=p")]));
    assert!(daemon.list("scratch").is_empty());
    assert_eq!(daemon.list("images").len(), 2);
}
