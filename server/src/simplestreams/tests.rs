//! Against a real HTTP server that can misbehave.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest, Sha256};

use rlxc_api::simplestreams::catalogue::RemoteFile;

use super::*;

/// What a server does with the files of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Closes the connection after so many bytes of a file; understands ranges.
    Breaks(usize),
    /// As that, but always sends files from the start.
    BreaksWithoutRanges(usize),
    /// Changes one byte.
    Damages,
    /// Sends a longer file than the index says.
    TooLong,
    Redirects,
    /// Redirects to itself for ever.
    Loops,
}

struct Server {
    manner: Manner,
    files: BTreeMap<String, Vec<u8>>,
    seen: Mutex<Vec<String>>,
    breaks: AtomicU64,
}

/// A delta that copies the 1,200,000 bytes (`c9 9f 00`) of an older root: the head, a window, an instruction, an address.
const SAME: [u8; 23] = [
    0xd6, 0xc3, 0xc4, 0, 0, 1, 0xc9, 0x9f, 0, 0, 0, 0xc9, 0x9f, 0, 0, 0, 4, 1, 19, 0xc9, 0x9f, 0, 0,
];

fn order<'a>(image: &'a RemoteImage, directory: &'a Path) -> Order<'a> {
    Order {
        image,
        shortcut: None,
        directory,
    }
}

fn sha256(parts: &[&[u8]]) -> String {
    hex::encode(
        parts
            .iter()
            .fold(Sha256::new(), Sha256::chain_update)
            .finalize(),
    )
}

fn image_tree() -> BTreeMap<String, Vec<u8>> {
    let metadata = b"metadata tarball".repeat(20);
    let rootfs: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let products = json!({"products": {"debian:bookworm:amd64:default": {
        "aliases": "debian/12,debian/bookworm", "arch": architecture::native(), "os": "Debian", "release": "bookworm",
        "versions": {"20240101_05:24": {"items": {
            "incus.tar.xz": {"ftype": "incus.tar.xz", "path": "images/meta", "size": metadata.len(),
                "sha256": sha256(&[&metadata]), "combined_squashfs_sha256": sha256(&[&metadata, &rootfs])},
            "root.squashfs": {"ftype": "squashfs", "path": "images/root", "size": rootfs.len(),
                "sha256": sha256(&[&rootfs])},
        }}},
    }}});
    let index = json!({"format": "index:1.0", "index": {"images": {
        "datatype": "image-downloads", "path": "streams/v1/images.json", "format": "products:1.0"}}});
    [
        ("/streams/v1/index.json", index.to_string().into_bytes()),
        ("/streams/v1/images.json", products.to_string().into_bytes()),
        ("/images/meta", metadata),
        ("/images/root", rootfs),
        ("/images/delta", SAME.to_vec()),
    ]
    .map(|(path, content)| (path.to_owned(), content))
    .into()
}

impl Server {
    async fn start(manner: Manner) -> (Arc<Self>, SocketAddr) {
        let server = Arc::new(Self {
            manner,
            files: image_tree(),
            seen: Mutex::default(),
            breaks: AtomicU64::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&shared);
                let service = hyper::service::service_fn(move |request| {
                    let answer = server.answer(&request);
                    async { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async { drop(connection.await) });
            }
        });
        (server, address)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let agent = request.headers()["user-agent"].to_str().unwrap();
        self.seen
            .lock()
            .unwrap()
            .push(format!("{} {agent}", request.uri()));
        let Some(path) = self.redirect(path) else {
            let target = if self.manner == Manner::Loops {
                path.to_owned()
            } else {
                format!("/moved{path}")
            };
            return Response::builder()
                .status(302)
                .header("location", target)
                .body(Full::default())
                .unwrap();
        };
        let Some(content) = self.files.get(path) else {
            return Response::builder()
                .status(404)
                .body(Full::default())
                .unwrap();
        };
        let is_image = path.starts_with("/images/");
        let range = request
            .headers()
            .get("range")
            .and_then(|range| range.to_str().unwrap().strip_prefix("bytes="));
        let from = range.map_or(0, |range| {
            range.trim_end_matches('-').parse::<usize>().unwrap()
        });
        self.send(
            content,
            if is_image {
                self.manner
            } else {
                Manner::Honest
            },
            from,
        )
    }

    fn redirect<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.manner {
            Manner::Redirects => path.strip_prefix("/moved"),
            Manner::Loops => None,
            _ => Some(path),
        }
    }

    fn send(&self, content: &[u8], manner: Manner, from: usize) -> Response<Full<Bytes>> {
        let whole = |bytes: Vec<u8>| Response::new(Full::from(bytes));
        match manner {
            Manner::Honest | Manner::Redirects | Manner::Loops => whole(content.to_vec()),
            Manner::Damages => {
                let mut content = content.to_vec();
                content[0] ^= 1;
                whole(content)
            }
            Manner::TooLong => whole([content, b"more"].concat()),
            // Without a length, the end of a body that breaks looks like the end of the file.
            Manner::Breaks(limit) => {
                self.breaks.fetch_add(1, Ordering::Relaxed);
                let part = content[from..content.len().min(from + limit)].to_vec();
                let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
                let status = if from > 0 { 206 } else { 200 };
                let body = Response::builder()
                    .status(status)
                    .header("content-range", range);
                body.header("connection", "close")
                    .header("transfer-encoding", "chunked")
                    .body(Full::from(part))
                    .unwrap()
            }
            Manner::BreaksWithoutRanges(limit) => {
                let count = self.breaks.fetch_add(1, Ordering::Relaxed);
                // The third time it works.
                let end = if count < 2 {
                    limit.min(content.len())
                } else {
                    content.len()
                };
                let body = Response::builder().header("transfer-encoding", "chunked");
                body.body(Full::from(content[..end].to_vec())).unwrap()
            }
        }
    }
}

async fn fetch(
    manner: Manner,
) -> (
    Arc<Server>,
    Result<DownloadedImage, SimplestreamsError>,
    Vec<String>,
) {
    let (server, address) = Server::start(manner).await;
    let directory = tempfile::tempdir().unwrap();
    let remote = ImageServer::new(&format!("http://{address}/"), ProxySettings::default()).unwrap();
    let result = match remote.find("debian/12", architecture::native()).await {
        Ok(image) => {
            let order = order(&image, directory.path());
            remote
                .download(order, |_| {}, CancellationToken::new())
                .await
        }
        Err(error) => Err(error),
    };
    if let Ok(image) = &result {
        assert_eq!(
            std::fs::read(&image.metadata).unwrap(),
            server.files["/images/meta"]
        );
        assert_eq!(
            std::fs::read(image.rootfs.as_ref().unwrap()).unwrap(),
            server.files["/images/root"]
        );
    }
    let files = std::fs::read_dir(directory.path()).unwrap();
    let files = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    (server, result, files)
}

#[tokio::test]
async fn brings_an_image_and_says_who_it_is() {
    let (server, result, _) = fetch(Manner::Honest).await;
    let files = &server.files;
    assert_eq!(
        result.unwrap().fingerprint,
        sha256(&[&files["/images/meta"], &files["/images/root"]])
    );
    let agent = concat!("rlxc/", env!("CARGO_PKG_VERSION"));
    let seen = server.seen.lock().unwrap();
    assert!(seen.iter().all(|line| line.ends_with(agent)), "{seen:?}");
}

#[tokio::test]
async fn follows_redirects_but_not_for_ever() {
    fetch(Manner::Redirects).await.1.unwrap();
    let error = fetch(Manner::Loops).await.1.unwrap_err();
    assert!(
        matches!(&error, SimplestreamsError::Web(WebError::Refused { status, .. }) if status == "too many redirects"),
        "{error}"
    );
}

#[tokio::test]
async fn goes_on_where_a_download_broke_off() {
    let (server, result, _) = fetch(Manner::Breaks(500_000)).await;
    result.unwrap();
    // One for the metadata, three for 1.2 MB in pieces of 0.5.
    assert_eq!(server.breaks.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn starts_again_where_ranges_are_not_understood() {
    fetch(Manner::BreaksWithoutRanges(100_000)).await.1.unwrap();
}

#[tokio::test]
async fn gives_up_on_a_truncated_file_and_leaves_nothing() {
    let (_, result, files) = fetch(Manner::Breaks(0)).await;
    let error = result.unwrap_err();
    assert!(
        error.to_string().contains("ends after 0 of 320 bytes"),
        "{error}"
    );
    assert!(files.is_empty(), "{files:?}");
}

#[tokio::test]
async fn refuses_wrong_hashes_and_sizes_and_leaves_nothing() {
    for (manner, reason) in [
        (Manner::Damages, "its hash is"),
        (Manner::TooLong, "it has 324 bytes instead of 320"),
    ] {
        let (_, result, files) = fetch(manner).await;
        let error = result.unwrap_err();
        assert!(
            matches!(error, SimplestreamsError::Corrupt { .. })
                && error.to_string().contains(reason),
            "{error}"
        );
        assert!(files.is_empty(), "{files:?}");
    }
}

#[tokio::test]
async fn a_wrong_fingerprint_is_refused_though_both_files_are_right() {
    let (_, address) = Server::start(Manner::Honest).await;
    let directory = tempfile::tempdir().unwrap();
    let remote = ImageServer::new(&format!("http://{address}"), ProxySettings::default()).unwrap();
    let mut image = remote
        .find("debian/bookworm", architecture::native())
        .await
        .unwrap();
    image.files.fingerprint = "0".repeat(64);
    let order = order(&image, directory.path());
    let result = remote
        .download(order, |_| {}, CancellationToken::new())
        .await;
    assert!(result.unwrap_err().to_string().contains("fingerprint"));
}

#[tokio::test]
async fn tells_unreachable_from_missing_from_nonsense() {
    let nowhere = ImageServer::new("http://127.0.0.1:9", ProxySettings::default()).unwrap();
    let error = nowhere
        .find("debian/12", architecture::native())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SimplestreamsError::Web(WebError::Unreachable { .. })),
        "{error:?}"
    );
    let unknown =
        ImageServer::new("https://no-such-host.invalid", ProxySettings::default()).unwrap();
    let error = unknown
        .find("debian/12", architecture::native())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SimplestreamsError::Web(WebError::Unreachable { .. })),
        "{error:?}"
    );
    let (_, address) = Server::start(Manner::Honest).await;
    let remote = ImageServer::new(&format!("http://{address}"), ProxySettings::default()).unwrap();
    let error = remote
        .find("debian/21", architecture::native())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SimplestreamsError::NotFound { nearest, .. } if nearest[0] == "debian/12"),
        "{error:?}"
    );
    let elsewhere = ImageServer::new(
        &format!("http://{address}/images"),
        ProxySettings::default(),
    )
    .unwrap();
    let error = elsewhere
        .find("debian/12", architecture::native())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SimplestreamsError::Web(WebError::Refused { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_proxy_is_asked_with_the_whole_address() {
    let (server, address) = Server::start(Manner::Honest).await;
    let proxies = ProxySettings {
        http: Some(format!("http://{address}")),
        ..ProxySettings::default()
    };
    let remote = ImageServer::new("http://images.invalid", proxies).unwrap();
    remote
        .find("debian/12", architecture::native())
        .await
        .unwrap();
    let seen = server.seen.lock().unwrap();
    assert!(
        seen[0].starts_with("http://images.invalid/streams/v1/index.json"),
        "{seen:?}"
    );
}

async fn find(address: SocketAddr) -> (ImageServer, RemoteImage) {
    let remote = ImageServer::new(&format!("http://{address}"), ProxySettings::default()).unwrap();
    let image = remote.find("debian/12", architecture::native()).await;
    (remote, image.unwrap())
}

/// Downloads with a delta on such an older root; which files of images were asked for, which are there, and what was told.
async fn fetch_by_delta(base: &[u8]) -> (Vec<String>, Vec<String>, Vec<&'static str>) {
    let (server, address) = Server::start(Manner::Honest).await;
    let directory = tempfile::tempdir().unwrap();
    let (remote, image) = find(address).await;
    let path = directory.path().join("older");
    std::fs::write(&path, base).unwrap();
    let shortcut = Shortcut {
        delta: RemoteFile {
            path: "images/delta".to_owned(),
            size: SAME.len() as u64,
            sha256: sha256(&[&SAME]),
        },
        base: std::fs::File::open(&path).unwrap(),
    };
    // It was opened: that is enough.
    std::fs::remove_file(&path).unwrap();
    let order = Order {
        shortcut: Some(shortcut),
        ..order(&image, directory.path())
    };
    let told = Mutex::new(Vec::new());
    let tell = |progress: DownloadProgress| {
        assert!(progress.done <= progress.total, "{progress:?}");
        told.lock().unwrap().push(progress.name);
    };
    let downloaded = remote.download(order, tell, CancellationToken::new()).await;
    let rootfs = std::fs::read(downloaded.unwrap().rootfs.unwrap()).unwrap();
    assert!(rootfs == server.files["/images/root"]);
    let asked = server.seen.lock().unwrap().clone().into_iter();
    let asked =
        asked.filter_map(|line| Some(line.strip_prefix("/images/")?.split(' ').next()?.to_owned()));
    let files = std::fs::read_dir(directory.path()).unwrap();
    let mut files: Vec<_> = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let mut told = told.into_inner().unwrap();
    told.dedup();
    (asked.collect(), files, told)
}

#[tokio::test]
async fn a_root_is_rebuilt_from_an_older_one_though_that_is_deleted() {
    let root = &image_tree()["/images/root"];
    let (asked, files, told) = fetch_by_delta(root).await;
    assert_eq!(asked, ["meta", "delta"]);
    assert_eq!(files, ["metadata", "rootfs"]);
    assert_eq!(told, ["rootfs delta"]);
}

#[tokio::test]
async fn the_whole_root_is_fetched_where_a_delta_makes_another() {
    let root = &image_tree()["/images/root"];
    let mut other = root.clone();
    other[0] ^= 1;
    for base in [other.as_slice(), &root[1..], b""] {
        let (asked, files, told) = fetch_by_delta(base).await;
        assert_eq!(asked, ["meta", "delta", "root"]);
        assert_eq!(files, ["metadata", "rootfs"]);
        assert_eq!(told, ["rootfs delta", "rootfs"]);
    }
}

#[tokio::test]
async fn cancelling_leaves_nothing() {
    let (_, address) = Server::start(Manner::Honest).await;
    let directory = tempfile::tempdir().unwrap();
    let (remote, image) = find(address).await;
    let cancel = CancellationToken::new();
    let stop = |progress: DownloadProgress| {
        if progress.done > 100_000 {
            cancel.cancel();
        }
    };
    let order = order(&image, directory.path());
    let result = remote.download(order, stop, cancel.clone()).await;
    assert!(matches!(result, Err(SimplestreamsError::Cancelled) | Ok(_)));
    if result.is_err() {
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
