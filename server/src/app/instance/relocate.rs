//! Moving an instance to another project: an act of the inventory, since all that it has is kept by its id.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::InstanceName;
use rlxc_api::{Operation, Requestor};
use rusqlite::Transaction;

use super::{find, handle, update};
use crate::app::network;
use crate::context::{App, instance_url};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::state::{State, Verb};
use crate::model::Instance;
use crate::operation::OperationSpec;

/// Where an instance goes.
#[derive(Debug)]
pub struct Destination {
    /// The project.
    pub project: String,
    /// Its name there.
    pub name: String,
}

/// Begins to move an instance, which must be stopped, with its snapshots. Its profiles are those of their names there.
pub async fn relocate(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    to: Destination,
) -> Result<Operation> {
    let new: InstanceName = to.name.parse()?;
    let instance = find(app, project, name).await?;
    let target = app.project(&to.project).await?;
    let operation = app.operations.next_id();
    let permit = handle(app, &instance)?
        .begin(Verb::Update, name, &operation)
        .await?;
    if permit.before().state != State::Stopped {
        return Err(Error::Invalid(format!(
            "instance `{name}` is running: stop it before it goes to another project"
        )));
    }
    let url = instance_url(project, name);
    let spec = OperationSpec::task("Moving instance", project, "instances", &url);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(operation, spec.requested_by(&who), move |_| async move {
            let moved = Instance {
                project: to.project,
                name: new.to_string(),
                ..instance.clone()
            };
            let row = moved.clone();
            app2.db.note(move |tx| write(tx, target, &row)).await?;
            drop(permit);
            network::rename_hosts(&app2, &instance, &moved).await;
            for (action, of) in [
                ("instance-deleted", &instance),
                ("instance-created", &moved),
            ] {
                app2.instance_event(action, &of.project, &of.name, Some(who.clone()));
            }
            Ok(BTreeMap::new())
        }))
}

fn write(tx: &Transaction<'_>, target: i64, moved: &Instance) -> Result<()> {
    let current = instances::find_by_id(tx, moved.id)?
        .ok_or_else(|| Error::not_found("instance", &moved.name))?;
    instances::relocate(tx, moved.id, target, &moved.name).map_err(|error| {
        if error.is_unique_violation() {
            Error::exists("instance", &moved.name)
        } else {
            error.into()
        }
    })?;
    let moved = Instance {
        project: moved.project.clone(),
        name: moved.name.clone(),
        ..current
    };
    update::check(tx, target, (&moved, &moved))?;
    Ok(instances::update(tx, target, &moved)?)
}
