//! Websockets over a connection to the daemon, RFC 6455.

use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::stream::Stream;

/// An open websocket.
pub(crate) type Socket = WebSocketStream<Stream>;

impl Connection {
    pub(crate) async fn websocket(&self, path: &str) -> Result<Socket, ClientError> {
        let fail = ClientError::websocket(path);
        let request = match format!("ws://rlxc{}", self.scoped(path)).into_client_request() {
            Ok(request) => request,
            Err(source) => return Err(fail(source)),
        };
        let stream = self.endpoint().connect().await?;
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(source) => Err(fail(source)),
        }
    }
}
