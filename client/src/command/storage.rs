//! `storage`.

use anyhow::Result;
use rlxc_api::{
    ResourcesStoragePool, ResourcesStoragePoolDriver, StoragePool, StoragePoolPut, StoragePoolsPost,
};

use super::{keys, object, volume};
use crate::cli::{StorageCreateArgs, StorageVerb};
use crate::context::Context;
use crate::document;
use crate::render::Table;

fn path(name: &str) -> String {
    object("storage-pools", name)
}

pub(crate) async fn run(context: &Context, verb: StorageVerb) -> Result<()> {
    match verb {
        StorageVerb::List(format) => {
            let pools: Vec<StoragePool> =
                context.client.get("/1.0/storage-pools?recursion=1").await?;
            context.list(format.format, &pools, || table(&pools))
        }
        StorageVerb::Show(args) => {
            context.yaml(&context.client.get::<StoragePool>(&path(&args.name)).await?)
        }
        StorageVerb::Info(args) => info(context, &args.name).await,
        StorageVerb::Create(args) => create(context, args).await,
        StorageVerb::Delete(args) => {
            for name in &args.names {
                let reply = context.client.delete(&path(name)).await?;
                context.finish(reply, &format!("Deleting {name}")).await?;
            }
            Ok(())
        }
        StorageVerb::Get(args) => keys::get(context, &path(&args.name), "config", &args.key).await,
        StorageVerb::Set(args) => {
            keys::set(context, &path(&args.name), keys::pairs(&args.words)?).await
        }
        StorageVerb::Unset(args) => keys::unset(context, &path(&args.name), &args.key).await,
        StorageVerb::Edit(args) => {
            keys::edit::<StoragePoolPut>(context, &path(&args.name), "A storage pool.").await
        }
        StorageVerb::Volume(verb) => volume::run(context, verb).await,
    }
}

async fn create(context: &Context, args: StorageCreateArgs) -> Result<()> {
    let given = document::given::<StoragePoolPut, StoragePool>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    let body = StoragePoolsPost {
        put,
        name: args.name,
        driver: args.driver,
    };
    let reply = context.client.post("/1.0/storage-pools", &body).await?;
    context
        .finish(reply, &format!("Creating {}", body.name))
        .await?;
    Ok(())
}

async fn info(context: &Context, name: &str) -> Result<()> {
    let pool: StoragePool = context.client.get(&path(name)).await?;
    let space: ResourcesStoragePool = context
        .client
        .get(&format!("{}/resources", path(name)))
        .await?;
    let bytes = |count: u64| rlxc_api::size::ByteSize(count).human();
    let used_by = pool
        .used_by
        .iter()
        .fold(String::new(), |lines, url| lines + "- " + url + "\n");
    context.printer.print(&format!(
        "Name: {}\nDriver: {}\nStatus: {}\nSpace used: {} of {}\n{}\n{}Used by:\n{}",
        pool.name,
        pool.driver,
        pool.status,
        bytes(space.space.used),
        bytes(space.space.total),
        inodes(&space),
        space.driver.as_ref().map(abilities).unwrap_or_default(),
        used_by,
    ))
}

/// Some file systems (btrfs) make as many as there is space for, and count none.
fn inodes(resources: &ResourcesStoragePool) -> String {
    match resources.inodes.total {
        0 => "Inodes: no limit".to_owned(),
        total => format!("Inodes used: {} of {total}", resources.inodes.used),
    }
}

/// What the driver can do, a line each.
fn abilities(driver: &ResourcesStoragePoolDriver) -> String {
    let quota = if driver.quota {
        "yes".to_owned()
    } else {
        format!("no: {}", driver.no_quota)
    };
    format!(
        "Instant copies: {}\nInstant snapshots: {}\nQuotas: {quota}\n",
        crate::render::yes(driver.instant_clone).to_lowercase(),
        crate::render::yes(driver.optimized_snapshots).to_lowercase(),
    )
}

fn table(pools: &[StoragePool]) -> Table {
    let rows = pools
        .iter()
        .map(|pool| {
            vec![
                pool.name.clone(),
                pool.driver.clone(),
                pool.put.config.get("source").cloned().unwrap_or_default(),
                pool.put.description.clone(),
                pool.used_by.len().to_string(),
                pool.status.to_uppercase(),
            ]
        })
        .collect();
    Table::new(
        &[
            "NAME",
            "DRIVER",
            "SOURCE",
            "DESCRIPTION",
            "USED BY",
            "STATE",
        ],
        rows,
    )
}
