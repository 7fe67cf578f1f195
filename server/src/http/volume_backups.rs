//! `/1.0/storage-pools/{pool}/volumes/{type}/{name}/backups`, and `POST` on the custom volumes with a backup as its body.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::routing::get;
use rlxc_api::{Requestor, StorageVolumeBackupPost, StorageVolumeBackupsPost};

use super::extract::{Body, Params};
use super::identity::Identity;
use super::octets::{from_file, incoming, made_by, said, wants_octets};
use super::render::{Reply, accepted, listing, sync};
use super::volumes::{target, within};
use crate::app::volume;
use crate::context::{App, scoped};
use crate::error::Error;

type Daemon = State<Arc<App>>;
/// Pool, type, volume and backup.
type Names = Path<(String, String, String, String)>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups",
            get(list).post(create),
        )
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{backup}",
            get(show).post(rename).delete(remove),
        )
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{backup}/export",
            get(export),
        )
}

async fn list(
    State(app): Daemon,
    Path(names): Path<(String, String, String)>,
    params: Params,
) -> Reply {
    let all = volume::backups(&app, target(&names, &params)).await?;
    let (pool, kind, name) = &names;
    listing(&params, all, |backup| {
        let path = format!(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{}",
            backup.name
        );
        scoped(path, &params.project)
    })
}

/// Makes a backup that waits to be fetched; or, for who accepts bytes only, is sent at once.
async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Path<(String, String, String)>,
    params: Params,
    request: Request,
) -> Reply {
    let at_once = wants_octets(request.headers());
    let Body(post) = Body::<StorageVolumeBackupsPost>::from_request(request, &()).await?;
    let target = target(&names, &params);
    if at_once {
        return made_by(volume::stream_backup(&app, &who, target, post).await?).await;
    }
    accepted(volume::create_backup(&app, &who, target, post).await?)
}

async fn show(State(app): Daemon, Path(names): Names, params: Params) -> Reply {
    let (target, name) = within(&names, &params);
    sync(volume::backup(&app, target, name).await?)
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
    Body(post): Body<StorageVolumeBackupPost>,
) -> Reply {
    let (target, name) = within(&names, &params);
    accepted(volume::rename_backup(&app, &who, target, (name, &post.name)).await?)
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
) -> Reply {
    let (target, name) = within(&names, &params);
    accepted(volume::delete_backup(&app, &who, target, name).await?)
}

async fn export(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
) -> Reply {
    let (target, name) = within(&names, &params);
    let file = volume::open_backup(&app, &who, target, name).await?;
    Ok(from_file(file))
}

/// Unpacks the backup while it comes in. The reply waits for its end: clients read no reply before.
pub(super) async fn import(
    app: &Arc<App>,
    who: &Requestor,
    (pool, kind, params): (&str, &str, &Params),
    request: Request,
) -> Reply {
    let content = said(request.headers(), "type");
    if kind != "custom" || !matches!(content.as_str(), "" | "backup") {
        let text = "only backups of custom volumes can be imported this way: images of disks are for virtual machines";
        return Err(Error::Invalid(text.to_owned()).into());
    }
    let name = said(request.headers(), "name");
    let (upload, rest) = incoming(request);
    let place = (params.project.as_str(), pool);
    let begun = volume::import(app, who, place, &name, upload).await;
    drop(rest.await);
    accepted(begun?)
}
