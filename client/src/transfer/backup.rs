//! Backups of instances and custom volumes.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use rlxc_api::Operation;
use serde::Serialize;

use super::export::save;
use super::{open, reply};
use crate::connection::{Connection, Reply, request};
use crate::error::ClientError;

const OCTETS: &str = "application/octet-stream";

impl Connection {
    /// Exports an instance or volume, whose backups are at `backups`, straight into a file, which is made or replaced
    /// (`direct_backup`).
    pub async fn export_directly(
        &self,
        backups: &str,
        post: &impl Serialize,
        target: &Path,
        received: impl Fn(u64),
    ) -> Result<(), ClientError> {
        let path = self.scoped(backups);
        let body = serde_json::to_vec(post).map_err(|source| ClientError::Reply {
            path: path.clone(),
            source,
        })?;
        let head = request(Method::POST, &path)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, OCTETS);
        let response = self.download_by(head, &path, Bytes::from(body)).await?;
        let location = response.headers().get(LOCATION);
        let operation = location
            .and_then(|url| url.to_str().ok())
            .map(str::to_owned);
        match (save(response, &path, target, received).await, operation) {
            (Err(error @ ClientError::Http { .. }), Some(operation)) => {
                Err(self.reason(&operation).await.unwrap_or(error))
            }
            (saved, _) => saved,
        }
    }

    /// Why the operation that made the bytes broke off, where that can still be asked.
    async fn reason(&self, url: &str) -> Option<ClientError> {
        let operation: Operation = self.get(url).await.ok()?;
        self.wait(&operation).await.err()
    }

    /// Downloads what the daemon keeps at `path` into a file, which is made or replaced.
    pub async fn download_to(
        &self,
        path: &str,
        target: &Path,
        received: impl Fn(u64),
    ) -> Result<(), ClientError> {
        let path = self.scoped(path);
        let response = self.download(&path).await?;
        save(response, &path, target, received).await
    }

    /// Creates an instance or volume from a backup, by POST to `path`. What is said of it (`name`, `pool`) is the backup's
    /// own if it is empty. `sent` is told how many bytes have gone, of how many.
    pub async fn import_backup(
        &self,
        path: &str,
        file: &Path,
        said: &[(&str, &str)],
        sent: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Reply, ClientError> {
        let path = self.scoped(path);
        let (chunks, length) = open(file).await?;
        let mut head = request(Method::POST, &path)
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_LENGTH, length);
        for (key, value) in said.iter().filter(|(_, value)| !value.is_empty()) {
            head = head
                .header(format!("X-LXD-{key}"), *value)
                .header(format!("X-Incus-{key}"), *value);
        }
        let mut total = 0;
        let counted = chunks.inspect_ok(move |chunk| {
            total += u64::try_from(chunk.len()).unwrap_or(0);
            sent(total, length);
        });
        let body = StreamBody::new(counted.map_ok(Frame::data)).boxed_unsync();
        let request = head.body(body).map_err(|source| ClientError::Request {
            path: path.clone(),
            source,
        })?;
        let response = self.send_streaming(request).await?;
        reply(&path, response).await
    }
}
