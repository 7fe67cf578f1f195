//! What happens to instances when the daemon starts: those that run are taken over, those that should run are started.

use std::sync::Arc;
use std::time::Duration;

use rlxc_api::{Operation, Requestor};
use rlxc_sys::chain::chain;

use super::start::Started;
use super::stop::note_stopped;
use crate::context::{App, instance_url};
use crate::db::instances;
use crate::error::Result;
use crate::guest;
use crate::instance::Exit;
use crate::instance::state::{State, Verb};
use crate::keys::parse_bool;
use crate::model::Instance;
use crate::operation::OperationSpec;
use crate::runtime::Attached;

/// Connects to the monitors of all instances and starts their actors. Returns the instances that should be started: they
/// ran when the host went down, or their configuration says so.
pub async fn adopt_running(app: &Arc<App>) -> Result<Vec<Instance>> {
    let mut to_start = Vec::new();
    for instance in app.db.read(|tx| instances::list(tx, None)).await? {
        if adopt(app, &instance).await == Adopted::Absent && should_start(&instance) {
            to_start.push(instance);
        }
    }
    to_start.sort_by_key(|instance| std::cmp::Reverse(priority(instance)));
    Ok(to_start)
}

/// What was found of an instance on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// A monitor, or what one left.
    Known,
    /// Nothing.
    Absent,
}

/// Starts the actor of an instance, with its monitor if there is one.
pub async fn adopt(app: &Arc<App>, instance: &Instance) -> Adopted {
    match app
        .runtime
        .attach(&app.places.instance_run(instance.id))
        .await
    {
        Ok(Attached::Running(running)) => {
            let state = if app.cgroup(instance.id).is_frozen() {
                State::Frozen
            } else {
                State::Running
            };
            tracing::info!(
                instance = instance.name,
                pid = running.init_pid(),
                "instance runs on"
            );
            app.instances.add(instance.id, Some((running, state)));
            guest::refresh(app, instance.id).await;
        }
        Ok(Attached::Exited(record)) => {
            app.instances.add(instance.id, None);
            look_after(app, instance, record.cause).await;
        }
        Ok(Attached::Absent) => {
            app.instances.add(instance.id, None);
            return Adopted::Absent;
        }
        Err(error) => {
            app.instances.add(instance.id, None);
            let url = instance_url(&instance.project, &instance.name);
            let text = chain(&error).to_string();
            app.warn("Instance monitor unreachable", &url, &text).await;
        }
    }
    Adopted::Known
}

/// An init ended while no daemon was there to hear it.
async fn look_after(app: &Arc<App>, instance: &Instance, cause: crate::runtime::ExitCause) {
    let known = instance
        .config
        .get("volatile.last_state.power")
        .is_some_and(|power| power == "STOPPED");
    if known {
        return;
    }
    if let Err(error) = super::exits::ended(
        app,
        &Exit {
            instance: instance.id,
            cause,
        },
    )
    .await
    {
        tracing::warn!(instance = instance.name, error = %chain(&error), "an instance that ended was not looked after");
        note_stopped(app, instance.id);
    }
}

fn should_start(instance: &Instance) -> bool {
    let configured = instance
        .config
        .get("boot.autostart")
        .and_then(|value| parse_bool(value));
    let ran = instance
        .config
        .get("volatile.last_state.power")
        .is_some_and(|power| power == "RUNNING");
    configured.unwrap_or(ran)
}

fn priority(instance: &Instance) -> i64 {
    let text = instance.config.get("boot.autostart.priority");
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn delay(instance: &Instance) -> Duration {
    let text = instance.config.get("boot.autostart.delay");
    Duration::from_secs(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Starts instances one after the other, each as an operation of its own.
pub async fn start_all(app: &Arc<App>, list: Vec<Instance>) {
    for instance in list {
        let (name, delay) = (instance.name.clone(), delay(&instance));
        match start_one(app, instance).await {
            Ok(operation) => {
                // Its outcome is in the operation; the next one starts in any case.
                drop(app.operations.wait(&operation.id, None).await);
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = app.shutdown.cancelled() => return,
                }
            }
            Err(error) => tracing::warn!(instance = name, error = %chain(&error), "not started"),
        }
    }
}

async fn start_one(app: &Arc<App>, instance: Instance) -> Result<Operation> {
    let handle = super::handle(app, &instance)?;
    let id = app.operations.next_id();
    let permit = handle.begin(Verb::Start, &instance.name, &id).await?;
    let url = instance_url(&instance.project, &instance.name);
    let who = Requestor {
        username: "root".to_owned(),
        protocol: "internal".to_owned(),
        address: String::new(),
    };
    let spec = OperationSpec::task("Starting instance", &instance.project, "instances", &url)
        .requested_by(&who);
    let app2 = Arc::clone(app);
    Ok(app.operations.spawn_as(id, spec, move |_| async move {
        super::start(&app2, Started::Automatically, permit, instance.id).await?;
        Ok(std::collections::BTreeMap::new())
    }))
}
