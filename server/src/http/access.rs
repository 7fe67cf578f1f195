//! The one door: every request passes here before it reaches a handler. What is not on a list is refused, so that a new
//! route is closed to strangers until somebody opens it on purpose.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::{ApiError, refuse};
use super::identity::{Caller, Rights};
use crate::context::App;
use crate::error::Error;
use crate::operation::Operations;
use crate::trust::{CrossOrigin, Door};

/// What is served on `core.metrics_address`.
const METRICS: &str = "/1.0/metrics";

/// Lets a request pass, or refuses it.
pub(super) async fn check(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let settings = app.trust.settings();
    let Some(caller) = Caller::of(request.extensions(), &app.trust) else {
        return ApiError(Error::Forbidden).into_response();
    };
    let (method, path) = (request.method(), request.uri().path());
    if caller.door == Door::Metrics && path != METRICS {
        return refuse(
            StatusCode::NOT_FOUND,
            format!("`{path}` is not served here, metrics only"),
        );
    }
    let allowed = !is_cross_site(request.headers(), &settings.cross_origin)
        && match &caller.rights {
            Rights::All => true,
            _ if path == METRICS && settings.open_metrics => is_read(method),
            Rights::Projects(projects) => {
                is_within(method, request.uri(), projects, &app.operations)
                    || is_own_certificate(method, path, &caller)
            }
            Rights::Metrics(_) => path == METRICS && is_read(method),
            Rights::Public => is_public(method, path),
        }
        && (caller.is_local() || !path.starts_with("/internal/"));
    if !allowed {
        return caller.objection.map_or_else(
            || ApiError(Error::Forbidden).into_response(),
            |reason| refuse(StatusCode::FORBIDDEN, format!("not authorized: {reason}")),
        );
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// A page of another site that a browser shows must not use the certificate that the browser has.
/// Unless `core.https_allowed_origin` lets it.
fn is_cross_site(headers: &HeaderMap, allowed: &CrossOrigin) -> bool {
    let origin = headers
        .get(ORIGIN)
        .and_then(|origin| origin.to_str().ok())
        .unwrap_or_default();
    if !origin.is_empty() && origin == allowed.origin {
        return false;
    }
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site")
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What anybody may ask. Handlers of images show public ones only, see [`Caller::is_trusted`].
fn is_public(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match *method {
        Method::GET | Method::HEAD => matches!(
            parts[..],
            ["" | "1.0"]
                | ["1.0", "images"]
                | ["1.0", "images", _]
                | ["1.0", "images", "aliases", _]
                | ["1.0", "images", _, "export"]
        ),
        Method::POST => parts == ["1.0", "certificates"],
        _ => false,
    }
}

/// A client may look at its own entry, and put a new certificate in place of the one it has.
fn is_own_certificate(method: &Method, path: &str, caller: &Caller) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts[..] {
        ["1.0", "certificates"] => is_read(method),
        ["1.0", "certificates", fingerprint] => {
            *method != Method::DELETE && caller.has_shown(fingerprint)
        }
        _ => false,
    }
}

/// What a restricted client may ask: things of its own projects.
fn is_within(
    method: &Method,
    uri: &Uri,
    projects: &BTreeSet<String>,
    operations: &Operations,
) -> bool {
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    let reads = is_read(method);
    match parts[..] {
        ["" | "1.0"] | ["1.0", "cluster" | "metrics"] | ["1.0", "metadata", "configuration"] => {
            reads
        }
        ["1.0", "instances" | "containers", ..] => is_in_projects(uri, projects),
        ["1.0", "images" | "profiles", ..] => reads && is_in_projects(uri, projects),
        ["1.0", "operations", id, ..] => operations
            .live(id)
            .is_some_and(|operation| projects.contains(operation.project())),
        _ => false,
    }
}

fn is_in_projects(uri: &Uri, projects: &BTreeSet<String>) -> bool {
    let query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    // Written in any other way it is not a project that such a client has.
    let all = query.iter().any(|part| part.starts_with("all-projects"));
    let named: Vec<&str> = query
        .iter()
        .filter_map(|part| part.strip_prefix("project="))
        .collect();
    let key = |part: &&str| {
        part.split('=')
            .next()
            .is_some_and(|key| key.contains(['%', '+']))
    };
    let strange = query.iter().any(key);
    match named[..] {
        _ if all || strange => false,
        [] | [""] => projects.contains("default"),
        [name] => projects.contains(name),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
