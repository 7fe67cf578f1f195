//! Changing a resource: PUT replaces what can be written, PATCH lays what is given over it. One at a time for each path, and
//! only if it is still what the client has seen.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedMutexGuard;

use super::error::ApiError;
use super::extract::{Params, check_match, parse, read};
use super::patch;
use super::render::etag;
use crate::context::App;
use crate::error::Result;

/// A PUT or PATCH. While it lives, no other one of the same path goes on: what is compared and what is written then can't be
/// changed in between.
#[derive(Debug)]
pub(super) struct Edit {
    body: Bytes,
    params: Params,
    merges: bool,
    _turn: OwnedMutexGuard<()>,
}

impl FromRequest<Arc<App>> for Edit {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let merges = request.method() == Method::PATCH;
        let path = request.uri().path().to_owned();
        let (mut parts, body) = request.into_parts();
        let params = Params::from_request_parts(&mut parts, app).await?;
        // A client that is slow to send its body keeps nobody waiting.
        let body = read(Request::from_parts(parts, body), app).await?;
        Ok(Self {
            body,
            params,
            merges,
            _turn: app.edits.lock(&path).await,
        })
    }
}

impl Edit {
    /// What the writable part of a resource is to be, given what it is. `what` names the resource in an error.
    pub(super) fn apply<P>(&self, what: &'static str, current: &P) -> Result<P>
    where
        P: Serialize + DeserializeOwned,
    {
        check_match(&self.params, what, &etag(current))?;
        if self.merges {
            patch::merge(current, parse(&self.body)?)
        } else {
            parse(&self.body)
        }
    }

    /// Whether it is a PATCH.
    pub(super) fn merges(&self) -> bool {
        self.merges
    }
}
