//! GET over HTTP/1.1, with or without TLS, with or without a proxy, following redirects.
//!
//! A connection serves one request: an image takes four of them, so a pool would not pay. Limits of time tell a server
//! that can't be reached from one that is slow.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, LOCATION, RANGE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::connect::{Connector, Route};
use super::error::SimplestreamsError;
use super::proxy::ProxySettings;
use super::url::Url;

const REDIRECTS: usize = 10;
/// From the request to the head of the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Between two pieces of a body.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Makes requests.
#[derive(Debug)]
pub(super) struct HttpClient {
    connector: Connector,
    user_agent: String,
}

impl HttpClient {
    pub(super) fn new(proxies: ProxySettings) -> io::Result<Self> {
        Ok(Self {
            connector: Connector::new(proxies)?,
            user_agent: concat!("rlxc/", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    /// Asks for `url` from byte `from` on; the answer is 200 or 206.
    pub(super) async fn get(
        &self,
        url: &Url,
        from: u64,
    ) -> Result<Response<Incoming>, SimplestreamsError> {
        let mut url = url.clone();
        for _ in 0..REDIRECTS {
            let response = self.request(&url, from).await?;
            let status = response.status();
            if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
                return Ok(response);
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let target = match location {
                Some(location) if status.is_redirection() => url.resolve(location)?,
                _ => return Err(refused(&url, status.to_string())),
            };
            if url.tls && !target.tls {
                return Err(refused(
                    &url,
                    format!("{status} to {target}, which is not encrypted"),
                ));
            }
            url = target;
        }
        Err(refused(&url, "too many redirects".to_owned()))
    }

    /// Reads a whole document that is not larger than `limit` bytes.
    pub(super) async fn get_document(
        &self,
        url: &Url,
        limit: usize,
    ) -> Result<Bytes, SimplestreamsError> {
        let response = self.get(url, 0).await?;
        let body = Limited::new(response.into_body(), limit).collect();
        let collected = tokio::time::timeout(IDLE_LIMIT * 4, body).await;
        let collected =
            collected.map_err(|_| unreachable(url, timed_out("the document took too long")))?;
        let collected = collected.map_err(|source| unreachable(url, io::Error::other(source)))?;
        Ok(collected.to_bytes())
    }

    async fn request(
        &self,
        url: &Url,
        from: u64,
    ) -> Result<Response<Incoming>, SimplestreamsError> {
        let (stream, route) = self.connector.connect(url).await?;
        let fail = |error: hyper::Error| unreachable(url, io::Error::other(error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(fail)?;
        // Ends by itself when the answer has been read or dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to an image server ended early");
            }
        });
        let request = self.render(url, from, &route)?;
        let answer = tokio::time::timeout(ANSWER_LIMIT, sender.send_request(request)).await;
        answer
            .map_err(|_| unreachable(url, timed_out("no answer")))?
            .map_err(fail)
    }

    fn render(
        &self,
        url: &Url,
        from: u64,
        route: &Route,
    ) -> Result<Request<Empty<Bytes>>, SimplestreamsError> {
        let target = match route {
            Route::Direct => url.path.clone(),
            Route::Proxy { .. } => url.to_string(),
        };
        let mut request = Request::get(target)
            .header(HOST, url.authority())
            .header(USER_AGENT, &self.user_agent);
        if let Route::Proxy {
            authorization: Some(authorization),
        } = route
        {
            request = request.header(hyper::header::PROXY_AUTHORIZATION, authorization);
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        request
            .body(Empty::new())
            .map_err(|_| SimplestreamsError::BadUrl {
                url: url.to_string(),
                reason: "it can't be asked for",
            })
    }
}

/// The next piece of a body; `None` at its end.
pub(super) async fn next_chunk(body: &mut Incoming) -> io::Result<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(IDLE_LIMIT, body.frame()).await;
        match frame.map_err(|_| timed_out("the server went silent"))? {
            None => return Ok(None),
            Some(Err(error)) => return Err(io::Error::other(error)),
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}

pub(super) fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

pub(super) fn unreachable(url: &Url, source: io::Error) -> SimplestreamsError {
    SimplestreamsError::Unreachable {
        server: url.authority(),
        source,
    }
}

fn refused(url: &Url, status: String) -> SimplestreamsError {
    SimplestreamsError::Refused {
        url: url.to_string(),
        status,
    }
}
