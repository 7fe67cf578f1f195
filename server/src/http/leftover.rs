//! What a handler did not read of a request. The connection can only be used again if the rest of the body is out of the way;
//! hyper gives up on it after one look, and closes a connection whose reply did not say so. So the rest is read for nobody
//! where it is short, and else the reply says that the connection ends with it: see RFC 9112, section 9.3.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

/// The most that is read for nobody.
const LARGEST: u64 = 1 << 20;
/// Who sends the rest more slowly has to connect again.
const PATIENCE: Duration = Duration::from_secs(2);

type Place = Arc<Mutex<Option<Body>>>;

/// A body that is put back, when it is dropped, where the rest of it can be read.
#[derive(Debug)]
struct Lent {
    body: Option<Body>,
    place: Place,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        if !matches!(frame, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

/// Reads what the handler left, or says that the connection ends.
pub(super) async fn clear(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Such a client waits to be told that it should send the body: after a reply it won't.
    let waits = request.headers().contains_key(EXPECT);
    let place = Place::default();
    let lent = |body| Lent {
        body: Some(body),
        place: Arc::clone(&place),
    };
    let mut response = next.run(request.map(|body| Body::new(lent(body)))).await;
    let rest = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(rest) = rest
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
        && (waits || !discard(rest).await)
    {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the end was reached.
async fn discard(mut body: Body) -> bool {
    if body.size_hint().lower() > LARGEST {
        return false;
    }
    let all = async {
        let mut left = LARGEST;
        while let Some(frame) = body.frame().await {
            let length = match frame {
                Ok(frame) => frame.data_ref().map_or(0, Bytes::len) as u64,
                Err(_broken) => return false,
            };
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or(false)
}
