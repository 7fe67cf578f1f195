//! `POST /1.0/images`: the image itself, as one file or two, or JSON that says where to get it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Query, Request, State};
use axum::http::{HeaderMap, Uri, header};
use futures_util::StreamExt as _;
use rlxc_api::ImagesPost;

use super::LARGEST_BODY;
use super::extract::{Params, parse};
use super::identity::Caller;
use super::render::{Reply, accepted};
use crate::app::image::{self, Draft, Incoming, Upload};
use crate::context::App;
use crate::error::{Error, Result};
use crate::keys::parse_bool;

pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: Params,
    request: Request,
) -> Reply {
    let who = caller.requestor.clone();
    let headers = request.headers().clone();
    let kind = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let incoming = if kind.starts_with("multipart/form-data") {
        receive_parts(&app, request).await?
    } else {
        let mut body = request.into_body().into_data_stream();
        let first = next(&mut body).await?.unwrap_or_default();
        if kind != "application/octet-stream" && looks_like_json(&first) {
            let post = parse::<ImagesPost>(&collect(first, &mut body).await?)?;
            check_source(&caller, &post)?;
            return accepted(image::create(&app, &who, &params.project, post).await?);
        }
        receive(&app, first, &mut body).await?
    };
    let described = describe(&headers)?;
    accepted(image::upload(&app, &who, &params.project, incoming, described).await?)
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
    match body.next().await {
        None => Ok(None),
        Some(Ok(data)) => Ok(Some(data)),
        Some(Err(error)) => Err(cut_off(error)),
    }
}

fn cut_off(error: impl Into<crate::error::Cause>) -> Error {
    Error::failed("receive an upload", error)
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

async fn receive(app: &App, first: Bytes, body: &mut Chunks) -> Result<Incoming> {
    let mut upload = Upload::begin(app)?;
    upload.write(first).await?;
    while let Some(data) = next(body).await? {
        upload.write(data).await?;
    }
    upload.finish().await
}

/// Parts come in the order of the fingerprint: `metadata`, then `rootfs`.
async fn receive_parts(app: &App, request: Request<Body>) -> Result<Incoming> {
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| Error::Invalid(error.body_text()))?;
    let mut upload = Upload::begin(app)?;
    let mut expected = ["metadata", "rootfs"].into_iter();
    while let Some(mut part) = parts.next_field().await.map_err(cut_off)? {
        let name = part.name().unwrap_or_default().to_owned();
        match expected.next() {
            Some(wanted) if wanted == name => {}
            _ if name == "rootfs.img" => {
                return Err(Error::Invalid(
                    "this is an image of a virtual machine: rlxc runs containers".to_owned(),
                ));
            }
            wanted => {
                return Err(Error::Invalid(format!(
                    "the upload has a part `{name}` where {} should be",
                    wanted.map_or_else(|| "the end".to_owned(), |wanted| format!("`{wanted}`"))
                )));
            }
        }
        if name == "rootfs" {
            upload.begin_root().await?;
        }
        while let Some(data) = part.chunk().await.map_err(cut_off)? {
            upload.write(data).await?;
        }
    }
    if expected.next().is_some() {
        return Err(Error::Invalid(
            "the upload needs two parts: `metadata`, then `rootfs`".to_owned(),
        ));
    }
    upload.finish().await
}

/// What headers say of an upload, in either dialect, and the fingerprint that they announce.
fn describe(headers: &HeaderMap) -> Result<(Draft, Option<String>)> {
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
        aliases: aliases
            .filter(|(key, _)| key == "alias")
            .map(|(_, name)| (name, String::new()))
            .collect(),
        ..Draft::default()
    };
    Ok((draft, find("fingerprint").filter(|text| !text.is_empty())))
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
        let (draft, declared) = describe(&headers).unwrap();
        assert_eq!(draft.properties["release"], "12 x");
        assert!(draft.public);
        let names: Vec<_> = draft
            .aliases
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["a/b", "c"]);
        assert_eq!(declared.as_deref(), Some("ab"));
    }

    #[test]
    fn json_is_told_from_archives() {
        assert!(looks_like_json(b" {\"source\": {}}"));
        assert!(!looks_like_json(b"\x1f\x8b"));
        assert!(!looks_like_json(b"metadata.yaml\0"));
    }
}
