//! The rows of a volume that was found, from what lay beside it.

use std::collections::BTreeSet;

use rlxc_api::name::{InstanceName, SnapshotName, VolumeName};
use rlxc_api::{InstanceSnapshot, Profile as ProfileView, StorageVolumeSnapshot, Timestamp};
use rlxc_storage::VolumeKind;
use rlxc_storage::backup::OnDisk;
use rlxc_sys::idmap::IDS_PER_CONTAINER;
use rusqlite::Transaction;

use super::search::LostVolume;
use crate::app::backup::time;
use crate::app::instance;
use crate::app::instance::backup::{known_config, known_devices, new_root};
use crate::db::{instances, pools, profiles, projects, snapshots, volumes};
use crate::error::{Error, Result};
use crate::keys;
use crate::model::{Config, Instance, Snapshot, Volume, VolumeSnapshot};
use crate::plan::expand::{expand, root_disk};
use crate::plan::idmap::{self, Span};

/// Rows that are not written yet, with the numbers that are on disk.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    Instance(Box<Instance>, Vec<ProfileView>),
    Volume(Box<Volume>),
}

/// What came of writing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are there.
    Done,
    /// Others have these numbers.
    Numbers,
}

impl Rows {
    /// Nothing that lay on a disk is trusted: names are checked, keys that mean nothing here are left out.
    pub(super) fn of(lost: &LostVolume) -> Result<Self> {
        let id = i64::try_from(lost.volume.id).map_err(Error::internal)?;
        let on_disk = lost.description.on_disk.clone().unwrap_or_default();
        match lost.volume.kind {
            VolumeKind::Container => instance_rows(lost, id, &on_disk),
            VolumeKind::Custom => volume_rows(lost, id, &on_disk),
        }
    }

    /// In the order of the rows.
    pub(super) fn snapshot_numbers(&self) -> Vec<i64> {
        match self {
            Self::Instance(row, _) => row.snapshots.iter().map(|row| row.id).collect(),
            Self::Volume(row) => row.snapshots.iter().map(|row| row.id).collect(),
        }
    }
}

fn missing() -> Error {
    Error::Invalid("its `backup.yaml` does not describe it".to_owned())
}

fn moment(time_of: &Timestamp) -> String {
    // A time that can't be read is no reason to lose data.
    let unknown = || crate::clock::format(jiff::Timestamp::UNIX_EPOCH);
    time(&time_of.0).unwrap_or_else(unknown)
}

/// The number of a snapshot, if it is on disk.
fn number(lost: &LostVolume, on_disk: &OnDisk, name: &str) -> Option<i64> {
    let number = *on_disk.snapshots.get(name)?;
    let is_there = lost.snapshots.iter().any(|there| there.0 == number);
    is_there.then(|| i64::try_from(number).ok()).flatten()
}

fn instance_rows(lost: &LostVolume, id: i64, on_disk: &OnDisk) -> Result<Rows> {
    let view = lost.description.container.clone().ok_or_else(missing)?;
    let name: InstanceName = view.name.parse()?;
    let mut kept = Vec::new();
    for row in &lost.description.snapshots {
        if let Some(number) = number(lost, on_disk, &row.name) {
            kept.push(snapshot(&name, number, row)?);
        } else {
            tracing::warn!(instance = %name, snapshot = row.name, "it is not on disk");
        }
    }
    let row = Instance {
        id,
        project: lost.name().0.to_owned(),
        name: name.to_string(),
        architecture: view.put.architecture,
        description: view.put.description,
        ephemeral: view.put.ephemeral,
        pool: lost.pool.clone(),
        idmap_base: on_disk.idmap_base,
        idmap_size: IDS_PER_CONTAINER,
        created_at: moment(&view.created_at),
        last_used_at: None,
        config: known_config(&name, view.put.config),
        devices: known_devices(&name, view.put.devices),
        profiles: view.put.profiles.unwrap_or_default(),
        snapshots: kept,
    };
    Ok(Rows::Instance(
        Box::new(row),
        lost.description.profiles.clone(),
    ))
}

fn snapshot(instance: &str, id: i64, row: &InstanceSnapshot) -> Result<Snapshot> {
    let name: SnapshotName = row.name.parse()?;
    Ok(Snapshot {
        id,
        name: name.to_string(),
        description: row.description.clone(),
        ephemeral: row.ephemeral,
        created_at: moment(&row.created_at),
        expires_at: time(&row.expires_at.0).filter(|_| !row.expires_at.is_none()),
        config: known_config(instance, row.config.clone()),
        devices: known_devices(instance, row.devices.clone()),
        profiles: row.profiles.clone(),
    })
}

fn volume_rows(lost: &LostVolume, id: i64, on_disk: &OnDisk) -> Result<Rows> {
    let view = lost.description.volume.clone().ok_or_else(missing)?;
    let name: VolumeName = view.name.parse()?;
    let mut config = view.put.config;
    config.retain(|key, value| {
        let one = [(key.clone(), value.clone())].into();
        keys::volume::SCOPE.check(&one).is_ok()
    });
    let mut kept = Vec::new();
    for row in &lost.description.volume_snapshots {
        if let Some(number) = number(lost, on_disk, &row.name) {
            kept.push(volume_snapshot(number, row)?);
        } else {
            tracing::warn!(volume = %name, snapshot = row.name, "it is not on disk");
        }
    }
    Ok(Rows::Volume(Box::new(Volume {
        id,
        pool: lost.pool.clone(),
        project: lost.name().0.to_owned(),
        name: name.to_string(),
        description: view.put.description,
        created_at: moment(&view.created_at),
        config,
        snapshots: kept,
    })))
}

fn volume_snapshot(id: i64, row: &StorageVolumeSnapshot) -> Result<VolumeSnapshot> {
    let name: SnapshotName = row.name.parse()?;
    let expires = row.expires_at.as_ref().filter(|at| !at.is_none());
    Ok(VolumeSnapshot {
        id,
        name: name.to_string(),
        description: row.description.clone(),
        created_at: moment(&row.created_at),
        expires_at: expires.and_then(|at| time(&at.0)),
        config: row.config.clone(),
    })
}

/// Writes rows with the numbers that are on disk, if those are free.
pub(super) fn insert(tx: &Transaction<'_>, rows: Rows, ranges: &[Span]) -> Result<Taken> {
    let numbers = rows.snapshot_numbers();
    let (own, table, of_snapshots) = match &rows {
        Rows::Instance(row, _) => (row.id, "instances", "snapshots"),
        Rows::Volume(row) => (row.id, "storage_volumes", "storage_volume_snapshots"),
    };
    let mut taken = is_taken(tx, table, own)?;
    for number in numbers {
        taken |= is_taken(tx, of_snapshots, number)?;
    }
    if taken {
        return Ok(Taken::Numbers);
    }
    write(tx, rows, ranges, Some).map(|_| Taken::Done)
}

/// Writes rows with numbers that are free: the volume's, and those of the snapshots in their order.
pub(super) fn insert_renumbered(
    tx: &Transaction<'_>,
    rows: Rows,
    ranges: &[Span],
) -> Result<(i64, Vec<i64>)> {
    write(tx, rows, ranges, |_| None)
}

fn is_taken(tx: &Transaction<'_>, table: &'static str, id: i64) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE id = ?1)");
    let found = tx.query_row(&sql, [id], |row| row.get(0));
    Ok(found.map_err(crate::db::DbError::from)?)
}

fn write(
    tx: &Transaction<'_>,
    rows: Rows,
    ranges: &[Span],
    as_number: fn(i64) -> Option<i64>,
) -> Result<(i64, Vec<i64>)> {
    match rows {
        Rows::Instance(row, views) => {
            let project = project(tx, &row.project)?;
            make_profiles(tx, project, &row, views)?;
            let pool = pools::find(tx, &row.pool)?;
            let pool = pool.ok_or_else(|| Error::not_found("storage pool", &row.pool))?;
            let row = settled(tx, project, *row, ranges)?;
            let id = instances::insert_as(tx, as_number(row.id), (project, pool.id), &row)?;
            let numbers = row
                .snapshots
                .iter()
                .map(|one| Ok(snapshots::insert_as(tx, as_number(one.id), id, one)?));
            Ok((id, numbers.collect::<Result<_>>()?))
        }
        Rows::Volume(row) => {
            let project = project(tx, &row.project)?;
            let id = volumes::insert_as(tx, as_number(row.id), project, &row)?;
            let numbers = row
                .snapshots
                .iter()
                .map(|one| Ok(volumes::insert_snapshot_as(tx, as_number(one.id), id, one)?));
            Ok((id, numbers.collect::<Result<_>>()?))
        }
    }
}

fn project(tx: &Transaction<'_>, name: &str) -> Result<i64> {
    projects::find_id(tx, name)?.ok_or_else(|| Error::not_found("project", name))
}

/// Profiles that are missing are made again; one without anything in it is what a new inventory begins with.
fn make_profiles(
    tx: &Transaction<'_>,
    project: i64,
    row: &Instance,
    views: Vec<ProfileView>,
) -> Result<()> {
    for view in views
        .into_iter()
        .filter(|view| row.profiles.contains(&view.name))
    {
        let id = match profiles::find(tx, project, &view.name)? {
            Some(there) if there.config.is_empty() && there.devices.is_empty() => there.id,
            Some(_) => continue,
            None => profiles::insert(tx, project, &view.name)?,
        };
        let config = known_config(&row.name, view.put.config);
        let devices = known_devices(&row.name, view.put.devices);
        profiles::update(tx, id, &view.put.description, &config, &devices)?;
    }
    Ok(())
}

/// With host ids that nobody else has, and with a root disk on the pool where the root is.
fn settled(
    tx: &Transaction<'_>,
    project: i64,
    mut row: Instance,
    ranges: &[Span],
) -> Result<Instance> {
    let known = profiles::list(tx, project)?;
    let there: BTreeSet<_> = known.iter().map(|profile| profile.name.clone()).collect();
    row.profiles.retain(|name| there.contains(name));
    let expanded = expand(&row, &known);
    let (device, mut root) = match root_disk(&expanded.devices) {
        Some((device, root)) => (device.clone(), root.clone()),
        None => ("root".to_owned(), new_root()),
    };
    if root.get("pool") != Some(&row.pool) {
        root.insert("pool".to_owned(), row.pool.clone());
        row.devices.insert(device, root);
    }
    keep_ids(tx, &mut row, ranges, &expanded.config)?;
    instance::settle_ids(tx, ranges, &mut row, &expanded.config)?;
    Ok(row)
}

/// It may run still: it keeps the ids that it had, if they are to be had.
fn keep_ids(
    tx: &Transaction<'_>,
    row: &mut Instance,
    ranges: &[Span],
    config: &Config,
) -> Result<()> {
    let Some(wanted) = idmap::wanted(config).map_err(Error::Invalid)? else {
        row.idmap_base = None;
        return Ok(());
    };
    row.idmap_size = wanted.size;
    let taken = instances::id_spans(tx, None)?;
    row.idmap_base = row.idmap_base.filter(|first| {
        let span = Span {
            first: *first,
            count: wanted.size,
        };
        ranges.iter().any(|range| range.contains(span)) && idmap::is_free(span, &taken)
    });
    Ok(())
}
