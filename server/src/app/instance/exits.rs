//! What the daemon does when an init ends and nobody asked it to.

use std::sync::Arc;

use rlxc_sys::chain::chain;
use tokio::sync::mpsc;

use super::start::Started;
use super::stop::note_stopped;
use super::{delete_now, find_by_id, pinning};
use crate::context::{App, instance_url};
use crate::error::Result;
use crate::instance::state::Verb;
use crate::instance::{Exit, Outcome};
use crate::operation::OperationSpec;
use crate::runtime::ExitCause;

/// Carries out the policy until the daemon ends: a reboot boots, an ephemeral instance goes.
pub async fn watch_exits(app: Arc<App>, mut exits: mpsc::UnboundedReceiver<Exit>) {
    loop {
        let exit = tokio::select! {
            () = app.shutdown.cancelled() => return,
            exit = exits.recv() => exit,
        };
        let Some(exit) = exit else { return };
        let app2 = Arc::clone(&app);
        app.tasks.spawn(async move {
            if let Err(error) = ended(&app2, &exit).await {
                tracing::warn!(instance = exit.instance, error = %chain(&error), "an instance ended and was not looked after");
            }
        });
    }
}

/// One init ended.
pub(super) async fn ended(app: &Arc<App>, exit: &Exit) -> Result<()> {
    let instance = find_by_id(app, exit.instance).await?;
    let Some(handle) = app.instances.get(exit.instance) else {
        return Ok(());
    };
    tracing::info!(instance = instance.name, cause = ?exit.cause, "init ended");
    let (verb, description) = match exit.cause {
        ExitCause::Reboot => (Verb::Start, "Restarting instance"),
        _ => (Verb::Update, "Cleaning up instance"),
    };
    if verb == Verb::Update {
        super::left(app, instance.id, None).await;
        note_stopped(app, instance.id);
        pinning::left(app, instance.id);
        app.instance_event("instance-shutdown", &instance.project, &instance.name, None);
        if !instance.ephemeral {
            return Ok(());
        }
    }
    let id = app.operations.next_id();
    // A snapshot that is being taken, say, is no reason to forget about a reboot.
    let permit = handle.begin_after_others(verb, &instance.name, &id).await?;
    let spec = OperationSpec::task(
        description,
        &instance.project,
        "instances",
        &instance_url(&instance.project, &instance.name),
    );
    let app2 = Arc::clone(app);
    app.operations
        .spawn_as(id, spec, move |operation| async move {
            if verb == Verb::Start {
                super::start(&app2, Started::Rebooted, permit, instance.id).await?;
            } else if permit.running().is_some() {
                permit.finish(Outcome::Unchanged);
            } else {
                delete_now(&app2, None, permit, instance, operation.id()).await?;
            }
            Ok(std::collections::BTreeMap::new())
        });
    Ok(())
}
