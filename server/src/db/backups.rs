//! Backups of instances and of custom volumes.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::DbError;
use crate::model::{Backup, BackupOwner};

/// The columns `instance_id` and `volume_id`: one of the two.
fn columns(owner: BackupOwner) -> (Option<i64>, Option<i64>) {
    match owner {
        BackupOwner::Instance(id) => (Some(id), None),
        BackupOwner::Volume(id) => (None, Some(id)),
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Backup> {
    let instance: Option<i64> = row.get("instance_id")?;
    let owner = match instance {
        Some(id) => BackupOwner::Instance(id),
        None => BackupOwner::Volume(row.get("volume_id")?),
    };
    Ok(Backup {
        id: row.get("id")?,
        owner,
        name: row.get("name")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        without_snapshots: row.get("without_snapshots")?,
        optimized: row.get("optimized")?,
    })
}

/// All backups of an instance or volume, the oldest first.
pub fn list(tx: &Transaction<'_>, owner: BackupOwner) -> Result<Vec<Backup>, DbError> {
    let (instance, volume) = columns(owner);
    let mut statement = tx.prepare_cached(
        "SELECT * FROM backups WHERE instance_id IS ?1 AND volume_id IS ?2 ORDER BY id",
    )?;
    let rows = statement.query_map(params![instance, volume], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One backup by name.
pub fn find(
    tx: &Transaction<'_>,
    owner: BackupOwner,
    name: &str,
) -> Result<Option<Backup>, DbError> {
    let (instance, volume) = columns(owner);
    let mut statement = tx.prepare_cached(
        "SELECT * FROM backups WHERE instance_id IS ?1 AND volume_id IS ?2 AND name = ?3",
    )?;
    Ok(statement
        .query_row(params![instance, volume, name], from_row)
        .optional()?)
}

/// Those whose time is over.
pub fn expired(tx: &Transaction<'_>, now: &str) -> Result<Vec<Backup>, DbError> {
    let mut statement = tx.prepare_cached("SELECT * FROM backups WHERE expires_at <= ?1")?;
    let rows = statement.query_map([now], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a backup and returns its id.
pub fn insert(tx: &Transaction<'_>, backup: &Backup) -> Result<i64, DbError> {
    let (instance, volume) = columns(backup.owner);
    tx.execute(
        "INSERT INTO backups (instance_id, volume_id, name, created_at, expires_at, without_snapshots, optimized)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            instance,
            volume,
            backup.name,
            backup.created_at,
            backup.expires_at,
            backup.without_snapshots,
            backup.optimized,
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE backups SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Gives the backups of a volume to another, which it has become.
pub fn hand_over(tx: &Transaction<'_>, from: i64, to: i64) -> Result<(), DbError> {
    tx.execute(
        "UPDATE backups SET volume_id = ?2 WHERE volume_id = ?1",
        params![from, to],
    )?;
    Ok(())
}

/// Removes one.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM backups WHERE id = ?1", [id])?;
    Ok(())
}
