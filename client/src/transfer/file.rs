//! Files of instances.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Response as HttpResponse};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::{CHUNK, Chunks, open, reply};
use crate::connection::{Connection, Reply, broken, collect, request};
use crate::error::ClientError;
use crate::http::{Body, full};
use crate::url;

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

/// What a file gets.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Nothing: it is empty, or a directory.
    Empty,
    /// The content of a file here.
    File(&'a Path),
    /// What comes on stdin.
    Stdin,
    /// The target of a symlink.
    Target(&'a OsStr),
}

/// A file that is being pulled.
#[derive(Debug)]
pub struct PulledFile {
    path: String,
    response: HttpResponse<Incoming>,
}

impl PulledFile {
    /// All of it.
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        collect(Method::GET, &self.path, self.response).await
    }

    /// Writes it to `target`, a chunk in memory at a time.
    pub async fn write_to(
        self,
        mut target: impl AsyncWrite + Unpin,
        name: &str,
    ) -> Result<(), ClientError> {
        let fail = || ClientError::io(format!("write {name}"));
        let mut body = self.response.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(broken(&Method::GET, &self.path))?.into_data() {
                target.write_all(&data).await.map_err(fail())?;
            }
        }
        target.flush().await.map_err(fail())
    }
}

impl Connection {
    /// A file in an instance, or the list of a directory as the JSON of a reply.
    pub async fn pull_file(
        &self,
        instance: &str,
        file: &str,
    ) -> Result<(FileInfo, PulledFile), ClientError> {
        let path = self.scoped(&place(instance, file));
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
        Ok((info, PulledFile { path, response }))
    }

    /// Writes a file, a symlink or a directory into an instance; empty fields of `info` leave it to the daemon.
    pub async fn push_file(
        &self,
        instance: &str,
        file: &str,
        info: &FileInfo,
        source: Source<'_>,
    ) -> Result<Reply, ClientError> {
        let path = self.scoped(&place(instance, file));
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
        let stream = |chunks: Chunks| StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync();
        let body: Body = match source {
            Source::Empty => full(Bytes::new()),
            Source::Target(target) => full(Bytes::copy_from_slice(target.as_bytes())),
            Source::File(local) => stream(open(local).await?.0),
            Source::Stdin => stream(ReaderStream::with_capacity(tokio::io::stdin(), CHUNK).boxed()),
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

    /// Removes a file or an empty directory; with `force`, a directory with all that is in it.
    pub async fn delete_file(
        &self,
        instance: &str,
        file: &str,
        force: bool,
    ) -> Result<Reply, ClientError> {
        let path = self.scoped(&place(instance, file));
        let mut head = request(Method::DELETE, &path);
        if force {
            head = head.header("X-Incus-force", "true");
        }
        let request = head
            .body(full(Bytes::new()))
            .map_err(|source| ClientError::Request {
                path: path.clone(),
                source,
            })?;
        let response = self.send_streaming(request).await?;
        reply(&path, response).await
    }
}

fn place(instance: &str, file: &str) -> String {
    url::with_query(&format!("{}/files", url::instance(instance)), "path", file)
}
