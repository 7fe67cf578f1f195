//! The files of an image on their way out: one, or a form with both.

use std::path::Path;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::files::files;
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Image;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// A body and the headers that go with it.
#[expect(missing_debug_implementations, reason = "a stream has none")]
pub struct Outgoing {
    /// `Content-Type`.
    pub kind: String,
    /// `Content-Length`.
    pub length: u64,
    /// What the (first) file is called.
    pub name: String,
    /// Whether it is a form.
    pub is_form: bool,
    /// The content.
    pub content: stream::BoxStream<'static, std::io::Result<Bytes>>,
}

/// Opens the files of an image.
pub async fn open(app: &App, image: &Image) -> Result<Outgoing> {
    let files = files(&app.places, &image.fingerprint, image.split);
    let meta = Part::open(&files.meta).await?;
    let name = format!("{}{}", image.fingerprint, meta.extension);
    let Some(rootfs) = files.rootfs else {
        return Ok(Outgoing {
            kind: "application/octet-stream".to_owned(),
            length: meta.length,
            name,
            is_form: false,
            content: meta.stream().boxed(),
        });
    };
    let rootfs = Part::open(&rootfs).await?;
    let root_name = format!("{}{}", image.fingerprint, rootfs.extension);
    let meta_name = format!("meta-{name}");
    Ok(form([
        ("metadata", meta_name, meta),
        ("rootfs", root_name, rootfs),
    ]))
}

struct Part {
    file: File,
    length: u64,
    extension: &'static str,
}

impl Part {
    async fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::failed(format!("read image file {}", path.display()), error);
        let mut file = File::open(path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let mut start = [0; 6];
        let count = file.read(&mut start).await.map_err(failed)?;
        file.rewind().await.map_err(failed)?;
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

fn form(parts: [(&str, String, Part); 2]) -> Outgoing {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let name = parts[0].1.clone();
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
    Outgoing {
        kind: format!("multipart/form-data; boundary={boundary}"),
        length,
        name,
        is_form: true,
        content: stream::iter(pieces).flatten().boxed(),
    }
}

fn literal(text: String) -> stream::BoxStream<'static, std::io::Result<Bytes>> {
    stream::once(async move { Ok(Bytes::from(text)) }).boxed()
}
