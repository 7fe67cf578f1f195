//! Compares what should be with what is, at start-up and then every minute: mends what can be mended, and raises a warning
//! for the rest. What is well again resolves its warning.
//!
//! It takes no input: a hint what to look at would be a second path that is rarely taken. It only looks sooner when the
//! dnsmasq of a network ends, since nobody gets an address until it is there again, or what emulates a TPM.

mod networks;
mod proxies;
mod runs;
#[cfg(test)]
mod tests;
mod tpms;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use rlxc_sys::chain::chain;

use crate::app::{apparmor, backup, image, network, pool};
use crate::context::App;
use crate::db::operations;
use crate::error::Result;
use crate::saga;

const EVERY: Duration = Duration::from_secs(60);
/// The least time between two looks.
const REST: Duration = Duration::from_secs(1);
/// How long operations are remembered, and how many at most.
const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);
const MOST_OPERATIONS: i64 = 20_000;

/// Looks and mends until the daemon ends.
pub async fn run(app: Arc<App>) {
    loop {
        once(&app).await;
        // What a large archive was packed with is not needed by a daemon that waits.
        drop(tokio::task::spawn_blocking(rlxc_sys::process::trim_heap).await);
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
            () = names_ended(&app) => {}
        }
    }
}

/// Returns when a network is no longer answered; not at once, for what ends again and again must not keep us busy.
async fn names_ended(app: &App) {
    app.networking.watched.ended().await;
    tokio::time::sleep(REST).await;
}

/// Looks and mends once. What can't be looked at keeps nothing else from being looked at.
pub(crate) async fn once(app: &App) {
    prune_operations(app);
    note("storage pools", pool::open_all(app).await);
    note("the journal", saga::retry(app).await);
    note("backups", backup::expire(app).await);
    note("unpacked images", image::sweep_pools(app).await);
    note("volumes", volumes::compare(app).await);
    note("AppArmor profiles", apparmor::sweep(app).await);
    note("traces of NICs", network::traces::sweep(app).await);
    note("networks", networks::mend(app).await);
    note("networks of nobody", networks::take_down_unknown(app).await);
    note("proxies", proxies::revive(app).await);
    note("TPMs", tpms::mend(app).await);
    note("names", networks::forget_unknown_hosts(app).await);
    note("run directories", runs::remove_unknown(app).await);
}

fn note(what: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(what, error = %chain(&error), "reconciling failed");
    }
}

fn prune_operations(app: &App) {
    let Ok(before) = app.clock.now().checked_sub(RETENTION) else {
        return;
    };
    let before = crate::clock::format(before);
    app.db
        .post(move |tx| operations::prune(tx, &before, MOST_OPERATIONS).map(drop));
}

/// Something to warn of: what it is about, and the message.
type Finding = (String, String);

/// Warns of all that was found, and no longer of what was not.
async fn report(app: &App, kind: &str, findings: Vec<Finding>) -> Result<()> {
    for (entity, message) in &findings {
        tracing::warn!(entity, message, "found while reconciling");
        app.warn(kind, entity, message).await;
    }
    let kind = kind.to_owned();
    let present: Vec<String> = findings.into_iter().map(|(entity, _)| entity).collect();
    app.db
        .note(move |tx| Ok(crate::db::warnings::resolve_except(tx, &kind, &present)?))
        .await
}
