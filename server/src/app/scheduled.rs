//! Snapshots that come and go by themselves: `snapshots.schedule` and `snapshots.expiry`, of instances and of custom
//! volumes.
//!
//! Each look covers the time since the last one, which the inventory remembers: what fell into hours without a daemon is
//! caught up with once.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rlxc_api::{InstanceSnapshotsPost, Requestor, StorageVolumeSnapshotsPost};
use rlxc_sys::chain::chain;

use super::instance;
use super::volume::{self, Target};
use crate::context::App;
use crate::db::{self, instances, profiles, volumes};
use crate::error::Result;
use crate::instance::state::State;
use crate::keys::is_true;
use crate::model::{Config, Instance, Volume};
use crate::plan::expand::expand;
use crate::plan::snapshots::is_due;

const EVERY: Duration = Duration::from_secs(60);

/// Looks until the daemon ends.
pub async fn run(app: Arc<App>) {
    loop {
        if let Err(error) = once(&app).await {
            tracing::warn!(error = %chain(&error), "scheduled snapshots failed");
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// The time that a look covers.
#[derive(Debug, Clone, Copy)]
struct Window {
    after: Timestamp,
    until: Timestamp,
}

/// Looks once: removes what has expired, takes what is due.
pub(crate) async fn once(app: &Arc<App>) -> Result<()> {
    let until = app.clock.now();
    let text = crate::clock::format(until);
    let before = app
        .db
        .note(move |tx| Ok::<_, crate::error::Error>(db::scheduled::advance(tx, &text)?))
        .await?;
    // The first look of all has nothing behind it.
    let after = before.and_then(|text| text.parse().ok()).unwrap_or(until);
    let window = Window { after, until };
    for instance in app.db.read(|tx| instances::list(tx, None)).await? {
        attend_instance(app, &instance, window).await?;
    }
    for volume in app.db.read(|tx| volumes::list(tx, None, None)).await? {
        attend_volume(app, &volume, window).await;
    }
    Ok(())
}

fn who() -> Requestor {
    Requestor {
        username: "rlxcd".to_owned(),
        protocol: "unix".to_owned(),
        ..Requestor::default()
    }
}

fn is_over(expires_at: Option<&String>, now: Timestamp) -> bool {
    let time = expires_at.and_then(|text| text.parse::<Timestamp>().ok());
    time.is_some_and(|time| time <= now)
}

/// Whether something that was made at `created_at` is due.
fn due(config: &Config, created_at: &str, window: Window) -> bool {
    let Some(schedule) = config.get("snapshots.schedule") else {
        return false;
    };
    let born = created_at.parse().unwrap_or(window.after);
    match is_due(schedule, window.after.max(born), window.until) {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(schedule, error, "a schedule can't be read");
            false
        }
    }
}

async fn attend_instance(app: &Arc<App>, instance: &Instance, window: Window) -> Result<()> {
    let (project, name) = (&instance.project, &instance.name);
    for snapshot in &instance.snapshots {
        if is_over(snapshot.expires_at.as_ref(), window.until) {
            let begun = instance::delete_snapshot(app, &who(), project, name, &snapshot.name).await;
            told(begun, name);
        }
    }
    let id = app.project(project).await?;
    let known = app.db.read(move |tx| profiles::list(tx, id)).await?;
    let config = expand(instance, &known).config;
    let may = app.instances.status(instance.id).state != State::Stopped
        || is_true(&config, "snapshots.schedule.stopped");
    if may && due(&config, &instance.created_at, window) {
        let post = InstanceSnapshotsPost::default();
        let begun = instance::create_snapshot(app, &who(), project, name, post).await;
        told(begun, name);
    }
    Ok(())
}

async fn attend_volume(app: &Arc<App>, volume: &Volume, window: Window) {
    let target = Target {
        project: &volume.project,
        pool: &volume.pool,
        kind: "custom",
        name: &volume.name,
    };
    for snapshot in &volume.snapshots {
        if is_over(snapshot.expires_at.as_ref(), window.until) {
            let begun = volume::delete_snapshot(app, &who(), target, &snapshot.name).await;
            told(begun, &volume.name);
        }
    }
    if due(&volume.config, &volume.created_at, window) {
        let post = StorageVolumeSnapshotsPost::default();
        let begun = volume::create_snapshot(app, &who(), target, post).await;
        told(begun, &volume.name);
    }
}

/// What could not begin is in the log; what failed later is in its operation.
fn told(begun: Result<rlxc_api::Operation>, name: &str) {
    if let Err(error) = begun {
        tracing::warn!(name, error = %chain(&error), "a scheduled change of a snapshot can't begin");
    }
}
