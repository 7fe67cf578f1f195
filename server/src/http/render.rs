//! Replies: envelopes, tags and headers.
#![expect(
    clippy::unnecessary_wraps,
    reason = "handlers end in one of these, and what comes before may fail"
)]

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rlxc_api::{Operation, Response as Envelope};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::{ApiError, refuse};
use super::extract::Params;

/// More than the router says in a refusal, in bytes.
const LONGEST_REFUSAL: usize = 64 << 10;

/// What a handler returns.
pub(super) type Reply = Result<Response, ApiError>;

/// A result.
pub(super) fn sync<T: Serialize>(metadata: T) -> Reply {
    Ok(Json(Envelope::sync(metadata)).into_response())
}

/// Success without a result.
pub(super) fn done() -> Reply {
    sync(serde_json::json!({}))
}

/// A result with the tag of its writable part.
pub(super) fn tagged<T: Serialize, P: Serialize>(metadata: T, writable: &P) -> Reply {
    let mut response = Json(Envelope::sync(metadata)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&etag(writable)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Something was made; it is at `location`.
pub(super) fn created(location: &str) -> Reply {
    let mut response = (
        StatusCode::CREATED,
        Json(Envelope::sync(serde_json::json!({}))),
    )
        .into_response();
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    Ok(response)
}

/// Work goes on as an operation.
pub(super) fn accepted(operation: Operation) -> Reply {
    let location = HeaderValue::from_str(&operation.url());
    let mut response = (
        StatusCode::ACCEPTED,
        Json(Envelope::asynchronous(operation)),
    )
        .into_response();
    if let Ok(value) = location {
        response.headers_mut().insert(header::LOCATION, value);
    }
    Ok(response)
}

/// URLs or objects, as `recursion` asks, of what `filter` lets pass.
pub(super) fn listing<T: Serialize>(
    params: &Params,
    items: Vec<T>,
    url: impl Fn(&T) -> String,
) -> Reply {
    let items = params.select(items)?;
    if params.recursion == 0 {
        sync(items.iter().map(url).collect::<Vec<_>>())
    } else {
        sync(items)
    }
}

/// The tag of what a client may write: a quoted hash of it.
pub(super) fn etag<P: Serialize>(writable: &P) -> String {
    let text = serde_json::to_vec(writable).unwrap_or_default();
    format!("\"{}\"", hex::encode(Sha256::digest(&text)))
}

/// Headers that every reply has; and what the router itself refuses gets the envelope that clients expect.
pub(super) async fn headers(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let mut response = if plain && (status.is_client_error() || status.is_server_error()) {
        let text = axum::body::to_bytes(response.into_body(), LONGEST_REFUSAL).await;
        let text = text.unwrap_or_default();
        refuse(status, String::from_utf8_lossy(&text))
    } else {
        response
    };
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
