//! Where an image comes from: here, an image server, or built from packages.

use anyhow::{Context as _, Result, bail};
use rlxc_api::{
    Image, ImageAlias, ImageAliasesEntry, ImagesPost, ImagesPostSource, InstanceSource, Operation,
};
use rlxc_client::url;
use serde_json::Value;

use super::image_remote::ImageRemote;
use super::object;
use crate::context::Context;
use crate::hint;
use crate::release::{self, Release};
use crate::remote::{Remote, Remotes};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A name without a remote.
    Here(String),
    /// A name on another remote.
    There {
        /// Name of the remote.
        server: String,
        /// Alias, or fingerprint, there.
        alias: String,
    },
}

/// Reads `NAME`, `REMOTE:NAME` of the daemon that is meant, and `SERVER:ALIAS`.
pub(crate) fn parse(context: &Context, text: &str) -> Result<Wanted> {
    let Some((server, alias)) = text.split_once(':') else {
        return Ok(Wanted::Here(text.to_owned()));
    };
    if server == context.remote {
        return Ok(Wanted::Here(alias.to_owned()));
    }
    let remotes = Remotes::load()?;
    if remotes.has(server) {
        return Ok(Wanted::There {
            server: server.to_owned(),
            alias: alias.to_owned(),
        });
    }
    // `debian:12` is what other tools would have written.
    if Release::find(&format!("{server}/{alias}")).is_some() {
        bail!("there is no remote `{server}`; did you mean `{server}/{alias}`?");
    }
    bail!("there is no remote `{server}`: see `rlxc remote list`");
}

/// The source that names an alias of this daemon.
pub(crate) fn alias(alias: &str) -> InstanceSource {
    InstanceSource {
        kind: "image".to_owned(),
        alias: alias.to_owned(),
        ..InstanceSource::default()
    }
}

fn fingerprint(fingerprint: String) -> InstanceSource {
    InstanceSource {
        kind: "image".to_owned(),
        fingerprint,
        ..InstanceSource::default()
    }
}

/// Gets an image that is no local alias, and says on stderr how; `None` where it is a local alias after all.
pub(crate) async fn obtain(context: &Context, wanted: &Wanted) -> Result<Option<InstanceSource>> {
    match wanted {
        Wanted::There { server, alias } => there(server, alias)
            .await
            .with_context(|| format!("get `{alias}` from `{server}`"))
            .map(Some),
        Wanted::Here(name) => match resolve(context, name).await? {
            Some(found) => Ok(Some(found)),
            None => fetch_or_build(context, name)
                .await
                .map(|found| found.map(fingerprint)),
        },
    }
}

/// The source that lets the daemon fetch an image from a remote by itself, and keep it for the next time.
async fn there(server: &str, alias: &str) -> Result<InstanceSource> {
    let source = ImageRemote::open(&Remotes::load()?, server)?;
    let order = match &source {
        ImageRemote::Streams(remote) => ImagesPostSource {
            protocol: remote.protocol.clone(),
            server: remote.addr.clone(),
            alias: alias.to_owned(),
            ..ImagesPostSource::default()
        },
        ImageRemote::Daemon(_) => {
            let image = source.find(alias).await?;
            let place = source.places().await?;
            let place = place.first().context("the source is at no address")?;
            source.order(&image, alias, place).await?
        }
    };
    Ok(InstanceSource {
        kind: "image".to_owned(),
        mode: "pull".to_owned(),
        protocol: order.protocol,
        server: order.server,
        certificate: order.certificate,
        secret: order.secret,
        alias: order.alias,
        fingerprint: order.fingerprint,
        ..InstanceSource::default()
    })
}

/// Looks among what is here: a fingerprint, or the full name of a release that was given by a shorter one.
async fn resolve(context: &Context, name: &str) -> Result<Option<InstanceSource>> {
    if name.len() >= 6 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        match context.client.get::<Image>(&object("images", name)).await {
            Ok(image) => return Ok(Some(fingerprint(image.fingerprint))),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Some(full) = Release::find(name)
        .map(Release::alias)
        .filter(|full| full != name)
    else {
        return Ok(None);
    };
    Ok(has_alias(context, &full).await?.then(|| alias(&full)))
}

async fn has_alias(context: &Context, name: &str) -> Result<bool> {
    match context
        .client
        .get::<Value>(&object("images/aliases", name))
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn fetch_or_build(context: &Context, name: &str) -> Result<Option<String>> {
    if has_alias(context, name).await? {
        return Ok(None);
    }
    let release = Release::find(name);
    let remotes = Remotes::load()?;
    for (server, remote) in remotes.image_servers() {
        let there = release.map_or_else(|| name.to_owned(), Release::alias);
        match pull(context, server, remote, &there).await {
            Ok(found) => {
                context.printer.note(&format!(
                    "Image `{there}` came from the image server `{server}` ({})",
                    remote.addr
                ));
                name_it(context, &found, name).await;
                return Ok(Some(found));
            }
            Err(error) => context
                .printer
                .note(&format!("Image server `{server}`: {error:#}")),
        }
    }
    let Some(release) = release else {
        return Err(unknown(context, name).await);
    };
    context.printer.note(&format!(
        "Building `{}` from the packages of its distribution",
        release.alias()
    ));
    let source = build_source(release);
    let mut aliases = vec![release.alias()];
    if name != aliases[0] {
        aliases.push(name.to_owned());
    }
    build(context, source, &aliases).await.map(Some)
}

async fn unknown(context: &Context, name: &str) -> anyhow::Error {
    let mut names = release::names();
    if let Ok(urls) = context
        .client
        .get::<Vec<String>>("/1.0/images/aliases")
        .await
    {
        names.extend(urls.iter().map(|url| url::last(url)));
    }
    let near = hint::did_you_mean(name, names.iter().map(String::as_str)).unwrap_or_else(|| {
        "`rlxc image list` shows what is here, and debian and ubuntu can be built".to_owned()
    });
    anyhow::anyhow!("there is no image `{name}`: {near}")
}

/// Lets the daemon fetch an image; gives back its fingerprint.
async fn pull(context: &Context, server: &str, remote: &Remote, alias: &str) -> Result<String> {
    let source = ImagesPostSource {
        kind: "image".to_owned(),
        mode: "pull".to_owned(),
        protocol: remote.protocol.clone(),
        server: remote.addr.clone(),
        alias: alias.to_owned(),
        ..ImagesPostSource::default()
    };
    post(
        context,
        source,
        &[],
        &format!("Getting {alias} from {server}"),
    )
    .await
}

pub(crate) fn build_source(release: Release) -> ImagesPostSource {
    ImagesPostSource {
        kind: "build".to_owned(),
        distribution: release.distribution.to_owned(),
        release: release.number.to_owned(),
        ..ImagesPostSource::default()
    }
}

/// Lets the daemon build an image; gives back its fingerprint.
pub(crate) async fn build(
    context: &Context,
    source: ImagesPostSource,
    aliases: &[String],
) -> Result<String> {
    let label = format!("Building {}/{}", source.distribution, source.release);
    post(context, source, aliases, &label).await
}

async fn post(
    context: &Context,
    source: ImagesPostSource,
    aliases: &[String],
    label: &str,
) -> Result<String> {
    let body = ImagesPost {
        source: Some(source),
        aliases: aliases
            .iter()
            .map(|name| ImageAlias {
                name: name.clone(),
                ..ImageAlias::default()
            })
            .collect(),
        ..ImagesPost::default()
    };
    let reply = context.client.post("/1.0/images", &body).await?;
    let operation = context
        .finish(reply, label)
        .await?
        .context("the daemon began nothing")?;
    fingerprint_of(&operation)
}

/// The image that an operation made.
pub(crate) fn fingerprint_of(operation: &Operation) -> Result<String> {
    operation
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.get("fingerprint"))
        .and_then(Value::as_str)
        .map(str::to_owned)
        .context("the operation does not name the image")
}

/// Makes the next launch find it here.
async fn name_it(context: &Context, fingerprint: &str, name: &str) {
    let mut entry = ImageAliasesEntry {
        name: name.to_owned(),
        ..ImageAliasesEntry::default()
    };
    fingerprint.clone_into(&mut entry.put.target);
    if let Err(error) = context.client.post("/1.0/images/aliases", &entry).await {
        context
            .printer
            .note(&format!("The image has no alias `{name}`: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_remote_are_looked_up_here() {
        let context = Context::new(
            "box".to_owned(),
            rlxc_client::Endpoint::local(),
            None,
            crate::printer::Printer::new(true),
        );
        assert_eq!(
            parse(&context, "debian/12").unwrap(),
            Wanted::Here("debian/12".into())
        );
        assert_eq!(
            parse(&context, "box:mine").unwrap(),
            Wanted::Here("mine".into())
        );
        let there = Wanted::There {
            server: "local".into(),
            alias: "mine".into(),
        };
        assert_eq!(parse(&context, "local:mine").unwrap(), there);
    }
}
