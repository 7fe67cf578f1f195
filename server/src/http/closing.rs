//! The end of the daemon's day: what is under way goes on, and nothing new begins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::ApiError;
use crate::context::App;
use crate::error::Error;

/// Refuses changes once the daemon is shutting down; an instance that is started now would be cut off. Operations can
/// be cancelled, and the shutdown itself be hurried.
pub(super) async fn refuse_new(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    if app.closing.is_cancelled() && begins_something(request.method(), request.uri().path()) {
        let text = "the daemon is shutting down: try again when it is back";
        return ApiError(Error::Unavailable(text.to_owned())).into_response();
    }
    next.run(request).await
}

fn begins_something(method: &Method, path: &str) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let ends_something = path.starts_with("/1.0/operations/") || path.starts_with("/internal/");
    !is_read && !ends_something
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::TestDaemon;

    #[tokio::test]
    async fn nothing_begins_while_the_daemon_shuts_down() {
        let daemon = TestDaemon::new();
        let make = |name| daemon.call(Method::POST, "/1.0/profiles", json!({ "name": name }));
        assert_eq!(make("early").await.0, 201);
        daemon.app.closing.cancel();
        let (status, body) = make("late").await;
        assert_eq!(status, 503, "{body}");
        assert!(body.to_string().contains("shutting down"), "{body}");
        let (status, body) = daemon.call(Method::GET, "/1.0/profiles", Value::Null).await;
        assert_eq!(status, 200, "{body}");
        assert!(!begins_something(&Method::DELETE, "/1.0/operations/x"));
        assert!(!begins_something(&Method::PUT, "/internal/shutdown"));
        assert!(begins_something(&Method::DELETE, "/1.0/instances/c1"));
    }
}
