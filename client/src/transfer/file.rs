//! Files of instances.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;

use super::{open, reply};
use crate::connection::{Connection, Reply, collect, request};
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

impl Connection {
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
