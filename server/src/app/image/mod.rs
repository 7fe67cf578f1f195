//! Images: the store, where they come from, and their way onto pools.
//!
//! ```text
//!  upload | build | image server | instance ──▶ scratch ──▶ images/<fingerprint> ──▶ row      a row is the last thing made
//!  row ──▶ files, unpacked copies                                                             and the first that goes
//! ```

pub mod alias;
mod build;
mod create;
mod delete;
mod fetch;
mod files;
mod import;
mod incoming;
mod on_pool;
mod outgoing;
mod publish;
mod push;
mod receive;
mod refresh;
mod resolve;
pub mod secret;
pub mod upkeep;
mod view;

pub use create::{Announcement, create, upload};
pub use delete::{delete, sweep_pools};
pub use fetch::Checks;
pub use files::remove_files_unless_known;
pub use import::Draft;
pub use incoming::Incoming;
pub use on_pool::ensure_on_pool;
pub use outgoing::{Outgoing, open};
pub use publish::server_algorithm;
pub use push::push;
pub use receive::receive_upload;
pub use refresh::refresh;
pub use resolve::{find, resolve};
pub use view::{get, list, list_all, update};

use std::collections::BTreeMap;

use rlxc_api::Requestor;

use crate::context::App;
use crate::events::Lifecycle;
use crate::peer::escape;

/// The URL of an image.
pub fn url(fingerprint: &str) -> String {
    format!("/1.0/images/{fingerprint}")
}

/// The URL of an alias; `/` in it is escaped.
pub fn alias_url(name: &str) -> String {
    format!("/1.0/images/aliases/{}", escape(name))
}

fn event(app: &App, action: &str, project: &str, fingerprint: &str, who: Option<Requestor>) {
    app.events.lifecycle(Lifecycle {
        action,
        source: url(fingerprint),
        project,
        name: fingerprint,
        requestor: who,
        context: BTreeMap::new(),
    });
}

/// Tells listeners that somebody fetches an image.
pub fn tell_retrieved(app: &App, who: &Requestor, project: &str, fingerprint: &str) {
    event(
        app,
        "image-retrieved",
        project,
        fingerprint,
        Some(who.clone()),
    );
}

fn event_of_alias(app: &App, action: &str, project: &str, name: &str, who: &Requestor) {
    app.events.lifecycle(Lifecycle {
        action,
        source: alias_url(name),
        project,
        name,
        requestor: Some(who.clone()),
        context: BTreeMap::new(),
    });
}

#[cfg(test)]
mod tests;
