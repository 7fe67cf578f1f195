//! `/1.0/instances/{name}/backups`, and `POST /1.0/instances` with a backup as its body.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body as RawBody, Bytes};
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use rlxc_api::{InstanceBackupPost, InstanceBackupsPost, Requestor};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, accepted, listing, sync};
use crate::app::instance::backup::{self, ExportOrder, ImportOrder, Upload};
use crate::context::App;

type Daemon = State<Arc<App>>;

const OCTETS: &str = "application/octet-stream";
/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/{name}/backups", get(list).post(create))
        .route(
            "/{name}/backups/{backup}",
            get(show).post(rename).delete(remove),
        )
        .route("/{name}/backups/{backup}/export", get(export))
}

async fn list(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let all = backup::list(&app, &params.project, &name).await?;
    listing(&params, all, |backup| {
        format!("/1.0/instances/{name}/backups/{}", backup.name)
    })
}

/// Makes a backup that waits to be fetched; or, for who accepts bytes only, is sent at once.
async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    request: Request,
) -> Reply {
    let at_once = request
        .headers()
        .get(header::ACCEPT)
        .is_some_and(|kind| kind == OCTETS);
    let Body(post) = Body::<InstanceBackupsPost>::from_request(request, &()).await?;
    let instance = (params.project.as_str(), name.as_str());
    if at_once {
        let order = ExportOrder::parse(&app, &post).await?;
        let (_, chunks) = backup::stream(&app, &who, instance, order).await?;
        return Ok(octets(RawBody::from_stream(received(chunks))));
    }
    accepted(backup::create(&app, &who, instance, post).await?)
}

fn received(
    chunks: mpsc::Receiver<io::Result<Bytes>>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    stream::unfold(chunks, |mut chunks| async {
        Some((chunks.recv().await?, chunks))
    })
}

fn octets(body: RawBody) -> Response {
    ([(header::CONTENT_TYPE, OCTETS)], body).into_response()
}

async fn show(
    State(app): Daemon,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
) -> Reply {
    sync(backup::get(&app, &params.project, (&name, &backup)).await?)
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
    Body(post): Body<InstanceBackupPost>,
) -> Reply {
    let path = (name.as_str(), backup.as_str());
    accepted(backup::rename(&app, &who, &params.project, path, &post.name).await?)
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
) -> Reply {
    accepted(backup::delete(&app, &who, &params.project, (&name, &backup)).await?)
}

async fn export(
    State(app): Daemon,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let file = backup::open(&app, &params.project, (&name, &backup)).await?;
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK);
    Ok(octets(RawBody::from_stream(stream)))
}

/// Whether the body of `POST /1.0/instances` is a backup.
pub(super) fn is_upload(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == OCTETS)
}

/// Unpacks the backup while it comes in. The reply waits for its end: clients read no reply before.
pub(super) async fn import(
    app: &Arc<App>,
    who: &Requestor,
    params: &Params,
    request: Request,
) -> Reply {
    let order = ImportOrder {
        name: said(request.headers(), "name"),
        pool: said(request.headers(), "pool"),
    };
    let (sender, upload) = Upload::channel();
    let mut body = request.into_body().into_data_stream();
    let sent = tokio::spawn(async move {
        let mut wanted = true;
        while let Some(chunk) = body.next().await {
            // When the archive is over, or refused, the rest is read for nobody: clients want to be rid of it before they
            // look at the reply.
            wanted = wanted && sender.send(chunk.map_err(io::Error::other)).await.is_ok();
        }
    });
    let begun = backup::import(app, who, &params.project, order, upload).await;
    drop(sent.await);
    accepted(begun?)
}

/// What a header says, in either dialect.
fn said(headers: &HeaderMap, name: &str) -> String {
    let both = [format!("x-lxd-{name}"), format!("x-incus-{name}")];
    let found = both.iter().find_map(|name| headers.get(name));
    let text = found.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}
