//! From errors to replies: the one place that knows HTTP codes, and that logs what is our own fault.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rlxc_api::Response as Envelope;
use rlxc_sys::chain::chain;

use crate::error::Error;

/// An error on its way to a client.
#[derive(Debug)]
pub(super) struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::AlreadyExists { .. } => StatusCode::CONFLICT,
        Error::Changed(_) => StatusCode::PRECONDITION_FAILED,
        Error::Forbidden | Error::Protected(_) => StatusCode::FORBIDDEN,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Invalid(_)
        | Error::Failed { .. }
        | Error::Busy { .. }
        | Error::Conflict(_)
        | Error::Cancelled => StatusCode::BAD_REQUEST,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status(&self.0);
        let text = chain(&self.0).to_string();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = text, "request failed");
        }
        refuse(status, text)
    }
}

/// A reply that says no.
pub(super) fn refuse(status: StatusCode, text: impl Into<String>) -> Response {
    (status, Json(Envelope::<()>::error(status.as_u16(), text))).into_response()
}

/// No resource is there.
pub(super) async fn no_such_route(uri: axum::http::Uri) -> Response {
    refuse(StatusCode::NOT_FOUND, format!("`{}` not found", uri.path()))
}

/// The resource has no such method.
pub(super) async fn no_such_method(method: axum::http::Method) -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("method {method} is not possible here"),
    )
}
