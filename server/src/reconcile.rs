//! Compares what should be with what is, at start-up and then every minute, and mends it: networks and their rules.
//!
//! It takes no input: a hint what to look at would be a second path that is rarely taken.

use std::sync::Arc;
use std::time::Duration;

use rlxc_network::plan_ruleset;
use rlxc_sys::chain::chain;

use crate::app::{image, network};
use crate::context::App;
use crate::db::{networks, operations};
use crate::error::{Error, Result};
use crate::plan::bridge::bridge_spec;

const EVERY: Duration = Duration::from_secs(60);
/// How long operations are remembered.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Looks and mends until the daemon ends.
pub async fn run(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = once(&app).await {
            tracing::warn!(error = %chain(&error), "reconciling failed");
        }
    }
}

async fn once(app: &App) -> Result<()> {
    prune_operations(app);
    if let Err(error) = image::sweep_pools(app).await {
        tracing::warn!(error = %chain(&error), "unpacked images that nobody needs stay");
    }
    for row in app.db.read(networks::list).await? {
        let Ok(spec) = bridge_spec(&row.name, &row.config) else {
            continue;
        };
        let flushed = plan_ruleset(&spec).needs_table()
            && !app
                .networking
                .firewall
                .verify(&row.name)
                .await
                .map_err(|error| Error::failed("verify the firewall", error))?;
        let running = app
            .networking
            .dnsmasq
            .is_running(&row.name)
            .await
            .unwrap_or(true)
            || !spec.needs_dnsmasq();
        if !flushed && running {
            continue;
        }
        let what = if flushed {
            "its firewall rules were gone"
        } else {
            "its dnsmasq had ended"
        };
        tracing::warn!(network = row.name, what, "mending a network");
        app.warn(
            "Network mended",
            &network::url(&row.name),
            &format!("network `{}`: {what}", row.name),
        )
        .await;
        app.networking
            .bring_up(&spec)
            .await
            .map_err(|error| Error::failed(format!("bring up network `{}`", row.name), error))?;
    }
    Ok(())
}

fn prune_operations(app: &App) {
    let Ok(before) = app.clock.now().checked_sub(RETENTION) else {
        return;
    };
    let before = crate::clock::format(before);
    app.db
        .post(move |tx| operations::prune(tx, &before).map(drop));
}
