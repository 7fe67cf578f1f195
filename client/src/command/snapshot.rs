//! `snapshot`.

use anyhow::Result;
use rlxc_api::{InstanceSnapshot, InstanceSnapshotPost, InstanceSnapshotsPost};
use rlxc_client::url;
use serde_json::json;

use super::expiry;
use super::state::Failures;
use crate::cli::{SnapshotCreateArgs, SnapshotRestoreArgs, SnapshotVerb};
use crate::context::Context;
use crate::render::{self, Table};

/// The extension by which a server lets a new snapshot take the place of an old one; others need the old one deleted first.
pub(super) const REUSE: &str = "snapshot_reuse";

pub(crate) async fn run(context: &Context, verb: SnapshotVerb) -> Result<()> {
    match verb {
        SnapshotVerb::Create(args) => create(context, args).await,
        SnapshotVerb::List(args) => {
            let path = format!("{}/snapshots?recursion=1", url::instance(&args.instance));
            let snapshots: Vec<InstanceSnapshot> = context.client.get(&path).await?;
            context.list(args.format.format, &snapshots, || table(&snapshots))
        }
        SnapshotVerb::Restore(args) => restore(context, &args).await,
        SnapshotVerb::Delete(args) => {
            let mut failures = Failures::default();
            for name in &args.names {
                if let Err(error) = delete(context, &args.instance, name).await {
                    failures.add(context, name, args.names.len(), error)?;
                }
            }
            failures.end(args.names.len())
        }
        SnapshotVerb::Rename(args) => {
            rename(context, &args.instance, &args.name, &args.new_name).await
        }
        SnapshotVerb::Show(args) => {
            let snapshot: InstanceSnapshot = context
                .client
                .get(&path(&args.instance, &args.name))
                .await?;
            context.yaml(&snapshot)
        }
    }
}

fn path(instance: &str, name: &str) -> String {
    format!(
        "{}/snapshots/{}",
        url::instance(instance),
        url::encode(name)
    )
}

async fn create(context: &Context, args: SnapshotCreateArgs) -> Result<()> {
    let name = args.name.unwrap_or_default();
    let expires_at = expiry::at(args.expiry.as_deref(), args.no_expiry)?;
    let reuse = args.reuse && context.has_extension(REUSE).await?;
    if args.reuse && !reuse {
        match context.client.delete(&path(&args.instance, &name)).await {
            Ok(reply) => drop(context.finish(reply, &format!("Deleting {name}")).await?),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let body = InstanceSnapshotsPost {
        name,
        expires_at,
        reuse,
        ..InstanceSnapshotsPost::default()
    };
    let reply = context
        .client
        .post(
            &format!("{}/snapshots", url::instance(&args.instance)),
            &body,
        )
        .await?;
    context
        .finish(reply, &format!("Snapshot of {}", args.instance))
        .await?;
    Ok(())
}

pub(crate) async fn restore(context: &Context, args: &SnapshotRestoreArgs) -> Result<()> {
    let body = json!({ "restore": args.name, "stateful": args.stateful });
    let reply = context
        .client
        .put(&url::instance(&args.instance), &body, None)
        .await?;
    context
        .finish(reply, &format!("Restoring {}", args.instance))
        .await?;
    Ok(())
}

pub(crate) async fn delete(context: &Context, instance: &str, name: &str) -> Result<()> {
    let reply = context.client.delete(&path(instance, name)).await?;
    context
        .finish(reply, &format!("Deleting {instance}/{name}"))
        .await?;
    Ok(())
}

pub(crate) async fn rename(
    context: &Context,
    instance: &str,
    name: &str,
    new_name: &str,
) -> Result<()> {
    let body = InstanceSnapshotPost {
        name: new_name.to_owned(),
        ..InstanceSnapshotPost::default()
    };
    let reply = context.client.post(&path(instance, name), &body).await?;
    context
        .finish(reply, &format!("Renaming {instance}/{name}"))
        .await?;
    Ok(())
}

fn table(snapshots: &[InstanceSnapshot]) -> Table {
    let rows = snapshots
        .iter()
        .map(|snapshot| {
            vec![
                snapshot.name.clone(),
                render::short_time(&snapshot.created_at),
                render::short_time(&snapshot.expires_at),
                render::yes(snapshot.stateful),
            ]
        })
        .collect();
    Table::new(&["NAME", "TAKEN AT", "EXPIRES AT", "STATEFUL"], rows)
}
