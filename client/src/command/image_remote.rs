//! A remote that images are taken from: a daemon, or a server that has nothing but images.

use anyhow::{Context as _, Result, bail};
use rlxc_api::{Image, ImagesPostSource, Server};
use rlxc_client::{Connection, Endpoint, Reply};
use serde_json::{Value, json};

use super::{image, object};
use crate::context::Context;
use crate::remote::{Remote, Remotes, pinned_path};

/// A remote that images are taken from.
#[derive(Debug)]
pub(crate) enum ImageRemote {
    /// It publishes an index and files.
    Streams(Remote),
    /// It speaks the API.
    Daemon(Daemon),
}

/// A daemon as a source of images.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// The connection.
    pub(crate) client: Connection,
    name: String,
    protocol: String,
}

/// Where another server finds a daemon, and what proves that it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `https://host:port`.
    pub(crate) address: String,
    /// PEM; empty where an authority has signed it.
    pub(crate) certificate: String,
}

impl ImageRemote {
    /// Nothing is asked yet.
    pub(crate) fn open(remotes: &Remotes, name: &str) -> Result<Self> {
        let known = remotes.remotes.get(name);
        if let Some(remote) = known.filter(|remote| !remote.speaks_api()) {
            return Ok(Self::Streams(remote.clone()));
        }
        let protocol = known.map_or("", |remote| remote.protocol.as_str());
        Ok(Self::Daemon(Daemon {
            client: Connection::new(remotes.endpoint(name)?, None),
            name: name.to_owned(),
            protocol: if protocol.is_empty() { "lxd" } else { protocol }.to_owned(),
        }))
    }

    /// An image of a daemon.
    pub(crate) async fn find(&self, name: &str) -> Result<Image> {
        match self {
            Self::Daemon(daemon) => image::find_on(&daemon.client, name)
                .await
                .with_context(|| format!("look for image `{name}` on `{}`", daemon.name)),
            Self::Streams(_) => bail!("an image server tells no single image"),
        }
    }

    /// Where another server may find it, best first.
    pub(crate) async fn places(&self) -> Result<Vec<Place>> {
        match self {
            Self::Streams(remote) => Ok(vec![Place {
                address: remote.addr.clone(),
                certificate: String::new(),
            }]),
            Self::Daemon(daemon) => places(&daemon.client, &daemon.name).await,
        }
    }

    /// What lets another server fetch an image; one that is not public with a secret.
    pub(crate) async fn order(
        &self,
        image: &Image,
        name: &str,
        place: &Place,
    ) -> Result<ImagesPostSource> {
        let Self::Daemon(daemon) = self else {
            bail!("an image server needs no order");
        };
        let mut order = ImagesPostSource {
            kind: "image".to_owned(),
            mode: "pull".to_owned(),
            protocol: daemon.protocol.clone(),
            server: place.address.clone(),
            certificate: place.certificate.clone(),
            ..ImagesPostSource::default()
        };
        let by_alias = image.aliases.iter().any(|alias| alias.name == name);
        if image.put.public && by_alias {
            // By its name, so that a newer one can be looked for.
            name.clone_into(&mut order.alias);
            return Ok(order);
        }
        order.fingerprint.clone_from(&image.fingerprint);
        if !image.put.public {
            let path = format!("{}/secret", object("images", &image.fingerprint));
            let Reply::Begun(token) = daemon.client.post(&path, &json!({})).await? else {
                bail!("`{}` gave no secret for the image", daemon.name);
            };
            let metadata = token.metadata.unwrap_or_default();
            let secret = metadata.get("secret").and_then(Value::as_str);
            secret
                .context("the secret is missing")?
                .clone_into(&mut order.secret);
        }
        Ok(order)
    }
}

impl Place {
    /// Where the daemon that a command is about is found by others.
    pub(crate) async fn of_target(context: &Context) -> Result<Self> {
        let all = places(&context.client, &context.remote).await?;
        all.into_iter().next().context("the target has no address")
    }
}

async fn places(client: &Connection, name: &str) -> Result<Vec<Place>> {
    if let Endpoint::Tls(server) = client.endpoint() {
        let path = pinned_path(name)?;
        let certificate = match std::fs::read_to_string(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        return Ok(vec![Place {
            address: format!("https://{}", server.address()),
            certificate,
        }]);
    }
    let server: Server = client.get("/1.0").await?;
    let environment = server.environment;
    if environment.addresses.is_empty() {
        bail!(
            "`{name}` is not open to the network, so no other server finds it: set its `core.https_address`, or use --mode relay"
        );
    }
    let places = environment.addresses.iter().map(|address| Place {
        address: format!("https://{address}"),
        certificate: environment.certificate.clone(),
    });
    Ok(places.collect())
}
