//! `publish`.

use anyhow::{Context as _, Result};
use rlxc_api::{
    ImageAlias, ImagePut, ImagesPost, ImagesPostSource, Instance, InstanceStatePut, StatusCode,
    Timestamp,
};
use rlxc_client::url;

use super::image_alias;
use super::image_source::fingerprint_of;
use super::keys;
use crate::cli::PublishArgs;
use crate::context::Context;

pub(crate) async fn run(context: &Context, args: PublishArgs) -> Result<()> {
    if !args.reuse {
        image_alias::must_be_free(context, &args.aliases).await?;
    }
    let stopped =
        args.force && set_state(context, &args.source, StatusCode::Running, "stop").await?;
    let made = publish(context, &args).await;
    if stopped {
        set_state(context, &args.source, StatusCode::Stopped, "start")
            .await
            .context("start it again")?;
    }
    context.printer.done(&format!("Image {}", made?))
}

async fn publish(context: &Context, args: &PublishArgs) -> Result<String> {
    let kind = if args.source.contains('/') {
        "snapshot"
    } else {
        "instance"
    };
    // Those that are to be taken over are pointed to it when it is there.
    let given = if args.reuse { &[][..] } else { &args.aliases };
    let aliases = given.iter().map(|name| ImageAlias {
        name: name.clone(),
        ..ImageAlias::default()
    });
    let body = ImagesPost {
        put: ImagePut {
            public: args.public,
            expires_at: args.expire.clone().map_or_else(Timestamp::none, Timestamp),
            properties: keys::map(args.properties.clone()),
            ..ImagePut::default()
        },
        source: Some(ImagesPostSource {
            kind: kind.to_owned(),
            name: args.source.clone(),
            ..ImagesPostSource::default()
        }),
        compression_algorithm: args.compression.clone().unwrap_or_default(),
        aliases: aliases.collect(),
        ..ImagesPost::default()
    };
    let reply = context.client.post("/1.0/images", &body).await?;
    let operation = context
        .finish(reply, &format!("Publishing {}", args.source))
        .await?;
    let fingerprint = fingerprint_of(&operation.context("the daemon began nothing")?)?;
    for alias in args.aliases.iter().filter(|_| args.reuse) {
        image_alias::point(context, alias, &fingerprint, "").await?;
    }
    Ok(fingerprint)
}

/// Does `action` where the instance is in the state `from`; tells whether it did.
async fn set_state(
    context: &Context,
    source: &str,
    from: StatusCode,
    action: &str,
) -> Result<bool> {
    let path = url::instance(source);
    if source.contains('/') || context.client.get::<Instance>(&path).await?.status_code != from {
        return Ok(false);
    }
    let body = InstanceStatePut {
        action: action.to_owned(),
        timeout: -1,
        ..InstanceStatePut::default()
    };
    let reply = context
        .client
        .put(&format!("{path}/state"), &body, None)
        .await?;
    context.finish(reply, &format!("{action} {source}")).await?;
    Ok(true)
}
