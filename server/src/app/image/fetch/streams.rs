//! Images of servers that publish them in the format of simplestreams.

use std::sync::atomic::{AtomicU64, Ordering};

use rlxc_storage::image::ImageFiles;

use super::{Wanted, delta, proxies, unreachable};
use crate::app::image::import::{Draft, Trust};
use crate::app::image::incoming::{Incoming, Scratch};
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::operation::Handle;
use crate::simplestreams::{
    DownloadProgress, ImageServer, Order, RemoteImage, SimplestreamsError, architecture,
};
use crate::web::WebError;

/// An image that such a server has.
#[derive(Debug)]
pub(super) struct Found {
    server: ImageServer,
    image: RemoteImage,
}

/// Asks the server what it has under that name.
pub(super) async fn find(wanted: &Wanted, config: &Config) -> Result<Found> {
    let failed = |error| refuse(wanted, error);
    let server = ImageServer::new(&wanted.server, proxies(config)).map_err(failed)?;
    let meant = config.get("images.default_architecture");
    let meant = meant.map_or(architecture::native(), String::as_str);
    let image = server.find(&wanted.name, meant).await.map_err(failed)?;
    Ok(Found { server, image })
}

impl Found {
    pub(super) fn fingerprint(&self) -> &str {
        &self.image.files.fingerprint
    }

    /// What the server says of it, where the draft says nothing else.
    pub(super) fn describe(&self, draft: &mut Draft) {
        draft.trust = Trust::Made;
        let mut properties = self.image.properties.clone();
        properties.extend(std::mem::take(&mut draft.properties));
        draft.properties = properties;
    }

    pub(super) async fn download(
        &self,
        app: &App,
        operation: &Handle,
        wanted: &Wanted,
    ) -> Result<Incoming> {
        let scratch = Scratch::create(app)?;
        let told = AtomicU64::new(u64::MAX);
        let progress = |progress: DownloadProgress| {
            let percent = progress.done.saturating_mul(100) / progress.total.max(1);
            if told.swap(percent, Ordering::Relaxed) != percent {
                let text = format!("{}: {percent}%", progress.name);
                operation.set("download_progress", text);
            }
        };
        let cancel = operation.cancellation().clone();
        let order = Order {
            image: &self.image,
            shortcut: delta::find(app, operation.project(), &self.image.files).await?,
            directory: scratch.path(),
        };
        let downloaded = self
            .server
            .download(order, progress, cancel)
            .await
            .map_err(|error| refuse(wanted, error))?;
        Ok(Incoming {
            scratch,
            files: ImageFiles {
                meta: downloaded.metadata,
                rootfs: downloaded.rootfs,
            },
            fingerprint: downloaded.fingerprint,
            size: self.image.files.size(),
        })
    }
}

/// What a client can tell apart: nobody there, no such image, and all else.
fn refuse(wanted: &Wanted, error: SimplestreamsError) -> Error {
    match error {
        SimplestreamsError::Web(WebError::Unreachable { source, .. }) => {
            unreachable(wanted, &source)
        }
        SimplestreamsError::NotFound {
            name,
            architecture,
            nearest,
        } => Error::NotFound {
            kind: "image",
            name,
            hint: hint(wanted, &architecture, &nearest),
        },
        SimplestreamsError::Cancelled => Error::Cancelled,
        error => Error::failed(
            format!("get image `{}` from `{}`", wanted.name, wanted.server),
            error,
        ),
    }
}

fn hint(wanted: &Wanted, architecture: &str, nearest: &[String]) -> String {
    let names: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
    let near = if names.is_empty() {
        String::new()
    } else {
        format!("; the nearest: {}", names.join(", "))
    };
    format!(" for {architecture} on `{}`{near}", wanted.server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_and_no_such_image_are_two_things() {
        let wanted = Wanted::new(
            "simplestreams",
            "https://images.example/",
            ["debian/12", ""],
        )
        .unwrap();
        let unreachable = WebError::Unreachable {
            server: "images.example:443".to_owned(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        };
        assert_eq!(
            refuse(&wanted, unreachable.into()).to_string(),
            "image server `https://images.example` can't be reached: connection refused"
        );
        let missing = SimplestreamsError::NotFound {
            name: "debain".to_owned(),
            architecture: "amd64".to_owned(),
            nearest: vec!["debian".to_owned()],
        };
        assert_eq!(
            refuse(&wanted, missing).to_string(),
            "image `debain` not found for amd64 on `https://images.example`; the nearest: `debian`"
        );
    }
}
