//! `delete`.

use anyhow::Result;
use rlxc_api::{Instance, InstanceStatePut, StatusCode};
use rlxc_client::url;

use super::state::Failures;
use super::{instance_or_snapshot, snapshot};
use crate::cli::DeleteArgs;
use crate::context::Context;

pub(crate) async fn run(context: &Context, args: DeleteArgs) -> Result<()> {
    let mut failures = Failures::default();
    for name in &args.names {
        if args.interactive
            && !context
                .printer
                .ask(&format!("Delete {name}? [y/N]"))?
                .to_lowercase()
                .starts_with('y')
        {
            continue;
        }
        if let Err(error) = delete(context, name, args.force).await {
            failures.add(context, name, args.names.len(), error)?;
        }
    }
    failures.end(args.names.len())
}

async fn delete(context: &Context, name: &str, force: bool) -> Result<()> {
    if let Some((instance, snapshot)) = name.split_once('/') {
        return snapshot::delete(context, instance, snapshot).await;
    }
    if force && stopped_means_gone(context, name).await? {
        return Ok(());
    }
    let reply = context.client.delete(&instance_or_snapshot(name)).await?;
    context.finish(reply, &format!("Deleting {name}")).await?;
    Ok(())
}

/// Stops an instance that runs; true where that deletes it, as it does an ephemeral one.
async fn stopped_means_gone(context: &Context, name: &str) -> Result<bool> {
    let path = url::instance(name);
    let instance: Instance = context.client.get(&path).await?;
    if instance.status_code == StatusCode::Stopped {
        return Ok(false);
    }
    let body = InstanceStatePut {
        action: "stop".to_owned(),
        force: true,
        ..InstanceStatePut::default()
    };
    let reply = context
        .client
        .put(&format!("{path}/state"), &body, None)
        .await;
    let ended = match reply {
        Ok(reply) => context.finish(reply, &format!("Stopping {name}")).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(_) => Ok(instance.put.ephemeral),
        // It may have ended by itself meanwhile; then deleting it is all that is left to do.
        Err(error) => match context.client.get::<Instance>(&path).await {
            Ok(now) if now.status_code == StatusCode::Stopped => Ok(false),
            Err(gone) if gone.is_not_found() => Ok(true),
            _ => Err(error.into()),
        },
    }
}
