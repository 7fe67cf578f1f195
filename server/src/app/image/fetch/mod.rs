//! Images from other servers: copied on request, or kept as a cache of what instances are made of.

mod address;
mod delta;
mod peer;
mod streams;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rlxc_api::{ImagesPostSource, InstanceSource, Requestor};
use rlxc_sys::chain::chain;

pub(super) use address::Address;

use super::create::{Made, created, server_config};
use super::import::{Draft, import};
use super::incoming::Incoming;
use crate::app::project::gate;
use crate::context::App;
use crate::db::images;
use crate::error::{Error, Result};
use crate::model::{Config, Image, ImageOrigin};
use crate::operation::Handle;
use crate::web::ProxySettings;

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

/// What servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// Indexes and files.
    Simplestreams,
    /// This API, under either name.
    Lxd,
    Incus,
}

impl Protocol {
    fn parse(name: &str) -> Result<Self> {
        match name {
            "simplestreams" => Ok(Self::Simplestreams),
            // Nothing is LXD's own: its clients leave it out.
            "" | "lxd" => Ok(Self::Lxd),
            "incus" => Ok(Self::Incus),
            other => Err(Error::Invalid(format!(
                "images can't be fetched by the protocol `{other}` here: simplestreams, lxd and incus are possible"
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Simplestreams => "simplestreams",
            Self::Lxd => "lxd",
            Self::Incus => "incus",
        }
    }
}

/// An image on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    protocol: Protocol,
    server: String,
    /// Alias, or the beginning of a fingerprint.
    name: String,
    /// The server's certificate, PEM; empty where an authority has signed it.
    certificate: String,
    /// Opens one that is not public, once.
    secret: String,
    /// The project there.
    project: String,
}

impl Wanted {
    pub(super) fn parse(source: &ImagesPostSource) -> Result<Self> {
        let names = [source.alias.as_str(), &source.fingerprint];
        Ok(Self {
            certificate: source.certificate.clone(),
            secret: source.secret.clone(),
            project: source.project.clone(),
            ..Self::new(&source.protocol, &source.server, names)?
        })
    }

    /// Where an image came from, to look there again.
    pub(super) fn again(origin: &ImageOrigin) -> Result<Self> {
        let names = [origin.alias.as_str(), ""];
        Ok(Self {
            certificate: origin.certificate.clone(),
            project: origin.project.clone(),
            ..Self::new(&origin.protocol, &origin.server, names)?
        })
    }

    /// The image that an instance is to be made of.
    fn of_instance(source: &InstanceSource) -> Result<Self> {
        let names = [source.alias.as_str(), &source.fingerprint];
        Ok(Self {
            certificate: source.certificate.clone(),
            secret: source.secret.clone(),
            project: source.project.clone(),
            ..Self::new(&source.protocol, &source.server, names)?
        })
    }

    fn new(protocol: &str, server: &str, names: [&str; 2]) -> Result<Self> {
        if server.is_empty() {
            return Err(Error::Invalid(
                "the source names no server to copy the image from".to_owned(),
            ));
        }
        let name = names.into_iter().find(|name| !name.is_empty());
        let Some(name) = name else {
            return Err(Error::Invalid(
                "the source names no image: it needs `alias` or `fingerprint`".to_owned(),
            ));
        };
        Ok(Self {
            protocol: Protocol::parse(protocol)?,
            server: server.trim_end_matches('/').to_owned(),
            name: name.to_owned(),
            certificate: String::new(),
            secret: String::new(),
            project: String::new(),
        })
    }

    fn key(&self) -> (String, String) {
        (
            self.server.clone(),
            format!("{}/{}", self.project, self.name),
        )
    }

    fn origin(&self) -> ImageOrigin {
        ImageOrigin {
            protocol: self.protocol.name().to_owned(),
            server: self.server.clone(),
            alias: self.name.clone(),
            certificate: self.certificate.clone(),
            project: self.project.clone(),
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
    let wanted = Wanted::of_instance(source)?;
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
    gate::check_image_server(app, operation.project(), &wanted.server).await?;
    let key = format!("fetch/{}/{}", wanted.server, wanted.name);
    let _turn = app.image_locks.lock(&key).await;
    let config = server_config(app).await?;
    operation.set("download_progress", "Asking the image server");
    let found = tokio::select! {
        found = Found::look(wanted, &config) => found?,
        () = operation.cancellation().cancelled() => return Err(Error::Cancelled),
    };
    app.image_checks.note(wanted);
    draft.take_aliases = true;
    let (id, fingerprint) = (
        app.project(operation.project()).await?,
        found.fingerprint().to_ascii_lowercase(),
    );
    let mut here = app
        .db
        .read(move |tx| images::find_by_prefix(tx, id, &fingerprint))
        .await?;
    if let Some(image) = here.pop() {
        return Made::known(app, operation.project(), image, &draft).await;
    }
    let incoming = found.download(app, operation, wanted).await?;
    // What was opened by a secret can't be looked at again.
    draft.origin = Some(wanted.origin()).filter(|_| wanted.secret.is_empty());
    found.describe(&mut draft);
    let (operation, project) = (operation.id(), operation.project());
    import(app, operation, project, incoming, draft)
        .await
        .map(Made::new)
}

/// An image that a server has.
enum Found {
    Streams(Box<streams::Found>),
    Peer(Box<peer::Found>),
}

impl Found {
    async fn look(wanted: &Wanted, config: &Config) -> Result<Self> {
        match wanted.protocol {
            Protocol::Simplestreams => {
                let found = streams::find(wanted, config).await?;
                Ok(Self::Streams(Box::new(found)))
            }
            Protocol::Lxd | Protocol::Incus => {
                let found = peer::find(wanted, config).await?;
                Ok(Self::Peer(Box::new(found)))
            }
        }
    }

    fn fingerprint(&self) -> &str {
        match self {
            Self::Streams(found) => found.fingerprint(),
            Self::Peer(found) => found.fingerprint(),
        }
    }

    fn describe(&self, draft: &mut Draft) {
        match self {
            Self::Streams(found) => found.describe(draft),
            Self::Peer(found) => found.describe(draft),
        }
    }

    async fn download(&self, app: &App, operation: &Handle, wanted: &Wanted) -> Result<Incoming> {
        match self {
            Self::Streams(found) => found.download(app, operation, wanted).await,
            Self::Peer(found) => found.download(app, operation, wanted).await,
        }
    }
}

/// Nobody is there: what is here may do.
fn unreachable(wanted: &Wanted, source: &std::io::Error) -> Error {
    Error::Unavailable(format!(
        "image server `{}` can't be reached: {source}",
        wanted.server
    ))
}

pub(super) fn proxies(config: &Config) -> ProxySettings {
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

    #[test]
    fn other_protocols_are_refused_with_what_is_possible() {
        let source = ImagesPostSource {
            protocol: "oci".to_owned(),
            server: "https://images.example/".to_owned(),
            alias: "debian/12".to_owned(),
            ..ImagesPostSource::default()
        };
        let error = Wanted::parse(&source).unwrap_err().to_string();
        assert!(error.contains("simplestreams, lxd and incus"), "{error}");
    }
}
