//! Documents of servers that are no daemons: GET over HTTP or HTTPS, following redirects.

mod proxy;
mod way;

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Request, Response, Uri};

use crate::error::ClientError;
use crate::http::{Channel, full};
use way::Way;

const REDIRECTS: usize = 5;
/// The longest list of images has about 3 MiB.
const LARGEST: usize = 64 << 20;
/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Reads a whole document. `authority` (PEM) is trusted beside those of this host; `http_proxy`, `https_proxy` and `no_proxy` of
/// the environment are heeded.
pub async fn get_document(url: &str, authority: Option<&Path>) -> Result<Bytes, ClientError> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let uri = parse(&url)?;
        let response = ask(&uri, &url, authority).await?;
        let status = response.status();
        if status.is_success() {
            return read(response, &url).await;
        }
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let Some(location) = location.filter(|_| status.is_redirection()) else {
            return Err(failed(&url, format!("the server says {status}")));
        };
        let next = resolve(&uri, location);
        if is_tls(&uri) && !next.starts_with("https://") {
            let reason = format!("it is moved to {next}, which is not encrypted");
            return Err(failed(&url, reason));
        }
        url = next;
    }
    Err(failed(&url, "it is moved again and again"))
}

fn failed(url: &str, reason: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
    ClientError::Io {
        what: format!("get {url}"),
        source: io::Error::other(reason),
    }
}

fn parse(url: &str) -> Result<Uri, ClientError> {
    let uri: Uri = url
        .parse()
        .map_err(|error: hyper::http::uri::InvalidUri| failed(url, error))?;
    if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() {
        return Ok(uri);
    }
    Err(failed(url, "expected http://HOST/… or https://HOST/…"))
}

fn is_tls(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// A `Location` as seen from `base`; see RFC 3986, section 5.
fn resolve(base: &Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let directory = base
            .path()
            .rsplit_once('/')
            .map_or("", |(before, _)| before);
        format!("{scheme}://{authority}{directory}/{location}")
    }
}

async fn ask(
    uri: &Uri,
    url: &str,
    authority: Option<&Path>,
) -> Result<Response<Incoming>, ClientError> {
    let way = Way::open(uri, authority).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = if way.takes_whole_url { url } else { path };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::get(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("rlxc/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = &way.authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request
        .body(full(Bytes::new()))
        .map_err(|error| failed(url, error))?;
    let mut channel = Channel::over(way.stream, host).await?;
    let answer = tokio::time::timeout(SILENCE, channel.send(request)).await;
    let answer = answer.map_err(|_elapsed| silent(url))?;
    answer.map_err(|error| failed(url, error))
}

fn silent(url: &str) -> ClientError {
    failed(url, format!("nothing came for {} s", SILENCE.as_secs()))
}

async fn read(response: Response<Incoming>, url: &str) -> Result<Bytes, ClientError> {
    let mut body = response.into_body();
    let mut content = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await;
        let Some(frame) = frame.map_err(|_elapsed| silent(url))? else {
            return Ok(content.freeze());
        };
        let frame = frame.map_err(|error| failed(url, error))?;
        if let Ok(data) = frame.into_data() {
            content.extend_from_slice(&data);
        }
        if content.len() > LARGEST {
            return Err(failed(url, "it has more than 64 MiB"));
        }
    }
}

#[cfg(test)]
mod tests;
