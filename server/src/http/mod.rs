//! The REST API: LXD's `1.0` on the wire. A handler is extract → parse → application function → render; wire types
//! stop here.

mod access;
mod backups;
mod certificates;
mod closing;
mod cross_origin;
mod edit;
mod error;
mod events;
mod extract;
mod files;
mod filter;
mod guest;
mod identity;
mod image_aliases;
mod image_export;
mod image_upload;
mod images;
mod instance_metadata;
mod instances;
mod leftover;
mod linger;
mod listener;
mod logs;
mod metadata;
mod metrics;
mod network_acls;
mod network_forwards;
mod network_zones;
mod networks;
mod octets;
mod openapi;
mod operations;
mod patch;
mod pools;
mod profiles;
mod projects;
mod render;
#[cfg(test)]
mod routes;
mod server;
mod sessions;
mod sftp;
mod snapshots;
mod sql;
mod tls;
pub mod user_socket;
mod volume_backups;
mod volume_snapshots;
mod volumes;
mod warnings;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;

pub use guest::serve_guests;
pub use listener::{UnixSocket, serve};
pub use tls::serve_tls;

use crate::context::App;

/// The largest JSON body; uploads are streamed and have no limit but the disk.
const LARGEST_BODY: usize = 16 << 20;

/// All routes.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .merge(server::routes())
        .merge(sql::routes())
        .nest("/1.0/instances", instances::routes())
        .nest("/1.0/containers", instances::routes())
        .merge(instances::of_other_kinds())
        .merge(images::routes())
        .merge(metadata::routes())
        .merge(metrics::routes())
        .merge(networks::routes())
        .merge(network_acls::routes())
        .merge(network_zones::routes())
        .merge(network_forwards::routes())
        .merge(openapi::routes())
        .merge(pools::routes())
        .merge(volumes::routes())
        .merge(volume_backups::routes())
        .merge(volume_snapshots::routes())
        .merge(profiles::routes())
        .merge(projects::routes())
        .merge(certificates::routes())
        .merge(operations::routes())
        .merge(events::routes())
        .merge(warnings::routes())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            closing::refuse_new,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            access::check,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            cross_origin::allow,
        ))
        .layer(middleware::map_response(render::headers))
        .layer(middleware::from_fn(leftover::clear))
        .with_state(Arc::clone(app))
}

/// What a handler learns of root, in tests.
#[cfg(test)]
pub(crate) fn root_peer() -> axum::extract::ConnectInfo<impl Clone + Send + Sync + 'static> {
    axum::extract::ConnectInfo(identity::Peer::root())
}
