//! `/1.0/instances/{name}/files`. Headers go out under both dialects' names, and are taken under either.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body as Stream, Bytes};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::Params;
use super::identity::Identity;
use super::render::{Reply, done, sync};
use crate::context::App;
use crate::error::{Error, Result};
use crate::files::{self, Attributes, Facts, Kind, Modify, Place, Pulled, Push, WriteMode};

type Daemon = State<Arc<App>>;

const PREFIXES: [&str; 2] = ["x-lxd-", "x-incus-"];
const BYTES: &str = "application/octet-stream";
/// How long a client may go on sending what nobody wants.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route(
        "/{name}/files",
        get(pull).head(look).post(push).delete(delete),
    )
}

#[derive(Debug, Deserialize)]
struct FileParams {
    #[serde(default)]
    path: String,
}

/// Which file of which instance.
#[derive(Debug)]
struct At(Place);

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, state).await?;
        let unreadable =
            |what: &str, text: String| Error::Invalid(format!("the {what} can't be read: {text}"));
        let Path(instance) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable("name", rejection.body_text()))?;
        let Query(file) = Query::<FileParams>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable("query", rejection.body_text()))?;
        if file.path.is_empty() {
            return Err(Error::Invalid("the query needs `path`".to_owned()).into());
        }
        Ok(Self(Place {
            project: params.project,
            instance,
            path: PathBuf::from(file.path),
        }))
    }
}

async fn look(State(app): Daemon, At(place): At) -> Reply {
    let facts = files::look(&app, &place).await?;
    let mut response = ([(CONTENT_TYPE, BYTES)]).into_response();
    if facts.kind == Kind::File {
        let length = HeaderValue::from(facts.size);
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    Ok(with_facts(response, &facts))
}

async fn pull(State(app): Daemon, Identity(who): Identity, At(place): At) -> Reply {
    let (facts, pulled) = files::pull(&app, &who, &place).await?;
    let response = match pulled {
        Pulled::Directory(names) => sync(names)?,
        Pulled::Symlink(target) => ([(CONTENT_TYPE, BYTES)], target).into_response(),
        Pulled::File(chunks) => (
            [
                (CONTENT_TYPE, HeaderValue::from_static(BYTES)),
                (CONTENT_LENGTH, HeaderValue::from(facts.size)),
            ],
            Stream::from_stream(chunks),
        )
            .into_response(),
    };
    Ok(with_facts(response, &facts))
}

async fn push(
    State(app): Daemon,
    Identity(who): Identity,
    At(place): At,
    headers: HeaderMap,
    body: Stream,
) -> Reply {
    let mut chunks = body
        .into_data_stream()
        .map(|chunk| chunk.map_err(|error| Error::failed("read the body of the request", error)));
    let pushed = match parse_push(&headers) {
        Ok(push) => files::push(&app, &who, &place, push, &mut chunks).await,
        Err(error) => Err(error),
    };
    if let Err(error) = pushed {
        read_to_end(&mut chunks).await;
        return Err(error.into());
    }
    done()
}

/// A client that still sends would see a broken connection instead of the reply.
async fn read_to_end(chunks: &mut (impl futures_util::Stream<Item = Result<Bytes>> + Unpin)) {
    let all = async { while let Some(Ok(_)) = chunks.next().await {} };
    // One that sends for too long does not deserve better.
    drop(tokio::time::timeout(PATIENCE, all).await);
}

async fn delete(
    State(app): Daemon,
    Identity(who): Identity,
    At(place): At,
    headers: HeaderMap,
) -> Reply {
    let force =
        header(&headers, "force").is_some_and(|text| crate::keys::parse_bool(text) == Some(true));
    files::delete(&app, &who, &place, force).await?;
    done()
}

fn header<'a>(headers: &'a HeaderMap, key: &str) -> Option<&'a str> {
    let given = PREFIXES
        .iter()
        .find_map(|prefix| headers.get(format!("{prefix}{key}")));
    given
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn parse_push(headers: &HeaderMap) -> Result<Push> {
    let bad = |key: &str, text: &str| Error::Invalid(format!("`{key}` can't be `{text}`"));
    let kind = match header(headers, "type") {
        None | Some("file") => Kind::File,
        Some("directory") => Kind::Directory,
        Some("symlink") => Kind::Symlink,
        Some(other) => return Err(bad("type", other)),
    };
    let write = match header(headers, "write") {
        None | Some("overwrite") => WriteMode::Overwrite,
        Some("append") => WriteMode::Append,
        Some(other) => return Err(bad("write", other)),
    };
    let mut modify = Modify::default();
    for word in header(headers, "modify-perm").unwrap_or("").split(',') {
        match word.trim() {
            "" => {}
            "uid" => modify.uid = true,
            "gid" => modify.gid = true,
            "mode" => modify.mode = true,
            other => return Err(bad("modify-perm", other)),
        }
    }
    let attributes = Attributes {
        uid: parse_id(headers, "uid")?,
        gid: parse_id(headers, "gid")?,
        mode: header(headers, "mode").map(parse_mode).transpose()?,
    };
    Ok(Push {
        kind,
        attributes,
        modify,
        write,
    })
}

/// A number, or -1 for none.
fn parse_id(headers: &HeaderMap, key: &str) -> Result<Option<u32>> {
    match header(headers, key) {
        None | Some("-1") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_bad| Error::Invalid(format!("`{key}` can't be `{text}`: it is a number"))),
    }
}

/// Octal digits, however they are written.
fn parse_mode(text: &str) -> Result<u32> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| Error::Invalid(format!("`mode` can't be `{text}`: it is octal, as 0644")))
}

fn with_facts(mut response: Response, facts: &Facts) -> Response {
    let fields = [
        ("uid", facts.uid.to_string()),
        ("gid", facts.gid.to_string()),
        ("mode", format!("{:04o}", facts.mode)),
        ("type", facts.kind.text().to_owned()),
        ("modified", modified(facts.modified)),
    ];
    for (key, value) in &fields {
        for prefix in PREFIXES {
            let name = HeaderName::try_from(format!("{prefix}{key}"));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

/// As Go prints a time: clients parse this, or show it.
fn modified((seconds, nanoseconds): (i64, u32)) -> String {
    let time = i32::try_from(nanoseconds)
        .ok()
        .and_then(|nanoseconds| jiff::Timestamp::new(seconds, nanoseconds).ok())
        .unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(key, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(key),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn both_dialects_are_understood() {
        for prefix in ["x-lxd-", "x-incus-"] {
            let pairs = ["uid", "gid", "mode", "write"].map(|key| {
                let name = HeaderName::try_from(format!("{prefix}{key}")).unwrap();
                let value = if key == "write" { "append" } else { "0755" };
                (name, HeaderValue::from_static(value))
            });
            let push = parse_push(&pairs.into_iter().collect()).unwrap();
            assert_eq!(push.attributes.uid, Some(755));
            assert_eq!(push.attributes.mode, Some(0o755));
            assert_eq!(push.write, WriteMode::Append);
        }
    }

    #[test]
    fn what_is_not_said_is_a_plain_file() {
        let push = parse_push(&headers(&[("x-lxd-uid", "-1")])).unwrap();
        assert_eq!(push.kind, Kind::File);
        assert_eq!(push.attributes, Attributes::default());
        assert_eq!(push.write, WriteMode::Overwrite);
    }

    #[test]
    fn nonsense_is_refused() {
        for pair in [
            ("x-lxd-type", "fifo"),
            ("x-lxd-write", "prepend"),
            ("x-lxd-mode", "0999"),
            ("x-lxd-mode", "17777"),
            ("x-incus-uid", "root"),
            ("x-incus-uid", "-2"),
            ("x-lxd-modify-perm", "acl"),
        ] {
            assert!(parse_push(&headers(&[pair])).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn times_are_written_as_go_does() {
        assert_eq!(
            modified((1_700_000_000, 0)),
            "2023-11-14 22:13:20 +0000 UTC"
        );
        let fraction = modified((1_700_000_000, 120_000_000));
        assert_eq!(fraction, "2023-11-14 22:13:20.12 +0000 UTC");
    }
}
