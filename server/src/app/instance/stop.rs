//! Stopping: cleanly by a signal to init, or by force.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use super::pinning;
use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::state::State;
use crate::instance::{InstanceHandle, Permit};
use crate::model::Instance;
use crate::runtime::{Running, RuntimeError};

/// How long init gets when nobody says: `boot.host_shutdown_timeout` of LXD.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an init that was asked to shut down is left alone.
const ASK_AGAIN: Duration = Duration::from_secs(3);

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
            let asking = ask_until_stopped(running.as_ref(), handle);
            tokio::time::timeout(limit, asking).await.map_err(|_elapsed| {
                Error::Conflict(format!(
                    "instance `{}` did not shut down within {} s: use `--force`, or a longer `--timeout`",
                    instance.name,
                    limit.as_secs()
                ))
            })?.map_err(failed)?;
        }
    }
    super::left(app, instance.id, Some(running.netns().as_fd())).await;
    note_stopped(app, instance.id);
    pinning::left(app, instance.id);
    Ok(())
}

/// Asks init to shut down, and again: one that has just been started does not listen yet.
async fn ask_until_stopped(
    running: &dyn Running,
    handle: &InstanceHandle,
) -> Result<(), RuntimeError> {
    loop {
        running.shutdown().await?;
        if tokio::time::timeout(ASK_AGAIN, handle.stopped())
            .await
            .is_ok()
        {
            return Ok(());
        }
    }
}

/// Records that an instance is meant to be stopped.
pub(super) fn note_stopped(app: &App, id: i64) {
    app.guests.close(app, id);
    app.db.post(move |tx| {
        instances::set_keys(
            tx,
            id,
            &[("volatile.last_state.power", "STOPPED".to_owned())],
        )
    });
}
