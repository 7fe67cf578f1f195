//! HTTPS: connections that [`crate::trust`] has shaken hands with, served like those of the unix socket, each in a task of its
//! own. Who is slow to ask is hung up on; who is not trusted has a place only until others need it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming as IncomingBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::identity::Peer;
use super::linger::Linger;
use crate::context::App;
use crate::error::Result;
use crate::trust::{Accepted, Crowd, Standing};

/// Connections of clients that are not trusted, at once: they have little to do here, and must not take all descriptors.
const STRANGERS: usize = 128;
/// Who has not sent the head of a request by then is gone; who sends nothing after a reply too.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Serves what comes in on all addresses, until the daemon ends.
pub async fn serve_tls(app: Arc<App>, router: Router) -> Result<()> {
    let Some(mut incoming) = app.trust.listeners.take_incoming() else {
        return Ok(());
    };
    let strangers = Crowd::new(STRANGERS);
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = app.shutdown.cancelled() => break,
            accepted = incoming.recv() => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let certificate = accepted.certificate.clone().map(Arc::new);
        let known = certificate
            .as_ref()
            .is_some_and(|shown| matches!(app.trust.judge(shown), Standing::Trusted(_)));
        let peer = Peer::Tls {
            certificate,
            address: accepted.address,
            door: accepted.door,
        };
        let task = tasks.spawn(converse(
            accepted,
            peer,
            router.clone(),
            app.shutdown.clone(),
        ));
        if !known {
            strangers.admit(task.abort_handle());
        }
    }
    app.trust.listeners.close().await;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn converse(accepted: Accepted, peer: Peer, router: Router, shutdown: CancellationToken) {
    let address = accepted.address;
    let service = service_fn(move |request: Request<IncomingBody>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        router.clone().oneshot(request)
    });
    let stream = Linger::new(accepted.stream, shutdown.clone());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection ended early");
    }
}
