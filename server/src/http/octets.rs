//! Bodies that are files: streamed, never held in memory.

use std::fs::File;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use rlxc_api::Operation;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::io::ReaderStream;

use super::render::Reply;
use crate::app::backup::Upload;
use crate::error::Error;

const OCTETS: &str = "application/octet-stream";
/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

fn is_octets(headers: &HeaderMap, name: header::HeaderName) -> bool {
    headers.get(name).is_some_and(|kind| kind == OCTETS)
}

/// Whether the body of a request is a file, where it could be JSON.
pub(super) fn is_upload(headers: &HeaderMap) -> bool {
    is_octets(headers, header::CONTENT_TYPE)
}

/// Whether the client wants the file itself and no operation that makes it.
pub(super) fn wants_octets(headers: &HeaderMap) -> bool {
    is_octets(headers, header::ACCEPT)
}

fn octets(body: Body) -> Response {
    ([(header::CONTENT_TYPE, OCTETS)], body).into_response()
}

/// Sends what an operation makes, in chunks as they come. What fails before there are any is an error like others; later all that
/// is left is to break off, and `Location` tells where the reason is.
pub(super) async fn made_by(
    (begun, mut chunks): (Operation, mpsc::Receiver<io::Result<Bytes>>),
) -> Reply {
    let first = match chunks.recv().await {
        Some(Err(error)) => return Err(Error::failed("make the backup", error).into()),
        first => first,
    };
    let rest = stream::unfold(chunks, |mut chunks| async {
        Some((chunks.recv().await?, chunks))
    });
    let mut response = octets(Body::from_stream(stream::iter(first).chain(rest)));
    if let Ok(location) = HeaderValue::from_str(&begun.url()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Sends what is in a file.
pub(super) fn from_file(file: File) -> Response {
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK);
    octets(Body::from_stream(stream))
}

/// The body of a request for who reads it, and what ends when all of it has come.
pub(super) fn incoming(request: Request) -> (Upload, JoinHandle<()>) {
    let (sender, upload) = Upload::channel();
    let mut body = request.into_body().into_data_stream();
    let sent = tokio::spawn(async move {
        let mut wanted = true;
        while let Some(chunk) = body.next().await {
            // When the archive is over, or refused, the rest is read for nobody: clients want to be rid of it before they
            // look at the reply.
            wanted = wanted && sender.send(chunk.map_err(io::Error::other)).await.is_ok();
        }
    });
    (upload, sent)
}

/// What a header says, in either dialect.
pub(super) fn said(headers: &HeaderMap, name: &str) -> String {
    let both = [format!("x-lxd-{name}"), format!("x-incus-{name}")];
    let found = both.iter().find_map(|name| headers.get(name));
    let text = found.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}
