//! Renaming: an act of the inventory, which works while the instance runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::InstanceName;
use rlxc_api::{Operation, Requestor};

use super::find;
use crate::app::network;
use crate::app::template::{self, Trigger};
use crate::context::{App, instance_url};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::guest;
use crate::instance::state::Verb;
use crate::model::Instance;
use crate::operation::OperationSpec;

/// Begins to rename an instance.
pub async fn rename(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    new: &str,
) -> Result<Operation> {
    let new: InstanceName = new.parse()?;
    let instance = find(app, project, name).await?;
    let (id, key) = (app.project(project).await?, new.to_string());
    if app
        .db
        .read(move |tx| instances::exists(tx, id, &key))
        .await?
    {
        return Err(Error::exists("instance", new.as_str()));
    }
    let handle = super::handle(app, &instance)?;
    let operation = app.operations.next_id();
    let permit = handle.begin(Verb::Update, name, &operation).await?;
    let spec = OperationSpec::task(
        "Renaming instance",
        project,
        "instances",
        &instance_url(project, name),
    )
    .requested_by(who);
    let (app2, who, new) = (Arc::clone(app), who.clone(), new.to_string());
    Ok(app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            let (id, key) = (instance.id, new.clone());
            // cloud-init takes it for another machine then, and runs again.
            let machine = app2.clock.uuid().to_string();
            app2.db
                .note(move |tx| {
                    instances::rename(tx, id, &key).map_err(|error| {
                        if error.is_unique_violation() {
                            Error::exists("instance", &key)
                        } else {
                            error.into()
                        }
                    })?;
                    let anew = [
                        (guest::INSTANCE_ID, machine),
                        (template::PENDING, Trigger::Rename.name().to_owned()),
                    ];
                    Ok::<_, Error>(instances::set_keys(tx, id, &anew)?)
                })
                .await?;
            drop(permit);
            // Under both names: so its history is found.
            operation.add_resource("instances", instance_url(&instance.project, &new));
            let renamed = Instance {
                name: new.clone(),
                ..instance.clone()
            };
            guest::refresh(&app2, id).await;
            network::rename_hosts(&app2, &instance, &renamed).await;
            app2.instance_event("instance-renamed", &instance.project, &new, Some(who));
            Ok(BTreeMap::new())
        }))
}
