//! `PUT /internal/shutdown`: the daemon ends, and all instances before it.

use std::sync::Arc;
use std::time::Duration;

use super::instance;
use crate::context::App;
use crate::db;
use crate::error::Result;
use crate::operation::Handle;

/// How long operations are waited for, in minutes.
const TIMEOUT: &str = "core.shutdown_timeout";
const DEFAULT_MINUTES: u64 = 5;

/// Lets nothing new begin, waits for operations that are under way, stops all instances, and lets the daemon end. By force it waits for nothing.
pub async fn shut_down(app: &Arc<App>, force: bool) -> Result<()> {
    let config = app.db.read(db::config::load).await?;
    app.closing.cancel();
    if !force {
        let minutes = config.get(TIMEOUT).and_then(|text| text.parse().ok());
        let limit = Duration::from_secs(60 * minutes.unwrap_or(DEFAULT_MINUTES));
        if tokio::time::timeout(limit, operations(app)).await.is_err() {
            tracing::warn!("operations are still under way; they are undone at the next start");
        }
    }
    instance::shut_down_all(app, force).await;
    app.shutdown.cancel();
    Ok(())
}

/// Until no task works any more. Sessions are not waited for: they end with their instances.
async fn operations(app: &App) {
    while let Some(operation) = app.operations.find_live(Handle::is_working) {
        operation.wait().await;
    }
}
