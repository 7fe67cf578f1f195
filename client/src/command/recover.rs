//! `admin recover`: finds what the daemon's database has lost, shows it, and has it taken back.

use anyhow::{Result, bail};
use rlxc_api::{RecoverFound, RecoverPost, StoragePoolPut, StoragePoolsPost};
use rlxc_client::Reply;

use crate::cli::RecoverArgs;
use crate::context::{Context, is_interactive};

pub(crate) async fn run(context: &Context, args: RecoverArgs) -> Result<()> {
    let pools = args.pools.into_iter().map(|(name, source)| {
        let config = [("source".to_owned(), source)].into();
        StoragePoolsPost {
            put: StoragePoolPut {
                config,
                ..StoragePoolPut::default()
            },
            name,
            ..StoragePoolsPost::default()
        }
    });
    let post = RecoverPost {
        pools: pools.collect(),
    };
    let found = look(context, &post).await?;
    show(context, &found)?;
    if found.lost_pools.is_empty() && found.unknown_volumes.is_empty() {
        if found.dependency_errors.is_empty() {
            return context.printer.done("Nothing is lost.");
        }
        bail!("{}", found.dependency_errors.join("\n"));
    }
    let found = wait_for_dependencies(context, &post, found, args.yes).await?;
    if !args.yes && !agreed(context)? {
        return Ok(());
    }
    context
        .client
        .post("/internal/recover/import", &post)
        .await?;
    let (pools, volumes) = (found.lost_pools.len(), found.unknown_volumes.len());
    context.printer.done(&format!(
        "Recovered: {pools} storage pools, {volumes} instances and volumes"
    ))
}

async fn look(context: &Context, post: &RecoverPost) -> Result<RecoverFound> {
    let path = "/internal/recover/validate";
    let Reply::Done(value) = context.client.post(path, post).await? else {
        bail!("the daemon's answer does not say what was found");
    };
    Ok(serde_json::from_value(value)?)
}

fn show(context: &Context, found: &RecoverFound) -> Result<()> {
    for pool in &found.lost_pools {
        let source = pool.put.config.get("source").map_or("", String::as_str);
        context.printer.line(&format!(
            "Storage pool `{}` ({}) in {source}",
            pool.name, pool.driver
        ))?;
    }
    for volume in &found.unknown_volumes {
        let kind = match volume.kind.as_str() {
            "container" => "Instance",
            _ => "Custom volume",
        };
        let project = match volume.project.as_str() {
            "" | "default" => String::new(),
            project => format!(" of project `{project}`"),
        };
        let snapshots = match volume.snapshot_count {
            0 => String::new(),
            1 => ", with 1 snapshot".to_owned(),
            count => format!(", with {count} snapshots"),
        };
        context.printer.line(&format!(
            "{kind} `{}`{project} on storage pool `{}`{snapshots}",
            volume.name, volume.pool
        ))?;
    }
    for text in &found.unreadable_volumes {
        context.printer.note(&format!("left alone: {text}"));
    }
    Ok(())
}

/// The user makes what is missing, elsewhere, as often as it takes.
async fn wait_for_dependencies(
    context: &Context,
    post: &RecoverPost,
    mut found: RecoverFound,
    yes: bool,
) -> Result<RecoverFound> {
    while !found.dependency_errors.is_empty() {
        if yes || !is_interactive() {
            bail!(
                "this is in the way:\n{}",
                found.dependency_errors.join("\n")
            );
        }
        for error in &found.dependency_errors {
            context.printer.note(&format!("In the way: {error}"));
        }
        context
            .printer
            .ask("Mend this in another terminal, then press Enter:")?;
        found = look(context, post).await?;
    }
    Ok(found)
}

fn agreed(context: &Context) -> Result<bool> {
    if !is_interactive() {
        bail!("there is nobody to ask here: use --yes to take back what was found");
    }
    let answer = context.printer.ask("Take this back? (yes/no) [no]")?;
    Ok(answer.to_lowercase().starts_with('y'))
}
