//! Stopping: cleanly by a signal to init, or by force.

use std::sync::Arc;
use std::time::Duration;

use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::state::State;
use crate::instance::{InstanceHandle, Permit};
use crate::model::Instance;

/// How long init gets when nobody says: `boot.host_shutdown_timeout` of LXD.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Init is asked, and given this long.
    Clean(Duration),
    /// Its processes are killed.
    Force,
}

impl Manner {
    /// From a request: a timeout of zero or less is the instance's own, or 30 s.
    pub(super) fn parse(instance: &Instance, force: bool, timeout: i64) -> Self {
        if force {
            return Self::Force;
        }
        let configured = instance
            .config
            .get("boot.host_shutdown_timeout")
            .and_then(|text| text.parse().ok());
        let seconds = u64::try_from(timeout)
            .ok()
            .filter(|seconds| *seconds > 0)
            .or(configured);
        Self::Clean(seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs))
    }
}

/// Ends the processes of a running instance. The permit stays with the caller.
pub(super) async fn stop(
    app: &Arc<App>,
    handle: &InstanceHandle,
    permit: &Permit,
    instance: &Instance,
    manner: Manner,
) -> Result<()> {
    let Some(running) = permit.running() else {
        return Ok(());
    };
    let failed = |error| Error::failed(format!("stop instance `{}`", instance.name), error);
    if permit.before().state == State::Frozen {
        super::state::thaw_cgroup(app, instance.id).await?;
    }
    match manner {
        Manner::Force => {
            running.kill().await.map_err(failed)?;
            handle.stopped().await;
        }
        Manner::Clean(limit) => {
            running.shutdown().await.map_err(failed)?;
            tokio::time::timeout(limit, handle.stopped()).await.map_err(|_elapsed| {
                Error::Conflict(format!(
                    "instance `{}` did not shut down within {} s: use `--force`, or a longer `--timeout`",
                    instance.name,
                    limit.as_secs()
                ))
            })?;
        }
    }
    note_stopped(app, instance.id);
    Ok(())
}

/// Records that an instance is meant to be stopped.
pub(super) fn note_stopped(app: &App, id: i64) {
    app.db.post(move |tx| {
        instances::set_keys(
            tx,
            id,
            &[("volatile.last_state.power", "STOPPED".to_owned())],
        )
    });
}
