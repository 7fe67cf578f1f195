//! `export`, `import`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rlxc_api::{InstanceBackupsPost, Server};
use rlxc_client::url;

use crate::cli::{ExportArgs, ImportArgs};
use crate::context::Context;
use crate::progress::Transfer;

pub(crate) async fn export(context: &Context, args: ExportArgs) -> Result<()> {
    let target = args
        .target
        .unwrap_or_else(|| PathBuf::from(format!("{}.tar.zst", args.name)));
    let to_stdout = target == Path::new("-");
    let path = if to_stdout {
        Path::new("/dev/stdout")
    } else {
        &target
    };
    let post = InstanceBackupsPost {
        instance_only: args.instance_only,
        container_only: args.instance_only,
        optimized_storage: args.optimized_storage,
        compression_algorithm: args.compression.unwrap_or_default(),
        ..InstanceBackupsPost::default()
    };
    let server: Server = context.client.get("/1.0").await?;
    let extensions = &server.untrusted.api_extensions;
    let exported = if extensions.iter().any(|name| name == "direct_backup") {
        let bar = Transfer::new("Exporting", context.printer.is_quiet() || to_stdout);
        let received = |bytes| bar.set(bytes, 0);
        let done = context
            .client
            .export_directly(&args.name, &post, path, received)
            .await;
        bar.end();
        done.map_err(Into::into)
    } else {
        export_by_way_of_disk(context, &args.name, &post, path).await
    };
    if exported.is_err() && !to_stdout {
        // Half a backup is worse than none.
        drop(std::fs::remove_file(path));
    }
    exported?;
    if to_stdout {
        return Ok(());
    }
    context
        .printer
        .done(&format!("Exported {} to {}", args.name, target.display()))
}

/// For servers that must keep a backup before it can be fetched.
async fn export_by_way_of_disk(
    context: &Context,
    name: &str,
    post: &InstanceBackupsPost,
    target: &Path,
) -> Result<()> {
    let backups = format!("{}/backups", url::instance(name));
    let reply = context.client.post(&backups, post).await?;
    let operation = context
        .finish(reply, &format!("Backing up {name}"))
        .await?
        .context("the daemon began nothing")?;
    let made = operation
        .resources
        .get("backups")
        .and_then(|all| all.first());
    let made = url::last(made.context("the daemon does not tell which backup it has made")?);
    let path = format!("{backups}/{}", url::encode(&made));
    let bar = Transfer::new("Downloading", context.printer.is_quiet());
    let fetched = context
        .client
        .download_to(&format!("{path}/export"), target, |bytes| bar.set(bytes, 0))
        .await;
    bar.end();
    let reply = context.client.delete(&path).await?;
    context.finish(reply, "Removing the backup").await?;
    Ok(fetched?)
}

pub(crate) async fn import(context: &Context, args: ImportArgs) -> Result<()> {
    let bar = Transfer::new("Importing", context.printer.is_quiet());
    let (name, pool) = (
        args.name.unwrap_or_default(),
        args.storage.unwrap_or_default(),
    );
    let reply = context
        .client
        .import_backup(&args.file, (&name, &pool), {
            let bar = bar.clone();
            move |sent, total| bar.set(sent, total)
        })
        .await;
    bar.end();
    let operation = context.finish(reply?, "Restoring the backup").await?;
    let made = operation
        .iter()
        .filter_map(|operation| operation.resources.get("instances"))
        .flatten()
        .next()
        .map_or(name, |url| url::last(url));
    context.printer.done(&format!("Imported {made}"))
}
