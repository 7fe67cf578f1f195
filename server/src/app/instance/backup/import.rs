//! Making an instance of a backup, while it comes in: it is never on disk twice.

use std::sync::Arc;

use rlxc_api::name::InstanceName;
use rlxc_api::{InstancesPost, Operation, Requestor};
use rlxc_storage::backup::{BackupIndex, BackupReader, Layout, restore};
use rlxc_storage::volume::SnapshotId;
use rlxc_sys::idmap::IDS_PER_CONTAINER;

use crate::app::backup::{MOST, Upload, refuse_format, time};
use crate::app::instance::copy::portable;
use crate::app::instance::create::{NewInstance, Origin, begin, check_free};
use crate::context::{App, blocking};
use crate::db::{pools, profiles};
use crate::error::{Error, Result};
use crate::keys;
use crate::model::{Config, Devices, Instance, Snapshot};
use crate::operation::Handle;
use crate::plan::expand::{expand, root_disk};
use crate::saga::{instance_volume, snapshot_id};

/// What the client says of the backup that it sends.
#[derive(Debug, Clone, Default)]
pub struct ImportOrder {
    /// The name of the instance; the backup's own if empty.
    pub name: String,
    /// The pool; the backup's own if empty, and if there is none of that name, the profiles'.
    pub pool: String,
}

/// A backup whose index was read, and what the new instance is by it.
#[derive(Debug)]
pub(in crate::app::instance) struct BackupSource {
    reader: Option<BackupReader>,
    draft: Instance,
}

/// Begins to make an instance of a backup, once its index has come.
pub async fn import(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    order: ImportOrder,
    upload: Upload,
) -> Result<Operation> {
    let mut reader = blocking(move || BackupReader::open(upload, MOST))
        .await
        .map_err(|error| Error::failed("read the index of the backup", error))?;
    let index = reader.index().clone();
    if index.layout() == Layout::Volume {
        return Err(Error::Invalid(
            "this is the backup of a custom volume: import it with `rlxc storage volume import`"
                .to_owned(),
        ));
    }
    if !index.kind.is_empty() && index.kind != "container" {
        return Err(Error::Invalid(format!(
            "this is the backup of a {}: rlxc runs containers",
            index.kind
        )));
    }
    super::owners::unshift(&mut reader)?;
    let name = if order.name.is_empty() {
        &index.name
    } else {
        &order.name
    };
    let name: InstanceName = name.parse()?;
    check_free(app, project, &name).await?;
    let draft = draft(app, project, &name, &index)?;
    let draft = on_pool(app, draft, &order.pool, &index.pool).await?;
    let new = NewInstance {
        project: project.to_owned(),
        name: name.to_string(),
        post: InstancesPost::default(),
    };
    let origin = Origin::Backup(Box::new(BackupSource {
        reader: Some(reader),
        draft,
    }));
    Ok(begin(app, who, new, "Restoring backup", Some(origin)))
}

/// The row that the backup describes. What has no meaning here is left out, and told in the log.
fn draft(app: &App, project: &str, name: &str, index: &BackupIndex) -> Result<Instance> {
    let missing = || {
        Error::Invalid(
            "the index of the backup does not describe the instance: it was made by a server that is too old"
                .to_owned(),
        )
    };
    let config = index.config.as_ref().ok_or_else(missing)?;
    let view = config.container.as_ref().ok_or_else(missing)?;
    let mut snapshots = Vec::new();
    for named in &index.snapshots {
        let row = config.snapshots.iter().find(|row| {
            // Old servers put the instance's name before it.
            row.name.rsplit('/').next() == Some(named)
        });
        let row = row.ok_or_else(|| {
            Error::Invalid(format!(
                "the index of the backup does not describe the snapshot `{named}`"
            ))
        })?;
        named.parse::<rlxc_api::name::SnapshotName>()?;
        snapshots.push(Snapshot {
            id: 0,
            name: named.clone(),
            description: row.description.clone(),
            ephemeral: row.ephemeral,
            created_at: time(&row.created_at.0).unwrap_or_else(|| app.now()),
            expires_at: Some(&row.expires_at)
                .filter(|at| !at.is_none())
                .and_then(|at| time(&at.0)),
            config: known_config(name, portable(&row.config)),
            devices: known_devices(name, row.devices.clone()),
            profiles: row.profiles.clone(),
        });
    }
    let mut kept = portable(&view.put.config);
    if name == index.name {
        // It is the same instance again: it keeps its addresses.
        let addresses = view.put.config.iter();
        let addresses =
            addresses.filter(|(key, _)| key.starts_with("volatile.") && key.ends_with(".hwaddr"));
        kept.extend(addresses.map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(Instance {
        id: 0,
        project: project.to_owned(),
        name: name.to_owned(),
        architecture: view.put.architecture.clone(),
        description: view.put.description.clone(),
        ephemeral: view.put.ephemeral,
        pool: String::new(),
        idmap_base: None,
        idmap_size: IDS_PER_CONTAINER,
        created_at: time(&view.created_at.0).unwrap_or_else(|| app.now()),
        last_used_at: None,
        config: known_config(name, kept),
        devices: known_devices(name, view.put.devices.clone()),
        profiles: view.put.profiles.clone().unwrap_or_default(),
        snapshots,
    })
}

/// The keys of an instance that mean something here.
pub fn known_config(name: &str, config: Config) -> Config {
    let known = |(key, value): &(String, String)| {
        let one = Config::from([(key.clone(), value.clone())]);
        let checked = keys::check_instance(&one);
        if let Err(reason) = &checked {
            tracing::warn!(instance = name, key, reason, "a key is left out");
        }
        checked.is_ok()
    };
    config.into_iter().filter(known).collect()
}

/// The devices of an instance that mean something here.
pub fn known_devices(name: &str, devices: Devices) -> Devices {
    let known = |(device, keys): &(String, Config)| {
        let one = Devices::from([(device.clone(), keys.clone())]);
        let checked = keys::check_devices(&one);
        if let Err(reason) = &checked {
            tracing::warn!(instance = name, device, reason, "a device is left out");
        }
        checked.is_ok()
    };
    devices.into_iter().filter(known).collect()
}

/// Sees to it that the root disk names a pool of this server, and that all profiles are there.
/// `wanted` must be there if it is named; `before` is what the pool was called where it comes from.
pub(in crate::app::instance) async fn on_pool(
    app: &App,
    mut draft: Instance,
    wanted: &str,
    before: &str,
) -> Result<Instance> {
    let project = app.project(&draft.project).await?;
    let (known, all) = app
        .db
        .read(move |tx| Ok::<_, Error>((profiles::list(tx, project)?, pools::list(tx)?)))
        .await?;
    if let Some(missing) = draft
        .profiles
        .iter()
        .find(|name| !known.iter().any(|profile| profile.name == **name))
    {
        return Err(Error::not_found("profile", missing));
    }
    let is_there = |name: &str| all.iter().any(|pool| pool.name == name);
    if !wanted.is_empty() && !is_there(wanted) {
        return Err(Error::not_found("storage pool", wanted));
    }
    let expanded = expand(&draft, &known);
    let (device, mut root) = match root_disk(&expanded.devices) {
        Some((device, root)) => (device.clone(), root.clone()),
        None => ("root".to_owned(), new_root()),
    };
    let default = known
        .iter()
        .filter(|profile| profile.name == "default" || draft.profiles.contains(&profile.name))
        .find_map(|profile| root_disk(&profile.devices)?.1.get("pool"));
    let told = root.get("pool").cloned().unwrap_or_default();
    let candidates = [wanted, &told, before].map(str::to_owned);
    let chosen = candidates
        .into_iter()
        .chain(default.cloned())
        .find(|name| is_there(name));
    let Some(chosen) = chosen else {
        return Err(Error::Invalid(format!(
            "there is no storage pool `{before}` here: name one with `--storage`"
        )));
    };
    if chosen != told {
        root.insert("pool".to_owned(), chosen);
        draft.devices.insert(device, root);
    }
    Ok(draft)
}

/// A root disk on no pool yet.
pub fn new_root() -> Config {
    [("type", "disk"), ("path", "/")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

impl BackupSource {
    /// What the row is before it is written.
    pub(in crate::app::instance) fn draft(&self) -> Instance {
        self.draft.clone()
    }

    /// Makes the volume of the row.
    pub(in crate::app::instance) async fn fill(
        &mut self,
        app: &App,
        target: &Instance,
        operation: &Handle,
    ) -> Result<()> {
        let reader = self
            .reader
            .take()
            .ok_or_else(|| Error::internal("a backup was read twice"))?;
        let driver = app.pools.get(&target.pool)?;
        refuse_format(reader.index(), &*driver, &target.pool)?;
        let volume = instance_volume(target.id);
        let snapshots = target
            .snapshots
            .iter()
            .map(|row| (row.name.clone(), snapshot_id(row.id)))
            .collect::<std::collections::BTreeMap<String, SnapshotId>>();
        let told = operation.clone();
        let progress = move |bytes: u64| {
            told.set(
                "create_instance_from_backup_progress",
                format!("{} MiB", bytes >> 20),
            );
        };
        let what = format!(
            "restore the backup as instance `{}` on storage pool `{}`",
            target.name, target.pool
        );
        let restore = move || restore(reader, (&*driver, volume), &snapshots, &progress);
        operation.blocking(what, restore).await
    }
}
