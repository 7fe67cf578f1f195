//! Directories of monitors and logs: those of instances that were deleted go.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Finding, report};
use crate::context::{App, blocking};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::runtime::Attached;

/// Removes what deleted instances left. One that still runs is told of and left alone: the inventory may be an old one.
pub(super) async fn remove_unknown(app: &App) -> Result<()> {
    let run = app.places.run().join("instances");
    let logs = app.places.dir().join("logs");
    // Directories before rows: who comes meanwhile has a row.
    let mut left = ids(&run);
    left.extend(ids(&logs));
    let rows = app.db.read(|tx| instances::list(tx, None)).await?;
    let known: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    let mut running: Vec<Finding> = Vec::new();
    for id in left.difference(&known).copied() {
        let directory = app.places.instance_run(id);
        if let Ok(Attached::Running(container)) = app.runtime.attach(&directory).await {
            let message = format!(
                "a container of this daemon runs that belongs to no instance: its init is process {}",
                container.init_pid()
            );
            running.push((format!("/1.0/instances/{id}"), message));
            continue;
        }
        remove(&directory).await?;
        remove(&app.places.instance_logs(id)).await?;
    }
    report(app, "Container without an instance", running).await
}

/// Numbers among the names in a directory.
pub(super) fn ids(directory: &Path) -> BTreeSet<i64> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

async fn remove(directory: &Path) -> Result<()> {
    let path = directory.to_owned();
    let removed = blocking(move || std::fs::remove_dir_all(path)).await;
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let what = format!("remove directory {}", directory.display());
            Err(Error::failed(what, error))
        }
        _ => Ok(()),
    }
}
