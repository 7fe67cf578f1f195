//! Images from image servers: copied on request, or kept as a cache of what instances are made of.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rlxc_api::{ImagesPostSource, InstanceSource, Requestor};
use rlxc_storage::image::ImageFiles;
use rlxc_sys::chain::chain;

use super::create::{Made, created, server_config};
use super::import::{Draft, Trust, import};
use super::incoming::{Incoming, Scratch};
use crate::app::project::gate;
use crate::context::App;
use crate::db::images;
use crate::error::{Error, Result};
use crate::model::{Config, Image, ImageOrigin};
use crate::operation::Handle;
use crate::simplestreams::{
    DownloadProgress, ImageServer, ProxySettings, RemoteImage, SimplestreamsError,
};

/// The protocol that all image servers speak.
pub(super) const PROTOCOL: &str = "simplestreams";
/// How long what a server said is believed before an instance is made of a cached image.
const FRESH: Duration = Duration::from_secs(6 * 3600);

/// When servers were last asked about which image.
#[derive(Debug, Default)]
pub struct Checks(Mutex<HashMap<(String, String), Instant>>);

impl Checks {
    fn is_fresh(&self, wanted: &Wanted) -> bool {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks
            .get(&wanted.key())
            .is_some_and(|when| when.elapsed() < FRESH)
    }

    /// As if no server was ever asked.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn note(&self, wanted: &Wanted) {
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks.retain(|_, when| when.elapsed() < FRESH);
        checks.insert(wanted.key(), Instant::now());
    }
}

/// An image on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    server: String,
    /// Alias, or the beginning of a fingerprint.
    name: String,
}

impl Wanted {
    pub(super) fn parse(source: &ImagesPostSource) -> Result<Self> {
        let names = [source.alias.as_str(), &source.fingerprint];
        Self::new(&source.protocol, &source.server, names)
    }

    /// Where an image came from, to look there again.
    pub(super) fn again(origin: &ImageOrigin) -> Result<Self> {
        Self::new(
            &origin.protocol,
            &origin.server,
            [origin.alias.as_str(), ""],
        )
    }

    fn new(protocol: &str, server: &str, names: [&str; 2]) -> Result<Self> {
        if server.is_empty() {
            return Err(Error::Invalid(
                "the source names no server to copy the image from".to_owned(),
            ));
        }
        if protocol != PROTOCOL {
            return Err(Error::Invalid(format!(
                "images can't be fetched by the protocol `{protocol}` here: simplestreams is possible, \
                 and `rlxc image export` there with `rlxc image import` here"
            )));
        }
        let name = names.into_iter().find(|name| !name.is_empty());
        let Some(name) = name else {
            return Err(Error::Invalid(
                "the source names no image: it needs `alias` or `fingerprint`".to_owned(),
            ));
        };
        Ok(Self {
            server: server.trim_end_matches('/').to_owned(),
            name: name.to_owned(),
        })
    }

    fn key(&self) -> (String, String) {
        (self.server.clone(), self.name.clone())
    }

    fn origin(&self) -> ImageOrigin {
        ImageOrigin {
            protocol: PROTOCOL.to_owned(),
            server: self.server.clone(),
            alias: self.name.clone(),
        }
    }
}

/// The image of an instance to be: the cached one while it is fresh, or if the server can't be reached.
pub(super) async fn from_server(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    source: &InstanceSource,
    operation: &Handle,
) -> Result<Image> {
    let wanted = Wanted::new(
        &source.protocol,
        &source.server,
        [source.alias.as_str(), &source.fingerprint],
    )?;
    gate::check_image_server(app, project, &wanted.server).await?;
    let cached = cached(app, project, &wanted).await?;
    if app.image_checks.is_fresh(&wanted)
        && let Some(image) = cached
    {
        return Ok(image);
    }
    let config = server_config(app).await?;
    let follow = config.get("images.auto_update_cached");
    let draft = Draft {
        cached: true,
        auto_update: follow.is_none_or(|value| crate::keys::parse_bool(value) != Some(false)),
        ..Draft::default()
    };
    match (copy(app, operation, &wanted, draft).await, cached) {
        (Ok(made), _) => {
            if made.new {
                created(app, operation, who.clone(), &made.image);
            }
            Ok(made.image)
        }
        (Err(error @ Error::Unavailable(_)), Some(image)) => {
            tracing::warn!(error = %chain(&error), image = image.fingerprint, "the cached image is used");
            Ok(image)
        }
        (Err(error), _) => Err(error),
    }
}

async fn cached(app: &App, project: &str, wanted: &Wanted) -> Result<Option<Image>> {
    let (id, origin) = (app.project(project).await?, wanted.origin());
    Ok(app
        .db
        .read(move |tx| images::find_by_origin(tx, id, &origin))
        .await?)
}

/// Brings an image here from its server unless it is here. Whoever asks for the same meanwhile waits.
pub(super) async fn copy(
    app: &App,
    operation: &Handle,
    wanted: &Wanted,
    mut draft: Draft,
) -> Result<Made> {
    let key = format!("fetch/{}/{}", wanted.server, wanted.name);
    let _turn = app.image_locks.lock(&key).await;
    let config = server_config(app).await?;
    let failed = |error| refuse(wanted, error);
    let server = ImageServer::new(&wanted.server, proxies(&config)).map_err(failed)?;
    operation.set("download_progress", "Asking the image server");
    let remote = tokio::select! {
        found = server.find(&wanted.name) => found.map_err(failed)?,
        () = operation.cancellation().cancelled() => return Err(Error::Cancelled),
    };
    app.image_checks.note(wanted);
    draft.take_aliases = true;
    let (id, fingerprint) = (
        app.project(operation.project()).await?,
        remote.files.fingerprint.clone(),
    );
    let mut here = app
        .db
        .read(move |tx| images::find_by_prefix(tx, id, &fingerprint))
        .await?;
    if let Some(image) = here.pop() {
        return Made::known(app, operation.project(), image, &draft).await;
    }
    let incoming =
        download(app, operation, &server, &remote)
            .await
            .map_err(|error| match error {
                Failure::Server(error) => failed(error),
                Failure::Own(error) => error,
            })?;
    draft.origin = Some(wanted.origin());
    draft.trust = Trust::Made;
    let mut properties = remote.properties;
    properties.extend(std::mem::take(&mut draft.properties));
    draft.properties = properties;
    let (operation, project) = (operation.id(), operation.project());
    import(app, operation, project, incoming, draft)
        .await
        .map(Made::new)
}

enum Failure {
    Server(SimplestreamsError),
    Own(Error),
}

async fn download(
    app: &App,
    operation: &Handle,
    server: &ImageServer,
    remote: &RemoteImage,
) -> Result<Incoming, Failure> {
    let scratch = Scratch::create(app).map_err(Failure::Own)?;
    let told = AtomicU64::new(u64::MAX);
    let progress = |progress: DownloadProgress| {
        let percent = progress.done.saturating_mul(100) / progress.total.max(1);
        if told.swap(percent, Ordering::Relaxed) != percent {
            operation.set("download_progress", format!("rootfs: {percent}%"));
        }
    };
    let cancel = operation.cancellation().clone();
    let downloaded = server
        .download(remote, scratch.path(), progress, cancel)
        .await
        .map_err(Failure::Server)?;
    let files = &remote.files;
    Ok(Incoming {
        scratch,
        files: ImageFiles {
            meta: downloaded.metadata,
            rootfs: Some(downloaded.rootfs),
        },
        fingerprint: downloaded.fingerprint,
        size: files.metadata.size.saturating_add(files.rootfs.size),
    })
}

/// What a client can tell apart: nobody there, no such image, and all else.
fn refuse(wanted: &Wanted, error: SimplestreamsError) -> Error {
    match error {
        SimplestreamsError::Unreachable { source, .. } => Error::Unavailable(format!(
            "image server `{}` can't be reached: {source}",
            wanted.server
        )),
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

fn proxies(config: &Config) -> ProxySettings {
    let key = |name: &str| config.get(name).cloned();
    let own = ProxySettings {
        http: key("core.proxy_http"),
        https: key("core.proxy_https"),
        ignore: key("core.proxy_ignore_hosts").unwrap_or_default(),
    };
    if own.http.is_none() && own.https.is_none() {
        ProxySettings::from_env()
    } else {
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(protocol: &str) -> ImagesPostSource {
        ImagesPostSource {
            protocol: protocol.to_owned(),
            server: "https://images.example/".to_owned(),
            alias: "debian/12".to_owned(),
            ..ImagesPostSource::default()
        }
    }

    #[test]
    fn other_protocols_are_refused_with_what_is_possible() {
        let error = Wanted::parse(&source("lxd")).unwrap_err().to_string();
        assert!(error.contains("simplestreams is possible"), "{error}");
    }

    #[test]
    fn nobody_there_and_no_such_image_are_two_things() {
        let wanted = Wanted::parse(&source(PROTOCOL)).unwrap();
        let unreachable = SimplestreamsError::Unreachable {
            server: "images.example:443".to_owned(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        };
        assert_eq!(
            refuse(&wanted, unreachable).to_string(),
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
