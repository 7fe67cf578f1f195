//! Devices of the host come and go, and with them those of running instances (`unix-hotplug`, `usb`, `gpu`, and what is not
//! `required`): after each event the instances that have such devices are given what there is then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rlxc_sys::chain::chain;

use super::devices::unix;
use crate::context::App;
use crate::db::{instances, profiles};
use crate::error::{Error, Result};
use crate::instance::state::Verb;
use crate::model::Instance;
use crate::plan::expand::{Expanded, expand};
use crate::uevent::{Names, Uevents};

/// One plug is many events; udev sets links a moment after the kernel has made a node.
const SETTLE: Duration = Duration::from_millis(20);
const SETTLE_LINKS: Duration = Duration::from_millis(300);

/// Follows the host's devices until the daemon ends.
pub async fn follow(app: Arc<App>) {
    let uevents = match Uevents::open() {
        Ok(uevents) => uevents,
        Err(error) => {
            tracing::warn!(%error, "devices that come and go are not followed");
            return;
        }
    };
    loop {
        let watched = catch_up_all(&app).await;
        let Ok(names) = Names::watch(watched) else {
            return;
        };
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.devices_changed.notified() => {}
            () = uevents.next() => settle(&app).await,
            () = names.next() => tokio::time::sleep(SETTLE).await,
        }
    }
}

/// At once for what needs no links, and once more when udev has had its time.
async fn settle(app: &Arc<App>) {
    tokio::time::sleep(SETTLE).await;
    catch_up_all(app).await;
    tokio::time::sleep(SETTLE_LINKS).await;
}

/// Looks at all running instances; returns the directories that are to be watched.
pub async fn catch_up_all(app: &App) -> Vec<PathBuf> {
    let mut watched = Vec::new();
    let concerned = match concerned(app).await {
        Ok(concerned) => concerned,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "devices are not followed");
            Vec::new()
        }
    };
    for (instance, expanded) in concerned {
        watched.extend(unix::directories(&expanded));
        if let Err(error) = catch_up(app, &instance).await {
            let (name, error) = (instance.name, chain(&error).to_string());
            tracing::warn!(instance = name, error, "devices are not up to date");
        }
    }
    watched.sort();
    watched.dedup();
    watched
}

async fn concerned(app: &App) -> Result<Vec<(Instance, Expanded)>> {
    let (rows, known) = app
        .db
        .read(|tx| Ok::<_, Error>((instances::list(tx, None)?, profiles::known(tx)?)))
        .await?;
    let running = rows
        .into_iter()
        .filter(|row| app.instances.status(row.id).running.is_some());
    let expanded = running.map(|row| {
        let expanded = expand(&row, known.of(&row.project));
        (row, expanded)
    });
    Ok(expanded
        .filter(|(_, expanded)| unix::has_any(expanded))
        .collect())
}

/// Verbs wait for this as they do for files.
async fn catch_up(app: &App, instance: &Instance) -> Result<()> {
    let Some(handle) = app.instances.get(instance.id) else {
        return Ok(());
    };
    let begun = handle.begin(Verb::Files, &instance.name, "devices");
    let permit = begun.await?;
    let Some(running) = permit.running() else {
        return Ok(());
    };
    // Only now nobody else changes it.
    let (instance, expanded) = super::load(app, instance.id).await?;
    unix::catch_up(app, running.as_ref(), &instance, &expanded).await
}
