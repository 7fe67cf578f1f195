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
use crate::app::project::of_user;
use crate::context::App;
use crate::error::{Error, Result};
use crate::plan::project::Feature;
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
    if is_cross_site(request.headers(), &settings.cross_origin) {
        return ApiError(Error::Forbidden).into_response();
    }
    if let Some(uid) = caller.user
        && let Err(error) = of_user::ensure(&app, uid).await
    {
        return ApiError(error).into_response();
    }
    let allowed = match &caller.rights {
        _ if path.starts_with("/internal/") && !caller.is_local() => Ok(false),
        Rights::All => Ok(true),
        _ if path == METRICS && settings.open_metrics => Ok(is_read(method)),
        Rights::Projects(_) if is_own_certificate(method, path, &caller) => Ok(true),
        Rights::Projects(projects) => is_within(&app, method, request.uri(), projects).await,
        Rights::Metrics(_) if path == METRICS => Ok(is_read(method)),
        // Beyond metrics they are strangers.
        Rights::Metrics(_) | Rights::Public => {
            Ok(is_public(method, path) || opens_websocket(method, request.uri()))
        }
    };
    match allowed {
        Ok(true) => {}
        Ok(false) | Err(Error::NotFound { .. }) => return no_entry(caller),
        Err(error) => return ApiError(error).into_response(),
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn no_entry(caller: Caller) -> Response {
    match caller.objection {
        Some(reason) => refuse(StatusCode::FORBIDDEN, format!("not authorized: {reason}")),
        None => ApiError(Error::Forbidden).into_response(),
    }
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

/// What anybody may ask. Handlers of images show public ones only, see [`Caller::is_trusted`]; uploads and operations need a
/// secret there.
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
                | ["1.0", "operations", _, "wait"]
        ),
        Method::POST => matches!(parts[..], ["1.0", "certificates" | "images"]),
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

/// Another server that takes part in an operation is nobody whom we trust: it knows the secret, which is tried later.
fn opens_websocket(method: &Method, uri: &Uri) -> bool {
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    let named = uri.query().unwrap_or_default().split('&');
    *method == Method::GET
        && matches!(parts[..], ["1.0", "operations", _, "websocket"])
        && named.into_iter().any(|part| part.starts_with("secret="))
}

/// What a restricted client may ask: things of its own projects. What is shared with them they may read.
async fn is_within(
    app: &App,
    method: &Method,
    uri: &Uri,
    projects: &BTreeSet<String>,
) -> Result<bool> {
    let reads = is_read(method);
    let reached = |project: &str| projects.contains(project);
    Ok(match about(uri.path()) {
        About::Root => reads,
        // Who has no project has nothing to do with what projects stand on.
        About::Server => reads && !projects.is_empty(),
        About::Project(project) => reads && reached(&project),
        About::Operation(id) => app
            .operations
            .project_of(&id)
            .await?
            .is_some_and(|project| reached(&project)),
        About::Things { feature, lists } => match project_of(uri) {
            Wanted::All => reads && lists,
            Wanted::One(name) if !reached(&name) => false,
            Wanted::One(name) => match feature {
                Some(feature) if !reads => app.owner(&name, feature).await? == name,
                _ => true,
            },
            Wanted::Unclear => false,
        },
        About::Other => false,
    })
}

/// What a path is about, as far as it matters to restricted clients.
enum About {
    /// What tells that there is a server.
    Root,
    /// The server; handlers leave out what the caller does not reach.
    Server,
    /// A project, by its name.
    Project(String),
    /// Things of the project that the query names, which may be those of `default` unless the project has the feature.
    /// `lists` where a handler can list those of all projects that the caller reaches.
    Things {
        feature: Option<Feature>,
        lists: bool,
    },
    /// An operation, by its id.
    Operation(String),
    /// Anything else.
    Other,
}

fn about(path: &str) -> About {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let things = |feature| About::Things {
        feature,
        lists: parts.len() == 2,
    };
    match parts[..] {
        ["" | "1.0"]
        | ["1.0", "cluster" | "metrics" | "openapi.json"]
        | ["1.0", "metadata", "configuration"] => About::Root,
        ["1.0", "projects" | "operations" | "storage-pools"]
        | ["1.0", "storage-pools", _]
        | ["1.0", "storage-pools", _, "resources"] => About::Server,
        ["1.0", "projects", name] | ["1.0", "projects", name, "state"] => {
            About::Project(name.to_owned())
        }
        ["1.0", "operations", id] | ["1.0", "operations", id, "wait" | "websocket"] => {
            About::Operation(id.to_owned())
        }
        ["1.0", "events" | "virtual-machines"] | ["1.0", "instances" | "containers", ..] => {
            things(None)
        }
        ["1.0", "images", ..] => things(Some(Feature::Images)),
        ["1.0", "profiles", ..] => things(Some(Feature::Profiles)),
        ["1.0", "networks" | "network-acls", ..] => things(Some(Feature::Networks)),
        ["1.0", "network-zones", ..] => things(Some(Feature::Zones)),
        ["1.0", "storage-pools", _, "volumes", ..] => About::Things {
            feature: Some(Feature::Volumes),
            lists: parts.len() <= 5,
        },
        _ => About::Other,
    }
}

/// Which project a query names.
enum Wanted {
    /// All of them.
    All,
    /// One.
    One(String),
    /// More than one, or in a way that a handler might read otherwise than we do here.
    Unclear,
}

fn project_of(uri: &Uri) -> Wanted {
    let query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    let key = |part: &&str| {
        part.split('=')
            .next()
            .is_some_and(|key| key.contains(['%', '+']))
    };
    if query.iter().any(key) {
        return Wanted::Unclear;
    }
    let all = query.iter().any(|part| part.starts_with("all-projects"));
    let named: Vec<&str> = query
        .iter()
        .filter_map(|part| part.strip_prefix("project="))
        .collect();
    match named[..] {
        [] | [""] if all => Wanted::All,
        _ if all => Wanted::Unclear,
        [] | [""] => Wanted::One("default".to_owned()),
        // Written in any other way it is not a project that such a client has.
        [name] => Wanted::One(name.to_owned()),
        _ => Wanted::Unclear,
    }
}

#[cfg(test)]
mod tests;
