//! The host goes down: instances end as on a machine that is switched off, and are started again when it is back.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_sys::chain::chain;

use super::stop::{Manner, stop};
use crate::context::{App, blocking};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::state::Verb;
use crate::instance::{Outcome, Status};
use crate::model::Instance;
use crate::runtime::ExitRecord;

/// Shuts down what runs: instances of the highest `boot.stop.priority` first, those of one priority at the same time.
/// Who doesn't end within its `boot.host_shutdown_timeout` is ended by force; with `force`, everybody at once.
pub async fn shut_down_all(app: &Arc<App>, force: bool) {
    let all = match app.db.read(|tx| instances::list(tx, None)).await {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(error = %chain(&error), "instances are not shut down");
            return;
        }
    };
    let mut turns: BTreeMap<Reverse<i64>, Vec<Instance>> = BTreeMap::new();
    for instance in all {
        turns
            .entry(Reverse(priority(&instance)))
            .or_default()
            .push(instance);
    }
    for turn in turns.into_values() {
        let ends: Vec<_> = turn
            .into_iter()
            .map(|instance| app.tasks.spawn(shut_down(Arc::clone(app), instance, force)))
            .collect();
        for end in ends {
            drop(end.await);
        }
    }
}

fn priority(instance: &Instance) -> i64 {
    let text = instance.config.get("boot.stop.priority");
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn shut_down(app: Arc<App>, instance: Instance, force: bool) {
    if let Err(error) = try_shut_down(&app, &instance, force).await {
        tracing::warn!(instance = instance.name, error = %chain(&error), "not shut down");
    }
}

async fn try_shut_down(app: &Arc<App>, instance: &Instance, force: bool) -> Result<()> {
    let Some(handle) = app.instances.get(instance.id) else {
        return Ok(());
    };
    if let Status { running: None, .. } = handle.status() {
        return Ok(());
    }
    let permit = handle
        .begin(Verb::Stop, &instance.name, "host shutdown")
        .await?;
    let manner = Manner::parse(instance, force, 0);
    if let Err(error) = stop(app, &handle, &permit, instance, manner).await {
        tracing::warn!(instance = instance.name, error = %chain(&error), "ended by force");
        stop(app, &handle, &permit, instance, Manner::Force).await?;
    }
    permit.finish(Outcome::Stopped);
    // What it was is what it shall be again. The end was ours: the next daemon need not hear of it.
    let (id, ran) = (instance.id, "RUNNING".to_owned());
    app.db
        .write(move |tx| instances::set_keys(tx, id, &[("volatile.last_state.power", ran)]))
        .await?;
    let run = app.places.instance_run(id);
    blocking(move || ExitRecord::remove(&run))
        .await
        .map_err(|error| Error::failed("remove the record of its end", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::state::State;
    use crate::testing::TestDaemon;
    use axum::http::Method;
    use serde_json::json;

    #[tokio::test]
    async fn what_ran_is_stopped_and_meant_to_run() {
        let daemon = TestDaemon::with_pool().await;
        for name in ["ran", "rested"] {
            let post = json!({"name": name, "source": {"type": "none"}});
            daemon.ok(Method::POST, "/1.0/instances", post).await;
        }
        let start = json!({"action": "start"});
        daemon
            .ok(Method::PUT, "/1.0/instances/ran/state", start)
            .await;
        shut_down_all(&daemon.app, false).await;
        for (name, power) in [("ran", Some("RUNNING")), ("rested", None)] {
            let instance = super::super::find(&daemon.app, "default", name)
                .await
                .unwrap();
            assert_eq!(
                daemon.app.instances.status(instance.id).state,
                State::Stopped
            );
            let noted = instance.config.get("volatile.last_state.power");
            assert_eq!(noted.map(String::as_str), power, "{name}");
        }
    }
}
