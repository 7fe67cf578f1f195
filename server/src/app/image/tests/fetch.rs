//! Images from a server that speaks simplestreams.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{METADATA, tarball};
use crate::simplestreams::architecture;
use crate::testing::TestDaemon;

/// A server with one image, `test/1`, until it is told to go.
pub(super) struct ImageServer {
    url: String,
    pub(super) fingerprint: String,
    files: Shared,
    asked: Arc<AtomicUsize>,
    end: CancellationToken,
}

type Shared = Arc<Mutex<Files>>;

impl ImageServer {
    pub(super) async fn start() -> Self {
        Self::start_with(content("served")).await
    }

    /// With an image of that fingerprint.
    pub(super) async fn start_with((fingerprint, files): (String, Files)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let end = CancellationToken::new();
        let (files, asked) = (Arc::new(Mutex::new(files)), Arc::default());
        let serving = serve(listener, Arc::clone(&files), Arc::clone(&asked));
        tokio::spawn(end.clone().run_until_cancelled_owned(serving));
        Self {
            url,
            fingerprint,
            files,
            asked,
            end,
        }
    }

    pub(super) fn source(&self, alias: &str) -> Value {
        json!({"type": "image", "server": self.url, "protocol": "simplestreams", "alias": alias})
    }

    /// Puts another image in its place; gives back its fingerprint.
    pub(super) fn publish(&self, text: &str) -> String {
        self.replace(content(text))
    }

    pub(super) fn replace(&self, (fingerprint, files): (String, Files)) -> String {
        *self.files.lock().unwrap() = files;
        fingerprint
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.end.cancel();
    }
}

fn content(text: &str) -> (String, Files) {
    let meta = tarball(&[("metadata.yaml", METADATA)]);
    tree(meta, tarball(&[("etc/name", text)]))
}

pub(super) type Files = BTreeMap<String, Vec<u8>>;

async fn serve(listener: tokio::net::TcpListener, files: Shared, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        asked.fetch_add(1, Ordering::Relaxed);
        let files = Arc::clone(&files);
        let service = hyper::service::service_fn(move |request: Request<_>| {
            let found = files.lock().unwrap().get(request.uri().path()).cloned();
            let status = if found.is_some() { 200 } else { 404 };
            let body: Full<Bytes> = Full::from(found.unwrap_or_default());
            drop::<Request<hyper::body::Incoming>>(request);
            async move { Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap()) }
        });
        tokio::spawn(async move {
            hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await
        });
    }
}

fn tree(meta: Vec<u8>, root: Vec<u8>) -> (String, Files) {
    let hash = |parts: &[&[u8]]| {
        let sum = parts.iter().fold(Sha256::new(), Sha256::chain_update);
        hex::encode(sum.finalize())
    };
    let fingerprint = hash(&[&meta, &root]);
    let products = json!({"products": {"test:1:default": {
        "aliases": "test/1", "arch": architecture::native(), "os": "Test", "release": "one",
        "versions": {"20240101_05:24": {"items": {
            "incus.tar.xz": {"ftype": "incus.tar.xz", "path": "meta", "size": meta.len(),
                "sha256": hash(&[&meta]), "combined_rootxz_sha256": fingerprint},
            "root.tar.xz": {"ftype": "root.tar.xz", "path": "root", "size": root.len(), "sha256": hash(&[&root])},
        }}},
    }}});
    let mut files = index(&products);
    files.insert("/meta".to_owned(), meta);
    files.insert("/root".to_owned(), root);
    (fingerprint, files)
}

/// The files that list these products.
pub(super) fn index(products: &Value) -> Files {
    let index = json!({"format": "index:1.0", "index": {"images": {
        "datatype": "image-downloads", "path": "streams/v1/images.json", "format": "products:1.0"}}});
    let files = [("index", &index), ("images", products)];
    let files = files.map(|(name, list)| {
        let path = format!("/streams/v1/{name}.json");
        (path, list.to_string().into_bytes())
    });
    files.into()
}

#[tokio::test]
async fn an_image_is_copied_once_and_named() {
    let (daemon, server) = (TestDaemon::new(), ImageServer::start().await);
    let post = json!({"source": server.source("test/1"), "aliases": [{"name": "mine"}]});
    let ended = daemon.ok(Method::POST, "/1.0/images", post.clone()).await;
    assert_eq!(ended["metadata"]["fingerprint"], *server.fingerprint);
    let again = daemon.ok(Method::POST, "/1.0/images", post).await;
    assert_eq!(again["metadata"]["fingerprint"], *server.fingerprint);
    let url = format!("/1.0/images/{}", server.fingerprint);
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(view["update_source"]["server"], server.url);
    assert_eq!(view["update_source"]["alias"], "test/1");
    assert_eq!(view["properties"]["os"], "Test");
    assert_eq!(view["cached"], false);
    assert_eq!(view["aliases"][0]["name"], "mine");
    let refreshed = daemon
        .ok(Method::POST, &format!("{url}/refresh"), Value::Null)
        .await;
    assert_eq!(refreshed["metadata"]["refreshed"], false);
}

#[tokio::test]
async fn missing_and_unreachable_are_told_apart() {
    let (daemon, server) = (TestDaemon::new(), ImageServer::start().await);
    let post = json!({"source": server.source("tset/1")});
    let error = daemon
        .refused(Method::POST, "/1.0/images", post.clone())
        .await;
    assert!(error.contains("image `tset/1` not found"), "{error}");
    assert!(error.contains("`test/1`"), "{error}");
    server.end.cancel();
    tokio::task::yield_now().await;
    let error = daemon.refused(Method::POST, "/1.0/images", post).await;
    let expected = format!("image server `{}` can't be reached", server.url);
    assert!(error.starts_with(&expected), "{error}");
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn instances_are_made_of_the_cache_when_the_server_is_gone() {
    let (daemon, server) = (TestDaemon::with_pool().await, ImageServer::start().await);
    let post = |name: &str| json!({"name": name, "source": server.source("test/1")});
    daemon.ok(Method::POST, "/1.0/instances", post("c1")).await;
    let url = format!("/1.0/images/{}", server.fingerprint);
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(
        (&view["cached"], &view["auto_update"]),
        (&json!(true), &json!(true))
    );
    server.end.cancel();
    tokio::task::yield_now().await;
    daemon.ok(Method::POST, "/1.0/instances", post("c2")).await;
    daemon.app.image_checks.forget();
    daemon.ok(Method::POST, "/1.0/instances", post("c3")).await;
    let other = json!({"name": "c4", "source": server.source("other")});
    let error = daemon.refused(Method::POST, "/1.0/instances", other).await;
    assert!(error.contains("can't be reached"), "{error}");
}
