//! Serves the sockets of the guest API. A guest may be hostile: each has few connections, little time for a request, and
//! small requests; what it can use up is its own share.

mod routes;

use std::convert::Infallible;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::context::App;
use crate::guest::{Guest, Opened};

/// Connections of one guest at once; more wait.
const CONNECTIONS: usize = 16;
/// Of these, or after them, those that listen to events; more are refused.
const LISTENERS: usize = 8;
/// The largest head of a request.
const LARGEST_HEAD: usize = 16 << 10;
/// How long a guest may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After descriptors have run out.
const PAUSE: Duration = Duration::from_millis(200);

/// Who asks.
#[derive(Debug, Clone)]
struct Asker {
    app: Arc<App>,
    guest: Arc<Guest>,
    listeners: Arc<Semaphore>,
}

/// Serves all sockets that are opened, until the daemon ends.
pub async fn serve_guests(app: Arc<App>) {
    let Some(mut incoming) = app.guests.take_incoming() else {
        return;
    };
    let router = routes::router();
    loop {
        let opened = tokio::select! {
            () = app.shutdown.cancelled() => return,
            opened = incoming.recv() => opened,
        };
        let Some(Opened { guest, listener }) = opened else {
            return;
        };
        let asker = Asker {
            app: Arc::clone(&app),
            guest,
            listeners: Arc::new(Semaphore::new(LISTENERS)),
        };
        app.tasks.spawn(serve(asker, listener, router.clone()));
    }
}

/// All connections end with this.
async fn serve(asker: Asker, listener: StdListener, router: Router) {
    let (app, guest) = (Arc::clone(&asker.app), Arc::clone(&asker.guest));
    let accepting = async {
        match UnixListener::from_std(listener) {
            Ok(listener) => accept(asker, listener, router).await,
            Err(error) => tracing::warn!(%error, "a guest API can't be served"),
        }
    };
    tokio::select! {
        () = app.shutdown.cancelled() => {}
        () = guest.closed().cancelled() => {}
        () = accepting => {}
    }
}

async fn accept(asker: Asker, listener: UnixListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (asker, router) = (asker.clone(), router.clone());
        connections.spawn(async move {
            answer(stream, asker, router).await;
            drop(place);
        });
    }
}

async fn answer(stream: UnixStream, asker: Asker, router: Router) {
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(asker.clone());
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a guest's connection broke");
    }
}
