//! Uploads of images.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::{Chunks, open, reply};
use crate::connection::{Connection, Reply, request};
use crate::error::ClientError;
use crate::{multipart, url};

/// An image of one file (unified), or of two (metadata, then the root file system).
#[derive(Debug)]
pub struct ImageUpload<'a> {
    /// The unified tarball, or the metadata.
    pub metadata: &'a Path,
    /// The root file system.
    pub rootfs: Option<&'a Path>,
    /// Open to clients that are not trusted.
    pub public: bool,
    /// Over those that the image has.
    pub properties: Vec<(String, String)>,
}

impl Connection {
    /// Uploads an image.
    ///
    /// `sent` is told how many bytes have gone, of how many.
    pub async fn upload_image(
        &self,
        upload: &ImageUpload<'_>,
        sent: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Reply, ClientError> {
        let (metadata, rootfs) = (upload.metadata, upload.rootfs);
        let path = self.scoped("/1.0/images");
        let (file, size) = open(metadata).await?;
        let mut head = request(Method::POST, &path)
            .header("X-LXD-filename", url::encode(&file_name(metadata)));
        if upload.public {
            head = head.header("X-LXD-public", "1");
        }
        if !upload.properties.is_empty() {
            let pairs = upload.properties.iter();
            let pairs =
                pairs.map(|(key, value)| format!("{}={}", url::encode(key), url::encode(value)));
            head = head.header("X-LXD-properties", pairs.collect::<Vec<_>>().join("&"));
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
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || "image".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn once(bytes: Bytes) -> Chunks {
    stream::once(async move { Ok(bytes) }).boxed()
}
