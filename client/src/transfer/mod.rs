//! Images, backups and files: streamed between the daemon and the disk, never held in memory.

mod backup;
mod export;
mod file;
mod template;
mod upload;

use std::path::Path;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use hyper::body::Incoming;
use hyper::{Method, Response as HttpResponse};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::connection::{Connection, Reply, collect, parse, request};
use crate::error::ClientError;
use crate::http::full;

pub use file::{FileInfo, PulledFile, Source};
pub use template::template_path;
pub use upload::ImageUpload;

/// How much is read from a file at once.
const CHUNK: usize = 256 * 1024;

type Chunks = BoxStream<'static, Result<Bytes, std::io::Error>>;

impl Connection {
    /// GET of something that is no JSON, whose body is still to be read.
    async fn download(&self, path: &str) -> Result<HttpResponse<Incoming>, ClientError> {
        let head = request(Method::GET, path);
        self.download_by(head, path, Bytes::new()).await
    }

    /// The same by any request.
    async fn download_by(
        &self,
        head: hyper::http::request::Builder,
        path: &str,
        body: Bytes,
    ) -> Result<HttpResponse<Incoming>, ClientError> {
        let request = head
            .body(full(body))
            .map_err(|source| ClientError::Request {
                path: path.to_owned(),
                source,
            })?;
        let method = request.method().clone();
        let response = self.send_streaming(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let bytes = collect(method, path, response).await?;
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
}

async fn open(path: &Path) -> Result<(Chunks, u64), ClientError> {
    let fail = || ClientError::io(format!("read {}", path.display()));
    let file = File::open(path).await.map_err(fail())?;
    let size = file.metadata().await.map_err(fail())?.len();
    Ok((ReaderStream::with_capacity(file, CHUNK).boxed(), size))
}

async fn reply(path: &str, response: HttpResponse<Incoming>) -> Result<Reply, ClientError> {
    let status = response.status().as_u16();
    let bytes = collect(Method::POST, path, response).await?;
    Connection::judge(path, parse(path, status, &bytes)?)
}
