//! `rebuild`.

use anyhow::{Context as _, Result, ensure};
use rlxc_api::{Instance, InstanceRebuildPost, InstanceSource, InstanceStatePut, StatusCode};
use rlxc_client::url;

use super::image_source;
use crate::cli::RebuildArgs;
use crate::context::Context;

pub(crate) async fn run(context: &Context, mut args: RebuildArgs) -> Result<()> {
    if let Some(image) = args.image.take() {
        // `rebuild IMAGE INSTANCE` is what other clients take.
        let swapped = !exists(context, &args.name).await? && exists(context, &image).await?;
        args.image = Some(if swapped {
            std::mem::replace(&mut args.name, image)
        } else {
            image
        });
    }
    let path = url::instance(&args.name);
    let instance: Instance = context.client.get(&path).await?;
    let source = source(context, &args, &instance).await?;
    let ran = instance.status_code != StatusCode::Stopped;
    ensure!(
        !ran || args.force,
        "instance `{}` is running: stop it first, or use --force; what is in it will be lost",
        args.name
    );
    if ran {
        set_state(context, &args.name, "stop").await?;
    }
    let reply = context
        .client
        .post(&format!("{path}/rebuild"), &InstanceRebuildPost { source })
        .await?;
    let rebuilt = context
        .finish(reply, &format!("Rebuilding {}", args.name))
        .await;
    if ran {
        set_state(context, &args.name, "start")
            .await
            .context("start it again")?;
    }
    rebuilt?;
    context.printer.done(&format!("Rebuilt {}", args.name))
}

async fn exists(context: &Context, name: &str) -> Result<bool> {
    match context.client.get::<Instance>(&url::instance(name)).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code(), Some(400 | 404)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The image that was asked for, or the one that the instance was made of.
async fn source(
    context: &Context,
    args: &RebuildArgs,
    instance: &Instance,
) -> Result<InstanceSource> {
    if args.empty {
        return Ok(InstanceSource {
            kind: "none".to_owned(),
            ..InstanceSource::default()
        });
    }
    let Some(image) = &args.image else {
        let base = instance.put.config.get("volatile.base_image");
        let base = base.with_context(|| {
            format!(
                "`{}` was made of no image: name one, or use --empty",
                args.name
            )
        })?;
        return Ok(InstanceSource {
            kind: "image".to_owned(),
            fingerprint: base.clone(),
            ..InstanceSource::default()
        });
    };
    let wanted = image_source::parse(context, image)?;
    let found = image_source::obtain(context, &wanted).await?;
    Ok(found.unwrap_or_else(|| image_source::alias(image)))
}

async fn set_state(context: &Context, name: &str, action: &str) -> Result<()> {
    let body = InstanceStatePut {
        action: action.to_owned(),
        timeout: -1,
        force: action == "stop",
        ..InstanceStatePut::default()
    };
    let path = format!("{}/state", url::instance(name));
    let reply = context.client.put(&path, &body, None).await?;
    context.finish(reply, &format!("{action} {name}")).await?;
    Ok(())
}
