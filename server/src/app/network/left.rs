//! What an instance leaves when it ends.

use std::os::fd::BorrowedFd;

use rlxc_sys::chain::chain;

use super::{rules, traces};
use crate::context::App;

/// An instance has ended: processes of its proxies have by themselves; rules of proxies and NICs go now, and what it has
/// lent, listened on or had the host do for it is undone. `netns` is its namespace, where somebody still keeps it. What fails
/// is tried again by the reconciler.
pub async fn left(app: &App, instance: i64, netns: Option<BorrowedFd<'_>>) {
    for device in rules::proxies_of(app, instance) {
        if let Err(error) = rules::set_proxy(app, (instance, &device), None).await {
            tracing::warn!(instance, device, error = %chain(&error), "rules of a proxy stay");
        }
    }
    if let Err(error) = rules::forget_instance(app, instance).await {
        tracing::warn!(instance, error = %chain(&error), "rules of a NIC stay");
    }
    if let Err(error) = traces::undo_all(app, instance, netns).await {
        tracing::warn!(instance, error = %chain(&error), "something of a NIC stays");
    }
}
