//! Pages of another site, where the configuration lets one use the API: the headers of the Fetch standard's "CORS protocol",
//! and an answer to the browser's question before a request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::render::done;
use crate::context::App;
use crate::trust::CrossOrigin;

/// Adds the headers; answers OPTIONS by itself, which changes and tells nothing.
pub(super) async fn allow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let settings = app.trust.settings();
    let allowed = &settings.cross_origin;
    if allowed.origin.is_empty() || !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    let mut response = if request.method() == Method::OPTIONS {
        done().into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in headers(allowed) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn headers(allowed: &CrossOrigin) -> Vec<(HeaderName, HeaderValue)> {
    let credentials = if allowed.credentials { "true" } else { "" };
    let all = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, allowed.origin.as_str()),
        (ACCESS_CONTROL_ALLOW_METHODS, &allowed.methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, &allowed.headers),
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
    ];
    all.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)))
        .collect()
}
