//! Requests and their replies.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HOST, IF_MATCH, USER_AGENT};
use hyper::{Method, Request, Response as HttpResponse};
use rlxc_api::{Operation, Response, ResponseType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::http::{Body, Channel, full};
use crate::url;

/// A daemon to talk to. Nothing is sent before the first request.
#[derive(Debug)]
pub struct Connection {
    endpoint: Endpoint,
    project: Option<String>,
    idle: Mutex<Option<Channel>>,
}

/// What a request that changes something is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It is done; the metadata.
    Done(Value),
    /// It has begun.
    Begun(Box<Operation>),
}

/// An object and the ETag of its writable fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged<T> {
    /// The object.
    pub value: T,
    /// ETag, to be given back with a change; `None` where the server sends none.
    pub etag: Option<String>,
}

impl Connection {
    /// Talks to `endpoint`; `project` is added to each request that does not name one.
    pub fn new(endpoint: Endpoint, project: Option<String>) -> Self {
        Self {
            endpoint,
            project,
            idle: Mutex::new(None),
        }
    }

    /// Where the daemon listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `path` with the project in its query, where there is one and the path names none.
    pub(crate) fn scoped(&self, path: &str) -> String {
        match &self.project {
            Some(project) if !path.contains("project=") && !path.contains("all-projects=") => {
                url::with_query(path, "project", project)
            }
            _ => path.to_owned(),
        }
    }

    /// GET of an object or a list.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.get_tagged(path).await?.value)
    }

    /// GET of an object with its ETag.
    pub async fn get_tagged<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Tagged<T>, ClientError> {
        let (etag, reply) = self.exchange::<T>(Method::GET, path, None, None).await?;
        let value = reply.metadata.ok_or_else(|| ClientError::Incomplete {
            path: path.to_owned(),
            what: "its metadata",
        })?;
        Ok(Tagged { value, etag })
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Reply, ClientError> {
        self.change(Method::POST, path, Some(body), None).await
    }

    /// PUT: replaces; `etag` guards against changes that were made in between.
    pub async fn put(
        &self,
        path: &str,
        body: &impl Serialize,
        etag: Option<&str>,
    ) -> Result<Reply, ClientError> {
        self.change(Method::PUT, path, Some(body), etag).await
    }

    /// PATCH: merges.
    pub async fn patch(&self, path: &str, body: &impl Serialize) -> Result<Reply, ClientError> {
        self.change(Method::PATCH, path, Some(body), None).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<Reply, ClientError> {
        self.change(Method::DELETE, path, None::<&()>, None).await
    }

    /// A request that changes something.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        etag: Option<&str>,
    ) -> Result<Reply, ClientError> {
        let body =
            body.map(serde_json::to_vec)
                .transpose()
                .map_err(|source| ClientError::Reply {
                    path: path.to_owned(),
                    source,
                })?;
        let (_, reply) = self
            .exchange::<Value>(method, path, body.map(Bytes::from), etag)
            .await?;
        Self::judge(path, reply)
    }

    /// Sync or async?
    pub(crate) fn judge(path: &str, reply: Response<Value>) -> Result<Reply, ClientError> {
        let metadata = reply.metadata.unwrap_or_default();
        if reply.kind != ResponseType::Async {
            return Ok(Reply::Done(metadata));
        }
        let operation = serde_json::from_value(metadata).map_err(|source| ClientError::Reply {
            path: path.to_owned(),
            source,
        })?;
        Ok(Reply::Begun(operation))
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        etag: Option<&str>,
    ) -> Result<(Option<String>, Response<T>), ClientError> {
        let scoped = self.scoped(path);
        let (mut channel, response) = self.send_small(method.clone(), &scoped, body, etag).await?;
        let tag = response
            .headers()
            .get(ETAG)
            .and_then(|tag| tag.to_str().ok())
            .map(str::to_owned);
        let status = response.status().as_u16();
        let bytes = collect(method, path, response).await?;
        if channel.ready().await {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel);
        }
        Ok((tag, parse(path, status, &bytes)?))
    }

    /// Sends a request whose body is in memory; once more on a new connection if the kept one turns out closed.
    async fn send_small(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        etag: Option<&str>,
    ) -> Result<(Channel, HttpResponse<Incoming>), ClientError> {
        let build = || {
            let mut request = request(method.clone(), path);
            if let Some(etag) = etag {
                request = request.header(IF_MATCH, etag);
            }
            if body.is_some() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            request
                .body(full(body.clone().unwrap_or_default()))
                .map_err(|source| ClientError::Request {
                    path: path.to_owned(),
                    source,
                })
        };
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut channel) = kept
            && channel.ready().await
        {
            match channel.send(build()?).await {
                Err(error) if error.is_canceled() || error.is_closed() => {}
                sent => return Ok((channel, sent.map_err(broken(&method, path))?)),
            }
        }
        let mut channel = Channel::open(&self.endpoint).await?;
        let response = channel
            .send(build()?)
            .await
            .map_err(broken(&method, path))?;
        Ok((channel, response))
    }

    /// Sends a request with a body that streams, or whose reply streams, on a connection of its own.
    pub(crate) async fn send_streaming(
        &self,
        request: Request<Body>,
    ) -> Result<HttpResponse<Incoming>, ClientError> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let mut channel = Channel::open(&self.endpoint).await?;
        channel.send(request).await.map_err(broken(&method, &path))
    }

    /// Sends any request and gives back the HTTP code and the body as they are.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(u16, Bytes), ClientError> {
        let (_, response) = self
            .send_small(method.clone(), &self.scoped(path), body, None)
            .await?;
        let status = response.status().as_u16();
        Ok((status, collect(method, path, response).await?))
    }
}

/// A request with the headers that all have.
pub(crate) fn request(method: Method, path: &str) -> hyper::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "rlxc")
        .header(USER_AGENT, concat!("rlxc/", env!("CARGO_PKG_VERSION")))
}

pub(crate) fn broken(method: &Method, path: &str) -> impl FnOnce(hyper::Error) -> ClientError {
    let method = method.to_string();
    let path = path.to_owned();
    move |source| ClientError::Http {
        method,
        path,
        source,
    }
}

pub(crate) async fn collect(
    method: Method,
    path: &str,
    response: HttpResponse<Incoming>,
) -> Result<Bytes, ClientError> {
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(broken(&method, path))?;
    Ok(body.to_bytes())
}

/// Reads an envelope; an error in it is ours.
pub(crate) fn parse<T: DeserializeOwned>(
    path: &str,
    status: u16,
    bytes: &[u8],
) -> Result<Response<T>, ClientError> {
    let plain = path.split('?').next().unwrap_or(path).to_owned();
    if status >= 400 {
        // Metadata of an error is nothing that `T` says anything of.
        let reply: Response<Value> = serde_json::from_slice(bytes).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(bytes);
            Response::error(status, format!("HTTP {status}: {}", text.trim()))
        });
        return Err(ClientError::Refused {
            code: status,
            path: plain,
            message: reply.error,
        });
    }
    serde_json::from_slice(bytes).map_err(|source| ClientError::Reply {
        path: plain,
        source,
    })
}
