//! `GET /1.0/images/{fingerprint}/export`: the file of a unified image, or both of a split one as a form.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::extract::Params;
use super::identity::Caller;
use super::images::check_visible;
use super::render::Reply;
use crate::app::image;
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Image;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

pub(super) async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    check_visible(&app, &caller, &params.project, &fingerprint).await?;
    let image = image::find(&app, &params.project, &fingerprint).await?;
    Ok(send(&app, &image).await?)
}

/// The file, or the files, of an image.
pub(super) async fn send(app: &App, image: &Image) -> Result<Response> {
    let files = image::files(&app.places, &image.fingerprint, image.split);
    let meta = Part::open(&files.meta).await?;
    let name = format!("{}{}", image.fingerprint, meta.extension);
    let Some(rootfs) = files.rootfs else {
        return one(meta, &name);
    };
    let rootfs = Part::open(&rootfs).await?;
    Ok(two([
        ("metadata", format!("meta-{name}"), meta),
        (
            "rootfs",
            format!("{}{}", image.fingerprint, rootfs.extension),
            rootfs,
        ),
    ]))
}

struct Part {
    file: File,
    length: u64,
    extension: &'static str,
}

impl Part {
    async fn open(path: &FilePath) -> Result<Self> {
        let failed = |error| Error::failed(format!("read image file {}", path.display()), error);
        let mut file = File::open(path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let mut start = [0; 6];
        let count = file.read(&mut start).await.map_err(failed)?;
        tokio::io::AsyncSeekExt::rewind(&mut file)
            .await
            .map_err(failed)?;
        Ok(Self {
            file,
            length,
            extension: extension(&start[..count]),
        })
    }

    fn stream(self) -> impl Stream<Item = std::io::Result<Bytes>> {
        ReaderStream::with_capacity(self.file, CHUNK)
    }
}

/// What a file of this beginning is usually called.
fn extension(start: &[u8]) -> &'static str {
    match start {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ".tar.xz",
        [0x1f, 0x8b, ..] => ".tar.gz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ".tar.zst",
        [b'B', b'Z', b'h', ..] => ".tar.bz2",
        [b'h', b's', b'q', b's', ..] => ".squashfs",
        _ => ".tar",
    }
}

fn one(part: Part, name: &str) -> Result<Response> {
    let builder = Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, part.length)
        .header(
            header::CONTENT_DISPOSITION,
            format!("inline;filename={name}"),
        );
    builder
        .body(Body::from_stream(part.stream()))
        .map_err(Error::internal)
}

fn two(parts: [(&str, String, Part); 2]) -> Response {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut length = 0;
    let mut pieces = Vec::new();
    for (index, (field, name, part)) in parts.into_iter().enumerate() {
        let line = if index == 0 { "" } else { "\r\n" };
        let head = format!(
            "{line}--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        length += head.len() as u64 + part.length;
        pieces.push(literal(head));
        pieces.push(part.stream().boxed());
    }
    let tail = format!("\r\n--{boundary}--\r\n");
    length += tail.len() as u64;
    pieces.push(literal(tail));
    let kind = format!("multipart/form-data; boundary={boundary}");
    let body = Body::from_stream(stream::iter(pieces).flatten());
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_LENGTH, length.to_string()),
        ],
        body,
    )
        .into_response()
}

fn literal(text: String) -> stream::BoxStream<'static, std::io::Result<Bytes>> {
    stream::once(async move { Ok(Bytes::from(text)) }).boxed()
}
