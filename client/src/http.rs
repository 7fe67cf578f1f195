//! HTTP/1.1 over the socket: one connection is kept for the next request.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::stream::Stream;

/// Body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that is in memory.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A connection that can carry a request.
#[derive(Debug)]
pub(crate) struct Channel {
    sender: SendRequest<Body>,
}

impl Channel {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let stream = endpoint.connect().await?;
        Self::over(stream, &endpoint.to_string()).await
    }

    /// On a stream to `name`, for messages.
    pub(crate) async fn over(stream: Stream, name: &str) -> Result<Self, ClientError> {
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| ClientError::Http {
                method: "CONNECT".to_owned(),
                path: name.to_owned(),
                source,
            })?;
        // An error of the driver is the error of the request that it carries, and is reported there.
        tokio::spawn(async move { driver.with_upgrades().await.ok() });
        Ok(Self { sender })
    }

    /// Whether the other side has not closed it.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.send_request(request).await
    }
}
