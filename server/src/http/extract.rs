//! What requests carry: JSON bodies, the usual query parameters, and the names in paths.

use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
use super::filter::Filter;
use crate::error::{Error, Result};

/// A JSON body, whatever its content type says; nothing reads as `null`.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        parse(&read(request, state).await?)
            .map(Self)
            .map_err(ApiError)
    }
}

/// The whole body, if it is not too large.
pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|rejection| {
        Error::Invalid(format!("the body can't be read: {}", rejection.body_text()))
    })
}

/// Parses JSON; an error says where it is wrong.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // A list would pass for an object whose fields are all left out.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Error::Invalid(
            "the body is not what it should be: a list instead of an object".to_owned(),
        ));
    }
    let wrong = |error| Error::Invalid(format!("the body is not what it should be: {error}"));
    let mut value = serde_json::from_slice(bytes).map_err(wrong)?;
    without_nulls(&mut value);
    serde_json::from_value(value).map_err(wrong)
}

/// Takes nulls for what clients mean by them: a field that is left out, and among keys an empty value. Go's decoder does the same, and
/// clients in other languages rely on it.
fn without_nulls(value: &mut Value) {
    let Value::Object(fields) = value else {
        return;
    };
    fields.retain(|_, field| !field.is_null());
    for (name, field) in fields {
        match (name.as_str(), field) {
            ("config" | "devices" | "properties", Value::Object(keys)) => {
                let nulls = keys.values_mut().filter(|key| key.is_null());
                nulls.for_each(|key| *key = Value::String(String::new()));
            }
            (_, field) => without_nulls(field),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct RawParams {
    project: Option<String>,
    recursion: Option<String>,
    all_projects: Option<String>,
    timeout: Option<String>,
    secret: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    fields: Option<String>,
    history: Option<String>,
    resource: Option<String>,
    filter: Option<String>,
    instance_type: Option<String>,
}

/// The query parameters that resources share.
#[derive(Debug)]
pub(super) struct Params {
    /// `default` unless said.
    pub project: String,
    /// 0: URLs, 1: objects, 2: with all that belongs to them.
    pub recursion: u8,
    /// Whether all projects are meant.
    pub all_projects: bool,
    /// Seconds; negative for ever.
    pub timeout: Option<i64>,
    /// Opens a websocket.
    pub secret: Option<String>,
    /// The parts of a full object that are wanted; all unless said.
    pub fields: Option<String>,
    /// Whether what is over is wanted too.
    pub history: bool,
    /// The path of something that operations touched.
    pub resource: Option<String>,
    /// Which items of a list are wanted.
    pub filter: Filter,
    /// What kind of instances is wanted.
    pub instance_type: Option<String>,
    /// Event types, or the like.
    pub kind: Option<String>,
    /// The tag that what is changed must have.
    pub if_match: Option<String>,
}

impl Params {
    /// The project whose things a list shall have, unless it is to have those of all.
    pub(super) fn of_one_project(&self) -> Option<&str> {
        (!self.all_projects).then_some(self.project.as_str())
    }

    /// Those items of a list that the filter accepts.
    pub(super) fn select<T: serde::Serialize>(&self, mut items: Vec<T>) -> Result<Vec<T>> {
        let mut wanted = Vec::with_capacity(items.len());
        for item in &items {
            wanted.push(self.filter.accepts(item)?);
        }
        let mut wanted = wanted.into_iter();
        items.retain(|_| wanted.next().unwrap_or(false));
        Ok(items)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(raw) = Query::<RawParams>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| {
                Error::Invalid(format!(
                    "the query can't be read: {}",
                    rejection.body_text()
                ))
            })?;
        let truthy = |text: Option<String>| {
            text.is_some_and(|text| crate::keys::parse_bool(&text) == Some(true))
        };
        let number = |name: &str, text: Option<String>| {
            let parsed = text.filter(|text| !text.is_empty()).map(|text| {
                text.parse::<i64>()
                    .map_err(|_bad| Error::Invalid(format!("`{name}={text}` is not a number")))
            });
            parsed.transpose()
        };
        let all_projects = truthy(raw.all_projects);
        let named = raw.project.filter(|name| !name.is_empty());
        if all_projects && named.is_some() {
            return Err(ApiError(Error::Invalid(
                "`project` and `all-projects` can't be asked for at once".to_owned(),
            )));
        }
        Ok(Self {
            project: named.unwrap_or_else(|| "default".to_owned()),
            recursion: number("recursion", raw.recursion)?
                .unwrap_or(0)
                .clamp(0, 2)
                .unsigned_abs()
                .try_into()
                .unwrap_or(0),
            all_projects,
            timeout: number("timeout", raw.timeout)?,
            secret: raw.secret,
            history: truthy(raw.history),
            resource: raw.resource.filter(|path| !path.is_empty()),
            kind: raw.kind,
            instance_type: raw.instance_type.filter(|kind| !kind.is_empty()),
            fields: raw.fields.filter(|fields| !fields.is_empty()),
            filter: Filter::parse(&raw.filter.unwrap_or_default())?,
            if_match: parts
                .headers
                .get(IF_MATCH)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        })
    }
}

/// A websocket, where the request asks for one; else an error as all others are.
pub(super) fn upgrade(
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade> {
    asked.map_err(|rejection| {
        Error::Invalid(format!("this is a websocket: {}", rejection.body_text()))
    })
}

/// Refuses a change whose `If-Match` is not the tag of what is there.
pub(super) fn check_match(params: &Params, what: &'static str, current: &str) -> Result<()> {
    let Some(wanted) = &params.if_match else {
        return Ok(());
    };
    let wanted = wanted.trim_start_matches("W/");
    // A web client without a tag sends this literal.
    if wanted.is_empty() || wanted == "invalid-etag" || wanted == current {
        return Ok(());
    }
    Err(Error::Changed(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_a_field_that_is_left_out_and_a_key_without_a_value() {
        let body = br#"{"command":["ls"],"user":null,"cwd":null,"environment":null}"#;
        let post: rlxc_api::InstanceExecPost = parse(body).unwrap();
        assert_eq!((post.user, post.cwd.as_str()), (0, ""));
        let body = br#"{"profiles":null,"config":{"user.a":null,"user.b":"c"}}"#;
        let put: rlxc_api::InstancePut = parse(body).unwrap();
        assert_eq!(put.config["user.a"], "");
        assert_eq!(put.profiles, None);
    }
}
