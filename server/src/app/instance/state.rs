//! `PUT /1.0/instances/{name}/state`: start, stop, restart, freeze, unfreeze.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{InstanceStatePut, Operation, Requestor};

use super::start::{self, Started};
use super::stop::{Manner, stop};
use super::{delete_now, find};
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::instance::state::Verb;
use crate::instance::{InstanceHandle, Outcome, Permit};
use crate::model::Instance;
use crate::operation::{Handle, OperationSpec};

fn parse_action(action: &str) -> Result<(Verb, &'static str)> {
    match action {
        "start" => Ok((Verb::Start, "Starting instance")),
        "stop" => Ok((Verb::Stop, "Stopping instance")),
        "restart" => Ok((Verb::Restart, "Restarting instance")),
        "freeze" => Ok((Verb::Freeze, "Freezing instance")),
        "unfreeze" => Ok((Verb::Unfreeze, "Unfreezing instance")),
        other => Err(Error::Invalid(format!(
            "action `{other}` is not known: there are start, stop, restart, freeze and unfreeze"
        ))),
    }
}

/// One change of state, ready to be carried out.
struct Change {
    verb: Verb,
    instance: Instance,
    handle: InstanceHandle,
    permit: Permit,
    put: InstanceStatePut,
    who: Requestor,
}

/// Begins to change the state of one instance.
pub async fn change_state(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    put: InstanceStatePut,
) -> Result<Operation> {
    let (verb, description) = parse_action(&put.action)?;
    let instance = find(app, project, name).await?;
    let handle = super::handle(app, &instance)?;
    let id = app.operations.next_id();
    let permit = handle.begin(verb, name, &id).await?;
    let spec = OperationSpec::task(
        description,
        project,
        "instances",
        &instance_url(project, name),
    )
    .requested_by(who)
    .relaxed();
    let change = Change {
        verb,
        instance,
        handle,
        permit,
        put,
        who: who.clone(),
    };
    let app2 = Arc::clone(app);
    Ok(app
        .operations
        .spawn_as(id, spec, move |operation| async move {
            carry_out(&app2, change, &operation).await?;
            Ok(BTreeMap::new())
        }))
}

/// Begins to change the state of all instances of a project, as far as the change makes sense for each.
pub async fn change_all(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    put: InstanceStatePut,
) -> Result<Operation> {
    let (verb, description) = parse_action(&put.action)?;
    let id = app.project(project).await?;
    let all = app
        .db
        .read(move |tx| crate::db::instances::list(tx, Some(id)))
        .await?;
    let spec = OperationSpec::task(description, project, "instances", "/1.0/instances")
        .requested_by(who)
        .relaxed();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let mut failures = Vec::new();
        for instance in all {
            let name = instance.name.clone();
            let Some(handle) = app2.instances.get(instance.id) else {
                continue;
            };
            // An instance that is in this state already is not an error here.
            let Ok(permit) = handle.begin(verb, &name, operation.id()).await else {
                continue;
            };
            let change = Change {
                verb,
                instance,
                handle,
                permit,
                put: put.clone(),
                who: who.clone(),
            };
            if let Err(error) = carry_out(&app2, change, &operation).await {
                failures.push(format!("{name}: {}", rlxc_sys::chain::chain(&error)));
            }
        }
        if failures.is_empty() {
            Ok(BTreeMap::new())
        } else {
            Err(Error::Conflict(failures.join("; ")))
        }
    }))
}

async fn carry_out(app: &Arc<App>, change: Change, operation: &Handle) -> Result<()> {
    let Change {
        verb,
        instance,
        handle,
        permit,
        put,
        who,
    } = change;
    let manner = Manner::parse(&instance, put.force, put.timeout);
    match verb {
        Verb::Start => super::start(app, Started::By(who), permit, instance.id).await,
        Verb::Restart => {
            start::check(app, instance.id).await?;
            stop(app, &handle, &permit, &instance, manner).await?;
            super::start(app, Started::Again(who), permit, instance.id).await
        }
        Verb::Freeze => freeze(app, &instance, permit, who).await,
        Verb::Unfreeze => {
            thaw_cgroup(app, instance.id).await?;
            permit.finish(Outcome::Thawed);
            app.instance_event(
                "instance-resumed",
                &instance.project,
                &instance.name,
                Some(who),
            );
            Ok(())
        }
        _ => {
            stop(app, &handle, &permit, &instance, manner).await?;
            let action = if manner == Manner::Force {
                "instance-stopped"
            } else {
                "instance-shutdown"
            };
            app.instance_event(action, &instance.project, &instance.name, Some(who.clone()));
            if instance.ephemeral {
                return delete_now(app, Some(who), permit, instance, operation.id()).await;
            }
            permit.finish(Outcome::Stopped);
            Ok(())
        }
    }
}

async fn freeze(app: &Arc<App>, instance: &Instance, permit: Permit, who: Requestor) -> Result<()> {
    freeze_cgroup(app, instance.id).await?;
    permit.finish(Outcome::Frozen);
    app.instance_event(
        "instance-paused",
        &instance.project,
        &instance.name,
        Some(who),
    );
    Ok(())
}

/// Stops all processes of an instance and waits until they are.
pub(super) async fn freeze_cgroup(app: &App, id: i64) -> Result<()> {
    let cgroup = app.cgroup(id);
    blocking(move || cgroup.freeze())
        .await
        .map_err(|error| Error::failed("freeze the instance", error))
}

/// Lets all processes of an instance go on.
pub(super) async fn thaw_cgroup(app: &App, id: i64) -> Result<()> {
    let cgroup = app.cgroup(id);
    blocking(move || cgroup.thaw())
        .await
        .map_err(|error| Error::failed("thaw the instance", error))
}
