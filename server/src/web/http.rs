//! Requests over HTTP/1.1; GET follows redirects.
//!
//! A connection serves one request: an image takes four of them, so a pool would not pay. Limits of time tell a server
//! that can't be reached from one that is slow.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, LOCATION, RANGE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::connect::{Connector, Proof, Route};
use super::error::WebError;
use super::proxy::ProxySettings;
use super::url::Url;

const REDIRECTS: usize = 10;
/// From the request to the head of the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Between two pieces of a body.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// What is sent along with a request.
pub(crate) type WebBody = UnsyncBoxBody<Bytes, io::Error>;

/// Makes requests.
#[derive(Debug)]
pub(crate) struct HttpClient {
    connector: Connector,
    user_agent: String,
}

/// A request beyond its URL.
#[derive(Debug)]
pub(crate) struct Question {
    /// GET, …
    pub(crate) method: Method,
    /// Headers over those that all requests have.
    pub(crate) headers: Vec<(String, String)>,
    /// Nothing, a document, or a file while it is read.
    pub(crate) body: WebBody,
    /// How long the head of the answer may take; `None` for as long as the other side needs.
    pub(crate) limit: Option<Duration>,
}

impl Question {
    /// One without a body.
    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            headers: Vec::new(),
            body: Empty::new().map_err(|never| match never {}).boxed_unsync(),
            limit: Some(ANSWER_LIMIT),
        }
    }
}

impl HttpClient {
    /// Nothing is asked yet.
    pub(crate) fn new(proxies: ProxySettings, proof: &Proof) -> io::Result<Self> {
        Ok(Self {
            connector: Connector::new(proxies, proof)?,
            user_agent: concat!("rlxc/", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    /// Asks for `url` from byte `from` on; the answer is 200 or 206.
    pub(crate) async fn get(&self, url: &Url, from: u64) -> Result<Response<Incoming>, WebError> {
        let mut url = url.clone();
        for _ in 0..REDIRECTS {
            let mut question = Question::new(Method::GET);
            if from > 0 {
                let range = format!("bytes={from}-");
                question.headers.push((RANGE.to_string(), range));
            }
            let response = self.ask(&url, question).await?;
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
    pub(crate) async fn get_document(&self, url: &Url, limit: usize) -> Result<Bytes, WebError> {
        read_document(url, self.get(url, 0).await?, limit).await
    }

    /// Sends one request and gives back the answer, whatever it says.
    pub(crate) async fn ask(
        &self,
        url: &Url,
        question: Question,
    ) -> Result<Response<Incoming>, WebError> {
        let (stream, route) = self.connector.connect(url).await?;
        let fail = |error: hyper::Error| unreachable(url, io::Error::other(error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(fail)?;
        // Ends by itself when the answer has been read or dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to another server ended early");
            }
        });
        let limit = question.limit;
        let request = self.render(url, question, &route)?;
        let answer = sender.send_request(request);
        let Some(limit) = limit else {
            return answer.await.map_err(fail);
        };
        tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| unreachable(url, timed_out("no answer")))?
            .map_err(fail)
    }

    fn render(
        &self,
        url: &Url,
        question: Question,
        route: &Route,
    ) -> Result<Request<WebBody>, WebError> {
        let target = match route {
            Route::Direct => url.path.clone(),
            Route::Proxy { .. } => url.to_string(),
        };
        let mut request = Request::builder()
            .method(question.method)
            .uri(target)
            .header(HOST, url.authority())
            .header(USER_AGENT, &self.user_agent);
        if let Route::Proxy {
            authorization: Some(authorization),
        } = route
        {
            request = request.header(hyper::header::PROXY_AUTHORIZATION, authorization);
        }
        for (name, value) in question.headers {
            request = request.header(name, value);
        }
        request.body(question.body).map_err(|_| WebError::BadUrl {
            url: url.to_string(),
            reason: "it can't be asked for",
        })
    }
}

/// Reads the whole body of an answer, at most `limit` bytes.
pub(crate) async fn read_document(
    url: &Url,
    response: Response<Incoming>,
    limit: usize,
) -> Result<Bytes, WebError> {
    let body = Limited::new(response.into_body(), limit).collect();
    let collected = tokio::time::timeout(IDLE_LIMIT * 4, body).await;
    let collected =
        collected.map_err(|_| unreachable(url, timed_out("the document took too long")))?;
    let collected = collected.map_err(|source| unreachable(url, io::Error::other(source)))?;
    Ok(collected.to_bytes())
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Incoming) -> io::Result<Option<Bytes>> {
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

pub(crate) fn unreachable(url: &Url, source: io::Error) -> WebError {
    WebError::Unreachable {
        server: url.authority(),
        source,
    }
}

fn refused(url: &Url, status: String) -> WebError {
    WebError::Refused {
        url: url.to_string(),
        status,
    }
}
