//! Looking for what the inventory does not know: pools in the daemon's own directory and where the user says, and volumes on
//! all pools.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use rlxc_api::{RecoverFound, RecoverPost, RecoverVolume, StoragePoolPut, StoragePoolsPost};
use rlxc_storage::backup::{BackupConfig, load_description};
use rlxc_storage::{Driver, SnapshotId, VolumeKind, VolumeRef};
use rlxc_sys::chain::chain;

use crate::app::pool;
use crate::context::{App, blocking};
use crate::db::{instances, networks, pools, projects, volumes};
use crate::error::{Error, Result};
use crate::model::Pool;
use crate::saga::{self, custom_volume, instance_volume};

/// What was found. The pools in it are open, and nobody else's yet.
#[derive(Debug)]
pub(super) struct Search {
    /// Pools that have no row.
    pub(super) pools: Vec<LostPool>,
    /// Volumes that have no row.
    pub(super) volumes: Vec<LostVolume>,
    /// Why they can't be taken back now.
    pub(super) problems: Vec<String>,
    unreadable: Vec<String>,
}

/// A pool that has no row.
#[derive(Debug)]
pub(super) struct LostPool {
    /// What its row will be.
    pub(super) row: Pool,
    /// The open pool.
    pub(super) driver: Arc<dyn Driver>,
    /// Where its file system was mounted for this.
    mounted: Option<PathBuf>,
}

/// A volume that has no row.
#[derive(Debug)]
pub(super) struct LostVolume {
    /// The name of its pool.
    pub(super) pool: String,
    pub(super) driver: Arc<dyn Driver>,
    /// What it is on disk.
    pub(super) volume: VolumeRef,
    /// Its snapshots on disk.
    pub(super) snapshots: Vec<SnapshotId>,
    /// What lay beside it.
    pub(super) description: BackupConfig,
}

impl Search {
    /// Opens all pools that can be opened and looks at all volumes. The caller has the pools' turn.
    pub(super) async fn begin(app: &App, post: RecoverPost) -> Result<Self> {
        let mut search = Self {
            pools: Vec::new(),
            volumes: Vec::new(),
            problems: Vec::new(),
            unreadable: Vec::new(),
        };
        let known = app.db.read(pools::list).await?;
        let names: BTreeSet<String> = known.iter().map(|pool| pool.name.clone()).collect();
        let mut wanted = post.pools;
        wanted.retain(|pool| !names.contains(&pool.name));
        let asked_for: BTreeSet<String> = wanted.iter().map(|pool| pool.name.clone()).collect();
        let own = pool::lost_names(app).into_iter();
        let own = own.filter(|name| !names.contains(name) && !asked_for.contains(name));
        wanted.extend(own.map(|name| StoragePoolsPost {
            name,
            ..StoragePoolsPost::default()
        }));
        for post in wanted {
            search.open(app, post).await?;
        }
        for pool in known {
            if let Ok(driver) = app.pools.get(&pool.name) {
                search.look_at(app, &pool.name, &driver).await?;
            }
        }
        search.look_for_what_is_missing(app).await?;
        Ok(search)
    }

    async fn open(&mut self, app: &App, post: StoragePoolsPost) -> Result<()> {
        let name = post.name.clone();
        match pool::open_lost(app, post).await {
            Ok((mut row, driver, mounted)) => {
                let before = self.volumes.len();
                self.look_at(app, &row.name, &driver).await?;
                let described = self.volumes.get(before..).unwrap_or_default().iter();
                settle_config(&mut row, described.map(|volume| &volume.description));
                self.pools.push(LostPool {
                    row,
                    driver,
                    mounted,
                });
            }
            Err(error) => {
                let text = format!("storage pool `{name}`: {}", chain(&error));
                self.problems.push(text);
            }
        }
        Ok(())
    }

    /// Gathers what is on a pool and has no row.
    async fn look_at(&mut self, app: &App, pool: &str, driver: &Arc<dyn Driver>) -> Result<()> {
        let (key, listing) = (pool.to_owned(), Arc::clone(driver));
        let known = app
            .db
            .read(move |tx| {
                let mut known = saga::volumes_at_work(tx)?;
                let roots = instances::list(tx, None)?.into_iter();
                let roots = roots.filter(|row| row.pool == key);
                known.extend(roots.map(|row| instance_volume(row.id)));
                let custom = volumes::list(tx, None, Some(&key))?.into_iter();
                known.extend(custom.map(|row| custom_volume(row.id)));
                Ok::<_, Error>(known)
            })
            .await?;
        let read = move || {
            let contents = listing.list_volumes()?.volumes.into_iter();
            let unknown = contents.filter(|(volume, _)| !known.contains(volume));
            let described = unknown.map(|(volume, contents)| {
                let directory = listing.volume_dir(volume)?;
                Ok((volume, contents.snapshots, load_description(&directory)))
            });
            described.collect::<Result<Vec<_>, rlxc_storage::Error>>()
        };
        let found = blocking(read)
            .await
            .map_err(|error| Error::failed(format!("look what is on pool `{pool}`"), error))?;
        for (volume, snapshots, description) in found {
            let reason = match description {
                Ok(Some(description)) if is_about(&description, volume.kind) => {
                    self.volumes.push(LostVolume {
                        pool: pool.to_owned(),
                        driver: Arc::clone(driver),
                        volume,
                        snapshots,
                        description,
                    });
                    continue;
                }
                Ok(Some(_)) => "its `backup.yaml` is of something else".to_owned(),
                Ok(None) => "there is no `backup.yaml` beside it".to_owned(),
                Err(error) => chain(&error).to_string(),
            };
            self.unreadable
                .push(format!("{volume} on storage pool `{pool}`: {reason}"));
        }
        Ok(())
    }

    /// Projects and networks must be there, and names must be free. Profiles are made again if need be.
    async fn look_for_what_is_missing(&mut self, app: &App) -> Result<()> {
        let mut problems = BTreeSet::new();
        for lost in &self.volumes {
            let (project, name) = lost.name();
            let (project, name) = (project.to_owned(), name.to_owned());
            let nets = lost.networks();
            let (kind, pool) = (lost.volume.kind, lost.pool.clone());
            let found = app
                .db
                .read(move |tx| missing(tx, (&project, kind, &pool), &name, nets))
                .await?;
            problems.extend(found);
        }
        self.problems.extend(problems);
        Ok(())
    }

    /// What a client is told.
    pub(super) fn found(&self) -> RecoverFound {
        RecoverFound {
            unknown_volumes: self.volumes.iter().map(LostVolume::view).collect(),
            dependency_errors: self.problems.clone(),
            lost_pools: self.pools.iter().map(LostPool::view).collect(),
            unreadable_volumes: self.unreadable.clone(),
        }
    }

    /// Closes what was opened.
    pub(super) async fn let_go(self) {
        drop(self.volumes);
        for lost in self.pools {
            blocking(move || {
                drop(lost.driver);
                if let Some(directory) = lost.mounted
                    && let Err(error) = rlxc_sys::mount::detach(&directory)
                {
                    tracing::warn!(directory = %directory.display(), %error, "stays mounted");
                }
            })
            .await;
        }
    }
}

/// What a pool was configured with is in the descriptions of what is on it.
fn settle_config<'a>(row: &mut Pool, mut described: impl Iterator<Item = &'a BackupConfig>) {
    let Some(before) = described.find_map(|description| {
        let pool = description.pool.as_ref()?;
        (pool.name == row.name).then_some(pool)
    }) else {
        return;
    };
    let mut config = before.put.config.clone();
    config.append(&mut row.config);
    row.config = config;
    if row.description.is_empty() {
        row.description.clone_from(&before.put.description);
    }
}

fn is_about(description: &BackupConfig, kind: VolumeKind) -> bool {
    match kind {
        VolumeKind::Container => description.container.is_some(),
        VolumeKind::Custom => description.volume.is_some(),
    }
}

fn missing(
    tx: &rusqlite::Transaction<'_>,
    (project, kind, pool): (&str, VolumeKind, &str),
    name: &str,
    nets: BTreeSet<String>,
) -> Result<Vec<String>> {
    let Some(id) = projects::find_id(tx, project)? else {
        return Ok(vec![format!(
            "project `{project}` is missing: make it with `rlxc project create {project}`"
        )]);
    };
    let mut problems = Vec::new();
    let all = networks::list(tx)?;
    for net in nets {
        if !all.iter().any(|row| row.name == net) {
            problems.push(format!(
                "network `{net}` is missing: make it with `rlxc network create {net}`"
            ));
        }
    }
    let taken = match kind {
        VolumeKind::Container => instances::exists(tx, id, name)?,
        VolumeKind::Custom => volumes::find(tx, id, pool, name)?.is_some(),
    };
    if taken {
        problems.push(format!(
            "the name `{name}` of something that was found on storage pool `{pool}` is taken: rename what has it now"
        ));
    }
    Ok(problems)
}

impl LostPool {
    fn view(&self) -> StoragePoolsPost {
        StoragePoolsPost {
            put: StoragePoolPut {
                config: self.row.config.clone(),
                description: self.row.description.clone(),
            },
            name: self.row.name.clone(),
            driver: self.row.driver.clone(),
        }
    }
}

impl LostVolume {
    /// Its project and its name.
    pub(super) fn name(&self) -> (&str, &str) {
        let container = self.description.container.as_ref();
        let of_container = container.map(|view| (view.project.as_str(), view.name.as_str()));
        let volume = self.description.volume.as_ref();
        let of_volume = volume.map(|view| (view.project.as_str(), view.name.as_str()));
        let (project, name) = of_container.or(of_volume).unwrap_or_default();
        (
            if project.is_empty() {
                "default"
            } else {
                project
            },
            name,
        )
    }

    /// The networks that it can't start without.
    fn networks(&self) -> BTreeSet<String> {
        let view = self.description.container.iter();
        let devices = view.flat_map(|view| view.expanded_devices.values());
        let nics = devices.filter(|keys| keys.get("type").is_some_and(|kind| kind == "nic"));
        nics.filter_map(|keys| keys.get("network").cloned())
            .collect()
    }

    fn view(&self) -> RecoverVolume {
        let (project, name) = self.name();
        RecoverVolume {
            name: name.to_owned(),
            kind: match self.volume.kind {
                VolumeKind::Container => "container",
                VolumeKind::Custom => "custom",
            }
            .to_owned(),
            snapshot_count: self.snapshots.len(),
            project: project.to_owned(),
            pool: self.pool.clone(),
        }
    }
}
