//! `delete`.

use anyhow::Result;
use rlxc_api::{Instance, InstanceStatePut, StatusCode};
use rlxc_client::{ClientError, url};

use super::snapshot;
use super::state::Failures;
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
    let stopped = force && stop(context, name).await?;
    let deleted = match context.client.delete(&url::instance(name)).await {
        Ok(reply) => context
            .finish(reply, &format!("Deleting {name}"))
            .await
            .map(drop),
        Err(error) => Err(error),
    };
    match deleted {
        // Stopping an ephemeral instance has deleted it.
        Err(error) if stopped && error.is_not_found() => Ok(()),
        deleted => Ok(deleted?),
    }
}

/// Kills an instance, without asking first whether it runs; tells whether it did.
async fn stop(context: &Context, name: &str) -> Result<bool, ClientError> {
    let path = url::instance(name);
    let body = InstanceStatePut {
        action: "stop".to_owned(),
        force: true,
        ..InstanceStatePut::default()
    };
    let ended = match context
        .client
        .put(&format!("{path}/state"), &body, None)
        .await
    {
        Ok(reply) => context.finish(reply, &format!("Stopping {name}")).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Err(error),
        Err(error) => match context.client.get::<Instance>(&path).await {
            // It did not run, or has ended by itself meanwhile.
            Ok(now) if now.status_code == StatusCode::Stopped => Ok(false),
            Err(gone) if gone.is_not_found() => Ok(true),
            _ => Err(error),
        },
    }
}
