//! A unix socket of this host that leads to a daemon on another one, for programs that speak the API but no TLS.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::endpoint::Endpoint;
use crate::error::ClientError;

const BREATH: Duration = Duration::from_millis(100);

/// Carries each connection of `listener` to `endpoint`, byte for byte: websockets too. Returns when there was none for `idle`;
/// never where that is `None`. A connection whose other end can't be reached is closed, and `failed` is told why.
pub async fn proxy(
    listener: UnixListener,
    endpoint: &Endpoint,
    idle: Option<Duration>,
    mut failed: impl FnMut(ClientError),
) {
    let mut open = JoinSet::new();
    loop {
        let alone = idle.filter(|_| open.is_empty());
        tokio::select! {
            accepted = listener.accept() => {
                let endpoint = endpoint.clone();
                match accepted {
                    Ok((near, _)) => drop(open.spawn(async move { carry(near, &endpoint).await })),
                    // Most likely too many files are open, and it will be so again at once: accept(2).
                    Err(_) => sleep(BREATH).await,
                }
            }
            Some(ended) = open.join_next() => {
                if let Ok(Err(error)) = ended {
                    failed(error);
                }
            }
            () = sleep(alone.unwrap_or_default()), if alone.is_some() => return,
        }
    }
}

async fn carry(mut near: UnixStream, endpoint: &Endpoint) -> Result<(), ClientError> {
    let mut far = endpoint.connect().await?;
    // However it ends: both sides learn it from their own stream.
    copy_bidirectional(&mut near, &mut far).await.ok();
    Ok(())
}
