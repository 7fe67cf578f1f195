//! An image while it arrives over the network: one file, or a form with two.

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::{Response, header};
use futures_util::StreamExt as _;

use super::incoming::{Incoming, Upload};
use crate::context::App;
use crate::error::{Cause, Error, Result};
use crate::operation::Handle;

/// Between two messages about the progress.
const PROGRESS_STEP: u64 = 1 << 20;

/// Where it went wrong: what broke off may be asked for again.
#[derive(Debug)]
pub(super) enum Stage {
    /// While it came.
    Receiving(Cause),
    /// Before or after that.
    Other(Error),
}

impl Stage {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Receiving(cause) => Error::failed("receive an image", cause),
            Self::Other(error) => error,
        }
    }
}

impl From<Error> for Stage {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Takes what another server sends, and tells how far it is.
pub(super) async fn receive<B>(
    app: &App,
    response: Response<B>,
    operation: &Handle,
) -> Result<Incoming, Stage>
where
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Cause>,
{
    let text = |name: header::HeaderName| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok().map(str::to_owned))
    };
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let total = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let (operation, mut done, mut told) = (operation.clone(), 0, 0);
    let body = Body::new(response.into_body()).into_data_stream();
    let counted = body.inspect(move |piece| {
        done += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if done >= told + PROGRESS_STEP {
            told = done;
            let text = match total {
                Some(total) => format!("image: {}%", done.saturating_mul(100) / total.max(1)),
                None => format!("image: {} MiB", done >> 20),
            };
            operation.set("download_progress", text);
        }
    });
    receive_body(app, &kind, Body::from_stream(counted)).await
}

/// Takes a body of this content type.
pub(super) async fn receive_body(app: &App, kind: &str, body: Body) -> Result<Incoming, Stage> {
    if kind.starts_with("multipart/form-data") {
        return receive_parts(app, kind, body).await;
    }
    let mut pieces = body.into_data_stream();
    let mut upload = Upload::begin(app)?;
    while let Some(piece) = next(&mut pieces).await? {
        upload.write(piece).await?;
    }
    Ok(upload.finish().await?)
}

async fn next(pieces: &mut BodyDataStream) -> Result<Option<Bytes>, Stage> {
    let piece = pieces.next().await.transpose();
    piece.map_err(|error| Stage::Receiving(error.into()))
}

/// Parts come in the order of the fingerprint: `metadata`, then `rootfs`.
async fn receive_parts(app: &App, kind: &str, body: Body) -> Result<Incoming, Stage> {
    let broken = |error: axum::extract::multipart::MultipartError| Stage::Receiving(error.into());
    let mut request = Request::new(body);
    let value = kind.parse().map_err(Error::internal)?;
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| Error::Invalid(error.body_text()))?;
    let mut upload = Upload::begin(app)?;
    let mut expected = ["metadata", "rootfs"].into_iter();
    while let Some(mut part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        check_part(&name, expected.next())?;
        if name == "rootfs" {
            upload.begin_root().await?;
        }
        while let Some(data) = part.chunk().await.map_err(broken)? {
            upload.write(data).await?;
        }
    }
    if expected.next().is_some() {
        return Err(Stage::Other(Error::Invalid(
            "the upload needs two parts: `metadata`, then `rootfs`".to_owned(),
        )));
    }
    Ok(upload.finish().await?)
}

fn check_part(name: &str, expected: Option<&str>) -> Result<()> {
    match expected {
        Some(wanted) if wanted == name => Ok(()),
        _ if name == "rootfs.img" => Err(Error::Invalid(
            "this is an image of a virtual machine: rlxc runs containers".to_owned(),
        )),
        wanted => Err(Error::Invalid(format!(
            "the upload has a part `{name}` where {} should be",
            wanted.map_or_else(|| "the end".to_owned(), |wanted| format!("`{wanted}`"))
        ))),
    }
}

/// Takes what a client uploads.
pub async fn receive_upload(app: &App, kind: &str, body: Body) -> Result<Incoming> {
    receive_body(app, kind, body)
        .await
        .map_err(|stage| match stage {
            Stage::Receiving(cause) => Error::failed("receive an upload", cause),
            Stage::Other(error) => error,
        })
}
