//! Instances: one file a use case. Each begins with a permit of the instance's actor and ends by giving it back.

mod autostart;
pub mod backup;
mod copy;
mod create;
mod delete;
mod devices;
mod exits;
mod host;
mod hotplug;
mod ids;
pub mod limits;
pub mod migrate;
mod modules;
mod pinning;
mod pool_move;
mod profile;
mod quota;
mod rebuild;
mod refresh;
mod relocate;
mod rename;
mod snapshot;
mod start;
mod state;
mod stop;
#[cfg(test)]
mod tests;
pub mod tpm;
mod update;
mod view;

pub use autostart::{adopt, adopt_running, start_all};
pub use create::create;
pub use delete::{delete, delete_now};
pub use devices::{LimitChange, LiveChange, undo as undo_devices};
pub use exits::watch_exits;
pub use host::shut_down_all;
pub use hotplug::{catch_up_all, follow};
pub use ids::settle as settle_ids;
pub use pinning::{Pinning, rebalance};
pub use pool_move::move_to_pool;
pub use profile::change_users;
pub use rebuild::{limit_again, rebuild};
pub use relocate::{Destination, relocate};
pub use rename::rename;
pub use snapshot::{create_snapshot, delete_snapshot, rename_snapshot, update_snapshot};
pub use start::{Started, load, start};
pub use state::{change_all, change_state};
pub use update::{restore, update};
pub use view::{View, full, get, list, render_snapshot, snapshot, snapshots, state as state_view};

use std::os::fd::BorrowedFd;

use crate::app::network;
use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::InstanceHandle;
use crate::model::Instance;

/// An instance by name.
pub async fn find(app: &App, project: &str, name: &str) -> Result<Instance> {
    let (id, key) = (app.project(project).await?, name.to_owned());
    let found = app.db.read(move |tx| instances::find(tx, id, &key)).await?;
    found.ok_or_else(|| Error::not_found("instance", name))
}

/// The id of an instance by name.
pub async fn find_id(app: &App, project: &str, name: &str) -> Result<i64> {
    let (id, key) = (app.project(project).await?, name.to_owned());
    let found = app
        .db
        .read(move |tx| instances::find_id(tx, id, &key))
        .await?;
    found.ok_or_else(|| Error::not_found("instance", name))
}

/// An instance by id, whatever it is called now.
pub async fn find_by_id(app: &App, id: i64) -> Result<Instance> {
    let found = app.db.read(move |tx| instances::find_by_id(tx, id)).await?;
    found.ok_or_else(|| Error::not_found("instance", id.to_string()))
}

/// What was there for an instance that has ended goes: its emulators, and what [`network::left`] tells of.
async fn left(app: &App, id: i64, netns: Option<BorrowedFd<'_>>) {
    tpm::left(app, id).await;
    network::left(app, id, netns).await;
}

/// The actor of an instance that was just read.
fn handle(app: &App, instance: &Instance) -> Result<InstanceHandle> {
    app.instances.of(instance)
}
