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
mod publish;
mod refresh;
mod resolve;
mod view;

pub use create::{create, upload};
pub use delete::{delete, sweep_pools};
pub use fetch::Checks;
pub use files::{files, remove_files_unless_known};
pub use import::Draft;
pub use incoming::{Incoming, Upload};
pub use on_pool::ensure_on_pool;
pub use publish::parse_compression;
pub use refresh::refresh;
pub use resolve::{find, resolve};
pub use view::{get, list, list_all, update};

use std::collections::BTreeMap;

use rlxc_api::Requestor;

use crate::context::App;
use crate::events::Lifecycle;

/// The URL of an image.
pub fn url(fingerprint: &str) -> String {
    format!("/1.0/images/{fingerprint}")
}

/// The URL of an alias; `/` in it is escaped.
pub fn alias_url(name: &str) -> String {
    use std::fmt::Write as _;
    let mut url = "/1.0/images/aliases/".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ok = write!(url, "%{byte:02X}");
        }
    }
    url
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
