//! SFTP: a connection to the files of an instance.

use bytes::Bytes;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, broken, collect, parse, request};
use crate::error::ClientError;
use crate::http::{Channel, full};
use crate::url;

impl Connection {
    /// A stream that speaks SFTP, version 3: the root is the instance's.
    pub async fn sftp(
        &self,
        instance: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, ClientError> {
        let path = self.scoped(&format!("{}/sftp", url::instance(instance)));
        let request = request(Method::GET, &path)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "sftp")
            .body(full(Bytes::new()))
            .map_err(|source| ClientError::Request {
                path: path.clone(),
                source,
            })?;
        let failed = || broken(&Method::GET, &path);
        let mut channel = Channel::open(self.endpoint()).await?;
        let response = channel.send(request).await.map_err(failed())?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let bytes = collect(Method::GET, &path, response).await?;
            parse::<serde_json::Value>(&path, status.as_u16(), &bytes)?;
            return Err(ClientError::Incomplete {
                path,
                what: "a stream of SFTP",
            });
        }
        let stream = hyper::upgrade::on(response).await.map_err(failed())?;
        Ok(TokioIo::new(stream))
    }
}
