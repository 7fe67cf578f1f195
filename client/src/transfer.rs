//! Images and files: streamed between the daemon and the disk, never held in memory.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Method, Response as HttpResponse};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::connection::{Connection, Reply, broken, collect, parse, request};
use crate::error::ClientError;
use crate::http::{Body, full};
use crate::multipart::{self, Parser, Piece};
use crate::url;

/// How much is read from a file at once.
const CHUNK: usize = 256 * 1024;

type Chunks = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// What the daemon says of a file in an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// `file`, `directory` or `symlink`.
    pub kind: String,
    /// Owner.
    pub uid: String,
    /// Group.
    pub gid: String,
    /// Mode, octal.
    pub mode: String,
}

impl Connection {
    /// Uploads an image of one file (unified), or of two (metadata, then the root file system).
    ///
    /// `sent` is told how many bytes have gone, of how many.
    pub async fn upload_image(
        &self,
        metadata: &Path,
        rootfs: Option<&Path>,
        public: bool,
        sent: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Reply, ClientError> {
        let path = self.scoped("/1.0/images");
        let (file, size) = open(metadata).await?;
        let mut head = request(Method::POST, &path)
            .header("X-LXD-filename", url::encode(&file_name(metadata)));
        if public {
            head = head.header("X-LXD-public", "1");
        }
        let (length, chunks) = if let Some(rootfs) = rootfs {
            let (second, more) = open(rootfs).await?;
            let parts = [
                once(multipart::header("metadata", &file_name(metadata))),
                file,
                once(Bytes::from_static(b"\r\n")),
                once(multipart::header("rootfs", &file_name(rootfs))),
                second,
                once(Bytes::from_static(b"\r\n")),
                once(multipart::trailer()),
            ];
            let kind = format!("multipart/form-data; boundary={}", multipart::BOUNDARY);
            head = head.header(CONTENT_TYPE, kind);
            let frame = multipart::header("metadata", &file_name(metadata)).len()
                + multipart::header("rootfs", &file_name(rootfs)).len()
                + multipart::trailer().len()
                + 4;
            let chunks: Chunks = stream::iter(parts).flatten().boxed();
            (size + more + u64::try_from(frame).unwrap_or(0), chunks)
        } else {
            head = head.header(CONTENT_TYPE, "application/octet-stream");
            (size, file)
        };
        let mut total = 0;
        let counted = chunks.inspect_ok(move |chunk| {
            total += u64::try_from(chunk.len()).unwrap_or(0);
            sent(total, length);
        });
        let body = StreamBody::new(counted.map_ok(Frame::data)).boxed_unsync();
        let request = head
            .header(CONTENT_LENGTH, length)
            .body(body)
            .map_err(|source| ClientError::Request {
                path: path.clone(),
                source,
            })?;
        let response = self.send_streaming(request).await?;
        reply(&path, response).await
    }

    /// Downloads an image into `directory`; gives back its one or two files.
    ///
    /// `name` replaces the name that the daemon gives; the second file gets `.root` after it.
    pub async fn export_image(
        &self,
        fingerprint: &str,
        directory: &Path,
        name: Option<&str>,
        received: impl Fn(u64),
    ) -> Result<Vec<PathBuf>, ClientError> {
        let path = self.scoped(&format!("/1.0/images/{}/export", url::encode(fingerprint)));
        let response = self.download(&path).await?;
        let head = |key| {
            response
                .headers()
                .get(key)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let boundary = multipart::boundary(head(CONTENT_TYPE)).map(str::to_owned);
        let given = head(CONTENT_DISPOSITION)
            .split("filename=")
            .nth(1)
            .map(|name| name.trim_matches('"').to_owned());
        let fallback = given
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| fingerprint.to_owned());
        let Some(boundary) = boundary else {
            let target = directory.join(plain(name.unwrap_or(&fallback)));
            save(response, &path, &target, received).await?;
            return Ok(vec![target]);
        };
        let mut parts = Parts {
            directory,
            name,
            files: Vec::new(),
            open: None,
        };
        let mut parser = Parser::new(&boundary);
        let mut body = response.into_body();
        let mut total = 0;
        loop {
            match parser.next() {
                Piece::Part { file, .. } => parts.begin(&file, &fallback).await?,
                Piece::Data(data) => parts.write(&data).await?,
                Piece::End => return parts.end().await,
                piece @ (Piece::More | Piece::Malformed) => {
                    let frame = if piece == Piece::More {
                        body.frame().await
                    } else {
                        None
                    };
                    let Some(frame) = frame else {
                        return Err(ClientError::Incomplete {
                            path,
                            what: "the end of its last part",
                        });
                    };
                    if let Ok(data) = frame.map_err(broken(&Method::GET, &path))?.into_data() {
                        total += u64::try_from(data.len()).unwrap_or(0);
                        received(total);
                        parser.feed(&data);
                    }
                }
            }
        }
    }

    /// GET of something that is no JSON, whose body is still to be read.
    async fn download(&self, path: &str) -> Result<HttpResponse<Incoming>, ClientError> {
        let request = request(Method::GET, path)
            .body(full(Bytes::new()))
            .map_err(|source| ClientError::Request {
                path: path.to_owned(),
                source,
            })?;
        let response = self.send_streaming(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let bytes = collect(Method::GET, path, response).await?;
        parse::<serde_json::Value>(path, status.max(400), &bytes)?;
        Err(ClientError::Incomplete {
            path: path.to_owned(),
            what: "a body",
        })
    }

    /// GET of text or bytes: a log, the console's ring.
    pub async fn fetch(&self, path: &str) -> Result<Bytes, ClientError> {
        let path = self.scoped(path);
        let response = self.download(&path).await?;
        collect(Method::GET, &path, response).await
    }

    /// A file in an instance, or the list of a directory as the JSON of a reply.
    pub async fn pull_file(
        &self,
        instance: &str,
        file: &str,
    ) -> Result<(FileInfo, Bytes), ClientError> {
        let path = self.scoped(&url::with_query(
            &format!("{}/files", url::instance(instance)),
            "path",
            file,
        ));
        let response = self.download(&path).await?;
        let head = |key: &str| {
            response
                .headers()
                .get(key)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let info = FileInfo {
            kind: head("X-LXD-type"),
            uid: head("X-LXD-uid"),
            gid: head("X-LXD-gid"),
            mode: head("X-LXD-mode"),
        };
        Ok((info, collect(Method::GET, &path, response).await?))
    }

    /// Writes a file, a symlink (its target is the content) or a directory into an instance; empty fields of `info`
    /// leave it to the daemon.
    pub async fn push_file(
        &self,
        instance: &str,
        file: &str,
        info: &FileInfo,
        content: Option<&Path>,
    ) -> Result<Reply, ClientError> {
        let path = self.scoped(&url::with_query(
            &format!("{}/files", url::instance(instance)),
            "path",
            file,
        ));
        let mut head = request(Method::POST, &path);
        let fields = [
            ("type", &info.kind),
            ("uid", &info.uid),
            ("gid", &info.gid),
            ("mode", &info.mode),
        ];
        for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            head = head.header(format!("X-LXD-{key}"), value);
        }
        let body: Body = match content {
            None => full(Bytes::new()),
            Some(local) if info.kind == "symlink" => {
                let target = tokio::fs::read_link(local)
                    .await
                    .map_err(ClientError::io(local.display().to_string()))?;
                full(Bytes::from(target.to_string_lossy().into_owned()))
            }
            Some(local) => {
                let (chunks, _) = open(local).await?;
                StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
            }
        };
        let request = head
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .map_err(|source| ClientError::Request {
                path: path.clone(),
                source,
            })?;
        let response = self.send_streaming(request).await?;
        reply(&path, response).await
    }
}

struct Parts<'a> {
    directory: &'a Path,
    name: Option<&'a str>,
    files: Vec<PathBuf>,
    open: Option<File>,
}

impl Parts<'_> {
    async fn begin(&mut self, file: &str, fallback: &str) -> Result<(), ClientError> {
        self.close().await?;
        let given = if file.is_empty() { fallback } else { file };
        let name = match (self.name, self.files.is_empty()) {
            (Some(name), true) => plain(name),
            (Some(name), false) => format!("{}.root", plain(name)),
            (None, _) => plain(given),
        };
        let target = self.directory.join(name);
        self.open = Some(create(&target).await?);
        self.files.push(target);
        Ok(())
    }

    async fn write(&mut self, data: &[u8]) -> Result<(), ClientError> {
        let (Some(file), Some(path)) = (&mut self.open, self.files.last()) else {
            return Ok(());
        };
        file.write_all(data)
            .await
            .map_err(ClientError::io(format!("write {}", path.display())))
    }

    async fn close(&mut self) -> Result<(), ClientError> {
        match self.open.take() {
            Some(mut file) => file
                .flush()
                .await
                .map_err(ClientError::io("write the image")),
            None => Ok(()),
        }
    }

    async fn end(mut self) -> Result<Vec<PathBuf>, ClientError> {
        self.close().await?;
        Ok(self.files)
    }
}

/// A file name from the other side, kept from naming another directory.
fn plain(name: &str) -> String {
    match name.rsplit('/').next() {
        None | Some("" | "." | "..") => "image".to_owned(),
        Some(last) => last.to_owned(),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || "image".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

async fn open(path: &Path) -> Result<(Chunks, u64), ClientError> {
    let fail = || ClientError::io(format!("read {}", path.display()));
    let file = File::open(path).await.map_err(fail())?;
    let size = file.metadata().await.map_err(fail())?.len();
    Ok((ReaderStream::with_capacity(file, CHUNK).boxed(), size))
}

fn once(bytes: Bytes) -> Chunks {
    stream::once(async move { Ok(bytes) }).boxed()
}

async fn create(path: &Path) -> Result<File, ClientError> {
    File::create(path)
        .await
        .map_err(ClientError::io(format!("create {}", path.display())))
}

async fn save(
    response: HttpResponse<Incoming>,
    path: &str,
    target: &Path,
    received: impl Fn(u64),
) -> Result<(), ClientError> {
    let fail = || ClientError::io(format!("write {}", target.display()));
    let mut file = create(target).await?;
    let mut body = response.into_body();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(broken(&Method::GET, path))?.into_data() {
            file.write_all(&data).await.map_err(fail())?;
            total += u64::try_from(data.len()).unwrap_or(0);
            received(total);
        }
    }
    file.flush().await.map_err(fail())
}

async fn reply(path: &str, response: HttpResponse<Incoming>) -> Result<Reply, ClientError> {
    let status = response.status().as_u16();
    let bytes = collect(Method::POST, path, response).await?;
    Connection::judge(path, parse(path, status, &bytes)?)
}
