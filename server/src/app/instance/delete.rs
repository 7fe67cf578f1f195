//! Deleting an instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Operation, Requestor};

use super::find;
use crate::app::network;
use crate::context::{App, instance_url};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::Verb;
use crate::keys::is_true;
use crate::model::Instance;
use crate::operation::OperationSpec;
use crate::saga::{self, JournalEntry, Saga};

/// Begins to delete a stopped instance.
pub async fn delete(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
) -> Result<Operation> {
    let instance = find(app, project, name).await?;
    if is_true(&instance.config, "security.protection.delete") {
        return Err(Error::Invalid(format!(
            "instance `{name}` is protected: unset security.protection.delete first"
        )));
    }
    let handle = super::handle(app, &instance)?;
    let id = app.operations.next_id();
    let permit = handle.begin(Verb::Delete, name, &id).await?;
    let spec = OperationSpec::task(
        "Deleting instance",
        project,
        "instances",
        &instance_url(project, name),
    )
    .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(id, spec, move |operation| async move {
            delete_now(&app2, Some(who), permit, instance, operation.id()).await?;
            Ok(BTreeMap::new())
        }))
}

/// Deletes an instance under a permit. Once its row is gone it is gone for its users; what is on disk follows, if need
/// be at the next start of the daemon.
pub async fn delete_now(
    app: &Arc<App>,
    who: Option<Requestor>,
    permit: Permit,
    instance: Instance,
    operation: &str,
) -> Result<()> {
    let mut saga = Saga::new(app, operation);
    let entries = [
        JournalEntry::Volume {
            pool: instance.pool.clone(),
            id: instance.id,
        },
        JournalEntry::Backups {
            instance: instance.id,
        },
    ];
    let (id, operation) = (instance.id, operation.to_owned());
    let rows = app
        .db
        .note(move |tx| {
            instances::delete(tx, id)?;
            let entries = entries.into_iter();
            let append = |entry| Ok((saga::append(tx, &operation, &entry)?, entry));
            entries.map(append).collect::<Result<Vec<_>>>()
        })
        .await?;
    for (row, entry) in rows {
        saga.recorded(row, entry);
    }
    app.instances.remove(instance.id);
    permit.deleted();
    network::forget_hosts(app, &instance).await;
    saga.unwind().await;
    remove_logs(app, instance.id);
    app.instance_event("instance-deleted", &instance.project, &instance.name, who);
    Ok(())
}

fn remove_logs(app: &App, id: i64) {
    for directory in [app.places.instance_logs(id), app.places.instance_run(id)] {
        app.tasks.spawn_blocking(move || match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(directory = %directory.display(), %error, "logs of a deleted instance stay behind");
            }
            _ => {}
        });
    }
}
