//! `POST /1.0/images`: the image itself, as one file or two, or JSON that says where to get it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Uri, header};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rlxc_api::ImagesPost;

use super::LARGEST_BODY;
use super::extract::{Params, parse};
use super::identity::Caller;
use super::render::{Reply, accepted};
use crate::app::image::{self, Announcement, Draft, secret};
use crate::context::App;
use crate::error::{Error, Result};
use crate::keys::parse_bool;

pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: Params,
    request: Request,
) -> Reply {
    let headers = request.headers().clone();
    let kind = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let mut announced = describe(&headers)?;
    admit(&app, &caller, &params.project, &mut announced)?;
    let mut body = request.into_body();
    if !kind.starts_with("multipart/form-data") && announced.secret.is_none() {
        let mut pieces = body.into_data_stream();
        let first = next(&mut pieces).await?.unwrap_or_default();
        if kind != "application/octet-stream" && looks_like_json(&first) {
            let post = parse::<ImagesPost>(&collect(first, &mut pieces).await?)?;
            check_source(&caller, &post)?;
            return begin(&app, &caller, &params.project, post).await;
        }
        let rest = pieces.map_err(axum::Error::into_inner);
        body = Body::from_stream(stream::once(async { Ok(first) }).chain(rest));
    }
    let incoming = image::receive_upload(&app, &kind, body).await?;
    accepted(
        image::upload(
            &app,
            &caller.requestor,
            &params.project,
            incoming,
            announced,
        )
        .await?,
    )
}

async fn begin(app: &Arc<App>, caller: &Caller, project: &str, post: ImagesPost) -> Reply {
    let source = post.source.as_ref();
    // Somebody will send it: a secret lets it in.
    if source.is_some_and(|source| source.mode == "push") {
        return accepted(secret::for_upload(app, &caller.requestor, project, post).await?);
    }
    accepted(image::create(app, &caller.requestor, project, post).await?)
}

/// Strangers need a secret; what was said when it was made goes before what they say.
fn admit(app: &App, caller: &Caller, project: &str, announced: &mut Announcement) -> Result<()> {
    let Some(secret) = &announced.secret else {
        return if caller.is_trusted() {
            Ok(())
        } else {
            Err(Error::Forbidden)
        };
    };
    let fingerprint = announced.fingerprint.as_deref().unwrap_or_default();
    let draft = secret::admit(app, project, fingerprint, secret)?;
    let told = std::mem::replace(&mut announced.draft, draft);
    announced.draft.filename = told.filename;
    for (key, value) in told.properties {
        announced.draft.properties.entry(key).or_insert(value);
    }
    Ok(())
}

/// A build runs scripts of packages of whatever mirror is named, on the host: not for those who are kept to their projects.
fn check_source(caller: &Caller, post: &ImagesPost) -> Result<()> {
    let builds = post
        .source
        .as_ref()
        .is_some_and(|source| source.kind == "build");
    if builds && !caller.is_unrestricted() {
        return Err(Error::Forbidden);
    }
    Ok(())
}

type Chunks = axum::body::BodyDataStream;

async fn next(body: &mut Chunks) -> Result<Option<Bytes>> {
    body.next()
        .await
        .transpose()
        .map_err(|error| Error::failed("receive an upload", error))
}

/// No tarball begins so; not every client says what it sends.
fn looks_like_json(first: &[u8]) -> bool {
    first.is_empty() || first.trim_ascii_start().starts_with(b"{")
}

async fn collect(first: Bytes, body: &mut Chunks) -> Result<Vec<u8>> {
    let mut text = first.to_vec();
    while let Some(data) = next(body).await? {
        text.extend_from_slice(&data);
        if text.len() > LARGEST_BODY {
            return Err(Error::Invalid("the body is too long".to_owned()));
        }
    }
    Ok(text)
}

/// What headers say of an upload, in either dialect.
fn describe(headers: &HeaderMap) -> Result<Announcement> {
    let find = |name: &str| {
        text(headers, &format!("x-lxd-{name}"))
            .or_else(|| text(headers, &format!("x-incus-{name}")))
    };
    let pairs = |name: &str| find(name).map_or_else(|| Ok(Vec::new()), |text| decode(&text));
    let aliases = pairs("aliases")?.into_iter();
    let draft = Draft {
        public: find("public").is_some_and(|text| parse_bool(&text) == Some(true)),
        filename: find("filename").unwrap_or_default(),
        properties: pairs("properties")?.into_iter().collect(),
        profiles: find("profiles").map(|text| names(&text)).transpose()?,
        aliases: aliases
            .filter(|(key, _)| key == "alias")
            .map(|(_, name)| (name, String::new()))
            .collect(),
        ..Draft::default()
    };
    let given = |name: &str| find(name).filter(|text| !text.is_empty());
    Ok(Announcement {
        draft,
        fingerprint: given("fingerprint"),
        secret: given("secret"),
    })
}

/// `profile=a&profile=b`.
fn names(text: &str) -> Result<Vec<String>> {
    let pairs = decode(text)?.into_iter();
    Ok(pairs
        .filter(|(key, _)| key == "profile")
        .map(|(_, name)| name)
        .collect())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// Pairs as in the query of a URL.
fn decode(text: &str) -> Result<Vec<(String, String)>> {
    let bad = |error: String| Error::Invalid(format!("a header of the upload: {error}"));
    let uri: Uri = format!("/?{text}")
        .parse()
        .map_err(|error: axum::http::uri::InvalidUri| bad(error.to_string()))?;
    Query::try_from_uri(&uri)
        .map(|Query(pairs)| pairs)
        .map_err(|rejection| bad(rejection.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_of_headers_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "X-LXD-properties",
            "os=Debian&release=12%20x".parse().unwrap(),
        );
        headers.insert("X-Incus-public", "1".parse().unwrap());
        headers.insert("X-Incus-aliases", "alias=a%2Fb&alias=c".parse().unwrap());
        headers.insert("X-LXD-fingerprint", "ab".parse().unwrap());
        headers.insert("X-LXD-profiles", "profile=p1&profile=p2".parse().unwrap());
        let announced = describe(&headers).unwrap();
        let draft = announced.draft;
        assert_eq!(draft.profiles.unwrap(), ["p1", "p2"]);
        assert_eq!(draft.properties["release"], "12 x");
        assert!(draft.public);
        let names: Vec<_> = draft
            .aliases
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["a/b", "c"]);
        assert_eq!(announced.fingerprint.as_deref(), Some("ab"));
    }

    #[test]
    fn json_is_told_from_archives() {
        assert!(looks_like_json(b" {\"source\": {}}"));
        assert!(!looks_like_json(b"\x1f\x8b"));
        assert!(!looks_like_json(b"metadata.yaml\0"));
    }
}
